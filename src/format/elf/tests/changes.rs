//! Single edits: each does what it says, and what cannot be right is refused.

use std::ffi::OsStr;
use std::sync::Arc;

use super::*;

#[test]
fn a_reference_that_was_turned_elsewhere_runs() {
    let Some(bytes) =
        compile("gcc", &["-O1", "-fPIE"], "c", "extern int elsewhere; int main(void) { return elsewhere; }")
    else {
        return;
    };
    let object = parse("main.o", &bytes);
    let text = object
        .sections
        .iter()
        .find(|s| s.relocations().iter().any(|r| r.symbol == symbol(&object, "elsewhere")));
    let text = text.unwrap();
    let old = text.relocations().iter().find(|r| r.symbol == symbol(&object, "elsewhere")).unwrap();
    let mut edits = Edits::default();
    edits.sections.push(NewSection {
        name: ".data.relocfix".to_owned(),
        kind: NewSectionKind::Writable,
        align: 8,
        data: vec![0, 0, 0, 0, 42, 0, 0, 0],
        size: 8,
        group: None,
        relocations: Vec::new(),
    });
    edits.locals.push(NewLocal {
        name: "here".to_owned(),
        home: Home::New(NewSectionId(0)),
        value: 4,
        size: 4,
        function: false,
    });
    let new = NewRelocation {
        offset: old.offset,
        kind: old.kind,
        symbol: SymbolRef::Local(NewLocalId(0)),
        addend: old.addend,
    };
    edits.relocate(text.id, RelocationEdit::Replace(old.entry, new));
    let weak = SymbolEdit { weak: true, ..SymbolEdit::default() };
    edits.symbol_edits.insert(symbol(&object, "elsewhere"), weak);
    let folder = tempfile::tempdir().unwrap();
    let (input, program) = (folder.path().join("a.o"), folder.path().join("a"));
    std::fs::write(&input, write(&object, &edits)).unwrap();
    let gcc = tool("gcc").unwrap();
    for linker in ["bfd", "lld", "mold"] {
        let name = format!("ld.{linker}");
        let Some(there) = tool(&name).or_else(|| tool(linker)) else {
            missing(&name);
            continue;
        };
        // gcc looks for that name in the folder and on PATH, where LLVM's newer versions are not.
        let link = folder.path().join(&name);
        std::os::unix::fs::symlink(there, link).unwrap();
        let (folder, choice) = (format!("-B{}", folder.path().display()), format!("-fuse-ld={linker}"));
        let options = [&folder, &choice, "-o"].map(OsStr::new);
        run(&gcc, &[&options[..], &[program.as_ref(), input.as_ref()]].concat());
        let status = std::process::Command::new(&program).status().unwrap();
        assert_eq!(status.code(), Some(42), "{linker}");
    }
}

const EDITABLE: &str = r#"
    .section .rodata.cst8,"aM",@progbits,8
    .quad 0x1122334455667788, table
    .section .map,"",@progbits
    .string "secret map"
    .quad table
    .data
table: .quad f, g, h
    .text
    .globl session_1234_f
session_1234_f: ret
    .globl number
    .hidden number
    .set number, 0x5566778811223344
    .type number, @function
"#;

