//! The object of README's first example, which carries its own session map, works as README says.

use std::fs;
use std::path::Path;

mod support;

use support::matrix::Matrix;
use support::relocfix;
use support::untouched::assert_untouched;

#[test]
fn demo() -> Result<(), String> {
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/demo");
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = folder.path().join("demo-fixed.o");
    let input = stored.join("demo.o");
    let fixed = relocfix::fix::<&str>(&input, &output, None, &[])?;
    assert_untouched(&input, &output, &fixed.report)?;
    relocfix::assert_stable::<&str>(&output, None, &[])?;
    let driver = fs::read_to_string(stored.join("main.c")).map_err(|error| error.to_string())?;
    Matrix::new(&[output]).driver(&driver).expect_stdout("hello from another process\n42\n").run()
}
