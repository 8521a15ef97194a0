//! What an AMD64 instruction is, as far as the stages look at it: its length, its constants of 32 bits and
//! more, its pc-relative operand. One linear sweep, no allocation per instruction.
//!
//! Not shown as constants: displacements under an `%fs` or `%gs` override (they count from the thread's
//! block, so they are no addresses), operands of nops, and the distances of branches (those are
//! [`PcReference`]s).

use std::ops::Range;

use iced_x86::{Code, Decoder, DecoderOptions, Formatter, GasFormatter, OpKind, Register};

use super::super::{
    Branch, Instruction, Operand, OperandForm, PcReference, PcUse, PlainForm, Sensitivity, Survey,
};
use super::common_shapes::common_shape;
use super::known_shapes::{self, Found, KnownShapes, Note};
use super::sensitivity::sensitivity;

/// The longest instruction, in bytes (Intel SDM volume 2, 2.3.11).
pub(super) const LONGEST: usize = 15;

/// `movabs $imm64, %r`: REX.W B8+r imm64 and no other prefix.
pub(super) const PLAIN_FORM: PlainForm = PlainForm { length: 10, field: 2, width: 8 };
const PLAIN_FIELD: Field = Field { offset: PLAIN_FORM.field, size: PLAIN_FORM.width };

/// `bnd`-prefixed branches and the other MPX instructions stand in code of distributions of their time.
const OPTIONS: u32 = DecoderOptions::MPX;

/// See [`super::super::Arch::decode`]. A range that leaves `code` is cut to it.
pub(super) fn decode(code: &[u8], range: Range<u64>, visit: &mut dyn FnMut(&Instruction)) {
    let mut instruction = NONE;
    shapes(code, range, |offset, bytes, shape| {
        instruction.offset = offset;
        match shape {
            Some(shape) => shape.read(bytes, &mut instruction),
            None => instruction = Instruction { offset, ..NONE },
        }
        visit(&instruction);
    });
}

/// See [`super::super::Arch::survey`]. A range that leaves `code` is cut to it.
pub(super) fn survey(
    code: &[u8],
    range: Range<u64>,
    survey: &mut Survey,
    visit: &mut dyn FnMut(&Instruction),
) {
    let mut instruction = NONE;
    let (mut all, mut last, mut clean) = (Note::default(), Note::default(), true);
    let Survey { first, starts, plain, branches, .. } = survey;
    let (first, starts) = (*first, starts.as_mut_slice());
    sweep(code, range, |known, offset, bytes, found| {
        let at = offset.wrapping_sub(first);
        if let Some(word) = starts.get_mut((at / 64) as usize) {
            *word |= 1 << (at % 64);
        }
        let note = found.note;
        all |= note;
        if note.acts() {
            last = note;
        }
        if !note.holds() {
            clean &= note != Note::OTHER;
            return;
        }
        let shape = known.shape(found);
        match shape.holds {
            Holds::Nothing => {}
            Holds::Plain => plain.extend(PLAIN_FIELD.unsigned(bytes).map(|constant| (offset, constant))),
            Holds::Branch => branches.extend(shape.branch(bytes, offset)),
            Holds::Other => {
                instruction.offset = offset;
                shape.read(bytes, &mut instruction);
                visit(&instruction);
            }
        }
    });
    survey.clean &= clean;
    survey.sensitivity |= all.sensitivity();
    if all.acts() {
        survey.padding = false;
        survey.last = last.sensitivity();
    }
}

/// Shows the instructions of a range one after the other: where each begins, what it and all that is behind it in the range
/// are, and its shape; without one it is a byte that begins none.
pub(super) fn shapes(code: &[u8], range: Range<u64>, mut show: impl FnMut(u64, &[u8], Option<&Shape>)) {
    sweep(code, range, |known, offset, bytes, found| {
        show(offset, bytes, (found.note != Note::OTHER).then(|| known.shape(found)));
    });
}

/// The same, with what is remembered of the shape: its note is [`Note::OTHER`] if there is none.
#[inline(always)]
fn sweep(code: &[u8], range: Range<u64>, mut show: impl FnMut(&KnownShapes, u64, &[u8], Found)) {
    let limit = |offset: u64| usize::try_from(offset).map_or(code.len(), |offset| offset.min(code.len()));
    // What ends with the range is too short for an instruction that would leave it.
    let (mut at, end) = (limit(range.start), limit(range.end));
    known_shapes::with(|known| {
        while at < end {
            let (bytes, around) = (&code[at..end], &code[at..]);
            let mut found = known.find(bytes, around);
            let mut length = found.note.length();
            // It is none, or leaves the range.
            if length.wrapping_sub(1) >= bytes.len() {
                (found.note, length) = (Note::OTHER, 1);
            }
            show(known, at as u64, bytes, found);
            // The same either way, but with the guess the next one is under way before this one is looked up.
            at += if length == found.guess { found.guess } else { unforeseen(length) };
        }
    });
}

