//! Where an instruction's values come from and go to: registers, the frame, the object's own data, and constants that are
//! places.

use std::collections::BTreeMap;

use iced_x86::{
    ConstantOffsets, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register,
};

use super::super::{CodeView, Seed};
use super::state::State;
use super::values::{Bits, Entry, Frame, SCATTERED, Set, Value};

/// Everything that instructions were seen to need.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// How many low bits, by place and instruction.
    pub(super) bits: BTreeMap<(u64, u64), u8>,
    /// The same of some place, which one cannot be told, by instruction.
    pub(super) of_any: BTreeMap<u64, u8>,
    /// Instructions that combine by `or`.
    pub(super) combinations: BTreeMap<u64, Combination>,
    /// Whether the result of some combination, which one cannot be told, was looked at bit by bit.
    pub(super) any_looked_at: bool,
}

/// An `or` with a value that comes from a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Combination {
    /// The addition of the same operands.
    pub(super) addition: Option<Vec<u8>>,
    /// Its result was looked at bit by bit, although its operands may share bits.
    pub(super) looked_at: bool,
}

/// Steps through instructions.
pub(super) struct Effects<'a> {
    pub(super) code: &'a dyn CodeView,
    pub(super) seeds: &'a [Seed],
    factory: InstructionInfoFactory,
    pub(super) needs: Needs,
}

/// The operand that an instruction works on, and what it has there.
pub(super) struct Destination {
    pub(super) operand: u32,
    pub(super) value: Value,
}

impl<'a> Effects<'a> {
    pub(super) fn new(code: &'a dyn CodeView, seeds: &'a [Seed]) -> Self {
        Effects { code, seeds, factory: InstructionInfoFactory::new(), needs: Needs::default() }
    }

    /// Notes that so many low bits of a value count to the instruction there. `looks`: one by one.
    pub(super) fn need(&mut self, value: &Value, count: u8, at: u64, looks: bool) {
        if !value.is_derived() || count == 0 {
            return;
        }
        if looks {
            self.needs.any_looked_at |= value.combined.is_all();
            for combination in value.combined.members() {
                if let Some(combination) = self.needs.combinations.get_mut(combination) {
                    combination.looked_at = true;
                }
            }
        }
        let count = count.min(value.width);
        let bits = match value.shift {
            _ if count == 0 => 0,
            SCATTERED => 64,
            shift => (i16::from(count) - shift).clamp(0, 64) as u8,
        };
        if bits == 0 {
            return;
        }
        if value.places.is_all() {
            let known = self.needs.of_any.entry(at).or_default();
            *known = bits.max(*known);
        }
        for &place in value.places.members() {
            let known = self.needs.bits.entry((place, at)).or_default();
            *known = bits.max(*known);
        }
    }

