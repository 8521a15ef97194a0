//! The names that a captured map gives are those that another process finds the same code and data by.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::session::{Session, compile, jit_object, knower, knower_with_code, number};
use crate::support::matrix::{Matrix, Mode};
use crate::support::relocfix::{assert_same, check, fix};
use crate::support::toolchain;

const LIBRARIES: [&str; 2] = ["-lm", "-lstdc++"];

/// Indirect functions of glibc on x86-64, and what they are called when several names have one implementation.
pub(crate) const INDIRECT: [(&str, &str); 33] = [
    ("memcpy", "memmove"),
    ("memmove", "memmove"),
    ("memset", "memset"),
    ("memcmp", "memcmp"),
    ("memchr", "memchr"),
    ("memrchr", "memrchr"),
    ("mempcpy", "mempcpy"),
    ("strlen", "strlen"),
    ("strnlen", "strnlen"),
    ("strchr", "strchr"),
    ("strrchr", "strrchr"),
    ("strcmp", "strcmp"),
    ("strncmp", "strncmp"),
    ("strcasecmp", "strcasecmp"),
    ("strcpy", "strcpy"),
    ("strncpy", "strncpy"),
    ("strcat", "strcat"),
    ("strstr", "strstr"),
    ("strspn", "strspn"),
    ("strcspn", "strcspn"),
    ("strpbrk", "strpbrk"),
    ("wcslen", "wcslen"),
    ("wmemset", "wmemset"),
    ("time", "time"),
    ("gettimeofday", "gettimeofday"),
    ("sin", "sin"),
    ("cos", "cos"),
    ("tan", "tan"),
    ("atan", "atan"),
    ("floor", "floor"),
    ("ceil", "ceil"),
    ("rint", "rint"),
    ("trunc", "trunc"),
];

/// What each address that the program knows means, by the report of `check`: name, offset, library.
fn meanings(session: &Session, report: &Value) -> Result<Vec<(String, u64)>, String> {
    let places = report["places"].as_array().ok_or("places")?;
    let meaning = |(name, address): &(String, u64)| {
        let place = places.iter().find(|place| number(&place["value"]) == *address);
        let place = place.ok_or(format!("{name}: no place"))?;
        let symbol = place["target"]["symbol"].as_str().ok_or(format!("{name}: {place}"))?;
        Ok((symbol.to_owned(), place["target"]["offset"].as_u64().unwrap_or(0)))
    };
    session.known.iter().map(meaning).collect()
}

#[test]
fn every_name_is_what_another_process_finds() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let program = compile(folder, "knower.c", &["-pie", "-fPIE", "-lm", "-lstdc++", "-rdynamic"])?;
    let session = Session::start(Command::new(program).arg(jit_object(folder)?).current_dir(folder))?;
    let map_path = folder.join("map.json");
    let map = session.capture(&map_path, &[])?;
    let object = session.object(folder)?;
    let (report, _) = check(&object, Some(&map_path))?;
    assert_eq!(report["summary"]["unresolved"], 0, "{report:#}");

    let asker = compile(folder, "asker.c", &[])?;
    let mut questions = String::new();
    let mut expected = Vec::new();
    let meanings = meanings(&session, &report)?;
    for ((name, address), (symbol, offset)) in session.known.iter().zip(&meanings) {
        if let Some((_, public)) = INDIRECT.iter().find(|(indirect, _)| indirect == name) {
            assert_eq!(symbol, public, "{name}");
        }
        if name.starts_with("own_") || name.starts_with("jit_") {
            assert!(name.starts_with(symbol.as_str()), "{name} is {symbol}");
            continue;
        }
        // Variables that the program has a copy of are found in their library.
        let library = ["libm.so.6", "libstdc++.so.6"].into_iter().find(|library| {
            let listed = map["symbols"].as_array().into_iter().flatten();
            let listed = listed.clone().find(|s| s["name"] == symbol.as_str()).map(|s| s["library"].clone());
            match listed {
                Some(listed) => listed == *library,
                None if *library == "libm.so.6" => MATH.contains(&name.as_str()),
                None => symbol.starts_with("_Z"),
            }
        });
        let _ = writeln!(questions, "{} {symbol}", library.unwrap_or("libc.so.6"));
        expected.push((name, address - offset, symbol));
    }
    let answers = ask(&asker, &questions)?;
    assert_eq!(answers.len(), expected.len());
    let mut copies = 0;
    for ((name, address, symbol), (offset, file)) in expected.into_iter().zip(answers) {
        let there = range_of(&map, address).ok_or(format!("{name}: not mapped"))?;
        let path = there["path"].as_str().unwrap_or_default();
        if path.ends_with("/knower") {
            copies += 1;
            continue;
        }
        let start = start_of(&map, path);
        assert_eq!(address - start, offset, "{name} as {symbol} in {path} and {file}");
    }
    assert!(copies <= 8, "variables that the program has copies of: {copies}");
    Ok(())
}

pub(crate) const MATH: [&str; 15] = [
    "sin", "cos", "tan", "atan", "floor", "ceil", "rint", "trunc", "exp", "log", "sqrt", "cbrt", "fabs",
    "log2", "sinh",
];

