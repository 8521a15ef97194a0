//! Turns fragments into assembler text and runs them with a C or C++ program: neither the object writer nor
//! the unwind table writer takes part.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gimli::write::CallFrameInstruction;
use relocfix::arch::{Fragment, Referent};
use relocfix::edits::{NewRelocation, SymbolRef, UndefinedId};
use relocfix::reloc::RelocKind;

/// Assembler text, and the names of the symbols that it refers to.
#[derive(Default)]
pub(crate) struct Assembly {
    pub(crate) text: String,
    names: Vec<String>,
}

impl Assembly {
    /// The symbol of that name.
    pub(crate) fn symbol(&mut self, name: &str) -> SymbolRef {
        let index = self.names.iter().position(|n| n == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        SymbolRef::Undefined(UndefinedId(index as u32))
    }

    /// That symbol plus a number of bytes.
    pub(crate) fn at(&mut self, name: &str, offset: i64) -> Referent {
        (self.symbol(name), offset)
    }

    /// A global function.
    pub(crate) fn function(&mut self, name: &str, fragment: &Fragment) {
        let Fragment { code, relocations, frame } = fragment;
        writeln!(self.text, ".text\n.p2align 4\n.globl {name}\n.type {name},@function\n{name}:").unwrap();
        self.text += ".cfi_startproc\n";
        for (offset, byte) in code.iter().enumerate() {
            for (_, change) in frame.iter().filter(|(at, _)| *at as usize == offset) {
                self.text += &directive(change);
            }
            writeln!(self.text, ".byte {byte:#04x}").unwrap();
        }
        self.text += ".cfi_endproc\n";
        self.relocations(name, relocations);
        writeln!(self.text, ".size {name},.-{name}").unwrap();
    }

    /// A variable with contents.
    pub(crate) fn data(&mut self, name: &str, bytes: &[u8], relocations: &[NewRelocation]) {
        writeln!(self.text, ".data\n.p2align 2\n{name}:").unwrap();
        for byte in bytes {
            writeln!(self.text, ".byte {byte:#04x}").unwrap();
        }
        self.relocations(name, relocations);
    }

    /// Relocations of the bytes that begin at `name`.
    fn relocations(&mut self, name: &str, relocations: &[NewRelocation]) {
        assert!(relocations.is_sorted_by_key(|r| r.offset));
        for relocation in relocations {
            let kind = match relocation.kind {
                RelocKind::Pc32 => "R_X86_64_PC32",
                RelocKind::Plt32 => "R_X86_64_PLT32",
                RelocKind::Abs64 => "R_X86_64_64",
                RelocKind::GotPc32RelaxRex => "R_X86_64_REX_GOTPCRELX",
                other => panic!("{other:?}"),
            };
            let SymbolRef::Undefined(UndefinedId(id)) = relocation.symbol else { panic!("{relocation:?}") };
            let symbol = &self.names[id as usize];
            let (offset, addend) = (relocation.offset, relocation.addend);
            writeln!(self.text, ".reloc {name}+{offset}, {kind}, {symbol}{addend:+}").unwrap();
        }
    }

    /// Links the text with a C++ program; `None` (loudly) without a compiler, if that may be.
    pub(crate) fn link(&self, folder: &Path, program: &str, flags: &[&str]) -> Option<PathBuf> {
        let [assembler, main, linked] = ["code.s", "main.cc", "program"].map(|name| folder.join(name));
        let note = ".section .note.GNU-stack,\"\",@progbits\n";
        std::fs::write(&assembler, self.text.clone() + note).unwrap();
        std::fs::write(&main, program).unwrap();
        let mut compiler = Command::new("g++");
        compiler.args(["-O2", "-fno-builtin", "-Wl,-z,text", "-o"]).arg(&linked).args(flags);
        let output = run(compiler.arg(assembler).arg(main))?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(linked)
    }
}

/// The output of a command, or `None` (loudly) if there is no such tool and that may be.
pub(crate) fn run(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(std::env::var_os("RELOCFIX_REQUIRE_TOOLS").is_none(), "{command:?}: {error}");
            // Not `eprintln`, which the test harness swallows.
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("SKIPPED: {command:?}: {error}\n"),
            );
            None
        }
    }
}

fn directive(change: &CallFrameInstruction) -> String {
    use CallFrameInstruction::*;
    match change {
        Cfa(register, offset) => format!(".cfi_def_cfa {}, {offset}\n", register.0),
        CfaOffset(offset) => format!(".cfi_def_cfa_offset {offset}\n"),
        CfaRegister(register) => format!(".cfi_def_cfa_register {}\n", register.0),
        Offset(register, offset) => format!(".cfi_offset {}, {offset}\n", register.0),
        other => panic!("{other:?}"),
    }
}
