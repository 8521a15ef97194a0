//! Objects for tests that take any: the stored ones, the annotated sources, and what compilers make of the sources here;
//! each with its session map, and with its twin from another session where there is one.

// The test crates take different parts of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use relocfix::arch::Machine;
use relocfix::{MapSource, Private, SessionMap};
use serde_json::{Value, json};

#[path = "../cases/annotations.rs"]
mod annotations;

use crate::support::command::succeed;
use crate::support::files::Memory;
use crate::support::toolchain;
use annotations::Case;

/// Where the other session's addresses are.
const MOVED: u64 = 0x0011_2233_0000;

/// An object and the map of its session.
pub(crate) struct Session {
    /// The object's bytes.
    pub(crate) object: Vec<u8>,
    /// The map's JSON.
    pub(crate) map: Vec<u8>,
}

/// An object of the tests.
pub(crate) struct Subject {
    /// For messages.
    pub(crate) name: String,
    /// The object and its map.
    pub(crate) session: Session,
    /// The same code of another session.
    pub(crate) twin: Option<Session>,
    /// What the map refers to.
    pub(crate) files: Memory,
    /// What becomes of addresses that no exported name covers.
    pub(crate) private: Private,
}

impl Subject {
    /// The session map, read.
    pub(crate) fn map(&self) -> Result<SessionMap, relocfix::Error> {
        read_map(&self.session.map, &self.files)
    }
}

/// Reads a map.
pub(crate) fn read_map(text: &[u8], files: &Memory) -> Result<SessionMap, relocfix::Error> {
    let source = MapSource { name: "in.session.json".to_owned(), folder: PathBuf::from("/session"), text };
    SessionMap::parse(&[source], Machine::X86_64, files)
}

