//! Code that does an instruction's work elsewhere, where a replacement does not fit into its bytes. Flags, all
//! registers and the 128 bytes below the stack pointer that a leaf function may use (psABI 3.2.2) stay intact.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, OpKind, Register};

use super::super::{Delivery, Fragment, MovedField, Referent, Supply, Thunk, ThunkLinks};
use super::lower::{LEA, MOV, MOVSLQ, nops, rip_relative};
use super::recode::{Constant, Recoder};
use crate::edits::{NewRelocation, SymbolRef};
use crate::reloc::RelocKind;

/// The area below the stack pointer that signal handlers leave alone.
const RED_ZONE: i64 = 128;
const WORD: i64 = 8;
/// A jump or call with a 32-bit distance.
const JUMP: usize = 5;

/// `lea -0x80(%rsp),%rsp`: moves the stack pointer and no flag.
const BELOW_RED_ZONE: [u8; 5] = [0x48, 0x8d, 0x64, 0x24, 0x80];
/// `lea 0x80(%rsp),%rsp`
const ABOVE_RED_ZONE: [u8; 8] = [0x48, 0x8d, 0xa4, 0x24, 0x80, 0x00, 0x00, 0x00];
/// `lea -0x88(%rsp),%rsp`
const BELOW_RED_ZONE_AND_WORD: [u8; 8] = [0x48, 0x8d, 0xa4, 0x24, 0x78, 0xff, 0xff, 0xff];
/// `ret $0x80`
const RETURN_ABOVE_RED_ZONE: [u8; 3] = [0xc2, 0x80, 0x00];

/// Registers that may hold the address for a moment, those first that make short code. None is one that a function
/// keeps for its caller: unwinding from within the thunk looks at those.
const SCRATCH: [Register; 5] = [Register::RCX, Register::RDX, Register::RAX, Register::RSI, Register::RDI];

/// See [`super::super::Arch::thunk`].
pub(super) fn thunk(instruction: &[u8], links: &ThunkLinks<'_>) -> Result<Thunk, String> {
    let ThunkLinks { supplies, moved, next, shadow_stack, frees_register } = *links;
    let [supply, others @ ..] = supplies else { return Err("has nothing to be replaced".to_owned()) };
    let recoder = Recoder::new(instruction, supply.field)?;
    let fits = match moved {
        Some(MovedField { field, kind, .. }) => {
            let counts = recoder.is_pc_relative_besides() == kind.counts_from_place();
            others.is_empty() && recoder.has_besides(field) && counts
        }
        None => !recoder.is_pc_relative_besides(),
    };
    if !fits {
        return Err(
            "has a pc-relative operand besides, without a relocation, or another relocation".to_owned()
        );
    }
    if instruction.len() < JUMP {
        return Err("is shorter than a jump".to_owned());
    }
    let mut code = Writer { fragment: empty(), depth: Vec::new(), calls: false };
    let old = &recoder.old;
    match (old.code(), recoder.constant) {
        (Code::Mov_r32_imm32 | Code::Mov_rm32_imm32, Constant::Immediate)
            if old.op0_kind() == OpKind::Register =>
        {
            // mov slot(%rip),%r64: its lower half is what the instruction gave.
            code.load(old.op0_register().full_register(), recoder.extends_sign(), supply);
            code.jump(next);
        }
        (Code::Pushq_imm32, Constant::Immediate) => push(&mut code, supply, next),
        (Code::Push_rm64, Constant::Displacement | Constant::PcRelative) => {
            push_memory(&mut code, &recoder, supply, next)?;
        }
        (Code::Call_rm64 | Code::Jmp_rm64, Constant::Displacement) if recoder.uses_stack_base() => {
            return Err("goes where the stack says".to_owned());
        }
        (Code::Call_rm64, Constant::Displacement | Constant::PcRelative) => {
            call(&mut code, &recoder, supply)?;
        }
        (Code::Jmp_rm64, Constant::Displacement | Constant::PcRelative)
            if frees_register && !recoder.uses(Register::R11) =>
        {
            through_linkage_register(&mut code, &recoder, supply)?;
        }
        (Code::Jmp_rm64, Constant::Displacement | Constant::PcRelative) if shadow_stack => {
            return Err("needs a return to where no call came from, which a shadow stack forbids".to_owned());
        }
        (Code::Jmp_rm64, Constant::Displacement | Constant::PcRelative) => {
            jump(&mut code, &recoder, supply)?;
        }
        (Code::Pop_rm64, Constant::Displacement | Constant::PcRelative) => {
            pop_memory(&mut code, &recoder, supply, next)?;
        }
        _ => match others {
            [] => in_place_of(&mut code, &recoder, supply, moved.as_ref(), next)?,
            [second] => {
                let immediate = Recoder::new(instruction, second.field)?;
                in_place_of_both(&mut code, (&recoder, supply), (&immediate, second), next)?;
            }
            _ => return Err("has more constants than two".to_owned()),
        },
    }
    let Writer { fragment, depth, calls, .. } = code;
    // A call ends where the old one did: its return address is what tables say of the old one.
    let mut site = if calls { nops(instruction.len() - JUMP) } else { Vec::new() };
    let opcode = if calls { 0xe8 } else { 0xe9 };
    site.extend([opcode, 0, 0, 0, 0]);
    let field = site.len() as u64 - 4;
    site.extend(nops(instruction.len() - site.len()));
    Ok(Thunk { site, field, fragment, depth, calls })
}

