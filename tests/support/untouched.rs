//! What a rewrite must leave alone: everything that its report does not name. Both files are read by the `object`
//! crate, not by the code under test, and compared entry by entry.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use object::elf::{FileHeader64, SectionHeader64};
use object::read::elf::{ElfFile64, FileHeader, Rela, SectionHeader, Sym};
use object::{LittleEndian, elf};
use serde_json::Value;

const LE: LittleEndian = LittleEndian;

/// Its numbers are indices of symbols.
const SHT_LLVM_ADDRSIG: elf::SectionType = elf::SectionType(0x6fff_4c03);

/// The section with a map that an object carries.
const MAP: &str = ".relocfix.session_map";

/// The section that says what was done; no link sees it.
const RECORD: &str = ".rela.relocfix.record";

/// A section as a linker reads it.
#[derive(Debug, Clone)]
struct Section<'d> {
    name: &'d str,
    kind: u32,
    flags: u64,
    link: u32,
    info: u32,
    align: u64,
    entry_size: u64,
    offset: u64,
    size: u64,
    data: &'d [u8],
    relocations: Vec<Relocation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Relocation {
    offset: u64,
    kind: u32,
    symbol: u32,
    addend: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Symbol<'d> {
    name: &'d str,
    value: u64,
    size: u64,
    info: u8,
    other: u8,
    section: u32,
}

struct Object<'d> {
    header: (u16, u16, u32, u64, u16, u16),
    sections: Vec<Section<'d>>,
    symbols: Vec<Symbol<'d>>,
    /// Index of the first symbol that is not local.
    globals: usize,
}

impl<'d> Object<'d> {
    fn read(bytes: &'d [u8]) -> Result<Self, String> {
        Self::try_read(bytes).map_err(|error| error.to_string())
    }

    fn try_read(bytes: &'d [u8]) -> object::read::Result<Self> {
        let file = ElfFile64::<LittleEndian>::parse(bytes)?;
        let header: &FileHeader64<LittleEndian> = file.elf_header();
        let table = file.elf_section_table();
        let text = |name: &'d [u8]| std::str::from_utf8(name).unwrap_or("(no UTF-8)");
        let mut sections = Vec::new();
        for section in table.iter() {
            let section: &SectionHeader64<LittleEndian> = section;
            let relocations = section.rela(LE, bytes)?.map_or(&[][..], |(entries, _)| entries);
            let relocations = relocations.iter().map(|r| Relocation {
                offset: r.r_offset(LE),
                kind: r.r_type(LE, false).0,
                symbol: r.r_sym(LE, false),
                addend: r.r_addend(LE),
            });
            sections.push(Section {
                name: text(table.section_name(LE, section)?),
                kind: section.sh_type(LE).0,
                flags: section.sh_flags(LE).0,
                link: section.sh_link(LE),
                info: section.sh_info(LE),
                align: section.sh_addralign(LE),
                entry_size: section.sh_entsize(LE),
                offset: section.sh_offset(LE),
                size: section.sh_size(LE),
                data: if section.sh_type(LE) == elf::SHT_NULL { &[] } else { section.data(LE, bytes)? },
                relocations: relocations.collect(),
            });
        }
        let table = file.elf_symbol_table();
        let mut symbols = Vec::new();
        for (index, symbol) in table.enumerate() {
            let section = match symbol.st_shndx(LE) {
                elf::SHN_XINDEX => table.shndx(LE, index).unwrap_or(u32::MAX),
                section => section.0.into(),
            };
            symbols.push(Symbol {
                name: text(table.symbol_name(LE, symbol)?),
                value: symbol.st_value(LE),
                size: symbol.st_size(LE),
                info: symbol.st_info().0,
                other: symbol.st_other().0,
                section,
            });
        }
        let globals = symbols.iter().position(|s| s.info >> 4 != 0).unwrap_or(symbols.len());
        Ok(Object {
            header: (
                header.e_type(LE).0,
                header.e_machine(LE).0,
                header.e_flags(LE).0,
                header.e_entry(LE),
                header.e_ehsize(LE),
                header.e_shstrndx(LE).0,
            ),
            sections,
            symbols,
            globals,
        })
    }
}

