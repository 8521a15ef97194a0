//! Snippets in which control goes on through tables, calls and unwinding, and what of the constants in registers comes
//! where.

use iced_x86::code_asm::*;

use super::super::super::Seed;
use super::super::flow::snippet::Snippet;
use super::alignment_needs;
use super::tests::{SESSION, needs_in, needs_of};

/// A part of a snippet.
type Write = fn(&mut CodeAssembler) -> Result<(), IcedError>;

#[test]
fn jumps_through_tables_lead_everywhere() {
    let code = |a: &mut CodeAssembler| {
        a.mov(rax, SESSION)?;
        a.jmp(qword_ptr(rdi * 8))?;
        a.mov(rax, ptr(rsi))?;
        a.movaps(xmm1, ptr(rax))?;
        a.movaps(xmm0, ptr(rax))?;
        a.ret()
    };
    // From the first block: it is followed by the jump alone, and overwrites the register.
    assert_eq!(needs_in(code, |_| ()).len(), 2, "to any instruction, if no table can be read");
    // 10 + 7 bytes, then 3: the first movaps is at 20, the second at 23.
    assert_eq!(needs_in(code, |snippet| snippet.tables = vec![17, 23]), [(0, 4, false)]);
    // A call in the end.
    let tail = needs_of(|a| {
        a.mov(rdi, SESSION)?;
        a.mov(rax, SESSION)?;
        a.jmp(rax)?;
        a.movaps(xmm0, ptr(rdi))?;
        a.ret()
    });
    assert_eq!(tail, []);
}

#[test]
fn jumps_through_a_table_that_can_be_read_lead_where_it_says() {
    const TABLE: u64 = 0x20000;
    // Two switches. What the first one has in a register is gone where the second one leads.
    let code = |a: &mut CodeAssembler| {
        a.mov(rax, SESSION)?; // 0
        a.jmp(qword_ptr(rdi * 8))?; // 10, its field at 13
        a.mov(rax, ptr(rsi))?; // 17
        a.jmp(qword_ptr(rdi * 8))?; // 20, its field at 23
        a.test(al, 1)?; // 27
        a.ret()?; // 29
        a.test(al, 7)?; // 30
        a.ret()
    };
    let both = |first: Vec<Vec<u64>>, second: Vec<Vec<u64>>| {
        needs_in(code, |snippet| {
            snippet.referents = vec![(13, TABLE), (23, TABLE + 64)];
            snippet.tables = vec![17, 27, 30];
            snippet.exact_tables = vec![(TABLE, false, first), (TABLE + 64, false, second)];
        })
    };
    assert_eq!(both(vec![vec![17]], vec![vec![27, 30]]), []);
    assert_eq!(both(vec![vec![17, 27]], vec![vec![30]]), [(0, 1, false)]);
    assert_eq!(both(vec![vec![17], vec![30]], vec![vec![27]]), [(0, 3, false)], "perhaps it goes on");
    assert_eq!(
        both(vec![vec![17], vec![28]], vec![vec![27, 30]]),
        [],
        "no instruction is there: another table"
    );
    let anything = needs_in(code, |snippet| snippet.tables = vec![17, 27, 30]);
    assert_eq!(anything, [(0, 1, false), (0, 3, false)]);
}

