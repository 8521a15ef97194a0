//! What differs between machines: how instructions are decoded, how a constant in one is replaced, and the
//! code of the initializer. Instruction bytes live below this module and nowhere else.

mod survey;
pub mod x86_64;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use crate::edits::{NewRelocation, ShortBytes, SymbolRef};
use crate::reloc::RelocKind;
pub use survey::{Branch, Survey};

/// A supported machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Machine {
    /// AMD64, System V psABI.
    X86_64,
}

impl Machine {
    /// The machine of that name in session maps and reports.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "x86_64" => Some(Machine::X86_64),
            _ => None,
        }
    }

    /// Its name in session maps and reports.
    pub fn name(self) -> &'static str {
        match self {
            Machine::X86_64 => "x86_64",
        }
    }

    /// Its instructions.
    pub fn arch(self) -> &'static dyn Arch {
        match self {
            Machine::X86_64 => &x86_64::X86_64,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How an instruction uses a constant that it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperandForm {
    /// A full-width constant into a register (`movabs $imm64, %r`).
    Address64,
    /// A load from a full-width absolute address (`movabs moffs64, %rax`).
    Load64,
    /// Any other full-width constant (`movabs %rax, moffs64`).
    Other64,
    /// A 32-bit immediate.
    Immediate32,
    /// A 32-bit absolute address: a displacement without a base register, not pc-relative.
    Absolute32,
    /// A 32-bit displacement to which an index is added without accessing memory (`lea disp(,%rdi,8)`): an element's
    /// address, or arithmetic.
    Scaled32,
    /// A 32-bit displacement with a base register.
    Based32,
}

/// The instruction that is an [`OperandForm::Address64`] and nothing else, whatever the register and the constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainForm {
    /// Its length in bytes, 16 at most.
    pub length: u8,
    /// Where in it the constant is,
    pub field: u8,
    /// and how many bytes that has.
    pub width: u8,
}

/// A constant in an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// Offset of its first byte in the section.
    pub field: u64,
    /// Its width in bytes.
    pub width: u8,
    /// Its value as the instruction uses it, zero- or sign-extended to 64 bits.
    pub value: u64,
    /// How it is used.
    pub form: OperandForm,
}

/// How an instruction uses a pc-relative operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PcUse {
    /// It goes there: direct call or jump.
    Branch,
    /// It computes the address only (`lea`).
    Address,
    /// It reads or writes memory there.
    Memory,
}

/// A pc-relative operand of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcReference {
    /// Offset of the field's first byte in the section.
    pub field: u64,
    /// Its width in bytes.
    pub width: u8,
    /// Where it leads if no relocation applies: an offset in the same section, wrapping.
    pub target: u64,
    /// Bytes accessed there; 0 for [`PcUse::Branch`] and [`PcUse::Address`].
    pub size: u64,
    /// How it is used.
    pub usage: PcUse,
}

/// An instruction, as far as the stages look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Offset in its section.
    pub offset: u64,
    /// Length in bytes.
    pub length: u8,
    /// False for bytes that are no instruction (`length` is then 1).
    pub valid: bool,
    /// It does nothing (padding).
    pub nop: bool,
    /// Whether it looks at the low bits of addresses, if it is given any.
    pub sensitivity: Sensitivity,
    /// Its constants of at least 32 bits: immediate and displacement.
    pub operands: [Option<Operand>; 2],
    /// Its pc-relative operand.
    pub reference: Option<PcReference>,
}

/// Whether code may look at the low bits of the addresses in it, gathered from its instructions without regard to the way
/// that control takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sensitivity(u8);

impl Sensitivity {
    /// It copies, adds, compares and dereferences.
    pub const NONE: Self = Sensitivity(0);
    /// It looks, or goes where that cannot be seen.
    pub const LOOKS: Self = Sensitivity(1);
    /// It goes to where its pc-relative operand says.
    pub const JUMP: Self = Sensitivity(2);
    /// The next instruction does not run after it, or is another function's.
    pub const STOPS: Self = Sensitivity(32);
    /// It puts the address of its frame into a register.
    pub const FRAME_ADDRESS: Self = Sensitivity(4);
    /// It handles what is in its frame as a vector.
    pub const VECTOR_OF_FRAME: Self = Sensitivity(8);
    /// It handles other memory as a vector.
    pub const VECTOR_OF_MEMORY: Self = Sensitivity(16);

