//! Edits that can be made to any object, with everything in them that can be added.

use crate::edits::{
    Edits, Extension, Home, NewLocal, NewLocalId, NewRelocation, NewSection, NewSectionId, NewSectionKind,
    RelocationEdit, SymbolRef,
};
use crate::object_file::{GroupId, ObjectFile, SectionKind};
use crate::reloc::RelocKind;

/// One new symbol in one new section.
pub(super) fn small_edit() -> Edits {
    let mut edits = Edits::default();
    edits.sections.push(section(".note.relocfix", NewSectionKind::Record, &[7], None, Vec::new()));
    edits.locals.push(local("relocfix.again", Home::New(NewSectionId(0)), 0, 1, false));
    edits
}

/// A new section of each kind, with relocations of each kind of reference; the same in a group, if there is
/// one; relocations added to an old section with a table, and to one without.
pub(super) fn every_edit(object: &ObjectFile<'_>) -> Edits {
    let mut edits = Edits::default();
    let undefined = SymbolRef::Undefined(edits.add_undefined("relocfix_test_elsewhere"));
    add_sections(&mut edits, None, undefined);
    let in_groups = 0..object.groups.len().min(2);
    for group in in_groups {
        add_sections(&mut edits, Some(GroupId(group as u32)), undefined);
    }
    add_frames(object, &mut edits);
    let editable = object.sections.iter().filter(|s| s.kind != SectionKind::Format && s.group.is_none());
    if let Some(home) = editable.clone().find(|s| s.alloc) {
        edits.locals.push(local("relocfix.old_section", Home::Existing(home.id), 0, 0, false));
        let symbol = SymbolRef::Section(home.id);
        let record = relocation(0, RelocKind::Abs64, symbol, 0);
        let kind = NewSectionKind::Record;
        edits.sections.push(section(".relocfix.record", kind, &[0; 8], None, vec![record]));
    }
    let relocatable = object.sections.iter().filter(|s| {
        matches!(s.kind, SectionKind::Contents | SectionKind::ExceptTable)
            && s.alloc
            && s.size > 0
            && !s.merge
    });
    let with = relocatable.clone().find(|s| !s.relocations().is_empty());
    let without = relocatable.clone().find(|s| s.relocations().is_empty());
    let grouped = relocatable.clone().find(|s| s.relocations().is_empty() && s.group.is_some());
    let mut targets: Vec<_> = [with, without, grouped].into_iter().flatten().map(|s| s.id).collect();
    targets.dedup();
    for id in targets {
        let here = object.section(id);
        let none = relocation(here.size - 1, RelocKind::None, SymbolRef::Section(id), 0);
        edits.relocate(id, RelocationEdit::Add(none));
    }
    edits
}

/// Code that loads from a slot and calls, its initializer entry, and so on.
fn add_sections(edits: &mut Edits, group: Option<GroupId>, undefined: SymbolRef) {
    use NewSectionKind::*;
    let first = edits.sections.len() as u32;
    let new = |i: u32| NewSectionId(first + i);
    let of = |i: u32| SymbolRef::NewSection(new(i));
    let function = SymbolRef::Local(NewLocalId(edits.locals.len() as u32));
    let suffix = group.map_or(String::new(), |g| format!(".group{}", g.0));
    let named = |name: &str| format!("{name}.relocfix{suffix}");
    // 0: 48 8b 05 <slot>  mov slot(%rip), %rax
    // 7: e8 <elsewhere>   call relocfix_test_elsewhere@plt
    // c: c3               ret
    let code = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3];
    let code_relocations =
        vec![relocation(3, RelocKind::Pc32, of(3), -4), relocation(8, RelocKind::Plt32, undefined, -4)];
    edits.sections.push(section(&named(".text"), Code, &code, group, code_relocations));
    edits.sections.push(section(&named(".rodata"), ReadOnly, &[1, 2, 3], group, Vec::new()));
    edits.sections.push(section(&named(".rodata.str1.1"), Strings, b"one\0two\0", group, Vec::new()));
    let slots =
        vec![relocation(0, RelocKind::Abs64, undefined, 0), relocation(8, RelocKind::Abs64, of(4), 16)];
    edits.sections.push(section(&named(".data.rel.ro"), Writable, &[0; 16], group, slots));
    let mut zero = section(&named(".bss"), ZeroFill, &[], group, Vec::new());
    zero.size = 64;
    edits.sections.push(zero);
    let entry = vec![relocation(0, RelocKind::Abs64, function, 0)];
    edits.sections.push(section(".init_array.00101", InitArray, &[0; 8], group, entry));
    edits.locals.push(local(&format!("relocfix.function{suffix}"), Home::New(new(0)), 0, 13, true));
    edits.locals.push(local("", Home::New(new(4)), 8, 8, false));
}

/// One unwind table for all new functions, outside of their groups, as compilers write it: linkers drop the
/// entries of functions that go. It extends the object's own, if there is one.
fn add_frames(object: &ObjectFile<'_>, edits: &mut Edits) {
    // Version 1, "zR", code alignment 1, data alignment -8, return address in 16, pcrel|sdata4;
    // CFA = rsp + 8, return address at CFA - 8.
    let mut table =
        vec![0x14, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 0x10, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0];
    let mut relocations = Vec::new();
    for (index, function) in edits.locals.iter().enumerate().filter(|(_, l)| l.function) {
        let common = table.len() as u8 + 4;
        let field = table.len() as u64 + 8;
        table.extend([0x14, 0, 0, 0, common, 0, 0, 0, 0, 0, 0, 0]);
        table.extend((function.size as u32).to_le_bytes());
        table.extend([0; 8]);
        let symbol = SymbolRef::Local(NewLocalId(index as u32));
        relocations.push(relocation(field, RelocKind::Pc32, symbol, 0));
    }
    match object.sections.iter().find(|s| s.kind == SectionKind::EhFrame) {
        Some(own) => edits.extensions.push(Extension { section: own.id, data: table, relocations }),
        None => {
            let kind = NewSectionKind::EhFrame;
            edits.sections.push(section(".eh_frame", kind, &table, None, relocations));
        }
    }
}

fn section(
    name: &str,
    kind: NewSectionKind,
    data: &[u8],
    group: Option<GroupId>,
    relocations: Vec<NewRelocation>,
) -> NewSection {
    NewSection {
        name: name.to_owned(),
        kind,
        align: if kind == NewSectionKind::Strings { 1 } else { 8 },
        data: data.to_vec(),
        size: data.len() as u64,
        group,
        relocations,
    }
}

fn local(name: &str, home: Home, value: u64, size: u64, function: bool) -> NewLocal {
    NewLocal { name: name.to_owned(), home, value, size, function }
}

fn relocation(offset: u64, kind: RelocKind, symbol: SymbolRef, addend: i64) -> NewRelocation {
    NewRelocation { offset, kind, symbol, addend }
}
