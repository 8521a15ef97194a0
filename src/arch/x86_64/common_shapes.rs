//! What the commonest instructions are. Before it decodes the first instruction iced makes tables of 600 kB, which takes more
//! time than all else that is done with a small object; its code mostly has none but these. They are what iced says of them,
//! to the last bit, and whatever is not one of them without doubt is left to it.

use super::super::{OperandForm, PcUse, Sensitivity};
use super::decode::{Field, OperandShape, ReferenceShape, Shape};

/// The stack pointer and the frame pointer.
const RSP: u8 = 4;
const RBP: u8 = 5;

/// What an instruction may read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operand {
    /// A general register, of so many bytes.
    Register(u8, u8),
    Vector,
    /// What the address of ModRM leads to.
    Memory,
    Immediate,
}

/// What it does, as far as the low bits of addresses are concerned; see [`super::sensitivity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Copy,
    Push,
    Lea,
    /// Whatever it does is nothing to the bits.
    Quiet,
    /// Quiet only if both operands are one register: of 8 bytes, if so.
    Same {
        whole: bool,
    },
    Stops,
    Jump,
    Branch,
    Looks,
    /// With vectors, and a memory operand that must be aligned, if so.
    Vector {
        aligned: bool,
    },
}

/// An address, as ModRM and SIB spell it (Intel SDM volume 2, 2.1.5).
#[derive(Debug, Clone, Copy, Default)]
struct Address {
    base: Option<u8>,
    index: Option<u8>,
    relative: bool,
    displacement: Option<Field>,
}

/// The instruction as far as it has been read.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    /// The bits of REX, or the same of VEX.
    wide: bool,
    reg_high: u8,
    index_high: u8,
    base_high: u8,
    address: Address,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A constant of so many bytes.
    fn field(&mut self, size: u8) -> Option<Field> {
        let field = Field::new(self.at, usize::from(size));
        self.at += usize::from(size);
        (self.at <= self.bytes.len()).then_some(field)
    }

    /// The size of general registers, where none other is said.
    fn size(&self) -> u8 {
        if self.wide { 8 } else { 4 }
    }

    /// What the reg field of ModRM says, and what the others do: memory, or a register.
    fn modrm(&mut self) -> Option<(u8, Option<u8>)> {
        let modrm = self.byte()?;
        let (mode, reg, mut rm) = (modrm >> 6, modrm >> 3 & 7, modrm & 7);
        if mode == 3 {
            return Some((reg, Some(rm | self.base_high)));
        }
        let mut address = Address::default();
        let based = match rm {
            4 => {
                let sib = self.byte()?;
                let index = sib >> 3 & 7 | self.index_high;
                address.index = (index != RSP).then_some(index);
                rm = sib & 7;
                rm != 5 || mode != 0
            }
            5 if mode == 0 => {
                address.relative = true;
                false
            }
            _ => true,
        };
        address.base = based.then_some(rm | self.base_high);
        address.displacement = match (mode, based) {
            (1, _) => Some(self.field(1)?),
            (0, true) => None,
            _ => Some(self.field(4)?),
        };
        self.address = address;
        Some((reg, None))
    }
}

/// What the instruction that `bytes` begin with is, if it is a common one.
pub(super) fn common_shape(bytes: &[u8]) -> Option<Shape> {
    if let Some(length) = nop_length(bytes) {
        return Some(Shape { length, nop: true, ..Shape::default() });
    }
    let mut reader = Reader {
        bytes,
        at: 0,
        wide: false,
        reg_high: 0,
        index_high: 0,
        base_high: 0,
        address: Address::default(),
    };
    let mut first = reader.byte()?;
    // What a prefix makes of an instruction with vectors.
    let mut prefix = 0;
    if matches!(first, 0x66 | 0xf2 | 0xf3) {
        prefix = first;
        first = reader.byte()?;
    }
    if first & 0xf0 == 0x40 {
        reader.wide = first & 8 != 0;
        reader.reg_high = (first & 4) << 1;
        reader.index_high = (first & 2) << 2;
        reader.base_high = (first & 1) << 3;
        first = reader.byte()?;
    }
    match first {
        0x0f => {
            let opcode = reader.byte()?;
            match prefix {
                0 => plain_0f(&mut reader, opcode).or_else(|| vector(&mut reader, opcode, prefix, None)),
                _ => vector(&mut reader, opcode, prefix, None),
            }
        }
        _ if prefix != 0 => None,
        0xc4 | 0xc5 if reader.at == 1 => vex(&mut reader, first),
        _ => plain(&mut reader, first),
    }
}

