//! The small functions around the interpreter on AMD64: what startup code calls, and stubs for functions
//! whose address is in a slot. Neither has a frame.

use super::super::{Fragment, Referent};
use crate::edits::NewRelocation;
use crate::reloc::RelocKind;

/// `endbr64`
pub(super) const LANDING_PAD: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];
/// `int3`
const PADDING: u8 = 0xcc;

/// See [`super::super::Arch::initializer`].
///
/// ```text
/// f3 0f 1e fa             endbr64                   if asked for
/// 48 8d 3d 00 00 00 00    lea program(%rip),%rdi
/// e9 00 00 00 00          jmp interpreter
/// ```
pub(super) fn initializer(program: Referent, interpreter: Referent, landing_pad: bool) -> Fragment {
    let mut fragment = begin(landing_pad);
    pc_relative(&mut fragment, &[0x48, 0x8d, 0x3d], program);
    pc_relative(&mut fragment, &[0xe9], interpreter);
    fragment
}

/// See [`super::super::Arch::guarded_initializer`].
///
/// ```text
/// f3 0f 1e fa             endbr64                   if asked for
/// 48 8d 3d 00 00 00 00    lea program(%rip),%rdi
/// 48 8d 35 00 00 00 00    lea done(%rip),%rsi
/// e9 00 00 00 00          jmp guard
/// ```
pub(super) fn guarded_initializer(
    program: Referent,
    done: Referent,
    guard: Referent,
    landing_pad: bool,
) -> Fragment {
    let mut fragment = begin(landing_pad);
    pc_relative(&mut fragment, &[0x48, 0x8d, 0x3d], program);
    pc_relative(&mut fragment, &[0x48, 0x8d, 0x35], done);
    pc_relative(&mut fragment, &[0xe9], guard);
    fragment
}

/// See [`super::super::Arch::stub`]. Padded to 8 or 16 bytes, so that stubs can stand side by side, aligned.
///
/// ```text
/// f3 0f 1e fa          endbr64           if asked for
/// ff 25 00 00 00 00    jmp *slot(%rip)
/// cc …                 int3
/// ```
pub(super) fn stub(slot: Referent, landing_pad: bool) -> Fragment {
    let mut fragment = begin(landing_pad);
    pc_relative(&mut fragment, &[0xff, 0x25], slot);
    let size = fragment.code.len().next_power_of_two();
    fragment.code.resize(size, PADDING);
    fragment
}

fn begin(landing_pad: bool) -> Fragment {
    Fragment {
        code: if landing_pad { LANDING_PAD.to_vec() } else { Vec::new() },
        relocations: Vec::new(),
        frame: Vec::new(),
    }
}

/// Adds an instruction that ends with a 32-bit distance from its end.
fn pc_relative(fragment: &mut Fragment, opcode: &[u8], (symbol, addend): Referent) {
    fragment.code.extend(opcode);
    fragment.relocations.push(NewRelocation {
        offset: fragment.code.len() as u64,
        kind: RelocKind::Pc32,
        symbol,
        addend: addend.wrapping_sub(4),
    });
    fragment.code.extend([0; 4]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edits::{SymbolRef, UndefinedId};

    const A: SymbolRef = SymbolRef::Undefined(UndefinedId(1));
    const B: SymbolRef = SymbolRef::Undefined(UndefinedId(2));

    fn fields(fragment: &Fragment) -> Vec<(u64, RelocKind, SymbolRef, i64)> {
        fragment.relocations.iter().map(|r| (r.offset, r.kind, r.symbol, r.addend)).collect()
    }

    #[test]
    fn initializer_hands_the_program_over() {
        let plain = initializer((A, 0), (B, 16), false);
        assert_eq!(plain.code, [0x48, 0x8d, 0x3d, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0]);
        assert_eq!(fields(&plain), [(3, RelocKind::Pc32, A, -4), (8, RelocKind::Pc32, B, 12)]);
        let padded = initializer((A, 0), (B, 16), true);
        assert_eq!(padded.code[..4], LANDING_PAD);
        assert_eq!(padded.code[4..], plain.code);
        assert_eq!(fields(&padded), [(7, RelocKind::Pc32, A, -4), (12, RelocKind::Pc32, B, 12)]);
    }

    #[test]
    fn a_guarded_initializer_says_where_it_notes_that_it_is_done() {
        let padded = guarded_initializer((A, 0), (B, 8), (A, 32), true);
        assert_eq!(padded.code[..7], [0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8d, 0x3d]);
        assert_eq!(padded.code[11..14], [0x48, 0x8d, 0x35]);
        let pc32 = RelocKind::Pc32;
        assert_eq!(fields(&padded), [(7, pc32, A, -4), (14, pc32, B, 4), (19, pc32, A, 28)]);
    }

    #[test]
    fn stubs_jump_through_their_slot() {
        let plain = stub((A, 24), false);
        assert_eq!(plain.code, [0xff, 0x25, 0, 0, 0, 0, 0xcc, 0xcc]);
        assert_eq!(fields(&plain), [(2, RelocKind::Pc32, A, 20)]);
        let padded = stub((A, 24), true);
        assert_eq!(padded.code.len(), 16);
        assert_eq!(padded.code[..10], [0xf3, 0x0f, 0x1e, 0xfa, 0xff, 0x25, 0, 0, 0, 0]);
        assert_eq!(fields(&padded), [(6, RelocKind::Pc32, A, 20)]);
    }
}
