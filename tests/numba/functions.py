"""Functions that the tests save in one process and call in others, with arguments and signatures.

Each holds something that Numba's own cache refuses, or that only a running Numba has.
"""
import ctypes

import capsules
import cffi
import numpy
from numba import cfunc, complex128, float64, int64, njit, objmode, prange, types, vectorize
from numba.experimental import jitclass
from numba.extending import get_cython_function_address

libm, libc = ctypes.CDLL("libm.so.6"), ctypes.CDLL("libc.so.6")
cos, labs = libm.cos, libc.labs
cos.restype, cos.argtypes = ctypes.c_double, [ctypes.c_double]
labs.restype, labs.argtypes = ctypes.c_long, [ctypes.c_long]

ffi = cffi.FFI()
ffi.cdef("double hypot(double, double); double sin(double);")
hypot, sin = (getattr(ffi.dlopen("libm.so.6"), name) for name in ("hypot", "sin"))

hidden = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(get_cython_function_address("capsules", "hidden"))


@ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
def callback(x):
    return x * 3.0 + 0.25


TABLE = numpy.arange(200_000) * 0.5  # Numba refers to arrays of more than a megabyte by their address
PART = TABLE[1000:180_000]
STRIDED = numpy.arange(20.0)[::-2]  # and to those that are not contiguous
NAMED = numpy.array([1.0, 0.0, 2.0, 0.0, 4.0, 0.0, 8.0])[::2]  # the bytes of a table that a library has


@njit
def calls(x):
    return cos(x) + sin(x * 2) + hypot(x, 2.0) + labs(-5)


@njit
def calls_back(x):
    return callback(x) + cos(x)


@njit
def calls_hidden(x):
    return hidden(x) + cos(x)


@njit
def reads(i):
    return TABLE[i] + PART[i + 1] + PART.sum() + STRIDED[i]


@njit
def reads_named(i):
    return NAMED[i]


@njit
def returns_table():
    return TABLE


@njit
def raises(x):
    if x < 0:
        raise ValueError("x is negative")
    if x > 100:
        raise IndexError("x is out of range")
    return cos(x) / x


@njit
def raises_value(i):
    if i > 3:
        raise ValueError("too large", i)
    return labs(i)


@njit
def allocates(n):
    result = numpy.empty(n)
    for i in range(n):
        result[i] = TABLE[i] + cos(i)
    return result


@njit
def adds(first, second):
    return first + second + TABLE[: first.size]


@njit
def text(string):
    letters = set()
    for letter in string:
        letters.add(letter)
    return string + str(len(letters) + labs(-3)), hash(string + "!")


@njit
def collects(n):
    table = {}
    for i in range(n):
        table[i] = cos(i)
    return [i * 2 for i in range(n)], table


@njit
def recurses(n):
    return labs(n) if n < 2 else recurses(n - 1) + recurses(n - 2)


@njit
def even(n):
    return True if n == 0 else odd(n - 1)


@njit
def odd(n):
    return False if n == 0 else even(n - labs(-1))


@njit
def generates(n):
    for i in range(n):
        yield i * cos(i)


@njit(parallel=True)
def parallel(values):
    total = 0.0
    for i in prange(values.size):
        total += cos(values[i])
    return total


@cfunc("float64(float64)")
def c_callback(x):
    return x * 2 + cos(x)


c_pointer = c_callback.ctypes


@njit
def calls_callback(x):
    return c_callback(x) + c_pointer(x)


@vectorize(["float64(float64, float64)", "int64(int64, int64)"])
def elements(x, y):
    return labs(int(x)) + y


@njit(float64(float64))
def square(x):
    return x * x


@njit
def applies(function, x):
    return function(x) + cos(x)


@jitclass([("x", float64)])
class Point:
    def __init__(self, x):
        self.x = x

    def value(self):
        return self.x + cos(self.x)


@njit
def moves(point):
    return Point(point.value() * 2)


@njit
def varies(z):
    if z.real < 0:
        return None
    return z * cos(z.real)



@njit
def asks_python(x):
    with objmode(y="float64"):
        y = float(str(x)[::-1])
    return y + TABLE[3]


# Name, signature, and the arguments of several calls. What comes out is looked at by `answer`.
CALLS = [
    ("calls", (float64,), [(0.5,), (3.0,)]),
    ("calls_back", (float64,), [(0.5,)]),
    ("calls_hidden", (float64,), [(0.5,)]),
    ("reads", (int64,), [(0,), (9,)]),
    ("reads_named", (int64,), [(3,)]),
    ("returns_table", (), [()]),
    ("raises", (float64,), [(1.0,), (-1.0,), (101.0,), (0.0,)]),
    ("raises_value", (int64,), [(-3,), (4,)]),
    ("allocates", (int64,), [(5,), (0,)]),
    ("adds", (float64[::1], float64[::1]), [(numpy.ones(3), numpy.arange(3.0))]),
    ("text", (types.unicode_type,), [("aüb",), ("",)]),
    ("collects", (int64,), [(3,)]),
    ("recurses", (int64,), [(10,)]),
    ("odd", (int64,), [(7,)]),
    ("generates", (int64,), [(4,)]),
    ("parallel", (float64[::1],), [(numpy.arange(100.0),)]),
    ("c_callback", None, [(0.5,)]),
    ("calls_callback", (float64,), [(0.5,)]),
    ("elements", None, [(numpy.arange(-3.0, 3.0), 0.5), (numpy.arange(-3, 3), 5)]),
    ("applies", (types.FunctionType(float64(float64)), float64), [(square, 3.0)]),
    ("moves", (Point.class_type.instance_type,), [(Point(2.0),)]),
    ("asks_python", (float64,), [(1.5,)]),
    ("varies", (complex128,), [(1 + 2j,), (-1 + 0j,)]),
]

# Those whose native entry needs no Python.
NATIVE = ["calls", "calls_back", "reads", "reads_named", "raises", "allocates", "adds", "recurses"]

# Numba gives a block in object mode a random identity, by which a process knows it again.
RANDOM = ["asks_python"]

# What the process cannot know: names that a library has.
KNOWN = {"callback": "numba_test_callback", "NAMED": "numba_test_table"}


def answer(function, arguments):
    """What a call gives, as text: the value, or the exception's type and message."""
    function = getattr(function, "ctypes", function)
    try:
        value = function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error.args}"
    if hasattr(value, "__next__"):
        value = list(value)
    if isinstance(value, numpy.ndarray):
        return f"{value.dtype}{value.shape}: {value[:6].tolist()}"
    if isinstance(value, tuple):
        value = tuple(dict(item) if "Dict" in type(item).__name__ else item for item in value)
    return repr(value.value() if isinstance(value, Point) else value)
