//! Objects of Julia's shape with the real runtime: what they refer to is made again in another process, by libjulia
//! and libjulia-internal 1.13. There is no compiler in it, so LLVM's `llc` compiles what Julia's would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

mod support;

use support::command::{run, succeed};
use support::relocfix;
use support::toolchain::{Linker, Linkers, missing, require};
use support::workshop::Workshop;

/// The runtime that tests/run.sh unpacks.
struct Runtime {
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

/// What `llc` is told for each code model; large data begins at once, so that there is some.
const MODELS: [&str; 3] = ["small", "medium", "large"];

struct Shop {
    workshop: Workshop,
    runtime: Runtime,
    llc: PathBuf,
    driver: PathBuf,
}

impl Shop {
    /// `None`, loudly, where there is no runtime or no compiler.
    fn open() -> Result<Option<Shop>, String> {
        let (Some(runtime), Some(llc)) = (Runtime::find(), require("llc")) else {
            return Ok(None);
        };
        let workshop = Workshop::open("{}")?;
        let driver = workshop.path("driver");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/julia/driver.c");
        succeed(
            Command::new("gcc").args(["-O1", "-w", "-pthread", "-o"]).arg(&driver).arg(source).arg("-ldl"),
        )?;
        Ok(Some(Shop { workshop, runtime, llc, driver }))
    }

    fn compile(&self, name: &str, text: &str, model: &str, options: &[&str]) -> Result<PathBuf, String> {
        let path = self.workshop.write(&format!("{name}.ll"), text)?;
        let object = path.with_extension("o");
        let mut command = Command::new(&self.llc);
        command.args(["-filetype=obj", "-relocation-model=pic"]).arg(format!("-code-model={model}"));
        succeed(command.args(options).arg(&path).arg("-o").arg(&object))?;
        Ok(object)
    }

    fn fix(&self, object: &Path, map: &Value) -> Result<PathBuf, String> {
        let path = object.with_extension("session.json");
        fs::write(&path, map.to_string()).map_err(|error| error.to_string())?;
        let output = object.with_extension("fixed.o");
        relocfix::fix(object, &output, Some(&path), &["--infer", "julia"])?;
        relocfix::assert_stable(&output, Some(&path), &["--infer", "julia"])?;
        Ok(output)
    }

    /// A library of objects; a linker says nothing, and makes no text relocation.
    fn link(
        &self,
        linker: Linker,
        name: &str,
        objects: &[&Path],
        options: &[&str],
    ) -> Result<PathBuf, String> {
        let library = self.workshop.path(&format!("lib{name}-{}.so", linker.name()));
        let mut command = Command::new("gcc");
        command
            .args(Linkers::get()?.flags(linker))
            .args(["-shared", "-Wl,-z,text", "-Wl,-z,defs"])
            .args(options);
        command.arg("-o").arg(&library).args(objects).args([&self.runtime.julia, &self.runtime.internal]);
        for file in [&self.runtime.julia, &self.runtime.internal] {
            // The libraries' own libraries lie beside them.
            let folder = file.parent().unwrap_or(Path::new(".")).display();
            command.arg(format!("-Wl,-rpath,{folder},-rpath-link,{folder}"));
        }
        let finished = succeed(&mut command)?;
        match finished.stderr.trim() {
            "" => Ok(library),
            _ => Err(format!("the linker printed something:\n{}", finished.describe())),
        }
    }

