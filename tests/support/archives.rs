//! The static libraries of this machine, and the ordinary objects in them.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use object::read::archive::ArchiveFile;

/// An object in a library.
pub(crate) struct Member {
    /// `libc.a(printf.o)`.
    pub(crate) name: String,
    /// Where it lies in the library's bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Every static library under the system's library folders and in the Rust toolchain, by path.
pub(crate) fn libraries() -> Vec<PathBuf> {
    let mut roots = vec![PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")];
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if let Ok(output) = Command::new(rustc).args(["--print", "sysroot"]).output()
        && let Ok(sysroot) = String::from_utf8(output.stdout)
    {
        roots.push(Path::new(sysroot.trim()).join("lib/rustlib"));
    }
    let mut found = Vec::new();
    for root in roots {
        walk(&root, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        // Links lead to what is found under its own name.
        if kind.is_dir() {
            walk(&path, found);
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "a" || e == "rlib") {
            found.push(path);
        }
    }
}

/// The members of a library that are relocatable ELF objects for x86-64 and were in none before.
pub(crate) fn objects(path: &Path, seen: &mut HashSet<(usize, u64)>) -> Vec<Member> {
    let Ok(bytes) = fs::read(path) else {
        return Vec::new();
    };
    // Linker scripts have that extension, too.
    let Ok(archive) = ArchiveFile::parse(bytes.as_slice()) else {
        return Vec::new();
    };
    if archive.is_thin() {
        return Vec::new();
    }
    let library = path.file_name().unwrap_or_default().to_string_lossy();
    let mut members = Vec::new();
    for member in archive.members().flatten() {
        let Ok(data) = member.data(bytes.as_slice()) else {
            continue;
        };
        if !is_object(data) {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        data.hash(&mut hasher);
        if seen.insert((data.len(), hasher.finish())) {
            members.push(Member {
                name: format!("{library}({})", String::from_utf8_lossy(member.name())),
                bytes: data.to_vec(),
            });
        }
    }
    members
}

/// By `e_ident`, `e_type` and `e_machine` alone (gABI, ELF header).
fn is_object(data: &[u8]) -> bool {
    data.starts_with(b"\x7fELF\x02\x01\x01") && data.get(16..20) == Some(&[1, 0, 62, 0])
}
