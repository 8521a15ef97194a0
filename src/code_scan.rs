//! Finds the constants of one code section: decoded, never searched as bytes alone. A search of the bytes only
//! decides which functions are decoded, and whether anything is left that decoding did not explain.

mod halves;
mod parts;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::arch::{Instruction, Operand, OperandForm, PcReference, PcUse, PlainForm, Sensitivity, Survey};
use crate::function_bounds::{FunctionBounds, Region};
use crate::object_file::{InOrder, ObjectFile, Relocation, Relocations, Section, is_relocated};
use crate::plain_constants::PlainConstant;
use crate::reloc::RelocKind;
use crate::scan::{Field, Place, PoolAccess, Shape, has_low_addresses};
use crate::session_map::SessionMap;
pub(crate) use halves::HalfPair;
use halves::HalfPairs;
pub(crate) use parts::{Part, Parts};
use search::Search;
pub(crate) use search::has_candidates;

/// Decoding again with the data that was found among the code converges at once in real code; hostile code
/// could drag it on.
const POOL_ROUNDS: usize = 8;

/// For how many of a kind there is room at first: more than most functions have.
const SOME: usize = 16;

/// What decoding one region gave.
#[derive(Default)]
struct Decoded {
    /// Instructions with a constant or a pc-relative operand.
    instructions: Vec<Instruction>,
    /// Ranges of the section that instructions of the region read as data.
    pools: BTreeSet<(u64, u64)>,
    /// All bytes outside of pools are instructions.
    clean: bool,
    /// All of them do nothing.
    padding: bool,
    /// What they are, all together.
    sensitivity: Sensitivity,
    /// See [`CodeFound::halves`].
    halves: Vec<HalfPair>,
}

/// What a search of a region's bytes shows.
#[derive(Default)]
struct Candidates {
    /// Offsets at which eight bytes without a relocation read as a session address, aligned or not.
    words: Vec<u64>,
    /// Some four bytes are the high half of one.
    high: bool,
}

/// A region that was decoded.
struct LookedAt<'r> {
    region: &'r Region<'r>,
    /// Its relocations.
    near: Relocations<'r>,
    candidates: Candidates,
    decoded: Decoded,
}

impl LookedAt<'_> {
    /// Where the region starts and what it consists of, if that is nothing but instructions.
    fn sensitivity(&self) -> Option<(u64, Sensitivity)> {
        let pure = self.decoded.clean && self.decoded.pools.is_empty();
        pure.then_some((self.region.range.start, self.decoded.sensitivity))
    }
}

/// What the instructions of regions hold.
#[derive(Default)]
struct Explained {
    places: Vec<Place>,
    /// Not among the places.
    plain: Vec<PlainConstant>,
    /// See [`CodeFound::fields`].
    fields: Vec<(u64, Field)>,
    /// Candidates that are no constant of an instruction, and whether all around them are instructions of a function.
    unexplained: Vec<(u64, bool)>,
    /// See [`CodeFound::halves`].
    halves: Vec<HalfPair>,
}

/// What a section holds.
#[derive(Default)]
pub(crate) struct CodeFound {
    /// By offset.
    pub(crate) places: Vec<Place>,
    /// By offset; not among the places.
    pub(crate) plain: Vec<PlainConstant>,
    /// The instructions around relocated fields, by the field's offset.
    pub(crate) fields: Vec<(u64, Field)>,
    /// Who reaches each pool word among the places.
    pub(crate) accesses: BTreeMap<u64, Vec<PoolAccess>>,
    /// Starts of regions that are nothing but instructions, and what these are.
    pub(crate) sensitivities: Vec<(u64, Sensitivity)>,
    /// Addresses that code stores in two halves.
    pub(crate) halves: Vec<HalfPair>,
}

