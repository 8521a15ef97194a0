//! Random sequences of every shape that is replaced, in random registers and sections: each program is assembled with
//! symbols and with a session's addresses. In the static model the second becomes the first, byte for byte; in the pic
//! model exactly the planted places are found, and it links everywhere and sees what the first sees.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

mod support;

use support::command::succeed;
use support::elf_view::{self, Section};
use support::matrix::Matrix;
use support::random::Random;
use support::untouched::assert_untouched;
use support::{relocfix, toolchain};

/// Variables of the session, of as many words each.
const VARIABLES: usize = 6;
const WORDS: u64 = 16;
const FUNCTIONS: usize = 8;
/// What a function does one after the other.
const STEPS: usize = 14;

/// A register in 64 and in 32 bits. `%r11` points to where functions write what they see.
const REGISTERS: [(&str, &str); 13] = [
    ("rax", "eax"),
    ("rcx", "ecx"),
    ("rdx", "edx"),
    ("rbx", "ebx"),
    ("rsi", "esi"),
    ("rdi", "edi"),
    ("r8", "r8d"),
    ("r9", "r9d"),
    ("r10", "r10d"),
    ("r12", "r12d"),
    ("r13", "r13d"),
    ("r14", "r14d"),
    ("r15", "r15d"),
];
const SAVED: [&str; 5] = ["rbx", "r12", "r13", "r14", "r15"];

