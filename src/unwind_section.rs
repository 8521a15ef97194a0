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
        let start = Address::Symbol { symbol: index, addend: frame.offset };
        let mut entry = FrameDescriptionEntry::new(start, frame.length);
        for (offset, instruction) in &frame.rows {
            entry.add_instruction(*offset, instruction.clone());
        }
        table.add_fde(common, entry);
    }
    let mut section = EhFrame(RecordingWriter::default());
    table.write_eh_frame(&mut section)?;

    let EhFrame(writer) = section;
    let relocations = writer.relocations.iter().map(|relocation| new_relocation(relocation, frames));
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
        RecordingWriter { bytes: EndianVec::new(LittleEndian), relocations: Vec::new() }
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

#[cfg(test)]
mod tests {
    use gimli::{
        BaseAddresses, CieOrFde, EhFrame as ReadEhFrame, Encoding, Format, Register, UnwindContext,
        UnwindSection,
    };

    use super::*;
    use crate::edits::NewSectionId;

    const CODE: SymbolRef = SymbolRef::NewSection(NewSectionId(3));

    /// The psABI's: the return address lies at the stack pointer.
    fn common() -> CommonInformationEntry {
        let encoding = Encoding { format: Format::Dwarf32, version: 1, address_size: 8 };
        let mut common = CommonInformationEntry::new(encoding, 1, -8, Register(16));
        common.add_instruction(CallFrameInstruction::Cfa(Register(7), 8));
        common.add_instruction(CallFrameInstruction::Offset(Register(16), -8));
        common
    }

    fn frame(offset: i64, length: u32, rows: &[(u32, CallFrameInstruction)]) -> CodeFrame {
        CodeFrame { symbol: CODE, offset, length, rows: rows.to_vec() }
    }

    fn pushed() -> [(u32, CallFrameInstruction); 2] {
        [(1, CallFrameInstruction::CfaOffset(16)), (9, CallFrameInstruction::CfaOffset(8))]
    }

    #[test]
    fn every_piece_of_code_has_an_entry() {
        let frames = [frame(0, 10, &pushed()), frame(16, 300, &[])];
        let section = unwind_section(common(), &frames, Some(GroupId(1))).expect("written");
        assert_eq!(
            (section.name.as_str(), section.kind, section.align),
            (".eh_frame", NewSectionKind::EhFrame, 8)
        );
        assert_eq!((section.size, section.group), (section.data.len() as u64, Some(GroupId(1))));
        let places: Vec<_> = section.relocations.iter().map(|r| (r.kind, r.symbol, r.addend)).collect();
        assert_eq!(places, [(RelocKind::Pc32, CODE, 0), (RelocKind::Pc32, CODE, 16)]);

        // Read by another reader, the code at 0x10000 and this section at 0.
        let mut data = section.data.clone();
        for relocation in &section.relocations {
            let value = (0x10000 + relocation.addend - relocation.offset as i64) as i32;
            let offset = relocation.offset as usize;
            data[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        }
        let read = ReadEhFrame::new(&data, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(0);
        let mut entries = read.entries(&bases);
        let mut found = Vec::new();
        while let Some(entry) = entries.next().expect("readable") {
            if let CieOrFde::Fde(partial) = entry {
                let fde = partial.parse(ReadEhFrame::cie_from_offset).expect("readable");
                assert_eq!(fde.cie().encoding().version, 1);
                found.push((fde.initial_address(), fde.len()));
            }
        }
        assert_eq!(found, [(0x10000, 10), (0x10010, 300)]);
        let mut context = UnwindContext::new();
        let mut cfa_at = |address| {
            let row =
                read.unwind_info_for_address(&bases, &mut context, address, ReadEhFrame::cie_from_offset);
            row.map(|row| format!("{:?}", row.cfa())).expect("a row")
        };
        assert!(cfa_at(0x10000).contains("offset: 8"), "{}", cfa_at(0x10000));
        assert!(cfa_at(0x10001).contains("offset: 16"), "{}", cfa_at(0x10001));
        assert!(cfa_at(0x10009).contains("offset: 8"), "{}", cfa_at(0x10009));
    }

    /// Linkers take a zero length for the end of all call frame information of the output.
    #[test]
    fn no_terminator_follows() {
        let section = unwind_section(common(), &[frame(0, 4, &[])], None).expect("written");
        assert_eq!(section.data.len() % 8, 0);
        let mut offset = 0;
        let mut entries = 0;
        while offset < section.data.len() {
            let length = u32::from_le_bytes(section.data[offset..offset + 4].try_into().expect("four bytes"));
            assert_ne!(length, 0);
            offset += 4 + length as usize;
            entries += 1;
        }
        assert_eq!((offset, entries), (section.data.len(), 2));
    }

    #[test]
    fn our_own_reader_reads_it() {
        use crate::frame_table::FrameTable as Table;
        use crate::object_file::{SectionId, SectionKind, SymbolPlace, SymbolType};
        use crate::sample_object::{add_section, add_symbol, object, relocate};

        let section =
            unwind_section(common(), &[frame(0, 10, &pushed()), frame(16, 30, &[])], None).expect("written");
        let mut object = object();
        let text = add_section(&mut object, ".text", SectionKind::Contents, &[0x90; 64]);
        let symbol = add_symbol(&mut object, "", SymbolPlace::Section(text), 0..0, SymbolType::Section);
        let frames = add_section(&mut object, ".eh_frame", SectionKind::EhFrame, &section.data);
        for relocation in &section.relocations {
            relocate(&mut object, frames, relocation.offset, relocation.kind, symbol, relocation.addend);
        }
        let table = Table::read(&object).expect("readable");
        let ranges: Vec<_> = table.fdes.iter().map(|fde| fde.range(&object)).collect();
        assert_eq!(ranges, [Some((SectionId(1), 0..10)), Some((SectionId(1), 16..46))]);
    }

    #[test]
    fn what_cannot_be_written_is_an_error() {
        let unfactored = [(1, CallFrameInstruction::Offset(Register(6), -12))];
        assert!(unwind_section(common(), &[frame(0, 10, &unfactored)], None).is_err());
        let mut with_personality = common();
        with_personality.personality = Some((pe::DW_EH_PE_absptr, Address::Symbol { symbol: 0, addend: 0 }));
        assert!(unwind_section(with_personality, &[frame(0, 10, &[])], None).is_err());
    }
}
