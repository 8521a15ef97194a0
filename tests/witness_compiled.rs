//! What compilers make of constant addresses, at each level of optimisation and in each code model: two sessions prove each
//! other, become the same object, and that does in another process what the source says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod support;

use support::command::succeed;
use support::matrix::{Matrix, Mode};
use support::{relocfix, toolchain};

const SOURCE: &str = include_str!("producers/constants.c");

/// Where two things lay in a session.
#[derive(Clone, Copy)]
struct Session {
    name: &'static str,
    table: u64,
    other: u64,
}

const HIGH: [Session; 2] = [
    Session { name: "in", table: 0x7f12_3456_0400, other: 0x7f12_4456_0840 },
    Session { name: "twin", table: 0x7f98_7654_0400, other: 0x7f98_9678_0840 },
];
/// Of a program that runs at low addresses.
const LOW: [Session; 2] = [
    Session { name: "in", table: 0x1040_0400, other: 0x1840_0840 },
    Session { name: "twin", table: 0x3050_0400, other: 0x3970_0840 },
];

/// Calls each function, and what an ordinary compiler makes of the same source, and says where they differ.
const DRIVER: &str = r#"
#include <stdio.h>
#include <string.h>
_Alignas(64) u64 table[8], other[8];
static int number;
static u64 numbers[64];
static void note(u64 x) { numbers[number++] = x; }
static void start(void) {
  number = 0;
  for (int i = 0; i < 8; i++) { table[i] = 3 + i; other[i] = 100 + i * i; }
}
#define ALL(F) \
  do { u64 word[2] = {0, 0}; start(); \
    F(store)(word); note(word[0]); note(word[1]); \
    note(F(two)(3)); note(F(stores)(9)); note(table[6]); note(other[7]); \
    note(F(shifted)()); note(F(from)(5)); note(F(tagged)()); note(F(inverted)()); \
    note(F(within)((u64)table + 63)); note(F(within)((u64)table + 64)); note(F(sum)()); note(F(product)()); \
    F(copy)(); note(other[3]); note(other[5]); note(F(before)(3)); \
    note(F(volatiles)(word)); note(word[0]); note(F(boxed)()); MORE(F) \
  } while (0)
#ifdef LOW
#define MORE(F)
#else
#define MORE(F) \
    note(F(page)((u64)table)); note(F(page)(0)); note(F(choose)(0)); note(F(choose)(1)); note(F(low)()); note(F(low_same)((u64)table)); note(F(low_same)((u64)table + 1)); note(F(low_sum)(7)); \
    note(F(both)(word)); note(word[0]); note(F(hashed)()); note(F(part)()); note(F(distance)()); \
    { u64 words[5] = {0}; F(packed)(words); for (int i = 0; i < 5; i++) note(words[i]); }
#endif
#define GIVEN(name) name
int main(void) {
  ALL(GIVEN);
  int count = number;
  u64 given[64];
  memcpy(given, numbers, sizeof given);
  ALL(WANTED);
  for (int i = 0; i < count; i++)
    if (given[i] != numbers[i]) printf("%d: %llx, and %llx is right\n", i, (unsigned long long)given[i], (unsigned long long)numbers[i]);
  printf("%d\n", count);
}
"#;

/// The program: the reference at addresses that it takes at run time, declarations, and the calls.
fn driver(low: bool) -> String {
    let low = if low { "#define LOW\n" } else { "" };
    let reference = SOURCE.replace("NAME(", "WANTED(");
    let declared = SOURCE.lines().filter_map(|line| {
        let head = line.strip_prefix("u64 NAME(").map(|rest| ("u64 ", rest));
        let (kind, rest) = head.or_else(|| line.strip_prefix("void NAME(").map(|rest| ("void ", rest)))?;
        let (name, rest) = rest.split_once(')')?;
        Some(format!("{kind}{name}{};\n", rest.split_once(" {")?.0))
    });
    format!(
        "{low}#define WANTED(name) wanted_##name\n#define TABLE at_table\n#define OTHER at_other\n\
         extern char *volatile at_table, *volatile at_other;\n{reference}\n{}\n{DRIVER}\
         char *volatile at_table = (char *)table, *volatile at_other = (char *)other;\n",
        declared.collect::<String>()
    )
}

