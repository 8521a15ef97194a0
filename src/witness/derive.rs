//! Explains numbers that are addresses of neither session: one expression that gives the one number with this
//! session's addresses and the other with the other's. Two explanations are none.

use std::collections::BTreeSet;

use crate::Private;
use crate::session_map::{Anchor, Files, Meaning, SessionMap, Step};

/// How far before a thing a base may lie that an index corrects (`table[i - 1]`).
const BEFORE: u64 = 4096;

/// Memory is not shared by more than this many bits of a shift when things are looked for that the function does
/// not name: more bits lost, and everything explains everything.
const SHIFT_LIMIT: u32 = 16;

/// From so many things distances are looked for that the function does not name.
const MOST_LANDMARKS: usize = 1 << 14;

/// What explains a pair of numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Explanation {
    /// Nothing.
    None,
    /// This alone.
    One(Meaning),
    /// These, and perhaps more.
    Two(Meaning, Meaning),
}

/// A pair of numbers or addresses: of this session and of the other.
pub(super) type Pair = (u64, u64);

/// Two sessions, and what both knew.
pub(super) struct Sessions<'a> {
    pub(super) ours: &'a SessionMap,
    pub(super) theirs: &'a SessionMap,
    pub(super) files: &'a dyn Files,
    pub(super) private: Private,
    /// Addresses that both maps name, sorted.
    pub(super) landmarks: &'a [Pair],
    /// The high halves of addresses of things that both sessions had.
    pub(super) highs: &'a BTreeSet<Pair>,
}

