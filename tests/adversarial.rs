//! Objects and maps that mean harm, or are only far larger than usual: sizes, depths, lies and near misses.

use std::fmt::Write;

use relocfix::{Error, ErrorKind, Fixed, ObjectFile, Options, fix};
use serde_json::{Value, json};

#[path = "subjects/mod.rs"]
mod subjects;
mod support;

use subjects::{compile, read_map};
use support::files::Memory;
use support::untouched;

/// Where the session had everything.
const BASE: u64 = 0x7f12_3456_0000;

fn address(offset: u64) -> String {
    format!("{:#x}", BASE + offset)
}

/// The part of a map that has one mapping of 1 MiB; `more` is added.
fn map_with(more: &Value) -> Vec<u8> {
    let mut map = json!({
        "relocfix": 1,
        "machine": "x86_64",
        "mappings": [{"start": address(0), "end": address(0x10_0000), "perms": "rwxp"}],
    });
    for (key, value) in more.as_object().unwrap() {
        map[key] = value.clone();
    }
    map.to_string().into_bytes()
}

fn rewrite(object: &[u8], map: &[u8]) -> Result<Fixed, Error> {
    let files = Memory::default();
    let map = read_map(map, &files)?;
    let object = ObjectFile::parse("in.o", object)?;
    fix(&object, &map, &files, &Options::default())
}

/// Rewrites an object, which must be possible, and checks what did not change.
fn rewritten(object: &[u8], map: &[u8]) -> Fixed {
    let fixed = rewrite(object, map).unwrap();
    let output = fixed.output.as_ref().expect("something was to be done");
    let report = serde_json::to_value(&fixed.report).unwrap();
    assert_eq!(untouched::differences(object, output, &report), Ok(Vec::new()));
    let again = rewrite(output, map).unwrap();
    assert!(again.output.is_none(), "a second run changes it");
    fixed
}

fn assemble(text: &str) -> Option<Vec<u8>> {
    compile("gcc", &[], "s", text)
}

#[test]
fn next_door() {
    let map = map_with(&json!({"symbols": [
        {"address": address(0x1000), "name": "first", "size": 64},
        {"address": address(0x1040), "name": "second", "size": 64},
        {"address": address(0x2000), "name": "alone", "size": 64},
        {"address": address(0x3000), "name": "exact"},
    ]}));
    let all: [(u64, Option<(&str, i64)>); 11] = [
        (0x1000, Some(("first", 0))),
        (0x103f, Some(("first", 63))),
        // One past the end of one thing is the next one, if there is one.
        (0x1040, Some(("second", 0))),
        (0x0fff, None),
        (0x1fff, None),
        (0x207f - 0x40, Some(("alone", 63))),
        (0x2040, None),
        (0x3000, Some(("exact", 0))),
        (0x3001, None),
        (0, None),
        (0xf_ffff, None),
    ];
    let mut text = ".data\n.balign 8\n".to_owned();
    for (offset, _) in all {
        writeln!(text, ".quad {}", address(offset)).unwrap();
    }
    // Beside the mapping nothing is the session's.
    writeln!(text, ".quad {:#x}, {:#x}", BASE - 1, BASE + 0x10_0000).unwrap();
    let Some(object) = assemble(&text) else { return };
    let error = rewrite(&object, &map).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unresolved);
    let report = error.report().unwrap();
    let found: Vec<(u64, Option<Value>)> = report
        .places
        .iter()
        .map(|p| (p.value - BASE, p.target.as_ref().map(|t| serde_json::to_value(t).unwrap())))
        .collect();
    let expected: Vec<(u64, Option<Value>)> = all
        .into_iter()
        .map(|(at, t)| (at, t.map(|(name, offset)| json!({"symbol": name, "offset": offset}))))
        .collect();
    assert_eq!(found, expected);
    // All that is not known is named at once.
    assert_eq!(error.problems().len(), expected.iter().filter(|(_, target)| target.is_none()).count());
}

