//! What a thunk does for every form that has one, and that all others are refused.

use super::super::decode::disassemble;
use super::*;
use crate::edits::{SymbolRef, UndefinedId};

const TARGET: Referent = (SymbolRef::Undefined(UndefinedId(1)), 16);
const NEXT: Referent = (SymbolRef::Undefined(UndefinedId(2)), 32);
const DELIVERIES: [Delivery; 3] = [Delivery::Got, Delivery::Slot, Delivery::Direct];

fn of(instruction: &[u8], field: usize, delivery: Delivery) -> Result<Thunk, String> {
    thunk(instruction, &links(&[supply(field, delivery)]))
}

fn supply(field: usize, delivery: Delivery) -> Supply {
    Supply { field, delivery, target: TARGET }
}

fn links(supplies: &[Supply]) -> ThunkLinks<'_> {
    ThunkLinks { supplies, moved: None, next: NEXT, shadow_stack: false, frees_register: false }
}

/// The instructions of a thunk, `;` between them.
fn text(thunk: &Thunk) -> String {
    let mut lines = Vec::new();
    let code = &thunk.fragment.code;
    super::super::decode::decode(code, 0..code.len() as u64, &mut |i| {
        let bytes = &code[i.offset as usize..i.offset as usize + usize::from(i.length)];
        // As if at the start, so that distances do not depend on what comes before.
        lines.push(disassemble(bytes, 0));
    });
    lines.join("; ")
}

fn in_place_of(instruction: &[u8], field: usize) -> String {
    let thunk = of(instruction, field, Delivery::Slot).expect("has a thunk");
    let text = text(&thunk);
    let inner = text
        .strip_prefix("lea -0x80(%rsp),%rsp; ")
        .and_then(|text| text.strip_suffix("; pop %rcx; lea 0x80(%rsp),%rsp; jmp 0x5"));
    inner.and_then(|text| text.strip_prefix("push %rcx; mov (%rip),%rcx; ")).unwrap_or(&text).to_owned()
}

