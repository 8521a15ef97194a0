//! Errors that callers can match on and people can act on: which file, where in it, what, and what to do.

use std::fmt;

use crate::report::Report;

/// What went wrong, for callers that act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not a relocatable object of a supported format and machine.
    UnsupportedObject,
    /// The object contradicts itself or its format.
    MalformedObject,
    /// The session map or a file that adds to it is wrong.
    SessionMap,
    /// There is no session map.
    NoSessionMap,
    /// A file that a session map names cannot be used.
    Image,
    /// Places whose meaning is not known.
    Unresolved,
    /// Places, relocations or shapes that cannot be rewritten safely.
    Refused,
    /// Something asked for that this version does not do.
    NotSupported,
    /// The output failed its own check: a bug of this program, and nothing was written.
    Verification,
    /// The operating system refused to read or write.
    Io,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A place in a section, as messages write it: `.text+0x12`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct At {
    /// The section's name.
    pub section: String,
    /// Offset in it.
    pub offset: u64,
    /// The function around it, if one is known.
    pub function: Option<String>,
    /// The source line that it comes from, if one is known: `foo.jl:3`.
    pub line: Option<String>,
    /// The text of the instruction that it is in, if one is known.
    pub instruction: Option<String>,
}

/// One thing that is wrong, in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file that it is in; empty if it is in none.
    pub file: String,
    /// Where in it.
    pub at: Option<At>,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// An error: its kind, and everything of that kind that was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    problems: Vec<Problem>,
    report: Option<Box<Report>>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.section, self.offset)?;
        match (&self.function, &self.line) {
            (Some(function), Some(line)) => write!(f, " ({function}, {line})"),
            (Some(one), None) | (None, Some(one)) => write!(f, " ({one})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}: ", self.file)?;
        }
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        f.write_str(&self.message)?;
        match self.at.as_ref().and_then(|at| at.instruction.as_ref()) {
            Some(instruction) => write!(f, ": `{instruction}`"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Error {
    /// An error of that kind about a whole file.
    pub fn new(kind: ErrorKind, file: impl Into<String>, message: impl Into<String>) -> Self {
        let problem = Problem { file: file.into(), at: None, message: message.into() };
        Self::all(kind, vec![problem])
    }

    /// Several problems of one kind, reported at once. `problems` is not empty.
    pub fn all(kind: ErrorKind, problems: Vec<Problem>) -> Self {
        Error { kind, problems, report: None }
    }

    /// The object contradicts itself or its format.
    pub fn malformed(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::MalformedObject, file, message)
    }

    /// A shape that cannot be rewritten safely.
    pub fn refused(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, file, message)
    }

    /// Says where in the file.
    #[must_use]
    pub fn at(mut self, section: impl Into<String>, offset: u64) -> Self {
        let section = section.into();
        for problem in &mut self.problems {
            problem.at = Some(At { section: section.clone(), offset, ..At::default() });
        }
        self
    }

    /// Adds what had been found when this went wrong.
    #[must_use]
    pub fn with_report(mut self, report: Report) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// What had been found when this went wrong, if it got that far.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_deref()
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Everything that was found, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}
