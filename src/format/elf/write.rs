//! Puts edits into a copy of an ELF object, in place. What goes where:
//!
//! * Sections of the input keep their index, file offset and bytes, edited bytes aside. A table that changes
//!   and keeps its size stays where it is.
//! * A section that is extended and a table whose size changes (symbols, names, relocations, groups, address significance) are written
//!   anew behind the last byte that stays; where it was there are zeros, and nothing that was at the file's end
//!   is left. Bytes of the input that belong to no section become zeros too.
//! * Section indices: the input's; [`Edits::sections`] in order; new relocation tables, first those of the
//!   input's sections by index, then those of new sections; last, if it becomes necessary, `.symtab_shndx`.
//!   Contents follow in the order of indices, then symbols and names, then the section header table.
//! * Symbol indices: the input's local symbols; [`Edits::locals`] in order; section symbols that are referred
//!   to and do not exist, of the input's sections by index, then of new sections; the input's global symbols;
//!   [`Edits::undefined`] in order. So global symbols move by a constant, and every table that knows a symbol
//!   by index is rewritten; of a table that may know one in a way not known here the object is refused.
//! * String tables hold the names in use and nothing else.

mod checks;
mod layout;
mod relocations;
mod repeats;
mod symbols;

use std::borrow::Cow;

use object::elf;

use self::layout::{Contents, Output, OutputSection};
use self::symbols::SymbolPlan;
use super::records::{
    SHF_GNU_RETAIN, SHF_X86_64_LARGE, SHT_LLVM_ADDRSIG, SHT_LLVM_CALL_GRAPH_PROFILE, SectionHeader,
};
use super::string_table::StringTableBuilder;
use super::tables::Tables;
use crate::edits::{Edits, NewSection, NewSectionKind};
use crate::error::{Error, Result};
use crate::format::Room;
use crate::object_file::{GroupId, ObjectFile, SectionKind};

/// The input with all edits applied; byte for byte the input if there are none.
///
/// # Errors
/// An edit that names what is not there, contradicts another or cannot be expressed, and tables that hold
/// symbol indices in a form that is not known, with section and offset.
pub(in crate::format) fn write(object: &ObjectFile<'_>, edits: &Edits, room: &mut dyn Room) -> Result<()> {
    if edits.is_empty() {
        room.take(object.bytes.len())?.copy_from_slice(object.bytes);
        return Ok(());
    }
    let tables = Tables::parse(object.name, object.bytes)?;
    checks::check(object, &tables, edits)?;
    let plan = SymbolPlan::new(object, &tables, edits)?;
    refuse_unknown_links(&tables, &plan)?;

    let mut output = Output::new(&tables)?;
    edit_sections(object, &tables, edits, &mut output);
    for extension in &edits.extensions {
        let index = extension.section.0 as usize;
        output.sections[index].replace(Contents::Bytes([tables.data(index), &extension.data].concat()));
    }
    let mut joins = Joins::default();
    for section in &edits.sections {
        if let Some(group) = section.group {
            joins.add(group, output.sections.len());
        }
        output.sections.push(new_section(object, &tables, section));
    }
    relocations::write(object, &tables, edits, &plan, &mut output, &mut joins)?;
    extend_groups(object, &tables, &plan, &joins, &mut output);
    move_address_significance(&tables, &plan, &mut output)?;
    write_symbols_and_names(object, &tables, edits, &plan, &mut output)?;
    output.finish(object, &tables, edits, room)
}

/// New members of groups, in the order of their indices.
#[derive(Debug, Default)]
struct Joins(Vec<(GroupId, u32)>);

impl Joins {
    fn add(&mut self, group: GroupId, section: usize) {
        self.0.push((group, section as u32));
    }
}

/// Sections that are linked to a table which changes, in a way that is not known here.
fn refuse_unknown_links(tables: &Tables<'_>, plan: &SymbolPlan) -> Result<()> {
    let symtab = tables.symbols.as_ref().map(|t| t.section);
    let strtab = tables.symbols.as_ref().map(|t| t.strtab);
    for (index, header) in tables.sections.iter().enumerate() {
        let link = header.sh_link as usize;
        if header.sh_size == 0 || link == 0 || index == 0 || header.sh_type == elf::SHT_NULL.0 {
            continue;
        }
        let known = match elf::SectionType(header.sh_type) {
            elf::SHT_RELA | elf::SHT_REL | elf::SHT_GROUP | elf::SHT_SYMTAB | elf::SHT_SYMTAB_SHNDX => true,
            elf::SectionType(SHT_LLVM_ADDRSIG) => true,
            // Weights only; what they are about is said by relocations.
            elf::SectionType(SHT_LLVM_CALL_GRAPH_PROFILE) => header.sh_entsize == 8,
            _ => false,
        };
        if known {
            continue;
        }
        if Some(link) == symtab && plan.moves_symbols() {
            return Err(tables.unsupported(
                index,
                format!(
                    "a section of type {:#x} that is linked to the symbol table may hold symbol indices, which change; \
                     compile without what makes this section",
                    header.sh_type
                ),
            ));
        }
        if Some(link) == strtab || link == tables.shstrndx {
            return Err(tables.unsupported(
                index,
                format!(
                    "a section of type {:#x} that is linked to a string table may hold offsets of names, which change; \
                     compile without what makes this section",
                    header.sh_type
                ),
            ));
        }
    }
    Ok(())
}

