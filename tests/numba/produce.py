"""Compile the functions of `functions.py` in this process and save them for others.

    produce.py FOLDER FIRST END LINKER-FLAG…

FIRST and END say which, by their places in `functions.CALLS`.
Standard output: what the tests must know, as JSON: for each function its files and what its calls give here.
"""
import json
import os
import sys

import functions
from relocfix_numba import save

folder, first, end, *flags = sys.argv[1:]
library = os.environ["NUMBA_TEST_LIBRARY"]
saved = []
for name, signature, calls in functions.CALLS[int(first) : int(end)]:
    native = name in functions.NATIVE
    function = getattr(functions, name)
    stems = save(function, signature, folder, known=functions.KNOWN, link=[library], flags=flags, native=native)
    answers = [functions.answer(function, arguments) for arguments in calls]
    random = name in functions.RANDOM
    saved.append({"name": name, "stems": stems, "native": native, "answers": answers, "random": random})
json.dump(saved, sys.stdout, indent=1)
