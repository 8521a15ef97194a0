//! Finds the constants of one code section: decoded, never searched as bytes alone. A search of the bytes only
//! decides which functions are decoded, and whether anything is left that decoding did not explain.

mod halves;
mod parts;
mod region;
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
pub(crate) use parts::{Part, Parts};
use region::{Decoded, POOL_ROUNDS};
pub(crate) use search::has_candidates;
use search::{Search, Seen};

/// What a search of a region's bytes shows.
#[derive(Debug, Clone, Default)]
struct Candidates {
    /// Offsets at which eight bytes without a relocation read as a session address, aligned or not.
    words: Vec<u64>,
    /// Some four bytes are the high half of one.
    high: bool,
}

impl Candidates {
    /// Makes of any those of a region: `seen` is what was seen there and in the four bytes before, where the high half of its
    /// first instruction's constant can start.
    fn set(&mut self, seen: &[Seen], region: &Region<'_>) {
        self.high = seen.iter().any(|seen| seen.high);
        self.words.clear();
        let words = seen.iter().filter(|seen| seen.word && seen.offset >= region.range.start);
        self.words.extend(words.map(|seen| seen.offset));
    }
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
        sensitivity(self.region, &self.decoded)
    }
}

fn sensitivity(region: &Region<'_>, decoded: &Decoded) -> Option<(u64, Sensitivity)> {
    let pure = decoded.clean && decoded.pools.is_empty();
    pure.then_some((region.range.start, decoded.sensitivity))
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

/// Which relocations' instructions have to be known.
type Wanted<'w> = &'w (dyn Fn(&Section<'_>, &Relocation) -> bool + Sync);

/// The places of a code section, and the instructions around its relocations that `wanted` selects.
pub(crate) fn scan_code(
    object: &ObjectFile<'_>,
    section: &Section<'_>,
    bounds: &FunctionBounds<'_>,
    map: &SessionMap,
    wanted: Wanted<'_>,
) -> CodeFound {
    let low = has_low_addresses(map, object.machine);
    let regions = bounds.regions();
    let plain = object.machine.arch().plain_form();
    let scan = CodeScan { object, section, map, regions, low, search: Search::of(map), plain, all: false };
    let full = |r: &Relocation| r.kind == RelocKind::Abs64 && wanted(section, r);
    if !section.relocations().iter().any(|r| full(&r))
        && let Some(found) = scan.without_data(wanted)
    {
        return found;
    }

    let looked_at = scan.parts().flat_map_iter(|part| {
        let mut looked_at = Vec::new();
        scan.search(part, wanted, &mut |region, near, candidates| {
            looked_at.push(scan.look_at(region, near, candidates.clone()));
        });
        looked_at
    });
    let mut looked_at: Vec<LookedAt<'_>> = looked_at.collect();
    scan.settle(&mut looked_at);

    let mut explained = Explained::default();
    for LookedAt { region, near, candidates, decoded } in &looked_at {
        scan.explain((region, *near), candidates, decoded, &mut explained);
    }
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
        let rest = regions.par_iter().filter(|region| !known.contains(&region.range.start));
        let rest: Vec<LookedAt<'_>> = rest.map(|region| scan.look_at_all(region)).collect();
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

fn field_of(instruction: &Instruction, form: Option<OperandForm>, usage: Option<PcUse>) -> Field {
    Field { start: instruction.offset, length: instruction.length, form, usage }
}

struct CodeScan<'a> {
    object: &'a ObjectFile<'a>,
    section: &'a Section<'a>,
    map: &'a SessionMap,
    regions: &'a [Region<'a>],
    /// 32-bit operands can be addresses.
    low: bool,
    /// Of addresses; `None`: there are none.
    search: Option<Search<'a>>,
    /// What is not kept as a place.
    plain: PlainForm,
    /// All instructions with a constant or a pc-relative operand are of use.
    all: bool,
}

impl<'a> CodeScan<'a> {
    /// What the section holds, if no instruction reads data among the code and all candidates are constants of
    /// instructions: then no region says anything of another one, and none has to be kept.
    fn without_data(&self, wanted: Wanted<'_>) -> Option<CodeFound> {
        let data = AtomicBool::new(false);
        let explained = |part: &'a [Region<'a>]| {
            let (mut explained, mut sensitivities) = (Explained::default(), Vec::new());
            let (mut survey, mut decoded) = (Survey::default(), Decoded::default());
            self.search(part, wanted, &mut |region, near, candidates| {
                if data.load(Ordering::Relaxed) {
                    return;
                }
                let room = (&mut survey, &mut decoded);
                self.decode(&region.range, near, candidates.high, BTreeSet::new(), room);
                self.explain((region, near), candidates, &decoded, &mut explained);
                sensitivities.extend(sensitivity(region, &decoded));
                if !explained.unexplained.is_empty() || !decoded.pools.is_empty() {
                    data.store(true, Ordering::Relaxed);
                }
            });
            (explained, sensitivities)
        };
        let parts: Vec<(Explained, Vec<(u64, Sensitivity)>)> = self.parts().map(explained).collect();
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
        Some(found)
    }

    /// The regions in parts: few, and some for each thread.
    fn parts(&self) -> rayon::slice::Chunks<'a, Region<'a>> {
        self.regions.par_chunks((self.regions.len() / 64).clamp(1, 1024))
    }

    /// Searches the bytes of a part of the regions, and shows those in which there may be something.
    fn search(
        &self,
        part: &'a [Region<'a>],
        wanted: Wanted<'_>,
        show: &mut dyn FnMut(&'a Region<'a>, Relocations<'a>, &Candidates),
    ) {
        let [Region { range: first, .. }, ..] = part else { return };
        let last = part.last().map_or(first, |region| &region.range);
        let mut seen = Vec::new();
        if let Some(search) = &self.search {
            // The last one's constant may end with the section, but not beyond it.
            let end = (last.end + 7).min(self.section.data.len() as u64);
            let range = first.start.saturating_sub(4) as usize..end as usize;
            search.run(self.section, range, |found| seen.push(found));
        }
        let mut seen = seen.as_slice();
        let mut relocations = InOrder::from(self.section, first.start);
        let mut candidates = Candidates::default();
        for region in part {
            let Range { start, end } = region.range;
            let before = seen.iter().take_while(|seen| seen.offset + 4 < start).count();
            seen = &seen[before..];
            let inside = seen.iter().take_while(|seen| seen.offset < end).count();
            let near = relocations.near(start..end.saturating_add(7));
            let inside_of = |r: &Relocation| region.range.contains(&r.offset);
            let relocated = || near.iter().filter(inside_of).any(|r| wanted(self.section, &r));
            candidates.set(&seen[..inside], region);
            if self.low || !candidates.words.is_empty() || candidates.high || relocated() {
                show(region, near, &candidates);
            }
        }
    }

    /// Finds out what the candidates of a region with those relocations are.
    fn explain(
        &self,
        (region, near): (&Region<'_>, Relocations<'_>),
        candidates: &Candidates,
        decoded: &Decoded,
        explained: &mut Explained,
    ) {
        let first = explained.places.len();
        for instruction in &decoded.instructions {
            for operand in instruction.operands.iter().flatten() {
                if is_relocated(near, operand.field, operand.width.into()) {
                    explained.fields.push((operand.field, field_of(instruction, Some(operand.form), None)));
                } else {
                    explained.places.extend(self.operand_place(instruction, operand));
                }
            }
            if let Some(reference) = instruction.reference
                && is_relocated(near, reference.field, reference.width.into())
            {
                explained.fields.push((reference.field, field_of(instruction, None, Some(reference.usage))));
            }
        }
        // Between functions there may be data that happens to decode; nops are nothing else.
        let is_code = region.function.is_some() || self.regions.len() == 1 || decoded.padding;
        let places = &mut explained.places[first..];
        places.sort_by_key(|place| place.offset);
        let mut plain = decoded.plain.iter().map(|plain| self.plain.offset(plain)).peekable();
        let is_left = |offset: &&u64| {
            while plain.next_if(|plain| plain < *offset).is_some() {}
            plain.peek() != Some(*offset)
                && places.binary_search_by_key(*offset, |place| place.offset).is_err()
        };
        let left = candidates.words.iter().filter(is_left);
        explained.unexplained.extend(left.map(|&offset| (offset, decoded.clean && is_code)));
        explained.plain.extend_from_slice(&decoded.plain);
        explained.halves.extend_from_slice(&decoded.halves);
    }

    fn look_at(&self, region: &'a Region<'a>, near: Relocations<'a>, candidates: Candidates) -> LookedAt<'a> {
        let mut decoded = Decoded::default();
        let room = (&mut Survey::default(), &mut decoded);
        self.decode(&region.range, near, candidates.high, BTreeSet::new(), room);
        LookedAt { region, near, candidates, decoded }
    }

    /// The same, of a region that was not searched.
    fn look_at_all(&self, region: &'a Region<'a>) -> LookedAt<'a> {
        let Range { start, end } = region.range;
        let near = InOrder::from(self.section, start).near(start..end.saturating_add(7));
        self.look_at(region, near, Candidates::default())
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
                let room = (&mut Survey::default(), &mut l.decoded);
                self.decode(&l.region.range, l.near, l.candidates.high, known, room);
                true
            });
            if !changed.reduce(|| false, |a, b| a | b) {
                break;
            }
        }
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
