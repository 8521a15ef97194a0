//! Reads the output back and proves it: what changed was planned, every new relocation gives, with the session's
//! addresses, the constant that stood there, and no session address is left. Nothing is believed that the plan
//! says of itself; it only says what each field shall yield.

mod constants;
mod leftovers;
mod repeats;
mod thunks;
mod unplanned;

use std::ops::Range;

use foldhash::HashSet;
use rayon::prelude::*;
use smallvec::SmallVec;

use crate::Options;
use crate::arch::{Half, Instruction, PcUse};
use crate::assumptions::{Assumptions, Realigned};
use crate::edits::{Edits, Home, NewLocalId, NewRelocation, NewSectionId, RelocationEdit, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::object_file::{
    Binding, InOrder, ObjectFile, Relocation, Relocations, Section, SectionId, SectionKind, SymbolId,
    SymbolPlace,
};
use crate::plan::{Decision, How, Plan, PoolBlock, Source};
use crate::record::Record;
use crate::reloc::RelocKind;
use crate::repeats::AT_ONCE;
use crate::resolve::Resolved;
use crate::scan::{Place, Scan};
use crate::session_map::{Files, SessionMap};

/// Where a reference leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead<'a> {
    /// A place in the output.
    Place(SectionId, u64),
    /// A symbol that is defined elsewhere, plus a number.
    Name(&'a str, i64),
}

/// Everything that verification looks at.
pub(crate) struct Verification<'a> {
    pub(crate) input: &'a ObjectFile<'a>,
    pub(crate) map: &'a SessionMap,
    pub(crate) files: &'a dyn Files,
    pub(crate) options: &'a Options<'a>,
    pub(crate) record: &'a Record,
    pub(crate) scan: &'a Scan<'a>,
    pub(crate) resolved: &'a [Resolved],
    /// Places that were shown to be none: they stay as they are.
    pub(crate) dismissed: &'a [Place],
    pub(crate) assumptions: &'a Assumptions,
    pub(crate) plan: &'a Plan,
    /// The output.
    pub(crate) output: &'a [u8],
}

impl Verification<'_> {
    /// Verifies the output.
    ///
    /// # Errors
    /// [`ErrorKind::Verification`]: a bug of this program. The output must not be used. [`ErrorKind::Refused`]: what was data
    /// in the input reads as an instruction with an address now.
    pub(crate) fn run(&self) -> Result<()> {
        let output = ObjectFile::parse(self.input.name, self.output)?;
        let locals = |object: &ObjectFile<'_>| {
            object.symbols.iter().take_while(|s| s.binding == Binding::Local).count() as u32
        };
        let first_global = SymbolId(locals(self.input));
        let inserted = locals(&output).saturating_sub(first_global.0);
        let check = Check { verification: self, output: &output, first_global, inserted };
        let (as_planned, nothing_left) = rayon::join(|| check.as_planned(), || check.nothing_left());
        as_planned.and(nothing_left)
    }
}

struct Check<'a, 'o> {
    verification: &'a Verification<'a>,
    output: &'o ObjectFile<'o>,
    /// The input's first symbol that is not local, and by how many it and all after it moved.
    first_global: SymbolId,
    inserted: u32,
}

impl Check<'_, '_> {
    fn edits(&self) -> &Edits {
        &self.verification.plan.edits
    }

    /// What was planned is there, and nothing else changed.
    fn as_planned(&self) -> Result<()> {
        let plan = self.verification.plan;
        self.untouched()?;
        self.constants()?;
        self.decisions()?;
        self.repeats()?;
        self.realigned()?;
        self.placements()?;
        self.pool_words()?;
        plan.pool_blocks.iter().try_for_each(|block| self.pool_block(block))
    }

    /// Where a symbol of the input is in the output.
    fn moved(&self, id: SymbolId) -> SymbolId {
        if id < self.first_global { id } else { SymbolId(id.0 + self.inserted) }
    }

    /// Where a new section is in the output.
    fn new_section(&self, id: NewSectionId) -> SectionId {
        SectionId(self.verification.input.sections.len() as u32 + id.0)
    }

    fn error<T>(&self, section: SectionId, offset: u64, message: &str) -> Result<T> {
        let name = self.verification.input.sections.get(section.0 as usize).map_or("", |s| s.name);
        let message = format!("the result is wrong and was not written: {message}; please report this");
        Err(Error::new(ErrorKind::Verification, self.verification.input.name, message).at(name, offset))
    }