impl Sessions<'_> {
    /// What both addresses mean, if that is the same and is known. An image that cannot be used makes nothing known.
    pub(super) fn same(&self, (a, b): Pair) -> Option<Meaning> {
        let ours = self.ours.meaning(a, self.files, self.private).ok()?;
        if matches!(ours, Meaning::Unresolved(_)) {
            return None;
        }
        let theirs = self.theirs.meaning(b, self.files, self.private).ok()?;
        same_target((&ours, self.ours), (&theirs, self.theirs)).then_some(ours)
    }

    /// Explains a pair of numbers; `near` are the addresses that the function around it uses.
    pub(super) fn explain<'s>(&'s self, pair: Pair, near: &'s [Pair]) -> Explanation {
        self.first(&[
            &|| self.near_exactly(pair, near),
            &|| self.near_inside(pair, near),
            &|| self.exactly(pair),
            &|| self.inside(pair),
            &|| self.distances(pair, near, is_exact),
            &|| self.distances(pair, near, |_| true),
            &|| self.distances_before(pair, near),
            &|| self.before(pair, &|_| near),
            &|| self.before(pair, &|address| self.landmarks_after(address)),
            &|| self.beside_numbers(pair),
            &|| self.distances_between_starts(pair),
        ])
    }

    /// Explains a pair of numbers that an instruction extends from 32 bits: as [`Self::explain`] does, and as low
    /// halves. High halves are not explained: see [`super::halves`].
    pub(super) fn explain_narrow<'s>(&'s self, pair: Pair, near: &'s [Pair]) -> Explanation {
        let high = |meaning: &Meaning| matches!(meaning, Meaning::Derived { step: Step::Shr(32), .. });
        self.first(&[
            &|| self.near_exactly(pair, near).into_iter().filter(|m| !high(m)).collect(),
            &|| self.near_inside(pair, near).into_iter().filter(|m| !high(m)).collect(),
            &|| self.exactly(pair),
            &|| self.inside(pair),
            &|| self.distances(pair, near, is_exact),
            &|| self.distances(pair, near, |_| true),
            &|| self.distances_before(pair, near),
            &|| self.before(pair, &|_| near),
            &|| self.before(pair, &|address| self.landmarks_after(address)),
            &|| self.low_halves(pair),
            &|| self.low_halves_near(pair, near),
            &|| self.low_halves_derived(pair),
            &|| self.distances_between_starts(pair),
        ])
    }

    /// What the first of the tiers says that says something.
    fn first(&self, tiers: &[&dyn Fn() -> Vec<Meaning>]) -> Explanation {
        for tier in tiers {
            let mut found: Vec<Meaning> = Vec::new();
            for meaning in tier() {
                if !found.iter().any(|known| is_same_number(known, &meaning)) {
                    found.push(meaning);
                }
            }
            let mut found = found.into_iter();
            match (found.next(), found.next()) {
                (None, _) => {}
                (Some(one), None) => return Explanation::One(one),
                (Some(one), Some(other)) => return Explanation::Two(one, other),
            }
        }
        Explanation::None
    }

    /// Operations on what the function names.
    fn near_exactly(&self, pair: Pair, near: &[Pair]) -> Vec<Meaning> {
        let mut found = Vec::new();
        for &base in near {
            for (step, address) in readings(pair) {
                if address == base {
                    found.extend(self.same(base).and_then(|m| derived(m, step)));
                }
            }
            for bits in 1..48 {
                let shifted = |address: u64| address >> bits;
                if pair.0 != 0 && (shifted(base.0), shifted(base.1)) == pair {
                    found.extend(self.same(base).and_then(|m| derived(m, Step::Shr(bits))));
                }
            }
        }
        found
    }

    /// Operations on an address inside of, or one past, what the function names.
    fn near_inside(&self, pair: Pair, near: &[Pair]) -> Vec<Meaning> {
        let mut found = Vec::new();
        for &base in near {
            let Some(meaning) = self.same(base) else { continue };
            for (step, address) in plain(pair).chain(readings(pair)) {
                // The thing itself must say that it is so large.
                if address.0.wrapping_sub(base.0) != address.1.wrapping_sub(base.1) {
                    continue;
                }
                let inner = self.same(address).or_else(|| self.one_past(address));
                if let Some(inner) = inner.filter(|inner| same_base(inner, &meaning)) {
                    found.extend(derived(inner, step));
                }
            }
        }
        found
    }

    /// Operations on the very address of something.
    fn exactly(&self, pair: Pair) -> Vec<Meaning> {
        let mut found = Vec::new();
        for (step, address) in readings(pair) {
            found.extend(self.same(address).filter(is_exact).and_then(|m| derived(m, step)));
        }
        for (bits, first) in shifts(pair) {
            found.extend(self.shifted(bits, first));
        }
        found
    }

    /// What lies at a pair of addresses whose last `bits` are not known, shifted right by so many.
    fn shifted(&self, bits: u8, first: Pair) -> Vec<Meaning> {
        let mut found = Vec::new();
        let last = first.0 | ((1 << bits) - 1);
        let from = self.landmarks.partition_point(|l| l.0 < first.0);
        let there = self.landmarks[from..].iter().take_while(|l| l.0 <= last);
        for &landmark in there.filter(|l| l.1 >> bits == first.1 >> bits) {
            found.extend(self.same(landmark).and_then(|m| derived(m, Step::Shr(bits))));
        }
        found.extend(self.same(first).filter(is_exact).and_then(|m| derived(m, Step::Shr(bits))));
        found
    }

    /// Addresses one past, and operations on an address inside of, something.
    fn inside(&self, pair: Pair) -> Vec<Meaning> {
        let mut found = Vec::new();
        found.extend(self.one_past(pair));
        for (step, address) in readings(pair) {
            let inner = self.same(address).or_else(|| self.one_past(address));
            found.extend(inner.and_then(|m| derived(m, step)));
        }
        for (bits, first) in shifts(pair) {
            let Some(meaning) = self.same(first) else { continue };
            // The bits that were lost are those of an aligned thing, and so 0, or they are not known.
            let base = (first.0.wrapping_sub(offset(&meaning)), first.1.wrapping_sub(offset(&meaning)));
            if (base.0 | base.1).is_multiple_of(1 << bits) {
                found.extend(derived(meaning, Step::Shr(bits)));
            }
        }
        found
    }

    /// What both addresses mean if they are the first behind something.
    pub(super) fn one_past(&self, (a, b): Pair) -> Option<Meaning> {
        self.same((a.wrapping_sub(1), b.wrapping_sub(1))).map(|last| plus(last, 1))
    }

    /// Addresses, and operations on them, before something: `bases` says before what an address may be.
    fn before<'s>(&'s self, pair: Pair, bases: &dyn Fn(Pair) -> &'s [Pair]) -> Vec<Meaning> {
        let mut found = Vec::new();
        for (step, address) in plain(pair).chain(readings(pair)) {
            for &base in bases(address) {
                let distance = base.0.wrapping_sub(address.0);
                if distance == base.1.wrapping_sub(address.1) && (1..=BEFORE).contains(&distance) {
                    let Some(meaning) = self.same(base) else { continue };
                    found.extend(derived(plus(meaning.clone(), -(distance as i64)), step));
                    // Or the thing's address without its last bits: a page's.
                    let bits = (u64::BITS - distance.leading_zeros()) as u8;
                    if step == Step::Add(0) && (address.0 | address.1).is_multiple_of(1 << bits) {
                        let shifted = Meaning::Derived { base: Box::new(meaning), step: Step::Shr(bits) };
                        let step = Step::Shl(bits);
                        found.push(Meaning::Derived { base: Box::new(shifted), step });
                    }
                }
            }
        }
        found
    }

    /// Distances between what the function names and something that `wanted` selects, either way: `add` and `sub`.
    fn distances(&self, pair: Pair, near: &[Pair], wanted: fn(&Meaning) -> bool) -> Vec<Meaning> {
        let to = |there: Pair| self.same(there).or_else(|| self.one_past(there)).filter(wanted);
        self.distances_by(pair, near, &|there| to(there).into_iter().collect())
    }

    /// Distances between what the function names and an address before something.
    fn distances_before(&self, pair: Pair, near: &[Pair]) -> Vec<Meaning> {
        self.distances_by(pair, near, &|there| {
            let after = self.landmarks_after(there).iter();
            let alike = after.filter(|l| l.0.wrapping_sub(there.0) == l.1.wrapping_sub(there.1));
            let before = |l: &Pair| self.same(*l).map(|m| plus(m, there.0.wrapping_sub(l.0) as i64));
            alike.filter_map(before).collect()
        })
    }

    /// Distances between what the function names and what `others` finds at a pair of addresses.
    fn distances_by(
        &self,
        (a, b): Pair,
        near: &[Pair],
        others: &dyn Fn(Pair) -> Vec<Meaning>,
    ) -> Vec<Meaning> {
        let mut found = Vec::new();
        let plain = |m: &Meaning| matches!(m, Meaning::Value(..) | Meaning::Symbol { .. });
        for base in near {
            let above = (base.0.wrapping_add(a), base.1.wrapping_add(b));
            let below = (base.0.wrapping_sub(a), base.1.wrapping_sub(b));
            for (there, is_above) in [(above, true), (below, false)] {
                let others = others(there);
                // Tried last: it is seldom that something lies there at all.
                let own = if others.is_empty() { None } else { self.same(*base) };
                let Some(own) = own.filter(plain) else { continue };
                for other in others.into_iter().filter(plain) {
                    let (to, from) = if is_above { (other, own.clone()) } else { (own.clone(), other) };
                    // Of two places in one thing the same distance leads to two in another: the offsets count together.
                    let start = (offset(&from) as i64).wrapping_neg();
                    let (to, from) = (plus(to, start), plus(from, start));
                    found.push(Meaning::Difference { to: Box::new(to), from: Box::new(from) });
                }
            }
        }
        found
    }

    /// Distances from the start of something to that of something else.
    fn distances_between_starts(&self, (a, b): Pair) -> Vec<Meaning> {
        let there = |base: &Pair| (base.0.wrapping_add(a), base.1.wrapping_add(b));
        let landmarks = self.landmarks.iter().take(MOST_LANDMARKS);
        let bases = landmarks.filter(|base| self.landmarks.binary_search(&there(base)).is_ok());
        let bases: Vec<Pair> = bases.take(2).copied().collect();
        self.distances((a, b), &bases, is_exact)
    }

    /// The low halves of addresses.
    fn low_halves(&self, (a, b): Pair) -> Vec<Meaning> {
        let mut found = Vec::new();
        for high in self.highs {
            let whole = |high: u64, low: u64| high << 32 | u64::from(low as u32);
            let address = (whole(high.0, a), whole(high.1, b));
            let meaning = self.same(address).or_else(|| self.one_past(address));
            found.extend(meaning.map(low_half));
        }
        found
    }

    /// The low halves of what one operation makes of an address that the function names.
    fn low_halves_near(&self, pair: Pair, near: &[Pair]) -> Vec<Meaning> {
        let mut found = Vec::new();
        let low = |a: u64, b: u64| (a as u32, b as u32);
        for &base in near {
            let shifts = (1..=SHIFT_LIMIT as u8).map(Step::Shr);
            for step in [Step::Neg, Step::Not].into_iter().chain(shifts) {
                if low(step.of(base.0), step.of(base.1)) == low(pair.0, pair.1) {
                    found.extend(self.same(base).and_then(|m| derived(m, step)).map(low_half));
                }
            }
        }
        found
    }

    /// The low halves of what one operation makes of the very address of something.
    fn low_halves_derived(&self, (a, b): Pair) -> Vec<Meaning> {
        let mut found = Vec::new();
        let whole = |high: u64, low: u64| high << 32 | u64::from(low as u32);
        for high in self.highs {
            // Each of the two is its own inverse, and does to the low half what it does to all.
            for step in [Step::Neg, Step::Not] {
                let address = (whole(high.0, step.of(a)), whole(high.1, step.of(b)));
                found.extend(self.same(address).filter(is_exact).and_then(|m| derived(m, step)));
            }
            for bits in 1..=SHIFT_LIMIT as u8 {
                let shifted = (whole(high.0 >> bits, a), whole(high.1 >> bits, b));
                found.extend(self.shifted(bits, (shifted.0 << bits, shifted.1 << bits)));
            }
        }
        found.into_iter().map(low_half).collect()
    }

    /// Addresses, or low halves, above a number: stores into a packed structure that a compiler made one.
    fn beside_numbers(&self, (a, b): Pair) -> Vec<Meaning> {
        let mut found = Vec::new();
        for bits in [8, 16, 32] {
            let number = a & ((1 << bits) - 1);
            if number != b & ((1 << bits) - 1) {
                continue;
            }
            let (a, b) = (a >> bits, b >> bits);
            let whole = |high: &Pair| (high.0 << 32 | a, high.1 << 32 | b);
            // More than 48 bits no address has.
            let addresses = if bits < 32 { vec![(a, b)] } else { self.highs.iter().map(whole).collect() };
            for address in addresses {
                let meaning = self.same(address).or_else(|| self.one_past(address));
                found.extend(meaning.map(|m| above_number(m, bits, number)));
            }
        }
        found
    }

    fn landmarks_after(&self, pair: Pair) -> &[Pair] {
        let from = self.landmarks.partition_point(|l| l.0 <= pair.0);
        let end = self.landmarks.partition_point(|l| l.0 <= pair.0.saturating_add(BEFORE));
        &self.landmarks[from..end.max(from)]
    }
}

