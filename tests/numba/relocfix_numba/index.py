"""The index of a saved function: what it is, what it was made for, and the checks before it is used again.

One JSON file `<stem>.relocfix.json` beside the library and the other files of the entry. It is written last and put in place
by a rename, so that an entry is there whole or not at all.
"""
import hashlib
import json
import os
import re
import tempfile

from . import elf
from .errors import CacheError, Stale

VERSION = 1
SUFFIX = ".relocfix.json"

# LLVM's names of processor features that the kernel calls otherwise.
_KERNEL_NAMES = {
    "64bit": "lm",
    "amx-bf16": "amx_bf16",
    "amx-int8": "amx_int8",
    "amx-tile": "amx_tile",
    "avx512bf16": "avx512_bf16",
    "avx512bitalg": "avx512_bitalg",
    "avx512fp16": "avx512_fp16",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512vnni": "avx512_vnni",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avxvnni": "avx_vnni",
    "bmi": "bmi1",
    "crc32": "sse4_2",
    "lzcnt": "abm",
    "pclmul": "pclmulqdq",
    "prfchw": "3dnowprefetch",
    "rdrnd": "rdrand",
    "sahf": "lahf_lm",
    "sha": "sha_ni",
    "sse3": "pni",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
}


def plain(signature):
    """A signature's text without what differs from process to process: addresses of functions and jitclasses."""
    return re.sub(r"0x[0-9a-f]+|#[0-9a-f]+", "", str(signature))


def stem(name, signature):
    """The base of an entry's file names: the function's name and a digest of the signature."""
    digest = hashlib.sha256(f"{name}{plain(signature)}".encode()).hexdigest()[:12]
    readable = "".join(character if character.isalnum() or character in "._-" else "_" for character in name)
    return f"{readable}-{digest}"


def processor():
    """`(model, flags)` of this machine's processor as the kernel names them."""
    model, flags = "", frozenset()
    with open("/proc/cpuinfo") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = frozenset(value.split())
                break
    return model, flags


def processor_needed(features):
    """What a processor must have that runs code made with LLVM's `features` ("+avx2,-sse4a,…")."""
    model, flags = processor()
    wanted = {_KERNEL_NAMES.get(name[1:], name[1:]) for name in features.split(",") if name.startswith("+")}
    # What the kernel does not list cannot be checked by its flags: then only the same model will do.
    return {"flags": sorted(wanted & flags), "model": model if wanted - flags else None}


def libraries(paths):
    """Libraries with their build-ids, by path."""
    return [{"path": path, "build_id": elf.build_id(path)} for path in sorted(paths)]


def write(folder, name, entry):
    """Puts an entry in place."""
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump({"relocfix_numba": VERSION, **entry}, file, indent=1, sort_keys=True)
        os.chmod(temporary, 0o644)
        os.replace(temporary, os.path.join(folder, name + SUFFIX))
    except BaseException:
        os.unlink(temporary)
        raise


def read(folder, name):
    """The entry of that stem; `None` if there is none."""
    path = os.path.join(folder, name + SUFFIX)
    try:
        with open(path) as file:
            entry = json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CacheError(f"{path}: {error}") from error
    if not isinstance(entry, dict) or entry.get("relocfix_numba") != VERSION:
        raise Stale(f"{path}: not an index of version {VERSION}")
    return entry


def stems(folder):
    """The stems of all entries of a folder, sorted."""
    return sorted(name[: -len(SUFFIX)] for name in os.listdir(folder) if name.endswith(SUFFIX) and not name.startswith("."))


def entries(folder, name=None):
    """The stems and entries of a folder by the name of their function, in the order of the files' names.

    Functions of one name in several modules are there with their modules' names before theirs. `name` selects one.
    """
    found = {}
    for one in stems(folder):
        entry = read(folder, one)
        if entry is not None:
            found.setdefault(entry["name"], {}).setdefault(entry["module"], []).append((one, entry))
    named = {}
    for function, modules in found.items():
        for module, saved in modules.items():
            named[function if len(modules) == 1 else f"{module}.{function}"] = saved
    if name is None:
        return named
    if name not in named:
        raise Stale(f"{folder}: has no function {name}")
    return {name: named[name]}


def check_machine(entry, part):
    """Refuses a library for another processor or with other libraries than it was made with, or changed since.

    `part` is the entry of the library: `entry["boxed"]` or `entry["native"]`.
    """
    name = entry["name"]
    model, flags = processor()
    needed = entry["processor"]
    missing = [flag for flag in needed["flags"] if flag not in flags]
    if missing:
        raise Stale(f"{name}: made for a processor with {', '.join(missing)}, which this one lacks")
    if needed["model"] not in (None, model):
        raise Stale(f"{name}: made for the processor {needed['model']}; this is {model}")
    for library in part["libraries"]:
        if elf.build_id(library["path"]) != library["build_id"]:
            raise Stale(f"{name}: {library['path']} is not the library that it was made with (by its build-id)")


def check_numba(entry, made_with):
    """Refuses what another Python, Numba, NumPy or processor setting made. `made_with` is what runs here."""
    for what, here in made_with.items():
        there = entry["made_with"].get(what)
        if there != here:
            raise Stale(f"{entry['name']}: made with {what} {there}; here it is {here}")


def check_digest(entry, folder, part):
    """Refuses files that are not those that were saved."""
    for file, saved in part["files"].items():
        try:
            with open(os.path.join(folder, file), "rb") as opened:
                here = hashlib.sha256(opened.read()).hexdigest()
        except OSError as error:
            raise Stale(f"{entry['name']}: {error}") from error
        if here != saved:
            raise Stale(f"{entry['name']}: {file} is not the file that was saved")
