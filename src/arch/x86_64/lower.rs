//! How an instruction that holds an address gets it from elsewhere: as many bytes, the same registers, no
//! flag touched. What is not one of the forms here is refused.

use super::super::{Delivery, Lowered, OperandForm};
use super::decode::{has_address_size_prefix, is_sign_extended, padding, single};
use super::recode::Recoder;
use crate::edits::ShortBytes;
use crate::reloc::RelocKind;

/// `nopl (%rax)`
const NOP3: [u8; 3] = [0x0f, 0x1f, 0x00];

/// A pc-relative field counts from the end of its instruction, and here that is the end of the field.
const TO_FIELD_END: i64 = -4;

const WIDE: &str = "takes more than half of an address";

/// See [`super::super::Arch::lower`].
pub(super) fn lower(instruction: &[u8], field: usize, delivery: Delivery) -> Result<Lowered, String> {
    // By far the most frequent, and unmistakable.
    if let ([rex @ (0x48 | 0x49), opcode @ 0xb8..=0xbf, _, _, _, _, _, _, _, _], 2) = (instruction, field) {
        return address(instruction, (rex & 1) << 3 | (opcode & 7), delivery);
    }
    let decoded = single(instruction).ok_or_else(|| "is not one whole instruction".to_owned())?;
    if decoded.reference.is_some_and(|reference| reference.field == field as u64) {
        return Err("accesses memory pc-relatively, which is too far away".to_owned());
    }
    let operand = decoded
        .operands
        .into_iter()
        .flatten()
        .find(|operand| operand.field == field as u64)
        .ok_or_else(|| "has no constant at the place in question".to_owned())?;
    let form = operand.form;
    if delivery == Delivery::Absolute {
        return Ok(in_place(instruction, field, operand.width, is_zero_extended(instruction, form)));
    }
    let padding = padding(instruction);
    if padding > 0 && matches!(form, OperandForm::Address64 | OperandForm::Load64) {
        return padded(instruction, padding, |bare| lower(bare, field - padding, delivery));
    }
    match (form, instruction) {
        (OperandForm::Load64, [0x48, 0xa1, ..]) => load(instruction, true, delivery),
        (OperandForm::Load64, [0xa1, ..]) => load(instruction, false, delivery),
        (OperandForm::Other64, _) => {
            Err("uses a 64-bit address in a way that there is no replacement for".to_owned())
        }
        // mov $imm32,%r64
        (OperandForm::Immediate32, [rex @ (0x48 | 0x49), 0xc7, modrm @ 0xc0..=0xc7, ..]) => {
            Ok(narrow_address(instruction, (rex & 1) << 3 | (modrm & 7), delivery))
        }
        (OperandForm::Immediate32, [0xc7, modrm @ 0xc0..=0xc7, ..]) if is_half(delivery) => {
            Ok(half(modrm & 7))
        }
        (OperandForm::Immediate32, [0x41, 0xc7, modrm @ 0xc0..=0xc7, ..]) if is_half(delivery) => {
            Ok(half(8 | (modrm & 7)))
        }
        // lea disp32,%r64
        (OperandForm::Absolute32, [rex @ (0x48 | 0x4c), LEA, modrm, 0x25, ..]) if modrm & 0xc7 == 0x04 => {
            Ok(narrow_address(instruction, (rex & 4) << 1 | (modrm >> 3 & 7), delivery))
        }
        (OperandForm::Absolute32, _) if delivery == Delivery::Direct => pc_relative(instruction, field),
        (
            OperandForm::Immediate32 | OperandForm::Absolute32 | OperandForm::Scaled32 | OperandForm::Based32,
            _,
        ) => Err("holds an address in 32 bits, which has no replacement of the same length".to_owned()),
        (OperandForm::Address64 | OperandForm::Load64, _) => {
            Err("is encoded in a way that is not known".to_owned())
        }
    }
}

/// The same where prefixes come first that mean nothing: they stay.
fn padded(
    instruction: &[u8],
    padding: usize,
    lower: impl FnOnce(&[u8]) -> Result<Lowered, String>,
) -> Result<Lowered, String> {
    let (prefixes, bare) = instruction.split_at_checked(padding).unwrap_or_default();
    let lowered = lower(bare)?;
    let bytes = [prefixes, &lowered.bytes].concat();
    Ok(Lowered { bytes: bytes.into(), field: lowered.field + padding as u64, ..lowered })
}

