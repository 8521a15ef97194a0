//! Several maps into one: entries of the same thing must agree, ranges must make sense, names must be known.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::expression::{self, Circularity, NESTING_LIMIT};
use super::json::{self, Document, GlobalEntry, ImportEntry, MappingEntry, Object, SymbolEntry, ValueEntry};
use super::lower::{Lowering, Path};
use super::nm::ListedSymbol;
use super::{
    Expression, Files, Global, Import, LOWEST_ADDRESS, MapSource, Mapping, SessionMap, SessionSymbol, Value,
    ValueId, lookup,
};
use crate::arch::Machine;
use crate::error::{Error, ErrorKind};

/// Where an entry was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    /// Which of [`Origins::sources`].
    source: u32,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// An entry of a list of a session map.
    Entry(&'static str, u32),
    /// A line of another text, from 1.
    Line(u32),
}

/// Where the map's entries were written, in their order.
#[derive(Debug, Default)]
pub(super) struct Origins {
    sources: Vec<String>,
    mappings: Vec<Origin>,
    symbols: Vec<Origin>,
}

impl Origins {
    fn place(&self, origin: Origin) -> String {
        match origin.place {
            Place::Entry(list, index) => format!("{list}[{index}]"),
            Place::Line(line) => format!("line {line}"),
        }
    }

    fn error(&self, origin: Origin, message: impl std::fmt::Display) -> Error {
        let file = self
            .sources
            .get(origin.source as usize)
            .cloned()
            .unwrap_or_default();
        Error::new(
            ErrorKind::SessionMap,
            file,
            format!("{}: {message}", self.place(origin)),
        )
    }

    /// An entry that contradicts another; the later one is in error.
    fn conflict(&self, one: Origin, other: Origin, what: &str) -> Error {
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        let of = match self.sources.get(first.source as usize) {
            Some(file) if first.source != second.source => format!(" of {file}"),
            _ => String::new(),
        };
        self.error(second, format!("{what} {}{of}", self.place(first)))
    }
}

/// `list[0]`, `list[1]`, … of a source.
fn entries<'a, T>(source: u32, list: &'static str, items: &'a [T]) -> impl Iterator<Item = (Origin, &'a T)> {
    let place = move |index| Place::Entry(list, index);
    (0..).zip(items).map(move |(index, item)| {
        (
            Origin {
                source,
                place: place(index),
            },
            item,
        )
    })
}

/// Checks that something may lie there.
fn check_range(start: u64, end: Option<u64>, what: &str) -> Result<(), String> {
    if start < LOWEST_ADDRESS {
        return Err(format!(
            "{what} begins at {start:#x}, but nothing of a process lies below {LOWEST_ADDRESS:#x}: give its address in \
             the process"
        ));
    }
    match end {
        Some(end) if end > start => Ok(()),
        Some(end) => Err(format!(
            "{what} ends at {end:#x}, which is not behind its start {start:#x}"
        )),
        None => Err(format!("{what} at {start:#x} goes beyond the end of memory")),
    }
}

fn check_name(key: &str, name: &str) -> Result<(), String> {
    match (name.is_empty(), name.contains('\0')) {
        (true, _) => Err(format!("{key} is empty")),
        (_, true) => Err(format!("{key} contains a NUL")),
        _ => Ok(()),
    }
}

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
        if let Some(other) = document
            .machine
            .as_deref()
            .filter(|name| Machine::from_name(name) != Some(machine))
        {
            let message = format!("machine: the map is of an {other:?} process, the object is for {machine}");
            return Err(Error::new(ErrorKind::SessionMap, &source.name, message));
        }
        map.origins.sources.push(source.name.clone());
        documents.push(document);
    }

    let mut mappings = Vec::new();
    let mut symbols = Vec::new();
    for (source, document) in (0..).zip(&documents) {
        for (origin, Object(entry)) in entries(source, "mappings", &document.mappings) {
            let mapping = mapping(entry).map_err(|message| map.origins.error(origin, message))?;
            mappings.push((mapping, origin));
        }
        for (origin, Object(entry)) in entries(source, "symbols", &document.symbols) {
            let symbol = symbol(entry).map_err(|message| map.origins.error(origin, message))?;
            symbols.push((symbol, origin));
        }
    }
    map.add_mappings(mappings)?;
    map.add_symbols_from(symbols)?;

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
    for ((number, document), source) in (0..).zip(documents).zip(sources) {
        merger.lowering.enter(&source.name, &source.folder);
        merger.add_document(number, document)?;
    }
    merger.finish()
}

