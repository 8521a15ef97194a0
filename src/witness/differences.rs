//! Explains every byte that differs and belongs to no place yet: an address that the map alone could not show, a
//! constant derived from one, text that spells one. Whatever is left is a problem.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use super::comparison::{Comparison, word};
use super::derive::{Explanation, Pair};
use super::halves::Open;
use super::shape::is_compared;
use crate::arch::Operand;
use crate::code_scan::{Part, Parts};
use crate::object_file::{Section, SectionId, SectionKind, SymbolPlace};
use crate::reloc::RelocKind;
use crate::resolve::{Evidence, Resolved};
use crate::scan::{Place, Shape};
use crate::session_map::SessionMap;
use crate::thread_local::meaning;

/// What to do about a difference that nothing explains.
pub(super) const REMEDY: &str =
    "declare what it means in `constants` of both session maps, or that it is harmless with --ignore";

/// The differing bytes of a section that are not yet explained.
struct Left {
    unexplained: Vec<bool>,
}

impl Left {
    fn explain(&mut self, range: &Range<u64>) {
        let end = (range.end as usize).min(self.unexplained.len());
        if let Some(bytes) = self.unexplained.get_mut(range.start as usize..end) {
            bytes.fill(false);
        }
    }

    /// The bytes from `at` on that are left, up to the next that is not.
    fn run(&self, at: u64) -> Range<u64> {
        let length = self.unexplained[at as usize..].iter().take_while(|&&left| left).count();
        at..at + length as u64
    }
}

