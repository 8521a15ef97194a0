//! Relocation tables of the output: entries replaced, removed and added, symbol indices moved, and new tables
//! for sections that had none.

use std::borrow::Cow;
use std::collections::BTreeMap;

use object::elf;
use smallvec::SmallVec;

use super::super::records::{REL_SIZE, RELA_SIZE, RelaEntry, SectionHeader, rel_symbol};
use super::super::relocation_types::{field_width, number};
use super::super::relocations::relocatable_size;
use super::super::tables::Tables;
use super::Joins;
use super::layout::{Contents, Output, OutputSection};
use super::repeats::FEW;
use super::symbols::SymbolPlan;
use crate::edits::{Edits, NewRelocation, RelocationEdit, Repeated};
use crate::error::{Error, Result};
use crate::object_file::{GroupId, ObjectFile, SectionId};

/// Rewrites the tables that change and appends those that are new; the new sections are in `output` already.
pub(super) fn write<'a>(
    object: &ObjectFile<'a>,
    tables: &Tables<'a>,
    edits: &'a Edits,
    plan: &'a SymbolPlan,
    output: &mut Output<'a>,
    joins: &mut Joins,
) -> Result<()> {
    let mut without_table = changes(object, edits)?;
    for (index, header) in tables.sections.iter().enumerate() {
        if output.sections[index].gone {
            continue;
        }
        let target = SectionId(header.sh_info);
        match elf::SectionType(header.sh_type) {
            elf::SHT_RELA => {
                let list = without_table.remove(&target).unwrap_or_default();
                // Where a pattern is repeated, an edit in the list does it first.
                if list.is_empty() && !plan.moves_symbols() {
                    continue;
                }
                let field = Fields::of_section(object, tables, edits, target);
                let table = edited(&field, tables.entries::<RELA_SIZE>(index), &list, plan)?;
                output.sections[index].replace(table);
            }
            elf::SHT_REL => {
                if without_table.contains_key(&target) {
                    return Err(
                        tables.unsupported(index, "relocations without addends (SHT_REL) cannot be changed")
                    );
                }
                if plan.moves_symbols() {
                    let moved = move_symbols(tables.entries::<REL_SIZE>(index), plan);
                    output.sections[index].replace(Contents::Bytes(moved));
                }
            }
            _ => {}
        }
    }
    for (target, list) in without_table {
        let field = Fields::of_section(object, tables, edits, target);
        let table = edited(&field, &[], &list, plan)?;
        let name = output.sections[target.0 as usize].name.clone();
        let group = object.section(target).group;
        append(tables, output, joins, target.0 as usize, &name, group, table);
    }
    for (position, section) in edits.sections.iter().enumerate() {
        if section.relocations.is_empty() {
            continue;
        }
        let field = Fields { file: object.name, section: &section.name, size: section.size, repeated: None };
        let mut table = Vec::with_capacity(section.relocations.len() * RELA_SIZE);
        let mut previous = 0;
        for new in &section.relocations {
            if new.offset < previous {
                return Err(field.refused(new.offset, "the relocations of a new section are not in order"));
            }
            previous = new.offset;
            table.extend(field.entry(new, plan)?.bytes());
        }
        let target = tables.sections.len() + position;
        append(tables, output, joins, target, &section.name, section.group, Contents::Bytes(table));
    }
    Ok(())
}

/// All changes to the relocations of the input's sections, those of what they grow by included.
fn changes<'a>(
    object: &ObjectFile<'_>,
    edits: &'a Edits,
) -> Result<BTreeMap<SectionId, Cow<'a, [RelocationEdit]>>> {
    let mut changes: BTreeMap<_, Cow<'a, [RelocationEdit]>> = edits
        .relocations
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(&id, list)| (id, Cow::Borrowed(list.as_slice())))
        .collect();
    for extension in &edits.extensions {
        let section = object.section(extension.section);
        for new in &extension.relocations {
            let offset = section.size.checked_add(new.offset).ok_or_else(|| {
                Error::refused(object.name, "a relocation outside of what is added")
                    .at(section.name, new.offset)
            })?;
            let list = changes.entry(extension.section).or_default();
            list.to_mut().push(RelocationEdit::Add(NewRelocation { offset, ..*new }));
        }
    }
    Ok(changes)
}

/// The section whose fields are relocated.
struct Fields<'a> {
    file: &'a str,
    section: &'a str,
    size: u64,
    /// What is repeated there.
    repeated: Option<&'a Repeated>,
}

impl<'a> Fields<'a> {
    fn of_section(object: &ObjectFile<'a>, tables: &Tables<'a>, edits: &'a Edits, id: SectionId) -> Self {
        let section = object.section(id);
        let grows_by = edits.extensions.iter().filter(|e| e.section == id).map(|e| e.data.len() as u64);
        let size = relocatable_size(&tables.sections[id.0 as usize], section.data);
        let repeated = edits.repeated.get(&id);
        Fields {
            file: object.name,
            section: section.name,
            size: size.saturating_add(grows_by.sum()),
            repeated,
        }
    }

    fn refused(&self, offset: u64, message: impl Into<String>) -> Error {
        Error::refused(self.file, message).at(self.section, offset)
    }

    /// The entries of what is repeated, by pattern, with the distance from its place for an offset.
    fn repeated(&self, plan: &SymbolPlan) -> Result<Vec<RelaEntry>> {
        let Some(repeated) = self.repeated else { return Ok(Vec::new()) };
        let mut entries = Vec::with_capacity(repeated.patterns.len());
        for pattern in &repeated.patterns {
            let entry = self.entry(&pattern.relocation, plan)?;
            let field = entry.r_offset.wrapping_sub(pattern.first);
            // Those bytes are in the section wherever they are repeated.
            let end = field.checked_add(field_width(entry.r_type));
            if end.is_none_or(|end| end > u64::from(repeated.form.length)) {
                return Err(self.refused(pattern.first, "a repeated relocation outside of its bytes"));
            }
            entries.push(RelaEntry { r_offset: field, ..entry });
        }
        Ok(entries)
    }

