//! ELF64, little-endian (System V gABI and its AMD64 supplement).

use crate::edits::Edits;
use crate::error::Result;
use crate::object_file::ObjectFile;

pub(super) fn identify(_name: &str, _bytes: &[u8]) -> Result<()> {
    Ok(())
}

pub(super) fn read<'d>(_name: &'d str, _bytes: &'d [u8]) -> Result<ObjectFile<'d>> {
    unimplemented!()
}

pub(super) fn write(_object: &ObjectFile<'_>, _edits: &Edits) -> Result<Vec<u8>> {
    unimplemented!()
}
