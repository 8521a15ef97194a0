//! Which instructions may read their memory operand from elsewhere: those that only read it, all of it, and find
//! it from `%rip` alone. Their displacement is all that changes.
//!
//! ```text
//! before   48 3b 3d d0 d1 d2 d3       cmp word(%rip),%rdi
//! after    48 3b 3d 00 00 00 00       cmp sym@GOTPCREL(%rip),%rdi, or cmp slot(%rip),%rdi
//!
//! before   48 0f 45 05 d0 d1 d2 d3    cmovne word(%rip),%rax
//! after    48 0f 45 05 00 00 00 00    cmovne sym@GOTPCREL(%rip),%rax
//! ```

use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory, OpAccess, OpKind, Register};

use super::super::{Delivery, Lowered};
use crate::reloc::RelocKind;

/// See [`super::super::Arch::redirect_read`].
pub(super) fn redirect_read(
    instruction: &[u8],
    field: usize,
    size: u64,
    delivery: Delivery,
) -> Result<Lowered, String> {
    let kind = match delivery {
        // Not one of the kinds that let a linker rewrite the instruction: that takes a form that it knows.
        Delivery::Got => RelocKind::GotPc32,
        Delivery::Slot | Delivery::Direct => RelocKind::Pc32,
        Delivery::Absolute => return Err("finds no absolute address from %rip".to_owned()),
        Delivery::Half(_) => return Err("reads more than half of an address".to_owned()),
    };
    let mut decoder = Decoder::new(64, instruction, DecoderOptions::NONE);
    let decoded = decoder.decode();
    let constants = decoder.get_constant_offsets(&decoded);
    let whole = !decoded.is_invalid() && decoded.len() == instruction.len();
    let here = constants.displacement_offset() == field && constants.displacement_size() == 4;
    let plain = decoded.memory_base() == Register::RIP
        && decoded.memory_index() == Register::None
        && !matches!(decoded.segment_prefix(), Register::FS | Register::GS);
    if !whole || !here || !plain {
        return Err("does not find its operand from %rip alone".to_owned());
    }
    let mut factory = InstructionInfoFactory::new();
    let info = factory.info(&decoded);
    let mut reads = 0;
    for operand in (0..decoded.op_count()).filter(|&i| decoded.op_kind(i) == OpKind::Memory) {
        match info.op_access(operand) {
            OpAccess::Read | OpAccess::CondRead => reads += 1,
            _ => return Err("does more than read there".to_owned()),
        }
    }
    if reads != 1 || decoded.memory_size().size() as u64 != size {
        return Err("does not read the whole constant and nothing else".to_owned());
    }
    let mut bytes = instruction.to_vec();
    bytes.iter_mut().skip(field).take(4).for_each(|byte| *byte = 0);
    // The field counts from its own start, the instruction from its end: an immediate may lie between.
    Ok(Lowered {
        bytes: bytes.into(),
        field: field as u64,
        kind,
        addend: field as i64 - instruction.len() as i64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirected(instruction: &[u8], field: usize, size: u64) -> Result<Lowered, String> {
        redirect_read(instruction, field, size, Delivery::Got)
    }

    #[test]
    fn reads_of_a_whole_word_change_their_displacement_only() {
        for (before, after, rest) in [
            (&[0x48, 0x3b, 0x3d][..], &[][..], -4),   // cmp d(%rip),%rdi
            (&[0x48, 0x0f, 0x45, 0x05], &[], -4),     // cmovne d(%rip),%rax
            (&[0x48, 0x8b, 0x05], &[], -4),           // mov d(%rip),%rax
            (&[0xff, 0x15], &[], -4),                 // call *d(%rip)
            (&[0xff, 0x25], &[], -4),                 // jmp *d(%rip)
            (&[0xff, 0x35], &[], -4),                 // push d(%rip)
            (&[0xf3, 0x0f, 0x7e, 0x05], &[], -4),     // movq d(%rip),%xmm0
            (&[0x48, 0x81, 0x3d], &[1, 0, 0, 0], -8), // cmpq $1,d(%rip)
            (&[0x48, 0x83, 0x3d], &[1], -5),          // cmpq $1,d(%rip)
            (&[0x48, 0x6b, 0x05], &[3], -5),          // imul $3,d(%rip),%rax
        ] {
            let with = |field: [u8; 4]| [before, &field[..], after].concat();
            let bytes = with([0xd0, 0x01, 0, 0]);
            let lowered = redirected(&bytes, before.len(), 8).unwrap();
            assert_eq!(lowered.bytes.to_vec(), with([0; 4]), "{before:02x?}");
            let rest_found = (lowered.field, lowered.addend, lowered.kind);
            assert_eq!(rest_found, (before.len() as u64, rest, RelocKind::GotPc32), "{before:02x?}");
        }
        let vector = [0x66, 0x0f, 0x6f, 0x05, 0x10, 0, 0, 0]; // movdqa d(%rip),%xmm0
        assert!(redirected(&vector, 4, 16).is_ok());
        let slot = redirect_read(&vector, 4, 16, Delivery::Slot).unwrap();
        assert_eq!(slot.kind, RelocKind::Pc32);
    }

    #[test]
    fn everything_else_is_refused() {
        for (instruction, field) in [
            (&[0x48, 0x89, 0x05, 8, 0, 0, 0][..], 3),         // mov %rax,d(%rip)
            (&[0x48, 0x01, 0x05, 8, 0, 0, 0], 3),             // add %rax,d(%rip)
            (&[0x48, 0x87, 0x05, 8, 0, 0, 0], 3),             // xchg %rax,d(%rip)
            (&[0xf0, 0x48, 0x0f, 0xb1, 0x0d, 8, 0, 0, 0], 5), // lock cmpxchg %rcx,d(%rip)
            (&[0x8b, 0x05, 8, 0, 0, 0], 2),                   // mov d(%rip),%eax
            (&[0x66, 0x0f, 0x6f, 0x05, 8, 0, 0, 0], 4),       // movdqa d(%rip),%xmm0
            (&[0x48, 0x8d, 0x05, 8, 0, 0, 0], 3),             // lea d(%rip),%rax
            (&[0x8f, 0x05, 8, 0, 0, 0], 2),                   // pop d(%rip)
            (&[0x64, 0x48, 0x8b, 0x05, 8, 0, 0, 0], 4),       // mov %fs:d(%rip),%rax
            (&[0x67, 0x48, 0x8b, 0x05, 8, 0, 0, 0], 4),       // mov d(%eip),%rax
            (&[0x48, 0x8b, 0x05, 8, 0, 0, 0], 2),             // the field is elsewhere
            (&[0x48, 0x8b, 0x05, 8, 0, 0, 0, 0x90], 3),       // more than one
            (&[0x48, 0x8b, 0x80, 8, 0, 0, 0], 3),             // mov d(%rax),%rax
            (&[0x0f, 0x0b], 0),                               // ud2
            (&[], 0),
        ] {
            assert!(redirected(instruction, field, 8).is_err(), "{instruction:02x?}");
        }
    }
}
