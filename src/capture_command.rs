//! `relocfix capture`: a process is read, and what it knew is written as a session map.

use relocfix::capture::{self, Captured, CoreFile, Process};
use relocfix::{Error, ErrorKind, ObjectFile, Result};

use crate::capture_args::{Capture, Source};
use crate::input::{self, Location, NamedFiles};
use crate::live_process::LiveProcess;
use crate::messages::Messages;
use crate::output;
use crate::system_libraries::System;

/// Captures and writes.
///
/// # Errors
/// The process cannot be read, or the map not be written.
pub(crate) fn run(invocation: &Capture, messages: &Messages) -> Result<()> {
    keep_apart(invocation)?;
    let captured = match &invocation.source {
        Source::Live(pid) => {
            let process = LiveProcess::open(*pid)?;
            let captured = read(&process, invocation)?;
            process.check_alive()?;
            captured
        }
        Source::Core(location) => {
            let file = input::open(location)?;
            let core = CoreFile::parse(&file.name, &file)?;
            read(&core, invocation)?
        }
    };
    let json = captured.to_json();
    output::stage(&invocation.output, json.as_bytes(), None)?.commit()?;
    for warning in &captured.warnings {
        messages.warning(warning);
    }
    Ok(())
}

fn read(process: &dyn Process, invocation: &Capture) -> Result<Captured> {
    let files = NamedFiles::default();
    let captured = capture::capture(process, &files, &System)?;
    let Some(location) = &invocation.object else {
        return Ok(captured);
    };
    let object = input::open(location)?;
    captured.needed_by(&ObjectFile::parse(&object.name, &object)?, process, &files)
}

/// Refuses to write the map over what it is read from.
fn keep_apart(invocation: &Capture) -> Result<()> {
    let core = match &invocation.source {
        Source::Live(_) => None,
        Source::Core(location) => location.file().map(|path| ("--core", path)),
    };
    let object = invocation.object.as_ref().and_then(Location::file).map(|path| ("--for", path));
    let Some(map) = invocation.output.file() else {
        return Ok(());
    };
    match core.into_iter().chain(object).find(|(_, path)| output::same_file(map, path)) {
        None => Ok(()),
        Some((what, _)) => {
            let message = format!("--output and {what} are the same file");
            Err(Error::new(ErrorKind::Io, map.display().to_string(), message))
        }
    }
}
