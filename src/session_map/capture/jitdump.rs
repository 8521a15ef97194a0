//! jitdump files (Linux source, `tools/perf/Documentation/jitdump-specification.txt`): a compiler writes where each
//! function of its is and moves to, and maps the file so that others find it.

use crate::session_map::image_tables::{name_in, u32_at, u64_at};
use crate::session_map::nm::{ListedSymbol, latest};
use crate::session_map::{LOWEST_ADDRESS, Mapping, SessionSymbol};

/// "JiTD" as a number, in little-endian order.
const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
/// Types of records.
const CODE_LOAD: u32 = 0;
const CODE_MOVE: u32 = 1;
const CODE_CLOSE: u32 = 3;

/// Whether a mapping is of such a file, by its name.
pub(super) fn is_dump(mapping: &Mapping) -> bool {
    let name = mapping.path.as_deref().and_then(|path| path.rsplit('/').next());
    let number = name.and_then(|name| name.strip_prefix("jit-")?.strip_suffix(".dump"));
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The functions that a file lists, the last ones at each address; `pid` is what the process calls itself.
///
/// # Errors
/// It is of another process or another format.
pub(super) fn symbols(bytes: &[u8], pid: Option<u32>) -> Result<Vec<SessionSymbol>, String> {
    // magic, version, size of this header, machine, padding, pid, time, flags
    let field = |at| u32_at(bytes, at).ok_or("is cut off");
    if field(0)? != MAGIC || field(4)? != VERSION {
        return Err("is no jitdump file of version 1 of this machine".to_owned());
    }
    if pid.is_some_and(|pid| field(20) != Ok(pid)) {
        return Err("is of another process".to_owned());
    }
    let mut at = field(8)? as usize;
    let mut listed = Vec::new();
    // The last record may still be in the making.
    while let (Some(kind), Some(size)) = (u32_at(bytes, at), u32_at(bytes, at.saturating_add(4))) {
        let Some(record) =
            at.checked_add(size as usize).and_then(|end| bytes.get(at..end)).filter(|_| size >= 16)
        else {
            break;
        };
        match kind {
            CODE_LOAD => listed.extend(loaded(record, listed.len())),
            CODE_MOVE => moved(record, &mut listed),
            CODE_CLOSE => break,
            _ => {}
        }
        at += record.len();
    }
    Ok(latest(listed).into_iter().map(|entry| entry.symbol).collect())
}

/// Header of 16 bytes, pid, tid, virtual address, address, size, index, name.
fn loaded(record: &[u8], line: usize) -> Option<ListedSymbol> {
    let (address, size) = (u64_at(record, 32)?, u64_at(record, 40)?);
    let name = name_in(record, 56)?.to_owned();
    let possible = address >= LOWEST_ADDRESS && address.checked_add(size).is_some();
    let symbol = SessionSymbol { address, name, size, library: None, align: 1 };
    possible.then_some(ListedSymbol { line, symbol, private: None })
}

/// Header, pid, tid, virtual address, old address, new address, size, index.
fn moved(record: &[u8], listed: &mut Vec<ListedSymbol>) {
    let (Some(from), Some(to)) = (u64_at(record, 32), u64_at(record, 40)) else {
        return;
    };
    let Some(before) = listed.iter().rev().find(|entry| entry.symbol.address == from) else {
        return;
    };
    let symbol = SessionSymbol { address: to, ..before.symbol.clone() };
    listed.push(ListedSymbol { line: listed.len(), symbol, private: None });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(pid: u32) -> Vec<u8> {
        let words = [MAGIC, VERSION, 40, 62, 0, pid, 0, 0, 0, 0];
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn record(kind: u32, fields: &[u64], rest: &[u8]) -> Vec<u8> {
        let size = 16 + 8 + fields.len() * 8 + rest.len();
        let mut bytes: Vec<u8> =
            [kind, size as u32, 0, 0, 7, 7].iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        bytes.extend_from_slice(rest);
        bytes
    }

    fn load(address: u64, name: &str) -> Vec<u8> {
        record(CODE_LOAD, &[address, address, 16, 0], format!("{name}\0code").as_bytes())
    }

    fn names(bytes: &[u8]) -> Vec<(u64, String)> {
        let symbols = symbols(bytes, Some(7)).unwrap().into_iter();
        symbols.map(|symbol| (symbol.address, symbol.name)).collect()
    }

    #[test]
    fn loads_moves_and_what_replaces_them() {
        let mut file = header(7);
        file.extend(load(0x10000, "a"));
        file.extend(load(0x20000, "b"));
        file.extend(record(2, &[1, 2, 3, 4], b"of another kind"));
        file.extend(record(CODE_MOVE, &[0, 0x10000, 0x30000, 16, 0], b""));
        file.extend(load(0x10008, "c"));
        let all = [(0x20000, "b".to_owned()), (0x30000, "a".to_owned()), (0x10008, "c".to_owned())];
        assert_eq!(names(&file), all);
        // A record that is being written, and what follows the last one.
        file.extend(&load(0x40000, "d")[..20]);
        assert_eq!(names(&file), all);
        let mut closed = header(7);
        closed.extend(record(CODE_CLOSE, &[], b""));
        closed.extend(load(0x40000, "d"));
        assert_eq!(names(&closed), []);
    }

    #[test]
    fn other_files() {
        assert!(symbols(b"", None).unwrap_err().contains("cut off"));
        assert!(symbols(&[0; 64], None).unwrap_err().contains("no jitdump file"));
        assert!(symbols(&header(8), Some(7)).unwrap_err().contains("another process"));
        // Records without a size must not stop the reader from coming to an end.
        let mut file = header(7);
        file.extend([0; 64]);
        assert_eq!(names(&file), []);
        let named = |path: &str| Mapping {
            range: 0x1000..0x2000,
            offset: 0,
            perms: None,
            path: Some(path.to_owned()),
            build_id: None,
        };
        assert!(is_dump(&named("/root/.debug/jit/jit-12.dump")) && !is_dump(&named("/x/jit-x.dump")));
    }
}
