//! One process that knows all kinds of addresses, and one object that holds them: functions of libraries, indirect ones,
//! data, vtables, what a library keeps to itself, and code of the process's own.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::names::{INDIRECT, MATH};
use crate::session::{Session, compile, jit_object, number};
use crate::support::command::succeed;
use crate::support::matrix::{Matrix, Mode};
use crate::support::relocfix::{assert_same, fix};
use crate::support::untouched::assert_untouched;

/// A library that tells where its private things are.
const LIBRARY: &str = "static long table[4] = {3, 5, 7, 11};\n\
    static __attribute__((noinline)) long helper(long x) { return x * table[x & 3]; }\n\
    void *private_function(void) { return (void *)helper; }\n\
    void *private_table(void) { return table + 1; }\n";

/// The library, stripped as a release is; what links with it.
fn library(folder: &Path) -> Result<[String; 3], String> {
    let (source, library) = (folder.join("private.c"), folder.join("libprivate.so.1"));
    fs::write(&source, LIBRARY).map_err(|error| error.to_string())?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-O1", "-s", "-shared", "-fPIC", "-Wl,--build-id,-soname,libprivate.so.1", "-o"]);
    succeed(gcc.arg(&library).arg(&source))?;
    let folder = folder.display();
    Ok([format!("-L{folder}"), format!("-Wl,-rpath,{folder}"), "-l:libprivate.so.1".to_owned()])
}

/// A driver that says what is not as the dynamic linker of its own process finds it, or as the library tells it, and
/// calls some.
fn driver(session: &Session, report: &Value) -> Result<String, String> {
    let mut text = String::from(
        "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdio.h>\n#include <string.h>\n\
         extern char *words[];\nvoid *private_function(void), *private_table(void);\n\
         long own_variable, own_table[16]; long own_function(long x) { return x + 1; }\n",
    );
    for name in ["jit_debugger", "jit_debugger_too", "jit_profiler", "jit_map"] {
        let _ = writeln!(text, "int {name}(void) {{ return {}; }}", name.len());
    }
    let mut checks = String::new();
    for (n, (name, address)) in session.known.iter().enumerate() {
        let mut places = report["places"].as_array().into_iter().flatten();
        let target =
            &places.find(|p| number(&p["value"]) == *address).ok_or(format!("{name}: no place"))?["target"];
        let meaning = match (name.starts_with("private_"), target["symbol"].as_str()) {
            (true, _) => {
                assert_eq!(target["file"], "libprivate.so.1", "{name}: {target}");
                format!("{name}()")
            }
            (false, Some(symbol)) => format!("dlsym(RTLD_DEFAULT, \"{symbol}\") + {}", target["offset"]),
            (false, None) => return Err(format!("{name} is {target}")),
        };
        let _ = writeln!(text, "char *f{n}(void);");
        let _ =
            writeln!(checks, "if (f{n}() != (char *){meaning} || words[{n}] != f{n}()) puts(\"{name}\");");
    }
    let result = |name: &str, kind: &str, arguments: &str| -> Result<String, String> {
        let n = session.known.iter().position(|(known, _)| known == name).ok_or(name)?;
        Ok(format!("(({kind})f{n}())({arguments})"))
    };
    let _ = writeln!(
        text,
        "int main(void) {{\n{checks}printf(\"%ld %d %d %d %g %ld\\n\", {}, {}, {}, (int){}, {}, *(long *)words[{}]);\n}}",
        result("private_function", "long (*)(long)", "2")?,
        result("jit_map", "int (*)(void)", "")?,
        result("jit_debugger", "int (*)(void)", "")?,
        result("strlen", "size_t (*)(const char *)", "\"four\"")?,
        result("floor", "double (*)(double)", "2.5")?,
        session.known.iter().position(|(known, _)| known == "private_table").ok_or("private_table")?,
    );
    Ok(text)
}

#[test]
fn all_kinds_in_one_object() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let flags = library(folder)?;
    let mut options = vec!["-DPRIVATE", "-pie", "-fPIE", "-lm", "-lstdc++"];
    options.extend(flags.iter().map(String::as_str));
    let program = compile(folder, "knower.c", &options)?;
    let session = Session::start(Command::new(program).arg(jit_object(folder)?).current_dir(folder))?;
    let known = |names: &mut dyn Iterator<Item = &str>| {
        names.filter(|name| session.known.iter().any(|(known, _)| known == name)).count()
    };
    let indirect = known(&mut INDIRECT.iter().map(|(name, _)| *name));
    assert!(indirect >= 20 && indirect + known(&mut MATH.into_iter()) >= 40);

    let object = session.object(folder)?;
    let maps = [folder.join("whole.json"), folder.join("needed.json")];
    session.capture(&maps[0], &[])?;
    session.capture(&maps[1], &["--for", &object.display().to_string()])?;
    let anchor = ["--private", "anchor"];
    let fixed = fix(&object, &folder.join("out.o"), Some(&maps[0]), &anchor)?;
    assert_eq!(fixed.report["summary"]["resolved"], 2 * session.known.len(), "{:#}", fixed.report["summary"]);
    assert_untouched(&object, &fixed.object, &fixed.report)?;
    let needed = fix(&object, &folder.join("needed.o"), Some(&maps[1]), &anchor)?;
    assert_same(&fixed.object, &needed.object)?;

    let matrix = Matrix::new(&[&fixed.object]).driver(&driver(&session, &fixed.report)?);
    let matrix = matrix.libraries(&flags).libraries(&["-lm", "-lstdc++", "-ldl", "-rdynamic"]);
    // What has no name is found in loaded libraries only.
    matrix.modes(&[Mode::Shared, Mode::Pie, Mode::NoPie]).expect_stdout("14 7 12 4 2 5\n").run()
}
