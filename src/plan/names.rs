//! Symbols whose names spell the session address that they hold: they get a name that says what it means, which
//! is the same in every session, and nobody outside sees them.

use super::Planner;
use foldhash::HashMap;

use crate::edits::{Home, SymbolRef};
use crate::object_file::{Binding, SectionId, SymbolId, SymbolPlace, SymbolType};
use crate::report::RenamedReport;
use crate::scan::Shape;
use crate::session_map::Meaning;
use crate::spelled::spells;

impl Planner<'_> {
    /// Renames them, numbered in the order of sections.
    pub(super) fn rename_spelled_addresses(&mut self) {
        let words: HashMap<(SectionId, u64), (u64, &Meaning)> = self
            .found
            .testimony
            .resolved
            .iter()
            .filter(|r| r.place.shape == Shape::DataWord)
            .map(|r| ((r.place.section, r.place.offset), (r.place.value, &*r.meaning)))
            .collect();
        let object = self.object();
        let mut spelled: Vec<(SectionId, u64, SymbolId, &Meaning)> = Vec::new();
        for symbol in &object.symbols {
            if matches!(symbol.kind, SymbolType::Section | SymbolType::File) {
                continue;
            }
            if let SymbolPlace::Section(section) = symbol.place
                && let Some(&(value, meaning)) = words.get(&(section, symbol.value))
                && !matches!(meaning, Meaning::Unresolved(_))
                && spells(symbol.name, value)
            {
                spelled.push((section, symbol.value, symbol.id, meaning));
            }
        }
        spelled.sort_by_key(|&(section, offset, id, _)| (section, offset, id));
        for (number, (section, offset, id, meaning)) in spelled.into_iter().enumerate() {
            let name = format!("relocfix.{}.{number}", self.target_text(meaning));
            self.rename(id, section, offset, name);
        }
    }

    fn rename(&mut self, id: SymbolId, section: SectionId, offset: u64, name: String) {
        let object = self.object();
        let symbol = object.symbol(id);
        if object.groups.iter().any(|g| g.signature == id) {
            let message = format!(
                "`{}` spells a session address and identifies a section group, which another object of the link may \
                 replace by one that means something else",
                symbol.name
            );
            self.refuse(section, offset, message);
            return;
        }
        self.report.renamed.push(RenamedReport { name: symbol.name.to_owned(), becomes: name.clone() });
        let edit = self.edits.symbol_edits.entry(id).or_default();
        edit.name = Some(name.clone());
        if symbol.binding == Binding::Local {
            return;
        }
        // The same name can mean another thing in the next object of a link: references use a symbol of this
        // object alone, and the old one gives way to any other.
        edit.hidden = true;
        edit.weak = true;
        let function = symbol.kind == SymbolType::Function;
        let local = self.add_local(name, Home::Existing(section), offset, symbol.size, function);
        self.replaced.insert(id, SymbolRef::Local(local));
    }

    fn target_text(&self, meaning: &Meaning) -> String {
        match meaning {
            Meaning::Value(id, _) => self.found.map.values[id.0 as usize].name.clone(),
            Meaning::Symbol { name, .. } => name.clone(),
            Meaning::Anchored { anchor, .. } => anchor.file.clone(),
            Meaning::Constant(_)
            | Meaning::Derived { .. }
            | Meaning::Difference { .. }
            | Meaning::Unresolved(_) => "constant".to_owned(),
        }
    }
}
