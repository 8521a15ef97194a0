//! Stores of what a function returns for a text, as a runtime interns its symbols: many of them one behind the other are
//! one operation that walks a row of texts, with one message for all.

use std::rc::Rc;

use super::graph::{Node, NodeId};
use super::initializer::{NULL, Program};
use super::owners::Owners;
use super::{Destination, Planner, Store};
use crate::arch::Referent;
use crate::edits::{Home, SymbolRef};
use crate::fill_program::{FillOp, TEXT_LIMIT};
use crate::session_map::Returns;

/// The last operation of a program, to which more texts can be added.
pub(super) struct TextCalls {
    function: NodeId,
    /// Where the last of them goes.
    last: (Home, u64),
    /// How many operations the program has then: with more, another one is the last.
    operations: usize,
}

impl Planner<'_> {
    /// Plans a store of what a function returns for a text; says whether it is one.
    pub(super) fn plan_text_call(&mut self, program: &mut Program, owners: &Owners, store: &Store) -> bool {
        let Some((function, symbol, text)) = self.text_call(program, owners, store) else {
            return false;
        };
        let (destination, last) = match store.destination {
            Destination::Slot(slot) => {
                ((SymbolRef::Local(slot), 0), self.position(SymbolRef::Local(slot), 0))
            }
            Destination::Near(symbol, addend) => ((symbol, addend), self.position(symbol, addend)),
            Destination::Far(..) | Destination::None => return false,
        };
        let Some(last) = last else {
            return false;
        };
        self.report.summary.calls += 1;
        program.stored.insert(store.node);
        let known = program.text_calls.as_ref().filter(|known| known.operations == program.operations.len());
        let words =
            known.filter(|known| known.function == function).and_then(|known| words(known.last, last));
        if let Some(words) = words
            && let Some(FillOp::CallTexts { texts, .. }) = program.operations.last_mut()
        {
            texts.push((words, text.as_ref().into()));
        } else {
            let message = self.text_message(function);
            program.operations.push(self.push_address(symbol, 0));
            program.operations.push(FillOp::PushAddress(destination));
            program.operations.push(FillOp::CallTexts { message, texts: vec![(0, text.as_ref().into())] });
        }
        program.text_calls = Some(TextCalls { function, last, operations: program.operations.len() });
        true
    }

    /// The function, its symbol and the text, if that is all that the store needs and nothing else has made it.
    fn text_call(
        &self,
        program: &Program,
        owners: &Owners,
        store: &Store,
    ) -> Option<(NodeId, SymbolRef, Rc<str>)> {
        let own_slot = match (self.filled_slots.get(&(store.node, 0)), store.destination) {
            (None, _) => true,
            (Some(own), Destination::Slot(slot)) => *own == slot,
            (Some(_), _) => false,
        };
        let elsewhere = owners.get(&store.node).is_some_and(|owner| *owner != store.group);
        if store.offset != 0 || !own_slot || elsewhere || program.stored.contains(&store.node) {
            return None;
        }
        let Node::Call(function, arguments, 0, Returns::Pointer, false) = self.graph.node(store.node) else {
            return None;
        };
        let (&Node::Address(symbol, 0), [argument]) = (self.graph.node(*function), &arguments[..]) else {
            return None;
        };
        let Node::Text(text) = self.graph.node(*argument) else {
            return None;
        };
        // The message has the text as it is: where it needs an escape, the message is one of its own.
        let plain = format!("{text:?}").len() == text.len() + 2;
        (plain && text.len() <= TEXT_LIMIT).then(|| (*function, symbol, text.clone()))
    }

    /// Where in a section that stays in one piece a symbol plus a number is.
    fn position(&self, symbol: SymbolRef, addend: i64) -> Option<(Home, u64)> {
        let (home, start) = match symbol {
            SymbolRef::Section(section) => (Home::Existing(section), 0),
            SymbolRef::NewSection(section) => (Home::New(section), 0),
            SymbolRef::Local(local) => {
                let local = &self.edits.locals[local.0 as usize];
                (local.home, local.value)
            }
            SymbolRef::Existing(_) | SymbolRef::Undefined(_) | SymbolRef::Weak(_) => return None,
        };
        Some((home, start.checked_add_signed(addend)?))
    }

    /// What is said when such a call returns null: what stands before the text, and what behind it.
    fn text_message(&mut self, function: NodeId) -> Referent {
        if let Some(&message) = self.text_messages.get(&function) {
            return message;
        }
        let (object, called) = (self.object_text(), self.graph.text(function));
        let before = format!("relocfix: error: {object}: cannot fill a pointer: {called}(\"");
        let message = self.lines(&[&before, &format!("\") {NULL}\n")]);
        self.text_messages.insert(function, message);
        message
    }
}

/// How many words one place lies behind another, if the operation can say so.
fn words(from: (Home, u64), to: (Home, u64)) -> Option<u8> {
    let bytes = to.1.checked_sub(from.1).filter(|bytes| bytes % 8 == 0)?;
    u8::try_from(bytes / 8).ok().filter(|_| from.0 == to.0)
}
