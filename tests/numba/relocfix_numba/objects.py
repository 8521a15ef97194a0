"""Relocatable objects of what Numba compiled.

Numba hands modules of LLVM code to its linker in memory. The same code generator makes an object file of such a module
here: the whole module, or only what the native entry of a function needs, without the wrappers that Python calls.
"""
import llvmlite.binding as llvm

from . import elf
from .errors import NotPortable

# Numba's code starts on a page. How fast a loop runs depends on where it lies in blocks of so many bytes, which a processor
# fetches and keeps together.
_BLOCK = 64


def whole(library, entry):
    """The object of all that a code library of Numba defines. `entry` is a function that must be in it."""
    return _emit(library, _module(library, entry))


def native(library, entry):
    """The object of the function `entry` and what it calls."""
    module = _module(library, entry)
    for function in module.functions:
        if not function.is_declaration and function.name != entry:
            function.linkage = "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    builder = llvm.create_pass_builder(library.codegen._tm, llvm.create_pipeline_tuning_options(speed_level=0))
    passes.run(module, builder)
    return _emit(library, module)


def _module(library, entry):
    library._ensure_finalized()
    module = library._final_module.clone()
    if not any(function.name == entry and not function.is_declaration for function in module.functions):
        raise NotPortable(f"{entry}: its code was loaded from Numba's own cache; compile it without cache=True")
    return module


def _emit(library, module):
    return elf.with_code_aligned(library.codegen._tm.emit_object(module), _BLOCK)
