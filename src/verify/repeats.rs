//! Of places that were done like another one it is verified that they are like it: the same bytes and nothing else before,
//! the same bytes and relocations after. What the other yields is verified there.

use foldhash::HashSet;
use rayon::prelude::*;

use super::Check;
use crate::edits::{Repeat, Repeated, ShortBytes};
use crate::error::Result;
use crate::object_file::{InOrder, Section, SectionId, SymbolId};
use crate::plan::How;
use crate::reloc::RelocKind;
use crate::repeats::AT_ONCE;

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
            let mut firsts = Vec::with_capacity(patterns.len());
            for pattern in patterns {
                let length = pattern.new.len() as u64;
                let first =
                    Alike::of(old, new, pattern.first, length, &mut InOrder::from(new, pattern.first));
                let Some(first) = first.filter(|_| decided.contains(&(id, pattern.first))) else {
                    return self.error(id, pattern.first, "what is repeated was not decided");
                };
                firsts.push((first, length));
            }
            let wrong = places.par_chunks(AT_ONCE).find_map_first(|places| {
                let mut before = InOrder::from(old, places[0].offset);
                let mut after = InOrder::from(new, places[0].offset);
                places.iter().find(|&&Repeat { offset, pattern }| {
                    let Some((first, length)) = firsts.get(pattern as usize) else { return true };
                    let here = Alike::of(old, new, offset, *length, &mut after);
                    here.as_ref() != Some(first) || !before.near(offset..offset + length).is_empty()
                })
            });
            if let Some(Repeat { offset, .. }) = wrong {
                return self.error(id, *offset, "a place is not like the one that it repeats");
            }
        }
        Ok(())
    }
}

/// What has to be alike. Nothing of it lies elsewhere: there can be many of them, in no order.
#[derive(PartialEq, Eq)]
struct Alike {
    old: ShortBytes,
    new: ShortBytes,
    /// With its distance from the place's start for its offset.
    relocation: (u64, RelocKind, SymbolId, i64),
}

impl Alike {
    /// The place of that length at `start`; `None`: it has not one relocation, or is outside of the section.
    fn of(
        old: &Section<'_>,
        new: &Section<'_>,
        start: u64,
        length: u64,
        relocations: &mut InOrder<'_>,
    ) -> Option<Self> {
        let range = start..start.checked_add(length)?;
        let [r] = relocations.inside(range.clone()) else { return None };
        let bytes = range.start as usize..range.end as usize;
        let (old, new) = (old.data.get(bytes.clone())?, new.data.get(bytes)?);
        let relocation = (r.offset - start, r.kind, r.symbol, r.addend);
        Some(Alike { old: ShortBytes::from_slice(old), new: ShortBytes::from_slice(new), relocation })
    }
}
