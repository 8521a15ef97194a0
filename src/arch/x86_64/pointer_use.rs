//! Whether a register that an instruction sets to a 32-bit constant is used as a 64-bit address afterwards: then a
//! full address in its place is right wherever it lies. Followed through the function's own jumps.

use std::collections::BTreeSet;
use std::ops::Range;

use iced_x86::{Code, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register};

use super::super::CodeView;
use super::decode::disassemble;
use super::flow::{Next, decode_at, next_of};
use super::layout::{Layout, instructions, is_last, table_targets};

/// What has shown no use after so many instructions is taken for unused.
const LIMIT: usize = 4096;

/// Integer arguments, then what variadic functions and closures get (psABI 3.2.3).
const ARGUMENTS: [Register; 7] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9, Register::R10];
/// What a function keeps for its caller.
const KEPT: [Register; 6] =
    [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];

/// What one instruction does with the register.
#[derive(Debug, Default, PartialEq, Eq)]
struct Use {
    /// It reads all bits, before it writes: `mov (%rax),%al` uses a whole address.
    whole: bool,
    /// How many of its low bits it reads apart from that.
    part: usize,
    /// How many of its low bits get another value; 64: all, or all others are cleared.
    written: usize,
    /// Whether they get one depends.
    perhaps: bool,
}

/// See [`super::super::Arch::is_address`].
pub(super) fn is_address(code: &dyn CodeView, start: u64) -> Result<(), String> {
    let function = code.function(start);
    let decoded = |at| decode_at(code, at).filter(|i| i.next_ip() <= code.function(at).end);
    let first = decoded(start).ok_or("the instruction cannot be decoded")?;
    if !matches!(first.code(), Code::Mov_r32_imm32 | Code::Mov_rm32_imm32)
        || first.op0_kind() != OpKind::Register
    {
        return Ok(());
    }
    let register = first.op0_register().full_register();
    let mut factory = InstructionInfoFactory::new();
    let mut seen = BTreeSet::new();
    // How many of its low bits are others meanwhile: of those nothing is asked.
    let mut open = vec![(first.next_ip(), 0)];
    let mut proven = false;
    while let Some((at, replaced)) = open.pop() {
        if !seen.insert((at, replaced)) {
            continue;
        }
        if seen.len() > LIMIT {
            return Err("is not used as an address nearby".to_owned());
        }
        let Some(instruction) = decoded(at) else {
            return Err("is followed by what is no instruction before its use".to_owned());
        };
        let text = || {
            let bytes = code.bytes(at).and_then(|bytes| bytes.get(..instruction.len()));
            disassemble(bytes.unwrap_or_default(), at)
        };
        let usage = use_of(&mut factory, &instruction, register);
        if usage.part > replaced || usage.perhaps || usage.whole && replaced > 0 {
            return Err(format!("is then used in fewer than 64 bits by `{}`", text()));
        }
        if usage.whole {
            proven = true;
            continue;
        }
        if usage.written == 64 {
            continue;
        }
        let replaced = replaced.max(usage.written);
        let following = instruction.next_ip();
        let counts = |registers: &[Register]| registers.contains(&register);
        match next_of(code, &instruction) {
            Next::Following => open.push((following, replaced)),
            // In other code of the object, too: that may be a part of the function.
            Next::Jump(target) => open.push((target, replaced)),
            Next::Branch(target) => open.extend([(following, replaced), (target, replaced)]),
            Next::Call if counts(&KEPT) && is_last(code, at, following) => {}
            Next::Call if counts(&KEPT) => open.push((following, replaced)),
            Next::Call if replaced == 0 && counts(&ARGUMENTS) => proven = true,
            // The register is free, and so is the value, after the call.
            Next::Call if !counts(&ARGUMENTS) => {}
            Next::Leave if replaced == 0 && counts(&ARGUMENTS) => proven = true,
            Next::Return if replaced == 0 && register == Register::RAX => proven = true,
            // Dead, or the other half of what it returns: whole in either case.
            Next::Return if replaced == 0 && !counts(&KEPT) => {}
            Next::Indirect => match jump_targets(code, &function, &instruction) {
                // To another function.
                Some(targets) if targets.is_empty() && replaced == 0 && counts(&ARGUMENTS) => proven = true,
                Some(targets) if !targets.is_empty() => {
                    open.extend(targets.into_iter().map(|target| (target, replaced)));
                }
                _ => return Err(format!("is not used before `{}`", text())),
            },
            Next::Stop => {}
            _ => return Err(format!("is not used before `{}`", text())),
        }
    }
    if proven { Ok(()) } else { Err("is not used as an address".to_owned()) }
}

