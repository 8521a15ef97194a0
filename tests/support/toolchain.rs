//! Which compilers and linkers this machine has. What is missing is skipped loudly; `RELOCFIX_REQUIRE_TOOLS=1`
//! makes a skip a failure.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A linker that gcc can be told to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linker {
    /// GNU ld of binutils.
    Bfd,
    /// LLVM's.
    Lld,
    /// mold.
    Mold,
}

impl Linker {
    /// All of them.
    pub(crate) const ALL: [Linker; 3] = [Linker::Bfd, Linker::Lld, Linker::Mold];

    /// Its name in `-fuse-ld=`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Linker::Bfd => "bfd",
            Linker::Lld => "lld",
            Linker::Mold => "mold",
        }
    }
}

/// Says that something is skipped because `what` is not installed.
///
/// # Panics
/// If `RELOCFIX_REQUIRE_TOOLS=1`.
pub(crate) fn missing(what: &str) {
    let required = env::var_os("RELOCFIX_REQUIRE_TOOLS").is_some_and(|value| value == "1");
    assert!(!required, "{what} is missing, and RELOCFIX_REQUIRE_TOOLS=1 is set: see tests/run.sh");
    skip(&format!("{what} is missing (tests/run.sh installs it)"));
}

/// Says that something is skipped for what this system is, which nothing that could be installed changes.
pub(crate) fn skip(why: &str) {
    // Not `eprintln`, which the test harness swallows.
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

/// The program of that name: on `PATH`, else in the newest `/usr/lib/llvm-*/bin`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    if ["ld.lld", "clang", "llc"].contains(&name) || name.starts_with("llvm-") {
        // Distributions put an old one on PATH and newer ones beside it.
        newest_llvm(name).or_else(|| on_path(name))
    } else {
        on_path(name).or_else(|| newest_llvm(name))
    }
}

/// The program of that name, or a loud skip.
pub(crate) fn require(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        missing(name);
    }
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn newest_llvm(name: &str) -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib")
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix("llvm-")?.parse().ok()?;
            let program = entry.path().join("bin").join(name);
            is_program(&program).then_some((version, program))
        })
        .collect();
    versions.sort();
    versions.pop().map(|(_, program)| program)
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// The linkers of this machine under the names that gcc looks for.
pub(crate) struct Linkers {
    /// Links `ld.bfd`, `ld.lld` and `ld.mold`: for gcc's `-B`.
    folder: PathBuf,
    /// Those that exist.
    pub(crate) found: Vec<Linker>,
}

impl Linkers {
    /// Found once for each test program; the folder of links lies in cargo's target folder and stays.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn get() -> Result<&'static Linkers, String> {
        static LINKERS: OnceLock<Result<Linkers, String>> = OnceLock::new();
        LINKERS.get_or_init(Linkers::find_all).as_ref().map_err(Clone::clone)
    }

    fn find_all() -> Result<Linkers, String> {
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("linkers-{}", env!("CARGO_CRATE_NAME")));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut found = Vec::new();
        for linker in Linker::ALL {
            let name = format!("ld.{}", linker.name());
            // mold installs `ld.mold` only with some packagings.
            let program = find(&name).or_else(|| find(linker.name()).filter(|_| linker == Linker::Mold));
            let Some(program) = program else {
                missing(&name);
                continue;
            };
            let link = folder.join(&name);
            let _ = fs::remove_file(&link);
            symlink(&program, &link).map_err(|error| format!("{}: {error}", link.display()))?;
            found.push(linker);
        }
        Ok(Linkers { folder, found })
    }

    /// What tells gcc to use that linker.
    pub(crate) fn flags(&self, linker: Linker) -> [String; 2] {
        [format!("-B{}", self.folder.display()), format!("-fuse-ld={}", linker.name())]
    }
}
