//! When the initializer may run, and what goes around a fill: `ready`, `before` and `after` of the session map, and the
//! function by which a program has everything filled that is not yet.
//!
//! Each program evaluates them itself, whatever other programs have done: what is true for one thread need not be so
//! for the next. A program of a group runs after its object's own.

use super::graph::NodeId;
use super::initializer::{OnNull, Program, Way};
use super::owners::Owners;
use super::slots::{CODE, FILLED_SLOTS};
use super::symbols::Named;
use super::{Planner, Source};
use crate::arch::Referent;
use crate::edits::{Home, NewLocalId, NewSectionId, NewUndefined, NewWeak, SymbolRef, WeakId};
use crate::error::{Error, ErrorKind, Result};
use crate::fill_program::{FillOp, answer};
use crate::object_file::{Binding, GroupId, SymbolId, SymbolPlace, Visibility};
use crate::session_map::Expression;

/// The section with a distance to every initializer; its name is one that linkers bound by symbols.
pub(super) const INITIALIZERS: &str = "relocfix_initializers";
const START: &str = "__start_relocfix_initializers";
const STOP: &str = "__stop_relocfix_initializers";
/// The function's name unless another is asked for.
const FUNCTION: &str = "relocfix_init";
/// The word that is held while a program runs.
const LOCK: &str = "relocfix.lock";
/// What gives the processor to other threads, where there is such a function.
const YIELD: &str = "sched_yield";

/// What the planner knows of all this.
#[derive(Default)]
pub(super) struct Protocol {
    ready: Vec<NodeId>,
    /// With whether it stays on the stack, for `after`.
    before: Vec<(NodeId, bool)>,
    after: Vec<NodeId>,
    /// Where on the stack each entry of `before` is.
    positions: Vec<u32>,
    /// `ready` is being read.
    pub(super) reads_ready: bool,
    function: Function,
    /// There are words that several objects fill together.
    pub(super) shares: bool,
}

/// The function that the object shall carry.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Function {
    /// None.
    #[default]
    None,
    /// A new symbol.
    New(WeakId),
    /// A symbol that the object refers to.
    Instead(SymbolId),
    /// An earlier run has made it.
    Present,
    /// The object has something else of that name.
    Taken,
}

impl Protocol {
    /// What is evaluated around every fill.
    pub(super) fn around(&self) -> impl Iterator<Item = NodeId> {
        self.before.iter().map(|(node, _)| *node).chain(self.after.iter().copied())
    }

    /// Where on the stack the result of an entry of `before` is.
    pub(super) fn position(&self, index: usize) -> u32 {
        self.positions.get(index).copied().unwrap_or_default()
    }
}

