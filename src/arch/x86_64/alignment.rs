//! What a function takes for granted of the low bits of the constants in it: they are followed through its code, as far
//! as control goes, until nothing new is found.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use iced_x86::{Instruction, RflagsBits};

use super::super::{AlignmentNeed, CodeView, Seed};
use super::callee::Callees;
use super::flow::{Next, decode_at, next_of};
use super::layout::{Layout, is_last};
use super::operands::{Effects, Needs};
use super::state::State;
use super::values::Entry;

/// How many times, on average, an instruction may be looked at again: real code is done after a few.
const ROUNDS: usize = 64;
/// After so many times what still changes at a point is given up: a count that goes around a loop is less known each time.
const SETTLED: u8 = 4;
/// And how many values may be remembered for each.
const REMEMBERED: usize = 24;
/// For functions that are small.
const LEAST: usize = 4096;

/// Flags are read near where they are set.
const FLAG_LIMIT: usize = 256;

/// See [`super::super::Arch::alignment_needs`].
pub(super) fn alignment_needs(code: &dyn CodeView, entries: &[u64], seeds: &[Seed]) -> Vec<AlignmentNeed> {
    let Some(&entry) = entries.first() else { return Vec::new() };
    let function = code.function(entry);
    let Some((layout, found)) = follow_all(code, entries, seeds) else {
        let own = fields_in(seeds, &function).map(|seed| Some(seed.place));
        let mut places: BTreeSet<Option<u32>> = own.collect();
        if seeds.iter().any(|seed| seed.instruction.is_none()) {
            places.insert(None);
        }
        let lost = |place| AlignmentNeed { place, bits: 64, instruction: entry, length: 0, instead: None };
        return places.into_iter().map(lost).collect();
    };
    let mut needs = Vec::new();
    let of_any = found.of_any.iter().map(|(&at, &bits)| (None, at, bits));
    let of_one = found.bits.iter().map(|(&(place, at), &bits)| (Some(place as u32), at, bits));
    let mut dead: BTreeMap<u64, bool> = BTreeMap::new();
    for (place, at, bits) in of_one.chain(of_any) {
        let length = decode_at(code, at).map_or(0, |instruction| instruction.len() as u8);
        let combination = found.combinations.get(&at).filter(|c| !c.looked_at && !found.any_looked_at);
        let addition = combination.and_then(|combination| combination.addition.clone());
        let instead = addition.filter(|_| {
            *dead.entry(at).or_insert_with(|| flags_are_dead(code, &layout, at + u64::from(length)))
        });
        needs.push(AlignmentNeed { place, bits, instruction: at, length, instead });
    }
    needs
}

/// The constants that instructions of a function hold.
fn fields_in<'s>(seeds: &'s [Seed], function: &Range<u64>) -> impl Iterator<Item = &'s Seed> {
    let first = seeds.partition_point(|seed| seed.address < function.start);
    let end = seeds.partition_point(|seed| seed.address < function.end);
    seeds.get(first..end).unwrap_or_default().iter().filter(|seed| seed.instruction.is_some())
}

/// What is needed, and where control was seen to go; `None`: that took too long, or cannot be known.
fn follow_all(code: &dyn CodeView, entries: &[u64], seeds: &[Seed]) -> Option<(Layout, Needs)> {
    for tables in [false, true] {
        let layout = Layout::discover(code, entries, tables)?;
        let mut analysis = Analysis::new(layout, code, seeds);
        match analysis.run(entries) {
            Followed::Wholly => return Some((analysis.layout, analysis.effects.needs)),
            Followed::ToTables => {}
            Followed::TooFar => return None,
        }
    }
    None
}

/// How far a function was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Followed {
    /// To the end.
    Wholly,
    /// To an indirect jump, without knowing where those may lead.
    ToTables,
    /// Until it took too long.
    TooFar,
}

struct Analysis<'a> {
    layout: Layout,
    code: &'a dyn CodeView,
    effects: Effects<'a>,
    callees: Callees,
    /// What is known where control comes together.
    states: BTreeMap<u64, State>,
    /// How often that became more.
    returns: BTreeMap<u64, u8>,
    /// Where more became known.
    open: BTreeSet<u64>,
    /// What is known at all indirect jumps that lead to the same: by the table, or anywhere.
    indirect: BTreeMap<Option<Entry>, Jump>,
    /// What is known after all calls.
    unwound: Option<State>,
    /// How many values `states` holds.
    remembered: usize,
}

