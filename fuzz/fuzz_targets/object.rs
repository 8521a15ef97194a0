//! Any bytes as an object: read, or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relocfix::ObjectFile;

fuzz_target!(|bytes: &[u8]| {
    let _ = ObjectFile::parse("fuzzed.o", bytes);
});
