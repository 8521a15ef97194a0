//! What becomes of absolute addresses in `.eh_frame` and `.gcc_except_table`, both read-only, when the output is to be
//! position-independent: each becomes a distance of the same width, and the byte that says how it is spelt says so.
//!
//! ```text
//! personality routine   DW_EH_PE_absptr 0x00, R_X86_64_64   ->  indirect|pcrel|sdata8 0x9c, R_X86_64_PC64 to a slot
//! catch types           DW_EH_PE_udata4 0x03, R_X86_64_32   ->  indirect|pcrel|sdata4 0x9b, R_X86_64_PC32 to a slot
//! LSDA, code            the object defines them itself      ->  pcrel|sdata8 0x1c, pcrel|sdata4 0x1b, no slot
//! ```
//!
//! These are what GCC and LLVM write themselves with `-fpic`. A zero stays a zero and means a null pointer: libgcc
//! (`read_encoded_value_with_base`), libunwind (`decodeFDE`) and libc++abi (`readEncodedPointer`) look at it before
//! they add the distance.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use smallvec::smallvec;

use crate::edits::BytesEdit;
use crate::error::{At, Error, ErrorKind, Problem};
use crate::frame_table::{self, FrameTable, Location, PointerField};
use crate::lsda::TypeTable;
use crate::object_file::{ObjectFile, Relocation, Section, SectionId, SectionKind, SymbolId, SymbolType};
use crate::pointer_encoding::{self, EncodingByte};
use crate::reloc::RelocKind;

/// What has to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnwindLowering {
    /// Encoding bytes, by section and offset.
    pub bytes: Vec<BytesEdit>,
    /// Relocations to be replaced, by section and offset.
    pub relocations: Vec<UnwindRelocation>,
}

/// A relocation that becomes pc-relative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnwindRelocation {
    /// The section that it applies to.
    pub section: SectionId,
    /// Its [`Relocation::entry`].
    pub entry: u32,
    /// Offset of the field in the section, as before.
    pub offset: u64,
    /// [`RelocKind::Pc32`] or [`RelocKind::Pc64`]: the field keeps its width.
    pub kind: RelocKind,
    /// What the distance leads to.
    pub target: UnwindTarget,
}

/// What a pc-relative field leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnwindTarget {
    /// A pointer-sized variable of ours that holds the symbol's value plus the addend.
    Slot {
        /// `S`.
        symbol: SymbolId,
        /// `A`.
        addend: i64,
    },
    /// A place in the object itself; by section, so that no other definition of a symbol can get in between.
    Direct(Location),
}

/// What to tell the user.
const REMEDY: &str = "recompile as position-independent code (-fPIC)";

/// Where the pointers of a field lead when they are pc-relative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Through {
    Slot,
    Nothing,
}

/// Pointers that one byte describes.
struct Pointers<'a> {
    /// For messages.
    what: &'a str,
    byte: Option<EncodingByte>,
    fields: Vec<PointerField>,
    through: Through,
    /// A zero without relocation is a null pointer.
    nullable: bool,
}

/// Makes every absolute relocation in the object's unwind and exception tables pc-relative.
///
/// # Errors
/// [`ErrorKind::Refused`] with all places where that cannot be done; [`ErrorKind::MalformedObject`] if an exception
/// table that has absolute relocations cannot be read.
pub fn lower(object: &ObjectFile<'_>, frames: &FrameTable<'_>) -> crate::Result<UnwindLowering> {
    let mut lowering = Lowering {
        object,
        done: UnwindLowering::default(),
        claimed: HashSet::new(),
        problems: BTreeMap::new(),
    };
    lowering.lower_frames(frames);
    lowering.lower_type_tables(frames)?;
    lowering.refuse_the_rest();
    if !lowering.problems.is_empty() {
        return Err(Error::all(ErrorKind::Refused, lowering.problems.into_values().collect()));
    }
    let mut done = lowering.done;
    done.bytes.sort_by_key(|edit| (edit.section, edit.offset));
    done.relocations.sort_by_key(|relocation| (relocation.section, relocation.offset));
    Ok(done)
}

struct Lowering<'o, 'd> {
    object: &'o ObjectFile<'d>,
    done: UnwindLowering,
    /// Section and entry of the absolute relocations that have been dealt with.
    claimed: HashSet<(SectionId, u32)>,
    /// By section and offset of the relocation or byte.
    problems: BTreeMap<(SectionId, u64), Problem>,
}

