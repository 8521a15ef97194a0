//! The search for what bytes of code may hold of the session's addresses, before they are decoded.

use std::ops::Range;

use rayon::prelude::*;

use super::halves::HighHalves;
use crate::arch::Half;
use crate::candidates::UpperBytes;
use crate::object_file::{InOrder, Section, is_relocated};
use crate::session_map::SessionMap;

/// How many bytes a thread searches in one go.
const AT_ONCE: usize = 1 << 18;

/// What is looked for.
pub(super) struct Search<'m> {
    map: &'m SessionMap,
    upper: UpperBytes,
    pub(super) highs: HighHalves,
}

/// Eight bytes whose upper ones are an address's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Where they are in the section.
    pub(super) offset: u64,
    /// The upper four are the high half of an address.
    pub(super) high: bool,
    /// All eight are an address, and have no relocation.
    pub(super) word: bool,
}

impl<'m> Search<'m> {
    /// For addresses of a session; `None`: it has none.
    pub(super) fn of(map: &'m SessionMap) -> Option<Self> {
        let upper = UpperBytes::of(map.ranges())?;
        Some(Search { map, upper, highs: HighHalves::of(map.ranges()) })
    }

    /// Shows what lies in a range of a section, aligned or not.
    pub(super) fn run(&self, section: &Section<'_>, range: Range<usize>, mut show: impl FnMut(Seen)) {
        let mut relocations = InOrder::from(section, range.start as u64);
        self.upper.search(&section.data[range.clone()], |at, value| {
            let offset = (range.start + at) as u64;
            let high = self.highs.have(Half::High.of(value));
            let mut relocated = || is_relocated(relocations.near(offset..offset + 8), offset, 8);
            let word = value != 0 && self.map.is_session_constant(value) && !relocated();
            show(Seen { offset, high, word });
        });
    }
}

/// Whether a section has eight bytes without a relocation that read as a session address, aligned or not, or four that are the
/// high half of one.
pub(crate) fn has_candidates(section: &Section<'_>, map: &SessionMap) -> bool {
    let Some(search) = Search::of(map) else { return false };
    (0..section.data.len()).into_par_iter().step_by(AT_ONCE).any(|start| {
        // The last constant of a part may end in the next one.
        let end = section.data.len().min(start + AT_ONCE + 7);
        let mut any = false;
        search.run(section, start..end, |seen| any |= seen.high || seen.word);
        any
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object_file::SectionKind;
    use crate::sample_object::{MAP, add_section, object, session_map};

    #[test]
    fn what_lies_in_two_threads_parts_is_found() {
        let map = session_map(MAP);
        let found = |code: &[u8]| {
            let mut object = object();
            let id = add_section(&mut object, ".text", SectionKind::Contents, code);
            has_candidates(object.section(id), &map)
        };
        let mut code = vec![0x90; 2 * AT_ONCE + 100];
        assert!(!found(&code));
        let around = |at: usize| at - 9..at + 2;
        let last = code.len() - 8;
        for at in around(AT_ONCE).chain(around(2 * AT_ONCE)).chain([0, 1, last - 1, last]) {
            code[at..at + 8].copy_from_slice(&0x7f12_3456_0010_u64.to_le_bytes());
            assert!(found(&code), "{at:#x}");
            code[at..at + 8].fill(0x90);
        }
        // Half of one behind four other bytes.
        code[AT_ONCE - 2..AT_ONCE + 2].copy_from_slice(&0x7f12_u32.to_le_bytes());
        assert!(found(&code));
    }
}
