//! A core file (core(5)): what the kernel or a debugger kept of a process. Its segments are memory, its notes say
//! which files were mapped and what the kernel told the process. The files themselves are those of this system.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use goblin::elf::header::ET_CORE;
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE};
use goblin::elf::section_header::SectionHeader;
use goblin::elf::{Elf, ProgramHeader};

use super::images::{self, VDSO};
use super::{Mapping, Process, Thread};
use crate::arch::Machine;
use crate::error::{Error, ErrorKind, Result};
use crate::session_map::image_tables::{CTX, notes, slice, u32_at, u64_at};

/// Types of notes (elf(5), `linux/elf.h`).
const NT_PRSTATUS: u32 = 1;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_FILE: u32 = 0x4649_4c45;
/// So many segments that the header has no room for their number (gABI: extended numbering).
const PN_XNUM: u16 = 0xffff;
/// Of the auxiliary vector (getauxval(3)).
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;
/// The page that old programs call the kernel by, at the same address everywhere.
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;
pub(super) const VSYSCALL_NAME: &str = "[vsyscall]";

/// A core file, read.
#[derive(Debug)]
pub struct CoreFile<'a> {
    name: String,
    bytes: &'a [u8],
    machine: Machine,
    segments: Vec<ProgramHeader>,
    /// Ranges, offsets in the files, and their paths.
    files: Vec<(Range<u64>, u64, String)>,
    auxiliary: &'a [u8],
    pid: Option<u32>,
    threads: Vec<Thread>,
}

impl<'a> CoreFile<'a> {
    /// Reads the headers and notes of a core file; `name` is what messages call it.
    ///
    /// # Errors
    /// It is none, is cut off, or is of another machine.
    pub fn parse(name: &str, bytes: &'a [u8]) -> Result<Self> {
        let malformed = |message: String| Error::new(ErrorKind::SessionMap, name, message);
        let header = Elf::parse_header(bytes).ok().filter(|header| header.e_type == ET_CORE);
        let Some(header) = header else {
            let message =
                "is no core file: give what the kernel wrote when the process crashed, or `gcore PID`";
            return Err(malformed(message.to_owned()));
        };
        let machine = images::machine(bytes).ok_or_else(|| {
            let message = "is the core file of a machine that this version does not know (64-bit x86-64)";
            Error::new(ErrorKind::NotSupported, name, message)
        })?;
        let read = || -> std::result::Result<Self, String> {
            let mut count = u64::from(header.e_phnum);
            if header.e_phnum == PN_XNUM {
                // With more than fit, the first section says how many.
                slice(bytes, "the first section header", header.e_shoff, 64)?;
                let sections = SectionHeader::parse(bytes, header.e_shoff as usize, 1, CTX);
                let sections = sections.map_err(|error| format!("the first section header: {error}"))?;
                count = sections.first().map_or(0, |section| section.sh_info.into());
            }
            slice(bytes, "the program header table", header.e_phoff, count * 56)?;
            let headers = ProgramHeader::parse(bytes, header.e_phoff as usize, count as usize, CTX)
                .map_err(|error| format!("the program header table: {error}"))?;
            let mut core = CoreFile {
                name: name.to_owned(),
                bytes,
                machine,
                segments: headers.iter().filter(|h| h.p_type == PT_LOAD).cloned().collect(),
                files: Vec::new(),
                auxiliary: &[],
                pid: None,
                threads: Vec::new(),
            };
            core.segments.sort_by_key(|segment| segment.p_vaddr);
            let overlap = |pair: &[ProgramHeader]| pair[1].p_vaddr - pair[0].p_vaddr < pair[0].p_memsz;
            if core.segments.windows(2).any(overlap) {
                return Err("two segments of memory overlap".to_owned());
            }
            for header in headers.iter().filter(|header| header.p_type == PT_NOTE) {
                for note in notes(bytes, header)? {
                    core.add_note(note.name, note.kind, note.contents)?;
                }
            }
            Ok(core)
        };
        let core = read().map_err(malformed)?;
        if core.segments.is_empty() {
            return Err(malformed("holds no memory".to_owned()));
        }
        Ok(core)
    }

