//! What the code takes for granted of the alignment of what its constants mean, held against what is known of that in
//! every process: harmless, replaced by an addition, provided by our own layout, or refused.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use foldhash::HashMap;

use crate::arch::{AlignmentNeed, PcUse, Seed};
use crate::error::Problem;
use crate::object_code::{ObjectCode, number_of, place_of};
use crate::object_file::{ObjectFile, SectionId, SymbolId, SymbolPlace};
use crate::reloc::RelocKind;
use crate::resolve::Resolved;
use crate::scan::{Scan, Shape};
use crate::session_map::{Anchor, Expression, Files, Meaning, PAGE, SessionMap, Step, Value, ValueId};

/// What was found out.
#[derive(Debug, Default)]
pub(crate) struct Assumptions {
    /// What alignment of its target the code around each place relies on, by the place's index; 1: none.
    relied_on: BTreeMap<usize, u64>,
    /// Instructions to be replaced.
    pub(crate) realigned: Vec<Realigned>,
    /// What copies of bytes must be like in low bits: by value, the power of two below which their address is the
    /// session's.
    demands: HashMap<ValueId, u64>,
    /// What cannot be relied on.
    pub(crate) problems: Vec<Problem>,
}

/// An `or` that becomes an addition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Realigned {
    pub(crate) section: SectionId,
    pub(crate) offset: u64,
    pub(crate) old: Vec<u8>,
    pub(crate) new: Vec<u8>,
}

impl Assumptions {
    /// What alignment is relied on at the place with that index.
    pub(crate) fn relied_on(&self, place: usize) -> u64 {
        self.relied_on.get(&place).copied().unwrap_or(1)
    }

    /// By what power of two a copy of bytes for a value must have the session's address.
    pub(crate) fn demanded(&self, value: ValueId) -> Option<u64> {
        self.demands.get(&value).copied()
    }
}

/// Looks at all code that a place reaches.
pub(crate) fn examine(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    scan: &Scan<'_>,
    code: &ObjectCode<'_>,
    resolved: &[Resolved],
) -> Assumptions {
    let arch = object.machine.arch();
    let seeds = seeds(object, scan, resolved);
    let functions = functions(object, scan, code, resolved, &seeds);
    let words = seeds.iter().any(|seed| seed.instruction.is_none());
    let looks_at_nothing = |parts: &Vec<u64>| is_indifferent(scan, code, parts, words, &mut 0);
    let (indifferent, functions): (Vec<Vec<u64>>, Vec<Vec<u64>>) =
        functions.into_par_iter().partition(looks_at_nothing);
    debug_assert!(
        indifferent.iter().all(|entries| arch.alignment_needs(code, entries, &seeds).is_empty()),
        "a function that looks at no bits needs some"
    );
    let judged = || {
        let needs: Vec<AlignmentNeed> = functions
            .par_iter()
            .flat_map_iter(|entries| arch.alignment_needs(code, entries, &seeds))
            .filter(|need| need.bits > 0)
            .collect();
        Judge { object, map, files, scan, resolved, known: HashMap::default() }.judge(needs)
    };
    let assumptions = judged();
    if assumptions.problems.is_empty() {
        return assumptions;
    }
    // Behind a call that never returns is other code, which finds other things in registers. Few objects need the
    // closer look.
    code.find_dead_ends();
    judged()
}

/// Whether a function, told by where its parts begin, looks at nothing that is given to it: then it need not be followed.
/// `near`: where the last one was found, if they are asked about in order.
pub(crate) fn is_indifferent(
    scan: &Scan<'_>,
    code: &ObjectCode<'_>,
    parts: &[u64],
    words: bool,
    near: &mut usize,
) -> bool {
    let mut indifferent = |&part: &u64| {
        let (section, start) = place_of(part);
        scan.sensitivities.get_from(near, section, start).is_some_and(|found| found.is_indifferent(words))
    };
    // Unwinding may lead anywhere, also between what was decoded.
    parts.iter().all(&mut indifferent) && !parts.first().is_some_and(|start| code.unwinds(*start))
}

