//! Symbols in text: what `nm` prints (its BSD and POSIX formats), and perf maps (`/tmp/perf-PID.map`, see the
//! Linux source's `tools/perf/Documentation/jit-interface.txt`).

use std::collections::BTreeMap;

use super::SessionSymbol;
use super::maps::hexadecimal;

/// A symbol from such a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedSymbol {
    /// Its line, from 1.
    pub(super) line: usize,
    pub(super) symbol: SessionSymbol,
    /// Why no reference binds to it, for messages: the address is the session's, but has no name.
    pub(super) private: Option<&'static str>,
}

/// Numbered lines, and the one behind them that has no end.
type Lines<'l, 't> = (&'l [(usize, &'t str)], Option<(usize, &'t str)>);

/// A line of `nm`: what it says, or that it names nothing with an address (`Some(None)`).
type NmLine<'a> = Option<Option<(u64, u64, char, &'a str)>>;

/// Reads the text, in whichever of the formats it is.
///
/// # Errors
/// The number of the first line that is of none of them.
pub(super) fn read(text: &[u8]) -> Result<Vec<ListedSymbol>, String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim_end()))
        .filter(|(_, line)| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return Err("there is no symbol in it: expected nm output or a perf map".into());
    }

    // How far each format gets tells which it is: `B` may be the type of a symbol or a size of 11 bytes, but not
    // on every line. Where a whole text is both, nm's addresses have all their leading zeros.
    let bsd = lines.iter().take_while(|(_, line)| bsd_line(line).is_some()).count();
    let posix = lines.iter().take_while(|(_, line)| posix_line(line).is_some()).count();
    let (finished, unfinished) = finished(&text, &lines);
    let perf = finished.iter().take_while(|(_, line)| perf_line(line).is_some()).count();
    let padded = lines.iter().all(|(_, line)| matches!(line.find(' '), Some(0 | 8 | 16)));
    let listed = if bsd == lines.len() && (perf < finished.len() || padded) {
        nm(&lines, bsd_line)?
    } else if perf == finished.len() && perf > 0 {
        perf_map(finished)
    } else if posix == lines.len() {
        nm(&lines, posix_line)?
    } else if let Some((number, _)) =
        unfinished.filter(|(_, line)| finished.is_empty() && perf_line(line).is_some())
    {
        return Err(format!("line {number} has no end: a process may be writing it still"));
    } else {
        let (number, line) = lines[bsd.max(posix).max(perf)];
        let line = super::excerpt(line);
        return Err(format!(
            "line {number}: expected nm output (`00007f3a1007fe50 T puts`) or a perf map \
             (`7f3a1007fe50 199 puts`), found `{line}`"
        ));
    };
    match listed.is_empty() {
        true => Err("it defines no symbol: expected nm output or a perf map".into()),
        false => Ok(listed),
    }
}

/// nm's types of symbols that are defined, undefined or for debuggers.
fn nm_type(field: &str) -> Option<char> {
    let mut letters = field.chars();
    let letter = letters.next()?;
    let known = "AaBbCcDdGgiINnpRrSsTtUuVvWw-?".contains(letter);
    (known && letters.next().is_none()).then_some(letter)
}

/// The first field of a line, and what follows its spaces.
fn split_field(line: &str) -> (&str, &str) {
    let (field, rest) = line.split_once(' ').unwrap_or((line, ""));
    (field, rest.trim_start_matches(' '))
}

fn bsd_line(line: &str) -> NmLine<'_> {
    if let Some(undefined) = line.strip_prefix(' ') {
        let (kind, name) = split_field(undefined.trim_start_matches(' '));
        nm_type(kind)?;
        return (!name.is_empty()).then_some(None);
    }
    // With several files, nm writes a line with each file's name.
    if line.ends_with(':') && !line.contains(' ') {
        return Some(None);
    }
    let (address, rest) = split_field(line);
    let address = hexadecimal(address)?;
    let (first, after) = split_field(rest);
    let (size, kind, name) = match nm_type(first) {
        // `… B B`: a symbol named B rather than one of 11 bytes without a name.
        Some(kind) if !after.is_empty() => (0, kind, after),
        _ => {
            let (kind, name) = split_field(after);
            (hexadecimal(first)?, nm_type(kind)?, name)
        }
    };
    let name = name.split('\t').next().unwrap_or(name);
    (!name.is_empty()).then_some(Some((address, size, kind, name)))
}

fn posix_line(line: &str) -> NmLine<'_> {
    if line.ends_with(':') && !line.contains(' ') {
        return Some(None);
    }
    let mut fields = line.split(' ').filter(|field| !field.is_empty());
    let (name, kind) = (fields.next()?, nm_type(fields.next()?)?);
    let Some(address) = fields.next() else {
        return Some(None);
    };
    let address = hexadecimal(address)?;
    let size = fields.next().map_or(Some(0), hexadecimal)?;
    fields.next().is_none().then_some(Some((address, size, kind, name)))
}

