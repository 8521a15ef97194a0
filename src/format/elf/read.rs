//! Fills the neutral model from an ELF file's tables: sections, symbols, groups and relocations, each index
//! and range checked, so that later stages can use them without asking again.

use object::elf;
use rayon::prelude::*;

use super::properties::{Features, features};
use super::records::{SHF_X86_64_LARGE, SHN_X86_64_LCOMMON, SHT_LLVM_ADDRSIG, SectionHeader, SymbolEntry};
use super::relocations;
use super::tables::{SymbolSection, SymbolTable, Tables};
use crate::arch::Machine;
use crate::error::{Error, ErrorKind, Result};
use crate::format::Format;
use crate::object_file::{
    Binding, Group, GroupId, ObjectFile, RelocationTable, Section, SectionId, SectionKind, Symbol, SymbolId,
    SymbolPlace, SymbolType, Visibility,
};

/// Reads headers and tables of an identified file; see [`ObjectFile::parse`].
///
/// # Errors
/// Anything that is not well-formed, with section and offset; relocation tables and link-time optimization
/// formats that this program does not know, with what to do instead.
pub(in crate::format) fn read<'d>(name: &'d str, bytes: &'d [u8]) -> Result<ObjectFile<'d>> {
    let tables = Tables::parse(name, bytes)?;
    let mut sections = sections(&tables)?;
    let bytecode = bytecode(name, &tables, &sections)?;
    let symbols = match &tables.symbols {
        Some(table) => symbols(&tables, table)?,
        None => Vec::new(),
    };
    let symbols = if symbols.is_empty() {
        // Relocations without a symbol refer to it.
        vec![null_symbol()]
    } else {
        symbols
    };
    let groups = groups(&tables, &mut sections, symbols.len())?;
    relocations::read(&tables, &mut sections, symbols.len())?;
    let Features { landing_pads, shadow_stack } = declared_features(&tables, &sections)?;
    Ok(ObjectFile {
        name,
        bytes,
        format: Format::Elf,
        machine: Machine::X86_64,
        sections,
        symbols,
        groups,
        landing_pads,
        shadow_stack,
        bytecode,
    })
}

fn sections<'d>(tables: &Tables<'d>) -> Result<Vec<Section<'d>>> {
    let mut sections = Vec::with_capacity(tables.sections.len());
    for (index, header) in tables.sections.iter().enumerate() {
        let name = tables.section_name(index)?;
        let kind = section_kind(header, name);
        let null = header.sh_type == elf::SHT_NULL.0;
        let flag = |f: elf::SectionFlags| !null && header.has_flag(f);
        if flag(elf::SHF_COMPRESSED) && flag(elf::SHF_ALLOC) {
            return Err(tables.error(
                index,
                0,
                "is compressed and allocated (gABI: SHF_COMPRESSED applies to non-allocable sections)",
            ));
        }
        sections.push(Section {
            id: SectionId(index as u32),
            name,
            kind,
            alloc: flag(elf::SHF_ALLOC),
            write: flag(elf::SHF_WRITE),
            exec: flag(elf::SHF_EXECINSTR),
            merge: flag(elf::SHF_MERGE),
            tls: flag(elf::SHF_TLS),
            compressed: flag(elf::SHF_COMPRESSED),
            large: flag(elf::SectionFlags(SHF_X86_64_LARGE)),
            align: if null { 1 } else { header.sh_addralign.max(1) },
            size: if null { 0 } else { header.sh_size },
            data: tables.data(index),
            group: None,
            table: RelocationTable::none(),
        });
    }
    Ok(sections)
}

fn section_kind(header: &SectionHeader, name: &str) -> SectionKind {
    match elf::SectionType(header.sh_type) {
        elf::SHT_NULL
        | elf::SHT_SYMTAB
        | elf::SHT_STRTAB
        | elf::SHT_RELA
        | elf::SHT_REL
        | elf::SHT_GROUP
        | elf::SHT_SYMTAB_SHNDX
        | elf::SectionType(SHT_LLVM_ADDRSIG) => SectionKind::Format,
        elf::SHT_NOBITS => SectionKind::ZeroFill,
        elf::SHT_PROGBITS | elf::SHT_X86_64_UNWIND if name == ".eh_frame" => SectionKind::EhFrame,
        elf::SHT_PROGBITS if name == ".gcc_except_table" || name.starts_with(".gcc_except_table.") => {
            SectionKind::ExceptTable
        }
        _ => SectionKind::Contents,
    }
}

