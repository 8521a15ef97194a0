//! Distances between two things of the session that lie apart, where the map shows them: code that holds the address of
//! one, and by a number that it adds reaches the other. In another process they lie otherwise. A witness in which the two
//! have moved by different distances makes such a number a place; any other that is seen is refused.

use std::sync::Arc;

use rayon::prelude::*;

use crate::Options;
use crate::error::{Problem, Result};
use crate::object_code::{ObjectCode, number_of, place_of};
use crate::object_file::{ObjectFile, SectionId};
use crate::resolve::Resolved;
use crate::scan::{Scan, Shape};
use crate::session_map::{Files, Meaning, SessionMap};

/// Finds numbers that lead from a value to another thing, or from another thing to a value.
///
/// # Errors
/// An image that is needed to see what an address means and cannot be read.
pub(crate) fn examine(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    options: &Options<'_>,
    scan: &Scan<'_>,
    code: &ObjectCode<'_>,
    resolved: &[Resolved],
) -> Result<Vec<Problem>> {
    if !are_shown(map) {
        return Ok(Vec::new());
    }
    let arch = object.machine.arch();
    let mut fields: Vec<(SectionId, u64)> =
        resolved.iter().map(|r| (r.place.section, r.place.offset)).collect();
    fields.sort_unstable();
    let from = |resolved: &Resolved| -> Result<Vec<Problem>> {
        let Resolved { place, meaning, .. } = resolved;
        let Shape::Instruction { start, .. } = place.shape else { return Ok(Vec::new()) };
        let Some(start) = number_of(place.section, start) else { return Ok(Vec::new()) };
        let mut problems = Vec::new();
        for distance in arch.distances(code, start) {
            let (section, at) = place_of(distance.instruction);
            let end = at + u64::from(distance.length);
            let reached = place.value.wrapping_add(distance.bytes as u64);
            let next = fields.get(fields.partition_point(|field| *field < (section, at)));
            let is_place = next.is_some_and(|field| *field < (section, end));
            if is_place || !map.is_session_constant(reached) {
                continue;
            }
            let other = map.meaning(reached, files, options.private)?;
            if !is_another(map, place.value, meaning, reached, &other) {
                continue;
            }
            let message = format!(
                "reaches {} ({reached:#x}) from {} ({:#x}) by the distance that they had in the session; compile with \
                 -disable-constant-hoisting, or give a witness in which they are at another distance",
                other.text(map),
                meaning.text(map),
                place.value
            );
            problems.push(Problem {
                file: object.name.to_owned(),
                at: Some(scan.at(object, section, at)),
                message,
            });
        }
        Ok(problems)
    };
    let found: Result<Vec<Vec<Problem>>> = resolved.par_iter().map(from).collect();
    Ok(found?.concat())
}

/// Whether a map can show any: one of the two things is a value, since in libraries names do not tell how far each goes.
pub(crate) fn are_shown(map: &SessionMap) -> bool {
    map.values.iter().any(|value| value.address.is_some())
}

/// Whether numbers count from the constant of the instruction at an offset.
pub(crate) fn count_from(
    object: &ObjectFile<'_>,
    code: &ObjectCode<'_>,
    section: SectionId,
    start: u64,
) -> bool {
    let Some(start) = number_of(section, start) else { return true };
    object.machine.arch().distances(code, start).iter().any(|distance| distance.bytes != 0)
}

/// Whether an address is of another thing than the one it was reached from.
fn is_another(map: &SessionMap, from: u64, of: &Arc<Meaning>, reached: u64, other: &Meaning) -> bool {
    match (&**of, other) {
        (Meaning::Value(one, _), Meaning::Value(other, _)) if one == other => false,
        // Its own end, or what lies behind where it is not known how far it goes.
        (Meaning::Value(one, _), Meaning::Value(..) | Meaning::Symbol { offset: 0, .. }) => {
            let value = &map.values[one.0 as usize];
            let end = value.address.unwrap_or(from).wrapping_add(value.size);
            value.size > 0 && reached != end
        }
        (Meaning::Symbol { .. }, Meaning::Value(..)) => true,
        _ => false,
    }
}
