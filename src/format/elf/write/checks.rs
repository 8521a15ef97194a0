//! Refuses edits that name what is not there, contradict each other or cannot be expressed in ELF, before
//! anything is built from them.

use std::collections::BTreeSet;

use object::elf;

use super::super::tables::Tables;
use crate::edits::{Edits, Home, NewSectionKind, RelocationEdit, SymbolRef};
use crate::error::{Error, Result};
use crate::object_file::{Binding, ObjectFile, SectionId, SectionKind, SymbolId, SymbolPlace};

pub(super) const TWICE: &str = "two changes of the same bytes";

/// Checks all edits against the object and each other; relocation fields are checked where they are written.
pub(super) fn check(object: &ObjectFile<'_>, tables: &Tables<'_>, edits: &Edits) -> Result<()> {
    bytes(object, edits)?;
    sections(object, tables, edits)?;
    extensions(object, tables, edits)?;
    symbols(object, edits)?;
    new_sections(object, edits)?;
    new_symbols(object, edits)?;
    references(object, edits)
}

/// A section whose contents or header may be edited.
fn editable(object: &ObjectFile<'_>, edits: &Edits, id: SectionId, what: &str) -> Result<()> {
    let section = object.sections.get(id.0 as usize);
    let Some(section) = section else {
        return Err(Error::refused(object.name, format!("{what} in section {}, which does not exist", id.0)));
    };
    if section.kind == SectionKind::Format {
        return Err(refused_at(object, id, 0, format!("{what} in a table of the format itself")));
    }
    if edits.section_edits.get(&id).is_some_and(|e| e.null) {
        return Err(refused_at(object, id, 0, format!("{what} in a section that is taken away")));
    }
    Ok(())
}

pub(super) fn refused_at(
    object: &ObjectFile<'_>,
    id: SectionId,
    offset: u64,
    message: impl Into<String>,
) -> Error {
    Error::refused(object.name, message).at(object.section(id).name, offset)
}

fn bytes(object: &ObjectFile<'_>, edits: &Edits) -> Result<()> {
    let mut order: Vec<_> = edits.bytes.iter().collect();
    order.sort_by_key(|e| (e.section, e.offset));
    let mut previous_end = (SectionId(0), 0);
    for edit in &order {
        editable(object, edits, edit.section, "a change of bytes")?;
        let end = replaced(object, edit.section, edit.offset, &edit.old, &edit.new)?;
        if edit.section == previous_end.0 && edit.offset < previous_end.1 {
            return Err(refused_at(object, edit.section, edit.offset, TWICE));
        }
        previous_end = (edit.section, end);
    }
    // What is repeated is looked at where it is written.
    for &id in edits.repeated.keys() {
        editable(object, edits, id, "a repeated change")?;
        if edits.relocations.get(&id).is_none_or(Vec::is_empty) {
            return Err(refused_at(object, id, 0, "a repeated change that no edit makes first"));
        }
    }
    Ok(())
}

/// Where bytes end that are to be replaced, if the old ones are there and the new ones are as many.
fn replaced(object: &ObjectFile<'_>, id: SectionId, offset: u64, old: &[u8], new: &[u8]) -> Result<u64> {
    let start = usize::try_from(offset).ok();
    let end = start.and_then(|s| s.checked_add(old.len()));
    let found = start.zip(end).and_then(|(start, end)| object.section(id).data.get(start..end));
    expected(object, id, offset, found, old, new)?;
    Ok(offset + old.len() as u64)
}

/// Whether bytes to be replaced, if they are in the section, are those that are expected, and the new ones as many.
pub(super) fn expected(
    object: &ObjectFile<'_>,
    id: SectionId,
    offset: u64,
    found: Option<&[u8]>,
    old: &[u8],
    new: &[u8],
) -> Result<()> {
    let refused = |message: String| Err(refused_at(object, id, offset, message));
    if old.len() != new.len() {
        return refused(format!("{} bytes cannot become {}", old.len(), new.len()));
    }
    match found {
        None => refused("the bytes to change are outside of the section".to_owned()),
        Some(found) if found != old => {
            refused(format!("the bytes to change are {found:02x?}, expected {old:02x?}"))
        }
        Some(_) => Ok(()),
    }
}

