//! Code that does an instruction's work elsewhere, where a replacement does not fit into its bytes. Flags, all
//! registers and the 128 bytes below the stack pointer that a leaf function may use (psABI 3.2.2) stay intact.

use iced_x86::{Code, OpKind, Register};

use super::super::{Delivery, Fragment, Referent, Thunk, ThunkLinks};
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
pub(super) fn thunk(instruction: &[u8], field: usize, links: &ThunkLinks) -> Result<Thunk, String> {
    let recoder = Recoder::new(instruction, field)?;
    let ThunkLinks { delivery, target, operand, next, shadow_stack } = *links;
    if operand.map(|(at, _)| at) != recoder.pc_relative_field() {
        return Err(
            "has a pc-relative operand besides, without a relocation, or another relocation".to_owned()
        );
    }
    if instruction.len() < JUMP {
        return Err("is shorter than a jump".to_owned());
    }
    let mut code = Writer { delivery, target, fragment: empty(), depth: Vec::new(), calls: false };
    let old = &recoder.old;
    match (old.code(), recoder.constant) {
        (Code::Mov_r32_imm32 | Code::Mov_rm32_imm32, Constant::Immediate)
            if old.op0_kind() == OpKind::Register =>
        {
            // mov slot(%rip),%r64: its lower half is what the instruction gave.
            code.load(old.op0_register().full_register(), recoder.extends_sign());
            code.jump(next);
        }
        (Code::Pushq_imm32, Constant::Immediate) => push(&mut code, next),
        (Code::Push_rm64, Constant::Displacement | Constant::PcRelative) => {
            push_memory(&mut code, &recoder, next)?;
        }
        (Code::Call_rm64, Constant::Displacement | Constant::PcRelative) => call(&mut code, &recoder)?,
        (Code::Jmp_rm64, Constant::Displacement | Constant::PcRelative) if shadow_stack => {
            return Err("needs a return to where no call came from, which a shadow stack forbids".to_owned());
        }
        (Code::Jmp_rm64, Constant::Displacement | Constant::PcRelative) => jump(&mut code, &recoder)?,
        _ => in_place_of(&mut code, &recoder, operand.map(|(_, referent)| referent), next)?,
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
    operand: Option<Referent>,
    next: Referent,
) -> Result<(), String> {
    if !recoder.may_run_elsewhere() {
        return Err("uses the stack or goes elsewhere, and there is no replacement for it".to_owned());
    }
    let scratch = free_register(recoder)?;
    code.emit(&BELOW_RED_ZONE);
    code.moved(RED_ZONE);
    code.push(scratch);
    code.moved(RED_ZONE + WORD);
    code.load(scratch, recoder.extends_sign());
    for recoded in recoder.through_register(scratch, RED_ZONE + WORD, code.half())? {
        if let Some((symbol, addend)) = operand {
            let (at, _) = recoded.displacement;
            let rest = (recoded.bytes.len() - at) as i64;
            code.relocate(at, RelocKind::Pc32, symbol, addend.wrapping_sub(rest));
        }
        code.emit(&recoded.bytes);
    }
    code.pop(scratch);
    code.moved(RED_ZONE);
    code.emit(&ABOVE_RED_ZONE);
    code.moved(0);
    code.jump(next);
    Ok(())
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
fn push(code: &mut Writer, next: Referent) {
    match code.delivery {
        Delivery::Got => code.pc_relative(&[0xff, 0x35], RelocKind::GotPc32, code.target),
        Delivery::Slot => code.pc_relative(&[0xff, 0x35], RelocKind::Pc32, code.target),
        Delivery::Direct | Delivery::Absolute | Delivery::Half(_) => {
            code.push(Register::RCX);
            code.moved(WORD);
            code.load(Register::RCX, true);
            code.emit(&[0x48, 0x87, 0x0c, 0x24]);
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
fn push_memory(code: &mut Writer, recoder: &Recoder, next: Referent) -> Result<(), String> {
    if recoder.uses_stack_base() {
        return Err("pushes what is on the stack".to_owned());
    }
    let scratch = free_register(recoder)?;
    code.push(scratch);
    code.moved(WORD);
    code.load(scratch, true);
    for recoded in recoder.loading_into(scratch).through_register(scratch, 0, code.half())? {
        code.emit(&recoded.bytes);
    }
    // xchg %r,(%rsp)
    code.emit(&[0x48, 0x87, 0x04 | number(scratch) << 3, 0x24]);
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
fn call(code: &mut Writer, recoder: &Recoder) -> Result<(), String> {
    if recoder.uses(Register::R11) || recoder.uses_stack_base() {
        return Err("calls through a register that is not free".to_owned());
    }
    code.calls = true;
    code.load(Register::R11, true);
    for recoded in recoder.with_code(Code::Jmp_rm64).through_register(Register::R11, 0, code.half())? {
        code.emit(&recoded.bytes);
    }
    Ok(())
}

/// `jmp *disp32(…)`, at which any register may be in use:
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
fn jump(code: &mut Writer, recoder: &Recoder) -> Result<(), String> {
    if recoder.uses_stack_base() {
        return Err("goes where the stack says".to_owned());
    }
    let scratch = free_register(recoder)?;
    code.emit(&BELOW_RED_ZONE_AND_WORD);
    code.moved(RED_ZONE + WORD);
    code.push(scratch);
    code.moved(RED_ZONE + 2 * WORD);
    code.load(scratch, true);
    for recoded in recoder.loading_into(scratch).through_register(scratch, 0, code.half())? {
        code.emit(&recoded.bytes);
    }
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

/// A thunk in the making.
struct Writer {
    delivery: Delivery,
    target: Referent,
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

    /// Whether it is no more than half of an address.
    fn half(&self) -> bool {
        matches!(self.delivery, Delivery::Half(_))
    }

    /// Puts the address into a register; of one half, the sign is extended to 64 bits if `signed`, and zeros are if not:
    ///
    /// ```text
    /// 48 63 0d 00 00 00 00    movslq slot(%rip),%rcx
    /// 8b 0d 00 00 00 00       mov slot(%rip),%ecx
    /// ```
    fn load(&mut self, register: Register, signed: bool) {
        let (wide, opcode, kind) = match self.delivery {
            Delivery::Got => (true, MOV, RelocKind::GotPc32RelaxRex),
            Delivery::Slot => (true, MOV, RelocKind::Pc32),
            Delivery::Direct | Delivery::Absolute => (true, LEA, RelocKind::Pc32),
            Delivery::Half(_) if signed => (true, MOVSLQ, RelocKind::Pc32),
            Delivery::Half(_) => (false, MOV, RelocKind::Pc32),
        };
        let mut bytes = rip_relative(wide, opcode, register.number() as u8);
        bytes.truncate(bytes.len() - 4);
        self.pc_relative(&bytes, kind, self.target);
    }

    fn jump(&mut self, next: Referent) {
        self.pc_relative(&[0xe9], RelocKind::Pc32, next);
    }
}

#[cfg(test)]
#[path = "thunk_tests.rs"]
mod tests;
