//! The initializer: the program that fills slots, globals and words, the code that runs it, the entry that
//! startup code finds it by, and unwind information for all code that is added.

use std::collections::BTreeMap;

use super::graph::{Node, NodeId};
use super::owners::Owners;
use super::slots::{CODE, INIT_ARRAY, INITIALIZERS, MESSAGES, PROGRAMS};
use super::text_calls::TextCalls;
use super::{Destination, Planner, Store};
use foldhash::HashSet;

use crate::arch::{Fragment, Referent};
use crate::edits::{Extension, Home, NewLocalId, NewRelocation, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::fill_program::{self, FillOp, answer};
use crate::object_file::{GroupId, SectionKind, SymbolPlace, SymbolType};
use crate::plan::symbols::Named;
use crate::reloc::RelocKind;
use crate::report::SectionReport;
use crate::session_map::Returns;
use crate::unwind_section::{CodeFrame, unwind_section};

/// The linker's name for the base of the global offset table.
const OFFSET_TABLE: &str = "_GLOBAL_OFFSET_TABLE_";

/// What a pointer is that must not be null.
pub(super) const NULL: &str = "is null";

/// A program in the making.
#[derive(Default)]
pub(super) struct Program {
    pub(super) operations: Vec<FillOp>,
    /// Nodes whose slot holds them already.
    pub(super) stored: HashSet<NodeId>,
    /// The last operation, if more texts can be added to it.
    pub(super) text_calls: Option<TextCalls>,
}

/// For whom something is computed, and what happens when it is null.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) owners: &'a Owners,
    /// The group whose program it is.
    pub(super) group: Option<GroupId>,
    /// What the message says that cannot be done.
    pub(super) phrase: &'a str,
    pub(super) on_null: OnNull,
}

/// What happens when something is null that must not be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnNull {
    /// A message, and the end of the process.
    Abort,
    /// The program ends: what it needs is not there yet.
    NotReady,
}

