//! String tables: names looked up in time that does not depend on their length, and tables built anew from
//! the names in use, so that a replaced name is nowhere left.

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
        let ends = data
            .iter()
            .enumerate()
            .filter(|&(_, &b)| b == 0)
            .map(|(i, _)| i as u32)
            .collect();
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
