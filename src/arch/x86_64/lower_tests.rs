//! Every form that is replaced, for every register, and that all others are refused.

use std::process::Command;

use super::*;

const DELIVERIES: [Delivery; 4] = [Delivery::Got, Delivery::Slot, Delivery::Direct, Delivery::Absolute];
const REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];
const ADDRESS: [u8; 8] = [0x50, 0xfe, 0x07, 0x10, 0x3a, 0x7f, 0x00, 0x80];

fn movabs(register: u8) -> Vec<u8> {
    let mut bytes = vec![0x48 | register >> 3, 0xb8 | register & 7];
    bytes.extend(ADDRESS);
    bytes
}

fn moffs(before: &[u8]) -> Vec<u8> {
    [before, &ADDRESS].concat()
}

fn lowered(bytes: &[u8], field: u64, kind: RelocKind, addend: i64) -> Result<Lowered, String> {
    Ok(Lowered { bytes: bytes.into(), field, kind, addend })
}

#[test]
fn movabs_of_an_address() {
    let load = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x0f, 0x1f, 0x00];
    assert_eq!(lower(&movabs(0), 2, Delivery::Got), lowered(&load, 3, RelocKind::GotPc32RelaxRex, -4));
    assert_eq!(lower(&movabs(0), 2, Delivery::Slot), lowered(&load, 3, RelocKind::Pc32, -4));
    let load = [0x4c, 0x8b, 0x0d, 0, 0, 0, 0, 0x0f, 0x1f, 0x00];
    assert_eq!(lower(&movabs(9), 2, Delivery::Got), lowered(&load, 3, RelocKind::GotPc32RelaxRex, -4));
    let lea = [0x4c, 0x8d, 0x3d, 0, 0, 0, 0, 0x0f, 0x1f, 0x00];
    assert_eq!(lower(&movabs(15), 2, Delivery::Direct), lowered(&lea, 3, RelocKind::Pc32, -4));
    let same = [0x49, 0xbf, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(lower(&movabs(15), 2, Delivery::Absolute), lowered(&same, 2, RelocKind::Abs64, 0));
}

#[test]
fn prefixes_that_mean_nothing_stay() {
    let padded = |bytes: &[u8]| [&[0x2e, 0x3e][..], bytes].concat();
    let load = padded(&[0x4c, 0x8b, 0x0d, 0, 0, 0, 0, 0x0f, 0x1f, 0x00]);
    let expected = lowered(&load, 5, RelocKind::GotPc32RelaxRex, -4);
    assert_eq!(lower(&padded(&movabs(9)), 4, Delivery::Got), expected);
    let twice = padded(&[0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x8b, 0x00]);
    let expected = lowered(&twice, 5, RelocKind::Pc32, -4);
    assert_eq!(lower(&padded(&moffs(&[0xa1])), 3, Delivery::Slot), expected);
    let mov = padded(&[0x48, 0x8b, 0x05, 0, 0, 0, 0]);
    let lea = padded(&[0x48, 0x8d, 0x05, 1, 2, 3, 4]);
    assert_eq!(lower_address_to_load(&lea, 5), lowered(&mov, 5, RelocKind::Pc32, -4));
    // The thread's segments mean something, and so does the prefix of a jump.
    assert!(lower(&[&[0x64][..], &moffs(&[0x48, 0xa1])].concat(), 3, Delivery::Got).is_err());
    assert!(lower(&[0x3e, 0xff, 0x24, 0x25, 1, 2, 3, 4], 4, Delivery::Got).is_err());
}

