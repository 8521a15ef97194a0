//! A PostgreSQL server process while it has code that it made for a query: the server's own names, which extensions are
//! linked with, and those of the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::session::{Session, number};
use crate::support::command::{run, succeed};
use crate::support::relocfix::{fix, refused, tool};
use crate::support::toolchain::{self, Linkers};

/// The server runs as no one of importance where root tests it: as root it refuses to.
const NOBODY: u32 = 65534;

/// The second query is compiled; each command is a line. The cursor keeps the code as long as it is open.
const QUERY: &str = "create table if not exists t as select g as a, 'x' || g as c, g / 3.0::float8 as d \
    from generate_series(1, 99) g\n\
    set jit_above_cost = 0\n\
    begin\n\
    declare open cursor for select a + 1, sqrt(d), upper(c) from t where a % 2 = 0 and d > 1\n\
    fetch 1 from open\n";

/// A part of the row that the last command prints.
const ANSWER: &str = "= \"X4\"";

struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
}

/// One that has answered the query, and waits for another.
struct Backend(Session);

impl Drop for Backend {
    fn drop(&mut self) {
        // It ends in order then, and leaves nothing behind.
        drop(self.0.child.stdin.take());
        let _ = self.0.child.wait();
    }
}

impl Server {
    /// `None`, said loudly: there is none that compiles.
    fn new() -> Result<Option<Server>, String> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let folders = versions.map(|version| version.path());
        let Some(programs) = folders.filter(|path| path.join("lib/llvmjit.so").exists()).max() else {
            toolchain::missing("PostgreSQL with its JIT");
            return Ok(None);
        };
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let server = Server { programs: programs.join("bin"), folder };
        if is_root() {
            chown(server.folder.path(), Some(NOBODY), Some(NOBODY)).map_err(|error| error.to_string())?;
        }
        let mut command = server.command("initdb");
        succeed(command.args(["--no-locale", "--auth=trust", "--no-sync", "-D"]).arg(server.data()))?;
        Ok(Some(server))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(self.folder.path()).env("JITDUMPDIR", self.folder.path());
        command
    }

    /// A process that serves one user, without others around it.
    fn backend(&self, settings: &[&str]) -> Result<Backend, String> {
        let mut command = self.command("postgres");
        command.args(["--single", "-D"]).arg(self.data()).args(["-c", "fsync=off"]);
        command.args(settings.iter().flat_map(|setting| ["-c", setting])).arg("postgres");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let pid = child.id();
        let mut backend = Backend(Session { child, pid, known: Vec::new() });
        let child = &mut backend.0.child;
        let mut input = child.stdin.take().ok_or("its input")?;
        input.write_all(QUERY.as_bytes()).map_err(|error| error.to_string())?;
        child.stdin = Some(input);
        let output = child.stdout.take().ok_or("its output")?;
        let mut said = String::new();
        for line in BufReader::new(output).lines() {
            let line = line.map_err(|error| error.to_string())?;
            if line.contains(ANSWER) {
                return Ok(backend);
            }
            let _ = writeln!(said, "{line}");
        }
        Err(format!("{command:?} ended early:\n{said}"))
    }

    /// The functions that the process told profilers of, as it wrote them: a record has 56 bytes before the name, of
    /// them at 32 the address.
    fn compiled(&self, pid: u32) -> Result<Vec<(String, u64)>, String> {
        let folders =
            fs::read_dir(self.folder.path().join(".debug/jit")).map_err(|error| error.to_string())?;
        let mut dumps = folders.flatten().map(|folder| folder.path().join(format!("jit-{pid}.dump")));
        let dump = dumps.find(|dump| dump.exists()).ok_or("it wrote no jitdump file")?;
        let bytes = fs::read(dump).map_err(|error| error.to_string())?;
        let mut functions = Vec::new();
        for at in (56..bytes.len()).filter(|at| bytes[*at..].starts_with(b"evalexpr_")) {
            let name = bytes[at..].split(|byte| *byte == 0).next().unwrap_or_default();
            let address = u64::from_le_bytes(std::array::from_fn(|byte| bytes[at - 24 + byte]));
            functions.push((String::from_utf8_lossy(name).into_owned(), address));
        }
        Ok(functions)
    }

    /// Where the process has what its program exports.
    fn exported(&self, pid: u32, name: &str) -> Result<u64, String> {
        let program = self.programs.join("postgres");
        let listed = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(&program))?.text();
        let line = listed.lines().find(|line| line.split(' ').nth(2) == Some(name)).ok_or(name)?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| error.to_string())?;
        let first = maps.lines().find(|line| line.ends_with("/bin/postgres")).ok_or("no mapping")?;
        let hexadecimal =
            |text: &str| u64::from_str_radix(text, 16).map_err(|error| format!("{text}: {error}"));
        let start = first.split('-').next().unwrap_or_default();
        Ok(hexadecimal(start)? + hexadecimal(line.split(' ').next().unwrap_or_default())?)
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

