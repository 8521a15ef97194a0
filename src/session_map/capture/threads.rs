//! Where a process's threads have their stacks and thread-local variables. glibc keeps lists of its threads, and says for
//! debuggers where in its structures what is (`nptl_db/structs.def`; `td_thr_tlsbase` is what finds a block): symbols
//! `_thread_db_…`, each three words that say how large a field is in bits, how many there are, and where. Other C
//! libraries have nothing of that, and processes go on while they are read: what contradicts itself says nothing.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use super::images::Loaded;
use super::{Mapping, Process, Thread};
use crate::session_map::PAGE;
use crate::session_map::image::Image;
use crate::session_map::image_tables::{file_offset, u32_at};

/// More threads than the kernel gives numbers to (`PID_MAX_LIMIT`).
const MOST_THREADS: usize = 1 << 22;
/// More libraries with thread-local variables than any process loads.
const MOST_MODULES: u64 = 1 << 16;
/// More bytes than a thread's control block has.
const MOST_BYTES: u64 = 1 << 16;
/// How often a list is read that a thread which begins or ends may be changing.
const TRIES: usize = 3;
/// Of `l_tls_offset`: what is larger is where a library's static blocks are (`FORCED_DYNAMIC_TLS_OFFSET`).
const NO_STATIC_BLOCK: u64 = 1;

/// A field of a structure.
#[derive(Debug, Clone, Copy)]
struct Field {
    /// Bytes of it, or of each element.
    size: u64,
    offset: u64,
}

/// Where in the C library's structures what is.
#[derive(Debug)]
pub(super) struct Layout {
    /// The lists of threads whose stacks it has mapped itself, and of the others, and that of loaded libraries with
    /// thread-local variables.
    heads: [Head; 3],
    /// Bytes of `struct pthread`, the control block of a thread.
    size: u64,
    list_next: Field,
    pthread_list: Field,
    pthread_tid: Field,
    pthread_dtvp: Field,
    dtv: Field,
    dtv_counter: Field,
    dtv_pointer: Field,
    link_map_modid: Field,
    link_map_offset: Field,
    modules_len: Field,
    modules_next: Field,
    modules: Field,
    module_gen: Field,
    module_map: Field,
}

/// Where a list begins.
#[derive(Debug, Clone, Copy)]
enum Head {
    /// In the dynamic linker's [`DYNAMIC_LINKER`].
    DynamicLinker(u64),
    /// In the program, as its file counts.
    Program(u64),
}

/// The dynamic linker's variables.
const DYNAMIC_LINKER: &str = "_rtld_global";

impl Layout {
    /// What a C library, or a program that contains one, says of it; `bytes` is its file.
    pub(super) fn read(image: &Image, bytes: &[u8]) -> Option<Layout> {
        let at = |name: &str| {
            let address = image.definition(name)?;
            usize::try_from(file_offset(&image.segments, address).ok()?).ok()
        };
        let size = u32_at(bytes, at("_thread_db_sizeof_pthread")?)?.into();
        let field = |name: &str| {
            let at = at(&format!("_thread_db_{name}"))?;
            let (bits, offset) = (u32_at(bytes, at)?, u32_at(bytes, at.checked_add(8)?)?);
            Some(Field { size: u64::from(bits / 8), offset: offset.into() })
        };
        let word = |name: &str| field(name).filter(|field| field.size == 8);
        let head = |name: &str| match field(&format!("rtld_global_{name}")) {
            Some(field) => Some(Head::DynamicLinker(field.offset)),
            None => image.definition(name).map(Head::Program),
        };
        let layout = Layout {
            heads: [head("_dl_stack_used")?, head("_dl_stack_user")?, head("_dl_tls_dtv_slotinfo_list")?],
            size,
            list_next: word("list_t_next")?,
            pthread_list: field("pthread_list")?,
            pthread_tid: field("pthread_tid").filter(|field| field.size == 4)?,
            pthread_dtvp: word("pthread_dtvp")?,
            dtv: field("dtv_dtv")?,
            dtv_counter: word("dtv_t_counter")?,
            dtv_pointer: word("dtv_t_pointer_val")?,
            link_map_modid: word("link_map_l_tls_modid")?,
            link_map_offset: word("link_map_l_tls_offset")?,
            modules_len: word("dtv_slotinfo_list_len")?,
            modules_next: word("dtv_slotinfo_list_next")?,
            modules: field("dtv_slotinfo_list_slotinfo")?,
            module_gen: word("dtv_slotinfo_gen")?,
            module_map: word("dtv_slotinfo_map")?,
        };
        (layout.size <= MOST_BYTES).then_some(layout)
    }
}

