//! Instructions that combine by `or` what no longer has the bits for that: they add.

use std::collections::BTreeMap;

use super::Planner;
use crate::assumptions::Realigned;
use crate::edits::BytesEdit;
use crate::object_file::SectionId;
use crate::report::RealignedReport;

impl Planner<'_> {
    /// Replaces them. What else of such an instruction changes would have to be done together.
    pub(super) fn plan_realigned(&mut self) {
        let assumptions = self.found.assumptions;
        if assumptions.realigned.is_empty() {
            return;
        }
        let edited = self.edits.bytes.iter().map(|e| ((e.section, e.offset), e.offset + e.old.len() as u64));
        let edited: BTreeMap<(SectionId, u64), u64> = edited.collect();
        for Realigned { section, offset, old, new } in &assumptions.realigned {
            let end = offset + old.len() as u64;
            let mut before = edited.range(..(*section, end)).rev();
            let changed = before.next().is_some_and(|((home, _), last)| home == section && *last > *offset);
            let text = self.text_at(*section, *offset, old.len() as u8);
            if changed {
                let message =
                    format!("`{text}` would have to become an addition, and something else of it changes");
                self.refuse(*section, *offset, message);
                continue;
            }
            // One byte differs: the opcode, or the field beside the register that says which operation it is.
            let differing = old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new);
            for (at, (old, new)) in differing {
                let (old, new) = (vec![*old], vec![*new]);
                self.edits.bytes.push(BytesEdit {
                    section: *section,
                    offset: offset + at as u64,
                    old: old.into(),
                    new: new.into(),
                });
            }
            self.report.realigned.push(RealignedReport {
                section: self.object().section(*section).name.to_owned(),
                offset: *offset,
                function: self.found.scan.function(*section, *offset).map(str::to_owned),
                instruction: text,
                becomes: self.object().machine.arch().disassemble(new, *offset),
            });
        }
    }
}
