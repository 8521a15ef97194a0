//! The relocation tables of the input: every entry is checked once, and decoded whenever someone asks for it.

use std::ops::Range;

use object::elf;
use rayon::prelude::*;

use super::read::check_symbol_table_link;
use super::records::{REL_SIZE, RELA_SIZE, RelaEntry, SectionHeader, rel_symbol};
use super::relocation_types::{field_width, kind};
use super::tables::Tables;
use crate::error::Result;
use crate::format::RelocationEntries;
use crate::object_file::{Relocation, RelocationTable, Section, SectionKind, SymbolId};

/// How many entries a thread checks in one go.
const AT_ONCE: usize = 1 << 14;

/// Entries of a table with addends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RelaEntries<'d> {
    entries: &'d [[u8; RELA_SIZE]],
    /// The index of the first in the table.
    first: usize,
}

impl<'d> RelaEntries<'d> {
    /// Those of a whole table.
    pub(super) fn new(entries: &'d [[u8; RELA_SIZE]]) -> Self {
        RelaEntries { entries, first: 0 }
    }

    #[inline]
    pub(in crate::format) fn len(self) -> usize {
        self.entries.len()
    }

    #[inline]
    pub(in crate::format) fn offset(self, index: usize) -> Option<u64> {
        self.entries
            .get(index)
            .and_then(|bytes| bytes.first_chunk())
            .map(|offset| u64::from_le_bytes(*offset))
    }

    #[inline]
    pub(in crate::format) fn get(self, index: usize) -> Option<Relocation> {
        let entry = RelaEntry::parse(self.entries.get(index)?);
        Some(Relocation {
            offset: entry.r_offset,
            kind: kind(entry.r_type),
            symbol: SymbolId(entry.r_sym),
            addend: entry.r_addend,
            entry: (self.first + index) as u32,
        })
    }

    #[inline]
    pub(in crate::format) fn part(self, range: Range<usize>) -> Self {
        let end = range.end.min(self.entries.len());
        let start = range.start.min(end);
        RelaEntries { entries: &self.entries[start..end], first: self.first + start }
    }
}

/// Reads the relocation tables and attaches them to the sections that they apply to.
pub(super) fn read<'d>(tables: &Tables<'d>, sections: &mut [Section<'d>], symbol_count: usize) -> Result<()> {
    // Which table a section has; of both kinds together there may be one.
    let mut table_of = vec![0_usize; sections.len()];
    for (index, header) in tables.sections.iter().enumerate() {
        let explicit = header.sh_type == elf::SHT_RELA.0;
        if !explicit && header.sh_type != elf::SHT_REL.0 {
            continue;
        }
        check_symbol_table_link(tables, index)?;
        let target = header.sh_info as usize;
        let Some(section) = sections.get_mut(target) else {
            return Err(tables.error(
                index,
                0,
                format!("applies to section {target} of {} (sh_info)", tables.sections.len()),
            ));
        };
        if section.kind == SectionKind::Format {
            return Err(tables.error(
                index,
                0,
                format!("applies to section {target} (sh_info), which is a table of the format itself"),
            ));
        }
        if std::mem::replace(&mut table_of[target], index) != 0 {
            return Err(tables.unsupported(index, format!("a second relocation table for {}", section.name)));
        }
        if !explicit {
            if section.alloc {
                return Err(tables.unsupported(
                    index,
                    "relocations without addends (SHT_REL) are not used by x86-64 compilers for program sections; \
                     make the object with RELA",
                ));
            }
            for (entry, bytes) in tables.entries::<REL_SIZE>(index).iter().enumerate() {
                let symbol = rel_symbol(bytes);
                check_symbol(tables, index, entry * REL_SIZE, symbol, symbol_count)?;
            }
            continue;
        }
        let entries = tables.entries::<RELA_SIZE>(index);
        let in_order = check_entries(tables, (index, entries), section, symbol_count)?;
        let entries = RelocationEntries::Elf(RelaEntries::new(entries));
        section.table = RelocationTable::new(entries, in_order);
    }
    Ok(())
}

/// Checks the entries of a table; tells whether they are by offset.
fn check_entries(
    tables: &Tables<'_>,
    (index, entries): (usize, &[[u8; RELA_SIZE]]),
    section: &Section<'_>,
    symbol_count: usize,
) -> Result<bool> {
    let size = relocatable_size(&tables.sections[section.id.0 as usize], section.data);
    let check = |start: usize| {
        let mut before = start.checked_sub(1).map_or(0, |before| RelaEntry::parse(&entries[before]).r_offset);
        let mut in_order = true;
        for (bytes, number) in entries[start..].iter().take(AT_ONCE).zip(start..) {
            let entry = RelaEntry::parse(bytes);
            let offset = number * RELA_SIZE;
            check_symbol(tables, index, offset, entry.r_sym, symbol_count)?;
            let end = entry.r_offset.checked_add(field_width(entry.r_type));
            if end.is_none_or(|end| end > size) {
                let message = format!(
                    "relocation {number} (type {}) at {}+{:#x} is outside of the section's {size:#x} bytes",
                    entry.r_type, section.name, entry.r_offset
                );
                return Err(tables.error(index, offset as u64, message));
            }
            in_order &= before <= entry.r_offset;
            before = entry.r_offset;
        }
        Ok(in_order)
    };
    let parts: Vec<Result<bool>> = (0..entries.len()).into_par_iter().step_by(AT_ONCE).map(check).collect();
    // Of several errors the first one is told.
    parts.into_iter().try_fold(true, |before, in_order| Ok(in_order? && before))
}

/// How many bytes relocations of a section can lie in. Those of a compressed section apply to what it
/// decompresses to, whose size its first words say.
pub(super) fn relocatable_size(header: &SectionHeader, data: &[u8]) -> u64 {
    if header.sh_type == elf::SHT_NOBITS.0 {
        return 0;
    }
    if header.has_flag(elf::SHF_COMPRESSED) {
        let size = data.get(8..).and_then(|d| d.first_chunk::<8>());
        // Half of the address space, so that offset and width can be added without a thought.
        return size.map_or(0, |bytes| u64::from_le_bytes(*bytes).min(u64::MAX / 2));
    }
    header.sh_size
}

fn check_symbol(
    tables: &Tables<'_>,
    index: usize,
    offset: usize,
    symbol: u32,
    symbol_count: usize,
) -> Result<()> {
    if (symbol as usize) < symbol_count {
        return Ok(());
    }
    Err(tables.error(index, offset as u64, format!("refers to symbol {symbol} of {symbol_count}")))
}