/// Whatever goes on to the next instruction:
///
/// ```text
/// 48 8d 64 24 80             lea -0x80(%rsp),%rsp
/// 51                         push %rcx
/// 48 8b 0d 00 00 00 00       mov sym@GOTPCREL(%rip),%rcx
/// …                          the instruction with %rcx
/// 59                         pop %rcx
/// 48 8d a4 24 80 00 00 00    lea 0x80(%rsp),%rsp
/// e9 00 00 00 00             jmp next
/// ```
fn in_place_of(
    code: &mut Writer,
    recoder: &Recoder,
    supply: &Supply,
    moved: Option<&MovedField>,
    next: Referent,
) -> Result<(), String> {
    let scratch = free_register(recoder)?;
    let stand_in = SCRATCH.into_iter().find(|&register| register != scratch && !recoder.uses(register));
    let with_stand_in = stand_in.map(|register| recoder.with_stack_pointer_in(register)).transpose()?;
    let (Some(stand_in), Some((with_stand_in, written))) = (stand_in, with_stand_in.flatten()) else {
        code.lower_stack(&[scratch]);
        code.load(scratch, recoder.extends_sign(), supply);
        code.run(recoder, (scratch, supply), 1, moved)?;
        code.raise_stack(&[scratch], next);
        return Ok(());
    };
    // The stack pointer as it was.
    code.lower_stack(&[scratch, stand_in]);
    code.on_stack(LEA, stand_in, RED_ZONE + 2 * WORD);
    code.load(scratch, recoder.extends_sign(), supply);
    code.run(&with_stand_in, (scratch, supply), 2, moved)?;
    if written {
        // mov 8(%rsp),%scratch; xchg %stand_in,(%rsp); pop %rsp
        code.on_stack(MOV, scratch, WORD);
        code.exchange_top(stand_in);
        code.pop(Register::RSP);
        code.moved(0);
        code.jump(next);
    } else {
        code.raise_stack(&[scratch, stand_in], next);
    }
    Ok(())
}

/// The same where both constants are addresses:
///
/// ```text
/// 48 8d 64 24 80             lea -0x80(%rsp),%rsp
/// 51                         push %rcx
/// 52                         push %rdx
/// 48 8b 0d 00 00 00 00       mov sym@GOTPCREL(%rip),%rcx
/// 48 8b 15 00 00 00 00       mov slot(%rip),%rdx
/// 48 89 11                   the instruction, here mov %rdx,(%rcx)
/// 5a                         pop %rdx
/// 59                         pop %rcx
/// 48 8d a4 24 80 00 00 00    lea 0x80(%rsp),%rsp
/// e9 00 00 00 00             jmp next
/// ```
fn in_place_of_both(
    code: &mut Writer,
    (memory, target): (&Recoder, &Supply),
    (immediate, number): (&Recoder, &Supply),
    next: Referent,
) -> Result<(), String> {
    if immediate.constant != Constant::Immediate {
        return Err("has two addresses in a way that is not known".to_owned());
    }
    let second = free_register(memory)?;
    let recoder = immediate.with_immediate_in(second, is_half(number), memory)?;
    let first = free_register(&recoder)?;
    code.lower_stack(&[first, second]);
    code.load(first, memory.extends_sign(), target);
    code.load(second, immediate.extends_sign(), number);
    code.run(&recoder, (first, target), 2, None)?;
    code.raise_stack(&[first, second], next);
    Ok(())
}

