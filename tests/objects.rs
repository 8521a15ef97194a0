//! Stored objects of real producers: the places found are those that are known to be there, and what can be rewritten
//! runs. `testdata/objects/README.md` says how each was made.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

mod support;

use support::matrix::Matrix;
use support::relocfix;
use support::untouched::assert_untouched;

/// What becomes of an object.
enum Outcome {
    /// It is rewritten, and its driver prints what it should.
    Fixed,
    /// Its places are known; what else it holds only a comparison with its twin would show.
    Places,
}

#[test]
fn gccjit_unoptimized() -> Result<(), String> {
    object("gccjit_O0", &Outcome::Fixed)
}

#[test]
fn numba_ctypes() -> Result<(), String> {
    object("numba_a_ctypes", &Outcome::Fixed)
}

#[test]
fn numba_big_array() -> Result<(), String> {
    object("numba_b_bigarray", &Outcome::Fixed)
}

#[test]
fn llvm_shapes() -> Result<(), String> {
    object("llvm_x86_O2_static", &Outcome::Places)
}

/// Two of its functions read words that lie in the code.
#[test]
fn cranelift() -> Result<(), String> {
    object("cranelift_x86_64", &Outcome::Fixed)
}

/// No stored object is without a test.
#[test]
fn every_object_is_tested() -> Result<(), String> {
    let source = include_str!("objects.rs");
    for entry in fs::read_dir(stored()).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        assert!(!path.is_dir() || source.contains(&format!("\"{name}\"")), "{name} has no test");
    }
    Ok(())
}

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/objects")
}

fn object(name: &str, outcome: &Outcome) -> Result<(), String> {
    let source = stored().join(name);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    // The map of one takes an array from a file that is too large to keep: `arange(200_000) * 0.5`.
    let table: Vec<u8> = (0..200_000).flat_map(|i| (f64::from(i) * 0.5).to_le_bytes()).collect();
    write(&folder.join("table.bin"), &table)?;
    for file in ["in.o", "in.session.json", "twin.o", "twin.session.json"] {
        write(&folder.join(file), &read(&source.join(file))?)?;
    }
    let (input, twin) = (folder.join("in.o"), folder.join("twin.o"));

    let truth =
        serde_json::from_slice(&read(&source.join("truth.json"))?).map_err(|error| error.to_string())?;
    places(&input, &truth, "value")?;
    places(&twin, &truth, "twin")?;

    let output = folder.join("out.o");
    match outcome {
        Outcome::Places => Ok(()),
        Outcome::Fixed => {
            let fixed = relocfix::fix::<&str>(&input, &output, None, &[])?;
            assert_untouched(&input, &output, &fixed.report)?;
            let twin_output = folder.join("twin-out.o");
            relocfix::fix::<&str>(&twin, &twin_output, None, &[])?;
            relocfix::assert_same(&output, &twin_output)?;
            relocfix::assert_stable::<&str>(&output, None, &[])?;
            let driver = read(&source.join("driver.c"))?;
            let stdout = read(&source.join("stdout"))?;
            Matrix::new(&[&output])
                .driver(&String::from_utf8_lossy(&driver))
                .libraries(&["-lm"])
                .expect_stdout(&String::from_utf8_lossy(&stdout))
                .run()
        }
    }
}

/// The places that `check` lists are exactly the true ones that a map can show; `value` is the truth's key for what
/// stands in this object.
fn places(input: &Path, truth: &Value, value: &str) -> Result<(), String> {
    let (report, status) = relocfix::check(input, None)?;
    let list = |entries: &Value, keep: &dyn Fn(&Value) -> bool, value: &str| {
        let mut lines: Vec<String> = entries
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| keep(entry))
            .map(|entry| {
                let [section, kind, value] = [&entry["section"], &entry["kind"], &entry[value]];
                format!(
                    "{section}+{:#x} {kind} {} {value} {}",
                    entry["offset"].as_u64().unwrap_or(u64::MAX),
                    entry["width"],
                    entry["target"]
                )
            })
            .collect();
        lines.sort();
        lines
    };
    let expected = list(&truth["pointers"], &|entry| entry["visible"] == "map", value);
    let found = list(&report["places"], &|_| true, "value");
    if expected.is_empty() || expected != found || status != 1 {
        let missed: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
        let wrong: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
        return Err(format!(
            "{}: exit status {status}, missed {missed:#?}\nwrong {wrong:#?}",
            input.display()
        ));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
