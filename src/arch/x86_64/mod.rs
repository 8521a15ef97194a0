//! AMD64 (System V psABI): which file answers which question about its instructions.

mod decode;
mod lower;

use std::ops::Range;

use super::{Arch, Delivery, Fragment, Instruction, Lowered, Referent};
use crate::edits::SymbolRef;

/// The AMD64 instruction set.
pub struct X86_64;

impl Arch for X86_64 {
    fn decode(&self, code: &[u8], range: Range<u64>, visit: &mut dyn FnMut(&Instruction)) {
        decode::decode(code, range, visit);
    }

    fn disassemble(&self, bytes: &[u8], offset: u64) -> String {
        decode::disassemble(bytes, offset)
    }

    fn lower(&self, instruction: &[u8], field: usize, delivery: Delivery) -> Result<Lowered, String> {
        lower::lower(instruction, field, delivery)
    }

    fn lower_address_to_load(&self, instruction: &[u8], field: usize) -> Result<Lowered, String> {
        lower::lower_address_to_load(instruction, field)
    }

    #[allow(unused_variables)]
    fn interpreter(&self, stack: usize, failure: Option<(SymbolRef, SymbolRef)>) -> Fragment {
        unimplemented!()
    }

    #[allow(unused_variables)]
    fn initializer(&self, program: Referent, interpreter: Referent, landing_pad: bool) -> Fragment {
        unimplemented!()
    }

    #[allow(unused_variables)]
    fn stub(&self, slot: Referent, landing_pad: bool) -> Fragment {
        unimplemented!()
    }

    fn common_information(&self) -> gimli::write::CommonInformationEntry {
        unimplemented!()
    }
}
