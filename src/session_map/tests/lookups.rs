//! Which numbers are addresses of the session, and what the map itself says about them.

use super::*;

const MAP: &str = r#"
    "mappings": [{"start": "0x7f0000000000", "end": "0x7f0000010000", "perms": "rw-p", "path": "[heap]"},
                 {"start": "0x7f0000010000", "end": "0x7f0000020000", "perms": "r-xp", "path": "/none/lib.so"},
                 {"start": "0x7f0000020000", "end": "0x7f0000030000", "perms": "rwxp"},
                 {"start": "0x7f0000030000", "end": "0x7f0000040000", "path": "[stack]"},
                 {"start": "0x7f0000050000", "end": "0x7f0000060000", "perms": "r-xp", "path": "/tmp/x.so (deleted)"},
                 {"start": "0x7f0000060000", "end": "0x7f0000070000", "perms": "rw-p", "path": "/dev/zero"},
                 {"start": "0x7f0000070000", "end": "0x7f0000080000", "perms": "r-xp", "path": "[vdso]"},
                 {"start": "0x7f0000080000", "end": "0x7f0000090000", "perms": "rw-p"},
                 {"start": "0x7f0000090000", "end": "0x7f00000a0000", "perms": "r-xp", "path": "/memfd:jit (deleted)"},
                 {"start": "0x7f00000a0000", "end": "0x7f00000b0000", "perms": "rw-p", "path": "[stack:1234]"},
                 {"start": "0x7f00000a8000", "end": "0x7f00000a8010", "path": "[tls:1234] libx.so"},
                 {"start": "0x7f00000a8010", "end": "0x7f00000a8020", "path": "[tls:1234]"},
                 {"start": "0x7f0000000200", "end": "0x7f0000000210", "path": "[tls:7] my lib.so"},
                 {"start": "0xffffffffff600000", "end": "0xffffffffff601000", "perms": "--xp", "path": "[vsyscall]"},
                 {"start": "0x800000000000", "end": "0x800000001000"}],
    "symbols": [{"address": "0x404000", "name": "big", "size": 256}, {"address": "0x404010", "name": "small", "size": 8},
                {"address": "0x404010", "name": "_small"}, {"address": "0x404010", "name": "smaller", "size": 16},
                {"address": "0x404040", "name": "b"}, {"address": "0x404040", "name": "a"},
                {"address": "0x7f0000010100", "name": "f", "size": 32, "library": "lib.so"},
                {"address": "0x7f0000020100", "name": "jitted", "size": 32},
                {"address": "0x7f0000050100", "name": "of_deleted", "size": 32},
                {"address": "0x7f0000090100", "name": "shared_jitted", "size": 32},
                {"address": "0x500000", "name": "bare"}],
    "values": [{"name": "v", "address": "0x7f0000000108", "size": 16, "header": 8, "init": {"int": 1}},
               {"name": "w", "address": "0x600000", "init": {"int": 2}}],
    "constants": [{"constant": "0xfe0000000000", "init": {"int": 3}}, {"constant": "0x1234567800000000", "init": {"int": 4}},
                  {"constant": "0x7f0000000100", "init": {"int": 5}}, {"constant": 42, "init": {"int": 6}}]"#;

#[test]
fn ranges_are_merged_and_canonical() {
    let map = parse(MAP).unwrap();
    let expected = [
        42..43,
        0x404000..0x404100,
        0x500000..0x500001,
        0x600000..0x600001,
        0x7f0000000000..0x7f0000040000,
        0x7f0000050000..0x7f00000b0000,
        0xfe0000000000..0xfe0000000001,
        0x1234567800000000..0x1234567800000001,
    ];
    assert_eq!(map.ranges(), expected);
}