/// Where the places come into the code: by fields of instructions, and by words that the program only reads. Of what it
/// may write to no compiler knows what it holds.
fn seeds(object: &ObjectFile<'_>, scan: &Scan<'_>, resolved: &[Resolved]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut absolute: HashMap<SymbolId, u32> = HashMap::default();
    for (index, Resolved { place, meaning, .. }) in (0..).zip(resolved) {
        if matches!(**meaning, Meaning::Unresolved(_)) {
            continue;
        }
        let home = object.section(place.section);
        let mut add = |instruction: Option<u64>, value: Option<u64>| {
            let instruction = instruction.map(|start| number_of(place.section, start));
            if let Some(address) = number_of(place.section, place.offset)
                && instruction != Some(None)
            {
                seeds.push(Seed { address, place: index, value, instruction: instruction.flatten() });
            }
        };
        match place.shape {
            Shape::Instruction { start, .. } | Shape::Doubtful { start, .. } => {
                add(Some(start), Some(place.value));
            }
            Shape::PoolWord => add(None, Some(place.value)),
            Shape::DataWord | Shape::DoubtfulWord if !home.write => add(None, Some(place.value)),
            Shape::Addend(relocation) if home.exec => {
                let field = scan.fields.get(place.section, place.offset);
                // What a branch leads to is in no register, and a distance from elsewhere has other low bits.
                if let Some(field) = field.filter(|field| field.usage != Some(PcUse::Branch)) {
                    let whole = matches!(relocation.kind, RelocKind::Abs64 | RelocKind::Pc32);
                    add(Some(field.start), whole.then_some(place.value));
                }
            }
            Shape::Addend(relocation) if !home.write && relocation.kind == RelocKind::Abs64 => {
                add(None, Some(place.value));
            }
            Shape::AbsoluteSymbol(symbol) => {
                absolute.insert(symbol, index);
            }
            Shape::DataWord | Shape::DoubtfulWord | Shape::Ambiguous | Shape::Addend(_) => {}
        }
    }
    if !absolute.is_empty() {
        seeds.extend(references(object, scan, &absolute));
    }
    seeds.sort_unstable();
    seeds
}

/// References of code and of words that are only read to absolute symbols.
fn references(object: &ObjectFile<'_>, scan: &Scan<'_>, absolute: &HashMap<SymbolId, u32>) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for section in object.sections.iter().filter(|s| s.alloc && (s.exec || !s.write)) {
        for relocation in section.relocations() {
            let Some(&place) = absolute.get(&relocation.symbol) else { continue };
            let Some(address) = number_of(section.id, relocation.offset) else { continue };
            let field = scan.fields.get(section.id, relocation.offset);
            let instruction = field.and_then(|field| number_of(section.id, field.start));
            if section.exec == instruction.is_some() {
                seeds.push(Seed { address, place, value: None, instruction });
            }
        }
    }
    seeds
}

/// The functions that a seed comes into, each by where it and its parts begin.
fn functions(
    object: &ObjectFile<'_>,
    scan: &Scan<'_>,
    code: &ObjectCode<'_>,
    resolved: &[Resolved],
    seeds: &[Seed],
) -> Vec<Vec<u64>> {
    let fields = seeds.iter().filter_map(|seed| seed.instruction).map(place_of);
    let readers =
        resolved.iter().filter_map(|r| scan.accesses.get(&(r.place.section, r.place.offset)).map(|a| (r, a)));
    let readers = readers.flat_map(|(r, accesses)| accesses.iter().map(|a| (r.place.section, a.start)));
    let words = seeds.iter().filter(|seed| seed.instruction.is_none()).map(|seed| place_of(seed.address).0);
    let words: BTreeSet<SectionId> = words.collect();
    let mut starts: Vec<((SectionId, u64), &[u64])> = Vec::new();
    let mut last = (SectionId(0), 0..0);
    for (section, offset) in fields.chain(readers).chain(code.references_to(&words)) {
        // Many are in the function of the one before.
        if last.0 == section && last.1.contains(&offset) {
            continue;
        }
        if let Some((range, parts)) = code.function_at(section, offset) {
            starts.push(((section, range.start), parts));
            last = (section, range.clone());
        }
    }
    starts.sort_unstable_by_key(|(start, _)| *start);
    starts.dedup_by_key(|(start, _)| *start);
    debug_assert!(starts.iter().all(|((section, _), _)| object.section(*section).exec));
    let numbered = |(section, _): (SectionId, u64), parts: &[u64]| {
        parts.iter().filter_map(|&part| number_of(section, part)).collect()
    };
    starts.into_iter().map(|(start, parts)| numbered(start, parts)).collect()
}

