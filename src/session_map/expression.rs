//! Expressions: what a value, a global or an import is, and how to make it again in another process.
//!
//! An [`Expression`] is plain data, as the session map gives it. Names of values are already ids.

/// The index of a value in [`crate::session_map::SessionMap::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub u32);

/// What a called function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Returns {
    /// 64 bits; null fails the fill unless it is allowed.
    Pointer,
    /// 32 bits, sign-extended.
    Int32,
    /// Nothing; the expression's value is 0.
    Void,
}

/// An expression of the session map.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// The address of an external symbol plus an offset.
    Symbol {
        /// Its name.
        name: String,
        /// Bytes added.
        offset: i64,
    },
    /// The pointer stored at an address.
    Load {
        /// The address.
        address: Box<Expression>,
        /// Bytes added to it.
        offset: i64,
        /// Null is a result, not a failure.
        nullable: bool,
    },
    /// What a function returns.
    Call {
        /// The function's address.
        function: Box<Expression>,
        /// Its arguments: up to 6 integers or pointers and 8 `Float64`, in order.
        arguments: Vec<Expression>,
        /// What it returns.
        returns: Returns,
        /// Null is a result, not a failure.
        nullable: bool,
    },
    /// The address of NUL-terminated bytes (given here without the NUL, and none inside).
    String(String),
    /// The address of a copy of bytes.
    Bytes(Box<Bytes>),
    /// A 64-bit integer; negative numbers and those from 2^63 up have the same bits.
    Int(u64),
    /// A floating-point number, by its bits; an argument of this kind goes to a vector register.
    Float64(u64),
    /// An expression plus a number.
    Add(Box<Expression>, i64),
    /// Shifted right, zeros come in; 0 to 63.
    Shr(Box<Expression>, u8),
    /// Shifted left; 0 to 63.
    Shl(Box<Expression>, u8),
    /// Two's complement.
    Neg(Box<Expression>),
    /// All bits inverted.
    Not(Box<Expression>),
    /// A value, made once.
    Value(ValueId),
    /// Whatever the session map says that address is.
    Address(u64),
}

/// A block of bytes of the session, copied into the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Bytes {
    /// Its contents.
    pub data: Vec<u8>,
    /// Alignment in bytes, a power of two, at least 64 unless the map says otherwise.
    pub align: u64,
    /// The program may write to it; then no two expressions share it.
    pub writable: bool,
    /// Pointers stored in it: offset, and what goes there. By offset, not overlapping, inside `data`.
    pub words: Vec<(u64, Expression)>,
}

impl Expression {
    /// Text.
    pub fn text(&self, _values: &[super::Value]) -> String {
        String::new()
    }
}