/// Whether two meanings are the same thing, each as its own map names it.
pub(super) fn same_target((a, ours): (&Meaning, &SessionMap), (b, theirs): (&Meaning, &SessionMap)) -> bool {
    match (a, b) {
        (Meaning::Value(i, m), Meaning::Value(j, n)) => {
            let name = |map: &SessionMap, id: usize| map.values.get(id).map(|v| v.name.clone());
            m == n && name(ours, i.0 as usize) == name(theirs, j.0 as usize)
        }
        (Meaning::Symbol { name: a, offset: m, .. }, Meaning::Symbol { name: b, offset: n, .. }) => {
            (a, m) == (b, n)
        }
        (Meaning::Anchored { anchor: a, .. }, Meaning::Anchored { anchor: b, .. }) => {
            (&a.build_id, a.offset) == (&b.build_id, b.offset)
        }
        (Meaning::Constant(_), Meaning::Constant(_)) => a.text(ours) == b.text(theirs),
        _ => false,
    }
}

/// Whether two meanings are one number in every session: `-(table + 1)` is `~table`.
fn is_same_number(one: &Meaning, other: &Meaning) -> bool {
    let negated = |meaning: &Meaning| match meaning {
        Meaning::Derived { base, step: Step::Neg } => Some((**base).clone()),
        Meaning::Derived { base, step: Step::Not } => Some(plus((**base).clone(), 1)),
        _ => None,
    };
    one == other || negated(one).is_some_and(|base| negated(other) == Some(base))
}

