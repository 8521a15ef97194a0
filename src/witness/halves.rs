//! Decides what the high halves of addresses belong to: so few bits say little, and libraries share them. What says
//! more is the low half that goes with one, or that the function uses the address itself.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Testimony;
use super::comparison::Comparison;
use super::derive::{Explanation, Pair};
use super::differences::REMEDY;
use crate::Options;
use crate::arch::{Half, OperandForm};
use crate::code_scan::HalfPair;
use crate::error::{Problem, Result};
use crate::object_file::{ObjectFile, SectionId};
use crate::resolve::{Evidence, Resolved};
use crate::scan::{Place, Scan, Shape};
use crate::session_map::{Files, Meaning, SessionMap, Step};

/// The fields of two neighbouring instructions are no farther apart than both are long.
const BESIDE: u64 = 32;

/// A 32-bit operand that differs, and that nothing else explains, or one of 64 bits whose low 32 are such ones.
pub(super) struct Open {
    pub(super) place: Place,
    /// Its number in the witness.
    pub(super) theirs: u64,
}

impl Open {
    fn pair(&self) -> (u32, u32) {
        (self.place.value as u32, self.theirs as u32)
    }
}

/// A low half, and what it is one of.
struct Low {
    place: Place,
    pair: Pair,
    whole: Meaning,
}

