//! Makes an object file that a compiler wrote inside a live process an ordinary one.
//!
//! Such a compiler bakes addresses of its process into the code:
//!
//! ```text
//!   14:  48 b8 70 45 69 6a 6b 7f 00 00   movabs $0x7f6b6a694570,%rax
//!   1e:  ff e0                           jmp    *%rax
//! ```
//!
//! A [`SessionMap`] says what the addresses meant, and [`fix`] puts symbols and relocations in their place; what has no
//! symbol is made again by an initializer when the result is loaded:
//!
//! ```text
//!   14:  48 8b 05 00 00 00 00            mov    0x0(%rip),%rax
//!                        17: R_X86_64_REX_GOTPCRELX  fputs-0x4
//!   1b:  0f 1f 00                        nopl   (%rax)
//!   1e:  ff e0                           jmp    *%rax
//! ```
//!
//! A place is fixed, proven harmless, or refused; never left, never guessed. This file is the pipeline: one call per
//! stage, and what a stage made no later one changes.
//!
//! ```no_run
//! use std::path::{Path, PathBuf};
//! use relocfix::{Files, MapSource, ObjectFile, Options, SessionMap};
//!
//! struct Disk;
//! impl Files for Disk {
//!     fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
//!         std::fs::read(path)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bytes = std::fs::read("in.o")?;
//! let text = std::fs::read("in.session.json")?;
//! let object = ObjectFile::parse("in.o", &bytes)?;
//! let source = MapSource { name: "in.session.json".into(), folder: PathBuf::from("."), text: &text };
//! let map = SessionMap::parse(&[source], object.machine, &Disk)?;
//! let fixed = relocfix::fix(&object, &map, &Disk, &Options::default())?;
//! std::fs::write("out.o", fixed.output.as_deref().unwrap_or(&bytes))?;
//! # Ok(())
//! # }
//! ```

pub mod arch;
mod assumptions;
mod candidates;
mod code_scan;
mod distances;
pub mod edits;
pub mod error;
pub mod fill_program;
pub mod format;
pub mod frame_table;
pub mod function_bounds;
mod in_order;
mod jump_tables;
mod lsda;
mod object_code;
pub mod object_file;
mod plain_constants;
mod plan;
pub mod pointer_encoding;
pub mod record;
pub mod reloc;
mod repeats;
pub mod report;
mod report_table;
pub mod resolve;
pub mod runtime_names;
#[cfg(test)]
mod sample_object;
pub mod scan;
pub mod session_map;
pub mod source_lines;
mod spelled;
mod thread_local;
pub mod unwind_row;
pub mod unwind_section;
pub mod unwind_tables;
mod verify;
pub mod witness;

use std::collections::{BTreeSet, HashSet};
use std::ops::DerefMut;

use error::{At, Problem};
use format::Room;
use frame_table::FrameTable;
use object_code::ObjectCode;
use object_file::{Relocation, Section, SymbolPlace};
use plan::{Found, Plan};
use record::Record;
use repeats::Repeats;
use scan::Scan;
use verify::Verification;

pub use error::{Error, ErrorKind, Result};
pub use object_file::ObjectFile;
pub use report::Report;
pub use report_table::Table;
pub use runtime_names::Runtime;
pub use session_map::{Files, MapSource, SessionMap, capture, proc_maps};
pub use witness::{Ignored, Witness};

/// What relocations the output may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RelocationModel {
    /// None that would need a text relocation: for every kind of output.
    #[default]
    Pic,
    /// Absolute ones in place: for executables at a fixed address.
    Static,
}

/// What happens to places whose meaning is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unresolved {
    /// Nothing is written.
    #[default]
    Error,
    /// They are left as they are, and reported.
    Keep,
}

/// What becomes of addresses in a mapped program or library that no exported name covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Private {
    /// They are unresolved.
    #[default]
    Error,
    /// The initializer finds the loaded file by its build-id, and adds.
    Anchor,
}

