//! The session map's file format: JSON text to a [`Document`] that has the right keys and types, nothing
//! unknown, nothing twice. What entries mean together is decided where they are merged.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::expression::Returns;
use super::json_symbols;
use super::julia_manifest::{self, Manifest};
use super::symbols::Symbols;
use crate::error::{Error, ErrorKind};

/// The version of the format that this program reads.
const VERSION: u64 = 1;

/// A session map as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "relocfix")]
    version: u64,
    #[serde(default, deserialize_with = "present")]
    pub(super) machine: Option<String>,
    #[serde(default)]
    pub(super) mappings: Vec<Object<MappingEntry>>,
    #[serde(default)]
    pub(super) symbols: SymbolList,
    #[serde(default)]
    pub(super) values: Vec<Object<ValueEntry>>,
    #[serde(default)]
    pub(super) globals: Vec<Object<GlobalEntry>>,
    #[serde(default)]
    pub(super) imports: Vec<Object<ImportEntry>>,
    #[serde(default)]
    pub(super) constants: Vec<Object<ConstantEntry>>,
    #[serde(default)]
    pub(super) ready: Vec<Form>,
    #[serde(default)]
    pub(super) before: Vec<Object<BeforeEntry>>,
    #[serde(default)]
    pub(super) after: Vec<Form>,
}

impl Document {
    /// A map of these entries alone.
    pub(super) fn of(
        values: Vec<Object<ValueEntry>>,
        globals: Vec<Object<GlobalEntry>>,
        ready: Vec<Form>,
        before: Vec<Object<BeforeEntry>>,
        after: Vec<Form>,
    ) -> Self {
        Document {
            version: VERSION,
            machine: None,
            mappings: Vec::new(),
            symbols: SymbolList::default(),
            values,
            globals,
            imports: Vec::new(),
            constants: Vec::new(),
            ready,
            before,
            after,
        }
    }
}

/// The list of symbols.
#[derive(Debug)]
pub(super) enum SymbolList {
    /// Its entries.
    Entries(Vec<Object<SymbolEntry>>),
    /// What they mean, read at once.
    Checked(Symbols),
}

impl Default for SymbolList {
    fn default() -> Self {
        SymbolList::Entries(Vec::new())
    }
}

