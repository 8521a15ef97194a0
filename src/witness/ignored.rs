//! What a witness may differ in, and what is no address although it looks like one, because the user says so:
//! `SECTION`, `SECTION+OFF` or `SECTION+OFF..END`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Bytes of a section that the user declares harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The section's name.
    pub section: String,
    /// From where on; none: the whole section.
    pub start: Option<u64>,
    /// Up to where, exclusive; none: the one field that begins at `start`.
    pub end: Option<u64>,
}

impl Ignored {
    /// Whether a field of a section is covered.
    pub(crate) fn covers(&self, section: &str, field: &Range<u64>) -> bool {
        self.section == section
            && match (self.start, self.end) {
                (None, _) => true,
                (Some(start), None) => start == field.start,
                (Some(start), Some(end)) => start <= field.start && field.end <= end,
            }
    }
}

impl FromStr for Ignored {
    type Err = String;

    /// Numbers are decimal, or hexadecimal after `0x`.
    fn from_str(text: &str) -> Result<Self, String> {
        let whole = |section: &str| Ignored { section: section.to_owned(), start: None, end: None };
        let Some((section, range)) = text.rsplit_once('+') else {
            return match text {
                "" => Err("a section is needed".to_owned()),
                section => Ok(whole(section)),
            };
        };
        let (start, end) = match range.split_once("..") {
            Some((start, end)) => (start, Some(end)),
            None => (range, None),
        };
        if section.is_empty() {
            return Err("a section is needed before `+`".to_owned());
        }
        let wrong =
            || format!("`{range}` is neither an offset nor OFF..END, decimal or hexadecimal after 0x");
        let start = number(start).ok_or_else(wrong)?;
        let end = end.map(|end| number(end).ok_or_else(wrong)).transpose()?;
        if end.is_some_and(|end| end <= start) {
            return Err(format!("`{range}` is empty: END is exclusive"));
        }
        Ok(Ignored { start: Some(start), end, ..whole(section) })
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.section)?;
        if let Some(start) = self.start {
            write!(f, "+{start:#x}")?;
        }
        match self.end {
            Some(end) => write!(f, "..{end:#x}"),
            None => Ok(()),
        }
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    match text.strip_prefix("0x") {
        Some(hexadecimal) if digits(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
        Some(_) => None,
        None if digits(text) => text.parse().ok(),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let parse = |text: &str| text.parse::<Ignored>();
        for text in [".text", ".text+0x12", ".text+0x12..0x20", ".text.a"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse(".data+18..32").unwrap().to_string(), ".data+0x12..0x20");
        assert_eq!(parse(".text.operator++4").unwrap().section, ".text.operator+");
        for text in
            ["", "+4", ".text+", ".text+x", ".text+-4", ".text+4..", ".text+4..4", ".text+0x", ".text+4..3"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_covered() {
        let covers = |text: &str, section: &str, field: Range<u64>| {
            text.parse::<Ignored>().unwrap().covers(section, &field)
        };
        assert!(covers(".text", ".text", 4..12));
        assert!(!covers(".text", ".data", 4..12));
        assert!(covers(".text+4", ".text", 4..12));
        assert!(!covers(".text+4", ".text", 3..11));
        assert!(covers(".text+4..12", ".text", 4..12));
        assert!(!covers(".text+4..11", ".text", 4..12));
        assert!(!covers(".text+5..12", ".text", 4..12));
    }
}
