//! Finds every place: a field without a relocation that holds a session-specific constant, and every relocation
//! whose own addend is one. Nothing is looked up here but whether a number is an address of the session.

use std::collections::BTreeMap;

use rayon::prelude::*;

use foldhash::HashSet;

use crate::arch::{Machine, OperandForm, PcUse, Sensitivity, ThreadLocalOffset};
use crate::code_scan::{self, CodeFound, HalfPair};
use crate::error::{At, Result};
use crate::frame_table::FrameTable;
use crate::function_bounds::FunctionBounds;
use crate::in_order::first_from;
use crate::object_file::{ObjectFile, Relocation, Section, SectionId, SectionKind, SymbolId, SymbolPlace};
use crate::plain_constants::PlainConstants;
use crate::record::{Record, holds_program_bytes};
use crate::reloc::RelocKind;
use crate::session_map::{Files, SessionMap, SmallAddress};
use crate::source_lines::SourceLines;
use crate::spelled::spelled_words;
use crate::thread_local;

/// In what shape a constant stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An operand of an instruction.
    Instruction {
        /// Offset of the instruction.
        start: u64,
        /// Its length in bytes.
        length: u8,
        /// How it uses the constant.
        form: OperandForm,
    },
    /// A word of a data section.
    DataWord,
    /// A word of a data section whose upper half is zero and which is no address that the session map names: perhaps an
    /// address inside of something, perhaps a number.
    DoubtfulWord,
    /// A word among instructions that some instruction reads, or that none can be shown to be.
    PoolWord,
    /// Bytes that read as an instruction with a constant, although decoding leads to other boundaries.
    Ambiguous,
    /// A 32-bit operand that lies inside something of the session: perhaps an address, perhaps a number.
    Doubtful {
        /// Offset of the instruction.
        start: u64,
        /// Its length in bytes.
        length: u8,
        /// How it would use the address.
        form: OperandForm,
    },
    /// The addend of a relocation against no symbol or an absolute one.
    Addend(Relocation),
    /// The value of an absolute symbol.
    AbsoluteSymbol(SymbolId),
}

/// A session-specific constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its section.
    pub section: SectionId,
    /// Offset of the field's first byte.
    pub offset: u64,
    /// Its width in bytes.
    pub width: u8,
    /// Its value, extended to 64 bits as it is used.
    pub value: u64,
    /// In what shape.
    pub shape: Shape,
}

impl Place {
    /// The name of its section; an absolute symbol has none, and tools write this instead.
    pub fn home<'d>(&self, object: &ObjectFile<'d>) -> &'d str {
        match self.shape {
            Shape::AbsoluteSymbol(_) => "*ABS*",
            _ => object.sections.get(self.section.0 as usize).map_or("", |section| section.name),
        }
    }
}

/// The instruction around a relocated field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Offset of the instruction.
    pub start: u64,
    /// Its length in bytes.
    pub length: u8,
    /// How it uses the field, if as a constant.
    pub form: Option<OperandForm>,
    /// How it uses the field, if pc-relative.
    pub usage: Option<PcUse>,
}

/// An instruction that reaches a word among the code pc-relatively and without a relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolAccess {
    /// Offset of the instruction.
    pub start: u64,
    /// Its length in bytes.
    pub length: u8,
    /// Offset of its pc-relative field.
    pub field: u64,
    /// The first byte that it reaches.
    pub target: u64,
    /// How many bytes it accesses there; 0 where that is not known, and where it computes the address only.
    pub size: u64,
}

/// What is known of places in sections: in their order, so that there can be millions.
#[derive(Debug)]
pub struct ByPlace<T>(Vec<((SectionId, u64), T)>);

impl<T> Default for ByPlace<T> {
    fn default() -> Self {
        ByPlace(Vec::new())
    }
}

impl<T> ByPlace<T> {
    /// Adds what is known of offsets in a section behind all that are known so far; of equal ones the last counts.
    fn extend(&mut self, section: SectionId, mut known: Vec<(u64, T)>) {
        known.sort_by_key(|(offset, _)| *offset);
        self.0.extend(known.into_iter().map(|(offset, known)| ((section, offset), known)));
    }

