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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::arch::Machine;
    use crate::object_file::SectionKind;
    use crate::sample_object::{add_section, object};
    use crate::{Files, MapSource};

    struct NoFiles;
    impl Files for NoFiles {
        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn what_lies_in_two_threads_parts_is_found() {
        let text = br#"{"relocfix": 1, "machine": "x86_64",
            "mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000"}]}"#;
        let source = MapSource { name: "map".to_owned(), folder: PathBuf::new(), text };
        let map = SessionMap::parse(&[source], Machine::X86_64, &NoFiles).expect("a session map");
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
