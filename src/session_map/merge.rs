//! Several maps into one: entries of the same thing must agree, names must be known, and nothing may need itself.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::alignment::declared_alignment;
use super::expression::{self, Circularity, NESTING_LIMIT};
use super::json::{
    self, BeforeEntry, Document, Form, GlobalEntry, ImportEntry, Object, SymbolList, ValueEntry,
};
use super::lower::{Lowering, Path};
use super::memory::{mapping, symbol};
use super::origins::{Origin, SymbolOrigins, check_name, check_range, entries};
use super::{Expression, Files, Global, Import, MapSource, SessionMap, Symbols, Value, ValueId, lookup};
use crate::arch::Machine;
use crate::error::{Error, ErrorKind};

/// Reads and merges session maps.
pub(super) fn merge(
    sources: &[MapSource<'_>],
    machine: Machine,
    files: &dyn Files,
) -> Result<SessionMap, Error> {
    let mut map = SessionMap::default();
    let mut documents = Vec::new();
    for source in sources {
        let document = json::read(&source.name, source.text)?;
        if let Some(other) =
            document.machine.as_deref().filter(|name| Machine::from_name(name) != Some(machine))
        {
            let message = format!("machine: the map is of an {other:?} process, the object is for {machine}");
            return Err(Error::new(ErrorKind::SessionMap, &source.name, message));
        }
        map.origins.sources.push(source.name.clone());
        documents.push(document);
    }

    let mut mappings = Vec::new();
    let mut added = Vec::new();
    for (source, document) in (0..).zip(&mut documents) {
        for (origin, Object(entry)) in entries(source, "mappings", std::mem::take(&mut document.mappings)) {
            let mapping = mapping(entry).map_err(|message| map.origins.error(origin, message))?;
            mappings.push((mapping, origin));
        }
        let symbols = match std::mem::take(&mut document.symbols) {
            SymbolList::Checked(symbols) => symbols,
            SymbolList::Entries(list) => {
                let mut symbols = Symbols::default();
                for (origin, Object(entry)) in entries(source, "symbols", &list) {
                    let added = symbol(entry).and_then(|symbol| symbols.push(symbol));
                    added.map_err(|message| map.origins.error(origin, message))?;
                }
                symbols
            }
        };
        added.push((symbols, SymbolOrigins::List(source)));
    }
    map.add_mappings(mappings)?;
    map.add_symbols_from(added)?;

    let mut lowering = Lowering::new(files);
    for document in &documents {
        for Object(entry) in &document.values {
            lowering.declare_value(&entry.name);
        }
    }
    let mut merger = Merger {
        map,
        lowering,
        values: Vec::new(),
        globals: HashMap::new(),
        imports: HashMap::new(),
        constants: HashMap::new(),
        before: HashMap::new(),
    };
    let mut afters = Vec::new();
    for ((number, mut document), source) in (0..).zip(documents).zip(sources) {
        afters.push((source, std::mem::take(&mut document.after)));
        merger.lowering.enter(&source.name, &source.folder);
        merger.add_document(number, document)?;
    }
    for (source, after) in afters {
        merger.lowering.enter(&source.name, &source.folder);
        merger.add_after(after)?;
    }
    merger.finish()
}

/// The entries that hold expressions, as they come.
struct Merger<'a> {
    map: SessionMap,
    lowering: Lowering<'a>,
    /// By id.
    values: Vec<Option<(Value, Origin)>>,
    globals: HashMap<(String, u64), (Global, Origin)>,
    imports: HashMap<String, (Import, Origin)>,
    constants: HashMap<u64, (Expression, Origin)>,
    /// Named results of `before`, by their index there.
    before: HashMap<String, (usize, Origin)>,
}

