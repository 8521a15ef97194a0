//! Rules of the house that a compiler does not check: which knowledge lives where, how long a file may be, and what no
//! text may speak of.

use std::fs;
use std::path::{Path, PathBuf};

/// All files below a folder of the project with that ending, and what is in them.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project") {
            let path = entry.expect("an entry of the folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 10, "{folder}: {}", found.len());
    found
}

/// A path as it is in `src`.
fn in_src(path: &Path) -> &Path {
    path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("a path in src")
}

/// Code without comments: what a comment says of a machine is no knowledge of it.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines.map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
}

#[test]
fn stages_name_no_machine_and_no_format() {
    // Instruction bytes live in `arch`, relocation numbers and file layout in `format`; a lookup by name is neither.
    let words = ["X86_64", "x86_64", "iced", "R_X86", "SHT_", "SHF_", "STB_", "object::", "Aarch64", "Riscv"];
    let mut found = Vec::new();
    for (path, text) in sources("src") {
        // Sessions are of processes whose images are ELF files: what their symbols say is no matter of the object's format.
        if ["arch", "format", "session_map"].iter().any(|room| in_src(&path).starts_with(room)) {
            continue;
        }
        if path.ends_with("sample_object.rs") || in_src(&path).to_string_lossy().contains("tests") {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (line, code) in code(text) {
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{}:{line}: {}", path.display(), code.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_file_has_one_concept_and_says_which() {
    let mut found = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        if text.lines().count() > 600 {
            found.push(format!("{}: more than 600 lines", path.display()));
        }
        if !text.starts_with("//!") {
            found.push(format!("{}: does not open with what it decides", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
