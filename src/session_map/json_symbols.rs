//! The list `symbols` of a session map, read by hand: there can be millions of entries, nearly all written in the same few
//! ways, and a reader of all of JSON takes ten times as long. Whatever is written another way, and whatever is wrong, is
//! left to that reader.

use rayon::prelude::*;

use super::json::{Object, SymbolEntry, Unsigned};

/// A shorter text is not worth being read in parts.
const PART: usize = 1 << 20;
/// What an entry takes in a text, at least: to know how many there may be.
const ENTRY: usize = 48;

/// The entries, and the text with an empty list in place of theirs; `None`: there is no such list, or it is not to be read
/// here.
pub(super) fn cut_out(text: &[u8]) -> Option<(Vec<u8>, Vec<Object<SymbolEntry>>)> {
    let text = std::str::from_utf8(text).ok()?;
    let mut reader = Reader { text, at: 0 };
    reader.eat(b'{')?;
    while reader.string()? != "symbols" {
        reader.eat(b':')?;
        reader.skip_value()?;
        reader.eat(b',')?;
    }
    reader.eat(b':')?;
    reader.eat(b'[')?;
    let start = reader.at;
    let (symbols, end) = match reader.next()? {
        b']' => (Vec::new(), reader.at),
        _ => in_parts(text, start).or_else(|| in_one(text, start))?,
    };
    let rest = text.get(end..)?;
    Some(([text.get(..start)?, rest].concat().into_bytes(), symbols))
}

/// The entries of the list whose first one starts there, and where the list ends.
fn in_one(text: &str, start: usize) -> Option<(Vec<Object<SymbolEntry>>, usize)> {
    let mut part = Part::read(text, start, text.len())?;
    part.is_last.then(|| (std::mem::take(&mut part.entries), part.end))
}

/// The same by several threads. Where an entry starts in the middle of the text can only be guessed: it was right if what
/// comes before ends there.
fn in_parts(text: &str, start: usize) -> Option<(Vec<Object<SymbolEntry>>, usize)> {
    let count = rayon::current_num_threads().min((text.len() - start) / PART);
    if count < 2 {
        return None;
    }
    let guess = |i: usize| {
        let from = start + (text.len() - start) / count * i;
        let mut braces = memchr::memchr_iter(b'{', text.as_bytes().get(from..)?).map(|at| from + at);
        // In a name there may be one, too.
        braces.find(|&at| Reader { text, at }.entry().is_some())
    };
    let mut starts = vec![start];
    starts.extend((1..count).map_while(guess));
    starts.dedup();
    let read = |i: usize| {
        let until = starts.get(i + 1).copied().unwrap_or(text.len());
        Part::read(text, starts[i], until)
    };
    let parts: Vec<Option<Part>> = (0..starts.len()).into_par_iter().map(read).collect();
    let mut entries = Vec::new();
    let mut next = start;
    for (part, start) in parts.into_iter().zip(&starts) {
        let mut part = part.filter(|_| *start == next)?;
        if entries.is_empty() {
            entries = part.entries;
        } else {
            entries.append(&mut part.entries);
        }
        if part.is_last {
            return Some((entries, part.end));
        }
        next = part.end;
    }
    None
}

/// Some entries.
struct Part {
    entries: Vec<Object<SymbolEntry>>,
    /// Where the next entry starts, or the list's end.
    end: usize,
    is_last: bool,
}

impl Part {
    /// Reads from the start of an entry to the first one that does not start before `until`.
    fn read(text: &str, start: usize, until: usize) -> Option<Self> {
        let mut reader = Reader { text, at: start };
        let mut entries = Vec::with_capacity(until.saturating_sub(start) / ENTRY);
        let is_last = loop {
            entries.push(Object(reader.entry()?));
            match reader.next()? {
                b',' => reader.at += 1,
                b']' => break true,
                _ => return None,
            }
            reader.next()?;
            if reader.at >= until {
                break false;
            }
        };
        Some(Part { entries, end: reader.at, is_last })
    }
}

