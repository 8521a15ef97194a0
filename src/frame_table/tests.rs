//! Call frame information as compilers write it, changed byte by byte.

use super::*;
use crate::ErrorKind;
use crate::object_file::{SymbolId, SymbolType};
use crate::sample_object::{add_section, add_symbol, object, relocate};

/// What GCC 12 writes with `-fno-pic -mcmodel=medium`: a CIE with augmentation "zPLR", an FDE with a pointer to
/// exception tables.
const MEDIUM: &[u8] =
    b"\x1c\0\0\0\0\0\0\0\x01zPLR\0\x01\x78\x10\x07\x03\0\0\0\0\0\x1b\x0c\x07\x08\x90\x01\0\0\
    \x1c\0\0\0\x24\0\0\0\0\0\0\0\x33\0\0\0\x08\0\0\0\0\0\0\0\0\x41\x0e\x10\0\0\0\0";
const CODE: [u8; 0x80] = [0x90; 0x80];

fn sample(frames: &[u8]) -> ObjectFile<'_> {
    let mut object = object();
    let text = add_section(&mut object, ".text", SectionKind::Contents, &CODE);
    let table = add_section(&mut object, ".gcc_except_table", SectionKind::ExceptTable, &CODE);
    let frames = add_section(&mut object, ".eh_frame", SectionKind::EhFrame, frames);
    let personality =
        add_symbol(&mut object, "__gxx_personality_v0", SymbolPlace::Undefined, 0..0, SymbolType::None);
    let function = add_symbol(&mut object, "f", SymbolPlace::Section(text), 16..0x43, SymbolType::Function);
    let area = add_symbol(&mut object, "", SymbolPlace::Section(table), 0..0, SymbolType::Section);
    relocate(&mut object, frames, 0x13, RelocKind::Abs32, personality, 0);
    relocate(&mut object, frames, 0x28, RelocKind::Pc32, function, 4);
    relocate(&mut object, frames, 0x31, RelocKind::Abs64, area, 0x18);
    object
}

fn byte(offset: u64, encoding: u8) -> EncodingByte {
    EncodingByte { offset, encoding: DwEhPe(encoding) }
}

fn problem(data: &[u8]) -> (u64, String) {
    let object = sample(data);
    let error = FrameTable::read(&object).expect_err("malformed");
    assert_eq!(error.kind(), ErrorKind::MalformedObject);
    let problem = &error.problems()[0];
    let at = problem.at.as_ref().expect("a place");
    assert_eq!(at.section, ".eh_frame");
    (at.offset, problem.message.clone())
}

#[test]
fn fields_and_encodings_are_where_the_compiler_put_them() {
    let object = sample(MEDIUM);
    let table = FrameTable::read(&object).expect("readable");
    let frames = SectionId(3);
    assert_eq!(
        table.cies,
        [Cie {
            section: frames,
            offset: 0,
            augmentation: b"zPLR",
            code: Some(byte(0x18, 0x1b)),
            lsda: Some(byte(0x17, 0)),
            personality: Some((byte(0x12, 3), PointerField { offset: 0x13, width: 4 })),
        }]
    );
    assert_eq!(
        table.fdes,
        [Fde {
            cie: CieId(0),
            offset: 0x20,
            code: PointerField { offset: 0x28, width: 4 },
            length: 0x33,
            function: Some(Location { section: SectionId(1), offset: 20 }),
            lsda: Some(PointerField { offset: 0x31, width: 8 }),
            lsda_target: Some(Location { section: SectionId(2), offset: 0x18 }),
        }]
    );
    assert_eq!(table.fdes[0].range(&object), Some((SectionId(1), 20..20 + 0x33)));
}

#[test]
fn a_target_needs_the_one_relocation_that_the_encoding_means() {
    let function = |change: &dyn Fn(&mut Relocation)| {
        let mut object = sample(MEDIUM);
        change(&mut object.sections[3].table.list()[1]);
        FrameTable::read(&object).expect("readable").fdes[0].function.map(|location| location.offset)
    };
    assert_eq!(function(&|_| ()), Some(20));
    assert_eq!(function(&|r| r.addend = 0x70), Some(0x80), "one past the end");
    assert_eq!(function(&|r| r.addend = 0x71), None, "outside of the section");
    assert_eq!(function(&|r| r.addend = -17), None, "before the section");
    assert_eq!(function(&|r| r.kind = RelocKind::Abs32), None, "absolute, but spelt pc-relative");
    assert_eq!(function(&|r| r.kind = RelocKind::Pc64), None, "wider than the field");
    assert_eq!(function(&|r| r.kind = RelocKind::None), None);
    assert_eq!(function(&|r| r.offset -= 1), None, "another field");
    assert_eq!(function(&|r| r.symbol = SymbolId(1)), None, "defined elsewhere");
}

