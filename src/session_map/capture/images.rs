//! Which programs and libraries a process has loaded. Its memory says: the file that is now at a path may be
//! another one.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_X86_64, Header};
use goblin::elf::program_header::PT_TLS;
use goblin::elf::{Elf, ProgramHeader};
use goblin::elf64::header::SIZEOF_EHDR;
use goblin::elf64::program_header::SIZEOF_PHDR;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::Process;
use super::jitdump::is_dump;
use super::memory_image;
use super::threads::Layout;
use crate::Files;
use crate::arch::Machine;
use crate::session_map::bindings::Bindings;
use crate::session_map::image::Image;
use crate::session_map::image_tables::{CTX, build_id};
use crate::session_map::loaded::is_pseudo;
use crate::session_map::{Mapping, SessionMap, SessionSymbol, loaded};

/// As much of an image's first mapping as is read to tell what it is, a page: headers and notes lie at its start.
const HEAD: u64 = 0x1000;

/// The start of an image in a process's memory.
pub(super) struct Head {
    path: String,
    /// Where it is mapped.
    first: Mapping,
    /// The file header and the program headers.
    headers: Vec<u8>,
    /// What is left of [`HEAD`].
    build_id: Option<String>,
}

impl Head {
    /// How many bytes of thread-local variables each thread has of it.
    fn thread_local(&self) -> u64 {
        let count = (self.headers.len() - SIZEOF_EHDR) / SIZEOF_PHDR;
        let headers = ProgramHeader::parse(&self.headers, SIZEOF_EHDR, count, CTX).unwrap_or_default();
        headers.iter().find(|header| header.p_type == PT_TLS).map_or(0, |header| header.p_memsz)
    }
}

/// An image that a process has loaded.
pub(super) struct Loaded {
    pub(super) path: String,
    pub(super) image: Image,
    /// How far its addresses are from those in the file; one for each time that it is loaded.
    pub(super) biases: Vec<u64>,
    /// What it has bound to others and itself.
    pub(super) bindings: Bindings,
    /// Whoever reads the map later finds the file at its path.
    pub(super) reachable: bool,
    /// How many bytes of thread-local variables each thread has of it.
    pub(super) thread_local: u64,
    /// Where it keeps its threads, if it is the C library.
    pub(super) threads: Option<Layout>,
}

/// The machine of a program, by its file's first bytes.
pub(super) fn machine(header: &[u8]) -> Option<Machine> {
    let header = header_of(header)?;
    (header.e_machine == EM_X86_64).then_some(Machine::X86_64)
}

/// The header of a 64-bit ELF file.
pub(super) fn header_of(bytes: &[u8]) -> Option<Header> {
    let class = (bytes.get(EI_CLASS), bytes.get(EI_DATA));
    let readable = bytes.starts_with(ELFMAG)
        && class == (Some(&ELFCLASS64), Some(&ELFDATA2LSB))
        && bytes.len() >= SIZEOF_EHDR;
    readable.then(|| Elf::parse_header(bytes).ok()).flatten()
}

/// The file header and the program headers, and the build-id where it can be seen.
fn headers_of(bytes: &[u8]) -> Option<(Vec<u8>, Option<String>)> {
    let header = header_of(bytes)?;
    let start = usize::try_from(header.e_phoff).ok()?;
    let end = start.checked_add(usize::from(header.e_phnum) * SIZEOF_PHDR)?;
    let table = bytes.get(start..end)?;
    let program_headers = ProgramHeader::parse(bytes, start, header.e_phnum.into(), CTX).ok()?;
    let headers = [&bytes[..SIZEOF_EHDR], table].concat();
    Some((headers, build_id(bytes, &program_headers).ok().flatten()))
}

/// The build-id of an image's file.
pub(super) fn build_id_of(bytes: &[u8]) -> Option<String> {
    headers_of(bytes)?.1
}

