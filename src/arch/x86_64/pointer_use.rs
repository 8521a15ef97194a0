//! Whether a register that an instruction sets to a 32-bit constant is used as a 64-bit address afterwards: then a
//! full address in its place is right wherever it lies. Followed through the function's own jumps.

use std::collections::BTreeSet;

use iced_x86::{Code, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register};

use super::super::CodeView;
use super::decode::disassemble;
use super::flow::{Next, decode_at, next_of};

/// Uses are near: what has shown none after so many instructions is taken for none.
const LIMIT: usize = 256;

/// Integer arguments, then what variadic functions and closures get (psABI 3.2.3).
const ARGUMENTS: [Register; 7] =
    [Register::RDI, Register::RSI, Register::RDX, Register::RCX, Register::R8, Register::R9, Register::R10];
/// What a function keeps for its caller.
const KEPT: [Register; 6] =
    [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];

/// What one instruction does with the register.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    /// Nothing.
    Untouched,
    /// All 64 bits count.
    Whole,
    /// Fewer bits count.
    Part,
    /// It gets another value, unread.
    Dead,
}

/// See [`super::super::Arch::is_address`].
pub(super) fn is_address(code: &dyn CodeView, start: u64) -> Result<(), String> {
    let function = code.function(start);
    let decoded = |at| decode_at(code, at).filter(|i| function.contains(&at) && i.next_ip() <= function.end);
    let first = decoded(start).ok_or("the instruction cannot be decoded")?;
    if !matches!(first.code(), Code::Mov_r32_imm32 | Code::Mov_rm32_imm32)
        || first.op0_kind() != OpKind::Register
    {
        return Ok(());
    }
    let register = first.op0_register().full_register();
    let mut factory = InstructionInfoFactory::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![first.next_ip()];
    let mut proven = false;
    while let Some(at) = open.pop() {
        if !seen.insert(at) {
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
        match use_of(&mut factory, &instruction, register) {
            Use::Whole => {
                proven = true;
                continue;
            }
            Use::Part => return Err(format!("is then used in fewer than 64 bits by `{}`", text())),
            Use::Dead => continue,
            Use::Untouched => {}
        }
        let following = instruction.next_ip();
        match next_of(code, &instruction) {
            Next::Following => open.push(following),
            Next::Jump(target) if function.contains(&target) => open.push(target),
            Next::Branch(target) if function.contains(&target) => open.extend([following, target]),
            Next::Jump(_) | Next::Leave if ARGUMENTS.contains(&register) => proven = true,
            Next::Call if ARGUMENTS.contains(&register) => proven = true,
            Next::Call if KEPT.contains(&register) => open.push(following),
            // The register is free, and so is the value, after the call.
            Next::Call => {}
            Next::Return if register == Register::RAX => proven = true,
            // Dead, or the other half of what it returns: whole in either case.
            Next::Return if !KEPT.contains(&register) => {}
            Next::Indirect if ARGUMENTS.contains(&register) => proven = true,
            Next::Stop => {}
            _ => return Err(format!("is not used before `{}`", text())),
        }
    }
    if proven { Ok(()) } else { Err("is not used as an address".to_owned()) }
}

fn use_of(factory: &mut InstructionInfoFactory, instruction: &Instruction, register: Register) -> Use {
    let info = factory.info(instruction);
    let of_register = |used: &&iced_x86::UsedRegister| used.register().full_register() == register;
    // What is read is read before anything is written: `mov (%rax),%al` uses a whole address.
    let (mut read, mut written) = (Use::Untouched, Use::Untouched);
    for used in info.used_registers().iter().filter(of_register) {
        let whole = used.register() == register;
        match used.access() {
            OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite if whole => {
                if read == Use::Untouched {
                    read = Use::Whole;
                }
            }
            OpAccess::Read | OpAccess::CondRead | OpAccess::ReadWrite | OpAccess::ReadCondWrite => {
                read = Use::Part;
            }
            // A write to 32 bits clears the other half; one to fewer leaves the rest.
            OpAccess::Write if used.register().size() >= 4 => written = Use::Dead,
            // What may have stayed is whole (`cmove %rcx,%rax`).
            OpAccess::CondWrite if whole => {}
            OpAccess::Write | OpAccess::CondWrite => written = Use::Part,
            OpAccess::None | OpAccess::NoMemAccess => {}
        }
    }
    if read == Use::Untouched { written } else { read }
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
        after_relocated(&[0xe9, 0, 0, 0, 0], 5).expect("an argument of a tail call");
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
            (&[0x90, 0x90], "no instruction"),
            (&[0x31, 0xff, 0x48, 0x8b, 0x07], "not used as an address"),
            (&[0xeb, 0xfe], "not used as an address"),
        ] {
            let error = after(rest).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }
}
