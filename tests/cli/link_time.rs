//! Objects that hold a compiler's intermediate form as well, which linkers compile instead of linking the code.

use std::fs;
use std::process::Command;

use crate::{Folder, NAMED};

const SOURCE: &str = "
    int f(const char *text) { return ((int (*)(const char *))0x7f3a1007fe50)(text); }
";
/// Nothing in it is the session's.
const PLAIN: &str = "int f(const char *text) { return *text; }";
const MAIN: &str = "int f(const char *); int main(void) { f(\"called\"); }";

/// With `in.o` compiled from that, and `main.c`.
fn compiled(source: &str, options: &str) -> Option<Folder> {
    let folder = Folder::new();
    folder.write("in.c", source);
    folder.write("main.c", MAIN);
    let mut gcc = Command::new("gcc");
    gcc.args(options.split_whitespace()).args(["-O1", "-c", "in.c", "-o", "in.o"]).current_dir(&folder.0);
    match gcc.output() {
        Ok(output) if output.status.success() => Some(folder),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            crate::support::toolchain::missing("`gcc`");
            None
        }
    }
}

#[test]
fn an_object_without_code_is_refused() {
    let Some(folder) = compiled(SOURCE, "-flto -fno-fat-lto-objects") else { return };
    folder.write("map.json", NAMED);
    let run = folder.run("in.o -o out.o -s map.json");
    run.fails(
        2,
        "relocfix: error: in.o: holds only code for link-time optimization: compile without -flto\n",
    );
    assert!(!folder.at("out.o").exists());
}

#[test]
fn code_that_a_linker_would_compile_anew_is_not_fixed() {
    let Some(folder) = compiled(SOURCE, "-flto -ffat-lto-objects") else { return };
    folder.write("map.json", NAMED);
    let run = folder.run("in.o -o out.o -s map.json").fails(1, "relocfix: error: in.o: .gnu.lto_.");
    assert!(
        run.stderr.contains("+0x0: holds the code once more, for link-time optimization"),
        "{}",
        run.stderr
    );
    assert!(!folder.at("out.o").exists());

    // The remedy is one, and a linker with the compiler's plugin has nothing to compile then.
    let (_, remedy) = run.stderr.trim_end().split_once("remove it: ").unwrap();
    let mut shell = Command::new("sh");
    let status = shell.args(["-c", &format!("{remedy} in.o")]).current_dir(&folder.0).status().unwrap();
    assert!(status.success());
    folder.run("in.o -o out.o -s map.json").silently();
    let mut gcc = Command::new("gcc");
    let status =
        gcc.args(["main.c", "out.o", "-flto", "-o", "main"]).current_dir(&folder.0).status().unwrap();
    assert!(status.success());
    assert_eq!(Command::new(folder.at("main")).output().unwrap().stdout, b"called\n");
}

#[test]
fn what_needs_nothing_stays_as_it_is() {
    let Some(folder) = compiled(PLAIN, "-flto -ffat-lto-objects") else { return };
    folder.write("map.json", NAMED);
    folder.run("in.o -o out.o -s map.json").silently();
    assert_eq!(fs::read(folder.at("in.o")).unwrap(), folder.bytes("out.o"));
}
