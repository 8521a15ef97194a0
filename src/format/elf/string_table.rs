//! String tables: names looked up in time that does not depend on their length, and tables built anew from
//! the names in use, so that a replaced name is nowhere left.

use foldhash::HashMap;

/// A string table of the input.
#[derive(Debug)]
pub(super) struct StringTable<'d> {
    text: &'d str,
    /// Where the NULs are: a hostile table is one long string that every symbol names anew, and searching its
    /// end for each would take quadratic time.
    ends: Vec<u32>,
}

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
        let ends = data.iter().enumerate().filter(|&(_, &b)| b == 0).map(|(i, _)| i as u32).collect();
        Ok(StringTable { text, ends })
    }

    /// The name at an offset; `None` outside of the table or inside a character.
    pub(super) fn get(&self, offset: u32) -> Option<&'d str> {
        if offset == 0 {
            return Some("");
        }
        let next = self.ends.partition_point(|&end| end < offset);
        let end = *self.ends.get(next)?;
        self.text.get(offset as usize..end as usize)
    }
}

/// A string table being built. What it holds and in which order depends on the set of names alone, so that
/// objects that differ only in replaced names come out equal.
#[derive(Debug, Default)]
pub(super) struct StringTableBuilder<'a> {
    offsets: HashMap<&'a str, u32>,
}

impl<'a> StringTableBuilder<'a> {
    /// Adds a name.
    pub(super) fn add(&mut self, name: &'a str) {
        if !name.is_empty() {
            self.offsets.insert(name, 0);
        }
    }

    /// Lays the table out: each name once, and one that ends another only inside it, as assemblers do.
    ///
    /// # Errors
    /// A name with a NUL in it, or 4 GiB of names.
    pub(super) fn build(mut self) -> std::result::Result<BuiltStringTable<'a>, String> {
        let mut names: Vec<(u64, &'a str)> = self.offsets.keys().map(|name| (ending(name), *name)).collect();
        if let Some((_, name)) = names.iter().find(|(_, name)| memchr::memchr(0, name.as_bytes()).is_some()) {
            return Err(format!("the name {name:?} has a NUL in it"));
        }
        // Read backwards and descending, each name directly follows one that it ends, if there is one.
        names.sort_unstable_by(|(a_ending, a), (b_ending, b)| {
            b_ending.cmp(a_ending).then_with(|| b.bytes().rev().cmp(a.bytes().rev()))
        });
        let mut data = vec![0];
        let mut previous: (&str, usize) = ("", 0);
        for (_, name) in names {
            let offset = if previous.0.ends_with(name) {
                previous.1 + (previous.0.len() - name.len())
            } else {
                let offset = data.len();
                data.extend(name.as_bytes());
                data.push(0);
                offset
            };
            previous = (name, offset);
            if let (Ok(at), Some(slot)) = (u32::try_from(offset), self.offsets.get_mut(name)) {
                *slot = at;
            }
        }
        if u32::try_from(data.len()).is_err() {
            return Err("the names need 4 GiB or more".to_owned());
        }
        Ok(BuiltStringTable { data, offsets: self.offsets })
    }
}

/// The last eight bytes of a name, which come first in the order of the table; of a shorter one zeros before them.
fn ending(name: &str) -> u64 {
    name.bytes()
        .rev()
        .chain(std::iter::repeat(0))
        .take(8)
        .fold(0, |ending, byte| ending << 8 | u64::from(byte))
}

/// A string table of the output.
#[derive(Debug)]
pub(super) struct BuiltStringTable<'a> {
    /// Its bytes.
    pub(super) data: Vec<u8>,
    offsets: HashMap<&'a str, u32>,
}

impl BuiltStringTable<'_> {
    /// Where a name is that was added; the empty name is at 0.
    pub(super) fn offset(&self, name: &str) -> u32 {
        self.offsets.get(name).copied().unwrap_or(0)
    }
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
        for name in names {
            assert_eq!(read.get(built.offset(name)), Some(name));
        }
        assert_eq!(built.data.len(), 1 + ".rela.text".len() + 1 + "fputs".len() + 1 + 2);
        let mut reversed = names;
        reversed.reverse();
        assert_eq!(build(&reversed).data, built.data);
        let mut builder = StringTableBuilder::default();
        builder.add("a\0b");
        assert!(builder.build().is_err());
    }
}
