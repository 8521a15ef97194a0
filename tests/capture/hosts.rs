//! Programs of every kind, and processes whose files are not where they were, or not for everybody.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::names::assert_fixed;
use crate::session::{HIDDEN_IN_STATIC_PIE, Session, compile, foreign_libc, jit_object, knower, warned};
use crate::support::command::{run, succeed};
use crate::support::matrix::Mode;
use crate::support::relocfix::{assert_same, refused};
use crate::support::toolchain;

/// Runs a kind of program of which only those addresses count, captures it, and fixes an object with that; the session
/// and the map.
fn fixed_with(
    folder: &Path,
    options: &[&str],
    modes: &[Mode],
    counts: impl Fn(&str) -> bool,
) -> Result<(Session, Value), String> {
    let mut options = options.to_vec();
    options.extend(["-lm", "-lstdc++"]);
    let mut session = Session::start(&mut Command::new(compile(folder, "knower.c", &options)?))?;
    session.known.retain(|(name, _)| counts(name));
    let object = session.object(folder)?;
    let map_path = folder.join("map.json");
    let map = session.capture(&map_path, &["--for", &object.display().to_string()])?;
    assert_fixed(&session, &object, &map_path, modes)?;
    Ok((session, map))
}

/// In data, an address inside of something is at a fixed address as small as numbers are: refused without a witness.
pub(crate) fn is_certain(name: &str) -> bool {
    !name.contains('+')
}

fn folder() -> Result<tempfile::TempDir, String> {
    tempfile::tempdir().map_err(|error| error.to_string())
}

/// In such a program the address of a library's function is that of a stub of the program's.
#[test]
fn at_a_fixed_address() -> Result<(), String> {
    let folder = folder()?;
    let (session, _) =
        fixed_with(folder.path(), &["-no-pie", "-fno-pie"], &[Mode::Pie, Mode::NoPie], is_certain)?;
    let own = session.known.iter().filter(|(_, address)| *address < 1 << 32).count();
    assert!(own > 40, "{:?}", session.known);
    Ok(())
}

/// Everything is the program's own; indirect functions are stubs.
#[test]
fn without_a_dynamic_linker() -> Result<(), String> {
    let folder = folder()?;
    let (_, map) = fixed_with(
        folder.path(),
        &["-static", "-no-pie", "-fno-pie"],
        &[Mode::Pie, Mode::Static],
        is_certain,
    )?;
    let libraries = map["symbols"].as_array().into_iter().flatten().filter(|s| !s["library"].is_null());
    assert_eq!(libraries.count(), 0, "{map:#}");
    Ok(())
}

#[test]
fn without_a_dynamic_linker_at_any_address() -> Result<(), String> {
    let folder = folder()?;
    let counts = |name: &str| !HIDDEN_IN_STATIC_PIE.contains(&name);
    fixed_with(folder.path(), &["-static-pie", "-fPIE"], &[Mode::Pie, Mode::StaticPie], counts).map(drop)
}

/// The machine's libc under another name, so that it can be taken away.
pub(crate) fn own_copy_of_libc(folder: &Path) -> Result<PathBuf, String> {
    let found = succeed(Command::new("gcc").arg("-print-file-name=libc.so.6"))?.text();
    let copy = folder.join("libc.so.6");
    fs::copy(found.trim(), &copy).map_err(|error| format!("{}: {error}", found.trim()))?;
    Ok(copy)
}

/// What the map says of a library that nobody finds any more it says itself.
#[test]
fn a_library_that_was_deleted() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    let libc = own_copy_of_libc(folder)?;
    let program = knower(folder)?;
    let session = Session::start(Command::new(program).env("LD_LIBRARY_PATH", folder))?;
    fs::remove_file(&libc).map_err(|error| error.to_string())?;
    let map_path = folder.join("map.json");
    let map = session.capture(&map_path, &[])?;
    let deleted = map["mappings"].as_array().into_iter().flatten();
    let deleted =
        deleted.filter(|m| m["path"].as_str().is_some_and(|path| path.ends_with("libc.so.6 (deleted)")));
    assert!(deleted.count() >= 4, "{map:#}");
    assert_fixed(&session, &session.object(folder)?, &map_path, &[Mode::Pie])
}

