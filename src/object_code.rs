//! The object's code and data as an analysis that follows control and addresses sees them: every byte of every section
//! has one number, and relocations say what fields refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

use smallvec::{SmallVec, smallvec};

use crate::arch::{CodeView, Lead};
use crate::frame_table::{FrameTable, Location};
use crate::function_bounds::{FunctionBounds, Region};
use crate::in_order::first_from;
use crate::jump_tables::JumpTables;
use crate::lsda;
use crate::object_file::{Binding, ObjectFile, Relocation, Section, SectionId, SymbolPlace, Visibility};
use crate::reloc::RelocKind;

/// The bits of a number that are the offset in a section; no file that fits into memory has larger ones.
const OFFSET_BITS: u32 = 40;

/// An object, its functions and where control comes into them.
pub(crate) struct ObjectCode<'a> {
    object: &'a ObjectFile<'a>,
    frames: &'a FrameTable<'a>,
    /// By section, in order.
    functions: BTreeMap<SectionId, Vec<Function>>,
    /// Words of data that lead into code.
    tables: OnceLock<JumpTables>,
    /// Calls that never return, if that was asked for.
    dead_ends: OnceLock<BTreeSet<u64>>,
    /// Functions with data areas for unwinding, and for each area where unwinding leads.
    unwinding: OnceLock<Unwinding>,
}

/// Where a function is, and where its parts begin.
type Function = (Range<u64>, SmallVec<[u64; 1]>);

/// What unwinding may do.
#[derive(Default)]
struct Unwinding {
    /// By the function's first byte: its data area, if that is known.
    functions: BTreeMap<u64, Option<Location>>,
    /// Landing pads, as offsets in the function; `None`: the area cannot be read.
    areas: BTreeMap<Location, Option<Vec<u64>>>,
}

/// The number of a byte of a section; `None`: there are too many sections.
pub(crate) fn number_of(section: SectionId, offset: u64) -> Option<u64> {
    let highest = 1 << (63 - OFFSET_BITS);
    (section.0 < highest && offset < 1 << OFFSET_BITS).then(|| u64::from(section.0) << OFFSET_BITS | offset)
}

/// The section and offset of a byte.
pub(crate) fn place_of(number: u64) -> (SectionId, u64) {
    (SectionId((number >> OFFSET_BITS) as u32), number & ((1 << OFFSET_BITS) - 1))
}

impl<'a> ObjectCode<'a> {
    pub(crate) fn new(
        object: &'a ObjectFile<'a>,
        bounds: &BTreeMap<SectionId, FunctionBounds<'_>>,
        frames: &'a FrameTable<'a>,
    ) -> Self {
        let sized = |region: &Region<'_>| region.function.is_some_and(|id| object.symbol(id).size > 0);
        let functions = bounds.iter().map(|(&section, bounds)| {
            let mut functions: Vec<Function> = Vec::with_capacity(bounds.regions().len());
            let mut open = false;
            for region in bounds.regions() {
                let Range { start, end } = region.range;
                // Where no symbol says how far a function goes, it goes on to the next one of which a symbol says that.
                match functions.last_mut().filter(|_| open && !sized(region)) {
                    Some((range, parts)) => {
                        range.end = end;
                        parts.push(start);
                    }
                    None => functions.push((start..end, smallvec![start])),
                }
                open = !sized(region);
            }
            (section, functions)
        });
        let (tables, dead_ends, unwinding) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        ObjectCode { object, frames, functions: functions.collect(), tables, dead_ends, unwinding }
    }

    /// Finds out which calls never return; until then it is taken for granted that all do. It takes a look at all code.
    pub(crate) fn find_dead_ends(&self) {
        self.dead_ends.get_or_init(|| {
            let functions = self.functions.iter().flat_map(|(&section, functions)| {
                functions.iter().filter_map(move |(range, _)| {
                    Some(number_of(section, range.start)?..number_of(section, range.end)?)
                })
            });
            self.object.machine.arch().dead_ends(self, &functions.collect::<Vec<_>>())
        });
    }

    /// The function around a place, and where its parts begin.
    pub(crate) fn function_at(&self, section: SectionId, offset: u64) -> Option<(&Range<u64>, &[u64])> {
        let functions = self.functions.get(&section)?;
        let (range, parts) = functions.get(functions.partition_point(|(range, _)| range.end <= offset))?;
        range.contains(&offset).then_some((range, parts.as_slice()))
    }

    /// The same, mostly not far behind the one that was asked about before; `index`: where that was in the list of functions.
    pub(crate) fn function_from(
        &self,
        index: &mut usize,
        section: SectionId,
        offset: u64,
    ) -> Option<(&Range<u64>, &[u64])> {
        let functions = self.functions.get(&section)?;
        *index = first_from(functions, *index, |(range, _)| range.end <= offset);
        let (range, parts) = functions.get(*index)?;
        range.contains(&offset).then_some((range, parts.as_slice()))
    }

    /// Whether unwinding may lead into the function around a byte.
    pub(crate) fn unwinds(&self, at: u64) -> bool {
        let unwinding = self.unwinding.get_or_init(|| self.find_unwinding());
        let pads = || self.landing_pads(&self.function(at));
        !unwinding.functions.is_empty() && pads().is_none_or(|pads| !pads.is_empty())
    }

    fn known(&self, number: u64) -> Option<(&'a Section<'a>, u64)> {
        let (id, offset) = place_of(number);
        self.object.sections.get(id.0 as usize).map(|section| (section, offset))
    }

    fn relocation(&self, at: u64, length: u64) -> Option<Relocation> {
        let (section, offset) = self.known(at)?;
        let near = section.relocations_in(offset..offset.saturating_add(length));
        near.iter().find(|r| r.kind != RelocKind::None)
    }