/// The bytes that end a string, or make it one that is not read here: `"`, `\`, and control characters.
const ENDS_STRING: [bool; 256] = {
    let mut ends = [false; 256];
    let mut byte = 0;
    while byte < b' ' as usize {
        ends[byte] = true;
        byte += 1;
    }
    ends[b'"' as usize] = true;
    ends[b'\\' as usize] = true;
    ends
};

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
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// The next byte that is no white space, which stays the next.
    fn next(&mut self) -> Option<u8> {
        loop {
            match *self.text.as_bytes().get(self.at)? {
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

    /// A string without escapes.
    fn string(&mut self) -> Option<&'t str> {
        self.eat(b'"')?;
        let rest = self.text.as_bytes().get(self.at..)?;
        let length = rest.iter().position(|&byte| ENDS_STRING[usize::from(byte)])?;
        let string = self.text.get(self.at..self.at + length)?;
        self.at += length + 1;
        (rest[length] == b'"').then_some(string)
    }

    /// A non-negative integer in decimal, or in hexadecimal as a string.
    fn unsigned(&mut self) -> Option<u64> {
        let hexadecimal = self.next()? == b'"';
        if hexadecimal {
            self.at += 1;
            self.word("0x").then_some(())?;
        }
        let base = if hexadecimal { 16 } else { 10 };
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit) = self.text.as_bytes().get(self.at).map(|&byte| DIGITS[usize::from(byte)])
            && u64::from(digit) < base
        {
            number = number.checked_mul(base)?.checked_add(digit.into())?;
            self.at += 1;
        }
        let digits = self.text.as_bytes().get(start..self.at)?;
        let end = *self.text.as_bytes().get(self.at)?;
        // A fraction, an exponent, a zero in front: not here.
        let plain = match hexadecimal {
            true => end == b'"',
            false => {
                !matches!(end, b'.' | b'e' | b'E') && (digits.len() == 1 || digits.first() != Some(&b'0'))
            }
        };
        self.at += usize::from(hexadecimal);
        (plain && !digits.is_empty()).then_some(number)
    }

    /// Goes on behind these characters, if they are next.
    fn word(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()));
        self.at += if found { word.len() } else { 0 };
        found
    }

    /// An entry with each key once.
    fn entry(&mut self) -> Option<SymbolEntry> {
        let (mut address, mut size, mut align) = (None, None, None);
        let (mut name, mut library) = (None, None);
        self.eat(b'{')?;
        loop {
            self.next()?;
            let number = [("\"address\"", &mut address), ("\"size\"", &mut size), ("\"align\"", &mut align)];
            let text = [("\"name\"", &mut name), ("\"library\"", &mut library)];
            let twice = if let Some((_, number)) = number.into_iter().find(|(key, _)| self.word(key)) {
                self.eat(b':')?;
                number.replace(Unsigned(self.unsigned()?)).is_some()
            } else if let Some((_, text)) = text.into_iter().find(|(key, _)| self.word(key)) {
                self.eat(b':')?;
                text.replace(self.string()?.to_owned()).is_some()
            } else {
                true
            };
            if twice {
                return None;
            }
            match self.next()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(SymbolEntry { address: address?, name: name?, size: size.unwrap_or_default(), library, align })
    }

    /// Goes behind a value, whatever it is; if it is none, that will be found out where it is read.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.next()? {
                b'"' => {
                    self.at += 1;
                    loop {
                        let bytes = self.text.as_bytes();
                        self.at += memchr::memchr2(b'"', b'\\', bytes.get(self.at..)?)?;
                        // An escape has one more byte at least, and those behind it are none of these.
                        let escape = bytes[self.at] == b'\\';
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
    use super::super::json::Document;
    use super::*;

    /// What the reader of all of JSON finds; `None`: it refuses the text.
    fn by_the_other(text: &str) -> Option<Vec<Object<SymbolEntry>>> {
        let read = serde_json::from_str::<Object<Document>>(text);
        read.ok().map(|document| document.0.symbols)
    }

    /// Both together: what was cut out is what the other one reads in the whole text, and what is left is read by it.
    fn agree(text: &str) -> Option<usize> {
        let (rest, symbols) = cut_out(text.as_bytes())?;
        let rest = by_the_other(std::str::from_utf8(&rest).expect("text"));
        assert_eq!(rest.as_deref().map(<[_]>::len), by_the_other(text).map(|_| 0), "{text}");
        if let Some(whole) = by_the_other(text) {
            assert_eq!(symbols, whole, "{text}");
        }
        Some(symbols.len())
    }

    #[test]
    fn lists_are_read_as_they_are() {
        let list =
            |list: &str| format!("{{\"relocfix\": 1, \"symbols\": [{list}], \"machine\": \"x86_64\"}}");
        for (entries, count) in [
            ("", 0),
            (r#"{"address": "0x10", "name": "a"}"#, 1),
            (
                r#"{"address": 16, "name": "a", "size": 8},{"name":"b","library":"l.so","address":"0xfFfFfFfFfFfFfFfF"}"#,
                2,
            ),
            (
                "\n{ \"align\" : 64 ,\t\"address\" : 0 , \"name\" : \"}],{\" }\r\n , {\"address\": 18446744073709551615, \"name\": \"ü\"} ",
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
            agree(r#"{"relocfix": 1, "ready": [{"symbol": "f"}], "symbols": [{"address": 1, "name": "a"}]}"#),
            Some(1)
        );
    }

    #[test]
    fn what_is_written_otherwise_is_left() {
        let entry = |entry: &str| format!("{{\"relocfix\": 1, \"symbols\": [{entry}]}}");
        for wrong in [
            r#"{"address": "0x10", "name": "\u0061"}"#,
            r#"{"address": "0x", "name": "a"}"#,
            r#"{"address": "0x11112222333344445", "name": "a"}"#,
            r#"{"address": "-0x1", "name": "a"}"#,
            r#"{"address": "16", "name": "a"}"#,
            r#"{"address": -1, "name": "a"}"#,
            r#"{"address": 1.0, "name": "a"}"#,
            r#"{"address": 1e3, "name": "a"}"#,
            r#"{"address": 01, "name": "a"}"#,
            r#"{"address": 18446744073709551616, "name": "a"}"#,
            r#"{"address": 1, "name": null}"#,
            r#"{"address": 1, "name": "a", "library": null}"#,
            r#"{"address": 1, "name": "a", "name": "b"}"#,
            r#"{"address": 1, "name": "a", "more": 1}"#,
            r#"{"address": 1}"#,
            r#"{"name": "a"}"#,
            r#"{}"#,
            r#"[1, "a"]"#,
            r#"{"address": 1, "name": "a"} {"address": 1, "name": "a"}"#,
            r#"{"address": 1, "name": "a"},"#,
            r#"{"address": 1, "name": "a",}"#,
            "{\"address\": 1, \"name\": \"a\nb\"}",
            r#"{"address": 1, "name": "a"#,
        ] {
            assert_eq!(agree(&entry(wrong)), None, "{wrong}");
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
    fn many_are_read_in_parts() {
        let entry =
            |i: u32| format!(r#"{{"address": "0x{i:x}", "name": "{{\\,name_{i}\\"}}"#).replace('\\', "");
        let entries: Vec<String> = (1..60_000).map(entry).collect();
        let text = format!("{{\"symbols\": [{}], \"relocfix\": 1}}", entries.join(", "));
        let start = text.find('[').expect("the list") + 1;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let parts = pool.install(|| in_parts(&text, start));
        let (parts, end) = parts.expect("more than one part");
        assert_eq!(Some((&parts, end)), in_one(&text, start).as_ref().map(|(one, end)| (one, *end)));
        assert_eq!(text.as_bytes()[end], b']');
        assert_eq!(parts.len(), 59_999);
        assert_eq!(parts, by_the_other(&text).expect("a session map"));
    }
}