impl Lowering<'_, '_> {
    fn lower_frames(&mut self, frames: &FrameTable<'_>) {
        let mut tables = self.object.sections.iter().filter(|s| s.kind == SectionKind::EhFrame);
        if !tables.any(|table| table.relocations().iter().any(|r| r.kind.is_absolute())) {
            return;
        }
        let mut code: Vec<Vec<PointerField>> = vec![Vec::new(); frames.cies.len()];
        let mut areas = code.clone();
        for fde in &frames.fdes {
            let cie = fde.cie.0 as usize;
            code[cie].push(fde.code);
            areas[cie].extend(fde.lsda);
            // A length whose top bit is set would become negative.
            if fde.code.width == 4 && fde.length > i32::MAX as u64 {
                let section = self.object.section(frames.cie(fde.cie).section);
                if frame_table::relocations_at(section, fde.code).any(|r| r.kind.is_absolute()) {
                    self.refuse(section, fde.code.offset, "the code's length does not fit in 31 bits");
                }
            }
        }
        for ((cie, code), areas) in frames.cies.iter().zip(code).zip(areas) {
            let section = self.object.section(cie.section);
            if let Some((byte, field)) = cie.personality {
                self.lower_pointers(
                    section,
                    &Pointers {
                        what: "personality routine",
                        byte: Some(byte),
                        fields: vec![field],
                        through: Through::Slot,
                        nullable: false,
                    },
                );
            }
            self.lower_pointers(
                section,
                &Pointers {
                    what: "pointer to exception tables",
                    byte: cie.lsda,
                    fields: areas,
                    through: Through::Nothing,
                    nullable: true,
                },
            );
            self.lower_pointers(
                section,
                &Pointers {
                    what: "code address",
                    byte: cie.code,
                    fields: code,
                    through: Through::Nothing,
                    nullable: false,
                },
            );
        }
    }

    fn lower_type_tables(&mut self, frames: &FrameTable<'_>) -> crate::Result<()> {
        let mut areas: BTreeSet<Location> = frames.fdes.iter().filter_map(|fde| fde.lsda_target).collect();
        for section in self.object.sections.iter().filter(|s| s.kind == SectionKind::ExceptTable) {
            // An area ends where the next one or the section does.
            areas.insert(Location { section: section.id, offset: section.size });
        }
        let bounds: Vec<Location> = areas.into_iter().collect();
        for pair in bounds.windows(2) {
            let (start, end) = (pair[0], pair[1]);
            let section = self.object.section(start.section);
            if start.section != end.section || section.kind != SectionKind::ExceptTable {
                continue;
            }
            let relocations = section.relocations_in(start.offset..end.offset);
            if !relocations.iter().any(|r| r.kind.is_absolute()) {
                continue;
            }
            let table = TypeTable::read(section.data, start.offset..end.offset).map_err(|unreadable| {
                let message = format!("exception table: {}", unreadable.message);
                self.object.error_at(section.id, unreadable.offset, message)
            })?;
            // Without a table of types the relocations stay unclaimed.
            let Some(table) = table else { continue };
            let entries = (table.start..table.base).step_by(usize::from(table.width));
            let unused = relocations.iter().map(|r| r.offset);
            let unused = unused.filter(|&offset| offset < table.start && table.may_hold(offset));
            let offsets: BTreeSet<u64> = entries.chain(unused).collect();
            let width = table.width;
            self.lower_pointers(
                section,
                &Pointers {
                    what: "type to catch",
                    byte: Some(table.encoding),
                    fields: offsets.into_iter().map(|offset| PointerField { offset, width }).collect(),
                    through: Through::Slot,
                    nullable: true,
                },
            );
        }
        Ok(())
    }

