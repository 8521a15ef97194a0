//! 32-bit operands of code that a process at a fixed address wrote: its programs' and libraries' own symbol tables say
//! which are addresses, exported or not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::session::{Session, assemble, compile};
use crate::support::command::succeed;
use crate::support::matrix::{Matrix, Mode};
use crate::support::relocfix::{check_with, fix, refused, tool};

/// A running program at a fixed address, and a folder.
struct Host {
    folder: tempfile::TempDir,
    program: PathBuf,
    session: Session,
}

impl Host {
    fn start(prepare: impl Fn(&Path) -> Result<(), String>) -> Result<Host, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let program = compile(folder.path(), "fixed_address.c", &["-no-pie", "-fno-pie"])?;
        prepare(&program)?;
        let session = Session::start(&mut Command::new(&program))?;
        Ok(Host { folder, program, session })
    }

    /// An object of functions with those bodies, `{name}` being the address that the program has of it.
    fn object(&self, functions: &[(&str, &str)]) -> Result<PathBuf, String> {
        let mut source = String::from(".text\n");
        for (name, body) in functions {
            source += &format!(
                ".globl {name}\n.type {name}, @function\n{name}:\n{body}\nret\n.size {name}, . - {name}\n"
            );
        }
        for (name, address) in &self.session.known {
            source = source.replace(&format!("{{{name}}}"), &format!("{address:#x}"));
        }
        source += ".section .note.GNU-stack, \"\", @progbits\n";
        assemble(self.folder.path(), "in", &source)
    }

    /// What the maps are like that it can be described with: captured whole, captured for the object, a copy of
    /// what the kernel says.
    fn maps(&self, object: &Path) -> Result<Vec<Vec<String>>, String> {
        let path = |name: &str| self.folder.path().join(name);
        let (whole, needed, kernel) = (path("whole.json"), path("needed.json"), path("maps"));
        self.session.capture(&whole, &[])?;
        self.session.capture(&needed, &["--for", &object.display().to_string()])?;
        let maps = fs::read(format!("/proc/{}/maps", self.session.pid)).map_err(|error| error.to_string())?;
        fs::write(&kernel, maps).map_err(|error| error.to_string())?;
        let empty = path("empty.json");
        fs::write(&empty, r#"{"relocfix": 1}"#).map_err(|error| error.to_string())?;
        let text = |path: &Path| path.display().to_string();
        Ok(vec![
            vec!["--session-map".to_owned(), text(&whole)],
            vec!["--session-map".to_owned(), text(&needed)],
            vec!["--session-map".to_owned(), text(&empty), "--maps".to_owned(), text(&kernel)],
        ])
    }

    /// That the object is refused with each of the maps, and what is said.
    fn assert_refused(&self, object: &Path, message: &str, extra: &[&str]) -> Result<(), String> {
        let output = self.folder.path().join("out.o");
        for map in self.maps(object)? {
            let mut command = tool();
            command.arg(object).arg("-o").arg(&output).args(map).args(extra);
            refused(&mut command, &output, 1, &[message.to_owned()])?;
        }
        Ok(())
    }
}

fn kept(_: &Path) -> Result<(), String> {
    Ok(())
}

#[test]
fn of_what_begins_there() -> Result<(), String> {
    let host = Host::start(kept)?;
    let object = host.object(&[
        ("first", "mov ${table}, %edi\nmov (%rdi), %rax"),
        ("indexed", "mov {table}(,%rdi,8), %rax"),
        ("place", "lea {table}(,%rdi,8), %rax"),
        ("call", "sub $8, %rsp\nmov ${helper}, %eax\ncall *%rax\nadd $8, %rsp"),
        ("pushed", "push ${helper}\npop %rax"),
        ("direct", "mov {table}, %rax"),
    ])?;
    let driver = "#include <stdio.h>\nlong table[16] = {3, 4, 5};\nlong helper(void) { return 7; }\n\
        long first(void), indexed(long), call(void), direct(void), (*pushed(void))(void), *place(long);\n\
        int main(void) { printf(\"%ld %ld %ld %ld %ld %d\\n\", first(), indexed(2), call(), pushed()(), direct(),\n\
        place(5) == table + 5); }\n";
    for map in host.maps(&object)? {
        let fixed = fix(&object, &host.folder.path().join("out.o"), None, &map)?;
        assert_eq!(fixed.report["summary"]["resolved"], 6, "{map:?}: {:#}", fixed.report);
        assert_eq!(fixed.warnings, "");
        let matrix = Matrix::new(&[fixed.object]).driver(driver).expect_stdout("3 5 7 7 3 1\n");
        matrix.modes(&[Mode::Pie, Mode::NoPie, Mode::Static]).run()?;
    }
    Ok(())
}

