//! Variables that only a runtime could fill and of which nothing says what they hold: they would stay empty, and the
//! code that reads them fail far away.

use super::Planner;
use crate::Unresolved;
use crate::error::{At, Problem};
use crate::object_file::SymbolPlace;
use crate::report::GlobalReport;
use crate::runtime_names;

impl Planner<'_> {
    /// Says what filling by name alone asks of the program that loads the result.
    pub(super) fn note_inferred(&mut self) {
        let inferred = self.found.globals.len() > self.found.map.globals.len();
        if inferred && self.found.map.ready.is_empty() {
            self.report.notes.push(format!(
                "{}: the session map has no `ready`: variables that --infer fills are filled when the result is loaded, \
                 which crashes before the runtime is initialized",
                self.object().name
            ));
        }
    }

    /// Reports them; each is a problem unless what is unresolved is kept.
    pub(super) fn find_unfilled(&mut self) {
        let found = self.found;
        let object = found.object;
        for id in runtime_names::unfilled(object, found.map, found.record, found.globals) {
            let symbol = object.symbol(id);
            self.report.globals.push(GlobalReport {
                symbol: symbol.name.to_owned(),
                offset: 0,
                delivery: GlobalReport::MISSING.to_owned(),
            });
            let message = format!(
                "`{}` is empty: only the session's runtime could fill it; give it an entry in the session map's `globals`",
                symbol.name
            );
            if found.options.unresolved == Unresolved::Keep {
                self.report.notes.push(format!("{}: {message}; it was kept", object.name));
                continue;
            }
            let at = match symbol.place {
                SymbolPlace::Section(section) => {
                    let section = object.section(section).name.to_owned();
                    Some(At { section, offset: symbol.value, function: None, line: None, instruction: None })
                }
                SymbolPlace::Undefined | SymbolPlace::Absolute | SymbolPlace::Common => None,
            };
            self.problems.push(Problem { file: object.name.to_owned(), at, message });
        }
    }
}
