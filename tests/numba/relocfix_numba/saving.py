"""Saving: a compiled function becomes an object, a session map, a fixed object and a shared library in a folder."""
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass

from numba.core.compiler_lock import global_compiler_lock

from . import (
    compiled,
    elf,
    environment,
    index,
    linking,
    loading,
    meaning,
    native_types,
    objects,
    pickling,
    process,
    python_calls,
    reach,
    runtime,
)
from .errors import NotPortable

_OBJECT_TABLE = (f"{__package__}.object_table", "table")


@dataclass(frozen=True)
class Options:
    """How a function is saved; see `save`."""

    known: dict = None
    link: tuple = ()
    flags: tuple = ()
    native: bool = False


def save(function, signature, folder, *, known=None, link=(), flags=(), native=False):
    """Saves a Numba function for one signature, so that other processes need not compile it.

    `function` is what `@njit`, `@cfunc` or `@vectorize` made. A `@cfunc` has its signature, so that `signature` is `None`;
    with a `@vectorize`, `None` saves all its loops. It is compiled if need be. The folder is made. Returns the stems of the
    files written.

    `known` says what things of this process are elsewhere: by the name under which the function refers to them, the name of
    a symbol (which a file of `link` defines) or an expression of relocfix's session map. `link` are more objects and
    libraries, `flags` more flags for the link. With `native`, a second library is written that needs neither Python nor
    Numba.

    Raises `NotPortable`, and writes nothing, if the function holds something that exists only in this process.
    """
    options = Options(known, tuple(link), tuple(flags), native)
    return [save_compiled(one, folder, options) for one in compiled.compiled(function, signature)]


def save_compiled(one, folder, options=Options()):
    """Saves one function for one signature; returns the stem."""
    stem = index.stem(f"{one.module}.{one.name}", one.signature)
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{stem}.") as scratch:
        entry = _entry(one)
        entry["boxed"] = _Part(one, stem, options).write(scratch)
        pickled = f"{stem}.pickle"
        entry["boxed"]["files"][pickled] = _write(scratch, pickled, pickling.dumps(one))
        if options.native:
            entry["native"] = _NativePart(one, f"{stem}.native", options).write(scratch)
            entry["native"]["types"] = native_types.describe(one.name, one.result.fndesc)
        # The new files have other names than those in use, or the same contents.
        for file in sorted(os.listdir(scratch)):
            os.replace(os.path.join(scratch, file), os.path.join(folder, file))
    index.write(folder, stem, entry)
    _remove_old(folder, stem, entry)
    return stem


def _entry(one):
    made_with = environment.made_with()
    descriptor = one.result.fndesc
    return {
        "name": one.name,
        "module": one.module,
        "kind": one.kind,
        "signature": index.plain(one.signature),
        "fingerprint": reach.fingerprint(one.function),
        "made_with": made_with,
        "processor": index.processor_needed(made_with["features"]),
        "entry": descriptor.llvm_func_name,
        "wrapper": descriptor.llvm_cpython_wrapper_name,
        "cfunc": descriptor.llvm_cfunc_wrapper_name,
        "details": one.details,
    }


