//! Truncated and damaged objects: an error or an object, never a panic; and what is written of an object that
//! was read can be read again.

use super::super::records::{SHDR_SIZE, SectionHeader};
use super::super::tables::Tables;
use super::edited::every_edit;
use super::tools::{compile, fixtures};
use super::try_write;
use crate::object_file::ObjectFile;

/// Reads, edits, writes and reads; how far it came.
fn try_all(bytes: &[u8]) -> usize {
    let Ok(object) = ObjectFile::parse("damaged.o", bytes) else {
        return 0;
    };
    let Ok(output) = try_write(&object, &every_edit(&object)) else {
        return 1;
    };
    if let Err(e) = ObjectFile::parse("output.o", &output) {
        panic!("what was written cannot be read: {e}");
    }
    2
}

#[test]
fn truncated_objects_are_errors() {
    let Some(fixtures) = fixtures() else { return };
    let small = fixtures.small().iter().filter(|f| f.bytes.len() < 10_000);
    for fixture in small {
        assert_eq!(try_all(&fixture.bytes), 2, "{}", fixture.name);
        for length in 0..fixture.bytes.len() {
            let cut = &fixture.bytes[..length];
            // The section headers are last; LLVM's and gas's files end with them.
            let result = ObjectFile::parse("cut.o", cut);
            assert!(result.is_err(), "{} cut to {length}", fixture.name);
            assert!(!result.unwrap_err().to_string().is_empty());
        }
    }
}

#[test]
fn damaged_objects_do_no_harm() {
    let Some(fixtures) = fixtures() else { return };
    // xorshift64: the same damage every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut reached = [0; 3];
    for fixture in fixtures.small() {
        let headers = u64::from_le_bytes(fixture.bytes[40..48].try_into().unwrap()) as usize;
        for round in 0..3000 {
            let mut bytes = fixture.bytes.clone();
            for _ in 0..=random(3) {
                // Most of a file is contents, in which damage means nothing: aim at headers half of the time.
                let at = match round % 2 {
                    0 => random(bytes.len()),
                    _ => headers + random(bytes.len() - headers),
                };
                match random(3) {
                    0 => bytes[at] ^= 1 << random(8),
                    1 => bytes[at] = [0, 0xff, 0x80, 0x7f][random(4)],
                    _ => {
                        let end = (at + 8).min(bytes.len());
                        bytes[at..end].fill([0, 0xff][random(2)]);
                    }
                }
            }
            reached[try_all(&bytes)] += 1;
        }
    }
    assert!(reached.iter().all(|&n| n > 100), "the damage is one-sided: {reached:?}");
}

const SMALL: &str = r#"
    .data
    .quad f, 1
    .section .text.g,"axG",@progbits,g,comdat
    .globl g
g:  ret
    .section .note.plain,"",@note
    .quad 1
    .comm c, 8
"#;

/// A change to an object: its bytes, its section headers, and the index of the section of a name.
type Damage<'a> = &'a dyn Fn(&mut Vec<u8>, &mut Vec<SectionHeader>, &dyn Fn(&str) -> usize);