/// The places of a code section, and the instructions around its relocations that `wanted` selects.
pub(crate) fn scan_code(
    object: &ObjectFile<'_>,
    section: &Section<'_>,
    bounds: &FunctionBounds<'_>,
    map: &SessionMap,
    wanted: &(dyn Fn(&Section<'_>, &Relocation) -> bool + Sync),
) -> CodeFound {
    let low = has_low_addresses(map, object.machine);
    let regions = bounds.regions();
    let near = relocations_by_region(section, regions);
    let plain = object.machine.arch().plain_form();
    let scan =
        CodeScan { object, section, map, regions, near, low, search: Search::of(map), plain, all: false };
    let needed = |index: usize, candidates: &Candidates| {
        let inside = |r: &Relocation| regions[index].range.contains(&r.offset);
        let relocated = || scan.near[index].iter().filter(inside).any(|r| wanted(section, &r));
        !candidates.words.is_empty() || candidates.high || low || relocated()
    };
    let full = |r: &Relocation| r.kind == RelocKind::Abs64 && wanted(section, r);
    if !section.relocations().iter().any(|r| full(&r))
        && let Some(found) = scan.without_data(&needed)
    {
        return found;
    }

    let mut looked_at: Vec<LookedAt<'_>> = (0..regions.len())
        .into_par_iter()
        .filter_map(|index| {
            let candidates = scan.candidates(index);
            needed(index, &candidates).then(|| scan.look_at(index, candidates))
        })
        .collect();
    scan.settle(&mut looked_at);

    let mut explained = Explained::default();
    looked_at.iter().for_each(|looked_at| scan.explain(looked_at, &mut explained));
    let Explained { mut places, plain, fields, unexplained, halves } = explained;
    places.extend(plain.into_iter().map(|plain| scan.plain.place(section.id, plain)));
    // Words that a relocation fills and that are no instruction's constant: instructions read those, too.
    let operands: BTreeSet<u64> = fields.iter().map(|(offset, _)| *offset).collect();
    let full = section.relocations().iter().filter(full);
    let relocated: Vec<u64> = full.map(|r| r.offset).filter(|offset| !operands.contains(offset)).collect();
    let mut accesses = BTreeMap::new();
    if !unexplained.is_empty() || !relocated.is_empty() {
        // The readers of a pool need not be those that were looked at.
        let known: BTreeSet<u64> = looked_at.iter().map(|l| l.region.range.start).collect();
        let rest = (0..regions.len()).into_par_iter().filter(|&i| !known.contains(&regions[i].range.start));
        let rest: Vec<LookedAt<'_>> = rest.map(|index| scan.look_at(index, Candidates::default())).collect();
        looked_at.extend(rest);
        scan.settle(&mut looked_at);
        let pools = looked_at.iter().flat_map(|l| l.decoded.pools.iter().copied()).collect();
        let known: BTreeSet<u64> = places.iter().map(|p: &Place| p.offset).collect();
        let left = unexplained.iter().filter(|(offset, _)| !known.contains(offset));
        places.extend(left.filter_map(|&(offset, clean_code)| scan.judge(offset, clean_code, &pools)));
        let words = places.iter().filter(|p| p.shape == Shape::PoolWord).map(|p| p.offset);
        let words = words.chain(relocated).collect();
        accesses = scan.accesses(&words, &pools, &looked_at);
    }
    places.sort_by_key(|p| p.offset);
    let sensitivities = looked_at.iter().filter_map(LookedAt::sensitivity).collect();
    CodeFound { places, plain: Vec::new(), fields, accesses, sensitivities, halves }
}

/// Where a jump leads; `None`: one of the relocations says where.
fn own_target(jump: &Instruction, relocations: Relocations<'_>) -> Option<u64> {
    let reference = jump.reference?;
    let relocated = is_relocated(relocations, reference.field, reference.width.into());
    (!relocated).then_some(reference.target)
}

fn field_of(instruction: &Instruction, form: Option<OperandForm>, usage: Option<PcUse>) -> Field {
    Field { start: instruction.offset, length: instruction.length, form, usage }
}

struct CodeScan<'a> {
    object: &'a ObjectFile<'a>,
    section: &'a Section<'a>,
    map: &'a SessionMap,
    regions: &'a [Region<'a>],
    /// The relocations of each.
    near: Vec<Relocations<'a>>,
    /// 32-bit operands can be addresses.
    low: bool,
    /// Of addresses; `None`: there are none.
    search: Option<Search<'a>>,
    /// What is not kept as a place.
    plain: PlainForm,
    /// All instructions with a constant or a pc-relative operand are of use.
    all: bool,
}

/// The relocations that may write to each region or to the seven bytes behind it; regions are in order.
fn relocations_by_region<'a>(section: &'a Section<'_>, regions: &[Region<'_>]) -> Vec<Relocations<'a>> {
    let mut all = InOrder::of(section);
    let near = regions.iter().map(|Region { range, .. }| all.near(range.start..range.end.saturating_add(7)));
    near.collect()
}

