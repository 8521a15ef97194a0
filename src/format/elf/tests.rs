//! Real objects of several producers, edited in every way there is and read back: by our reader, by binutils
//! and LLVM, and by three linkers.

mod changes;
mod edited;
mod malformed;
mod relocation_tables;
mod tools;

use std::collections::BTreeMap;

use self::edited::{every_edit, small_edit};
use self::tools::{Fixture, compile, fixtures, linkers, missing, read_without_warning, run, tool};
use super::records::{SectionHeader, SymbolEntry};
use super::tables::{SymbolSection, Tables};
use crate::arch::PlainForm;
use crate::edits::{
    BytesEdit, Edits, Frame, Home, NewLocal, NewLocalId, NewRelocation, NewSection, NewSectionId,
    NewSectionKind, Pattern, RelocationEdit, Repeat, Repeated, SectionEdit, SymbolEdit, SymbolRef,
};
use crate::error::Result;
use crate::format::Room;
use crate::object_file::{ObjectFile, SectionId, SectionKind, Symbol, SymbolId, SymbolPlace, SymbolType};
use crate::reloc::RelocKind;

const SHT_SYMTAB: u32 = object::elf::SHT_SYMTAB.0;
const SHT_GROUP: u32 = object::elf::SHT_GROUP.0;

fn parse<'d>(name: &'d str, bytes: &'d [u8]) -> ObjectFile<'d> {
    ObjectFile::parse(name, bytes).unwrap_or_else(|e| panic!("{e}"))
}

impl Room for Vec<u8> {
    fn take(&mut self, size: usize) -> Result<&mut [u8]> {
        self.resize(size, 0);
        Ok(self)
    }
}

fn try_write(object: &ObjectFile<'_>, edits: &Edits) -> Result<Vec<u8>> {
    let mut output = Vec::new();
    super::write(object, edits, &mut output)?;
    Ok(output)
}

fn write(object: &ObjectFile<'_>, edits: &Edits) -> Vec<u8> {
    try_write(object, edits).unwrap_or_else(|e| panic!("{e}"))
}

fn section<'o, 'd>(object: &'o ObjectFile<'d>, name: &str) -> &'o crate::object_file::Section<'d> {
    let found = object.sections.iter().find(|s| s.name == name);
    found.unwrap_or_else(|| panic!("{}: no section {name}", object.name))
}

fn symbol(object: &ObjectFile<'_>, name: &str) -> SymbolId {
    let found = object.symbols.iter().find(|s| s.name == name);
    found.unwrap_or_else(|| panic!("{}: no symbol {name}", object.name)).id
}

/// Where a symbol of the input went.
fn moved(before: &Tables<'_>, after: &Tables<'_>, symbol: u32) -> u32 {
    let (before, after) = (before.symbols.as_ref().unwrap(), after.symbols.as_ref().unwrap());
    let shift = after.first_global - before.first_global;
    symbol + if (symbol as usize) < before.first_global { 0 } else { shift as u32 }
}

