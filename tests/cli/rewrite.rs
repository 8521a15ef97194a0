//! What a rewrite writes, where, and when it does not.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::process::Command;

use object::{Object, ObjectSection, RelocationFlags};

use crate::{Folder, MAPPED, NAMED, ONE_CALL, Run, holds_the_address};

/// Of `fcntl.h`, on Linux for x86-64.
const O_NONBLOCK: i32 = 0o4000;

#[test]
fn unresolved_places_are_listed_at_once_and_nothing_is_written() {
    let second = "
        .data
        .balign 8
        .quad 0, 0x7f3a10000010
    ";
    let Some(folder) = Folder::with_object(&format!("{ONE_CALL}{second}")) else {
        return;
    };
    folder.write("map.json", MAPPED);
    folder.write("out.o", "what was there before");
    let before = fs::metadata(folder.at("out.o")).unwrap();
    let run = folder.run("in.o -o out.o -s map.json --report report.json --depfile out.d");
    let run = run.fails(1, "relocfix: error: in.o: .text+0x2 (f): 0x7f3a1007fe50 is in [heap]");
    let second = "\nrelocfix: error: in.o: .data+0x8: 0x7f3a10000010 is in [heap]";
    assert!(run.stderr.contains(second), "{}", run.stderr);
    assert_eq!(folder.text("out.o"), "what was there before");
    assert_eq!(fs::metadata(folder.at("out.o")).unwrap().ino(), before.ino());
    // The report lists them too: it is what one fixes the map with.
    let report: serde_json::Value = serde_json::from_str(&folder.text("report.json")).unwrap();
    assert_eq!(report["summary"]["unresolved"], 2);
    assert_eq!(report["places"][0]["target"], serde_json::Value::Null);
    assert_eq!(folder.names(), ["in.o", "map.json", "out.o", "report.json"]);

    let run = folder.run("in.o -o in.o -s map.json").exits(1);
    assert_eq!(run.stderr.lines().count(), 2);
    assert!(holds_the_address(&folder.bytes("in.o")));
}

#[test]
fn unresolved_places_can_be_kept() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("map.json", MAPPED);
    let run = folder.run("in.o -o out.o -s map.json --unresolved keep").exits(0);
    assert!(run.stderr.starts_with("relocfix: warning: in.o: .text+0x2 (f): "), "{}", run.stderr);
    assert!(holds_the_address(&folder.bytes("out.o")));
    assert_eq!(folder.bytes("out.o"), folder.bytes("in.o"), "where nothing is done nothing changes");
    folder.run("in.o -o out.o -s map.json --unresolved keep -q").silently();
    folder.run("in.o -o out.o -s map.json --unresolved error").fails(1, "[heap]");
}

#[test]
fn an_output_that_is_already_right_is_left_alone() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    folder.run("in.o -o out.o").silently();
    let first = fs::metadata(folder.at("out.o")).unwrap();
    folder.run("in.o -o out.o").silently();
    let second = fs::metadata(folder.at("out.o")).unwrap();
    assert_eq!((first.ino(), first.mtime_nsec()), (second.ino(), second.mtime_nsec()));
    folder.run("in.o -o out.o --relocation-model static").silently();
    assert_ne!(fs::metadata(folder.at("out.o")).unwrap().ino(), first.ino());
}

#[test]
fn the_output_has_the_inputs_mode() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    for mode in [0o640, 0o755, 0o444] {
        fs::set_permissions(folder.at("in.o"), fs::Permissions::from_mode(mode)).unwrap();
        folder.run(&format!("in.o -o {mode:o}.o")).silently();
        let out = fs::metadata(folder.at(&format!("{mode:o}.o"))).unwrap();
        assert_eq!(out.mode() & 0o7777, mode);
    }
}

#[test]
fn the_input_can_be_the_output() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("map.json", NAMED);
    fs::hard_link(folder.at("in.o"), folder.at("original.o")).unwrap();
    folder.run("in.o -o out.o -s map.json").silently();
    folder.run("in.o -o in.o -s map.json").silently();
    assert_eq!(folder.bytes("in.o"), folder.bytes("out.o"));
    // Its other name keeps what was there: the file was replaced and not written into.
    assert!(holds_the_address(&folder.bytes("original.o")));
    assert_eq!(folder.names(), ["in.o", "map.json", "original.o", "out.o"]);
}

#[test]
fn what_is_fixed_needs_no_map_and_stays() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("map.json", NAMED);
    folder.run("in.o -o fixed.o -s map.json").silently();
    folder.run("fixed.o -o again.o").silently();
    assert_eq!(folder.bytes("again.o"), folder.bytes("fixed.o"));
    let run = folder.run("check fixed.o").exits(0);
    assert!(run.stdout().contains("no session-specific constants"), "{}", run.stdout());
}

