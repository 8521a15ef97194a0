//! Which file's image lies at an address of the session, and how far from where the file says: the mappings
//! and the files' program headers decide it together. A file is read once, when an address first needs it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::image::Image;
use super::image_tables::{PAGE, Segment};
use super::{Files, Mapping, SessionMap};
use crate::error::{Error, ErrorKind};

/// The images read so far, by path. What failed is kept too: every place that needs it fails the same way.
#[derive(Debug, Default)]
pub(super) struct Images(Mutex<HashMap<String, Arc<OnceLock<Opened>>>>);

/// `None`: the file is no image.
type Opened = Result<Option<Arc<Image>>, Error>;

/// What lies at an address.
pub(super) enum Located {
    /// An image: the file's path, its symbols, and the address as the file counts.
    Image { path: String, image: Arc<Image>, address: u64 },
    /// Memory without an image, and what it is.
    Other(String),
}

/// The mapped file's path, if it is a file that can be opened and might be an image.
pub(super) fn file_of(mapping: &Mapping) -> Option<&str> {
    mapping.path.as_deref().filter(|path| !is_pseudo(path) && !is_deleted(path))
}

/// Whether a path is no file on a disk.
pub(super) fn is_pseudo(path: &str) -> bool {
    // Devices and the kernel's own files are no images, and reading one may never end.
    let pseudo = ["[", "/dev/", "/proc/", "/sys/", "/memfd:", "/SYSV", "anon_inode:", "//", "socket:"];
    pseudo.iter().any(|prefix| path.starts_with(prefix))
}

/// What the kernel adds to the path of a file that has no name any more.
pub(super) const DELETED: &str = " (deleted)";

fn is_deleted(path: &str) -> bool {
    path.ends_with(DELETED)
}

/// Whether it is what the kernel calls memory that processes share (`memfd_create`, `shmget`, `mmap` without a file), or
/// that of a POSIX object without a name, not a file that once was somewhere.
fn is_memory(path: &str) -> bool {
    let memory = ["/memfd:", "/SYSV", "/anon_hugepage", "/dev/zero (deleted)"];
    memory.iter().any(|name| path.starts_with(name)) || (path.starts_with("/dev/shm/") && is_deleted(path))
}