#[test]
fn headers_symbols_and_bytes_change_as_asked() {
    let Some(bytes) = compile("gcc", &[], "s", EDITABLE) else {
        return;
    };
    let object = parse("in.o", &bytes);
    let (constants, map, data) =
        (section(&object, ".rodata.cst8").id, section(&object, ".map").id, section(&object, ".data").id);
    let mut edits = Edits::default();
    edits.bytes.push(BytesEdit {
        section: constants,
        offset: 0,
        old: 0x1122_3344_5566_7788_u64.to_le_bytes()[..].into(),
        new: [0; 8][..].into(),
    });
    let relro = SectionEdit {
        name: Some(".data.rel.ro.cst8".to_owned()),
        writable: true,
        unmerge: true,
        null: false,
    };
    edits.section_edits.insert(constants, relro);
    edits.section_edits.insert(map, SectionEdit { null: true, ..SectionEdit::default() });
    for s in &object.symbols {
        if s.place == SymbolPlace::Section(map) {
            let dropped = SymbolEdit { drop_definition: true, ..SymbolEdit::default() };
            edits.symbol_edits.insert(s.id, dropped);
        }
    }
    let renamed =
        SymbolEdit { name: Some("f0".to_owned()), hidden: true, weak: true, ..SymbolEdit::default() };
    edits.symbol_edits.insert(symbol(&object, "session_1234_f"), renamed);
    let undefined = SymbolEdit { undefine: true, visible: true, weak: true, ..SymbolEdit::default() };
    edits.symbol_edits.insert(symbol(&object, "number"), undefined);
    let none = |offset| NewRelocation {
        offset,
        kind: RelocKind::None,
        symbol: SymbolRef::Section(constants),
        addend: 7,
    };
    edits.relocate(data, RelocationEdit::Remove(1));
    edits.relocate(data, RelocationEdit::Add(none(20)));
    edits.relocate(data, RelocationEdit::Add(none(16)));
    edits.relocate(data, RelocationEdit::Add(none(3)));
    edits.relocate(data, RelocationEdit::Add(none(3)));
    let output = write(&object, &edits);
    let after = parse("out.o", &output);
    let found = after.section(constants);
    assert_eq!(found.name, ".data.rel.ro.cst8");
    assert!(found.write && !found.merge);
    assert_eq!(found.data, [0; 16]);
    let tables = Tables::parse("out.o", &output).unwrap();
    assert_eq!(tables.sections[constants.0 as usize].sh_entsize, 0);
    assert!(after.sections.iter().any(|s| s.name == ".rela.data.rel.ro.cst8"));
    assert_eq!(tables.sections[map.0 as usize], SectionHeader::default());
    for gone in ["secret map", ".map", "session_1234_f", ".rodata.cst8"] {
        assert!(!output.windows(gone.len()).any(|w| w == gone.as_bytes()), "{gone} is still there");
    }
    let f0 = after.symbol(symbol(&after, "f0"));
    assert_eq!(f0.binding, crate::object_file::Binding::Weak);
    assert_eq!(f0.visibility, crate::object_file::Visibility::Hidden);
    let number = after.symbol(symbol(&after, "number"));
    assert_eq!((number.place, number.value), (SymbolPlace::Undefined, 0));
    assert_eq!(number.visibility, crate::object_file::Visibility::Default);
    let relocations = after.section(data).relocations();
    let entries: Vec<_> = relocations.iter().map(|r| (r.offset, r.entry, r.kind)).collect();
    let (abs, none) = (RelocKind::Abs64, RelocKind::None);
    let expected = [(0, 0, abs), (3, 1, none), (3, 2, none), (16, 3, abs), (16, 4, none), (20, 5, none)];
    assert_eq!(entries, expected);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.o");
    std::fs::write(&path, &output).unwrap();
    read_without_warning("edited", &path);
    for linker in linkers() {
        let result = folder.path().join("out");
        let (_, messages) =
            run(&linker, &["-shared".as_ref(), "-o".as_ref(), result.as_ref(), path.as_ref()]);
        assert_eq!(messages, "", "{}", linker.display());
    }
}

