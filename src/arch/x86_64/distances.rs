//! What code reaches from an address by a distance: a compiler that has two addresses of one session in a function may
//! keep the second as its distance from the first. The register that holds the first, and its copies, are followed as
//! far as control goes in the function.

use std::collections::BTreeSet;

use iced_x86::{Code, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use super::super::{CodeView, Distance};
use super::flow::{Next, decode_at, next_of};

/// After so many instructions no more are looked at.
const LIMIT: usize = 1024;

/// What a function keeps for its caller (psABI 3.2.1).
const KEPT: [Register; 6] =
    [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];

/// See [`super::super::Arch::distances`].
pub(super) fn distances(code: &dyn CodeView, start: u64) -> Vec<Distance> {
    let decoded = |at| decode_at(code, at).filter(|i| i.next_ip() <= code.function(at).end);
    let Some(first) = decoded(start).filter(|i| i.code() == Code::Mov_r64_imm64) else {
        return Vec::new();
    };
    let mut factory = InstructionInfoFactory::new();
    let mut open = vec![(first.next_ip(), first.op0_register())];
    let mut seen = BTreeSet::new();
    let mut found = BTreeSet::new();
    while let Some((at, register)) = open.pop() {
        if seen.len() > LIMIT || !seen.insert((at, register as u32)) {
            continue;
        }
        let Some(instruction) = decoded(at) else { continue };
        if let Some(bytes) = distance(&instruction, register) {
            found.insert((at, instruction.len() as u8, bytes));
        }
        let following = instruction.next_ip();
        if instruction.code() == Code::Mov_r64_rm64 || instruction.code() == Code::Mov_rm64_r64 {
            let copied = instruction.op1_kind() == OpKind::Register && instruction.op1_register() == register;
            if copied && instruction.op0_kind() == OpKind::Register {
                open.push((following, instruction.op0_register()));
            }
        }
        if is_replaced(&mut factory, &instruction, register) {
            continue;
        }
        match next_of(code, &instruction) {
            Next::Following | Next::LeaveOrFollowing => open.push((following, register)),
            Next::Jump(target) => open.push((target, register)),
            Next::Branch(target) => open.extend([(following, register), (target, register)]),
            Next::Call if KEPT.contains(&register) => open.push((following, register)),
            Next::Call | Next::Leave | Next::Return | Next::Indirect | Next::Stop => {}
        }
    }
    let distances = found.into_iter();
    distances.map(|(instruction, length, bytes)| Distance { instruction, length, bytes }).collect()
}

/// How far from the address in a register an instruction reaches.
fn distance(instruction: &Instruction, register: Register) -> Option<i64> {
    let memory = (0..instruction.op_count()).any(|i| instruction.op_kind(i) == OpKind::Memory);
    if memory && instruction.memory_base() == register {
        return Some(instruction.memory_displacement64() as i64);
    }
    let own = instruction.op0_kind() == OpKind::Register && instruction.op0_register() == register;
    let number = matches!(instruction.op1_kind(), OpKind::Immediate8to64 | OpKind::Immediate32to64);
    match instruction.mnemonic() {
        Mnemonic::Add if own && number => Some(instruction.immediate(1) as i64),
        Mnemonic::Sub if own && number => Some((instruction.immediate(1) as i64).wrapping_neg()),
        _ => None,
    }
}

/// Whether the register holds something else behind the instruction.
fn is_replaced(factory: &mut InstructionInfoFactory, instruction: &Instruction, register: Register) -> bool {
    factory.info(instruction).used_registers().iter().any(|used| {
        let writes = matches!(used.access(), OpAccess::Write | OpAccess::ReadWrite);
        writes && used.register().full_register() == register
    })
}

#[cfg(test)]
mod tests {
    use super::super::flow::snippet::Snippet;
    use super::*;

    /// Behind `movabs $imm64,%rbx`.
    fn after(rest: &[u8]) -> Vec<i64> {
        let mut code = vec![0x48, 0xbb, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0, 0];
        code.extend_from_slice(rest);
        distances(&Snippet::new(code), 0).into_iter().map(|distance| distance.bytes).collect()
    }

    #[test]
    fn what_is_reached_from_the_register_is_found() {
        // lea 0x4e00(%rbx),%rax; ret
        assert_eq!(after(&[0x48, 0x8d, 0x83, 0, 0x4e, 0, 0, 0xc3]), [0x4e00]);
        // add $-16,%rbx; ret
        assert_eq!(after(&[0x48, 0x83, 0xc3, 0xf0, 0xc3]), [-16]);
        // sub $16,%rbx; ret
        assert_eq!(after(&[0x48, 0x83, 0xeb, 0x10, 0xc3]), [-16]);
        // call 0x16; mov %rbx,%rdx; mov 8(%rdx),%rax; ret
        assert_eq!(after(&[0xe8, 7, 0, 0, 0, 0x48, 0x89, 0xda, 0x48, 0x8b, 0x42, 8, 0xc3]), [8]);
        // je to the second; mov 8(%rbx),%rax; ret; mov 16(%rbx),%rax; ret
        assert_eq!(after(&[0x74, 5, 0x48, 0x8b, 0x43, 8, 0xc3, 0x48, 0x8b, 0x43, 16, 0xc3]), [8, 16]);
    }

    #[test]
    fn what_another_register_reaches_is_not() {
        // lea 0x4e00(%rcx),%rax; ret
        assert!(after(&[0x48, 0x8d, 0x81, 0, 0x4e, 0, 0, 0xc3]).is_empty());
        // mov (%rdi),%rbx; mov 8(%rbx),%rax; ret
        assert!(after(&[0x48, 0x8b, 0x1f, 0x48, 0x8b, 0x43, 8, 0xc3]).is_empty());
        // ret; mov 8(%rbx),%rax
        assert!(after(&[0xc3, 0x48, 0x8b, 0x43, 8]).is_empty());
    }
}
