"""A native entry that would need Python is refused by name, and a link that fails says why.

    refused_native.py FOLDER
"""
import os

import functions
import relocfix_numba
from expect import folder, not_saved, refused
from numba import float64, int64, types

# A native entry is to need no Python.
not_saved(["raises_value", "still needs Python"], functions.raises_value, (int64,), native=True)
not_saved(["text", "unicode_type", "no form outside Numba"], functions.text, (types.unicode_type,), native=True)

# A program that is not there, and a link that fails.
refused(relocfix_numba.CacheError, ["no_such_file.o"], functions.calls, (float64,), folder, link=["no_such_file.o"])
os.environ["RELOCFIX"], kept = "/no/such/program", os.environ["RELOCFIX"]
refused(relocfix_numba.CacheError, ["/no/such/program"], functions.calls, (float64,), folder)
os.environ["RELOCFIX"] = kept
assert os.listdir(folder) == []
print("ok")
