//! Remembers what instructions consist of. All that differ in nothing but the values of their constants are alike, and
//! code has few kinds of them: decoding each kind once takes a fraction of decoding each instruction.

use std::cell::Cell;

use super::super::Sensitivity;
use super::decode::{Holds, LONGEST, Shape, shape};

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
    kinds: Box<Kinds>,
}

struct Kinds {
    /// The bytes that decide what an instruction is, and the note of its shape.
    notes: [(u64, Note); KINDS],
    /// Those of the same index; the last is what could not be remembered.
    shapes: [Shape; KINDS + 1],
}

/// No bytes that decide: they are seven at most.
const EMPTY: u64 = u64::MAX;

/// What of a shape every instruction is asked for, in one number, so that it is added up at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Note(u32);

impl Note {
    /// It does something.
    const ACTS: u32 = 1 << 16;
    /// It holds something that is of interest.
    const HOLDS: u32 = 1 << 17;
    /// Of a byte that begins no instruction.
    pub(super) const OTHER: Self = Note(Self::ACTS);

    fn of(shape: &Shape) -> Self {
        let Shape { length, nop, holds, sensitivity, .. } = *shape;
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        let flags = flag(!nop, Self::ACTS) | flag(holds != Holds::Nothing, Self::HOLDS);
        Note(u32::from(length) | u32::from(sensitivity.0) << 8 | flags)
    }

    /// The length of the instruction in bytes; 0: there is none.
    #[inline(always)]
    pub(super) fn length(self) -> usize {
        (self.0 & 0xff) as usize
    }

    /// What instructions of some notes are, all together.
    pub(super) fn sensitivity(self) -> Sensitivity {
        Sensitivity((self.0 >> 8) as u8)
    }

    /// Whether one of them does something.
    #[inline(always)]
    pub(super) fn acts(self) -> bool {
        self.0 & Self::ACTS != 0
    }

    /// Whether one of them holds something.
    #[inline(always)]
    pub(super) fn holds(self) -> bool {
        self.0 & Self::HOLDS != 0
    }
}

impl std::ops::BitOrAssign for Note {
    #[inline(always)]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What an instruction was found to be.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) note: Note,
    index: usize,
    /// Most probably its length: where the next one starts is guessed, so that a processor need not wait for the look-up.
    pub(super) guess: usize,
}

thread_local! {
    /// Empty while in use.
    static KNOWN: Cell<Option<KnownShapes>> = const { Cell::new(None) };
}

/// Hands the thread's kinds to `work`.
pub(super) fn with(work: impl FnOnce(&mut KnownShapes)) {
    let mut known = KNOWN.take().unwrap_or_else(KnownShapes::none);
    work(&mut known);
    KNOWN.set(Some(known));
}

impl KnownShapes {
    #[cold]
    #[inline(never)]
    fn none() -> Self {
        let notes = [(EMPTY, Note::default()); KINDS];
        KnownShapes { kinds: Box::new(Kinds { notes, shapes: [Shape::default(); KINDS + 1] }) }
    }

    /// What the instruction that `bytes` begin with is, if it is one. One that is longer than `bytes` may be told as well. `around`
    /// begins with `bytes`, and what is behind them may be anything.
    #[inline(always)]
    pub(super) fn find(&mut self, bytes: &[u8], around: &[u8]) -> Found {
        let Head { key, head, length } = match around.first_chunk::<LONGEST>() {
            Some(around) => head(around),
            None => head_at_end(around),
        };
        let guess = length as usize;
        // Fibonacci hashing: the upper bits of the product depend on all of the head.
        let index = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - KINDS.ilog2())) as usize % KINDS;
        let (known, note) = self.kinds.notes[index];
        if known == key && head != 0 {
            return Found { note, index, guess };
        }
        let index = if head == 0 { KINDS } else { index };
        Found { note: self.learn(index, key, bytes), index, guess }
    }

    /// The shape of what was found last.
    #[inline(always)]
    pub(super) fn shape(&self, found: Found) -> &Shape {
        &self.kinds.shapes[found.index]
    }

    #[cold]
    #[inline(never)]
    fn learn(&mut self, index: usize, key: u64, bytes: &[u8]) -> Note {
        let Some(shape) = shape(bytes) else { return Note::default() };
        let note = Note::of(&shape);
        self.kinds.shapes[index] = shape;
        if let Some(known) = self.kinds.notes.get_mut(index) {
            *known = (key, note);
        }
        note
    }
}

