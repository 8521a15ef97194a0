//! Relocation numbers of the AMD64 psABI (table 4.9 and the APX additions), and what they mean: one list,
//! read both ways.

use crate::reloc::RelocKind::{self, *};

/// What a number means, and how many bytes its field has; the index is the number.
const TYPES: [(RelocKind, u64); 52] = [
    (None, 0),               // R_X86_64_NONE
    (Abs64, 8),              // R_X86_64_64
    (Pc32, 4),               // R_X86_64_PC32
    (Got32, 4),              // R_X86_64_GOT32
    (Plt32, 4),              // R_X86_64_PLT32
    (Unknown(5), 0),         // R_X86_64_COPY: not in objects
    (Unknown(6), 8),         // R_X86_64_GLOB_DAT: not in objects
    (Unknown(7), 8),         // R_X86_64_JUMP_SLOT: not in objects
    (Unknown(8), 8),         // R_X86_64_RELATIVE: not in objects
    (GotPc32, 4),            // R_X86_64_GOTPCREL
    (Abs32, 4),              // R_X86_64_32
    (Abs32Signed, 4),        // R_X86_64_32S
    (Abs16, 2),              // R_X86_64_16
    (Pc16, 2),               // R_X86_64_PC16
    (Abs8, 1),               // R_X86_64_8
    (Pc8, 1),                // R_X86_64_PC8
    (ThreadLocal(16, 8), 8), // R_X86_64_DTPMOD64
    (ThreadLocal(17, 8), 8), // R_X86_64_DTPOFF64
    (ThreadLocal(18, 8), 8), // R_X86_64_TPOFF64
    (ThreadLocal(19, 4), 4), // R_X86_64_TLSGD
    (ThreadLocal(20, 4), 4), // R_X86_64_TLSLD
    (ThreadLocal(21, 4), 4), // R_X86_64_DTPOFF32
    (ThreadLocal(22, 4), 4), // R_X86_64_GOTTPOFF
    (ThreadLocal(23, 4), 4), // R_X86_64_TPOFF32
    (Pc64, 8),               // R_X86_64_PC64
    (GotOff64, 8),           // R_X86_64_GOTOFF64
    (GotBase32, 4),          // R_X86_64_GOTPC32
    (Got64, 8),              // R_X86_64_GOT64
    (GotPc64, 8),            // R_X86_64_GOTPCREL64
    (GotBase64, 8),          // R_X86_64_GOTPC64
    (Unknown(30), 8),        // R_X86_64_GOTPLT64: deprecated
    (PltOff64, 8),           // R_X86_64_PLTOFF64
    (Size32, 4),             // R_X86_64_SIZE32
    (Size64, 8),             // R_X86_64_SIZE64
    (ThreadLocal(34, 4), 4), // R_X86_64_GOTPC32_TLSDESC
    (ThreadLocal(35, 0), 0), // R_X86_64_TLSDESC_CALL: marks an instruction
    (ThreadLocal(36, 8), 8), // R_X86_64_TLSDESC
    (Unknown(37), 8),        // R_X86_64_IRELATIVE: not in objects
    (Unknown(38), 8),        // R_X86_64_RELATIVE64: not in objects
    (Unknown(39), 4),        // was R_X86_64_PC32_BND
    (Unknown(40), 4),        // was R_X86_64_PLT32_BND
    (GotPc32Relax, 4),       // R_X86_64_GOTPCRELX
    (GotPc32RelaxRex, 4),    // R_X86_64_REX_GOTPCRELX
    (Unknown(43), 4),        // R_X86_64_CODE_4_GOTPCRELX
    (ThreadLocal(44, 4), 4), // R_X86_64_CODE_4_GOTTPOFF
    (ThreadLocal(45, 4), 4), // R_X86_64_CODE_4_GOTPC32_TLSDESC
    (Unknown(46), 4),        // R_X86_64_CODE_5_GOTPCRELX
    (ThreadLocal(47, 4), 4), // R_X86_64_CODE_5_GOTTPOFF
    (ThreadLocal(48, 4), 4), // R_X86_64_CODE_5_GOTPC32_TLSDESC
    (Unknown(49), 4),        // R_X86_64_CODE_6_GOTPCRELX
    (ThreadLocal(50, 4), 4), // R_X86_64_CODE_6_GOTTPOFF
    (ThreadLocal(51, 4), 4), // R_X86_64_CODE_6_GOTPC32_TLSDESC
];

