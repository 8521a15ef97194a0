//! The file's own tables, checked: section headers, names, the symbol table and its extension for more than
//! 65,279 sections. Reading and writing both start here; from here on every section's bytes are in the file
//! and no two sections share any.

use std::fmt;

use object::elf;
use rayon::prelude::*;

use super::records::{
    EHDR_SIZE, FileHeader, REL_SIZE, RELA_SIZE, SHDR_SIZE, SHN_LORESERVE, SHT_ANDROID_RELR, SYM_SIZE,
    SectionHeader, SymbolEntry,
};
use super::string_table::StringTable;
use crate::error::{Error, ErrorKind, Result};

/// The tables of a file.
#[derive(Debug)]
pub(super) struct Tables<'d> {
    name: &'d str,
    bytes: &'d [u8],
    /// The file header.
    pub(super) header: FileHeader,
    /// All section headers; the index is the section's.
    pub(super) sections: Vec<SectionHeader>,
    /// The section with the sections' names.
    pub(super) shstrndx: usize,
    section_names: StringTable<'d>,
    /// The symbol table, if there is one.
    pub(super) symbols: Option<SymbolTable<'d>>,
}

/// The symbol table of a file.
#[derive(Debug)]
pub(super) struct SymbolTable<'d> {
    /// Its section.
    pub(super) section: usize,
    /// The section with the symbols' names.
    pub(super) strtab: usize,
    /// The section with the section indices that do not fit into 16 bits (`SHT_SYMTAB_SHNDX`).
    pub(super) shndx: Option<usize>,
    /// The index of the first symbol that is not local.
    pub(super) first_global: usize,
    names: StringTable<'d>,
    entries: &'d [[u8; SYM_SIZE]],
    extended: &'d [[u8; 4]],
}

/// The section index of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SymbolSection {
    /// Of a section, perhaps from the extension table; 0 is `SHN_UNDEF`. Not yet checked against their number.
    Ordinary(u32),
    /// One of the values with a meaning of their own (`SHN_ABS`).
    Reserved(u16),
}

impl<'d> SymbolTable<'d> {
    /// How many symbols there are, the null symbol included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All symbols, with what their section index means.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SymbolEntry, SymbolSection)> + '_ {
        self.entries.iter().enumerate().map(|(i, bytes)| self.symbol(i, bytes))
    }

    /// The same for all threads.
    pub(super) fn par_iter(&self) -> impl IndexedParallelIterator<Item = (SymbolEntry, SymbolSection)> + '_ {
        self.entries.par_iter().enumerate().map(|(i, bytes)| self.symbol(i, bytes))
    }

    fn symbol(&self, index: usize, bytes: &[u8; SYM_SIZE]) -> (SymbolEntry, SymbolSection) {
        let entry = SymbolEntry::parse(bytes);
        let section = if entry.st_shndx == elf::SHN_XINDEX.0 {
            match self.extended.get(index) {
                Some(index) => SymbolSection::Ordinary(u32::from_le_bytes(*index)),
                None => SymbolSection::Reserved(entry.st_shndx),
            }
        } else if u32::from(entry.st_shndx) >= SHN_LORESERVE {
            SymbolSection::Reserved(entry.st_shndx)
        } else {
            SymbolSection::Ordinary(u32::from(entry.st_shndx))
        };
        (entry, section)
    }

    /// The name at an offset of the string table.
    pub(super) fn name(&self, offset: u32) -> Option<&'d str> {
        self.names.get(offset)
    }
}

