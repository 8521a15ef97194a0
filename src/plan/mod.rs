//! Decides how every place, relocation, global and import gets what it means, and collects the edits; nothing
//! is changed here. What cannot be done safely is a problem; with one problem nothing at all is done.

mod absolute_symbols;
mod addends;
mod expressions;
mod globals;
mod graph;
mod imports;
mod initializer;
mod libraries;
mod names;
mod owners;
mod place_reports;
mod places;
mod pool_words;
mod protocol;
mod realigned;
mod record;
mod relocations;
mod sections;
mod shared;
mod slots;
mod symbols;
mod text_calls;
mod thunks;
mod unfilled;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashSet};

use crate::arch::{Half, Referent};
use crate::assumptions::Assumptions;
use crate::edits::{Edits, NewLocalId, NewSectionId, SymbolRef};
use crate::error::{Problem, Result};
use crate::frame_table::FrameTable;
use crate::object_code::ObjectCode;
use crate::object_file::{GroupId, InOrder, ObjectFile, SectionId, SymbolId};
use crate::record::Record;
use crate::repeats::Repeats;
use crate::report::Report;
use crate::scan::Scan;
use crate::session_map::{Files, Global, Meaning, SessionMap, ValueId};
use crate::thread_local;
use crate::unwind_section::CodeFrame;
use crate::witness::Testimony;
use crate::{Options, RelocationModel};
use graph::{Graph, NodeId};
pub(crate) use pool_words::PoolBlock;
pub(crate) use slots::{is_made_text, is_of_map};

/// What a reference must yield.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// An address that the linker knows.
    Address(SymbolRef, i64),
    /// What the initializer computes, plus a number.
    Computed(NodeId, i64),
}

impl Source {
    fn plus(self, bytes: i64) -> Self {
        match self {
            Source::Address(symbol, addend) => Source::Address(symbol, addend.wrapping_add(bytes)),
            Source::Computed(node, offset) => Source::Computed(node, offset.wrapping_add(bytes)),
        }
    }
}

/// Everything that the run has found out before planning.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) object: &'a ObjectFile<'a>,
    pub(crate) map: &'a SessionMap,
    pub(crate) files: &'a dyn Files,
    pub(crate) options: &'a Options<'a>,
    pub(crate) record: &'a Record,
    /// The map's, and those that names alone say.
    pub(crate) globals: &'a [Global],
    pub(crate) frames: &'a FrameTable<'a>,
    pub(crate) scan: &'a Scan<'a>,
    pub(crate) code: &'a ObjectCode<'a>,
    pub(crate) testimony: &'a Testimony,
    pub(crate) assumptions: &'a Assumptions,
    /// Numbers that lead from one thing of the session to another.
    pub(crate) distances: &'a [Problem],
    /// Places that are done like one of those that were found.
    pub(crate) repeats: &'a Repeats,
}

/// The finished plan.
pub(crate) struct Plan {
    /// What will be changed.
    pub(crate) edits: Edits,
    /// What was decided.
    pub(crate) report: Report,
    /// Programs and libraries that are found by their build-id.
    pub(crate) anchored: BTreeSet<String>,
    /// What cannot be done, by place; then `edits` must not be applied.
    pub(crate) problems: Vec<Problem>,
    /// What every field shall yield, for verification.
    pub(crate) decisions: Vec<Decision>,
    /// What the initializer stores, by slot of ours and by place in the input.
    pub(crate) filled: Filled,
    /// Copies of what instructions read from among the code.
    pub(crate) pool_blocks: Vec<PoolBlock>,
    /// Copies of bytes that lie as the session's did.
    pub(crate) placements: Vec<Placement>,
    /// All repeats are among the edits.
    pub(crate) repeated: bool,
}

/// Where a copy of bytes must lie: its offset in its section is `remainder` more than a multiple of `alignment`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement {
    pub(crate) section: NewSectionId,
    pub(crate) offset: u64,
    pub(crate) alignment: u64,
    pub(crate) remainder: u64,
}

/// What the initializer stores.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// In slots of ours.
    pub(crate) slots: HashMap<NewLocalId, Source>,
    /// In sections of the input.
    pub(crate) words: HashMap<(SectionId, u64), Source>,
}

/// How a field gets what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// From the symbol's entry in the global offset table.
    Got,
    /// From a slot.
    Slot,
    /// Pc-relative.
    Relative,
    /// By an absolute relocation in place.
    Direct,
    /// In code of ours that the place jumps to.
    Thunk,
    /// The initializer stores it.
    Init,
}

impl How {
    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            How::Got => "got",
            How::Slot => "slot",
            How::Relative => "relative",
            How::Direct => "direct",
            How::Thunk => "thunk",
            How::Init => "init",
        }
    }
}

/// A field of the input that changes, and what it shall yield.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision {
    /// Its section.
    pub(crate) section: SectionId,
    /// The instruction's offset and length, or the field's.
    pub(crate) start: u64,
    pub(crate) length: u8,
    /// The field's distance from there.
    pub(crate) field: u8,
    /// What it shall yield,
    pub(crate) source: Source,
    /// or this half of that.
    pub(crate) half: Option<Half>,
    /// How.
    pub(crate) how: How,
}

