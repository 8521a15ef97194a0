//! What one object needs of a captured map: the mappings that its constants lie in, and their names, so that no
//! other file is needed later.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::{Captured, Process, images};
use crate::Private;
use crate::error::Result;
use crate::object_file::ObjectFile;
use crate::session_map::loaded::Located;
use crate::session_map::{Files, MapSource, Mapping, Meaning, SessionMap, SessionSymbol};

impl Captured {
    /// The part of the map that `object` needs. What it holds without a name keeps its mapping, so that it is refused
    /// later as it would be now.
    ///
    /// # Errors
    /// A malformed object, one of another machine, and a mapped file that is needed and cannot be read.
    pub fn needed_by(
        self,
        object: &ObjectFile<'_>,
        process: &dyn Process,
        files: &dyn Files,
    ) -> Result<Captured> {
        let files = ProcessFiles { process, map: &self, files };
        let report = crate::check(object, &self.parsed(object, &files)?, &files, &crate::Options::default())?;
        let mut values: Vec<u64> = report.places.iter().map(|place| place.value).collect();
        values.sort_unstable();
        let holds = |range: &Range<u64>| {
            let after = values.partition_point(|value| *value < range.start);
            values.get(after).is_some_and(|value| range.contains(value))
        };
        // Other addresses of a name that the object does not hold are not in its way.
        let near = |s: &&SessionSymbol| holds(&(s.address..s.address.saturating_add(s.size.max(1))));
        let near = self.symbols.iter().filter(near).cloned().collect();
        let near = Captured {
            machine: self.machine,
            mappings: self.mappings.clone(),
            symbols: near,
            repeats: self.repeats.iter().filter(|r| holds(&(r.address..r.address + 1))).cloned().collect(),
            warnings: Vec::new(),
        };
        let map = near.parsed(object, &files)?;
        let mut symbols = Vec::new();
        let mut whole_files = HashSet::new();
        for &value in &values {
            match map.meaning(value, &files, Private::Anchor)? {
                Meaning::Symbol { name, offset, library } => {
                    let size = map.extent(value, &files)?;
                    let address = value.wrapping_sub(offset as u64);
                    symbols.push(SessionSymbol { address, name, size, library, align: 1 });
                }
                // Where a file begins only all of its mappings say.
                Meaning::Anchored { .. } => {
                    let mapping = map.mapping_at(value).map(|i| &map.mappings[i]);
                    whole_files.extend(mapping.and_then(|m| m.path.clone()));
                }
                // Variables that begin as zero lie behind their file's mappings.
                Meaning::Unresolved(_) => {
                    for near in [value, value.saturating_sub(1)] {
                        if let Ok(Located::Image { path, .. }) = map.locate(near, &files) {
                            whole_files.insert(path);
                        }
                    }
                }
                _ => {}
            }
        }
        let whole = |path: &Option<String>| path.as_ref().is_some_and(|path| whole_files.contains(path));
        let needed = |mapping: &Mapping| holds(&mapping.range) || whole(&mapping.path);
        let mappings = near.mappings.into_iter().filter(needed).collect();
        super::sort(&mut symbols);
        let (machine, repeats, warnings) = (self.machine, near.repeats, self.warnings);
        Ok(Captured { machine, mappings, symbols, repeats, warnings })
    }

    /// The map as a later run reads it.
    fn parsed(&self, object: &ObjectFile<'_>, files: &dyn Files) -> Result<SessionMap> {
        let text = self.to_json();
        let source = MapSource { name: "captured map".into(), folder: ".".into(), text: text.as_bytes() };
        SessionMap::parse(&[source], object.machine, files)
    }
}

impl SessionMap {
    /// The size of the variable around an address that has a name; 0: only its start has one.
    fn extent(&self, address: u64, files: &dyn Files) -> Result<u64> {
        if let Some(symbol) = self.symbol_at(address) {
            return Ok(symbol.size);
        }
        Ok(match self.locate(address, files)? {
            Located::Image { image, address, .. } => image.extent(address),
            Located::Other(_) => 0,
        })
    }
}

/// The files that a process has mapped, by the paths that it knows them by.
struct ProcessFiles<'a> {
    process: &'a dyn Process,
    map: &'a Captured,
    files: &'a dyn Files,
}

impl Files for ProcessFiles<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mapping = self.map.mappings.iter().find(|m| m.path.as_deref().map(Path::new) == Some(path));
        let Some(mapping) = mapping else {
            return self.files.read(path);
        };
        let mut problem = io::Error::from(io::ErrorKind::NotFound);
        for place in self.process.places(mapping) {
            match self.files.read(&place) {
                Ok(bytes)
                    if mapping.build_id.is_none() || images::build_id_of(&bytes) == mapping.build_id =>
                {
                    return Ok(bytes);
                }
                Ok(_) => problem = io::Error::other("another file is there now"),
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }
}
