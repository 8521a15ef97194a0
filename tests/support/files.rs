//! The files that session maps name, as the library reads them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use relocfix::Files;

/// The machine's own.
#[derive(Debug)]
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// Files that exist nowhere.
#[derive(Debug, Default)]
pub(crate) struct Memory(pub(crate) HashMap<PathBuf, Vec<u8>>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
