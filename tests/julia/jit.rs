//! Objects of the JIT's form: addresses of the session, in every place that LLVM puts them.

use std::fs;
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{
    LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, SymbolSection, elf,
};
use serde_json::{Value, json};

use crate::shop::{MODELS, Shop, map, source};
use crate::support::toolchain::Linkers;

/// What the session's addresses meant, by the names that the source gives them.
fn session() -> Vec<(&'static str, Value)> {
    let symbol = |name: &str| json!({"call": "jl_symbol", "args": [{"string": name}]});
    let load = |name: &str| json!({"load": {"symbol": name}});
    let named = |name: &str| json!({"value": name});
    vec![
        ("BOX_INT64", json!({"symbol": "ijl_box_int64"})),
        ("QUEUE", json!({"symbol": "ijl_gc_queue_root"})),
        ("LABS", json!({"symbol": "labs"})),
        ("ASYMBOL", symbol("asymbol")),
        ("STRING", named("string")),
        ("BOXED", named("boxed")),
        ("HIT", symbol("hit")),
        ("MISS", symbol("miss")),
        ("REF", named("reference")),
        ("TUPLE", named("tuple")),
        ("MODULE", named("module")),
        ("BINDING", named("binding")),
        ("NOTHING", load("jl_nothing")),
        ("CHOICE", symbol("choice")),
        ("VECTOR", load("jl_array_any_type")),
    ]
}

/// Objects have a header of 8 bytes, and addresses of 16.
fn address(name: &str) -> u64 {
    let number = session().iter().position(|(other, _)| *other == name);
    0x7f12_3456_0010 + 0x1000 * number.expect("it is a name of the session") as u64
}

/// A source with addresses for the names.
pub(crate) fn jit_source(name: &str, variant: usize) -> Result<String, String> {
    let mut text = source(name, variant)?;
    for (name, _) in session() {
        text = text.replace(&format!("i64 {name}"), &format!("i64 {}", address(name)));
        text = text.replace(&format!("%2, {name}"), &format!("%2, {}", address(name)));
    }
    Ok(text)
}

/// The session map.
pub(crate) fn jit_map() -> Result<Value, String> {
    let mut map = map(&[])?;
    let mut symbols = Vec::new();
    let mut values = map["values"].as_array().cloned().unwrap_or_default();
    for (name, init) in session() {
        match init["symbol"].as_str() {
            Some(symbol) => symbols.push(json!({"address": address(name), "name": symbol})),
            None => values.push(json!({
                "name": name, "address": address(name), "size": 64, "header": 8, "init": init
            })),
        }
    }
    // The optimizer compares headers and types without the low bits that the collector uses.
    let shifted = json!({"shr": [{"value": "VECTOR"}, 4]});
    map["constants"] = json!([{"constant": address("VECTOR") >> 4, "init": shifted}]);
    map["values"] = values.into();
    map["symbols"] = symbols.into();
    map["mappings"] = json!([{"start": "0x7f1234000000", "end": "0x7f1235000000", "perms": "rw-p"}]);
    Ok(map)
}

/// That every form is in the object: what is tested is there at all.
fn assert_every_form(object: &Path, variant: usize, constants: &str) -> Result<(), String> {
    let bytes = fs::read(object).map_err(|error| error.to_string())?;
    let file = ElfFile64::<LittleEndian>::parse(bytes.as_slice()).map_err(|error| error.to_string())?;
    let section = |name: &str| {
        let whole = file.sections().find(|s| s.name().is_ok_and(|n| n.contains(name)));
        whole.ok_or(format!("{}: no {name}", object.display()))
    };
    let found = |name: &str, bytes: &[u8]| -> Result<bool, String> {
        let section = section(name)?;
        let data = section.data().map_err(|error| error.to_string())?;
        let Some(at) = data.windows(bytes.len()).position(|window| window == bytes) else {
            return Ok(false);
        };
        let covered = |at: u64| section.relocations().any(|(offset, _)| (at..at + 8).contains(&offset));
        Ok(!covered(at as u64))
    };
    let code = |what: &str| format!("text.julia_{what}_{variant}");
    let mut movabs = vec![0x48, 0xb8];
    movabs.extend(address("ASYMBOL").to_le_bytes());
    assert!(found(&code("symbol"), &movabs)?, "movabs");
    assert!(found(&code("text"), &(address("STRING") + 8).to_le_bytes())?, "an address inside of an object");
    let type_tag = [address("VECTOR"), address("VECTOR") >> 4];
    let type_tag = type_tag.map(|tag| found(&code("is_vector"), &tag.to_le_bytes()));
    assert!(type_tag.contains(&Ok(true)), "a type's address as a number");
    assert!(found(".data.rel.ro", &address("MISS").to_le_bytes())?, "a word beside a relocation");
    assert!(found(constants, &address("HIT").to_le_bytes())?, "a word in {constants}");
    let closure = section(&code("closure"))?;
    let zero = closure.relocations().any(|(offset, relocation)| {
        let field = closure.data().ok().and_then(|data| data.get(offset as usize..)?.first_chunk::<8>());
        relocation.flags() == (RelocationFlags::Elf { r_type: elf::R_X86_64_GOTOFF64 })
            && matches!(relocation.target(), RelocationTarget::Absolute)
            && relocation.addend().cast_unsigned() == address("BOXED")
            && field == Some(&[0; 8])
    });
    assert!(zero, "an address in the addend of a relocation against symbol 0");
    let alias = file.symbols().find(|symbol| symbol.name() == Ok(&format!("jl_global#{variant}8.jit")));
    let absolute = alias.map(|alias| (alias.section(), alias.address()));
    assert_eq!(absolute, Some((SymbolSection::Absolute, address("STRING"))));
    Ok(())
}

/// Keeps LLVM from replacing an address by its distance from another one in the same function.
pub(crate) const APART: &str = "-disable-constant-hoisting";

/// The code that tells the collector has the reference's address and that of a function.
#[test]
fn distances_are_refused() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let object = shop.compile("jit", &jit_source("jit.ll", 0)?, "small", &["-O2"])?;
    let refused = shop.fix(&object, &jit_map()?).err().unwrap_or_default();
    assert!(refused.contains("by the distance that they had in the session"), "{refused}");
    Ok(())
}

/// Objects with addresses in code, in data without a relocation, in addends and in absolute symbols, all in each.
#[test]
fn every_form() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let mut objects = vec![shop.reader(0, "large")?];
    for (model, level) in MODELS.into_iter().flat_map(|model| [(model, "-O0"), (model, "-O2")]) {
        let variant = objects.len();
        let text = jit_source("jit.ll", variant)?;
        let name = format!("jit_{variant}");
        let object = shop.compile(&name, &text, model, &[level, "-large-data-threshold=0", APART])?;
        let constants = if model == "small" { ".rodata" } else { ".lrodata" };
        assert_every_form(&object, variant, constants)
            .map_err(|error| format!("{model} {level}: {error}"))?;
        objects.push(shop.fix(&object, &jit_map()?)?);
    }
    for &linker in &Linkers::get()?.found {
        let library = shop.link(linker, "jit", &objects, &[])?;
        for scenario in ["late", "early"] {
            shop.assert_right(scenario, &[&library], objects.len())?;
        }
    }
    Ok(())
}
