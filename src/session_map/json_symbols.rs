//! The list `symbols` of a session map, read by hand: there can be millions of entries, nearly all written in the same few
//! ways, and a reader of all of JSON takes many times as long. Whatever is written another way, and whatever is wrong, is
//! left to that reader.

use rayon::prelude::*;

use super::eight_bytes::{hexadecimal_digits, starts_with, string_length};
use super::json::Unsigned;
use super::memory::address_and_alignment;
use super::symbols::{Symbols, Unchecked};

/// A shorter text is not worth being read in parts.
const PART: usize = 1 << 20;
/// What an entry takes in a text, at least, and its name: to know how many there may be.
const ENTRY: usize = 48;
const NAME: usize = 8;
/// In so many ways entries may be written in turn.
const SHAPES: usize = 4;

/// The symbols, and the text with an empty list in place of theirs; `None`: there is no such list, or it is not to be read
/// here.
pub(super) fn cut_out(text: &[u8]) -> Option<(Vec<u8>, Symbols)> {
    let mut reader = Reader { text, at: 0 };
    reader.eat(b'{')?;
    while reader.string()? != b"symbols" {
        reader.eat(b':')?;
        reader.skip_value()?;
        reader.eat(b',')?;
    }
    reader.eat(b':')?;
    reader.eat(b'[')?;
    let start = reader.at;
    let (symbols, end) = match reader.next()? {
        b']' => (Symbols::default(), reader.at),
        _ => in_parts(text, start).or_else(|| in_one(text, start))?,
    };
    let rest = text.get(end..)?;
    Some(([text.get(..start)?, rest].concat(), symbols))
}

/// The symbols of the list whose first entry starts there, and where the list ends.
fn in_one(text: &[u8], start: usize) -> Option<(Symbols, usize)> {
    let part = Part::read(text, start, text.len())?;
    part.is_last.then_some((part.symbols, part.end))
}

/// The same by several threads. Where an entry starts in the middle of the text can only be guessed: it was right if what
/// comes before ends there.
fn in_parts(text: &[u8], start: usize) -> Option<(Symbols, usize)> {
    let count = rayon::current_num_threads().min((text.len() - start) / PART);
    if count < 2 {
        return None;
    }
    let guess = |i: usize| {
        let from = start + (text.len() - start) / count * i;
        let mut braces = memchr::memchr_iter(b'{', text.get(from..)?).map(|at| from + at);
        // In a name there may be one, too.
        braces.find(|&at| Reader { text, at }.entry(at).is_some())
    };
    let mut starts = vec![start];
    starts.extend((1..count).map_while(guess));
    starts.dedup();
    let read = |i: usize| {
        let until = starts.get(i + 1).copied().unwrap_or(text.len());
        Part::read(text, starts[i], until)
    };
    let parts: Vec<Option<Part>> = (0..starts.len()).into_par_iter().map(read).collect();
    let mut symbols = Symbols::default();
    let mut next = start;
    for (part, start) in parts.into_iter().zip(&starts) {
        let part = part.filter(|_| *start == next)?;
        symbols.append(part.symbols).ok()?;
        if part.is_last {
            return Some((symbols, part.end));
        }
        next = part.end;
    }
    None
}

/// Some entries.
struct Part {
    symbols: Symbols,
    /// Where the next entry starts, or the list's end.
    end: usize,
    is_last: bool,
}

impl Part {
    /// Reads from the start of an entry to the first one that does not start before `until`.
    fn read(text: &[u8], start: usize, until: usize) -> Option<Self> {
        let mut reader = Reader { text, at: start };
        let room = until.saturating_sub(start) / ENTRY;
        let mut symbols = Unchecked::with_capacity(room, room * NAME);
        let mut shapes: Vec<Shape<'_>> = Vec::with_capacity(SHAPES);
        let (mut entry, _) = reader.entry(start)?;
        let is_last = loop {
            entry.add_to(&mut symbols)?;
            // The last value of the entry ends here.
            let behind = reader.at;
            let mut alike = None;
            for (number, shape) in shapes.iter().enumerate() {
                if behind + shape.brace < until
                    && let Some(next) = reader.entry_like(shape)
                {
                    alike = Some(number);
                    entry = next;
                    break;
                }
                reader.at = behind;
            }
            match alike {
                Some(0) => continue,
                Some(number) => {
                    shapes.swap(0, number);
                    continue;
                }
                None => {}
            }
            reader.eat(b'}')?;
            match reader.next()? {
                b',' => reader.at += 1,
                b']' => break true,
                _ => return None,
            }
            reader.next()?;
            if reader.at >= until {
                break false;
            }
            let (next, shape) = reader.entry(behind)?;
            entry = next;
            shapes.truncate(SHAPES - 1);
            shapes.insert(0, shape);
        };
        Some(Part { symbols: symbols.checked()?, end: reader.at, is_last })
    }
}