#[test]
fn the_instruction_runs_with_a_register() {
    for (bytes, field, expected) in [
        (&[0x48, 0xa3, 0, 1, 2, 3, 4, 5, 6, 7][..], 2, "mov %rax,(%rcx)"),
        (&[0xa2, 0, 1, 2, 3, 4, 5, 6, 7], 1, "mov %al,(%rcx)"),
        (&[0x66, 0xa1, 0, 1, 2, 3, 4, 5, 6, 7], 2, "mov (%rcx),%ax"),
        (&[0x8b, 0x04, 0xc5, 1, 2, 3, 4], 3, "mov (%rcx,%rax,8),%eax"),
        (&[0x8b, 0x80, 1, 2, 3, 4], 2, "mov (%rcx,%rax),%eax"),
        (&[0x8b, 0x84, 0x98, 1, 2, 3, 4], 3, "lea (%rcx,%rax),%rcx; mov (%rcx,%rbx,4),%eax"),
        (&[0xf0, 0x48, 0x81, 0x00, 1, 2, 3, 4], 4, "lock add %rcx,(%rax)"),
        (&[0x48, 0x3d, 1, 2, 3, 4], 2, "cmp %rcx,%rax"),
        (&[0x48, 0xc7, 0x44, 0x24, 0x80, 1, 2, 3, 4], 5, "mov %rcx,0x8(%rsp)"),
        (&[0x48, 0xc7, 0x44, 0x24, 0x10, 1, 2, 3, 4], 5, "mov %rcx,0x98(%rsp)"),
        // As a relocation says where it leads.
        (&[0x48, 0x8b, 0x05, 1, 2, 3, 4], 3, "mov (%rcx),%rax"),
        (&[0x48, 0xc7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8], 3, "movq $0x8070605,(%rcx)"),
        (&[0xf0, 0x0f, 0xb1, 0x3d, 1, 2, 3, 4], 4, "lock cmpxchg %edi,(%rcx)"),
        (&[0x48, 0x8b, 0x84, 0x24, 1, 2, 3, 4], 4, "mov 0x88(%rsp,%rcx),%rax"),
        (&[0x48, 0x8d, 0x84, 0x94, 1, 2, 3, 4], 4, "lea (%rcx,%rdx,4),%rcx; lea 0x88(%rsp,%rcx),%rax"),
        // With no register the sum is what the constant is.
        (&[0x67, 0x8b, 0x04, 0x25, 1, 2, 3, 4], 4, "mov (%rcx),%eax"),
        (&[0x67, 0xa1, 1, 2, 3, 4], 2, "mov (%rcx),%eax"),
        (&[0x64, 0x48, 0xc7, 0x07, 1, 2, 3, 4], 4, "mov %rcx,%fs:(%rdi)"),
        // The immediate is another constant.
        (&[0xc7, 0x04, 0x25, 1, 2, 3, 4, 5, 6, 7, 8], 3, "movl $0x8070605,(%rcx)"),
    ] {
        assert_eq!(in_place_of(bytes, field), expected, "{bytes:02x?}");
    }
    // %rcx and %rdx are in use.
    let thunk = of(&[0x48, 0x8b, 0x0c, 0xd5, 1, 2, 3, 4], 4, Delivery::Got).expect("has a thunk");
    let all = "lea -0x80(%rsp),%rsp; push %rax; mov (%rip),%rax; mov (%rax,%rdx,8),%rcx; pop %rax; \
               lea 0x80(%rsp),%rsp; jmp 0x5";
    assert_eq!(text(&thunk), all);
    assert_eq!(thunk.depth, [(5, 128), (6, 136), (18, 128), (26, 0)]);
    assert_eq!(thunk.site, [0xe9, 0, 0, 0, 0, 0x0f, 0x1f, 0x00]);
    let fields: Vec<_> = thunk.fragment.relocations.iter().map(|r| (r.offset, r.kind, r.addend)).collect();
    assert_eq!(fields, [(9, RelocKind::GotPc32RelaxRex, 12), (27, RelocKind::Pc32, 28)]);
}

/// movq $imm32,sym(%rip)
#[test]
fn another_operand_keeps_its_relocation() {
    let bytes = [0x48, 0xc7, 0x05, 0, 0, 0, 0, 1, 2, 3, 4];
    let other = (SymbolRef::Undefined(UndefinedId(3)), 48);
    let supplies = [supply(7, Delivery::Got)];
    let moving = |field, kind, target| MovedField { field, kind, target };
    let with = |moved| thunk(&bytes, &ThunkLinks { moved: Some(moved), ..links(&supplies) });
    let thunk = with(moving(3, RelocKind::Pc32, other)).unwrap();
    assert!(text(&thunk).contains("mov %rcx,(%rip)"), "{}", text(&thunk));
    let fields: Vec<_> = thunk.fragment.relocations.iter().map(|r| (r.offset, r.symbol, r.addend)).collect();
    assert_eq!(fields[1], (16, other.0, 44));
    assert!(with(moving(2, RelocKind::Pc32, other)).is_err());
    assert!(with(moving(3, RelocKind::Abs32Signed, other)).is_err());

    // movq $imm32,%fs:disp32
    let bytes = [0x64, 0x48, 0xc7, 0x04, 0x25, 0, 0, 0, 0, 1, 2, 3, 4];
    let supplies = [supply(9, Delivery::Slot)];
    let kind = RelocKind::ThreadLocal(23, 4);
    let moved = Some(moving(5, kind, other));
    let thunk = super::thunk(&bytes, &ThunkLinks { moved, ..links(&supplies) }).unwrap();
    assert!(text(&thunk).contains("; mov %rcx,%fs:0x0; "), "{}", text(&thunk));
    let fields: Vec<_> = thunk.fragment.relocations.iter().map(|r| (r.offset, r.kind, r.addend)).collect();
    assert_eq!(fields[1], (18, kind, 48));
}

