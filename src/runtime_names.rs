//! Variables that only a live runtime could fill, by their names alone: which names are such, and which of them say
//! what the variable holds. Nothing is guessed: a name either spells it whole or does not.
//!
//! Julia's (`julia_pgv` and `literal_pointer_val_slot` of its `src/cgutils.cpp`) end with `#` and a counter. Before the
//! counter stands `jl_sym#` and the symbol's name; or `jl_global`, for anything; or, behind `+`, `*` or `-`, the path of
//! a type, a binding or a method, of which there may be several. `makeSafeName` of `src/aotcompile.cpp` then writes most
//! characters that are no letters or digits as a code and a dot: `jl_symYY.fooYY.7`. Behind all that may be what LLVM
//! adds to tell two of one name apart: `.5`. GPUCompiler's `safe_name` makes all such characters `_`, which no one can
//! undo; it adds a hash of the value, and since 2.2 puts the compiled function's name before, instead of the counter.

use std::path::PathBuf;

use foldhash::HashSet;
use rayon::prelude::*;

use crate::Options;
use crate::error::Result;
use crate::object_file::{ObjectFile, SectionKind, Symbol, SymbolId, SymbolPlace, SymbolType};
use crate::record::Record;
use crate::session_map::{Expression, Files, Global, MapSource, Meaning, Returns, SessionMap};

/// A runtime whose names are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Julia.
    Julia,
}

impl Runtime {
    /// A session map of what stands around any fill of its variables: when it is ready, and what keeps the collector off.
    pub fn protocol(self) -> MapSource<'static> {
        match self {
            // Relocations of Julia's come with it, also if there are none.
            Runtime::Julia => MapSource {
                name: "--infer julia".to_owned(),
                folder: PathBuf::from("."),
                text: br#"{"julia_relocations": 1, "sites": []}"#,
            },
        }
    }
}

/// What a variable's name says of its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// The symbol of that name.
    Symbol(String),
    /// That only the runtime knows.
    Nothing,
}

/// What a variable has in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contents {
    /// Nothing: zero, or no place at all.
    Empty,
    /// A number.
    Word(u64),
    /// What a relocation makes of it; or it is no variable.
    Other,
}

/// The globals of a map, and those that it leaves out and whose names say what they hold.
///
/// # Errors
/// An image that is needed to see what an address means and cannot be read.
pub(crate) fn with_inferred(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    record: &Record,
    options: &Options<'_>,
) -> Result<Vec<Global>> {
    let mut globals = map.globals.clone();
    let Some(Runtime::Julia) = options.infer else {
        return Ok(globals);
    };
    let referenced = referenced(object);
    let mut seen: HashSet<&str> = HashSet::default();
    for symbol in &object.symbols {
        let Some(Said::Symbol(name)) = said(symbol.name) else {
            continue;
        };
        if is_named(map, symbol.name) || is_filled(record, symbol, &referenced) || !seen.insert(symbol.name) {
            continue;
        }
        let left_out = match contents(object, symbol, &referenced) {
            Contents::Empty => true,
            Contents::Word(word) => {
                map.is_session_constant(word)
                    && matches!(map.meaning(word, files, options.private)?, Meaning::Unresolved(_))
            }
            Contents::Other => false,
        };
        if left_out {
            globals.push(Global {
                symbol: symbol.name.to_owned(),
                offset: 0,
                init: Expression::Call {
                    function: Box::new(Expression::Symbol { name: "jl_symbol".to_owned(), offset: 0 }),
                    arguments: vec![Expression::String(name)],
                    returns: Returns::Pointer,
                    nullable: false,
                },
                origin: "--infer julia".to_owned(),
            });
        }
    }
    globals.sort_by(|one, other| (&one.symbol, one.offset).cmp(&(&other.symbol, other.offset)));
    Ok(globals)
}

