//! Which ranges of a code section are functions, so that decoding starts anew at each: data between functions
//! then cannot derail it. Symbols decide; where they are silent, call frame information does.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::frame_table::FrameTable;
use crate::in_order::first_from;
use crate::object_file::{Binding, ObjectFile, SectionId, Symbol, SymbolId, SymbolPlace, SymbolType};

/// A range of a code section in which decoding need not start anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region<'d> {
    /// Its bytes, as offsets in the section; never empty.
    pub range: Range<u64>,
    /// The symbol at its start that names it.
    pub function: Option<SymbolId>,
    /// That symbol's name, unless it is empty.
    pub name: Option<&'d str>,
    /// Index of the region whose unsized label comes last before this nameless one, with no sized function
    /// in between: hand-written code that may well go on here.
    label: Option<usize>,
}

/// The regions of one section: sorted, not overlapping, together the whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionBounds<'d> {
    regions: Vec<Region<'d>>,
}

/// A function with a size, cut off at its section's end.
struct Sized {
    range: Range<u64>,
    symbol: SymbolId,
}

impl<'d> FunctionBounds<'d> {
    /// The regions of one section. Functions and untyped symbols with a size are regions; of nested ones the outermost
    /// is, of equal ones that with the preferred symbol, and one that overlaps the next ends where that begins. What is
    /// left is split at symbols without a size, at both ends of data symbols, and at both ends of the ranges in `frames`.
    pub fn of(object: &ObjectFile<'d>, section: SectionId, frames: &FrameTable<'_>) -> Self {
        let symbols = object.symbols.iter().filter(|symbol| symbol.place == SymbolPlace::Section(section));
        let ranges = frames.fdes.iter().filter_map(|fde| fde.range(object));
        let ranges = ranges.filter(|(home, _)| *home == section).map(|(_, range)| range);
        Self::from_parts(object, section, symbols, ranges)
    }

    /// [`FunctionBounds::of`] for each section that holds instructions, in one pass: an object can have as many sections
    /// as functions.
    pub fn of_all(object: &ObjectFile<'d>, frames: &FrameTable<'_>) -> BTreeMap<SectionId, Self> {
        let mut parts: BTreeMap<SectionId, (Vec<&Symbol<'d>>, Vec<Range<u64>>)> = BTreeMap::new();
        for section in object.sections.iter().filter(|section| section.exec) {
            parts.insert(section.id, Default::default());
        }
        for symbol in &object.symbols {
            if let SymbolPlace::Section(section) = symbol.place {
                parts.entry(section).and_modify(|(symbols, _)| symbols.push(symbol));
            }
        }
        for (section, range) in frames.fdes.iter().filter_map(|fde| fde.range(object)) {
            parts.entry(section).and_modify(|(_, ranges)| ranges.push(range));
        }
        let bounds = |(section, (symbols, ranges)): (_, (Vec<_>, Vec<_>))| {
            (section, Self::from_parts(object, section, symbols.into_iter(), ranges.into_iter()))
        };
        parts.into_iter().map(bounds).collect()
    }

    fn from_parts<'o>(
        object: &'o ObjectFile<'d>,
        section: SectionId,
        symbols: impl Iterator<Item = &'o Symbol<'d>>,
        frames: impl Iterator<Item = Range<u64>>,
    ) -> Self
    where
        'd: 'o,
    {
        let size = object.section(section).size;
        // Of those that go through a list they are so many at most.
        let mut functions: Vec<Sized> = Vec::with_capacity(symbols.size_hint().0);
        // Offsets in gaps between functions at which something ends or begins, with the label there.
        let mut splits: Vec<(u64, Option<SymbolId>)> = Vec::new();
        for symbol in symbols.filter(|symbol| symbol.value < size) {
            let range = symbol.value..symbol.value.saturating_add(symbol.size).min(size);
            match symbol.kind {
                SymbolType::Function | SymbolType::IndirectFunction | SymbolType::None if symbol.size > 0 => {
                    functions.push(Sized { range, symbol: symbol.id });
                }
                SymbolType::Function | SymbolType::IndirectFunction | SymbolType::None => {
                    splits.push((symbol.value, Some(symbol.id)));
                }
                SymbolType::Object => splits.extend([(range.start, None), (range.end, None)]),
                SymbolType::Section | SymbolType::File | SymbolType::ThreadLocal => {}
            }
        }
        only_outermost(object, &mut functions);
        // Nearly all describe one of these functions and nothing in a gap; they are in the same order.
        let mut near = 0;
        let mut is_function = |range: &Range<u64>| {
            near = first_from(&functions, near, |function| function.range.start < range.start);
            functions.get(near).is_some_and(|function| function.range == *range)
        };
        let gaps = frames.filter(|range| !is_function(range));
        splits.extend(gaps.flat_map(|range| [(range.start, None), (range.end, None)]));
        // Of several labels the preferred one, and any before none.
        let best = |label: Option<SymbolId>| (label.is_none(), label.map(|id| rank(object.symbol(id))));
        splits.sort_by_key(|&(offset, label)| (offset, best(label)));
        splits.dedup_by_key(|(offset, _)| *offset);

        // Between two there may be another one.
        let mut bounds = FunctionBounds { regions: Vec::with_capacity(2 * functions.len() + splits.len()) };
        let mut end = 0;
        let mut splits = splits.as_slice();
        for function in functions {
            bounds.fill(object, end..function.range.start, &mut splits);
            end = function.range.end;
            bounds.push(object, function.range, Some(function.symbol));
        }
        bounds.fill(object, end..size, &mut splits);
        bounds.inherit_labels(object);
        bounds
    }

