//! Julia's runtime, the compiler, and what the tests make of their sources with both.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::command::{Finished, run, succeed};
use crate::support::relocfix;
use crate::support::toolchain::{Linker, Linkers, missing, require};
use crate::support::workshop::Workshop;

/// The runtime that tests/run.sh unpacks.
pub(crate) struct Runtime {
    julia: PathBuf,
    internal: PathBuf,
    image: PathBuf,
}

impl Runtime {
    fn find() -> Option<Runtime> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-julia");
        let folder = folder.join("ace_jax_coupling/_lib/lib");
        // The names carry a salt.
        let named = |folder: &Path, part: &str| {
            let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
            entries
                .into_iter()
                .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().contains(part)))
        };
        let found = || {
            Some(Runtime {
                julia: named(&folder, "libjulia.so")?,
                internal: named(&folder.join("julia"), "libjulia-internal.so")?,
                image: named(&folder, "libetcouple.so")?,
            })
        };
        let found = found();
        if found.is_none() {
            missing("Julia's runtime");
        }
        found
    }
}

/// The code models for which `llc` compiles all that Julia's compiler writes.
pub(crate) const MODELS: [&str; 3] = ["small", "medium", "large"];

pub(crate) struct Shop {
    pub(crate) workshop: Workshop,
    runtime: Runtime,
    llc: PathBuf,
    /// The object of the program that starts Julia, and that program.
    driver: [PathBuf; 2],
}

impl Shop {
    /// `None`, loudly, where there is no runtime or no compiler.
    pub(crate) fn open() -> Result<Option<Shop>, String> {
        let (Some(runtime), Some(llc)) = (Runtime::find(), require("llc")) else {
            return Ok(None);
        };
        let workshop = Workshop::open("{}")?;
        let driver = [workshop.path("driver.o"), workshop.path("driver")];
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/julia/driver.c");
        succeed(Command::new("gcc").args(["-O1", "-w", "-c", "-o"]).arg(&driver[0]).arg(source))?;
        succeed(Command::new("gcc").args(["-pthread", "-o"]).arg(&driver[1]).arg(&driver[0]).arg("-ldl"))?;
        // The wheel has it under another name than its own.
        let dynamic = succeed(Command::new("readelf").arg("-d").arg(&runtime.internal))?.text();
        let name = dynamic.split("soname: [").nth(1).and_then(|rest| rest.split(']').next());
        symlink(&runtime.internal, workshop.path(name.ok_or(dynamic.as_str())?))
            .map_err(|e| e.to_string())?;
        Ok(Some(Shop { workshop, runtime, llc, driver }))
    }

    /// The object of a source, each function and each variable in a section of its own.
    pub(crate) fn compile(
        &self,
        name: &str,
        text: &str,
        model: &str,
        options: &[&str],
    ) -> Result<PathBuf, String> {
        let path = self.workshop.write(&format!("{name}.ll"), text)?;
        let object = path.with_extension("o");
        let mut command = Command::new(&self.llc);
        command.args(["-filetype=obj", "-relocation-model=pic", "-function-sections", "-data-sections"]);
        command.arg(format!("-code-model={model}"));
        succeed(command.args(options).arg(&path).arg("-o").arg(&object))?;
        Ok(object)
    }

    pub(crate) fn fix(&self, object: &Path, map: &Value) -> Result<PathBuf, String> {
        let path = object.with_extension("session.json");
        fs::write(&path, map.to_string()).map_err(|error| error.to_string())?;
        let output = object.with_extension("fixed.o");
        relocfix::fix(object, &output, Some(&path), &["--infer", "julia"])?;
        relocfix::assert_stable(&output, Some(&path), &["--infer", "julia"])?;
        Ok(output)
    }

    /// An object that reads what others of the session wrote.
    pub(crate) fn reader(&self, variant: usize, model: &str) -> Result<PathBuf, String> {
        let text = source("reader.ll", variant)?;
        let object = self.compile(&format!("reader_{variant}"), &text, model, &["-O2"])?;
        let global = format!("jl_global#{variant}3");
        self.fix(&object, &map(&[("globals", json!([{"symbol": global, "init": {"value": "reference"}}]))])?)
    }

    /// A library of objects that exports nothing of ours but the function; a linker says nothing, and makes no text
    /// relocation.
    pub(crate) fn link(
        &self,
        linker: Linker,
        name: &str,
        objects: &[PathBuf],
        options: &[&str],
    ) -> Result<PathBuf, String> {
        let library = self.workshop.path(&format!("lib{name}-{}.so", linker.name()));
        self.link_as("-shared", linker, &library, objects, options)?;
        Ok(library)
    }

