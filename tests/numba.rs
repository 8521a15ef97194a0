//! Functions that Numba compiled in one Python process are loaded and called by a Python without Numba, and by
//! programs without any Python.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

mod support;

use support::command::{run, succeed};
use support::matrix::Matrix;
use support::toolchain::Linkers;
use support::untouched::assert_untouched;
use support::{relocfix, toolchain};

#[test]
fn optimized() -> Result<(), String> {
    produced_at("3")
}

#[test]
fn unoptimized() -> Result<(), String> {
    produced_at("0")
}

fn produced_at(level: &str) -> Result<(), String> {
    let Some(python) = python_with_numba()? else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let first = Session::run(&python, &folder.join("session1"), level)?;
    let second = Session::run(&python, &folder.join("session2"), level)?;
    let mut objects = Vec::new();
    for function in &first.functions {
        let name = text(function, "name")?;
        let object = first.fix(name)?;
        relocfix::assert_same(&object, &second.fix(name)?)?;
        relocfix::assert_stable::<&str>(&object, None, &[])?;
        objects.push(object);
    }
    assert!(objects.len() > 1, "functions of the session: {:?}", first.functions);
    load_without_numba(&first, &objects)?;
    link_without_python(&first, &objects)
}

/// What one Python process left.
struct Session {
    python: PathBuf,
    folder: PathBuf,
    functions: Vec<Value>,
}

impl Session {
    fn run(python: &Path, folder: &Path, level: &str) -> Result<Session, String> {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let script = scripts().join("produce.py");
        let mut command = Command::new(python);
        // Numba's names follow the order of sets, which follows hashes.
        command.env("PYTHONHASHSEED", "0").env("NUMBA_OPT", level).arg("-B").arg(script).arg(folder);
        let printed = succeed(&mut command)?.text();
        fs::write(folder.join("results.json"), &printed).map_err(|error| error.to_string())?;
        let functions = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
        Ok(Session { python: python.to_owned(), folder: folder.to_owned(), functions })
    }

    fn fix(&self, name: &str) -> Result<PathBuf, String> {
        let input = self.folder.join(format!("{name}.o"));
        let output = self.folder.join(format!("{name}-fixed.o"));
        let fixed = relocfix::fix::<&str>(&input, &output, None, &[])?;
        let report = &fixed.report;
        assert_eq!(report["summary"]["unresolved"], 0);
        assert_untouched(&input, &output, report)?;
        assert!(report["places"].as_array().is_some_and(|places| !places.is_empty()), "{name}: no places");
        let bytes = fs::read(&output).map_err(|error| error.to_string())?;
        let spelled = b"numba.dynamic.globals.";
        assert!(
            !bytes.windows(spelled.len()).any(|window| window == spelled),
            "{name}: a name spells an address"
        );
        Ok(output)
    }

    /// Definitions of what the objects refer to and the chosen libraries lack; none of it is reached.
    fn stubs(&self, wanted: impl Fn(&str) -> bool) -> String {
        let names = self.functions.iter().filter_map(|function| function["undefined"].as_array()).flatten();
        let mut names: Vec<&str> = names.filter_map(Value::as_str).filter(|name| wanted(name)).collect();
        names.sort_unstable();
        names.dedup();
        // The session's callback, which the map gives this name.
        let mut source = "#include <stdlib.h>\n\
             double numba_test_callback(double x) { return x * 3.0 + 0.25; }\n"
            .to_owned();
        for name in names {
            let definition = if name.starts_with("PyExc_") {
                format!("static char {name}_object; void *{name} = &{name}_object;")
            } else if name == "_Py_NoneStruct" {
                format!("char {name}[16];")
            } else {
                format!("void {name}(void) {{ abort(); }}")
            };
            let _ = writeln!(source, "{definition}");
        }
        source
    }
}

/// Linked into a library by every linker, both objects together, loaded and called by Python.
fn load_without_numba(session: &Session, objects: &[PathBuf]) -> Result<(), String> {
    // What Numba keeps to itself; the rest is Python's.
    let source = session.folder.join("numba_only.c");
    let stubs = session.stubs(|name| name.starts_with("NRT_") || name.starts_with("numba_"));
    fs::write(&source, stubs).map_err(|error| error.to_string())?;
    let linkers = Linkers::get()?;
    for &linker in &linkers.found {
        let library = session.folder.join(format!("lib{}.so", linker.name()));
        let mut link = Command::new("gcc");
        link.args(linkers.flags(linker)).args(["-shared", "-fPIC", "-Wl,-z,text", "-o"]).arg(&library);
        let finished = succeed(link.args(objects).arg(&source).arg("-lm"))?;
        assert_eq!(finished.stderr, "", "{} printed something", linker.name());
        let dynamic = succeed(Command::new("readelf").arg("-dW").arg(&library))?.text();
        assert!(!dynamic.contains("TEXTREL"), "{dynamic}");
        // Without site-packages there is no Numba, though it is the same interpreter.
        let mut load = Command::new(&session.python);
        load.args(["-I", "-S", "-B"]).arg(scripts().join("load.py")).arg(&library);
        let finished = succeed(load.arg(session.folder.join("results.json")))?;
        assert_eq!(finished.text(), "ok\n", "{}", finished.stderr);
    }
    Ok(())
}

/// Linked in every way, with stubs for Python.
fn link_without_python(session: &Session, objects: &[PathBuf]) -> Result<(), String> {
    let mut driver = format!("#include <stdio.h>\n{}", session.stubs(|_| true));
    let (mut declarations, mut calls, mut expected) = (String::new(), String::new(), String::new());
    for function in &session.functions {
        let (native, kind) = (text(function, "native")?, text(function, "type")?);
        let _ = writeln!(declarations, "int {native}(double *, void **, {kind});");
        let argument = &function["argument"];
        let _ = writeln!(calls, "  if ({native}(&answer, &exception, {argument})) return 1;");
        calls.push_str("  printf(\"%.17g\\n\", answer);\n");
        let _ = writeln!(expected, "{}", text(function, "printed")?);
    }
    let _ = write!(
        driver,
        "{declarations}int main(void) {{\n  double answer; void *exception;\n{calls}  return 0;\n}}\n"
    );
    Matrix::new(objects).driver(&driver).libraries(&["-lm"]).expect_stdout(&expected).run()
}

fn text<'a>(function: &'a Value, key: &str) -> Result<&'a str, String> {
    function[key].as_str().ok_or_else(|| format!("the script says no {key}"))
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/numba")
}

/// The interpreter of the virtual environment that `tests/run.sh` makes in cargo's target folder.
fn python_with_numba() -> Result<Option<PathBuf>, String> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-venv").join("bin/python");
    let usable = python.exists() && run(Command::new(&python).args(["-c", "import numba"]))?.status.success();
    if !usable {
        toolchain::missing(&format!("a Python with Numba ({})", python.display()));
    }
    Ok(usable.then_some(python))
}
