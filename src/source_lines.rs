//! Which line of its source an instruction comes from, by the object's line tables (DWARF, `.debug_line`): for messages
//! and reports only. They are read when the first line is asked for; where they are malformed there are no lines.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use gimli::{AttributeValue, DebugLine, EndianSlice, LittleEndian, Reader};

use crate::object_file::{ObjectFile, Section, SectionId, SymbolPlace};
use crate::reloc::RelocKind;

/// No compiler writes longer headers; one that is as long as it says can make the reader allocate a hundred
/// times as much.
const LONGEST_HEADER: u64 = 1 << 20;
/// Longer names (`PATH_MAX`) are none.
const LONGEST_NAME: usize = 4096;
/// Compressed line tables are a third or a quarter of what they decompress to.
const LARGEST_RATIO: usize = 32;
/// Where the first code section is said to lie: 0 is where linkers put sequences whose code they dropped.
const FIRST_ADDRESS: u64 = 0x1000;

/// The source lines of an object, read when first asked for.
#[derive(Debug, Default)]
pub struct SourceLines {
    table: OnceLock<LineTable>,
}

/// All line tables of an object.
#[derive(Debug, Default)]
struct LineTable {
    /// Where each code section is said to lie: in a relocatable object all of them begin at 0.
    bases: BTreeMap<SectionId, u64>,
    /// The contents of sections that names are in, where they are not the file's own.
    contents: BTreeMap<SectionId, Vec<u8>>,
    /// Where the names of the files are.
    names: Vec<Name>,
    rows: Vec<Row>,
    /// By their first address.
    sequences: Vec<Sequence>,
}

/// The place of a file's name.
#[derive(Debug, Clone, Copy)]
struct Name {
    section: SectionId,
    offset: usize,
}

/// From which address on code comes from which line; line 0: from none.
#[derive(Debug, Clone, Copy)]
struct Row {
    address: u64,
    name: u32,
    line: u32,
}

/// Code that lies together.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    start: u64,
    end: u64,
    rows: (u32, u32),
}

type Bytes<'d> = EndianSlice<'d, LittleEndian>;

impl SourceLines {
    /// The source file, as the compiler named it, and the line that the code at an offset comes from: `foo.jl:3`.
    pub fn at(&self, object: &ObjectFile<'_>, section: SectionId, offset: u64) -> Option<String> {
        let table = self.table.get_or_init(|| LineTable::read(object));
        let row = table.row(table.bases.get(&section)?.checked_add(offset)?)?;
        let name = table.names.get(row.name as usize)?;
        let contents = match table.contents.get(&name.section) {
            Some(contents) => contents.as_slice(),
            None => object.section(name.section).data,
        };
        let text = contents.get(name.offset..)?;
        let end = text.iter().take(LONGEST_NAME).position(|&byte| byte == 0)?;
        let text = String::from_utf8_lossy(&text[..end]);
        (row.line != 0 && !text.is_empty()).then(|| format!("{text}:{}", row.line))
    }
}

impl LineTable {
    fn read(object: &ObjectFile<'_>) -> Self {
        let mut table = LineTable::default();
        let mut next = FIRST_ADDRESS;
        for section in object.sections.iter().filter(|section| section.exec) {
            table.bases.insert(section.id, next);
            // A gap, so that the end of one section is not the start of the next.
            next = next.saturating_add(section.size).saturating_add(1);
        }
        let named = |name| object.sections.iter().filter(move |section| section.name == name);
        let strings = [".debug_line_str", ".debug_str"].map(|name| named(name).next());
        for section in named(".debug_line") {
            if let Some(contents) = table.relocated(object, section) {
                table.section(section.id, &contents, strings.map(|s| s.map(|s| s.id)));
                table.contents.insert(section.id, contents);
            }
        }
        for section in strings.into_iter().flatten() {
            if table.names.iter().any(|name| name.section == section.id)
                && let Some(Cow::Owned(contents)) = contents(object, section)
            {
                table.contents.insert(section.id, contents);
            }
        }
        table.sequences.sort_by_key(|sequence| sequence.start);
        table
    }

    /// A section's contents with its relocations applied, code sections at their bases.
    fn relocated(&self, object: &ObjectFile<'_>, section: &Section<'_>) -> Option<Vec<u8>> {
        let mut contents = contents(object, section)?.into_owned();
        for relocation in section.relocations() {
            let symbol = object.symbol(relocation.symbol);
            let SymbolPlace::Section(home) = symbol.place else { continue };
            let base = self.bases.get(&home).copied().unwrap_or(0);
            let value = base.wrapping_add(symbol.value).wrapping_add(relocation.addend as u64).to_le_bytes();
            let width = match relocation.kind {
                RelocKind::Abs64 => 8,
                RelocKind::Abs32 => 4,
                _ => continue,
            };
            let start = usize::try_from(relocation.offset).ok()?;
            contents.get_mut(start..start.checked_add(width)?)?.copy_from_slice(&value[..width]);
        }
        Some(contents)
    }

