//! Places that are done like another one. A compiler writes the same instruction with the same address thousands of times:
//! whatever becomes of the first in a section becomes of all of them, and only the first is thought about. Nothing but what
//! is alike in every respect counts: the section, all bytes of the instruction, no relocation near, around it a function
//! that takes nothing for granted of its addresses, and no number in it that may lead from this one to another.

use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use foldhash::HashMap;
use rayon::prelude::*;

use crate::arch::PlainForm;
use crate::assumptions::is_indifferent;
use crate::distances;
use crate::edits::{Edits, NewRelocation, Pattern, RelocationEdit, Repeat, Repeated};
use crate::object_code::{ObjectCode, number_of};
use crate::object_file::{InOrder, ObjectFile, SectionId};
use crate::plain_constants::{PlainConstant, PlainConstants};
use crate::scan::{Place, Scan, Shape};
use crate::session_map::SessionMap;

/// How many places a thread looks at in one go.
pub(crate) const AT_ONCE: usize = 4096;

/// What was kept out of a [`Scan`], by section in order.
#[derive(Debug)]
pub(crate) struct Repeats {
    form: PlainForm,
    sections: Vec<SectionRepeats>,
}

/// The bytes of an instruction, and zeros behind them.
type Bytes = [u8; 16];

#[derive(Debug)]
struct SectionRepeats {
    section: SectionId,
    kinds: Vec<Kind>,
    /// The index of a kind is that of its pattern.
    places: Arc<Vec<Repeat>>,
}

/// What is alike.
#[derive(Debug)]
struct Kind {
    /// Where the instruction of this kind starts that stayed.
    first: u64,
    /// Its constant.
    value: u64,
}

impl Repeats {
    /// Those of an object of which nothing was kept.
    pub(crate) fn none(object: &ObjectFile<'_>) -> Self {
        Repeats { form: object.machine.arch().plain_form(), sections: Vec::new() }
    }

