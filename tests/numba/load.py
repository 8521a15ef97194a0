"""Load a library made of rewritten objects into a Python that has no Numba, and ask its functions.

    load.py LIBRARY RESULTS.json
"""
import ctypes
import importlib.util
import json
import sys

assert importlib.util.find_spec("numba") is None, "this Python was to have no Numba"
library = ctypes.CDLL(sys.argv[1])
python_library = ctypes.PyDLL(sys.argv[1])
with open(sys.argv[2]) as file:
    results = json.load(file)
for result in results:
    # Numba's convention: the result's address, the exception's address, the arguments; the return value is a status.
    native = library[result["native"]]
    native.restype = ctypes.c_int
    argument = {"double": ctypes.c_double, "long": ctypes.c_long}[result["type"]](result["argument"])
    answer, exception = ctypes.c_double(), ctypes.c_void_p()
    status = native(ctypes.byref(answer), ctypes.byref(exception), argument)
    assert status == 0, (result["name"], status)
    assert answer.value == result["answer"], (result["name"], answer.value, result["answer"])

    # Its wrapper misses Numba's environment and says so: with the exception object, not libpython's variable.
    wrapper = python_library[result["wrapper"]]
    wrapper.restype = ctypes.py_object
    wrapper.argtypes = [ctypes.py_object] * 3
    try:
        wrapper(None, (result["argument"],), None)
    except RuntimeError as error:
        assert "missing Environment" in str(error), error
    else:
        raise AssertionError("the wrapper was to raise")
print("ok")
