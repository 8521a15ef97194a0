//! Functions and data that libraries and programs keep to themselves, used by their addresses in one process and found
//! in others by the build-id: of a library of our own, of the C library, and of the program that loads the result.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

mod support;

use support::command::{run, succeed};
use support::matrix::{Matrix, Mode};
use support::toolchain::Linkers;
use support::untouched::assert_untouched;
use support::{relocfix, toolchain};

/// A library with things that it does not export; `TAG` makes another build of it.
const LIBRARY: &str = r#"
static int counter;
static int table[4] = {3, 5, 7, 11};
const char tag[] = TAG;
__attribute__((noinline)) static int helper(int x) { return x + ++counter; }
int public_function(int x) { return helper(x) + table[x & 3]; }
int count(void) { return counter; }
void *private_address(int which) {
    return which == 0 ? (void *)helper : which == 1 ? (void *)&counter : (void *)table;
}
"#;

/// A process that knows their addresses. Given a library, it is the program that loads the result.
const HOST: &str = r#"
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
int public_function(int);
void *private_address(int);
__attribute__((noinline)) static int host(int x) { __asm__ volatile(""); return x * 5 + 1; }
int main(int argc, char **argv) {
    int waits = argc > 1 && !strcmp(argv[1], "wait");
    if (argc > 1 && !waits) {
        void *plugin = dlopen(argv[1], RTLD_NOW);
        if (!plugin) { puts(dlerror()); return 1; }
        printf("%d\n", ((int (*)(int))dlsym(plugin, "call_host"))(8));
        return 0;
    }
    printf("HELPER %p\nCOUNTER %p\nTABLE %p\n", private_address(0), private_address(1), private_address(2));
    printf("INSIDE %p\nHOST %p\n", (char *)dlsym(RTLD_DEFAULT, "public_function") + 3, (void *)host);
    printf("CLASSES %p\nCOS %p\n", (void *)*__ctype_b_loc(), dlsym(RTLD_DEFAULT, "cos"));
    printf("REALPATH %p\n", dlvsym(RTLD_DEFAULT, "realpath", "GLIBC_2.2.5"));
    FILE *maps = fopen("/proc/self/maps", "r");
    for (int c; (c = getc(maps)) != EOF;) putchar(c);
    if (waits) { fclose(stdout); getchar(); }
    return cos(argc) > 2;
}
"#;

/// What that process compiled.
const OBJECT: &str = r#"
    .file "private.c"
    .text
    .macro jumps name, to
    .globl \name
    .type \name, @function
    \name: movabs $\to, %rax
    jmp *%rax
    .size \name, .-\name
    .endm
    jumps call_helper, HELPER
    jumps call_cos, COS
    jumps call_realpath, REALPATH
    .globl now, class
    .type now, @function
now: movabs COUNTER, %eax
    ret
    .type class, @function
class: movabs $CLASSES, %rax
    movslq %edi, %rdi
    movzwl (%rax,%rdi,2), %eax
    ret
    .section .text.again, "axG", @progbits, again, comdat
    .weak again
    .type again, @function
again: movabs $HELPER, %rax
    jmp *%rax
    .data
    .globl words
    .balign 8
    .type words, @object
words: .quad TABLE, INSIDE, TABLE + 4
    .size words, .-words
    .bss
    .globl primes
    .balign 8
    .type primes, @object
primes: .zero 8
    .size primes, 8
    .section .note.GNU-stack, "", @progbits
"#;

const DRIVER: &str = r#"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
int call_helper(int), again(int), now(void), class(int), count(void), public_function(int);
double call_cos(double);
char *call_realpath(const char *, char *);
extern int *words[3];
extern unsigned long primes;
int main(void) {
    printf("%d ", call_helper(10));
    printf("%d ", again(10));
    printf("%d\n", now());
    printf("%d\n", count());
    printf("%d %d %d\n", words[0][0], words[0][3], *words[2]);
    printf("%d\n", (char *)words[1] == (char *)public_function + 3);
    printf("%d\n", class('a') == (*__ctype_b_loc())['a'] && class('1') == (*__ctype_b_loc())['1']);
    volatile double x = 0.5;
    printf("%d %d\n", call_cos(x) == cos(x), call_cos(0) == 1);
    printf("%d\n", call_realpath(".", NULL) == NULL && realpath(".", NULL) != NULL);
    printf("%lx\n", primes);
    return 0;
}
"#;

