//! Runs the annotated sources of `testdata/cases`: each is compiled as a session would have, rewritten, compared
//! with what it expects of the report, linked in every way, and run. `annotations.rs` describes the language.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

mod annotations;
#[path = "../support/mod.rs"]
mod support;

use annotations::{Case, LISTS};
use support::command::{run, succeed};
use support::elf_view::{self, Section};
use support::matrix::{Language, Matrix, Mode};
use support::untouched::assert_untouched;
use support::{relocfix, toolchain};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    let mut trials = Vec::new();
    for path in paths {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_owned();
        if !["s", "c", "cc", "ll"].contains(&extension.as_str()) {
            continue;
        }
        let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_owned();
        let case = Case::parse(&fs::read_to_string(&path)?, &extension)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        if case.oracle && case.is_symbolic() && case.driver.is_some() {
            let case = case.clone();
            trials.push(Trial::test(format!("{name}::oracle"), move || Ok(oracle(&case)?)));
        }
        trials.push(Trial::test(format!("{name}::fixed"), move || fixed(&case)));
    }
    if trials.is_empty() {
        return Err("testdata/cases holds no case".into());
    }
    Ok(libtest_mimic::run(&arguments, trials).exit_code())
}

/// What an ordinary compiler makes of the source does what the case says: the expectation itself is right.
fn oracle(case: &Case) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let Some(object) = compile(case, &case.symbolic_source()?, folder.path(), "symbolic")? else {
        return Ok(());
    };
    // Its code may hold absolute addresses: only at fixed addresses does every linker take those.
    matrix(case, &object, case.driver.as_deref().unwrap_or_default())
        .driver_option("-DORACLE")
        .modes(&[Mode::Static])
        .run()
}

fn fixed(case: &Case) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let Some(input) = compile(case, &case.session_source(false)?, folder.path(), "in")? else {
        return Ok(());
    };
    let map = folder.path().join("in.session.json");
    fs::write(&map, case.map.to_string())?;
    let output = folder.path().join("out.o");
    // What is kept is the session's own.
    let keeps = case.options.iter().any(|option| option == "keep");
    let twin = if keeps { None } else { twin(case, folder.path())? };
    let mut options = case.options.clone();
    if case.witness {
        let (object, map) = twin.as_ref().ok_or("a witness needs a map whose addresses move")?;
        options.extend(witness(object, map));
    }
    for (status, texts) in [(1, &case.refused), (2, &case.rejected)] {
        if !texts.is_empty() {
            let mut command = relocfix::tool();
            command.arg(&input).arg("-o").arg(&output).arg("-s").arg(&map).args(&options);
            relocfix::refused(&mut command, &output, status, texts)?;
            return Ok(());
        }
    }

    let told = options.get(case.options.len()..).unwrap_or_default().iter().map(String::as_str);
    let told: Vec<&str> = check_options(case).into_iter().chain(told).collect();
    let (listed, status) = relocfix::check_with(&input, Some(&map), &told)?;
    let fixed = relocfix::fix(&input, &output, Some(&map), &options)?;
    compare_lists(case, &fixed.report)?;
    let places = |report: &Value| lines(report, "place", true);
    if places(&listed) != places(&fixed.report) {
        return Err(format!(
            "check lists {:#?}\nand the rewrite {:#?}",
            places(&listed),
            places(&fixed.report)
        )
        .into());
    }
    let found = [places(&listed), lines(&listed, "thread-local", true)].concat();
    if (status == 1) == found.is_empty() {
        return Err(format!("check ended with {status} and listed {found:#?}").into());
    }
    if let Some(text) = case.warns.iter().find(|text| !fixed.warnings.contains(text.as_str())) {
        return Err(format!("nothing says {text:?}:\n{}", fixed.warnings).into());
    }
    well_formed(&output)?;
    assert_untouched(&input, &output, &fixed.report)?;
    forgotten(case, &output)?;
    if let Some(number) = case.landing_pads {
        landing_pads(&output, number)?;
    }
    relocfix::assert_stable(&output, Some(&map), &case.options)?;
    if case.options.is_empty() && relocfix::is_recorded(&output)? {
        relocfix::assert_stable(&output, None, &case.options)?;
    }
    if let Some((twin, twin_map)) = &twin {
        // The same code from a session at other addresses becomes the same bytes.
        let other = folder.path().join("twin-out.o");
        let mut options = case.options.clone();
        if case.witness {
            options.extend(witness(&input, &map));
        }
        relocfix::fix(twin, &other, Some(twin_map), &options)?;
        relocfix::assert_same(&output, &other)?;
    }
    if case.extension == "s" && case.oracle && case.options.is_empty() && case.is_symbolic() {
        like_the_assembler(case, folder.path(), &input, &map)?;
    }
    if let Some(driver) = &case.driver {
        matrix(case, &output, driver).modes(&case.modes).run()?;
    }
    Ok(())
}

