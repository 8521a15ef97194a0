//! What is known of registers and of the function's frame at one point of its code.

use std::collections::BTreeMap;

use iced_x86::Register;

use super::callee::Changed;
use super::values::{Bits, Frame, Value, low};

/// More parts of the frame are not told apart.
const SLOTS: usize = 64;

/// What a call does not keep (psABI 3.2.1). Of vector registers it keeps none.
const CLOBBERED: [Register; 9] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

/// A part of the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    size: i64,
    value: Value,
}

/// What is known at one point. What is missing is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    registers: BTreeMap<Register, Value>,
    /// By where the frame begins and the distance from there.
    slots: BTreeMap<(u64, i64), Slot>,
    /// What may be anywhere in the frame.
    anywhere: Value,
}

impl State {
    /// At the start of code at that address: all that is known is where its frame is.
    pub(super) fn at_entry(address: u64) -> Self {
        let stack = Value { frame: Some(Frame::of_stack(address)), ..Value::unknown() };
        State {
            registers: BTreeMap::from([(Register::RSP, stack)]),
            slots: BTreeMap::new(),
            anywhere: Value::unknown(),
        }
    }

    /// How much there is of it.
    pub(super) fn size(&self) -> usize {
        self.registers.len() + self.slots.len() + 1
    }

    /// A whole register.
    pub(super) fn register(&self, register: Register) -> Value {
        self.registers.get(&register).cloned().unwrap_or_else(Value::unknown)
    }

    /// Sets a whole register.
    pub(super) fn set(&mut self, register: Register, value: Value) {
        if value.is_unknown() {
            self.registers.remove(&register);
        } else {
            self.registers.insert(register, value);
        }
    }

    /// A register or the part of one that has its own name.
    pub(super) fn read(&self, register: Register) -> Value {
        let whole = self.register(register.full_register());
        match register.size() {
            _ if is_high_byte(register) => {
                let unpatched = whole.truncated(16);
                Value { patched: 0, ..unpatched.shr(8) }
            }
            1 => whole.truncated(8),
            2 => whole.truncated(16),
            4 => whole.truncated(32),
            _ => whole,
        }
    }

    /// Writes a register or a part of one. 32 bits clear the other half, fewer leave the rest.
    pub(super) fn write(&mut self, register: Register, value: Value) {
        let full = register.full_register();
        let (start, width) = match register.size() {
            _ if is_high_byte(register) => (8, 8),
            1 => (0, 8),
            2 => (0, 16),
            4 => return self.set(full, value.truncated(32)),
            _ => return self.set(full, value),
        };
        let old = self.register(full);
        let mask = low(width) << start;
        let part = value.bits.shl(start.into());
        let bits = Bits {
            zeros: old.bits.zeros & !mask | part.zeros & mask,
            ones: old.bits.ones & !mask | part.ones & mask,
        };
        let mut new = old.made_from(&value, bits);
        new.width = old.width.max(width + start);
        if old.is_derived() {
            new.patched = old.patched.max(width + start);
        }
        self.set(full, new);
    }

    /// `size` bytes of memory there.
    pub(super) fn load(&self, address: &Value, through_stack_pointer: bool, size: usize) -> Value {
        let width = (size as u32).saturating_mul(8);
        let unknown = Value::plain(Bits::UNKNOWN.truncated(width));
        let (base, offset) = match address.frame {
            Some(Frame { base, offset: Some(offset) }) => (base, offset),
            Some(_) => return self.any_slot(),
            None if through_stack_pointer => return self.any_slot(),
            None => return unknown,
        };
        let size = size as i64;
        let exact = self.slots.get(&(base, offset)).filter(|slot| slot.size >= size);
        let found = match exact {
            Some(slot) if width < 64 => slot.value.truncated(width),
            Some(slot) => slot.value.clone(),
            None => self
                .overlapping(base, offset, size)
                .map(|key| self.slots[&key].value.scattered())
                .reduce(|one, other| one.or_else(&other))
                .unwrap_or(unknown),
        };
        if self.anywhere.is_derived() { found.or_else(&self.anywhere) } else { found }
    }

