//! What cannot be known for sure gets no name, and the user is told.

use std::fs::{self, File};
use std::os::unix::fs::{chown, symlink};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::session::{Session, foreign_libc, knower, knower_with_code, number, warned};
use crate::support::command::{run, succeed};
use crate::support::relocfix::tool;

/// The name that a map gives to an address.
fn name_of<'m>(map: &'m Value, session: &Session, known: &str) -> Option<&'m str> {
    let address = session.known.iter().find(|(name, _)| name == known)?.1;
    let symbols = map["symbols"].as_array()?;
    symbols.iter().find(|symbol| number(&symbol["address"]) == address)?["name"].as_str()
}

fn folder() -> Result<tempfile::TempDir, String> {
    tempfile::tempdir().map_err(|error| error.to_string())
}

#[test]
fn of_a_libc_that_is_not_the_systems() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    foreign_libc(folder)?;
    let program = knower(folder)?;
    let session = Session::start(Command::new(program).env("LD_LIBRARY_PATH", folder))?;
    let pid = session.pid.to_string();
    let (map, said) = warned(&["--pid", &pid], &folder.join("map.json"))?;
    assert!(said.contains("were bound and have a name: it is not this system's library"), "{said}");
    // What the process, or libc itself, has bound is known nevertheless.
    let bound =
        ["memcpy", "memmove", "strlen", "strchr", "strcmp", "memset", "time", "gettimeofday", "sin", "cos"];
    for known in bound {
        let expected = if known == "memcpy" { "memmove" } else { known };
        assert_eq!(name_of(&map, &session, known), Some(expected), "{known}");
    }
    Ok(())
}

/// A library that a program puts before libc is who its own functions are of.
#[test]
fn of_a_library_before_libc() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    let (source, library) = (folder.join("before.c"), folder.join("libbefore.so"));
    let text = "#include <stddef.h>\nvoid *memset(void *p, int c, size_t n) { char *q = p; while (n--) *q++ = c; return p; }\n";
    fs::write(&source, text).map_err(|error| error.to_string())?;
    let mut gcc = Command::new("gcc");
    succeed(
        gcc.args(["-shared", "-fPIC", "-O1", "-fno-builtin", "-fno-tree-loop-distribute-patterns", "-o"])
            .arg(&library)
            .arg(&source),
    )?;
    let program = knower(folder)?;
    let mut session = Session::start(Command::new(program).env("LD_PRELOAD", &library))?;
    let map = session.capture(&folder.join("map.json"), &[])?;
    session.known.retain(|(name, _)| name == "memset" || name == "strlen");
    // Its table names it, not the map; libc's own implementation keeps its name.
    assert_eq!(name_of(&map, &session, "memset"), None);
    assert_eq!(name_of(&map, &session, "strlen"), Some("strlen"));
    let object = session.object(folder)?;
    let (report, _) = crate::support::relocfix::check(&object, Some(&folder.join("map.json")))?;
    assert_eq!(report["libraries"], serde_json::json!(["libbefore.so", "libc.so.6"]), "{report:#}");
    Ok(())
}

/// A core file of another processor: what this one would choose says nothing.
#[test]
fn of_another_processor() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    if crate::support::toolchain::require("gcore").is_none() {
        return Ok(());
    }
    let program = knower(folder)?;
    let session = Session::start(&mut Command::new(program))?;
    let pid = session.pid.to_string();
    succeed(Command::new("gcore").arg("-o").arg(folder.join("core")).arg(&pid))?;
    let core = folder.join(format!("core.{pid}"));
    let (map, said) = warned(&["--core", &core.display().to_string()], &folder.join("map.json"))?;
    assert_eq!(said, "");
    assert_eq!(name_of(&map, &session, "tan"), Some("tan"));

    // What this processor says of itself, as it stands in the core file.
    let mut asked = tool();
    asked.args(["answer-for-library", "libc.so.6"]).env_clear();
    let answer = succeed(asked.stdin(Stdio::null()))?.text();
    let mut states = answer.lines().filter_map(|line| line.strip_prefix("state ")?.split(' ').next());
    let state = states.rfind(|digits| digits.trim_matches('0').len() > 8).ok_or("no state")?;
    let pairs = (0..state.len()).step_by(2).map(|at| u8::from_str_radix(&state[at..at + 2], 16));
    let state: Vec<u8> = pairs.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let mut bytes = fs::read(&core).map_err(|error| error.to_string())?;
    let at =
        bytes.windows(state.len()).position(|window| window == state).ok_or("the core file has no state")?;
    let byte = state.iter().position(|byte| *byte != 0).unwrap_or(0);
    bytes[at + byte] ^= 1;
    fs::write(&core, bytes).map_err(|error| error.to_string())?;
    let before = map["symbols"].as_array().map_or(0, Vec::len);
    let (map, said) = warned(&["--core", &core.display().to_string()], &folder.join("map.json"))?;
    assert!(map["symbols"].as_array().is_some_and(|symbols| symbols.len() < before));
    assert!(said.contains("chooses for another processor or with other settings"), "{said}");
    // What the program itself has bound is known nevertheless.
    assert_eq!(name_of(&map, &session, "sin"), Some("sin"));
    Ok(())
}

