//! The new symbol table: which index everything has, and the entries.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use object::elf;

use super::super::records::{SHN_LORESERVE, SYM_SIZE, SymbolEntry, symbol_info};
use super::super::tables::{SymbolSection, Tables};
use crate::edits::{
    Edits, Home, NewRelocation, NewSectionId, NewUndefined, NewWeak, RelocationEdit, SymbolEdit, SymbolRef,
};
use crate::error::{Error, Result};
use crate::object_file::{Binding, ObjectFile, SectionId, SymbolPlace, SymbolType};

/// Which index every symbol of the output has.
#[derive(Debug)]
pub(super) struct SymbolPlan {
    old_first_global: u32,
    /// How many local symbols are inserted: by so much the input's global ones move.
    inserted: u32,
    /// Section symbols by their section: the input's, and those that are made.
    of_section: BTreeMap<SectionId, u32>,
    of_new_section: BTreeMap<NewSectionId, u32>,
    /// Sections of the input whose section symbol is made, by index.
    made: BTreeSet<SectionId>,
    /// The first symbol of [`Edits::undefined`].
    first_undefined: u32,
    /// Those of [`Edits::weak`].
    weak: Vec<u32>,
}

/// A symbol of the output.
#[derive(Debug)]
pub(super) struct OutputSymbol<'a> {
    entry: SymbolEntry,
    section: SymbolSection,
    /// Its name.
    pub(super) name: Cow<'a, str>,
}

impl OutputSymbol<'_> {
    /// Whether its section index does not fit into the entry.
    pub(super) fn needs_extension(&self) -> bool {
        matches!(self.section, SymbolSection::Ordinary(index) if index >= SHN_LORESERVE)
    }
}

impl SymbolPlan {
    /// Gives every symbol its index. The edits have been checked.
    pub(super) fn new(object: &ObjectFile<'_>, tables: &Tables<'_>, edits: &Edits) -> Result<Self> {
        let mut of_section = BTreeMap::new();
        for symbol in &object.symbols {
            let dropped = edits.symbol_edits.get(&symbol.id).is_some_and(|e| e.drop_definition);
            if symbol.kind == SymbolType::Section
                && symbol.binding == Binding::Local
                && symbol.value == 0
                && !dropped
                && let SymbolPlace::Section(section) = symbol.place
            {
                of_section.entry(section).or_insert(symbol.id.0);
            }
        }
        let (mut made, mut made_new) = (BTreeSet::new(), BTreeSet::new());
        let changed = edits.relocations.values().flatten().filter_map(|edit| match edit {
            RelocationEdit::Replace(_, new) | RelocationEdit::Add(new) => Some(new),
            RelocationEdit::Remove(_) => None,
        });
        let new = edits.sections.iter().flat_map(|s| &s.relocations);
        let new = new.chain(edits.extensions.iter().flat_map(|e| &e.relocations));
        for NewRelocation { symbol, .. } in changed.chain(new) {
            match *symbol {
                SymbolRef::Section(id) if !of_section.contains_key(&id) => {
                    made.insert(id);
                }
                SymbolRef::NewSection(id) => {
                    made_new.insert(id);
                }
                _ => {}
            }
        }

        let inserted = edits.locals.len() + made.len() + made_new.len();
        let added = edits.undefined.len() + edits.weak.iter().filter(|w| w.instead.is_none()).count();
        let (old_first_global, old_count) = match &tables.symbols {
            Some(table) if table.len() > 0 => (table.first_global, table.len()),
            _ if inserted + added + edits.symbol_edits.len() > 0 => {
                return Err(Error::refused(
                    object.name,
                    "there is no symbol table, and symbols are to be added: give the object as the compiler wrote it, not stripped",
                ));
            }
            _ => (0, 0),
        };
        let total = old_count + inserted + added;
        if u32::try_from(total).is_err() {
            return Err(Error::refused(object.name, format!("{total} symbols are too many")));
        }
        // The total fits, so every part does.
        let mut next = (old_first_global + edits.locals.len()) as u32;
        let mut take = || {
            next += 1;
            next - 1
        };
        for &id in &made {
            of_section.insert(id, take());
        }
        let of_new_section = made_new.into_iter().map(|id| (id, take())).collect();
        let mut plan = SymbolPlan {
            old_first_global: old_first_global as u32,
            inserted: inserted as u32,
            of_section,
            of_new_section,
            made,
            first_undefined: (old_count + inserted) as u32,
            weak: Vec::new(),
        };
        let mut next = plan.first_undefined + edits.undefined.len() as u32;
        for weak in &edits.weak {
            plan.weak.push(match weak.instead {
                Some(id) => plan.moved(id.0),
                None => next,
            });
            next += u32::from(weak.instead.is_none());
        }
        Ok(plan)
    }

