//! What differs between object formats: how a file is read, and how it is written. Relocation numbers and
//! file layout live below this module and nowhere else.

pub mod elf;

use std::ops::Range;

use crate::edits::Edits;
use crate::error::Result;
use crate::object_file::{ObjectFile, Relocation};

/// A supported object format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// System V ABI, 64 bits, little-endian.
    Elf,
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

    /// The contents of a compressed section as they were before, if they are well-formed and at most `limit` bytes.
    pub fn decompress(self, contents: &[u8], limit: usize) -> Option<Vec<u8>> {
        match self {
            Format::Elf => elf::decompress(contents, limit),
        }
    }

    /// The object with all edits applied. Sections keep their indices, and the new ones follow in their order;
    /// new local symbols come right after the input's last local one, which moves all others by one number.
    ///
    /// # Errors
    /// An edit that the format cannot express, with its place; what is in the room then is nothing.
    pub(crate) fn write(self, object: &ObjectFile<'_>, edits: &Edits, room: &mut dyn Room) -> Result<()> {
        match self {
            Format::Elf => elf::write(object, edits, room),
        }
    }
}

/// Where the bytes of an output are made.
pub(crate) trait Room {
    /// So many zeros, asked for once.
    fn take(&mut self, size: usize) -> Result<&mut [u8]>;
}

/// Entries of a relocation table as the file has them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RelocationEntries<'d> {
    Elf(elf::RelaEntries<'d>),
}

impl RelocationEntries<'_> {
    /// How many there are.
    #[inline]
    pub(crate) fn len(self) -> usize {
        match self {
            RelocationEntries::Elf(entries) => entries.len(),
        }
    }

    /// The offset in the entry with that index here.
    #[inline]
    pub(crate) fn offset(self, index: usize) -> Option<u64> {
        match self {
            RelocationEntries::Elf(entries) => entries.offset(index),
        }
    }

    /// What the entry with that index here says.
    #[inline]
    pub(crate) fn get(self, index: usize) -> Option<Relocation> {
        match self {
            RelocationEntries::Elf(entries) => entries.get(index),
        }
    }

    /// Those with these indices, as far as there are any.
    #[inline]
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        match self {
            RelocationEntries::Elf(entries) => RelocationEntries::Elf(entries.part(range)),
        }
    }
}
