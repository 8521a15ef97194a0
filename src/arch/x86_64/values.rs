//! What is known of a value while code is followed: which places it was made from and how far their bits have moved,
//! which bits it had in the session, and whether it is an address in the function's own frame.

/// More members are not told apart.
const LIMIT: usize = 16;

/// A small set of numbers; a large one is taken for the set of all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Set {
    members: Vec<u64>,
    all: bool,
}

impl Set {
    pub(super) fn of(member: u64) -> Self {
        Set { members: vec![member], all: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && !self.all
    }

    /// Whether it holds every number.
    pub(super) fn is_all(&self) -> bool {
        self.all
    }

    pub(super) fn members(&self) -> &[u64] {
        &self.members
    }

    pub(super) fn add(&mut self, other: &Set) {
        for &member in &other.members {
            if let Err(at) = self.members.binary_search(&member) {
                self.members.insert(at, member);
            }
        }
        if self.all || other.all || self.members.len() > LIMIT {
            *self = Set { members: Vec::new(), all: true };
        }
    }
}

/// What is known of 64 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits {
    /// Those that are 0.
    pub(super) zeros: u64,
    /// Those that are 1.
    pub(super) ones: u64,
}

impl Bits {
    pub(super) const UNKNOWN: Bits = Bits { zeros: 0, ones: 0 };

    pub(super) fn of(number: u64) -> Self {
        Bits { zeros: !number, ones: number }
    }

    /// The number, if all bits are known.
    pub(super) fn number(self) -> Option<u64> {
        (self.zeros | self.ones == u64::MAX).then_some(self.ones)
    }

    pub(super) fn or_else(self, other: Bits) -> Bits {
        Bits { zeros: self.zeros & other.zeros, ones: self.ones & other.ones }
    }

    /// Of the sum. A bit of it is known where both bits and the carry into it are.
    pub(super) fn plus(self, other: Bits, carry: bool) -> Bits {
        let carry = u64::from(carry);
        let most = (!self.zeros).wrapping_add(!other.zeros).wrapping_add(carry);
        let least = self.ones.wrapping_add(other.ones).wrapping_add(carry);
        let no_carry = !(most ^ self.zeros ^ other.zeros);
        let carried = least ^ self.ones ^ other.ones;
        let known = (self.zeros | self.ones) & (other.zeros | other.ones) & (no_carry | carried);
        Bits { zeros: !most & known, ones: least & known }
    }

    pub(super) fn minus(self, other: Bits) -> Bits {
        self.plus(other.inverted(), true)
    }

    pub(super) fn inverted(self) -> Bits {
        Bits { zeros: self.ones, ones: self.zeros }
    }

    pub(super) fn times(self, other: Bits) -> Bits {
        if let (Some(one), Some(other)) = (self.number(), other.number()) {
            return Bits::of(one.wrapping_mul(other));
        }
        // As many zeros at its end as both have together.
        let zeros = self.zeros.trailing_ones() + other.zeros.trailing_ones();
        Bits { zeros: low(zeros.min(64) as u8), ones: 0 }
    }

    pub(super) fn and(self, other: Bits) -> Bits {
        Bits { zeros: self.zeros | other.zeros, ones: self.ones & other.ones }
    }

    pub(super) fn or(self, other: Bits) -> Bits {
        Bits { zeros: self.zeros & other.zeros, ones: self.ones | other.ones }
    }

    pub(super) fn xor(self, other: Bits) -> Bits {
        let zeros = self.zeros & other.zeros | self.ones & other.ones;
        Bits { zeros, ones: self.zeros & other.ones | self.ones & other.zeros }
    }

    pub(super) fn shl(self, count: u32) -> Bits {
        Bits { zeros: self.zeros << count | low(count as u8), ones: self.ones << count }
    }

    pub(super) fn shr(self, count: u32) -> Bits {
        Bits { zeros: self.zeros >> count | !(u64::MAX >> count), ones: self.ones >> count }
    }

