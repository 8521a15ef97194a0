//! The same code from two sessions: what the second shows of the first, what contradicts, what proves nothing, and that
//! both become the same object.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use relocfix::arch::Machine;
use relocfix::{
    ErrorKind, Fixed, MapSource, ObjectFile, Options, Report, SessionMap, Unresolved, Witness, check, fix,
};
use serde_json::{Value, json};

mod support;

use support::command::succeed;
use support::files::Memory;
use support::matrix::Matrix;

/// Where a session's memory lay: a library, something near it, and a heap.
#[derive(Clone, Copy)]
struct Bases {
    library: u64,
    close: u64,
    heap: u64,
}

const ONE: Bases = Bases { library: 0x7f12_3456_0000, close: 0x7f12_4456_0000, heap: 0x55aa_1000_0000 };
const OTHER: Bases = Bases { library: 0x7f98_7654_0000, close: 0x7f98_9654_0000, heap: 0x55bb_3800_0000 };
/// Sessions of a program that runs at low addresses.
const LOW: Bases = Bases { library: 0x1000_0000, close: 0x1800_0000, heap: 0x2000_0000 };
const OTHER_LOW: Bases = Bases { library: 0x3000_0000, close: 0x3900_0000, heap: 0x4100_0000 };

impl Bases {
    fn map(self) -> Value {
        let hex = |number: u64| format!("{number:#x}");
        let mapping = |start: u64| json!({"start": hex(start), "end": hex(start + 0x10000), "perms": "rwxp"});
        let symbol = |name: &str, address: u64, size: u64| json!({"name": name, "address": hex(address), "size": size});
        json!({
            "relocfix": 1, "machine": "x86_64",
            "mappings": [mapping(self.library), mapping(self.close), mapping(self.heap)],
            "symbols": [
                symbol("table", self.library + 0x2400, 64),
                symbol("cell", self.library + 0x4800, 16),
                symbol("twin_a", self.library + 0x5000, 2),
                symbol("twin_b", self.library + 0x5002, 2),
                symbol("lone", self.library + 0x6a00, 0),
                symbol("neighbour", self.close + 0x40, 8),
            ],
            "values": [{
                "name": "thing", "address": hex(self.heap + 0x100), "size": 24, "header": 8, "init": {"call": "make"}
            }],
        })
    }
}

/// An object and the map of its session.
struct Session {
    name: String,
    bytes: Vec<u8>,
    map: SessionMap,
}

impl Session {
    /// Assembles a source in which `LIBRARY`, `CLOSE` and `HEAP` are the session's.
    fn new(name: &str, source: &str, bases: Bases) -> Result<Session, String> {
        Session::with_map(name, source, bases, &bases.map())
    }

    fn with_map(name: &str, source: &str, bases: Bases, map: &Value) -> Result<Session, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (path, object) = (folder.path().join("in.S"), folder.path().join("in.o"));
        // An object without any symbol cannot get one.
        fs::write(&path, format!("first: {source}\n")).map_err(|error| error.to_string())?;
        let mut command = Command::new("gcc");
        command.args(["-c", "-Wa,--noexecstack"]);
        for (name, base) in [("LIBRARY", bases.library), ("CLOSE", bases.close), ("HEAP", bases.heap)] {
            command.arg(format!("-D{name}={base:#x}"));
        }
        succeed(command.arg(&path).arg("-o").arg(&object))?;
        let text = map.to_string();
        let source =
            MapSource { name: format!("{name}.json"), folder: PathBuf::new(), text: text.as_bytes() };
        let map = SessionMap::parse(&[source], Machine::X86_64, &Memory::default())
            .map_err(|error| error.to_string())?;
        let bytes = fs::read(&object).map_err(|error| error.to_string())?;
        Ok(Session { name: name.to_owned(), bytes, map })
    }

    fn object(&self) -> ObjectFile<'_> {
        ObjectFile::parse(&self.name, &self.bytes).unwrap()
    }
}

fn pair(source: &str) -> Result<(Session, Session), String> {
    Ok((Session::new("in.o", source, ONE)?, Session::new("twin.o", source, OTHER)?))
}

