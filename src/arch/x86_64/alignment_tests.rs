//! Snippets in which constants are used, and what each use takes for granted of them.

use iced_x86::code_asm::*;

use super::super::flow::snippet::Snippet;
use super::*;

/// Aligned to 1024.
pub(super) const SESSION: u64 = 0x7f12_3456_0400;

/// What a snippet needs: bits, and whether an addition does instead, by place. Every `movabs` of a number from
/// `SESSION` on is a place, counted from 0.
pub(super) fn needs_of(
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Vec<(u32, u8, bool)> {
    needs_in(write, |_| ())
}

pub(super) fn needs_in(
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    change: impl FnOnce(&mut Snippet),
) -> Vec<(u32, u8, bool)> {
    let mut assembler = CodeAssembler::new(64).expect("64 bits");
    write(&mut assembler).expect("valid instructions");
    let bytes = assembler.assemble(0).expect("assembled");
    let mut seeds = Vec::new();
    for (at, window) in (0u64..).zip(bytes.windows(10)) {
        let value = u64::from_le_bytes(window[2..].try_into().expect("eight bytes"));
        if matches!(window, [0x48 | 0x49, 0xb8..=0xbf, ..]) && value & !0xffff == SESSION & !0xffff {
            let place = seeds.len() as u32;
            seeds.push(Seed { address: at + 2, place, value: Some(value), instruction: Some(at) });
        }
    }
    let mut code = Snippet::new(bytes);
    change(&mut code);
    let needs = alignment_needs(&code, &[0], &seeds);
    needs.iter().map(|need| (need.place.unwrap_or(u32::MAX), need.bits, need.instead.is_some())).collect()
}

/// What `use_of_rax` needs of a constant in `%rax`; `%rdi` is not known.
fn with_rax(use_of_rax: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>) -> Vec<(u32, u8, bool)> {
    needs_of(|a| {
        a.mov(rax, SESSION)?;
        use_of_rax(a)?;
        a.ret()
    })
}

#[test]
fn arithmetic_and_copies_need_nothing() {
    for (what, needs) in [
        ("a dereference", with_rax(|a| a.mov(rax, ptr(rax + rdi * 8 + 16)))),
        ("a store", with_rax(|a| a.mov(ptr(rdi), rax))),
        ("a sum", with_rax(|a| a.add(rax, rdi))),
        ("a difference", with_rax(|a| a.sub(rdi, rax))),
        ("a comparison", with_rax(|a| a.cmp(rax, rdi))),
        ("a null test", with_rax(|a| a.test(rax, rax))),
        ("a shift", with_rax(|a| a.shr(rax, 3))),
        ("a product", with_rax(|a| a.imul_3(rax, rax, 24))),
        ("a copy", with_rax(|a| a.movq(xmm0, rax))),
        ("an unaligned load", with_rax(|a| a.movups(xmm0, ptr(rax)))),
        ("a load with a prefix", with_rax(|a| a.vaddps(xmm0, xmm1, ptr(rax)))),
        ("a load of eight bytes", with_rax(|a| a.addsd(xmm0, ptr(rax)))),
        ("zeros", with_rax(|a| a.xor(eax, eax))),
        ("all bits", with_rax(|a| a.xor(rax, -1))),
        ("another register", with_rax(|a| a.and(rdi, 15))),
        (
            "a vector whose other half is cleared",
            with_rax(|a| {
                a.movq(xmm0, rax)?;
                a.vpbroadcastq(ymm0, xmm0)?;
                a.vmovdqu(ptr(rdi), ymm0)?;
                a.vzeroupper()
            }),
        ),
        (
            "a bit that took the place of its own",
            with_rax(|a| {
                a.sete(al)?;
                a.and(eax, 1)
            }),
        ),
        (
            "an exchange of a byte that was read there",
            with_rax(|a| {
                a.mov(al, ptr(rax))?;
                a.lock().cmpxchg(ptr(rdi), cl)?;
                a.mov(ptr(rsi), al)
            }),
        ),
        (
            "a hash",
            with_rax(|a| {
                a.xor(rax, rdi)?;
                a.and(rax, 0xff)
            }),
        ),
    ] {
        assert_eq!(needs, [], "{what}");
    }
}

#[test]
fn operations_on_bits_need_those_that_count() {
    for (what, needs, bits) in [
        ("and $-64", with_rax(|a| a.and(rax, -64)), 6),
        ("and $0xff0", with_rax(|a| a.and(rax, 0xff0)), 12),
        ("test $15", with_rax(|a| a.test(al, 15)), 4),
        ("test of a byte", with_rax(|a| a.test(al, al)), 8),
        ("test of the second byte", with_rax(|a| a.test(ah, 1)), 9),
        ("xor $8", with_rax(|a| a.xor(rax, 8)), 4),
        (
            "xor with what is known in part",
            with_rax(|a| {
                a.shl(rdi, 4)?;
                a.xor(rax, rdi)
            }),
            64,
        ),
        ("xor of 32 bits", with_rax(|a| a.xor(eax, edi)), 32),
        (
            "a bit beside those that others took the place of",
            with_rax(|a| {
                a.sete(al)?;
                a.and(eax, 0x100)
            }),
            9,
        ),
        (
            "an exchange of what has another byte",
            with_rax(|a| {
                a.mov(al, ptr(rax))?;
                a.cmpxchg(ptr(rdi), rcx)
            }),
            8,
        ),
        ("and", with_rax(|a| a.and(rdi, rax)), 64),
        ("bt", with_rax(|a| a.bt(rax, 5)), 6),
        ("bts", with_rax(|a| a.bts(rax, 0)), 1),
        ("tzcnt", with_rax(|a| a.tzcnt(rcx, rax)), 64),
        ("popcnt", with_rax(|a| a.popcnt(rcx, rax)), 64),
        ("bswap", with_rax(|a| a.bswap(rax)), 64),
        ("andn", with_rax(|a| a.andn(rcx, rax, rdi)), 64),
        ("pext", with_rax(|a| a.pext(rcx, rax, rdi)), 64),
        (
            "a count",
            with_rax(|a| {
                a.mov(rcx, rax)?;
                a.shl(rdi, cl)
            }),
            6,
        ),
        (
            "a constant mask",
            with_rax(|a| {
                a.mov(ecx, 63)?;
                a.and(rcx, rax)
            }),
            6,
        ),
        (
            "after a shift",
            with_rax(|a| {
                a.shr(rax, 4)?;
                a.test(al, 3)
            }),
            6,
        ),
        (
            "a shifted out one",
            with_rax(|a| {
                a.shl(rax, 4)?;
                a.test(al, 0x30)
            }),
            2,
        ),
        (
            "por",
            with_rax(|a| {
                a.movq(xmm0, rax)?;
                a.por(xmm1, xmm0)
            }),
            64,
        ),
        (
            "ptest",
            with_rax(|a| {
                a.movq(xmm0, rax)?;
                a.ptest(xmm1, xmm0)
            }),
            64,
        ),
    ] {
        assert_eq!(needs, [(0, bits, false)], "{what}");
    }
}

#[test]
fn aligned_operands_need_their_size() {
    for (what, needs, bits) in [
        ("movaps", with_rax(|a| a.movaps(xmm0, ptr(rax))), 4),
        ("movaps to memory", with_rax(|a| a.movaps(ptr(rax + 32), xmm0)), 4),
        ("addps", with_rax(|a| a.addps(xmm0, ptr(rax + rdi * 4))), 4),
        ("paddd", with_rax(|a| a.paddd(xmm0, ptr(rdi + rax))), 4),
        ("by its half", with_rax(|a| a.paddd(xmm0, ptr(rdi + rax * 2))), 3),
        ("vmovaps", with_rax(|a| a.vmovaps(ymm0, ptr(rax))), 5),
        ("vmovdqa64", with_rax(|a| a.vmovdqa64(zmm0, ptr(rax))), 6),
        ("vmovntdq", with_rax(|a| a.vmovntdq(ptr(rax), ymm0)), 5),
        (
            "cmpxchg16b",
            with_rax(|a| {
                a.mov(rsi, rax)?;
                a.cmpxchg16b(ptr(rsi))
            }),
            4,
        ),
        (
            "of a sum",
            with_rax(|a| {
                a.lea(rcx, ptr(rax + rdi * 8 + 64))?;
                a.movaps(xmm0, ptr(rcx))
            }),
            4,
        ),
    ] {
        assert_eq!(needs, [(0, bits, false)], "{what}");
    }
}

#[test]
fn or_is_an_addition_where_no_bits_meet() {
    for (what, needs, bits, addition) in [
        ("a clear bit", with_rax(|a| a.or(rax, 0x40)), 7, true),
        ("a set bit", with_rax(|a| a.or(rax, 0x400)), 11, false),
        (
            "after a sum",
            with_rax(|a| {
                a.add(rax, 0x40)?;
                a.or(rax, 0x40)
            }),
            7,
            false,
        ),
        ("half a register", with_rax(|a| a.or(eax, 0x40)), 7, false),
        ("a register", with_rax(|a| a.or(rax, rdi)), 64, true),
        ("to a register", with_rax(|a| a.or(rdi, rax)), 64, true),
        ("memory", with_rax(|a| a.or(rax, ptr(rdi))), 64, true),
        (
            "a bounded register",
            with_rax(|a| {
                a.and(edi, 63)?;
                a.or(rax, rdi)
            }),
            6,
            true,
        ),
        (
            "a byte",
            with_rax(|a| {
                a.movzx(edi, dil)?;
                a.shl(edi, 2)?;
                a.or(rax, rdi)
            }),
            10,
            true,
        ),
        (
            "a register with the same bits",
            with_rax(|a| {
                a.mov(edi, 0x400)?;
                a.or(rax, rdi)
            }),
            11,
            false,
        ),
        (
            "an aligned sum",
            with_rax(|a| {
                a.shl(rdi, 6)?;
                a.add(rax, rdi)?;
                a.or(rax, 8)
            }),
            4,
            true,
        ),
        (
            "a sum that may have the bit",
            with_rax(|a| {
                a.add(rax, rdi)?;
                a.or(rax, 8)
            }),
            4,
            false,
        ),
        ("memory of others", with_rax(|a| a.or(ptr(rdi), rax)), 64, false),
    ] {
        assert_eq!(needs, [(0, bits, addition)], "{what}");
    }
}

#[test]
fn flags_that_are_read_forbid_it() {
    let after = |rest: fn(&mut CodeAssembler) -> Result<(), IcedError>| {
        with_rax(|a| {
            a.or(rax, 0x40)?;
            rest(a)
        })[0]
            .2
    };
    assert!(after(|a| a.nop()), "a return");
    assert!(after(|a| a.call(rdi)), "a call");
    assert!(
        after(|a| {
            a.mov(rcx, rax)?;
            a.add(rcx, 1)?;
            a.setc(al)
        }),
        "set again"
    );
    assert!(!after(|a| a.sete(cl)), "zero");
    assert!(
        !after(|a| {
            a.mov(rcx, rax)?;
            a.setc(cl)
        }),
        "the carry"
    );
    assert!(!after(|a| a.adc(rcx, 0)), "the carry in a sum");
    assert!(
        !after(|a| {
            a.inc(rcx)?;
            a.setc(cl)
        }),
        "the carry, which inc leaves"
    );
    assert!(
        !after(|a| {
            a.shl(rdx, cl)?;
            a.seto(cl)
        }),
        "a shift by nothing"
    );
    assert!(!after(|a| a.pushfq()), "all");
    assert!(
        !after(|a| {
            let mut there = a.create_label();
            a.jmp(there)?;
            a.nop()?;
            a.set_label(&mut there)?;
            a.setle(cl)
        }),
        "behind a jump"
    );
}

#[test]
fn what_is_looked_at_bit_by_bit_is_no_sum() {
    let needs = with_rax(|a| {
        a.or(rax, rdi)?;
        a.test(al, 15)?;
        a.sete(al)
    });
    assert_eq!(needs, [(0, 64, false), (0, 4, false)]);
    // The bits of the sum of disjoint ones are those of the or.
    let needs = with_rax(|a| {
        a.or(rax, 0x40)?;
        a.test(al, 15)
    });
    assert_eq!(needs, [(0, 7, true), (0, 4, false)]);
}

#[test]
fn values_are_followed_through_registers_frames_and_joins() {
    let needs = needs_of(|a| {
        a.push(rbp)?;
        a.mov(rbp, rsp)?;
        a.sub(rsp, 64)?;
        a.mov(rax, SESSION)?;
        a.mov(ptr(rbp - 24), rax)?;
        a.xor(eax, eax)?;
        a.call(rdi)?;
        a.mov(rcx, ptr(rsp + 40))?;
        a.movaps(xmm0, ptr(rcx))?;
        a.leave()?;
        a.ret()
    });
    assert_eq!(needs, [(0, 4, false)], "a spill");
    let needs = needs_of(|a| {
        a.push(rbx)?;
        a.mov(rbx, SESSION)?;
        a.mov(rcx, SESSION)?;
        a.call(rdi)?;
        a.and(rcx, 15)?;
        a.and(rbx, 7)?;
        a.pop(rbx)?;
        a.and(rbx, 31)?;
        a.ret()
    });
    assert_eq!(needs, [(0, 3, false)], "what calls keep");
    let needs = needs_of(|a| {
        let (mut other, mut both) = (a.create_label(), a.create_label());
        a.test(rdi, rdi)?;
        a.je(other)?;
        a.mov(rax, SESSION)?;
        a.jmp(both)?;
        a.set_label(&mut other)?;
        a.mov(rax, SESSION + 0x40)?;
        a.set_label(&mut both)?;
        a.or(rax, 0x40)?;
        a.ret()
    });
    assert_eq!(needs, [(0, 7, false), (1, 7, false)], "one of two, of which one has the bit");
    let needs = needs_of(|a| {
        let mut again = a.create_label();
        a.mov(rax, SESSION)?;
        a.lea(rcx, ptr(rax + 0x400))?;
        a.set_label(&mut again)?;
        a.mov(rdx, rax)?;
        a.or(rdx, 8)?;
        a.add(qword_ptr(rdx), 1)?;
        a.add(rax, 16)?;
        a.cmp(rax, rcx)?;
        a.jne(again)?;
        a.ret()
    });
    assert_eq!(needs, [(0, 4, true)], "a loop");
    let needs = needs_of(|a| {
        a.mov(rax, SESSION)?;
        a.test(rdi, rdi)?;
        a.cmove(rsi, rax)?;
        a.xchg(rsi, rdx)?;
        a.movaps(xmm0, ptr(rdx))?;
        a.ret()
    });
    assert_eq!(needs, [(0, 4, false)], "perhaps");
}

#[test]
fn a_register_that_is_partly_replaced_counts_as_a_whole_only() {
    assert_eq!(
        with_rax(|a| {
            a.mov(ptr(rdi), rax)?;
            a.sete(al)?;
            a.movzx(eax, al)
        }),
        []
    );
    assert_eq!(
        with_rax(|a| {
            a.mov(al, 0x40)?;
            a.mov(rax, ptr(rax))
        }),
        [(0, 8, false)]
    );
    assert_eq!(
        with_rax(|a| {
            a.mov(ah, cl)?;
            a.mov(ptr(rdi), rax)
        }),
        [(0, 16, false)]
    );
}

#[test]
fn words_of_the_object_are_read_where_code_refers_to_them() {
    let bytes = [
        &[0x66, 0x0f, 0x6f, 0x05, 0, 0, 0, 0][..], // movdqa 0(%rip),%xmm0
        &[0x66, 0x0f, 0xeb, 0xc1],                 // por %xmm1,%xmm0
        &[0x48, 0x8b, 0x05, 0, 0, 0, 0],           // mov 0(%rip),%rax
        &[0x48, 0x83, 0xc8, 0x40],                 // or $0x40,%rax
        &[0xc3],                                   // ret
    ];
    let mut code = Snippet::new(bytes.concat());
    // movdqa is 8 bytes, por 4, mov 7: their displacements end with them.
    code.referents = vec![(4, 0x20000), (15, 0x20008)];
    let word = |place, address| Seed { address, place, value: Some(SESSION), instruction: None };
    let seeds = [word(0, 0x20000), word(1, 0x20008), word(2, 0x20010)];
    let needs = alignment_needs(&code, &[0], &seeds);
    let found: Vec<_> = needs.iter().map(|n| (n.place, n.bits, n.instead.is_some())).collect();
    assert_eq!(found, [(Some(0), 64, false), (Some(1), 64, false), (Some(1), 7, true)]);
}
