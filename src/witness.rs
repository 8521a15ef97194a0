//! What the same code, compiled in another session, shows: which places are none, which there are that no map
//! shows, and whether anything is left that neither explains. From here on all places and meanings are fixed.

mod comparison;
mod derive;
mod differences;
mod halves;
mod ignored;
mod movement;
mod shape;

use std::collections::BTreeSet;

pub use ignored::Ignored;

use crate::Options;
use crate::code_scan::HalfPair;
use crate::error::{Error, Problem, Result};
use crate::object_file::ObjectFile;
use crate::resolve::Resolved;
use crate::scan::{Place, Scan, Shape};
use crate::session_map::{Files, SessionMap};
use comparison::Comparison;
use movement::Movement;

/// The same code, compiled in another session.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'a> {
    /// The object of that session.
    pub object: &'a ObjectFile<'a>,
    /// What that session's addresses meant.
    pub map: &'a SessionMap,
    /// It is accepted even if it proves nothing.
    pub allow_weak: bool,
}

/// How much a witness proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// There is none.
    NoWitness,
    /// Nothing: it was accepted all the same.
    None,
    /// That every byte that differs is explained; but something did not move, moved as something else did, or was
    /// declared harmless.
    Partial,
    /// That every constant that depends on the session is known.
    Full,
}

impl Proof {
    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Proof::NoWitness => "no witness",
            Proof::None => "none",
            Proof::Partial => "partial",
            Proof::Full => "full",
        }
    }
}

/// What is known when the witness has been heard, if there is one.
#[derive(Debug)]
pub(crate) struct Testimony {
    /// All places, in the order of the scan.
    pub(crate) resolved: Vec<Resolved>,
    /// What looked like a place and is none.
    pub(crate) dismissed: Vec<Place>,
    /// What may be an address in two halves, and nothing says whether.
    pub(crate) halves: Vec<HalfPair>,
    /// What is contradicted or cannot be explained.
    pub(crate) problems: Vec<Problem>,
    /// How much is proven.
    pub(crate) proof: Proof,
    /// Groups of memory that moved by one distance.
    pub(crate) moved_alike: Vec<Vec<String>>,
    /// What was found to be harmless.
    pub(crate) notes: Vec<String>,
}

/// Hears the witness of the options, if there is one, and applies what is to be ignored.
///
/// # Errors
/// A witness that proves nothing and is not accepted all the same, and images that cannot be used.
pub(crate) fn examine(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    options: &Options<'_>,
    scan: &Scan<'_>,
    resolved: Vec<Resolved>,
) -> Result<Testimony> {
    let mut testimony = Testimony {
        resolved: Vec::with_capacity(resolved.len()),
        dismissed: Vec::new(),
        halves: Vec::new(),
        problems: Vec::new(),
        proof: Proof::NoWitness,
        moved_alike: Vec::new(),
        notes: Vec::new(),
    };
    let mut used = BTreeSet::new();
    for found in resolved {
        match ignoring(object, &options.ignore, &found.place) {
            Some(index) => {
                used.insert(index);
                testimony.dismissed.push(found.place);
            }
            None => testimony.resolved.push(found),
        }
    }
    for pair in &scan.halves {
        let places = [pair.low, pair.high];
        match places.iter().find_map(|place| ignoring(object, &options.ignore, place)) {
            Some(index) => {
                used.insert(index);
                testimony.dismissed.extend(places);
            }
            None => testimony.halves.push(*pair),
        }
    }
    if let Some(first) = scan.numbers.first().filter(|_| options.witness.is_none()) {
        let at = scan.at_place(object, first);
        let rest = match scan.numbers.len() - 1 {
            0 => String::new(),
            more => format!(", as are {more} more"),
        };
        testimony.notes.push(format!(
            "{}: {at}: {:#x} is taken for a number, although the session had memory there, of which nothing says what it \
             was{rest}; a witness would tell",
            object.name, first.value
        ));
    }
    if let Some(witness) = &options.witness {
        testimony = hear(object, map, files, options, scan, witness, testimony, &mut used)?;
    }
    halves::refuse(object, map, files, options, scan, &mut testimony)?;
    for (index, ignored) in options.ignore.iter().enumerate() {
        if !used.contains(&index) {
            let note = format!("{}: `--ignore {ignored}` covers nothing that was found", object.name);
            testimony.notes.push(note);
        }
    }
    Ok(testimony)
}

/// Which of the entries says that a place is none. What an instruction loads as an address is one.
fn ignoring(object: &ObjectFile<'_>, ignore: &[Ignored], place: &Place) -> Option<usize> {
    let perhaps = matches!(
        place.shape,
        Shape::DataWord | Shape::DoubtfulWord | Shape::PoolWord | Shape::Ambiguous | Shape::Doubtful { .. }
    );
    let field = place.offset..place.offset + u64::from(place.width);
    let name = object.section(place.section).name;
    ignore.iter().position(|ignored| perhaps && ignored.covers(name, &field))
}

#[expect(clippy::too_many_arguments, reason = "a stage takes what the stages before it made")]
fn hear(
    object: &ObjectFile<'_>,
    map: &SessionMap,
    files: &dyn Files,
    options: &Options<'_>,
    scan: &Scan<'_>,
    witness: &Witness<'_>,
    testimony: Testimony,
    used: &mut BTreeSet<usize>,
) -> Result<Testimony> {
    let weak = |why: &str| match witness.allow_weak {
        true => Ok(()),
        false => Err(Error::refused(
            witness.object.name,
            format!(
                "proves nothing as a witness: {why}; compile the same code in another process, whose libraries and heap \
                 lie elsewhere, or accept it with --allow-weak-witness"
            ),
        )),
    };
    let nothing = |mut testimony: Testimony, why: &str| {
        testimony.proof = Proof::None;
        testimony.notes.push(format!("{}: proves nothing as a witness: {why}", witness.object.name));
        testimony
    };
    if let Some(difference) = shape::difference(object, witness.object) {
        let why = format!(
            "it is not the same code: {difference} (LLVM makes other code for other addresses unless it is run with \
             -disable-constant-hoisting)"
        );
        weak(&why)?;
        return Ok(nothing(testimony, &why));
    }
    let movement = Movement::between(map, witness.map);
    let mut comparison = Comparison {
        object,
        map,
        files,
        private: options.private,
        scan,
        witness,
        movement: &movement,
        ignore: &options.ignore,
        testimony,
    };
    if comparison.is_equal() && !comparison.testimony.resolved.is_empty() {
        let why = "no byte differs, although there are addresses";
        weak(why)?;
        return Ok(nothing(comparison.testimony, why));
    }
    let still = !movement.any();
    if still {
        weak("nothing that both session maps name lay elsewhere")?;
    }
    let doubts = comparison.places()? | comparison.differences(used);
    comparison.halves()?;
    comparison.names();

    let mut testimony = comparison.testimony;
    testimony.moved_alike = movement.alike();
    let complete = !doubts && !movement.some_stayed() && testimony.moved_alike.is_empty();
    testimony.proof = if complete { Proof::Full } else { Proof::Partial };
    if still {
        testimony = nothing(testimony, "nothing that both session maps name lay elsewhere");
    }
    testimony.resolved.sort_by_key(|r| {
        // Absolute symbols come last, as the scan has them.
        let last = matches!(r.place.shape, Shape::AbsoluteSymbol(_));
        (last, r.place.section, r.place.offset)
    });
    Ok(testimony)
}