/// The first section with the intermediate form of gcc or LLVM.
///
/// # Errors
/// An object that holds nothing else: there is no code to rewrite.
fn bytecode(name: &str, tables: &Tables<'_>, sections: &[Section<'_>]) -> Result<Option<SectionId>> {
    let lto = |s: &&Section<'_>| s.name.starts_with(".gnu.lto_") || s.name == ".llvm.lto";
    let program = |s: &Section<'_>| {
        s.alloc && s.size > 0 && tables.sections[s.id.0 as usize].sh_type != elf::SHT_NOTE.0
    };
    let found = sections.iter().find(lto);
    if found.is_some() && !sections.iter().any(program) {
        return Err(Error::new(
            ErrorKind::UnsupportedObject,
            name,
            "holds only code for link-time optimization: compile without -flto",
        ));
    }
    Ok(found.map(|section| section.id))
}

fn null_symbol() -> Symbol<'static> {
    Symbol {
        id: SymbolId(0),
        name: "",
        place: SymbolPlace::Undefined,
        value: 0,
        size: 0,
        binding: Binding::Local,
        visibility: Visibility::Default,
        kind: SymbolType::None,
    }
}

fn symbols<'d>(tables: &Tables<'d>, table: &SymbolTable<'d>) -> Result<Vec<Symbol<'d>>> {
    let symbol = |(index, (entry, shndx)): (usize, (SymbolEntry, SymbolSection))| {
        let wrong = |message: String| {
            let offset = index as u64 * super::records::SYM_SIZE as u64;
            tables.error(table.section, offset, format!("symbol {index}: {message}"))
        };
        if index == 0 {
            if entry != SymbolEntry::default() {
                return Err(wrong("the first symbol is all zero".to_owned()));
            }
            return Ok(null_symbol());
        }
        let name = table.name(entry.st_name).ok_or_else(|| {
            wrong(format!("its name's offset {:#x} is outside of the string table", entry.st_name))
        })?;
        let place = match shndx {
            SymbolSection::Ordinary(0) => SymbolPlace::Undefined,
            SymbolSection::Ordinary(section) if (section as usize) < tables.sections.len() => {
                SymbolPlace::Section(SectionId(section))
            }
            SymbolSection::Ordinary(section) => {
                return Err(wrong(format!("is defined in section {section} of {}", tables.sections.len())));
            }
            SymbolSection::Reserved(reserved) if reserved == elf::SHN_ABS.0 => SymbolPlace::Absolute,
            SymbolSection::Reserved(reserved)
                if reserved == elf::SHN_COMMON.0 || reserved == SHN_X86_64_LCOMMON =>
            {
                SymbolPlace::Common
            }
            SymbolSection::Reserved(reserved) => {
                return Err(wrong(format!("its section index {reserved:#x} has no meaning known here")));
            }
        };
        let binding = match elf::SymbolBind(entry.bind()) {
            elf::STB_LOCAL => Binding::Local,
            elf::STB_GLOBAL => Binding::Global,
            elf::STB_WEAK => Binding::Weak,
            elf::STB_GNU_UNIQUE => Binding::Unique,
            other => return Err(wrong(format!("its binding {other} is not known"))),
        };
        if (binding == Binding::Local) != (index < table.first_global) {
            return Err(wrong(format!(
                "local symbols come first, and sh_info says that there are {}",
                table.first_global
            )));
        }
        let kind = match elf::SymbolType(entry.kind()) {
            elf::STT_NOTYPE => SymbolType::None,
            elf::STT_OBJECT | elf::STT_COMMON => SymbolType::Object,
            elf::STT_FUNC => SymbolType::Function,
            elf::STT_GNU_IFUNC => SymbolType::IndirectFunction,
            elf::STT_SECTION => SymbolType::Section,
            elf::STT_FILE => SymbolType::File,
            elf::STT_TLS => SymbolType::ThreadLocal,
            other => return Err(wrong(format!("its type {other} is not known"))),
        };
        let visibility = match elf::SymbolVisibility(entry.st_other & 3) {
            elf::STV_DEFAULT => Visibility::Default,
            elf::STV_PROTECTED => Visibility::Protected,
            _ => Visibility::Hidden,
        };
        Ok(Symbol {
            id: SymbolId(index as u32),
            name,
            place,
            value: entry.st_value,
            size: entry.st_size,
            binding,
            visibility,
            kind,
        })
    };
    let symbols: Vec<Result<Symbol<'_>>> = table.par_iter().enumerate().map(symbol).collect();
    symbols.into_iter().collect()
}

