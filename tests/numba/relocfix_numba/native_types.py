"""The native entry of a function: how its arguments and its result are passed, and the memory management it needs.

Numba's convention (numba/core/callconv.py): the result's address, the exception's address, the arguments, composite ones in
parts; the return value is a status. Arrays are `ArrayModel` of numba/core/datamodel/models.py.
"""
import os
import shlex
import subprocess

import numba
from numba.core import types
from numba.core.runtime import _nrt_python

from .errors import CacheError, NotPortable

# Numba's own memory management is C++ that knows nothing of Python; its source comes with Numba.
ALLOCATION = {"NRT_" + key for key in _nrt_python.c_helpers if key[0].isupper()}

_SOURCE = """\
#include "core/runtime/nrt.cpp"
extern "C" {
__attribute__((constructor)) static void start(void) { NRT_MemSys_init(); }
__attribute__((visibility("default"))) void relocfix_numba_release(NRT_MemInfo *block) { NRT_MemInfo_release(block); }
__attribute__((visibility("default"))) size_t relocfix_numba_references(NRT_MemInfo *block) {
    return NRT_MemInfo_refcount(block);
}
}
"""


def compile_allocation(folder):
    """Compiles Numba's memory management to an object in that folder. The compiler is $CXX, else `c++`."""
    source, output = os.path.join(folder, "allocation.cpp"), os.path.join(folder, "allocation.o")
    with open(source, "w") as file:
        file.write(_SOURCE)
    root = os.path.dirname(numba.__file__)
    command = shlex.split(os.environ.get("CXX", "c++"))
    command += ["-c", "-O2", "-fPIC", "-fno-exceptions", "-fno-rtti", f"-I{root}", f"-I{root}/core/runtime"]
    try:
        done = subprocess.run([*command, source, "-o", output], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise CacheError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise CacheError(f"{shlex.join(command)}: {done.stderr.strip()}")
    os.unlink(source)
    return output


def describe(name, descriptor):
    """Types of the arguments and the result, for `native.load`.

    Raises `NotPortable` for a type that has no form outside Numba.
    """
    return {
        "arguments": [_describe(name, kind) for kind in descriptor.argtypes],
        "result": _describe(name, descriptor.restype),
    }


def _describe(name, kind):
    if isinstance(kind, types.Literal):
        kind = kind.literal_type
    if kind == types.none:
        return {"none": True}
    if isinstance(kind, (types.Integer, types.Float)) or kind == types.boolean:
        return {"scalar": "uint8" if kind == types.boolean else str(kind)}
    if isinstance(kind, types.Complex):
        return {"complex": str(kind.underlying_float)}
    if isinstance(kind, types.Array) and isinstance(kind.dtype, (types.Integer, types.Float)):
        return {"array": str(kind.dtype), "dimensions": kind.ndim, "layout": kind.layout, "writable": kind.mutable}
    raise NotPortable(f"{name}: values of type {kind} have no form outside Numba")
