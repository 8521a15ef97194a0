//! Whether two objects have one shape: the same sections, symbols and relocations but for names, numbers and
//! bytes. Only then does a byte of one say something about the byte at its place in the other.

use crate::EMBEDDED_MAP;
use crate::object_file::{ObjectFile, Section, SectionKind, Symbol};

/// Whether bytes of that section matter to a program, so that they are compared.
pub(super) fn is_compared(section: &Section<'_>) -> bool {
    section.alloc && section.kind != SectionKind::Format && section.name != EMBEDDED_MAP
}

/// The first thing in which the shapes differ; `None`: they are the same.
pub(super) fn difference(ours: &ObjectFile<'_>, theirs: &ObjectFile<'_>) -> Option<String> {
    if (ours.machine, ours.format) != (theirs.machine, theirs.format) {
        return Some("they are of different machines or formats".to_owned());
    }
    if ours.sections.len() != theirs.sections.len() {
        let (ours, theirs) = (ours.sections.len(), theirs.sections.len());
        return Some(format!("one has {ours} sections, the other {theirs}"));
    }
    if ours.symbols.len() != theirs.symbols.len() {
        let (ours, theirs) = (ours.symbols.len(), theirs.symbols.len());
        return Some(format!("one has {ours} symbols, the other {theirs}"));
    }
    let names = |object: &ObjectFile<'_>, section: &str| {
        let named = |s: &&Symbol<'_>| !s.name.is_empty() && section.ends_with(s.name);
        object.symbols.iter().filter(named).map(|s| (s.id, section.len() - s.name.len())).collect::<Vec<_>>()
    };
    for (a, b) in ours.sections.iter().zip(&theirs.sections) {
        let flags = |s: &Section<'_>| (s.kind, s.alloc, s.write, s.exec, s.merge, s.tls, s.large, s.group);
        if flags(a) != flags(b) {
            return Some(format!("section {} is `{}` in one and `{}` in the other", a.id.0, a.name, b.name));
        }
        // A section can carry its symbol's name, and that an address.
        let renamed = || {
            let (of_a, of_b) = (names(ours, a.name), names(theirs, b.name));
            of_a.iter()
                .any(|(id, prefix)| of_b.contains(&(*id, *prefix)) && a.name[..*prefix] == b.name[..*prefix])
        };
        if a.name != b.name && a.alloc && !renamed() {
            return Some(format!("section {} is `{}` in one and `{}` in the other", a.id.0, a.name, b.name));
        }
        if !is_compared(a) {
            continue;
        }
        if (a.size, a.data.len(), a.align) != (b.size, b.data.len(), b.align) {
            return Some(format!("{} has {:#x} bytes in one and {:#x} in the other", a.name, a.size, b.size));
        }
        if a.relocations().len() != b.relocations().len() {
            let (ours, theirs) = (a.relocations().len(), b.relocations().len());
            return Some(format!("{} has {ours} relocations in one and {theirs} in the other", a.name));
        }
        let differing =
            a.relocations().iter().zip(b.relocations()).find(|(a, b)| {
                (a.offset, a.kind, a.symbol, a.entry) != (b.offset, b.kind, b.symbol, b.entry)
            });
        if let Some((relocation, _)) = differing {
            return Some(format!("they differ in the relocation at {}+{:#x}", a.name, relocation.offset));
        }
    }
    let position = |s: &Symbol<'_>| {
        let absolute = s.place == crate::object_file::SymbolPlace::Absolute;
        (s.place, s.size, s.binding, s.visibility, s.kind, if absolute { 0 } else { s.value })
    };
    // The sizes and places of what is not loaded, debugging information say, may differ as its contents do.
    let loaded = |s: &Symbol<'_>| match s.place {
        crate::object_file::SymbolPlace::Section(section) => is_compared(ours.section(section)),
        _ => true,
    };
    let mut pairs = ours.symbols.iter().zip(&theirs.symbols);
    let (a, b) = pairs.find(|(a, b)| loaded(a) && position(a) != position(b))?;
    Some(format!(
        "symbol {} is `{}` in one and `{}` in the other, elsewhere or of another kind",
        a.id.0, a.name, b.name
    ))
}
