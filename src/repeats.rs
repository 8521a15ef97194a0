//! Places that are done like another one. A compiler writes the same instruction with the same address thousands of times:
//! whatever becomes of the first in a section becomes of all of them, and only the first is thought about. Nothing but what
//! is alike in every respect counts: the section, all bytes of the instruction, no relocation near, around it a function
//! that takes nothing for granted of its addresses, and no number in it that may lead from this one to another.

use std::ops::Range;
use std::sync::Arc;

use foldhash::HashMap;
use rayon::prelude::*;
use smallvec::SmallVec;

use crate::arch::PlainForm;
use crate::assumptions::is_indifferent;
use crate::distances;
use crate::edits::{Edits, NewRelocation, Pattern, RelocationEdit, Repeat, Repeated};
use crate::object_code::{ObjectCode, number_of};
use crate::object_file::{InOrder, ObjectFile, Relocations, SectionId};
use crate::plain_constants::{PlainConstant, PlainConstants};
use crate::scan::{Place, Scan, Shape};
use crate::session_map::SessionMap;

/// How many places a thread looks at in one go.
pub(crate) const AT_ONCE: usize = 4096;

/// How many places are looked up one right after the other: each look-up waits for memory, and so they wait together.
pub(crate) const FEW: usize = 64;

/// What was kept out of a [`Scan`], by section in order.
#[derive(Debug)]
pub(crate) struct Repeats {
    form: PlainForm,
    sections: Vec<SectionRepeats>,
}

/// The bytes of an instruction as a number, in its lower and upper half.
type Bytes = (u64, u64);

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
            let is_alike = |functions: &mut Functions, near: Relocations<'_>, start| {
                near.is_empty()
                    && functions.is_indifferent(scan, code, id, start)
                    && !(distances && distances::count_from(object, code, id, start))
            };
            // Every thread looks at a part by itself; which is the first of a kind tells who looks at the parts in order.
            let numbered = |list: &[PlainConstant]| {
                let mut relocations = InOrder::from(section, list[0].start);
                let mut functions = Functions { words, last: None };
                let mut part = Part { numbers: Vec::with_capacity(list.len()), ..Part::default() };
                for few in list.chunks(FEW) {
                    let bytes = few.iter().map(|&PlainConstant { start, .. }| {
                        let near = relocations.near(start..start + length);
                        let bytes = short_bytes(section.data, start, form.length);
                        let bytes = bytes.filter(|_| is_alike(&mut functions, near, start));
                        bytes.map(|bytes| (bytes as u64, (bytes >> 64) as u64))
                    });
                    let bytes: SmallVec<[Option<Bytes>; FEW]> = bytes.collect();
                    bytes.into_iter().for_each(|bytes| part.add(bytes));
                }
                part
            };
            let at_once = list.len().div_ceil(rayon::current_num_threads()).max(AT_ONCE);
            let parts: Vec<Part> = list.par_chunks(at_once).map(numbered).collect();
            let mut known: HashMap<Bytes, u32> = HashMap::default();
            let (mut kinds, mut repeated) = (Vec::new(), Vec::with_capacity(list.len()));
            for (list, part) in list.chunks(at_once).zip(parts) {
                let numbers = part.kinds.iter().map(|bytes| {
                    let next = known.len() as u32;
                    *known.entry(*bytes).or_insert(next)
                });
                let numbers: Vec<u32> = numbers.collect();
                for (&plain, number) in list.iter().zip(part.numbers) {
                    let PlainConstant { start, value } = plain;
                    match numbers.get(number as usize) {
                        Some(&pattern) if (pattern as usize) < kinds.len() => {
                            repeated.push(Repeat { offset: start, pattern });
                            continue;
                        }
                        // Kinds are numbered in the order of their first.
                        Some(_) => kinds.push(Kind { first: start, value }),
                        None => {}
                    }
                    left.push(form.place(id, plain));
                }
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
            let (mut bytes, mut added) = (edits.bytes.iter().peekable(), added.iter().peekable());
            // All three are in order.
            let pattern = |&Kind { first, .. }: &Kind| {
                while bytes.next_if(|edit| (edit.section, edit.offset) < (*section, first)).is_some() {}
                let edit = bytes.next_if(|edit| (edit.section, edit.offset) == (*section, first))?;
                let end = first + u64::from(self.form.length);
                while added.next_if(|relocation| relocation.offset < first).is_some() {}
                let relocation = *added.next_if(|relocation| relocation.offset < end)?;
                if added.next_if(|relocation| relocation.offset < end).is_some() {
                    return None;
                }
                let (old, new) = (edit.old.clone(), edit.new.clone());
                (new.len() == usize::from(self.form.length)).then_some(Pattern {
                    first,
                    old,
                    new,
                    relocation,
                })
            };
            let patterns = kinds.iter().map(pattern).collect::<Option<Vec<Pattern>>>()?;
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

/// The plain constants of a part of a section.
#[derive(Default)]
struct Part {
    known: HashMap<Bytes, u32>,
    /// In the order of their first.
    kinds: Vec<Bytes>,
    /// Of what kind each is, or [`ALONE`].
    numbers: Vec<u32>,
}

/// A case of its own.
const ALONE: u32 = u32::MAX;

impl Part {
    /// Adds one; `bytes`: what others have to be alike in.
    fn add(&mut self, bytes: Option<Bytes>) {
        let number = bytes.map_or(ALONE, |bytes| {
            let next = self.kinds.len() as u32;
            *self.known.entry(bytes).or_insert_with(|| {
                self.kinds.push(bytes);
                next
            })
        });
        self.numbers.push(number);
    }
}

/// Bytes of an instruction as a number; `None`: they are not all there, or more than 16.
pub(crate) fn short_bytes(data: &[u8], start: u64, length: u8) -> Option<u128> {
    let bytes = data.get(usize::try_from(start).ok()?..)?;
    let unused = 128_u32.checked_sub(8 * u32::from(length))?;
    let number = match bytes.first_chunk() {
        Some(bytes) => u128::from_le_bytes(*bytes),
        None => {
            let bytes = bytes.get(..usize::from(length))?;
            bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
        }
    };
    Some(number & u128::MAX.checked_shr(unused).unwrap_or(0))
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
    use super::*;
    use crate::frame_table::FrameTable;
    use crate::object_file::{SectionKind, SymbolId, SymbolPlace, SymbolType};
    use crate::record::Record;
    use crate::reloc::RelocKind;
    use crate::sample_object::{MAP, NoFiles, add_section, add_symbol, object, relocate, session_map};
    use crate::scan::scan;

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
        let map = session_map(map);
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
    fn what_is_the_first_of_its_kind_does_not_depend_on_threads() {
        // One kind is there from the start, one has its first in a later part, and one is met once.
        let address = |index: usize| match index {
            0..7_000 => 0x7f12_3456_0010,
            9_000 => 0x7f12_3456_0030,
            _ => 0x7f12_3456_0020 - 0x10 * (index as u64 % 2),
        };
        let code: Vec<u8> = (0..20_000).flat_map(|index| movabs(0, address(index))).chain([0xc3]).collect();
        let found = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| taken(std::slice::from_ref(&code), &[]))
        };
        let (left, alike) = found(1);
        assert_eq!(left, [0, 70_000, 90_000]);
        assert_eq!(alike.len(), 19_997);
        let right = |&(offset, first): &(u64, u64)| {
            address(offset as usize / 10) == address(first as usize / 10) && first < offset
        };
        assert!(alike.is_sorted() && alike.iter().all(right));
        for threads in [2, 3, 8] {
            assert_eq!(found(threads), (left.clone(), alike.clone()));
        }
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
