//! How exception tables spell pointers (`DW_EH_PE_*`, LSB "DWARF Extensions"), and a bounds-checked walk over
//! such bytes that knows where it is. Decides nothing about what the pointers mean.

use gimli::constants::{self as pe, DwEhPe};
use gimli::{EndianSlice, LittleEndian, Reader};

/// The byte that says how one or more pointers are spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodingByte {
    /// Its offset in the section.
    pub offset: u64,
    /// What it says.
    pub encoding: DwEhPe,
}

/// Width in bytes of a pointer so spelt on a 64-bit machine; `None` for LEB128, `DW_EH_PE_aligned`, and what is
/// not defined.
pub(crate) fn width(encoding: DwEhPe) -> Option<u8> {
    if encoding.application() == pe::DW_EH_PE_aligned {
        return None;
    }
    match encoding.format() {
        pe::DW_EH_PE_absptr | pe::DW_EH_PE_udata8 | pe::DW_EH_PE_sdata8 => Some(8),
        pe::DW_EH_PE_udata4 | pe::DW_EH_PE_sdata4 => Some(4),
        pe::DW_EH_PE_udata2 | pe::DW_EH_PE_sdata2 => Some(2),
        _ => None,
    }
}

/// Pc-relative with the same width, optionally to a pointer-sized variable that holds the address. Signed,
/// because a distance can be negative. `None` if there is no such encoding or the old one is not an absolute
/// address in place.
pub(crate) fn relative(encoding: DwEhPe, indirect: bool) -> Option<DwEhPe> {
    if encoding.application() != pe::DW_EH_PE_absptr || encoding.is_indirect() {
        return None;
    }
    let format = match width(encoding)? {
        8 => pe::DW_EH_PE_sdata8,
        4 => pe::DW_EH_PE_sdata4,
        _ => return None,
    };
    let through = if indirect { pe::DW_EH_PE_indirect.0 } else { 0 };
    Some(DwEhPe(format.0 | pe::DW_EH_PE_pcrel.0 | through))
}

/// Bytes of a section from some offset to some end, read one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'d> {
    rest: EndianSlice<'d, LittleEndian>,
    end: u64,
}

/// What could not be read, and at which offset of the section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Offset in the section.
    pub(crate) offset: u64,
    /// What was expected there.
    pub(crate) message: String,
}

impl<'d> Cursor<'d> {
    /// `start..end` of a section's contents; what lies beyond them is cut off.
    pub(crate) fn new(data: &'d [u8], start: u64, end: u64) -> Self {
        let end = end.min(data.len() as u64);
        let start = start.min(end);
        Cursor { rest: EndianSlice::new(&data[start as usize..end as usize], LittleEndian), end }
    }

    /// Offset in the section of what comes next.
    pub(crate) fn position(&self) -> u64 {
        self.end - self.rest.len() as u64
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `length` bytes as a cursor of their own; this one goes on behind them.
    pub(crate) fn split(&mut self, length: u64, what: &str) -> Result<Cursor<'d>, Unreadable> {
        let position = self.position();
        let length = usize::try_from(length).ok().filter(|&length| length <= self.rest.len());
        let Some(length) = length else {
            return Err(Unreadable {
                offset: position,
                message: format!("{what} does not fit in the {} bytes that are left", self.rest.len()),
            });
        };
        let rest = self.read(what, |rest| rest.split(length))?;
        Ok(Cursor { rest, end: position + length as u64 })
    }

    /// A byte.
    pub(crate) fn u8(&mut self, what: &str) -> Result<u8, Unreadable> {
        self.read(what, Reader::read_u8)
    }

    /// A 32-bit word.
    pub(crate) fn u32(&mut self, what: &str) -> Result<u32, Unreadable> {
        self.read(what, Reader::read_u32)
    }

    /// An unsigned LEB128 number.
    pub(crate) fn uleb128(&mut self, what: &str) -> Result<u64, Unreadable> {
        self.read(what, Reader::read_uleb128)
    }

    /// A signed LEB128 number.
    pub(crate) fn sleb128(&mut self, what: &str) -> Result<i64, Unreadable> {
        self.read(what, Reader::read_sleb128)
    }

    /// A NUL-terminated string without its NUL.
    pub(crate) fn string(&mut self, what: &str) -> Result<&'d [u8], Unreadable> {
        self.read(what, Reader::read_null_terminated_slice).map(|s| s.slice())
    }

    /// A number so spelt; how it applies (absolute, pc-relative) is not looked at, signs are not extended.
    pub(crate) fn number(&mut self, encoding: DwEhPe, what: &str) -> Result<u64, Unreadable> {
        match (width(encoding), encoding.format()) {
            (Some(width), _) => self.read(what, |rest| rest.read_uint(usize::from(width))),
            (None, pe::DW_EH_PE_uleb128) => self.uleb128(what),
            (None, pe::DW_EH_PE_sleb128) => self.sleb128(what).map(|n| n as u64),
            (None, _) => Err(Unreadable {
                offset: self.position(),
                message: format!("{what} has pointer encoding {:#x}, which is not supported", encoding.0),
            }),
        }
    }

    fn read<T>(
        &mut self,
        what: &str,
        read: impl FnOnce(&mut EndianSlice<'d, LittleEndian>) -> gimli::Result<T>,
    ) -> Result<T, Unreadable> {
        let offset = self.position();
        read(&mut self.rest).map_err(|error| Unreadable {
            offset,
            message: match error {
                gimli::Error::UnexpectedEof(_) => format!("{what} expected, but the data ends"),
                other => format!("{what} expected: {other}"),
            },
        })
    }
}