    /// The seeds at addresses from `start` to `end`.
    fn seeds_in(&self, start: u64, end: u64) -> &'a [Seed] {
        let first = self.seeds.partition_point(|seed| seed.address < start);
        let end = self.seeds.partition_point(|seed| seed.address < end);
        self.seeds.get(first..end).unwrap_or_default()
    }

    /// The instruction's own constants that are places.
    pub(super) fn fields(&self, instruction: &Instruction) -> &'a [Seed] {
        self.seeds_in(instruction.ip(), instruction.next_ip())
    }

    fn constant_offsets(&self, instruction: &Instruction) -> ConstantOffsets {
        let bytes = self.code.bytes(instruction.ip()).unwrap_or_default();
        let mut decoder = Decoder::with_ip(64, bytes, instruction.ip(), DecoderOptions::MPX);
        let decoded = decoder.decode();
        decoder.get_constant_offsets(&decoded)
    }

    /// What the immediate or the displacement is, if that is a place or refers to what the object has.
    fn field(&self, instruction: &Instruction, immediate: bool) -> Option<Value> {
        // One byte at least comes before a field of four.
        if instruction.len() < 5 {
            return None;
        }
        let offsets = self.constant_offsets(instruction);
        let (offset, size) = match immediate {
            true => (offsets.immediate_offset(), offsets.immediate_size()),
            false => (offsets.displacement_offset(), offsets.displacement_size()),
        };
        if size < 4 {
            return None;
        }
        let field = instruction.ip() + offset as u64;
        if let Some(seed) = self.fields(instruction).iter().find(|seed| seed.address == field) {
            return Some(of_seed(seed));
        }
        self.code.referent(field, instruction.next_ip()).map(|referent| self.data(referent))
    }

    /// The address of something that the object has.
    fn data(&self, address: u64) -> Value {
        let base = self.code.section(address).start;
        let frame = Some(Frame { base, offset: Some(address.wrapping_sub(base) as i64) });
        Value { frame, addresses: Some(Set::of(address)), ..Value::unknown() }
    }

    /// A value that counts as a whole where some of its bits were replaced.
    pub(super) fn whole(&mut self, value: Value, at: u64) -> Value {
        if value.patched > 0 {
            self.need(&value, value.patched, at, true);
        }
        Value { patched: 0, ..value }
    }

    pub(super) fn whole_register(&mut self, state: &State, register: Register, at: u64) -> Value {
        let value = state.read(register);
        self.whole(value, at)
    }

    /// The address of the memory operand.
    pub(super) fn address(&mut self, state: &State, instruction: &Instruction) -> Value {
        let (fixed, index) = self.address_parts(state, instruction);
        fixed.plus(&index)
    }

    /// The address of the memory operand without what is taken for its index, and that.
    fn address_parts(&mut self, state: &State, instruction: &Instruction) -> (Value, Value) {
        let at = instruction.ip();
        let zero = || Value::plain(Bits::of(0));
        let base = match instruction.memory_base() {
            Register::None => zero(),
            // What lies there is the object's own, unless the field is a place.
            Register::RIP | Register::EIP => {
                let own = || self.data(instruction.ip_rel_memory_address());
                return (self.field(instruction, false).unwrap_or_else(own), zero());
            }
            base => self.whole_register(state, base, at),
        };
        let scale = instruction.memory_index_scale().trailing_zeros();
        let index = match instruction.memory_index() {
            Register::None => zero(),
            index if index.is_vector_register() => self.whole_register(state, index, at).scattered(),
            index if scale == 0 => self.whole_register(state, index, at),
            index => self.whole_register(state, index, at).shl(scale),
        };
        // The one that is known to be an address, whichever is named first.
        let (base, index) = if index.frame.is_some() { (index, base) } else { (base, index) };
        let number = || Value::plain(Bits::of(instruction.memory_displacement64()));
        let displacement = match instruction.memory_displ_size() {
            0 | 1 => number(),
            _ => self.field(instruction, false).unwrap_or_else(number),
        };
        match displacement.frame {
            Some(_) => (displacement, base.plus(&index)),
            None => (base.plus(&displacement), index),
        }
    }

    fn load(&mut self, state: &State, instruction: &Instruction) -> Value {
        if is_thread_local(instruction) {
            return Value::unknown();
        }
        let size = instruction.memory_size().size();
        let (fixed, index) = self.address_parts(state, instruction);
        let address = fixed.plus(&index);
        match address.frame {
            Some(frame) if frame.is_data() => {
                let entry = fixed.frame.and_then(Frame::address).and_then(|table| self.entry(table, size));
                Value { entry, ..self.load_data(frame, size as u64) }
            }
            _ => state.load(&address, instruction.memory_base() == Register::RSP, size),
        }
    }

    /// What is read from a table that leads into code.
    fn entry(&self, table: u64, size: usize) -> Option<Entry> {
        let leads = |distances| self.code.table(table, distances).is_some();
        (matches!(size, 4 | 8) && (leads(false) || leads(true))).then_some(Entry { table, added: false })
    }

    /// What is read of the object's own data: words of it may be places.
    fn load_data(&self, frame: Frame, size: u64) -> Value {
        // Less than a word is no address.
        if size < 8 {
            return Value::plain(Bits::UNKNOWN.truncated(size as u32 * 8));
        }
        let words = match frame.offset {
            Some(offset) => {
                let start = frame.base.wrapping_add(offset as u64);
                self.seeds_in(start.saturating_sub(7), start.saturating_add(size))
            }
            None => {
                let section = self.code.section(frame.base);
                self.seeds_in(section.start, section.end)
            }
        };
        let words = words.iter().filter(|seed| seed.instruction.is_none());
        let exact = |seed: &Seed| {
            size == 8
                && frame.offset.map(|offset| frame.base.wrapping_add(offset as u64)) == Some(seed.address)
        };
        // Words of a vector stay words.
        let read = words.map(|seed| match exact(seed) {
            true => of_seed(seed),
            false => of_seed(seed).with_bits(Bits::UNKNOWN),
        });
        read.reduce(|one, other| one.or_else(&other)).unwrap_or_else(Value::unknown)
    }

    /// An operand that is read.
    pub(super) fn operand(&mut self, state: &State, instruction: &Instruction, operand: u32) -> Value {
        match instruction.op_kind(operand) {
            OpKind::Register => state.read(instruction.op_register(operand)),
            OpKind::Memory => self.load(state, instruction),
            OpKind::Immediate8
            | OpKind::Immediate8_2nd
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64 => {
                let number = || Value::plain(Bits::of(instruction.immediate(operand)));
                self.field(instruction, true).unwrap_or_else(number)
            }
            _ => Value::unknown(),
        }
    }

    pub(super) fn whole_operand(&mut self, state: &State, instruction: &Instruction, operand: u32) -> Value {
        let value = self.operand(state, instruction, operand);
        self.whole(value, instruction.ip())
    }

    pub(super) fn assign(
        &mut self,
        state: &mut State,
        instruction: &Instruction,
        operand: u32,
        value: Value,
    ) {
        match instruction.op_kind(operand) {
            OpKind::Register => state.write(instruction.op_register(operand), value),
            OpKind::Memory if !is_thread_local(instruction) => {
                let address = self.address(state, instruction);
                // What leaves the function leaves it as a whole.
                let value = if address.frame.is_none() { self.whole(value, instruction.ip()) } else { value };
                let size = instruction.memory_size().size();
                state.store(&address, instruction.memory_base() == Register::RSP, size, value);
            }
            _ => {}
        }
    }

    pub(super) fn destination(&mut self, state: &State, instruction: &Instruction) -> Destination {
        Destination { operand: 0, value: self.whole_operand(state, instruction, 0) }
    }

    /// What an instruction reads, but what it only finds its memory operand by.
    pub(super) fn data_operands(&mut self, state: &State, instruction: &Instruction) -> Vec<Value> {
        let info = self.factory.info(instruction);
        let accesses: Vec<OpAccess> = (0..instruction.op_count()).map(|i| info.op_access(i)).collect();
        let named: Vec<Register> = (0..instruction.op_count())
            .filter(|&i| instruction.op_kind(i) == OpKind::Register)
            .map(|i| instruction.op_register(i).full_register())
            .collect();
        let pointing: Vec<Register> = info
            .used_memory()
            .iter()
            .flat_map(|m| [m.base().full_register(), m.index().full_register()])
            .collect();
        let implied: Vec<Register> = info
            .used_registers()
            .iter()
            .filter(|used| reads(used.access()))
            .map(|used| used.register())
            .filter(|register| {
                let full = register.full_register();
                !named.contains(&full) && !pointing.contains(&full)
            })
            .collect();
        let mut values: Vec<Value> = implied.into_iter().map(|register| state.read(register)).collect();
        for (operand, access) in (0..).zip(accesses) {
            if reads(access) {
                values.push(self.operand(state, instruction, operand));
            }
        }
        values
    }

    /// All that the instruction writes, but those registers, gets the value.
    pub(super) fn write_all_but(
        &mut self,
        state: &mut State,
        instruction: &Instruction,
        value: &Value,
        besides: &[Register],
    ) {
        let info = self.factory.info(instruction);
        let memory = (0..instruction.op_count())
            .any(|i| instruction.op_kind(i) == OpKind::Memory && writes(info.op_access(i)));
        let written: Vec<(Register, OpAccess)> = info
            .used_registers()
            .iter()
            .filter(|used| writes(used.access()) && !besides.contains(&used.register().full_register()))
            .map(|used| (used.register(), used.access()))
            .collect();
        for (register, access) in written {
            let certain = matches!(access, OpAccess::Write | OpAccess::ReadWrite);
            if certain {
                state.write(register, value.clone());
            } else {
                let old = state.read(register);
                state.write(register, old.or_else(value));
            }
        }
        if memory && !is_thread_local(instruction) {
            let address = self.address(state, instruction);
            let size = instruction.memory_size().size();
            state.store(&address, instruction.memory_base() == Register::RSP, size, value.clone());
        }
    }
}

fn of_seed(seed: &Seed) -> Value {
    let bits = seed.value.map_or(Bits::UNKNOWN, Bits::of);
    let (places, addresses) = (Set::of(seed.place.into()), Some(Set::default()));
    Value { places, bits, addresses, ..Value::unknown() }
}

/// Memory of the thread's own block, which no place leads to.
pub(super) fn is_thread_local(instruction: &Instruction) -> bool {
    matches!(instruction.segment_prefix(), Register::FS | Register::GS)
}

fn reads(access: OpAccess) -> bool {
    matches!(access, OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

fn writes(access: OpAccess) -> bool {
    matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}