impl Comparison<'_> {
    /// Explains what differs; says whether something was ignored. `used` gets the entries that were needed.
    pub(super) fn differences(&mut self, used: &mut BTreeSet<usize>) -> bool {
        let (object, theirs) = (self.object, self.witness.object);
        let near: Vec<(Place, Pair)> = self.near_places();
        let before = used.len();
        let mut open = Vec::new();
        let mut known: HashMap<SectionId, Vec<Range<u64>>> = HashMap::new();
        let mut addends = HashSet::new();
        let places = self.testimony.resolved.iter().map(|r| &r.place).chain(&self.testimony.dismissed);
        for place in places {
            match place.shape {
                Shape::Addend(relocation) => {
                    addends.insert((place.section, relocation.entry));
                }
                Shape::AbsoluteSymbol(_) => {}
                _ => {
                    let field = place.offset..place.offset + u64::from(place.width);
                    known.entry(place.section).or_default().push(field);
                }
            }
        }
        for (a, b) in object.sections.iter().zip(&theirs.sections).filter(|(s, _)| is_compared(s)) {
            if a.data != b.data {
                let mut left = Left { unexplained: a.data.iter().zip(b.data).map(|(a, b)| a != b).collect() };
                known.get(&a.id).into_iter().flatten().for_each(|field| left.explain(field));
                self.section(a, b, left, (&near, &mut open), used);
            }
            self.addends(a, b, &addends, used);
        }
        self.high_halves(open, &near);
        self.halves_that_did_not_move(used);
        let symbol = |p: &Place| match p.shape {
            Shape::AbsoluteSymbol(id) => Some(id),
            _ => None,
        };
        let symbols: HashSet<_> = self.testimony.resolved.iter().filter_map(|r| symbol(&r.place)).collect();
        for (a, b) in object.symbols.iter().zip(&theirs.symbols) {
            if a.place == SymbolPlace::Absolute && a.value != b.value && !symbols.contains(&a.id) {
                let message = format!(
                    "the value of the absolute symbol `{}` is {:#x} here and {:#x} in {}, and nothing explains both",
                    a.name, a.value, b.value, theirs.name
                );
                self.testimony.problems.push(crate::error::Problem {
                    file: object.name.to_owned(),
                    at: None,
                    message,
                });
            }
        }
        used.len() > before
    }

    /// Places that differ, with both numbers: what the constants of their functions may follow from.
    fn near_places(&self) -> Vec<(Place, Pair)> {
        let places = self.testimony.resolved.iter().filter(|r| r.evidence != Evidence::Derived);
        places
            .filter_map(|r| {
                let theirs = self.their_value(&r.place)?;
                let symbol = matches!(r.place.shape, Shape::AbsoluteSymbol(_));
                (!symbol && theirs != r.place.value).then_some((r.place, (r.place.value, theirs)))
            })
            .collect()
    }

    fn section(
        &mut self,
        a: &Section<'_>,
        b: &Section<'_>,
        mut left: Left,
        (near, open): (&[(Place, Pair)], &mut Vec<Open>),
        used: &mut BTreeSet<usize>,
    ) {
        let mut parts = None;
        for at in 0..a.data.len() as u64 {
            if !left.unexplained[at as usize] {
                continue;
            }
            if self.hopeless() {
                return;
            }
            let done = match self.scan.bounds.get(&a.id) {
                Some(_) if self.scan.thread_local_at(a.id, at).is_some() => self.thread_local(a, at, used),
                Some(bounds) => {
                    let parts = parts.get_or_insert_with(|| Parts::of(self.object, a, bounds, self.map));
                    self.in_code(a, b, at, parts, (near, &mut *open), used)
                }
                None => self.in_data(a, b, at, &left, used),
            };
            let done = done.unwrap_or_else(|| {
                let run = left.run(at);
                if !self.ignored(a, &run, used) {
                    let hex = |data: &[u8]| {
                        let bytes = data[run.start as usize..run.end as usize].iter().take(8);
                        bytes.map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
                    };
                    let message = format!(
                        "the bytes {} are {} in {}, and nothing explains the difference; {REMEDY} {}+{:#x}..{:#x}",
                        hex(a.data),
                        hex(b.data),
                        self.witness.object.name,
                        a.name,
                        run.start,
                        run.end
                    );
                    self.problem(a.id, at, message);
                }
                run
            });
            left.explain(&done);
        }
    }

    /// A distance from the thread pointer that differs.
    fn thread_local(&mut self, a: &Section<'_>, at: u64, used: &mut BTreeSet<usize>) -> Option<Range<u64>> {
        let found = self.scan.thread_local_at(a.id, at)?;
        let instruction = found.start..found.start + u64::from(found.length);
        if !self.ignored(a, &(at..at + 1), used) {
            let name = self.witness.object.name;
            let message = format!("{}; it is another in {name}", meaning(found.offset));
            self.problem(a.id, found.field, message);
        }
        Some(instruction)
    }

    fn in_code(
        &mut self,
        a: &Section<'_>,
        b: &Section<'_>,
        at: u64,
        parts: &Parts,
        (near, open): (&[(Place, Pair)], &mut Vec<Open>),
        used: &mut BTreeSet<usize>,
    ) -> Option<Range<u64>> {
        match parts.at(at)? {
            Part::Pool(pool) => {
                let start = at - (at - pool.start) % 8;
                let pair = (word(a.data, start)?, word(b.data, start)?);
                let fits = start + 8 <= pool.end && !a.is_relocated(start, 8);
                fits.then(|| self.field(a, start, pair, Shape::PoolWord, near, used))
            }
            Part::Constant(instruction, operand) => {
                let (start, length) = (instruction.offset, instruction.length);
                let field = operand.field..operand.field + u64::from(operand.width);
                if a.is_relocated(operand.field, operand.width.into()) {
                    return None;
                }
                if operand.width == 8 {
                    let pair = (operand.value, word(b.data, operand.field)?);
                    let shape = Shape::Instruction { start, length, form: operand.form };
                    let place =
                        Place { section: a.id, offset: operand.field, width: 8, value: pair.0, shape };
                    if self.may_hold_a_high_half(&place, pair, near) && !self.ignored(a, &field, used) {
                        open.push(Open { place, theirs: pair.1 });
                        return Some(field);
                    }
                    return Some(self.field(a, operand.field, pair, shape, near, used));
                }
                let theirs = self.operand(a.id, start, operand.field, self.witness.object)?.1.value;
                if !self.ignored(a, &field, used) {
                    let Operand { field: offset, width, value, form } = operand;
                    let shape = Shape::Instruction { start, length, form };
                    let place = Place { section: a.id, offset, width, value, shape };
                    let near = self.near(a.id, at, near);
                    open.extend(self.narrow(place, theirs, &near));
                }
                Some(field)
            }
            Part::Distance => None,
        }
    }

    /// Whether an operand of 64 bits is explained by nothing, and its low half alone differs.
    fn may_hold_a_high_half(&self, place: &Place, pair: Pair, near: &[(Place, Pair)]) -> bool {
        let sessions = self.sessions();
        let near = || self.near(place.section, place.offset, near);
        let low = |number: u64| u64::from(number as u32);
        pair.0 >> 32 == pair.1 >> 32
            && self.movement.highs.contains(&(low(pair.0), low(pair.1)))
            && sessions.same(pair).is_none()
            && sessions.explain(pair, &near()) == Explanation::None
    }

    /// A 32-bit operand that differs; what nothing explains but that it may be a high half is given back.
    fn narrow(&mut self, place: Place, theirs: u64, near: &[Pair]) -> Option<Open> {
        let sessions = self.sessions();
        let pair = (place.value, theirs);
        let (meaning, evidence) = match sessions.same(pair) {
            Some(meaning) => (meaning, Evidence::Witness),
            None => match sessions.explain_narrow(pair, near) {
                Explanation::One(meaning) => (meaning, Evidence::Derived),
                Explanation::Two(one, other) => {
                    let message = self.two(pair, &one, &other);
                    self.problem_at(&place, message);
                    return None;
                }
                Explanation::None => return Some(Open { place, theirs }),
            },
        };
        self.testimony.resolved.push(Resolved { place, meaning: meaning.into(), evidence });
        None
    }

    fn in_data(
        &mut self,
        a: &Section<'_>,
        b: &Section<'_>,
        at: u64,
        left: &Left,
        used: &mut BTreeSet<usize>,
    ) -> Option<Range<u64>> {
        if a.kind != SectionKind::Contents {
            return None;
        }
        if let Some(text) = self.spelled(a.data, b.data, at) {
            let note = format!(
                "{}: {}: text spells an address of the session",
                self.object.name,
                self.at(a.id, text.start)
            );
            self.testimony.notes.push(note);
            return Some(text);
        }
        // Bytes of the word that are alike in both sessions may come before the first that is not.
        let mut found = Vec::new();
        let sessions = self.sessions();
        for start in at.saturating_sub(7)..=at {
            let (Some(ours), Some(theirs)) = (word(a.data, start), word(b.data, start)) else { continue };
            let free = !a.is_relocated(start, 8) && !self.overlaps(a, start, left, at);
            if free && let Some(meaning) = sessions.same((ours, theirs)) {
                let place =
                    Place { section: a.id, offset: start, width: 8, value: ours, shape: Shape::DataWord };
                found.push(Resolved { place, meaning: meaning.into(), evidence: Evidence::Witness });
            }
        }
        match found.as_slice() {
            [] => {}
            [one] => {
                let field = one.place.offset..one.place.offset + 8;
                if !self.ignored(a, &field, used) {
                    self.testimony.resolved.push(one.clone());
                }
                return Some(field);
            }
            [one, other, ..] => {
                let (first, second) = (one.place.offset, other.place.offset);
                let message = format!(
                    "differs from {}, and can be {} at {first:#x} and can be {} at {second:#x}",
                    self.witness.object.name,
                    one.meaning.text(self.map),
                    other.meaning.text(self.map)
                );
                self.problem(a.id, at, message);
                return Some(first..second + 8);
            }
        }
        let start = at & !7;
        let pair = (word(a.data, start)?, word(b.data, start)?);
        if a.is_relocated(start, 8) || self.overlaps(a, start, left, at) {
            return None;
        }
        match self.sessions().explain(pair, &[]) {
            Explanation::None => None,
            _ => Some(self.field(a, start, pair, Shape::DataWord, &[], used)),
        }
    }

    /// Whether the word at `start` shares differing bytes with what is explained already: those before `at`.
    fn overlaps(&self, a: &Section<'_>, start: u64, left: &Left, at: u64) -> bool {
        let differs = |i: u64| word_differs(a, self.witness.object.section(a.id), i);
        (start..start + 8).any(|i| i != at && differs(i) && !left.unexplained[i as usize])
    }

    /// A field of eight bytes that differs: a place, or a problem.
    fn field(
        &mut self,
        a: &Section<'_>,
        offset: u64,
        pair: Pair,
        shape: Shape,
        near: &[(Place, Pair)],
        used: &mut BTreeSet<usize>,
    ) -> Range<u64> {
        let field = offset..offset + 8;
        if self.ignored(a, &field, used) {
            return field;
        }
        let near = self.near(a.id, offset, near);
        self.place(Place { section: a.id, offset, width: 8, value: pair.0, shape }, pair, &near);
        field
    }

    fn place(&mut self, place: Place, pair: Pair, near: &[Pair]) {
        let sessions = self.sessions();
        let (meaning, evidence) = match sessions.same(pair) {
            Some(meaning) => (meaning, Evidence::Witness),
            None => match sessions.explain(pair, near) {
                Explanation::One(meaning) => (meaning, Evidence::Derived),
                Explanation::Two(one, other) => {
                    let message = self.two(pair, &one, &other);
                    return self.problem_at(&place, message);
                }
                Explanation::None => {
                    let message = format!(
                        "{:#x} is {:#x} in {}, and no address explains both; {REMEDY} {}+{:#x}",
                        pair.0,
                        pair.1,
                        self.witness.object.name,
                        self.object.section(place.section).name,
                        place.offset
                    );
                    return self.problem_at(&place, message);
                }
            },
        };
        self.testimony.resolved.push(Resolved { place, meaning: meaning.into(), evidence });
    }

    /// Addends that differ and are no places.
    fn addends(
        &mut self,
        a: &Section<'_>,
        b: &Section<'_>,
        known: &HashSet<(SectionId, u32)>,
        used: &mut BTreeSet<usize>,
    ) {
        for (ours, theirs) in a.relocations().iter().zip(b.relocations()) {
            if ours.addend == theirs.addend || known.contains(&(a.id, ours.entry)) || self.hopeless() {
                continue;
            }
            let width = ours.kind.width().unwrap_or(8);
            if self.ignored(a, &(ours.offset..ours.offset + width), used) {
                continue;
            }
            let symbol = self.object.symbol(ours.symbol);
            let number = ours.symbol.0 == 0 || symbol.place == SymbolPlace::Absolute;
            if number && ours.kind == RelocKind::Abs64 {
                let base = |s: &crate::object_file::Symbol<'_>| match s.place {
                    SymbolPlace::Absolute => s.value,
                    _ => 0,
                };
                let their_symbol = self.witness.object.symbol(theirs.symbol);
                let pair = (
                    base(symbol).wrapping_add(ours.addend as u64),
                    base(their_symbol).wrapping_add(theirs.addend as u64),
                );
                let shape = Shape::Addend(ours);
                let place = Place { section: a.id, offset: ours.offset, width: 8, value: pair.0, shape };
                self.place(place, pair, &[]);
                continue;
            }
            let message = format!(
                "the addend of the relocation is {:#x} here and {:#x} in {}, and nothing explains both; {REMEDY} {}+{:#x}",
                ours.addend, theirs.addend, self.witness.object.name, a.name, ours.offset
            );
            self.problem(a.id, ours.offset, message);
        }
    }

    /// Whether the user declares a field harmless.
    pub(super) fn ignored(
        &self,
        section: &Section<'_>,
        field: &Range<u64>,
        used: &mut BTreeSet<usize>,
    ) -> bool {
        let index = self.ignore.iter().position(|ignored| ignored.covers(section.name, field));
        used.extend(index);
        index.is_some()
    }

    /// The digits around `at`, if they spell an address of its session in both objects.
    fn spelled(&self, ours: &[u8], theirs: &[u8], at: u64) -> Option<Range<u64>> {
        let at = at as usize;
        let digit = |i: usize| ours[i].is_ascii_hexdigit() && theirs[i].is_ascii_hexdigit();
        // A longer number is none of 64 bits.
        let start = (at.saturating_sub(20)..=at).rev().take_while(|&i| digit(i)).last()?;
        let end = (at..ours.len().min(at + 20)).take_while(|&i| digit(i)).last()? + 1;
        let spells = |bytes: &[u8], map: &SessionMap| {
            let text = std::str::from_utf8(&bytes[start..end]).ok()?;
            let numbers = [u64::from_str_radix(text, 16).ok(), text.parse().ok()];
            numbers.into_iter().flatten().any(|n| map.is_session_constant(n)).then_some(())
        };
        spells(ours, self.map)?;
        spells(theirs, self.witness.map)?;
        Some(start as u64..end as u64)
    }
}

fn word_differs(a: &Section<'_>, b: &Section<'_>, at: u64) -> bool {
    a.data.get(at as usize) != b.data.get(at as usize)
}
