//! The command line: what may be written there, and the validated invocation that the rest of the program gets.
//! Typed arguments are not yet options: [`Cli`] says what parses, [`Invocation`] what is meant.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use relocfix::{Ignored, Options, Private, RelocationModel, Runtime, Unresolved};

use crate::capture_args::{self, Capture, CaptureArgs};
use crate::input::Location;
use crate::system_libraries;

const EXIT_STATUS: &str = "\
Exit status:
  0  done; for `check`: nothing session-specific
  1  refused: a place is unresolved or cannot be rewritten safely, all of them are listed;
     for `check`: found. Nothing was written but the report
  2  usage or I/O error, or an input that is not understood: object, session map or image";

const EXAMPLES: &str = "\
Examples:
  relocfix in.o -o out.o                   with the map in in.o itself or in in.session.json
  relocfix in.o -o in.o -s session.json    in place
  relocfix in.o -o out.o --maps maps.txt --symbols names.txt
                                           maps.txt: a copy of /proc/PID/maps, names.txt: nm output
  relocfix check in.o                      what in.o holds of its session, as a table
  relocfix check in.o --report -           the same as JSON";

const CHECK_EXAMPLES: &str = "\
Examples:
  relocfix check in.o                      with the map in in.o itself or in in.session.json
  relocfix check in.o -s session.json -q   the exit status alone
  relocfix check in.o --report -           JSON instead of the table";

/// Makes an object file that a JIT wrote for its own process an ordinary one: the process's addresses in it
/// become symbols and relocations.
#[derive(Parser)]
#[command(
    name = "relocfix",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    override_usage = "relocfix IN.o -o OUT.o [OPTIONS]\n       relocfix check IN.o [OPTIONS]\n       \
                      relocfix capture --pid PID|--core FILE [--for IN.o] -o MAP",
    after_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"),
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    rewrite: RewriteArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// What most command lines are: to make the definitions of the subcommands takes longer than all else that is done with them.
#[derive(Parser)]
#[command(disable_version_flag = true)]
struct Plain {
    #[command(flatten)]
    rewrite: RewriteArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Subcommand)]
enum Command {
    /// List every session-specific constant, and write nothing
    #[command(
        override_usage = "relocfix check IN.o [OPTIONS]",
        after_help = format!("{CHECK_EXAMPLES}\n\n{EXIT_STATUS}"),
    )]
    Check {
        /// The object; `-` is stdin
        #[arg(value_name = "IN.o")]
        input: PathBuf,
        #[command(flatten)]
        common: Box<CommonArgs>,
    },
    /// Write a session map from what a process knows
    #[command(after_help = format!("{}\n\n{EXIT_STATUS}", capture_args::EXAMPLES))]
    Capture(CaptureArgs),
    /// What `capture` runs in a process of its own
    #[command(hide = true, name = system_libraries::COMMAND)]
    Answer {
        #[arg(value_name = "LIBRARY")]
        library: String,
    },
}

// `required` with an `Option`: a subcommand lifts the requirement.
#[derive(Args)]
struct RewriteArgs {
    /// The object; `-` is stdin
    #[arg(value_name = "IN.o", required = true)]
    input: Option<PathBuf>,
    /// Write here, whole or not at all; may be IN.o; `-` is stdout
    #[arg(short, long, value_name = "FILE", required = true)]
    output: Option<PathBuf>,
    /// Refuse constants of unknown meaning, or keep
    #[arg(long, value_name = "error|keep", value_enum, hide_possible_values = true, default_value = "error")]
    unresolved: UnresolvedArg,
    /// Write make-style dependencies: object, maps, images read
    #[arg(long, value_name = "FILE")]
    depfile: Option<PathBuf>,
    /// Print what a linker needs for the libraries named
    #[arg(long)]
    print_link_args: bool,
}

