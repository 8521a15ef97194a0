//! Where the table of types of a language-specific data area is (`.gcc_except_table`; Itanium C++ ABI "Exception
//! Handling Tables", GCC's `unwind-dw2`/`eh_personality.cc`): read only as far as to know every entry of it.

use std::collections::HashSet;
use std::ops::Range;

use gimli::constants::DwEhPe;

use crate::pointer_encoding::{self, Cursor, EncodingByte, Unreadable};

/// The table of types: pointers, the first of which ends at `base` and the others precede it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TypeTable {
    /// How its entries are spelt, all alike.
    pub(crate) encoding: EncodingByte,
    /// Their width in bytes.
    pub(crate) width: u8,
    /// Offset in the section of the first byte behind the table.
    pub(crate) base: u64,
    /// Offset in the section of the last entry that an action refers to; `base` if none does.
    pub(crate) start: u64,
    /// Offset in the section before which no entry can be: there are call sites and actions.
    pub(crate) limit: u64,
}

impl TypeTable {
    /// The table of the data area in `range` of a section; `None` if it says that it has none.
    ///
    /// # Errors
    /// Whatever is not a language-specific data area, with its place.
    pub(crate) fn read(data: &[u8], range: Range<u64>) -> Result<Option<Self>, Unreadable> {
        let mut header = Cursor::new(data, range.start, range.end);
        let start_encoding = DwEhPe(header.u8("the encoding of the landing pads' base")?);
        if !start_encoding.is_absent() {
            header.number(start_encoding, "the landing pads' base")?;
        }
        let offset = header.position();
        let encoding = DwEhPe(header.u8("the encoding of types")?);
        if encoding.is_absent() {
            return Ok(None);
        }
        let Some(width) = pointer_encoding::width(encoding) else {
            let message = format!("types have pointer encoding {:#x}, which is not supported", encoding.0);
            return Err(Unreadable { offset, message });
        };
        let distance_at = header.position();
        let distance = header.uleb128("the distance to the end of the table of types")?;
        let base = header.position().checked_add(distance).filter(|&base| base <= range.end);
        let Some(base) = base else {
            return Err(Unreadable {
                offset: distance_at,
                message: format!("the table of types ends {distance:#x} bytes on, outside of its data area"),
            });
        };
        let site_encoding = DwEhPe(header.u8("the encoding of call sites")?);
        let length = header.uleb128("the length of the call sites")?;
        let sites = header.split(length, "the table of call sites")?;
        let mut table = TypeTable {
            encoding: EncodingByte { offset, encoding },
            width,
            base,
            start: base,
            limit: header.position(),
        };
        let mut actions = Actions {
            data,
            table: header.position(),
            end: range.end,
            seen: HashSet::new(),
            seen_types: HashSet::new(),
        };
        let entries = actions.of_sites(sites, site_encoding, &mut table)?;
        table.start = entries
            .checked_mul(u64::from(width))
            .and_then(|size| base.checked_sub(size))
            .filter(|&start| start >= table.limit)
            .ok_or_else(|| Unreadable {
                offset,
                message: format!(
                    "an action refers to type {entries}, but its entry would be outside of the table"
                ),
            })?;
        Ok(Some(table))
    }

    /// Whether an entry of the table can be at that offset.
    pub(crate) fn may_hold(&self, offset: u64) -> bool {
        (self.limit..self.base).contains(&offset)
            && (self.base - offset).is_multiple_of(u64::from(self.width))
    }
}