    /// Whether any symbol of the input gets another index.
    pub(super) fn moves_symbols(&self) -> bool {
        self.inserted != 0
    }

    /// The new index of a symbol of the input.
    pub(super) fn moved(&self, old: u32) -> u32 {
        if old < self.old_first_global { old } else { old.saturating_add(self.inserted) }
    }

    /// The index of the first symbol that is not local.
    pub(super) fn first_global(&self) -> u32 {
        self.old_first_global + self.inserted
    }

    /// The index of what a relocation refers to; the references have been checked.
    pub(super) fn index(&self, symbol: SymbolRef) -> u32 {
        match symbol {
            SymbolRef::Existing(id) => self.moved(id.0),
            SymbolRef::Section(id) => self.of_section.get(&id).copied().unwrap_or(0),
            SymbolRef::NewSection(id) => self.of_new_section.get(&id).copied().unwrap_or(0),
            SymbolRef::Local(id) => self.old_first_global + id.0,
            SymbolRef::Undefined(id) => self.first_undefined + id.0,
            SymbolRef::Weak(id) => self.weak.get(id.0 as usize).copied().unwrap_or(0),
        }
    }

    /// Whether the input has a table for section indices that do not fit.
    pub(super) fn has_extension(&self, tables: &Tables<'_>) -> bool {
        tables.symbols.as_ref().is_some_and(|t| t.shndx.is_some())
    }

    /// All symbols of the output, in order.
    pub(super) fn symbols<'a>(
        &self,
        object: &ObjectFile<'a>,
        tables: &Tables<'a>,
        edits: &'a Edits,
    ) -> Vec<OutputSymbol<'a>> {
        let Some(table) = &tables.symbols else {
            return Vec::new();
        };
        let new = self.first_undefined as usize + edits.undefined.len() + edits.weak.len();
        let mut symbols = Vec::with_capacity(new);
        for ((entry, section), symbol) in table.iter().zip(&object.symbols) {
            if symbol.id.0 == self.old_first_global {
                self.insert(object, edits, &mut symbols);
            }
            let mut new = OutputSymbol { entry, section, name: Cow::Borrowed(symbol.name) };
            if let (SymbolType::Section, SymbolPlace::Section(id)) = (symbol.kind, symbol.place)
                && !symbol.name.is_empty()
                && let Some(name) = edits.section_edits.get(&id).and_then(|e| e.name.as_deref())
            {
                // Some assemblers repeat the section's name.
                new.name = Cow::Borrowed(name);
            }
            if let Some(edit) = edits.symbol_edits.get(&symbol.id) {
                apply(edit, &mut new);
            }
            symbols.push(new);
        }
        if self.old_first_global as usize == table.len() {
            self.insert(object, edits, &mut symbols);
        }
        for NewUndefined { name, weak, hidden } in &edits.undefined {
            let binding = if *weak { elf::STB_WEAK } else { elf::STB_GLOBAL };
            symbols.push(OutputSymbol {
                entry: SymbolEntry {
                    st_info: symbol_info(binding.0, elf::STT_NOTYPE.0),
                    st_other: if *hidden { elf::STV_HIDDEN.0 } else { elf::STV_DEFAULT.0 },
                    ..SymbolEntry::default()
                },
                section: SymbolSection::Ordinary(0),
                name: Cow::Borrowed(name),
            });
        }
        for weak in &edits.weak {
            let symbol = weak_symbol(object, weak);
            match weak.instead {
                Some(id) => symbols[self.moved(id.0) as usize] = symbol,
                None => symbols.push(symbol),
            }
        }
        symbols
    }

    /// The new local symbols.
    fn insert<'a>(&self, object: &ObjectFile<'_>, edits: &'a Edits, symbols: &mut Vec<OutputSymbol<'a>>) {
        // New sections follow the input's.
        let index_of = |home: Home| match home {
            Home::Existing(id) => id.0,
            Home::New(id) => object.sections.len() as u32 + id.0,
        };
        for local in &edits.locals {
            let kind = match (local.function, local.size) {
                (true, _) => elf::STT_FUNC,
                (false, 0) => elf::STT_NOTYPE,
                (false, _) => elf::STT_OBJECT,
            };
            symbols.push(OutputSymbol {
                entry: SymbolEntry {
                    st_info: symbol_info(elf::STB_LOCAL.0, kind.0),
                    st_value: local.value,
                    st_size: local.size,
                    ..SymbolEntry::default()
                },
                section: SymbolSection::Ordinary(index_of(local.home)),
                name: Cow::Borrowed(&local.name),
            });
        }
        let made = self.made.iter().map(|&id| Home::Existing(id));
        let made_new = self.of_new_section.keys().map(|&id| Home::New(id));
        for home in made.chain(made_new) {
            symbols.push(OutputSymbol {
                entry: SymbolEntry {
                    st_info: symbol_info(elf::STB_LOCAL.0, elf::STT_SECTION.0),
                    ..SymbolEntry::default()
                },
                section: SymbolSection::Ordinary(index_of(home)),
                name: Cow::Borrowed(""),
            });
        }
    }
}

