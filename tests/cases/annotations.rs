//! The comment language of the cases: what a source expects of the tool, in lines that begin with `#:`, `//:`
//! or `;:`.
//!
//! | line | meaning |
//! |---|---|
//! | `map JSON` | the session map; several lines are joined. `relocfix`, `machine` and one mapping around all addresses are added |
//! | `place WHERE TARGET DELIVERY` | a place of the report. WHERE is `.text+0x2`, or `.text` where compilers differ; TARGET is `symbol cell+0`, `value heap+8`, `constant 0x…+0`, `expression cell >> 3+0` or `none` |
//! | `lowered WHERE SYMBOL DELIVERY` | an existing relocation that had to change |
//! | `realigned WHERE TEXT BECOMES` | an instruction that is another: `.text+0xa or $0x40,%rax add $0x40,%rax` |
//! | `aligned WHERE N` | a place of whose target the code relies on more than an alignment of 1 |
//! | `import WHERE SYMBOL DELIVERY` | a reference to an import |
//! | `global SYMBOL+0 DELIVERY` | a variable that was filled |
//! | `section NAME BECOMES` | a section whose header changed |
//! | `renamed NAME BECOMES` | a symbol with another name |
//! | `thread-local WHERE DISTANCE` | a distance from the thread pointer that is warned of |
//! | `warns TEXT` | the tool says TEXT although it goes on |
//! | `calls N`, `slots N`, `thunks N` | a number in the report's summary |
//! | `landing-pads N` | the object's property asks for them, and the N functions that startup code calls have them |
//! | `refused TEXT` | nothing is written, exit status 1, and the message contains TEXT |
//! | `rejected TEXT` | the same for a map that cannot be used: exit status 2 |
//! | `witness` | the same source from another session is the witness, in which each mapping moved by a distance of its own |
//! | `stays` | an address of the map may be spelled in the output, where it is none |
//! | `driver` | the lines `\| …` after it are the program that calls the code, in C (C++ for `.cc`) |
//! | `driver NAME.c` | the program that calls the code is that file of `testdata/drivers` |
//! | `stdout TEXT` | a line that the program prints |
//! | `aborts TEXT` | it calls abort after a message that contains TEXT |
//! | `modes pie,static` | only these kinds of output |
//! | `flags …`, `compiler NAME` | for the source; the compiler is chosen by the extension otherwise |
//! | `options …` | for the tool |
//! | `libs -lm` | for the linkers |
//! | `oracle no` | there is no symbolic form that could be linked |
//!
//! All `place`, `realigned` and `thread-local` lines together are exactly those of the report; so are `aligned`,
//! `lowered`, `import`, `global`, `section` and `renamed` lines if there is one (`lowered none` and so on: the list is
//! empty).
//!
//! `SESSION(name)` in the source is the session's address of that symbol or value of the map, or of the mapping whose
//! path ends so. The same source
//! with the symbol in its place is the case's *oracle*: what an ordinary compiler would have written. It is linked and
//! run as well, if the map holds nothing but symbols.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::matrix::Mode;

/// The lists of the report that a case can state.
pub(crate) const LISTS: [&str; 9] =
    ["place", "realigned", "aligned", "lowered", "import", "global", "section", "renamed", "thread-local"];

/// A source with its expectations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Case {
    /// The text without expectations substituted.
    pub(crate) source: String,
    /// `s`, `c`, `cc` or `ll`.
    pub(crate) extension: String,
    /// The session map.
    pub(crate) map: Value,
    /// Stated lines by the list they belong to.
    pub(crate) stated: Vec<(String, String)>,
    /// Stated numbers of the summary.
    pub(crate) counts: Vec<(String, u64)>,
    /// How many functions of ours startup code calls, each beginning with a landing pad.
    pub(crate) landing_pads: Option<usize>,
    /// What the refusal says; empty if there is none.
    pub(crate) refused: Vec<String>,
    /// What the rejection of the map says; empty if there is none.
    pub(crate) rejected: Vec<String>,
    /// Whether another session's object is the witness.
    pub(crate) witness: bool,
    /// What is said although all goes well.
    pub(crate) warns: Vec<String>,
    /// Whether bytes may spell an address of the map.
    pub(crate) stays: bool,
    /// The program.
    pub(crate) driver: Option<String>,
    /// What it prints.
    pub(crate) stdout: String,
    /// What it says before it aborts; empty if it does not.
    pub(crate) aborts: Vec<String>,
    /// Kinds of output.
    pub(crate) modes: Vec<Mode>,
    /// Compiler, if not chosen by the extension.
    pub(crate) compiler: Option<String>,
    /// Its flags.
    pub(crate) flags: Vec<String>,
    /// The tool's options.
    pub(crate) options: Vec<String>,
    /// Linker options.
    pub(crate) libs: Vec<String>,
    /// Whether the symbolic form is tried.
    pub(crate) oracle: bool,
}

