//! The link matrix: objects and a driver, linked by every linker into every kind of output, without text
//! relocations and without a warning, and run.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use super::command::{run, succeed};
use super::toolchain::{Linker, Linkers};

/// A kind of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The objects in a library, the driver in an executable that is linked against it.
    Shared,
    /// A position-independent executable.
    Pie,
    /// One without a dynamic linker.
    StaticPie,
    /// At a fixed address, without a dynamic linker.
    Static,
    /// At a fixed address.
    NoPie,
}

impl Mode {
    /// All of them.
    pub(crate) const ALL: [Mode; 5] = [Mode::Shared, Mode::Pie, Mode::StaticPie, Mode::Static, Mode::NoPie];

    /// As gcc's option is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Shared => "shared",
            Mode::Pie => "pie",
            Mode::StaticPie => "static-pie",
            Mode::Static => "static",
            Mode::NoPie => "no-pie",
        }
    }

    /// The mode of that name.
    pub(crate) fn from_name(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// The language of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
}

/// How a linked program must end.
#[derive(Debug, Clone)]
enum End {
    /// With 0, having printed this.
    Prints(String),
    /// By `abort`, having written all of these to standard error.
    Aborts(Vec<String>),
}

/// A program to be linked in every way.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    objects: Vec<PathBuf>,
    /// In the executable even where the objects are in a library.
    beside: Vec<PathBuf>,
    driver: String,
    language: Language,
    options: Vec<OsString>,
    libraries: Vec<String>,
    linkers: Vec<Linker>,
    modes: Vec<Mode>,
    end: End,
}

impl Matrix {
    /// With objects, which go into the library in [`Mode::Shared`].
    pub(crate) fn new<P: AsRef<Path>>(objects: &[P]) -> Matrix {
        Matrix {
            objects: objects.iter().map(|path| path.as_ref().to_owned()).collect(),
            beside: Vec::new(),
            driver: String::new(),
            language: Language::C,
            options: Vec::new(),
            libraries: Vec::new(),
            linkers: Linker::ALL.to_vec(),
            modes: Mode::ALL.to_vec(),
            end: End::Prints(String::new()),
        }
    }

    /// The source with `main`.
    pub(crate) fn driver(mut self, source: &str) -> Matrix {
        source.clone_into(&mut self.driver);
        self
    }

    /// Its language; C unless this is called.
    pub(crate) fn language(mut self, language: Language) -> Matrix {
        self.language = language;
        self
    }

    /// Options for compiling the driver.
    pub(crate) fn driver_option(mut self, option: impl Into<OsString>) -> Matrix {
        self.options.push(option.into());
        self
    }

    /// What the program prints.
    pub(crate) fn expect_stdout(mut self, text: &str) -> Matrix {
        self.end = End::Prints(text.to_owned());
        self
    }

    /// What it writes to standard error before it aborts.
    pub(crate) fn expect_abort(mut self, texts: &[String]) -> Matrix {
        self.end = End::Aborts(texts.to_vec());
        self
    }

    /// Only these kinds of output.
    pub(crate) fn modes(mut self, modes: &[Mode]) -> Matrix {
        self.modes = modes.to_vec();
        self
    }

    /// Only these linkers.
    pub(crate) fn linkers(mut self, linkers: &[Linker]) -> Matrix {
        self.linkers = linkers.to_vec();
        self
    }

    /// An object that goes into the executable.
    pub(crate) fn beside(mut self, object: &Path) -> Matrix {
        self.beside.push(object.to_owned());
        self
    }

    /// Linker options after the objects, such as `-lm`.
    pub(crate) fn libraries<S: AsRef<str>>(mut self, options: &[S]) -> Matrix {
        self.libraries.extend(options.iter().map(|option| option.as_ref().to_owned()));
        self
    }

