//! Code that was made while the process ran, and the names that its makers gave it: for debuggers (GDB's JIT interface,
//! an object in memory for each piece), or for profilers (jitdump files, perf maps). What the first says of an address
//! the later ones do not change.

use std::collections::BTreeMap;

use super::images::Loaded;
use super::{Process, gdb_interface, jitdump};
use crate::Files;
use crate::session_map::{Mapping, SessionMap, SessionSymbol, loaded, nm};

/// The names of code that no file was mapped for.
pub(super) fn symbols(
    process: &dyn Process,
    map: &SessionMap,
    images: &[Loaded],
    files: &dyn Files,
    warnings: &mut Vec<String>,
) -> Vec<SessionSymbol> {
    let mut sources = vec![gdb_interface::symbols(process, images, warnings)];
    for mapping in map.mappings.iter().filter(|mapping| jitdump::is_dump(mapping)) {
        let path = mapping.path.as_deref().unwrap_or_default();
        let read = process.places(mapping).iter().find_map(|place| files.read(place).ok());
        let read = read.ok_or("cannot be read".to_owned());
        match read.and_then(|bytes| jitdump::symbols(&bytes, process.pid())) {
            Ok(symbols) => sources.push(symbols),
            Err(why) => warnings.push(format!("{path}: {why}: the code that it describes has no names")),
        }
    }
    match process.perf_map() {
        Ok(text) => sources.extend(text.map(|text| nm::perf_map_symbols(&text))),
        Err(error) => warnings.push(format!("perf map of {}: {error}: it is not used", process.name())),
    }
    let mut found: BTreeMap<u64, SessionSymbol> = BTreeMap::new();
    for symbol in sources.into_iter().flatten() {
        let mapping = map.mapping_at(symbol.address).map(|index| &map.mappings[index]);
        if mapping.is_some_and(|mapping| is_made(mapping, images)) {
            found.entry(symbol.address).or_insert(symbol);
        }
    }
    found.into_values().collect()
}

/// Whether a process makes code there: in memory that no program or library was loaded to.
fn is_made(mapping: &Mapping, images: &[Loaded]) -> bool {
    let kernels = |path: &str| path.starts_with('[') && !path.starts_with("[anon");
    let loaded = |path: &str| kernels(path) || images.iter().any(|image| image.path == path);
    loaded::executable(mapping) != Some(false) && !mapping.path.as_deref().is_some_and(loaded)
}
