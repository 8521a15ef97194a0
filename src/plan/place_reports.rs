//! What the report says of places.

use super::{Found, Planner};
use crate::report::{PlaceReport, TargetName, TargetReport};
use crate::resolve::Resolved;
use crate::scan::Shape;
use crate::session_map::Meaning;

impl Planner<'_> {
    /// What a place means.
    pub(super) fn target_report(&self, meaning: &Meaning) -> TargetReport {
        let map = self.found.map;
        match meaning {
            Meaning::Value(id, offset) => {
                let name = TargetName::Value(map.values[id.0 as usize].name.clone());
                TargetReport { name, offset: *offset }
            }
            Meaning::Symbol { name, offset, .. } => {
                TargetReport { name: TargetName::Symbol(name.clone()), offset: *offset }
            }
            Meaning::Anchored { anchor, .. } => {
                let name = TargetName::File(anchor.file.clone());
                TargetReport { name, offset: anchor.offset as i64 }
            }
            Meaning::Derived { .. } | Meaning::Difference { .. } => {
                TargetReport { name: TargetName::Expression(meaning.text(map)), offset: 0 }
            }
            Meaning::Constant(_) | Meaning::Unresolved(_) => {
                TargetReport { name: TargetName::Constant(meaning.text(map)), offset: 0 }
            }
        }
    }

    /// Everything but what becomes of it.
    pub(super) fn place_report(&self, resolved: &Resolved) -> PlaceReport {
        let Found { object, scan, .. } = self.found;
        let place = &resolved.place;
        let kind = match place.shape {
            Shape::DataWord | Shape::DoubtfulWord => "data",
            Shape::Addend(_) => "addend",
            Shape::AbsoluteSymbol(_) => "absolute-symbol",
            Shape::Instruction { .. } | Shape::PoolWord | Shape::Ambiguous | Shape::Doubtful { .. } => "code",
        };
        let symbol = match place.shape {
            Shape::AbsoluteSymbol(id) => Some(object.symbol(id).name.to_owned()),
            _ => None,
        };
        PlaceReport {
            section: place.home(object).to_owned(),
            symbol,
            offset: place.offset,
            kind: kind.to_owned(),
            width: place.width,
            value: place.value,
            reads: if place.shape == Shape::PoolWord {
                scan.reads(place.section, place.offset)
            } else {
                Vec::new()
            },
            function: scan.function(place.section, place.offset).map(str::to_owned),
            line: scan.lines.at(object, place.section, place.offset),
            target: None,
            delivery: String::new(),
            evidence: resolved.evidence.name().to_owned(),
            assumes_alignment: 1,
            reason: None,
            instruction: None,
        }
    }
}

/// What an address is that has no name and needs none.
pub(super) fn private_reason(meaning: &Meaning) -> Option<String> {
    match meaning {
        Meaning::Anchored { what, .. } => Some(what.clone()),
        Meaning::Derived { base, .. } => private_reason(base),
        Meaning::Difference { to, from } => private_reason(to).or_else(|| private_reason(from)),
        Meaning::Constant(_) | Meaning::Value(..) | Meaning::Symbol { .. } | Meaning::Unresolved(_) => None,
    }
}
