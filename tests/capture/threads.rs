//! What addresses in threads' memory are said to be: stacks, and thread-local variables of libraries and the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::session::{Session, compile, read_map};
use crate::support::command::succeed;
use crate::support::relocfix::{refused, tool};
use crate::support::toolchain;

/// A library with thread-local variables.
fn library(folder: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let (source, library) = (folder.join(name).with_extension("c"), folder.join(format!("lib{name}.so")));
    fs::write(&source, text).map_err(|error| error.to_string())?;
    succeed(Command::new("gcc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source))?;
    Ok(library)
}

/// A program of four threads: the first, one that waits, one that runs, and one on a stack of the program's.
fn session(folder: &Path, options: &[&str]) -> Result<Session, String> {
    let later = "static __thread long variable[40];\nlong *of_later(void) { return &variable[20]; }\n";
    let later = library(folder, "later", later)?;
    library(folder, "library", "__thread long of_library[100];\n")?;
    let place = format!("-L{}", folder.display());
    let mut all = vec!["-pthread", &place, "-llibrary", "-ldl"];
    all.extend(options);
    let program = compile(folder, "threads.c", &all)?;
    Session::start(Command::new(program).arg(later).env("LD_LIBRARY_PATH", folder))
}

/// What is to be said of an address that the program calls by that name.
fn expected(known: &str, pid: u32) -> Result<String, String> {
    let (kind, thread) = known.split_once('-').ok_or(known)?;
    Ok(match kind {
        "stack" if thread == pid.to_string() => "is in [stack], the first thread's, which lasts".to_owned(),
        "stack" => format!("is in thread {thread}'s stack, which lasts"),
        "control" => format!("is in the control block of thread {thread}, which lasts"),
        block => {
            let name = if block == "program" { "threads".to_owned() } else { format!("lib{block}.so") };
            format!("is in the thread-local block of {name} (thread {thread}), and each")
        }
    })
}

/// That every address is said to be what it is, with that map.
fn assert_told(folder: &Path, session: &Session, map: &Path) -> Result<(), String> {
    assert_eq!(session.known.len(), 4 * 5, "{:?}", session.known);
    let object = session.object(folder)?;
    let output = folder.join("out.o");
    let mut command = tool();
    command.arg(&object).arg("-o").arg(&output).arg("-s").arg(map);
    let said = refused(&mut command, &output, 1, &[])?.stderr;
    for (known, address) in &session.known {
        let expected = expected(known, session.pid)?;
        let about = format!("{address:#x} {expected}");
        assert_eq!(said.matches(&about).count(), 2, "{known}: {about}\n{said}");
    }
    Ok(())
}

#[test]
fn of_a_process_and_its_core_file() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let session = session(folder, &[])?;
    let maps = ["live", "needed", "core"].map(|name| folder.join(name).with_extension("json"));
    let whole = session.capture(&maps[0], &[])?;
    assert_told(folder, &session, &maps[0])?;
    let object = folder.join("in.o").display().to_string();
    let needed = session.capture(&maps[1], &["--for", &object])?;
    assert_told(folder, &session, &maps[1])?;
    let count = |map: &serde_json::Value| map["mappings"].as_array().map_or(0, Vec::len);
    assert!(count(&needed) < count(&whole), "{needed:#}");

    // What others say of that memory, as one mapping, goes together with it.
    let copy = folder.join("maps");
    fs::copy(format!("/proc/{}/maps", session.pid), &copy).map_err(|error| error.to_string())?;
    let mut check = tool();
    check.arg("check").arg(&object).arg("-s").arg(&maps[0]).arg("--maps").arg(&copy).args(["--report", "-"]);
    let both = crate::support::command::run(&mut check)?;
    assert!(
        both.status.code() == Some(1) && both.text().contains("thread-local block of"),
        "{}",
        both.describe()
    );

    if toolchain::require("gcore").is_none() {
        return Ok(());
    }
    let pid = session.pid.to_string();
    succeed(Command::new("gcore").arg("-o").arg(folder.join("core")).arg(&pid))?;
    let core = folder.join(format!("core.{pid}"));
    let finished = succeed(tool().args(["capture", "--core"]).arg(&core).arg("-o").arg(&maps[2]))?;
    assert_eq!(finished.stderr, "", "{}", finished.shown);
    read_map(&maps[2])?;
    assert_told(folder, &session, &maps[2])
}

/// At a fixed address, where numbers may be as large as addresses in the heap behind it.
#[test]
fn of_a_program_at_a_fixed_address() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let session = session(folder, &["-no-pie", "-fno-pie"])?;
    let map = folder.join("map.json");
    session.capture(&map, &[])?;

    assert_told(folder, &session, &map)
}