/// The names of code that a map has, and where.
fn compiled_in(map: &serde_json::Value) -> BTreeMap<String, u64> {
    let symbols = map["symbols"].as_array().into_iter().flatten();
    let named = symbols.filter_map(|s| Some((s["name"].as_str()?.to_owned(), number(&s["address"]))));
    named.filter(|(name, _)| name.starts_with("evalexpr_")).collect()
}

#[test]
fn code_that_was_made_for_a_query() -> Result<(), String> {
    let Some(server) = Server::new()? else { return Ok(()) };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let map_path = folder.join("map.json");
    let profiled = "jit_profiling_support=on";
    let dumped = "jit_dump_bitcode=on";
    let mut backend = server.backend(&[profiled, dumped])?;
    let session = &mut backend.0;
    let map = session.capture(&map_path, &[])?;
    session.known = server.compiled(session.pid)?;
    assert!(!session.known.is_empty());
    let expected: BTreeMap<String, u64> = session.known.iter().cloned().collect();
    assert_eq!(compiled_in(&map), expected);

    // An extension that holds the server's addresses, and those of its code.
    for name in ["int4pl", "float8gt", "CurrentMemoryContext"] {
        session.known.push((name.to_owned(), server.exported(session.pid, name)?));
    }
    let object = session.object(folder)?;
    let fixed = fix::<&str>(&object, &folder.join("out.o"), Some(&map_path), &[])?;
    assert_loads(&server, session, folder, &fixed.object)?;
    assert_refused(&server, session, folder, &map_path)?;
    drop(backend);

    // To debuggers it tells the same.
    let backend = server.backend(&["jit_debugging_support=on"])?;
    let told = compiled_in(&backend.0.capture(&map_path, &[])?);
    assert_eq!(told.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    Ok(())
}

/// In another process of the server's program every address is what its name means there.
fn assert_loads(server: &Server, session: &Session, folder: &Path, object: &Path) -> Result<(), String> {
    let mut text = String::from("#include <stdio.h>\n");
    let mut checks = String::new();
    for (n, (name, _)) in session.known.iter().enumerate() {
        match name.starts_with("evalexpr_") {
            true => writeln!(text, "char {name}[8];"),
            false => writeln!(text, "extern char {name}[];"),
        }
        .and_then(|()| writeln!(text, "void *f{n}(void);"))
        .and_then(|()| writeln!(checks, "if (f{n}() != {name}) puts(\"{name}\");"))
        .map_err(|error| error.to_string())?;
    }
    let _ =
        writeln!(text, "__attribute__((constructor)) static void look(void) {{\n{checks}puts(\"seen\");\n}}");
    let source = folder.join("extension.c");
    fs::write(&source, text).map_err(|error| error.to_string())?;
    let linkers = Linkers::get()?;
    for &linker in &linkers.found {
        let library = folder.join(linker.name());
        let mut gcc = Command::new("gcc");
        gcc.args(linkers.flags(linker)).args(["-shared", "-fPIC", "-Wl,-z,text", "-o"]).arg(&library);
        succeed(gcc.arg(&source).arg(object))?;
        let mut version = Command::new(server.programs.join("postgres"));
        let printed = succeed(version.arg("--version").env("LD_PRELOAD", &library))?.text();
        assert!(printed.starts_with("seen\npostgres "), "{}: {printed}", linker.name());
    }
    Ok(())
}

/// The code itself holds the state of its query, which is on the heap and of no use to others.
fn assert_refused(server: &Server, session: &Session, folder: &Path, map: &Path) -> Result<(), String> {
    let Some(llc) = toolchain::require("llc") else { return Ok(()) };
    let bitcode = server.data().join(format!("{}.0.bc", session.pid));
    let (object, output) = (folder.join("query.o"), folder.join("query.fixed.o"));
    let mut command = Command::new(llc);
    command.args(["-O0", "-filetype=obj", "-relocation-model=pic", "-code-model=large", "-o"]).arg(&object);
    succeed(command.arg(&bitcode))?;
    let said =
        refused(tool().arg(&object).arg("-o").arg(&output).arg("-s").arg(map), &output, 1, &[])?.stderr;
    let places = said.lines().filter(|line| line.contains(" is in [heap]; give it a value "));
    assert!(places.clone().count() > 10 && places.count() == said.lines().count(), "{said}");
    // Without its process nothing tells what is an address.
    assert_eq!(run(tool().arg("check").arg(&object))?.status.code(), Some(2));
    Ok(())
}