impl Comparison<'_> {
    /// Finds what each is the high half of.
    pub(super) fn high_halves(&mut self, open: Vec<Open>, near: &[(Place, Pair)]) {
        if open.is_empty() {
            return;
        }
        let lows = self.lows();
        for open in open {
            if self.hopeless() {
                return;
            }
            let place = open.place;
            let near = self.near(place.section, place.offset, near);
            let beside =
                within(&lows, place.section, place.offset.saturating_sub(BESIDE)..place.offset + BESIDE);
            let beside = beside.iter().filter(|low| self.store_one_word(&low.place, &place));
            let mut found = distinct(beside.filter_map(|low| self.whole(&open, low, &near)));
            if found.is_empty() {
                let function = self.function(place.section, place.offset).unwrap_or_default();
                let around = within(&lows, place.section, function);
                found = distinct(around.iter().filter_map(|low| self.whole(&open, low, &near)));
            }
            if found.is_empty() {
                found = distinct(near.iter().filter_map(|&pair| self.with_high(&open, pair)));
            }
            if let [whole] = &found[..] {
                let high = Meaning::Derived { base: Box::new(whole.clone()), step: Step::Shr(32) };
                let meaning = match place.value >> 32 {
                    number @ 1.. if place.width == 8 => {
                        let step = Step::Add((number << 32) as i64);
                        Meaning::Derived { base: Box::new(high), step }
                    }
                    _ => high,
                };
                let meaning = meaning.into();
                self.testimony.resolved.push(Resolved { place, meaning, evidence: Evidence::Derived });
            } else {
                self.refuse_high(&open, &found);
            }
        }
    }

    /// The low halves that were found.
    fn lows(&self) -> Vec<Low> {
        let resolved = self.testimony.resolved.iter();
        let low = |r: &Resolved| {
            let (whole, bits) = low_of(&r.place, &r.meaning)?;
            let pair = (r.place.value >> bits, self.their_value(&r.place)? >> bits);
            Some(Low { place: r.place, pair, whole: whole.clone() })
        };
        let mut lows: Vec<Low> = resolved.filter_map(low).collect();
        lows.sort_by_key(|low| (low.place.section, low.place.offset));
        lows
    }

    /// What both halves together are, if that is what the low one was found to be of.
    fn whole(&self, high: &Open, low: &Low, near: &[Pair]) -> Option<Meaning> {
        let joined = |high: u32, low: u64| u64::from(high) << 32 | u64::from(low as u32);
        let (a, b) = high.pair();
        let pair = (joined(a, low.pair.0), joined(b, low.pair.1));
        let sessions = self.sessions();
        let found = sessions.same(pair).or_else(|| sessions.one_past(pair));
        let found = found.or_else(|| match sessions.explain(pair, near) {
            Explanation::One(meaning) => Some(meaning),
            Explanation::None | Explanation::Two(..) => None,
        });
        found.filter(|meaning| *meaning == low.whole)
    }

    /// What an address means, if that is its high half.
    fn with_high(&self, high: &Open, (a, b): Pair) -> Option<Meaning> {
        let same = ((a >> 32) as u32, (b >> 32) as u32) == high.pair();
        same.then(|| self.sessions().same((a, b))).flatten()
    }

    /// Whether two neighbouring instructions store the halves of one word.
    fn store_one_word(&self, low: &Place, high: &Place) -> bool {
        let bytes = |place: &Place| match place.shape {
            Shape::Instruction { start, length, .. } => {
                let end = start + u64::from(length);
                let data = self.object.section(place.section).data;
                Some((start, end, data.get(start as usize..end as usize)?))
            }
            _ => None,
        };
        let (Some(low_at), Some(high_at)) = (bytes(low), bytes(high)) else { return false };
        let arch = self.object.machine.arch();
        low.section == high.section
            && (low_at.1 == high_at.0 && arch.store_halves(low_at.2, high_at.2, false)
                || high_at.1 == low_at.0 && arch.store_halves(high_at.2, low_at.2, true))
    }

    fn refuse_high(&mut self, open: &Open, found: &[Meaning]) {
        let Open { place, theirs } = open;
        let section = self.object.section(place.section);
        let landmarks = self.movement.landmarks.iter();
        let sharing = distinct(landmarks.filter_map(|&pair| self.with_high(open, pair)).take(2));
        let names = |of: &[Meaning]| {
            let names: Vec<String> = of.iter().take(2).map(|m| format!("`{}`", m.text(self.map))).collect();
            names.join(" or of ")
        };
        let what = if !found.is_empty() {
            format!("the high half of {}, and nothing in its function says of which", names(found))
        } else if !sharing.is_empty() {
            format!(
                "perhaps the high half of {}, and its function has neither that address nor the low half; {REMEDY} {}+{:#x}",
                names(&sharing),
                section.name,
                place.offset
            )
        } else {
            format!("what nothing explains; {REMEDY} {}+{:#x}", section.name, place.offset)
        };
        let name = self.witness.object.name;
        let message = format!("{:#x} is {theirs:#x} in {name}: it is {what}", place.value);
        self.problem_at(place, message);
    }

    /// Settles what may be an address in two halves: both are explained, or are numbers, because they do not differ
    /// although what was at that address lay elsewhere. Other pairs are left.
    ///
    /// # Errors
    /// An image that is needed and cannot be used.
    pub(super) fn halves(&mut self) -> Result<()> {
        let known: BTreeSet<(SectionId, u64)> =
            self.testimony.resolved.iter().map(|r| (r.place.section, r.place.offset)).collect();
        for pair in std::mem::take(&mut self.testimony.halves) {
            let places = [pair.low, pair.high];
            let differs = |place: &Place| self.their_value(place) != Some(place.value);
            // What differs is told of where differences are.
            if places.iter().any(|p| known.contains(&(p.section, p.offset)) || differs(p)) {
                continue;
            }
            let meaning = self.map.meaning(pair.value(), self.files, self.private)?;
            if self.moved(pair.value(), &meaning) == Some(true) {
                self.testimony.dismissed.extend(places);
            } else {
                self.testimony.halves.push(pair);
            }
        }
        Ok(())
    }

    /// The other half of what a half belongs to can be the same in both sessions: then no byte of it differs, and a
    /// number like it in the function is one or is none.
    pub(super) fn halves_that_did_not_move(&mut self, used: &mut BTreeSet<usize>) {
        let mut asked: BTreeSet<(SectionId, u64, u32)> = BTreeSet::new();
        let mut same = Vec::new();
        for Resolved { place, meaning, .. } in &self.testimony.resolved {
            let low = low_of(place, meaning).map(|(whole, _)| (whole, Half::High));
            let Some((whole, other)) = low.or_else(|| Some((high_of(meaning)?, Half::Low))) else { continue };
            let Some((a, b)) = self.numbers(whole) else { continue };
            let other = |number| other.of(number);
            let function = self.function(place.section, place.offset).filter(|_| other(a) == other(b));
            if let Some(function) = function
                && asked.insert((place.section, function.start, other(a)))
            {
                same.push((place.section, function, other(a), whole.text(self.map)));
            }
        }
        let known: BTreeSet<(SectionId, u64)> =
            self.testimony.resolved.iter().map(|r| (r.place.section, r.place.offset)).collect();
        for (section, function, number, name) in same {
            let home = self.object.section(section);
            let mut found = Vec::new();
            self.object.machine.arch().decode(home.data, function, &mut |i| {
                for o in i.operands.iter().flatten() {
                    let immediate = matches!(o.form, OperandForm::Immediate32 | OperandForm::Address64);
                    // In one of 64 bits it can be beside a number.
                    let here =
                        Half::Low.of(o.value) == number || o.width == 8 && Half::High.of(o.value) == number;
                    let free =
                        !home.is_relocated(o.field, o.width.into()) && !known.contains(&(section, o.field));
                    if immediate && here && free {
                        found.push((o.field, o.width));
                    }
                }
            });
            for (offset, width) in found {
                if self.ignored(home, &(offset..offset + u64::from(width)), used) {
                    continue;
                }
                let message = format!(
                    "{number:#x} can be the other half of `{name}`, which is the same in {}: take a witness whose memory \
                     lies farther away",
                    self.witness.object.name
                );
                self.problem(section, offset, message);
            }
        }
    }
}