/// Not every user may open what a process has mapped by where it is mapped: what is in memory has the same names.
#[test]
fn a_library_that_was_deleted_for_another_user() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    let open =
        |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o777)).map_err(|e| e.to_string());
    open(folder)?;
    let libc = own_copy_of_libc(folder)?;
    let program = knower(folder)?;
    // Where this is built may be root's alone.
    let tool = folder.join("relocfix");
    fs::copy(env!("CARGO_BIN_EXE_relocfix"), &tool).map_err(|error| error.to_string())?;
    for file in [&libc, &program, &tool] {
        open(file)?;
    }
    let as_another = |program: &Path| {
        let mut command = Command::new(program);
        if fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0) {
            command.uid(65534).gid(65534);
        }
        command
    };
    let session = Session::start(as_another(&program).env("LD_LIBRARY_PATH", folder))?;
    fs::remove_file(&libc).map_err(|error| error.to_string())?;
    let maps = ["other", "own"].map(|name| folder.join(name).with_extension("json"));
    let mut capture = as_another(&tool);
    let finished = succeed(capture.args(["capture", "--pid", &session.pid.to_string(), "-o"]).arg(&maps[0]))?;
    assert_eq!(finished.stderr, "");
    assert_fixed(&session, &session.object(folder)?, &maps[0], &[Mode::Pie])?;
    // Root reads the file.
    session.capture(&maps[1], &[])?;
    assert_same(&maps[0], &maps[1])
}

/// A process has other numbers in its own pid namespace than outside of it, and its files are called by its own.
#[test]
fn a_pid_namespace() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    let unshare = |mounts: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--fork", "--pid"]).args(mounts);
        command
    };
    if !run(unshare(&["--mount-proc"]).arg("true")).is_ok_and(|end| end.status.success()) {
        toolchain::skip("this user may make no pid namespaces");
        return Ok(());
    }
    let program = knower(folder)?;
    let object = jit_object(folder)?;
    let mut inside = unshare(&["--mount-proc"]);
    // It ends with who started it.
    inside.arg("--kill-child").arg(&program).arg(&object).current_dir(folder);
    let mut session = Session::start(&mut inside)?;
    session.pid = child_of(session.child.id())?;
    let maps = ["outside", "inside"].map(|name| folder.join(name).with_extension("json"));
    let map = session.capture(&maps[0], &[])?;
    // Its own number is 1, which its lists of code are called by.
    for made in ["jit_map", "jit_profiler", "jit_debugger"] {
        let listed = map["symbols"].as_array().is_some_and(|all| all.iter().any(|s| s["name"] == made));
        assert!(listed, "{made}");
    }
    assert_fixed(&session, &session.object(folder)?, &maps[0], &[Mode::Pie])?;
    let enter = |namespaces: &[&str], number: &str, map: &Path| {
        let mut command = Command::new("nsenter");
        command.args(["--target", &session.pid.to_string(), "--preserve-credentials", "--user", "--pid"]);
        command.args(namespaces).arg(env!("CARGO_BIN_EXE_relocfix"));
        command.args(["capture", "--pid", number, "-o"]).arg(map);
        command
    };
    succeed(&mut enter(&["--mount"], "1", &maps[1]))?;
    assert_same(&maps[0], &maps[1])?;
    // Of another number there is none inside.
    let none = folder.join("none.json");
    let said = |text: &str| [text.to_owned()];
    let number = session.pid.to_string();
    refused(
        &mut enter(&["--mount"], &number, &none),
        &none,
        2,
        &said("there is none that this user can see"),
    )?;
    // There, but with the list of processes of those outside, who have a number 1 too.
    let text = said("/proc shows another pid namespace's processes, by other numbers");
    refused(&mut enter(&[], "1", &none), &none, 2, &text)?;
    // Nobody removes it: the process's number is not that of the test.
    fs::remove_file("/tmp/perf-1.map").map_err(|error| error.to_string())
}

