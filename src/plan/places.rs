//! Session-specific constants: how each gets what it means.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::place_reports::private_reason;
use super::symbols::Reach;
use super::thunks::Replaced;
use super::{Decision, Destination, Holds, How, Planner, Source, Store};
use crate::arch::{Delivery, Half, Lowered};
use crate::edits::{BytesEdit, NewRelocation, RelocationEdit, ShortBytes, SymbolRef};
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::object_file::{InOrder, SectionId};
use crate::reloc::RelocKind;
use crate::resolve::Resolved;
use crate::scan::{Place, Shape};
use crate::session_map::{Meaning, Step};
use crate::{Unresolved, arch};

/// A place in an instruction, with or without a relocation of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct CodeField {
    pub(super) section: SectionId,
    /// Offset and length of the instruction.
    pub(super) start: u64,
    pub(super) length: u8,
    /// Offset and width of the field.
    pub(super) field: u64,
    pub(super) width: u8,
    /// The index of the relocation that applies to it.
    pub(super) entry: Option<u32>,
    /// It holds this half only of what it is to yield.
    pub(super) half: Option<Half>,
}

/// What all places that mean one thing have in common.
#[derive(Debug, Clone)]
pub(super) struct Prepared<'a> {
    source: Source,
    /// It comes out of the session map: always through a slot.
    is_value: bool,
    /// For people.
    name: Cow<'a, str>,
}

/// A place in data, with or without a relocation of its own.
pub(super) struct DataField {
    pub(super) section: SectionId,
    pub(super) offset: u64,
    pub(super) entry: Option<u32>,
}

/// Where an instruction's other constant can be: an immediate stands right behind a displacement.
fn beside(field: &CodeField) -> impl Iterator<Item = u64> + use<> {
    let CodeField { start, length, field, width, .. } = *field;
    let inside = start + 1..=(start + u64::from(length)).saturating_sub(4);
    let beside = [field.checked_sub(4), field.checked_add(4)].into_iter().flatten();
    beside.filter(move |at| width == 4 && inside.contains(at))
}

impl<'a> Planner<'a> {
    /// Plans every place that was found.
    ///
    /// # Errors
    /// A session map whose expressions cannot be read.
    pub(super) fn plan_places(&mut self) -> Result<()> {
        let count = self.found.testimony.resolved.len();
        let code = |resolved: &Resolved| matches!(resolved.place.shape, Shape::Instruction { .. });
        for places in self.found.testimony.resolved.chunk_by(|a, b| a.place.section == b.place.section) {
            let added = places.iter().filter(|place| code(place)).count();
            if added > 0 {
                self.edits.relocations.entry(places[0].place.section).or_default().reserve(added);
            }
        }
        self.edits.bytes.reserve(count);
        self.decisions.reserve(count);
        self.replaced_instructions.reserve(count);
        for (index, resolved) in self.found.testimony.resolved.iter().enumerate() {
            let place = &resolved.place;
            if self.global_words.contains(&(place.section, place.offset)) {
                continue;
            }
            let (first, end) = (place.offset.saturating_sub(7), place.offset + u64::from(place.width));
            let mut filled = self.global_words.range((place.section, first)..(place.section, end));
            let shared = filled.next().is_some();
            let planned = match &*resolved.meaning {
                _ if shared => Err("shares bytes with a variable that the session map fills".to_owned()),
                Meaning::Unresolved(reason) => Err(match place.shape {
                    Shape::Doubtful { .. } | Shape::DoubtfulWord => {
                        format!("{reason}; it is perhaps no address, which --ignore can say")
                    }
                    _ => reason.clone(),
                }),
                meaning => {
                    let (half, meaning) = half_of(place, meaning);
                    let prepared = match Arc::strong_count(&resolved.meaning) {
                        // No other place means that.
                        1 => self.prepare_anew(meaning)?,
                        _ => self.prepare(meaning)?,
                    };
                    self.plan_place(place, &prepared, half, meaning)
                }
            };
            let known = !shared && !matches!(*resolved.meaning, Meaning::Unresolved(_));
            let summary = &mut self.report.summary;
            summary.places += 1;
            *if known { &mut summary.resolved } else { &mut summary.unresolved } += 1;
            if planned.is_ok() && self.found.options.brief {
                continue;
            }
            let mut report = self.place_report(resolved);
            report.assumes_alignment = self.found.assumptions.relied_on(index);
            if known {
                report.target = Some(self.target_report(&resolved.meaning));
                report.reason = private_reason(&resolved.meaning);
            }
            match planned {
                Ok(how) => report.delivery = how.name().to_owned(),
                Err(reason) => {
                    let keep = !known && self.found.options.unresolved == Unresolved::Keep;
                    if keep {
                        self.kept.insert(place.section);
                    } else {
                        self.refuse_place(place, &reason);
                    }
                    report.delivery = "kept".to_owned();
                    report.reason = Some(reason);
                    if !matches!(place.shape, Shape::AbsoluteSymbol(_)) {
                        let at = self.found.scan.at_place(self.object(), place);
                        report.instruction = at.instruction;
                    }
                }
            }
            self.report.places.push(report);
        }
        // Where all places stay as they are, no room was needed.
        self.edits.relocations.retain(|_, edits| !edits.is_empty());
        Ok(())
    }