fn ignore(texts: &[&str]) -> Vec<relocfix::Ignored> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn rewrite(one: &Session, other: &Session, ignored: &[&str], allow_weak: bool) -> relocfix::Result<Fixed> {
    let (object, theirs) = (one.object(), other.object());
    let witness = Some(Witness { object: &theirs, map: &other.map, allow_weak });
    let options = Options { witness, ignore: ignore(ignored), ..Options::default() };
    fix(&object, &one.map, &Memory::default(), &options)
}

fn list(one: &Session, other: &Session) -> relocfix::Result<Report> {
    let (object, theirs) = (one.object(), other.object());
    let witness = Some(Witness { object: &theirs, map: &other.map, allow_weak: false });
    check(&object, &one.map, &Memory::default(), &Options { witness, ..Options::default() })
}

/// Rewrites each with the other as its witness; both must become the same.
fn both(source: &str) -> Result<Fixed, String> {
    let (one, other) = pair(source)?;
    let error = |error: relocfix::Error| error.to_string();
    let fixed = rewrite(&one, &other, &[], false).map_err(error)?;
    let twin = rewrite(&other, &one, &[], false).map_err(error)?;
    assert!(fixed.output.is_some());
    assert_eq!(fixed.output, twin.output, "the sessions' outputs differ");
    Ok(fixed)
}

/// What a refusal says.
fn refusal(one: &Session, other: &Session) -> String {
    let error = rewrite(one, other, &[], false).expect_err("this must be refused");
    assert_eq!(list(one, other).is_err(), error.kind() == ErrorKind::Refused, "{error}");
    error.to_string()
}

/// Meaning and evidence of all places.
fn meanings(report: &Report) -> Vec<(String, String)> {
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    let places = json["places"].as_array().unwrap();
    let text = |place: &Value| {
        let target = place["target"].as_object().unwrap();
        let name = target.iter().find(|(key, _)| *key != "offset").unwrap().1.as_str().unwrap();
        let offset = match target["offset"].as_i64().unwrap() {
            0 => String::new(),
            offset => format!("{offset:+}"),
        };
        (format!("{name}{offset}"), place["evidence"].as_str().unwrap().to_owned())
    };
    places.iter().map(text).collect()
}

fn expect(report: &Report, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
    assert_eq!(meanings(report), expected);
}

/// A function for each operation, one base before the object, words in data; and a driver that knows the answers.
const DERIVED: &str = "
.globl f0, f1, f2, f3, f4, f5, f6, f7, f8, packed, negated
.type packed, @object; .size packed, 9; .type negated, @object; .size negated, 8
.text
f0: movabs $(LIBRARY+0x2400)>>3, %rax; ret
f1: movabs $(LIBRARY+0x5000), %rcx; movabs $(LIBRARY+0x5000)>>8, %rax; ret
f2: movabs $(LIBRARY+0x2400)<<16, %rax; ret
f3: movabs $-(LIBRARY+0x2400), %rax; ret
f4: movabs $~(LIBRARY+0x4800), %rax; ret
f5: movabs $(0xfffc<<48)+LIBRARY+0x2400, %rax; ret
f6: movabs $LIBRARY+0x6a01, %rax; ret
f7: movabs $LIBRARY+0x23f0, %rax; ret
f8: movabs $(HEAP+0x108)>>3, %rax; ret
.data
.balign 8
packed: .byte 1
.quad LIBRARY+0x2408
.balign 8
negated: .quad -(LIBRARY+0x4800)
";

#[test]
fn derived_constants_and_unaligned_words() -> Result<(), String> {
    let fixed = both(DERIVED)?;
    expect(
        &fixed.report,
        &[
            ("table >> 3", "derived"),
            ("twin_a", "map"),
            ("twin_a >> 8", "derived"),
            ("table << 16", "derived"),
            ("-table", "derived"),
            ("~cell", "derived"),
            ("table - 1125899906842624", "derived"),
            ("lone+1", "derived"),
            ("table-16", "derived"),
            ("(thing + 8) >> 3", "derived"),
            ("table+8", "witness"),
            ("-cell", "derived"),
        ],
    );
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("fixed.o");
    fs::write(&path, fixed.output.unwrap()).map_err(|error| error.to_string())?;
    let driver = r#"
#include <stdio.h>
#include <stdint.h>
#include <string.h>
_Alignas(64) char table[64], cell[16], twin_a[2], twin_b[2], lone[8];
static _Alignas(16) char things[24];
char *make(void) { return things; }
uint64_t f0(void), f1(void), f2(void), f3(void), f4(void), f5(void), f6(void), f7(void), f8(void);
extern uint64_t negated;
extern char packed[9];
int main(void) {
    uint64_t t = (uint64_t)table, c = (uint64_t)cell, word;
    memcpy(&word, packed + 1, 8);
    printf("%d%d%d%d%d%d%d%d%d%d%d\n", f0() == t >> 3, f1() == (uint64_t)twin_a >> 8, f2() == t << 16, f3() == -t,
           f4() == ~c, f5() == (t | 0xfffcull << 48), f6() == ((uint64_t)lone | 1), f7() == t - 16,
           f8() == (uint64_t)(things + 8) >> 3, word == t + 8, negated == -c);
}
"#;
    Matrix::new(&[&path]).driver(driver).expect_stdout("11111111111\n").run()
}