    /// What is known of a place, which is mostly not far behind the one that was asked about before; `index`: where that was.
    pub(crate) fn get_from(&self, index: &mut usize, section: SectionId, offset: u64) -> Option<&T> {
        let place = (section, offset);
        let behind = |known: &((SectionId, u64), T)| known.0 < place;
        let next = first_from(&self.0, *index, behind);
        *index = next;
        let (found, known) = self.0.get(next)?;
        (*found == place).then_some(known)
    }

    /// What is known of a place.
    pub fn get(&self, section: SectionId, offset: u64) -> Option<&T> {
        let behind = self.0.partition_point(|(place, _)| *place <= (section, offset));
        let (place, known) = self.0.get(behind.checked_sub(1)?)?;
        (*place == (section, offset)).then_some(known)
    }
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Scan<'d> {
    /// By section and offset; absolute symbols at the end, by index.
    pub places: Vec<Place>,
    /// The instructions around the relocated fields that were asked for; what is missing is not part of one.
    pub fields: ByPlace<Field>,
    /// Who reaches each [`Shape::PoolWord`], and each word among the code that a relocation of 64 bits fills: reads or writes it, in part or as a part of more, or an address beside it from which code
    /// may go on to it.
    pub accesses: BTreeMap<(SectionId, u64), Vec<PoolAccess>>,
    /// Distances from the thread pointer that are the session's own.
    pub thread_local: BTreeMap<(SectionId, u64), ThreadLocalOffset>,
    /// What regions of code that are nothing but instructions consist of, by where they start; those without a place may
    /// be missing.
    pub(crate) sensitivities: ByPlace<Sensitivity>,
    /// 32-bit operands that are taken for numbers, although the session had memory there.
    pub numbers: Vec<Place>,
    /// Addresses that code stores in two halves; neither is among the places.
    pub(crate) halves: Vec<HalfPair>,
    /// Function bounds of every code section, for messages.
    pub bounds: BTreeMap<SectionId, FunctionBounds<'d>>,
    /// Source lines, for messages and the report.
    pub lines: SourceLines,
}

impl<'d> Scan<'d> {
    /// Adds places in sections.
    pub(crate) fn insert(&mut self, places: impl Iterator<Item = Place>) {
        let absolute = self.places.partition_point(|p| !matches!(p.shape, Shape::AbsoluteSymbol(_)));
        let symbols = self.places.split_off(absolute);
        self.places.extend(places);
        self.places.sort_by_key(|p| (p.section, p.offset));
        self.places.extend(symbols);
    }

