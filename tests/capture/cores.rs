//! Core files: what a process that crashed knew is what the live one did.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::hosts::{is_certain, own_copy_of_libc};
use crate::session::{
    HIDDEN_IN_STATIC_PIE, Session, compile, jit_object, knower, knower_with_code, read_map, warned,
};
use crate::support::command::succeed;
use crate::support::relocfix::{assert_same, fix, refused, tool};
use crate::support::toolchain;

/// A program with all that a map can hold but a perf map, which a core file says nothing of.
fn session(folder: &Path, program: PathBuf) -> Result<Session, String> {
    // The shell lets it write a core file; it is the program that runs in the end.
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).arg(program).arg(jit_object(folder)?);
    shell.current_dir(folder).env("GLIBC_TUNABLES", "glibc.malloc.check=0");
    let mut session = Session::start(&mut shell)?;
    fs::remove_file(format!("/tmp/perf-{}.map", session.child.id())).map_err(|error| error.to_string())?;
    session.known.retain(|(name, _)| name != "jit_map");
    wait_for_threads(session.pid)?;
    Ok(session)
}

/// Until all threads wait in the kernel, which tells where the stacks of those are.
fn wait_for_threads(pid: u32) -> Result<(), String> {
    let calls = || -> std::io::Result<Vec<String>> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
        tasks.map(|task| fs::read_to_string(task?.path().join("syscall"))).collect()
    };
    while calls().map_err(|error| error.to_string())?.iter().any(|call| call.starts_with("running")) {
        std::thread::yield_now();
    }
    Ok(())
}

/// That the stacks of all threads of a running process have their names.
fn assert_stacks_are_named(map: &Path, pid: u32) -> Result<(), String> {
    let map = read_map(map)?;
    let paths = map["mappings"].as_array().into_iter().flatten().filter_map(|m| m["path"].as_str());
    let found: BTreeSet<String> =
        paths.filter(|path| path.starts_with("[stack")).map(str::to_owned).collect();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| error.to_string())?;
    let tasks: Vec<String> = tasks.flatten().map(|t| t.file_name().to_string_lossy().into_owned()).collect();
    let name = |thread: &String| match *thread == pid.to_string() {
        true => "[stack]".to_owned(),
        false => format!("[stack:{thread}]"),
    };
    assert_eq!(tasks.len(), 2);
    assert_eq!(found, tasks.iter().map(name).collect());
    Ok(())
}

fn capture_core(core: &Path, map: &Path) -> Result<Value, String> {
    let finished = succeed(tool().args(["capture", "--core"]).arg(core).arg("-o").arg(map))?;
    assert_eq!(finished.stderr, "", "{}", finished.shown);
    read_map(map)
}

/// That two maps fix an object alike.
fn assert_fixed_alike(object: &Path, live: &Path, core: &Path) -> Result<(), String> {
    let outputs = [live.with_extension("o"), core.with_extension("o")];
    fix::<&str>(object, &outputs[0], Some(live), &[])?;
    fix::<&str>(object, &outputs[1], Some(core), &[])?;
    assert_same(&outputs[0], &outputs[1])
}