/// No operation.
fn plain(pair: Pair) -> impl Iterator<Item = (Step, Pair)> {
    std::iter::once((Step::Add(0), pair))
}

/// The operations that lose nothing, and what each pair was before it. Neither number may stay as it is.
fn readings((a, b): Pair) -> Vec<(Step, Pair)> {
    let mut readings = Vec::new();
    let (high, low) = (a & 0xffff << 48, a & 7);
    let same_high = high != 0 && high == b & 0xffff << 48;
    let same_low = low != 0 && low == b & 7;
    for (same, tag) in [(same_high, high), (same_low, low), (same_high && same_low, high | low)] {
        if same {
            readings.push((Step::Add(tag as i64), (a - tag, b - tag)));
        }
    }
    readings.push((Step::Neg, (a.wrapping_neg(), b.wrapping_neg())));
    readings.push((Step::Not, (!a, !b)));
    for bits in 1..=(a | b).trailing_zeros().min(SHIFT_LIMIT) {
        readings.push((Step::Shl(bits as u8), (a >> bits, b >> bits)));
    }
    readings
}

/// Shifts right by which both numbers could have come from addresses, and the first address of each.
fn shifts((a, b): Pair) -> impl Iterator<Item = (u8, Pair)> {
    let most = if a == 0 || b == 0 { 0 } else { (a | b).leading_zeros().min(SHIFT_LIMIT) };
    (1..=most).map(move |bits| (bits as u8, (a << bits, b << bits)))
}

