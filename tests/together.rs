//! Several objects in one link: rewritten ones beside each other, equal ones, one whose COMDAT group loses or wins
//! against an ordinary one, and `ld -r`.

use std::fs;
use std::path::Path;
use std::process::Command;

mod support;

use support::command::succeed;
use support::matrix::Matrix;
use support::relocfix;
use support::toolchain::Linkers;
use support::workshop::Workshop;

/// Of the session that all sources here come from. `made` has no name a linker knows: something must make it.
const MAP: &str = r#"{"relocfix": 1, "machine": "x86_64",
  "mappings": [{"start": "0x7f1234000000", "end": "0x7f1235000000", "perms": "rwxp"}],
  "symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}],
  "values": [{"name": "made", "address": "0x7f1234570000", "init": {"call": "make"}}]}"#;

/// What all drivers begin with.
const DRIVER: &str = r#"
#include <stdio.h>
char cell[64];
static long things[8], used;
long *make(void) { things[used] = 5; return &things[used++]; }
"#;

/// A function of that name: `*made` plus the offset of `cell + 8` in `cell`; with unwind information, as compilers
/// write it.
fn function(name: &str) -> String {
    format!(
        ".globl {name}\n.type {name}, @function\n{name}: .cfi_startproc\n\
         push %rbx\n.cfi_def_cfa_offset 16\n.cfi_offset %rbx, -16\n\
         movabs $0x7f1234570000, %rax\nmov (%rax), %rbx\n\
         movabs $0x7f1234560408, %rax\nsub cell@GOTPCREL(%rip), %rax\nadd %rbx, %rax\n\
         pop %rbx\n.cfi_def_cfa_offset 8\nret\n.cfi_endproc\n.size {name}, . - {name}\n"
    )
}

/// The same in a COMDAT group, with a read-only word and a writable one that mean session things.
fn group(name: &str) -> String {
    format!(
        ".section .text.{name}, \"axG\", @progbits, {name}, comdat\n.weak {name}\n.type {name}, @function\n\
         {name}: .cfi_startproc\nmovabs $0x7f1234570000, %rax\nmov (%rax), %rax\n\
         mov .Lword_{name}(%rip), %rcx\nsub cell@GOTPCREL(%rip), %rcx\nadd %rcx, %rax\n\
         mov .Lmade_{name}(%rip), %rcx\nadd (%rcx), %rax\nret\n.cfi_endproc\n.size {name}, . - {name}\n\
         .section .rodata.{name}, \"aG\", @progbits, {name}, comdat\n.balign 8\n.Lword_{name}: .quad 0x7f1234560408\n\
         .section .data.{name}, \"awG\", @progbits, {name}, comdat\n.balign 8\n.Lmade_{name}: .quad 0x7f1234570000\n\
         .text\n"
    )
}

/// What an ordinary compiler wrote for a group of that name; its answer is another one.
fn plain_group(name: &str) -> String {
    format!(
        ".section .text.{name}, \"axG\", @progbits, {name}, comdat\n.weak {name}\n.type {name}, @function\n\
         {name}: .cfi_startproc\nmov $1000, %eax\nret\n.cfi_endproc\n.size {name}, . - {name}\n.text\n"
    )
}

#[test]
fn two_objects() -> Result<(), String> {
    let workshop = Workshop::open(MAP)?;
    let one = workshop.fixed("one", &function("one"))?;
    let two = workshop.fixed("two", &function("two"))?;
    let driver =
        "long one(void), two(void); int main(void) { printf(\"%ld %ld %ld\\n\", one(), two(), used); }";
    // Each makes its own.
    Matrix::new(&[one, two]).driver(&format!("{DRIVER}{driver}")).expect_stdout("13 13 2\n").run()
}

#[test]
fn two_equal_objects() -> Result<(), String> {
    let workshop = Workshop::open(MAP)?;
    let source = format!("{}.weak plain\n{}", group("once"), function("plain").replace(".globl", ".weak"));
    let one = workshop.fixed("one", &source)?;
    let two = workshop.path("two.fixed.o");
    fs::copy(&one, &two).map_err(|error| error.to_string())?;
    let driver = "long once(void), plain(void); int main(void) { printf(\"%ld %ld\\n\", once(), plain()); }";
    Matrix::new(&[one, two]).driver(&format!("{DRIVER}{driver}")).expect_stdout("18 13\n").run()
}

