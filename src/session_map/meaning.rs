//! What a session-specific constant means (SPEC 5): what the maps say first, then the mapped images, else why
//! it has no meaning and what to do about it. And the inverse, for symbols.

use super::loaded::{self, Located};
use super::{Anchor, Files, Meaning, SessionMap, ValueId, is_canonical};
use crate::Private;
use crate::error::Result;

/// What to do about an address that has no meaning.
const REMEDY: &str = "; give it a value or a symbol in the session map";

impl SessionMap {
    /// What a session-specific constant means; images are opened where their symbols are needed. `private` says
    /// what becomes of an address in a mapped file that no name covers.
    ///
    /// # Errors
    /// A file that is needed and is missing, malformed or has another build-id.
    pub fn meaning(&self, constant: u64, files: &dyn Files, private: Private) -> Result<Meaning> {
        if let Ok(index) = self.constants.binary_search_by_key(&constant, |(number, _)| *number) {
            return Ok(Meaning::Constant(index));
        }
        if constant == 0 || !is_canonical(constant) {
            return Ok(Meaning::Unresolved("is no address".into()));
        }
        if let Some((id, value)) = self.value_at(constant) {
            let offset = constant.wrapping_sub(value.address.unwrap_or(constant)) as i64;
            return Ok(Meaning::Value(ValueId(id), offset));
        }

        // An offset into a function is refused further down, unless an image has a name right there.
        let mut why = None;
        if let Some(symbol) = self.symbol_at(constant) {
            let mut others = self.symbols_named(symbol.name).filter(|s| s.library == symbol.library);
            if let Some(other) = others.find(|s| s.address != symbol.address) {
                let (name, one, other) = (symbol.name, symbol.address, other.address);
                return Ok(Meaning::Unresolved(format!(
                    "is in `{name}`, which the session map has at {one:#x} and at {other:#x}: a linker would take one \
                     for both{REMEDY}"
                )));
            }
            let offset = constant - symbol.address;
            if offset == 0 || !self.is_library_code(constant, files)? {
                return Ok(Meaning::Symbol {
                    name: symbol.name.to_owned(),
                    offset: offset as i64,
                    library: symbol.library.map(str::to_owned),
                });
            }
            let name = symbol.name;
            why = Some(format!(
                "is {offset:#x} bytes into the function `{name}`: only a function's start has a name"
            ));
        } else if let Some((symbol, reason)) = self.unbound_at(constant) {
            why = Some(match constant - symbol.address {
                0 => format!("is `{}`, {reason}", symbol.name),
                offset => format!("is {offset:#x} bytes into `{}`, {reason}", symbol.name),
            });
        }

        match self.locate(constant, files) {
            Ok(Located::Image { path, image, address }) => {
                let reason = match (image.name_at(address), why) {
                    (Some((_, 1..)), Some(why)) | (None, Some(why)) => why,
                    (Some((name, offset)), _) => {
                        return Ok(Meaning::Symbol {
                            name: name.to_owned(),
                            offset: offset as i64,
                            library: image.library(&path),
                        });
                    }
                    (None, None) => image.explain(address, &path, files),
                };
                let library = image.library(&path);
                let anchor = self.anchor(constant, &path, Some((&image, address)));
                Ok(private_meaning(anchor, library, reason, private))
            }
            Ok(Located::Other(reason)) => Ok(Meaning::Unresolved(why.unwrap_or(reason) + REMEDY)),
            // An anchor needs nothing of the file but its build-id.
            Err(error) => match (self.unread_anchor(constant, private), why) {
                (Some(meaning), _) => Ok(meaning),
                (None, Some(why)) => Ok(Meaning::Unresolved(why + REMEDY)),
                (None, None) => Err(error),
            },
        }
    }

    /// What an address in a file means that cannot be read, or is another one by now.
    fn unread_anchor(&self, constant: u64, private: Private) -> Option<Meaning> {
        let mapping = self.mapping_at(constant).map(|i| &self.mappings[i])?;
        let path = loaded::file_of(mapping).filter(|_| private == Private::Anchor)?;
        let anchor = self.anchor(constant, path, None).ok()?;
        // Whether it is a program only the file says; most libraries do by their name.
        let library = anchor.file.contains(".so").then(|| anchor.file.clone());
        let what = format!("is in {path}, which cannot be read as the session had it");
        Some(Meaning::Anchored { anchor, library, what })
    }