    /// The function around a place.
    pub fn function(&self, section: SectionId, offset: u64) -> Option<&'d str> {
        self.bounds.get(&section)?.name_at(offset)
    }

    /// What messages say of a place in the object: everything that is known of it.
    pub fn at(&self, object: &ObjectFile<'_>, section: SectionId, offset: u64) -> At {
        self.at_instruction(object, section, offset, self.instruction(section, offset))
    }

    /// Where a place is, for messages, also one that the scan did not find.
    pub(crate) fn at_place(&self, object: &ObjectFile<'_>, place: &Place) -> At {
        let instruction = match place.shape {
            Shape::Instruction { start, length, .. } | Shape::Doubtful { start, length, .. } => {
                Some((start, length))
            }
            _ => self.instruction(place.section, place.offset),
        };
        self.at_instruction(object, place.section, place.offset, instruction)
    }

    fn at_instruction(
        &self,
        object: &ObjectFile<'_>,
        section: SectionId,
        offset: u64,
        instruction: Option<(u64, u8)>,
    ) -> At {
        let instruction = instruction.and_then(|(start, length)| {
            let home = object.section(section);
            let bytes = home.data.get(start as usize..start as usize + usize::from(length))?;
            home.exec.then(|| object.machine.arch().disassemble(bytes, start))
        });
        At {
            section: object.section(section).name.to_owned(),
            offset,
            function: self.function(section, offset).map(str::to_owned),
            line: self.lines.at(object, section, offset),
            instruction,
        }
    }

    /// The distance from the thread pointer whose instruction the byte at an offset belongs to.
    pub(crate) fn thread_local_at(&self, section: SectionId, offset: u64) -> Option<ThreadLocalOffset> {
        let (_, found) = self.thread_local.range((section, 0)..=(section, offset)).next_back()?;
        (offset < found.start + u64::from(found.length)).then_some(*found)
    }

    /// Offset and length of the instruction that a place or a relocated field is in; of a word among the code, of the
    /// first that reads it.
    fn instruction(&self, section: SectionId, offset: u64) -> Option<(u64, u8)> {
        if let Some(field) = self.fields.get(section, offset) {
            return Some((field.start, field.length));
        }
        if let Some(access) = self.accesses.get(&(section, offset)).and_then(|accesses| accesses.first()) {
            return Some((access.start, access.length));
        }
        if let Some(found) = self.thread_local_at(section, offset) {
            return Some((found.start, found.length));
        }
        let sorted = self.places.partition_point(|p| !matches!(p.shape, Shape::AbsoluteSymbol(_)));
        let places = &self.places[..sorted];
        let found = places.binary_search_by_key(&(section, offset), |p| (p.section, p.offset)).ok()?;
        match places[found].shape {
            Shape::Instruction { start, length, .. } | Shape::Doubtful { start, length, .. } => {
                Some((start, length))
            }
            Shape::DataWord
            | Shape::DoubtfulWord
            | Shape::PoolWord
            | Shape::Ambiguous
            | Shape::Addend(_)
            | Shape::AbsoluteSymbol(_) => None,
        }
    }

    /// The pc-relative fields of the instructions that reach a word among the code, by offset.
    pub fn reads(&self, section: SectionId, word: u64) -> Vec<u64> {
        let accesses = self.accesses.get(&(section, word));
        let mut fields: Vec<u64> = accesses.into_iter().flatten().map(|a| a.field).collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }
}

/// Finds all places that no record covers, plain constants apart, and the instructions around the relocations that `wanted`
/// selects. Of `files` programs and libraries are read that lie where a 32-bit operand leads.
///
/// # Errors
/// An object whose own tables contradict each other.
pub(crate) fn scan<'d>(
    object: &ObjectFile<'d>,
    map: &SessionMap,
    files: &dyn Files,
    record: &Record,
    frames: &FrameTable<'_>,
    wanted: &(dyn Fn(&Section<'_>, &Relocation) -> bool + Sync),
) -> Result<(Scan<'d>, PlainConstants)> {
    let bounds = FunctionBounds::of_all(object, frames);
    let (mut scan, plain) = places(object, map, files, record, &bounds, wanted);
    scan.thread_local = thread_local::find(object, &bounds);
    scan.bounds = bounds;
    Ok((scan, plain))
}

/// The places and halves alone, where there should be none, and no instruction has to be known. `frames` reads the unwind tables.
///
/// # Errors
/// Those of `frames`.
pub(crate) fn left<'d, 'f>(
    object: &ObjectFile<'d>,
    map: &SessionMap,
    files: &dyn Files,
    record: &Record,
    frames: &dyn Fn() -> Result<FrameTable<'f>>,
) -> Result<Scan<'d>> {
    let mut code = object.sections.iter().filter(|s| s.exec && holds_program_bytes(s));
    let decodes = has_low_addresses(map, object.machine) || code.any(|s| code_scan::has_candidates(s, map));
    let bounds = if decodes { FunctionBounds::of_all(object, &frames()?) } else { BTreeMap::new() };
    let (mut scan, plain) = places(object, map, files, record, &bounds, &|_, _| false);
    scan.insert(plain.places());
    Ok(scan)
}

