//! What the addresses of the session meant: sorted, merged and checked, so that a lookup is a search.

mod alignment;
mod anchor;
mod bindings;
pub mod capture;
mod debug_names;
mod dynamic_symbols;
mod eight_bytes;
pub mod expression;
mod image;
mod image_tables;
mod intervals;
mod json;
mod json_symbols;
mod julia_manifest;
mod loaded;
mod lookup;
mod lower;
mod maps;
mod meaning;
mod memory;
mod merge;
mod nm;
mod origins;
mod symbols;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::arch::Machine;
use crate::error::{Error, ErrorKind, Result};
pub(crate) use alignment::PAGE;
pub use expression::{Anchor, Bytes, Expression, Returns, Step, ValueId};
pub(crate) use lookup::SmallAddress;
pub use symbols::{NamedAddress, Symbols};

/// How the library reads the files that a session map names; the binary implements it.
pub trait Files: Sync {
    /// The whole contents of a file.
    ///
    /// # Errors
    /// Whatever the operating system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The text of one session map.
#[derive(Debug, Clone)]
pub struct MapSource<'a> {
    /// What messages call it.
    pub name: String,
    /// Paths in it are relative to this folder.
    pub folder: PathBuf,
    /// Its JSON.
    pub text: &'a [u8],
}

/// A range of the session's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Addresses.
    pub range: Range<u64>,
    /// Offset in the file.
    pub offset: u64,
    /// As `/proc/PID/maps` writes them: `r-xp`.
    pub perms: Option<String>,
    /// What was mapped: a file, or a name in brackets such as `[heap]`.
    pub path: Option<String>,
    /// The file's build-id, in lower-case hexadecimal.
    pub build_id: Option<String>,
}

/// A name that the producer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSymbol {
    /// Its address in the session.
    pub address: u64,
    /// Its name.
    pub name: String,
    /// Its size in bytes; 0: only the exact address matches.
    pub size: u64,
    /// The library that exports it.
    pub library: Option<String>,
    /// What its address is a multiple of in every process, a power of two.
    pub align: u64,
}

impl SessionSymbol {
    fn view(&self) -> NamedAddress<'_> {
        let SessionSymbol { address, ref name, size, ref library, align } = *self;
        NamedAddress { address, name, size, library: library.as_deref(), align }
    }
}

/// A thing in the session's memory without a linker name, and how to make it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Its name.
    pub name: String,
    /// Its address in the session, if it had one.
    pub address: Option<u64>,
    /// Bytes from the address on that belong to it; 0: only the exact address matches.
    pub size: u64,
    /// Bytes before the address that belong to it.
    pub header: u64,
    /// How to make it.
    pub init: Expression,
    /// What its address is a multiple of in every process, a power of two.
    pub align: u64,
    /// Made once for all objects of a link.
    pub shared: bool,
}

/// A variable of the object, and what it must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Its symbol.
    pub symbol: String,
    /// Bytes into it.
    pub offset: u64,
    /// What it must hold.
    pub init: Expression,
    /// Where the map says so, for messages: `in.session.json: globals[3]`.
    pub origin: String,
}

/// An undefined symbol, and what its address must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// Its name.
    pub symbol: String,
    /// What its address must be.
    pub init: Expression,
    /// Where the map says so, for messages.
    pub origin: String,
}

/// What a constant means (SPEC 5).
#[derive(Debug, Clone, PartialEq)]
pub enum Meaning {
    /// A number that the map declares.
    Constant(usize),
    /// A value plus a number of bytes, negative in its header.
    Value(ValueId, i64),
    /// An external symbol plus a number of bytes.
    Symbol {
        /// Its name.
        name: String,
        /// Bytes added.
        offset: i64,
        /// The library that exports it, by `DT_SONAME` or file name.
        library: Option<String>,
    },
    /// An address in a mapped program or library that no name covers: only if it may be anchored.
    Anchored {
        /// How it is found again.
        anchor: Anchor,
        /// The library, by `DT_SONAME` or file name, if it is one and no program.
        library: Option<String>,
        /// What it is: `is `helper`, which /lib/libx.so does not export`.
        what: String,
    },
    /// What follows from another meaning, which is none of these two, by arithmetic: only a comparison of two
    /// sessions shows it.
    Derived {
        /// What it follows from.
        base: Box<Meaning>,
        /// How.
        step: Step,
    },
    /// The distance between two things, neither of which is one: shown in the same way.
    Difference {
        /// Where it leads.
        to: Box<Meaning>,
        /// From where.
        from: Box<Meaning>,
    },
    /// A session address without a name, and why: `is in [heap]; give it a value in the session map`.
    Unresolved(String),
}

