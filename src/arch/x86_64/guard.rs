//! Code on AMD64 that lets one thread at a time fill, and fill once: `int guard(const void *program, long *done)`,
//! which every initializer goes through that can be called again, and the function that calls them all.
//!
//! The lock is one word for all objects of a link: zero, or the thread pointer of the thread that fills. The ABI has the
//! thread pointer at `%fs:0` (ELF Handling For Thread-Local Storage, 3.4.6), whatever the system. One lock for all, not
//! one for each object: two threads of which each waits for what the other fills would wait for ever.

use gimli::X86_64;
use gimli::write::CallFrameInstruction::{CfaOffset, Offset};

use super::super::{Fragment, Referent};
use super::entry::LANDING_PAD;
use crate::edits::{NewRelocation, SymbolRef};
use crate::reloc::RelocKind;

/// See [`super::super::Arch::guard`]. Answers as the program does, and 1 if it has run before; 0 as well to the
/// thread that is running one.
///
/// ```text
///  0:  53                           push   %rbx
///  1:  41 54                        push   %r12
///  3:  41 55                        push   %r13
///  5:  49 89 fd                     mov    %rdi,%r13
///  8:  49 89 f4                     mov    %rsi,%r12
///  b:  49 83 3c 24 00               cmpq   $0,(%r12)
/// 10:  75 5e                        jne    done
/// 12:  64 48 8b 1c 25 00 00 00 00   mov    %fs:0,%rbx
/// wait:
/// 1b:  31 c0                        xor    %eax,%eax
/// 1d:  f0 48 0f b1 1d 00 00 00 00   lock cmpxchg %rbx,lock(%rip)
/// 26:  74 17                        je     acquired
/// 28:  48 39 d8                     cmp    %rbx,%rax
/// 2b:  74 3f                        je     own
/// 2d:  f3 90                        pause
/// 2f:  48 8b 05 00 00 00 00         mov    yields@GOTPCREL(%rip),%rax
/// 36:  48 85 c0                     test   %rax,%rax
/// 39:  74 e0                        je     wait
/// 3b:  ff d0                        call   *%rax
/// 3d:  eb dc                        jmp    wait
/// acquired:
/// 3f:  b8 01 00 00 00               mov    $1,%eax
/// 44:  49 83 3c 24 00               cmpq   $0,(%r12)
/// 49:  75 14                        jne    release
/// 4b:  4c 89 ef                     mov    %r13,%rdi
/// 4e:  e8 00 00 00 00               call   interpreter
/// 53:  31 d2                        xor    %edx,%edx
/// 55:  83 f8 01                     cmp    $1,%eax
/// 58:  0f 94 c2                     sete   %dl
/// 5b:  49 89 14 24                  mov    %rdx,(%r12)
/// release:
/// 5f:  48 c7 05 00 00 00 00 00 00 00 00   movq $0,lock(%rip)
/// 6a:  eb 09                        jmp    out
/// own:
/// 6c:  31 c0                        xor    %eax,%eax
/// 6e:  eb 05                        jmp    out
/// done:
/// 70:  b8 01 00 00 00               mov    $1,%eax
/// out:
/// 75:  41 5d                        pop    %r13
/// 77:  41 5c                        pop    %r12
/// 79:  5b                           pop    %rbx
/// 7a:  c3                           ret
/// ```
#[rustfmt::skip]
pub(super) fn guard(interpreter: Referent, lock: Referent, yields: SymbolRef) -> Fragment {
    let mut function = Function::begin(false);
    function.code(&[
        0x49, 0x89, 0xfd, 0x49, 0x89, 0xf4, 0x49, 0x83, 0x3c, 0x24, 0x00, 0x75, 0x5e,
        0x64, 0x48, 0x8b, 0x1c, 0x25, 0x00, 0x00, 0x00, 0x00, 0x31, 0xc0, 0xf0, 0x48, 0x0f, 0xb1, 0x1d,
    ]);
    function.field(RelocKind::Pc32, lock, 0);
    function.code(&[0x74, 0x17, 0x48, 0x39, 0xd8, 0x74, 0x3f, 0xf3, 0x90, 0x48, 0x8b, 0x05]);
    function.field(RelocKind::GotPc32RelaxRex, (yields, 0), 0);
    function.code(&[
        0x48, 0x85, 0xc0, 0x74, 0xe0, 0xff, 0xd0, 0xeb, 0xdc,
        0xb8, 0x01, 0x00, 0x00, 0x00, 0x49, 0x83, 0x3c, 0x24, 0x00, 0x75, 0x14, 0x4c, 0x89, 0xef, 0xe8,
    ]);
    function.field(RelocKind::Pc32, interpreter, 0);
    function.code(&[
        0x31, 0xd2, 0x83, 0xf8, 0x01, 0x0f, 0x94, 0xc2, 0x49, 0x89, 0x14, 0x24, 0x48, 0xc7, 0x05,
    ]);
    // The immediate stands behind the field.
    function.field(RelocKind::Pc32, lock, 4);
    function.code(&[
        0x00, 0x00, 0x00, 0x00, 0xeb, 0x09, 0x31, 0xc0, 0xeb, 0x05, 0xb8, 0x01, 0x00, 0x00, 0x00,
    ]);
    function.end()
}