/// Options with a value that `check` has as well.
const PASSED_ON: [&str; 3] = ["--private", "--infer", "--relocation-model"];

/// The options that say what things mean, and not what is to be written.
fn check_options(case: &Case) -> Vec<&str> {
    let pairs = case.options.windows(2).filter(|pair| PASSED_ON.contains(&pair[0].as_str()));
    pairs.flatten().map(String::as_str).collect()
}

fn matrix(case: &Case, object: &Path, driver: &str) -> Matrix {
    let language = if case.extension == "cc" { Language::Cxx } else { Language::C };
    let matrix = Matrix::new(&[object]).driver(driver).language(language).libraries(&case.libs);
    if case.aborts.is_empty() {
        matrix.expect_stdout(&case.stdout)
    } else {
        matrix.expect_abort(&case.aborts)
    }
}

/// The object; `None` if the compiler is missing.
fn compile(case: &Case, source: &str, folder: &Path, stem: &str) -> Result<Option<PathBuf>, String> {
    let name = case.compiler.as_deref().unwrap_or(match case.extension.as_str() {
        "cc" => "g++",
        "ll" => "clang",
        _ => "gcc",
    });
    let Some(compiler) = toolchain::require(name) else {
        return Ok(None);
    };
    // The same file for both sessions: compilers write its name and folder into the object.
    let place = folder.join("source");
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let path = place.join(format!("case.{}", case.extension));
    fs::write(&path, source).map_err(|error| error.to_string())?;
    let object = folder.join(format!("{stem}.o"));
    let mut command = Command::new(compiler);
    command.current_dir(&place).arg("-c").args(&case.flags).arg(format!("case.{}", case.extension));
    command.arg("-o").arg(&object);
    if stem == "symbolic" && case.extension.starts_with('c') {
        command.arg("-DSYMBOLIC");
    }
    if case.extension != "ll" {
        command.arg("-Wa,--noexecstack");
    }
    succeed(&mut command)?;
    Ok(Some(object))
}

/// Holds the stated lines against the report.
fn compare_lists(case: &Case, report: &Value) -> Result<(), String> {
    for list in LISTS {
        let stated = match (case.stated(list), list) {
            (Some(stated), _) => stated,
            (None, "place" | "realigned" | "thread-local") => Vec::new(),
            (None, _) => continue,
        };
        let exact =
            stated.iter().all(|line| line.split(' ').next().is_some_and(|place| place.contains("+0x")));
        let mut stated: Vec<String> = stated.into_iter().map(str::to_owned).collect();
        let mut found = lines(report, list, exact);
        stated.sort();
        found.sort();
        if stated != found {
            return Err(format!("{list}: expected {stated:#?}\nfound {found:#?}"));
        }
    }
    for (name, number) in &case.counts {
        if report["summary"][name] != *number {
            return Err(format!("{name}: expected {number}, found {}", report["summary"][name]));
        }
    }
    Ok(())
}

/// A list of the report in the words of the cases.
fn lines(report: &Value, list: &str, exact: bool) -> Vec<String> {
    let (key, line): (&str, fn(&Value, String) -> String) = match list {
        "place" => {
            ("places", |entry, at| format!("{at} {} {}", target(&entry["target"]), text(&entry["delivery"])))
        }
        "aligned" => ("places", |entry, at| format!("{at} {}", entry["assumes_alignment"])),
        "realigned" => ("realigned", |entry, at| {
            format!("{at} {} {}", text(&entry["instruction"]), text(&entry["becomes"]))
        }),
        "lowered" => {
            ("lowered", |entry, at| format!("{at} {} {}", text(&entry["symbol"]), text(&entry["delivery"])))
        }
        "import" => {
            ("imports", |entry, at| format!("{at} {} {}", text(&entry["symbol"]), text(&entry["delivery"])))
        }
        "global" => ("globals", |entry, _| {
            format!("{}+{} {}", text(&entry["symbol"]), entry["offset"], text(&entry["delivery"]))
        }),
        "thread-local" => ("thread_local", |entry, at| format!("{at} {}", entry["value"])),
        "section" => ("sections", |entry, _| format!("{} {}", text(&entry["name"]), text(&entry["becomes"]))),
        _ => ("renamed", |entry, _| format!("{} {}", text(&entry["name"]), text(&entry["becomes"]))),
    };
    let Some(entries) = report[key].as_array() else {
        return vec![format!("the report has no {key}")];
    };
    let at = |entry: &Value| {
        let offset = entry["offset"].as_u64().unwrap_or(u64::MAX);
        if exact { format!("{}+{offset:#x}", text(&entry["section"])) } else { text(&entry["section"]) }
    };
    let relied_on = |entry: &&Value| list != "aligned" || entry["assumes_alignment"] != 1;
    entries.iter().filter(relied_on).map(|entry| line(entry, at(entry))).collect()
}

