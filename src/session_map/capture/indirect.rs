//! The implementations of indirect functions that a process has chosen, and the public name of each. The process's own
//! bound words tell: a word for a name holds the implementation, and a word for a resolver what it answered. What is
//! contradicted or has two names that mean different functions gets none.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::images::{Loaded, VDSO};
use super::{Process, Repeat};
use crate::session_map::bindings::{Bound, Jump, Reference, Word};
use crate::session_map::{SessionMap, SessionSymbol, loaded};

/// An indirect function: which image's, and its resolver there. All its aliases are one.
pub(super) type Function = (usize, u64);

/// Which addresses were found to be a function's implementation: one, if nothing contradicts it.
pub(super) type Implementations = BTreeMap<Function, BTreeSet<u64>>;

/// Different functions that may share an implementation, where it can do what both do: the first one is a case of
/// the second (C11 7.24.2.1 and 7.24.2.2), which elsewhere may be more than the first.
const CASES: [(&str, &str); 3] = [
    ("memcpy", "memmove"),
    ("__memcpy_chk", "__memmove_chk"),
    // What is left to them where lld made a stub the function itself.
    ("__new_memcpy", "__libc_memmove"),
];

/// Reads every word that was bound to an indirect function.
pub(super) fn bound(process: &dyn Process, map: &SessionMap, images: &[Loaded]) -> Implementations {
    let mut found = Implementations::new();
    let indirect: HashSet<&str> =
        images.iter().flat_map(|i| i.image.indirect_functions()).map(|(name, _)| name).collect();
    for (index, holder) in images.iter().enumerate() {
        let [bias] = holder.biases[..] else {
            continue;
        };
        for word in &holder.bindings.words {
            let function = match &word.bound {
                Bound::Resolver(resolver) => Some((index, *resolver)),
                Bound::Name(reference) if indirect.contains(reference.name.as_str()) => {
                    let definer = definer(images, reference);
                    definer.and_then(|(index, resolver)| Some((index, resolver?)))
                }
                Bound::Name(_) => None,
            };
            let Some(function) = function else {
                continue;
            };
            let mut bytes = [0; 8];
            if process.read(bias.wrapping_add(word.address), &mut bytes).is_err() {
                continue;
            }
            let now = u64::from_le_bytes(bytes);
            let lazy = now == word.before || now == bias.wrapping_add(word.before);
            if !lazy && may_implement(map, &images[function.0], now) {
                found.entry(function).or_default().insert(now);
            }
        }
    }
    found
}

/// Which image defines what a reference means, and the resolver if it is an indirect function. `None`: no one does, or
/// another version than a reference without one gets, or several do, of which the order of loading chose.
fn definer(images: &[Loaded], reference: &Reference) -> Option<(usize, Option<u64>)> {
    let exports =
        images.iter().enumerate().filter_map(|(i, loaded)| Some((i, loaded.image.export(&reference.name)?)));
    let mut exports = exports.fuse();
    let (index, export) = exports.next()?;
    let same_version = match (&reference.version, export.version) {
        (Some(wanted), Some(version)) => wanted == version,
        _ => true,
    };
    let single = exports.next().is_none() && images[index].biases.len() == 1;
    (single && same_version).then_some((index, export.indirect.then_some(export.address)))
}

/// Whether an address can be an implementation that an image's resolver chose: code of its own, or of the kernel.
/// What a library has a name for needs no other; a program's names for it are those of the libc that is in it.
pub(super) fn may_implement(map: &SessionMap, definer: &Loaded, address: u64) -> bool {
    let Some(mapping) = map.mapping_at(address).map(|i| &map.mappings[i]) else {
        return false;
    };
    let code = loaded::executable(mapping) != Some(false);
    let own = mapping.path.as_deref() == Some(&definer.path);
    let named = |bias: &u64| definer.image.name_at(address.wrapping_sub(*bias)).is_some();
    let named = definer.library().is_some() && definer.biases.iter().any(named);
    code && (own && !named || mapping.path.as_deref() == Some(VDSO))
}

