"""A module that offers a C function the way Cython's modules do: in a capsule, by no exported name."""
import ctypes
import os

library = ctypes.CDLL(os.environ["NUMBA_TEST_LIBRARY"])
library.numba_test_hidden.restype = ctypes.c_void_p

_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_SIGNATURE = b"double (double)"
__pyx_capi__ = {"hidden": _new(library.numba_test_hidden(), _SIGNATURE, None)}