impl<'de> Deserialize<'de> for SymbolList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(SymbolList::Entries)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MappingEntry {
    pub(super) start: Unsigned,
    pub(super) end: Unsigned,
    #[serde(default)]
    pub(super) offset: Unsigned,
    #[serde(default, deserialize_with = "present")]
    pub(super) perms: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) path: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) build_id: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SymbolEntry {
    pub(super) address: Unsigned,
    pub(super) name: String,
    #[serde(default)]
    pub(super) size: Unsigned,
    #[serde(default, deserialize_with = "present")]
    pub(super) library: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) align: Option<Unsigned>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueEntry {
    pub(super) name: String,
    #[serde(default, deserialize_with = "present")]
    pub(super) address: Option<Unsigned>,
    #[serde(default)]
    pub(super) size: Unsigned,
    #[serde(default)]
    pub(super) header: Unsigned,
    pub(super) init: Form,
    #[serde(default, deserialize_with = "present")]
    pub(super) align: Option<Unsigned>,
    #[serde(default)]
    pub(super) shared: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobalEntry {
    pub(super) symbol: String,
    #[serde(default)]
    pub(super) offset: Unsigned,
    pub(super) init: Form,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportEntry {
    pub(super) symbol: String,
    pub(super) init: Form,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConstantEntry {
    pub(super) constant: Bits,
    pub(super) init: Form,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BeforeEntry {
    #[serde(default, deserialize_with = "present")]
    pub(super) name: Option<String>,
    pub(super) init: Form,
}

/// An expression as it is written: one form, the keys that belong to it, values still by name.
#[derive(Debug, PartialEq)]
pub(super) enum Form {
    Symbol { name: String, offset: i64 },
    Load { address: Box<Form>, offset: i64, nullable: bool },
    Call { function: Box<Form>, arguments: Vec<Form>, returns: Returns, nullable: bool },
    String(String),
    Bytes(Box<BytesForm>),
    Int(u64),
    Float64(f64),
    Add(Box<Form>, i64),
    Shr(Box<Form>, u64),
    Shl(Box<Form>, u64),
    Neg(Box<Form>),
    Not(Box<Form>),
    Value(String),
    Address(u64),
}

#[derive(Debug, PartialEq)]
pub(super) struct BytesForm {
    pub(super) contents: Contents,
    pub(super) align: Option<u64>,
    pub(super) writable: bool,
    pub(super) words: Vec<Object<WordEntry>>,
}

/// Where a block's bytes come from.
#[derive(Debug, PartialEq)]
pub(super) enum Contents {
    Base64(String),
    File(FileSlice),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSlice {
    pub(super) file: String,
    #[serde(default)]
    pub(super) offset: Unsigned,
    #[serde(default, deserialize_with = "present")]
    pub(super) size: Option<Unsigned>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WordEntry {
    pub(super) offset: Unsigned,
    pub(super) value: Form,
}

/// Reads one session map's text.
///
/// # Errors
/// The map's name, the entry, and for syntax line and column.
pub(super) fn read(name: &str, text: &[u8]) -> Result<Document, Error> {
    // What is right is read once. Keeping account of where in it one reads takes as long as reading, and is for those who
    // have made a mistake.
    let right = |text: &[u8]| {
        let document = serde_json::from_slice::<Object<Document>>(text).ok().map(|Object(document)| document);
        document.filter(|document| document.version == VERSION)
    };
    if let Some((rest, symbols)) = json_symbols::cut_out(text)
        && let Some(document) = right(&rest)
    {
        return Ok(Document { symbols: SymbolList::Checked(symbols), ..document });
    }
    // It may be a file that another program changes: what is text when it is checked still is when it is used.
    let text = &*text.to_vec();
    if let Some(document) = right(text) {
        return Ok(document);
    }
    // Another version may have other keys: it is to be told as what it is, not as its first unknown key.
    #[derive(Deserialize)]
    struct Versioned {
        relocfix: serde_json::Value,
    }
    if let Ok(Versioned { relocfix }) = serde_json::from_slice::<Versioned>(text)
        && relocfix.is_number()
        && relocfix.as_u64() != Some(VERSION)
    {
        let message =
            format!("relocfix: the map is of version {relocfix}; this program reads version {VERSION}");
        return Err(Error::new(ErrorKind::SessionMap, name, message));
    }

    // The other form has a version of its own.
    #[derive(Deserialize)]
    struct OtherForm {
        #[serde(rename = "julia_relocations")]
        _version: serde::de::IgnoredAny,
    }
    if serde_json::from_slice::<OtherForm>(text).is_ok() {
        let manifest: Manifest = parse(name, text)?;
        return julia_manifest::convert(manifest)
            .map_err(|message| Error::new(ErrorKind::SessionMap, name, message));
    }
    parse(name, text)
}

/// Reads a JSON object of one form.
fn parse<T: for<'de> Deserialize<'de>>(name: &str, text: &[u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let document: Object<T> = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // A question mark stands for a key that is none.
        let path = error.path().to_string().trim_end_matches(".?").to_owned();
        let inner = error.into_inner();
        let message = match path.as_str() {
            "." | "?" => inner.to_string(),
            path => format!("{path}: {inner}"),
        };
        Error::new(ErrorKind::SessionMap, name, message)
    })?;
    let end = deserializer.end();
    end.map_err(|error| Error::new(ErrorKind::SessionMap, name, error.to_string()))?;
    Ok(document.0)
}

/// A key that may be left out, but not be `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A JSON object. Derived structs alone would also take an array of their fields.
#[derive(Debug, PartialEq)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// An address, size or offset: a non-negative integer or a `"0x…"` string.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Unsigned(pub(super) u64);

/// A signed number: an integer or a `"0x…"` or `"-0x…"` string.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signed(pub(super) i64);

/// 64 bits: a signed or unsigned integer, or a `"0x…"` or `"-0x…"` string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits(pub(super) u64);

/// What the three kinds of integers have in common: an exact number, and which of them are allowed.
trait Integer: Sized {
    const EXPECTED: &'static str;
    fn from_exact(number: i128) -> Option<Self>;
}

impl Integer for Unsigned {
    const EXPECTED: &'static str = "a non-negative 64-bit integer or a \"0x…\" string";
    fn from_exact(number: i128) -> Option<Self> {
        u64::try_from(number).ok().map(Unsigned)
    }
}

impl Integer for Signed {
    const EXPECTED: &'static str = "a signed 64-bit integer or a \"0x…\" string";
    fn from_exact(number: i128) -> Option<Self> {
        i64::try_from(number).ok().map(Signed)
    }
}

impl Integer for Bits {
    const EXPECTED: &'static str = "a 64-bit integer or a \"0x…\" string";
    fn from_exact(number: i128) -> Option<Self> {
        let bits = u64::try_from(number).ok().or_else(|| i64::try_from(number).ok().map(|n| n as u64));
        bits.map(Bits)
    }
}

struct IntegerVisitor<T>(PhantomData<T>);

impl<T: Integer> IntegerVisitor<T> {
    fn number<E: de::Error>(number: i128) -> Result<T, E> {
        T::from_exact(number)
            .ok_or_else(|| E::custom(format!("{number} is out of range: expected {}", T::EXPECTED)))
    }
}

impl<T: Integer> Visitor<'_> for IntegerVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        Self::number(number.into())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Self::number(number.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits = rest.strip_prefix("0x").filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|d| u64::from_str_radix(d, 16).ok());
        let number = number.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))?;
        Self::number(if negative { -i128::from(number) } else { number.into() })
    }
}

macro_rules! integers {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(IntegerVisitor(PhantomData))
            }
        }
    )*};
}
integers!(Unsigned, Signed, Bits);