impl Planner<'_> {
    /// Makes the fill programs and everything that runs them.
    ///
    /// # Errors
    /// Unwind information that cannot be written, `ready` and its like that cannot be read, and a name that is taken.
    pub(super) fn plan_initializer(&mut self) -> Result<()> {
        let again = self.settle_function()?;
        let fills = !self.stores.is_empty();
        if fills {
            self.read_protocol()?;
        }
        let owners = self.plan_owners();
        let stores = std::mem::take(&mut self.stores);
        let mut programs: BTreeMap<Option<GroupId>, Program> =
            stores.iter().map(|store| (store.group, Program::default())).collect();
        let around = fills && self.protocol.around().next().is_some();
        if again || around {
            // What others need of it, this one has made.
            programs.entry(None).or_default();
        }
        let guarded = again || self.protocol.shares;
        let done: BTreeMap<Option<GroupId>, NewLocalId> = match guarded {
            true => programs.keys().map(|&group| (group, self.done_word(group))).collect(),
            false => BTreeMap::new(),
        };
        if fills {
            let own = done.get(&None).map(|&word| (SymbolRef::Local(word), 0)).filter(|_| again);
            for (&group, program) in &mut programs {
                self.open(program, &owners, group, own.filter(|_| group.is_some()));
            }
        }
        for store in &stores {
            let program = programs.entry(store.group).or_default();
            if !self.plan_text_call(program, &owners, store) {
                self.plan_store(program, &owners, store);
            }
        }
        if fills {
            for (&group, program) in &mut programs {
                self.close(program, &owners, group);
            }
        }
        self.plan_code_of(programs, &done, again);
        self.plan_unwind_section()
    }

    fn plan_store(&mut self, program: &mut Program, owners: &Owners, store: &Store) {
        let phrase = format!("cannot fill {}", store.what);
        let way = Way { owners, group: store.group, phrase: &phrase, on_null: OnNull::Abort };
        let own = self.filled_slots.get(&(store.node, 0)).copied();
        if store.offset == 0
            && let Destination::Slot(slot) = store.destination
            && own == Some(slot)
        {
            self.make(program, &way, store.node);
            return;
        }
        self.push(program, &way, store.node);
        if store.offset != 0 {
            program.operations.push(FillOp::Add(store.offset));
        }
        program.operations.push(store_to(store.destination));
    }

    /// Has the slot of a node filled.
    fn make(&mut self, program: &mut Program, way: &Way<'_>, id: NodeId) {
        let elsewhere = way.owners.get(&id).is_some_and(|owner| *owner != way.group);
        if !elsewhere && !program.stored.contains(&id) {
            self.push(program, way, id);
            program.operations.push(FillOp::Drop);
            fuse_store(&mut program.operations);
        }
    }

    /// Has those of the nodes that a node needs filled that have a slot: what is done only once may not do it.
    fn make_slots(&mut self, program: &mut Program, way: &Way<'_>, id: NodeId) {
        if self.filled_slots.contains_key(&(id, 0)) {
            self.make(program, way, id);
            return;
        }
        for operand in self.graph.node(id).operands() {
            self.make_slots(program, way, operand);
        }
    }

    /// What is done at most once in a link, and noted in the word `done`.
    fn push_once(
        &mut self,
        program: &mut Program,
        way: &Way<'_>,
        words: &[(Referent, NodeId, i64)],
        done: Referent,
    ) {
        for (_, node, _) in words {
            self.make_slots(program, way, *node);
        }
        let before = std::mem::take(&mut program.operations);
        for &(place, node, plus) in words {
            self.push(program, way, node);
            if plus != 0 {
                program.operations.push(FillOp::Add(plus));
            }
            program.operations.push(FillOp::Store(place));
        }
        program.operations.extend([FillOp::PushInt(1), FillOp::Store(done)]);
        let body = std::mem::replace(&mut program.operations, before);
        program.operations.push(FillOp::Once(done, body));
    }

    /// Pushes a node's value.
    pub(super) fn push(&mut self, program: &mut Program, way: &Way<'_>, id: NodeId) {
        let slot = self.filled_slots.get(&(id, 0)).copied();
        // The object's own program has run when a group's runs.
        let elsewhere = way.owners.get(&id).is_some_and(|owner| *owner != way.group);
        if let Some(slot) = slot
            && (program.stored.contains(&id) || elsewhere)
        {
            program.operations.push(FillOp::PushWord((SymbolRef::Local(slot), 0)));
            return;
        }
        let node = self.graph.node(id).clone();
        let mut failure = None;
        match node {
            Node::Address(symbol, addend) => {
                program.operations.push(self.push_address(symbol, addend));
            }
            Node::Int(number) => program.operations.push(FillOp::PushInt(number)),
            Node::Text(text) => {
                let referent = self.string(&text);
                program.operations.push(FillOp::PushAddress(referent));
            }
            Node::Result(position) => program.operations.push(FillOp::PushResult(position)),
            Node::Load(address, offset, nullable) => {
                self.push(program, way, address);
                program.operations.push(FillOp::Load(offset));
                failure = (!nullable).then_some(NULL);
            }
            Node::Call(function, arguments, floats, returns, nullable) => {
                self.push(program, way, function);
                for &argument in &arguments {
                    self.push(program, way, argument);
                }
                let arguments = arguments.len() as u8;
                program.operations.push(FillOp::Call { arguments, floats, returns });
                self.report.summary.calls += 1;
                failure = (!nullable && returns == Returns::Pointer).then_some(NULL);
            }
            Node::Add(base, number) => {
                self.push(program, way, base);
                program.operations.push(FillOp::Add(number));
            }
            Node::Shr(base, bits) => {
                self.push(program, way, base);
                program.operations.push(FillOp::Shr(bits));
            }
            Node::Shl(base, bits) => {
                self.push(program, way, base);
                program.operations.push(FillOp::Shl(bits));
            }
            Node::FromTable(base) => {
                self.push(program, way, base);
                let table = self.external(OFFSET_TABLE);
                program.operations.extend([FillOp::PushTable(table), FillOp::Neg, FillOp::AddPopped]);
            }
            Node::Neg(base) => {
                self.push(program, way, base);
                program.operations.push(FillOp::Neg);
            }
            Node::Not(base) => {
                self.push(program, way, base);
                program.operations.push(FillOp::Not);
            }
            Node::Difference(to, from) => {
                self.push(program, way, to);
                self.push(program, way, from);
                program.operations.extend([FillOp::Neg, FillOp::AddPopped]);
            }
            Node::Library(build_id) => {
                program.operations.extend(self.library_search(&build_id));
                failure = Some("is not loaded");
            }
            Node::Shared(symbol, value) => {
                self.push_once(program, way, &[((symbol, 0), value, 0)], (symbol, 8));
                program.operations.push(FillOp::PushWord((symbol, 0)));
            }
            Node::SharedBlock(symbol, words, done) => {
                let words: Vec<_> =
                    words.iter().map(|&(offset, node, plus)| ((symbol, offset), node, plus)).collect();
                self.push_once(program, way, &words, (symbol, done));
                program.operations.push(FillOp::PushAddress((symbol, 0)));
            }
        }
        if let Some(failure) = failure {
            let operation = match way.on_null {
                OnNull::Abort => FillOp::Check(self.message(id, way.phrase, failure)),
                OnNull::NotReady => FillOp::Require(answer::NOT_READY),
            };
            program.operations.push(operation);
        }
        if let Some(slot) = slot {
            program.operations.push(FillOp::StoreKeep((SymbolRef::Local(slot), 0)));
            program.stored.insert(id);
        }
    }

    /// Pushes an address that the linker knows.
    pub(super) fn push_address(&mut self, symbol: SymbolRef, addend: i64) -> FillOp {
        match self.is_near(symbol) {
            true => FillOp::PushAddress((symbol, addend)),
            false => FillOp::PushWord((SymbolRef::Local(self.pointer_slot(symbol, addend)), 0)),
        }
    }

    /// What the program says when a node is zero: its length, then the line.
    fn message(&mut self, id: NodeId, phrase: &str, failure: &str) -> Referent {
        let text = self.graph.text(id);
        let line = format!("relocfix: error: {}: {phrase}: {text} {failure}\n", self.object_text());
        self.lines(&[&line])
    }

    /// Lines of a message: of each its length in 32 bits, then the line.
    pub(super) fn lines(&mut self, lines: &[&str]) -> Referent {
        let mut data = Vec::new();
        for line in lines {
            data.extend((line.len() as u32).to_le_bytes());
            data.extend_from_slice(line.as_bytes());
        }
        let (section, offset) = self.append(MESSAGES, None, 4, &data);
        (SymbolRef::NewSection(section), offset as i64)
    }

    /// What the object is called at run time, when nobody knows its file any more.
    pub(super) fn object_text(&self) -> &str {
        let symbols = &self.object().symbols;
        let file = symbols.iter().find(|s| s.kind == SymbolType::File && !s.name.is_empty());
        let function = symbols
            .iter()
            .find(|s| s.kind == SymbolType::Function && matches!(s.place, SymbolPlace::Section(_)));
        file.or(function).map_or("an object", |s| s.name)
    }

    /// Code and table entries of all programs. Those with a word in `done` are guarded; `again`: they can be called
    /// again.
    fn plan_code_of(
        &mut self,
        programs: BTreeMap<Option<GroupId>, Program>,
        done: &BTreeMap<Option<GroupId>, NewLocalId>,
        again: bool,
    ) {
        if programs.is_empty() {
            return;
        }
        let arch = self.object().machine.arch();
        let mut entries = Vec::new();
        let mut stack = 0;
        let mut can_fail = false;
        for (group, program) in programs {
            can_fail |= program.operations.iter().any(checks);
            let encoded = fill_program::encode(&program.operations);
            stack = stack.max(encoded.stack);
            let (section, start) = self.append(PROGRAMS, group, 4, &encoded.data);
            for relocation in encoded.relocations {
                let offset = relocation.offset + start;
                self.relocate_new(section, NewRelocation { offset, ..relocation });
            }
            entries.push((group, (SymbolRef::NewSection(section), start as i64)));
        }
        let failure = can_fail.then(|| (self.external("write"), self.external("abort")));
        let fragment = arch.interpreter(stack, failure);
        let interpreter = self.add_code(&fragment, None, "relocfix.interpreter".to_owned());
        let guard = if done.is_empty() { None } else { Some(self.plan_guard(interpreter)) };
        let landing_pads = self.object().landing_pads;
        for (group, program) in entries {
            let fragment = match (guard, done.get(&group)) {
                (Some(guard), Some(&word)) => {
                    let (word, guard) = ((SymbolRef::Local(word), 0), (SymbolRef::Local(guard), 0));
                    arch.guarded_initializer(program, word, guard, landing_pads)
                }
                _ => arch.initializer(program, (SymbolRef::Local(interpreter), 0), landing_pads),
            };
            let entry = self.add_code(&fragment, group, "relocfix.initializer".to_owned());
            let (section, offset) = self.append(INIT_ARRAY, group, 8, &[0; 8]);
            let symbol = SymbolRef::Local(entry);
            self.relocate_new(section, NewRelocation { offset, kind: RelocKind::Abs64, symbol, addend: 0 });
            if again {
                let (section, offset) = self.append(INITIALIZERS, group, 4, &[0; 4]);
                self.relocate_new(
                    section,
                    NewRelocation { offset, kind: RelocKind::Pc32, symbol, addend: 0 },
                );
            }
        }
        if again {
            self.plan_function();
        }
    }

    /// A function of the C library, whatever local names the object has.
    pub(super) fn external(&mut self, name: &str) -> SymbolRef {
        match self.by_name.get(name) {
            Some(&Named::Global(id)) => SymbolRef::Existing(id),
            Some(Named::Local(_) | Named::Ambiguous) | None => self.undefined_symbol(name),
        }
    }

    /// Adds code of ours as a local function.
    pub(super) fn add_code(
        &mut self,
        fragment: &Fragment,
        group: Option<GroupId>,
        name: String,
    ) -> NewLocalId {
        let (section, offset) = self.append(CODE, group, 16, &fragment.code);
        for relocation in &fragment.relocations {
            self.relocate_new(section, NewRelocation { offset: offset + relocation.offset, ..*relocation });
        }
        let length = fragment.code.len() as u64;
        self.code_frames.push(CodeFrame {
            symbol: SymbolRef::NewSection(section),
            offset: offset as i64,
            length: length as u32,
            rows: fragment.frame.clone(),
        });
        self.add_local(name, Home::New(section), offset, length, true)
    }

    /// Unwind information for all code of ours goes where the object's own is, that of groups too, as compilers
    /// have it: linkers drop an entry with its function.
    fn plan_unwind_section(&mut self) -> Result<()> {
        let frames = std::mem::take(&mut self.code_frames);
        if frames.is_empty() {
            return Ok(());
        }
        let common = self.object().machine.arch().common_information();
        let added = unwind_section(common, &frames, None).map_err(|error| {
            let message = format!("the unwind information of added code cannot be written: {error}");
            Error::new(ErrorKind::Verification, self.object().name, message)
        })?;
        let own = self.object().sections.iter().find(|s| {
            s.kind == SectionKind::EhFrame
                && s.group.is_none()
                && !s.data.is_empty()
                && !is_terminated(s.data)
        });
        match own {
            Some(own) => {
                self.edits.extensions.push(Extension {
                    section: own.id,
                    data: added.data,
                    relocations: added.relocations,
                });
                let name = own.name.to_owned();
                self.report.sections.push(SectionReport { name: name.clone(), becomes: name });
            }
            None => self.edits.sections.push(added),
        }
        Ok(())
    }
}