impl Case {
    /// Reads the comment lines of a source.
    ///
    /// # Errors
    /// A line that is none of the language, a map that is no JSON object.
    pub(crate) fn parse(source: &str, extension: &str) -> Result<Case, String> {
        let mut case = Case {
            source: source.to_owned(),
            extension: extension.to_owned(),
            modes: Mode::ALL.to_vec(),
            oracle: true,
            ..Case::default()
        };
        let mut map = String::new();
        for (number, line) in source.lines().enumerate() {
            let line = line.trim_start();
            let Some(line) = ["#:", "//:", ";:"].iter().find_map(|prefix| line.strip_prefix(prefix)) else {
                continue;
            };
            case.line(line.trim_end(), &mut map).map_err(|error| format!("line {}: {error}", number + 1))?;
        }
        case.map = if map.is_empty() {
            json!({})
        } else {
            serde_json::from_str(&map).map_err(|e| format!("map: {e}"))?
        };
        let entries = case.map.as_object_mut().ok_or("map: no JSON object")?;
        entries.insert("relocfix".to_owned(), json!(1));
        entries.insert("machine".to_owned(), json!("x86_64"));
        entries.entry("mappings").or_insert_with(
            || json!([{"start": "0x7f1234000000", "end": "0x7f1235000000", "perms": "rwxp"}]),
        );
        if case.refused.is_empty()
            && case.rejected.is_empty()
            && case.driver.is_none()
            && case.stated.is_empty()
        {
            return Err("the case expects nothing".to_owned());
        }
        Ok(case)
    }

    fn line(&mut self, line: &str, map: &mut String) -> Result<(), String> {
        let line = line.trim_start();
        if let Some(text) = line.strip_prefix('|') {
            let driver = self.driver.as_mut().ok_or("`|` without `driver`")?;
            driver.push_str(text.strip_prefix(' ').unwrap_or(text));
            driver.push('\n');
            return Ok(());
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        let words = || rest.split_whitespace().map(str::to_owned);
        match word {
            "map" => map.push_str(rest),
            "calls" | "slots" | "thunks" => {
                self.counts.push((word.to_owned(), rest.parse().map_err(|_| format!("no number: {rest}"))?));
            }
            "landing-pads" => {
                self.landing_pads = Some(rest.parse().map_err(|_| format!("no number: {rest}"))?);
            }
            "refused" => self.refused.push(rest.to_owned()),
            "warns" => self.warns.push(rest.to_owned()),
            "rejected" => self.rejected.push(rest.to_owned()),
            "witness" => self.witness = true,
            "stays" => self.stays = true,
            "driver" if rest.is_empty() => self.driver = Some(String::new()),
            "driver" => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/drivers").join(rest);
                let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                self.driver = Some(text);
            }
            "stdout" => {
                self.stdout.push_str(rest);
                self.stdout.push('\n');
            }
            "aborts" => self.aborts.push(rest.to_owned()),
            "modes" => {
                self.modes = rest
                    .split(',')
                    .map(|name| Mode::from_name(name.trim()).ok_or_else(|| format!("no mode: {name}")))
                    .collect::<Result<_, _>>()?;
            }
            "compiler" => self.compiler = Some(rest.to_owned()),
            "flags" => self.flags.extend(words()),
            "options" => self.options.extend(words()),
            "libs" => self.libs.extend(words()),
            "oracle" => self.oracle = rest != "no",
            _ if LISTS.contains(&word) => {
                let mut line = words().collect::<Vec<_>>().join(" ");
                if line == "none" {
                    line.clear();
                }
                self.stated.push((word.to_owned(), line));
            }
            _ => return Err(format!("unknown word {word:?}")),
        }
        Ok(())
    }

    /// The stated lines of a list; `None` if the case says nothing of it.
    pub(crate) fn stated(&self, list: &str) -> Option<Vec<&str>> {
        let lines = self.stated.iter().filter(|(name, _)| name == list).map(|(_, line)| line.as_str());
        let lines: Vec<&str> = lines.collect();
        if lines.is_empty() {
            None
        } else {
            Some(lines.into_iter().filter(|line| !line.is_empty()).collect())
        }
    }

