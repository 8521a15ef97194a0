//! Whether bytes changed that no edit names. All threads compare, each a part: an edit may reach from one into the next.

use std::ops::Range;

use rayon::prelude::*;

use crate::edits::{Edits, Repeat};
use crate::object_file::SectionId;

/// How many bytes a thread compares in one go.
const AT_ONCE: usize = 1 << 18;

/// Where such a byte is in a section, or shortly before it; `new` may go on behind the end of `old`.
pub(super) fn first_change(edits: &Edits, section: SectionId, old: &[u8], new: &[u8]) -> Option<usize> {
    let repeated = edits.repeated.get(&section);
    let repeated = repeated.map_or((&[][..], 0), |repeated| (&repeated.places, repeated.form.length));
    let parts = (0..old.len()).into_par_iter().step_by(AT_ONCE);
    parts.find_map_first(|start| {
        let end = old.len().min(start + AT_ONCE);
        change_in(start..end, edited(edits, section, start as u64, repeated), old, new)
    })
}

/// The first in a range.
fn change_in(
    range: Range<usize>,
    edited: impl Iterator<Item = (u64, usize)>,
    old: &[u8],
    new: &[u8],
) -> Option<usize> {
    let differ = |part: Range<usize>| old.get(part.clone()) != new.get(part);
    let mut at = range.start;
    for (offset, length) in edited {
        let offset = offset as usize;
        if offset >= range.end {
            break;
        }
        if at < offset && differ(at..offset) {
            return Some(at);
        }
        at = at.max(offset + length);
    }
    (at < range.end && differ(at..range.end)).then_some(at)
}

/// Where bytes of a section change, in order, and how many; at least those that end behind `start`. The repeated places with
/// the length of each.
fn edited<'a>(
    edits: &'a Edits,
    id: SectionId,
    start: u64,
    (places, length): (&'a [Repeat], u8),
) -> impl Iterator<Item = (u64, usize)> + use<'a> {
    let before = edits
        .bytes
        .partition_point(|edit| (edit.section, edit.offset + edit.new.len() as u64) <= (id, start));
    let here = edits.bytes[before..].iter().take_while(move |edit| edit.section == id);
    let mut once = here.map(|edit| (edit.offset, edit.new.len())).peekable();
    let before = places.partition_point(|place| place.offset + u64::from(length) <= start);
    let mut repeated =
        places[before..].iter().map(move |place| (place.offset, usize::from(length))).peekable();
    std::iter::from_fn(move || match (once.peek(), repeated.peek()) {
        (Some(one), Some(other)) if other < one => repeated.next(),
        (Some(_), _) => once.next(),
        (None, _) => repeated.next(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::arch::PlainForm;
    use crate::edits::{BytesEdit, Frame, NewRelocation, Pattern, Repeated, SymbolRef};
    use crate::object_file::SymbolId;
    use crate::reloc::RelocKind;

    const TEXT: SectionId = SectionId(1);

    /// Ten bytes each at those offsets, every third of them repeated.
    fn edits(offsets: &[u64]) -> Edits {
        let relocation = NewRelocation {
            offset: 0,
            kind: RelocKind::Abs64,
            symbol: SymbolRef::Existing(SymbolId(0)),
            addend: 0,
        };
        let form = PlainForm { length: 10, field: 2, width: 8 };
        let pattern = Pattern { first: 0, constant: 0, frames: 0, relocation };
        let frame = Frame { old: 0, new: form.window().bytes(&[1; 10], 0).expect("ten") };
        let (mut edits, mut places) = (Edits::default(), Vec::new());
        for (index, &offset) in offsets.iter().enumerate() {
            if index % 3 == 2 {
                places.push(Repeat { offset, pattern: 0, frame: 0 });
            } else {
                let (old, new) = (form.window().text(frame.old), form.window().text(frame.new));
                edits.bytes.push(BytesEdit { section: TEXT, offset, old, new });
            }
        }
        let repeated =
            Repeated { form, patterns: vec![pattern], frames: vec![frame], places: Arc::new(places) };
        edits.repeated.insert(TEXT, repeated);
        edits
    }

    #[test]
    fn every_byte_counts_that_no_edit_names() {
        // Around the ends of parts and of the section, alone and one behind the other.
        let ends = [1, 2].map(|part| (part * AT_ONCE) as u64);
        let around = ends.iter().flat_map(|end| [end - 25, end - 5, end + 5, end + 15]);
        let size = 2 * AT_ONCE + 1000;
        let offsets: Vec<u64> = [0, 10].into_iter().chain(around).chain([size as u64 - 10]).collect();
        let edits = edits(&offsets);
        let old = vec![0; size];
        let mut new = old.clone();
        for &offset in &offsets {
            new[offset as usize..offset as usize + 10].fill(1);
        }
        assert_eq!(first_change(&edits, TEXT, &old, &new), None);
        assert!(first_change(&edits, SectionId(2), &old, &new).is_some());
        let is_edited = |at: u64| offsets.iter().any(|&offset| (offset..offset + 10).contains(&at));
        let near =
            ends.iter().flat_map(|end| end - 40..end + 40).chain(0..40).chain(size as u64 - 40..size as u64);
        for at in near {
            let byte = &mut new[at as usize];
            *byte ^= 2;
            let found = first_change(&edits, TEXT, &old, &new);
            new[at as usize] ^= 2;
            match found {
                Some(found) => assert!(!is_edited(at) && found as u64 <= at, "{at:#x}"),
                None => assert!(is_edited(at), "{at:#x}"),
            }
        }
    }
}