    /// Stores `size` bytes there.
    pub(super) fn store(&mut self, address: &Value, through_stack_pointer: bool, size: usize, value: Value) {
        let (base, offset) = match address.frame {
            Some(frame) if frame.is_data() => return,
            Some(Frame { base, offset: Some(offset) }) => (base, offset),
            None if !through_stack_pointer => return,
            _ => return self.store_anywhere(&value),
        };
        let size = size as i64;
        let end = offset.saturating_add(size);
        for key in self.overlapping(base, offset, size).collect::<Vec<_>>() {
            let Some(old) = self.slots.remove(&key) else { continue };
            // What is left of it on both sides.
            let old_end = key.1 + old.size;
            for (start, end) in [(key.1, offset.min(old_end)), (end.max(key.1), old_end)] {
                if start < end {
                    self.keep((base, start), end - start, old.value.scattered());
                }
            }
        }
        self.keep((base, offset), size, value);
    }

    /// Remembers a part of the frame in which there is nothing yet.
    fn keep(&mut self, key: (u64, i64), size: i64, value: Value) {
        if !value.is_derived() && value.frame.is_none() {
            return;
        }
        if self.slots.len() < SLOTS {
            self.slots.insert(key, Slot { size, value });
        } else {
            self.store_anywhere(&value);
        }
    }

    fn store_anywhere(&mut self, value: &Value) {
        if value.is_derived() {
            self.anywhere = self.anywhere.or_else(value).scattered();
        }
    }

    fn any_slot(&self) -> Value {
        let values = self.slots.values().map(|slot| &slot.value).filter(|value| value.is_derived());
        values.fold(self.anywhere.clone(), |found, value| found.or_else(value).scattered())
    }

    /// No slot is longer than the largest register.
    fn overlapping(&self, base: u64, offset: i64, size: i64) -> impl Iterator<Item = (u64, i64)> + '_ {
        let (first, end) = (offset.saturating_sub(64), offset.saturating_add(size.max(1)));
        let near = self.slots.range((base, first)..(base, end.max(first)));
        near.filter(move |((_, start), slot)| start + slot.size > offset).map(|(key, _)| *key)
    }

    /// A call has returned of a function that changed those.
    pub(super) fn clobber(&mut self, changed: &Changed) {
        self.registers.retain(|register, _| {
            let kept = register.is_gpr64() && !CLOBBERED.contains(register);
            kept || !changed.all && !changed.registers.contains(register)
        });
    }

    /// This or the other; whether that is more.
    pub(super) fn join(&mut self, other: &State, widen: bool) -> bool {
        let joined_value = |one: &Value, other: &Value| match widen {
            true => one.or_else(other).widened(one),
            false => one.or_else(other),
        };
        let mut joined = State {
            registers: BTreeMap::new(),
            slots: BTreeMap::new(),
            anywhere: joined_value(&self.anywhere, &other.anywhere),
        };
        let unknown = Value::unknown();
        for register in self.registers.keys().chain(other.registers.keys()) {
            let of = |state: &State| state.registers.get(register).unwrap_or(&unknown).clone();
            if !joined.registers.contains_key(register) {
                joined.set(*register, joined_value(&of(self), &of(other)));
            }
        }
        for key in self.slots.keys().chain(other.slots.keys()) {
            if joined.slots.contains_key(key) {
                continue;
            }
            let slot = match (self.slots.get(key), other.slots.get(key)) {
                (Some(one), Some(other)) if one.size == other.size => {
                    Slot { value: joined_value(&one.value, &other.value), ..*one }
                }
                (Some(one), Some(other)) => Slot {
                    value: one.value.or_else(&other.value).scattered(),
                    size: one.size.max(other.size),
                },
                (Some(slot), None) => Slot { value: joined_value(&slot.value, &unknown), ..*slot },
                (None, Some(slot)) => Slot { value: joined_value(&unknown, &slot.value), ..*slot },
                (None, None) => continue,
            };
            if !slot.value.is_unknown() {
                joined.slots.insert(*key, slot);
            }
        }
        let more = joined != *self;
        *self = joined;
        more
    }

    /// Puts all that it knows of places into one set.
    pub(super) fn derived(&self) -> Value {
        let held = self.registers.values().chain(self.slots.values().map(|slot| &slot.value));
        held.filter(|value| value.is_derived())
            .fold(self.anywhere.clone(), |all, value| all.or_else(value).scattered())
    }
}

fn is_high_byte(register: Register) -> bool {
    matches!(register, Register::AH | Register::BH | Register::CH | Register::DH)
}