    /// Puts the first of each kind among the places of a scan, and keeps the others.
    pub(crate) fn take(
        object: &ObjectFile<'_>,
        map: &SessionMap,
        scan: &mut Scan<'_>,
        code: &ObjectCode<'_>,
        plain: PlainConstants,
    ) -> Self {
        let (mut repeats, mut left) = (Vec::new(), Vec::new());
        let operand = |p: &Place| matches!(p.shape, Shape::Instruction { .. } | Shape::Doubtful { .. });
        let words = !scan.places.iter().all(operand);
        let distances = distances::are_shown(map);
        let PlainConstants { form, sections } = plain;
        let length = u64::from(form.length);
        for (id, list) in sections {
            let section = object.section(id);
            let is_alike = |list: &[PlainConstant]| -> Vec<bool> {
                let mut relocations = InOrder::from(section, list[0].start);
                let mut functions = Functions { words, last: None };
                let alike = list.iter().map(|&PlainConstant { start, .. }| {
                    relocations.near(start..start + length).is_empty()
                        && functions.is_indifferent(scan, code, id, start)
                        && !(distances && distances::count_from(object, code, id, start))
                });
                alike.collect()
            };
            let alike: Vec<Vec<bool>> = list.par_chunks(AT_ONCE).map(is_alike).collect();
            let mut known: HashMap<Bytes, u32> = HashMap::default();
            let (mut kinds, mut repeated) = (Vec::new(), Vec::new());
            for (plain, alike) in list.into_iter().zip(alike.into_iter().flatten()) {
                let PlainConstant { start, value } = plain;
                let bytes = padded(section.data, start..start + length).filter(|_| alike);
                match bytes.map(|bytes| known.entry(bytes)) {
                    Some(Entry::Occupied(kind)) => {
                        repeated.push(Repeat { offset: start, pattern: *kind.get() });
                        continue;
                    }
                    Some(Entry::Vacant(new)) => {
                        new.insert(kinds.len() as u32);
                        kinds.push(Kind { first: start, value });
                    }
                    None => {}
                }
                left.push(form.place(id, plain));
            }
            if !repeated.is_empty() {
                let kinds = without_single(kinds, &mut repeated);
                repeats.push(SectionRepeats { section: id, kinds, places: Arc::new(repeated) });
            }
        }
        scan.insert(left.into_iter());
        Repeats { form, sections: repeats }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Puts the others among the places as well.
    pub(crate) fn put_back(self, scan: &mut Scan<'_>) {
        let form = self.form;
        let all = self.sections.iter().flat_map(|SectionRepeats { section, kinds, places }| {
            places.iter().map(move |&Repeat { offset: start, pattern }| {
                form.place(*section, PlainConstant { start, value: kinds[pattern as usize].value })
            })
        });
        scan.insert(all);
    }

    /// Adds to the edits of the places that stayed the same for all that are like one of them, and says how many. `None`: one
    /// of those that stayed got more or less than other bytes and one relocation in them.
    pub(crate) fn follow(&self, edits: &mut Edits) -> Option<usize> {
        let mut count = 0;
        for SectionRepeats { section, kinds, places } in &self.sections {
            let mut added: Vec<_> = edits.relocations.get(section)?.iter().filter_map(added).collect();
            added.sort_unstable_by_key(|relocation| relocation.offset);
            let mut patterns = Vec::with_capacity(kinds.len());
            for &Kind { first, .. } in kinds {
                let at = edits.bytes.binary_search_by_key(&(*section, first), |e| (e.section, e.offset));
                let edit = &edits.bytes[at.ok()?];
                let end = first + u64::from(self.form.length);
                let from = added.partition_point(|relocation| relocation.offset < first);
                let mut inside = added[from..].iter().take_while(|relocation| relocation.offset < end);
                let (Some(&relocation), None) = (inside.next(), inside.next()) else { return None };
                if edit.new.len() != usize::from(self.form.length) {
                    return None;
                }
                let (old, new) = (edit.old.clone(), edit.new.clone());
                patterns.push(Pattern { first, old, new, relocation });
            }
            count += places.len();
            edits.repeated.insert(*section, Repeated { patterns, places: Arc::clone(places) });
        }
        Some(count)
    }

    /// The sections in which something is repeated.
    pub(crate) fn sections(&self) -> impl Iterator<Item = SectionId> {
        self.sections.iter().map(|repeats| repeats.section)
    }
}

fn padded(data: &[u8], range: Range<u64>) -> Option<Bytes> {
    let bytes = data.get(range.start as usize..range.end as usize)?;
    let mut padded = Bytes::default();
    padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(padded)
}

fn added(edit: &RelocationEdit) -> Option<NewRelocation> {
    match edit {
        RelocationEdit::Add(relocation) => Some(*relocation),
        RelocationEdit::Replace(..) | RelocationEdit::Remove(_) => None,
    }
}

/// The kinds that are repeated; the repeats get their new numbers.
fn without_single(kinds: Vec<Kind>, repeated: &mut [Repeat]) -> Vec<Kind> {
    let mut numbers: Vec<Option<u32>> = vec![None; kinds.len()];
    for repeat in &*repeated {
        numbers[repeat.pattern as usize] = Some(0);
    }
    for (number, new) in numbers.iter_mut().flatten().zip(0..) {
        *number = new;
    }
    for repeat in repeated {
        repeat.pattern = numbers[repeat.pattern as usize].unwrap_or_default();
    }
    kinds.into_iter().zip(numbers).filter_map(|(kind, number)| number.map(|_| kind)).collect()
}

/// Which functions take nothing for granted.
struct Functions {
    /// Some constants are words that the program only reads, or may be.
    words: bool,
    /// The last function that was asked about, and what was found.
    last: Option<(SectionId, Range<u64>, bool)>,
}

impl Functions {
    fn is_indifferent(
        &mut self,
        scan: &Scan<'_>,
        code: &ObjectCode<'_>,
        section: SectionId,
        offset: u64,
    ) -> bool {
        if let Some((home, range, indifferent)) = &self.last
            && *home == section
            && range.contains(&offset)
        {
            return *indifferent;
        }
        let Some((range, parts)) = code.function_at(section, offset) else { return false };
        let parts: Option<Vec<u64>> = parts.iter().map(|&part| number_of(section, part)).collect();
        let indifferent = parts.is_some_and(|parts| is_indifferent(scan, code, &parts, self.words));
        self.last = Some((section, range.clone(), indifferent));
        indifferent
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::arch::Machine;
    use crate::frame_table::FrameTable;
    use crate::object_file::{SectionKind, SymbolId, SymbolPlace, SymbolType};
    use crate::record::Record;
    use crate::reloc::RelocKind;
    use crate::sample_object::{add_section, add_symbol, object, relocate};
    use crate::scan::scan;
    use crate::{Files, MapSource};

    struct NoFiles;
    impl Files for NoFiles {
        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    const MAP: &str = r#"{"relocfix": 1, "machine": "x86_64",
        "mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000"}]}"#;

    /// `movabs $address, %register`, of the registers that need no other prefix.
    fn movabs(register: u8, address: u64) -> Vec<u8> {
        [&[0x48, 0xb8 + register][..], &address.to_le_bytes()].concat()
    }

    /// What stays of code of some functions, and what is like that: offsets of instructions. Put back it is all.
    fn taken(functions: &[Vec<u8>], relocations: &[u64]) -> (Vec<u64>, Vec<(u64, u64)>) {
        taken_with(MAP, functions, relocations)
    }

