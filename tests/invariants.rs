//! What holds for every object there is: a rewrite changes what its report names and nothing else, a second one changes
//! nothing, and neither threads nor the session's addresses show in the output.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use relocfix::{
    Error, ErrorKind, Fixed, ObjectFile, Options, Private, RelocationModel, SessionMap, fix, needs_map,
};
use serde_json::{Value, json};

#[path = "subjects/mod.rs"]
mod subjects;
mod support;

use subjects::{Session, Subject, read_map};
use support::command::run;
use support::files::Memory;
use support::random::Random;
use support::{toolchain, untouched};

#[test]
fn stored_objects() {
    hold(&subjects::stored(), 4);
}

#[test]
fn annotated_sources() {
    let mut subjects = subjects::cases();
    // Of these the maps are wrong.
    subjects.retain(|subject| !subject.name.contains("_rejected"));
    hold(&subjects, 30);
}

#[test]
fn compiled_sources() {
    hold(&subjects::compiled(), 9);
}

#[test]
fn ordinary_sources() {
    let subjects = subjects::ordinary();
    hold(&subjects, 0);
    for subject in &subjects {
        let fixed = rewrite(&subject.session, subject, &Options::default()).unwrap();
        assert!(fixed.output.is_none(), "{}", subject.name);
        assert!(untouched::names_nothing(&json(&fixed)), "{}", subject.name);
    }
}

/// Enough functions that the work is split in many ways.
#[test]
fn many_functions() {
    let Some(session) = generated(2_000, 0) else {
        return;
    };
    let twin = generated(2_000, 0x0011_2233_0000);
    hold(
        &[Subject {
            name: "2,000 functions".to_owned(),
            session,
            twin,
            files: Memory::default(),
            private: Private::Error,
        }],
        1,
    );
}

