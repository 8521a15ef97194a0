//! Decides by its first bytes whether a file is an object that this program takes, and if not, what it is and
//! what to do instead.

use object::elf;

use super::records::{EHDR_SIZE, FileHeader};
use crate::error::{Error, ErrorKind, Result};

/// Accepts relocatable ELF64 little-endian x86-64 objects.
///
/// # Errors
/// [`ErrorKind::UnsupportedObject`] saying what the file is and what to do instead.
pub(in crate::format) fn identify(name: &str, bytes: &[u8]) -> Result<()> {
    let unsupported = |message: String| Err(Error::new(ErrorKind::UnsupportedObject, name, message));
    if !bytes.starts_with(&elf::ELFMAG) {
        return unsupported(foreign(bytes).to_owned());
    }
    let Some(header) = bytes.first_chunk::<EHDR_SIZE>() else {
        return Err(Error::malformed(
            name,
            format!(
                "an ELF file of {} bytes: the file header alone has {EHDR_SIZE}; it is cut off",
                bytes.len()
            ),
        ));
    };
    let (class, data) = (header[4], header[5]);
    let fields = FileHeader::parse(header);
    let big_endian = data == elf::ELFDATA2MSB.0;
    let machine = if big_endian { fields.e_machine.swap_bytes() } else { fields.e_machine };
    let machine_text = machine_name(machine);
    if class == elf::ELFCLASS32.0 && machine == elf::EM_X86_64.0 {
        return unsupported("an x32 object (32-bit pointers): compile without -mx32".to_owned());
    }
    if class != elf::ELFCLASS64.0 && class != elf::ELFCLASS32.0
        || data != elf::ELFDATA2LSB.0 && data != elf::ELFDATA2MSB.0
    {
        return Err(Error::malformed(
            name,
            format!("an ELF file of unknown class {class} or byte order {data} (file offset 0x4)"),
        ));
    }
    if class == elf::ELFCLASS32.0 || big_endian || machine != elf::EM_X86_64.0 {
        let bits = if class == elf::ELFCLASS32.0 { 32 } else { 64 };
        let order = if big_endian { "big" } else { "little" };
        return unsupported(format!(
            "a {bits}-bit {order}-endian ELF file for {machine_text}: only x86-64 objects are supported; compile for that machine"
        ));
    }
    match elf::FileType(fields.e_type) {
        elf::ET_REL => {}
        elf::ET_EXEC => return unsupported("an executable: give the objects that went into it".to_owned()),
        elf::ET_DYN => {
            return unsupported(
                "a shared library or position-independent executable: give the object that went into it"
                    .to_owned(),
            );
        }
        elf::ET_CORE => {
            return unsupported("a core dump: give the object that the process wrote".to_owned());
        }
        other => {
            return unsupported(format!("an ELF file of type {other}: give a relocatable object (type 1)"));
        }
    }
    let version = header[6];
    if version != elf::EV_CURRENT.0 || fields.e_version != u32::from(elf::EV_CURRENT.0) {
        return Err(Error::malformed(
            name,
            format!(
                "an ELF file of version {version}/{}, expected 1 (file offsets 0x6 and 0x14)",
                fields.e_version
            ),
        ));
    }
    Ok(())
}

/// What a file is that is not ELF.
fn foreign(bytes: &[u8]) -> &'static str {
    const BY_MAGIC: &[(&[u8], &str)] = &[
        (b"!<arch>\n", "an archive: extract its members (ar x) and give the objects one by one"),
        (b"!<thin>\n", "a thin archive, which only names its members: give those objects one by one"),
        (b"BC\xC0\xDE", "LLVM bitcode: compile it with llc -filetype=obj first"),
        (b"\xDE\xC0\x17\x0B", "LLVM bitcode in a wrapper: compile it with llc -filetype=obj first"),
        (b"\xFE\xED\xFA\xCE", "a Mach-O file: only ELF objects are supported"),
        (b"\xFE\xED\xFA\xCF", "a Mach-O file: only ELF objects are supported"),
        (b"\xCE\xFA\xED\xFE", "a Mach-O file: only ELF objects are supported"),
        (b"\xCF\xFA\xED\xFE", "a Mach-O file: only ELF objects are supported"),
        (b"\xCA\xFE\xBA\xBE", "a Mach-O universal binary or a Java class: only ELF objects are supported"),
        (b"\0asm", "a WebAssembly module: only ELF objects are supported"),
        (b"MZ", "a Windows executable or library: only ELF objects are supported"),
        (b"\x00\x00\xFF\xFF", "a COFF object (extended or import): only ELF objects are supported"),
        (b"\x64\x86", "a COFF object for x86-64: only ELF objects are supported"),
        (b"\x4C\x01", "a COFF object for i386: only ELF objects are supported"),
        (b"\x64\xAA", "a COFF object for ARM64: only ELF objects are supported"),
        (b"\x1F\x8B", "a gzip file: decompress it first"),
        (b"\x28\xB5\x2F\xFD", "a zstd file: decompress it first"),
    ];
    if bytes.is_empty() {
        return "an empty file: the compiler wrote nothing";
    }
    if let Some((_, what)) = BY_MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return what;
    }
    if elf::ELFMAG.starts_with(bytes) {
        return "an ELF file that is cut off in its first bytes";
    }
    let start = &bytes[..bytes.len().min(1024)];
    if looks_like_text(start) {
        return match start.trim_ascii_start().first() {
            Some(b'{') => {
                "a text file that looks like JSON, not an object; session maps go behind --session-map"
            }
            _ => {
                "a text file, not an object: compile or assemble it first (LLVM IR with llc -filetype=obj, assembly with as)"
            }
        };
    }
    "not an object file of any kind known here: give a relocatable ELF object (.o)"
}