impl<'a> CodeScan<'a> {
    /// What the section holds, if no instruction reads data among the code and all candidates are constants of
    /// instructions: then no region says anything of another one, and none has to be kept.
    fn without_data(&self, needed: &(dyn Fn(usize, &Candidates) -> bool + Sync)) -> Option<CodeFound> {
        let data = AtomicBool::new(false);
        let explained = |regions: Range<usize>| {
            let (mut explained, mut sensitivities) = (Explained::default(), Vec::new());
            for index in regions {
                let candidates = self.candidates(index);
                if !data.load(Ordering::Relaxed) && needed(index, &candidates) {
                    let looked_at = self.look_at(index, candidates);
                    self.explain(&looked_at, &mut explained);
                    sensitivities.extend(looked_at.sensitivity());
                    if !explained.unexplained.is_empty() || !looked_at.decoded.pools.is_empty() {
                        data.store(true, Ordering::Relaxed);
                    }
                }
            }
            (explained, sensitivities)
        };
        // Few parts, and some for each thread.
        let count = self.regions.len();
        let at_once = (count / 64).clamp(1, 1024);
        let starts = (0..count).into_par_iter().step_by(at_once);
        let parts = starts.map(|start| explained(start..count.min(start + at_once)));
        let parts: Vec<(Explained, Vec<(u64, Sensitivity)>)> = parts.collect();
        if data.into_inner() {
            return None;
        }
        let mut found = CodeFound::default();
        found.plain.reserve_exact(parts.iter().map(|(explained, _)| explained.plain.len()).sum());
        for (explained, sensitivities) in parts {
            found.places.extend(explained.places);
            found.plain.extend(explained.plain);
            found.fields.extend(explained.fields);
            found.sensitivities.extend(sensitivities);
            found.halves.extend(explained.halves);
        }
        found.places.sort_by_key(|p| p.offset);
        found.plain.sort_by_key(|p| p.start);
        Some(found)
    }

    /// Finds out what the candidates of a region are.
    fn explain(&self, looked_at: &LookedAt<'_>, explained: &mut Explained) {
        let LookedAt { region, near, candidates, decoded } = looked_at;
        let (first, first_plain) = (explained.places.len(), explained.plain.len());
        for instruction in &decoded.instructions {
            for operand in instruction.operands.iter().flatten() {
                if is_relocated(*near, operand.field, operand.width.into()) {
                    explained.fields.push((operand.field, field_of(instruction, Some(operand.form), None)));
                } else if let Some(place) = self.operand_place(instruction, operand) {
                    match self.plain.of(&place) {
                        Some(plain) => explained.plain.push(plain),
                        None => explained.places.push(place),
                    }
                }
            }
            if let Some(reference) = instruction.reference
                && is_relocated(*near, reference.field, reference.width.into())
            {
                explained.fields.push((reference.field, field_of(instruction, None, Some(reference.usage))));
            }
        }
        // Between functions there may be data that happens to decode; nops are nothing else.
        let is_code = region.function.is_some() || self.regions.len() == 1 || decoded.padding;
        let places = &mut explained.places[first..];
        places.sort_by_key(|place| place.offset);
        let plain = &mut explained.plain[first_plain..];
        plain.sort_by_key(|plain| plain.start);
        let is_left = |offset: &&u64| {
            plain.binary_search_by_key(*offset, |plain| self.plain.offset(plain)).is_err()
                && places.binary_search_by_key(*offset, |place| place.offset).is_err()
        };
        explained.halves.extend_from_slice(&decoded.halves);
        let left = candidates.words.iter().filter(is_left);
        explained.unexplained.extend(left.map(|&offset| (offset, decoded.clean && is_code)));
    }

    /// Searches the bytes of a region.
    fn candidates(&self, index: usize) -> Candidates {
        let mut found = Candidates::default();
        let Some(search) = &self.search else { return found };
        let range = &self.regions[index].range;
        // A high half comes first if its instruction does; the last function's constant may end with the section, but not
        // beyond it.
        let start = range.start.saturating_sub(4);
        let end = (range.end + 7).min(self.section.data.len() as u64);
        found.words.reserve(SOME);
        search.run(self.section, self.near[index], start as usize..end as usize, |seen| {
            found.high |= seen.high;
            if seen.word && seen.offset >= range.start {
                found.words.push(seen.offset);
            }
        });
        found
    }

