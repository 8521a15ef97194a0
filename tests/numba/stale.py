"""A saved function of another Numba, processor, library or file is refused by name.

    stale.py FOLDER
"""
import json
import os

import functions
import relocfix_numba
from expect import folder, refused
from numba import float64
from relocfix_numba import index, process

stem = relocfix_numba.save(functions.calls, (float64,), folder)[0]
saved = index.read(folder, stem)


def stale(words, **changes):
    """Checks that the entry with something else in its index is refused."""
    entry = json.loads(json.dumps(saved))
    for key, value in changes.items():
        place, keys = entry, key.split("__")
        for part in keys[:-1]:
            place = place[part]
        place[keys[-1]] = value
    with open(os.path.join(folder, stem + index.SUFFIX), "w") as file:
        json.dump(entry, file)
    refused(relocfix_numba.Stale, words, folder, "calls", call=relocfix_numba.load)


stale(["calls", "Numba 0.1"], made_with__Numba="0.1")
stale(["calls", "features"], made_with__features="+none")
stale(["calls", "a processor with flies"], processor={"flags": ["flies"], "model": None})
stale(["calls", "the processor of another"], processor={"flags": [], "model": "of another"})
stale(["calls", "numba._helperlib.c_helpers['gone']"], boxed__needs=[["numba._helperlib", "c_helpers", "gone"]])
stale(["calls", "threading layer tbb"], boxed__layer="tbb")
stale(["index of version"], relocfix_numba=99)
libm = [{"path": process.image_at(process.address_of(functions.cos)), "build_id": "0" * 40}]
stale(["calls", "libm.so.6", "build-id"], boxed__libraries=libm)
path = os.path.join(folder, saved["boxed"]["library"])
with open(path, "rb") as file:
    kept = file.read()
with open(path, "wb") as file:
    file.write(kept[:200] + b"changed" + kept[207:])
stale(["calls", saved["boxed"]["library"], "not the file that was saved"])
with open(path, "wb") as file:
    file.write(kept)

# Two modules may have a function of one name.
index.write(folder, "other", {**saved, "module": "other"})
assert sorted(relocfix_numba.load(folder)) == ["functions.calls", "other.calls"]
os.unlink(os.path.join(folder, "other" + index.SUFFIX))
refused(relocfix_numba.Stale, ["no function missing"], folder, "missing", call=relocfix_numba.load)

print("ok")