/// Indirect jumps.
struct Jump {
    targets: Vec<u64>,
    state: State,
}

impl<'a> Analysis<'a> {
    fn new(layout: Layout, code: &'a dyn CodeView, seeds: &'a [Seed]) -> Self {
        Analysis {
            layout,
            code,
            effects: Effects::new(code, seeds),
            callees: Callees::default(),
            states: BTreeMap::new(),
            returns: BTreeMap::new(),
            open: BTreeSet::new(),
            indirect: BTreeMap::new(),
            unwound: None,
            remembered: 0,
        }
    }

    fn run(&mut self, entries: &[u64]) -> Followed {
        let mut done = 0;
        let mut followed = self.follow_from(entries, &mut done);
        // Control begins as well at constants that it does not lead to from anywhere.
        let function = self.code.function(entries.first().copied().unwrap_or_default());
        for instruction in fields_in(self.effects.seeds, &function).filter_map(|seed| seed.instruction) {
            if followed == Followed::Wholly && !self.layout.reached.contains(&instruction) {
                self.layout.reach(self.code, instruction);
                followed = self.follow_from(&[instruction], &mut done);
            }
        }
        followed
    }

    /// `done`: how many steps were taken.
    fn follow_from(&mut self, entries: &[u64], done: &mut usize) -> Followed {
        for &entry in entries {
            self.arrive(entry, &State::at_entry(entry));
        }
        while let Some(at) = self.open.pop_first() {
            let count = self.layout.reached.len();
            let most = count.saturating_mul(ROUNDS).saturating_add(LEAST);
            let mut left = most.saturating_sub(*done);
            let followed = self.follow(at, &mut left);
            *done = most - left;
            if followed != Followed::Wholly {
                return followed;
            }
            if self.remembered > count.saturating_mul(REMEMBERED).saturating_add(LEAST) {
                return Followed::TooFar;
            }
        }
        Followed::Wholly
    }

    /// Steps from a point where control comes together up to the next one.
    fn follow(&mut self, start: u64, left: &mut usize) -> Followed {
        let Some(mut state) = self.states.get(&start).cloned() else { return Followed::Wholly };
        let mut at = start;
        let mut after_call = false;
        loop {
            let cost = 1 + state.size() / 8;
            match left.checked_sub(cost) {
                Some(rest) => *left = rest,
                None => return Followed::TooFar,
            }
            let Some(instruction) = decode_at(self.code, at) else {
                // Behind a call that does not return there may be anything, and behind the end of a section there is
                // nothing that this code could have been compiled for.
                if !after_call && self.code.bytes(at).is_some() {
                    self.effects.need(&state.derived(), 64, at, true);
                }
                return Followed::Wholly;
            };
            self.effects.step(&mut state, &instruction);
            let following = instruction.next_ip();
            after_call = false;
            match next_of(self.code, &instruction) {
                Next::Following | Next::LeaveOrFollowing => {}
                Next::Call => {
                    let changed = self.callees.changed(self.code, &state, &instruction);
                    state.clobber(&changed);
                    self.unwind(&state, left);
                    if is_last(self.code, at, following) {
                        return Followed::Wholly;
                    }
                    after_call = true;
                }
                Next::Branch(target) => self.arrive(target, &state),
                Next::Jump(target) => {
                    self.arrive(target, &state);
                    return Followed::Wholly;
                }
                Next::Indirect => {
                    return self.jump(&state, &instruction, left);
                }
                Next::Leave | Next::Return | Next::Stop => return Followed::Wholly,
            }
            if self.layout.joins.contains(&following) {
                self.arrive(following, &state);
                return Followed::Wholly;
            }
            at = following;
        }
    }

    /// Control comes to a point with that.
    fn arrive(&mut self, at: u64, state: &State) {
        match self.states.get_mut(&at) {
            Some(known) => {
                let before = known.size();
                let times = self.returns.entry(at).or_default();
                if known.join(state, *times >= SETTLED) {
                    *times = times.saturating_add(1);
                    self.open.insert(at);
                }
                self.remembered = (self.remembered + known.size()).saturating_sub(before);
            }
            None => {
                self.remembered += state.size();
                self.states.insert(at, state.clone());
                self.open.insert(at);
            }
        }
    }

