//! AMD64 (System V psABI).

use std::ops::Range;

use super::{Arch, Delivery, Fragment, Instruction, Lowered, Referent};
use crate::edits::SymbolRef;

/// The AMD64 instruction set.
pub struct X86_64;

#[allow(unused_variables)]
impl Arch for X86_64 {
    fn decode(&self, code: &[u8], range: Range<u64>, visit: &mut dyn FnMut(&Instruction)) {}
    fn disassemble(&self, bytes: &[u8], offset: u64) -> String {
        unimplemented!()
    }
    fn lower(&self, instruction: &[u8], field: usize, delivery: Delivery) -> Result<Lowered, String> {
        unimplemented!()
    }
    fn lower_address_to_load(&self, instruction: &[u8], field: usize) -> Result<Lowered, String> {
        unimplemented!()
    }
    fn interpreter(&self, stack: usize, failure: Option<(SymbolRef, SymbolRef)>) -> Fragment {
        unimplemented!()
    }
    fn initializer(&self, program: Referent, interpreter: Referent, landing_pad: bool) -> Fragment {
        unimplemented!()
    }
    fn stub(&self, slot: Referent, landing_pad: bool) -> Fragment {
        unimplemented!()
    }
    fn common_information(&self) -> gimli::write::CommonInformationEntry {
        unimplemented!()
    }
}
