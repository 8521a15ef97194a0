//! Constants among the code that instructions read pc-relatively: the word cannot be relocated there, so every read
//! is led elsewhere and the word zeroed. A read of more than the word gets a copy of all that it reads.

use std::collections::BTreeSet;

use super::places::{CodeField, DataField};
use super::slots::POOL;
use super::symbols::Reach;
use super::{How, Planner, Source};
use crate::arch::Delivery;
use crate::edits::{Home, NewLocalId, NewRelocation, RelocationEdit, SymbolRef};
use crate::error::Result;
use crate::object_file::{Binding, Section, SectionId, SymbolPlace, SymbolType};
use crate::reloc::RelocKind;
use crate::scan::{Place, PoolAccess, Shape, is_unwind_section};
use crate::session_map::Meaning;

/// The most that one instruction reads: a vector register.
const LARGEST_READ: u64 = 64;

/// A copy of what an instruction reads from among the code, in a section of ours.
#[derive(Debug, Clone)]
pub(crate) struct PoolBlock {
    /// Names the copy.
    pub(crate) local: NewLocalId,
    /// The original.
    pub(crate) section: SectionId,
    pub(crate) start: u64,
    pub(crate) size: u64,
    /// The words in it that are addresses, by their offset in the block.
    pub(crate) words: Vec<(u64, Source)>,
}

/// Where something else than an instruction of the section refers to.
pub(super) type References = BTreeSet<(SectionId, u64)>;

