//! What an AMD64 instruction is, as far as the stages look at it: its length, its constants of 32 bits and
//! more, its pc-relative operand. One linear sweep, no allocation per instruction.
//!
//! Not shown as constants: displacements under an `%fs` or `%gs` override (they count from the thread's
//! block, so they are no addresses), operands of nops, and the distances of branches (those are
//! [`PcReference`]s).

use std::ops::Range;

use iced_x86::{Code, Decoder, DecoderOptions, Formatter, GasFormatter, OpKind, Register};

use super::super::{Instruction, Operand, OperandForm, PcReference, PcUse, Sensitivity};
use super::sensitivity::sensitivity;

/// The longest instruction, in bytes (Intel SDM volume 2, 2.3.11).
const LONGEST: usize = 15;

/// `bnd`-prefixed branches and the other MPX instructions stand in code of distributions of their time.
const OPTIONS: u32 = DecoderOptions::MPX;

/// See [`super::super::Arch::decode`]. A range that leaves `code` is cut to it.
pub(super) fn decode(code: &[u8], range: Range<u64>, visit: &mut dyn FnMut(&Instruction)) {
    let limit = |offset: u64| usize::try_from(offset).map_or(code.len(), |offset| offset.min(code.len()));
    let (start, end) = (limit(range.start), limit(range.end));
    let bytes = code.get(start..end).unwrap_or_default();

    // The slice ends with the range, so an instruction that would leave it fails for want of bytes.
    let mut decoder = Decoder::new(64, bytes, OPTIONS);
    let mut decoded = iced_x86::Instruction::default();
    let mut position = 0;
    while position < bytes.len() {
        decoder.decode_out(&mut decoded);
        let rest = bytes.get(position..).unwrap_or_default();
        let mut instruction = Instruction {
            offset: (start + position) as u64,
            length: 1,
            valid: false,
            nop: false,
            sensitivity: Sensitivity::NONE,
            operands: [None; 2],
            reference: None,
        };
        // A length of 0 cannot be, but would never end.
        if decoded.is_invalid() || decoded.len() == 0 {
            position += 1;
            if decoder.set_position(position).is_err() {
                position = bytes.len();
            }
        } else {
            instruction.length = decoded.len() as u8;
            instruction.valid = true;
            describe(&decoder, &decoded, rest, &mut instruction);
            instruction.sensitivity = sensitivity(&decoded);
            position += decoded.len();
        }
        visit(&instruction);
    }
}

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

/// Fills in what `bytes`, which begin with the instruction just decoded, carry.
fn describe(
    decoder: &Decoder<'_>,
    decoded: &iced_x86::Instruction,
    bytes: &[u8],
    instruction: &mut Instruction,
) {
    use Code::*;
    let code = decoded.code();
    if matches!(code, Nopw | Nopd | Nopq | Nop_rm16 | Nop_rm32 | Nop_rm64 | Int3) {
        instruction.nop = true;
        return;
    }
    let constants = decoder.get_constant_offsets(decoded);
    let immediate = Field::new(constants.immediate_offset(), constants.immediate_size());
    let displacement = Field::new(constants.displacement_offset(), constants.displacement_size());

    if immediate.size != 0 {
        if is_branch(decoded) {
            instruction.reference = immediate.signed(bytes).map(|distance| PcReference {
                field: instruction.offset + immediate.offset,
                width: immediate.size,
                target: relative(instruction, distance),
                size: 0,
                usage: PcUse::Branch,
            });
        } else if immediate.size >= 4 {
            instruction.operands[0] = immediate_operand(decoded, immediate, bytes, instruction.offset);
        }
    }
    if displacement.size < 4 {
        return;
    }
    let base = decoded.memory_base();
    if matches!(base, Register::RIP | Register::EIP) {
        instruction.reference = displacement.signed(bytes).map(|distance| PcReference {
            field: instruction.offset + displacement.offset,
            width: displacement.size,
            target: relative(instruction, distance),
            size: if is_lea(code) { 0 } else { decoded.memory_size().size() as u64 },
            usage: if is_lea(code) { PcUse::Address } else { PcUse::Memory },
        });
        return;
    }
    instruction.operands[1] = displacement_operand(decoded, displacement, bytes, instruction.offset);
}

fn immediate_operand(
    decoded: &iced_x86::Instruction,
    field: Field,
    bytes: &[u8],
    offset: u64,
) -> Option<Operand> {
    let bare = bytes.get(padding(bytes)..decoded.len()).unwrap_or_default();
    let form = match (field.size, decoded.code(), bare) {
        // REX.W B8+r imm64, no other prefix: 10 bytes.
        (8, Code::Mov_r64_imm64, [0x48 | 0x49, ..]) if bare.len() == 10 => OperandForm::Address64,
        (8, ..) => OperandForm::Other64,
        _ => OperandForm::Immediate32,
    };
    let sign_extended = extends_sign(decoded);
    let value = if sign_extended { field.signed(bytes)? as u64 } else { field.unsigned(bytes)? };
    Some(Operand { field: offset + field.offset, width: field.size, value, form })
}

fn extends_sign(decoded: &iced_x86::Instruction) -> bool {
    decoded.op_kinds().any(|kind| kind == OpKind::Immediate32to64)
}

/// Whether the one instruction that `bytes` are extends the sign of its 32-bit immediate to 64 bits.
pub(super) fn is_sign_extended(bytes: &[u8]) -> bool {
    extends_sign(&Decoder::new(64, bytes, OPTIONS).decode())
}

fn displacement_operand(
    decoded: &iced_x86::Instruction,
    field: Field,
    bytes: &[u8],
    offset: u64,
) -> Option<Operand> {
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
    let value = if truncated { field.unsigned(bytes)? } else { field.signed(bytes)? as u64 };
    Some(Operand { field: offset + field.offset, width: field.size, value, form })
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

/// Where a distance from the end of `instruction` leads.
fn relative(instruction: &Instruction, distance: i64) -> u64 {
    instruction.offset.wrapping_add(u64::from(instruction.length)).wrapping_add_signed(distance)
}

fn is_branch(decoded: &iced_x86::Instruction) -> bool {
    matches!(decoded.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
}

fn is_lea(code: Code) -> bool {
    matches!(code, Code::Lea_r16_m | Code::Lea_r32_m | Code::Lea_r64_m)
}

/// Where a constant lies in its instruction; size 0: there is none.
#[derive(Clone, Copy)]
struct Field {
    offset: u64,
    size: u8,
}

impl Field {
    fn new(offset: usize, size: usize) -> Self {
        // Both fit: an instruction has at most 15 bytes.
        Field { offset: offset as u64, size: size as u8 }
    }

    /// Its value, zero-extended.
    fn unsigned(self, bytes: &[u8]) -> Option<u64> {
        let start = self.offset as usize;
        let field = bytes.get(start..start + usize::from(self.size))?;
        let mut value = [0; 8];
        value.get_mut(..field.len())?.copy_from_slice(field);
        Some(u64::from_le_bytes(value))
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