/// Sections for words of data, their flags, and whether an instruction of `.text` reaches them.
const SECTIONS: [(&str, &str); 6] = [
    (".data", r#""aw",@progbits"#),
    (".data.mine", r#""aw",@progbits"#),
    (".data.rel.ro", r#""aw",@progbits"#),
    (".rodata", r#""a",@progbits"#),
    (".rodata.cst8", r#""aM",@progbits,8"#),
    ("of_mine", r#""aw",@progbits"#),
];

/// Where a session's variables lie.
#[derive(Clone, Copy)]
struct Layout {
    first: u64,
    apart: u64,
    /// They fit into 32 bits.
    low: bool,
}

const HIGH: Layout = Layout { first: 0x7f12_3456_0400, apart: 0x12_3400, low: false };
const LOW: Layout = Layout { first: 0x0040_4040, apart: 0x1_2340, low: true };

/// A program in the making. In the text `<2+24>` is the address of a word of a variable.
struct Program {
    random: Random,
    layout: Layout,
    code: String,
    /// Words among the code of the function.
    pool: String,
    data: String,
    /// The same in C.
    expected: String,
    /// What the function has written so far.
    seen: usize,
    labels: usize,
}

/// The address of a word, in the assembler's text and in C.
struct Word {
    text: String,
    c: String,
}

impl Program {
    fn new(seed: u64, layout: Layout) -> Program {
        let mut program = Program {
            random: Random::new(seed),
            layout,
            code: "\t.text\n".to_owned(),
            pool: String::new(),
            data: String::new(),
            expected: String::new(),
            seen: 0,
            labels: 0,
        };
        for number in 0..FUNCTIONS {
            program.function(number);
        }
        program
    }

    fn function(&mut self, number: usize) {
        self.seen = 0;
        writeln!(self.code, "\t.p2align 4\n\t.globl f{number}\n\t.type f{number},@function\nf{number}:")
            .unwrap();
        for register in SAVED {
            self.line(&format!("push %{register}"));
        }
        self.line("mov out@GOTPCREL(%rip), %r11");
        writeln!(self.expected, "static void e{number}(void) {{").unwrap();
        for _ in 0..STEPS {
            self.filler();
            self.step();
        }
        for register in SAVED.iter().rev() {
            self.line(&format!("pop %{register}"));
        }
        self.line("ret");
        if !self.pool.is_empty() {
            writeln!(self.code, "\t.balign 8\n{}", std::mem::take(&mut self.pool)).unwrap();
        }
        writeln!(self.code, "\t.size f{number}, . - f{number}").unwrap();
        self.expected += "}\n";
    }

    fn line(&mut self, text: &str) {
        writeln!(self.code, "\t{text}").unwrap();
    }

    fn label(&mut self) -> String {
        self.labels += 1;
        format!(".L{}", self.labels)
    }

    /// The word of a variable; the variable itself as often as not, and always if `whole`.
    fn word(&mut self, whole: bool) -> Word {
        let variable = self.random.index(VARIABLES);
        let offset = if whole { 0 } else { self.random.below(2) * self.random.below(WORDS) * 8 };
        Word { text: format!("<{variable}+{offset}>"), c: format!("((char *)s{variable} + {offset})") }
    }

    /// Writes a register down; `c` is what it holds.
    fn see(&mut self, register: &str, c: &str) {
        let slot = self.seen;
        self.seen += 1;
        self.line(&format!("mov %{register}, {}(%r11)", slot * 8));
        writeln!(self.expected, "    out[{slot}] = (unsigned long)({c});").unwrap();
    }

    /// Instructions that are nobody's business.
    fn filler(&mut self) {
        for _ in 0..self.random.below(4) {
            let (wide, narrow) = self.random.one_of(&REGISTERS);
            let number = self.random.below(1 << 14);
            let text = match self.random.below(9) {
                0 => format!("mov ${number}, %{narrow}"),
                1 => format!("lea {number}(%{wide},%{wide},2), %{wide}"),
                2 => "nopw 0x200(%rax,%rax,1)".to_owned(),
                3 => format!("imul ${number}, %{wide}, %{wide}"),
                4 => format!("mov {}(%rsp), %{wide}", number & 0x18),
                5 => format!("movabs $0x3ff8{number:012x}, %{wide}"),
                6 => {
                    let label = self.label();
                    format!("test %{wide}, %{wide}\n\tjs {label}\n\txchg %ax, %ax\n{label}:")
                }
                7 => format!("movq ${number}, -{}(%rsp)", 8 + (number & 0x78)),
                _ => format!("movd %{narrow}, %xmm{}", number & 7),
            };
            self.line(&text);
        }
    }

    fn step(&mut self) {
        let shapes = if self.layout.low { 24 } else { 8 };
        let shape = self.random.below(shapes);
        let (wide, narrow) = self.random.one_of(&REGISTERS);
        // An immediate of 32 bits inside of a variable may be any number, and so may a word of data that is as small.
        let whole = [8, 9, 15, 18, 23].contains(&shape) || self.layout.low && shape == 5;
        let Word { text: at, c } = self.word(whole);
        let content = format!("*(long *){c}");
        let number = self.random.below(1 << 20);
        match shape {
            0 | 1 => {
                self.line(&format!("movabs ${at}, %{wide}"));
                self.see(wide, &c);
            }
            2 => {
                self.line(&format!("movabs {at}, %rax"));
                self.see("rax", &content);
            }
            3 => {
                self.line(&format!("movabs {at}, %eax"));
                self.see("rax", &format!("*(unsigned *){c}"));
            }
            4 => {
                self.line(&format!("mov ${number}, %eax\n\tmovabs %rax, {at}"));
                self.expects(&format!("{content} = {number};"));
                self.see("rax", &number.to_string());
            }
            5 => {
                let (name, flags) = self.random.one_of(&SECTIONS);
                let label = self.label();
                writeln!(self.data, "\t.section {name},{flags}\n\t.balign 8\n{label}:\t.quad {at}").unwrap();
                self.line(&format!("mov {label}(%rip), %{wide}"));
                self.see(wide, &c);
            }
            6 | 7 => {
                let label = self.label();
                writeln!(self.pool, "{label}:\t.quad {at}").unwrap();
                match self.random.below(3) {
                    0 => {
                        self.line(&format!("mov {label}(%rip), %{wide}"));
                        self.see(wide, &c);
                    }
                    1 => {
                        self.line(&format!("mov ${number}, %{narrow}\n\tadd {label}(%rip), %{wide}"));
                        self.see(wide, &format!("{c} + {number}"));
                    }
                    _ => {
                        self.line(&format!("push {label}(%rip)\n\tpop %{wide}"));
                        self.see(wide, &c);
                    }
                }
            }
            8 => {
                self.line(&format!("mov ${at}, %{narrow}"));
                self.see(wide, &c);
            }
            9 => {
                self.line(&format!("movq ${at}, %{wide}"));
                self.see(wide, &c);
            }
            10 => {
                self.line(&format!("lea {at}, %{wide}"));
                self.see(wide, &c);
            }
            11 => {
                self.line(&format!("mov {at}, %{wide}"));
                self.see(wide, &content);
            }
            12 => {
                self.line(&format!("mov ${number}, %{narrow}\n\tadd {at}, %{wide}"));
                self.see(wide, &format!("{content} + {number}"));
            }
            13 => {
                self.line(&format!("mov ${number}, %{narrow}\n\tmov %{wide}, {at}"));
                self.expects(&format!("{content} = {number};"));
            }
            14 => {
                let (index, index_narrow) =
                    self.random.one_of(&[("rdi", "edi"), ("r9", "r9d"), ("rax", "eax")]);
                let (scaled, variable) = (self.random.below(WORDS), self.random.index(VARIABLES));
                self.line(&format!(
                    "mov ${scaled}, %{index_narrow}\n\tmov <{variable}+0>(,%{index},8), %{wide}"
                ));
                self.see(wide, &format!("s{variable}[{scaled}]"));
            }
            15 => {
                self.line(&format!("mov ${number}, %{narrow}\n\tadd ${at}, %{wide}"));
                self.see(wide, &format!("{c} + {number}"));
            }
            16 => {
                self.line(&format!("addq ${number}, {at}"));
                self.expects(&format!("{content} += {number};"));
            }
            17 => {
                self.line(&format!("movl ${number}, {at}"));
                self.expects(&format!("*(unsigned *){c} = {number};"));
            }
            18 => {
                self.line(&format!("movq ${at}, -64(%rsp)\n\tmov -64(%rsp), %{wide}"));
                self.see(wide, &c);
            }
            // Two of them, and the stack pointer beside one.
            19 => {
                let other = self.word(true);
                self.line(&format!("movq ${}, {at}", other.text));
                self.expects(&format!("{content} = (long){};", other.c));
            }
            20 => {
                let other = self.word(true);
                self.line(&format!("addq ${}, {at}", other.text));
                self.expects(&format!("{content} += (long){};", other.c));
            }
            21 => {
                self.line(&format!("mov %rsp, {at}\n\tmov {at}, %{wide}\n\tsub %rsp, %{wide}"));
                self.line(&format!("movq ${number}, {at}"));
                self.see(wide, "0");
                self.expects(&format!("{content} = {number};"));
            }
            22 => {
                self.line(&format!("push ${number}\n\tpopq {at}"));
                self.expects(&format!("{content} = {number};"));
            }
            _ => {
                let other = self.word(false);
                self.line(&format!("movabs ${}, %{wide}\n\tcmp ${at}, %{wide}", other.text));
                self.line(&format!("mov $0, %{narrow}\n\tsete -1(%rsp)\n\tmovzbl -1(%rsp), %{narrow}"));
                self.see(wide, &format!("{c} == {}", other.c));
            }
        }
    }

    fn expects(&mut self, c: &str) {
        writeln!(self.expected, "    {c}").unwrap();
    }

    /// The assembler's text, with what `address` says of a variable and an offset.
    fn text(&self, address: impl Fn(u64, u64) -> String) -> String {
        let whole = format!("{}{}\t.section .note.GNU-stack,\"\",@progbits\n", self.code, self.data);
        let mut parts = whole.split('<');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (word, rest) = part.split_once('>').unwrap();
            let (variable, offset) = word.split_once('+').unwrap();
            text += &address(variable.parse().unwrap(), offset.parse().unwrap());
            text += rest;
        }
        text
    }

    fn address(&self, variable: u64) -> u64 {
        self.layout.first + variable * self.layout.apart
    }

    /// Calls every function and does the same in C.
    fn driver(&self) -> String {
        let mut text = "#include <stdio.h>\n#include <string.h>\nunsigned long out[64];\n".to_owned();
        for variable in 0..VARIABLES {
            writeln!(text, "long s{variable}[{WORDS}];").unwrap();
        }
        text += "static void reset(void) {\n    memset(out, 0, sizeof out);\n";
        for variable in 0..VARIABLES {
            writeln!(
                text,
                "    for (int i = 0; i < {WORDS}; i++) s{variable}[i] = {variable} * 0x123456789 - i;"
            )
            .unwrap();
        }
        text += "}\nstatic long all[64 + 6 * 16];\nstatic void save(long *to) {\n    memcpy(to, out, sizeof out);\n";
        for variable in 0..VARIABLES {
            writeln!(text, "    memcpy(to + 64 + {variable} * {WORDS}, s{variable}, sizeof s{variable});")
                .unwrap();
        }
        text += "}\n";
        text += &self.expected;
        for number in 0..FUNCTIONS {
            writeln!(text, "void f{number}(void);").unwrap();
        }
        text += "int main(void) {\n    static long other[64 + 6 * 16];\n    int wrong = 0;\n";
        for number in 0..FUNCTIONS {
            writeln!(
                text,
                "    reset(); f{number}(); save(all); reset(); e{number}(); save(other);\n    for (int i = 0; i < 160; i++)\n\
                 \x20       if (all[i] != other[i]) printf(\"f{number} %d: %lx is not %lx\\n\", i, all[i], other[i]), wrong++;"
            )
            .unwrap();
        }
        text + "    puts(wrong ? \"wrong\" : \"right\");\n}\n"
    }

    fn map(&self) -> String {
        let hex = |number: u64| format!("{number:#x}");
        let size = WORDS * 8;
        let symbols: Vec<_> = (0..VARIABLES as u64)
            .map(|v| json!({"name": format!("s{v}"), "address": hex(self.address(v)), "size": size}))
            .collect();
        json!({"relocfix": 1, "machine": "x86_64", "symbols": symbols}).to_string()
    }
}

fn assemble(folder: &Path, stem: &str, text: &str) -> Result<Option<PathBuf>, String> {
    let Some(assembler) = toolchain::require("gcc") else {
        return Ok(None);
    };
    let (source, object) = (folder.join("program.s"), folder.join(format!("{stem}.o")));
    fs::write(&source, text).map_err(|error| error.to_string())?;
    succeed(Command::new(assembler).arg("-c").arg(&source).arg("-o").arg(&object))?;
    Ok(Some(object))
}

fn try_program(seed: u64, layout: Layout) -> Result<usize, String> {
    let program = Program::new(seed, layout);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let symbolic =
        assemble(folder, "symbolic", &program.text(|variable, offset| format!("s{variable}+{offset}")))?;
    let numbers = program.text(|variable, offset| format!("{:#x}", program.address(variable) + offset));
    let (Some(symbolic), Some(input)) = (symbolic, assemble(folder, "in", &numbers)?) else {
        return Ok(usize::MAX);
    };
    let map = folder.join("in.session.json");
    fs::write(&map, program.map()).map_err(|error| error.to_string())?;

    // In the static model: what the assembler makes of symbols.
    let fixed =
        relocfix::fix(&input, &folder.join("static.o"), Some(&map), &["--relocation-model", "static"])?;
    let expected = elf_view::sections(&symbolic)?;
    let mut found: BTreeMap<String, Section> = elf_view::sections(&fixed.object)?;
    for entry in fixed.report["sections"].as_array().into_iter().flatten() {
        let name = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        if let Some(section) = found.remove(&name("becomes")) {
            found.insert(name("name"), section);
        }
    }
    if expected != found {
        let differs: Vec<_> =
            expected.keys().filter(|name| expected.get(*name) != found.get(*name)).collect();
        return Err(format!("the static model differs from the assembler in {differs:?}"));
    }

    let fixed = relocfix::fix(&input, &folder.join("pic.o"), Some(&map), &[] as &[&str])?;
    // The places are where the assembler has relocations against the variables.
    let places = fixed.report["places"].as_array().ok_or("no places")?;
    let place = |place: &serde_json::Value| {
        (
            place["section"].as_str().unwrap_or_default().to_owned(),
            place["offset"].as_u64().unwrap_or(u64::MAX),
        )
    };
    let found: BTreeSet<(String, u64)> = places.iter().map(place).collect();
    let planted: BTreeSet<(String, u64)> = expected
        .iter()
        .flat_map(|(name, section)| section.relocations.iter().map(move |r| (name, r)))
        .filter(|(_, (_, _, symbol, _))| symbol.starts_with('s') && symbol[1..].parse::<u32>().is_ok())
        .map(|(name, (offset, ..))| (name.clone(), *offset))
        .collect();
    if found != planted || places.len() != planted.len() {
        return Err(format!(
            "missed {:?}, and {:?} are none",
            planted.difference(&found).collect::<Vec<_>>(),
            found.difference(&planted).collect::<Vec<_>>()
        ));
    }
    assert_untouched(&input, &fixed.object, &fixed.report)?;
    relocfix::assert_stable(&fixed.object, Some(&map), &[] as &[&str])?;
    Matrix::new(&[&fixed.object]).driver(&program.driver()).expect_stdout("right\n").run()?;
    Ok(planted.len())
}

fn try_programs(seeds: std::ops::Range<u64>, layout: Layout) -> Result<(), String> {
    let mut planted = 0;
    for seed in seeds {
        match try_program(seed, layout).map_err(|error| format!("program {seed}: {error}"))? {
            usize::MAX => return Ok(()),
            places => planted += places,
        }
    }
    assert!(planted > 300, "only {planted} places");
    Ok(())
}

#[test]
fn addresses_of_64_bits() -> Result<(), String> {
    try_programs(0..6, HIGH)
}

#[test]
fn addresses_of_32_bits() -> Result<(), String> {
    try_programs(100..108, LOW)
}
