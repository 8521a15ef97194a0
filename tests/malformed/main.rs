//! Truncated and corrupt objects, session maps and images: an error or a well-formed output, never a panic, a hang or
//! memory without bounds. And what is no object at all: the error says what it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rayon::prelude::*;
use relocfix::{ErrorKind, ObjectFile, Options, RelocationModel, SessionMap, fix};
use serde_json::json;

mod line_tables;
#[path = "../subjects/mod.rs"]
mod subjects;
#[path = "../support/mod.rs"]
mod support;
mod trial;

use subjects::{Subject, read_map};
use support::command::succeed;
use support::files::Memory;
use support::random::Random;
use support::toolchain;
use trial::{conclude, peak_memory, survive};

/// Larger objects have nothing in them that smaller ones have not.
const SMALL: usize = 20_000;
/// Corrupt copies of each object, of each kind of corruption.
const COPIES: u64 = 1_000;
/// What nothing here may need: the objects are a ten-thousandth of it.
const MEMORY: u64 = 1 << 30;

/// Every small object at hand.
fn small() -> Vec<Subject> {
    let mut all = subjects::stored();
    all.extend(subjects::cases());
    all.extend(subjects::compiled());
    all.extend(subjects::ordinary());
    all.retain(|subject| subject.session.object.len() <= SMALL && subject.map().is_ok());
    assert!(all.len() > 40, "only {} small objects", all.len());
    all
}

/// Every place by itself, for any kind of output.
const LISTED: (RelocationModel, bool) = (RelocationModel::Pic, false);

/// Reads and rewrites whatever that is; brief: without a list of its places.
fn rewrite(
    bytes: &[u8],
    map: &SessionMap,
    files: &Memory,
    (relocation_model, brief): (RelocationModel, bool),
) -> Result<(), String> {
    let Ok(object) = ObjectFile::parse("corrupt.o", bytes) else {
        return Ok(());
    };
    let options = Options { relocation_model, brief, ..Options::default() };
    match fix(&object, map, files, &options) {
        Ok(fixed) => match fixed.output {
            Some(output) => match ObjectFile::parse("out.o", &output) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("the output cannot be read: {error}")),
            },
            None => Ok(()),
        },
        // That is a defect of the program, however corrupt the object is.
        Err(error) if error.kind() == ErrorKind::Verification => Err(error.to_string()),
        Err(_) => Ok(()),
    }
}

#[test]
fn truncated_objects() {
    let subjects = small();
    let trials: usize = subjects.iter().map(|s| s.session.object.len()).sum();
    let failures: Vec<String> = subjects
        .par_iter()
        .flat_map(|subject| {
            let map = subject.map().unwrap();
            let object = &subject.session.object;
            let failures = (0..object.len()).into_par_iter().filter_map(|length| {
                survive(
                    || format!("{}, the first {length} bytes", subject.name),
                    || rewrite(&object[..length], &map, &subject.files, LISTED),
                )
            });
            failures.collect::<Vec<_>>()
        })
        .collect();
    conclude(trials, &failures);
}

/// One to four flipped bits; or a number that is as large, as small or as near a size as numbers get, where a field may be.
fn corrupt(object: &[u8], random: &mut Random) -> (Vec<u8>, String) {
    let mut bytes = object.to_vec();
    let mut done = String::new();
    if random.below(2) == 0 {
        for _ in 0..=random.below(4) {
            let (at, bit) = (random.index(bytes.len()), random.below(8));
            bytes[at] ^= 1 << bit;
            done += &format!(" bit {bit} of {at:#x}");
        }
        return (bytes, done);
    }
    let width = random.one_of(&[1, 2, 4, 8]);
    let at = random.index(bytes.len() / width) * width;
    let length = bytes.len() as u64;
    let extremes = [
        0,
        1,
        u64::MAX,
        u64::MAX - 7,
        u64::MAX >> 1,
        1 << 31,
        (1 << 31) - 1,
        1 << 32,
        1 << 47,
        1 << 60,
        length,
        length - 1,
        length + 1,
        random.bits(),
        random.below(64),
        random.below(length),
    ];
    let number = random.one_of(&extremes);
    bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
    (bytes, format!(" {number:#x} in {width} bytes at {at:#x}"))
}

#[test]
fn corrupt_objects() {
    let subjects = small();
    let failures: Vec<String> = subjects
        .par_iter()
        .enumerate()
        .flat_map(|(number, subject)| {
            let map = subject.map().unwrap();
            let failures = (0..COPIES).into_par_iter().filter_map(|copy| {
                let mut random = Random::new(((number as u64) << 32) + copy);
                let (bytes, done) = corrupt(&subject.session.object, &mut random);
                let model =
                    random.one_of(&[RelocationModel::Pic, RelocationModel::Pic, RelocationModel::Static]);
                let brief = random.below(2) == 0;
                survive(
                    || format!("{}, {model:?}, brief: {brief},{done}", subject.name),
                    || rewrite(&bytes, &map, &subject.files, (model, brief)),
                )
            });
            failures.collect::<Vec<_>>()
        })
        .collect();
    conclude(subjects.len() * COPIES as usize, &failures);
    assert!(peak_memory() < MEMORY, "{} MiB were needed", peak_memory() >> 20);
}

