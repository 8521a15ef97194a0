"""Saved Numba functions: compiled in one process, called in others, with what Numba's own cache refuses.

`save(function, signature, folder)` writes a shared library made by relocfix and the system's linker; `load(folder)` gives the
functions back in any process with the same Numba, whatever its addresses and its hash seed; `native.load(folder)` in a
Python without Numba. `cache(folder)` does both for a function as it is called, in the place of `cache=True`.

Functions of ctypes and cffi are found again by library and name, arrays too large for Numba to compile in are copied, Numba's
own helpers are asked for when the library is loaded. What exists only in this process is refused by name (`NotPortable`), and
what was saved for other versions, libraries or processors is too (`Stale`).
"""
from .errors import CacheError, NotPortable, Stale

__all__ = ["CacheError", "NotPortable", "Stale", "cache", "load", "save"]


def __getattr__(name):
    # Late, so that `native` can be imported where there is no Numba.
    if name == "save":
        from .saving import save as found
    elif name == "load":
        from .loading import load as found
    elif name == "cache":
        from .dropin import cache as found
    else:
        raise AttributeError(name)
    return found