/// See [`super::super::Arch::thunk_keeps_apart`].
pub(super) fn keeps_apart(thunk: &[u8], loads: [u64; 2]) -> bool {
    let decoder = || Decoder::new(64, thunk, DecoderOptions::NONE);
    let loaded = |field: u64| {
        // The field is the end of the load.
        let load = decoder().into_iter().find(|i| i.next_ip() == field + 4)?;
        (load.op0_kind() == OpKind::Register).then(|| load.op0_register().full_register())
    };
    let [Some(address), Some(number)] = loads.map(loaded) else { return false };
    let both = |i: &Instruction| {
        (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory)
            && [i.memory_base(), i.memory_index()].contains(&address)
            && i.op1_kind() == OpKind::Register
            && i.op1_register().full_register() == number
    };
    address != number && decoder().into_iter().filter(both).count() == 1
}

/// `push $imm32`, which overwrites the word below the stack pointer and no other:
///
/// ```text
/// ff 35 00 00 00 00    push slot(%rip), or sym@GOTPCREL(%rip)
/// e9 00 00 00 00       jmp next
///
/// 51                      push %rcx
/// 48 8d 0d 00 00 00 00    lea sym(%rip),%rcx
/// 48 87 0c 24             xchg %rcx,(%rsp)
/// e9 00 00 00 00          jmp next
/// ```
fn push(code: &mut Writer, supply: &Supply, next: Referent) {
    match supply.delivery {
        Delivery::Got => code.pc_relative(&[0xff, 0x35], RelocKind::GotPc32, supply.target),
        Delivery::Slot => code.pc_relative(&[0xff, 0x35], RelocKind::Pc32, supply.target),
        Delivery::Direct | Delivery::Absolute | Delivery::Half(_) => {
            code.push(Register::RCX);
            code.moved(WORD);
            code.load(Register::RCX, true, supply);
            code.exchange_top(Register::RCX);
        }
    }
    code.moved(WORD);
    code.jump(next);
}

/// `push disp32(…)`, which overwrites the word below the stack pointer and no other:
///
/// ```text
/// 51                      push %rcx
/// 48 8b 0d 00 00 00 00    mov sym@GOTPCREL(%rip),%rcx
/// 48 8b 0c c1             mov (%rcx,%rax,8),%rcx
/// 48 87 0c 24             xchg %rcx,(%rsp)
/// e9 00 00 00 00          jmp next
/// ```
fn push_memory(code: &mut Writer, recoder: &Recoder, supply: &Supply, next: Referent) -> Result<(), String> {
    if recoder.uses_stack_base() {
        return Err("pushes what is on the stack".to_owned());
    }
    let scratch = free_register(recoder)?;
    code.push(scratch);
    code.moved(WORD);
    code.load(scratch, true, supply);
    code.run(&recoder.loading_into(scratch), (scratch, supply), 0, None)?;
    code.exchange_top(scratch);
    code.jump(next);
    Ok(())
}

/// `pop disp32(…)`:
///
/// ```text
/// 48 8d 64 24 80             lea -0x80(%rsp),%rsp
/// 51                         push %rcx
/// 52                         push %rdx
/// 48 8b 94 24 90 00 00 00    mov 0x90(%rsp),%rdx
/// 48 8b 0d 00 00 00 00       mov sym@GOTPCREL(%rip),%rcx
/// 48 89 14 c1                mov %rdx,(%rcx,%rax,8)
/// 5a                         pop %rdx
/// 59                         pop %rcx
/// 48 8d a4 24 88 00 00 00    lea 0x88(%rsp),%rsp
/// e9 00 00 00 00             jmp next
/// ```
fn pop_memory(code: &mut Writer, recoder: &Recoder, supply: &Supply, next: Referent) -> Result<(), String> {
    if recoder.uses_stack_base() {
        return Err("goes to what is on the stack".to_owned());
    }
    let word = free_register(recoder)?;
    let storing = recoder.storing(word);
    let scratch = free_register(&storing)?;
    code.lower_stack(&[scratch, word]);
    code.on_stack(MOV, word, RED_ZONE + 2 * WORD);
    code.load(scratch, true, supply);
    code.run(&storing, (scratch, supply), 2, None)?;
    code.pop(word);
    code.moved(RED_ZONE + WORD);
    code.pop(scratch);
    code.moved(RED_ZONE);
    code.on_stack(LEA, Register::RSP, RED_ZONE + WORD);
    code.moved(-WORD);
    code.jump(next);
    Ok(())
}

