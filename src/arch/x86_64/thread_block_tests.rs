//! Which numbers are distances from the thread pointer, and which are not.

use iced_x86::code_asm::*;

use super::*;

fn assembled(write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Vec<u8> {
    let mut code = CodeAssembler::new(64).unwrap();
    write(&mut code).unwrap();
    code.assemble(0).unwrap()
}

/// The distances that are found, and the texts of their instructions.
fn found_unless(code: &[u8], relocated: &dyn Fn(u64, u64) -> bool) -> Vec<(i64, String)> {
    let found = thread_local_offsets(code, 0..code.len() as u64, relocated);
    let text = |start: u64, length: u8| {
        let start = start as usize;
        super::super::decode::disassemble(&code[start..start + usize::from(length)], start as u64)
    };
    found.into_iter().map(|found| (found.offset, text(found.start, found.length))).collect()
}

fn found(write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Vec<i64> {
    found_unless(&assembled(write), &|_, _| false).into_iter().map(|(offset, _)| offset).collect()
}

const NONE: [i64; 0] = [];

#[test]
fn every_way_that_leads_below_the_thread_pointer() {
    assert_eq!(found(|a| a.mov(rax, qword_ptr(-0x28).fs())), [-0x28]);
    assert_eq!(found(|a| a.mov(dword_ptr(-4).fs(), 7)), [-4]);
    assert_eq!(
        found(|a| {
            a.mov(rax, qword_ptr(0).fs())?;
            a.mov(rcx, qword_ptr(rax - 8))
        }),
        [-8]
    );
    assert_eq!(
        found(|a| {
            a.mov(rax, qword_ptr(0).fs())?;
            a.lea(rdi, qword_ptr(rax - 0x128))
        }),
        [-0x128]
    );
    assert_eq!(
        found(|a| {
            a.mov(r9, qword_ptr(0).fs())?;
            a.add(r9, -0x28)?;
            a.mov(rax, qword_ptr(r9))
        }),
        [-0x28]
    );
    assert_eq!(
        found(|a| {
            a.mov(r9, qword_ptr(0).fs())?;
            a.sub(r9, 0x1000)?;
            a.mov(rax, qword_ptr(r9 + 8))
        }),
        [-0x1000]
    );
    assert_eq!(
        found(|a| {
            a.mov(rax, -8i64)?;
            a.mov(rax, qword_ptr(rax).fs())
        }),
        [-8]
    );
    assert_eq!(
        found(|a| {
            a.mov(rax, 0xffff_ffff_ffff_fff8u64)?;
            a.add(rax, qword_ptr(0).fs())
        }),
        [-8]
    );
    assert_eq!(
        found(|a| {
            a.mov(rcx, qword_ptr(0).fs())?;
            a.mov(rax, -0x7fff_0000i64)?;
            a.mov(rax, qword_ptr(rcx + rax))
        }),
        [-0x7fff_0000]
    );
    assert_eq!(
        found(|a| {
            a.xor(ecx, ecx)?;
            a.mov(rbx, qword_ptr(rcx).fs())?;
            a.call(0x1000)?;
            a.mov(rax, qword_ptr(rbx - 16))
        }),
        [-16]
    );
    let spilled = |a: &mut CodeAssembler| {
        a.mov(rax, qword_ptr(0).fs())?;
        a.mov(qword_ptr(rbp - 0x40), rax)?;
        a.call(0x1000)?;
        a.mov(rcx, qword_ptr(rbp - 0x40))?;
        a.mov(rax, qword_ptr(rcx - 8))
    };
    assert_eq!(found(spilled), [-8]);
}

#[test]
fn the_place_is_the_instruction_with_the_number() {
    let code = assembled(|a| {
        a.mov(rdx, -8i64)?;
        a.mov(rax, qword_ptr(0).fs())?;
        a.mov(rcx, qword_ptr(rax + rdx))?;
        a.lea(rsi, qword_ptr(rax - 0x30))?;
        a.mov(rdi, qword_ptr(rsi + 8))?;
        a.mov(rax, qword_ptr(rsi - 8))
    });
    let expected = [(-8, "movabs $0xfffffffffffffff8,%rdx"), (-0x30, "lea -0x30(%rax),%rsi")];
    assert_eq!(found_unless(&code, &|_, _| false), expected.map(|(offset, text)| (offset, text.to_owned())));
    let first = thread_local_offsets(&code, 0..code.len() as u64, &|_, _| false)[0];
    assert_eq!((first.start, first.field, first.length), (0, 2, 10));
}

#[test]
fn loops_and_branches_are_followed() {
    // The thread pointer comes around the loop.
    let code = assembled(|a| {
        let (mut again, mut end) = (a.create_label(), a.create_label());
        a.mov(rbx, qword_ptr(0).fs())?;
        a.set_label(&mut again)?;
        a.test(edi, edi)?;
        a.je(end)?;
        a.mov(rax, qword_ptr(rbx - 8))?;
        a.dec(edi)?;
        a.jmp(again)?;
        a.set_label(&mut end)?;
        a.ret()
    });
    assert_eq!(found_unless(&code, &|_, _| false).len(), 1);
    // On one of two ways the register holds something else.
    let code = assembled(|a| {
        let mut other = a.create_label();
        a.mov(rbx, qword_ptr(0).fs())?;
        a.test(edi, edi)?;
        a.je(other)?;
        a.mov(rbx, rsi)?;
        a.set_label(&mut other)?;
        a.mov(rax, qword_ptr(rbx - 8))
    });
    assert_eq!(found_unless(&code, &|_, _| false), []);
    // Where a table of jumps leads, what is known before the jump is known.
    let code = assembled(|a| {
        a.mov(rbx, qword_ptr(0).fs())?;
        a.jmp(qword_ptr(rsi + rdi * 8))?;
        a.mov(rax, qword_ptr(rbx - 8))?;
        a.ret()
    });
    assert_eq!(found_unless(&code, &|_, _| false).len(), 1);
}

#[test]
fn everything_else_is_none() {
    // The thread control block: itself, the stack guard, the pointer guard, a thread's own fields.
    for offset in [0, 8, 0x10, 0x28, 0x30, 0x2d0] {
        assert_eq!(found(|a| a.mov(rax, qword_ptr(offset).fs())), NONE);
        assert_eq!(
            found(|a| {
                a.mov(rax, qword_ptr(0).fs())?;
                a.mov(rcx, qword_ptr(rax + offset))
            }),
            NONE
        );
    }
    // Distances that the linker gives.
    let local = assembled(|a| a.mov(rax, qword_ptr(-0x28).fs()));
    assert!(found_unless(&local, &|at, length| at + length > 5).is_empty());
    let code = assembled(|a| {
        a.mov(rax, qword_ptr(0).fs())?;
        a.lea(rax, qword_ptr(rax - 0x128))?;
        a.mov(rax, qword_ptr(rax - 8))
    });
    assert!(found_unless(&code, &|_, length| length == 7).is_empty());
    // mov x@gottpoff(%rip),%rcx; mov %fs:0,%rax; add %rcx,%rax; mov -8(%rax),%rax
    let code = assembled(|a| {
        a.db(&[0x48, 0x8b, 0x0d, 0, 0, 0, 0])?;
        a.mov(rax, qword_ptr(0).fs())?;
        a.add(rax, rcx)?;
        a.mov(rax, qword_ptr(rax - 8))?;
        a.mov(rdx, qword_ptr(rcx - 8).fs())
    });
    assert!(found_unless(&code, &|_, _| false).is_empty());
    // Farther than any block reaches.
    assert_eq!(found(|a| a.db(&[0x64, 0xa0, 0x42, 0xe0, 0x7c, 0xcc, 0x3a, 0xbc, 0x8d, 0xd6])), NONE);
    // Other segments, other registers, registers that hold something else by then.
    assert_eq!(found(|a| a.mov(rax, qword_ptr(-0x28).gs())), NONE);
    assert_eq!(
        found(|a| {
            a.mov(rax, qword_ptr(0).fs())?;
            a.mov(rcx, qword_ptr(rdx - 8))
        }),
        NONE
    );
    assert_eq!(
        found(|a| {
            a.mov(rax, qword_ptr(0).fs())?;
            a.call(0x1000)?;
            a.mov(rcx, qword_ptr(rax - 8))
        }),
        NONE
    );
    assert_eq!(
        found(|a| {
            a.mov(rax, qword_ptr(0).fs())?;
            a.mov(eax, edi)?;
            a.mov(rcx, qword_ptr(rax - 8))
        }),
        NONE
    );
    assert_eq!(
        found(|a| {
            a.mov(eax, dword_ptr(0).fs())?;
            a.mov(rcx, qword_ptr(rax - 8))
        }),
        NONE
    );
    assert_eq!(
        found(|a| {
            a.mov(rax, qword_ptr(0x28).fs())?;
            a.mov(rcx, qword_ptr(rax - 8))
        }),
        NONE
    );
    let overwritten = |a: &mut CodeAssembler| {
        a.mov(rax, qword_ptr(0).fs())?;
        a.mov(qword_ptr(rsp + 8), rax)?;
        a.push(rdi)?;
        a.mov(rcx, qword_ptr(rsp + 8))?;
        a.mov(rax, qword_ptr(rcx - 8))
    };
    assert_eq!(found(overwritten), NONE);
}

/// Wherever the override stands among the prefixes; and in a constant it is none.
#[test]
fn an_override_is_one_of_the_prefixes() {
    let distance = [0x8b, 0x04, 0x25, 0xd8, 0xff, 0xff, 0xff];
    let none = |_: u64, _: u64| false;
    for prefixes in [&[0x64][..], &[0x64, 0x48], &[0x48, 0x64], &[0x2e, 0x64, 0x48], &[0x66, 0x64, 0x48]] {
        let code = [&[0xc3], prefixes, &distance].concat();
        assert!(begins_with_override(&code), "{prefixes:02x?}");
        assert_eq!(found_unless(&code, &none).len(), 1, "{prefixes:02x?}");
    }
    // movabs $0x…64…,%rax
    let constant = [&[0x48, 0xb8, 0x64, 0x48][..], &distance[..6], &[0xc3]].concat();
    assert!(!begins_with_override(&constant));
    // Behind what is no instruction.
    assert!(begins_with_override(&[&[0x06, 0x48, 0xb8, 0x64][..], &[0; 8]].concat()));
}
