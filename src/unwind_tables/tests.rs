//! Objects made by hand, each with one thing that must be lowered or refused. That the result is what compilers write
//! is tested against them in `tests/unwind_tables.rs`.

use super::*;
use crate::object_file::SymbolPlace;
use crate::sample_object::{add_section, add_symbol, object, relocate};

/// As GCC 12 writes it with `-fno-pic -fno-dwarf2-cfi-asm`: a CIE with augmentation "zPLR", all encodings
/// `DW_EH_PE_udata4`, and two FDEs.
const SMALL: &[u8] =
    b"\x1c\0\0\0\0\0\0\0\x03zPLR\0\x01\x78\x10\x07\x03\0\0\0\0\x03\x03\x0c\x07\x08\x90\x01\0\0\
    \x14\0\0\0\x24\0\0\0\0\0\0\0\x33\0\0\0\x04\0\0\0\0\0\0\0\
    \x14\0\0\0\x3c\0\0\0\0\0\0\0\x10\0\0\0\x04\0\0\0\0\0\0\0";

/// A CIE with augmentation "zPLR", all encodings `DW_EH_PE_absptr`, and one FDE.
const LARGE: &[u8] =
    b"\x20\0\0\0\0\0\0\0\x01zPLR\0\x01\x78\x10\x0b\0\0\0\0\0\0\0\0\0\0\0\x0c\x07\x08\x90\x01\0\0\
    \x20\0\0\0\x28\0\0\0\0\0\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0";

/// Types as `DW_EH_PE_udata4`: one, and a null pointer for `catch (...)` before it in the list.
const TYPES: &[u8] = b"\xff\x03\x15\x01\x04\x00\x04\x08\x03\x02\x00\x01\x7d\0\0\0\0\0\0\0\0\0\0\0";
/// Where the two types are.
const FIRST: u64 = 20;
const SECOND: u64 = 16;

const CODE: [u8; 0x80] = [0x90; 0x80];
const TEXT: SectionId = SectionId(1);
const TABLE: SectionId = SectionId(2);
const FRAMES: SectionId = SectionId(3);
const PERSONALITY: SymbolId = SymbolId(1);
const TYPE: SymbolId = SymbolId(2);
const TEXT_SYMBOL: SymbolId = SymbolId(3);
const TABLE_SYMBOL: SymbolId = SymbolId(4);

fn sections<'d>(frames: &'d [u8], table: &'d [u8]) -> ObjectFile<'d> {
    let mut object = object();
    add_section(&mut object, ".text", SectionKind::Contents, &CODE);
    add_section(&mut object, ".gcc_except_table", SectionKind::ExceptTable, table);
    add_section(&mut object, ".eh_frame", SectionKind::EhFrame, frames);
    add_symbol(&mut object, "__gxx_personality_v0", SymbolPlace::Undefined, 0..0, SymbolType::None);
    add_symbol(&mut object, "_ZTIi", SymbolPlace::Undefined, 0..0, SymbolType::None);
    add_symbol(&mut object, "", SymbolPlace::Section(TEXT), 0..0, SymbolType::Section);
    add_symbol(&mut object, "", SymbolPlace::Section(TABLE), 0..0, SymbolType::Section);
    object
}

fn small() -> ObjectFile<'static> {
    let mut object = sections(SMALL, TYPES);
    relocate(&mut object, FRAMES, 0x13, RelocKind::Abs32, PERSONALITY, 0);
    relocate(&mut object, FRAMES, 0x28, RelocKind::Abs32, TEXT_SYMBOL, 0);
    relocate(&mut object, FRAMES, 0x31, RelocKind::Abs32, TABLE_SYMBOL, 0);
    relocate(&mut object, FRAMES, 0x40, RelocKind::Abs32, TEXT_SYMBOL, 0x33);
    relocate(&mut object, TABLE, FIRST, RelocKind::Abs32, TYPE, 0);
    object
}

fn large() -> ObjectFile<'static> {
    let mut object = sections(LARGE, &CODE);
    relocate(&mut object, FRAMES, 0x13, RelocKind::Abs64, PERSONALITY, 8);
    relocate(&mut object, FRAMES, 0x2c, RelocKind::Abs64, TEXT_SYMBOL, 0x20);
    relocate(&mut object, FRAMES, 0x3d, RelocKind::Abs64, TABLE_SYMBOL, 0x18);
    object
}

