//! An object as a comparison sees it: sections by name, relocations by what they refer to. Read by the `object`
//! crate, not by the code under test.

use std::collections::BTreeMap;
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionKind,
    SymbolSection,
};

/// A relocation: offset, number of its kind, what it refers to, addend.
pub(crate) type Entry = (u64, u32, String, i64);

/// A section's bytes and relocations.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Its contents; empty if it takes no file space.
    pub(crate) data: Vec<u8>,
    /// Sorted by offset.
    pub(crate) relocations: Vec<Entry>,
}

/// The allocated sections of an object that hold something; equal names are numbered.
///
/// # Errors
/// It cannot be read.
pub(crate) fn sections(path: &Path) -> Result<BTreeMap<String, Section>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = ElfFile64::<LittleEndian>::parse(bytes.as_slice()).map_err(|error| error.to_string())?;
    let mut sections = BTreeMap::new();
    for section in file.sections() {
        if matches!(section.kind(), SectionKind::Metadata | SectionKind::Other | SectionKind::OtherString) {
            continue;
        }
        let mut relocations = Vec::new();
        for (offset, relocation) in section.relocations() {
            let RelocationFlags::Elf { r_type } = relocation.flags() else {
                continue;
            };
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            let symbol = file.symbol_by_index(index).map_err(|error| error.to_string())?;
            let mut addend = relocation.addend();
            // A place in a section has many names; its section and offset is one.
            let name = if let SymbolSection::Section(home) = symbol.section() {
                addend = addend.wrapping_add_unsigned(symbol.address());
                file.section_by_index(home).and_then(|home| home.name()).map_err(|error| error.to_string())?
            } else {
                symbol.name().map_err(|error| error.to_string())?
            };
            relocations.push((offset, r_type.0, name.to_owned(), addend));
        }
        relocations.sort();
        let data = section.data().map_err(|error| error.to_string())?.to_vec();
        if data.is_empty() {
            continue;
        }
        let name = section.name().map_err(|error| error.to_string())?;
        let number = (0..).map(|n| if n == 0 { name.to_owned() } else { format!("{name}#{n}") });
        let name = number.into_iter().find(|name| !sections.contains_key(name)).unwrap_or_default();
        sections.insert(name, Section { data, relocations });
    }
    Ok(sections)
}
