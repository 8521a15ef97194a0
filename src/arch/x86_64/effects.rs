//! What an instruction makes of values that come from places, and what it takes for granted of their low bits. What is
//! not known here takes all bits for granted.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::addition::addition;
use super::operands::{Combination, Destination, Effects, is_thread_local};
use super::state::State;
use super::values::{Bits, Set, Value, low, width_of};
use super::vector::{self, VectorUse};

impl Effects<'_> {
    /// What the instruction leaves.
    pub(super) fn step(&mut self, state: &mut State, instruction: &Instruction) {
        self.check_memory(state, instruction);
        let at = instruction.ip();
        let width = width_of_operand(instruction);
        let mask = low(width);
        match instruction.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movnti => {
                let value = self.operand(state, instruction, 1);
                self.assign(state, instruction, 0, value);
            }
            Mnemonic::Movzx => {
                let value = self.operand(state, instruction, 1);
                self.assign(state, instruction, 0, value);
            }
            Mnemonic::Movsx | Mnemonic::Movsxd => {
                let value = self.operand(state, instruction, 1);
                let from = match instruction.op1_kind() {
                    OpKind::Register => instruction.op1_register().size(),
                    _ => instruction.memory_size().size(),
                };
                self.assign(state, instruction, 0, value.extended(from as u32 * 8));
            }
            Mnemonic::Cdqe => {
                let value = state.read(Register::EAX);
                state.write(Register::RAX, value.extended(32));
            }
            Mnemonic::Cwde | Mnemonic::Cbw => {
                let value = state.read(Register::AX).with_bits(Bits::UNKNOWN);
                state.write(Register::EAX, value);
            }
            // The sign of an address.
            Mnemonic::Cqo => state.set(Register::RDX, Value::unknown()),
            Mnemonic::Cdq => state.set(Register::RDX, Value::unknown()),
            Mnemonic::Lea => {
                let address = self.address(state, instruction);
                state.write(instruction.op0_register(), address);
            }
            Mnemonic::Add | Mnemonic::Sub => {
                let to = self.destination(state, instruction);
                let other = self.whole_operand(state, instruction, 1);
                let result = match instruction.mnemonic() {
                    Mnemonic::Sub if is_same_register(instruction) => Value::plain(Bits::of(0)),
                    Mnemonic::Sub => to.value.minus(&other),
                    _ => to.value.plus(&other),
                };
                self.assign(state, instruction, to.operand, result);
            }
            Mnemonic::Adc | Mnemonic::Sbb | Mnemonic::Adcx | Mnemonic::Adox => {
                let to = self.destination(state, instruction);
                let other = self.whole_operand(state, instruction, 1);
                // All bits the same as the carry: no value of the register's is in it.
                let result = match is_same_register(instruction) && instruction.mnemonic() == Mnemonic::Sbb {
                    true => Value::unknown(),
                    false => to.value.made_from(&other, Bits::UNKNOWN),
                };
                self.assign(state, instruction, to.operand, result);
            }
            Mnemonic::Inc | Mnemonic::Dec => {
                let to = self.destination(state, instruction);
                let one = Value::plain(Bits::of(1));
                let result = match instruction.mnemonic() {
                    Mnemonic::Inc => to.value.plus(&one),
                    _ => to.value.minus(&one),
                };
                self.assign(state, instruction, to.operand, result);
            }
            Mnemonic::Neg => {
                let to = self.destination(state, instruction);
                let result = Value::plain(Bits::of(0)).minus(&to.value);
                self.assign(state, instruction, to.operand, result);
            }
            Mnemonic::Not => {
                let to = self.destination(state, instruction);
                let result = to.value.with_bits(to.value.bits.inverted());
                self.assign(state, instruction, to.operand, result);
            }
            Mnemonic::Imul if instruction.op_count() > 1 => {
                let first = instruction.op_count() - 2;
                let one = self.whole_operand(state, instruction, first);
                let other = self.whole_operand(state, instruction, first + 1);
                let product = one.made_from(&other, one.bits.times(other.bits));
                self.assign(state, instruction, 0, product);
            }
            Mnemonic::Mul | Mnemonic::Imul | Mnemonic::Div | Mnemonic::Idiv => {
                let factor = self.whole_operand(state, instruction, 0);
                let rax = self.whole_register(state, Register::RAX, at);
                let rdx = self.whole_register(state, Register::RDX, at);
                let product = matches!(instruction.mnemonic(), Mnemonic::Mul | Mnemonic::Imul);
                let (lower, upper) = match product {
                    true => (rax.made_from(&factor, Bits::UNKNOWN), rax.made_from(&factor, Bits::UNKNOWN)),
                    false => {
                        let quotient = rax.made_from(&rdx, Bits::UNKNOWN).made_from(&factor, Bits::UNKNOWN);
                        (quotient.scattered(), quotient)
                    }
                };
                state.set(Register::RAX, lower);
                state.set(Register::RDX, upper.scattered());
            }
            Mnemonic::Mulx => {
                let factor = self.whole_operand(state, instruction, 2);
                let rdx = self.whole_register(state, Register::RDX, at);
                let product = factor.made_from(&rdx, Bits::UNKNOWN);
                self.assign(state, instruction, 1, product.clone());
                self.assign(state, instruction, 0, product.scattered());
            }
            Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr | Mnemonic::Sar => {
                let to = self.destination(state, instruction);
                let count = self.operand(state, instruction, 1);
                self.need(&count, 6, at, true);
                let count = count.bits.number().filter(|_| !count.is_derived());
                let count = count.map(|count| (count & if width == 64 { 63 } else { 31 }) as u32);
                let left = matches!(instruction.mnemonic(), Mnemonic::Shl | Mnemonic::Sal);
                let result = match (count, left) {
                    (Some(count), true) => to.value.shl(count),
                    (Some(count), false) if instruction.mnemonic() == Mnemonic::Shr => to.value.shr(count),
                    (Some(count), false) => {
                        let signed = to.value.with_bits(Bits::UNKNOWN).shr(count);
                        signed.with_bits(Bits::UNKNOWN)
                    }
                    (None, true) => to.value.with_bits(Bits::UNKNOWN),
                    (None, false) => to.value.scattered(),
                };
                self.assign(state, instruction, to.operand, result);
            }
            Mnemonic::Shlx | Mnemonic::Shrx | Mnemonic::Sarx => {
                let value = self.whole_operand(state, instruction, 1);
                let count = self.operand(state, instruction, 2);
                self.need(&count, 6, at, true);
                let result = match instruction.mnemonic() {
                    Mnemonic::Shlx => value.with_bits(Bits::UNKNOWN),
                    _ => value.scattered(),
                };
                self.assign(state, instruction, 0, result);
            }
            Mnemonic::Rol | Mnemonic::Ror | Mnemonic::Rcl | Mnemonic::Rcr => {
                let to = self.destination(state, instruction);
                let count = self.operand(state, instruction, 1);
                self.need(&count, 6, at, true);
                self.assign(state, instruction, to.operand, to.value.scattered());
            }
            Mnemonic::Shld | Mnemonic::Shrd => {
                let to = self.destination(state, instruction);
                let other = self.whole_operand(state, instruction, 1);
                let count = self.operand(state, instruction, 2);
                self.need(&count, 6, at, true);
                let result = to.value.made_from(&other, Bits::UNKNOWN).scattered();
                self.assign(state, instruction, to.operand, result);
            }
            Mnemonic::Or => self.combine(state, instruction, width),
            Mnemonic::Xor if is_same_register(instruction) => {
                self.assign(state, instruction, 0, Value::plain(Bits::of(0)));
            }
            Mnemonic::And | Mnemonic::Test if is_same_register(instruction) => {
                // All bits being zero is nothing that an address of 64 bits is.
                let value = self.operand(state, instruction, 0);
                if width < 64 {
                    self.need(&value, width, at, true);
                }
                if instruction.mnemonic() == Mnemonic::And {
                    self.assign(state, instruction, 0, value);
                }
            }
            Mnemonic::And | Mnemonic::Xor | Mnemonic::Test => {
                let other = self.whole_operand(state, instruction, 1);
                let mut to = Destination { operand: 0, value: self.operand(state, instruction, 0) };
                let count = width_of(!other.bits.zeros & mask);
                // Where others were put in the place of the low bits, those may be all that counts (`sete`, `and $1`).
                let replaced = instruction.mnemonic() != Mnemonic::Xor && count > 0 && !other.is_derived();
                to.value = match replaced && count <= to.value.patched {
                    true => to.value.truncated(count.into()),
                    false => self.whole(to.value, at),
                };
                // What is exclusive or with 64 bits of which no compiler knew one is a number of which it knows none
                // (a hash of an address): no sum or difference was written so, and nothing of the address shows in it.
                if instruction.mnemonic() == Mnemonic::Xor
                    && width == 64
                    && (to.value.is_unknown() || other.is_unknown())
                {
                    return self.assign(state, instruction, to.operand, Value::unknown());
                }
                self.meet(&to.value, &other, mask, at, true);
                self.meet(&other, &to.value, mask, at, true);
                let result = match instruction.mnemonic() {
                    Mnemonic::Xor => to.value.made_from(&other, to.value.bits.xor(other.bits)),
                    _ => intersection(&to.value, &other),
                };
                if instruction.mnemonic() != Mnemonic::Test {
                    self.assign(state, instruction, to.operand, result);
                    self.realigned_frame(state, instruction);
                }
            }
            Mnemonic::Andn => {
                let inverted = self.whole_operand(state, instruction, 1);
                let inverted = inverted.with_bits(inverted.bits.inverted());
                let other = self.whole_operand(state, instruction, 2);
                self.meet(&inverted, &other, mask, at, true);
                self.meet(&other, &inverted, mask, at, true);
                let result = intersection(&inverted, &other);
                self.assign(state, instruction, 0, result);
            }
            Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc
                if instruction.op0_kind() == OpKind::Register =>
            {
                let to = self.destination(state, instruction);
                let index = self.operand(state, instruction, 1);
                self.need(&index, 6, at, true);
                let bit = index.bits.number().filter(|_| !index.is_derived());
                let count = bit.map_or(width, |bit| (bit % u64::from(width.max(1))) as u8 + 1);
                self.need(&to.value, count, at, true);
                if instruction.mnemonic() != Mnemonic::Bt {
                    let result = to.value.with_bits(Bits::UNKNOWN);
                    self.assign(state, instruction, to.operand, result);
                }
            }
            Mnemonic::Cmp => {
                self.whole_operand(state, instruction, 0);
                self.whole_operand(state, instruction, 1);
            }
            _ if instruction.is_jcc_short_or_near() || instruction.is_jcx_short() => {}
            _ if is_conditional_move(instruction.mnemonic()) => {
                let old = self.operand(state, instruction, 0);
                let new = self.operand(state, instruction, 1);
                self.assign(state, instruction, 0, old.or_else(&new));
            }
            Mnemonic::Xchg => {
                let one = self.operand(state, instruction, 0);
                let other = self.operand(state, instruction, 1);
                self.assign(state, instruction, 0, other);
                self.assign(state, instruction, 1, one);
            }
            Mnemonic::Xadd => {
                let one = self.destination(state, instruction);
                let other = self.whole_operand(state, instruction, 1);
                let sum = one.value.plus(&other);
                self.assign(state, instruction, 1, one.value);
                self.assign(state, instruction, 0, sum);
            }
            Mnemonic::Cmpxchg => {
                let old = self.destination(state, instruction);
                let new = self.whole_operand(state, instruction, 1);
                self.assign(state, instruction, 0, old.value.or_else(&new));
                // Of the whole register other bits than those of its part stay what they are, and count for nothing.
                let part = match width {
                    8 => Register::AL,
                    16 => Register::AX,
                    _ => Register::RAX,
                };
                let accumulator = self.whole_register(state, part, at);
                state.write(part, accumulator.or_else(&old.value));
            }
            Mnemonic::Cmpxchg8b | Mnemonic::Cmpxchg16b => {
                for register in [Register::RAX, Register::RDX] {
                    let value = state.register(register);
                    state.set(register, value.or_else(&Value::unknown()));
                }
            }
            Mnemonic::Push => {
                let value = self.operand(state, instruction, 0);
                self.move_stack(state, instruction, -8);
                let top = state.register(Register::RSP);
                state.store(&top, true, 8, value);
            }
            Mnemonic::Pop => {
                let top = state.register(Register::RSP);
                let value = state.load(&top, true, 8);
                self.move_stack(state, instruction, 8);
                self.assign(state, instruction, 0, value);
            }
            Mnemonic::Leave => {
                let frame = state.register(Register::RBP);
                let value = state.load(&frame, true, 8);
                state.set(Register::RSP, frame.plus(&Value::plain(Bits::of(8))));
                state.set(Register::RBP, value);
            }
            Mnemonic::Syscall => {
                for register in [Register::RAX, Register::RCX, Register::R11] {
                    state.set(register, Value::unknown());
                }
            }
            // The address may be any: nothing is read there as data. What there is in the other half of a vector register
            // is left for good.
            Mnemonic::Nop
            | Mnemonic::Vzeroupper
            | Mnemonic::Prefetcht0
            | Mnemonic::Prefetcht1
            | Mnemonic::Prefetcht2
            | Mnemonic::Prefetchnta
            | Mnemonic::Prefetchw
            | Mnemonic::Call
            | Mnemonic::Jmp
            | Mnemonic::Ret => {}
            // Words are copied and compared whole.
            _ if instruction.is_string_instruction() => {
                let pointers = [Register::RSI, Register::RDI];
                for register in pointers {
                    let value = state.register(register);
                    state.set(register, value.with_bits(Bits::UNKNOWN));
                }
                self.write_all_but(state, instruction, &Value::unknown(), &pointers);
            }
            _ => match vector::use_of(instruction) {
                Some(usage) => self.vector(state, instruction, usage),
                None => self.otherwise(state, instruction),
            },
        }
    }

    /// `or`. A compiler that knows that its operands share no bits writes it for an addition. That they share none
    /// is seen where the session's bits of both are known. Of an immediate nothing else counts. Where another register
    /// or word is the other operand, its bits may not be known here, but what is combined with a whole address
    /// is an offset: another number would not leave an address. If what the code does with the result is to look
    /// at its bits, it may not be one (`(a | b) & 15` asks whether both are aligned): then it is no addition.
    fn combine(&mut self, state: &mut State, instruction: &Instruction, width: u8) {
        let at = instruction.ip();
        if is_same_register(instruction) {
            let value = self.operand(state, instruction, 0);
            return self.assign(state, instruction, 0, value);
        }
        let to = self.destination(state, instruction);
        let other = self.whole_operand(state, instruction, 1);
        let mut result = to.value.made_from(&other, to.value.bits.or(other.bits));
        result.width = to.value.width.max(other.width);
        if result.is_derived() {
            let disjoint = !to.value.bits.zeros & !other.bits.zeros & low(width) == 0;
            let overlaps = to.value.bits.ones & other.bits.ones != 0;
            let immediate = !matches!(instruction.op1_kind(), OpKind::Register | OpKind::Memory);
            let in_frame = instruction.op0_kind() == OpKind::Register
                || self.address(state, instruction).frame.is_some_and(|frame| frame.offset.is_some());
            let possible = if immediate { disjoint } else { !overlaps };
            let bytes = self.code.bytes(at).and_then(|bytes| bytes.get(..instruction.len()));
            let addition = bytes
                .filter(|_| possible && in_frame && width == 64 && self.fields(instruction).is_empty())
                .and_then(addition);
            let known = self
                .needs
                .combinations
                .entry(at)
                .or_insert_with(|| Combination { addition: addition.clone(), looked_at: false });
            if addition.is_none() {
                known.addition = None;
            }
            let stays = known.addition.is_none();
            if !stays && !disjoint {
                result.combined.add(&Set::of(at));
            }
            self.meet(&to.value, &other, low(width), at, stays);
            self.meet(&other, &to.value, low(width), at, stays);
        }
        self.assign(state, instruction, to.operand, result);
    }

    /// Bits of a value that meet those of another one by one. `looks`: what comes of it is no sum.
    fn meet(&mut self, value: &Value, other: &Value, mask: u64, at: u64, looks: bool) {
        self.need(value, counted(other, mask), at, looks);
    }

    /// `and $-64,%rsp` begins another frame.
    fn realigned_frame(&mut self, state: &mut State, instruction: &Instruction) {
        if instruction.op0_kind() == OpKind::Register && instruction.op0_register() == Register::RSP {
            let entry = State::at_entry(instruction.ip());
            state.set(Register::RSP, entry.register(Register::RSP));
        }
    }

    fn move_stack(&mut self, state: &mut State, instruction: &Instruction, bytes: i64) {
        // With an operand size prefix it is two bytes.
        let whole = instruction.stack_pointer_increment().unsigned_abs() == 8;
        let top = state.register(Register::RSP);
        let moved = match whole {
            true => top.plus(&Value::plain(Bits::of(bytes as u64))),
            false => Value::unknown(),
        };
        state.set(Register::RSP, moved);
    }

    /// Memory operands that must be aligned.
    fn check_memory(&mut self, state: &State, instruction: &Instruction) {
        let bytes = vector::alignment(instruction);
        if bytes > 1 && !is_thread_local(instruction) {
            let address = self.address(state, instruction);
            self.need(&address, bytes.trailing_zeros() as u8, instruction.ip(), false);
        }
    }

    fn vector(&mut self, state: &mut State, instruction: &Instruction, usage: VectorUse) {
        let operands = self.data_operands(state, instruction);
        let read = operands.into_iter().reduce(|one, other| one.or_else(&other));
        let read = read.unwrap_or_else(Value::unknown);
        let result = match usage {
            _ if !read.is_derived() => Value::unknown(),
            VectorUse::Zero | VectorUse::Compare => Value::unknown(),
            VectorUse::Move => read.with_bits(Bits::UNKNOWN),
            VectorUse::MoveWord => read,
            VectorUse::Shuffle => read.scattered(),
            VectorUse::Words => read.with_bits(Bits::UNKNOWN),
            VectorUse::Arithmetic => read.scattered(),
            VectorUse::Bitwise => {
                self.need(&read, 64, instruction.ip(), true);
                read.scattered()
            }
        };
        self.write_all_but(state, instruction, &result, &[]);
    }

    /// What nothing is known of: all that it reads counts.
    fn otherwise(&mut self, state: &mut State, instruction: &Instruction) {
        let mut result = Value::unknown();
        for value in self.data_operands(state, instruction) {
            if value.is_derived() {
                self.need(&value, 64, instruction.ip(), true);
                result = result.or_else(&value).scattered();
            }
        }
        self.write_all_but(state, instruction, &result, &[]);
    }
}

