//! Symbols whose names spell the address that they hold, as Numba's do: no map is needed to know that such a word is
//! of a session.

use crate::object_file::{ObjectFile, SectionKind, SymbolPlace, SymbolType};
use crate::scan::{Place, Shape};

/// A shorter number in a name is a counter or a size.
const LEAST: u64 = 1 << 32;

/// Words that a symbol's name spells, wherever no relocation covers them.
pub(crate) fn spelled_words(object: &ObjectFile<'_>) -> Vec<Place> {
    let mut places: Vec<Place> = object
        .symbols
        .iter()
        .filter(|symbol| !matches!(symbol.kind, SymbolType::Section | SymbolType::File))
        .filter_map(|symbol| {
            let SymbolPlace::Section(section) = symbol.place else { return None };
            let home = object.section(section);
            if !home.alloc || home.exec || home.kind != SectionKind::Contents {
                return None;
            }
            let start = usize::try_from(symbol.value).ok()?;
            let word = home.data.get(start..start.checked_add(8)?)?;
            let value = word.iter().rev().fold(0u64, |w, &b| w << 8 | u64::from(b));
            let found = value >= LEAST && spells(symbol.name, value) && !home.is_relocated(symbol.value, 8);
            found.then_some(Place { section, offset: symbol.value, width: 8, value, shape: Shape::DataWord })
        })
        .collect();
    places.sort_by_key(|place| (place.section, place.offset));
    places.dedup_by_key(|place| (place.section, place.offset));
    places
}

/// Whether a name contains a number, in hexadecimal or decimal digits that nothing continues.
pub(crate) fn spells(name: &str, value: u64) -> bool {
    let hexadecimal = name.split(|c: char| !c.is_ascii_hexdigit());
    let decimal = name.split(|c: char| !c.is_ascii_digit());
    hexadecimal.filter_map(|digits| u64::from_str_radix(digits, 16).ok()).any(|n| n == value)
        || decimal.filter_map(|digits| digits.parse().ok()).any(|n: u64| n == value)
}

#[cfg(test)]
mod tests {
    use super::spells;

    #[test]
    fn a_number_is_spelled_whole_or_not_at_all() {
        assert!(spells("numba.dynamic.globals.7f396b7aead0", 0x7f396b7aead0));
        assert!(spells("numba.dynamic.globals.7f396b7aead0.1", 0x7f396b7aead0));
        assert!(spells("ptr_0x7F396B7AEAD0", 0x7f396b7aead0));
        assert!(spells("ptr_139884420721360", 139884420721360));
        assert!(!spells("numba.dynamic.globals.7f396b7aead01", 0x7f396b7aead0));
        assert!(!spells("main", 0x7f396b7aead0));
    }
}