#[test]
fn contradictions_are_named() {
    let Some(bytes) = compile("gcc", &[], "s", SMALL) else {
        return;
    };
    let object = ObjectFile::parse("in.o", &bytes).unwrap();
    let index = |name: &str| {
        let found = object.sections.iter().find(|s| s.name == name);
        found.unwrap_or_else(|| panic!("no section {name}")).id.0 as usize
    };
    let tables = Tables::parse("in.o", &bytes).unwrap();
    let refused = |expected: &str, damage: Damage<'_>| {
        let (mut changed, mut headers) = (bytes.clone(), tables.sections.clone());
        damage(&mut changed, &mut headers, &index);
        let start = tables.header.e_shoff as usize;
        let mut table = Vec::new();
        headers.iter().for_each(|h| h.write(&mut table));
        changed[start..start + headers.len() * SHDR_SIZE].copy_from_slice(&table);
        match ObjectFile::parse("in.o", &changed) {
            Ok(_) => panic!("accepted: {expected}"),
            Err(e) => assert!(e.to_string().contains(expected), "{e}, expected {expected}"),
        }
    };
    let put = |bytes: &mut Vec<u8>, at: u64, value: &[u8]| {
        bytes[at as usize..at as usize + value.len()].copy_from_slice(value);
    };

    refused("do not fit", &|b, h, i| h[i(".data")].sh_size = b.len() as u64);
    refused("do not fit", &|_, h, i| h[i(".data")].sh_offset = u64::MAX - 3);
    refused("both claim", &|_, h, i| h[i(".note.plain")].sh_offset = h[i(".data")].sh_offset + 15);
    refused("both claim", &|_, h, i| h[i(".data")].sh_offset = 48);
    refused("power of two", &|_, h, i| h[i(".data")].sh_addralign = 24);
    refused("has the address", &|_, h, i| h[i(".data")].sh_addr = 1);
    refused("its name's offset", &|_, h, i| h[i(".data")].sh_name = 4096);
    refused("compact relocations", &|_, h, i| h[i(".rela.data")].sh_type = 0x4000_0014);
    refused("packed relocations", &|_, h, i| h[i(".rela.data")].sh_type = 19);
    refused("entries of 16 bytes", &|_, h, i| h[i(".rela.data")].sh_entsize = 16);
    refused("not a multiple", &|_, h, i| h[i(".rela.data")].sh_size = 23);
    refused("(SHT_REL)", &|_, h, i| {
        let table = &mut h[i(".rela.data")];
        (table.sh_type, table.sh_entsize, table.sh_size) = (9, 16, 16);
    });
    refused("applies to section 99", &|_, h, i| h[i(".rela.data")].sh_info = 99);
    refused("a table of the format itself", &|_, h, i| {
        h[i(".rela.data")].sh_info = i(".symtab") as u32;
    });
    refused("is not the symbol table", &|_, h, i| h[i(".rela.data")].sh_link = i(".data") as u32);
    refused(".rela.data+0x0: refers to symbol 999", &|b, h, i| {
        put(b, h[i(".rela.data")].sh_offset + 12, &999_u32.to_le_bytes());
    });
    refused(".rela.data+0x0: relocation 0 (type 1) at .data+0x9", &|b, h, i| {
        put(b, h[i(".rela.data")].sh_offset, &[9]);
    });
    refused("outside of the section", &|b, h, i| {
        put(b, h[i(".rela.data")].sh_offset, &[0xff; 8]);
    });
    refused("outside of the section", &|_, h, i| h[i(".data")].sh_type = 8);
    refused("the first global one", &|_, h, i| h[i(".symtab")].sh_info = 999);
    refused("the first global one", &|_, h, i| h[i(".symtab")].sh_info = 0);
    refused("local symbols come first", &|_, h, i| h[i(".symtab")].sh_info += 1);
    refused("no string table", &|_, h, i| h[i(".symtab")].sh_link = i(".data") as u32);
    refused("a second symbol table", &|_, h, i| {
        let data = &mut h[i(".note.plain")];
        (data.sh_type, data.sh_entsize, data.sh_size) = (2, 24, 0);
    });
    refused("all zero", &|b, h, i| put(b, h[i(".symtab")].sh_offset + 8, &[1]));
    refused(".symtab+0x18: symbol 1: is defined in section", &|b, h, i| {
        put(b, h[i(".symtab")].sh_offset + 24 + 6, &[99, 0]);
    });
    refused("section index 0xff03", &|b, h, i| {
        put(b, h[i(".symtab")].sh_offset + 24 + 6, &[3, 0xff]);
    });
    refused("its type 13", &|b, h, i| put(b, h[i(".symtab")].sh_offset + 24 + 4, &[0x1d]));
    refused("its binding 3", &|b, h, i| put(b, h[i(".symtab")].sh_offset + 24 + 4, &[0x30]));
    refused(".strtab+0x1: names are not UTF-8", &|b, h, i| {
        put(b, h[i(".strtab")].sh_offset + 1, &[0xff]);
    });
    refused("no NUL at its end", &|_, h, i| h[i(".strtab")].sh_size -= 1);
    refused("flags 0x3", &|b, h, i| put(b, h[i(".group")].sh_offset, &[3]));
    refused(".group+0x4: member section 77", &|b, h, i| put(b, h[i(".group")].sh_offset + 4, &[77]));
    refused("begins with a word", &|_, h, i| h[i(".group")].sh_size = 0);
    refused("its signature", &|_, h, i| h[i(".group")].sh_info = 0);
    refused("no group has it", &|_, h, i| h[i(".data")].sh_flags |= 0x200);
    refused("program headers", &|b, _, _| put(b, 56, &[1]));
    refused("e_shentsize", &|b, _, _| put(b, 58, &[63]));
    refused("e_shstrndx", &|b, _, i| put(b, 62, &[i(".data") as u8]));
    refused("not the null section", &|_, h, _| h[0].sh_type = 1);
}
