//! Addresses planted by the assembler, in code that compilers wrote and in data of every kind: every one is found, at
//! its offset, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, SectionFlags, elf};
use relocfix::arch::Machine;
use relocfix::{MapSource, ObjectFile, Options, SessionMap, check};
use serde_json::{Value, json};

mod support;

use support::command::succeed;
use support::files::Memory;
use support::random::Random;
use support::toolchain;

/// A planted constant: where it is to be found, and what.
type Planted = (String, u64, u64);

const REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// Code with loops, switches, calls, constants, vectors, exceptions and inline functions.
const C: &str = r#"
#include <string.h>
struct node { struct node *next; double weight; long key; char name[24]; };
extern long sink(long, const char *), table[];
static unsigned long mix(unsigned long x) {
    x ^= x >> 33; x *= 0xff51afd7ed558ccdUL; x ^= x >> 33; x *= 0xc4ceb9fe1a85ec53UL; return x ^ x >> 33;
}
#define FUNCTIONS(n) \
    long walk##n(struct node *p, long limit) { \
        long total = n; \
        for (; p; p = p->next) { \
            if (p->key > limit) total += sink(p->key, p->name); \
            else if (p->weight * 0.1 > 3.25 + n) total ^= mix(p->key + n); \
            p->weight += (double)total / 7; \
        } \
        return total; \
    } \
    long choose##n(long x, long y) { \
        switch (x) { \
        case 0: return y; case 1: return y * n; case 2: return sink(y, "two"); case 3: return table[y]; \
        case 4: return mix(y); case 5: return x - y; case 6: return y >> 3; case 7: return ~y; \
        case 8: return sink(x, "eight"); case 9: return 0x7ff8000000000000 + n; default: return -x; \
        } \
    } \
    void blend##n(float *restrict a, const float *restrict b, int count) { \
        for (int i = 0; i < count; i++) a[i] = a[i] * 1.5f + b[i] * (float)n; \
    } \
    unsigned long digest##n(const unsigned char *p, unsigned long size) { \
        unsigned long h = 0xcbf29ce484222325UL + n; \
        for (unsigned long i = 0; i < size; i++) h = (h ^ p[i]) * 0x100000001b3UL; \
        char copy[64]; memcpy(copy, p, size & 63); \
        return h + copy[h & 63]; \
    }
#define TEN(n) FUNCTIONS(n##0) FUNCTIONS(n##1) FUNCTIONS(n##2) FUNCTIONS(n##3) FUNCTIONS(n##4) \
    FUNCTIONS(n##5) FUNCTIONS(n##6) FUNCTIONS(n##7) FUNCTIONS(n##8) FUNCTIONS(n##9)
TEN(1) TEN(2) TEN(3) TEN(4)
"#;

const CXX: &str = r#"
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
struct shape { virtual ~shape() {} virtual double area() const = 0; };
template <int N> struct square : shape { double side = N; double area() const override { return side * side; } };
template <int N> long fill(std::map<std::string, long> &m, std::vector<std::unique_ptr<shape>> &v) {
    v.push_back(std::make_unique<square<N>>());
    try {
        if (v.size() > N) throw std::runtime_error("too many " + std::to_string(N));
        m["key"] += N;
    } catch (const std::out_of_range &) { return -1; }
    long total = 0;
    for (auto &entry : m) total += entry.second * (long)v.back()->area();
    return total;
}
#define F(n) template long fill<n>(std::map<std::string, long> &, std::vector<std::unique_ptr<shape>> &);
F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8)
"#;

/// Addresses of a session, each used once.
struct Addresses {
    random: Random,
    ranges: Vec<std::ops::Range<u64>>,
    used: BTreeSet<u64>,
}

impl Addresses {
    /// In the ranges of a map in which user programs live.
    fn of(map: &SessionMap) -> Self {
        Addresses {
            random: Random::new(1),
            ranges: map.ranges().iter().filter(|r| r.end < 1 << 47).cloned().collect(),
            used: BTreeSet::new(),
        }
    }

    /// The first and last address of every range come first.
    fn next(&mut self) -> u64 {
        let edges = self.ranges.iter().flat_map(|r| [r.start, r.end - 1]).find(|a| !self.used.contains(a));
        let mut address = edges.unwrap_or(0);
        while !self.used.insert(address) || address == 0 {
            let range = self.random.one_of(&(0..self.ranges.len()).collect::<Vec<_>>());
            let range = &self.ranges[range];
            address = range.start + self.random.below(range.end - range.start);
        }
        address
    }

