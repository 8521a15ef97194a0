//! What the system's own C library chooses where the process's bound words do not tell: if the process runs the very
//! same library on the same processor with the same settings, it has chosen the same.

use std::collections::BTreeSet;

use super::Process;
use super::images::{Loaded, VDSO};
use super::indirect::{Function, Implementations, may_implement};
use crate::session_map::SessionMap;

/// The libraries that every program of a system runs with, so that asking them runs nothing new.
pub const ASKED: [&str; 2] = ["libc.so.6", "libm.so.6"];

/// Which implementations a library of the system is asked for.
#[derive(Debug)]
pub struct Question<'a> {
    /// One of [`ASKED`].
    pub library: &'a str,
    /// The environment variable `GLIBC_TUNABLES` of the process.
    pub tunables: Option<&'a str>,
    /// Indirect functions of the library.
    pub names: Vec<&'a str>,
}

/// An address, as it is in every process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The image's build-id.
    pub build_id: String,
    /// Bytes from the image's first.
    pub offset: u64,
}

/// What the library answers.
#[derive(Debug, Default)]
pub struct Answer {
    /// Functions and their implementations.
    pub functions: Vec<(String, Position)>,
    /// The state that the choice depends on: it must be the same in the process, all of it.
    pub state: Vec<(Position, Vec<u8>)>,
}

/// The C library of the system that this program runs on.
pub trait SystemLibraries: Sync {
    /// Asks a new process for implementations.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask(&self, question: &Question<'_>) -> Result<Answer, String>;
}

/// Adds what the system's libraries choose, and says of which libraries they cannot tell.
pub(super) fn add(
    process: &dyn Process,
    map: &SessionMap,
    images: &[Loaded],
    system: &dyn SystemLibraries,
    found: &mut Implementations,
) -> Vec<String> {
    let environment = process.environment().unwrap_or_default();
    let tunables =
        environment.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(b"GLIBC_TUNABLES="));
    let tunables = tunables.map(String::from_utf8_lossy);
    let mut warnings = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let functions = image.indirect_functions();
        // In a program linked with the C library, what is not bound is not in use.
        let Some(library) = image.library().filter(|_| !functions.is_empty()) else {
            continue;
        };
        let answered = if ASKED.contains(&library.as_str()) {
            let names = functions.iter().map(|(name, _)| *name).collect();
            let question = Question { library: &library, tunables: tunables.as_deref(), names };
            let answer = system.ask(&question);
            answer.and_then(|answer| believed(process, map, images, index, &answer, found))
        } else {
            Err("only the C library is asked".to_owned())
        };
        match answered {
            Ok(more) => found
                .extend(more.into_iter().map(|(function, address)| (function, BTreeSet::from([address])))),
            Err(why) => {
                let known = functions.iter().filter(|(_, resolver)| found.contains_key(&(index, *resolver)));
                let (known, all) = (known.count(), functions.len());
                if known < all {
                    warnings.push(format!(
                        "{}: of its {all} indirect functions {known} were bound and have a name: {why}",
                        image.path
                    ));
                }
            }
        }
    }
    warnings
}

/// The answers, if they hold for the process.
fn believed(
    process: &dyn Process,
    map: &SessionMap,
    images: &[Loaded],
    index: usize,
    answer: &Answer,
    found: &Implementations,
) -> Result<Vec<(Function, u64)>, String> {
    let image = &images[index];
    let here = |position: &Position| {
        let kernels = map.mappings.iter().find(|m| m.path.as_deref() == Some(VDSO));
        let kernels =
            kernels.filter(|m| m.build_id.as_ref() == Some(&position.build_id)).map(|m| m.range.start);
        let same = images.iter().find(|i| i.build_id() == Some(&position.build_id));
        let start = same.and_then(Loaded::start).or(kernels)?;
        start.checked_add(position.offset)
    };
    let of_library = |(_, position): &&(String, Position)| image.build_id() == Some(&position.build_id);
    if !answer.functions.iter().any(|function| of_library(&function)) {
        return Err("it is not this system's library, which could be asked for the others".to_owned());
    }
    if answer.state.is_empty() {
        return Err("this system's library does not tell what its choice depends on".to_owned());
    }
    for (position, expected) in &answer.state {
        let mut bytes = vec![0; expected.len()];
        let read = here(position).and_then(|address| process.read(address, &mut bytes).ok());
        if read.is_none() || bytes != *expected {
            return Err(
                "this system's library chooses for another processor or with other settings".to_owned()
            );
        }
    }
    let functions = image.indirect_functions();
    let mut believed = Vec::new();
    for (name, position) in &answer.functions {
        let resolver = functions.iter().find(|(known, _)| known == name).map(|(_, resolver)| *resolver);
        let (Some(resolver), Some(address)) = (resolver, here(position)) else {
            continue;
        };
        if let Some(bound) = found.get(&(index, resolver))
            && bound.iter().any(|bound| *bound != address)
        {
            return Err(format!("this system's library would choose another `{name}` than is bound"));
        }
        if may_implement(map, image, address) {
            believed.push(((index, resolver), address));
        }
    }
    Ok(believed)
}