    /// Whether all of `other` is in it.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether code of that kind takes nothing for granted of addresses in it. `words`: some are words that the program
    /// only reads.
    pub fn is_indifferent(self, words: bool) -> bool {
        !self.has(Self::LOOKS)
            && !self.has(Self::VECTOR_OF_FRAME)
            && !(self.has(Self::VECTOR_OF_MEMORY) && (words || self.has(Self::FRAME_ADDRESS)))
    }
}

impl std::ops::BitOrAssign for Sensitivity {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The distance of a thread-local variable from the thread pointer, as a number in an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadLocalOffset {
    /// Offset of the instruction.
    pub start: u64,
    /// Its length in bytes.
    pub length: u8,
    /// Offset of the number's first byte.
    pub field: u64,
    /// The distance.
    pub offset: i64,
}

/// How an instruction gets the address that stood in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// From the symbol's entry in the global offset table.
    Got,
    /// From a pointer-sized variable of ours.
    Slot,
    /// Pc-relative: the object itself defines it, and near.
    Direct,
    /// An absolute relocation in place, for output that is not position-independent.
    Absolute,
    /// From one half of such a variable, extended to 64 bits as the instruction extends its own constant.
    Half(Half),
}

/// The part of an address that 32 bits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Half {
    /// Bits 0 to 31.
    Low,
    /// Bits 32 to 63.
    High,
}

impl Half {
    /// Where it lies in the variable.
    pub fn offset(self) -> i64 {
        match self {
            Half::Low => 0,
            Half::High => 4,
        }
    }

    /// That part of a number.
    pub fn of(self, number: u64) -> u32 {
        match self {
            Half::Low => number as u32,
            Half::High => (number >> 32) as u32,
        }
    }
}

/// An instruction's replacement: as many bytes, and one relocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lowered {
    /// The new bytes.
    pub bytes: ShortBytes,
    /// The relocated field's offset in `bytes`.
    pub field: u64,
    /// What is computed there.
    pub kind: RelocKind,
    /// To be added to the addend of the thing referred to.
    pub addend: i64,
}

/// An address that a thunk gets for a constant of the instruction whose work it does.
#[derive(Debug, Clone, Copy)]
pub struct Supply {
    /// The offset of the constant in the instruction.
    pub field: usize,
    /// How the thunk gets the address that stood there.
    pub delivery: Delivery,
    /// A slot, a symbol that has an entry in the global offset table, or something near, as `delivery` says.
    pub target: Referent,
}

/// A constant that stays one, and goes with the instruction.
#[derive(Debug, Clone, Copy)]
pub struct MovedField {
    /// The offset of the constant in the instruction.
    pub field: usize,
    /// What its relocation computes,
    pub kind: RelocKind,
    /// and of what: where it leads, whatever the distance of the field from the end of the instruction.
    pub target: Referent,
}

/// What a thunk refers to.
#[derive(Debug, Clone, Copy)]
pub struct ThunkLinks<'l> {
    /// One address or two, in the order of their constants.
    pub supplies: &'l [Supply],
    /// The instruction's other constant, if it has a relocation.
    pub moved: Option<MovedField>,
    /// The next instruction.
    pub next: Referent,
    /// Returns must match calls.
    pub shadow_stack: bool,
    /// See [`Arch::frees_register`].
    pub frees_register: bool,
}

