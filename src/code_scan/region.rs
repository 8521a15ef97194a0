//! What the instructions of one region are: decoded, and again around the data that they read.

use std::collections::BTreeSet;
use std::ops::Range;

use smallvec::SmallVec;

use super::CodeScan;
use super::halves::{HalfPair, HalfPairs};
use crate::arch::{Instruction, OperandForm, PcUse, Sensitivity, Survey};
use crate::object_file::{InOrder, Relocations, is_relocated};
use crate::plain_constants::PlainConstant;

/// Decoding again with the data that was found among the code converges at once in real code; hostile code
/// could drag it on.
pub(super) const POOL_ROUNDS: usize = 8;

/// What decoding one region gave.
#[derive(Default)]
pub(super) struct Decoded {
    /// Instructions with a constant or a pc-relative operand that are of use, plain constants apart.
    pub(super) instructions: Vec<Instruction>,
    /// Addresses without a relocation, by offset.
    pub(super) plain: Vec<PlainConstant>,
    /// Ranges of the section that instructions of the region read as data.
    pub(super) pools: BTreeSet<(u64, u64)>,
    /// All bytes outside of pools are instructions.
    pub(super) clean: bool,
    /// All of them do nothing.
    pub(super) padding: bool,
    /// What they are, all together.
    pub(super) sensitivity: Sensitivity,
    /// See [`super::CodeFound::halves`].
    pub(super) halves: Vec<HalfPair>,
}

impl CodeScan<'_> {
    /// Decodes a region with those relocations; what its instructions read from within the section is data, and is decoded
    /// around. So are `pools`. `high`: there may be halves of addresses. What a survey and an earlier result hold of memory is
    /// used again.
    pub(super) fn decode(
        &self,
        range: &Range<u64>,
        near: Relocations<'_>,
        high: bool,
        pools: BTreeSet<(u64, u64)>,
        (survey, decoded): (&mut Survey, &mut Decoded),
    ) {
        decoded.pools = pools;
        for _ in 0..POOL_ROUNDS {
            let pools = std::mem::take(&mut decoded.pools);
            let parts = without(range, &pools);
            self.decode_parts(range, &parts, near, high, (survey, decoded));
            decoded.pools = pools.clone();
            for instruction in &decoded.instructions {
                decoded.pools.extend(self.pool_of(instruction, near));
            }
            if decoded.pools == pools {
                break;
            }
        }
    }

    /// Decodes parts of a region once.
    fn decode_parts(
        &self,
        range: &Range<u64>,
        parts: &[Range<u64>],
        near: Relocations<'_>,
        high: bool,
        (survey, decoded): (&mut Survey, &mut Decoded),
    ) {
        let arch = self.object.machine.arch();
        let code = self.section.data;
        let instructions = &mut decoded.instructions;
        instructions.clear();
        decoded.plain.clear();
        survey.begin(range);
        let mut half = false;
        let mut relocations = InOrder::among(near);
        for part in parts {
            arch.survey(code, part.clone(), survey, &mut |instruction| {
                let end = instruction.offset + u64::from(instruction.length);
                let near = relocations.near(instruction.offset..end);
                half |= high && self.may_be_half(instruction);
                if self.all || self.is_of_use(instruction, near) {
                    instructions.push(*instruction);
                }
            });
        }
        let shown = instructions.len();
        let mut again = |start: u64, length: u8| {
            arch.decode(code, start..start + u64::from(length), &mut |found| instructions.push(*found));
        };
        // Whether all jumps lead to where an instruction starts.
        let mut inside = true;
        let mut relocations = InOrder::among(near);
        for branch in &survey.branches {
            let near = relocations.near(branch.offset..branch.offset + u64::from(branch.length));
            let field = branch.offset + u64::from(branch.field);
            let leaves = is_relocated(near, field, branch.width.into()) || !survey.starts_at(branch.target);
            inside &= !(leaves && branch.jumps);
            // Most go on in the function: there can be a hundred for each that is of use.
            if leaves || self.all {
                again(branch.offset, branch.length);
            }
        }
        let mut relocations = InOrder::among(near);
        for &(start, value) in &survey.plain {
            let plain = PlainConstant { start, value };
            let near = relocations.near(start..start + u64::from(self.plain.length));
            if self.all || is_relocated(near, self.plain.offset(&plain), self.plain.width.into()) {
                again(start, self.plain.length);
            } else if self.map.is_session_constant(value) {
                decoded.plain.push(plain);
            }
        }
        if instructions.len() > shown {
            instructions.sort_by_key(|instruction| instruction.offset);
        }
        decoded.halves.clear();
        if half {
            let mut halves = HalfPairs::of(self, near);
            for part in parts {
                arch.decode(code, part.clone(), &mut |instruction| halves.see(instruction));
            }
            decoded.halves = halves.found;
        }
        decoded.clean = survey.clean;
        decoded.padding = survey.padding;
        decoded.sensitivity = survey.sensitivity;
        // It falls into what is behind it, or goes elsewhere, perhaps between what was decoded.
        if !survey.last.has(Sensitivity::STOPS) || !inside {
            decoded.sensitivity |= Sensitivity::LOOKS;
        }
    }

    /// Whether an instruction may hold the high half of an address.
    fn may_be_half(&self, instruction: &Instruction) -> bool {
        let mut operands = instruction.operands.iter().flatten();
        let highs = self.search.as_ref().map(|search| &search.highs);
        operands.any(|o| {
            o.form == OperandForm::Immediate32 && highs.is_some_and(|highs| highs.have(o.value as u32))
        })
    }

    /// Whether an instruction has a place or a relocation, or reaches data. `near`: the relocations that may write to it.
    fn is_of_use(&self, instruction: &Instruction, near: Relocations<'_>) -> bool {
        let mut operands = instruction.operands.iter().flatten();
        let relocated = |field, width: u8| is_relocated(near, field, width.into());
        operands.any(|o| self.operand_place(instruction, o).is_some() || relocated(o.field, o.width))
            || instruction.reference.is_some_and(|reference| {
                reference.usage != PcUse::Branch || relocated(reference.field, reference.width)
            })
    }

    /// The bytes of the section that an instruction reads pc-relatively.
    fn pool_of(&self, instruction: &Instruction, near: Relocations<'_>) -> Option<(u64, u64)> {
        let reference = instruction.reference.filter(|r| r.usage == PcUse::Memory)?;
        if is_relocated(near, reference.field, reference.width.into()) {
            return None;
        }
        let end = reference.target.checked_add(reference.size)?;
        let pool = reference.size > 0 && end <= self.section.data.len() as u64;
        (pool && !self.runs_into_function(reference.target, end)).then_some((reference.target, end))
    }

    /// Whether a function starts amid these bytes: then what is read there is instructions, to whatever end, and must not
    /// hide the constants that they have.
    fn runs_into_function(&self, start: u64, end: u64) -> bool {
        let first = self.regions.partition_point(|region| region.range.start <= start);
        let mut inside = self.regions[first..].iter().take_while(|region| region.range.start < end);
        inside.any(|region| region.function.is_some())
    }
}

/// The parts of a range that lie in none of the pools.
fn without(range: &Range<u64>, pools: &BTreeSet<(u64, u64)>) -> SmallVec<[Range<u64>; 1]> {
    let mut parts = SmallVec::new();
    let mut at = range.start;
    for &(start, end) in pools {
        if end <= at || start >= range.end {
            continue;
        }
        if at < start {
            parts.push(at..start);
        }
        at = end.max(at);
    }
    if at < range.end {
        parts.push(at..range.end);
    }
    parts
}