/// Where unwinding leads in a function whose data area begins at `range.start`, as offsets in that function: the landing
/// pads of all call sites.
///
/// # Errors
/// Whatever is not a language-specific data area, with its place; an area whose landing pads count from elsewhere.
pub(crate) fn landing_pads(data: &[u8], range: Range<u64>) -> Result<Vec<u64>, Unreadable> {
    let mut header = Cursor::new(data, range.start, range.end);
    let offset = header.position();
    if !DwEhPe(header.u8("the encoding of the landing pads' base")?).is_absent() {
        let message = "landing pads that count from elsewhere than their function".to_owned();
        return Err(Unreadable { offset, message });
    }
    if !DwEhPe(header.u8("the encoding of types")?).is_absent() {
        header.uleb128("the distance to the end of the table of types")?;
    }
    let encoding = DwEhPe(header.u8("the encoding of call sites")?);
    let length = header.uleb128("the length of the call sites")?;
    let mut sites = header.split(length, "the table of call sites")?;
    let mut pads = Vec::new();
    while !sites.is_empty() {
        for what in ["the start of a call site", "its length"] {
            sites.number(encoding, what)?;
        }
        let pad = sites.number(encoding, "the landing pad of a call site")?;
        sites.uleb128("the action of a call site")?;
        // 0: there is none, and unwinding goes on.
        if pad != 0 {
            pads.push(pad);
        }
    }
    pads.sort_unstable();
    pads.dedup();
    Ok(pads)
}

/// The lists of what to catch at each call site.
struct Actions<'d> {
    data: &'d [u8],
    /// Where they begin.
    table: u64,
    /// Where the data area ends.
    end: u64,
    /// Offsets of actions read already: lists share their tails, and hostile ones run in circles.
    seen: HashSet<u64>,
    /// Likewise of types in exception specifications.
    seen_types: HashSet<u64>,
}

