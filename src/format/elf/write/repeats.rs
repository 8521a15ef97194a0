//! Puts what is repeated into a section's bytes. There can be millions of such places: whether the bytes to change are those
//! that are expected, and no others change them, is told where they are changed, by all threads.

use rayon::prelude::*;
use smallvec::SmallVec;

use super::checks::{TWICE, expected, refused_at};
use crate::edits::{BytesEdit, Repeat, Repeated};
use crate::error::{Error, Result};
use crate::object_file::{ObjectFile, SectionId};

/// How many places a thread looks at in one go.
const AT_ONCE: usize = 4096;

/// How many patterns are looked up one right after the other: each look-up waits for memory, and so they wait together.
pub(super) const FEW: usize = 32;

/// A part of a section.
struct Part<'a> {
    /// Where it starts in the section, and its bytes.
    start: u64,
    bytes: &'a mut [u8],
    /// The places in it.
    places: &'a [Repeat],
}

/// Changes the bytes of a section in which all other edits have been made: `once`, by offset.
///
/// # Errors
/// Places that are not in order, overlap or do not hold what is expected.
pub(super) fn write(
    object: &ObjectFile<'_>,
    id: SectionId,
    once: &[&BytesEdit],
    repeated: &Repeated,
    bytes: &mut [u8],
) -> Result<()> {
    let patterns = repeated.patterns.iter().map(|pattern| (pattern.constant, pattern.frames)).collect();
    let section = Section { object, id, once, repeated, patterns };
    let wrong = section.parts(bytes)?.into_par_iter().find_map_first(|part| section.write(part).err());
    wrong.map_or(Ok(()), Err)
}

struct Section<'a> {
    object: &'a ObjectFile<'a>,
    id: SectionId,
    /// What is changed besides, by offset.
    once: &'a [&'a BytesEdit],
    repeated: &'a Repeated,
    /// Constant and first frame of each pattern, and nothing between them: they are looked up in no order.
    patterns: Vec<(u64, u32)>,
}

impl Section<'_> {
    fn refused(&self, offset: u64, message: impl Into<String>) -> Error {
        refused_at(self.object, self.id, offset, message)
    }

    /// Cuts the section where places start.
    fn parts<'p>(&'p self, bytes: &'p mut [u8]) -> Result<Vec<Part<'p>>> {
        let mut parts: Vec<Part<'_>> = Vec::new();
        let (mut start, mut left) = (0, bytes);
        let mut chunks = self.repeated.places.chunks(AT_ONCE).peekable();
        while let Some(places) = chunks.next() {
            let end = chunks.peek().map(|next| next[0].offset);
            let length = match end {
                Some(end) => end.checked_sub(start).ok_or_else(|| self.refused(end, TWICE))?,
                None => left.len() as u64,
            };
            let cut = usize::try_from(length).ok().and_then(|length| left.split_at_mut_checked(length));
            let (bytes, rest) = cut.ok_or_else(|| {
                self.refused(end.unwrap_or(start), "the bytes to change are outside of the section")
            })?;
            parts.push(Part { start, bytes, places });
            (start, left) = (start + length, rest);
        }
        Ok(parts)
    }

    fn write(&self, Part { start, bytes, places }: Part<'_>) -> Result<()> {
        let before =
            |edit: &&&BytesEdit, offset: u64| edit.offset.saturating_add(edit.old.len() as u64) <= offset;
        let mut once = self.once[self.once.partition_point(|edit| before(&edit, start))..].iter().peekable();
        let mut free = start;
        let (form, frames) = (&self.repeated.form, &self.repeated.frames);
        let (window, length) = (form.window(), usize::from(form.length));
        let size = self.object.section(self.id).size;
        for few in places.chunks(FEW) {
            let patterns = few.iter().map(|place| self.patterns.get(place.pattern as usize).copied());
            let patterns: SmallVec<[Option<(u64, u32)>; FEW]> = patterns.collect();
            for (place, pattern) in few.iter().zip(patterns) {
                let offset = place.offset;
                let frame = |(constant, first): (u64, u32)| {
                    Some((constant, frames.get(first as usize + place.frame as usize)?))
                };
                let Some((constant, frame)) = pattern.and_then(frame) else {
                    return Err(self.refused(offset, "a repeated change that does not exist"));
                };
                let end = offset.saturating_add(length as u64);
                while once.next_if(|edit| before(edit, offset)).is_some() {}
                // What the next part starts with is not among the bytes.
                let overlaps = offset < free || once.peek().is_some_and(|edit| edit.offset < end);
                if overlaps || end > start + bytes.len() as u64 && end <= size {
                    return Err(self.refused(offset, TWICE));
                }
                free = end;
                let at = offset - start;
                if !window.bytes(bytes, at).is_some_and(|bytes| window.is(bytes, frame.old, constant)) {
                    let found = bytes.get(at as usize..(at as usize).saturating_add(length));
                    let old = window.text(window.with(frame.old, constant));
                    expected(self.object, self.id, offset, found, &old, &window.text(frame.new))?;
                }
                if let Some(here) = bytes.get_mut(at as usize..(at as usize).saturating_add(length)) {
                    here.copy_from_slice(&frame.new.to_le_bytes()[..length]);
                }
            }
        }
        Ok(())
    }
}
