//! The relocations of a section, by offset: a view of the file's table, whose entries are decoded when they are asked for. There
//! can be millions, most of which are looked at once or twice; only a table in another order is copied.

use std::ops::Range;

use super::{Section, SymbolId};
use crate::format::RelocationEntries;
use crate::reloc::RelocKind;

/// A relocation of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation {
    /// Offset of the field in its section.
    pub offset: u64,
    /// What is computed.
    pub kind: RelocKind,
    /// Against which symbol; 0 for none.
    pub symbol: SymbolId,
    /// Constant part, explicit in the table.
    pub addend: i64,
    /// Its index in the section's relocation table.
    pub entry: u32,
}

impl Relocation {
    /// Whether it may write to bytes at or after an offset.
    pub fn writes_after(&self, offset: u64) -> bool {
        match self.kind {
            RelocKind::None => false,
            // Of what is not known it is assumed that it covers eight bytes.
            kind => self.offset.saturating_add(kind.width().unwrap_or(8)) > offset,
        }
    }
}

/// A section's relocation table.
#[derive(Debug)]
pub struct RelocationTable<'d>(Kept<'d>);

#[derive(Debug)]
enum Kept<'d> {
    /// The file's, whose entries are by offset.
    InFile(RelocationEntries<'d>),
    /// Another one's entries, by offset.
    Sorted(Vec<Relocation>),
}

impl<'d> RelocationTable<'d> {
    /// Of entries that have been checked; `in_order`: they are by offset.
    pub(crate) fn new(entries: RelocationEntries<'d>, in_order: bool) -> Self {
        if in_order {
            return RelocationTable(Kept::InFile(entries));
        }
        let mut list: Vec<Relocation> = Relocations(View::Entries(entries)).iter().collect();
        list.sort_by_key(|r| r.offset);
        RelocationTable(Kept::Sorted(list))
    }

    /// Of a section without one.
    pub(crate) fn none() -> Self {
        RelocationTable(Kept::Sorted(Vec::new()))
    }

    fn view(&self) -> Relocations<'_> {
        Relocations(match &self.0 {
            Kept::InFile(entries) => View::Entries(*entries),
            Kept::Sorted(list) => View::List(list),
        })
    }

    /// For objects made without a file, or changed: a list of its own, which has to stay in order.
    #[cfg(test)]
    pub(crate) fn list(&mut self) -> &mut Vec<Relocation> {
        if let Kept::InFile(_) = self.0 {
            self.0 = Kept::Sorted(self.view().iter().collect());
        }
        match &mut self.0 {
            Kept::Sorted(list) => list,
            Kept::InFile(_) => unreachable!("it was replaced"),
        }
    }
}

/// Some relocations of a section, by offset; equal offsets keep the table's order.
#[derive(Debug, Clone, Copy)]
pub struct Relocations<'a>(View<'a>);

#[derive(Debug, Clone, Copy)]
enum View<'a> {
    Entries(RelocationEntries<'a>),
    List(&'a [Relocation]),
}

impl<'a> Relocations<'a> {
    /// How many there are.
    #[inline]
    pub fn len(self) -> usize {
        match self.0 {
            View::Entries(entries) => entries.len(),
            View::List(list) => list.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The one with that index here, which need not be its index in the table.
    #[inline]
    pub fn get(self, index: usize) -> Option<Relocation> {
        match self.0 {
            View::Entries(entries) => entries.get(index),
            View::List(list) => list.get(index).copied(),
        }
    }

    /// The first, if there is one.
    #[inline]
    pub fn first(self) -> Option<Relocation> {
        self.get(0)
    }

    /// The only one; `None`: there are none or more.
    #[inline]
    pub fn only(self) -> Option<Relocation> {
        self.first().filter(|_| self.len() == 1)
    }

    /// One after the other.
    pub fn iter(self) -> RelocationIter<'a> {
        RelocationIter(self)
    }

    /// Those whose offset lies in `range`.
    pub fn in_range(self, range: Range<u64>) -> Self {
        let start = self.first_from(range.start);
        let rest = self.part(start..self.len());
        rest.part(0..rest.first_from(range.end))
    }

    /// The index of the first at or after an offset, or how many there are.
    pub(crate) fn first_from(self, offset: u64) -> usize {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = start + (end - start) / 2;
            if self.offset(middle).is_some_and(|found| found < offset) {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }

    /// The offset of the one with that index.
    #[inline]
    pub(crate) fn offset(self, index: usize) -> Option<u64> {
        match self.0 {
            View::Entries(entries) => entries.offset(index),
            View::List(list) => list.get(index).map(|r| r.offset),
        }
    }

    /// Those with these indices, as far as there are any.
    #[inline]
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        Relocations(match self.0 {
            View::Entries(entries) => View::Entries(entries.part(range)),
            View::List(list) => {
                let end = range.end.min(list.len());
                View::List(&list[range.start.min(end)..end])
            }
        })
    }
}

impl<'a> IntoIterator for Relocations<'a> {
    type Item = Relocation;
    type IntoIter = RelocationIter<'a>;

    fn into_iter(self) -> RelocationIter<'a> {
        self.iter()
    }
}

/// The relocations that are left to go through.
#[derive(Debug, Clone)]
pub struct RelocationIter<'a>(Relocations<'a>);

