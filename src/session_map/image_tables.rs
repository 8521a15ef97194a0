//! Where in an image's file the tables are that it is loaded and linked by: segments, the dynamic section, symbol
//! and hash tables, notes. Every offset, size and count is checked against the file before it is used.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::dynamic::DT_NULL;
use goblin::elf::note::NT_GNU_BUILD_ID;
use goblin::elf::program_header::{PF_W, PF_X, PT_DYNAMIC, PT_LOAD, PT_NOTE};
use goblin::elf::{ProgramHeader, Symtab};

/// Little-endian 64-bit files: those are all that a session of a supported machine maps.
pub(super) const CTX: Ctx = Ctx { container: Container::Big, le: Endian::Little };

/// The granularity of a mapping's file offset. Machines with larger pages map in multiples of it.
pub(super) const PAGE: u64 = 0x1000;

/// More loaded segments than any linker makes; each is looked at for every address.
const SEGMENT_LIMIT: usize = 256;

/// Longer names are not names: reading them again for each of many symbols must not take forever.
const NAME_LIMIT: usize = 0xffff;

/// A loaded segment (`PT_LOAD`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) file_size: u64,
    pub(super) memory_size: u64,
    pub(super) executable: bool,
    pub(super) writable: bool,
}

/// Part of the file.
pub(super) fn slice<'a>(bytes: &'a [u8], what: &str, offset: u64, size: u64) -> Result<&'a [u8], String> {
    let range =
        usize::try_from(offset).ok().zip(offset.checked_add(size).and_then(|end| usize::try_from(end).ok()));
    let part = range.and_then(|(start, end)| bytes.get(start..end));
    part.ok_or_else(|| {
        let length = bytes.len();
        format!("{what} ({size:#x} bytes at offset {offset:#x}) is not inside the file, which has {length:#x} bytes")
    })
}

pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let field = bytes.get(offset..offset.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

pub(super) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let field = bytes.get(offset..offset.checked_add(8)?)?;
    Some(u64::from_le_bytes(field.try_into().ok()?))
}

/// A NUL-terminated name in a string table; `None` if it is none that can be used.
pub(super) fn name_in(strings: &[u8], offset: u64) -> Option<&str> {
    let rest = strings.get(usize::try_from(offset).ok()?..)?;
    let rest = &rest[..rest.len().min(NAME_LIMIT + 1)];
    let end = rest.iter().position(|&b| b == 0)?;
    std::str::from_utf8(&rest[..end]).ok().filter(|name| !name.is_empty())
}

pub(super) fn segments(bytes: &[u8], program_headers: &[ProgramHeader]) -> Result<Vec<Segment>, String> {
    let loaded = program_headers.iter().filter(|p| p.p_type == PT_LOAD);
    if loaded.clone().count() > SEGMENT_LIMIT {
        return Err(format!("there are more than {SEGMENT_LIMIT} loaded segments"));
    }
    let segment = |p: &ProgramHeader| {
        slice(bytes, "a loaded segment", p.p_offset, p.p_filesz)?;
        if p.p_memsz < p.p_filesz || p.p_vaddr.checked_add(p.p_memsz).is_none() {
            return Err(format!("the loaded segment at {:#x} has an impossible size", p.p_vaddr));
        }
        Ok(Segment {
            offset: p.p_offset,
            address: p.p_vaddr,
            file_size: p.p_filesz,
            memory_size: p.p_memsz,
            executable: p.p_flags & PF_X != 0,
            writable: p.p_flags & PF_W != 0,
        })
    };
    loaded.map(segment).collect()
}

/// Where in the file the byte at an address is.
pub(super) fn file_offset(segments: &[Segment], address: u64) -> Result<u64, String> {
    let offset = |s: &Segment| {
        let into = address.checked_sub(s.address).filter(|n| *n < s.file_size)?;
        s.offset.checked_add(into)
    };
    let found = segments.iter().find_map(offset);
    found.ok_or_else(|| format!("the dynamic section names {address:#x}, which is in no loaded segment"))
}

pub(super) fn symbol_table<'a>(
    bytes: &'a [u8],
    what: &str,
    offset: u64,
    count: u64,
) -> Result<Symtab<'a>, String> {
    let size = count.checked_mul(24).ok_or_else(|| format!("{what} has an impossible size"))?;
    slice(bytes, what, offset, size)?;
    Symtab::parse(bytes, offset as usize, count as usize, CTX).map_err(|error| format!("{what}: {error}"))
}

/// The entries of the dynamic section (`PT_DYNAMIC`).
pub(super) struct Dynamic(Vec<(u64, u64)>);

impl Dynamic {
    pub(super) fn read(bytes: &[u8], program_headers: &[ProgramHeader]) -> Result<Dynamic, String> {
        let Some(header) = program_headers.iter().find(|p| p.p_type == PT_DYNAMIC) else {
            return Ok(Dynamic(Vec::new()));
        };
        let section = slice(bytes, "the dynamic section", header.p_offset, header.p_filesz)?;
        let entries =
            section.chunks_exact(16).map_while(|entry| Some((u64_at(entry, 0)?, u64_at(entry, 8)?)));
        Ok(Dynamic(entries.take_while(|(tag, _)| *tag != DT_NULL).collect()))
    }