/// How long the instruction is that assemblers fill gaps with: `nop` in its long form, behind prefixes that mean nothing.
fn nop_length(bytes: &[u8]) -> Option<u8> {
    let prefixes = bytes.iter().take(8).take_while(|byte| matches!(byte, 0x66 | 0x2e)).count();
    let rest = &bytes[prefixes..];
    let length = match *rest {
        [0x90, ..] if prefixes < 2 && bytes[0] != 0x2e => 1,
        [0x0f, 0x1f, 0x00, ..] => 3,
        [0x0f, 0x1f, 0x40, _, ..] => 4,
        [0x0f, 0x1f, 0x44, _, _, ..] => 5,
        [0x0f, 0x1f, 0x80, _, _, _, _, ..] => 7,
        [0x0f, 0x1f, 0x84, _, _, _, _, _, ..] => 8,
        _ => return None,
    };
    Some((prefixes + length) as u8)
}

/// An opcode of one byte (Intel SDM volume 2, table A-2).
fn plain(reader: &mut Reader<'_>, opcode: u8) -> Option<Shape> {
    use Operand::{Immediate, Memory, Register};
    let size = reader.size();
    let low = opcode & 7 | reader.base_high;
    let arithmetic = |number: u8| match number {
        0 | 5 => Kind::Copy,
        6 => Kind::Same { whole: false },
        7 => Kind::Quiet,
        _ => Kind::Looks,
    };
    match opcode {
        0x00..=0x3f => {
            let kind = arithmetic(opcode >> 3);
            match opcode & 7 {
                form @ 0..=3 => {
                    let size = if form & 1 == 0 { 1 } else { size };
                    let (rm, reg) = rm_reg(reader, size, size)?;
                    let operands = if form < 2 { [rm, reg] } else { [reg, rm] };
                    shape(reader, kind, &operands, size.into(), 0)
                }
                4 => shape(reader, kind, &[Register(0, 1), Immediate], 0, 1),
                5 => shape(reader, kind, &[Register(0, size), Immediate], 0, 4),
                _ => None,
            }
        }
        0x50..=0x57 => shape(reader, Kind::Push, &[Register(low, 8)], 0, 0),
        0x58..=0x5f => shape(reader, Kind::Copy, &[Register(low, 8)], 0, 0),
        0x63 if reader.wide => {
            let (rm, reg) = rm_reg(reader, 4, 8)?;
            shape(reader, Kind::Copy, &[reg, rm], 4, 0)
        }
        0x68 => {
            reader.wide = true;
            shape(reader, Kind::Push, &[Immediate], 0, 4)
        }
        0x6a => shape(reader, Kind::Push, &[Immediate], 0, 1),
        0x69 | 0x6b => {
            let (rm, reg) = rm_reg(reader, size, size)?;
            let immediate = if opcode == 0x69 { 4 } else { 1 };
            shape(reader, Kind::Copy, &[reg, rm, Immediate], size.into(), immediate)
        }
        0x70..=0x7f => branch(reader, Kind::Jump, 1),
        0x80 | 0x81 | 0x83 => {
            let size = if opcode == 0x80 { 1 } else { size };
            let (number, rm) = reader.modrm()?;
            let immediate = if opcode == 0x81 { 4 } else { 1 };
            let operands = [rm.map_or(Memory, |rm| Register(rm, size)), Immediate];
            // Of eight bits' registers the numbers say something else; none of them is asked for.
            shape(reader, arithmetic(number), &operands, size.into(), immediate)
        }
        0x84 | 0x85 => {
            let size = if opcode == 0x84 { 1 } else { size };
            let (rm, reg) = rm_reg(reader, size, size)?;
            shape(reader, Kind::Same { whole: true }, &[rm, reg], size.into(), 0)
        }
        0x88..=0x8b => {
            let size = if opcode & 1 == 0 { 1 } else { size };
            let (rm, reg) = rm_reg(reader, size, size)?;
            let operands = if opcode & 2 == 0 { [rm, reg] } else { [reg, rm] };
            shape(reader, Kind::Copy, &operands, size.into(), 0)
        }
        0x8d => match rm_reg(reader, size, size)? {
            (Memory, reg) => shape(reader, Kind::Lea, &[reg, Memory], 0, 0),
            _ => None,
        },
        0x98 => shape(reader, if reader.wide { Kind::Quiet } else { Kind::Looks }, &[], 0, 0),
        0x99 => shape(reader, Kind::Quiet, &[], 0, 0),
        0xa8 => shape(reader, Kind::Looks, &[Register(0, 1), Immediate], 0, 1),
        0xa9 => shape(reader, Kind::Looks, &[Register(0, size), Immediate], 0, 4),
        0xb0..=0xb7 => shape(reader, Kind::Copy, &[Register(low, 1), Immediate], 0, 1),
        // With other bits of REX it is another form.
        0xb8..=0xbf if reader.wide && reader.reg_high == 0 && reader.index_high == 0 => {
            shape(reader, Kind::Copy, &[Register(low, 8), Immediate], 0, 8)
        }
        0xb8..=0xbf if !reader.wide => shape(reader, Kind::Copy, &[Register(low, 4), Immediate], 0, 4),
        0xc0 | 0xc1 => {
            let size = if opcode == 0xc0 { 1 } else { size };
            let (number, rm) = reader.modrm()?;
            let kind = if number >= 4 { Kind::Quiet } else { Kind::Looks };
            let operands = [rm.map_or(Memory, |rm| Register(rm, size)), Immediate];
            shape(reader, kind, &operands, size.into(), 1)
        }
        0xd0..=0xd3 => {
            let size = if opcode & 1 == 0 { 1 } else { size };
            let (number, rm) = reader.modrm()?;
            let kind = if opcode < 0xd2 && number >= 4 { Kind::Quiet } else { Kind::Looks };
            shape(reader, kind, &[rm.map_or(Memory, |rm| Register(rm, size))], size.into(), 0)
        }
        0xc3 => shape(reader, Kind::Stops, &[], 0, 0),
        0xc6 | 0xc7 => {
            let size = if opcode == 0xc6 { 1 } else { size };
            let (0, rm) = reader.modrm()? else { return None };
            let immediate = size.min(4);
            let operands = [rm.map_or(Memory, |rm| Register(rm, size)), Immediate];
            shape(reader, Kind::Copy, &operands, size.into(), immediate)
        }
        0xc9 => shape(reader, Kind::Quiet, &[], 0, 0),
        0xcc if reader.at == 1 => Some(Shape { nop: true, ..shape(reader, Kind::Looks, &[], 0, 0)? }),
        0xe8 => branch(reader, Kind::Stops, 4),
        0xe9 => branch(reader, Kind::Branch, 4),
        0xeb => branch(reader, Kind::Branch, 1),
        0xf6 | 0xf7 => {
            let size = if opcode == 0xf6 { 1 } else { size };
            let (number, rm) = reader.modrm()?;
            let rm = rm.map_or(Memory, |rm| Register(rm, size));
            match number {
                0 => shape(reader, Kind::Looks, &[rm, Immediate], size.into(), size.min(4)),
                2 | 3 | 5 => shape(reader, Kind::Copy, &[rm], size.into(), 0),
                4 | 6 | 7 => shape(reader, Kind::Looks, &[rm], size.into(), 0),
                _ => None,
            }
        }
        0xfe => {
            let (0 | 1, rm) = reader.modrm()? else { return None };
            shape(reader, Kind::Copy, &[rm.map_or(Memory, |rm| Register(rm, 1))], 1, 0)
        }
        0xff => {
            let (number, rm) = reader.modrm()?;
            let (kind, size) = match number {
                0 | 1 => (Kind::Copy, size),
                2 => (Kind::Stops, 8),
                4 => (Kind::Looks, 8),
                6 => (Kind::Push, 8),
                _ => return None,
            };
            let operands = [rm.map_or(Memory, |rm| Register(rm, size))];
            shape(reader, kind, &operands, size.into(), 0)
        }
        _ => None,
    }
}

