//! Values that all objects of a link share: one slot, or one copy of bytes, is a weak hidden symbol in each of them, of
//! which the linker takes one for all. Its name says what it holds, so that it is never another thing: the value's name
//! and a digest of its expression. Whichever initializer comes first fills it.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::graph::Node;
use super::slots::{BYTES, DATA, FILLED_SLOTS, POINTER_BYTES, Role};
use super::symbols::Named;
use super::{Destination, Planner, Source, Store};
use crate::edits::{NewRelocation, NewWeak, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::object_file::SymbolPlace;
use crate::reloc::RelocKind;
use crate::session_map::{Bytes, Expression, Returns, ValueId};

/// A slot, and the word behind it that says whether it is filled.
const SLOT: u64 = 16;

impl Planner<'_> {
    /// What a shared value becomes.
    ///
    /// # Errors
    /// As [`Self::source`]; and an expression that names something of this object alone.
    pub(super) fn shared_value(&mut self, id: ValueId) -> Result<Source> {
        let map = self.found.map;
        let value = &map.values[id.0 as usize];
        let digest = Digester { planner: self, values: HashMap::new() }.value(id)?;
        let digest: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("relocfix.shared.{}.{digest}", value.name);
        match &value.init {
            Expression::Bytes(bytes) => return self.shared_block(name, bytes),
            Expression::String(text) => {
                let mut data = text.clone().into_bytes();
                data.push(0);
                let bytes = Bytes { data, align: 1, writable: false, words: Vec::new() };
                return self.shared_block(name, &bytes);
            }
            _ => {}
        }
        let source = self.source(&value.init)?;
        if let Source::Address(SymbolRef::Existing(_) | SymbolRef::Undefined(_) | SymbolRef::Weak(_), _) =
            source
        {
            // The same address whoever asks.
            return Ok(source);
        }
        let node = self.node_of(source, &value.init);
        let symbol = self.shared_symbol(name, SLOT, |planner| {
            let section = planner.section(FILLED_SLOTS, None);
            let size = &mut planner.edits.sections[section.0 as usize].size;
            *size += SLOT;
            (section, *size - SLOT)
        });
        self.protocol.shares = true;
        let node = self.graph.add(Node::Shared(symbol, node), || value.name.clone());
        Ok(Source::Computed(node, 0))
    }

    fn shared_block(&mut self, name: String, bytes: &Bytes) -> Result<Source> {
        let mut words = Vec::new();
        for (offset, word) in &bytes.words {
            words.push((*offset, self.source(word)?));
        }
        let computed = words.iter().any(|(_, source)| matches!(source, Source::Computed(..)));
        let (role, mut data) = Self::block(bytes, computed);
        let done = data.len().next_multiple_of(8);
        if computed {
            data.resize(done + 8, 0);
        }
        let symbol = self.shared_symbol(name, data.len() as u64, |planner| {
            let align = if computed { bytes.align.max(8) } else { bytes.align };
            let (section, start) = planner.append(role, None, align, &data);
            for &(offset, source) in &words {
                if let Source::Address(symbol, addend) = source {
                    let offset = start + offset;
                    let relocation = NewRelocation { offset, kind: RelocKind::Abs64, symbol, addend };
                    planner.relocate_new(section, relocation);
                }
            }
            (section, start)
        });
        if computed {
            self.protocol.shares = true;
            let mut stored = Vec::new();
            for &(offset, source) in &words {
                if let Source::Computed(node, plus) = source {
                    stored.push((offset as i64, node, plus));
                }
            }
            let what = "a word of a shared block of bytes".to_owned();
            let node = self.graph.add(Node::SharedBlock(symbol, stored, done as i64), || what.clone());
            self.stores.push(Store { destination: Destination::None, node, offset: 0, group: None, what });
        }
        Ok(Source::Address(symbol, 0))
    }

    /// Where a block of bytes goes and what it is in the file: what a relocation or the initializer writes must not
    /// say what stood there.
    pub(super) fn block(bytes: &Bytes, computed: bool) -> (Role, Vec<u8>) {
        let role = match (bytes.writable || computed, bytes.words.is_empty()) {
            (true, _) => DATA,
            (false, true) => BYTES,
            (false, false) => POINTER_BYTES,
        };
        let mut data = bytes.data.clone();
        for &(offset, _) in &bytes.words {
            if let Some(word) = data.get_mut(offset as usize..offset as usize + 8) {
                word.fill(0);
            }
        }
        (role, data)
    }

    /// The symbol of that name: the input's own, where an earlier run has made it in an object that `ld -r` has put in
    /// here, else a new one that `place` finds a place for.
    pub(super) fn shared_symbol(
        &mut self,
        name: String,
        size: u64,
        place: impl FnOnce(&mut Self) -> (crate::edits::NewSectionId, u64),
    ) -> SymbolRef {
        if let Some(&Named::Global(id)) = self.by_name.get(name.as_str())
            && matches!(self.object().symbol(id).place, SymbolPlace::Section(_))
        {
            return SymbolRef::Existing(id);
        }
        if let Some(&symbol) = self.undefined.get(&name) {
            return symbol;
        }
        let (section, value) = place(self);
        let weak = NewWeak {
            name: name.clone(),
            section,
            value,
            size,
            function: false,
            protected: false,
            instead: None,
        };
        let symbol = SymbolRef::Weak(self.edits.add_weak(weak));
        self.undefined.insert(name, symbol);
        symbol
    }
}

