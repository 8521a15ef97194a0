//! What decoding makes of single instructions and of real code.

use std::path::Path;
use std::process::{Command, Output};

use super::*;

fn decoded(bytes: &[u8]) -> Vec<Instruction> {
    let mut all = Vec::new();
    decode(bytes, 0..bytes.len() as u64, &mut |instruction| all.push(*instruction));
    all
}

fn one(bytes: &[u8]) -> Instruction {
    single(bytes).unwrap_or_else(|| panic!("{bytes:02x?} is not one instruction"))
}

fn operand(bytes: &[u8]) -> Operand {
    let mut operands = one(bytes).operands.into_iter().flatten();
    let operand = operands.next().unwrap_or_else(|| panic!("{bytes:02x?} has no operand"));
    assert_eq!(operands.next(), None, "{bytes:02x?}");
    operand
}

fn form(bytes: &[u8]) -> (OperandForm, u64, u8, u64) {
    let operand = operand(bytes);
    (operand.form, operand.field, operand.width, operand.value)
}

const ADDRESS: [u8; 8] = [0x50, 0xfe, 0x07, 0x10, 0x3a, 0x7f, 0x00, 0x80];
const VALUE: u64 = 0x8000_7f3a_1007_fe50;

fn with(before: &[u8], constant: &[u8]) -> Vec<u8> {
    [before, constant].concat()
}

#[test]
fn full_width_constants() {
    use OperandForm::*;
    for rex in [0x48, 0x49] {
        for opcode in 0xb8..=0xbf {
            let bytes = with(&[rex, opcode], &ADDRESS);
            assert_eq!(form(&bytes), (Address64, 2, 8, VALUE), "{bytes:02x?}");
        }
    }
    assert_eq!(form(&with(&[0x48, 0xa1], &ADDRESS)), (Load64, 2, 8, VALUE));
    assert_eq!(form(&with(&[0xa1], &ADDRESS)), (Load64, 1, 8, VALUE));
    assert_eq!(form(&with(&[0x2e, 0x49, 0xb8], &ADDRESS)), (Address64, 3, 8, VALUE)); // cs movabs $imm64,%r8
    assert_eq!(form(&with(&[0x3e, 0x26, 0x48, 0xa1], &ADDRESS)), (Load64, 4, 8, VALUE));
    for before in [
        &[0x48, 0x48, 0xb8][..],   // rex.W rex.W movabs $imm64,%rax
        &[0x66, 0x48, 0xb8],       // data16 movabs $imm64,%rax
        &[0x67, 0x48, 0xb8],       // addr32 movabs $imm64,%rax
        &[0x2e, 0x66, 0x48, 0xb8], // cs data16 movabs $imm64,%rax
        &[0x4a, 0xb8],             // rex.WX movabs $imm64,%rax
        &[0x4c, 0xb8],             // rex.WR movabs $imm64,%rax
        &[0x48, 0xa3],             // movabs %rax,moffs64
        &[0xa3],                   // movabs %eax,moffs64
        &[0xa2],                   // movabs %al,moffs64
        &[0xa0],                   // movabs moffs64,%al
        &[0x66, 0xa1],             // movabs moffs64,%ax
        &[0x4c, 0xa1],             // rex.WR movabs moffs64,%rax
        &[0x41, 0xa1],             // rex.B movabs moffs64,%eax
        &[0x64, 0xa1],             // movabs %fs:moffs64,%eax
        &[0x65, 0x48, 0xa1],       // movabs %gs:moffs64,%rax
        &[0x64, 0x48, 0xa3],       // movabs %rax,%fs:moffs64
    ] {
        let bytes = with(before, &ADDRESS);
        let expected = (Other64, before.len() as u64, 8, VALUE);
        assert_eq!(form(&bytes), expected, "{before:02x?}");
    }
}

