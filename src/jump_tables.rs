//! Words of data that lead into code, and which of them lie side by side, as those of a jump table do.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::object_code::number_of;
use crate::object_file::{ObjectFile, SectionId, SectionKind, SymbolPlace};
use crate::reloc::RelocKind;

/// A word that leads into code.
#[derive(Debug, Clone, Copy)]
struct Word {
    /// Where it stands.
    place: u64,
    /// What it leads to; if it is a distance: were it one from itself.
    target: u64,
    /// In bytes.
    width: u8,
    /// It is a distance, from the start of its table.
    distance: bool,
    /// The program cannot change it.
    fixed: bool,
}

impl Word {
    /// What it leads to, as an entry of a table that starts there.
    fn target_from(&self, start: u64) -> u64 {
        if self.distance { self.target.wrapping_sub(self.place - start) } else { self.target }
    }

    fn is_followed_by(&self, next: &Word) -> bool {
        next.place == self.place + u64::from(self.width)
            && (next.width, next.distance) == (self.width, self.distance)
    }
}

/// All of an object, in order.
#[derive(Debug)]
pub(crate) struct JumpTables {
    words: Vec<Word>,
    /// What instructions refer to.
    referred: BTreeSet<u64>,
    /// Words side by side, by what each leads to.
    runs: Vec<Vec<u64>>,
    /// Of each word what it leads to and its run.
    by_target: BTreeSet<(u64, usize)>,
}

impl JumpTables {
    /// `referred`: the numbers of what instructions refer to, where tables start.
    pub(crate) fn find(object: &ObjectFile<'_>, referred: BTreeSet<u64>) -> JumpTables {
        let mut words = Vec::new();
        for section in object.sections.iter().filter(|s| s.alloc && s.kind == SectionKind::Contents) {
            for relocation in section.relocations() {
                let (width, distance) = match relocation.kind {
                    RelocKind::Abs64 | RelocKind::GotOff64 => (8, false),
                    RelocKind::Abs32 | RelocKind::Abs32Signed => (4, false),
                    RelocKind::Pc32 if !section.exec => (4, true),
                    RelocKind::Pc64 if !section.exec => (8, true),
                    _ => continue,
                };
                let symbol = object.symbol(relocation.symbol);
                let SymbolPlace::Section(home) = symbol.place else { continue };
                let place = number_of(section.id, relocation.offset);
                let target = symbol.value.wrapping_add(relocation.addend as u64);
                let base = number_of(home, 0).filter(|_| object.section(home).exec);
                let (Some(place), Some(base)) = (place, base) else { continue };
                let target = base.wrapping_add(target);
                words.push(Word { place, target, width, distance, fixed: !section.write });
            }
        }
        words.sort_unstable_by_key(|word| word.place);
        let mut tables = JumpTables { words, referred, runs: Vec::new(), by_target: BTreeSet::new() };
        tables.find_runs(object);
        tables
    }

    fn find_runs(&mut self, object: &ObjectFile<'_>) {
        let mut last: Option<(Word, u64)> = None;
        for &word in &self.words {
            // Some instruction refers to the table's start. From there distances are, and not from the entry.
            let start = self.referred.range(..=word.place).next_back().copied().unwrap_or(word.place);
            let goes_on = last.is_some_and(|(last, before)| last.is_followed_by(&word) && start == before);
            if !goes_on {
                self.runs.push(Vec::new());
            }
            last = Some((word, start));
            let target = word.target_from(start);
            if is_code(object, target)
                && let Some(run) = self.runs.last_mut()
            {
                run.push(target);
                self.by_target.insert((target, self.runs.len() - 1));
            }
        }
    }

    /// Where the tables lead that lead into a range of code otherwise than to its start, by which functions are called.
    pub(crate) fn leading_into(&self, function: &Range<u64>) -> Vec<u64> {
        let inside = (function.start + 1, 0)..(function.end.max(function.start + 1), 0);
        let runs: BTreeSet<usize> = self.by_target.range(inside).map(|(_, run)| *run).collect();
        let mut targets: Vec<u64> = runs.into_iter().flat_map(|run| &self.runs[run]).copied().collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// Where the entries lead of a table that starts there, in order; `distances`: they are distances from its start.
    /// In parts: where another one begins instructions refer to it, and it may be another table. `None`: it is none, or
    /// one that the program can change.
    pub(crate) fn at(&self, start: u64, distances: bool) -> Option<Vec<Vec<u64>>> {
        let first = self.words.binary_search_by_key(&start, |word| word.place).ok()?;
        let words = &self.words[first..];
        let long = words.windows(2).take_while(|pair| pair[0].is_followed_by(&pair[1])).count() + 1;
        let words = &words[..long];
        if words.iter().any(|word| !word.fixed || word.distance != distances) {
            return None;
        }
        let mut parts: Vec<Vec<u64>> = Vec::new();
        for word in words {
            if word.place == start || self.referred.contains(&word.place) {
                parts.push(Vec::new());
            }
            parts.last_mut()?.push(word.target_from(start));
        }
        Some(parts)
    }
}

fn is_code(object: &ObjectFile<'_>, number: u64) -> bool {
    let (SectionId(id), offset) = crate::object_code::place_of(number);
    object.sections.get(id as usize).is_some_and(|section| section.exec && offset < section.size)
}
