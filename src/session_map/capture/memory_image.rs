//! An image as a process has it in memory, where its file cannot be read: what is loaded of it, with the names that it
//! exports.

use std::io;

use goblin::elf::ProgramHeader;
use goblin::elf::dynamic::{
    DT_GNU_HASH, DT_HASH, DT_JMPREL, DT_PLTGOT, DT_RELA, DT_STRTAB, DT_SYMTAB, DT_VERSYM,
};
use goblin::elf::program_header::{PT_DYNAMIC, PT_LOAD};
use goblin::elf64::header::SIZEOF_EHDR;
use goblin::elf64::program_header::SIZEOF_PHDR;

use super::Process;
use crate::session_map::image_tables::{CTX, u64_at};

/// No image is larger: headers in memory may say anything.
const MOST_BYTES: u64 = 1 << 31;

/// It is read in such parts: no more room is taken than there is memory that can be read.
const PART: u64 = 1 << 20;

/// Entries of the dynamic section to which glibc adds where the image was loaded (`elf/get-dynamic-info.h`).
const MOVED: [u64; 8] =
    [DT_PLTGOT, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_JMPREL, DT_VERSYM, DT_GNU_HASH];

/// Fields of the file header that say where sections are (gABI, "ELF Header"): `e_shoff`, `e_shnum` and `e_shstrndx`.
const SECTION_FIELDS: [std::ops::Range<usize>; 2] = [40..48, 60..64];

/// The file of an image without its sections, by its file header and program headers; its first byte is at `start`.
///
/// # Errors
/// Not all of it can be read, or it is none.
pub(super) fn read(process: &dyn Process, start: u64, headers: &[u8]) -> io::Result<Vec<u8>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let count = headers.len().saturating_sub(SIZEOF_EHDR) / SIZEOF_PHDR;
    let table = ProgramHeader::parse(headers, SIZEOF_EHDR, count, CTX).map_err(|_| invalid())?;
    let loaded = || table.iter().filter(|header| header.p_type == PT_LOAD);
    let first = loaded().min_by_key(|header| header.p_offset).ok_or_else(invalid)?;
    let bias = start.wrapping_sub(first.p_vaddr.wrapping_sub(first.p_offset));

    let mut bytes = Vec::new();
    for header in loaded() {
        let end = header.p_offset.checked_add(header.p_filesz).filter(|end| *end <= MOST_BYTES);
        let end = end.ok_or_else(invalid)?;
        let mut at = header.p_offset;
        while at < end {
            let part = at as usize..(at + PART.min(end - at)) as usize;
            if bytes.len() < part.end {
                bytes.resize(part.end, 0);
            }
            let address = bias.wrapping_add(header.p_vaddr).wrapping_add(at - header.p_offset);
            process.read(address, &mut bytes[part.clone()])?;
            at = part.end as u64;
        }
    }
    for field in SECTION_FIELDS {
        bytes.get_mut(field).ok_or_else(invalid)?.fill(0);
    }
    let in_file =
        |address: u64| loaded().any(|h| address.checked_sub(h.p_vaddr).is_some_and(|into| into < h.p_memsz));
    for header in table.iter().filter(|header| header.p_type == PT_DYNAMIC) {
        let offsets = header.p_offset..header.p_offset.saturating_add(header.p_filesz);
        for entry in offsets.step_by(16).map_while(|at| usize::try_from(at).ok()) {
            let (Some(tag), Some(value)) = (u64_at(&bytes, entry), u64_at(&bytes, entry + 8)) else {
                break;
            };
            let before = value.wrapping_sub(bias);
            if MOVED.contains(&tag) && !in_file(value) && in_file(before) {
                bytes[entry + 8..entry + 16].copy_from_slice(&before.to_le_bytes());
            }
        }
    }
    Ok(bytes)
}
