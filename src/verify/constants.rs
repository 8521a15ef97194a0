//! Whether every constant is what its meaning was in the session: nothing is believed of how it was found.

use super::{Check, Verification};
use foldhash::HashMap;

use crate::error::Result;
use crate::resolve::Resolved;
use crate::session_map::{Meaning, Step};

/// A symbol's name, and its library's if that is known.
type SymbolName<'m> = (&'m str, Option<&'m str>);

impl Check<'_, '_> {
    /// The constants are what the session's addresses give for their meaning.
    pub(super) fn constants(&self) -> Result<()> {
        let mut known = HashMap::default();
        for Resolved { place, meaning, .. } in self.verification.resolved {
            if matches!(**meaning, Meaning::Unresolved(_)) {
                continue;
            }
            let number = self.number(meaning, &mut known);
            // Of half an address an instruction takes 32 bits, and extends those as it does its own constant.
            let same = match &**meaning {
                Meaning::Derived { step: Step::Low, .. } if place.width == 4 => {
                    number.map(|n| n as u32) == Some(place.value as u32)
                }
                _ => number == Some(place.value),
            };
            if !same {
                let message = format!("what {:#x} means was {number:#x?} in the session", place.value);
                return self.error(place.section, place.offset, &message);
            }
        }
        Ok(())
    }

    /// What a meaning was in the session: what is derived is derived again, from where its base lay. `known` are the
    /// symbols that were looked up.
    fn number<'m>(
        &self,
        meaning: &'m Meaning,
        known: &mut HashMap<SymbolName<'m>, Option<u64>>,
    ) -> Option<u64> {
        let Verification { map, files, .. } = self.verification;
        Some(match meaning {
            Meaning::Value(id, offset) => map.values[id.0 as usize].address?.wrapping_add(*offset as u64),
            Meaning::Symbol { name, offset, library } => {
                let address = *known
                    .entry((name, library.as_deref()))
                    .or_insert_with(|| map.address_of(name, library.as_deref(), *files));
                address?.wrapping_add(*offset as u64)
            }
            Meaning::Anchored { anchor, .. } => map.address_of_anchor(anchor, *files)?,
            Meaning::Constant(index) => map.constants[*index].0,
            Meaning::Derived { base, step } => step.of(self.number(base, known)?),
            Meaning::Difference { to, from } => {
                self.number(to, known)?.wrapping_sub(self.number(from, known)?)
            }
            Meaning::Unresolved(_) => return None,
        })
    }
}
