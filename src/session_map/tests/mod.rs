//! Tests of the whole session map: what texts are taken and refused, and what addresses mean.

mod anchors;
mod corpus;
mod elf_image;
mod images;
mod lookups;
mod merging;
mod process;
mod texts;
mod wrong_texts;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Expression, Files, MapSource, Meaning, SessionMap};
use crate::Private;
use crate::arch::Machine;
use crate::error::ErrorKind;

/// Files that exist only in a test, and how often one was read.
#[derive(Default)]
pub(crate) struct Memory {
    files: HashMap<String, Vec<u8>>,
    reads: AtomicUsize,
}

impl Memory {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()));
        Memory { files: files.collect(), reads: AtomicUsize::new(0) }
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let found = self.files.get(&path.to_string_lossy().into_owned());
        found.cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }
}

/// The machine's own files.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

fn source<'a>(name: &str, text: &'a str) -> MapSource<'a> {
    MapSource { name: name.into(), folder: "/maps".into(), text: text.as_bytes() }
}

/// The map whose keys, beside the version, are those.
fn parse_with(keys: &str, files: &dyn Files) -> Result<SessionMap, String> {
    let comma = if keys.is_empty() { "" } else { "," };
    let text = format!("{{\"relocfix\": 1{comma} {keys}}}");
    SessionMap::parse(&[source("m.json", &text)], Machine::X86_64, files).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::SessionMap, "{error}");
        error.to_string()
    })
}

fn parse(keys: &str) -> Result<SessionMap, String> {
    parse_with(keys, &Memory::default())
}

fn parse_all(texts: &[&str]) -> Result<SessionMap, String> {
    let names = ["a.json", "b.json", "c.json"];
    let texts: Vec<String> = texts.iter().map(|keys| format!("{{\"relocfix\": 1, {keys}}}")).collect();
    let sources: Vec<MapSource<'_>> =
        names.iter().zip(&texts).map(|(name, text)| source(name, text)).collect();
    SessionMap::parse(&sources, Machine::X86_64, &Memory::default()).map_err(|error| error.to_string())
}

/// A meaning in short: `puts+3 (libc.so.6)`, `value 0-8`, `constant 1`, or the reason.
fn short(meaning: Meaning) -> String {
    match meaning {
        Meaning::Constant(index) => format!("constant {index}"),
        Meaning::Value(id, offset) => format!("value {}{offset:+}", id.0),
        Meaning::Symbol { name, offset, library: None } => format!("{name}{offset:+}"),
        Meaning::Symbol { name, offset, library: Some(library) } => format!("{name}{offset:+} ({library})"),
        Meaning::Anchored { anchor, .. } => {
            format!("{}+{:#x} [{}]", anchor.file, anchor.offset, anchor.build_id)
        }
        Meaning::Derived { .. } | Meaning::Difference { .. } => unreachable!("no map alone derives anything"),
        Meaning::Unresolved(reason) => reason,
    }
}

fn meaning(map: &SessionMap, address: u64, files: &dyn Files) -> String {
    map.meaning(address, files, Private::Error).map_or_else(|error| format!("error: {error}"), short)
}

/// What an expression is read as, with a value `v` and a file `table.bin` at hand.
fn init(expression: &str) -> Result<Expression, String> {
    let files = Memory::with(&[("/maps/table.bin", b"0123456789abcdef")]);
    let keys = format!(
        r#""values": [{{"name": "v", "init": {{"int": 1}}}}], "globals": [{{"symbol": "g", "init": {expression}}}]"#
    );
    Ok(parse_with(&keys, &files)?.globals[0].init.clone())
}
