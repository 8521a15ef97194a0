//! The command: typed arguments become an invocation, files become bytes, the library does the work, and what it
//! made is written whole or not at all.

mod args;
mod capture_args;
mod capture_command;
mod depfile;
mod input;
mod link_args;
mod live_process;
mod map_sources;
mod messages;
mod output;
mod system_libraries;
mod threads;

use std::io;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use relocfix::{Error, ErrorKind, ObjectFile, Options, Report, Result, SessionMap, Witness};

use args::{Asked, Invocation, Task, Verbosity};
use input::{Input, Location, NamedFiles};
use map_sources::Found;
use messages::Messages;
use output::Room;

/// Done.
const DONE: u8 = 0;
/// Refused, or found.
const REFUSED: u8 = 1;
/// The command line, a file, or what is in it.
const TROUBLE: u8 = 2;

/// Blocks up to this size are used again when they have been freed.
const USED_AGAIN: usize = 1 << 20;

fn main() -> ExitCode {
    // The C library takes blocks of 128 kB or more from the system and gives them back each by itself, up to the size of the
    // largest that was freed so far (mallopt(3), M_MMAP_THRESHOLD): pages that a text took are needed for what comes of it.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(USED_AGAIN)));
    let asked = match args::parse(std::env::args_os()) {
        Ok(asked) => asked,
        Err(error) => {
            messages::usage(&error);
            return ExitCode::from(if error.use_stderr() { TROUBLE } else { DONE });
        }
    };
    let (messages, result) = match asked {
        Asked::Object(invocation) => {
            let messages = Messages::new(invocation.color, invocation.verbosity);
            (messages, run(&invocation, &messages))
        }
        Asked::Capture(invocation) => {
            let messages = Messages::new(invocation.color, invocation.verbosity);
            (messages, capture_command::run(&invocation, &messages).map(|()| DONE))
        }
        Asked::Answer { library } => {
            let messages = Messages::new(args::Color::Never, Verbosity::Normal);
            (messages, system_libraries::answer(&library).and_then(|text| show(&text)).map(|()| DONE))
        }
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        messages.error(&error);
        status(&error)
    }))
}

/// Places that are refused are what `check` finds; everything about understanding the inputs is trouble.
fn status(error: &Error) -> u8 {
    match error.kind() {
        ErrorKind::Unresolved | ErrorKind::Refused | ErrorKind::Verification => REFUSED,
        _ => TROUBLE,
    }
}

fn run(invocation: &Invocation, messages: &Messages) -> Result<u8> {
    let input = input::open(&invocation.input)?;
    threads::start(invocation.threads, input.len() as u64 + map_sources::size(invocation))?;
    let object = ObjectFile::parse(&input.name, &input)?;
    let files = NamedFiles::default();
    let mut found = map_sources::find(invocation, &object, &files)?;
    let witness_input =
        invocation.witness.as_ref().map(|witness| input::open(&witness.object)).transpose()?;
    let witness_object =
        witness_input.as_ref().map(|input| ObjectFile::parse(&input.name, input)).transpose()?;
    let mut witness_map = None;
    if let (Some(witness), Some(object)) = (&invocation.witness, &witness_object) {
        let (map, maps) = map_sources::find_witness(witness, object, &files)?;
        found.files.extend(witness.object.file().map(Path::to_owned));
        found.files.extend(maps);
        witness_map = Some((object, map, witness.allow_weak));
    }
    keep_apart(invocation, &found)?;
    let witness = witness_map.as_ref().map(|(object, map, allow_weak)| Witness {
        object,
        map,
        allow_weak: *allow_weak,
    });
    // A list of all places takes as long as finding them, and few want to see it.
    let listed = invocation.report.is_some() || invocation.verbosity == Verbosity::Verbose;
    let brief = !listed && !matches!(invocation.task, Task::Check);
    let options = Options { witness, brief, ..invocation.options.clone() };
    match &invocation.task {
        Task::Rewrite { output, depfile, print_link_args } => {
            let output = (output, depfile.as_deref(), *print_link_args);
            rewrite(invocation, &options, messages, &input, &object, found, files, output)
        }
        Task::Check => check(invocation, &options, messages, &object, found, &files),
    }
}

