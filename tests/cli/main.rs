//! The command line from outside: options, where maps come from, what is written where, exit statuses and the
//! words of messages. What the rewriting itself does is tested elsewhere.

#[path = "../support/mod.rs"]
mod support;

mod link_time;
mod maps;
mod report;
mod rewrite;
mod usage;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use object::{Object, ObjectSymbol};

/// A function that calls an address of the session.
const ONE_CALL: &str = "
    .text
    .globl f
    .type f, @function
f:  movabs $0x7f3a1007fe50, %rax
    jmp *%rax
    .size f, . - f
    .section .note.GNU-stack, \"\", @progbits
";

/// What that address is.
const NAMED: &str = r#"{"relocfix": 1, "machine": "x86_64",
    "symbols": [{"address": "0x7f3a1007fe50", "name": "puts"}]}"#;

/// Another name for it, to tell which map was used.
const NAMED_OTHERWISE: &str =
    r#"{"relocfix": 1, "symbols": [{"address": "0x7f3a1007fe50", "name": "other_puts"}]}"#;

/// Only that it is one.
const MAPPED: &str = r#"{"relocfix": 1, "mappings": [
    {"start": "0x7f3a10000000", "end": "0x7f3a10100000", "perms": "rw-p", "path": "[heap]"}]}"#;

const PROC_MAPS: &str = "7f3a10000000-7f3a10100000 rw-p 00000000 00:00 0                          [heap]\n";

/// A folder with objects, in which the command runs.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    /// With `in.o` assembled from `source`; without an assembler the test is skipped, loudly.
    fn with_object(source: &str) -> Option<Self> {
        if Command::new("as").arg("--version").output().is_err() {
            support::toolchain::missing("`as` (binutils)");
            return None;
        }
        let folder = Self::new();
        folder.assemble(source, "in.o");
        Some(folder)
    }

    fn assemble(&self, source: &str, name: &str) {
        self.write("source.s", source);
        let status = Command::new("as").args(["--64", "source.s", "-o", name]).current_dir(&self.0).status();
        assert!(status.unwrap().success());
        fs::remove_file(self.at("source.s")).unwrap();
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, contents: &str) {
        fs::write(self.at(name), contents).unwrap();
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relocfix"));
        command.args(arguments.split_whitespace()).current_dir(&self.0).stdin(Stdio::null());
        command.env_remove("NO_COLOR");
        command
    }

    fn run(&self, arguments: &str) -> Run {
        Run::new(arguments, self.command(arguments).output().unwrap())
    }

    fn run_with_stdin(&self, arguments: &str, input: &[u8]) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Run::new(arguments, child.wait_with_output().unwrap())
    }

    /// Its files, so that nothing is left behind unseen.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// What a run left on its streams.
struct Run {
    arguments: String,
    status: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Run {
    fn new(arguments: &str, output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("panicked"), "relocfix {arguments}: {stderr}");
        Run { arguments: arguments.to_owned(), status: output.status.code(), stdout: output.stdout, stderr }
    }

    #[track_caller]
    fn exits(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "relocfix {}: {}", self.arguments, self.stderr);
        self
    }

    /// Succeeds, and says nothing.
    #[track_caller]
    fn silently(self) -> Self {
        let run = self.exits(0);
        assert_eq!(run.stderr, "", "relocfix {}", run.arguments);
        assert_eq!(String::from_utf8_lossy(&run.stdout), "", "relocfix {}", run.arguments);
        run
    }

    /// Fails without anything on standard output; every line of standard error is an error or belongs to one.
    #[track_caller]
    fn fails(self, status: i32, message: &str) -> Self {
        let run = self.exits(status);
        assert!(run.stderr.starts_with("relocfix: error: "), "{}", run.stderr);
        assert!(run.stderr.contains(message), "`{message}` is not in: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{}", String::from_utf8_lossy(&run.stdout));
        run
    }

    fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap()
    }
}

fn undefined_symbols(object: &[u8]) -> Vec<String> {
    let file = object::File::parse(object).unwrap();
    let undefined = file.symbols().filter(|symbol| symbol.is_undefined());
    let mut names: Vec<_> = undefined.map(|symbol| symbol.name().unwrap().to_owned()).collect();
    names.retain(|name| !name.is_empty());
    names
}

fn holds_the_address(object: &[u8]) -> bool {
    object.windows(8).any(|word| word == 0x7f3a_1007_fe50_u64.to_le_bytes())
}