fn mapping(entry: &MappingEntry) -> Result<Mapping, String> {
    let (start, end) = (entry.start.0, entry.end.0);
    check_range(start, Some(end), "the mapping")?;
    if let Some(perms) = entry.perms.as_deref().filter(|perms| !super::is_perms(perms)) {
        return Err(format!(
            "perms: expected permissions as in \"r-xp\", found {perms:?}"
        ));
    }
    let is_hexadecimal = |id: &String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(id) = entry.build_id.as_ref().filter(|id| !is_hexadecimal(id)) {
        return Err(format!(
            "build_id: expected hexadecimal digits, found {:?}",
            super::excerpt(id)
        ));
    }
    Ok(Mapping {
        range: start..end,
        offset: entry.offset.0,
        perms: entry.perms.clone(),
        path: entry.path.clone().filter(|path| !path.is_empty()),
        build_id: entry.build_id.as_ref().map(|id| id.to_ascii_lowercase()),
    })
}

fn symbol(entry: &SymbolEntry) -> Result<SessionSymbol, String> {
    check_name("name", &entry.name)?;
    if let Some(library) = &entry.library {
        check_name("library", library)?;
    }
    check_range(
        entry.address.0,
        entry.address.0.checked_add(entry.size.0.max(1)),
        "the symbol",
    )?;
    Ok(SessionSymbol {
        address: entry.address.0,
        name: entry.name.clone(),
        size: entry.size.0,
        library: entry.library.clone(),
    })
}

/// Whether two things that both may know something know the same.
fn agree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// The union of two mappings that overlap, if they can be parts of one. What one does not say the other may.
fn joined(first: &Mapping, second: &Mapping) -> Option<Mapping> {
    let same_range = first.range == second.range;
    let same_path =
        first.path == second.path || (same_range && agree(first.path.as_ref(), second.path.as_ref()));
    let is_file = |m: &Mapping| m.path.as_deref().is_some_and(|path| !path.starts_with('['));
    let distance = |m: &Mapping| m.range.start.wrapping_sub(m.offset);
    let same_file = !is_file(first) || !is_file(second) || distance(first) == distance(second);
    // The fourth letter, private or shared, is not always given.
    let letters = |m: &Mapping| {
        m.perms
            .as_ref()
            .and_then(|perms| perms.get(..3))
            .map(str::to_owned)
    };
    let same_perms = agree(letters(first).as_ref(), letters(second).as_ref());
    let same_id = agree(first.build_id.as_ref(), second.build_id.as_ref());
    (same_path && same_file && same_perms && same_id).then(|| Mapping {
        range: first.range.start..first.range.end.max(second.range.end),
        offset: if is_file(first) {
            first.offset
        } else {
            second.offset
        },
        perms: first.perms.clone().or_else(|| second.perms.clone()),
        path: first.path.clone().or_else(|| second.path.clone()),
        build_id: first.build_id.clone().or_else(|| second.build_id.clone()),
    })
}

impl SessionMap {
    /// Adds a text's mappings, given with their lines.
    pub(super) fn merge_mappings(
        &mut self,
        name: &str,
        mappings: Vec<(usize, Mapping)>,
    ) -> Result<(), Error> {
        let source = self.add_source(name);
        let mut added = Vec::new();
        for (line, mapping) in mappings {
            let place = Place::Line(u32::try_from(line).unwrap_or(u32::MAX));
            let origin = Origin { source, place };
            let range = check_range(mapping.range.start, Some(mapping.range.end), "the mapping");
            range.map_err(|message| self.origins.error(origin, message))?;
            added.push((mapping, origin));
        }
        self.add_mappings(added)?;
        self.rebuild_index();
        Ok(())
    }

    /// Adds a text's symbols.
    pub(super) fn merge_listed_symbols(
        &mut self,
        name: &str,
        listed: Vec<ListedSymbol>,
    ) -> Result<(), Error> {
        let source = self.add_source(name);
        let mut added = Vec::new();
        let mut unbound = Vec::new();
        for ListedSymbol {
            line,
            symbol,
            private,
        } in listed
        {
            let place = Place::Line(u32::try_from(line).unwrap_or(u32::MAX));
            let origin = Origin { source, place };
            let range = check_range(
                symbol.address,
                symbol.address.checked_add(symbol.size.max(1)),
                "the symbol",
            );
            range.map_err(|message| self.origins.error(origin, message))?;
            match private {
                Some(why) => unbound.push((symbol, why)),
                None => added.push((symbol, origin)),
            }
        }
        self.add_symbols_from(added)?;
        self.unbound.append(&mut unbound);
        self.unbound
            .sort_by(|(a, _), (b, _)| (a.address, &a.name, a.size).cmp(&(b.address, &b.name, b.size)));
        self.unbound.dedup();
        self.rebuild_index();
        Ok(())
    }

