//! The source lines of places, from the line tables that compilers write: every version and shape of them, with code in
//! one section and in many, and what is said where there are none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

mod support;

use support::command::succeed;
use support::{relocfix, toolchain};

/// Every function reads `cell` in the line that says `here`.
const SOURCE: &str = r#"
#include "inlined.h"
long f(long x) {
    return x
        + *(volatile long *)0x7f1234560400; /* here: f */
}

static long pad(long x) { return x * 3; }

long g(long x) {
    if (x == 3) {
        return pad(x) +
            *(volatile long *)0x7f1234560408; /* here: g */
    }
    return x;
}

long h(long x) { return inlined(x); }
"#;
const HEADER: &str = r#"
static inline __attribute__((always_inline)) long inlined(long x) {
    return x - *(volatile long *)0x7f1234560410; /* here: inlined */
}
"#;
const MAP: &str = r#"{"relocfix": 1, "machine": "x86_64",
    "symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}"#;
/// The same without the name.
const UNKNOWN: &str = r#"{"relocfix": 1, "machine": "x86_64",
    "mappings": [{"start": "0x7f1234000000", "end": "0x7f1235000000", "perms": "rw-p", "path": "[heap]"}]}"#;

struct Compiled {
    folder: tempfile::TempDir,
    object: PathBuf,
}

fn compiled(compiler: &str, flags: &[&str]) -> Option<Compiled> {
    let program = toolchain::require(compiler)?;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("case.c"), SOURCE).unwrap();
    fs::write(path("inlined.h"), HEADER).unwrap();
    fs::write(path("case.session.json"), MAP).unwrap();
    let mut command = Command::new(program);
    succeed(command.current_dir(folder.path()).args(["-c", "case.c", "-o", "case.o", "-fPIC"]).args(flags))
        .unwrap();
    let object = path("case.o");
    Some(Compiled { folder, object })
}

/// File and line of the marked line, as messages write it.
fn line_of(function: &str) -> String {
    let marked =
        |text: &str| text.lines().position(|line| line.contains(&format!("here: {function}"))).map(|i| i + 1);
    match (marked(SOURCE), marked(HEADER)) {
        (Some(line), _) => format!("case.c:{line}"),
        (None, line) => format!("inlined.h:{}", line.unwrap()),
    }
}

/// Section, offset, address and line of every place.
fn places(object: &Path) -> Vec<(String, u64, u64, Option<String>)> {
    let (report, _) = relocfix::check(object, None).unwrap();
    let place = |place: &Value| {
        let text = |key: &str| place[key].as_str().map(str::to_owned);
        let address = u64::from_str_radix(&text("value").unwrap()[2..], 16).unwrap();
        (text("section").unwrap(), place["offset"].as_u64().unwrap(), address, text("line"))
    };
    report["places"].as_array().unwrap().iter().map(place).collect()
}

/// What GNU addr2line says of an address of a section, without the folder.
fn oracle(object: &Path, section: &str, offset: u64) -> Option<String> {
    let program = toolchain::require("addr2line")?;
    let mut command = Command::new(program);
    let said =
        succeed(command.arg("-s").arg("-j").arg(section).arg("-e").arg(object).arg(format!("{offset:#x}")));
    Some(said.unwrap().text().split_whitespace().next().unwrap().to_owned())
}

#[test]
fn every_kind_of_table() {
    for compiler in ["gcc", "clang"] {
        for flags in [
            &["-g", "-O0"][..],
            &["-g", "-O2"],
            &["-gdwarf-3", "-O2"],
            &["-gdwarf-4", "-O1"],
            &["-gdwarf-5", "-O1"],
            &["-gdwarf-4", "-O1", "-ffunction-sections"],
            &["-gdwarf-5", "-O2", "-ffunction-sections"],
            &["-gdwarf-5", "-O2", "-gsplit-dwarf"],
            &["-g", "-O2", "-gz=zlib"],
            &["-g1", "-O2"],
        ] {
            let Some(Compiled { object, folder: _folder }) = compiled(compiler, flags) else { return };
            let places = places(&object);
            assert_eq!(places.len(), 3, "{compiler} {flags:?}: {places:?}");
            for (section, offset, address, line) in places {
                let Some(expected) = oracle(&object, &section, offset) else { return };
                let place = format!("{compiler} {flags:?}: {section}+{offset:#x}");
                match line {
                    Some(line) => assert_eq!(line, expected, "{place}"),
                    // Constants that the optimizer put together come from line 0.
                    None => assert!(expected.ends_with(":?") && compiler == "clang", "{place}: {expected}"),
                }
                if flags.contains(&"-O0") || compiler == "gcc" {
                    let function = ["f", "g", "inlined"][(address as usize & 0xff) / 8];
                    assert_eq!(expected, line_of(function), "{place}");
                }
            }
        }
    }
}

#[test]
fn messages_say_the_line_and_the_instruction() {
    let Some(Compiled { folder, object }) = compiled("gcc", &["-g", "-O2"]) else { return };
    fs::write(folder.path().join("case.session.json"), UNKNOWN).unwrap();
    let output = folder.path().join("out.o");
    let said = |function: &str, symbol: &str| format!(" ({symbol}, {}): 0x7f", line_of(function));
    let texts =
        [said("f", "f"), said("g", "g"), said("inlined", "h"), ": `movabs $0x7f1234560408,%r".to_owned()];
    let mut command = relocfix::tool();
    let refused = command.arg(&object).arg("-o").arg(&output);
    let status = 1;
    // gcc reads memory at a constant address with whichever `movabs` fits.
    let finished = relocfix::refused(refused, &output, status, &texts[..3]).unwrap();
    assert!(
        finished.stderr.lines().filter(|line| line.contains(": `movabs ")).count() == 3,
        "{}",
        finished.stderr
    );

    let mut command = relocfix::tool();
    command.arg(&object).arg("-o").arg(&output).args(["--unresolved", "keep"]);
    let finished = support::command::run(&mut command).unwrap().success().unwrap();
    assert!(finished.stderr.contains(&texts[1]), "{}", finished.stderr);
}

#[test]
fn without_tables_there_are_no_lines() {
    for compiler in ["gcc", "clang"] {
        for flags in [&["-g0"][..], &["-g0", "-O2"]] {
            let Some(Compiled { object, folder: _folder }) = compiled(compiler, flags) else { return };
            let places = places(&object);
            assert_eq!(places.len(), 3);
            assert!(places.iter().all(|(.., line)| line.is_none()), "{places:?}");
        }
    }
}
