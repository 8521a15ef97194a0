//! What the symbol tables of mapped files say, for files made here.

use super::elf_image::{BSS, Builder, DATA, Symbol, TEXT};
use super::*;
use crate::session_map::image::Image;

const GLOBAL: u8 = 1;
const WEAK: u8 = 2;
const NOTYPE: u8 = 0;
const OBJECT: u8 = 1;
const FUNC: u8 = 2;
const TLS: u8 = 6;
const IFUNC: u8 = 10;

const BASE: u64 = 0x7f00_0000_0000;

/// A global function and a global variable, and whatever a test adds.
fn function(name: &'static str, address: u64) -> Symbol {
    Symbol(name, address, 16, GLOBAL, FUNC, 0, 1)
}

fn variable(name: &'static str, address: u64, size: u64) -> Symbol {
    Symbol(name, address, size, GLOBAL, OBJECT, 0, 1)
}

fn library() -> Builder {
    Builder {
        exported: vec![
            function("f", TEXT + 0x10),
            Symbol("f_alias", TEXT + 0x10, 16, WEAK, FUNC, 0, 1),
            Symbol("_ff", TEXT + 0x20, 16, GLOBAL, FUNC, 0, 2),
            function("zzz", TEXT + 0x20),
            function("yyy", TEXT + 0x20),
            function("longer", TEXT + 0x20),
            Symbol("w", TEXT + 0x20, 16, WEAK, FUNC, 0, 1),
            Symbol("_only", TEXT + 0x30, 16, GLOBAL, FUNC, 0, 1),
            Symbol("only", TEXT + 0x30, 16, WEAK, FUNC, 0, 1),
            Symbol("old", TEXT + 0x40, 16, GLOBAL, FUNC, 0, 0x8002),
            Symbol("secret", TEXT + 0x50, 16, GLOBAL, FUNC, 0, 3),
            Symbol("chosen", TEXT + 0x60, 16, GLOBAL, IFUNC, 0, 1),
            Symbol("hidden", TEXT + 0x70, 16, GLOBAL, FUNC, 2, 1),
            Symbol("protected", TEXT + 0x80, 16, GLOBAL, FUNC, 3, 1),
            Symbol("unique", TEXT + 0x90, 16, 10, FUNC, 0, 1),
            Symbol("unversioned_local", TEXT + 0xa0, 16, GLOBAL, FUNC, 0, 0),
            Symbol("assembler", TEXT + 0xb0, 16, GLOBAL, NOTYPE, 0, 1),
            Symbol("undefined", 0, 0, GLOBAL, FUNC, 0, 1),
            Symbol("VERSION", 1, 0, GLOBAL, OBJECT, 0, 1),
            Symbol("per_thread", DATA, 8, GLOBAL, TLS, 0, 1),
            variable("table", DATA + 0x10, 0x40),
            Symbol("table_alias_that_is_larger", DATA + 0x10, 0x48, WEAK, OBJECT, 0, 1),
            variable("field", DATA + 0x20, 8),
            Symbol("__bss_start", BSS, 0, GLOBAL, NOTYPE, 0, 1),
            variable("zeroed", BSS + 0x800, 0x1000),
            variable("", DATA + 0x90, 8),
        ],
        all: vec![
            Symbol("local", TEXT + 0x100, 0x20, 0, FUNC, 0, 0),
            Symbol("global_but_not_exported", TEXT + 0x120, 0x20, GLOBAL, FUNC, 0, 0),
            Symbol("local_variable", DATA + 0x80, 8, 0, OBJECT, 0, 0),
        ],
        ..Builder::default()
    }
}

/// The mappings that the kernel and the dynamic linker make of a built file.
fn mappings(path: &str, base: u64) -> String {
    [
        (0, 0x1000, 0, "r--p", path),
        (0x1000, 0x3000, 0x1000, "r-xp", path),
        // The page of the file that has the end of the text is mapped here a second time, for the data.
        (0x3000, 0x4000, 0x2000, "rw-p", path),
        (0x4000, 0x6000, 0, "rw-p", ""),
    ]
    .map(|(start, end, offset, perms, path)| {
        format!("{:012x}-{:012x} {perms} {offset:08x} 08:01 5 {path}\n", base + start, base + end)
    })
    .concat()
}

