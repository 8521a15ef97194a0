//! What the addresses of the session meant: sorted, merged and checked, so that a lookup is a search.

pub mod expression;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::arch::Machine;
use crate::error::Result;
pub use expression::{Bytes, Expression, Returns, ValueId};

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
    /// A session address without a name, and why: "is in [heap]; give it a value in the session map".
    Unresolved(String),
}

/// All session maps of a run, merged.
#[derive(Debug, Default)]
pub struct SessionMap {
    /// What the process had mapped, by address.
    pub mappings: Vec<Mapping>,
    /// Names that the producer knows, by address, then in SPEC 5's order of preference.
    pub symbols: Vec<SessionSymbol>,
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
}

impl SessionMap {
    /// Reads and merges session maps. No source is an empty map.
    ///
    /// # Errors
    /// Names the map, the entry (`values[3].init.args[0]`) and, for syntax, line and column.
    pub fn parse(_sources: &[MapSource<'_>], _machine: Machine, _files: &dyn Files) -> Result<Self> {
        Ok(Self::default())
    }

    /// Whether the map says anything about addresses.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Disjoint address ranges, sorted, in which a 64-bit constant is session-specific: mappings, symbols,
    /// values and single `constants`. Non-canonical addresses are in none, but for those of `constants`.
    pub fn ranges(&self) -> &[Range<u64>] {
        &[]
    }

    /// Whether a 32-bit operand of that value is session-specific: exactly the address of a symbol or value.
    pub fn is_exact_address(&self, _address: u64) -> bool {
        false
    }

    /// Whether an address lies inside or one past a sized symbol or value, but is not its address.
    pub fn is_interior_address(&self, _address: u64) -> bool {
        false
    }

    /// What a session-specific constant means; images are opened where their symbols are needed.
    ///
    /// # Errors
    /// A file that is needed and is missing, malformed or has another build-id.
    pub fn meaning(&self, _constant: u64, _files: &dyn Files) -> Result<Meaning> {
        Ok(Meaning::Unresolved("is unknown".into()))
    }

    /// The session's address of an external symbol, for verification: the inverse of [`Self::meaning`].
    pub fn address_of(&self, _name: &str, _library: Option<&str>, _files: &dyn Files) -> Option<u64> {
        None
    }
}
