//! Remembers what instructions consist of. All that differ in nothing but the values of their constants are alike, and
//! code has few kinds of them: decoding each kind once takes a fraction of decoding each instruction.

use std::cell::Cell;

use super::decode::{LONGEST, Shape, shape};

/// How many kinds are remembered at a time, a power of two. Real code uses some hundreds.
const KINDS: usize = 1024;

/// Opcodes of one byte that no ModRM byte follows, by their upper and lower four bits (Intel SDM volume 2, table A-2).
const WITHOUT_MODRM: [u16; 16] = [
    0xf0f0, 0xf0f0, 0xf0f0, 0xf0f0, 0xffff, 0xffff, 0xf5f7, 0xffff, 0x0000, 0xffff, 0xffff, 0xffff, 0xff0c,
    0x00f0, 0xffff, 0x3f3f,
];
/// The same of those that follow 0F (table A-3).
const WITHOUT_MODRM_0F: [u16; 16] = [
    0x4bf0, 0x0000, 0x0000, 0x00bf, 0x0000, 0x0000, 0x0000, 0x0080, 0xffff, 0x0000, 0x0707, 0x0000, 0xff00,
    0x0000, 0x0000, 0x0000,
];

/// The kinds that a thread has met.
pub(super) struct KnownShapes {
    kinds: Box<[(u64, Shape)]>,
    /// The last one that could not be remembered.
    other: Shape,
}

thread_local! {
    /// Empty while in use.
    static KNOWN: Cell<Option<KnownShapes>> = const { Cell::new(None) };
}

/// Hands the thread's kinds to `work`.
pub(super) fn with(work: impl FnOnce(&mut KnownShapes)) {
    let empty = || {
        let kinds = vec![(0, Shape::default()); KINDS].into_boxed_slice();
        KnownShapes { kinds, other: Shape::default() }
    };
    let mut known = KNOWN.take().unwrap_or_else(empty);
    work(&mut known);
    KNOWN.set(Some(known));
}

impl KnownShapes {
    /// What the instruction that `bytes` begin with is; `None`: they are none.
    pub(super) fn shape(&mut self, bytes: &[u8]) -> Option<&Shape> {
        let head = match bytes.first_chunk::<LONGEST>() {
            Some(bytes) => head(bytes),
            None => {
                // What is not there is no constant either: then there are too few bytes for the shape.
                let mut padded = [0; LONGEST];
                padded[..bytes.len()].copy_from_slice(bytes);
                head(&padded)
            }
        };
        let Some(head) = head else {
            self.other = shape(bytes)?;
            return Some(&self.other);
        };
        // Fibonacci hashing: the upper bits of the product depend on all of the head.
        let hash = head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - KINDS.ilog2());
        let known = &mut self.kinds[hash as usize];
        if known.0 != head {
            *known = (head, shape(bytes)?);
        }
        Some(&known.1)
    }
}

/// What a byte is where an opcode is expected (Intel SDM volume 2, 2.1 and table A-2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    /// An opcode that a ModRM byte follows.
    Modrm,
    /// One that none follows.
    Plain,
    Prefix,
    Rex,
    /// An opcode of two bytes or three.
    Escape,
    /// VEX or EVEX, of so many bytes.
    Vector(u8),
    /// XOP or `pop`, and what the instruction set may get.
    Unknown,
}

const FIRST: [First; 256] = {
    let mut first = [First::Modrm; 256];
    let mut byte = 0;
    while byte < 256 {
        first[byte] = match byte {
            0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 => First::Prefix,
            0x40..=0x4f => First::Rex,
            0x0f => First::Escape,
            0xc5 => First::Vector(2),
            0xc4 => First::Vector(3),
            0x62 => First::Vector(4),
            0x8f | 0xd5 => First::Unknown,
            _ if is_in(&WITHOUT_MODRM, byte as u8) => First::Plain,
            _ => First::Modrm,
        };
        byte += 1;
    }
    first
};

const fn is_in(table: &[u16; 16], opcode: u8) -> bool {
    table[(opcode >> 4) as usize] >> (opcode & 15) & 1 == 1
}

