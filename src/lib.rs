//! Makes an object file that a compiler wrote inside a live process an ordinary one.

pub mod arch;
pub mod edits;
pub mod error;
pub mod fill_program;
pub mod format;
pub mod frame_table;
pub mod function_bounds;
mod lsda;
pub mod object_file;
pub mod pointer_encoding;
pub mod reloc;
pub mod report;
mod report_table;
pub mod session_map;
pub mod unwind_section;
pub mod unwind_tables;

pub use error::{Error, ErrorKind, Result};
pub use object_file::ObjectFile;
pub use report::Report;
pub use report_table::Table;
pub use session_map::{Files, MapSource, SessionMap};

/// What relocations the output may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RelocationModel {
    /// None that would need a text relocation: for every kind of output.
    #[default]
    Pic,
    /// Absolute ones in place: for executables at a fixed address.
    Static,
}

/// What happens to places whose meaning is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unresolved {
    /// Nothing is written.
    #[default]
    Error,
    /// They are left as they are, and reported.
    Keep,
}

/// How to rewrite.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What relocations the output may carry.
    pub relocation_model: RelocationModel,
    /// What happens to places whose meaning is not known.
    pub unresolved: Unresolved,
}

/// A rewritten object.
#[derive(Debug)]
pub struct Fixed {
    /// The object's bytes; `None`: they are the input's.
    pub output: Option<Vec<u8>>,
    /// What was found and done.
    pub report: Report,
    /// Things to tell the user that are not errors.
    pub warnings: Vec<String>,
}

/// Rewrites an object.
///
/// # Errors
/// Whatever cannot be made right; then there is no output.
pub fn fix(
    _object: &ObjectFile<'_>,
    _map: &SessionMap,
    _files: &dyn Files,
    _options: &Options,
) -> Result<Fixed> {
    unimplemented!()
}

/// Finds what [`fix`] would change, and changes nothing.
///
/// # Errors
/// A malformed object or image.
pub fn check(
    _object: &ObjectFile<'_>,
    _map: &SessionMap,
    _files: &dyn Files,
    _options: &Options,
) -> Result<Report> {
    unimplemented!()
}

/// Whether an object cannot be rewritten without a session map: everything but one whose record says that an
/// earlier run has done all there is.
pub fn needs_map(_object: &ObjectFile<'_>) -> bool {
    true
}

/// The name of the section in which an object can carry its session map.
pub const EMBEDDED_MAP: &str = ".relocfix.session_map";
