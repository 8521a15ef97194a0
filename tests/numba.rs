//! Functions that Numba compiled and its own cache refuses are saved in one Python process (`tests/numba/relocfix_numba`),
//! and called in others: with Numba, without it, and by programs without any Python.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

mod support;

use support::command::{Finished, run, succeed};
use support::matrix::Matrix;
use support::toolchain::{Linker, Linkers};
use support::untouched::assert_untouched;
use support::{relocfix, toolchain};

#[test]
fn optimized() -> Result<(), String> {
    saved_and_called("3", [Linker::Bfd, Linker::Lld])
}

#[test]
fn unoptimized() -> Result<(), String> {
    saved_and_called("0", [Linker::Mold, Linker::Bfd])
}

#[test]
fn what_only_one_process_has_is_refused_by_name() -> Result<(), String> {
    checked_by("refused.py")
}

#[test]
fn what_needs_python_has_no_native_entry() -> Result<(), String> {
    checked_by("refused_native.py")
}

#[test]
fn what_was_saved_for_something_else_is_refused_by_name() -> Result<(), String> {
    checked_by("stale.py")
}

/// Runs a script that checks what it does.
fn checked_by(script: &str) -> Result<(), String> {
    let Some(python) = Python::find()? else { return Ok(()) };
    let folder = temporary()?;
    let finished = succeed(python.script(script).arg(folder.path().join("saved")))?;
    assert_eq!(finished.text(), "ok\n", "{}", finished.stderr);
    Ok(())
}

#[test]
fn the_comparison_with_numbas_own_works() -> Result<(), String> {
    let Some(python) = Python::find()? else { return Ok(()) };
    // As by hand: it compiles the library that the functions call.
    let mut command = python.script("benchmark.py");
    let printed = succeed(command.arg("1").env_remove("NUMBA_TEST_LIBRARY"))?.text();
    for name in ["calls", "recurses", "reads", "allocates", "elements"] {
        let row = printed.lines().find(|line| line.split(' ').next() == Some(name));
        let ratio = row.and_then(|row| row.split_whitespace().nth(3)?.parse::<f64>().ok());
        assert!(ratio.is_some_and(|ratio| ratio > 0.0), "{name}: {printed}");
    }
    Ok(())
}

#[test]
fn in_the_place_of_numbas_own_cache() -> Result<(), String> {
    let Some(python) = Python::find()? else { return Ok(()) };
    let folder = temporary()?;
    let saved = folder.path().join("saved");
    let cached = |seed: &str, factor: &str| -> Result<String, String> {
        Ok(succeed(python.script("cached.py").env("PYTHONHASHSEED", seed).arg(&saved).arg(factor))?.text())
    };
    let compiled = "x is negative\n3.0 3.0\nloaded [0, 0] compiled [2, 2]\n";
    assert_eq!(cached("1", "2")?, compiled);
    // Of the inner function the outer one has its own copy of what it needs.
    let loaded = "x is negative\n3.0 3.0\nloaded [1, 2] compiled [0, 0]\n";
    assert_eq!(cached("2", "2")?, loaded);
    // Another constant in the source.
    assert_eq!(cached("3", "3")?, compiled.replace("3.0", "4.0"));
    assert_eq!(cached("4", "3")?, loaded.replace("3.0", "4.0"));
    // A function that calls one that was loaded is saved too, and loaded after it.
    for entry in fs::read_dir(&saved).map_err(|error| error.to_string())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("__main__.outer") {
            fs::remove_file(entry.path()).map_err(|error| error.to_string())?;
        }
    }
    assert_eq!(cached("5", "3")?, "x is negative\n4.0 4.0\nloaded [2, 0] compiled [0, 2]\n");
    assert_eq!(cached("6", "3")?, loaded.replace("3.0", "4.0"));
    Ok(())
}

