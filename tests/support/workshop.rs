//! A folder in which objects are assembled, rewritten and merged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::command::succeed;
use super::relocfix;
use super::toolchain::{Linker, Linkers};

/// The folder, and the session map of all that is made in it.
pub(crate) struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    /// A new one; gone with its contents when it is dropped.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn open(map: &str) -> Result<Workshop, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let workshop = Workshop { folder };
        workshop.write("map.json", map)?;
        Ok(workshop)
    }

    /// A file of that name in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The session map.
    pub(crate) fn map(&self) -> PathBuf {
        self.path("map.json")
    }

    /// Writes a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// The object of an assembler source.
    ///
    /// # Errors
    /// It does not assemble.
    pub(crate) fn assemble(&self, name: &str, source: &str) -> Result<PathBuf, String> {
        let path = self.write(&format!("{name}.s"), source)?;
        let object = path.with_extension("o");
        succeed(Command::new("gcc").args(["-c", "-Wa,--noexecstack", "-o"]).arg(&object).arg(&path))?;
        Ok(object)
    }

    /// An object, rewritten.
    ///
    /// # Errors
    /// The tool refuses it.
    pub(crate) fn fix(&self, object: &Path, options: &[&str]) -> Result<PathBuf, String> {
        let output = object.with_extension("fixed.o");
        relocfix::fix(object, &output, Some(&self.map()), options)?;
        Ok(output)
    }

    /// The object of an assembler source, rewritten.
    ///
    /// # Errors
    /// It does not assemble, or the tool refuses it.
    pub(crate) fn fixed(&self, name: &str, source: &str) -> Result<PathBuf, String> {
        self.fix(&self.assemble(name, source)?, &[])
    }

    /// `ld -r`.
    ///
    /// # Errors
    /// The linker refuses.
    pub(crate) fn merge(&self, linker: Linker, name: &str, objects: &[&Path]) -> Result<PathBuf, String> {
        let output = self.path(&format!("{name}-{}.o", linker.name()));
        let mut command = Command::new("gcc");
        command
            .args(Linkers::get()?.flags(linker))
            .args(["-r", "-nostdlib", "-o"])
            .arg(&output)
            .args(objects);
        succeed(&mut command)?;
        Ok(output)
    }
}
