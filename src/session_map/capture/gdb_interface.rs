//! GDB's JIT compilation interface (GDB manual, "JIT Compilation Interface"): a list of objects in the process's memory,
//! whose symbols say where each function of theirs is now.

use std::collections::{HashMap, HashSet};
use std::io;
use std::thread;
use std::time::Duration;

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

/// The process adds and removes objects while it is read. What is the same when it is read again, list and objects, was
/// there all the while; where not all is, or the list led to where an entry had been, it is read again, so many times.
const READINGS: usize = 64;

/// How long a list that led to the same nowhere twice is left alone: the process may have been stopped amid a change.
const PAUSE: Duration = Duration::from_millis(1);

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
    let (mut whole, mut torn) = (Readings::default(), Readings::default());
    let mut walked = 0;
    for reading in 0..READINGS {
        let list = List::read(process, descriptor)?;
        walked += list.entries.len();
        let readings = if list.problem.is_none() { &mut whole } else { &mut torn };
        readings.add(list);
        if whole.alike > 0 || reading > 0 && walked > MOST_OBJECTS {
            break;
        }
        if torn.alike > 0 {
            thread::sleep(PAUSE);
        }
    }
    let result = if whole.alike > 0 || whole.number == 0 && torn.alike + 1 == torn.number {
        let of_an_object = |(entry, object): &Object| {
            let why = object.as_ref().err()?;
            Some(format!("the object at {:#x}: {why}", entry.object))
        };
        let list = if whole.alike > 0 { whole.last.as_ref() } else { torn.last.as_ref() };
        let problem =
            list.and_then(|list| list.problem.clone().or_else(|| list.entries.iter().find_map(of_an_object)));
        problem.map_or(Ok(()), Err)
    } else {
        Err("changes while it is read: what was added or removed meanwhile has no names".to_owned())
    };
    // Where a list was read to its end, whatever is in it all the while was found.
    let kept = if whole.number > 1 { whole.kept } else { torn.kept };
    symbols.extend(kept.into_iter().filter_map(|(_, object)| object.ok()).flatten());
    result
}

/// What came of reading a list again and again.
#[derive(Default)]
struct Readings {
    number: usize,
    last: Option<List>,
    /// How many of the last ones were like the one before.
    alike: usize,
    /// What is in both the last one and the one before: all that was there all the while is.
    kept: Vec<Object>,
}

impl Readings {
    fn add(&mut self, list: List) {
        self.number += 1;
        let Some(last) = self.last.replace(list) else {
            return;
        };
        let again = self.last.as_ref();
        self.alike = if again == Some(&last) { self.alike + 1 } else { 0 };
        let again: HashMap<Entry, &Symbols> = again
            .into_iter()
            .flat_map(|list| &list.entries)
            .map(|(entry, object)| (*entry, object))
            .collect();
        self.kept = last.entries;
        self.kept.retain(|(entry, object)| again.get(entry) == Some(&object));
    }
}

/// An entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Entry {
    address: u64,
    object: u64,
    size: u64,
}

/// What an object says, or why it says nothing.
type Symbols = Result<Vec<SessionSymbol>, String>;

/// An entry and its object.
type Object = (Entry, Symbols);

/// The list as it was, up to where it led nowhere.
#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    entries: Vec<Object>,
    problem: Option<String>,
}

impl List {
    fn read(process: &dyn Process, descriptor: u64) -> Result<List, String> {
        let mut bytes = [0; 24];
        process.read(descriptor, &mut bytes).map_err(|error| error.to_string())?;
        if u32_at(&bytes, 0) != Some(VERSION) {
            return Err("is of an unknown version".to_owned());
        }
        let mut entries = Vec::new();
        let problem = follow(process, u64_at(&bytes, 16).unwrap_or(0), &mut entries).err();
        let with_object = |entry: Entry| {
            let object = read_object(process, entry.object, entry.size).map_err(|error| error.to_string());
            (entry, object.and_then(|object| symbols_of(&object)))
        };
        Ok(List { entries: entries.into_iter().map(with_object).collect(), problem })
    }
}

