//! What every place means, or why that is not known. Nothing is decided here about how it gets there.

use std::collections::HashMap;

use crate::error::Result;
use crate::scan::{Place, Scan};
use crate::session_map::{Files, Meaning, SessionMap};

/// A place and what it means.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The place.
    pub place: Place,
    /// What its constant means.
    pub meaning: Meaning,
}

/// Looks up the constant of every place, each number once.
///
/// # Errors
/// A file that the session map names and that is needed, but is missing, malformed or another one.
pub fn resolve(scan: &Scan<'_>, map: &SessionMap, files: &dyn Files) -> Result<Vec<Resolved>> {
    let mut known: HashMap<u64, Meaning> = HashMap::new();
    let mut resolved = Vec::with_capacity(scan.places.len());
    for place in &scan.places {
        let meaning = match known.get(&place.value) {
            Some(meaning) => meaning.clone(),
            None => {
                let meaning = map.meaning(place.value, files)?;
                known.insert(place.value, meaning.clone());
                meaning
            }
        };
        resolved.push(Resolved { place: *place, meaning });
    }
    Ok(resolved)
}
