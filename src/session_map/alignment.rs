//! What is known of the low bits of an address in every process: by the map's word, or because of how the file is loaded
//! and linked that has it. Nothing is taken from chance: an address that happened to be aligned is not.

use super::image::Likeness;
use super::json::Unsigned;
use super::loaded::Located;
use super::{Files, NamedAddress, SessionMap};

/// A page. Loaders map files in whole ones.
pub(crate) const PAGE: u64 = 0x1000;

/// The alignment of an entry in a procedure linkage table (psABI 5.2): in a program at a fixed address, that entry may be
/// the function's address.
const LINKAGE_ENTRY: u64 = 16;

/// The alignment that an entry declares; `address` is what it has in this session.
#[inline]
pub(super) fn declared_alignment(align: Option<Unsigned>, address: u64) -> Result<u64, String> {
    let Some(Unsigned(align)) = align else { return Ok(1) };
    if !align.is_power_of_two() {
        return Err(format!("align: expected a power of two, found {align}"));
    }
    match address.is_multiple_of(align) {
        true => Ok(align),
        false => Err(format!("align: the address {address:#x} is no multiple of {align}")),
    }
}

/// The greatest power of two that an address is a multiple of.
fn own_alignment(address: u64) -> u64 {
    1u64.checked_shl(address.trailing_zeros()).unwrap_or(1 << 63)
}

impl SessionMap {
    /// By what power of two the address of a symbol, which it had in this session, is the same in every process.
    pub(crate) fn alignment_of_symbol(
        &self,
        name: &str,
        library: Option<&str>,
        address: u64,
        files: &dyn Files,
    ) -> u64 {
        let same = |s: &NamedAddress<'_>| library.is_none() || s.library == library;
        let ours = self.symbols_named(name).filter(|s| s.address == address).filter(same);
        let declared = ours.map(|s| s.align).max().unwrap_or(1);
        let Ok(Located::Image { image, address: in_file, .. }) = self.locate(address, files) else {
            return declared;
        };
        let by_file = match image.likeness(name, in_file) {
            None => 1,
            Some(Likeness::Page) => PAGE,
            Some(Likeness::Function) => own_alignment(address).min(LINKAGE_ENTRY),
            // Linkers give the copy the section's alignment, or what the variable has of it.
            Some(Likeness::Variable(section)) => own_alignment(address).min(section).min(PAGE),
        };
        declared.max(by_file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_alignments_are_those_of_the_address() {
        assert_eq!(declared_alignment(None, 3), Ok(1));
        assert_eq!(declared_alignment(Some(Unsigned(64)), 0x7f12_3456_0440), Ok(64));
        let error = declared_alignment(Some(Unsigned(64)), 0x7f12_3456_0408).unwrap_err();
        assert_eq!(error, "align: the address 0x7f1234560408 is no multiple of 64");
        assert!(declared_alignment(Some(Unsigned(0)), 0).is_err());
        assert!(declared_alignment(Some(Unsigned(48)), 96).unwrap_err().contains("expected a power of two"));
    }
}
