//! Which symbol of the input a name of the session map means, and what is near enough to be addressed directly.

use super::{Planner, Source};
use foldhash::{HashMap, HashSet};

use crate::edits::{Home, NewLocal, NewLocalId, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::object_file::{
    Binding, GroupId, ObjectFile, SectionId, Symbol, SymbolId, SymbolPlace, SymbolType, Visibility,
};

/// What the input has under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// A symbol that other objects see or define.
    Global(SymbolId),
    /// One local symbol.
    Local(SymbolId),
    /// Several local symbols.
    Ambiguous,
}

/// All names of the input; a global symbol hides local ones.
pub(super) fn index<'d>(object: &ObjectFile<'d>) -> HashMap<&'d str, Named> {
    let mut names = HashMap::default();
    for symbol in object.symbols.iter().skip(1).filter(|s| !s.name.is_empty()) {
        let named = match (symbol.binding, symbol.kind) {
            (_, SymbolType::Section | SymbolType::File) => continue,
            (Binding::Local, _) => match names.get(symbol.name) {
                None => Named::Local(symbol.id),
                Some(Named::Global(_)) => continue,
                Some(Named::Local(_) | Named::Ambiguous) => Named::Ambiguous,
            },
            (Binding::Global | Binding::Weak | Binding::Unique, _) => Named::Global(symbol.id),
        };
        names.insert(symbol.name, named);
    }
    names
}

/// How code reaches an address without help.
pub(super) enum Reach {
    /// Pc-relative, as this symbol plus number.
    Direct(SymbolRef, i64),
    /// Through the symbol's entry in the global offset table.
    Got,
    /// Only through a slot.
    Slot,
}

