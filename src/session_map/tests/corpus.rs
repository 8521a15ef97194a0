//! Every pointer of objects that real compilers wrote has the meaning that is known of it.

use super::*;
use std::path::PathBuf;

#[derive(serde::Deserialize)]
struct Truth {
    pointers: Vec<Pointer>,
}

#[derive(serde::Deserialize)]
struct Pointer {
    value: String,
    twin: String,
    width: u8,
    visible: String,
    /// Not known of pointers that only a witness shows.
    target: Option<HashMap<String, serde_json::Value>>,
}

/// The corpus is not part of the repository: `RELOCFIX_CORPUS` names its folder.
#[test]
fn corpus_maps_name_the_known_targets() {
    let Some(corpus) = std::env::var_os("RELOCFIX_CORPUS") else {
        eprintln!("skipped: RELOCFIX_CORPUS is not set");
        return;
    };
    let table: Vec<u8> = (0..200_000).flat_map(|i| (f64::from(i) * 0.5).to_le_bytes()).collect();
    let mut checked = 0;
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    for folder in folders {
        let truth: Truth =
            serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
        for twin in [false, true] {
            let file = folder.join(if twin { "twin.session.json" } else { "in.session.json" });
            let text = std::fs::read(&file).unwrap();
            let table_path = folder.join("table.bin").to_string_lossy().into_owned();
            let files = Memory::with(&[(&table_path, &table)]);
            let source = MapSource { name: file.display().to_string(), folder: folder.clone(), text: &text };
            let map = SessionMap::parse(&[source], Machine::X86_64, &files).unwrap();
            for pointer in truth.pointers.iter().filter(|p| p.width == 8 && p.visible == "map") {
                let address = if twin { &pointer.twin } else { &pointer.value };
                let address = u64::from_str_radix(&address[2..], 16).unwrap();
                assert!(map.ranges().iter().any(|range| range.contains(&address)), "{address:#x}");
                let (name, offset) = match map.meaning(address, &files, Private::Error).unwrap() {
                    Meaning::Symbol { name, offset, .. } => (name, offset),
                    Meaning::Value(id, offset) => (map.values[id.0 as usize].name.clone(), offset),
                    other => panic!("{}: {address:#x}: {other:?}", file.display()),
                };
                let target = pointer.target.as_ref().unwrap();
                let expected = target.get("symbol").or(target.get("value")).unwrap().as_str().unwrap();
                assert_eq!(
                    (name.as_str(), offset),
                    (expected, target["offset"].as_i64().unwrap()),
                    "{address:#x}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 50, "{checked}");
}
