"""The Python objects that a compiled function can refer to: its globals and closure, and those of what it calls.

Numba writes addresses into its code without saying whose they are. They are found again among these objects.
"""
import ctypes
import hashlib
import importlib
import types as python

import numpy
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher
from numba.experimental.jitclass.base import JitClassType
from numba.np.ufunc.dufunc import DUFunc

from . import index


def python_function(compiled):
    """The Python function that a Numba function was made of."""
    if isinstance(compiled, CFunc):
        return compiled._pyfunc
    if isinstance(compiled, DUFunc):
        return compiled._dispatcher.py_func
    return compiled.py_func


class Reached:
    """Everything reached from a function, in the order of first mention: `(name, object)`, each object once."""

    def __init__(self, function):
        self.objects = []
        self._seen = set()
        self._kept = []
        self._function(function)

    def _function(self, function):
        codes, names = [function.__code__], []
        while codes:
            code = codes.pop(0)
            names += [name for name in code.co_names + code.co_freevars if name not in names]
            codes += [constant for constant in code.co_consts if isinstance(constant, python.CodeType)]
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
        for name in names:
            if name in cells:
                try:
                    self._add(name, cells[name].cell_contents, names)
                except ValueError:  # an empty cell
                    pass
            elif name in function.__globals__:
                self._add(name, function.__globals__[name], names)

    def _add(self, name, value, names):
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        self._kept.append(value)
        self.objects.append((name, value))
        if isinstance(value, (Dispatcher, CFunc, DUFunc)):
            self._function(python_function(value))
        elif isinstance(value, python.FunctionType):
            self._function(value)
        elif isinstance(value, JitClassType):
            for method, dispatcher in value.class_type.jit_methods.items():
                self._add(f"{name}.{method}", dispatcher, names)
        elif isinstance(value, (python.ModuleType, ctypes.CDLL)):
            # What is not in the dictionary would be made by looking.
            for attribute in names:
                if attribute in vars(value):
                    self._add(f"{name}.{attribute}", vars(value)[attribute], names)
        elif type(value).__module__ in ("cffi.api", "_cffi_backend") and "Lib" in type(value).__name__:
            for attribute in names:
                if attribute in dir(value):
                    self._add(f"{name}.{attribute}", getattr(value, attribute), names)
        elif isinstance(value, (tuple, list)):
            for index, item in enumerate(value):
                self._add(f"{name}[{index}]", item, names)


def _options(compiled):
    """What the decorator was told, as text that is the same in every process."""
    maker = compiled._compiler if isinstance(compiled, CFunc) else getattr(compiled, "_dispatcher", compiled)
    options = {
        name: sorted(value) if isinstance(value, (set, frozenset)) else value for name, value in maker.targetoptions.items()
    }
    return sorted((name, index.plain(repr(value))) for name, value in options.items())


def fingerprint(compiled):
    """A digest of the code of a Numba function and of all it calls, and of the constants that Numba compiles in.

    It is the same in every process: a saved function of another fingerprint was made from other source code.
    """
    digest = hashlib.sha256()
    function = python_function(compiled)

    def add(*parts):
        for part in parts:
            data = part if isinstance(part, bytes) else str(part).encode()
            digest.update(b"%d:" % len(data) + data)

    def add_code(code):
        add(code.co_code, code.co_names, code.co_varnames, code.co_freevars)
        for constant in code.co_consts:
            if isinstance(constant, python.CodeType):
                add_code(constant)
            elif isinstance(constant, (frozenset, set)):
                add(sorted(map(repr, constant)))
            else:
                add(repr(constant))

    add_code(function.__code__)
    add(*_options(compiled))
    for name, value in Reached(function).objects:
        add(name, type(value).__qualname__)
        if isinstance(value, (Dispatcher, CFunc, DUFunc)):
            add_code(python_function(value).__code__)
            add(*_options(value))
        elif isinstance(value, python.FunctionType):
            add_code(value.__code__)
        elif isinstance(value, numpy.ndarray) and not value.dtype.hasobject:
            add(value.dtype.str, value.shape, numpy.ascontiguousarray(value).tobytes())
        elif isinstance(value, (bool, int, float, complex, str, bytes, type(None), numpy.generic)):
            add(repr(value))
        elif isinstance(value, ctypes._CFuncPtr):
            add(getattr(value, "__name__", ""), value.restype, value.argtypes)
    return digest.hexdigest()


def importable(value):
    """`(module, attribute path)` under which any process can import an object; `None` if it cannot be."""
    named = python_function(value) if isinstance(value, (Dispatcher, CFunc, DUFunc)) else value
    module, path = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    if not module or not path or "<" in path:
        return None
    try:
        return (module, path) if imported(module, path) is value else None
    except (ImportError, AttributeError):
        return None


def imported(module, path):
    """The object at an attribute path of a module."""
    value = importlib.import_module(module)
    for name in path.split("."):
        value = getattr(value, name)
    return value