/// What the report names.
struct Named {
    /// Offsets of fields, by section.
    fields: BTreeMap<String, BTreeSet<u64>>,
    /// Sections with relocations that were lowered.
    lowered: BTreeSet<String>,
    /// Sections with another name or other flags, and the names.
    sections: BTreeMap<String, String>,
    /// Symbols with another name, and that.
    renamed: BTreeMap<String, String>,
    /// Variables and the offset in them.
    globals: BTreeSet<(String, u64)>,
    /// Variables and imports.
    symbols: BTreeSet<String>,
    /// Absolute symbols that held an address.
    absolute: BTreeSet<String>,
}

impl Named {
    fn new(report: &Value) -> Self {
        let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let offset = |entry: &Value| entry["offset"].as_u64().unwrap_or(u64::MAX);
        let pairs = |key| list(key).iter().map(|e| (text(e, "name"), text(e, "becomes"))).collect();
        let mut fields: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for entry in ["places", "lowered", "imports", "realigned"].into_iter().flat_map(list) {
            if entry["delivery"] != "kept" {
                let named = fields.entry(text(&entry, "section")).or_default();
                named.insert(offset(&entry));
                named.extend(entry["reads"].as_array().into_iter().flatten().filter_map(Value::as_u64));
            }
        }
        Named {
            fields,
            lowered: list("lowered").iter().map(|e| text(e, "section")).collect(),
            sections: pairs("sections"),
            renamed: pairs("renamed"),
            globals: list("globals").iter().map(|e| (text(e, "symbol"), offset(e))).collect(),
            absolute: list("places")
                .iter()
                .filter(|e| e["kind"] == "absolute-symbol" && e["delivery"] != "kept")
                .map(|e| text(e, "symbol"))
                .collect(),
            symbols: ["globals", "imports"].into_iter().flat_map(list).map(|e| text(&e, "symbol")).collect(),
        }
    }

    /// Whether the report names anything.
    fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && self.sections.is_empty()
            && self.renamed.is_empty()
            && self.symbols.is_empty()
    }
}

/// Compares an object with what became of it.
///
/// # Errors
/// What differs although the report does not name it.
pub(crate) fn assert_untouched(input: &Path, output: &Path, report: &Value) -> Result<(), String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let found = differences(&read(input)?, &read(output)?, report)?;
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("{} changed more than it says:\n{}", output.display(), found.join("\n")))
}

/// Whether a report names anything that changed.
pub(crate) fn names_nothing(report: &Value) -> bool {
    Named::new(report).is_empty()
}

/// What differs between an object and what became of it although the report does not name it; at most a few lines.
///
/// # Errors
/// One of the two cannot be read.
pub(crate) fn differences(input: &[u8], output: &[u8], report: &Value) -> Result<Vec<String>, String> {
    let comparison = Comparison {
        old: Object::read(input).map_err(|e| format!("input: {e}"))?,
        new: Object::read(output).map_err(|e| format!("output: {e}"))?,
        named: Named::new(report),
    };
    let mut found = comparison.run();
    found.truncate(20);
    Ok(found)
}

struct Comparison<'a> {
    old: Object<'a>,
    new: Object<'a>,
    named: Named,
}