/// What ModRM says of general registers and memory: `rm`, then `reg`, of those sizes.
fn rm_reg(reader: &mut Reader<'_>, rm_size: u8, reg_size: u8) -> Option<(Operand, Operand)> {
    let (reg, rm) = reader.modrm()?;
    let rm = rm.map_or(Operand::Memory, |rm| Operand::Register(rm, rm_size));
    Some((rm, Operand::Register(reg | reader.reg_high, reg_size)))
}

/// An opcode behind 0F (Intel SDM volume 2, table A-3) that is none of vectors.
fn plain_0f(reader: &mut Reader<'_>, opcode: u8) -> Option<Shape> {
    let size = reader.size();
    match opcode {
        0x0b => shape(reader, Kind::Stops, &[], 0, 0),
        0x40..=0x4f => {
            let (rm, reg) = rm_reg(reader, size, size)?;
            shape(reader, Kind::Quiet, &[reg, rm], size.into(), 0)
        }
        0x80..=0x8f => branch(reader, Kind::Jump, 4),
        0x90..=0x9f => {
            let (rm, _) = rm_reg(reader, 1, 1)?;
            shape(reader, Kind::Looks, &[rm], 1, 0)
        }
        0xaf => {
            let (rm, reg) = rm_reg(reader, size, size)?;
            shape(reader, Kind::Copy, &[reg, rm], size.into(), 0)
        }
        0xb6 | 0xb7 | 0xbe | 0xbf => {
            let from = if opcode & 1 == 0 { 1 } else { 2 };
            let (rm, reg) = rm_reg(reader, from, size)?;
            shape(reader, Kind::Copy, &[reg, rm], from.into(), 0)
        }
        _ => None,
    }
}