/// All session maps of a run, merged.
#[derive(Debug, Default)]
pub struct SessionMap {
    /// What the process had mapped, by address.
    pub mappings: Vec<Mapping>,
    /// Names that the producer knows, by address, then in SPEC 5's order of preference.
    pub symbols: Symbols,
    /// Values, in the maps' order.
    pub values: Vec<Value>,
    /// Globals, by symbol and offset.
    pub globals: Vec<Global>,
    /// Imports, by symbol.
    pub imports: Vec<Import>,
    /// Numbers that stand for an expression, by number.
    pub constants: Vec<(u64, Expression)>,
    /// Expressions that must be non-zero before the initializer may run.
    pub ready: Vec<Expression>,
    /// Named and unnamed expressions evaluated before the fill.
    pub before: Vec<(Option<String>, Expression)>,
    /// Expressions evaluated after the fill.
    pub after: Vec<Expression>,

    /// Addresses whose only names are such that nothing binds to them, and why.
    unbound: Vec<(SessionSymbol, &'static str)>,
    /// Where the entries come from.
    origins: origins::Origins,
    /// What lookups search.
    index: lookup::Index,
    /// Symbol tables of mapped files.
    images: loaded::Images,
    /// What threads have for themselves, in mappings or instead of some; by address.
    threads: Vec<Mapping>,
}

/// Nothing of a process lies lower (Linux's `vm.mmap_min_addr` is 65536 by default): an entry there would make
/// addresses of small numbers.
const LOWEST_ADDRESS: u64 = 0x1000;

/// Whether bits 47 to 63 are alike, as in every address that the processor takes (AMD64 manual, volume 2, 1.1.3).
fn is_canonical(address: u64) -> bool {
    matches!(address as i64 >> 47, 0 | -1)
}

/// Whether text is what `/proc/PID/maps` says about permissions, with or without the last letter.
fn is_perms(text: &str) -> bool {
    let allowed = ["r-", "w-", "x-", "ps"];
    (3..=4).contains(&text.len()) && text.chars().zip(allowed).all(|(letter, of)| of.contains(letter))
}

/// The beginning of a line, for messages.
fn excerpt(line: &str) -> String {
    let shown: String = line.chars().take(60).flat_map(char::escape_debug).collect();
    shown + if line.chars().nth(60).is_some() { "…" } else { "" }
}

/// The mappings that a copy of `/proc/PID/maps` lists; `name` is what messages call it.
///
/// # Errors
/// Names the line that is wrong.
pub fn proc_maps(name: &str, text: &[u8]) -> Result<Vec<Mapping>> {
    let mappings = maps::read(text).map_err(|message| Error::new(ErrorKind::SessionMap, name, message))?;
    Ok(mappings.into_iter().map(|(_, mapping)| mapping).collect())
}

impl SessionMap {
    /// Reads and merges session maps. No source is an empty map.
    ///
    /// # Errors
    /// Names the map, the entry (`values[3].init.args[0]`) and, for syntax, line and column.
    pub fn parse(sources: &[MapSource<'_>], machine: Machine, files: &dyn Files) -> Result<Self> {
        merge::merge(sources, machine, files)
    }

    /// Adds the mappings of a copy of `/proc/PID/maps`; `name` is what messages call it.
    ///
    /// # Errors
    /// Names the text and the line that is wrong or disagrees with what is there already.
    pub fn add_proc_maps(&mut self, name: &str, text: &[u8]) -> Result<()> {
        let mappings =
            maps::read(text).map_err(|message| Error::new(ErrorKind::SessionMap, name, message))?;
        self.merge_mappings(name, mappings)
    }

    /// Adds the symbols of `nm` output (addresses as they stand) or of a perf map; `name` is what messages call it.
    ///
    /// # Errors
    /// Names the text and the line that is wrong or disagrees with what is there already.
    pub fn add_symbols(&mut self, name: &str, text: &[u8]) -> Result<()> {
        let listed = nm::read(text).map_err(|message| Error::new(ErrorKind::SessionMap, name, message))?;
        self.merge_listed_symbols(name, listed)
    }

    /// Whether the map says anything about addresses.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }
}

#[cfg(test)]
mod tests;
