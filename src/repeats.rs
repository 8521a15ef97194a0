//! Places that are done like another one. A compiler writes the same address thousands of times, into one register or another:
//! whatever becomes of the first in a section becomes of all of them, and only the first is thought about. Nothing but what
//! is alike in every respect but the register counts: the section, the form of the instruction, no relocation near, around it
//! a function that takes nothing for granted of its addresses, and no number in it that may lead from this one to another.

use std::ops::Range;
use std::sync::Arc;

use foldhash::HashMap;
use rayon::prelude::*;
use smallvec::SmallVec;

use crate::arch::{Arch, Delivery, Lowered, PlainForm};
use crate::assumptions::is_indifferent;
use crate::distances;
use crate::edits::{Edits, Frame, NewRelocation, Pattern, RelocationEdit, Repeat, Repeated};
use crate::object_code::{ObjectCode, number_of};
use crate::object_file::{InOrder, ObjectFile, SectionId};
use crate::plain_constants::{PlainConstant, PlainConstants};
use crate::reloc::RelocKind;
use crate::scan::{Place, Scan, Shape};
use crate::session_map::SessionMap;

/// How many places a thread looks at in one go.
pub(crate) const AT_ONCE: usize = 4096;

/// How many places are looked up one right after the other: each look-up waits for memory, and so they wait together.
pub(crate) const FEW: usize = 64;

/// How an instruction of the plain form can get what its constant means.
const DELIVERIES: [Delivery; 3] = [Delivery::Got, Delivery::Slot, Delivery::Direct];

/// What was kept out of a [`Scan`], by section in order.
#[derive(Debug)]
pub(crate) struct Repeats {
    form: PlainForm,
    sections: Vec<SectionRepeats>,
}

#[derive(Debug)]
struct SectionRepeats {
    section: SectionId,
    kinds: Vec<Kind>,
    /// What is around the constants.
    heads: Vec<u128>,
    /// The index of a kind is that of its pattern, and that of a head the one among the frames of the pattern.
    places: Arc<Vec<Repeat>>,
}