fn sections(object: &ObjectFile<'_>, tables: &Tables<'_>, edits: &Edits) -> Result<()> {
    let nulled = |id: u32| edits.section_edits.get(&SectionId(id)).is_some_and(|e| e.null);
    for (&id, edit) in &edits.section_edits {
        if !edit.null {
            editable(object, edits, id, "a change of the header")?;
            continue;
        }
        let section = object
            .sections
            .get(id.0 as usize)
            .ok_or_else(|| Error::refused(object.name, format!("section {} does not exist", id.0)))?;
        if section.kind == SectionKind::Format {
            return Err(refused_at(object, id, 0, "a table of the format itself cannot be taken away"));
        }
        if section.group.is_some() {
            return Err(refused_at(object, id, 0, "a member of a section group cannot be taken away alone"));
        }
    }
    if !edits.section_edits.values().any(|e| e.null) {
        return Ok(());
    }
    for symbol in &object.symbols {
        let SymbolPlace::Section(home) = symbol.place else {
            continue;
        };
        let dropped = edits.symbol_edits.get(&symbol.id).is_some_and(|e| e.drop_definition);
        if nulled(home.0) && !dropped {
            return Err(refused_at(
                object,
                home,
                symbol.value,
                format!(
                    "symbol {} ({}) is defined in a section that is taken away",
                    symbol.id.0, symbol.name
                ),
            ));
        }
    }
    for (index, header) in tables.sections.iter().enumerate() {
        let ordered = header.has_flag(elf::SHF_LINK_ORDER) && nulled(header.sh_link);
        if ordered && !nulled(index as u32) {
            let id = SectionId(header.sh_link);
            return Err(refused_at(
                object,
                id,
                0,
                format!("section {index} is linked to this one, which is taken away"),
            ));
        }
    }
    Ok(())
}

fn extensions(object: &ObjectFile<'_>, tables: &Tables<'_>, edits: &Edits) -> Result<()> {
    let mut seen = BTreeSet::new();
    for extension in &edits.extensions {
        let id = extension.section;
        editable(object, edits, id, "an extension")?;
        let section = object.section(id);
        let header = &tables.sections[id.0 as usize];
        let compressed = header.has_flag(elf::SHF_COMPRESSED);
        if section.kind == SectionKind::ZeroFill || section.merge || compressed {
            return Err(refused_at(object, id, section.size, "this kind of section cannot be extended"));
        }
        if !seen.insert(id) {
            return Err(refused_at(object, id, section.size, "two extensions of one section"));
        }
    }
    Ok(())
}

fn symbols(object: &ObjectFile<'_>, edits: &Edits) -> Result<()> {
    for (&id, edit) in &edits.symbol_edits {
        let Some(symbol) = object.symbols.get(id.0 as usize).filter(|_| id != SymbolId(0)) else {
            return Err(Error::refused(
                object.name,
                format!("symbol {} cannot be changed: it does not exist", id.0),
            ));
        };
        if edit.undefine && symbol.binding == Binding::Local {
            return Err(Error::refused(
                object.name,
                format!("symbol {} ({}) cannot become undefined: it is local", id.0, symbol.name),
            ));
        }
        if edit.weak && !matches!(symbol.binding, Binding::Global | Binding::Weak) {
            return Err(Error::refused(
                object.name,
                format!("symbol {} ({}) cannot become weak: it is not global", id.0, symbol.name),
            ));
        }
    }
    Ok(())
}

fn new_sections(object: &ObjectFile<'_>, edits: &Edits) -> Result<()> {
    for section in &edits.sections {
        let refused = |message: &str| {
            Err(Error::refused(object.name, format!("new section {}: {message}", section.name)))
        };
        if !section.align.is_power_of_two() {
            return refused("its alignment is not a power of two");
        }
        let zero_fill = section.kind == NewSectionKind::ZeroFill;
        if zero_fill && !(section.data.is_empty() && section.relocations.is_empty()) {
            return refused("it is without file contents and has some");
        }
        if !zero_fill && section.data.len() as u64 != section.size {
            return refused("its size is not that of its contents");
        }
        if section.group.is_some_and(|g| g.0 as usize >= object.groups.len()) {
            return refused("its group does not exist");
        }
    }
    Ok(())
}

