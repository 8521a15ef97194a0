//! The function that looks for a loaded library by its build-id on AMD64, to be given to `dl_iterate_phdr` (LSB):
//! `int find_library(struct dl_phdr_info *info, size_t size, struct library *wanted)`.
//!
//! It keeps to the registers that a function may change and uses no stack, so it has no frame. Nothing is read that
//! the program headers do not say is loaded, and no note that is cut off.

use iced_x86::IcedError;
use iced_x86::code_asm::*;

use super::super::{Fragment, LIBRARY_BASE, LIBRARY_ID, LIBRARY_ID_SIZE};

/// Fields of `struct dl_phdr_info`: what was added to the file's addresses, the program headers and their number.
const INFO_BIAS: i32 = 0;
const INFO_HEADERS: i32 = 16;
const INFO_COUNT: i32 = 24;

/// Fields of `Elf64_Phdr`, and its size (gABI, "Program Header").
const TYPE: i32 = 0;
const ADDRESS: i32 = 16;
const FILE_SIZE: i32 = 32;
const ALIGNMENT: i32 = 48;
const HEADER_SIZE: i32 = 56;

const PT_LOAD: i32 = 1;
const PT_NOTE: i32 = 4;

/// Fields of a note: the sizes of its name and contents, its type, its name, and with a name of four bytes its contents.
const NOTE_NAME_SIZE: i32 = 0;
const NOTE_SIZE: i32 = 4;
const NOTE_TYPE: i32 = 8;
const NOTE_NAME: i32 = 12;
const NOTE_CONTENTS: i32 = 16;

const NT_GNU_BUILD_ID: i32 = 3;
/// `GNU` and a NUL.
const GNU: i32 = 0x0055_4e47;

/// A library is loaded in whole pages.
const PAGE: i32 = 0x1000;

/// See [`super::super::Arch::find_library`].
pub(super) fn find_library(landing_pad: bool) -> Fragment {
    match build(landing_pad) {
        Ok(code) => Fragment { code, relocations: Vec::new(), frame: Vec::new() },
        // No operand below depends on an input.
        Err(error) => unreachable!("the search for a library does not assemble: {error}"),
    }
}

