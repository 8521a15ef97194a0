//! What a stretch of code consists of, summed up while it is decoded: of most instructions nothing else is of interest.

use std::ops::Range;

use super::Sensitivity;

/// What the instructions of a stretch of code are, all together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// All bytes that were decoded are instructions.
    pub clean: bool,
    /// All of them do nothing.
    pub padding: bool,
    /// What they are.
    pub sensitivity: Sensitivity,
    /// What the last one is that does something.
    pub last: Sensitivity,
    first: u64,
    /// A bit for each byte, set where an instruction starts.
    starts: Vec<u64>,
}

impl Survey {
    /// Of nothing so far; only what lies in `range` can be noted.
    pub fn of(range: &Range<u64>) -> Self {
        let bytes = range.end.saturating_sub(range.start);
        let starts = vec![0; usize::try_from(bytes.div_ceil(64)).unwrap_or_default()];
        Survey { clean: true, padding: true, first: range.start, starts, ..Survey::default() }
    }

    /// Whether an instruction starts at an offset.
    pub fn starts_at(&self, offset: u64) -> bool {
        let Some(at) = offset.checked_sub(self.first) else { return false };
        let word = usize::try_from(at / 64).ok().and_then(|word| self.starts.get(word));
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Notes an instruction.
    #[inline]
    pub(super) fn note(&mut self, offset: u64, nop: bool, sensitivity: Sensitivity) {
        self.start(offset);
        self.padding &= nop;
        self.sensitivity |= sensitivity;
        if !nop {
            self.last = sensitivity;
        }
    }

    /// Notes a byte that begins no instruction.
    pub(super) fn note_other(&mut self, offset: u64) {
        self.note(offset, false, Sensitivity::NONE);
        self.clean = false;
    }

    fn start(&mut self, offset: u64) {
        let at = offset.wrapping_sub(self.first);
        if let Some(word) = self.starts.get_mut((at / 64) as usize) {
            *word |= 1 << (at % 64);
        }
    }
}
