//! stub
use crate::edits::Edits;
use crate::error::Result;
use crate::object_file::ObjectFile;

pub(in crate::format) fn write(_object: &ObjectFile<'_>, _edits: &Edits) -> Result<crate::format::Written> {
    unimplemented!()
}
