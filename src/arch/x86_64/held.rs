//! Which function a call names, seen from the instructions right before it: large code models call through registers.

use std::collections::BTreeMap;

use iced_x86::{Code, Instruction, Mnemonic, OpKind, Register};

use super::super::{CodeView, Lead};
use super::flow::Next;

/// Who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Callee {
    /// A function of the object, by its first byte.
    Own(u64),
    /// The same, but another may take its place.
    Preemptible(u64),
    /// What a symbol names that the object does not define.
    Symbol(u32),
    /// What is at an address of the session.
    Address(u64),
}

/// What registers hold since they were last written to, in the order of the code.
#[derive(Default)]
pub(super) struct Held(BTreeMap<Register, Callee>);

impl Held {
    /// Whom a call names; `None`: that cannot be seen here.
    pub(super) fn callee(&self, code: &dyn CodeView, call: &Instruction) -> Option<Callee> {
        match call.op0_kind() {
            OpKind::Register => self.0.get(&call.op0_register()).copied(),
            OpKind::Memory => named(code, call, 0),
            _ => named(code, call, 4).or(Some(Callee::Own(call.near_branch_target()))),
        }
    }

    /// The instruction has run; `next`: what runs then.
    pub(super) fn step(&mut self, code: &dyn CodeView, instruction: &Instruction, next: Next) {
        match instruction.code() {
            Code::Mov_r64_imm64 => {
                let number = Callee::Address(instruction.immediate64());
                let callee = named(code, instruction, 8).unwrap_or(number);
                self.0.insert(instruction.op0_register(), callee);
            }
            _ if next != Next::Following || instruction.mnemonic() == Mnemonic::Xchg => self.clear(),
            _ if instruction.op_count() > 0 && instruction.op0_kind() == OpKind::Register => {
                self.0.remove(&instruction.op0_register().full_register());
            }
            _ => {}
        }
    }

    /// Control comes from elsewhere, too.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Who the relocation of an instruction names whose last `width` bytes lead there, or to where that is written.
fn named(code: &dyn CodeView, instruction: &Instruction, width: u64) -> Option<Callee> {
    let (at, end) = (instruction.ip(), instruction.next_ip());
    match code.lead(at, end - at)? {
        Lead::Code(target) => Some(Callee::Own(target)),
        Lead::Away => match code.referent(end - width, end).filter(|_| width > 0) {
            Some(function) => Some(Callee::Preemptible(function)),
            None => code.symbol(at, end - at).map(Callee::Symbol),
        },
    }
}
