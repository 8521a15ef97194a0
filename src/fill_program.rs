//! The program of the initializer: what is computed and where it goes, as a list of operations of a stack
//! machine, and its encoding, which [`crate::arch::Arch::interpreter`] runs. The same on every machine.
//!
//! The encoding is a row of little-endian 32-bit words. A word holds an [`Opcode`] in its low 8 bits and a
//! signed number in the other 24; opcodes below [`Opcode::FIRST_WITHOUT_ADDRESS`] are followed by a word
//! with the distance from that word to what it refers to. Operations that are rare or have large numbers are
//! put together from others, which keeps every machine's interpreter small.

use crate::arch::Referent;
use crate::edits::{NewRelocation, SymbolRef};
use crate::reloc::RelocKind;
use crate::session_map::Returns;

/// One operation. Operands are on a stack of 64-bit words; a referent must be near (within 2 GiB).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FillOp {
    /// Pushes an address.
    PushAddress(Referent),
    /// Pushes the base of the global offset table, whose symbol this is.
    PushTable(SymbolRef),
    /// Pushes the word at an address.
    PushWord(Referent),
    /// Pushes a number.
    PushInt(u64),
    /// Replaces the top by the word at top + offset.
    Load(i64),
    /// Replaces the top by top + number.
    Add(i64),
    /// Pops the top and adds it to the new top.
    AddPopped,
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
        /// How many arguments, at most 14: 6 integers or pointers and 8 floating-point.
        arguments: u8,
        /// Which of them are floating-point.
        floats: u16,
        /// What is pushed.
        returns: Returns,
    },
    /// If the top is zero, writes the message (length in 32 bits, then text) to standard error and aborts.
    Check(Referent),
    /// If the top is zero, ends the program with that answer; keeps it.
    Require(u8),
    /// If the word at an address is zero, does all this, which leaves the stack as it was.
    Once(Referent, Vec<FillOp>),
    /// Pushes the word with that index on the stack, 0 being the first that was pushed.
    PushResult(u32),
    /// Stores the top at an address, and keeps it.
    StoreKeep(Referent),
    /// Pops the top and stores it at an address.
    Store(Referent),
    /// Pops the top and stores it at the address that the word at the referent holds, plus a number.
    StoreThrough(Referent, i64),
    /// Pops the top.
    Drop,
    /// Pops a destination and below it a function, calls the function with each of the texts and stores what it returns.
    /// If that is zero, writes the message's first line, the text and the second line (each line's length in 32 bits, then
    /// the line) to standard error and aborts.
    CallTexts {
        /// What is written.
        message: Referent,
        /// By how many words the destination moves on before the store, and a text of at most [`TEXT_LIMIT`] bytes without NUL.
        texts: Vec<(u8, Box<str>)>,
    },
}

/// The longest text of [`FillOp::CallTexts`], in bytes: with its NUL its length fits one.
pub const TEXT_LIMIT: usize = 254;

/// An operation of the encoded program. `n` is the word's number, `a` the address that the next word leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Pushes `a`.
    PushAddress,
    /// Pops, stores at `a`.
    Store,
    /// Pushes the word at `a`.
    PushWord,
    /// Stores the top at `a`.
    StoreKeep,
    /// Skips as many bytes as the next word says if the word at `a` is not zero.
    Once,
    /// Calls a function with each of the texts that follow, the message for failures being at `a`: a row of length (NUL
    /// included), words to move on, text and NUL, ended by a length of zero and filled up to a whole word.
    CallTexts,
    /// If the top is zero, writes the message at `a` and aborts.
    Check,
    /// Calls; `n` is put together by [`call_number`].
    Call,
    /// Pushes `n`.
    PushInt,
    /// Replaces the top by the word at top + `n`.
    Load,
    /// Adds `n` to the top.
    Add,
    /// Pops.
    Drop,
    /// Pushes the 64-bit number in the next two words, low one first.
    PushLong,
    /// Pops, adds that to the new top.
    AddPopped,
    /// Pops an address, pops a word, stores the word at the address.
    StorePopped,
    /// Shifts the top right by `n`, zeros coming in.
    Shr,
    /// Shifts the top left by `n`.
    Shl,
    /// Negates the top.
    Neg,
    /// Inverts the top.
    Not,
    /// If the top is zero, ends the program with the answer `n`.
    Require,
    /// Pushes the word with the index `n` from the bottom of the stack.
    PushResult,
    /// Ends the program with the answer `n`.
    End,
}