/// An entry, as far as it has been read.
#[derive(Debug, Default)]
struct Entry<'t> {
    address: Option<u64>,
    size: Option<u64>,
    align: Option<u64>,
    name: Option<&'t [u8]>,
    library: Option<&'t [u8]>,
}

impl Entry<'_> {
    /// Adds what it means, if it is right.
    #[inline(always)]
    fn add_to(&self, symbols: &mut Unchecked) -> Option<()> {
        // What is read here has no NUL.
        let name = self.name.filter(|name| !name.is_empty())?;
        if self.library.is_some_and(<[u8]>::is_empty) {
            return None;
        }
        let (address, size) = (self.address?, self.size.unwrap_or_default());
        let align = address_and_alignment(address, size, self.align.map(Unsigned)).ok()?;
        symbols.push((address, size, align), name, self.library)
    }
}

/// A key of an entry.
#[derive(Debug, Clone, Copy)]
enum Key {
    Address,
    Size,
    Align,
    Name,
    Library,
}

const KEYS: [(&str, Key); 5] = [
    ("\"address\"", Key::Address),
    ("\"name\"", Key::Name),
    ("\"size\"", Key::Size),
    ("\"library\"", Key::Library),
    ("\"align\"", Key::Align),
];

/// How an entry is written: who writes many writes most of them alike, and what stands around the values need not be read
/// again.
#[derive(Debug, Default)]
struct Shape<'t> {
    /// Each key, whether its value is hexadecimal, and what stands before the value and behind the last one, which may be
    /// another entry's.
    values: Vec<(Key, bool, &'t [u8])>,
    /// How far behind the other entry's last value this entry begins.
    brace: usize,
}

/// What each byte is as a digit; 255: none.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digits[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};

