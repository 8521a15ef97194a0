//! What is found in the objects of real producers, of what is there: with the map alone, and with a witness. README
//! carries the table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use relocfix::arch::Machine;
use relocfix::{MapSource, ObjectFile, Options, Report, SessionMap, Witness, check};
use serde_json::Value;

mod support;

use support::files::Memory;

/// Where a constant stands.
type At = (String, u64);

struct Stored {
    object: Vec<u8>,
    map: SessionMap,
}

/// What is said about one object.
struct Findings {
    found: BTreeMap<At, Value>,
    refused: BTreeSet<At>,
    proof: String,
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn stored(folder: &Path, stem: &str, files: &Memory) -> Stored {
    let text = read(&folder.join(format!("{stem}.session.json")));
    let source = MapSource { name: stem.to_owned(), folder: PathBuf::from("stored"), text: &text };
    let map = SessionMap::parse(&[source], Machine::X86_64, files).unwrap();
    Stored { object: read(&folder.join(format!("{stem}.o"))), map }
}

fn findings(one: &Stored, other: Option<&Stored>, files: &Memory) -> Findings {
    let object = ObjectFile::parse("in.o", &one.object).unwrap();
    let theirs = other.map(|other| ObjectFile::parse("twin.o", &other.object).unwrap());
    let witness = other.zip(theirs.as_ref());
    let witness = witness.map(|(other, object)| Witness { object, map: &other.map, allow_weak: false });
    let options = Options { witness, ..Options::default() };
    let mut refused = BTreeSet::new();
    let report: Report = match check(&object, &one.map, files, &options) {
        Ok(report) => report,
        Err(error) => {
            for problem in error.problems() {
                let at = problem.at.as_ref().expect("a problem has a place");
                refused.insert((at.section.clone(), at.offset));
            }
            error.report().expect("what was found is reported").clone()
        }
    };
    let report: Value = serde_json::from_str(&report.to_json()).unwrap();
    let places = report["places"].as_array().unwrap().iter().map(|p| (at(p), p.clone()));
    Findings { found: places.collect(), refused, proof: report["proof"].as_str().unwrap().to_owned() }
}

fn at(entry: &Value) -> At {
    (entry["section"].as_str().unwrap().to_owned(), entry["offset"].as_u64().unwrap())
}

/// Whether what was found is what is there.
fn agrees(found: &Value, truth: &Value, value: &str) -> bool {
    let same = |key: &str, other: &str| found[key] == truth[other];
    // What a derived constant follows from is told by its name only.
    let target = truth["target"].is_null() || same("target", "target");
    same("width", "width") && same("value", value) && target
}

/// One row, and whether all is found or refused with a witness and nothing else is.
fn row(name: &str, folder: &Path, files: &Memory) -> String {
    let (one, other) = (stored(folder, "in", files), stored(folder, "twin", files));
    let truth: Value = serde_json::from_slice(&read(&folder.join("truth.json"))).unwrap();
    let truth = truth["pointers"].as_array().unwrap();
    let count = |findings: &Findings, value: &str| {
        let right = truth.iter().filter(|t| findings.found.get(&at(t)).is_some_and(|f| agrees(f, t, value)));
        let right: BTreeSet<At> = right.map(at).collect();
        let wrong: Vec<&At> = findings.found.keys().filter(|at| !right.contains(at)).collect();
        assert!(wrong.is_empty(), "{name}: found and not there: {wrong:?}");
        (right, wrong.len())
    };
    let alone = findings(&one, None, files);
    let (found_alone, false_alone) = count(&alone, "value");
    let with = findings(&one, Some(&other), files);
    let (found, false_with) = count(&with, "value");
    let missed: Vec<At> =
        truth.iter().map(at).filter(|at| !found.contains(at) && !with.refused.contains(at)).collect();
    assert!(missed.is_empty(), "{name}: neither found nor refused: {missed:?}");
    let there: BTreeSet<At> = truth.iter().map(at).collect();
    assert!(with.refused.is_subset(&there), "{name}: refused and not there: {:?}", with.refused);

    // The other way round it is the same.
    let swapped = findings(&other, Some(&one), files);
    assert_eq!(count(&swapped, "twin").0, found, "{name}: the sessions differ");
    assert_eq!((&swapped.refused, &swapped.proof), (&with.refused, &with.proof), "{name}");
    format!(
        "| `{name}` | {} | {} | {false_alone} | {} | {} | {false_with} | {} |",
        truth.len(),
        found_alone.len(),
        found.len(),
        with.refused.len(),
        with.proof
    )
}

#[test]
fn readme_has_the_figures() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table: Vec<u8> = (0..200_000).flat_map(|i| (f64::from(i) * 0.5).to_le_bytes()).collect();
    let files = Memory(HashMap::from([(PathBuf::from("stored/table.bin"), table)]));
    let mut names: Vec<String> = fs::read_dir(root.join("testdata/objects"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 5);
    let mut text = String::from(
        "| object | there | map alone: found | not there | with a witness: found | refused by name | not there | proof |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for name in names {
        writeln!(text, "{}", row(&name, &root.join("testdata/objects").join(&name), &files)).unwrap();
    }
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    assert!(readme.contains(&text), "README.md must have this table:\n{text}");
}
