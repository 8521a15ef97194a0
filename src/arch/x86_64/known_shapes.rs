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
    kinds: Box<[(u64, Shape); KINDS]>,
    /// The last one that could not be remembered.
    other: (u64, Shape),
}

thread_local! {
    /// Empty while in use.
    static KNOWN: Cell<Option<KnownShapes>> = const { Cell::new(None) };
}

/// Hands the thread's kinds to `work`.
pub(super) fn with(work: impl FnOnce(&mut KnownShapes)) {
    let empty = || {
        let kinds = Box::new([(0, Shape::default()); KINDS]);
        KnownShapes { kinds, other: (0, Shape::default()) }
    };
    let mut known = KNOWN.take().unwrap_or_else(empty);
    work(&mut known);
    KNOWN.set(Some(known));
}

impl KnownShapes {
    /// What the instruction that `bytes` begin with is; `None`: they are none. One that is longer than `bytes` may be told as
    /// well. `around` begins with `bytes`, and what is behind them may be anything.
    #[inline(always)]
    pub(super) fn shape(&mut self, bytes: &[u8], around: &[u8]) -> Option<&Shape> {
        let head = match around.first_chunk::<LONGEST>() {
            Some(around) => head(around),
            None => head_at_end(around),
        };
        // Fibonacci hashing: the upper bits of the product depend on all of the head.
        let hash = head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - KINDS.ilog2());
        let index = hash as usize % KINDS;
        if self.kinds[index].0 == head && head != 0 {
            Some(&self.kinds[index].1)
        } else {
            self.learn(index, head, bytes)
        }
    }

    #[cold]
    fn learn(&mut self, index: usize, head: u64, bytes: &[u8]) -> Option<&Shape> {
        let shape = shape(bytes)?;
        let known = if head == 0 { &mut self.other } else { &mut self.kinds[index] };
        *known = (head, shape);
        Some(&known.1)
    }
}

/// As [`head`], of fewer bytes.
#[cold]
fn head_at_end(bytes: &[u8]) -> u64 {
    // What is not there is no constant either: then there are too few bytes for the shape.
    let mut padded = [0; LONGEST];
    padded[..bytes.len()].copy_from_slice(bytes);
    head(&padded)
}

/// How many bytes of an instruction say what it is, as far as an opcode of one byte says that: itself, and a ModRM byte if one
/// follows; 0: it is none.
const OPCODE: [u8; 256] = {
    let mut length = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        length[byte] = match FIRST[byte] {
            First::Modrm => 2,
            First::Plain => 1,
            First::Prefix | First::Rex | First::Escape | First::Vector(_) | First::Unknown => 0,
        };
        byte += 1;
    }
    length
};

/// How many SIB bytes follow a ModRM byte (Intel SDM volume 2, table 2-2).
const HAS_SIB: [u8; 256] = {
    let mut has = [0; 256];
    let mut modrm = 0;
    while modrm < 0xc0 {
        has[modrm] = (modrm & 7 == 4) as u8;
        modrm += 1;
    }
    has
};

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

/// The bytes that decide what an instruction is, all but its constants, and their number above them; 0: they are more than
/// seven, or of a kind where others decide, too.
#[inline(always)]
fn head(bytes: &[u8; LONGEST]) -> u64 {
    let word = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let length = match short_head(word) {
        0 => long_head(bytes),
        length => length,
    };
    if length == 0 { 0 } else { word & !(u64::MAX << (8 * length)) | u64::from(length) << 56 }
}

/// The length of the head of an instruction with no other prefix than REX and an opcode of one byte, as nearly all are; 0: it is
/// another one. It takes no branch: what comes next in code cannot be foretold.
#[inline]
fn short_head(word: u64) -> u32 {
    let rex = u32::from(word & 0xf0 == 0x40);
    let word = word >> (8 * rex);
    let opcode = u32::from(OPCODE[usize::from(word as u8)]);
    let sib = u32::from(HAS_SIB[usize::from((word >> 8) as u8)]);
    // Without a ModRM byte there is no SIB byte, and without an opcode nothing.
    (opcode + rex + (sib & (opcode >> 1))) * u32::from(opcode > 0)
}

/// How many bytes decide what an instruction is, of all that [`head`] knows.
#[inline(never)]
fn long_head(bytes: &[u8; LONGEST]) -> u32 {
    let mut at = 0;
    let mut first = FIRST[usize::from(bytes[0])];
    while first == First::Prefix {
        at += 1;
        if at == 4 {
            return 0;
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
            0x0f => return 0,
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
        First::Prefix | First::Rex | First::Unknown => return 0,
    };
    if modrm {
        at += 1 + usize::from(HAS_SIB[usize::from(bytes[at])]);
    }
    if at > 7 { 0 } else { at as u32 }
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
                    let key = head(first.first_chunk().expect("a whole one"));
                    if key == 0 {
                        continue;
                    }
                    let mut second = first.clone();
                    second[(key >> 56) as usize..].fill(0xfe);
                    assert_eq!(head(second.first_chunk().expect("a whole one")), key, "{first:02x?}");
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
                assert_eq!(shapes.shape(bytes, bytes).copied(), of(bytes), "{bytes:02x?}");
                assert_eq!(shapes.shape(bytes, bytes).copied(), of(bytes), "{bytes:02x?}");
            }
            known = Some(shapes.kinds.len());
        });
        assert_eq!(known, Some(KINDS));
    }
}