    /// A number right beside a range: the address before its first, or the one after its last.
    fn beside(&mut self) -> u64 {
        let index = self.random.index(self.ranges.len());
        if self.random.below(2) == 0 { self.ranges[index].start - 1 } else { self.ranges[index].end }
    }
}

#[test]
fn in_code_of_compilers() -> Result<(), String> {
    let map = session();
    let mut addresses = Addresses::of(&map);
    let mut random = Random::new(2);
    let mut registers = BTreeMap::new();
    let mut count = 0;
    let compilers: [(&str, &str, &str, &[&str]); 5] = [
        ("gcc", "c", C, &["-O2"]),
        ("gcc", "c", C, &["-O0", "-fPIC"]),
        ("gcc", "c", C, &["-O3", "-mavx2", "-ffunction-sections"]),
        ("g++", "cc", CXX, &["-O2"]),
        ("clang", "c", C, &["-O2", "-faddrsig"]),
    ];
    for (compiler, extension, source, flags) in compilers {
        let Some(compiler) = toolchain::require(compiler) else {
            return Ok(());
        };
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let folder = folder.path();
        let path = folder.join(format!("plain.{extension}"));
        fs::write(&path, source).map_err(|error| error.to_string())?;
        succeed(
            Command::new(&compiler).current_dir(folder).args(flags).args(["-S", "-o", "plain.s"]).arg(&path),
        )?;
        let text = fs::read_to_string(folder.join("plain.s")).map_err(|error| error.to_string())?;

        // As it is, nothing is found.
        let plain = assemble(&compiler, folder, "plain", &text)?;
        compare(&plain, &map, &BTreeSet::new())?;

        let mut planted = BTreeSet::new();
        let mut with = String::new();
        let mut in_code = false;
        for line in text.lines() {
            with.push_str(line);
            with.push('\n');
            let word = line.trim_start();
            if word.starts_with(".text") || word.starts_with(".section") {
                in_code = word.starts_with(".text") || word.starts_with(".section\t.text");
            }
            let instruction = line.starts_with('\t') && !word.starts_with(['.', '#']) && !word.is_empty();
            // Prefixes are instructions of their own to the assembler.
            let prefix =
                ["lock", "rep", "repz", "repnz", "bnd", "notrack"].iter().any(|p| word.trim_end() == *p);
            if !in_code || !instruction || prefix || random.below(4) != 0 {
                continue;
            }
            if random.below(10) == 0 {
                // A number that is none of the session's, although only just.
                writeln!(with, "\tmovabsq ${:#x}, %r10", addresses.beside()).unwrap();
                continue;
            }
            let address = addresses.next();
            let form = random.below(20);
            let register = random.one_of(&REGISTERS);
            match form {
                0 => writeln!(with, "\tmovabsq {address:#x}, %rax"),
                _ => {
                    *registers.entry(register).or_insert(0) += 1;
                    writeln!(with, "\tmovabsq ${address:#x}, %{register}")
                }
            }
            .unwrap();
            planted.insert(address);
        }
        let object = assemble(&compiler, folder, "planted", &with)?;
        compare(&object, &map, &planted)?;
        count += planted.len();
    }
    assert_eq!(registers.len(), REGISTERS.len());
    assert!(count >= 5_000, "only {count} addresses were planted");
    Ok(())
}