/// A library or program with thread-local variables.
struct Module {
    /// Its place in each thread's vector of blocks.
    id: u64,
    /// Vectors that are older do not know it.
    generation: u64,
    /// How far its blocks are from the control blocks, if that is the same for each thread.
    offset: u64,
    name: String,
    /// Bytes of its block.
    size: u64,
}

/// What is read through.
struct Reader<'a> {
    process: &'a dyn Process,
    layout: &'a Layout,
    heads: [u64; 3],
}

impl Reader<'_> {
    /// A field of 64 bits of the structure at an address.
    fn word(&self, address: u64, field: Field) -> Option<u64> {
        let mut bytes = [0; 8];
        self.process.read(address.wrapping_add(field.offset), &mut bytes).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// The control blocks in a list; `None`: it does not lead back to its head.
    fn list(&self, head: u64) -> Option<Vec<u64>> {
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        let mut node = self.word(head, self.layout.list_next)?;
        while node != head {
            if !seen.insert(node) || found.len() == MOST_THREADS {
                return None;
            }
            found.push(node.wrapping_sub(self.layout.pthread_list.offset));
            node = self.word(node, self.layout.list_next)?;
        }
        Some(found)
    }

    fn modules(&self, images: &[Loaded]) -> Option<Vec<Module>> {
        let layout = self.layout;
        let (mut modules, mut first) = (Vec::new(), 0);
        let pointer = Field { size: 8, offset: 0 };
        let mut part = self.word(self.heads[2], pointer)?;
        while part != 0 {
            let length = self.word(part, layout.modules_len)?;
            if length == 0 || first + length.min(MOST_MODULES) >= MOST_MODULES {
                return None;
            }
            for number in 0..length {
                let slot = part.wrapping_add(layout.modules.offset + number * layout.modules.size);
                let map = self.word(slot, layout.module_map)?;
                if map == 0 {
                    continue;
                }
                let id = self.word(map, layout.link_map_modid)?;
                // `l_addr`, of the part of `struct link_map` that is for everybody (link.h).
                let bias = self.word(map, pointer)?;
                let mut of = images.iter().filter(|i| i.thread_local > 0 && i.biases.contains(&bias));
                let (Some(image), None, true) = (of.next(), of.next(), id == first + number) else {
                    continue;
                };
                modules.push(Module {
                    id,
                    generation: self.word(slot, layout.module_gen)?,
                    offset: self.word(map, layout.link_map_offset)?,
                    name: image.short_name(),
                    size: image.thread_local,
                });
            }
            first += length;
            part = self.word(part, layout.modules_next)?;
        }
        Some(modules)
    }

    /// Where a thread has a module's variables; `None`: nowhere yet.
    fn block(&self, control: u64, module: &Module) -> Option<Range<u64>> {
        let layout = self.layout;
        let vector = self.word(control, layout.pthread_dtvp)?;
        let entry = |id: u64| vector.wrapping_add(layout.dtv.offset + id * layout.dtv.size);
        let known = self.word(entry(0), layout.dtv_counter)? >= module.generation;
        // What is odd stands for none (`TLS_DTV_UNALLOCATED`).
        let allocated = |pointer: &u64| *pointer != 0 && pointer & 1 == 0;
        let pointer = if known { self.word(entry(module.id), layout.dtv_pointer) } else { None };
        let in_place = || {
            let arch = self.process.machine().arch();
            (module.offset > NO_STATIC_BLOCK).then(|| arch.static_block(control, module.offset))
        };
        let start = pointer.filter(allocated).or_else(in_place)?;
        Some(start..start.checked_add(module.size)?)
    }

    /// A thread's number, if it is one.
    fn number(&self, control: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.process.read(control.wrapping_add(self.layout.pthread_tid.offset), &mut bytes).ok()?;
        // One that is about to begin or end has none.
        let number = u32::from_le_bytes(bytes);
        (1..=MOST_THREADS as u32).contains(&number).then_some(number)
    }
}

