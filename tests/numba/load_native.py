"""Call the native entries of saved functions in a Python that has neither Numba nor NumPy.

    load_native.py FOLDER SAVED.json
"""
import array
import importlib.util
import json
import os
import sys

# The interpreter was started without any path but its own.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from relocfix_numba import native  # noqa: E402

assert importlib.util.find_spec("numba") is None, "this Python was to have no Numba"
assert importlib.util.find_spec("numpy") is None, "this Python was to have no NumPy"
with open(sys.argv[2]) as file:
    saved = {entry["name"]: entry for entry in json.load(file)}
loaded = native.load(sys.argv[1])


def answer(name, *arguments):
    try:
        value = loaded[name](*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error.args}"
    if isinstance(value, native.Array):
        assert value.references == 1, value.references
        return f"{value.type}{value.shape}: {list(value.items)[:6]}"
    return repr(value)


expected = {name: entry["answers"] for name, entry in saved.items() if entry["native"]}
answers = {
    "calls": [answer("calls", 0.5), answer("calls", 3.0)],
    "calls_back": [answer("calls_back", 0.5)],
    "reads": [answer("reads", 0), answer("reads", 9)],
    "reads_named": [answer("reads_named", 3)],
    "raises": [answer("raises", x) for x in (1.0, -1.0, 101.0, 0.0)],
    "allocates": [answer("allocates", 5), answer("allocates", 0)],
    "adds": [answer("adds", array.array("d", [1, 1, 1]), array.array("d", [0, 1, 2]))],
    "recurses": [answer("recurses", 10)],
}
assert answers == expected, (answers, expected)
assert answer("adds", array.array("f", [1]), array.array("d", [1])).startswith("TypeError: ")
assert answer("recurses", 2.5).startswith("TypeError: "), answer("recurses", 2.5)
assert answer("calls").startswith("TypeError: ")
print("ok")
