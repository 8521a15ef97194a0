//! This process: what the kernel mapped and its linker wrote, against addresses that the program itself takes.

use super::*;
use crate::session_map::Mapping;

#[test]
fn this_process() {
    static ZEROED: AtomicUsize = AtomicUsize::new(0);
    static INITIALIZED: AtomicUsize = AtomicUsize::new(0x1234_5678);
    #[inline(never)]
    fn marker(n: usize) -> usize {
        ZEROED.fetch_add(n, Ordering::Relaxed) + INITIALIZED.load(Ordering::Relaxed)
    }
    assert_eq!(marker(1), 0x1234_5678);
    let Ok(text) = std::fs::read("/proc/self/maps") else {
        assert!(std::env::var_os("RELOCFIX_REQUIRE_TOOLS").is_none(), "there is no /proc/self/maps");
        eprintln!("skipped: there is no /proc/self/maps");
        return;
    };
    let mut map = SessionMap::default();
    map.add_proc_maps("/proc/self/maps", &text).unwrap();
    let in_ranges = |address: u64| map.ranges().iter().any(|range| range.contains(&address));

    // Rust's own names are local to the program: they name nothing, but the reason says them.
    for (address, name) in [
        (std::ptr::from_ref(&ZEROED) as u64, "ZEROED"),
        (std::ptr::from_ref(&INITIALIZED) as u64, "INITIALIZED"),
        (marker as fn(usize) -> usize as usize as u64, "marker"),
    ] {
        assert!(in_ranges(address));
        let found = meaning(&map, address, &Disk);
        assert!(found.starts_with("is `") && found.contains(name), "{name}: {found}");
    }
    let heap = Box::new(5u64);
    let found = meaning(&map, std::ptr::from_ref(heap.as_ref()) as u64, &Disk);
    assert!(found.starts_with("is in [heap]") || found.starts_with("is in anonymous memory"), "{found}");

    // libc, loaded where its first mapping says, with the addresses that another reader finds in it.
    let libc = |m: &Mapping| m.path.as_deref().is_some_and(|p| p.contains("/libc.so.6"));
    let Some(first) = map.mappings.iter().find(|m| libc(m)) else {
        assert!(std::env::var_os("RELOCFIX_REQUIRE_TOOLS").is_none(), "no libc.so.6 is loaded");
        eprintln!("skipped: no libc.so.6 is loaded");
        return;
    };
    assert_eq!(first.offset, 0);
    let bytes = std::fs::read(first.path.as_deref().unwrap()).unwrap();
    let elf = goblin::elf::Elf::parse(&bytes).unwrap();
    let mut found = 0;
    for (index, symbol) in elf.dynsyms.iter().enumerate() {
        let name = elf.dynstrtab.get_at(symbol.st_name).unwrap();
        let hidden = elf.versym.as_ref().unwrap().get_at(index).unwrap().is_hidden();
        let address = first.range.start + symbol.st_value;
        let expected = match name {
            "malloc" | "qsort" | "getenv" | "atoi" if !hidden => format!("{name}+0 (libc.so.6)"),
            // Weak, and what they stand for is global with an underscore; in .text and .bss.
            "puts" | "environ" => format!("{name}+0 (libc.so.6)"),
            "stdout" => "stdout+0 (libc.so.6)".into(),
            "memcpy" | "strlen" if !hidden => "is the resolver of the indirect function `".into(),
            _ => continue,
        };
        let actual = meaning(&map, address, &Disk);
        assert!(actual.starts_with(&expected), "{name}: {actual}");
        if !expected.starts_with("is ") {
            assert_eq!(map.address_of(name, Some("libc.so.6"), &Disk), Some(address), "{name}");
        }
        found += 1;
    }
    assert!(found >= 8, "{found}");
}
