"""Calling saved functions without Numba and without NumPy: the native entry, through ctypes.

Numbers are passed as Python's; arrays are anything with the buffer protocol, and returned as `Array`. What the function
raises is raised here, with its type and message.
"""
import ctypes
import os
import pickle

from . import index
from .errors import CacheError

_SCALARS = {
    "int8": ctypes.c_int8,
    "int16": ctypes.c_int16,
    "int32": ctypes.c_int32,
    "int64": ctypes.c_int64,
    "uint8": ctypes.c_uint8,
    "uint16": ctypes.c_uint16,
    "uint32": ctypes.c_uint32,
    "uint64": ctypes.c_uint64,
    "float32": ctypes.c_float,
    "float64": ctypes.c_double,
}

# Formats of the buffer protocol by type; `l` and `q` are the same size here.
_FORMATS = {
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "lq",
    "uint8": "B?",
    "uint16": "H",
    "uint32": "I",
    "uint64": "LQ",
    "float32": "f",
    "float64": "d",
}

_OK, _NONE, _STOP = 0, -2, -3


class _Exception(ctypes.Structure):
    """`excinfo_t` of numba/core/callconv.py; without arguments known only at run time, which need Python."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_int32),
        ("hash", ctypes.c_void_p),
        ("unwrap", ctypes.c_void_p),
        ("allocated", ctypes.c_int32),
    ]


class Array:
    """An array that a function returned: its memory, shape and strides; `bytes(memoryview(array.items))` copies it."""

    def __init__(self, library, kind, parts):
        self.shape, self.strides = tuple(parts.shape), tuple(parts.strides)
        self.type = kind["array"]
        self._block, self._library = parts.block, library
        count = 1
        for length in self.shape:
            count *= length
        if kind["layout"] not in "CF" and self.shape:
            raise CacheError(f"arrays of layout {kind['layout']} cannot be returned to ctypes")
        #: The elements in the order in which they lie in memory, as a ctypes array.
        self.items = (_SCALARS[self.type] * count).from_address(parts.data or ctypes.addressof(ctypes.c_int64()))

    @property
    def references(self):
        """How many hold the memory; `None` if nobody counts."""
        return self._library.relocfix_numba_references(self._block) if self._block else None

    def __del__(self):
        if getattr(self, "_block", None):
            self._library.relocfix_numba_release(self._block)


class Function:
    """One function of a saved library, for one signature."""

    def __init__(self, folder, entry):
        part = entry["native"]
        index.check_machine(entry, part)
        index.check_digest(entry, folder, part)
        self.__name__, self.signature = entry["name"], entry["signature"]
        self._kinds, self._result = part["types"]["arguments"], part["types"]["result"]
        self._library = ctypes.CDLL(os.path.join(os.path.abspath(folder), part["library"]))
        self._entry = self._library[entry["entry"]]
        self._entry.restype = ctypes.c_int32
        for name, kind in ("relocfix_numba_release", None), ("relocfix_numba_references", ctypes.c_size_t):
            if hasattr(self._library, name):  # only if it allocates
                function = getattr(self._library, name)
                function.argtypes, function.restype = [ctypes.c_void_p], kind

    def __call__(self, *arguments):
        if len(arguments) != len(self._kinds):
            raise TypeError(f"{self.__name__} takes {len(self._kinds)} arguments ({len(arguments)} given)")
        passed, kept = [], []
        for kind, argument in zip(self._kinds, arguments):
            passed += _passed(kind, argument, kept)
        result, exception = _storage(self._result), ctypes.POINTER(_Exception)()
        status = self._entry(ctypes.byref(result), ctypes.byref(exception), *passed)
        if status == _NONE:
            return None
        if status != _OK:
            raise _raised(self.__name__, status, exception)
        return self._returned(result)

    def _returned(self, result):
        if "complex" in self._result:
            return complex(result[0], result[1])
        if "array" in self._result:
            return Array(self._library, self._result, result)
        return None if "none" in self._result else result.value


def _array_parts(dimensions):
    class Parts(ctypes.Structure):
        _fields_ = [
            ("block", ctypes.c_void_p),
            ("parent", ctypes.c_void_p),
            ("items", ctypes.c_int64),
            ("item_size", ctypes.c_int64),
            ("data", ctypes.c_void_p),
            ("shape", ctypes.c_int64 * dimensions),
            ("strides", ctypes.c_int64 * dimensions),
        ]

    return Parts


def _storage(kind):
    if "scalar" in kind:
        return _SCALARS[kind["scalar"]]()
    if "complex" in kind:
        return (_SCALARS[kind["complex"]] * 2)()
    if "array" in kind:
        return _array_parts(kind["dimensions"])()
    return ctypes.c_void_p()


def _passed(kind, argument, kept):
    """The parts of an argument. `kept` gets what must live during the call."""
    if "scalar" in kind:
        if kind["scalar"].startswith("float"):
            return [_SCALARS[kind["scalar"]](argument)]
        number = _SCALARS[kind["scalar"]](argument)
        if number.value != int(argument):
            raise OverflowError(f"{argument} does not fit {kind['scalar']}")
        return [number]
    if "complex" in kind:
        part = _SCALARS[kind["complex"]]
        return [part(complex(argument).real), part(complex(argument).imag)]
    if "array" in kind:
        return _passed_array(kind, argument, kept)
    return [ctypes.c_void_p()]


class _Buffer(ctypes.Structure):
    """`Py_buffer` of CPython's C API."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


