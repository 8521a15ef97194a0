"""README's example: functions that Numba does not cache, compiled in one process and called in another.

    example.py save
    example.py load
"""
import ctypes
import sys

import numpy
from numba import float64, njit
from relocfix_numba import load, save

cos = ctypes.CDLL("libm.so.6").cos
cos.restype, cos.argtypes = ctypes.c_double, [ctypes.c_double]
TABLE = numpy.arange(200_000) * 0.5


@njit
def table_cos(x):
    if x < 0:
        raise ValueError("x is negative")
    return cos(x) * TABLE[int(x)]


if sys.argv[1] == "save":
    save(table_cos, (float64,), "saved", native=True)
else:
    loaded = load("saved")["table_cos"]
    print(loaded(3.0))
    try:
        loaded(-1.0)
    except ValueError as error:
        print(error)
    print("compiled here:", len(table_cos.overloads))
