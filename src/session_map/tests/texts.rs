//! The file format: every key and form is read, and nothing else is.

use super::*;
use crate::session_map::{Bytes, Returns, ValueId};

fn symbol(name: &str) -> Box<Expression> {
    let name = name.into();
    Box::new(Expression::Symbol { name, offset: 0 })
}

#[test]
fn the_example_of_the_format() {
    let map = SessionMap::parse(
        &[source(
            "m.json",
            r#"{
          "relocfix": 1,
          "machine": "x86_64",
          "mappings": [
            {"start": "0x7f3a10000000", "end": "0x7f3a10195000", "offset": "0x28000", "perms": "r-xp",
             "path": "/usr/lib/x86_64-linux-gnu/libc.so.6", "build_id": "0401BD8da6edab3e45399d62571357ab12545133"}
          ],
          "symbols": [
            {"address": "0x7f3a1007fe50", "name": "puts", "size": 409, "library": "libc.so.6"}
          ],
          "values": [
            {"name": "sym_foo", "address": "0x7f39c8a01010", "size": 24, "header": 8,
             "init": {"call": "jl_symbol", "args": [{"string": "foo"}]}},
            {"name": "one", "init": {"int": 1}, "shared": true}
          ],
          "globals": [
            {"symbol": "jl_true#3", "offset": 0, "init": {"load": {"symbol": "jl_true"}}},
            {"symbol": "jl_global#12", "init": {"value": "sym_foo"}}
          ],
          "imports": [
            {"symbol": "PyExc_ValueError", "init": {"load": {"symbol": "PyExc_ValueError"}}}
          ],
          "constants": [
            {"constant": "0xfe7420fffe8", "init": {"shr": [{"symbol": "table"}, 3]}}
          ],
          "ready":  [{"call": "jl_is_initialized", "returns": "int32"}, {"call": "jl_get_pgcstack"}],
          "before": [{"name": "gc", "init": {"call": "jl_gc_enable", "args": [{"int": 0}], "returns": "int32"}}],
          "after":  [{"call": "jl_gc_enable", "args": [{"value": "gc"}], "returns": "int32"}]
        }"#,
        )],
        Machine::X86_64,
        &Memory::default(),
    )
    .unwrap();
    let mapping = &map.mappings[0];
    assert_eq!((mapping.range.clone(), mapping.offset), (0x7f3a10000000..0x7f3a10195000, 0x28000));
    assert_eq!(mapping.perms.as_deref(), Some("r-xp"));
    assert_eq!(mapping.path.as_deref(), Some("/usr/lib/x86_64-linux-gnu/libc.so.6"));
    assert_eq!(mapping.build_id.as_deref(), Some("0401bd8da6edab3e45399d62571357ab12545133"));
    let puts = map.symbols.get(0);
    assert_eq!((puts.address, puts.name, puts.size), (0x7f3a1007fe50, "puts", 409));
    assert_eq!(puts.library, Some("libc.so.6"));
    let value = &map.values[0];
    assert_eq!((value.name.as_str(), value.address), ("sym_foo", Some(0x7f39c8a01010)));
    assert_eq!((value.size, value.header, value.shared), (24, 8, false));
    assert_eq!(value.init.text(&map.values), r#"jl_symbol("foo")"#);
    assert!(map.values[1].shared);
    let globals: Vec<_> = map.globals.iter().map(|g| (g.symbol.as_str(), g.origin.as_str())).collect();
    assert_eq!(globals, [("jl_global#12", "m.json: globals[1]"), ("jl_true#3", "m.json: globals[0]")]);
    assert_eq!(map.globals[0].init, Expression::Value(ValueId(0)));
    assert_eq!(map.imports[0].init.text(&map.values), "*PyExc_ValueError");
    assert_eq!(map.imports[0].origin, "m.json: imports[0]");
    assert_eq!(map.constants, [(0xfe7420fffe8, Expression::Shr(symbol("table"), 3))]);
    assert_eq!(map.ready.len(), 2);
    assert_eq!(map.before[0].0.as_deref(), Some("gc"));
    // Results of `before` have ids behind the values'.
    let Expression::Call { arguments, returns, .. } = &map.after[0] else {
        panic!("{:?}", map.after);
    };
    assert_eq!((&arguments[0], *returns), (&Expression::Value(ValueId(2)), Returns::Int32));
}