#[expect(clippy::too_many_arguments, reason = "everything that was opened, each used once")]
fn rewrite(
    invocation: &Invocation,
    options: &Options<'_>,
    messages: &Messages,
    input: &Input,
    object: &ObjectFile<'_>,
    found: Found,
    files: NamedFiles,
    (output, depfile, print_link_args): (&Location, Option<&Path>, bool),
) -> Result<u8> {
    // The process ends with this: what there is of the session goes with it, and not name by name.
    let map = ManuallyDrop::new(match found.map {
        Some(map) => map,
        None if relocfix::needs_map(object) => {
            return Err(map_sources::none_found(object, &invocation.input, ""));
        }
        None => SessionMap::default(),
    });
    let fixed = relocfix::fix_in(object, &map, &files, options, &|size| Ok(Room::new(output, size)))
        .map_err(|error| report_refusal(invocation, messages, error))?;

    // Everything that can fail before anything appears; the output last, so that it is newer than what tells
    // make about it.
    let staged_output = match fixed.output {
        Some(room) => output::stage_room(output, room, input.mode)?,
        None => output::stage(output, input, input.mode)?,
    };
    // Of many places it is as large as the object.
    let json = invocation.report.as_ref().map(|location| (location, fixed.report.to_json()));
    let staged_report =
        json.as_ref().map(|(location, json)| output::stage(location, json.as_bytes(), None)).transpose()?;
    // Another file may be there by now, which a linker looks at; what a compiler made and took away is nowhere.
    let deleted = |library: &str| map.deleted_library_path(library).map(Path::new);
    let is_gone = |library: &&String| deleted(library).is_some_and(|path| !path.exists());
    let (gone, libraries): (Vec<&String>, Vec<&String>) = fixed.report.libraries.iter().partition(is_gone);
    let link_args = print_link_args.then(|| {
        let path_of = |library: &str| {
            map.library_path(library, &files).map(Path::new).or(deleted(library)).map(PathBuf::from)
        };
        link_args::line(&libraries, &fixed.anchored, path_of)
    });
    let rule = match output.file() {
        Some(target) => {
            let images = files.into_read();
            let prerequisites = invocation.input.file().map(Path::to_owned).into_iter();
            let prerequisites: Vec<PathBuf> = prerequisites.chain(found.files).chain(images).collect();
            depfile.map(|_| depfile::rule(target, &prerequisites)).transpose()?
        }
        None => None,
    };
    let staged_depfile = match (depfile, &rule) {
        (Some(path), Some(rule)) => Some(output::stage(&Location::File(path.to_owned()), rule, None)?),
        _ => None,
    };
    for staged in [staged_report, staged_depfile, Some(staged_output)].into_iter().flatten() {
        staged.commit()?;
    }

    for warning in &fixed.warnings {
        messages.warning(warning);
    }
    messages.detail(|color| fixed.report.table(color).to_string());
    if let Some(line) = link_args {
        for library in gone {
            messages.warning(&format!(
                "{library} has no file any more: link something else that defines what the output refers to in it"
            ));
        }
        show(&(line + "\n"))?;
    }
    Ok(DONE)
}

fn check(
    invocation: &Invocation,
    options: &Options<'_>,
    messages: &Messages,
    object: &ObjectFile<'_>,
    found: Found,
    files: &NamedFiles,
) -> Result<u8> {
    let without_map = found.map.is_none() && relocfix::needs_map(object);
    let map = match (found.map, options.infer) {
        (Some(map), _) => map,
        // As when the object is rewritten.
        (None, Some(runtime)) => SessionMap::parse(&[runtime.protocol()], object.machine, files)?,
        (None, None) => SessionMap::default(),
    };
    let report = relocfix::check(object, &map, files, options)
        .map_err(|error| report_refusal(invocation, messages, error))?;
    if let Some(location) = &invocation.report {
        write_report(location, &report)?;
    }
    for note in &report.notes {
        messages.warning(note);
    }
    if invocation.report != Some(Location::Standard) && invocation.verbosity != Verbosity::Quiet {
        let color = messages::use_color(invocation.color, &io::stdout());
        show(&report.table(color).to_string())?;
    }
    if without_map {
        // Said even when quiet: what was listed is not all there may be.
        let consequence = ", so addresses are not known and only what needs none was looked for";
        messages.error(&map_sources::none_found(object, &invocation.input, consequence));
        return Ok(TROUBLE);
    }
    Ok(if report.has_findings() { REFUSED } else { DONE })
}

/// Writes the report of a run that was refused, if it got that far and one is wanted, and hands the error on.
fn report_refusal(invocation: &Invocation, messages: &Messages, error: Error) -> Error {
    if let (Some(location), Some(report)) = (&invocation.report, error.report())
        && let Err(second) = write_report(location, report)
    {
        messages.error(&second);
    }
    error
}

fn write_report(location: &Location, report: &Report) -> Result<()> {
    let json = report.to_json();
    match location {
        Location::Standard => show(&json),
        Location::File(_) => output::stage(location, json.as_bytes(), None)?.commit(),
    }
}

/// Prints what people read. If they close the pipe (`| head`) they have seen enough: the exit status still tells
/// the result.
fn show(text: &str) -> Result<()> {
    match output::print(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let message = format!("cannot be written: {}", input::io_reason(&error));
            Err(Error::new(ErrorKind::Io, "<stdout>", message))
        }
        _ => Ok(()),
    }
}

/// Refuses to write a file over another of this run; only the object may be its own output.
fn keep_apart(invocation: &Invocation, found: &Found) -> Result<()> {
    let input = invocation.input.file().map(|path| ("IN.o", path));
    let maps = found.files.iter().map(|path| ("a map", path.as_path()));
    let report = invocation.report.as_ref().and_then(Location::file).map(|path| ("--report", path));
    let (output, depfile) = match &invocation.task {
        Task::Rewrite { output, depfile, .. } => {
            (output.file().map(|path| ("--output", path)), depfile.as_deref().map(|path| ("--depfile", path)))
        }
        Task::Check => (None, None),
    };
    let written: Vec<_> = [report, depfile, output].into_iter().flatten().collect();
    let read: Vec<_> = input.into_iter().chain(maps).collect();
    for (i, &(what, path)) in written.iter().enumerate() {
        let others = written[i + 1..].iter().chain(&read);
        let mut others = others.filter(|(other, _)| (what, *other) != ("--output", "IN.o"));
        if let Some((other, _)) = others.find(|(_, other)| output::same_file(path, other)) {
            let message = format!("{what} and {other} are the same file");
            return Err(Error::new(ErrorKind::Io, path.display().to_string(), message));
        }
    }
    Ok(())
}
