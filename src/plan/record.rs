//! What a later run shall know: every section that is fixed, every global that is filled.

use std::collections::BTreeMap;

use super::Planner;
use crate::edits::{Home, NewLocal, NewSectionId, NewSectionKind, SymbolRef};
use crate::object_file::{GroupId, Section, SectionKind, SymbolId, SymbolPlace};
use crate::plan::slots::Role;
use crate::plan::symbols::Named;
use crate::record::{RECORD, RecordKind, RecordWriter, is_recorded};

const SECTION: Role = (RECORD, NewSectionKind::Record, 8);

impl Planner<'_> {
    /// Adds the record, one section for each group, since what refers to a group's section must be in the group.
    pub(super) fn write_record(&mut self) {
        if self.edits.is_empty() {
            return;
        }
        let mut writers: BTreeMap<Option<GroupId>, RecordWriter> = BTreeMap::new();
        let object = self.object();
        // What a linker could merge and no longer can is recorded, too.
        let unmerged = |id| self.edits.section_edits.get(&id).is_some_and(|edit| edit.unmerge);
        let recorded = |s: &&Section<'_>| is_recorded(s) || unmerged(s.id) && s.kind != SectionKind::EhFrame;
        for section in object.sections.iter().filter(recorded).filter(|s| !self.kept.contains(&s.id)) {
            if (0..section.size).step_by(8).all(|offset| self.found.record.covers(section.id, offset)) {
                continue;
            }
            let writer = writers.entry(section.group).or_default();
            writer.push(RecordKind::Range, SymbolRef::Section(section.id), 0, section.size);
        }
        for (index, section) in self.edits.sections.iter().enumerate() {
            use NewSectionKind::{EhFrame, Strings, ZeroFill};
            if !matches!(section.kind, ZeroFill | EhFrame | Strings) {
                let id = SymbolRef::NewSection(NewSectionId(index as u32));
                writers.entry(section.group).or_default().push(RecordKind::Range, id, 0, section.size);
            }
        }
        for global in self.found.globals {
            let Some(&(Named::Global(id) | Named::Local(id))) = self.by_name.get(global.symbol.as_str())
            else {
                continue;
            };
            // The variable that an undefined symbol became has its name.
            if let Some(&SymbolRef::Local(local)) = self.replaced.get(&id)
                && let NewLocal { home: Home::New(section), value, .. } = self.edits.locals[local.0 as usize]
            {
                let writer = writers.entry(None).or_default();
                let at = (value + global.offset) as i64;
                writer.push(RecordKind::Global, SymbolRef::NewSection(section), at, 8);
            }
            let (group, symbol, addend) = match object.symbol(id).place {
                SymbolPlace::Section(section) => {
                    let at = object.symbol(id).value + global.offset;
                    (object.section(section).group, SymbolRef::Section(section), at)
                }
                _ => (None, SymbolRef::Existing(id), global.offset),
            };
            writers.entry(group).or_default().push(RecordKind::Global, symbol, addend as i64, 8);
        }
        let mut imports: Vec<SymbolId> = self.imports.keys().copied().collect();
        imports.sort();
        for id in imports {
            writers.entry(None).or_default().push(RecordKind::Import, SymbolRef::Existing(id), 0, 0);
        }
        for (group, writer) in writers {
            let (data, relocations) = writer.finish();
            let (section, _) = self.append(SECTION, group, 8, &data);
            self.edits.sections[section.0 as usize].relocations = relocations;
        }
    }
}
