//! Addresses that code stores in two halves, each in an instruction of its own. So few bits say little alone; both
//! together are an address of the session, or are not.

use std::ops::{Range, RangeInclusive};

use super::CodeScan;
use crate::arch::{Half, Instruction, Operand, OperandForm, PcUse, Sensitivity};
use crate::object_file::{Relocations, is_relocated};
use crate::scan::{Place, Shape};

/// A compiler stores both halves one behind the other; its scheduler may put stores of other words between them.
const WINDOW: usize = 8;

/// Two constants of 32 bits that code stores side by side, as the halves of one word that reads as a session address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HalfPair {
    pub(crate) low: Place,
    pub(crate) high: Place,
}

impl HalfPair {
    /// What both together are.
    pub(crate) fn value(&self) -> u64 {
        joined(self.low.value, self.high.value)
    }
}

fn joined(low: u64, high: u64) -> u64 {
    u64::from(high as u32) << 32 | u64::from(low as u32)
}

/// The high halves that addresses of the session have, in order.
pub(super) struct HighHalves(Vec<RangeInclusive<u32>>);

impl HighHalves {
    /// Those of numbers in these disjoint ranges, which are in order. Zero is none: then 32 bits are the whole address.
    pub(super) fn of(ranges: &[Range<u64>]) -> Self {
        let mut highs: Vec<RangeInclusive<u32>> = Vec::new();
        for range in ranges.iter().filter(|range| range.start < range.end) {
            let high = Half::High.of(range.start).max(1)..=Half::High.of(range.end - 1);
            match highs.last_mut() {
                Some(last) if *high.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*high.end().max(last.end());
                }
                _ if high.is_empty() => {}
                _ => highs.push(high),
            }
        }
        HighHalves(highs)
    }

    /// Whether some address has that one.
    pub(super) fn have(&self, high: u32) -> bool {
        let after = self.0.partition_point(|highs| *highs.start() <= high);
        after > 0 && high <= *self.0[after - 1].end()
    }
}

/// The search for pairs in instructions that are shown in turn.
pub(super) struct HalfPairs<'s, 'a> {
    scan: &'s CodeScan<'a>,
    near: Relocations<'s>,
    /// The last instructions with a constant of 32 bits since a branch, the newest at the end.
    recent: Vec<(Instruction, Operand)>,
    /// The pairs so far.
    pub(super) found: Vec<HalfPair>,
}

impl<'s, 'a> HalfPairs<'s, 'a> {
    /// In a region with those relocations.
    pub(super) fn of(scan: &'s CodeScan<'a>, near: Relocations<'s>) -> Self {
        HalfPairs { scan, near, recent: Vec::new(), found: Vec::new() }
    }

    pub(super) fn see(&mut self, instruction: &Instruction) {
        let branches = instruction.reference.is_some_and(|reference| reference.usage == PcUse::Branch);
        if branches || instruction.sensitivity.has(Sensitivity::STOPS) {
            self.recent.clear();
        }
        let mut operands = instruction.operands.iter().flatten();
        let Some(&operand) = operands.find(|o| o.form == OperandForm::Immediate32) else { return };
        if is_relocated(self.near, operand.field, operand.width.into()) {
            return;
        }
        let this = (*instruction, operand);
        for &before in &self.recent {
            self.found.extend(self.pair(&before, &this, false).or_else(|| self.pair(&before, &this, true)));
        }
        if self.recent.len() == WINDOW {
            self.recent.remove(0);
        }
        self.recent.push(this);
    }

    fn pair(
        &self,
        first: &(Instruction, Operand),
        second: &(Instruction, Operand),
        high_first: bool,
    ) -> Option<HalfPair> {
        let (low, high) = if high_first { (second, first) } else { (first, second) };
        let value = joined(low.1.value, high.1.value);
        if Half::High.of(value) == 0 || !self.scan.map.is_session_constant(value) {
            return None;
        }
        let data = self.scan.section.data;
        let bytes = |(i, _): &(Instruction, Operand)| {
            data.get(i.offset as usize..i.offset as usize + usize::from(i.length))
        };
        let arch = self.scan.object.machine.arch();
        arch.store_halves(bytes(first)?, bytes(second)?, high_first)
            .then(|| HalfPair { low: self.place(low), high: self.place(high) })
    }

    fn place(&self, (instruction, operand): &(Instruction, Operand)) -> Place {
        let Instruction { offset: start, length, .. } = *instruction;
        let Operand { field: offset, width, value, form } = *operand;
        let shape = Shape::Doubtful { start, length, form };
        Place { section: self.scan.section.id, offset, width, value, shape }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_halves_of_ranges() {
        let ranges = [0x1000..0x2000, 0x7fff_0000..0x2_0000_0001, 0x5555_0000_0000..0x5555_0000_1000];
        let highs = HighHalves::of(&ranges);
        let have: Vec<u32> =
            [0, 1, 2, 3, 0x5554, 0x5555, 0x5556].into_iter().filter(|h| highs.have(*h)).collect();
        assert_eq!(have, [1, 2, 0x5555]);
        let touching = HighHalves::of(&[0x7_0000_0000..0x7_0000_1000, 0x7_ffff_f000..0x8_0000_1000]);
        assert_eq!(touching.0, [7..=8]);
        assert!(!HighHalves::of(&[]).have(7));
    }
}