/// What another process says about symbols: offset in the file, and the file.
fn ask(asker: &Path, questions: &str) -> Result<Vec<(u64, String)>, String> {
    let spawned = Command::new(asker).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| error.to_string())?;
    let mut input = child.stdin.take().ok_or("its input")?;
    input.write_all(questions.as_bytes()).map_err(|error| error.to_string())?;
    drop(input);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = |line: &str| {
        let (offset, file) = line.split_once(' ').ok_or(line.to_owned())?;
        Ok((u64::from_str_radix(offset, 16).map_err(|_| line.to_owned())?, file.to_owned()))
    };
    text.lines().map(answer).collect()
}

fn mappings(map: &Value) -> impl Iterator<Item = &Value> {
    map["mappings"].as_array().into_iter().flatten()
}

fn range_of(map: &Value, address: u64) -> Option<&Value> {
    mappings(map).find(|m| (number(&m["start"])..number(&m["end"])).contains(&address))
}

/// Where the file's first byte is mapped.
fn start_of(map: &Value, path: &str) -> u64 {
    mappings(map).find(|m| m["path"] == path).map_or(0, |m| number(&m["start"]))
}

/// A driver whose `main` compares what each function of the object returns with what the name means there.
fn driver(meanings: &[(String, u64)]) -> String {
    let mut text = String::from("#include <stdio.h>\nextern void *words[];\n");
    for (number, (symbol, _)) in meanings.iter().enumerate() {
        let _ =
            writeln!(text, "extern void *f{number}(void); extern char s{number}[] __asm__(\"{symbol}\");");
    }
    text.push_str("long own_variable, own_table[16]; long own_function(long x) { return x; }\n");
    for name in ["jit_debugger", "jit_debugger_too", "jit_profiler", "jit_map"] {
        let _ = writeln!(text, "void {name}(void) {{}}");
    }
    text.push_str("int main(void) {\n");
    for (number, (symbol, offset)) in meanings.iter().enumerate() {
        let _ = writeln!(
            text,
            "if (f{number}() != s{number} + {offset} || words[{number}] != s{number} + {offset}) puts(\"{symbol}\");"
        );
    }
    text.push_str("return 0;\n}\n");
    text
}

/// That an object with all that a program knows can be fixed with a map, linked in every way, and means the same.
pub(crate) fn assert_fixed(
    session: &Session,
    object: &Path,
    map: &Path,
    modes: &[Mode],
) -> Result<(), String> {
    let fixed = fix::<&str>(object, &object.with_extension("fixed.o"), Some(map), &[])?;
    let meanings = meanings(session, &fixed.report)?;
    Matrix::new(&[&fixed.object]).driver(&driver(&meanings)).libraries(&LIBRARIES).modes(modes).run()
}

#[test]
fn an_object_that_holds_them_all_is_fixed_and_runs() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let session = knower_with_code(folder)?;
    let map = folder.join("map.json");
    session.capture(&map, &[])?;
    let object = session.object(folder)?;
    assert_fixed(&session, &object, &map, &Mode::ALL)?;

    // What the object needs of it is enough, without any of the process's files.
    let needed = folder.join("needed.json");
    let value = session.capture(&needed, &["--for", &object.display().to_string()])?;
    assert!(value["symbols"].as_array().is_some_and(|symbols| symbols.len() < session.known.len()));
    let text = fs::read_to_string(&needed).map_err(|error| error.to_string())?;
    fs::write(&needed, text.replace("\"path\": \"/", "\"path\": \"/nowhere/"))
        .map_err(|error| error.to_string())?;
    let outputs = [folder.join("whole.o"), folder.join("part.o")];
    fix::<&str>(&object, &outputs[0], Some(&map), &[])?;
    fix::<&str>(&object, &outputs[1], Some(&needed), &[])?;
    assert_same(&outputs[0], &outputs[1])
}

/// Another choice than this machine's own: what is asked must know of it.
#[test]
fn settings_of_the_process_are_heeded() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let program = knower(folder)?;
    let mut sines = Vec::new();
    for tunables in ["", "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX512F,-AVX512VL,-FMA,-FMA_Usable"] {
        let session = Session::start(Command::new(&program).env("GLIBC_TUNABLES", tunables))?;
        let map_path = folder.join("map.json");
        let map = session.capture(&map_path, &[])?;
        assert_fixed(&session, &session.object(folder)?, &map_path, &[Mode::Pie])?;
        let sine = session.known.iter().find(|(name, _)| name == "sin").map_or(0, |(_, address)| *address);
        let path = range_of(&map, sine).and_then(|m| m["path"].as_str()).unwrap_or_default();
        sines.push(sine - start_of(&map, path));
    }
    if sines[0] == sines[1] {
        toolchain::skip("on this processor libm chooses the same with other settings");
    }
    Ok(())
}

#[test]
fn the_same_process_gives_the_same_bytes() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let program = knower(folder)?;
    let session = Session::start(&mut Command::new(program))?;
    let (one, other) = (folder.join("one.json"), folder.join("other.json"));
    session.capture(&one, &[])?;
    session.capture(&other, &[])?;
    assert_same(&one, &other)?;
    let text = fs::read_to_string(&one).map_err(|error| error.to_string())?;
    // One entry a line, by address.
    let addresses = |key: &str| -> Vec<u64> {
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(&format!("{{\"{key}\": \"0x")));
        lines.filter_map(|line| u64::from_str_radix(line.split('"').next()?, 16).ok()).collect()
    };
    for key in ["start", "address"] {
        assert!(addresses(key).len() > 20 && addresses(key).is_sorted(), "{key}");
    }
    Ok(())
}
