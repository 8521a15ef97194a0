//! Names that the producer knows, packed: there can be millions of them, most of which nobody asks for. All names stand
//! in one text, and what symbols have in common is kept once.

use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

use foldhash::HashMap;
use foldhash::fast::RandomState;

/// A name that the producer knows, as it is kept with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedAddress<'a> {
    /// Its address in the session.
    pub address: u64,
    /// The name.
    pub name: &'a str,
    /// Its size in bytes; 0: only the exact address matches.
    pub size: u64,
    /// The library that exports it.
    pub library: Option<&'a str>,
    /// What its address is a multiple of in every process, a power of two.
    pub align: u64,
}

impl NamedAddress<'_> {
    /// The addresses that it stands for.
    pub(super) fn range(&self) -> Range<u64> {
        range(self.address, self.size)
    }
}

/// The addresses that a symbol stands for.
pub(super) fn range(address: u64, size: u64) -> Range<u64> {
    address..address.saturating_add(size.max(1))
}

/// What is kept of each.
#[derive(Debug, Clone, Copy)]
struct Row {
    address: u64,
    size: u64,
    /// Where the name begins in the text of all names, and its length.
    name: usize,
    length: u32,
    kind: u32,
}

/// What many have in common: library and alignment.
type Kind = (Option<Box<str>>, u64);

/// Names that the producer knows, in some order.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    rows: Vec<Row>,
    names: String,
    kinds: Vec<Kind>,
    numbers: HashMap<Kind, u32>,
    /// Some address is not greater than the one before.
    unordered: bool,
}

impl Symbols {
    /// None, with room for some, whose names have that many bytes.
    pub(super) fn with_capacity(count: usize, names: usize) -> Self {
        Symbols { rows: Vec::with_capacity(count), names: String::with_capacity(names), ..Symbols::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The one of that number, which there is.
    pub(super) fn get(&self, index: usize) -> NamedAddress<'_> {
        self.symbol(&self.rows[index])
    }

    /// All, in their order.
    pub fn iter(&self) -> impl Iterator<Item = NamedAddress<'_>> {
        self.rows.iter().map(|row| self.symbol(row))
    }

    fn symbol(&self, row: &Row) -> NamedAddress<'_> {
        let (library, align) = &self.kinds[row.kind as usize];
        NamedAddress {
            address: row.address,
            name: self.name(row),
            size: row.size,
            library: library.as_deref(),
            align: *align,
        }
    }

    fn name(&self, row: &Row) -> &str {
        &self.names[row.name..row.name + row.length as usize]
    }

    /// Adds one behind the others.
    ///
    /// # Errors
    /// A name for whose length there is no room.
    #[inline(always)]
    pub(super) fn push(&mut self, symbol: NamedAddress<'_>) -> Result<(), String> {
        let length = u32::try_from(symbol.name.len()).map_err(|_| "name is longer than 4 GiB".to_owned())?;
        let kind = self.kind(symbol.library, symbol.align);
        let NamedAddress { address, size, .. } = symbol;
        self.unordered |= self.rows.last().is_some_and(|last| last.address >= address);
        self.rows.push(Row { address, size, name: self.names.len(), length, kind });
        self.names.push_str(symbol.name);
        Ok(())
    }

    #[inline(always)]
    fn kind(&mut self, library: Option<&str>, align: u64) -> u32 {
        // Symbols of a library stand together.
        let last = self.rows.last().map_or(0, |last| last.kind);
        if self.kinds.get(last as usize).is_some_and(|(l, a)| *a == align && l.as_deref() == library) {
            return last;
        }
        self.other_kind(library, align)
    }

    #[cold]
    fn other_kind(&mut self, library: Option<&str>, align: u64) -> u32 {
        let kind = (library.map(Box::from), align);
        let kinds = &mut self.kinds;
        *self.numbers.entry(kind).or_insert_with_key(|kind| {
            kinds.push(kind.clone());
            kinds.len() as u32 - 1
        })
    }

    /// Adds others behind these.
    pub(super) fn append(&mut self, others: Symbols) {
        let Symbols { rows, names, kinds, unordered, .. } = others;
        let kinds: Vec<u32> =
            kinds.iter().map(|(library, align)| self.kind(library.as_deref(), *align)).collect();
        let ends_behind = |first: &Row| self.rows.last().is_some_and(|last| last.address >= first.address);
        self.unordered |= unordered || rows.first().is_some_and(ends_behind);
        let before = self.names.len();
        let moved = |row: Row| Row { name: row.name + before, kind: kinds[row.kind as usize], ..row };
        self.rows.extend(rows.into_iter().map(moved));
        self.names.push_str(&names);
    }

    /// Whether each address is greater than the one before.
    pub(super) fn is_ascending(&self) -> bool {
        !self.unordered
    }

    /// What each stands for, in their order.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.rows.iter().map(|row| range(row.address, row.size))
    }

    /// Whether there is one at an address. They are sorted by address.
    pub(super) fn has_address(&self, address: u64) -> bool {
        self.rows.binary_search_by_key(&address, |row| row.address).is_ok()
    }

    /// Where the last one that begins at or before an address ends, and its number. They are sorted by address.
    pub(super) fn last_until(&self, address: u64) -> Option<(Range<u64>, u32)> {
        let index = self.rows.partition_point(|row| row.address <= address).checked_sub(1)?;
        let row = &self.rows[index];
        Some((range(row.address, row.size), index as u32))
    }
}