/// What takes an instruction's place where no replacement fits: a jump or call, and the code that it leads to.
#[derive(Debug, Clone)]
pub struct Thunk {
    /// The new bytes of the place, as many as before.
    pub site: Vec<u8>,
    /// The offset in `site` of the 32-bit distance, from its own end, to the code.
    pub field: u64,
    /// The code.
    pub fragment: Fragment,
    /// By how many bytes the stack pointer is lower than at the instruction: from which offset in the code, and how
    /// many; 0 up to the first.
    pub depth: Vec<(u32, i64)>,
    /// The place calls the code: it begins as a function does.
    pub calls: bool,
}

/// Code that is to be put somewhere: bytes, relocations relative to their start, and how to unwind through it.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// Instructions.
    pub code: Vec<u8>,
    /// Their relocations, sorted by offset.
    pub relocations: Vec<NewRelocation>,
    /// Rows of the unwind table: code offset, and what changes there.
    pub frame: Vec<(u32, gimli::write::CallFrameInstruction)>,
}

/// What [`Arch::find_library`] is told to look for, in bytes from the start of the record: where it writes, as a
/// pointer, the lowest address of the library once it has found it.
pub const LIBRARY_BASE: i32 = 0;
/// The size of the build-id, in 32 bits, not 0.
pub const LIBRARY_ID_SIZE: i32 = 8;
/// The build-id.
pub const LIBRARY_ID: i32 = 12;

/// Where a relocated branch leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// To code that the object has there, and no other function.
    Code(u64),
    /// To another function.
    Away,
}

/// Code as control flows through it, and the data that it refers to. An address is the analysis's own: what lies in one
/// section has the section's distances, and no address has its highest bit set.
pub trait CodeView {
    /// The bytes from an address to the end of its section; `None`: the object has no code there.
    fn bytes(&self, at: u64) -> Option<&[u8]>;

    /// Where a branch leads that has a relocation in the `length` bytes at `at`; `None`: it has none.
    fn lead(&self, at: u64, length: u64) -> Option<Lead>;

    /// The symbol that a relocation in the `length` bytes at `at` refers to.
    fn symbol(&self, at: u64, length: u64) -> Option<u32>;

    /// Whether the call there is known never to return.
    fn never_returns(&self, call: u64) -> bool;

    /// What of the object's own the field at an address refers to by its relocation, in an instruction that ends at `end`.
    fn referent(&self, field: u64, end: u64) -> Option<u64>;

    /// The section of what the object has at an address.
    fn section(&self, at: u64) -> Range<u64>;

    /// The function around an address, as far as is known.
    fn function(&self, at: u64) -> Range<u64>;

    /// Where words of data lead that are side by side with one that leads into a range of code otherwise than to its
    /// start, as those of jump tables are.
    fn tables(&self, function: &Range<u64>) -> Vec<u64>;

    /// Where the entries lead of a jump table that starts there and cannot change, in order; `distances`: they are
    /// distances from its start. In parts: where another one begins, another table may. `None`: it is none.
    fn table(&self, start: u64, distances: bool) -> Option<Vec<Vec<u64>>>;

    /// Where unwinding leads in a function; `None`: that cannot be read.
    fn landing_pads(&self, function: &Range<u64>) -> Option<Vec<u64>>;
}

/// A constant that will be another number in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed {
    /// Where it stands: the field of an instruction, or a word that is only read.
    pub address: u64,
    /// The place, by a number of the caller's.
    pub place: u32,
    /// The number that it was in the session, as an instruction uses it, if that is known.
    pub value: Option<u64>,
    /// The instruction that holds it; `None`: it is a word.
    pub instruction: Option<u64>,
}

/// What an instruction takes for granted of a constant's low bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlignmentNeed {
    /// The place, as in [`Seed::place`]; `None`: any of all.
    pub place: Option<u32>,
    /// How many of its low bits count; 64: all.
    pub bits: u8,
    /// The address of the instruction.
    pub instruction: u64,
    /// Its length in bytes; 0: it is not one instruction, but that control cannot be followed from there on.
    pub length: u8,
    /// What does the same in the session and does not need it: as many bytes.
    pub instead: Option<Vec<u8>>,
}

