//! Calls of functions that never return, as far as the code tells: no compiler lets a call be the last instruction of a
//! function whose callee comes back, and a function without a way out does not come back.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::CodeView;
use super::flow::{Next, decode_at, next_of};
use super::held::{Callee, Held};

/// See [`super::super::Arch::dead_ends`].
pub(super) fn dead_ends(code: &dyn CodeView, functions: &[Range<u64>]) -> BTreeSet<u64> {
    let mut calls = Vec::new();
    let mut silent = BTreeSet::new();
    let joins: BTreeSet<u64> = functions.iter().flat_map(|function| targets(code, function)).collect();
    for function in functions {
        let found = look_through(code, function, &joins);
        if !found.way_out {
            silent.insert(Callee::Own(function.start));
        }
        silent.extend(found.last);
        calls.extend(found.calls);
    }
    calls.into_iter().filter(|(_, callee)| silent.contains(callee)).map(|(at, _)| at).collect()
}

/// What a function does.
struct Found {
    calls: Vec<(u64, Callee)>,
    /// Control may leave it otherwise than by a call.
    way_out: bool,
    /// Who is called by its last instruction, or right before one that stops.
    last: BTreeSet<Callee>,
}

/// Where control comes to otherwise than from the instruction before.
fn targets(code: &dyn CodeView, function: &Range<u64>) -> Vec<u64> {
    let mut targets = code.tables(function);
    targets.extend(code.landing_pads(function).unwrap_or_default());
    let mut at = function.start;
    while let Some(instruction) = decode_at(code, at).filter(|_| at < function.end) {
        if let Next::Jump(target) | Next::Branch(target) = next_of(code, &instruction) {
            targets.push(target);
        }
        at = instruction.next_ip();
    }
    targets
}

/// `joins`: there registers may hold something else.
fn look_through(code: &dyn CodeView, function: &Range<u64>, joins: &BTreeSet<u64>) -> Found {
    let mut found = Found { calls: Vec::new(), way_out: false, last: BTreeSet::new() };
    let mut held = Held::default();
    let mut before = None;
    let mut at = function.start;
    while at < function.end {
        let Some(instruction) = decode_at(code, at).filter(|i| i.next_ip() <= function.end) else {
            found.way_out = true;
            return found;
        };
        if joins.contains(&at) {
            held.clear();
        }
        let next = next_of(code, &instruction);
        let callee = if next == Next::Call { held.callee(code, &instruction) } else { None };
        found.calls.extend(callee.map(|callee| (at, callee)));
        match next {
            Next::Stop => found.last.extend(before),
            Next::Call if instruction.next_ip() == function.end => found.last.extend(callee),
            Next::Jump(target) | Next::Branch(target) => found.way_out |= !function.contains(&target),
            Next::Leave | Next::LeaveOrFollowing | Next::Return | Next::Indirect => found.way_out = true,
            // It falls into what is behind it.
            Next::Following => found.way_out |= instruction.next_ip() == function.end,
            Next::Call => {}
        }
        before = callee;
        held.step(code, &instruction, next);
        at = instruction.next_ip();
    }
    found
}

#[cfg(test)]
mod tests {
    use iced_x86::code_asm::*;

    use super::super::flow::snippet::Snippet;
    use super::*;

    const THROW: u64 = 0x7f12_3456_0400;

    /// Which calls of a snippet of functions never return; each function is told by its end.
    fn found(ends: &[u64], write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Vec<u64> {
        let mut assembler = CodeAssembler::new(64).expect("64 bits");
        write(&mut assembler).expect("valid instructions");
        let bytes = assembler.assemble(0).expect("assembled");
        let mut ends = ends.to_vec();
        ends.push(bytes.len() as u64);
        let starts = [0].into_iter().chain(ends.clone());
        let functions: Vec<_> = starts.zip(ends).map(|(start, end)| start..end).collect();
        dead_ends(&Snippet::new(bytes), &functions).into_iter().collect()
    }

    #[test]
    fn what_ends_a_function_does_not_return() {
        let calls = found(&[12], |a| {
            a.mov(rax, THROW)?;
            a.call(rax)?;
            // 12: the same in the middle, another, and the same in a register that was written to.
            a.mov(rax, THROW)?;
            a.call(rax)?;
            a.mov(rcx, THROW + 16)?;
            a.call(rcx)?;
            a.mov(rax, THROW)?;
            a.mov(rax, ptr(rdi))?;
            a.call(rax)?;
            a.mov(rdx, THROW)?;
            a.call(rdx)?;
            a.ret()
        });
        assert_eq!(calls, [10, 22, 61]);
    }

    #[test]
    fn where_control_comes_together_a_register_may_hold_something_else() {
        let calls = |joined: bool| {
            found(&[12], move |a| {
                a.mov(rax, THROW)?;
                a.call(rax)?;
                // 12
                let mut join = a.create_label();
                a.mov(rax, ptr(rdi))?;
                if joined {
                    a.je(join)?;
                }
                a.mov(rax, THROW)?;
                a.set_label(&mut join)?;
                a.call(rax)?;
                a.ret()
            })
        };
        assert_eq!(calls(true), [10]);
        assert_eq!(calls(false), [10, 25]);
    }

    #[test]
    fn what_has_no_way_out_does_not_return() {
        let calls = |last: fn(&mut CodeAssembler) -> Result<(), IcedError>| {
            found(&[6], move |a| {
                let mut first = a.create_label();
                let mut again = a.create_label();
                a.set_label(&mut first)?;
                a.xor(eax, eax)?;
                a.set_label(&mut again)?;
                a.inc(eax)?;
                last(a)?;
                // 6
                a.call(first)?;
                a.ret()
            })
        };
        assert_eq!(calls(|a| a.db(&[0xeb, 0xfc])), [6], "a loop");
        assert_eq!(calls(|a| a.ud2()), [6]);
        assert_eq!(calls(|a| a.db(&[0x90, 0x90])), Vec::<u64>::new(), "it goes on");
        assert_eq!(calls(|a| a.db(&[0x90, 0xc3])), Vec::<u64>::new(), "it returns");
        assert_eq!(calls(|a| a.db(&[0xeb, 0x20])), Vec::<u64>::new(), "it goes elsewhere");
        assert_eq!(calls(|a| a.db(&[0x06, 0xc3])), Vec::<u64>::new(), "it is not known what it does");
    }
}
