//! The symbol tables of a mapped file: which name an address in it has for other objects, or why it has none.
//! Every offset and count in the file is checked: images are input like any other.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::OnceLock;

use goblin::elf::dynamic::{DF_1_PIE, DT_FLAGS_1, DT_SONAME};
use goblin::elf::header::{EI_CLASS, EI_DATA, ELFCLASS64, ELFDATA2LSB, ELFMAG, ET_DYN, ET_EXEC};
use goblin::elf::program_header::PT_INTERP;
use goblin::elf::section_header::{
    SHF_ALLOC, SHN_ABS, SHN_COMMON, SHN_UNDEF, SHT_FINI_ARRAY, SHT_INIT_ARRAY, SHT_NOBITS, SHT_PROGBITS,
    SHT_SYMTAB, SectionHeader,
};
use goblin::elf::sym::{
    STB_GLOBAL, STB_GNU_UNIQUE, STB_WEAK, STT_COMMON, STT_FILE, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE,
    STT_OBJECT, STT_SECTION, STT_TLS, STV_DEFAULT, STV_HIDDEN, STV_PROTECTED,
};
use goblin::elf::{Elf, ProgramHeader, Sym};

use super::Files;
use super::debug_names::{DebugNames, Hints};
use super::dynamic_symbols::{DynamicSymbols, Version, dynamic_strings};
use super::image_tables::{CTX, Dynamic, PAGE, Segment, build_id, name_in, segments, slice, symbol_table};
use super::intervals::Innermost;

/// Why a defined symbol names nothing for other objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Local or hidden.
    NotExported,
    /// Not the default version, or `GLIBC_PRIVATE`.
    Version,
    /// Every link makes its own: `_end`.
    LinkerDefined,
}

/// How good a name is: the order among aliases begins with this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    ExportedGlobal,
    ExportedWeak,
    Global,
    Weak,
    None(Why),
}

impl Rank {
    fn names(self) -> bool {
        !matches!(self, Rank::None(_))
    }

    /// Smaller is better: other objects' names before those that only a program's own objects can use.
    fn visibility(self) -> u8 {
        match self {
            Rank::ExportedGlobal | Rank::ExportedWeak => 0,
            Rank::Global | Rank::Weak => 1,
            Rank::None(_) => 2,
        }
    }

    fn weak(self) -> bool {
        matches!(self, Rank::ExportedWeak | Rank::Weak)
    }
}

#[derive(Debug, Clone, Copy)]
struct ImageSymbol {
    value: u64,
    size: u64,
    /// Offset in its string table.
    name: u32,
    /// Which string table: 0 `.dynstr`, 1 `.strtab`.
    table: u8,
    /// Addresses inside it are as good as its own.
    data: bool,
    /// An indirect function: its value is that of its resolver.
    indirect: bool,
    rank: Rank,
    /// The number of its version; 0: none.
    version: u16,
}

impl ImageSymbol {
    /// Whether its address has its name for others.
    fn names(&self) -> bool {
        self.rank.names() && !self.indirect
    }
}

/// What an image exports under a name.
pub(super) struct Export<'a> {
    /// As the file counts; of an indirect function, its resolver's.
    pub(super) address: u64,
    pub(super) indirect: bool,
    pub(super) version: Option<&'a str>,
}

/// How the address that a name has in one process is like the one it has in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// As the program's own: loaded from the same file, it keeps its place in the page.
    Page,
    /// As a library's function, for which a program at a fixed address has an entry of its own.
    Function,
    /// As a library's variable in a section of that alignment: a program that refers to it directly has a copy.
    Variable(u64),
}

