//! Of places that were done like another one it is verified that they are like it: the same constant in the same form of
//! instruction before and no relocation, the same relocation after. What the other yields is verified there; that another
//! register gets it is verified where it does first.

use std::collections::BTreeMap;

use rayon::prelude::*;
use smallvec::SmallVec;

use super::Check;
use crate::arch::PlainForm;
use crate::edits::{Frame, Pattern, Repeat, Repeated};
use crate::error::Result;
use crate::in_order::first_from;
use crate::object_file::{InOrder, Relocation, Section, SectionId, SymbolId};
use crate::plain_constants::Window;
use crate::plan::{Decision, How};
use crate::reloc::RelocKind;
use crate::repeats::{AT_ONCE, FEW};

impl Check<'_, '_> {
    /// Every repeated place is like its first one, of which it was decided what it yields.
    pub(super) fn repeats(&self) -> Result<()> {
        let repeated = &self.edits().repeated;
        if repeated.is_empty() {
            return Ok(());
        }
        let decided = self.verification.plan.decisions.iter();
        let decided = decided.filter(|d| matches!(d.how, How::Got | How::Slot | How::Relative));
        let mut decided: Vec<&Decision> = decided.collect();
        // Nearly all are in order.
        decided.sort_by_key(|decision| (decision.section, decision.start));
        let decision = |near: &mut usize, section: SectionId, start: u64| {
            let place = (section, start);
            *near = first_from(&decided, *near, |decision| (decision.section, decision.start) < place);
            decided.get(*near).copied().filter(|decision| (decision.section, decision.start) == place)
        };
        for (&id, repeated) in repeated {
            let (old, new) = (self.verification.input.section(id), self.output.section(id));
            let (form, sections) = (repeated.form, (old, new));
            let undecided = |offset| self.error(id, offset, "what is repeated was not decided");
            let firsts = match First::of_all(form, &repeated.patterns, sections) {
                Ok(firsts) => firsts,
                Err(offset) => return undecided(offset),
            };
            let (mut ways, mut near) = (BTreeMap::new(), 0);
            for (pattern, first) in repeated.patterns.iter().zip(&firsts) {
                let decision = decision(&mut near, id, pattern.first).filter(|decision| {
                    (decision.length, decision.field) == (form.length, form.field) && decision.half.is_none()
                });
                // What is done with one frame of these is the same for all.
                let way =
                    |decision: &Decision| (decision.how, first.relocation.distance, first.relocation.kind);
                let is_same = |way| *ways.entry(pattern.frames).or_insert(way) == way;
                if !decision.map(way).is_some_and(is_same) {
                    return undecided(pattern.first);
                }
            }
            let alike = Alike { form, firsts: &firsts, frames: &repeated.frames, sections };
            let parts = repeated.places.par_chunks(AT_ONCE).map(|places| alike.all(places));
            let parts: Result<Vec<FirstUses>, u64> = parts.collect();
            let parts = match parts {
                Ok(parts) => parts,
                Err(offset) => {
                    return self.error(id, offset, "a place is not like the one that it repeats");
                }
            };
            for place in first_uses(repeated, &parts) {
                let pattern = repeated.patterns.get(place.pattern as usize);
                let decision = pattern.and_then(|pattern| decision(&mut 0, id, pattern.first));
                let Some(decision) = decision else { return undecided(place.offset) };
                let range = place.offset..place.offset + u64::from(form.length);
                let relocations = InOrder::from(new, place.offset).inside(range);
                self.decision(&[Decision { start: place.offset, ..*decision }], relocations)?;
            }
        }
        Ok(())
    }
}

/// For each frame a place that has it, if one does.
type FirstUses = Vec<Option<Repeat>>;

/// One place for each frame that is used.
fn first_uses(repeated: &Repeated, parts: &[FirstUses]) -> impl Iterator<Item = Repeat> {
    (0..repeated.frames.len()).filter_map(|frame| parts.iter().find_map(|part| *part.get(frame)?))
}

/// A relocation, with its distance from a place's start for its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Near {
    addend: i64,
    symbol: SymbolId,
    kind: RelocKind,
    distance: u8,
}

impl Near {
    /// One less than 256 bytes behind `start`.
    fn of(relocation: Relocation, start: u64) -> Self {
        let Relocation { offset, kind, symbol, addend, .. } = relocation;
        Near { addend, symbol, kind, distance: (offset - start) as u8 }
    }
}