#[test]
fn a_number_that_does_not_differ_is_none() -> Result<(), String> {
    // It lies in one session's library, and by its bytes nothing says that it is a hash.
    let source = "movabs $LIBRARY+0x2400, %rax; movabs $0x7f1234561230, %rcx; ret
        .data; .quad 0x7f1234562400";
    let (one, _) = pair(source)?;
    let alone = fix(&one.object(), &one.map, &Memory::default(), &Options::default()).unwrap_err();
    assert_eq!(alone.kind(), ErrorKind::Unresolved);
    let fixed = both(source)?;
    expect(&fixed.report, &[("table", "map")]);
    assert_eq!(fixed.report.proof, "full");
    assert_eq!(fixed.report.notes.len(), 2);
    assert!(
        fixed.report.notes[0].starts_with("in.o: .text+0xc (first): 0x7f1234561230 is no address"),
        "{:?}",
        fixed.warnings
    );
    assert_eq!(fixed.warnings, fixed.report.notes);
    let output = fixed.output.unwrap();
    assert!(output.windows(6).any(|w| w == [0x30, 0x12, 0x56, 0x34, 0x12, 0x7f]));
    // What was shown to be none is so for good.
    let again = ObjectFile::parse("out.o", &output).unwrap();
    let again = fix(&again, &one.map, &Memory::default(), &Options::default()).unwrap();
    assert!(again.output.is_none());
    Ok(())
}

#[test]
fn doubtful_operands_are_decided() -> Result<(), String> {
    let source = "mov $LIBRARY+0x2410, %eax; mov $0x10002410, %ecx; mov $LIBRARY+0x2440, %edx; ret";
    let (one, other) = (Session::new("in.o", source, LOW)?, Session::new("twin.o", source, OTHER_LOW)?);
    let report = list(&one, &other).map_err(|error| error.to_string())?;
    expect(&report, &[("table+16", "witness"), ("table+64", "derived")]);
    assert!(report.places.iter().all(|p| p.reason.as_ref().is_none_or(|r| !r.contains("perhaps"))));
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    assert!(report.notes[0].contains(".text+0x6"), "{:?}", report.notes);
    Ok(())
}

#[test]
fn sessions_that_prove_nothing() -> Result<(), String> {
    let source = "movabs $LIBRARY+0x2400, %rax; ret";
    let one = Session::new("in.o", source, ONE)?;
    let mut forked = Session::new("twin.o", source, ONE)?;
    assert!(refusal(&one, &forked).starts_with("twin.o: proves nothing as a witness: no byte differs"));
    // The object of the same session, with a map of another.
    forked.map = Session::new("twin.o", source, OTHER)?.map;
    assert!(refusal(&one, &forked).contains("no byte differs"));
    let fixed = rewrite(&one, &forked, &[], true).map_err(|error| error.to_string())?;
    assert_eq!(fixed.report.proof, "none");
    expect(&fixed.report, &[("table", "map")]);

    // Only a heap of which nothing is known moved.
    let source = "movabs $LIBRARY+0x2400, %rax; movabs $NOISE, %rcx; ret";
    let still = |noise: &str, name: &str| Session::new(name, &source.replace("NOISE", noise), ONE);
    let (one, other) = (still("0x1122334455667788", "in.o")?, still("0x1122334455667799", "twin.o")?);
    assert!(refusal(&one, &other).contains("nothing that both session maps name lay elsewhere"));
    let error = rewrite(&one, &other, &[], true).unwrap_err().to_string();
    assert!(error.contains("no address explains both"), "{error}");

    // Other code.
    let longer = Session::new("twin.o", "movabs $LIBRARY+0x2400, %rax; nop; ret", OTHER)?;
    assert!(refusal(&one, &longer).contains("it is not the same code: .text has 0x15 bytes"));
    let other_symbol = Session::new("twin.o", &format!("f: {source}").replace("NOISE", "0"), OTHER)?;
    assert!(refusal(&one, &other_symbol).contains("not the same code: one has"));
    let kept = rewrite(&one, &longer, &[], true).map_err(|error| error.to_string())?;
    assert_eq!(kept.report.proof, "none");
    Ok(())
}

