//! Where everything lies in the output file: what stays stays at its offset, the rest follows.

use std::borrow::Cow;
use std::fmt;

use object::elf;
use rayon::prelude::*;

use super::super::records::{EHDR_SIZE, FileHeader, SHDR_SIZE, SHN_LORESERVE, SectionHeader};
use super::super::tables::Tables;
use super::repeats;
use crate::edits::{BytesEdit, Edits};
use crate::error::Result;
use crate::format::Room;
use crate::object_file::{ObjectFile, SectionId};

/// How many bytes a thread copies in one go.
const AT_ONCE: usize = 1 << 20;

/// The sections of the output; the index is the section's.
#[derive(Debug)]
pub(super) struct Output<'a> {
    pub(super) sections: Vec<OutputSection<'a>>,
    bytes: &'a [u8],
}

/// A section of the output.
#[derive(Debug)]
pub(super) struct OutputSection<'a> {
    /// Its index in the input; meaningless for new ones.
    pub(super) index: usize,
    /// Its header; name, offset and size of what is replaced are filled in at the end.
    pub(super) header: SectionHeader,
    /// Its name.
    pub(super) name: Cow<'a, str>,
    /// It has become a null section.
    pub(super) gone: bool,
    /// Its new contents; `None`: the input's, or none in the file.
    contents: Option<Contents<'a>>,
    /// It has a place in the input.
    old: bool,
}

/// Puts contents in their place.
type Make<'a> = dyn Fn(&mut [u8]) + Send + Sync + 'a;

/// New contents of a section.
pub(super) enum Contents<'a> {
    /// These.
    Bytes(Vec<u8>),
    /// So many bytes, zero at first, that are made in their place.
    Made(usize, Box<Make<'a>>),
}

impl Contents<'_> {
    fn len(&self) -> usize {
        match self {
            Contents::Bytes(bytes) => bytes.len(),
            Contents::Made(length, _) => *length,
        }
    }
}

impl fmt::Debug for Contents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

impl<'a> OutputSection<'a> {
    /// A section that the input does not have.
    pub(super) fn new(header: SectionHeader, name: String, contents: Option<Contents<'a>>) -> Self {
        OutputSection { index: 0, header, name: Cow::Owned(name), gone: false, contents, old: false }
    }

    /// Gives it other contents, of whatever size.
    pub(super) fn replace(&mut self, contents: Contents<'a>) {
        self.contents = Some(contents);
    }

    fn end(&self) -> usize {
        self.header.sh_offset.saturating_add(self.header.sh_size) as usize
    }

    /// Puts its contents, or those that it has in `input`, in their place.
    fn fill(&self, input: &[u8], place: &mut [u8]) {
        match &self.contents {
            Some(Contents::Made(_, make)) => make(place),
            Some(Contents::Bytes(bytes)) => copy(place, bytes),
            None => {
                let start = self.header.sh_offset as usize;
                copy(place, input.get(start..start + place.len()).unwrap_or_default());
            }
        }
    }

    fn is_symbols_or_names(&self) -> bool {
        matches!(
            elf::SectionType(self.header.sh_type),
            elf::SHT_SYMTAB | elf::SHT_SYMTAB_SHNDX | elf::SHT_STRTAB
        )
    }

    /// Whether its bytes lie where they lay.
    fn stays(&self) -> bool {
        let same_size = |c: &Contents<'_>| c.len() as u64 == self.header.sh_size;
        self.old && self.header.has_file_bytes() && self.contents.as_ref().is_none_or(same_size)
    }
}

impl<'a> Output<'a> {
    /// The input's sections as they are.
    pub(super) fn new(tables: &Tables<'a>) -> Result<Self> {
        let mut sections = Vec::with_capacity(tables.sections.len());
        for (index, header) in tables.sections.iter().enumerate() {
            sections.push(OutputSection {
                index,
                header: *header,
                name: Cow::Borrowed(tables.section_name(index)?),
                gone: false,
                contents: None,
                old: true,
            });
        }
        Ok(Output { sections, bytes: tables.bytes() })
    }