    fn run(&self, scenario: &str, libraries: &[&Path]) -> Result<String, String> {
        let mut command = Command::new(&self.driver);
        command.arg(scenario).arg(&self.runtime.julia).arg(&self.runtime.image).args(libraries);
        Ok(run(&mut command)?.success()?.text())
    }
}

fn source(name: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/julia").join(name);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The session map, with more entries.
fn map(more: &[(&str, Value)]) -> Result<Value, String> {
    let mut map: Value = serde_json::from_str(&source("imaging.json")?).map_err(|error| error.to_string())?;
    for (key, value) in more {
        map[*key] = value.clone();
    }
    Ok(map)
}

/// What the variables hold whose names do not say it.
fn globals() -> Value {
    let of = |symbol: &str, name: &str| json!({"symbol": symbol, "init": {"value": name}});
    json!([
        of("jl_global#8", "string"),
        of("jl_global#9", "boxed"),
        of("jl_global#10", "reference"),
        of("+Core.Tuple#13", "tuple"),
        {"symbol": "jl_global#14", "init": {"load": {"symbol": "jl_main_module"}}},
        of("MUL.MainDOT.relocfix_bindingYY.15", "binding"),
    ])
}

fn reader_map() -> Result<Value, String> {
    map(&[("globals", json!([{"symbol": "jl_global#3", "init": {"value": "reference"}}]))])
}

/// The same variables local, hidden, in .data and undefined, in every code model.
#[test]
fn imaging_form() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let linkages = [
        "internal global ptr null",
        "hidden global ptr null",
        "internal global ptr null, section \".data\"",
        "external global ptr",
    ];
    let text = source("imaging.ll")?;
    for (number, model) in MODELS.into_iter().enumerate() {
        let reader = shop.compile("reader", &source("reader.ll")?, model, &["-O2"])?;
        let reader = shop.fix(&reader, &reader_map()?)?;
        for linkage in linkages {
            let object = shop.compile("imaging", &text.replace("LINKAGE", linkage), model, &["-O2"])?;
            let object = shop.fix(&object, &map(&[("globals", globals())])?)?;
            for &linker in &Linkers::get()?.found {
                let library = shop.link(linker, "imaging", &[&object, &reader], &[])?;
                let told =
                    |result: Result<String, String>| result.map_err(|e| format!("{model} {linkage}: {e}"));
                assert_eq!(told(shop.run("late", &[&library]))?, "right\n");
                // Which scenario: each has a turn with each linker and linkage.
                let scenario = ["early", "thread", "threads"][(number + linkage.len()) % 3];
                assert_eq!(told(shop.run(scenario, &[&library]))?, "2 left\nright\n", "{scenario}");
            }
        }
    }
    Ok(())
}

/// One object with addresses in code, in data without a relocation, in addends and in absolute symbols.
#[test]
fn jit_form() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let symbol = |name: &str| json!({"call": "jl_symbol", "args": [{"string": name}]});
    let load = |name: &str| json!({"load": {"symbol": name}});
    let named = |name: &str| json!({"value": name});
    // In the session objects have a header of 8 bytes, and addresses of 16.
    let session: Vec<(&str, Value)> = vec![
        ("BOX_INT64", json!({"symbol": "ijl_box_int64"})),
        ("LABS", json!({"symbol": "labs"})),
        ("ASYMBOL", symbol("asymbol")),
        ("STRING", named("string")),
        ("BOXED", named("boxed")),
        ("HIT", symbol("hit")),
        ("MISS", symbol("miss")),
        ("REF", named("reference")),
        ("TUPLE", named("tuple")),
        ("MODULE", load("jl_main_module")),
        ("BINDING", named("binding")),
        ("NOTHING", load("jl_nothing")),
        ("VECTOR", load("jl_array_any_type")),
    ];
    let mut text = source("jit.ll")?;
    let mut whole = map(&[])?;
    let mut symbols = Vec::new();
    let mut values = whole["values"].as_array().cloned().unwrap_or_default();
    for (number, (name, init)) in session.iter().enumerate() {
        let address = 0x7f12_3456_0010 + 0x1000 * number as u64;
        text = text.replace(&format!("i64 {name}"), &format!("i64 {address}"));
        text = text.replace(&format!("%2, {name}"), &format!("%2, {address}"));
        match init["symbol"].as_str() {
            Some(symbol) => symbols.push(json!({"address": address, "name": symbol})),
            None => values.push(json!({
                "name": name, "address": address, "size": 64, "header": 8, "init": init
            })),
        }
    }
    // The optimizer compares headers and types without the low bits that the collector uses.
    let vector = 0x7f12_3456_0010 + 0x1000 * (session.len() as u64 - 1);
    whole["constants"] = json!([{"constant": vector >> 4, "init": {"shr": [{"value": "VECTOR"}, 4]}}]);
    whole["values"] = values.into();
    whole["symbols"] = symbols.into();
    whole["mappings"] = json!([{"start": "0x7f1234000000", "end": "0x7f1235000000", "perms": "rw-p"}]);
    for (model, level) in MODELS.into_iter().flat_map(|model| [(model, "-O0"), (model, "-O2")]) {
        let reader =
            shop.fix(&shop.compile("reader", &source("reader.ll")?, model, &["-O2"])?, &reader_map()?)?;
        let object = shop.compile("jit", &text, model, &[level, "-large-data-threshold=0"])?;
        let fixed = shop.fix(&object, &whole)?;
        for &linker in &Linkers::get()?.found {
            let library = shop.link(linker, "jit", &[&fixed, &reader], &[])?;
            for (scenario, told) in [("late", "right\n"), ("early", "2 left\nright\n")] {
                // Before it is filled a slot is null, and so is the symbol that a function returns.
                let said = shop.run(scenario, &[&library]).map_err(|e| format!("{model} {level}: {e}"))?;
                assert_eq!(said, told, "{model} {level} {scenario} {}", linker.name());
            }
        }
    }
    Ok(())
}

