//! An image's dynamic symbol table: what it offers to others and wants of them, each name with its version. The
//! dynamic section alone says where the tables are: a file may lack section headers.

use std::collections::HashMap;

use goblin::elf::dynamic::{
    DT_GNU_HASH, DT_HASH, DT_STRSZ, DT_STRTAB, DT_SYMTAB, DT_VERDEF, DT_VERDEFNUM, DT_VERNEED, DT_VERNEEDNUM,
    DT_VERSYM,
};
use goblin::elf::section_header::{
    SHT_DYNSYM, SHT_GNU_VERDEF, SHT_GNU_VERNEED, SHT_GNU_VERSYM, SectionHeader,
};
use goblin::elf::{Sym, Symtab, VerdefSection, VerneedSection, VersymSection};

use super::image_tables::{
    CTX, Dynamic, Segment, file_offset, gnu_hash_count, name_in, slice, symbol_table, u32_at,
};

/// The dynamic symbol table, with its strings and versions.
pub(super) struct DynamicSymbols<'a> {
    symbols: Symtab<'a>,
    count: usize,
    strings: &'a [u8],
    versions: Option<VersymSection<'a>>,
    /// By their number in this image.
    version_names: HashMap<u16, &'a str>,
}

/// Which version of its name a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version<'a> {
    /// The image has no versions, or this name has none.
    None,
    /// The symbol is the image's own.
    Local,
    /// What a reference without a version binds to; or, of a reference, what it wants.
    Default(&'a str),
    /// Only a reference to this version binds to it.
    Other(&'a str),
}

/// The dynamic string table (`DT_STRTAB`); empty if there is none.
pub(super) fn dynamic_strings<'a>(
    bytes: &'a [u8],
    segments: &[Segment],
    dynamic: &Dynamic,
) -> Result<&'a [u8], String> {
    match (dynamic.get(DT_STRTAB), dynamic.get(DT_STRSZ)) {
        (Some(address), Some(size)) => {
            slice(bytes, "the dynamic string table", file_offset(segments, address)?, size)
        }
        _ => Ok(&[]),
    }
}

impl<'a> DynamicSymbols<'a> {
    /// Reads the tables; `None`: there is no dynamic symbol.
    ///
    /// # Errors
    /// What contradicts the format.
    pub(super) fn read(
        bytes: &'a [u8],
        segments: &[Segment],
        dynamic: &Dynamic,
        sections: &[SectionHeader],
    ) -> Result<Option<Self>, String> {
        let Some(address) = dynamic.get(DT_SYMTAB) else {
            return Ok(None);
        };
        let offset = file_offset(segments, address)?;
        let count = match (dynamic.get(DT_HASH), dynamic.get(DT_GNU_HASH)) {
            // elf(5): nbucket, nchain; there are as many chains as symbols.
            (Some(hash), _) => {
                let table = slice(bytes, "the hash table", file_offset(segments, hash)?, 8)?;
                u32_at(table, 4).unwrap_or(0).into()
            }
            (None, Some(hash)) => gnu_hash_count(bytes, file_offset(segments, hash)?)?,
            (None, None) => {
                let table = sections.iter().find(|s| s.sh_type == SHT_DYNSYM);
                table.map_or(0, |section| section.sh_size / 24)
            }
        };
        if count == 0 {
            return Ok(None);
        }
        let symbols = symbol_table(bytes, "the dynamic symbol table", offset, count)?;
        let strings = dynamic_strings(bytes, segments, dynamic)?;

        // goblin finds the version tables through section headers; these say what the dynamic section says.
        let table = |sh_type: u32, address: u64, size: u64, count: u64| -> Result<SectionHeader, String> {
            let mut section = SectionHeader::new();
            section.sh_type = sh_type;
            section.sh_offset = file_offset(segments, address)?;
            section.sh_size = size.min(bytes.len() as u64 - section.sh_offset.min(bytes.len() as u64));
            section.sh_info = u32::try_from(count).unwrap_or(u32::MAX);
            Ok(section)
        };
        let mut tables = Vec::new();
        if let Some(address) = dynamic.get(DT_VERSYM) {
            tables.push(table(SHT_GNU_VERSYM, address, count * 2, 0)?);
            slice(bytes, "the version table", tables[0].sh_offset, count * 2)?;
        }
        if let (Some(address), Some(count)) = (dynamic.get(DT_VERDEF), dynamic.get(DT_VERDEFNUM)) {
            tables.push(table(SHT_GNU_VERDEF, address, u64::MAX, count)?);
        }
        if let (Some(address), Some(count)) = (dynamic.get(DT_VERNEED), dynamic.get(DT_VERNEEDNUM)) {
            tables.push(table(SHT_GNU_VERNEED, address, u64::MAX, count)?);
        }
        let versions =
            VersymSection::parse(bytes, &tables, CTX).map_err(|e| format!("the version table: {e}"))?;
        let definitions =
            VerdefSection::parse(bytes, &tables, CTX).map_err(|e| format!("the version definitions: {e}"))?;
        let needs =
            VerneedSection::parse(bytes, &tables, CTX).map_err(|e| format!("the needed versions: {e}"))?;
        let mut version_names = HashMap::new();
        for definition in definitions.iter().flat_map(|d| d.iter()) {
            let name = definition.iter().next();
            if let Some(name) = name.and_then(|n| name_in(strings, n.vda_name as u64)) {
                version_names.insert(definition.vd_ndx, name);
            }
        }
        // Numbers of versions have 15 bits: more entries are a chain that was made to be long.
        let mut room = usize::from(HIDDEN);
        for library in needs.iter().flat_map(|n| n.iter()).take(room) {
            for need in library.iter().take(room) {
                room -= 1;
                if let Some(name) = name_in(strings, need.vna_name as u64) {
                    version_names.insert(need.vna_other & !HIDDEN, name);
                }
            }
        }
        Ok(Some(DynamicSymbols { symbols, count: count as usize, strings, versions, version_names }))
    }

    /// How many there are; the first is none.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The symbol of that number.
    pub(super) fn get(&self, index: usize) -> Option<Sym> {
        self.symbols.get(index)
    }

    /// A symbol's name.
    pub(super) fn name(&self, symbol: &Sym) -> Option<&'a str> {
        name_in(self.strings, symbol.st_name as u64)
    }

    /// The number of a symbol's version; 0 if it has none.
    pub(super) fn version_number(&self, index: usize) -> u16 {
        let version = self.versions.as_ref().and_then(|v| v.get_at(index));
        version.map_or(0, |version| version.version())
    }

    /// The versions' names by their number.
    pub(super) fn version_names(&self) -> HashMap<u16, String> {
        self.version_names.iter().map(|(number, name)| (*number, (*name).to_owned())).collect()
    }

    /// Which version of its name the symbol of that number is.
    pub(super) fn version(&self, index: usize) -> Version<'a> {
        let Some(version) = self.versions.as_ref().and_then(|v| v.get_at(index)) else {
            return Version::None;
        };
        let name = self.version_names.get(&version.version()).copied();
        match (version.is_local(), version.is_hidden(), name) {
            (true, ..) => Version::Local,
            (false, true, name) => Version::Other(name.unwrap_or_default()),
            (false, false, Some(name)) => Version::Default(name),
            (false, false, None) => Version::None,
        }
    }
}

/// The bit of a version number that says that only a reference to that version binds (gABI: symbol versioning).
const HIDDEN: u16 = 0x8000;
