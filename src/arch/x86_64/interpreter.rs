//! The function that runs a fill program (see [`crate::fill_program`]) on AMD64:
//! `int interpreter(const void *program)`, which returns what the program answers.
//!
//! The machine's own stack is the operand stack: a push touches the next word and nothing else, so any depth
//! meets the guard page as ordinary code does. Frames are found through `%rbp`, so unwinding does not depend
//! on the depth. Opcodes are told apart by comparisons, the frequent ones first: a jump through a table
//! would need landing pads or `notrack` under indirect branch tracking.

use gimli::write::CallFrameInstruction;
use gimli::{Register, X86_64};
use iced_x86::code_asm::*;
use iced_x86::{BlockEncoderOptions, IcedError};

use super::super::Fragment;
use crate::edits::{NewRelocation, SymbolRef};
use crate::fill_program::{Opcode, call_number};
use crate::reloc::RelocKind;

/// Where the arguments of a call are laid out, from `%rbp` (below the three saved registers).
const INTEGERS: i32 = -24 - 6 * 8;
const FLOATS: i32 = INTEGERS - 8 * 8;
/// From `%rbp` to the operand stack, which lies below.
const FRAME: i32 = -FLOATS;

/// See [`super::super::Arch::interpreter`].
pub(super) fn interpreter(failure: Option<(SymbolRef, SymbolRef)>) -> Fragment {
    match build(failure) {
        Ok(fragment) => fragment,
        // No operand below depends on an input.
        Err(error) => unreachable!("the interpreter does not assemble: {error}"),
    }
}

/// Rows of the unwind table, by the label of the first instruction that each is true for.
type Rows = Vec<(CodeLabel, CallFrameInstruction)>;

fn build(failure: Option<(SymbolRef, SymbolRef)>) -> Result<Fragment, IcedError> {
    let mut a = CodeAssembler::new(64)?;
    let mut rows = Rows::new();
    let mut calls = Vec::new();

    prologue(&mut a, &mut rows)?;
    let mut next = a.create_label();
    let mut end = a.create_label();
    operations(&mut a, &mut next, end, failure.map(|symbols| (symbols, &mut calls)))?;
    epilogue(&mut a, &mut end, &mut rows)?;

    let assembled = a.assemble_options(0, BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
    let frame = rows
        .into_iter()
        .map(|(label, row)| Ok((assembled.label_ip(&label)? as u32, row)))
        .collect::<Result<_, IcedError>>()?;
    let relocations = calls
        .into_iter()
        .map(|(label, symbol)| {
            Ok(NewRelocation {
                // The field follows the opcode and ends with the instruction.
                offset: assembled.label_ip(&label)? + 1,
                kind: RelocKind::Plt32,
                symbol,
                addend: -4,
            })
        })
        .collect::<Result<_, IcedError>>()?;
    Ok(Fragment { code: assembled.inner.code_buffer, relocations, frame })
}

/// `%rbx` points to the next word of the program; `%r12` and `%r13` outlive the functions that are called.
fn prologue(a: &mut CodeAssembler, rows: &mut Rows) -> Result<(), IcedError> {
    use CallFrameInstruction::{CfaOffset, CfaRegister, Offset};
    a.push(rbp)?;
    row(a, rows, [CfaOffset(16), Offset(X86_64::RBP, -16)])?;
    a.mov(rbp, rsp)?;
    row(a, rows, [CfaRegister(X86_64::RBP)])?;
    for (saved, number, offset) in [(rbx, X86_64::RBX, -24), (r12, X86_64::R12, -32), (r13, X86_64::R13, -40)]
    {
        a.push(saved)?;
        row(a, rows, [Offset(number, offset)])?;
    }
    a.lea(rsp, ptr(rbp - FRAME))?;
    a.mov(rbx, rdi)
}

/// Begins with `end` and stands last in the function, so its rows need not be taken back. `%edx` is the answer.
fn epilogue(a: &mut CodeAssembler, end: &mut CodeLabel, rows: &mut Rows) -> Result<(), IcedError> {
    a.set_label(end)?;
    a.mov(eax, edx)?;
    a.lea(rsp, ptr(rbp - 24))?;
    a.pop(r13)?;
    a.pop(r12)?;
    a.pop(rbx)?;
    a.pop(rbp)?;
    row(a, rows, [CallFrameInstruction::Cfa(X86_64::RSP, 8)])?;
    a.ret()
}

/// Says what changed in the frame before the next instruction.
fn row<const N: usize>(
    a: &mut CodeAssembler,
    rows: &mut Rows,
    changes: [CallFrameInstruction; N],
) -> Result<(), IcedError> {
    let mut here = a.create_label();
    a.set_label(&mut here)?;
    rows.extend(changes.into_iter().map(|change| (here, change)));
    Ok(())
}

/// `write` and `abort`, and where they are called.
type Failure<'c> = ((SymbolRef, SymbolRef), &'c mut Vec<(CodeLabel, SymbolRef)>);