/// `movabs $imm64, %r`. Before, for `%rax` (`register` 0) and `%r9` (9):
///
/// ```text
/// 48 b8 i0 i1 i2 i3 i4 i5 i6 i7    movabs $imm64,%rax
/// 49 b9 i0 i1 i2 i3 i4 i5 i6 i7    movabs $imm64,%r9
/// ```
fn address(old: &[u8], register: u8, delivery: Delivery) -> Result<Lowered, String> {
    let (opcode, kind) = match delivery {
        // 48 8b 05 00 00 00 00    mov sym@GOTPCREL(%rip),%rax
        // 0f 1f 00                nopl (%rax)
        //
        // 4c 8b 0d 00 00 00 00    mov sym@GOTPCREL(%rip),%r9
        // 0f 1f 00                nopl (%rax)
        Delivery::Got => (MOV, RelocKind::GotPc32RelaxRex),
        // The same bytes: mov slot(%rip),%r
        Delivery::Slot => (MOV, RelocKind::Pc32),
        // 48 8d 05 00 00 00 00    lea sym(%rip),%rax
        // 0f 1f 00                nopl (%rax)
        Delivery::Direct => (LEA, RelocKind::Pc32),
        // 48 b8 00 00 00 00 00 00 00 00    movabs $sym,%rax
        Delivery::Absolute => return Ok(in_place(old, 2, 8, false)),
        Delivery::Half(_) => return Err(WIDE.to_owned()),
    };
    let mut bytes = rip_relative(true, opcode, register);
    bytes.extend(NOP3);
    Ok(Lowered { bytes, field: 3, kind, addend: TO_FIELD_END })
}

/// `movabs moffs64, %rax`, and the same to `%eax`. Before:
///
/// ```text
/// 48 a1 i0 i1 i2 i3 i4 i5 i6 i7    movabs moffs64,%rax
///    a1 i0 i1 i2 i3 i4 i5 i6 i7    movabs moffs64,%eax
/// ```
///
/// The destination is also the only register free to hold the address.
fn load(old: &[u8], wide: bool, delivery: Delivery) -> Result<Lowered, String> {
    let kind = match delivery {
        Delivery::Got => RelocKind::GotPc32RelaxRex,
        Delivery::Slot => RelocKind::Pc32,
        Delivery::Direct => {
            // 48 8b 05 00 00 00 00    mov sym(%rip),%rax
            // 0f 1f 00                nopl (%rax)
            //
            // 8b 05 00 00 00 00       mov sym(%rip),%eax
            // 0f 1f 00                nopl (%rax)
            let mut bytes = rip_relative(wide, MOV, 0);
            let field = bytes.len() as u64 - 4;
            bytes.extend(NOP3);
            return Ok(Lowered { bytes, field, kind: RelocKind::Pc32, addend: TO_FIELD_END });
        }
        // 48 a1 00 00 00 00 00 00 00 00    movabs sym,%rax
        //    a1 00 00 00 00 00 00 00 00    movabs sym,%eax
        Delivery::Absolute => return Ok(in_place(old, old.len().saturating_sub(8), 8, false)),
        Delivery::Half(_) => return Err(WIDE.to_owned()),
    };
    // 48 8b 05 00 00 00 00    mov slot(%rip),%rax, or mov sym@GOTPCREL(%rip),%rax
    // 48 8b 00                mov (%rax),%rax
    //
    // 48 8b 05 00 00 00 00    mov slot(%rip),%rax
    //    8b 00                mov (%rax),%eax
    //
    // A linker that turns the first into lea sym(%rip),%rax leaves the second right.
    let mut bytes = rip_relative(true, MOV, 0);
    bytes.extend_from_slice(if wide { &[0x48, MOV, 0x00] } else { &[MOV, 0x00] });
    Ok(Lowered { bytes, field: 3, kind, addend: TO_FIELD_END })
}

/// See [`super::super::Arch::lower_address_to_load`].
///
/// ```text
/// before   48 8d 05 d0 d1 d2 d3    lea sym(%rip),%rax
/// after    48 8b 05 00 00 00 00    mov slot(%rip),%rax
///
/// before   4c 8d 0d d0 d1 d2 d3    lea sym(%rip),%r9
/// after    4c 8b 0d 00 00 00 00    mov slot(%rip),%r9
/// ```
pub(super) fn lower_address_to_load(instruction: &[u8], field: usize) -> Result<Lowered, String> {
    let reference = single(instruction).ok_or_else(|| "is not one whole instruction".to_owned())?.reference;
    let here = reference.is_some_and(|reference| reference.field == field as u64);
    let padding = padding(instruction);
    if padding > 0 && here {
        return padded(instruction, padding, |bare| lower_address_to_load(bare, field - padding));
    }
    match instruction {
        [rex @ (0x48 | 0x4c), LEA, modrm, _, _, _, _] if here && modrm & 0xc7 == 0x05 => Ok(Lowered {
            bytes: ShortBytes::from_slice(&[*rex, MOV, *modrm, 0, 0, 0, 0]),
            field: 3,
            kind: RelocKind::Pc32,
            addend: TO_FIELD_END,
        }),
        _ => Err("does not compute a pc-relative 64-bit address at the place in question".to_owned()),
    }
}

/// `mov r/m, r`
pub(super) const MOV: u8 = 0x8b;
/// `lea m, r`
pub(super) const LEA: u8 = 0x8d;
/// `movslq r/m32, r64`
pub(super) const MOVSLQ: u8 = 0x63;

/// `opcode` with the operands `0(%rip)` and `register`, 64 bits if `wide`.
pub(super) fn rip_relative(wide: bool, opcode: u8, register: u8) -> ShortBytes {
    let mut bytes = ShortBytes::new();
    // REX.W, and REX.R for %r8 to %r15
    let prefix = 0x40 | u8::from(wide) << 3 | (register & 8) >> 1;
    if prefix != 0x40 {
        bytes.push(prefix);
    }
    // mod 00, r/m 101: disp32(%rip)
    bytes.extend([opcode, (register & 7) << 3 | 0x05, 0, 0, 0, 0]);
    bytes
}

