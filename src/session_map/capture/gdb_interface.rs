//! GDB's JIT compilation interface (GDB manual, "JIT Compilation Interface"): a list of objects in the process's memory,
//! whose symbols say where each function of theirs is now.

use std::collections::HashSet;
use std::io;

use goblin::elf::header::ET_REL;
use goblin::elf::section_header::{SHF_ALLOC, SHN_LORESERVE, SHN_UNDEF, SHT_SYMTAB, SectionHeader};
use goblin::elf::sym::{STB_GLOBAL, STB_WEAK, STT_FUNC, STT_NOTYPE, STT_OBJECT};

use super::Process;
use super::images::{Loaded, header_of};
use crate::session_map::image_tables::{CTX, name_in, slice, symbol_table, u32_at, u64_at};
use crate::session_map::{LOWEST_ADDRESS, SessionSymbol};

/// `struct jit_descriptor` is { u32 version, action; entry *relevant, *first }.
const DESCRIPTOR: &str = "__jit_debug_descriptor";
const VERSION: u32 = 1;

/// More objects, or bytes of all of them, than any process registers: the list is in memory that may hold anything.
const MOST_OBJECTS: usize = 1 << 20;
const MOST_BYTES: u64 = 1 << 31;

/// An object is read in such parts: no more room is taken than there is memory that can be read.
const PART: u64 = 1 << 20;

/// The symbols of all objects that were registered.
pub(super) fn symbols(
    process: &dyn Process,
    images: &[Loaded],
    warnings: &mut Vec<String>,
) -> Vec<SessionSymbol> {
    let mut symbols = Vec::new();
    for image in images {
        let Some(descriptor) = image.image.definition(DESCRIPTOR) else {
            continue;
        };
        for bias in &image.biases {
            let at = bias.wrapping_add(descriptor);
            if let Err(why) = add_list(process, at, &mut symbols) {
                warnings
                    .push(format!("{}: the list of objects at {at:#x} ({DESCRIPTOR}): {why}", image.path));
            }
        }
    }
    symbols
}

fn add_list(process: &dyn Process, descriptor: u64, symbols: &mut Vec<SessionSymbol>) -> Result<(), String> {
    let mut bytes = [0; 24];
    process.read(descriptor, &mut bytes).map_err(|error| error.to_string())?;
    if u32_at(&bytes, 0) != Some(VERSION) {
        return Err("is of an unknown version".to_owned());
    }
    let mut entry = u64_at(&bytes, 16).unwrap_or(0);
    let (mut seen, mut total) = (HashSet::new(), 0);
    let mut problem = None;
    while entry != 0 {
        // struct jit_code_entry { entry *next, *previous; const char *object; u64 size }
        let mut bytes = [0; 32];
        process.read(entry, &mut bytes).map_err(|error| format!("entry {entry:#x}: {error}"))?;
        let field = |at| u64_at(&bytes, at).unwrap_or(0);
        let (address, size) = (field(16), field(24));
        total = size.saturating_add(total);
        if !seen.insert(entry) || seen.len() > MOST_OBJECTS || total > MOST_BYTES {
            return Err("has no end".to_owned());
        }
        let object = read_object(process, address, size).map_err(|error| error.to_string());
        if let Err(why) = object.and_then(|object| add_object(&object, symbols)) {
            // The others are good nevertheless.
            problem.get_or_insert(format!("the object at {address:#x}: {why}"));
        }
        entry = field(0);
    }
    problem.map_or(Ok(()), Err)
}

fn read_object(process: &dyn Process, address: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut object = Vec::new();
    while (object.len() as u64) < size {
        let (done, part) = (object.len(), PART.min(size - object.len() as u64));
        object.resize(done + part as usize, 0);
        process.read(address.wrapping_add(done as u64), &mut object[done..])?;
    }
    Ok(object)
}

/// Adds the symbols of an object that lies in memory: in a relocatable one, sections have the addresses that they
/// were put at, and symbols lie in sections.
fn add_object(bytes: &[u8], symbols: &mut Vec<SessionSymbol>) -> Result<(), String> {
    let header = header_of(bytes).ok_or("is no 64-bit ELF object")?;
    if header.e_shnum == 0 {
        return Ok(());
    }
    slice(bytes, "the section header table", header.e_shoff, u64::from(header.e_shnum) * 64)?;
    let sections = SectionHeader::parse(bytes, header.e_shoff as usize, header.e_shnum.into(), CTX)
        .map_err(|error| format!("the section header table: {error}"))?;
    let Some(table) = sections.iter().find(|section| section.sh_type == SHT_SYMTAB) else {
        return Ok(());
    };
    let strings = sections.get(table.sh_link as usize).ok_or("the symbol table has no string table")?;
    let strings = slice(bytes, "the string table", strings.sh_offset, strings.sh_size)?;
    if table.sh_size < 24 {
        return Ok(());
    }
    for symbol in symbol_table(bytes, "the symbol table", table.sh_offset, table.sh_size / 24)?.iter() {
        let index = symbol.st_shndx as u32;
        let bound = [STB_GLOBAL, STB_WEAK].contains(&symbol.st_bind());
        let kind = [STT_FUNC, STT_NOTYPE, STT_OBJECT].contains(&symbol.st_type());
        if index == SHN_UNDEF || index >= SHN_LORESERVE || !bound || !kind {
            continue;
        }
        let section = sections.get(symbol.st_shndx).filter(|s| s.sh_flags & u64::from(SHF_ALLOC) != 0);
        let base = match (header.e_type, section) {
            (ET_REL, Some(section)) if section.sh_addr != 0 => section.sh_addr,
            (ET_REL, _) => continue,
            _ => 0,
        };
        let address = base.wrapping_add(symbol.st_value);
        let name = name_in(strings, symbol.st_name as u64);
        let possible = address >= LOWEST_ADDRESS && address.checked_add(symbol.st_size.max(1)).is_some();
        if let Some(name) = name.filter(|_| possible) {
            symbols.push(SessionSymbol {
                address,
                name: name.to_owned(),
                size: symbol.st_size,
                library: None,
                align: 1,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::memory_process::{Memory, START};
    use super::*;

    /// A list of one entry, with the next one's address, and the object's place and size.
    fn list(next: u64, object: u64, size: u64) -> Memory {
        let descriptor = [1, 0, START + 24];
        let entry = [next, 0, object, size];
        let words = descriptor.iter().chain(&entry);
        Memory::of(words.copied())
    }

    fn problem(memory: &Memory) -> String {
        add_list(memory, START, &mut Vec::new()).unwrap_err()
    }

    #[test]
    fn a_list_that_leads_back_has_no_end() {
        let memory = list(START + 24, START, 24);
        assert_eq!(problem(&memory), "has no end");
        assert!(memory.bytes_read() < 200, "each entry is read once");
    }

    #[test]
    fn an_object_as_long_as_it_says_only() {
        let memory = list(0, START, 1 << 30);
        assert!(problem(&memory).starts_with("the object at 0x7f0000000000: "));
        assert!(memory.bytes_read() <= 2 << 20, "room is taken for what can be read alone");
        assert_eq!(problem(&list(0, START, u64::MAX)), "has no end");
    }
}