    fn add_note(&mut self, name: &[u8], kind: u32, contents: &'a [u8]) -> std::result::Result<(), String> {
        match (name, kind) {
            (b"CORE\0", NT_FILE) => self.files = mapped_files(contents)?,
            (b"CORE\0", NT_AUXV) => self.auxiliary = contents,
            (b"CORE\0", NT_PRSTATUS) => {
                // struct elf_prstatus of 64-bit machines: three integers, a short one, two sets of signals, the number.
                let stack = u64_at(contents, self.machine.arch().stack_pointer_in_core());
                let thread = u32_at(contents, 32).zip(stack);
                self.threads.extend(thread.map(|(number, stack)| Thread { number, stack }));
            }
            // struct elf_prpsinfo of 64-bit machines: four letters, flags, user, group, pid.
            (b"CORE\0", NT_PRPSINFO) => self.pid = u32_at(contents, 24),
            _ => {}
        }
        Ok(())
    }

    fn auxiliary(&self, wanted: u64) -> Option<u64> {
        let mut entries = self.auxiliary.chunks_exact(16);
        entries.find(|entry| u64_at(entry, 0) == Some(wanted)).and_then(|entry| u64_at(entry, 8))
    }

    /// The segments, cut where files begin and end.
    fn pieces(&self) -> Vec<Mapping> {
        let ends: BTreeSet<u64> =
            self.files.iter().flat_map(|(range, ..)| [range.start, range.end]).collect();
        let mut pieces = Vec::new();
        for segment in &self.segments {
            let end = segment.p_vaddr.saturating_add(segment.p_memsz);
            let flag = |bit, letter| if segment.p_flags & bit != 0 { letter } else { '-' };
            let perms: String = [flag(PF_R, 'r'), flag(PF_W, 'w'), flag(PF_X, 'x')].iter().collect();
            let mut start = segment.p_vaddr;
            while start < end {
                let next = ends.range(start + 1..).next().map_or(end, |cut| (*cut).min(end));
                pieces.push(Mapping {
                    range: start..next,
                    offset: 0,
                    perms: Some(perms.clone()),
                    path: None,
                    build_id: None,
                });
                start = next;
            }
        }
        pieces
    }
}

/// What the kernel writes about mapped files: count, page size; start, end, offset in pages for each; then the paths.
fn mapped_files(contents: &[u8]) -> std::result::Result<Vec<(Range<u64>, u64, String)>, String> {
    let field = |index: u64| usize::try_from(index * 8).ok().and_then(|at| u64_at(contents, at));
    let cut_off = || "the note of mapped files is cut off".to_owned();
    let (count, page) = field(0).zip(field(1)).ok_or_else(cut_off)?;
    let names_at = count.checked_mul(24).and_then(|size| size.checked_add(16)).ok_or_else(cut_off)?;
    let mut names = slice(contents, "the list of mapped files", 0, names_at).map(|_| names_at)?;
    let mut files = Vec::new();
    for index in 0..count {
        let entry = |part| field(2 + index * 3 + part).ok_or_else(cut_off);
        let (start, end, offset) = (entry(0)?, entry(1)?, entry(2)?.checked_mul(page).ok_or_else(cut_off)?);
        let rest = contents.get(names as usize..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == 0).ok_or_else(cut_off)?;
        names += length as u64 + 1;
        if start < end {
            files.push((start..end, offset, String::from_utf8_lossy(&rest[..length]).into_owned()));
        }
    }
    files.sort_by_key(|(range, ..)| range.start);
    if files.windows(2).any(|pair| pair[1].0.start < pair[0].0.end) {
        return Err("two mapped files overlap".to_owned());
    }
    Ok(files)
}

