//! The program of the initializer: what is computed and where it goes, as a list of operations of a stack
//! machine, and its encoding, which [`crate::arch::Arch::interpreter`] runs. The same on every machine.

use crate::arch::Referent;
use crate::edits::NewRelocation;
use crate::session_map::Returns;

/// One operation. Operands are on a stack of 64-bit words; a referent must be near (within 2 GiB).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FillOp {
    /// Pushes an address.
    PushAddress(Referent),
    /// Pushes the word at an address.
    PushWord(Referent),
    /// Pushes a number.
    PushInt(u64),
    /// Replaces the top by the word at top + offset.
    Load(i64),
    /// Replaces the top by top + number.
    Add(i64),
    /// Replaces the top by top >> number, zeros coming in.
    Shr(u8),
    /// Replaces the top by top << number.
    Shl(u8),
    /// Replaces the top by its two's complement.
    Neg,
    /// Inverts the top.
    Not,
    /// Pops the arguments and below them the function, calls it, pushes what it returned.
    /// Bit `i` of `floats` says that argument `i` goes to a vector register.
    Call {
        /// How many arguments, at most 14.
        arguments: u8,
        /// Which of them are floating-point.
        floats: u16,
        /// What is pushed.
        returns: Returns,
    },
    /// If the top is zero, writes the message (length in 32 bits, then text) to standard error and aborts.
    Check(Referent),
    /// Stores the top at an address, and keeps it.
    StoreKeep(Referent),
    /// Pops the top and stores it at an address.
    Store(Referent),
    /// Pops the top and stores it at the address that the word at the referent holds, plus a number.
    StoreThrough(Referent, i64),
    /// Pops the top.
    Drop,
}

/// An encoded program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Its bytes, ended; the alignment is 4.
    pub data: Vec<u8>,
    /// Their relocations, sorted by offset.
    pub relocations: Vec<NewRelocation>,
    /// The greatest number of words on the stack.
    pub stack: usize,
}

/// Encodes a program.
pub fn encode(_operations: &[FillOp]) -> Encoded {
    Encoded {
        data: Vec::new(),
        relocations: Vec::new(),
        stack: 0,
    }
}