/// The names of the implementations, and of the stubs that stand for functions.
pub(super) fn symbols(
    images: &[Loaded],
    implementations: &Implementations,
    repeats: &mut Vec<Repeat>,
    warnings: &mut Vec<String>,
) -> Vec<SessionSymbol> {
    let mut by_address: BTreeMap<u64, Vec<Function>> = BTreeMap::new();
    for (function, addresses) in implementations {
        if let Some(address) = addresses.first().filter(|_| addresses.len() == 1) {
            by_address.entry(*address).or_default().push(*function);
        }
    }
    let names: Vec<Vec<(&str, u64)>> = images.iter().map(Loaded::indirect_functions).collect();
    let stubs: Vec<Stubs> = images.iter().map(Stubs::of).collect();
    let name = |function: &Function| {
        let (name, _) = names[function.0].iter().find(|(_, resolver)| *resolver == function.1)?;
        Some((*name, *function))
    };
    let mut symbols = Vec::new();
    for (address, functions) in by_address {
        let mut names: Vec<(&str, Function)> = functions.iter().filter_map(name).collect();
        let all = names.clone();
        names.retain(|(name, _)| {
            let more = CASES.iter().find(|(case, _)| case == name).map(|(_, more)| *more);
            more.is_none_or(|more| !all.iter().any(|(other, _)| *other == more))
        });
        match names[..] {
            [(name, (image, resolver))] => {
                let place = stubs[image].before_implementation(resolver);
                symbols.extend(named(address, name, images[image].library(), place, repeats));
            }
            [] => {}
            _ => {
                let names: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
                warnings.push(format!(
                    "{address:#x} is the implementation of different functions ({}): it gets no name",
                    names.join(", ")
                ));
            }
        }
    }
    symbols
}

/// What the stubs of programs at a fixed address are called: by the function's name, since to everyone who asks the
/// program for the function's address it gives the stub's.
pub(super) fn stubs(images: &[Loaded], repeats: &mut Vec<Repeat>) -> Vec<SessionSymbol> {
    let mut symbols = Vec::new();
    for image in images {
        let [bias] = image.biases[..] else {
            continue;
        };
        for (reference, address) in &image.bindings.stubs {
            if definer(images, reference).is_some() {
                let (address, name) = (bias.wrapping_add(*address), reference.name.clone());
                symbols.push(SessionSymbol { address, name, size: 0, library: None, align: 1 });
            }
        }
        let functions = image.indirect_functions();
        let stubs = Stubs::of(image);
        for (resolver, entries) in &stubs.0 {
            let Some((name, _)) = functions.iter().find(|(_, known)| known == resolver) else {
                continue;
            };
            let implementation = stubs.before_implementation(*resolver);
            let places = (0..).filter(|place| *place != implementation);
            for (jump, place) in entries.iter().zip(places) {
                symbols.extend(named(bias.wrapping_add(jump.entry), name, None, place, repeats));
            }
        }
    }
    symbols
}

/// An address of a function: its first one has its name.
fn named(
    address: u64,
    name: &str,
    library: Option<String>,
    place: usize,
    repeats: &mut Vec<Repeat>,
) -> Option<SessionSymbol> {
    let name = name.to_owned();
    if place == 0 {
        return Some(SessionSymbol { address, name, size: 0, library, align: 1 });
    }
    repeats.push(Repeat { address, symbol: name, number: place + 1 });
    None
}

/// In a program without a dynamic linker, an indirect function has many addresses: that of the implementation, where
/// code reads it from the global offset table, and that of a stub for each alias. No table says which alias has which
/// stub; they all do the same. The first address is one that the program uses: of a stub whose address is in its code,
/// else of the implementation.
struct Stubs<'a>(BTreeMap<u64, Vec<&'a Jump>>);

impl<'a> Stubs<'a> {
    /// By resolver, in their order.
    fn of(image: &'a Loaded) -> Self {
        let resolver = |word: &Word| match word.bound {
            Bound::Resolver(resolver) => Some((word.address, resolver)),
            Bound::Name(_) => None,
        };
        let words: HashMap<u64, u64> = image.bindings.words.iter().filter_map(resolver).collect();
        let mut entries: BTreeMap<u64, Vec<&Jump>> = BTreeMap::new();
        for jump in &image.bindings.jumps {
            // Linkers other than GNU ld make some of these the functions themselves.
            let named = matches!(image.image.name_at(jump.entry), Some((_, 0)));
            if let Some(resolver) = words.get(&jump.word).filter(|_| !named) {
                entries.entry(*resolver).or_default().push(jump);
            }
        }
        for stubs in entries.values_mut() {
            stubs.sort_by_key(|jump| (!jump.taken, jump.entry));
        }
        Stubs(entries)
    }

    /// How many stubs come before the implementation.
    fn before_implementation(&self, resolver: u64) -> usize {
        self.0.get(&resolver).map_or(0, |stubs| stubs.iter().filter(|jump| jump.taken).count())
    }
}
