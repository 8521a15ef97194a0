//! Objects of one link, libraries of one process: nothing is lost, merged, or taken for another's.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::jit::{APART, jit_map, jit_source};
use crate::shop::{Shop, imaging_map, source};
use crate::support::relocfix;
use crate::support::toolchain::{Linker, Linkers};

impl Shop {
    /// An object of imaging mode before it is fixed.
    fn imaging(&self, variant: usize, declared: &str) -> Result<PathBuf, String> {
        let text = source("imaging.ll", variant)?.replace("LINKAGE", declared);
        self.compile(&format!("imaging_{variant}"), &text, "large", &["-O2"])
    }

    fn fixed_imaging(&self, variant: usize, declared: &str) -> Result<PathBuf, String> {
        self.fix(&self.imaging(variant, declared)?, &imaging_map(variant)?)
    }

    /// One with a function that others have, too.
    fn choice(&self, variant: usize) -> Result<PathBuf, String> {
        let object = self.compile(
            &format!("choice_{variant}"),
            &jit_source("choice.ll", variant)?,
            "small",
            &["-O2"],
        )?;
        self.fix(&object, &jit_map()?)
    }

    /// The same function without an address.
    fn plain_choice(&self, variant: usize) -> Result<PathBuf, String> {
        let text = source("choice_plain.ll", variant)?;
        self.compile(&format!("choice_plain_{variant}"), &text, "small", &["-O2"])
    }

    /// One that does not wait for Julia.
    fn plain(&self, variant: usize) -> Result<PathBuf, String> {
        let object = self.compile("plain", &source("plain.ll", variant)?, "small", &["-O2"])?;
        let made = json!({"call": "strdup", "args": [{"string": "plain"}]});
        let map = json!({"relocfix": 1, "globals": [{"symbol": "plain", "init": made}]});
        let path = self.workshop.write("plain.json", &map.to_string())?;
        let output = object.with_extension("fixed.o");
        relocfix::fix::<&str>(&object, &output, Some(&path), &[])?;
        Ok(output)
    }
}

fn options(linker: Linker) -> Vec<&'static str> {
    let mut options = vec!["-Wl,--gc-sections", "-Wl,-Bsymbolic"];
    if linker != Linker::Bfd {
        options.push("-Wl,--icf=all");
    }
    options
}

/// Objects that wait and one that does not; two equal ones; one whose function gives way to an unfixed object's, and one
/// whose function does not; two that were merged, and a fixed and an unfixed one that were merged and then fixed: as a
/// library and as a program of each linker, which drops what nobody refers to and folds what is equal.
#[test]
fn objects_of_one_link() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let equal = shop.choice(3)?;
    let copy = shop.workshop.path("copy.o");
    fs::copy(&equal, &copy).map_err(|error| error.to_string())?;
    let jit = shop.compile("jit", &jit_source("jit.ll", 4)?, "medium", &["-O2", APART])?;
    let (first, second) =
        (shop.fixed_imaging(5, "hidden global ptr null")?, shop.fixed_imaging(6, "external global ptr")?);
    let (third, unfixed) =
        (shop.fixed_imaging(7, "global ptr null")?, shop.imaging(8, "internal global ptr null")?);
    let others = [
        shop.plain(0)?,
        shop.reader(0, "large")?,
        shop.choice(1)?,
        shop.plain_choice(1)?,
        shop.plain_choice(2)?,
        shop.choice(2)?,
        equal,
        copy,
        shop.fix(&jit, &jit_map()?)?,
    ];
    for &linker in &Linkers::get()?.found {
        let merged = shop.workshop.merge(linker, "merged", &[&first, &second])?;
        relocfix::assert_stable::<&str>(&merged, None, &[])?;
        let joined = shop.workshop.merge(linker, "joined", &[&third, &unfixed])?;
        let joined = shop.fix(&joined, &imaging_map(8)?)?;
        let objects: Vec<PathBuf> = others.iter().cloned().chain([merged, joined]).collect();
        let waiting = 10;
        let library = shop.link(linker, "together", &objects, &options(linker))?;
        for scenario in ["late", "early", "threads"] {
            shop.assert_right(scenario, &[&library], waiting)?;
        }
        let program = shop.link_program(linker, &objects)?;
        shop.assert_program_right(&program, "early", waiting)?;
    }
    Ok(())
}

/// Two libraries whose objects have functions and variables of the same names: each has its own reference, and nobody
/// reads what the other one wrote.
#[test]
fn two_libraries() -> Result<(), String> {
    let Some(shop) = Shop::open()? else { return Ok(()) };
    let objects = [shop.fixed_imaging(0, "global ptr null")?, shop.reader(0, "large")?];
    for &linker in &Linkers::get()?.found {
        let one = shop.link(linker, "one", &objects, &[])?;
        let other = shop.link(linker, "other", &objects, &options(linker))?;
        for scenario in ["late", "thread", "foreign"] {
            shop.assert_right(scenario, &[&one, &other], 4)?;
        }
    }
    Ok(())
}
