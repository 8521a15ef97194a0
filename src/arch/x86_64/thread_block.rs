//! Which instructions reach a thread-local variable by a distance from the thread pointer that no relocation gives. The
//! static blocks of thread-local variables end at the thread pointer (ELF Handling for Thread-Local Storage, variant II),
//! and where in them a variable lies is the process's own; what follows is the thread control block, the same everywhere.
//!
//! ```text
//! 64 48 8b 04 25 d8 ff ff ff    mov %fs:0xffffffffffffffd8,%rax
//!
//! 64 48 8b 04 25 00 00 00 00    mov %fs:0,%rax
//! 48 8b 40 d8                   mov -0x28(%rax),%rax
//!
//! 48 c7 c0 d8 ff ff ff          mov $0xffffffffffffffd8,%rax
//! 64 48 8b 00                   mov %fs:(%rax),%rax
//! ```

use std::collections::BTreeMap;
use std::ops::Range;

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpAccess, OpKind,
    Register,
};

use super::super::ThreadLocalOffset;
use super::decode::{LONGEST, shapes};

/// The `%fs` override.
const FS: u8 = 0x64;
/// No block is larger: what leads farther are data that happen to decode (`movabs %fs:0xd68dbc3acc7ce042,%al`).
const FARTHEST: i64 = -(1 << 31);
/// Copies on the stack that are followed: compilers make few.
const MOST_SLOTS: usize = 16;
/// What a call leaves (psABI 3.2.1).
const KEPT: [Register; 7] =
    [Register::RBX, Register::RSP, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];

/// What a register is known to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Unknown,
    /// A number that the instruction of that index carries.
    Number(i64, usize),
    /// The thread pointer and a number.
    Block(i64),
}

/// A value, and what [`sum`] says besides.
type Sum = (Value, Option<usize>);

/// What is known before an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    /// By number.
    registers: [Value; 16],
    /// Copies of [`Value::Block`] on the stack, by base register and displacement.
    slots: BTreeMap<(Register, u64), i64>,
}

impl State {
    const NOTHING: State = State { registers: [Value::Unknown; 16], slots: BTreeMap::new() };

    fn get(&self, register: Register) -> Value {
        if register.is_gpr64() { self.registers[register.number()] } else { Value::Unknown }
    }

    /// A register, in any width, gets that value.
    fn set(&mut self, register: Register, value: Value) {
        let full = register.full_register();
        if !full.is_gpr64() {
            return;
        }
        self.registers[full.number()] = value;
        self.slots.retain(|(base, _), _| *base != full);
    }

    /// Keeps what `other` knows, too; says whether that is less.
    fn meet(&mut self, other: &State) -> bool {
        let before = self.clone();
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            if *mine != *theirs {
                *mine = Value::Unknown;
            }
        }
        self.slots.retain(|slot, offset| other.slots.get(slot) == Some(offset));
        *self != before
    }
}

/// See [`super::super::Arch::thread_local_offsets`].
pub(super) fn thread_local_offsets(
    code: &[u8],
    function: Range<u64>,
    relocated: &dyn Fn(u64, u64) -> bool,
) -> Vec<ThreadLocalOffset> {
    let bounds = usize::try_from(function.start).ok().zip(usize::try_from(function.end).ok());
    let Some(bytes) = bounds.and_then(|(start, end)| code.get(start..end)) else { return Vec::new() };
    if !(memchr::memchr(FS, bytes).is_some() && begins_with_override(bytes) && may_reach_block(bytes)) {
        return Vec::new();
    }
    let mut decoder = Decoder::with_ip(64, bytes, function.start, DecoderOptions::MPX);
    let instructions: Vec<Instruction> = decoder.iter().collect();
    // It may have been a byte of something else.
    if !instructions.iter().any(counts_from_block) {
        return Vec::new();
    }
    let mut walk = Walk {
        code,
        relocated,
        factory: InstructionInfoFactory::new(),
        before: vec![None; instructions.len()],
        open: Vec::new(),
        indirect: None,
        instructions,
    };
    walk.run();
    walk.found()
}