impl<'d> Tables<'d> {
    /// Finds and checks the tables; the file has been identified.
    pub(super) fn parse(name: &'d str, bytes: &'d [u8]) -> Result<Self> {
        let malformed = |message: String| Error::malformed(name, message);
        let header = bytes
            .first_chunk::<EHDR_SIZE>()
            .map(FileHeader::parse)
            .ok_or_else(|| malformed("the file header is cut off".to_owned()))?;
        if usize::from(header.e_ehsize) != EHDR_SIZE {
            return Err(malformed(format!(
                "e_ehsize is {} (file offset 0x34), expected {EHDR_SIZE}",
                header.e_ehsize
            )));
        }
        if header.e_phnum != 0 {
            return Err(malformed(format!(
                "{} program headers (file offset 0x38): a relocatable object has none",
                header.e_phnum
            )));
        }
        let sections = section_headers(name, bytes, &header)?;
        let shstrndx = if header.e_shstrndx == elf::SHN_XINDEX.0 {
            sections[0].sh_link as usize
        } else {
            usize::from(header.e_shstrndx)
        };
        if sections.get(shstrndx).is_none_or(|h| h.sh_type != elf::SHT_STRTAB.0) {
            return Err(malformed(format!(
                "section {shstrndx}, which e_shstrndx (file offset 0x3e) names, is no string table"
            )));
        }
        let section_names = string_table(name, bytes, &sections, shstrndx, None)?;
        let mut tables = Tables { name, bytes, header, sections, shstrndx, section_names, symbols: None };
        for index in 0..tables.sections.len() {
            tables.check_section(index)?;
        }
        tables.symbols = tables.symbol_table()?;
        Ok(tables)
    }