/// `%rdi`: the first program header, `%r9`: one of them, `%r10`: their end, `%r8`: what was added to addresses,
/// `%rax`: a note, `%rdx`: what is wanted.
fn build(landing_pad: bool) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(64)?;
    let mut segment = a.create_label();
    let mut next_segment = a.create_label();
    let mut loaded = a.create_label();
    let mut next_loaded = a.create_label();
    let mut inside = a.create_label();
    let mut note = a.create_label();
    let mut byte = a.create_label();
    let mut next_note = a.create_label();
    let mut aligned = a.create_label();
    let mut first = a.create_label();
    let mut base = a.create_label();
    let mut none = a.create_label();

    if landing_pad {
        a.endbr64()?;
    }
    a.mov(r8, qword_ptr(rdi + INFO_BIAS))?;
    a.movzx(r10d, word_ptr(rdi + INFO_COUNT))?;
    a.mov(rdi, qword_ptr(rdi + INFO_HEADERS))?;
    a.imul_3(r10, r10, HEADER_SIZE)?;
    a.add(r10, rdi)?;
    a.mov(r9, rdi)?;

    a.set_label(&mut segment)?;
    a.cmp(r9, r10)?;
    a.jae(none)?;
    a.cmp(dword_ptr(r9 + TYPE), PT_NOTE)?;
    a.jne(next_segment)?;

    // Some loaded segment must hold all of it.
    a.mov(rsi, rdi)?;
    a.set_label(&mut loaded)?;
    a.cmp(rsi, r10)?;
    a.jae(next_segment)?;
    a.cmp(dword_ptr(rsi + TYPE), PT_LOAD)?;
    a.jne(next_loaded)?;
    a.mov(rax, qword_ptr(r9 + ADDRESS))?;
    a.sub(rax, qword_ptr(rsi + ADDRESS))?;
    a.jb(next_loaded)?;
    a.mov(rcx, qword_ptr(rsi + FILE_SIZE))?;
    a.sub(rcx, rax)?;
    a.jb(next_loaded)?;
    a.cmp(rcx, qword_ptr(r9 + FILE_SIZE))?;
    a.jae(inside)?;
    a.set_label(&mut next_loaded)?;
    a.add(rsi, HEADER_SIZE)?;
    a.jmp(loaded)?;

    a.set_label(&mut inside)?;
    a.mov(rax, r8)?;
    a.add(rax, qword_ptr(r9 + ADDRESS))?;

    // %rcx: bytes from the note to the end of its segment
    a.set_label(&mut note)?;
    a.mov(rcx, r8)?;
    a.add(rcx, qword_ptr(r9 + ADDRESS))?;
    a.add(rcx, qword_ptr(r9 + FILE_SIZE))?;
    a.sub(rcx, rax)?;
    a.cmp(rcx, NOTE_CONTENTS)?;
    a.jb(next_segment)?;
    a.cmp(dword_ptr(rax + NOTE_NAME_SIZE), 4)?;
    a.jne(next_note)?;
    a.cmp(dword_ptr(rax + NOTE_TYPE), NT_GNU_BUILD_ID)?;
    a.jne(next_note)?;
    a.cmp(dword_ptr(rax + NOTE_NAME), GNU)?;
    a.jne(next_note)?;
    a.mov(esi, dword_ptr(rax + NOTE_SIZE))?;
    a.cmp(esi, dword_ptr(rdx + LIBRARY_ID_SIZE))?;
    a.jne(next_note)?;
    a.lea(r11, ptr(rsi + NOTE_CONTENTS))?;
    a.cmp(r11, rcx)?;
    a.ja(next_segment)?;
    // From the last byte to the first; there is at least one.
    a.set_label(&mut byte)?;
    a.mov(r11b, byte_ptr(rax + rsi + (NOTE_CONTENTS - 1)))?;
    a.cmp(r11b, byte_ptr(rdx + rsi + (LIBRARY_ID - 1)))?;
    a.jne(next_note)?;
    a.dec(rsi)?;
    a.jne(byte)?;

    // The lowest loaded segment comes first (gABI); there is one, which holds the note.
    a.set_label(&mut first)?;
    a.cmp(dword_ptr(rdi + TYPE), PT_LOAD)?;
    a.je(base)?;
    a.add(rdi, HEADER_SIZE)?;
    a.jmp(first)?;
    a.set_label(&mut base)?;
    a.mov(rax, qword_ptr(rdi + ADDRESS))?;
    a.and(rax, -PAGE)?;
    a.add(rax, r8)?;
    a.mov(qword_ptr(rdx + LIBRARY_BASE), rax)?;
    a.mov(eax, 1)?;
    a.ret()?;

    // Name and contents are padded to four bytes, but to eight in a segment that is so aligned. %r11: the mask
    a.set_label(&mut next_note)?;
    a.mov(r11, -4i64)?;
    a.cmp(qword_ptr(r9 + ALIGNMENT), 8)?;
    a.jne(aligned)?;
    a.mov(r11, -8i64)?;
    a.set_label(&mut aligned)?;
    a.mov(esi, dword_ptr(rax + NOTE_NAME_SIZE))?;
    a.add(rsi, NOTE_NAME)?;
    a.sub(rsi, r11)?;
    a.dec(rsi)?;
    a.and(rsi, r11)?;
    // Both sizes have 32 bits: their sum cannot wrap around.
    a.mov(ecx, dword_ptr(rax + NOTE_SIZE))?;
    a.add(rsi, rcx)?;
    a.sub(rsi, r11)?;
    a.dec(rsi)?;
    a.and(rsi, r11)?;
    a.mov(rcx, r8)?;
    a.add(rcx, qword_ptr(r9 + ADDRESS))?;
    a.add(rcx, qword_ptr(r9 + FILE_SIZE))?;
    a.sub(rcx, rax)?;
    a.cmp(rsi, rcx)?;
    a.jae(next_segment)?;
    a.add(rax, rsi)?;
    a.jmp(note)?;

    a.set_label(&mut next_segment)?;
    a.add(r9, HEADER_SIZE)?;
    a.jmp(segment)?;
    a.set_label(&mut none)?;
    a.xor(eax, eax)?;
    a.ret()?;
    a.assemble(0)
}