/// Empty variables that only a runtime can fill and of which neither the map nor `globals` says what they hold.
pub(crate) fn unfilled(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    record: &Record,
    globals: &[Global],
) -> Vec<SymbolId> {
    let meant: Vec<&Symbol<'_>> =
        object.symbols.par_iter().filter(|symbol| said(symbol.name).is_some()).collect();
    if meant.is_empty() {
        return Vec::new();
    }
    let referenced = referenced(object);
    let named: HashSet<&str> = globals.iter().map(|global| global.symbol.as_str()).collect();
    let unfilled = meant.into_iter().filter(|symbol| {
        !named.contains(symbol.name)
            && !is_named(map, symbol.name)
            && !is_filled(record, symbol, &referenced)
            && contents(object, symbol, &referenced) == Contents::Empty
    });
    unfilled.map(|symbol| symbol.id).collect()
}

/// Whether a map says what a variable, or its address, is.
fn is_named(map: &SessionMap, name: &str) -> bool {
    map.globals.iter().any(|global| global.symbol == name)
        || map.imports.binary_search_by(|import| import.symbol.as_str().cmp(name)).is_ok()
}

/// Whether an earlier run has filled it.
fn is_filled(record: &Record, symbol: &Symbol<'_>, referenced: &HashSet<SymbolId>) -> bool {
    match symbol.place {
        SymbolPlace::Section(section) => record.has_global(section, symbol.value),
        SymbolPlace::Undefined => record.has_global_symbol(symbol.id, 0) && !referenced.contains(&symbol.id),
        SymbolPlace::Common => record.has_global_symbol(symbol.id, 0),
        SymbolPlace::Absolute => false,
    }
}

/// Symbols that relocations of the program refer to.
fn referenced(object: &ObjectFile<'_>) -> HashSet<SymbolId> {
    let sections = object.sections.iter().filter(|s| s.alloc);
    sections.flat_map(|s| s.relocations().iter().map(|r| r.symbol)).collect()
}

fn contents(object: &ObjectFile<'_>, symbol: &Symbol<'_>, referenced: &HashSet<SymbolId>) -> Contents {
    if !matches!(symbol.kind, SymbolType::None | SymbolType::Object) {
        return Contents::Other;
    }
    match symbol.place {
        SymbolPlace::Undefined if referenced.contains(&symbol.id) => Contents::Empty,
        SymbolPlace::Common => Contents::Empty,
        SymbolPlace::Undefined | SymbolPlace::Absolute => Contents::Other,
        SymbolPlace::Section(id) => {
            let section = object.section(id);
            let sized = symbol.size == 0 || symbol.size >= 8;
            if section.exec
                || !section.alloc
                || section.tls
                || !sized
                || section.is_relocated(symbol.value, 8)
            {
                return Contents::Other;
            }
            if section.kind == SectionKind::ZeroFill {
                return Contents::Empty;
            }
            let start = usize::try_from(symbol.value).unwrap_or(usize::MAX);
            let bytes = section.data.get(start..).and_then(|rest| rest.first_chunk::<8>());
            match bytes.map(|bytes| u64::from_le_bytes(*bytes)) {
                Some(0) => Contents::Empty,
                Some(word) => Contents::Word(word),
                None => Contents::Other,
            }
        }
    }
}

/// Whether a name is one that a runtime's compiler gives a variable that only the process fills. Such names are
/// counters, and mean something else in another object. (Not those with a hash of what they mean.)
pub(crate) fn is_counter(name: &str) -> bool {
    said(name).is_some() && !is_sanitized(name)
}

/// What a name says, if it is one of a variable that only the runtime fills.
fn said(name: &str) -> Option<Said> {
    said_as_compiled(name).or_else(|| {
        let (first, number) = name.rsplit_once('.')?;
        let renamed = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if renamed { said_as_compiled(first) } else { None }
    })
}

/// The same for a name that LLVM has not changed.
fn said_as_compiled(name: &str) -> Option<Said> {
    if name.contains('#') {
        return plain(name);
    }
    if let Some(plain_name) = unsafe_name(name) {
        return plain(&plain_name);
    }
    is_sanitized(name).then_some(Said::Nothing)
}