/// How far an instruction reaches from an address that a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distance {
    /// The address of the instruction.
    pub instruction: u64,
    /// Its length in bytes.
    pub length: u8,
    /// The number that it adds.
    pub bytes: i64,
}

/// A symbol or section and a number of bytes.
pub type Referent = (SymbolRef, i64);

/// The instructions of one machine.
pub trait Arch: Sync {
    /// Decodes `range` of the section with contents `code` from its start and shows every instruction in turn.
    /// Bytes that are no instruction are shown one by one. `range` lies in `code`.
    fn decode(&self, code: &[u8], range: Range<u64>, visit: &mut dyn FnMut(&Instruction));

    /// The same, and notes every instruction in a survey, with what plain ones and branches hold; shown are only others with a
    /// constant or a pc-relative operand.
    fn survey(
        &self,
        code: &[u8],
        range: Range<u64>,
        survey: &mut Survey,
        visit: &mut dyn FnMut(&Instruction),
    );

    /// What nearly all places of a large object are.
    fn plain_form(&self) -> PlainForm;

    /// Whether a 32-bit operand, extended as the machine does, can be an address in that range.
    fn is_in_reach_of_32_bits(&self, range: &Range<u64>) -> bool;

    /// The instruction's text in the assembler's syntax, at its offset in the section.
    fn disassemble(&self, bytes: &[u8], offset: u64) -> String;

    /// Replaces the constant at byte `field` of one instruction by an address that comes some other way; the
    /// length stays, and so do flags and all registers but the destination.
    ///
    /// # Errors
    /// Why this form cannot be replaced: everything that is not known to be safe.
    fn lower(&self, instruction: &[u8], field: usize, delivery: Delivery) -> Result<Lowered, String>;

    /// Replaces a pc-relative computation of an address (`lea`) by a load of it from a slot.
    ///
    /// # Errors
    /// As [`Arch::lower`].
    fn lower_address_to_load(&self, instruction: &[u8], field: usize) -> Result<Lowered, String>;

    /// Has an instruction that reads exactly `size` bytes pc-relatively, and writes none there, read them from
    /// elsewhere: the displacement at byte `field` gets a relocation.
    ///
    /// # Errors
    /// As [`Arch::lower`].
    fn redirect_read(
        &self,
        instruction: &[u8],
        field: usize,
        size: u64,
        delivery: Delivery,
    ) -> Result<Lowered, String>;

