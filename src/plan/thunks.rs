//! Places with no room for what has to stand there: the instruction becomes a jump to code of ours that does its
//! work and jumps back. The code goes where the instruction's group goes, and can be unwound through as the instruction can.

use super::graph::Node;
use super::places::{CodeField, no_replacement};
use super::slots::{CODE, LARGE_CODE};
use super::{How, Planner, Source};
use crate::arch::{Delivery, MovedField, Referent, Supply, ThunkLinks};
use crate::edits::{BytesEdit, Home, NewRelocation, RelocationEdit, SymbolRef};
use crate::object_code::number_of;
use crate::object_file::{Relocation, Section, SymbolPlace};
use crate::reloc::RelocKind;
use crate::unwind_row::UnwindRow;
use crate::unwind_section::CodeFrame;

/// Where processors like jumps to lead.
const ALIGN: u64 = 8;

/// A constant that a thunk replaces.
pub(super) struct Replaced {
    pub(super) field: CodeField,
    /// How the thunk gets what it means, and from where.
    pub(super) delivery: Delivery,
    pub(super) target: Referent,
    pub(super) source: Source,
}

impl Planner<'_> {
    /// Gives an instruction's constants, one or two in their order, what they mean in a thunk.
    ///
    /// # Errors
    /// Why the instruction cannot run elsewhere.
    pub(super) fn plan_thunk(&mut self, constants: &[Replaced], name: &str) -> Result<How, String> {
        let [Replaced { field, .. }, ..] = constants else { return Err(no_replacement("has no constant")) };
        let object = self.object();
        let arch = object.machine.arch();
        let section = object.section(field.section);
        let CodeField { start, length, .. } = *field;
        let end = start + u64::from(length);
        let old = self.instruction(field.section, start, length);
        let besides = self.relocation_besides(section, constants).map_err(no_replacement)?;
        // Of half an address there are no more bits that could be used.
        if constants.iter().any(|constant| constant.field.half.is_none()) {
            self.check_use(section, field)?;
        }
        let next = (SymbolRef::Section(field.section), end as i64);
        let supplies: Vec<Supply> = constants
            .iter()
            .map(|c| Supply {
                field: (c.field.field - start) as usize,
                delivery: c.delivery,
                target: c.target,
            })
            .collect();
        let moved = match besides {
            Some((r, kind)) => {
                let rest = if kind.counts_from_place() { (end - r.offset) as i64 } else { 0 };
                let target = (SymbolRef::Existing(r.symbol), r.addend.wrapping_add(rest));
                Some(MovedField { field: (r.offset - start) as usize, kind, target })
            }
            None => self.reached_without_relocation(section, constants),
        };
        let number = number_of(section.id, start);
        let shadow_stack = object.shadow_stack;
        // Where another way is open, no convention of its own is broken that the function there may have.
        let frees_register =
            number.is_some_and(|number| arch.frees_register(self.found.code, number, shadow_stack));
        let links = ThunkLinks { supplies: &supplies, moved, next, shadow_stack, frees_register };
        let thunk = arch.thunk(&old, &links).map_err(|why| no_replacement(&why))?;

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
        let gone = constants.iter().skip(1).filter_map(|constant| constant.field.entry);
        for entry in gone.chain(besides.map(|(moved, _)| moved.entry)) {
            self.edits.relocate(field.section, RelocationEdit::Remove(entry));
        }
        self.edits.bytes.push(BytesEdit {
            section: field.section,
            offset: start,
            old,
            new: thunk.site.into(),
        });
        self.report.summary.thunks += 1;
        for Replaced { field, source, .. } in constants {
            self.decide(field, *source, How::Thunk);
        }
        Ok(How::Thunk)
    }

    /// Whether an instruction makes less than an address of the one that it holds. The low bits of a distance
    /// or of a negated address are what the instruction computed in the session, too.
    pub(super) fn cuts_address(&self, field: &CodeField, source: Source, instruction: &[u8]) -> bool {
        let is_distance = || match source {
            Source::Address(..) => false,
            Source::Computed(node, _) => {
                matches!(self.graph.node(node), Node::Neg(_) | Node::Not(_) | Node::Difference(..))
            }
        };
        let narrow = field.width < 8 && field.half.is_none();
        narrow && self.object().machine.arch().cuts_address(instruction) && !is_distance()
    }

    /// The relocation of the instruction's other constant, which goes where the instruction goes, and what it computes
    /// there.
    fn relocation_besides(
        &self,
        section: &Section<'_>,
        constants: &[Replaced],
    ) -> Result<Option<(Relocation, RelocKind)>, &'static str> {
        let r = match relocations_besides(section, constants)[..] {
            [] => return Ok(None),
            [r] if r.offset >= constants[0].field.start => r,
            _ => return Err("has another relocation besides"),
        };
        if self.imports.contains_key(&r.symbol) || self.replaced.contains_key(&r.symbol) {
            return Err("refers to another variable whose references change");
        }
        if r.symbol.0 == 0 || self.object().symbol(r.symbol).place == SymbolPlace::Absolute {
            return Err("has another number for an address");
        }
        match r.kind {
            RelocKind::Pc32 => Ok(Some((r, r.kind))),
            // No linker knows what the instruction has become.
            RelocKind::GotPc32 | RelocKind::GotPc32Relax | RelocKind::GotPc32RelaxRex => {
                Ok(Some((r, RelocKind::GotPc32)))
            }
            RelocKind::Abs32 | RelocKind::Abs32Signed if !self.pic() => Ok(Some((r, r.kind))),
            RelocKind::ThreadLocal(..) => Ok(Some((r, r.kind))),
            _ => Err("has another relocation besides"),
        }
    }

    /// What the instruction reaches in its own section, with a distance that stands in it.
    fn reached_without_relocation(
        &self,
        section: &Section<'_>,
        constants: &[Replaced],
    ) -> Option<MovedField> {
        let [Replaced { field: CodeField { start, length, .. }, .. }, ..] = *constants else { return None };
        let mut reference = None;
        let arch = self.object().machine.arch();
        arch.decode(section.data, start..start + u64::from(length), &mut |i| reference = i.reference);
        let reference = reference.filter(|r| constants.iter().all(|c| c.field.field != r.field))?;
        let target = (SymbolRef::Section(section.id), reference.target as i64);
        Some(MovedField { field: (reference.field - start) as usize, kind: RelocKind::Pc32, target })
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

/// The relocations that write into the instruction, but those of the constants.
fn relocations_besides(section: &Section<'_>, constants: &[Replaced]) -> Vec<Relocation> {
    let [Replaced { field: CodeField { start, length, .. }, .. }, ..] = constants else { return Vec::new() };
    let near = section.relocations_in(start.saturating_sub(7)..start + u64::from(*length)).iter();
    let own = |r: &Relocation| constants.iter().any(|constant| constant.field.entry == Some(r.entry));
    near.filter(|r| !own(r) && r.writes_after(*start)).collect()
}