fn use_of(factory: &mut InstructionInfoFactory, instruction: &Instruction, register: Register) -> Use {
    let info = factory.info(instruction);
    let of_register = |used: &&iced_x86::UsedRegister| used.register().full_register() == register;
    let mut usage = Use::default();
    for used in info.used_registers().iter().filter(of_register) {
        let bits = bits(used.register());
        match used.access() {
            OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite => {
                usage.whole |= bits == 64;
                usage.part = usage.part.max(bits % 64);
            }
            // A write to 32 bits clears the other half; one to fewer leaves the rest.
            OpAccess::Write => usage.written = usage.written.max(if bits >= 32 { 64 } else { bits }),
            // What may have stayed is whole (`cmove %rcx,%rax`).
            OpAccess::CondWrite => usage.perhaps |= bits < 64,
            OpAccess::None | OpAccess::NoMemAccess => {}
        }
    }
    usage
}

/// How many low bits of the whole register it reaches.
fn bits(register: Register) -> usize {
    match register {
        Register::AH | Register::BH | Register::CH | Register::DH => 16,
        register => register.size() * 8,
    }
}

/// See [`super::super::Arch::frees_register`]. Linkage code may use `%r11` on the way to a function (psABI 3.2.3).
pub(super) fn frees_linkage_register(code: &dyn CodeView, start: u64, leaves: bool) -> bool {
    let function = code.function(start);
    let decoded = |at| decode_at(code, at).filter(|i| i.next_ip() <= code.function(at).end);
    let Some(jump) = decoded(start).filter(|jump| jump.code() == Code::Jmp_rm64) else { return false };
    let mut factory = InstructionInfoFactory::new();
    let Some(mut open) = jump_targets(code, &function, &jump) else { return false };
    if open.is_empty() {
        let mut uses = |i: &Instruction| use_of(&mut factory, i, Register::R11) != Use::default();
        return leaves
            && !instructions(code, &function)
                .into_iter()
                .any(|(at, _)| decoded(at).is_none_or(|i| uses(&i)));
    }
    let mut seen = BTreeSet::new();
    while let Some(at) = open.pop() {
        if !seen.insert(at) {
            continue;
        }
        let Some(instruction) = decoded(at).filter(|_| seen.len() <= LIMIT) else { return false };
        let usage = use_of(&mut factory, &instruction, Register::R11);
        if usage.whole || usage.part > 0 || usage.perhaps {
            return false;
        }
        if usage.written == 64 {
            continue;
        }
        match next_of(code, &instruction) {
            Next::Following | Next::LeaveOrFollowing => open.push(instruction.next_ip()),
            Next::Jump(target) => open.push(target),
            Next::Branch(target) => open.extend([instruction.next_ip(), target]),
            Next::Call | Next::Leave | Next::Return | Next::Stop => {}
            Next::Indirect => match jump_targets(code, &code.function(at), &instruction) {
                Some(targets) => open.extend(targets),
                None => return false,
            },
        }
    }
    true
}

/// Where an indirect jump of a function leads in the function: by its table, if `jmp *table(,%r,8)` says which that is;
/// else all that some jump of the function may lead to, which is nothing if it can but leave. `None`: it is not known.
fn jump_targets(code: &dyn CodeView, function: &Range<u64>, jump: &Instruction) -> Option<Vec<u64>> {
    // Its displacement comes last.
    let memory = jump.op0_kind() == OpKind::Memory && jump.memory_displ_size() >= 4;
    let table = || {
        let table = code.referent(jump.next_ip() - 4, jump.next_ip()).filter(|_| memory)?;
        table_targets(code, function, table, false)
    };
    table().or_else(|| Some(Layout::discover(code, &[function.start], true)?.indirect))
}

