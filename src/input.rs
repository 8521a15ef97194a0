//! How files are read: IN, core files and session maps through a memory map, images into memory. Such a map, and that of a large
//! output, is unsafe code, as only asking the dynamic linker is.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use relocfix::{Error, ErrorKind, Files, Result};

/// A file of the command line, or the standard stream that `-` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// Standard input or output.
    Standard,
    /// A file.
    File(PathBuf),
}

impl Location {
    /// What an argument means.
    pub(crate) fn new(argument: &Path) -> Self {
        if argument.as_os_str() == "-" { Location::Standard } else { Location::File(argument.to_owned()) }
    }

    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Location::Standard => None,
            Location::File(path) => Some(path),
        }
    }
}

/// The bytes of the object that was given.
#[derive(Debug)]
pub(crate) struct Input {
    /// What messages call it.
    pub(crate) name: String,
    /// Its permissions, which the output gets; none for a stream.
    pub(crate) mode: Option<u32>,
    bytes: Bytes,
}

/// What is in a file.
#[derive(Debug)]
pub(crate) enum Bytes {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

impl Deref for Input {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Opens the object.
///
/// # Errors
/// Whatever the operating system says.
pub(crate) fn open(location: &Location) -> Result<Input> {
    let Some(path) = location.file() else {
        let name = "<stdin>".to_owned();
        let mut bytes = Vec::new();
        if let Err(error) = io::stdin().lock().read_to_end(&mut bytes) {
            return Err(cannot_read(&name, &error));
        }
        return Ok(Input { name, mode: None, bytes: Bytes::Owned(bytes) });
    };
    let name = path.display().to_string();
    let (mode, bytes) = open_file(path).map_err(|error| cannot_read(&name, &error))?;
    Ok(Input { name, mode, bytes })
}

fn open_file(path: &Path) -> io::Result<(Option<u32>, Bytes)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    // A pipe has no size, nor have files of /proc; and an empty file cannot be mapped.
    let regular = metadata.is_file() && metadata.len() > 0;
    let mode = regular.then(|| metadata.permissions().mode());
    // Not every file system has files that can be.
    if let Some(map) = regular.then(|| map(&file)).and_then(io::Result::ok) {
        return Ok((mode, Bytes::Mapped(map)));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((mode, Bytes::Owned(bytes)))
}

#[allow(unsafe_code)]
fn map(file: &File) -> io::Result<memmap2::Mmap> {
    // SAFETY: the bytes must not change while they are borrowed. This program changes no file in place: an
    // output that is the input replaces its directory entry, and the mapping keeps the old file. Another
    // program that writes to the object while it is read could change them, as it could for every linker
    // that maps its inputs; the readers check every offset at its use against the length of the map, and whether text is
    // text where it has been copied to, so what can come of it is a wrong or refused output, and a SIGBUS if the file
    // shrinks. IN is mapped for its size, and a session map because memory to copy it into takes longer to get than the
    // map to read; images, which other programs own, are read.
    unsafe { memmap2::Mmap::map(file) }
}

/// Maps a new file of that size, whose room on the disk is taken before: there is none left to run out of when it is written to.
///
/// # Errors
/// Whatever the operating system says; that the file system cannot do that.
#[allow(unsafe_code)]
pub(crate) fn map_new(file: &File, size: usize) -> io::Result<memmap2::MmapMut> {
    rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size as u64)?;
    // SAFETY: the bytes must not change but through the map. The file is a temporary one with a name that nobody
    // was told, and its size is what was taken above.
    unsafe { memmap2::MmapOptions::new().len(size).map_mut(file) }
}

/// Opens a session map.
///
/// # Errors
/// Whatever the operating system says.
pub(crate) fn open_map(path: &Path) -> Result<Bytes> {
    let opened = open_file(path).map(|(_, bytes)| bytes);
    opened.map_err(|error| cannot_read(&path.display().to_string(), &error))
}

/// Reads a file that adds to a session map.
///
/// # Errors
/// Whatever the operating system says.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| cannot_read(&path.display().to_string(), &error))
}

/// The files that session maps name; remembers which were read.
#[derive(Debug, Default)]
pub(crate) struct NamedFiles {
    read: Mutex<BTreeSet<PathBuf>>,
}

impl NamedFiles {
    /// What was read, in the paths' order.
    pub(crate) fn into_read(self) -> BTreeSet<PathBuf> {
        self.read.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for NamedFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        // A map can come from anywhere: opening a named pipe would wait, reading a device may never end.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let bytes = fs::read(path)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(path.to_owned());
        Ok(bytes)
    }
}

fn cannot_read(name: &str, error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, name, format!("cannot be read: {}", io_reason(error)))
}

/// What the operating system says, without the number that Rust and the temporary path that tempfile adds.
pub(crate) fn io_reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_is_mapped_and_keeps_its_bytes_when_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.o");
        fs::write(&path, b"before").unwrap();
        let input = open(&Location::File(path.clone())).unwrap();
        assert!(matches!(input.bytes, Bytes::Mapped(_)));
        assert_eq!(input.mode.unwrap() & 0o777, fs::metadata(&path).unwrap().permissions().mode() & 0o777);
        let other = folder.path().join("other");
        fs::write(&other, b"after").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(&*input, b"before");
    }

    #[test]
    fn an_empty_file_and_a_device_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.o");
        fs::write(&path, b"").unwrap();
        assert!(open(&Location::File(path)).unwrap().is_empty());
        assert!(open(&Location::File("/dev/null".into())).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.o");
        let error = open(&Location::File(missing.clone())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let expected = format!("{}: cannot be read: No such file or directory", missing.display());
        assert_eq!(error.to_string(), expected);
        let error = open(&Location::File(folder.path().to_owned())).unwrap_err();
        assert!(error.to_string().ends_with("cannot be read: Is a directory"), "{error}");
    }

    #[test]
    fn named_files_remembers_what_was_read_and_refuses_devices() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        fs::write(&path, b"image").unwrap();
        let files = NamedFiles::default();
        assert_eq!(Files::read(&files, &path).unwrap(), b"image");
        assert!(Files::read(&files, &folder.path().join("missing")).is_err());
        let error = Files::read(&files, Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.to_string(), "not a regular file");
        assert_eq!(files.into_read().into_iter().collect::<Vec<_>>(), [path]);
    }
}