/// `call *disp32(…)`: the place calls, so that the return address stays in its function, and the thunk goes on.
/// `%r11` is free at a call (psABI 3.2.3: linkage code uses it).
///
/// ```text
/// 4c 8b 1d 00 00 00 00    mov sym@GOTPCREL(%rip),%r11
/// 41 ff 23                jmp *(%r11)
/// ```
fn call(code: &mut Writer, recoder: &Recoder, supply: &Supply) -> Result<(), String> {
    if recoder.uses(Register::R11) {
        return Err("calls through a register that is not free".to_owned());
    }
    code.calls = true;
    through_linkage_register(code, &recoder.with_code(Code::Jmp_rm64), supply)
}

/// A jump at which `%r11` is free.
fn through_linkage_register(code: &mut Writer, recoder: &Recoder, supply: &Supply) -> Result<(), String> {
    code.load(Register::R11, true, supply);
    code.run(recoder, (Register::R11, supply), 0, None)
}

/// `jmp *disp32(…)`, at which every register may be in use:
///
/// ```text
/// 48 8d a4 24 78 ff ff ff    lea -0x88(%rsp),%rsp
/// 51                         push %rcx
/// 48 8b 0d 00 00 00 00       mov sym@GOTPCREL(%rip),%rcx
/// 48 8b 0c c1                mov (%rcx,%rax,8),%rcx
/// 48 89 4c 24 08             mov %rcx,8(%rsp)
/// 59                         pop %rcx
/// c2 80 00                   ret $0x80
/// ```
fn jump(code: &mut Writer, recoder: &Recoder, supply: &Supply) -> Result<(), String> {
    let scratch = free_register(recoder)?;
    code.emit(&BELOW_RED_ZONE_AND_WORD);
    code.moved(RED_ZONE + WORD);
    code.push(scratch);
    code.moved(RED_ZONE + 2 * WORD);
    code.load(scratch, true, supply);
    code.run(&recoder.loading_into(scratch), (scratch, supply), 0, None)?;
    // mov %r,8(%rsp)
    code.emit(&[0x48, 0x89, 0x44 | number(scratch) << 3, 0x24, 0x08]);
    code.pop(scratch);
    code.moved(RED_ZONE + WORD);
    code.emit(&RETURN_ABOVE_RED_ZONE);
    Ok(())
}

fn free_register(recoder: &Recoder) -> Result<Register, String> {
    let mut free = SCRATCH.into_iter().filter(|&register| !recoder.uses(register));
    free.next().ok_or_else(|| "uses all registers that could hold the address".to_owned())
}

/// The number of one of the first eight registers, or of any without what a prefix says.
fn number(register: Register) -> u8 {
    (register.number() & 7) as u8
}

fn empty() -> Fragment {
    Fragment { code: Vec::new(), relocations: Vec::new(), frame: Vec::new() }
}

/// Whether it is no more than half of an address.
fn is_half(supply: &Supply) -> bool {
    matches!(supply.delivery, Delivery::Half(_))
}

/// A thunk in the making.
struct Writer {
    fragment: Fragment,
    depth: Vec<(u32, i64)>,
    calls: bool,
}

impl Writer {
    fn emit(&mut self, bytes: &[u8]) {
        self.fragment.code.extend_from_slice(bytes);
    }

    /// From here on the stack pointer is by so many bytes lower than before the instruction.
    fn moved(&mut self, depth: i64) {
        self.depth.push((self.fragment.code.len() as u32, depth));
    }

    fn push(&mut self, register: Register) {
        self.emit(&[0x50 | number(register)]);
    }

    fn pop(&mut self, register: Register) {
        self.emit(&[0x58 | number(register)]);
    }