/// VEX (Intel SDM volume 2, 2.3.5), of two bytes or three, for the map of 0F.
fn vex(reader: &mut Reader<'_>, first: u8) -> Option<Shape> {
    let mut byte = reader.byte()?;
    reader.reg_high = !byte >> 7 << 3;
    if first == 0xc4 {
        if byte & 0x1f != 1 {
            return None;
        }
        reader.index_high = (!byte & 0x40) >> 3;
        reader.base_high = (!byte & 0x20) >> 2;
        byte = reader.byte()?;
        reader.wide = byte & 0x80 != 0;
    }
    let prefix = [0, 0x66, 0xf3, 0xf2][usize::from(byte & 3)];
    let opcode = reader.byte()?;
    vector(reader, opcode, prefix, Some((byte >> 3 & 15, byte & 4 != 0)))
}

/// An opcode behind 0F for vectors; of VEX the register that it adds, inverted, and whether vectors have 32 bytes.
fn vector(reader: &mut Reader<'_>, opcode: u8, prefix: u8, vex: Option<(u8, bool)>) -> Option<Shape> {
    use Operand::{Memory, Register, Vector};
    let long = vex.is_some_and(|(_, long)| long);
    let whole = if long { 32 } else { 16 };
    let scalar = match prefix {
        0xf3 => Some(4),
        0xf2 => Some(8),
        _ => None,
    };
    // General registers are told apart by W, which for most has no meaning.
    let mixed = matches!((opcode, prefix), (0x2a | 0x2c | 0x2d, 0xf2 | 0xf3) | (0x6e | 0x7e, 0x66));
    if vex.is_some() && reader.wide && !mixed {
        return None;
    }
    // Size of the memory operand, whether it must be aligned without VEX and with it, and whether VEX adds a register.
    let (size, aligned, always, adds) = match (opcode, prefix) {
        (0x10 | 0x11, 0 | 0x66) => (whole, false, false, false),
        (0x10 | 0x11, _) => (scalar?, false, false, false),
        (0x28 | 0x29, 0 | 0x66) => (whole, true, true, false),
        (0x2a, 0xf2 | 0xf3) => (reader.size().into(), false, false, true),
        (0x2c | 0x2d, 0xf2 | 0xf3) => (scalar?, false, false, false),
        (0x2e | 0x2f, 0) => (4, false, false, false),
        (0x2e | 0x2f, 0x66) => (8, false, false, false),
        (0x51, 0 | 0x66) => (whole, true, false, false),
        (0x54..=0x57, 0 | 0x66) => (whole, true, false, true),
        (0x58 | 0x59 | 0x5c..=0x5f, 0 | 0x66) => (whole, true, false, true),
        (0x51 | 0x58 | 0x59 | 0x5a | 0x5c..=0x5f, 0xf2 | 0xf3) => (scalar?, false, false, true),
        (0x6e | 0x7e, 0x66) => (reader.size().into(), false, false, false),
        (0x6f | 0x7f, 0x66) => (whole, true, true, false),
        (0x6f | 0x7f, 0xf3) => (whole, false, false, false),
        (0x7e, 0xf3) | (0xd6, 0x66) => (8, false, false, false),
        (0xd4 | 0xdb | 0xdf | 0xeb | 0xef | 0xfa | 0xfb | 0xfe | 0x6c, 0x66) => (whole, true, false, true),
        _ => return None,
    };
    let (_, rm) = reader.modrm()?;
    // Between registers a scalar move keeps the rest of the second.
    let adds = adds || matches!(opcode, 0x10 | 0x11) && scalar.is_some() && rm.is_some();
    if vex.is_some_and(|(register, long)| !adds && register != 15 || long && size != 32) {
        return None;
    }
    let general = match opcode {
        0x2a | 0x6e | 0x7e if mixed => rm.is_some(),
        _ => mixed,
    };
    let aligned = if vex.is_some() { always } else { aligned };
    let memory = if rm.is_some() { Vector } else { Memory };
    match general {
        // One of them goes into the other.
        true => shape(reader, Kind::Looks, &[Register(0, 8), memory], size, 0),
        false => shape(reader, Kind::Vector { aligned }, &[Vector, memory], size, 0),
    }
}

