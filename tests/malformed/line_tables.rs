//! Corrupt and hostile line tables: they are for messages only, so the object is rewritten as it would be without.

use std::process::Command;

use rayon::prelude::*;
use relocfix::{ObjectFile, Options, fix};

use crate::corrupt;
use crate::subjects::{self, read_map};
use crate::support::command::succeed;
use crate::support::files::Memory;
use crate::support::random::Random;
use crate::support::toolchain;
use crate::trial::{conclude, peak_memory, survive};

const SOURCE: &str = "long f(long x) { return x + *(volatile long *)0x7f1234560400; }\n\
                      long g(long x) {\n return x * *(volatile long *)0x7f1234560408;\n}\n";
const MAP: &str = r#"{"relocfix": 1, "machine": "x86_64",
    "symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}"#;

/// The lines that an object's places are reported to come from.
fn lines(bytes: &[u8]) -> Result<Vec<Option<String>>, String> {
    let files = Memory::default();
    let map = read_map(MAP.as_bytes(), &files).map_err(|error| error.to_string())?;
    let object = ObjectFile::parse("in.o", bytes).map_err(|error| error.to_string())?;
    let fixed = fix(&object, &map, &files, &Options::default()).map_err(|error| error.to_string())?;
    Ok(fixed.report.places.into_iter().map(|place| place.line).collect())
}

#[test]
fn corrupt_line_tables() {
    let mut failures = Vec::new();
    let mut trials = 0;
    for (compiler, flags) in [
        ("gcc", &["-gdwarf-4", "-O1"][..]),
        ("gcc", &["-gdwarf-5", "-O1", "-ffunction-sections"]),
        ("gcc", &["-g", "-O1", "-gz=zlib"]),
        ("clang", &["-gdwarf-4", "-O1"]),
        ("clang", &["-gdwarf-5", "-O1"]),
    ] {
        let Some(object) = subjects::compile(compiler, flags, "c", SOURCE) else { return };
        assert!(lines(&object).unwrap().iter().all(Option::is_some), "{compiler} {flags:?}");
        let tables: Vec<std::ops::Range<usize>> = {
            let parsed = ObjectFile::parse("in.o", &object).unwrap();
            let tables =
                parsed.sections.iter().filter(|s| [".debug_line", ".debug_line_str"].contains(&s.name));
            let start = |data: &[u8]| data.as_ptr() as usize - object.as_ptr() as usize;
            tables.map(|s| start(s.data)..start(s.data) + s.data.len()).collect()
        };
        trials += 2_000;
        let wrong = (0..2_000).into_par_iter().filter_map(|copy| {
            let mut random = Random::new(copy);
            let mut bytes = object.clone();
            let table = random.one_of(&[0, tables.len() - 1]);
            let range = tables[table].clone();
            let (changed, done) = corrupt(&object[range.clone()], &mut random);
            bytes[range].copy_from_slice(&changed);
            survive(
                || format!("{compiler} {flags:?}, table {table},{done}"),
                // All else stays as it is: two places.
                || if lines(&bytes)?.len() == 2 { Ok(()) } else { Err("places are missing".to_owned()) },
            )
        });
        failures.extend(wrong.collect::<Vec<_>>());
    }
    conclude(trials, &failures);
    assert!(peak_memory() < crate::MEMORY, "{} MiB were needed", peak_memory() >> 20);
}

/// A table of version 5 whose header says that it has more files than there are atoms, each of as few bytes as can be;
/// 16 MiB of them.
#[test]
fn a_table_of_nothing_but_files() {
    let Some(assembler) = toolchain::require("gcc") else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
        .globl f
        .type f, @function
f:      movabs $0x7f1234560400, %rax
        ret
        .size f, . - f
        .section .debug_line, "", @progbits
        .long 2f - 1f
1:      .value 5
        .byte 8, 0
        .long 2f - 3f
3:      .byte 1, 1, 1, -5, 14, 13
        .byte 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1
        .byte 1, 1, 0x0b        # directories: a path of one byte
        .uleb128 0x7fffffffffffffff
        .fill 0x1000000, 1, 0
2:
"#;
    std::fs::write(folder.path().join("f.s"), text).unwrap();
    succeed(Command::new(assembler).current_dir(folder.path()).args(["-c", "f.s", "-o", "f.o"])).unwrap();
    let bytes = std::fs::read(folder.path().join("f.o")).unwrap();
    let before = peak_memory();
    assert_eq!(lines(&bytes), Ok(vec![None]));
    // Tests of other files run beside this one, and need little.
    let used = peak_memory() - before;
    assert!(used < 40 * bytes.len() as u64, "{} MiB were needed", used >> 20);
}