/// Whether an instruction may begin with the `%fs` override: in constants the same byte stands by chance.
fn begins_with_override(bytes: &[u8]) -> bool {
    let mut found = false;
    shapes(bytes, 0..bytes.len() as u64, |_, bytes, shape| {
        let prefix = |byte: &&u8| matches!(**byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
        // Where code goes on behind what is no instruction is not known.
        found |= shape.is_none() || bytes.iter().take_while(prefix).any(|byte| *byte == FS);
    });
    found
}

/// Whether there may be an instruction that counts from the thread pointer: a search that costs a fraction of decoding.
fn may_reach_block(bytes: &[u8]) -> bool {
    memchr::memchr_iter(FS, bytes).any(|at| {
        let end = bytes.len().min(at + LONGEST);
        let instruction = Decoder::new(64, &bytes[at..end], DecoderOptions::MPX).decode();
        // Compilers count from nothing or from a register that is no frame's.
        let plain = !matches!(instruction.memory_base(), Register::RSP | Register::RBP | Register::RIP);
        !instruction.is_invalid() && counts_from_block(&instruction) && plain
    })
}

fn counts_from_block(instruction: &Instruction) -> bool {
    instruction.segment_prefix() == Register::FS && has_memory(instruction)
}

fn has_memory(instruction: &Instruction) -> bool {
    instruction.op_kinds().any(|kind| kind == OpKind::Memory)
}

/// Follows the thread pointer through the registers of one function.
struct Walk<'a> {
    code: &'a [u8],
    relocated: &'a dyn Fn(u64, u64) -> bool,
    factory: InstructionInfoFactory,
    instructions: Vec<Instruction>,
    /// What is known before each.
    before: Vec<Option<State>>,
    /// Those whose successors are to be looked at.
    open: Vec<usize>,
    /// What is known where nobody sees where code goes on.
    indirect: Option<State>,
}