/// What the interpreter answers.
pub mod answer {
    /// Nothing was done: what the program needs is not there yet.
    pub const NOT_READY: u8 = 0;
    /// Everything was done.
    pub const DONE: u8 = 1;
    /// Nothing was done, and another program of the same object answers for it.
    pub const AFTER_ANOTHER: u8 = 2;
}

impl Opcode {
    /// From this one on no address follows.
    pub const FIRST_WITHOUT_ADDRESS: Opcode = Opcode::Call;
}

/// Where the parts of the number of [`Opcode::Call`] lie, as (first bit, bits).
pub mod call_number {
    /// What is pushed: [`POINTER`], [`INT32`] or [`VOID`].
    pub const RETURNS: (u32, u32) = (0, 2);
    /// How many integer arguments.
    pub const INTEGERS: (u32, u32) = (2, 3);
    /// How many floating-point arguments.
    pub const FLOATS: (u32, u32) = (5, 4);
    /// Which are floating-point; the lowest bit is the last argument's, the first to be popped.
    pub const MASK: (u32, u32) = (9, 14);

    /// Pushes all 64 bits of the result.
    pub const POINTER: u32 = 0;
    /// Pushes the low 32 bits, sign-extended.
    pub const INT32: u32 = 1;
    /// Pushes 0.
    pub const VOID: u32 = 2;
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

/// Encodes a program. No operation may pop more than was pushed, and limits of [`FillOp`] must be kept.
pub fn encode(operations: &[FillOp]) -> Encoded {
    let mut program = Encoder::default();
    for operation in operations {
        program.operation(operation);
    }
    program.word(Opcode::End, i32::from(answer::DONE));
    Encoded { data: program.data, relocations: program.relocations, stack: program.deepest }
}

#[derive(Default)]
struct Encoder {
    data: Vec<u8>,
    relocations: Vec<NewRelocation>,
    depth: usize,
    deepest: usize,
}

impl Encoder {
    fn operation(&mut self, operation: &FillOp) {
        match *operation {
            FillOp::PushAddress(referent) => self.with_address(Opcode::PushAddress, referent, 0, 1),
            FillOp::PushTable(symbol) => {
                self.with_field(Opcode::PushAddress, (symbol, 0), RelocKind::GotBase32);
                self.effect(0, 1);
            }
            FillOp::PushWord(referent) => self.with_address(Opcode::PushWord, referent, 0, 1),
            FillOp::PushInt(number) => self.push_int(number),
            FillOp::Load(offset) => match short(offset) {
                Some(offset) => self.plain(Opcode::Load, offset, 1, 1),
                None => {
                    self.add(offset);
                    self.plain(Opcode::Load, 0, 1, 1);
                }
            },
            FillOp::Add(number) => self.add(number),
            FillOp::AddPopped => self.plain(Opcode::AddPopped, 0, 2, 1),
            FillOp::Shr(number) => self.shift(Opcode::Shr, number),
            FillOp::Shl(number) => self.shift(Opcode::Shl, number),
            FillOp::Neg => self.plain(Opcode::Neg, 0, 1, 1),
            FillOp::Not => self.plain(Opcode::Not, 0, 1, 1),
            FillOp::Call { arguments, floats, returns } => self.call(arguments, floats, returns),
            FillOp::Check(message) => self.with_address(Opcode::Check, message, 1, 1),
            FillOp::Require(answer) => self.plain(Opcode::Require, answer.into(), 1, 1),
            FillOp::PushResult(index) => self.plain(Opcode::PushResult, index as i32, 0, 1),
            FillOp::Once(done, ref body) => self.once(done, body),
            FillOp::StoreKeep(referent) => self.with_address(Opcode::StoreKeep, referent, 1, 1),
            FillOp::Store(referent) => self.with_address(Opcode::Store, referent, 1, 0),
            FillOp::StoreThrough(referent, number) => {
                self.with_address(Opcode::PushWord, referent, 0, 1);
                if number != 0 {
                    self.add(number);
                }
                self.plain(Opcode::StorePopped, 0, 2, 0);
            }
            FillOp::Drop => self.plain(Opcode::Drop, 0, 1, 0),
            FillOp::CallTexts { message, ref texts } => {
                self.with_address(Opcode::CallTexts, message, 2, 0);
                self.texts(texts);
            }
        }
    }

    fn texts(&mut self, texts: &[(u8, Box<str>)]) {
        for (words, text) in texts {
            debug_assert!(text.len() <= TEXT_LIMIT && !text.contains('\0'), "{text:?}");
            self.data.extend([text.len() as u8 + 1, *words]);
            self.data.extend_from_slice(text.as_bytes());
            self.data.push(0);
        }
        self.data.push(0);
        self.data.resize(self.data.len().next_multiple_of(4), 0);
    }

