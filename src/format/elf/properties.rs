//! Reads `.note.gnu.property` (Linux Extensions to gABI): only whether code that is reached through a pointer
//! must begin with a landing pad.

use object::elf;

/// Notes are padded to this in ELF64 property sections.
const ALIGN: usize = 8;

/// Whether a property section has `GNU_PROPERTY_X86_FEATURE_1_IBT`.
///
/// # Errors
/// What is malformed, and its offset in the section.
pub(super) fn wants_landing_pads(data: &[u8]) -> Result<bool, (u64, &'static str)> {
    let mut found = false;
    let mut at = 0;
    while at < data.len() {
        let bad = |message| (at as u64, message);
        let word = |offset: usize| u32_at(data, offset).ok_or(bad("the note's header is cut off"));
        let name_start = at + 12;
        let (name_size, size, kind) = (word(at)? as usize, word(at + 4)? as usize, word(at + 8)?);
        let name_end = name_start.checked_add(name_size);
        let name = name_end.and_then(|end| data.get(name_start..end));
        let name = name.ok_or(bad("the note's name is cut off"))?;
        // The name is padded to 4 bytes even here.
        let start = name_start + name_size.next_multiple_of(4);
        let end = start.checked_add(size);
        let properties = end.and_then(|end| data.get(start..end));
        let properties = properties.ok_or(bad("the note's contents are cut off"))?;
        if name == b"GNU\0" && kind == elf::NT_GNU_PROPERTY_TYPE_0.0 {
            found |= has_ibt(properties).ok_or(bad("a property is cut off"))?;
        }
        at = (start + size).next_multiple_of(ALIGN);
    }
    Ok(found)
}

/// Whether one of the properties is the feature; `None` if one is cut off.
fn has_ibt(mut properties: &[u8]) -> Option<bool> {
    let mut found = false;
    while !properties.is_empty() {
        let kind = u32_at(properties, 0)?;
        let size = u32_at(properties, 4)? as usize;
        let value = properties.get(8..8_usize.checked_add(size)?)?;
        if kind == elf::GNU_PROPERTY_X86_FEATURE_1_AND.0 {
            found |= u32_at(value, 0)? & elf::GNU_PROPERTY_X86_FEATURE_1_IBT != 0;
        }
        let next = 8_usize.checked_add(size.checked_next_multiple_of(ALIGN)?)?;
        // Of the last property the padding may be missing.
        properties = properties.get(next..).unwrap_or_default();
    }
    Some(found)
}

fn u32_at(data: &[u8], offset: usize) -> Option<u32> {
    let bytes = data.get(offset..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(properties: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        note.extend(4_u32.to_le_bytes());
        note.extend((properties.len() as u32).to_le_bytes());
        note.extend(5_u32.to_le_bytes());
        note.extend(b"GNU\0");
        note.extend(properties);
        note
    }

    fn property(kind: u32, value: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(kind.to_le_bytes());
        bytes.extend(4_u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn the_bit_is_found_among_others() {
        assert_eq!(wants_landing_pads(&[]), Ok(false));
        assert_eq!(wants_landing_pads(&note(&property(0xc000_0002, 3))), Ok(true));
        assert_eq!(wants_landing_pads(&note(&property(0xc000_0002, 2))), Ok(false));
        assert_eq!(wants_landing_pads(&note(&property(0xc000_8002, 1))), Ok(false));
        let both = [property(0xc000_8002, 0x3), property(0xc000_0002, 1)].concat();
        assert_eq!(wants_landing_pads(&note(&both)), Ok(true));
        let two_notes = [note(&property(0xc000_8002, 3)), note(&property(0xc000_0002, 1))].concat();
        assert_eq!(wants_landing_pads(&two_notes), Ok(true));
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let whole = note(&property(0xc000_0002, 3));
        for length in 1..whole.len() {
            assert!(wants_landing_pads(&whole[..length]).is_err(), "{length}");
        }
        let mut huge = whole.clone();
        huge[0..4].copy_from_slice(&[0xff; 4]);
        assert!(wants_landing_pads(&huge).is_err());
        let mut huge = whole;
        huge[20..24].copy_from_slice(&[0xff; 4]);
        assert!(wants_landing_pads(&huge).is_err());
    }
}