#[test]
fn a_map_that_lies_is_contradicted() -> Result<(), String> {
    let source = "movabs $LIBRARY+0x2400, %rax; ret";
    let one = Session::new("in.o", source, ONE)?;
    let mut map = OTHER.map();
    map["symbols"][0]["name"] = "cell".into();
    map["symbols"][1]["name"] = "table".into();
    let liar = Session::with_map("twin.o", source, OTHER, &map)?;
    for (a, b) in [(&one, &liar), (&liar, &one)] {
        let message = refusal(a, b);
        assert!(message.contains("is table here, and") || message.contains("is cell here, and"), "{message}");
        assert!(message.contains("0x7f1234562400") && message.contains("0x7f9876542400"), "{message}");
    }
    Ok(())
}

#[test]
fn two_explanations_are_none() -> Result<(), String> {
    let (one, other) = pair("f: movabs $(LIBRARY+0x5000)>>3, %rax; ret")?;
    let message = refusal(&one, &other);
    assert!(message.contains("can be twin_a >> 3 and can be twin_b >> 3"), "{message}");
    // What the function uses elsewhere decides.
    let fixed = both("f: movabs $(LIBRARY+0x5002), %rcx; movabs $(LIBRARY+0x5002)>>3, %rax; ret")?;
    expect(&fixed.report, &[("twin_b", "map"), ("twin_b >> 3", "derived")]);
    Ok(())
}

#[test]
fn an_address_without_its_last_bits_is_none_before_something() -> Result<(), String> {
    let map = |bases: Bases| {
        let mut map = bases.map();
        map["symbols"][0]["address"] = format!("{:#x}", bases.library + 0x400).into();
        map
    };
    for (number, meaning) in
        [("LIBRARY", None), ("LIBRARY+0x300", Some("table-256")), ("LIBRARY+0x3f8", Some("table-8"))]
    {
        let source = format!("f: movabs ${number}, %rax; movabs $LIBRARY+0x400, %rcx; ret");
        let one = Session::with_map("in.o", &source, ONE, &map(ONE))?;
        let other = Session::with_map("twin.o", &source, OTHER, &map(OTHER))?;
        if let Some(meaning) = meaning {
            let fixed = rewrite(&one, &other, &[], false).map_err(|error| error.to_string())?;
            expect(&fixed.report, &[(meaning, "derived"), ("table", "map")]);
        } else {
            let message = rewrite(&one, &other, &[], false).expect_err("this must be refused").to_string();
            assert!(
                message.contains("can be table - ") && message.contains("can be (table >> "),
                "{message}"
            );
        }
    }
    Ok(())
}

#[test]
fn what_is_not_explained_is_refused_unless_ignored() -> Result<(), String> {
    let source = "movabs $LIBRARY+0x2400, %rax; mov $(LIBRARY&0xffff0000), %ecx; movabs $LIBRARY*3, %rdx
        .data; .quad LIBRARY*5; .byte (LIBRARY>>16)&0xff";
    let (one, other) = pair(source)?;
    let message = refusal(&one, &other);
    for text in [
        ".text+0xb (first): 0x34560000 is",
        ".text+0x11 (first): 0x17d369d020000 is",
        ".data+0x2: the bytes",
        ".data+0x8: the bytes 56",
    ] {
        assert!(message.contains(text), "{text}: {message}");
    }
    let ignored = [".text+0xb", ".text+0x11..0x19", ".data"];
    let fixed = rewrite(&one, &other, &ignored, false).map_err(|error| error.to_string())?;
    assert_eq!(fixed.report.proof, "partial");
    assert!(fixed.warnings.is_empty(), "{:?}", fixed.warnings);
    let fixed = rewrite(&one, &other, &[".text+0xb", ".text+0x11..0x19", ".data", ".bss"], false).unwrap();
    assert_eq!(fixed.warnings, ["in.o: `--ignore .bss` covers nothing that was found"]);
    let less = rewrite(&one, &other, &[".text+0xb", ".text+0x11..0x18", ".data"], false).unwrap_err();
    assert!(less.to_string().contains(".text+0x11"), "{less}");
    Ok(())
}