#[test]
fn corrupt_maps() {
    let subjects = small();
    let failures: Vec<String> = subjects
        .par_iter()
        .enumerate()
        .flat_map(|(number, subject)| {
            let text = &subject.session.map;
            // Of a long one not every byte is tried: most of it is alike.
            let step = text.len().div_ceil(1_000);
            let mut failures = Vec::new();
            for length in (0..text.len()).step_by(step) {
                failures.extend(survive(
                    || format!("map of {}, the first {length} bytes", subject.name),
                    || match read_map(&text[..length], &subject.files) {
                        Ok(_) => Err("a part of a map was taken for one".to_owned()),
                        Err(_) => Ok(()),
                    },
                ));
            }
            for copy in 0..COPIES / 4 {
                let mut random = Random::new(((number as u64) << 32) + copy + 1);
                let (text, done) = corrupt(text, &mut random);
                failures.extend(survive(
                    || format!("map of {},{done}", subject.name),
                    || match read_map(&text, &subject.files) {
                        Ok(map) => rewrite(&subject.session.object, &map, &subject.files, LISTED),
                        Err(_) => Ok(()),
                    },
                ));
            }
            failures
        })
        .collect();
    conclude(subjects.len() * COPIES as usize / 4, &failures);
    assert!(peak_memory() < MEMORY, "{} MiB were needed", peak_memory() >> 20);
}

/// A heap in the lowest 64 GiB, as some runtimes have: two words of an initializer's program are as large as its addresses.
#[test]
fn a_heap_among_small_numbers() {
    let mut rewritten = 0;
    let mut failures = Vec::new();
    for subject in small() {
        let mut text: serde_json::Value = serde_json::from_slice(&subject.session.map).unwrap();
        let heap = json!({"start": "0x100000000", "end": "0x1000000000", "perms": "rw-p"});
        match text.get_mut("mappings").and_then(|mappings| mappings.as_array_mut()) {
            Some(mappings) => mappings.push(heap),
            None => text["mappings"] = json!([heap]),
        }
        let Ok(map) = read_map(text.to_string().as_bytes(), &subject.files) else {
            continue;
        };
        rewritten += 1;
        failures.extend(survive(
            || subject.name.clone(),
            || rewrite(&subject.session.object, &map, &subject.files, LISTED),
        ));
    }
    assert!(rewritten > 40, "only {rewritten} session maps could have another mapping");
    conclude(rewritten, &failures);
}

/// A library with functions of every kind: versions, aliases, indirect functions, thread-local variables.
const LIBRARY: &str = r#"
int exported_table[64] = {1};
_Thread_local int mine = 3;
static int hidden(int x) { return x + exported_table[x & 63]; }
int plain(int x) { return hidden(x); }
int plain_alias(int) __attribute__((alias("plain")));
__attribute__((weak)) int weak(int x) { return x - mine; }
static int fast(int x) { return x * 3; }
static int (*choose(void))(int) { return fast; }
int indirect(int) __attribute__((ifunc("choose")));
int old(int x) { return x; }
int new_(int x) { return x + 1; }
__asm__(".symver old,versioned@LIB_1");
__asm__(".symver new_,versioned@@LIB_2");
"#;