#[test]
fn maps_of_other_sessions_and_maps_that_lie() {
    let Some(object) = assemble(&format!(".data\n.balign 8\n.quad {}, 7, -1, 0\n", address(0x1000))) else {
        return;
    };
    // The addresses of another session: nothing is found, and nothing is changed.
    let elsewhere = json!({"relocfix": 1, "machine": "x86_64",
        "mappings": [{"start": "0x7fff00000000", "end": "0x7fff00100000", "perms": "rwxp"}]});
    assert!(rewrite(&object, elsewhere.to_string().as_bytes()).unwrap().output.is_none());

    let rejected = [
        json!({"symbols": [{"address": address(0), "name": "a", "size": -1}]}),
        json!({"symbols": [{"address": "0xffffffffffffffff", "name": "a", "size": 2}]}),
        json!({"mappings": [{"start": address(16), "end": address(0), "perms": "rwxp"}]}),
        json!({"mappings": [{"start": address(0), "end": address(16), "path": "/a"}, {"start": address(8), "end": address(24), "path": "/b"}]}),
        json!({"values": [{"name": "a", "address": address(0), "size": 64, "init": {"int": 1}},
                          {"name": "b", "address": address(32), "size": 64, "init": {"int": 1}}]}),
        json!({"values": [{"name": "a", "init": {"value": "a"}}]}),
        json!({"values": [{"name": "a", "init": {"value": "nobody"}}]}),
        json!({"values": [{"name": "a", "address": "0x10", "header": 32, "init": {"int": 1}}]}),
        json!({"machine": "aarch64"}),
        json!({"unknown": 1}),
    ];
    for map in rejected {
        let error = rewrite(&object, &map_with(&map)).expect_err(&map.to_string());
        assert_eq!(error.kind(), ErrorKind::SessionMap, "{map}: {error}");
    }

    // Everything is an address: then nothing has a meaning, small numbers aside.
    let everything = json!({"mappings": [{"start": "0x1000", "end": "0xffffffffffffffff", "perms": "rwxp"}]});
    let error = rewrite(&object, &map_with(&everything)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unresolved, "{error}");
}

#[test]
fn relocations_that_share_bytes() {
    let map = map_with(&json!({"symbols": [{"address": address(0x1000), "name": "cell", "size": 64}]}));
    let cell = address(0x1000);
    let refused = [
        // Two relocations of one word; of halves of two.
        ".section .rodata\n.balign 8\n.quad 0\n.reloc .rodata, R_X86_64_64, a\n.reloc .rodata, R_X86_64_64, b\n".to_owned(),
        ".section .rodata\n.balign 8\n.quad 0, 0\n.reloc .rodata, R_X86_64_64, a\n.reloc .rodata+4, R_X86_64_64, b\n".to_owned(),
        // One in the opcode of an instruction whose constant is an address.
        format!("f: movabs ${cell}, %rax\nret\n.reloc f, R_X86_64_PC8, a\n"),
        "f: movabs $a, %rax\nret\n.reloc f+1, R_X86_64_PC8, b\n".to_owned(),
        // Of those that have a relocation of their own, in its addend or its symbol.
        format!(".globl a\nf: mov a@GOTPCREL(%rip), %rax\nret\n.set a, {cell}\n.reloc f+2, R_X86_64_PC8, b\n"),
        format!("f: .byte 0xe8, 0, 0, 0, 0\nret\n.reloc f+1, R_X86_64_PLT32, {cell}-4\n.reloc f, R_X86_64_PC8, b\n"),
        format!("f: .byte 0x48, 0x8d, 5, 0, 0, 0, 0\nret\n.reloc f+3, R_X86_64_PC32, {cell}-4\n.reloc f+2, R_X86_64_PC8, b\n"),
    ];
    for text in refused {
        let Some(object) = assemble(&text) else { return };
        let error = rewrite(&object, &map).expect_err(&text);
        assert_eq!(error.kind(), ErrorKind::Refused, "{text}{error}");
        assert!(error.to_string().contains("shares bytes with the relocation at"), "{text}{error}");
    }
    // A placeholder writes nothing, wherever it is.
    for at in 0..10 {
        let text = format!("f: movabs ${cell}, %rax\nret\n.reloc f+{at}, R_X86_64_NONE, a\n");
        let Some(object) = assemble(&text) else { return };
        assert_eq!(rewritten(&object, &map).report.summary.places, 1, "{text}");
    }
}

/// Changes eight bytes of a section's header.
fn with_size(object: &[u8], name: &str, size: u64) -> Vec<u8> {
    use object::read::elf::{FileHeader, SectionHeader};
    let header = object::elf::FileHeader64::<object::LittleEndian>::parse(object).unwrap();
    let sections = header.sections(object::LittleEndian, object).unwrap();
    let (index, _) = sections.section_by_name(object::LittleEndian, name.as_bytes()).unwrap();
    assert!(sections.section(index).unwrap().sh_size(object::LittleEndian) > 0);
    let at = header.e_shoff(object::LittleEndian) as usize + index.0 * 64 + 32;
    let mut changed = object.to_vec();
    changed[at..at + 8].copy_from_slice(&size.to_le_bytes());
    changed
}

#[test]
fn huge_sizes() {
    let text = format!(
        "f: movabs ${}, %rax\nret\n.section .rodata\n.balign 8\n.quad 1\n.bss\n.globl filled\nfilled: .skip 64\n",
        address(0x1000)
    );
    let Some(object) = assemble(&text) else { return };
    let map = map_with(&json!({
        "symbols": [{"address": address(0x1000), "name": "cell", "size": 64}],
        "globals": [{"symbol": "filled", "offset": 8, "init": {"load": {"symbol": "cell"}}}],
    }));
    rewritten(&object, &map);
    // What takes no room in the file may be of any size.
    rewritten(&with_size(&object, ".bss", 1 << 60), &map);
    for name in [".text", ".rodata", ".symtab", ".strtab", ".shstrtab"] {
        for size in [1 << 32, 1 << 60, u64::MAX, u64::MAX - 63] {
            let error = rewrite(&with_size(&object, name, size), &map).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MalformedObject, "{name} {size:#x}: {error}");
        }
    }
}