#[test]
fn in_data() -> Result<(), String> {
    let map = session();
    let mut addresses = Addresses::of(&map);
    let mut random = Random::new(3);
    let mut planted = BTreeSet::new();
    let mut text = String::new();
    let sections = [
        (".data", r#""aw",@progbits"#, 1),
        (".data.rel.ro", r#""aw",@progbits"#, 1),
        (".data.rel.ro.local.x", r#""aw",@progbits"#, 1),
        (".rodata", r#""a",@progbits"#, 1),
        (".rodata.cst8", r#""aM",@progbits,8"#, 1),
        (".rodata.cst16", r#""aM",@progbits,16"#, 2),
        (".rodata.cst32", r#""aM",@progbits,32"#, 4),
        (".ldata", r#""awl",@progbits"#, 1),
        (".lrodata", r#""al",@progbits"#, 1),
        (".llvm_stackmaps", r#""a",@progbits"#, 1),
        ("of_mine", r#""aw",@progbits"#, 1),
        (".tdata", r#""awT",@progbits"#, 1),
        (".init_array.7", r#""aw",@init_array"#, 1),
        (".note.mine", r#""a",@note"#, 1),
    ];
    for (name, flags, words) in sections {
        writeln!(text, "\t.section {name},{flags}\n\t.balign {}", 8 * words).unwrap();
        for _ in 0..120 {
            // One address of a vector's, several, or none.
            let which = random.bits();
            for word in 0..words {
                if which >> word & 1 == 1 {
                    let address = addresses.next();
                    writeln!(text, "\t.quad {address:#x}").unwrap();
                    planted.insert(address);
                } else {
                    let number = match random.below(6) {
                        0 => addresses.beside(),
                        1 => f64::to_bits(random.below(1 << 40) as f64 / 1024.0),
                        2 => random.bits(),
                        3 => random.below(1 << 20),
                        4 => u64::from_le_bytes(*b"some tex"),
                        _ => (random.below(1 << 31) << 32) | random.below(1 << 12),
                    };
                    let session = map.ranges().iter().any(|r| r.contains(&number));
                    writeln!(text, "\t.quad {:#x}", if session { 0 } else { number }).unwrap();
                }
            }
        }
    }
    // What a relocation covers is the linker's, whatever bytes are there; sections that are not loaded are nobody's.
    writeln!(text, "\t.data\n\t.balign 8\nhere:\t.quad outside").unwrap();
    writeln!(text, "\t.section .debug_mine\n\t.quad {:#x}", addresses.next()).unwrap();
    let Some(compiler) = toolchain::require("gcc") else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let object = assemble(&compiler, folder.path(), "data", &text)?;
    compare(&object, &map, &planted)?;
    assert!(planted.len() >= 1_000, "only {} addresses were planted", planted.len());
    Ok(())
}

/// The places of an object are the planted ones, exactly.
fn compare(object: &Path, map: &SessionMap, planted: &BTreeSet<u64>) -> Result<(), String> {
    let bytes = fs::read(object).map_err(|error| error.to_string())?;
    let expected = locate(&bytes, planted).map_err(|error| format!("{}: {error}", object.display()))?;
    let parsed = ObjectFile::parse("planted.o", &bytes).map_err(|error| error.to_string())?;
    let report =
        check(&parsed, map, &Memory::default(), &Options::default()).map_err(|error| error.to_string())?;
    let found: BTreeSet<Planted> =
        report.places.iter().map(|p| (p.section.clone(), p.offset, p.value)).collect();
    if found.len() != report.places.len() {
        return Err("a place is listed twice".to_owned());
    }
    let missed: Vec<_> = expected.difference(&found).take(10).collect();
    let wrong: Vec<_> = found.difference(&expected).take(10).collect();
    if missed.is_empty() && wrong.is_empty() {
        return Ok(());
    }
    Err(format!("{}: of {} missed {missed:#x?}\nwrong {wrong:#x?}", object.display(), expected.len()))
}

/// Where the planted numbers stand: each of them once in the file.
fn locate(bytes: &[u8], planted: &BTreeSet<u64>) -> Result<BTreeSet<Planted>, String> {
    let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(|error| error.to_string())?;
    let mut found = BTreeSet::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        if sh_flags.0 & elf::SHF_ALLOC.0 == 0 {
            continue;
        }
        let name = section.name().map_err(|error| error.to_string())?;
        let data = section.data().map_err(|error| error.to_string())?;
        for (offset, window) in data.windows(8).enumerate() {
            let value = u64::from_le_bytes(window.try_into().map_err(|_| "eight bytes are eight")?);
            if planted.contains(&value) {
                found.insert((name.to_owned(), offset as u64, value));
            }
        }
    }
    let values: BTreeSet<u64> = found.iter().map(|(.., value)| *value).collect();
    if values == *planted && found.len() == planted.len() {
        Ok(found)
    } else {
        Err(format!("{} numbers were planted and {} are there", planted.len(), found.len()))
    }
}

fn assemble(compiler: &Path, folder: &Path, stem: &str, text: &str) -> Result<PathBuf, String> {
    let source = folder.join(format!("{stem}.s"));
    fs::write(&source, text).map_err(|error| error.to_string())?;
    let object = folder.join(format!("{stem}.o"));
    succeed(Command::new(compiler).arg("-c").arg(&source).arg("-o").arg(&object))?;
    Ok(object)
}

/// The mappings of a Numba process; its files are not needed to find what lies in them.
fn session() -> SessionMap {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/objects/numba_a_ctypes/in.session.json");
    let stored: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let mappings: Vec<Value> = stored["mappings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| json!({"start": m["start"], "end": m["end"], "perms": m["perms"]}))
        .collect();
    assert!(mappings.len() > 100);
    let text = json!({"relocfix": 1, "machine": "x86_64", "mappings": mappings}).to_string();
    let source =
        MapSource { name: "in.session.json".to_owned(), folder: PathBuf::new(), text: text.as_bytes() };
    SessionMap::parse(&[source], Machine::X86_64, &Memory::default()).unwrap()
}