fn compile(folder: &Path, compiler: &Path, flags: &[&str], session: Session) -> Result<PathBuf, String> {
    let source = folder.join("constants.c");
    fs::write(&source, SOURCE).map_err(|error| error.to_string())?;
    let object = folder.join(format!("{}.o", session.name));
    let mut command = Command::new(compiler);
    command.arg("-c").args(flags).arg("-DNAME(name)=name");
    command.arg(format!("-DTABLE={:#x}", session.table)).arg(format!("-DOTHER={:#x}", session.other));
    succeed(command.arg(&source).arg("-o").arg(&object))?;
    let hex = |number: u64| format!("{number:#x}");
    let mapping = |address: u64| serde_json::json!({"start": hex(address & !0xffff), "end": hex((address & !0xffff) + 0x10000), "perms": "rw-p"});
    let symbol = |name: &str, address: u64| serde_json::json!({"name": name, "address": hex(address), "size": 64, "align": 16});
    let map = serde_json::json!({
        "relocfix": 1, "machine": "x86_64", "mappings": [mapping(session.table), mapping(session.other)],
        "symbols": [symbol("table", session.table), symbol("other", session.other)],
    });
    fs::write(folder.join(format!("{}.session.json", session.name)), map.to_string())
        .map_err(|e| e.to_string())?;
    Ok(object)
}

fn proves(compiler: &str, flags: &[&str], sessions: [Session; 2]) -> Result<(), String> {
    let Some(program) = toolchain::require(compiler) else { return Ok(()) };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let low = sessions[0].table < 1 << 32;
    let mut flags = flags.to_vec();
    flags.extend(["-Wa,--noexecstack", if low { "-DLOW" } else { "-DHIGH" }]);
    let [one, other] = sessions;
    let objects = [compile(folder, &program, &flags, one)?, compile(folder, &program, &flags, other)?];
    let mut outputs = Vec::new();
    for (own, witness) in [(0, 1), (1, 0)] {
        let map = |i: usize| folder.join(format!("{}.session.json", sessions[i].name));
        let output = folder.join(format!("out{own}.o"));
        let witness_map = map(witness);
        let extra =
            [Path::new("--witness"), &objects[witness], Path::new("--witness-session-map"), &witness_map];
        relocfix::fix(&objects[own], &output, Some(&map(own)), &extra)?;
        outputs.push(output);
    }
    relocfix::assert_same(&outputs[0], &outputs[1])?;
    let count = if low { "20\n" } else { "38\n" };
    Matrix::new(&[&outputs[0]]).driver(&driver(low)).modes(&[Mode::Pie]).expect_stdout(count).run()
}

fn all(compiler: &str, levels: &[&str]) -> Result<(), String> {
    let models: [(&[&str], [Session; 2]); 4] =
        [(&[], HIGH), (&["-fPIC"], HIGH), (&["-mcmodel=large", "-fno-pic"], HIGH), (&["-fno-pic"], LOW)];
    let mut wrong = Vec::new();
    for level in levels {
        for (flags, sessions) in &models {
            let flags = [&[*level], *flags].concat();
            if let Err(error) = proves(compiler, &flags, *sessions) {
                wrong.push(format!("{compiler} {}: {error}", flags.join(" ")));
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

#[test]
fn gcc() -> Result<(), String> {
    all("gcc", &["-O0", "-O1", "-O2", "-O3"])
}

#[test]
fn clang() -> Result<(), String> {
    all("clang", &["-O0", "-O1", "-O2", "-Os"])
}