#[test]
fn movabs_from_an_address() {
    let rax = moffs(&[0x48, 0xa1]);
    let eax = moffs(&[0xa1]);
    let twice = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x48, 0x8b, 0x00];
    assert_eq!(lower(&rax, 2, Delivery::Got), lowered(&twice, 3, RelocKind::GotPc32RelaxRex, -4));
    assert_eq!(lower(&rax, 2, Delivery::Slot), lowered(&twice, 3, RelocKind::Pc32, -4));
    let twice = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x8b, 0x00];
    assert_eq!(lower(&eax, 1, Delivery::Got), lowered(&twice, 3, RelocKind::GotPc32RelaxRex, -4));
    assert_eq!(lower(&eax, 1, Delivery::Slot), lowered(&twice, 3, RelocKind::Pc32, -4));
    let once = [0x48, 0x8b, 0x05, 0, 0, 0, 0, 0x0f, 0x1f, 0x00];
    assert_eq!(lower(&rax, 2, Delivery::Direct), lowered(&once, 3, RelocKind::Pc32, -4));
    let once = [0x8b, 0x05, 0, 0, 0, 0, 0x0f, 0x1f, 0x00];
    assert_eq!(lower(&eax, 1, Delivery::Direct), lowered(&once, 2, RelocKind::Pc32, -4));
    let same = [0x48, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(lower(&rax, 2, Delivery::Absolute), lowered(&same, 2, RelocKind::Abs64, 0));
    let same = [0xa1, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(lower(&eax, 1, Delivery::Absolute), lowered(&same, 1, RelocKind::Abs64, 0));
}

#[test]
fn lea_becomes_a_load() {
    for (modrm, rex) in (0..16u8).map(|r| ((r & 7) << 3 | 5, 0x48 | (r & 8) >> 1)) {
        let lea = [rex, 0x8d, modrm, 1, 2, 3, 4];
        let mov = [rex, 0x8b, modrm, 0, 0, 0, 0];
        assert_eq!(lower_address_to_load(&lea, 3), lowered(&mov, 3, RelocKind::Pc32, -4));
    }
    for (other, field) in [
        (&[0x8d, 0x05, 1, 2, 3, 4][..], 2),         // lea 0x4030201(%rip),%eax
        (&[0x67, 0x48, 0x8d, 0x05, 1, 2, 3, 4], 4), // lea 0x4030201(%eip),%rax
        (&[0x48, 0x8d, 0x80, 1, 2, 3, 4], 3),       // lea 0x4030201(%rax),%rax
        (&[0x48, 0x8d, 0x04, 0x25, 1, 2, 3, 4], 4), // lea 0x4030201,%rax
        (&[0x48, 0x8b, 0x05, 1, 2, 3, 4], 3),       // mov 0x4030201(%rip),%rax
        (&[0xe8, 1, 2, 3, 4], 1),                   // call
        (&[0x48, 0x8d, 0x05, 1, 2, 3, 4], 2),       // another field
        (&[0x48, 0x8d, 0x05, 1, 2, 3, 4, 0x90], 3), // another instruction follows
        (&[0x48, 0x8d, 0x05, 1, 2, 3], 3),          // cut
    ] {
        assert!(lower_address_to_load(other, field).is_err(), "{other:02x?}");
    }
}

#[test]
fn what_is_not_known_is_refused() {
    for (bytes, field, why) in [
        (vec![0x48, 0x8b, 0x05, 1, 2, 3, 4], 3, "accesses memory pc-relatively"),
        (vec![0x48, 0x8b, 0x05, 1, 2, 3, 4], 2, "has no constant"),
        (vec![0x06], 0, "is not one whole instruction"),
        (vec![], 0, "is not one whole instruction"),
        (movabs(0), 3, "has no constant"),
        (movabs(0)[..9].to_vec(), 2, "is not one whole instruction"),
        ([&movabs(0)[..], &[0x90]].concat(), 2, "is not one whole instruction"),
    ] {
        for delivery in DELIVERIES {
            let error = lower(&bytes, field, delivery).unwrap_err();
            assert!(error.contains(why), "{bytes:02x?}: {error}");
        }
    }
}

#[test]
fn what_has_no_room_is_refused() {
    for (bytes, field, why) in [
        (moffs(&[0x48, 0xa3]), 2, "a 64-bit address"),
        (moffs(&[0xa0]), 1, "a 64-bit address"),
        (moffs(&[0x64, 0x48, 0xa1]), 3, "a 64-bit address"),
        (moffs(&[0x66, 0x48, 0xb8]), 3, "a 64-bit address"),
        (vec![0xb8, 1, 2, 3, 4], 1, "an address in 32 bits"),
        (vec![0x8b, 0x04, 0x25, 1, 2, 3, 4], 3, "an address in 32 bits"),
        (vec![0x8b, 0x04, 0xc5, 1, 2, 3, 4], 3, "an address in 32 bits"),
        (vec![0x8b, 0x80, 1, 2, 3, 4], 2, "an address in 32 bits"),
    ] {
        for delivery in [Delivery::Got, Delivery::Slot] {
            let error = lower(&bytes, field, delivery).unwrap_err();
            assert!(error.contains(why), "{bytes:02x?}: {error}");
        }
        // At a fixed address there is always room.
        let lowered = lower(&bytes, field, Delivery::Absolute).unwrap();
        let kind = match (bytes.len() - field, bytes[0]) {
            (8, _) => RelocKind::Abs64,
            (_, 0xb8) => RelocKind::Abs32,
            _ => RelocKind::Abs32Signed,
        };
        assert_eq!((lowered.field, lowered.kind, lowered.addend), (field as u64, kind, 0));
        assert_eq!(lowered.bytes[..field], bytes[..field]);
        assert!(lowered.bytes[field..].iter().all(|&byte| byte == 0));
    }
    let indexed = [0x8b, 0x04, 0xc5, 1, 2, 3, 4];
    assert!(lower(&indexed, 3, Delivery::Direct).is_err());
}

#[test]
fn narrow_addresses_are_replaced_in_place() {
    let mov = [0x49, 0xc7, 0xc1, 1, 2, 3, 4];
    let load = [0x4c, 0x8b, 0x0d, 0, 0, 0, 0];
    let address = [0x4c, 0x8d, 0x0d, 0, 0, 0, 0];
    assert_eq!(lower(&mov, 3, Delivery::Got), lowered(&load, 3, RelocKind::GotPc32RelaxRex, -4));
    assert_eq!(lower(&mov, 3, Delivery::Slot), lowered(&load, 3, RelocKind::Pc32, -4));
    assert_eq!(lower(&mov, 3, Delivery::Direct), lowered(&address, 3, RelocKind::Pc32, -4));
    let lea = [0x4c, 0x8d, 0x0c, 0x25, 1, 2, 3, 4];
    let padded = [&load[..], &[0x90]].concat();
    assert_eq!(lower(&lea, 4, Delivery::Got), lowered(&padded, 3, RelocKind::GotPc32RelaxRex, -4));
    // cmpl $0x8070605,0x4030201: the immediate counts, and the nop comes first.
    let cmp = [0x81, 0x3c, 0x25, 1, 2, 3, 4, 5, 6, 7, 8];
    let direct = [0x90, 0x81, 0x3d, 0, 0, 0, 0, 5, 6, 7, 8];
    assert_eq!(lower(&cmp, 3, Delivery::Direct), lowered(&direct, 3, RelocKind::Pc32, -8));
    let call = [0xff, 0x14, 0x25, 1, 2, 3, 4];
    let direct = [0x90, 0xff, 0x15, 0, 0, 0, 0];
    assert_eq!(lower(&call, 3, Delivery::Direct), lowered(&direct, 3, RelocKind::Pc32, -4));
}

#[test]
fn random_bytes_are_replaced_by_as_many_or_refused() {
    let mut state = 1u64;
    let mut accepted = 0;
    for _ in 0..200_000 {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let starts =
            [&[0x48, 0xb8][..], &[0x49, 0xbf], &[0x48, 0xa1], &[0xa1], &[0x48, 0x8d, 5], &[], &[], &[]];
        let mut bytes = starts[next() % starts.len()].to_vec();
        bytes.extend((0..next() % 11).map(|_| next() as u8));
        let field = next() % 12;
        let results = DELIVERIES.map(|delivery| lower(&bytes, field, delivery));
        for lowered in results.into_iter().chain([lower_address_to_load(&bytes, field)]).flatten() {
            accepted += 1;
            assert_eq!(lowered.bytes.len(), bytes.len());
            assert!(lowered.field as usize + 4 <= bytes.len());
        }
    }
    assert!(accepted > 1000, "{accepted}");
}

/// GNU as writes the same bytes for the text that the comments show.
#[test]
fn the_assembler_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let [source, object, raw] = ["a.s", "a.o", "a.bin"].map(|name| folder.path().join(name));
    let mut text = String::new();
    let mut ours = Vec::new();
    for (number, name) in REGISTERS.iter().enumerate() {
        let old = movabs(number as u8);
        for (delivery, expected) in [
            (Delivery::Slot, format!("mov 0(%rip),%{name}\nnopl (%rax)\n")),
            (Delivery::Direct, format!("lea 0(%rip),%{name}\nnopl (%rax)\n")),
            (Delivery::Absolute, format!("movabs $0,%{name}\n")),
        ] {
            text += &expected;
            ours.extend(lower(&old, 2, delivery).unwrap().bytes);
        }
    }
    let (rax, eax) = (moffs(&[0x48, 0xa1]), moffs(&[0xa1]));
    for (old, field, delivery, expected) in [
        (&rax, 2, Delivery::Got, "mov 0(%rip),%rax\nmov (%rax),%rax\n"),
        (&eax, 1, Delivery::Got, "mov 0(%rip),%rax\nmov (%rax),%eax\n"),
        (&rax, 2, Delivery::Direct, "mov 0(%rip),%rax\nnopl (%rax)\n"),
        (&eax, 1, Delivery::Direct, "mov 0(%rip),%eax\nnopl (%rax)\n"),
        (&rax, 2, Delivery::Absolute, "movabs 0,%rax\n"),
        (&eax, 1, Delivery::Absolute, "movabs 0,%eax\n"),
    ] {
        text += expected;
        ours.extend(lower(old, field, delivery).unwrap().bytes);
    }
    std::fs::write(&source, text).unwrap();
    for command in [
        Command::new("as").arg(&source).arg("-o").arg(&object),
        Command::new("objcopy").args(["-O", "binary", "-j", ".text"]).arg(&object).arg(&raw),
    ] {
        match command.status() {
            Ok(status) => assert!(status.success()),
            Err(error) => {
                assert!(std::env::var_os("RELOCFIX_REQUIRE_TOOLS").is_none(), "{command:?}: {error}");
                eprintln!("skipped: {command:?}: {error}");
                return;
            }
        }
    }
    assert_eq!(std::fs::read(raw).unwrap(), ours);
}

