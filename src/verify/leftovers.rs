//! Whether the output still holds an address of the session, or a relocation that position-independent code cannot have.

use super::{Check, Verification};
use foldhash::HashSet;

use crate::RelocationModel;
use crate::code_scan::{Part, Parts};
use crate::error::{Error, ErrorKind, Problem, Result};
use crate::frame_table::FrameTable;
use crate::object_file::{SectionId, SectionKind, SymbolPlace};
use crate::plan;
use crate::scan::{self, Place, needs_lowering};

impl Check<'_, '_> {
    /// No session constant is left, and nothing that had to be lowered.
    pub(super) fn nothing_left(&self) -> Result<()> {
        let Verification { map, files, options, record, plan, dismissed, .. } = self.verification;
        let dismissed: HashSet<(SectionId, u64, u64)> =
            dismissed.iter().map(|p| (p.section, p.offset, p.value)).collect();
        let kept: HashSet<(&str, u64)> = plan
            .report
            .places
            .iter()
            .filter(|p| p.delivery == "kept")
            .map(|p| (p.section.as_str(), p.offset))
            .collect();
        let frames = || FrameTable::read(self.output);
        if !self.same_frames() {
            // What was made can be read.
            frames()?;
        }
        let left = scan::left(self.output, map, *files, record, &frames)?;
        for place in left.places {
            if self.is_made(place.section, place.offset) || self.is_number_of_map(&place) {
                continue;
            }
            let dismissed = dismissed.contains(&(place.section, place.offset, place.value));
            if !dismissed && !kept.contains(&(place.home(self.verification.input), place.offset)) {
                if self.was_data(&place) {
                    return Err(self.refused(&place));
                }
                return self.error(place.section, place.offset, &format!("{:#x} is left", place.value));
            }
        }
        for pair in &left.halves {
            let place = pair.high;
            if !dismissed.contains(&(place.section, place.offset, place.value)) {
                return self.error(
                    place.section,
                    place.offset,
                    &format!("half of {:#x} is left", pair.value()),
                );
            }
        }
        if options.relocation_model == RelocationModel::Static {
            return Ok(());
        }
        for section in &self.output.sections {
            for r in section.relocations() {
                let number =
                    || r.symbol.0 == 0 || self.output.symbol(r.symbol).place == SymbolPlace::Absolute;
                if needs_lowering(section, &r) && !number() && !record.covers(section.id, r.offset) {
                    return self.error(section.id, r.offset, "an absolute relocation is left");
                }
            }
        }
        Ok(())
    }

    /// Whether the unwind tables are the input's.
    fn same_frames(&self) -> bool {
        let old = &self.verification.input.sections;
        let mut frames = self.output.sections.iter().filter(|s| s.kind == SectionKind::EhFrame);
        frames.all(|new| old.get(new.id.0 as usize).is_some_and(|old| old.data == new.data))
    }

    /// Whether that reads as an instruction's constant in the output alone: in the input some instruction that has been
    /// replaced reads or writes there, and what it reaches is data, around which instructions are decoded.
    fn was_data(&self, place: &Place) -> bool {
        let Verification { input, map, scan, .. } = self.verification;
        let section = input.sections.get(place.section.0 as usize);
        let Some((section, bounds)) = section.zip(scan.bounds.get(&place.section)) else {
            return false;
        };
        let parts = Parts::of(input, section, bounds, map);
        !matches!(parts.at(place.offset), Some(Part::Constant(_, operand)) if operand.field == place.offset)
    }

    fn refused(&self, place: &Place) -> Error {
        let message = format!(
            "{:#x} lies where an instruction that has to be replaced reads or writes data, and reads as an address in another \
             one: nothing shows which it is; have data compiled into a section of its own",
            place.value
        );
        let Verification { input, scan, .. } = self.verification;
        let at = Some(scan.at(input, place.section, place.offset));
        Error::all(ErrorKind::Refused, vec![Problem { file: input.name.to_owned(), at, message }])
    }

    /// Whether that is a small number that the map gives as one.
    fn is_number_of_map(&self, place: &Place) -> bool {
        let new = place.section.0 as usize >= self.verification.input.sections.len();
        let small = u32::try_from(place.value).is_ok();
        new && small && plan::is_of_map(self.output.section(place.section).name)
    }

    /// Whether that is the encoding of a program, a message or an unwind table that was added, in which nothing of the
    /// input's stands: words of these can be as large as an address, and are none.
    fn is_made(&self, section: SectionId, offset: u64) -> bool {
        let before = self.verification.input.sections.get(section.0 as usize).map(|s| s.size);
        let section = self.output.section(section);
        let unwinds = section.kind == SectionKind::EhFrame;
        match before {
            None => unwinds || plan::is_made_text(section.name),
            Some(size) => unwinds && offset >= size,
        }
    }
}