/// Reads the section groups and notes in each member which one it is in.
fn groups(tables: &Tables<'_>, sections: &mut [Section<'_>], symbol_count: usize) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for (index, header) in tables.sections.iter().enumerate() {
        if header.sh_type != elf::SHT_GROUP.0 {
            continue;
        }
        check_symbol_table_link(tables, index)?;
        if header.sh_info == 0 || header.sh_info as usize >= symbol_count {
            return Err(tables.error(
                index,
                0,
                format!("its signature is symbol {} of {symbol_count}", header.sh_info),
            ));
        }
        let mut words = tables.entries::<4>(index).iter().map(|w| u32::from_le_bytes(*w));
        let flags = words
            .next()
            .ok_or_else(|| tables.error(index, 0, "a section group begins with a word of flags"))?;
        if flags & !elf::GRP_COMDAT.0 != 0 {
            return Err(tables.error(index, 0, format!("the group's flags {flags:#x} are not known")));
        }
        let id = GroupId(groups.len() as u32);
        let mut members = Vec::new();
        for (position, member) in words.enumerate() {
            let wrong = |message: &str| {
                let offset = (position as u64 + 1) * 4;
                tables.error(index, offset, format!("member section {member} {message}"))
            };
            let section = sections
                .get_mut(member as usize)
                .filter(|_| member != 0)
                .ok_or_else(|| wrong("does not exist"))?;
            if section.group.replace(id).is_some() {
                return Err(wrong("is a member already, of this group or another"));
            }
            members.push(SectionId(member));
        }
        groups.push(Group {
            section: SectionId(index as u32),
            signature: SymbolId(header.sh_info),
            comdat: flags & elf::GRP_COMDAT.0 != 0,
            members,
        });
    }
    for section in &*sections {
        let index = section.id.0 as usize;
        let header = &tables.sections[index];
        let flagged = header.sh_type != elf::SHT_NULL.0 && header.has_flag(elf::SHF_GROUP);
        if flagged && section.group.is_none() {
            return Err(tables.error(
                index,
                0,
                "says that it is in a group (SHF_GROUP), and no group has it",
            ));
        }
    }
    Ok(groups)
}

pub(super) fn check_symbol_table_link(tables: &Tables<'_>, index: usize) -> Result<()> {
    let link = tables.sections[index].sh_link as usize;
    match &tables.symbols {
        Some(table) if table.section == link => Ok(()),
        // Nothing to refer to: every symbol index is 0.
        None if link == 0 => Ok(()),
        _ => Err(tables.error(
            index,
            0,
            format!("section {link}, which sh_link names, is not the symbol table"),
        )),
    }
}

fn declared_features(tables: &Tables<'_>, sections: &[Section<'_>]) -> Result<Features> {
    let mut declared = Features::default();
    for section in sections {
        let index = section.id.0 as usize;
        if section.name == ".note.gnu.property" && tables.sections[index].sh_type == elf::SHT_NOTE.0 {
            declared = features(section.data, declared)
                .map_err(|(offset, message)| tables.error(index, offset, message))?;
        }
    }
    Ok(declared)
}