fn saved_and_called(level: &str, linkers: [Linker; 2]) -> Result<(), String> {
    let Some(python) = Python::find()? else { return Ok(()) };
    let found = Linkers::get()?;
    let linkers: Vec<Linker> = linkers.into_iter().filter(|linker| found.found.contains(linker)).collect();
    let folder = temporary()?;
    let mut sessions = Vec::new();
    for &linker in &linkers {
        let folder = folder.path().join(linker.name());
        sessions.push(Session::save(&python, &folder, level, &found.flags(linker))?);
    }
    let [first, second] = sessions.as_slice() else { return Ok(()) };
    for (stem, function) in first.stems()? {
        let object = first.check(&stem)?;
        relocfix::assert_same(&object, &first.fixed(&stem))?;
        // Where Numba gives a block in object mode a random identity, no two processes agree on it.
        if function["random"] != true {
            assert_same_but_for_addresses(&object, &second.fixed(&stem))?;
        }
    }
    for (session, seed) in sessions.iter().zip(["7", "8"]) {
        session.load(&python, seed)?;
    }
    first.link_without_python()?;
    first.fails_clearly_elsewhere(&python)
}

/// That two objects differ in nothing but addresses of the session in the names that Numba makes up.
fn assert_same_but_for_addresses(one: &Path, other: &Path) -> Result<(), String> {
    let [plain, other_plain] = [one, other].map(|path| path.with_extension("plain"));
    for (from, to) in [(one, &plain), (other, &other_plain)] {
        let mut bytes = fs::read(from).map_err(|error| error.to_string())?;
        // An array expression, a parallel loop's body, a generator's function, a class.
        for before in [
            ".kernel.",
            "__numba_array_expr_0x",
            "__numba_parfor_gufunc_0x",
            "_20at_200x",
            "Point_23",
            "Point#",
        ] {
            blank_digits(&mut bytes, before.as_bytes());
        }
        fs::write(to, bytes).map_err(|error| error.to_string())?;
    }
    relocfix::assert_same(&plain, &other_plain)
}

/// Makes the hexadecimal digits zero that stand behind a text.
fn blank_digits(bytes: &mut [u8], before: &[u8]) {
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(before.len()).position(|window| window == before) {
        from += at + before.len();
        bytes[from..].iter_mut().take_while(|byte| byte.is_ascii_hexdigit()).for_each(|byte| *byte = b'0');
    }
}

/// The interpreter of the virtual environment that `tests/run.sh` makes in cargo's target folder.
struct Python {
    interpreter: PathBuf,
    /// `tests/numba/library.c`, which the functions call.
    library: PathBuf,
}

impl Python {
    /// `None`, said loudly: it is not there, or has no Numba.
    fn find() -> Result<Option<Python>, String> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let interpreter = target.with_file_name("test-venv").join("bin/python");
        let usable = interpreter.exists()
            && run(Command::new(&interpreter).args(["-c", "import numba, cffi"]))?.status.success();
        if !usable {
            toolchain::missing(&format!("a Python with Numba and cffi ({})", interpreter.display()));
            return Ok(None);
        }
        // For all tests of this program once: what is saved names it by its path.
        static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| {
            let library = target.join("libnumba_test.so");
            let mut compile = Command::new("gcc");
            compile.args(["-shared", "-fPIC", "-Wl,--build-id", "-o"]).arg(&library);
            succeed(compile.arg(scripts().join("library.c")))?;
            Ok(library)
        });
        Ok(Some(Python { interpreter, library: library.clone()? }))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command
            .env("PYTHONPATH", scripts())
            .env("RELOCFIX", env!("CARGO_BIN_EXE_relocfix"))
            .env("NUMBA_TEST_LIBRARY", &self.library)
            .env("NUMBA_NUM_THREADS", "2")
            .env("NUMBA_NRT_STATS", "1");
        command
    }

    /// One of the scripts beside the package.
    fn script(&self, name: &str) -> Command {
        let mut command = self.command();
        command.args(["-B", "-W", "ignore"]).arg(scripts().join(name));
        command
    }
}

/// What one Python process left.
struct Session {
    folder: PathBuf,
    functions: Vec<Value>,
    /// What the process printed, of all its parts.
    results: PathBuf,
    level: String,
}

