//! That a rewritten object differs from its input only where the report says so: sections at their index with their
//! bytes, flags and offsets, symbols in their order, relocations as they were, what is new behind or between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use object::LittleEndian as LE;
use object::elf::{
    FileHeader64, Rela64, SHF_MERGE, SHF_STRINGS, SHF_WRITE, SectionHeader64, SectionType, Sym64,
};
use object::elf::{SHT_GROUP, SHT_NOBITS, SHT_NULL, SHT_RELA, SHT_STRTAB, SHT_SYMTAB, SHT_SYMTAB_SHNDX};
use object::read::elf::{FileHeader, Rela, SectionHeader, Sym};
use serde_json::Value;

/// Its numbers are indices of symbols.
const SHT_LLVM_ADDRSIG: SectionType = SectionType(0x6fff_4c03);

/// Compares an object with what became of it.
///
/// # Errors
/// The first difference that the report does not name.
pub(crate) fn assert_untouched(input: &Path, output: &Path, report: &Value) -> Result<(), String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let (old, new) = (read(input)?, read(output)?);
    compare(&View::parse(&old)?, &View::parse(&new)?, &Named::from(report))
        .map_err(|error| format!("{} changed more than it says: {error}", output.display()))
}

/// What the report names.
struct Named {
    /// Offsets of fields in sections.
    fields: BTreeMap<String, BTreeSet<u64>>,
    /// Sections with another name or other flags.
    sections: BTreeMap<String, String>,
    /// Symbols with another name.
    renamed: BTreeMap<String, String>,
    /// Variables and imports.
    symbols: BTreeSet<String>,
}

impl Named {
    fn from(report: &Value) -> Named {
        let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let mut fields: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for entry in ["places", "lowered", "imports"].into_iter().flat_map(list) {
            fields
                .entry(text(&entry, "section"))
                .or_default()
                .extend(entry["offset"].as_u64());
        }
        let pairs = |key: &str| {
            list(key)
                .iter()
                .map(|e| (text(e, "name"), text(e, "becomes")))
                .collect()
        };
        let symbols = ["globals", "imports"]
            .into_iter()
            .flat_map(list)
            .map(|e| text(&e, "symbol"))
            .collect();
        Named {
            fields,
            sections: pairs("sections"),
            renamed: pairs("renamed"),
            symbols,
        }
    }

    /// Whether a byte belongs to a field of the report, or to the instruction around it: a 64-bit constant has up to
    /// two bytes of instruction before it, and a 32-bit one is seven bytes from the beginning to the end.
    fn covers(&self, section: &str, offset: u64) -> bool {
        // Of a table of the unwinder, the encoding byte stands before the field, in the entry's header.
        let whole = matches!(section, ".eh_frame" | ".gcc_except_table");
        let Some(fields) = self.fields.get(section) else {
            return false;
        };
        whole
            || fields
                .range(offset.saturating_sub(7)..=offset + 3)
                .next()
                .is_some()
    }
}

struct Section<'a> {
    name: String,
    header: &'a SectionHeader64<LE>,
    data: &'a [u8],
}

struct View<'a> {
    sections: Vec<Section<'a>>,
    symbols: Vec<(String, &'a Sym64<LE>)>,
    relocations: BTreeMap<usize, &'a [Rela64<LE>]>,
    locals: usize,
}