/// Everything that `edits` does not name is as it was. For edits that only add.
fn assert_rest_untouched(before_bytes: &[u8], after_bytes: &[u8], edits: &Edits) {
    let (before, after) = (parse("before", before_bytes), parse("after", after_bytes));
    let old = Tables::parse("before", before_bytes).unwrap();
    let new = Tables::parse("after", after_bytes).unwrap();
    for (index, (a, b)) in before.sections.iter().zip(&after.sections).enumerate() {
        assert_eq!((a.name, a.kind, a.group), (b.name, b.kind, b.group));
        let grown = edits.extensions.iter().find(|e| e.section == a.id);
        let mut comparable = [old.sections[index], new.sections[index]];
        for header in &mut comparable {
            header.sh_name = 0;
            if index == 0 {
                header.sh_link = 0;
            }
            if a.kind == SectionKind::Format || grown.is_some() {
                (header.sh_offset, header.sh_size) = (0, 0);
            }
            if matches!(header.sh_type, SHT_SYMTAB | SHT_GROUP) {
                header.sh_info = 0;
            }
        }
        assert_eq!(comparable[0], comparable[1], "{}", a.name);
        if a.kind != SectionKind::Format {
            let added = grown.map_or(&[][..], |e| &e.data);
            assert_eq!([a.data, added].concat(), b.data, "{}", a.name);
        }
        let expected: Vec<_> = a
            .relocations()
            .iter()
            .map(|r| (r.offset, r.kind, moved(&old, &new, r.symbol.0), r.addend))
            .collect();
        let mut found: Vec<_> =
            b.relocations().iter().map(|r| (r.offset, r.kind, r.symbol.0, r.addend)).collect();
        let added =
            edits.relocations.get(&a.id).map_or(0, Vec::len) + grown.map_or(0, |e| e.relocations.len());
        assert_eq!(expected.len() + added, found.len(), "{}", a.name);
        if added > 0 {
            found.retain(|r| expected.contains(r));
        }
        assert_eq!(expected, found, "{}", a.name);
    }
    let symbols = |t: &Tables<'_>| -> Vec<(SymbolEntry, SymbolSection, String)> {
        let table = t.symbols.as_ref().unwrap();
        let entry = |(e, s): (SymbolEntry, SymbolSection)| {
            let name = table.name(e.st_name).unwrap().to_owned();
            (SymbolEntry { st_name: 0, st_shndx: 0, ..e }, s, name)
        };
        table.iter().map(entry).collect()
    };
    let (old_symbols, new_symbols) = (symbols(&old), symbols(&new));
    for (index, symbol) in old_symbols.iter().enumerate() {
        assert_eq!(symbol, &new_symbols[moved(&old, &new, index as u32) as usize]);
    }
    assert_eq!(before.groups.len(), after.groups.len());
    for (a, b) in before.groups.iter().zip(&after.groups) {
        assert_eq!((a.section, a.comdat), (b.section, b.comdat));
        assert_eq!(moved(&old, &new, a.signature.0), b.signature.0);
        assert_eq!(a.members, b.members[..a.members.len()]);
    }
    assert_eq!(before.landing_pads, after.landing_pads);
}

/// That symbol of the output is what the edit meant.
fn assert_refers(object: &ObjectFile<'_>, edits: &Edits, wanted: SymbolRef, found: &Symbol<'_>) {
    let new = |id: NewSectionId| SymbolPlace::Section(SectionId(object.sections.len() as u32 + id.0));
    let place = match wanted {
        SymbolRef::Existing(id) => object.symbol(id).place,
        SymbolRef::Section(id) => SymbolPlace::Section(id),
        SymbolRef::NewSection(id) => new(id),
        SymbolRef::Local(id) => match edits.locals[id.0 as usize].home {
            Home::Existing(id) => SymbolPlace::Section(id),
            Home::New(id) => new(id),
        },
        SymbolRef::Undefined(_) => SymbolPlace::Undefined,
        SymbolRef::Weak(id) => new(edits.weak[id.0 as usize].section),
    };
    assert_eq!(found.place, place, "{wanted:?}");
    match wanted {
        SymbolRef::Section(_) | SymbolRef::NewSection(_) => assert_eq!(found.kind, SymbolType::Section),
        SymbolRef::Local(id) => assert_eq!(found.name, edits.locals[id.0 as usize].name),
        SymbolRef::Undefined(id) => assert_eq!(found.name, edits.undefined[id.0 as usize].name),
        SymbolRef::Weak(id) => assert_eq!(found.name, edits.weak[id.0 as usize].name),
        SymbolRef::Existing(id) => assert_eq!(found.name, object.symbol(id).name),
    }
}

/// What binutils says of the relocations of each section, without symbol indices.
fn readelf_relocations(path: &std::path::Path) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::new();
    let mut current = String::new();
    let (text, _) = run(&tool("readelf").unwrap(), &["-rW".as_ref(), path.as_ref()]);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("Relocation section '") {
            current = rest.split('\'').next().unwrap().to_owned();
            // Sections of one name become one list.
            tables.entry(current.clone()).or_insert_with(Vec::new);
        } else if line.starts_with("00") {
            let words: Vec<_> = line.split_whitespace().collect();
            let words = [&words[..1], &words[2..]].concat();
            tables.get_mut(&current).unwrap().push(words.join(" "));
        }
    }
    tables
}

/// The names that LLVM finds in `.llvm_addrsig`.
fn address_significant(path: &std::path::Path) -> Vec<String> {
    let Some(readobj) = tool("llvm-readobj") else {
        return Vec::new();
    };
    let (text, _) = run(&readobj, &["--addrsig".as_ref(), path.as_ref()]);
    let name = |l: &str| l.trim().strip_prefix("Sym: ").map(|s| s.split(" (").next().unwrap().to_owned());
    text.lines().filter_map(name).collect()
}

