//! What a file calls its own functions and variables that its symbols for other objects do not say: read from a
//! separate debug file, or from the small table that some distributions pack into the file itself. People read these
//! names in messages; nothing is linked by them. What cannot be found or read is not known.

use std::io::Read;
use std::path::{Path, PathBuf};

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SymbolIndex, SymbolKind};

use super::Files;

/// Where debuggers look for separate debug files (GDB manual, "Separate Debug Files").
const DEBUG_FOLDER: &str = "/usr/lib/debug";
/// Those beside the file itself.
const BESIDE: &str = ".debug";

/// The table is a symbol table without debug information: a large one is some MiB.
const UNPACKED_LIMIT: u64 = 64 << 20;
/// Memory for unpacking, in KiB: xz's strongest preset needs as much.
const UNPACKING_MEMORY: u32 = 80 << 10;

/// A file's hints at names elsewhere.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// `.gnu_debuglink`: a file's name, and the CRC-32 of its contents.
    link: Option<(String, u32)>,
    /// `.gnu_debugdata`: an object file with a symbol table, packed by xz.
    packed: Vec<u8>,
}

impl Hints {
    pub(super) fn read(bytes: &[u8]) -> Hints {
        let Ok(file) = ElfFile64::<LittleEndian>::parse(bytes) else {
            return Hints::default();
        };
        let link = file.gnu_debuglink().ok().flatten();
        let link = link.and_then(|(name, crc)| Some((std::str::from_utf8(name).ok()?.to_owned(), crc)));
        let packed = file.section_by_name(".gnu_debugdata").and_then(|section| section.data().ok());
        Hints {
            // A name, and no way out of the folders that are looked in.
            link: link.filter(|(name, _)| !name.contains('/') && !name.is_empty()),
            packed: packed.unwrap_or_default().to_vec(),
        }
    }
}

/// The names that a file has for itself.
#[derive(Debug)]
pub(super) struct DebugNames {
    bytes: Vec<u8>,
    /// Address, size and index of functions and variables, sorted.
    symbols: Vec<(u64, u64, SymbolIndex)>,
}

impl DebugNames {
    /// Looks for the names of the file at `path`.
    pub(super) fn find(
        path: &str,
        build_id: Option<&str>,
        hints: &Hints,
        files: &dyn Files,
    ) -> Option<DebugNames> {
        let by_id = build_id.filter(|id| id.is_ascii() && id.len() > 2).and_then(|id| {
            let (folder, name) = id.split_at(2);
            let bytes = files.read(Path::new(&format!("{DEBUG_FOLDER}/.build-id/{folder}/{name}.debug")));
            DebugNames::parse(bytes.ok()?)
        });
        by_id.or_else(|| DebugNames::linked(path, hints, files)).or_else(|| DebugNames::unpacked(hints))
    }

    fn linked(path: &str, hints: &Hints, files: &dyn Files) -> Option<DebugNames> {
        let (name, crc) = hints.link.as_ref()?;
        let folder = Path::new(path).parent()?;
        let mut global = PathBuf::from(DEBUG_FOLDER);
        global.push(folder.strip_prefix("/").unwrap_or(folder));
        let found = [folder.to_owned(), folder.join(BESIDE), global].into_iter().find_map(|folder| {
            let bytes = files.read(&folder.join(name)).ok()?;
            (crc32fast::hash(&bytes) == *crc).then_some(bytes)
        });
        DebugNames::parse(found?)
    }

    fn unpacked(hints: &Hints) -> Option<DebugNames> {
        let mut bytes = Vec::new();
        let reader = lzma_rust2::XzReader::new_mem_limit(hints.packed.as_slice(), false, UNPACKING_MEMORY);
        reader.take(UNPACKED_LIMIT + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() as u64 <= UNPACKED_LIMIT).then(|| DebugNames::parse(bytes))?
    }

    fn parse(bytes: Vec<u8>) -> Option<DebugNames> {
        let file = ElfFile64::<LittleEndian>::parse(bytes.as_slice()).ok()?;
        let named = file.symbols().filter(|s| {
            let kind = matches!(s.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown);
            kind && s.is_definition() && s.address() != 0
        });
        let mut symbols: Vec<_> = named.map(|s| (s.address(), s.size(), s.index())).collect();
        symbols.sort_unstable_by_key(|(address, size, index)| (*address, *size, index.0));
        (!symbols.is_empty()).then_some(DebugNames { bytes, symbols })
    }

    /// The name of what is at an address, as the file counts, and how many bytes behind its start that is.
    pub(super) fn at(&self, address: u64) -> Option<(String, u64)> {
        let after = self.symbols.partition_point(|(start, ..)| *start <= address);
        // What contains it begins nearby, and nested ones begin close to each other.
        let nearby = self.symbols[..after].iter().rev().take(64);
        let &(start, _, index) =
            nearby.into_iter().find(|(start, size, _)| address - start < (*size).max(1))?;
        let file = ElfFile64::<LittleEndian>::parse(self.bytes.as_slice()).ok()?;
        let symbol = file.symbol_by_index(index).ok()?;
        let name = symbol.name().ok().filter(|name| !name.is_empty())?;
        Some((name.to_owned(), address - start))
    }
}
