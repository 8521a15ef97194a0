//! Expressions: what a value, a global or an import is, and how to make it again in another process.
//!
//! An [`Expression`] is plain data, as the session map gives it. Names of values are already ids. Here is also
//! how messages write one, and the check that none needs itself.

use std::fmt::{self, Write};

use super::{Meaning, SessionMap, Value};

/// The index of a value in [`crate::session_map::SessionMap::values`]. In `after`, ids behind the last value are
/// the entries of [`crate::session_map::SessionMap::before`].
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// The low 32 bits, zeros above.
    Low(Box<Expression>),
    /// The first minus the second.
    Difference(Box<Expression>, Box<Expression>),
    /// A value, made once.
    Value(ValueId),
    /// Whatever the session map says that address is.
    Address(u64),
    /// An address in a program or library that is found by its build-id. Session maps have no form for it:
    /// `address` comes to it.
    Anchored(Anchor),
}

/// A place in one build of a program or library, found without any symbol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Anchor {
    /// What people call the file: `DT_SONAME`, else the file's name.
    pub file: String,
    /// Its build-id, in lower-case hexadecimal, two digits a byte.
    pub build_id: String,
    /// Bytes from the lowest address at which it is loaded.
    pub offset: u64,
}

impl Anchor {
    /// The bytes of the build-id.
    pub fn id(&self) -> Vec<u8> {
        let digit = |d: u8| (d as char).to_digit(16).unwrap_or_default() as u8;
        self.build_id
            .as_bytes()
            .chunks(2)
            .map(|d| d.iter().fold(0, |byte, d| byte << 4 | digit(*d)))
            .collect()
    }
}

/// One operation on 64 bits, by which a compiler makes a constant of its own from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Plus a number: tag bits.
    Add(i64),
    /// Shifted right, zeros come in; 1 to 63.
    Shr(u8),
    /// Shifted left; 1 to 63.
    Shl(u8),
    /// Two's complement.
    Neg,
    /// All bits inverted.
    Not,
    /// The low 32 bits, zeros above.
    Low,
}

impl Step {
    /// What it makes of a number.
    pub fn of(self, number: u64) -> u64 {
        match self {
            Step::Add(summand) => number.wrapping_add(summand as u64),
            Step::Shr(count) => number.wrapping_shr(count.into()),
            Step::Shl(count) => number.wrapping_shl(count.into()),
            Step::Neg => number.wrapping_neg(),
            Step::Not => !number,
            Step::Low => u64::from(number as u32),
        }
    }

    fn expression(self, base: Expression) -> Expression {
        let base = Box::new(base);
        match self {
            Step::Add(summand) => Expression::Add(base, summand),
            Step::Shr(count) => Expression::Shr(base, count),
            Step::Shl(count) => Expression::Shl(base, count),
            Step::Neg => Expression::Neg(base),
            Step::Not => Expression::Not(base),
            Step::Low => Expression::Low(base),
        }
    }
}

impl Meaning {
    /// The expression that yields it; `None`: it is unresolved.
    pub fn expression(&self, map: &SessionMap) -> Option<Expression> {
        Some(match self {
            Meaning::Constant(index) => map.constants.get(*index)?.1.clone(),
            Meaning::Value(id, 0) => Expression::Value(*id),
            Meaning::Value(id, offset) => Expression::Add(Box::new(Expression::Value(*id)), *offset),
            Meaning::Symbol { name, offset, .. } => {
                Expression::Symbol { name: name.clone(), offset: *offset }
            }
            Meaning::Anchored { anchor, .. } => Expression::Anchored(anchor.clone()),
            Meaning::Derived { base, step } => step.expression(base.expression(map)?),
            Meaning::Difference { to, from } => {
                Expression::Difference(Box::new(to.expression(map)?), Box::new(from.expression(map)?))
            }
            Meaning::Unresolved(_) => return None,
        })
    }

    /// Whether it is the very address of something, or a number that the session map declares.
    pub fn is_exact(&self) -> bool {
        match self {
            Meaning::Constant(_) => true,
            Meaning::Value(_, offset) | Meaning::Symbol { offset, .. } => *offset == 0,
            Meaning::Anchored { .. }
            | Meaning::Derived { .. }
            | Meaning::Difference { .. }
            | Meaning::Unresolved(_) => false,
        }
    }

    /// How messages write it: `table + 8`, `-table`, or why it is unresolved.
    pub fn text(&self, map: &SessionMap) -> String {
        match self {
            Meaning::Unresolved(reason) => reason.clone(),
            meaning => meaning.expression(map).map_or_else(String::new, |e| e.text(&map.values)),
        }
    }
}

/// A block of bytes of the session, copied into the object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