/// A name as Julia's compiler gives it.
fn plain(name: &str) -> Option<Said> {
    let (body, counter) = name.rsplit_once('#')?;
    if counter.is_empty() || !counter.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some(symbol) = body.strip_prefix("jl_sym#") {
        // Handed over as a C string.
        let whole = !symbol.contains('\0');
        return Some(if whole { Said::Symbol(symbol.to_owned()) } else { Said::Nothing });
    }
    let path = body.strip_prefix(['+', '*', '-']).is_some_and(|path| !path.is_empty());
    (body == "jl_global" || path).then_some(Said::Nothing)
}

/// The characters that have a code of letters; all others are two digits of hexadecimal.
const CODES: [(&str, char); 32] = [
    ("SP", ' '),
    ("NOT", '!'),
    ("DQT", '"'),
    ("YY", '#'),
    ("REM", '%'),
    ("AND", '&'),
    ("SQT", '\''),
    ("LPR", '('),
    ("RPR", ')'),
    ("MUL", '*'),
    ("SUM", '+'),
    ("SUB", '-'),
    ("DOT", '.'),
    ("DIV", '/'),
    ("COL", ':'),
    ("LT", '<'),
    ("EQ", '='),
    ("GT", '>'),
    ("QQ", '?'),
    ("AT", '@'),
    ("LBR", '['),
    ("RDV", '\\'),
    ("RBR", ']'),
    ("POW", '^'),
    ("TIC", '`'),
    ("LCR", '{'),
    ("OR", '|'),
    ("RCR", '}'),
    ("TLD", '~'),
    ("DEL", '\u{7f}'),
    // Not letters, but the two that have neither a code nor are left as they are and occur in source text.
    ("2C", ','),
    ("3B", ';'),
];

/// What `makeSafeName` made that name of; `None`: it is not one of its making. No code ends with another, so there is
/// one way to read it.
fn unsafe_name(name: &str) -> Option<String> {
    name.split_once('.')?;
    let mut pieces = name.split('.');
    let last = pieces.next_back()?;
    let mut plain = String::with_capacity(name.len());
    let mut any = false;
    for piece in pieces {
        let (rest, character) = decoded(piece)?;
        plain.push_str(rest);
        plain.push(character);
        any = true;
    }
    plain.push_str(last);
    any.then_some(plain)
}

/// The character whose code a piece ends with, and what stands before.
fn decoded(piece: &str) -> Option<(&str, char)> {
    for (code, character) in CODES {
        if let Some(rest) = piece.strip_suffix(code) {
            return Some((rest, character));
        }
    }
    let (rest, digits) = piece.split_at_checked(piece.len().checked_sub(2)?)?;
    let upper = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
    // Bytes from 0x80 on are left as they are.
    let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| upper && byte.is_ascii())?;
    Some((rest, char::from(byte)))
}

