//! How far the memory of one session lay from that of another: what did not move proves nothing, and of what moved
//! alike no displacement is proven.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::session_map::{Mapping, SessionMap, Value};

/// No process has its memory in so many pieces of 4 GiB; with more, no half is explained.
const MOST_HIGHS: usize = 4096;

/// Things that both sessions had, and where.
pub(super) struct Movement {
    /// Addresses of values and symbols that both maps name, in this session and in the other; sorted.
    pub(super) landmarks: Vec<(u64, u64)>,
    /// The high halves of those, and of where files were mapped, in both sessions. None is zero:
    /// such an address is its own low half.
    pub(super) highs: BTreeSet<(u64, u64)>,
    /// Distances, and what moved by them.
    moved: BTreeMap<u64, BTreeSet<String>>,
    /// Distances by which a mapping's contents moved, by where the mapping begins.
    by_mapping: HashMap<u64, BTreeSet<u64>>,
}

impl Movement {
    /// Between the sessions of two maps.
    pub(super) fn between(ours: &SessionMap, theirs: &SessionMap) -> Self {
        let mut movement = Movement {
            landmarks: Vec::new(),
            highs: BTreeSet::new(),
            moved: BTreeMap::new(),
            by_mapping: HashMap::new(),
        };
        // A library's parts move together: the first of them stands for all.
        let files = first_of_files(theirs);
        for (path, start) in first_of_files(ours) {
            if let Some(other) = files.get(path) {
                let distance = other.wrapping_sub(start);
                movement.moved.entry(distance).or_default().insert(path.to_owned());
                let of_file = ours.mappings.iter().filter(|m| m.path.as_deref() == Some(path));
                for mapping in of_file {
                    for address in [mapping.range.start, mapping.range.end - 1] {
                        movement.add_high(address, address.wrapping_add(distance));
                    }
                    movement.by_mapping.entry(mapping.range.start).or_default().insert(distance);
                }
            }
        }
        let mut labelled = BTreeSet::new();
        for (name, a, b) in named_by_both(ours, theirs) {
            movement.landmarks.push((a, b));
            movement.add_high(a, b);
            let distance = b.wrapping_sub(a);
            let mapping = mapping_at(ours, a);
            if let Some(mapping) = mapping {
                movement.by_mapping.entry(mapping.range.start).or_default().insert(distance);
            }
            let label = match mapping {
                Some(Mapping { path: Some(path), .. }) => path.clone(),
                // One label for all of its memory that moved together.
                Some(mapping) if labelled.insert((mapping.range.start, distance)) => {
                    format!("memory around `{name}`")
                }
                Some(_) => continue,
                None => name,
            };
            movement.moved.entry(distance).or_default().insert(label);
        }
        movement.landmarks.sort_unstable();
        movement.landmarks.dedup();
        if movement.highs.len() > MOST_HIGHS {
            movement.highs.clear();
        }
        movement
    }

    fn add_high(&mut self, a: u64, b: u64) {
        let high = (a >> 32, b >> 32);
        if high.0 != 0 && high.1 != 0 {
            self.highs.insert(high);
        }
    }

    /// Whether anything is known to have moved.
    pub(super) fn any(&self) -> bool {
        self.moved.keys().any(|&distance| distance != 0)
    }

    /// Whether something is known to lie where it lay.
    pub(super) fn some_stayed(&self) -> bool {
        self.moved.contains_key(&0)
    }

    /// Groups of things that moved by one distance, each with more than one member.
    pub(super) fn alike(&self) -> Vec<Vec<String>> {
        let groups = self.moved.values().filter(|group| group.len() > 1);
        let mut groups: Vec<Vec<String>> = groups.map(|group| group.iter().cloned().collect()).collect();
        groups.sort();
        groups
    }

    /// Whether the memory around an address of this session moved; `None`: that is not known.
    pub(super) fn moved_at(&self, ours: &SessionMap, address: u64) -> Option<bool> {
        let distances = self.by_mapping.get(&mapping_at(ours, address)?.range.start)?;
        match (distances.contains(&0), distances.len()) {
            (false, _) => Some(true),
            (true, 1) => Some(false),
            (true, _) => None,
        }
    }
}

/// Names that stand for one address in each map, and those.
fn named_by_both(ours: &SessionMap, theirs: &SessionMap) -> Vec<(String, u64, u64)> {
    let values = |map: &SessionMap| -> HashMap<String, u64> {
        let address = |v: &Value| Some((v.name.clone(), v.address?));
        map.values.iter().filter_map(address).collect()
    };
    let symbols = |map: &SessionMap| -> HashMap<String, u64> {
        let mut addresses: HashMap<String, u64> = HashMap::new();
        let mut several = BTreeSet::new();
        for symbol in map.symbols.iter() {
            let name = symbol.name.to_owned();
            if addresses.insert(name, symbol.address).is_some_and(|a| a != symbol.address) {
                several.insert(symbol.name.to_owned());
            }
        }
        addresses.retain(|name, _| !several.contains(name));
        addresses
    };
    let mut found = Vec::new();
    for (a, b) in [(values(ours), values(theirs)), (symbols(ours), symbols(theirs))] {
        let both =
            a.into_iter().filter_map(|(name, address)| b.get(&name).map(|&other| (name, address, other)));
        found.extend(both);
    }
    // By address: what comes first in a mapping gives it its label.
    found.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    found
}

/// Where each mapped file begins, and the heap. The kernel's own mappings and stacks hold nothing that code names.
fn first_of_files(map: &SessionMap) -> BTreeMap<&str, u64> {
    let mut first = BTreeMap::new();
    for mapping in &map.mappings {
        if let Some(path) = mapping.path.as_deref()
            && (!path.starts_with('[') || path == "[heap]")
        {
            first.entry(path).or_insert(mapping.range.start);
        }
    }
    first
}

fn mapping_at(map: &SessionMap, address: u64) -> Option<&Mapping> {
    let after = map.mappings.partition_point(|m| m.range.start <= address);
    let mapping = map.mappings.get(after.checked_sub(1)?)?;
    mapping.range.contains(&address).then_some(mapping)
}
