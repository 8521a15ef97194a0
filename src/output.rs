//! How files are written: whole or not at all. Everything that can fail is done first, in a temporary file of
//! the same folder ([`stage`]); what is left is a rename ([`Staged::commit`]). A large output is made in that file ([`Room`]).

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use memmap2::MmapMut;
use rayon::prelude::*;
use relocfix::{Error, ErrorKind, Result};
use tempfile::NamedTempFile;

use crate::input::{self, Location, io_reason};

/// Read and write for everybody whom the umask lets: what programs create files with.
const NEW_FILE: u32 = 0o666;

/// How many bytes a thread compares in one go: they stay in its cache, and the memory for them is soon there.
const AT_ONCE: usize = 1 << 15;

/// From so many bytes on it costs less to write into a map of a file than to copy bytes into it.
const LARGE: usize = 1 << 20;

/// As many links in a row as Linux follows.
const MAX_LINKS: usize = 40;

/// Bytes that are ready to appear where they belong.
#[derive(Debug)]
pub(crate) struct Staged<'b> {
    name: String,
    step: Step<'b>,
}

#[derive(Debug)]
enum Step<'b> {
    /// The file holds them already.
    Nothing,
    /// This file gets that name. Dropped before, it is removed.
    Rename(NamedTempFile, PathBuf),
    /// Not a regular file: a device or a named pipe, which has no contents to keep.
    WriteTo(PathBuf, Cow<'b, [u8]>),
    /// Standard output.
    Print(Cow<'b, [u8]>),
}

/// Prepares to write `bytes`; the file gets the permissions `mode`, or those that every new file gets. Dropping
/// the result leaves everything as it was.
///
/// A link is followed and stays: whoever put it there wants the contents at its end (the rename is there).
/// Binutils agree for `objcopy FILE`, and replace the link in `objcopy IN LINK` and `ld -o LINK`.
///
/// # Errors
/// Whatever the operating system says; a folder that is missing or cannot be written to.
pub(crate) fn stage<'b>(location: &Location, bytes: &'b [u8], mode: Option<u32>) -> Result<Staged<'b>> {
    stage_as(location, |path| match path {
        None => Ok(Step::Print(bytes.into())),
        Some(path) => stage_file(path, bytes.into(), mode),
    })
}

/// Memory in which an output is made.
#[derive(Debug)]
pub(crate) enum Room {
    /// The process's own.
    Memory(Vec<u8>),
    /// That of a temporary file, which is to get the name of the other.
    File(MmapMut, NamedTempFile, PathBuf),
}

impl Room {
    /// For so many bytes, all zero, that are written there later. Of a large file they are its own where that is possible: they
    /// need not be copied.
    pub(crate) fn new(location: &Location, size: usize) -> Self {
        let large = location.file().filter(|_| size >= LARGE);
        // What is wrong with the place is told when the bytes are there.
        large.and_then(|path| Room::in_file(path, size)).unwrap_or_else(|| Room::Memory(vec![0; size]))
    }

    fn in_file(path: &Path, size: usize) -> Option<Self> {
        let target = target(path).ok()??;
        let temporary = temporary_for(&target).ok()?;
        let map = input::map_new(temporary.as_file(), size).ok()?;
        Some(Room::File(map, temporary, target))
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Room::Memory(bytes) => bytes,
            Room::File(map, ..) => map,
        }
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Room::Memory(bytes) => bytes,
            Room::File(map, ..) => map,
        }
    }
}

/// As [`stage`], with bytes that were made in their room.
///
/// # Errors
/// As [`stage`].
pub(crate) fn stage_room(location: &Location, room: Room, mode: Option<u32>) -> Result<Staged<'static>> {
    stage_as(location, |path| match (path, room) {
        (None, Room::Memory(bytes)) => Ok(Step::Print(bytes.into())),
        (Some(path), Room::Memory(bytes)) => stage_file(path, bytes.into(), mode),
        (_, Room::File(map, _, target)) if holds(&target, &map).unwrap_or(false) => Ok(Step::Nothing),
        (_, Room::File(_, temporary, target)) => finished(temporary, target, mode),
    })
}

