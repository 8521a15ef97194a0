//! `relocfix capture`: a process is read, and what it knew is written as a session map.

use relocfix::{Result, capture};

use crate::capture_args::Capture;
use crate::input::NamedFiles;
use crate::live_process::LiveProcess;
use crate::messages::Messages;
use crate::output;
use crate::system_libraries::System;

/// Captures and writes.
///
/// # Errors
/// The process cannot be read, or the map not be written.
pub(crate) fn run(invocation: &Capture, messages: &Messages) -> Result<()> {
    let files = NamedFiles::default();
    let process = LiveProcess::open(invocation.pid)?;
    let captured = capture::capture(&process, &files, &System)?;
    process.check_alive()?;
    let json = captured.to_json();
    output::stage(&invocation.output, json.as_bytes(), None)?.commit()?;
    for warning in &captured.warnings {
        messages.warning(warning);
    }
    Ok(())
}
