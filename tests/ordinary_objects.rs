//! Ordinary objects hold no address of any session: the members of every static library of this machine, each
//! scanned and rewritten with the memory maps of real processes.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SectionFlags,
    SymbolSection, elf,
};
use rayon::prelude::*;
use relocfix::arch::Machine;
use relocfix::report::PlaceReport;
use relocfix::{ErrorKind, MapSource, ObjectFile, Options, RelocationModel, Report, SessionMap, check, fix};
use serde_json::Value;
use tempfile::TempDir;

mod support;

use support::archives::{self, Member};
use support::command::succeed;
use support::files::{Disk, Memory};
use support::{toolchain, untouched};

/// Fewer say little about what compilers write.
const ENOUGH: usize = 10_000;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Nothing to do.
    Identical,
    /// Absolute relocations in its code or read-only data were replaced.
    Lowered,
    /// It holds something that position-independent output cannot have.
    Refused,
}

#[test]
fn nothing_is_found_in_them() {
    let maps = [numba_session("in.session.json"), numba_session("twin.session.json")];
    let mut seen = HashSet::new();
    let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut refusals: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for library in archives::libraries() {
        let members = archives::objects(&library, &mut seen);
        let results: Vec<_> = members.par_iter().map(|member| look_at(member, &maps)).collect();
        for (member, result) in members.iter().zip(results) {
            match result {
                Ok((outcome, why)) => {
                    *counts.entry(outcome).or_default() += 1;
                    if let Some(why) = why {
                        refusals.entry(why).or_insert((0, member.name.clone())).0 += 1;
                    }
                }
                Err(what) => wrong.push(format!("{}: {what}", member.name)),
            }
        }
    }
    let objects = seen.len();
    // Not `eprintln`, which the test harness swallows.
    let _ = writeln!(std::io::stderr(), "{objects} ordinary objects: {counts:?}");
    for (why, (count, example)) in &refusals {
        let _ = writeln!(std::io::stderr(), "  refused, {count} like {example}: {why}");
    }
    assert!(wrong.is_empty(), "{} of {objects}:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(counts.contains_key(&Outcome::Identical));
    if objects < ENOUGH {
        toolchain::missing(&format!(
            "{ENOUGH} ordinary objects (there are {objects}): a static library or two"
        ));
    }
}

/// In a process at a fixed address numbers are as small as addresses: what is exactly one is taken for it, and nothing
/// else is but refused.
#[test]
fn nothing_but_exact_addresses_is_found_at_a_fixed_address() {
    let (_program, map) = fixed_address_session();
    let mut seen = HashSet::new();
    let (mut exact, mut refused, mut wrong) = (Vec::new(), 0, Vec::new());
    for library in archives::libraries() {
        let members = archives::objects(&library, &mut seen);
        let results: Vec<_> = members.par_iter().map(|member| at_a_fixed_address(member, &map)).collect();
        for (member, result) in members.iter().zip(results) {
            match result {
                Ok(Some(places)) => exact.extend(places.iter().map(|p| format!("{}: {p}", member.name))),
                Ok(None) => refused += 1,
                Err(what) => wrong.push(format!("{}: {what}", member.name)),
            }
        }
    }
    let objects = seen.len();
    let _ = writeln!(
        std::io::stderr(),
        "{objects} ordinary objects, at a fixed address: {refused} refused, numbers that are exactly an address: {exact:?}"
    );
    assert!(wrong.is_empty(), "{} of {objects}:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    assert!(exact.len() * 1000 < objects.max(ENOUGH), "more than one in a thousand");
    assert!(refused * 10 < objects.max(ENOUGH), "more than one in ten");
}

/// The places that are rewritten; `None`: the object is refused.
fn at_a_fixed_address(member: &Member, map: &SessionMap) -> Result<Option<Vec<String>>, String> {
    let object = ObjectFile::parse(&member.name, &member.bytes).map_err(|error| error.to_string())?;
    // Nothing is to be lowered: what is refused is so for its numbers.
    let options = Options { relocation_model: RelocationModel::Static, ..Options::default() };
    let places = match fix(&object, map, &Disk, &options) {
        Ok(fixed) => fixed.report.places,
        Err(error) if matches!(error.kind(), ErrorKind::Refused | ErrorKind::Unresolved) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let text = |p: &PlaceReport| format!("{}+{:#x}: {:#x}", p.section, p.offset, p.value);
    let inexact = places.iter().find(|p| p.target.as_ref().is_none_or(|target| target.offset != 0));
    match inexact {
        Some(place) => Err(text(place)),
        None => Ok(Some(places.iter().map(text).collect())),
    }
}

/// What a running program at a fixed address has below 4 GiB, and where it is. What it has elsewhere is another test's:
/// for a word of 64 bits to be in there is chance, which differs from run to run.
fn fixed_address_session() -> (TempDir, SessionMap) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/producers/fixed_address.c");
    let mut gcc = Command::new("gcc");
    succeed(gcc.args(["-O1", "-no-pie", "-fno-pie", "-static", "-o"]).arg(&program).arg(source)).unwrap();
    let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"));
    let maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let low = maps.lines().filter(|line| line.find('-').is_some_and(|digits| digits <= 8));
    let low: String = low.map(|line| format!("{line}\n")).collect();
    assert!(low.lines().count() > 4, "{maps}");
    let mut map = SessionMap::default();
    map.add_proc_maps("maps", low.as_bytes()).unwrap();
    (folder, map)
}

/// Reads, scans and rewrites an object.
fn look_at(member: &Member, maps: &[SessionMap]) -> Result<(Outcome, Option<String>), String> {
    let object = ObjectFile::parse(&member.name, &member.bytes).map_err(|error| error.to_string())?;
    for map in maps {
        let report = check(&object, map, &Disk, &Options::default()).map_err(|error| error.to_string())?;
        if let Some(place) = report.places.first() {
            return Err(format!(
                "{} places, the first at {}+{:#x}: {:#x}",
                report.places.len(),
                place.section,
                place.offset,
                place.value
            ));
        }
        if let Some(found) = report.thread_local.first() {
            return Err(format!("{}+{:#x}: `{}`", found.section, found.offset, found.instruction));
        }
    }
    only_constants_in_code(member, &object)?;
    let map = &maps[0];
    // In executables at a fixed address all of this may stay.
    let options = Options { relocation_model: RelocationModel::Static, ..Options::default() };
    let fixed = fix(&object, map, &Disk, &options).map_err(|error| format!("static: {error}"))?;
    if fixed.output.is_some() {
        return Err("static: changed".to_owned());
    }
    let absolute = holds_addresses(&member.bytes).map_err(|error| error.to_string())?;
    let fixed = match fix(&object, map, &Disk, &Options::default()) {
        Ok(fixed) => fixed,
        Err(error) if error.kind() == ErrorKind::Refused => {
            if !absolute {
                return Err(format!("refused: {error}"));
            }
            let problem = error.problems()[0].message.clone();
            // What differs from object to object does not tell reasons apart.
            let quoted = problem.split('`').enumerate().map(|(i, part)| if i % 2 == 1 { "…" } else { part });
            return Ok((Outcome::Refused, Some(quoted.collect())));
        }
        Err(error) => return Err(error.to_string()),
    };
    let Some(output) = fixed.output else {
        return if fixed.report.lowered.is_empty() && !absolute {
            Ok((Outcome::Identical, None))
        } else {
            Err("something was to be lowered and nothing changed".to_owned())
        };
    };
    if fixed.report.lowered.is_empty() || !absolute {
        return Err("changed although there is nothing to lower".to_owned());
    }
    let differences = untouched::differences(&member.bytes, &output, &json(&fixed.report))?;
    if !differences.is_empty() {
        return Err(differences.join("; "));
    }
    let again = ObjectFile::parse("again", &output).map_err(|error| format!("output: {error}"))?;
    match fix(&again, map, &Disk, &Options::default()) {
        Ok(fixed) if fixed.output.is_none() => Ok((Outcome::Lowered, None)),
        Ok(_) => Err("a second run changes it again".to_owned()),
        Err(error) => Err(format!("a second run: {error}")),
    }
}

/// With a map in which nearly every number is an address: what is found in code is what instructions may hold, or an
/// aligned word among data in code (cryptographic assembly has tables there), but no bytes that belong to two instructions.
fn only_constants_in_code(member: &Member, object: &ObjectFile<'_>) -> Result<(), String> {
    let mut map = SessionMap::default();
    let all = format!("{:x}-{:x} rw-p 00000000 00:00 0 \n", 1u64 << 32, (1u64 << 47) - 0x1000);
    map.add_proc_maps("maps", all.as_bytes()).map_err(|error| error.to_string())?;
    let report = match check(object, &map, &Disk, &Options::default()) {
        Ok(report) => report,
        // Two numbers that code stores side by side are an address of that map more often than not.
        Err(error) if error.problems().iter().all(|p| p.message.contains("are stored as the halves of")) => {
            error.report().cloned().ok_or("no report of what was found")?
        }
        Err(error) => return Err(error.to_string()),
    };
    let file =
        ElfFile64::<LittleEndian>::parse(member.bytes.as_slice()).map_err(|error| error.to_string())?;
    for place in report.places.iter().filter(|place| place.kind == "code") {
        let sections = file.sections().filter(|s| s.name() == Ok(place.section.as_str()));
        let at = place.offset as usize;
        // B8+r with REX, and A0 to A3, come before a 64-bit constant (SDM, MOV). Several sections can have that name.
        let found = sections
            .filter_map(|s| s.data().ok()?.get(at.checked_sub(2)?..at))
            .any(|bytes| matches!(bytes, [0x40..=0x4f, 0xb8..=0xbf] | [_, 0xa0..=0xa3]));
        if !found && !at.is_multiple_of(8) {
            return Err(format!(
                "{}+{at:#x}: {:#x} is no instruction's constant",
                place.section, place.value
            ));
        }
    }
    Ok(())
}

/// Whether the object has relocations that position-independent output cannot have, as another reader sees it.
fn holds_addresses(bytes: &[u8]) -> object::read::Result<bool> {
    let file = ElfFile64::<LittleEndian>::parse(bytes)?;
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        let has = |flag: elf::SectionFlags| sh_flags.0 & flag.0 != 0;
        if !has(elf::SHF_ALLOC) {
            continue;
        }
        let constant = has(elf::SHF_EXECINSTR) || !has(elf::SHF_WRITE);
        for (_, relocation) in section.relocations() {
            let RelocationFlags::Elf { r_type } = relocation.flags() else {
                continue;
            };
            let RelocationTarget::Symbol(symbol) = relocation.target() else {
                continue;
            };
            // A number is no address.
            let number = file.symbol_by_index(symbol)?.section() == SymbolSection::Absolute;
            let narrow = [elf::R_X86_64_32, elf::R_X86_64_32S].contains(&r_type);
            if !number && (narrow || constant && r_type == elf::R_X86_64_64) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn json(report: &Report) -> Value {
    serde_json::to_value(report).unwrap()
}

/// One of two Numba processes: its mappings, and the names of what it had in memory.
fn numba_session(file: &str) -> SessionMap {
    // Not the map of a process of today: among millions of words some are in the right range for a few of the
    // places where the kernel may put things, and the test would fail once in a while.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/objects/numba_a_ctypes");
    let text = fs::read(folder.join(file)).unwrap();
    let source = MapSource { name: file.to_owned(), folder: PathBuf::new(), text: &text };
    let mut map = SessionMap::parse(&[source], Machine::X86_64, &Memory::default()).unwrap();
    assert!(map.mappings.len() > 100);
    // They are about one object of that session: libpython's own refer to the same names.
    map.imports.clear();
    map.globals.clear();
    map
}