#[test]
fn nothing_to_edit_changes_nothing() {
    let Some(fixtures) = fixtures() else { return };
    for Fixture { name, bytes } in fixtures.small() {
        assert_eq!(&write(&parse(name, bytes), &Edits::default()), bytes);
    }
}

#[test]
fn what_is_not_named_stays() {
    let Some(fixtures) = fixtures() else { return };
    for Fixture { name, bytes } in fixtures.all() {
        let object = parse(name, bytes);
        let edits = every_edit(&object);
        let output = write(&object, &edits);
        assert_eq!(output, write(&object, &edits), "{name}: not deterministic");
        assert_rest_untouched(bytes, &output, &edits);

        let after = parse("after", &output);
        assert!(after.sections.len() >= object.sections.len() + edits.sections.len());
        for (new, found) in edits.sections.iter().zip(&after.sections[object.sections.len()..]) {
            assert_eq!((new.name.as_str(), new.size, new.align), (found.name, found.size, found.align));
            assert_eq!((new.data.as_slice(), new.group), (found.data, found.group));
            assert_eq!(new.relocations.len(), found.relocations().len());
            for (wanted, found) in new.relocations.iter().zip(found.relocations()) {
                assert_eq!(
                    (wanted.offset, wanted.kind, wanted.addend),
                    (found.offset, found.kind, found.addend)
                );
                assert_refers(&object, &edits, wanted.symbol, after.symbol(found.symbol));
            }
        }
        for extension in &edits.extensions {
            let (start, grown) = (object.section(extension.section).size, after.section(extension.section));
            let found = grown.relocations_in(start..u64::MAX);
            assert_eq!(extension.relocations.len(), found.len());
            for (wanted, found) in extension.relocations.iter().zip(found) {
                assert_eq!((wanted.offset + start, wanted.kind), (found.offset, found.kind));
                assert_refers(&object, &edits, wanted.symbol, after.symbol(found.symbol));
            }
        }
        for local in &edits.locals {
            let found = after
                .symbols
                .iter()
                .find(|s| s.name == local.name && s.value == local.value && s.size == local.size);
            assert!(found.is_some(), "{name}: {local:?}");
        }
        // A second edit finds the tables at the end and replaces them: the file does not grow by old ones.
        let again = write(&after, &small_edit());
        assert_rest_untouched(&output, &again, &small_edit());
        assert!(again.len() < output.len() + 256, "{name}: {} then {}", output.len(), again.len());
    }
}

#[test]
fn other_readers_agree_and_do_not_warn() {
    let Some(fixtures) = fixtures() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before.o"), folder.path().join("after.o"));
    for Fixture { name, bytes } in fixtures.all() {
        let object = parse(name, bytes);
        let edits = every_edit(&object);
        std::fs::write(&before, bytes).unwrap();
        std::fs::write(&after, write(&object, &edits)).unwrap();
        read_without_warning(name, &before);
        read_without_warning(name, &after);
        let (old, new) = (readelf_relocations(&before), readelf_relocations(&after));
        for (table, relocations) in &old {
            let mut rest = new[table].iter();
            for relocation in relocations {
                assert!(rest.any(|r| r == relocation), "{name}: {table}: {relocation}");
            }
        }
        assert_eq!(address_significant(&before), address_significant(&after), "{name}");
    }
}

#[test]
fn linkers_take_the_output() {
    let Some(fixtures) = fixtures() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (input, second) = (folder.path().join("a.o"), folder.path().join("b.o"));
    let result = folder.path().join("out");
    for Fixture { name, bytes } in fixtures.all() {
        let object = parse(name, bytes);
        let output = write(&object, &every_edit(&object));
        std::fs::write(&input, &output).unwrap();
        std::fs::write(&second, &output).unwrap();
        for linker in linkers() {
            for options in [&["-r"][..], &["-shared", "--eh-frame-hdr", "-z", "muldefs"]] {
                // mold's own output may not have that many sections.
                if *name == "many.o" && options[0] == "-r" {
                    continue;
                }
                let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(|o| o.as_ref()).collect();
                arguments.extend(["-o".as_ref(), result.as_os_str(), input.as_os_str()]);
                // Two equal objects: of each group one copy goes, whole.
                if options[0] != "-r" {
                    arguments.push(second.as_os_str());
                }
                let (_, messages) = run(&linker, &arguments);
                assert_eq!(messages, "", "{name}: {} {options:?}", linker.display());
            }
        }
    }
}
