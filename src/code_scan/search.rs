//! Whether there is anything in a section for which it would have to be decoded.

use rayon::prelude::*;

use super::halves::HighHalves;
use crate::arch::Half;
use crate::candidates::UpperBytes;
use crate::object_file::Section;
use crate::session_map::SessionMap;

/// How many bytes a thread searches in one go.
const AT_ONCE: usize = 1 << 18;

/// Whether a section has eight bytes without a relocation that read as a session address, aligned or not, or four that are the
/// high half of one.
pub(crate) fn has_candidates(section: &Section<'_>, map: &SessionMap) -> bool {
    let Some(upper) = UpperBytes::of(map.ranges()) else { return false };
    let highs = HighHalves::of(map.ranges());
    (0..section.data.len()).into_par_iter().step_by(AT_ONCE).any(|start| {
        // The last constant of a part may end in the next one.
        let end = section.data.len().min(start + AT_ONCE + 7);
        let mut any = false;
        upper.search(&section.data[start..end], |at, value| {
            let offset = (start + at) as u64;
            any |= highs.have(Half::High.of(value))
                || value != 0 && map.is_session_constant(value) && !section.is_relocated(offset, 8);
        });
        any
    })
}