#[test]
fn half_of_an_address_in_place() {
    use crate::arch::Half;
    let low = Delivery::Half(Half::Low);
    for (before, after) in [
        (&[0x48, 0xc7, 0xc0, 1, 2, 3, 4][..], &[0x48, 0x63, 0x05, 0, 0, 0, 0][..]),
        (&[0x49, 0xc7, 0xc1, 1, 2, 3, 4], &[0x4c, 0x63, 0x0d, 0, 0, 0, 0]),
        (&[0xc7, 0xc2, 1, 2, 3, 4], &[0x8b, 0x15, 0, 0, 0, 0]),
        (&[0x41, 0xc7, 0xc1, 1, 2, 3, 4], &[0x44, 0x8b, 0x0d, 0, 0, 0, 0]),
    ] {
        let field = before.len() - 4;
        assert_eq!(lower(before, field, low), lowered(after, field as u64, RelocKind::Pc32, -4));
    }
    // No room, or more than half.
    for (bytes, field) in [
        (vec![0xb8, 1, 2, 3, 4], 1),
        (vec![0xc7, 0x07, 1, 2, 3, 4], 2),
        (movabs(0), 2),
        (moffs(&[0x48, 0xa1]), 2),
    ] {
        assert!(lower(&bytes, field, low).is_err(), "{bytes:02x?}");
    }
}
