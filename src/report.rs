//! What was found and what was done with it (SPEC 8): as data, as JSON, and as a table for people.

use serde::Serialize;

/// The report of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Version of this format.
    pub relocfix: u32,
    /// The input's name.
    pub input: String,
    /// Its format.
    pub format: String,
    /// Its machine.
    pub machine: String,
    /// Every session-specific constant, by section (in file order) and offset.
    pub places: Vec<PlaceReport>,
    /// Relocations that existed and had to change, by section and offset.
    pub lowered: Vec<LoweredReport>,
    /// Variables filled, by symbol and offset.
    pub globals: Vec<GlobalReport>,
    /// References to imports, by section and offset.
    pub imports: Vec<ImportReport>,
    /// Sections that got another name or became writable.
    pub sections: Vec<SectionReport>,
    /// Symbols that got another name.
    pub renamed: Vec<RenamedReport>,
    /// Libraries whose symbols the output refers to.
    pub libraries: Vec<String>,
    /// What a witness proved.
    pub proof: String,
    /// Counts.
    pub summary: Summary,
}

/// A session-specific constant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceReport {
    /// Its section.
    pub section: String,
    /// Offset of the field itself.
    pub offset: u64,
    /// `code`, `data`, `addend` or `absolute-symbol`.
    pub kind: String,
    /// Bytes.
    pub width: u8,
    /// What stood there.
    #[serde(serialize_with = "hexadecimal")]
    pub value: u64,
    /// The function around it.
    pub function: Option<String>,
    /// Its source line.
    pub line: Option<String>,
    /// What it means; none: unresolved.
    pub target: Option<TargetReport>,
    /// `got`, `slot`, `direct`, `relative`, `thunk`, `init` or `kept`.
    pub delivery: String,
    /// `map`, `witness` or `derived`.
    pub evidence: String,
    /// What alignment of the target was relied on.
    pub assumes_alignment: u64,
    /// Why it is unresolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a constant means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetName {
    /// A symbol of that name.
    Symbol(String),
    /// A value of that name.
    Value(String),
    /// A number of `constants`.
    Constant(String),
}

/// What a constant means, with the offset in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetReport {
    /// Symbol or value.
    #[serde(flatten)]
    pub name: TargetName,
    /// Bytes into it.
    pub offset: i64,
}

/// A relocation that existed and had to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoweredReport {
    /// Its section.
    pub section: String,
    /// Its offset.
    pub offset: u64,
    /// Its symbol.
    pub symbol: String,
    /// As in [`PlaceReport`].
    pub delivery: String,
}

/// A variable that was filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GlobalReport {
    /// Its symbol.
    pub symbol: String,
    /// Bytes into it.
    pub offset: u64,
    /// `relocation` or `init`; `present` where an earlier run did it; `missing` where the object has an empty
    /// variable of a known runtime and no map says what it holds.
    pub delivery: String,
}

/// A reference to an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// The symbol it was bound to by name.
    pub symbol: String,
    /// Section of the reference.
    pub section: String,
    /// Offset of the reference.
    pub offset: u64,
    /// `renamed`, `slot`, `stub` or `init`.
    pub delivery: String,
}

/// A section whose header changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionReport {
    /// Its name.
    pub name: String,
    /// Its name afterwards; the same if only flags changed.
    pub becomes: String,
}

/// A symbol that got another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RenamedReport {
    /// Its name.
    pub name: String,
    /// Its name afterwards.
    pub becomes: String,
}

/// Counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Places found.
    pub places: usize,
    /// Places whose meaning is known.
    pub resolved: usize,
    /// Places whose meaning is not known.
    pub unresolved: usize,
    /// Pointer-sized variables made.
    pub slots: usize,
    /// Thunks made.
    pub thunks: usize,
    /// Calls that the initializer makes.
    pub calls: usize,
}

fn hexadecimal<S: serde::Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:#x}"))
}