/// The stored objects of real producers.
pub(crate) fn stored() -> Vec<Subject> {
    let table: Vec<u8> = (0..200_000).flat_map(|i| (f64::from(i) * 0.5).to_le_bytes()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/objects");
    let mut subjects = Vec::new();
    for path in sorted(&folder) {
        let read = |name: &str| fs::read(path.join(name)).ok();
        let session = |stem: &str| {
            Some(Session { object: read(&format!("{stem}.o"))?, map: read(&format!("{stem}.session.json"))? })
        };
        let Some(both) = session("in") else { continue };
        let mut files = Memory::default();
        files.0.insert(PathBuf::from("/session/table.bin"), table.clone());
        let truth: Value = serde_json::from_slice(&read("truth.json").unwrap()).unwrap();
        // What only a comparison of the two can show stays as it is, and differs.
        let shown = truth["pointers"].as_array().unwrap().iter().all(|p| p["visible"] == "map");
        subjects.push(Subject {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            session: both,
            twin: session("twin").filter(|_| shown),
            files,
            private: Private::Error,
        });
    }
    assert!(!subjects.is_empty());
    subjects
}

/// The annotated sources, compiled.
pub(crate) fn cases() -> Vec<Subject> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases");
    let mut subjects = Vec::new();
    for path in sorted(&folder) {
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !["s", "c", "cc", "ll"].contains(&extension.as_str()) {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let case = Case::parse(&fs::read_to_string(&path).unwrap(), &extension).unwrap();
        let compiler = case.compiler.clone().unwrap_or_else(|| compiler_of(&extension).to_owned());
        let flags: Vec<&str> = case.flags.iter().map(String::as_str).collect();
        let compiled = |another| {
            let map = if another { case.moved_map() } else { Some(case.map.clone()) }?;
            let source = case.session_source(another).unwrap();
            let object = compile(&compiler, &flags, &extension, &source)?;
            Some(Session { object, map: map.to_string().into_bytes() })
        };
        let Some(session) = compiled(false) else { continue };
        if read_map(&session.map, &Memory::default()).is_err() {
            // Rejected before any object is looked at.
            continue;
        }
        // Constants that are to be kept, or that stand in the source as numbers, do not move; what only a comparison
        // shows stays as it is, and differs.
        let keeps = case.witness || case.options.iter().any(|option| option == "keep");
        let moves = case.refused.is_empty() && !keeps;
        subjects.push(Subject {
            name,
            session,
            twin: if moves { compiled(true) } else { None },
            files: Memory::default(),
            private: match case.options.iter().any(|option| option == "anchor") {
                true => Private::Anchor,
                false => Private::Error,
            },
        });
    }
    assert!(subjects.len() > 20);
    subjects
}

/// C and C++ with addresses of a session, as compilers and code models turn them into code.
pub(crate) fn compiled() -> Vec<Subject> {
    let all: [(&str, &str, &str, &[&str]); 9] = [
        ("gcc", "c", SESSION_C, &["-O2"]),
        ("gcc", "c", SESSION_C, &["-O0", "-g", "-fPIC"]),
        ("gcc", "c", SESSION_C, &["-O2", "-mcmodel=large", "-fno-pic"]),
        ("gcc", "c", SESSION_C, &["-O3", "-ffunction-sections", "-fdata-sections", "-fcf-protection"]),
        ("clang", "c", SESSION_C, &["-O2", "-faddrsig", "-fPIC"]),
        ("clang", "c", SESSION_C, &["-O2", "-faddrsig", "-mcmodel=large", "-fno-pic"]),
        ("g++", "cc", SESSION_CXX, &["-O2"]),
        ("g++", "cc", SESSION_CXX, &["-O1", "-mcmodel=large", "-fno-pic"]),
        ("clang++", "cc", SESSION_CXX, &["-O2", "-faddrsig", "-fPIC", "-fno-unique-section-names"]),
    ];
    let mut subjects = Vec::new();
    for (compiler, extension, source, flags) in all {
        let compiled = |moved: u64| {
            let mut flags = flags.to_vec();
            let base = format!("-DBASE={:#x}", 0x7f12_3456_0000 + moved);
            flags.push(&base);
            let object = compile(compiler, &flags, extension, source)?;
            Some(Session { object, map: session_map(moved) })
        };
        let Some(session) = compiled(0) else { continue };
        let name = format!("{compiler} {}", flags.join(" "));
        subjects.push(Subject {
            name,
            session,
            twin: compiled(MOVED),
            files: Memory::default(),
            private: Private::Error,
        });
    }
    subjects
}

/// The same without addresses of a session: nothing is to be done but lowering.
pub(crate) fn ordinary() -> Vec<Subject> {
    let all: [(&str, &str, &str, &[&str]); 6] = [
        ("gcc", "c", SESSION_C, &["-O2"]),
        ("gcc", "c", SESSION_C, &["-O2", "-g", "-fPIC", "-ffunction-sections"]),
        ("clang", "c", SESSION_C, &["-O2", "-g", "-faddrsig", "-fPIC"]),
        ("g++", "cc", SESSION_CXX, &["-O2", "-g", "-fPIC"]),
        ("clang++", "cc", SESSION_CXX, &["-O2", "-faddrsig", "-fPIC"]),
        ("g++", "cc", SESSION_CXX, &["-O0", "-fPIC", "-gsplit-dwarf"]),
    ];
    let mut subjects = Vec::new();
    for (compiler, extension, source, flags) in all {
        let Some(object) = compile(compiler, flags, extension, source) else {
            continue;
        };
        subjects.push(Subject {
            name: format!("{compiler} {} without addresses", flags.join(" ")),
            session: Session { object, map: session_map(0) },
            twin: None,
            files: Memory::default(),
            private: Private::Error,
        });
    }
    subjects
}

/// What the sources below mean by their addresses.
fn session_map(moved: u64) -> Vec<u8> {
    let at = |offset: u64| format!("{:#x}", 0x7f12_3456_0000 + moved + offset);
    json!({
        "relocfix": 1,
        "machine": "x86_64",
        "mappings": [{"start": at(0), "end": at(0x10_0000), "perms": "rwxp"}],
        "symbols": [
            {"address": at(0x100), "name": "session_function", "size": 64},
            {"address": at(0x1000), "name": "session_table", "size": 256},
        ],
        "values": [
            {"name": "made", "address": at(0x2000), "size": 32,
             "init": {"call": "make_value", "args": [{"string": "made"}, {"int": 3}]}},
        ],
    })
    .to_string()
    .into_bytes()
}

const SESSION_C: &str = r#"
extern int printf(const char *, ...);
extern long outside;
#ifdef BASE
#define FUNCTION ((long (*)(long))(BASE + 0x100))
#define TABLE ((volatile long *)(BASE + 0x1000))
#define MADE ((volatile long *)(BASE + 0x2000))
#else
extern long session_function(long), session_table[], made[];
#define FUNCTION session_function
#define TABLE session_table
#define MADE made
#endif
static long counter = 7;
long zero[16];
long call(long x) { return FUNCTION(x) + counter++; }
long load(void) { return TABLE[0] + TABLE[3]; }
/* Through a register: of `movabs %rax, address` only a jump elsewhere could be made. */
void store(long x) {
    volatile long *table = TABLE, *made_here = MADE;
    __asm__("" : "+r"(table), "+r"(made_here));
    table[1] = x; made_here[1] = x + outside;
}
long value(long n) { long total = 0; for (long i = 0; i < n; i++) total += MADE[i & 3] * zero[i & 15]; return total; }
void *const pointers[4] = {(void *)TABLE, (void *)&counter, (void *)(TABLE + 2), 0};
long (*callback)(long) = FUNCTION;
static long choose(long x) {
    switch (x & 7) { case 0: return 3; case 1: return x * 5; case 2: return FUNCTION(x); case 3: return -x;
                     case 4: return x ^ 9; case 5: return x << 3; default: return printf("%ld\n", x); }
}
long all(long x) { return choose(x) + choose(x + 1) + (long)pointers[x & 3] + callback(x); }
__attribute__((constructor)) static void begin(void) { counter = 8; }
_Thread_local long mine;
long tls(void) { return mine++; }
"#;

const SESSION_CXX: &str = r#"
#include <stdexcept>
#include <string>
#ifdef BASE
#define FUNCTION ((long (*)(long))(BASE + 0x100))
#define MADE (*(volatile long *)(BASE + 0x2000))
#else
extern "C" long session_function(long), made;
#define FUNCTION session_function
#define MADE made
#endif
template <int N> struct guarded { ~guarded() { FUNCTION(N); } };
template <int N> inline long attempt(long x) {
    static long calls;
    guarded<N> g;
    try {
        if (FUNCTION(x) == N) throw std::runtime_error("x");
        if (x > 100) throw std::string("large");
        return MADE + ++calls;
    } catch (const std::runtime_error &e) { return e.what()[0] + N; }
}
struct base { virtual long f(long x) { return FUNCTION(x); } virtual ~base() {} };
struct derived : base { long f(long x) override { return attempt<4>(x); } };
long entry(long x) {
    derived d; base *b = &d;
    try { return attempt<1>(x) + attempt<2>(x + 1) + attempt<3>(x) + b->f(x); }
    catch (const std::string &s) { return s.size(); } catch (...) { throw; }
}
"#;

fn compiler_of(extension: &str) -> &'static str {
    match extension {
        "cc" => "g++",
        "ll" => "clang",
        _ => "gcc",
    }
}

/// The object that a compiler makes of a source; nothing, loudly, without that compiler.
pub(crate) fn compile(compiler: &str, flags: &[&str], extension: &str, source: &str) -> Option<Vec<u8>> {
    let program = toolchain::require(if compiler == "clang++" { "clang" } else { compiler })?;
    let folder = tempfile::tempdir().unwrap();
    let name = format!("source.{extension}");
    fs::write(folder.path().join(&name), source).unwrap();
    let mut command = Command::new(program);
    command.current_dir(folder.path()).args(flags).args(["-w", "-c", "-o", "object.o"]).arg(&name);
    // Compilers write the folder into debug information.
    command.arg(format!("-ffile-prefix-map={}=.", folder.path().display()));
    succeed(&mut command).unwrap();
    Some(fs::read(folder.path().join("object.o")).unwrap())
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths
}