    /// All of them or none: they share one byte.
    fn lower_pointers(&mut self, section: &Section<'_>, pointers: &Pointers<'_>) {
        let what = pointers.what;
        let absolute = |field: &PointerField| {
            frame_table::relocations_at(section, *field).find(|r| r.kind.is_absolute())
        };
        let Some(first) = pointers.fields.iter().find_map(absolute) else {
            return;
        };
        let Some(byte) = pointers.byte else {
            // Each by itself, so that all places are listed.
            for relocation in pointers.fields.iter().filter_map(absolute) {
                let message =
                    format!("absolute {what}, and the entry has no byte that could make it relative");
                self.refuse(section, relocation.offset, &message);
            }
            return;
        };
        let Some(new) = pointer_encoding::relative(byte.encoding, pointers.through == Through::Slot) else {
            let message =
                format!("absolute relocation, but the {what} has pointer encoding {:#x}", byte.encoding.0);
            self.refuse(section, first.offset, &message);
            return;
        };
        if section.is_relocated(byte.offset, 1) {
            self.refuse(section, byte.offset, &format!("the encoding of the {what} is itself relocated"));
            return;
        }
        for &field in &pointers.fields {
            match self.lower_pointer(section, field, pointers) {
                Ok(relocation) => self.done.relocations.extend(relocation),
                Err(message) => self.refuse(section, field.offset, &message),
            }
        }
        self.done.bytes.push(BytesEdit {
            section: section.id,
            offset: byte.offset,
            old: smallvec![byte.encoding.0],
            new: smallvec![new.0],
        });
    }

    fn lower_pointer(
        &mut self,
        section: &Section<'_>,
        field: PointerField,
        pointers: &Pointers<'_>,
    ) -> Result<Option<UnwindRelocation>, String> {
        let what = pointers.what;
        let relocations: Vec<Relocation> = frame_table::relocations_at(section, field).collect();
        let relocation = match relocations[..] {
            [] if pointers.nullable && is_zero(section, field) => return Ok(None),
            [] => return Err(format!("{what} without a relocation among others that have one")),
            [relocation] => relocation,
            _ => return Err(format!("several relocations apply to one {what}")),
        };
        let kind = match (field.width, relocation.kind) {
            (8, RelocKind::Abs64) => RelocKind::Pc64,
            (4, RelocKind::Abs32 | RelocKind::Abs32Signed) => RelocKind::Pc32,
            (width, kind) => {
                return Err(format!("{kind:?} relocation for an absolute {what} of {width} bytes"));
            }
        };
        if relocation.offset != field.offset {
            return Err(format!("the relocation at {:#x} covers part of a {what}", relocation.offset));
        }
        let Relocation { symbol, addend, .. } = relocation;
        let target = match pointers.through {
            Through::Slot if symbol == SymbolId(0) => return Err(format!("{what} without a symbol")),
            Through::Slot if self.object.symbol(symbol).kind == SymbolType::ThreadLocal => {
                return Err(format!("{what} is thread-local"));
            }
            Through::Slot => UnwindTarget::Slot { symbol, addend },
            Through::Nothing => match frame_table::place_of(self.object, &relocation) {
                // In a section whose pieces move, a place is not its section plus a number.
                Some(place) if self.object.section(place.section).merge => {
                    return Err(format!("{what} leads into a mergeable section"));
                }
                Some(place) => UnwindTarget::Direct(place),
                None => return Err(format!("{what} leads outside of the sections of this object")),
            },
        };
        self.claimed.insert((section.id, relocation.entry));
        Ok(Some(UnwindRelocation {
            section: section.id,
            entry: relocation.entry,
            offset: relocation.offset,
            kind,
            target,
        }))
    }

    /// Absolute relocations that nothing has explained.
    fn refuse_the_rest(&mut self) {
        let tables = [SectionKind::EhFrame, SectionKind::ExceptTable];
        for section in self.object.sections.iter().filter(|s| tables.contains(&s.kind)) {
            for relocation in section.relocations().iter().filter(|r| r.kind.is_absolute()) {
                if !self.claimed.contains(&(section.id, relocation.entry)) {
                    let message =
                        format!("{:?} relocation that is no known pointer of such a table", relocation.kind);
                    self.refuse(section, relocation.offset, &message);
                }
            }
        }
    }

    /// The first message about a place stays: it is the most specific.
    fn refuse(&mut self, section: &Section<'_>, offset: u64, message: &str) {
        let (file, name) = (self.object.name, section.name);
        self.problems.entry((section.id, offset)).or_insert_with(|| Problem {
            file: file.to_owned(),
            at: Some(At { section: name.to_owned(), offset, ..At::default() }),
            message: format!("{message}; {REMEDY}"),
        });
    }
}

/// Whether the field's bytes in the file are all zero.
fn is_zero(section: &Section<'_>, field: PointerField) -> bool {
    let start = usize::try_from(field.offset).unwrap_or(usize::MAX);
    let bytes = section.data.get(start..start.saturating_add(usize::from(field.width)));
    bytes.is_some_and(|bytes| bytes.iter().all(|&byte| byte == 0))
}

#[cfg(test)]
mod tests;