fn map_of(maps: &str) -> SessionMap {
    let mut map = SessionMap::default();
    map.add_proc_maps("maps", maps.as_bytes()).unwrap();
    map
}

/// The dynamic linker maps a library whole and takes the access to the gaps between its segments; debuggers map it once
/// more to read it.
#[test]
fn where_a_library_is_loaded_its_code_says() {
    let image = library().build();
    let files = Memory::with(&[("/lib/x.so", &image)]);
    let line = |at: u64, end: u64, perms: &str, offset: u64| {
        format!("{:012x}-{:012x} {perms} {offset:08x} 08:01 5 /lib/x.so\n", BASE + at, BASE + end)
    };
    let parts = [
        (0, 0x1000, "r--p", 0),
        (0x1000, 0x2000, "r-xp", 0x1000),
        (0x2000, 0x3000, "---p", 0x2000),
        (0x3000, 0x4000, "rw-p", 0x2000),
        (0x10000, 0x14000, "r--p", 0),
    ];
    let map = map_of(&parts.map(|(at, end, perms, offset)| line(at, end, perms, offset)).concat());
    let address = |name| map.address_of(name, Some("libx.so.1"), &files);
    assert_eq!(address("f"), Some(BASE + TEXT + 0x10));
    assert_eq!(address("table"), Some(BASE + DATA + 0x10));
    assert_eq!(meaning(&map, BASE + DATA + 0x10, &files), "table+0 (libx.so.1)");
}

#[test]
fn names_of_a_library() {
    let image = library().build();
    let files = Memory::with(&[("/lib/x.so", &image)]);
    let map = map_of(&mappings("/lib/x.so", BASE));
    let whole = |address: u64| meaning(&map, BASE + address, &files);
    for (address, expected) in [
        (TEXT + 0x10, "f+0 (libx.so.1)"),
        (TEXT + 0x20, "yyy+0 (libx.so.1)"),
        (TEXT + 0x30, "only+0 (libx.so.1)"),
        (TEXT + 0x80, "protected+0 (libx.so.1)"),
        (TEXT + 0x90, "unique+0 (libx.so.1)"),
        (TEXT + 0xb0, "assembler+0 (libx.so.1)"),
        (DATA + 0x10, "table+0 (libx.so.1)"),
        (DATA + 0x1f, "table+15 (libx.so.1)"),
        (DATA + 0x20, "field+0 (libx.so.1)"),
        (DATA + 0x27, "field+7 (libx.so.1)"),
        (DATA + 0x28, "table+24 (libx.so.1)"),
        (DATA + 0x4f, "table+63 (libx.so.1)"),
        (DATA + 0x50, "table_alias_that_is_larger+64 (libx.so.1)"),
        // On the page that the file ends in, and behind it in anonymous memory.
        (BSS + 0x800, "zeroed+0 (libx.so.1)"),
        (BSS + 0x801, "zeroed+1 (libx.so.1)"),
        (BSS + 0x17ff, "zeroed+4095 (libx.so.1)"),
    ] {
        assert_eq!(whole(address), expected, "{address:#x}");
    }
    for (address, expected) in [
        (TEXT + 0x14, "is 0x4 bytes into the function `f` of /lib/x.so, and only its start has a name; give"),
        (TEXT + 0x40, "is `old` of /lib/x.so, in a version that no unversioned reference binds to; give"),
        (TEXT + 0x50, "is `secret` of /lib/x.so, in a version that no"),
        (TEXT + 0x60, "is the resolver of the indirect function `chosen` of /lib/x.so; give"),
        (
            TEXT + 0x70,
            "is `hidden`, which /lib/x.so does not export: the nearest name before it is `only`, 0x40 bytes",
        ),
        (TEXT + 0xa0, "is `unversioned_local`, which /lib/x.so does not export: the nearest"),
        (TEXT + 0xb4, "is 0x4 bytes into the function `assembler`"),
        (
            TEXT + 0x100,
            "is `local`, which /lib/x.so does not export: the nearest name before it is `assembler`, 0x50 bytes",
        ),
        (TEXT + 0x13f, "is 0x1f bytes into `global_but_not_exported`, which"),
        (
            TEXT + 0x140,
            "is private to /lib/x.so: the nearest name before it is `assembler`, 0x90 bytes away; give",
        ),
        (TEXT, "is private to /lib/x.so, before its first name; give"),
        (DATA, "is private to /lib/x.so: the nearest name before it is `assembler`"),
        (DATA + 0x58, "is private to /lib/x.so: the nearest name before it is `field`, 0x38 bytes away"),
        (DATA + 0x80, "is `local_variable`, which"),
        (DATA + 0x90, "is private to /lib/x.so"),
        (BSS, "is `__bss_start` of /lib/x.so, which every program and library has of its own; give"),
        (BSS + 0x1800, "is private to /lib/x.so: the nearest name before it is `zeroed`, 0x1000"),
    ] {
        let found = whole(address);
        assert!(found.starts_with(expected), "{address:#x}: {found}\n{expected}");
    }
    assert_eq!(files.reads.load(Ordering::Relaxed), 1);

    let address = |name, library| map.address_of(name, library, &files).map(|a| a - BASE);
    for (name, expected) in [
        ("f", Some(TEXT + 0x10)),
        ("f_alias", Some(TEXT + 0x10)),
        ("table", Some(DATA + 0x10)),
        ("zeroed", Some(BSS + 0x800)),
        ("old", None),
        ("secret", None),
        ("chosen", None),
        ("hidden", None),
        ("local", None),
        ("__bss_start", None),
        ("undefined", None),
        ("VERSION", None),
        ("per_thread", None),
        ("tabl", None),
    ] {
        assert_eq!(address(name, Some("libx.so.1")), expected, "{name}");
        assert_eq!(address(name, None), expected, "{name}");
    }
    assert_eq!(address("f", Some("liby.so")), None);
}

