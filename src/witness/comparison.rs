//! Holds every place against the witness: one that differs must mean the same there; one that does not, although
//! what it would mean lay elsewhere, is none.

use std::ops::Range;

use super::derive::{Explanation, Pair, Sessions, same_target};
use super::movement::Movement;
use super::shape::is_compared;
use super::{Ignored, Testimony, Witness};
use crate::Private;
use crate::arch::{Instruction, Operand};
use crate::error::{At, Problem, Result};
use crate::object_file::{ObjectFile, Relocation, SectionId, SymbolPlace};
use crate::resolve::{Evidence, Resolved};
use crate::scan::{Place, Scan, Shape};
use crate::session_map::{Files, Meaning, SessionMap};

/// As many contradictions are listed.
const MOST_PROBLEMS: usize = 100;

/// Two objects of one shape, and what is known of both sessions.
pub(super) struct Comparison<'a> {
    pub(super) object: &'a ObjectFile<'a>,
    pub(super) map: &'a SessionMap,
    pub(super) files: &'a dyn Files,
    pub(super) private: Private,
    pub(super) scan: &'a Scan<'a>,
    pub(super) witness: &'a Witness<'a>,
    pub(super) movement: &'a Movement,
    pub(super) ignore: &'a [Ignored],
    pub(super) testimony: Testimony,
}

/// What the witness says of a place.
enum Verdict {
    /// It is one.
    Place(Resolved),
    /// It is none, and why.
    None(String),
    /// Nothing.
    Silence,
    /// It contradicts.
    Contradiction(String),
}