/// How to rewrite.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// What relocations the output may carry.
    pub relocation_model: RelocationModel,
    /// What happens to places whose meaning is not known.
    pub unresolved: Unresolved,
    /// What becomes of addresses in a mapped program or library that no exported name covers.
    pub private: Private,
    /// The same code, compiled in another session.
    pub witness: Option<Witness<'a>>,
    /// The name of the function that has everything filled which is not yet; without it `relocfix_init`, if the session
    /// map says when that may be.
    pub init_symbol: Option<String>,
    /// Whose variables are filled that the map leaves out and whose names say what they hold.
    pub infer: Option<Runtime>,
    /// The report counts the places that were changed, and lists only those that were not.
    pub brief: bool,
    /// Bytes in which the witness may differ, and in which doubtful places and words of data are none.
    pub ignore: Vec<Ignored>,
}

/// A rewritten object.
#[derive(Debug)]
pub struct Fixed<B = Vec<u8>> {
    /// The object's bytes; `None`: they are the input's.
    pub output: Option<B>,
    /// What was found and done.
    pub report: Report,
    /// Libraries that the output finds by their build-id, without any symbol.
    pub anchored: BTreeSet<String>,
    /// Things to tell the user that are not errors.
    pub warnings: Vec<String>,
}

/// Rewrites an object.
///
/// # Errors
/// Whatever cannot be made right; then there is no output.
pub fn fix(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    options: &Options<'_>,
) -> Result<Fixed> {
    fix_in(object, map, files, options, &|size| Ok(vec![0; size]))
}

/// Rewrites an object as [`fix`] does, its bytes in memory that `room` gives: so many zeros, of which those of a large object
/// need not be copied into a file if they are a map of one.
///
/// # Errors
/// Whatever cannot be made right, and what `room` says.
pub fn fix_in<B: DerefMut<Target = [u8]>>(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    options: &Options<'_>,
    room: &dyn Fn(usize) -> Result<B>,
) -> Result<Fixed<B>> {
    let mut written = None;
    let plan = analyse(object, map, files, options, &mut |plan, found| {
        let Some(error) = refusal(plan) else {
            if !plan.edits.is_empty() {
                // From here on the bytes are fixed; they are read back before anyone sees them.
                let mut given = Given { room, bytes: None };
                object.format.write(object, &plan.edits, &mut given)?;
                let nothing = || Error::refused(object.name, "nothing was written; please report this");
                let output = given.bytes.ok_or_else(nothing)?;
                Verification {
                    input: object,
                    map,
                    files,
                    options,
                    record: found.record,
                    scan: found.scan,
                    resolved: &found.testimony.resolved,
                    dismissed: &found.testimony.dismissed,
                    assumptions: found.assumptions,
                    plan,
                    output: &output,
                }
                .run()?;
                written = Some(output);
            }
            return Ok(());
        };
        Err(error)
    })?;
    let mut warnings = plan.report.notes.clone();
    warnings.extend(kept_places(&plan.report));
    warnings.extend(plan.report.thread_local.iter().map(|found| found.warning(&plan.report.input)));
    Ok(Fixed { output: written, report: plan.report, anchored: plan.anchored, warnings })
}

/// The room for an output.
struct Given<'r, B> {
    room: &'r dyn Fn(usize) -> Result<B>,
    bytes: Option<B>,
}

impl<B: DerefMut<Target = [u8]>> Room for Given<'_, B> {
    fn take(&mut self, size: usize) -> Result<&mut [u8]> {
        Ok(self.bytes.insert((self.room)(size)?))
    }
}

/// Says of every place that was left what it is and why.
fn kept_places(report: &Report) -> Vec<String> {
    let kept = report.places.iter().filter(|p| p.delivery == "kept");
    kept.map(|p| {
        let at = At {
            section: p.section.clone(),
            offset: p.offset,
            function: p.function.clone().or(p.symbol.clone()),
            line: p.line.clone(),
            instruction: p.instruction.clone(),
        };
        let reason = p.reason.as_deref().unwrap_or("is not known");
        let message = format!("{:#x} {reason}; it was kept", p.value);
        Problem { file: report.input.clone(), at: Some(at), message }.to_string()
    })
    .collect()
}

