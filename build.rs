//! How the command is linked on Linux: what happens before `main` is a quarter of the time that a small object takes.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    // At an address of its own, 4400 pointers in the program's tables need not be relocated, nor the 18 pages copied in
    // which they lie. Its libraries, stack and heap still lie where chance puts them.
    println!("cargo::rustc-link-arg-bins=-no-pie");

    // The standard library asks for libgcc_s, of which it needs the unwinder: to find, map and relocate that file, and to let
    // its constructor ask the processor what it can, takes longer than all else that the dynamic linker does. The same
    // unwinder is there as an archive. A linker script of the library's name is found first and leads to it.
    let archives = ["libgcc_eh.a", "libgcc.a"];
    let here = env::var("HOST") == env::var("TARGET");
    let (true, Ok(folder)) = (here && archives.iter().all(|name| is_found(name)), env::var("OUT_DIR")) else {
        return;
    };
    if fs::write(Path::new(&folder).join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n").is_ok() {
        println!("cargo::rustc-link-arg-bins=-L{folder}");
    }
}

/// Whether the compiler that links has a library of its own: what it has not it answers with the bare name.
fn is_found(library: &str) -> bool {
    let asked = Command::new("cc").arg(format!("-print-file-name={library}")).output();
    asked.is_ok_and(|answer| Path::new(String::from_utf8_lossy(&answer.stdout).trim()).is_absolute())
}