impl Comparison<'_> {
    fn run(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.old.header != self.new.header {
            found.push(format!("file header: {:x?} {:x?}", self.old.header, self.new.header));
        }
        if self.new.sections.len() < self.old.sections.len() {
            found.push("sections are missing".to_owned());
            return found;
        }
        self.symbols(&mut found);
        for index in 0..self.old.sections.len() {
            self.section(index, &mut found);
        }
        found
    }

    /// The output's index of a symbol of the input: ours come after its last local one.
    fn moved(&self, symbol: u32) -> u32 {
        if (symbol as usize) < self.old.globals {
            symbol
        } else {
            symbol + (self.new.globals - self.old.globals) as u32
        }
    }

    fn symbols(&self, found: &mut Vec<String>) {
        if self.new.globals < self.old.globals || self.new.symbols.len() < self.old.symbols.len() {
            found.push("symbols are missing".to_owned());
            return;
        }
        let referenced: HashSet<u32> = self
            .new
            .sections
            .iter()
            .filter(|s| s.name != RECORD)
            .flat_map(|s| s.relocations.iter().map(|r| r.symbol))
            .collect();
        for (index, old) in self.old.symbols.iter().enumerate() {
            let moved = self.moved(index as u32);
            let Some(new) = self.new.symbols.get(moved as usize) else {
                found.push(format!("symbol {index} ({}) is missing", old.name));
                continue;
            };
            let mut expected = old.clone();
            // An import that became another symbol of the object keeps its entry, which nothing refers to.
            let left = old.section == 0 && new.name == old.name && !referenced.contains(&moved);
            if let Some(renamed) = self.named.renamed.get(old.name).filter(|_| !left) {
                expected.name = renamed;
                if old.section != 0 {
                    // A name that two sessions would not share is nothing that others may refer to.
                    expected.other = expected.other & !3 | elf::STV_HIDDEN.0;
                }
            }
            let counter = old.name.contains('#') || old.name.contains("YY.");
            if counter && old.section != 0 && old.info >> 4 != 0 && self.named.symbols.contains(old.name) {
                // Another object's or library's variable of that name is another one.
                expected.other = expected.other & !3 | elf::STV_HIDDEN.0;
                if new.info >> 4 == elf::STB_WEAK.0 {
                    expected.info = expected.info & 15 | elf::STB_WEAK.0 << 4;
                }
            }
            if old.section == u32::from(elf::SHN_ABS.0) && self.named.absolute.contains(old.name) {
                let local = old.info >> 4 == elf::STB_LOCAL.0;
                (expected.value, expected.size, expected.info) = (0, 0, old.info & 0xf0);
                if !local {
                    expected.section = 0;
                    expected.other = expected.other & !3 | new.other & old.other & 3;
                }
            }
            if expected.section == 0 && new.info >> 4 == elf::STB_WEAK.0 && !referenced.contains(&moved) {
                // Nothing refers to it any more: it may stay undefined.
                expected.info = expected.info & 15 | elf::STB_WEAK.0 << 4;
            }
            if expected != *new {
                found.push(format!("symbol {index}: expected {expected:x?}, is {new:x?}"));
            }
        }
    }

    fn section(&self, index: usize, found: &mut Vec<String>) {
        let (old, new) = (&self.old.sections[index], &self.new.sections[index]);
        let mut expected = old.clone();
        // The map that an object carried is gone.
        if old.name == MAP && old.kind != elf::SHT_NULL.0 {
            if new.kind != elf::SHT_NULL.0 {
                found.push(format!("section {index}: the session map is still there"));
            }
            return;
        }
        if let Some(becomes) = self.named.sections.get(old.name) {
            expected.name = becomes;
            expected.flags |= new.flags & elf::SHF_WRITE.0;
            if old.flags & elf::SHF_MERGE.0 != 0 && new.flags & elf::SHF_MERGE.0 == 0 {
                expected.flags &= !(elf::SHF_MERGE.0 | elf::SHF_STRINGS.0);
                expected.entry_size = 0;
            }
        }
        let table = matches!(elf::SectionType(old.kind), elf::SHT_RELA);
        let becomes;
        if table {
            let home = &self.old.sections[old.info as usize].name;
            if let Some(named) = self.named.sections.get(*home) {
                becomes = format!(".rela{named}");
                expected.name = &becomes;
            }
        }
        match elf::SectionType(old.kind) {
            elf::SHT_SYMTAB => expected.info = self.new.globals as u32,
            elf::SHT_GROUP => expected.info = self.moved(old.info),
            _ => {}
        }
        let header =
            |s: &Section<'_>| (s.name.to_owned(), s.kind, s.flags, s.link, s.info, s.align, s.entry_size);
        if header(&expected) != header(new) {
            found.push(format!("section {index}: expected {:x?}, is {:x?}", header(&expected), header(new)));
        }
        let same = match elf::SectionType(old.kind) {
            // Compared by what they say.
            elf::SHT_SYMTAB | elf::SHT_STRTAB | elf::SHT_SYMTAB_SHNDX => true,
            // The first holds the number of sections where that does not fit into the file header.
            elf::SHT_NULL => true,
            elf::SHT_RELA => {
                self.relocations(index, found);
                true
            }
            elf::SHT_GROUP => new.data.starts_with(old.data),
            SHT_LLVM_ADDRSIG => {
                let moved: Vec<u64> =
                    numbers(old.data).into_iter().map(|s| self.moved(s as u32).into()).collect();
                moved == numbers(new.data)
            }
            elf::SHT_NOBITS => old.size == new.size,
            _ => {
                self.bytes(index, found);
                let grows = self.grows(index);
                grows || old.size == new.size && (old.offset == new.offset || old.size == 0)
            }
        };
        if !same {
            found.push(format!("section {index} ({}): other contents or place", old.name));
        }
    }

    /// Where in sections of that index the report says that something changed; the instruction around a field included.
    fn windows(&self, index: usize) -> BTreeMap<u64, u64> {
        let name = self.old.sections[index].name;
        let fields = self.named.fields.get(name).into_iter().flatten();
        // An instruction has at most eleven bytes before its constant, and ends with it.
        let mut windows: BTreeMap<u64, u64> = BTreeMap::new();
        for &field in fields {
            let end = windows.entry(field.saturating_sub(11)).or_default();
            *end = (*end).max(field.saturating_add(8));
        }
        for (symbol, offset) in &self.named.globals {
            let homes = self.old.symbols.iter().filter(|s| s.name == symbol);
            windows.extend(
                homes
                    .filter(|s| s.section as usize == index)
                    .map(|s| (s.value + offset, s.value + offset + 8)),
            );
        }
        windows
    }

    /// Sections whose encodings change: those bytes are elsewhere than the relocation.
    fn is_unwind_table(&self, index: usize) -> bool {
        let name = self.old.sections[index].name;
        (name == ".eh_frame" || name.starts_with(".gcc_except_table")) && self.named.lowered.contains(name)
    }

    /// Unwind information of added code comes behind the object's own, which the report then names.
    fn grows(&self, index: usize) -> bool {
        let (old, new) = (&self.old.sections[index], &self.new.sections[index]);
        old.name == ".eh_frame" && self.named.sections.contains_key(old.name) && old.size < new.size
    }

    fn bytes(&self, index: usize, found: &mut Vec<String>) {
        let (old, new) = (&self.old.sections[index], &self.new.sections[index]);
        if old.data.len() > new.data.len() {
            found.push(format!("{} became shorter", old.name));
            return;
        }
        if old.data == new.data || self.is_unwind_table(index) {
            return;
        }
        let windows = self.windows(index);
        let changed = (0..).zip(old.data.iter().zip(new.data)).filter(|(_, (a, b))| a != b);
        let outside = changed.map(|(at, _): (u64, _)| at).find(|&at| !within(&windows, at));
        if let Some(at) = outside {
            found.push(format!("{}+{at:#x}: another byte, which the report does not name", old.name));
        }
    }

    fn relocations(&self, index: usize, found: &mut Vec<String>) {
        let (old, new) = (&self.old.sections[index], &self.new.sections[index]);
        let home = old.info as usize;
        if self.is_unwind_table(home) {
            return;
        }
        let windows = self.windows(home);
        let named = |r: &Relocation| within(&windows, r.offset);
        let moved = |r: &Relocation| Relocation { symbol: self.moved(r.symbol), ..*r };
        // References to a variable that became ours keep all but their symbol.
        let shown = |r: Relocation, symbols: &[Symbol<'_>], old: bool| {
            let name = symbols.get(r.symbol as usize).map_or("", |s| s.name);
            let theirs = old && (self.named.symbols.contains(name) || self.named.renamed.contains_key(name));
            (r.offset, r.kind, (!theirs).then_some(r))
        };
        let kept: Vec<_> = old.relocations.iter().filter(|r| !named(r)).collect();
        let added = |r: &Relocation| self.grows(home) && r.offset >= self.old.sections[home].size;
        let there: Vec<_> = new.relocations.iter().filter(|r| !named(r) && !added(r)).collect();
        if kept.len() != there.len() {
            found.push(format!(
                "{}: {} relocations that the report does not name became {}",
                old.name,
                kept.len(),
                there.len()
            ));
            return;
        }
        for (was, is) in kept.into_iter().zip(there) {
            let expected = shown(*was, &self.old.symbols, true);
            let same = match expected.2 {
                Some(_) => moved(was) == *is,
                None => (was.offset, was.kind) == (is.offset, is.kind),
            };
            if !same {
                found.push(format!("{}: expected {:x?}, is {is:x?}", old.name, moved(was)));
                return;
            }
        }
    }
}

/// Whether one of the windows, by start, none of them longer than nineteen bytes, holds that offset.
fn within(windows: &BTreeMap<u64, u64>, at: u64) -> bool {
    windows.range(at.saturating_sub(18)..=at).any(|(_, &end)| at < end)
}

/// Unsigned LEB128 numbers (DWARF 5, 7.6).
fn numbers(data: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    let (mut value, mut shift) = (0u64, 0);
    for byte in data {
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte & 0x80 == 0 {
            numbers.push(value);
            (value, shift) = (0, 0);
        }
    }
    numbers
}
