//! Where an image keeps what was bound when it was loaded: the words of its global offset table with the name or the
//! resolver that each is for, and the stubs that stand for functions of others. From the file; what the process holds
//! there is for whoever reads its memory.

use std::collections::HashMap;

use goblin::elf::dynamic::{DT_JMPREL, DT_PLTREL, DT_PLTRELSZ, DT_RELA, DT_RELASZ};
use goblin::elf::header::{ET_EXEC, Header};
use goblin::elf::reloc::{R_X86_64_GLOB_DAT, R_X86_64_IRELATIVE, R_X86_64_JUMP_SLOT};
use goblin::elf::section_header::{SHF_EXECINSTR, SHN_UNDEF, SHT_PROGBITS, SHT_RELA, SectionHeader};
use goblin::elf::sym::{STT_FUNC, STT_GNU_IFUNC};
use goblin::elf::{Elf, ProgramHeader};

use super::dynamic_symbols::{DynamicSymbols, Version};
use super::image_tables::{CTX, Dynamic, Segment, file_offset, name_in, segments, slice, u64_at};
use crate::arch::{Machine, PcUse};

/// A name of another image, as an image refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: String,
    /// The version that it was linked against.
    pub(super) version: Option<String>,
}

/// What a word is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    /// Whatever that name means.
    Name(Reference),
    /// What the resolver at this address of the file answers (`IRELATIVE`).
    Resolver(u64),
}

/// A word that the dynamic linker fills.
#[derive(Debug)]
pub(super) struct Word {
    /// Its address, as the file counts.
    pub(super) address: u64,
    /// What the file has there: a lazily bound word points to its stub until the first call.
    pub(super) before: u64,
    pub(super) bound: Bound,
}

/// What an image has bound.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    pub(super) words: Vec<Word>,
    /// In a program at a fixed address, a function of a library has the address of a stub of the program's.
    pub(super) stubs: Vec<(Reference, u64)>,
    /// In a program without a dynamic linker, an indirect function has the address of code that jumps to what a word
    /// holds.
    pub(super) jumps: Vec<Jump>,
}

/// An entry of the procedure linkage table.
#[derive(Debug)]
pub(super) struct Jump {
    /// Where the code is, as the file counts.
    pub(super) entry: u64,
    /// Where the word is that says where it jumps to.
    pub(super) word: u64,
    /// The program's code has its address, and does not only go there.
    pub(super) taken: bool,
}

impl Bindings {
    /// Reads them from an image's file.
    ///
    /// # Errors
    /// What contradicts the format.
    pub(super) fn parse(bytes: &[u8]) -> Result<Bindings, String> {
        let header = Elf::parse_header(bytes).map_err(|error| format!("the file header: {error}"))?;
        let program_headers =
            ProgramHeader::parse(bytes, header.e_phoff as usize, header.e_phnum.into(), CTX)
                .map_err(|error| format!("the program header table: {error}"))?;
        let segments = segments(bytes, &program_headers)?;
        let dynamic = Dynamic::read(bytes, &program_headers)?;
        let sections = SectionHeader::parse(bytes, header.e_shoff as usize, header.e_shnum.into(), CTX)
            .unwrap_or_default();
        let symbols = DynamicSymbols::read(bytes, &segments, &dynamic, &sections)?;

        let mut bindings = Bindings::default();
        let mut tables = Vec::new();
        let mut add = |address: Option<u64>, size: Option<u64>| -> Result<(), String> {
            if let (Some(address), Some(size)) = (address, size) {
                let offset = file_offset(&segments, address)?;
                tables.push(slice(bytes, "a relocation table", offset, size)?);
            }
            Ok(())
        };
        add(dynamic.get(DT_RELA), dynamic.get(DT_RELASZ))?;
        if dynamic.get(DT_PLTREL) == Some(DT_RELA) {
            add(dynamic.get(DT_JMPREL), dynamic.get(DT_PLTRELSZ))?;
        }
        if dynamic.is_empty() && header.e_type == ET_EXEC {
            // A static executable's startup code finds its table by symbols, which need not be there.
            for section in sections.iter().filter(|s| s.sh_type == SHT_RELA) {
                tables.push(slice(bytes, "a relocation table", section.sh_offset, section.sh_size)?);
            }
            bindings.add_jumps(bytes, &header, &sections)?;
        }
        for table in tables {
            bindings.add_table(table, bytes, &segments, symbols.as_ref());
        }
        if let Some(symbols) = &symbols {
            bindings.add_stubs(symbols);
        }
        Ok(bindings)
    }