/// What a file's symbol tables say.
#[derive(Debug)]
pub(super) struct Image {
    /// By the file's program headers.
    pub(super) segments: Vec<Segment>,
    /// In lower-case hexadecimal.
    pub(super) build_id: Option<String>,
    /// It is loaded where its addresses say, and nowhere else (`ET_EXEC`).
    pub(super) fixed: bool,
    /// It is a program, not a library.
    executable: bool,
    /// It is a program that no dynamic linker loads.
    alone: bool,
    /// `DT_SONAME`.
    soname: Option<String>,
    /// It has its full symbol table, so that no other file knows more.
    full: bool,
    hints: Hints,
    /// Its own names that another file has, once they were needed.
    debug_names: OnceLock<Option<DebugNames>>,
    strings: [Vec<u8>; 2],
    /// Versions by their number.
    versions: HashMap<u16, String>,
    /// By value, then in SPEC 5's order of preference.
    symbols: Vec<ImageSymbol>,
    /// The sections that are loaded, and the alignment of each.
    sections: Vec<(Range<u64>, u64)>,
    /// Where its code and data are: all that is loaded but the tables that it is loaded and linked by.
    contents: Vec<Range<u64>>,
    /// Named variables with a size.
    variables: Innermost,
    /// Named symbols by the hash of their name.
    by_name: Vec<(u64, u32)>,
}

/// How many times the bytes of their table the names of all symbols may have together. Linkers let names share
/// their ends; names that all share one long end would take forever to read and sort.
const NAME_BYTES: u64 = 16;