#[derive(Args)]
struct CommonArgs {
    /// What addresses meant [default: in IN.o, or IN.session.json]
    #[arg(short, long, value_name = "FILE")]
    session_map: Vec<PathBuf>,
    /// Add what was mapped: a copy of /proc/PID/maps; repeatable
    #[arg(long, value_name = "FILE")]
    maps: Vec<PathBuf>,
    /// Add names: nm output or a perf map; repeatable
    #[arg(long, value_name = "FILE")]
    symbols: Vec<PathBuf>,
    /// Prove it: the same code compiled in another session
    #[arg(long, value_name = "FILE")]
    witness: Option<PathBuf>,
    /// What addresses meant there [default: as for IN.o]
    #[arg(long, value_name = "FILE", requires = "witness")]
    witness_session_map: Vec<PathBuf>,
    /// Accept a witness that proves nothing
    #[arg(long, requires = "witness")]
    allow_weak_witness: bool,
    /// Bytes that may differ, doubtful places that are none
    #[arg(long, value_name = "SECTION[+OFF[..END]]")]
    ignore: Vec<Ignored>,
    /// static: absolute, for non-PIE executables
    #[arg(long, value_name = "pic|static", value_enum, hide_possible_values = true, default_value = "pic")]
    relocation_model: RelocationModelArg,
    /// Refuse nameless library addresses, or find
    #[arg(
        long,
        value_name = "error|anchor",
        value_enum,
        hide_possible_values = true,
        default_value = "error"
    )]
    private: PrivateArg,
    /// Fill globals whose name alone says what they hold
    #[arg(long, value_name = "julia", value_enum, hide_possible_values = true)]
    infer: Option<InferArg>,
    /// Name the function that initializes
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    init_symbol: Option<String>,
    /// Write what was found and done as JSON; `-` is stdout
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Threads [default: all cores, or one]; the output is the same
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Errors only: no warnings, and for `check` no table
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Say what was found and done, place by place
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    color: ColorArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum UnresolvedArg {
    Error,
    Keep,
}

#[derive(Clone, Copy, ValueEnum)]
enum RelocationModelArg {
    Pic,
    Static,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrivateArg {
    Error,
    Anchor,
}

#[derive(Clone, Copy, ValueEnum)]
enum InferArg {
    Julia,
}

/// How much goes to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Errors.
    Quiet,
    /// Errors and warnings.
    Normal,
    /// Those, and what was found and done.
    Verbose,
}

/// The option that says when messages and tables have colour.
#[derive(Args)]
pub(crate) struct ColorArgs {
    /// Colour in messages and tables
    #[arg(
        long,
        value_name = "auto|always|never",
        value_enum,
        hide_possible_values = true,
        default_value = "auto"
    )]
    pub(crate) color: Color,
}

/// When messages and tables have colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Something about an object.
    Object(Box<Invocation>),
    /// A session map.
    Capture(Capture),
    /// What a library of the system answers.
    Answer {
        /// Its name.
        library: String,
    },
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Task {
    /// Rewrite the object.
    Rewrite {
        /// Where the result goes.
        output: Location,
        /// Where the dependencies go.
        depfile: Option<PathBuf>,
        /// What a linker needs is printed.
        print_link_args: bool,
    },
    /// List what is session-specific.
    Check,
}

/// Where a witness is.
#[derive(Debug)]
pub(crate) struct WitnessFiles {
    /// The object.
    pub(crate) object: Location,
    /// Its session maps; none: they are looked for.
    pub(crate) session_maps: Vec<PathBuf>,
    /// It is accepted even if it proves nothing.
    pub(crate) allow_weak: bool,
}

/// One run: what is to be done, from what, and how.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// What is to be done.
    pub(crate) task: Task,
    /// The object.
    pub(crate) input: Location,
    /// Session maps; none: they are looked for.
    pub(crate) session_maps: Vec<PathBuf>,
    /// Copies of `/proc/PID/maps`.
    pub(crate) proc_maps: Vec<PathBuf>,
    /// `nm` output and perf maps.
    pub(crate) symbols: Vec<PathBuf>,
    /// How to rewrite.
    pub(crate) options: Options<'static>,
    /// The same code from another session.
    pub(crate) witness: Option<WitnessFiles>,
    /// Where the JSON report goes.
    pub(crate) report: Option<Location>,
    /// How many threads; none: as many as there is work for, at most one per core.
    pub(crate) threads: Option<usize>,
    /// How much goes to standard error.
    pub(crate) verbosity: Verbosity,
    /// When messages and tables have colour.
    pub(crate) color: Color,
}

/// Reads the command line; the first argument is the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Asked, clap::Error> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let object = |invocation| Asked::Object(Box::new(invocation));
    // A subcommand is one only in first position. What is wrong is told by the whole definition, which knows them all.
    let first = arguments.get(1).and_then(|first| first.to_str());
    if !first.is_some_and(Command::has_subcommand)
        && let Ok(plain) = Plain::try_parse_from(&arguments)
    {
        return rewrite(plain.rewrite, plain.common).map(object);
    }
    let cli = Cli::try_parse_from(arguments)?;
    match cli.command {
        None => rewrite(cli.rewrite, cli.common).map(object),
        Some(Command::Check { input, common }) => invocation(Task::Check, &input, *common).map(object),
        Some(Command::Capture(arguments)) => match Capture::from(arguments) {
            capture if capture.reads_standard_input_twice() => {
                Err(usage("`--for -` cannot be used with `--core -`: both want standard input"))
            }
            capture => Ok(Asked::Capture(capture)),
        },
        Some(Command::Answer { library }) => Ok(Asked::Answer { library }),
    }
}