#[test]
fn group_wins_and_loses() -> Result<(), String> {
    let workshop = Workshop::open(MAP)?;
    let fixed = workshop.fixed("fixed", &format!("{}{}", group("once"), function("other")))?;
    let plain = workshop.assemble("plain", &plain_group("once"))?;
    let driver = "long once(void), other(void); int main(void) { printf(\"%ld %ld\\n\", once(), other()); }";
    let driver = format!("{DRIVER}{driver}");
    Matrix::new(&[&fixed, &plain]).driver(&driver).expect_stdout("18 13\n").run()?;
    Matrix::new(&[&plain, &fixed]).driver(&driver).expect_stdout("1000 13\n").run()
}

/// Nothing but groups in it: when they lose, nothing of the object is left that could run.
#[test]
fn only_groups_lose() -> Result<(), String> {
    let workshop = Workshop::open(MAP)?;
    let fixed = workshop.fixed("fixed", &group("once"))?;
    let plain = workshop.assemble("plain", &plain_group("once"))?;
    let driver = "long once(void); int main(void) { printf(\"%ld %ld\\n\", once(), used); }";
    Matrix::new(&[plain, fixed]).driver(&format!("{DRIVER}{driver}")).expect_stdout("1000 0\n").run()
}

#[test]
fn merged_then_fixed_again() -> Result<(), String> {
    let workshop = Workshop::open(MAP)?;
    let one = workshop.fixed("one", &format!("{}{}", function("one"), group("once")))?;
    let two = workshop.fixed("two", &format!("{}{}", function("two"), group("once")))?;
    let driver = "long one(void), two(void), once(void);\n\
                  int main(void) { printf(\"%ld %ld %ld\\n\", one(), two(), once()); }";
    for &linker in &Linkers::get()?.found {
        let merged = workshop.merge(linker, "merged", &[&one, &two])?;
        // All of it is done, and that is known without a map.
        relocfix::assert_stable::<&str>(&merged, Some(&workshop.map()), &[])?;
        relocfix::assert_stable::<&str>(&merged, None, &[])?;
        Matrix::new(&[merged]).driver(&format!("{DRIVER}{driver}")).expect_stdout("13 13 18\n").run()?;
    }
    Ok(())
}

#[test]
fn merged_with_an_unfixed_object() -> Result<(), String> {
    let workshop = Workshop::open(MAP)?;
    let one = workshop.fixed("one", &function("one"))?;
    let raw = workshop.assemble("raw", &function("two"))?;
    let driver = "long one(void), two(void); int main(void) { printf(\"%ld %ld\\n\", one(), two()); }";
    for &linker in &Linkers::get()?.found {
        let merged = workshop.merge(linker, "merged", &[&one, &raw])?;
        let output = workshop.path(&format!("{}-again.o", linker.name()));
        let fixed = relocfix::fix::<&str>(&merged, &output, Some(&workshop.map()), &[])?;
        // Only those of the object that was not rewritten before.
        assert_eq!(fixed.report["summary"]["places"], 2, "{}: {:#}", linker.name(), fixed.report);
        relocfix::assert_stable::<&str>(&output, None, &[])?;
        Matrix::new(&[output]).driver(&format!("{DRIVER}{driver}")).expect_stdout("13 13\n").run()?;
    }
    Ok(())
}

/// A name that stood for a session address: another object that refers to it gets no old address, but an error; a name
/// that repeats what lies there is the same thing for all.
#[test]
fn absolute_names_of_another_object() -> Result<(), String> {
    let workshop = Workshop::open(MAP)?;
    let source = ".globl get, alias, cell\n.type get, @function\nget: mov alias@GOTPCREL(%rip), %rax\nret\n\
                  .set alias, 0x7f1234560408\n.set cell, 0x7f1234560400\n";
    let fixed = workshop.fixed("fixed", source)?;
    let word = |name: &str| {
        format!(".data\n.balign 8\n.globl word\n.type word, @object\nword: .quad {name}\n.size word, 8\n")
    };
    let same = workshop.assemble("same", &word("cell"))?;
    let driver = "extern char *get(void), *word;\n\
                  int main(void) { printf(\"%d %d\\n\", get() == cell + 8, word == cell); }";
    Matrix::new(&[&fixed, &same]).driver(&format!("{DRIVER}{driver}")).expect_stdout("1 1\n").run()?;
    let other = workshop.assemble("other", &word("alias"))?;
    let main = workshop.assemble("main", ".globl main, cell\nmain: ret\n.bss\ncell: .skip 64\n")?;
    for &linker in &Linkers::get()?.found {
        let link = |objects: &[&Path]| {
            let mut command = Command::new("gcc");
            command.args(Linkers::get()?.flags(linker)).arg("-o").arg(workshop.path("program"));
            succeed(command.args(objects)).map(drop)
        };
        link(&[&main, &fixed])?;
        let refused = link(&[&main, &fixed, &other]).err().unwrap_or_default();
        assert!(refused.contains("alias"), "{}: {refused}", linker.name());
    }
    Ok(())
}