/// Applies the edits of section headers; relocation tables follow their section.
fn edit_sections(object: &ObjectFile<'_>, tables: &Tables<'_>, edits: &Edits, output: &mut Output<'_>) {
    for section in &mut output.sections {
        let header = &tables.sections[section.index];
        let is_table = match elf::SectionType(header.sh_type) {
            elf::SHT_RELA => Some(".rela"),
            elf::SHT_REL => Some(".rel"),
            _ => None,
        };
        let subject = if is_table.is_some() { header.sh_info } else { section.index as u32 };
        let Some(edit) = edits.section_edits.get(&crate::object_file::SectionId(subject)) else {
            continue;
        };
        if edit.null {
            section.header = SectionHeader::default();
            section.name = Cow::Borrowed("");
            section.gone = true;
            continue;
        }
        if let Some(name) = &edit.name {
            section.name = Cow::Owned(format!("{}{name}", is_table.unwrap_or_default()));
        }
        if is_table.is_some() {
            continue;
        }
        if edit.writable {
            section.header.sh_flags |= elf::SHF_WRITE.0;
        }
        if edit.unmerge && object.sections[section.index].merge {
            section.header.sh_flags &= !(elf::SHF_MERGE.0 | elf::SHF_STRINGS.0);
            section.header.sh_entsize = 0;
        }
    }
}

fn new_section<'a>(object: &ObjectFile<'_>, tables: &Tables<'_>, section: &NewSection) -> OutputSection<'a> {
    use NewSectionKind::*;
    let (alloc, write, exec) = (elf::SHF_ALLOC.0, elf::SHF_WRITE.0, elf::SHF_EXECINSTR.0);
    let (kind, mut flags, entry_size) = match section.kind {
        Code => (elf::SHT_PROGBITS.0, alloc | exec, 0),
        LargeCode => (elf::SHT_PROGBITS.0, alloc | exec | SHF_X86_64_LARGE, 0),
        ReadOnly => (elf::SHT_PROGBITS.0, alloc, 0),
        Retained => (elf::SHT_PROGBITS.0, alloc | SHF_GNU_RETAIN, 0),
        // mold 1.10 crashes in `-r` when a member of a group is mergeable.
        Strings if section.group.is_some() => (elf::SHT_PROGBITS.0, alloc, 0),
        Strings => (elf::SHT_PROGBITS.0, alloc | elf::SHF_MERGE.0 | elf::SHF_STRINGS.0, 1),
        Writable => (elf::SHT_PROGBITS.0, alloc | write, 0),
        ZeroFill => (elf::SHT_NOBITS.0, alloc | write, 0),
        // gas writes the size of a pointer, LLVM's assembler 0.
        InitArray => (elf::SHT_INIT_ARRAY.0, alloc | write, 8),
        EhFrame => (eh_frame_type(object, tables), alloc, 0),
        Record => (elf::SHT_PROGBITS.0, elf::SHF_EXCLUDE.0, 0),
    };
    if section.group.is_some() {
        flags |= elf::SHF_GROUP.0;
    }
    let header = SectionHeader {
        sh_type: kind,
        sh_flags: flags,
        sh_size: section.size,
        sh_addralign: section.align,
        sh_entsize: entry_size,
        ..SectionHeader::default()
    };
    let contents = match section.kind {
        ZeroFill => None,
        _ => Some(Contents::Bytes(section.data.clone())),
    };
    OutputSection::new(header, section.name.clone(), contents)
}

/// gas writes `.eh_frame` as PROGBITS, LLVM as X86_64_UNWIND. Linkers take both, but old versions of lld not in
/// one output, so a new one is like the object's own.
fn eh_frame_type(object: &ObjectFile<'_>, tables: &Tables<'_>) -> u32 {
    let own = object.sections.iter().find(|s| s.kind == SectionKind::EhFrame);
    own.and_then(|s| tables.sections.get(s.id.0 as usize)).map_or(elf::SHT_PROGBITS.0, |h| h.sh_type)
}