    /// The regions, in the order of the section.
    pub fn regions(&self) -> &[Region<'d>] {
        &self.regions
    }

    /// The name, for messages, of the function around the byte at `offset`; behind an unsized symbol, of that symbol.
    pub fn name_at(&self, offset: u64) -> Option<&'d str> {
        let region = self.regions.get(self.regions.partition_point(|r| r.range.end <= offset))?;
        match (region.function, region.label) {
            (None, Some(label)) => self.regions.get(label)?.name,
            _ => region.name,
        }
    }

    /// Covers a range without sized functions, and leaves the splits behind it.
    fn fill(&mut self, object: &ObjectFile<'d>, gap: Range<u64>, splits: &mut &[(u64, Option<SymbolId>)]) {
        let mut start = gap.start;
        let mut function = None;
        let before = splits.iter().take_while(|(split, _)| *split < gap.start).count();
        let inside = splits[before..].iter().take_while(|(split, _)| *split < gap.end).count();
        let (here, behind) = splits[before..].split_at(inside);
        *splits = behind;
        for &(split, label) in here {
            self.push(object, start..split, function);
            start = split;
            function = label;
        }
        self.push(object, start..gap.end, function);
    }

    fn push(&mut self, object: &ObjectFile<'d>, range: Range<u64>, function: Option<SymbolId>) {
        if range.is_empty() {
            return;
        }
        let name = function.map(|id| object.symbol(id).name).filter(|name| !name.is_empty());
        self.regions.push(Region { range, function, name, label: None });
    }

    fn inherit_labels(&mut self, object: &ObjectFile<'_>) {
        let mut label = None;
        for (index, region) in self.regions.iter_mut().enumerate() {
            match region.function {
                Some(function) if object.symbol(function).size == 0 => label = Some(index),
                Some(_) => label = None,
                None => region.label = label,
            }
        }
    }
}

/// Sorts them, and leaves no nested ranges.
fn only_outermost(object: &ObjectFile<'_>, functions: &mut Vec<Sized>) {
    functions.sort_by_key(|f| {
        let longest_first = u64::MAX - f.range.end;
        (f.range.start, longest_first, rank(object.symbol(f.symbol)))
    });
    functions.dedup_by(|function, last| {
        let nested = function.range.end <= last.range.end;
        if !nested {
            // An entry point is the start of an instruction for sure; where another function is said to end need not be.
            last.range.end = last.range.end.min(function.range.start);
        }
        nested
    });
}

