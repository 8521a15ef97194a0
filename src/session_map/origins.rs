//! Where entries were written, for messages, and the checks that every kind of entry has to pass.

use super::LOWEST_ADDRESS;
use crate::error::{Error, ErrorKind};

/// Where an entry was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    /// Which of [`Origins::sources`].
    source: u32,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// An entry of a list of a session map.
    Entry(&'static str, u32),
    /// A line of another text, from 1.
    Line(u32),
}

impl Origin {
    /// `list[index]` of a source.
    pub(super) fn entry(source: u32, list: &'static str, index: usize) -> Self {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Origin { source, place: Place::Entry(list, index) }
    }

    /// A line of a source, from 1.
    pub(super) fn line(source: u32, line: usize) -> Self {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        Origin { source, place: Place::Line(line) }
    }
}

/// Where the map's entries were written, in their order.
#[derive(Debug, Default)]
pub(super) struct Origins {
    pub(super) sources: Vec<String>,
    pub(super) mappings: Vec<Origin>,
    pub(super) symbols: SymbolOrigins,
}

/// Where symbols were written, in their order.
#[derive(Debug, Clone)]
pub(super) enum SymbolOrigins {
    /// They are the list `symbols` of a source.
    List(u32),
    /// Each somewhere else.
    Each(Vec<Origin>),
}

impl Default for SymbolOrigins {
    fn default() -> Self {
        SymbolOrigins::Each(Vec::new())
    }
}

impl SymbolOrigins {
    /// Where one of them was written.
    pub(super) fn of(&self, index: usize) -> Origin {
        match self {
            SymbolOrigins::List(source) => Origin::entry(*source, "symbols", index),
            SymbolOrigins::Each(origins) => origins[index],
        }
    }
}

impl Origins {
    fn source(&self, origin: Origin) -> &str {
        let source = self.sources.get(origin.source as usize);
        source.map_or("", String::as_str)
    }

    fn place(&self, origin: Origin) -> String {
        match origin.place {
            Place::Entry(list, index) => format!("{list}[{index}]"),
            Place::Line(line) => format!("line {line}"),
        }
    }

    /// `in.session.json: globals[3]`
    pub(super) fn text(&self, origin: Origin) -> String {
        format!("{}: {}", self.source(origin), self.place(origin))
    }

    /// An entry that is wrong.
    pub(super) fn error(&self, origin: Origin, message: impl std::fmt::Display) -> Error {
        let message = format!("{}: {message}", self.place(origin));
        Error::new(ErrorKind::SessionMap, self.source(origin), message)
    }

    /// An entry that contradicts another; the later one is in error.
    pub(super) fn conflict(&self, one: Origin, other: Origin, what: &str) -> Error {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        let of = match first.source == second.source {
            true => String::new(),
            false => format!(" of {}", self.source(first)),
        };
        self.error(second, format!("{what} {}{of}", self.place(first)))
    }
}

/// `list[0]`, `list[1]`, … of a source.
pub(super) fn entries<T>(
    source: u32,
    list: &'static str,
    items: impl IntoIterator<Item = T>,
) -> impl Iterator<Item = (Origin, T)> {
    let number = move |(index, item)| (Origin::entry(source, list, index), item);
    items.into_iter().enumerate().map(number)
}

/// Checks that something may lie there.
#[inline]
pub(super) fn check_range(start: u64, end: Option<u64>, what: &str) -> Result<(), String> {
    if start < LOWEST_ADDRESS {
        return Err(format!(
            "{what} begins at {start:#x}, but nothing of a process lies below {LOWEST_ADDRESS:#x}: give its address in \
             the process"
        ));
    }
    match end {
        Some(end) if end > start => Ok(()),
        Some(end) => Err(format!("{what} ends at {end:#x}, which is not behind its start {start:#x}")),
        None => Err(format!("{what} at {start:#x} goes beyond the end of memory")),
    }
}

pub(super) fn check_name(key: &str, name: &str) -> Result<(), String> {
    match (name.is_empty(), name.contains('\0')) {
        (true, _) => Err(format!("{key} is empty")),
        (_, true) => Err(format!("{key} contains a NUL")),
        _ => Ok(()),
    }
}