impl Decision {
    /// Whether both are constants of one instruction that is done in one thunk.
    pub(crate) fn shares_thunk(&self, other: &Self) -> bool {
        let place = |decision: &Self| (decision.section, decision.start, decision.how == How::Thunk);
        self.how == How::Thunk && place(self) == place(other)
    }
}

/// A store that the initializer makes.
struct Store {
    destination: Destination,
    node: NodeId,
    offset: i64,
    /// The group that the destination is a member of: then a program of its own does it. Of a slot it is the
    /// one group that uses it.
    group: Option<GroupId>,
    /// What is filled, for messages.
    what: String,
}

/// Where a store goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    /// Within 2 GiB of the initializer.
    Near(SymbolRef, i64),
    /// Wherever that pointer slot says, plus a number.
    Far(NewLocalId, i64),
    /// A filled slot of ours.
    Slot(NewLocalId),
    /// Nowhere: computing it does all there is to do.
    None,
}

/// What a section of the input comes to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holds {
    /// Addresses, relocated at load and constant from then on.
    Addresses,
    /// Words that the initializer stores.
    Stored,
}

/// The plan in the making.
struct Planner<'a> {
    found: Found<'a>,
    edits: Edits,
    report: Report,
    problems: Vec<Problem>,
    /// New sections by name and group.
    sections: HashMap<(&'static str, Option<GroupId>), NewSectionId>,
    graph: Graph,
    values: HashMap<ValueId, Source>,
    /// Values whose expressions are being read, to find cycles.
    reading: Vec<ValueId>,
    strings: HashMap<String, u64>,
    /// What is said when one of many calls of a function returns null, by function.
    text_messages: HashMap<NodeId, Referent>,
    /// Blocks of bytes that equal expressions share, by alignment, distance from a multiple of it, and contents.
    shared_bytes: HashMap<(u64, u64, Vec<u8>), Source>,
    placements: Vec<Placement>,
    /// Pointer slots, by group, symbol and number of bytes from that.
    pointer_slots: HashMap<(Option<GroupId>, SymbolRef, i64), NewLocalId>,
    filled_slots: HashMap<(NodeId, i64), NewLocalId>,
    /// Who uses a filled slot: groups, or the rest of the object.
    slot_users: HashMap<NewLocalId, BTreeSet<Option<GroupId>>>,
    stubs: HashMap<Source, NewLocalId>,
    /// Symbols for elements of sections that linkers merge, by section and offset.
    elements: HashMap<(SectionId, u64), NewLocalId>,
    stores: Vec<Store>,
    /// The function that looks for a library, if one is looked for.
    find_library: Option<NewLocalId>,
    /// Programs and libraries that are found by their build-id.
    anchored: BTreeSet<String>,
    /// Code of ours, for its unwind tables.
    code_frames: Vec<CodeFrame>,
    holds: BTreeMap<SectionId, Holds>,
    /// Symbols of the input that references no longer use, and what they use instead.
    replaced: HashMap<SymbolId, SymbolRef>,
    imports: HashMap<SymbolId, Source>,
    by_name: HashMap<&'a str, symbols::Named>,
    undefined: HashMap<String, SymbolRef>,
    /// Words of the input that a global's expression goes to: they are no places any more.
    global_words: BTreeSet<(SectionId, u64)>,
    /// Sections with places that stay as they are.
    kept: BTreeSet<SectionId>,
    decisions: Vec<Decision>,
    /// Instructions that change as a whole, by their first byte.
    replaced_instructions: HashSet<(SectionId, u64)>,
    /// Where in the relocations of a section the last place was that was looked at, and its offset.
    relocations: Cell<Option<(SectionId, u64, InOrder<'a>)>>,
    /// Constants that were planned together with the other one of their instruction.
    planned_with_another: BTreeSet<(SectionId, u64)>,
    filled: Filled,
    pool_blocks: Vec<PoolBlock>,
    /// Relocations that are places of their own, by section and entry.
    planned_addends: HashSet<(SectionId, u32)>,
    /// What the session map's meanings become, by where they are.
    prepared: HashMap<*const Meaning, places::Prepared<'a>>,
    /// Absolute symbols that hold an address of the session, what it means and what that is called.
    absolutes: BTreeMap<SymbolId, (Source, String)>,
    /// Those of them that repeat the name of what lies there.
    own_named: HashSet<SymbolId>,
    /// Instructions that read from such a copy.
    block_readers: BTreeSet<(SectionId, u64)>,
    /// Found out at the first word among the code.
    code_references: Option<pool_words::References>,
    /// When the initializer may run, and what goes around a fill.
    protocol: protocol::Protocol,
}

/// Makes the plan.
///
/// # Errors
/// A session map whose expressions cannot be read, and malformed unwind tables. What cannot be rewritten is
/// among the plan's problems.
pub(crate) fn plan(found: Found<'_>) -> Result<Plan> {
    let mut planner = Planner::new(found);
    // Names first: from here on it is fixed what every symbol of the input stands for.
    planner.find_absolute_symbols();
    planner.rename_spelled_addresses();
    planner.reserve_function();
    planner.plan_globals()?;
    planner.note_inferred();
    planner.find_unfilled();
    planner.plan_imports()?;
    // Then every reference, in the order of the file.
    planner.plan_places()?;
    planner.plan_relocations()?;
    planner.plan_realigned();
    // Then what they need.
    planner.plan_sections();
    planner.remove_embedded_map();
    if planner.problems.is_empty() {
        planner.plan_initializer()?;
        planner.lay_out_slots();
        planner.weaken_unreferenced();
        planner.finish_absolute_symbols();
        planner.write_record();
    }
    planner.finish_report();
    let repeated = planner.follow_repeats();
    planner.refuse_bytecode();
    let Planner { edits, report, anchored, problems, decisions, filled, pool_blocks, placements, .. } =
        planner;
    Ok(Plan { edits, report, anchored, problems, decisions, filled, pool_blocks, placements, repeated })
}

impl<'a> Planner<'a> {
    fn new(found: Found<'a>) -> Self {
        let report = Report {
            relocfix: 1,
            input: found.object.name.to_owned(),
            format: found.object.format.name().to_owned(),
            machine: found.object.machine.name().to_owned(),
            proof: found.testimony.proof.name().to_owned(),
            moved_alike: found.testimony.moved_alike.clone(),
            notes: found.testimony.notes.clone(),
            thread_local: thread_local::reports(found.object, found.scan),
            ..Report::default()
        };
        Planner {
            found,
            edits: Edits::default(),
            report,
            problems: [&found.testimony.problems[..], &found.assumptions.problems, found.distances].concat(),
            sections: HashMap::default(),
            graph: Graph::default(),
            values: HashMap::default(),
            reading: Vec::new(),
            strings: HashMap::default(),
            text_messages: HashMap::default(),
            shared_bytes: HashMap::default(),
            placements: Vec::new(),
            pointer_slots: HashMap::default(),
            filled_slots: HashMap::default(),
            slot_users: HashMap::default(),
            stubs: HashMap::default(),
            elements: HashMap::default(),
            stores: Vec::new(),
            find_library: None,
            anchored: BTreeSet::new(),
            code_frames: Vec::new(),
            holds: BTreeMap::new(),
            replaced: HashMap::default(),
            imports: HashMap::default(),
            by_name: symbols::index(found.object),
            undefined: HashMap::default(),
            global_words: BTreeSet::new(),
            kept: BTreeSet::new(),
            decisions: Vec::new(),
            replaced_instructions: HashSet::default(),
            relocations: Cell::new(None),
            planned_with_another: BTreeSet::new(),
            filled: Filled::default(),
            pool_blocks: Vec::new(),
            planned_addends: HashSet::default(),
            prepared: HashMap::default(),
            absolutes: BTreeMap::new(),
            own_named: HashSet::default(),
            block_readers: BTreeSet::new(),
            code_references: None,
            protocol: protocol::Protocol::default(),
        }
    }

    fn object(&self) -> &'a ObjectFile<'a> {
        self.found.object
    }

    fn pic(&self) -> bool {
        self.found.options.relocation_model == RelocationModel::Pic
    }

    /// Notes that a place cannot be done, and why.
    fn refuse(&mut self, section: SectionId, offset: u64, message: String) {
        let at = Some(self.found.scan.at(self.object(), section, offset));
        self.problems.push(Problem { file: self.object().name.to_owned(), at, message });
    }

    /// Has the places that were set aside done like the others; `false`: they have to be planned each by itself.
    fn follow_repeats(&mut self) -> bool {
        // A place that is left is told with all that are like it.
        let simple = self.problems.is_empty() && self.report.places.is_empty();
        let is_variable = |id| self.global_words.iter().any(|(section, _)| *section == id);
        let variables = self.found.repeats.sections().any(is_variable);
        if self.found.repeats.is_empty() || !simple || variables {
            return self.found.repeats.is_empty();
        }
        let Some(count) = self.found.repeats.follow(self.found.object, &mut self.edits) else { return false };
        self.report.summary.places += count;
        self.report.summary.resolved += count;
        true
    }

    /// A linker that compiles the object anew takes nothing of what was fixed: only what stays as it is can go on.
    fn refuse_bytecode(&mut self) {
        if let Some(section) = self.object().bytecode.filter(|_| !self.edits.is_empty()) {
            let message = "holds the code once more, for link-time optimization, with the session's addresses in it: a linker \
                           would compile that; compile without -flto, or remove it: objcopy -R '.gnu.lto_*' -R .llvm.lto";
            self.refuse(section, 0, message.to_owned());
        }
    }

    /// Sorts what was noted in planning order, and counts.
    fn finish_report(&mut self) {
        let report = &mut self.report;
        report.libraries.sort();
        for section in &mut self.edits.sections {
            section.relocations.sort_by_key(|r| r.offset);
        }
        self.edits.bytes.sort_by_key(|edit| (edit.section, edit.offset));
    }
}
