//! Objects that Cranelift writes with random addresses of a session in random functions: every address in them is found
//! and nothing else, and what becomes of them computes what the same functions with symbols compute, linked in every way.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, SectionKind};
use serde_json::json;

mod generator;
#[path = "../support/mod.rs"]
mod support;

use generator::{Form, HOSTS, Layout, VARIABLES, WORDS, object};
use support::matrix::Matrix;
use support::random::Random;
use support::relocfix;
use support::untouched::assert_untouched;

const FUNCTIONS: usize = 24;

/// Variables and functions here and there in the address space, far enough from each other for 32 bits to show nothing.
fn layout(random: &mut Random) -> Layout {
    let mut next = || (0x7000 + random.below(0x1000)) << 32 | random.below(1 << 27) << 4;
    Layout { variables: [(); VARIABLES].map(|()| next()), hosts: [(); HOSTS].map(|()| next()) }
}

fn map(layout: &Layout) -> String {
    let symbol = |name: String, address: u64, size: u64| json!({"name": name, "address": format!("{address:#x}"), "size": size});
    let variables =
        layout.variables.iter().enumerate().map(|(i, &at)| symbol(format!("s{i}"), at, WORDS * 8));
    let hosts = layout.hosts.iter().enumerate().map(|(i, &at)| symbol(format!("h{i}"), at, 1));
    json!({"relocfix": 1, "machine": "x86_64", "symbols": variables.chain(hosts).collect::<Vec<_>>()})
        .to_string()
}

/// Where words of the session stand in the object, instruction or not: no other number is near them.
fn planted(bytes: &[u8], layout: &Layout) -> Result<BTreeSet<(String, u64)>, String> {
    let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(|error| error.to_string())?;
    let mut found = BTreeSet::new();
    for section in file.sections().filter(|s| s.kind() != SectionKind::Metadata) {
        let data = section.data().map_err(|error| error.to_string())?;
        for (offset, window) in data.windows(8).enumerate() {
            let word = u64::from_le_bytes(window.try_into().map_err(|_| "eight bytes are eight")?);
            let variable = layout.variables.iter().any(|&start| (start..start + WORDS * 8).contains(&word));
            if variable || layout.hosts.contains(&word) {
                let name = section.name().map_err(|error| error.to_string())?;
                found.insert((name.to_owned(), offset as u64));
            }
        }
    }
    Ok(found)
}

/// Calls each function in both forms, and compares what it returns and what it does to the variables.
fn driver() -> String {
    let mut text = "#include <stdio.h>\n#include <string.h>\n".to_owned();
    for variable in 0..VARIABLES {
        writeln!(text, "long s{variable}[{WORDS}];").unwrap();
    }
    for host in 0..HOSTS {
        writeln!(text, "long h{host}(long x, long y) {{ return x * {} + (y ^ {host}); }}", host + 3).unwrap();
    }
    text += "static void reset(void) {\n";
    for variable in 0..VARIABLES {
        writeln!(
            text,
            "    for (int i = 0; i < {WORDS}; i++) s{variable}[i] = {variable} * 0x123456789 - i;"
        )
        .unwrap();
    }
    writeln!(text, "}}\nstruct all {{ long words[{VARIABLES}][{WORDS}]; long result; }};").unwrap();
    text += "static struct all run(long (*f)(long, long), long x, long y) {\n    struct all all;\n    reset();\n    all.result = f(x, y);\n";
    for variable in 0..VARIABLES {
        writeln!(text, "    memcpy(all.words[{variable}], s{variable}, sizeof s{variable});").unwrap();
    }
    text += "    return all;\n}\n";
    for number in 0..FUNCTIONS {
        writeln!(text, "long a{number}(long, long), b{number}(long, long);").unwrap();
    }
    let list = |prefix: &str| (0..FUNCTIONS).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>().join(", ");
    writeln!(text, "static long (*const as[])(long, long) = {{{}}};", list("a")).unwrap();
    writeln!(text, "static long (*const bs[])(long, long) = {{{}}};", list("b")).unwrap();
    text += r#"int main(void) {
    long inputs[][2] = {{0, 0}, {1, 2}, {-7, 3}, {(long)s0, (long)(s1 + 2)}, {0x123456789abcdef, -1}};
    int wrong = 0;
    for (int f = 0; f < (int)(sizeof as / sizeof *as); f++)
        for (int i = 0; i < 5; i++) {
            struct all a = run(as[f], inputs[i][0], inputs[i][1]), b = run(bs[f], inputs[i][0], inputs[i][1]);
            if (memcmp(&a, &b, sizeof a)) printf("function %d, input %d: %lx is not %lx\n", f, i, a.result, b.result), wrong++;
        }
    puts(wrong ? "wrong" : "right");
}
"#;
    text
}

fn try_seed(seed: u64) -> Result<usize, String> {
    let mut random = Random::new(seed ^ 0xadd);
    let layout = layout(&mut random);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).map_err(|error| error.to_string());
    let input = object(seed, "a", Form::Number(layout), FUNCTIONS)?;
    let expected = planted(&input, &layout)?;
    write("in.o", &input)?;
    write("in.session.json", map(&layout).as_bytes())?;
    write("symbols.o", &object(seed, "b", Form::Symbol, FUNCTIONS)?)?;

    let fixed = relocfix::fix(&path("in.o"), &path("out.o"), Some(&path("in.session.json")), &[] as &[&str])?;
    let places = fixed.report["places"].as_array().ok_or("no places")?;
    let found: BTreeSet<(String, u64)> = places
        .iter()
        .map(|p| {
            (p["section"].as_str().unwrap_or_default().to_owned(), p["offset"].as_u64().unwrap_or(u64::MAX))
        })
        .collect();
    if found != expected || places.len() != found.len() {
        return Err(format!(
            "missed {:?}, and {:?} are none",
            expected.difference(&found).collect::<Vec<_>>(),
            found.difference(&expected).collect::<Vec<_>>()
        ));
    }
    assert_untouched(&path("in.o"), &fixed.object, &fixed.report)?;
    relocfix::assert_stable(&fixed.object, Some(&path("in.session.json")), &[] as &[&str])?;
    // The same functions of another session become the same.
    let other = self::layout(&mut random);
    write("twin.o", &object(seed, "a", Form::Number(other), FUNCTIONS)?)?;
    write("twin.session.json", map(&other).as_bytes())?;
    let twin = relocfix::fix(
        &path("twin.o"),
        &path("twin-out.o"),
        Some(&path("twin.session.json")),
        &[] as &[&str],
    )?;
    relocfix::assert_same(&fixed.object, &twin.object)?;
    Matrix::new(&[&fixed.object, &path("symbols.o")]).driver(&driver()).expect_stdout("right\n").run()?;
    Ok(places.len())
}

#[test]
fn random_functions() -> Result<(), String> {
    let mut planted = 0;
    for seed in 0..8 {
        planted += try_seed(seed).map_err(|error| format!("seed {seed}: {error}"))?;
    }
    assert!(planted > 800, "only {planted} places");
    Ok(())
}
