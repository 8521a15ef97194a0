//! Reads `.note.gnu.property` (Linux Extensions to gABI): only whether code that is reached through a pointer
//! must begin with a landing pad, and whether returns must match calls.

use object::elf;

/// Notes are padded to this in ELF64 property sections.
const ALIGN: usize = 8;

/// What an object's code was made for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Features {
    /// `GNU_PROPERTY_X86_FEATURE_1_IBT`
    pub(super) landing_pads: bool,
    /// `GNU_PROPERTY_X86_FEATURE_1_SHSTK`
    pub(super) shadow_stack: bool,
}

/// Adds what a property section declares to what others did.
///
/// # Errors
/// What is malformed, and its offset in the section.
pub(super) fn features(data: &[u8], known: Features) -> Result<Features, (u64, &'static str)> {
    let mut found = 0;
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
            found |= declared(properties).ok_or(bad("a property is cut off"))?;
        }
        at = (start + size).next_multiple_of(ALIGN);
    }
    let has = |bit| found & bit != 0;
    Ok(Features {
        landing_pads: known.landing_pads || has(elf::GNU_PROPERTY_X86_FEATURE_1_IBT),
        shadow_stack: known.shadow_stack || has(elf::GNU_PROPERTY_X86_FEATURE_1_SHSTK),
    })
}

/// The bits of the properties about features; `None` if one is cut off.
fn declared(mut properties: &[u8]) -> Option<u32> {
    let mut found = 0;
    while !properties.is_empty() {
        let kind = u32_at(properties, 0)?;
        let size = u32_at(properties, 4)? as usize;
        let value = properties.get(8..8_usize.checked_add(size)?)?;
        if kind == elf::GNU_PROPERTY_X86_FEATURE_1_AND.0 {
            found |= u32_at(value, 0)?;
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

    /// Both features.
    fn of(data: &[u8]) -> Result<(bool, bool), (u64, &'static str)> {
        features(data, Features::default()).map(|f| (f.landing_pads, f.shadow_stack))
    }

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
        assert_eq!(of(&[]), Ok((false, false)));
        assert_eq!(of(&note(&property(0xc000_0002, 3))), Ok((true, true)));
        assert_eq!(of(&note(&property(0xc000_0002, 2))), Ok((false, true)));
        assert_eq!(of(&note(&property(0xc000_0002, 4))), Ok((false, false)));
        assert_eq!(of(&note(&property(0xc000_8002, 1))), Ok((false, false)));
        let both = [property(0xc000_8002, 0x3), property(0xc000_0002, 1)].concat();
        assert_eq!(of(&note(&both)), Ok((true, false)));
        let two_notes = [note(&property(0xc000_8002, 3)), note(&property(0xc000_0002, 1))].concat();
        assert_eq!(of(&two_notes), Ok((true, false)));
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let whole = note(&property(0xc000_0002, 3));
        for length in 1..whole.len() {
            assert!(of(&whole[..length]).is_err(), "{length}");
        }
        let mut huge = whole.clone();
        huge[0..4].copy_from_slice(&[0xff; 4]);
        assert!(of(&huge).is_err());
        let mut huge = whole;
        huge[20..24].copy_from_slice(&[0xff; 4]);
        assert!(of(&huge).is_err());
    }
}
