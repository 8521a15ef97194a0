//! A session map from a process itself: what it has mapped, and the names of what it holds that no file's symbol table
//! tells. Nothing is attached to or stopped: a [`Process`] is only read.

mod choices;
mod core_file;
mod gdb_interface;
mod images;
mod indirect;
mod jit_code;
mod jitdump;
mod memory_image;
#[cfg(test)]
mod memory_process;
mod needed;
mod text;
mod threads;

use std::io;
use std::path::PathBuf;

use super::{LOWEST_ADDRESS, Mapping, SessionMap, SessionSymbol};
use crate::Files;
use crate::arch::Machine;
use crate::error::{Error, ErrorKind, Result};

pub use choices::{ASKED, Answer, Position, Question, SystemLibraries};
pub use core_file::CoreFile;

/// A live process or what a core file kept of one: its mappings, its memory and where its files are.
pub trait Process: Sync {
    /// What messages call it: `process 1234`.
    fn name(&self) -> &str;

    /// The machine that it is made for.
    fn machine(&self) -> Machine;

    /// What it has mapped, by address.
    ///
    /// # Errors
    /// It cannot be read, or is no more.
    fn mappings(&self) -> Result<Vec<Mapping>>;

    /// Fills `buffer` with the memory at an address.
    ///
    /// # Errors
    /// Not all of it can be read.
    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Where a mapped file may be found, the path that others reach it by first. What is there is compared with the
    /// memory before it is believed.
    fn places(&self, mapping: &Mapping) -> Vec<PathBuf>;

    /// Its environment as it was started: `NAME=VALUE`, each ended by a NUL.
    ///
    /// # Errors
    /// It cannot be read.
    fn environment(&self) -> io::Result<Vec<u8>>;

    /// What it calls itself: its number in the innermost pid namespace. `None`: nobody knows.
    fn pid(&self) -> Option<u32>;

    /// The perf map that it writes, if it does and the file is its own.
    ///
    /// # Errors
    /// There is one that cannot be used.
    fn perf_map(&self) -> io::Result<Option<Vec<u8>>>;

    /// Its threads of which it is known where their stacks are, by number.
    fn threads(&self) -> Vec<Thread>;
}

/// A thread of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thread {
    /// What it calls itself: its number in the innermost pid namespace.
    pub number: u32,
    /// Its stack pointer.
    pub stack: u64,
}

/// What a process knew.
#[derive(Debug)]
pub struct Captured {
    /// The machine that it is made for.
    pub machine: Machine,
    /// What it had mapped, by address.
    pub mappings: Vec<Mapping>,
    /// Names that no table of the mapped files gives, or none that can be read later; by address.
    pub symbols: Vec<SessionSymbol>,
    /// Other addresses of functions that have a name; by address.
    pub repeats: Vec<Repeat>,
    /// What could not be found out, and what to do about it.
    pub warnings: Vec<String>,
}

/// Another address of a function: a name of the map has one address only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repeat {
    /// Where it is, too.
    pub address: u64,
    /// The function's name.
    pub symbol: String,
    /// Which of its addresses this is: 2 or more.
    pub number: usize,
}

/// Reads a process; `files` reads those that it has mapped, `system` answers for its C library.
///
/// # Errors
/// It cannot be read, or holds nothing.
pub fn capture(process: &dyn Process, files: &dyn Files, system: &dyn SystemLibraries) -> Result<Captured> {
    let (mappings, heads, unread) = identified(process)?;
    let mut map = SessionMap::default();
    map.merge_mappings(process.name(), (1..).zip(mappings).collect())?;
    let (loaded, mut warnings) = images::load(process, &map, &heads, files);
    let unread = unread.into_iter().map(|path| {
        format!(
            "{path}: {} does not hold its first page, which tells what it is: nothing says whether the file that \
             is there now is the same (bit 4 of /proc/PID/coredump_filter keeps it in core files)",
            process.name()
        )
    });
    warnings.extend(unread);
    let mut symbols = Vec::new();
    for image in loaded.iter().filter(|image| !image.reachable) {
        // What a program has of its own, or a copy of, is what everybody in the process means.
        let interposed = |symbol: &SessionSymbol| {
            let mut programs =
                loaded.iter().filter(|other| other.library().is_none() && other.path != image.path);
            programs.any(|program| program.image.export(&symbol.name).is_some())
        };
        symbols.extend(image.symbols().into_iter().filter(|symbol| !interposed(symbol)));
    }
    let mut implementations = indirect::bound(process, &map, &loaded);
    warnings.extend(choices::add(process, &map, &loaded, system, &mut implementations));
    let mut repeats = Vec::new();
    symbols.extend(indirect::symbols(&loaded, &implementations, &mut repeats, &mut warnings));
    symbols.extend(indirect::stubs(&loaded, &mut repeats));
    symbols.extend(jit_code::symbols(process, &map, &loaded, files, &mut warnings));
    sort(&mut symbols);
    repeats.sort();
    let mut mappings = map.mappings;
    images::complete(&mut mappings, &loaded);
    images::name_heap(process, &mut mappings, &loaded);
    threads::name(process, &mut mappings, &loaded);
    Ok(Captured { machine: process.machine(), mappings, symbols, repeats, warnings })
}

/// By address, each once.
fn sort(symbols: &mut Vec<SessionSymbol>) {
    symbols.sort_by(|a, b| (a.address, &a.name).cmp(&(b.address, &b.name)));
    symbols.dedup();
}

/// What a process has mapped, with the build-ids of its images.
///
/// # Errors
/// It cannot be read.
pub fn mappings(process: &dyn Process) -> Result<Vec<Mapping>> {
    identified(process).map(|(mappings, ..)| mappings)
}

/// Also the starts of its images, and the files of which nothing can be told.
fn identified(process: &dyn Process) -> Result<(Vec<Mapping>, Vec<images::Head>, Vec<String>)> {
    let mut mappings = process.mappings()?;
    let told = |mapping: &Mapping| mapping.path.as_deref() != Some(core_file::VSYSCALL_NAME);
    // That page is the same in every process.
    mappings.retain(|mapping| mapping.range.start >= LOWEST_ADDRESS && told(mapping));
    // Shared or private is not in a core file, and means nothing here.
    for perms in mappings.iter_mut().filter_map(|mapping| mapping.perms.as_mut()) {
        perms.truncate(3);
    }
    let (heads, unread) = images::identify(process, &mut mappings);
    Ok((mappings, heads, unread))
}

/// The machine of a program, by the first bytes of its file.
///
/// # Errors
/// It is none that sessions can be of: of another machine or width.
pub fn machine_of_program(name: &str, header: &[u8]) -> Result<Machine> {
    images::machine(header).ok_or_else(|| {
        let message = "is no program of a machine that this version knows (64-bit x86-64)";
        Error::new(ErrorKind::NotSupported, name, message)
    })
}