/// A called function: its symbol's name, or an expression.
struct Callee(Form);

impl<'de> Deserialize<'de> for Callee {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CalleeVisitor;
        impl<'de> Visitor<'de> for CalleeVisitor {
            type Value = Callee;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a symbol's name or an expression")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Callee, E> {
                let name = name.to_owned();
                Ok(Callee(Form::Symbol { name, offset: 0 }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Callee, A::Error> {
                Form::deserialize(de::value::MapAccessDeserializer::new(map)).map(Callee)
            }
        }
        deserializer.deserialize_any(CalleeVisitor)
    }
}

impl<'de> Deserialize<'de> for Contents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentsVisitor;
        impl<'de> Visitor<'de> for ContentsVisitor {
            type Value = Contents;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 text or {\"file\": …}")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Contents, E> {
                Ok(Contents::Base64(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Contents, A::Error> {
                FileSlice::deserialize(de::value::MapAccessDeserializer::new(map)).map(Contents::File)
            }
        }
        deserializer.deserialize_any(ContentsVisitor)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReturnsName {
    Pointer,
    Int32,
    Void,
}

/// All keys that an expression can have. It lives only until its form is known: it is far larger than that.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default, deserialize_with = "present")]
    symbol: Option<String>,
    #[serde(default, deserialize_with = "present")]
    load: Option<Box<Form>>,
    #[serde(default, deserialize_with = "present")]
    call: Option<Callee>,
    #[serde(default, deserialize_with = "present")]
    string: Option<String>,
    #[serde(default, deserialize_with = "present")]
    bytes: Option<Contents>,
    #[serde(default, deserialize_with = "present")]
    int: Option<Bits>,
    #[serde(default, deserialize_with = "present")]
    float64: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    add: Option<(Box<Form>, Signed)>,
    #[serde(default, deserialize_with = "present")]
    shr: Option<(Box<Form>, Unsigned)>,
    #[serde(default, deserialize_with = "present")]
    shl: Option<(Box<Form>, Unsigned)>,
    #[serde(default, deserialize_with = "present")]
    neg: Option<Box<Form>>,
    #[serde(default, deserialize_with = "present")]
    not: Option<Box<Form>>,
    #[serde(default, deserialize_with = "present")]
    value: Option<String>,
    #[serde(default, deserialize_with = "present")]
    address: Option<Unsigned>,

    #[serde(default, deserialize_with = "present")]
    offset: Option<Signed>,
    #[serde(default, deserialize_with = "present")]
    nullable: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    args: Option<Vec<Form>>,
    #[serde(default, deserialize_with = "present")]
    returns: Option<ReturnsName>,
    #[serde(default, deserialize_with = "present")]
    align: Option<Unsigned>,
    #[serde(default, deserialize_with = "present")]
    writable: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    words: Option<Vec<Object<WordEntry>>>,
}

impl Keys {
    /// The one form that is there, with the keys that belong to it.
    fn form(mut self) -> Result<Form, String> {
        let present = [
            ("symbol", self.symbol.is_some()),
            ("load", self.load.is_some()),
            ("call", self.call.is_some()),
            ("string", self.string.is_some()),
            ("bytes", self.bytes.is_some()),
            ("int", self.int.is_some()),
            ("float64", self.float64.is_some()),
            ("add", self.add.is_some()),
            ("shr", self.shr.is_some()),
            ("shl", self.shl.is_some()),
            ("neg", self.neg.is_some()),
            ("not", self.not.is_some()),
            ("value", self.value.is_some()),
            ("address", self.address.is_some()),
        ];
        let mut forms = present.iter().filter(|(_, there)| *there).map(|(name, _)| *name);
        let form = forms.next().ok_or_else(|| {
            let names = present.map(|(name, _)| name).join("`, `");
            format!("is no expression: expected one of the keys `{names}`")
        })?;
        if let Some(second) = forms.next() {
            return Err(format!("is two expressions at once: `{form}` and `{second}`"));
        }

        let offset = self.offset.take().map(|n| n.0);
        let nullable = self.nullable.take();
        let (args, returns) = (self.args.take(), self.returns.take());
        let (align, writable, words) = (self.align.take(), self.writable.take(), self.words.take());
        let foreign = [
            ("offset", offset.is_some(), matches!(form, "symbol" | "load")),
            ("nullable", nullable.is_some(), matches!(form, "load" | "call")),
            ("args", args.is_some(), form == "call"),
            ("returns", returns.is_some(), form == "call"),
            ("align", align.is_some(), form == "bytes"),
            ("writable", writable.is_some(), form == "bytes"),
            ("words", words.is_some(), form == "bytes"),
        ];
        if let Some((key, ..)) = foreign.iter().find(|(_, there, belongs)| *there && !belongs) {
            return Err(format!("the key `{key}` does not belong to `{form}`"));
        }

        let (offset, nullable) = (offset.unwrap_or(0), nullable.unwrap_or(false));
        let forms = [
            self.symbol.map(|name| Form::Symbol { name, offset }),
            self.load.map(|address| Form::Load { address, offset, nullable }),
            self.call.map(|Callee(function)| Form::Call {
                function: Box::new(function),
                arguments: args.unwrap_or_default(),
                returns: match returns {
                    None | Some(ReturnsName::Pointer) => Returns::Pointer,
                    Some(ReturnsName::Int32) => Returns::Int32,
                    Some(ReturnsName::Void) => Returns::Void,
                },
                nullable,
            }),
            self.string.map(Form::String),
            self.bytes.map(|contents| {
                Form::Bytes(Box::new(BytesForm {
                    contents,
                    align: align.map(|n| n.0),
                    writable: writable.unwrap_or(false),
                    words: words.unwrap_or_default(),
                }))
            }),
            self.int.map(|n| Form::Int(n.0)),
            self.float64.map(Form::Float64),
            self.add.map(|(base, n)| Form::Add(base, n.0)),
            self.shr.map(|(base, n)| Form::Shr(base, n.0)),
            self.shl.map(|(base, n)| Form::Shl(base, n.0)),
            self.neg.map(Form::Neg),
            self.not.map(Form::Not),
            self.value.map(Form::Value),
            self.address.map(|n| Form::Address(n.0)),
        ];
        forms.into_iter().flatten().next().ok_or_else(|| "is no expression".to_owned())
    }
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::<Keys>::deserialize(deserializer)?.0.form().map_err(de::Error::custom)
    }
}
