//! The command line of `capture`: from what, for what, to where.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::args::{ColorArg, Verbosity};
use crate::input::Location;

/// Its help's examples.
pub(crate) const EXAMPLES: &str = "\
Examples:
  relocfix capture --pid 1234 -o map.json  all that process 1234 has mapped, and names of what it holds
  relocfix in.o -o out.o -s map.json       fix an object that it wrote";

/// What may be written behind `capture`.
#[derive(Args)]
pub(crate) struct CaptureArgs {
    /// The process; it is read, not stopped
    #[arg(long, value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pid: u32,
    /// Write here, whole or not at all; `-` is stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Errors only, no warnings
    #[arg(short, long)]
    quiet: bool,
    /// Colour in messages
    #[arg(
        long,
        value_name = "auto|always|never",
        value_enum,
        hide_possible_values = true,
        default_value = "auto"
    )]
    color: ColorArg,
}

/// A capture: what is to be read and where the map goes.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The process.
    pub(crate) pid: u32,
    /// Where the map goes.
    pub(crate) output: Location,
    /// How much goes to standard error.
    pub(crate) verbosity: Verbosity,
    /// When messages have colour.
    pub(crate) color: crate::args::Color,
}

impl From<CaptureArgs> for Capture {
    fn from(arguments: CaptureArgs) -> Self {
        Capture {
            pid: arguments.pid,
            output: Location::new(Path::new(&arguments.output)),
            verbosity: if arguments.quiet { Verbosity::Quiet } else { Verbosity::Normal },
            color: arguments.color.into(),
        }
    }
}