    fn jump(&mut self, state: &State, instruction: &Instruction, left: &mut usize) -> Followed {
        let to = self.effects.operand(state, instruction, 0);
        // Other functions, and code of the object that is far away, as large code models have it.
        if let Some(addresses) = to.addresses {
            self.layout.jumps |= !addresses.is_empty();
            for &target in addresses.members() {
                self.layout.reach(self.code, target);
                self.arrive(target, state);
            }
            return Followed::Wholly;
        }
        self.layout.jumps = true;
        if let Some(known) = self.indirect.get_mut(&to.entry) {
            if !known.state.join(state, false) {
                return Followed::Wholly;
            }
        } else {
            let function = self.code.function(instruction.ip());
            let targets = to.entry.and_then(|entry| self.layout.targets(self.code, &function, entry));
            let targets = match targets {
                Some(targets) => targets,
                None if self.layout.tables => self.layout.indirect.clone(),
                None => return Followed::ToTables,
            };
            self.indirect.insert(to.entry, Jump { targets, state: state.clone() });
        }
        let Some(known) = self.indirect.remove(&to.entry) else { return Followed::Wholly };
        *left = left.saturating_sub(known.targets.len());
        known.targets.iter().for_each(|&target| self.arrive(target, &known.state));
        self.indirect.insert(to.entry, known);
        Followed::Wholly
    }

    fn unwind(&mut self, state: &State, left: &mut usize) {
        if self.layout.landing_pads.is_empty() {
            return;
        }
        let mut known = self.unwound.take();
        let more = known.as_mut().is_none_or(|known| known.join(state, false));
        let known = known.unwrap_or_else(|| state.clone());
        if more {
            *left = left.saturating_sub(self.layout.landing_pads.len());
            for pad in self.layout.landing_pads.clone() {
                self.arrive(pad, &known);
            }
        }
        self.unwound = Some(known);
    }
}

/// Whether no flag that an arithmetic instruction sets is read from there on, before it is set again. Functions begin
/// and return without a meaning in them (psABI 3.2.1).
fn flags_are_dead(code: &dyn CodeView, layout: &Layout, start: u64) -> bool {
    const ARITHMETIC: u32 =
        RflagsBits::OF | RflagsBits::SF | RflagsBits::ZF | RflagsBits::AF | RflagsBits::CF | RflagsBits::PF;
    let mut seen = BTreeSet::new();
    let mut open = vec![(start, ARITHMETIC)];
    while let Some((at, alive)) = open.pop() {
        if !seen.insert((at, alive)) {
            continue;
        }
        let Some(instruction) = decode_at(code, at) else { return false };
        if seen.len() > FLAG_LIMIT || instruction.rflags_read() & alive != 0 {
            return false;
        }
        let alive = alive & !always_set(&instruction);
        if alive == 0 {
            continue;
        }
        let following = (instruction.next_ip(), alive);
        match next_of(code, &instruction) {
            Next::Following | Next::LeaveOrFollowing => open.push(following),
            Next::Branch(target) => open.extend([following, (target, alive)]),
            Next::Jump(target) => open.push((target, alive)),
            Next::Indirect if !layout.jumps => {}
            Next::Indirect => return false,
            Next::Call | Next::Leave | Next::Return | Next::Stop => {}
        }
    }
    true
}

/// The flags that an instruction sets, whatever its operands.
fn always_set(instruction: &Instruction) -> u32 {
    use iced_x86::Mnemonic::*;
    match instruction.mnemonic() {
        // A count of zero leaves them.
        Shl | Sal | Shr | Sar | Shld | Shrd | Rol | Ror | Rcl | Rcr => RflagsBits::NONE,
        _ if instruction.has_rep_prefix() || instruction.has_repne_prefix() => RflagsBits::NONE,
        _ => instruction.rflags_modified(),
    }
}

#[cfg(test)]
#[path = "alignment_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "alignment_flow_tests.rs"]
mod flow_tests;