impl Session {
    fn save(python: &Python, folder: &Path, level: &str, flags: &[String]) -> Result<Session, String> {
        let mut functions = Vec::new();
        // Compiling takes its time: one process for each part.
        for first in (0..24).step_by(2) {
            let mut command = python.script("produce.py");
            // Numba's names follow the order of sets, which follows hashes.
            command.env("PYTHONHASHSEED", "0").env("NUMBA_OPT", level);
            let [first, end] = [first, first + 2].map(|number: usize| number.to_string());
            let printed = succeed(command.arg(folder).args([first, end]).args(flags))?.text();
            let part: Vec<Value> = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
            assert!(!part.is_empty(), "{printed}");
            functions.extend(part);
        }
        let results = folder.with_extension("json");
        let text = serde_json::to_string(&functions).map_err(|error| error.to_string())?;
        fs::write(&results, text).map_err(|error| error.to_string())?;
        Ok(Session { folder: folder.to_owned(), functions, results, level: level.to_owned() })
    }

    /// The files' names without their ends, of all objects, and the functions they belong to.
    fn stems(&self) -> Result<Vec<(String, &Value)>, String> {
        let mut stems = Vec::new();
        for function in &self.functions {
            for stem in function["stems"].as_array().ok_or("the script says no stems")? {
                let stem = stem.as_str().ok_or("a stem is no text")?;
                stems.push((stem.to_owned(), function));
                if function["native"] == true {
                    stems.push((format!("{stem}.native"), function));
                }
            }
        }
        Ok(stems)
    }

    fn fixed(&self, stem: &str) -> PathBuf {
        self.folder.join(format!("{stem}.fixed.o"))
    }

    /// Fixes an object again, and holds the report and the bytes against each other.
    fn check(&self, stem: &str) -> Result<PathBuf, String> {
        let input = self.folder.join(format!("{stem}.o"));
        let output = self.folder.join(format!("{stem}.checked.o"));
        let map = self.folder.join(format!("{stem}.session.json"));
        let fixed = relocfix::fix::<&str>(&input, &output, Some(&map), &[])?;
        let report = &fixed.report;
        assert_eq!(report["summary"]["unresolved"], 0, "{stem}");
        assert_untouched(&input, &output, report)?;
        relocfix::assert_stable::<&str>(&output, None, &[])?;
        let bytes = fs::read(&output).map_err(|error| error.to_string())?;
        let spelled = b"numba.dynamic.globals.";
        assert!(
            !bytes.windows(spelled.len()).any(|window| window == spelled),
            "{stem}: a name spells an address"
        );
        // As fast as in Numba's own memory it is where it lies as it does there.
        let object = ::relocfix::ObjectFile::parse(stem, &bytes).map_err(|error| error.to_string())?;
        let mut code = object.sections.iter().filter(|s| s.exec && !s.name.ends_with(".relocfix"));
        assert!(code.all(|section| section.align >= 64), "{stem}: how fast it is depends on the linker");
        Ok(output)
    }