#[test]
fn thread_local_distances_are_named() -> Result<(), String> {
    let (one, other) = pair(
        "f: movabs $LIBRARY+0x2400, %rax; mov %fs:0, %rcx; mov -8*(1+((LIBRARY>>16)&3))(%rcx), %rcx; ret
         g: mov $-16*(1+((LIBRARY>>16)&3)), %rdx; mov %fs:(%rdx), %rdx; ret",
    )?;
    let message = refusal(&one, &other);
    for at in [".text+0x16 ", ".text+0x1b "] {
        let line =
            message.lines().find(|line| line.contains(at)).ok_or_else(|| format!("{at}: {message}"))?;
        assert!(line.contains("from the thread pointer") && line.contains("another in twin.o"), "{line}");
    }
    Ok(())
}

#[test]
fn a_place_can_be_ignored_without_a_witness() -> Result<(), String> {
    let one = Session::new("in.o", "movabs $LIBRARY+0x2400, %rax; .data; .quad LIBRARY+0x123", ONE)?;
    let options = |texts: &[&str]| Options { ignore: ignore(texts), ..Options::default() };
    let run = |texts: &[&str]| fix(&one.object(), &one.map, &Memory::default(), &options(texts));
    assert_eq!(run(&[]).unwrap_err().kind(), ErrorKind::Unresolved);
    assert_eq!(run(&[".data+1"]).unwrap_err().kind(), ErrorKind::Unresolved);
    let fixed = run(&[".data+0", ".text"]).unwrap();
    // What an instruction loads is an address whatever is ignored.
    expect(&fixed.report, &[("table", "map")]);
    assert_eq!(fixed.report.proof, "no witness");
    let kept = Options { unresolved: Unresolved::Keep, ..options(&[]) };
    assert_eq!(fix(&one.object(), &one.map, &Memory::default(), &kept).unwrap().report.places.len(), 2);
    Ok(())
}

#[test]
fn displacements_and_halves_are_solved() -> Result<(), String> {
    let fixed = both(
        "f: movabs $LIBRARY+0x2400, %rax; lea (CLOSE+0x40-LIBRARY-0x2400)(%rax), %rcx; ret
         g: movl $((LIBRARY+0x4800)&0xffffffff), (%rdi); movl $((LIBRARY+0x4800)>>32), 4(%rdi); ret",
    )?;
    expect(
        &fixed.report,
        &[
            ("table", "map"),
            ("neighbour - table", "derived"),
            ("(uint32_t)cell", "derived"),
            ("cell >> 32", "derived"),
        ],
    );
    assert_eq!(fixed.report.summary.thunks, 3);
    Ok(())
}

#[test]
fn a_distance_from_two_things_is_none() -> Result<(), String> {
    // Both are as far from something that lies in the other library.
    let mut maps = (ONE.map(), OTHER.map());
    for (map, bases) in [(&mut maps.0, ONE), (&mut maps.1, OTHER)] {
        let address = format!("{:#x}", bases.close + 0x2440);
        map["symbols"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "further", "address": address, "size": 8}));
    }
    let source = "f: movabs $LIBRARY+0x2400, %rax; movabs $LIBRARY+0x4800, %rcx
         mov (CLOSE+0x40-LIBRARY-0x2400)(%rax), %rax; ret";
    let one = Session::with_map("in.o", source, ONE, &maps.0)?;
    let other = Session::with_map("twin.o", source, OTHER, &maps.1)?;
    for (a, b) in [(&one, &other), (&other, &one)] {
        let message = refusal(a, b);
        assert!(message.contains("can be neighbour - table and can be further - cell"), "{message}");
    }
    Ok(())
}