    /// Links and runs it.
    ///
    /// # Errors
    /// Every combination that fails, one paragraph each.
    pub(crate) fn run(&self) -> Result<(), String> {
        let linkers = Linkers::get()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let driver = self.compile_driver(folder.path())?;
        let mut work: Vec<(Linker, Mode)> = Vec::new();
        for &linker in linkers.found.iter().filter(|linker| self.linkers.contains(linker)) {
            work.extend(self.modes.iter().map(|&mode| (linker, mode)));
        }
        if work.is_empty() {
            return Err("nothing to link: no linker, or no mode".to_owned());
        }
        let work = Mutex::new(work);
        let failures = Mutex::new(Vec::new());
        // Links mostly wait for files: two at a time keep two cores busy.
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let next = work.lock().ok().and_then(|mut work| work.pop());
                        let Some((linker, mode)) = next else { break };
                        let one = self.one(linkers, linker, mode, &driver, folder.path());
                        if let (Err(message), Ok(mut failures)) = (one, failures.lock()) {
                            failures.push(format!("[{} -{}] {message}", linker.name(), mode.name()));
                        }
                    }
                });
            }
        });
        let mut failures = failures.into_inner().map_err(|error| error.to_string())?;
        failures.sort();
        if failures.is_empty() { Ok(()) } else { Err(failures.join("\n\n")) }
    }

    fn compiler(&self) -> Command {
        Command::new(match self.language {
            Language::C => "gcc",
            Language::Cxx => "g++",
        })
    }

    fn compile_driver(&self, folder: &Path) -> Result<PathBuf, String> {
        let source = folder.join(match self.language {
            Language::C => "driver.c",
            Language::Cxx => "driver.cc",
        });
        fs::write(&source, &self.driver).map_err(|error| error.to_string())?;
        let object = folder.join("driver.o");
        succeed(
            self.compiler().args(["-O1", "-fPIC", "-c", "-o"]).arg(&object).args(&self.options).arg(&source),
        )?;
        Ok(object)
    }

    fn one(
        &self,
        linkers: &Linkers,
        linker: Linker,
        mode: Mode,
        driver: &Path,
        folder: &Path,
    ) -> Result<(), String> {
        let name = format!("{}-{}", linker.name(), mode.name());
        let program = folder.join(&name);
        let link = |output: &Path, arguments: &[&str], inputs: &[&Path]| {
            let mut command = self.compiler();
            command.args(linkers.flags(linker)).args(arguments).args([
                "-Wl,-z,text",
                "-Wl,--no-as-needed",
                "-o",
            ]);
            command.arg(output).args(inputs).args(&self.libraries);
            let finished = succeed(&mut command)?;
            // A linker that has something to say about an ordinary object of gcc says nothing: nor may it here.
            if finished.stderr.trim().is_empty() && finished.stdout.is_empty() {
                no_text_relocation(output)
            } else {
                Err(format!("the linker printed something:\n{}", finished.describe()))
            }
        };
        let objects: Vec<&Path> = self.objects.iter().map(PathBuf::as_path).collect();
        let mut executable = vec![driver];
        executable.extend(self.beside.iter().map(PathBuf::as_path));
        let library = folder.join(format!("lib{name}.so"));
        if mode == Mode::Shared {
            link(&library, &["-shared"], &objects)?;
            executable.push(&library);
            link(&program, &["-pie", "-Wl,-rpath,$ORIGIN"], &executable)?;
        } else {
            executable.extend(objects);
            link(&program, &[&format!("-{}", mode.name())], &executable)?;
        }
        self.assert_end(&program)
    }

    fn assert_end(&self, program: &Path) -> Result<(), String> {
        use std::os::unix::process::ExitStatusExt;

        let finished = run(&mut Command::new(program))?;
        let good = match &self.end {
            End::Prints(text) => finished.status.success() && finished.text() == *text,
            End::Aborts(texts) => {
                finished.status.signal() == Some(SIGABRT)
                    && texts.iter().all(|text| finished.stderr.contains(text.as_str()))
            }
        };
        if good { Ok(()) } else { Err(format!("expected {:?}:\n{}", self.end, finished.describe())) }
    }
}

/// Signal 6 on every Linux.
const SIGABRT: i32 = 6;

/// That the dynamic section, if there is one, announces no text relocation.
fn no_text_relocation(output: &Path) -> Result<(), String> {
    let finished = succeed(Command::new("readelf").arg("-dW").arg(output))?;
    if finished.text().contains("TEXTREL") {
        return Err(format!("{} has text relocations:\n{}", output.display(), finished.text()));
    }
    Ok(())
}