/// What of an instruction can be told without looking it up.
struct Head {
    /// The bytes that decide what it is, all but its constants.
    key: u64,
    /// How many they are; 0: more than seven, or it is of a kind where others decide, too.
    head: u32,
    /// Most probably its length.
    length: u32,
}

/// As [`head`], of fewer bytes.
#[cold]
fn head_at_end(bytes: &[u8]) -> Head {
    // What is not there is no constant either: then there are too few bytes for the shape.
    let mut padded = [0; LONGEST];
    padded[..bytes.len()].copy_from_slice(bytes);
    head(&padded)
}

/// Of how many bytes something is: those that say what an instruction is, and above them all.
const fn bytes(head: u8, all: u8) -> u32 {
    head as u32 | (all as u32) << 8
}

/// Where in [`bytes`] it is said that a ModRM byte follows: a mask of what that adds.
const MODRM_FOLLOWS: u32 = 0xffff_0000;

/// An opcode of one byte: itself, a ModRM byte if one follows, and the immediate; 0: it is none.
const OPCODE: [u32; 256] = {
    let mut of = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let immediate = immediate(byte as u8);
        of[byte] = match FIRST[byte] {
            First::Modrm => bytes(2, 2 + immediate) | MODRM_FOLLOWS,
            First::Plain => bytes(1, 1 + immediate),
            First::Prefix | First::Rex | First::Escape | First::Vector(_) | First::Unknown => 0,
        };
        byte += 1;
    }
    of
};

/// The same of one behind 0F; 0: it is none of two bytes.
const OPCODE_0F: [u32; 256] = {
    let mut of = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        of[byte] = match byte as u8 {
            // What a 3DNow! instruction does its last byte says.
            0x0f | 0x38 | 0x3a => 0,
            0x80..=0x8f => bytes(2, 6),
            opcode if is_in(&WITHOUT_MODRM_0F, opcode) => bytes(2, 2),
            _ => bytes(3, 3) | MODRM_FOLLOWS,
        };
        byte += 1;
    }
    of
};

/// The size of the immediate behind an opcode of one byte without prefixes (Intel SDM volume 2, table A-2).
const fn immediate(opcode: u8) -> u8 {
    match opcode {
        0x04 | 0x0c | 0x14 | 0x1c | 0x24 | 0x2c | 0x34 | 0x3c | 0x6a | 0x6b | 0x70..=0x80 | 0x83 => 1,
        0xa8 | 0xb0..=0xb7 | 0xc0 | 0xc1 | 0xc6 | 0xcd | 0xe0..=0xe7 | 0xeb => 1,
        0xc2 | 0xca => 2,
        0xc8 => 3,
        0x05 | 0x0d | 0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x68 | 0x69 | 0x81 => 4,
        0xa9 | 0xb8..=0xbf | 0xc7 | 0xe8 | 0xe9 => 4,
        0xa0..=0xa3 => 8,
        _ => 0,
    }
}