fn rewrite(arguments: RewriteArgs, common: CommonArgs) -> Result<Invocation, clap::Error> {
    let (Some(input), Some(output)) = (arguments.input, arguments.output) else {
        return Err(usage("IN.o and `-o OUT.o` are needed"));
    };
    let output = Location::new(&output);
    if output == Location::Standard && arguments.depfile.is_some() {
        return Err(usage("`--depfile` needs an output file to name: it cannot be used with `-o -`"));
    }
    if output == Location::Standard && arguments.print_link_args {
        return Err(usage("`--print-link-args` cannot be used with `-o -`: both want standard output"));
    }
    let print_link_args = arguments.print_link_args;
    let task = Task::Rewrite { output: output.clone(), depfile: arguments.depfile, print_link_args };
    let mut invocation = invocation(task, &input, common)?;
    if output == Location::Standard && invocation.report == Some(Location::Standard) {
        return Err(usage("`--report -` cannot be used with `-o -`: both want standard output"));
    }
    if print_link_args && invocation.report == Some(Location::Standard) {
        return Err(usage("`--report -` cannot be used with `--print-link-args`: both want standard output"));
    }
    invocation.options.unresolved = match arguments.unresolved {
        UnresolvedArg::Error => Unresolved::Error,
        UnresolvedArg::Keep => Unresolved::Keep,
    };
    Ok(invocation)
}

fn invocation(task: Task, input: &std::path::Path, common: CommonArgs) -> Result<Invocation, clap::Error> {
    let options = Options {
        relocation_model: match common.relocation_model {
            RelocationModelArg::Pic => RelocationModel::Pic,
            RelocationModelArg::Static => RelocationModel::Static,
        },
        private: match common.private {
            PrivateArg::Error => Private::Error,
            PrivateArg::Anchor => Private::Anchor,
        },
        ignore: common.ignore,
        init_symbol: common.init_symbol,
        infer: common.infer.map(|InferArg::Julia| Runtime::Julia),
        ..Options::default()
    };
    let witness = common.witness.as_deref().map(|object| WitnessFiles {
        object: Location::new(object),
        session_maps: common.witness_session_map,
        allow_weak: common.allow_weak_witness,
    });
    let input = Location::new(input);
    if input == Location::Standard && witness.as_ref().is_some_and(|w| w.object == Location::Standard) {
        return Err(usage("`--witness -` cannot be used with IN.o `-`: both want standard input"));
    }
    Ok(Invocation {
        task,
        input,
        witness,
        session_maps: common.session_map,
        proc_maps: common.maps,
        symbols: common.symbols,
        options,
        report: common.report.as_deref().map(Location::new),
        threads: common.threads.map(usize::from),
        verbosity: match (common.quiet, common.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        },
        color: common.color.color,
    })
}

