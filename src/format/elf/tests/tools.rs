//! The programs that make objects for the tests and judge them; what is missing is skipped loudly, or with
//! `RELOCFIX_REQUIRE_TOOLS=1` a failure.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// An object of a real producer.
pub(super) struct Fixture {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// Objects of several producers; the last one is large.
pub(super) struct Fixtures(Vec<Fixture>);

impl Fixtures {
    pub(super) fn all(&self) -> &[Fixture] {
        &self.0
    }

    /// Those that are small enough to be tried a thousand times.
    pub(super) fn small(&self) -> &[Fixture] {
        &self.0[..self.0.len() - 1]
    }
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let mut llvm: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let version = name.to_str().and_then(|n| n.strip_prefix("llvm-")).and_then(|v| v.parse().ok());
        if let Some(version) = version {
            llvm.push((version, entry.path().join("bin")));
        }
    }
    llvm.sort();
    folders.extend(llvm.into_iter().rev().map(|(_, path)| path));
    folders
}

/// Every copy of a program, those in `PATH` first, then LLVM's by version, newest first.
fn all_of(name: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in folders().into_iter().map(|f| f.join(name)).filter(|p| p.is_file()) {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        // lld tells by its name what it shall be: the path stays as found.
        if !found.iter().any(|f| f.canonicalize().is_ok_and(|f| f == real)) {
            found.push(path);
        }
    }
    found
}

/// A program, if it is there.
pub(super) fn tool(name: &str) -> Option<PathBuf> {
    all_of(name).into_iter().next()
}

/// Says that a test is skipped; a failure where nothing may be.
pub(super) fn missing(what: &str) {
    assert!(std::env::var_os("RELOCFIX_REQUIRE_TOOLS").is_none_or(|v| v != "1"), "{what} is missing");
    eprintln!("SKIPPED: {what} is missing");
}

/// Runs a program that must succeed; what it wrote to its standard output and error.
pub(super) fn run(program: &Path, arguments: &[&OsStr]) -> (String, String) {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{} {arguments:?}: {}\n{stderr}", program.display(), output.status);
    (stdout, stderr)
}

/// Compiles or assembles one source.
pub(super) fn compile(compiler: &str, options: &[&str], language: &str, source: &str) -> Option<Vec<u8>> {
    let Some(program) = tool(compiler) else {
        missing(compiler);
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join(format!("in.{language}")), folder.path().join("out.o"));
    std::fs::write(&input, source).unwrap();
    let mut arguments: Vec<&OsStr> = options.iter().map(|o| o.as_ref()).collect();
    arguments.extend(["-c".as_ref(), input.as_os_str(), "-o".as_ref(), output.as_os_str()]);
    run(&program, &arguments);
    Some(std::fs::read(output).unwrap())
}

/// Every linker there is.
pub(super) fn linkers() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in ["ld.bfd", "ld.lld", "mold"] {
        let copies = all_of(name);
        if copies.is_empty() {
            missing(name);
        }
        found.extend(copies);
    }
    found
}

/// Lets readelf and every LLVM there is print all of an object; any warning is a failure.
pub(super) fn read_without_warning(name: &str, path: &Path) {
    let mut readers = vec![("readelf", &["-aW"][..])];
    readers.push(("llvm-readobj", &["--all"]));
    readers.push(("llvm-readelf", &["-aW", "-g"]));
    for (reader, options) in readers {
        let copies = all_of(reader);
        if copies.is_empty() {
            missing(reader);
        }
        for program in copies {
            let mut arguments: Vec<&OsStr> = options.iter().map(|o| o.as_ref()).collect();
            arguments.push(path.as_os_str());
            let (stdout, stderr) = run(&program, &arguments);
            assert_eq!(stderr, "", "{name}: {}", program.display());
            let bad = stdout.lines().find(|l| {
                let l = l.to_ascii_lowercase();
                l.contains("warning:")
                    || l.contains("error:")
                    || l.contains("<corrupt")
                    || l.contains("<unknown>:")
            });
            assert_eq!(bad, None, "{name}: {}", program.display());
        }
    }
}

const CXX: &str = r#"
#include <stdexcept>
template <class T> inline T count(T x) {
    static int calls;
    if (x > 100) throw std::runtime_error("too much");
    return x + calls++;
}
struct Shape { virtual ~Shape() {} virtual int area() { return 0; } };
struct Square : Shape { int side = 3; int area() override { return side * side; } };
Shape *make() { return new Square; }
int both(int x) {
    try { return count(x) + count<long>(x); } catch (std::exception &) { return make()->area(); }
}
__thread int per_thread = 3;
int *address() { return &per_thread; }
__attribute__((constructor)) void start() { both(7); }
int (*pointer)(int) = both;
"#;

fn make() -> Option<Fixtures> {
    let clang = if tool("clang-19").is_some() { "clang-19" } else { "clang" };
    let clangxx: &[&str] = &["-x", "c++"];
    let mut many = String::from("\t.globl first\nfirst:\n");
    for i in 0..70_000 {
        many.push_str(&format!("\t.section .data.s{i},\"aw\",@progbits\n\t.quad first\n"));
        // Symbols beyond the 16-bit section indices, local and global.
        if i % 1000 == 999 {
            many.push_str(&format!("local{i}: .quad local{i}\n\t.globl global{i}\nglobal{i}: .byte 1\n"));
        }
    }
    let fixtures = [
        (
            "c.o",
            compile("gcc", &["-O2"], "c", "int puts(const char *); int main(void) { return puts(\"x\"); }")?,
        ),
        ("data.o", compile("gcc", &[], "s", ".data\n.quad 1\n.local l\n.comm c,8")?),
        ("gcc-c++.o", compile("g++", &["-O1", "-g", "-fPIC", "-fcf-protection"], "cc", CXX)?),
        ("gcc-sections.o", compile("g++", &["-O1", "-fPIC", "-ffunction-sections", "-gz", "-g"], "cc", CXX)?),
        ("clang-addrsig.o", compile(clang, &[clangxx, &["-O1", "-fPIC", "-faddrsig"]].concat(), "cc", CXX)?),
        (
            "clang-sections.o",
            compile(
                clang,
                &[clangxx, &["-O1", "-g", "-fPIC", "-ffunction-sections", "-fdata-sections"]].concat(),
                "cc",
                CXX,
            )?,
        ),
        (
            "clang-profile.o",
            compile(
                clang,
                &["-fPIC"],
                "s",
                "\t.text\n\t.globl a\na: call b@PLT\n\tret\n\t.cg_profile a, b, 10\n",
            )?,
        ),
        ("many.o", compile("gcc", &[], "s", &many)?),
    ];
    Some(Fixtures(fixtures.into_iter().map(|(name, bytes)| Fixture { name, bytes }).collect()))
}

/// The objects, made once; `None` if a compiler is missing.
pub(super) fn fixtures() -> Option<&'static Fixtures> {
    static MADE: OnceLock<Option<Fixtures>> = OnceLock::new();
    MADE.get_or_init(make).as_ref()
}
