//! Instructions that put a constant of full width into a register and do nothing else. Of the places in a large object
//! nearly all are such, and there can be millions: as long as nothing sets them apart, two numbers say all that there is
//! to say of one.

use crate::arch::{OperandForm, PlainForm};
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
    /// What that place is, if it is such a constant.
    pub(crate) fn of(&self, place: &Place) -> Option<PlainConstant> {
        match place.shape {
            Shape::Instruction { start, form: OperandForm::Address64, .. } => {
                let plain = PlainConstant { start, value: place.value };
                (self.place(place.section, plain) == *place).then_some(plain)
            }
            _ => None,
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

impl PlainConstants {
    /// The places that they are.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> {
        let form = self.form;
        self.sections.iter().flat_map(move |(id, list)| list.iter().map(move |plain| form.place(*id, *plain)))
    }
}