/// Whether bytes are UTF-8 (perhaps cut off in the last character) without control characters.
fn looks_like_text(start: &[u8]) -> bool {
    let valid = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none(),
    };
    valid && !start.iter().any(|&b| b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t' | 0x0c))
}

/// A machine's name for people.
fn machine_name(machine: u16) -> String {
    let known = match elf::Machine(machine) {
        elf::EM_386 => "i386",
        elf::EM_X86_64 => "x86-64",
        elf::EM_AARCH64 => "AArch64",
        elf::EM_ARM => "ARM",
        elf::EM_RISCV => "RISC-V",
        elf::EM_PPC => "PowerPC",
        elf::EM_PPC64 => "PowerPC64",
        elf::EM_S390 => "S/390",
        elf::EM_MIPS => "MIPS",
        elf::EM_LOONGARCH => "LoongArch",
        elf::EM_SPARC | elf::EM_SPARC32PLUS | elf::EM_SPARCV9 => "SPARC",
        elf::EM_IA_64 => "Itanium",
        elf::EM_BPF => "BPF",
        elf::EM_AMDGPU => "AMD GPUs",
        elf::EM_CUDA => "NVIDIA GPUs",
        elf::EM_AVR => "AVR",
        elf::EM_68K => "m68k",
        elf::EM_ALPHA => "Alpha",
        elf::EM_PARISC => "PA-RISC",
        elf::EM_SH => "SuperH",
        elf::EM_HEXAGON => "Hexagon",
        elf::EM_XTENSA => "Xtensa",
        elf::EM_NONE => "no machine",
        _ => return format!("machine {machine}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(class: u8, data: u8, kind: u16, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, data, 1]);
        let put = |v: u16| {
            if data == 2 { v.to_be_bytes() } else { v.to_le_bytes() }
        };
        bytes[16..18].copy_from_slice(&put(kind));
        bytes[18..20].copy_from_slice(&put(machine));
        bytes[20] = 1;
        bytes
    }

    #[test]
    fn only_relocatable_x86_64_is_taken() {
        assert!(identify("a.o", &header(2, 1, 1, 62)).is_ok());
        let wrong: &[(Vec<u8>, &str)] = &[
            (header(2, 1, 2, 62), "an executable"),
            (header(2, 1, 3, 62), "a shared library"),
            (header(2, 1, 4, 62), "a core dump"),
            (header(1, 1, 1, 62), "an x32 object"),
            (header(1, 1, 1, 3), "a 32-bit little-endian ELF file for i386"),
            (header(2, 1, 1, 183), "AArch64"),
            (header(2, 2, 1, 22), "a 64-bit big-endian ELF file for S/390"),
            (header(2, 1, 1, 243), "RISC-V"),
            (header(2, 1, 1, 9999), "machine 9999"),
            (Vec::new(), "an empty file"),
            (b"!<arch>\nfoo".to_vec(), "an archive"),
            (b"!<thin>\nfoo".to_vec(), "a thin archive"),
            (b"BC\xC0\xDE123".to_vec(), "LLVM bitcode"),
            (b"\xDE\xC0\x17\x0B1".to_vec(), "LLVM bitcode"),
            (b"\xCF\xFA\xED\xFE1".to_vec(), "a Mach-O"),
            (b"\x64\x86\x01\x00".to_vec(), "a COFF"),
            (b"\0asm\x01\0\0\0".to_vec(), "a WebAssembly"),
            (b"MZ\x90".to_vec(), "a Windows"),
            (b"int main() {}\n".to_vec(), "a text file, not an object"),
            (b" {\"relocfix\": 1}".to_vec(), "looks like JSON"),
            (b"\x7fEL".to_vec(), "cut off"),
            (vec![1, 2, 3, 4, 0, 0], "not an object file"),
        ];
        for (bytes, expected) in wrong {
            let error = identify("a.o", bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedObject, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
        for bytes in [&header(2, 1, 1, 62)[..63], &header(7, 1, 1, 62), &header(2, 9, 1, 62)] {
            let error = identify("a.o", bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MalformedObject, "{error}");
        }
    }
}