fn hash(name: &str) -> u64 {
    // With its fixed keys, so that nothing differs between runs.
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// Names that linkers and startup files define in every image anew: one image's says nothing about another's.
fn is_linker_defined(name: &str, size: u64) -> bool {
    const NAMES: [&str; 34] = [
        "_DYNAMIC",
        "_GLOBAL_OFFSET_TABLE_",
        "_IO_stdin_used",
        "_PROCEDURE_LINKAGE_TABLE_",
        "_TLS_MODULE_BASE_",
        "__FRAME_END__",
        "__GNU_EH_FRAME_HDR",
        "__TMC_END__",
        "__bss_end__",
        "__bss_start",
        "__bss_start__",
        "__data_start",
        "__dso_handle",
        "__ehdr_start",
        "__end__",
        "__etext",
        "__executable_start",
        "__fini_array_end",
        "__fini_array_start",
        "__init_array_end",
        "__init_array_start",
        "__preinit_array_end",
        "__preinit_array_start",
        "_bss_end__",
        "_edata",
        "_end",
        "_etext",
        "_fini",
        "_init",
        "_start",
        "data_start",
        "edata",
        "end",
        "etext",
    ];
    debug_assert!(NAMES.is_sorted());
    let of_section = name.starts_with("__start_") || name.starts_with("__stop_");
    // Anyone may call a variable of their own `end`; the linker's has no size.
    let anyones = !name.starts_with('_') && size > 0;
    !anyones && (of_section || NAMES.binary_search(&name).is_ok())
}

/// The order among names of one address: exported, no leading underscore, global before weak, short, first in byte
/// order. To a dynamic linker a weak definition is as good as a global one; glibc makes its public names weak and
/// what they stand for global (`puts`, `_IO_puts`), and names with an underscore belong to one implementation
/// (C11 7.1.3).
fn preference(rank: Rank, name: &str) -> (u8, bool, bool, usize, &str) {
    (rank.visibility(), name.starts_with('_'), rank.weak(), name.len(), name)
}

fn loaded_sections(sections: &[SectionHeader]) -> Vec<(Range<u64>, u64)> {
    let loaded = sections.iter().filter(|s| s.sh_flags & u64::from(SHF_ALLOC) != 0);
    loaded.map(|s| (s.sh_addr..s.sh_addr.saturating_add(s.sh_size), s.sh_addralign.max(1))).collect()
}

/// Where code and data are; what has no section headers may have them everywhere.
fn contents(sections: &[SectionHeader], segments: &[Segment]) -> Vec<Range<u64>> {
    if sections.is_empty() {
        return segments.iter().map(|s| s.address..s.address.saturating_add(s.memory_size)).collect();
    }
    let contents = [SHT_PROGBITS, SHT_NOBITS, SHT_INIT_ARRAY, SHT_FINI_ARRAY];
    let contents: Vec<SectionHeader> =
        sections.iter().filter(|s| contents.contains(&s.sh_type)).cloned().collect();
    loaded_sections(&contents).into_iter().map(|(range, _)| range).collect()
}

impl Image {
    /// Reads a file; `None`: it is no program or library of a 64-bit little-endian machine.
    ///
    /// # Errors
    /// What contradicts the format, with its offset.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Image>, String> {
        if !bytes.starts_with(ELFMAG) {
            return Ok(None);
        }
        let class = (bytes.get(EI_CLASS), bytes.get(EI_DATA));
        if bytes.len() < 64 {
            return Err(format!("the file header is cut off at {:#x}", bytes.len()));
        }
        if class != (Some(&ELFCLASS64), Some(&ELFDATA2LSB)) {
            return Ok(None);
        }
        let header = Elf::parse_header(bytes).map_err(|error| format!("the file header: {error}"))?;
        if header.e_type != ET_DYN && header.e_type != ET_EXEC {
            return Ok(None);
        }
        slice(bytes, "the program header table", header.e_phoff, u64::from(header.e_phnum) * 56)?;
        let program_headers =
            ProgramHeader::parse(bytes, header.e_phoff as usize, header.e_phnum.into(), CTX)
                .map_err(|error| format!("the program header table: {error}"))?;
        let segments = segments(bytes, &program_headers)?;
        let dynamic = Dynamic::read(bytes, &program_headers)?;
        let sections = match header.e_shoff {
            0 => Vec::new(),
            offset => {
                // The first entry says how many there are when the header has no room for it.
                slice(bytes, "the section header table", offset, u64::from(header.e_shnum.max(1)) * 64)?;
                SectionHeader::parse(bytes, offset as usize, header.e_shnum.into(), CTX)
                    .map_err(|error| format!("the section header table: {error}"))?
            }
        };

        let interpreter = program_headers.iter().any(|p| p.p_type == PT_INTERP);
        let dynstr = dynamic_strings(bytes, &segments, &dynamic)?;
        let soname = dynamic.get(DT_SONAME).and_then(|offset| name_in(dynstr, offset)).map(str::to_owned);
        // libc.so.6 and libpthread.so.0 have an interpreter, too: they can be run to print their version.
        let pie = dynamic.get(DT_FLAGS_1).is_some_and(|flags| flags & DF_1_PIE != 0);
        let executable = header.e_type == ET_EXEC || pie || (interpreter && soname.is_none());

        let mut image = Image {
            build_id: build_id(bytes, &program_headers)?,
            contents: contents(&sections, &segments),
            segments,
            fixed: header.e_type == ET_EXEC,
            executable,
            alone: executable && !interpreter,
            soname,
            full: sections.iter().any(|s| s.sh_type == SHT_SYMTAB),
            hints: Hints::read(bytes),
            debug_names: OnceLock::new(),
            strings: [dynstr.to_vec(), Vec::new()],
            versions: HashMap::new(),
            symbols: Vec::new(),
            sections: loaded_sections(&sections),
            variables: Innermost::default(),
            by_name: Vec::new(),
        };
        image.add_exported(bytes, &dynamic, &sections)?;
        image.add_all(bytes, &sections)?;
        image.index();
        Ok(Some(image))
    }

    /// The dynamic symbol table: names for other objects.
    fn add_exported(
        &mut self,
        bytes: &[u8],
        dynamic: &Dynamic,
        sections: &[SectionHeader],
    ) -> Result<(), String> {
        let Some(table) = DynamicSymbols::read(bytes, &self.segments, dynamic, sections)? else {
            return Ok(());
        };
        self.versions = table.version_names();
        let mut names = 0;
        for index in 0..table.count() {
            let Some(symbol) = table.get(index) else {
                break;
            };
            let version_why = match table.version(index) {
                Version::Local => Some(Why::NotExported),
                Version::Other(_) | Version::Default("GLIBC_PRIVATE") => Some(Why::Version),
                Version::None | Version::Default(_) => None,
            };
            names += self.add(&symbol, 0, table.version_number(index), |binding| match version_why {
                Some(why) => Rank::None(why),
                None if binding == STB_WEAK => Rank::ExportedWeak,
                None => Rank::ExportedGlobal,
            });
            self.check_names(0, names)?;
        }
        Ok(())
    }

    /// The full symbol table: names for those who link with an executable's objects, explanations for the rest.
    fn add_all(&mut self, bytes: &[u8], sections: &[SectionHeader]) -> Result<(), String> {
        let Some(table) = sections.iter().find(|s| s.sh_type == SHT_SYMTAB) else {
            return Ok(());
        };
        let strings = sections.get(table.sh_link as usize).ok_or("the symbol table has no string table")?;
        self.strings[1] = slice(bytes, "the string table", strings.sh_offset, strings.sh_size)?.to_vec();
        if table.sh_size < 24 {
            return Ok(());
        }
        let executable = self.executable;
        let mut names = 0;
        for symbol in symbol_table(bytes, "the symbol table", table.sh_offset, table.sh_size / 24)?.iter() {
            names += self.add(&symbol, 1, 0, |binding| match executable {
                false => Rank::None(Why::NotExported),
                true if binding == STB_WEAK => Rank::Weak,
                true => Rank::Global,
            });
            self.check_names(1, names)?;
        }
        Ok(())
    }

    fn check_names(&self, table: usize, bytes: usize) -> Result<(), String> {
        let limit = (self.strings[table].len() as u64).saturating_mul(NAME_BYTES);
        match bytes as u64 > limit {
            true => {
                Err(format!("its symbols' names have more than {NAME_BYTES} times the bytes of their table"))
            }
            false => Ok(()),
        }
    }

    /// Adds a symbol if it is one with an address; how many bytes of its name were read.
    fn add(&mut self, symbol: &Sym, table: u8, version: u16, rank: impl Fn(u8) -> Rank) -> usize {
        let undefined = [SHN_UNDEF, SHN_ABS, SHN_COMMON].contains(&(symbol.st_shndx as u32));
        let kind = symbol.st_type();
        if undefined || [STT_SECTION, STT_FILE, STT_TLS].contains(&kind) {
            return 0;
        }
        let Some(segment) = self.segment(symbol.st_value) else {
            return 0;
        };
        let Some(name) = name_in(&self.strings[usize::from(table)], symbol.st_name as u64) else {
            return 0;
        };
        let length = name.len();
        // The program's own objects can refer to what it hides, as a static libc does. In a static executable at any
        // address linkers have made that local; of indirect functions there are too few to mistake another for one.
        let own = table == 1 && self.executable;
        let hidden = own && symbol.st_visibility() == STV_HIDDEN;
        let visible = hidden || [STV_DEFAULT, STV_PROTECTED].contains(&symbol.st_visibility());
        let chosen = own && self.alone && kind == STT_GNU_IFUNC;
        let bound = chosen || [STB_GLOBAL, STB_WEAK, STB_GNU_UNIQUE].contains(&symbol.st_bind());
        let rank = if !bound || !visible {
            Rank::None(Why::NotExported)
        } else if is_linker_defined(name, symbol.st_size) {
            Rank::None(Why::LinkerDefined)
        } else if table == 1 && name.contains('@') {
            // The dynamic symbol table has the name, and knows whether the version is the default one.
            Rank::None(Why::Version)
        } else {
            rank(symbol.st_bind())
        };
        let code = kind == STT_FUNC || (kind == STT_NOTYPE && segment.executable && !segment.writable);
        self.symbols.push(ImageSymbol {
            value: symbol.st_value,
            size: symbol.st_size,
            name: symbol.st_name as u32,
            table,
            data: !code && [STT_OBJECT, STT_COMMON, STT_NOTYPE].contains(&kind),
            indirect: kind == STT_GNU_IFUNC,
            rank,
            version,
        });
        length
    }

    fn index(&mut self) {
        let mut symbols = std::mem::take(&mut self.symbols);
        symbols.sort_unstable_by(|a, b| {
            let name = |s: &ImageSymbol| self.name(s).map(|name| (s.indirect, preference(s.rank, name)));
            // Names are read only where they decide.
            let first = a.value.cmp(&b.value);
            first.then_with(|| (name(a), a.table, a.size).cmp(&(name(b), b.table, b.size)))
        });
        self.symbols = symbols;
        let numbered = || (0u32..).zip(&self.symbols).filter(|(_, s)| s.rank.names());
        let sized = numbered().filter(|(_, s)| s.data && s.size > 0 && !s.indirect);
        self.variables = Innermost::new(sized.map(|(i, s)| (s.value..s.value.saturating_add(s.size), i)));
        let names = numbered().filter_map(|(i, s)| self.name(s).map(|name| (hash(name), i)));
        self.by_name = names.collect();
        self.by_name.sort_unstable();
    }

    fn name(&self, symbol: &ImageSymbol) -> Option<&str> {
        name_in(&self.strings[usize::from(symbol.table)], symbol.name.into())
    }

    /// The library that exports its names: by `DT_SONAME`, else by the file's name; none if it is a program.
    pub(super) fn library(&self, path: &str) -> Option<String> {
        let name = || path.rsplit('/').next().unwrap_or(path).to_owned();
        (!self.executable).then(|| self.soname.clone().unwrap_or_else(name))
    }

    /// The page of the file's lowest address: it is loaded at this plus the distance of all its addresses.
    pub(super) fn first_page(&self) -> u64 {
        self.segments.first().map_or(0, |s| s.address & !(PAGE - 1))
    }

    /// The loaded segment around an address of the file.
    pub(super) fn segment(&self, address: u64) -> Option<&Segment> {
        let inside = |s: &&Segment| address.checked_sub(s.address).is_some_and(|n| n < s.memory_size);
        self.segments.iter().find(inside)
    }

    /// The best symbol at an address of the file, or the variable around it.
    fn symbol_at(&self, address: u64) -> Option<&ImageSymbol> {
        let first = self.symbols.partition_point(|s| s.value < address);
        let exact = self.symbols.get(first).filter(|s| s.value == address && s.names());
        exact.or_else(|| self.symbols.get(self.variables.at(address)? as usize))
    }

    /// The name that other objects reach an address of the file by, and how many bytes behind it the address lies.
    pub(super) fn name_at(&self, address: u64) -> Option<(&str, u64)> {
        let best = self.symbol_at(address)?;
        Some((self.name(best)?, address - best.value))
    }

    /// The size of the variable around an address of the file; 0: it is none, or has none.
    pub(super) fn extent(&self, address: u64) -> u64 {
        self.symbol_at(address).filter(|s| s.data).map_or(0, |s| s.size)
    }

    /// Whether a symbol, exported or not, begins at an address of the file; `None`: neither code nor data are there, nor
    /// end there.
    pub(super) fn begins_at(&self, address: u64) -> Option<bool> {
        let inside = self.contents.iter().any(|range| range.start <= address && address <= range.end);
        let first = self.symbols.partition_point(|s| s.value < address);
        inside.then(|| self.symbols.get(first).is_some_and(|s| s.value == address))
    }

    /// Where the file defines a symbol of that name, exported or not.
    pub(super) fn definition(&self, name: &str) -> Option<u64> {
        self.symbols.iter().find(|s| self.name(s) == Some(name)).map(|s| s.value)
    }

    /// The name of each address that has one, with the size of a variable; a function's is 0.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        let named = self.symbols.iter().filter(|s| s.names());
        let mut last = None;
        let first = named.filter(move |s| last.replace(s.value) != Some(s.value));
        first.filter_map(|s| Some((self.name(s)?, s.value, if s.data { s.size } else { 0 })))
    }

    /// How the address of a name that other objects reach there is like that in another process; `None`: it has no
    /// such name.
    pub(super) fn likeness(&self, name: &str, address: u64) -> Option<Likeness> {
        let first = self.symbols.partition_point(|s| s.value < address);
        let here = self.symbols[first..].iter().take_while(|s| s.value == address);
        let symbol = here.into_iter().find(|s| s.names() && self.name(s) == Some(name))?;
        if self.executable {
            return Some(Likeness::Page);
        }
        if !symbol.data {
            return Some(Likeness::Function);
        }
        let home = self.sections.iter().find(|(range, _)| range.contains(&address));
        Some(Likeness::Variable(home.map_or(1, |(_, align)| *align)))
    }

    /// What an address of the file is that [`Self::name_at`] has no name for; `file` is what to call the file.
    pub(super) fn explain(&self, address: u64, file: &str, files: &dyn Files) -> String {
        let distance = |n: u64| {
            if n == 0 { String::new() } else { format!("{n:#x} bytes into ") }
        };
        // The nearest symbol that contains it, and the best name there; nested ones begin close to each other.
        let after = self.symbols.partition_point(|s| s.value <= address);
        let nearby =
            self.symbols[..after].iter().rev().take(64).filter(|s| address - s.value < s.size.max(1));
        let start = nearby.clone().next().map(|s| s.value);
        let aliases = nearby.filter(|s| Some(s.value) == start).filter_map(|s| Some((s, self.name(s)?)));
        let around = aliases.min_by_key(|(s, name)| preference(s.rank, name));
        if let Some((symbol, name)) = around {
            let into = distance(address - symbol.value);
            return match symbol.rank {
                Rank::None(Why::NotExported) => {
                    let nearest = self.nearest_export(address);
                    format!("is {into}`{name}`, which {file} does not export{nearest}")
                }
                Rank::None(Why::Version) => {
                    format!(
                        "is {into}`{name}` of {file}, in a version that no unversioned reference binds to"
                    )
                }
                _ if symbol.indirect => {
                    format!("is {into}the resolver of the indirect function `{name}` of {file}")
                }
                Rank::None(Why::LinkerDefined) => {
                    format!("is {into}`{name}` of {file}, which every program and library has of its own")
                }
                _ => format!("is {into}the function `{name}` of {file}, and only its start has a name"),
            };
        }
        let nearest = self.nearest_export(address);
        let find = || DebugNames::find(file, self.build_id.as_deref(), &self.hints, files);
        let own = if self.full { None } else { self.debug_names.get_or_init(find).as_ref() };
        match own.and_then(|names| names.at(address)) {
            Some((name, into)) => {
                format!("is {}`{name}`, which {file} does not export{nearest}", distance(into))
            }
            None if !self.symbols.iter().any(ImageSymbol::names) => {
                format!("is in {file}, an image without symbols")
            }
            None => format!("is private to {file}{nearest}"),
        }
    }

    /// Which name for others comes before an address, and how far, to be put behind what the address is.
    fn nearest_export(&self, address: u64) -> String {
        let after = self.symbols.partition_point(|s| s.value <= address);
        let before = self.symbols[..after].iter().rev().find(|s| s.names());
        let first = before.map(|s| self.symbols.partition_point(|other| other.value < s.value));
        let best = first.and_then(|first| self.symbols.get(first));
        match best.and_then(|s| Some((self.name(s)?, s))) {
            Some((name, symbol)) => {
                format!(": the nearest name before it is `{name}`, {:#x} bytes away", address - symbol.value)
            }
            None => ", before its first name".to_owned(),
        }
    }

    /// The symbols of a name, indirect functions included.
    fn symbols_named(&self, name: &str) -> impl Iterator<Item = &ImageSymbol> {
        let wanted = hash(name);
        let first = self.by_name.partition_point(|(hash, _)| *hash < wanted);
        let same = self.by_name[first..].iter().take_while(move |(hash, _)| *hash == wanted);
        let symbols = same.filter_map(|(_, index)| self.symbols.get(*index as usize));
        symbols.filter(move |s| self.name(s) == Some(name))
    }

    /// What other images get that refer to a name without a version.
    pub(super) fn export(&self, name: &str) -> Option<Export<'_>> {
        let exported = self.symbols_named(name).find(|s| s.rank.visibility() == 0)?;
        let version = self.versions.get(&exported.version).map(String::as_str);
        Some(Export { address: exported.value, indirect: exported.indirect, version })
    }

    /// The indirect functions that have a name: by resolver, then in the order among aliases.
    pub(super) fn indirect_functions(&self) -> impl Iterator<Item = (&str, u64)> {
        let indirect = self.symbols.iter().filter(|s| s.indirect && s.rank.names());
        indirect.filter_map(|s| Some((self.name(s)?, s.value)))
    }

    /// The addresses in the file that other objects reach by a name: sorted, without duplicates.
    pub(super) fn addresses_of(&self, name: &str) -> Vec<u64> {
        let named: Vec<&ImageSymbol> = self.symbols_named(name).filter(|s| !s.indirect).collect();
        // An executable's exported name wins over another of the same name that it keeps to itself.
        let best = named.iter().map(|s| s.rank.visibility()).min();
        let best = named.iter().filter(|s| Some(s.rank.visibility()) == best);
        let mut addresses: Vec<u64> = best.map(|s| s.value).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}