#[test]
fn two_addresses_have_a_register_each() {
    let both = |bytes: &[u8], fields: [usize; 2], deliveries: [Delivery; 2]| {
        let supplies = [0, 1].map(|n| supply(fields[n], deliveries[n]));
        thunk(bytes, &links(&supplies))
    };
    for (bytes, fields, expected) in [
        // movq $imm32,disp32
        (&[0x48, 0xc7, 0x04, 0x25, 1, 2, 3, 4, 5, 6, 7, 8][..], [4, 8], "mov %rcx,(%rdx)"),
        // lock addq $imm32,disp32(,%rcx,8)
        (&[0xf0, 0x48, 0x81, 0x04, 0xcd, 1, 2, 3, 4, 5, 6, 7, 8], [5, 9], "lock add %rdx,(%rax,%rcx,8)"),
        // cmpq $imm32,disp32(%rip)
        (&[0x48, 0x81, 0x3d, 1, 2, 3, 4, 5, 6, 7, 8], [3, 7], "cmp %rcx,(%rdx)"),
        // testq $imm32,disp32(%rdx,%rcx)
        (
            &[0x48, 0xf7, 0x84, 0x0a, 1, 2, 3, 4, 5, 6, 7, 8],
            [4, 8],
            "lea (%rsi,%rdx),%rsi; test %rax,(%rsi,%rcx)",
        ),
        // movq $imm32,disp32(%rsp,%rcx,4)
        (
            &[0x48, 0xc7, 0x84, 0x8c, 1, 2, 3, 4, 5, 6, 7, 8],
            [4, 8],
            "lea (%rax,%rcx,4),%rax; mov %rdx,0x90(%rsp,%rax)",
        ),
    ] {
        let thunk = both(bytes, fields, [Delivery::Got, Delivery::Slot]).expect("has a thunk");
        assert!(
            text(&thunk).contains(&format!("(%rip),{}; {expected}; pop", &expected_number(expected))),
            "{}",
            text(&thunk)
        );
        let loads = [thunk.fragment.relocations[0].offset, thunk.fragment.relocations[1].offset];
        assert!(keeps_apart(&thunk.fragment.code, loads), "{}", text(&thunk));
        assert!(!keeps_apart(&thunk.fragment.code, [loads[1], loads[0]]), "{}", text(&thunk));
        assert!(!keeps_apart(&thunk.fragment.code, [loads[0], loads[0]]), "{}", text(&thunk));
        let kinds: Vec<_> = thunk.fragment.relocations.iter().map(|r| r.kind).collect();
        assert_eq!(kinds, [RelocKind::GotPc32RelaxRex, RelocKind::Pc32, RelocKind::Pc32]);
        assert_eq!(thunk.depth[..3], [(5, 128), (6, 136), (7, 144)]);
        assert_eq!(thunk.depth.last().map(|last| last.1), Some(0));
    }
    // All that a constant of 32 bits in an operation of as many can be is half of an address.
    let cmpl = [0x81, 0x3c, 0x25, 1, 2, 3, 4, 5, 6, 7, 8];
    let half = Delivery::Half(crate::arch::Half::Low);
    assert!(text(&both(&cmpl, [3, 7], [Delivery::Slot, half]).unwrap()).contains("cmp %ecx,(%rdx)"));
    assert!(both(&cmpl, [3, 7], [Delivery::Slot; 2]).is_err());
    // In another order they are not what they are said to be.
    let movq = [0x48, 0xc7, 0x04, 0x25, 1, 2, 3, 4, 5, 6, 7, 8];
    assert!(both(&movq, [8, 4], [Delivery::Slot; 2]).is_err());
}

/// The register that the instruction has for its immediate.
fn expected_number(text: &str) -> String {
    let (_, operands) = text.rsplit_once(' ').expect("has operands");
    operands.split(',').next().unwrap_or_default().to_owned()
}