/// Groups: new members at the end, and the signature's new index.
fn extend_groups(
    object: &ObjectFile<'_>,
    tables: &Tables<'_>,
    plan: &SymbolPlan,
    joins: &Joins,
    output: &mut Output<'_>,
) {
    for (id, group) in object.groups.iter().enumerate() {
        let index = group.section.0 as usize;
        let section = &mut output.sections[index];
        section.header.sh_info = plan.moved(group.signature.0);
        let new_members = joins.0.iter().filter(|(g, _)| g.0 as usize == id);
        let added: Vec<u8> = new_members.flat_map(|(_, member)| member.to_le_bytes()).collect();
        if !added.is_empty() {
            section.replace(Contents::Bytes([tables.data(index), &added].concat()));
        }
    }
}

/// `.llvm_addrsig`: ULEB128 indices of symbols whose address means something.
fn move_address_significance(tables: &Tables<'_>, plan: &SymbolPlan, output: &mut Output<'_>) -> Result<()> {
    let symtab = tables.symbols.as_ref().map(|t| t.section);
    let count = tables.symbols.as_ref().map_or(0, |t| t.len());
    for (index, header) in tables.sections.iter().enumerate() {
        // Tools that do not know the section set its link to 0, which makes linkers ignore it.
        let linked = Some(header.sh_link as usize) == symtab;
        if header.sh_type != SHT_LLVM_ADDRSIG || !linked || !plan.moves_symbols() {
            continue;
        }
        let mut data = tables.data(index);
        let mut moved = Vec::with_capacity(data.len());
        while !data.is_empty() {
            let offset = tables.data(index).len() - data.len();
            let (symbol, rest) =
                read_uleb128(data).filter(|&(symbol, _)| (symbol as usize) < count).ok_or_else(|| {
                    tables.error(index, offset as u64, "is not the index of a symbol (ULEB128)")
                })?;
            write_uleb128(plan.moved(symbol), &mut moved);
            data = rest;
        }
        output.sections[index].replace(Contents::Bytes(moved));
    }
    Ok(())
}

/// The number at the start of `data`, and what follows it.
fn read_uleb128(data: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u64;
    for (i, &byte) in data.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, &data[i + 1..]));
        }
    }
    None
}

fn write_uleb128(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The symbol table, its extension, and the string tables.
fn write_symbols_and_names(
    object: &ObjectFile<'_>,
    tables: &Tables<'_>,
    edits: &Edits,
    plan: &SymbolPlan,
    output: &mut Output<'_>,
) -> Result<()> {
    let symbols = plan.symbols(object, tables, edits);
    if symbols.iter().any(|s| s.needs_extension()) && !plan.has_extension(tables) {
        let symtab = tables.symbols.as_ref().map_or(0, |t| t.section);
        let header = SectionHeader {
            sh_type: elf::SHT_SYMTAB_SHNDX.0,
            sh_link: symtab as u32,
            sh_addralign: 4,
            sh_entsize: 4,
            ..SectionHeader::default()
        };
        output.sections.push(OutputSection::new(
            header,
            ".symtab_shndx".to_owned(),
            Some(Contents::Bytes(Vec::new())),
        ));
    }

    // Many names in the same bytes: looking at each would take a time that the file's size does not bound.
    let names = output.sections.iter().map(|s| &s.name);
    let length: usize = names.chain(symbols.iter().map(|s| &s.name)).map(|n| n.len()).sum();
    if length / 64 > object.bytes.len() + (1 << 20) {
        return Err(Error::malformed(object.name, "the names in the string tables overlap too much"));
    }

    let refuse = |message: String| Error::refused(object.name, message);
    let symbol_table = tables.symbols.as_ref();
    let shared = symbol_table.is_some_and(|t| t.strtab == tables.shstrndx);
    let mut builder = StringTableBuilder::default();
    output.sections.iter().for_each(|s| builder.add(&s.name));
    let mut own_names = StringTableBuilder::default();
    let of_symbols = if shared { &mut builder } else { &mut own_names };
    of_symbols.reserve(symbols.len());
    symbols.iter().for_each(|s| of_symbols.add(&s.name));
    let names = builder.build().map_err(refuse)?;
    let own_names = own_names.build().map_err(refuse)?;

    let (of_sections, of_symbols) = names.offsets.split_at(output.sections.len());
    let of_symbols = if shared { of_symbols } else { &own_names.offsets };
    let (symtab, extension) = symbols::encode(&symbols, of_symbols);
    for (section, offset) in output.sections.iter_mut().zip(of_sections) {
        section.header.sh_name = *offset;
    }
    if let Some(table) = symbol_table {
        let section = &mut output.sections[table.section];
        section.header.sh_info = plan.first_global();
        section.replace(Contents::Bytes(symtab));
        let is_extension = |s: &OutputSection<'_>| s.header.sh_type == elf::SHT_SYMTAB_SHNDX.0;
        if let Some(index) = output.sections.iter().position(is_extension) {
            output.sections[index].replace(Contents::Bytes(extension));
        }
        if !shared {
            output.sections[table.strtab].replace(Contents::Bytes(own_names.data));
        }
    }
    output.sections[tables.shstrndx].replace(Contents::Bytes(names.data));
    Ok(())
}