    /// Bytes, headers and relocations that no edit names are as before.
    fn untouched(&self) -> Result<()> {
        for section in self.verification.input.sections.iter().filter(|s| s.kind != SectionKind::Format) {
            let planned = self.edits().section_edits.get(&section.id);
            if planned.is_some_and(|edit| edit.null) {
                continue;
            }
            let Some(new) = self.output.sections.get(section.id.0 as usize) else {
                return self.error(section.id, 0, "a section is missing");
            };
            let name = planned.and_then(|edit| edit.name.as_deref()).unwrap_or(section.name);
            let writable = section.write || planned.is_some_and(|edit| edit.writable);
            let extension = self.edits().extensions.iter().find(|e| e.section == section.id);
            let added = extension.map_or(0, |e| e.data.len() as u64);
            let same = (new.name, new.size, new.align, new.alloc, new.exec, new.write, new.data.len() as u64)
                == (
                    name,
                    section.size + added,
                    section.align,
                    section.alloc,
                    section.exec,
                    writable,
                    section.data.len() as u64 + added,
                );
            if !same {
                return self.error(section.id, 0, "a section's header changed");
            }
            if let Some(at) = unplanned::first_change(self.edits(), section.id, section.data, new.data) {
                return self.error(section.id, at as u64, "bytes changed that were not planned");
            }
            let edits = self.edits().relocations.get(&section.id).into_iter().flatten().copied();
            let added = extension.into_iter().flat_map(|e| &e.relocations);
            let mut edits =
                edits
                    .chain(added.map(|r| {
                        RelocationEdit::Add(NewRelocation { offset: r.offset + section.size, ..*r })
                    }))
                    .peekable();
            if edits.peek().is_none() {
                self.same_relocations(section, new)?;
            } else {
                self.edited_relocations(section, new, edits)?;
            }
        }
        Ok(())
    }

    fn same_relocations(&self, old: &Section<'_>, new: &Section<'_>) -> Result<()> {
        let moved = |r: Relocation| Relocation { symbol: self.moved(r.symbol), ..r };
        if old.relocations().len() == new.relocations().len()
            && old.relocations().iter().zip(new.relocations()).all(|(old, new)| moved(old) == new)
        {
            return Ok(());
        }
        self.error(old.id, 0, "relocations changed that were not planned")
    }

    /// Every relocation is there that was there and not edited, or that an edit made, and no other.
    fn edited_relocations(
        &self,
        old: &Section<'_>,
        new: &Section<'_>,
        edits: impl Iterator<Item = RelocationEdit>,
    ) -> Result<()> {
        let mut gone: HashSet<u32> = HashSet::default();
        // That repeated ones are there is verified where they are held against their first.
        let repeated = self.edits().repeated.get(&old.id).map_or(0, |repeated| repeated.places.len());
        let mut made = Vec::new();
        for edit in edits {
            match edit {
                RelocationEdit::Replace(entry, relocation) => {
                    gone.insert(entry);
                    made.push(relocation);
                }
                RelocationEdit::Add(relocation) => made.push(relocation),
                RelocationEdit::Remove(entry) => {
                    gone.insert(entry);
                }
            }
        }
        made.sort_by_key(|relocation| relocation.offset);
        let mut found = InOrder::of(new);
        for relocation in &made {
            let planned = self.planned_lead(relocation.symbol, relocation.addend);
            let at = found.inside(relocation.offset..relocation.offset + 1);
            if !at.iter().any(|r| r.kind == relocation.kind && self.lead(&r, 0) == planned) {
                return self.error(old.id, relocation.offset, "a new relocation is missing");
            }
        }
        let kept = old.relocations().iter().filter(|r| !gone.contains(&r.entry));
        let mut found = InOrder::of(new);
        for r in kept {
            let moved = self.moved(r.symbol);
            let same = |n: Relocation| (n.kind, n.symbol, n.addend) == (r.kind, moved, r.addend);
            if !found.inside(r.offset..r.offset + 1).iter().any(same) {
                return self.error(old.id, r.offset, "a relocation changed that was not planned");
            }
        }
        if new.relocations().len() != old.relocations().len() - gone.len() + made.len() + repeated {
            return self.error(old.id, 0, "the relocations are not as many as planned");
        }
        Ok(())
    }