/// Finds the images among the mappings, and gives every mapping of an image its build-id.
///
/// Also gives those files of which nothing can be told.
pub(super) fn identify(process: &dyn Process, mappings: &mut [Mapping]) -> (Vec<Head>, Vec<String>) {
    let mut heads: Vec<Head> = Vec::new();
    let mut unread: Vec<String> = Vec::new();
    let mut known: HashMap<String, Option<String>> = HashMap::new();
    for mapping in mappings.iter() {
        let Some(path) = mapping.path.as_deref().filter(|path| mapping.offset == 0 && may_be_image(path))
        else {
            continue;
        };
        if known.contains_key(path) {
            continue;
        }
        let length = (mapping.range.end - mapping.range.start).min(HEAD);
        let mut bytes = vec![0; length as usize];
        if process.read(mapping.range.start, &mut bytes).is_err() {
            unread.push(path.to_owned());
            continue;
        }
        let Some((headers, build_id)) = headers_of(&bytes) else {
            continue;
        };
        known.insert(path.to_owned(), build_id.clone());
        heads.push(Head { path: path.to_owned(), first: mapping.clone(), headers, build_id });
    }
    for mapping in mappings.iter_mut() {
        let id = mapping.path.as_ref().and_then(|path| known.get(path));
        mapping.build_id = id.cloned().flatten();
    }
    // Data files are not dumped; what holds code and is none of a compiler's lists is a program or library.
    let code = mappings.iter().filter(|m| loaded::executable(m) == Some(true) && !is_dump(m));
    let code: HashSet<&str> = code.filter_map(|m| m.path.as_deref()).collect();
    unread.retain(|path| !known.contains_key(path) && code.contains(path.as_str()));
    unread.sort();
    unread.dedup();
    (heads, unread)
}

/// Whether an image may be mapped from there: a file, even one that has no name any more, or the kernel's own.
fn may_be_image(path: &str) -> bool {
    path == VDSO || path.starts_with("/memfd:") || !is_pseudo(path)
}

/// The library that the kernel maps into each process: its names are of no use to a linker.
pub(super) const VDSO: &str = "[vdso]";

/// Reads the images' files, and says what could not be read.
pub(super) fn load(
    process: &dyn Process,
    map: &SessionMap,
    heads: &[Head],
    files: &dyn Files,
) -> (Vec<Loaded>, Vec<String>) {
    let wanted: Vec<&Head> = heads.iter().filter(|head| head.path != VDSO).collect();
    let opened: Vec<Result<Loaded, String>> =
        wanted.into_par_iter().map(|head| load_one(process, map, head, files)).collect();
    let (mut images, mut warnings) = (Vec::new(), Vec::new());
    for result in opened {
        match result {
            Ok(image) => images.push(image),
            Err(warning) => warnings.push(warning),
        }
    }
    (images, warnings)
}

fn load_one(
    process: &dyn Process,
    map: &SessionMap,
    head: &Head,
    files: &dyn Files,
) -> Result<Loaded, String> {
    let mut why = "it has no name any more".to_owned();
    let mut found = None;
    for place in process.places(&head.first) {
        match files.read(&place) {
            Err(error) => why = error.to_string(),
            Ok(bytes) if !is_file_of(head, &bytes) => "another file is there now".clone_into(&mut why),
            Ok(bytes) => {
                found = Some((bytes, place == Path::new(&head.path)));
                break;
            }
        }
    }
    // Not every user may open what has no name any more, and a core file's machine may be elsewhere.
    let in_memory = || memory_image::read(process, head.first.range.start, &head.headers).ok();
    let Some((bytes, reachable)) = found.or_else(|| Some((in_memory()?, false))) else {
        return Err(format!(
            "{}: what {} has mapped cannot be read ({why}): what lies in it has no names",
            head.path,
            process.name()
        ));
    };
    let malformed = |message: String| format!("{}: {message}", head.path);
    let image = Image::parse(&bytes).map_err(malformed)?;
    let image = image.ok_or_else(|| malformed("it is no program or library".to_owned()))?;
    let bindings = Bindings::parse(&bytes).map_err(malformed)?;
    let biases = map.biases(&head.path, &image);
    Ok(Loaded {
        path: head.path.clone(),
        threads: Layout::read(&image, &bytes),
        image,
        biases,
        bindings,
        reachable,
        thread_local: head.thread_local(),
    })
}

