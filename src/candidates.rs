//! The search for eight bytes that read as an address of the session. All code goes through it, most of it in vain: so the
//! upper bytes are compared first, sixteen or more places at a time.

use std::ops::Range;

/// How many places are looked at together.
const BLOCK: usize = 64;
/// The bytes of a word that are compared first.
const UPPER: Range<usize> = 4..8;

/// What the upper bytes of a number in one of some ranges are, each by itself: a number for which that does not hold is
/// in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpperBytes {
    /// The lowest of each, and how many more there are.
    lowest: [u8; 4],
    span: [u8; 4],
}

impl UpperBytes {
    /// Of numbers in those ranges; `None`: there are no numbers in them.
    pub(crate) fn of(ranges: &[Range<u64>]) -> Option<Self> {
        let (mut lowest, mut highest) = ([u8::MAX; 4], [u8::MIN; 4]);
        for range in ranges.iter().filter(|range| range.start < range.end) {
            let last = range.end - 1;
            for (i, shift) in UPPER.map(|byte| 8 * byte as u32).enumerate() {
                // Where a higher byte changes within the range this one can be any.
                let same = range.start.checked_shr(shift + 8) == last.checked_shr(shift + 8);
                let (low, high) =
                    if same { ((range.start >> shift) as u8, (last >> shift) as u8) } else { (0, u8::MAX) };
                lowest[i] = lowest[i].min(low);
                highest[i] = highest[i].max(high);
            }
        }
        let mut span = [0; 4];
        for (i, span) in span.iter_mut().enumerate() {
            *span = highest[i].checked_sub(lowest[i])?;
        }
        Some(UpperBytes { lowest, span })
    }

    /// Shows every word of `bytes` whose upper bytes are among these, aligned or not, with its offset.
    pub(crate) fn search(&self, bytes: &[u8], mut found: impl FnMut(usize, u64)) {
        let mut show = |at: usize| {
            let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
            found(at, word.map_or(0, |word| u64::from_le_bytes(*word)));
        };
        let words = bytes.len().saturating_sub(7);
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
        let mut fits = [1_u8; BLOCK];
        for (i, byte) in UPPER.enumerate() {
            let (lowest, span) = (self.lowest[i], self.span[i]);
            let bytes = &bytes[start + byte..start + byte + BLOCK];
            for (fits, byte) in fits.iter_mut().zip(bytes) {
                *fits &= u8::from(byte.wrapping_sub(lowest) <= span);
            }
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
        let cases: [&[(u64, u64)]; 7] = [
            &[(0x7f3a_1000_0000, 0x7f3a_2010_0000)],
            &[(0x5555_5555_4000, 0x5555_5556_0000), (0x7f00_0000_0000, 0x7fff_ffff_f000)],
            &[(0x40_0000, 0x50_0000)],
            &[(0x7fff_f000, 0x1_0000_2000)],
            &[(0xffff_8000_0000_0000, u64::MAX)],
            &[(0x1000, 0x2000), (0xffff_ffff_8000_0000, 0xffff_ffff_9000_0000)],
            &[(0, u64::MAX)],
        ];
        // SplitMix64, so that every run sees the same.
        let mut state = 0x9e37_79b9_u64;
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z ^ (z >> 29)
        };
        for ranges in cases {
            let ranges: Vec<Range<u64>> = ranges.iter().map(|&(start, end)| start..end).collect();
            let upper = UpperBytes::of(&ranges).expect("there are numbers");
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
