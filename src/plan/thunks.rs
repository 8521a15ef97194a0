//! Places with no room for what has to stand there: the instruction becomes a jump to code of ours that does its
//! work and jumps back. The code goes where the instruction's group goes, and can be unwound through as the instruction can.

use super::places::{CodeField, no_replacement};
use super::slots::{CODE, LARGE_CODE};
use super::{Decision, How, Planner, Source};
use crate::arch::{Delivery, Referent, ThunkLinks};
use crate::edits::{BytesEdit, Home, NewRelocation, RelocationEdit, SymbolRef};
use crate::object_code::number_of;
use crate::object_file::{Relocation, Section, SymbolPlace};
use crate::reloc::RelocKind;
use crate::unwind_row::UnwindRow;
use crate::unwind_section::CodeFrame;

/// Where processors like jumps to lead.
const ALIGN: u64 = 8;

impl Planner<'_> {
    /// Gives an instruction's constant what it means in a thunk, which gets it from `target` by `delivery`.
    ///
    /// # Errors
    /// Why the instruction cannot run elsewhere.
    pub(super) fn plan_thunk(
        &mut self,
        field: &CodeField,
        (delivery, target): (Delivery, Referent),
        source: Source,
        name: &str,
    ) -> Result<How, String> {
        let object = self.object();
        let arch = object.machine.arch();
        let section = object.section(field.section);
        let CodeField { start, length, .. } = *field;
        let end = start + u64::from(length);
        let old = self.instruction(field.section, start, length);
        let besides = self.relocation_besides(section, field).map_err(no_replacement)?;
        // Of half an address there are no more bits that could be used.
        if field.half.is_none() {
            self.check_use(section, field)?;
        }
        let next = (SymbolRef::Section(field.section), end as i64);
        let at = (field.field - start) as usize;
        // Where the operand leads, whatever its distance from the end of the instruction.
        let operand = besides.map(|r| {
            let symbol = SymbolRef::Existing(r.symbol);
            ((r.offset - start) as usize, (symbol, r.addend.wrapping_add((end - r.offset) as i64)))
        });
        let links = ThunkLinks { delivery, target, operand, next, shadow_stack: object.shadow_stack };
        let thunk = arch.thunk(&old, at, &links).map_err(|why| no_replacement(&why))?;

        let rows = if thunk.calls {
            // Its caller is the function that the place is in: as at any function's first instruction.
            UnwindRow::at(object, self.found.frames, (section.id, start), arch.stack_pointer())
                .map_err(|why| no_replacement(&why))?
                .map(|_| Vec::new())
        } else {
            UnwindRow::at(object, self.found.frames, (section.id, start), arch.stack_pointer())
                .and_then(|row| row.map(|row| row.rows(&thunk.depth, arch.stack_pointer())).transpose())
                .map_err(|why| no_replacement(&why))?
        };
        let code = &thunk.fragment.code;
        let role = if section.large { LARGE_CODE } else { CODE };
        let (home, offset) = self.append(role, section.group, ALIGN, code);
        for relocation in &thunk.fragment.relocations {
            self.relocate_new(home, NewRelocation { offset: offset + relocation.offset, ..*relocation });
        }
        if let Some(rows) = rows {
            self.code_frames.push(CodeFrame {
                symbol: SymbolRef::NewSection(home),
                offset: offset as i64,
                length: code.len() as u32,
                rows,
            });
        }
        let local = self.add_local(
            format!("relocfix.thunk.{name}"),
            Home::New(home),
            offset,
            code.len() as u64,
            true,
        );
        let relocation = NewRelocation {
            offset: start + thunk.field,
            kind: RelocKind::Pc32,
            symbol: SymbolRef::Local(local),
            addend: -4,
        };
        self.put_relocation(field.section, field.entry, relocation);
        if let Some(moved) = besides {
            self.edits.relocate(field.section, RelocationEdit::Remove(moved.entry));
        }
        self.edits.bytes.push(BytesEdit {
            section: field.section,
            offset: start,
            old,
            new: thunk.site.into(),
        });
        self.report.summary.thunks += 1;
        let how = How::Thunk;
        self.decisions.push(Decision {
            section: field.section,
            start,
            length,
            source,
            half: field.half,
            how,
        });
        Ok(How::Thunk)
    }

    /// The relocation of the instruction's other operand, which goes where the instruction goes.
    fn relocation_besides(
        &self,
        section: &Section<'_>,
        field: &CodeField,
    ) -> Result<Option<Relocation>, &'static str> {
        match relocations_besides(section, field)[..] {
            [] => Ok(None),
            [r] if self.imports.contains_key(&r.symbol) || self.replaced.contains_key(&r.symbol) => {
                Err("refers to another variable whose references change")
            }
            [r] if r.symbol.0 == 0 || self.object().symbol(r.symbol).place == SymbolPlace::Absolute => {
                Err("has another number for an address")
            }
            [r] if r.kind == RelocKind::Pc32 && r.offset >= field.start => Ok(Some(*r)),
            _ => Err("has another relocation besides"),
        }
    }

    /// A register that gets a full address must be used as one.
    fn check_use(&self, section: &Section<'_>, field: &CodeField) -> Result<(), String> {
        let start = number_of(section.id, field.start).ok_or("is in one of too many sections")?;
        let is_address = || self.object().machine.arch().is_address(self.found.code, start);
        is_address().or_else(|_| {
            // Perhaps what contradicts is behind a call that never returns. That takes a look at all code.
            self.found.code.find_dead_ends();
            is_address()
        })
    }
}

/// The relocations that write into the instruction, but the field's own.
fn relocations_besides<'s>(section: &'s Section<'_>, field: &CodeField) -> Vec<&'s Relocation> {
    let end = field.start + u64::from(field.length);
    let near = section.relocations_in(field.start.saturating_sub(7)..end).iter();
    near.filter(|r| Some(r.entry) != field.entry && r.writes_after(field.start)).collect()
}