    fn add_source(&mut self, name: &str) -> u32 {
        self.origins.sources.push(name.to_owned());
        self.origins.sources.len() as u32 - 1
    }

    fn add_mappings(&mut self, added: Vec<(Mapping, Origin)>) -> Result<(), Error> {
        let present = self
            .mappings
            .iter()
            .cloned()
            .zip(self.origins.mappings.iter().copied());
        let mut all: Vec<(Mapping, Origin)> = present.chain(added).collect();
        all.sort_by_key(|(mapping, origin)| (mapping.range.start, mapping.range.end, *origin));
        let mut merged: Vec<(Mapping, Origin)> = Vec::with_capacity(all.len());
        for (mapping, origin) in all {
            let Some((last, last_origin)) = merged
                .last_mut()
                .filter(|(last, _)| mapping.range.start < last.range.end)
            else {
                merged.push((mapping, origin));
                continue;
            };
            let conflict = || {
                self.origins
                    .conflict(origin, *last_origin, "the mapping overlaps and contradicts")
            };
            *last = joined(last, &mapping).ok_or_else(conflict)?;
        }
        let mut build_ids: HashMap<&str, (&str, Origin)> = HashMap::new();
        for (mapping, origin) in &merged {
            let (Some(path), Some(id)) = (&mapping.path, &mapping.build_id) else {
                continue;
            };
            let (first, first_origin) = *build_ids.entry(path).or_insert((id, *origin));
            if first != id {
                return Err(self.origins.conflict(
                    *origin,
                    first_origin,
                    "build_id: is another than the same file's in",
                ));
            }
        }
        (self.mappings, self.origins.mappings) = merged.into_iter().unzip();
        Ok(())
    }

    fn add_symbols_from(&mut self, added: Vec<(SessionSymbol, Origin)>) -> Result<(), Error> {
        let present = self
            .symbols
            .iter()
            .cloned()
            .zip(self.origins.symbols.iter().copied());
        let mut all: Vec<(SessionSymbol, Origin)> = present.chain(added).collect();
        // By SPEC 5's order among aliases; all are exported and global as far as the map tells.
        all.sort_by(|(a, a_origin), (b, b_origin)| {
            let key = |s: &SessionSymbol| (s.address, s.name.starts_with('_'), s.name.len());
            (key(a), &a.name, a_origin).cmp(&(key(b), &b.name, b_origin))
        });
        let mut merged: Vec<(SessionSymbol, Origin)> = Vec::with_capacity(all.len());
        for (symbol, origin) in all {
            let same = |(last, _): &&mut (SessionSymbol, Origin)| {
                last.address == symbol.address && last.name == symbol.name
            };
            let Some((last, last_origin)) = merged.last_mut().filter(same) else {
                merged.push((symbol, origin));
                continue;
            };
            let sizes = last.size == 0 || symbol.size == 0 || last.size == symbol.size;
            if !sizes || !agree(last.library.as_ref(), symbol.library.as_ref()) {
                let what = if sizes {
                    "library: is another than that of"
                } else {
                    "size: is another than that of"
                };
                return Err(self.origins.conflict(origin, *last_origin, what));
            }
            last.size = last.size.max(symbol.size);
            last.library = last.library.take().or(symbol.library);
        }
        (self.symbols, self.origins.symbols) = merged.into_iter().unzip();
        Ok(())
    }
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
        let origin = |list, index: usize| Origin {
            source,
            place: Place::Entry(list, u32::try_from(index).unwrap_or(u32::MAX)),
        };
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