/// Digests of expressions that are equal exactly if these make the same thing in every object of a link.
struct Digester<'p, 'a> {
    planner: &'p mut Planner<'a>,
    values: HashMap<ValueId, [u8; 32]>,
}

impl Digester<'_, '_> {
    fn value(&mut self, id: ValueId) -> Result<[u8; 32]> {
        if let Some(&digest) = self.values.get(&id) {
            return Ok(digest);
        }
        let map = self.planner.found.map;
        let mut hash = Sha256::new();
        // A value that needs itself through addresses is found when it is read; here it must only end.
        self.values.insert(id, [0; 32]);
        self.expression(&map.values[id.0 as usize].init, &mut hash)?;
        let digest: [u8; 32] = hash.finalize().into();
        self.values.insert(id, digest);
        Ok(digest)
    }

    fn expression(&mut self, expression: &Expression, hash: &mut Sha256) -> Result<()> {
        let number = |hash: &mut Sha256, number: u64| hash.update(number.to_le_bytes());
        let text = |hash: &mut Sha256, bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        match expression {
            Expression::Symbol { name, offset } => {
                self.refuse_own(name)?;
                hash.update(b"S");
                text(hash, name.as_bytes());
                number(hash, *offset as u64);
            }
            Expression::Load { address, offset, nullable } => {
                hash.update([b'L', u8::from(*nullable)]);
                number(hash, *offset as u64);
                self.expression(address, hash)?;
            }
            Expression::Call { function, arguments, returns, nullable } => {
                let returns = match returns {
                    Returns::Pointer => b'p',
                    Returns::Int32 => b'i',
                    Returns::Void => b'v',
                };
                hash.update([b'C', returns, u8::from(*nullable), arguments.len() as u8]);
                self.expression(function, hash)?;
                for argument in arguments {
                    self.expression(argument, hash)?;
                }
            }
            Expression::String(string) => {
                hash.update(b"T");
                text(hash, string.as_bytes());
            }
            Expression::Bytes(bytes) => {
                hash.update([b'B', u8::from(bytes.writable)]);
                number(hash, bytes.align);
                let (_, data) = Planner::block(bytes, false);
                text(hash, &data);
                number(hash, bytes.words.len() as u64);
                for (offset, word) in &bytes.words {
                    number(hash, *offset);
                    self.expression(word, hash)?;
                }
            }
            Expression::Int(bits) => {
                hash.update(b"I");
                number(hash, *bits);
            }
            Expression::Float64(bits) => {
                hash.update(b"F");
                number(hash, *bits);
            }
            Expression::Add(base, summand) => {
                hash.update(b"+");
                number(hash, *summand as u64);
                self.expression(base, hash)?;
            }
            Expression::Shr(base, count) => {
                hash.update([b'>', *count]);
                self.expression(base, hash)?;
            }
            Expression::Shl(base, count) => {
                hash.update([b'<', *count]);
                self.expression(base, hash)?;
            }
            Expression::Neg(base) => {
                hash.update(b"-");
                self.expression(base, hash)?;
            }
            Expression::Not(base) => {
                hash.update(b"~");
                self.expression(base, hash)?;
            }
            Expression::Anchored(anchor) => {
                hash.update(b"A");
                text(hash, anchor.build_id.as_bytes());
                number(hash, anchor.offset);
            }
            Expression::Low(base) => {
                hash.update(b"l");
                self.expression(base, hash)?;
            }
            Expression::Difference(to, from) => {
                hash.update(b"D");
                self.expression(to, hash)?;
                self.expression(from, hash)?;
            }
            Expression::Value(id) => {
                let digest = self.value(*id)?;
                hash.update(b"V");
                hash.update(digest);
            }
            Expression::Address(address) => {
                let map = self.planner.found.map;
                let found = self.planner.found;
                let meaning = map.meaning(*address, found.files, found.options.private)?;
                // Without a meaning there is none for the expression either: reading it says why.
                if let Some(expression) = meaning.expression(map) {
                    self.expression(&expression, hash)?;
                }
            }
        }
        Ok(())
    }

    /// What only this object has under that name is another thing in the next one.
    fn refuse_own(&self, name: &str) -> Result<()> {
        let own = match self.planner.by_name.get(name) {
            Some(Named::Local(_) | Named::Ambiguous) => true,
            Some(Named::Global(id)) => self.planner.replaced.contains_key(id),
            None => false,
        };
        if !own {
            return Ok(());
        }
        let message = format!("a shared value of the session map needs `{name}`, which is this object's own");
        Err(Error::new(ErrorKind::Refused, self.planner.object().name, message))
    }
}
