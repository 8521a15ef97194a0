//! Runs lowered instructions in a real process, in executables of every kind that has them: the address or
//! the loaded value must be what the symbol says.

#[allow(dead_code)]
mod assembled;
mod support;

use std::fmt::Write;
use std::process::Command;

use assembled::{Assembly, run};
use relocfix::arch::{Delivery, Fragment, Lowered, Machine};
use relocfix::edits::NewRelocation;
use support::toolchain::{Linker, Linkers};

const REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// A function that runs one instruction and returns what is then in `register`; all flags are set before it
/// and must be so after it, or the result is 0.
fn function(assembly: &mut Assembly, name: &str, lowered: &Lowered, symbol: &str, register: usize) {
    let relocation = NewRelocation {
        offset: lowered.field,
        kind: lowered.kind,
        symbol: assembly.symbol(symbol),
        addend: lowered.addend,
    };
    let fragment =
        Fragment { code: lowered.bytes.to_vec(), relocations: vec![relocation], frame: Vec::new() };
    // Vector registers keep what the instruction may destroy, the stack pointer included; the instruction
    // stands by itself, as a function of the harness, and jumps back.
    let instruction = format!("instruction_{name}");
    let registers = "movq %rbx,%xmm0; movq %rsp,%xmm1; movq %rbp,%xmm2; movq %r12,%xmm3\n\
                     movq %r13,%xmm4; movq %r14,%xmm5; movq %r15,%xmm6\n";
    let back = "movq %xmm0,%rbx; movq %xmm1,%rsp; movq %xmm2,%rbp; movq %xmm3,%r12\n\
                movq %xmm4,%r13; movq %xmm5,%r14; movq %xmm6,%r15\n";
    let register = REGISTERS[register];
    writeln!(assembly.text, ".text\n.globl {name}\n{name}:\n{registers}push $0xcd5; popf").unwrap();
    writeln!(assembly.text, "jmp {instruction}\nback_{name}:\nmovq %{register},%xmm7\n{back}").unwrap();
    writeln!(assembly.text, "pushf; pop %rcx; cld; movq %xmm7,%rax\nand $0xcd5,%ecx; cmp $0xcd5,%ecx")
        .unwrap();
    writeln!(assembly.text, "je 1f\nxor %eax,%eax\n1: ret\n").unwrap();
    assembly.function(&instruction, &fragment);
    writeln!(assembly.text, "jmp back_{name}").unwrap();
}

#[test]
fn lowered_instructions_give_the_address() {
    let linkers = Linkers::get().unwrap();
    let lld = linkers.flags(Linker::Lld);
    let lld = &["-pie", "-fPIE", &lld[0], &lld[1]][..];
    let arch = Machine::X86_64.arch();
    let old = [0x50, 0xfe, 0x07, 0x10, 0x3a, 0x7f, 0, 0];
    for (flags, absolute) in [
        (&["-pie", "-fPIE"][..], false),
        (&["-static-pie", "-fPIE"], false),
        (&["-static"], true),
        (&["-no-pie"], true),
        (&["-no-pie", "-Wl,--no-relax"], true),
        (lld, false),
    ] {
        if flags == lld && !linkers.found.contains(&Linker::Lld) {
            continue;
        }
        let mut assembly = Assembly::default();
        assembly.text += ".data\n.p2align 3\nslot: .quad variable\n";
        let mut text = "#include <cstdio>\n#include <cstdint>\nextern \"C\" {\n".to_owned();
        text += "uint64_t variable = 0x1122334455667788; int wrong;\n";
        let mut checks = String::new();
        let mut check = |assembly: &mut Assembly, name: &str, lowered: &Lowered, symbol, register, value| {
            function(assembly, name, lowered, symbol, register);
            writeln!(text, "uint64_t {name}();").unwrap();
            writeln!(checks, "if ({name}() != {value}) {{ puts(\"{name}\"); wrong++; }}").unwrap();
        };
        for (delivery, symbol) in [
            (Delivery::Got, "variable"),
            (Delivery::Slot, "slot"),
            (Delivery::Direct, "variable"),
            (Delivery::Absolute, "variable"),
        ] {
            if delivery == Delivery::Absolute && !absolute {
                continue;
            }
            for (register, name) in REGISTERS.iter().enumerate() {
                let movabs =
                    [&[0x48 | (register as u8 >> 3), 0xb8 | (register as u8 & 7)], &old[..]].concat();
                let lowered = arch.lower(&movabs, 2, delivery).unwrap();
                let name = format!("{delivery:?}_{name}");
                check(&mut assembly, &name, &lowered, symbol, register, "(uint64_t)&variable");
            }
            let lowered = arch.lower(&[&[0x48, 0xa1], &old[..]].concat(), 2, delivery).unwrap();
            check(&mut assembly, &format!("{delivery:?}_load8"), &lowered, symbol, 0, "variable");
            let lowered = arch.lower(&[&[0xa1], &old[..]].concat(), 1, delivery).unwrap();
            check(&mut assembly, &format!("{delivery:?}_load4"), &lowered, symbol, 0, "(uint32_t)variable");
        }
        let lowered = arch.lower_address_to_load(&[0x4c, 0x8d, 0x1d, 1, 2, 3, 4], 3).unwrap();
        check(&mut assembly, "lea_r11", &lowered, "slot", 11, "(uint64_t)&variable");

        let text = format!("{text}}}\nint main() {{\n{checks}return wrong != 0;\n}}\n");
        let folder = tempfile::tempdir().unwrap();
        let Some(program) = assembly.link(folder.path(), &text, flags) else {
            return;
        };
        let output = run(&mut Command::new(program)).unwrap();
        assert!(output.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}
