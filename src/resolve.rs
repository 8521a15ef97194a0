//! What every place means, or why that is not known. Nothing is decided here about how it gets there.

use std::sync::Arc;

use foldhash::HashMap;

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
    let mut known: HashMap<u64, Arc<Meaning>> = HashMap::default();
    let mut resolved = Vec::with_capacity(scan.places.len());
    for place in &scan.places {
        let meaning = match known.get(&place.value) {
            Some(meaning) => Arc::clone(meaning),
            None => {
                let meaning = Arc::new(map.meaning(place.value, files, private)?);
                known.insert(place.value, Arc::clone(&meaning));
                meaning
            }
        };
        resolved.push(Resolved { place: *place, meaning, evidence: Evidence::Map });
    }
    Ok(resolved)
}
