"""What Python must know about a saved function, pickled: Numba's own cache does the same.

Functions and classes that a module's Numba functions and jitclasses were made of are pickled by the name of those: by
value, Numba would take all their globals along, ctypes functions too, which cannot be pickled.
"""
import copy
import io
import types as python

import numba.core.serialize
from numba.core import types
from numba.core.environment import lookup_environment

from . import reach, runtime
from .errors import NotPortable


class _Pickler(numba.core.serialize.NumbaPickler):
    def reducer_override(self, value):
        if isinstance(value, python.FunctionType):
            place = _of_compiled(value)
            if place:
                return function_at, place
        elif isinstance(value, (types.ClassType, types.ClassInstanceType)):
            place = class_place(value)
            if place is None:
                raise NotPortable(f"the jitclass {value.name} cannot be imported by name; define it at the top of a module")
            return class_type_at, (*place, isinstance(value, types.ClassInstanceType))
        return super().reducer_override(value)


def _of_compiled(function):
    """`(module, path)` of the Numba function that was made of a Python function and has taken its name."""
    try:
        compiled = reach.imported(function.__module__, function.__qualname__)
    except (ImportError, AttributeError, TypeError):
        return None
    is_it = getattr(compiled, "py_func", None) is function
    return (function.__module__, function.__qualname__) if is_it else None


def function_at(module, path):
    """The Python function of the Numba function of that name."""
    return reach.imported(module, path).py_func


def class_place(kind):
    """`(module, path)` of the jitclass of a Numba type; `None` if it cannot be imported."""
    class_type = kind.class_type if isinstance(kind, types.ClassInstanceType) else kind
    for method in class_type.jit_methods.values():
        module, path = method.py_func.__module__, method.py_func.__qualname__.rpartition(".")[0]
        try:
            if reach.imported(module, path).class_type is class_type:
                return module, path
        except (ImportError, AttributeError):
            pass
    return None


def class_type_at(module, path, instance):
    """Numba's type of a jitclass, or of its instances."""
    class_type = reach.imported(module, path).class_type
    return class_type.instance_type if instance else class_type


def dumps(compiled):
    """The pickled state of what is saved."""
    result, library = compiled.result, compiled.library
    descriptor = copy.copy(result.fndesc)
    descriptor.typemap = descriptor.calltypes = None
    environments = [
        found
        for variable in library._final_module.global_variables
        if variable.name.startswith(runtime.ENVIRONMENT)
        and (found := lookup_environment(variable.name)) is not None
        and found.can_cache()
    ]
    state = {
        "fndesc": descriptor,
        "environment": result.environment,
        "environments": environments,
        "signature": result.signature,
        "lifted": result.lifted,
        "annotation": str(result.type_annotation),
        "reload_init": result.reload_init,
    }
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=4).dump(state)
    except NotPortable as error:
        raise NotPortable(f"{compiled.name}: {error}") from error
    except Exception as error:  # whatever an object's own pickling raises
        raise NotPortable(f"{compiled.name}: what Python must know about it cannot be pickled: {error}") from error
    return buffer.getvalue()