/// Holds needs against what is known.
struct Judge<'a> {
    object: &'a ObjectFile<'a>,
    map: &'a SessionMap,
    files: &'a dyn Files,
    scan: &'a Scan<'a>,
    resolved: &'a [Resolved],
    /// How many low bits of each place's target are the same in every process.
    known: HashMap<usize, u8>,
}

impl Judge<'_> {
    fn judge(&mut self, needs: Vec<AlignmentNeed>) -> Assumptions {
        let mut assumptions = Assumptions::default();
        let mut realigned: BTreeMap<u64, Realigned> = BTreeMap::new();
        for need in &needs {
            let held = need.place.is_some_and(|place| need.bits <= self.known(place as usize));
            if let Some(new) = need.instead.as_ref().filter(|_| !held) {
                let (section, offset) = place_of(need.instruction);
                let old = self.bytes(section, offset, need.length).to_vec();
                realigned.insert(need.instruction, Realigned { section, offset, old, new: new.clone() });
            }
        }
        let mut broken: BTreeMap<usize, &AlignmentNeed> = BTreeMap::new();
        for need in needs.iter().filter(|need| !realigned.contains_key(&need.instruction)) {
            let Some(place) = need.place.map(|place| place as usize) else {
                assumptions.problems.push(self.untold(need));
                continue;
            };
            if need.bits > self.known(place) {
                let worst = broken.entry(place).or_insert(need);
                // The first of the strongest, whatever the order of the functions.
                if (need.bits, worst.instruction) > (worst.bits, need.instruction) {
                    *worst = need;
                }
                continue;
            }
            let alignment = 1u64.checked_shl(need.bits.into()).unwrap_or(1 << 63);
            let relied_on = assumptions.relied_on.entry(place).or_insert(1);
            *relied_on = alignment.max(*relied_on);
            if let Meaning::Value(value, _) = *self.resolved[place].meaning
                && is_placed(&self.map.values[value.0 as usize])
            {
                let demanded = assumptions.demands.entry(value).or_insert(1);
                *demanded = alignment.max(*demanded);
            }
        }
        assumptions.problems.extend(broken.into_iter().map(|(place, need)| self.problem(place, need)));
        assumptions.realigned = realigned.into_values().collect();
        assumptions
    }

    fn known(&mut self, place: usize) -> u8 {
        if let Some(&bits) = self.known.get(&place) {
            return bits;
        }
        let Resolved { place: at, meaning, .. } = &self.resolved[place];
        let bits = match self.meaning(meaning, Some(at.value)) {
            Some((value, bits)) if value == at.value => bits,
            // Half an address, extended as the instruction does that.
            Some((value, bits)) if at.width == 4 && value as u32 == at.value as u32 => bits.min(32),
            _ => 0,
        };
        self.known.insert(place, bits);
        bits
    }

    /// What a meaning was in the session, and how many of its low bits are the same in every process. `number` is the
    /// former where it is known.
    fn meaning(&self, meaning: &Meaning, number: Option<u64>) -> Option<(u64, u8)> {
        match meaning {
            Meaning::Symbol { name, offset, library } => {
                self.symbol(name, *offset, library.as_deref(), number)
            }
            Meaning::Value(id, offset) => {
                let value = &self.map.values[id.0 as usize];
                let address = value.address?;
                let bits = match copied(&value.init) {
                    Some((align, _)) if is_placed(value) => align.max(PAGE).trailing_zeros() as u8,
                    _ => self.value(*id)?.1,
                };
                Some((address.wrapping_add(*offset as u64), bits))
            }
            Meaning::Anchored { anchor, .. } => self.anchored(anchor),
            Meaning::Constant(index) => self.expression(&self.map.constants.get(*index)?.1, DEPTH),
            Meaning::Derived { base, step } => {
                let (number, bits) = self.base(base)?;
                Some((step.of(number), stepped(*step, bits)))
            }
            Meaning::Difference { to, from } => {
                let ((to, one), (from, other)) = (self.base(to)?, self.base(from)?);
                Some((to.wrapping_sub(from), one.min(other)))
            }
            Meaning::Unresolved(_) => None,
        }
    }

    /// As [`Self::meaning`], of what another one follows from: of its copy nothing is asked.
    fn base(&self, meaning: &Meaning) -> Option<(u64, u8)> {
        match meaning {
            Meaning::Value(id, offset) => {
                let (number, bits) = self.value(*id)?;
                Some((number.wrapping_add(*offset as u64), bits))
            }
            meaning => self.meaning(meaning, None),
        }
    }

    fn symbol(
        &self,
        name: &str,
        offset: i64,
        library: Option<&str>,
        number: Option<u64>,
    ) -> Option<(u64, u8)> {
        let number = match number {
            Some(number) => number,
            None => self.map.address_of(name, library, self.files)?.wrapping_add(offset as u64),
        };
        let address = number.wrapping_sub(offset as u64);
        let own = self
            .object
            .symbols
            .iter()
            .find(|s| s.name == name && matches!(s.place, SymbolPlace::Section(_)) && !s.preemptible());
        let known = self.map.alignment_of_symbol(name, library, address, self.files);
        let mut bits = known.trailing_zeros() as u8;
        if let Some(symbol) = own
            && let SymbolPlace::Section(home) = symbol.place
        {
            // The section is at a multiple of its alignment, in the session if the symbol was.
            let start = address.wrapping_sub(symbol.value);
            let section = self.object.section(home).align.trailing_zeros();
            bits = bits.max(section.min(start.trailing_zeros()) as u8);
        }
        Some((number, bits))
    }

    /// As [`Self::meaning`], of a place in the one build of a file that is taken for it.
    fn anchored(&self, anchor: &Anchor) -> Option<(u64, u8)> {
        let number = self.map.address_of_anchor(anchor, self.files)?;
        Some((number, PAGE.trailing_zeros() as u8))
    }

    /// As [`Self::meaning`], of a value whose copy is laid out as if nothing relied on it.
    fn value(&self, id: ValueId) -> Option<(u64, u8)> {
        let value = &self.map.values[id.0 as usize];
        let address = value.address?;
        let made = self.expression(&value.init, DEPTH).filter(|(number, _)| *number == address);
        Some((address, made.map_or(0, |(_, bits)| bits).max(unmade(value, address))))
    }

    /// As [`Self::meaning`], of an expression; `None`: that is not known.
    fn expression(&self, expression: &Expression, depth: usize) -> Option<(u64, u8)> {
        let depth = depth.checked_sub(1)?;
        let of = |base: &Expression| self.expression(base, depth);
        let stepped_by = |base: &Expression, step: Step| {
            let (number, bits) = of(base)?;
            Some((step.of(number), stepped(step, bits)))
        };
        match expression {
            Expression::Symbol { name, offset } => self.symbol(name, *offset, None, None),
            Expression::Anchored(anchor) => self.anchored(anchor),
            Expression::Int(number) => Some((*number, 64)),
            Expression::Add(base, number) => stepped_by(base, Step::Add(*number)),
            Expression::Shr(base, count) => stepped_by(base, Step::Shr(*count)),
            Expression::Shl(base, count) => stepped_by(base, Step::Shl(*count)),
            Expression::Neg(base) => stepped_by(base, Step::Neg),
            Expression::Not(base) => stepped_by(base, Step::Not),
            Expression::Low(base) => stepped_by(base, Step::Low),
            Expression::Difference(to, from) => {
                let ((to, one), (from, other)) = (of(to)?, of(from)?);
                Some((to.wrapping_sub(from), one.min(other)))
            }
            Expression::Value(id) => {
                let value = self.map.values.get(id.0 as usize)?;
                let address = value.address?;
                let made = of(&value.init).filter(|(number, _)| *number == address);
                Some((address, made.map_or(0, |(_, bits)| bits).max(unmade(value, address))))
            }
            Expression::Address(_)
            | Expression::Load { .. }
            | Expression::Call { .. }
            | Expression::String(_)
            | Expression::Bytes(_)
            | Expression::Float64(_) => None,
        }
    }

    fn bytes(&self, section: SectionId, offset: u64, length: u8) -> &[u8] {
        let data = self.object.section(section).data;
        data.get(offset as usize..offset as usize + usize::from(length)).unwrap_or_default()
    }

    /// An instruction's text and place.
    fn text(&self, need: &AlignmentNeed) -> String {
        let (section, offset) = place_of(need.instruction);
        let home = self.object.section(section).name;
        let bytes = self.bytes(section, offset, need.length);
        format!("`{}` at {home}+{offset:#x}", self.object.machine.arch().disassemble(bytes, offset))
    }

    fn problem(&self, index: usize, need: &AlignmentNeed) -> Problem {
        let Resolved { place, meaning, .. } = &self.resolved[index];
        let at = match place.shape {
            Shape::AbsoluteSymbol(_) => None,
            _ => Some(self.scan.at(self.object, place.section, place.offset)),
        };
        let (name, base) = match &**meaning {
            Meaning::Symbol { name, offset, .. } => {
                (name.clone(), Some(place.value.wrapping_sub(*offset as u64)))
            }
            Meaning::Value(id, _) => {
                let value = &self.map.values[id.0 as usize];
                (value.name.clone(), value.address)
            }
            meaning => (meaning.text(self.map), None),
        };
        let named = matches!(**meaning, Meaning::Symbol { .. } | Meaning::Value(..));
        let alignment = 1u64 << need.bits.min(MOST_BITS);
        let text = self.text(need);
        let value = place.value;
        let message = if need.length == 0 {
            format!(
                "what the code relies on of the alignment of `{name}` ({value:#x}) cannot be seen: its flow is too \
                 involved; compile it with less optimization"
            )
        } else if need.bits > MOST_BITS {
            format!(
                "the code relies on bits of the address of `{name}` that are others in every process ({text}); let the \
                 compiler see a symbol, or a number that it reads from memory, in place of {value:#x}"
            )
        } else if named && base.is_some_and(|base| base.is_multiple_of(alignment)) {
            format!(
                "the code relies on `{name}` being aligned to {alignment} as it was in the session ({text}); declare \
                 \"align\": {alignment} in the session map if it always is, or compile with a less aligned address"
            )
        } else {
            format!(
                "the code relies on the address of `{name}` being the same modulo {alignment} as in the session, \
                 {value:#x} ({text}); compile with an address that is aligned as it always is"
            )
        };
        Problem { file: self.object.name.to_owned(), at, message }
    }

    /// Something relied on, and it cannot be told of what.
    fn untold(&self, need: &AlignmentNeed) -> Problem {
        let (section, offset) = place_of(need.instruction);
        let at = Some(self.scan.at(self.object, section, offset));
        let text = if need.length == 0 { String::new() } else { format!(" ({})", self.text(need)) };
        let message = format!(
            "the code relies on bits of addresses of the session{text}, and there are too many to tell of which; compile \
             it with less optimization"
        );
        Problem { file: self.object.name.to_owned(), at, message }
    }
}