fn lowered(object: &ObjectFile<'_>) -> UnwindLowering {
    let frames = FrameTable::read(object).expect("readable");
    lower(object, &frames).expect("lowered")
}

/// The places and messages of a refusal, without the remedy, which each must name.
fn refused(object: &ObjectFile<'_>) -> Vec<(String, String)> {
    let frames = FrameTable::read(object).expect("readable");
    let error = lower(object, &frames).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Refused);
    let shown = |problem: &Problem| {
        assert_eq!(problem.file, "in.o");
        let at = problem.at.as_ref().expect("a place").to_string();
        let message = problem.message.strip_suffix("; recompile as position-independent code (-fPIC)");
        (at, message.expect("a remedy").to_owned())
    };
    error.problems().iter().map(shown).collect()
}

fn refused_for(change: impl FnOnce(&mut ObjectFile<'static>)) -> Vec<(String, String)> {
    let mut object = small();
    change(&mut object);
    refused(&object)
}

fn one(at: &str, message: &str) -> Vec<(String, String)> {
    vec![(at.to_owned(), message.to_owned())]
}

fn bytes(lowering: &UnwindLowering) -> Vec<(u32, u64, u8, u8)> {
    lowering.bytes.iter().map(|edit| (edit.section.0, edit.offset, edit.old[0], edit.new[0])).collect()
}

fn places(lowering: &UnwindLowering) -> Vec<(u32, u64, RelocKind, UnwindTarget)> {
    lowering.relocations.iter().map(|r| (r.section.0, r.offset, r.kind, r.target)).collect()
}

fn direct(section: SectionId, offset: u64) -> UnwindTarget {
    UnwindTarget::Direct(Location { section, offset })
}

fn slot(symbol: SymbolId, addend: i64) -> UnwindTarget {
    UnwindTarget::Slot { symbol, addend }
}

#[test]
fn four_byte_pointers() {
    let object = small();
    let lowering = lowered(&object);
    assert_eq!(
        bytes(&lowering),
        [(2, 1, 3, 0x9b), (3, 0x12, 3, 0x9b), (3, 0x17, 3, 0x1b), (3, 0x18, 3, 0x1b)]
    );
    assert_eq!(
        places(&lowering),
        [
            (2, FIRST, RelocKind::Pc32, slot(TYPE, 0)),
            (3, 0x13, RelocKind::Pc32, slot(PERSONALITY, 0)),
            (3, 0x28, RelocKind::Pc32, direct(TEXT, 0)),
            (3, 0x31, RelocKind::Pc32, direct(TABLE, 0)),
            (3, 0x40, RelocKind::Pc32, direct(TEXT, 0x33)),
        ]
    );
    for relocation in &lowering.relocations {
        let input = object.section(relocation.section).relocations();
        assert!(input.iter().any(|r| r.entry == relocation.entry && r.offset == relocation.offset));
    }
}

#[test]
fn eight_byte_pointers() {
    let lowering = lowered(&large());
    assert_eq!(bytes(&lowering), [(3, 0x12, 0, 0x9c), (3, 0x1b, 0, 0x1c), (3, 0x1c, 0, 0x1c)]);
    assert_eq!(
        places(&lowering),
        [
            (3, 0x13, RelocKind::Pc64, slot(PERSONALITY, 8)),
            (3, 0x2c, RelocKind::Pc64, direct(TEXT, 0x20)),
            (3, 0x3d, RelocKind::Pc64, direct(TABLE, 0x18)),
        ]
    );
}

#[test]
fn nothing_absolute_nothing_to_do() {
    let mut object = small();
    for section in &mut object.sections {
        section.table.list().retain(|relocation| !relocation.kind.is_absolute());
    }
    assert_eq!(lowered(&object), UnwindLowering::default());
    // A table that nothing absolute is in may be anything.
    *object.sections[3].table.list() = small().sections[3].relocations().iter().collect();
    object.sections[2].data = b"\x50\x50\x50";
    object.sections[2].size = 3;
    assert_eq!(bytes(&lowered(&object)).len(), 3);
}

#[test]
fn a_type_that_no_action_refers_to_is_lowered_too() {
    let mut object = small();
    object.sections[2].data = b"\xff\x03\x15\x01\x04\x00\x04\x08\x01\x01\x00\x00\0\0\0\0\0\0\0\0\0\0\0\0";
    relocate(&mut object, TABLE, SECOND, RelocKind::Abs32Signed, TYPE, 4);
    let lowering = lowered(&object);
    assert_eq!(
        places(&lowering)[..2],
        [(2, SECOND, RelocKind::Pc32, slot(TYPE, 4)), (2, FIRST, RelocKind::Pc32, slot(TYPE, 0))]
    );
}

#[test]
fn entries_without_a_byte_to_change_are_refused() {
    // Without `R` code addresses are absolute, and nothing says so.
    let mut object = sections(
        b"\x0c\0\0\0\0\0\0\0\x01\0\x01\x78\x10\0\0\0\x14\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0",
        &CODE,
    );
    relocate(&mut object, FRAMES, 0x18, RelocKind::Abs64, TEXT_SYMBOL, 0);
    let message = "absolute code address, and the entry has no byte that could make it relative";
    assert_eq!(refused(&object), one(".eh_frame+0x18", message));
}

#[test]
fn pointers_that_share_a_byte_change_together_or_not_at_all() {
    let found = refused_for(|object| object.sections[3].table.list()[3].kind = RelocKind::Pc32);
    assert_eq!(found, one(".eh_frame+0x40", "Pc32 relocation for an absolute code address of 4 bytes"));
    let found = refused_for(|object| object.sections[3].table.list()[3].kind = RelocKind::None);
    assert_eq!(found, one(".eh_frame+0x40", "code address without a relocation among others that have one"));
    let mut numbers = SMALL.to_vec();
    numbers[0x49] = 1;
    let mut object = small();
    object.sections[3].data = &numbers;
    let message = "pointer to exception tables without a relocation among others that have one";
    assert_eq!(refused(&object), one(".eh_frame+0x49", message));
}

#[test]
fn types_that_share_a_byte_change_together_or_not_at_all() {
    let table = b"\xff\x00\x1d\x01\x04\x00\x04\x08\x03\x02\x00\x01\x7d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut object = large();
    object.sections[2].data = table;
    object.sections[2].size = table.len() as u64;
    object.sections[3].table.list()[2].addend = 0;
    relocate(&mut object, TABLE, 16, RelocKind::Abs64, TYPE, 0);
    let first = [(2, 16, RelocKind::Pc64, slot(TYPE, 0))];
    assert_eq!(places(&lowered(&object))[..1], first, "the other is null");
    relocate(&mut object, TABLE, 24, RelocKind::Pc64, TYPE, 0);
    let message = "Pc64 relocation for an absolute type to catch of 8 bytes";
    assert_eq!(refused(&object), one(".gcc_except_table+0x18", message));
}

#[test]
fn relocations_of_another_shape_are_refused() {
    let found = refused_for(|object| object.sections[3].table.list()[0].kind = RelocKind::Abs16);
    assert_eq!(
        found,
        one(".eh_frame+0x13", "Abs16 relocation for an absolute personality routine of 4 bytes")
    );
    let found = refused_for(|object| object.sections[3].table.list()[0].offset = 0x12);
    let expected = [(".eh_frame+0x12", "the encoding of the personality routine is itself relocated")];
    assert_eq!(found, expected.map(|(at, message)| (at.to_owned(), message.to_owned())));
    let found = refused_for(|object| object.sections[3].table.list()[0].offset = 0x15);
    assert!(
        found.iter().any(|(_, message)| message.contains("covers part of a personality routine")),
        "{found:?}"
    );
    let found = refused_for(|object| relocate(object, TABLE, FIRST, RelocKind::Abs32, TYPE, 0));
    assert!(
        found.contains(&one(".gcc_except_table+0x14", "several relocations apply to one type to catch")[0])
    );
}

#[test]
fn encodings_that_are_not_absolute_are_refused() {
    for encoding in [0x1b, 0x83, 0x33] {
        let mut frames = SMALL.to_vec();
        frames[0x12] = encoding;
        let mut object = small();
        object.sections[3].data = &frames;
        let message =
            format!("absolute relocation, but the personality routine has pointer encoding {encoding:#x}");
        assert_eq!(refused(&object), one(".eh_frame+0x13", &message));
    }
}

#[test]
fn symbols_that_cannot_be_reached_so_are_refused() {
    let found = refused_for(|object| object.sections[3].table.list()[2].symbol = TYPE);
    // Without the place of the table its types are unexplained as well.
    let expected = [
        (".gcc_except_table+0x14", "Abs32 relocation that is no known pointer of such a table"),
        (".eh_frame+0x31", "pointer to exception tables leads outside of the sections of this object"),
    ];
    assert_eq!(found, expected.map(|(at, message)| (at.to_owned(), message.to_owned())));
    let found = refused_for(|object| object.sections[1].merge = true);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, "code address leads into a mergeable section");
    let found = refused_for(|object| object.sections[3].table.list()[0].symbol = SymbolId(0));
    assert_eq!(found, one(".eh_frame+0x13", "personality routine without a symbol"));
    let found = refused_for(|object| object.symbols[TYPE.0 as usize].kind = SymbolType::ThreadLocal);
    assert_eq!(found, one(".gcc_except_table+0x14", "type to catch is thread-local"));
}