    /// Whether an address lies in code of a mapped file, where an offset from a function's name is not
    /// the same in another process: the name may bind to a PLT entry or an indirect function.
    fn is_library_code(&self, address: u64, files: &dyn Files) -> Result<bool> {
        let Some(mapping) = self.mapping_at(address).map(|i| &self.mappings[i]) else {
            return Ok(false);
        };
        // Code of a JIT may lie in shared memory, which has a path as well.
        if mapping.path.as_deref().is_none_or(loaded::is_pseudo) {
            return Ok(false);
        }
        match &mapping.perms {
            Some(perms) => Ok(perms.contains('x') && !perms.contains('w')),
            // The map does not say what the session could do there: the file does.
            None => Ok(match self.locate(address, files)? {
                Located::Image { image, address, .. } => {
                    image.segment(address).is_none_or(|s| s.executable && !s.writable)
                }
                Located::Other(_) => false,
            }),
        }
    }

    /// The session's address of an external symbol, for verification: the inverse of [`Self::meaning`].
    /// `None`: nothing has that name, or several things that `library` does not tell apart.
    pub fn address_of(&self, name: &str, library: Option<&str>, files: &dyn Files) -> Option<u64> {
        let named = || self.symbols_named(name);
        let ours: Vec<u64> = named().filter(|s| s.library == library).map(|s| s.address).collect();
        if let Some(found) = only(&ours) {
            return found;
        }
        // A symbol of the map that names no library may be of any.
        let any: Vec<u64> =
            named().filter(|s| library.is_none() || s.library.is_none()).map(|s| s.address).collect();
        if let Some(found) = only(&any) {
            return found;
        }

        let mut programs = Vec::new();
        let mut libraries = Vec::new();
        for path in self.image_paths(library) {
            let Ok(Some(image)) = self.image(path, files) else {
                continue;
            };
            let of = image.library(path);
            if library.is_some() && of.as_deref() != library {
                continue;
            }
            let addresses = image.addresses_of(name);
            if addresses.is_empty() {
                continue;
            }
            let biases = self.biases(path, &image);
            let there = biases.iter().flat_map(|bias| addresses.iter().map(|a| a.wrapping_add(*bias)));
            match of {
                None => programs.extend(there),
                Some(_) => libraries.extend(there),
            }
        }
        // A program's own symbols come before all libraries'.
        only(&programs).or_else(|| only(&libraries)).flatten()
    }

    /// Where the session had a library that it calls so.
    pub fn library_path(&self, library: &str, files: &dyn Files) -> Option<&str> {
        let paths = self.image_paths(Some(library));
        let names = |path: &&&str| match self.image(path, files) {
            Ok(image) => image.and_then(|i| i.library(path)).as_deref() == Some(library),
            // Then its name must do.
            Err(_) => loaded::file_name(path) == library,
        };
        paths.iter().find(names).copied()
    }

    /// Where the session had a library that it calls so, if its file had no name any more.
    pub fn deleted_library_path(&self, library: &str) -> Option<&str> {
        let paths =
            self.mappings.iter().filter_map(|mapping| mapping.path.as_deref()?.strip_suffix(loaded::DELETED));
        paths.into_iter().find(|path| loaded::file_name(path) == library)
    }

    /// Files that may be images, by address: those whose name is the library's, or all if none is.
    fn image_paths(&self, library: Option<&str>) -> Vec<&str> {
        let mut paths: Vec<&str> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for mapping in &self.mappings {
            if let Some(path) = loaded::file_of(mapping)
                && seen.insert(path)
            {
                paths.push(path);
            }
        }
        let is_library = |path: &&str| Some(loaded::file_name(path)) == library;
        match paths.iter().any(is_library) {
            true => paths.into_iter().filter(is_library).collect(),
            false => paths,
        }
    }
}

/// What an address is that is private to a file, for the `reason`.
fn private_meaning(
    anchor: Result<Anchor, String>,
    library: Option<String>,
    reason: String,
    private: Private,
) -> Meaning {
    match (anchor, private) {
        (Ok(anchor), Private::Anchor) => Meaning::Anchored { anchor, library, what: reason },
        (Ok(_), Private::Error) => Meaning::Unresolved(format!(
            "{reason}{REMEDY}, or find it by the file's build-id with `--private anchor`"
        )),
        (Err(why), Private::Anchor) => {
            Meaning::Unresolved(format!("{reason}, and it cannot be anchored: {why}{REMEDY}"))
        }
        (Err(_), Private::Error) => Meaning::Unresolved(reason + REMEDY),
    }
}

/// The one address that all of them are: `None` if there is none, `Some(None)` if they differ.
fn only(addresses: &[u64]) -> Option<Option<u64>> {
    let first = addresses.first()?;
    Some(addresses.iter().all(|a| a == first).then_some(*first))
}