    /// The program that starts Julia with objects in it.
    pub(crate) fn link_program(&self, linker: Linker, objects: &[PathBuf]) -> Result<PathBuf, String> {
        let program = self.workshop.path(&format!("program-{}", linker.name()));
        let objects: Vec<PathBuf> = objects.iter().chain([&self.driver[0]]).cloned().collect();
        self.link_as("-pie", linker, &program, &objects, &["-rdynamic", "-pthread", "-Wl,--gc-sections"])?;
        Ok(program)
    }

    fn link_as(
        &self,
        kind: &str,
        linker: Linker,
        output: &Path,
        objects: &[PathBuf],
        options: &[&str],
    ) -> Result<(), String> {
        let mut command = Command::new("gcc");
        command.args(Linkers::get()?.flags(linker)).args([kind, "-Wl,-z,text", "-Wl,-z,defs"]).args(options);
        command.arg("-o").arg(output).args(objects).args([&self.runtime.julia, &self.runtime.internal]);
        for file in [&self.runtime.julia, &self.runtime.internal, &self.workshop.path("any")] {
            // The libraries' own libraries lie beside them.
            let folder = file.parent().unwrap_or(Path::new(".")).display();
            command.arg(format!("-Wl,-rpath,{folder},-rpath-link,{folder}"));
        }
        let finished = succeed(command.arg("-ldl"))?;
        if !finished.stderr.trim().is_empty() {
            return Err(format!("the linker printed something:\n{}", finished.describe()));
        }
        let listed = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(output))?.text();
        let names = listed.lines().filter_map(|line| line.split_whitespace().last());
        let ours: Vec<&str> = names.filter(|name| name.contains("relocfix") || name.contains('#')).collect();
        match ours[..] {
            ["relocfix_init"] => Ok(()),
            _ => Err(format!("{} exports {ours:?}", output.display())),
        }
    }

    /// That the driver finds all right in libraries. Julia is started before they are loaded ("late", and "foreign", by
    /// a thread that it does not know), or after that, until when that many objects wait.
    pub(crate) fn assert_right(
        &self,
        scenario: &str,
        libraries: &[&Path],
        waiting: usize,
    ) -> Result<(), String> {
        self.assert_told(&self.driver[1], scenario, libraries, waiting)
    }

    /// The same of a driver with the objects in it.
    pub(crate) fn assert_program_right(
        &self,
        program: &Path,
        scenario: &str,
        waiting: usize,
    ) -> Result<(), String> {
        self.assert_told(program, scenario, &[Path::new("-")], waiting)
    }

    fn assert_told(
        &self,
        driver: &Path,
        scenario: &str,
        libraries: &[&Path],
        waiting: usize,
    ) -> Result<(), String> {
        let expected = match scenario {
            "late" | "foreign" => "right\n".to_owned(),
            _ => format!("{waiting} left\nright\n"),
        };
        let finished = run(&mut self.driven(driver, scenario, libraries))?.success()?;
        if finished.text() == expected { Ok(()) } else { Err(finished.describe()) }
    }

    fn driven(&self, driver: &Path, scenario: &str, libraries: &[&Path]) -> Command {
        let mut command = Command::new(driver);
        // Where the runtime looks for its libraries if it is loaded under that other name.
        command.env("LD_LIBRARY_PATH", self.runtime.internal.with_file_name(""));
        command.arg(scenario).arg(&self.runtime.julia).arg(&self.runtime.image).args(libraries);
        command
    }

    /// The driver, of which something else is expected.
    pub(crate) fn drive(&self, scenario: &str, libraries: &[&Path]) -> Result<Finished, String> {
        run(&mut self.driven(&self.driver[1], scenario, libraries))
    }
}

/// A source, its functions and variables numbered.
pub(crate) fn source(name: &str, variant: usize) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/julia").join(name);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.replace("VARIANT", &variant.to_string()))
}

/// The session map, with more entries.
pub(crate) fn map(more: &[(&str, Value)]) -> Result<Value, String> {
    let mut map: Value =
        serde_json::from_str(&source("imaging.json", 0)?).map_err(|error| error.to_string())?;
    for (key, value) in more {
        map[*key] = value.clone();
    }
    Ok(map)
}

/// The same with what the variables of an imaging object hold whose names do not say it.
pub(crate) fn imaging_map(variant: usize) -> Result<Value, String> {
    let of = |prefix: &str, counter: u32, name: &str| json!({"symbol": format!("{prefix}{variant}{counter}"), "init": {"value": name}});
    let globals = json!([
        of("jl_global#", 8, "string"),
        of("jl_global#", 9, "boxed"),
        of("jl_global#", 10, "reference"),
        of("+Core.Tuple#", 13, "tuple"),
        of("jl_global#", 14, "module"),
        of("MUL.MainDOT.relocfix_bindingYY.", 15, "binding"),
    ]);
    map(&[("globals", globals)])
}
