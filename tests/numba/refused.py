"""What exists only in this process is refused by name, and nothing is written.

    refused.py FOLDER
"""
import ctypes
import os
import warnings

import functions
import relocfix_numba
from expect import folder, not_saved
from numba import float64, guvectorize, int64, jit, njit, objmode, stencil

library = os.environ["NUMBA_TEST_LIBRARY"]


# A callback into Python has no name elsewhere.
not_saved(["calls_back", "callback", "made of a Python function", "known={'callback'"], functions.calls_back, (float64,))

# Code that a C function of a library only points to.
lost = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(functions.capsules.library.numba_test_hidden())
del functions.capsules.__pyx_capi__["hidden"]


@njit
def calls_lost(x):
    return lost(x)


not_saved(["calls_lost", "lost", "which no library exports", os.path.basename(library)], calls_lost, (float64,))


def local():
    @njit(float64(float64))
    def square(x):
        return x * x

    @njit
    def chooses(i):
        return (square, functions.square)[i]

    return chooses


# Python functions passed as objects are found by import.
not_saved(["chooses", "square", "cannot be imported by name"], local(), (int64,))


@guvectorize(["(float64[:], float64[:])"], "(n)->(n)")
def generalized(x, result):
    result[:] = x


not_saved(["generalized", "jit, njit, cfunc and vectorize"], generalized, None)


@stencil
def averages(values):
    return 0.5 * (values[-1] + values[1])


not_saved(["averages", "jit, njit, cfunc and vectorize"], averages, None)


@jit(forceobj=True)
def in_object_mode(x):
    return str(x)


not_saved(["in_object_mode", "compiled in object mode"], in_object_mode, (float64,))

# A block in object mode is saved if Python can pickle it.
cos = functions.cos


@njit
def has_block(x):
    with objmode(y="float64"):
        y = cos(x)
    return y + cos(x)


not_saved(["has_block", "a block in object mode is such a thing"], has_block, (float64,))

# In the place of Numba's cache: what cannot be saved is compiled, with a warning.
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert relocfix_numba.cache(folder)(njit(calls_lost.py_func))(1.0) == 101.0
assert any("calls_lost: lost is at" in str(warning.message) for warning in caught), caught
print("ok")