/// The loop over the program. Each operation ends with a jump to `next`; the last falls into `end`.
fn operations(
    a: &mut CodeAssembler,
    next: &mut CodeLabel,
    end: CodeLabel,
    failure: Option<Failure<'_>>,
) -> Result<(), IcedError> {
    let mut without_address = a.create_label();

    // %ecx: the opcode, %rdx: the number
    a.set_label(next)?;
    let next = *next;
    a.movsxd(rdx, dword_ptr(rbx))?;
    a.add(rbx, 4)?;
    a.movzx(ecx, dl)?;
    a.sar(rdx, 8)?;
    a.cmp(ecx, Opcode::FIRST_WITHOUT_ADDRESS as i32)?;
    a.jae(without_address)?;

    // %rax: the address that the next word leads to
    a.movsxd(rax, dword_ptr(rbx))?;
    a.add(rax, rbx)?;
    a.add(rbx, 4)?;

    operation(a, Opcode::PushAddress, |a| {
        a.push(rax)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Store, |a| {
        a.pop(qword_ptr(rax))?;
        a.jmp(next)
    })?;
    operation(a, Opcode::PushWord, |a| {
        a.push(qword_ptr(rax))?;
        a.jmp(next)
    })?;
    operation(a, Opcode::StoreKeep, |a| {
        a.mov(rdx, qword_ptr(rsp))?;
        a.mov(qword_ptr(rax), rdx)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Once, |a| {
        a.mov(ecx, dword_ptr(rbx))?;
        a.add(rbx, 4)?;
        a.cmp(qword_ptr(rax), 0)?;
        a.je(next)?;
        a.add(rbx, rcx)?;
        a.jmp(next)
    })?;
    // Opcode::Check is the one that is left.
    match failure {
        Some((symbols, calls)) => {
            operation(a, Opcode::CallTexts, |a| call_texts(a, next, (symbols, &mut *calls)))?;
            check(a, next, (symbols, calls))?;
        }
        None => a.ud2()?,
    }

    a.set_label(&mut without_address)?;
    operation(a, Opcode::Call, |a| call(a, next))?;
    operation(a, Opcode::PushInt, |a| {
        a.push(rdx)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Load, |a| {
        a.pop(rax)?;
        a.push(qword_ptr(rax + rdx))?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Add, |a| {
        a.add(qword_ptr(rsp), rdx)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Drop, |a| {
        a.pop(rax)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::PushLong, |a| {
        a.push(qword_ptr(rbx))?;
        a.add(rbx, 8)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::AddPopped, |a| {
        a.pop(rax)?;
        a.add(qword_ptr(rsp), rax)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::StorePopped, |a| {
        a.pop(rax)?;
        a.pop(qword_ptr(rax))?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Shr, |a| {
        a.mov(ecx, edx)?;
        a.shr(qword_ptr(rsp), cl)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Shl, |a| {
        a.mov(ecx, edx)?;
        a.shl(qword_ptr(rsp), cl)?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Neg, |a| {
        a.neg(qword_ptr(rsp))?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Not, |a| {
        a.not(qword_ptr(rsp))?;
        a.jmp(next)
    })?;
    operation(a, Opcode::Require, |a| {
        a.cmp(qword_ptr(rsp), 0)?;
        a.jne(next)?;
        a.jmp(end)
    })?;
    operation(a, Opcode::PushResult, |a| {
        a.neg(rdx)?;
        a.push(qword_ptr(rbp + rdx * 8 - (FRAME + 8)))?;
        a.jmp(next)
    })?;
    a.cmp(ecx, Opcode::End as i32)?;
    a.je(end)?;
    a.ud2()
}

/// Code that runs if `%ecx` is `opcode`.
fn operation(
    a: &mut CodeAssembler,
    opcode: Opcode,
    body: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let mut other = a.create_label();
    a.cmp(ecx, opcode as i32)?;
    a.jne(other)?;
    body(a)?;
    a.set_label(&mut other)
}

/// `%rax` points to the message: its length in 32 bits, then text.
fn check(
    a: &mut CodeAssembler,
    next: CodeLabel,
    ((write, abort), calls): Failure<'_>,
) -> Result<(), IcedError> {
    a.cmp(qword_ptr(rsp), 0)?;
    a.jne(next)?;
    a.and(rsp, -16)?;
    a.mov(edx, dword_ptr(rax))?;
    a.lea(rsi, ptr(rax + 4))?;
    a.mov(edi, 2)?;
    call_symbol(a, write, calls)?;
    call_symbol(a, abort, calls)?;
    a.ud2()
}

/// Calls a function of another module.
fn call_symbol(
    a: &mut CodeAssembler,
    symbol: SymbolRef,
    calls: &mut Vec<(CodeLabel, SymbolRef)>,
) -> Result<(), IcedError> {
    let mut here = a.create_label();
    a.set_label(&mut here)?;
    // call symbol@PLT
    a.db(&[0xe8, 0, 0, 0, 0])?;
    calls.push((here, symbol));
    Ok(())
}

/// `%rax` points to the message's two lines, `%rbx` to the row of texts. What has no register that outlives a call waits
/// where the arguments of other calls are laid out.
fn call_texts(
    a: &mut CodeAssembler,
    next: CodeLabel,
    ((write, abort), calls): Failure<'_>,
) -> Result<(), IcedError> {
    const FUNCTION: i32 = INTEGERS;
    const MESSAGE: i32 = INTEGERS + 8;
    const STACK: i32 = INTEGERS + 16;
    let mut each = a.create_label();
    let mut last = a.create_label();
    let mut null = a.create_label();

    a.pop(r12)?;
    a.pop(qword_ptr(rbp + FUNCTION))?;
    a.mov(qword_ptr(rbp + MESSAGE), rax)?;
    a.mov(qword_ptr(rbp + STACK), rsp)?;
    a.and(rsp, -16)?;

    // %r12: where the last one went, %r13: the text's length with its NUL
    a.set_label(&mut each)?;
    a.movzx(r13d, byte_ptr(rbx))?;
    a.test(r13d, r13d)?;
    a.je(last)?;
    a.movzx(ecx, byte_ptr(rbx + 1))?;
    a.lea(r12, ptr(r12 + rcx * 8))?;
    a.lea(rdi, ptr(rbx + 2))?;
    // No vector register is used, should it have variable arguments.
    a.xor(eax, eax)?;
    a.call(qword_ptr(rbp + FUNCTION))?;
    a.test(rax, rax)?;
    a.je(null)?;
    a.mov(qword_ptr(r12), rax)?;
    a.lea(rbx, ptr(rbx + r13 + 2))?;
    a.jmp(each)?;

    // The row is filled up to a whole word behind its last byte.
    a.set_label(&mut last)?;
    a.add(rbx, 4)?;
    a.and(rbx, -4)?;
    a.mov(rsp, qword_ptr(rbp + STACK))?;
    a.jmp(next)?;

    a.set_label(&mut null)?;
    a.mov(r12, qword_ptr(rbp + MESSAGE))?;
    a.mov(edx, dword_ptr(r12))?;
    a.lea(rsi, ptr(r12 + 4))?;
    a.lea(r12, ptr(rsi + rdx))?;
    a.mov(edi, 2)?;
    call_symbol(a, write, calls)?;
    a.lea(edx, ptr(r13 - 1))?;
    a.lea(rsi, ptr(rbx + 2))?;
    a.mov(edi, 2)?;
    call_symbol(a, write, calls)?;
    a.mov(edx, dword_ptr(r12))?;
    a.lea(rsi, ptr(r12 + 4))?;
    a.mov(edi, 2)?;
    call_symbol(a, write, calls)?;
    call_symbol(a, abort, calls)?;
    a.ud2()
}

/// `%rdx` is the number of [`Opcode::Call`] (see [`call_number`]).
fn call(a: &mut CodeAssembler, next: CodeLabel) -> Result<(), IcedError> {
    let mut pop = a.create_label();
    let mut float = a.create_label();
    let mut popped = a.create_label();
    let mut integers_only = a.create_label();
    let mut void = a.create_label();
    let mut result = a.create_label();

    // %r13d: what is pushed, %ecx: integers left, %eax: floats, %r8d: floats left, %edx: which
    a.mov(r13d, edx)?;
    a.and(r13d, mask(call_number::RETURNS))?;
    a.mov(ecx, edx)?;
    a.shr(ecx, call_number::INTEGERS.0)?;
    a.and(ecx, mask(call_number::INTEGERS))?;
    a.mov(eax, edx)?;
    a.shr(eax, call_number::FLOATS.0)?;
    a.and(eax, mask(call_number::FLOATS))?;
    a.mov(r8d, eax)?;
    a.shr(edx, call_number::MASK.0)?;

    // The last argument is on top: fill both kinds of register from the last down.
    a.set_label(&mut pop)?;
    a.mov(esi, ecx)?;
    a.or(esi, r8d)?;
    a.je(popped)?;
    a.pop(rsi)?;
    a.shr(edx, 1)?;
    a.jc(float)?;
    a.dec(ecx)?;
    a.mov(qword_ptr(rbp + rcx * 8 + INTEGERS), rsi)?;
    a.jmp(pop)?;
    a.set_label(&mut float)?;
    a.dec(r8d)?;
    a.mov(qword_ptr(rbp + r8 * 8 + FLOATS), rsi)?;
    a.jmp(pop)?;

    a.set_label(&mut popped)?;
    a.pop(r11)?;
    for (i, register) in [rdi, rsi, rdx, rcx, r8, r9].into_iter().enumerate() {
        a.mov(register, qword_ptr(rbp + INTEGERS + i as i32 * 8))?;
    }
    // Most calls have none.
    a.test(eax, eax)?;
    a.je(integers_only)?;
    for (i, register) in [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7].into_iter().enumerate() {
        a.movsd_2(register, qword_ptr(rbp + FLOATS + i as i32 * 8))?;
    }
    a.set_label(&mut integers_only)?;

    // %al says to functions with variable arguments how many vector registers are used (psABI 3.2.3).
    a.mov(r12, rsp)?;
    a.and(rsp, -16)?;
    a.call(r11)?;
    a.mov(rsp, r12)?;

    a.cmp(r13d, call_number::INT32 as i32)?;
    a.jb(result)?;
    a.ja(void)?;
    a.cdqe()?;
    a.jmp(result)?;
    a.set_label(&mut void)?;
    a.xor(eax, eax)?;
    a.set_label(&mut result)?;
    a.push(rax)?;
    a.jmp(next)
}

/// The bits of a part of a number, moved down.
fn mask((_, bits): (u32, u32)) -> i32 {
    (1 << bits) - 1
}

const _: () = assert!(call_number::POINTER < call_number::INT32 && call_number::INT32 < call_number::VOID);

/// The CFA is `%rsp` + 8 at a function's first instruction, the return address below it.
pub(super) fn common_information() -> gimli::write::CommonInformationEntry {
    let encoding = gimli::Encoding { format: gimli::Format::Dwarf32, version: 1, address_size: 8 };
    let return_address: Register = X86_64::RA;
    let mut common = gimli::write::CommonInformationEntry::new(encoding, 1, -8, return_address);
    common.fde_address_encoding = gimli::DwEhPe(gimli::DW_EH_PE_pcrel.0 | gimli::DW_EH_PE_sdata4.0);
    common.add_instruction(CallFrameInstruction::Cfa(X86_64::RSP, 8));
    common.add_instruction(CallFrameInstruction::Offset(return_address, -8));
    common
}

#[cfg(test)]
#[path = "interpreter_tests.rs"]
mod tests;