#[test]
fn deep_and_long_maps() {
    let Some(object) = assemble(".data\n.balign 8\n.globl g\ng: .quad 0\n") else { return };
    let depth = 100_000;
    let nested = format!(
        r#"{{"relocfix":1,"globals":[{{"symbol":"g","init":{}{{"symbol":"s"}}{}}}]}}"#,
        r#"{"load":"#.repeat(depth),
        "}".repeat(depth)
    );
    assert_eq!(rewrite(&object, nested.as_bytes()).unwrap_err().kind(), ErrorKind::SessionMap);

    let count = 200_000;
    let named = |i: usize| format!("v{i}");
    let chain: Vec<Value> = (0..count)
        .map(|i| match i {
            0 => json!({"name": "v0", "init": {"load": {"symbol": "s"}}}),
            _ => json!({"name": named(i), "init": {"load": {"value": named(i - 1)}}}),
        })
        .collect();
    let cycle: Vec<Value> = (0..count)
        .map(|i| json!({"name": named(i), "init": {"load": {"value": named((i + 1) % count)}}}))
        .collect();
    for values in [chain, cycle] {
        let map = map_with(
            &json!({"values": values, "globals": [{"symbol": "g", "init": {"value": named(count - 1)}}]}),
        );
        assert_eq!(rewrite(&object, &map).unwrap_err().kind(), ErrorKind::SessionMap);
    }

    // As many that do not depend on each other are nothing special, and those that nobody uses are not made.
    let many: Vec<Value> = (0..count)
        .map(|i| json!({"name": named(i), "address": address(0x1000 + 4 * i as u64), "size": 4, "init": {"load": {"symbol": named(i)}}}))
        .collect();
    let map = map_with(&json!({"values": many, "globals": [{"symbol": "g", "init": {"value": "v7"}}]}));
    assert_eq!(rewritten(&object, &map).report.globals.len(), 1);
}

/// Sizes at which a quadratic step would take minutes.
#[test]
fn large_objects() {
    let many = 100_000;
    let symbols: Vec<Value> = (0..1000)
        .map(|i| json!({"address": address(0x1000 + 64 * i), "name": format!("cell{i}"), "size": 64}))
        .collect();
    let value = json!({"address": address(0xf_0000), "name": "made", "size": 64, "init": {"call": "make"}});
    let map = map_with(&json!({"symbols": symbols, "values": [value]}));
    let cell = |i: usize| address(0x1000 + (i as u64 * 8) % 64_000);

    let mut one_function = ".globl f\n.type f,@function\nf:\n".to_owned();
    let mut words = ".data\n.balign 8\n.globl words\nwords:\n".to_owned();
    let mut relocated = ".section .rodata\n.balign 8\n".to_owned();
    let mut lowered = String::new();
    let mut functions = String::new();
    let mut groups = String::new();
    let mut sections = String::new();
    for i in 0..many {
        let cell = cell(i);
        if i % 4 == 0 {
            writeln!(one_function, "movabs ${cell}, %rax").unwrap();
            writeln!(
                functions,
                ".globl f{i}\n.type f{i},@function\nf{i}: .cfi_startproc\nmovabs ${cell}, %rax\nret\n.cfi_endproc\n.size f{i},.-f{i}"
            )
            .unwrap();
        }
        writeln!(words, ".quad {cell}, {}", address(0xf_0000)).unwrap();
        writeln!(relocated, ".quad outside{i}").unwrap();
        writeln!(lowered, "movabs $outside{i}, %rax").unwrap();
        if i % 16 == 0 {
            writeln!(
                groups,
                ".section .text.g{i},\"axG\",@progbits,g{i},comdat\n.weak g{i}\n.type g{i},@function\n\
                 g{i}: .cfi_startproc\nmovabs ${cell}, %rax\nmovabs ${}, %rcx\nret\n.cfi_endproc\n.size g{i},.-g{i}",
                address(0xf_0000)
            )
            .unwrap();
        }
        // More than fit into 16 bits.
        if i < 70_000 {
            writeln!(sections, ".section .data.s{i},\"aw\"\n.balign 8\n.globl s{i}\ns{i}: .quad {cell}")
                .unwrap();
        }
    }
    for (what, text) in [
        ("one function", one_function),
        ("words", words),
        ("relocated words", relocated),
        ("lowered", lowered),
        ("functions", functions),
        ("groups", groups),
        ("sections", sections),
    ] {
        let Some(object) = assemble(&text) else { return };
        let report = rewritten(&object, &map).report;
        assert!(report.places.len() + report.lowered.len() > 10_000, "{what}");
    }
}
