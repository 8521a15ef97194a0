//! Relocations that exist: those whose symbol changed, those that position-independent output cannot have, and
//! those against imports.

use super::places::{CodeField, DataField};
use super::{Holds, How, Planner, Source};
use crate::arch::OperandForm;
use crate::edits::{NewRelocation, RelocationEdit, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::object_file::{Relocation, Section, SectionId, SymbolPlace};
use crate::reloc::RelocKind;
use crate::report::LoweredReport;
use crate::scan::{is_unwind_section, needs_lowering};
use crate::unwind_tables::{self, UnwindTarget};

impl Planner<'_> {
    /// Plans every relocation that must change.
    ///
    /// # Errors
    /// Unwind tables that are malformed.
    pub(super) fn plan_relocations(&mut self) -> Result<()> {
        for section in &self.object().sections {
            let unwind = is_unwind_section(section) && self.pic();
            for relocation in section.relocations() {
                if self.found.record.covers(section.id, relocation.offset) {
                    continue;
                }
                if unwind && section.alloc && relocation.kind.is_absolute() {
                    continue;
                }
                if let Err(message) = self.plan_relocation(section, &relocation) {
                    self.refuse(section.id, relocation.offset, message);
                }
            }
        }
        if self.pic() { self.plan_unwind_tables() } else { Ok(()) }
    }

    fn plan_relocation(&mut self, section: &Section<'_>, relocation: &Relocation) -> Result<(), String> {
        if section.alloc
            && let RelocKind::Unknown(number) = relocation.kind
        {
            return Err(format!(
                "its relocation type {number} is not known; nothing is known of what it covers"
            ));
        }
        let source = self.source_of(relocation.symbol);
        if self.imports.contains_key(&relocation.symbol) && section.alloc {
            return self.plan_import_reference(section, relocation, source);
        }
        if self.absolutes.contains_key(&relocation.symbol) {
            return self.plan_absolute_reference(section, relocation);
        }
        if self.pic() && needs_lowering(section, relocation) && !self.is_number(relocation) {
            let delivery = self.lower(section, relocation, source)?;
            self.report_lowered(section, relocation, delivery.name());
            return Ok(());
        }
        if let Source::Address(symbol, _) = source
            && self.replaced.contains_key(&relocation.symbol)
        {
            let changed = NewRelocation {
                offset: relocation.offset,
                kind: relocation.kind,
                symbol,
                addend: relocation.addend,
            };
            self.edits.relocate(section.id, RelocationEdit::Replace(relocation.entry, changed));
        }
        Ok(())
    }

    /// What has no symbol is a number: linkers need no address for it, or it is a place of its own.
    pub(super) fn is_number(&self, relocation: &Relocation) -> bool {
        relocation.symbol.0 == 0 || self.object().symbol(relocation.symbol).place == SymbolPlace::Absolute
    }

    /// The relocation of 32 bits of an instruction that position-independent output cannot have: its index, what it
    /// refers to, and what that is called.
    pub(super) fn narrow_to_lower(&mut self, section: SectionId, at: u64) -> Option<(u32, Source, String)> {
        let home = self.object().section(section);
        let wanted = |r: &Relocation| {
            matches!(r.kind, RelocKind::Abs32 | RelocKind::Abs32Signed)
                && needs_lowering(home, r)
                && !self.is_number(r)
                && !self.imports.contains_key(&r.symbol)
                && !self.found.record.covers(section, at)
        };
        let r = home.relocations_in(at..at + 1).iter().find(wanted).filter(|_| self.pic())?;
        let source = self.source_of(r.symbol);
        Some((r.entry, self.offset_by(source, r.addend), self.relocation_symbol(&r)))
    }

    /// Lowers an absolute relocation of code or read-only data.
    pub(super) fn lower(
        &mut self,
        section: &Section<'_>,
        relocation: &Relocation,
        source: Source,
    ) -> Result<How, String> {
        let narrow = matches!(relocation.kind, RelocKind::Abs32 | RelocKind::Abs32Signed);
        if relocation.kind != RelocKind::Abs64 && !(narrow && section.exec) {
            let width = relocation.kind.width().unwrap_or(0) * 8;
            return Err(format!(
                "the {width}-bit absolute relocation against `{}` cannot be in position-independent output; recompile \
                 as position-independent code (-fPIC), or use --relocation-model static for an executable at a fixed address",
                self.relocation_symbol(relocation)
            ));
        }
        let source = self.offset_by(source, relocation.addend);
        let name = self.relocation_symbol(relocation);
        let data =
            DataField { section: section.id, offset: relocation.offset, entry: Some(relocation.entry) };
        if !section.exec {
            return self.plan_data(&data, source, &name);
        }
        let planned = if self.found.scan.accesses.contains_key(&(section.id, relocation.offset)) {
            self.plan_pool_word(&data, source, false, &name)
        } else {
            let field = self.code_field(section, relocation)?;
            self.plan_code(&field, source, false, &name)
        };
        planned.map_err(|why| {
            format!(
                "the absolute relocation against `{name}`: {why}; recompile as position-independent code (-fPIC)"
            )
        })
    }

    /// The instruction whose full-width constant a relocation writes.
    fn code_field(&self, section: &Section<'_>, relocation: &Relocation) -> Result<CodeField, String> {
        let offset = relocation.offset;
        match self.found.scan.fields.get(section.id, offset) {
            Some(f) if f.form.is_some_and(|form| is_as_wide(form, relocation.kind)) => Ok(CodeField {
                section: section.id,
                start: f.start,
                length: f.length,
                field: offset,
                width: relocation.kind.width().unwrap_or(0) as u8,
                entry: Some(relocation.entry),
                half: None,
            }),
            _ => Err(format!(
                "the absolute relocation against `{}` is no instruction's constant; let the compiler put such words \
                 into a data section, or recompile as position-independent code (-fPIC)",
                self.relocation_symbol(relocation)
            )),
        }
    }

    fn plan_unwind_tables(&mut self) -> Result<()> {
        let lowering = match unwind_tables::lower(self.object(), self.found.frames) {
            Ok(lowering) => lowering,
            Err(error) if error.kind() == ErrorKind::Refused => {
                self.problems.extend(error.problems().iter().cloned());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let record = self.found.record;
        for edit in lowering.bytes {
            if !record.covers(edit.section, edit.offset) {
                self.edits.bytes.push(edit);
            }
        }
        for changed in lowering.relocations {
            if record.covers(changed.section, changed.offset) {
                continue;
            }
            let (symbol, addend, delivery) = match changed.target {
                UnwindTarget::Direct(location) => {
                    (SymbolRef::Section(location.section), location.offset as i64, "relative")
                }
                UnwindTarget::Slot { symbol, addend } => {
                    let name = self.object().symbol(symbol).name.to_owned();
                    let source = self.source_of(symbol);
                    let source = self.offset_by(source, addend);
                    (SymbolRef::Local(self.slot(source, None, &name)), 0, "slot")
                }
            };
            let relocation = NewRelocation { offset: changed.offset, kind: changed.kind, symbol, addend };
            self.edits.relocate(changed.section, RelocationEdit::Replace(changed.entry, relocation));
            self.zero(changed.section, changed.offset, changed.kind.width().unwrap_or(0) as usize);
            let section = self.object().section(changed.section);
            let old = section.relocations().iter().find(|r| r.entry == changed.entry);
            let old = old.ok_or_else(|| Error::malformed(self.object().name, "a relocation is missing"))?;
            self.report_lowered(section, &old, delivery);
        }
        Ok(())
    }

    pub(super) fn report_lowered(&mut self, section: &Section<'_>, relocation: &Relocation, delivery: &str) {
        let lowered = LoweredReport {
            section: section.name.to_owned(),
            offset: relocation.offset,
            symbol: self.relocation_symbol(relocation),
            reads: self.found.scan.reads(section.id, relocation.offset),
            delivery: delivery.to_owned(),
        };
        self.report.lowered.push(lowered);
    }

    /// What messages call a relocation's symbol.
    pub(super) fn relocation_symbol(&self, relocation: &Relocation) -> String {
        self.symbol_text(SymbolRef::Existing(relocation.symbol)).to_owned()
    }

    /// Notes what a section of the input comes to hold.
    pub(super) fn hold(&mut self, section: crate::object_file::SectionId, holds: Holds) {
        let held = self.holds.entry(section).or_insert(holds);
        *held = (*held).max(holds);
    }
}

/// Whether an operand of that form is the field of a relocation of that kind.
fn is_as_wide(form: OperandForm, kind: RelocKind) -> bool {
    let wide = match form {
        OperandForm::Address64 | OperandForm::Load64 | OperandForm::Other64 => true,
        OperandForm::Immediate32 | OperandForm::Absolute32 | OperandForm::Scaled32 | OperandForm::Based32 => {
            false
        }
    };
    wide == (kind == RelocKind::Abs64)
}