fn target(target: &Value) -> String {
    let kind = ["symbol", "value", "constant", "expression", "file"]
        .into_iter()
        .find(|kind| target.get(kind).is_some());
    kind.map_or_else(
        || "none".to_owned(),
        |kind| format!("{kind} {}+{}", text(&target[kind]), target["offset"]),
    )
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("?").to_owned()
}

/// Other readers of ELF have nothing to complain about.
fn well_formed(object: &Path) -> Result<(), String> {
    for reader in ["readelf", "llvm-readelf"] {
        let Some(program) = toolchain::require(reader) else {
            continue;
        };
        let finished = run(Command::new(program).args(["--all", "--wide"]).arg(object))?.success()?;
        // The contents of sections may well have a string with that word in it: only complaints go to stderr.
        if !finished.stderr.trim().is_empty() {
            return Err(format!("{reader} complains about {}:\n{}", object.display(), finished.stderr));
        }
    }
    Ok(())
}

/// What the startup code calls begins with `endbr64`, and the object still says so of all its code.
fn landing_pads(object: &Path, number: usize) -> Result<(), String> {
    let notes = succeed(Command::new("readelf").arg("-nW").arg(object))?.text();
    if !notes.contains("IBT") {
        return Err(format!("the property is gone: {notes}"));
    }
    let sections = elf_view::sections(object)?;
    let arrays = sections.iter().filter(|(name, _)| name.starts_with(".init_array"));
    let entries: Vec<_> = arrays.flat_map(|(_, array)| &array.relocations).collect();
    if entries.len() != number {
        return Err(format!("startup code calls {entries:?}"));
    }
    for (_, _, name, offset) in entries {
        let code = sections.get(name).and_then(|section| section.data.get(usize::try_from(*offset).ok()?..));
        if !code.is_some_and(|code| code.starts_with(&[0xf3, 0x0f, 0x1e, 0xfa])) {
            return Err(format!("{name}+{offset:#x} does not begin with endbr64"));
        }
    }
    Ok(())
}

/// No session address is left anywhere in the file.
fn forgotten(case: &Case, object: &Path) -> Result<(), String> {
    if case.stays {
        return Ok(());
    }
    let bytes = fs::read(object).map_err(|error| error.to_string())?;
    for address in case.addresses() {
        // The two top bytes of an address are zero: what is left of it may have other bytes there.
        let pattern = &address.to_le_bytes()[..6];
        if let Some(at) = bytes.windows(pattern.len()).position(|window| window == pattern) {
            return Err(format!("{address:#x} is left in the output, at {at:#x} of the file"));
        }
    }
    Ok(())
}

/// The object of another session and its map, if there can be one.
fn twin(case: &Case, folder: &Path) -> Result<Option<(PathBuf, PathBuf)>, Failed> {
    let Some(map) = case.moved_map() else { return Ok(None) };
    let Some(object) = compile(case, &case.session_source(true)?, folder, "twin")? else {
        return Ok(None);
    };
    let path = folder.join("twin.session.json");
    fs::write(&path, map.to_string())?;
    Ok(Some((object, path)))
}

fn witness(object: &Path, map: &Path) -> Vec<String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    vec!["--witness".to_owned(), text(object), "--witness-session-map".to_owned(), text(map)]
}

/// In the static model the output is what the assembler makes of symbols.
fn like_the_assembler(case: &Case, folder: &Path, input: &Path, map: &Path) -> Result<(), Failed> {
    let pure = ["values", "constants", "globals", "imports"].iter().all(|list| case.map.get(list).is_none());
    if !pure {
        return Ok(());
    }
    let Some(symbolic) = compile(case, &case.symbolic_source()?, folder, "symbolic")? else {
        return Ok(());
    };
    let output = folder.join("static.o");
    let fixed = relocfix::fix(input, &output, Some(map), &["--relocation-model", "static"])?;
    let expected = elf_view::sections(&symbolic)?;
    let mut found: BTreeMap<String, Section> = elf_view::sections(&output)?;
    // Back to the names that the assembler gave.
    for entry in fixed.report["sections"].as_array().into_iter().flatten() {
        if let Some(section) = found.remove(&text(&entry["becomes"])) {
            found.insert(text(&entry["name"]), section);
        }
    }
    if expected != found {
        return Err(format!("the assembler makes {expected:#x?}\nand the static model {found:#x?}").into());
    }
    Ok(())
}