/// The process that one started, as soon as it has.
fn child_of(parent: u32) -> Result<u32, String> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let children = children.map_err(|error| error.to_string())?;
    children.trim().parse().map_err(|_| format!("children: {children}"))
}

/// In a mount namespace of its own, as a container's: its paths lead to other files for others.
#[test]
fn a_container() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    let root = folder.join("root");
    fs::create_dir_all(root.join("tmp")).map_err(|error| error.to_string())?;
    let program = knower(folder)?;
    // As ldd lists them: with `=> PATH` or the path alone.
    let libraries = succeed(Command::new("ldd").arg(&program))?.text();
    let words = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    let script = format!(
        "mount -t tmpfs none {0} && mkdir {0}/proc && cp {1} {0} && for l in {2}; do mkdir -p {0}$(dirname $l) && \
         cp -L $l {0}$l || exit 1; done && for l in $(find {0} -name libc.so.6); do cp {3} $l || exit 1; done && \
         mkdir {0}/old && cd {0} && pivot_root . old && exec /knower",
        root.display(),
        program.display(),
        words.collect::<Vec<_>>().join(" "),
        foreign_libc(folder)?.display()
    );
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "--fork", "--pid", "sh", "-c", script]);
        command
    };
    if !run(&mut unshare(&format!("mount -t tmpfs none {}", root.display())))
        .is_ok_and(|end| end.status.success())
    {
        toolchain::skip("this user may make no mount namespaces");
        return Ok(());
    }
    let mut session = Session::start(&mut unshare(&script))?;
    // The program is a child of what made its pid namespace.
    session.pid = child_of(session.child.id())?;
    let map_path = folder.join("map.json");
    let (map, said) = warned(&["--pid", &session.pid.to_string()], &map_path)?;
    assert!(said.contains("libc.so.6: of its") && said.lines().count() == 1, "{said}");
    let names = map["symbols"].as_array().map_or(0, Vec::len);
    assert!(names > 1000, "the libc that is at this path for nobody else is in the map: {names}");
    let libc = map["mappings"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|m| m["path"].as_str().is_some_and(|p| p.ends_with("/libc.so.6")));
    let path = libc.and_then(|m| m["path"].as_str()).unwrap_or_default();
    assert!(Path::new(path).exists(), "{path}: for others another file");
    assert_fixed(&session, &session.object(folder)?, &map_path, &[Mode::Pie])
}

/// As a large program has: each is a line, and none is read twice.
#[test]
fn many_mappings() -> Result<(), String> {
    let folder = folder()?;
    let folder = folder.path();
    let source = folder.join("many.c");
    // Every other page is another kind, so that the kernel does not join them.
    let text = "#include <stdio.h>\n#include <sys/mman.h>\n\
        int main(void) { char *p = mmap(0, 5000 << 12, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);\n\
        for (int i = 0; i < 5000; i += 2) mprotect(p + ((long)i << 12), 4096, PROT_READ | PROT_WRITE);\n\
        printf(\"p %p\\nready\\n\", (void *)p); fflush(stdout); return getchar() == 0; }\n";
    fs::write(&source, text).map_err(|error| error.to_string())?;
    let program = folder.join("many");
    succeed(Command::new("gcc").arg(&source).arg("-o").arg(&program))?;
    let session = Session::start(&mut Command::new(program))?;
    let map = session.capture(&folder.join("map.json"), &[])?;
    assert!(map["mappings"].as_array().is_some_and(|mappings| mappings.len() >= 5000));
    Ok(())
}
