//! Which instructions of a function control reaches, where it comes together, and where indirect jumps may lead.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use iced_x86::{Instruction, Mnemonic};

use super::super::CodeView;
use super::flow::{Next, decode_at, next_of};
use super::values::Entry;

/// The instructions that control reaches, and where it comes together.
pub(super) struct Layout {
    /// Addresses of instructions.
    pub(super) reached: HashSet<u64>,
    /// Where control comes to otherwise than from the instruction before.
    pub(super) joins: BTreeSet<u64>,
    /// Where indirect jumps may lead of which it is not known where.
    pub(super) indirect: Vec<u64>,
    /// Where unwinding may lead.
    pub(super) landing_pads: Vec<u64>,
    /// `indirect` is known.
    pub(super) tables: bool,
    /// An indirect jump leads on.
    pub(super) jumps: bool,
}

impl Layout {
    /// `tables`: where indirect jumps may lead, too. `None`: it is not known where unwinding leads.
    pub(super) fn discover(code: &dyn CodeView, entries: &[u64], tables: bool) -> Option<Layout> {
        let mut layout = Layout {
            reached: HashSet::new(),
            joins: BTreeSet::new(),
            indirect: Vec::new(),
            landing_pads: Vec::new(),
            tables,
            jumps: false,
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
        Some(layout)
    }

    /// What indirect jumps may lead to: what tables name, what nothing else leads to, and whatever else control
    /// jumps to. Where no table can be read and there is code that nothing else leads to, every instruction.
    fn reach_tables(&mut self, code: &dyn CodeView, function: &Range<u64>, tables: &[u64]) {
        for &target in tables {
            self.reach(code, target);
            self.indirect.push(target);
        }
        let instructions = instructions(code, function);
        let unreached = instructions.iter().any(|(at, nop)| !nop && !self.reached.contains(at));
        let any = tables.is_empty() && unreached;
        for (at, nop) in instructions {
            if any || !nop && !self.reached.contains(&at) {
                self.reach(code, at);
                self.indirect.push(at);
            }
        }
        if unreached || !tables.is_empty() {
            self.indirect.extend(self.joins.range(function.start + 1..function.end.max(function.start + 1)));
        }
        // What something else leads to as well, and not data among the code.
        for label in labels(code, function).into_iter().filter(|label| self.reached.contains(label)) {
            self.joins.insert(label);
            self.indirect.push(label);
        }
        self.indirect.sort_unstable();
        self.indirect.dedup();
    }

    /// Where a jump leads that an entry of a table leads to; `None`: to anything.
    pub(super) fn targets(
        &mut self,
        code: &dyn CodeView,
        function: &Range<u64>,
        entry: Entry,
    ) -> Option<Vec<u64>> {
        let targets = table_targets(code, function, entry.table, entry.added)?;
        for &target in &targets {
            self.reach(code, target);
        }
        Some(targets)
    }

    /// Follows direct control from there.
    pub(super) fn reach(&mut self, code: &dyn CodeView, start: u64) {
        self.joins.insert(start);
        let mut open = vec![start];
        while let Some(first) = open.pop() {
            let mut at = first;
            while self.reached.insert(at) {
                let Some(instruction) = decode_at(code, at) else { break };
                let following = instruction.next_ip();
                match next_of(code, &instruction) {
                    Next::Following | Next::LeaveOrFollowing => {}
                    Next::Call if is_last(code, at, following) => break,
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

/// Where the entries of a table lead that a function jumps through; `None`: it cannot be read. `distances`: from its start.
pub(super) fn table_targets(
    code: &dyn CodeView,
    function: &Range<u64>,
    table: u64,
    distances: bool,
) -> Option<Vec<u64>> {
    let parts = code.table(table, distances)?;
    let mut targets = parts.first()?.clone();
    if parts.len() > 1 {
        let starts: HashSet<u64> = instructions(code, function).into_iter().map(|(at, _)| at).collect();
        // What another table has leads into another function, or are distances from its own start: taken for
        // distances from this one they lead to between instructions. Where instructions refer to the middle of this
        // one, another may begin in what looks like one part.
        targets.extend(parts[1..].iter().flatten().take_while(|target| starts.contains(target)));
    }
    targets.sort_unstable();
    targets.dedup();
    Some(targets)
}

/// Where instructions begin in a function that is nothing but instructions, and which are padding.
pub(super) fn instructions(code: &dyn CodeView, function: &Range<u64>) -> Vec<(u64, bool)> {
    let mut found = Vec::new();
    let mut at = function.start;
    while function.contains(&at) {
        let Some(instruction) = decode_at(code, at) else {
            at += 1;
            continue;
        };
        found.push((at, is_padding(&instruction)));
        at = instruction.next_ip();
    }
    found
}

/// Where instructions of a function compute addresses within it, as `goto *label` does.
fn labels(code: &dyn CodeView, function: &Range<u64>) -> Vec<u64> {
    let mut found = Vec::new();
    for (at, _) in instructions(code, function) {
        let Some(lea) = decode_at(code, at).filter(|i| i.mnemonic() == Mnemonic::Lea) else { continue };
        if lea.is_ip_rel_memory_operand() {
            let own = || lea.ip_rel_memory_address();
            let target = code.referent(lea.next_ip() - 4, lea.next_ip()).unwrap_or_else(own);
            found.extend((function.start + 1..function.end).contains(&target).then_some(target));
        }
    }
    found
}

fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
}

/// Whether a call does not return: so it is at the end of a function, where another one follows.
pub(super) fn is_last(code: &dyn CodeView, call: u64, following: u64) -> bool {
    code.function(call).end <= following || code.never_returns(call)
}
