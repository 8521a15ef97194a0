"""ELF files read as far as this package needs: symbols of objects, exported names and build-ids of libraries."""
import struct
from dataclasses import dataclass

_UNDEFINED, _ABSOLUTE = 0, 0xFFF1
_SYMTAB, _DYNSYM, _VERSIONS = 2, 11, 0x6FFFFFFF
# A kind of program header.
_NOTE = 4
# The bit of a version that only references to that version bind to.
_HIDDEN = 0x8000
_LOCAL, _FUNCTION, _OBJECT, _INDIRECT = 0, 2, 1, 10
# A flag of sections with instructions.
_EXECUTABLE = 4


@dataclass(frozen=True)
class Symbol:
    """One entry of a symbol table."""

    name: str
    section: int
    binding: int
    kind: int
    value: int
    size: int

    @property
    def defined(self):
        return self.section != _UNDEFINED

    @property
    def nameable(self):
        """Whether it is a function or variable that other files can refer to."""
        defined = self.section not in (_UNDEFINED, _ABSOLUTE) and self.binding != _LOCAL
        return defined and self.kind in (_FUNCTION, _OBJECT, _INDIRECT)


def is_elf64(image):
    return image[:6] == b"\x7fELF\x02\x01"


def is_library(path):
    """Whether a file is a shared library. What is not there is none."""
    try:
        with open(path, "rb") as file:
            head = file.read(18)
    except OSError:
        return False
    return is_elf64(head) and struct.unpack_from("<H", head, 16)[0] == 3


def _sections(image):
    table, size, count = struct.unpack_from("<Q10xHH", image, 40)
    return [struct.unpack_from("<IIQQQQIIQQ", image, table + index * size) for index in range(count)]


def _table(image, wanted):
    sections = _sections(image)
    for _, kind, _, _, offset, size, link, *_ in sections:
        if kind != wanted:
            continue
        strings = sections[link][4]
        for at in range(offset + 24, offset + size, 24):
            name, info, _, section, value, length = struct.unpack_from("<IBBHQQ", image, at)
            start = strings + name
            text = image[start : image.index(b"\0", start)].decode()
            yield Symbol(text, section, info >> 4, info & 15, value, length)


def with_code_aligned(image, alignment):
    """The object file with each section of instructions aligned to so many bytes, if it was to less."""
    table, size, count = struct.unpack_from("<Q10xHH", image, 40)
    aligned = bytearray(image)
    for header in range(table, table + size * count, size):
        flags, old = struct.unpack_from("<Q32xQ", image, header + 8)
        if flags & _EXECUTABLE:
            struct.pack_into("<Q", aligned, header + 48, max(old, alignment))
    return bytes(aligned)


def symbols(image):
    """The symbols of an object file, in their order."""
    return list(_table(image, _SYMTAB))


def exports(path):
    """The names that a library exports, those that a reference without a version binds to, each once."""
    with open(path, "rb") as file:
        image = file.read()
    if not is_elf64(image):
        return []
    versions = [offset for _, kind, _, _, offset, *_ in _sections(image) if kind == _VERSIONS]

    def hidden(index):
        return versions and struct.unpack_from("<H", image, versions[0] + 2 * index)[0] & _HIDDEN

    table = enumerate(_table(image, _DYNSYM), 1)
    return sorted({symbol.name for index, symbol in table if symbol.nameable and not hidden(index)})


def build_id(path):
    """The GNU build-id of an ELF file in hexadecimal; `None` if it has none or is no such file."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if not is_elf64(head):
                return None
            # A program header each, of which notes are one kind: libraries are large, and all of a process are looked at.
            table, size, count = struct.unpack_from("<Q14xHH", head, 32)
            file.seek(table)
            headers = file.read(size * count)
            for index in range(count):
                kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", headers, size * index)
                if kind == _NOTE:
                    file.seek(offset)
                    found = _build_id_note(file.read(length))
                    if found:
                        return found
    except (OSError, struct.error):
        pass
    return None


def _build_id_note(notes):
    offset = 0
    while offset + 12 <= len(notes):
        name, descriptor, note = struct.unpack_from("<III", notes, offset)
        start = offset + 12 + (name + 3 & ~3)
        if note == 3 and notes[offset + 12 : offset + 16] == b"GNU\0":
            return notes[start : start + descriptor].hex()
        offset = start + (descriptor + 3 & ~3)
    return None
