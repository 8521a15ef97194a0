//! The options of a witness on the command line: where its map is found, what depends on it, what is said when it
//! proves nothing.

use std::fs;
use std::path::{Path, PathBuf};

mod support;

use support::relocfix::{assert_same, fix, refused, tool};

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/objects/gccjit_O0").join(name)
}

#[test]
fn each_is_the_others_witness() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = |name: &str| folder.path().join(name);
    let (one, twin) = (stored("in.o"), stored("twin.o"));
    let depfile = path("out.d");
    let extra = [Path::new("--witness"), &twin, Path::new("--depfile"), &depfile];
    let fixed = fix(&one, &path("out.o"), None, &extra)?;
    assert_eq!(fixed.report["proof"], "partial");
    assert!(fixed.report["moved_alike"].as_array().is_some_and(|groups| !groups.is_empty()));
    let rule = fs::read_to_string(&depfile).map_err(|error| error.to_string())?;
    assert!(rule.contains("twin.o") && rule.contains("twin.session.json"), "{rule}");

    let maps = [stored("in.session.json"), stored("twin.session.json")];
    let extra = [Path::new("--witness"), &one, Path::new("--witness-session-map"), &maps[0]];
    let swapped = fix(&twin, &path("twin.o"), Some(&maps[1]), &extra)?;
    assert_same(&fixed.object, &swapped.object)
}

#[test]
fn what_is_no_witness() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = folder.path().join("out.o");
    let run = |witness: &Path, extra: &[&str], status: i32, text: &str| {
        let mut command = tool();
        command.arg(stored("in.o")).arg("-o").arg(&output).arg("--witness").arg(witness).args(extra);
        refused(&mut command, &output, status, &[text.to_owned()]).map(drop)
    };
    let alone = folder.path().join("alone.o");
    fs::copy(stored("twin.o"), &alone).map_err(|error| error.to_string())?;
    run(&alone, &[], 2, "no session map of the witness: it has no section")?;
    run(&stored("in.o"), &[], 1, "proves nothing as a witness: no byte differs")?;
    run(&folder.path().join("missing.o"), &[], 2, "missing.o: cannot be read")?;
    run(&stored("in.session.json"), &[], 2, "in.session.json")?;

    let extra = [Path::new("--witness"), &stored("in.o"), Path::new("--allow-weak-witness")];
    let fixed = fix(&stored("in.o"), &output, None, &extra)?;
    assert_eq!(fixed.report["proof"], "none");
    Ok(())
}