    /// The file: first it is settled where everything lies, then all threads fill it.
    ///
    /// # Errors
    /// Changes of bytes that are repeated and cannot be made; no room.
    pub(super) fn finish(
        mut self,
        object: &ObjectFile<'_>,
        tables: &Tables<'_>,
        edits: &Edits,
        room: &mut dyn Room,
    ) -> Result<()> {
        let end = self.place();
        let table_offset = end.next_multiple_of(8);
        let out = room.take(table_offset + self.sections.len() * SHDR_SIZE)?;
        let mut changes: Vec<&BytesEdit> = edits.bytes.iter().collect();
        changes.sort_by_key(|edit| (edit.section, edit.offset));
        let filled = self.cut(out).into_par_iter().map(|(section, place)| {
            section.fill(self.bytes, place);
            // Sections that are new are no edit's.
            let Some(id) = section.old.then_some(SectionId(section.index as u32)) else { return Ok(()) };
            let before = |edit: &&BytesEdit| edit.section < id;
            let inside = |edit: &&BytesEdit| edit.section <= id;
            let once = &changes[changes.partition_point(before)..changes.partition_point(inside)];
            for edit in once {
                let start = edit.offset as usize;
                if let Some(place) = place.get_mut(start..start + edit.new.len()) {
                    place.copy_from_slice(&edit.new);
                }
            }
            match edits.repeated.get(&id) {
                Some(repeated) => repeats::write(object, id, once, repeated, place),
                None => Ok(()),
            }
        });
        filled.collect::<Result<()>>()?;
        self.write_headers(tables, table_offset, out);
        Ok(())
    }

    /// Gives every section its offset and size, and tells where the last ends.
    fn place(&mut self) -> usize {
        let staying = self.sections.iter().filter(|s| s.stays()).map(OutputSection::end);
        // Staying sections are ranges of the input, so this is at most the input's size.
        let mut end = staying.max().unwrap_or(0).max(EHDR_SIZE).min(self.bytes.len());
        // Symbols and names come last: a later run that replaces them leaves no hole.
        for last in [false, true] {
            for section in &mut self.sections {
                let nothing = section.contents.is_none() && section.old;
                if section.stays() || nothing || section.is_symbols_or_names() != last {
                    continue;
                }
                // A section's contents need no more than a page in the file, whatever its alignment in memory is.
                end = end.next_multiple_of(section.header.sh_addralign.clamp(1, 4096) as usize);
                section.header.sh_offset = end as u64;
                if let Some(contents) = &section.contents {
                    section.header.sh_size = contents.len() as u64;
                    end += contents.len();
                }
            }
        }
        for section in &mut self.sections {
            // An empty section may have lain in what is cut off.
            section.header.sh_offset = section.header.sh_offset.min(end as u64);
        }
        end
    }

    /// The sections with bytes in the file, each with its place.
    fn cut<'o>(&self, out: &'o mut [u8]) -> Vec<(&OutputSection<'a>, &'o mut [u8])> {
        let has_bytes = |s: &&OutputSection<'a>| s.header.has_file_bytes() && s.header.sh_size > 0;
        let mut sections: Vec<_> = self.sections.iter().filter(has_bytes).collect();
        sections.sort_by_key(|section| section.header.sh_offset);
        let (mut places, mut left, mut start) = (Vec::with_capacity(sections.len()), out, 0);
        for section in sections {
            // Those of the input share no bytes, and the others lie behind them.
            let before = (section.header.sh_offset as usize).saturating_sub(start);
            let Some((_, rest)) = left.split_at_mut_checked(before) else { break };
            let Some((place, rest)) = rest.split_at_mut_checked(section.header.sh_size as usize) else {
                break;
            };
            places.push((section, place));
            (left, start) = (rest, section.end());
        }
        places
    }

    /// The section header table, and what the file header says of it.
    fn write_headers(&mut self, tables: &Tables<'_>, table_offset: usize, out: &mut [u8]) {
        let count = self.sections.len() as u32;
        let names = tables.shstrndx as u32;
        let mut header = FileHeader { e_shoff: table_offset as u64, ..tables.header };
        let null = &mut self.sections[0].header;
        *null = SectionHeader::default();
        // gABI, "ELF Header": numbers that do not fit are in the null section's header.
        header.e_shnum = if count >= SHN_LORESERVE {
            null.sh_size = u64::from(count);
            0
        } else {
            count as u16
        };
        header.e_shstrndx = if names >= SHN_LORESERVE {
            null.sh_link = names;
            elf::SHN_XINDEX.0
        } else {
            names as u16
        };
        let mut fields = Vec::with_capacity(EHDR_SIZE);
        header.write(&mut fields);
        let ident = EHDR_SIZE - fields.len();
        out[..ident].copy_from_slice(&self.bytes[..ident]);
        out[ident..EHDR_SIZE].copy_from_slice(&fields);
        let mut table = Vec::with_capacity(self.sections.len() * SHDR_SIZE);
        for section in &self.sections {
            section.header.write(&mut table);
        }
        out[table_offset..].copy_from_slice(&table);
    }
}

/// Copies as many bytes, by all threads.
fn copy(to: &mut [u8], from: &[u8]) {
    let parts = to.par_chunks_mut(AT_ONCE).zip(from.par_chunks(AT_ONCE));
    parts.for_each(|(to, from)| to.copy_from_slice(from));
}
