//! What is read of a relocation table is by offset, whatever the table's order is, and wrong entries are told.

use super::super::records::{RELA_SIZE, RelaEntry, SHDR_SIZE, SectionHeader};
use super::super::relocations::RelaEntries;
use super::super::tables::Tables;
use super::tools::compile;
use super::{parse, section};
use crate::format::RelocationEntries;
use crate::object_file::{InOrder, ObjectFile, RelocationTable, Section, SectionKind};
use crate::sample_object;

/// Entries at those offsets, each with its index for an addend.
fn entries(offsets: &[u64]) -> Vec<[u8; RELA_SIZE]> {
    let entry = |(&r_offset, index): (&u64, i64)| {
        RelaEntry { r_offset, r_type: 1, r_sym: 0, r_addend: index }.bytes()
    };
    offsets.iter().zip(0..).map(entry).collect()
}

/// Offset and index of every entry, by offset.
fn sorted(offsets: &[u64]) -> Vec<(u64, u32)> {
    let mut sorted: Vec<_> = offsets.iter().copied().zip(0..).collect();
    sorted.sort();
    sorted
}

#[test]
fn every_range_holds_what_lies_in_it() {
    let lists: [&[u64]; 7] = [
        &[],
        &[5],
        &[0, 8, 16, 24],
        &[3, 3, 3, 11, 11, 30],
        &[30, 11, 3, 11, 3, 3],
        &[1, 2, 3, 10, 10, 9, 35],
        &[u64::MAX, 4],
    ];
    for offsets in lists {
        let bytes = entries(offsets);
        let mut object = sample_object::object();
        let id = sample_object::add_section(&mut object, ".data", SectionKind::Contents, &[0; 40]);
        let table = RelocationEntries::Elf(RelaEntries::new(&bytes));
        object.sections[id.0 as usize].table = RelocationTable::new(table, offsets.is_sorted());
        let section = object.section(id);
        let expected = sorted(offsets);
        let all = section.relocations();
        let found: Vec<_> = all.iter().map(|r| (r.offset, r.entry)).collect();
        assert_eq!((&found, all.len(), all.is_empty()), (&expected, offsets.len(), offsets.is_empty()));
        assert!(all.iter().all(|r| r.addend == i64::from(r.entry)), "{offsets:?}");
        assert_eq!(all.get(offsets.len()), None);
        for start in 0..40 {
            let mut walk = InOrder::from(section, start);
            for end in start..40 {
                let inside = |from| {
                    let inside =
                        expected.iter().copied().filter(|&(offset, _)| from <= offset && offset < end);
                    inside.collect::<Vec<_>>()
                };
                let here = section.relocations_in(start..end);
                let found: Vec<_> = here.iter().map(|r| (r.offset, r.entry)).collect();
                assert_eq!(found, inside(start), "{offsets:?} {start}..{end}");
                assert_eq!(here.first().map(|r| r.entry), found.first().map(|&(_, entry)| entry));
                assert_eq!(here.only().is_some(), found.len() == 1, "{offsets:?} {start}..{end}");
                let walked: Vec<_> = walk.near(start..end).iter().map(|r| (r.offset, r.entry)).collect();
                assert_eq!(walked, inside(start.saturating_sub(7)), "{offsets:?} {start}..{end}");
            }
            let written = expected.iter().any(|&(offset, _)| offset < start + 4 && offset + 8 > start);
            assert_eq!(section.is_relocated(start, 4), written, "{offsets:?} {start}");
        }
    }
}

/// More than one thread checks at once.
const WORDS: usize = 40_000;

fn pairs(section: &Section<'_>) -> Vec<(u64, u32)> {
    section.relocations().iter().map(|r| (r.offset, r.entry)).collect()
}

#[test]
fn tables_are_read_in_any_order() {
    let Some(object) = compile("gcc", &[], "s", &format!(".data\n.rept {WORDS}\n.quad x\n.endr\n")) else {
        return;
    };
    let table = section(&parse("in.o", &object), ".rela.data").id.0 as usize;
    let header = Tables::parse("in.o", &object).unwrap().sections[table];
    let changed = |change: &dyn Fn(&mut [RelaEntry])| {
        let mut bytes = object.clone();
        let place = &mut bytes[header.sh_offset as usize..][..header.sh_size as usize];
        let place = place.as_chunks_mut::<RELA_SIZE>().0;
        let mut entries: Vec<_> = place.iter().map(RelaEntry::parse).collect();
        change(&mut entries);
        place.iter_mut().zip(&entries).for_each(|(place, entry)| *place = entry.bytes());
        (bytes, entries)
    };
    let read = |change: &dyn Fn(&mut [RelaEntry])| {
        let (bytes, entries) = changed(change);
        let offsets: Vec<u64> = entries.iter().map(|entry| entry.r_offset).collect();
        assert_eq!(pairs(section(&parse("in.o", &bytes), ".data")), sorted(&offsets));
    };
    read(&|_| ());
    read(&|entries| entries.reverse());
    // Wherever one thread's part may end.
    for at in (0..16).map(|power| 1 << power).chain([WORDS - 1]).filter(|&at| at < WORDS) {
        read(&|entries| entries.swap(at - 1, at));
        read(&|entries| entries[at].r_offset = entries[at - 1].r_offset);
    }
    let refused = |expected: &str, change: &dyn Fn(&mut [RelaEntry])| {
        let error = ObjectFile::parse("in.o", &changed(change).0).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let outside = "in.o: .rela.data+0xb6fe8: relocation 31231 (type 1) at .data+0x4e1fc is outside of the section's 0x4e200 bytes";
    refused(outside, &|entries| entries[31_231].r_offset = WORDS as u64 * 8 - 4);
    refused(outside, &|entries| {
        entries[31_231].r_offset = WORDS as u64 * 8 - 4;
        // The first is told, whichever is found first.
        entries[31_232].r_sym = 1000;
    });
    refused(".rela.data+0x0: refers to symbol 1000 of", &|entries| {
        entries[31_231].r_offset = u64::MAX;
        entries[0].r_sym = 1000;
    });

    let resized = |size: u64| {
        let mut bytes = object.clone();
        let at = u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize + table * SHDR_SIZE;
        let mut out = Vec::new();
        SectionHeader { sh_size: size, ..header }.write(&mut out);
        bytes[at..at + SHDR_SIZE].copy_from_slice(&out);
        bytes
    };
    let cut = resized(header.sh_size - 1);
    let error = ObjectFile::parse("in.o", &cut).unwrap_err().to_string();
    assert!(error.contains(".rela.data+0xea5e8: its size 0xea5ff is not a multiple"), "{error}");
    let shorter = resized(header.sh_size - RELA_SIZE as u64);
    assert_eq!(section(&parse("in.o", &shorter), ".data").relocations().len(), WORDS - 1);
    let empty = resized(0);
    assert!(section(&parse("in.o", &empty), ".data").relocations().is_empty());
}
