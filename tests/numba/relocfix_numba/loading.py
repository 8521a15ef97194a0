"""Loading saved functions into a process with Numba: called with Python's objects, or by other compiled functions."""
import ctypes
import importlib
import os
import pickle
import threading

import llvmlite.binding as llvm
from numba import _dynfunc, njit
from numba.core import types
from numba.core.codegen import CodeLibrary
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.sigutils import normalize_signature
from numba.core.typing.ctypes_utils import to_ctypes
from numba.experimental.jitclass import boxing
from numba.np.ufunc import _internal
from numba.np.ufunc.ufuncbuilder import parse_identity

from . import environment, index, object_table, reach, runtime
from .errors import CacheError, Stale

_lock = threading.RLock()
_opened = {}


class LoadedLibrary(CodeLibrary):
    """A shared library in the place of code that Numba compiled: other compiled functions call into it by address."""

    def __init__(self, codegen, name, folder, stem, library):
        super().__init__(codegen, name)
        self.folder, self.stem, self.library = folder, stem, library
        self._finalized = True

    def add_linking_library(self, library):
        self._raise_if_finalized()

    def add_ir_module(self, ir_module):
        self._raise_if_finalized()

    def finalize(self):
        self._raise_if_finalized()

    def _get_module_for_linking(self):
        return llvm.parse_assembly(str(self._codegen._create_empty_module(self.name)))

    def get_function(self, name):
        raise NameError(f"{name}: the function was loaded as machine code")

    def get_llvm_str(self):
        return "; loaded as machine code\n"

    def get_asm_str(self):
        return "# loaded as machine code\n"

    def get_pointer_to_function(self, name):
        try:
            return ctypes.cast(self.library[name], ctypes.c_void_p).value
        except AttributeError:
            return 0


def open_library(path):
    """Loads a library whose initializer calls Python. `ctypes.CDLL(path)` need not hold Python's lock meanwhile."""
    dlopen, dlerror = (ctypes.PyDLL(None)[name] for name in ("dlopen", "dlerror"))
    dlopen.argtypes, dlopen.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
    dlerror.restype = ctypes.c_char_p
    handle = dlopen(os.fsencode(path), os.RTLD_NOW | os.RTLD_LOCAL)
    if not handle:
        raise CacheError(os.fsdecode(dlerror() or path.encode()))
    return ctypes.CDLL(path, handle=handle)


def load(folder, name=None):
    """The functions of a folder by name; with `name`, only that one. None of them compiles anything.

    What `@njit` made is a Numba dispatcher again, with all signatures saved, what `@vectorize` made a NumPy ufunc with all
    loops saved, and what `@cfunc` made a `Callback`.
    A function that several modules have is there as `module.name`. Raises `Stale` if a function was made by another
    Numba, for another processor or with other libraries. Part of an entry is pickled, and pickles can do anything: load
    only what you trust.
    """
    made = {}
    for function, saved in index.entries(folder, name).items():
        results = [(entry, load_result(folder, stem, entry)) for stem, entry in saved]
        made[function] = _MAKERS[saved[0][1]["kind"]](results)
    return made


def load_result(folder, stem, entry):
    """The compilation result of one entry, with its library loaded."""
    index.check_numba(entry, environment.made_with())
    part, folder = entry["boxed"], os.path.realpath(folder)
    path = os.path.join(folder, part["library"])
    with _lock:
        if path not in _opened:
            _opened[path] = _load_result(folder, stem, entry, part, path)
        return _opened[path]


def _load_result(folder, stem, entry, part, path):
    index.check_machine(entry, part)
    index.check_digest(entry, folder, part)
    for required in part["requires"]:
        load_result(folder, required, index.read(folder, required))
    context = cpu_target.target_context
    context.refresh()
    with open(os.path.join(folder, f"{stem}.pickle"), "rb") as file:
        state = pickle.load(file)
    for start in state["reload_init"]:
        start()
    if part["layer"] not in (None, runtime.threading_layer()):
        raise Stale(f"{entry['name']}: made for the threading layer {part['layer']}; here it is {runtime.threading_layer()}")
    _check_needs(entry, part["needs"])
    objects = {key: _made(entry, state, *recipe) for key, recipe in part["recipes"].items()}
    object_table.table.update(objects)
    try:
        opened = open_library(path)
    finally:
        for key in objects:
            del object_table.table[key]
    opened.relocfix_objects = objects
    descriptor = state["fndesc"]
    library = LoadedLibrary(context.codegen(), entry["name"], folder, stem, opened)
    for found in [state["environment"], *state["environments"]]:
        _set_environment(opened, found)
    llvm.add_symbol(descriptor.llvm_func_name, library.get_pointer_to_function(descriptor.llvm_func_name))
    return CompileResult(
        typing_context=cpu_target.typing_context,
        target_context=context,
        entry_point=_entry_point(library, descriptor, state["environment"]),
        typing_error=None,
        type_annotation=state["annotation"],
        signature=state["signature"],
        objectmode=False,
        lifted=state["lifted"],
        fndesc=descriptor,
        library=library,
        call_helper=None,
        environment=state["environment"],
        metadata=None,
        reload_init=state["reload_init"],
        referenced_envs=state["environments"],
    )