#[test]
fn registers_pushes_and_branches_have_forms_of_their_own() {
    for (bytes, field, delivery, expected) in [
        (&[0xbf, 1, 2, 3, 4][..], 1, Delivery::Got, "mov (%rip),%rdi; jmp 0x5"),
        (&[0x41, 0xb8, 1, 2, 3, 4], 2, Delivery::Direct, "lea (%rip),%r8; jmp 0x5"),
        (&[0x68, 1, 2, 3, 4], 1, Delivery::Slot, "push (%rip); jmp 0x5"),
        (&[0x68, 1, 2, 3, 4], 1, Delivery::Direct, "push %rcx; lea (%rip),%rcx; xchg %rcx,(%rsp); jmp 0x5"),
        (
            &[0xff, 0x34, 0xcd, 1, 2, 3, 4],
            3,
            Delivery::Got,
            "push %rdx; mov (%rip),%rdx; mov (%rdx,%rcx,8),%rdx; xchg %rdx,(%rsp); jmp 0x5",
        ),
        (
            &[0x41, 0xff, 0xb5, 1, 2, 3, 4],
            3,
            Delivery::Slot,
            "push %rcx; mov (%rip),%rcx; mov (%rcx,%r13),%rcx; xchg %rcx,(%rsp); jmp 0x5",
        ),
        (&[0xff, 0x14, 0xcd, 1, 2, 3, 4], 3, Delivery::Got, "mov (%rip),%r11; jmp *(%r11,%rcx,8)"),
        (
            &[0xff, 0x24, 0xcd, 1, 2, 3, 4],
            3,
            Delivery::Got,
            "lea -0x88(%rsp),%rsp; push %rdx; mov (%rip),%rdx; mov (%rdx,%rcx,8),%rdx; mov %rdx,0x8(%rsp); pop %rdx; ret $0x80",
        ),
    ] {
        let found = text(&of(bytes, field, delivery).expect("has a thunk"))
            .replace("pushq", "push")
            .replace("jmpq", "jmp");
        assert_eq!(found, expected, "{bytes:02x?}");
    }
    let call = of(&[0xff, 0x14, 0xcd, 1, 2, 3, 4], 3, Delivery::Got).expect("has a thunk");
    assert_eq!((call.site, call.field, call.calls), (vec![0x66, 0x90, 0xe8, 0, 0, 0, 0], 3, true));
    let jump = [0xff, 0x24, 0xcd, 1, 2, 3, 4];
    assert!(
        thunk(&jump, &ThunkLinks { shadow_stack: true, ..links(&[supply(3, Delivery::Got)]) }).is_err(),
        "a shadow stack forbids it"
    );
    let supplies = [supply(4, Delivery::Got)];
    let freed = ThunkLinks { shadow_stack: true, frees_register: true, ..links(&supplies) };
    let jump = [0x3e, 0xff, 0x24, 0xcd, 1, 2, 3, 4];
    assert_eq!(text(&thunk(&jump, &freed).unwrap()), "mov (%rip),%r11; notrack jmpq *(%r11,%rcx,8)");
    // jmp *disp32(,%r11,8)
    assert!(
        thunk(
            &[0x3e, 0x42, 0xff, 0x24, 0xdd, 1, 2, 3, 4],
            &ThunkLinks { supplies: &[supply(5, Delivery::Got)], ..freed }
        )
        .is_err()
    );
}

