//! Objects of imaging mode: empty variables, wherever a compiler puts them and however code reaches them.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget, elf};
use serde_json::json;

use crate::shop::{MODELS, Shop, imaging_map, map, source};
use crate::support::command::run;
use crate::support::relocfix;
use crate::support::toolchain::Linkers;

/// How a variable is declared; and for each code model where it is, and how code reaches it.
struct Declared(&'static str, [&'static str; 3]);

const DECLARED: [Declared; 8] = [
    Declared("internal global ptr null", [".bss PC32", ".lbss GOTPC32 GOTOFF64", ".lbss GOTPC64 GOTOFF64"]),
    Declared("hidden global ptr null", [".bss PC32", ".lbss GOTPC32 GOTOFF64", ".lbss GOTPC64 GOTOFF64"]),
    Declared("global ptr null", [".bss GOTPCREL", ".lbss GOTPCREL", ".lbss GOTPC64 GOT64"]),
    Declared(
        "internal global ptr null, section \".data\"",
        [".data PC32", ".data PC32", ".data GOTPC64 GOTOFF64"],
    ),
    Declared(
        "hidden global ptr null, section \".data\"",
        [".data PC32", ".data PC32", ".data GOTPC64 GOTOFF64"],
    ),
    Declared(
        "global ptr null, section \".data\"",
        [".data GOTPCREL", ".data GOTPCREL", ".data GOTPC64 GOT64"],
    ),
    Declared("external global ptr", ["GOTPCREL", "GOTPCREL", "GOTPC64 GOT64"]),
    Declared("external hidden global ptr", ["PC32", "GOTPC32 GOTOFF64", "GOTPC64 GOTOFF64"]),
];

/// Where the variables of an object are, and how its functions that return one reach it: as [`Declared`] writes it.
fn shape(object: &Path) -> Result<String, String> {
    let bytes = fs::read(object).map_err(|error| error.to_string())?;
    let file = ElfFile64::<LittleEndian>::parse(bytes.as_slice()).map_err(|error| error.to_string())?;
    let is_variable = |name: &str| ["jl_", "+", "MUL."].iter().any(|prefix| name.starts_with(prefix));
    let mut homes = BTreeSet::new();
    let mut variables = HashSet::new();
    for symbol in file.symbols().filter(|symbol| symbol.name().is_ok_and(is_variable)) {
        // Not the runtime's own.
        if symbol.name() == Ok("jl_nothing") {
            continue;
        }
        variables.insert(symbol.index());
        let section = symbol.section_index().and_then(|index| file.section_by_index(index).ok());
        if let Some(section) = section {
            let name = section.name().map_err(|error| error.to_string())?;
            homes.insert(format!(".{}", name.split('.').nth(1).unwrap_or_default()));
            // References to what is local are to its section.
            variables.extend(
                file.symbols().filter(|s| s.section_index() == Some(section.index())).map(|s| s.index()),
            );
        }
    }
    let mut ways = BTreeSet::new();
    for section in file.sections() {
        let name = section.name().unwrap_or_default();
        let returns_one = ["string", "module", "binding"].iter().any(|what| name.contains(what));
        for (_, relocation) in section.relocations().filter(|_| returns_one && name.contains("text.julia_")) {
            let RelocationFlags::Elf { r_type } = relocation.flags() else { continue };
            let to_variable =
                matches!(relocation.target(), RelocationTarget::Symbol(id) if variables.contains(&id));
            ways.insert(match (r_type, to_variable) {
                (elf::R_X86_64_GOTPC32, false) => (0, "GOTPC32"),
                (elf::R_X86_64_GOTPC64, false) => (0, "GOTPC64"),
                (elf::R_X86_64_PC32, true) => (1, "PC32"),
                (elf::R_X86_64_GOTPCREL | elf::R_X86_64_REX_GOTPCRELX, true) => (1, "GOTPCREL"),
                (elf::R_X86_64_GOTOFF64, true) => (1, "GOTOFF64"),
                (elf::R_X86_64_GOT64, true) => (1, "GOT64"),
                _ => return Err(format!("{}: {name}: type {r_type:?}", object.display())),
            });
        }
    }
    let words = homes.iter().map(String::as_str).chain(ways.iter().map(|(_, way)| *way));
    Ok(words.collect::<Vec<_>>().join(" "))
}

/// Every place of a variable, every way to reach it, every code model, with and without the optimizer: all in one
/// library, of which each object's initializer fills its own.
#[test]
fn every_place_and_way() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let mut objects: Vec<PathBuf> = Vec::new();
    // The kernel's is like the small one.
    let models = MODELS.into_iter().enumerate().chain([(0, "kernel")]);
    for (column, model) in models {
        objects.push(shop.reader(objects.len(), model)?);
        for Declared(declared, shapes) in DECLARED {
            for level in ["-O0", "-O2"] {
                let variant = objects.len();
                let text = source("imaging.ll", variant)?.replace("LINKAGE", declared);
                let object = shop.compile(&format!("imaging_{variant}"), &text, model, &[level])?;
                assert_eq!(shape(&object)?, shapes[column], "{declared}, {model}, {level}");
                objects.push(shop.fix(&object, &imaging_map(variant)?)?);
            }
        }
    }
    // As linkers knew it before they relaxed what goes through the global offset table.
    let variant = objects.len();
    let text = source("imaging.ll", variant)?.replace("LINKAGE", "global ptr null");
    let options = ["-O2", "-x86-relax-relocations=false"];
    let object = shop.compile(&format!("imaging_{variant}"), &text, "small", &options)?;
    objects.push(shop.fix(&object, &imaging_map(variant)?)?);
    for &linker in &Linkers::get()?.found {
        let library = shop.link(linker, "imaging", &objects, &[])?;
        for scenario in ["late", "early", "thread", "threads"] {
            shop.assert_right(scenario, &[&library], objects.len())?;
        }
    }
    Ok(())
}