/// Finds what [`fix`] would change, and changes nothing.
///
/// # Errors
/// A malformed object or image, a session map that cannot be applied to the object, and a witness that contradicts
/// it or proves nothing.
pub fn check(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    options: &Options<'_>,
) -> Result<Report> {
    let mut contradicted = None;
    let plan = analyse(object, map, files, options, &mut |plan, found| {
        if !found.testimony.problems.is_empty() {
            let problems = found.testimony.problems.clone();
            contradicted = Some(Error::all(ErrorKind::Refused, problems).with_report(plan.report.clone()));
        }
        Ok(())
    })?;
    match contradicted {
        None => Ok(plan.report),
        Some(error) => Err(error),
    }
}

/// The stages up to the plan, then `finish`.
fn analyse(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    options: &Options<'_>,
    finish: &mut dyn FnMut(&Plan, &Found<'_>) -> Result<()>,
) -> Result<Plan> {
    // What earlier runs did is not done again.
    let record = Record::read(object)?;
    let frames = FrameTable::read(object)?;
    // Which relocated fields of code need their instruction is known before decoding.
    let globals = runtime_names::with_inferred(object, map, files, &record, options)?;
    let imports: HashSet<&str> = map.imports.iter().map(|i| i.symbol.as_str()).collect();
    let wanted = |section: &Section<'_>, relocation: &Relocation| {
        let absolute = relocation.kind.is_absolute()
            && (options.relocation_model == RelocationModel::Pic || relocation.symbol.0 == 0);
        // Against a number: what it yields depends on the instruction, whatever the kind.
        let number = section.alloc
            && (relocation.symbol.0 == 0 || object.symbol(relocation.symbol).place == SymbolPlace::Absolute);
        number || absolute && section.alloc || imports.contains(object.symbol(relocation.symbol).name)
    };
    // Places are fixed from here on, then what they mean, then what is done about each.
    let (mut scan, plain) = scan::scan(object, map, files, &record, &frames, &wanted)?;
    let code = ObjectCode::new(object, &scan.bounds, &frames);
    let mut decide = |scan: &Scan<'_>, repeats: &Repeats| -> Result<Option<Plan>> {
        let resolved = resolve::resolve(scan, map, files, options.private)?;
        // The other session adds places, takes some away, and says what no map could.
        let testimony = witness::examine(object, map, files, options, scan, resolved)?;
        // What the code takes for granted of the addresses that it was compiled with is known before anything is planned.
        let assumptions = assumptions::examine(object, map, files, scan, &code, &testimony.resolved);
        let distances = distances::examine(object, map, files, options, scan, &code, &testimony.resolved)?;
        let found = Found {
            object,
            map,
            files,
            options,
            record: &record,
            globals: &globals,
            frames: &frames,
            scan,
            code: &code,
            testimony: &testimony,
            assumptions: &assumptions,
            distances: &distances,
            repeats,
        };
        let plan = plan::plan(found)?;
        if !plan.repeated {
            return Ok(None);
        }
        finish(&plan, &found)?;
        Ok(Some(plan))
    };
    // Thousands of places are done like one another. Where every place is told, or something is left or refused, each is
    // looked at by itself; the result is the same.
    if options.brief && options.witness.is_none() && options.relocation_model == RelocationModel::Pic {
        let repeats = Repeats::take(object, map, &mut scan, &code, plain);
        if let Some(plan) = decide(&scan, &repeats)? {
            return Ok(plan);
        }
        repeats.put_back(&mut scan);
    } else {
        scan.insert(plain.places());
    }
    let plan = decide(&scan, &Repeats::none(object))?;
    plan.ok_or_else(|| {
        Error::refused(object.name, "places without a like were not planned; please report this")
    })
}

/// Why a plan must not be carried out.
fn refusal(plan: &Plan) -> Option<Error> {
    let problems = plan.problems.clone();
    let unresolved = plan.report.places.iter().any(|p| p.target.is_none());
    let kind = if unresolved { ErrorKind::Unresolved } else { ErrorKind::Refused };
    (!problems.is_empty()).then(|| Error::all(kind, problems).with_report(plan.report.clone()))
}

/// Whether an object cannot be rewritten without a session map: everything but one whose record says that an
/// earlier run has done all there is.
pub fn needs_map(object: &ObjectFile<'_>) -> bool {
    !Record::read(object).is_ok_and(|record| record.is_complete(object))
}

/// The name of the section in which an object can carry its session map.
pub const EMBEDDED_MAP: &str = ".relocfix.session_map";