/// The stack pointer as an operand is what it is at the instruction.
#[test]
fn the_stack_pointer_is_as_it_was() {
    let (begin, end) = (
        "lea -0x80(%rsp),%rsp; push %rcx; push %rdx; ",
        "; pop %rdx; pop %rcx; lea 0x80(%rsp),%rsp; jmp 0x5",
    );
    for (bytes, field, expected) in [
        // mov %rsp,disp32
        (&[0x48, 0x89, 0x24, 0x25, 1, 2, 3, 4][..], 4, "mov %rdx,(%rcx)"),
        // cmp disp32,%rsp
        (&[0x48, 0x3b, 0x24, 0x25, 1, 2, 3, 4], 4, "cmp (%rcx),%rdx"),
        // cmp $imm32,%rsp
        (&[0x48, 0x81, 0xfc, 1, 2, 3, 4], 3, "cmp %rcx,%rdx"),
    ] {
        let thunk = of(bytes, field, Delivery::Slot).expect("has a thunk");
        assert_eq!(
            text(&thunk),
            format!("{begin}lea 0x90(%rsp),%rdx; mov (%rip),%rcx; {expected}{end}"),
            "{bytes:02x?}"
        );
    }
    // mov disp32,%rsp
    let thunk = of(&[0x48, 0x8b, 0x24, 0x25, 1, 2, 3, 4], 4, Delivery::Slot).expect("has a thunk");
    let written = "mov (%rcx),%rdx; mov 0x8(%rsp),%rcx; xchg %rdx,(%rsp); pop %rsp; jmp 0x5";
    assert_eq!(text(&thunk), format!("{begin}lea 0x90(%rsp),%rdx; mov (%rip),%rcx; {written}"));
    // pop disp32(,%rcx,8)
    let thunk = of(&[0x8f, 0x04, 0xcd, 1, 2, 3, 4], 3, Delivery::Slot).expect("has a thunk");
    let popped = "lea -0x80(%rsp),%rsp; push %rax; push %rdx; mov 0x90(%rsp),%rdx; mov (%rip),%rax; \
                  mov %rdx,(%rax,%rcx,8); pop %rdx; pop %rax; lea 0x88(%rsp),%rsp; jmp 0x5";
    assert_eq!(text(&thunk), popped);
    assert_eq!(thunk.depth.last().map(|last| last.1), Some(-8));
}

#[test]
fn all_else_is_refused() {
    for (bytes, field, why) in [
        (&[0xb0, 1][..], 1, "no constant"),
        (&[0xc7, 0x00, 1, 2, 3, 4], 2, "no form with a 64-bit register"),
        (&[0x3d, 1, 2, 3, 4], 1, "no form with a 64-bit register"),
        (&[0x67, 0x8b, 0x04, 0xfd, 1, 2, 3, 4], 4, "in 32 bits"),
        (&[0x67, 0x48, 0xc7, 0x44, 0x24, 0x10, 1, 2, 3, 4], 6, "in 32 bits"),
        (&[0x64, 0x8b, 0x04, 0x25, 1, 2, 3, 4], 4, "thread's block"),
        (&[0x48, 0xc7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8], 7, "pc-relative operand besides"),
        (&[0xff, 0xb4, 0x24, 1, 2, 3, 4], 3, "what is on the stack"),
        (&[0x8f, 0x84, 0x24, 1, 2, 3, 4], 3, "on the stack"),
        (&[0x66, 0x8f, 0x04, 0x25, 1, 2, 3, 4], 4, "uses the stack"),
        (&[0x66, 0x89, 0x24, 0x25, 1, 2, 3, 4], 4, "a part of the stack pointer"),
        (&[0x42, 0xff, 0x14, 0xdd, 1, 2, 3, 4], 4, "not free"),
        (&[0x41, 0xff, 0x93, 1, 2, 3, 4], 3, "not free"),
        (&[0xff, 0x94, 0x24, 1, 2, 3, 4], 3, "where the stack says"),
        (&[0xff, 0x1c, 0x25, 1, 2, 3, 4], 3, "uses the stack or goes elsewhere"),
        (&[0x48, 0x8b, 0x04, 0x25, 1, 2, 3], 4, "is not one whole instruction"),
        (&[0x48, 0x8b, 0x04, 0x25, 1, 2, 3, 4], 2, "no constant"),
        (&[0x8b, 0x40, 1], 2, "no constant"),
        (&[0x48, 0xc7, 0x84, 0x24, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3, 4], 8, "too far from the stack"),
        (&[0xe8, 1, 2, 3, 4], 1, "uses the stack or goes elsewhere"),
    ] {
        for delivery in DELIVERIES {
            let error = of(bytes, field, delivery).expect_err(why);
            assert!(error.contains(why), "{bytes:02x?}: {error}");
        }
    }
}