/// Whoever has the map that was made for the object needs nothing else.
#[test]
fn without_the_program() -> Result<(), String> {
    let host = Host::start(kept)?;
    let object = host.object(&[("first", "mov ${table}, %edi\nmov (%rdi), %rax")])?;
    let maps = host.maps(&object)?;
    fs::remove_file(&host.program).map_err(|error| error.to_string())?;
    let output = host.folder.path().join("out.o");
    let fixed = fix(&object, &output, None, &maps[1])?;
    assert_eq!(fixed.report["summary"]["resolved"], 1);
    fs::remove_file(&output).map_err(|error| error.to_string())?;
    let message = "fixed_address: cannot be read: No such file".to_owned();
    refused(tool().arg(&object).arg("-o").arg(&output).args(&maps[2]), &output, 2, &[message])?;
    Ok(())
}

/// What lies inside of something, or is not named at all, may as well be a number.
#[test]
fn of_what_is_around_there() -> Result<(), String> {
    let host = Host::start(kept)?;
    for (body, message) in [
        ("mov ${table} + 16, %ecx\nmov (%rcx), %rax", "as an address inside table: perhaps none"),
        ("mov ${zeroed} + 32768, %ecx\ncmp %rcx, %rdi", "perhaps no address"),
        ("mov {table}(%rdi), %rax", "as an address inside table: perhaps none"),
        ("mov ${helper} + 1, %eax", "is 0x1 bytes into the function `helper`"),
        ("mov ${zeroed} + 8, %edi\nmov (%rdi), %rax", "is 0x8 bytes into `zeroed`"),
        ("mov ${heap}, %eax", "is in [heap]; "),
        ("mov ${literal}, %edi\njmp *%rax", "it is perhaps no address, which --ignore can say"),
    ] {
        let object = host.object(&[("f", body)])?;
        host.assert_refused(&object, message, &[]).map_err(|error| format!("{body}: {error}"))?;
        let (report, _) = check_with(&object, None, &host.maps(&object)?[0])?;
        assert_eq!(report["summary"]["places"], 1, "{body}");
    }
    Ok(())
}

/// A function that no other file can name is one of those, all the same.
#[test]
fn of_what_is_private() -> Result<(), String> {
    let host = Host::start(kept)?;
    let object = host.object(&[("f", "mov ${hidden}, %eax\njmp *%rax")])?;
    host.assert_refused(&object, "is `hidden`, which", &[])
}

/// Without symbols everything in it may be meant, or nothing.
#[test]
fn of_a_program_without_symbols() -> Result<(), String> {
    let host = Host::start(|program| succeed(Command::new("strip").arg(program)).map(drop))?;
    let object = host.object(&[("first", "mov ${table}, %edi\nmov (%rdi), %rax")])?;
    host.assert_refused(&object, "it is perhaps no address, which --ignore can say", &[])?;
    let output = host.folder.path().join("out.o");
    let mut map = host.maps(&object)?.remove(0);
    map.extend(["--ignore".to_owned(), ".text".to_owned()]);
    let fixed = fix(&object, &output, None, &map)?;
    assert_eq!(fixed.report["summary"]["places"], 0);
    Ok(())
}

/// The tables at a file's start are nobody's, and of memory that has no name numbers are told apart by a witness only.
#[test]
fn of_what_is_no_address() -> Result<(), String> {
    let host = Host::start(kept)?;
    let header = host.object(&[("flag", "mov $0x400000, %eax\ntest $0x400000, %edi")])?;
    for map in host.maps(&header)? {
        let fixed = fix(&header, &host.folder.path().join("out.o"), None, &map)?;
        assert_eq!(fixed.report["places"], Value::Array(Vec::new()));
        // The map for this object has no mapping around such a number.
        let told = fixed.warnings.contains(".text+0x1 (flag): 0x400000 is taken for a number");
        assert_eq!(told, !map[1].ends_with("needed.json"), "{}", fixed.warnings);
    }
    let block = host.object(&[("f", "mov ${block}, %eax")])?;
    let fixed = fix(&block, &host.folder.path().join("out.o"), None, &host.maps(&block)?[0])?;
    assert!(fixed.warnings.contains("is taken for a number"), "{}", fixed.warnings);
    Ok(())
}