    /// Reads the programs of one section, up to the first that is malformed.
    fn section(&mut self, id: SectionId, contents: &[u8], strings: [Option<SectionId>; 2]) {
        let mut rest = EndianSlice::new(contents, LittleEndian);
        while !rest.is_empty() {
            let offset = contents.len() - rest.len();
            if self.program(id, contents, offset, strings).is_none() || skip_unit(&mut rest).is_none() {
                break;
            }
        }
    }

    /// Reads one program.
    fn program(
        &mut self,
        id: SectionId,
        contents: &[u8],
        offset: usize,
        [line_strings, strings]: [Option<SectionId>; 2],
    ) -> Option<()> {
        let whole = EndianSlice::new(contents, LittleEndian);
        if header_length(whole.range_from(offset..))? > LONGEST_HEADER {
            return None;
        }
        let lines = DebugLine::new(contents, LittleEndian);
        // Before version 5 a program does not say how wide its addresses are.
        let program = lines.program(gimli::DebugLineOffset(offset), 8, None, None).ok()?;
        let first = u64::from(program.header().version() < 5);
        let names = u32::try_from(self.names.len()).ok()?;
        for file in program.header().file_names() {
            let name = match file.path_name() {
                AttributeValue::String(text) => Some(Name { section: id, offset: text.offset_from(whole) }),
                AttributeValue::DebugLineStrRef(at) => {
                    line_strings.map(|section| Name { section, offset: at.0 })
                }
                AttributeValue::DebugStrRef(at) => strings.map(|section| Name { section, offset: at.0 }),
                _ => None,
            };
            // What cannot be named keeps its number, and has no name there.
            self.names.push(name.unwrap_or(Name { section: id, offset: usize::MAX }));
        }
        let (mut start, mut from) = (None, self.rows.len());
        let mut rows = program.rows();
        while let Ok(Some((_, row))) = rows.next_row() {
            let begin = *start.get_or_insert(row.address());
            if row.end_sequence() {
                let rows = (u32::try_from(from).ok()?, u32::try_from(self.rows.len()).ok()?);
                self.sequences.push(Sequence { start: begin, end: row.address(), rows });
                (start, from) = (None, self.rows.len());
                continue;
            }
            let name = row
                .file_index()
                .checked_sub(first)
                .and_then(|index| names.checked_add(u32::try_from(index).ok()?));
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok());
            self.rows.push(Row {
                address: row.address(),
                name: name.unwrap_or(u32::MAX),
                line: line.unwrap_or(0),
            });
        }
        Some(())
    }

    /// The row that covers an address.
    fn row(&self, address: u64) -> Option<&Row> {
        let after = self.sequences.partition_point(|sequence| sequence.start <= address);
        let sequence = self.sequences.get(after.checked_sub(1)?).filter(|s| address < s.end)?;
        let rows = self.rows.get(sequence.rows.0 as usize..sequence.rows.1 as usize)?;
        rows.get(rows.partition_point(|row| row.address <= address).checked_sub(1)?)
    }
}

/// A section's contents as they were before compression.
fn contents<'d>(object: &ObjectFile<'d>, section: &Section<'d>) -> Option<Cow<'d, [u8]>> {
    if !section.compressed {
        return Some(Cow::Borrowed(section.data));
    }
    let limit = section.data.len().checked_mul(LARGEST_RATIO)?;
    object.format.decompress(section.data, limit).map(Cow::Owned)
}

/// Goes on to the next unit of a section.
fn skip_unit(rest: &mut Bytes<'_>) -> Option<()> {
    let (length, _) = rest.read_initial_length().ok()?;
    rest.skip(length).ok()
}

/// How long the header that starts there says that it is.
fn header_length(mut unit: Bytes<'_>) -> Option<u64> {
    let (_, format) = unit.read_initial_length().ok()?;
    if unit.read_u16().ok()? >= 5 {
        // Sizes of addresses and of segment selectors.
        unit.read_u16().ok()?;
    }
    Some(unit.read_offset(format).ok()? as u64)
}

#[cfg(test)]
#[path = "source_lines/tests.rs"]
mod tests;