#[test]
fn corrupt_images() {
    let Some(compiler) = toolchain::require("gcc") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("library.c", LIBRARY);
    write(
        "versions",
        "LIB_1 { global: plain*; weak; indirect; exported_table; mine; local: *; }; LIB_2 {} LIB_1;\n",
    );
    succeed(Command::new(compiler).current_dir(folder.path()).args([
        "-shared",
        "-fPIC",
        "-O1",
        "-Wl,--version-script=versions",
        "-Wl,--hash-style=both",
        "-Wl,--build-id=sha1",
        "-o",
        "library.so",
        "library.c",
    ]))
    .unwrap();
    let image = fs::read(folder.path().join("library.so")).unwrap();

    // An object that asks what is at every sixteenth byte of the library.
    const BASE: u64 = 0x7f12_3456_0000;
    let mut text = ".data\n".to_owned();
    for offset in (0..0x5000u64).step_by(16) {
        text += &format!(".quad {:#x}\n", BASE + offset);
    }
    let Some(object) = subjects::compile("gcc", &[], "s", &text) else {
        return;
    };
    let mapping = |start: u64, end: u64, perms: &str| {
        json!({"start": format!("{:#x}", BASE + start), "end": format!("{:#x}", BASE + end),
               "offset": format!("{start:#x}"), "perms": perms, "path": "/session/library.so"})
    };
    let map = json!({
        "relocfix": 1,
        "machine": "x86_64",
        "mappings": [mapping(0, 0x1000, "r--p"), mapping(0x1000, 0x2000, "r-xp"), mapping(0x2000, 0x5000, "rw-p")],
    })
    .to_string();
    let ask = |image: Vec<u8>| {
        let mut files = Memory::default();
        files.0.insert(PathBuf::from("/session/library.so"), image);
        let Ok(map) = read_map(map.as_bytes(), &files) else {
            return Ok(0);
        };
        let object = ObjectFile::parse("in.o", &object).map_err(|error| error.to_string())?;
        match fix(&object, &map, &files, &Options::default()) {
            Err(error) if error.kind() == ErrorKind::Verification => Err(error.to_string()),
            Err(error) => Ok(error.report().map_or(0, |report| report.summary.resolved)),
            Ok(fixed) => Ok(fixed.report.summary.resolved),
        }
    };
    // The library itself is one that names are found in.
    assert!(ask(image.clone()).unwrap() > 3);

    let trials = 3_000;
    let lengths: Vec<usize> = (0..image.len()).step_by(23).collect();
    let mut failures: Vec<String> = lengths
        .par_iter()
        .filter_map(|&length| {
            survive(
                || format!("the library's first {length} bytes"),
                || ask(image[..length].to_vec()).map(drop),
            )
        })
        .collect();
    let corrupted: Vec<String> = (0..trials)
        .into_par_iter()
        .filter_map(|copy| {
            let mut random = Random::new(copy);
            let (bytes, done) = corrupt(&image, &mut random);
            survive(|| format!("the library,{done}"), || ask(bytes).map(drop))
        })
        .collect();
    failures.extend(corrupted);
    conclude(lengths.len() + trials as usize, &failures);
    assert!(peak_memory() < MEMORY, "{} MiB were needed", peak_memory() >> 20);
}

#[test]
fn other_files() {
    let Some(object) = subjects::compile("gcc", &[], "c", "int f(int x) { return x; }") else {
        return;
    };
    let patched = |at: usize, bytes: &[u8]| {
        let mut object = object.clone();
        object[at..at + bytes.len()].copy_from_slice(bytes);
        object
    };
    let mut files: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), "empty"),
        ("text", b"int main(void) { return 0; }\n".to_vec(), "text"),
        ("JSON", b"{\"relocfix\": 1}\n".to_vec(), "session map"),
        ("another byte order", patched(5, &[2]), "big-endian"),
        ("another machine", patched(18, &[183, 0]), "AArch64"),
        ("x32", patched(4, &[1]), "x32"),
        ("a core dump", patched(16, &[4, 0]), "core"),
        ("cut off", object[..40].to_vec(), "cut off"),
        ("this program", fs::read(std::env::current_exe().unwrap()).unwrap(), "executable"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("f.o"), &object).unwrap();
    let mut made = |what, file: &str, program: &str, arguments: &[&str], says| {
        let Some(program) = toolchain::require(program) else {
            return;
        };
        succeed(Command::new(program).current_dir(folder.path()).args(arguments)).unwrap();
        files.push((what, fs::read(path(file)).unwrap(), says));
    };
    fs::write(path("f.c"), "int f(int x) { return x; }\n").unwrap();
    fs::write(path("f.s"), "ret\n").unwrap();
    made("an archive", "f.a", "ar", &["rc", "f.a", "f.o"], "ar x");
    made("a thin archive", "thin.a", "ar", &["rcT", "thin.a", "f.o"], "thin archive");
    made("a library", "f.so", "gcc", &["-shared", "-o", "f.so", "f.o"], "shared library");
    made("i386", "f32.o", "as", &["--32", "-o", "f32.o", "f.s"], "i386");
    made("bitcode", "f.bc", "clang", &["-c", "-emit-llvm", "-o", "f.bc", "f.c"], "bitcode");
    for (what, bytes, says) in files {
        let error = ObjectFile::parse("in.o", &bytes).expect_err(what);
        let message = error.to_string();
        assert!(message.starts_with("in.o: ") && message.contains(says), "{what}: {message}");
        let expected =
            if what == "cut off" { ErrorKind::MalformedObject } else { ErrorKind::UnsupportedObject };
        assert_eq!(error.kind(), expected, "{what}: {message}");
    }
}

/// No folder is an object, and no output of a folder is left.
#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.o");
    let finished = support::command::run(
        support::relocfix::tool()
            .arg(folder.path())
            .arg("-o")
            .arg(&output)
            .arg("-s")
            .arg(Path::new("/dev/null")),
    )
    .unwrap();
    assert_eq!(finished.status.code(), Some(2), "{}", finished.describe());
    assert!(finished.stderr.contains("directory"), "{}", finished.describe());
    assert!(!output.exists());
}