    /// In other processes, with Numba and without.
    fn load(&self, python: &Python, seed: &str) -> Result<(), String> {
        let mut load = python.script("load.py");
        load.env("PYTHONHASHSEED", seed).env("NUMBA_OPT", &self.level).arg(&self.folder).arg(&self.results);
        let finished = succeed(&mut load)?;
        assert_eq!(finished.text(), "ok\n", "{}", finished.stderr);
        // Without site-packages there is no Numba, though it is the same interpreter.
        let mut load = python.command();
        load.args(["-I", "-S", "-B"])
            .arg(scripts().join("load_native.py"))
            .arg(&self.folder)
            .arg(&self.results);
        let finished = succeed(&mut load)?;
        assert_eq!(finished.text(), "ok\n", "{}", finished.stderr);
        for entry in fs::read_dir(&self.folder).map_err(|error| error.to_string())?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "so") {
                let dynamic = succeed(Command::new("readelf").arg("-dW").arg(entry.path()))?.text();
                assert!(!dynamic.contains("TEXTREL"), "{}: {dynamic}", entry.path().display());
            }
        }
        Ok(())
    }

    /// The native entries, linked in every way into programs.
    fn link_without_python(&self) -> Result<(), String> {
        // Unoptimized code releases arrays that nobody counts, which comes to nothing.
        let mut driver = format!(
            "#include <stdio.h>\n#include <stdlib.h>\n{}void NRT_MemInfo_call_dtor(void *block) {{ abort(); }}\n",
            include_str!("numba/library.c")
        );
        let (mut declarations, mut calls, mut expected) = (String::new(), String::new(), String::new());
        let mut objects = Vec::new();
        for (name, kind, arguments) in [
            ("calls", "double", ["0.5", "3.0"].as_slice()),
            ("calls_back", "double", ["0.5"].as_slice()),
            ("reads", "long", ["0", "9"].as_slice()),
            ("reads_named", "long", ["3"].as_slice()),
        ] {
            let function = self.functions.iter().find(|function| function["name"] == name);
            let function = function.ok_or_else(|| format!("no function {name}"))?;
            let stem = function["stems"][0].as_str().ok_or("the script says no stems")?;
            objects.push(self.fixed(&format!("{stem}.native")));
            let index = fs::read_to_string(self.folder.join(format!("{stem}.relocfix.json")));
            let index: Value = serde_json::from_str(&index.map_err(|error| error.to_string())?)
                .map_err(|error| error.to_string())?;
            let entry = index["entry"].as_str().ok_or("the index names no entry")?;
            let _ = writeln!(declarations, "int {entry}(double *, void **, {kind});");
            for (argument, answer) in
                arguments.iter().zip(function["answers"].as_array().ok_or("no answers")?)
            {
                let _ = writeln!(calls, "  if ({entry}(&answer, &exception, {argument})) return 1;");
                let answer: f64 = answer.as_str().and_then(|text| text.parse().ok()).ok_or("no number")?;
                let _ = writeln!(calls, "  printf(\"%d\\n\", answer == {answer:?});");
                expected.push_str("1\n");
            }
        }
        let _ = write!(
            driver,
            "{declarations}int main(void) {{\n  double answer; void *exception;\n{calls}  return 0;\n}}\n"
        );
        Matrix::new(&objects).driver(&driver).libraries(&["-lm"]).expect_stdout(&expected).run()
    }

    /// A library that asks Python at its start cannot be loaded by a program that has none, nor before Python runs.
    fn fails_clearly_elsewhere(&self, python: &Python) -> Result<(), String> {
        let program = self.folder.join("embed");
        succeed(Command::new("gcc").arg(scripts().join("embed.c")).arg("-o").arg(&program).arg("-ldl"))?;
        let library = fs::read_dir(&self.folder).map_err(|error| error.to_string())?.flatten();
        let library = library.map(|entry| entry.path()).find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("functions.raises-") && name.ends_with(".so") && !name.contains("native")
        });
        let library = library.ok_or("no library of `raises`")?;
        let load = |extra: &[&str]| -> Result<Finished, String> {
            run(Command::new(&program).arg(&library).args(extra))
        };
        let finished = load(&[])?;
        assert_eq!(finished.status.code(), Some(1), "{}", finished.describe());
        assert!(finished.stderr.contains("undefined symbol: Py"), "{}", finished.stderr);
        let libpython = succeed(&mut python.script("libpython.py"))?.text();
        if libpython.contains(".so") {
            let finished = load(&[libpython.trim()])?;
            assert!(!finished.status.success(), "{}", finished.describe());
            let message = "PyGILState_GetThisThreadState() is null";
            assert!(finished.stderr.contains(message), "{}", finished.describe());
        }
        Ok(())
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/numba")
}

fn temporary() -> Result<tempfile::TempDir, String> {
    tempfile::tempdir().map_err(|error| error.to_string())
}