/// Whether call frame information ends with an entry of length zero: linkers read no further.
fn is_terminated(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some((length, entry)) = rest.split_first_chunk::<4>() {
        match u32::from_le_bytes(*length) {
            0 => return true,
            length => rest = entry.get(length as usize..).unwrap_or_default(),
        }
    }
    false
}

fn store_to(destination: Destination) -> FillOp {
    match destination {
        Destination::Near(symbol, addend) => FillOp::Store((symbol, addend)),
        Destination::Slot(slot) => FillOp::Store((SymbolRef::Local(slot), 0)),
        Destination::Far(slot, addend) => FillOp::StoreThrough((SymbolRef::Local(slot), 0), addend),
        Destination::None => FillOp::Drop,
    }
}

/// Whether an operation can fail.
fn checks(operation: &FillOp) -> bool {
    match operation {
        FillOp::Check(_) | FillOp::CallTexts { .. } => true,
        FillOp::Once(_, body) => body.iter().any(checks),
        _ => false,
    }
}

/// A store that keeps and a drop are one store.
fn fuse_store(operations: &mut Vec<FillOp>) {
    if let [.., FillOp::StoreKeep(referent), FillOp::Drop] = operations[..] {
        operations.truncate(operations.len() - 2);
        operations.push(FillOp::Store(referent));
    }
}