fn perf_line(line: &str) -> Option<(u64, u64, &str)> {
    let (start, rest) = split_field(line);
    let (size, name) = split_field(rest);
    let number = |field: &str| hexadecimal(field.strip_prefix("0x").unwrap_or(field));
    let (start, size) = (number(start)?, number(size)?);
    (!name.is_empty()).then_some((start, size, name))
}

fn nm<'a>(
    lines: &[(usize, &'a str)],
    read_line: fn(&'a str) -> NmLine<'a>,
) -> Result<Vec<ListedSymbol>, String> {
    let mut listed = Vec::new();
    for &(line, text) in lines {
        let Some((address, size, kind, name)) = read_line(text).flatten() else {
            continue;
        };
        let mut private = match kind {
            // Undefined ones, debuggers' ones, file names and absolute numbers have no address; common ones none yet.
            'U' | 'w' | 'v' | 'N' | 'n' | 'p' | '-' | '?' | 'A' | 'a' | 'C' | 'c' => continue,
            // Thread-local variables are listed as data, with their offset in the thread's block.
            'B' | 'b' | 'D' | 'd' if address < super::LOWEST_ADDRESS => continue,
            'i' | 'I' => Some("an indirect function's resolver"),
            'u' => None,
            lower if lower.is_ascii_lowercase() => Some("a local symbol"),
            _ => None,
        };
        if address < super::LOWEST_ADDRESS {
            return Err(format!(
                "line {line}: {name} is at {address:#x}, which is no address of a process: nm of an executable at a \
                 fixed address gives such, that of other files only offsets in them (name the file in `mappings`)"
            ));
        }
        // `puts@@GLIBC_2.2.5` is what a reference to `puts` binds to, `realpath@GLIBC_2.2.5` not.
        let (name, version) = name.split_once('@').unwrap_or((name, "@"));
        if !version.starts_with('@') || version == "@GLIBC_PRIVATE" {
            private = private.or(Some("a version that no unversioned reference binds to"));
        }
        if name.is_empty() {
            continue;
        }
        let symbol = SessionSymbol { address, name: name.to_owned(), size, library: None, align: 1 };
        listed.push(ListedSymbol { line, symbol, private });
    }
    Ok(listed)
}

/// The lines that have an end, and the last one if it has none: in a perf map a process may be writing it still.
fn finished<'l, 't>(text: &str, lines: &'l [(usize, &'t str)]) -> Lines<'l, 't> {
    match lines.split_last() {
        Some((last, rest)) if !text.ends_with('\n') => (rest, Some(*last)),
        _ => (lines, None),
    }
}

fn perf_map(lines: &[(usize, &str)]) -> Vec<ListedSymbol> {
    let symbol = |&(line, text): &(usize, &str)| {
        let (address, size, name) = perf_line(text)?;
        let symbol = SessionSymbol { address, name: name.to_owned(), size, library: None, align: 1 };
        Some(ListedSymbol { line, symbol, private: None })
    };
    latest(lines.iter().filter_map(symbol))
}

/// The symbols of a text that is known to be a perf map; what no address can be is none.
pub(super) fn perf_map_symbols(text: &[u8]) -> Vec<SessionSymbol> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<(usize, &str)> = text.lines().map(str::trim_end).enumerate().collect();
    let symbols = perf_map(finished(&text, &lines).0).into_iter().map(|listed| listed.symbol);
    symbols
        .filter(|s| s.address >= super::LOWEST_ADDRESS && s.address.checked_add(s.size).is_some())
        .collect()
}

