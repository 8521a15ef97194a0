//! What an earlier run did to this object, or to objects that `ld -r` put into it: `.relocfix.record`.
//!
//! The section is an array of 24-byte entries: an address (8 bytes, always relocated: `ld -r` keeps it true),
//! a length in bytes (8), and a kind (4, then 4 of zero). It is dropped by a final link (`SHF_EXCLUDE`). That a
//! range is recorded says that everything in it was fixed: its fields need no entries of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::edits::{NewRelocation, SymbolRef};
use crate::error::{Error, Result};
use crate::object_file::{ObjectFile, Section, SectionId, SectionKind, SymbolId, SymbolPlace};
use crate::reloc::RelocKind;

/// The name of the section.
pub const RECORD: &str = ".relocfix.record";

const ENTRY: usize = 24;

/// What an entry says of its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// The range holds no session-specific constant and no relocation to lower.
    Range,
    /// The variable there is filled.
    Global,
    /// References to that symbol were redirected.
    Import,
}

impl RecordKind {
    fn number(self) -> u32 {
        match self {
            RecordKind::Range => 1,
            RecordKind::Global => 2,
            RecordKind::Import => 3,
        }
    }

    fn from_number(number: u32) -> Option<Self> {
        [RecordKind::Range, RecordKind::Global, RecordKind::Import].into_iter().find(|k| k.number() == number)
    }
}

/// All records of an object.
#[derive(Debug, Default)]
pub struct Record {
    ranges: BTreeMap<SectionId, Vec<Range<u64>>>,
    globals: BTreeSet<(SectionId, u64)>,
    global_symbols: BTreeSet<(SymbolId, u64)>,
}

impl Record {
    /// Reads the record sections.
    ///
    /// # Errors
    /// A record that is not one.
    pub fn read(object: &ObjectFile<'_>) -> Result<Self> {
        let mut record = Record::default();
        for section in object.sections.iter().filter(|s| s.name == RECORD && s.kind == SectionKind::Contents)
        {
            let entries = section.data.chunks_exact(ENTRY);
            if !entries.remainder().is_empty() {
                let size = section.data.len() as u64;
                return Err(object.error_at(
                    section.id,
                    size,
                    format!("its size is not a multiple of {ENTRY}"),
                ));
            }
            for (i, bytes) in entries.enumerate() {
                record.read_entry(object, section, (i * ENTRY) as u64, bytes)?;
            }
        }
        for ranges in record.ranges.values_mut() {
            ranges.sort_by_key(|r| r.start);
        }
        Ok(record)
    }

    fn read_entry(
        &mut self,
        object: &ObjectFile<'_>,
        section: &Section<'_>,
        offset: u64,
        entry: &[u8],
    ) -> Result<()> {
        let error = |what: &str| -> Error {
            object.error_at(section.id, offset, format!("{what}; remove the section {RECORD} and fix again"))
        };
        let word = |at: usize| entry[at..at + 8].iter().rev().fold(0u64, |w, &b| w << 8 | u64::from(b));
        let length = word(8);
        let kind =
            RecordKind::from_number(word(16) as u32).ok_or_else(|| error("the record has no such kind"))?;
        let Some(relocation) = section.relocations_in(offset..offset + 1).first() else {
            // A linker that dropped what the entry was about has dropped its relocation, too.
            return Ok(());
        };
        if relocation.kind == RelocKind::None || relocation.symbol.0 == 0 {
            return Ok(());
        }
        if relocation.kind != RelocKind::Abs64 {
            return Err(error("the record's relocation is of another type"));
        }
        let symbol = object.symbol(relocation.symbol);
        match (kind, symbol.place) {
            (RecordKind::Range, SymbolPlace::Section(id)) => {
                let start = symbol.value.wrapping_add(relocation.addend as u64);
                let end = start.checked_add(length).filter(|&end| end <= object.section(id).size);
                let end = end.ok_or_else(|| error("the recorded range lies outside its section"))?;
                self.ranges.entry(id).or_default().push(start..end);
            }
            (RecordKind::Global, SymbolPlace::Section(id)) => {
                self.globals.insert((id, symbol.value.wrapping_add(relocation.addend as u64)));
            }
            (RecordKind::Global, SymbolPlace::Undefined | SymbolPlace::Common) => {
                self.global_symbols.insert((relocation.symbol, relocation.addend as u64));
            }
            (RecordKind::Import, _) => {}
            (RecordKind::Range | RecordKind::Global, _) => return Err(error("the record names no place")),
        }
        Ok(())
    }

