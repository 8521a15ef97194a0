//! The call frame information of the object (`.eh_frame`, LSB and psABI): which functions its entries describe,
//! and where in them the fields and encoding bytes are that a relocation applies to. Nothing is changed here.

use std::ops::Range;

use gimli::constants::{self as pe, DwEhPe};

use foldhash::HashMap;
use rayon::prelude::*;

use crate::object_file::{InOrder, ObjectFile, Relocation, Section, SectionId, SectionKind, SymbolPlace};
use crate::pointer_encoding::{self, Cursor, EncodingByte, Unreadable};
use crate::reloc::RelocKind;

/// All entries of all `.eh_frame` sections, in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct FrameTable<'d> {
    /// Common information entries.
    pub cies: Vec<Cie<'d>>,
    /// Frame description entries.
    pub fdes: Vec<Fde>,
}

/// The index of a [`Cie`] in [`FrameTable::cies`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CieId(pub u32);

/// A field that holds a pointer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PointerField {
    /// Offset of its first byte in the section.
    pub offset: u64,
    /// Its width in bytes.
    pub width: u8,
}

/// A place in a section of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Which section.
    pub section: SectionId,
    /// Offset in it; at most its size.
    pub offset: u64,
}

/// Common information entry: what its FDEs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cie<'d> {
    /// The `.eh_frame` section that it is in.
    pub section: SectionId,
    /// Offset of its length field.
    pub offset: u64,
    /// The augmentation string, without NUL.
    pub augmentation: &'d [u8],
    /// How code addresses are spelt (`R`); without it they are absolute and there is no byte to say so.
    pub code: Option<EncodingByte>,
    /// How the FDEs' pointers to language-specific data are spelt (`L`).
    pub lsda: Option<EncodingByte>,
    /// How the pointer to the personality routine is spelt, and where it is (`P`).
    pub personality: Option<(EncodingByte, PointerField)>,
}

/// Frame description entry: one contiguous piece of code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fde {
    /// What it shares with others.
    pub cie: CieId,
    /// Offset of its length field, in the section of its CIE.
    pub offset: u64,
    /// The code's first byte (`pc_begin`).
    pub code: PointerField,
    /// The code's length in bytes.
    pub length: u64,
    /// Where the code is; `None` where no relocation against a section of this object says so.
    pub function: Option<Location>,
    /// The pointer to language-specific data.
    pub lsda: Option<PointerField>,
    /// Where that data is; `None` as for `function`, and where the pointer is null.
    pub lsda_target: Option<Location>,
}

impl Cie<'_> {
    /// How code addresses are spelt, said or not.
    pub fn code_encoding(&self) -> DwEhPe {
        self.code.map_or(pe::DW_EH_PE_absptr, |byte| byte.encoding)
    }
}

impl Fde {
    /// The code's section and range of bytes there, cut off at the section's end.
    pub fn range(&self, object: &ObjectFile<'_>) -> Option<(SectionId, Range<u64>)> {
        let start = self.function?;
        let size = object.section(start.section).size;
        let end = start.offset.saturating_add(self.length).min(size);
        (start.offset < end).then_some((start.section, start.offset..end))
    }
}

impl<'d> FrameTable<'d> {
    /// Reads all `.eh_frame` sections of the object.
    ///
    /// # Errors
    /// [`crate::ErrorKind::MalformedObject`] with the place of whatever is not call frame information.
    pub fn read(object: &ObjectFile<'d>) -> crate::Result<Self> {
        let mut table = FrameTable::default();
        for section in object.sections.iter().filter(|s| s.kind == SectionKind::EhFrame) {
            table.read_section(object, section).map_err(|unreadable| {
                object.error_at(
                    section.id,
                    unreadable.offset,
                    format!("call frame information: {}", unreadable.message),
                )
            })?;
        }
        Ok(table)
    }