/// Refuses the pairs of halves of which nothing says whether they are an address.
///
/// # Errors
/// An image that is needed to say what the address means and cannot be read.
pub(super) fn refuse(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    options: &Options<'_>,
    scan: &Scan<'_>,
    testimony: &mut Testimony,
) -> Result<()> {
    let remedy = match options.witness {
        None => "give a witness, which tells and says what each half is",
        Some(_) => "take a witness whose memory lies elsewhere",
    };
    for pair in std::mem::take(&mut testimony.halves) {
        let HalfPair { low, high } = pair;
        let what = match map.meaning(pair.value(), files, options.private)? {
            Meaning::Unresolved(reason) => reason.split(';').next().unwrap_or_default().to_owned(),
            meaning => format!("is {}", meaning.text(map)),
        };
        let section = object.section(low.section).name;
        let message = format!(
            "{:#x} and, at {section}+{:#x}, {:#x} are stored as the halves of {:#x}, which {what}: {remedy}, or declare that \
             both are numbers with --ignore {section}+{:#x}",
            high.value as u32,
            low.offset,
            low.value as u32,
            pair.value(),
            high.offset
        );
        let at = Some(scan.at_place(object, &high));
        testimony.problems.push(Problem { file: object.name.to_owned(), at, message });
    }
    Ok(())
}

/// What a constant holds the low half of, and by how many bits it is shifted there.
fn low_of<'m>(place: &Place, meaning: &'m Meaning) -> Option<(&'m Meaning, u32)> {
    match (place.width, meaning) {
        (4, Meaning::Derived { base, step: Step::Low }) => Some((base, 0)),
        (8, Meaning::Derived { base, step: Step::Shl(32) }) => Some((base, 32)),
        (8, Meaning::Derived { base, step: Step::Add(_) }) => low_of(place, base),
        _ => None,
    }
}

/// What a constant holds the high half of.
fn high_of(meaning: &Meaning) -> Option<&Meaning> {
    match meaning {
        Meaning::Derived { base, step: Step::Shr(32) } => Some(base),
        Meaning::Derived { base, step: Step::Add(_) } => high_of(base),
        _ => None,
    }
}

/// Those that lie there.
fn within(lows: &[Low], section: SectionId, range: Range<u64>) -> &[Low] {
    let from = lows.partition_point(|low| (low.place.section, low.place.offset) < (section, range.start));
    let end = lows.partition_point(|low| (low.place.section, low.place.offset) < (section, range.end));
    lows.get(from..end).unwrap_or_default()
}

/// Each once.
fn distinct(meanings: impl Iterator<Item = Meaning>) -> Vec<Meaning> {
    let mut found: Vec<Meaning> = Vec::new();
    for meaning in meanings {
        if !found.contains(&meaning) {
            found.push(meaning);
        }
    }
    found
}