#[test]
fn ranges_stop_at_the_hole_of_non_canonical_addresses() {
    let map = parse(r#""mappings": [{"start": "0x1000", "end": "0xffffffffffffffff"}]"#).unwrap();
    assert_eq!(map.ranges(), [0x1000..0x8000_0000_0000, 0xffff_8000_0000_0000..u64::MAX]);
    let none = Memory::default();
    assert_eq!(meaning(&map, 0x8000_0000_0000, &none), "is no address");
    assert_eq!(meaning(&map, 0xffff_7fff_ffff_ffff, &none), "is no address");
    assert_eq!(meaning(&map, 0, &none), "is no address");
    assert!(meaning(&map, 0x7fff_ffff_ffff, &none).starts_with("is in anonymous memory"));
    assert!(meaning(&map, 0xffff_8000_0000_0000, &none).starts_with("is in anonymous memory"));
}

#[test]
fn one_name_for_two_things_means_neither() {
    let map = parse(
        r#""symbols": [{"address": "0x7f0000010100", "name": "f", "size": 32},
                       {"address": "0x7f0000020100", "name": "f", "size": 32},
                       {"address": "0x7f0000030100", "name": "f", "size": 32, "library": "lib.so"}]"#,
    )
    .unwrap();
    let none = Memory::default();
    let both = "is in `f`, which the session map has at 0x7f0000020100 and at 0x7f0000010100";
    assert!(meaning(&map, 0x7f0000020108, &none).starts_with(both));
    assert_eq!(meaning(&map, 0x7f0000030100, &none), "f+0 (lib.so)");
}

#[test]
fn exact_and_interior_addresses() {
    let map = parse(MAP).unwrap();
    let kind = |address| match (map.is_exact_address(address), map.is_interior_address(address)) {
        (true, false) => "exact",
        (false, true) => "interior",
        (false, false) => "",
        (true, true) => panic!("{address:#x} is both"),
    };
    for (address, expected) in [
        (0x404000, "exact"),
        (0x404001, "interior"),
        (0x404010, "exact"),
        (0x4040ff, "interior"),
        (0x404100, "interior"), // one past
        (0x404101, ""),
        (0x403fff, ""),
        (0x500000, "exact"),
        (0x500001, ""),
        (0x600000, "exact"),
        (0x600001, ""),
        (0x7f00000000ff, ""),
        (0x7f0000000100, "exact"), // a declared constant
        (0x7f0000000101, "interior"),
        (0x7f0000000108, "exact"),
        (0x7f0000000117, "interior"),
        (0x7f0000000118, "interior"), // one past
        (0x7f0000000119, ""),
        (42, "exact"),
        (43, ""),
        (0, ""),
    ] {
        assert_eq!(kind(address), expected, "{address:#x}");
    }
}

/// What README says of memory without names is what messages say.
#[test]
fn kinds_of_memory_are_those_of_the_readme() {
    let map = parse(MAP).unwrap();
    let told = (map.mappings.iter().chain(&map.threads).map(|mapping| mapping.range.start))
        .chain([0x600001, 0x7f0000000118]);
    let told: Vec<String> = told.map(|address| meaning(&map, address, &Memory::default())).collect();
    let readme = include_str!("../../../README.md");
    let table =
        readme.split_once("| an address that | what to do |").unwrap().1.split_once("\n\n").unwrap().0;
    let rows: Vec<&str> =
        table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    for row in &rows {
        assert!(told.iter().any(|message| message.starts_with(row)), "no message is: {row}\n{told:#?}");
    }
    for message in told.iter().filter(|message| message.starts_with("is in ")) {
        assert!(rows.iter().any(|row| message.starts_with(row)), "no row is of: {message}");
    }
}

