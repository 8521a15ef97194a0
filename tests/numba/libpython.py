"""Prints where this Python's C functions are: a shared library, or the interpreter itself."""
import ctypes

from relocfix_numba import process

print(process.image_at(process.address_of(ctypes.pythonapi.PyLong_AsVoidPtr)))
