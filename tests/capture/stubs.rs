//! Programs without a dynamic linker, in which each alias of an indirect function can have a stub of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::names::assert_fixed;
use crate::session::{Session, number};
use crate::support::command::succeed;
use crate::support::matrix::Mode;
use crate::support::relocfix::check;
use crate::support::toolchain::{Linker, Linkers};

/// Libc itself calls others of their aliases than the program uses: of `mempcpy`, where the program uses both, of
/// `strnlen`, which a shared libc has by that name alone, and of others.
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
    void *computed;
    __asm__("lea wcslen(%%rip), %0" : "=r"(computed));
    SHOW(mempcpy) SHOW(__mempcpy) SHOW(strcasecmp) SHOW(wmemset)
    printf("strnlen %p\nwcslen %p\n", word, computed);
    puts("ready");
    fflush(stdout);
    return getchar() == 0;
}
"#;

fn build(folder: &Path, linkers: &Linkers, linker: Linker, options: &[&str]) -> Result<PathBuf, String> {
    let (source, program) = (folder.join("aliases.c"), folder.join("aliases"));
    fs::write(&source, PROGRAM).map_err(|error| error.to_string())?;
    let mut gcc = Command::new("gcc");
    gcc.args(linkers.flags(linker)).args(["-O1", "-fno-builtin", "-static"]).args(options).arg("-o");
    succeed(gcc.arg(&program).arg(&source))?;
    Ok(program)
}

#[test]
fn each_has_a_name_of_its_own() -> Result<(), String> {
    let linkers = Linkers::get()?;
    for &linker in &linkers.found {
        // A program holds such an address in instructions, or reads it from its global offset table.
        for code in ["-fno-pie", "-fpie"] {
            assert_named(linkers, linker, code)
                .map_err(|error| format!("{} {code}: {error}", linker.name()))?;
        }
    }
    Ok(())
}

fn assert_named(linkers: &Linkers, linker: Linker, code: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let session = Session::start(&mut Command::new(build(folder, linkers, linker, &["-no-pie", code])?))?;
    let map_path = folder.join("map.json");
    let map = session.capture(&map_path, &[])?;
    let mut names = BTreeSet::new();
    for symbol in map["symbols"].as_array().into_iter().flatten() {
        let name = symbol["name"].as_str().unwrap_or_default();
        assert!(names.insert(name), "{name} is there twice: {}", map["symbols"]);
    }

    let object = session.object(folder)?;
    let (report, _) = check(&object, Some(&map_path))?;
    let name_of = |known: &str| -> Option<&str> {
        let (_, address) = session.known.iter().find(|(name, _)| name == known)?;
        let mut places = report["places"].as_array().into_iter().flatten();
        places.find(|place| number(&place["value"]) == *address)?["target"]["symbol"].as_str()
    };
    for (known, _) in &session.known {
        // Which of two aliases that do the same has which stub nothing says.
        match known.trim_start_matches('_') {
            "mempcpy" => assert!(name_of(known).is_some_and(|name| name.ends_with("mempcpy")), "{known}"),
            name => assert_eq!(name_of(known), Some(name)),
        }
    }
    assert_fixed(&session, &object, &map_path, &[Mode::Pie, Mode::Static])
}