/// Which of a list of symbols have a name.
#[derive(Debug)]
pub(super) struct ByName {
    hasher: RandomState,
    /// For each value that a hash can have the first symbol, and for each symbol the next one with such a hash.
    first: Vec<u32>,
    next: Vec<u32>,
}

/// No symbol.
const NONE: u32 = u32::MAX;

impl ByName {
    pub(super) fn new(symbols: &Symbols) -> Self {
        let count = symbols.len();
        let mut by_name = ByName {
            hasher: RandomState::default(),
            first: vec![NONE; count.next_power_of_two()],
            next: vec![NONE; count],
        };
        // The last one first, so that each is found before those behind it.
        for (index, row) in symbols.rows.iter().enumerate().rev() {
            let slot = by_name.slot(symbols.name(row));
            by_name.next[index] = std::mem::replace(&mut by_name.first[slot], index as u32);
        }
        by_name
    }

    fn slot(&self, name: &str) -> usize {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name.as_bytes());
        hasher.finish() as usize & (self.first.len() - 1)
    }

    /// Those of the list that this was made of which have a name, in their order.
    pub(super) fn named<'a>(
        &self,
        name: &str,
        symbols: &'a Symbols,
    ) -> impl Iterator<Item = NamedAddress<'a>> {
        let symbol = |index: u32| (index != NONE).then_some(index as usize);
        let first = symbol(self.first[self.slot(name)]);
        let with_hash = std::iter::successors(first, move |&index| symbol(self.next[index]));
        let rows = with_hash.map(|index| &symbols.rows[index]);
        rows.filter(move |row| symbols.name(row) == name).map(|row| symbols.symbol(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol<'a>(address: u64, name: &'a str, library: Option<&'a str>) -> NamedAddress<'a> {
        NamedAddress { address, name, size: 4, library, align: 1 }
    }

    #[test]
    fn what_is_kept_is_what_was_added() {
        let added = [
            symbol(0x1000, "a", None),
            symbol(0x1004, "", Some("l")),
            symbol(0x1008, "ünder", Some("l")),
            symbol(0x1010, "b", Some("m")),
            symbol(0x1020, "b", None),
            NamedAddress { align: 16, size: 0, ..symbol(0x1030, "c", Some("l")) },
        ];
        let of = |added: &[NamedAddress<'_>]| {
            let mut symbols = Symbols::default();
            added.iter().for_each(|symbol| symbols.push(*symbol).unwrap());
            symbols
        };
        assert!(of(&added).iter().eq(added) && of(&added).is_ascending());
        for cut in 0..=added.len() {
            let (first, second) = added.split_at(cut);
            let mut symbols = of(first);
            symbols.append(of(second));
            assert!(symbols.iter().eq(added) && symbols.is_ascending(), "{cut}");
            let mut symbols = of(second);
            symbols.append(of(first));
            assert!(symbols.iter().eq(second.iter().chain(first).copied()), "{cut}");
            assert_eq!(symbols.is_ascending(), first.is_empty() || second.is_empty(), "{cut}");
        }
        assert!(!of(&[added[0], added[0]]).is_ascending());
        let symbols = of(&added);
        assert_eq!(symbols.last_until(0xfff), None);
        assert_eq!(symbols.last_until(0x1007), Some((0x1004..0x1008, 1)));
        assert_eq!(symbols.last_until(u64::MAX), Some((0x1030..0x1031, 5)));
        assert!(symbols.has_address(0x1030) && !symbols.has_address(0x1031));
    }

    #[test]
    fn those_of_a_name_come_in_their_order() {
        let names: Vec<String> = (0..5000_u64).map(|i| format!("name_{}", i % 1000)).collect();
        let mut symbols = Symbols::default();
        for (address, name) in (0x1000..).zip(&names) {
            symbols.push(symbol(address, name, None)).unwrap();
        }
        let by_name = ByName::new(&symbols);
        for (number, name) in (0..1000).zip(&names) {
            let found: Vec<u64> = by_name.named(name, &symbols).map(|s| s.address - 0x1000).collect();
            assert_eq!(found, [number, number + 1000, number + 2000, number + 3000, number + 4000]);
        }
        assert_eq!(by_name.named("name_", &symbols).count(), 0);
        assert_eq!(ByName::new(&Symbols::default()).named("a", &symbols).count(), 0);
    }
}