fn is_half(delivery: Delivery) -> bool {
    matches!(delivery, Delivery::Half(_))
}

/// An address in 32 bits that goes to a 64-bit register:
///
/// ```text
/// before   48 c7 c0 i0 i1 i2 i3       mov $imm32,%rax
///          48 8d 04 25 d0 d1 d2 d3    lea disp32,%rax
/// after    48 8b 05 00 00 00 00       mov slot(%rip),%rax, or mov sym@GOTPCREL(%rip),%rax
///          48 8d 05 00 00 00 00       lea sym(%rip),%rax
///          48 63 05 00 00 00 00       movslq slot(%rip),%rax, of half an address
/// ```
///
/// and a nop where the old one was longer.
fn narrow_address(old: &[u8], register: u8, delivery: Delivery) -> Lowered {
    let (opcode, kind) = match delivery {
        Delivery::Got => (MOV, RelocKind::GotPc32RelaxRex),
        Delivery::Slot => (MOV, RelocKind::Pc32),
        Delivery::Direct | Delivery::Absolute => (LEA, RelocKind::Pc32),
        Delivery::Half(_) => (MOVSLQ, RelocKind::Pc32),
    };
    let mut bytes = rip_relative(true, opcode, register);
    bytes.extend(nops(old.len().saturating_sub(bytes.len())));
    Lowered { bytes, field: 3, kind, addend: TO_FIELD_END }
}

/// Half of an address that goes to a 32-bit register:
///
/// ```text
/// before   c7 c0 i0 i1 i2 i3       mov $imm32,%eax
/// after    8b 05 00 00 00 00       mov slot(%rip),%eax
///
/// before   41 c7 c1 i0 i1 i2 i3    mov $imm32,%r9d
/// after    44 8b 0d 00 00 00 00    mov slot(%rip),%r9d
/// ```
fn half(register: u8) -> Lowered {
    let bytes = rip_relative(false, MOV, register);
    let field = bytes.len() as u64 - 4;
    Lowered { bytes, field, kind: RelocKind::Pc32, addend: TO_FIELD_END }
}

/// An absolute operand of what the object itself defines: the pc-relative form is a byte shorter.
///
/// ```text
/// before   48 8b 04 25 d0 d1 d2 d3    mov disp32,%rax
/// after    48 8b 05 00 00 00 00       mov sym(%rip),%rax
///          90                         nop
///
/// before   ff 14 25 d0 d1 d2 d3       call *disp32
/// after    90                         nop
///          ff 15 00 00 00 00          call *sym(%rip), which returns to where the old one did
/// ```
fn pc_relative(old: &[u8], field: usize) -> Result<Lowered, String> {
    let recoded = Recoder::new(old, field)?.pc_relative()?;
    let (at, _) = recoded.displacement;
    let rest = old.len().checked_sub(recoded.bytes.len());
    let rest = rest.ok_or_else(|| "has no pc-relative form of the same length".to_owned())?;
    let addend = at as i64 - recoded.bytes.len() as i64;
    let bytes = [nops(rest), recoded.bytes].concat();
    Ok(Lowered { bytes: bytes.into(), field: (rest + at) as u64, kind: RelocKind::Pc32, addend })
}

/// Whether a 32-bit constant stands for itself and 32 zero bits; otherwise its sign is extended.
fn is_zero_extended(instruction: &[u8], form: OperandForm) -> bool {
    match form {
        OperandForm::Immediate32 => !is_sign_extended(instruction),
        OperandForm::Absolute32 | OperandForm::Scaled32 | OperandForm::Based32 => {
            has_address_size_prefix(instruction)
        }
        OperandForm::Address64 | OperandForm::Load64 | OperandForm::Other64 => false,
    }
}

/// The same instruction with an absolute field of `width` bytes at `field`.
fn in_place(old: &[u8], field: usize, width: u8, zero_extended: bool) -> Lowered {
    let mut bytes = ShortBytes::from_slice(old);
    bytes.iter_mut().skip(field).take(usize::from(width)).for_each(|byte| *byte = 0);
    let kind = match (width, zero_extended) {
        (8, _) => RelocKind::Abs64,
        (_, true) => RelocKind::Abs32,
        (_, false) => RelocKind::Abs32Signed,
    };
    Lowered { bytes, field: field as u64, kind, addend: 0 }
}

/// So many bytes that do nothing, in the forms that the processors' manuals recommend.
pub(super) fn nops(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while length > 0 {
        let one: &[u8] = match length {
            1 => &[0x90],
            2 => &[0x66, 0x90],
            3 => &NOP3,
            4 => &[0x0f, 0x1f, 0x40, 0x00],
            5 => &[0x0f, 0x1f, 0x44, 0x00, 0x00],
            6 => &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
            7 => &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
            _ => &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
        };
        bytes.extend_from_slice(one);
        length -= one.len();
    }
    bytes
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
