//! The text of a captured map: one entry a line, by address, for people and for comparing.

use std::fmt::Write;

use super::{Captured, Repeat};
use crate::session_map::{Mapping, SessionSymbol};

impl Captured {
    /// The session map as JSON. The same process state gives the same bytes.
    pub fn to_json(&self) -> String {
        let mut text = format!("{{\n  \"relocfix\": 1,\n  \"machine\": \"{}\"", self.machine.name());
        list(&mut text, "mappings", self.mappings.iter().map(mapping));
        list(&mut text, "symbols", self.symbols.iter().map(symbol));
        list(&mut text, "values", self.repeats.iter().map(repeat));
        text.push_str("\n}\n");
        text
    }
}

fn list(text: &mut String, key: &str, entries: impl ExactSizeIterator<Item = String>) {
    if entries.len() == 0 {
        return;
    }
    let lines: Vec<String> = entries.map(|entry| format!("    {{{entry}}}")).collect();
    // A `String` takes everything.
    let _ = write!(text, ",\n  \"{key}\": [\n{}\n  ]", lines.join(",\n"));
}

fn mapping(mapping: &Mapping) -> String {
    let mut entry =
        format!("\"start\": \"{:#x}\", \"end\": \"{:#x}\"", mapping.range.start, mapping.range.end);
    if mapping.offset != 0 {
        let _ = write!(entry, ", \"offset\": \"{:#x}\"", mapping.offset);
    }
    for (key, value) in [("perms", &mapping.perms), ("path", &mapping.path), ("build_id", &mapping.build_id)]
    {
        if let Some(value) = value {
            let _ = write!(entry, ", \"{key}\": {}", quoted(value));
        }
    }
    entry
}

fn symbol(symbol: &SessionSymbol) -> String {
    let mut entry = format!("\"address\": \"{:#x}\", \"name\": {}", symbol.address, quoted(&symbol.name));
    if symbol.size != 0 {
        let _ = write!(entry, ", \"size\": {}", symbol.size);
    }
    if let Some(library) = &symbol.library {
        let _ = write!(entry, ", \"library\": {}", quoted(library));
    }
    entry
}

/// As a value that is nothing but the address of the symbol.
fn repeat(repeat: &Repeat) -> String {
    let Repeat { address, symbol, number } = repeat;
    let (name, symbol) = (quoted(&format!("{symbol}.{number}")), quoted(symbol));
    format!("\"name\": {name}, \"address\": \"{address:#x}\", \"init\": {{\"symbol\": {symbol}}}")
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
