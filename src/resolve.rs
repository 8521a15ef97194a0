//! What every place means, or why that is not known. Nothing is decided here about how it gets there.

use std::sync::Arc;

use foldhash::HashMap;
use rayon::prelude::*;

use crate::Private;
use crate::error::Result;
use crate::scan::{Place, Scan};
use crate::session_map::{Files, Meaning, SessionMap};

/// A place and what it means.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The place.
    pub place: Place,
    /// What its constant means.
    pub meaning: Arc<Meaning>,
    /// What shows it.
    pub evidence: Evidence,
}

/// What shows that a place is one, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Its number is an address of the session.
    Map,
    /// It differs from the witness's, and both are addresses of the same thing.
    Witness,
    /// It differs from the witness's, and the same arithmetic makes both from addresses of the same thing.
    Derived,
}

impl Evidence {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Evidence::Map => "map",
            Evidence::Witness => "witness",
            Evidence::Derived => "derived",
        }
    }
}

/// Looks up the constant of every place, each number once.
///
/// # Errors
/// A file that the session map names and that is needed, but is missing, malformed or another one.
pub fn resolve(
    scan: &Scan<'_>,
    map: &SessionMap,
    files: &dyn Files,
    private: Private,
) -> Result<Vec<Resolved>> {
    let mut known: HashMap<u64, usize> = HashMap::default();
    known.reserve(scan.places.len());
    let mut values = Vec::new();
    let indices = scan.places.iter().map(|place| {
        *known.entry(place.value).or_insert_with(|| {
            values.push(place.value);
            values.len() - 1
        })
    });
    let indices: Vec<usize> = indices.collect();
    let meaning = |value: &u64| map.meaning(*value, files, private).map(Arc::new);
    let meanings: Vec<Result<Arc<Meaning>>> = values.par_iter().map(meaning).collect();
    // In the order of the places, whichever was looked up first.
    let meanings = meanings.into_iter().collect::<Result<Vec<_>>>()?;
    let resolved = scan.places.iter().zip(indices).map(|(place, index)| Resolved {
        place: *place,
        meaning: Arc::clone(&meanings[index]),
        evidence: Evidence::Map,
    });
    Ok(resolved.collect())
}
