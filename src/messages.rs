//! What goes to standard error, in which words and colours. Standard output holds only what was asked for.

use std::io::{self, IsTerminal, Write};

use relocfix::Error;

use crate::args::{Color, Verbosity};

const ERROR: &str = "\x1b[1;31m";
const WARNING: &str = "\x1b[1;35m";
const RESET: &str = "\x1b[0m";

/// Writes messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Messages {
    color: bool,
    verbosity: Verbosity,
}

impl Messages {
    /// Messages as the command line wants them.
    pub(crate) fn new(color: Color, verbosity: Verbosity) -> Self {
        Messages { color: use_color(color, &io::stderr()), verbosity }
    }

    /// One line per problem.
    pub(crate) fn error(&self, error: &Error) {
        for problem in error.problems() {
            self.line("error", ERROR, &problem.to_string());
        }
    }

    /// Something that the user should know and that stops nothing.
    pub(crate) fn warning(&self, message: &str) {
        if self.verbosity != Verbosity::Quiet {
            self.line("warning", WARNING, message);
        }
    }

    /// What was found and done, for those who asked; `text` is told whether it may have colour.
    pub(crate) fn detail(&self, text: impl FnOnce(bool) -> String) {
        if self.verbosity == Verbosity::Verbose {
            write(&text(self.color));
        }
    }

    fn line(&self, word: &str, style: &str, message: &str) {
        let message = without_controls(message);
        if self.color {
            write(&format!("relocfix: {style}{word}:{RESET} {message}\n"));
        } else {
            write(&format!("relocfix: {word}: {message}\n"));
        }
    }
}

/// Wrong usage, help or the version, as the parser words it.
pub(crate) fn usage(error: &clap::Error) {
    let text = error.render();
    if error.use_stderr() {
        let text =
            if use_color(Color::Auto, &io::stderr()) { text.ansi().to_string() } else { text.to_string() };
        write(&format!("relocfix: {text}"));
    } else {
        let text =
            if use_color(Color::Auto, &io::stdout()) { text.ansi().to_string() } else { text.to_string() };
        // Whoever closed the pipe has read enough.
        let _ = crate::output::print(text.as_bytes());
    }
}

/// Whether a stream gets colour (<https://no-color.org>).
pub(crate) fn use_color(color: Color, stream: &impl IsTerminal) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
            !no_color && !dumb && stream.is_terminal()
        }
    }
}

/// Names of symbols and sections come from the input: none of them shall drive the terminal.
fn without_controls(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

fn write(text: &str) {
    // There is nowhere left to say that standard error is closed.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(without_controls("a\x1b[31mb\tc\nd\u{9b}é"), "a\\u{1b}[31mb\\tc\nd\\u{9b}é");
    }
}