/// Old linkers write the other hash table, no versions, no soname; a stripped file has no sections.
#[test]
fn other_tables() {
    let image = Builder { soname: None, gnu_hash: false, versions: false, all: Vec::new(), ..library() };
    let files = Memory::with(&[("/lib/x.so", &image.build())]);
    let map = map_of(&mappings("/lib/x.so", BASE));
    assert_eq!(meaning(&map, BASE + TEXT + 0x10, &files), "f+0 (x.so)");
    assert_eq!(meaning(&map, BASE + TEXT + 0x40, &files), "old+0 (x.so)");
    assert_eq!(map.address_of("old", Some("x.so"), &files), Some(BASE + TEXT + 0x40));
}

#[test]
fn names_of_a_program() {
    let all = vec![
        function("main", TEXT + 0x200),
        Symbol("stdout@GLIBC_2.2.5", DATA + 0x60, 8, GLOBAL, OBJECT, 0, 0),
        Symbol("static_one", TEXT + 0x220, 16, 0, FUNC, 0, 0),
        Symbol("hidden_one", TEXT + 0x240, 16, GLOBAL, FUNC, 2, 0),
        Symbol("weak_one", TEXT + 0x260, 16, WEAK, FUNC, 0, 0),
        Symbol("strong_one", TEXT + 0x260, 16, GLOBAL, FUNC, 0, 0),
        Symbol("a", TEXT + 0x10, 16, GLOBAL, FUNC, 0, 0),
        Symbol("_start", TEXT + 0x280, 16, GLOBAL, FUNC, 0, 0),
        Symbol("f", TEXT + 0x300, 16, GLOBAL, FUNC, 0, 0),
        variable("counter", DATA + 0x70, 8),
    ];
    let pie = Builder { soname: None, pie: true, all, ..library() };
    let fixed = Builder {
        kind: 2,
        pie: false,
        interpreter: true,
        base: 0x400000,
        all: pie.all.clone(),
        ..Builder { soname: None, ..library() }
    };
    let interpreted = Builder {
        pie: false,
        interpreter: true,
        all: pie.all.clone(),
        ..Builder { soname: None, ..library() }
    };
    for (image, base) in [(pie.build(), BASE), (fixed.build(), 0x400000), (interpreted.build(), BASE)] {
        let files = Memory::with(&[("/bin/p", &image)]);
        let map = map_of(&mappings("/bin/p", base));
        for (address, expected) in [
            (TEXT + 0x200, "main+0"),
            (TEXT + 0x260, "strong_one+0"),
            // From other objects of the program it can be referred to.
            (TEXT + 0x240, "hidden_one+0"),
            // An exported name comes before one that only the full table has, however short.
            (TEXT + 0x10, "f+0"),
            (DATA + 0x73, "counter+3"),
        ] {
            assert_eq!(meaning(&map, base + address, &files), expected);
        }
        for (address, expected) in [
            (TEXT + 0x220, "is `static_one`, which /bin/p does not export"),
            (TEXT + 0x280, "is `_start` of /bin/p, which every"),
            (DATA + 0x60, "is `stdout@GLIBC_2.2.5` of /bin/p, in a version"),
        ] {
            let found = meaning(&map, base + address, &files);
            assert!(found.starts_with(expected), "{found}");
        }
        assert_eq!(map.address_of("main", None, &files), Some(base + TEXT + 0x200));
        assert_eq!(map.address_of("f", None, &files), Some(base + TEXT + 0x10));
    }
    // A program at a fixed address that is mapped elsewhere is only looked at, not run.
    let files = Memory::with(&[("/bin/p", &fixed.build())]);
    let map = map_of(&mappings("/bin/p", BASE));
    let found = meaning(&map, BASE + TEXT + 0x200, &files);
    assert!(
        found.starts_with("is in /bin/p, but in none of the parts that it is loaded with; give"),
        "{found}"
    );
    // A library with an interpreter, as libc.so.6 is, is still a library.
    let libc = Builder { interpreter: true, ..library() };
    let files = Memory::with(&[("/lib/x.so", &libc.build())]);
    let map = map_of(&mappings("/lib/x.so", BASE));
    assert_eq!(meaning(&map, BASE + TEXT + 0x10, &files), "f+0 (libx.so.1)");
    assert!(meaning(&map, BASE + TEXT + 0x120, &files).starts_with("is `global_but_not_exported`, which"));
}