#[cfg(test)]
mod tests {
    use super::super::flow::snippet::Snippet;
    use super::*;

    /// `mov $imm32,%edi` and what follows.
    fn after(rest: &[u8]) -> Result<(), String> {
        is_address(&Snippet::new([&[0xbf, 0x40, 0x40, 0x40, 0x00], rest].concat()), 0)
    }

    fn after_relocated(rest: &[u8], away: u64) -> Result<(), String> {
        let mut code = Snippet::new([&[0xbf, 0x40, 0x40, 0x40, 0x00], rest].concat());
        code.away = vec![away];
        is_address(&code, 0)
    }

    #[test]
    fn whole_registers_are_addresses() {
        after(&[0x48, 0x8b, 0x07]).expect("mov (%rdi),%rax");
        after(&[0x90, 0x48, 0x89, 0xf8]).expect("nop; mov %rdi,%rax");
        after(&[0x57]).expect("push %rdi");
        after(&[0xff, 0xd7]).expect("call *%rdi");
        after(&[0xe8, 0, 0, 0, 0]).expect("an argument of a call");
        after(&[0x48, 0x0f, 0x44, 0xc7]).expect("cmove %rdi,%rax");
        after(&[0x40, 0x8a, 0x3f]).expect("mov (%rdi),%dil");
        after(&[0x48, 0x0f, 0x45, 0xf9, 0x57]).expect("cmovne %rcx,%rdi; push %rdi");
        after(&[0x75, 0x03, 0x48, 0x8b, 0x07, 0x48, 0x89, 0xf8]).expect("both ways use it");
        after(&[0x75, 0x03, 0x48, 0x8b, 0x07, 0xbf, 0, 0, 0, 0]).expect("one way uses it, the other sets it");
        // Parts of it that are others in between: sete %dil; mov %dil,(%rsi); and one way on which that is so.
        after(&[0x75, 0x0a, 0x40, 0x0f, 0x94, 0xc7, 0x40, 0x88, 0x3e, 0x31, 0xff, 0xc3, 0x57])
            .expect("sete %dil");
        after_relocated(&[0xe9, 0, 0, 0, 0], 5).expect("an argument of a tail call");
    }

    #[test]
    fn calls_that_never_return_end_a_way() {
        // mov $imm32,%ebx; jne +6; 7: mov (%rbx),%rax; ret; 11: nop; nop; 13: call; 18: ret
        let bytes =
            [0xbb, 1, 2, 3, 4, 0x75, 0x06, 0x48, 0x8b, 0x03, 0xc3, 0x90, 0x90, 0xe8, 0, 0, 0, 0, 0xc3];
        let mut code = Snippet::new(bytes.to_vec());
        assert!(is_address(&code, 0).expect_err("it returns").contains("not used before `ret`"));
        code.dead_ends = vec![13];
        is_address(&code, 0).expect("mov (%rbx),%rax");
    }