/// Two libraries, of which each makes its own; and merged, folded and collected as linkers can.
#[test]
fn libraries_and_linkers() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let text = source("imaging.ll")?.replace("LINKAGE", "internal global ptr null");
    let object =
        shop.fix(&shop.compile("imaging", &text, "large", &["-O2"])?, &map(&[("globals", globals())])?)?;
    let reader =
        shop.fix(&shop.compile("reader", &source("reader.ll")?, "large", &["-O2"])?, &reader_map()?)?;
    for &linker in &Linkers::get()?.found {
        let mut options = vec!["-Wl,--gc-sections", "-Wl,-Bsymbolic"];
        if linker != Linker::Bfd {
            options.push("-Wl,--icf=all");
        }
        let both = shop.link(linker, "both", &[&object, &reader], &options)?;
        assert_eq!(shop.run("early", &[&both])?, "2 left\nright\n");
        let merged = shop.workshop.merge(linker, "merged", &[&object, &reader])?;
        relocfix::assert_stable::<&str>(&merged, None, &[])?;
        let merged = shop.link(linker, "merged", &[&merged], &options)?;
        assert_eq!(shop.run("threads", &[&merged])?, "2 left\nright\n");

        // The second library has the same code, and another reference: nobody reads what the first one wrote.
        let one = shop.link(linker, "one", &[&object], &options)?;
        let other = shop.link(linker, "other", &[&reader], &options)?;
        let said = run(Command::new(&shop.driver).arg("late").args([
            &shop.runtime.julia,
            &shop.runtime.image,
            &one,
            &other,
        ]))?;
        assert!(!said.status.success(), "{}", said.describe());
    }
    Ok(())
}