fn stage_as<'b>(
    location: &Location,
    step: impl FnOnce(Option<&Path>) -> std::result::Result<Step<'b>, String>,
) -> Result<Staged<'b>> {
    let name = location.file().map_or_else(|| "<stdout>".to_owned(), |path| path.display().to_string());
    match step(location.file()) {
        Ok(step) => Ok(Staged { name, step }),
        Err(reason) => Err(cannot_write(&name, &reason)),
    }
}

fn stage_file<'b>(
    path: &Path,
    bytes: Cow<'b, [u8]>,
    mode: Option<u32>,
) -> std::result::Result<Step<'b>, String> {
    let Some(target) = target(path)? else { return Ok(Step::WriteTo(path.to_owned(), bytes)) };
    if holds(&target, &bytes).unwrap_or(false) {
        return Ok(Step::Nothing);
    }
    let mut temporary = temporary_for(&target)?;
    temporary.as_file_mut().write_all(&bytes).map_err(|error| io_reason(&error))?;
    finished(temporary, target, mode)
}

/// The file that a path leads to, be it there or not; `None`: it is no regular one.
fn target(path: &Path) -> std::result::Result<Option<PathBuf>, String> {
    // Through a link if there is one: `/dev/stdout` is a link to something that has no name.
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err("Is a directory".to_owned()),
        Ok(metadata) if !metadata.is_file() => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_reason(&error)),
    }
    let target = link_target(path).map_err(|error| io_reason(&error))?;
    if !names_a_file(&target) {
        return Err("Is a directory".to_owned());
    }
    Ok(Some(target))
}

/// A new file beside another.
fn temporary_for(target: &Path) -> std::result::Result<NamedTempFile, String> {
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let in_folder = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no folder {}", folder.display()),
        _ => format!("no temporary file in {}: {}", folder.display(), io_reason(&error)),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".relocfix-").permissions(Permissions::from_mode(NEW_FILE));
    builder.tempfile_in(folder).map_err(in_folder)
}

/// A temporary file with all its bytes, which gets its permissions.
fn finished<'b>(
    temporary: NamedTempFile,
    target: PathBuf,
    mode: Option<u32>,
) -> std::result::Result<Step<'b>, String> {
    if let Some(mode) = mode {
        // Of the whole mode: the owner of the output is whoever runs this, so no set-user-id.
        let permissions = Permissions::from_mode(mode & 0o777);
        let set = temporary.as_file().set_permissions(permissions);
        set.map_err(|error| format!("permissions cannot be set: {}", io_reason(&error)))?;
    }
    Ok(Step::Rename(temporary, target))
}

/// Whether a file holds these bytes and no others where they are. Read in parts by all threads, it needs no memory of its size.
///
/// # Errors
/// Whatever the operating system says.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = File::open(path)?;
    if file.metadata()?.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let parts = bytes.par_chunks(AT_ONCE).enumerate();
    let same = parts.map_init(
        || vec![0; AT_ONCE],
        |buffer, (index, part)| {
            let buffer = &mut buffer[..part.len()];
            file.read_exact_at(buffer, (index * AT_ONCE) as u64)?;
            Ok(buffer == part)
        },
    );
    // The first that differs, or that cannot be read, ends it.
    same.find_any(|same| !matches!(same, Ok(true))).unwrap_or(Ok(true))
}

impl Staged<'_> {
    /// Makes the bytes appear.
    ///
    /// # Errors
    /// Whatever the operating system says; a file is then as it was before.
    pub(crate) fn commit(self) -> Result<()> {
        let Staged { name, step } = self;
        let done = match step {
            Step::Nothing => Ok(()),
            // `error.file`, the temporary one, is dropped with the error and so removed.
            Step::Rename(temporary, target) => {
                temporary.persist(target).map(drop).map_err(|error| error.error)
            }
            Step::WriteTo(path, bytes) => {
                OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(&bytes))
            }
            Step::Print(bytes) => print(&bytes),
        };
        done.map_err(|error| cannot_write(&name, &io_reason(&error)))
    }
}