#[test]
fn a_length_of_more_than_31_bits_is_refused() {
    let mut frames = SMALL.to_vec();
    frames[0x2f] = 0x80;
    let mut object = small();
    object.sections[3].data = &frames;
    assert_eq!(refused(&object), one(".eh_frame+0x28", "the code's length does not fit in 31 bits"));
}

#[test]
fn what_is_no_known_pointer_is_refused() {
    // The distance to the types, a call site, its action, an instruction of the unwind table.
    let unknown = "Abs32 relocation that is no known pointer of such a table";
    for offset in [2, 5, 8] {
        let found = refused_for(|object| relocate(object, TABLE, offset, RelocKind::Abs32, TYPE, 0));
        assert_eq!(found, one(&format!(".gcc_except_table+{offset:#x}"), unknown));
    }
    let found = refused_for(|object| relocate(object, FRAMES, 0x35, RelocKind::Abs16, TEXT_SYMBOL, 0));
    assert_eq!(found[0].0, ".eh_frame+0x35");
    // Types without an unwind entry that leads to them.
    let mut object = small();
    object.sections[3].table.list().clear();
    assert_eq!(refused(&object), one(".gcc_except_table+0x14", unknown));
    // A table that says that it has no types.
    let mut object = small();
    object.sections[2].data = b"\xff\xff\x01\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(refused(&object), one(".gcc_except_table+0x14", unknown));
}

