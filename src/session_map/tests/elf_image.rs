//! A small ELF image, made to order: a text segment, a data segment behind a hole with some `.bss`, and the
//! tables that the dynamic linker and debuggers read.

use goblin::elf::dynamic::{
    DF_1_PIE, DT_FLAGS_1, DT_SONAME, DT_STRSZ, DT_STRTAB, DT_SYMTAB, DT_VERDEF, DT_VERDEFNUM, DT_VERSYM,
};
use goblin::elf::dynamic::{DT_GNU_HASH, DT_HASH};

/// Where things are: file offset = address for the text, address − 0x1000 for the data.
pub(super) const TEXT: u64 = 0x1000;
pub(super) const DATA: u64 = 0x3800;
pub(super) const DATA_OFFSET: u64 = 0x2800;
pub(super) const BSS: u64 = 0x3900;
pub(super) const END: u64 = 0x6000;

/// A symbol: name, address, size, binding, type, visibility, version index.
#[derive(Clone, Copy)]
pub(super) struct Symbol(
    pub(super) &'static str,
    pub(super) u64,
    pub(super) u64,
    pub(super) u8,
    pub(super) u8,
    pub(super) u8,
    pub(super) u16,
);

pub(super) struct Builder {
    pub(super) kind: u16,
    pub(super) interpreter: bool,
    pub(super) pie: bool,
    pub(super) soname: Option<&'static str>,
    pub(super) build_id: Vec<u8>,
    pub(super) exported: Vec<Symbol>,
    pub(super) all: Vec<Symbol>,
    pub(super) gnu_hash: bool,
    pub(super) versions: bool,
    /// Added to every address: an executable's base.
    pub(super) base: u64,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            kind: 3,
            interpreter: false,
            pie: false,
            soname: Some("libx.so.1"),
            build_id: vec![0xab; 20],
            exported: Vec::new(),
            all: Vec::new(),
            gnu_hash: true,
            versions: true,
            base: 0,
        }
    }
}