impl Walk<'_> {
    /// Fills in `before`. What is known of a place only ever gets less, so this ends.
    fn run(&mut self) {
        for first in 0..self.instructions.len() {
            // The function's start; then what only a jump table or an unwinder leads to.
            if self.before[first].is_none() {
                let state = match first {
                    0 => State::NOTHING,
                    _ => self.indirect.clone().unwrap_or(State::NOTHING),
                };
                self.reach(Some(first), &state);
            }
            while let Some(index) = self.open.pop() {
                let Some(mut state) = self.before[index].clone() else { continue };
                self.step(index, &mut state);
                self.leave(index, &state);
            }
        }
    }

    fn reach(&mut self, index: Option<usize>, state: &State) {
        let Some(index) = index.filter(|index| *index < self.before.len()) else { return };
        let less = match &mut self.before[index] {
            Some(known) => known.meet(state),
            unknown => {
                *unknown = Some(state.clone());
                true
            }
        };
        if less {
            self.open.push(index);
        }
    }

    /// Goes on to where an instruction leads.
    fn leave(&mut self, index: usize, state: &State) {
        let instruction = self.instructions[index];
        let target = match self.is_relocated(&instruction) {
            true => None,
            false => self.index_of(instruction.near_branch_target()),
        };
        match instruction.flow_control() {
            FlowControl::Next | FlowControl::Interrupt | FlowControl::Call | FlowControl::IndirectCall => {
                self.reach(Some(index + 1), state);
            }
            FlowControl::ConditionalBranch | FlowControl::XbeginXabortXend => {
                self.reach(Some(index + 1), state);
                self.reach(target, state);
            }
            FlowControl::UnconditionalBranch => self.reach(target, state),
            FlowControl::IndirectBranch => match &mut self.indirect {
                Some(known) => {
                    known.meet(state);
                }
                unknown => *unknown = Some(state.clone()),
            },
            FlowControl::Return | FlowControl::Exception => {}
        }
    }

    fn index_of(&self, address: u64) -> Option<usize> {
        self.instructions.binary_search_by_key(&address, Instruction::ip).ok()
    }

    fn is_relocated(&self, instruction: &Instruction) -> bool {
        (self.relocated)(instruction.ip(), instruction.len() as u64)
    }

    /// What an instruction makes of what is known.
    fn step(&mut self, index: usize, state: &mut State) {
        let instruction = self.instructions[index];
        if matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall) {
            for number in 0..16 {
                let register = Register::RAX + number;
                if !KEPT.contains(&register) {
                    state.set(register, Value::Unknown);
                }
            }
            return;
        }
        let (result, _) = self.result(index, state);
        let to = instruction.op0_register().full_register();
        let stored = self.stored(&instruction, state);
        let info = self.factory.info(&instruction);
        for used in info.used_registers() {
            let written = matches!(
                used.access(),
                OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
            );
            if written {
                state.set(used.register(), Value::Unknown);
            }
        }
        if let Some((slot, value)) = stored {
            match value {
                Value::Block(offset) if state.slots.len() < MOST_SLOTS => state.slots.insert(slot, offset),
                _ => state.slots.remove(&slot),
            };
        }
        if result != Value::Unknown {
            state.set(to, result);
        }
    }

    /// The stack slot that an instruction writes, and what comes there.
    fn stored(&self, instruction: &Instruction, state: &State) -> Option<((Register, u64), Value)> {
        let base = instruction.memory_base();
        let frame =
            matches!(base, Register::RSP | Register::RBP) && instruction.memory_index() == Register::None;
        let writes = instruction.op_count() > 0 && instruction.op0_kind() == OpKind::Memory;
        let value = match instruction.code() {
            Code::Mov_rm64_r64 => state.get(instruction.op1_register()),
            _ => Value::Unknown,
        };
        (frame && writes).then_some(((base, instruction.memory_displacement64()), value))
    }

    /// What comes into the first operand, where that follows from what is known.
    fn result(&self, index: usize, state: &State) -> Sum {
        let instruction = self.instructions[index];
        let unknown = (Value::Unknown, None);
        if instruction.op_count() == 0
            || instruction.op0_kind() != OpKind::Register
            || self.is_relocated(&instruction)
        {
            return unknown;
        }
        let to = instruction.op0_register();
        let number = |of: fn(i64) -> i64| match instruction.try_immediate(1) {
            Ok(immediate) => Value::Number(of(immediate as i64), index),
            Err(_) => Value::Unknown,
        };
        let same_registers = instruction.op1_kind() == OpKind::Register && instruction.op1_register() == to;
        match instruction.code() {
            Code::Mov_r64_imm64 | Code::Mov_rm64_imm32 | Code::Mov_r32_imm32 | Code::Mov_rm32_imm32 => {
                (number(|n| n), None)
            }
            Code::Xor_r32_rm32 | Code::Xor_rm32_r32 if same_registers => (Value::Number(0, index), None),
            Code::Mov_r64_rm64 | Code::Mov_rm64_r64 | Code::Mov_RAX_moffs64 => {
                (self.source(&instruction, index, state), None)
            }
            Code::Lea_r64_m => self.address(index, state),
            Code::Add_r64_rm64 | Code::Add_rm64_r64 => {
                sum(state.get(to), self.source(&instruction, index, state))
            }
            Code::Add_rm64_imm8 | Code::Add_rm64_imm32 | Code::Add_RAX_imm32 => {
                sum(state.get(to), number(|n| n))
            }
            Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 | Code::Sub_RAX_imm32 => {
                sum(state.get(to), number(i64::wrapping_neg))
            }
            _ => unknown,
        }
    }

    /// What the second operand is: a register, or memory. The thread pointer is the first word of what it points to.
    fn source(&self, instruction: &Instruction, index: usize, state: &State) -> Value {
        if instruction.op1_kind() == OpKind::Register {
            return state.get(instruction.op1_register());
        }
        if counts_from_block(instruction) {
            return match self.address(index, state).0 {
                Value::Block(0) => Value::Block(0),
                _ => Value::Unknown,
            };
        }
        let slot = (instruction.memory_base(), instruction.memory_displacement64());
        match state.slots.get(&slot).filter(|_| instruction.memory_index() == Register::None) {
            Some(offset) => Value::Block(*offset),
            None => Value::Unknown,
        }
    }

    /// The address of a memory operand, or what `lea` makes of it, which does not count from the block.
    fn address(&self, index: usize, state: &State) -> Sum {
        let instruction = self.instructions[index];
        let unknown = (Value::Unknown, None);
        if self.is_relocated(&instruction) || instruction.memory_base() == Register::RIP {
            return unknown;
        }
        let mut address = (Value::Number(instruction.memory_displacement64() as i64, index), None);
        if counts_from_block(&instruction) && instruction.code() != Code::Lea_r64_m {
            address = sum(address.0, Value::Block(0));
        }
        let index = (instruction.memory_index(), instruction.memory_index_scale());
        for (register, scale) in [(instruction.memory_base(), 1), index] {
            if register == Register::None {
                continue;
            }
            let (value, carrier) = match state.get(register) {
                Value::Number(number, from) => {
                    sum(address.0, Value::Number(number.wrapping_mul(i64::from(scale)), from))
                }
                value if scale == 1 => sum(address.0, value),
                _ => unknown,
            };
            address = (value, carrier.or(address.1));
        }
        address
    }

    /// Every number that leads below the thread pointer, once, in the order of the code.
    fn found(&self) -> Vec<ThreadLocalOffset> {
        let mut found = BTreeMap::new();
        for (index, instruction) in self.instructions.iter().enumerate() {
            let Some(state) = &self.before[index] else { continue };
            let memory =
                if has_memory(instruction) { self.address(index, state) } else { (Value::Unknown, None) };
            for sum in [memory, self.result(index, state)] {
                if let (Value::Block(offset), Some(carrier)) = sum {
                    found.entry(carrier).or_insert(offset);
                }
            }
        }
        found.into_iter().filter_map(|(index, offset)| self.describe(index, offset)).collect()
    }

    fn describe(&self, index: usize, offset: i64) -> Option<ThreadLocalOffset> {
        let instruction = self.instructions[index];
        let start = usize::try_from(instruction.ip()).ok()?;
        let mut decoder = Decoder::with_ip(
            64,
            self.code.get(start..start + instruction.len())?,
            instruction.ip(),
            DecoderOptions::MPX,
        );
        let constants = decoder.decode();
        let constants = decoder.get_constant_offsets(&constants);
        let field = if constants.has_immediate() {
            constants.immediate_offset()
        } else {
            constants.displacement_offset()
        };
        Some(ThreadLocalOffset {
            start: instruction.ip(),
            length: instruction.len() as u8,
            field: instruction.ip() + field as u64,
            offset,
        })
    }
}

/// What an addition yields. Where a number leads from the thread pointer to below it: which instruction carries that.
fn sum(one: Value, other: Value) -> Sum {
    match (one, other) {
        (Value::Block(offset), Value::Number(number, from))
        | (Value::Number(number, from), Value::Block(offset)) => {
            let sum = offset.wrapping_add(number);
            (Value::Block(sum), (offset >= 0 && (FARTHEST..0).contains(&sum)).then_some(from))
        }
        (Value::Number(one, from), Value::Number(other, also)) => {
            let carrier = if one < 0 { from } else { also };
            (Value::Number(one.wrapping_add(other), carrier), None)
        }
        _ => (Value::Unknown, None),
    }
}

#[cfg(test)]
#[path = "thread_block_tests.rs"]
mod tests;