    /// Elf64_Rela: where, symbol and type, addend.
    fn add_table(
        &mut self,
        table: &[u8],
        bytes: &[u8],
        segments: &[Segment],
        symbols: Option<&DynamicSymbols<'_>>,
    ) {
        for entry in table.chunks_exact(24) {
            let field = |at| u64_at(entry, at).unwrap_or(0);
            let (address, info, addend) = (field(0), field(8), field(16));
            let bound = match info as u32 {
                R_X86_64_GLOB_DAT | R_X86_64_JUMP_SLOT => {
                    match symbols.and_then(|symbols| reference(symbols, (info >> 32) as usize)) {
                        Some(reference) => Bound::Name(reference),
                        None => continue,
                    }
                }
                R_X86_64_IRELATIVE => Bound::Resolver(addend),
                // A pointer in data may have been overwritten by the program; these are the linker's own.
                _ => continue,
            };
            let there = file_offset(segments, address).ok().and_then(|at| usize::try_from(at).ok());
            let before = there.and_then(|at| u64_at(bytes, at)).unwrap_or(0);
            self.words.push(Word { address, before, bound });
        }
    }

    /// The procedure linkage table, by its section's name: `.plt`, `.iplt`, `.plt.sec`.
    fn add_jumps(&mut self, bytes: &[u8], header: &Header, sections: &[SectionHeader]) -> Result<(), String> {
        let arch = Machine::X86_64.arch();
        let names = sections.get(usize::from(header.e_shstrndx)).ok_or("the sections have no names")?;
        let names = slice(bytes, "the section names", names.sh_offset, names.sh_size)?;
        let is_table = |section: &&SectionHeader| {
            let name = name_in(names, section.sh_name as u64).unwrap_or_default();
            name.starts_with(".plt") || name == ".iplt"
        };
        let executable = |s: &&SectionHeader| s.sh_flags & u64::from(SHF_EXECINSTR) != 0;
        let code = sections.iter().filter(|s| s.sh_type == SHT_PROGBITS).filter(executable);
        let (tables, others): (Vec<&SectionHeader>, Vec<&SectionHeader>) = code.partition(is_table);
        for section in tables {
            let code = slice(bytes, "the procedure linkage table", section.sh_offset, section.sh_size)?;
            arch.decode(code, 0..code.len() as u64, &mut |instruction| {
                let start = instruction.offset as usize;
                let text = code.get(start..start + usize::from(instruction.length)).unwrap_or_default();
                let read = instruction.reference.filter(|r| r.usage == PcUse::Memory && r.size == 8);
                if let Some(reference) = read.filter(|_| arch.leaves(text)) {
                    // An entry has 8 or 16 bytes, and may begin with a landing pad.
                    let entry = section.sh_addr.wrapping_add(instruction.offset) & !7;
                    let word = section.sh_addr.wrapping_add(reference.target);
                    self.jumps.push(Jump { entry, word, taken: false });
                }
            });
        }
        self.mark_taken(bytes, &others)
    }

    /// Looks for the entries' addresses in the program's code. A word of data gets one only where code has it, too: else
    /// linkers have it filled as the global offset table is.
    fn mark_taken(&mut self, bytes: &[u8], sections: &[&SectionHeader]) -> Result<(), String> {
        let mut entries: HashMap<u64, &mut bool> =
            self.jumps.iter_mut().map(|jump| (jump.entry, &mut jump.taken)).collect();
        let mut mark = |address: u64| {
            if let Some(taken) = entries.get_mut(&address) {
                **taken = true;
            }
        };
        for section in sections {
            let code = slice(bytes, "a section", section.sh_offset, section.sh_size)?;
            Machine::X86_64.arch().decode(code, 0..code.len() as u64, &mut |instruction| {
                let computed = instruction.reference.filter(|r| r.usage == PcUse::Address);
                let computed = computed.map(|r| section.sh_addr.wrapping_add(r.target));
                computed.into_iter().for_each(&mut mark);
                instruction.operands.iter().flatten().for_each(|operand| mark(operand.value));
            });
        }
        Ok(())
    }

    /// Undefined functions with an address (psABI: function addresses).
    fn add_stubs(&mut self, symbols: &DynamicSymbols<'_>) {
        for index in 1..symbols.count() {
            let Some(symbol) = symbols.get(index) else {
                break;
            };
            // mold gives it the type that it has where it is defined.
            let function = [STT_FUNC, STT_GNU_IFUNC].contains(&symbol.st_type());
            let stub = symbol.st_shndx as u32 == SHN_UNDEF && symbol.st_value != 0 && function;
            if let Some(reference) = stub.then(|| reference(symbols, index)).flatten() {
                self.stubs.push((reference, symbol.st_value));
            }
        }
    }
}

fn reference(symbols: &DynamicSymbols<'_>, index: usize) -> Option<Reference> {
    let symbol = symbols.get(index).filter(|_| index > 0)?;
    let name = symbols.name(&symbol)?.to_owned();
    let version = match symbols.version(index) {
        Version::Default(version) | Version::Other(version) => Some(version.to_owned()),
        Version::None => None,
        Version::Local => return None,
    };
    Some(Reference { name, version })
}