/// See [`super::super::Arch::initialize_all`].
///
/// ```text
/// f3 0f 1e fa             endbr64                   if asked for
///  0:  53                 push   %rbx
///  1:  41 54              push   %r12
///  3:  41 55              push   %r13
///  5:  48 8b 1d 00 00 00 00   mov start@GOTPCREL(%rip),%rbx
///  c:  4c 8b 25 00 00 00 00   mov stop@GOTPCREL(%rip),%r12
/// 13:  45 31 ed           xor    %r13d,%r13d
/// next:
/// 16:  4c 39 e3           cmp    %r12,%rbx
/// 19:  73 19              jae    end
/// 1b:  48 63 03           movslq (%rbx),%rax
/// 1e:  85 c0              test   %eax,%eax
/// 20:  74 0c              je     padding
/// 22:  48 01 d8           add    %rbx,%rax
/// 25:  ff d0              call   *%rax
/// 27:  83 f8 01           cmp    $1,%eax
/// 2a:  41 83 d5 00        adc    $0,%r13d
/// padding:
/// 2e:  48 83 c3 04        add    $4,%rbx
/// 32:  eb e2              jmp    next
/// end:
/// 34:  44 89 e8           mov    %r13d,%eax
/// 37:  41 5d              pop    %r13
/// 39:  41 5c              pop    %r12
/// 3b:  5b                 pop    %rbx
/// 3c:  c3                 ret
/// 3d:  e8 00 00 00 00     call   start
/// 42:  e8 00 00 00 00     call   stop
/// ```
///
/// The two calls behind the end are never reached. GNU ld (2.40) exports a hidden boundary from a library unless a
/// call refers to it: only then does it see that it is hidden when it defines it.
#[rustfmt::skip]
pub(super) fn initialize_all(start: SymbolRef, stop: SymbolRef, landing_pad: bool) -> Fragment {
    let mut function = Function::begin(landing_pad);
    function.code(&[0x48, 0x8b, 0x1d]);
    function.field(RelocKind::GotPc32RelaxRex, (start, 0), 0);
    function.code(&[0x4c, 0x8b, 0x25]);
    function.field(RelocKind::GotPc32RelaxRex, (stop, 0), 0);
    function.code(&[
        0x45, 0x31, 0xed, 0x4c, 0x39, 0xe3, 0x73, 0x19, 0x48, 0x63, 0x03, 0x85, 0xc0, 0x74, 0x0c,
        0x48, 0x01, 0xd8, 0xff, 0xd0, 0x83, 0xf8, 0x01, 0x41, 0x83, 0xd5, 0x00,
        0x48, 0x83, 0xc3, 0x04, 0xeb, 0xe2, 0x44, 0x89, 0xe8,
    ]);
    let mut function = Function(function.end());
    for boundary in [start, stop] {
        function.code(&[0xe8]);
        function.field(RelocKind::Plt32, (boundary, 0), 0);
    }
    function.0
}

/// A function that keeps three registers, which leaves the stack aligned for its calls.
struct Function(Fragment);