    /// Of the low `width` bits, zero-extended.
    pub(super) fn truncated(self, width: u32) -> Bits {
        let mask = low(width.min(64) as u8);
        Bits { zeros: self.zeros | !mask, ones: self.ones & mask }
    }

    /// Of the low `width` bits, sign-extended.
    pub(super) fn extended(self, width: u32) -> Bits {
        let mask = low(width.min(64) as u8);
        let sign = 1 << (width.clamp(1, 64) - 1);
        let bits = Bits { zeros: self.zeros & mask, ones: self.ones & mask };
        match (self.zeros & sign != 0, self.ones & sign != 0) {
            (true, _) => Bits { zeros: bits.zeros | !mask, ..bits },
            (_, true) => Bits { ones: bits.ones | !mask, ..bits },
            _ => bits,
        }
    }
}

/// So many low bits set.
pub(super) fn low(count: u8) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// How many low bits a number takes.
pub(super) fn width_of(number: u64) -> u8 {
    (64 - number.leading_zeros()) as u8
}

/// Bits of the places may be anywhere in a value.
pub(super) const SCATTERED: i16 = -64;

/// Set in the name of a point of the stack, in no address of what the object has.
const STACK: u64 = 1 << 63;

/// Where in memory that is known an address is: from a point of the stack, which is named by the address of the code that
/// set it, or in a section of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) base: u64,
    /// Bytes from there, if that is known.
    pub(super) offset: Option<i64>,
}

/// A word of the object's data that was read at an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// The address that the index counts from.
    pub(super) table: u64,
    /// That was added: the word is a distance from there.
    pub(super) added: bool,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// The places that it depends on; it may be something else on some path.
    pub(super) places: Set,
    /// Its bits up to `n` depend on bits of the places up to `n - shift` at most.
    pub(super) shift: i16,
    /// Its bits, in the session.
    pub(super) bits: Bits,
    /// All bits from that one on are 0 in every process.
    pub(super) width: u8,
    /// So many of its low bits were replaced.
    pub(super) patched: u8,
    /// The instructions that combined it by `or` from what could not be shown to share no bits.
    pub(super) combined: Set,
    pub(super) frame: Option<Frame>,
    /// It is an entry of a table of the object, or such an entry and the table's start.
    pub(super) entry: Option<Entry>,
    /// It is the constant of a place or one of these addresses in the object, whatever the path.
    pub(super) addresses: Option<Set>,
}

impl Value {
    /// Nothing is known of it.
    pub(super) fn unknown() -> Self {
        Value {
            places: Set::default(),
            shift: 0,
            bits: Bits::UNKNOWN,
            width: 64,
            patched: 0,
            combined: Set::default(),
            frame: None,
            entry: None,
            addresses: None,
        }
    }

    pub(super) fn plain(bits: Bits) -> Self {
        Value { bits, ..Value::unknown() }
    }

    pub(super) fn is_derived(&self) -> bool {
        !self.places.is_empty()
    }

    pub(super) fn is_unknown(&self) -> bool {
        !self.is_derived() && self.bits == Bits::UNKNOWN && self.frame.is_none() && self.entry.is_none()
    }

    /// It or the other.
    pub(super) fn or_else(&self, other: &Value) -> Value {
        let mut joined = self.made_from(other, self.bits.or_else(other.bits));
        joined.width = self.width.max(other.width);
        joined.frame = match (self.frame, other.frame) {
            (Some(one), Some(other)) if one.base == other.base => {
                Some(Frame { offset: one.offset.filter(|_| one.offset == other.offset), ..one })
            }
            _ => None,
        };
        joined.entry = self.entry.filter(|_| self.entry == other.entry);
        if let (Some(one), Some(other)) = (&self.addresses, &other.addresses) {
            let mut all = one.clone();
            all.add(other);
            joined.addresses = Some(all).filter(|all| !all.is_all());
        }
        joined
    }