impl Planner<'_> {
    /// Plans one word among the code, with or without a relocation of its own.
    pub(super) fn plan_pool_word(
        &mut self,
        place: &DataField,
        source: Source,
        slot_only: bool,
        name: &str,
    ) -> Result<How, String> {
        let scan = self.found.scan;
        let Some(accesses) = scan.accesses.get(&(place.section, place.offset)) else {
            return Err("is a constant among instructions that none of them reads; let the compiler put constants into \
                 a data section"
                .to_owned());
        };
        if !self.pic() && !slot_only && matches!(source, Source::Address(..)) {
            return self.plan_data(place, source, name);
        }
        self.only_reached_by(place)?;
        self.must_be_alone(place.section, place.offset..place.offset + 8, place.entry)?;
        let whole = |a: &&PoolAccess| a.target == place.offset && a.size == 8;
        let (delivery, symbol) = if accesses.iter().any(|a| whole(&a)) {
            self.word_elsewhere(place, source, slot_only, name)
        } else {
            (Delivery::Slot, SymbolRef::Section(place.section))
        };
        for access in accesses {
            if whole(&access) {
                let how = if delivery == Delivery::Got { How::Got } else { How::Slot };
                self.lead_elsewhere(place.section, access, delivery, symbol, (source, how))?;
                continue;
            }
            let end = access.target.saturating_add(access.size);
            if !(access.target..end).contains(&place.offset) || place.offset + 8 > end {
                return Err(format!(
                    "is a constant among instructions, and not only read as a whole: {}; let the compiler put \
                     constants into a data section",
                    self.text_at(place.section, access.start, access.length)
                ));
            }
            if self.block_readers.insert((place.section, access.start)) {
                let block = SymbolRef::Local(self.pool_block(place.section, access, name)?);
                let yields = (Source::Address(block, 0), How::Relative);
                self.lead_elsewhere(place.section, access, Delivery::Slot, block, yields)?;
            }
        }
        if let Some(entry) = place.entry {
            self.edits.relocate(place.section, RelocationEdit::Remove(entry));
        }
        self.zero(place.section, place.offset, 8);
        Ok(if delivery == Delivery::Got { How::Got } else { How::Slot })
    }

    /// Where an instruction finds the same word.
    fn word_elsewhere(
        &mut self,
        place: &DataField,
        source: Source,
        slot_only: bool,
        name: &str,
    ) -> (Delivery, SymbolRef) {
        if let Source::Address(symbol, addend) = source
            && !slot_only
            && let Reach::Got = self.reach(place.section, symbol, addend)
        {
            return (Delivery::Got, symbol);
        }
        let user = self.object().section(place.section).group;
        (Delivery::Slot, SymbolRef::Local(self.slot(source, user, name)))
    }

    /// Has one instruction read from elsewhere.
    fn lead_elsewhere(
        &mut self,
        section: SectionId,
        access: &PoolAccess,
        delivery: Delivery,
        symbol: SymbolRef,
        (source, how): (Source, How),
    ) -> Result<(), String> {
        let PoolAccess { start, length, field, size, .. } = *access;
        let old = self.instruction(section, start, length);
        let at = (field - start) as usize;
        self.must_be_alone(section, start..start + u64::from(length), None)?;
        let lowered = self.object().machine.arch().redirect_read(&old, at, size, delivery);
        let lowered = lowered.map_err(|why| {
            format!("cannot be replaced: `{}`, which reads it, {why}", self.text_at(section, start, length))
        })?;
        let code = CodeField { section, start, length, field, width: 4, entry: None, half: None };
        self.claim(&code)?;
        self.apply_lowered(&code, old, lowered, symbol, 0);
        self.decide(&code, source, how);
        Ok(())
    }

    /// A copy of all that an instruction reads.
    fn pool_block(
        &mut self,
        section: SectionId,
        access: &PoolAccess,
        name: &str,
    ) -> Result<NewLocalId, String> {
        let (start, size) = (access.target, access.size);
        let same = |b: &&PoolBlock| (b.section, b.start, b.size) == (section, start, size);
        if let Some(block) = self.pool_blocks.iter().find(same) {
            return Ok(block.local);
        }
        let refused = |planner: &Self, what: &str| {
            let text = planner.text_at(section, access.start, access.length);
            Err(format!("is read together with {what}, which this version cannot replace: {text}"))
        };
        let home = self.object().section(section);
        let end = start + size;
        let bytes = home.data.get(start as usize..end as usize).filter(|_| size <= LARGEST_READ);
        let Some(bytes) = bytes else { return refused(self, "too much else") };
        let mut data = bytes.to_vec();
        let mut words = Vec::new();
        for r in home.relocations_in(start.saturating_sub(7)..end).iter().filter(|r| r.writes_after(start)) {
            let whole =
                r.kind == RelocKind::Abs64 && r.offset >= start && (r.offset - start).is_multiple_of(8);
            let number = r.symbol.0 == 0 || self.object().symbol(r.symbol).place == SymbolPlace::Absolute;
            let source = self.source_of(r.symbol);
            let source = self.offset_by(source, r.addend);
            if !whole || r.offset + 8 > end || number || !matches!(source, Source::Address(..)) {
                return refused(self, "a word with another relocation");
            }
            words.push((r.offset - start, source));
        }
        let resolved = &self.found.testimony.resolved;
        let inside =
            |p: &Place| p.section == section && p.offset + u64::from(p.width) > start && p.offset < end;
        for other in resolved.iter().filter(|r| inside(&r.place)) {
            let whole = other.place.shape == Shape::PoolWord
                && other.place.offset >= start
                && (other.place.offset - start).is_multiple_of(8);
            if !whole || other.place.offset + 8 > end || matches!(*other.meaning, Meaning::Unresolved(_)) {
                return refused(self, "another constant of the session");
            }
            let source = self.meaning_source(&other.meaning).map_err(|error| error.to_string())?;
            if !matches!(source, Source::Address(..)) {
                return refused(self, "a value that is known only when the object is loaded");
            }
            words.push((other.place.offset - start, source));
        }
        words.sort_by_key(|(at, _)| *at);
        for &(at, source) in &words {
            let Source::Address(symbol, _) = source else { continue };
            if self.confining_group(symbol).is_some_and(|group| home.group != Some(group)) {
                return refused(self, "something of another section group");
            }
            data[at as usize..at as usize + 8].fill(0);
        }
        let (new, offset) = self.append(POOL, home.group, size.next_power_of_two(), &data);
        for &(at, source) in &words {
            if let Source::Address(symbol, addend) = source {
                let kind = RelocKind::Abs64;
                self.relocate_new(new, NewRelocation { offset: offset + at, kind, symbol, addend });
            }
        }
        self.report.summary.slots += 1;
        let local = self.add_local(format!("relocfix.slot.{name}"), Home::New(new), offset, size, false);
        self.pool_blocks.push(PoolBlock { local, section, start, size, words });
        Ok(local)
    }

    /// Refuses a word that something else than the section's own instructions can reach.
    fn only_reached_by(&mut self, place: &DataField) -> Result<(), String> {
        let word = place.offset..place.offset + 8;
        let object = self.object();
        let named = object.symbols.iter().find(|s| {
            s.binding != Binding::Local
                && s.place == SymbolPlace::Section(place.section)
                && word.contains(&s.value)
        });
        if let Some(symbol) = named {
            return Err(format!(
                "is a constant among instructions, and other objects can read it as `{}`; let the compiler put it into \
                 a data section",
                symbol.name
            ));
        }
        let references = self.code_references.get_or_insert_with(|| references(&object.sections, object));
        let from = (place.section, word.start);
        if references.range(from..(place.section, word.end)).next().is_some() {
            return Err(
                "is a constant among instructions that a relocation refers to, which this version cannot \
                 replace; let the compiler put constants into a data section"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Every place in code that a relocation of the program may lead to.
fn references(sections: &[Section<'_>], object: &crate::ObjectFile<'_>) -> References {
    let mut references = References::new();
    for section in sections.iter().filter(|s| s.alloc && !is_unwind_section(s)) {
        for relocation in section.relocations() {
            let symbol = object.symbol(relocation.symbol);
            let SymbolPlace::Section(home) = symbol.place else { continue };
            // A function's name is where it starts; there is no word there.
            let is_function = symbol.kind == SymbolType::Function;
            if !object.section(home).exec || is_function {
                continue;
            }
            let target = symbol.value.wrapping_add(relocation.addend as u64);
            // An instruction counts from its end: that of the field, or of an immediate behind it.
            let rests: &[u64] = match relocation.kind {
                RelocKind::Pc32 | RelocKind::Plt32 if section.exec => &[4, 5, 6, 8],
                _ => &[0],
            };
            references.extend(rests.iter().map(|rest| (home, target.wrapping_add(*rest))));
        }
    }
    references
}