impl Planner<'_> {
    /// The symbol that a name of the session map means: the input's own if it has one.
    ///
    /// # Errors
    /// A thread-local symbol, or a name that several local symbols share.
    pub(super) fn symbol_named(&mut self, name: &str) -> Result<SymbolRef> {
        let error = |message: String| Error::new(ErrorKind::Refused, self.object().name, message);
        let symbol = match self.by_name.get(name) {
            Some(&(Named::Global(id) | Named::Local(id))) => id,
            Some(Named::Ambiguous) => {
                return Err(error(format!(
                    "the session map names `{name}`, and several local symbols have that name"
                )));
            }
            None => return Ok(self.undefined_symbol(name)),
        };
        if self.object().symbol(symbol).kind == SymbolType::ThreadLocal {
            return Err(error(format!(
                "`{name}` is thread-local: it has no address of its own in a process"
            )));
        }
        if let Some(named) = self.absolute_named(self.object().symbol(symbol))? {
            return Ok(named);
        }
        Ok(self.replaced.get(&symbol).copied().unwrap_or(SymbolRef::Existing(symbol)))
    }

    pub(super) fn undefined_symbol(&mut self, name: &str) -> SymbolRef {
        if let Some(&symbol) = self.undefined.get(name) {
            return symbol;
        }
        let symbol = SymbolRef::Undefined(self.edits.add_undefined(name));
        self.undefined.insert(name.to_owned(), symbol);
        symbol
    }

    /// What a reference to a symbol of the input yields.
    pub(super) fn source_of(&self, symbol: SymbolId) -> Source {
        match self.imports.get(&symbol) {
            Some(&source) => source,
            None => {
                Source::Address(self.replaced.get(&symbol).copied().unwrap_or(SymbolRef::Existing(symbol)), 0)
            }
        }
    }

    /// Adds a local symbol.
    pub(super) fn add_local(
        &mut self,
        name: String,
        home: Home,
        value: u64,
        size: u64,
        function: bool,
    ) -> NewLocalId {
        let id = NewLocalId(self.edits.locals.len() as u32);
        self.edits.locals.push(NewLocal { name, home, value, size, function });
        id
    }

    /// What a message or a symbol of ours calls a symbol.
    pub(super) fn symbol_text(&self, symbol: SymbolRef) -> &str {
        match symbol {
            SymbolRef::Existing(id) => {
                let symbol = self.object().symbol(id);
                match symbol.place {
                    SymbolPlace::Section(section) if symbol.name.is_empty() => {
                        self.object().section(section).name
                    }
                    _ => symbol.name,
                }
            }
            SymbolRef::Section(id) => self.object().section(id).name,
            SymbolRef::NewSection(id) => &self.edits.sections[id.0 as usize].name,
            SymbolRef::Local(id) => &self.edits.locals[id.0 as usize].name,
            SymbolRef::Undefined(id) => &self.edits.undefined[id.0 as usize].name,
            SymbolRef::Weak(id) => &self.edits.weak[id.0 as usize].name,
        }
    }

    /// The section of the input in which a symbol certainly is: nothing can replace it there.
    fn own_section(&self, symbol: SymbolRef) -> Option<SectionId> {
        match symbol {
            SymbolRef::Existing(id) => {
                let symbol = self.object().symbol(id);
                let fixed = symbol.binding == Binding::Local || symbol.visibility == Visibility::Hidden;
                match symbol.place {
                    // The address of an indirect function is that of what it chooses.
                    SymbolPlace::Section(id) if fixed && symbol.kind != SymbolType::IndirectFunction => {
                        Some(id)
                    }
                    _ => None,
                }
            }
            SymbolRef::Section(id) => Some(id),
            SymbolRef::Local(id) => match self.edits.locals[id.0 as usize].home {
                Home::Existing(id) => Some(id),
                Home::New(_) => None,
            },
            SymbolRef::NewSection(_) | SymbolRef::Undefined(_) | SymbolRef::Weak(_) => None,
        }
    }

    /// Whether a symbol lies in a section that we add: those are all near.
    fn in_new_section(&self, symbol: SymbolRef) -> bool {
        match symbol {
            SymbolRef::NewSection(_) => true,
            // Whichever object's definition is taken, it lies in such a section of the same output. That of a protected
            // function is a matter of the dynamic linker: its address may be an executable's PLT entry.
            SymbolRef::Weak(id) => !self.edits.weak[id.0 as usize].protected,
            SymbolRef::Local(id) => matches!(self.edits.locals[id.0 as usize].home, Home::New(_)),
            SymbolRef::Existing(_) | SymbolRef::Section(_) | SymbolRef::Undefined(_) => false,
        }
    }

    /// How code in section `from` reaches an address.
    pub(super) fn reach(&mut self, from: SectionId, symbol: SymbolRef, addend: i64) -> Reach {
        if let Some(section) = self.own_section(symbol) {
            let home = self.object().section(section);
            // Another large section may end up more than 2 GiB away.
            if home.large && section != from {
                return Reach::Slot;
            }
            if home.merge && self.is_section_symbol(symbol) {
                // A linker finds the element by the addend, which is 4 less in a pc-relative field of code.
                let start = match symbol {
                    // Zero in what assemblers write, although nothing requires it.
                    SymbolRef::Existing(id) => self.object().symbol(id).value,
                    _ => 0,
                };
                let at = start.wrapping_add(addend as u64);
                let local = match self.elements.get(&(section, at)) {
                    Some(&local) => local,
                    None => self.add_local(String::new(), Home::Existing(section), at, 0, false),
                };
                self.elements.insert((section, at), local);
                return Reach::Direct(SymbolRef::Local(local), 0);
            }
            return Reach::Direct(symbol, addend);
        }
        if self.in_new_section(symbol) || addend != 0 { Reach::Slot } else { Reach::Got }
    }

    /// Whether the initializer can address it directly.
    pub(super) fn is_near(&self, symbol: SymbolRef) -> bool {
        match self.own_section(symbol) {
            Some(section) => !self.object().section(section).large,
            None => self.in_new_section(symbol),
        }
    }

    fn is_section_symbol(&self, symbol: SymbolRef) -> bool {
        match symbol {
            SymbolRef::Existing(id) => self.object().symbol(id).kind == SymbolType::Section,
            SymbolRef::Section(_) | SymbolRef::NewSection(_) => true,
            SymbolRef::Local(_) | SymbolRef::Undefined(_) | SymbolRef::Weak(_) => false,
        }
    }

    /// The group inside which a reference to that symbol must stay: that of a local symbol's section.
    pub(super) fn confining_group(&self, symbol: SymbolRef) -> Option<GroupId> {
        let section = match symbol {
            SymbolRef::Existing(id) => match self.object().symbol(id) {
                Symbol { binding: Binding::Local, place: SymbolPlace::Section(section), .. } => *section,
                _ => return None,
            },
            SymbolRef::Section(id) => id,
            SymbolRef::NewSection(id) => return self.edits.sections[id.0 as usize].group,
            SymbolRef::Local(id) => match self.edits.locals[id.0 as usize].home {
                Home::Existing(section) => section,
                Home::New(id) => return self.edits.sections[id.0 as usize].group,
            },
            SymbolRef::Undefined(_) | SymbolRef::Weak(_) => return None,
        };
        self.object().section(section).group
    }

    /// Input symbols that references no longer use must not make a link fail: they become weak.
    pub(super) fn weaken_unreferenced(&mut self) {
        let used: HashSet<SymbolId> = self
            .edits
            .new_relocations()
            .filter_map(|r| match r.symbol {
                SymbolRef::Existing(id) => Some(id),
                _ => None,
            })
            .collect();
        let gone = self.replaced.keys().chain(self.imports.keys());
        let gone: Vec<SymbolId> = gone.copied().filter(|id| !used.contains(id)).collect();
        for id in gone {
            if self.object().symbol(id).binding != Binding::Local {
                self.edits.symbol_edits.entry(id).or_default().weak = true;
            }
        }
    }
}