/// A branch with a distance of so many bytes.
fn branch(reader: &mut Reader<'_>, kind: Kind, size: u8) -> Option<Shape> {
    let field = reader.field(size)?;
    let reference = Some(ReferenceShape { field, size: 0, usage: PcUse::Branch });
    Some(Shape { reference, ..shape(reader, kind, &[], 0, 0)? }.told())
}

/// The shape of an instruction that has been read but for its immediate, of so many bytes, and the size of its memory operand.
fn shape(
    reader: &mut Reader<'_>,
    kind: Kind,
    operands: &[Operand],
    memory: u16,
    immediate: u8,
) -> Option<Shape> {
    let mut shape = Shape { sensitivity: sensitivity(kind, operands, &reader.address), ..Shape::default() };
    if immediate > 0 {
        let field = reader.field(immediate)?;
        // A number of 32 bits is one of 64 for what has 64.
        let signed = immediate == 4 && reader.wide;
        let form = if immediate == 8 { OperandForm::Address64 } else { OperandForm::Immediate32 };
        shape.operands[0] = (immediate >= 4).then_some(OperandShape { field, signed, form });
    }
    let Address { base, index, relative, displacement } = reader.address;
    if let Some(field) = displacement.filter(|field| field.size == 4) {
        let form = match (base, index, kind) {
            (Some(_), ..) => OperandForm::Based32,
            (None, Some(_), Kind::Lea) => OperandForm::Scaled32,
            _ => OperandForm::Absolute32,
        };
        if relative {
            let usage = if kind == Kind::Lea { PcUse::Address } else { PcUse::Memory };
            shape.reference = Some(ReferenceShape { field, size: memory, usage });
        } else {
            shape.operands[1] = Some(OperandShape { field, signed: true, form });
        }
    }
    shape.length = reader.at as u8;
    Some(shape.told())
}

