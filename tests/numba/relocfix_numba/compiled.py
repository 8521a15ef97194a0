"""What Numba made of a function, of each kind that can be saved: the code, its entry, and what Python keeps of it."""
from dataclasses import dataclass, field

from numba.core import sigutils
from numba.core.ccallback import CFunc
from numba.core.codegen import CodeLibrary
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.dispatcher import Dispatcher
from numba.core.typing import signature as numba_signature
from numba.np.numpy_support import as_dtype
from numba.np.ufunc.dufunc import DUFunc
from numba.np.ufunc.wrappers import build_ufunc_wrapper
from numba.stencils.stencil import StencilFunc

from .errors import NotPortable
from .reach import python_function


@dataclass
class Compiled:
    """One function for one signature."""

    kind: str
    function: object
    result: CompileResult
    #: The code that is linked, and a function that must be in it.
    library: CodeLibrary
    entry: str
    #: What the index says about it besides.
    details: dict = field(default_factory=dict)

    @property
    def name(self):
        return python_function(self.function).__qualname__

    @property
    def module(self):
        return python_function(self.function).__module__

    @property
    def signature(self):
        return self.result.signature


def compiled(function, signature):
    """Compiles a function for a signature, and gives what there is to save: a list, in order.

    `None` stands for the signature of a `@cfunc`, and for all compiled loops of a `@vectorize`.
    """
    if isinstance(function, Dispatcher):
        arguments, _ = sigutils.normalize_signature(signature)
        function.compile(signature)
        return [of_result(function, function.overloads[tuple(arguments)])]
    if isinstance(function, CFunc):
        return [_of_cfunc(function)]
    if isinstance(function, DUFunc):
        if signature is not None:
            function.add(signature)
        return [_of_loop(function, result, order) for order, result in enumerate(function._dispatcher.overloads.values())]
    # The repr of a stencil does not say which it is.
    name = function.kernel_ir.func_id.func_qualname if isinstance(function, StencilFunc) else repr(function)
    raise NotPortable(f"{name} is none of the functions that can be saved: those of jit, njit, cfunc and vectorize")


def of_result(function, result):
    """A signature of a dispatcher."""
    name = python_function(function).__qualname__
    if result.objectmode:
        raise NotPortable(f"{name}: compiled in object mode, that is, a Python function still")
    if any(not lifted.can_cache for lifted in result.lifted):
        raise NotPortable(f"{name}: it has a block in object mode, whose Python code cannot be saved")
    return Compiled("jit", function, result, result.library, result.fndesc.llvm_func_name)


def _of_cfunc(function):
    # It does not keep its descriptor.
    with global_compiler_lock:
        result = function._compiler.compile(function._sig.args, function._sig.return_type)
        result.library._ensure_finalized()
    return Compiled("cfunc", function, result, result.library, result.fndesc.llvm_cfunc_wrapper_name)


def _of_loop(function, result, order):
    """One loop of a NumPy ufunc over elements."""
    elements = numba_signature(result.signature.return_type, *result.signature.args)
    with global_compiler_lock:
        loop = build_ufunc_wrapper(
            result.library, result.target_context, result.fndesc.llvm_func_name, elements, result.objectmode, result
        )
        loop.library._ensure_finalized()
    dtypes = [as_dtype(kind).num for kind in (*elements.args, elements.return_type)]
    details = {"order": order, "dtypes": dtypes, "identity": function.identity}
    return Compiled("ufunc", function, result, loop.library, loop.name, details)