#[test]
fn edits_that_cannot_be_right_are_refused() {
    let Some(bytes) = compile("gcc", &[], "s", EDITABLE) else {
        return;
    };
    let object = parse("in.o", &bytes);
    let (constants, map, data) =
        (section(&object, ".rodata.cst8").id, section(&object, ".map").id, section(&object, ".data").id);
    let symtab = section(&object, ".symtab").id;
    let refused = |expected: &str, make: &dyn Fn(&mut Edits)| {
        let mut edits = Edits::default();
        make(&mut edits);
        let error = try_write(&object, &edits).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let change = |section, offset, old: &[u8], new: &[u8]| BytesEdit {
        section,
        offset,
        old: old.into(),
        new: new.into(),
    };
    refused(".rodata.cst8+0x1: the bytes to change are [77]", &|e| {
        e.bytes.push(change(constants, 1, &[0x78], &[0]));
    });
    refused("outside", &|e| e.bytes.push(change(constants, 16, &[0], &[0])));
    refused("outside", &|e| e.bytes.push(change(constants, u64::MAX, &[0], &[0])));
    refused("cannot become", &|e| e.bytes.push(change(constants, 0, &[0x88], &[])));
    refused("format itself", &|e| e.bytes.push(change(symtab, 0, &[0], &[1])));
    refused("does not exist", &|e| e.bytes.push(change(SectionId(999), 0, &[0], &[1])));
    refused("two changes", &|e| {
        e.bytes.push(change(constants, 0, &[0x88, 0x77], &[0, 0]));
        e.bytes.push(change(constants, 1, &[0x77], &[0]));
    });
    let null = SectionEdit { null: true, ..SectionEdit::default() };
    refused("is defined in a section that is taken away", &|e| {
        e.section_edits.insert(data, null.clone());
    });
    let at = |offset, symbol| NewRelocation { offset, kind: RelocKind::Abs64, symbol, addend: 0 };
    refused(".data+0x11: a relocation outside", &|e| {
        e.relocate(data, RelocationEdit::Add(at(17, SymbolRef::Section(map))));
    });
    refused("does not exist", &|e| {
        e.relocate(data, RelocationEdit::Add(at(0, SymbolRef::Existing(SymbolId(999)))));
    });
    refused("does not exist", &|e| {
        e.relocate(data, RelocationEdit::Add(at(0, SymbolRef::Local(NewLocalId(0)))));
    });
    refused("relocation 3 of 3 does not exist", &|e| e.relocate(data, RelocationEdit::Remove(3)));
    refused("two changes of the same relocation", &|e| {
        e.relocate(data, RelocationEdit::Remove(1));
        e.relocate(data, RelocationEdit::Remove(1));
    });
    refused("not global", &|e| {
        let weak = SymbolEdit { weak: true, ..SymbolEdit::default() };
        e.symbol_edits.insert(symbol(&object, "table"), weak);
    });
    refused("NUL", &|e| _ = e.add_undefined("a\0b"));
    refused("outside of its section", &|e| {
        e.locals.push(NewLocal {
            name: "x".to_owned(),
            home: Home::Existing(data),
            value: 24,
            size: 1,
            function: false,
        });
    });
}

/// Many words become addresses, and what is done at two of them is repeated at all others.
#[test]
fn what_is_repeated_is_done_everywhere_or_refused() {
    const WORDS: u64 = 20_000;
    let source = format!(".data\n.rept {WORDS}\n.quad 0x7766554433221100\n.endr\n.globl x\n");
    let Some(bytes) = compile("gcc", &[], "s", &source) else {
        return;
    };
    let object = parse("in.o", &bytes);
    let data = section(&object, ".data").id;
    let (old, new) = (0x7766_5544_3322_1100_u64.to_le_bytes(), [0; 8]);
    let form = PlainForm { length: 8, field: 0, width: 8 };
    let edits = |change: &dyn Fn(&mut Vec<Repeat>, &mut Vec<BytesEdit>)| {
        let mut edits = Edits::default();
        let mut patterns = Vec::new();
        for first in [0, 8] {
            let symbol = SymbolRef::Section(data);
            let relocation =
                NewRelocation { offset: first, kind: RelocKind::Abs64, symbol, addend: first as i64 };
            edits.relocate(data, RelocationEdit::Add(relocation));
            patterns.push(Pattern { first, constant: u64::from_le_bytes(old), frames: 0, relocation });
        }
        let bytes = |pattern: &Pattern| BytesEdit {
            section: data,
            offset: pattern.first,
            old: old.as_slice().into(),
            new: new.as_slice().into(),
        };
        edits.bytes = patterns.iter().map(bytes).collect();
        // The last word stays.
        let mut places: Vec<Repeat> = (2..WORDS - 1)
            .map(|word| Repeat { offset: word * 8, pattern: (word % 7 / 6) as u32, frame: 0 })
            .collect();
        change(&mut places, &mut edits.bytes);
        edits.repeated.insert(
            data,
            Repeated { form, patterns, frames: vec![Frame { old: 0, new: 0 }], places: Arc::new(places) },
        );
        edits
    };

    let output = write(&object, &edits(&|_, _| ()));
    let after = parse("out.o", &output);
    let section = after.section(data);
    assert!(section.data[..section.data.len() - 8].iter().all(|byte| *byte == 0));
    assert_eq!(section.data[section.data.len() - 8..], old);
    assert_eq!(section.relocations().len() as u64, WORDS - 1);
    for (word, relocation) in (0..).zip(section.relocations()) {
        let addend = if word < 2 { word * 8 } else { word % 7 / 6 * 8 };
        assert_eq!((relocation.offset, relocation.addend), (word as u64 * 8, addend));
    }

    let refused = |expected: &str, change: &dyn Fn(&mut Vec<Repeat>, &mut Vec<BytesEdit>)| {
        let error = try_write(&object, &edits(change)).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(".data+0x13881: the bytes to change are [11", &|places, _| places[9_998].offset += 1);
    refused("a repeated change that does not exist", &|places, _| places[9_998].pattern = 2);
    refused("a repeated change that does not exist", &|places, _| places[9_998].frame = 1);
    refused("two changes of the same bytes", &|places, _| places[9_998].offset -= 1);
    refused("two changes of the same bytes", &|places, _| places.swap(4095, 4096));
    refused("two changes of the same bytes", &|places, _| places.swap(100, 101));
    // Where all threads' parts end.
    for last in 4094..4098 {
        refused("two changes of the same bytes", &|places, _| places[last].offset = places[last + 1].offset);
    }
    refused("outside of the section", &|places, _| {
        places.push(Repeat { offset: WORDS * 8 - 4, pattern: 0, frame: 0 });
    });
    refused("outside of the section", &|places, _| {
        places.push(Repeat { offset: u64::MAX, pattern: 0, frame: 0 })
    });
    refused("two changes of the same bytes", &|places, bytes| {
        let offset = places[5_000].offset + 7;
        bytes.push(BytesEdit {
            section: data,
            offset,
            old: [0x77].as_slice().into(),
            new: [0x77].as_slice().into(),
        });
    });
}

/// The new sections push the number of sections beyond 16 bits: the header's fields overflow into the null
/// section, and symbols in the last sections need a table that the input does not have.
#[test]
fn section_numbers_outgrow_their_fields() {
    let many: String = (0..65_271).map(|i| format!("\t.section .rodata.s{i},\"a\"\n\t.byte 1\n")).collect();
    let Some(bytes) = compile("gcc", &[], "s", &format!("f: .globl g\ng: ret\n{many}")) else {
        return;
    };
    let object = parse("edge.o", &bytes);
    let tables = Tables::parse("edge.o", &bytes).unwrap();
    assert!(tables.header.e_shnum != 0 && tables.symbols.as_ref().unwrap().shndx.is_none());
    let edits = every_edit(&object);
    let output = write(&object, &edits);
    assert_rest_untouched(&bytes, &output, &edits);
    let tables = Tables::parse("out.o", &output).unwrap();
    assert!(tables.header.e_shnum == 0 && tables.symbols.as_ref().unwrap().shndx.is_some());
    let after = parse("out.o", &output);
    let found = after.symbol(SymbolId(tables.symbols.as_ref().unwrap().first_global as u32 - 1));
    assert!(matches!(found.place, SymbolPlace::Section(id) if id.0 >= 0xff00), "{found:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.o");
    std::fs::write(&path, &output).unwrap();
    read_without_warning("edge.o", &path);
    for linker in linkers() {
        let result = folder.path().join("out");
        let options = ["-shared".as_ref(), "-o".as_ref(), result.as_os_str(), path.as_os_str()];
        let (_, messages) = run(&linker, &options);
        assert_eq!(messages, "", "{}", linker.display());
    }
}

/// Sections linked to the symbol table hold its indices in a form of their own.
#[test]
fn what_may_hold_symbol_indices_is_refused() {
    let Some(bytes) = compile("gcc", &[], "s", EDITABLE) else {
        return;
    };
    let tables = Tables::parse("in.o", &bytes).unwrap();
    let index = section(&parse("in.o", &bytes), ".map").id.0 as usize;
    let header = tables.header.e_shoff as usize + index * 64;
    let mut linked = bytes.clone();
    let symtab = tables.symbols.as_ref().unwrap().section as u32;
    linked[header + 40..header + 44].copy_from_slice(&symtab.to_le_bytes());
    let object = parse("linked.o", &linked);
    let mut edits = Edits::default();
    edits.add_undefined("u");
    assert!(try_write(&object, &edits).is_ok(), "no index changes");
    let error = try_write(&object, &small_edit()).unwrap_err();
    assert!(error.to_string().contains(".map+0x0: a section of type 0x1"), "{error}");
}
