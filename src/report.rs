//! What was found and what was done with it: as data and as JSON. [`crate::Table`] shows it to people.

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
    /// Instructions that combined an address by `or` and add to it now, by section and offset.
    pub realigned: Vec<RealignedReport>,
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
    /// Groups of memory that lay at the same distance from each other in both sessions: of displacements between
    /// them a witness shows nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moved_alike: Vec<Vec<String>>,
    /// What a witness showed to be harmless.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Distances from the thread pointer that only the session's thread-local variables have, by section and offset.
    pub thread_local: Vec<ThreadLocalReport>,
    /// Counts.
    pub summary: Summary,
}

impl Report {
    /// The report as JSON, with a line break at its end. The same report gives the same bytes.
    pub fn to_json(&self) -> String {
        // Numbers, strings and lists alone: this cannot fail, and what cannot fail needs no error.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Whether something session-specific was found: a constant, resolved or not, a distance from the thread pointer,
    /// or a variable that only the session could fill and of which no map says what it holds. What would only be
    /// lowered is none.
    pub fn has_findings(&self) -> bool {
        !self.places.is_empty()
            || !self.thread_local.is_empty()
            || self.globals.iter().any(|global| global.delivery == GlobalReport::MISSING)
    }
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
    /// Of an absolute symbol: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Of a constant among instructions: the offsets of the fields by which they read it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<u64>,
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
    /// What the code relies on: in every process the address is the same modulo this as it was in the session.
    pub assumes_alignment: u64,
    /// Why it is unresolved, or cannot be replaced; of an address that is found without a name: what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a place that stays as it is: the text of the instruction that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
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
    /// The program or library of that name, without any symbol.
    File(String),
    /// What follows from a symbol or value by arithmetic.
    Expression(String),
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<u64>,
    /// As in [`PlaceReport`].
    pub delivery: String,
}

/// An instruction that relied on an alignment, and does no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RealignedReport {
    /// Its section.
    pub section: String,
    /// Its offset.
    pub offset: u64,
    /// The function around it.
    pub function: Option<String>,
    /// Its text.
    pub instruction: String,
    /// The text of the instruction in its place.
    pub becomes: String,
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

impl GlobalReport {
    /// The delivery of a variable of which nothing says what it holds.
    pub const MISSING: &str = "missing";
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

/// A thread-local variable's distance from the thread pointer that stands in an instruction as a number. Nothing can be
/// put in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThreadLocalReport {
    /// Its section.
    pub section: String,
    /// Offset of the number.
    pub offset: u64,
    /// The distance in bytes.
    pub value: i64,
    /// The function around it.
    pub function: Option<String>,
    /// Its source line.
    pub line: Option<String>,
    /// The text of the instruction.
    pub instruction: String,
}

/// A section whose header changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionReport {
    /// Its name.
    pub name: String,
    /// Its name afterwards; the same if it became writable, or if unwind information was added to it.
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// One of everything.
    pub(crate) fn sample() -> Report {
        let place = PlaceReport {
            section: ".text".into(),
            offset: 18,
            kind: "code".into(),
            width: 8,
            value: 0x7f3a_1007_fe50,
            symbol: None,
            reads: Vec::new(),
            function: Some("julia_f_12".into()),
            line: Some("foo.jl:3".into()),
            target: Some(TargetReport { name: TargetName::Symbol("puts".into()), offset: 0 }),
            delivery: "got".into(),
            evidence: "map".into(),
            assumes_alignment: 64,
            reason: None,
            instruction: None,
        };
        let unresolved = PlaceReport {
            section: ".data".into(),
            offset: 8,
            kind: "data".into(),
            value: 0x5555_0000_1000,
            function: None,
            line: None,
            target: None,
            delivery: "kept".into(),
            assumes_alignment: 1,
            reason: Some("is in [heap]; give it a value in the session map".into()),
            ..place.clone()
        };
        let value = PlaceReport {
            offset: 40,
            line: None,
            target: Some(TargetReport { name: TargetName::Value("sym_foo".into()), offset: -8 }),
            delivery: "slot".into(),
            assumes_alignment: 1,
            ..place.clone()
        };
        Report {
            relocfix: 1,
            input: "in.o".into(),
            format: "elf".into(),
            machine: "x86_64".into(),
            places: vec![place, value, unresolved],
            lowered: vec![LoweredReport {
                section: ".ltext".into(),
                offset: 7,
                symbol: "cos".into(),
                reads: Vec::new(),
                delivery: "got".into(),
            }],
            realigned: vec![RealignedReport {
                section: ".text".into(),
                offset: 26,
                function: Some("julia_f_12".into()),
                instruction: "or $0x40,%rax".into(),
                becomes: "add $0x40,%rax".into(),
            }],
            globals: vec![GlobalReport { symbol: "jl_global#12".into(), offset: 0, delivery: "init".into() }],
            imports: vec![ImportReport {
                symbol: "PyExc_ValueError".into(),
                section: ".text".into(),
                offset: 3,
                delivery: "slot".into(),
            }],
            sections: vec![SectionReport {
                name: ".rodata.cst16".into(),
                becomes: ".data.rel.ro.cst16".into(),
            }],
            renamed: vec![RenamedReport {
                name: "numba.dynamic.globals.7f3a1007fe50".into(),
                becomes: "relocfix.cos.0".into(),
            }],
            libraries: vec!["libc.so.6".into()],
            proof: "no witness".into(),
            moved_alike: Vec::new(),
            notes: Vec::new(),
            thread_local: vec![ThreadLocalReport {
                section: ".text".into(),
                offset: 5,
                value: -0x28,
                function: Some("f".into()),
                line: None,
                instruction: "mov %fs:0xffffffffffffffd8,%rax".into(),
            }],
            summary: Summary { places: 3, resolved: 2, unresolved: 1, slots: 1, thunks: 0, calls: 1 },
        }
    }