    fn taken_with(map: &str, functions: &[Vec<u8>], relocations: &[u64]) -> (Vec<u64>, Vec<(u64, u64)>) {
        let code = functions.concat();
        let mut object = object();
        let text = add_section(&mut object, ".text", SectionKind::Contents, &code);
        let mut start = 0;
        for (function, name) in functions.iter().zip(["f", "g", "h", "i"]) {
            let range = start..start + function.len() as u64;
            start = range.end;
            add_symbol(&mut object, name, SymbolPlace::Section(text), range, SymbolType::Function);
        }
        for &offset in relocations {
            relocate(&mut object, text, offset, RelocKind::None, SymbolId(0), 0);
        }
        let source = MapSource { name: "map".to_owned(), folder: PathBuf::new(), text: map.as_bytes() };
        let map = SessionMap::parse(&[source], Machine::X86_64, &NoFiles).expect("a session map");
        let frames = FrameTable::read(&object).expect("no table");
        let record = Record::read(&object).expect("no record");
        let apart = || scan(&object, &map, &NoFiles, &record, &frames, &|_, _| false).expect("a scan");
        let (mut all, plain) = apart();
        all.insert(plain.places());
        let (mut scan, plain) = apart();
        let code = ObjectCode::new(&object, &scan.bounds, &frames);
        let repeats = Repeats::take(&object, &map, &mut scan, &code, plain);
        let starts = scan.places.iter().map(|place| place.offset - 2).collect();
        let alike = repeats.sections.iter().flat_map(|section| {
            let first = |repeat: &Repeat| section.kinds[repeat.pattern as usize].first;
            section.places.iter().map(move |repeat| (repeat.offset, first(repeat)))
        });
        let alike = alike.collect();
        repeats.put_back(&mut scan);
        assert_eq!(scan.places, all.places);
        (starts, alike)
    }

    #[test]
    fn the_same_instruction_with_the_same_address_is_one_of_a_kind() {
        let (one, other) = (0x7f12_3456_0010, 0x7f12_3456_0020);
        let f = [movabs(0, one), movabs(1, one), movabs(0, other), movabs(0, one), vec![0xc3]].concat();
        let g = [movabs(7, other), movabs(1, one), movabs(0, one), vec![0xc3]].concat();
        assert_eq!(taken(&[f, g], &[]), (vec![0, 10, 20, 41], vec![(30, 0), (51, 10), (61, 0)]));
    }

    #[test]
    fn a_relocation_near_makes_a_case_of_its_own() {
        let one = 0x7f12_3456_0010;
        let f = [movabs(0, one), movabs(0, one), vec![0x90; 8], movabs(0, one), vec![0xc3]].concat();
        assert_eq!(taken(std::slice::from_ref(&f), &[40]), (vec![0], vec![(10, 0), (28, 0)]));
        // In the instruction, and where one of eight bytes would end in it.
        assert_eq!(taken(std::slice::from_ref(&f), &[29]), (vec![0, 28], vec![(10, 0)]));
        assert_eq!(taken(std::slice::from_ref(&f), &[22]), (vec![0, 28], vec![(10, 0)]));
        assert_eq!(taken(&[f], &[20]), (vec![0], vec![(10, 0), (28, 0)]));
    }

    #[test]
    fn a_function_that_looks_at_bits_has_cases_of_its_own() {
        let one = 0x7f12_3456_0010;
        let plain = || [movabs(0, one), movabs(0, one), vec![0xc3]].concat();
        // or $0x40,%rax
        let looks = [movabs(0, one), vec![0x48, 0x83, 0xc8, 0x40, 0xc3]].concat();
        assert_eq!(taken(&[looks.clone(), plain(), looks], &[]), (vec![0, 15, 36], vec![(25, 15)]));
        // One that falls into what is behind it.
        let falls = movabs(0, one);
        assert_eq!(taken(&[plain(), falls, plain()], &[]), (vec![0, 21], vec![(10, 0), (31, 0), (41, 0)]));
    }
    #[test]
    fn what_a_number_counts_from_is_a_case_of_its_own() {
        let one = 0x7f12_3456_0010;
        // add $0x40,%rax: perhaps it leads to another thing.
        let counts = || [movabs(0, one), vec![0x48, 0x83, 0xc0, 0x40, 0xc3]].concat();
        // mov (%rax),%rax
        let reads = || [movabs(0, one), vec![0x48, 0x8b, 0x00, 0xc3]].concat();
        let functions = [counts(), reads(), reads(), counts()];
        let map = MAP.replace(
            "}]}",
            r#"}], "values": [{"name": "v", "address": "0x7f1234560010", "size": 16, "init": {"call": "make"}}]}"#,
        );
        assert_eq!(taken_with(&map, &functions, &[]), (vec![0, 15, 43], vec![(29, 15)]));
        // Without values nothing shows how far a thing goes.
        assert_eq!(taken(&functions, &[]), (vec![0], vec![(15, 0), (29, 0), (43, 0)]));
    }
}
