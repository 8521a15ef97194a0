"""This process's memory: what is mapped where, and which exported name an address has."""
import ctypes
import os
from functools import lru_cache

from . import elf


class _Found(ctypes.Structure):
    """`Dl_info` of <dlfcn.h>."""

    _fields_ = [
        ("path", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


def mappings():
    """The lines of /proc/self/maps as a session map's `mappings`."""
    ids, entries = {}, []
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, perms, offset, _, _, *path = line.rstrip("\n").split(maxsplit=5)
            start, end = span.split("-")
            entry = {"start": "0x" + start, "end": "0x" + end, "perms": perms}
            if path:
                entry["path"] = path[0]
                if path[0].startswith("/"):
                    entry["offset"] = hex(int(offset, 16))
                    if path[0] not in ids:
                        ids[path[0]] = elf.build_id(path[0])
                    if ids[path[0]]:
                        entry["build_id"] = ids[path[0]]
            entries.append(entry)
    return entries


def image_at(address):
    """The path of the loaded file that an address belongs to; `None` if it belongs to none."""
    found = _Found()
    dladdr = ctypes.CDLL(None).dladdr
    dladdr.argtypes, dladdr.restype = [ctypes.c_void_p, ctypes.POINTER(_Found)], ctypes.c_int
    if not dladdr(address, ctypes.byref(found)) or not found.path:
        return None
    path = os.fsdecode(found.path)
    return path if os.path.isabs(path) and os.path.exists(path) else None


def address_of(function):
    """The address of a ctypes function."""
    return ctypes.cast(function, ctypes.c_void_p).value


def bound(name, path=None):
    """What a reference to `name` binds to: in the library at `path`, else in what is visible to everyone.

    Indirect functions have been chosen: it is the address that the process uses. `None`: it is not there.
    """
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_LAZY) if path else ctypes.CDLL(None)
        return address_of(library[name])
    except (OSError, AttributeError, ValueError):
        return None


@lru_cache(maxsize=None)
def _names(path):
    names = {}
    # The order of choice among aliases, so that every session chooses the same.
    for name in sorted(elf.exports(path), key=lambda name: (name.startswith("_"), len(name), name)):
        address = bound(name, path)
        if address:
            names.setdefault(address, name)
    return names


def exported(address, hint=None):
    """`(name, path)` of the exported name that binds to exactly this address; `None` if there is none.

    `hint` is a name to prefer, if it is one.
    """
    path = image_at(address)
    if path is None:
        return None
    if hint and bound(hint, path) == address:
        return hint, path
    name = _names(path).get(address)
    return (name, path) if name else None


def describe(address):
    """Where an address lies, for messages."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, perms, _, _, _, *path = line.rstrip("\n").split(maxsplit=5)
            start, end = (int(part, 16) for part in span.split("-"))
            if start <= address < end:
                kind = "code" if "x" in perms else "data"
                return f"{kind} of {path[0]}" if path else f"anonymous {kind}"
    return "not mapped"