/// Longer texts of expressions and strings are cut off: messages are for reading.
const TEXT_LIMIT: usize = 200;
const STRING_LIMIT: usize = 40;

/// Levels of expressions in expressions, and through values in their values: stages may recurse that deep.
pub(super) const NESTING_LIMIT: usize = 1000;

impl Expression {
    /// The expression as messages write it, in C's notation: `jl_symbol("foo")`, `*jl_true`, `table >> 3`.
    /// `values` are the map's.
    pub fn text(&self, values: &[Value]) -> String {
        let mut text = Limited(String::new());
        match self.write(&mut text, values, false) {
            Ok(()) => text.0,
            Err(fmt::Error) => text.0 + "…",
        }
    }

    /// Writes the expression; `operand`: in parentheses unless it binds tighter than a prefix.
    fn write(&self, out: &mut Limited, values: &[Value], operand: bool) -> fmt::Result {
        let binary = match self {
            Expression::Symbol { offset, .. } => *offset != 0,
            Expression::Add(..) | Expression::Shr(..) | Expression::Shl(..) | Expression::Difference(..) => {
                true
            }
            _ => false,
        };
        if binary && operand {
            out.write_char('(')?;
        }
        match self {
            Expression::Symbol { name, offset } => {
                out.write_str(name)?;
                write_offset(out, *offset)?;
            }
            Expression::Load { address, offset: 0, .. } => {
                out.write_char('*')?;
                address.write(out, values, true)?;
            }
            Expression::Load { address, offset, .. } => {
                out.write_str("*(")?;
                address.write(out, values, true)?;
                write_offset(out, *offset)?;
                out.write_char(')')?;
            }
            Expression::Call { function, arguments, .. } => {
                match function.as_ref() {
                    Expression::Symbol { name, offset: 0 } => out.write_str(name)?,
                    other => {
                        out.write_char('(')?;
                        other.write(out, values, false)?;
                        out.write_char(')')?;
                    }
                }
                out.write_char('(')?;
                for (i, argument) in arguments.iter().enumerate() {
                    if i > 0 {
                        out.write_str(", ")?;
                    }
                    argument.write(out, values, false)?;
                }
                out.write_char(')')?;
            }
            Expression::String(text) => {
                let shown: String = text.chars().take(STRING_LIMIT).collect();
                let cut = if shown.len() < text.len() { "…" } else { "" };
                write!(out, "{shown:?}{cut}")?;
            }
            Expression::Bytes(bytes) => write!(out, "<{} bytes>", bytes.data.len())?,
            Expression::Int(bits) => match *bits as i64 {
                small @ -0xffff..=0xffff => write!(out, "{small}")?,
                _ => write!(out, "{bits:#x}")?,
            },
            Expression::Float64(bits) => write!(out, "{:?}", f64::from_bits(*bits))?,
            Expression::Add(base, number) => {
                base.write(out, values, true)?;
                write_offset(out, *number)?;
            }
            Expression::Shr(base, count) => {
                base.write(out, values, true)?;
                write!(out, " >> {count}")?;
            }
            Expression::Shl(base, count) => {
                base.write(out, values, true)?;
                write!(out, " << {count}")?;
            }
            Expression::Neg(base) => {
                out.write_char('-')?;
                base.write(out, values, true)?;
            }
            Expression::Not(base) => {
                out.write_char('~')?;
                base.write(out, values, true)?;
            }
            Expression::Low(base) => {
                out.write_str("(uint32_t)")?;
                base.write(out, values, true)?;
            }
            Expression::Difference(to, from) => {
                to.write(out, values, false)?;
                out.write_str(" - ")?;
                from.write(out, values, true)?;
            }
            Expression::Value(id) => match values.get(id.0 as usize) {
                Some(value) => out.write_str(&value.name)?,
                None => out.write_str("<a result of `before`>")?,
            },
            Expression::Address(address) => write!(out, "{address:#x}")?,
            Expression::Anchored(Anchor { file, offset, .. }) => write!(out, "{file}+{offset:#x}")?,
        }
        if binary && operand {
            out.write_char(')')?;
        }
        Ok(())
    }

    /// Puts what the session map says of them in the place of addresses.
    pub fn resolve_addresses(&mut self, meaning: &dyn Fn(u64) -> Option<Expression>) {
        match self {
            Expression::Address(address) => {
                if let Some(expression) = meaning(*address) {
                    *self = expression;
                    self.resolve_addresses(meaning);
                }
            }
            Expression::Symbol { .. }
            | Expression::String(_)
            | Expression::Int(_)
            | Expression::Float64(_)
            | Expression::Value(_)
            | Expression::Anchored(_)
            // Its words are not in any text.
            | Expression::Bytes(_) => {}
            Expression::Call { function, arguments, .. } => {
                function.resolve_addresses(meaning);
                arguments.iter_mut().for_each(|argument| argument.resolve_addresses(meaning));
            }
            Expression::Load { address: base, .. }
            | Expression::Add(base, _)
            | Expression::Shr(base, _)
            | Expression::Shl(base, _)
            | Expression::Neg(base)
            | Expression::Not(base)
            | Expression::Low(base) => base.resolve_addresses(meaning),
            Expression::Difference(to, from) => {
                to.resolve_addresses(meaning);
                from.resolve_addresses(meaning);
            }
        }
    }