impl Function {
    /// `push %rbx`, `push %r12`, `push %r13`, and their rows.
    fn begin(landing_pad: bool) -> Self {
        let code = if landing_pad { LANDING_PAD.to_vec() } else { Vec::new() };
        let mut function = Function(Fragment { code, relocations: Vec::new(), frame: Vec::new() });
        let saved = [(&[0x53][..], X86_64::RBX), (&[0x41, 0x54], X86_64::R12), (&[0x41, 0x55], X86_64::R13)];
        for (count, (push, register)) in (2..).zip(saved) {
            function.code(push);
            function.row(CfaOffset(8 * count));
            function.row(Offset(register, -8 * count));
        }
        function
    }

    /// The same backwards, and `ret`. Nothing that runs stands behind it, so the registers' rows need not be taken back.
    fn end(mut self) -> Fragment {
        for (count, pop) in [(3, &[0x41, 0x5d][..]), (2, &[0x41, 0x5c]), (1, &[0x5b])] {
            self.code(pop);
            self.row(CfaOffset(8 * count));
        }
        self.code(&[0xc3]);
        self.0
    }

    fn code(&mut self, bytes: &[u8]) {
        self.0.code.extend(bytes);
    }

    fn row(&mut self, change: gimli::write::CallFrameInstruction) {
        self.0.frame.push((self.0.code.len() as u32, change));
    }

    /// A 32-bit distance from the end of the instruction, which has `behind` more bytes.
    fn field(&mut self, kind: RelocKind, (symbol, addend): Referent, behind: i64) {
        let offset = self.0.code.len() as u64;
        self.0.relocations.push(NewRelocation { offset, kind, symbol, addend: addend - 4 - behind });
        self.code(&[0; 4]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::{decode, disassemble};
    use super::*;
    use crate::edits::UndefinedId;

    const A: SymbolRef = SymbolRef::Undefined(UndefinedId(1));
    const B: SymbolRef = SymbolRef::Undefined(UndefinedId(2));
    const C: SymbolRef = SymbolRef::Undefined(UndefinedId(3));

    /// The instructions' starts and texts, and that every jump leads to one of them.
    fn listing(fragment: &Fragment) -> Vec<(u64, String)> {
        let (mut lines, mut targets) = (Vec::new(), Vec::new());
        decode(&fragment.code, 0..fragment.code.len() as u64, &mut |i| {
            assert!(i.valid);
            lines.push((i.offset, disassemble(&fragment.code[i.offset as usize..], i.offset)));
            // Those without a relocation: short jumps.
            targets.extend(i.reference.filter(|r| r.width == 1).map(|r| r.target));
        });
        for target in targets {
            assert!(lines.iter().any(|(offset, _)| *offset == target), "{target:#x} in {lines:#?}");
        }
        lines
    }

    #[test]
    fn fields_are_the_distances_of_their_instructions() {
        let guard = guard((A, 16), (B, 8), C);
        let lines = listing(&guard);
        let starts = |text: &str| {
            let found = lines.iter().filter(|(_, line)| line.contains(text));
            found.map(|(offset, _)| *offset).collect::<Vec<_>>()
        };
        let fields: Vec<_> =
            guard.relocations.iter().map(|r| (r.offset, r.kind, r.symbol, r.addend)).collect();
        assert_eq!(
            fields,
            [
                (starts("cmpxchg")[0] + 5, RelocKind::Pc32, B, 4),
                (0x32, RelocKind::GotPc32RelaxRex, C, -4),
                (starts("call")[1] + 1, RelocKind::Pc32, A, 12),
                (0x62, RelocKind::Pc32, B, 0),
            ]
        );
        assert_eq!(lines.last().map(|(_, text)| text.trim().to_owned()).as_deref(), Some("ret"));
    }

    #[test]
    fn the_walk_begins_with_a_landing_pad_where_asked() {
        let (plain, padded) = (initialize_all(A, B, false), initialize_all(A, B, true));
        assert_eq!(padded.code[..4], LANDING_PAD);
        assert_eq!(padded.code[4..], plain.code);
        listing(&plain);
        for (one, other) in plain.relocations.iter().zip(&padded.relocations) {
            assert_eq!(one.offset + 4, other.offset);
        }
        assert_eq!(plain.frame.len(), padded.frame.len());
        assert!(plain.frame.iter().zip(&padded.frame).all(|(one, other)| one.0 + 4 == other.0));
    }
}
