//! What an expression of the session map becomes: an address that the linker knows, with its strings and bytes
//! put into the object, or a node that the initializer computes.

use super::graph::{Node, NodeId};
use super::slots::STRINGS;
use super::{Destination, Found, Placement, Planner, Source, Store};
use crate::arch::Referent;
use crate::edits::{BytesEdit, Home, NewRelocation, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::reloc::RelocKind;
use crate::session_map::{Bytes, Expression, ValueId};
use smallvec::smallvec;

/// How deep values may refer to each other: this and the map reader's own limit bound the stack.
const VALUE_DEPTH: usize = 200;

impl Planner<'_> {
    /// What an expression becomes.
    ///
    /// # Errors
    /// A cycle through addresses, an address that means nothing, a symbol that cannot be referred to.
    pub(super) fn source(&mut self, expression: &Expression) -> Result<Source> {
        match expression {
            Expression::Symbol { name, offset } => Ok(Source::Address(self.symbol_named(name)?, *offset)),
            Expression::String(text) => {
                let (symbol, offset) = self.string(text);
                Ok(Source::Address(symbol, offset))
            }
            Expression::Bytes(bytes) => self.bytes(bytes, (1, 0)),
            Expression::Add(base, number) => {
                let base = self.source(base)?;
                Ok(self.offset_by(base, *number))
            }
            Expression::Value(id) => self.named(*id),
            Expression::Address(address) => self.address(*address),
            Expression::Anchored(anchor) => {
                self.anchored.insert(anchor.file.clone());
                let library = self.graph.add(Node::Library(anchor.id()), || {
                    format!("{} with the build-id {}", anchor.file, anchor.build_id)
                });
                Ok(Source::Computed(library, anchor.offset as i64))
            }
            Expression::Int(number) if self.is_certainly_address(*number) => {
                let message = format!(
                    "the session map's number {number:#x} is an address of the session: `address` says so"
                );
                Err(Error::new(ErrorKind::SessionMap, self.object().name, message))
            }
            Expression::Int(number) | Expression::Float64(number) => {
                Ok(Source::Computed(self.graph.add(Node::Int(*number), || number.to_string()), 0))
            }
            Expression::Load { address, offset, nullable } => {
                let address = self.node(address)?;
                self.computed(Node::Load(address, *offset, *nullable), expression)
            }
            Expression::Call { function, arguments, returns, nullable } => {
                let function = self.node(function)?;
                let mut floats = 0;
                let mut nodes = Vec::new();
                for (i, argument) in arguments.iter().enumerate() {
                    if matches!(argument, Expression::Float64(_)) {
                        floats |= 1 << i;
                    }
                    nodes.push(match argument {
                        Expression::String(text) => {
                            self.graph.add(Node::Text(text.as_str().into()), || format!("{text:?}"))
                        }
                        _ => self.node(argument)?,
                    });
                }
                self.computed(Node::Call(function, nodes, floats, *returns, *nullable), expression)
            }
            Expression::Shr(base, bits) => {
                let base = self.node(base)?;
                self.computed(Node::Shr(base, *bits), expression)
            }
            Expression::Shl(base, bits) => {
                let base = self.node(base)?;
                self.computed(Node::Shl(base, *bits), expression)
            }
            Expression::Neg(base) => {
                let base = self.node(base)?;
                self.computed(Node::Neg(base), expression)
            }
            Expression::Not(base) => {
                let base = self.node(base)?;
                self.computed(Node::Not(base), expression)
            }
            Expression::Low(base) => {
                let base = self.node(base)?;
                let high = self.graph.add(Node::Shl(base, 32), || expression.text(&self.found.map.values));
                self.computed(Node::Shr(high, 32), expression)
            }
            Expression::Difference(to, from) => {
                let (to, from) = (self.node(to)?, self.node(from)?);
                self.computed(Node::Difference(to, from), expression)
            }
        }
    }

    /// Whether a number of the map cannot but be an address of the session: small ones are numbers.
    fn is_certainly_address(&self, number: u64) -> bool {
        u32::try_from(number).is_err() && self.found.map.is_session_constant(number)
    }

    /// Refuses bytes with an address that `words` does not mention.
    fn hold_no_address(&self, bytes: &Bytes) -> Result<()> {
        let mentioned = |at: u64| {
            let first = bytes.words.partition_point(|(word, _)| *word + 8 <= at);
            bytes.words.get(first).is_some_and(|(word, _)| *word < at + 8)
        };
        let words = bytes.data.chunks_exact(8).zip((0..).step_by(8));
        for (word, at) in words {
            let number = word.iter().rev().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
            if self.is_certainly_address(number) && !mentioned(at) {
                let value = self.reading.last().map(|id| &self.found.map.values[id.0 as usize].name);
                let of = value.map_or_else(String::new, |name| format!(" of the value `{name}`"));
                let message = format!(
                    "the session map's bytes{of} hold the session's address {number:#x} at {at:#x}: `words` says what \
                     that means"
                );
                return Err(Error::new(ErrorKind::SessionMap, self.object().name, message));
            }
        }
        Ok(())
    }

    fn computed(&mut self, node: Node, expression: &Expression) -> Result<Source> {
        let found = self.found;
        Ok(Source::Computed(self.graph.add(node, || text(&found, expression)), 0))
    }

    fn node(&mut self, expression: &Expression) -> Result<NodeId> {
        let source = self.source(expression)?;
        Ok(self.node_of(source, expression))
    }

    /// The node of a source; `expression` is what messages call it.
    pub(super) fn node_of(&mut self, source: Source, expression: &Expression) -> NodeId {
        let found = self.found;
        match source {
            Source::Address(symbol, addend) => {
                self.graph.add(Node::Address(symbol, addend), || text(&found, expression))
            }
            Source::Computed(node, 0) => node,
            Source::Computed(node, offset) => {
                self.graph.add(Node::Add(node, offset), || text(&found, expression))
            }
        }
    }

    /// What `{"value": NAME}` stands for: a value, or a result of `before`.
    fn named(&mut self, id: ValueId) -> Result<Source> {
        if let Some(index) = (id.0 as usize).checked_sub(self.found.map.values.len()) {
            let position = self.protocol.position(index);
            return Ok(Source::Computed(self.graph.add(Node::Result(position), || "a result".to_owned()), 0));
        }
        // Wherever it is named, it is the same one.
        let fresh = self.graph.set_fresh(false);
        let source = self.value(id);
        self.graph.set_fresh(fresh);
        let source = source?;
        if self.protocol.reads_ready && matches!(source, Source::Computed(..)) {
            let name = &self.found.map.values[id.0 as usize].name;
            let message = format!(
                "the session map's `ready` needs the value `{name}`, and no value is made before it holds"
            );
            return Err(Error::new(ErrorKind::SessionMap, self.object().name, message));
        }
        Ok(source)
    }

    /// What a value becomes; it is made once.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub(super) fn value(&mut self, id: ValueId) -> Result<Source> {
        if let Some(&source) = self.values.get(&id) {
            return Ok(source);
        }
        let map = self.found.map;
        let value = &map.values[id.0 as usize];
        let error = |message| Error::new(ErrorKind::SessionMap, self.object().name, message);
        if self.reading.contains(&id) {
            return Err(error(format!("the value `{}` needs itself through an address", value.name)));
        }
        if self.reading.len() >= VALUE_DEPTH {
            return Err(error(format!(
                "the value `{}` needs others more than {VALUE_DEPTH} deep",
                value.name
            )));
        }
        self.reading.push(id);
        let source = match (self.found.assumptions.demanded(id), value.address) {
            _ if value.shared => self.shared_value(id),
            (Some(alignment), Some(address)) => self.placed(&value.init, alignment, address),
            _ => self.source(&value.init),
        };
        self.reading.pop();
        let source = source?;
        self.values.insert(id, source);
        Ok(source)
    }

    /// What an address of the session means.
    fn address(&mut self, address: u64) -> Result<Source> {
        let map = self.found.map;
        let meaning = map.meaning(address, self.found.files, self.found.options.private)?;
        self.note_library(&meaning);
        match meaning.expression(map) {
            Some(expression) => self.source(&expression),
            None => {
                let message = format!("the session map's address {address:#x} {}", meaning.text(map));
                Err(Error::new(ErrorKind::Unresolved, self.object().name, message))
            }
        }
    }

    /// A source plus a number of bytes.
    pub(super) fn offset_by(&mut self, source: Source, bytes: i64) -> Source {
        let strings = self.sections.get(&(STRINGS.0, None)).copied();
        match source {
            // The linker merges strings and finds one by its first byte: only a symbol there bears an offset.
            Source::Address(SymbolRef::NewSection(section), start)
                if bytes != 0 && Some(section) == strings =>
            {
                let local = self.add_local(String::new(), Home::New(section), start as u64, 0, false);
                Source::Address(SymbolRef::Local(local), bytes)
            }
            _ => source.plus(bytes),
        }
    }

    /// Where a string lies that the linker may merge.
    pub(super) fn string(&mut self, text: &str) -> Referent {
        let offset = match self.strings.get(text) {
            Some(&offset) => offset,
            None => {
                let mut data = text.as_bytes().to_vec();
                data.push(0);
                let (_, offset) = self.append(STRINGS, None, 1, &data);
                self.strings.insert(text.to_owned(), offset);
                offset
            }
        };
        (SymbolRef::NewSection(self.section(STRINGS, None)), offset as i64)
    }

    /// A copy of bytes that lies, modulo `alignment`, as the session's address did.
    fn placed(&mut self, init: &Expression, alignment: u64, address: u64) -> Result<Source> {
        match init {
            Expression::Bytes(bytes) => self.bytes(bytes, (alignment, address % alignment)),
            Expression::Add(base, number) => {
                let base = self.placed(base, alignment, address.wrapping_sub(*number as u64))?;
                Ok(self.offset_by(base, *number))
            }
            other => self.source(other),
        }
    }

    /// A copy of bytes, so much beyond a multiple of a power of two.
    fn bytes(&mut self, bytes: &Bytes, (alignment, remainder): (u64, u64)) -> Result<Source> {
        self.hold_no_address(bytes)?;
        // Nobody can tell equal copies apart that nobody writes to.
        let sharable = !bytes.writable && bytes.words.is_empty();
        let align = bytes.align.max(alignment);
        if sharable && let Some(&source) = self.shared_bytes.get(&(align, remainder, bytes.data.clone())) {
            return Ok(source);
        }
        let mut words = Vec::new();
        for (offset, word) in &bytes.words {
            words.push((*offset, self.source(word)?));
        }
        let computed = words.iter().any(|(_, source)| matches!(source, Source::Computed(..)));
        let (role, data) = Self::block(bytes, computed);
        let before = vec![0; remainder as usize];
        let (section, start) = self.append(role, None, align, &[before, data.clone()].concat());
        let start = start + remainder;
        if alignment > 1 {
            self.placements.push(Placement { section, offset: start, alignment, remainder });
        }
        for (offset, source) in words {
            let at = start + offset;
            match source {
                Source::Address(symbol, addend) => {
                    self.relocate_new(
                        section,
                        NewRelocation { offset: at, kind: RelocKind::Abs64, symbol, addend },
                    );
                }
                Source::Computed(node, plus) => self.stores.push(Store {
                    destination: Destination::Near(SymbolRef::NewSection(section), at as i64),
                    node,
                    offset: plus,
                    group: None,
                    what: "a word of a block of bytes".to_owned(),
                }),
            }
        }
        let source = Source::Address(SymbolRef::NewSection(section), start as i64);
        if sharable {
            self.shared_bytes.insert((align, remainder, data), source);
        }
        Ok(source)
    }

    /// Removes the session map that the object carries.
    pub(super) fn remove_embedded_map(&mut self) {
        let object = self.object();
        for section in object.sections.iter().filter(|s| s.name == crate::EMBEDDED_MAP) {
            self.edits.section_edits.entry(section.id).or_default().null = true;
            for symbol in object.symbols.iter() {
                if symbol.place == crate::object_file::SymbolPlace::Section(section.id) {
                    self.edits.symbol_edits.entry(symbol.id).or_default().drop_definition = true;
                }
            }
        }
    }

    /// Zeroes bytes of the input.
    pub(super) fn zero(&mut self, section: crate::object_file::SectionId, offset: u64, width: usize) {
        let data = self.object().section(section).data;
        let Some(old) = data.get(offset as usize..offset as usize + width) else {
            return;
        };
        if old.iter().any(|&b| b != 0) {
            self.edits.bytes.push(BytesEdit { section, offset, old: old.into(), new: smallvec![0; width] });
        }
    }
}

/// What messages of the output call an expression: in them no address of the session is left.
fn text(found: &Found<'_>, expression: &Expression) -> String {
    let Found { map, files, options, .. } = *found;
    let mut expression = expression.clone();
    expression
        .resolve_addresses(&|address| map.meaning(address, files, options.private).ok()?.expression(map));
    expression.text(&map.values)
}