    /// The CIE with that index.
    ///
    /// # Panics
    /// If the id is not this table's.
    pub fn cie(&self, id: CieId) -> &Cie<'d> {
        &self.cies[id.0 as usize]
    }

    fn read_section(&mut self, object: &ObjectFile<'d>, section: &Section<'d>) -> Result<(), Unreadable> {
        let mut pending = Vec::new();
        let split = self.split(section, &mut pending);
        // Each can be read by itself: that they are many is left to all threads, each of which writes what it reads where it
        // stays.
        let (cies, known) = (&self.cies, self.fdes.len());
        self.fdes.resize(known + pending.len(), Fde::default());
        let places = self.fdes[known..].par_chunks_mut(AT_ONCE);
        let wrong = pending.par_chunks(AT_ONCE).zip(places).find_map_first(|(entries, places)| {
            let mut relocations = InOrder::from(section, entries[0].offset);
            entries.iter().zip(places).find_map(|(&Pending { offset, cie }, place)| {
                match read_fde(object, section, &mut relocations, offset, (cie, &cies[cie.0 as usize])) {
                    Ok(fde) => *place = fde,
                    Err(unreadable) => return Some(unreadable),
                }
                None
            })
        });
        wrong.map_or(split, Err)
    }

    /// Reads the CIEs of a section, and finds the FDEs.
    fn split(&mut self, section: &Section<'d>, pending: &mut Vec<Pending>) -> Result<(), Unreadable> {
        let mut known = HashMap::default();
        let mut cursor = Cursor::new(section.data, 0, section.size);
        while !cursor.is_empty() {
            let offset = cursor.position();
            let length = cursor.u32("the length of an entry")?;
            match length {
                // A terminator. Only the last input of a link should have one (crtend.o), but `ld -r` leaves it
                // wherever that input came: what follows counts all the same.
                0 => continue,
                // Neither bfd nor lld reads 64-bit entries.
                0xffff_fff0.. => {
                    return Err(Unreadable {
                        offset,
                        message: "64-bit entries are not supported in .eh_frame".to_owned(),
                    });
                }
                _ => {}
            }
            let mut entry = cursor.split(u64::from(length), "an entry of that length")?;
            let id_offset = entry.position();
            let id = entry.u32("the CIE pointer of an entry")?;
            if id == 0 {
                known.insert(offset, CieId(self.cies.len() as u32));
                self.cies.push(read_cie(section, offset, entry)?);
                continue;
            }
            let cie = id_offset.checked_sub(u64::from(id)).and_then(|start| known.get(&start));
            let Some(&cie) = cie else {
                return Err(Unreadable {
                    offset: id_offset,
                    message: format!("the CIE pointer {id:#x} does not lead back to a CIE"),
                });
            };
            pending.push(Pending { offset, cie });
        }
        Ok(())
    }
}

/// How many entries a thread reads in one go.
const AT_ONCE: usize = 1024;

/// An FDE that has been found.
#[derive(Clone, Copy)]
struct Pending {
    /// Where its length field is.
    offset: u64,
    cie: CieId,
}

fn read_cie<'d>(section: &Section<'d>, offset: u64, mut entry: Cursor<'d>) -> Result<Cie<'d>, Unreadable> {
    let unsupported = |offset, message| Err(Unreadable { offset, message });
    let version_offset = entry.position();
    let version = entry.u8("the version of a CIE")?;
    let augmentation_offset = entry.position();
    let augmentation = entry.string("the augmentation string of a CIE")?;
    match version {
        1 | 3 => {}
        4 => {
            let sizes = [entry.u8("an address size")?, entry.u8("a segment size")?];
            if sizes != [8, 0] {
                return unsupported(
                    version_offset,
                    format!("address and segment sizes {sizes:?}, not [8, 0]"),
                );
            }
        }
        _ => {
            return unsupported(version_offset, format!("CIE version {version} is not known (1, 3 or 4)"));
        }
    }
    entry.uleb128("the code alignment factor")?;
    entry.sleb128("the data alignment factor")?;
    if version == 1 {
        entry.u8("the return address register")?;
    } else {
        entry.uleb128("the return address register")?;
    }

    let mut cie =
        Cie { section: section.id, offset, augmentation, code: None, lsda: None, personality: None };
    let letters = match augmentation {
        [] => return Ok(cie),
        [b'z', letters @ ..] => letters,
        other => {
            // Without `z` there is no telling how long the data is that belongs to the letters.
            let text = String::from_utf8_lossy(other);
            return unsupported(
                augmentation_offset,
                format!("augmentation \"{}\" is not known", text.escape_debug()),
            );
        }
    };
    let length = entry.uleb128("the length of augmentation data")?;
    let mut data = entry.split(length, "augmentation data of that length")?;
    for letter in letters {
        let offset = data.position();
        match letter {
            b'L' => {
                cie.lsda =
                    Some(read_encoding(&mut data, "the encoding of pointers to language-specific data")?)
            }
            b'R' => cie.code = Some(read_encoding(&mut data, "the encoding of code addresses")?),
            b'P' => {
                let byte = read_encoding(&mut data, "the encoding of the personality routine")?;
                if !byte.encoding.is_absent() {
                    let field = read_pointer(&mut data, byte.encoding, "the personality routine")?;
                    cie.personality = Some((byte, field));
                }
            }
            // Signal frame; AArch64 key B; AArch64 memory tagging: none has data.
            b'S' | b'B' | b'G' => {}
            _ => {
                let letter = char::from(*letter).escape_debug();
                return unsupported(offset, format!("augmentation letter '{letter}' is not known"));
            }
        }
    }
    Ok(cie)
}

