//! Several maps and texts: what adds up, and what contradicts.

use super::*;
use crate::session_map::ValueId;

#[test]
fn entries_add_up_and_repeat() {
    let shared = r#""mappings": [{"start": "0x10000", "end": "0x20000", "perms": "rw-p"}],
        "symbols": [{"address": "0x10010", "name": "s", "size": 8}],
        "values": [{"name": "v", "address": "0x10100", "init": {"symbol": "s"}}],
        "globals": [{"symbol": "g", "init": {"value": "v"}}],
        "imports": [{"symbol": "i", "init": {"value": "v"}}],
        "constants": [{"constant": 77, "init": {"value": "v"}}],
        "ready": [{"call": "r"}], "before": [{"name": "b", "init": {"call": "x"}}, {"init": {"call": "y"}}],
        "after": [{"call": "x", "args": [{"value": "b"}]}]"#;
    let more = r#""values": [{"name": "w", "init": {"value": "v"}}, {"name": "w", "init": {"value": "v"}}],
        "globals": [{"symbol": "a", "init": {"value": "w"}}], "ready": [{"call": "r"}, {"call": "r"}]"#;
    let map = parse_all(&[shared, more, shared]).unwrap();
    assert_eq!((map.mappings.len(), map.symbols.len(), map.values.len()), (1, 1, 2));
    assert_eq!(
        map.globals.iter().map(|g| g.origin.as_str()).collect::<Vec<_>>(),
        ["b.json: globals[0]", "a.json: globals[0]"]
    );
    assert_eq!((map.imports.len(), map.constants.len()), (1, 1));
    assert_eq!((map.ready.len(), map.before.len(), map.after.len()), (1, 2, 1));
    assert_eq!(map.values[1].init, Expression::Value(ValueId(0)));
}

/// Results of `before` are known in every map's `after`.
#[test]
fn results_are_known_in_every_map() {
    let map = parse_all(&[
        r#""after": [{"call": "f", "args": [{"value": "late"}]}]"#,
        r#""values": [{"name": "v", "init": {"int": 1}}],
           "before": [{"init": {"int": 2}}, {"name": "late", "init": {"int": 3}}, {"name": "late", "init": {"int": 3}}]"#,
    ])
    .unwrap();
    assert_eq!(map.before.len(), 2);
    let Expression::Call { arguments, .. } = &map.after[0] else {
        panic!("{:?}", map.after);
    };
    // One value, then the two entries of `before`.
    assert_eq!(arguments, &[Expression::Value(ValueId(2))]);
}

/// A value may be named before it is written, and in another map.
#[test]
fn values_are_known_everywhere() {
    let map = parse_all(&[
        r#""globals": [{"symbol": "g", "init": {"value": "late"}}]"#,
        r#""values": [{"name": "early", "init": {"value": "late"}}, {"name": "late", "init": {"int": 1}}]"#,
    ])
    .unwrap();
    assert_eq!(map.globals[0].init, Expression::Value(ValueId(1)));
    assert_eq!(map.values[0].name, "early");
}

#[test]
fn what_one_entry_leaves_out_another_may_say() {
    let map = parse_all(&[
        r#""mappings": [{"start": "0x10000", "end": "0x20000", "path": "/a", "offset": 4096}],
           "symbols": [{"address": "0x10010", "name": "s", "size": 8}]"#,
        r#""mappings": [{"start": "0x10000", "end": "0x20000", "perms": "r-x", "build_id": "aB"}],
           "symbols": [{"address": "0x10010", "name": "s", "library": "l"}]"#,
    ])
    .unwrap();
    let mapping = &map.mappings[0];
    assert_eq!((mapping.path.as_deref(), mapping.offset), (Some("/a"), 4096));
    assert_eq!((mapping.perms.as_deref(), mapping.build_id.as_deref()), (Some("r-x"), Some("ab")));
    assert_eq!((map.symbols.get(0).size, map.symbols.get(0).library), (8, Some("l")));
}

#[test]
fn parts_of_one_mapping_are_joined() {
    let map = parse_all(&[
        r#""mappings": [{"start": "0x10000", "end": "0x20000", "path": "[heap]"},
                        {"start": "0x30000", "end": "0x32000", "path": "/a", "offset": 4096}]"#,
        r#""mappings": [{"start": "0x18000", "end": "0x28000", "path": "[heap]"},
                        {"start": "0x31000", "end": "0x33000", "path": "/a", "offset": 8192}]"#,
    ])
    .unwrap();
    let shown: Vec<_> = map.mappings.iter().map(|m| (m.range.clone(), m.offset)).collect();
    assert_eq!(shown, [(0x10000..0x28000, 0), (0x30000..0x33000, 4096)]);
}