/// What an operation makes of a meaning; small summands go into its offset.
fn derived(base: Meaning, step: Step) -> Option<Meaning> {
    match (base, step) {
        (Meaning::Unresolved(_) | Meaning::Derived { .. } | Meaning::Difference { .. }, _) => None,
        (base, Step::Add(0)) => Some(base),
        (base @ (Meaning::Value(..) | Meaning::Symbol { .. }), Step::Add(n @ 1..=7)) => Some(plus(base, n)),
        (base, step) => Some(Meaning::Derived { base: Box::new(base), step }),
    }
}

fn low_half(whole: Meaning) -> Meaning {
    Meaning::Derived { base: Box::new(whole), step: Step::Low }
}

/// A meaning shifted left, and a number in the bits below.
fn above_number(whole: Meaning, bits: u8, number: u64) -> Meaning {
    let shifted = Meaning::Derived { base: Box::new(whole), step: Step::Shl(bits) };
    match number {
        0 => shifted,
        number => Meaning::Derived { base: Box::new(shifted), step: Step::Add(number as i64) },
    }
}

fn plus(meaning: Meaning, bytes: i64) -> Meaning {
    match meaning {
        Meaning::Value(id, offset) => Meaning::Value(id, offset.wrapping_add(bytes)),
        Meaning::Symbol { name, offset, library } => {
            Meaning::Symbol { name, offset: offset.wrapping_add(bytes), library }
        }
        Meaning::Anchored { anchor, library, what } => {
            let anchor = Anchor { offset: anchor.offset.wrapping_add(bytes as u64), ..anchor };
            Meaning::Anchored { anchor, library, what }
        }
        other => Meaning::Derived { base: Box::new(other), step: Step::Add(bytes) },
    }
}

fn offset(meaning: &Meaning) -> u64 {
    match meaning {
        Meaning::Value(_, offset) | Meaning::Symbol { offset, .. } => *offset as u64,
        Meaning::Anchored { anchor, .. } => anchor.offset,
        _ => 0,
    }
}

fn is_exact(meaning: &Meaning) -> bool {
    offset(meaning) == 0
}

fn same_base(a: &Meaning, b: &Meaning) -> bool {
    plus(a.clone(), (offset(a) as i64).wrapping_neg()) == plus(b.clone(), (offset(b) as i64).wrapping_neg())
}