/// What the relocation type of that number computes.
pub(super) fn kind(number: u32) -> RelocKind {
    TYPES.get(number as usize).map_or(Unknown(number), |&(kind, _)| kind)
}

/// The number of the relocation type that computes that; `None` if this machine has none.
pub(super) fn number(kind: RelocKind) -> Option<u32> {
    match kind {
        ThreadLocal(number, _) | Unknown(number) => Some(number),
        _ => {
            let index = TYPES.iter().position(|&(k, _)| k == kind)?;
            u32::try_from(index).ok()
        }
    }
}

/// Bytes of the field that the relocation type of that number changes; 0 where that is not known.
pub(super) fn field_width(number: u32) -> u64 {
    TYPES.get(number as usize).map_or(0, |&(_, width)| width)
}

#[cfg(test)]
mod tests {
    use object::elf;

    use super::*;

    #[test]
    fn numbers_and_kinds_agree() {
        for (index, &(kind_, width)) in TYPES.iter().enumerate() {
            let index = index as u32;
            assert_eq!(number(kind_), Some(index));
            assert_eq!(kind(index), kind_);
            if let Option::Some(known) = kind_.width() {
                assert_eq!(known, width, "{kind_:?}");
            }
        }
        assert_eq!(kind(250), Unknown(250));
        assert_eq!(number(Unknown(250)), Option::Some(250));
    }

    #[test]
    fn numbers_are_the_psabi_s() {
        // Held against the list of another project.
        let expected = [
            (elf::R_X86_64_NONE, None),
            (elf::R_X86_64_64, Abs64),
            (elf::R_X86_64_PC32, Pc32),
            (elf::R_X86_64_GOT32, Got32),
            (elf::R_X86_64_PLT32, Plt32),
            (elf::R_X86_64_GOTPCREL, GotPc32),
            (elf::R_X86_64_32, Abs32),
            (elf::R_X86_64_32S, Abs32Signed),
            (elf::R_X86_64_16, Abs16),
            (elf::R_X86_64_PC16, Pc16),
            (elf::R_X86_64_8, Abs8),
            (elf::R_X86_64_PC8, Pc8),
            (elf::R_X86_64_PC64, Pc64),
            (elf::R_X86_64_GOTOFF64, GotOff64),
            (elf::R_X86_64_GOTPC32, GotBase32),
            (elf::R_X86_64_GOT64, Got64),
            (elf::R_X86_64_GOTPCREL64, GotPc64),
            (elf::R_X86_64_GOTPC64, GotBase64),
            (elf::R_X86_64_PLTOFF64, PltOff64),
            (elf::R_X86_64_SIZE32, Size32),
            (elf::R_X86_64_SIZE64, Size64),
            (elf::R_X86_64_GOTPCRELX, GotPc32Relax),
            (elf::R_X86_64_REX_GOTPCRELX, GotPc32RelaxRex),
        ];
        for (number_, kind_) in expected {
            assert_eq!(kind(number_.0), kind_);
        }
        let thread_local = [
            elf::R_X86_64_DTPMOD64,
            elf::R_X86_64_DTPOFF64,
            elf::R_X86_64_TPOFF64,
            elf::R_X86_64_TLSGD,
            elf::R_X86_64_TLSLD,
            elf::R_X86_64_DTPOFF32,
            elf::R_X86_64_GOTTPOFF,
            elf::R_X86_64_TPOFF32,
            elf::R_X86_64_GOTPC32_TLSDESC,
            elf::R_X86_64_TLSDESC_CALL,
            elf::R_X86_64_TLSDESC,
            elf::R_X86_64_CODE_4_GOTTPOFF,
            elf::R_X86_64_CODE_4_GOTPC32_TLSDESC,
            elf::R_X86_64_CODE_5_GOTTPOFF,
            elf::R_X86_64_CODE_5_GOTPC32_TLSDESC,
            elf::R_X86_64_CODE_6_GOTTPOFF,
            elf::R_X86_64_CODE_6_GOTPC32_TLSDESC,
        ];
        for number_ in thread_local {
            assert!(matches!(kind(number_.0), ThreadLocal(number, _) if number == number_.0));
        }
        let thread_local_count = TYPES.iter().filter(|(k, _)| matches!(k, ThreadLocal(..))).count();
        assert_eq!(thread_local_count, thread_local.len());
    }
}