#[test]
fn high_halves_need_more_than_themselves() -> Result<(), String> {
    // Alone.
    let (one, other) = pair("f: mov $(LIBRARY>>32), %eax; ret")?;
    let message = refusal(&one, &other);
    assert!(message.contains("perhaps the high half of `table` or of `cell`"), "{message}");
    assert!(message.ends_with(": `mov $0x7f12,%eax`"), "{message}");
    // With two low halves, or two addresses, in registers, where nothing says which go together.
    let two = "f: mov $((LIBRARY+0x2400)&0xffffffff), %eax; mov $((LIBRARY+0x4800)&0xffffffff), %ecx
         mov $(LIBRARY>>32), %edx; ret";
    let (one, other) = pair(two)?;
    assert!(
        refusal(&one, &other).contains("the high half of `table` or of `cell`, and nothing in its function")
    );
    let addresses =
        "f: movabs $LIBRARY+0x2400, %rax; movabs $LIBRARY+0x4800, %rcx; mov $(LIBRARY>>32), %edx; ret";
    let (one, other) = pair(addresses)?;
    assert!(
        refusal(&one, &other).contains("the high half of `table` or of `cell`, and nothing in its function")
    );
    // One of each, or neighbouring stores into one word, in either order.
    let fixed = both("f: movabs $LIBRARY+0x2400, %rax; mov $(LIBRARY>>32), %edx; ret")?;
    expect(&fixed.report, &[("table", "map"), ("table >> 32", "derived")]);
    let fixed = both(
        "f: movl $((LIBRARY+0x2400)&0xffffffff), (%rdi,%rsi,8); movl $(LIBRARY>>32), 4(%rdi,%rsi,8)
         movl $(LIBRARY>>32), 12(%rdi); movl $((LIBRARY+0x4800)&0xffffffff), 8(%rdi); ret",
    )?;
    let low = |name: &str| (format!("(uint32_t){name}"), "derived".to_owned());
    let high = |name: &str| (format!("{name} >> 32"), "derived".to_owned());
    assert_eq!(meanings(&fixed.report), [low("table"), high("table"), high("cell"), low("cell")]);
    // Into two words they are as good as in registers.
    let apart = "f: movl $((LIBRARY+0x2400)&0xffffffff), (%rdi); movl $(LIBRARY>>32), 8(%rdi)
         movl $((LIBRARY+0x4800)&0xffffffff), 16(%rdi); ret";
    let (one, other) = pair(apart)?;
    assert!(refusal(&one, &other).contains("the high half of `table` or of `cell`"));
    Ok(())
}

#[test]
fn the_half_that_did_not_move_is_asked_for() -> Result<(), String> {
    let source = |number: &str| {
        format!(
            ".type f, @function; f: mov $((LIBRARY+0x2400)&0xffffffff), %eax; mov ${number}, %edx; ret
             .type g, @function; g: mov $0x7f12, %eax; ret"
        )
    };
    // Within 4 GiB.
    let near = Bases { library: 0x7f12_7654_0000, close: 0x7f12_9654_0000, heap: 0x55bb_3800_0000 };
    let sessions = |source: &str, near: Bases| -> Result<_, String> {
        Ok((Session::new("in.o", source, ONE)?, Session::new("twin.o", source, near)?))
    };
    let (one, other) = sessions(&source("(LIBRARY>>32)"), near)?;
    for (a, b) in [(&one, &other), (&other, &one)] {
        let message = refusal(a, b);
        assert!(
            message.contains("0x7f12 can be the other half of `table`, which is the same in"),
            "{message}"
        );
        assert!(message.contains(".text+0x6 (f)") && message.lines().count() == 1, "{message}");
    }
    rewrite(&one, &other, &[".text+0x6"], false).map_err(|error| error.to_string())?;
    let (one, other) = sessions(&source("0x7f13"), near)?;
    rewrite(&one, &other, &[], false).map_err(|error| error.to_string())?;
    // By a multiple of 4 GiB.
    let far = Bases { library: 0x7f98_3456_0000, ..near };
    let source = "f: movabs $LIBRARY+0x2400, %rcx; mov $((LIBRARY+0x2400)&0xffffffff), %eax; mov $(LIBRARY>>32), %edx; ret";
    let (one, other) = sessions(source, far)?;
    assert!(refusal(&one, &other).contains("0x34562400 can be the other half of `table`"));
    Ok(())
}

