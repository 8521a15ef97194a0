"""How fast saved functions are, beside Numba's own of the same process. Prints times and ratios; below 1 is faster.

    benchmark.py [ROUNDS]
"""
import os
import subprocess
import sys
import tempfile
import time

import numpy
import relocfix_numba

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 15


def seconds(function, arguments, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function(*arguments)
    return (time.perf_counter() - start) / calls


CASES = [
    ("calls", (0.5,), 20_000, "boxed call of four C functions"),
    ("recurses", (25,), 20, "recursion"),
    ("reads", (9,), 200, "sum of a large array"),
    ("allocates", (100_000,), 20, "a new array, a C call for each element"),
    ("elements", (numpy.arange(100_000.0), 0.5), 50, "loop of a ufunc"),
]

with tempfile.TemporaryDirectory() as folder:
    if "NUMBA_TEST_LIBRARY" not in os.environ:
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "library.c")
        library = os.environ["NUMBA_TEST_LIBRARY"] = os.path.join(folder, "libnumba_test.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-Wl,--build-id", "-o", library, source], check=True)
    import functions

    signatures = {name: signature for name, signature, _ in functions.CALLS}
    print(f"{'function':10} {'Numba':>12} {'saved':>12} {'ratio':>6}  what is measured")
    for name, arguments, calls, what in CASES:
        own = getattr(functions, name)
        start = time.perf_counter()
        if hasattr(own, "compile"):
            own.compile(signatures[name])
        compiling = time.perf_counter() - start
        relocfix_numba.save(own, signatures[name], folder)
        start = time.perf_counter()
        saved = relocfix_numba.load(folder, name)[name]
        loading = time.perf_counter() - start
        # By turns, and the best of each: other work on the machine only adds.
        rounds = [(seconds(own, arguments, calls), seconds(saved, arguments, calls)) for _ in range(ROUNDS)]
        there, here = (min(column) for column in zip(*rounds))
        print(f"{name:10} {there * 1e6:10.2f}us {here * 1e6:10.2f}us {here / there:6.2f}  {what}")
        if compiling > 0.01:
            print(f"{'':10} {compiling * 1e3:10.0f}ms {loading * 1e3:10.0f}ms {'':6}  compiling, and loading instead")