    /// The expressions directly inside.
    pub(super) fn operands(&self) -> Vec<&Expression> {
        match self {
            Expression::Symbol { .. }
            | Expression::String(_)
            | Expression::Int(_)
            | Expression::Float64(_)
            | Expression::Value(_)
            | Expression::Address(_)
            | Expression::Anchored(_) => Vec::new(),
            Expression::Load { address, .. } => vec![address],
            Expression::Call { function, arguments, .. } => {
                std::iter::once(function.as_ref()).chain(arguments).collect()
            }
            Expression::Bytes(bytes) => bytes.words.iter().map(|(_, word)| word).collect(),
            Expression::Add(base, _)
            | Expression::Shr(base, _)
            | Expression::Shl(base, _)
            | Expression::Neg(base)
            | Expression::Not(base)
            | Expression::Low(base) => vec![base],
            Expression::Difference(to, from) => vec![to, from],
        }
    }
}

fn write_offset(out: &mut Limited, offset: i64) -> fmt::Result {
    match offset {
        0 => Ok(()),
        1.. => write!(out, " + {offset}"),
        ..0 => write!(out, " - {}", offset.unsigned_abs()),
    }
}

/// Text that refuses to grow beyond what a message can hold.
struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT_LIMIT.saturating_sub(self.0.len());
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let whole = (0..=room).rev().find(|&end| text.is_char_boundary(end));
        self.0.push_str(&text[..whole.unwrap_or(0)]);
        Err(fmt::Error)
    }
}

/// Why the expressions of a map cannot be evaluated.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Circularity {
    /// These need each other, in this order, the last one the first.
    Cycle(Vec<usize>),
    /// This one leads through more than [`NESTING_LIMIT`] levels.
    Deep(usize),
}