/// Keeps what is seldom so apart from what comes next.
#[cold]
#[inline(never)]
fn unforeseen(length: usize) -> usize {
    length
}

/// A byte that begins no instruction.
const NONE: Instruction = Instruction {
    offset: 0,
    length: 1,
    valid: false,
    nop: false,
    sensitivity: Sensitivity::NONE,
    operands: [None; 2],
    reference: None,
};

/// The one instruction that `bytes` are; `None` if they are none, or more than one.
pub(super) fn single(bytes: &[u8]) -> Option<Instruction> {
    let mut first = None;
    if bytes.len() > LONGEST {
        return None;
    }
    decode(bytes, 0..bytes.len() as u64, &mut |instruction| {
        first.get_or_insert(*instruction);
    });
    first.filter(|instruction: &Instruction| {
        instruction.valid && usize::from(instruction.length) == bytes.len()
    })
}

/// See [`super::super::Arch::disassemble`].
pub(super) fn disassemble(bytes: &[u8], offset: u64) -> String {
    let mut decoder = Decoder::with_ip(64, bytes, offset, OPTIONS);
    let decoded = decoder.decode();
    let mut formatter = GasFormatter::new();
    let options = formatter.options_mut();
    options.set_uppercase_hex(false);
    options.set_rip_relative_addresses(true);
    options.set_show_useless_prefixes(true);
    options.set_small_hex_numbers_in_decimal(false);
    options.set_branch_leading_zeros(false);
    let mut text = String::new();
    formatter.format(&decoded, &mut text);
    text
}

/// What the instruction that `bytes` begin with is; `None`: they are none.
#[cold]
pub(super) fn shape(bytes: &[u8]) -> Option<Shape> {
    common_shape(bytes).or_else(|| decoded_shape(bytes))
}

/// The same by decoding.
pub(super) fn decoded_shape(bytes: &[u8]) -> Option<Shape> {
    let mut decoder = Decoder::new(64, bytes, OPTIONS);
    let decoded = decoder.decode();
    // A length of 0 cannot be, but would never end.
    if decoded.is_invalid() || decoded.len() == 0 {
        return None;
    }
    let mut shape =
        Shape { length: decoded.len() as u8, sensitivity: sensitivity(&decoded), ..Shape::default() };
    describe(&decoder, &decoded, bytes, &mut shape);
    Some(shape.told())
}

/// Fills in what `bytes`, which begin with the instruction just decoded, carry.
fn describe(decoder: &Decoder<'_>, decoded: &iced_x86::Instruction, bytes: &[u8], shape: &mut Shape) {
    use Code::*;
    let code = decoded.code();
    if matches!(code, Nopw | Nopd | Nopq | Nop_rm16 | Nop_rm32 | Nop_rm64 | Int3) {
        shape.nop = true;
        return;
    }
    let constants = decoder.get_constant_offsets(decoded);
    let immediate = Field::new(constants.immediate_offset(), constants.immediate_size());
    let displacement = Field::new(constants.displacement_offset(), constants.displacement_size());

    if immediate.size != 0 {
        if is_branch(decoded) {
            shape.reference = Some(ReferenceShape { field: immediate, size: 0, usage: PcUse::Branch });
        } else if immediate.size >= 4 {
            shape.operands[0] = Some(immediate_operand(decoded, immediate, bytes));
        }
    }
    if displacement.size < 4 {
        return;
    }
    let base = decoded.memory_base();
    if matches!(base, Register::RIP | Register::EIP) {
        let (size, usage) = match is_lea(code) {
            true => (0, PcUse::Address),
            false => (decoded.memory_size().size() as u16, PcUse::Memory),
        };
        shape.reference = Some(ReferenceShape { field: displacement, size, usage });
        return;
    }
    shape.operands[1] = displacement_operand(decoded, displacement, bytes);
}

fn immediate_operand(decoded: &iced_x86::Instruction, field: Field, bytes: &[u8]) -> OperandShape {
    let bare = bytes.get(padding(bytes)..decoded.len()).unwrap_or_default();
    let form = match (field.size, decoded.code(), bare) {
        (8, Code::Mov_r64_imm64, [0x48 | 0x49, ..]) if bare.len() == usize::from(PLAIN_FORM.length) => {
            OperandForm::Address64
        }
        (8, ..) => OperandForm::Other64,
        _ => OperandForm::Immediate32,
    };
    OperandShape { field, signed: extends_sign(decoded), form }
}