    /// The source as a session compiled it: the map's, or `another` whose memory lay elsewhere.
    ///
    /// # Errors
    /// `SESSION` of a name that the map does not have.
    pub(crate) fn session_source(&self, another: bool) -> Result<String, String> {
        self.substitute(|name| {
            let address = self.address(name)?;
            let address = if another { self.moved(address) } else { address };
            // LLVM's assembly knows decimal integers only.
            Ok(if self.extension == "ll" { format!("{address}") } else { format!("{address:#x}") })
        })
    }

    /// The source as an ordinary compiler gets it.
    ///
    /// # Errors
    /// None that [`Case::session_source`] does not have.
    pub(crate) fn symbolic_source(&self) -> Result<String, String> {
        self.substitute(|name| {
            Ok(match self.extension.as_str() {
                "c" | "cc" => format!("((unsigned long)(void *){name})"),
                "ll" => format!("ptrtoint (ptr @{name} to i64)"),
                _ => name.to_owned(),
            })
        })
    }

    /// Whether symbols say all that the map says.
    pub(crate) fn is_symbolic(&self) -> bool {
        ["values", "constants", "globals", "imports"].iter().all(|list| self.map.get(list).is_none())
    }

    fn substitute(&self, replacement: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
        let mut parts = self.source.split("SESSION(");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once(')').ok_or("SESSION( without )")?;
            text.push_str(&replacement(name)?);
            text.push_str(rest);
        }
        Ok(text)
    }

    fn address(&self, name: &str) -> Result<u64, String> {
        let entries =
            ["symbols", "values"].into_iter().filter_map(|list| self.map.get(list)?.as_array()).flatten();
        let entry = entries.into_iter().find(|entry| entry["name"] == name);
        let mapped = || {
            let mut mappings = self.map.get("mappings")?.as_array()?.iter();
            let mapping = mappings.find(|m| m["path"].as_str().is_some_and(|path| path.ends_with(name)))?;
            number(&mapping["start"])
        };
        entry
            .and_then(|entry| number(&entry["address"]))
            .or_else(mapped)
            .ok_or_else(|| format!("the map has no address for {name}"))
    }

    /// Where an address of the map lies in another session: it has other bytes that still fit where these do. What a
    /// witness is to show moved by another distance than the mapping before it.
    fn moved(&self, address: u64) -> u64 {
        let low = self.addresses().iter().any(|&address| address < 1 << 32);
        let (distance, more) = if low { (0x0112_3000, 0x0010_1000) } else { (0x0011_2233_0000, 0x0011_3000) };
        let within = |mapping: &Value| {
            let (start, end) = (number(&mapping["start"]), number(&mapping["end"]));
            start.zip(end).is_some_and(|(start, end)| (start..end).contains(&address))
        };
        let index = self.map["mappings"].as_array().and_then(|mappings| mappings.iter().position(within));
        let index = index.filter(|_| self.witness).unwrap_or(0) as u64;
        address + distance + index * more
    }

    /// All addresses that the map names.
    pub(crate) fn addresses(&self) -> Vec<u64> {
        let entries =
            ["symbols", "values"].into_iter().filter_map(|list| self.map.get(list)?.as_array()).flatten();
        entries.filter_map(|entry| number(&entry["address"])).collect()
    }

    /// The map of another session; `None` if the map has numbers that do not simply move.
    pub(crate) fn moved_map(&self) -> Option<Value> {
        let simple = self.map.get("constants").is_none();
        simple.then(|| self.shift(&self.map))
    }

    fn shift(&self, value: &Value) -> Value {
        match value {
            Value::Object(entries) => {
                let shifted = entries.iter().map(|(key, value)| {
                    let number = number(value).and_then(|number| match key.as_str() {
                        "address" | "start" => Some(self.moved(number)),
                        "end" => Some(self.moved(number - 1) + 1),
                        _ => None,
                    });
                    let value = number.map_or_else(|| self.shift(value), |a| json!(format!("{a:#x}")));
                    (key.clone(), value)
                });
                Value::Object(shifted.collect::<Map<_, _>>())
            }
            Value::Array(items) => items.iter().map(|item| self.shift(item)).collect(),
            other => other.clone(),
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
