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

/// What many have in common: library and alignment.
type Kind = (Option<Box<str>>, u64);

/// Names that the producer knows, in some order. What is kept of each are a few numbers in lists of their own: a page of memory
/// costs as much as reading a hundred entries.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    addresses: Vec<u64>,
    /// [`LARGE`]: it is in the list of large ones.
    sizes: Vec<u32>,
    /// Where each name ends in the text of all names, and the next one begins.
    ends: Vec<u32>,
    names: String,
    /// Sizes that are larger than the numbers above, by number of their symbol.
    large: Vec<(u32, u64)>,
    /// From which symbol on they are of which kind: symbols of a library stand together.
    runs: Vec<(u32, u32)>,
    kinds: Vec<Kind>,
    numbers: HashMap<Kind, u32>,
    /// Some address is not greater than the one before.
    unordered: bool,
}

/// A size for which there is no room beside the others.
const LARGE: u32 = u32::MAX;
/// What is wrong with more than there is room for.
const NO_ROOM: &str = "names are longer than 4 GiB together";

impl Symbols {
    /// None, with room for some, whose names have that many bytes.
    pub(super) fn with_capacity(count: usize, names: usize) -> Self {
        Symbols {
            addresses: Vec::with_capacity(count),
            sizes: Vec::with_capacity(count),
            ends: Vec::with_capacity(count),
            names: String::with_capacity(names),
            ..Symbols::default()
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The one of that number, which there is.
    pub(super) fn get(&self, index: usize) -> NamedAddress<'_> {
        let run = self.runs.partition_point(|&(from, _)| from as usize <= index) - 1;
        let (library, align) = &self.kinds[self.runs[run].1 as usize];
        NamedAddress {
            address: self.addresses[index],
            name: self.name(index),
            size: self.size(index),
            library: library.as_deref(),
            align: *align,
        }
    }

    /// All, in their order.
    pub fn iter(&self) -> impl Iterator<Item = NamedAddress<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    fn name(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.names[start as usize..self.ends[index] as usize]
    }

    fn size(&self, index: usize) -> u64 {
        match self.sizes[index] {
            LARGE => {
                let large = self.large.partition_point(|&(of, _)| (of as usize) < index);
                self.large[large].1
            }
            size => size.into(),
        }
    }

    /// Adds one behind the others.
    ///
    /// # Errors
    /// Names for whose length there is no room.
    pub(super) fn push(&mut self, symbol: NamedAddress<'_>) -> Result<(), String> {
        let NamedAddress { address, name, size, library, align } = symbol;
        let kind = match self.is_last_kind(library.map(str::as_bytes), align) {
            true => None,
            false => Some(self.kind(library, align)),
        };
        let end = u32::try_from(self.names.len() + name.len()).map_err(|_| NO_ROOM)?;
        self.names.push_str(name);
        self.add(address, size, end, kind)
    }

    /// Adds what is known of one without its name, and of which kind it is if that is another than the last one's.
    #[inline(always)]
    fn add(&mut self, address: u64, size: u64, end: u32, kind: Option<u32>) -> Result<(), String> {
        self.unordered |= self.addresses.last().is_some_and(|last| *last >= address);
        let small = u32::try_from(size).unwrap_or(LARGE);
        if small == LARGE || kind.is_some() {
            let number = u32::try_from(self.addresses.len()).map_err(|_| "are more than four billion")?;
            if small == LARGE {
                self.large.push((number, size));
            }
            self.runs.extend(kind.map(|kind| (number, kind)));
        }
        self.addresses.push(address);
        self.sizes.push(small);
        self.ends.push(end);
        Ok(())
    }

    #[inline(always)]
    fn is_last_kind(&self, library: Option<&[u8]>, align: u64) -> bool {
        let last = self.runs.last().and_then(|&(_, kind)| self.kinds.get(kind as usize));
        last.is_some_and(|(l, a)| *a == align && l.as_deref().map(str::as_bytes) == library)
    }

    #[cold]
    fn kind(&mut self, library: Option<&str>, align: u64) -> u32 {
        let kind = (library.map(Box::from), align);
        let kinds = &mut self.kinds;
        *self.numbers.entry(kind).or_insert_with_key(|kind| {
            kinds.push(kind.clone());
            kinds.len() as u32 - 1
        })
    }

    /// Adds others behind these.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn append(&mut self, others: Symbols) -> Result<(), String> {
        let kinds: Vec<u32> =
            others.kinds.iter().map(|(library, align)| self.kind(library.as_deref(), *align)).collect();
        let (count, names) = (self.len() as u32, self.names.len() as u32);
        let room = |of: usize, more: usize| u32::try_from(of + more).map_err(|_| NO_ROOM);
        room(self.len(), others.len()).and(room(self.names.len(), others.names.len()))?;
        let last = self.addresses.last();
        let ends_behind = |first: &u64| last.is_some_and(|last| last >= first);
        self.unordered |= others.unordered || others.addresses.first().is_some_and(ends_behind);
        self.addresses.extend(others.addresses);
        self.sizes.extend(others.sizes);
        self.ends.extend(others.ends.into_iter().map(|end| end + names));
        self.names.push_str(&others.names);
        self.large.extend(others.large.into_iter().map(|(of, size)| (of + count, size)));
        self.runs.extend(others.runs.into_iter().map(|(from, kind)| (from + count, kinds[kind as usize])));
        Ok(())
    }

