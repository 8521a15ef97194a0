//! The command line of `capture`: from what, for what, to where.

use std::path::PathBuf;

use clap::Args;

use crate::args::{ColorArgs, Verbosity};
use crate::input::Location;

/// Its help's examples.
pub(crate) const EXAMPLES: &str = "\
Examples:
  relocfix capture --pid 1234 --for in.o -o map.json
                                           what in.o needs of process 1234, which wrote it
  relocfix in.o -o out.o -s map.json       fix it with that
  relocfix capture --core core -o -        all that a process knew when it crashed";

/// What may be written behind `capture`.
#[derive(Args)]
pub(crate) struct CaptureArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Write only what this object needs
    #[arg(long = "for", value_name = "IN.o")]
    object: Option<PathBuf>,
    /// Write here, whole or not at all; `-` is stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Errors only, no warnings
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    color: ColorArgs,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct SourceArgs {
    /// The process; it is read, not stopped
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// The core file of a process that crashed, or of `gcore`
    #[arg(long, value_name = "FILE")]
    core: Option<PathBuf>,
}

/// Where a process is read from.
#[derive(Debug)]
pub(crate) enum Source {
    /// It runs.
    Live(u32),
    /// It is no more.
    Core(Location),
}

/// A capture: what is to be read and where the map goes.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The process.
    pub(crate) source: Source,
    /// The object whose needs are to be written.
    pub(crate) object: Option<Location>,
    /// Where the map goes.
    pub(crate) output: Location,
    /// How much goes to standard error.
    pub(crate) verbosity: Verbosity,
    /// When messages have colour.
    pub(crate) color: crate::args::Color,
}

impl From<CaptureArgs> for Capture {
    fn from(arguments: CaptureArgs) -> Self {
        let source = match (arguments.source.pid, arguments.source.core) {
            (Some(pid), _) => Source::Live(pid),
            // One of them is required.
            (None, core) => Source::Core(Location::new(&core.unwrap_or_default())),
        };
        Capture {
            source,
            object: arguments.object.as_deref().map(Location::new),
            output: Location::new(&arguments.output),
            verbosity: if arguments.quiet { Verbosity::Quiet } else { Verbosity::Normal },
            color: arguments.color.color,
        }
    }
}

impl Capture {
    /// Whether two files are `-`.
    pub(crate) fn reads_standard_input_twice(&self) -> bool {
        matches!(self.source, Source::Core(Location::Standard)) && self.object == Some(Location::Standard)
    }
}