impl Actions<'_> {
    /// The greatest index of a type that any action refers to, counted from 1.
    fn of_sites(
        &mut self,
        mut sites: Cursor<'_>,
        encoding: DwEhPe,
        table: &mut TypeTable,
    ) -> Result<u64, Unreadable> {
        let mut greatest = 0;
        while !sites.is_empty() {
            for what in ["the start of a call site", "its length", "its landing pad"] {
                sites.number(encoding, what)?;
            }
            let action = sites.uleb128("the action of a call site")?;
            let Some(action) = action.checked_sub(1) else {
                continue;
            };
            greatest = greatest.max(self.of_list(self.table.saturating_add(action), table)?);
        }
        Ok(greatest)
    }

    fn of_list(&mut self, mut offset: u64, table: &mut TypeTable) -> Result<u64, Unreadable> {
        let mut greatest = 0;
        while self.seen.insert(offset) {
            let mut record = Cursor::new(self.data, offset, self.end);
            let filter = record.sleb128("the filter of an action")?;
            let next_at = record.position();
            let next = record.sleb128("the distance to the next action")?;
            table.limit = table.limit.max(record.position());
            greatest = greatest.max(match filter {
                1.. => filter.unsigned_abs(),
                0 => 0,
                // A list of the types that a function may throw, behind the table, counted in bytes.
                ..0 => self.of_specification(table.base.saturating_add(filter.unsigned_abs() - 1))?,
            });
            if next == 0 {
                break;
            }
            offset = next_at.checked_add_signed(next).unwrap_or(u64::MAX);
        }
        Ok(greatest)
    }

    fn of_specification(&mut self, offset: u64) -> Result<u64, Unreadable> {
        let mut greatest = 0;
        let mut list = Cursor::new(self.data, offset, self.end);
        while self.seen_types.insert(list.position()) {
            match list.uleb128("a type in an exception specification")? {
                0 => break,
                index => greatest = greatest.max(index),
            }
        }
        Ok(greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GCC 12, `-O1 -std=c++14 -fno-pic -mcmodel=large`, of
    /// `int limited(int n) throw(int, A) { return leaf(n); }`: two types, and behind them the list of both.
    const SPECIFICATION: &[u8] = b"\xff\x00\x1d\x01\x08\x0e\x02\x12\x01\x25\x0e\x00\x00\x7f\x00\x00\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\x00";

    /// The same compiler, of `try { … } catch (B&) { … } catch (...) { … }`: B, and a null pointer.
    const CATCH: &[u8] = b"\xff\x00\x25\x01\x08\x0e\x02\x12\x03\x53\x02\x00\x00\x02\x00\x01\
        \x7d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

    fn read(data: &[u8]) -> Result<Option<TypeTable>, Unreadable> {
        TypeTable::read(data, 0..data.len() as u64)
    }

    fn message(data: &[u8]) -> (u64, String) {
        let unreadable = read(data).expect_err("refused");
        (unreadable.offset, unreadable.message)
    }

    #[test]
    fn an_exception_specification_refers_to_types() {
        let table = read(SPECIFICATION).expect("readable").expect("a table");
        assert_eq!(table.encoding, EncodingByte { offset: 1, encoding: DwEhPe(0) });
        assert_eq!((table.start, table.base, table.width), (16, 32, 8));
        assert!(!table.may_hold(8) && table.may_hold(16) && table.may_hold(24) && !table.may_hold(32));
    }

    #[test]
    fn landing_pads_are_those_of_all_call_sites() {
        let pads = |data: &[u8]| landing_pads(data, 0..data.len() as u64);
        assert_eq!(pads(SPECIFICATION).expect("readable"), [0x12]);
        assert_eq!(pads(CATCH).expect("readable"), [0x12]);
        pads(&SPECIFICATION[..9]).expect_err("cut off");
        pads(&[0x00, 0, 0, 0]).expect_err("another base");
    }

    #[test]
    fn an_exception_specification_is_read_from_its_start() {
        let mut only_second = SPECIFICATION.to_vec();
        only_second[32..].copy_from_slice(&[2, 1, 0]);
        let table = read(&only_second).expect("readable").expect("a table");
        assert_eq!(table.start, 16);
        only_second[32..].copy_from_slice(&[1, 0, 2]);
        let table = read(&only_second).expect("readable").expect("a table");
        assert_eq!(table.start, 24, "what follows the zero is another list");
    }

    #[test]
    fn a_list_of_catches_refers_to_types() {
        let mut shifted = vec![0xaa; 3];
        shifted.extend_from_slice(CATCH);
        let table = TypeTable::read(&shifted, 3..43).expect("readable").expect("a table");
        assert_eq!((table.encoding.offset, table.start, table.base, table.width), (4, 27, 43, 8));
    }

    #[test]
    fn a_padded_distance_is_the_same_distance() {
        // LLVM pads the number so that the table is aligned without knowing its size.
        let mut padded = CATCH.to_vec();
        padded.splice(2..3, [0xa5, 0x80, 0x00]);
        let table = read(&padded).expect("readable").expect("a table");
        assert_eq!((table.start, table.base), (26, 42));
    }

    #[test]
    fn without_types_there_is_no_table() {
        assert_eq!(read(b"\xff\xff\x01\x00"), Ok(None));
    }

    #[test]
    fn lists_in_a_circle_end() {
        // One call site with action 1: type 1, and the next action is itself.
        let data = b"\xff\x03\x0c\x01\x04\x00\x00\x00\x01\x01\x7f\0\0\0\0";
        let table = read(data).expect("readable").expect("a table");
        assert_eq!((table.limit, table.start, table.base), (11, 11, 15));
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_place() {
        let mut outside = CATCH.to_vec();
        outside[2] = 0x26;
        assert_eq!(
            message(&outside),
            (2, "the table of types ends 0x26 bytes on, outside of its data area".to_owned())
        );
        let mut many = CATCH.to_vec();
        many[13] = 9;
        assert!(message(&many).1.contains("refers to type"), "{:?}", message(&many));
        let mut aligned = CATCH.to_vec();
        aligned[1] = 0x50;
        assert_eq!(message(&aligned).0, 1);
        let mut sites = CATCH.to_vec();
        sites[4] = 0x70;
        assert_eq!(message(&sites).0, 5);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for sample in [SPECIFICATION, CATCH] {
            for end in 0..sample.len() {
                let _ = read(&sample[..end]);
            }
            for position in 0..sample.len() {
                for value in 0..=255 {
                    let mut data = sample.to_vec();
                    data[position] = value;
                    if let Ok(Some(table)) = read(&data) {
                        assert!(table.limit <= table.start && table.start <= table.base);
                        assert!(table.base <= data.len() as u64);
                    }
                }
            }
        }
    }
}
