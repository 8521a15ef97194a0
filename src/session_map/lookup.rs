//! Searches: which entry of the session map is at an address. Rebuilt whenever entries are added.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::OnceLock;

use super::intervals::{self, Innermost};
use super::symbols::ByName;
use super::{Files, LOWEST_ADDRESS, Mapping, NamedAddress, SessionMap, SessionSymbol, Value, loaded};

/// What lookups search; all of it follows from the map's entries.
#[derive(Debug, Default)]
pub(super) struct Index {
    ranges: Vec<Range<u64>>,
    /// Values with an address, header included, by address: they do not overlap.
    values: Vec<(Range<u64>, u32)>,
    /// None: no two symbols overlap.
    symbols: Option<Innermost>,
    unbound: Innermost,
    threads: Innermost,
    /// Addresses of values and of what has no name for linkers, and declared constants, once they are asked for.
    exact: OnceLock<Vec<u64>>,
    /// Where sized values, what has no name for linkers, and symbols that may overlap end, once that is asked for.
    ends: OnceLock<Vec<u64>>,
    /// For each mapping the nearest one before it that is of a file.
    files_before: Vec<Option<u32>>,
    build_ids: HashMap<String, String>,
    symbols_by_name: OnceLock<ByName>,
}

/// What a number is that is so small that it need not be an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SmallAddress {
    /// The very address of something, or one of the map's `constants`.
    Exact,
    /// Inside of something, at its end, or in a heap, or in code or data of a program or library where nothing has a name.
    Inside,
    /// In memory of which nothing is known, or in none.
    Other,
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

