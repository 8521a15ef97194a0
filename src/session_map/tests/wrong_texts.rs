//! What is not of the file format is an error that names the entry, and nothing takes long or panics.

use super::*;

#[test]
fn wrong_expressions_are_named() {
    let seven = r#"{"int": 0}, "#.repeat(6) + r#"{"int": 0}"#;
    let nine = r#"{"float64": 0}, "#.repeat(8) + r#"{"float64": 0}"#;
    let cases = [
        ("{}", "globals[0].init: is no expression"),
        ("1", "globals[0].init: invalid type"),
        ("null", "globals[0].init: invalid type"),
        (r#"["s"]"#, "globals[0].init: invalid type: sequence, expected an object"),
        (r#""s""#, "globals[0].init: invalid type"),
        (r#"{"symbl": "s"}"#, "unknown field `symbl`"),
        (r#"{"symbol": "s", "value": "v"}"#, "two expressions at once: `symbol` and `value`"),
        (r#"{"symbol": "s", "symbol": "s"}"#, "duplicate field `symbol`"),
        (r#"{"symbol": "s", "args": []}"#, "globals[0].init: the key `args` does not belong to `symbol`"),
        (r#"{"symbol": "s", "nullable": true}"#, "the key `nullable` does not belong to `symbol`"),
        (r#"{"int": 1, "offset": 0}"#, "the key `offset` does not belong to `int`"),
        (r#"{"call": "f", "offset": 1}"#, "the key `offset` does not belong to `call`"),
        (r#"{"load": {"symbol": "s"}, "returns": "void"}"#, "the key `returns` does not belong to `load`"),
        (r#"{"string": "s", "align": 64}"#, "the key `align` does not belong to `string`"),
        (r#"{"string": "s", "words": []}"#, "the key `words` does not belong to `string`"),
        (r#"{"string": "s", "writable": true}"#, "the key `writable` does not belong to `string`"),
        (r#"{"symbol": ""}"#, "globals[0].init: symbol: is empty"),
        (r#"{"symbol": "a\u0000b"}"#, "globals[0].init: symbol: contains a NUL"),
        (
            r#"{"symbol": "s", "offset": 9223372036854775808}"#,
            "globals[0].init.offset: 9223372036854775808 is out",
        ),
        (r#"{"symbol": "s", "offset": "0xffffffffffffffff"}"#, "globals[0].init.offset: "),
        (r#"{"symbol": "s", "offset": 1.5}"#, "globals[0].init.offset: invalid type: floating point"),
        (r#"{"symbol": "s", "offset": null}"#, "globals[0].init.offset: invalid type: null"),
        (r#"{"symbol": null}"#, "globals[0].init.symbol: invalid type: null"),
        (r#"{"call": ""}"#, "globals[0].init.call: symbol: is empty"),
        (r#"{"call": 5}"#, "globals[0].init.call: invalid type"),
        (r#"{"call": "f", "returns": "int64"}"#, "globals[0].init.returns: unknown variant `int64`"),
        (r#"{"call": "f", "args": {}}"#, "globals[0].init.args: invalid type"),
        (r#"{"call": "f", "args": [{"int": 0}, {"foo": 0}]}"#, "globals[0].init.args[1]"),
        (
            r#"{"call": "f", "args": [{"call": "g", "args": [{"value": "w"}]}]}"#,
            "globals[0].init.args[0].args[0]: value: there is no value \"w\"",
        ),
        (
            r#"{"call": {"add": [{"load": {"value": "w"}}, 1]}}"#,
            "globals[0].init.call.add[0].load: value: there is no",
        ),
        (r#"{"neg": {"float64": 1}}"#, "globals[0].init.neg: float64: "),
        (r#"{"call": "f", "args": [{"float64": "1"}]}"#, "globals[0].init.args[0].float64: invalid type"),
        (r#"{"call": "f", "args": [{"float64": 1e999}]}"#, "number out of range"),
        (
            r#"{"call": "f", "args": [{"add": [{"float64": 1}, 1]}]}"#,
            "globals[0].init.args[0].add[0]: float64: ",
        ),
        (r#"{"string": "a\u0000b"}"#, "globals[0].init: string: contains a NUL"),
        (r#"{"string": 5}"#, "globals[0].init.string: invalid type"),
        (r#"{"string": "\ud800"}"#, "globals[0].init.string: "),
        (r#"{"bytes": "AAE"}"#, "globals[0].init: bytes: expected base64"),
        (r#"{"bytes": "A?=="}"#, "globals[0].init: bytes: expected base64"),
        (
            r#"{"bytes": {"file": "none.bin"}}"#,
            "globals[0].init.bytes: file: /maps/none.bin cannot be read: no such file",
        ),
        (r#"{"bytes": {"file": ""}}"#, "globals[0].init.bytes: file: is empty"),
        (
            r#"{"bytes": {"file": "table.bin", "offset": 17}}"#,
            "globals[0].init.bytes: 0 bytes at offset 17 are not inside",
        ),
        (r#"{"bytes": {"file": "table.bin", "size": 17}}"#, "globals[0].init.bytes: 17 bytes at offset 0"),
        (r#"{"bytes": {"file": "table.bin", "offset": 1, "size": "0xffffffffffffffff"}}"#, "are not inside"),
        (r#"{"bytes": {"file": "table.bin", "length": 1}}"#, "unknown field `length`"),
        (r#"{"bytes": {"offset": 1}}"#, "globals[0].init.bytes: missing field `file`"),
        (r#"{"bytes": ["table.bin"]}"#, "globals[0].init.bytes: invalid type"),
        (r#"{"bytes": "", "align": 0}"#, "globals[0].init: align: expected a power of two"),
        (r#"{"bytes": "", "align": 24}"#, "globals[0].init: align: expected a power of two"),
        (
            r#"{"bytes": "", "align": 2097152}"#,
            "globals[0].init: align: expected a power of two up to 1048576",
        ),
        (r#"{"bytes": "", "align": -64}"#, "globals[0].init.align: -64 is out of range"),
        (
            r#"{"bytes": {"file": "table.bin"}, "words": [{"offset": 9, "value": {"int": 0}}]}"#,
            "globals[0].init.words[0]: offset: 8 bytes at 9",
        ),
        (
            r#"{"bytes": "", "words": [{"offset": "0xffffffffffffffff", "value": {"int": 0}}]}"#,
            "words[0]: offset: ",
        ),
        (
            r#"{"bytes": {"file": "table.bin"}, "words": [{"offset": 4, "value": {"int": 0}}, {"offset": 0, "value": {"int": 0}}]}"#,
            "globals[0].init.words[1]: overlaps words[0]",
        ),
        (
            r#"{"bytes": {"file": "table.bin"}, "words": [{"offset": 8, "value": {"int": 0}}, {"offset": 8, "value": {"int": 0}}]}"#,
            "globals[0].init.words[1]: overlaps words[0]",
        ),
        (
            r#"{"bytes": {"file": "table.bin"}, "words": [{"offset": 8, "value": {"value": "w"}}]}"#,
            "globals[0].init.words[0].value: value: there is no value",
        ),
        (
            r#"{"bytes": {"file": "table.bin"}, "words": [{"offset": 8}]}"#,
            "globals[0].init.words[0]: missing field `value`",
        ),
        (r#"{"int": 18446744073709551616}"#, "globals[0].init.int: invalid type: floating point"),
        (r#"{"int": -9223372036854775809}"#, "globals[0].init.int: invalid type: floating point"),
        (r#"{"int": "12"}"#, "globals[0].init.int: invalid value: string \"12\""),
        (r#"{"int": "0x"}"#, "globals[0].init.int: invalid value"),
        (r#"{"int": "0x+1"}"#, "globals[0].init.int: invalid value"),
        (r#"{"int": "0x10000000000000000"}"#, "globals[0].init.int: invalid value"),
        (r#"{"int": true}"#, "globals[0].init.int: invalid type: boolean"),
        (r#"{"add": [{"symbol": "s"}]}"#, "globals[0].init.add"),
        (r#"{"add": [{"symbol": "s"}, 1, 2]}"#, "globals[0].init.add"),
        (r#"{"add": [1, {"symbol": "s"}]}"#, "globals[0].init.add[0]: invalid type"),
        (r#"{"shr": [{"symbol": "s"}, 64]}"#, "globals[0].init: shr[1]: expected 0 to 63 bits, found 64"),
        (r#"{"shl": [{"symbol": "s"}, -1]}"#, "globals[0].init.shl[1]: -1 is out of range"),
        (r#"{"value": "w"}"#, "globals[0].init: value: there is no value \"w\""),
        (r#"{"address": -1}"#, "globals[0].init.address: -1 is out of range"),
        (
            &format!(r#"{{"call": "f", "args": [{seven}]}}"#),
            "globals[0].init: args: expected at most 6 integers",
        ),
        (
            &format!(r#"{{"call": "f", "args": [{nine}]}}"#),
            "globals[0].init: args: expected at most 6 integers",
        ),
    ];
    for (text, expected) in cases {
        let error = init(text).expect_err(text);
        assert!(error.starts_with("m.json: ") && error.contains(expected), "{text}\n{error}\n{expected}");
    }
    let most =
        format!(r#"{{"call": "f", "args": [{}, {}]}}"#, &seven[..seven.len() - 12], &nine[..nine.len() - 16]);
    assert!(init(&most).is_ok(), "{most}");
}

#[test]
fn wrong_entries_are_named() {
    let cases = [
        (r#""foo": 1"#, "foo: unknown field `foo`"),
        (r#""relocfix": 1"#, "duplicate field `relocfix`"),
        (r#""symbols": [], "symbols": []"#, "duplicate field `symbols`"),
        (r#""symbols": {}"#, "symbols: invalid type: map"),
        (r#""symbols": null"#, "symbols: invalid type: null"),
        (r#""machine": 5"#, "machine: invalid type"),
        (
            r#""machine": "aarch64""#,
            "machine: the map is of an \"aarch64\" process, the object is for x86_64",
        ),
        (r#""machine": null"#, "machine: invalid type: null"),
        (r#""mappings": [{"start": 4096}]"#, "mappings[0]: missing field `end`"),
        (r#""mappings": [{"start": 4096, "end": 4096}]"#, "mappings[0]: the mapping ends at 0x1000"),
        (r#""mappings": [{"start": 8192, "end": 4096}]"#, "mappings[0]: the mapping ends at 0x1000"),
        (r#""mappings": [{"start": 0, "end": 4096}]"#, "mappings[0]: the mapping begins at 0x0"),
        (r#""mappings": [{"start": 4095, "end": 8192}]"#, "mappings[0]: the mapping begins at 0xfff"),
        (r#""mappings": [{"start": -1, "end": 8192}]"#, "mappings[0].start: -1 is out of range"),
        (
            r#""mappings": [{"start": "4096", "end": 8192}]"#,
            "mappings[0].start: invalid value: string \"4096\"",
        ),
        (r#""mappings": [{"start": 4096, "end": 8192, "perms": "rxwp"}]"#, "mappings[0]: perms: "),
        (r#""mappings": [{"start": 4096, "end": 8192, "perms": "r"}]"#, "mappings[0]: perms: "),
        (r#""mappings": [{"start": 4096, "end": 8192, "build_id": "xyz"}]"#, "mappings[0]: build_id: "),
        (r#""mappings": [{"start": 4096, "end": 8192, "build_id": ""}]"#, "mappings[0]: build_id: "),
        (r#""mappings": [{"start": 4096, "end": 8192, "inode": 5}]"#, "unknown field `inode`"),
        (r#""mappings": [[4096, 8192]]"#, "mappings[0]: invalid type: sequence, expected an object"),
        (r#""symbols": [{"address": 4096}]"#, "symbols[0]: missing field `name`"),
        (r#""symbols": [{"name": "x"}]"#, "symbols[0]: missing field `address`"),
        (r#""symbols": [{"address": 4096, "name": ""}]"#, "symbols[0]: name is empty"),
        (r#""symbols": [{"address": 4096, "name": "a\u0000"}]"#, "symbols[0]: name contains a NUL"),
        (r#""symbols": [{"address": 4096, "name": "a", "library": ""}]"#, "symbols[0]: library is empty"),
        (r#""symbols": [{"address": 0, "name": "a"}]"#, "symbols[0]: the symbol begins at 0x0"),
        (
            r#""symbols": [{"address": "0xffffffffffffff00", "name": "a", "size": 256}]"#,
            "symbols[0]: the symbol at",
        ),
        (r#""symbols": [["0x1000", "a"]]"#, "symbols[0]: invalid type: sequence"),
        (r#""values": [{"name": "a"}]"#, "values[0]: missing field `init`"),
        (r#""values": [{"init": {"int": 0}}]"#, "values[0]: missing field `name`"),
        (r#""values": [{"name": "", "init": {"int": 0}}]"#, "values[0]: name is empty"),
        (
            r#""values": [{"name": "a", "address": 0, "init": {"int": 0}}]"#,
            "values[0]: the value begins at 0x0",
        ),
        (
            r#""values": [{"name": "a", "address": 4104, "header": 16, "init": {"int": 0}}]"#,
            "values[0]: the value begins at 0xff8",
        ),
        (
            r#""values": [{"name": "a", "address": 4104, "header": 8000, "init": {"int": 0}}]"#,
            "values[0]: header: ",
        ),
        (
            r#""values": [{"name": "a", "address": 4096, "size": "0xffffffffffffffff", "init": {"int": 0}}]"#,
            "values[0]: the value at",
        ),
        (r#""values": [{"name": "a", "init": {"int": 0}, "shared": 1}]"#, "values[0].shared: invalid type"),
        (r#""globals": [{"symbol": "", "init": {"int": 0}}]"#, "globals[0]: symbol is empty"),
        (
            r#""globals": [{"symbol": "a", "init": {"int": 0}, "offset": -1}]"#,
            "globals[0].offset: -1 is out of range",
        ),
        (
            r#""globals": [{"symbol": "a", "init": {"int": 0}}, {"symbol": "a", "offset": 4, "init": {"int": 0}}]"#,
            "globals[1]: the variable overlaps globals[0]",
        ),
        (
            r#""globals": [{"symbol": "a", "init": {"int": 0}}, {"symbol": "a", "init": {"int": 1}}]"#,
            "globals[1]: \"a\" is to hold another thing in globals[0]",
        ),
        (r#""imports": [{"symbol": "", "init": {"int": 0}}]"#, "imports[0]: symbol is empty"),
        (
            r#""imports": [{"symbol": "a", "init": {"int": 0}}, {"symbol": "a", "init": {"int": 1}}]"#,
            "imports[1]: \"a\" is bound to another thing in imports[0]",
        ),
        (
            r#""imports": [{"symbol": "a", "init": {"int": 0}}], "globals": [{"symbol": "a", "init": {"int": 0}}]"#,
            "cannot be a global and an import",
        ),
        (r#""constants": [{"constant": 0, "init": {"int": 0}}]"#, "constants[0]: constant: "),
        (r#""constants": [{"constant": -1, "init": {"int": 0}}]"#, "constants[0]: constant: "),
        (
            r#""constants": [{"constant": 5, "init": {"int": 0}}, {"constant": "0x5", "init": {"int": 1}}]"#,
            "constants[1]: the constant is another thing in constants[0]",
        ),
        (
            r#""constants": [{"constant": 5, "init": {"value": "x"}}]"#,
            "constants[0].init: value: there is no value \"x\"",
        ),
        (r#""ready": [{"call": "f"}, {"value": "x"}]"#, "ready[1]: value: there is no value \"x\""),
        (r#""ready": [{"init": {"call": "f"}}]"#, "unknown field `init`"),
        (r#""before": [{"call": "f"}]"#, "unknown field `call`"),
        (r#""before": [{"name": "", "init": {"int": 0}}]"#, "before[0]: name is empty"),
        (
            r#""before": [{"name": "a", "init": {"int": 0}}, {"name": "a", "init": {"int": 1}}]"#,
            "before[1]: has the name of before[0]",
        ),
        (
            r#""before": [{"name": "a", "init": {"int": 0}}, {"init": {"value": "a"}}]"#,
            "before[1].init: value: \"a\" is a result of `before`",
        ),
        (
            r#""values": [{"name": "a", "init": {"int": 0}}], "before": [{"name": "a", "init": {"int": 0}}]"#,
            "before[0]: name: \"a\" is the name of a value",
        ),
        (
            r#""before": [{"name": "a", "init": {"int": 0}}], "globals": [{"symbol": "g", "init": {"value": "a"}}]"#,
            "globals[0].init: value: ",
        ),
        (r#""after": [{"neg": {"value": "a"}}]"#, "after[0].neg: value: there is no value \"a\""),
    ];
    for (keys, expected) in cases {
        let error = parse(keys).expect_err(keys);
        assert!(error.starts_with("m.json: ") && error.contains(expected), "{keys}\n{error}\n{expected}");
    }
}

#[test]
fn syntax_errors_have_line_and_column() {
    let parse = |text: &str| {
        let error =
            SessionMap::parse(&[source("m.json", text)], Machine::X86_64, &Memory::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SessionMap);
        error.to_string()
    };
    for (text, expected) in [
        ("{", "m.json: EOF while parsing an object at line 1 column 1"),
        ("", "m.json: EOF while parsing a value at line 1 column 0"),
        ("\u{feff}{}", "m.json: expected value at line 1 column 1"),
        ("[1]", "invalid type: sequence, expected an object at line 1 column"),
        ("{}", "m.json: missing field `relocfix` at line 1 column 2"),
        ("{\"relocfix\": 1,\n \"symbols\": [{]}", "symbols[0]: key must be a string at line 2 column 15"),
        ("{\"relocfix\": 1}\n{}", "m.json: trailing characters at line 2 column 1"),
        ("{\"relocfix\": 1,}", "trailing comma at line 1 column 16"),
        ("{\"relocfix\": \"1\"}", "relocfix: invalid type: string \"1\", expected u64"),
        (
            "{\"relocfix\": 2, \"new_key\": [1]}",
            "m.json: relocfix: the map is of version 2; this program reads version 1",
        ),
        ("{\"new_key\": [1], \"relocfix\": 0}", "the map is of version 0; this program reads version 1"),
        ("{\"relocfix\": 1.5}", "the map is of version 1.5"),
        ("{\"relocfix\": -1}", "the map is of version -1"),
    ] {
        let error = parse(text);
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for (open, close) in
        [("{\"neg\":", "}"), ("{\"add\":[", ",1]}"), ("{\"call\":", "}"), ("[", "]"), ("{\"bytes\":", "}")]
    {
        for depth in [50, 100, 126, 127, 128, 1000, 100_000] {
            let text = format!(
                "{{\"relocfix\": 1, \"ready\": [{}{{\"int\": 1}}{}]}}",
                open.repeat(depth),
                close.repeat(depth)
            );
            let parsed = SessionMap::parse(&[source("m.json", &text)], Machine::X86_64, &Memory::default());
            match parsed {
                Ok(_) => assert!(depth <= 126 && open != "[", "{depth} {open}"),
                Err(error) => {
                    assert!(depth >= 126 || open.contains('[') || open.contains("bytes"), "{error}")
                }
            }
        }
    }
    let unclosed = format!("{{\"relocfix\": 1, \"ready\": [{}", "{\"neg\":".repeat(1_000_000));
    assert!(SessionMap::parse(&[source("m.json", &unclosed)], Machine::X86_64, &Memory::default()).is_err());
}

#[test]
fn every_truncation_and_flipped_bit_of_a_map_is_an_error_or_a_map() {
    let text = r#"{"relocfix": 1, "mappings": [{"start": "0x7000000", "end": 139886000000000, "path": "[x]"}],
        "symbols": [{"address": "0x6000000", "name": "puts", "size": 4}], "values": [{"name": "v", "address": "0x5000000",
        "init": {"bytes": "AAAAAAAAAAAAAAAA", "words": [{"offset": 0, "value": {"load": {"symbol": "t"}, "offset": -8}}]}}],
        "globals": [{"symbol": "g", "init": {"call": "f", "args": [{"float64": 1.5}, {"value": "v"}]}}]}"#;
    let parse = |text: &[u8]| {
        let source = MapSource { name: "m.json".into(), folder: "/maps".into(), text };
        SessionMap::parse(&[source], Machine::X86_64, &Memory::default())
    };
    assert!(parse(text.as_bytes()).is_ok());
    for length in 0..text.len() {
        assert!(parse(&text.as_bytes()[..length]).is_err(), "{length}");
    }
    let mut bytes = text.as_bytes().to_vec();
    for position in 0..bytes.len() * 8 {
        bytes[position / 8] ^= 1 << (position % 8);
        if let Err(error) = parse(&bytes) {
            assert!(error.to_string().starts_with("m.json: "), "{error}");
        }
        bytes[position / 8] ^= 1 << (position % 8);
    }
}

/// A few bytes of a map that name a large file again and again do not fill the memory.
#[test]
fn copies_of_a_file_are_limited() {
    let large = vec![0u8; 64 << 20];
    let files = Memory::with(&[("/maps/large.bin", &large)]);
    let value = |i: usize| format!(r#"{{"name": "v{i}", "init": {{"bytes": {{"file": "large.bin"}}}}}}"#);
    let values: Vec<String> = (0..18).map(value).collect();
    let keys = |n: usize| format!(r#""values": [{}]"#, values[..n].join(", "));
    assert!(parse_with(&keys(2), &files).is_ok());
    let error = parse_with(&keys(18), &files).unwrap_err();
    assert!(error.contains("values[16].init.bytes: more than 16 copies"), "{error}");
    assert_eq!(files.reads.load(Ordering::Relaxed), 2);
}