    /// Whether the field lies in a range that an earlier run has fixed.
    pub fn covers(&self, section: SectionId, offset: u64) -> bool {
        self.ranges.get(&section).is_some_and(|ranges| {
            let after = ranges.partition_point(|r| r.start <= offset);
            ranges[..after].last().is_some_and(|r| offset < r.end)
        })
    }

    /// Whether an earlier run has filled the variable at that place.
    pub fn has_global(&self, section: SectionId, offset: u64) -> bool {
        self.globals.contains(&(section, offset))
    }

    /// Whether an earlier run has filled the variable of that undefined or common symbol.
    pub fn has_global_symbol(&self, symbol: SymbolId, offset: u64) -> bool {
        self.global_symbols.contains(&(symbol, offset))
    }

    /// Whether everything in the object was fixed by earlier runs.
    pub fn is_complete(&self, object: &ObjectFile<'_>) -> bool {
        !self.ranges.is_empty()
            && object.sections.iter().filter(|s| is_recorded(s)).all(|s| self.covers_all(object, s))
    }

    fn covers_all(&self, object: &ObjectFile<'_>, section: &Section<'_>) -> bool {
        let none = Vec::new();
        let ranges = self.ranges.get(&section.id).unwrap_or(&none);
        let mut at = 0;
        for range in ranges {
            if at < range.start && !is_padding(object, section, at..range.start) {
                return false;
            }
            at = at.max(range.end);
        }
        at >= section.size || is_padding(object, section, at..section.size)
    }
}

/// Whether a session-specific constant could be in that section.
pub fn holds_program_bytes(section: &Section<'_>) -> bool {
    section.alloc && !matches!(section.kind, SectionKind::ZeroFill | SectionKind::Format) && section.size > 0
}

/// Whether a record says of that section which parts are fixed. Unwind tables need none: `mold -r` drops what
/// refers to them, and nothing is in them that does not come with code. Nor do sections whose elements a linker merges:
/// `mold -r` puts them in another order, and what a run finds in one it fixes by making it another kind of section.
pub fn is_recorded(section: &Section<'_>) -> bool {
    holds_program_bytes(section) && section.kind != SectionKind::EhFrame && !section.merge
}

/// Whether the bytes are what linkers put between the sections that they join.
fn is_padding(object: &ObjectFile<'_>, section: &Section<'_>, range: Range<u64>) -> bool {
    let bytes = &section.data[range.start as usize..range.end as usize];
    if !section.relocations_in(range.clone()).is_empty() {
        return false;
    }
    if bytes.iter().all(|&b| b == 0) {
        return true;
    }
    let mut padding = section.exec;
    if padding {
        object.machine.arch().decode(section.data, range, &mut |i| padding &= i.nop);
    }
    padding
}

/// A record section in the making.
#[derive(Debug, Default)]
pub struct RecordWriter {
    data: Vec<u8>,
    relocations: Vec<NewRelocation>,
}

impl RecordWriter {
    /// Adds an entry.
    pub fn push(&mut self, kind: RecordKind, symbol: SymbolRef, addend: i64, length: u64) {
        let offset = self.data.len() as u64;
        self.relocations.push(NewRelocation { offset, kind: RelocKind::Abs64, symbol, addend });
        self.data.extend_from_slice(&[0; 8]);
        self.data.extend_from_slice(&length.to_le_bytes());
        self.data.extend_from_slice(&u64::from(kind.number()).to_le_bytes());
    }

    /// Contents and relocations.
    pub fn finish(self) -> (Vec<u8>, Vec<NewRelocation>) {
        (self.data, self.relocations)
    }
}
