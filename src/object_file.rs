//! The object as all later stages see it: sections, symbols, groups and relocations in the file's own order
//! and numbering, whatever the format. Nothing here owns or changes a byte of the input.

mod relocations;

use crate::arch::Machine;
use crate::error::{Error, Result};
use crate::format::Format;

pub use relocations::{InOrder, Relocation, RelocationIter, RelocationTable, Relocations, is_relocated};

/// The index of a section in the file's section table; 0 is the null section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SectionId(pub u32);

/// The index of a symbol in the file's symbol table; 0 is the null symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SymbolId(pub u32);

/// The index of a section group in [`ObjectFile::groups`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// What a section is for, as far as this program treats it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// Program bytes with file contents: code, data, read-only data, notes.
    Contents,
    /// Occupies memory but no file space (`.bss`).
    ZeroFill,
    /// Call frame information (`.eh_frame`).
    EhFrame,
    /// Language-specific data areas (`.gcc_except_table`).
    ExceptTable,
    /// The format's own: symbol, string and relocation tables, groups, the null section.
    Format,
}

/// A section of the input.
#[derive(Debug)]
pub struct Section<'d> {
    /// Its index.
    pub id: SectionId,
    /// Its name.
    pub name: &'d str,
    /// What it is for.
    pub kind: SectionKind,
    /// Occupies memory when the program runs.
    pub alloc: bool,
    /// Writable when the program runs.
    pub write: bool,
    /// Holds instructions.
    pub exec: bool,
    /// The linker may merge equal elements.
    pub merge: bool,
    /// Thread-local template.
    pub tls: bool,
    /// The contents are compressed (`SHF_COMPRESSED`).
    pub compressed: bool,
    /// May be placed more than 2 GiB away from the rest (`SHF_X86_64_LARGE`).
    pub large: bool,
    /// Alignment in bytes, at least 1.
    pub align: u64,
    /// Size in memory, in bytes.
    pub size: u64,
    /// File contents; empty for [`SectionKind::ZeroFill`].
    pub data: &'d [u8],
    /// The group that it is a member of.
    pub group: Option<GroupId>,
    /// The relocations that apply to it: see [`Section::relocations`].
    pub table: RelocationTable<'d>,
}

/// Where a symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolPlace {
    /// Elsewhere.
    Undefined,
    /// Nowhere: the value is a number.
    Absolute,
    /// Allocated by the linker; the value is an alignment.
    Common,
    /// In that section; the value is an offset.
    Section(SectionId),
}

/// Who sees a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binding {
    /// This object alone.
    Local,
    /// All objects; a second definition is an error.
    Global,
    /// All objects; another definition wins.
    Weak,
    /// One in the whole process (`STB_GNU_UNIQUE`).
    Unique,
}

/// Whether another component can see or replace a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Seen and replaceable.
    Default,
    /// Seen, not replaceable.
    Protected,
    /// Not seen (`STV_HIDDEN`, `STV_INTERNAL`).
    Hidden,
}

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolType {
    /// Unsaid.
    None,
    /// Data.
    Object,
    /// Code.
    Function,
    /// Code that chooses the code (`STT_GNU_IFUNC`).
    IndirectFunction,
    /// A section.
    Section,
    /// A source file.
    File,
    /// Thread-local data.
    ThreadLocal,
}

/// A symbol of the input.
#[derive(Debug, Clone)]
pub struct Symbol<'d> {
    /// Its index.
    pub id: SymbolId,
    /// Its name; for a section symbol without one, empty.
    pub name: &'d str,
    /// Where it is defined.
    pub place: SymbolPlace,
    /// Offset in its section, or what [`SymbolPlace`] says.
    pub value: u64,
    /// Size in bytes, 0 if unknown.
    pub size: u64,
    /// Who sees it.
    pub binding: Binding,
    /// Who may replace it.
    pub visibility: Visibility,
    /// What it names.
    pub kind: SymbolType,
}

impl Symbol<'_> {
    /// Whether a reference from this object can end up at another definition (psABI, symbol preemption).
    pub fn preemptible(&self) -> bool {
        match self.place {
            SymbolPlace::Undefined | SymbolPlace::Common => true,
            SymbolPlace::Absolute | SymbolPlace::Section(_) => {
                // A weak definition can lose to another object's even when it is hidden.
                self.binding != Binding::Local
                    && (self.visibility == Visibility::Default || self.binding == Binding::Weak)
            }
        }
    }
}

/// A section group: the linker keeps all of its members or none.
#[derive(Debug, Clone)]
pub struct Group {
    /// The group section itself.
    pub section: SectionId,
    /// The symbol whose name identifies it.
    pub signature: SymbolId,
    /// Of several with the same name the linker keeps one.
    pub comdat: bool,
    /// Its sections, relocation tables included, in the group's order.
    pub members: Vec<SectionId>,
}

/// An opened object file.
#[derive(Debug)]
pub struct ObjectFile<'d> {
    /// What messages call it.
    pub name: &'d str,
    /// The whole file.
    pub bytes: &'d [u8],
    /// Its format.
    pub format: Format,
    /// Its machine.
    pub machine: Machine,
    /// All sections; the index is the [`SectionId`].
    pub sections: Vec<Section<'d>>,
    /// All symbols; the index is the [`SymbolId`].
    pub symbols: Vec<Symbol<'d>>,
    /// All groups.
    pub groups: Vec<Group>,
    /// Code that is reached through a pointer must begin with a landing pad
    /// (`GNU_PROPERTY_X86_FEATURE_1_IBT`).
    pub landing_pads: bool,
    /// Returns must match calls, or the process is killed where the machine checks it
    /// (`GNU_PROPERTY_X86_FEATURE_1_SHSTK`).
    pub shadow_stack: bool,
    /// The section with a compiler's intermediate form, which linkers that know it compile instead of linking the code.
    pub bytecode: Option<SectionId>,
}

impl<'d> ObjectFile<'d> {
    /// Reads the headers and tables of a relocatable object; `name` is what messages call the file.
    ///
    /// # Errors
    /// Whatever is not a well-formed relocatable object of a supported format and machine, saying what it is
    /// and what to do instead.
    pub fn parse(name: &'d str, bytes: &'d [u8]) -> Result<Self> {
        Format::identify(name, bytes)?.read(name, bytes)
    }

    /// The section with that index.
    ///
    /// # Panics
    /// If the id is not this file's; the reader has checked every id it made.
    pub fn section(&self, id: SectionId) -> &Section<'d> {
        &self.sections[id.0 as usize]
    }

    /// The symbol with that index.
    ///
    /// # Panics
    /// If the id is not this file's; the reader has checked every id it made.
    pub fn symbol(&self, id: SymbolId) -> &Symbol<'d> {
        &self.symbols[id.0 as usize]
    }

    /// An error about a place in this file.
    pub fn error_at(&self, section: SectionId, offset: u64, message: impl Into<String>) -> Error {
        Error::malformed(self.name, message).at(self.section(section).name, offset)
    }
}