    /// It, less what has changed since `before`: around a loop a count could become less known bit by bit.
    pub(super) fn widened(self, before: &Value) -> Value {
        let changed = (self.bits.zeros ^ before.bits.zeros) | (self.bits.ones ^ before.bits.ones);
        let stable = low(changed.trailing_zeros() as u8);
        let bits = Bits { zeros: self.bits.zeros & stable, ones: self.bits.ones & stable };
        let width = if self.width == before.width { self.width } else { 64 };
        let shift = if self.shift == before.shift { self.shift } else { SCATTERED };
        Value { bits, width, shift, ..self }
    }

    /// What depends on both, bit by bit.
    pub(super) fn made_from(&self, other: &Value, bits: Bits) -> Value {
        let mut places = self.places.clone();
        places.add(&other.places);
        let mut combined = self.combined.clone();
        combined.add(&other.combined);
        let shift = match (self.is_derived(), other.is_derived()) {
            (true, false) => self.shift,
            (false, true) => other.shift,
            _ => self.shift.min(other.shift),
        };
        let patched = self.patched.max(other.patched);
        Value { places, shift, bits, width: 64, patched, combined, ..Value::unknown() }
    }

    /// What depends on it in a way that cannot be told.
    pub(super) fn scattered(&self) -> Value {
        Value { shift: SCATTERED, ..self.with_bits(Bits::UNKNOWN) }
    }

    /// What depends on it, bit by bit.
    pub(super) fn with_bits(&self, bits: Bits) -> Value {
        Value { bits, width: 64, frame: None, entry: None, addresses: None, ..self.clone() }
    }

    /// Its low `width` bits, sign-extended.
    pub(super) fn extended(&self, width: u32) -> Value {
        let entry = self.entry.filter(|_| width == 32);
        Value { entry, ..self.with_bits(self.bits.extended(width)) }
    }

    /// What has no bits from that one on.
    pub(super) fn narrowed(self, width: u8) -> Value {
        Value { width: self.width.min(width), ..self }
    }

    pub(super) fn plus(&self, other: &Value) -> Value {
        let mut sum = self.made_from(other, self.bits.plus(other.bits, false));
        sum.frame = match (self.frame, other.frame) {
            (Some(frame), None) => Some(frame.moved(other.bits.number())),
            (None, Some(frame)) => Some(frame.moved(self.bits.number())),
            _ => None,
        };
        let added = |one: &Value, other: &Value| one.entry.and_then(|entry| entry.plus(other));
        sum.entry = added(self, other).or_else(|| added(other, self));
        sum
    }

    pub(super) fn minus(&self, other: &Value) -> Value {
        let mut difference = self.made_from(other, self.bits.minus(other.bits));
        difference.frame = match (self.frame, other.frame) {
            (Some(frame), None) => Some(frame.moved(other.bits.number().map(u64::wrapping_neg))),
            _ => None,
        };
        difference
    }

    pub(super) fn shl(&self, count: u32) -> Value {
        let moved = self.shift.saturating_add(count as i16).clamp(SCATTERED, 64);
        let shift = if self.shift == SCATTERED { SCATTERED } else { moved };
        let width = self.width.saturating_add(count as u8).min(64);
        Value { shift, width, ..self.with_bits(self.bits.shl(count)) }
    }

    pub(super) fn shr(&self, count: u32) -> Value {
        let shift = (self.shift - count as i16).max(SCATTERED);
        let width = self.width.saturating_sub(count as u8);
        Value { shift, width, ..self.with_bits(self.bits.shr(count)) }
    }

