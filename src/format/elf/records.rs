//! The fixed-size records of an ELF64 little-endian file: their fields, in the file's order and by the gABI's
//! names. Nothing is judged here.

use object::elf;

/// Size of the file header.
pub(super) const EHDR_SIZE: usize = 64;
/// Size of a section header.
pub(super) const SHDR_SIZE: usize = 64;
/// Size of a symbol table entry.
pub(super) const SYM_SIZE: usize = 24;
/// Size of a relocation table entry with addend.
pub(super) const RELA_SIZE: usize = 24;
/// Size of a relocation table entry without addend.
pub(super) const REL_SIZE: usize = 16;

/// The first reserved section index in 16-bit fields.
pub(super) const SHN_LORESERVE: u32 = elf::SHN_LORESERVE as u32;
/// Large common symbols of the medium code model (AMD64 psABI).
pub(super) const SHN_X86_64_LCOMMON: u16 = 0xff02;
/// Sections that may be far away (AMD64 psABI).
pub(super) const SHF_X86_64_LARGE: u64 = 0x1000_0000;
/// Sections that no linker drops for want of a reference (GNU gABI supplement).
pub(super) const SHF_GNU_RETAIN: u64 = 0x20_0000;
/// Indices of address-significant symbols (LLVM).
pub(super) const SHT_LLVM_ADDRSIG: u32 = 0x6fff_4c03;
/// Weights of call graph edges, whose ends are relocations (LLVM 13 and later).
pub(super) const SHT_LLVM_CALL_GRAPH_PROFILE: u32 = 0x6fff_4c09;
/// Android's compressed RELR, LLVM's number for it differs from the standard one.
pub(super) const SHT_ANDROID_RELR: u32 = 0x6fff_ff00;

/// Reads fields off the front; what is not there reads as zero, so callers check lengths before.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }

    fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// The file header, from `e_type` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileHeader {
    pub(super) e_type: u16,
    pub(super) e_machine: u16,
    pub(super) e_version: u32,
    pub(super) e_entry: u64,
    pub(super) e_phoff: u64,
    pub(super) e_shoff: u64,
    pub(super) e_flags: u32,
    pub(super) e_ehsize: u16,
    pub(super) e_phentsize: u16,
    pub(super) e_phnum: u16,
    pub(super) e_shentsize: u16,
    pub(super) e_shnum: u16,
    pub(super) e_shstrndx: u16,
}

impl FileHeader {
    pub(super) fn parse(bytes: &[u8; EHDR_SIZE]) -> Self {
        let mut f = Fields(bytes);
        let _ident: [u8; 16] = f.take();
        FileHeader {
            e_type: f.u16(),
            e_machine: f.u16(),
            e_version: f.u32(),
            e_entry: f.u64(),
            e_phoff: f.u64(),
            e_shoff: f.u64(),
            e_flags: f.u32(),
            e_ehsize: f.u16(),
            e_phentsize: f.u16(),
            e_phnum: f.u16(),
            e_shentsize: f.u16(),
            e_shnum: f.u16(),
            e_shstrndx: f.u16(),
        }
    }

    /// The bytes behind `e_ident`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.e_type.to_le_bytes());
        out.extend(self.e_machine.to_le_bytes());
        out.extend(self.e_version.to_le_bytes());
        out.extend(self.e_entry.to_le_bytes());
        out.extend(self.e_phoff.to_le_bytes());
        out.extend(self.e_shoff.to_le_bytes());
        out.extend(self.e_flags.to_le_bytes());
        out.extend(self.e_ehsize.to_le_bytes());
        out.extend(self.e_phentsize.to_le_bytes());
        out.extend(self.e_phnum.to_le_bytes());
        out.extend(self.e_shentsize.to_le_bytes());
        out.extend(self.e_shnum.to_le_bytes());
        out.extend(self.e_shstrndx.to_le_bytes());
    }
}

/// A section header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SectionHeader {
    pub(super) sh_name: u32,
    pub(super) sh_type: u32,
    pub(super) sh_flags: u64,
    pub(super) sh_addr: u64,
    pub(super) sh_offset: u64,
    pub(super) sh_size: u64,
    pub(super) sh_link: u32,
    pub(super) sh_info: u32,
    pub(super) sh_addralign: u64,
    pub(super) sh_entsize: u64,
}