impl Iterator for RelocationIter<'_> {
    type Item = Relocation;

    #[inline]
    fn next(&mut self) -> Option<Relocation> {
        let first = self.0.first()?;
        self.0 = self.0.part(1..usize::MAX);
        Some(first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl ExactSizeIterator for RelocationIter<'_> {}

/// Whether one of them writes any byte of the field at `offset`.
#[inline]
pub fn is_relocated(relocations: Relocations<'_>, offset: u64, width: u64) -> bool {
    // No field is wider than eight bytes.
    let first = relocations.first_from(offset.saturating_sub(7));
    let end = offset.saturating_add(width);
    let mut near = (first..).take_while(|&index| relocations.offset(index).is_some_and(|found| found < end));
    near.any(|index| relocations.get(index).is_some_and(|r| r.writes_after(offset)))
}

/// The relocations of a section for one who asks about ranges of it in order, all in the same way: together that takes one walk along the table,
/// where a search for each would be slow in a large one.
#[derive(Debug, Clone)]
pub struct InOrder<'a> {
    relocations: Relocations<'a>,
    next: usize,
}

impl<'a> InOrder<'a> {
    /// For ranges from the section's start.
    pub fn of(section: &'a Section<'_>) -> Self {
        Self::among(section.relocations())
    }

    /// The same, where some of its relocations are all that matter.
    pub fn among(relocations: Relocations<'a>) -> Self {
        InOrder { relocations, next: 0 }
    }

    /// For ranges from an offset on.
    pub fn from(section: &'a Section<'_>, offset: u64) -> Self {
        let relocations = section.relocations();
        InOrder { relocations, next: relocations.first_from(offset.saturating_sub(7)) }
    }

    /// Those whose offset lies in `range`, which does not start before the last one that was asked about.
    #[inline]
    pub fn inside(&mut self, range: Range<u64>) -> Relocations<'a> {
        // No field is wider than eight bytes: what may write to the range stays in sight.
        self.next = self.first_from(self.next, range.start.saturating_sub(7));
        let start = self.first_from(self.next, range.start);
        let end = self.first_from(start, range.end);
        self.relocations.part(start..end)
    }

    /// All that may write to `range`, which does not start before the last one that was asked about.
    #[inline]
    pub fn near(&mut self, range: Range<u64>) -> Relocations<'a> {
        self.next = self.first_from(self.next, range.start.saturating_sub(7));
        let end = self.first_from(self.next, range.end);
        self.relocations.part(self.next..end)
    }

    /// The only one whose offset lies in `range`, of those that were not passed.
    #[inline]
    pub fn only_inside(&mut self, range: Range<u64>) -> Option<Relocation> {
        self.next = self.first_from(self.next, range.start);
        let only = self.relocations.get(self.next).filter(|r| r.offset < range.end)?;
        let more = self.relocations.offset(self.next + 1).is_some_and(|next| next < range.end);
        (!more).then_some(only)
    }

    /// Whether none may write to `range`.
    #[inline]
    pub fn none_near(&mut self, range: Range<u64>) -> bool {
        self.next = self.first_from(self.next, range.start.saturating_sub(7));
        self.relocations.offset(self.next).is_none_or(|next| next >= range.end)
    }

    /// The index of the first at or after an offset, of those from an index on.
    #[inline]
    fn first_from(&self, mut index: usize, offset: u64) -> usize {
        while self.relocations.offset(index).is_some_and(|found| found < offset) {
            index += 1;
        }
        index
    }
}

impl Section<'_> {
    /// Its relocations.
    pub fn relocations(&self) -> Relocations<'_> {
        self.table.view()
    }

    /// The relocations whose offset lies in `range`.
    pub fn relocations_in(&self, range: Range<u64>) -> Relocations<'_> {
        self.relocations().in_range(range)
    }

    /// Whether a relocation writes any byte of the field at `offset`.
    pub fn is_relocated(&self, offset: u64, width: u64) -> bool {
        is_relocated(self.relocations(), offset, width)
    }
}
