//! Where everything lies in the output file: what stays stays at its offset, the rest follows.

use std::borrow::Cow;

use object::elf;
use rayon::prelude::*;

use super::super::records::{EHDR_SIZE, FileHeader, SHDR_SIZE, SHN_LORESERVE, SectionHeader};
use super::super::tables::Tables;
use crate::edits::Edits;
use crate::error::Result;

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
    contents: Option<Vec<u8>>,
    /// It has a place in the input.
    old: bool,
}

impl OutputSection<'_> {
    /// A section that the input does not have.
    pub(super) fn new(header: SectionHeader, name: String, contents: Option<Vec<u8>>) -> Self {
        OutputSection { index: 0, header, name: Cow::Owned(name), gone: false, contents, old: false }
    }

    /// Gives it other contents, of whatever size.
    pub(super) fn replace(&mut self, contents: Vec<u8>) {
        self.contents = Some(contents);
    }

    fn is_symbols_or_names(&self) -> bool {
        matches!(
            elf::SectionType(self.header.sh_type),
            elf::SHT_SYMTAB | elf::SHT_SYMTAB_SHNDX | elf::SHT_STRTAB
        )
    }

    /// Whether its bytes lie where they lay.
    fn stays(&self) -> bool {
        let same_size = |c: &Vec<u8>| c.len() as u64 == self.header.sh_size;
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

    /// The file.
    pub(super) fn finish(mut self, tables: &Tables<'_>, edits: &Edits) -> Result<Vec<u8>> {
        let end_of = |s: &OutputSection<'_>| s.header.sh_offset.saturating_add(s.header.sh_size) as usize;
        let staying = self.sections.iter().filter(|s| s.stays()).map(end_of);
        // Staying sections are ranges of the input, so this is at most the input's size.
        let kept = staying.max().unwrap_or(0).max(EHDR_SIZE).min(self.bytes.len());
        let mut out = vec![0; kept];
        out[..EHDR_SIZE].copy_from_slice(&self.bytes[..EHDR_SIZE]);
        for section in self.sections.iter().filter(|s| s.stays()) {
            let range = section.header.sh_offset as usize..end_of(section);
            let contents = section.contents.as_deref().or_else(|| self.bytes.get(range.clone()));
            if let (Some(place), Some(contents)) = (out.get_mut(range), contents) {
                copy(place, contents);
            }
        }
        // Symbols and names come last: a later run that replaces them leaves no hole.
        for last in [false, true] {
            for section in &mut self.sections {
                let nothing = section.contents.is_none() && section.old;
                if section.stays() || nothing || section.is_symbols_or_names() != last {
                    continue;
                }
                pad(&mut out, section.header.sh_addralign);
                section.header.sh_offset = out.len() as u64;
                if let Some(contents) = section.contents.take() {
                    section.header.sh_size = contents.len() as u64;
                    out.extend(contents);
                }
            }
        }
        for edit in &edits.bytes {
            let start =
                self.sections[edit.section.0 as usize].header.sh_offset as usize + edit.offset as usize;
            if let Some(place) = out.get_mut(start..start + edit.new.len()) {
                place.copy_from_slice(&edit.new);
            }
        }
        for (id, repeated) in &edits.repeated {
            let start = self.sections[id.0 as usize].header.sh_offset as usize;
            for (offset, pattern) in repeated.iter() {
                let start = start + offset as usize;
                if let Some(place) = out.get_mut(start..start + pattern.new.len()) {
                    place.copy_from_slice(&pattern.new);
                }
            }
        }
        // An empty section may have lain in what is cut off.
        for section in &mut self.sections {
            section.header.sh_offset = section.header.sh_offset.min(out.len() as u64);
        }
        pad(&mut out, 8);
        let table_offset = out.len() as u64;
        self.write_headers(tables, table_offset, &mut out);
        Ok(out)
    }

    /// The section header table, and what the file header says of it.
    fn write_headers(&mut self, tables: &Tables<'_>, table_offset: u64, out: &mut Vec<u8>) {
        let count = self.sections.len() as u32;
        let names = tables.shstrndx as u32;
        let mut header = FileHeader { e_shoff: table_offset, ..tables.header };
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
        out[ident..EHDR_SIZE].copy_from_slice(&fields);
        out.reserve(self.sections.len() * SHDR_SIZE);
        for section in &self.sections {
            section.header.write(out);
        }
    }
}

/// Copies as many bytes, by all threads.
fn copy(to: &mut [u8], from: &[u8]) {
    let parts = to.par_chunks_mut(AT_ONCE).zip(from.par_chunks(AT_ONCE));
    parts.for_each(|(to, from)| to.copy_from_slice(from));
}

fn pad(out: &mut Vec<u8>, align: u64) {
    // A section's contents need no more than a page in the file, whatever its alignment in memory is.
    let align = align.clamp(1, 4096) as usize;
    out.resize(out.len().next_multiple_of(align), 0);
}