/// Writes to standard output.
///
/// # Errors
/// Whatever the operating system says.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Whether writing to the one would change the other, now or once both exist.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    match (resolved(a), resolved(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The absolute path of a regular file, or of one that would be created; none for devices and pipes, which may be
/// used twice.
fn resolved(path: &Path) -> Option<PathBuf> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => None,
        Ok(_) => fs::canonicalize(path).ok(),
        Err(_) => {
            let target = link_target(path).ok()?;
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
            Some(folder.join(target.file_name()?))
        }
    }
}

/// Where a link ends, whether something is there or not; `path` itself if it is none.
fn link_target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(link) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                path = folder.join(link);
            }
            // Not a link, or nothing there; what else may be wrong shows when the folder is used.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Whether a path can be a file's: `folder/` and `folder/..` are folders, and `Path` drops the slash.
fn names_a_file(path: &Path) -> bool {
    let ends_with_slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    !ends_with_slash && matches!(path.components().next_back(), Some(Component::Normal(_)))
}

fn cannot_write(name: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Io, name, format!("cannot be written: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
    use std::os::unix::net::UnixListener;

    fn write(path: &Path, bytes: &[u8], mode: Option<u32>) -> Result<()> {
        stage(&Location::File(path.to_owned()), bytes, mode)?.commit()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_at_commit_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.o");
        fs::write(&path, b"old").unwrap();
        let staged = stage(&Location::File(path.clone()), b"new", Some(0o100751)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        staged.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o751);
        assert_eq!(names(folder.path()), ["out.o"]);
    }

    #[test]
    fn dropped_it_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.o");
        drop(stage(&Location::File(path), b"new", None).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_rename_that_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.o");
        let staged = stage(&Location::File(path.clone()), b"new", None).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(staged.commit().unwrap_err().to_string().contains("out.o: cannot be written"));
        assert_eq!(names(folder.path()), ["out.o"]);
    }

    #[test]
    fn the_same_bytes_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.o");
        fs::write(&path, b"same").unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        write(&path, b"same", None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        write(&path, b"diff", None).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), before);
    }

    /// A room of a file in a folder, filled; `None`: the file system has none.
    fn large_room(path: &Path, byte: u8) -> Option<Room> {
        let location = Location::File(path.to_owned());
        let mut room = Room::new(&location, LARGE);
        assert!(room.iter().all(|&byte| byte == 0));
        room.fill(byte);
        matches!(room, Room::File(..)).then_some(room)
    }

    #[test]
    fn what_is_made_in_its_file_appears_at_commit_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.o");
        fs::write(&path, b"old").unwrap();
        let location = Location::File(path.clone());
        let Some(room) = large_room(&path, 1) else {
            let required = std::env::var_os("RELOCFIX_REQUIRE_TOOLS").is_some();
            assert!(!required, "{}: takes no room for a file before it is written", path.display());
            return;
        };
        assert_eq!(names(folder.path()).len(), 2);
        drop(room);
        assert_eq!(names(folder.path()), ["out.o"]);
        let staged = stage_room(&location, large_room(&path, 1).unwrap(), Some(0o100751)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        staged.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), [1; LARGE]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o751);
        assert_eq!(names(folder.path()), ["out.o"]);
        // The same bytes are left alone, and a link stays.
        let before = fs::metadata(&path).unwrap().ino();
        let link = folder.path().join("link.o");
        symlink("out.o", &link).unwrap();
        let write =
            |byte| stage_room(&location, large_room(&link, byte).unwrap(), None).unwrap().commit().unwrap();
        write(1);
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        write(2);
        assert_ne!(fs::metadata(&path).unwrap().ino(), before);
        assert_eq!(fs::read(&link).unwrap(), [2; LARGE]);
        assert_eq!(names(folder.path()), ["link.o", "out.o"]);
    }

    #[test]
    fn without_a_file_to_be_there_is_room_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let small = Location::File(folder.path().join("out.o"));
        assert!(matches!(Room::new(&small, LARGE - 1), Room::Memory(_)));
        assert!(matches!(Room::new(&Location::Standard, LARGE), Room::Memory(_)));
        let staged = stage_room(&Location::Standard, Room::Memory(vec![1; 2]), None).unwrap();
        assert!(matches!(staged.step, Step::Print(bytes) if *bytes == [1; 2]));
        let path = folder.path().join("socket");
        let _socket = UnixListener::bind(&path).unwrap();
        assert!(matches!(Room::new(&Location::File(path), LARGE), Room::Memory(_)));
        // What is wrong is told as ever.
        let missing = Location::File(folder.path().join("missing/out.o"));
        let error = stage_room(&missing, Room::new(&missing, LARGE), None).unwrap_err();
        assert!(error.to_string().contains("there is no folder"), "{error}");
        assert_eq!(names(folder.path()), ["socket"]);
    }

    #[test]
    fn a_new_file_without_a_mode_gets_what_the_umask_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        write(&ours, b"x", None).unwrap();
        fs::write(&theirs, b"x").unwrap();
        assert_eq!(fs::metadata(ours).unwrap().mode(), fs::metadata(theirs).unwrap().mode());
    }

    #[test]
    fn links_are_followed_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/old.o"), b"old").unwrap();
        symlink("elsewhere/old.o", at("link.o")).unwrap();
        symlink("link.o", at("link-to-link.o")).unwrap();
        symlink("elsewhere/new.o", at("dangling.o")).unwrap();
        write(&at("link-to-link.o"), b"new", None).unwrap();
        write(&at("dangling.o"), b"made", None).unwrap();
        assert_eq!(fs::read(at("elsewhere/old.o")).unwrap(), b"new");
        assert_eq!(fs::read(at("elsewhere/new.o")).unwrap(), b"made");
        for link in ["link.o", "link-to-link.o", "dangling.o"] {
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
        }
        symlink("loop.o", at("loop.o")).unwrap();
        assert!(write(&at("loop.o"), b"x", None).is_err());
        assert_eq!(names(&at("elsewhere")), ["new.o", "old.o"]);
    }

    // A socket, and none of the machine's devices: run by root, a defect here would replace those.
    #[test]
    fn what_is_no_regular_file_is_opened_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _socket = UnixListener::bind(&path).unwrap();
        let location = Location::File(path.clone());
        let staged = stage(&location, b"x", Some(0o600)).unwrap();
        assert!(matches!(staged.step, Step::WriteTo(..)));
        let error = staged.commit().unwrap_err();
        assert!(
            error.to_string().ends_with("socket: cannot be written: No such device or address"),
            "{error}"
        );
        assert!(fs::metadata(&path).unwrap().file_type().is_socket());
        assert_eq!(names(folder.path()), ["socket"]);
    }

    #[test]
    fn folders_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "/", "new/", "new/.."] {
            let path = PathBuf::from(format!(
                "{}{}{name}",
                folder.path().display(),
                if name.is_empty() { "" } else { "/" }
            ));
            let error = write(&path, b"x", None).unwrap_err();
            assert!(error.to_string().ends_with("cannot be written: Is a directory"), "{name}: {error}");
        }
        let error = write(&folder.path().join("missing/out.o"), b"x", None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        let reason = format!("there is no folder {}/missing", folder.path().display());
        assert!(error.to_string().ends_with(&reason), "{error}");
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn the_same_file_is_known_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), b"x").unwrap();
        symlink("a", at("link")).unwrap();
        symlink("new", at("dangling")).unwrap();
        assert!(same_file(&at("a"), &at("./a")) && same_file(&at("a"), &at("link")));
        assert!(same_file(&at("new"), &at("dangling")));
        assert!(!same_file(&at("a"), &at("new")));
        let _socket = UnixListener::bind(at("socket")).unwrap();
        assert!(!same_file(&at("socket"), &at("socket")));
    }
}