impl<'a> View<'a> {
    fn parse(bytes: &'a [u8]) -> Result<View<'a>, String> {
        Self::read(bytes).map_err(|error| error.to_string())
    }

    fn read(bytes: &'a [u8]) -> object::Result<View<'a>> {
        let header = FileHeader64::<LE>::parse(bytes)?;
        let table = header.sections(LE, bytes)?;
        let lossy = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut view = View {
            sections: Vec::new(),
            symbols: Vec::new(),
            relocations: BTreeMap::new(),
            locals: 0,
        };
        for (index, section) in table.enumerate() {
            let name = lossy(table.section_name(LE, section)?);
            view.sections.push(Section {
                name,
                header: section,
                data: section.data(LE, bytes)?,
            });
            if let Some((relocations, _)) = section.rela(LE, bytes)? {
                view.relocations.insert(section.sh_info(LE) as usize, relocations);
            }
            if section.sh_type(LE) == SHT_SYMTAB {
                view.locals = section.sh_info(LE) as usize;
                let symbols = table.symbol_table_by_index(LE, bytes, index)?;
                for symbol in symbols.iter() {
                    view.symbols
                        .push((lossy(symbols.symbol_name(LE, symbol)?), symbol));
                }
            }
        }
        Ok(view)
    }
}

fn compare(old: &View<'_>, new: &View<'_>, named: &Named) -> Result<(), String> {
    if new.sections.len() < old.sections.len() {
        return Err("sections are missing".to_owned());
    }
    for (index, (before, after)) in old.sections.iter().zip(&new.sections).enumerate() {
        section(before, after, named)
            .map_err(|error| format!("section {index}, {}: {error}", before.name))?;
    }
    let inserted = new
        .locals
        .checked_sub(old.locals)
        .ok_or("local symbols are missing")?;
    let moved = |index: usize| {
        if index < old.locals {
            index
        } else {
            index + inserted
        }
    };
    for (index, (name, before)) in old.symbols.iter().enumerate() {
        let (name_after, after) = new.symbols.get(moved(index)).ok_or("symbols are missing")?;
        symbol(name, before, name_after, after, named)
            .map_err(|error| format!("symbol {index}, {name}: {error}"))?;
    }
    for (&index, relocations) in &old.relocations {
        let Some(section) = old.sections.get(index) else {
            continue;
        };
        let found = new.relocations.get(&index).copied().unwrap_or_default();
        let have: BTreeSet<(u64, u32, usize, i64)> = found.iter().map(|r| parts(r, &|index| index)).collect();
        for relocation in relocations.iter() {
            let part = parts(relocation, &moved);
            let touched = named.covers(&section.name, part.0)
                || old
                    .symbols
                    .get(relocation.r_sym(LE, false) as usize)
                    .is_some_and(|s| named.symbols.contains(&s.0));
            if !have.contains(&part) && !touched {
                return Err(format!(
                    "the relocation at {}+{:#x} changed",
                    section.name, part.0
                ));
            }
        }
    }
    Ok(())
}

fn parts(relocation: &Rela64<LE>, moved: &dyn Fn(usize) -> usize) -> (u64, u32, usize, i64) {
    let symbol = moved(relocation.r_sym(LE, false) as usize);
    (
        relocation.r_offset(LE),
        relocation.r_type(LE, false).0,
        symbol,
        relocation.r_addend(LE),
    )
}

fn section(before: &Section<'_>, after: &Section<'_>, named: &Named) -> Result<(), String> {
    let (old, new) = (before.header, after.header);
    let kind = old.sh_type(LE);
    // The map that an object carried is gone.
    if before.name == ".relocfix.session_map" {
        let gone = new.sh_type(LE) == SHT_NULL;
        return if gone {
            Ok(())
        } else {
            Err("the map is still there".to_owned())
        };
    }
    let base = before.name.strip_prefix(".rela").filter(|_| kind == SHT_RELA);
    let becomes = named.sections.get(base.unwrap_or(&before.name));
    let expected = becomes.map_or_else(
        || before.name.clone(),
        |name| {
            if base.is_some() {
                format!(".rela{name}")
            } else {
                name.clone()
            }
        },
    );
    if after.name != expected {
        return Err(format!("it is called {}", after.name));
    }
    let mut flags = old.sh_flags(LE).0;
    if base.is_none() && becomes.is_some() {
        flags = (flags | SHF_WRITE.0) & !(SHF_MERGE | SHF_STRINGS).0;
    }
    let is = (new.sh_type(LE), new.sh_flags(LE).0, new.sh_addralign(LE));
    let was = (kind, flags, old.sh_addralign(LE));
    if is != was {
        return Err(format!("type, flags or alignment: {was:?} became {is:?}"));
    }
    // Tables that are written anew, or hold indices of symbols.
    if matches!(
        kind,
        SHT_RELA | SHT_SYMTAB | SHT_STRTAB | SHT_SYMTAB_SHNDX | SHT_GROUP | SHT_LLVM_ADDRSIG
    ) {
        return Ok(());
    }
    if kind != SHT_NOBITS && new.sh_offset(LE) != old.sh_offset(LE) {
        return Err("it moved in the file".to_owned());
    }
    if new.sh_size(LE) != old.sh_size(LE) {
        return Err("its size changed".to_owned());
    }
    let changed = before
        .data
        .iter()
        .zip(after.data)
        .enumerate()
        .filter(|(_, (a, b))| a != b);
    for (offset, _) in changed {
        if !named.covers(&before.name, offset as u64) {
            return Err(format!("the byte at {offset:#x} changed"));
        }
    }
    Ok(())
}

fn symbol(
    name: &str,
    old: &Sym64<LE>,
    name_after: &str,
    new: &Sym64<LE>,
    named: &Named,
) -> Result<(), String> {
    if named.symbols.contains(name) {
        return Ok(());
    }
    if let Some(becomes) = named.renamed.get(name) {
        return if name_after == becomes {
            Ok(())
        } else {
            Err(format!("it is called {name_after}"))
        };
    }
    if name_after != name {
        return Err(format!("it is called {name_after}"));
    }
    let shape = |s: &Sym64<LE>| {
        (
            s.st_info(),
            s.st_other(),
            s.st_shndx(LE),
            s.st_value(LE),
            s.st_size(LE),
        )
    };
    if shape(old) != shape(new) {
        return Err(format!("{:?} became {:?}", shape(old), shape(new)));
    }
    Ok(())
}
