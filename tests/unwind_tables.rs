//! The ground truth for lowered unwind and exception tables is what the same compiler writes with `-fpic`: its text is
//! made absolute, as it would be without, assembled, lowered, and must be its own relative form again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use relocfix::frame_table::{FrameTable, Location};
use relocfix::object_file::{ObjectFile, Section, SectionKind, SymbolPlace};
use relocfix::reloc::RelocKind;
use relocfix::unwind_tables::{self, UnwindTarget};

mod support;

use support::command::succeed;
use support::toolchain;

#[test]
fn gcc_small() -> Result<(), String> {
    compare("g++", "small")
}

#[test]
fn gcc_medium() -> Result<(), String> {
    compare("g++", "medium")
}

#[test]
fn gcc_large() -> Result<(), String> {
    compare("g++", "large")
}

#[test]
fn clang_small() -> Result<(), String> {
    compare("clang++", "small")
}

#[test]
fn clang_medium() -> Result<(), String> {
    compare("clang++", "medium")
}

#[test]
fn clang_large() -> Result<(), String> {
    compare("clang++", "large")
}

fn compare(compiler: &str, model: &str) -> Result<(), String> {
    let Some(compiler) = toolchain::require(compiler) else {
        return Ok(());
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cases/exceptions_large.cc");
    let assembly = folder.join("relative.s");
    let options = ["-O2", "-ffunction-sections", "-fpic", "-std=c++14", "-w", "-DSYMBOLIC", "-S", "-o"];
    let model = format!("-mcmodel={model}");
    succeed(Command::new(&compiler).arg(model).args(options).arg(&assembly).arg(&source))?;
    let text = fs::read_to_string(&assembly).map_err(|error| error.to_string())?;
    let absolute = folder.join("absolute.s");
    fs::write(&absolute, made_absolute(&text)?).map_err(|error| error.to_string())?;

    let expected = assemble(&compiler, &assembly)?;
    let expected = ObjectFile::parse("relative.o", &expected).map_err(|error| error.to_string())?;
    let input = assemble(&compiler, &absolute)?;
    let input = ObjectFile::parse("absolute.o", &input).map_err(|error| error.to_string())?;
    let found = lowered(&input)?;
    let expected = as_written(&expected)?;
    for (name, table) in &expected {
        assert_eq!(found.get(name), Some(table), "{name}");
    }
    assert_eq!(found.len(), expected.len());
    let grouped = found.keys().filter(|name| name.starts_with(".gcc_except_table.")).count();
    assert!(found.contains_key(".eh_frame") && grouped > 1, "{:?}", found.keys());
    Ok(())
}

/// The compiler's text with absolute encodings and addresses in its tables.
fn made_absolute(text: &str) -> Result<String, String> {
    // What the compiler's own pointers hold: `DW.ref._ZTIi: .quad _ZTIi`.
    let mut pointers = BTreeMap::new();
    for (label, value) in text.lines().zip(text.lines().skip(1)) {
        if let (Some(label), Some(symbol)) = (label.strip_suffix(':'), value.trim().strip_prefix(".quad\t")) {
            pointers.insert(label, symbol);
        }
    }
    let mut lines = Vec::new();
    let mut in_table = false;
    let mut changed = 0;
    for line in text.lines() {
        let code = line.split('#').next().unwrap_or_default().trim();
        let words: Vec<&str> =
            code.split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty()).collect();
        let encoding = words.get(1).and_then(|word| number(word));
        if code.starts_with(".section") {
            in_table = code.contains(".gcc_except_table");
        } else if code.starts_with(".text") || code.starts_with(".data") {
            in_table = false;
        }
        match (words.as_slice(), encoding) {
            ([".cfi_personality", _, symbol], Some(encoding)) => {
                let symbol = pointers.get(symbol).copied().unwrap_or(symbol);
                lines.push(format!("\t.cfi_personality {:#x}, {symbol}", absolute_encoding(encoding)?));
                changed += 1;
            }
            ([".cfi_lsda", _, label], Some(encoding)) => {
                lines.push(format!("\t.cfi_lsda {:#x}, {label}", absolute_encoding(encoding)?));
                changed += 1;
            }
            ([".byte", _], Some(encoding @ (0x9b | 0x9c))) if in_table => {
                lines.push(format!("\t.byte {:#x}", absolute_encoding(encoding)?));
                changed += 1;
            }
            // `.quad DW.ref._ZTIi-.`, or clang's `.Ltmp: .quad .L_ZTIi.DW.stub-.Ltmp`.
            ([directive @ (".quad" | ".long"), expression], _) if in_table && expression.contains('-') => {
                let (pointer, _) = expression.split_once('-').unwrap_or_default();
                let symbol = pointers.get(pointer).ok_or_else(|| format!("{pointer} is no pointer"))?;
                lines.push(format!("\t{directive} {symbol}"));
                changed += 1;
            }
            _ => lines.push(line.to_owned()),
        }
    }
    if changed < 6 {
        return Err(format!("only {changed} lines of the tables were recognized:\n{text}"));
    }
    lines.push(String::new());
    Ok(lines.join("\n"))
}

