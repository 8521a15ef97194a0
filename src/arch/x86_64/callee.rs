//! Which registers a function of the object leaves alone that no call has to: a compiler that sees the function may keep
//! values in them (gcc's `-fipa-ra`).

use std::collections::{BTreeMap, BTreeSet};

use iced_x86::{Instruction, InstructionInfoFactory, OpAccess, OpKind, Register};

use super::super::CodeView;
use super::flow::{Next, decode_at, next_of};
use super::held::{Callee, Held};
use super::state::State;

/// Larger functions, with those that they call, are taken for ones that may leave anything alone.
const MOST: usize = 2048;

/// What functions may change of what calls need not keep.
#[derive(Default)]
pub(super) struct Callees {
    known: BTreeMap<u64, Changed>,
}

/// What a function is sure to make worthless.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// All that calls need not keep.
    pub(super) all: bool,
    pub(super) registers: BTreeSet<Register>,
}

impl Callees {
    /// What a call leaves worthless.
    pub(super) fn changed(&mut self, code: &dyn CodeView, state: &State, call: &Instruction) -> Changed {
        let own = match call.op0_kind() {
            OpKind::Register => {
                let to = state.read(call.op0_register());
                to.addresses.map_or(Vec::new(), |addresses| addresses.members().to_vec())
            }
            _ => Held::default().callee(code, call).and_then(own_function).into_iter().collect(),
        };
        // One of several: what only one of them changes may still be of use.
        let all = own.iter().map(|&function| self.changed_by(code, function, MOST).0);
        let common = all.reduce(|one, other| Changed {
            all: one.all && other.all,
            registers: match (one.all, other.all) {
                (true, _) => other.registers,
                (_, true) => one.registers,
                _ => one.registers.intersection(&other.registers).copied().collect(),
            },
        });
        common.unwrap_or(Changed { all: true, ..Changed::default() })
    }

    /// The same of a function, and how many more instructions may be looked at.
    fn changed_by(&mut self, code: &dyn CodeView, function: u64, mut left: usize) -> (Changed, usize) {
        if let Some(known) = self.known.get(&function) {
            return (known.clone(), left);
        }
        // Of one that calls itself.
        self.known.insert(function, Changed::default());
        let mut changed = Changed::default();
        let mut held = Held::default();
        let mut factory = InstructionInfoFactory::new();
        let range = code.function(function);
        let mut at = range.start;
        while at < range.end && left > 0 && !changed.all {
            left -= 1;
            let Some(instruction) = decode_at(code, at) else { break };
            for used in factory.info(&instruction).used_registers() {
                if !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None) {
                    changed.registers.insert(used.register().full_register());
                }
            }
            let next = next_of(code, &instruction);
            match next {
                Next::Call => match held.callee(code, &instruction) {
                    // Of what is not known here a compiler may know more.
                    None if instruction.op0_kind() == OpKind::Register => {}
                    callee => match callee.and_then(own_function) {
                        Some(function) => {
                            let (more, rest) = self.changed_by(code, function, left);
                            left = rest;
                            changed.all |= more.all;
                            changed.registers.extend(more.registers);
                        }
                        None => changed.all = true,
                    },
                },
                Next::Leave | Next::LeaveOrFollowing => changed.all = true,
                _ => {}
            }
            held.step(code, &instruction, next);
            at = instruction.next_ip();
        }
        self.known.insert(function, changed.clone());
        (changed, left)
    }
}

/// The function of the object that a call leads to; `None`: it leads to others.
fn own_function(callee: Callee) -> Option<u64> {
    match callee {
        Callee::Own(function) | Callee::Preemptible(function) => Some(function),
        Callee::Symbol(_) | Callee::Address(_) => None,
    }
}