fn put(out: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if out.len() < at + bytes.len() {
        out.resize(at + bytes.len(), 0);
    }
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A string table and the offset of each string.
fn strings(names: &[&str]) -> (Vec<u8>, Vec<u32>) {
    let mut table = vec![0];
    let offsets = names.iter().map(|name| {
        let offset = table.len() as u32;
        table.extend_from_slice(name.as_bytes());
        table.push(0);
        offset
    });
    let offsets = offsets.collect();
    (table, offsets)
}

fn symbol_table(symbols: &[Symbol], names: &[u32], base: u64) -> Vec<u8> {
    let mut table = vec![0; 24];
    for (symbol, name) in symbols.iter().zip(names) {
        let Symbol(_, value, size, binding, kind, visibility, _) = *symbol;
        // Value 0: undefined; 1: absolute.
        let section: u16 = match value {
            0 => 0,
            1 => 0xfff1,
            _ => 1,
        };
        let value = if value > 1 { value + base } else { value };
        table.extend_from_slice(&name.to_le_bytes());
        table.extend_from_slice(&[binding << 4 | kind, visibility]);
        table.extend_from_slice(&section.to_le_bytes());
        table.extend_from_slice(&words(&[value, size]));
    }
    table
}

impl Builder {
    pub(super) fn build(&self) -> Vec<u8> {
        let names: Vec<&str> = self.exported.iter().map(|s| s.0).collect();
        let fixed = [self.soname.unwrap_or("none"), "X_2", "GLIBC_PRIVATE"];
        let (dynstr, offsets) = strings(&[&fixed[..], &names[..]].concat());
        let dynsym = symbol_table(&self.exported, &offsets[3..], self.base);
        let count = self.exported.len() as u32 + 1;
        // One bucket whose chain has all symbols: only the count matters here.
        let hash: Vec<u32> = if self.gnu_hash {
            let chain = (1..count).map(|i| u32::from(i == count - 1));
            [1, 1, 1, 0, 0, 0, u32::from(count > 1)].into_iter().chain(chain).collect()
        } else {
            [1, count].into_iter().chain(std::iter::repeat_n(0, count as usize + 1)).collect()
        };
        let hash: Vec<u8> = hash.iter().flat_map(|v| v.to_le_bytes()).collect();
        let versym: Vec<u8> =
            [0u16].into_iter().chain(self.exported.iter().map(|s| s.6)).flat_map(u16::to_le_bytes).collect();
        let mut verdef = Vec::new();
        for (index, name, next) in [(1u16, offsets[0], 28u32), (2, offsets[1], 28), (3, offsets[2], 0)] {
            verdef.extend([1u16, 0, index, 1].iter().flat_map(|v| v.to_le_bytes()));
            verdef.extend([0, 20, next, name, 0].iter().flat_map(|v: &u32| v.to_le_bytes()));
        }

        let mut out = vec![0; (DATA_OFFSET + BSS - DATA) as usize];
        let mut at = 0x200;
        let mut place = |bytes: &[u8]| {
            let here = at;
            put(&mut out, here, bytes);
            at = (at + bytes.len()).next_multiple_of(8);
            here as u64
        };
        let dynstr_at = place(&dynstr);
        let dynsym_at = place(&dynsym);
        let hash_at = place(&hash);
        let versym_at = place(&versym);
        let verdef_at = place(&verdef);
        let mut note = Vec::new();
        // Another note first, whose name needs padding.
        for (name, kind, contents) in [(&b"Xy\0"[..], 9u32, &[1, 2, 3][..]), (b"GNU\0", 3, &self.build_id)] {
            note.extend(
                [name.len() as u32, contents.len() as u32, kind].iter().flat_map(|v| v.to_le_bytes()),
            );
            note.extend_from_slice(name);
            note.resize(note.len().next_multiple_of(4), 0);
            note.extend_from_slice(contents);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        let note_at = place(&note);
        let mut dynamic = vec![
            (DT_STRTAB, dynstr_at + self.base),
            (DT_STRSZ, dynstr.len() as u64),
            (DT_SYMTAB, dynsym_at + self.base),
            (if self.gnu_hash { DT_GNU_HASH } else { DT_HASH }, hash_at + self.base),
        ];
        if self.versions {
            dynamic.push((DT_VERSYM, versym_at + self.base));
            dynamic.extend([(DT_VERDEF, verdef_at + self.base), (DT_VERDEFNUM, 3)]);
        }
        if self.soname.is_some() {
            dynamic.push((DT_SONAME, offsets[0].into()));
        }
        if self.pie {
            dynamic.push((DT_FLAGS_1, DF_1_PIE));
        }
        dynamic.push((0, 0));
        let dynamic: Vec<u8> = dynamic.iter().flat_map(|(tag, value)| words(&[*tag, *value])).collect();
        let dynamic_at = place(&dynamic);
        assert!(at < TEXT as usize, "the tables are too large for their page");

        // Program headers: type and flags, offset, address twice, sizes, alignment.
        let base = self.base;
        let segment =
            |kind: u64, flags: u64, offset: u64, address: u64, file: u64, memory: u64, align: u64| {
                words(&[kind | flags << 32, offset, address + base, address + base, file, memory, align])
            };
        let mut headers = vec![
            segment(1, 4, 0, 0, at as u64, at as u64, 0x1000),
            segment(1, 5, TEXT, TEXT, 0x1100, 0x1100, 0x1000),
            segment(1, 6, DATA_OFFSET, DATA, BSS - DATA, END - DATA, 0x1000),
            segment(2, 4, dynamic_at, dynamic_at, dynamic.len() as u64, dynamic.len() as u64, 8),
            segment(4, 4, note_at, note_at, note.len() as u64, note.len() as u64, 4),
        ];
        if self.interpreter {
            headers.push(segment(3, 4, 0, 0, 1, 1, 1));
        }

        let mut sections = Vec::new();
        if !self.all.is_empty() {
            let names: Vec<&str> = self.all.iter().map(|s| s.0).collect();
            let (strtab, offsets) = strings(&names);
            let symtab = symbol_table(&self.all, &offsets, self.base);
            let section = |kind: u64, offset: usize, size: usize, link: u64, entry: u64| {
                words(&[kind << 32, 0, 0, offset as u64, size as u64, link, 8, entry])
            };
            let symtab_at = out.len().next_multiple_of(8);
            put(&mut out, symtab_at, &symtab);
            let strtab_at = out.len();
            put(&mut out, strtab_at, &strtab);
            sections = vec![
                vec![0; 64],
                section(2, symtab_at, symtab.len(), 2, 24),
                section(3, strtab_at, strtab.len(), 0, 0),
            ];
        }
        let sections_at = if sections.is_empty() { 0 } else { out.len().next_multiple_of(8) };
        if !sections.is_empty() {
            put(&mut out, sections_at, &sections.concat());
        }

        let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        header.extend([self.kind, 62].iter().flat_map(|v| v.to_le_bytes()));
        header.extend(1u32.to_le_bytes());
        header.extend(words(&[TEXT + base, 64, sections_at as u64]));
        header.extend(0u32.to_le_bytes());
        // All sections have the empty name, which any string table has.
        let names = if sections.is_empty() { 0 } else { 2 };
        let fields = [64, 56, headers.len() as u16, 64, sections.len() as u16, names];
        header.extend(fields.iter().flat_map(|v| v.to_le_bytes()));
        put(&mut out, 0, &header);
        put(&mut out, 64, &headers.concat());
        out
    }
}