/// The memory of dead code is used again, and lists of code only grow: what comes later replaces what it overlaps.
pub(super) fn latest(listed: impl IntoIterator<Item = ListedSymbol>) -> Vec<ListedSymbol> {
    let mut by_start: BTreeMap<u64, ListedSymbol> = BTreeMap::new();
    let end = |symbol: &SessionSymbol| symbol.address.saturating_add(symbol.size.max(1));
    for entry in listed {
        let address = entry.symbol.address;
        let before = by_start.range(..address).next_back();
        let mut dead: Vec<u64> =
            before.filter(|(_, b)| end(&b.symbol) > address).map(|(&start, _)| start).into_iter().collect();
        dead.extend(by_start.range(address..end(&entry.symbol)).map(|(&start, _)| start));
        for start in dead {
            by_start.remove(&start);
        }
        by_start.insert(address, entry);
    }
    let mut listed: Vec<ListedSymbol> = by_start.into_values().collect();
    listed.sort_by_key(|l| l.line);
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, address, size, name, and whether nothing binds to it.
    fn shown(text: &str) -> Vec<(usize, u64, u64, String, bool)> {
        let listed = read(text.as_bytes()).unwrap().into_iter();
        listed
            .map(|l| (l.line, l.symbol.address, l.symbol.size, l.symbol.name, l.private.is_some()))
            .collect()
    }

    fn names(text: &str) -> String {
        let shown = shown(text).into_iter();
        shown
            .map(|(.., name, private)| if private { format!("({name})") } else { name })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_perf_map_ends_with_its_last_whole_line() {
        let whole = "7f3a10000000 40 first\n7f3a10000040 40 second of t\n";
        assert_eq!(names(whole), "first second of t");
        // Cut off at every byte of the second line, it is the first alone.
        for end in whole.find('\n').unwrap() + 1..whole.len() {
            assert_eq!(names(&whole[..end]), "first", "{:?}", &whole[..end]);
        }
        let message = read(b"7f3a10000000 40 first").unwrap_err();
        assert_eq!(message, "line 1 has no end: a process may be writing it still");
        // What nm prints is finished, whatever has taken the last newline off.
        assert_eq!(names("00007f3a10000000 T first\n00007f3a10000040 T second"), "first second");
        assert_eq!(names("first T 7f3a10000000 40"), "first");
    }

    #[test]
    fn bsd_format() {
        let text = "\n\
            0000000000404028 B counter\n\
            0000000000404000 0000000000000020 D N\n\
            \x20                U labs@GLIBC_2.2.5\n\
            \x20                w __gmon_start__\n\
            0000000000000000 a crtstuff.c\n\
            0000000000000010 d thread_local\n\
            0000000000401100 t helper\n\
            0000000000401110 W weak_one\n\
            0000000000401120 i chosen\n\
            0000000000401130 T puts@@GLIBC_2.2.5\n\
            0000000000401140 T realpath@GLIBC_2.2.5\n\
            0000000000401150 T secret@@GLIBC_PRIVATE\n\
            0000000000401160 u once\n\
            0000000000401170 B B\n\
            0000000000401180 0000000000000008 T b\t/src/x.c:12\n\
            0000000000000000 N .debug\n";
        assert_eq!(names(text), "counter N (helper) weak_one (chosen) puts (realpath) (secret) once B b");
        assert_eq!(shown(text)[1], (3, 0x404000, 0x20, "N".into(), false));
        assert_eq!(names("7f3a1007fe50 T puts\n"), "puts");
        assert_eq!(names("\na.o:\n0000000000404028 B x\n\nb.o:\n0000000000404030 B y\n"), "x y");
    }

    #[test]
    fn posix_format() {
        let text = "counter B 404028 8\nputs U\nlabs@GLIBC_2.2.5 U         \nmain T 401136 2a\nstatic_one t 401190\n";
        assert_eq!(names(text), "counter main (static_one)");
        assert_eq!(shown(text)[1], (4, 0x401136, 0x2a, "main".into(), false));
    }

    #[test]
    fn perf_maps() {
        let text = "7f3a10000000 20 py::f:/a b.py\n7f3a10000100 b T\n0x7f3a10000200 0x10 jitted function\n";
        assert_eq!(
            shown(text),
            [
                (1, 0x7f3a10000000, 0x20, "py::f:/a b.py".into(), false),
                (2, 0x7f3a10000100, 11, "T".into(), false),
                (3, 0x7f3a10000200, 16, "jitted function".into(), false),
            ]
        );
        // The only line is both; nm would have written leading zeros.
        assert_eq!(shown("7f3a10000100 b foo\n"), [(1, 0x7f3a10000100, 11, "foo".into(), false)]);
        assert_eq!(shown("00007f3a10000100 B foo\n"), [(1, 0x7f3a10000100, 0, "foo".into(), false)]);
    }

    #[test]
    fn later_entries_of_a_perf_map_replace_earlier_ones() {
        let text = "1000000 10 a\n1000010 10 b\n1000020 10 c\n1000040 0 z\n1000008 10 d\n1000020 10 e\n1000040 8 f\n";
        assert_eq!(names(text), "d e f");
        assert_eq!(names("1000000 10 a\n1000010 10 b\n"), "a b");
    }

    #[test]
    fn other_text_is_refused_with_its_line() {
        for (text, expected) in [
            ("", "no symbol"),
            ("\n \n", "no symbol"),
            ("                 U puts\n", "defines no symbol"),
            ("0000000000404028 B counter\nhello, world\n", "line 2: "),
            ("0000000000404028 B counter\n0000000000404028 B\n", "line 2: "),
            ("0000000000404028 Z counter\n", "line 1: "),
            ("7f0000001000 10 f\n7f0000001010\n", "line 2: "),
            ("7f0000001000 10 f\n-7f000000101 10 g\n", "line 2: "),
            ("0000000000000139 T main\n", "line 1: main is at 0x139"),
            ("\u{0}ELF", "line 1: "),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        assert!(read(b"\xff\xff\xff").is_err());
    }
}