def _entry_point(library, descriptor, found):
    """The Python function; `None` for what has no wrapper (a `@cfunc`)."""
    wrapper = library.get_pointer_to_function(descriptor.llvm_cpython_wrapper_name)
    if not wrapper:
        return None
    documentation = f"compiled wrapper for {descriptor.qualname!r}"
    name = descriptor.qualname.split(".")[-1]
    kept = (library, found)
    return _dynfunc.make_function(descriptor.lookup_module(), name, documentation, wrapper, found, kept)


def _set_environment(library, found):
    """Numba's code reads its environment, with the constants of its Python side, from a variable of the library."""
    try:
        variable = ctypes.c_void_p.in_dll(library, found.env_name)
    except ValueError:  # nothing reads it
        return
    variable.value = id(found)


def _check_needs(entry, needs):
    """Looks for all that the initializer will ask for: there it could only abort the process."""
    for module, attribute, key in needs:
        try:
            value = getattr(importlib.import_module(module), attribute)
            if key is not None:
                value[key]
        except (ImportError, AttributeError, KeyError) as error:
            raise Stale(f"{entry['name']}: {module}.{attribute}{f'[{key!r}]' if key else ''} is not here: {error}") from error


def _made(entry, state, kind, *place):
    """A Python object that code refers to, by its recipe in the index."""
    if kind == "block":  # a block in object mode, by its number
        return state["lifted"][place[0]]
    try:
        value = reach.imported(*place)
    except (ImportError, AttributeError) as error:
        raise Stale(f"{entry['name']}: it refers to {'.'.join(place)}, which is not here: {error}") from error
    return boxing._specialize_box(value.class_type.instance_type) if kind == "box" else value


def _dispatcher(entries):
    """A dispatcher with the names of the function's parameters and nothing to compile."""
    descriptor = entries[0][1].fndesc
    name = descriptor.qualname.split(".")[-1]
    parameters = ", ".join(parameter.removeprefix("arg.") for parameter in descriptor.args)
    namespace = {"__name__": descriptor.modname}
    exec(f"def {name}({parameters}): ...", namespace)
    dispatcher = njit(namespace[name])
    for _, result in entries:
        result.target_context.insert_user_function(result.entry_point, result.fndesc, [result.library])
        dispatcher.add_overload(result)
    # With compilation disabled, Numba would convert arguments without regard to what is lost, and call more slowly.
    dispatcher._cache = _OnlySaved(dispatcher, [result for _, result in entries])
    return dispatcher


class _OnlySaved:
    """Asked by a dispatcher for a signature that was not saved, before it compiles one."""

    cache_path = None

    def __init__(self, dispatcher, results):
        self._dispatcher, self._results = dispatcher, results

    def load_overload(self, signature, target_context):
        """The saved result that fits, if the function is given functions; else `TypeError`: there is nothing to compile."""
        given, _ = normalize_signature(signature)
        for result in self._results:
            wanted = result.signature.args
            if len(given) == len(wanted) and all(map(self._fits, given, wanted)):
                # From now on the dispatcher knows these types.
                self._dispatcher._insert([kind._code for kind in given], result.entry_point, False)
                return result
        saved = ", ".join(str(result.signature) for result in self._results)
        raise TypeError(f"{self._dispatcher.__name__} was saved for {saved}; called with {given}")

    @staticmethod
    def _fits(given, wanted):
        function = isinstance(wanted, types.FunctionType)
        return given == wanted or function and cpu_target.typing_context.can_convert(given, wanted) is not None


def _ufunc(entries):
    """A NumPy ufunc of the loops, in the order in which they were made: NumPy takes the first that fits."""
    entries = sorted(entries, key=lambda entry: entry[0]["details"]["order"])
    details = entries[0][0]["details"]
    loops = [result.library.get_pointer_to_function(f"__ufunc__.{result.fndesc.llvm_func_name}") for _, result in entries]
    dtypes = [entry["details"]["dtypes"] for entry, _ in entries]
    kept = [(result.library, result.environment) for _, result in entries]
    return _internal.fromfunc(
        entries[0][0]["name"],
        None,
        loops,
        dtypes,
        len(dtypes[0]) - 1,
        1,
        [None] * len(loops),
        kept,
        parse_identity(details["identity"]),
    )


class Callback:
    """A saved `@cfunc`."""

    def __init__(self, entries):
        entry, result = entries[0]
        self.__name__ = entry["name"]
        self._result = result
        #: The address of the C function.
        self.address = result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)

    @property
    def ctypes(self):
        """A ctypes function for it."""
        signature = self._result.signature
        kinds = [None if kind == types.none else to_ctypes(kind) for kind in (signature.return_type, *signature.args)]
        return ctypes.CFUNCTYPE(*kinds)(self.address)


_MAKERS = {"jit": _dispatcher, "ufunc": _ufunc, "cfunc": Callback}


def requirement(path):
    """`(folder, stem)` of the entry whose library was loaded from `path`; `None` for other files."""
    result = _opened.get(os.path.realpath(path))
    return result and (result.library.folder, result.library.stem)