fn extends_sign(decoded: &iced_x86::Instruction) -> bool {
    decoded.op_kinds().any(|kind| kind == OpKind::Immediate32to64)
}

/// Whether the one instruction that `bytes` are extends the sign of its 32-bit immediate to 64 bits.
pub(super) fn is_sign_extended(bytes: &[u8]) -> bool {
    extends_sign(&Decoder::new(64, bytes, OPTIONS).decode())
}

fn displacement_operand(decoded: &iced_x86::Instruction, field: Field, bytes: &[u8]) -> Option<OperandShape> {
    let thread_local = matches!(decoded.segment_prefix(), Register::FS | Register::GS);
    // An index alone scales a number; the displacement is the address then (`lea table(,%rdi,8)`).
    let based = decoded.memory_base() != Register::None;
    let bare = bytes.get(padding(bytes)..decoded.len()).unwrap_or_default();
    let form = match (field.size, decoded.code(), bare) {
        // REX.W A1 moffs64 and A1 moffs64, no other prefix: 10 and 9 bytes.
        (8, Code::Mov_RAX_moffs64, [0x48, 0xa1, ..]) if bare.len() == 10 => OperandForm::Load64,
        (8, Code::Mov_EAX_moffs32, [0xa1, ..]) if bare.len() == 9 => OperandForm::Load64,
        (8, ..) => OperandForm::Other64,
        // `lea` computes the offset alone, whatever the segment.
        _ if thread_local && !is_lea(decoded.code()) => return None,
        _ if based => OperandForm::Based32,
        _ if is_lea(decoded.code()) && decoded.memory_index() != Register::None => OperandForm::Scaled32,
        _ => OperandForm::Absolute32,
    };
    // The address size prefix makes an address of 32 bits; without it a displacement is sign-extended.
    let truncated =
        matches!(form, OperandForm::Absolute32 | OperandForm::Scaled32) && has_address_size_prefix(bytes);
    Some(OperandShape { field, signed: !truncated, form })
}

/// How many segment prefixes come first that mean nothing (Intel SDM volume 2, 2.1.1): assemblers put them there so that
/// what follows is aligned.
pub(super) fn padding(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e)).count()
}

/// Whether 67 is among the legacy prefixes (Intel SDM volume 2, 2.1.1) that `bytes` begin with.
pub(super) fn has_address_size_prefix(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .take_while(
            |byte| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 | 0x40..=0x4f),
        )
        .any(|&byte| byte == 0x67)
}

/// See [`super::super::Arch::cuts_address`].
pub(super) fn cuts_address(bytes: &[u8]) -> bool {
    matches!(Decoder::new(64, bytes, OPTIONS).decode().code(), Code::Lea_r16_m | Code::Lea_r32_m)
}

/// See [`super::super::Arch::leaves`].
pub(super) fn leaves(bytes: &[u8]) -> bool {
    let decoded = Decoder::new(64, bytes, OPTIONS).decode();
    decoded.len() == bytes.len()
        && matches!(decoded.code(), Code::Call_rm64 | Code::Jmp_rm64)
        && decoded.op0_kind() == OpKind::Memory
}

/// See [`super::super::Arch::store_halves`].
///
/// ```text
/// c7 45 f8 l0 l1 l2 l3    movl $low,-8(%rbp)
/// c7 45 fc h0 h1 h2 h3    movl $high,-4(%rbp)
///
/// 68 l0 l1 l2 l3             push $low
/// c7 44 24 04 h0 h1 h2 h3    movl $high,4(%rsp)
/// ```
pub(super) fn store_halves(first: &[u8], second: &[u8], high_first: bool) -> bool {
    let (low, high) = if high_first { (second, first) } else { (first, second) };
    let store = |bytes: &[u8]| {
        let decoded = Decoder::new(64, bytes, OPTIONS).decode();
        let is_store = decoded.len() == bytes.len()
            && decoded.code() == Code::Mov_rm32_imm32
            && decoded.op0_kind() == OpKind::Memory
            && !decoded.is_ip_rel_memory_operand();
        is_store.then_some(decoded)
    };
    let pushed = Decoder::new(64, low, OPTIONS).decode();
    if pushed.code() == Code::Pushq_imm32 && pushed.len() == low.len() && !high_first {
        return store(high).is_some_and(|high| {
            let plain = high.memory_index() == Register::None && high.segment_prefix() == Register::None;
            plain && high.memory_base() == Register::RSP && high.memory_displacement64() == 4
        });
    }
    let (Some(low), Some(high)) = (store(low), store(high)) else { return false };
    let of = |i: &iced_x86::Instruction| {
        (i.memory_base(), i.memory_index(), i.memory_index_scale(), i.segment_prefix())
    };
    of(&low) == of(&high) && high.memory_displacement64() == low.memory_displacement64().wrapping_add(4)
}