/// See [`super::sensitivity::sensitivity`].
fn sensitivity(kind: Kind, operands: &[Operand], address: &Address) -> Sensitivity {
    use Operand::Register;
    let is_frame = |register: u8| matches!(register, RSP | RBP);
    let first = operands.first();
    let same = matches!(operands, [Register(..), Register(..)]) && operands[0] == operands[1];
    match kind {
        _ if matches!(first, Some(Register(_, 1 | 2))) => Sensitivity::LOOKS,
        Kind::Copy | Kind::Lea => {
            let leads = |operand: &Operand| matches!(operand, Register(register, 8) if is_frame(*register));
            let named = operands.iter().skip(1).any(leads);
            let computed =
                kind == Kind::Lea && [address.base, address.index].into_iter().flatten().any(is_frame);
            match (named || computed) && !first.is_some_and(leads) {
                true => Sensitivity::FRAME_ADDRESS,
                false => Sensitivity::NONE,
            }
        }
        Kind::Push if first == Some(&Register(RSP, 8)) => Sensitivity::FRAME_ADDRESS,
        Kind::Push | Kind::Quiet => Sensitivity::NONE,
        Kind::Same { whole } if same && (!whole || matches!(first, Some(Register(_, 8)))) => {
            Sensitivity::NONE
        }
        Kind::Same { .. } | Kind::Looks => Sensitivity::LOOKS,
        Kind::Stops => Sensitivity::STOPS,
        Kind::Jump => Sensitivity::JUMP,
        Kind::Branch => {
            let mut both = Sensitivity::JUMP;
            both |= Sensitivity::STOPS;
            both
        }
        Kind::Vector { .. } if !operands.contains(&Operand::Memory) => Sensitivity::NONE,
        Kind::Vector { .. } if address.base == Some(RSP) && address.index.is_none() => {
            Sensitivity::VECTOR_OF_FRAME
        }
        Kind::Vector { aligned: true } => Sensitivity::LOOKS,
        Kind::Vector { .. } if address.base.is_some_and(is_frame) => Sensitivity::VECTOR_OF_FRAME,
        Kind::Vector { .. } => Sensitivity::VECTOR_OF_MEMORY,
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::decoded_shape;
    use super::*;

    /// Every opcode of both maps with every ModRM byte and some SIB bytes, behind all prefixes that it may have: what is known
    /// is what iced says, whole and cut off at each byte.
    #[test]
    fn what_is_known_is_what_decoding_gives() {
        let rex = (0x40..0x50).map(|rex| vec![rex]);
        let behind =
            [0x66, 0xf3, 0xf2].into_iter().flat_map(|prefix| [0x41, 0x48, 0x4e].map(|rex| vec![prefix, rex]));
        let none =
            [vec![], vec![0x66], vec![0xf3], vec![0xf2], vec![0x2e], vec![0x66, 0x2e], vec![0x66, 0x66]];
        let legacy = rex.chain(behind).chain(none);
        let legacy = legacy.flat_map(|prefix| [prefix.clone(), [prefix, vec![0x0f]].concat()]);
        let two = (0..=255).step_by(3).map(|byte| vec![0xc5, byte]);
        // All of W, L and the prefix with some registers.
        let rest = (0..=255).filter(|byte| matches!(byte >> 3 & 15, 0 | 15));
        let three = rest.flat_map(|byte| [0xe1, 0xc1, 0x81, 0x01, 0xe2].map(|map| vec![0xc4, map, byte]));
        let all: Vec<u8> = (0..=255).collect();
        let mut known = 0;
        for before in legacy.chain(two).chain(three) {
            for opcode in 0..=255 {
                for modrm in 0..=255_u8 {
                    let sibs = match opcode {
                        _ if modrm & 7 != 4 || modrm >= 0xc0 => &[0x11][..],
                        // Loads, of vectors too, and addresses.
                        0x10 | 0x8b | 0x8d => &all,
                        _ => &[0x24, 0x65, 0x25, 0x2c],
                    };
                    for sib in sibs {
                        let bytes = [&before[..], &[opcode, modrm, *sib], &[0x11; 12]].concat();
                        let bytes = &bytes[..15];
                        if let Some(shape) = common_shape(bytes) {
                            assert_eq!(Some(shape), decoded_shape(bytes), "{bytes:02x?}");
                            let length = usize::from(shape.length);
                            assert_eq!(common_shape(&bytes[..length]), Some(shape), "{bytes:02x?}");
                            assert_eq!(common_shape(&bytes[..length - 1]), None, "{bytes:02x?}");
                            known += 1;
                        }
                    }
                }
            }
        }
        assert!(known > 1_000_000, "{known}");
    }

    /// The code of this very program, one instruction after the other.
    #[test]
    fn what_is_known_of_real_code_is_what_decoding_gives() {
        let program = std::fs::read(std::env::current_exe().expect("a program")).expect("its bytes");
        let file = goblin::elf::Elf::parse(&program).expect("an executable");
        let is_text =
            |header: &&goblin::elf::SectionHeader| file.shdr_strtab.get_at(header.sh_name) == Some(".text");
        let text = file.section_headers.iter().find(is_text).and_then(|header| header.file_range());
        let mut left = &program[text.expect("code")];
        let (mut known, mut count) = (0, 0);
        while !left.is_empty() {
            let decoded = decoded_shape(left);
            let common = common_shape(left);
            assert!(common.is_none() || common == decoded, "{:02x?}", &left[..left.len().min(15)]);
            (known, count) = (known + usize::from(common.is_some()), count + 1);
            left = &left[decoded.map_or(1, |shape| usize::from(shape.length))..];
        }
        assert!(known > count / 10 * 9, "{known} of {count}");
    }

    /// Instructions of an ordinary function: for these no table is made.
    #[test]
    fn common_instructions_are_known() {
        for bytes in [
            &[0x55][..],                                    // push %rbp
            &[0x41, 0x5f],                                  // pop %r15
            &[0x48, 0x89, 0xe5],                            // mov %rsp,%rbp
            &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8],          // movabs $…,%rax
            &[0x49, 0xbf, 1, 2, 3, 4, 5, 6, 7, 8],          // movabs $…,%r15
            &[0xff, 0xd0],                                  // call *%rax
            &[0x48, 0x8b, 0x73, 0x08],                      // mov 8(%rbx),%rsi
            &[0x48, 0x83, 0xfe, 0x21],                      // cmp $33,%rsi
            &[0x7e, 0x17],                                  // jle
            &[0x0f, 0x84, 1, 2, 3, 4],                      // je
            &[0x48, 0x8d, 0x14, 0xb6],                      // lea (%rsi,%rsi,4),%rdx
            &[0xc5, 0xfb, 0x10, 0x43, 0x18],                // vmovsd 24(%rbx),%xmm0
            &[0xc5, 0xfb, 0x58, 0x43, 0x20],                // vaddsd 32(%rbx),%xmm0,%xmm0
            &[0xf2, 0x0f, 0x11, 0x43, 0x18],                // movsd %xmm0,24(%rbx)
            &[0x66, 0x0f, 0xef, 0xc0],                      // pxor %xmm0,%xmm0
            &[0xe8, 1, 2, 3, 4],                            // call
            &[0xc3],                                        // ret
            &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], // cs nopw 0(%rax,%rax)
            &[0x66, 0x90],                                  // xchg %ax,%ax
        ] {
            let length = common_shape(bytes).map(|shape| usize::from(shape.length));
            assert_eq!(length, Some(bytes.len()), "{bytes:02x?}");
        }
    }
}
