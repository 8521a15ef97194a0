//! Of places that were done like another one it is verified that they are like it: the same bytes and nothing else before,
//! the same bytes and relocations after. What the other yields is verified there.

use foldhash::HashSet;
use rayon::prelude::*;
use smallvec::SmallVec;

use super::Check;
use crate::edits::{Pattern, Repeat, Repeated};
use crate::error::Result;
use crate::object_file::{InOrder, Section, SectionId, SymbolId};
use crate::plan::How;
use crate::reloc::RelocKind;
use crate::repeats::{AT_ONCE, FEW, short_bytes};

impl Check<'_, '_> {
    /// Every repeated place is like its first one, of which it was decided what it yields.
    pub(super) fn repeats(&self) -> Result<()> {
        let repeated = &self.edits().repeated;
        if repeated.is_empty() {
            return Ok(());
        }
        let decided = self.verification.plan.decisions.iter();
        let decided = decided.filter(|d| matches!(d.how, How::Got | How::Slot | How::Relative));
        let decided: HashSet<(SectionId, u64)> = decided.map(|d| (d.section, d.start)).collect();
        for (&id, Repeated { patterns, places }) in repeated {
            let (old, new) = (self.verification.input.section(id), self.output.section(id));
            let first = |pattern: &Pattern| {
                let length = u8::try_from(pattern.new.len()).map_err(|_| pattern.first)?;
                let mut relocations = InOrder::from(new, pattern.first);
                let first = Alike::of(old, new, pattern.first, length, &mut relocations);
                first.filter(|_| decided.contains(&(id, pattern.first))).ok_or(pattern.first)
            };
            let firsts: Result<Vec<Alike>, u64> = patterns.par_iter().map(first).collect();
            let firsts = match firsts {
                Ok(firsts) => firsts,
                Err(offset) => return self.error(id, offset, "what is repeated was not decided"),
            };
            let wrong = places.par_chunks(AT_ONCE).find_map_first(|places| {
                let mut before = InOrder::from(old, places[0].offset);
                let mut after = InOrder::from(new, places[0].offset);
                let mut is_alike = |Repeat { offset, pattern }: Repeat, length: u8| {
                    let alone = before.near(offset..offset.checked_add(length.into())?).is_empty();
                    let here = Alike::of(old, new, offset, length, &mut after).filter(|_| alone)?;
                    Some(firsts.get(pattern as usize) == Some(&here))
                };
                places.chunks(FEW).find_map(|few| {
                    let length =
                        |repeat: &Repeat| firsts.get(repeat.pattern as usize).map(|first| first.length);
                    let lengths: SmallVec<[Option<u8>; FEW]> = few.iter().map(length).collect();
                    let mut with_lengths = few.iter().zip(lengths);
                    let wrong = with_lengths.find(|&(repeat, length)| {
                        length.and_then(|length| is_alike(*repeat, length)) != Some(true)
                    });
                    wrong.map(|(repeat, _)| repeat)
                })
            });
            if let Some(Repeat { offset, .. }) = wrong {
                return self.error(id, *offset, "a place is not like the one that it repeats");
            }
        }
        Ok(())
    }
}

/// What has to be alike. Nothing of it lies elsewhere, and a look at the length has all of it read: there can be many of them, in
/// no order.
#[derive(PartialEq, Eq)]
#[repr(align(64))]
struct Alike {
    length: u8,
    old: u128,
    new: u128,
    /// With its distance from the place's start for its offset.
    relocation: (u8, RelocKind, SymbolId, i64),
}

impl Alike {
    /// The place of that length at `start`; `None`: it has not one relocation, is outside of the section or too long.
    fn of(
        old: &Section<'_>,
        new: &Section<'_>,
        start: u64,
        length: u8,
        relocations: &mut InOrder<'_>,
    ) -> Option<Self> {
        let r = relocations.inside(start..start.checked_add(length.into())?).only()?;
        // Less than the length.
        let relocation = ((r.offset - start) as u8, r.kind, r.symbol, r.addend);
        let bytes = |section: &Section<'_>| short_bytes(section.data, start, length);
        Some(Alike { length, old: bytes(old)?, new: bytes(new)?, relocation })
    }
}