/// What follows a ModRM byte: a SIB byte, and that with a displacement (Intel SDM volume 2, table 2-2).
const MODRM: [u16; 256] = {
    let mut of = [0; 256];
    let mut modrm = 0;
    while modrm < 0xc0 {
        let head = (modrm & 7 == 4) as u8;
        let displacement = match (modrm >> 6, modrm & 7) {
            (0, 5) | (2, _) => 4,
            (1, _) => 1,
            _ => 0,
        };
        of[modrm] = bytes(head, head + displacement) as u16;
        modrm += 1;
    }
    of
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

/// The first bytes of a word, by how many.
const FIRST_BYTES: [u64; 8] =
    [0, 0xff, 0xffff, 0xff_ffff, 0xffff_ffff, 0xff_ffff_ffff, 0xffff_ffff_ffff, 0xff_ffff_ffff_ffff];

#[inline(always)]
fn head(bytes: &[u8; LONGEST]) -> Head {
    let word = bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let lengths = match short_head(word) {
        0 => long_head(bytes),
        lengths => lengths,
    };
    let head = lengths & 7;
    Head { key: word & FIRST_BYTES[head as usize], head, length: lengths >> 8 }
}

/// The [`bytes`] of an instruction with no other prefix than REX and an opcode of one byte, as nearly all are, or of two; 0: it is
/// another one. What comes next in code cannot be foretold: so it takes few branches.
#[inline(always)]
fn short_head(word: u64) -> u32 {
    let rex = u32::from(word & 0xf0 == 0x40);
    // REX.W makes the immediate of B8 an address.
    let wide = u32::from(word & 0xf8f8 == 0xb848);
    let rest = word >> (8 * rex);
    let byte = |at: u32| usize::from((rest >> (8 * at)) as u8);
    let lengths = |opcode: u32, modrm: usize| (opcode & 0xffff) + (u32::from(MODRM[modrm]) & opcode >> 16);
    let before = rex * bytes(1, 1) + wide * bytes(0, 4);
    match byte(0) {
        0x0f => {
            let opcode = OPCODE_0F[byte(1)];
            if opcode == 0 { 0 } else { lengths(opcode, byte(2)) + before }
        }
        // VEX of two bytes: of all of them VZEROALL and VZEROUPPER alone have no ModRM byte.
        0xc5 if rex == 0 && byte(2) != 0x77 => lengths(bytes(4, 4) | MODRM_FOLLOWS, byte(3)),
        first => {
            let opcode = OPCODE[first];
            if opcode == 0 { 0 } else { lengths(opcode, byte(1)) + before }
        }
    }
}

/// The [`bytes`] of any instruction that can be remembered, but for an immediate that is rare; 0: it cannot.
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
    let mut immediate = 0;
    let modrm = match first {
        First::Modrm | First::Plain => {
            immediate = self::immediate(bytes[at]);
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
                if opcode & 0xf0 == 0x80 {
                    immediate = 4;
                }
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
    let mut behind = immediate;
    if modrm {
        let [head, all] = MODRM[usize::from(bytes[at])].to_le_bytes();
        at += 1 + usize::from(head);
        behind += all - head;
    }
    if at > 7 { 0 } else { self::bytes(at as u8, at as u8 + behind) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
        let mut unforeseen = BTreeSet::new();
        for (prefix, map) in prefixes.iter().flat_map(|prefix| maps.iter().map(move |map| (prefix, map))) {
            for opcode in 0..=255_u8 {
                for modrm in (0..=255).step_by(if prefix.is_empty() { 1 } else { 3 }) {
                    let first = [prefix, map, &[opcode, modrm, 0x65][..], &[0x11; LONGEST]].concat();
                    let Head { key, head, length } = self::head(first.first_chunk().expect("a whole one"));
                    if head == 0 {
                        continue;
                    }
                    let mut second = first.clone();
                    second[head as usize..].fill(0xfe);
                    let of_second = self::head(second.first_chunk().expect("a whole one"));
                    let all = (of_second.key, of_second.head, of_second.length);
                    assert_eq!(all, (key, head, length), "{first:02x?}");
                    let known = shape(&first);
                    assert_eq!(known, shape(&second), "{first:02x?}");
                    kinds += 1;
                    let short = map.is_empty()
                        && OPCODE[usize::from(opcode)] > 0
                        && [&[][..], &[0x48], &[0x41]].contains(prefix);
                    // Of the base in a SIB byte it depends whether a displacement follows.
                    let based = modrm & 0xc7 != 4;
                    if short && based && known.is_some_and(|known| u32::from(known.length) != length) {
                        unforeseen.insert(opcode);
                    }
                }
            }
        }
        assert!(kinds > 1_000_000, "{kinds}");
        // Of what shares these, TEST alone has an immediate.
        assert_eq!(unforeseen, BTreeSet::from([0xf6, 0xf7]));
    }

    /// A head that is too long to be remembered, one that is not, and what is none.
    #[test]
    fn what_is_not_remembered_is_decoded() {
        with(|shapes| {
            let of = |bytes: &[u8]| shape(bytes);
            for bytes in [
                &[0x48, 0x48, 0x89, 0xe5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
                &[0x66, 0x66, 0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0, 0],
                &[0x0f, 0x0f, 0xc1, 0x9e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                &[0x06, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                &[0xc3],
            ] {
                for _ in 0..2 {
                    let found = shapes.find(bytes, bytes);
                    let known = (found.note.length() > 0).then(|| *shapes.shape(found));
                    assert_eq!(known, of(bytes), "{bytes:02x?}");
                }
            }
        });
    }
}