class _Part:
    """The library that Numba loads: with the wrappers, and helpers that Python finds."""

    asked = True

    def __init__(self, one, stem, options):
        self._options, self._stem, self._name = options, stem, one.name
        self._asked = python_calls.Asked() if self.asked else None
        self._bindings = runtime.Bindings(self._asked, self._name)
        self._explainer = meaning.Explainer(one, self._asked, options.known, stem, _OBJECT_TABLE)
        # One object each, and those of what their code refers to.
        self._images, pending = [], [self.start(one)]
        with global_compiler_lock:
            while pending:
                library, entry = pending.pop(0)
                image = self.emit(library, entry)
                self._images.append(image)
                for symbol in elf.symbols(image):
                    if symbol.name.startswith(meaning.PREFIX):
                        self._explainer.explain(int(symbol.name[len(meaning.PREFIX) :].split(".")[0], 16))
                while self._explainer.found.companions:
                    companion = self._explainer.found.companions.pop(0)
                    pending.append((companion._library, companion.native_name))
        defined = {symbol.name for image in self._images for symbol in elf.symbols(image) if symbol.defined}
        self.needed = sorted(
            {symbol.name for image in self._images for symbol in elf.symbols(image) if not symbol.defined} - defined
        )
        for symbol in self.needed:
            self.bind(symbol, defined)

    def start(self, one):
        """The code library to begin with, and a function in it."""
        return one.library, one.entry

    def emit(self, library, entry):
        return objects.whole(library, entry)

    def bind(self, symbol, defined):
        self._bindings.add(symbol, defined)

    def extra(self, scratch):
        """More to link."""
        return []

    def write(self, scratch):
        """Writes objects, maps and the library; returns its part of the index."""
        found, files, stem = self._explainer.found, {}, self._stem
        for file, data in found.files.items():
            files[file] = _write(scratch, file, data)
        session = {
            "relocfix": 1,
            "machine": "x86_64",
            "mappings": process.mappings(),
            "symbols": found.symbols,
            "values": (self._asked.values if self._asked else []) + found.values,
        }
        fixed = []
        for number, image in enumerate(self._images):
            part = f"{stem}.{number}" if number else stem
            named = {symbol.name for symbol in elf.symbols(image) if not symbol.defined}
            session["imports"] = [item for item in self._bindings.imports if item["symbol"] in named]
            session["globals"] = [item for item in self._bindings.globals if item["symbol"] in named]
            files[f"{part}.o"] = _write(scratch, f"{part}.o", image)
            text = json.dumps(session, indent=1).encode()
            files[f"{part}.session.json"] = _write(scratch, f"{part}.session.json", text)
            output = os.path.join(scratch, f"{part}.fixed.o")
            linking.fix(*(os.path.join(scratch, part + end) for end in (".o", ".session.json")), output)
            files[f"{part}.fixed.o"] = _digest_of(output)
            fixed.append(output)
        given = {path for path in self._options.link if elf.is_library(path)}
        libraries = {os.path.realpath(path) for path in self._bindings.libraries | found.libraries | given}
        self._find_requirements(libraries, os.path.dirname(scratch))
        made = os.path.join(scratch, f"{stem}.so")
        extra = self.extra(scratch)
        linked = [*fixed, *extra, *(path for path in self._options.link if path not in given)]
        linking.link(linked, made, sorted(libraries), self._options.flags)
        for object_file in extra:
            os.unlink(object_file)
        # A loader that has a library of that path takes no other: each content has its own.
        library = f"{stem}-{_digest_of(made)[:12]}.so"
        os.rename(made, os.path.join(scratch, library))
        files[library] = _digest_of(os.path.join(scratch, library))
        return {
            "library": library,
            "files": files,
            "libraries": index.libraries(libraries),
            "layer": self._bindings.layer,
            "needs": self._asked.needs if self._asked else [],
            "recipes": found.recipes,
            "requires": sorted(self._requires),
        }

    def _find_requirements(self, libraries, folder):
        """Functions that were themselves loaded: their entries are loaded first, so they must be in the same folder."""
        self._requires = []
        for path in sorted(libraries):
            required = loading.requirement(path)
            if required is None:
                continue
            if required[0] != os.path.realpath(folder):
                raise NotPortable(f"{self._name}: it calls a function that was loaded from another folder, {required[0]}")
            self._requires.append(required[1])


class _NativePart(_Part):
    """The library for programs without Numba: the native entry alone, with Numba's memory management compiled in."""

    asked = False

    def start(self, one):
        return one.result.library, one.result.fndesc.llvm_func_name

    def emit(self, library, entry):
        return objects.native(library, entry)

    def bind(self, symbol, defined):
        if symbol.startswith(("Py", "_Py", "numba_")):
            raise NotPortable(f"{self._name}: without the wrappers its code still needs Python ({symbol})")
        if symbol in native_types.ALLOCATION:
            return
        self._bindings.add(symbol, defined)

    def extra(self, scratch):
        return [native_types.compile_allocation(scratch)] if set(self.needed) & native_types.ALLOCATION else []


def _write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)
    return hashlib.sha256(data).hexdigest()


def _digest_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _remove_old(folder, stem, entry):
    """Removes libraries of this entry that the index no longer names. Processes that use them keep them."""
    kept = {entry[part]["library"] for part in ("boxed", "native") if part in entry}
    for file in os.listdir(folder):
        if file.startswith((f"{stem}-", f"{stem}.native-")) and file.endswith(".so") and file not in kept:
            os.unlink(os.path.join(folder, file))