/// What GPUCompiler makes of a name: `jl_global_12_5f3a…`; since version 2.2 `_Z3fun_jl_global_5f3a…`, or
/// `_Z3fun_gpu_jl_true_0` for a word of libjulia; and `…_box` for a value with a word to be filled.
fn is_sanitized(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let Some((rest, last)) = name.strip_suffix("_box").unwrap_or(name).rsplit_once('_') else {
        return false;
    };
    // Whether a part of a name begins there.
    let begins = |part: &str| rest.match_indices(part).any(|(at, _)| at == 0 || rest[..at].ends_with('_'));
    if digits(last) && begins("gpu_jl_") {
        return true;
    }
    if last.is_empty() || last.len() > 16 || !last.bytes().all(hexadecimal) {
        return false;
    }
    if let Some((known, counter)) = rest.rsplit_once('_')
        && digits(counter)
    {
        return known == "jl_global" || known.starts_with("jl_sym_");
    }
    // A hash of 64 bits: of shorter numbers there are others.
    let known = rest == "jl_global" || rest.ends_with("_jl_global");
    last.len() >= 8 && (known || ["jl_sym_", "_Core_", "_Base_", "_Main_"].into_iter().any(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str) -> Option<Said> {
        Some(Said::Symbol(name.to_owned()))
    }

    #[test]
    fn names_of_symbols_say_which() {
        assert_eq!(said("jl_sym#foo#7"), symbol("foo"));
        assert_eq!(said("jl_symYY.fooYY.7"), symbol("foo"));
        assert_eq!(said("jl_sym###s#12#3"), symbol("##s#12"));
        assert_eq!(said("jl_symYY.YY.YY.sYY.12YY.3"), symbol("##s#12"));
        assert_eq!(said("jl_sym##5"), symbol(""));
        assert_eq!(said("jl_sym#≠#5"), symbol("≠"));
        assert_eq!(said("jl_symYY.push_firstNOT.YY.88"), symbol("push_first!"));
        assert_eq!(said("jl_symYY.aYYYY.bYY.1"), symbol("aYY#b"));
        assert_eq!(said("jl_symYY.a2C.b3B.YY.1"), symbol("a,b;"));
        assert_eq!(said("jl_symYY.aDOT.jitYY.1"), symbol("a.jit"));
        assert_eq!(said("jl_symYY.LCR.OR.RCR.TLD.YY.1"), symbol("{|}~"));
        assert_eq!(said("jl_sym#a.b#7.12"), symbol("a.b"));
        assert_eq!(said("jl_symYY.fooYY.7.12"), symbol("foo"));
    }

    #[test]
    fn other_names_say_that_only_the_runtime_knows() {
        for name in [
            "jl_global#12",
            "jl_global#12.5",
            "jl_globalYY.12",
            "jl_globalYY.12.5",
            "+Core.Int64#3",
            "SUM.CoreDOT.Int64YY.3",
            "*Main.x#4",
            "MUL.MainDOT.xYY.4",
            "-Main.f#9",
            "SUB.MainDOT.fYY.9",
            "jl_global_12_5f3a9",
            "jl_sym_foo_7_00ff",
            "_Z6kernel5Int64_jl_global_5f3a90b1c2d3e4f5",
            "_Z6kernel5Int64_jl_sym_foo_5f3a90b1c2d3e4f5",
            "_Z6kernel5Int64__Core_Array_5f3a90b1c2d3e4f5",
            "_Z6kernel5Int64__Main_Point_5f3a90b1c2d3e4f5_box",
            "my_kernel_gpu_jl_true_0",
            "_Z1f_gpu_jl_small_typeof_64",
            "jl_symYY.a00.bYY.1",
        ] {
            assert_eq!(said(name), Some(Said::Nothing), "{name}");
            assert_eq!(is_counter(name), name.contains(['#', '.']), "{name}");
        }
    }

    #[test]
    fn no_other_name_is_taken_for_one() {
        for name in [
            "",
            "#",
            "jl_sym#foo",
            "jl_sym#foo#",
            "jl_sym#foo#7x",
            "jl_sym#foo#7.",
            "jl_sym#foo#.7",
            "jl_sym#foo#7.5.5",
            "jl_symYY.7",
            "jl_sym#foo#7.jit",
            "jl_symYY.fooYY.7DOT.jit",
            "jl_symYY.fooXX.7",
            "jl_symbol",
            "jl_global_event_loop",
            "jl_global#x",
            "+#3",
            "-#3",
            "ccall_puts_12",
            "ccalllib_libm#5",
            "jlplt_memset_17",
            "jlplt_memset_17_got.jit",
            "julia_f_12",
            ".LCPI0_0",
            "my_jl_global_cafe",
            "my_jl_globals_5f3a90b1c2d3e4f5",
            "jl_global_12_box",
            "thejl_sym_foo_5f3a90b1c2d3e4f5",
            "gpu_jl_true",
            "megagpu_jl_true_0",
            "a.b.c",
            "YY.",
            "FF.YY.1",
        ] {
            assert_eq!(said(name), None, "{name}");
        }
    }
}