    fn look_at(&self, index: usize, candidates: Candidates) -> LookedAt<'a> {
        let (region, near) = (&self.regions[index], self.near[index]);
        let decoded = self.decode(region.range.clone(), near, &candidates, BTreeSet::new());
        LookedAt { region, near, candidates, decoded }
    }

    /// A function's pool need not lie in it: decodes again what others read as data.
    fn settle(&self, looked_at: &mut [LookedAt<'_>]) {
        for _ in 0..POOL_ROUNDS {
            let pools = looked_at.iter().flat_map(|l| l.decoded.pools.iter().copied()).collect();
            let pools = joined(pools);
            let changed = looked_at.par_iter_mut().map(|l| {
                let Range { start, end } = l.region.range;
                let first = pools.partition_point(|pool| pool.1 <= start);
                let inside = pools[first..].iter().take_while(|pool| pool.0 < end).copied();
                let own = joined(l.decoded.pools.clone());
                // What runs over the end of its own pool is of the same data.
                let foreign: BTreeSet<(u64, u64)> = inside.filter(|pool| !own.contains(pool)).collect();
                if foreign.is_empty() {
                    return false;
                }
                let known = l.decoded.pools.union(&foreign).copied().collect();
                l.decoded = self.decode(start..end, l.near, &l.candidates, known);
                true
            });
            if !changed.reduce(|| false, |a, b| a | b) {
                break;
            }
        }
    }

    /// Decodes a region with those relocations; what its instructions read from within the section is data, and is decoded around. So
    /// are `pools`. `candidates`: those of the region.
    fn decode(
        &self,
        range: Range<u64>,
        near: Relocations<'_>,
        candidates: &Candidates,
        pools: BTreeSet<(u64, u64)>,
    ) -> Decoded {
        let arch = self.object.machine.arch();
        let mut decoded = Decoded { pools, ..Decoded::default() };
        for _ in 0..POOL_ROUNDS {
            let pools = std::mem::take(&mut decoded.pools);
            decoded = Decoded::default();
            decoded.instructions.reserve(candidates.words.len() + near.len());
            let mut survey = Survey::of(&range);
            let mut halves = HalfPairs::of(self, near);
            // Of no use, unless they go to where no instruction starts.
            let mut branches = Vec::with_capacity(SOME);
            // Whether all jumps lead to where an instruction starts.
            let mut inside = true;
            for part in without(&range, &pools) {
                arch.survey(self.section.data, part, &mut survey, &mut |instruction| {
                    if instruction.sensitivity.has(Sensitivity::JUMP) {
                        inside &= own_target(instruction, near).is_some();
                    }
                    if candidates.high {
                        halves.see(instruction);
                    }
                    // Most have a small number or go on in the function: there can be a hundred for each that is of use.
                    if self.all || self.is_of_use(instruction, near) {
                        decoded.instructions.push(*instruction);
                    } else if let Some(PcReference { target, .. }) = instruction.reference {
                        branches.push((instruction.offset, instruction.length, target));
                    }
                });
            }
            decoded.halves = halves.found;
            branches.retain(|(_, _, target)| !survey.starts_at(*target));
            for &(start, length, _) in &branches {
                let range = start..start + u64::from(length);
                arch.decode(self.section.data, range, &mut |branch| {
                    inside &= !branch.sensitivity.has(Sensitivity::JUMP);
                    decoded.instructions.push(*branch);
                });
            }
            if !branches.is_empty() {
                decoded.instructions.sort_by_key(|instruction| instruction.offset);
            }
            decoded.clean = survey.clean;
            decoded.padding = survey.padding;
            decoded.sensitivity = survey.sensitivity;
            // It falls into what is behind it, or goes elsewhere, perhaps between what was decoded.
            if !survey.last.has(Sensitivity::STOPS) || !inside {
                decoded.sensitivity |= Sensitivity::LOOKS;
            }
            decoded.pools = pools.clone();
            for instruction in &decoded.instructions {
                decoded.pools.extend(self.pool_of(instruction, near));
            }
            if decoded.pools == pools {
                break;
            }
        }
        decoded
    }

    /// Whether an instruction has a place or a relocation, or reaches data. `near`: the region's relocations.
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

    /// Who reaches each of the words. An address counts for every word of the data that it lies in: code goes on
    /// from there with a displacement or an index of its own.
    fn accesses(
        &self,
        words: &BTreeSet<u64>,
        pools: &BTreeSet<(u64, u64)>,
        looked_at: &[LookedAt<'_>],
    ) -> BTreeMap<u64, Vec<PoolAccess>> {
        let mut accesses: BTreeMap<u64, Vec<PoolAccess>> = BTreeMap::new();
        if words.is_empty() {
            return accesses;
        }
        let own = words.iter().map(|&word| (word, word + 8));
        let data = joined(pools.iter().copied().chain(own).collect());
        for instruction in looked_at.iter().flat_map(|l| &l.decoded.instructions) {
            let Some(reference) = instruction.reference else { continue };
            let last = instruction.offset + u64::from(instruction.length) - 1;
            let before = data.partition_point(|range| range.0 <= last);
            if before > 0 && data[before - 1].1 > instruction.offset {
                // Data that happens to decode.
                continue;
            }
            let PcReference { field, width, target, size, .. } = reference;
            if self.section.is_relocated(field, width.into()) {
                continue;
            }
            let reached = if reference.usage == PcUse::Memory && size > 0 {
                target.saturating_sub(7)..target.saturating_add(size)
            } else {
                let after = data.partition_point(|range| range.0 <= target);
                match data[..after].last() {
                    Some(&(start, end)) if target < end => start..end,
                    _ => continue,
                }
            };
            let Instruction { offset: start, length, .. } = *instruction;
            for &word in words.range(reached) {
                accesses.entry(word).or_default().push(PoolAccess { start, length, field, target, size });
            }
        }
        accesses
    }

    /// The place that an operand without a relocation is, if it is one.
    fn operand_place(&self, instruction: &Instruction, operand: &Operand) -> Option<Place> {
        let place = |shape| {
            let Operand { field: offset, width, value, .. } = *operand;
            Some(Place { section: self.section.id, offset, width, value, shape })
        };
        let Instruction { offset: start, length, .. } = *instruction;
        let found = Shape::Instruction { start, length, form: operand.form };
        let doubtful = Shape::Doubtful { start, length, form: operand.form };
        match operand.form {
            OperandForm::Address64 | OperandForm::Load64 | OperandForm::Other64 => {
                if self.map.is_session_constant(operand.value) { place(found) } else { None }
            }
            _ if !self.low => None,
            OperandForm::Absolute32 => {
                if self.map.is_session_constant(operand.value) {
                    place(found)
                } else {
                    None
                }
            }
            // What these are is told when all of them are known.
            OperandForm::Immediate32 | OperandForm::Scaled32 | OperandForm::Based32 => {
                if self.map.may_be_small_address(operand.value) { place(doubtful) } else { None }
            }
        }
    }

    /// What eight bytes are that read as a session address and are no instruction's constant.
    fn judge(&self, offset: u64, clean_code: bool, pools: &BTreeSet<(u64, u64)>) -> Option<Place> {
        let data = self.section.data;
        let window = data.get(offset as usize..offset as usize + 8)?;
        let value = window.iter().rev().fold(0u64, |w, &b| w << 8 | u64::from(b));
        let place = |shape| Some(Place { section: self.section.id, offset, width: 8, value, shape });
        let read = |&(start, end): &(u64, u64)| {
            start <= offset && offset + 8 <= end && (offset - start).is_multiple_of(8)
        };
        if pools.iter().any(read) {
            return place(Shape::PoolWord);
        }
        if !clean_code {
            // No function's instructions: as in any other section, an aligned word is taken for an address.
            return if offset.is_multiple_of(8) {
                place(Shape::PoolWord)
            } else {
                self.disputed(offset, place)
            };
        }
        self.disputed(offset, place)
    }

    /// Instructions that decode cleanly over these bytes explain them, unless another reading starts right here.
    fn disputed(&self, offset: u64, place: impl Fn(Shape) -> Option<Place>) -> Option<Place> {
        let end = offset + 8;
        let mut carries = false;
        for start in offset.saturating_sub(3)..offset {
            self.object.machine.arch().decode(self.section.data, start..end, &mut |i| {
                carries |= i.offset == start
                    && i.operands.iter().flatten().any(|o| o.field == offset && o.width == 8);
            });
        }
        if carries { place(Shape::Ambiguous) } else { None }
    }
}

/// The ranges, those that touch made one, by their start.
fn joined(ranges: BTreeSet<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (start, end) in ranges {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// The parts of a range that lie in none of the pools.
fn without(range: &Range<u64>, pools: &BTreeSet<(u64, u64)>) -> Vec<Range<u64>> {
    let mut parts = Vec::new();
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