fn new_symbols(object: &ObjectFile<'_>, edits: &Edits) -> Result<()> {
    for local in &edits.locals {
        let size = match local.home {
            Home::Existing(id) => {
                editable(object, edits, id, "a new symbol")?;
                Some(object.section(id).size)
            }
            Home::New(id) => edits.sections.get(id.0 as usize).map(|s| s.size),
        };
        let end = local.value.checked_add(local.size);
        if end.is_none() || end > size {
            return Err(Error::refused(
                object.name,
                format!(
                    "new symbol {:?}: {:#x} bytes at {:#x} are outside of its section",
                    local.name, local.size, local.value
                ),
            ));
        }
    }
    let undefined = edits.undefined.iter().map(|symbol| &symbol.name);
    if undefined.chain(edits.weak.iter().map(|symbol| &symbol.name)).any(String::is_empty) {
        return Err(Error::refused(object.name, "a new global symbol without a name"));
    }
    for weak in &edits.weak {
        let section = edits.sections.get(weak.section.0 as usize).filter(|s| s.group.is_none());
        let inside = weak.value.checked_add(weak.size);
        if section.zip(inside).is_none_or(|(section, end)| end > section.size) {
            let message =
                format!("new symbol {:?} is outside of its section, or that is in a group", weak.name);
            return Err(Error::refused(object.name, message));
        }
        let undefined = |id: SymbolId| {
            object.symbols.get(id.0 as usize).is_some_and(|s| {
                s.place == SymbolPlace::Undefined && s.name == weak.name && s.binding != Binding::Local
            }) && !edits.symbol_edits.contains_key(&id)
        };
        if weak.instead.is_some_and(|id| !undefined(id)) {
            let message = format!("new symbol {:?} takes the place of one that is not undefined", weak.name);
            return Err(Error::refused(object.name, message));
        }
    }
    Ok(())
}

/// Every reference is to something that exists and stays.
fn references(object: &ObjectFile<'_>, edits: &Edits) -> Result<()> {
    for (&id, list) in &edits.relocations {
        if list.is_empty() {
            continue;
        }
        editable(object, edits, id, "a change of relocations")?;
        for edit in list {
            if let RelocationEdit::Replace(_, new) | RelocationEdit::Add(new) = edit {
                reference(object, edits, new.symbol, object.section(id).name, new.offset)?;
            }
        }
    }
    for (&id, repeated) in &edits.repeated {
        for pattern in &repeated.patterns {
            let new = pattern.relocation;
            reference(object, edits, new.symbol, object.section(id).name, new.offset)?;
        }
    }
    for extension in &edits.extensions {
        let section = object.section(extension.section);
        for new in &extension.relocations {
            let offset = section.size.saturating_add(new.offset);
            reference(object, edits, new.symbol, section.name, offset)?;
        }
    }
    for section in &edits.sections {
        for new in &section.relocations {
            reference(object, edits, new.symbol, &section.name, new.offset)?;
        }
    }
    Ok(())
}

fn reference(
    object: &ObjectFile<'_>,
    edits: &Edits,
    symbol: SymbolRef,
    section: &str,
    offset: u64,
) -> Result<()> {
    let exists = match symbol {
        SymbolRef::Existing(id) => (id.0 as usize) < object.symbols.len(),
        SymbolRef::Section(id) => return editable(object, edits, id, "a reference"),
        SymbolRef::NewSection(id) => (id.0 as usize) < edits.sections.len(),
        SymbolRef::Local(id) => (id.0 as usize) < edits.locals.len(),
        SymbolRef::Undefined(id) => (id.0 as usize) < edits.undefined.len(),
        SymbolRef::Weak(id) => (id.0 as usize) < edits.weak.len(),
    };
    if exists {
        return Ok(());
    }
    let message = format!("a relocation refers to {symbol:?}, which does not exist");
    Err(Error::refused(object.name, message).at(section, offset))
}
