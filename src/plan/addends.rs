//! Relocations whose addend is an address of the session: LLVM writes those where a symbol stands for a number. Each
//! becomes the same relocation against what the address means, and where that cannot be, another instruction.

use super::graph::Node;
use super::places::{CodeField, DataField};
use super::symbols::Reach;
use super::{How, Planner, Source};
use crate::arch::{OperandForm, PcUse};
use crate::edits::{NewRelocation, SymbolRef};
use crate::object_file::Relocation;
use crate::reloc::RelocKind;
use crate::scan::Place;

/// What such a relocation shall yield.
struct Meant<'n> {
    source: Source,
    /// It comes out of the session map: always through a slot.
    is_value: bool,
    name: &'n str,
}

impl Planner<'_> {
    /// Plans one relocation.
    pub(super) fn plan_addend(
        &mut self,
        place: &Place,
        relocation: Relocation,
        source: Source,
        is_value: bool,
        name: &str,
    ) -> Result<How, String> {
        self.planned_addends.insert((place.section, relocation.entry));
        let meant = Meant { source, is_value, name };
        if !self.object().section(place.section).exec {
            return self.plan_data_addend(place, &relocation, &meant);
        }
        let field = self.found.scan.fields.get(place.section, place.offset).copied();
        let Some(field) = field else {
            return Err("is the addend of a relocation among instructions that belongs to none".to_owned());
        };
        let instruction = field.start..field.start + u64::from(field.length);
        self.must_be_alone(place.section, instruction, Some(relocation.entry))?;
        // The field counts from its own start, the instruction from its end.
        let rest = (field.start + u64::from(field.length) - place.offset) as i64;
        let code = CodeField {
            section: place.section,
            start: field.start,
            length: field.length,
            field: place.offset,
            width: place.width,
            entry: Some(relocation.entry),
            half: None,
        };
        match (relocation.kind, field.form, field.usage) {
            (
                RelocKind::Abs64,
                Some(OperandForm::Address64 | OperandForm::Load64 | OperandForm::Other64),
                _,
            ) => self.plan_code(&code, source, is_value, name),
            (
                RelocKind::Abs32 | RelocKind::Abs32Signed,
                Some(
                    OperandForm::Immediate32
                    | OperandForm::Absolute32
                    | OperandForm::Scaled32
                    | OperandForm::Based32,
                ),
                _,
            ) => match source {
                Source::Address(symbol, addend) if !is_value && !self.pic() => {
                    self.same(&code, relocation.kind, (symbol, addend), source, How::Direct)
                }
                _ => self.plan_code(&code, source, is_value, name),
            },
            (RelocKind::Plt32 | RelocKind::Pc32, _, Some(PcUse::Branch)) => {
                self.plan_branch(&code, relocation.kind, rest, &meant)
            }
            (RelocKind::Plt32 | RelocKind::Pc32, _, Some(PcUse::Address)) => {
                self.plan_address(&code, rest, &meant)
            }
            (RelocKind::Pc32, _, Some(PcUse::Memory)) => match self.in_place(&code, &meant) {
                Some((symbol, addend)) if self.other_constant(&code)?.is_none() => {
                    self.same(&code, RelocKind::Pc32, (symbol, addend - rest), source, How::Relative)
                }
                _ => self.plan_code(&code, source, is_value, name),
            },
            (RelocKind::GotOff64, Some(OperandForm::Address64), _) => self.plan_table_offset(&code, &meant),
            (RelocKind::PltOff64, Some(OperandForm::Address64), _) => match source {
                Source::Address(symbol, 0) if !is_value => {
                    self.same(&code, RelocKind::PltOff64, (symbol, 0), source, How::Relative)
                }
                _ => {
                    let stub = SymbolRef::Local(self.stub(source, name));
                    self.same(&code, RelocKind::PltOff64, (stub, 0), source, How::Slot)
                }
            },
            _ => Err(cannot(relocation.kind)),
        }
    }

    fn plan_data_addend(
        &mut self,
        place: &Place,
        relocation: &Relocation,
        meant: &Meant<'_>,
    ) -> Result<How, String> {
        let Meant { source, is_value, name } = *meant;
        let entry = Some(relocation.entry);
        let field = DataField { section: place.section, offset: place.offset, entry };
        let near = match (relocation.kind, source) {
            (RelocKind::Abs64, _) => return self.plan_data(&field, source, name),
            // A function whose distance is asked for may be an entry that jumps to it.
            (RelocKind::Plt32 | RelocKind::PltOff64, Source::Address(symbol, 0)) if !is_value => {
                Some((symbol, 0))
            }
            (
                RelocKind::Plt32
                | RelocKind::PltOff64
                | RelocKind::Pc32
                | RelocKind::Pc64
                | RelocKind::GotOff64,
                Source::Address(symbol, addend),
            ) if !is_value => match self.reach(place.section, symbol, addend) {
                Reach::Direct(symbol, addend) => Some((symbol, addend)),
                Reach::Got | Reach::Slot => None,
            },
            _ => None,
        };
        let Some(target) = near else {
            return Err(format!(
                "is the addend of a relocation ({:?}) in data, which cannot refer to what it means",
                relocation.kind
            ));
        };
        let DataField { section, offset: start, .. } = field;
        let (length, width) = (place.width, place.width);
        let code = CodeField { section, start, length, field: start, width, entry, half: None };
        self.same(&code, relocation.kind, target, source, How::Relative)
    }

    /// The referent, where the same relocation can refer to it from there in every kind of output. At fixed
    /// addresses that is everything that has a name.
    fn in_place(&mut self, code: &CodeField, meant: &Meant<'_>) -> Option<(SymbolRef, i64)> {
        match meant.source {
            Source::Address(symbol, addend) if !meant.is_value => {
                match self.reach(code.section, symbol, addend) {
                    Reach::Direct(symbol, addend) => Some((symbol, addend)),
                    Reach::Got | Reach::Slot => (!self.pic()).then_some((symbol, addend)),
                }
            }
            _ => None,
        }
    }

    /// The same relocation against something else.
    pub(super) fn same(
        &mut self,
        code: &CodeField,
        kind: RelocKind,
        (symbol, addend): (SymbolRef, i64),
        source: Source,
        how: How,
    ) -> Result<How, String> {
        let CodeField { section, field, entry, .. } = *code;
        // What the relocation overwrites must not say what stood there.
        self.zero(section, field, kind.width().unwrap_or(0) as usize);
        self.put_relocation(section, entry, NewRelocation { offset: field, kind, symbol, addend });
        self.decide(code, source, how);
        Ok(how)
    }

    /// A direct call or jump.
    ///
    /// ```text
    /// before   e8 00 00 00 00    call *ABS*+0x7f…    R_X86_64_PLT32
    /// after    e8 00 00 00 00    call sym            R_X86_64_PLT32, or call stub
    /// ```
    fn plan_branch(
        &mut self,
        code: &CodeField,
        kind: RelocKind,
        rest: i64,
        meant: &Meant<'_>,
    ) -> Result<How, String> {
        let Meant { source, is_value, name } = *meant;
        if let Source::Address(symbol, addend) = source
            && !is_value
        {
            match self.reach(code.section, symbol, addend) {
                Reach::Direct(symbol, addend) => {
                    return self.same(code, kind, (symbol, addend - rest), source, How::Relative);
                }
                // Behind the name there may be an entry that jumps there, with nothing behind it.
                Reach::Got | Reach::Slot if addend == 0 => {
                    let kind = if self.pic() { RelocKind::Plt32 } else { kind };
                    return self.same(code, kind, (symbol, -rest), source, How::Relative);
                }
                Reach::Got | Reach::Slot => {}
            }
        }
        let stub = SymbolRef::Local(self.stub(source, name));
        self.same(code, RelocKind::Plt32, (stub, -rest), source, How::Slot)
    }

    /// The computation of the address (`lea`); it becomes a load where the address is not near.
    fn plan_address(&mut self, code: &CodeField, rest: i64, meant: &Meant<'_>) -> Result<How, String> {
        let Meant { source, is_value, name } = *meant;
        if let Some((symbol, addend)) = self.in_place(code, meant) {
            return self.same(code, RelocKind::Pc32, (symbol, addend - rest), source, How::Relative);
        }
        let old = self.instruction(code.section, code.start, code.length);
        let at = (code.field - code.start) as usize;
        let mut lowered = self.object().machine.arch().lower_address_to_load(&old, at)?;
        let (symbol, how) = match source {
            Source::Address(symbol, addend)
                if !is_value && matches!(self.reach(code.section, symbol, addend), Reach::Got) =>
            {
                lowered.kind = RelocKind::GotPc32;
                (symbol, How::Got)
            }
            _ => {
                let user = self.object().section(code.section).group;
                (SymbolRef::Local(self.slot(source, user, name)), How::Slot)
            }
        };
        self.apply_lowered(code, old, lowered, symbol, 0);
        self.decide(code, source, how);
        Ok(how)
    }

    /// The distance from the global offset table, to whose address the code adds it. No dynamic relocation
    /// computes that for what another module defines: the initializer does.
    ///
    /// ```text
    /// before   48 b9 00 00 00 00 00 00 00 00    movabs $*ABS*+0x7f…@GOTOFF,%rcx
    /// after    48 8b 0d 00 00 00 00             mov slot(%rip),%rcx
    ///          0f 1f 00                         nopl (%rax)
    /// ```
    fn plan_table_offset(&mut self, code: &CodeField, meant: &Meant<'_>) -> Result<How, String> {
        let Meant { source, is_value, name } = *meant;
        if let Source::Address(symbol, addend) = source
            && !is_value
            && let Reach::Direct(symbol, addend) = self.reach(code.section, symbol, addend)
        {
            return self.same(code, RelocKind::GotOff64, (symbol, addend), source, How::Relative);
        }
        let base = match source {
            Source::Address(symbol, addend) => {
                self.graph.add(Node::Address(symbol, addend), || name.to_owned())
            }
            Source::Computed(node, 0) => node,
            Source::Computed(node, offset) => self.graph.add(Node::Add(node, offset), || name.to_owned()),
        };
        let text = format!("{name}@GOTOFF");
        let offset = self.graph.add(Node::FromTable(base), || text.clone());
        self.plan_code(code, Source::Computed(offset, 0), true, &text)
    }
}

fn cannot(kind: RelocKind) -> String {
    format!(
        "is the addend of a relocation ({kind:?}) without a symbol, in an instruction that cannot refer to what it means"
    )
}