    /// Whether the image has none: it is linked statically.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, tag: u64) -> Option<u64> {
        self.0.iter().find(|(t, _)| *t == tag).map(|(_, value)| *value)
    }
}

/// How many symbols a GNU hash table covers: one more than the last of its last chain (LLVM's and binutils' way).
pub(super) fn gnu_hash_count(bytes: &[u8], offset: u64) -> Result<u64, String> {
    let cut_off = || format!("the GNU hash table at offset {offset:#x} is cut off");
    let table = slice(bytes, "the GNU hash table", offset, 16)?;
    let field = |i: usize| u32_at(table, i * 4).map_or(0, u64::from);
    let (buckets, first, bloom) = (field(0), field(1), field(2));
    let buckets_at = offset + 16 + bloom * 8;
    let chains_at = buckets_at + buckets * 4;
    let bucket_table = slice(bytes, "the GNU hash table", buckets_at, buckets * 4)?;
    let starts = bucket_table.chunks_exact(4).filter_map(|b| u32_at(b, 0));
    let last = u64::from(starts.max().unwrap_or(0));
    let Some(into) = last.checked_sub(first) else {
        return Ok(first);
    };
    let rest =
        usize::try_from(chains_at + into * 4).ok().and_then(|at| bytes.get(at..)).ok_or_else(cut_off)?;
    let chain = rest.chunks_exact(4).filter_map(|c| u32_at(c, 0));
    let length = chain.take_while(|hash| hash & 1 == 0).count() as u64 + 1;
    if length * 4 > rest.len() as u64 {
        return Err(cut_off());
    }
    Ok(last + length)
}

/// A note: who defines it, its type, and what it says.
pub(super) struct Note<'a> {
    /// With the NUL at its end.
    pub(super) name: &'a [u8],
    pub(super) kind: u32,
    pub(super) contents: &'a [u8],
}

/// The notes of a segment (gABI: sizes of name and contents, type, then both, padded).
pub(super) fn notes<'a>(bytes: &'a [u8], header: &ProgramHeader) -> Result<Vec<Note<'a>>, String> {
    let mut rest = slice(bytes, "a note segment", header.p_offset, header.p_filesz)?;
    // Notes are padded to four bytes, but for those of a segment aligned to eight.
    let align = if header.p_align == 8 { 8 } else { 4 };
    let mut notes = Vec::new();
    while let (Some(name_size), Some(size), Some(kind)) = (u32_at(rest, 0), u32_at(rest, 4), u32_at(rest, 8))
    {
        let contents_at = (12 + u64::from(name_size)).next_multiple_of(align);
        let end = (contents_at + u64::from(size)).next_multiple_of(4);
        // mold 1.10 puts notes that are padded to four bytes into a segment that is aligned to eight. A note begins with
        // the size of its name, which is not zero as padding is.
        let padding = usize::try_from(end).ok().and_then(|end| u32_at(rest, end));
        let next = if padding.unwrap_or(0) == 0 { end.next_multiple_of(align) } else { end };
        let name = slice(rest, "a note's name", 12, name_size.into())?;
        let contents = slice(rest, "a note", contents_at, size.into())?;
        notes.push(Note { name, kind, contents });
        rest = usize::try_from(next).ok().and_then(|next| rest.get(next..)).unwrap_or(&[]);
    }
    Ok(notes)
}

/// The build-id.
pub(super) fn build_id(bytes: &[u8], program_headers: &[ProgramHeader]) -> Result<Option<String>, String> {
    for header in program_headers.iter().filter(|p| p.p_type == PT_NOTE) {
        for note in notes(bytes, header)? {
            if note.name == b"GNU\0" && note.kind == NT_GNU_BUILD_ID {
                return Ok(Some(note.contents.iter().map(|b| format!("{b:02x}")).collect()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: u32, contents: &[u8]) -> Vec<u8> {
        let head = [4, contents.len() as u32, kind].into_iter().flat_map(u32::to_le_bytes);
        head.chain(*b"GNU\0").chain(contents.iter().copied()).collect()
    }

    fn kinds(bytes: &[u8], align: u64) -> Vec<u32> {
        let header =
            ProgramHeader { p_filesz: bytes.len() as u64, p_align: align, ..ProgramHeader::default() };
        notes(bytes, &header).unwrap().iter().map(|note| note.kind).collect()
    }

    #[test]
    fn notes_are_padded_to_four_bytes_or_to_eight() {
        let (odd, even) = (note(3, &[7; 20]), note(5, &[9; 16]));
        let padded = [&odd[..], &[0; 4]].concat();
        assert_eq!(kinds(&[&odd[..], &even].concat(), 4), [3, 5]);
        assert_eq!(kinds(&[&padded[..], &even, &odd].concat(), 8), [3, 5, 3]);
        assert_eq!(kinds(&[&even[..], &padded].concat(), 8), [5, 3]);
        // In a segment that is aligned to eight bytes for the first one's sake.
        assert_eq!(kinds(&[&even[..], &odd, &even].concat(), 8), [5, 3, 5]);
    }
}
