//! `or` and the addition of the same operands: one opcode or one field of it apart.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind};

/// The addition of what a 64-bit `or` combines, in as many bytes.
///
/// ```text
/// before   48 09 f8                or  %rdi,%rax
///          48 0b 07                or  (%rdi),%rax
///          48 83 c8 40             or  $0x40,%rax
///          48 81 c9 i0 i1 i2 i3    or  $imm32,%rcx
///          48 0d i0 i1 i2 i3       or  $imm32,%rax
/// after    48 01 f8                add %rdi,%rax
///          48 03 07                add (%rdi),%rax
///          48 83 c0 40             add $0x40,%rax
///          48 81 c1 i0 i1 i2 i3    add $imm32,%rcx
///          48 05 i0 i1 i2 i3       add $imm32,%rax
/// ```
pub(super) fn addition(or: &[u8]) -> Option<Vec<u8>> {
    let mut add = or.to_vec();
    match add.as_mut_slice() {
        [0x48..=0x4f, opcode @ (0x09 | 0x0b | 0x0d), ..] => *opcode -= 0x08,
        [0x48..=0x4f, 0x81 | 0x83, modrm, ..] if *modrm & 0x38 == 0x08 => *modrm &= !0x38,
        _ => return None,
    }
    adds_instead(or, &add).then_some(add)
}

/// See [`super::super::Arch::adds_instead`].
pub(super) fn adds_instead(or: &[u8], add: &[u8]) -> bool {
    let decode = |bytes| {
        let instruction = Decoder::new(64, bytes, DecoderOptions::NONE).decode();
        (!instruction.is_invalid() && instruction.len() == or.len()).then_some(instruction)
    };
    let (Some(or), Some(add)) = (decode(or), decode(add)) else { return false };
    let prefixes =
        |i: &Instruction| (i.has_lock_prefix(), i.has_rep_prefix(), i.has_repne_prefix(), i.segment_prefix());
    let memory = |i: &Instruction| {
        let address = (i.memory_base(), i.memory_index(), i.memory_index_scale(), i.memory_displacement64());
        (address, i.memory_displ_size(), i.memory_size().size())
    };
    let operand = |i: &Instruction, operand: u32| {
        let kind = i.op_kind(operand);
        let constant = !matches!(kind, OpKind::Register | OpKind::Memory);
        (kind, i.op_register(operand), constant.then(|| i.immediate(operand)))
    };
    or.mnemonic() == Mnemonic::Or
        && add.mnemonic() == Mnemonic::Add
        && or.len() == add.len()
        && !or.has_lock_prefix()
        && prefixes(&or) == prefixes(&add)
        && memory(&or) == memory(&add)
        && (0..2).all(|i| operand(&or, i) == operand(&add, i))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_its_addition() {
        for (or, add) in [
            (&[0x48, 0x09, 0xf8][..], &[0x48, 0x01, 0xf8][..]), // %rdi,%rax
            (&[0x4c, 0x09, 0xc7], &[0x4c, 0x01, 0xc7]),         // %r8,%rdi
            (&[0x48, 0x0b, 0x07], &[0x48, 0x03, 0x07]),         // (%rdi),%rax
            (&[0x48, 0x0b, 0x44, 0x24, 0x08], &[0x48, 0x03, 0x44, 0x24, 0x08]), // 8(%rsp),%rax
            (&[0x48, 0x83, 0xc8, 0x40], &[0x48, 0x83, 0xc0, 0x40]), // $0x40,%rax
            (&[0x49, 0x83, 0xcf, 0x40], &[0x49, 0x83, 0xc7, 0x40]), // $0x40,%r15
            (&[0x48, 0x81, 0xc9, 0, 1, 0, 0], &[0x48, 0x81, 0xc1, 0, 1, 0, 0]), // $0x100,%rcx
            (&[0x48, 0x0d, 0, 1, 0, 0], &[0x48, 0x05, 0, 1, 0, 0]), // $0x100,%rax
            (&[0x48, 0x83, 0x4c, 0x24, 8, 4], &[0x48, 0x83, 0x44, 0x24, 8, 4]), // $4,8(%rsp)
        ] {
            assert_eq!(addition(or).as_deref(), Some(add), "{or:x?}");
            assert!(adds_instead(or, add) && !adds_instead(add, or) && !adds_instead(or, or));
        }
    }

    #[test]
    fn all_else_has_none() {
        for or in [
            &[0x09, 0xf8][..],         // or %edi,%eax
            &[0x0c, 0x40],             // or $0x40,%al
            &[0x48, 0x21, 0xf8],       // and %rdi,%rax
            &[0x48, 0x83, 0xe0, 0x40], // and $0x40,%rax
            &[0xf0, 0x48, 0x09, 0x07], // lock or %rax,(%rdi)
            &[0x48, 0x09],             // cut off
            &[0x48, 0x09, 0xf8, 0x90], // and a nop
            &[],
        ] {
            assert_eq!(addition(or), None, "{or:x?}");
        }
        assert!(!adds_instead(&[0x48, 0x09, 0xf8], &[0x48, 0x01, 0xf0]), "another register");
        assert!(!adds_instead(&[0x48, 0x83, 0xc8, 0x40], &[0x48, 0x83, 0xc0, 0x41]), "another number");
        assert!(!adds_instead(&[0x48, 0x0b, 0x07], &[0x48, 0x03, 0x06]), "another address");
        assert!(!adds_instead(&[0x48, 0x09, 0xf8], &[0x01, 0xf8, 0x90]), "another width");
    }
}