/// Names the stacks of threads, which the kernel shows as memory like any other, and what they have of thread-local
/// variables: `[stack:TID]`, `[tls:TID] libfoo.so`, and `[tls:TID]` for what the C library knows of a thread itself. What
/// is only a part of a mapping is an entry of its own.
pub(super) fn name(process: &dyn Process, mappings: &mut Vec<Mapping>, images: &[Loaded]) {
    let mut parts = Vec::new();
    let mut known = HashSet::new();
    if let Some(reader) = reader(process, images) {
        let lists = || Some((reader.list(reader.heads[0])?, reader.list(reader.heads[1])?));
        let (mapped, others) = (0..TRIES).find_map(|_| lists()).unwrap_or_default();
        let modules = (0..TRIES).find_map(|_| reader.modules(images)).unwrap_or_default();
        let threads = mapped.into_iter().map(|at| (at, true)).chain(others.into_iter().map(|at| (at, false)));
        for (control, mapped) in threads {
            let Some(number) = reader.number(control) else {
                continue;
            };
            known.insert(number);
            let size = reader.layout.size;
            let Some(end) = control.checked_add(size) else {
                continue;
            };
            // What the first thread has lies elsewhere: the kernel made its stack.
            if mapped || process.pid().is_some_and(|pid| pid != number) {
                parts.extend(stack_below(mappings, end, mapped).map(|range| (range, stack_name(number))));
            }
            parts.push((control..end, format!("[tls:{number}]")));
            let block = |module: &Module| {
                Some((reader.block(control, module)?, format!("[tls:{number}] {}", module.name)))
            };
            parts.extend(modules.iter().filter_map(block));
        }
    }
    for Thread { number, stack } in process.threads().into_iter().filter(|t| !known.contains(&t.number)) {
        let index = mapping_at(mappings, stack).filter(|index| is_guarded(mappings, *index));
        parts.extend(index.map(|index| (mappings[index].range.clone(), stack_name(number))));
    }
    add(mappings, parts);
}

fn stack_name(number: u32) -> String {
    format!("[stack:{number}]")
}

fn reader<'a>(process: &'a dyn Process, images: &'a [Loaded]) -> Option<Reader<'a>> {
    let (library, layout) = images.iter().find_map(|image| Some((image, image.threads.as_ref()?)))?;
    let address = |image: &Loaded, address: u64| match image.biases[..] {
        [bias] => Some(bias.wrapping_add(address)),
        _ => None,
    };
    let mut heads = [0; 3];
    for (head, at) in heads.iter_mut().zip(layout.heads) {
        *head = match at {
            Head::Program(at) => address(library, at)?,
            Head::DynamicLinker(offset) => {
                let mut linkers = images.iter().filter_map(|image| {
                    let variables = image.image.definition(DYNAMIC_LINKER)?;
                    address(image, variables.wrapping_add(offset))
                });
                linkers.next()?
            }
        };
    }
    Some(Reader { process, layout, heads })
}

/// Adds names of memory: to its mapping if it is all of one that has none, else as an entry behind it.
fn add(mappings: &mut Vec<Mapping>, parts: Vec<(Range<u64>, String)>) {
    let mut names: BTreeMap<(u64, std::cmp::Reverse<u64>), String> = BTreeMap::new();
    for (range, name) in parts.into_iter().filter(|(range, _)| range.start < range.end) {
        let Some(index) = mapping_at(mappings, range.start) else {
            continue;
        };
        let mapping = &mut mappings[index];
        if range.end > mapping.range.end || !may_be_a_threads(mapping) {
            continue;
        }
        if mapping.range == range {
            mapping.path = Some(name);
        } else {
            names.entry((range.start, std::cmp::Reverse(range.end))).or_insert(name);
        }
    }
    mappings.extend(names.into_iter().map(|((start, end), name)| Mapping {
        range: start..end.0,
        offset: 0,
        perms: None,
        path: Some(name),
        build_id: None,
    }));
    // What contains others comes before them.
    mappings.sort_by_key(|mapping| (mapping.range.start, std::cmp::Reverse(mapping.range.end)));
}

/// Whether threads may have something there: memory of no file, which is written to.
fn may_be_a_threads(mapping: &Mapping) -> bool {
    let nameless = |path: &str| path == "[heap]" || ["[anon", "[stack:"].iter().any(|p| path.starts_with(p));
    mapping.path.as_deref().is_none_or(nameless) && mapping.perms.as_deref().is_none_or(|p| p.contains('w'))
}