    fn refuse_place(&mut self, place: &Place, reason: &str) {
        if let Shape::AbsoluteSymbol(id) = place.shape {
            let object = self.object();
            let message =
                format!("the absolute symbol `{}`: {:#x} {reason}", object.symbol(id).name, place.value);
            self.problems.push(Problem { file: object.name.to_owned(), at: None, message });
            return;
        }
        let message = format!("{:#x} {reason}", place.value);
        let at = Some(self.found.scan.at_place(self.object(), place));
        self.problems.push(Problem { file: self.object().name.to_owned(), at, message });
    }

    /// What is the same for all places that mean one thing, found out at the first.
    ///
    /// # Errors
    /// As [`Self::meaning_source`].
    fn prepare(&mut self, meaning: &'a Meaning) -> Result<Prepared<'a>> {
        let key = std::ptr::from_ref(meaning);
        if let Some(known) = self.prepared.get(&key) {
            return Ok(known.clone());
        }
        let prepared = self.prepare_anew(meaning)?;
        self.prepared.insert(key, prepared.clone());
        Ok(prepared)
    }

    fn prepare_anew(&mut self, meaning: &'a Meaning) -> Result<Prepared<'a>> {
        self.note_library(meaning);
        let source = self.meaning_source(meaning)?;
        let name = match meaning {
            // With the offset it would be another name for a slot that has one.
            Meaning::Value(id, _) => Cow::from(&self.found.map.values[id.0 as usize].name),
            Meaning::Symbol { name, .. } => Cow::from(name),
            Meaning::Anchored { anchor, .. } => Cow::from(&anchor.file),
            meaning => Cow::from(meaning.text(self.found.map)),
        };
        let is_value = !matches!(meaning, Meaning::Symbol { .. });
        Ok(Prepared { source, is_value, name })
    }

    /// What a meaning becomes.
    ///
    /// # Errors
    /// An expression that cannot be read; a place without a meaning has no source.
    pub(super) fn meaning_source(&mut self, meaning: &Meaning) -> Result<Source> {
        // Nearly all are.
        if let Meaning::Symbol { name, offset, .. } = meaning {
            return Ok(Source::Address(self.symbol_named(name)?, *offset));
        }
        let map = self.found.map;
        let unresolved = || Error::new(ErrorKind::Unresolved, self.object().name, meaning.text(map));
        let expression = meaning.expression(map).ok_or_else(unresolved)?;
        self.source(&expression)
    }

    /// Plans one place and says how it gets what it means.
    fn plan_place(
        &mut self,
        place: &Place,
        prepared: &Prepared<'_>,
        half: Option<Half>,
        meaning: &Meaning,
    ) -> Result<How, String> {
        let Prepared { source, is_value, ref name } = *prepared;
        match place.shape {
            Shape::Instruction { start, length, .. } => {
                let (section, field) = (place.section, place.offset);
                let field = CodeField { section, start, length, field, width: place.width, entry: None, half };
                self.plan_code(&field, source, is_value, name)
            }
            Shape::DoubtfulWord if !meaning.is_exact() => Err(format!(
                "is a small number in data, and as an address inside {name}: perhaps none, which only a witness, `constants` or --ignore can tell"
            )),
            Shape::DataWord | Shape::DoubtfulWord => {
                let field = DataField { section: place.section, offset: place.offset, entry: None };
                self.plan_data(&field, source, name)
            }
            Shape::Addend(relocation) => {
                self.plan_addend(place, relocation, source, is_value, name)
            }
            Shape::Doubtful { .. } => Err(format!(
                "is a 32-bit operand, and as an address inside {name}: perhaps none, which only a witness, `constants` or --ignore can tell"
            )),
            Shape::PoolWord => {
                let field = DataField { section: place.section, offset: place.offset, entry: None };
                self.plan_pool_word(&field, source, is_value, name)
            }
            Shape::Ambiguous => {
                Err("reads as an instruction's constant, although the instructions before lead to other boundaries".to_owned())
            }
            Shape::AbsoluteSymbol(symbol) => Ok(self.plan_absolute_symbol(symbol, source, name)),
        }
    }

    /// Replaces an instruction's full-width constant. `slot_only`: what the session map makes is always behind
    /// a slot, also where the linker knows its address.
    pub(super) fn plan_code(
        &mut self,
        field: &CodeField,
        source: Source,
        slot_only: bool,
        name: &str,
    ) -> Result<How, String> {
        let constant = self.constant(field, source, slot_only, name);
        if self.planned_with_another.contains(&(field.section, field.field)) {
            return Ok(How::Thunk);
        }
        let (delivery, (symbol, addend)) = (constant.delivery, constant.target);
        let other = self.other_constant(field)?;
        if let Some(other) = other.filter(|other| [delivery, other.delivery] != [Delivery::Absolute; 2]) {
            return self.plan_both(constant, other, name);
        }
        let old = self.instruction(field.section, field.start, field.length);
        if delivery != Delivery::Absolute && self.cuts_address(field, source, &old) {
            return Err("is cut to fewer than 64 bits".to_owned());
        }
        let at = (field.field - field.start) as usize;
        let lowered = match self.object().machine.arch().lower(&old, at, delivery) {
            Ok(lowered) => lowered,
            Err(why) if delivery == Delivery::Absolute => return Err(no_replacement(&why)),
            Err(_) => {
                if self.is_beside_unresolved(field) {
                    return Err(
                        "cannot be replaced: beside it in the instruction is an address that means nothing"
                            .to_owned(),
                    );
                }
                self.claim(field)?;
                return self.plan_thunk(&[constant], name);
            }
        };
        if delivery == Delivery::Absolute {
            // In place nothing moves, and beside it there may be another operand.
            let changed = field.field..field.field + u64::from(field.width);
            self.must_be_alone(field.section, changed, field.entry)?;
            return self.same(field, lowered.kind, (symbol, addend), source, How::Direct);
        }
        self.claim(field)?;
        let changed = field.start..field.start + u64::from(field.length);
        self.must_be_alone(field.section, changed, field.entry)?;
        self.apply_lowered(field, old, lowered, symbol, addend);
        let how = match delivery {
            Delivery::Got => How::Got,
            Delivery::Slot | Delivery::Half(_) => How::Slot,
            Delivery::Direct => How::Relative,
            Delivery::Absolute => How::Direct,
        };
        self.decide(field, source, how);
        Ok(how)
    }

    /// How a constant gets what it means.
    fn constant(&mut self, field: &CodeField, source: Source, slot_only: bool, name: &str) -> Replaced {
        let user = self.object().section(field.section).group;
        let (delivery, symbol, addend) = match source {
            _ if let Some(half) = field.half => {
                let slot = self.slot(source, user, name);
                (Delivery::Half(half), SymbolRef::Local(slot), half.offset())
            }
            Source::Address(symbol, addend) if !slot_only && !self.pic() => {
                (Delivery::Absolute, symbol, addend)
            }
            Source::Address(symbol, addend) if !slot_only => {
                match self.reach(field.section, symbol, addend) {
                    Reach::Direct(symbol, addend) => (Delivery::Direct, symbol, addend),
                    Reach::Got => (Delivery::Got, symbol, 0),
                    Reach::Slot => (Delivery::Slot, SymbolRef::Local(self.slot(source, user, name)), 0),
                }
            }
            _ => (Delivery::Slot, SymbolRef::Local(self.slot(source, user, name)), 0),
        };
        Replaced { field: *field, delivery, target: (symbol, addend), source }
    }

    /// The place at an offset.
    fn resolved_at(&self, section: SectionId, at: u64) -> Option<&'a Resolved> {
        let resolved = &self.found.testimony.resolved;
        let first = resolved.partition_point(|r| (r.place.section, r.place.offset) < (section, at));
        resolved.get(first).filter(|r| (r.place.section, r.place.offset) == (section, at))
    }

    /// Whether a thunk would have an address that stays what it is.
    fn is_beside_unresolved(&self, field: &CodeField) -> bool {
        let mut beside = beside(field).filter_map(|at| self.resolved_at(field.section, at));
        beside.any(|resolved| matches!(*resolved.meaning, Meaning::Unresolved(_)))
    }

    /// The other constant of the instruction, if that gets another meaning, too.
    pub(super) fn other_constant(&mut self, field: &CodeField) -> Result<Option<Replaced>, String> {
        let CodeField { section, start, .. } = *field;
        for at in beside(field) {
            let other = CodeField { field: at, entry: None, half: None, ..*field };
            if let Some(resolved) = self.resolved_at(section, at) {
                let entry = match resolved.place.shape {
                    Shape::Instruction { start: its, .. } if its == start => None,
                    Shape::Addend(relocation) => Some(relocation.entry),
                    _ => continue,
                };
                if matches!(*resolved.meaning, Meaning::Unresolved(_)) {
                    continue;
                }
                let (half, meaning) = half_of(&resolved.place, &resolved.meaning);
                let prepared = self.prepare(meaning).map_err(|error| error.to_string())?;
                let other = CodeField { entry, half, ..other };
                return Ok(Some(self.constant(&other, prepared.source, prepared.is_value, &prepared.name)));
            }
            if let Some((entry, source, name)) = self.narrow_to_lower(section, at) {
                let other = CodeField { entry: Some(entry), ..other };
                return Ok(Some(self.constant(&other, source, false, &name)));
            }
        }
        Ok(None)
    }

    /// Plans both constants of an instruction.
    fn plan_both(&mut self, one: Replaced, other: Replaced, name: &str) -> Result<How, String> {
        self.claim(&one.field)?;
        self.planned_with_another.insert((other.field.section, other.field.field));
        let mut both = [one, other];
        both.sort_by_key(|constant| constant.field.field);
        self.plan_thunk(&both, name)
    }

    /// Notes that an instruction changes as a whole.
    ///
    /// # Errors
    /// It does so for another reason, too.
    pub(super) fn claim(&mut self, field: &CodeField) -> Result<(), String> {
        if self.replaced_instructions.insert((field.section, field.start)) {
            return Ok(());
        }
        Err("is in an instruction that has to change for another constant as well, which this version cannot"
            .to_owned())
    }

    /// Notes what a constant of an instruction shall yield.
    pub(super) fn decide(&mut self, code: &CodeField, source: Source, how: How) {
        let CodeField { section, start, length, field, half, .. } = *code;
        let field = (field - start) as u8;
        self.decisions.push(Decision { section, start, length, field, source, half, how });
    }

    /// Puts a replaced instruction and its relocation in place.
    pub(super) fn apply_lowered(
        &mut self,
        field: &CodeField,
        old: ShortBytes,
        lowered: Lowered,
        symbol: SymbolRef,
        addend: i64,
    ) {
        let relocation = NewRelocation {
            offset: field.start + lowered.field,
            kind: lowered.kind,
            symbol,
            addend: addend.wrapping_add(lowered.addend),
        };
        self.put_relocation(field.section, field.entry, relocation);
        if old != lowered.bytes {
            self.edits.bytes.push(BytesEdit {
                section: field.section,
                offset: field.start,
                old,
                new: lowered.bytes,
            });
        }
    }

    /// Refuses bytes that another relocation writes to, too: linkers apply both, in some order.
    pub(super) fn must_be_alone(
        &self,
        section: SectionId,
        bytes: Range<u64>,
        entry: Option<u32>,
    ) -> Result<(), String> {
        let home = self.object().section(section);
        // Nearly all are in order.
        let mut relocations = match self.relocations.take() {
            Some((known, last, walked)) if known == section && last <= bytes.start => walked,
            _ => InOrder::from(home, bytes.start),
        };
        let near = relocations.near(bytes.clone());
        self.relocations.set(Some((section, bytes.start, relocations)));
        let other = near.iter().filter(|r| Some(r.entry) != entry).find(|r| r.writes_after(bytes.start));
        match other {
            None => Ok(()),
            Some(other) => Err(format!(
                "shares bytes with the relocation at {}+{:#x}; compile again, no compiler writes that",
                home.name, other.offset
            )),
        }
    }

    /// Replaces the relocation with that index, or adds one.
    pub(super) fn put_relocation(
        &mut self,
        section: SectionId,
        entry: Option<u32>,
        relocation: NewRelocation,
    ) {
        let edit = match entry {
            Some(entry) => RelocationEdit::Replace(entry, relocation),
            None => RelocationEdit::Add(relocation),
        };
        self.edits.relocate(section, edit);
    }

    /// Gives an 8-byte data word what it means: a relocation, or a store of the initializer.
    pub(super) fn plan_data(&mut self, field: &DataField, source: Source, name: &str) -> Result<How, String> {
        let section = self.object().section(field.section);
        if section.kind != crate::object_file::SectionKind::Contents {
            return Err(format!("is in {}, whose format this version cannot change there", section.name));
        }
        self.must_be_alone(field.section, field.offset..field.offset + 8, field.entry)?;
        match source {
            Source::Address(symbol, addend) => {
                self.zero(field.section, field.offset, 8);
                let relocation =
                    NewRelocation { offset: field.offset, kind: RelocKind::Abs64, symbol, addend };
                self.put_relocation(field.section, field.entry, relocation);
                self.hold(field.section, Holds::Addresses);
                self.decide_data(field, source, How::Direct)
            }
            Source::Computed(node, offset) => {
                self.can_be_stored(field.section)?;
                self.zero(field.section, field.offset, 8);
                if let Some(entry) = field.entry {
                    self.edits.relocate(field.section, RelocationEdit::Remove(entry));
                }
                self.hold(field.section, Holds::Stored);
                self.store_into(field.section, field.offset, node, offset, name.to_owned());
                self.decide_data(field, source, How::Init)
            }
        }
    }

    fn decide_data(&mut self, field: &DataField, source: Source, how: How) -> Result<How, String> {
        let DataField { section, offset: start, .. } = *field;
        self.decisions.push(Decision { section, start, length: 8, field: 0, source, half: None, how });
        Ok(how)
    }

    /// Has the initializer store into a section of the input.
    pub(super) fn store_into(
        &mut self,
        section: SectionId,
        at: u64,
        node: super::graph::NodeId,
        offset: i64,
        what: String,
    ) {
        let home = self.object().section(section);
        let symbol = SymbolRef::Section(section);
        let destination = if home.large {
            Destination::Far(self.pointer_slot(symbol, 0), at as i64)
        } else {
            Destination::Near(symbol, at as i64)
        };
        self.filled.words.insert((section, at), Source::Computed(node, offset));
        self.stores.push(Store { destination, node, offset, group: home.group, what });
    }

    /// The bytes of an instruction.
    pub(super) fn instruction(&self, section: SectionId, start: u64, length: u8) -> ShortBytes {
        let data = self.object().section(section).data;
        ShortBytes::from_slice(
            data.get(start as usize..start as usize + usize::from(length)).unwrap_or_default(),
        )
    }

    /// An instruction's text.
    pub(super) fn text_at(&self, section: SectionId, start: u64, length: u8) -> String {
        let arch: &dyn arch::Arch = self.object().machine.arch();
        arch.disassemble(&self.instruction(section, start, length), start)
    }

    /// Lists the library that a meaning is in.
    pub(super) fn note_library(&mut self, meaning: &Meaning) {
        match meaning {
            Meaning::Symbol { library: Some(library), .. }
            | Meaning::Anchored { library: Some(library), .. }
                if !self.report.libraries.contains(library) =>
            {
                self.report.libraries.push(library.clone());
            }
            Meaning::Derived { base, .. } => self.note_library(base),
            Meaning::Difference { to, from } => {
                self.note_library(to);
                self.note_library(from);
            }
            _ => {}
        }
    }
}

/// Why a place stays what it is, as its reason.
pub(super) fn no_replacement(why: &str) -> String {
    format!("cannot be replaced: the instruction {why}")
}

/// The half of another meaning that a 32-bit place holds, and that; or no half, and its own.
fn half_of<'m>(place: &Place, meaning: &'m Meaning) -> (Option<Half>, &'m Meaning) {
    match meaning {
        Meaning::Derived { base, step: Step::Low } if place.width == 4 => (Some(Half::Low), base),
        Meaning::Derived { base, step: Step::Shr(32) } if place.width == 4 => (Some(Half::High), base),
        // A process has its memory below 1 << 47 (psABI 3.4.1): what is left of an address fits, whatever its sign.
        Meaning::Derived { step: Step::Shr(16..), .. } if place.width == 4 => (Some(Half::Low), meaning),
        meaning => (None, meaning),
    }
}