const ANSWERS: &str = "11 12 2\n2\n3 11 5\n1\n1\n1 1\n1\n500000003\n";

/// The library, and the program that uses it.
struct Built {
    folder: tempfile::TempDir,
}

impl Built {
    /// `None`, said loudly: there is no compiler.
    fn new() -> Result<Option<Built>, String> {
        if ["gcc", "strip"].iter().any(|tool| toolchain::require(tool).is_none()) {
            return Ok(None);
        }
        let built = Built { folder: tempfile::tempdir().map_err(|error| error.to_string())? };
        built.library("first")?;
        fs::write(built.at("host.c"), HOST).map_err(|error| error.to_string())?;
        let mut command = Command::new("gcc");
        command.args(["-O1", "-Wl,--build-id", "-o"]).args([built.at("host"), built.at("host.c")]);
        succeed(command.args(built.flags()).args(["-lm", "-ldl"]))?;
        succeed(Command::new("strip").arg(built.at("host")))?;
        Ok(Some(built))
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Builds the library, as a release is built: stripped.
    fn library(&self, tag: &str) -> Result<(), String> {
        fs::create_dir_all(self.at("private lib")).map_err(|error| error.to_string())?;
        fs::write(self.at("private.c"), LIBRARY).map_err(|error| error.to_string())?;
        let mut command = Command::new("gcc");
        command.args(["-O1", "-fPIC", "-shared", "-Wl,--build-id", "-Wl,-soname,libprivate.so.1", "-s"]);
        command.arg(format!("-DTAG=\"{tag}\"")).arg("-o");
        succeed(command.args([self.at("private lib/libprivate.so.1"), self.at("private.c")])).map(drop)
    }

    /// What links with it.
    fn flags(&self) -> [String; 3] {
        let lib = self.at("private lib").display().to_string();
        [format!("-L{lib}"), format!("-Wl,-rpath,{lib}"), "-l:libprivate.so.1".to_owned()]
    }

    /// One process: the object that it compiles and the map of what it knew, in a folder of their own.
    fn session(&self, name: &str) -> Result<Session, String> {
        let printed = succeed(&mut Command::new(self.at("host")))?.text();
        self.printed(name, &printed)
    }

    /// What a process that printed that knew.
    fn printed(&self, name: &str, printed: &str) -> Result<Session, String> {
        let folder = self.at(name);
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let addresses: HashMap<String, String> = printed
            .lines()
            .filter_map(|line| line.split_once(" 0x"))
            .map(|(name, address)| (name.to_owned(), format!("0x{address}")))
            .collect();
        let mut ids = HashMap::new();
        let mappings: Vec<Value> = printed.lines().filter_map(|line| mapping(line, &mut ids)).collect();
        let table = &addresses["TABLE"];
        let map = json!({
            "relocfix": 1, "machine": "x86_64", "mappings": mappings,
            "globals": [{"symbol": "primes", "init": {"load": {"address": table}}}]
        });
        fs::write(folder.join("in.session.json"), map.to_string()).map_err(|error| error.to_string())?;
        Ok(Session { folder, addresses })
    }
}

/// A line of `/proc/PID/maps` as an entry of a session map, with the file's build-id.
fn mapping(line: &str, ids: &mut HashMap<String, Option<String>>) -> Option<Value> {
    let mut fields = line.split_whitespace();
    let (range, perms, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let (start, end) = range.split_once('-')?;
    let mut entry = json!({
        "start": format!("0x{start}"), "end": format!("0x{end}"), "offset": format!("0x{offset}"), "perms": perms
    });
    if fields.nth(2).is_some()
        && let Some(path) = line.find(['/', '[']).map(|at| &line[at..])
    {
        entry["path"] = json!(path);
        if let Some(id) = ids.entry(path.to_owned()).or_insert_with(|| build_id(path)) {
            entry["build_id"] = json!(id);
        }
    }
    Some(entry)
}

fn build_id(path: &str) -> Option<String> {
    let notes = run(Command::new("readelf").args(["-nW", path])).ok()?.text();
    let (_, id) = notes.split_once("Build ID: ")?;
    Some(id.split_whitespace().next()?.to_owned())
}

struct Session {
    folder: PathBuf,
    addresses: HashMap<String, String>,
}

impl Session {
    /// Compiles what uses the session's addresses.
    fn object(&self, source: &str) -> Result<PathBuf, String> {
        let mut source = source.to_owned();
        for (name, address) in &self.addresses {
            source = source.replace(name, address);
        }
        let object = self.folder.join("in.o");
        fs::write(self.folder.join("in.s"), source).map_err(|error| error.to_string())?;
        let mut command = Command::new("gcc");
        succeed(command.current_dir(&self.folder).args(["-c", "-o"]).arg(&object).arg("in.s"))?;
        Ok(object)
    }

    fn map(&self) -> PathBuf {
        self.folder.join("in.session.json")
    }

    fn fixed(&self, source: &str) -> Result<relocfix::Fixed, String> {
        let object = self.object(source)?;
        let output = self.folder.join("out.o");
        let fixed = relocfix::fix(&object, &output, Some(&self.map()), &ANCHOR)?;
        assert_untouched(&object, &output, &fixed.report)?;
        relocfix::assert_stable(&output, Some(&self.map()), &ANCHOR)?;
        Ok(fixed)
    }
}

const ANCHOR: [&str; 2] = ["--private", "anchor"];

/// Kinds of output with a dynamic linker, which alone loads libraries.
const DYNAMIC: [Mode; 3] = [Mode::Shared, Mode::Pie, Mode::NoPie];

#[test]
fn found_in_other_processes_and_only_in_the_same_build() -> Result<(), String> {
    let Some(built) = Built::new()? else { return Ok(()) };
    let session = built.session("one")?;
    let fixed = session.fixed(OBJECT)?;
    let twin = built.session("two")?.fixed(OBJECT)?;
    relocfix::assert_same(&fixed.object, &twin.object)?;

    let report = &fixed.report;
    let libraries: Vec<&str> =
        report["libraries"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(libraries, ["libc.so.6", "libm.so.6", "libprivate.so.1"]);
    // One search for each library.
    assert_eq!(report["summary"]["calls"], 3);
    assert_eq!(report["places"][0]["target"]["file"], "libprivate.so.1");
    assert!(
        report["places"][0]["reason"].as_str().is_some_and(|r| r.starts_with("is private to ")),
        "{report:#}"
    );

    let matrix = |driver: &str| Matrix::new(&[&fixed.object]).driver(driver).libraries(&["-lm"]);
    let flags = built.flags();
    matrix(DRIVER).libraries(&flags).modes(&DYNAMIC).expect_stdout(ANSWERS).run()?;

    // Without the library, and with another build of it, the program does not even begin.
    let missing = ["private.c: cannot fill ", "libprivate.so.1 with the build-id ", "is not loaded"];
    let missing = missing.map(str::to_owned);
    let stops = "#include <stdio.h>\nint main(void) { puts(\"begins\"); return 0; }";
    matrix(stops).modes(&DYNAMIC).expect_abort(&missing).run()?;
    matrix(stops).modes(&[Mode::Static, Mode::StaticPie]).expect_abort(&missing).run()?;
    built.library("second")?;
    matrix(DRIVER).libraries(&flags).modes(&DYNAMIC).expect_abort(&missing).run()
}

#[test]
fn refused_unless_asked_for() -> Result<(), String> {
    let Some(built) = Built::new()? else { return Ok(()) };
    let session = built.session("one")?;
    let object = session.object(OBJECT)?;
    let output = session.folder.join("out.o");
    let mut command = relocfix::tool();
    command.arg(&object).arg("-o").arg(&output).arg("-s").arg(session.map());
    // First an expression that needs one: the run ends there.
    let texts = ["the nearest name before it is `", "--private anchor"].map(str::to_owned);
    relocfix::refused(&mut command, &output, 1, &texts)?;
    let without_globals = fs::read_to_string(session.map()).map_err(|error| error.to_string())?;
    let mut map: Value = serde_json::from_str(&without_globals).map_err(|error| error.to_string())?;
    map["globals"] = json!([]);
    fs::write(session.map(), map.to_string()).map_err(|error| error.to_string())?;
    let finished = relocfix::refused(&mut command, &output, 1, &texts)?;
    assert_eq!(finished.stderr.lines().count(), 9, "{}", finished.stderr);
    assert!(
        finished.stderr.contains("in a version that no unversioned reference binds to"),
        "{}",
        finished.stderr
    );

    // What the map does not say which build it is of is not anchored either.
    for mapping in map["mappings"].as_array_mut().unwrap() {
        mapping.as_object_mut().unwrap().remove("build_id");
    }
    fs::write(session.map(), map.to_string()).map_err(|error| error.to_string())?;
    let texts = ["cannot be anchored: the session map gives no build_id for "].map(str::to_owned);
    relocfix::refused(command.args(ANCHOR), &output, 1, &texts).map(drop)
}

/// A map that was captured for one object needs no other file later.
#[test]
fn a_captured_map_is_enough() -> Result<(), String> {
    let Some(built) = Built::new()? else { return Ok(()) };
    let mut process = Command::new(built.at("host"))
        .arg("wait")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut printed = String::new();
    let read = process.stdout.take().map(|mut stdout| stdout.read_to_string(&mut printed));
    let session = built.printed("one", &printed);
    let captured = built.at("captured.json");
    let capture = || -> Result<PathBuf, String> {
        let object = session
            .as_ref()
            .map_err(Clone::clone)?
            .object(".data\n.globl words\nwords: .quad HELPER, COUNTER\n")?;
        let mut command = relocfix::tool();
        command.args(["capture", "--pid", &process.id().to_string(), "--for"]).arg(&object);
        succeed(command.arg("-o").arg(&captured)).map(|_| object)
    };
    let object = capture();
    drop(process.stdin.take());
    let ended = process.wait();
    assert!(matches!(read, Some(Ok(_))) && ended.is_ok(), "{printed}");
    let object = object?;
    let before = relocfix::fix(&object, &built.at("before.o"), Some(&captured), &ANCHOR)?.report;
    built.library("second")?;
    let after = relocfix::fix(&object, &built.at("after.o"), Some(&captured), &ANCHOR)?.report;
    for report in [&before, &after] {
        assert_eq!(report["places"][0]["target"]["file"], "libprivate.so.1");
        assert_eq!(report["places"][0]["target"]["offset"], before["places"][0]["target"]["offset"]);
    }
    relocfix::assert_same(&built.at("before.o"), &built.at("after.o"))
}

/// Where debuggers find names that a stripped library does not have any more, its own are found, to say what an address is.
#[test]
fn debug_files_say_what_an_address_is() -> Result<(), String> {
    if ["objcopy", "xz"].iter().any(|tool| toolchain::require(tool).is_none()) {
        return Ok(());
    }
    let Some(built) = Built::new()? else { return Ok(()) };
    let lib = built.at("private lib");
    let library = lib.join("libprivate.so.1");
    let stripped = fs::read(&library).map_err(|error| error.to_string())?;
    // The same build, not stripped.
    let mut command = Command::new("gcc");
    command.args(["-O1", "-g", "-fPIC", "-shared", "-Wl,--build-id", "-Wl,-soname,libprivate.so.1"]);
    succeed(
        command.args(["-DTAG=\"first\"", "-o", "full.so", "private.c"]).current_dir(built.folder.path()),
    )?;
    let objcopy = |arguments: &[&str]| {
        succeed(Command::new("objcopy").args(arguments).current_dir(built.folder.path())).map(drop)
    };
    objcopy(&["--only-keep-debug", "full.so", "private.debug"])?;
    objcopy(&["--strip-debug", "full.so", "symbols"])?;
    succeed(Command::new("xz").args(["-k", "symbols"]).current_dir(built.folder.path()))?;
    let link = format!("--add-gnu-debuglink={}", built.at("private.debug").display());
    let linked = || objcopy(&["--strip-all", &link, "full.so", "private lib/libprivate.so.1"]);

    let answer = || -> Result<String, String> {
        let session = built.session("one")?;
        let object = session.object(".data\n.quad HELPER\n.bss\n.globl primes\nprimes: .zero 8\n")?;
        let map = fs::read_to_string(session.map()).map_err(|error| error.to_string())?;
        let mut map: Value = serde_json::from_str(&map).map_err(|error| error.to_string())?;
        map["globals"] = json!([]);
        fs::write(session.map(), map.to_string()).map_err(|error| error.to_string())?;
        let finished = run(relocfix::tool().arg(object).arg("-o").arg(built.at("out.o")))?;
        assert_eq!(finished.status.code(), Some(1), "{}", finished.describe());
        Ok(finished.stderr)
    };
    let named = |text: &str| text.contains(" is `helper`, which ");
    let private = |text: &str| text.contains(" is private to ");
    let expect = |what: &str, known: bool| -> Result<(), String> {
        let text = answer()?;
        assert!(if known { named(&text) } else { private(&text) }, "{what}: {text}");
        Ok(())
    };
    fs::write(&library, &stripped).map_err(|error| error.to_string())?;
    expect("stripped", false)?;
    linked()?;
    expect("the debug file is elsewhere", false)?;
    let copy =
        |to: &Path| fs::copy(built.at("private.debug"), to).map(drop).map_err(|error| error.to_string());
    copy(&lib.join("private.debug"))?;
    expect("the debug file is beside it", true)?;
    fs::rename(lib.join("private.debug"), lib.join("kept")).map_err(|error| error.to_string())?;
    fs::create_dir(lib.join(".debug")).map_err(|error| error.to_string())?;
    copy(&lib.join(".debug/private.debug"))?;
    expect("the debug file is below it", true)?;
    let mut other = fs::read(lib.join("kept")).map_err(|error| error.to_string())?;
    other.push(0);
    fs::write(lib.join(".debug/private.debug"), other).map_err(|error| error.to_string())?;
    expect("another file of that name", false)?;
    objcopy(&[
        "--strip-all",
        "--add-section",
        ".gnu_debugdata=symbols.xz",
        "full.so",
        "private lib/libprivate.so.1",
    ])?;
    expect("the names are packed", true)?;
    let packed = fs::read(built.at("symbols.xz")).map_err(|error| error.to_string())?;
    fs::write(built.at("symbols.xz"), &packed[..packed.len() / 2]).map_err(|error| error.to_string())?;
    objcopy(&[
        "--strip-all",
        "--add-section",
        ".gnu_debugdata=symbols.xz",
        "full.so",
        "private lib/libprivate.so.1",
    ])?;
    expect("what is packed is cut off", false)
}

/// Linkers that keep only libraries that symbols need keep these.
#[test]
fn the_printed_arguments_link() -> Result<(), String> {
    let Some(built) = Built::new()? else { return Ok(()) };
    let session = built.session("one")?;
    let output = session.folder.join("out.o");
    let mut command = relocfix::tool();
    command.arg(session.object(OBJECT)?).arg("-o").arg(&output).args(ANCHOR).arg("--print-link-args");
    let printed = succeed(&mut command)?.text();
    let needed = |library: &str| format!("-Wl,--push-state,--no-as-needed -l:{library} -Wl,--pop-state");
    let lib = built.at("private lib").display().to_string();
    let expected = format!(
        "{} {} '-L{lib}' '-Wl,-rpath,{lib}' {}\n",
        needed("libc.so.6"),
        needed("libm.so.6"),
        needed("libprivate.so.1")
    );
    assert_eq!(printed, expected);

    let driver = session.folder.join("driver.c");
    let source =
        "#include <stdio.h>\nint call_helper(int);\nint main(void) { printf(\"%d\\n\", call_helper(10)); }";
    fs::write(&driver, source).map_err(|error| error.to_string())?;
    let linkers = Linkers::get()?;
    for &linker in &linkers.found {
        let program = session.folder.join(linker.name());
        let flags = linkers.flags(linker).map(|flag| format!("'{flag}'")).join(" ");
        let line =
            format!("gcc {flags} -Wl,--as-needed driver.c out.o {} -o {}", printed.trim_end(), linker.name());
        succeed(Command::new("sh").current_dir(&session.folder).args(["-c", &line]))?;
        assert_eq!(succeed(&mut Command::new(&program))?.text(), "11\n", "{}", linker.name());
    }
    Ok(())
}

/// The program that compiled it loads it again, in another process.
#[test]
fn a_program_finds_its_own_functions() -> Result<(), String> {
    let Some(built) = Built::new()? else { return Ok(()) };
    let source = ".text\n.globl call_host\ncall_host: movabs $HOST, %rax\njmp *%rax\n.section .note.GNU-stack\n.bss\n.globl primes\nprimes: .zero 8\n";
    let session = built.session("one")?;
    let fixed = session.fixed(source)?;
    assert_eq!(fixed.report["places"][0]["target"]["file"], "host");
    let libraries: Vec<&str> =
        fixed.report["libraries"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(!libraries.contains(&"host"), "{libraries:?}");
    let plugin = built.at("plugin.so");
    succeed(Command::new("gcc").args(["-shared", "-o"]).arg(&plugin).arg(&fixed.object))?;
    let printed = succeed(Command::new(built.at("host")).arg(&plugin))?.text();
    assert_eq!(printed, "41\n");
    Ok(())
}