#[test]
fn constants_of_32_bits() {
    use OperandForm::*;
    const LOW: [u8; 4] = [0x78, 0x56, 0x34, 0x92];
    const ZERO_EXTENDED: u64 = 0x9234_5678;
    const SIGN_EXTENDED: u64 = 0xffff_ffff_9234_5678;
    for (before, after, expected) in [
        (&[0xb8][..], &[][..], (Immediate32, 1, ZERO_EXTENDED)), // mov $imm32,%eax
        (&[0x41, 0xbf], &[], (Immediate32, 2, ZERO_EXTENDED)),   // mov $imm32,%r15d
        (&[0xc7, 0x00], &[], (Immediate32, 2, ZERO_EXTENDED)),   // movl $imm32,(%rax)
        (&[0x48, 0xc7, 0xc0], &[], (Immediate32, 3, SIGN_EXTENDED)), // mov $imm32,%rax
        (&[0x48, 0xc7, 0x40, 8], &[], (Immediate32, 4, SIGN_EXTENDED)), // movq $imm32,8(%rax)
        (&[0x68], &[], (Immediate32, 1, SIGN_EXTENDED)),         // push $imm32
        (&[0x05], &[], (Immediate32, 1, ZERO_EXTENDED)),         // add $imm32,%eax
        (&[0x48, 0x3d], &[], (Immediate32, 2, SIGN_EXTENDED)),   // cmp $imm32,%rax
        (&[0x48, 0x69, 0xc0], &[], (Immediate32, 3, SIGN_EXTENDED)), // imul $imm32,%rax,%rax
        (&[0x8b, 0x04, 0x25], &[], (Absolute32, 3, SIGN_EXTENDED)), // mov disp32,%eax
        (&[0xff, 0x14, 0x25], &[], (Absolute32, 3, SIGN_EXTENDED)), // call *disp32
        (&[0x48, 0x8d, 0x04, 0x25], &[], (Absolute32, 4, SIGN_EXTENDED)), // lea disp32,%rax
        (&[0x64, 0x48, 0x8d, 0x04, 0x25], &[], (Absolute32, 5, SIGN_EXTENDED)), // lea %fs:disp32,%rax
        (&[0x67, 0x8b, 0x04, 0x25], &[], (Absolute32, 4, ZERO_EXTENDED)), // addr32 mov disp32,%eax
        (&[0x67, 0xa1], &[], (Absolute32, 2, ZERO_EXTENDED)),    // addr32 mov moffs32,%eax
        (&[0x83, 0x3c, 0x25], &[7], (Absolute32, 3, SIGN_EXTENDED)), // cmpl $7,disp32
        (&[0x8b, 0x80], &[], (Based32, 2, SIGN_EXTENDED)),       // mov disp32(%rax),%eax
        (&[0x8b, 0x04, 0xc5], &[], (Absolute32, 3, SIGN_EXTENDED)), // mov disp32(,%rax,8),%eax
        (&[0x48, 0x8d, 0x04, 0xc5], &[], (Scaled32, 4, SIGN_EXTENDED)), // lea disp32(,%rax,8),%rax
        (&[0xc5, 0xf8, 0x28, 0x04, 0x25], &[], (Absolute32, 5, SIGN_EXTENDED)), // vmovaps disp32,%xmm0
        (&[0x62, 0xf1, 0x7c, 0x48, 0x28, 0x04, 0x25], &[], (Absolute32, 7, SIGN_EXTENDED)), // …,%zmm0
        (&[0xc4, 0xe2, 0x71, 0x92, 0x04, 0x15], &[], (Absolute32, 6, SIGN_EXTENDED)), // vgatherdps
    ] {
        let bytes = [before, &LOW, after].concat();
        let (f, field, width, value) = form(&bytes);
        assert_eq!(width, 4);
        assert_eq!((f, field, value), expected, "{}", disassemble(&bytes, 0));
    }

    // movq $imm32,disp32
    let both = one(&[&[0x48, 0xc7, 0x04, 0x25][..], &LOW, &[1, 2, 3, 4]].concat());
    let [Some(immediate), Some(displacement)] = both.operands else { panic!("{both:?}") };
    assert_eq!((immediate.form, immediate.field, immediate.value), (Immediate32, 8, 0x0403_0201));
    assert_eq!((displacement.form, displacement.field, displacement.value), (Absolute32, 4, SIGN_EXTENDED));

    for without in [
        &[0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0][..], // mov %fs:0x28,%rax
        &[0x65, 0x48, 0x8b, 0x80, 0x28, 0, 0, 0],           // mov %gs:0x28(%rax),%rax
        &[0x66, 0xb8, 1, 2],                                // mov $imm16,%ax
        &[0x83, 0xc0, 1],                                   // add $imm8,%eax
        &[0xc8, 1, 2, 3],                                   // enter
        &[0x8b, 0x40, 8],                                   // mov 8(%rax),%eax
        &[0xe8, 1, 2, 3, 4],                                // call
        &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],                 // nopl 0(%rax,%rax)
    ] {
        assert_eq!(one(without).operands, [None, None], "{without:02x?}");
    }
}

