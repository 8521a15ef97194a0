//! Addresses without a name that are found by their file's build-id: which can be, and which could be two things.

use super::elf_image::{BSS, Builder, DATA, Symbol, TEXT};
use super::*;

const BASE: u64 = 0x7f00_0000_0000;
const ID: &str = "abababababababababababababababababababab";

fn library() -> Builder {
    Builder {
        exported: vec![
            Symbol("f", TEXT + 0x10, 16, 1, 2, 0, 1),
            Symbol("table", DATA + 0x10, 64, 1, 1, 0, 1),
        ],
        all: vec![Symbol("helper", TEXT + 0x100, 0x20, 0, 2, 0, 0)],
        ..Builder::default()
    }
}

/// A mapping of the file, as offsets from where it is loaded.
type Part = (u64, u64, u64, &'static str);

/// What the dynamic linker makes of a built file.
const LOADED: [Part; 3] =
    [(0, 0x1000, 0, "r--p"), (0x1000, 0x3000, 0x1000, "r-xp"), (0x3000, 0x4000, 0x2000, "rw-p")];

fn entries(path: &str, base: u64, parts: &[Part], rest: &str) -> Vec<String> {
    let entry = |&(start, end, offset, perms): &Part| {
        format!(
            r#"{{"start": {}, "end": {}, "offset": {offset}, "perms": "{perms}", "path": "{path}"{rest}}}"#,
            base + start,
            base + end
        )
    };
    parts.iter().map(entry).collect()
}

fn id() -> String {
    format!(r#", "build_id": "{ID}""#)
}

fn map_of(entries: &[Vec<String>]) -> SessionMap {
    parse(&format!(r#""mappings": [{}]"#, entries.concat().join(", "))).unwrap()
}

fn anchored(map: &SessionMap, address: u64, files: &dyn Files) -> String {
    let meaning = map.meaning(address, files, Private::Anchor);
    if let Ok(Meaning::Anchored { anchor, .. }) = &meaning {
        // And back.
        assert_eq!(map.address_of_anchor(anchor, files), Some(address));
    }
    meaning.map_or_else(|error| format!("error: {error}"), short)
}

fn of(offset: u64) -> String {
    format!("libx.so.1+{offset:#x} [{ID}]")
}

#[test]
fn what_has_no_name_is_found_by_the_build_id() {
    let image = library().build();
    let files = Memory::with(&[("/lib/x.so", &image)]);
    let bss = format!(r#"{{"start": {}, "end": {}, "perms": "rw-p"}}"#, BASE + 0x4000, BASE + 0x6000);
    let map = map_of(&[entries("/lib/x.so", BASE, &LOADED, &id()), vec![bss]]);
    for offset in [TEXT + 0x100, TEXT + 0x10a, TEXT + 0x14, DATA + 0x80, BSS, BSS + 0x1000] {
        assert_eq!(anchored(&map, BASE + offset, &files), of(offset));
        let refused = meaning(&map, BASE + offset, &files);
        assert!(refused.ends_with("or find it by the file's build-id with `--private anchor`"), "{refused}");
    }
    // Names come first.
    assert_eq!(anchored(&map, BASE + TEXT + 0x10, &files), "f+0 (libx.so.1)");
    assert_eq!(anchored(&map, BASE + DATA + 0x11, &files), "table+1 (libx.so.1)");
    let Ok(Meaning::Anchored { library, what, .. }) =
        map.meaning(BASE + TEXT + 0x100, &files, Private::Anchor)
    else {
        unreachable!()
    };
    assert_eq!(library.as_deref(), Some("libx.so.1"));
    assert_eq!(
        what,
        "is `helper`, which /lib/x.so does not export: the nearest name before it is `f`, 0xf0 bytes away"
    );
}

#[test]
fn symbols_of_the_map_that_name_nothing() {
    let image = library().build();
    let files = Memory::with(&[("/lib/x.so", &image)]);
    let mut map = map_of(&[entries("/lib/x.so", BASE, &LOADED, &id())]);
    map.add_symbols("names", format!("{:x} t local\n{:x} T g\n", BASE + 0x1300, BASE + 0x1400).as_bytes())
        .unwrap();
    assert_eq!(anchored(&map, BASE + 0x1300, &files), of(0x1300));
    assert_eq!(anchored(&map, BASE + 0x1400, &files), "g+0");
}

#[test]
fn programs_at_fixed_addresses() {
    let program = Builder { kind: 2, interpreter: true, soname: None, base: 0x40_0000, ..library() };
    let files = Memory::with(&[("/bin/p", &program.build())]);
    let map = map_of(&[entries("/bin/p", 0x40_0000, &LOADED, &id())]);
    let expected = format!("p+0x1100 [{ID}]");
    assert_eq!(anchored(&map, 0x40_1100, &files), expected);
    assert_eq!(anchored(&map, 0x40_1100, &Memory::default()), expected);
    let Ok(Meaning::Anchored { library, .. }) = map.meaning(0x40_1100, &files, Private::Anchor) else {
        unreachable!()
    };
    assert_eq!(library, None);
}

/// Nothing of the file is needed but where it lay and its build-id.
#[test]
fn files_that_are_gone_or_others_by_now() {
    let other = Builder { build_id: vec![0xcd; 20], ..library() }.build();
    for files in [Memory::default(), Memory::with(&[("/lib/x.so", &other)])] {
        let map = map_of(&[entries("/lib/x.so", BASE, &LOADED, &id())]);
        for offset in [0, TEXT + 0x10, TEXT + 0x100, 0x3fff] {
            assert_eq!(anchored(&map, BASE + offset, &files), format!("x.so+{offset:#x} [{ID}]"));
        }
        assert!(meaning(&map, BASE + TEXT + 0x100, &files).starts_with("error: /lib/x.so: "));
    }
    // With only the part that the address is in, the file must say where that belongs.
    let part = || map_of(&[entries("/lib/x.so", BASE, &LOADED[1..2], &id())]);
    let found = anchored(&part(), BASE + TEXT, &Memory::default());
    assert!(found.starts_with("error: /lib/x.so: cannot be read"), "{found}");
    let files = Memory::with(&[("/lib/x.so", &library().build())]);
    assert_eq!(anchored(&part(), BASE + TEXT + 0x100, &files), of(TEXT + 0x100));
    let part = map_of(&[entries("/lib/x.so", BASE, &LOADED[2..], &id())]);
    assert_eq!(anchored(&part, BASE + DATA + 0x80, &files), of(DATA + 0x80));
    // A hole: what lies behind it may be another mapping of the file.
    let holed = map_of(&[entries("/lib/x.so", BASE, &[LOADED[0], LOADED[2]], &id())]);
    assert!(anchored(&holed, BASE + 0x3100, &Memory::default()).starts_with("error: "));
    assert_eq!(anchored(&holed, BASE + 0x100, &Memory::default()), format!("x.so+0x100 [{ID}]"));
    let filler = format!(r#"{{"start": {}, "end": {}, "perms": "---p"}}"#, BASE + 0x1000, BASE + 0x3000);
    let filled = map_of(&[entries("/lib/x.so", BASE, &[LOADED[0], LOADED[2]], &id()), vec![filler]]);
    assert_eq!(anchored(&filled, BASE + 0x3100, &Memory::default()), format!("x.so+0x3100 [{ID}]"));
}

#[test]
fn what_may_be_two_things_is_not_anchored() {
    let image = library().build();
    let files = Memory::with(&[("/lib/x.so", &image), ("/lib/copy.so", &image)]);
    let helper = BASE + TEXT + 0x100;
    let refused = |parts: &[Vec<String>], files: &dyn Files, address: u64, why: &str| {
        let found = anchored(&map_of(parts), address, files);
        assert!(found.contains(why), "{found}\n{why}");
    };
    let ours = || entries("/lib/x.so", BASE, &LOADED, &id());
    refused(
        &[entries("/lib/x.so", BASE, &LOADED, "")],
        &files,
        helper,
        "cannot be anchored: the session map gives no build_id for /lib/x.so; give",
    );
    let odd = r#", "build_id": "aba""#;
    let three = Builder { build_id: vec![0xab, 0xa0], ..library() }.build();
    refused(
        &[entries("/lib/x.so", BASE, &LOADED, odd)],
        &Memory::with(&[("/lib/x.so", &three)]),
        helper,
        "error: ",
    );
    refused(&[entries("/lib/x.so", BASE, &LOADED, odd)], &Memory::default(), helper, "error: ");
    let far = BASE + 0x10_0000;
    refused(
        &[ours(), entries("/lib/x.so", far, &LOADED, &id())],
        &files,
        helper,
        "was loaded at 0x7f0000000000 and at 0x7f0000100000",
    );
    refused(&[ours(), entries("/lib/x.so", far, &LOADED, &id())], &Memory::default(), helper, "error: ");
    refused(
        &[ours(), entries("/lib/copy.so", far, &LOADED, &id())],
        &files,
        helper,
        "/lib/x.so and /lib/copy.so have the same build-id",
    );
    // A debugger's copy is none that runs; but what points into it means nothing elsewhere.
    let read = [(0, 0x3000, 0, "r--p")];
    let maps = [ours(), entries("/lib/x.so", far, &read, &id())];
    assert_eq!(anchored(&map_of(&maps), helper, &files), of(TEXT + 0x100));
    refused(&maps, &files, far + 0x120, "it is not in the part of memory, from 0x7f0000000000 on,");
    refused(&maps, &Memory::default(), helper, "error: ");
}

/// A stripped library's own names are in a debug file, which only says what things are.
#[test]
fn names_from_a_debug_file() {
    let debug = library().build();
    let stripped = Builder { all: Vec::new(), ..library() }.build();
    let by_id = format!("/usr/lib/debug/.build-id/{}/{}.debug", &ID[..2], &ID[2..]);
    let files = Memory::with(&[("/lib/x.so", &stripped), (&by_id, &debug)]);
    let map = map_of(&[entries("/lib/x.so", BASE, &LOADED, &id())]);
    let nearest = |bytes: u64| format!("the nearest name before it is `f`, {bytes:#x} bytes away; give");
    let starts = |address: u64, files: &dyn Files, expected: &str| {
        let map = map_of(&[entries("/lib/x.so", BASE, &LOADED, &id())]);
        let found = meaning(&map, BASE + address, files);
        assert!(found.starts_with(expected), "{found}\n{expected}");
    };
    let helper = "`helper`, which /lib/x.so does not export: ";
    starts(TEXT + 0x100, &files, &format!("is {helper}{}", nearest(0xf0)));
    starts(TEXT + 0x11f, &files, &format!("is 0x1f bytes into {helper}{}", nearest(0x10f)));
    starts(TEXT + 0x120, &files, &format!("is private to /lib/x.so: {}", nearest(0x110)));
    // Looked for once, and only where a name is missing.
    let reads = || files.reads.load(Ordering::Relaxed);
    let before = reads();
    meaning(&map, BASE + TEXT + 0x10, &files);
    assert_eq!(reads(), before + 1);
    meaning(&map, BASE + TEXT + 0x100, &files);
    meaning(&map, BASE + TEXT + 0x108, &files);
    assert_eq!(reads(), before + 2);
    // What is no debug file says nothing.
    let private = format!("is private to /lib/x.so: {}", nearest(0xf0));
    for bad in [&b""[..], b"\x7fELF", &debug[..70], &debug[..debug.len() - 100], &stripped] {
        let files = Memory::with(&[("/lib/x.so", &stripped), (&by_id, bad)]);
        starts(TEXT + 0x100, &files, &private);
    }
    assert_eq!(anchored(&map, BASE + TEXT + 0x100, &files), of(TEXT + 0x100));
}