/// The same as relocations that GPUCompiler keeps, with a value of another map; and one that the runtime refuses.
#[test]
fn kept_relocations() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let int64 = json!({"cglobal": "jl_int64_type"});
    let bits = |bytes: &str| json!({"bits": bytes, "of": int64});
    let reference =
        json!({"apply": {"cglobal": "jl_ref_type"}, "parameters": [{"cglobal": "jl_float64_type"}]});
    let vector =
        json!({"apply": {"cglobal": "jl_array_type"}, "parameters": [reference, bits("AQAAAAAAAAA=")]});
    let site = |global: &str, target: Value| json!({"global": global, "target": target});
    let relocations = |module: Value| {
        let sites = [
            site("jl_sym#asymbol#7", json!({"symbol": "asymbol"})),
            site("jl_global#8", json!({"string": "gr\u{fc}\u{df}e"})),
            site("jl_global#9", bits("FBqZvhwAAAA=")),
            site("jl_global#10", json!({"value": "reference"})),
            site("jl_symYY.hitYY.11", json!({"symbol": "hit"})),
            site("jl_sym#miss#12", json!({"symbol": "miss"})),
            site("+Core.Tuple#13", json!({"tuple": [vector, int64]})),
            site("jl_global#14", module),
            site("MUL.MainDOT.relocfix_bindingYY.15", json!({"binding": ["Main", "relocfix_binding"]})),
        ];
        json!({"julia_relocations": 1, "sites": sites})
    };
    let text = source("imaging.ll")?.replace("LINKAGE", "external global ptr");
    let object = shop.compile("imaging", &text, "medium", &["-O2"])?;
    let reader =
        shop.fix(&shop.compile("reader", &source("reader.ll")?, "medium", &["-O2"])?, &reader_map()?)?;
    let values = shop.workshop.write("values.json", &map(&[])?.to_string())?;
    let values = values.to_string_lossy();
    let library = |linker: Linker, module: Value| {
        let path = shop.workshop.write("relocations.json", &relocations(module).to_string())?;
        let output = object.with_extension("fixed.o");
        relocfix::fix(&object, &output, Some(&path), &["-s", &values])?;
        shop.link(linker, "kept", &[&output, &reader], &[])
    };
    for &linker in &Linkers::get()?.found {
        let good = library(linker, json!({"path": ["Main"]}))?;
        assert_eq!(shop.run("late", &[&good])?, "right\n");
        assert_eq!(shop.run("threads", &[&good])?, "2 left\nright\n");
    }
    // This image keeps no names of its modules' constants.
    let bad = library(Linkers::get()?.found[0], json!({"path": ["Core", "Int64"]}))?;
    let mut command = Command::new(&shop.driver);
    let said = run(command.arg("early").args([&shop.runtime.julia, &shop.runtime.image, &bad]))?;
    let wanted = "relocfix: error: imaging: cannot fill jl_global#14: jl_get_global(*jl_core_module, jl_symbol(\"Int64\")) is null";
    assert!(!said.status.success() && said.stderr.contains(wanted), "{}", said.describe());
    Ok(())
}

/// What only the session knew, and no entry says.
#[test]
fn what_is_not_known_is_listed() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let text = source("imaging.ll")?.replace("LINKAGE", "external global ptr");
    let object = shop.compile("imaging", &text, "small", &["-O2"])?;
    let path = shop.workshop.write("some.json", &map(&[])?.to_string())?;
    let (report, status) = relocfix::check_with(&object, Some(&path), &["--infer", "julia"])?;
    assert_eq!(status, 1);
    let of = |delivery: &str| -> Vec<String> {
        let globals = report["globals"].as_array().cloned().unwrap_or_default();
        let named = globals.iter().filter(|global| global["delivery"] == delivery);
        named.filter_map(|global| global["symbol"].as_str().map(str::to_owned)).collect()
    };
    let mut unknown = of("missing");
    unknown.sort();
    let expected = [
        "+Core.Tuple#13",
        "MUL.MainDOT.relocfix_bindingYY.15",
        "jl_global#10",
        "jl_global#14",
        "jl_global#8",
        "jl_global#9",
    ];
    assert_eq!(unknown, expected);
    assert_eq!(of("init").len(), 3, "{report:#}");
    // An entry for what is not there is told.
    let gone = map(&[("globals", json!([{"symbol": "jl_global#99", "init": {"int": 1}}]))])?;
    fs::write(&path, gone.to_string()).map_err(|error| error.to_string())?;
    let refused = run(relocfix::tool().arg("check").arg(&object).arg("-s").arg(&path))?;
    assert_eq!(refused.status.code(), Some(1), "{}", refused.describe());
    assert!(refused.stderr.contains("the object has no symbol `jl_global#99`"), "{}", refused.describe());
    Ok(())
}
