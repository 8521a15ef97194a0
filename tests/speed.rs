//! What the tool costs: the comparison with its peers works, and as many instructions run as are committed. Times on shared
//! machines differ from run to run, instructions do not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod support;

use support::command::succeed;
use support::toolchain;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// By how much counts may differ from the committed ones, in percent.
const TOLERANCE: f64 = 3.0;

/// The program that README names, once and small.
#[test]
fn the_comparison_with_peers_works() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    if toolchain::require("mold").is_none() || toolchain::require("python3").is_none() {
        return Ok(());
    }
    let mut compare = Command::new("python3");
    compare.arg(Path::new(ROOT).join("benches/compare.py")).arg("--quick").arg("--relocfix");
    compare.arg(env!("CARGO_BIN_EXE_relocfix")).arg("--folder").arg(folder.path());
    let printed = succeed(&mut compare)?.text();
    let rows = printed.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")).count();
    assert!(rows >= 14, "{printed}");
    for what in
        ["dense, peak memory : objcopy", "a session map of", "slots filled by a call : gcc -O2", "mold -r"]
    {
        assert!(printed.contains(what), "{what}:\n{printed}");
    }
    let chart = fs::read_to_string(folder.path().join("speed.svg")).map_err(|error| error.to_string())?;
    assert!(chart.starts_with("<svg ") && chart.matches("<polyline").count() == 2, "{chart}");
    Ok(())
}

/// Instructions that one thread runs for a small and a dense object, against `testdata/speed/instructions.txt`. To commit
/// a change with the code that makes it: `UPDATE_FIGURES=1 cargo test --test speed`.
#[test]
fn instructions_are_as_many_as_committed() -> Result<(), String> {
    if toolchain::require("valgrind").is_none() || toolchain::require("python3").is_none() {
        return Ok(());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    succeed(
        Command::new(env!("CARGO")).args(["build", "--release", "--quiet", "--locked"]).current_dir(ROOT),
    )?;
    let program = target().join("release/relocfix");
    let mut counts = Vec::new();
    for (name, functions) in [("small", 50), ("dense", 2000)] {
        let object = generate(folder.path(), name, functions)?;
        counts.push((name, count(&program, &object)?));
    }
    let rustc = succeed(Command::new("rustc").arg("--version"))?.text();
    let figures = Path::new(ROOT).join("testdata/speed/instructions.txt");
    if std::env::var_os("UPDATE_FIGURES").is_some() {
        let lines: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        return fs::write(&figures, rustc + &lines.concat()).map_err(|error| error.to_string());
    }
    let committed = fs::read_to_string(&figures).map_err(|error| error.to_string())?;
    let mut lines = committed.lines();
    if lines.next() != Some(rustc.trim()) {
        // Another compiler makes other code; what is committed says nothing about it.
        toolchain::skip(&format!("counted with {}, committed with another: {counts:?}", rustc.trim()));
        return Ok(());
    }
    for ((name, count), line) in counts.into_iter().zip(lines) {
        let expected = line.strip_prefix(name).and_then(|count| count.trim().parse::<f64>().ok());
        let expected = expected.ok_or_else(|| format!("`{line}` in {}", figures.display()))?;
        let percent = (count as f64 / expected - 1.0) * 100.0;
        assert!(
            percent.abs() <= TOLERANCE,
            "{name}: {count} instructions, {percent:+.1} % of what is committed; if that is meant, commit it with the \
             change: UPDATE_FIGURES=1 cargo test --test speed"
        );
    }
    Ok(())
}

/// Where cargo builds.
fn target() -> PathBuf {
    // target/debug/relocfix
    let debug = Path::new(env!("CARGO_BIN_EXE_relocfix")).parent();
    debug.and_then(Path::parent).map_or_else(|| Path::new(ROOT).join("target"), Path::to_owned)
}

/// An object of the comparison's own generator, with its map beside it.
fn generate(folder: &Path, name: &str, functions: u32) -> Result<PathBuf, String> {
    let script = format!(
        "import sys, json; sys.path.insert(0, '{ROOT}/benches'); sys.dont_write_bytecode = True; import compare\n\
         open('{name}.s', 'w').writelines(compare.assembly({functions}, 1))\n\
         json.dump(compare.session_map(), open('{name}.session.json', 'w'))"
    );
    succeed(Command::new("python3").args(["-B", "-c", &script]).current_dir(folder))?;
    let object = folder.join(format!("{name}.o"));
    succeed(Command::new("as").arg(folder.join(format!("{name}.s"))).arg("-o").arg(&object))?;
    Ok(object)
}

/// Instructions of one run.
fn count(program: &Path, object: &Path) -> Result<u64, String> {
    let mut run = Command::new("valgrind");
    run.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--threads", "1"])
        .arg(object);
    run.arg("-o").arg(object.with_extension("out.o"));
    let said = succeed(&mut run)?.stderr;
    let line = said.lines().find_map(|line| line.split_once("Collected : ")).ok_or_else(|| said.clone())?;
    line.1.trim().parse().map_err(|error| format!("{}: {error}", line.1))
}