        // What another map of the same session says again is meant once; within one map, twice is twice.
        let (ready, before, after) = (self.map.ready.len(), self.map.before.len(), self.map.after.len());
        for (index, form) in document.ready.into_iter().enumerate() {
            let expression = self.lower(form, "ready", index, None)?;
            if !self.map.ready[..ready].contains(&expression) {
                self.map.ready.push(expression);
            }
        }
        for (index, Object(entry)) in document.before.into_iter().enumerate() {
            let here = origin("before", index);
            let init = self.lower(entry.init, "before", index, Some("init"))?;
            let Some(name) = entry.name else {
                if !self.map.before[..before].contains(&(None, init.clone())) {
                    self.map.before.push((None, init));
                }
                continue;
            };
            check_name("name", &name).map_err(|message| self.map.origins.error(here, message))?;
            if self.lowering.is_value(&name) {
                return Err(self
                    .map
                    .origins
                    .error(here, format!("name: {name:?} is the name of a value")));
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
                    if self.map.before[other].1 != init || other >= before {
                        return Err(self.map.origins.conflict(here, other_origin, "has the name of"));
                    }
                }
            }
        }
        self.lowering.allow_results(true);
        for (index, form) in document.after.into_iter().enumerate() {
            let expression = self.lower(form, "after", index, None)?;
            if !self.map.after[..after].contains(&expression) {
                self.map.after.push(expression);
            }
        }
        self.lowering.allow_results(false);
        Ok(())
    }

    fn lower(
        &mut self,
        form: json::Form,
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
        let check = || {
            check_name("name", &entry.name)?;
            let Some(address) = address else {
                return Ok(());
            };
            let start = address
                .checked_sub(header)
                .ok_or("header: is larger than the address")?;
            check_range(start, address.checked_add(size.max(1)), "the value")
        };
        check().map_err(|message: String| self.map.origins.error(here, message))?;
        let value = Value {
            init: self.lower(entry.init, "values", index, Some("init"))?,
            name: entry.name,
            address,
            size,
            header,
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
        let origin = self.origin_text(here);
        let global = Global {
            symbol,
            offset: offset.0,
            init,
            origin,
        };
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
        let origin = self.origin_text(here);
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

    fn origin_text(&self, origin: Origin) -> String {
        let origins = &self.map.origins;
        let file = origins
            .sources
            .get(origin.source as usize)
            .map_or("", String::as_str);
        format!("{file}: {}", origins.place(origin))
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
                return Err(self
                    .map
                    .origins
                    .conflict(*other_origin, *one_origin, "the variable overlaps"));
            }
        }
        let mut imports: Vec<(Import, Origin)> = self.imports.into_values().collect();
        imports.sort_by(|(a, _), (b, _)| a.symbol.cmp(&b.symbol));
        for (global, origin) in &globals {
            if let Ok(at) = imports.binary_search_by(|(import, _)| import.symbol.cmp(&global.symbol)) {
                let what = format!(
                    "{:?} cannot be a global and an import, which it is in",
                    global.symbol
                );
                return Err(self.map.origins.conflict(*origin, imports[at].1, &what));
            }
        }
        let mut constants: Vec<(u64, (Expression, Origin))> = self.constants.into_iter().collect();
        constants.sort_unstable_by_key(|(number, _)| *number);
        let constant_origins: Vec<Origin> = constants.iter().map(|(_, (_, origin))| *origin).collect();

        self.map.globals = globals.into_iter().map(|(global, _)| global).collect();
        self.map.imports = imports.into_iter().map(|(import, _)| import).collect();
        self.map.constants = constants
            .into_iter()
            .map(|(number, (init, _))| (number, init))
            .collect();
        self.map.check_value_overlaps(&value_origins)?;
        self.map.rebuild_index();
        self.map.check_circularity(&value_origins, &constant_origins)?;
        Ok(self.map)
    }
}

impl SessionMap {
    fn check_value_overlaps(&self, origins: &[Origin]) -> Result<(), Error> {
        let ranges = self
            .values
            .iter()
            .zip(origins)
            .filter_map(|(v, o)| Some((lookup::value_range(v)?, *o)));
        let mut ranges: Vec<_> = ranges.collect();
        ranges.sort_unstable_by_key(|(range, origin)| (range.start, *origin));
        for pair in ranges.windows(2) {
            let [(one, one_origin), (other, other_origin)] = pair else {
                continue;
            };
            if other.start < one.end {
                return Err(self
                    .origins
                    .conflict(*other_origin, *one_origin, "the value overlaps"));
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
                match self
                    .constants
                    .binary_search_by_key(address, |(number, _)| *number)
                {
                    Ok(index) => Some(count + index),
                    Err(_) => self.value_at(*address).map(|(id, _)| id as usize),
                }
            }
            _ => None,
        };
        let name = |root: usize| match self.values.get(root) {
            Some(value) => value.name.clone(),
            None => self
                .constants
                .get(root - count)
                .map_or(String::new(), |(number, _)| format!("{number:#x}")),
        };
        let origin = |root: usize| {
            value_origins
                .get(root)
                .or_else(|| constant_origins.get(root - count))
                .copied()
        };
        let (root, message) = match expression::check_circularity(&roots, refers) {
            Ok(()) => return Ok(()),
            Err(Circularity::Deep(root)) => (
                root,
                format!("leads through more than {NESTING_LIMIT} levels of expressions and values"),
            ),
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