#[test]
fn two_halves_are_an_address_unless_a_witness_says_otherwise() -> Result<(), String> {
    // Two numbers of one word that together lie in one session's library.
    let source = "movabs $LIBRARY+0x2400, %rax; movl $0x34561230, (%rdi); movl $0x7f12, 4(%rdi); ret";
    let (one, _) = pair(source)?;
    let run = |texts: &[&str]| {
        let options = Options { ignore: ignore(texts), ..Options::default() };
        fix(&one.object(), &one.map, &Memory::default(), &options)
    };
    let alone = run(&[]).unwrap_err().to_string();
    assert!(alone.contains("are stored as the halves of 0x7f1234561230"), "{alone}");
    assert!(alone.contains("give a witness") && alone.lines().count() == 1, "{alone}");
    for half in [".text+0xc", ".text+0x13"] {
        assert_eq!(run(&[half]).unwrap().warnings, [] as [String; 0]);
    }
    let fixed = both(source)?;
    expect(&fixed.report, &[("table", "map")]);
    assert_eq!(fixed.report.proof, "full");
    // What was shown to be none is so for good.
    let output = fixed.output.unwrap();
    let again = ObjectFile::parse("out.o", &output).unwrap();
    assert!(fix(&again, &one.map, &Memory::default(), &Options::default()).unwrap().output.is_none());

    // A witness whose library lies where this one's does, and one that proves nothing, say nothing of them.
    let there = Bases { library: ONE.library, ..OTHER };
    let source = format!("{source}; movabs $HEAP+0x100, %rcx");
    let (one, other) = (Session::new("in.o", &source, ONE)?, Session::new("twin.o", &source, there)?);
    let message = refusal(&one, &other);
    assert!(message.contains("are stored as the halves of 0x7f1234561230"), "{message}");
    assert!(message.contains("take a witness whose memory lies elsewhere"), "{message}");
    let weak = rewrite(&one, &one, &[], true).unwrap_err().to_string();
    assert!(weak.contains("are stored as the halves of 0x7f1234561230"), "{weak}");
    rewrite(&one, &one, &[".text+0x13"], true).map_err(|error| error.to_string())?;
    Ok(())
}

#[test]
fn what_moved_alike_is_listed() -> Result<(), String> {
    let source = "movabs $LIBRARY+0x2400, %rax; movabs $HEAP+0x100, %rcx; ret";
    let fixed = both(source)?;
    assert_eq!((fixed.report.proof.as_str(), fixed.report.moved_alike.len()), ("full", 0));
    let one = Session::new("in.o", source, ONE)?;
    let together = Bases { close: OTHER.library + (ONE.close - ONE.library), ..OTHER };
    let other = Session::new("twin.o", source, together)?;
    let fixed = rewrite(&one, &other, &[], false).unwrap();
    assert_eq!(fixed.report.proof, "partial");
    assert_eq!(fixed.report.moved_alike, [["memory around `neighbour`", "memory around `table`"]]);
    // A heap that stays where it is shows nothing of what lies there.
    let other = Session::new("twin.o", source, Bases { heap: ONE.heap, ..OTHER })?;
    let fixed = rewrite(&one, &other, &[], false).unwrap();
    assert_eq!(fixed.report.proof, "partial");
    expect(&fixed.report, &[("table", "map"), ("thing", "map")]);
    Ok(())
}

#[test]
fn text_and_names_may_spell_addresses() -> Result<(), String> {
    let source = |digits: &str| {
        format!(
            "movabs $LIBRARY+0x2400, %rax; ret; .globl at_{digits}; .section .rodata; at_{digits}: .string \"<0x{digits}>\""
        )
    };
    let one = Session::new("in.o", &source("7f1234562400"), ONE)?;
    let other = Session::new("twin.o", &source("7f9876542400"), OTHER)?;
    let fixed = rewrite(&one, &other, &[], false).map_err(|error| error.to_string())?;
    assert_eq!(
        fixed.report.notes,
        [
            "in.o: .rodata+0x3: text spells an address of the session",
            "in.o: names of symbols differ: `at_7f1234562400` and `at_7f9876542400`"
        ]
    );
    // Digits that are no address explain nothing.
    let other = Session::new("twin.o", &source("111111111111"), OTHER)?;
    assert!(refusal(&one, &other).contains(".rodata+0x3: the bytes"));
    Ok(())
}