    fn once(&mut self, done: Referent, body: &[FillOp]) {
        self.with_address(Opcode::Once, done, 0, 0);
        let field = self.data.len();
        self.data.extend([0; 4]);
        let depth = self.depth;
        body.iter().for_each(|operation| self.operation(operation));
        debug_assert_eq!(self.depth, depth);
        let skipped = (self.data.len() - field - 4) as u32;
        self.data[field..field + 4].copy_from_slice(&skipped.to_le_bytes());
    }

    fn push_int(&mut self, number: u64) {
        match short(number as i64) {
            Some(number) => self.plain(Opcode::PushInt, number, 0, 1),
            None => {
                self.plain(Opcode::PushLong, 0, 0, 1);
                self.data.extend(number.to_le_bytes());
            }
        }
    }

    fn add(&mut self, number: i64) {
        match short(number) {
            Some(number) => self.plain(Opcode::Add, number, 1, 1),
            None => {
                self.push_int(number as u64);
                self.plain(Opcode::AddPopped, 0, 2, 1);
            }
        }
    }

    fn shift(&mut self, opcode: Opcode, number: u8) {
        debug_assert!(number < 64, "{number}");
        self.plain(opcode, i32::from(number & 63), 1, 1);
    }

    fn call(&mut self, arguments: u8, floats: u16, returns: Returns) {
        use call_number::{FLOATS, INT32, INTEGERS, MASK, POINTER, RETURNS, VOID};
        let vector = floats.count_ones();
        let integer = u32::from(arguments).saturating_sub(vector);
        debug_assert!(integer <= 6 && vector <= 8 && u32::from(floats) >> arguments == 0);
        let mask =
            u32::from(floats.reverse_bits()).checked_shr(16u32.saturating_sub(arguments.into())).unwrap_or(0);
        let returns = match returns {
            Returns::Pointer => POINTER,
            Returns::Int32 => INT32,
            Returns::Void => VOID,
        };
        let parts = [(RETURNS, returns), (INTEGERS, integer), (FLOATS, vector), (MASK, mask)];
        let number = parts.iter().fold(0, |all, ((first, bits), part)| {
            debug_assert!(part >> bits == 0);
            all | (part & ((1 << bits) - 1)) << first
        });
        self.plain(Opcode::Call, number as i32, usize::from(arguments) + 1, 1);
    }

    fn plain(&mut self, opcode: Opcode, number: i32, pops: usize, pushes: usize) {
        debug_assert!(opcode as u8 >= Opcode::FIRST_WITHOUT_ADDRESS as u8);
        self.word(opcode, number);
        self.effect(pops, pushes);
    }

    fn with_address(&mut self, opcode: Opcode, referent: Referent, pops: usize, pushes: usize) {
        self.with_field(opcode, referent, RelocKind::Pc32);
        self.effect(pops, pushes);
    }

    fn with_field(&mut self, opcode: Opcode, (symbol, addend): Referent, kind: RelocKind) {
        debug_assert!((opcode as u8) < Opcode::FIRST_WITHOUT_ADDRESS as u8);
        self.word(opcode, 0);
        // The distance counts from the field itself, so the relocation needs no addend of its own.
        self.relocations.push(NewRelocation { offset: self.data.len() as u64, kind, symbol, addend });
        self.data.extend([0; 4]);
    }

    fn word(&mut self, opcode: Opcode, number: i32) {
        self.data.extend((u32::from(opcode as u8) | (number as u32) << 8).to_le_bytes());
    }