#[test]
fn only_the_version_is_needed() {
    let map = parse("").unwrap();
    assert!(map.is_empty());
    assert!(SessionMap::parse(&[], Machine::X86_64, &Memory::default()).unwrap().is_empty());
    assert!(!parse(r#""symbols": [{"address": 4096, "name": "x"}]"#).unwrap().is_empty());
}

#[test]
fn every_form_of_expression() {
    let table = || symbol("table");
    let offset = |n: i64| Expression::Symbol { name: "s".into(), offset: n };
    let load = |n: i64, nullable: bool| Expression::Load { address: table(), offset: n, nullable };
    let call = |returns: Returns, nullable: bool, arguments: Vec<Expression>| Expression::Call {
        function: symbol("f"),
        arguments,
        returns,
        nullable,
    };
    let bytes = |data: &[u8], align: u64, writable: bool, words: Vec<(u64, Expression)>| {
        Expression::Bytes(Box::new(Bytes { data: data.to_vec(), align, writable, words }))
    };
    let cases = [
        (r#"{"symbol": "s"}"#, offset(0)),
        (r#"{"symbol": "s", "offset": -8}"#, offset(-8)),
        (r#"{"symbol": "s", "offset": "0x10"}"#, offset(16)),
        (r#"{"symbol": "s", "offset": "-0x10"}"#, offset(-16)),
        (r#"{"symbol": "s", "offset": "-0x8000000000000000"}"#, offset(i64::MIN)),
        (r#"{"load": {"symbol": "table"}}"#, load(0, false)),
        (r#"{"load": {"symbol": "table"}, "offset": 8, "nullable": true}"#, load(8, true)),
        (r#"{"call": "f"}"#, call(Returns::Pointer, false, vec![])),
        (
            r#"{"call": {"symbol": "f"}, "args": [], "returns": "pointer"}"#,
            call(Returns::Pointer, false, vec![]),
        ),
        (r#"{"call": "f", "returns": "void"}"#, call(Returns::Void, false, vec![])),
        (
            r#"{"nullable": true, "args": [{"float64": 0.1}, {"int": -1}, {"float64": 2}], "call": "f", "returns": "int32"}"#,
            call(
                Returns::Int32,
                true,
                vec![
                    Expression::Float64(0.1f64.to_bits()),
                    Expression::Int(u64::MAX),
                    Expression::Float64(2f64.to_bits()),
                ],
            ),
        ),
        (r#"{"string": ""}"#, Expression::String(String::new())),
        (r#"{"string": "ä\n"}"#, Expression::String("ä\n".into())),
        (r#"{"bytes": "AAEC"}"#, bytes(&[0, 1, 2], 64, false, vec![])),
        (r#"{"bytes": "", "align": 16, "writable": true}"#, bytes(&[], 64, true, vec![])),
        (r#"{"bytes": "AA==", "align": "0x1000"}"#, bytes(&[0], 4096, false, vec![])),
        (r#"{"bytes": {"file": "table.bin"}}"#, bytes(b"0123456789abcdef", 64, false, vec![])),
        (r#"{"bytes": {"file": "table.bin", "offset": 10}}"#, bytes(b"abcdef", 64, false, vec![])),
        (r#"{"bytes": {"file": "table.bin", "offset": 16}}"#, bytes(b"", 64, false, vec![])),
        (r#"{"bytes": {"file": "table.bin", "offset": "0x2", "size": 3}}"#, bytes(b"234", 64, false, vec![])),
        (
            r#"{"bytes": {"file": "table.bin"}, "words": [{"offset": 8, "value": {"value": "v"}}, {"offset": 0, "value": {"symbol": "s"}}]}"#,
            bytes(b"0123456789abcdef", 64, false, vec![(0, offset(0)), (8, Expression::Value(ValueId(0)))]),
        ),
        (r#"{"int": 18446744073709551615}"#, Expression::Int(u64::MAX)),
        (r#"{"int": -9223372036854775808}"#, Expression::Int(1 << 63)),
        (r#"{"int": "0xFFFFFFFFFFFFFFFF"}"#, Expression::Int(u64::MAX)),
        (r#"{"add": [{"symbol": "table"}, -1]}"#, Expression::Add(table(), -1)),
        (r#"{"add": [{"symbol": "table"}, "0x7fffffffffffffff"]}"#, Expression::Add(table(), i64::MAX)),
        (r#"{"shr": [{"symbol": "table"}, 63]}"#, Expression::Shr(table(), 63)),
        (r#"{"shl": [{"symbol": "table"}, 0]}"#, Expression::Shl(table(), 0)),
        (r#"{"neg": {"symbol": "table"}}"#, Expression::Neg(table())),
        (r#"{"not": {"symbol": "table"}}"#, Expression::Not(table())),
        (r#"{"value": "v"}"#, Expression::Value(ValueId(0))),
        (r#"{"address": "0x7f39c8a01010"}"#, Expression::Address(0x7f39c8a01010)),
        (r#"{"address": 139886000000000}"#, Expression::Address(139886000000000)),
    ];
    for (text, expected) in cases {
        assert_eq!(init(text).as_ref(), Ok(&expected), "{text}");
    }
}

/// Decimal numbers are read to the nearest float64, not to one beside it.
#[test]
fn float64_is_exact() {
    for text in ["51.24817837550540", "2.2250738585072014e-308", "1.7976931348623157e308", "9007199254740993"]
    {
        let Ok(Expression::Call { arguments, .. }) =
            init(&format!(r#"{{"call": "f", "args": [{{"float64": {text}}}]}}"#))
        else {
            panic!("{text}");
        };
        assert_eq!(arguments, [Expression::Float64(text.parse::<f64>().unwrap().to_bits())], "{text}");
    }
}
