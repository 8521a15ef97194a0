//! The relocations that GPUCompiler keeps, as a session map.

use serde_json::{Value, json};

use crate::shop::{Shop, map, source};
use crate::support::relocfix;
use crate::support::toolchain::{Linker, Linkers};

fn bits(bytes: &str, of: Value) -> Value {
    json!({"bits": bytes, "of": of})
}

/// The relocations of the object, its variable of a module to be filled from that path.
fn relocations(path: &[&str]) -> Value {
    let int64 = json!({"cglobal": "jl_int64_type"});
    let reference =
        json!({"apply": {"cglobal": "jl_ref_type"}, "parameters": [{"cglobal": "jl_float64_type"}]});
    let vector = json!({"apply": {"cglobal": "jl_array_type"}, "parameters": [reference, bits("AQAAAAAAAAA=", int64.clone())]});
    let site = |global: &str, target: Value| json!({"global": global, "target": target});
    let sites = [
        site("jl_sym#asymbol#07", json!({"symbol": "asymbol"})),
        site("jl_global#08", json!({"string": "gr\u{fc}\u{df}e"})),
        site("jl_global#09", bits("FBqZvhwAAAA=", int64.clone())),
        site("jl_global#010", json!({"value": "reference"})),
        site("jl_symYY.hitYY.011", json!({"symbol": "hit"})),
        site("jl_sym#miss#012", json!({"symbol": "miss"})),
        site("+Core.Tuple#013", json!({"tuple": [vector, int64]})),
        site("jl_global#014", json!({"path": path})),
        site("MUL.MainDOT.relocfix_bindingYY.015", json!({"binding": ["Main", "relocfix_binding"]})),
    ];
    json!({"julia_relocations": 1, "sites": sites})
}

/// The same for the variables that GPUCompiler makes of them, without those of which it says nothing.
fn lowered_relocations(known: usize) -> Value {
    let sites = [
        json!({"global": "_Z4kept_jl_sym_choice_5f3a90b1c2d3e4f5", "target": {"symbol": "choice"}}),
        json!({
            "global": "_Z4kept_gpu_jl_nothing_0", "target": {"cglobal": "jl_nothing", "library": "libjulia"}
        }),
        json!({
            "global": "_Z4kept_jl_global_c2d3e4f55f3a90b1_box", "offset": 0,
            "target": {"cglobal": "jl_voidpointer_type"}
        }),
    ];
    json!({"julia_relocations": 1, "sites": sites[..known]})
}

/// Words and a box of two objects that have the same; and without what is to be in them.
#[test]
fn kept_variables() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let mut objects = Vec::new();
    for (variant, model) in ["small", "large"].into_iter().enumerate() {
        let text = source("kept.ll", variant)?;
        let object = shop.compile(&format!("kept_{variant}"), &text, model, &["-O2"])?;
        objects.push(shop.fix(&object, &lowered_relocations(3))?);
    }
    for &linker in &Linkers::get()?.found {
        let library = shop.link(linker, "lowered", &objects, &[])?;
        for scenario in ["late", "early"] {
            shop.assert_right(scenario, &[&library], 2)?;
        }
    }
    let object = shop.workshop.path("kept_0.o");
    let path = shop.workshop.write("none.json", &lowered_relocations(0).to_string())?;
    let (report, status) = relocfix::check(&object, Some(&path))?;
    let globals = report["globals"].as_array().cloned().unwrap_or_default();
    assert_eq!((status, globals.len()), (1, 3), "{report:#}");
    assert!(globals.iter().all(|global| global["delivery"] == "missing"), "{report:#}");
    Ok(())
}

/// With a value of another map and a module by its path; and one that the runtime does not have.
#[test]
fn kept_relocations() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let text = source("imaging.ll", 0)?.replace("LINKAGE", "external global ptr");
    let object = shop.compile("imaging", &text, "medium", &["-O2"])?;
    let reader = shop.reader(1, "medium")?;
    let values = shop.workshop.write("values.json", &map(&[])?.to_string())?;
    let values = values.to_string_lossy();
    let library = |linker: Linker, module: &[&str]| {
        let path = shop.workshop.write("relocations.json", &relocations(module).to_string())?;
        let output = object.with_extension("fixed.o");
        relocfix::fix(&object, &output, Some(&path), &["-s", &values])?;
        shop.link(linker, "kept", &[output, reader.clone()], &[])
    };
    for (&linker, path) in Linkers::get()?.found.iter().zip([
        &["Main"][..],
        &["Base", "Main"],
        &["Main", "Core", "Compiler", "Core", "Main"],
    ]) {
        let good = library(linker, path)?;
        for scenario in ["late", "threads"] {
            shop.assert_right(scenario, &[&good], 2)?;
        }
    }
    // This image keeps few names of its modules' constants.
    let bad = library(Linkers::get()?.found[0], &["Core", "Int64"])?;
    let wanted = "relocfix: error: imaging_0: cannot fill jl_global#014: jl_get_global(*jl_core_module, jl_symbol(\"Int64\")) is null\n";
    for scenario in ["early", "late"] {
        let said = shop.drive(scenario, &[&bad])?;
        assert!(said.status.code().is_none() && said.stderr == wanted, "{}", said.describe());
    }
    Ok(())
}
