//! Everything that will be changed, collected before anything is: the plan makes [`Edits`], the format
//! applies them to a copy of the input and knows nothing of why.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::arch::PlainForm;
use crate::object_file::{GroupId, SectionId, SymbolId};
use crate::reloc::RelocKind;

/// The index of a new section in [`Edits::sections`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NewSectionId(pub u32);

/// The index of a new local symbol in [`Edits::locals`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NewLocalId(pub u32);

/// The index of a new undefined symbol in [`Edits::undefined`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UndefinedId(pub u32);

/// The index of a new weak symbol in [`Edits::weak`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeakId(pub u32);

/// What a relocation of the output refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SymbolRef {
    /// A symbol of the input.
    Existing(SymbolId),
    /// The start of a section of the input; its section symbol, made if it has none.
    Section(SectionId),
    /// The start of a new section.
    NewSection(NewSectionId),
    /// A new local symbol.
    Local(NewLocalId),
    /// A new undefined symbol.
    Undefined(UndefinedId),
    /// A new weak symbol: of all objects of a link that define it, one's definition is everyone's.
    Weak(WeakId),
}

/// A relocation of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRelocation {
    /// Offset of the field in its section.
    pub offset: u64,
    /// What is computed.
    pub kind: RelocKind,
    /// Against what.
    pub symbol: SymbolRef,
    /// Constant part.
    pub addend: i64,
}

/// A change to a section's relocation table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelocationEdit {
    /// The entry with that index (the input's [`crate::object_file::Relocation::entry`]) becomes another.
    Replace(u32, NewRelocation),
    /// The entry goes.
    Remove(u32),
    /// A new entry, put where its offset sorts.
    Add(NewRelocation),
}

/// A change to bytes; refused when the old ones are not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BytesEdit {
    /// Which section.
    pub section: SectionId,
    /// Where in it.
    pub offset: u64,
    /// What must stand there.
    pub old: ShortBytes,
    /// What shall; as many bytes.
    pub new: ShortBytes,
}

/// What happens at many places: bytes with the same constant among them get the same relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Where an edit of bytes and one that adds a relocation do so first.
    pub first: u64,
    /// The constant that stands there.
    pub constant: u64,
    /// The index in [`Repeated::frames`] of the first of those that its places have.
    pub frames: u32,
    /// The relocation there.
    pub relocation: NewRelocation,
}

/// The bytes around a constant, and what they and the constant become. Numbers of as many bytes as an instruction has, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What stands there, with zeros for the constant.
    pub old: u128,
    /// What shall.
    pub new: u128,
}

/// A place where a pattern is repeated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repeat {
    /// Where its bytes start.
    pub offset: u64,
    /// The index of the pattern in [`Repeated::patterns`].
    pub pattern: u32,
    /// Which of the pattern's frames it has.
    pub frame: u32,
}

/// What is repeated in a section: there can be millions of such places, thousands of patterns, and few frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// How many bytes change at each place, and where among them the constant is.
    pub form: PlainForm,
    /// What is done at more than one place.
    pub patterns: Vec<Pattern>,
    /// What it is done with.
    pub frames: Vec<Frame>,
    /// The places but the first of each pattern, by offset.
    pub places: Arc<Vec<Repeat>>,
}

impl Repeated {
    /// The frame of a place; `None`: there is none, or no such pattern.
    pub fn frame(&self, place: Repeat) -> Option<usize> {
        let frame = self.patterns.get(place.pattern as usize)?.frames as usize + place.frame as usize;
        (frame < self.frames.len()).then_some(frame)
    }
}

/// Bytes of an instruction or a word, which need no memory of their own: there can be millions.
pub type ShortBytes = smallvec::SmallVec<[u8; 16]>;

/// A change to a section's header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SectionEdit {
    /// Another name; its relocation table's name follows.
    pub name: Option<String>,
    /// Becomes writable.
    pub writable: bool,
    /// Is not mergeable any more (nor a string section, nor has an entry size).
    pub unmerge: bool,
    /// Becomes a null section at its index, its bytes zeroed.
    pub null: bool,
}

/// A change to a symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SymbolEdit {
    /// Another name.
    pub name: Option<String>,
    /// Becomes hidden.
    pub hidden: bool,
    /// Becomes weak (an undefined one may then stay undefined).
    pub weak: bool,
    /// Becomes undefined, with value 0 and of no type (it held a number); not for a local one.
    pub undefine: bool,
    /// Becomes visible to all.
    pub visible: bool,
    /// Becomes a symbol of no section with value 0, of no type (its section is gone).
    pub drop_definition: bool,
}

/// What kind of section the format shall make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NewSectionKind {
    /// Instructions.
    Code,
    /// Instructions that go where those of the large code model go.
    LargeCode,
    /// Read-only bytes without addresses.
    ReadOnly,
    /// The same, and linkers that drop what nothing refers to keep it.
    Retained,
    /// Read-only NUL-terminated strings that the linker may merge.
    Strings,
    /// Data that the dynamic linker relocates and then protects, or that is written.
    Writable,
    /// Writable memory, zero at start, that takes no file space.
    ZeroFill,
    /// Pointers to functions that the startup code calls.
    InitArray,
    /// Call frame information.
    EhFrame,
    /// Information for a later run, dropped by the final link.
    Record,
}