    /// Every changed field yields what was decided.
    fn decisions(&self) -> Result<()> {
        let together: Vec<&[Decision]> =
            self.verification.plan.decisions.chunk_by(Decision::shares_thunk).collect();
        let wrong = together.par_chunks(AT_ONCE).find_map_first(|together| {
            let mut last = (SectionId(0), u64::MAX);
            let mut relocations = None;
            together.iter().find_map(|decisions| {
                let Decision { section, start, length, .. } = decisions[0];
                // Nearly all are in order.
                if last.0 != section || start < last.1 {
                    relocations = None;
                }
                last = (section, start);
                let home = self.output.section(section);
                let relocations = relocations.get_or_insert_with(|| InOrder::from(home, start));
                let inside = relocations.inside(start..start + u64::from(length));
                self.decision(decisions, inside).err()
            })
        });
        wrong.map_or(Ok(()), Err)
    }

    /// A changed field yields what was decided; of several fields those of one thunk. `relocations` are those of the bytes that
    /// change.
    fn decision(&self, decisions: &[Decision], relocations: Relocations<'_>) -> Result<()> {
        let [Decision { section, start, length, field, source, half, how }, ..] = *decisions else {
            return self.error(SectionId(0), 0, "nothing was decided");
        };
        let home = self.output.section(section);
        let relocations: SmallVec<[Relocation; 4]> =
            relocations.iter().filter(|r| r.kind != RelocKind::None).collect();
        let yields = match (how, relocations.as_slice()) {
            (How::Init, []) => {
                let stored = self.verification.plan.filled.words.get(&(section, start));
                let zero = home.data[start as usize..start as usize + 8].iter().all(|&b| b == 0);
                zero && stored == Some(&source)
            }
            (How::Direct, relocations) => {
                // An instruction may have another operand besides.
                let mut here = relocations.iter().filter(|r| r.offset == start + u64::from(field));
                let only = here.next().filter(|r| here.next().is_none() && r.kind.is_absolute());
                only.is_some_and(|r| {
                    // Half as wide it is only in place of a constant that was no wider.
                    let narrow = matches!(r.kind, RelocKind::Abs32 | RelocKind::Abs32Signed);
                    let as_wide = !home.exec || r.kind == RelocKind::Abs64;
                    let fits = as_wide || narrow && self.is_narrow(section, start, length);
                    fits && self.leads_to(self.lead(r, 0), source)
                })
            }
            // From the table's base or, in data, from the field itself: no instruction has a part in it.
            (How::Relative, [r])
                if matches!(r.kind, RelocKind::GotOff64 | RelocKind::PltOff64) || !home.exec =>
            {
                matches!(
                    r.kind,
                    RelocKind::GotOff64
                        | RelocKind::PltOff64
                        | RelocKind::Pc32
                        | RelocKind::Plt32
                        | RelocKind::Pc64
                ) && self.leads_to(self.lead(r, 0), source)
            }
            (How::Slot, [r]) if r.kind == RelocKind::PltOff64 => self.stub_jumps(self.lead(r, 0), source),
            (How::Got, [r]) if r.kind == RelocKind::Got64 => self.leads_to(self.lead(r, 0), source),
            (How::Slot, [r]) if r.kind == RelocKind::GotOff64 => self.slot_holds(self.lead(r, 0), source),
            (How::Got | How::Slot | How::Relative, [r]) => {
                self.code_yields(home, start..start + u64::from(length), r, how, (source, half))
            }
            (How::Thunk, [r]) => self.thunk_yields(decisions, r),
            _ => false,
        };
        if yields {
            return Ok(());
        }
        self.error(section, start, &format!("the new {} does not yield what the constant meant", how.name()))
    }

    /// Whether the instruction of the input there holds no more than 32 bits of an address.
    fn is_narrow(&self, section: SectionId, start: u64, length: u8) -> bool {
        let old = self.verification.input.section(section);
        let mut narrow = true;
        self.verification.input.machine.arch().decode(old.data, start..start + u64::from(length), &mut |i| {
            narrow &= i.operands.iter().flatten().all(|operand| operand.width <= 4);
        });
        old.exec && narrow
    }

    /// The instruction with a pc-relative operand at that field, if decoding `range` leads to it.
    fn referring(&self, home: &Section<'_>, range: Range<u64>, field: u64) -> Option<Instruction> {
        let mut found = None;
        let end = range.end.min(home.data.len() as u64);
        self.output.machine.arch().decode(home.data, range.start..end, &mut |i| {
            if i.valid && i.reference.is_some_and(|reference| reference.field == field) {
                found = Some(*i);
            }
        });
        found
    }

