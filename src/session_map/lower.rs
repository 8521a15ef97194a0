//! Expressions as they are written to expressions as the stages use them: names of values become ids, bytes are
//! fetched, and every limit that the format sets is checked where the entry can still be named.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::expression::{Bytes, Expression, ValueId};
use super::json::{BytesForm, Contents, FileSlice, Form, Object};
use super::{Files, Returns};
use crate::error::{Error, ErrorKind, Result};

/// What the psABI passes in registers: six integers and eight floating-point numbers.
const INTEGER_ARGUMENTS: usize = 6;
const FLOAT_ARGUMENTS: usize = 8;

/// The alignment that bytes have at least: a cache line, and what vector instructions ask for.
const LEAST_ALIGN: u64 = 64;
/// And at most: the output is padded to it, and linkers warn when a section asks for more than a page.
const MOST_ALIGN: u64 = 1 << 20;

/// Copies taken from one file may be this many times its size, or this large: a map of a few bytes must not
/// fill the memory by naming one file again and again.
const COPIES: u64 = 16;
const COPIES_FREE: u64 = 1 << 30;

/// Where an expression stands: `values[3].init.args[0]`.
pub(super) enum Path<'a> {
    Root(&'static str, usize),
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(list, index) => write!(f, "{list}[{index}]"),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What a name in `{"value": NAME}` can be.
#[derive(Debug, Clone, Copy)]
enum Named {
    Value(ValueId),
    /// The entry of `before` with that index.
    Result(usize),
}

/// A file that bytes are taken from, and how many have been.
struct Source {
    contents: Arc<[u8]>,
    taken: u64,
}

/// Turns what is written into expressions.
pub(super) struct Lowering<'a> {
    files: &'a dyn Files,
    names: HashMap<String, Named>,
    values: usize,
    results_allowed: bool,
    read: HashMap<PathBuf, Source>,
    map: String,
    folder: PathBuf,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(files: &'a dyn Files) -> Self {
        Lowering {
            files,
            names: HashMap::new(),
            values: 0,
            results_allowed: false,
            read: HashMap::new(),
            map: String::new(),
            folder: PathBuf::new(),
        }
    }

    /// From here on expressions are those of that map.
    pub(super) fn enter(&mut self, map: &str, folder: &std::path::Path) {
        self.map = map.to_owned();
        self.folder = folder.to_owned();
    }

    /// The id of the value of that name. All are declared before the first expression is looked at.
    pub(super) fn declare_value(&mut self, name: &str) -> ValueId {
        if let Some(Named::Value(id)) = self.names.get(name) {
            return *id;
        }
        let id = ValueId(u32::try_from(self.values).unwrap_or(u32::MAX));
        self.values += 1;
        self.names.insert(name.to_owned(), Named::Value(id));
        id
    }

    /// Names an entry of `before`.
    pub(super) fn declare_result(&mut self, name: &str, index: usize) {
        self.names.insert(name.to_owned(), Named::Result(index));
    }

    pub(super) fn is_value(&self, name: &str) -> bool {
        matches!(self.names.get(name), Some(Named::Value(_)))
    }

    /// Whether expressions may name results of `before`: those of `after` may.
    pub(super) fn allow_results(&mut self, allowed: bool) {
        self.results_allowed = allowed;
    }

    fn error(&self, path: &Path<'_>, message: impl fmt::Display) -> Error {
        Error::new(ErrorKind::SessionMap, &self.map, format!("{path}: {message}"))
    }

    /// The expression that is written at `path`.
    pub(super) fn lower(&mut self, form: Form, path: &Path<'_>) -> Result<Expression> {
        Ok(match form {
            Form::Symbol { name, offset } => {
                self.check_text("symbol", &name, path)?;
                Expression::Symbol { name, offset }
            }
            Form::Load { address, offset, nullable } => Expression::Load {
                address: self.inner(*address, &Path::Key(path, "load"))?,
                offset,
                nullable,
            },
            Form::Call { function, arguments, returns, nullable } => {
                self.call(*function, arguments, returns, nullable, path)?
            }
            Form::String(text) => {
                if text.contains('\0') {
                    return Err(self.error(path, "string: contains a NUL, which would end it; use `bytes`"));
                }
                Expression::String(text)
            }
            Form::Bytes(bytes) => Expression::Bytes(Box::new(self.bytes(*bytes, path)?)),
            Form::Int(bits) => Expression::Int(bits),
            Form::Float64(number) => Expression::Float64(number.to_bits()),
            Form::Add(base, number) => Expression::Add(self.operand(*base, path, "add")?, number),
            Form::Shr(base, count) => {
                Expression::Shr(self.operand(*base, path, "shr")?, self.count(count, path, "shr")?)
            }
            Form::Shl(base, count) => {
                Expression::Shl(self.operand(*base, path, "shl")?, self.count(count, path, "shl")?)
            }
            Form::Neg(base) => Expression::Neg(self.inner(*base, &Path::Key(path, "neg"))?),
            Form::Not(base) => Expression::Not(self.inner(*base, &Path::Key(path, "not"))?),
            Form::Value(name) => match self.names.get(&name) {
                Some(Named::Value(id)) => Expression::Value(*id),
                Some(Named::Result(index)) if self.results_allowed => {
                    let id = u32::try_from(self.values + index);
                    Expression::Value(ValueId(id.unwrap_or(u32::MAX)))
                }
                Some(Named::Result(_)) => {
                    let message =
                        format!("value: {name:?} is a result of `before`, which only `after` can use");
                    return Err(self.error(path, message));
                }
                None => return Err(self.error(path, format!("value: there is no value {name:?}"))),
            },
            Form::Address(address) => Expression::Address(address),
        })
    }

    fn inner(&mut self, form: Form, path: &Path<'_>) -> Result<Box<Expression>> {
        if matches!(form, Form::Float64(_)) {
            return Err(self.error(path, "float64: is neither an address nor an integer"));
        }
        self.lower(form, path).map(Box::new)
    }

    /// The first element of `{"add": [E, N]}` and its like.
    fn operand(&mut self, form: Form, path: &Path<'_>, key: &str) -> Result<Box<Expression>> {
        self.inner(form, &Path::Index(&Path::Key(path, key), 0))
    }

    fn count(&self, count: u64, path: &Path<'_>, key: &str) -> Result<u8> {
        match count {
            0..=63 => Ok(count as u8),
            _ => Err(self.error(path, format!("{key}[1]: expected 0 to 63 bits, found {count}"))),
        }
    }

    fn check_text(&self, key: &str, text: &str, path: &Path<'_>) -> Result<()> {
        match (text.is_empty(), text.contains('\0')) {
            (true, _) => Err(self.error(path, format!("{key}: is empty"))),
            (_, true) => Err(self.error(path, format!("{key}: contains a NUL"))),
            _ => Ok(()),
        }
    }

    fn call(
        &mut self,
        function: Form,
        arguments: Vec<Form>,
        returns: Returns,
        nullable: bool,
        path: &Path<'_>,
    ) -> Result<Expression> {
        let floats = arguments.iter().filter(|a| matches!(a, Form::Float64(_))).count();
        let integers = arguments.len() - floats;
        if floats > FLOAT_ARGUMENTS || integers > INTEGER_ARGUMENTS {
            let message = format!(
                "args: expected at most {INTEGER_ARGUMENTS} integers and pointers and {FLOAT_ARGUMENTS} float64, found \
                 {integers} and {floats}"
            );
            return Err(self.error(path, message));
        }
        let function = self.inner(function, &Path::Key(path, "call"))?;
        let list = Path::Key(path, "args");
        let mut lowered = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.into_iter().enumerate() {
            lowered.push(self.lower(argument, &Path::Index(&list, index))?);
        }
        Ok(Expression::Call { function, arguments: lowered, returns, nullable })
    }

    fn bytes(&mut self, form: BytesForm, path: &Path<'_>) -> Result<Bytes> {
        let align = form.align.unwrap_or(LEAST_ALIGN);
        if !align.is_power_of_two() || align > MOST_ALIGN {
            let message = format!("align: expected a power of two up to {MOST_ALIGN}, found {align}");
            return Err(self.error(path, message));
        }
        let data = match form.contents {
            Contents::Base64(text) => STANDARD
                .decode(text)
                .map_err(|error| self.error(path, format!("bytes: expected base64 with padding: {error}")))?,
            Contents::File(slice) => self.file_slice(slice, &Path::Key(path, "bytes"))?,
        };
        let list = Path::Key(path, "words");
        let mut words = Vec::with_capacity(form.words.len());
        for (index, Object(word)) in form.words.into_iter().enumerate() {
            let path = Path::Index(&list, index);
            let offset = word.offset.0;
            if offset.checked_add(8).is_none_or(|end| end > data.len() as u64) {
                let length = data.len();
                let message = format!("offset: 8 bytes at {offset} are not inside the {length} bytes");
                return Err(self.error(&path, message));
            }
            words.push((offset, index, self.lower(word.value, &Path::Key(&path, "value"))?));
        }
        words.sort_by_key(|(offset, index, _)| (*offset, *index));
        for pair in words.windows(2) {
            if let [(one, first, _), (other, second, _)] = pair
                && other - one < 8
            {
                let message = format!("overlaps words[{}]", first.min(second));
                return Err(self.error(&Path::Index(&list, *first.max(second)), message));
            }
        }
        Ok(Bytes {
            data,
            align: align.max(LEAST_ALIGN),
            writable: form.writable,
            words: words.into_iter().map(|(offset, _, word)| (offset, word)).collect(),
        })
    }

    fn file_slice(&mut self, slice: FileSlice, path: &Path<'_>) -> Result<Vec<u8>> {
        self.check_text("file", &slice.file, path)?;
        let file = self.folder.join(&slice.file);
        if !self.read.contains_key(&file) {
            let read = self.files.read(&file);
            let message = |error| format!("file: {} cannot be read: {error}", file.display());
            let contents = read.map_err(|error| self.error(path, message(error)))?.into();
            self.read.insert(file.clone(), Source { contents, taken: 0 });
        }
        let Some(source) = self.read.get_mut(&file) else {
            return Ok(Vec::new());
        };
        let contents = Arc::clone(&source.contents);
        let length = contents.len() as u64;
        let offset = slice.offset.0;
        let size = slice.size.map_or(length.saturating_sub(offset), |n| n.0);
        source.taken = source.taken.saturating_add(size);
        let excessive = source.taken > COPIES_FREE && source.taken > length.saturating_mul(COPIES);
        let inside = offset.checked_add(size).filter(|end| *end <= length && offset <= length);
        let Some(end) = inside else {
            let message = format!(
                "{size} bytes at offset {offset} are not inside {}, which has {length} bytes",
                file.display()
            );
            return Err(self.error(path, message));
        };
        if excessive {
            let message = format!("more than {COPIES} copies of {} are asked for", file.display());
            return Err(self.error(path, message));
        }
        let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
        Ok(range.and_then(|(start, end)| contents.get(start..end)).unwrap_or_default().to_vec())
    }
}
