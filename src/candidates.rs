//! The search for eight bytes that read as an address of the session. All code goes through it, most of it in vain: so it is
//! searched for the one of their upper bytes that code has least of. Where none is rare, all are compared, sixteen or more places
//! at a time.

use std::ops::{Range, RangeInclusive};

use memchr::{memchr_iter, memchr2_iter, memchr3_iter};
use smallvec::SmallVec;

/// How many places are looked at together.
const BLOCK: usize = 64;
/// The bytes of a word that are compared first.
const UPPER: Range<usize> = 4..8;
/// In code every tenth to fiftieth byte is one of these: of two that say little, of REX.W and of the commonest opcodes.
const COMMON: [u8; 8] = [0x00, 0xff, 0x48, 0x0f, 0x24, 0x89, 0x8b, 0xe8];

/// What the upper bytes of a number in one of some ranges are, each by itself: a number for which that does not hold is
/// in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpperBytes {
    /// The lowest of each, and how many more there are.
    lowest: [u8; 4],
    span: [u8; 4],
    /// What is searched for, if one of them is rare.
    rare: Option<Rare>,
}

/// What a byte of a word can be: where in it, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rare {
    One(usize, [u8; 1]),
    Two(usize, [u8; 2]),
    Three(usize, [u8; 3]),
}

impl Rare {
    /// The best there is for numbers in those ranges; `None`: all upper bytes are common, or can be anything.
    fn of(ranges: &[Range<u64>]) -> Option<Self> {
        let mut best = None;
        let mut fewest = usize::MAX;
        for at in UPPER {
            let values = few_values(ranges, at).unwrap_or_default();
            let rare = match values[..] {
                [one] => Rare::One(at, [one]),
                [one, two] => Rare::Two(at, [one, two]),
                [one, two, three] => Rare::Three(at, [one, two, three]),
                _ => continue,
            };
            if values.len() < fewest && !values.iter().any(|value| COMMON.contains(value)) {
                (best, fewest) = (Some(rare), values.len());
            }
        }
        best
    }
}

/// What a byte of a number in one of some ranges can be, if that is not much.
fn few_values(ranges: &[Range<u64>], byte: usize) -> Option<SmallVec<[u8; 4]>> {
    let mut values = SmallVec::new();
    for range in ranges.iter().filter(|range| range.start < range.end) {
        for value in values_of_byte(range, byte) {
            if !values.contains(&value) {
                values.push(value);
            }
            if values.len() == values.inline_size() {
                return None;
            }
        }
    }
    Some(values)
}

/// What a byte of a number in a range, which is not empty, can be.
fn values_of_byte(range: &Range<u64>, byte: usize) -> RangeInclusive<u8> {
    let (last, shift) = (range.end - 1, 8 * byte as u32);
    // Where a higher byte changes within the range this one can be any.
    let same = range.start.checked_shr(shift + 8) == last.checked_shr(shift + 8);
    if same { (range.start >> shift) as u8..=(last >> shift) as u8 } else { 0..=u8::MAX }
}

impl UpperBytes {
    /// Of numbers in those ranges; `None`: there are no numbers in them.
    pub(crate) fn of(ranges: &[Range<u64>]) -> Option<Self> {
        let (mut lowest, mut highest) = ([u8::MAX; 4], [u8::MIN; 4]);
        for range in ranges.iter().filter(|range| range.start < range.end) {
            for (i, byte) in UPPER.enumerate() {
                let values = values_of_byte(range, byte);
                lowest[i] = lowest[i].min(*values.start());
                highest[i] = highest[i].max(*values.end());
            }
        }
        let mut span = [0; 4];
        for (i, span) in span.iter_mut().enumerate() {
            *span = highest[i].checked_sub(lowest[i])?;
        }
        Some(UpperBytes { lowest, span, rare: Rare::of(ranges) })
    }

    /// Shows every word of `bytes` whose upper bytes are among these, aligned or not, with its offset.
    pub(crate) fn search(&self, bytes: &[u8], mut found: impl FnMut(usize, u64)) {
        let show = |at: usize| {
            let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
            found(at, word.map_or(0, |word| u64::from_le_bytes(*word)));
        };
        let words = bytes.len().saturating_sub(7);
        // Where a rare byte can be.
        let part = |byte: usize| bytes.get(byte..byte + words).unwrap_or_default();
        let fits = |at: &usize| self.fits(bytes, *at);
        match self.rare {
            None => self.search_blocks(bytes, words, show),
            Some(Rare::One(byte, [a])) => memchr_iter(a, part(byte)).filter(fits).for_each(show),
            Some(Rare::Two(byte, [a, b])) => memchr2_iter(a, b, part(byte)).filter(fits).for_each(show),
            Some(Rare::Three(byte, [a, b, c])) => {
                memchr3_iter(a, b, c, part(byte)).filter(fits).for_each(show)
            }
        }
    }

