//! Of code that does an instruction's work elsewhere it is verified that the instruction goes there, that it gets what
//! was decided, each constant its own, and that it goes back.

use std::ops::Range;

use smallvec::SmallVec;

use super::{Check, Lead};
use crate::arch::{Instruction, PcUse};
use crate::object_file::{Relocation, Section, SymbolPlace, SymbolType};
use crate::plan::{Decision, How};
use crate::reloc::RelocKind;

impl Check<'_, '_> {
    /// The place goes to code that yields what it shall, and that goes back to behind the place.
    pub(super) fn thunk_yields(&self, decisions: &[Decision], r: &Relocation) -> bool {
        let [Decision { section, start, length, .. }, ..] = *decisions else { return false };
        let end = start + u64::from(length);
        let Some((_, Lead::Place(home, begin))) = self.goes(self.output.section(section), start..end, r)
        else {
            return false;
        };
        let mut symbols = self.output.symbols.iter();
        let Some(thunk) = symbols.find(|s| {
            s.place == SymbolPlace::Section(home) && s.value == begin && s.kind == SymbolType::Function
        }) else {
            return false;
        };
        let range = begin..begin + thunk.size;
        let home = self.output.section(home);
        let relocations: SmallVec<[Relocation; 4]> = home.relocations_in(range.clone()).iter().collect();
        let Some((loads, rest)) = relocations.split_at_checked(decisions.len()) else {
            return false;
        };
        let yields = loads.iter().zip(decisions).all(|(r, decision)| {
            let how = match (r.kind, self.referring(home, range.clone(), r.offset).and_then(|i| i.reference))
            {
                (_, None) => return false,
                (RelocKind::Pc32, Some(reference)) if reference.usage == PcUse::Address => How::Relative,
                (RelocKind::Pc32, _) => How::Slot,
                _ => How::Got,
            };
            self.code_yields(home, range.clone(), r, how, (decision.source, decision.half))
        });
        let apart = match loads {
            [_] => true,
            [first, second] => {
                let fields = [first, second].map(|r| r.offset - begin);
                let code = &home.data[begin as usize..range.end as usize];
                let in_order = decisions[0].field < decisions[1].field;
                in_order && self.output.machine.arch().thunk_keeps_apart(code, fields)
            }
            _ => false,
        };
        let goes_back = |back: &Relocation| {
            self.goes(home, range.clone(), back).is_some_and(|(instruction, lead)| {
                let last = instruction.offset + u64::from(instruction.length) == range.end;
                last && lead == Lead::Place(section, end)
            })
        };
        let follows = match rest {
            [back] => goes_back(back),
            [moved, back] => self.is_moved(decisions, home, range.clone(), moved) && goes_back(back),
            // What did not go on to the next instruction does not now.
            [] => {
                let old = self.verification.input.section(section);
                self.output.machine.arch().leaves(&old.data[start as usize..end as usize])
            }
            _ => false,
        };
        yields && apart && follows
    }

    /// Where a jump or call with that relocation goes.
    fn goes(&self, home: &Section<'_>, range: Range<u64>, r: &Relocation) -> Option<(Instruction, Lead<'_>)> {
        let instruction = self.referring(home, range, r.offset)?;
        let branch = instruction.reference.is_some_and(|x| x.usage == PcUse::Branch && x.width == 4);
        let rest = (instruction.offset + u64::from(instruction.length) - r.offset) as i64;
        (branch && r.kind == RelocKind::Pc32).then(|| (instruction, self.lead(r, rest)))
    }

    /// The instruction's other constant leads where it led.
    fn is_moved(
        &self,
        decisions: &[Decision],
        home: &Section<'_>,
        range: Range<u64>,
        moved: &Relocation,
    ) -> bool {
        let [Decision { section, start, length, field, .. }] = *decisions else { return false };
        let end = start + u64::from(length);
        let old = self.verification.input.section(section).relocations_in(start..end).iter();
        let mut others = old.filter(|r| r.offset != start + u64::from(field) && r.kind != RelocKind::None);
        let (was, None) = (others.next(), others.next()) else { return false };
        let instruction = self.referring(home, range, moved.offset);
        let leads = instruction.map(|i| {
            let rest = (i.offset + u64::from(i.length) - moved.offset) as i64;
            self.lead(moved, rest)
        });
        let Some(was) = was else {
            let mut led = None;
            let data = self.verification.input.section(section).data;
            let arch = self.verification.input.machine.arch();
            arch.decode(data, start..end, &mut |i| led = i.reference.map(|r| Lead::Place(section, r.target)));
            return moved.kind == RelocKind::Pc32 && led.is_some() && leads == led;
        };
        let led = |end: u64| {
            let addend = was.addend.wrapping_add((end - was.offset) as i64);
            self.lead_of(self.moved(was.symbol), addend)
        };
        match (was.kind, moved.kind) {
            (RelocKind::Pc32, RelocKind::Pc32)
            | (
                RelocKind::GotPc32 | RelocKind::GotPc32Relax | RelocKind::GotPc32RelaxRex,
                RelocKind::GotPc32,
            ) => leads == Some(led(end)),
            (RelocKind::Abs32 | RelocKind::Abs32Signed | RelocKind::ThreadLocal(..), kind) => {
                kind == was.kind && leads.is_none() && self.lead(moved, 0) == led(was.offset)
            }
            _ => false,
        }
    }
}
