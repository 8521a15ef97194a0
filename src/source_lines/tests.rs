//! Lines of hand-written tables.

use super::*;
use crate::object_file::{SectionKind, SymbolType};
use crate::sample_object::{add_section, add_symbol, object, relocate};

/// A table of version 4 with one file and one sequence: `length` bytes of code, line 7 from its start, 9 from byte 4 on.
fn program(length: u8) -> Vec<u8> {
    let header = [
        &[1, 1, 1, 0xfb, 14, 13][..], // instruction length, operations, is_stmt, line base -5, line range 14, opcode base
        &[0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1],
        &[0],             // no directories
        b"a.c\0\0\0\0\0", // one file, in the current folder
    ]
    .concat();
    let rows = [
        &[0, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0][..], // DW_LNE_set_address
        &[3, 6, 1],                             // DW_LNS_advance_line 6, DW_LNS_copy
        &[2, 4, 3, 2, 1],                       // DW_LNS_advance_pc 4, DW_LNS_advance_line 2, DW_LNS_copy
        &[2, length - 4, 0, 1, 1],              // DW_LNS_advance_pc, DW_LNE_end_sequence
    ]
    .concat();
    let mut bytes = [&4u16.to_le_bytes()[..], &(header.len() as u32).to_le_bytes(), &header, &rows].concat();
    let mut unit = (bytes.len() as u32).to_le_bytes().to_vec();
    unit.append(&mut bytes);
    unit
}

/// Where the address of a [`program`] is.
fn address_field() -> u64 {
    let bytes = program(8);
    bytes.windows(3).position(|window| window == [0, 9, 2]).unwrap() as u64 + 3
}

#[test]
fn each_section_has_lines_of_its_own() {
    let one = program(8);
    let table = [&one[..], &program(6)].concat();
    let mut object = object();
    let (first, second, third) = ([0x90; 8], [0x90; 16], [0x90; 4]);
    let first = add_section(&mut object, ".text", SectionKind::Contents, &first);
    let second = add_section(&mut object, ".text.g", SectionKind::Contents, &second);
    let third = add_section(&mut object, ".text.h", SectionKind::Contents, &third);
    let lines = add_section(&mut object, ".debug_line", SectionKind::Contents, &table);
    let text = add_symbol(&mut object, "", SymbolPlace::Section(first), 0..0, SymbolType::Section);
    let other = add_symbol(&mut object, "g", SymbolPlace::Section(second), 8..10, SymbolType::Function);
    relocate(&mut object, lines, address_field(), RelocKind::Abs64, text, 0);
    relocate(&mut object, lines, one.len() as u64 + address_field(), RelocKind::Abs64, other, 2);

    let source = SourceLines::default();
    let at = |section, offset| source.at(&object, section, offset);
    let line = |number: u32| Some(format!("a.c:{number}"));
    assert_eq!([0, 3, 4, 7].map(|o| at(first, o)), [line(7), line(7), line(9), line(9)]);
    assert_eq!(at(first, 8), None);
    assert_eq!(
        [9, 10, 13, 14, 15, 16].map(|o| at(second, o)),
        [None, line(7), line(7), line(9), line(9), None]
    );
    assert_eq!(at(third, 0), None);
    assert_eq!(at(lines, 0), None);
    assert_eq!(at(first, u64::MAX), None);
}

#[test]
fn what_is_cut_off_has_no_lines_and_what_comes_before_has() {
    let whole = program(8);
    for length in 0..whole.len() {
        let table = [&whole[..], &whole[..length]].concat();
        let mut object = object();
        let code = [0x90; 8];
        let text = add_section(&mut object, ".text", SectionKind::Contents, &code);
        let lines = add_section(&mut object, ".debug_line", SectionKind::Contents, &table);
        let symbol = add_symbol(&mut object, "", SymbolPlace::Section(text), 0..0, SymbolType::Section);
        relocate(&mut object, lines, address_field(), RelocKind::Abs64, symbol, 0);
        assert_eq!(SourceLines::default().at(&object, text, 5), Some("a.c:9".to_owned()));

        object.sections[lines.0 as usize].data = &whole[..length];
        object.sections[lines.0 as usize].table.list().clear();
        assert_eq!(SourceLines::default().at(&object, text, 5), None);
    }
}