fn usage(message: &str) -> clap::Error {
    Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Invocation, clap::Error> {
        let arguments = ["relocfix"].into_iter().chain(words.split_whitespace());
        match parse(arguments.map(OsString::from))? {
            Asked::Object(invocation) => Ok(*invocation),
            other => panic!("`{words}` gave {other:?}"),
        }
    }

    fn usage_error(words: &str) -> String {
        match parse_words(words) {
            Err(error) => error.to_string(),
            other => panic!("`{words}` gave {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
        Plain::command().debug_assert();
    }

    #[test]
    fn defaults() {
        let run = parse_words("in.o -o out.o").unwrap();
        assert!(
            matches!(run.task, Task::Rewrite { output: Location::File(ref f), depfile: None, print_link_args: false }
            if f == std::path::Path::new("out.o"))
        );
        assert_eq!(run.input, Location::File("in.o".into()));
        assert_eq!(run.options.relocation_model, RelocationModel::Pic);
        assert_eq!(run.options.unresolved, Unresolved::Error);
        assert_eq!(run.options.private, Private::Error);
        assert_eq!(run.verbosity, Verbosity::Normal);
        assert_eq!(run.color, Color::Auto);
        assert!(run.session_maps.is_empty() && run.proc_maps.is_empty() && run.symbols.is_empty());
        assert!(run.report.is_none() && run.threads.is_none());
    }

    #[test]
    fn every_option_arrives() {
        let run = parse_words(
            "--relocation-model static --unresolved keep -s a -s b --maps c --maps d --symbols e --symbols f \
             --report - --depfile g -j 7 -v --color always - -o out.o --private anchor --infer julia --init-symbol h",
        )
        .unwrap();
        assert!(matches!(run.task, Task::Rewrite { depfile: Some(ref f), .. } if f.as_os_str() == "g"));
        assert_eq!(run.input, Location::Standard);
        assert_eq!(run.options.relocation_model, RelocationModel::Static);
        assert_eq!(run.options.unresolved, Unresolved::Keep);
        assert_eq!(run.options.private, Private::Anchor);
        assert_eq!(run.session_maps, [PathBuf::from("a"), "b".into()]);
        assert_eq!(run.proc_maps, [PathBuf::from("c"), "d".into()]);
        assert_eq!(run.symbols, [PathBuf::from("e"), "f".into()]);
        assert_eq!(run.report, Some(Location::Standard));
        assert_eq!(run.threads, Some(7));
        assert_eq!(run.options.infer, Some(Runtime::Julia));
        assert_eq!(run.options.init_symbol.as_deref(), Some("h"));
        assert_eq!(run.verbosity, Verbosity::Verbose);
        assert_eq!(run.color, Color::Always);
    }

    #[test]
    fn a_witness_and_what_to_ignore() {
        let run = parse_words(
            "in.o -o out.o --witness w.o --witness-session-map a --witness-session-map b --allow-weak-witness \
             --ignore .text+4 --ignore .data+0x10..0x20",
        )
        .unwrap();
        let witness = run.witness.unwrap();
        assert_eq!(witness.object, Location::File("w.o".into()));
        assert_eq!(witness.session_maps, [PathBuf::from("a"), "b".into()]);
        assert!(witness.allow_weak);
        let ignored: Vec<_> = run.options.ignore.iter().map(ToString::to_string).collect();
        assert_eq!(ignored, [".text+0x4", ".data+0x10..0x20"]);
        assert!(parse_words("check in.o --witness w.o").unwrap().witness.is_some_and(|w| !w.allow_weak));
        assert!(usage_error("in.o -o a --witness-session-map m").contains("--witness <FILE>"));
        assert!(usage_error("in.o -o a --allow-weak-witness").contains("--witness <FILE>"));
        assert!(usage_error("in.o -o a --ignore .text+x").contains(".text+x"));
        assert!(usage_error("- -o a --witness -").contains("standard input"));
    }

    #[test]
    fn a_subcommand_is_one_only_in_first_position() {
        assert!(matches!(parse_words("check in.o").unwrap().task, Task::Check));
        let run = parse_words("-o out.o check").unwrap();
        assert_eq!(run.input, Location::File("check".into()));
        let run = parse_words("./check -o capture").unwrap();
        assert_eq!(run.input, Location::File("./check".into()));
        let run = parse_words("check check").unwrap();
        assert_eq!(run.input, Location::File("check".into()));
        let run = parse_words("help -o out.o").unwrap();
        assert_eq!(run.input, Location::File("help".into()));
    }

    #[test]
    fn wrong_usage() {
        assert!(usage_error("in.o").contains("--output <FILE>"));
        assert!(usage_error("-o out.o").contains("IN.o"));
        assert!(usage_error("").contains("IN.o"));
        assert!(usage_error("check").contains("IN.o"));
        assert!(usage_error("in.o other.o -o out.o").contains("other.o"));
        assert!(usage_error("in.o -o a -o b").contains("multiple times"));
        assert!(usage_error("in.o -o a -j 0").contains("--threads"));
        assert!(usage_error("in.o -o a -j x").contains("--threads"));
        assert!(usage_error("in.o -o a -q -v").contains("--quiet"));
        assert!(usage_error("in.o -o a --relocation-model dynamic").contains("dynamic"));
        assert!(usage_error("in.o -o - --report -").contains("standard output"));
        assert!(usage_error("in.o -o - --depfile d").contains("--depfile"));
        assert!(usage_error("check in.o -o out.o").contains("-o"));
        assert!(usage_error("in.o -o a --infer python").contains("python"));
        assert!(usage_error("in.o -o a --init-symbol=").contains("--init-symbol"));
        assert!(usage_error("in.o -o a --no-such-option").contains("--no-such-option"));
    }
}
