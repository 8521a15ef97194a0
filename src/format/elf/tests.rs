//! Real objects of several producers, edited in every way there is and read back: by our reader, by binutils
//! and LLVM, and by three linkers.

mod edited;
mod malformed;
mod tools;

use std::collections::BTreeMap;

use self::edited::{every_edit, small_edit};
use self::tools::{Fixture, compile, fixtures, linkers, read_without_warning, run, tool};
use super::records::{SectionHeader, SymbolEntry};

use super::tables::{SymbolSection, Tables};
use crate::edits::{
    BytesEdit, Edits, Home, NewLocal, NewLocalId, NewRelocation, NewSection, NewSectionId, NewSectionKind,
    RelocationEdit, SectionEdit, SymbolEdit, SymbolRef,
};
use crate::object_file::{ObjectFile, SectionId, SectionKind, SymbolId, SymbolPlace};
use crate::reloc::RelocKind;

const SHT_SYMTAB: u32 = object::elf::SHT_SYMTAB.0;
const SHT_GROUP: u32 = object::elf::SHT_GROUP.0;

fn parse<'d>(name: &'d str, bytes: &'d [u8]) -> ObjectFile<'d> {
    ObjectFile::parse(name, bytes).unwrap_or_else(|e| panic!("{e}"))
}

fn write(object: &ObjectFile<'_>, edits: &Edits) -> Vec<u8> {
    super::write(object, edits).unwrap_or_else(|e| panic!("{e}"))
}

fn section<'o, 'd>(object: &'o ObjectFile<'d>, name: &str) -> &'o crate::object_file::Section<'d> {
    let found = object.sections.iter().find(|s| s.name == name);
    found.unwrap_or_else(|| panic!("{}: no section {name}", object.name))
}

fn symbol(object: &ObjectFile<'_>, name: &str) -> SymbolId {
    let found = object.symbols.iter().find(|s| s.name == name);
    found
        .unwrap_or_else(|| panic!("{}: no symbol {name}", object.name))
        .id
}

/// Where a symbol of the input went.
fn moved(before: &Tables<'_>, after: &Tables<'_>, symbol: u32) -> u32 {
    let (before, after) = (before.symbols.as_ref().unwrap(), after.symbols.as_ref().unwrap());
    let shift = after.first_global - before.first_global;
    symbol
        + if (symbol as usize) < before.first_global {
            0
        } else {
            shift as u32
        }
}

/// Everything that `edits` does not name is as it was. For edits that only add.
fn assert_rest_untouched(before_bytes: &[u8], after_bytes: &[u8], edits: &Edits) {
    let (before, after) = (parse("before", before_bytes), parse("after", after_bytes));
    let old = Tables::parse("before", before_bytes).unwrap();
    let new = Tables::parse("after", after_bytes).unwrap();
    for (index, (a, b)) in before.sections.iter().zip(&after.sections).enumerate() {
        assert_eq!((a.name, a.kind, a.group), (b.name, b.kind, b.group));
        let grown = edits.extensions.iter().find(|e| e.section == a.id);
        let mut comparable = [old.sections[index], new.sections[index]];
        for header in &mut comparable {
            header.sh_name = 0;
            if index == 0 {
                header.sh_link = 0;
            }
            if a.kind == SectionKind::Format || grown.is_some() {
                (header.sh_offset, header.sh_size) = (0, 0);
            }
            if matches!(header.sh_type, SHT_SYMTAB | SHT_GROUP) {
                header.sh_info = 0;
            }
        }
        assert_eq!(comparable[0], comparable[1], "{}", a.name);
        if a.kind != SectionKind::Format {
            let added = grown.map_or(&[][..], |e| &e.data);
            assert_eq!([a.data, added].concat(), b.data, "{}", a.name);
        }
        let expected: Vec<_> = a
            .relocations
            .iter()
            .map(|r| (r.offset, r.kind, moved(&old, &new, r.symbol.0), r.addend))
            .collect();
        let mut found: Vec<_> = b
            .relocations
            .iter()
            .map(|r| (r.offset, r.kind, r.symbol.0, r.addend))
            .collect();
        let added =
            edits.relocations.get(&a.id).map_or(0, Vec::len) + grown.map_or(0, |e| e.relocations.len());
        assert_eq!(expected.len() + added, found.len(), "{}", a.name);
        if added > 0 {
            found.retain(|r| expected.contains(r));
        }
        assert_eq!(expected, found, "{}", a.name);
    }
    let symbols = |t: &Tables<'_>| -> Vec<(SymbolEntry, SymbolSection, String)> {
        let table = t.symbols.as_ref().unwrap();
        let entry = |(e, s): (SymbolEntry, SymbolSection)| {
            let name = table.name(e.st_name).unwrap().to_owned();
            (
                SymbolEntry {
                    st_name: 0,
                    st_shndx: 0,
                    ..e
                },
                s,
                name,
            )
        };
        table.iter().map(entry).collect()
    };
    let (old_symbols, new_symbols) = (symbols(&old), symbols(&new));
    for (index, symbol) in old_symbols.iter().enumerate() {
        assert_eq!(symbol, &new_symbols[moved(&old, &new, index as u32) as usize]);
    }
    assert_eq!(before.groups.len(), after.groups.len());
    for (a, b) in before.groups.iter().zip(&after.groups) {
        assert_eq!((a.section, a.comdat), (b.section, b.comdat));
        assert_eq!(moved(&old, &new, a.signature.0), b.signature.0);
        assert_eq!(a.members, b.members[..a.members.len()]);
    }
    assert_eq!(before.landing_pads, after.landing_pads);
}