impl SectionHeader {
    pub(super) fn parse(bytes: &[u8; SHDR_SIZE]) -> Self {
        let mut f = Fields(bytes);
        SectionHeader {
            sh_name: f.u32(),
            sh_type: f.u32(),
            sh_flags: f.u64(),
            sh_addr: f.u64(),
            sh_offset: f.u64(),
            sh_size: f.u64(),
            sh_link: f.u32(),
            sh_info: f.u32(),
            sh_addralign: f.u64(),
            sh_entsize: f.u64(),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.sh_name.to_le_bytes());
        out.extend(self.sh_type.to_le_bytes());
        out.extend(self.sh_flags.to_le_bytes());
        out.extend(self.sh_addr.to_le_bytes());
        out.extend(self.sh_offset.to_le_bytes());
        out.extend(self.sh_size.to_le_bytes());
        out.extend(self.sh_link.to_le_bytes());
        out.extend(self.sh_info.to_le_bytes());
        out.extend(self.sh_addralign.to_le_bytes());
        out.extend(self.sh_entsize.to_le_bytes());
    }

    /// Whether its contents lie in the file.
    pub(super) fn has_file_bytes(&self) -> bool {
        self.sh_type != elf::SHT_NOBITS.0 && self.sh_type != elf::SHT_NULL.0 && self.sh_size != 0
    }

    /// Whether all of these flags are set.
    pub(super) fn has_flag(&self, flag: elf::SectionFlags) -> bool {
        self.sh_flags & flag.0 == flag.0
    }
}

/// A symbol table entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SymbolEntry {
    pub(super) st_name: u32,
    pub(super) st_info: u8,
    pub(super) st_other: u8,
    pub(super) st_shndx: u16,
    pub(super) st_value: u64,
    pub(super) st_size: u64,
}

impl SymbolEntry {
    pub(super) fn parse(bytes: &[u8; SYM_SIZE]) -> Self {
        let mut f = Fields(bytes);
        SymbolEntry {
            st_name: f.u32(),
            st_info: f.u8(),
            st_other: f.u8(),
            st_shndx: f.u16(),
            st_value: f.u64(),
            st_size: f.u64(),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.st_name.to_le_bytes());
        out.extend([self.st_info, self.st_other]);
        out.extend(self.st_shndx.to_le_bytes());
        out.extend(self.st_value.to_le_bytes());
        out.extend(self.st_size.to_le_bytes());
    }

    pub(super) fn bind(&self) -> u8 {
        self.st_info >> 4
    }

    pub(super) fn kind(&self) -> u8 {
        self.st_info & 0xf
    }
}

/// The `st_info` of that binding and type.
pub(super) fn symbol_info(bind: u8, kind: u8) -> u8 {
    bind << 4 | kind & 0xf
}

/// A relocation table entry with addend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RelaEntry {
    pub(super) r_offset: u64,
    pub(super) r_type: u32,
    pub(super) r_sym: u32,
    pub(super) r_addend: i64,
}

impl RelaEntry {
    pub(super) fn parse(bytes: &[u8; RELA_SIZE]) -> Self {
        let mut f = Fields(bytes);
        RelaEntry {
            r_offset: f.u64(),
            r_type: f.u32(),
            r_sym: f.u32(),
            r_addend: i64::from_le_bytes(f.take()),
        }
    }

    pub(super) fn bytes(&self) -> [u8; RELA_SIZE] {
        let mut bytes = [0; RELA_SIZE];
        bytes[..8].copy_from_slice(&self.r_offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.r_type.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.r_sym.to_le_bytes());
        bytes[16..].copy_from_slice(&self.r_addend.to_le_bytes());
        bytes
    }
}

/// The `r_sym` of an entry without addend.
pub(super) fn rel_symbol(entry: &[u8; REL_SIZE]) -> u32 {
    let mut f = Fields(entry);
    let (_offset, _type) = (f.u64(), f.u32());
    f.u32()
}