/// Alignments beyond that are none: nothing is loaded so.
const MOST_BITS: u8 = 21;

/// How deep an expression is looked into.
const DEPTH: usize = 64;

/// What is left of known low bits after one operation.
fn stepped(step: Step, bits: u8) -> u8 {
    match step {
        Step::Add(_) | Step::Neg | Step::Not | Step::Low => bits,
        Step::Shr(count) => bits.saturating_sub(count),
        Step::Shl(count) => bits.saturating_add(count).min(64),
    }
}

/// Known low bits of a value apart from what its expression says: what the map declares of what others make, and what every
/// copy of bytes has.
fn unmade(value: &Value, address: u64) -> u8 {
    match copied(&value.init) {
        Some((align, offset)) => {
            let start = address.wrapping_sub(offset as u64);
            align.trailing_zeros().min(start.trailing_zeros()) as u8
        }
        None => value.align.trailing_zeros() as u8,
    }
}

/// Whether a copy of bytes lies as this object needs it. Of one that is shared any object may be the one that lays it out.
fn is_placed(value: &Value) -> bool {
    !value.shared && copied(&value.init).is_some()
}

/// The alignment of the copy of bytes that a value is the address of, or an address so many bytes in.
fn copied(init: &Expression) -> Option<(u64, i64)> {
    match init {
        Expression::Bytes(bytes) => Some((bytes.align, 0)),
        Expression::Add(base, offset) => match base.as_ref() {
            Expression::Bytes(bytes) => Some((bytes.align, *offset)),
            _ => None,
        },
        _ => None,
    }
}
