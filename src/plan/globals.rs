//! Variables of the object that the session filled: each gets a relocation where its contents are in the file,
//! and a store of the initializer where they are not.

use super::places::DataField;
use super::slots::DATA;
use super::symbols::Named;
use super::{Destination, How, Planner, Source, Store};
use foldhash::HashSet;

use crate::edits::{Home, NewLocalId, NewRelocation, SymbolRef};
use crate::error::{Error, ErrorKind, Result};
use crate::object_file::{SectionId, SectionKind, Symbol, SymbolId, SymbolPlace, SymbolType};
use crate::reloc::RelocKind;
use crate::report::GlobalReport;
use crate::runtime_names::is_counter;
use crate::session_map::Global;

/// An undefined symbol has no size, and an offset in the session map must not cost memory of its own choice.
const LARGEST_VARIABLE: u64 = 1 << 20;

/// Where a global's word is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Storage {
    /// In a section of the input, at an offset.
    Section(SectionId, u64),
    /// A variable that the linker allocates.
    Common(SymbolId, u64),
    /// Nowhere yet.
    Undefined(SymbolId, u64),
    /// An earlier run has filled it.
    Present,
}

impl Planner<'_> {
    /// Plans every global of the session map, by section and offset.
    ///
    /// # Errors
    /// A global that the object lacks, that lies outside its symbol, or whose expression cannot be read.
    pub(super) fn plan_globals(&mut self) -> Result<()> {
        let globals = self.found.globals;
        if globals.is_empty() {
            return Ok(());
        }
        let referenced = self.referenced_symbols();
        let mut storages = Vec::new();
        for global in globals {
            storages.push((self.storage(global, &referenced)?, global));
        }
        storages.sort_by_key(|&(storage, _)| storage);
        self.keep_counters(&storages);
        let variables = self.make_variables(&storages)?;
        for (storage, global) in storages {
            let delivery = self.plan_global(storage, global, &variables)?;
            self.report.globals.push(GlobalReport {
                symbol: global.symbol.clone(),
                offset: global.offset,
                delivery: delivery.to_owned(),
            });
        }
        Ok(())
    }

    /// Local symbols of a global's name that no earlier run has filled.
    fn unfilled_locals(&self, global: &Global) -> Vec<SymbolId> {
        let record = self.found.record;
        let named = self.object().symbols.iter().filter(|s| s.name == global.symbol);
        let unfilled = named.filter(|s| match s.place {
            SymbolPlace::Section(section) => !record.has_global(section, s.value.wrapping_add(global.offset)),
            SymbolPlace::Undefined | SymbolPlace::Absolute | SymbolPlace::Common => true,
        });
        unfilled.map(|s| s.id).collect()
    }

    fn storage(&self, global: &Global, referenced: &HashSet<SymbolId>) -> Result<Storage> {
        let record = self.found.record;
        let error = |message: String| {
            let message = format!("{}: {message}", global.origin);
            Err(Error::new(ErrorKind::Refused, self.object().name, message))
        };
        let id = match self.by_name.get(global.symbol.as_str()) {
            Some(&(Named::Global(id) | Named::Local(id))) => id,
            Some(Named::Ambiguous) => match self.unfilled_locals(global)[..] {
                // Each is the variable of an object that an earlier run has filled and `ld -r` has put in here.
                [] => return Ok(Storage::Present),
                [id] => id,
                _ => return error(format!("several local symbols are named `{}`", global.symbol)),
            },
            None => {
                return error(format!(
                    "the object has no symbol `{}`; the compiler may have dropped the variable, or \
                     have folded what it read from it, then empty, into the code, which is beyond repair: if nothing needs \
                     it, remove the entry",
                    global.symbol
                ));
            }
        };
        let symbol = self.object().symbol(id);
        if symbol.kind == SymbolType::ThreadLocal {
            return error(format!("`{}` is thread-local", global.symbol));
        }
        let Some(end) = global.offset.checked_add(8) else {
            return error("the offset is too large".to_owned());
        };
        if symbol.size != 0 && end > symbol.size {
            let Symbol { name, size, .. } = symbol;
            return error(format!(
                "`{name}` is {size} bytes large: there is no word at offset {}",
                global.offset
            ));
        }
        Ok(match symbol.place {
            // Of another object that `ld -r` has put in here, references are left.
            SymbolPlace::Undefined
                if record.has_global_symbol(id, global.offset) && !referenced.contains(&id) =>
            {
                Storage::Present
            }
            SymbolPlace::Undefined => Storage::Undefined(id, global.offset),
            SymbolPlace::Common if record.has_global_symbol(id, global.offset) => Storage::Present,
            SymbolPlace::Common => Storage::Common(id, global.offset),
            SymbolPlace::Absolute => return error(format!("`{}` is an absolute symbol", symbol.name)),
            SymbolPlace::Section(section) => {
                let at = symbol.value.checked_add(global.offset);
                let fits = |at: &u64| {
                    at.checked_add(8).is_some_and(|end| end <= self.object().section(section).size)
                };
                match at.filter(fits) {
                    Some(at) if record.has_global(section, at) => Storage::Present,
                    Some(at) => Storage::Section(section, at),
                    None => return error(format!("`{}` ends before its section does", symbol.name)),
                }
            }
        })
    }

    /// Defined variables that others see and whose names are counters: another library's of that name, or another
    /// object's if it gives way, holds something else. References use a symbol of this object alone, and the old one
    /// gives way to any other, except in a group, of which the linker keeps one whole.
    fn keep_counters(&mut self, storages: &[(Storage, &Global)]) {
        for &(storage, global) in storages {
            let id = match (storage, self.by_name.get(global.symbol.as_str())) {
                (Storage::Section(..) | Storage::Common(..), Some(&Named::Global(id))) => id,
                _ => continue,
            };
            if !is_counter(&global.symbol) || self.replaced.contains_key(&id) {
                continue;
            }
            let object = self.object();
            let symbol = object.symbol(id);
            let edit = self.edits.symbol_edits.entry(id).or_default();
            edit.hidden = true;
            let SymbolPlace::Section(section) = symbol.place else { continue };
            if object.section(section).group.is_none() {
                edit.weak = true;
                let home = Home::Existing(section);
                let local = self.add_local(global.symbol.clone(), home, symbol.value, symbol.size, false);
                self.replaced.insert(id, SymbolRef::Local(local));
            }
        }
    }

    /// A variable of ours for every undefined symbol: such names are counters, and mean something else in the
    /// next object of a link.
    fn make_variables(&mut self, storages: &[(Storage, &Global)]) -> Result<Vec<(SymbolId, NewLocalId)>> {
        let mut variables: Vec<(SymbolId, NewLocalId)> = Vec::new();
        let mut sizes: Vec<(SymbolId, u64)> = Vec::new();
        for &(storage, _) in storages {
            if let Storage::Undefined(id, offset) = storage {
                match sizes.last_mut() {
                    Some((last, size)) if *last == id => *size = (*size).max(offset + 8),
                    _ => sizes.push((id, offset + 8)),
                }
            }
        }
        for (id, size) in sizes {
            let name = self.object().symbol(id).name.to_owned();
            if size > LARGEST_VARIABLE {
                let message = format!(
                    "the session map fills `{name}` at an offset of more than {LARGEST_VARIABLE} bytes"
                );
                return Err(Error::new(ErrorKind::SessionMap, self.object().name, message));
            }
            let (section, at) = self.append(DATA, None, 8, &vec![0; size as usize]);
            let local = self.add_local(name, Home::New(section), at, size, false);
            self.replaced.insert(id, SymbolRef::Local(local));
            variables.push((id, local));
        }
        Ok(variables)
    }

    fn plan_global(
        &mut self,
        storage: Storage,
        global: &Global,
        variables: &[(SymbolId, NewLocalId)],
    ) -> Result<&'static str> {
        if storage == Storage::Present {
            // Its expression is not even read: reading puts strings and bytes into the object.
            return Ok("present");
        }
        let what = global.symbol.clone();
        let source = self.source(&global.init)?;
        match storage {
            Storage::Present => Ok("present"),
            Storage::Section(section, at) => self.plan_defined_global(section, at, global, source, what),
            Storage::Common(id, offset) => {
                let node = self.node_of(source, &global.init);
                // One variable for all objects of the link: whichever the linker allocates.
                let slot = self.pointer_slot(SymbolRef::Existing(id), 0);
                self.stores.push(Store {
                    destination: Destination::Far(slot, offset as i64),
                    node,
                    offset: 0,
                    group: None,
                    what,
                });
                Ok("init")
            }
            Storage::Undefined(id, offset) => {
                let Some(&(_, local)) = variables.iter().find(|(symbol, _)| *symbol == id) else {
                    return Ok("present");
                };
                let at = self.edits.locals[local.0 as usize].value + offset;
                let section = self.section(DATA, None);
                match source {
                    Source::Address(symbol, addend) => {
                        let relocation = NewRelocation { offset: at, kind: RelocKind::Abs64, symbol, addend };
                        self.relocate_new(section, relocation);
                        Ok("relocation")
                    }
                    Source::Computed(node, plus) => {
                        let destination = Destination::Near(SymbolRef::Local(local), offset as i64);
                        self.stores.push(Store { destination, node, offset: plus, group: None, what });
                        Ok("init")
                    }
                }
            }
        }
    }

    fn plan_defined_global(
        &mut self,
        section: SectionId,
        at: u64,
        global: &Global,
        source: Source,
        what: String,
    ) -> Result<&'static str> {
        let object = self.object();
        let home = object.section(section);
        let refuse = |message: &str| {
            let message = format!("`{}`, which the session map fills, {message}", global.symbol);
            Err(object.error_at(section, at, message))
        };
        let near = self.global_words.range((section, at.saturating_sub(7))..(section, at + 8));
        if near.count() > 0 {
            return refuse("shares bytes with another variable that it fills");
        }
        self.global_words.insert((section, at));
        if home.kind == SectionKind::ZeroFill {
            if home.tls {
                return refuse("is thread-local");
            }
            let node = self.node_of(source, &global.init);
            self.store_into(section, at, node, 0, what);
            return Ok("init");
        }
        if home.exec {
            return refuse("is among instructions");
        }
        if home.is_relocated(at, 8) {
            return refuse("is relocated already");
        }
        let word = home.data.get(at as usize..at as usize + 8).unwrap_or_default();
        let word = word.iter().rev().fold(0u64, |w, &b| w << 8 | u64::from(b));
        if word != 0 && !self.found.map.is_session_constant(word) {
            return refuse(&format!("holds {word:#x} already, which is no address of the session"));
        }
        let field = DataField { section, offset: at, entry: None };
        match self.plan_data(&field, source, &what) {
            Ok(How::Init) => Ok("init"),
            Ok(_) => Ok("relocation"),
            Err(message) => Err(self.object().error_at(section, at, message)),
        }
    }

    /// Whether the initializer can store into a section of the input at all.
    pub(super) fn can_be_stored(&self, section: SectionId) -> Result<(), String> {
        let home = self.object().section(section);
        let before_constructors = [".init_array", ".preinit_array", ".fini_array", ".ctors", ".dtors"];
        if home.tls {
            return Err("is thread-local: an initializer runs in one thread".to_owned());
        }
        if before_constructors.iter().any(|name| home.name.starts_with(name)) {
            return Err(format!("is in {}, which is read-only before the initializer runs", home.name));
        }
        Ok(())
    }
}