/// The entries from the first on, and why there are no more where the list does not end.
fn follow(process: &dyn Process, first: u64, entries: &mut Vec<Entry>) -> Result<(), String> {
    let mut address = first;
    let (mut seen, mut total) = (HashSet::new(), 0);
    while address != 0 {
        if !seen.insert(address) || seen.len() > MOST_OBJECTS {
            return Err("has no end".to_owned());
        }
        // struct jit_code_entry { entry *next, *previous; const char *object; u64 size }
        let mut bytes = [0; 32];
        process.read(address, &mut bytes).map_err(|error| format!("entry {address:#x}: {error}"))?;
        let field = |at| u64_at(&bytes, at).unwrap_or(0);
        let entry = Entry { address, object: field(16), size: field(24) };
        total = entry.size.saturating_add(total);
        if total > MOST_BYTES {
            return Err("has no end".to_owned());
        }
        entries.push(entry);
        address = field(0);
    }
    Ok(())
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

/// The symbols of an object that lies in memory: in a relocatable one, sections have the addresses that they were put
/// at, and symbols lie in sections.
fn symbols_of(bytes: &[u8]) -> Symbols {
    let mut symbols = Vec::new();
    let header = header_of(bytes).ok_or("is no 64-bit ELF object")?;
    if header.e_shnum == 0 {
        return Ok(symbols);
    }
    slice(bytes, "the section header table", header.e_shoff, u64::from(header.e_shnum) * 64)?;
    let sections = SectionHeader::parse(bytes, header.e_shoff as usize, header.e_shnum.into(), CTX)
        .map_err(|error| format!("the section header table: {error}"))?;
    let Some(table) = sections.iter().find(|section| section.sh_type == SHT_SYMTAB) else {
        return Ok(symbols);
    };
    let strings = sections.get(table.sh_link as usize).ok_or("the symbol table has no string table")?;
    let strings = slice(bytes, "the string table", strings.sh_offset, strings.sh_size)?;
    if table.sh_size < 24 {
        return Ok(symbols);
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
    Ok(symbols)
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
        assert!(memory.bytes_read() < 100 * READINGS, "each entry is read once each time");
    }

    #[test]
    fn an_object_as_long_as_it_says_only() {
        let memory = list(0, START, 1 << 30);
        assert!(problem(&memory).starts_with("the object at 0x7f0000000000: "));
        assert!(memory.bytes_read() < READINGS * (3 << 19), "room is taken for what can be read alone");
        assert_eq!(problem(&list(0, START, u64::MAX)), "has no end");
    }

    /// An executable in memory with one symbol, `f`, at an address: its words, of which number 36 is that address.
    fn object(address: u64) -> Vec<u64> {
        let magic = u64::from_le_bytes([0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        let header = [magic, 0, 2 | 62 << 16 | 1 << 32, 0, 0, 64, 64 << 32, 64 << 16 | 3 << 32];
        let table = [u64::from(SHT_SYMTAB) << 32, 0, 0, 256, 48, 2, 0, 24];
        let strings = [3 << 32, 0, 0, 304, 8, 0, 0, 0];
        // st_name, st_info, st_other and st_shndx in one word.
        let symbol = [1 | 0x12 << 32 | 1 << 48, address, 4];
        let words = [&header[..], &[0; 8], &table, &strings, &[0; 3], &symbol, &[u64::from(b'f') << 8]];
        words.concat()
    }

    /// Two objects, and the address of the second's symbol, by its number among the words.
    fn two_objects() -> (Memory, usize) {
        let objects = [object(0x10000), object(0x20000)];
        let (first, size) = (START + 11 * 8, objects[0].len() as u64 * 8);
        let lists = [1, 0, START + 24, START + 56, 0, first, size, 0, START + 24, first + size, size];
        (Memory::of(lists.into_iter().chain(objects.concat())), 11 + objects[0].len() + 36)
    }

    fn found(memory: &Memory) -> (Vec<u64>, Result<(), String>) {
        let mut symbols = Vec::new();
        let result = add_list(memory, START, &mut symbols);
        (symbols.iter().map(|symbol| symbol.address).collect(), result)
    }

    #[test]
    fn what_changes_while_it_is_read_has_no_name() {
        assert_eq!(found(&two_objects().0), (vec![0x10000, 0x20000], Ok(())));
        // The symbol's address, and the second entry's size.
        for word in [two_objects().1, 10] {
            let (symbols, result) = found(&two_objects().0.changing(word, u8::wrapping_add));
            assert_eq!(symbols, [0x10000], "{word}");
            assert!(result.is_err_and(|why| why.starts_with("changes while it is read")), "{word}");
        }
    }

    /// Word 3 is where the second entry is, 56 bytes into the memory; what is at 24 is the first, which leads to itself.
    #[test]
    fn a_list_that_leads_nowhere_is_read_again() {
        let torn_but = |to| found(&two_objects().0.changing(3, to));
        let (both, changes) = (vec![0x10000, 0x20000], "changes while it is read");
        assert_eq!(torn_but(|time, next| if time < 30 { 24 } else { next }), (both.clone(), Ok(())));
        assert_eq!(torn_but(|time, next| if time % 30 > 0 { 24 } else { next }), (both, Ok(())));
        let (symbols, result) = torn_but(|time, next| if time > 0 { 24 } else { next });
        assert_eq!(symbols, [0x10000], "it was whole once alone");
        assert!(result.is_err_and(|why| why.starts_with(changes)));
        assert_eq!(torn_but(|_, _| 24), (vec![0x10000], Err("has no end".to_owned())));
    }

    /// Word 2 is where the list begins: with the second entry, or in the first object, where no entry is.
    #[test]
    fn what_stays_is_kept_however_often_more_was_there() {
        let to = |time, first| if time % 2 > 0 { 88 } else { [first, 56][usize::from(time / 2 % 2)] };
        let (symbols, result) = found(&two_objects().0.changing(2, to));
        assert_eq!(symbols, [0x20000]);
        assert!(result.is_err_and(|why| why.starts_with("changes while it is read")));
    }
}