/// What is alike.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// Where the instruction of this kind starts that stayed.
    first: u64,
    /// Its constant.
    value: u64,
    /// How many there are.
    count: u32,
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
            let window = form.window();
            let is_alike = |functions: &mut Functions, start| {
                functions.is_indifferent(scan, code, id, start)
                    && !(distances && distances::count_from(object, code, id, start))
            };
            // Every thread looks at a part by itself; which is the first of a kind tells who looks at the parts in order.
            let numbered = |(list, places): (&[PlainConstant], &mut [Repeat])| {
                let mut relocations = InOrder::from(section, list[0].start);
                let mut functions = Functions { words, ..Functions::default() };
                let mut part = Part::default();
                for (list, places) in list.chunks(FEW).zip(places.chunks_mut(FEW)) {
                    for (plain, place) in list.iter().zip(&mut *places) {
                        let start = plain.start;
                        let alone = relocations.none_near(start..start + length);
                        let alike = alone && is_alike(&mut functions, start);
                        let (pattern, frame) = match window.bytes(section.data, start).filter(|_| alike) {
                            Some(bytes) => (SOME, part.head(window.around(bytes))),
                            None => (NONE, 0),
                        };
                        *place = Repeat { offset: start, pattern, frame };
                    }
                    for (plain, place) in list.iter().zip(places) {
                        match place.pattern {
                            NONE => part.alone.push(*plain),
                            _ => place.pattern = part.kind(*plain),
                        }
                    }
                }
                part.count();
                part
            };
            let at_once = list.len().div_ceil(rayon::current_num_threads()).max(AT_ONCE);
            let mut places = vec![Repeat::default(); list.len()];
            let parts = list.par_chunks(at_once).zip(places.par_chunks_mut(at_once)).map(numbered);
            let mut parts: Vec<Part> = parts.collect();
            drop(list);
            let Merged { kinds, heads, numbers } = Merged::of(&mut parts);
            left.extend(kinds.iter().map(|kind| PlainConstant { start: kind.first, value: kind.value }));
            left.extend(parts.iter().flat_map(|part| &part.alone));
            let repeated: Vec<Kind> = kinds.into_iter().filter(|kind| kind.count > 1).collect();
            if !repeated.is_empty() {
                let parts = places.par_chunks_mut(at_once).zip(&numbers);
                parts.for_each(|(places, numbers)| {
                    places.iter_mut().for_each(|place| numbers.renumber(place))
                });
                places.retain(|place| place.pattern != NONE);
                let places = Arc::new(places);
                repeats.push(SectionRepeats { section: id, kinds: repeated, heads, places });
            }
            scan.insert(left.drain(..).map(|plain| form.place(id, plain)));
        }
        Repeats { form, sections: repeats }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// Puts the others among the places as well.
    pub(crate) fn put_back(self, scan: &mut Scan<'_>) {
        let form = self.form;
        let all = self.sections.iter().flat_map(|SectionRepeats { section, kinds, places, .. }| {
            places.iter().map(move |&Repeat { offset: start, pattern, .. }| {
                form.place(*section, PlainConstant { start, value: kinds[pattern as usize].value })
            })
        });
        scan.insert(all);
    }

    /// Adds to the edits of the places that stayed the same for all that are like one of them, and says how many. `None`: what
    /// became of one of those that stayed is not what can be done with the others.
    pub(crate) fn follow(&self, object: &ObjectFile<'_>, edits: &mut Edits) -> Option<usize> {
        let arch = object.machine.arch();
        let (form, mut count) = (self.form, 0);
        for SectionRepeats { section, kinds, heads, places } in &self.sections {
            let mut added: Vec<_> = edits.relocations.get(section)?.iter().filter_map(added).collect();
            added.sort_unstable_by_key(|relocation| relocation.offset);
            let (mut bytes, mut added) = (edits.bytes.iter().peekable(), added.iter().peekable());
            let mut ways = Ways { arch, form, heads, known: Vec::new(), frames: Vec::new() };
            // All three are in order.
            let pattern = |&Kind { first, value, .. }: &Kind| {
                while bytes.next_if(|edit| (edit.section, edit.offset) < (*section, first)).is_some() {}
                let edit = bytes.next_if(|edit| (edit.section, edit.offset) == (*section, first))?;
                let end = first + u64::from(form.length);
                while added.next_if(|relocation| relocation.offset < first).is_some() {}
                let relocation = *added.next_if(|relocation| relocation.offset < end)?;
                if added.next_if(|relocation| relocation.offset < end).is_some() {
                    return None;
                }
                let frames = ways.frames(&edit.old, &edit.new, relocation.offset - first, relocation.kind)?;
                Some(Pattern { first, constant: value, frames, relocation })
            };
            let patterns = kinds.iter().map(pattern).collect::<Option<Vec<Pattern>>>()?;
            count += places.len();
            let repeated = Repeated { form, patterns, frames: ways.frames, places: Arc::clone(places) };
            edits.repeated.insert(*section, repeated);
        }
        Some(count)
    }

    /// The sections in which something is repeated.
    pub(crate) fn sections(&self) -> impl Iterator<Item = SectionId> {
        self.sections.iter().map(|repeats| repeats.section)
    }
}

/// What stands for the number of a kind where there is none,
const NONE: u32 = u32::MAX;
/// and where there will be one.
const SOME: u32 = 0;

/// The plain constants of a part of a section.
#[derive(Default)]
struct Part {
    /// By constant the number of the kind, and how many there are.
    known: HashMap<u64, (u32, u32)>,
    /// In the order of their first.
    kinds: Vec<Kind>,
    heads: Vec<u128>,
    /// Cases of their own.
    alone: Vec<PlainConstant>,
}