    /// Shows where in `bytes` the words that start at the first `words` fit.
    fn search_blocks(&self, bytes: &[u8], words: usize, mut show: impl FnMut(usize)) {
        let mut next = 0;
        while next + BLOCK <= words {
            self.block(bytes, next).each(&mut show);
            next += BLOCK;
        }
        if next == words {
            return;
        }
        match words.checked_sub(BLOCK) {
            // The last block overlaps the one before.
            Some(last) => self.block(bytes, last).each(|at| {
                if at >= next {
                    show(at);
                }
            }),
            None => (next..words).filter(|at| self.fits(bytes, *at)).for_each(show),
        }
    }

    fn fits(&self, bytes: &[u8], at: usize) -> bool {
        let upper = &bytes[at + UPPER.start..at + UPPER.end];
        let mut limits = upper.iter().zip(self.lowest.iter().zip(&self.span));
        limits.all(|(byte, (lowest, span))| byte.wrapping_sub(*lowest) <= *span)
    }

    /// Which of the words that start in a block fit.
    fn block(&self, bytes: &[u8], start: usize) -> Block {
        let mut fits = [0; BLOCK];
        let upper: &[u8; BLOCK + 3] = bytes[start + UPPER.start..].first_chunk().unwrap_or(&[0; BLOCK + 3]);
        for (i, fits) in fits.iter_mut().enumerate() {
            let byte = |at: usize| upper[i + at].wrapping_sub(self.lowest[at]) <= self.span[at];
            *fits = u8::from(byte(0) & byte(1) & byte(2) & byte(3));
        }
        Block { start, fits }
    }
}

/// Where a block starts, and for each place in it 1 or 0.
struct Block {
    start: usize,
    fits: [u8; BLOCK],
}

impl Block {
    fn each(&self, mut show: impl FnMut(usize)) {
        if self.fits.iter().fold(0, |any, fits| any | fits) == 0 {
            return;
        }
        for (i, eight) in self.fits.as_chunks::<8>().0.iter().enumerate() {
            let mut left = u64::from_le_bytes(*eight);
            while left != 0 {
                show(self.start + 8 * i + left.trailing_zeros() as usize / 8);
                left &= left - 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that lies in a range is shown, wherever it stands, and nothing whose upper bytes are others.
    #[test]
    fn what_a_plain_search_finds_is_shown() {
        let cases: [(&[(u64, u64)], usize); 9] = [
            (&[(0x7f3a_1000_0000, 0x7f3a_2010_0000)], 1),
            (
                &[
                    (0x5555_5555_4000, 0x5556_5556_0000),
                    (0x5600_0000_0000, 0x56ff_ffff_f000),
                    (0x7f00_0000_0000, 0x7fff_ffff_f000),
                ],
                3,
            ),
            // All can be anything, or are in all code.
            (&[(0x0048_0000_0000, 0x0089_0000_0000)], 0),
            (&[(0x5555_5555_4000, 0x5555_5556_0000), (0x7f00_0000_0000, 0x7fff_ffff_f000)], 2),
            (&[(0x40_0000, 0x50_0000)], 0),
            (&[(0x7fff_f000, 0x1_0000_2000)], 0),
            (&[(0xffff_8000_0000_0000, u64::MAX)], 0),
            (&[(0x1000, 0x2000), (0xffff_ffff_8000_0000, 0xffff_ffff_9000_0000)], 0),
            (&[(0, u64::MAX)], 0),
        ];
        // SplitMix64, so that every run sees the same.
        let mut state = 0x9e37_79b9_u64;
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z ^ (z >> 29)
        };
        for (ranges, rare) in cases {
            let ranges: Vec<Range<u64>> = ranges.iter().map(|&(start, end)| start..end).collect();
            let upper = UpperBytes::of(&ranges).expect("there are numbers");
            let values = upper.rare.map_or(0, |rare| match rare {
                Rare::One(..) => 1,
                Rare::Two(..) => 2,
                Rare::Three(..) => 3,
            });
            assert_eq!(values, rare, "{ranges:x?}");
            for length in [0, 7, 8, 63, 71, 72, 200, 1000] {
                let mut bytes: Vec<u8> = (0..length).map(|_| random() as u8).collect();
                for _ in 0..length / 16 {
                    let range = &ranges[random() as usize % ranges.len()];
                    let value = range.start + random() % (range.end - range.start);
                    let at = random() as usize % (length - 7);
                    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                }
                let words = bytes.windows(8).map(|w| u64::from_le_bytes(w.try_into().expect("eight")));
                let expected: Vec<(usize, u64)> = words
                    .enumerate()
                    .filter(|(_, word)| ranges.iter().any(|range| range.contains(word)))
                    .collect();
                let mut shown = Vec::new();
                upper.search(&bytes, |at, word| shown.push((at, word)));
                assert!(shown.is_sorted());
                let right = shown.iter().filter(|(_, word)| ranges.iter().any(|range| range.contains(word)));
                assert_eq!(right.copied().collect::<Vec<_>>(), expected, "{ranges:x?}");
                let all = shown.iter().all(|(at, _)| {
                    let upper_of =
                        |i: usize| bytes[at + 4 + i].wrapping_sub(upper.lowest[i]) <= upper.span[i];
                    (0..4).all(upper_of)
                });
                assert!(all, "{ranges:x?}");
            }
        }
        assert_eq!(UpperBytes::of(&[]), None);
        assert_eq!(UpperBytes::of(std::slice::from_ref(&(5..5))), None);
    }
}