#[test]
fn random_bytes_have_a_thunk_or_are_refused() {
    let mut state = 1u64;
    let mut accepted = 0;
    for _ in 0..200_000 {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let starts = [
            &[0x48, 0xa3][..],
            &[0x48, 0xc7],
            &[0x8b, 4],
            &[0x48, 0x81],
            &[0xff],
            &[0x66],
            &[0xc4],
            &[],
            &[],
        ];
        let mut bytes = starts[next() % starts.len()].to_vec();
        bytes.extend((0..next() % 12).map(|_| next() as u8));
        let field = next() % 12;
        for delivery in DELIVERIES {
            let Ok(thunk) = of(&bytes, field, delivery) else { continue };
            accepted += 1;
            assert_eq!(thunk.site.len(), bytes.len());
            assert!(thunk.field as usize + 4 <= bytes.len());
            assert!(!text(&thunk).contains("(bad)"), "{bytes:02x?}: {}", text(&thunk));
            assert!(thunk.depth.is_sorted());
        }
    }
    assert!(accepted > 1000, "{accepted}");
}

#[test]
fn of_half_an_address_as_many_bits_are_taken_as_of_the_constant() {
    use crate::arch::Half;
    for (bytes, field, expected) in [
        (&[0xc7, 0x07, 1, 2, 3, 4][..], 2, "mov (%rip),%ecx; mov %ecx,(%rdi)"),
        (&[0x48, 0xc7, 0x07, 1, 2, 3, 4], 3, "movslq (%rip),%rcx; mov %rcx,(%rdi)"),
        (&[0x81, 0xff, 1, 2, 3, 4], 2, "mov (%rip),%ecx; cmp %ecx,%edi"),
        (&[0x48, 0x81, 0xff, 1, 2, 3, 4], 3, "movslq (%rip),%rcx; cmp %rcx,%rdi"),
        (&[0x8d, 0x87, 1, 2, 3, 4], 2, "movslq (%rip),%rcx; lea (%rcx,%rdi),%eax"),
        (&[0xa9, 1, 2, 3, 4], 1, "mov (%rip),%ecx; test %ecx,%eax"),
    ] {
        let text = text(&of(bytes, field, Delivery::Half(Half::Low)).expect("has a thunk"));
        let inner = text
            .strip_prefix("lea -0x80(%rsp),%rsp; push %rcx; ")
            .and_then(|text| text.strip_suffix("; pop %rcx; lea 0x80(%rsp),%rsp; jmp 0x5"));
        assert_eq!(inner, Some(expected), "{bytes:02x?}");
    }
    for (bytes, field, expected) in [
        (&[0xb8, 1, 2, 3, 4][..], 1, "mov (%rip),%eax; jmp 0x5"),
        (&[0x41, 0xb9, 1, 2, 3, 4], 2, "mov (%rip),%r9d; jmp 0x5"),
        (&[0x68, 1, 2, 3, 4], 1, "push %rcx; movslq (%rip),%rcx; xchg %rcx,(%rsp); jmp 0x5"),
    ] {
        let thunk = of(bytes, field, Delivery::Half(Half::High)).expect("has a thunk");
        assert_eq!(text(&thunk), expected, "{bytes:02x?}");
    }
    // imul $imm32,%edi,%eax
    assert!(of(&[0x69, 0xc7, 1, 2, 3, 4], 2, Delivery::Half(Half::Low)).is_err());
    // The other half of a whole address would be lost.
    assert!(of(&[0x81, 0xff, 1, 2, 3, 4], 2, Delivery::Slot).is_err());
}
