//! Undefined symbols that the session bound itself: every reference goes through a slot, a direct call through a
//! stub that jumps through the slot. Other objects of the link keep the symbol's ordinary meaning.

use super::places::{CodeField, DataField, no_replacement};
use super::symbols::Named;
use super::{Planner, Source};
use foldhash::HashSet;

use crate::arch::PcUse;
use crate::edits::{NewRelocation, RelocationEdit, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::object_file::{Relocation, Section, SymbolId, SymbolPlace};
use crate::reloc::RelocKind;
use crate::report::{ImportReport, RenamedReport};
use crate::session_map::Expression;

impl Planner<'_> {
    /// Decides what every import of the session map stands for, by name.
    ///
    /// # Errors
    /// An import that the object defines, or whose expression cannot be read.
    pub(super) fn plan_imports(&mut self) -> Result<()> {
        let map = self.found.map;
        if map.imports.is_empty() {
            return Ok(());
        }
        let referenced = self.referenced_symbols();
        for import in &map.imports {
            let Some(&Named::Global(id)) = self.by_name.get(import.symbol.as_str()) else {
                // A map can serve many objects: what this one does not refer to needs nothing.
                continue;
            };
            if !referenced.contains(&id) {
                continue;
            }
            let symbol = self.object().symbol(id);
            if symbol.place != SymbolPlace::Undefined {
                let message = format!("{}: the object itself defines `{}`", import.origin, import.symbol);
                return Err(Error::new(ErrorKind::Refused, self.object().name, message));
            }
            match &import.init {
                Expression::Symbol { name, offset: 0 } => {
                    if *name == import.symbol {
                        continue;
                    }
                    self.report
                        .renamed
                        .push(RenamedReport { name: import.symbol.clone(), becomes: name.clone() });
                    if self.by_name.contains_key(name.as_str()) || self.undefined.contains_key(name) {
                        let other = self.symbol_named(name)?;
                        self.replaced.insert(id, other);
                    } else {
                        self.edits.symbol_edits.entry(id).or_default().name = Some(name.clone());
                        self.by_name.remove(import.symbol.as_str());
                        self.by_name.insert(name, Named::Global(id));
                    }
                }
                expression => {
                    let source = self.source(expression)?;
                    self.imports.insert(id, source);
                    // Filled in the order of names, whatever reference comes first.
                    self.slot(source, None, &import.symbol);
                }
            }
        }
        Ok(())
    }

    /// Symbols that relocations of this run refer to.
    pub(super) fn referenced_symbols(&self) -> HashSet<SymbolId> {
        let sections = self.object().sections.iter().filter(|s| s.alloc);
        let relocations = sections.flat_map(|s| s.relocations().iter().map(move |r| (s.id, r)));
        relocations
            .filter(|(section, relocation)| !self.found.record.covers(*section, relocation.offset))
            .map(|(_, relocation)| relocation.symbol)
            .collect()
    }

    /// Redirects one reference to an import.
    pub(super) fn plan_import_reference(
        &mut self,
        section: &Section<'_>,
        relocation: &Relocation,
        source: Source,
    ) -> Result<(), String> {
        let name = self.relocation_symbol(relocation);
        let delivery = match relocation.kind {
            RelocKind::None => return Ok(()),
            RelocKind::Abs64 if section.exec => {
                let source = self.offset_by(source, relocation.addend);
                match self.found.scan.fields.get(section.id, relocation.offset) {
                    Some(f) if f.form.is_some() => {
                        let field = CodeField {
                            section: section.id,
                            start: f.start,
                            length: f.length,
                            field: relocation.offset,
                            width: 8,
                            entry: Some(relocation.entry),
                            half: None,
                        };
                        // In the static model, too: the address is not known before the initializer has run.
                        self.plan_code(&field, source, true, &name)?.name()
                    }
                    _ => return Err(not_an_operand(&name)),
                }
            }
            RelocKind::Abs64 => {
                let source = self.offset_by(source, relocation.addend);
                let field = DataField {
                    section: section.id,
                    offset: relocation.offset,
                    entry: Some(relocation.entry),
                };
                self.plan_data(&field, source, &name)?.name()
            }
            // Reading the table entry is reading the slot, whatever the instruction.
            RelocKind::GotPc32 | RelocKind::GotPc32Relax | RelocKind::GotPc32RelaxRex => {
                self.redirect(section, relocation, source, RelocKind::Pc32, &name)
            }
            RelocKind::GotPc64 => self.redirect(section, relocation, source, RelocKind::Pc64, &name),
            RelocKind::Got64 => self.redirect(section, relocation, source, RelocKind::GotOff64, &name),
            RelocKind::PltOff64 => {
                let stub = SymbolRef::Local(self.stub(source, &name));
                self.point_at(section, relocation, RelocKind::GotOff64, stub, relocation.addend);
                "stub"
            }
            RelocKind::Plt32 | RelocKind::Pc32 => {
                self.redirect_relative(section, relocation, source, &name)?
            }
            RelocKind::Abs32
            | RelocKind::Abs32Signed
            | RelocKind::Abs16
            | RelocKind::Abs8
            | RelocKind::Pc64
            | RelocKind::Pc16
            | RelocKind::Pc8
            | RelocKind::Got32
            | RelocKind::GotOff64
            | RelocKind::GotBase32
            | RelocKind::GotBase64
            | RelocKind::Size32
            | RelocKind::Size64
            | RelocKind::ThreadLocal(..)
            | RelocKind::Unknown(_) => {
                return Err(format!(
                    "the import `{name}` is referred to by a relocation ({:?}) that a slot cannot serve; recompile as \
                     position-independent code (-fPIC)",
                    relocation.kind
                ));
            }
        };
        self.report.imports.push(ImportReport {
            symbol: name,
            section: section.name.to_owned(),
            offset: relocation.offset,
            delivery: delivery.to_owned(),
        });
        Ok(())
    }

    /// Has a reference to the global offset table's entry refer to the slot.
    fn redirect(
        &mut self,
        section: &Section<'_>,
        relocation: &Relocation,
        source: Source,
        kind: RelocKind,
        name: &str,
    ) -> &'static str {
        let slot = SymbolRef::Local(self.slot(source, None, name));
        self.point_at(section, relocation, kind, slot, relocation.addend);
        "slot"
    }

    fn point_at(
        &mut self,
        section: &Section<'_>,
        relocation: &Relocation,
        kind: RelocKind,
        symbol: SymbolRef,
        addend: i64,
    ) {
        let changed = NewRelocation { offset: relocation.offset, kind, symbol, addend };
        self.edits.relocate(section.id, RelocationEdit::Replace(relocation.entry, changed));
    }

    /// A pc-relative reference: a call or jump goes to the stub, the computation of the address becomes a load.
    fn redirect_relative(
        &mut self,
        section: &Section<'_>,
        relocation: &Relocation,
        source: Source,
        name: &str,
    ) -> Result<&'static str, String> {
        let Some(field) = self.found.scan.fields.get(section.id, relocation.offset).copied() else {
            return Err(not_an_operand(name));
        };
        // The field counts from its own start, the instruction from its end.
        let rest = (field.start + u64::from(field.length) - relocation.offset) as i64;
        match field.usage {
            Some(PcUse::Branch) if relocation.addend == -rest => {
                let stub = SymbolRef::Local(self.stub(source, name));
                self.point_at(section, relocation, RelocKind::Plt32, stub, relocation.addend);
                Ok("stub")
            }
            Some(PcUse::Address) => {
                let source = self.offset_by(source, relocation.addend.wrapping_add(rest));
                let code = CodeField {
                    section: section.id,
                    start: field.start,
                    length: field.length,
                    field: relocation.offset,
                    width: 4,
                    entry: Some(relocation.entry),
                    half: None,
                };
                let old = self.instruction(section.id, field.start, field.length);
                let at = (relocation.offset - field.start) as usize;
                let lowered = self.object().machine.arch().lower_address_to_load(&old, at);
                let lowered = lowered.map_err(|why| no_replacement(&why))?;
                let slot = SymbolRef::Local(self.slot(source, None, name));
                self.apply_lowered(&code, old, lowered, slot, 0);
                Ok("slot")
            }
            Some(PcUse::Branch | PcUse::Memory) | None => Err(format!(
                "the import `{name}` is accessed where its address is not computed first, which this version cannot \
                 redirect; recompile as position-independent code (-fPIC)"
            )),
        }
    }
}

fn not_an_operand(name: &str) -> String {
    format!("the relocation against the import `{name}` is no instruction's operand")
}