/// A path's last part.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl SessionMap {
    /// The image of a mapped file, checked to be the one that the session had.
    pub(super) fn image(&self, path: &str, files: &dyn Files) -> Opened {
        let cell = {
            let mut cache = self.images.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cache.entry(path.to_owned()).or_default())
        };
        let opened = cell.get_or_init(|| {
            let bytes = files.read(Path::new(path)).map_err(|error| {
                let message = format!(
                    "cannot be read: {error}; the session had it mapped, and its symbols are needed: put the file \
                     back, or name the addresses in `symbols` of the session map"
                );
                Error::new(ErrorKind::Image, path, message)
            })?;
            let image = Image::parse(&bytes).map_err(|message| Error::new(ErrorKind::Image, path, message))?;
            Ok(image.map(Arc::new))
        });
        let image = opened.clone()?;
        let expected = self.build_id_of(path);
        if let (Some(image), Some(expected)) = (&image, expected)
            && image.build_id.as_deref() != Some(expected)
        {
            let found = image.build_id.as_deref().unwrap_or("none");
            let message = format!(
                "is another file than the session had mapped: its build-id is {found}, the session's was \
                 {expected}; use the session's file, or name the addresses in `symbols` of the session map"
            );
            return Err(Error::new(ErrorKind::Image, path, message));
        }
        Ok(image)
    }

    /// What lies at an address.
    ///
    /// # Errors
    /// A file that is missing, malformed or has another build-id.
    pub(super) fn locate(&self, address: u64, files: &dyn Files) -> Result<Located, Error> {
        let threads = || self.thread_memory_at(address).map(describe);
        let Some(index) = self.mapping_at(address) else {
            return Ok(Located::Other(threads().unwrap_or_else(|| "is in no mapping".into())));
        };
        let mapping = &self.mappings[index];
        let Some(path) = file_of(mapping) else {
            return Ok(self
                .behind_an_image(index, address, files)
                .unwrap_or_else(|| Located::Other(threads().unwrap_or_else(|| describe(mapping)))));
        };
        let Some(image) = self.image(path, files)? else {
            return Ok(Located::Other(format!("is in {path}, which is no program or library")));
        };
        Ok(match self.bias(&image, index, address) {
            Ok(bias) => Located::Image { path: path.to_owned(), image, address: address.wrapping_sub(bias) },
            Err(why) => Located::Other(format!("is in {path}, {why}")),
        })
    }

    /// Variables that begin as zero take no room in a file, so the kernel shows them as anonymous memory
    /// behind it, or as part of a heap there. That file is not needed to say what other memory is.
    fn behind_an_image(&self, index: usize, address: u64, files: &dyn Files) -> Option<Located> {
        let before = self.file_before(index)?;
        let path = file_of(&self.mappings[before])?;
        let image = self.image(path, files).ok().flatten()?;
        let bias = self.bias(&image, before, self.mappings[before].range.start).ok()?;
        let address = address.wrapping_sub(bias);
        image.segment(address)?;
        Some(Located::Image { path: path.to_owned(), image, address })
    }

    /// Whether a symbol of an image begins `back` bytes after a mapped address; `None`: there are neither code nor data of
    /// an image nor a heap, nor anything of a file that cannot be told.
    pub(super) fn begins_behind(&self, mapped: u64, back: u64, files: &dyn Files) -> Option<bool> {
        match self.locate(mapped, files) {
            Ok(Located::Image { image, address, .. }) => image.begins_at(address + back),
            Ok(Located::Other(_)) => {
                let index = self.mapping_at(mapped)?;
                let mapping = &self.mappings[index];
                // A program at a fixed address has its heap right behind it: small, and full of what code refers to.
                let nameless = |path: &str| path == "[heap]" || is_deleted(path);
                // What cannot be read may go on there.
                let unread = || {
                    let before = &self.mappings[self.file_before(index)?];
                    let adjacent = mapping.path.is_none() && before.range.end == mapping.range.start;
                    (adjacent && self.image(file_of(before)?, files).is_err()).then_some(false)
                };
                if mapping.path.as_deref().is_some_and(nameless) { Some(false) } else { unread() }
            }
            Err(_) => Some(false),
        }
    }

    /// The distance between an image's addresses in the session and in its file, from one address in a mapping.
    pub(super) fn bias(&self, image: &Image, index: usize, address: u64) -> Result<u64, &'static str> {
        let mapping = &self.mappings[index];
        let page = (address - mapping.range.start).wrapping_add(mapping.offset) & !(PAGE - 1);
        let of = |s: &Segment, m: &Mapping| {
            m.range.start.wrapping_sub(m.offset).wrapping_add(s.offset).wrapping_sub(s.address)
        };
        let agrees = |s: &Segment, m: &Mapping| executable(m).is_none_or(|x| x == s.executable);
        let holds = |s: &&Segment| {
            let end = (s.offset + s.file_size).checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
            s.file_size > 0 && page >= s.offset & !(PAGE - 1) && page < end
        };
        let possible = |bias: &u64| {
            if image.fixed { *bias == 0 } else { bias.is_multiple_of(PAGE) }
        };

        // One page of a file can belong to two segments, which are loaded at different distances. Then the
        // permissions tell, else the distance at which most segments find themselves mapped.
        let segments = || image.segments.iter().filter(holds);
        let same = segments().filter(|s| agrees(s, mapping)).map(|s| of(s, mapping));
        let mut candidates: Vec<u64> = same.filter(possible).collect();
        if candidates.is_empty() {
            candidates = segments().map(|s| of(s, mapping)).filter(possible).collect();
        }
        candidates.sort_unstable();
        candidates.dedup();
        let mapped = |bias: u64| {
            let found = image.segments.iter().filter(|s| s.file_size > 0).filter(|s| {
                let there = self.mapping_at(s.address.wrapping_add(bias)).map(|i| &self.mappings[i]);
                there.is_some_and(|m| m.path == mapping.path && of(s, m) == bias && agrees(s, m))
            });
            found.count()
        };
        let scored = candidates.iter().map(|&bias| (mapped(bias), bias));
        let Some((best, bias)) = scored.clone().max() else {
            return Err("but in none of the parts that it is loaded with");
        };
        match scored.filter(|(score, _)| *score == best).count() {
            1 => Ok(bias),
            _ => Err("which may be loaded in two ways: the session map must give all its mappings"),
        }
    }

    /// All addresses of the session at which a file's image is loaded, as distances from the file's own.
    pub(super) fn biases(&self, path: &str, image: &Image) -> Vec<u64> {
        let of_file = || (0..self.mappings.len()).filter(|&i| self.mappings[i].path.as_deref() == Some(path));
        // A file may also be mapped to be read, as debuggers do, and the dynamic linker leaves it mapped in the gaps of an
        // image, where nobody may touch it: what can be run is the image's code.
        let code = of_file().any(|i| may_run(&self.mappings[i]));
        let loaded = of_file().filter(|&i| !code || may_run(&self.mappings[i]));
        let biases = loaded.filter_map(|i| self.bias(image, i, self.mappings[i].range.start).ok());
        let mut biases: Vec<u64> = biases.collect();
        biases.sort_unstable();
        biases.dedup();
        biases
    }
}

