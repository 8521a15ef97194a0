//! Instructions of ten bytes that put a constant of full width into a register and do nothing else. Of the places in a
//! large object nearly all are such, and there can be millions: as long as nothing sets them apart, two numbers say all
//! that there is to say of one.

use crate::arch::OperandForm;
use crate::object_file::SectionId;
use crate::scan::{Place, Shape};

/// The length of the instruction, in bytes.
pub(crate) const LENGTH: u8 = 10;
/// The width of the constant, with which the instruction ends.
const WIDTH: u8 = 8;

/// One of them, with a constant that is an address of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PlainConstant {
    /// Offset of the instruction.
    pub(crate) start: u64,
    /// The constant.
    pub(crate) value: u64,
}

/// All of an object, by section in order, and in each by offset.
#[derive(Debug, Default)]
pub(crate) struct PlainConstants(pub(crate) Vec<(SectionId, Vec<PlainConstant>)>);

impl PlainConstant {
    /// What that place is, if it is such a constant.
    pub(crate) fn of(place: &Place) -> Option<Self> {
        match place.shape {
            Shape::Instruction { start, length: LENGTH, form: OperandForm::Address64 } => {
                let plain = PlainConstant { start, value: place.value };
                (plain.place(place.section) == *place).then_some(plain)
            }
            _ => None,
        }
    }

    /// Offset of the constant.
    pub(crate) fn offset(&self) -> u64 {
        self.start + u64::from(LENGTH - WIDTH)
    }

    /// The place that it is.
    pub(crate) fn place(&self, section: SectionId) -> Place {
        let shape = Shape::Instruction { start: self.start, length: LENGTH, form: OperandForm::Address64 };
        Place { section, offset: self.offset(), width: WIDTH, value: self.value, shape }
    }
}

impl PlainConstants {
    /// The places that they are.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        self.0.iter().flat_map(|(section, list)| list.iter().map(|plain| plain.place(*section)))
    }
}