impl Part {
    /// The number of the kind of a constant.
    fn kind(&mut self, PlainConstant { start, value }: PlainConstant) -> u32 {
        let (number, count) = self.known.entry(value).or_insert_with(|| {
            self.kinds.push(Kind { first: start, value, count: 0 });
            (self.kinds.len() as u32 - 1, 0)
        });
        *count += 1;
        *number
    }

    /// Tells all kinds how many there are.
    fn count(&mut self) {
        for &(number, count) in self.known.values() {
            if let Some(kind) = self.kinds.get_mut(number as usize) {
                kind.count = count;
            }
        }
    }

    /// The number of what is around a constant.
    fn head(&mut self, around: u128) -> u32 {
        number_in(&mut self.heads, around)
    }
}

/// The index of a head, which is added if it is new: there are no more than registers.
fn number_in(heads: &mut Vec<u128>, head: u128) -> u32 {
    let known = heads.iter().position(|known| *known == head);
    known.unwrap_or_else(|| {
        heads.push(head);
        heads.len() - 1
    }) as u32
}

/// What the numbers of a part are in the whole section.
struct Numbers {
    /// For each kind its number, if it is repeated, and where the first starts.
    kinds: Vec<(u32, u64)>,
    heads: Vec<u32>,
}

impl Numbers {
    /// Gives a place its numbers in the section, or [`NONE`] if it stays.
    fn renumber(&self, place: &mut Repeat) {
        let kind = self.kinds.get(place.pattern as usize);
        let repeated = kind.filter(|(_, first)| place.offset != *first);
        place.pattern = repeated.map_or(NONE, |(number, _)| *number);
        place.frame = self.heads.get(place.frame as usize).copied().unwrap_or_default();
    }
}

/// All parts of a section together.
struct Merged {
    /// In the order of their first.
    kinds: Vec<Kind>,
    heads: Vec<u128>,
    /// Of each part.
    numbers: Vec<Numbers>,
}

impl Merged {
    fn of(parts: &mut [Part]) -> Self {
        let (mut kinds, mut heads, mut indices) = (Vec::<Kind>::new(), Vec::new(), Vec::new());
        // What is known in one part is what the next is held against.
        let mut known: HashMap<u64, (u32, u32)> = HashMap::default();
        for part in &mut *parts {
            let all = part.kinds.iter();
            if kinds.is_empty() {
                known = std::mem::take(&mut part.known);
                kinds.extend(all);
                indices.push((0..kinds.len() as u32).collect());
                continue;
            }
            let index = |kind: &Kind| {
                let (index, _) = *known.entry(kind.value).or_insert_with(|| {
                    kinds.push(Kind { count: 0, ..*kind });
                    (kinds.len() as u32 - 1, 0)
                });
                if let Some(known) = kinds.get_mut(index as usize) {
                    known.count += kind.count;
                }
                index
            };
            indices.push(all.map(index).collect::<Vec<u32>>());
        }
        // Kinds of which there is but one have no number: it stays.
        let mut next = 0;
        let number = |kind: &Kind| {
            let number = next;
            next += u32::from(kind.count > 1);
            (number, kind.first)
        };
        let all: Vec<(u32, u64)> = kinds.iter().map(number).collect();
        let of_part = |(part, indices): (&mut Part, Vec<u32>)| Numbers {
            kinds: indices.into_iter().map(|index| all[index as usize]).collect(),
            heads: part.heads.iter().map(|head| number_in(&mut heads, *head)).collect(),
        };
        let numbers = parts.iter_mut().zip(indices).map(of_part).collect();
        Merged { kinds, heads, numbers }
    }
}

/// How the constants of a section get what they mean.
struct Ways<'a> {
    arch: &'static dyn Arch,
    form: PlainForm,
    heads: &'a [u128],
    known: Vec<Way>,
    frames: Vec<Frame>,
}

