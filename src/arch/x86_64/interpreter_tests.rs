//! The interpreter's code and its unwind rows, byte by byte and row by row.

use gimli::UnwindSection;
use gimli::write::{Address, EhFrame, EndianVec, FrameDescriptionEntry, FrameTable};

use super::super::decode::{decode, disassemble};
use super::*;
use crate::edits::UndefinedId;

const WRITE: SymbolRef = SymbolRef::Undefined(UndefinedId(1));
const ABORT: SymbolRef = SymbolRef::Undefined(UndefinedId(2));

/// The instructions as text, with their offsets.
fn listing(code: &[u8]) -> Vec<(u64, String)> {
    let mut lines = Vec::new();
    decode(code, 0..code.len() as u64, &mut |instruction| {
        assert!(instruction.valid);
        let bytes = &code[instruction.offset as usize..];
        lines.push((instruction.offset, disassemble(bytes, instruction.offset)));
    });
    lines
}

#[test]
fn failures_are_reported_line_by_line() {
    let fragment = interpreter(Some((WRITE, ABORT)));
    let symbols: Vec<_> = fragment.relocations.iter().map(|r| r.symbol).collect();
    assert_eq!(symbols, [WRITE, WRITE, WRITE, ABORT, WRITE, ABORT]);
    let lines = listing(&fragment.code);
    for relocation in &fragment.relocations {
        assert_eq!((relocation.kind, relocation.addend), (RelocKind::Plt32, -4));
        let call = lines.iter().find(|(offset, _)| *offset == relocation.offset - 1);
        assert!(call.is_some_and(|(_, text)| text.starts_with("call ")), "{call:?}");
    }
    let without = interpreter(None);
    assert_eq!(without.relocations, []);
    assert!(!listing(&without.code).iter().any(|(_, text)| text.starts_with("call 0x")));
}

/// Where the interpreter stops in its fixed size, so that growth is noticed: objects carry it.
#[test]
fn it_is_small() {
    let size = interpreter(Some((WRITE, ABORT))).code.len();
    assert!(size <= 720, "{size} bytes");
}

/// What the unwind table says at an instruction: the CFA, and where registers are saved below it.
type State = (Register, i64, Vec<(Register, i64)>);

/// The table's states, after a way through the writer and a reader.
fn table(fragment: &Fragment) -> impl Fn(u64) -> State {
    const START: u64 = 0x1000;
    let mut frames = FrameTable::default();
    let common = frames.add_cie(common_information());
    let mut entry = FrameDescriptionEntry::new(Address::Constant(START), fragment.code.len() as u32);
    for (offset, row) in &fragment.frame {
        entry.add_instruction(*offset, row.clone());
    }
    frames.add_fde(common, entry);
    let mut section = EhFrame(EndianVec::new(gimli::LittleEndian));
    frames.write_eh_frame(&mut section).unwrap();
    let bytes = section.slice().to_vec();

    move |offset| {
        let mut section = gimli::EhFrame::new(&bytes, gimli::LittleEndian);
        section.set_address_size(8);
        let bases = gimli::BaseAddresses::default().set_eh_frame(0);
        let mut context = gimli::UnwindContext::new();
        let entry = section
            .fde_for_address(&bases, START + offset, |section, bases, offset| {
                section.cie_from_offset(bases, offset)
            })
            .unwrap();
        let row = entry.unwind_info_for_address(&section, &bases, &mut context, START + offset).unwrap();
        let &gimli::CfaRule::RegisterAndOffset { register, offset: cfa } = row.cfa() else {
            panic!("{row:?}")
        };
        let mut saved: Vec<_> = row
            .registers()
            .map(|(register, rule)| match rule {
                gimli::RegisterRule::Offset(offset) => (*register, *offset),
                other => panic!("{other:?}"),
            })
            .collect();
        saved.sort_by_key(|(_, offset)| -offset);
        (register, cfa, saved)
    }
}

/// Every instruction of the prologue and the epilogue, followed by hand, against the table.
#[test]
fn every_instruction_can_be_unwound() {
    let fragment = interpreter(Some((WRITE, ABORT)));
    let state = table(&fragment);
    let lines = listing(&fragment.code);
    let saved =
        [(X86_64::RA, -8), (X86_64::RBP, -16), (X86_64::RBX, -24), (X86_64::R12, -32), (X86_64::R13, -40)];
    let prologue = ["push %rbp", "mov %rsp,%rbp", "push %rbx", "push %r12", "push %r13"];
    // Before each of these: the CFA, and how many of the above are saved.
    let expected = [
        (X86_64::RSP, 8, 1),
        (X86_64::RSP, 16, 2),
        (X86_64::RBP, 16, 2),
        (X86_64::RBP, 16, 3),
        (X86_64::RBP, 16, 4),
    ];
    for (((offset, text), wanted), (register, cfa, count)) in lines.iter().zip(prologue).zip(expected) {
        assert_eq!(text, wanted);
        assert_eq!(state(*offset), (register, cfa, saved[..count].to_vec()), "{text}");
    }
    let (last, body) = lines[prologue.len()..].split_last().unwrap();
    for (offset, text) in body {
        assert_eq!(state(*offset), (X86_64::RBP, 16, saved.to_vec()), "{offset:#x}: {text}");
    }
    // What was popped still lies in the red zone, so only the CFA moves.
    assert_eq!(last.1, "ret");
    assert_eq!(state(last.0), (X86_64::RSP, 8, saved.to_vec()));
    let end: Vec<_> = body.iter().rev().take(5).rev().map(|(_, text)| text.as_str()).collect();
    assert_eq!(end, ["lea -0x18(%rbp),%rsp", "pop %r13", "pop %r12", "pop %rbx", "pop %rbp"]);
}