    #[test]
    fn uses_behind_a_jump_table_count() {
        // mov $imm32,%ebx; jmp *table(,%rax,8); 12: mov (%rbx),%rax; 15: ret; 16: mov %ebx,%eax
        let bytes =
            [&[0xbb, 1, 2, 3, 4, 0xff, 0x24, 0xc5, 0, 0, 0, 0][..], &[0x48, 0x8b, 0x03, 0xc3, 0x89, 0xd8]];
        let through = |table: Option<Vec<Vec<u64>>>| {
            let mut code = Snippet::new(bytes.concat());
            code.referents = vec![(8, 0x20000)];
            code.exact_tables = table.into_iter().map(|parts| (0x20000, false, parts)).collect();
            is_address(&code, 0)
        };
        through(Some(vec![vec![12]])).expect("mov (%rbx),%rax");
        for (table, why) in [
            (None, "fewer than 64 bits by `mov %ebx,%eax`"),
            (Some(vec![vec![12], vec![16]]), "fewer than 64 bits by `mov %ebx,%eax`"),
            (Some(vec![vec![12], vec![16, 99]]), "fewer than 64 bits by `mov %ebx,%eax`"),
            (Some(vec![vec![12, 15]]), "not used before `ret`"),
            (Some(vec![vec![12, 99]]), "no instruction"),
        ] {
            let error = through(table).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn uses_behind_other_jumps_within_the_function_count() {
        let through = |rest: &[u8]| after(&[&[0xff, 0xe1], rest].concat());
        through(&[]).expect("jmp *%rcx: an argument of the function there");
        through(&[0x48, 0x8b, 0x07, 0xc3]).expect("mov (%rdi),%rax; ret");
        let error = through(&[0x89, 0xf8, 0xc3]).expect_err("mov %edi,%eax; ret");
        assert!(error.contains("fewer than 64 bits"), "{error}");
        // lea 19(%rip),%rax; jne 16; jmp *%rax; 16: mov (%rdi),%rax; 19: mov %edi,%eax; ret
        let label = [
            &[0x48, 0x8d, 0x05, 7, 0, 0, 0, 0x75, 0x02, 0xff, 0xe0][..],
            &[0x48, 0x8b, 0x07, 0x89, 0xf8, 0xc3],
        ];
        let error = after(&label.concat()).expect_err("mov %edi,%eax; ret");
        assert!(error.contains("fewer than 64 bits"), "{error}");
    }

    #[test]
    fn a_register_is_free_that_nothing_uses_before_it_is_set() {
        // jmp *disp32, and what it may lead to.
        let frees_if = |rest: &[u8], leaves: bool| {
            let mut code = Snippet::new([&[0xff, 0x24, 0x25, 1, 2, 3, 4], rest].concat());
            code.tables = if rest.is_empty() { Vec::new() } else { vec![7] };
            frees_linkage_register(&code, 0, leaves)
        };
        let frees = |rest: &[u8]| frees_if(rest, true);
        assert!(!frees_if(&[], false), "another function may have been promised something");
        // mov %rax,%r11; jmp *disp32
        let set = Snippet::new(vec![0x49, 0x89, 0xc3, 0xff, 0x24, 0x25, 1, 2, 3, 4]);
        assert!(!frees_linkage_register(&set, 3, true), "it is handed over");
        for (rest, free) in [
            (&[][..], true),
            (&[0x90, 0xc3], true),
            (&[0x49, 0x89, 0xc3, 0x4c, 0x89, 0xd8, 0xc3], true),
            (&[0x4c, 0x89, 0xd8, 0xc3], false),
            (&[0x75, 0x03, 0x4c, 0x89, 0xd8, 0xc3], false),
            (&[0x44, 0x88, 0x1f, 0xc3], false),
            (&[0xe8, 0, 0, 0, 0, 0xc3], true),
        ] {
            assert_eq!(frees(rest), free, "{rest:02x?}");
        }
        assert!(!frees_linkage_register(&Snippet::new(vec![0x90, 0xc3]), 0, true), "no jump");
    }

    #[test]
    fn all_else_is_refused() {
        for (rest, why) in [
            (&[0x89, 0xf8][..], "fewer than 64 bits by `mov %edi,%eax`"),
            (&[0x40, 0x0f, 0xb6, 0xc7], "fewer than 64 bits"),
            (&[0x66, 0x89, 0x3e], "fewer than 64 bits"),
            (&[0x67, 0x8b, 0x07], "fewer than 64 bits"),
            (&[0x0f, 0x45, 0xf9, 0x57], "fewer than 64 bits"),
            (&[0x40, 0x88, 0x3f], "fewer than 64 bits"),
            (&[0x48, 0x0f, 0x45, 0xf9, 0xc3], "not used as an address"),
            (&[0x40, 0xb7, 0x01, 0x48, 0x8b, 0x07], "fewer than 64 bits"),
            (&[0xc3], "not used as an address"),
            (&[0x40, 0x0f, 0x94, 0xc7, 0x0f, 0xb7, 0xc7], "fewer than 64 bits by `movzwl %di,%eax`"),
            (&[0x40, 0x0f, 0x94, 0xc7, 0xe8, 0, 0, 0, 0], "not used before `call"),
            (&[0x90, 0x90], "no instruction"),
            (&[0x31, 0xff, 0x48, 0x8b, 0x07], "not used as an address"),
            (&[0xeb, 0xfe], "not used as an address"),
        ] {
            let error = after(rest).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