    /// What a relocation leads to, if that is in the object; `rest` bytes of the instruction follow the field.
    fn target(&self, relocation: &Relocation, rest: u64) -> Option<u64> {
        let symbol = self.object.symbol(relocation.symbol);
        let SymbolPlace::Section(home) = symbol.place else { return None };
        let base = symbol.value.wrapping_add(relocation.addend as u64);
        let offset = match relocation.kind {
            RelocKind::Pc32 | RelocKind::Plt32 | RelocKind::Pc16 | RelocKind::Pc8 => base.wrapping_add(rest),
            RelocKind::Abs64 | RelocKind::Abs32 | RelocKind::Abs32Signed | RelocKind::GotOff64 => base,
            _ => return None,
        };
        number_of(home, offset)
    }

    fn find_unwinding(&self) -> Unwinding {
        let mut unwinding = Unwinding::default();
        for fde in &self.frames.fdes {
            let (Some(code), Some(pointer)) = (fde.function, fde.lsda) else { continue };
            // A null pointer says that there is no area.
            let home = self.object.section(self.frames.cie(fde.cie).section);
            if fde.lsda_target.is_some() || home.is_relocated(pointer.offset, pointer.width.into()) {
                let function = number_of(code.section, code.offset);
                unwinding.functions.extend(function.map(|function| (function, fde.lsda_target)));
            }
        }
        let mut areas: Vec<Location> = unwinding.functions.values().copied().flatten().collect();
        areas.sort_unstable();
        areas.dedup();
        for (index, area) in areas.iter().enumerate() {
            let data = self.object.section(area.section).data;
            let next = areas.get(index + 1).filter(|next| next.section == area.section);
            let end = next.map_or(data.len() as u64, |next| next.offset.min(data.len() as u64));
            let pads = lsda::landing_pads(data, area.offset.min(end)..end).ok();
            unwinding.areas.insert(*area, pads);
        }
        unwinding
    }

    fn jump_tables(&self) -> &JumpTables {
        self.tables.get_or_init(|| {
            let code = self.object.sections.iter().filter(|section| section.exec);
            let referred = code.flat_map(|s| s.relocations().iter().filter_map(|r| self.target(&r, 4)));
            JumpTables::find(self.object, referred.collect())
        })
    }
}

impl CodeView for ObjectCode<'_> {
    fn bytes(&self, at: u64) -> Option<&[u8]> {
        let (section, offset) = self.known(at)?;
        let bytes = section.data.get(usize::try_from(offset).ok()?..)?;
        (section.exec && !bytes.is_empty()).then_some(bytes)
    }

    fn lead(&self, at: u64, length: u64) -> Option<Lead> {
        let relocation = self.relocation(at, length)?;
        let (_, offset) = place_of(at);
        let symbol = self.object.symbol(relocation.symbol);
        // What other objects see may be another's; what they do not see may be a part of the function.
        let own = symbol.binding == Binding::Local || symbol.visibility == Visibility::Hidden;
        let rest = (offset + length).saturating_sub(relocation.offset);
        let target = self.target(&relocation, rest).filter(|&target| own && self.bytes(target).is_some());
        Some(target.map_or(Lead::Away, Lead::Code))
    }

    fn symbol(&self, at: u64, length: u64) -> Option<u32> {
        self.relocation(at, length).map(|relocation| relocation.symbol.0)
    }

    fn never_returns(&self, call: u64) -> bool {
        self.dead_ends.get().is_some_and(|known| known.contains(&call))
    }

    fn referent(&self, field: u64, end: u64) -> Option<u64> {
        let relocation = self.relocation(field, 1)?;
        self.target(&relocation, end.wrapping_sub(field))
    }

    fn section(&self, at: u64) -> Range<u64> {
        let (id, _) = place_of(at);
        let start = number_of(id, 0).unwrap_or(at);
        let size = self.known(at).map_or(0, |(section, _)| section.size);
        start..start.saturating_add(size)
    }

    fn function(&self, at: u64) -> Range<u64> {
        let (section, offset) = place_of(at);
        let base = at.wrapping_sub(offset);
        let range = self.function_at(section, offset).map_or(offset..offset, |(range, _)| range.clone());
        base.wrapping_add(range.start)..base.wrapping_add(range.end)
    }

    fn tables(&self, function: &Range<u64>) -> Vec<u64> {
        self.jump_tables().leading_into(function)
    }

    fn table(&self, start: u64, distances: bool) -> Option<Vec<Vec<u64>>> {
        self.jump_tables().at(start, distances)
    }

    fn landing_pads(&self, function: &Range<u64>) -> Option<Vec<u64>> {
        let unwinding = self.unwinding.get_or_init(|| self.find_unwinding());
        let mut pads = Vec::new();
        for (&start, &area) in unwinding.functions.range(function.clone()) {
            let known = unwinding.areas.get(&area?)?.as_ref()?;
            let inside = known.iter().take_while(|&&pad| pad < function.end - start);
            pads.extend(inside.map(|pad| start + pad).filter(|&pad| self.bytes(pad).is_some()));
        }
        pads.sort_unstable();
        pads.dedup();
        Some(pads)
    }
}

impl ObjectCode<'_> {
    /// Where code refers to sections.
    pub(crate) fn references_to(&self, sections: &BTreeSet<SectionId>) -> Vec<(SectionId, u64)> {
        let refers = |relocation: &Relocation| {
            let place = self.object.symbol(relocation.symbol).place;
            matches!(place, SymbolPlace::Section(home) if sections.contains(&home))
        };
        let code = self.object.sections.iter().filter(|s| s.exec && !sections.is_empty());
        code.flat_map(|s| s.relocations().iter().filter(refers).map(|r| (s.id, r.offset))).collect()
    }
}
