//! Processes that cannot be read, and what is said about them. Nothing is written then.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::session::{Session, knower, read_map};
use crate::support::command::run;
use crate::support::relocfix::{refused, tool};
use crate::support::toolchain;

/// `capture` of that process, which must fail and say all of these.
fn fails(command: &mut Command, folder: &Path, pid: &str, texts: &[&str]) -> Result<(), String> {
    let map = folder.join("map.json");
    let texts: Vec<String> = texts.iter().map(|text| format!("process {pid}: {text}")).collect();
    refused(command.args(["capture", "--pid", pid, "-o"]).arg(&map), &map, 2, &texts).map(drop)
}

#[test]
fn no_such_process() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    // Linux gives no number above 2^22.
    fails(&mut tool(), folder.path(), "99999999", &["there is none that this user can see"])
}

#[test]
fn a_process_that_has_ended() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut child = Command::new("true").spawn().map_err(|error| error.to_string())?;
    // Until it is waited for, its number stays its own.
    let status = format!("/proc/{}/stat", child.id());
    while !fs::read_to_string(&status).map_err(|error| error.to_string())?.contains(") Z ") {
        std::thread::yield_now();
    }
    let said =
        fails(&mut tool(), folder.path(), &child.id().to_string(), &["has ended or runs another program"]);
    child.wait().map_err(|error| error.to_string())?;
    said
}

#[test]
fn a_thread_of_the_kernel() -> Result<(), String> {
    // On Linux that is the second one there is; a container does not show it.
    if !fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
        toolchain::skip("/proc does not show the kernel's own processes");
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let expected = if is_root() { "is a thread of the kernel" } else { "its memory cannot be read" };
    fails(&mut tool(), folder.path(), "2", &[expected])
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

/// Another user's process: the first one, or if root asks, its own asked for by nobody.
#[test]
fn a_process_that_may_not_be_read() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    open(folder.path(), 0o777).map_err(|error| error.to_string())?;
    let expected = ["its memory cannot be read: Permission denied: run as the same user or as root"];
    if !is_root() {
        return fails(&mut tool(), folder.path(), "1", &expected);
    }
    // Where this is built may be root's alone.
    let copy = folder.path().join("relocfix");
    fs::copy(env!("CARGO_BIN_EXE_relocfix"), &copy).map_err(|error| error.to_string())?;
    open(&copy, 0o755).map_err(|error| error.to_string())?;
    let nobody = 65534;
    let own = std::process::id().to_string();
    fails(Command::new(&copy).uid(nobody).gid(nobody), folder.path(), &own, &expected)
}

/// Whenever it ends, there is a map of what it knew, or an error and no file.
#[test]
fn a_process_that_ends_meanwhile() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let program = knower(folder)?;
    let map = folder.join("map.json");
    let mut complete: Option<usize> = None;
    // The first one before anything is read, the last one after all is written.
    for delay in (0..12).map(|n| n * 7).chain([10_000]) {
        let mut session = Session::start(&mut Command::new(&program))?;
        let mut command = tool();
        command.args(["capture", "--pid", &session.pid.to_string(), "-o"]).arg(&map);
        let capture = std::thread::spawn(move || run(&mut command));
        let until = Instant::now() + Duration::from_millis(delay);
        while Instant::now() < until && !capture.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        session.child.kill().map_err(|error| error.to_string())?;
        let finished = capture.join().map_err(|_| "the thread")??;
        if finished.status.code() == Some(0) {
            assert_eq!(finished.stderr, "", "{delay}");
            let count = read_map(&map)?["symbols"].as_array().map_or(0, Vec::len);
            assert_eq!(count, *complete.get_or_insert(count), "{delay}");
            fs::remove_file(&map).map_err(|error| error.to_string())?;
        } else {
            let said = format!("process {}: has ended or runs another program", session.pid);
            assert!(finished.stderr.contains(&said), "{delay}: {}", finished.describe());
            assert_eq!(finished.status.code(), Some(2), "{delay}");
        }
        // Nothing half written is left, under whatever name.
        let left = fs::read_dir(folder).map_err(|error| error.to_string())?.flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["knower"], "{delay}");
    }
    assert!(complete.is_some_and(|count| count > 20), "{complete:?}");
    Ok(())
}
