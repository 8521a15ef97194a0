//! What a run tells: report, dependencies, check's table, messages and colours.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use object::{Object, ObjectSymbol};

use crate::{Folder, MAPPED, NAMED, ONE_CALL, Run, undefined_symbols};

#[test]
fn the_report() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    folder.run("in.o -o out.o --report report.json").silently();
    let report = folder.text("report.json");
    assert!(report.starts_with("{\n  \"relocfix\": 1,\n  \"input\": \"in.o\"") && report.ends_with("}\n"));
    let printed = folder.run("in.o -o out.o --report -").exits(0);
    assert_eq!(printed.stdout(), report);
    assert!(printed.stderr.is_empty());
    let report = printed.json();
    assert_eq!((&report["format"], &report["machine"]), (&"elf".into(), &"x86_64".into()));
    let place = &report["places"][0];
    assert_eq!(place["section"], ".text");
    assert_eq!(place["offset"], 2);
    assert_eq!(place["width"], 8);
    assert_eq!(place["value"], "0x7f3a1007fe50");
    assert_eq!(place["function"], "f");
    assert_eq!(place["target"], serde_json::json!({"symbol": "puts", "offset": 0}));
    assert_eq!(report["summary"]["resolved"], 1);
    // Like the output, it is whole or not there.
    folder
        .run("in.o -o new.o --report missing/report.json")
        .fails(2, "missing/report.json: cannot be written");
    assert_eq!(folder.names(), ["in.o", "in.session.json", "out.o", "report.json"]);
}

#[test]
fn the_dependency_file_names_object_maps_and_files_read() {
    let source = "
        .text
        .globl f
    f:  movabs $0x7f3a10000000, %rax
        ret
    ";
    let Some(folder) = Folder::with_object(source) else {
        return;
    };
    folder.write("the map.json", NAMED);
    folder.write(
        "blob.json",
        r#"{"relocfix": 1, "values": [{"name": "blob", "address": "0x7f3a10000000", "size": 4,
            "init": {"bytes": {"file": "blob.bin"}}}]}"#,
    );
    folder.write("blob.bin", "blob");
    let mut command = folder.command("in.o -o out.o --depfile out.d -s blob.json -s");
    let output = command.arg("the map.json").output().unwrap();
    Run::new("with a map whose name has a space", output).silently();
    let expected = "out.o: \\\n  in.o \\\n  blob.json \\\n  the\\ map.json \\\n  ./blob.bin\n";
    assert_eq!(folder.text("out.d"), expected);

    // Make agrees on what it says: once one of them is newer, the output is old.
    if Command::new("make").arg("--version").output().is_ok() {
        folder.write("Makefile", "out.o:\n\tfalse\ninclude out.d\n");
        let is_old = || {
            let question = Command::new("make").arg("-q").current_dir(&folder.0).status().unwrap();
            question.code() == Some(1)
        };
        assert!(!is_old());
        let later = fs::metadata(folder.at("out.o")).unwrap().modified().unwrap() + Duration::from_secs(10);
        for name in ["in.o", "the map.json", "blob.bin"] {
            let file = fs::File::options().append(true).open(folder.at(name)).unwrap();
            let before = file.metadata().unwrap().modified().unwrap();
            file.set_modified(later).unwrap();
            assert!(is_old(), "{name}");
            file.set_modified(before).unwrap();
            assert!(!is_old(), "{name}");
        }
    }

    folder.run("in.o -o - --depfile out.d -s blob.json").fails(2, "--depfile");
    folder
        .run("in.o -o new.o --depfile missing/out.d -s blob.json")
        .fails(2, "missing/out.d: cannot be written");
    assert!(!folder.at("new.o").exists());
}

#[test]
fn images_that_were_read_are_dependencies() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.assemble(
        ".text\n.globl puts\n.type puts, @function\n.zero 0xe50\nputs: ret\n.size puts, . - puts\n",
        "lib.o",
    );
    let linked =
        Command::new("ld").args(["-shared", "lib.o", "-o", "lib.so"]).current_dir(&folder.0).status();
    assert!(linked.unwrap().success());
    // Mapped so that `puts` has the address which the object calls.
    let library = folder.bytes("lib.so");
    let file = object::File::parse(&*library).unwrap();
    let puts = file.dynamic_symbols().find(|symbol| symbol.name() == Ok("puts")).unwrap().address();
    let base = 0x7f3a_1007_fe50 - puts;
    let path = folder.at("lib.so");
    let mapping = serde_json::json!({"relocfix": 1, "mappings": [{"start": base, "end": base + 0x100_0000,
        "offset": 0, "perms": "r-xp", "path": path}]});
    folder.write("map.json", &mapping.to_string());
    folder.run("in.o -o out.o -s map.json --depfile out.d").silently();
    assert_eq!(undefined_symbols(&folder.bytes("out.o")), ["puts"]);
    let dependencies = folder.text("out.d");
    assert!(dependencies.ends_with(&format!("\n  map.json \\\n  {}\n", path.display())), "{dependencies}");
}

