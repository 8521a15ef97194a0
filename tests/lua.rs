//! A whole program: Lua, as compilers make it. Every address of another file's functions and variables is baked into its
//! objects, as a session's are into those of a JIT; the program of the rewritten objects is the same as the ordinary one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol};
use serde_json::{Value, json};

mod support;

use support::command::succeed;
use support::matrix::Matrix;
use support::random::Random;
use support::{relocfix, toolchain};

/// Runs a script with what Lua has: its parser, its tables, strings, coroutines, closures, numbers and libraries.
const DRIVER: &str = r#"
#include <stdio.h>
#include "lua.h"
#include "lauxlib.h"
#include "lualib.h"
static const char script[] =
    "local t = {} for i = 1, 200 do t[i] = (i * 7919) % 211 end table.sort(t) print(table.concat(t, ','))\n"
    "print(string.format('%5.2f %d %s %q %x', 3.14159, 42, 'hi', 'a\\nb', 255), ('hello'):gsub('l', '1'))\n"
    "print(string.pack('>i4i8z', 1, 2, 'abc'):byte(1, -1)) print(string.unpack('<i2', string.pack('<i2', -3)))\n"
    "print(pcall(error, 1)) print(select('#', pcall(function() local x = nil return x.y end)))\n"
    "print(math.sin(1), math.floor(2.7), math.tointeger(3.0), 7 // 2, 7 % 3, 2 ^ 10, 1 << 40, 3 | 4, ~5)\n"
    "local c = coroutine.wrap(function() for i = 1, 5 do coroutine.yield(i) end end) print(c(), c(), c())\n"
    "local m = setmetatable({}, {__index = function(_, k) return k .. '!' end,\n"
    "    __call = function(_, a) return a * 2 end}) print(m.foo, m(21))\n"
    "goto done do print 'no' end ::done:: print(load(\"return 1 + 2 * 3 // 2 .. 'x' .. [[long]] .. 0x1p4\")())\n"
    "for w in ('one two three'):gmatch('%a+') do io.write(w, ' ') end print()\n"
    "print(utf8.char(228, 8364, 0x10FFFF), utf8.len('aou')) collectgarbage() print(('abcabc'):find('b(c)', 3))\n"
    "print(1e15, 2 ^ 53, -0.0, 1 / 0, math.maxinteger, 0x7fffffffffffffff + 1, ('ab'):rep(3, '-'))\n"
    "print(table.unpack({1, 2, 3})) print(next({})) print(os.time {year = 2020, month = 1, day = 1})\n"
    "local n = 0 for k, v in pairs(_G) do n = n + #k end print(n, tostring(nil), #arg or 0)\n";
int main(void) {
    lua_State *state = luaL_newstate();
    luaL_openlibs(state);
    lua_newtable(state);
    lua_setglobal(state, "arg");
    if (luaL_dostring(state, script)) puts(lua_tostring(state, -1));
    lua_close(state);
    return 0;
}
"#;

/// Where a session has everything.
#[derive(Clone, Copy)]
enum Arena {
    /// Where libraries are mapped.
    High,
    /// Below 2 GiB.
    Low,
}

#[test]
fn gcc_large() -> Result<(), String> {
    program("gcc", Arena::High, &["-O2", "-fno-pic", "-mcmodel=large"])
}

#[test]
fn gcc_at_a_fixed_address() -> Result<(), String> {
    program("gcc", Arena::Low, &["-O2", "-fno-pic", "-fcf-protection=none"])
}

#[test]
fn gcc_vectorized() -> Result<(), String> {
    program("gcc", Arena::High, &["-O3", "-march=haswell", "-fno-pic", "-mcmodel=large"])
}

#[test]
fn clang_large() -> Result<(), String> {
    program("clang", Arena::High, &["-O2", "-fno-pic", "-mcmodel=large", "-fno-addrsig"])
}

#[test]
fn clang_at_a_fixed_address() -> Result<(), String> {
    program("clang", Arena::Low, &["-O3", "-fno-pic", "-fno-addrsig"])
}