    /// Its low `width` bits, as reading a part of it gives them.
    pub(super) fn truncated(&self, width: u32) -> Value {
        if u32::from(self.patched) >= width {
            return Value::plain(Bits::UNKNOWN.truncated(width));
        }
        if width >= 64 {
            return self.clone();
        }
        // What had no more bits is still the same.
        let same = width == 32 && self.bits.zeros | low(32) == u64::MAX;
        let part = self.with_bits(self.bits.truncated(width)).narrowed(self.width).narrowed(width as u8);
        let addresses = self.addresses.as_ref().filter(|_| same).cloned();
        Value { entry: self.entry.filter(|_| same), addresses, ..part }
    }
}

impl Entry {
    /// It and the start of its table.
    fn plus(self, other: &Value) -> Option<Entry> {
        let start = other.frame.filter(|frame| frame.is_data()).and_then(Frame::address);
        (!self.added && start == Some(self.table)).then_some(Entry { added: true, ..self })
    }
}

impl Frame {
    /// The top of the stack as the code there finds or makes it.
    pub(super) fn of_stack(address: u64) -> Self {
        Frame { base: address | STACK, offset: Some(0) }
    }

    /// Whether it is in a section of the object.
    pub(super) fn is_data(self) -> bool {
        self.base & STACK == 0
    }

    /// The address, if it is known.
    pub(super) fn address(self) -> Option<u64> {
        self.offset.map(|offset| self.base.wrapping_add(offset as u64))
    }

    fn moved(self, bytes: Option<u64>) -> Frame {
        let offset = self.offset.zip(bytes).map(|(offset, bytes)| offset.wrapping_add(bytes as i64));
        Frame { offset, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number that such bits can be, of the lowest four.
    fn numbers(bits: Bits) -> impl Iterator<Item = u64> {
        (0..16).filter(move |n| n & bits.zeros == 0 && !n & bits.ones & 15 == 0)
    }

    fn all() -> impl Iterator<Item = Bits> {
        (0..16)
            .flat_map(|zeros| (0..16).map(move |ones| Bits { zeros: zeros | !15, ones }))
            .filter(|b| b.zeros & b.ones == 0)
    }

    #[test]
    fn known_bits_are_those_of_every_result() {
        type Operation = (fn(Bits, Bits) -> Bits, fn(u64, u64) -> u64);
        let operations: [Operation; 6] = [
            (|a, b| a.plus(b, false), u64::wrapping_add),
            (Bits::minus, u64::wrapping_sub),
            (Bits::times, u64::wrapping_mul),
            (Bits::and, |a, b| a & b),
            (Bits::or, |a, b| a | b),
            (Bits::xor, |a, b| a ^ b),
        ];
        for (index, (of_bits, of_numbers)) in operations.into_iter().enumerate() {
            for (a, b) in all().flat_map(|a| all().map(move |b| (a, b))) {
                let bits = of_bits(a, b);
                for result in numbers(a).flat_map(|m| numbers(b).map(move |n| of_numbers(m, n))) {
                    let wrong = result & bits.zeros | !result & bits.ones;
                    assert_eq!(
                        wrong, 0,
                        "operation {index} of {a:x?} and {b:x?} gives {bits:x?}, not {result:x}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_sum_of_numbers_is_a_number() {
        let sum = Bits::of(0x7f12_3456_0400).plus(Bits::of(64), false);
        assert_eq!(sum.number(), Some(0x7f12_3456_0440));
        assert_eq!(Bits::of(64).minus(Bits::of(65)).number(), Some(u64::MAX));
        assert_eq!(Bits::of(0x80).truncated(8).extended(8).number(), Some(0xffff_ffff_ffff_ff80));
    }

    #[test]
    fn shifts_move_what_depends_on_a_place() {
        let value = Value { places: Set::of(0), ..Value::unknown() };
        assert_eq!(value.shl(3).shr(5).shift, -2);
        assert_eq!(value.scattered().shl(63).shift, SCATTERED);
    }

    #[test]
    fn large_sets_are_the_set_of_all() {
        let mut set = Set::default();
        (0..=LIMIT as u64).for_each(|member| set.add(&Set::of(member)));
        assert!(set.is_all() && !set.is_empty());
    }
}