    #[test]
    fn json_has_the_shape_of_the_contract() {
        let json = sample().to_json();
        assert!(json.ends_with("}\n"));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["relocfix"], 1);
        let first = serde_json::json!({
            "section": ".text", "offset": 18, "kind": "code", "width": 8, "value": "0x7f3a1007fe50",
            "function": "julia_f_12", "line": "foo.jl:3", "target": {"symbol": "puts", "offset": 0},
            "delivery": "got", "evidence": "map", "assumes_alignment": 64
        });
        assert_eq!(value["places"][0], first);
        assert_eq!(value["places"][1]["target"], serde_json::json!({"value": "sym_foo", "offset": -8}));
        assert_eq!(value["places"][2]["target"], serde_json::Value::Null);
        assert_eq!(value["places"][2]["reason"], "is in [heap]; give it a value in the session map");
        let realigned = serde_json::json!([{
            "section": ".text", "offset": 26, "function": "julia_f_12",
            "instruction": "or $0x40,%rax", "becomes": "add $0x40,%rax"
        }]);
        assert_eq!(value["realigned"], realigned);
        let lowered =
            serde_json::json!([{"section": ".ltext", "offset": 7, "symbol": "cos", "delivery": "got"}]);
        assert_eq!(value["lowered"], lowered);
        let globals = serde_json::json!([{"symbol": "jl_global#12", "offset": 0, "delivery": "init"}]);
        assert_eq!(value["globals"], globals);
        let sections = serde_json::json!([{"name": ".rodata.cst16", "becomes": ".data.rel.ro.cst16"}]);
        assert_eq!(value["sections"], sections);
        assert_eq!(value["libraries"], serde_json::json!(["libc.so.6"]));
        let thread_local = serde_json::json!([{"section": ".text", "offset": 5, "value": -0x28, "function": "f",
            "line": null, "instruction": "mov %fs:0xffffffffffffffd8,%rax"}]);
        assert_eq!(value["thread_local"], thread_local);
        assert_eq!(value["proof"], "no witness");
        let summary = serde_json::json!(
            {"places": 3, "resolved": 2, "unresolved": 1, "slots": 1, "thunks": 0, "calls": 1});
        assert_eq!(value["summary"], summary);
        // In the contract's order, so that two reports can be compared as text.
        let order = ["relocfix", "input", "format", "machine", "places", "lowered", "globals", "sections"];
        let at: Vec<_> = order.iter().map(|key| json.find(&format!("\n  \"{key}\"")).unwrap()).collect();
        assert!(at.is_sorted(), "{json}");
    }

    #[test]
    fn lowered_relocations_are_no_findings_and_missing_globals_are() {
        let mut report = sample();
        assert!(report.has_findings());
        report.places.clear();
        assert!(report.has_findings());
        report.thread_local.clear();
        assert!(!report.has_findings());
        report.globals[0].delivery = GlobalReport::MISSING.into();
        assert!(report.has_findings());
    }
}