#[test]
fn distances_lead_from_the_start_of_their_table() {
    const TABLE: u64 = 0x20000;
    let targets = |read: Write, distances: bool| {
        needs_in(
            |a| {
                a.mov(rsi, SESSION)?; // 0
                a.db(&[0x48, 0x8d, 0x15, 0, 0, 0, 0])?; // 10: lea (%rip),%rdx, its field at 13
                read(a)?; // 17
                a.jmp(rax)?;
                a.db(&[0xc3; 40])?;
                // An instruction that would need all of it, where nothing leads.
                a.popcnt(rcx, rsi)?;
                a.ret()
            },
            |snippet| {
                snippet.referents = vec![(13, TABLE)];
                snippet.exact_tables = vec![(TABLE, distances, vec![vec![40]])];
            },
        )
    };
    let relative = |a: &mut CodeAssembler| {
        a.movsxd(rax, dword_ptr(rdx + rdi * 4))?;
        a.add(rax, rdx)
    };
    let unoptimized = |a: &mut CodeAssembler| {
        a.mov(eax, ptr(rdi + rdx))?;
        a.cdqe()?;
        a.add(rax, rdx)
    };
    assert_eq!(targets(relative, true), []);
    assert_eq!(targets(unoptimized, true), []);
    assert_eq!(targets(|a| a.mov(rax, ptr(rdx + rdi * 8)), false), []);
    let otherwise: [Write; 4] = [
        |a| a.movsxd(rax, dword_ptr(rdx + rdi * 4)),
        |a| {
            a.movsxd(rax, dword_ptr(rdx + rdi * 4))?;
            a.add(rax, rdx)?;
            a.add(rax, rdx)
        },
        |a| {
            a.movsxd(rax, dword_ptr(rdx + rdi * 4))?;
            a.shl(rax, 1)?;
            a.add(rax, rdx)
        },
        |a| {
            a.movzx(eax, word_ptr(rdx + rdi * 2))?;
            a.add(rax, rdx)
        },
    ];
    for read in otherwise {
        assert_eq!(targets(read, true), [(0, 64, false)], "that is no entry of it");
    }
}

#[test]
fn jumps_to_addresses_leave_or_go_on_there() {
    let code = |a: &mut CodeAssembler| {
        a.mov(rsi, SESSION)?; // 0
        a.mov(rax, SESSION + 16)?; // 10
        let mut other = a.create_label();
        a.je(other)?; // 20
        a.mov(rax, 0x1111_2222_3333u64)?; // 22, its field at 24
        a.set_label(&mut other)?;
        a.jmp(rax)?; // 32
        a.test(sil, 1)?; // 34
        a.ret()
    };
    assert_eq!(needs_in(code, |_| ()), [(0, 1, false)], "it may lead anywhere");
    assert_eq!(needs_in(code, |snippet| snippet.referents = vec![(24, 0x20000)]), [], "to other functions");
    assert_eq!(needs_in(code, |snippet| snippet.referents = vec![(24, 34)]), [(0, 1, false)]);
}

#[test]
fn addresses_of_32_bits_are_some_as_well() {
    // mov $0x404040,%eax; movabs $SESSION,%rsi; jmp *%rax; test $1,%sil; ret
    let mut bytes = vec![0xb8, 0x40, 0x40, 0x40, 0x00, 0x48, 0xbe];
    bytes.extend(SESSION.to_le_bytes());
    bytes.extend([0xff, 0xe0, 0x40, 0xf6, 0xc6, 0x01, 0xc3]);
    let seed = |address, place, value, instruction| Seed {
        address,
        place,
        value: Some(value),
        instruction: Some(instruction),
    };
    let of = |low: u64| {
        let seeds = [seed(1, 0, low, 0), seed(7, 1, SESSION, 5)];
        alignment_needs(&Snippet::new(bytes.clone()), &[0], &seeds).len()
    };
    assert_eq!(of(0x40_4040), 0, "it leaves");
    assert_eq!(of(0x7f00_0040_4040), 1, "half an address leads anywhere");
}