/// How many low bits of a value count where they meet the bits of another: those up to the last one that is not the
/// same for all bits from there on.
fn counted(other: &Value, mask: u64) -> u8 {
    if other.is_derived() {
        return width_of(mask);
    }
    width_of(!other.bits.zeros & mask).min(width_of(!other.bits.ones & mask))
}

/// The bits that both have.
fn intersection(one: &Value, other: &Value) -> Value {
    let result = one.made_from(other, one.bits.and(other.bits));
    let bound = |value: &Value| match value.is_derived() {
        true => value.width,
        false => value.width.min(width_of(!value.bits.zeros)),
    };
    result.narrowed(bound(one)).narrowed(bound(other))
}

fn is_same_register(instruction: &Instruction) -> bool {
    instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Register
        && instruction.op0_register() == instruction.op1_register()
}

/// The width in bits of what an instruction works on.
fn width_of_operand(instruction: &Instruction) -> u8 {
    let bytes = match instruction.op0_kind() {
        OpKind::Register => instruction.op0_register().size(),
        OpKind::Memory => instruction.memory_size().size(),
        _ => 8,
    };
    (bytes.min(8) * 8) as u8
}

pub(super) fn is_conditional_move(mnemonic: Mnemonic) -> bool {
    use Mnemonic::*;
    matches!(
        mnemonic,
        Cmova
            | Cmovae
            | Cmovb
            | Cmovbe
            | Cmove
            | Cmovg
            | Cmovge
            | Cmovl
            | Cmovle
            | Cmovne
            | Cmovno
            | Cmovnp
            | Cmovns
            | Cmovo
            | Cmovp
            | Cmovs
    )
}
