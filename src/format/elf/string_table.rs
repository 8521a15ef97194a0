//! String tables: names looked up in time that does not depend on their length, and tables built anew from
//! the names in use, so that a replaced name is nowhere left.

use std::cmp::Ordering;
use std::sync::OnceLock;

use rayon::prelude::*;

/// A string table of the input.
#[derive(Debug)]
pub(super) struct StringTable<'d> {
    text: &'d str,
    /// Where the NULs are, if anyone asked for a long name: a hostile table is one long string that every symbol names anew, and
    /// searching its end for each would take quadratic time.
    ends: OnceLock<Vec<u32>>,
}

/// In so many bytes the end of a name is searched for first.
const SHORT: usize = 128;

impl<'d> StringTable<'d> {
    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong with it, and the offset in it.
    pub(super) fn parse(data: &'d [u8]) -> Result<Self, (u64, &'static str)> {
        let text = std::str::from_utf8(data).map_err(|e| (e.valid_up_to() as u64, "names are not UTF-8"))?;
        if data.first().is_some_and(|&b| b != 0) {
            return Err((0, "a string table begins with a NUL"));
        }
        if data.last().is_some_and(|&b| b != 0) {
            return Err((data.len() as u64 - 1, "the last name has no NUL at its end"));
        }
        if u32::try_from(data.len()).is_err() {
            return Err((1 << 32, "a string table is smaller than 4 GiB"));
        }
        Ok(StringTable { text, ends: OnceLock::new() })
    }

    /// The name at an offset; `None` outside of the table or inside a character.
    pub(super) fn get(&self, offset: u32) -> Option<&'d str> {
        if offset == 0 {
            return Some("");
        }
        let start = offset as usize;
        let rest = self.text.as_bytes().get(start..)?;
        let end = match memchr::memchr(0, &rest[..rest.len().min(SHORT)]) {
            Some(length) => start + length,
            None => {
                let ends = self.ends();
                *ends.get(ends.partition_point(|&end| end < offset))? as usize
            }
        };
        self.text.get(start..end)
    }

    fn ends(&self) -> &[u32] {
        self.ends.get_or_init(|| memchr::memchr_iter(0, self.text.as_bytes()).map(|end| end as u32).collect())
    }
}

/// A string table being built. What it holds and in which order depends on the set of names alone, so that
/// objects that differ only in replaced names come out equal.
#[derive(Debug, Default)]
pub(super) struct StringTableBuilder<'a> {
    names: Vec<Name<'a>>,
}

/// A name, and which one it was.
#[derive(Debug, Clone, Copy)]
struct Name<'a> {
    ending: u64,
    text: &'a str,
    index: u32,
}

impl<'a> StringTableBuilder<'a> {
    /// Makes room for so many more names.
    pub(super) fn reserve(&mut self, count: usize) {
        self.names.reserve(count);
    }

    /// Adds a name; [`BuiltStringTable::offsets`] has them in the order in which they were added.
    pub(super) fn add(&mut self, name: &'a str) {
        // As many as there are symbols and sections, whose numbers have 32 bits.
        let index = self.names.len() as u32;
        self.names.push(Name { ending: ending(name, 0), text: name, index });
    }

    /// Lays the table out: each name once, and one that ends another only inside it, as assemblers do.
    ///
    /// # Errors
    /// A name with a NUL in it, or 4 GiB of names.
    pub(super) fn build(mut self) -> std::result::Result<BuiltStringTable, String> {
        let with_nul =
            self.names.par_iter().find_first(|name| memchr::memchr(0, name.text.as_bytes()).is_some());
        if let Some(Name { text, .. }) = with_nul {
            return Err(format!("the name {text:?} has a NUL in it"));
        }
        // Read backwards and descending, each name directly follows one that it ends, if there is one.
        self.names
            .par_sort_unstable_by(|a, b| b.ending.cmp(&a.ending).then_with(|| backwards(b.text, a.text)));
        let mut offsets = vec![0; self.names.len()];
        let most: usize = self.names.iter().map(|name| name.text.len() + 1).sum();
        let mut data = Vec::with_capacity(most + 1);
        data.push(0);
        let mut previous: (&str, usize) = ("", 0);
        for Name { text, index, .. } in self.names {
            let offset = match text.len() {
                0 => 0,
                length if previous.0.ends_with(text) => previous.1 + (previous.0.len() - length),
                _ => {
                    let offset = data.len();
                    data.extend(text.as_bytes());
                    data.push(0);
                    offset
                }
            };
            previous = (text, offset);
            offsets[index as usize] = offset as u32;
        }
        if u32::try_from(data.len()).is_err() {
            return Err("the names need 4 GiB or more".to_owned());
        }
        Ok(BuiltStringTable { data, offsets })
    }
}