/// A perf map that another process of that number, or another user, left behind.
#[test]
fn of_a_perf_map_that_is_not_the_processes() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    let session = knower_with_code(folder)?;
    let pid = session.pid.to_string();
    let map_path = folder.join("map.json");
    let map = session.capture(&map_path, &[])?;
    for made in ["jit_map", "jit_profiler", "jit_debugger", "jit_debugger_too"] {
        assert_eq!(name_of(&map, &session, made), Some(made));
    }
    // What it says of memory that holds no code of its own is not believed.
    assert!(!map["symbols"].as_array().is_some_and(|all| all.iter().any(|s| s["name"] == "of_no_code")));

    let path = format!("/tmp/perf-{pid}.map");
    // Only root can give a file away; nobody else's is used then.
    if chown(&path, Some(65534), None).is_ok() {
        let (map, said) = warned(&["--pid", &pid], &map_path)?;
        assert!(said.contains("is another user's: it is not used"), "{said}");
        assert_eq!(name_of(&map, &session, "jit_map"), None);
        chown(&path, Some(0), None).map_err(|error| error.to_string())?;
    }
    let perf = File::options().append(true).open(&path);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    perf.and_then(|file| file.set_modified(old)).map_err(|error| error.to_string())?;
    let (map, said) = warned(&["--pid", &pid], &map_path)?;
    assert!(said.contains("is older than the process: it is not used"), "{said}");
    assert_eq!(name_of(&map, &session, "jit_map"), None);
    assert_eq!(name_of(&map, &session, "jit_profiler"), Some("jit_profiler"));

    // Whoever may write there can put what is no file, which is not waited for, or what leads to another file.
    let elsewhere = folder.join("perf.map");
    let text = fs::read(&path).map_err(|error| error.to_string())?;
    fs::write(&elsewhere, text).map_err(|error| error.to_string())?;
    fs::remove_file(&path).map_err(|error| error.to_string())?;
    symlink(&elsewhere, &path).map_err(|error| error.to_string())?;
    let (map, said) = warned(&["--pid", &pid], &map_path)?;
    assert!(said.contains("it is not used"), "{said}");
    assert_eq!(name_of(&map, &session, "jit_map"), None);
    fs::remove_file(&path).map_err(|error| error.to_string())?;
    succeed(Command::new("mkfifo").arg(&path))?;
    let (map, said) = warned(&["--pid", &pid], &map_path)?;
    assert!(said.contains("not a regular file: it is not used"), "{said}");
    assert_eq!(name_of(&map, &session, "jit_map"), None);
    Ok(())
}

/// What a process tells profilers may be damaged: what remains is a map.
#[test]
fn of_jit_code_that_is_told_wrongly() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    let session = knower_with_code(folder)?;
    let pid = session.pid.to_string();
    let mut random = crate::support::random::Random::new(21);
    for path in [format!("/tmp/perf-{pid}.map").into(), folder.join(format!("jit-{pid}.dump"))] {
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        for round in 0..30 {
            let mut bytes = bytes.clone();
            for _ in 0..1 + round % 3 {
                let at = random.index(bytes.len());
                bytes[at] = random.below(256) as u8;
            }
            // It is in use: not another file of that name.
            fs::write(&path, bytes).map_err(|error| error.to_string())?;
            let (map, _) = warned(&["--pid", &pid], &folder.join("map.json"))?;
            assert_eq!(name_of(&map, &session, "jit_debugger"), Some("jit_debugger"), "{round}");
        }
        fs::write(&path, bytes).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// No part of a core file that is not what it should be ends the tool in another way than an error or a map.
#[test]
fn of_core_files_that_were_changed() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    if crate::support::toolchain::require("gcore").is_none() {
        return Ok(());
    }
    let session = knower_with_code(folder)?;
    let pid = session.pid.to_string();
    succeed(Command::new("gcore").arg("-o").arg(folder.join("core")).arg(&pid))?;
    let bytes = fs::read(folder.join(format!("core.{pid}"))).map_err(|error| error.to_string())?;
    let field = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    // The first program header is that of the notes: offset and size.
    let (notes, size) = (field(64 + 8) as usize, field(64 + 32) as usize);
    let changed = folder.join("changed");
    let mut random = crate::support::random::Random::new(20);
    for round in 0..60 {
        let mut bytes = bytes.clone();
        for _ in 0..1 + round % 4 {
            let at = match round % 3 {
                0 => random.below(64 + 56 * 30) as usize,
                1 => notes + random.below(size as u64) as usize,
                _ => random.below(bytes.len() as u64) as usize,
            };
            bytes[at] = random.below(256) as u8;
        }
        fs::write(&changed, bytes).map_err(|error| error.to_string())?;
        let mut command = tool();
        command.args(["capture", "-q", "--core"]).arg(&changed).arg("-o").arg(folder.join("changed.json"));
        let finished = run(&mut command)?;
        assert!(matches!(finished.status.code(), Some(0 | 2)), "{round}: {}", finished.describe());
    }
    Ok(())
}