impl Planner<'_> {
    fn function_name(&self) -> Option<&str> {
        let asked = self.found.options.init_symbol.as_deref();
        asked.or_else(|| (!self.found.map.ready.is_empty()).then_some(FUNCTION))
    }

    /// Decides which symbol the function has, before anything can refer to it.
    pub(super) fn reserve_function(&mut self) {
        let Some(name) = self.function_name().map(str::to_owned) else {
            return;
        };
        let symbol = match self.by_name.get(name.as_str()) {
            None => None,
            Some(&Named::Global(id)) => Some(self.object().symbol(id)),
            Some(Named::Local(_) | Named::Ambiguous) => {
                self.protocol.function = Function::Taken;
                return;
            }
        };
        self.protocol.function = match symbol {
            None => {
                let weak = SymbolRef::Weak(self.edits.add_weak(NewWeak {
                    name: name.clone(),
                    section: NewSectionId(u32::MAX),
                    value: 0,
                    size: 0,
                    function: true,
                    protected: true,
                    instead: None,
                }));
                self.undefined.insert(name, weak);
                Function::New(WeakId(0))
            }
            Some(symbol) => match symbol.place {
                SymbolPlace::Undefined => Function::Instead(symbol.id),
                SymbolPlace::Section(_)
                    if symbol.binding == Binding::Weak
                        && symbol.visibility == Visibility::Protected
                        && self.object().sections.iter().any(|s| s.name == INITIALIZERS) =>
                {
                    Function::Present
                }
                _ => Function::Taken,
            },
        };
    }

    /// Whether the object carries the function: not if nothing in it changes.
    ///
    /// # Errors
    /// Its name is taken.
    pub(super) fn settle_function(&mut self) -> Result<bool> {
        let edits = &self.edits;
        let nothing = self.stores.is_empty()
            && edits.bytes.is_empty()
            && edits.relocations.is_empty()
            && edits.sections.is_empty()
            && edits.locals.is_empty();
        match self.protocol.function {
            Function::None => Ok(false),
            Function::New(_) if nothing => {
                self.edits.weak.clear();
                Ok(false)
            }
            _ if nothing => Ok(false),
            Function::Taken => {
                let name = self.function_name().unwrap_or_default();
                let message = format!(
                    "the object has a symbol `{name}` of its own: give the function that initializes another name \
                     with --init-symbol"
                );
                Err(Error::new(ErrorKind::Refused, self.object().name, message))
            }
            Function::New(_) | Function::Instead(_) | Function::Present => Ok(true),
        }
    }

    /// Reads `ready`, `before` and `after`.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub(super) fn read_protocol(&mut self) -> Result<()> {
        let map = self.found.map;
        let mut stays = 0;
        for (name, _) in &map.before {
            self.protocol.positions.push(stays);
            stays += u32::from(name.is_some());
        }
        self.graph.set_fresh(true);
        self.protocol.reads_ready = true;
        let ready = self.roots(map.ready.iter());
        self.protocol.reads_ready = false;
        let before = self.roots(map.before.iter().map(|(_, init)| init));
        let after = self.roots(map.after.iter());
        self.graph.set_fresh(false);
        self.protocol.ready = ready?;
        self.protocol.before = before?.into_iter().zip(map.before.iter().map(|(n, _)| n.is_some())).collect();
        self.protocol.after = after?;
        Ok(())
    }

    fn roots<'e>(&mut self, expressions: impl Iterator<Item = &'e Expression>) -> Result<Vec<NodeId>> {
        let mut roots = Vec::new();
        for expression in expressions {
            let source: Source = self.source(expression)?;
            roots.push(self.node_of(source, expression));
        }
        Ok(roots)
    }

    /// What a program does before it fills. `first` is the word that says that the object's own program has run.
    pub(super) fn open(
        &mut self,
        program: &mut Program,
        owners: &Owners,
        group: Option<GroupId>,
        first: Option<Referent>,
    ) {
        if let Some(first) = first {
            program.operations.extend([
                FillOp::PushWord(first),
                FillOp::Require(answer::AFTER_ANOTHER),
                FillOp::Drop,
            ]);
        }
        let way = Way { owners, group, phrase: "cannot prepare the fill", on_null: OnNull::NotReady };
        for node in self.protocol.ready.clone() {
            self.push(program, &way, node);
            program.operations.extend([FillOp::Require(answer::NOT_READY), FillOp::Drop]);
        }
        let way = Way { on_null: OnNull::Abort, ..way };
        for (node, stays) in self.protocol.before.clone() {
            self.push(program, &way, node);
            if !stays {
                program.operations.push(FillOp::Drop);
            }
        }
    }

    /// What a program does when it has filled.
    pub(super) fn close(&mut self, program: &mut Program, owners: &Owners, group: Option<GroupId>) {
        let way = Way { owners, group, phrase: "cannot finish the fill", on_null: OnNull::Abort };
        for node in self.protocol.after.clone() {
            self.push(program, &way, node);
            program.operations.push(FillOp::Drop);
        }
    }

    /// The word that says that a program has run.
    pub(super) fn done_word(&mut self, group: Option<GroupId>) -> NewLocalId {
        let section = self.section(FILLED_SLOTS, group);
        let size = &mut self.edits.sections[section.0 as usize].size;
        let value = *size;
        *size += 8;
        self.add_local("relocfix.done".to_owned(), Home::New(section), value, 8, false)
    }

    /// The function that all guarded programs of the object go through.
    pub(super) fn plan_guard(&mut self, interpreter: NewLocalId) -> NewLocalId {
        let lock = self.shared_symbol(LOCK.to_owned(), 8, |planner| {
            let section = planner.section(FILLED_SLOTS, None);
            let size = &mut planner.edits.sections[section.0 as usize].size;
            *size += 8;
            (section, *size - 8)
        });
        let yields = self.linkers_symbol(YIELD, true);
        let arch = self.object().machine.arch();
        let fragment = arch.guard((SymbolRef::Local(interpreter), 0), (lock, 0), yields);
        self.add_code(&fragment, None, "relocfix.guard".to_owned())
    }

    /// The function that calls all initializers.
    pub(super) fn plan_function(&mut self) {
        let function = self.protocol.function;
        if matches!(function, Function::None | Function::Present | Function::Taken) {
            return;
        }
        let (start, stop) = (self.linkers_symbol(START, false), self.linkers_symbol(STOP, false));
        let arch = self.object().machine.arch();
        let fragment = arch.initialize_all(start, stop, self.object().landing_pads);
        let local = self.add_code(&fragment, None, "relocfix.initialize_all".to_owned());
        let section = self.section(CODE, None);
        let (value, size) = {
            let local = &self.edits.locals[local.0 as usize];
            (local.value, local.size)
        };
        match function {
            Function::New(id) => {
                let weak = &mut self.edits.weak[id.0 as usize];
                (weak.section, weak.value, weak.size) = (section, value, size);
            }
            Function::Instead(id) => {
                let name = self.object().symbol(id).name.to_owned();
                self.edits.add_weak(NewWeak {
                    name,
                    section,
                    value,
                    size,
                    function: true,
                    protected: true,
                    instead: Some(id),
                });
            }
            Function::None | Function::Present | Function::Taken => {}
        }
    }

    /// A symbol that is null if nobody defines it, or a boundary that the linker defines.
    fn linkers_symbol(&mut self, name: &str, weak: bool) -> SymbolRef {
        if let Some(&Named::Global(id)) = self.by_name.get(name) {
            return SymbolRef::Existing(id);
        }
        if let Some(&symbol) = self.undefined.get(name) {
            return symbol;
        }
        let undefined = NewUndefined { name: name.to_owned(), weak, hidden: !weak };
        self.edits.undefined.push(undefined);
        let symbol = SymbolRef::Undefined(crate::edits::UndefinedId(self.edits.undefined.len() as u32 - 1));
        self.undefined.insert(name.to_owned(), symbol);
        symbol
    }
}