#[test]
fn pc_relative_operands() {
    use PcUse::*;
    const FIELD: [u8; 4] = [0xf0, 0xff, 0xff, 0xff]; // -16
    for (before, after, usage, size) in [
        (&[0xe8][..], &[][..], Branch, 0),                   // call
        (&[0xe9], &[], Branch, 0),                           // jmp
        (&[0xf2, 0xe9], &[], Branch, 0),                     // bnd jmp
        (&[0x0f, 0x85], &[], Branch, 0),                     // jne
        (&[0x48, 0x8d, 0x05], &[], Address, 0),              // lea
        (&[0x48, 0x8b, 0x05], &[], Memory, 8),               // mov ,%rax
        (&[0x67, 0x8b, 0x05], &[], Memory, 4),               // mov (%eip),%eax
        (&[0xf2, 0x0f, 0x10, 0x05], &[], Memory, 8),         // movsd ,%xmm0
        (&[0x66, 0x0f, 0x3a, 0x0f, 0x05], &[8], Memory, 16), // palignr $8,,%xmm0
        (&[0xc5, 0xfc, 0x28, 0x05], &[], Memory, 32),        // vmovaps ,%ymm0
        (&[0xff, 0x15], &[], Memory, 8),                     // call *
        (&[0x83, 0x3d], &[7], Memory, 4),                    // cmpl $7,
    ] {
        let bytes = [before, &FIELD, after].concat();
        let reference = PcReference {
            field: before.len() as u64,
            width: 4,
            target: (bytes.len() as u64).wrapping_sub(16),
            size,
            usage,
        };
        assert_eq!(one(&bytes).reference, Some(reference), "{}", disassemble(&bytes, 0));
    }
    for short in [[0xeb, 0xfe], [0x74, 0xfe], [0xe3, 0xfe], [0xe2, 0xfe]] {
        let reference = PcReference { field: 1, width: 1, target: 0, size: 0, usage: Branch };
        assert_eq!(one(&short).reference, Some(reference));
    }
    // movl $imm32,disp32(%rip): both
    let both = one(&[0xc7, 0x05, 0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(both.operands[0].map(|o| (o.field, o.value)), Some((6, 0x0403_0201)));
    assert_eq!(both.reference.map(|r| (r.field, r.target)), Some((2, 10)));
    assert_eq!(one(&[0xff, 0xd0]).reference, None);
}

#[test]
fn padding() {
    for nop in [
        &[0x90][..],
        &[0x66, 0x90],
        &[0x66, 0x66, 0x90],
        &[0x48, 0x90],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x1f, 0x40, 0x00],
        &[0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
        &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
        &[0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
        &[0xcc],
    ] {
        assert!(one(nop).nop, "{nop:02x?}");
    }
    for real in [
        &[0x00, 0x00][..],         // add %al,(%rax)
        &[0xf3, 0x0f, 0x1e, 0xfa], // endbr64
        &[0xf3, 0x90],             // pause
        &[0x41, 0x90],             // xchg %eax,%r8d
        &[0x0f, 0x0b],             // ud2
        &[0xcd, 0x03],             // int $3
        &[0x48, 0x8d, 0x76, 0x00], // lea 0(%rsi),%rsi
        &[0x89, 0xc0],             // mov %eax,%eax
    ] {
        assert!(!one(real).nop, "{real:02x?}");
    }
}

#[test]
fn invalid_bytes_are_shown_one_by_one_and_decoding_goes_on() {
    // 06 and 0e are no instructions in 64-bit mode
    let bytes = [0x06, 0x0e, 0xc3, 0x06, 0x90];
    let shown: Vec<_> = decoded(&bytes).iter().map(|i| (i.offset, i.length, i.valid)).collect();
    assert_eq!(shown, [(0, 1, false), (1, 1, false), (2, 1, true), (3, 1, false), (4, 1, true)]);
}

#[test]
fn what_processors_reject_or_disagree_on() {
    assert!(single(&[0xf0, 0x89, 0x00]).is_none(), "lock mov %eax,(%rax)");
    // With an operand size prefix Intel's processors take 32 bits for the distance, AMD's 16.
    assert_eq!(one(&[0x66, 0xe8, 1, 0, 0, 0]).reference.map(|r| (r.width, r.target)), Some((4, 7)));
}

#[test]
fn nothing_leaves_the_range() {
    let code = [0x90, 0x48, 0xb8, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xc3];
    let mut shown = Vec::new();
    decode(&code, 1..5, &mut |i| shown.push((i.offset, i.length, i.valid)));
    // 48 is a REX prefix of nothing complete, b8 wants four bytes
    assert_eq!(shown, [(1, 1, false), (2, 1, false), (3, 1, true), (4, 1, true)]);
    for range in [0..0, 5..99, 13..20, 4..u64::MAX, u64::MAX..u64::MAX, Range { start: 7, end: 3 }] {
        let mut next = range.start;
        decode(&code, range.clone(), &mut |i| {
            assert_eq!(i.offset, next);
            next += u64::from(i.length);
            assert!(next <= range.end.min(code.len() as u64));
        });
    }
}

#[test]
fn offsets_count_from_the_section() {
    // (bad); lea 0(%rip),%rax; jmp to itself
    let code = [0x90, 0x90, 0x06, 0x48, 0x8d, 0x05, 0, 0, 0, 0, 0xeb, 0xfe];
    let mut shown = Vec::new();
    decode(&code, 2..12, &mut |i| shown.push((i.offset, i.reference.map(|r| (r.field, r.target)))));
    assert_eq!(shown, [(2, None), (3, Some((6, 10))), (10, Some((11, 10)))]);
}

#[test]
fn text_is_the_assemblers() {
    for (bytes, text) in [
        (with(&[0x48, 0xb8], &ADDRESS), "movabs $0x80007f3a1007fe50,%rax"),
        (vec![0x48, 0x8b, 0x05, 0x10, 0, 0, 0], "mov 0x10(%rip),%rax"),
        (vec![0x8b, 0x04, 0x25, 0x10, 0, 0, 0], "mov 0x10,%eax"),
        (vec![0xe8, 0x0b, 0, 0, 0], "call 0x1010"),
        (vec![0x06], "(bad)"),
        (vec![], "(bad)"),
    ] {
        assert_eq!(disassemble(&bytes, 0x1000), text);
    }
}

/// Multiplicative congruential numbers: the same in every run.
fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn any_bytes_decode_without_gaps_and_with_fields_inside() {
    for seed in 0..64 {
        let bytes = random_bytes(seed, 8192);
        let mut next = 0;
        decode(&bytes, 0..bytes.len() as u64, &mut |i| {
            assert_eq!(i.offset, next);
            assert!(i.length >= 1 && usize::from(i.length) <= LONGEST);
            next += u64::from(i.length);
            let fields = i.operands.iter().flatten().map(|o| (o.field, o.width));
            for (field, width) in fields.chain(i.reference.map(|r| (r.field, r.width))) {
                assert!(field > i.offset && field + u64::from(width) <= next, "{i:?}");
                assert!(matches!(width, 1 | 2 | 4 | 8), "{i:?}");
            }
        });
        assert_eq!(next, bytes.len() as u64);
    }
}

/// What a survey sums up, and what it shows, is what decoding shows one by one.
#[test]
fn a_survey_is_of_all_instructions() {
    let mut plain = 0;
    let mut survey = Survey::default();
    for seed in 0..64 {
        // Instructions of whatever kind, few kinds with nops at the end, and nops alone.
        let mut bytes = random_bytes(seed, 4096);
        if seed % 3 > 0 {
            bytes = bytes.iter().flat_map(|byte| [0x48, 0x89, 0xc0 | byte & 7, 0x74, byte & 0x1f]).collect();
            bytes.extend((0..8).flat_map(|i| with(&[0x49 - i % 2, 0xb8 | i], &ADDRESS)));
            bytes.extend([0xc3].into_iter().chain([0x90; 100]));
        }
        if seed % 3 == 2 {
            bytes.fill(0x90);
        }
        let range = seed..bytes.len() as u64 - seed;
        survey.begin(&range);
        let mut shown = Vec::new();
        super::survey(&bytes, range.clone(), &mut survey, &mut |i| shown.push(*i));
        let mut expected = Survey::of(&range);
        let (mut starts, mut of_interest) = (Vec::new(), Vec::new());
        decode(&bytes, range.clone(), &mut |i| {
            expected.clean &= i.valid;
            expected.padding &= i.nop;
            expected.sensitivity |= i.sensitivity;
            if !i.nop {
                expected.last = i.sensitivity;
            }
            starts.push(i.offset);
            match (i.operands, i.reference) {
                ([None, None], None) => {}
                ([None, None], Some(reference)) if reference.usage == PcUse::Branch => {
                    let (field, width) = ((reference.field - i.offset) as u8, reference.width);
                    let jumps = i.sensitivity.has(Sensitivity::JUMP);
                    let (offset, target, length) = (i.offset, reference.target, i.length);
                    expected.branches.push(Branch { offset, target, length, field, width, jumps });
                }
                ([Some(operand), None], None)
                    if operand.form == OperandForm::Address64 && operand.field == i.offset + 2 =>
                {
                    expected.plain.push((i.offset, operand.value));
                }
                _ => of_interest.push(*i),
            }
        });
        assert_eq!((&survey.plain, &survey.branches), (&expected.plain, &expected.branches));
        plain += survey.plain.len();
        assert_eq!(shown, of_interest);
        for offset in 0..bytes.len() as u64 + 100 {
            assert_eq!(survey.starts_at(offset), starts.binary_search(&offset).is_ok(), "{offset:#x}");
        }
        let summed = |of: &Survey| (of.clean, of.padding, of.sensitivity, of.last);
        assert_eq!(summed(&survey), summed(&expected));
    }
    assert!(plain > 20, "{plain}");
}

/// The output of a tool, or `None` (loudly) where it is missing and may be.
fn tool(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            Some(output)
        }
        Err(error) => {
            assert!(std::env::var_os("RELOCFIX_REQUIRE_TOOLS").is_none(), "{command:?}: {error}");
            eprintln!("skipped: {command:?}: {error}");
            None
        }
    }
}

/// Offsets at which objdump finds instructions in `.text` of an object, and that section's bytes.
fn objdump(object: &Path) -> Option<(Vec<u64>, Vec<u8>)> {
    let raw = object.with_extension("raw");
    let mut objcopy = Command::new("objcopy");
    objcopy.args(["-O", "binary", "-j", ".text", "--set-section-flags", ".text=alloc"]);
    tool(objcopy.arg(object).arg(&raw))?;
    let mut objdump = Command::new("objdump");
    objdump.args(["-dw", "-z", "--no-show-raw-insn", "-j", ".text"]);
    let text = String::from_utf8(tool(objdump.arg(object))?.stdout).unwrap();
    let mut starts = Vec::new();
    for line in text.lines() {
        // "  12:	mov …"
        let Some((offset, _)) = line.split_once(":\t") else {
            continue;
        };
        starts.push(u64::from_str_radix(offset.trim(), 16).unwrap());
    }
    Some((starts, std::fs::read(raw).unwrap_or_default()))
}

#[test]
fn boundaries_of_real_objects_are_objdumps() {
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = tool(Command::new("gcc").arg("-print-file-name=libc.a")) else {
        return;
    };
    let archive = std::fs::canonicalize(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    let members = [
        "vfprintf-internal.o",
        "malloc.o",
        "qsort.o",
        "strtod_l.o",
        "dl-reloc.o",
        "getaddrinfo.o",
        "regex.o",
        "memmove-avx512-unaligned-erms.o",
        "strcmp-evex.o",
        "dl-trampoline.o",
    ];
    let mut ar = Command::new("ar");
    if tool(ar.arg("x").arg(archive).args(members).current_dir(folder.path())).is_none() {
        return;
    }
    let mut compared = 0;
    for member in members {
        let Some((starts, bytes)) = objdump(&folder.path().join(member)) else {
            return;
        };
        let ours: Vec<u64> = decoded(&bytes).iter().map(|i| i.offset).collect();
        // objdump takes `fwait` and the x87 instruction after it for one
        let expected =
            ours.iter().filter(|&&o| o == 0 || bytes[o as usize - 1] != 0x9b || starts.contains(&o));
        assert!(expected.eq(&starts), "{member}");
        assert!(decoded(&bytes).iter().all(|i| i.valid), "{member}");
        compared += starts.len();
    }
    assert!(compared > 10_000, "only {compared} instructions");
}
