"""Compile functions with Numba in this process, and write the objects it made and what their addresses mean here.

    produce.py FOLDER

For each function: FOLDER/NAME.o, FOLDER/NAME.session.json, and the files that the map takes bytes from. Standard
output: what the tests must know, as JSON: the names of the entry points, and what the function answers here.
"""
import ctypes
import json
import os
import struct
import sys

import numpy
from numba import njit, types
from numba.core.codegen import CPUCodeLibrary
from numba.core.registry import cpu_target

folder = sys.argv[1]

libm = ctypes.CDLL("libm.so.6")
libc = ctypes.CDLL("libc.so.6")
cos = libm.cos
cos.restype, cos.argtypes = ctypes.c_double, [ctypes.c_double]
labs = libc.labs
labs.restype, labs.argtypes = ctypes.c_long, [ctypes.c_long]


@ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
def callback(x):
    return x * 3.0 + 0.25


TABLE = numpy.arange(200_000) * 0.5  # Numba refers to arrays of more than a megabyte by their address


@njit
def calls(x):
    return cos(x) + cos(x * 2) + labs(-5) + callback(x)


@njit
def reads(i):
    return TABLE[i] + TABLE[i + 1] + TABLE.sum()


def address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


def build_id(path):
    """The GNU build-id of an ELF file, from its notes; None if it has none."""
    try:
        with open(path, "rb") as file:
            image = file.read()
    except OSError:
        return None
    if image[:6] != b"\x7fELF\x02\x01":
        return None
    table, size, count = struct.unpack_from("<Q14xHH", image, 32)
    for index in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", image, table + index * size)
        end = offset + length
        while kind == 4 and offset + 12 <= end:
            name, descriptor, note = struct.unpack_from("<III", image, offset)
            start = offset + 12 + (name + 3 & ~3)
            if note == 3 and image[offset + 12 : offset + 16] == b"GNU\0":
                return image[start : start + descriptor].hex()
            offset = start + (descriptor + 3 & ~3)
    return None


def mappings():
    ids = {}
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, perms, offset, _, _, *path = line.rstrip("\n").split(maxsplit=5)
            start, end = span.split("-")
            entry = {"start": "0x" + start, "end": "0x" + end, "perms": perms}
            if path:
                entry["path"] = path[0]
                if path[0].startswith("/"):
                    entry["offset"] = hex(int(offset, 16))
                    known = ids.setdefault(path[0], build_id(path[0]))
                    if known:
                        entry["build_id"] = known
            yield entry


def undefined(image):
    """Names of the undefined symbols of an object."""
    sections, size, count = struct.unpack_from("<Q10xHH", image, 40)
    headers = [struct.unpack_from("<IIQQQQIIQQ", image, sections + i * size) for i in range(count)]
    for header in headers:
        if header[1] != 2:
            continue
        strings = headers[header[6]][4]
        for at in range(header[4] + 24, header[4] + header[5], 24):
            name, _, _, section = struct.unpack_from("<IBBH", image, at)
            if section == 0:
                start = strings + name
                yield image[start : image.index(b"\0", start)].decode()


def write(name, function, argument, known):
    """Compiles `function` for `argument`'s type and writes its object and map, `known` being what the map knows."""
    objects = []
    original = CPUCodeLibrary._object_compiled_hook

    def hook(module, buffer):
        objects.append((module.name, bytes(buffer)))
        return original(module, buffer)

    # The engine holds the hook itself: give it ours.
    signature = (types.float64,) if isinstance(argument, float) else (types.int64,)
    engine = cpu_target.target_context.codegen()._engine
    engine.set_object_cache(hook, CPUCodeLibrary._object_getbuffer_hook)
    function.compile(signature)
    overload = function.overloads[signature]
    native, wrapper = overload.fndesc.llvm_func_name, overload.fndesc.llvm_cpython_wrapper_name
    images = [image for _, image in objects if native.encode() + b"\0" in image and native not in undefined(image)]
    [image] = images
    session = {
        "relocfix": 1,
        "machine": "x86_64",
        "mappings": list(mappings()),
        **known,
        # Numba binds these names to the exception objects; libpython exports variables that point to them.
        "imports": [
            {"symbol": symbol, "init": {"load": {"symbol": symbol}}}
            for symbol in sorted(undefined(image))
            if symbol.startswith("PyExc_")
        ],
    }
    with open(os.path.join(folder, name + ".o"), "wb") as file:
        file.write(image)
    with open(os.path.join(folder, name + ".session.json"), "w") as file:
        json.dump(session, file, indent=1)
    return {
        "name": name,
        "native": native,
        "wrapper": wrapper,
        "argument": argument,
        "answer": function(argument),
        "type": "double" if isinstance(argument, float) else "long",
        "printed": "%.17g" % function(argument),
        "undefined": sorted(undefined(image)),
    }


with open(os.path.join(folder, "table.bin"), "wb") as file:
    file.write(TABLE.tobytes())

results = [
    write(
        "calls",
        calls,
        0.5,
        {
            "symbols": [
                {"address": hex(address(cos)), "name": "cos", "library": "libm.so.6"},
                {"address": hex(address(labs)), "name": "labs", "library": "libc.so.6"},
            ],
            "values": [
                {"name": "callback", "address": hex(address(callback)), "init": {"symbol": "numba_test_callback"}}
            ],
        },
    ),
    write(
        "reads",
        reads,
        10,
        {
            "values": [
                {
                    "name": "TABLE",
                    "address": hex(TABLE.ctypes.data),
                    "size": TABLE.nbytes,
                    "init": {"bytes": {"file": "table.bin"}},
                },
                # Unoptimized code also mentions the array object itself, as the data's owner; here nobody owns it.
                {"name": "TABLE_owner", "address": hex(id(TABLE)), "init": {"int": 0}},
            ]
        },
    ),
]
json.dump(results, sys.stdout, indent=1)
