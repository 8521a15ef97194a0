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