impl Process for CoreFile<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn machine(&self) -> Machine {
        self.machine
    }

    fn mappings(&self) -> Result<Vec<Mapping>> {
        let mut by_start: BTreeMap<u64, Mapping> =
            self.pieces().into_iter().map(|piece| (piece.range.start, piece)).collect();
        for (range, offset, path) in &self.files {
            let mut at = range.start;
            // What was not dumped is a gap between the pieces: the file has it.
            while at < range.end {
                let next = by_start.range(at..range.end).next().map(|(start, _)| *start);
                let gap_ends = next.unwrap_or(range.end);
                if at < gap_ends {
                    let gap =
                        Mapping { range: at..gap_ends, offset: 0, perms: None, path: None, build_id: None };
                    by_start.insert(at, gap);
                }
                let Some(mapping) = by_start.get_mut(&at) else {
                    break;
                };
                mapping.offset = offset.wrapping_add(at - range.start);
                mapping.path = Some(path.clone());
                at = mapping.range.end;
            }
        }
        let mut mappings: Vec<Mapping> = by_start.into_values().collect();
        self.name_the_kernels(&mut mappings);
        Ok(mappings)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = address.wrapping_add(done as u64);
            let after = self.segments.partition_point(|segment| segment.p_vaddr <= at);
            let dumped = after.checked_sub(1).map(|index| &self.segments[index]).and_then(|segment| {
                let into = at - segment.p_vaddr;
                let left = segment.p_filesz.checked_sub(into).filter(|left| *left > 0)?;
                let length = left.min((buffer.len() - done) as u64);
                slice(self.bytes, "memory", segment.p_offset.checked_add(into)?, length).ok()
            });
            let part = dumped.ok_or_else(|| io::Error::other("the core file does not hold that memory"))?;
            buffer[done..done + part.len()].copy_from_slice(part);
            done += part.len();
        }
        Ok(())
    }

    fn places(&self, mapping: &Mapping) -> Vec<PathBuf> {
        mapping.path.iter().filter(|path| path.starts_with('/')).map(PathBuf::from).collect()
    }

    fn environment(&self) -> io::Result<Vec<u8>> {
        self.read_environment()
            .ok_or_else(|| io::Error::other("the core file does not hold the start of the stack"))
    }

    fn pid(&self) -> Option<u32> {
        self.pid
    }

    fn perf_map(&self) -> io::Result<Option<Vec<u8>>> {
        // A file of that number in /tmp may be another process's.
        Ok(None)
    }

    fn threads(&self) -> Vec<Thread> {
        let mut threads = self.threads.clone();
        threads.sort_unstable();
        threads
    }
}

impl CoreFile<'_> {
    /// Gives the names back that the kernel shows of a live process's memory and does not write.
    fn name_the_kernels(&self, mappings: &mut [Mapping]) {
        let position = |mappings: &[Mapping], address: u64| {
            mappings.iter().position(|m| m.path.is_none() && m.range.contains(&address))
        };
        for (address, name) in [
            (self.auxiliary(AT_RANDOM), "[stack]"),
            (self.auxiliary(AT_SYSINFO_EHDR), VDSO),
            (Some(VSYSCALL), VSYSCALL_NAME),
        ] {
            if let Some(index) = address.and_then(|address| position(mappings, address)) {
                mappings[index].path = Some(name.to_owned());
            }
        }
        // What that library reads lies right before it.
        let Some(library) = mappings.iter().position(|m| m.path.as_deref() == Some(VDSO)) else {
            return;
        };
        let before = mappings[..=library].windows(2).rev();
        let data = |pair: &&[Mapping]| {
            let readable = pair[0].perms.as_deref() == Some("r--");
            pair[0].path.is_none() && readable && pair[0].range.end == pair[1].range.start
        };
        match before.take_while(data).take(2).count() {
            0 => {}
            1 => mappings[library - 1].path = Some("[vvar]".to_owned()),
            _ => {
                mappings[library - 2].path = Some("[vvar]".to_owned());
                mappings[library - 1].path = Some("[vvar_vclock]".to_owned());
            }
        }
    }

    /// The environment that the process was started with: the pointers to it lie right before the auxiliary vector at
    /// the start of the stack (psABI: initial stack and register state).
    fn read_environment(&self) -> Option<Vec<u8>> {
        let random = self.auxiliary(AT_RANDOM)?;
        let index = self.segments.partition_point(|s| s.p_vaddr <= random).checked_sub(1)?;
        let stack = &self.segments[index];
        let memory = slice(self.bytes, "the stack", stack.p_offset, stack.p_filesz).ok()?;
        let words = memory.len() / 8;
        let vector = self.auxiliary.len() / 8;
        let word = |index: usize| u64_at(memory, index * 8).unwrap_or(0);
        let first = u64_at(self.auxiliary, 0)?;
        // It lies near the end, below the strings.
        let at = (1..=words.checked_sub(vector)?).rev().find(|&at| {
            word(at) == first && memory.get(at * 8..(at + vector) * 8) == self.auxiliary.get(..vector * 8)
        })?;
        let pointers = (0..at.checked_sub(1)?).rev().map(word).take_while(|pointer| *pointer != 0);
        let mut environment = Vec::new();
        for pointer in pointers {
            let into = usize::try_from(pointer.checked_sub(stack.p_vaddr)?).ok()?;
            let rest = memory.get(into..)?;
            let length = rest.iter().position(|&byte| byte == 0)?;
            environment.extend_from_slice(&rest[..=length]);
            if environment.len() > memory.len() {
                return None;
            }
        }
        Some(environment)
    }
}