fn program(compiler: &str, arena: Arena, flags: &[&str]) -> Result<(), String> {
    let Some(compiler) = toolchain::require(compiler) else { return Ok(()) };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let sources = sources()?;
    let include = sources[0].parent().ok_or("Lua's sources have a folder")?;

    let mut texts = Vec::new();
    let mut plain = Vec::new();
    for source in &sources {
        let name = source.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let text = folder.join(format!("{name}.s"));
        succeed(
            Command::new(&compiler)
                .args(flags)
                .args(["-w", "-S", "-DLUA_USE_POSIX", "-o"])
                .arg(&text)
                .arg(source),
        )?;
        plain.push(assemble(&text)?);
        texts.push(text);
    }
    let mut names = BTreeMap::new();
    for object in &plain {
        let bytes = fs::read(object).map_err(|error| error.to_string())?;
        let object = object::File::parse(&*bytes).map_err(|error| error.to_string())?;
        for symbol in object.symbols().filter(|symbol| symbol.is_global()) {
            let name = symbol.name().map_err(|error| error.to_string())?.to_owned();
            let size: &mut u64 = names.entry(name).or_default();
            *size = symbol.size().max(*size);
        }
    }

    let addresses = [1, 2].map(|seed| addresses(arena, &names, seed));
    let mut outputs = Vec::new();
    let mut places = 0;
    for (text, object) in texts.iter().zip(&plain) {
        let foreign = undefined(object)?;
        let mut sessions = Vec::new();
        for (number, addresses) in addresses.iter().enumerate() {
            sessions.push(session(folder, text, number, addresses, &names, &foreign)?);
        }
        let mut fixed = Vec::new();
        for (number, (input, map)) in sessions.iter().enumerate() {
            let (twin, twin_map) = &sessions[1 - number];
            let proof = [
                "--witness".as_ref(),
                twin.as_os_str(),
                "--witness-session-map".as_ref(),
                twin_map.as_os_str(),
            ];
            let output = input.with_extension("fixed.o");
            let options = if foreign.is_empty() { &[] } else { &proof[..] };
            let report = relocfix::fix(input, &output, Some(map), options)?.report;
            let all = report["summary"]["places"].as_u64().unwrap_or_default();
            assert_eq!(report["summary"]["resolved"].as_u64(), Some(all), "{}", input.display());
            places += all;
            fixed.push(output);
        }
        relocfix::assert_same(&fixed[0], &fixed[1])?;
        outputs.push(fixed.swap_remove(0));
    }
    assert!(places > 4000, "{places} places");

    let matrix = |objects: &[PathBuf]| {
        Matrix::new(objects).driver(DRIVER).driver_option("-I").driver_option(include).libraries(&["-lm"])
    };
    let ordinary = folder.join("ordinary");
    let driver = folder.join("driver.c");
    fs::write(&driver, DRIVER).map_err(|error| error.to_string())?;
    let mut link = Command::new("gcc");
    link.arg("-no-pie").arg("-I").arg(include).arg(&driver).args(&plain).arg("-lm").arg("-o").arg(&ordinary);
    succeed(&mut link)?;
    let expected = succeed(&mut Command::new(&ordinary))?.text();
    assert!(expected.lines().count() > 15, "{expected}");
    matrix(&outputs).expect_stdout(&expected).run()
}

/// Lua's sources, but the programs' own, from the package that carries them.
fn sources() -> Result<Vec<PathBuf>, String> {
    // What other platforms need was not downloaded.
    let platform = format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--format-version", "1", "--locked", "--offline", &platform]);
    let metadata = succeed(metadata.current_dir(env!("CARGO_MANIFEST_DIR")))?;
    let metadata: Value = serde_json::from_slice(&metadata.stdout).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut packages = packages.filter(|package| package["name"] == "lua-src");
    let manifest =
        packages.next().and_then(|package| package["manifest_path"].as_str()).ok_or("no lua-src")?;
    let package = Path::new(manifest).parent().ok_or("a package has a folder")?;
    let mut sources: Vec<PathBuf> = entries(package)?
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lua-5.4")))
        .map(|folder| entries(&folder))
        .collect::<Result<Vec<_>, _>>()?
        .concat();
    let programs = ["lua.c", "luac.c"];
    sources.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".c") && !programs.contains(&name)
    });
    sources.sort();
    if sources.len() > 25 { Ok(sources) } else { Err(format!("Lua's sources: {sources:?}")) }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(|error| error.to_string())).collect()
}

/// An object of an assembly.
fn assemble(text: &Path) -> Result<PathBuf, String> {
    let object = text.with_extension("o");
    succeed(Command::new("gcc").arg("-c").arg(text).arg("-o").arg(&object))?;
    Ok(object)
}

fn undefined(object: &Path) -> Result<BTreeSet<String>, String> {
    let bytes = fs::read(object).map_err(|error| error.to_string())?;
    let object = object::File::parse(&*bytes).map_err(|error| error.to_string())?;
    let symbols = object.symbols().filter(|symbol| symbol.is_undefined());
    let names = symbols.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    Ok(names.filter(|name| !name.is_empty() && name != "_GLOBAL_OFFSET_TABLE_").collect())
}

/// Addresses in an order of the session's own, aligned as everything of that size may be.
fn addresses(arena: Arena, names: &BTreeMap<String, u64>, seed: u64) -> BTreeMap<&str, u64> {
    let mut random = Random::new(seed);
    let mut at = match arena {
        Arena::High => 0x7f00_0000_0000 + random.below(1 << 28) * 0x1000,
        Arena::Low => 0x1000_0000 + random.below(1 << 12) * 0x1_0000,
    };
    let mut order: Vec<(u64, &str)> = names.keys().map(|name| (random.bits(), name.as_str())).collect();
    order.sort_unstable();
    let mut addresses = BTreeMap::new();
    for (_, name) in order {
        at = at.next_multiple_of(32) + 32 * random.below(8);
        addresses.insert(name, at);
        at += names[name].max(1);
    }
    addresses
}

/// The object of a session in which the foreign names are numbers, and its map.
fn session(
    folder: &Path,
    text: &Path,
    number: usize,
    addresses: &BTreeMap<&str, u64>,
    sizes: &BTreeMap<String, u64>,
    foreign: &BTreeSet<String>,
) -> Result<(PathBuf, PathBuf), String> {
    let name = text.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let mut source = fs::read_to_string(text).map_err(|error| error.to_string())?;
    let mut symbols = Vec::new();
    for name in foreign {
        let address = addresses[name.as_str()];
        source += &format!("\t.set {name}, {address:#x}\n");
        symbols.push(json!({"address": format!("{address:#x}"), "name": name, "size": sizes[name]}));
    }
    // The same file name in folders of their own: nothing but addresses differs.
    let place = folder.join(format!("session{number}"));
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let text = place.join(format!("{name}.s"));
    fs::write(&text, source).map_err(|error| error.to_string())?;
    let map = place.join(format!("{name}.session.json"));
    let written = json!({"relocfix": 1, "machine": "x86_64", "symbols": symbols});
    fs::write(&map, written.to_string()).map_err(|error| error.to_string())?;
    Ok((assemble(&text)?, map))
}