/// A place in a text.
struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    /// The next byte that is no white space, which stays the next.
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        loop {
            match *self.text.get(self.at)? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        let found = self.next()? == byte;
        self.at += 1;
        found.then_some(())
    }

    /// Goes on behind these characters, if they are next.
    #[inline(always)]
    fn word(&mut self, word: &[u8]) -> Option<()> {
        let found = starts_with(self.text.get(self.at..)?, word);
        self.at += if found { word.len() } else { 0 };
        found.then_some(())
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'t [u8]> {
        self.eat(b'"')?;
        self.rest_of_string()
    }

    /// One whose quotation mark is behind.
    #[inline(always)]
    fn rest_of_string(&mut self) -> Option<&'t [u8]> {
        let rest = self.text.get(self.at..)?;
        let length = string_length(rest)?;
        self.at += length + 1;
        (rest[length] == b'"').then_some(&rest[..length])
    }

    /// The digits of a number in decimal, or in hexadecimal and with the quotation mark behind it.
    #[inline(always)]
    fn digits(&mut self, hexadecimal: bool) -> Option<u64> {
        let rest = self.text.get(self.at..)?;
        let mut number = 0_u64;
        let mut count = 0;
        if hexadecimal {
            let eight = rest.first_chunk().and_then(|eight| hexadecimal_digits(u64::from_le_bytes(*eight)));
            if let Some(eight) = eight {
                number = eight.into();
                count = 8;
            }
            for &byte in &rest[count..] {
                let digit = DIGITS[usize::from(byte)];
                if digit > 15 {
                    break;
                }
                number = number << 4 | u64::from(digit);
                count += 1;
            }
            // Zeros in front may be more.
            let whole = rest.get(count) == Some(&b'"') && (1..=16).contains(&count);
            self.at += count + 1;
            return whole.then_some(number);
        }
        for &byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            count += 1;
        }
        self.at += count;
        // Nineteen digits are always less than 64 bits.
        ((1..=19).contains(&count) && (count == 1 || rest[0] != b'0')).then_some(number)
    }

    /// The value of a key that an entry does not have yet.
    #[inline(always)]
    fn value(&mut self, key: Key, hexadecimal: bool, entry: &mut Entry<'t>) -> Option<()> {
        let twice = match key {
            Key::Address => entry.address.replace(self.digits(hexadecimal)?).is_some(),
            Key::Size => entry.size.replace(self.digits(hexadecimal)?).is_some(),
            Key::Align => entry.align.replace(self.digits(hexadecimal)?).is_some(),
            Key::Name => entry.name.replace(self.rest_of_string()?).is_some(),
            Key::Library => entry.library.replace(self.rest_of_string()?).is_some(),
        };
        (!twice).then_some(())
    }

    /// An entry with each key once, up to its last value, and how it is written, from `behind` on.
    fn entry(&mut self, behind: usize) -> Option<(Entry<'t>, Shape<'t>)> {
        let mut entry = Entry::default();
        self.next()?;
        let mut shape = Shape { values: Vec::with_capacity(KEYS.len()), brace: self.at - behind };
        let mut behind = behind;
        self.eat(b'{')?;
        loop {
            self.next()?;
            let &(_, key) = KEYS.iter().find(|(key, _)| self.word(key.as_bytes()).is_some())?;
            self.eat(b':')?;
            let quoted = self.next()? == b'"';
            let hexadecimal = match key {
                Key::Address | Key::Size | Key::Align => quoted,
                Key::Name | Key::Library if quoted => false,
                Key::Name | Key::Library => return None,
            };
            self.at += usize::from(quoted);
            if hexadecimal {
                self.word(b"0x")?;
            }
            shape.values.push((key, hexadecimal, self.text.get(behind..self.at)?));
            self.value(key, hexadecimal, &mut entry)?;
            behind = self.at;
            match self.next()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at = behind;
        Some((entry, shape))
    }

    /// The next entry, up to its last value, if it is written like another.
    #[inline(always)]
    fn entry_like(&mut self, shape: &Shape<'t>) -> Option<Entry<'t>> {
        let mut entry = Entry::default();
        for &(key, hexadecimal, before) in &shape.values {
            self.word(before)?;
            self.value(key, hexadecimal, &mut entry)?;
        }
        let behind = self.at;
        // It may have more.
        let ends = self.next()? == b'}';
        self.at = behind;
        ends.then_some(entry)
    }

    /// Goes behind a value, whatever it is; if it is none, that will be found out where it is read.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.next()? {
                b'"' => {
                    self.at += 1;
                    loop {
                        self.at += memchr::memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
                        // An escape has one more byte at least, and those behind it are none of these.
                        let escape = self.text[self.at] == b'\\';
                        self.at += if escape { 2 } else { 1 };
                        if !escape {
                            break;
                        }
                    }
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' if depth == 0 => return Some(()),
                _ => self.at += 1,
            }
            if depth == 0 && matches!(self.next()?, b',' | b'}') {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json::{Document, Object, SymbolEntry, SymbolList};
    use super::super::memory::symbol;
    use super::super::symbols::NamedAddress;
    use super::*;

    /// The entries that the reader of all of JSON finds; `None`: it refuses the text.
    fn by_the_other(text: &str) -> Option<Vec<Object<SymbolEntry>>> {
        match serde_json::from_str::<Object<Document>>(text).ok()?.0.symbols {
            SymbolList::Entries(entries) => Some(entries),
            SymbolList::Checked(_) => None,
        }
    }

    /// The symbols of those entries; `None`: one of them is wrong.
    fn symbols_of(entries: &[Object<SymbolEntry>]) -> Option<Vec<NamedAddress<'_>>> {
        entries.iter().map(|entry| symbol(&entry.0).ok()).collect()
    }

    /// Both together: what was cut out is what the other one reads in the whole text, and what is left is read by it.
    fn agree(text: &str) -> Option<usize> {
        let (rest, symbols) = cut_out(text.as_bytes())?;
        let rest = by_the_other(std::str::from_utf8(&rest).expect("text"));
        assert_eq!(rest.as_deref().map(<[_]>::len), by_the_other(text).map(|_| 0), "{text}");
        if let Some(whole) = by_the_other(text) {
            assert_eq!(Some(symbols.iter().collect()), symbols_of(&whole), "{text}");
        }
        Some(symbols.len())
    }

    #[test]
    fn lists_are_read_as_they_are() {
        let list =
            |list: &str| format!("{{\"relocfix\": 1, \"symbols\": [{list}], \"machine\": \"x86_64\"}}");
        for (entries, count) in [
            ("", 0),
            (r#"{"address": "0x1000", "name": "a"}"#, 1),
            (
                r#"{"address": 4096, "name": "a", "size": 8},{"name":"b","library":"l.so","address":"0xfFfFfFfFfFfFfFf0"}"#,
                2,
            ),
            (
                "\n{ \"align\" : 64 ,\t\"address\" : 8192 , \"name\" : \"}],{\" }\r\n , {\"address\": 9223372036854775807, \"name\": \"ü\"} ",
                2,
            ),
        ] {
            assert_eq!(agree(&list(entries)), Some(count), "{entries}");
        }
        assert_eq!(
            agree(r#"{"mappings": [{"path": "]}\"\\", "start": 1, "end": 2}], "symbols": []}"#),
            Some(0)
        );
        assert_eq!(
            agree(
                r#"{"relocfix": 1, "ready": [{"symbol": "f"}], "symbols": [{"address": 4096, "name": "a"}]}"#
            ),
            Some(1)
        );
    }

    #[test]
    fn what_is_written_otherwise_is_left() {
        let entry = |entry: &str| format!("{{\"relocfix\": 1, \"symbols\": [{entry}]}}");
        for wrong in [
            r#"{"address": "0x1000", "name": "\u0061"}"#,
            r#"{"address": "0x", "name": "a"}"#,
            r#"{"address": "0x11112222333344445", "name": "a"}"#,
            r#"{"address": "-0x1", "name": "a"}"#,
            r#"{"address": "16", "name": "a"}"#,
            r#"{"address": -1, "name": "a"}"#,
            r#"{"address": 4096.0, "name": "a"}"#,
            r#"{"address": 4096e3, "name": "a"}"#,
            r#"{"address": 04096, "name": "a"}"#,
            r#"{"address": 18446744073709551616, "name": "a"}"#,
            r#"{"address": 4096, "name": null}"#,
            r#"{"address": 4096, "name": "a", "library": null}"#,
            r#"{"address": 4096, "name": "a", "name": "b"}"#,
            r#"{"address": 4096, "name": "a", "more": 1}"#,
            r#"{"address": 4096}"#,
            r#"{"name": "a"}"#,
            r#"{}"#,
            r#"[1, "a"]"#,
            r#"{"address": 4096, "name": "a"} {"address": 4096, "name": "a"}"#,
            r#"{"address": 4096, "name": "a"},"#,
            r#"{"address": 4096, "name": "a",}"#,
            "{\"address\": 4096, \"name\": \"a\nb\"}",
            r#"{"address": 4096, "name": "a"#,
            r#"{"address": "4096", "name": "a"}"#,
            r#"{"address": 4096, "name": a}"#,
            r#"{"address": 4096, "name": ""}"#,
            r#"{"address": 4096, "name": "a", "library": ""}"#,
            r#"{"address": 4095, "name": "a"}"#,
            r#"{"address": "0xffffffffffffffff", "name": "a"}"#,
            r#"{"address": 4096, "name": "a", "size": 18446744073709547520}"#,
            r#"{"address": 4096, "name": "a", "align": 8192}"#,
            r#"{"address": 4096, "name": "a", "align": 0}"#,
        ] {
            assert_eq!(agree(&entry(wrong)), None, "{wrong}");
            // Behind such as are written likewise.
            let likely = r#"{"address": 4096, "name": "a"}, {"address": "0x1001", "name": "a"}, {"address": 4098, "name": "a"}"#;
            assert_eq!(agree(&entry(&format!("{likely}, {likely}, {wrong}"))), None, "{wrong}");
        }
        for other in [
            "",
            "{",
            "[]",
            "{}",
            "{\"symbols\"",
            "{\"symbols\": 1}",
            "{\"symbols\": [",
            "{\"a\": \"",
            "{\"a\": }}",
        ] {
            assert_eq!(agree(other), None, "{other}");
        }
        // Twice: the other one says so.
        assert_eq!(agree(r#"{"relocfix": 1, "symbols": [], "symbols": []}"#), Some(0));
    }

    #[test]
    fn names_are_text_each_by_itself() {
        let list = |first: &[u8], second: &[u8]| {
            let parts: [&[u8]; 5] = [
                br#"{"symbols": [{"address": 4096, "name": ""#,
                first,
                br#""}, {"address": 4097, "library": "l", "name": ""#,
                second,
                br#""}]}"#,
            ];
            parts.concat()
        };
        assert_eq!(cut_out(&list("ä".as_bytes(), b"b")).map(|(_, symbols)| symbols.len()), Some(2));
        assert!(cut_out(&list(b"\xc3", b"\xa4")).is_none());
        assert!(cut_out(&list(b"a", b"\xff")).is_none());
        let library = list(b"a", b"b").into_iter().map(|byte| if byte == b'l' { 0xe9 } else { byte });
        assert!(cut_out(&library.collect::<Vec<u8>>()).is_none());
    }

    /// Each way of writing an entry after each other one, several times.
    #[test]
    fn entries_may_be_written_in_turn() {
        let ways = [
            r#"{"address": "0x%", "name": "some_name"}"#,
            r#"{"address": "0x%", "name": "name_of_16_bytes"}"#,
            r#"{"address": "0x%", "name": "f", "size": 10}"#,
            r#"{"address": "0x%", "name": "f", "size": "0x10"}"#,
            r#"{"address": "0x%", "name": "f", "library": "l"}"#,
            r#"{"address": "0x%", "size": 10, "name": "f", "library": "m"}"#,
            "{\n  \"name\": \"ü{}\",\n  \"address\": \"0x%\",\n  \"align\": 4\n}",
        ];
        let mut written = Vec::new();
        for _ in 0..3 {
            for one in ways {
                for other in ways {
                    for way in [one, other, other, one] {
                        written.push(way.replace('%', &format!("{:x}", 0x1000 + written.len() * 16)));
                    }
                }
            }
        }
        let count = written.len();
        for between in [",", ", ", "\n  ,\n"] {
            let text = format!("{{\"relocfix\": 1, \"symbols\": [{}]}}", written.join(between));
            assert_eq!(agree(&text), Some(count));
        }
    }

    #[test]
    fn many_are_read_in_parts() {
        let entry =
            |i: u32| format!(r#"{{"address": "0x{i:x}", "name": "{{\\,name_{i}\\"}}"#).replace('\\', "");
        let entries: Vec<String> = (4096..64_096).map(entry).collect();
        let text = format!("{{\"symbols\": [{}], \"relocfix\": 1}}", entries.join(", "));
        let start = text.find('[').expect("the list") + 1;
        let part = Part::read(text.as_bytes(), start, start + 1000).expect("some entries");
        assert!(!part.is_last && text[part.end..].starts_with('{'), "{}", part.end);
        assert!((start + 1000..start + 1050).contains(&part.end), "{}", part.end);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let parts = pool.install(|| in_parts(text.as_bytes(), start));
        let (parts, end) = parts.expect("more than one part");
        let (one, one_end) = in_one(text.as_bytes(), start).expect("one part");
        assert!(parts.iter().eq(one.iter()) && end == one_end);
        assert_eq!(text.as_bytes()[end], b']');
        assert_eq!(parts.len(), 60_000);
        assert!(parts.is_ascending());
        let entries = by_the_other(&text).expect("a session map");
        assert_eq!(Some(parts.iter().collect()), symbols_of(&entries));
    }
}