    /// Replaces constants of one instruction, in code elsewhere that the instruction's place jumps to. Flags, registers
    /// and what lies below the stack pointer stay.
    ///
    /// # Errors
    /// As [`Arch::lower`].
    fn thunk(&self, instruction: &[u8], links: &ThunkLinks<'_>) -> Result<Thunk, String>;

    /// Whether a thunk with two addresses has each in the place of the constant that it is for: the first is put into
    /// the register by which it accesses memory, the second into the one that it does something with there. `loads`: the
    /// fields of the instructions that put them there.
    fn thunk_keeps_apart(&self, thunk: &[u8], loads: [u64; 2]) -> bool;

    /// Whether what the instruction at `start` makes of a 32-bit constant is a whole address to all that use it, as far
    /// as can be seen.
    ///
    /// # Errors
    /// What uses it otherwise, or that nothing is seen to use it.
    fn is_address(&self, code: &dyn CodeView, start: u64) -> Result<(), String>;

    /// What is reached from the 64-bit constant of the instruction at `start` by adding a number, as far as can be seen.
    fn distances(&self, code: &dyn CodeView, start: u64) -> Vec<Distance>;

    /// Whether a register that belongs to nobody between functions is free behind the indirect jump at `start`, wherever
    /// that leads. `leaves`: also if that is another function, unless this one has set it.
    fn frees_register(&self, code: &dyn CodeView, start: u64, leaves: bool) -> bool;

    /// What a function takes for granted of the low bits of the object's seeds, which are sorted by address. `entries` is
    /// where it begins, and where its parts do. What cannot be followed needs all bits.
    fn alignment_needs(&self, code: &dyn CodeView, entries: &[u64], seeds: &[Seed]) -> Vec<AlignmentNeed>;

    /// The calls in those functions of which the code tells that they never return.
    fn dead_ends(&self, code: &dyn CodeView, functions: &[Range<u64>]) -> BTreeSet<u64>;

    /// Whether an instruction adds what another one, of the same length, combines by `or`, and is the same otherwise.
    fn adds_instead(&self, or: &[u8], add: &[u8]) -> bool;

    /// The distances from the thread pointer to thread-local variables of the process that stand as numbers in a function,
    /// in the order of the code; `relocated` as in [`Arch::is_address`].
    fn thread_local_offsets(
        &self,
        code: &[u8],
        function: Range<u64>,
        relocated: &dyn Fn(u64, u64) -> bool,
    ) -> Vec<ThreadLocalOffset>;

    /// Whether an instruction computes an address without accessing memory, and keeps fewer than 64 bits of it.
    fn cuts_address(&self, instruction: &[u8]) -> bool;

    /// Whether an instruction is a call or jump to an address that it reads.
    fn leaves(&self, instruction: &[u8]) -> bool;

    /// Whether two instructions, one behind the other, store constants of 32 bits into one word of 64, the first into
    /// its low half and the second into its high half, or the other way round if `high_first`.
    fn store_halves(&self, first: &[u8], second: &[u8], high_first: bool) -> bool;

    /// The stack pointer's number in call frame information.
    fn stack_pointer(&self) -> gimli::Register;

    /// Where the note about a thread in a core file (`struct elf_prstatus`) has the thread's stack pointer, in 8 bytes.
    fn stack_pointer_in_core(&self) -> usize;

    /// Where a thread has the static block of thread-local variables of a library: `offset` bytes from its control block.
    fn static_block(&self, control: u64, offset: u64) -> u64;

    /// The function that runs a fill program (see [`crate::fill_program`]) whose address it is given, and returns
    /// its answer.
    /// `failure` names `write` and `abort`; without it the program has no [`crate::fill_program::FillOp::Check`].
    /// `stack` is the greatest number of operands that any program has on its stack.
    fn interpreter(&self, stack: usize, failure: Option<(SymbolRef, SymbolRef)>) -> Fragment;

    /// The function that startup code calls: hands `program` to `interpreter`. Begins with a landing pad if
    /// asked for.
    fn initializer(&self, program: Referent, interpreter: Referent, landing_pad: bool) -> Fragment;

    /// The function to be given to `dl_iterate_phdr` with a record of the library that is wanted (see
    /// [`LIBRARY_BASE`]): returns 0 unless the library it is shown has that build-id.
    fn find_library(&self, landing_pad: bool) -> Fragment;

    /// The same for a program that may be tried again: hands `program` and the word `done` to `guard`, and returns what
    /// that returns (see [`crate::fill_program::answer`]).
    fn guarded_initializer(
        &self,
        program: Referent,
        done: Referent,
        guard: Referent,
        landing_pad: bool,
    ) -> Fragment;

    /// The function that runs a program unless its word says that it is done, one thread at a time: others wait, and
    /// the thread that is running one is told that it is not ready. `lock` is a word for all objects of a link, zero
    /// at first; `yields` is a function, null or not, that gives the processor to other threads. The process must have a
    /// thread pointer.
    fn guard(&self, interpreter: Referent, lock: Referent, yields: SymbolRef) -> Fragment;

    /// The function that calls all initializers of an executable or library and returns how many are not ready: `start`
    /// and `stop` bound an array of 32-bit distances to them, each from its own place.
    fn initialize_all(&self, start: SymbolRef, stop: SymbolRef, landing_pad: bool) -> Fragment;

    /// A function that jumps to the address in a slot, all registers intact.
    fn stub(&self, slot: Referent, landing_pad: bool) -> Fragment;

    /// The common part of the unwind table of all [`Fragment`]s: the state at a function's first instruction.
    fn common_information(&self) -> gimli::write::CommonInformationEntry;
}