/// Symbols and the names of their variables, as the compiler writes them and as `makeSafeName` does.
const NAMES: [(&str, &str, &str); 12] = [
    ("foo", "jl_sym#foo#1", "jl_symYY.fooYY.1"),
    ("push!", "jl_sym#push!#2", "jl_symYY.pushNOT.YY.2"),
    ("a.b", "jl_sym#a.b#3", "jl_symYY.aDOT.bYY.3"),
    ("##s#12", "jl_sym###s#12#4", "jl_symYY.YY.YY.sYY.12YY.4"),
    (
        "\u{2260}\u{3b1}_\u{1d7d9}",
        "jl_sym#\u{2260}\u{3b1}_\u{1d7d9}#5",
        "jl_symYY.\u{2260}\u{3b1}_\u{1d7d9}YY.5",
    ),
    ("+", "jl_sym#+#6", "jl_symYY.SUM.YY.6"),
    ("", "jl_sym##7", "jl_symYY.YY.7"),
    ("a b\"c\\d", "jl_sym#a b\"c\\d#8", "jl_symYY.aSP.bDQT.cRDV.dYY.8"),
    ("YY.", "jl_sym#YY.#9", "jl_symYY.YYDOT.YY.9"),
    ("#1", "jl_sym##1#10", "jl_symYY.YY.1YY.10"),
    ("x,y;", "jl_sym#x,y;#11", "jl_symYY.x2C.y3B.YY.11"),
    ("twice", "jl_sym#twice#12.5", "jl_symYY.twiceYY.12.5"),
];

/// Symbols of all kinds, that only their variables' names tell of.
#[test]
fn names_of_symbols() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    // As LLVM writes any bytes in quotes.
    let escaped = |text: &str| text.bytes().map(|byte| format!("\\{byte:02X}")).collect::<String>();
    let mut text = "source_filename = \"names\"\ntarget triple = \"x86_64-unknown-linux-gnu\"\n".to_owned();
    let spellings = NAMES.into_iter().flat_map(|(symbol, plain, safe)| [(symbol, plain), (symbol, safe)]);
    for (number, (symbol, name)) in spellings.enumerate() {
        let (variable, size) = (escaped(name), symbol.len() + 1);
        text += &format!(
            "@\"{variable}\" = external global ptr\n@spelled_{number} = private constant [{size} x i8] c\"{}\\00\"\n",
            escaped(symbol)
        );
        text += &format!(
            "define ptr @julia_named_{number}() {{\n  %1 = load ptr, ptr @\"{variable}\"\n  ret ptr %1\n}}\n"
        );
        text += &format!("define ptr @julia_spelled_{number}() {{\n  ret ptr @spelled_{number}\n}}\n");
    }
    let object = shop.compile("names", &text, "small", &["-O2"])?;
    let fixed = shop.fix(&object, &json!({"relocfix": 1}))?;
    let library = shop.link(Linkers::get()?.found[0], "names", &[fixed], &[])?;
    shop.assert_right("late", &[&library], 1)
}

/// What only the session knew, and no entry says.
#[test]
fn what_is_not_known_is_listed() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let text = source("imaging.ll", 0)?.replace("LINKAGE", "external global ptr");
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
        "+Core.Tuple#013",
        "MUL.MainDOT.relocfix_bindingYY.015",
        "jl_global#010",
        "jl_global#014",
        "jl_global#08",
        "jl_global#09",
    ];
    assert_eq!(unknown, expected);
    assert_eq!(of("init").len(), 3, "{report:#}");
    // Without a map as well, and what --infer knows comes with when the runtime is ready.
    let bare = run(relocfix::tool().arg("check").arg(&object).args(["--infer", "julia"]))?;
    let shown = bare.text();
    assert_eq!((bare.status.code(), shown.matches("missing").count()), (Some(2), 6), "{}", bare.describe());
    assert!(shown.matches("init").count() == 3 && !bare.stderr.contains("`ready`"), "{}", bare.describe());
    // An entry for what is not there is told.
    let gone = map(&[("globals", json!([{"symbol": "jl_global#99", "init": {"int": 1}}]))])?;
    fs::write(&path, gone.to_string()).map_err(|error| error.to_string())?;
    let refused = run(relocfix::tool().arg("check").arg(&object).arg("-s").arg(&path))?;
    assert_eq!(refused.status.code(), Some(1), "{}", refused.describe());
    assert!(refused.stderr.contains("the object has no symbol `jl_global#99`"), "{}", refused.describe());
    Ok(())
}
