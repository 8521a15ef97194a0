//! Sets of address ranges: their union, and for overlapping ones which is the innermost at an address.

use std::collections::BinaryHeap;
use std::ops::Range;

/// The union of ranges: sorted, disjoint, not touching. Empty ranges add nothing.
pub(super) fn union(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|r| r.start < r.end);
    ranges.sort_unstable_by_key(|r| r.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// For each address the innermost range around it: the one with the closest start, and of those that start
/// together the first given.
#[derive(Debug, Default)]
pub(super) struct Innermost {
    /// Disjoint and sorted, with the number of the range.
    pieces: Vec<(Range<u64>, u32)>,
}

impl Innermost {
    /// `ranges` are sorted by start. Empty ones are nowhere.
    pub(super) fn new(ranges: impl IntoIterator<Item = (Range<u64>, u32)>) -> Self {
        let mut pieces: Vec<(Range<u64>, u32)> = Vec::new();
        // Open ranges by start, then by order; ended ones go when they surface.
        let mut open: BinaryHeap<(u64, std::cmp::Reverse<usize>, u64, u32)> = BinaryHeap::new();
        let mut at = 0;
        let mut advance = |open: &mut BinaryHeap<(u64, std::cmp::Reverse<usize>, u64, u32)>, to: u64| {
            while let Some(&(start, _, end, id)) = open.peek() {
                let from = at.max(start);
                if from >= to {
                    break;
                }
                if end > from {
                    pieces.push((from..end.min(to), id));
                    at = end.min(to);
                }
                if end > to {
                    break;
                }
                open.pop();
            }
            at = at.max(to);
        };
        for (order, (range, id)) in ranges.into_iter().enumerate() {
            if range.start < range.end {
                advance(&mut open, range.start);
                open.push((range.start, std::cmp::Reverse(order), range.end, id));
            }
        }
        advance(&mut open, u64::MAX);
        Innermost { pieces }
    }

    /// The number of the innermost range around an address.
    pub(super) fn at(&self, address: u64) -> Option<u32> {
        let after = self.pieces.partition_point(|(range, _)| range.start <= address);
        let (range, id) = self.pieces.get(after.checked_sub(1)?)?;
        range.contains(&address).then_some(*id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unions() {
        let ranges = vec![10..20, 5..6, 20..25, 30..30, 12..15, 6..7, 40..50, 49..51];
        assert_eq!(union(ranges), [5..7, 10..25, 40..51]);
        assert_eq!(union(Vec::new()), []);
    }

    #[test]
    fn innermost_agrees_with_a_search_through_all() {
        // A small generator, so that every run sees the same sets.
        let mut seed = 1u64;
        let mut random = |n: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        for _ in 0..500 {
            let mut ranges: Vec<(Range<u64>, u32)> = (0..random(12) as u32)
                .map(|id| {
                    let start = random(30);
                    (start..start + random(12), id)
                })
                .collect();
            ranges.sort_by_key(|(range, _)| range.start);
            let innermost = Innermost::new(ranges.iter().cloned());
            for address in 0..45 {
                let around = ranges.iter().filter(|(range, _)| range.contains(&address));
                let closest = around.clone().map(|(range, _)| range.start).max();
                let expected =
                    around.clone().find(|(range, _)| Some(range.start) == closest).map(|(_, id)| *id);
                assert_eq!(innermost.at(address), expected, "{address} in {ranges:?}");
            }
        }
    }
}
