"""What the addresses mean that Numba wrote into an object (`numba.dynamic.globals.<address>`).

Functions become symbols of their libraries, arrays copies of their bytes (or a symbol, on request), and Python objects
recipes that make the same object in another process. What has no meaning elsewhere is refused by its name.
"""
import ctypes
import sys
from dataclasses import dataclass, field

import numpy
import numpy.lib.array_utils
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher
from numba.core.typing import cffi_utils
from numba.experimental.jitclass import boxing
from numba.experimental.jitclass.base import JitClassType

from . import process, reach
from .errors import NotPortable

PREFIX = "numba.dynamic.globals."


@dataclass
class Array:
    """Bytes that arrays of this process share, to be copied."""

    name: str
    start: int
    end: int


@dataclass
class Meanings:
    """What the session map says about the addresses, and what else the library needs."""

    symbols: list = field(default_factory=list)
    values: list = field(default_factory=list)
    files: dict = field(default_factory=dict)
    libraries: set = field(default_factory=set)
    companions: list = field(default_factory=list)
    recipes: dict = field(default_factory=dict)


class Explainer:
    """Finds the meaning of addresses among what a function reaches.

    `known` says what the caller knows: by the name under which the function refers to it, or by address, the name of a
    symbol or an expression of the session map. `asked` collects expressions that ask Python; without it (`None`) Python
    objects are refused, and arrays have no owner.
    """

    def __init__(self, one, asked, known=None, stem="", object_table=None):
        self.found = Meanings()
        self._function = function = one.function
        self._blocks = {id(block): index for index, block in enumerate(one.result.lifted)}
        self._asked = asked
        self._known = dict(known or {})
        self._stem = stem
        self._object_table = object_table
        self._reached = reach.Reached(reach.python_function(function)).objects
        self._functions, self._identities, self._arrays = {}, {}, []
        for name, value in self._reached:
            self._index(name, value)
        self._done = set()

    def _index(self, name, value):
        self._identities.setdefault(id(value), (name, value))
        if isinstance(value, ctypes._CFuncPtr):
            self._functions.setdefault(process.address_of(value), (name, value))
        elif isinstance(value, CFunc):
            self._functions.setdefault(value.address, (name, value))
        elif isinstance(value, numpy.ndarray):
            if value.size:
                self._arrays.append(Array(name, *numpy.lib.array_utils.byte_bounds(value)))
        elif cffi_utils.SUPPORTED and cffi_utils.is_cffi_func(value):
            self._functions.setdefault(cffi_utils.get_pointer(value), (name, value))
        elif isinstance(value, JitClassType):
            for kind, boxed in boxing._cache_specialized_box.items():
                if kind is value.class_type.instance_type:
                    self._identities.setdefault(id(boxed), (name, value))

    def explain(self, address):
        """Adds the meaning of one address. Raises `NotPortable` if it has none in another process."""
        if address in self._done:
            return
        self._done.add(address)
        name, value = self._functions.get(address) or self._identities.get(address) or (None, None)
        array = next((array for array in self._arrays if array.start <= address < array.end), None)
        known = self._known.get(address)
        if known is None and not isinstance(value, numpy.ndarray):
            known = self._known.get(array.name if array else name)
        if known is not None:
            self._say(array.name if array else name or f"known_{len(self._done)}", address, known, array)
        elif address in self._functions:
            self._function_address(name, value, address)
        elif array:
            self._array(array)
        elif address in self._blocks and self._asked:
            self._recipe(f"block {self._blocks[address]}", address, ["block", self._blocks[address]])
        elif address in self._identities:
            self._object(name, value, address)
        else:
            self._unreached(address)

    def _say(self, name, address, known, array):
        init = {"symbol": known} if isinstance(known, str) else known
        entry = {"name": name, "address": hex(address), "init": init}
        if array:
            entry.update(address=hex(array.start), size=array.end - array.start)
        if entry not in self.found.values:
            self.found.values.append(entry)

    def _function_address(self, name, value, address):
        if isinstance(value, CFunc):
            self._companion(value)
            return
        if isinstance(value, ctypes._CFuncPtr) and _is_thunk(value):
            raise NotPortable(
                f"{self._called}: {name} is a ctypes callback made of a Python function; its code is only in this process. "
                f"Say what it is elsewhere: known={{{name!r}: …}}"
            )
        found = process.exported(address, getattr(value, "__name__", None))
        if found:
            self._symbol(address, *found)
        elif not self._callback_of_module(address) and not self._capsule(address):
            raise NotPortable(
                f"{self._called}: {name} is at {address:#x} ({process.describe(address)}), which no library exports. "
                f"Say what it is elsewhere: known={{{name!r}: …}}"
            )

    def _companion(self, callback):
        """A `@cfunc`: its code is an object of its own, which is linked too."""
        self.found.companions.append(callback)
        self.found.symbols.append({"address": hex(callback.address), "name": callback.native_name})

    def _callback_of_module(self, address):
        """A ctypes function for a `@cfunc` that the function itself does not mention, but its module does."""
        for value in reach.python_function(self._function).__globals__.values():
            if isinstance(value, CFunc) and value.address == address:
                self._companion(value)
                return True
        return False

    def _symbol(self, address, name, path):
        self.found.symbols.append({"address": hex(address), "name": name, "library": path.rsplit("/", 1)[-1]})
        self.found.libraries.add(path)

    def _capsule(self, address):
        """A function that a Cython module offers to others without exporting it."""
        for module in sorted(name for name, module in sys.modules.items() if hasattr(module, "__pyx_capi__")):
            for key, capsule in sys.modules[module].__pyx_capi__.items():
                signature = _capsule_name(capsule)
                if self._asked and _capsule_pointer(capsule, signature) == address:
                    init = self._asked.capsule(module, "__pyx_capi__", key, signature.decode())
                    self.found.values.append({"name": f"{module}.{key}", "address": hex(address), "init": init})
                    return True
        return False

    def _array(self, array):
        # Arrays may be parts of each other: what overlaps is copied as one.
        start, end = array.start, array.end
        while True:
            parts = [other for other in self._arrays if other.start < end and start < other.end]
            lowest, highest = min(part.start for part in parts), max(part.end for part in parts)
            if (lowest, highest) == (start, end):
                break
            start, end = lowest, highest
        name = parts[0].name
        entry = {"name": name, "address": hex(start), "size": end - start}
        if not any(value["name"] == name for value in self.found.values):
            file = f"{self._stem}.{len(self.found.files)}.bin"
            self.found.files[file] = ctypes.string_at(start, end - start)
            self.found.values.append({**entry, "init": {"bytes": {"file": file}}})

    def _object(self, name, value, address):
        if isinstance(value, numpy.ndarray):
            # The owner of an array's data. Here nobody owns it: it stays as long as the library, that is for good.
            self.found.values.append({"name": f"{name} owner", "address": hex(address), "init": {"int": 0}})
            return
        if self._asked is None:
            raise NotPortable(f"{self._called}: {name} is a Python object ({type(value).__name__}), and there is to be no Python")
        place = reach.importable(value)
        boxed = isinstance(value, JitClassType) and address != id(value)
        if place is None or not (boxed or isinstance(value, (Dispatcher, CFunc))):
            raise NotPortable(
                f"{self._called}: {name} is a Python object ({type(value).__name__}) of this process that cannot be imported "
                "by name; define it at the top of a module"
            )
        self._recipe(name, address, ["box" if boxed else "import", *place])

    def _recipe(self, name, address, recipe):
        """A Python object that the loading process makes and hands to the library."""
        key = f"{self._stem}:{len(self.found.recipes)}"
        self.found.recipes[key] = recipe
        init = self._asked.object(*self._object_table, key)
        self.found.values.append({"name": f"{name} object", "address": hex(address), "init": init})

    def _unreached(self, address):
        """An address that comes from what a library of compiled functions refers to: a function with a name, or none."""
        found = process.exported(address)
        if found:
            self._symbol(address, *found)
        elif not self._capsule(address):
            block = "; a block in object mode is such a thing if its globals cannot be pickled" if self._blocks else ""
            raise NotPortable(
                f"{self._called}: its code holds the address {address:#x} ({process.describe(address)}), and nothing that "
                f"the function refers to by name is there{block}"
            )

    @property
    def _called(self):
        return reach.python_function(self._function).__qualname__


def _is_thunk(function):
    """Whether a ctypes function is a callback into Python: then it keeps libffi's closure alive."""
    return any(type(kept).__name__ == "CThunkObject" for kept in (function._objects or {}).values())


def _capsule_name(capsule):
    name = ctypes.pythonapi.PyCapsule_GetName
    name.argtypes, name.restype = [ctypes.py_object], ctypes.c_char_p
    return name(capsule)


def _capsule_pointer(capsule, signature):
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.argtypes, pointer.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p
    return pointer(capsule, signature)