/// What binutils says of the relocations of each section, without symbol indices.
fn readelf_relocations(path: &std::path::Path) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::new();
    let mut current = String::new();
    let (text, _) = run(&tool("readelf").unwrap(), &["-rW".as_ref(), path.as_ref()]);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Relocation section '") {
            current = rest.split('\'').next().unwrap().to_owned();
            // Sections of one name become one list.
            tables.entry(current.clone()).or_insert_with(Vec::new);
        } else if line.starts_with("00") {
            let words: Vec<_> = line.split_whitespace().collect();
            let words = [&words[..1], &words[2..]].concat();
            tables.get_mut(&current).unwrap().push(words.join(" "));
        }
    }
    tables
}

/// The names that LLVM finds in `.llvm_addrsig`.
fn address_significant(path: &std::path::Path) -> Vec<String> {
    let Some(readobj) = tool("llvm-readobj") else {
        return Vec::new();
    };
    let (text, _) = run(&readobj, &["--addrsig".as_ref(), path.as_ref()]);
    let name = |l: &str| {
        l.trim()
            .strip_prefix("Sym: ")
            .map(|s| s.split(" (").next().unwrap().to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[test]
fn nothing_to_edit_changes_nothing() {
    let Some(fixtures) = fixtures() else { return };
    for Fixture { name, bytes } in fixtures.small() {
        assert_eq!(&write(&parse(name, bytes), &Edits::default()), bytes);
    }
}

#[test]
fn what_is_not_named_stays() {
    let Some(fixtures) = fixtures() else { return };
    for Fixture { name, bytes } in fixtures.all() {
        let object = parse(name, bytes);
        let edits = every_edit(&object);
        let output = write(&object, &edits);
        assert_eq!(output, write(&object, &edits), "{name}: not deterministic");
        assert_rest_untouched(bytes, &output, &edits);

        let after = parse("after", &output);
        assert!(after.sections.len() >= object.sections.len() + edits.sections.len());
        for (new, found) in edits
            .sections
            .iter()
            .zip(&after.sections[object.sections.len()..])
        {
            assert_eq!(
                (new.name.as_str(), new.size, new.align),
                (found.name, found.size, found.align)
            );
            assert_eq!((new.data.as_slice(), new.group), (found.data, found.group));
            let offsets =
                |r: &[crate::object_file::Relocation]| r.iter().map(|r| r.offset).collect::<Vec<_>>();
            let wanted: Vec<_> = new.relocations.iter().map(|r| r.offset).collect();
            assert_eq!(wanted, offsets(&found.relocations));
        }
        for local in &edits.locals {
            let found = after
                .symbols
                .iter()
                .find(|s| s.name == local.name && s.value == local.value && s.size == local.size);
            assert!(found.is_some(), "{name}: {local:?}");
        }
        // A second edit finds the tables at the end and replaces them: the file does not grow by old ones.
        let again = write(&after, &small_edit());
        assert_rest_untouched(&output, &again, &small_edit());
        assert!(
            again.len() < output.len() + 256,
            "{name}: {} then {}",
            output.len(),
            again.len()
        );
    }
}

#[test]
fn other_readers_agree_and_do_not_warn() {
    let Some(fixtures) = fixtures() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before.o"), folder.path().join("after.o"));
    for Fixture { name, bytes } in fixtures.all() {
        let object = parse(name, bytes);
        let edits = every_edit(&object);
        std::fs::write(&before, bytes).unwrap();
        std::fs::write(&after, write(&object, &edits)).unwrap();
        read_without_warning(name, &before);
        read_without_warning(name, &after);
        let (old, new) = (readelf_relocations(&before), readelf_relocations(&after));
        for (table, relocations) in &old {
            let mut rest = new[table].iter();
            for relocation in relocations {
                assert!(rest.any(|r| r == relocation), "{name}: {table}: {relocation}");
            }
        }
        assert_eq!(
            address_significant(&before),
            address_significant(&after),
            "{name}"
        );
    }
}

#[test]
fn linkers_take_the_output() {
    let Some(fixtures) = fixtures() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (input, second) = (folder.path().join("a.o"), folder.path().join("b.o"));
    let result = folder.path().join("out");
    for Fixture { name, bytes } in fixtures.all() {
        let object = parse(name, bytes);
        let output = write(&object, &every_edit(&object));
        std::fs::write(&input, &output).unwrap();
        std::fs::write(&second, &output).unwrap();
        for linker in linkers() {
            for options in [&["-r"][..], &["-shared", "--eh-frame-hdr", "-z", "muldefs"]] {
                // mold's own output may not have that many sections.
                if *name == "many.o" && options[0] == "-r" {
                    continue;
                }
                let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(|o| o.as_ref()).collect();
                arguments.extend(["-o".as_ref(), result.as_os_str(), input.as_os_str()]);
                // Two equal objects: of each group one copy goes, whole.
                if options[0] != "-r" {
                    arguments.push(second.as_os_str());
                }
                let (_, messages) = run(&linker, &arguments);
                assert_eq!(messages, "", "{name}: {} {options:?}", linker.display());
            }
        }
    }
}

#[test]
fn a_reference_that_was_turned_elsewhere_runs() {
    let Some(bytes) = compile(
        "gcc",
        &["-O1", "-fPIE"],
        "c",
        "extern int elsewhere; int main(void) { return elsewhere; }",
    ) else {
        return;
    };
    let object = parse("main.o", &bytes);
    let text = object.sections.iter().find(|s| {
        s.relocations
            .iter()
            .any(|r| r.symbol == symbol(&object, "elsewhere"))
    });
    let text = text.unwrap();
    let old = text
        .relocations
        .iter()
        .find(|r| r.symbol == symbol(&object, "elsewhere"))
        .unwrap();
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
    let weak = SymbolEdit {
        weak: true,
        ..SymbolEdit::default()
    };
    edits.symbol_edits.insert(symbol(&object, "elsewhere"), weak);
    let folder = tempfile::tempdir().unwrap();
    let (input, program) = (folder.path().join("a.o"), folder.path().join("a"));
    std::fs::write(&input, write(&object, &edits)).unwrap();
    let gcc = tool("gcc").unwrap();
    for linker in ["bfd", "lld", "mold"] {
        let choice = format!("-fuse-ld={linker}");
        if linker != "bfd" && tool(&format!("ld.{linker}")).is_none() && tool(linker).is_none() {
            continue;
        }
        run(
            &gcc,
            &[choice.as_ref(), "-o".as_ref(), program.as_ref(), input.as_ref()],
        );
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
"#;

#[test]
fn headers_symbols_and_bytes_change_as_asked() {
    let Some(bytes) = compile("gcc", &[], "s", EDITABLE) else {
        return;
    };
    let object = parse("in.o", &bytes);
    let (constants, map, data) = (
        section(&object, ".rodata.cst8").id,
        section(&object, ".map").id,
        section(&object, ".data").id,
    );
    let mut edits = Edits::default();
    edits.bytes.push(BytesEdit {
        section: constants,
        offset: 0,
        old: 0x1122_3344_5566_7788_u64.to_le_bytes().to_vec(),
        new: vec![0; 8],
    });
    let relro = SectionEdit {
        name: Some(".data.rel.ro.cst8".to_owned()),
        writable: true,
        unmerge: true,
        null: false,
    };
    edits.section_edits.insert(constants, relro);
    edits.section_edits.insert(
        map,
        SectionEdit {
            null: true,
            ..SectionEdit::default()
        },
    );
    for s in &object.symbols {
        if s.place == SymbolPlace::Section(map) {
            let dropped = SymbolEdit {
                drop_definition: true,
                ..SymbolEdit::default()
            };
            edits.symbol_edits.insert(s.id, dropped);
        }
    }
    let renamed = SymbolEdit {
        name: Some("f0".to_owned()),
        hidden: true,
        weak: true,
        drop_definition: false,
    };
    edits
        .symbol_edits
        .insert(symbol(&object, "session_1234_f"), renamed);
    let none = |offset| NewRelocation {
        offset,
        kind: RelocKind::None,
        symbol: SymbolRef::Section(constants),
        addend: 7,
    };
    edits.relocate(data, RelocationEdit::Remove(1));
    edits.relocate(data, RelocationEdit::Add(none(20)));
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
        assert!(
            !output.windows(gone.len()).any(|w| w == gone.as_bytes()),
            "{gone} is still there"
        );
    }
    let f0 = after.symbol(symbol(&after, "f0"));
    assert_eq!(f0.binding, crate::object_file::Binding::Weak);
    assert_eq!(f0.visibility, crate::object_file::Visibility::Hidden);
    let entries: Vec<_> = after
        .section(data)
        .relocations
        .iter()
        .map(|r| (r.offset, r.entry))
        .collect();
    assert_eq!(entries, [(0, 0), (3, 1), (3, 2), (16, 3), (20, 4)]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.o");
    std::fs::write(&path, &output).unwrap();
    read_without_warning("edited", &path);
    for linker in linkers() {
        let result = folder.path().join("out");
        let (_, messages) = run(
            &linker,
            &["-shared".as_ref(), "-o".as_ref(), result.as_ref(), path.as_ref()],
        );
        assert_eq!(messages, "", "{}", linker.display());
    }
}

#[test]
fn edits_that_cannot_be_right_are_refused() {
    let Some(bytes) = compile("gcc", &[], "s", EDITABLE) else {
        return;
    };
    let object = parse("in.o", &bytes);
    let (constants, map, data) = (
        section(&object, ".rodata.cst8").id,
        section(&object, ".map").id,
        section(&object, ".data").id,
    );
    let symtab = section(&object, ".symtab").id;
    let refused = |expected: &str, make: &dyn Fn(&mut Edits)| {
        let mut edits = Edits::default();
        make(&mut edits);
        let error = super::write(&object, &edits).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let change = |section, offset, old: &[u8], new: &[u8]| BytesEdit {
        section,
        offset,
        old: old.to_vec(),
        new: new.to_vec(),
    };
    refused(".rodata.cst8+0x1: the bytes to change are [77]", &|e| {
        e.bytes.push(change(constants, 1, &[0x78], &[0]));
    });
    refused("outside", &|e| e.bytes.push(change(constants, 16, &[0], &[0])));
    refused("outside", &|e| {
        e.bytes.push(change(constants, u64::MAX, &[0], &[0]))
    });
    refused("cannot become", &|e| {
        e.bytes.push(change(constants, 0, &[0x88], &[]))
    });
    refused("format itself", &|e| e.bytes.push(change(symtab, 0, &[0], &[1])));
    refused("does not exist", &|e| {
        e.bytes.push(change(SectionId(999), 0, &[0], &[1]))
    });
    refused("two changes", &|e| {
        e.bytes.push(change(constants, 0, &[0x88, 0x77], &[0, 0]));
        e.bytes.push(change(constants, 1, &[0x77], &[0]));
    });
    let null = SectionEdit {
        null: true,
        ..SectionEdit::default()
    };
    refused("is defined in a section that is taken away", &|e| {
        e.section_edits.insert(data, null.clone());
    });
    let at = |offset, symbol| NewRelocation {
        offset,
        kind: RelocKind::Abs64,
        symbol,
        addend: 0,
    };
    refused(".data+0x11: a relocation outside", &|e| {
        e.relocate(data, RelocationEdit::Add(at(17, SymbolRef::Section(map))));
    });
    refused("does not exist", &|e| {
        e.relocate(
            data,
            RelocationEdit::Add(at(0, SymbolRef::Existing(SymbolId(999)))),
        );
    });
    refused("does not exist", &|e| {
        e.relocate(data, RelocationEdit::Add(at(0, SymbolRef::Local(NewLocalId(0)))));
    });
    refused("relocation 3 of 3 does not exist", &|e| {
        e.relocate(data, RelocationEdit::Remove(3))
    });
    refused("two changes of the same relocation", &|e| {
        e.relocate(data, RelocationEdit::Remove(1));
        e.relocate(data, RelocationEdit::Remove(1));
    });
    refused("not global", &|e| {
        let weak = SymbolEdit {
            weak: true,
            ..SymbolEdit::default()
        };
        e.symbol_edits.insert(symbol(&object, "table"), weak);
    });
    refused("NUL", &|e| e.undefined.push("a\0b".to_owned()));
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

/// The new sections push the number of sections beyond 16 bits: the header's fields overflow into the null
/// section, and symbols in the last sections need a table that the input does not have.
#[test]
fn section_numbers_outgrow_their_fields() {
    let many: String = (0..65_271)
        .map(|i| format!("\t.section .rodata.s{i},\"a\"\n\t.byte 1\n"))
        .collect();
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
    assert!(
        matches!(found.place, SymbolPlace::Section(id) if id.0 >= 0xff00),
        "{found:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.o");
    std::fs::write(&path, &output).unwrap();
    read_without_warning("edge.o", &path);
    for linker in linkers() {
        let result = folder.path().join("out");
        let options = [
            "-shared".as_ref(),
            "-o".as_ref(),
            result.as_os_str(),
            path.as_os_str(),
        ];
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
    edits.undefined.push("u".to_owned());
    assert!(super::write(&object, &edits).is_ok(), "no index changes");
    let error = super::write(&object, &small_edit()).unwrap_err();
    assert!(
        error.to_string().contains(".map+0x0: a section of type 0x1"),
        "{error}"
    );
}
