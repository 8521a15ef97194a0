//! Programs in which functions of the C library have more than one address, or one of the program's: stubs, and with a
//! static libc the implementations of indirect functions beside them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::session::{Session, number};
use crate::support::command::succeed;
use crate::support::matrix::{Matrix, Mode};
use crate::support::relocfix::{assert_same, fix};
use crate::support::toolchain::{Linker, Linkers};

/// Libc itself calls others of their aliases than the program uses, and has the address of `strcmp`, too, which has no
/// alias. Two functions may have one implementation, of which nothing is to be said.
const PROGRAM: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <wchar.h>
void *__mempcpy(void *, const void *, size_t);
#define SHOW(NAME) printf(#NAME " %p\n", (void *)NAME);
static void *volatile word = (void *)strnlen;
int main(void) {
    void *computed, *volatile unused = (void *)memcpy;
    unused = (void *)memmove;
    __asm__("lea wcslen(%%rip), %0" : "=r"(computed));
    SHOW(mempcpy) SHOW(__mempcpy) SHOW(strcasecmp) SHOW(wmemset) SHOW(strcmp)
    printf("strnlen %p\nwcslen %p\n", word, computed);
    puts("ready");
    fflush(stdout);
    return getchar() == 0;
}
"#;

fn build(folder: &Path, linkers: &Linkers, linker: Linker, kind: [&str; 2]) -> Result<PathBuf, String> {
    let (source, program) = (folder.join("aliases.c"), folder.join("aliases"));
    fs::write(&source, PROGRAM).map_err(|error| error.to_string())?;
    let mut gcc = Command::new("gcc");
    gcc.args(linkers.flags(linker)).args(["-O1", "-fno-builtin"]).args(kind).arg("-o");
    succeed(gcc.arg(&program).arg(&source))?;
    Ok(program)
}

#[test]
fn every_address_is_the_functions() -> Result<(), String> {
    let linkers = Linkers::get()?;
    for &linker in &linkers.found {
        // A static program holds such an address in instructions, or reads it from its global offset table.
        for kind in [["-static", "-fno-pie"], ["-static", "-fpie"], ["-no-pie", "-fno-pie"]] {
            assert_meant(linkers, linker, kind)
                .map_err(|error| format!("{} {kind:?}: {error}", linker.name()))?;
        }
    }
    Ok(())
}

fn assert_meant(linkers: &Linkers, linker: Linker, kind: [&str; 2]) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let mut session = Session::start(&mut Command::new(build(folder, linkers, linker, kind)?))?;
    if linker != Linker::Bfd && kind[0] == "-static" {
        // They make it local, for libc hides it: it could be any function of that name.
        session.known.retain(|(name, _)| name != "strcmp");
    }
    if kind[0] == "-no-pie" {
        // A linker takes such an instruction for a call: what it leads to is not the function's address.
        session.known.retain(|(name, _)| name != "wcslen");
    }
    let object = session.object(folder)?;
    let maps = [folder.join("whole.json"), folder.join("needed.json")];
    let map = session.capture(&maps[0], &[])?;
    session.capture(&maps[1], &["--for", &object.display().to_string()])?;
    // A linker takes a name for one thing.
    let named = map["symbols"].as_array().into_iter().flatten();
    let named: Vec<(String, String)> =
        named.map(|symbol| (symbol["name"].to_string(), symbol["library"].to_string())).collect();
    assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len(), "{named:?}");

    let fixed = fix::<&str>(&object, &folder.join("out.o"), Some(&maps[0]), &[])?;
    let needed = fix::<&str>(&object, &folder.join("needed.o"), Some(&maps[1]), &[])?;
    assert_same(&fixed.object, &needed.object)?;
    let places = fixed.report["places"].as_array().ok_or("places")?;
    let mut text = String::from("#include <stdio.h>\nextern char *words[];\n");
    let mut checks = String::new();
    for (n, (name, address)) in session.known.iter().enumerate() {
        // Both of its names are one function's.
        let public = name.trim_start_matches('_');
        let mut symbol = public;
        for place in places.iter().filter(|place| number(&place["value"]) == *address) {
            let target = &place["target"];
            symbol = target["symbol"].as_str().unwrap_or(public);
            let meant = target["value"].as_str().unwrap_or(symbol);
            let meant = meant.trim_start_matches('_').split('.').next();
            assert!(meant == Some(public) && is_zero(&target["offset"]), "{name}: {target}");
        }
        let _ = writeln!(text, "char *f{n}(void); extern char s{n}[] __asm__(\"{symbol}\");");
        let _ = writeln!(checks, "if (f{n}() != s{n} || words[{n}] != s{n}) puts(\"{name}\");");
    }
    let _ = writeln!(text, "int main(void) {{\n{checks}return 0;\n}}");
    Matrix::new(&[&fixed.object]).driver(&text).modes(&[Mode::Pie, Mode::Static]).run()
}

fn is_zero(offset: &Value) -> bool {
    offset.as_u64() == Some(0)
}