    /// Whether each address is greater than the one before.
    pub(super) fn is_ascending(&self) -> bool {
        !self.unordered
    }

    /// What each stands for, in their order.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.addresses.iter().enumerate().map(|(index, address)| range(*address, self.size(index)))
    }

    /// Whether there is one at an address. They are sorted by address.
    pub(super) fn has_address(&self, address: u64) -> bool {
        self.addresses.binary_search(&address).is_ok()
    }

    /// Where the last one that begins at or before an address ends, and its number. They are sorted by address.
    pub(super) fn last_until(&self, address: u64) -> Option<(Range<u64>, u32)> {
        let index = self.addresses.partition_point(|&start| start <= address).checked_sub(1)?;
        Some((range(self.addresses[index], self.size(index)), index as u32))
    }
}

/// Symbols as they are read, whose names are not known to be text.
#[derive(Debug)]
pub(super) struct Unchecked {
    symbols: Symbols,
    names: Vec<u8>,
}

impl Unchecked {
    /// None, with room for some, whose names have that many bytes.
    pub(super) fn with_capacity(count: usize, names: usize) -> Self {
        Unchecked { symbols: Symbols::with_capacity(count, 0), names: Vec::with_capacity(names) }
    }

    /// Adds one behind the others; `None`: its library is no text, or there is no room.
    #[inline(always)]
    pub(super) fn push(
        &mut self,
        (address, size, align): (u64, u64, u64),
        name: &[u8],
        library: Option<&[u8]>,
    ) -> Option<()> {
        let kind = match self.symbols.is_last_kind(library, align) {
            true => None,
            false => {
                let library = library.map(std::str::from_utf8).transpose().ok()?;
                Some(self.symbols.kind(library, align))
            }
        };
        self.names.extend_from_slice(name);
        let end = u32::try_from(self.names.len()).ok()?;
        self.symbols.add(address, size, end, kind).ok()
    }

    /// The symbols, if every name is text.
    pub(super) fn checked(self) -> Option<Symbols> {
        let names = String::from_utf8(self.names).ok()?;
        // Two halves of a letter are one together.
        let whole =
            names.is_ascii() || self.symbols.ends.iter().all(|end| names.is_char_boundary(*end as usize));
        whole.then_some(Symbols { names, ..self.symbols })
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
        let names = symbols.names.as_bytes();
        let mut end = names.len();
        for index in (0..count).rev() {
            let start = index.checked_sub(1).map_or(0, |before| symbols.ends[before] as usize);
            let slot = by_name.slot(&names[start..end]);
            end = start;
            by_name.next[index] = std::mem::replace(&mut by_name.first[slot], index as u32);
        }
        by_name
    }

    fn slot(&self, name: &[u8]) -> usize {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        hasher.finish() as usize & (self.first.len() - 1)
    }

    /// Those of the list that this was made of which have a name, in their order.
    pub(super) fn named<'a>(
        &self,
        name: &str,
        symbols: &'a Symbols,
    ) -> impl Iterator<Item = NamedAddress<'a>> {
        let symbol = |index: u32| (index != NONE).then_some(index as usize);
        let first = symbol(self.first[self.slot(name.as_bytes())]);
        let with_hash = std::iter::successors(first, move |&index| symbol(self.next[index]));
        with_hash.filter(move |&index| symbols.name(index) == name).map(|index| symbols.get(index))
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
            NamedAddress { size: u64::from(LARGE), ..symbol(0x1040, "d", Some("l")) },
            symbol(0x2_0000_0000, "e", Some("l")),
            NamedAddress { size: 1 << 40, ..symbol(0x3_0000_0000, "f", None) },
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
            symbols.append(of(second)).unwrap();
            assert!(symbols.iter().eq(added) && symbols.is_ascending(), "{cut}");
            let mut symbols = of(second);
            symbols.append(of(first)).unwrap();
            assert!(symbols.iter().eq(second.iter().chain(first).copied()), "{cut}");
            assert_eq!(symbols.is_ascending(), first.is_empty() || second.is_empty(), "{cut}");
        }
        assert!(!of(&[added[0], added[0]]).is_ascending());
        let symbols = of(&added);
        assert_eq!(symbols.last_until(0xfff), None);
        assert_eq!(symbols.last_until(0x1007), Some((0x1004..0x1008, 1)));
        assert_eq!(symbols.last_until(0x103f), Some((0x1030..0x1031, 5)));
        assert_eq!(symbols.last_until(u64::MAX), Some((0x3_0000_0000..0x103_0000_0000, 8)));
        let ranges: Vec<_> = added.iter().map(NamedAddress::range).collect();
        assert!(symbols.ranges().eq(ranges));
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
