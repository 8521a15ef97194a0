//! What single bytes of a code section belong to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rayon::prelude::*;

use super::{CodeScan, LookedAt};
use crate::arch::{Instruction, Operand};
use crate::function_bounds::FunctionBounds;
use crate::object_file::{ObjectFile, Section};
use crate::session_map::SessionMap;

/// What bytes of a code section belong to.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Data that an instruction reads: these bytes.
    Pool(Range<u64>),
    /// A constant of an instruction.
    Constant(Instruction, Operand),
    /// The distance of a pc-relative operand.
    Distance,
}

/// The parts of a code section, decoded as for [`scan_code`].
pub(crate) struct Parts {
    instructions: BTreeMap<u64, Instruction>,
    pools: BTreeSet<(u64, u64)>,
}

impl Parts {
    /// Decodes the section.
    pub(crate) fn of(
        object: &ObjectFile<'_>,
        section: &Section<'_>,
        bounds: &FunctionBounds<'_>,
        map: &SessionMap,
    ) -> Self {
        let regions = bounds.regions();
        let plain = object.machine.arch().plain_form();
        let scan = CodeScan { object, section, map, regions, low: false, search: None, plain, all: true };
        let looked_at = regions.par_iter().map(|region| scan.look_at_all(region));
        let mut looked_at: Vec<LookedAt<'_>> = looked_at.collect();
        scan.settle(&mut looked_at);
        let decoded = || looked_at.iter().map(|l| &l.decoded);
        let pools = decoded().flat_map(|d| d.pools.iter().copied()).collect();
        let instructions = decoded().flat_map(|d| &d.instructions).map(|i| (i.offset, *i)).collect();
        Parts { instructions, pools }
    }

    /// What the byte at an offset belongs to; `None`: to nothing that holds a constant.
    pub(crate) fn at(&self, offset: u64) -> Option<Part> {
        let mut before = self.pools.range(..(offset, u64::MAX)).rev();
        if let Some(&(start, end)) = before.find(|(_, end)| offset < *end) {
            return Some(Part::Pool(start..end));
        }
        let (_, instruction) = self.instructions.range(..=offset).next_back()?;
        let holds = |field: u64, width: u8| (field..field + u64::from(width)).contains(&offset);
        let operand = instruction.operands.iter().flatten().find(|o| holds(o.field, o.width));
        if let Some(operand) = operand {
            return Some(Part::Constant(*instruction, *operand));
        }
        let distance = instruction.reference.is_some_and(|r| holds(r.field, r.width));
        distance.then_some(Part::Distance)
    }
}
