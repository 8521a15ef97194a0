//! Small objects for unit tests, made without a file, and the map of a session.

use std::io;
use std::path::{Path, PathBuf};

use crate::arch::Machine;
use crate::format::Format;
use crate::object_file::{
    Binding, ObjectFile, Relocation, RelocationTable, Section, SectionId, SectionKind, Symbol, SymbolId,
    SymbolPlace, SymbolType, Visibility,
};
use crate::reloc::RelocKind;
use crate::session_map::SessionMap;
use crate::{Files, MapSource};

/// An object with the null section and the null symbol only.
pub(crate) fn object<'d>() -> ObjectFile<'d> {
    let mut object = ObjectFile {
        name: "in.o",
        bytes: &[],
        format: Format::Elf,
        machine: Machine::X86_64,
        sections: Vec::new(),
        symbols: Vec::new(),
        groups: Vec::new(),
        landing_pads: false,
        shadow_stack: false,
        bytecode: None,
    };
    add_section(&mut object, "", SectionKind::Format, &[]);
    add_symbol(&mut object, "", SymbolPlace::Undefined, 0..0, SymbolType::None);
    object
}

/// Adds an allocated section; code if it is called `.text…`.
pub(crate) fn add_section<'d>(
    object: &mut ObjectFile<'d>,
    name: &'d str,
    kind: SectionKind,
    data: &'d [u8],
) -> SectionId {
    let id = SectionId(object.sections.len() as u32);
    object.sections.push(Section {
        id,
        name,
        kind,
        alloc: kind != SectionKind::Format,
        write: false,
        exec: name.starts_with(".text"),
        merge: false,
        tls: false,
        compressed: false,
        large: false,
        align: 1,
        size: data.len() as u64,
        data,
        group: None,
        table: RelocationTable::none(),
    });
    id
}

/// Adds a symbol: local in a section, else global. Its range is its value and value plus size.
pub(crate) fn add_symbol<'d>(
    object: &mut ObjectFile<'d>,
    name: &'d str,
    place: SymbolPlace,
    range: std::ops::Range<u64>,
    kind: SymbolType,
) -> SymbolId {
    let id = SymbolId(object.symbols.len() as u32);
    object.symbols.push(Symbol {
        id,
        name,
        place,
        value: range.start,
        size: range.end - range.start,
        binding: match place {
            SymbolPlace::Section(_) => Binding::Local,
            _ => Binding::Global,
        },
        visibility: Visibility::Default,
        kind,
    });
    id
}

/// Adds a relocation, keeping them sorted.
pub(crate) fn relocate(
    object: &mut ObjectFile<'_>,
    section: SectionId,
    offset: u64,
    kind: RelocKind,
    symbol: SymbolId,
    addend: i64,
) {
    let relocations = object.sections[section.0 as usize].table.list();
    let entry = relocations.len() as u32;
    relocations.push(Relocation { offset, kind, symbol, addend, entry });
    relocations.sort_by_key(|relocation| relocation.offset);
}

/// The map of a session that had memory.
pub(crate) const MAP: &str = r#"{"relocfix": 1, "machine": "x86_64",
    "mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000"}]}"#;

/// A map that names no files.
pub(crate) fn session_map(text: &str) -> SessionMap {
    let source = MapSource { name: "map".to_owned(), folder: PathBuf::new(), text: text.as_bytes() };
    SessionMap::parse(&[source], Machine::X86_64, &NoFiles).expect("a session map")
}

/// There are none.
pub(crate) struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}
