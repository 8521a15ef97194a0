//! A process that compiles with libgccjit: what it has compiled it loads as a library, whose file is gone at once.

use std::process::Command;

use crate::session::{Session, compile, number};
use crate::support::command::{run, succeed};
use crate::support::matrix::Matrix;
use crate::support::relocfix::{assert_same, fix, tool};
use crate::support::toolchain;

const DRIVER: &str = "#include <stdio.h>\nlong own_table[4] = {1, 2, 3, 4}; long caller(long);\n\
    int main(void) { printf(\"%ld %ld\\n\", caller(0), caller(-7)); return 0; }\n";

#[test]
fn one_compiled_function_calls_another() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let probe = folder.join("probe.c");
    std::fs::write(&probe, "#include <libgccjit.h>\n").map_err(|error| error.to_string())?;
    if !run(Command::new("gcc").arg("-fsyntax-only").arg(&probe))?.status.success() {
        toolchain::missing("libgccjit");
        return Ok(());
    }
    let program = compile(folder, "gccjit_process.c", &["-pie", "-fPIE", "-lgccjit", "-lm"])?;
    let session = Session::start(Command::new(program).current_dir(folder))?;
    let object = folder.join("caller.o");
    let maps = [folder.join("whole.json"), folder.join("needed.json")];
    let whole = session.capture(&maps[0], &[])?;
    session.capture(&maps[1], &["--for", &object.display().to_string()])?;
    let name_of = |known: &str| {
        let address = session.known.iter().find(|(name, _)| name == known)?.1;
        let symbols = whole["symbols"].as_array()?;
        symbols.iter().find(|symbol| number(&symbol["address"]) == address)?["name"].as_str()
    };
    for compiled in ["square", "caller"] {
        assert_eq!(name_of(compiled), Some(compiled));
    }
    // The map is all that is left of it.
    drop(session);
    let fixed = fix::<&str>(&object, &folder.join("out.o"), Some(&maps[0]), &[])?;
    let needed = fix::<&str>(&object, &folder.join("needed.o"), Some(&maps[1]), &[])?;
    assert_same(&fixed.object, &needed.object)?;
    let places = fixed.report["places"].as_array().into_iter().flatten();
    let mut targets: Vec<&str> = places.filter_map(|place| place["target"]["symbol"].as_str()).collect();
    targets.sort_unstable();
    assert_eq!(targets, ["cos", "labs", "own_table", "square"], "{:#}", fixed.report);
    let matrix = Matrix::new(&[&fixed.object, &folder.join("square.o")]).driver(DRIVER).libraries(&["-lm"]);
    matrix.expect_stdout("4 52\n").run()?;

    // A linker must not look for it.
    let mut command = tool();
    command.arg(&object).arg("-o").arg(folder.join("printed.o")).arg("-s").arg(&maps[0]);
    let printed = succeed(command.arg("--print-link-args"))?;
    assert_eq!(printed.text(), "-l:libc.so.6 -l:libm.so.6\n");
    assert!(printed.stderr.contains("fake.so has no file any more"), "{}", printed.stderr);
    Ok(())
}