/// The bytes that decide what an instruction is, all but its constants, and their number above them; `None`: they are
/// more than seven, or of a kind where others decide, too. Never 0.
fn head(bytes: &[u8; LONGEST]) -> Option<u64> {
    let mut at = 0;
    let mut first = FIRST[usize::from(bytes[0])];
    while first == First::Prefix {
        at += 1;
        if at == 4 {
            return None;
        }
        first = FIRST[usize::from(bytes[at])];
    }
    if first == First::Rex {
        at += 1;
        first = FIRST[usize::from(bytes[at])];
    }
    let modrm = match first {
        First::Modrm | First::Plain => {
            at += 1;
            first == First::Modrm
        }
        First::Escape => match bytes[at + 1] {
            // What a 3DNow! instruction does its last byte says.
            0x0f => return None,
            0x38 | 0x3a => {
                at += 3;
                true
            }
            opcode => {
                at += 2;
                !is_in(&WITHOUT_MODRM_0F, opcode)
            }
        },
        First::Vector(length) => {
            at += usize::from(length) + 1;
            // Of all of them VZEROALL and VZEROUPPER alone have no ModRM byte.
            length == 4 || bytes[at - 1] != 0x77
        }
        // Of prefixes those count that come before REX.
        First::Prefix | First::Rex | First::Unknown => return None,
    };
    if modrm {
        let modrm = bytes[at];
        at += 1;
        if modrm & 7 == 4 && modrm < 0xc0 {
            at += 1;
        }
    }
    if at > 7 {
        return None;
    }
    let word = u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], 0]);
    let mask = (1 << (8 * at)) - 1;
    Some(word & mask | (at as u64) << 56)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every opcode of every map with every ModRM byte, behind the prefixes that choose among instructions: what was
    /// remembered from other constants is what decoding gives.
    #[test]
    fn what_is_remembered_is_what_decoding_gives() {
        let prefixes: [&[u8]; 12] = [
            &[],
            &[0x66],
            &[0xf2],
            &[0xf3],
            &[0x48],
            &[0x66, 0x48],
            &[0x41],
            &[0x67],
            &[0x64],
            &[0xf0],
            &[0xf3, 0x4c],
            &[0x2e],
        ];
        let maps: [&[u8]; 11] = [
            &[],
            &[0x0f],
            &[0x0f, 0x38],
            &[0x0f, 0x3a],
            &[0xc5, 0xf9],
            &[0xc5, 0x73],
            &[0xc4, 0xe1, 0xfa],
            &[0xc4, 0xc2, 0x79],
            &[0xc4, 0xe3, 0x7d],
            &[0x62, 0xf1, 0x7c, 0x48],
            &[0x62, 0xf3, 0xfd, 0x28],
        ];
        let mut kinds = 0;
        for (prefix, map) in prefixes.iter().flat_map(|prefix| maps.iter().map(move |map| (prefix, map))) {
            for opcode in 0..=255 {
                for modrm in (0..=255).step_by(if prefix.is_empty() { 1 } else { 3 }) {
                    let first = [prefix, map, &[opcode, modrm, 0x65][..], &[0x11; LONGEST]].concat();
                    let Some(key) = head(first.first_chunk().expect("a whole one")) else { continue };
                    let mut second = first.clone();
                    second[(key >> 56) as usize..].fill(0xfe);
                    assert_eq!(head(second.first_chunk().expect("a whole one")), Some(key), "{first:02x?}");
                    assert_eq!(shape(&first), shape(&second), "{first:02x?}");
                    kinds += 1;
                }
            }
        }
        assert!(kinds > 1_000_000, "{kinds}");
    }

    /// A head that is too long to be remembered, one that is not, and what is none.
    #[test]
    fn what_is_not_remembered_is_decoded() {
        let mut known = None;
        with(|shapes| {
            let of = |bytes: &[u8]| shape(bytes);
            for bytes in [
                &[0x48, 0x48, 0x89, 0xe5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
                &[0x66, 0x66, 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0, 0],
                &[0x0f, 0x0f, 0xc1, 0x9e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                &[0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                &[0xc3],
            ] {
                assert_eq!(shapes.shape(bytes).copied(), of(bytes), "{bytes:02x?}");
                assert_eq!(shapes.shape(bytes).copied(), of(bytes), "{bytes:02x?}");
            }
            known = Some(shapes.kinds.len());
        });
        assert_eq!(known, Some(KINDS));
    }
}