#[test]
fn meanings() {
    let map = parse(MAP).unwrap();
    let files = Memory::default();
    for (address, expected) in [
        (42, "constant 0"),
        (0xfe0000000000, "constant 2"),
        (0x1234567800000000, "constant 3"),
        (0x1234567800000001, "is no address"),
        // A constant that lies in a value's header.
        (0x7f0000000100, "constant 1"),
        (0x7f0000000101, "value 0-7"),
        (0x7f0000000108, "value 0+0"),
        (0x7f0000000117, "value 0+15"),
        (0x7f0000000118, "is in [heap]; give it a value"),
        (0x600000, "value 1+0"),
        (0x600001, "is in no mapping; give it"),
        (0x404000, "big+0"),
        (0x40400f, "big+15"),
        (0x404010, "small+0"),
        (0x404017, "small+7"),
        (0x404018, "smaller+8"),
        (0x40401f, "smaller+15"),
        (0x404020, "big+32"),
        (0x404040, "a+0"),
        (0x404041, "big+65"),
        (0x404100, "is in no mapping"),
        (0x500000, "bare+0"),
        (0x500001, "is in no mapping"),
        (0x7f0000010100, "f+0 (lib.so)"),
        (0x7f0000010101, "is 0x1 bytes into the function `f`: only a function's start has a name; give"),
        (0x7f0000010120, "error: /none/lib.so: cannot be read: no such file"),
        (0x7f0000020100, "jitted+0"),
        (0x7f0000020110, "jitted+16"),
        (0x7f0000050100, "of_deleted+0"),
        (0x7f0000050101, "is 0x1 bytes into the function `of_deleted`: only"),
        (0x7f0000090101, "shared_jitted+1"),
        (
            0x7f0000020000,
            "is in anonymous executable memory (code made at run time, of which no perf map is given: `--symbols /tmp/perf-PID.map`); give",
        ),
        (
            0x7f0000030000,
            "is in [stack], the first thread's, which lasts no longer than a call or its thread (let the code get it as an argument); give",
        ),
        (
            0x7f0000050000,
            "is in /tmp/x.so (deleted): what was mapped is not at its path any more (`relocfix capture --pid PID` reads the names from the process while it runs); give",
        ),
        (0x7f0000060000, "is in /dev/zero, which is no program or library; give"),
        (
            0x7f0000070000,
            "is in [vdso], which the kernel puts into each process (let the code call the C library's function); give",
        ),
        (0x7f0000080000, "is in anonymous memory (heap, thread-local storage or a thread's stack); give"),
        (
            0x7f0000090000,
            "is in /memfd:jit (deleted), memory that only its own process has (for code made at run time a perf map names the functions: `--symbols /tmp/perf-PID.map`); give",
        ),
        (
            0x7f00000a0000,
            "is in thread 1234's stack, which lasts no longer than a call or its thread (let the code get it as an argument); give",
        ),
        (
            0x7f00000a8000,
            "is in the thread-local block of libx.so (thread 1234), and each thread has its own (let the compiler reach the variable by its symbol); give",
        ),
        (
            0x7f00000a8010,
            "is in the control block of thread 1234, which lasts no longer than it (let the code ask: pthread_self); give",
        ),
        (0x7f00000a8020, "is in thread 1234's stack, which lasts"),
        (0x7f0000000200, "is in the thread-local block of my lib.so (thread 7), and each"),
        (0xffffffffff600000, "is in [vsyscall], which the kernel puts"),
        (0x800000000000, "is no address"),
    ] {
        let found = meaning(&map, address, &files);
        assert!(found.starts_with(expected), "{address:#x}: {found}\n{expected}");
    }
}

/// What the kernel calls memory that was never a file.
#[test]
fn memory_without_a_file() {
    for (path, memory) in [
        ("/SYSV00000000 (deleted)", true),
        ("/dev/zero (deleted)", true),
        ("/anon_hugepage (deleted)", true),
        ("/dev/shm/jit (deleted)", true),
        ("/dev/shm/jit", false),
        ("/tmp/SYSV00000000 (deleted)", false),
    ] {
        let map = format!(
            r#""mappings": [{{"start": "0x7f0000000000", "end": "0x7f0000001000", "perms": "rw-", "path": "{path}"}}]"#
        );
        let found = meaning(&parse(&map).unwrap(), 0x7f0000000010, &Memory::default());
        assert_eq!(found.contains("memory that only its own process has"), memory, "{found}");
    }
}

#[test]
fn addresses_of_symbols() {
    let map = parse(
        r#""symbols": [{"address": "0x10000", "name": "one"}, {"address": "0x20000", "name": "two", "library": "a"},
            {"address": "0x30000", "name": "two", "library": "b"}, {"address": "0x40000", "name": "three"},
            {"address": "0x50000", "name": "three"}, {"address": "0x60000", "name": "four", "library": "a"}]"#,
    )
    .unwrap();
    let files = Memory::default();
    let address = |name, library| map.address_of(name, library, &files);
    assert_eq!(address("one", None), Some(0x10000));
    assert_eq!(address("one", Some("a")), Some(0x10000));
    assert_eq!(address("two", Some("a")), Some(0x20000));
    assert_eq!(address("two", Some("b")), Some(0x30000));
    assert_eq!(address("two", Some("c")), None);
    assert_eq!(address("two", None), None);
    assert_eq!(address("three", None), None);
    assert_eq!(address("four", None), Some(0x60000));
    assert_eq!(address("five", None), None);
    assert_eq!(address("on", None), None);
}