impl<'a> Comparison<'a> {
    pub(super) fn sessions(&self) -> Sessions<'a> {
        Sessions {
            ours: self.map,
            theirs: self.witness.map,
            files: self.files,
            private: self.private,
            landmarks: &self.movement.landmarks,
            highs: &self.movement.highs,
        }
    }

    /// Whether neither bytes nor addends nor absolute symbols differ.
    pub(super) fn is_equal(&self) -> bool {
        let theirs = self.witness.object;
        let sections = self.object.sections.iter().zip(&theirs.sections).filter(|(s, _)| is_compared(s));
        let mut symbols = self.object.symbols.iter().zip(&theirs.symbols);
        sections.into_iter().all(|(a, b)| a.data == b.data && a.relocations().iter().eq(b.relocations()))
            && symbols.all(|(a, b)| a.place != SymbolPlace::Absolute || a.value == b.value)
    }

    /// Judges all places; says whether it could not judge some.
    ///
    /// # Errors
    /// An image that is needed and cannot be used.
    pub(super) fn places(&mut self) -> Result<bool> {
        let mut silent = false;
        let places = std::mem::take(&mut self.testimony.resolved);
        // What differs and means the same explains numbers nearby.
        let near: Vec<(Place, Pair)> = places
            .iter()
            .filter_map(|r| {
                let pair = (r.place.value, self.their_value(&r.place)?);
                let symbol = matches!(r.place.shape, Shape::AbsoluteSymbol(_));
                (pair.0 != pair.1 && !symbol).then_some((r.place, pair))
            })
            .collect();
        for resolved in places {
            let place = resolved.place;
            match self.judge(&resolved, &near)? {
                Verdict::Place(judged) => self.testimony.resolved.push(judged),
                Verdict::None(why) => {
                    let at = self.at(place.section, place.offset);
                    let note = format!("{}: {at}: {:#x} {why}", self.object.name, place.value);
                    self.testimony.notes.push(note);
                    self.testimony.dismissed.push(place);
                }
                Verdict::Silence => {
                    silent = true;
                    self.testimony.resolved.push(resolved);
                }
                Verdict::Contradiction(message) => {
                    self.problem_at(&place, message);
                    self.testimony.resolved.push(resolved);
                }
            }
        }
        Ok(silent)
    }

    fn judge(&self, resolved: &Resolved, near: &[(Place, Pair)]) -> Result<Verdict> {
        let Resolved { place, meaning, .. } = resolved;
        let Some(theirs) = self.their_value(place) else {
            return Ok(Verdict::Contradiction(format!(
                "{:#x} stands in an instruction that is another one in {}",
                place.value, self.witness.object.name
            )));
        };
        let their_meaning = self.witness.map.meaning(theirs, self.files, self.private)?;
        let unresolved = |m: &Meaning| matches!(m, Meaning::Unresolved(_));
        if theirs == place.value {
            return Ok(match self.moved(theirs, meaning) {
                Some(true) => Verdict::None(format!(
                    "is no address: it does not differ in {}, where that memory lay elsewhere",
                    self.witness.object.name
                )),
                Some(false) => Verdict::Silence,
                None if unresolved(meaning) => Verdict::Silence,
                None => Verdict::Contradiction(self.both((place.value, meaning), (theirs, &their_meaning))),
            });
        }
        if same_target((meaning, self.map), (&their_meaning, self.witness.map)) {
            let evidence = match place.shape {
                Shape::Doubtful { .. } | Shape::DoubtfulWord => Evidence::Witness,
                _ => Evidence::Map,
            };
            let meaning = meaning.clone();
            return Ok(Verdict::Place(Resolved { place: self.decided(place), meaning, evidence }));
        }
        let near = self.near(place.section, place.offset, near);
        let explained = match place.width {
            4 => self.sessions().explain_narrow((place.value, theirs), &near),
            _ => self.sessions().explain((place.value, theirs), &near),
        };
        Ok(match explained {
            Explanation::One(meaning) => {
                let (place, meaning) = (self.decided(place), meaning.into());
                Verdict::Place(Resolved { place, meaning, evidence: Evidence::Derived })
            }
            Explanation::Two(one, other) => {
                Verdict::Contradiction(self.two((place.value, theirs), &one, &other))
            }
            Explanation::None if unresolved(meaning) && unresolved(&their_meaning) => {
                Verdict::Place(resolved.clone())
            }
            Explanation::None => {
                Verdict::Contradiction(self.both((place.value, meaning), (theirs, &their_meaning)))
            }
        })
    }

    /// Whether what an address means lay elsewhere in the other session; `None`: nothing says so.
    pub(super) fn moved(&self, address: u64, meaning: &Meaning) -> Option<bool> {
        if let Some(there) = self.their_address(meaning) {
            return Some(there != address);
        }
        self.movement.moved_at(self.map, address).or_else(|| {
            // A map with mappings has all of them: what is in none was not there.
            let mapped = self.witness.map.is_session_constant(address);
            (!self.witness.map.mappings.is_empty() && !mapped).then_some(true)
        })
    }

    /// A place of which it is no longer doubtful that it is one.
    fn decided(&self, place: &Place) -> Place {
        let mut decided = *place;
        if place.shape == Shape::DoubtfulWord {
            decided.shape = Shape::DataWord;
        }
        if let Shape::Doubtful { start, length, form } = place.shape {
            decided.shape = Shape::Instruction { start, length, form };
        }
        decided
    }

    /// The witness's number at a place of ours.
    pub(super) fn their_value(&self, place: &Place) -> Option<u64> {
        let theirs = self.witness.object;
        match place.shape {
            Shape::AbsoluteSymbol(id) => Some(theirs.symbol(id).value),
            Shape::Addend(relocation) => {
                let found = theirs
                    .section(place.section)
                    .relocations_in(relocation.offset..relocation.offset + 1)
                    .iter()
                    .find(|r| r.entry == relocation.entry)?;
                let yields = |object: &ObjectFile<'_>, r: &Relocation| {
                    let symbol = object.symbol(r.symbol);
                    let base = if symbol.place == SymbolPlace::Absolute { symbol.value } else { 0 };
                    base.wrapping_add(r.addend as u64)
                };
                // The place's number is where the instruction leads, which counts from its end.
                let rest = place.value.wrapping_sub(yields(self.object, &relocation));
                Some(yields(theirs, &found).wrapping_add(rest))
            }
            Shape::Instruction { start, .. } | Shape::Doubtful { start, .. } if place.width != 8 => {
                self.operand(place.section, start, place.offset, theirs).map(|(_, operand)| operand.value)
            }
            _ => word(theirs.section(place.section).data, place.offset),
        }
    }

    /// The operand at `field` of the instruction at `start`.
    pub(super) fn operand(
        &self,
        section: SectionId,
        start: u64,
        field: u64,
        of: &ObjectFile<'_>,
    ) -> Option<(Instruction, Operand)> {
        let data = of.section(section).data;
        let mut found = None;
        let end = (start + 16).min(data.len() as u64);
        of.machine.arch().decode(data, start..end, &mut |i| {
            if i.offset == start {
                found = i.operands.iter().flatten().find(|o| o.field == field).map(|o| (*i, *o));
            }
        });
        found
    }

    /// What a meaning was in the witness's session.
    fn their_address(&self, meaning: &Meaning) -> Option<u64> {
        self.number_in(self.witness.map, meaning)
    }

    /// What a meaning was in both sessions.
    pub(super) fn numbers(&self, meaning: &Meaning) -> Option<Pair> {
        Some((self.number_in(self.map, meaning)?, self.number_in(self.witness.map, meaning)?))
    }

    /// What a meaning of this session was in the session of `map`.
    fn number_in(&self, map: &SessionMap, meaning: &Meaning) -> Option<u64> {
        match meaning {
            Meaning::Value(id, offset) => {
                let name = &self.map.values.get(id.0 as usize)?.name;
                let value = map.values.iter().find(|v| v.name == *name)?;
                Some(value.address?.wrapping_add(*offset as u64))
            }
            Meaning::Symbol { name, offset, library } => {
                let address = map.address_of(name, library.as_deref(), self.files)?;
                Some(address.wrapping_add(*offset as u64))
            }
            Meaning::Constant(_) => {
                let text = meaning.text(self.map);
                let found = map.constants.iter().find(|(_, e)| e.text(&map.values) == text)?;
                Some(found.0)
            }
            Meaning::Anchored { anchor, .. } => map.address_of_anchor(anchor, self.files),
            Meaning::Derived { base, step } => Some(step.of(self.number_in(map, base)?)),
            Meaning::Difference { to, from } => {
                Some(self.number_in(map, to)?.wrapping_sub(self.number_in(map, from)?))
            }
            Meaning::Unresolved(_) => None,
        }
    }

    /// The addresses that the function around a place uses elsewhere; `places` are sorted.
    pub(super) fn near(&self, section: SectionId, offset: u64, places: &[(Place, Pair)]) -> Vec<Pair> {
        let Some(function) = self.function(section, offset) else {
            return Vec::new();
        };
        let from = places.partition_point(|(p, _)| (p.section, p.offset) < (section, function.start));
        let end = places.partition_point(|(p, _)| (p.section, p.offset) < (section, function.end));
        let inside = places.get(from..end).unwrap_or_default().iter().filter(|(p, _)| p.offset != offset);
        inside.map(|(_, pair)| *pair).collect()
    }

    /// The function around an offset.
    pub(super) fn function(&self, section: SectionId, offset: u64) -> Option<Range<u64>> {
        let regions = self.scan.bounds.get(&section).map(|b| b.regions()).unwrap_or_default();
        let after = regions.partition_point(|r| r.range.start <= offset);
        let region = after.checked_sub(1).and_then(|i| regions.get(i))?;
        Some(region.range.clone())
    }

    fn both(&self, (a, ours): (u64, &Meaning), (b, theirs): (u64, &Meaning)) -> String {
        let text = |meaning: &Meaning, map| match meaning {
            Meaning::Unresolved(reason) => reason.split(';').next().unwrap_or_default().to_owned(),
            meaning => format!("is {}", meaning.text(map)),
        };
        format!(
            "{a:#x} {} here, and {b:#x} {} in {}: one of the session maps is wrong, or both objects are not the same code",
            text(ours, self.map),
            text(theirs, self.witness.map),
            self.witness.object.name
        )
    }

    pub(super) fn two(&self, (a, b): Pair, one: &Meaning, other: &Meaning) -> String {
        format!(
            "{a:#x} here and {b:#x} in {} can be {} and can be {}: declare what they mean in `constants` of both session \
             maps",
            self.witness.object.name,
            one.text(self.map),
            other.text(self.map)
        )
    }

    pub(super) fn at(&self, section: SectionId, offset: u64) -> At {
        self.scan.at(self.object, section, offset)
    }

    /// Whether so much is wrong already that more would tell nothing: the objects are not the same code.
    pub(super) fn hopeless(&self) -> bool {
        self.testimony.problems.len() >= MOST_PROBLEMS
    }

    pub(super) fn problem(&mut self, section: SectionId, offset: u64, message: String) {
        let at = Some(self.at(section, offset));
        self.testimony.problems.push(Problem { file: self.object.name.to_owned(), at, message });
    }

    pub(super) fn problem_at(&mut self, place: &Place, message: String) {
        let at = Some(self.scan.at_place(self.object, place));
        self.testimony.problems.push(Problem { file: self.object.name.to_owned(), at, message });
    }

    /// Notes symbols whose names are others in the other session.
    pub(super) fn names(&mut self) {
        let pairs = self.object.symbols.iter().zip(&self.witness.object.symbols);
        let mut differing = pairs.filter(|(a, b)| a.name != b.name);
        if let Some((a, b)) = differing.next() {
            let more = match differing.count() {
                0 => String::new(),
                count => format!(", and {count} more"),
            };
            let note =
                format!("{}: names of symbols differ: `{}` and `{}`{more}", self.object.name, a.name, b.name);
            self.testimony.notes.push(note);
        }
    }
}

/// The eight bytes at an offset.
pub(super) fn word(data: &[u8], offset: u64) -> Option<u64> {
    let start = usize::try_from(offset).ok()?;
    let bytes = data.get(start..start.checked_add(8)?)?;
    Some(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)))
}
