//! A program that knows addresses, while it runs: what it knows, an object that holds it, and maps of the process.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::command::succeed;
use crate::support::relocfix::tool;

/// Where the sources of the test programs are.
pub(crate) fn producers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/producers")
}

/// What a linker makes local in a static executable at any address: its libc hides it. There it could be anything of
/// that name; what is left of `malloc` is called `__malloc`.
pub(crate) const HIDDEN_IN_STATIC_PIE: [&str; 7] =
    ["malloc", "qsort", "bsearch", "strtol", "getenv", "getpid", "abort"];

/// Compiles a test program.
pub(crate) fn compile(folder: &Path, source: &str, options: &[&str]) -> Result<PathBuf, String> {
    let program = folder.join(source.trim_end_matches(".c"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-fno-builtin", "-Wall", "-Werror", "-o"]).arg(&program).arg(producers().join(source));
    succeed(gcc.args(options))?;
    Ok(program)
}

/// The program that knows addresses, position-independent.
pub(crate) fn knower(folder: &Path) -> Result<PathBuf, String> {
    compile(folder, "knower.c", &["-pie", "-fPIE", "-lm", "-lstdc++"])
}

/// The same with code of its own, running in the folder.
pub(crate) fn knower_with_code(folder: &Path) -> Result<Session, String> {
    Session::start(Command::new(knower(folder)?).arg(jit_object(folder)?).current_dir(folder))
}

/// The object that a program is to load as its own code.
pub(crate) fn jit_object(folder: &Path) -> Result<PathBuf, String> {
    let source = "
        .text
        .globl jit_debugger, jit_debugger_too
        .type jit_debugger, @function
        .type jit_debugger_too, @function
jit_debugger:
        jmp jit_debugger_too
        .size jit_debugger, . - jit_debugger
        .balign 16
jit_debugger_too:
        mov $3, %eax
        ret
        .size jit_debugger_too, . - jit_debugger_too
        .section .note.GNU-stack, \"\", @progbits
";
    assemble(folder, "jit", source)
}

/// The object of an assembler source.
pub(crate) fn assemble(folder: &Path, name: &str, source: &str) -> Result<PathBuf, String> {
    let (text, object) = (folder.join(name).with_extension("s"), folder.join(name).with_extension("o"));
    fs::write(&text, source).map_err(|error| error.to_string())?;
    succeed(Command::new("as").arg("--64").arg(&text).arg("-o").arg(&object))?;
    Ok(object)
}

/// A program that runs, and waits.
pub(crate) struct Session {
    pub(crate) child: Child,
    /// Its number: the child's, unless that only started it.
    pub(crate) pid: u32,
    /// Names that the program's source has, and addresses.
    pub(crate) known: Vec<(String, u64)>,
}

impl Session {
    /// Starts a program and reads what it knows.
    pub(crate) fn start(command: &mut Command) -> Result<Session, String> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
        let output = child.stdout.take().ok_or("its output")?;
        let mut known = Vec::new();
        for line in BufReader::new(output).lines() {
            let line = line.map_err(|error| error.to_string())?;
            if line == "ready" {
                let pid = child.id();
                return Ok(Session { child, pid, known });
            }
            let (name, address) = line.split_once(" 0x").ok_or(format!("not an address: {line}"))?;
            let address = u64::from_str_radix(address, 16).map_err(|error| format!("{line}: {error}"))?;
            known.push((name.to_owned(), address));
        }
        Err(format!("{command:?} ended early"))
    }

    /// `relocfix capture --pid … EXTRA`: the map, and where it is.
    pub(crate) fn capture(&self, map: &Path, extra: &[&str]) -> Result<Value, String> {
        let mut command = tool();
        command.args(["capture", "--pid", &self.pid.to_string(), "-o"]).arg(map).args(extra);
        let finished = succeed(&mut command)?;
        assert_eq!(finished.stderr, "", "{}", finished.shown);
        read_map(map)
    }

    /// An object with a function for each address that returns it, and the addresses as data.
    pub(crate) fn object(&self, folder: &Path) -> Result<PathBuf, String> {
        let mut source = String::from(".text\n");
        for (number, (_, address)) in self.known.iter().enumerate() {
            let _ = writeln!(source, ".globl f{number}\n.type f{number}, @function");
            let _ = writeln!(
                source,
                "f{number}: movabs ${address:#x}, %rax\nret\n.size f{number}, . - f{number}"
            );
        }
        source.push_str(".data\n.balign 8\n.globl words\n.type words, @object\nwords:\n");
        for (_, address) in &self.known {
            let _ = writeln!(source, ".quad {address:#x}");
        }
        source.push_str(".size words, . - words\n.section .note.GNU-stack, \"\", @progbits\n");
        assemble(folder, "in", &source)
    }

    /// Ends it by a crash, and waits for the end.
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        let mut input = self.child.stdin.take().ok_or("its input")?;
        input.write_all(b"crash\n").map_err(|error| error.to_string())?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if status.success() { Err("it did not crash".to_owned()) } else { Ok(()) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It waits for input that never comes.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Profilers find it there alone.
        let _ = fs::remove_file(format!("/tmp/perf-{}.map", self.child.id()));
    }
}

/// A map that was written.
pub(crate) fn read_map(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// The machine's libc with another build-id: no one but a process that runs it can tell what it chose.
pub(crate) fn foreign_libc(folder: &Path) -> Result<PathBuf, String> {
    let found = succeed(Command::new("gcc").arg("-print-file-name=libc.so.6"))?.text();
    let mut bytes = fs::read(found.trim()).map_err(|error| format!("{}: {error}", found.trim()))?;
    // A note of type 3 by GNU, with 20 bytes.
    let head = [4u32, 20, 3].iter().flat_map(|word| word.to_le_bytes()).chain(*b"GNU\0").collect::<Vec<u8>>();
    let at = bytes.windows(head.len()).position(|window| window == head).ok_or("libc has no build-id")?;
    bytes[at + head.len()] ^= 0xff;
    let copy = folder.join("libc.so.6");
    fs::write(&copy, bytes).map_err(|error| error.to_string())?;
    Ok(copy)
}

/// A capture that succeeds and warns: the map, and what is said.
pub(crate) fn warned(arguments: &[&str], map: &Path) -> Result<(Value, String), String> {
    let finished = succeed(tool().arg("capture").args(arguments).arg("-o").arg(map))?;
    Ok((read_map(map)?, finished.stderr))
}

/// A number of a map or report.
pub(crate) fn number(value: &Value) -> u64 {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).or(value.as_u64()).unwrap_or(0)
}