/// A section to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSection {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: NewSectionKind,
    /// Alignment in bytes, a power of two.
    pub align: u64,
    /// Its contents; for [`NewSectionKind::ZeroFill`] empty.
    pub data: Vec<u8>,
    /// Size in bytes; `data.len()` except for [`NewSectionKind::ZeroFill`].
    pub size: u64,
    /// The group of the input that it becomes a member of, relocation table included.
    pub group: Option<GroupId>,
    /// Its relocations, sorted by offset.
    pub relocations: Vec<NewRelocation>,
}

/// Bytes put behind the last byte of a section of the input, which grows. For unwind tables: an object may have
/// two, but LLVM's tools read all sections of one name with each other's relocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Which section; each is extended once.
    pub section: SectionId,
    /// What is added, without padding.
    pub data: Vec<u8>,
    /// Relocations of what is added, sorted by offset, which counts from its first byte.
    pub relocations: Vec<NewRelocation>,
}

/// Where a new local symbol lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Home {
    /// In a section of the input.
    Existing(SectionId),
    /// In a new section.
    New(NewSectionId),
}

/// A local symbol to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLocal {
    /// Its name; may be empty.
    pub name: String,
    /// Its section.
    pub home: Home,
    /// Offset in the section.
    pub value: u64,
    /// Size in bytes, 0 for none.
    pub size: u64,
    /// Names code.
    pub function: bool,
}

/// An undefined symbol to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUndefined {
    /// Its name.
    pub name: String,
    /// May stay undefined, and is null then.
    pub weak: bool,
    /// Is defined in the same executable or library.
    pub hidden: bool,
}

/// A weak symbol to be added, defined in a new section outside of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWeak {
    /// Its name.
    pub name: String,
    /// Its section.
    pub section: NewSectionId,
    /// Offset in the section.
    pub value: u64,
    /// Size in bytes.
    pub size: u64,
    /// Names code.
    pub function: bool,
    /// Others can see it, but not replace it; else nobody outside of the executable or library sees it.
    pub protected: bool,
    /// Defines this symbol of the input, which is undefined there, instead of being one more.
    pub instead: Option<SymbolId>,
}

/// All changes to one object.
#[derive(Debug, Default)]
pub struct Edits {
    /// Changed bytes; they do not overlap.
    pub bytes: Vec<BytesEdit>,
    /// Changed relocation tables of the input's sections.
    pub relocations: BTreeMap<SectionId, Vec<RelocationEdit>>,
    /// What some of those edits do, at more places of the input's sections.
    pub repeated: BTreeMap<SectionId, Repeated>,
    /// Changed section headers.
    pub section_edits: BTreeMap<SectionId, SectionEdit>,
    /// Changed symbols.
    pub symbol_edits: BTreeMap<SymbolId, SymbolEdit>,
    /// Sections that grow.
    pub extensions: Vec<Extension>,
    /// New sections, appended in this order.
    pub sections: Vec<NewSection>,
    /// New local symbols, inserted after the input's last local one in this order.
    pub locals: Vec<NewLocal>,
    /// New undefined global symbols, appended in this order.
    pub undefined: Vec<NewUndefined>,
    /// New weak symbols, appended in this order behind those; but see [`NewWeak::instead`].
    pub weak: Vec<NewWeak>,
}

impl Edits {
    /// Whether the output is the input.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
            && self.relocations.is_empty()
            && self.repeated.is_empty()
            && self.section_edits.is_empty()
            && self.symbol_edits.is_empty()
            && self.extensions.is_empty()
            && self.sections.is_empty()
            && self.locals.is_empty()
            && self.undefined.is_empty()
            && self.weak.is_empty()
    }

    /// A relocation edit of a section of the input.
    pub fn relocate(&mut self, section: SectionId, edit: RelocationEdit) {
        self.relocations.entry(section).or_default().push(edit);
    }

    /// Adds an undefined symbol that some component must define.
    pub fn add_undefined(&mut self, name: &str) -> UndefinedId {
        self.undefined.push(NewUndefined { name: name.to_owned(), weak: false, hidden: false });
        UndefinedId(self.undefined.len() as u32 - 1)
    }

    /// Adds a weak symbol.
    pub fn add_weak(&mut self, weak: NewWeak) -> WeakId {
        self.weak.push(weak);
        WeakId(self.weak.len() as u32 - 1)
    }

    /// All relocations that are added or changed, repeated ones once.
    pub fn new_relocations(&self) -> impl Iterator<Item = &NewRelocation> {
        let edited = self.relocations.values().flatten().filter_map(|edit| match edit {
            RelocationEdit::Replace(_, relocation) | RelocationEdit::Add(relocation) => Some(relocation),
            RelocationEdit::Remove(_) => None,
        });
        let added = self.sections.iter().map(|s| &s.relocations);
        let extended = self.extensions.iter().map(|e| &e.relocations);
        edited.chain(added.chain(extended).flatten())
    }
}
