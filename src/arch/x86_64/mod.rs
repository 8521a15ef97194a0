//! AMD64 (System V psABI): which file answers which question about its instructions.

mod addition;
mod alignment;
mod callee;
mod common_shapes;
mod dead_ends;
mod decode;
mod distances;
mod effects;
mod entry;
mod flow;
mod guard;
mod held;
mod interpreter;
mod known_shapes;
mod layout;
mod library;
mod lower;
mod operands;
mod pointer_use;
mod read;
mod recode;
mod sensitivity;
mod state;
mod thread_block;
mod thunk;
mod values;
mod vector;

use std::collections::BTreeSet;
use std::ops::Range;

use super::{
    AlignmentNeed, Arch, CodeView, Delivery, Distance, Fragment, Instruction, Lowered, PlainForm, Referent,
    Seed, Survey, ThreadLocalOffset, Thunk, ThunkLinks,
};
use crate::edits::SymbolRef;

/// The AMD64 instruction set.
pub struct X86_64;

impl Arch for X86_64 {
    fn decode(&self, code: &[u8], range: Range<u64>, visit: &mut dyn FnMut(&Instruction)) {
        decode::decode(code, range, visit);
    }

    fn survey(
        &self,
        code: &[u8],
        range: Range<u64>,
        survey: &mut Survey,
        visit: &mut dyn FnMut(&Instruction),
    ) {
        decode::survey(code, range, survey, visit);
    }

    fn plain_form(&self) -> PlainForm {
        decode::PLAIN_FORM
    }

    fn is_in_reach_of_32_bits(&self, range: &Range<u64>) -> bool {
        // Zero-extended the lowest 4 GiB, sign-extended the highest 2 GiB.
        range.start < 1 << 32 || range.end > u64::MAX - (1 << 31)
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

    fn redirect_read(
        &self,
        instruction: &[u8],
        field: usize,
        size: u64,
        delivery: Delivery,
    ) -> Result<Lowered, String> {
        read::redirect_read(instruction, field, size, delivery)
    }

    fn thunk(&self, instruction: &[u8], links: &ThunkLinks<'_>) -> Result<Thunk, String> {
        thunk::thunk(instruction, links)
    }

    fn thunk_keeps_apart(&self, thunk: &[u8], loads: [u64; 2]) -> bool {
        thunk::keeps_apart(thunk, loads)
    }

    fn frees_register(&self, code: &dyn CodeView, start: u64, leaves: bool) -> bool {
        pointer_use::frees_linkage_register(code, start, leaves)
    }

    fn is_address(&self, code: &dyn CodeView, start: u64) -> Result<(), String> {
        pointer_use::is_address(code, start)
    }

    fn distances(&self, code: &dyn CodeView, start: u64) -> Vec<Distance> {
        distances::distances(code, start)
    }

    fn alignment_needs(&self, code: &dyn CodeView, entries: &[u64], seeds: &[Seed]) -> Vec<AlignmentNeed> {
        alignment::alignment_needs(code, entries, seeds)
    }

    fn dead_ends(&self, code: &dyn CodeView, functions: &[Range<u64>]) -> BTreeSet<u64> {
        dead_ends::dead_ends(code, functions)
    }

    fn adds_instead(&self, or: &[u8], add: &[u8]) -> bool {
        addition::adds_instead(or, add)
    }

    fn thread_local_offsets(
        &self,
        code: &[u8],
        function: Range<u64>,
        relocated: &dyn Fn(u64, u64) -> bool,
    ) -> Vec<ThreadLocalOffset> {
        thread_block::thread_local_offsets(code, function, relocated)
    }

    fn cuts_address(&self, instruction: &[u8]) -> bool {
        decode::cuts_address(instruction)
    }

    fn leaves(&self, instruction: &[u8]) -> bool {
        decode::leaves(instruction)
    }

    fn store_halves(&self, first: &[u8], second: &[u8], high_first: bool) -> bool {
        decode::store_halves(first, second, high_first)
    }

    fn stack_pointer(&self) -> gimli::Register {
        gimli::X86_64::RSP
    }

    // The registers follow 112 bytes (`linux/elfcore.h`); the twentieth is %rsp (`struct user_regs_struct`).
    fn stack_pointer_in_core(&self) -> usize {
        112 + 19 * 8
    }

    // They end where that begins (variant II).
    fn static_block(&self, control: u64, offset: u64) -> u64 {
        control.wrapping_sub(offset)
    }

    // The operand stack is the machine's own: no depth has to be known.
    fn interpreter(&self, _stack: usize, failure: Option<(SymbolRef, SymbolRef)>) -> Fragment {
        interpreter::interpreter(failure)
    }

    fn initializer(&self, program: Referent, interpreter: Referent, landing_pad: bool) -> Fragment {
        entry::initializer(program, interpreter, landing_pad)
    }

    fn find_library(&self, landing_pad: bool) -> Fragment {
        library::find_library(landing_pad)
    }

    fn guarded_initializer(
        &self,
        program: Referent,
        done: Referent,
        guard: Referent,
        landing_pad: bool,
    ) -> Fragment {
        entry::guarded_initializer(program, done, guard, landing_pad)
    }

    fn guard(&self, interpreter: Referent, lock: Referent, yields: SymbolRef) -> Fragment {
        guard::guard(interpreter, lock, yields)
    }

    fn initialize_all(&self, start: SymbolRef, stop: SymbolRef, landing_pad: bool) -> Fragment {
        guard::initialize_all(start, stop, landing_pad)
    }

    fn stub(&self, slot: Referent, landing_pad: bool) -> Fragment {
        entry::stub(slot, landing_pad)
    }

    fn common_information(&self) -> gimli::write::CommonInformationEntry {
        interpreter::common_information()
    }
}