/// A way that was met.
struct Way {
    /// Its relocation: how far from the instruction's start, and of what kind.
    field: u64,
    kind: RelocKind,
    /// The index of the first of its frames, of which there is one for each head.
    first: u32,
}

impl Ways<'_> {
    /// The index of the first of the frames that do what was done with one instruction: it became other bytes, with a
    /// relocation `field` bytes from its start. `None`: that is not to be done with other instructions.
    fn frames(&mut self, old: &[u8], new: &[u8], field: u64, kind: RelocKind) -> Option<u32> {
        if old.len() != usize::from(self.form.length) || new.len() != old.len() {
            return None;
        }
        let window = self.form.window();
        let head = window.around(window.bytes(old, 0)?);
        let head = self.heads.iter().position(|known| *known == head)?;
        let known = self.known.iter().find(|way| {
            let frame = self.frames.get(way.first as usize + head);
            (way.field, way.kind) == (field, kind) && frame.map(|frame| frame.new) == window.bytes(new, 0)
        });
        if let Some(way) = known {
            return Some(way.first);
        }
        let mut ways = DELIVERIES.iter().filter_map(|&delivery| {
            let lowered = self.arch.lower(old, self.form.field.into(), delivery).ok()?;
            let same = (&*lowered.bytes, lowered.field, lowered.kind) == (new, field, kind);
            same.then_some((delivery, lowered))
        });
        let (delivery, lowered) = ways.next()?;
        let first = self.frames.len() as u32;
        for &head in self.heads {
            let other = self.arch.lower(&window.text(head), self.form.field.into(), delivery).ok()?;
            let Lowered { field, kind, addend, .. } = lowered;
            let alike = (other.field, other.kind, other.addend) == (field, kind, addend);
            let whole = other.bytes.len() == usize::from(self.form.length);
            let new = window.bytes(&other.bytes, 0).filter(|_| alike && whole)?;
            self.frames.push(Frame { old: head, new });
        }
        self.known.push(Way { field, kind, first });
        Some(first)
    }
}

fn added(edit: &RelocationEdit) -> Option<NewRelocation> {
    match edit {
        RelocationEdit::Add(relocation) => Some(*relocation),
        RelocationEdit::Replace(..) | RelocationEdit::Remove(_) => None,
    }
}

/// Which functions of a section take nothing for granted; asked about in their order.
#[derive(Default)]
struct Functions {
    /// Some constants are words that the program only reads, or may be.
    words: bool,
    /// The last function that was asked about, and what was found.
    last: Range<u64>,
    indifferent: bool,
    /// Where it is in the lists of functions and of what they consist of.
    at: usize,
    sensitivity: usize,
}

impl Functions {
    fn is_indifferent(
        &mut self,
        scan: &Scan<'_>,
        code: &ObjectCode<'_>,
        section: SectionId,
        offset: u64,
    ) -> bool {
        if self.last.contains(&offset) {
            return self.indifferent;
        }
        let Some((range, parts)) = code.function_from(&mut self.at, section, offset) else { return false };
        let parts: Option<SmallVec<[u64; 4]>> = parts.iter().map(|&part| number_of(section, part)).collect();
        self.indifferent =
            parts.is_some_and(|parts| is_indifferent(scan, code, &parts, self.words, &mut self.sensitivity));
        self.last = range.clone();
        self.indifferent
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
    fn the_same_address_in_the_same_form_is_one_of_a_kind() {
        let (one, other) = (0x7f12_3456_0010, 0x7f12_3456_0020);
        let f = [movabs(0, one), movabs(1, one), movabs(0, other), movabs(0, one), vec![0xc3]].concat();
        let g = [movabs(7, other), movabs(1, one), movabs(0, one), vec![0xc3]].concat();
        let alike = vec![(10, 0), (30, 0), (41, 20), (51, 0), (61, 0)];
        assert_eq!(taken(&[f, g], &[]), (vec![0, 20], alike));
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
