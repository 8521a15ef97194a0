//! Any bytes as an object that is scanned and rewritten with a map of a process, in both models: a well-formed output, or
//! an error that is none of this program's own; and the same, whether places are listed or not.

#![no_main]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use relocfix::arch::Machine;
use relocfix::{
    ErrorKind, Files, MapSource, ObjectFile, Options, RelocationModel, SessionMap, Unresolved, fix,
};

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// What a process has: a program at a fixed address, and libraries and heaps high up. Wider, and instructions that are right
/// would be addresses when they are read as words.
const MAP: &str = r#"{"relocfix": 1, "machine": "x86_64",
    "mappings": [{"start": "0x400000", "end": "0x600000", "perms": "rwxp"},
                 {"start": "0x7f0000000000", "end": "0x7fffff000000", "perms": "rwxp"}],
    "symbols": [{"address": "0x404000", "name": "low", "size": 1048576},
                {"address": "0x7f1234560000", "name": "high", "size": 1048576}],
    "values": [{"name": "made", "address": "0x7f9876540000", "size": 1048576, "init": {"call": "make"}}]}"#;

static SESSION: LazyLock<SessionMap> = LazyLock::new(|| {
    let source = MapSource { name: "map".to_owned(), folder: PathBuf::new(), text: MAP.as_bytes() };
    SessionMap::parse(&[source], Machine::X86_64, &NoFiles).expect("the map is right")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = ObjectFile::parse("fuzzed.o", bytes) else { return };
    for relocation_model in [RelocationModel::Pic, RelocationModel::Static] {
        let options = Options { relocation_model, unresolved: Unresolved::Keep, ..Options::default() };
        let unlisted = Options { brief: true, ..options.clone() };
        let unlisted = fix(&object, &SESSION, &NoFiles, &unlisted).map(|fixed| fixed.output);
        let fixed = fix(&object, &SESSION, &NoFiles, &options);
        let output = |fixed: &relocfix::Fixed| fixed.output.clone();
        assert_eq!(fixed.as_ref().ok().map(output), unlisted.ok(), "without a list it is another");
        match fixed {
            Ok(fixed) => {
                if let Some(output) = fixed.output {
                    ObjectFile::parse("out.o", &output).expect("the output is an object");
                }
            }
            Err(error) => assert_ne!(error.kind(), ErrorKind::Verification, "{error}"),
        }
    }
});
