//! Which instructions look at the low bits of what they are given, or may bring an address to one that does: a function
//! without any takes nothing for granted of the addresses in it, whatever way control takes.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::super::Sensitivity;
use super::effects::is_conditional_move;
use super::vector;

/// What one instruction adds to what is known of its function.
pub(super) fn sensitivity(instruction: &Instruction) -> Sensitivity {
    use Mnemonic::*;
    let mut found = Sensitivity::NONE;
    let memory = || (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
    let base = instruction.memory_base();
    let registers = || (0..instruction.op_count()).filter(|&i| instruction.op_kind(i) == OpKind::Register);
    let vectors = || {
        let mut all = registers().map(|i| instruction.op_register(i)).peekable();
        let is_vector = |r: Register| r.is_vector_register() || r.is_mm() || r.is_st() || r.is_k();
        all.peek().is_some() && all.all(is_vector)
    };
    let size = |i: u32| instruction.op_register(i).size();
    let is_frame = |register: Register| matches!(register, Register::RSP | Register::RBP);
    let same = instruction.op_count() == 2
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register();
    match instruction.mnemonic() {
        // A part of a register that is replaced makes what is then done with the whole of it count.
        _ if instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().is_gpr()
            && size(0) < 4 =>
        {
            found = Sensitivity::LOOKS;
        }
        Xchg | Xadd if registers().any(|i| size(i) < 4) => found = Sensitivity::LOOKS,
        Mov | Movzx | Movsx | Movsxd | Add | Sub | Inc | Dec | Neg | Not | Lea | Xchg | Xadd | Imul
        | Push | Pop => {
            // Where the frame is: from then on any register may lead there, but the two that are for that.
            let source = |i: u32| i > 0 || instruction.mnemonic() == Push && size(i) == 8;
            let named = registers().any(|i| source(i) && is_frame(instruction.op_register(i)));
            let saved = instruction.mnemonic() == Push && instruction.op0_register() == Register::RBP;
            let computed =
                instruction.mnemonic() == Lea && (is_frame(base) || is_frame(instruction.memory_index()));
            let kept = instruction.op0_kind() == OpKind::Register
                && is_frame(instruction.op0_register())
                && instruction.mnemonic() != Push;
            if (named && !saved || computed) && !kept {
                found |= Sensitivity::FRAME_ADDRESS;
            }
        }
        Shl | Sal | Shr | Sar if instruction.op1_kind() == OpKind::Immediate8 => {}
        _ if is_conditional_move(instruction.mnemonic()) => {}
        // That all bits are zero is nothing that an address is.
        Test if same && size(0) == 8 => {}
        Xor if same => {}
        Cmp | Nop | Endbr64 | Leave | Cdqe | Cdq | Cqo | Prefetcht0 | Prefetchw => {}
        // Where a function ends with a call, that does not return.
        Call | Ret | Ud2 => found |= Sensitivity::STOPS,
        Jmp if !memory() && instruction.op0_kind() != OpKind::Register => {
            found |= Sensitivity::JUMP;
            found |= Sensitivity::STOPS;
        }
        _ if instruction.is_jcc_short_or_near() => found |= Sensitivity::JUMP,
        _ if vectors() => {
            found |= match base {
                _ if !memory() => Sensitivity::NONE,
                Register::RSP if instruction.memory_index() == Register::None => Sensitivity::VECTOR_OF_FRAME,
                _ if vector::alignment(instruction) > 1 => Sensitivity::LOOKS,
                Register::RSP | Register::RBP => Sensitivity::VECTOR_OF_FRAME,
                _ => Sensitivity::VECTOR_OF_MEMORY,
            };
        }
        _ => found = Sensitivity::LOOKS,
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::decode::single;
    use super::*;

    fn of(bytes: &[u8]) -> Sensitivity {
        single(bytes).expect("an instruction").sensitivity
    }

    #[test]
    fn what_looks_at_bits_is_told() {
        for bytes in [
            &[0x48, 0x83, 0xc8, 0x40][..],   // or $0x40,%rax
            &[0x48, 0x21, 0xf8],             // and %rdi,%rax
            &[0x48, 0x31, 0xf8],             // xor %rdi,%rax
            &[0xa8, 0x01],                   // test $1,%al
            &[0x85, 0xc0],                   // test %eax,%eax
            &[0x88, 0xc8],                   // mov %cl,%al
            &[0x86, 0x07],                   // xchg %al,(%rdi)
            &[0x0f, 0x94, 0xc0],             // sete %al
            &[0x48, 0xd3, 0xe0],             // shl %cl,%rax
            &[0x0f, 0x28, 0x07],             // movaps (%rdi),%xmm0
            &[0x0f, 0x28, 0x45, 0x00],       // movaps (%rbp),%xmm0
            &[0x0f, 0x28, 0x05, 0, 0, 0, 0], // movaps (%rip),%xmm0
            &[0x66, 0x48, 0x0f, 0x6e, 0xc0], // movq %rax,%xmm0
            &[0xff, 0xe0],                   // jmp *%rax
            &[0xff, 0x24, 0xc5, 0, 0, 0, 0], // jmp *(,%rax,8)
            &[0xf3, 0x48, 0x0f, 0xb8, 0xc7], // popcnt %rdi,%rax
        ] {
            assert_eq!(of(bytes), Sensitivity::LOOKS, "{bytes:02x?}");
        }
    }

    #[test]
    fn what_copies_and_adds_is_not() {
        for (bytes, expected) in [
            (&[0x48, 0x01, 0xf8][..], Sensitivity::NONE),      // add %rdi,%rax
            (&[0x88, 0x07], Sensitivity::NONE),                // mov %al,(%rdi)
            (&[0x0f, 0xb6, 0xc0], Sensitivity::NONE),          // movzbl %al,%eax
            (&[0x48, 0x85, 0xc0], Sensitivity::NONE),          // test %rax,%rax
            (&[0x31, 0xc0], Sensitivity::NONE),                // xor %eax,%eax
            (&[0x48, 0xc1, 0xe8, 0x03], Sensitivity::NONE),    // shr $3,%rax
            (&[0x48, 0x89, 0xe5], Sensitivity::NONE),          // mov %rsp,%rbp
            (&[0x55], Sensitivity::NONE),                      // push %rbp
            (&[0x54], Sensitivity::FRAME_ADDRESS),             // push %rsp
            (&[0x48, 0x89, 0xe7], Sensitivity::FRAME_ADDRESS), // mov %rsp,%rdi
            (&[0x48, 0x8d, 0x7d, 0xf0], Sensitivity::FRAME_ADDRESS), // lea -16(%rbp),%rdi
            (&[0x48, 0x8d, 0x65, 0xf0], Sensitivity::NONE),    // lea -16(%rbp),%rsp
            (&[0xc3], Sensitivity::STOPS),                     // ret
            (&[0xe8, 0, 0, 0, 0], Sensitivity::STOPS),         // call
            (&[0x75, 0x00], Sensitivity::JUMP),                // jne
            (&[0x0f, 0x58, 0xc1], Sensitivity::NONE),          // addps %xmm1,%xmm0
            (&[0xf2, 0x0f, 0x10, 0x07], Sensitivity::VECTOR_OF_MEMORY), // movsd (%rdi),%xmm0
            (&[0x0f, 0x28, 0x04, 0x24], Sensitivity::VECTOR_OF_FRAME), // movaps (%rsp),%xmm0
        ] {
            assert_eq!(of(bytes), expected, "{bytes:02x?}");
        }
    }
}
