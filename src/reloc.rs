//! What a relocation means, whatever number its format and machine give it.
//!
//! The letters are the psABI's: `S` the symbol's value, `A` the addend, `P` the place, `G` the offset of the
//! symbol's entry in the global offset table, `GOT` that table's base, `L` the symbol's entry in the procedure
//! linkage table, `Z` the symbol's size. Numbers live in [`crate::format`] and nowhere else.

/// The value that a relocation computes, and the width of the field it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RelocKind {
    /// Nothing: the entry is a placeholder.
    None,
    /// `S + A`, 64 bits.
    Abs64,
    /// `S + A`, 32 bits, zero-extended when used.
    Abs32,
    /// `S + A`, 32 bits, sign-extended when used.
    Abs32Signed,
    /// `S + A`, 16 bits.
    Abs16,
    /// `S + A`, 8 bits.
    Abs8,
    /// `S + A - P`, 64 bits.
    Pc64,
    /// `S + A - P`, 32 bits.
    Pc32,
    /// `S + A - P`, 16 bits.
    Pc16,
    /// `S + A - P`, 8 bits.
    Pc8,
    /// `L + A - P`, 32 bits: the function, or an entry that jumps to it.
    Plt32,
    /// `L - GOT + A`, 64 bits.
    PltOff64,
    /// `G + A`, 32 bits: the table entry's offset in the table.
    Got32,
    /// `G + A`, 64 bits.
    Got64,
    /// `S + A - GOT`, 64 bits.
    GotOff64,
    /// `GOT + A - P`, 32 bits: no symbol, the table itself.
    GotBase32,
    /// `GOT + A - P`, 64 bits.
    GotBase64,
    /// `G + GOT + A - P`, 32 bits: the table entry, as an instruction addresses it.
    GotPc32,
    /// As [`RelocKind::GotPc32`]; the linker may rewrite the instruction, which has no REX prefix.
    GotPc32Relax,
    /// As [`RelocKind::GotPc32`]; the linker may rewrite the instruction, which has a REX prefix.
    GotPc32RelaxRex,
    /// `G + GOT + A - P`, 64 bits.
    GotPc64,
    /// `Z + A`, 32 bits.
    Size32,
    /// `Z + A`, 64 bits.
    Size64,
    /// Anything about thread-local storage; the number is the format's own, the field so many bytes wide.
    ThreadLocal(u32, u8),
    /// A number that this program does not know.
    Unknown(u32),
}

impl RelocKind {
    /// The field's width in bytes; `None` where nothing is written or nothing is known.
    pub fn width(self) -> Option<u64> {
        use RelocKind::*;
        match self {
            Abs64 | Pc64 | PltOff64 | Got64 | GotOff64 | GotBase64 | GotPc64 | Size64 => Some(8),
            Abs32 | Abs32Signed | Pc32 | Plt32 | Got32 | GotBase32 | GotPc32 | GotPc32Relax
            | GotPc32RelaxRex | Size32 => Some(4),
            Abs16 | Pc16 => Some(2),
            Abs8 | Pc8 => Some(1),
            ThreadLocal(_, width) => Some(width.into()),
            None | Unknown(_) => Option::None,
        }
    }

    /// Whether the field gets a distance from itself.
    pub fn counts_from_place(self) -> bool {
        use RelocKind::*;
        matches!(
            self,
            Pc64 | Pc32
                | Pc16
                | Pc8
                | Plt32
                | GotBase32
                | GotBase64
                | GotPc32
                | GotPc32Relax
                | GotPc32RelaxRex
                | GotPc64
        )
    }

    /// Whether the field receives an absolute address, which a position-independent output cannot have in code.
    pub fn is_absolute(self) -> bool {
        use RelocKind::*;
        matches!(self, Abs64 | Abs32 | Abs32Signed | Abs16 | Abs8)
    }
}