    /// The whole file.
    pub(super) fn bytes(&self) -> &'d [u8] {
        self.bytes
    }

    /// A section's name.
    pub(super) fn section_name(&self, index: usize) -> Result<&'d str> {
        let offset = self.sections.get(index).map_or(0, |h| h.sh_name);
        self.section_names.get(offset).ok_or_else(|| {
            Error::malformed(
                self.name,
                format!("section {index}: its name's offset {offset:#x} is outside of the string table"),
            )
        })
    }

    /// A section's bytes in the file; empty if it has none.
    pub(super) fn data(&self, index: usize) -> &'d [u8] {
        self.sections.get(index).and_then(|h| file_bytes(self.bytes, h)).unwrap_or_default()
    }

    /// The entries of a table, whose size has been checked to be a multiple of an entry's.
    pub(super) fn entries<const N: usize>(&self, index: usize) -> &'d [[u8; N]] {
        self.data(index).as_chunks::<N>().0
    }

    /// An error about a section.
    pub(super) fn error(&self, index: usize, offset: u64, message: impl Into<String>) -> Error {
        let message = message.into();
        match self.section_name(index) {
            Ok(name) if !name.is_empty() => Error::malformed(self.name, message).at(name, offset),
            _ => Error::malformed(self.name, format!("section {index}+{offset:#x}: {message}")),
        }
    }

    /// An error about a section that is well-formed and still not supported.
    pub(super) fn unsupported(&self, index: usize, message: impl Into<String>) -> Error {
        let name = self.section_name(index).unwrap_or_default();
        Error::new(ErrorKind::UnsupportedObject, self.name, message).at(name, 0)
    }

    /// What can be said of one section without the others.
    fn check_section(&self, index: usize) -> Result<()> {
        let section = &self.sections[index];
        self.section_name(index)?;
        if section.sh_type == elf::SHT_NULL.0 {
            return Ok(());
        }
        if section.sh_addralign > 1 && !section.sh_addralign.is_power_of_two() {
            return Err(self.error(
                index,
                0,
                format!("alignment {:#x} is not a power of two", section.sh_addralign),
            ));
        }
        if section.sh_addr != 0 {
            return Err(self.error(
                index,
                0,
                format!("has the address {:#x}; sections of a relocatable object have none", section.sh_addr),
            ));
        }
        let entry_size = match elf::SectionType(section.sh_type) {
            elf::SHT_SYMTAB => SYM_SIZE,
            elf::SHT_RELA => RELA_SIZE,
            elf::SHT_REL => REL_SIZE,
            elf::SHT_GROUP | elf::SHT_SYMTAB_SHNDX => 4,
            elf::SHT_CREL => {
                return Err(self.unsupported(
                    index,
                    "compact relocations (SHT_CREL) are not supported: recompile without -Wa,--crel",
                ));
            }
            elf::SHT_RELR | elf::SHT_ANDROID_REL | elf::SHT_ANDROID_RELA => {
                return Err(self.unsupported(index, "packed relocations are not supported in an object"));
            }
            elf::SectionType(SHT_ANDROID_RELR) => {
                return Err(self.unsupported(index, "packed relocations are not supported in an object"));
            }
            _ => return Ok(()),
        } as u64;
        // LLVM and gas give groups and index tables an entry size of 4, but some writers leave it 0.
        let may_be_unset = entry_size == 4 && section.sh_entsize == 0;
        if section.sh_entsize != entry_size && !may_be_unset {
            return Err(self.error(
                index,
                0,
                format!("has entries of {} bytes, expected {entry_size}", section.sh_entsize),
            ));
        }
        if !section.sh_size.is_multiple_of(entry_size) {
            return Err(self.error(
                index,
                section.sh_size - section.sh_size % entry_size,
                format!("its size {:#x} is not a multiple of its entries' {entry_size}", section.sh_size),
            ));
        }
        Ok(())
    }

    fn symbol_table(&self) -> Result<Option<SymbolTable<'d>>> {
        let of_type = |wanted: elf::SectionType, what: &str| -> Result<Option<usize>> {
            let mut found = self.sections.iter().enumerate().filter(|(_, h)| h.sh_type == wanted.0);
            let first = found.next().map(|(i, _)| i);
            match found.next() {
                Some((second, _)) => Err(self.unsupported(second, format!("a second {what}"))),
                None => Ok(first),
            }
        };
        let section = of_type(elf::SHT_SYMTAB, "symbol table")?;
        let shndx = of_type(elf::SHT_SYMTAB_SHNDX, "table of section indices")?;
        let Some(section) = section else {
            return match shndx {
                Some(index) => Err(self.error(index, 0, "section indices of symbols without a symbol table")),
                None => Ok(None),
            };
        };
        let header = &self.sections[section];
        let entries = self.entries::<SYM_SIZE>(section);
        let strtab = header.sh_link as usize;
        if self.sections.get(strtab).is_none_or(|h| h.sh_type != elf::SHT_STRTAB.0) {
            return Err(self.error(
                section,
                0,
                format!("section {strtab}, which sh_link names, is no string table"),
            ));
        }
        let names = string_table(self.name, self.bytes, &self.sections, strtab, Some(&self.section_names))?;
        let first_global = header.sh_info as usize;
        if first_global > entries.len() || first_global == 0 && !entries.is_empty() {
            return Err(self.error(
                section,
                0,
                format!(
                    "sh_info says that symbol {first_global} is the first global one of {}",
                    entries.len()
                ),
            ));
        }
        let mut extended: &[[u8; 4]] = &[];
        if let Some(index) = shndx {
            extended = self.entries::<4>(index);
            if self.sections[index].sh_link as usize != section || extended.len() != entries.len() {
                return Err(self.error(
                    index,
                    0,
                    format!(
                        "has {} section indices for symbol table {}; the symbol table is section {section} with {} symbols",
                        extended.len(),
                        self.sections[index].sh_link,
                        entries.len()
                    ),
                ));
            }
        }
        Ok(Some(SymbolTable { section, strtab, shndx, first_global, names, entries, extended }))
    }
}

/// A section's bytes in the file; `None` if they are not all there.
fn file_bytes<'d>(bytes: &'d [u8], section: &SectionHeader) -> Option<&'d [u8]> {
    if !section.has_file_bytes() {
        return Some(&[]);
    }
    let start = usize::try_from(section.sh_offset).ok()?;
    let size = usize::try_from(section.sh_size).ok()?;
    bytes.get(start..start.checked_add(size)?)
}