#[test]
fn programs_come_before_libraries_and_ambiguity_is_none() {
    let program = Builder {
        soname: None,
        pie: true,
        exported: vec![function("shared", TEXT + 0x40)],
        all: Vec::new(),
        ..Builder::default()
    };
    let one = Builder {
        soname: Some("one.so"),
        exported: vec![function("shared", TEXT + 0x10), function("both", TEXT + 0x20)],
        ..Builder::default()
    };
    let two = Builder {
        soname: Some("two.so"),
        ..Builder { exported: one.exported.clone(), ..Builder::default() }
    };
    let files = Memory::with(&[("/p", &program.build()), ("/one.so", &one.build()), ("/2", &two.build())]);
    let (base, other, third) = (BASE, BASE + 0x10_0000, BASE + 0x20_0000);
    let map = map_of(&[mappings("/one.so", base), mappings("/2", other), mappings("/p", third)].concat());
    assert_eq!(map.address_of("shared", None, &files), Some(third + TEXT + 0x40));
    assert_eq!(map.address_of("shared", Some("one.so"), &files), Some(base + TEXT + 0x10));
    assert_eq!(map.address_of("shared", Some("two.so"), &files), Some(other + TEXT + 0x10));
    assert_eq!(map.address_of("both", None, &files), None);
}