    /// The entry of a new relocation.
    fn entry(&self, new: &NewRelocation, plan: &SymbolPlan) -> Result<RelaEntry> {
        let Some(r_type) = number(new.kind) else {
            return Err(
                self.refused(new.offset, format!("{:?} has no relocation type on this machine", new.kind))
            );
        };
        let end = new.offset.checked_add(field_width(r_type));
        if end.is_none_or(|end| end > self.size) {
            return Err(self.refused(
                new.offset,
                format!("a relocation outside of the section's {:#x} bytes", self.size),
            ));
        }
        Ok(RelaEntry { r_offset: new.offset, r_type, r_sym: plan.index(new.symbol), r_addend: new.addend })
    }
}

/// A table with its edits: the old entries in their order, each addition before the first entry that has a
/// greater offset.
fn edited<'a>(
    field: &Fields<'a>,
    entries: &'a [[u8; RELA_SIZE]],
    list: &[RelocationEdit],
    plan: &'a SymbolPlan,
) -> Result<Contents<'a>> {
    let mut changed: BTreeMap<u32, Option<RelaEntry>> = BTreeMap::new();
    let mut added = Vec::new();
    for edit in list {
        let (index, new) = match edit {
            RelocationEdit::Replace(index, new) => (*index, Some(field.entry(new, plan)?)),
            RelocationEdit::Remove(index) => (*index, None),
            RelocationEdit::Add(new) => {
                added.push(field.entry(new, plan)?);
                continue;
            }
        };
        let Some(old) = entries.get(index as usize) else {
            return Err(field.refused(0, format!("relocation {index} of {} does not exist", entries.len())));
        };
        if changed.insert(index, new).is_some() {
            let offset = RelaEntry::parse(old).r_offset;
            return Err(field.refused(offset, "two changes of the same relocation"));
        }
    }
    added.sort_by_key(|entry| entry.r_offset);
    let patterns = field.repeated(plan)?;
    let places = field.repeated.map_or(&[][..], |repeated| &repeated.places);
    let removed = changed.values().filter(|new| new.is_none()).count();
    let length = (entries.len() - removed + added.len() + places.len()) * RELA_SIZE;
    let make = move |table: &mut [u8]| {
        let mut table = table.as_chunks_mut::<RELA_SIZE>().0.iter_mut();
        let mut put = |entry: RelaEntry| {
            if let Some(place) = table.next() {
                *place = entry.bytes();
            }
        };
        // Where there is no such pattern its bytes are refused.
        let mut repeated = places.chunks(FEW).flat_map(|few| {
            let entries = few.iter().filter_map(|place| {
                let entry = *patterns.get(place.pattern as usize)?;
                Some(RelaEntry { r_offset: entry.r_offset.wrapping_add(place.offset), ..entry })
            });
            entries.collect::<SmallVec<[RelaEntry; FEW]>>()
        });
        let (mut once, mut again) = (added.iter().copied().peekable(), repeated.by_ref().peekable());
        let mut before = |end: Option<u64>, put: &mut dyn FnMut(RelaEntry)| {
            let inside = |entry: &RelaEntry| end.is_none_or(|end| entry.r_offset < end);
            loop {
                let first = match (once.peek(), again.peek()) {
                    (Some(one), Some(other)) if other.r_offset < one.r_offset => again.next_if(inside),
                    (Some(_), _) => once.next_if(inside),
                    (None, _) => again.next_if(inside),
                };
                match first {
                    Some(entry) => put(entry),
                    None => break,
                }
            }
        };
        for (index, bytes) in entries.iter().enumerate() {
            let old = RelaEntry::parse(bytes);
            let entry = match changed.get(&(index as u32)) {
                Some(Some(new)) => *new,
                Some(None) => continue,
                None => RelaEntry { r_sym: plan.moved(old.r_sym), ..old },
            };
            before(Some(entry.r_offset), &mut put);
            put(entry);
        }
        before(None, &mut put);
    };
    Ok(Contents::Made(length, Box::new(make)))
}

/// A table without addends whose symbols' indices have moved.
fn move_symbols(entries: &[[u8; REL_SIZE]], plan: &SymbolPlan) -> Vec<u8> {
    let mut table = Vec::with_capacity(entries.len() * REL_SIZE);
    for entry in entries {
        // Offset and type, then the symbol in the upper half of r_info.
        table.extend(&entry[..12]);
        table.extend(plan.moved(rel_symbol(entry)).to_le_bytes());
    }
    table
}

/// A new table, which joins the group of the section that it applies to.
fn append<'a>(
    tables: &Tables<'_>,
    output: &mut Output<'a>,
    joins: &mut Joins,
    target: usize,
    target_name: &str,
    group: Option<GroupId>,
    contents: Contents<'a>,
) {
    let mut flags = elf::SHF_INFO_LINK.0;
    if let Some(group) = group {
        flags |= elf::SHF_GROUP.0;
        joins.add(group, output.sections.len());
    }
    let header = SectionHeader {
        sh_type: elf::SHT_RELA.0,
        sh_flags: flags,
        sh_link: tables.symbols.as_ref().map_or(0, |t| t.section as u32),
        sh_info: target as u32,
        sh_addralign: 8,
        sh_entsize: RELA_SIZE as u64,
        ..SectionHeader::default()
    };
    output.sections.push(OutputSection::new(header, format!(".rela{target_name}"), Some(contents)));
}
