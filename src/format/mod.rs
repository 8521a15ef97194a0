//! What differs between object formats: how a file is read, and how it is written. Relocation numbers and
//! file layout live below this module and nowhere else.

pub mod elf;

use crate::edits::Edits;
use crate::error::Result;
use crate::object_file::{ObjectFile, SectionId, SymbolId};

/// A supported object format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// System V ABI, 64 bits, little-endian.
    Elf,
}

/// An object that was written, and where things went.
#[derive(Debug)]
pub struct Written {
    /// The file.
    pub bytes: Vec<u8>,
    /// The index of every new section, in the order of [`Edits::sections`].
    pub sections: Vec<SectionId>,
    /// The input's first symbol that is not local: it and all after it moved.
    pub first_global: SymbolId,
    /// By so many.
    pub inserted: u32,
}

impl Written {
    /// Where a symbol of the input is now.
    pub fn symbol(&self, id: SymbolId) -> SymbolId {
        if id < self.first_global {
            id
        } else {
            SymbolId(id.0 + self.inserted)
        }
    }
}

impl Format {
    /// Tells what a file is by its first bytes.
    ///
    /// # Errors
    /// What it is instead, and what to do about it.
    pub fn identify(name: &str, bytes: &[u8]) -> Result<Self> {
        elf::identify(name, bytes).map(|()| Format::Elf)
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Format::Elf => "elf",
        }
    }

    /// Reads headers and tables.
    ///
    /// # Errors
    /// Anything that is not well-formed, with its place.
    pub fn read<'d>(self, name: &'d str, bytes: &'d [u8]) -> Result<ObjectFile<'d>> {
        match self {
            Format::Elf => elf::read(name, bytes),
        }
    }

    /// The object with all edits applied.
    ///
    /// # Errors
    /// An edit that the format cannot express, with its place; nothing is half done.
    pub fn write(self, object: &ObjectFile<'_>, edits: &Edits) -> Result<Written> {
        match self {
            Format::Elf => elf::write(object, edits),
        }
    }
}