#[test]
fn all_problems_are_told_at_once() {
    let found = refused_for(|object| {
        object.sections[3].table.list()[0].symbol = SymbolId(0);
        object.sections[2].table.list()[0].symbol = SymbolId(0);
    });
    let places: Vec<&str> = found.iter().map(|(at, _)| at.as_str()).collect();
    assert_eq!(places, [".gcc_except_table+0x14", ".eh_frame+0x13"]);
}

#[test]
fn a_table_that_cannot_be_read_is_malformed() {
    let mut object = small();
    object.sections[2].data = &TYPES[..3];
    let frames = FrameTable::read(&object).expect("readable");
    let error = lower(&object, &frames).expect_err("malformed");
    assert_eq!(error.kind(), ErrorKind::MalformedObject);
    assert!(error.to_string().starts_with("in.o: .gcc_except_table+0x"), "{error}");
}

#[test]
fn no_bytes_make_it_panic() {
    let try_bytes = |frames: &[u8], table: &[u8]| {
        let mut object = small();
        (object.sections[3].data, object.sections[2].data) = (frames, table);
        if let Ok(read) = FrameTable::read(&object) {
            let _ = lower(&object, &read);
        }
    };
    for position in 0..SMALL.len() {
        for value in 0..=255 {
            let mut frames = SMALL.to_vec();
            frames[position] = value;
            try_bytes(&frames, TYPES);
            if let Some(byte) = TYPES.get(position) {
                let mut table = TYPES.to_vec();
                table[position] = byte.wrapping_add(value);
                try_bytes(SMALL, &table);
            }
        }
        try_bytes(&SMALL[..position], &TYPES[..position.min(TYPES.len())]);
    }
}