fn sorted(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// The addresses that a value stands for, its header included.
pub(super) fn value_range(value: &Value) -> Option<Range<u64>> {
    let address = value.address?;
    Some(address.saturating_sub(value.header)..address.saturating_add(value.size.max(1)))
}

/// The parts of a range that are addresses: canonical, and not so low that numbers lie there.
fn canonical(range: Range<u64>) -> [Range<u64>; 2] {
    let (lower, upper) = (1 << 47, u64::MAX << 47);
    [range.start.max(LOWEST_ADDRESS)..range.end.min(lower), range.start.max(upper)..range.end]
}

impl SessionMap {
    /// Rebuilds what lookups search. Mappings are sorted by address and disjoint, symbols sorted by address
    /// and preference, constants by number.
    pub(super) fn rebuild_index(&mut self) {
        let numbered = |(i, value): (u32, &Value)| Some((value_range(value)?, i));
        let mut values: Vec<(Range<u64>, u32)> = (0..).zip(&self.values).filter_map(numbered).collect();
        values.sort_unstable_by_key(|(range, _)| range.start);

        // Those of a program's functions touch one another.
        let mut of_symbols: Vec<Range<u64>> = Vec::new();
        let mut overlap = false;
        for range in self.symbols.ranges() {
            match of_symbols.last_mut() {
                Some(last) if range.start <= last.end => {
                    overlap |= range.start < last.end;
                    last.end = last.end.max(range.end);
                }
                _ => of_symbols.push(range),
            }
        }
        let unbound = || self.unbound.iter().map(|(symbol, _)| symbol.view().range());
        // One page lies at the same address in every process of every machine (-10 MiB, which numbers may be, too).
        let moving = |m: &&Mapping| m.path.as_deref() != Some("[vsyscall]");
        let mappings = self.mappings.iter().chain(&self.threads).filter(moving).map(|m| m.range.clone());
        let of_values = values.iter().map(|(range, _)| range.clone());
        let ranges = mappings.chain(of_symbols).chain(unbound()).chain(of_values);
        let mut ranges: Vec<Range<u64>> = ranges.flat_map(canonical).collect();
        ranges.extend(self.constants.iter().map(|(number, _)| *number..number.saturating_add(1)));
        let ranges = intervals::union(ranges);

        let mut last = None;
        let mut files_before = Vec::with_capacity(self.mappings.len());
        let mut build_ids = HashMap::new();
        for (i, mapping) in (0..).zip(&self.mappings) {
            files_before.push(last);
            if loaded::file_of(mapping).is_some() {
                last = Some(i);
            }
            if let (Some(path), Some(id)) = (&mapping.path, &mapping.build_id) {
                build_ids.insert(path.clone(), id.clone());
            }
        }
        self.index = Index {
            ranges,
            values,
            symbols: overlap.then(|| Innermost::new(self.symbols.ranges().zip(0..))),
            unbound: Innermost::new(unbound().zip(0..)),
            threads: Innermost::new((0..).zip(&self.threads).map(|(i, m)| (m.range.clone(), i))),
            exact: OnceLock::new(),
            ends: OnceLock::new(),
            files_before,
            build_ids,
            symbols_by_name: OnceLock::new(),
        };
    }

    /// Disjoint address ranges, sorted, in which a 64-bit constant is session-specific: mappings, symbols,
    /// values and single `constants`. Non-canonical addresses are in none, but for those of `constants`.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.index.ranges
    }

    /// Whether `value` lies in one of [`Self::ranges`].
    pub(crate) fn is_session_constant(&self, value: u64) -> bool {
        let ranges = self.ranges();
        let after = ranges.partition_point(|r| r.start <= value);
        after > 0 && value < ranges[after - 1].end
    }

    /// Whether that is the address of a symbol or value of the map, or one of its `constants`.
    pub fn is_exact_address(&self, address: u64) -> bool {
        let exact = self.index.exact.get_or_init(|| {
            let values = self.values.iter().filter_map(|v| v.address);
            let constants = self.constants.iter().map(|(number, _)| *number);
            let unbound = self.unbound.iter().map(|(symbol, _)| symbol.address);
            sorted(values.chain(unbound).chain(constants))
        });
        self.symbols.has_address(address) || exact.binary_search(&address).is_ok()
    }

    /// Whether a sized symbol or value of the map ends at an address.
    fn is_end(&self, address: u64) -> bool {
        let ends = self.index.ends.get_or_init(|| {
            let values = self.values.iter().filter(|v| v.size > 0).filter_map(value_range);
            let overlapping = self.index.symbols.iter().flat_map(|_| self.symbols.iter());
            let symbols = overlapping.chain(self.unbound.iter().map(|(symbol, _)| symbol.view()));
            let symbols = symbols.filter(|s| s.size > 0).map(|s| s.range());
            sorted(values.chain(symbols).map(|range| range.end))
        });
        let before = address.checked_sub(1).and_then(|before| self.symbol_at(before));
        before.is_some_and(|s| s.size > 0 && s.range().end == address) || ends.binary_search(&address).is_ok()
    }

    /// Whether an address lies inside or one past a sized symbol or value of the map, but is not its address.
    pub fn is_interior_address(&self, address: u64) -> bool {
        let inside = || {
            self.value_at(address).is_some()
                || self.symbol_at(address).is_some()
                || self.unbound_at(address).is_some()
        };
        !self.is_exact_address(address) && (self.is_end(address) || inside())
    }

    /// Whether a number so small could be an address for all that the map itself says: it is one of something in it, or
    /// something is mapped there or right before.
    pub(crate) fn may_be_small_address(&self, number: u64) -> bool {
        self.is_session_constant(number)
            || number.checked_sub(1).is_some_and(|before| self.is_session_constant(before))
            || self.is_exact_address(number)
            || self.is_interior_address(number)
    }

    /// What a number is that may be a small address. Of programs and libraries their symbols say it, exported or not.
    /// What cannot be read counts as if it were full of nameless data.
    pub(crate) fn small_address(&self, number: u64, files: &dyn Files) -> SmallAddress {
        if self.is_exact_address(number) {
            return SmallAddress::Exact;
        }
        if self.is_interior_address(number) {
            return SmallAddress::Inside;
        }
        // The last variable can end with all that is mapped of its file.
        let around = [0, 1].iter().filter_map(|back| Some((number.checked_sub(*back)?, *back)));
        let mut found = around.filter_map(|(mapped, back)| self.begins_behind(mapped, back, files));
        match found.next() {
            Some(true) => SmallAddress::Exact,
            Some(false) => SmallAddress::Inside,
            None => SmallAddress::Other,
        }
    }

    /// The mapping around an address, by its index.
    pub(super) fn mapping_at(&self, address: u64) -> Option<usize> {
        let after = self.mappings.partition_point(|m| m.range.start <= address);
        let index = after.checked_sub(1)?;
        self.mappings[index].range.contains(&address).then_some(index)
    }

    /// What a thread has for itself around an address.
    pub(super) fn thread_memory_at(&self, address: u64) -> Option<&Mapping> {
        self.threads.get(self.index.threads.at(address)? as usize)
    }

    /// The nearest mapping of a file before another, by their indexes.
    pub(super) fn file_before(&self, mapping: usize) -> Option<usize> {
        let before = self.index.files_before.get(mapping).copied().flatten()?;
        usize::try_from(before).ok()
    }

    /// The build-id that the map gives for a file.
    pub(super) fn build_id_of(&self, path: &str) -> Option<&str> {
        self.index.build_ids.get(path).map(String::as_str)
    }

    /// The value around an address, header included.
    pub(super) fn value_at(&self, address: u64) -> Option<(u32, &Value)> {
        let after = self.index.values.partition_point(|(range, _)| range.start <= address);
        let (range, id) = self.index.values.get(after.checked_sub(1)?)?;
        let value = self.values.get(*id as usize)?;
        range.contains(&address).then_some((*id, value))
    }

    /// The symbol of the map at or around an address: the nearest before it.
    pub(super) fn symbol_at(&self, address: u64) -> Option<NamedAddress<'_>> {
        let index = match &self.index.symbols {
            Some(innermost) => innermost.at(address)?,
            None => {
                let (range, index) = self.symbols.last_until(address)?;
                range.contains(&address).then_some(index)?
            }
        };
        Some(self.symbols.get(index as usize))
    }

    /// The symbol without use as a name at or around an address, and why it has none.
    pub(super) fn unbound_at(&self, address: u64) -> Option<(&SessionSymbol, &'static str)> {
        let (symbol, why) = self.unbound.get(self.index.unbound.at(address)? as usize)?;
        Some((symbol, why))
    }

    /// The map's symbols of a name.
    pub(super) fn symbols_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = NamedAddress<'a>> {
        let by_name = self.index.symbols_by_name.get_or_init(|| ByName::new(&self.symbols));
        by_name.named(name, &self.symbols)
    }
}