fn mapping_at(mappings: &[Mapping], address: u64) -> Option<usize> {
    let index = mappings.partition_point(|mapping| mapping.range.start <= address).checked_sub(1)?;
    mappings[index].range.contains(&address).then_some(index)
}

/// The stack that ends with a control block whose end is given. What somebody else has allocated may be a part of
/// anything, unless it ends there, too.
fn stack_below(mappings: &[Mapping], end: u64, mapped: bool) -> Option<Range<u64>> {
    let index = mapping_at(mappings, end.checked_sub(1)?).filter(|index| is_guarded(mappings, *index))?;
    let mapping = &mappings[index];
    // Memory behind it that is alike is the same mapping to the kernel.
    let end = end.checked_next_multiple_of(PAGE)?.min(mapping.range.end);
    (mapped || end == mapping.range.end).then_some(mapping.range.start..end)
}

/// Whether a mapping begins as a stack does: the C library puts memory before it that nobody may touch.
fn is_guarded(mappings: &[Mapping], index: usize) -> bool {
    let start = mappings[index].range.start;
    mappings[..index].last().is_some_and(|before| {
        // Debuggers write it down as memory that can be read.
        let untouchable = before.perms.as_deref().is_some_and(|perms| !perms.contains('w'));
        before.range.end == start && before.path.is_none() && untouchable
    })
}

#[cfg(test)]
mod tests {
    use super::super::memory_process::{Memory, START};
    use super::*;

    const WORD: Field = Field { size: 8, offset: 0 };

    /// Lists of words: in a list of threads the next one is the first of them and a control block 16 bytes before; of a part
    /// of the list of libraries the words are the next part, how many libraries it has, and for each its map and generation.
    fn layout() -> Layout {
        let at = |offset| Field { size: 8, offset };
        Layout {
            heads: [Head::Program(0); 3],
            size: 64,
            list_next: WORD,
            pthread_list: at(16),
            pthread_tid: Field { size: 4, offset: 24 },
            pthread_dtvp: WORD,
            dtv: Field { size: 16, offset: 0 },
            dtv_counter: WORD,
            dtv_pointer: WORD,
            link_map_modid: at(8),
            link_map_offset: at(16),
            modules_len: at(8),
            modules_next: WORD,
            modules: Field { size: 16, offset: 16 },
            module_gen: at(8),
            module_map: WORD,
        }
    }

    /// Reads `read` through a process with those words, whose lists all begin with the first.
    fn with<T>(words: &[u64], read: impl FnOnce(&Reader<'_>) -> T) -> (T, usize) {
        let (memory, layout) = (Memory::of(words.iter().copied()), layout());
        let found = read(&Reader { process: &memory, layout: &layout, heads: [START; 3] });
        (found, memory.bytes_read())
    }

    #[test]
    fn a_list_of_threads_leads_back_to_its_head() {
        let list = |words: &[u64]| with(words, |reader| reader.list(START));
        assert_eq!(list(&[START]).0, Some(vec![]));
        let two = [START + 16, 0, START + 32, 0, START];
        assert_eq!(list(&two).0, Some(vec![START, START + 16]));
        // Back to an entry, which is read once more, and out of the memory.
        let (found, read) = list(&[START + 16, 0, START + 16]);
        assert_eq!((found, read), (None, 16));
        assert_eq!(list(&[START + 16]).0, None);
        assert_eq!(list(&[]).0, None);
    }

    #[test]
    fn a_list_of_libraries_has_an_end() {
        let modules = |words: &[u64]| with(words, |reader| reader.modules(&[]).map(|found| found.len()));
        let part = START + 8;
        assert_eq!(modules(&[0]).0, Some(0));
        // One part with two places of which none is taken, and one more.
        let slots = [0; 4];
        assert_eq!(modules(&[&[part, 0, 2][..], &slots].concat()).0, Some(0));
        // Of no length, of one that no process has, into itself for ever, and out of the memory.
        assert_eq!(modules(&[part, 0, 0]).0, None);
        assert_eq!(modules(&[part, 0, u64::MAX]).0, None);
        let (found, read) = modules(&[&[part, part, 2][..], &slots].concat());
        assert_eq!(found, None);
        assert!(read < 64 * MOST_MODULES as usize, "{read}");
        assert_eq!(modules(&[part, 0, 2, 0]).0, None);
    }
}