/// Whether a file is the one that is mapped.
fn is_file_of(head: &Head, bytes: &[u8]) -> bool {
    headers_of(bytes).is_some_and(|(headers, id)| {
        headers == head.headers && (head.build_id.is_none() || id == head.build_id)
    })
}

/// Says what the mappings of files allow where the process does not, as a debugger's core file: what the files ask for.
pub(super) fn complete(mappings: &mut [Mapping], images: &[Loaded]) {
    for mapping in mappings.iter_mut().filter(|mapping| mapping.perms.is_none()) {
        let image = images.iter().find(|image| mapping.path.as_ref() == Some(&image.path));
        let segment = image.and_then(|image| {
            let [bias] = image.biases[..] else {
                return None;
            };
            image.image.segment(mapping.range.start.wrapping_sub(bias))
        });
        mapping.perms = segment.map(|segment| {
            let letter = |set, letter| if set { letter } else { '-' };
            ['r', letter(segment.writable, 'w'), letter(segment.executable, 'x')].iter().collect()
        });
    }
}

/// Names the memory that `brk` gave, which only a live process's mappings tell: libc knows its end.
pub(super) fn name_heap(process: &dyn Process, mappings: &mut [Mapping], images: &[Loaded]) {
    if mappings.iter().any(|mapping| mapping.path.as_deref() == Some(HEAP)) {
        return;
    }
    for image in images {
        let ([bias], Some(variable)) = (&image.biases[..], image.image.definition("__curbrk")) else {
            continue;
        };
        let mut end = [0; 8];
        if process.read(bias.wrapping_add(variable), &mut end).is_ok() {
            let end = u64::from_le_bytes(end).next_multiple_of(HEAD);
            let heap = mappings.iter_mut().find(|m| m.path.is_none() && m.range.end == end);
            if let Some(heap) = heap {
                heap.path = Some(HEAP.to_owned());
            }
        }
    }
}

const HEAP: &str = "[heap]";

impl Loaded {
    /// Its build-id.
    pub(super) fn build_id(&self) -> Option<&String> {
        self.image.build_id.as_ref()
    }

    /// Where its first byte lies, if it is loaded once.
    pub(super) fn start(&self) -> Option<u64> {
        let [bias] = self.biases[..] else {
            return None;
        };
        let first = self.image.segments.iter().map(|s| s.address & !(HEAD - 1)).min()?;
        Some(bias.wrapping_add(first))
    }

    /// Its indirect functions, each once, by its best name, with its resolver.
    pub(super) fn indirect_functions(&self) -> Vec<(&str, u64)> {
        let mut functions: Vec<(&str, u64)> = self.image.indirect_functions().collect();
        functions.dedup_by_key(|(_, resolver)| *resolver);
        functions
    }

    /// Its path when it was mapped.
    fn path_then(&self) -> &str {
        self.path.strip_suffix(loaded::DELETED).unwrap_or(&self.path)
    }

    /// The library that a linker finds its names in; none if it is a program.
    pub(super) fn library(&self) -> Option<String> {
        self.image.library(self.path_then())
    }

    /// What to call it: the library's name, or the program's.
    pub(super) fn short_name(&self) -> String {
        self.library().unwrap_or_else(|| loaded::file_name(self.path_then()).to_owned())
    }

    /// Its names for others, at their addresses in the process. Functions have no size: only their start has a name.
    pub(super) fn symbols(&self) -> Vec<SessionSymbol> {
        let library = self.library();
        let mut symbols = Vec::new();
        for bias in &self.biases {
            symbols.extend(self.image.names().map(|(name, address, size)| SessionSymbol {
                address: address.wrapping_add(*bias),
                name: name.to_owned(),
                size,
                library: library.clone(),
                align: 1,
            }));
        }
        symbols
    }
}