#[test]
fn without_a_place_the_output_is_the_input() {
    let Some(folder) = Folder::with_object(".text\nf: ret\n") else {
        return;
    };
    folder.write("in.session.json", NAMED);
    folder.run("in.o -o out.o").silently();
    assert_eq!(folder.bytes("out.o"), folder.bytes("in.o"));
    let run = folder.run("check in.o").exits(0);
    assert_eq!(run.stdout(), "in.o: no session-specific constants\n");
}

#[test]
fn standard_input_and_output() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("map.json", NAMED);
    folder.run("in.o -o out.o -s map.json").silently();
    let out = folder.bytes("out.o");
    let run = folder.run("in.o -o - -s map.json -v").exits(0);
    assert_eq!(run.stdout, out);
    assert!(run.stderr.contains("puts"), "{}", run.stderr);
    let input = folder.bytes("in.o");
    assert_eq!(folder.run_with_stdin("- -o - -s map.json", &input).exits(0).stdout, out);
    folder.run_with_stdin("- -o out2.o -s map.json", &input).silently();
    assert_eq!(folder.bytes("out2.o"), out);
    folder.run_with_stdin("check - -s map.json", &input).exits(1);
}

#[test]
fn the_relocation_model() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    let relocation = |model: &str| {
        folder.run(&format!("in.o -o out.o{model}")).silently();
        let bytes = folder.bytes("out.o");
        let file = object::File::parse(&*bytes).unwrap();
        let text = file.section_by_name(".text").unwrap();
        match text.relocations().map(|(_, relocation)| relocation.flags()).collect::<Vec<_>>()[..] {
            [RelocationFlags::Elf { r_type }] => r_type,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(relocation(" --relocation-model static"), object::elf::R_X86_64_64);
    let pic = relocation(" --relocation-model pic");
    assert_eq!(pic, object::elf::R_X86_64_REX_GOTPCRELX);
    assert_eq!(relocation(""), pic);
    assert_eq!(relocation(" --private error"), pic);
}

#[test]
fn threads_do_not_change_the_output() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    folder.run("in.o -o out.o").silently();
    for threads in [1, 2, 7] {
        folder.run(&format!("in.o -o out{threads}.o -j {threads}")).silently();
        assert_eq!(folder.bytes(&format!("out{threads}.o")), folder.bytes("out.o"));
    }
}

#[test]
fn outputs_that_cannot_be_written() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    fs::create_dir(folder.at("folder")).unwrap();
    let run = folder.run("in.o -o missing/out.o").exits(2);
    let expected = "relocfix: error: missing/out.o: cannot be written: there is no folder missing\n";
    assert_eq!(run.stderr, expected);
    folder.run("in.o -o folder").fails(2, "folder: cannot be written: Is a directory");
    folder.run("in.o -o new/").fails(2, "new/: cannot be written: Is a directory");
    folder.run("in.o -o in.o/out.o").fails(2, "in.o/out.o: cannot be written: Not a directory");
    // Opened here and only for the table: a path to a device is nothing to give to a test that root may run.
    if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
        let run = folder.command("check in.o").stdout(full).output().unwrap();
        Run::new("check in.o >/dev/full", run)
            .fails(2, "<stdout>: cannot be written: No space left on device");
    }
    assert!(fs::read_dir(folder.at("folder")).unwrap().next().is_none());
    assert_eq!(folder.names(), ["folder", "in.o", "in.session.json"]);
}

#[test]
fn files_of_one_run_are_kept_apart() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    folder.run("in.o -o in.session.json").fails(2, "--output and a map are the same file");
    folder.run("in.o -o out.o --report in.o").fails(2, "--report and IN.o are the same file");
    folder.run("check in.o --report ./in.o").fails(2, "--report and IN.o are the same file");
    folder.run("in.o -o out.o --report ./out.o").fails(2, "--report and --output are the same file");
    folder.run("in.o -o out.o --depfile out.o").fails(2, "--depfile and --output are the same file");
    assert_eq!(folder.text("in.session.json"), NAMED);
    assert_eq!(folder.names(), ["in.o", "in.session.json"]);
}

#[test]
fn a_named_pipe_is_written_into() {
    let Some(folder) = Folder::with_object(ONE_CALL) else {
        return;
    };
    folder.write("in.session.json", NAMED);
    folder.run("in.o -o out.o").silently();
    let made = Command::new("mkfifo").arg("pipe").current_dir(&folder.0).status();
    assert!(made.unwrap().success());
    // For reading and writing and without waiting: no defect shall leave anybody at the other end.
    let mut pipe =
        fs::File::options().read(true).write(true).custom_flags(O_NONBLOCK).open(folder.at("pipe")).unwrap();
    folder.run("in.o -o pipe").silently();
    let expected = folder.bytes("out.o");
    let mut piped = vec![0; expected.len()];
    pipe.read_exact(&mut piped).unwrap();
    assert_eq!(piped, expected);
    assert!(fs::metadata(folder.at("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(folder.names(), ["in.o", "in.session.json", "out.o", "pipe"]);
}
