//! Any text as a session map, as `/proc/PID/maps` and as symbols: read, or an error.

#![no_main]

use std::io;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use relocfix::arch::Machine;
use relocfix::{Files, MapSource, SessionMap};

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fuzz_target!(|text: &[u8]| {
    let source = MapSource { name: "fuzzed.json".to_owned(), folder: PathBuf::new(), text };
    let _ = SessionMap::parse(&[source], Machine::X86_64, &NoFiles);
    let _ = SessionMap::default().add_proc_maps("maps", text);
    let _ = SessionMap::default().add_symbols("nm", text);
});