    fn code_yields(
        &self,
        home: &Section<'_>,
        range: Range<u64>,
        r: &Relocation,
        how: How,
        (source, half): (Source, Option<Half>),
    ) -> bool {
        if half.is_some() && how != How::Slot {
            return false;
        }
        let Some(instruction) = self.referring(home, range, r.offset) else { return false };
        let Some(reference) = instruction.reference else {
            return false;
        };
        // The field counts from its own start, the instruction from its end.
        let rest = (instruction.offset + u64::from(instruction.length) - r.offset) as i64;
        match (how, r.kind, reference.usage) {
            (
                How::Got,
                RelocKind::GotPc32 | RelocKind::GotPc32Relax | RelocKind::GotPc32RelaxRex,
                PcUse::Memory,
            ) => r.addend == -rest && self.leads_to(self.lead(r, rest), source),
            (How::Slot, RelocKind::Pc32, PcUse::Memory) => {
                // All of the slot is read, or just the half that it shall be.
                let (size, offset) =
                    half.map_or((reference.size >= 8, 0), |half| (reference.size == 4, half.offset()));
                size && self.slot_holds(self.lead(r, rest - offset), source)
            }
            (How::Relative, RelocKind::Pc32, _) | (How::Relative, RelocKind::Plt32, PcUse::Branch) => {
                self.leads_to(self.lead(r, rest), source)
            }
            (How::Slot, RelocKind::Plt32, PcUse::Branch) => self.stub_jumps(self.lead(r, rest), source),
            _ => false,
        }
    }

    /// What combined by `or` adds the same operands.
    fn realigned(&self) -> Result<()> {
        let arch = self.verification.input.machine.arch();
        for Realigned { section, offset, old, .. } in &self.verification.assumptions.realigned {
            let range = *offset as usize..*offset as usize + old.len();
            let was = self.verification.input.section(*section).data.get(range.clone());
            let is = self.output.section(*section).data.get(range);
            if !was.zip(is).is_some_and(|(was, is)| arch.adds_instead(was, is)) {
                return self.error(*section, *offset, "an instruction does not add what it combined");
            }
        }
        Ok(())
    }

    /// Copies of bytes lie as their originals did.
    fn placements(&self) -> Result<()> {
        for placement in &self.verification.plan.placements {
            let id = self.new_section(placement.section);
            let aligned = self.output.section(id).align.is_multiple_of(placement.alignment);
            if !aligned || placement.offset % placement.alignment != placement.remainder {
                return self.error(id, placement.offset, "a copy of bytes is not aligned as it was");
            }
        }
        Ok(())
    }

    /// A word among the code that was zeroed is read by nobody any more.
    fn pool_words(&self) -> Result<()> {
        let scan = self.verification.scan;
        for &(section, offset) in scan.accesses.keys() {
            let home = self.output.section(section);
            let word = home.data.get(offset as usize..offset as usize + 8).unwrap_or_default();
            if home.is_relocated(offset, 8) || word.iter().any(|&b| b != 0) {
                continue;
            }
            if let Some(field) =
                scan.reads(section, offset).iter().find(|field| !home.is_relocated(**field, 4))
            {
                return self.error(section, *field, "an instruction still reads a constant that is gone");
            }
        }
        Ok(())
    }

    /// A copy of what an instruction reads holds the same bytes, and addresses where those were.
    fn pool_block(&self, block: &PoolBlock) -> Result<()> {
        let PoolBlock { local, section, start, size, ref words } = *block;
        let original = self.verification.input.section(section).data;
        let Lead::Place(home, at) = self.planned_lead(SymbolRef::Local(local), 0) else {
            return self.error(section, start, "the copy of a constant is nowhere");
        };
        let home = self.output.section(home);
        let mut relocations = home.relocations_in(at..at + size).iter();
        for offset in (0..size).step_by(8) {
            let range = |start: u64| start as usize..(start + 8.min(size - offset)) as usize;
            let (old, new) = (original.get(range(start + offset)), home.data.get(range(at + offset)));
            let same = match words.iter().find(|(word, _)| *word == offset) {
                None => old.is_some() && old == new,
                Some(&(_, source)) => relocations.next().is_some_and(|r| {
                    r.offset == at + offset
                        && r.kind == RelocKind::Abs64
                        && self.leads_to(self.lead(&r, 0), source)
                }),
            };
            if !same {
                return self.error(section, start + offset, "the copy of a constant is another");
            }
        }
        if relocations.next().is_some() {
            return self.error(section, start, "the copy of a constant has other relocations");
        }
        Ok(())
    }

