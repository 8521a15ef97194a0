//! Where the session map comes from.

use std::fs;

use crate::{Folder, NAMED, NAMED_OTHERWISE, ONE_CALL, PROC_MAPS, holds_the_address, undefined_symbols};

#[test]
fn a_map_on_the_command_line() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("map.json", NAMED);
    let input = folder.bytes("in.o");
    folder.run("in.o -o out.o -s map.json").silently();
    assert_eq!(folder.bytes("in.o"), input);
    assert_eq!(undefined_symbols(&folder.bytes("out.o")), ["puts"]);
    assert!(holds_the_address(&input) && !holds_the_address(&folder.bytes("out.o")));
    assert_eq!(folder.names(), ["in.o", "map.json", "out.o"]);
}

#[test]
fn a_map_beside_the_object() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    folder.run("in.o -o out.o").silently();
    assert_eq!(undefined_symbols(&folder.bytes("out.o")), ["puts"]);
    fs::create_dir(folder.at("below")).unwrap();
    fs::rename(folder.at("in.o"), folder.at("below/jit.1.o")).unwrap();
    fs::rename(folder.at("in.session.json"), folder.at("below/jit.1.session.json")).unwrap();
    folder.run("below/jit.1.o -o out2.o").silently();
    assert_eq!(folder.bytes("out2.o"), folder.bytes("out.o"));
}

#[test]
fn a_map_in_the_object_goes_before_one_beside_it() {
    let quoted = NAMED.replace('"', "\\\"").replace('\n', "\\n");
    // As a C string and padded: NULs at the end belong to the section and not to the map.
    let source = format!(
        "{ONE_CALL}\n.section .relocfix.session_map, \"\", @progbits\n.asciz \"{quoted}\"\n.zero 9\n"
    );
    let Some(folder) = Folder::with_object(&source) else {
        return;
    };
    // Not even read: it may be about another object of that name.
    folder.write("in.session.json", "no JSON");
    folder.run("in.o -o out.o").silently();
    assert_eq!(undefined_symbols(&folder.bytes("out.o")), ["puts"]);
    // And one on the command line before both.
    folder.write("in.session.json", NAMED_OTHERWISE);
    folder.run("in.o -o out.o -s in.session.json").silently();
    assert_eq!(undefined_symbols(&folder.bytes("out.o")), ["other_puts"]);
    let input = folder.bytes("in.o");
    folder.run_with_stdin("- -o out2.o", &input).silently();
    assert_eq!(undefined_symbols(&folder.bytes("out2.o")), ["puts"]);
}

#[test]
fn several_maps_add_up() {
    let second = "
        .text
    g:  movabs $0x7f3a1007ff00, %rax
        jmp *%rax
    ";
    let Some(folder) = Folder::with_object(&format!("{ONE_CALL}{second}")) else {
        return;
    };
    folder.write("one.json", NAMED);
    folder
        .write("two.json", r#"{"relocfix": 1, "symbols": [{"address": "0x7f3a1007ff00", "name": "exit"}]}"#);
    folder.run("in.o -o out.o -s one.json -s two.json").silently();
    let mut names = undefined_symbols(&folder.bytes("out.o"));
    names.sort();
    assert_eq!(names, ["exit", "puts"]);
}

#[test]
fn without_a_map_the_error_says_how_to_get_one() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    let run = folder.run("in.o -o out.o").fails(2, "in.o: no session map");
    for hint in [".relocfix.session_map", "in.session.json", "-s FILE", "--maps FILE", "--symbols FILE"] {
        assert!(run.stderr.contains(hint), "{hint}: {}", run.stderr);
    }
    let input = folder.bytes("in.o");
    let run = folder.run_with_stdin("- -o out.o", &input).fails(2, "<stdin>: no session map");
    assert!(!run.stderr.contains("session.json"), "{}", run.stderr);
    assert_eq!(folder.names(), ["in.o"]);
}

#[test]
fn mappings_and_symbols_alone_are_a_map() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("maps", PROC_MAPS);
    folder.write("names", "00007f3a1007fe50 T puts\n");
    folder.run("in.o -o out.o --maps maps").fails(1, "[heap]");
    folder.run("in.o -o out.o --maps maps --symbols names").silently();
    assert_eq!(undefined_symbols(&folder.bytes("out.o")), ["puts"]);
    folder.run("in.o -o out2.o --symbols names").silently();
    assert_eq!(folder.bytes("out2.o"), folder.bytes("out.o"));
    // A perf map has sizes.
    folder.write("perf", "7f3a1007fe50 10 puts\n");
    folder.run("in.o -o out3.o --symbols perf").silently();
    assert_eq!(folder.bytes("out3.o"), folder.bytes("out.o"));
}

#[test]
fn a_wrong_map_is_named() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.run("in.o -o out.o -s map.json").fails(2, "map.json: cannot be read: No such file");
    folder.write("map.json", "{\"relocfix\": 1,\n \"symbols\": [}");
    folder.run("in.o -o out.o -s map.json").fails(2, "map.json: ");
    folder.run("check in.o -s map.json").fails(2, "map.json: ");
    folder.write("maps", "not a line of maps\n");
    folder.run("in.o -o out.o --maps maps").fails(2, "maps: ");
    folder.write("in.session.json", "[]");
    folder.run("in.o -o out.o").fails(2, "in.session.json: ");
    assert_eq!(folder.names(), ["in.o", "in.session.json", "map.json", "maps"]);
}
