"""Call saved functions in this process, which has Numba and compiles nothing.

    load.py FOLDER SAVED.json
"""
import gc
import json
import sys

import functions
import numpy
import relocfix_numba
from numba import njit
from numba.core.dispatcher import Dispatcher
from numba.core.runtime import rtsys

folder = sys.argv[1]
with open(sys.argv[2]) as file:
    saved = {entry["name"]: entry for entry in json.load(file)}
before = {name: len(value.overloads) for name, value in vars(functions).items() if isinstance(value, Dispatcher)}
loaded = relocfix_numba.load(folder)
assert sorted(loaded) == sorted(saved), sorted(loaded)
for name, _, calls in functions.CALLS:
    answers = [functions.answer(loaded[name], arguments) for arguments in calls]
    if name == "text":  # whose hashes are this process's
        expected = [functions.answer(lambda string: (loaded[name](string)[0], hash(string + "!")), call) for call in calls]
        assert answers == expected, (name, answers, expected)
        answers = [answer.split(",")[0] for answer in answers]
        expected = [answer.split(",")[0] for answer in saved[name]["answers"]]
    else:
        expected = saved[name]["answers"]
    assert answers == expected, (name, answers, expected)
after = {name: len(value.overloads) for name, value in vars(functions).items() if isinstance(value, Dispatcher)}
assert before == after, "something was compiled"

# Other types than those saved are not converted, and not compiled.
for wrong in ("text", numpy.arange(3, dtype=numpy.float32)):
    refused = functions.answer(loaded["adds"], (wrong, wrong))
    assert refused.startswith("TypeError: ") and "adds was saved for (Array(float64, 1, 'C'" in refused, refused
assert functions.answer(loaded["recurses"], (2.5,)).startswith("TypeError: "), "2.5 is no integer"

# References: what a call returns is held by its caller alone, and arguments are given back, exceptions or not.
allocates, adds, raises = loaded["allocates"], loaded["adds"], loaded["raises"]
blocks = sys.getallocatedblocks()
argument = numpy.ones(3)
references = sys.getrefcount(argument)
for _ in range(3):
    gc.collect()
    start = rtsys.get_allocation_stats()
    for _ in range(1000):
        assert sys.getrefcount(allocates(4)) == 1
        adds(argument, argument)
        for wrong in -1.0, 0.0:
            try:
                raises(wrong)
            except (ValueError, ZeroDivisionError):
                pass
    gc.collect()
    end = rtsys.get_allocation_stats()
    assert end.alloc - start.alloc == end.free - start.free >= 2000, (start, end)
    assert end.mi_alloc - start.mi_alloc == end.mi_free - start.mi_free
assert sys.getrefcount(argument) == references
assert sys.getallocatedblocks() - blocks < 1000, sys.getallocatedblocks() - blocks


# Other compiled functions call them, by address.
calls, raises = loaded["calls"], loaded["raises"]


@njit
def outer(x):
    return calls(x) * 2 + raises(x)


assert outer(2.0) == calls(2.0) * 2 + raises(2.0)
assert functions.answer(outer, (-1.0,)) == "ValueError: ('x is negative',)"

# The same folder again gives the same library.
assert relocfix_numba.load(folder, "calls")["calls"](0.5) == calls(0.5)
print("ok")