#[test]
fn check_prints_a_table_or_json() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    let run = folder.run("check in.o").exits(1);
    assert!(run.stderr.is_empty(), "{}", run.stderr);
    let lines: Vec<_> = run.stdout().lines().collect();
    for title in ["PLACE", "BYTES", "VALUE", "FUNCTION", "MEANING", "DELIVERY"] {
        assert!(lines[0].contains(title), "{}", run.stdout());
    }
    let cells: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(cells, [".text+0x2", "code", "8", "0x7f3a1007fe50", "f", "puts", "got"]);
    assert!(
        lines.last().unwrap().starts_with("in.o: 1 session-specific constant (1 resolved, 0 unresolved)")
    );

    let json = folder.run("check in.o --report -").exits(1).json();
    assert_eq!(json["places"][0]["delivery"], "got");
    let both = folder.run("check in.o --report report.json").exits(1);
    assert_eq!(both.stdout(), run.stdout());
    assert_eq!(serde_json::from_str::<serde_json::Value>(&folder.text("report.json")).unwrap(), json);
    let quiet = folder.run("check in.o -q").exits(1);
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());
    let json = folder.run("check in.o --report - --relocation-model static").exits(1).json();
    assert_eq!(json["places"][0]["delivery"], "direct");
    assert_eq!(folder.names(), ["in.o", "in.session.json", "report.json"]);
}

#[test]
fn check_finds_what_is_unresolved() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", MAPPED);
    let run = folder.run("check in.o").exits(1);
    assert!(run.stdout().contains("unresolved") && run.stdout().contains("[heap]"), "{}", run.stdout());
}

#[test]
fn check_without_a_map_lists_what_needs_none_and_exits_2() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    let run = folder.run("check in.o").exits(2);
    assert_eq!(run.stdout(), "in.o: no session-specific constants\n");
    assert!(run.stderr.contains("in.o: no session map"), "{}", run.stderr);
    assert!(run.stderr.contains("addresses are not known"), "{}", run.stderr);

    let word = "0x7f3a1007fe50";
    let source =
        format!(".data\n.globl global.7f3a1007fe50\nglobal.7f3a1007fe50: .quad {word}\n.quad {word}\n");
    let Some(folder) = Folder::with_object(&source) else {
        return;
    };
    let run = folder.run("check in.o").exits(2);
    let table = run.stdout();
    assert!(table.contains(".data+0x0"), "{table}");
    assert!(!table.contains(".data+0x8"), "{table}");
}

#[test]
fn what_would_only_be_lowered_does_not_count() {
    let source = "
        .text
    f:  movabs $puts, %rax
        jmp *%rax
    ";
    let Some(folder) = Folder::with_object(source) else {
        return;
    };
    folder.write("in.session.json", MAPPED);
    let run = folder.run("check in.o").exits(0);
    assert!(
        run.stdout().contains("LOWERED RELOCATION") && run.stdout().contains(".text+0x2"),
        "{}",
        run.stdout()
    );
}

#[test]
fn verbose_goes_to_standard_error() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    let run = folder.run("in.o -o out.o -v").exits(0);
    assert!(run.stdout.is_empty());
    assert!(run.stderr.contains(".text+0x2") && run.stderr.contains("1 resolved"), "{}", run.stderr);
}

#[test]
fn colour_where_it_is_wanted() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", MAPPED);
    let coloured = |arguments: &str| {
        let run = folder.run(arguments).exits(1);
        run.stderr.contains('\x1b') || run.stdout.contains(&0x1b)
    };
    // Pipes are no terminals.
    assert!(!coloured("in.o -o out.o") && !coloured("check in.o"));
    assert!(!coloured("in.o -o out.o --color never") && !coloured("check in.o --color never"));
    assert!(coloured("in.o -o out.o --color always") && coloured("check in.o --color always"));
    assert!(!coloured("check in.o --color always --report -"));
}

#[test]
fn a_reader_that_leaves_is_no_panic() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("map.json", NAMED);
    let input = folder.bytes("in.o");
    for (arguments, status) in [("check - -s map.json", 1), ("- -o - -s map.json", 2)] {
        let mut command = folder.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It writes when it has read, and by then nobody listens.
        drop(child.stdout.take());
        child.stdin.take().unwrap().write_all(&input).unwrap();
        Run::new(arguments, child.wait_with_output().unwrap()).exits(status);
    }
}
