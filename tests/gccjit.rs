//! Objects that libgccjit writes in one process run in another: the producer is a program of ours that bakes
//! addresses of its functions, variables, heap and libraries into code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod support;

use support::command::{run, succeed};
use support::matrix::{Matrix, Mode};
use support::untouched::assert_untouched;
use support::{relocfix, toolchain};

/// The program around the rewritten object: the session's own things, by name.
const DRIVER: &str = r#"
#include "gccjit_answers.h"
long counter, table[72];
struct node N;
long hostfn(long x) { return x * 3 - 7; }
#define DECLARE(TYPE, NAME, ARGUMENTS) TYPE NAME ARGUMENTS;
FUNCTIONS(DECLARE)
int main(void) {
    ANSWERS();
    return 0;
}
"#;

#[test]
fn unoptimized() -> Result<(), String> {
    produced_at("0")
}

/// At this level gcc keeps a loop's bounds as `&table >> 3`, loads through `movabs moffs64, %rax`, and pairs addresses
/// in `.rodata.cst16`.
#[test]
fn optimized() -> Result<(), String> {
    produced_at("2")
}

fn produced_at(level: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let Some(producer) = build_producer(folder)? else {
        return Ok(());
    };
    let mut sessions = Vec::new();
    for number in 1..=2 {
        // The same file name in folders of their own: nothing but addresses differs.
        let place = folder.join(format!("session{number}"));
        fs::create_dir(&place).map_err(|error| error.to_string())?;
        let made =
            succeed(Command::new(&producer).current_dir(&place).args([level, "in.o", "in.session.json"]))?;
        sessions.push((place.join("in.o"), made.text()));
    }
    let [(first, answers), (second, same_answers)] = &sessions[..] else {
        return Err("two sessions".to_owned());
    };
    assert_eq!(answers, same_answers, "the sessions disagree");
    assert!(answers.lines().count() > 10, "the session answers: {answers}");
    if relocfix::assert_same(first, second).is_ok() {
        toolchain::missing("address space layout randomization");
    }

    let program = |object: &Path| {
        Matrix::new(&[object])
            .driver(DRIVER)
            .driver_option("-I")
            .driver_option(producers())
            .libraries(&["-lm"])
            .expect_stdout(answers)
    };
    // As it is, the object is of no use to anybody else.
    assert!(program(first).modes(&[Mode::Pie]).run().is_err(), "the session's object needs no fixing");

    let mut outputs: Vec<PathBuf> = Vec::new();
    for (input, _) in &sessions {
        let output = input.with_file_name("out.o");
        // The map beside the object is found by its name.
        let fixed = relocfix::fix::<&str>(input, &output, None, &[])?;
        assert_eq!(fixed.report["summary"]["unresolved"], 0);
        assert_untouched(input, &output, &fixed.report)?;
        outputs.push(output);
    }
    relocfix::assert_same(&outputs[0], &outputs[1])?;
    relocfix::assert_stable::<&str>(&outputs[0], None, &[])?;
    program(&outputs[0]).run()
}

fn producers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/producers")
}

/// The producer; `None` if libgccjit is missing.
fn build_producer(folder: &Path) -> Result<Option<PathBuf>, String> {
    let probe = folder.join("probe.c");
    fs::write(&probe, "#include <libgccjit.h>\n").map_err(|error| error.to_string())?;
    if !run(Command::new("gcc").arg("-fsyntax-only").arg(&probe))?.status.success() {
        toolchain::missing("libgccjit");
        return Ok(None);
    }
    let producer = folder.join("gccjit");
    let source = producers().join("gccjit.c");
    succeed(
        Command::new("gcc")
            .args(["-O1", "-pie", "-fPIE", "-Wall", "-Werror", "-o"])
            .arg(&producer)
            .arg(source)
            .args(["-lgccjit", "-lm"]),
    )?;
    Ok(Some(producer))
}