    fn effect(&mut self, pops: usize, pushes: usize) {
        debug_assert!(pops <= self.depth, "pops {pops} of {}", self.depth);
        self.depth = self.depth.saturating_sub(pops).saturating_add(pushes);
        self.deepest = self.deepest.max(self.depth);
    }
}

/// A number that fits the word with the opcode.
fn short(number: i64) -> Option<i32> {
    let number = i32::try_from(number).ok()?;
    (number << 8 >> 8 == number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::UndefinedId;

    const A: SymbolRef = SymbolRef::Undefined(UndefinedId(7));

    fn words(operations: &[FillOp]) -> Vec<u32> {
        let data = encode(operations).data;
        data.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    const END: u32 = Opcode::End as u32 | 1 << 8;

    #[test]
    fn numbers_take_the_short_form_where_they_fit() {
        let push = |number: i64| words(&[FillOp::PushInt(number as u64)]);
        let (int, long) = (Opcode::PushInt as u32, Opcode::PushLong as u32);
        assert_eq!(push(5), [int | 5 << 8, END]);
        assert_eq!(push(-1), [int | 0xffff_ff00, END]);
        assert_eq!(push(0x7f_ffff), [int | 0x7fff_ff00, END]);
        assert_eq!(push(-0x80_0000), [int | 0x8000_0000, END]);
        assert_eq!(push(0x80_0000), [long, 0x80_0000, 0, END]);
        assert_eq!(push(-0x80_0001), [long, 0xff7f_ffff, 0xffff_ffff, END]);
        assert_eq!(push(i64::MIN), [long, 0, 0x8000_0000, END]);
        let wide = [FillOp::PushInt(0), FillOp::Load(1 << 40)];
        let (add, load) = (Opcode::AddPopped as u32, Opcode::Load as u32);
        assert_eq!(words(&wide), [int, long, 0, 0x100, add, load, END]);
        assert_eq!(encode(&wide).stack, 2);
    }

    #[test]
    fn addresses_are_distances_from_their_field() {
        let encoded = encode(&[FillOp::PushAddress((A, 16)), FillOp::StoreThrough((A, -8), 24)]);
        let relocation = |offset, addend| NewRelocation { offset, kind: RelocKind::Pc32, symbol: A, addend };
        assert_eq!(encoded.relocations, [relocation(4, 16), relocation(12, -8)]);
        assert_eq!(encoded.data.len(), 28);
        assert_eq!(encoded.stack, 2);
    }

    #[test]
    fn the_table_is_found_as_code_finds_it() {
        let encoded = encode(&[FillOp::PushInt(0), FillOp::PushTable(A), FillOp::Neg, FillOp::AddPopped]);
        let relocation = NewRelocation { offset: 8, kind: RelocKind::GotBase32, symbol: A, addend: 0 };
        assert_eq!((encoded.relocations, encoded.stack), (vec![relocation], 2));
    }

    #[test]
    fn calls_say_where_their_arguments_go() {
        let mut program = vec![FillOp::PushInt(0); 4];
        // (integer, double, double) -> int32: the mask has the last argument lowest
        program.push(FillOp::Call { arguments: 3, floats: 0b110, returns: Returns::Int32 });
        let call = Opcode::Call as u32 | (1 | 1 << 2 | 2 << 5 | 0b011 << 9) << 8;
        assert_eq!(words(&program)[4], call);
        assert_eq!(encode(&program).stack, 4);

        let none = [FillOp::PushInt(0), FillOp::Call { arguments: 0, floats: 0, returns: Returns::Void }];
        assert_eq!(words(&none)[1], Opcode::Call as u32 | 2 << 8);
    }

    #[test]
    fn what_is_done_once_is_skipped_whole() {
        let body = vec![FillOp::PushInt(1), FillOp::Store((A, 8))];
        let encoded = encode(&[FillOp::Once((A, 8), body.clone()), FillOp::PushInt(2), FillOp::Require(0)]);
        let skipped = encode(&body).data.len() as u32 - 4;
        let words: Vec<u32> =
            encoded.data.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        assert_eq!(words[..3], [Opcode::Once as u32, 0, skipped]);
        assert_eq!(words[3 + skipped as usize / 4], Opcode::PushInt as u32 | 2 << 8);
        let offsets: Vec<u64> = encoded.relocations.iter().map(|r| r.offset).collect();
        assert_eq!((offsets, encoded.stack), (vec![4, 20], 1));
    }

    #[test]
    fn texts_stand_in_the_program() {
        let texts = vec![(0, "ab".into()), (255, "c".into())];
        let pushes = [FillOp::PushInt(1), FillOp::PushAddress((A, 0))];
        let encoded = encode(&[&pushes[..], &[FillOp::CallTexts { message: (A, 4), texts }]].concat());
        let row = b"\x03\0ab\0\x02\xffc\0\0\0\0";
        assert_eq!(
            encoded.data[12..],
            [&[Opcode::CallTexts as u8, 0, 0, 0, 0, 0, 0, 0], &row[..], &END.to_le_bytes()].concat()
        );
        assert_eq!((encoded.relocations[1].offset, encoded.relocations[1].addend, encoded.stack), (16, 4, 2));
    }

    #[test]
    fn an_empty_program_ends() {
        let encoded = encode(&[]);
        assert_eq!((encoded.data, encoded.stack), (END.to_le_bytes().to_vec(), 0));
    }
}
