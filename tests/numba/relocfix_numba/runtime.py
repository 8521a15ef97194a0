"""What Numba bound the undefined symbols of an object to, and how to find the same in another process.

Numba tells its linker the addresses of its own helper functions, of exception objects and of a threading layer; no library
exports them under these names. Python finds them again: the helpers are in dictionaries of Numba's extension modules.
"""
import llvmlite.binding as llvm
from numba import _dynfunc, _helperlib
from numba.core import intrinsics
from numba.core.runtime import _nrt_python

from . import process
from .errors import NotPortable

UNRESOLVED = ".numba.unresolved$"
ENVIRONMENT = "_ZN08NumbaEnv"

# Words of libpython's `_Py_HashSecret` (the union's `siphash` and `djbx33a` in Include/pyhash.h), of which Numba keeps copies.
_HASH_SECRET = {
    "_numba_hashsecret_siphash_k0": 0,
    "_numba_hashsecret_siphash_k1": 8,
    "_numba_hashsecret_djbx33a_suffix": 16,
}

_LAYERS = {
    "numba_parallel_for": "parallel_for",
    **{
        name: name
        for name in (
            "do_scheduling_signed",
            "do_scheduling_unsigned",
            "allocate_sched",
            "deallocate_sched",
            "get_num_threads",
            "set_num_threads",
            "get_thread_id",
            "set_parallel_chunksize",
            "get_parallel_chunksize",
            "get_sched_size",
        )
    },
}


def _helpers():
    """`(module, key, address)` of Numba's helpers by symbol."""
    found = {}
    for module, table in ("numba._helperlib", _helperlib.c_helpers), ("numba._dynfunc", _dynfunc.c_helpers):
        for key, address in table.items():
            found.setdefault("numba_" + key, (module, key, address))
    for key, address in _nrt_python.c_helpers.items():
        symbol = key if key.startswith("_") else "NRT_" + key
        found[symbol] = ("numba.core.runtime._nrt_python", key, address)
    return found


def threading_layer():
    """The name of the threading layer that runs in this process; `None` if none does yet."""
    from numba.np.ufunc import parallel

    return parallel._threading_layer if parallel._is_initialized else None


class Bindings:
    """What an object's undefined symbols meant here."""

    def __init__(self, asked, function):
        self.imports = []
        self.globals = []
        self.libraries = set()
        self.layer = None
        self._asked = asked
        self._function = function
        self._helpers = _helpers()

    def add(self, name, defined):
        """Explains one undefined symbol of an object; `defined` are names that objects of this link define.

        Raises `NotPortable` for what only this process has.
        """
        if name in defined:
            return
        if name.startswith(UNRESOLVED):
            self._recursion(name, defined)
            return
        address = llvm.address_of_symbol(name)
        if name in intrinsics.INTR_MATH and _helperlib.c_helpers[name] == address:
            # Numba's helpers of these names only call the function of the same name in libm.
            self.libraries.add(self._library(name, "libm.so.6"))
        elif name in self._helpers and self._helpers[name][2] == address:
            module, key, _ = self._helpers[name]
            self._import(name, self._asked.item(module, "c_helpers", key))
        elif name.startswith("PyExc_") and self._holds_exception(name, address):
            # Numba binds the name to the exception, libpython exports a variable that points to it.
            self._import(name, {"load": {"symbol": name}})
        elif name in _HASH_SECRET:
            self._import(name, {"symbol": "_Py_HashSecret", "offset": _HASH_SECRET[name]})
        elif name in _LAYERS and threading_layer():
            self.layer = threading_layer()
            module = f"numba.np.ufunc.{_module_of(self.layer)}"
            self._import(name, self._asked.number(module, _LAYERS[name]))
        elif address and process.bound(name) == address:
            # Python itself and its libraries: whoever loads the result has them, or the link names the library.
            path = process.image_at(address)
            if path and not name.startswith(("Py", "_Py")):
                self.libraries.add(path)
        else:
            found = address and process.exported(address, name)
            if not found or found[0] != name:
                where = process.describe(address) if address else "bound to nothing"
                raise NotPortable(
                    f"{self._function}: the symbol {name} was given by this process alone ({where}); no library exports it"
                )
            self.libraries.add(found[1])

    def _recursion(self, name, defined):
        """Numba's variable for a function that was not compiled yet when another referred to it."""
        target = name[len(UNRESOLVED) :]
        if target not in defined:
            raise NotPortable(f"{self._function}: it calls {target} recursively, which is not part of its object")
        self.globals.append({"symbol": name, "init": {"symbol": target}})

    def _import(self, name, init):
        self.imports.append({"symbol": name, "init": init})

    def _library(self, name, default):
        address = process.bound(name, default)
        return process.image_at(address) if address else default

    @staticmethod
    def _holds_exception(name, address):
        import builtins

        return id(getattr(builtins, name[len("PyExc_") :], None)) == address


def _module_of(layer):
    return {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}[layer]
