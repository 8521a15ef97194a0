//! Indirect functions of a library that nobody can be asked about: what was bound to which version of a name, and what
//! is contradicted.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::session::{Session, number, read_map};
use crate::support::command::succeed;
use crate::support::relocfix::tool;

const LIBRARY: &str = r#"
#define CHOICE(NAME, ANSWER) \
    static int NAME##_choice(void) { return ANSWER; } \
    static void *NAME##_resolver(void) { return NAME##_choice; } \
    int NAME(void) __attribute__((ifunc(#NAME "_resolver")));
CHOICE(old, 1) CHOICE(new, 2) CHOICE(late, 3) CHOICE(hooked, 4)
__asm__(".symver old, chosen@V1");
__asm__(".symver new, chosen@@V2");
"#;

const VERSIONS: &str = "V1 { global: chosen; late; hooked; local: *; }; V2 { global: chosen; } V1;";

const SECOND: &str = "int hooked(void); void *second(void) { return (void *)hooked; }";

/// A program that puts something else into the words that were bound to `hooked` and `strlen`, as tools that watch
/// calls do.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
int chosen(void), chosen_v1(void), late(void), hooked(void);
void *second(void);
__asm__(".symver chosen_v1, chosen@V1");
extern void *_GLOBAL_OFFSET_TABLE_[];
int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1)
        return late();
    void *volatile *table = _GLOBAL_OFFSET_TABLE_, *real = (void *)hooked;
    if (second() != real)
        return 1;
    printf("new %p\nold %p\nhooked %p\n", (void *)chosen, (void *)chosen_v1, real);
    int found = 0;
    for (int i = -32; i < 32; i++)
        if (table[i] == real)
            table[i] = (void *)chosen_v1, found++;
    for (int i = -32; i < 32; i++)
        if (table[i] == (void *)strlen)
            table[i] = (void *)strnlen, found++;
    printf(found == 2 ? "ready\n" : "no word\n");
    fflush(stdout);
    return getchar() == 0;
}
"#;

fn build(folder: &Path, source: &str, output: &str, options: &[&str]) -> Result<(), String> {
    let file = folder.join(format!("{output}.c"));
    fs::write(&file, source).map_err(|error| error.to_string())?;
    let mut gcc = Command::new("gcc");
    gcc.current_dir(folder).args(["-O1", "-fno-builtin", "-o", output]).arg(&file).args(options);
    succeed(&mut gcc).map(drop)
}

#[test]
fn a_version_that_no_one_gets_and_a_word_that_was_changed() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    fs::write(folder.join("versions"), VERSIONS).map_err(|error| error.to_string())?;
    let shared = ["-shared", "-fPIC"];
    build(folder, LIBRARY, "libchosen.so", &[&shared[..], &["-Wl,--version-script=versions"]].concat())?;
    build(folder, SECOND, "libsecond.so", &[&shared[..], &["-L.", "-lchosen"]].concat())?;
    let lazy =
        ["-pie", "-fPIE", "-L.", "-lsecond", "-lchosen", "-Wl,-rpath,$ORIGIN", "-Wl,-z,norelro,-z,lazy"];
    build(folder, PROGRAM, "program", &lazy)?;
    let session = Session::start(Command::new(folder.join("program")).env("LD_LIBRARY_PATH", folder))?;

    let map_path = folder.join("map.json");
    let pid = session.pid.to_string();
    let finished = succeed(tool().args(["capture", "--pid", &pid, "-o"]).arg(&map_path))?;
    assert!(finished.stderr.contains("libchosen.so: of its 3 indirect functions"), "{}", finished.stderr);
    assert!(finished.stderr.contains("would choose another `strlen` than is bound"), "{}", finished.stderr);
    let map = read_map(&map_path)?;
    let names = |known: &str| -> Vec<&Value> {
        let address = session.known.iter().find(|(name, _)| name == known).map_or(0, |(_, address)| *address);
        let all = map["symbols"].as_array().into_iter().flatten();
        all.filter(|symbol| number(&symbol["address"]) == address).collect()
    };
    assert!(
        matches!(names("new")[..], [symbol] if symbol["name"] == "chosen" && symbol["library"] == "libchosen.so")
    );
    assert!(names("old").is_empty(), "{:?}", names("old"));
    assert!(names("hooked").is_empty(), "{:?}", names("hooked"));
    // Not yet bound, it has none either: what the word holds is the way to the dynamic linker.
    let all = map["symbols"].as_array().into_iter().flatten();
    assert_eq!(all.filter(|symbol| symbol["name"] == "late" || symbol["name"] == "strlen").count(), 0);
    Ok(())
}
