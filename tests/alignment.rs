//! Alignment that code relies on and a real library has: its variables keep what their section and their place in it
//! have, also where a program has a copy of them; its functions no more than entries that stand for them.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use object::{Object, ObjectSegment, ObjectSymbol};
use serde_json::{Value, json};

mod support;

use support::command::{run, succeed};
use support::{relocfix, toolchain};

/// `even` is at a multiple of 64 in a section that is aligned so, `odd` 8 bytes behind another one.
const LIBRARY: &str = r"
        .data
        .balign 64
        .globl even, odd
        .type even, @object
        .type odd, @object
even:   .quad 1, 2, 3, 4, 5, 6, 7, 8
        .size even, 64
        .zero 8
odd:    .quad 9, 10
        .size odd, 16
        .text
        .globl function
        .type function, @function
        .balign 64
function: ret
        .size function, 1
        .section .note.GNU-stack
";

/// Where the session had it.
const BASE: u64 = 0x7f12_3400_0000;

struct Library {
    folder: tempfile::TempDir,
    path: PathBuf,
    map: Value,
    addresses: Vec<(String, u64)>,
}

impl Library {
    fn new() -> Option<Library> {
        let gcc = toolchain::require("gcc")?;
        let folder = tempfile::tempdir().expect("a folder");
        let (source, path) = (folder.path().join("library.s"), folder.path().join("liblibrary.so"));
        fs::write(&source, LIBRARY).expect("written");
        let mut command = Command::new(gcc);
        command.args(["-shared", "-nostdlib", "-Wl,-soname,liblibrary.so", "-o"]).arg(&path).arg(&source);
        succeed(&mut command).expect("linked");
        let bytes = fs::read(&path).expect("read");
        let file = object::File::parse(bytes.as_slice()).expect("an image");
        let mappings: Vec<Value> = file
            .segments()
            .filter(|segment| segment.file_range().1 > 0)
            .map(|segment| {
                let (offset, size) = segment.file_range();
                let slack = segment.address() % 0x1000;
                let start = BASE + segment.address() - slack;
                let end = start + (size + slack).next_multiple_of(0x1000);
                json!({"start": format!("{start:#x}"), "end": format!("{end:#x}"), "offset": offset - slack,
                       "path": path.to_str()})
            })
            .collect();
        let addresses =
            file.dynamic_symbols().map(|s| (s.name().unwrap_or_default().to_owned(), BASE + s.address()));
        let addresses = addresses.collect();
        let map = json!({"relocfix": 1, "machine": "x86_64", "mappings": mappings});
        Some(Library { folder, path, map, addresses })
    }

    fn address(&self, name: &str) -> u64 {
        self.addresses.iter().find(|(symbol, _)| symbol == name).expect("a symbol").1
    }

    /// A function of an object that holds the address of `name` and then runs `code`.
    fn object(&self, name: &str, code: &str) -> (PathBuf, PathBuf) {
        let gcc = toolchain::require("gcc").expect("gcc");
        let folder = self.folder.path();
        let (source, object, map) =
            (folder.join("in.s"), folder.join("in.o"), folder.join("in.session.json"));
        let mut text = String::new();
        writeln!(text, ".globl run\n.type run, @function\nrun: movabs ${:#x}, %rax", self.address(name))
            .expect("text");
        writeln!(text, "{code}\nret\n.size run, . - run\n.section .note.GNU-stack").expect("text");
        fs::write(&source, text).expect("written");
        fs::write(&map, self.map.to_string()).expect("written");
        succeed(Command::new(gcc).arg("-c").arg(&source).arg("-o").arg(&object)).expect("assembled");
        (object, map)
    }

    fn fixed(&self, name: &str, code: &str) -> Value {
        let (object, map) = self.object(name, code);
        let output = self.folder.path().join("out.o");
        relocfix::fix::<&str>(&object, &output, Some(&map), &[]).expect("rewritten").report
    }

    fn refused(&self, name: &str, code: &str, text: &str) {
        let (object, map) = self.object(name, code);
        let output = self.folder.path().join("refused.o");
        let mut command = relocfix::tool();
        command.arg(&object).arg("-o").arg(&output).arg("-s").arg(&map);
        relocfix::refused(&mut command, &output, 1, &[text.to_owned()]).expect("refused");
    }
}

#[test]
fn variables_of_a_library_keep_the_alignment_of_their_section() {
    let Some(library) = Library::new() else { return };
    let aligned = |report: Value| report["places"][0]["assumes_alignment"].as_u64();
    assert_eq!(aligned(library.fixed("even", "movaps (%rax), %xmm0")), Some(16));
    assert_eq!(aligned(library.fixed("even", "and $-64, %rax")), Some(64));
    assert_eq!(aligned(library.fixed("odd", "test $7, %al")), Some(8));
    assert_eq!(aligned(library.fixed("function", "test $15, %al")), Some(16));
    // Its place in the page is that of the file: a program's copy has another one.
    library.refused("even", "test $127, %al", "being aligned to 128 as it was in the session");
    library.refused("odd", "test $15, %al", "being the same modulo 16");
    library.refused("function", "test $31, %al", "being aligned to 32 as it was in the session");
}

/// A program that was compiled for a fixed address has the variable itself, and the library uses that one.
#[test]
fn a_copy_in_the_program_has_it_too() {
    let Some(library) = Library::new() else { return };
    library.fixed("even", "movdqa 16(%rax), %xmm0; or $8, %rax; mov (%rax), %rax");
    let folder = library.folder.path();
    let driver = folder.join("driver.c");
    fs::write(
        &driver,
        "#include <stdio.h>\nextern long even[8], run(void);\nchar before[5] = \"abcd\";\n\
         int main(void) { printf(\"%ld %ld %s\\n\", run(), even[2], before); }\n",
    )
    .expect("written");
    for flags in [&["-fno-pie", "-no-pie"][..], &["-fpie", "-pie"]] {
        let program = folder.join("program");
        let mut command = Command::new(toolchain::require("gcc").expect("gcc"));
        command.args(flags).arg(&driver).arg(folder.join("out.o")).arg(&library.path);
        command.arg(format!("-Wl,-rpath,{}", folder.display())).arg("-o").arg(&program);
        succeed(&mut command).expect("linked");
        let finished = run(&mut Command::new(&program)).and_then(|f| f.success()).expect("runs");
        assert_eq!(finished.text(), "2 3 abcd\n");
    }
}

/// Symbols of the map that lie in a file are not taken for the file's own unless they are: the implementation of an
/// indirect function is another one on another processor.
#[test]
fn names_that_the_file_does_not_have_are_not_the_file_s() {
    let Some(mut library) = Library::new() else { return };
    let address = format!("{:#x}", library.address("function"));
    library.map["symbols"] = json!([{"address": address, "name": "chosen", "library": "liblibrary.so"}]);
    library.refused("function", "test $1, %al", "the code relies on `chosen` being aligned to 2");
    library.map["symbols"][0]["align"] = json!(16);
    let report = library.fixed("function", "test $1, %al");
    assert_eq!(report["places"][0]["assumes_alignment"], 2);
}