#[test]
fn contradictions_name_both() {
    let mapping = |start: &str, end: &str, rest: &str| {
        format!(r#""mappings": [{{"start": "{start}", "end": "{end}"{rest}}}]"#)
    };
    let symbol = |rest: &str| format!(r#""symbols": [{{"address": "0x10000", "name": "s"{rest}}}]"#);
    let value = |name: &str, address: &str, rest: &str| {
        format!(r#""values": [{{"name": "{name}", "address": "{address}", "init": {{"int": 1}}{rest}}}]"#)
    };
    let cases = [
        (
            mapping("0x10000", "0x20000", r#", "path": "/a""#),
            mapping("0x10000", "0x20000", r#", "path": "/b""#),
            "b.json: mappings[0]: the mapping overlaps and contradicts mappings[0] of a.json",
        ),
        (
            mapping("0x10000", "0x20000", r#", "path": "/a""#),
            mapping("0x1f000", "0x30000", r#", "path": "/b""#),
            "b.json: mappings[0]: the mapping overlaps",
        ),
        (
            mapping("0x1f000", "0x30000", r#", "path": "/a""#),
            mapping("0x10000", "0x20000", r#", "path": "/b""#),
            "b.json: mappings[0]: the mapping overlaps",
        ),
        (
            mapping("0x10000", "0x20000", r#", "path": "/a""#),
            mapping("0x10000", "0x21000", ""),
            "b.json: mappings[0]: the mapping overlaps",
        ),
        (
            mapping("0x10000", "0x20000", r#", "path": "/a""#),
            mapping("0x11000", "0x20000", r#", "path": "/a""#),
            "b.json: mappings[0]: the mapping overlaps",
        ),
        (
            mapping("0x10000", "0x20000", r#", "perms": "rw-p""#),
            mapping("0x10000", "0x20000", r#", "perms": "r-xp""#),
            "b.json: mappings[0]: the mapping overlaps",
        ),
        (
            mapping("0x10000", "0x20000", r#", "path": "/a", "build_id": "aa""#),
            mapping("0x10000", "0x20000", r#", "path": "/a", "build_id": "bb""#),
            "b.json: mappings[0]: the mapping overlaps",
        ),
        (
            mapping("0x10000", "0x20000", r#", "path": "/a", "build_id": "aa""#),
            mapping("0x20000", "0x30000", r#", "path": "/a", "build_id": "bb""#),
            "b.json: mappings[0]: build_id: is another than the same file's in mappings[0] of a.json",
        ),
        (
            symbol(r#", "size": 4"#),
            symbol(r#", "size": 8"#),
            "b.json: symbols[0]: size: is another than that of symbols[0] of a.json",
        ),
        (
            symbol(r#", "library": "a""#),
            symbol(r#", "library": "b""#),
            "b.json: symbols[0]: library: is another than that of symbols[0] of a.json",
        ),
        (
            value("v", "0x10000", ""),
            value("v", "0x10000", r#", "size": 8"#),
            "b.json: values[0]: the value \"v\" is another thing in values[0] of a.json",
        ),
        (
            value("v", "0x10000", ""),
            value("w", "0x10000", ""),
            "b.json: values[0]: the value overlaps values[0] of a.json",
        ),
        (
            value("v", "0x10000", r#", "size": 9"#),
            value("w", "0x10008", ""),
            "b.json: values[0]: the value overlaps values[0] of a.json",
        ),
        (
            value("v", "0x10000", ""),
            value("w", "0x10010", r#", "header": 16"#),
            "b.json: values[0]: the value overlaps values[0] of a.json",
        ),
        (
            r#""before": [{"name": "x", "init": {"int": 1}}]"#.into(),
            r#""before": [{"name": "x", "init": {"int": 2}}]"#.into(),
            "b.json: before[0]: has the name of before[0] of a.json",
        ),
    ];
    for (first, second, expected) in cases {
        let error = parse_all(&[&first, &second]).expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
        assert!(
            parse_all(&[&first]).is_ok()
                && parse_all(&[&second]).is_ok()
                && parse_all(&[&first, &first]).is_ok()
        );
    }
    assert!(parse_all(&[&value("v", "0x10000", r#", "size": 8"#), &value("w", "0x10008", "")]).is_ok());
    assert!(parse_all(&[&value("v", "0x10000", ""), &value("w", "0x10010", r#", "header": 15"#)]).is_ok());
}

#[test]
fn cycles_are_named() {
    for (keys, expected) in [
        (r#""values": [{"name": "a", "init": {"value": "a"}}]"#, "values[0]: init: a needs itself: a -> a"),
        (
            r#""values": [{"name": "z", "init": {"int": 1}}, {"name": "a", "init": {"neg": {"value": "b"}}},
                          {"name": "b", "init": {"call": "f", "args": [{"value": "z"}, {"value": "a"}]}}]"#,
            "values[1]: init: a needs itself: a -> b -> a",
        ),
        (
            r#""values": [{"name": "a", "init": {"bytes": "AAAAAAAAAAA=", "words": [{"offset": 0, "value": {"value": "a"}}]}}]"#,
            "values[0]: init: a needs itself",
        ),
        // The address is the value's own, four bytes into it.
        (
            r#""values": [{"name": "a", "address": "0x10000", "size": 8, "init": {"load": {"address": "0x10004"}}}]"#,
            "values[0]: init: a needs itself: a -> a",
        ),
        (
            r#""constants": [{"constant": "0x10000", "init": {"add": [{"address": "0x10000"}, 8]}}]"#,
            "constants[0]: init: 0x10000 needs itself",
        ),
        (
            r#""values": [{"name": "a", "init": {"address": "0x55"}}], "constants": [{"constant": "0x55", "init": {"value": "a"}}]"#,
            "values[0]: init: a needs itself: a -> 0x55 -> a",
        ),
    ] {
        let error = parse(keys).expect_err(keys);
        assert!(error.contains(expected), "{error}");
    }
    let shared = r#""values": [{"name": "a", "init": {"call": "f", "args": [{"value": "b"}, {"value": "b"}]}}, {"name": "b", "init": {"int": 1}}]"#;
    assert!(parse(shared).is_ok());
}

#[test]
fn long_chains_of_values_are_refused() {
    let values: Vec<String> = (0..100_000)
        .map(|i| format!(r#"{{"name": "v{i}", "init": {{"value": "v{}"}}}}"#, i + 1))
        .chain([r#"{"name": "v100000", "init": {"int": 1}}"#.to_owned()])
        .collect();
    let error = parse(&format!(r#""values": [{}]"#, values.join(","))).unwrap_err();
    assert!(error.contains("leads through more than 1000 levels"), "{error}");
}

#[test]
fn proc_maps_add_mappings() {
    let mut map =
        parse(r#""mappings": [{"start": "0x10000", "end": "0x20000", "path": "/a b", "build_id": "aa"}]"#)
            .unwrap();
    map.add_proc_maps(
        "maps",
        b"00010000-00020000 r--p 00000000 08:01 5  /a b\n00030000-00031000 rw-p 00000000 00:00 0\n",
    )
    .unwrap();
    assert_eq!(map.ranges(), [0x10000..0x20000, 0x30000..0x31000]);
    assert_eq!(
        (map.mappings[0].perms.as_deref(), map.mappings[0].build_id.as_deref()),
        (Some("r--p"), Some("aa"))
    );

    let error = map.add_proc_maps("other", b"\n00010000-00020000 r--p 00000000 08:01 5  /b\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "other: line 2: the mapping overlaps and contradicts mappings[0] of m.json"
    );
    let error = map.add_proc_maps("other", b"00000000-00001000 r--p 00000000 00:00 0\n").unwrap_err();
    assert!(error.to_string().starts_with("other: line 1: the mapping begins at 0x0"), "{error}");
    let error = map.add_proc_maps("other", b"hello\n").unwrap_err();
    assert!(error.to_string().starts_with("other: line 1: expected"), "{error}");
    assert_eq!(error.kind(), ErrorKind::SessionMap);
    // What failed has added nothing.
    assert_eq!(map.ranges(), [0x10000..0x20000, 0x30000..0x31000]);
}

#[test]
fn listed_symbols_are_added() {
    let mut map =
        parse(r#""symbols": [{"address": "0x404028", "name": "counter", "library": "l"}]"#).unwrap();
    let text =
        b"0000000000404028 0000000000000008 B counter\n0000000000401100 t helper\n0000000000401136 T main\n";
    map.add_symbols("nm.txt", text).unwrap();
    map.add_symbols("nm.txt", text).unwrap();
    assert_eq!(map.ranges(), [0x401100..0x401101, 0x401136..0x401137, 0x404028..0x404030]);
    let none = Memory::default();
    assert_eq!(meaning(&map, 0x40402c, &none), "counter+4 (l)");
    assert_eq!(meaning(&map, 0x401136, &none), "main+0");
    assert!(meaning(&map, 0x401100, &none).starts_with("is `helper`, a local symbol; give"));
    assert!(map.is_exact_address(0x401100));
    assert_eq!(map.address_of("main", None, &none), Some(0x401136));
    assert_eq!(map.address_of("helper", None, &none), None);

    let error = map.add_symbols("perf", b"404028 10 counter\n").unwrap_err().to_string();
    assert_eq!(error, "perf: line 1: size: is another than that of symbols[0] of m.json");
    let error = map.add_symbols("perf", b"ffffffffffffff00 1000 f\n").unwrap_err().to_string();
    assert!(error.starts_with("perf: line 1: the symbol at 0xffffffffffffff00 goes beyond"), "{error}");
    let error = map.add_symbols("perf", b"10 10 f\n").unwrap_err().to_string();
    assert!(error.starts_with("perf: line 1: the symbol begins at 0x10"), "{error}");
    map.add_symbols("perf", b"7f0000001000 10 a function\n").unwrap();
    assert_eq!(meaning(&map, 0x7f0000001004, &none), "a function+4");
}