/// The least is preferred: seen by other objects, global before weak, said to be a function, first in the table.
fn rank(symbol: &Symbol<'_>) -> (u8, bool, SymbolId) {
    let binding = match symbol.binding {
        Binding::Global => 0,
        Binding::Unique | Binding::Weak => 1,
        Binding::Local => 2,
    };
    (binding, symbol.kind == SymbolType::None, symbol.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame_table::{Cie, CieId, Fde, Location, PointerField};
    use crate::object_file::SectionKind;
    use crate::sample_object::{add_section, add_symbol, object};

    const CODE: [u8; 100] = [0x90; 100];

    fn sample<'d>(symbols: &[(&'d str, Range<u64>, SymbolType)]) -> (ObjectFile<'d>, SectionId) {
        let mut object = object();
        let text = add_section(&mut object, ".text", SectionKind::Contents, &CODE);
        for (name, range, kind) in symbols {
            add_symbol(&mut object, name, SymbolPlace::Section(text), range.clone(), *kind);
        }
        (object, text)
    }

    fn frames(section: SectionId, ranges: &[(u64, u64)]) -> FrameTable<'static> {
        let cie = Cie {
            section: SectionId(0),
            offset: 0,
            augmentation: b"zR",
            code: None,
            lsda: None,
            personality: None,
        };
        let fdes = ranges.iter().map(|&(start, end)| Fde {
            cie: CieId(0),
            offset: 0,
            code: PointerField { offset: 8, width: 4 },
            length: end - start,
            function: Some(Location { section, offset: start }),
            lsda: None,
            lsda_target: None,
        });
        FrameTable { cies: vec![cie], fdes: fdes.collect() }
    }

    fn shown(bounds: &FunctionBounds<'_>) -> Vec<(u64, u64, String)> {
        let mut end = 0;
        for region in bounds.regions() {
            assert_eq!(region.range.start, end, "a gap or an overlap");
            assert!(region.range.end > end, "an empty region");
            end = region.range.end;
        }
        let name = |region: &Region<'_>| region.name.unwrap_or("-").to_owned();
        bounds.regions().iter().map(|r| (r.range.start, r.range.end, name(r))).collect()
    }

    fn bounds_of(symbols: &[(&str, Range<u64>, SymbolType)], fdes: &[(u64, u64)]) -> Vec<(u64, u64, String)> {
        let (object, text) = sample(symbols);
        let frames = frames(text, fdes);
        let bounds = FunctionBounds::of(&object, text, &frames);
        assert_eq!(FunctionBounds::of_all(&object, &frames), BTreeMap::from([(text, bounds.clone())]));
        shown(&bounds)
    }

    fn regions(expected: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
        expected.iter().map(|(start, end, name)| (*start, *end, (*name).to_owned())).collect()
    }

    use SymbolType::{File, Function, None as Untyped, Object, Section};

    #[test]
    fn sized_functions_and_the_gaps_between() {
        let found =
            bounds_of(&[("g", 50..80, Function), ("f", 10..40, Function), ("data", 85..90, Object)], &[]);
        let expected = [
            (0, 10, "-"),
            (10, 40, "f"),
            (40, 50, "-"),
            (50, 80, "g"),
            (80, 85, "-"),
            (85, 90, "-"),
            (90, 100, "-"),
        ];
        assert_eq!(found, regions(&expected));
    }

    #[test]
    fn nested_ranges_belong_to_the_outermost() {
        let found = bounds_of(
            &[
                ("inner", 20..30, Function),
                ("outer", 10..60, Untyped),
                ("label", 15..15, Untyped),
                ("head", 10..20, Function),
                ("table", 40..44, Object),
            ],
            &[(25, 35)],
        );
        assert_eq!(found, regions(&[(0, 10, "-"), (10, 60, "outer"), (60, 100, "-")]));
    }

    #[test]
    fn overlapping_ranges_end_where_the_next_begins() {
        let found =
            bounds_of(&[("b", 40..90, Function), ("a", 0..50, Function), ("in_b", 60..80, Function)], &[]);
        assert_eq!(found, regions(&[(0, 40, "a"), (40, 90, "b"), (90, 100, "-")]));
    }

    #[test]
    fn the_preferred_alias_names_the_region() {
        let (mut object, text) = sample(&[
            ("local", 0..50, Function),
            ("untyped", 0..50, Untyped),
            ("weak", 0..50, Function),
            ("global", 0..50, Function),
            ("second", 0..50, Function),
            ("local_label", 60..60, Untyped),
            ("label", 60..60, Untyped),
        ]);
        let no_frames = FrameTable::default();
        assert_eq!(FunctionBounds::of(&object, text, &no_frames).name_at(0), Some("local"));
        for (index, binding) in [
            (2, Binding::Global),
            (3, Binding::Weak),
            (4, Binding::Global),
            (5, Binding::Global),
            (7, Binding::Global),
        ] {
            object.symbols[index].binding = binding;
        }
        let bounds = FunctionBounds::of(&object, text, &no_frames);
        assert_eq!(shown(&bounds), regions(&[(0, 50, "global"), (50, 60, "-"), (60, 100, "label")]));
    }

    #[test]
    fn labels_split_what_has_no_size() {
        let (object, text) =
            sample(&[("one", 10..10, Untyped), ("two", 30..30, Function), ("sized", 60..70, Function)]);
        let bounds = FunctionBounds::of(&object, text, &frames(text, &[(30, 50)]));
        let expected = [
            (0, 10, "-"),
            (10, 30, "one"),
            (30, 50, "two"),
            (50, 60, "-"),
            (60, 70, "sized"),
            (70, 100, "-"),
        ];
        assert_eq!(shown(&bounds), regions(&expected));
        assert_eq!(bounds.name_at(9), None);
        assert_eq!(bounds.name_at(29), Some("one"));
        assert_eq!(bounds.name_at(55), Some("two"), "the label's code may go on behind its unwind entry");
        assert_eq!(bounds.name_at(69), Some("sized"));
        assert_eq!(bounds.name_at(70), None, "a sized function has ended");
        assert_eq!(bounds.name_at(100), None);
        assert_eq!(bounds.name_at(u64::MAX), None);
    }

    #[test]
    fn without_symbols_call_frame_information_decides() {
        let found = bounds_of(&[("", 0..0, Section), ("a.c", 0..0, File)], &[(40, 80), (0, 40)]);
        assert_eq!(found, regions(&[(0, 40, "-"), (40, 80, "-"), (80, 100, "-")]));
        assert_eq!(bounds_of(&[], &[]), regions(&[(0, 100, "-")]));
    }

    #[test]
    fn what_lies_beyond_the_end_is_cut_off() {
        let found = bounds_of(
            &[
                ("long", 90..u64::MAX, Function),
                ("behind", 100..120, Function),
                ("far", u64::MAX..u64::MAX, Untyped),
                ("end", 100..100, Untyped),
                ("table", 95..300, Object),
            ],
            &[(80, 4000), (500, 600)],
        );
        assert_eq!(found, regions(&[(0, 80, "-"), (80, 90, "-"), (90, 100, "long")]));
    }

    #[test]
    fn every_section_has_its_own() {
        let (mut object, text) = sample(&[("f", 0..40, Function)]);
        let other = add_section(&mut object, ".text.g", SectionKind::Contents, &CODE);
        let data = add_section(&mut object, ".data", SectionKind::Contents, &CODE);
        add_symbol(&mut object, "g", SymbolPlace::Section(other), 20..100, Function);
        add_symbol(&mut object, "d", SymbolPlace::Section(data), 10..20, Object);
        let mut frames = frames(text, &[(50, 60)]);
        frames.fdes.extend(self::frames(other, &[(0, 10)]).fdes);
        let all = FunctionBounds::of_all(&object, &frames);
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [text, other]);
        for (section, bounds) in &all {
            assert_eq!(*bounds, FunctionBounds::of(&object, *section, &frames));
        }
        assert_eq!(
            shown(&all[&text]),
            regions(&[(0, 40, "f"), (40, 50, "-"), (50, 60, "-"), (60, 100, "-")])
        );
        assert_eq!(shown(&all[&other]), regions(&[(0, 10, "-"), (10, 20, "-"), (20, 100, "g")]));
    }

    #[test]
    fn an_empty_section_has_no_regions() {
        let mut object = object();
        let text = add_section(&mut object, ".text", SectionKind::Contents, &[]);
        add_symbol(&mut object, "f", SymbolPlace::Section(text), 0..0, Function);
        let bounds = FunctionBounds::of(&object, text, &FrameTable::default());
        assert!(bounds.regions().is_empty());
        assert_eq!(bounds.name_at(0), None);
    }
}