fn is_branch(decoded: &iced_x86::Instruction) -> bool {
    matches!(decoded.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
}

fn is_lea(code: Code) -> bool {
    matches!(code, Code::Lea_r16_m | Code::Lea_r32_m | Code::Lea_r64_m)
}

/// What of an instruction's bytes is of interest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Holds {
    #[default]
    Nothing,
    /// The constant of a [`PLAIN_FORM`].
    Plain,
    /// The distance of a branch.
    Branch,
    /// Another operand, or more than one.
    Other,
}

/// What all instructions have in common that differ in nothing but the values of their constants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) length: u8,
    pub(super) nop: bool,
    /// What of its bytes is of interest.
    pub(super) holds: Holds,
    pub(super) sensitivity: Sensitivity,
    pub(super) operands: [Option<OperandShape>; 2],
    pub(super) reference: Option<ReferenceShape>,
}

/// See [`Operand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OperandShape {
    pub(super) field: Field,
    pub(super) signed: bool,
    pub(super) form: OperandForm,
}

/// See [`PcReference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReferenceShape {
    pub(super) field: Field,
    pub(super) size: u16,
    pub(super) usage: PcUse,
}

impl Shape {
    /// Itself, and what it holds.
    pub(super) fn told(mut self) -> Self {
        let plain = OperandShape { field: PLAIN_FIELD, signed: false, form: OperandForm::Address64 };
        self.holds = match (self.operands, self.reference) {
            ([None, None], None) => Holds::Nothing,
            ([Some(operand), None], None) if operand == plain && self.length == PLAIN_FORM.length => {
                Holds::Plain
            }
            ([None, None], Some(reference)) if reference.usage == PcUse::Branch => Holds::Branch,
            _ => Holds::Other,
        };
        self
    }

    /// The branch of that shape that `bytes` begin with.
    #[inline]
    fn branch(&self, bytes: &[u8], offset: u64) -> Option<Branch> {
        let field = self.reference?.field;
        let next = offset + u64::from(self.length);
        Some(Branch {
            offset,
            target: next.wrapping_add_signed(field.signed(bytes)?),
            length: self.length,
            field: field.offset,
            width: field.size,
            jumps: self.sensitivity.has(Sensitivity::JUMP),
        })
    }

    /// Makes of an instruction, its offset apart, the one of that shape that `bytes` begin with. One is made of another
    /// because that is faster than a new one.
    fn read(&self, bytes: &[u8], instruction: &mut Instruction) {
        let offset = instruction.offset;
        instruction.length = self.length;
        instruction.valid = true;
        instruction.nop = self.nop;
        instruction.sensitivity = self.sensitivity;
        for (operand, shape) in instruction.operands.iter_mut().zip(&self.operands) {
            *operand = shape.and_then(|OperandShape { field, signed, form }| {
                let value = if signed { field.signed(bytes)? as u64 } else { field.unsigned(bytes)? };
                Some(Operand { field: offset + u64::from(field.offset), width: field.size, value, form })
            });
        }
        instruction.reference = self.reference.and_then(|ReferenceShape { field, size, usage }| {
            let next = offset + u64::from(self.length);
            Some(PcReference {
                field: offset + u64::from(field.offset),
                width: field.size,
                target: next.wrapping_add_signed(field.signed(bytes)?),
                size: size.into(),
                usage,
            })
        });
    }
}

/// Where a constant lies in its instruction; size 0: there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    offset: u8,
    pub(super) size: u8,
}

impl Field {
    pub(super) fn new(offset: usize, size: usize) -> Self {
        // Both fit: an instruction has at most 15 bytes.
        Field { offset: offset as u8, size: size as u8 }
    }

    /// Its value, zero-extended.
    fn unsigned(self, bytes: &[u8]) -> Option<u64> {
        let field = bytes.get(usize::from(self.offset)..)?.get(..usize::from(self.size))?;
        Some(match *field {
            [a] => a.into(),
            [a, b] => u16::from_le_bytes([a, b]).into(),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
            _ => u64::from_le_bytes(field.try_into().ok()?),
        })
    }

    /// Its value, sign-extended.
    fn signed(self, bytes: &[u8]) -> Option<i64> {
        let shift = 64u32.checked_sub(u32::from(self.size) * 8)?;
        Some((self.unsigned(bytes)?.checked_shl(shift)? as i64) >> shift)
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