/// Everything that must hold, for each; at least so many of them are rewritten.
fn hold(subjects: &[Subject], rewritten: usize) {
    let results: Vec<(usize, Vec<String>)> = subjects.par_iter().map(invariants).collect();
    let mut wrong = Vec::new();
    for (subject, (_, found)) in subjects.iter().zip(&results) {
        wrong.extend(found.iter().map(|what| format!("{}: {what}", subject.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count = results.iter().filter(|(outputs, _)| *outputs > 0).count();
    assert!(count >= rewritten, "only {count} of {} were rewritten", subjects.len());
}

fn invariants(subject: &Subject) -> (usize, Vec<String>) {
    let mut found = Vec::new();
    let mut outputs = 0;
    for relocation_model in [RelocationModel::Pic, RelocationModel::Static] {
        let options = Options { relocation_model, private: subject.private, ..Options::default() };
        let mut wrong = |what: String| found.push(format!("{relocation_model:?}: {what}"));
        let rewritten = rewrite(&subject.session, subject, &options);
        let unlisted = rewrite(&subject.session, subject, &Options { brief: true, ..options.clone() });
        if !is_same(&rewritten, &unlisted) {
            wrong("becomes another one where its places are not listed".to_owned());
        }
        match rewritten {
            Ok(fixed) => {
                let report = json(&fixed);
                let named = !untouched::names_nothing(&report);
                match &fixed.output {
                    None if named => wrong("the report names changes and there are none".to_owned()),
                    None => {}
                    Some(_) if !named => wrong("changed, and the report does not say where".to_owned()),
                    Some(output) => {
                        outputs += 1;
                        output_holds(subject, &options, output, &report, &mut wrong);
                    }
                }
            }
            // Not rewriting is always allowed here; what must be rewritten has tests of its own.
            Err(error) if [ErrorKind::Refused, ErrorKind::Unresolved].contains(&error.kind()) => {
                if let Some(twin) = &subject.twin
                    && let Ok(Fixed { output: Some(_), .. }) = rewrite(twin, subject, &options)
                {
                    wrong(format!("refused, but not from another session: {error}"));
                }
            }
            Err(error) => wrong(error.to_string()),
        }
    }
    (outputs, found)
}

/// Whether two runs ended alike, but for the places that the first one lists.
fn is_same(listed: &Result<Fixed, Error>, unlisted: &Result<Fixed, Error>) -> bool {
    match (listed, unlisted) {
        (Ok(listed), Ok(unlisted)) => {
            listed.output == unlisted.output
                && json(listed)["summary"] == json(unlisted)["summary"]
                && listed.warnings == unlisted.warnings
        }
        (Err(listed), Err(unlisted)) => listed.to_string() == unlisted.to_string(),
        _ => false,
    }
}

fn output_holds(
    subject: &Subject,
    options: &Options,
    output: &[u8],
    report: &Value,
    wrong: &mut dyn FnMut(String),
) {
    match untouched::differences(&subject.session.object, output, report) {
        Ok(differences) => differences.into_iter().for_each(&mut *wrong),
        Err(error) => return wrong(error),
    }
    let again = match ObjectFile::parse("again.o", output) {
        Ok(object) => object,
        Err(error) => return wrong(format!("the output cannot be read: {error}")),
    };
    let map = subject.map().unwrap();
    let unchanged = |map: &SessionMap| match fix(&again, map, &subject.files, options) {
        Ok(fixed) if fixed.output.is_none() => Ok(()),
        Ok(fixed) => Err(format!("changes it: {}", fixed.report.to_json())),
        Err(error) => Err(format!("fails: {error}")),
    };
    if let Err(what) = unchanged(&map) {
        wrong(format!("a second run {what}"));
    }
    if needs_map(&again) {
        wrong("the record is not complete".to_owned());
    } else if let Err(what) = unchanged(&SessionMap::default()) {
        wrong(format!("a second run without a map {what}"));
    }
    for threads in [1, 2, 7] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        match pool.install(|| rewrite(&subject.session, subject, options)) {
            Ok(fixed) if fixed.output.as_deref() == Some(output) && json(&fixed) == *report => {}
            _ => wrong(format!("another output with {threads} threads")),
        }
    }
    if let Some(twin) = &subject.twin {
        match rewrite(twin, subject, options) {
            Ok(fixed) if fixed.output.as_deref() == Some(output) => {}
            Ok(fixed) => wrong(difference(output, fixed.output.as_deref().unwrap_or_default())),
            Err(error) => wrong(format!("from another session: {error}")),
        }
    }
    if let Err(complaint) = read_by_others(output) {
        wrong(complaint);
    }
}

fn difference(one: &[u8], other: &[u8]) -> String {
    let at = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    format!("another session's output differs at {at:#x} ({} and {} bytes)", one.len(), other.len())
}

fn rewrite(session: &Session, subject: &Subject, options: &Options) -> Result<Fixed, Error> {
    let map = read_map(&session.map, &subject.files)?;
    // The name is in the report: the same for both sessions.
    let object = ObjectFile::parse("in.o", &session.object)?;
    fix(&object, &map, &subject.files, options)
}

fn json(fixed: &Fixed) -> Value {
    serde_json::to_value(&fixed.report).unwrap()
}

/// Other readers have nothing to complain about.
fn read_by_others(output: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("out.o");
    fs::write(&path, output).map_err(|error| error.to_string())?;
    let readers: [(&str, &[&str]); 3] =
        [("readelf", &["-aW"]), ("llvm-readelf", &["-aW"]), ("llvm-readobj", &["--all"])];
    for (reader, options) in readers {
        let Some(program) = toolchain::require(reader) else {
            continue;
        };
        complaint(&program, options, &path)?;
    }
    Ok(())
}

fn complaint(program: &Path, options: &[&str], object: &Path) -> Result<(), String> {
    let finished = run(Command::new(program).args(options).arg(object))?.success()?;
    if finished.stderr.trim().is_empty() {
        Ok(())
    } else {
        Err(format!("{} complains: {}", program.display(), finished.stderr))
    }
}

/// Many functions with addresses of a session, and its map.
fn generated(functions: usize, moved: u64) -> Option<Session> {
    const BASE: u64 = 0x7f3a_1000_0000;
    let base = BASE + moved;
    let mut random = Random::new(7);
    let mut text = ".text\n".to_owned();
    for i in 0..functions {
        write!(
            text,
            ".globl f{i}\n.type f{i},@function\n.p2align 4\nf{i}:\n.cfi_startproc\npush %rbp\n.cfi_def_cfa_offset 16\n\
             .cfi_offset %rbp,-16\nmov %rsp,%rbp\n.cfi_def_cfa_register %rbp\npush %rbx\npush %rax\nmov %rdi,%rbx\n"
        )
        .ok()?;
        for _ in 0..6 {
            let data = base + (1 << 20) + random.below(1 << 9) * 4096;
            let code = base + random.below(1 << 8) * 64;
            write!(
                text,
                "movabs ${data:#x},%rdi\nmov 8(%rbx),%rsi\ncmp $0x11,%rsi\njle 1f\nlea (%rsi,%rsi,4),%rdx\n\
                 movabs ${code:#x},%rax\ncall *%rax\nmov %rax,16(%rbx)\n1: movsd 24(%rbx),%xmm0\naddsd 32(%rbx),%xmm0\n\
                 test %rax,%rax\nje 2f\nmov (%rax),%rcx\nadd $1,%rcx\nmov %rcx,(%rax)\n2:\n"
            )
            .ok()?;
        }
        let next = (i + 1) % functions;
        write!(text, "call f{next}\nadd $8,%rsp\npop %rbx\npop %rbp\nret\n.cfi_endproc\n.size f{i},.-f{i}\n")
            .ok()?;
    }
    let named = |name: &str, start: u64, step: u64, count: u64| -> Vec<Value> {
        (0..count)
            .map(|k| json!({"address": format!("{:#x}", start + k * step), "name": format!("{name}{k}"), "size": step}))
            .collect()
    };
    let mut symbols = named("function_", base, 64, 1 << 8);
    symbols.extend(named("object_", base + (1 << 20), 1 << 16, 1 << 5));
    let mapping =
        json!({"start": format!("{base:#x}"), "end": format!("{:#x}", base + (1 << 24)), "perms": "rwxp"});
    let map = json!({"relocfix": 1, "machine": "x86_64", "mappings": [mapping], "symbols": symbols});
    Some(Session { object: subjects::compile("gcc", &[], "s", &text)?, map: map.to_string().into_bytes() })
}
