//! Where the session map of a run comes from: the command line, the object itself, the file beside it, or only
//! what `--maps` and `--symbols` add.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use relocfix::{EMBEDDED_MAP, Error, ErrorKind, Files, MapSource, ObjectFile, Result, Runtime, SessionMap};

use crate::args::{Invocation, WitnessFiles};
use crate::input::{Bytes, Location, open_map, read};

/// The session map of a run, and where it came from.
#[derive(Debug)]
pub(crate) struct Found {
    /// The merged map; none: there is nothing that says what addresses meant.
    pub(crate) map: Option<SessionMap>,
    /// The files that it was read from, but for the object.
    pub(crate) files: Vec<PathBuf>,
}

/// Finds, reads and merges the session maps of a run.
///
/// # Errors
/// A map that cannot be read or is wrong.
pub(crate) fn find(invocation: &Invocation, object: &ObjectFile<'_>, files: &dyn Files) -> Result<Found> {
    let additions = (invocation.proc_maps.as_slice(), invocation.symbols.as_slice());
    find_of(&invocation.input, &invocation.session_maps, additions, invocation.options.infer, object, files)
}

/// How many bytes the session map of a run and its additions have, but for one that the object carries.
pub(crate) fn size(invocation: &Invocation) -> u64 {
    let beside = neighbour_path(&invocation.input).filter(|_| invocation.session_maps.is_empty());
    let given = invocation.session_maps.iter().chain(&invocation.proc_maps).chain(&invocation.symbols);
    // What cannot be read is told when it is.
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    given.chain(&beside).map(size).sum()
}

/// Finds, reads and merges the session maps of a witness, for which nothing else stands.
///
/// # Errors
/// As [`find`]; and that there is none.
pub(crate) fn find_witness(
    witness: &WitnessFiles,
    object: &ObjectFile<'_>,
    files: &dyn Files,
) -> Result<(SessionMap, Vec<PathBuf>)> {
    let found = find_of(&witness.object, &witness.session_maps, (&[], &[]), None, object, files)?;
    match found.map {
        Some(map) => Ok((map, found.files)),
        None => {
            let beside = match neighbour_path(&witness.object) {
                Some(path) => format!(" and there is no {}", path.display()),
                None => String::new(),
            };
            let message = format!(
                "no session map of the witness: it has no section {EMBEDDED_MAP}{beside}; give it with \
                 `--witness-session-map FILE`"
            );
            Err(Error::new(ErrorKind::NoSessionMap, object.name, message))
        }
    }
}

fn find_of(
    input: &Location,
    session_maps: &[PathBuf],
    (proc_maps, symbols): (&[PathBuf], &[PathBuf]),
    infer: Option<Runtime>,
    object: &ObjectFile<'_>,
    files: &dyn Files,
) -> Result<Found> {
    let mut texts = Vec::new();
    for path in session_maps {
        texts.push((path.clone(), open_map(path)?));
    }
    let mut embedded = Vec::new();
    if texts.is_empty() {
        embedded = embedded_maps(object, input.file());
    }
    if texts.is_empty() && embedded.is_empty() {
        texts.extend(neighbour(input)?);
    }
    let mut sources = embedded;
    sources.extend(texts.iter().map(|(path, text)| MapSource {
        name: path.display().to_string(),
        folder: folder_of(path),
        text,
    }));
    let additions = proc_maps.iter().chain(symbols);
    let paths = texts.iter().map(|(path, _)| path).chain(additions).cloned().collect();
    if sources.is_empty() && proc_maps.is_empty() && symbols.is_empty() {
        return Ok(Found { map: None, files: paths });
    }
    let mut map = SessionMap::parse(&sources, object.machine, files)?;
    // Who asks for a runtime's variables to be filled asks for it to be running.
    let silent = map.ready.is_empty() && map.before.is_empty() && map.after.is_empty();
    if let Some(runtime) = infer.filter(|_| silent) {
        sources.push(runtime.protocol());
        map = SessionMap::parse(&sources, object.machine, files)?;
    }
    for path in proc_maps {
        map.add_proc_maps(&path.display().to_string(), &read(path)?)?;
    }
    for path in symbols {
        map.add_symbols(&path.display().to_string(), &read(path)?)?;
    }
    Ok(Found { map: Some(map), files: paths })
}

/// That there is no session map, what follows from that (`consequence`), and how to get one.
pub(crate) fn none_found(object: &ObjectFile<'_>, input: &Location, consequence: &str) -> Error {
    let beside = match neighbour_path(input) {
        Some(path) => format!(" and there is no {}", path.display()),
        None => String::new(),
    };
    let message = format!(
        "no session map{consequence}: the object has no section {EMBEDDED_MAP}{beside}; let the program that writes the \
         object write one too and give it with `-s FILE`, or give a copy of that process's /proc/PID/maps \
         with `--maps FILE` and names that it alone knows with `--symbols FILE`"
    );
    Error::new(ErrorKind::NoSessionMap, object.name, message)
}

/// The maps that the object carries. Producers that write them as a C string or pad the section leave NULs at
/// the end.
fn embedded_maps<'d>(object: &ObjectFile<'d>, path: Option<&Path>) -> Vec<MapSource<'d>> {
    let carriers = object.sections.iter().filter(|section| section.name == EMBEDDED_MAP);
    carriers
        .map(|section| {
            let end = section.data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            MapSource {
                name: format!("{}({EMBEDDED_MAP})", object.name),
                folder: path.map_or_else(|| PathBuf::from("."), folder_of),
                text: &section.data[..end],
            }
        })
        .collect()
}

fn neighbour(input: &Location) -> Result<Option<(PathBuf, Bytes)>> {
    let Some(path) = neighbour_path(input) else {
        return Ok(None);
    };
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Something is there: if it cannot be read, going on without it would be a guess.
        _ => {
            let text = open_map(&path)?;
            Ok(Some((path, text)))
        }
    }
}

/// IN with its last extension replaced.
fn neighbour_path(input: &Location) -> Option<PathBuf> {
    input.file().map(|path| path.with_extension("session.json"))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_extension_is_replaced() {
        let beside = |name: &str| neighbour_path(&Location::new(Path::new(name)));
        assert_eq!(beside("in.o"), Some("in.session.json".into()));
        assert_eq!(beside("a.b/in.jit.o"), Some("a.b/in.jit.session.json".into()));
        assert_eq!(beside("in"), Some("in.session.json".into()));
        assert_eq!(beside("-"), None);
    }

    #[test]
    fn a_bare_name_lies_in_this_folder() {
        assert_eq!(folder_of(Path::new("in.o")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/in.o")), Path::new("a"));
    }
}
