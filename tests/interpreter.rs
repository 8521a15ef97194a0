//! Runs fill programs through the interpreter in a real process: every operation, calls as the ABI wants
//! them, failing checks, exceptions and backtraces through its frame.

#[allow(dead_code)]
mod assembled;

use std::fmt::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use assembled::{Assembly, run};
use relocfix::arch::Machine;
use relocfix::fill_program::{FillOp, encode};
use relocfix::session_map::Returns;

/// What the programs call, and a `main` for which `cases` are written below it.
const PROGRAM: &str = r#"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <execinfo.h>
#include <stdexcept>
#include <unistd.h>
#include <unwind.h>

extern "C" {
int64_t results[16];
int64_t *far_slot = results + 4;
struct { int64_t before, here; } record = {11, 22};
char buffer[64];

// Entered with the stack as the ABI wants it, or the aligned store faults.
__attribute__((noinline)) int64_t aligned(int64_t result) {
    __asm__ volatile("movaps %%xmm0, -64(%0)" : : "r"(__builtin_frame_address(0)) : "memory");
    return (uintptr_t)__builtin_frame_address(0) % 16 ? -1 : result;
}
int64_t mixed(int64_t i1, double d1, double d2, int64_t i2, int64_t i3, double d3, double d4, double d5,
              int64_t i4, double d6, int64_t i5, double d7, double d8, int64_t i6) {
    bool integers = i1 == 1 && i2 == -2 && i3 == 3 && i4 == 4 && i5 == 1ll << 40 && i6 == 6;
    bool doubles = d1 == 1.5 && d2 == -2.5 && d3 == 3.5 && d4 == 4.5 && d5 == 5.5 && d6 == 6.5 && d7 == 7.5 && d8 == 8.5;
    return aligned(integers && doubles ? 42 : -2);
}
int64_t garbage_above() { return aligned(0x12345678fffffffb); }
int64_t positive_int() { return 0x7fffffff80000000 ^ 0x80000000 ^ 7; }
int64_t garbage() { return aligned(0x5555); }
int64_t minus(int64_t a, int64_t b) { return aligned(a - b); }
int64_t answer() { return aligned(42); }
int64_t half(double x) { return aligned((int64_t)(x / 2)); }
int64_t nothing() { return 0; }
int64_t destroys();
// What it is called with, as a number; null for "none".
int64_t reads(const char *text) {
    int64_t read = destroys() && !strcmp(text, "none") ? 0 : strtoll(text, 0, 10) + ((int64_t)strlen(text) << 32);
    return aligned(read);
}
int64_t throws_text(const char *text) { throw std::runtime_error(text); }
ssize_t aligned_write(int file, const void *text, size_t size) { return aligned(write(file, text, size)); }
int64_t throws(int64_t what) { throw std::runtime_error(std::to_string(what)); }
int64_t finds_main();
__attribute__((noinline)) int64_t destroys() {
    __asm__ volatile("mov $-1, %%rax; mov %%rax, %%rcx; mov %%rax, %%rdx; mov %%rax, %%rsi; mov %%rax, %%rdi;"
                     "mov %%rax, %%r8; mov %%rax, %%r9; mov %%rax, %%r10; mov %%rax, %%r11; pcmpeqd %%xmm0, %%xmm0;"
                     "sub $-128, %%rsp; add $-128, %%rsp"
                     : : : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm0");
    return 1;
}
// Calls with known values in the registers that a function must keep; which were lost, as bits.
int64_t keeps(void (*f)());
__asm__(R"(
    .text
    .type keeps,@function
    keeps: .cfi_startproc
    push %rbx; .cfi_adjust_cfa_offset 8; .cfi_offset 3,-16
    push %rbp; .cfi_adjust_cfa_offset 8; .cfi_offset 6,-24
    push %r12; .cfi_adjust_cfa_offset 8; .cfi_offset 12,-32
    push %r13; .cfi_adjust_cfa_offset 8; .cfi_offset 13,-40
    push %r14; .cfi_adjust_cfa_offset 8; .cfi_offset 14,-48
    push %r15; .cfi_adjust_cfa_offset 8; .cfi_offset 15,-56
    push %rax; .cfi_adjust_cfa_offset 8
    mov $101, %ebx; mov $102, %ebp; mov $103, %r12d; mov $104, %r13d; mov $105, %r14d; mov $106, %r15d
    call *%rdi
    xor %eax, %eax
    cmp $101, %rbx; je 1f; or $1, %eax
1:  cmp $102, %rbp; je 1f; or $2, %eax
1:  cmp $103, %r12; je 1f; or $4, %eax
1:  cmp $104, %r13; je 1f; or $8, %eax
1:  cmp $105, %r14; je 1f; or $16, %eax
1:  cmp $106, %r15; je 1f; or $32, %eax
1:  add $8, %rsp
    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx
    ret
    .cfi_endproc
)");
}

int main(int argc, char **argv);
int64_t finds_main() {
    void *addresses[64];
    int count = backtrace(addresses, 64);
    for (int i = 0; i < count; i++)
        if (_Unwind_FindEnclosingFunction((char *)addresses[i] - 1) == (void *)main)
            return aligned(1);
    return aligned(0);
}

struct Case { const char *name; void (*run)(); int64_t expected[8]; };
extern Case cases[];
extern int case_count;

int main(int argc, char **argv) {
    int wrong = 0;
    for (int i = 0; i < case_count; i++) {
        bool wanted = argc > 1 ? !strcmp(argv[1], cases[i].name) : strncmp(cases[i].name, "fails", 5) != 0;
        if (!wanted) continue;
        memset(results, 0, sizeof results);
        if (!strncmp(cases[i].name, "throws", 6)) {
            // Values that the compiler may keep in registers across the call
            int64_t a = strtoll("7", 0, 10), b = strtoll("8", 0, 10), c = strtoll("9", 0, 10), d = strtoll("10", 0, 10);
            try { cases[i].run(); } catch (const std::runtime_error &e) { results[0] = atoi(e.what()); }
            results[1] = a * 1000 + b * 100 + c * 10 + d;
        } else {
            int64_t lost = keeps(cases[i].run);
            if (lost) { printf("%s: lost registers %#llx\n", cases[i].name, (long long)lost); wrong++; }
        }
        for (int k = 0; k < 8; k++)
            if (results[k] != cases[i].expected[k]) {
                printf("%s: results[%d] is %lld, not %lld\n", cases[i].name, k, (long long)results[k], (long long)cases[i].expected[k]);
                wrong++;
            }
    }
    printf("done\n%s\n", buffer);
    return wrong != 0;
}
"#;

/// Functions that programs call through a pointer in a slot, as they do for everything external.
const FUNCTIONS: &[&str] = &[
    "mixed",
    "garbage_above",
    "positive_int",
    "garbage",
    "minus",
    "answer",
    "half",
    "nothing",
    "reads",
    "throws_text",
    "throws",
    "finds_main",
    "destroys",
    "snprintf",
];

/// What `abort` sends.
const SIGABRT: i32 = 6;

struct Cases {
    assembly: Assembly,
    all: Vec<(&'static str, Vec<FillOp>, Vec<i64>)>,
}

impl Cases {
    fn new() -> Self {
        let mut assembly = Assembly::default();
        for name in FUNCTIONS {
            writeln!(assembly.text, ".data\n.p2align 3\nslot_{name}: .quad {name}").unwrap();
        }
        assembly.text += "zero: .quad 0\nfar_record: .quad record - 0x100000000\n";
        assembly.text += "far_results: .quad results - 0x100000000\n";
        assembly.text += "format: .asciz \"%d %.2f %s %.1f\"\ntext: .asciz \"text\"\n";
        assembly.text += "message: .long 12\n.ascii \"it is null!\\n more\"\n";
        assembly.text += "lines: .long 9\n.ascii \"reads of \"\n.long 11\n.ascii \" are null!\\n more\"\n";
        Cases { assembly, all: Vec::new() }
    }

    fn case(&mut self, name: &'static str, operations: Vec<FillOp>, expected: &[i64]) {
        self.all.push((name, operations, expected.to_vec()));
    }

    fn push(&mut self, name: &str) -> FillOp {
        FillOp::PushAddress(self.assembly.at(name, 0))
    }

    fn word(&mut self, name: &str) -> FillOp {
        FillOp::PushWord(self.assembly.at(name, 0))
    }

    fn store(&mut self, result: i64) -> FillOp {
        FillOp::Store(self.assembly.at("results", result * 8))
    }

    /// `function(arguments)`
    fn call(&mut self, function: &str, arguments: &[FillOp], floats: u16, returns: Returns) -> Vec<FillOp> {
        let mut operations = vec![self.word(&format!("slot_{function}"))];
        operations.extend_from_slice(arguments);
        let calls = arguments.iter().filter(|op| matches!(op, FillOp::Call { .. })).count();
        assert_eq!(calls, 0, "nested ones are spelled out");
        operations.push(FillOp::Call { arguments: arguments.len() as u8, floats, returns });
        operations
    }
}

fn int(number: i64) -> FillOp {
    FillOp::PushInt(number as u64)
}

fn float(number: f64) -> FillOp {
    FillOp::PushInt(number.to_bits())
}

fn call(arguments: u8, returns: Returns) -> FillOp {
    FillOp::Call { arguments, floats: 0, returns }
}

fn cases() -> Cases {
    use FillOp::{Add, Check, Drop, Load, Neg, Not, Shl, Shr, StoreKeep, StoreThrough};
    use Returns::{Int32, Pointer, Void};
    let mut c = Cases::new();

    c.case("empty", vec![], &[]);

    let arguments = [
        int(1),
        float(1.5),
        float(-2.5),
        int(-2),
        int(3),
        float(3.5),
        float(4.5),
        float(5.5),
        int(4),
        float(6.5),
        int(1 << 40),
        float(7.5),
        float(8.5),
        int(6),
    ];
    let floats = 0b01_1010_1110_0110;
    let program = [c.call("mixed", &arguments, floats, Pointer), vec![c.store(0)]].concat();
    c.case("mixed", program.clone(), &[42]);
    // the same with the operand stack at the other alignment, and once more
    let again = [vec![int(77)], program, vec![c.store(1)]].concat();
    c.case("mixed_odd", again, &[42, 77]);

    let mut program = Vec::new();
    for (i, (function, returns)) in
        [("garbage_above", Int32), ("garbage_above", Pointer), ("positive_int", Int32), ("garbage", Void)]
            .into_iter()
            .enumerate()
    {
        program.extend(c.call(function, &[], 0, returns));
        program.push(c.store(i as i64));
    }
    c.case("returns", program, &[-5, 0x1234_5678_ffff_fffb, 7, 0]);

    // minus(answer(), minus(half(10.0), 1))
    let program = [
        vec![c.word("slot_minus")],
        c.call("answer", &[], 0, Pointer),
        vec![c.word("slot_minus")],
        c.call("half", &[float(10.0)], 1, Pointer),
        vec![int(1), call(2, Pointer), call(2, Pointer), c.store(0)],
    ]
    .concat();
    c.case("nested", program, &[38]);

    let destroyed =
        [vec![int(5)], c.call("destroys", &[], 0, Pointer), vec![c.store(0), c.store(1)]].concat();
    c.case("destroys", destroyed, &[1, 5]);

    let program = vec![
        c.push("record"),
        Load(0),
        c.store(0),
        c.push("record"),
        Load(8),
        c.store(1),
        c.word("far_record"),
        Load(0x1_0000_0008),
        c.store(2),
        FillOp::PushAddress(c.assembly.at("record", 16)),
        Load(-8),
        c.store(3),
        FillOp::PushWord(c.assembly.at("record", 8)),
        c.store(4),
    ];
    c.case("loads", program, &[11, 22, 22, 22, 22]);

    let program = vec![
        int(-256),
        Shr(60),
        c.store(0),
        int(3),
        Shl(62),
        c.store(1),
        int(7),
        Neg,
        c.store(2),
        int(7),
        Not,
        c.store(3),
        int(1 << 40),
        Add(-1),
        Add(1 << 50),
        c.store(4),
        int(9),
        int(8),
        Drop,
        StoreKeep(c.assembly.at("results", 40)),
        c.store(6),
        int(i64::MIN),
        Shr(63),
        Shl(0),
        Add(i64::MAX),
        c.store(7),
    ];
    let expected = [15, -1 << 62, -7, -8, (1 << 40) - 1 + (1 << 50), 9, 9, i64::MIN];
    c.case("arithmetic", program, &expected);

    let (slot, far) = (c.assembly.at("far_slot", 0), c.assembly.at("far_results", 0));
    let program = vec![
        int(1),
        StoreThrough(slot, 0),
        int(2),
        StoreThrough(slot, 8),
        int(3),
        StoreThrough(slot, -32),
        int(4),
        StoreThrough(far, 0x1_0000_0008),
    ];
    c.case("stores_through", program, &[3, 4, 0, 0, 1, 2]);

    let message = c.assembly.at("message", 0);
    let mut program = vec![c.word("zero"), c.store(0)];
    program.extend(c.call("answer", &[], 0, Pointer));
    program.extend([Check(message), c.store(1)]);
    program.extend([int(1 << 32), Check(message), c.store(2)]);
    c.case("checks", program, &[0, 42, 1 << 32]);

    // The first two words stay below everything else.
    let program = vec![
        int(31),
        int(32),
        int(33),
        c.store(0),
        FillOp::PushResult(0),
        c.store(1),
        FillOp::PushResult(1),
        c.store(2),
    ];
    c.case("results_below", program, &[33, 31, 32]);

    let done = c.assembly.at("results", 56);
    let body = |c: &mut Cases, result| vec![int(5), c.store(result), int(1 << 33), c.store(7)];
    let (first, second) = (body(&mut c, 0), body(&mut c, 1));
    let nested = vec![FillOp::Once(c.assembly.at("results", 16), vec![int(6), c.store(2)])];
    let program = vec![
        FillOp::Once(done, [first, nested].concat()),
        FillOp::Once(done, second),
        int(9),
        c.store(3),
        FillOp::Once(done, vec![]),
    ];
    c.case("once", program, &[5, 0, 6, 9, 0, 0, 0, 1 << 33]);

    let program = vec![
        int(1 << 40),
        FillOp::Require(0),
        c.store(0),
        int(0),
        FillOp::Require(2),
        Drop,
        int(7),
        c.store(1),
    ];
    c.case("requires", program, &[1 << 40, 0]);

    let failing = |c: &mut Cases, before: Vec<FillOp>| {
        [before, c.call("nothing", &[], 0, Pointer), vec![Check(message), c.store(0)]].concat()
    };
    let (even, odd) = (failing(&mut c, vec![]), failing(&mut c, vec![int(1)]));
    c.case("fails", even, &[]);
    c.case("fails_odd", odd, &[]);

    let lines = c.assembly.at("lines", 0);
    let texts = |c: &mut Cases, before: Vec<FillOp>, function: &str, texts: &[(u8, &str)]| {
        let texts = texts.iter().map(|&(words, text)| (words, text.into())).collect();
        let calls = [
            c.word(&format!("slot_{function}")),
            FillOp::PushAddress(c.assembly.at("results", 8)),
            FillOp::CallTexts { message: lines, texts },
        ];
        [before, calls.to_vec()].concat()
    };
    let longest = format!("{:0>254}", 77);
    for (name, filler) in [("texts", 0), ("texts_1", 1), ("texts_2", 2), ("texts_3", 3)] {
        // The next operation is found behind a row of any length, and its operand below what the row used.
        let (filler, filled) = (&"0000"[..filler], (filler as i64) << 32);
        let last = format!("{filler}5");
        let row = [(0, "41"), (1, &longest), (2, "9"), (2, &last)];
        let program = [texts(&mut c, vec![int(3)], "reads", &row), vec![c.store(0)]].concat();
        let expected = [3, (2 << 32) + 41, (254 << 32) + 77, 0, (1 << 32) + 9, 0, (1 << 32) + 5 + filled];
        c.case(name, program, &expected);
    }
    for (name, before) in [("fails_texts", vec![]), ("fails_texts_odd", vec![int(1)])] {
        let program = texts(&mut c, before, "reads", &[(0, "1"), (1, "none"), (1, "2")]);
        c.case(name, program, &[]);
    }
    let program = texts(&mut c, vec![int(3)], "throws_text", &[(0, "98")]);
    c.case("throws_texts", program, &[98, 7000 + 800 + 90 + 10]);

    let arguments =
        [c.push("buffer"), int(64), c.push("format"), int(-7), float(2.5), c.push("text"), float(0.5)];
    let program = [c.call("snprintf", &arguments, 0b101_0000, Int32), vec![c.store(0)]].concat();
    c.case("variable_arguments", program, &[16]);

    let program = [vec![int(3)], c.call("throws", &[int(99)], 0, Pointer), vec![c.store(0)]].concat();
    c.case("throws", program, &[99, 7000 + 800 + 90 + 10]);
    let program = [vec![int(3)], c.call("finds_main", &[], 0, Int32), vec![c.store(0)]].concat();
    c.case("backtrace", program, &[1]);

    let mut program: Vec<_> = (0..20_000).map(int).collect();
    program.extend(vec![Drop; 19_999]);
    program.push(c.store(0));
    c.case("deep", program, &[0]);
    c
}

/// The program with all cases, linked; `None` without tools.
fn linked(folder: &std::path::Path, landing_pad: bool, flags: &[&str]) -> Option<std::path::PathBuf> {
    let arch = Machine::X86_64.arch();
    let Cases { mut assembly, all } = cases();
    let failure = (assembly.symbol("aligned_write"), assembly.symbol("abort"));
    let deepest = all.iter().map(|(_, operations, _)| encode(operations).stack).max().unwrap();
    assembly.function("interpreter", &arch.interpreter(deepest, Some(failure)));
    let mut text = PROGRAM.to_owned();
    let mut table = String::new();
    for (name, operations, expected) in &all {
        let program = encode(operations);
        assembly.data(&format!("program_{name}"), &program.data, &program.relocations);
        let (data, interpreter) = (assembly.at(&format!("program_{name}"), 0), assembly.at("interpreter", 0));
        assembly.function(&format!("run_{name}"), &arch.initializer(data, interpreter, landing_pad));
        writeln!(text, "extern \"C\" void run_{name}();").unwrap();
        let numbers: Vec<_> =
            expected.iter().map(|number| format!("(int64_t){:#x}ull", *number as u64)).collect();
        writeln!(table, "    {{\"{name}\", run_{name}, {{{}}}}},", numbers.join(", ")).unwrap();
    }
    writeln!(text, "Case cases[] = {{\n{table}}};\nint case_count = {};", all.len()).unwrap();
    assembly.link(folder, &text, flags)
}

#[test]
fn programs_do_what_they_say() {
    for (landing_pad, flags) in [(false, &["-pie", "-fPIE"][..]), (true, &["-no-pie"]), (true, &["-static"])]
    {
        let folder = tempfile::tempdir().unwrap();
        let Some(program) = linked(folder.path(), landing_pad, flags) else {
            return;
        };

        let output = run(&mut Command::new(&program)).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{flags:?}: {text}");
        assert_eq!(text, "done\n-7 2.50 text 0.5\n", "{flags:?}");

        let (one, texts) = ("it is null!\n", "reads of none are null!\n");
        for (case, said) in
            [("fails", one), ("fails_odd", one), ("fails_texts", texts), ("fails_texts_odd", texts)]
        {
            let output = run(Command::new(&program).arg(case)).unwrap();
            assert_eq!(String::from_utf8(output.stderr).unwrap(), said, "{flags:?}");
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{flags:?}");
            assert_eq!(output.status.signal(), Some(SIGABRT), "{flags:?}");
        }
    }
}