/// What all places of a pattern have to be like: what is read of its first.
#[derive(Clone, Copy)]
struct First {
    constant: u64,
    relocation: Near,
    frames: u32,
}

impl First {
    /// Those of patterns in the order of their first, or where one of them has not one relocation, or is outside of the section.
    fn of_all(
        form: PlainForm,
        patterns: &[Pattern],
        sections: (&Section<'_>, &Section<'_>),
    ) -> Result<Vec<Self>, u64> {
        let parts = patterns.par_chunks(AT_ONCE).map(|patterns| {
            let mut relocations = InOrder::from(sections.1, patterns[0].first);
            let first = |pattern| Self::of(form, pattern, sections.0, &mut relocations).ok_or(pattern.first);
            patterns.iter().map(first).collect::<Result<Vec<Self>, u64>>()
        });
        Ok(parts.collect::<Result<Vec<Vec<Self>>, u64>>()?.concat())
    }

    fn of(
        form: PlainForm,
        pattern: &Pattern,
        old: &Section<'_>,
        relocations: &mut InOrder<'_>,
    ) -> Option<Self> {
        let start = pattern.first;
        let range = start..start.checked_add(form.length.into())?;
        let relocation = Near::of(relocations.only_inside(range)?, start);
        let window = form.window();
        let constant = window.constant(window.bytes(old.data, start)?);
        Some(First { constant, relocation, frames: pattern.frames })
    }
}

/// What places are held against.
struct Alike<'a> {
    form: PlainForm,
    /// By pattern.
    firsts: &'a [First],
    frames: &'a [Frame],
    /// Before and after.
    sections: (&'a Section<'a>, &'a Section<'a>),
}