#[test]
fn calls_keep_what_a_function_of_the_object_leaves_alone() {
    let code = |function: Write| {
        let write = move |a: &mut CodeAssembler| {
            let mut callee = a.create_label();
            a.mov(rdx, SESSION)?; // 0
            a.call(callee)?; // 10
            a.test(dl, 7)?; // 15
            a.ret()?; // 18
            a.set_label(&mut callee)?;
            function(a)?;
            a.ret()
        };
        needs_in(write, |snippet| snippet.functions = vec![0..19, 19..64])
    };
    assert_eq!(code(|a| a.mov(ptr(rdi), esi)), [(0, 3, false)]);
    assert_eq!(code(|a| a.xor(eax, eax)), [(0, 3, false)]);
    let changes: [Write; 3] = [
        |a| a.mov(edx, esi),
        |a| a.call(qword_ptr(rdi)),
        |a| {
            a.mov(rax, SESSION + 32)?;
            a.call(rax)
        },
    ];
    for function in changes {
        assert_eq!(code(function), [], "it is worthless behind the call");
    }
    // A register that is not known here may lead to a function that the compiler knew.
    assert_eq!(code(|a| a.call(rsi)), [(0, 3, false)]);
}

#[test]
fn behind_calls_that_never_return_nothing_is_known() {
    let code = |a: &mut CodeAssembler| {
        a.mov(rbx, SESSION)?; // 0
        a.call(rdi)?; // 10
        a.test(bl, 7)?;
        a.ret()
    };
    assert_eq!(needs_in(code, |_| ()), [(0, 3, false)]);
    assert_eq!(needs_in(code, |snippet| snippet.dead_ends = vec![10]), []);
}

#[test]
fn what_a_part_of_the_frame_held_is_gone_where_another_part_replaced_it() {
    let needs = |look: Write| {
        needs_of(move |a| {
            a.mov(rax, SESSION)?;
            a.mov(ptr(rsp - 16), rax)?;
            a.mov(ptr(rsp - 16), edi)?;
            look(a)?;
            a.ret()
        })
    };
    assert_eq!(
        needs(|a| {
            a.mov(ecx, ptr(rsp - 16))?;
            a.test(ecx, 1)
        }),
        []
    );
    assert_eq!(
        needs(|a| {
            a.mov(ecx, ptr(rsp - 12))?;
            a.test(ecx, 1)
        }),
        [(0, 64, false)],
        "the other half is still there"
    );
}

#[test]
fn unwinding_keeps_what_calls_keep() {
    let code = |a: &mut CodeAssembler| {
        a.push(rbx)?;
        a.mov(rbx, SESSION)?;
        a.mov(rcx, SESSION)?;
        a.call(rdi)?;
        a.pop(rbx)?;
        a.ret()?;
        a.test(bl, 7)?;
        a.test(cl, 7)?;
        a.ud2()
    };
    assert_eq!(needs_in(code, |_| ()), []);
    // 1 + 10 + 10 + 2 + 1 + 1
    assert_eq!(needs_in(code, |snippet| snippet.landing_pads = vec![25]), [(0, 3, false)]);
}

#[test]
fn what_is_no_instruction_may_do_anything() {
    let code = |byte: u8| {
        needs_of(|a| {
            a.mov(rax, SESSION)?;
            a.mov(ptr(rsp - 8), rax)?;
            a.xor(eax, eax)?;
            a.db(&[byte; 4])
        })
    };
    assert_eq!(code(0x90), []);
    assert_eq!(code(0x06), [(0, 64, false)], "not in 64-bit mode");
    let after_call = needs_of(|a| {
        a.mov(rbx, SESSION)?;
        a.call(rdi)?;
        a.db(&[0x06; 4])
    });
    assert_eq!(after_call, []);
}

#[test]
fn hostile_flow_ends() {
    // Each block adds another constant to what every other block may find in a register.
    let needs = needs_of(|a| {
        let mut labels: Vec<CodeLabel> = (0..400).map(|_| a.create_label()).collect();
        for i in 0..400 {
            a.set_label(&mut labels[i])?;
            a.mov(rax, SESSION + i as u64)?;
            a.mov(ptr(rsp - 8 * (i as i32 % 200)), rax)?;
            a.jne(labels[(i * 7 + 1) % 400])?;
            a.jne(labels[(i * 13 + 5) % 400])?;
        }
        a.test(al, 1)?;
        a.jmp(labels[0])
    });
    assert!(!needs.is_empty());
}
