//! What a function takes for granted of the low bits of the constants in it: they are followed through its code, as far
//! as control goes, until nothing new is found.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use iced_x86::{Instruction, Mnemonic, OpKind, RflagsBits};

use super::super::{AlignmentNeed, CodeView, Seed};
use super::flow::{Next, decode_at, next_of};
use super::operands::{Effects, Needs};
use super::state::State;

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
        let layout = Layout::discover(code, entries, seeds, tables)?;
        let mut analysis = Analysis::new(&layout, code, seeds);
        match analysis.run() {
            Followed::Wholly => {
                let needs = analysis.effects.needs;
                return Some((layout, needs));
            }
            Followed::ToTables => {}
            Followed::TooFar => return None,
        }
    }
    None
}

/// The instructions that control reaches, and where it comes together.
struct Layout {
    /// Addresses of instructions.
    reached: HashSet<u64>,
    /// Where control comes to otherwise than from the instruction before.
    joins: BTreeSet<u64>,
    /// Where control may begin: the entry, and constants that it does not lead to.
    entries: Vec<u64>,
    /// Where indirect jumps may lead.
    indirect: Vec<u64>,
    /// Where unwinding may lead.
    landing_pads: Vec<u64>,
    /// `indirect` is known.
    tables: bool,
}

impl Layout {
    /// `tables`: where indirect jumps may lead, too. `None`: it is not known where unwinding leads.
    fn discover(code: &dyn CodeView, entries: &[u64], seeds: &[Seed], tables: bool) -> Option<Layout> {
        let mut layout = Layout {
            reached: HashSet::new(),
            joins: BTreeSet::new(),
            entries: entries.to_vec(),
            indirect: Vec::new(),
            landing_pads: Vec::new(),
            tables,
        };
        let function = code.function(*entries.first()?);
        entries.iter().for_each(|&entry| layout.reach(code, entry));
        layout.landing_pads = code.landing_pads(&function)?;
        for &pad in &layout.landing_pads.clone() {
            layout.reach(code, pad);
        }
        if tables {
            layout.reach_tables(code, &function, &code.tables(&function));
        }
        for instruction in fields_in(seeds, &function).filter_map(|seed| seed.instruction) {
            if !layout.reached.contains(&instruction) {
                layout.reach(code, instruction);
                layout.entries.push(instruction);
            }
        }
        Some(layout)
    }

    /// What indirect jumps may lead to: what tables name, what nothing else leads to, and whatever else control
    /// jumps to. Where no table can be read and there is code that nothing else leads to, every instruction.
    fn reach_tables(&mut self, code: &dyn CodeView, function: &Range<u64>, tables: &[u64]) {
        for &target in tables {
            self.reach(code, target);
            self.indirect.push(target);
        }
        let mut instructions = Vec::new();
        let mut at = function.start;
        while function.contains(&at) {
            let Some(instruction) = decode_at(code, at) else {
                at += 1;
                continue;
            };
            instructions.push((at, is_padding(&instruction)));
            at = instruction.next_ip();
        }
        let unreached = instructions.iter().any(|(at, nop)| !nop && !self.reached.contains(at));
        let any = tables.is_empty() && unreached;
        for (at, nop) in instructions {
            if any || !nop && !self.reached.contains(&at) {
                self.reach(code, at);
                self.indirect.push(at);
            }
        }
        if unreached || !tables.is_empty() {
            self.indirect.extend(self.joins.range(function.clone()));
        }
        self.indirect.sort_unstable();
        self.indirect.dedup();
    }

    /// Follows direct control from there.
    fn reach(&mut self, code: &dyn CodeView, start: u64) {
        self.joins.insert(start);
        let mut open = vec![start];
        while let Some(first) = open.pop() {
            let mut at = first;
            while self.reached.insert(at) {
                let Some(instruction) = decode_at(code, at) else { break };
                let following = instruction.next_ip();
                match next_of(code, &instruction) {
                    Next::Following | Next::LeaveOrFollowing => {}
                    Next::Call if runs_out(code, at, following) => break,
                    Next::Call => {}
                    Next::Branch(target) => {
                        self.joins.insert(target);
                        open.push(target);
                    }
                    Next::Jump(target) => {
                        self.joins.insert(target);
                        open.push(target);
                        break;
                    }
                    Next::Indirect | Next::Leave | Next::Return | Next::Stop => break,
                }
                at = following;
            }
        }
    }
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

fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
}