    /// `opcode` with a register and so many bytes from the stack pointer on for operands.
    fn on_stack(&mut self, opcode: u8, register: Register, offset: i64) {
        self.emit(&[0x48, opcode, 0x84 | number(register) << 3, 0x24]);
        self.emit(&(offset as i32).to_le_bytes());
    }

    /// `xchg %r,(%rsp)`
    fn exchange_top(&mut self, register: Register) {
        self.emit(&[0x48, 0x87, 0x04 | number(register) << 3, 0x24]);
    }

    /// An instruction that ends with a 32-bit distance from its end.
    fn pc_relative(&mut self, opcode: &[u8], kind: RelocKind, (symbol, addend): Referent) {
        self.emit(opcode);
        self.relocate(0, kind, symbol, addend.wrapping_sub(4));
        self.emit(&[0; 4]);
    }

    /// A relocation of a field so many bytes further on.
    fn relocate(&mut self, ahead: usize, kind: RelocKind, symbol: SymbolRef, addend: i64) {
        let offset = (self.fragment.code.len() + ahead) as u64;
        self.fragment.relocations.push(NewRelocation { offset, kind, symbol, addend });
    }

    /// Makes room below the red zone, and keeps those registers there.
    fn lower_stack(&mut self, registers: &[Register]) {
        self.emit(&BELOW_RED_ZONE);
        self.moved(RED_ZONE);
        for (register, words) in registers.iter().zip(1..) {
            self.push(*register);
            self.moved(RED_ZONE + words * WORD);
        }
    }

    /// Gives back what [`Self::lower_stack`] took, and goes on.
    fn raise_stack(&mut self, registers: &[Register], next: Referent) {
        let mut words = registers.len() as i64;
        for register in registers.iter().rev() {
            self.pop(*register);
            words -= 1;
            self.moved(RED_ZONE + words * WORD);
        }
        self.emit(&ABOVE_RED_ZONE);
        self.moved(0);
        self.jump(next);
    }

    /// The instruction itself, with the address in a register and so many kept in the stack.
    fn run(
        &mut self,
        recoder: &Recoder,
        (register, supply): (Register, &Supply),
        kept: i64,
        moved: Option<&MovedField>,
    ) -> Result<(), String> {
        if kept > 0 && !recoder.may_run_elsewhere() {
            return Err("uses the stack or goes elsewhere, and there is no replacement for it".to_owned());
        }
        let lowered = if kept > 0 { RED_ZONE + kept * WORD } else { 0 };
        let all = recoder.through_register(register, lowered, is_half(supply))?;
        for (recoded, left) in all.iter().zip((0..all.len()).rev()) {
            if let Some(moved) = moved.filter(|_| left == 0) {
                let at = recoded.field(recoder, moved.field).ok_or("has no room for its other constant")?;
                let (symbol, addend) = moved.target;
                let counts = moved.kind.counts_from_place();
                let rest = if counts { (recoded.bytes.len() - at) as i64 } else { 0 };
                self.relocate(at, moved.kind, symbol, addend.wrapping_sub(rest));
            }
            self.emit(&recoded.bytes);
        }
        Ok(())
    }

    /// Puts the address into a register; of one half, the sign is extended to 64 bits if `signed`, and zeros are if not:
    ///
    /// ```text
    /// 48 63 0d 00 00 00 00    movslq slot(%rip),%rcx
    /// 8b 0d 00 00 00 00       mov slot(%rip),%ecx
    /// ```
    fn load(&mut self, register: Register, signed: bool, supply: &Supply) {
        let (wide, opcode, kind) = match supply.delivery {
            Delivery::Got => (true, MOV, RelocKind::GotPc32RelaxRex),
            Delivery::Slot => (true, MOV, RelocKind::Pc32),
            Delivery::Direct | Delivery::Absolute => (true, LEA, RelocKind::Pc32),
            Delivery::Half(_) if signed => (true, MOVSLQ, RelocKind::Pc32),
            Delivery::Half(_) => (false, MOV, RelocKind::Pc32),
        };
        let mut bytes = rip_relative(wide, opcode, register.number() as u8);
        bytes.truncate(bytes.len() - 4);
        self.pc_relative(&bytes, kind, supply.target);
    }

    fn jump(&mut self, next: Referent) {
        self.pc_relative(&[0xe9], RelocKind::Pc32, next);
    }
}

#[cfg(test)]
#[path = "thunk_tests.rs"]
mod tests;