/// All but what needs nothing but bounds. Code without any has no candidates, and is not decoded.
fn places<'d>(
    object: &ObjectFile<'d>,
    map: &SessionMap,
    files: &dyn Files,
    record: &Record,
    bounds: &BTreeMap<SectionId, FunctionBounds<'d>>,
    wanted: &(dyn Fn(&Section<'_>, &Relocation) -> bool + Sync),
) -> (Scan<'d>, PlainConstants) {
    let sections: Vec<&Section<'_>> = object.sections.iter().filter(|s| holds_program_bytes(s)).collect();
    let found: Vec<CodeFound> = sections
        .par_iter()
        .map(|section| match bounds.get(&section.id) {
            Some(bounds) => code_scan::scan_code(object, section, bounds, map, wanted),
            None if section.exec => CodeFound::default(),
            None => CodeFound { places: data_words(section, map), ..CodeFound::default() },
        })
        .collect();

    let mut scan = Scan::default();
    let mut all_plain = PlainConstants { form: object.machine.arch().plain_form(), sections: Vec::new() };
    for (section, found) in sections.iter().zip(found) {
        let CodeFound { mut places, mut plain, fields, accesses, sensitivities, halves } = found;
        plain.retain(|p| !record.covers(section.id, all_plain.form.offset(p)));
        if !plain.is_empty() {
            all_plain.sections.push((section.id, plain));
        }
        scan.fields.extend(section.id, fields);
        scan.sensitivities.extend(section.id, sensitivities);
        places.extend(addends(object, section, map, &scan.fields));
        places.retain(|p| !record.covers(section.id, p.offset));
        scan.numbers.extend(places.extract_if(.., |place| !is_settled(place, map, files)));
        places.sort_by_key(|p| p.offset);
        scan.places.extend(places);
        scan.halves.extend(halves.into_iter().filter(|pair| !record.covers(section.id, pair.low.offset)));
        let here = |offset| (section.id, offset);
        scan.accesses.extend(accesses.into_iter().map(|(word, accesses)| (here(word), accesses)));
    }
    let known: HashSet<(SectionId, u64)> = scan.places.iter().map(|p| (p.section, p.offset)).collect();
    let spelled = spelled_words(object).into_iter();
    scan.places.extend(
        spelled.filter(|p| !known.contains(&(p.section, p.offset)) && !record.covers(p.section, p.offset)),
    );
    scan.places.sort_by_key(|p| (p.section, p.offset));
    scan.places.extend(absolute_symbols(object, map));
    (scan, all_plain)
}

/// Settles what a 32-bit operand is; `false`: a number, for all that is known.
fn is_settled(place: &mut Place, map: &SessionMap, files: &dyn Files) -> bool {
    let Shape::Doubtful { start, length, form } = place.shape else {
        return true;
    };
    match (map.small_address(place.value, files), form) {
        // A distance from a register leads from an object's start only by chance.
        (SmallAddress::Exact, OperandForm::Immediate32 | OperandForm::Scaled32) => {
            place.shape = Shape::Instruction { start, length, form };
            true
        }
        (SmallAddress::Exact | SmallAddress::Inside, _) => true,
        // With an index and no base it is either the start of a table or arithmetic.
        (SmallAddress::Other, form) => form == OperandForm::Scaled32 && map.is_session_constant(place.value),
    }
}

/// Aligned words of a data section.
fn data_words(section: &Section<'_>, map: &SessionMap) -> Vec<Place> {
    let words = section.data.chunks_exact(8).enumerate();
    words
        .filter_map(|(i, bytes)| {
            let value = bytes.iter().rev().fold(0u64, |w, &b| w << 8 | u64::from(b));
            let offset = i as u64 * 8;
            let found = value != 0 && map.is_session_constant(value) && !section.is_relocated(offset, 8);
            // Numbers are as small as the addresses of a process at a fixed address.
            let certain = u32::try_from(value).is_err() || map.is_exact_address(value);
            let shape = if certain { Shape::DataWord } else { Shape::DoubtfulWord };
            found.then_some(Place { section: section.id, offset, width: 8, value, shape })
        })
        .collect()
}

/// Relocations that yield a session address without naming a symbol.
fn addends(
    object: &ObjectFile<'_>,
    section: &Section<'_>,
    map: &SessionMap,
    fields: &ByPlace<Field>,
) -> Vec<Place> {
    let mut places = Vec::new();
    for relocation in section.relocations() {
        let symbol = object.symbol(relocation.symbol);
        let base = match symbol.place {
            _ if relocation.symbol.0 == 0 => 0,
            SymbolPlace::Absolute => symbol.value,
            SymbolPlace::Undefined | SymbolPlace::Common | SymbolPlace::Section(_) => continue,
        };
        let Some(width) = relocation.kind.width() else {
            continue;
        };
        let value = base.wrapping_add(relocation.addend as u64);
        let value = match relocation.kind {
            RelocKind::Pc32 | RelocKind::Plt32 | RelocKind::Pc64 if section.exec => {
                // The field counts from its own start, the instruction's target from the next instruction: behind
                // the field there is an immediate at most.
                let rest = match fields.get(section.id, relocation.offset) {
                    Some(f) => Some(f.start + u64::from(f.length) - relocation.offset),
                    None => (0..=8).find(|rest| map.is_session_constant(value.wrapping_add(*rest))),
                };
                value.wrapping_add(rest.unwrap_or(0))
            }
            RelocKind::Abs64
            | RelocKind::Abs32
            | RelocKind::Abs32Signed
            | RelocKind::Pc32
            | RelocKind::Plt32
            | RelocKind::Pc64
            | RelocKind::GotOff64
            | RelocKind::PltOff64 => value,
            // An entry of the table holds the symbol's value: that is a place of its own. Nothing else is an address.
            RelocKind::None
            | RelocKind::Abs16
            | RelocKind::Abs8
            | RelocKind::Pc16
            | RelocKind::Pc8
            | RelocKind::Got32
            | RelocKind::Got64
            | RelocKind::GotBase32
            | RelocKind::GotBase64
            | RelocKind::GotPc32
            | RelocKind::GotPc32Relax
            | RelocKind::GotPc32RelaxRex
            | RelocKind::GotPc64
            | RelocKind::Size32
            | RelocKind::Size64
            | RelocKind::ThreadLocal(..)
            | RelocKind::Unknown(_) => continue,
        };
        if map.is_session_constant(value) {
            places.push(Place {
                section: section.id,
                offset: relocation.offset,
                width: width as u8,
                value,
                shape: Shape::Addend(relocation),
            });
        }
    }
    places
}

/// Absolute symbols whose value is a session address.
fn absolute_symbols(object: &ObjectFile<'_>, map: &SessionMap) -> Vec<Place> {
    let absolute = object.symbols.iter().filter(|s| s.place == SymbolPlace::Absolute);
    absolute
        .filter(|s| map.is_session_constant(s.value))
        .map(|s| Place {
            section: SectionId(0),
            offset: 0,
            width: 8,
            value: s.value,
            shape: Shape::AbsoluteSymbol(s.id),
        })
        .collect()
}

/// Whether that relocation puts an address where position-independent output cannot have one, or where it
/// makes read-only memory writable at load.
pub fn needs_lowering(section: &Section<'_>, relocation: &Relocation) -> bool {
    let read_only = section.exec || !section.write;
    let narrow = matches!(relocation.kind, RelocKind::Abs32 | RelocKind::Abs32Signed);
    section.alloc && relocation.kind.is_absolute() && (read_only || narrow)
}

/// Whether the section is one of those whose absolute relocations [`crate::unwind_tables`] lowers.
pub fn is_unwind_section(section: &Section<'_>) -> bool {
    matches!(section.kind, SectionKind::EhFrame | SectionKind::ExceptTable)
}

/// Whether 32-bit operands can hold addresses of the session at all.
pub(crate) fn has_low_addresses(map: &SessionMap, machine: Machine) -> bool {
    map.ranges().iter().any(|range| machine.arch().is_in_reach_of_32_bits(range))
}
