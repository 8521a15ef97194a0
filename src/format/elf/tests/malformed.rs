//! Truncated and damaged objects: an error or an object, never a panic; and what is written of an object that
//! was read can be read again.

use super::edited::every_edit;
use super::tools::fixtures;
use crate::object_file::ObjectFile;

/// Reads, edits, writes and reads; how far it came.
fn try_all(bytes: &[u8]) -> usize {
    let Ok(object) = ObjectFile::parse("damaged.o", bytes) else {
        return 0;
    };
    let Ok(output) = crate::format::elf::write(&object, &every_edit(&object)) else {
        return 1;
    };
    if let Err(e) = ObjectFile::parse("output.o", &output) {
        panic!("what was written cannot be read: {e}");
    }
    2
}

#[test]
fn truncated_objects_are_errors() {
    let Some(fixtures) = fixtures() else { return };
    let small = fixtures.small().iter().filter(|f| f.bytes.len() < 10_000);
    for fixture in small {
        assert_eq!(try_all(&fixture.bytes), 2, "{}", fixture.name);
        for length in 0..fixture.bytes.len() {
            let cut = &fixture.bytes[..length];
            // The section headers are last; LLVM's and gas's files end with them.
            let result = ObjectFile::parse("cut.o", cut);
            assert!(result.is_err(), "{} cut to {length}", fixture.name);
            assert!(!result.unwrap_err().to_string().is_empty());
        }
    }
}

#[test]
fn damaged_objects_do_no_harm() {
    let Some(fixtures) = fixtures() else { return };
    // xorshift64: the same damage every time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut reached = [0; 3];
    for fixture in fixtures.small() {
        let headers = u64::from_le_bytes(fixture.bytes[40..48].try_into().unwrap()) as usize;
        for round in 0..3000 {
            let mut bytes = fixture.bytes.clone();
            for _ in 0..=random(3) {
                // Most of a file is contents, in which damage means nothing: aim at headers half of the time.
                let at = match round % 2 {
                    0 => random(bytes.len()),
                    _ => headers + random(bytes.len() - headers),
                };
                match random(3) {
                    0 => bytes[at] ^= 1 << random(8),
                    1 => bytes[at] = [0, 0xff, 0x80, 0x7f][random(4)],
                    _ => {
                        let end = (at + 8).min(bytes.len());
                        bytes[at..end].fill([0, 0xff][random(2)]);
                    }
                }
            }
            reached[try_all(&bytes)] += 1;
        }
    }
    assert!(
        reached.iter().all(|&n| n > 100),
        "the damage is one-sided: {reached:?}"
    );
}