/// The map may give only the part that an address is in, or mappings without permissions.
#[test]
fn partial_maps() {
    let image = library().build();
    let files = Memory::with(&[("/lib/x.so", &image)]);
    let mapping = |start: u64, end: u64, offset: u64, rest: &str| {
        let (start, end) = (BASE + start, BASE + end);
        format!(r#"{{"start": {start}, "end": {end}, "offset": {offset}, "path": "/lib/x.so"{rest}}}"#)
    };
    let named = |mappings: &[String], address: u64| {
        let map = parse_with(&format!(r#""mappings": [{}]"#, mappings.join(", ")), &files).unwrap();
        meaning(&map, BASE + address, &files)
    };
    let text = mapping(0x1000, 0x3000, 0x1000, r#", "perms": "r-xp""#);
    assert_eq!(named(&[text], TEXT + 0x10), "f+0 (libx.so.1)");
    let text = mapping(0x1000, 0x2000, 0x1000, "");
    assert_eq!(named(&[text], TEXT + 0x10), "f+0 (libx.so.1)");
    // The page that has the end of the text and the data is mapped for the data: there it begins.
    let data = mapping(0x3000, 0x4000, 0x2000, "");
    assert_eq!(named(&[data], DATA + 0x10), "table+0 (libx.so.1)");
    let data = mapping(0x3000, 0x4000, 0x2000, r#", "perms": "r--p""#);
    assert_eq!(named(&[data], DATA + 0x10), "table+0 (libx.so.1)");
    let hole = mapping(0x8000, 0x9000, 0x9000, r#", "perms": "---p""#);
    assert!(named(&[hole], 0x8000).starts_with("is in /lib/x.so, but in none of the parts"));
}

/// The first page of the file, as lld lays it out: the end of one segment and the beginning of the next.
#[test]
fn pages_of_two_segments() {
    let mut image = library().build();
    let text_header = 64 + 56;
    for (field, value) in [(8, 0x800u64), (16, TEXT + 0x800), (32, 0x800), (40, 0x800)] {
        image[text_header + field..text_header + field + 8].copy_from_slice(&value.to_le_bytes());
    }
    let files = Memory::with(&[("/lib/x.so", &image)]);
    let named = |maps: &[(u64, u64, &str)], address: u64| {
        let entries: Vec<String> = maps
            .iter()
            .map(|(start, end, perms)| {
                let (start, end) = (BASE + start, BASE + end);
                format!(r#"{{"start": {start}, "end": {end}, "path": "/lib/x.so"{perms}}}"#)
            })
            .collect();
        let map = parse_with(&format!(r#""mappings": [{}]"#, entries.join(", ")), &files).unwrap();
        meaning(&map, BASE + address, &files)
    };
    let (read, run) = (r#", "perms": "r--p""#, r#", "perms": "r-xp""#);
    // Symbols below 0x1800 are in no segment any more; those of the data are still there.
    let expected = "is private to /lib/x.so, before its first name";
    assert!(named(&[(0, 0x1000, read), (0x1000, 0x2000, run)], TEXT + 0x900).starts_with(expected));
    assert!(named(&[(0x1000, 0x2000, run)], TEXT + 0x900).starts_with(expected));
    let found = named(&[(0x1000, 0x2000, "")], TEXT + 0x900);
    assert!(found.starts_with("is in /lib/x.so, which may be loaded in two ways"), "{found}");
}

/// A symbol of the map inside code of a library, where an offset is private.
#[test]
fn offsets_into_functions_of_the_map() {
    let image = library().build();
    let files = Memory::with(&[("/lib/x.so", &image)]);
    let keys = |perms: &str| {
        format!(
            r#""mappings": [{{"start": {}, "end": {}, "offset": 4096, "path": "/lib/x.so"{perms}}}],
               "symbols": [{{"address": {}, "name": "mine", "size": 64}}]"#,
            BASE + 0x1000,
            BASE + 0x3000,
            BASE + TEXT + 0x1
        )
    };
    for perms in ["", r#", "perms": "r-xp""#] {
        let map = parse_with(&keys(perms), &files).unwrap();
        let named = |address: u64| meaning(&map, BASE + address, &files);
        assert_eq!(named(TEXT + 0x1), "mine+0");
        assert!(
            named(TEXT + 0x2).starts_with("is 0x1 bytes into the function `mine`: only a function's start")
        );
        // The library has a name just there.
        assert_eq!(named(TEXT + 0x10), "f+0 (libx.so.1)");
    }
    let map = parse_with(&keys(r#", "perms": "rw-p""#), &files).unwrap();
    assert_eq!(meaning(&map, BASE + TEXT + 0x2, &files), "mine+1");
    // Without the file, what the map says is still enough to refuse.
    let map = parse(&keys(r#", "perms": "r-xp""#)).unwrap();
    let found = meaning(&map, BASE + TEXT + 0x2, &Memory::default());
    assert!(found.starts_with("is 0x1 bytes into the function `mine`"), "{found}");
}

#[test]
fn another_or_no_file_is_an_error_only_where_it_is_needed() {
    let image = library().build();
    let keys = |id: &str| {
        format!(
            r#""mappings": [{{"start": {}, "end": {}, "offset": 4096, "perms": "r-xp", "path": "/lib/x.so", "build_id": "{id}"}},
                            {{"start": {}, "end": {}, "perms": "rw-p"}}],
               "symbols": [{{"address": {}, "name": "known"}}]"#,
            BASE + 0x1000,
            BASE + 0x3000,
            BASE + 0x3000,
            BASE + 0x4000,
            BASE + TEXT + 0x1
        )
    };
    let good = Memory::with(&[("/lib/x.so", &image)]);
    let map = parse_with(&keys(&"AB".repeat(20)), &good).unwrap();
    assert_eq!(meaning(&map, BASE + TEXT + 0x10, &good), "f+0 (libx.so.1)");

    let map = parse_with(&keys("0123"), &good).unwrap();
    assert_eq!(meaning(&map, BASE + TEXT + 0x1, &good), "known+0");
    let error = map.meaning(BASE + TEXT + 0x10, &good, Private::Error).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Image);
    let text = error.to_string();
    assert!(
        text.starts_with("/lib/x.so: is another file than the session had mapped: its build-id is abab"),
        "{text}"
    );
    assert!(text.contains("the session's was 0123; use the session's file"), "{text}");
    // Memory that may be the library's .bss is explained without it.
    assert!(meaning(&map, BASE + 0x3000, &good).starts_with("is in anonymous memory"));

    let none = Memory::default();
    let map = parse_with(&keys("0123"), &none).unwrap();
    assert_eq!(meaning(&map, BASE + TEXT + 0x1, &none), "known+0");
    assert_eq!(none.reads.load(Ordering::Relaxed), 0);
    let error = map.meaning(BASE + TEXT + 0x10, &none, Private::Error).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Image);
    assert!(error.to_string().starts_with("/lib/x.so: cannot be read: no such file"), "{error}");
    assert_eq!(map.address_of("f", None, &none), None);

    for (bytes, expected) in [
        (&b"\x7fELF"[..], "error: /lib/x.so: the file header is cut off"),
        (&image[..0x100], "error: /lib/x.so: "),
        (b"", "is in /lib/x.so, which is no program or library; give"),
        (b"#!/bin/sh", "is in /lib/x.so, which is no program or library; give"),
        (b"!<arch>\n", "is in /lib/x.so, which is no program or library; give"),
    ] {
        let files = Memory::with(&[("/lib/x.so", bytes)]);
        let map = parse_with(&keys("0123"), &files).unwrap();
        let found = meaning(&map, BASE + TEXT + 0x10, &files);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn files_without_use_are_no_images() {
    let image = library().build();
    let with = |offset: usize, bytes: &[u8]| {
        let mut changed = image.clone();
        changed[offset..offset + bytes.len()].copy_from_slice(bytes);
        Image::parse(&changed).map(|image| image.is_some())
    };
    assert_eq!(with(0, &[]), Ok(true));
    assert_eq!(with(4, &[1]), Ok(false), "32-bit");
    assert_eq!(with(5, &[2]), Ok(false), "big-endian");
    assert_eq!(with(16, &[1, 0]), Ok(false), "relocatable object");
    assert_eq!(with(16, &[4, 0]), Ok(false), "core file");
    let stripped = Builder::default().build();
    let files = Memory::with(&[("/lib/x.so", &stripped)]);
    let map = map_of(&mappings("/lib/x.so", BASE));
    let found = meaning(&map, BASE + TEXT, &files);
    assert!(found.starts_with("is in /lib/x.so, an image without symbols; give"), "{found}");
}

/// Whatever is left of an image or changed in it: an error or some answer, soon, and no panic.
#[test]
fn damaged_images() {
    let image = library().build();
    for length in 0..image.len() {
        match Image::parse(&image[..length]) {
            Ok(None) => assert!(length < 4, "{length}"),
            Ok(Some(_)) => panic!("{length} of {} bytes are taken for the whole", image.len()),
            Err(message) => assert!(!message.is_empty()),
        }
    }
    let ask = |bytes: &[u8]| {
        if let Ok(Some(image)) = Image::parse(bytes) {
            for address in (0..0x6000).step_by(0x130).chain([u64::MAX, 1 << 63]) {
                if image.name_at(address).is_none() {
                    image.explain(address, "file", &Memory::default());
                }
            }
            image.addresses_of("f");
        }
        let files = Memory::with(&[("/lib/x.so", bytes)]);
        let map = map_of(&mappings("/lib/x.so", BASE));
        for address in [TEXT, DATA, BSS + 0x1000] {
            let _ = map.meaning(BASE + address, &files, Private::Error);
        }
    };
    // The headers and tables lie in the first page, the section headers at the end.
    let mut changed = image.clone();
    let tail = image.len() - 0x400;
    for position in (0..0x1000).chain(tail..image.len()) {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let old = std::mem::replace(&mut changed[position], value);
            ask(&changed);
            changed[position] = old;
        }
    }
    for position in (0..0xff8).step_by(4).chain((tail..image.len() - 8).step_by(4)) {
        let old = changed[position..position + 8].to_vec();
        changed[position..position + 8].fill(0xff);
        ask(&changed);
        changed[position..position + 8].copy_from_slice(&old);
    }
}

/// A few names that share one long end are as much to read as the square of the file.
#[test]
fn overlapping_names_are_refused() {
    let long: &'static str = "x".repeat(3000).leak();
    let mut builder = Builder { all: vec![Symbol("", TEXT, 1, GLOBAL, FUNC, 0, 0); 100], ..library() };
    builder.all[0].0 = long;
    let mut image = builder.build();
    assert!(Image::parse(&image).is_ok());
    let names = image.windows(long.len()).position(|w| w == long.as_bytes()).unwrap();
    // All symbols are given the first one's name.
    let table = names - 1 - 101 * 24;
    for symbol in 2..101 {
        image[table + symbol * 24..][..4].copy_from_slice(&1u32.to_le_bytes());
    }
    let error = Image::parse(&image).unwrap_err();
    assert!(error.contains("more than 16 times the bytes of their table"), "{error}");
}

#[test]
fn names_of_the_linker_and_of_a_program_that_uses_them() {
    let builder = Builder {
        exported: vec![
            variable("end", DATA + 0x10, 8),
            variable("_end", DATA + 0x20, 8),
            Symbol("edata", DATA + 0x30, 0, GLOBAL, NOTYPE, 0, 1),
            Symbol("__start_mine", DATA + 0x40, 0, GLOBAL, NOTYPE, 0, 1),
            Symbol("_init", TEXT + 0x10, 0, GLOBAL, FUNC, 0, 1),
        ],
        ..library()
    };
    let image = Image::parse(&builder.build()).unwrap().unwrap();
    assert_eq!(image.name_at(DATA + 0x14), Some(("end", 4)));
    for address in [DATA + 0x20, DATA + 0x30, DATA + 0x40, TEXT + 0x10] {
        assert_eq!(image.name_at(address), None);
        let why = image.explain(address, "x", &Memory::default());
        assert!(why.contains("has of its own"), "{why}");
    }
}