fn weak_symbol<'a>(object: &ObjectFile<'_>, weak: &'a NewWeak) -> OutputSymbol<'a> {
    let kind = if weak.function { elf::STT_FUNC } else { elf::STT_OBJECT };
    let visibility = if weak.protected { elf::STV_PROTECTED } else { elf::STV_HIDDEN };
    OutputSymbol {
        entry: SymbolEntry {
            st_info: symbol_info(elf::STB_WEAK.0, kind.0),
            st_other: visibility.0,
            st_value: weak.value,
            st_size: weak.size,
            ..SymbolEntry::default()
        },
        // New sections follow the input's.
        section: SymbolSection::Ordinary(object.sections.len() as u32 + weak.section.0),
        name: Cow::Borrowed(&weak.name),
    }
}

fn apply<'a>(edit: &'a SymbolEdit, symbol: &mut OutputSymbol<'a>) {
    let entry = &mut symbol.entry;
    if let Some(name) = &edit.name {
        symbol.name = Cow::Borrowed(name);
    }
    // What is internal is hidden already, and more.
    if edit.hidden && entry.st_other & 3 != elf::STV_INTERNAL.0 {
        entry.st_other = entry.st_other & !3 | elf::STV_HIDDEN.0;
    }
    if edit.weak {
        entry.st_info = symbol_info(elf::STB_WEAK.0, entry.kind());
    }
    if edit.visible {
        entry.st_other = entry.st_other & !3 | elf::STV_DEFAULT.0;
    }
    if edit.undefine {
        entry.st_info = symbol_info(entry.bind(), elf::STT_NOTYPE.0);
        entry.st_value = 0;
        entry.st_size = 0;
        symbol.section = SymbolSection::Ordinary(0);
    }
    if edit.drop_definition {
        entry.st_info = symbol_info(entry.bind(), elf::STT_NOTYPE.0);
        entry.st_value = 0;
        entry.st_size = 0;
        symbol.section = SymbolSection::Reserved(elf::SHN_ABS.0);
    }
}

/// The bytes of the symbol table and of the table of section indices beside it. `names`: where the name of each is.
pub(super) fn encode(symbols: &[OutputSymbol<'_>], names: &[u32]) -> (Vec<u8>, Vec<u8>) {
    let mut table = Vec::with_capacity(symbols.len() * SYM_SIZE);
    let mut extension = Vec::with_capacity(symbols.len() * 4);
    for (symbol, &name) in symbols.iter().zip(names) {
        let (short, long) = match symbol.section {
            SymbolSection::Reserved(value) => (value, 0),
            SymbolSection::Ordinary(index) if index >= SHN_LORESERVE => (elf::SHN_XINDEX.0, index),
            SymbolSection::Ordinary(index) => (index as u16, 0),
        };
        let entry = SymbolEntry { st_name: name, st_shndx: short, ..symbol.entry };
        entry.write(&mut table);
        extension.extend(long.to_le_bytes());
    }
    (table, extension)
}