impl Merger<'_> {
    fn add_document(&mut self, source: u32, document: Document) -> Result<(), Error> {
        let origin = |list, index| Origin::entry(source, list, index);
        for (index, Object(entry)) in document.values.into_iter().enumerate() {
            self.add_value(entry, origin("values", index), index)?;
        }
        for (index, Object(entry)) in document.globals.into_iter().enumerate() {
            self.add_global(entry, origin("globals", index), index)?;
        }
        for (index, Object(entry)) in document.imports.into_iter().enumerate() {
            self.add_import(entry, origin("imports", index), index)?;
        }
        for (index, Object(entry)) in document.constants.into_iter().enumerate() {
            let here = origin("constants", index);
            let number = entry.constant.0;
            if number == 0 || number == u64::MAX {
                let message = format!("constant: {number:#x} is everywhere: it can stand for nothing else");
                return Err(self.map.origins.error(here, message));
            }
            let init = self.lower(entry.init, "constants", index, Some("init"))?;
            match self.constants.entry(number) {
                Entry::Vacant(vacant) => drop(vacant.insert((init, here))),
                Entry::Occupied(occupied) => {
                    let (other, other_origin) = occupied.get();
                    if *other != init {
                        return Err(self.map.origins.conflict(
                            here,
                            *other_origin,
                            "the constant is another thing in",
                        ));
                    }
                }
            }
        }

        self.add_sequences(source, document.ready, document.before)
    }

    /// Adds what is evaluated around the fill. What another map of the same session says again is meant once;
    /// unnamed within one map, twice is twice.
    fn add_sequences(
        &mut self,
        source: u32,
        ready: Vec<Form>,
        before: Vec<Object<BeforeEntry>>,
    ) -> Result<(), Error> {
        let known: HashSet<Expression> = self.map.ready.iter().cloned().collect();
        for (index, form) in ready.into_iter().enumerate() {
            let expression = self.lower(form, "ready", index, None)?;
            if !known.contains(&expression) {
                self.map.ready.push(expression);
            }
        }
        let unnamed = |(name, init): &(Option<String>, Expression)| name.is_none().then(|| init.clone());
        let known: HashSet<Expression> = self.map.before.iter().filter_map(unnamed).collect();
        for (index, Object(entry)) in before.into_iter().enumerate() {
            let here = Origin::entry(source, "before", index);
            let init = self.lower(entry.init, "before", index, Some("init"))?;
            let Some(name) = entry.name else {
                if !known.contains(&init) {
                    self.map.before.push((None, init));
                }
                continue;
            };
            check_name("name", &name).map_err(|message| self.map.origins.error(here, message))?;
            if self.lowering.is_value(&name) {
                let message = format!("name: {name:?} is the name of a value");
                return Err(self.map.origins.error(here, message));
            }
            let number = self.map.before.len();
            match self.before.entry(name.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert((number, here));
                    self.lowering.declare_result(&name, number);
                    self.map.before.push((Some(name), init));
                }
                Entry::Occupied(occupied) => {
                    let (other, other_origin) = *occupied.get();
                    if self.map.before[other].1 != init {
                        return Err(self.map.origins.conflict(here, other_origin, "has the name of"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds what is evaluated after the fill, when all results of `before` have their names.
    fn add_after(&mut self, after: Vec<Form>) -> Result<(), Error> {
        let known: HashSet<Expression> = self.map.after.iter().cloned().collect();
        self.lowering.allow_results(true);
        for (index, form) in after.into_iter().enumerate() {
            let expression = self.lower(form, "after", index, None)?;
            if !known.contains(&expression) {
                self.map.after.push(expression);
            }
        }
        Ok(())
    }

    fn lower(
        &mut self,
        form: Form,
        list: &'static str,
        index: usize,
        key: Option<&str>,
    ) -> Result<Expression, Error> {
        let root = Path::Root(list, index);
        match key {
            Some(key) => self.lowering.lower(form, &Path::Key(&root, key)),
            None => self.lowering.lower(form, &root),
        }
    }

    fn add_value(&mut self, entry: ValueEntry, here: Origin, index: usize) -> Result<(), Error> {
        let (address, size, header) = (entry.address.map(|n| n.0), entry.size.0, entry.header.0);
        let mut align = 1;
        let mut check = || {
            check_name("name", &entry.name)?;
            align = declared_alignment(entry.align, address.unwrap_or(0))?;
            let Some(address) = address else {
                return Ok(());
            };
            let start = address.checked_sub(header).ok_or("header: is larger than the address")?;
            check_range(start, address.checked_add(size.max(1)), "the value")
        };
        check().map_err(|message: String| self.map.origins.error(here, message))?;
        let value = Value {
            init: self.lower(entry.init, "values", index, Some("init"))?,
            name: entry.name,
            address,
            size,
            header,
            align,
            shared: entry.shared,
        };
        let id = self.lowering.declare_value(&value.name).0 as usize;
        if self.values.len() <= id {
            self.values.resize_with(id + 1, || None);
        }
        match &self.values[id] {
            None => self.values[id] = Some((value, here)),
            Some((other, _)) if *other == value => {}
            Some((_, other)) => {
                let what = format!("the value {:?} is another thing in", value.name);
                return Err(self.map.origins.conflict(here, *other, &what));
            }
        }
        Ok(())
    }

    fn add_global(&mut self, entry: GlobalEntry, here: Origin, index: usize) -> Result<(), Error> {
        let GlobalEntry { symbol, offset, init } = entry;
        check_name("symbol", &symbol).map_err(|message| self.map.origins.error(here, message))?;
        let init = self.lower(init, "globals", index, Some("init"))?;
        let origin = self.map.origins.text(here);
        let global = Global { symbol, offset: offset.0, init, origin };
        match self.globals.entry((global.symbol.clone(), global.offset)) {
            Entry::Vacant(vacant) => drop(vacant.insert((global, here))),
            Entry::Occupied(occupied) => {
                let (other, other_origin) = occupied.get();
                if other.init != global.init {
                    let what = format!("{:?} is to hold another thing in", global.symbol);
                    return Err(self.map.origins.conflict(here, *other_origin, &what));
                }
            }
        }
        Ok(())
    }

    fn add_import(&mut self, entry: ImportEntry, here: Origin, index: usize) -> Result<(), Error> {
        let ImportEntry { symbol, init } = entry;
        check_name("symbol", &symbol).map_err(|message| self.map.origins.error(here, message))?;
        let init = self.lower(init, "imports", index, Some("init"))?;
        let origin = self.map.origins.text(here);
        let import = Import { symbol, init, origin };
        match self.imports.entry(import.symbol.clone()) {
            Entry::Vacant(vacant) => drop(vacant.insert((import, here))),
            Entry::Occupied(occupied) => {
                let (other, other_origin) = occupied.get();
                if other.init != import.init {
                    let what = format!("{:?} is bound to another thing in", import.symbol);
                    return Err(self.map.origins.conflict(here, *other_origin, &what));
                }
            }
        }
        Ok(())
    }

    /// Sorts what came together and checks what only the whole shows.
    fn finish(mut self) -> Result<SessionMap, Error> {
        let (values, value_origins): (Vec<Value>, Vec<Origin>) = self.values.into_iter().flatten().unzip();
        self.map.values = values;

        let mut globals: Vec<(Global, Origin)> = self.globals.into_values().collect();
        globals.sort_by(|(a, _), (b, _)| (&a.symbol, a.offset).cmp(&(&b.symbol, b.offset)));
        for pair in globals.windows(2) {
            let [(one, one_origin), (other, other_origin)] = pair else {
                continue;
            };
            if one.symbol == other.symbol && other.offset - one.offset < 8 {
                return Err(self.map.origins.conflict(*other_origin, *one_origin, "the variable overlaps"));
            }
        }
        let mut imports: Vec<(Import, Origin)> = self.imports.into_values().collect();
        imports.sort_by(|(a, _), (b, _)| a.symbol.cmp(&b.symbol));
        for (global, origin) in &globals {
            if let Ok(at) = imports.binary_search_by(|(import, _)| import.symbol.cmp(&global.symbol)) {
                let what = format!("{:?} cannot be a global and an import, which it is in", global.symbol);
                return Err(self.map.origins.conflict(*origin, imports[at].1, &what));
            }
        }
        let mut constants: Vec<(u64, (Expression, Origin))> = self.constants.into_iter().collect();
        constants.sort_unstable_by_key(|(number, _)| *number);
        let constant_origins: Vec<Origin> = constants.iter().map(|(_, (_, origin))| *origin).collect();

        self.map.globals = globals.into_iter().map(|(global, _)| global).collect();
        self.map.imports = imports.into_iter().map(|(import, _)| import).collect();
        self.map.constants = constants.into_iter().map(|(number, (init, _))| (number, init)).collect();
        self.map.check_value_overlaps(&value_origins)?;
        self.map.rebuild_index();
        self.map.check_circularity(&value_origins, &constant_origins)?;
        Ok(self.map)
    }
}

impl SessionMap {
    fn check_value_overlaps(&self, origins: &[Origin]) -> Result<(), Error> {
        let ranges = self.values.iter().zip(origins).filter_map(|(v, o)| Some((lookup::value_range(v)?, *o)));
        let mut ranges: Vec<_> = ranges.collect();
        ranges.sort_unstable_by_key(|(range, origin)| (range.start, *origin));
        for pair in ranges.windows(2) {
            let [(one, one_origin), (other, other_origin)] = pair else {
                continue;
            };
            if other.start < one.end {
                return Err(self.origins.conflict(*other_origin, *one_origin, "the value overlaps"));
            }
        }
        Ok(())
    }

    /// Checks that no value needs itself: by name, or by an address that stands for it.
    fn check_circularity(&self, value_origins: &[Origin], constant_origins: &[Origin]) -> Result<(), Error> {
        let count = self.values.len();
        let inits = self.values.iter().map(|value| &value.init);
        let roots: Vec<&Expression> = inits.chain(self.constants.iter().map(|(_, init)| init)).collect();
        let refers = |expression: &Expression| match expression {
            Expression::Value(ValueId(id)) => Some(*id as usize).filter(|id| *id < count),
            Expression::Address(address) => {
                match self.constants.binary_search_by_key(address, |(number, _)| *number) {
                    Ok(index) => Some(count + index),
                    Err(_) => self.value_at(*address).map(|(id, _)| id as usize),
                }
            }
            _ => None,
        };
        let name = |root: usize| match self.values.get(root) {
            Some(value) => value.name.clone(),
            None => {
                self.constants.get(root - count).map_or(String::new(), |(number, _)| format!("{number:#x}"))
            }
        };
        let origin =
            |root: usize| value_origins.get(root).or_else(|| constant_origins.get(root - count)).copied();
        let (root, message) = match expression::check_circularity(&roots, refers) {
            Ok(()) => return Ok(()),
            Err(Circularity::Deep(root)) => {
                (root, format!("leads through more than {NESTING_LIMIT} levels of expressions and values"))
            }
            Err(Circularity::Cycle(roots)) => {
                let shown: Vec<String> = roots.iter().take(10).map(|root| name(*root)).collect();
                let more = if roots.len() > 10 { " -> …" } else { "" };
                let root = roots.first().copied().unwrap_or(0);
                (root, format!("needs itself: {}{more}", shown.join(" -> ")))
            }
        };
        let message = format!("init: {} {message}", name(root));
        Err(match origin(root) {
            Some(origin) => self.origins.error(origin, message),
            None => Error::new(ErrorKind::SessionMap, "session map", message),
        })
    }
}