impl Alike<'_> {
    /// Whether all of these places, of which there is at least one, are like their first: where each frame is used, or the
    /// offset of one that is not.
    fn all(&self, places: &[Repeat]) -> Result<FirstUses, u64> {
        let (old, new) = self.sections;
        let mut before = InOrder::from(old, places[0].offset);
        let mut after = InOrder::from(new, places[0].offset);
        let mut uses = vec![None; self.frames.len()];
        let window = self.form.window();
        for few in places.chunks(FEW) {
            let first = |place: &Repeat| self.firsts.get(place.pattern as usize).copied().ok_or(place.offset);
            let firsts = few.iter().map(first).collect::<Result<SmallVec<[First; FEW]>, u64>>()?;
            for (&place, first) in few.iter().zip(&firsts) {
                let frame =
                    self.frame(window, place, first, (&mut before, &mut after)).ok_or(place.offset)?;
                if let Some(used) = uses.get_mut(frame) {
                    used.get_or_insert(place);
                }
            }
        }
        Ok(uses)
    }

    /// The frame that a place has; `None`: it is not like its first.
    fn frame(
        &self,
        window: Window,
        place: Repeat,
        first: &First,
        (before, after): (&mut InOrder<'_>, &mut InOrder<'_>),
    ) -> Option<usize> {
        let ((old, new), start) = (self.sections, place.offset);
        let index = first.frames as usize + place.frame as usize;
        let frame = self.frames.get(index)?;
        let range = start..start.checked_add(self.form.length.into())?;
        let alike = before.none_near(range.clone())
            && window.is(window.bytes(old.data, start)?, frame.old, first.constant)
            && window.bytes(new.data, start)? == frame.new
            && Near::of(after.only_inside(range)?, start) == first.relocation;
        alike.then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::{NewRelocation, SymbolRef};
    use crate::object_file::{ObjectFile, SectionKind};
    use crate::sample_object::{add_section, object, relocate};

    const FORM: PlainForm = PlainForm { length: 10, field: 2, width: 8 };
    const CONSTANT: u64 = 0x7f12_3456_0010;
    const SYMBOL: SymbolId = SymbolId(0);

    /// `movabs $address, %register`, of the registers that need no other prefix, at every sixteenth byte.
    fn before(registers: [u8; 4], constant: u64) -> Vec<u8> {
        let one = |register: u8| [&[0x48, 0xb8 + register][..], &constant.to_le_bytes(), &[0x90; 6]].concat();
        registers.map(one).concat()
    }

    /// `mov slot(%rip), %register; nopl (%rax)` there.
    fn after(registers: [u8; 4]) -> Vec<u8> {
        let one = |register: u8| {
            [&[0x48, 0x8b, 0x05 + 8 * register, 0, 0, 0, 0, 0x0f, 0x1f, 0][..], &[0x90; 6]].concat()
        };
        registers.map(one).concat()
    }

    /// An object with that code and those relocations, by offset and addend.
    fn with<'d>(code: &'d [u8], relocations: &[(u64, i64)]) -> ObjectFile<'d> {
        let mut object = object();
        let text = add_section(&mut object, ".text", SectionKind::Contents, code);
        for &(offset, addend) in relocations {
            relocate(&mut object, text, offset, RelocKind::Pc32, SYMBOL, addend);
        }
        object
    }

    #[test]
    fn what_is_not_like_the_first_is_seen() {
        let registers = [0, 1, 0, 1];
        let right = (before(registers, CONSTANT), after(registers));
        let places = [(16, 1), (32, 0), (48, 1)].map(|(offset, frame)| Repeat { offset, pattern: 0, frame });
        let relocations: Vec<(u64, i64)> = [3, 19, 35, 51].map(|offset| (offset, -4)).into();
        type Before<'a> = (&'a [u8], &'a [(u64, i64)]);
        let all = |old: Before<'_>, new: Before<'_>, places: &[Repeat]| {
            let (old, new) = (with(old.0, old.1), with(new.0, new.1));
            let last = |object: &ObjectFile<'_>| object.sections.len() - 1;
            let sections = (&old.sections[last(&old)], &new.sections[last(&new)]);
            let symbol = SymbolRef::Existing(SYMBOL);
            let relocation = NewRelocation { offset: 3, kind: RelocKind::Pc32, symbol, addend: -4 };
            let pattern = Pattern { first: 0, constant: CONSTANT, frames: 0, relocation };
            let firsts = First::of_all(FORM, &[pattern], sections)?;
            let frame = |register: u8| {
                let window = FORM.window();
                let bytes = |code: &[u8]| window.bytes(code, 0).expect("ten bytes");
                let old = window.around(bytes(&before([register; 4], CONSTANT)));
                Frame { old, new: bytes(&after([register; 4])) }
            };
            let frames = [frame(0), frame(1)];
            Alike { form: FORM, firsts: &firsts, frames: &frames, sections }.all(places)
        };
        let (old, new) = (&*right.0, &*right.1);
        let uses = all((old, &[]), (new, &relocations), &places);
        assert_eq!(uses, Ok(vec![Some(places[1]), Some(places[0])]));

        // Any byte, before or after.
        for at in 16..64 {
            let place = at / 16 * 16;
            let expected = if at < place + 10 { Err(place as u64) } else { uses.clone() };
            for change_old in [true, false] {
                let (mut old, mut new) = right.clone();
                let changed = if change_old { &mut old } else { &mut new };
                changed[at] ^= 1;
                assert_eq!(all((&old, &[]), (&new, &relocations), &places), expected, "{at} {change_old}");
            }
        }
        // A relocation that was there, in its bytes or across their edge.
        for (offset, expected) in [(32, Err(32)), (41, Err(32)), (26, Err(32)), (58, uses.clone())] {
            assert_eq!(all((old, &[(offset, 0)]), (new, &relocations), &places), expected, "{offset}");
        }
        // One that is not, is another or one more.
        type List = Vec<(u64, i64)>;
        let changed = |change: &dyn Fn(&mut List)| {
            let mut relocations = relocations.clone();
            change(&mut relocations);
            all((old, &[]), (new, &relocations), &places)
        };
        assert_eq!(changed(&|all| all[2].1 = -8), Err(32));
        assert_eq!(changed(&|all| all[2].0 += 1), Err(32));
        assert_eq!(changed(&|all| all.retain(|relocation| relocation.0 != 35)), Err(32));
        assert_eq!(changed(&|all| all.insert(3, (37, -4))), Err(32));
        assert_eq!(changed(&|all| all.retain(|relocation| relocation.0 != 3)), Err(0));
        // Another frame, and what there is not.
        let (offset, pattern, frame) = (32, 0, 0);
        for wrong in [(offset, pattern, 1), (offset, pattern, 2), (offset, 1, frame), (64, pattern, frame)] {
            let (offset, pattern, frame) = wrong;
            let wrong = Repeat { offset, pattern, frame };
            assert_eq!(all((old, &[]), (new, &relocations), &[wrong]), Err(offset), "{wrong:?}");
        }
    }
}