/// Checks that no expression needs itself. `refers` says which other root an expression inside one stands for.
pub(super) fn check_circularity(
    roots: &[&Expression],
    refers: impl Fn(&Expression) -> Option<usize>,
) -> Result<(), Circularity> {
    // What each root refers to, and at which level of its own.
    let references = |root: usize| -> (usize, Vec<(usize, usize)>) {
        let (mut found, mut deepest) = (Vec::new(), 0);
        let mut pending = vec![(roots[root], 1)];
        while let Some((expression, level)) = pending.pop() {
            deepest = deepest.max(level);
            found.extend(refers(expression).map(|other| (other, level)));
            pending.extend(expression.operands().into_iter().map(|inner| (inner, level + 1)));
        }
        (deepest, found)
    };

    enum State {
        New,
        Open,
        Done(usize),
    }
    struct Visit {
        root: usize,
        depth: usize,
        references: Vec<(usize, usize)>,
        next: usize,
    }
    let visit = |root: usize| {
        let (depth, references) = references(root);
        Visit { root, depth, references, next: 0 }
    };

    // Depth first, on a stack of our own: a chain of values may be as long as the map.
    let mut states: Vec<State> = roots.iter().map(|_| State::New).collect();
    for start in 0..roots.len() {
        if !matches!(states[start], State::New) {
            continue;
        }
        states[start] = State::Open;
        let mut stack = vec![visit(start)];
        while let Some(top) = stack.last_mut() {
            let Some(&(other, level)) = top.references.get(top.next) else {
                if top.depth > NESTING_LIMIT {
                    return Err(Circularity::Deep(top.root));
                }
                states[top.root] = State::Done(top.depth);
                stack.pop();
                continue;
            };
            match states[other] {
                State::Done(depth) => {
                    top.depth = top.depth.max(level + depth);
                    top.next += 1;
                }
                State::New => {
                    states[other] = State::Open;
                    stack.push(visit(other));
                }
                State::Open => {
                    let from = stack.iter().position(|v| v.root == other).unwrap_or(0);
                    let mut cycle: Vec<usize> = stack[from..].iter().map(|v| v.root).collect();
                    cycle.push(other);
                    return Err(Circularity::Cycle(cycle));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, offset: i64) -> Box<Expression> {
        let name = name.to_owned();
        Box::new(Expression::Symbol { name, offset })
    }

    fn load(address: Box<Expression>, offset: i64) -> Expression {
        Expression::Load { address, offset, nullable: false }
    }

    fn call(function: Box<Expression>, arguments: Vec<Expression>) -> Expression {
        Expression::Call { function, arguments, returns: Returns::Pointer, nullable: false }
    }

    #[test]
    fn texts() {
        let value = Value {
            name: "sym_foo".into(),
            address: None,
            size: 0,
            header: 0,
            init: Expression::Int(1),
            align: 1,
            shared: false,
        };
        let bytes = Expression::Bytes(Box::new(Bytes {
            data: vec![0; 32],
            align: 64,
            writable: false,
            words: Vec::new(),
        }));
        let cases = [
            (call(symbol("jl_symbol", 0), vec![Expression::String("foo".into())]), r#"jl_symbol("foo")"#),
            (load(symbol("jl_true", 0), 0), "*jl_true"),
            (load(symbol("jl_true", 8), 0), "*(jl_true + 8)"),
            (load(symbol("t", 0), -8), "*(t - 8)"),
            (load(Box::new(load(symbol("t", 0), 0)), 16), "*(*t + 16)"),
            (Expression::Shr(symbol("table", 0), 3), "table >> 3"),
            (Expression::Shl(symbol("table", 4), 3), "(table + 4) << 3"),
            (Expression::Neg(Box::new(Expression::Add(symbol("a", 0), -1))), "-(a - 1)"),
            (Expression::Not(symbol("a", 0)), "~a"),
            (Expression::Low(symbol("a", 8)), "(uint32_t)(a + 8)"),
            (Expression::Difference(symbol("a", 8), symbol("b", -8)), "a + 8 - (b - 8)"),
            (Expression::Add(symbol("a", 0), i64::MIN), "a - 9223372036854775808"),
            (
                call(
                    Box::new(load(symbol("f", 0), 0)),
                    vec![
                        Expression::Int(u64::MAX),
                        Expression::Int(1 << 40),
                        Expression::Float64(1.5f64.to_bits()),
                    ],
                ),
                "(*f)(-1, 0x10000000000, 1.5)",
            ),
            (Expression::Value(ValueId(0)), "sym_foo"),
            (Expression::Value(ValueId(1)), "<a result of `before`>"),
            (Expression::Address(0x7f3a), "0x7f3a"),
            (bytes, "<32 bytes>"),
            (Expression::String("a\"b\n".into()), r#""a\"b\n""#),
        ];
        for (expression, text) in cases {
            assert_eq!(expression.text(std::slice::from_ref(&value)), text);
        }
    }

    #[test]
    fn texts_are_cut_off_between_characters() {
        let text = Expression::String("ä".repeat(100)).text(&[]);
        assert_eq!(text, format!("\"{}\"…", "ä".repeat(STRING_LIMIT)));
        let text = Expression::Symbol { name: "ä".repeat(1000), offset: 0 }.text(&[]);
        assert_eq!(text, "ä".repeat(TEXT_LIMIT / 2) + "…");
    }

    /// Roots that refer to others by number, through a load.
    fn check(references: &[&[u32]]) -> Result<(), Circularity> {
        let roots: Vec<Expression> = references
            .iter()
            .map(|r| call(symbol("f", 0), r.iter().map(|&i| Expression::Value(ValueId(i))).collect()))
            .collect();
        check_circularity(&roots.iter().collect::<Vec<_>>(), |expression| match expression {
            Expression::Value(id) => Some(id.0 as usize),
            _ => None,
        })
    }

    #[test]
    fn cycles_are_found() {
        assert_eq!(check(&[&[1, 2], &[2], &[3], &[]]), Ok(()));
        assert_eq!(check(&[&[0]]), Err(Circularity::Cycle(vec![0, 0])));
        assert_eq!(check(&[&[1], &[2], &[3, 1], &[]]), Err(Circularity::Cycle(vec![1, 2, 1])));
        assert_eq!(check(&[&[], &[0], &[3, 0], &[1, 2]]), Err(Circularity::Cycle(vec![2, 3, 2])));
    }

    #[test]
    fn long_chains_are_refused_whatever_their_order() {
        // Each root is two levels: the call and its argument, which is the next root.
        let chain = |n: u32| (0..n).map(|i| if i + 1 < n { vec![i + 1] } else { vec![] }).collect::<Vec<_>>();
        let run = |chain: Vec<Vec<u32>>| check(&chain.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(run(chain(499)), Ok(()));
        assert!(matches!(run(chain(100_000)), Err(Circularity::Deep(_))));
        let backwards: Vec<Vec<u32>> =
            (0..100_000).map(|i: u32| i.checked_sub(1).into_iter().collect()).collect();
        assert!(matches!(run(backwards), Err(Circularity::Deep(_))));
    }
}
