//! Which ranges of a code section are functions, so that decoding starts anew at each: data between functions
//! then cannot derail it. Symbols decide; where they are silent, call frame information does.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::frame_table::FrameTable;
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
    /// The regions of `section`. Functions and untyped symbols with a size are regions; of nested ones the outermost is,
    /// of equal ones that with the preferred symbol, and one that overlaps the next ends where that begins. What is left
    /// is split at symbols without a size, at both ends of data symbols, and at both ends of the ranges in `frames`.
    pub fn of(object: &ObjectFile<'d>, section: SectionId, frames: &FrameTable<'_>) -> Self {
        let size = object.section(section).size;
        let mut functions: Vec<Sized> = Vec::new();
        let mut labels: BTreeMap<u64, SymbolId> = BTreeMap::new();
        // Offsets in gaps between functions at which something ends or begins, with the label there.
        let mut splits: BTreeMap<u64, Option<SymbolId>> = BTreeMap::new();
        for symbol in &object.symbols {
            if symbol.place != SymbolPlace::Section(section) || symbol.value >= size {
                continue;
            }
            let range = symbol.value..symbol.value.saturating_add(symbol.size).min(size);
            match symbol.kind {
                SymbolType::Function | SymbolType::IndirectFunction | SymbolType::None if symbol.size > 0 => {
                    functions.push(Sized {
                        range,
                        symbol: symbol.id,
                    });
                }
                SymbolType::Function | SymbolType::IndirectFunction | SymbolType::None => {
                    let best = labels.entry(symbol.value).or_insert(symbol.id);
                    if rank(symbol) < rank(object.symbol(*best)) {
                        *best = symbol.id;
                    }
                }
                SymbolType::Object => {
                    splits.insert(range.start, None);
                    splits.insert(range.end, None);
                }
                SymbolType::Section | SymbolType::File | SymbolType::ThreadLocal => {}
            }
        }
        for (_, range) in frames
            .fdes
            .iter()
            .filter_map(|fde| fde.range(object))
            .filter(|(s, _)| *s == section)
        {
            splits.insert(range.start, None);
            splits.insert(range.end, None);
        }
        splits.extend(labels.into_iter().map(|(offset, label)| (offset, Some(label))));

        let mut bounds = FunctionBounds { regions: Vec::new() };
        let mut end = 0;
        for function in outermost(object, functions) {
            bounds.fill(object, end..function.range.start, &splits);
            end = function.range.end;
            bounds.push(object, function.range, Some(function.symbol));
        }
        bounds.fill(object, end..size, &splits);
        bounds.inherit_labels(object);
        bounds
    }

    /// The regions, in the order of the section.
    pub fn regions(&self) -> &[Region<'d>] {
        &self.regions
    }

    /// The name, for messages, of the function around the byte at `offset`; behind an unsized symbol, of that symbol.
    pub fn name_at(&self, offset: u64) -> Option<&'d str> {
        let region = self
            .regions
            .get(self.regions.partition_point(|r| r.range.end <= offset))?;
        match (region.function, region.label) {
            (None, Some(label)) => self.regions.get(label)?.name,
            _ => region.name,
        }
    }

    /// Covers a range without sized functions.
    fn fill(&mut self, object: &ObjectFile<'d>, gap: Range<u64>, splits: &BTreeMap<u64, Option<SymbolId>>) {
        let mut start = gap.start;
        let mut function = None;
        for (&split, &label) in splits.range(gap.clone()) {
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
        let name = function
            .map(|id| object.symbol(id).name)
            .filter(|name| !name.is_empty());
        self.regions.push(Region {
            range,
            function,
            name,
            label: None,
        });
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

/// Sorted and without nested ranges.
fn outermost(object: &ObjectFile<'_>, mut functions: Vec<Sized>) -> Vec<Sized> {
    functions.sort_by_key(|f| {
        let longest_first = u64::MAX - f.range.end;
        (f.range.start, longest_first, rank(object.symbol(f.symbol)))
    });
    let mut kept: Vec<Sized> = Vec::new();
    for function in functions {
        if let Some(last) = kept.last_mut() {
            if function.range.end <= last.range.end {
                continue;
            }
            // An entry point is the start of an instruction for sure; where another function is said to end need not be.
            last.range.end = last.range.end.min(function.range.start);
        }
        kept.push(function);
    }
    kept
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