/// Whether the session could run what is in a mapping; `None`: the map does not say.
pub(super) fn executable(mapping: &Mapping) -> Option<bool> {
    mapping.perms.as_ref().map(|perms| perms.contains('x'))
}

/// Whether the session may have run what is in a mapping.
pub(super) fn may_run(mapping: &Mapping) -> bool {
    executable(mapping) != Some(false)
}

/// What is put before the number of a thread: its stack, and what it has of thread-local variables.
const STACK_OF: &str = "[stack:";
const BLOCK_OF: &str = "[tls:";

/// Whether a mapping is what a thread has for itself, and may be a part of another.
pub(super) fn is_threads(mapping: &Mapping) -> bool {
    mapping.path.as_deref().is_some_and(|path| path.starts_with(STACK_OF) || path.starts_with(BLOCK_OF))
}

/// What that is: `[stack:1234]`, `[tls:1234] libfoo.so`, and without a library what the C library knows of the thread.
fn describe_threads(path: &str) -> String {
    let thread = |prefix| path.strip_prefix(prefix)?.split_once(']');
    match (thread(STACK_OF), thread(BLOCK_OF)) {
        (Some((thread, _)), _) => format!("is in thread {thread}'s stack{STACK}"),
        (_, Some((thread, ""))) => {
            format!(
                "is in the control block of thread {thread}, which lasts no longer than it (let the code ask: pthread_self)"
            )
        }
        (_, Some((thread, library))) => {
            let library = library.trim_start();
            format!(
                "is in the thread-local block of {library} (thread {thread}), and each thread has its own (let the \
                     compiler reach the variable by its symbol)"
            )
        }
        _ => format!("is in {path}"),
    }
}

/// What can be done about addresses in stacks.
const STACK: &str = ", which lasts no longer than a call or its thread (let the code get it as an argument)";

/// What memory without an image is, and what its kind allows to be done.
fn describe(mapping: &Mapping) -> String {
    match mapping.path.as_deref() {
        Some("[stack]") => format!("is in [stack], the first thread's{STACK}"),
        Some(threads) if is_threads(mapping) => describe_threads(threads),
        Some(kernel @ ("[vdso]" | "[vsyscall]" | "[vvar]" | "[vvar_vclock]")) => {
            format!(
                "is in {kernel}, which the kernel puts into each process (let the code call the C library's function)"
            )
        }
        Some(name) if name.starts_with('[') => format!("is in {name}"),
        Some(path) if is_memory(path) => {
            format!(
                "is in {path}, memory that only its own process has (for code made at run time a perf map names the \
                 functions: `--symbols /tmp/perf-PID.map`)"
            )
        }
        Some(path) if is_deleted(path) => {
            format!(
                "is in {path}: what was mapped is not at its path any more (`relocfix capture --pid PID` reads the names \
                 from the process while it runs)"
            )
        }
        Some(path) => format!("is in {path}, which is no program or library"),
        None if executable(mapping) == Some(true) => {
            "is in anonymous executable memory (code made at run time, of which no \
                                                       perf map is given: `--symbols /tmp/perf-PID.map`)"
                .into()
        }
        None => "is in anonymous memory (heap, thread-local storage or a thread's stack)".into(),
    }
}