/// `relocations` are those of the section.
fn read_fde(
    object: &ObjectFile<'_>,
    section: &Section<'_>,
    relocations: &mut InOrder<'_>,
    offset: u64,
    (id, cie): (CieId, &Cie<'_>),
) -> Result<Fde, Unreadable> {
    let mut entry = Cursor::new(section.data, offset, section.size);
    let length = entry.u32("the length of an entry")?;
    let mut entry = entry.split(u64::from(length), "an entry of that length")?;
    entry.u32("the CIE pointer of an entry")?;
    let encoding = cie.code_encoding();
    let code = read_pointer(&mut entry, encoding, "the address of the code")?;
    let length_offset = entry.position();
    // The length is spelt like the address, but it is a number.
    let length = entry.number(encoding.format(), "the length of the code")?;
    let function = target(object, relocations, code, encoding);
    let mut beside = relocations.near(length_offset..length_offset.saturating_add(code.width.into())).iter();
    let relocated = beside.any(|r| r.writes_after(length_offset));
    let mut fde = Fde {
        cie: id,
        offset,
        code,
        length,
        function: function.filter(|_| !relocated),
        lsda: None,
        lsda_target: None,
    };
    if cie.augmentation.is_empty() {
        return Ok(fde);
    }
    let size = entry.uleb128("the length of augmentation data")?;
    let mut data = entry.split(size, "augmentation data of that length")?;
    if let Some(byte) = cie.lsda.filter(|byte| !byte.encoding.is_absent()) {
        let field = read_pointer(&mut data, byte.encoding, "the pointer to language-specific data")?;
        fde.lsda = Some(field);
        fde.lsda_target = target(object, relocations, field, byte.encoding);
    }
    Ok(fde)
}

fn read_encoding(data: &mut Cursor<'_>, what: &str) -> Result<EncodingByte, Unreadable> {
    let offset = data.position();
    let encoding = DwEhPe(data.u8(what)?);
    Ok(EncodingByte { offset, encoding })
}

fn read_pointer(data: &mut Cursor<'_>, encoding: DwEhPe, what: &str) -> Result<PointerField, Unreadable> {
    let offset = data.position();
    let Some(width) = pointer_encoding::width(encoding) else {
        return Err(Unreadable {
            offset,
            message: format!("{what} has pointer encoding {:#x}, which is not supported", encoding.0),
        });
    };
    data.number(encoding, what)?;
    Ok(PointerField { offset, width })
}

/// The relocations that write a byte of the field.
pub(crate) fn relocations_at<'s>(
    section: &'s Section<'_>,
    field: PointerField,
) -> impl Iterator<Item = Relocation> + use<'s> {
    writing_to(&mut InOrder::from(section, field.offset), field)
}

fn writing_to<'a>(
    relocations: &mut InOrder<'a>,
    field: PointerField,
) -> impl Iterator<Item = Relocation> + use<'a> {
    let end = field.offset.saturating_add(field.width.into());
    relocations.near(field.offset..end).iter().filter(move |r| r.writes_after(field.offset))
}

/// The place in a section of the object that the field's one relocation leads to.
fn target(
    object: &ObjectFile<'_>,
    relocations: &mut InOrder<'_>,
    field: PointerField,
    encoding: DwEhPe,
) -> Option<Location> {
    let mut relocations = writing_to(relocations, field);
    let relocation = relocations.next()?;
    let same = relocation.offset == field.offset && relocation.kind.width() == Some(u64::from(field.width));
    if !same || relocations.next().is_some() || encoding.is_indirect() {
        return None;
    }
    let fits = match encoding.application() {
        pe::DW_EH_PE_absptr => relocation.kind.is_absolute(),
        pe::DW_EH_PE_pcrel => matches!(relocation.kind, RelocKind::Pc64 | RelocKind::Pc32 | RelocKind::Pc16),
        _ => false,
    };
    if !fits {
        return None;
    }
    place_of(object, &relocation)
}

/// `S + A` as a place in a section of the object; one past its last byte counts.
pub(crate) fn place_of(object: &ObjectFile<'_>, relocation: &Relocation) -> Option<Location> {
    let symbol = object.symbols.get(relocation.symbol.0 as usize)?;
    let SymbolPlace::Section(section) = symbol.place else {
        return None;
    };
    let offset = symbol.value.checked_add_signed(relocation.addend)?;
    (offset <= object.section(section).size).then_some(Location { section, offset })
}

#[cfg(test)]
mod tests;