    /// Where a relocation leads; `bias` makes up for what is in its addend for the machine's sake.
    fn lead(&self, r: &Relocation, bias: i64) -> Lead<'_> {
        self.lead_of(r.symbol, r.addend.wrapping_add(bias))
    }

    fn lead_of(&self, symbol: SymbolId, addend: i64) -> Lead<'_> {
        let symbol = self.output.symbol(symbol);
        match symbol.place {
            SymbolPlace::Section(section) => Lead::Place(section, symbol.value.wrapping_add(addend as u64)),
            SymbolPlace::Undefined | SymbolPlace::Common | SymbolPlace::Absolute => {
                Lead::Name(symbol.name, addend)
            }
        }
    }

    /// Where a symbol reference of the plan leads in the output.
    fn planned_lead(&self, symbol: SymbolRef, addend: i64) -> Lead<'_> {
        let place = |section, value: u64| Lead::Place(section, value.wrapping_add(addend as u64));
        match symbol {
            SymbolRef::Existing(id) => self.lead_of(self.moved(id), addend),
            SymbolRef::Section(id) => place(id, 0),
            SymbolRef::NewSection(id) => place(self.new_section(id), 0),
            SymbolRef::Local(id) => {
                let local = &self.edits().locals[id.0 as usize];
                match local.home {
                    Home::Existing(section) => place(section, local.value),
                    Home::New(section) => place(self.new_section(section), local.value),
                }
            }
            SymbolRef::Undefined(id) => Lead::Name(&self.edits().undefined[id.0 as usize].name, addend),
            SymbolRef::Weak(id) => {
                let weak = &self.edits().weak[id.0 as usize];
                place(self.new_section(weak.section), weak.value)
            }
        }
    }

    fn leads_to(&self, lead: Lead<'_>, source: Source) -> bool {
        match source {
            Source::Address(symbol, addend) => lead == self.planned_lead(symbol, addend),
            Source::Computed(..) => false,
        }
    }

    /// Whether the code that a reference leads to is a stub of ours, which jumps through a slot that holds that.
    fn stub_jumps(&self, stub: Lead<'_>, source: Source) -> bool {
        let mut stubs = self.edits().locals.iter().zip(0..).filter(|(local, _)| local.function);
        let known = stubs.any(|(_, id)| self.planned_lead(SymbolRef::Local(NewLocalId(id)), 0) == stub);
        let Lead::Place(section, start) = stub else { return false };
        let home = self.output.section(section);
        let mut jump = None;
        // After a landing pad, perhaps.
        let end = (start + 16).min(home.data.len() as u64);
        self.output.machine.arch().decode(home.data, start..end, &mut |i| {
            if jump.is_none() {
                jump = i.reference.map(|reference| (reference, i.offset + u64::from(i.length)));
            }
        });
        let Some((reference, end)) = jump.filter(|_| known) else { return false };
        match home.relocations_in(start..end).only() {
            Some(r) if r.offset == reference.field && r.kind == RelocKind::Pc32 => {
                reference.usage == PcUse::Memory
                    && self.slot_holds(self.lead(&r, (end - r.offset) as i64), source)
            }
            _ => false,
        }
    }

    /// Whether the slot that a reference leads to holds that at run time.
    fn slot_holds(&self, slot: Lead<'_>, source: Source) -> bool {
        let Lead::Place(section, offset) = slot else {
            return false;
        };
        match source {
            Source::Address(..) => only_word(self.output.section(section), offset)
                .is_some_and(|r| r.kind == RelocKind::Abs64 && self.leads_to(self.lead(&r, 0), source)),
            Source::Computed(..) => {
                let slots = self.verification.plan.filled.slots.iter();
                let mut holding = slots.filter(|(_, held)| **held == source);
                holding.any(|(id, _)| {
                    self.planned_lead(SymbolRef::Local(*id), 0) == Lead::Place(section, offset)
                })
            }
        }
    }
}

/// The relocation of the word at an offset, if it has one and no other.
fn only_word(section: &Section<'_>, offset: u64) -> Option<Relocation> {
    // Where every word has one, it is known which is this one's.
    let all = section.relocations();
    let guess = usize::try_from(offset / 8).ok().filter(|&at| all.offset(at) == Some(offset));
    let first = guess.unwrap_or_else(|| all.first_from(offset));
    let inside = |at: usize| all.offset(at).is_some_and(|other| other.wrapping_sub(offset) < 8);
    let alone = !first.checked_sub(1).is_some_and(inside) && !inside(first + 1);
    all.get(first).filter(|r| alone && r.offset == offset)
}