/// Who a range of the file belongs to.
#[derive(Clone, Copy)]
enum Claim {
    FileHeader,
    SectionHeaders,
    Section(usize),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claim::FileHeader => f.write_str("the file header"),
            Claim::SectionHeaders => f.write_str("the section header table"),
            Claim::Section(index) => write!(f, "section {index}"),
        }
    }
}

/// All section headers, whose bytes are in the file and do not overlap. There is at least one.
fn section_headers(name: &str, bytes: &[u8], header: &FileHeader) -> Result<Vec<SectionHeader>> {
    let malformed = |message: String| Error::malformed(name, message);
    if header.e_shoff == 0 {
        return Err(malformed("there is no section header table (file offset 0x28)".to_owned()));
    }
    if usize::from(header.e_shentsize) != SHDR_SIZE {
        return Err(malformed(format!(
            "e_shentsize is {} (file offset 0x3a), expected {SHDR_SIZE}",
            header.e_shentsize
        )));
    }
    let cut_off = || {
        malformed(format!(
            "the section header table at file offset {:#x} does not fit into the file's {:#x} bytes; it is cut off",
            header.e_shoff,
            bytes.len()
        ))
    };
    let start = usize::try_from(header.e_shoff).map_err(|_| cut_off())?;
    let table = bytes.get(start..).ok_or_else(cut_off)?;
    let first = table.first_chunk::<SHDR_SIZE>().map(SectionHeader::parse).ok_or_else(cut_off)?;
    // More than 65,279 sections: the number is in the null section's header (gABI, "ELF Header").
    let count = match header.e_shnum {
        0 => usize::try_from(first.sh_size).map_err(|_| cut_off())?,
        n => usize::from(n),
    };
    let size = count.checked_mul(SHDR_SIZE).ok_or_else(cut_off)?;
    let table = table.get(..size).ok_or_else(cut_off)?;
    let sections: Vec<_> = table.as_chunks::<SHDR_SIZE>().0.iter().map(SectionHeader::parse).collect();
    if sections.first().is_none_or(|h| h.sh_type != elf::SHT_NULL.0) {
        return Err(malformed(format!(
            "section 0 (file offset {:#x}) is not the null section",
            header.e_shoff
        )));
    }

    // Overlapping sections could not be edited apart, and a thousand tables in the same bytes would take a
    // thousand times the memory.
    let mut claims = vec![(0, EHDR_SIZE, Claim::FileHeader), (start, start + size, Claim::SectionHeaders)];
    for (index, section) in sections.iter().enumerate() {
        if !section.has_file_bytes() {
            continue;
        }
        if file_bytes(bytes, section).is_none() {
            return Err(malformed(format!(
                "section {index}: its {:#x} bytes at file offset {:#x} do not fit into the file's {:#x} bytes",
                section.sh_size,
                section.sh_offset,
                bytes.len()
            )));
        }
        let (offset, length) = (section.sh_offset as usize, section.sh_size as usize);
        claims.push((offset, offset + length, Claim::Section(index)));
    }
    claims.sort_unstable_by_key(|&(start, end, _)| (start, end));
    for pair in claims.windows(2) {
        if let [(_, end, first), (start, _, second)] = pair
            && start < end
        {
            return Err(malformed(format!(
                "{first} and {second} both claim the byte at file offset {start:#x}"
            )));
        }
    }
    Ok(sections)
}

/// The string table in a section that has been found to be one.
fn string_table<'d>(
    name: &str,
    bytes: &'d [u8],
    sections: &[SectionHeader],
    index: usize,
    section_names: Option<&StringTable<'d>>,
) -> Result<StringTable<'d>> {
    let data = sections.get(index).and_then(|h| file_bytes(bytes, h)).unwrap_or_default();
    StringTable::parse(data).map_err(|(offset, message)| {
        let own_name = section_names.zip(sections.get(index)).and_then(|(names, h)| names.get(h.sh_name));
        match own_name {
            Some(section) => Error::malformed(name, message).at(section, offset),
            None => Error::malformed(
                name,
                format!("section {index}+{offset:#x} (the sections' names): {message}"),
            ),
        }
    })
}