#[test]
fn a_target_that_is_not_alone_is_none() {
    let first_fde = |object: &ObjectFile<'_>| FrameTable::read(object).expect("readable").fdes[0].clone();
    let mut object = sample(MEDIUM);
    relocate(&mut object, SectionId(3), 0x2c, RelocKind::Pc32, SymbolId(2), 0);
    assert_eq!(first_fde(&object).function, None, "the length is relocated");
    let mut object = sample(MEDIUM);
    relocate(&mut object, SectionId(3), 0x28, RelocKind::Pc32, SymbolId(2), 0);
    assert_eq!(first_fde(&object).function, None, "two relocations apply");
    let mut indirect = MEDIUM.to_vec();
    indirect[0x17] = 0x80;
    let fde = first_fde(&sample(&indirect));
    assert_eq!((fde.lsda.is_some(), fde.lsda_target), (true, None), "the field leads to a pointer");
}

#[test]
fn a_range_ends_with_its_section() {
    let mut object = sample(MEDIUM);
    object.sections[3].table.list()[1].addend = 0x68;
    let table = FrameTable::read(&object).expect("readable");
    assert_eq!(table.fdes[0].range(&object), Some((SectionId(1), 0x78..0x80)));
    object.sections[3].table.list()[1].addend = 0x70;
    let table = FrameTable::read(&object).expect("readable");
    assert_eq!(table.fdes[0].range(&object), None);
}

#[test]
fn entries_behind_a_terminator_are_read() {
    let mut data = vec![0; 4];
    data.extend_from_slice(MEDIUM);
    data.extend_from_slice(&[0; 8]);
    let object = sample(&data);
    let table = FrameTable::read(&object).expect("readable");
    assert_eq!((table.cies.len(), table.fdes.len()), (1, 1));
    assert_eq!(table.fdes[0].offset, 0x24);
}

#[test]
fn other_versions() {
    let mut data = MEDIUM.to_vec();
    data[8] = 3;
    assert!(FrameTable::read(&sample(&data)).is_ok());
    data[8] = 2;
    assert_eq!(
        problem(&data),
        (8, "call frame information: CIE version 2 is not known (1, 3 or 4)".to_owned())
    );
    // Version 4 has the sizes of an address and of a segment selector.
    let four = b"\x0c\0\0\0\0\0\0\0\x04\0\x08\0\x01\x78\x10\0";
    let object = sample(four);
    let table = FrameTable::read(&object).expect("readable");
    assert_eq!((table.cies[0].code, table.cies[0].code_encoding()), (None, pe::DW_EH_PE_absptr));
    assert_eq!(problem(b"\x0c\0\0\0\0\0\0\0\x04\0\x04\0\x01\x78\x10\0").0, 8);
}

#[test]
fn what_is_no_call_frame_information_is_refused_with_its_place() {
    let changed = |offset: usize, value: u8| {
        let mut data = MEDIUM.to_vec();
        data[offset] = value;
        problem(&data)
    };
    assert_eq!(changed(0x24, 0x20).0, 0x24, "no CIE there");
    assert_eq!(changed(0x27, 0x80).0, 0x24, "before the section");
    assert_eq!(changed(0x20, 0x7f).0, 0x24, "longer than the section");
    assert_eq!(changed(0x30, 0x20).0, 0x31, "augmentation data longer than the entry");
    assert_eq!(changed(0x0c, b'X').0, 0x18, "a letter that nobody knows");
    assert_eq!(changed(0x09, b'e').0, 0x09, "augmentation without length");
    assert_eq!(changed(0x12, 0x50).0, 0x13, "DW_EH_PE_aligned");
    assert_eq!(changed(0x18, 0x11).0, 0x28, "an address as LEB128");
    assert_eq!(problem(b"\xff\xff\xff\xff\x0c\0\0\0\0\0\0\0\0\0\0\0").0, 0);
}

#[test]
fn no_bytes_make_it_panic() {
    for end in 0..MEDIUM.len() {
        let _ = FrameTable::read(&sample(&MEDIUM[..end]));
    }
    for position in 0..MEDIUM.len() {
        for value in 0..=255 {
            let mut data = MEDIUM.to_vec();
            data[position] = value;
            let _ = FrameTable::read(&sample(&data));
        }
    }
}
