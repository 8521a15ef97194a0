//! Absolute symbols whose value is an address of the session. What this object refers to by them is led to what they
//! mean. They keep their place in the table and hold nothing: a local one is zero, a global one undefined, so that
//! another object that refers to it by name gets the name's own meaning in the link, or an error, never an old address.

use super::places::CodeField;
use super::{How, Planner, Source};
use foldhash::HashSet;

use crate::arch::{OperandForm, PcUse};
use crate::edits::{NewRelocation, RelocationEdit, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::object_file::{Binding, Relocation, Section, Symbol, SymbolId, SymbolPlace};
use crate::reloc::RelocKind;
use crate::scan::Shape;
use crate::session_map::Meaning;

impl Planner<'_> {
    /// Finds those that only repeat the name of what lies at their value.
    pub(super) fn find_absolute_symbols(&mut self) {
        for resolved in &self.found.testimony.resolved {
            if let (Shape::AbsoluteSymbol(id), Meaning::Symbol { name, offset: 0, .. }) =
                (resolved.place.shape, &*resolved.meaning)
                && *name == self.object().symbol(id).name
            {
                self.own_named.insert(id);
            }
        }
    }

    /// What a name of the session map means that an absolute symbol of the input has as well; `None` if that symbol
    /// holds no session address.
    ///
    /// # Errors
    /// The symbol means something else.
    pub(super) fn absolute_named(&mut self, symbol: &Symbol<'_>) -> Result<Option<SymbolRef>> {
        let absolute = symbol.place == SymbolPlace::Absolute;
        if !absolute || !self.found.map.is_session_constant(symbol.value) {
            return Ok(None);
        }
        if symbol.binding == Binding::Local {
            return Ok(Some(self.undefined_symbol(symbol.name)));
        }
        if self.own_named.contains(&symbol.id) {
            return Ok(Some(SymbolRef::Existing(symbol.id)));
        }
        let message = format!(
            "the session map names `{}`, and the object has an absolute symbol of that name that means something else",
            symbol.name
        );
        Err(Error::new(ErrorKind::Refused, self.object().name, message))
    }

    /// Takes the address out of one symbol.
    pub(super) fn plan_absolute_symbol(&mut self, id: SymbolId, source: Source, name: &str) -> How {
        self.absolutes.insert(id, (source, name.to_owned()));
        let local = self.object().symbol(id).binding == Binding::Local;
        let own = self.own_named.contains(&id);
        let edit = self.edits.symbol_edits.entry(id).or_default();
        if local {
            edit.drop_definition = true;
        } else {
            edit.undefine = true;
            // What it hid from others was the number; what it now names is defined elsewhere.
            edit.visible = own;
        }
        match source {
            Source::Address(..) => How::Direct,
            Source::Computed(..) => How::Slot,
        }
    }

    /// Leads a reference to what its absolute symbol means, unless it was a place of its own.
    pub(super) fn plan_absolute_reference(
        &mut self,
        section: &Section<'_>,
        relocation: &Relocation,
    ) -> Result<(), String> {
        let Some((source, name)) = self.absolutes.get(&relocation.symbol).cloned() else {
            return Ok(());
        };
        if self.planned_addends.contains(&(section.id, relocation.entry)) {
            return Ok(());
        }
        let changed = |kind, symbol, addend| {
            let new = NewRelocation { offset: relocation.offset, kind, symbol, addend };
            RelocationEdit::Replace(relocation.entry, new)
        };
        let addend = relocation.addend;
        if !section.alloc {
            // Nothing runs there: what no relocation can say is left as the zero that the symbol became.
            if let (Source::Address(symbol, plus), RelocKind::Abs64) = (source, relocation.kind) {
                self.edits.relocate(section.id, changed(RelocKind::Abs64, symbol, addend.wrapping_add(plus)));
            }
            return Ok(());
        }
        let refused = || {
            Err(format!(
                "its relocation ({:?}) against the absolute symbol `{}`, which holds a session address, cannot refer \
                 to what that means",
                relocation.kind,
                self.object().symbol(relocation.symbol).name
            ))
        };
        let field = self.found.scan.fields.get(section.id, relocation.offset).copied();
        let Some(field) = field else { return refused() };
        // The field counts from its own start, the instruction from its end.
        let rest = (field.start + u64::from(field.length) - relocation.offset) as i64;
        let reads_entry = match relocation.kind {
            RelocKind::GotPc32 | RelocKind::GotPc32Relax | RelocKind::GotPc32RelaxRex => {
                field.usage == Some(PcUse::Memory) && addend == -rest
            }
            RelocKind::Got64 => field.form == Some(OperandForm::Address64) && addend == 0,
            _ => false,
        };
        if !reads_entry {
            return refused();
        }
        let instruction = field.start..field.start + u64::from(field.length);
        self.must_be_alone(section.id, instruction, Some(relocation.entry))?;
        let (edit, how) = match source {
            Source::Address(symbol, 0)
                if !matches!(symbol, SymbolRef::NewSection(_) | SymbolRef::Local(_)) =>
            {
                (changed(relocation.kind, symbol, addend), How::Got)
            }
            _ => {
                // Reading the table's entry is reading the slot, whatever the instruction.
                let slot = SymbolRef::Local(self.slot(source, section.group, &name));
                let near = relocation.kind != RelocKind::Got64;
                let kind = if near { RelocKind::Pc32 } else { RelocKind::GotOff64 };
                (changed(kind, slot, addend), How::Slot)
            }
        };
        self.edits.relocate(section.id, edit);
        let code = CodeField {
            section: section.id,
            start: field.start,
            length: field.length,
            field: relocation.offset,
            width: relocation.kind.width().unwrap_or(0) as u8,
            entry: Some(relocation.entry),
            half: None,
        };
        self.decide(&code, source, how);
        self.report_lowered(section, relocation, how.name());
        Ok(())
    }

    /// What nothing refers to must not make a link fail.
    pub(super) fn finish_absolute_symbols(&mut self) {
        let object = self.object();
        let mut used: HashSet<SymbolId> = HashSet::default();
        for section in &object.sections {
            used.extend(
                section.relocations().iter().map(|r| r.symbol).filter(|id| self.own_named.contains(id)),
            );
        }
        used.extend(self.edits.new_relocations().filter_map(|r| match r.symbol {
            SymbolRef::Existing(id) => Some(id),
            _ => None,
        }));
        for &id in self.absolutes.keys() {
            if object.symbol(id).binding != Binding::Local && !used.contains(&id) {
                self.edits.symbol_edits.entry(id).or_default().weak = true;
            }
        }
    }
}