def _address(view):
    """Where the first element of a memory view is, writable or not."""
    get, release = ctypes.pythonapi.PyObject_GetBuffer, ctypes.pythonapi.PyBuffer_Release
    get.argtypes = [ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int]
    release.argtypes, release.restype = [ctypes.POINTER(_Buffer)], None
    buffer = _Buffer()
    get(view, ctypes.byref(buffer), 0x18 | 0x4)  # PyBUF_STRIDES | PyBUF_FORMAT
    release(ctypes.byref(buffer))
    return buffer.buf


def _passed_array(kind, argument, kept):
    if isinstance(argument, Array):
        kept.append(argument)
        argument = argument.items
    view = memoryview(argument)
    kept.append(view)
    if view.format.lstrip("<=@") not in tuple(_FORMATS[kind["array"]]):
        raise TypeError(f"an array of {kind['array']} is expected, not of format {view.format!r}")
    if view.ndim != kind["dimensions"]:
        raise TypeError(f"an array of {kind['dimensions']} dimensions is expected, not of {view.ndim}")
    if kind["layout"] == "C" and not view.c_contiguous or kind["layout"] == "F" and not view.f_contiguous:
        raise TypeError(f"an array of layout {kind['layout']} is expected")
    if kind["writable"] and view.readonly:
        raise TypeError("a writable array is expected")
    count = 1
    for length in view.shape:
        count *= length
    return [
        ctypes.c_void_p(),
        ctypes.c_void_p(),
        ctypes.c_int64(count),
        ctypes.c_int64(view.itemsize),
        ctypes.c_void_p(_address(view)),
        *map(ctypes.c_int64, view.shape),
        *map(ctypes.c_int64, view.strides),
    ]


def _raised(name, status, exception):
    if status == _STOP:
        return StopIteration()
    if status < 0 or not exception:
        return SystemError(f"{name}: status {status}, which only Python can explain")
    found = exception.contents
    try:
        kind, arguments, *_ = pickle.loads(ctypes.string_at(found.data, found.size))
    except Exception as error:  # a class of a module that is not here
        return RuntimeError(f"{name}: raised what cannot be made here: {error}")
    if kind is None:
        return RuntimeError(f"{name}: no exception to raise again")
    return kind(*(arguments or ()))


def load(folder, name=None):
    """The functions of a folder by name, for a Python without Numba; with `name`, only that one.

    A function saved for several signatures is there once for each, under `name(types)`; under its name alone is the first.
    Raises `Stale` if a file is not what was saved, or was made for another processor or other libraries.
    """
    functions = {}
    for function, saved in index.entries(folder, name).items():
        for _, entry in saved:
            if "native" in entry:
                made = Function(folder, entry)
                functions.setdefault(function, made)
                functions[f"{function}{entry['signature'].split(' -> ')[0]}"] = made
    if name is not None and name not in functions:
        raise CacheError(f"{name}: saved without native=True")
    return functions
