//! The sections that are added, and the pointer-sized variables and stubs in them.
//!
//! Pointer slots are relocated at load and then read-only; filled slots are zero until the initializer has run.
//! Each is a local symbol, so that a disassembly says what it holds.

use rayon::prelude::*;

use super::graph::NodeId;
use super::{Destination, Planner, Source, Store};
use crate::edits::{Home, NewLocalId, NewRelocation, NewSection, NewSectionId, NewSectionKind, SymbolRef};
use crate::object_file::GroupId;
use crate::reloc::RelocKind;

/// The size of a pointer on every machine that there is so far.
const POINTER: u64 = 8;

/// A section that may be added: its name, what it holds, and its least alignment in bytes.
pub(super) type Role = (&'static str, NewSectionKind, u64);

/// Pointer slots. By name the linker puts them among what is read-only after relocation.
pub(super) const POINTER_SLOTS: Role = (".data.rel.ro.relocfix", NewSectionKind::Writable, POINTER);
/// Copies of pool words that are read several at once.
pub(super) const POOL: Role = (".data.rel.ro.relocfix.pool", NewSectionKind::Writable, POINTER);
/// Filled slots.
pub(super) const FILLED_SLOTS: Role = (".bss.relocfix", NewSectionKind::ZeroFill, POINTER);
/// The initializer and stubs.
pub(super) const CODE: Role = (".text.relocfix", NewSectionKind::Code, 16);
/// Thunks of code that may lie far from the rest. By name and flag bfd, lld and mold put it beside `.ltext`, and both
/// beside `.text`, whatever large data there is.
pub(super) const LARGE_CODE: Role = (".ltext.relocfix", NewSectionKind::LargeCode, 16);
/// Fill programs.
pub(super) const PROGRAMS: Role = (".rodata.relocfix.program", NewSectionKind::ReadOnly, 4);
/// What a failing fill says.
pub(super) const MESSAGES: Role = (".rodata.relocfix.messages", NewSectionKind::ReadOnly, 4);
/// Strings of the session map.
pub(super) const STRINGS: Role = (".rodata.relocfix.str1.1", NewSectionKind::Strings, 1);
/// Blocks of bytes without addresses in them.
pub(super) const BYTES: Role = (".rodata.relocfix.bytes", NewSectionKind::ReadOnly, 1);
/// Blocks of bytes with addresses in them.
pub(super) const POINTER_BYTES: Role = (".data.rel.ro.relocfix.bytes", NewSectionKind::Writable, 1);
/// Blocks of bytes that are written to, and variables with file contents.
pub(super) const DATA: Role = (".data.relocfix", NewSectionKind::Writable, POINTER);
/// What the startup code calls, before ordinary constructors (which have no number or a higher one).
pub(super) const INIT_ARRAY: Role = (".init_array.00101", NewSectionKind::InitArray, POINTER);

/// Distances to the initializers that can be called again.
pub(super) const INITIALIZERS: Role = (super::protocol::INITIALIZERS, NewSectionKind::Retained, 4);

/// Whether an added section of that name holds 32-bit words and text alone, and nothing that stood in the input.
pub(crate) fn is_made_text(name: &str) -> bool {
    [PROGRAMS, MESSAGES, STRINGS].iter().any(|role| role.0 == name)
}

/// Whether an added section of that name holds bytes that the session map gives.
pub(crate) fn is_of_map(name: &str) -> bool {
    [BYTES, POINTER_BYTES, DATA].iter().any(|role| role.0 == name)
}

impl Planner<'_> {
    /// The new section of that role, made at its first use.
    pub(super) fn section(&mut self, (name, kind, align): Role, group: Option<GroupId>) -> NewSectionId {
        let sections = &mut self.edits.sections;
        *self.sections.entry((name, group)).or_insert_with(|| {
            sections.push(NewSection {
                name: name.to_owned(),
                kind,
                align,
                data: Vec::new(),
                size: 0,
                group,
                relocations: Vec::new(),
            });
            NewSectionId(sections.len() as u32 - 1)
        })
    }

    /// Appends to a new section and returns the offset.
    pub(super) fn append(
        &mut self,
        role: Role,
        group: Option<GroupId>,
        align: u64,
        data: &[u8],
    ) -> (NewSectionId, u64) {
        let id = self.section(role, group);
        let section = &mut self.edits.sections[id.0 as usize];
        section.align = section.align.max(align);
        // Between functions the filler must not be decoded as an instruction that runs on into the next one.
        let code = matches!(section.kind, NewSectionKind::Code | NewSectionKind::LargeCode);
        let filler = if code { 0xcc } else { 0 };
        let offset = section.size.next_multiple_of(align.max(1));
        section.data.resize(offset as usize, filler);
        section.data.extend_from_slice(data);
        section.size = section.data.len() as u64;
        (id, offset)
    }

    /// Adds a relocation to a new section.
    pub(super) fn relocate_new(&mut self, section: NewSectionId, relocation: NewRelocation) {
        self.edits.sections[section.0 as usize].relocations.push(relocation);
    }

    /// The slot that holds what `source` yields, for something in `user`, a group or the rest of the object;
    /// `name` is for people.
    pub(super) fn slot(&mut self, source: Source, user: Option<GroupId>, name: &str) -> NewLocalId {
        match source {
            // The input's symbols can spell addresses, and what stands for them does not.
            Source::Address(symbol, addend) => match symbol {
                SymbolRef::NewSection(_) => self.named_pointer_slot(symbol, addend, Some(name)),
                _ => self.pointer_slot(symbol, addend),
            },
            Source::Computed(node, offset) => {
                let slot = match self.filled_slots.get(&(node, offset)) {
                    Some(&slot) => slot,
                    None => self.new_filled_slot(node, offset, name),
                };
                self.slot_users.entry(slot).or_default().insert(user);
                slot
            }
        }
    }

    /// A new zero word that the initializer fills.
    pub(super) fn new_filled_slot(&mut self, node: NodeId, offset: i64, name: &str) -> NewLocalId {
        self.report.summary.slots += 1;
        // In what section and where is known when all users are: see `lay_out_filled_slots`.
        let home = Home::New(NewSectionId(u32::MAX));
        let slot = self.add_local(slot_name(name, offset), home, 0, POINTER, false);
        self.filled_slots.insert((node, offset), slot);
        self.filled.slots.insert(slot, Source::Computed(node, offset));
        let destination = Destination::Slot(slot);
        self.stores.push(Store { destination, node, offset, group: None, what: name.to_owned() });
        slot
    }

    /// Gives a filled slot its place, in the group whose program fills it.
    pub(super) fn place_filled_slot(&mut self, slot: NewLocalId, group: Option<GroupId>) {
        let section = self.section(FILLED_SLOTS, group);
        let size = &mut self.edits.sections[section.0 as usize].size;
        let local = &mut self.edits.locals[slot.0 as usize];
        (local.home, local.value) = (Home::New(section), *size);
        *size += POINTER;
    }

    /// The slot that holds a symbol's address plus a number.
    pub(super) fn pointer_slot(&mut self, symbol: SymbolRef, addend: i64) -> NewLocalId {
        self.named_pointer_slot(symbol, addend, None)
    }

    /// `name` is for people, if that is not the symbol's.
    fn named_pointer_slot(&mut self, symbol: SymbolRef, addend: i64, name: Option<&str>) -> NewLocalId {
        // A slot for something local to a group goes with the group, or a discarded group would be referred to.
        let group = self.confining_group(symbol);
        if let Some(&slot) = self.pointer_slots.get(&(group, symbol, addend)) {
            return slot;
        }
        let section = self.section(POINTER_SLOTS, group);
        let name = name.unwrap_or_else(|| self.symbol_text(symbol));
        // What lies in a section of ours has an offset that means nothing to people.
        let name = slot_name(name, if matches!(symbol, SymbolRef::NewSection(_)) { 0 } else { addend });
        self.report.summary.slots += 1;
        // Its offset is known when all slots are: see `lay_out_slots`.
        let slot = self.add_local(name, Home::New(section), 0, POINTER, false);
        self.pointer_slots.insert((group, symbol, addend), slot);
        slot
    }

    /// Puts the pointer slots in the order of their symbols: the dynamic linker, which looks a symbol up once
    /// for neighbouring relocations, then does so once for each.
    pub(super) fn lay_out_slots(&mut self) {
        let mut slots: Vec<_> = std::mem::take(&mut self.pointer_slots).into_iter().collect();
        slots.par_sort_unstable();
        for ((group, symbol, addend), slot) in slots {
            let (section, offset) = self.append(POINTER_SLOTS, group, POINTER, &[0; POINTER as usize]);
            self.edits.locals[slot.0 as usize].value = offset;
            self.relocate_new(section, NewRelocation { offset, kind: RelocKind::Abs64, symbol, addend });
        }
    }

    /// A function of ours that jumps to what `source` yields.
    pub(super) fn stub(&mut self, source: Source, name: &str) -> NewLocalId {
        if let Some(&stub) = self.stubs.get(&source) {
            return stub;
        }
        let slot = self.slot(source, None, name);
        let arch = self.object().machine.arch();
        let fragment = arch.stub((SymbolRef::Local(slot), 0), self.object().landing_pads);
        let stub = self.add_code(&fragment, None, format!("relocfix.stub.{name}"));
        self.stubs.insert(source, stub);
        stub
    }
}

/// `relocfix.slot.TARGET+0x10`. There can be as many as places: what formats anything takes longer than all else that a
/// slot needs.
fn slot_name(target: &str, offset: i64) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut name = String::with_capacity("relocfix.slot.".len() + target.len() + "-0x".len() + 16);
    name.push_str("relocfix.slot.");
    name.push_str(target);
    if offset != 0 {
        name.push_str(if offset > 0 { "+0x" } else { "-0x" });
        let number = offset.unsigned_abs();
        let digits = (0..=number.ilog2() / 4).rev();
        name.extend(digits.map(|digit| char::from(DIGITS[(number >> (4 * digit)) as usize & 15])));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_called_by_what_they_hold() {
        for offset in [1, 9, 0xf, 0x10, 0x1234, i64::MAX, -1, -0x8000, i64::MIN] {
            let sign = if offset > 0 { '+' } else { '-' };
            let name = format!("relocfix.slot.obj{sign}{:#x}", offset.unsigned_abs());
            assert_eq!(slot_name("obj", offset), name);
        }
        assert_eq!(slot_name("obj", 0), "relocfix.slot.obj");
    }
}