fn number(word: &str) -> Option<u8> {
    match word.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// `DW_EH_PE_udata4` or `DW_EH_PE_absptr`.
fn absolute_encoding(encoding: u8) -> Result<u8, String> {
    match encoding & 0x0f {
        0x0b => Ok(0x03),
        0x0c => Ok(0x00),
        _ => Err(format!("encoding {encoding:#x}")),
    }
}

/// A section's bytes, and of each relocation the offset, the kind, and what it leads to in the end.
type Table = (Vec<u8>, BTreeMap<u64, (RelocKind, String)>);

fn tables<'o, 'd>(object: &'o ObjectFile<'d>) -> impl Iterator<Item = &'o Section<'d>> {
    let kinds = [SectionKind::EhFrame, SectionKind::ExceptTable];
    object.sections.iter().filter(move |section| kinds.contains(&section.kind))
}

fn lowered(object: &ObjectFile<'_>) -> Result<BTreeMap<String, Table>, String> {
    let frames = FrameTable::read(object).map_err(|error| error.to_string())?;
    let lowering = unwind_tables::lower(object, &frames).map_err(|error| error.to_string())?;
    let mut found = BTreeMap::new();
    for section in tables(object) {
        let mut data = section.data.to_vec();
        for edit in lowering.bytes.iter().filter(|edit| edit.section == section.id) {
            let range = edit.offset as usize..edit.offset as usize + edit.old.len();
            assert_eq!(data[range.clone()], *edit.old);
            data[range].copy_from_slice(&edit.new);
        }
        let mut relocations = BTreeMap::new();
        for relocation in section.relocations() {
            relocations.insert(
                relocation.offset,
                (relocation.kind, referent(object, relocation.symbol.0, relocation.addend)),
            );
        }
        for relocation in lowering.relocations.iter().filter(|r| r.section == section.id) {
            let target = match relocation.target {
                UnwindTarget::Slot { symbol, addend } => {
                    format!("pointer to {}", referent(object, symbol.0, addend))
                }
                UnwindTarget::Direct(Location { section, offset }) => {
                    format!("{}+{offset}", object.section(section).name)
                }
            };
            relocations.insert(relocation.offset, (relocation.kind, target));
        }
        found.insert(section.name.to_owned(), (data, relocations));
    }
    Ok(found)
}

fn as_written(object: &ObjectFile<'_>) -> Result<BTreeMap<String, Table>, String> {
    let mut found = BTreeMap::new();
    for section in tables(object) {
        let mut relocations = BTreeMap::new();
        for relocation in section.relocations() {
            let symbol = object.symbol(relocation.symbol);
            // The compiler's pointers are variables of their own, which hold an address.
            let target = match symbol.place {
                SymbolPlace::Section(home) if object.section(home).name.starts_with(".data") => {
                    let place = symbol.value.wrapping_add_signed(relocation.addend);
                    let pointers = object.section(home).relocations_in(place..place + 1);
                    let Some(pointer) = pointers.only() else {
                        return Err(format!("{}+{place:#x} holds no pointer", object.section(home).name));
                    };
                    format!("pointer to {}", referent(object, pointer.symbol.0, pointer.addend))
                }
                _ => referent(object, relocation.symbol.0, relocation.addend),
            };
            relocations.insert(relocation.offset, (relocation.kind, target));
        }
        found.insert(section.name.to_owned(), (section.data.to_vec(), relocations));
    }
    Ok(found)
}

/// A place in a section has many names; its section and offset is one.
fn referent(object: &ObjectFile<'_>, symbol: u32, addend: i64) -> String {
    let symbol = &object.symbols[symbol as usize];
    match symbol.place {
        SymbolPlace::Section(home) if !symbol.preemptible() => {
            format!("{}+{}", object.section(home).name, symbol.value.wrapping_add_signed(addend))
        }
        _ => format!("{}+{addend}", symbol.name),
    }
}

fn assemble(compiler: &Path, assembly: &Path) -> Result<Vec<u8>, String> {
    let object = assembly.with_extension("o");
    succeed(Command::new(compiler).arg("-c").arg(assembly).arg("-o").arg(&object))?;
    fs::read(&object).map_err(|error| error.to_string())
}
