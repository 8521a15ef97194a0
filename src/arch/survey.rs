//! What a stretch of code consists of, summed up while it is decoded: of most instructions nothing else is of interest.

use std::ops::Range;

use super::Sensitivity;

/// A branch that says where it leads by a distance, and has no other constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Offset of the instruction.
    pub offset: u64,
    /// Where it leads if no relocation applies: an offset in the same section, wrapping.
    pub target: u64,
    /// Its length in bytes.
    pub length: u8,
    /// Where in it the distance is,
    pub field: u8,
    /// and how many bytes that has.
    pub width: u8,
    /// It is no call.
    pub jumps: bool,
}

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
    /// Offsets of the instructions of the machine's plain form, and their constants.
    pub plain: Vec<(u64, u64)>,
    /// All branches.
    pub branches: Vec<Branch>,
    /// Where it starts.
    pub(super) first: u64,
    /// A bit for each byte, set where an instruction starts.
    pub(super) starts: Vec<u64>,
}

impl Survey {
    /// Of nothing so far; only what lies in `range` can be noted.
    pub fn of(range: &Range<u64>) -> Self {
        let mut survey = Survey::default();
        survey.begin(range);
        survey
    }

    /// Makes of any survey what [`Survey::of`] makes, in the memory that it has.
    pub fn begin(&mut self, range: &Range<u64>) {
        let bytes = range.end.saturating_sub(range.start);
        let Survey { plain, branches, starts, .. } = self;
        plain.clear();
        branches.clear();
        starts.clear();
        starts.resize(usize::try_from(bytes.div_ceil(64)).unwrap_or_default(), 0);
        (self.first, self.clean, self.padding) = (range.start, true, true);
        (self.sensitivity, self.last) = Default::default();
    }

    /// Whether an instruction starts at an offset.
    pub fn starts_at(&self, offset: u64) -> bool {
        let Some(at) = offset.checked_sub(self.first) else { return false };
        let word = usize::try_from(at / 64).ok().and_then(|word| self.starts.get(word));
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}
