"""A module that uses the cache, in the place of `cache=True`.

    cached.py FOLDER FACTOR

Prints what its functions give and how often each was loaded and compiled.
"""
import ctypes
import sys

from numba import njit
from relocfix_numba import cache

folder, FACTOR = sys.argv[1], float(sys.argv[2])
cos = ctypes.CDLL("libm.so.6").cos
cos.restype, cos.argtypes = ctypes.c_double, [ctypes.c_double]


@cache(folder)
@njit
def inner(x):
    if x < 0:
        raise ValueError("x is negative")
    return cos(x) * FACTOR


@cache(folder)
@njit
def outer(x):
    return inner(x) + 1


try:
    inner(-1.0)
except ValueError as error:
    print(error)
print(outer(0), outer(0.0))
hits = [sum(function.stats.cache_hits.values()) for function in (inner, outer)]
misses = [sum(function.stats.cache_misses.values()) for function in (inner, outer)]
print("loaded", hits, "compiled", misses)