/// Eight bytes of a name that `behind` bytes follow in it, the last one first; where there are none zeros.
fn ending(name: &str, behind: usize) -> u64 {
    let rest = &name.as_bytes()[..name.len().saturating_sub(behind)];
    match rest.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |word, &byte| word >> 8 | u64::from(byte) << 56),
    }
}

/// The order of two names without a NUL, read from their ends.
fn backwards(a: &str, b: &str) -> Ordering {
    let mut behind = 0;
    while behind < a.len().max(b.len()) {
        let order = ending(a, behind).cmp(&ending(b, behind));
        if order != Ordering::Equal {
            return order;
        }
        behind += 8;
    }
    Ordering::Equal
}

/// A string table of the output.
#[derive(Debug)]
pub(super) struct BuiltStringTable {
    /// Its bytes.
    pub(super) data: Vec<u8>,
    /// Where each name is that was added; the empty name is at 0.
    pub(super) offsets: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_offset() {
        let table = StringTable::parse(b"\0.rela.text\0\xc3\xa4\0").unwrap();
        assert_eq!(table.get(0), Some(""));
        assert_eq!(table.get(1), Some(".rela.text"));
        assert_eq!(table.get(6), Some(".text"));
        assert_eq!(table.get(11), Some(""));
        assert_eq!(table.get(12), Some("ä"));
        assert_eq!(table.get(13), None, "inside a character");
        assert_eq!(table.get(15), None);
        for length in [SHORT - 1, SHORT, SHORT + 1, 3 * SHORT] {
            let (first, second) = ("a".repeat(length), "b".repeat(length));
            let bytes = format!("\0{first}\0{second}\0");
            let table = StringTable::parse(bytes.as_bytes()).unwrap();
            assert_eq!(table.get(1), Some(&*first));
            assert_eq!(table.get(3), Some(&first[2..]));
            assert_eq!(table.get(length as u32 + 1), Some(""));
            assert_eq!(table.get(length as u32 + 2), Some(&*second));
            assert_eq!(table.get(2 * length as u32 + 2), Some(""));
            assert_eq!(table.get(2 * length as u32 + 3), None);
        }
        assert_eq!(StringTable::parse(b"").unwrap().get(0), Some(""));
        assert_eq!(StringTable::parse(b"").unwrap().get(1), None);
        assert_eq!(StringTable::parse(b"a\0").unwrap_err().0, 0);
        assert_eq!(StringTable::parse(b"\0ab").unwrap_err().0, 2);
        assert_eq!(StringTable::parse(b"\0a\xff\0").unwrap_err().0, 2);
    }

    #[test]
    fn built_tables_share_endings_and_depend_on_the_set_alone() {
        let names = [".text", ".rela.text", "", "puts", "fputs", ".text", "x"];
        let build = |names: &[&'static str]| {
            let mut builder = StringTableBuilder::default();
            names.iter().for_each(|n| builder.add(n));
            builder.build().unwrap()
        };
        let built = build(&names);
        let read = StringTable::parse(&built.data).unwrap();
        for (name, offset) in names.iter().zip(&built.offsets) {
            assert_eq!(read.get(*offset), Some(*name));
        }
        assert_eq!(built.data.len(), 1 + ".rela.text".len() + 1 + "fputs".len() + 1 + 2);
        let mut reversed = names;
        reversed.reverse();
        assert_eq!(build(&reversed).data, built.data);
        // Alike in the last eight bytes and more.
        let alike = ["c.name+0x5000", "d.tame+0x5000", "name+0x5000", "ame+0x5000", "+0x5000"];
        let built = build(&alike);
        let whole: usize = alike[..2].iter().map(|name| name.len() + 1).sum();
        assert_eq!(built.data.len(), 1 + whole);
        let mut builder = StringTableBuilder::default();
        builder.add("a\0b");
        assert!(builder.build().is_err());
    }
}
