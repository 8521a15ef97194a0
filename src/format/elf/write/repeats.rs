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
const FEW: usize = 32;

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
    let section = Section { object, id, once, repeated };
    let wrong = section.parts(bytes)?.into_par_iter().find_map_first(|part| section.write(part).err());
    wrong.map_or(Ok(()), Err)
}

struct Section<'a> {
    object: &'a ObjectFile<'a>,
    id: SectionId,
    /// What is changed besides, by offset.
    once: &'a [&'a BytesEdit],
    repeated: &'a Repeated,
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
        let before = |offset: u64| {
            move |edit: &&BytesEdit| edit.offset.saturating_add(edit.old.len() as u64) <= offset
        };
        let mut once = &self.once[self.once.partition_point(before(start))..];
        let mut free = start;
        let pattern = |place: &Repeat| self.repeated.patterns.get(place.pattern as usize);
        let ends = places.chunks(FEW).flat_map(|few| {
            let end = |place: &Repeat| Some(place.offset.saturating_add(pattern(place)?.old.len() as u64));
            few.iter().map(end).collect::<SmallVec<[Option<u64>; FEW]>>()
        });
        for (place, end) in places.iter().zip(ends) {
            let offset = place.offset;
            let (Some(pattern), Some(end)) = (pattern(place), end) else {
                return Err(self.refused(offset, "a repeated change that does not exist"));
            };
            once = &once[once.iter().copied().take_while(before(offset)).count()..];
            // What the next part starts with is not among the bytes.
            let overlaps = offset < free || once.first().is_some_and(|edit| edit.offset < end);
            if overlaps || end > start + bytes.len() as u64 && end <= self.object.section(self.id).size {
                return Err(self.refused(offset, TWICE));
            }
            free = end;
            let here = bytes.get_mut((offset - start) as usize..(end - start) as usize);
            expected(self.object, self.id, offset, here.as_deref(), &pattern.old, &pattern.new)?;
            if let Some(here) = here {
                here.copy_from_slice(&pattern.new);
            }
        }
        Ok(())
    }
}
