//! Running the tool itself, as a user would.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::command::{Finished, run};

/// A command line of the tool.
pub(crate) fn tool() -> Command {
    Command::new(env!("CARGO_BIN_EXE_relocfix"))
}

/// A rewritten object.
pub(crate) struct Fixed {
    /// Where it is.
    pub(crate) object: PathBuf,
    /// What the tool said about it.
    pub(crate) report: Value,
    /// What it warned of.
    pub(crate) warnings: String,
}

/// `relocfix INPUT -o OUTPUT --session-map MAP --report … EXTRA`.
///
/// # Errors
/// It does not succeed, or its report is none.
pub(crate) fn fix<S: AsRef<OsStr>>(
    input: &Path,
    output: &Path,
    map: Option<&Path>,
    extra: &[S],
) -> Result<Fixed, String> {
    let report = output.with_extension("report.json");
    let to = |output: &Path| {
        let mut command = tool();
        command.arg(input).arg("-o").arg(output).args(extra);
        if let Some(map) = map {
            command.arg("--session-map").arg(map);
        }
        command
    };
    let finished = run(to(output).arg("--report").arg(&report))?.success()?;
    // Where no report is asked for, what is alike is not looked at piece by piece.
    let unlisted = output.with_extension("unlisted.o");
    run(&mut to(&unlisted))?.success()?;
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    if read(output)? != read(&unlisted)? {
        return Err(format!("without a report {} becomes another one", input.display()));
    }
    if !finished.stdout.is_empty() {
        return Err(format!("nothing was to be printed:\n{}", finished.describe()));
    }
    let text = fs::read_to_string(&report).map_err(|error| format!("{}: {error}", report.display()))?;
    let report = parse(&text)?;
    Ok(Fixed { object: output.to_owned(), report, warnings: finished.stderr })
}

/// `relocfix check INPUT --session-map MAP --report - EXTRA`: its report, and what it ended with.
///
/// # Errors
/// It ends with neither 0 nor 1, or its report is none.
pub(crate) fn check(input: &Path, map: Option<&Path>) -> Result<(Value, i32), String> {
    check_with::<&str>(input, map, &[])
}

/// The same with more options: its report, and what it ended with.
///
/// # Errors
/// It ends with neither 0 nor 1, or its report is none.
pub(crate) fn check_with<S: AsRef<OsStr>>(
    input: &Path,
    map: Option<&Path>,
    extra: &[S],
) -> Result<(Value, i32), String> {
    let mut command = tool();
    command.arg("check").arg(input).args(["--report", "-"]).args(extra);
    if let Some(map) = map {
        command.arg("--session-map").arg(map);
    }
    let finished = run(&mut command)?;
    match finished.status.code() {
        Some(code @ (0 | 1)) => {
            Ok((parse(&finished.text()).map_err(|e| format!("{e}\n{}", finished.describe()))?, code))
        }
        _ => Err(finished.describe()),
    }
}

/// Runs a command line that must end with that exit status, write nothing to `output`, and say `texts`.
///
/// # Errors
/// It does not end so.
pub(crate) fn refused(
    command: &mut Command,
    output: &Path,
    status: i32,
    texts: &[String],
) -> Result<Finished, String> {
    let finished = run(command)?;
    if finished.status.code() != Some(status) {
        return Err(format!("expected exit status {status}:\n{}", finished.describe()));
    }
    if output.exists() {
        return Err(format!("{} was written although the object was refused", output.display()));
    }
    for text in texts {
        if !finished.stderr.contains(text.as_str()) {
            return Err(format!("the message does not say {text:?}:\n{}", finished.describe()));
        }
    }
    Ok(finished)
}

/// That a second run changes nothing. It needs no map where the object's record says all.
///
/// # Errors
/// It does, or fails.
pub(crate) fn assert_stable<S: AsRef<OsStr>>(
    object: &Path,
    map: Option<&Path>,
    extra: &[S],
) -> Result<(), String> {
    let again = object.with_extension("again.o");
    fix(object, &again, map, extra)?;
    assert_same(object, &again)
}

/// Whether an earlier run left its record.
///
/// # Errors
/// The object cannot be read.
pub(crate) fn is_recorded(object: &Path) -> Result<bool, String> {
    let name = b".relocfix.record";
    let bytes = fs::read(object).map_err(|error| format!("{}: {error}", object.display()))?;
    Ok(bytes.windows(name.len()).any(|window| window == name))
}

/// That two files hold the same bytes.
///
/// # Errors
/// Where they differ.
pub(crate) fn assert_same(one: &Path, other: &Path) -> Result<(), String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let (left, right) = (read(one)?, read(other)?);
    if left == right {
        return Ok(());
    }
    let at = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{} ({} bytes) and {} ({} bytes) differ from offset {at:#x} on",
        one.display(),
        left.len(),
        other.display(),
        right.len()
    ))
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("the report is no JSON: {error}"))
}