/// Whether a call at the end of a function does not return: what follows is another function.
fn runs_out(code: &dyn CodeView, at: u64, following: u64) -> bool {
    code.function(at).end <= following
}

struct Analysis<'a> {
    layout: &'a Layout,
    code: &'a dyn CodeView,
    effects: Effects<'a>,
    /// What is known where control comes together.
    states: BTreeMap<u64, State>,
    /// How often that became more.
    returns: BTreeMap<u64, u8>,
    /// Where more became known.
    open: BTreeSet<u64>,
    /// What is known at all indirect jumps.
    indirect: Option<State>,
    /// What is known after all calls.
    unwound: Option<State>,
    /// How many values `states` holds.
    remembered: usize,
}

impl<'a> Analysis<'a> {
    fn new(layout: &'a Layout, code: &'a dyn CodeView, seeds: &'a [Seed]) -> Self {
        Analysis {
            layout,
            code,
            effects: Effects::new(code, seeds),
            states: BTreeMap::new(),
            returns: BTreeMap::new(),
            open: BTreeSet::new(),
            indirect: None,
            unwound: None,
            remembered: 0,
        }
    }

    fn run(&mut self) -> Followed {
        let count = self.layout.reached.len();
        let mut left = count.saturating_mul(ROUNDS).saturating_add(LEAST);
        let most = count.saturating_mul(REMEMBERED).saturating_add(LEAST);
        for &entry in &self.layout.entries {
            self.arrive(entry, &State::at_entry(entry));
        }
        while let Some(at) = self.open.pop_first() {
            match self.follow(at, &mut left) {
                Followed::Wholly if self.remembered <= most => {}
                Followed::Wholly => return Followed::TooFar,
                unfinished => return unfinished,
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
                    state.clobber();
                    self.unwind(&state, left);
                    if runs_out(self.code, at, following) {
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
                    if !self.is_tail_call(&state, &instruction) {
                        if !self.layout.tables {
                            return Followed::ToTables;
                        }
                        self.jump(&state, left);
                    }
                    return Followed::Wholly;
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

    fn jump(&mut self, state: &State, left: &mut usize) {
        let layout = self.layout;
        let mut known = self.indirect.take();
        if more(&mut known, state)
            && let Some(known) = &known
        {
            *left = left.saturating_sub(layout.indirect.len());
            layout.indirect.iter().for_each(|&target| self.arrive(target, known));
        }
        self.indirect = known;
    }

    fn unwind(&mut self, state: &State, left: &mut usize) {
        let layout = self.layout;
        if layout.landing_pads.is_empty() {
            return;
        }
        let mut known = self.unwound.take();
        if more(&mut known, state)
            && let Some(known) = &known
        {
            *left = left.saturating_sub(layout.landing_pads.len());
            layout.landing_pads.iter().for_each(|&pad| self.arrive(pad, known));
        }
        self.unwound = known;
    }

    /// A jump to what is an address of the session and nothing else goes to another function.
    fn is_tail_call(&self, state: &State, instruction: &Instruction) -> bool {
        if instruction.op_count() != 1 || instruction.op0_kind() != OpKind::Register {
            return false;
        }
        let target = state.read(instruction.op0_register());
        target.is_derived() && target.bits.number().is_some()
    }
}

/// Adds a state to what is known; whether that is more.
fn more(known: &mut Option<State>, state: &State) -> bool {
    match known {
        Some(known) => known.join(state, false),
        None => {
            *known = Some(state.clone());
            true
        }
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
            Next::Indirect if layout.indirect.is_empty() => {}
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
