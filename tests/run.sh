#!/usr/bin/env bash
# Everything that must hold, from a clean clone: installs what the tests need where it is missing, then formatting,
# lints, documentation and all tests. A test that cannot run is a failure here.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
need() { # PACKAGE COMMAND: the package, unless the command is there
    command -v "$2" >/dev/null || packages+=("$1")
}
newest_llvm() { # PROGRAM: the newest under /usr/lib/llvm-*/bin, else the one on PATH
    local found
    found=$(find /usr/lib/llvm-*/bin -name "$1" 2>/dev/null | sort -V | tail -n 1)
    [ -n "$found" ] && echo "$found" || command -v "$1" || true
}

need gcc gcc
need g++ g++
need gdb gcore
need binutils ld.bfd
need xz-utils xz
need valgrind valgrind
need mold mold
need python3 python3
[ -n "$(newest_llvm ld.lld)" ] || packages+=(lld-19)
[ -n "$(newest_llvm clang)" ] || packages+=(clang-19)
[ -n "$(newest_llvm llvm-readelf)" ] || packages+=(llvm-19)
if command -v dpkg >/dev/null && command -v apt-get >/dev/null; then
    printf '#include <libgccjit.h>\n' | gcc -xc -fsyntax-only - 2>/dev/null || packages+=(libgccjit-12-dev)
    python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
    ls /usr/lib/postgresql/*/lib/llvmjit.so >/dev/null 2>&1 || packages+=(postgresql-15)
    # Ten thousand ordinary objects: static libraries of these, besides the compilers' own.
    for package in llvm-19-dev llvm-14-dev libssl-dev; do
        dpkg -s "$package" >/dev/null 2>&1 || packages+=("$package")
    done
    if [ ${#packages[@]} -gt 0 ]; then
        sudo=()
        [ "$(id -u)" -eq 0 ] || sudo=(sudo)
        echo "installing: ${packages[*]}"
        "${sudo[@]}" apt-get update -qq
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            "${packages[@]}" >/dev/null
    fi
elif [ ${#packages[@]} -gt 0 ]; then
    echo "missing, to be installed by hand: ${packages[*]}" >&2
    exit 1
fi

# Numba and cffi, in an environment of its own. Where this Python has no wheel of that version, any will do.
venv=${CARGO_TARGET_DIR:-target}/test-venv
if ! "$venv/bin/python" -c 'import numba, cffi' 2>/dev/null; then
    python3 -m venv --clear "$venv"
    pip=("$venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all:)
    "${pip[@]}" numba==0.68.1 llvmlite==0.50.0 cffi || "${pip[@]}" numba cffi
fi

# Julia's runtime, which a wheel carries, without a compiler. It is not imported, only unpacked: any Python will do.
julia=${CARGO_TARGET_DIR:-target}/test-julia
if [ ! -d "$julia/ace_jax_coupling" ]; then
    "$venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.12 \
        --platform manylinux_2_28_x86_64 --dest "$julia" ace-jax-coupling==0.2.0
    python3 -m zipfile -e "$julia"/ace_jax_coupling-*.whl "$julia"
    rm "$julia"/ace_jax_coupling-*.whl
fi

echo "tools:"
for program in gcc ld.bfd mold cargo rustc; do
    printf '  %-12s %s\n' "$program" "$("$program" --version | head -n 1)"
done
for program in ld.lld clang llvm-readelf; do
    path=$(newest_llvm "$program")
    printf '  %-12s %s (%s)\n' "$program" "$("$path" --version | grep -m 1 -E '[0-9]+\.[0-9]')" "$path"
done
printf '  %-12s %s\n' numba "$("$venv/bin/python" -c 'import numba, llvmlite, sys
print(numba.__version__, "llvmlite", llvmlite.__version__, "Python", sys.version.split()[0])')"

cargo fmt --all -- --check
cargo clippy --all-targets -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
RELOCFIX_REQUIRE_TOOLS=1 cargo test --no-fail-fast
