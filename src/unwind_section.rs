//! The `.eh_frame` section for code that is added: one entry for each piece of it, its address pc-relative, so that a
//! C++ exception or a backtrace finds its way through.

use gimli::LittleEndian;
use gimli::constants as pe;
use gimli::write::{
    Address, CallFrameInstruction, CommonInformationEntry, EhFrame, EndianVec, FrameDescriptionEntry,
    FrameTable, RelocateWriter, Relocation, RelocationTarget,
};

use crate::edits::{NewRelocation, NewSection, NewSectionKind, SymbolRef};
use crate::object_file::GroupId;
use crate::reloc::RelocKind;

/// A piece of added code that control can be unwound through.
#[derive(Debug, Clone)]
pub struct CodeFrame {
    /// Its section, or a symbol in it.
    pub symbol: SymbolRef,
    /// Bytes from there to its first instruction.
    pub offset: i64,
    /// Its length in bytes.
    pub length: u32,
    /// Rows of the unwind table: code offset, and what changes there; sorted by offset.
    pub rows: Vec<(u32, CallFrameInstruction)>,
}

/// The call frame information of `frames`, in their order, as a section to be added; `common` is the state at the
/// first instruction of each. Its fields are four bytes wide, so the code must be near (within 2 GiB).
/// A section group keeps its own, apart from that of others: linkers drop both together.
///
/// # Errors
/// What cannot be written as call frame information: a bug in the rows.
pub fn unwind_section(
    mut common: CommonInformationEntry,
    frames: &[CodeFrame],
    group: Option<GroupId>,
) -> Result<NewSection, gimli::write::Error> {
    common.fde_address_encoding = pe::DW_EH_PE_pcrel | pe::DW_EH_PE_sdata4;
    let mut table = FrameTable::default();
    let common = table.add_cie(common);
    for (index, frame) in frames.iter().enumerate() {
        let start = Address::Symbol {
            symbol: index,
            addend: frame.offset,
        };
        let mut entry = FrameDescriptionEntry::new(start, frame.length);
        for (offset, instruction) in &frame.rows {
            entry.add_instruction(*offset, instruction.clone());
        }
        table.add_fde(common, entry);
    }
    let mut section = EhFrame(RecordingWriter::default());
    table.write_eh_frame(&mut section)?;

    let EhFrame(writer) = section;
    let relocations = writer
        .relocations
        .iter()
        .map(|relocation| new_relocation(relocation, frames));
    let relocations = relocations.collect::<Result<Vec<_>, _>>()?;
    let data = writer.bytes.into_vec();
    Ok(NewSection {
        name: ".eh_frame".to_owned(),
        kind: NewSectionKind::EhFrame,
        align: 8,
        size: data.len() as u64,
        data,
        group,
        relocations,
    })
}

fn new_relocation(
    relocation: &Relocation,
    frames: &[CodeFrame],
) -> Result<NewRelocation, gimli::write::Error> {
    let RelocationTarget::Symbol(index) = relocation.target else {
        return Err(gimli::write::Error::InvalidAddress);
    };
    let frame = frames.get(index).ok_or(gimli::write::Error::InvalidAddress)?;
    match (relocation.eh_pe, relocation.size) {
        (Some(encoding), 4) if encoding.application() == pe::DW_EH_PE_pcrel => Ok(NewRelocation {
            offset: relocation.offset as u64,
            kind: RelocKind::Pc32,
            symbol: frame.symbol,
            addend: relocation.addend,
        }),
        _ => Err(gimli::write::Error::InvalidAddress),
    }
}

/// Bytes, and the relocations that apply to them.
struct RecordingWriter {
    bytes: EndianVec<LittleEndian>,
    relocations: Vec<Relocation>,
}

impl Default for RecordingWriter {
    fn default() -> Self {
        RecordingWriter {
            bytes: EndianVec::new(LittleEndian),
            relocations: Vec::new(),
        }
    }
}

impl RelocateWriter for RecordingWriter {
    type Writer = EndianVec<LittleEndian>;

    fn writer(&self) -> &Self::Writer {
        &self.bytes
    }

    fn writer_mut(&mut self) -> &mut Self::Writer {
        &mut self.bytes
    }

    fn relocate(&mut self, relocation: Relocation) {
        self.relocations.push(relocation);
    }
}