/// A debugger does not write what is in files, nor what the kernel shares with the process.
#[test]
fn of_a_debugger() -> Result<(), String> {
    if toolchain::require("gcore").is_none() {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let session = session(folder, knower(folder)?)?;
    let maps = [folder.join("live.json"), folder.join("core.json")];
    let live = session.capture(&maps[0], &[])?;
    let pid = session.child.id().to_string();
    succeed(Command::new("gcore").arg("-o").arg(folder.join("core")).arg(&pid))?;
    let core = capture_core(&folder.join(format!("core.{pid}")), &maps[1])?;
    assert_eq!(live["symbols"], core["symbols"]);
    assert_stacks_are_named(&maps[1], session.pid)?;
    // What files of data may be used for, only the process knew.
    let told = |map: &Value| -> Vec<String> {
        let all = map["mappings"].as_array().cloned().unwrap_or_default();
        let path = |m: &Value| m["path"].as_str().unwrap_or_default().to_owned();
        // Nor that memory may not even be read, as that before the stack of a thread.
        let guard = |m: &Value| path(m).is_empty() && (m["perms"] == "---" || m["perms"] == "r--");
        let known =
            all.iter().filter(|m| !path(m).starts_with("[vvar") && !path(m).ends_with(".dump") && !guard(m));
        known.map(Value::to_string).collect()
    };
    for (one, other) in told(&live).into_iter().zip(told(&core)) {
        assert_eq!(one, other);
    }
    assert_eq!(told(&live).len(), told(&core).len());
    assert_fixed_alike(&session.object(folder)?, &maps[0], &maps[1])
}

/// Whether the kernel writes core files into the folder of who crashes.
fn writes_core_files() -> bool {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let elsewhere = pattern.trim().starts_with('|') || pattern.contains('/');
    if elsewhere {
        toolchain::skip("this system gives core files to a program of its own");
    }
    !elsewhere
}

/// The kernel's own core file, with the very same map as the live process, threads included.
fn assert_crash_tells_the_same(folder: &Path, mut session: Session) -> Result<PathBuf, String> {
    let object = session.object(folder)?;
    let maps = [folder.join("live.json"), folder.join("core.json")];
    session.capture(&maps[0], &[])?;
    assert_stacks_are_named(&maps[0], session.pid)?;
    session.crash()?;
    let core = core_in(folder)?;
    capture_core(&core, &maps[1])?;
    assert_same(&maps[0], &maps[1])?;
    assert_fixed_alike(&object, &maps[0], &maps[1])?;
    Ok(core)
}

#[test]
fn of_a_crash() -> Result<(), String> {
    if !writes_core_files() {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let core = assert_crash_tells_the_same(folder, session(folder, knower(folder)?)?)?;

    // What is left of one that was cut off, anywhere, is an error or less of a map.
    let bytes = fs::read(&core).map_err(|error| error.to_string())?;
    let cut = folder.join("cut");
    for length in (0..200).map(|n| n * 97).chain((0..20).map(|n| bytes.len() * n / 20)) {
        fs::write(&cut, &bytes[..length.min(bytes.len())]).map_err(|error| error.to_string())?;
        let mut command = tool();
        command.args(["capture", "-q", "--core"]).arg(&cut).arg("-o").arg(folder.join("cut.json"));
        let finished = crate::support::command::run(&mut command)?;
        assert!(matches!(finished.status.code(), Some(0 | 2)), "{length}: {}", finished.describe());
    }
    Ok(())
}

/// The same of programs that have all that they use.
#[test]
fn of_a_crash_without_a_dynamic_linker() -> Result<(), String> {
    if !writes_core_files() {
        return Ok(());
    }
    for kind in [["-static-pie", "-fPIE"], ["-static", "-fno-pie"]] {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let folder = folder.path();
        let program = compile(folder, "knower.c", &[&kind[..], &["-lm", "-lstdc++"]].concat())?;
        let mut session = session(folder, program)?;
        match kind[0] {
            "-static" => session.known.retain(|(name, _)| is_certain(name)),
            _ => session.known.retain(|(name, _)| !HIDDEN_IN_STATIC_PIE.contains(&name.as_str())),
        }
        assert_crash_tells_the_same(folder, session)?;
    }
    Ok(())
}

/// A debugger writes what is in no file any more. The kernel does not: the map says less then, and why, and never has the
/// names of another file that is at the path.
#[test]
fn of_a_process_with_a_deleted_library() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let libc = own_copy_of_libc(folder)?;
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$0\""]).arg(knower(folder)?).current_dir(folder);
    let mut session = Session::start(shell.env("LD_LIBRARY_PATH", folder))?;
    fs::remove_file(&libc).map_err(|error| error.to_string())?;
    let maps = [folder.join("live.json"), folder.join("core.json")];
    let live = session.capture(&maps[0], &[])?;
    if toolchain::require("gcore").is_some() {
        let pid = session.child.id().to_string();
        succeed(Command::new("gcore").arg("-o").arg(folder.join("debugger")).arg(&pid))?;
        let core = capture_core(&folder.join(format!("debugger.{pid}")), &maps[1])?;
        assert_eq!(live["symbols"], core["symbols"]);
    }
    if !writes_core_files() {
        return Ok(());
    }
    session.crash()?;
    let (map, said) = warned(&["--core", &core_in(folder)?.display().to_string()], &maps[1])?;
    let why = "libc.so.6 (deleted): what ";
    assert!(said.contains(why) && said.contains("what lies in it has no names"), "{said}");
    let of_libc = map["symbols"].as_array().into_iter().flatten().filter(|s| s["library"] == "libc.so.6");
    assert_eq!(of_libc.count(), 0);
    Ok(())
}

/// Which perf map is a process's that is no more only its user knows.
#[test]
fn with_a_perf_map() -> Result<(), String> {
    if toolchain::require("gcore").is_none() {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let mut session = knower_with_code(folder)?;
    let (object, pid) = (session.object(folder)?, session.pid.to_string());
    let perf = folder.join("perf.map");
    // It is believed as it is: without what it says of memory that holds no code.
    let text = fs::read_to_string(format!("/tmp/perf-{pid}.map")).map_err(|error| error.to_string())?;
    let text = text.lines().filter(|line| line.ends_with(" jit_map")).map(|line| format!("{line}\n"));
    fs::write(&perf, text.collect::<String>()).map_err(|error| error.to_string())?;
    succeed(Command::new("gcore").arg("-o").arg(folder.join("core")).arg(&pid))?;
    session.child.kill().and_then(|()| session.child.wait()).map_err(|error| error.to_string())?;
    let map = folder.join("core.json");
    capture_core(&folder.join(format!("core.{pid}")), &map)?;
    let output = folder.join("out.o");
    let mut without = tool();
    without.arg(&object).arg("-o").arg(&output).arg("-s").arg(&map);
    let remedy =
        "is in anonymous executable memory (code made at run time, of which no perf map is given".to_owned();
    refused(&mut without, &output, 1, &[remedy])?;
    let symbols = ["--symbols".to_owned(), perf.display().to_string()];
    let report = fix(&object, &output, Some(&map), &symbols)?.report;
    let places = report["places"].as_array().into_iter().flatten();
    assert_eq!(places.filter(|place| place["target"]["symbol"] == "jit_map").count(), 2, "{report:#}");
    Ok(())
}

fn core_in(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?.flatten();
    let mut cores = entries.map(|entry| entry.path()).filter(|path| {
        path.file_name().is_some_and(|name| name == "core" || name.to_string_lossy().starts_with("core."))
            && path.extension().is_none_or(|extension| extension != "json")
    });
    cores.next().ok_or("the crash left no core file".to_owned())
}

#[test]
fn what_is_no_core_file() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let map = folder.path().join("map.json");
    let fails = |core: &Path, text: &str| {
        let mut command = tool();
        command.args(["capture", "--core"]).arg(core).arg("-o").arg(&map);
        refused(&mut command, &map, 2, &[text.to_owned()]).map(drop)
    };
    fails(Path::new("/proc/self/exe"), "is no core file: give what the kernel wrote")?;
    fails(&folder.path().join("missing"), "cannot be read: No such file or directory")?;
    fails(Path::new("/dev/null"), "is no core file")?;
    let text = folder.path().join("text");
    fs::write(&text, "core").map_err(|error| error.to_string())?;
    fails(&text, "is no core file")
}
