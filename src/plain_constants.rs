//! Instructions that put a constant of full width into a register and do nothing else. Of the places in a large object
//! nearly all are such, and there can be millions: as long as nothing sets them apart, two numbers say all that there is
//! to say of one.

use crate::arch::{OperandForm, PlainForm};
use crate::edits::ShortBytes;
use crate::object_file::SectionId;
use crate::scan::{Place, Shape};

/// One of them, with a constant that is an address of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlainConstant {
    /// Offset of the instruction.
    pub(crate) start: u64,
    /// The constant.
    pub(crate) value: u64,
}

/// All of an object.
#[derive(Debug)]
pub(crate) struct PlainConstants {
    pub(crate) form: PlainForm,
    /// By section in order, and in each by offset.
    pub(crate) sections: Vec<(SectionId, Vec<PlainConstant>)>,
}

impl PlainForm {
    /// How to read instructions of that form.
    pub(crate) fn window(&self) -> Window {
        let shift = 8 * u32::from(self.field);
        Window {
            length: self.length.into(),
            shift,
            whole: ones(self.length),
            constant: ones(self.width) << shift,
        }
    }

    /// Offset of the constant.
    pub(crate) fn offset(&self, plain: &PlainConstant) -> u64 {
        plain.start + u64::from(self.field)
    }

    /// The place that it is.
    pub(crate) fn place(&self, section: SectionId, plain: PlainConstant) -> Place {
        let PlainConstant { start, value } = plain;
        let shape = Shape::Instruction { start, length: self.length, form: OperandForm::Address64 };
        Place { section, offset: self.offset(&plain), width: self.width, value, shape }
    }
}

/// Instructions of one form as numbers, little-endian.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    length: usize,
    /// Bits below the constant.
    shift: u32,
    /// The bits that are the instruction's, and of those the constant's.
    whole: u128,
    constant: u128,
}

impl Window {
    /// The bytes of the instruction at `start`; `None`: they are not all there.
    #[inline]
    pub(crate) fn bytes(&self, data: &[u8], start: u64) -> Option<u128> {
        let bytes = data.get(usize::try_from(start).ok()?..)?;
        match bytes.first_chunk() {
            Some(bytes) => Some(u128::from_le_bytes(*bytes) & self.whole),
            None => self.last_bytes(bytes),
        }
    }

    /// The same, where less than 16 are left.
    #[cold]
    fn last_bytes(&self, bytes: &[u8]) -> Option<u128> {
        let bytes = bytes.get(..self.length)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }

    /// The bytes that are that number.
    pub(crate) fn text(&self, bytes: u128) -> ShortBytes {
        bytes.to_le_bytes().into_iter().take(self.length).collect()
    }

    /// The constant among them.
    #[inline]
    pub(crate) fn constant(&self, bytes: u128) -> u64 {
        ((bytes & self.constant) >> self.shift) as u64
    }

    /// All but the constant.
    #[inline]
    pub(crate) fn around(&self, bytes: u128) -> u128 {
        bytes & !self.constant
    }

    /// The bytes with that constant where they have zeros.
    pub(crate) fn with(&self, around: u128, constant: u64) -> u128 {
        around | u128::from(constant) << self.shift & self.constant
    }

    /// Whether bytes are these, with that constant among them.
    #[inline]
    pub(crate) fn is(&self, bytes: u128, around: u128, constant: u64) -> bool {
        self.around(bytes) == around && self.constant(bytes) == constant
    }
}

/// So many bytes of ones.
fn ones(bytes: u8) -> u128 {
    u128::MAX.checked_shr(128_u32.saturating_sub(8 * u32::from(bytes))).unwrap_or(0)
}

impl PlainConstants {
    /// The places that they are.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let form = self.form;
        self.sections.iter().flat_map(move |(id, list)| list.iter().map(move |plain| form.place(*id, *plain)))
    }
}
