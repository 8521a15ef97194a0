//! How to unwind from one instruction of the object: the row of its call frame information, and the same for code
//! that runs in its place with the stack pointer elsewhere.

use gimli::read::{BaseAddresses, EhFrame, Expression as ReadExpression, UnwindContext, UnwindSection};
use gimli::write::{CallFrameInstruction, Expression};
use gimli::{CfaRule, Encoding, EndianSlice, LittleEndian, Operation, Register, RegisterRule};

use crate::frame_table::FrameTable;
use crate::object_file::{ObjectFile, SectionId};

/// A row of the unwind table that stands for itself.
#[derive(Debug, Clone)]
pub struct UnwindRow {
    cfa: Cfa,
    /// All registers that the row says something of.
    rules: Vec<CallFrameInstruction>,
}

/// The canonical frame address.
#[derive(Debug, Clone)]
enum Cfa {
    Register(Register, i64),
    Expression(Vec<u8>),
}

impl UnwindRow {
    /// The row of the instruction at `offset` of `section`; `None` where the object has no entry for it.
    ///
    /// # Errors
    /// Call frame information that says more than can be said again: what depends on `stack_pointer` in an
    /// expression, and signal frames.
    pub fn at(
        object: &ObjectFile<'_>,
        frames: &FrameTable<'_>,
        (section, offset): (SectionId, u64),
        stack_pointer: Register,
    ) -> Result<Option<Self>, String> {
        let around = |fde: &&crate::frame_table::Fde| {
            fde.range(object).is_some_and(|(id, range)| id == section && range.contains(&offset))
        };
        let Some(fde) = frames.fdes.iter().find(around) else {
            return Ok(None);
        };
        let cie = frames.cie(fde.cie);
        if cie.augmentation.contains(&b'S') {
            return Err("is in a signal frame".to_owned());
        }
        let unreadable = |error: gimli::Error| format!("has unreadable call frame information: {error}");
        let data = object.section(cie.section).data;
        let mut table = EhFrame::new(data, LittleEndian);
        table.set_address_size(8);
        // Nothing is relocated: addresses mean something only as distances from the entry's own first one.
        let bases = BaseAddresses::default().set_eh_frame(0).set_text(0).set_got(0);
        let start = gimli::EhFrameOffset(fde.offset as usize);
        let entry = table.fde_from_offset(&bases, start, EhFrame::cie_from_offset).map_err(unreadable)?;
        let within = offset - fde.function.map_or(offset, |location| location.offset);
        let address = entry.initial_address().wrapping_add(within);
        let mut context = UnwindContext::new();
        let row = entry.unwind_info_for_address(&table, &bases, &mut context, address).map_err(unreadable)?;

        let bytes = |expression: &gimli::UnwindExpression<usize>| -> Result<Vec<u8>, String> {
            let expression = expression.get(&table).map_err(unreadable)?;
            if depends_on(&expression, entry.cie().encoding(), stack_pointer).map_err(unreadable)? {
                return Err(
                    "has call frame information that counts from the stack pointer in a way of its own"
                        .to_owned(),
                );
            }
            Ok(expression.0.slice().to_vec())
        };
        let cfa = match row.cfa() {
            &CfaRule::RegisterAndOffset { register, offset } => Cfa::Register(register, offset),
            CfaRule::Expression(expression) => Cfa::Expression(bytes(expression)?),
        };
        let mut rules = Vec::new();
        for (register, rule) in row.registers() {
            let register = *register;
            // Our entries count in words, as every compiler's do.
            let narrow = |number: i64| match i32::try_from(number) {
                Ok(number) if number % 8 == 0 => Ok(number),
                Ok(_) => Err("saves a register between two words".to_owned()),
                Err(_) => Err("has a frame beyond 2 GiB".to_owned()),
            };
            rules.push(match rule {
                RegisterRule::Undefined => CallFrameInstruction::Undefined(register),
                RegisterRule::SameValue => CallFrameInstruction::SameValue(register),
                RegisterRule::Offset(offset) => CallFrameInstruction::Offset(register, narrow(*offset)?),
                RegisterRule::ValOffset(offset) => {
                    CallFrameInstruction::ValOffset(register, narrow(*offset)?)
                }
                RegisterRule::Register(other) => CallFrameInstruction::Register(register, *other),
                RegisterRule::Expression(e) => {
                    CallFrameInstruction::Expression(register, Expression::raw(bytes(e)?))
                }
                RegisterRule::ValExpression(e) => {
                    CallFrameInstruction::ValExpression(register, Expression::raw(bytes(e)?))
                }
                _ => return Err("has call frame information of a kind that is not known".to_owned()),
            });
        }
        rules.sort_by_key(|rule| register_of(rule).map_or(u16::MAX, |register| register.0));
        Ok(Some(UnwindRow { cfa, rules }))
    }

    /// The rows of code that runs in the instruction's place: from each offset of `depth` on, `stack_pointer` is
    /// lower by so many bytes.
    ///
    /// # Errors
    /// A frame beyond 2 GiB.
    pub fn rows(
        &self,
        depth: &[(u32, i64)],
        stack_pointer: Register,
    ) -> Result<Vec<(u32, CallFrameInstruction)>, String> {
        let cfa = |deeper: i64| -> Result<CallFrameInstruction, String> {
            match &self.cfa {
                Cfa::Expression(bytes) => {
                    Ok(CallFrameInstruction::CfaExpression(Expression::raw(bytes.clone())))
                }
                Cfa::Register(register, offset) => {
                    let more = if *register == stack_pointer { deeper } else { 0 };
                    let offset = offset.checked_add(more).and_then(|offset| i32::try_from(offset).ok());
                    let offset = offset.ok_or("has a frame beyond 2 GiB")?;
                    Ok(CallFrameInstruction::Cfa(*register, offset))
                }
            }
        };
        let mut rows = vec![(0, cfa(0)?)];
        rows.extend(self.rules.iter().map(|rule| (0, rule.clone())));
        if matches!(self.cfa, Cfa::Register(register, _) if register == stack_pointer) {
            for &(from, deeper) in depth {
                rows.push((from, cfa(deeper)?));
            }
        }
        Ok(rows)
    }
}

fn register_of(rule: &CallFrameInstruction) -> Option<Register> {
    use CallFrameInstruction::*;
    match rule {
        Undefined(r)
        | SameValue(r)
        | Offset(r, _)
        | ValOffset(r, _)
        | Register(r, _)
        | Expression(r, _)
        | ValExpression(r, _) => Some(*r),
        _ => None,
    }
}

/// Whether an expression reads a register, or cannot be copied.
fn depends_on(
    expression: &ReadExpression<EndianSlice<'_, LittleEndian>>,
    encoding: Encoding,
    register: Register,
) -> Result<bool, gimli::Error> {
    let mut operations = expression.operations(encoding);
    let mut found = false;
    while let Some(operation) = operations.next()? {
        found |= match operation {
            Operation::RegisterOffset { register: read, .. } => read == register,
            Operation::Register { register: read } => read == register,
            // A relocation may belong to it.
            Operation::Address { .. } | Operation::AddressIndex { .. } | Operation::Call { .. } => true,
            _ => false,
        };
    }
    Ok(found)
}
