//! The system's own C library, asked in a new process of this program which implementations it chooses. The one file,
//! besides the memory maps, with unsafe code: only the dynamic linker can be asked, and its functions are C's.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::process::{Command, Stdio};

use libloading::os::unix::{Library, Symbol};
use relocfix::capture::{self, ASKED, Answer, Position, Process, Question, SystemLibraries};
use relocfix::{Error, ErrorKind, Result};

use crate::live_process::LiveProcess;

/// The hidden command that answers.
pub(crate) const COMMAND: &str = "answer-for-library";

/// glibc's description of a feature leaf (`sys/platform/x86.h`): what the processor says, and what of it is in use.
const LEAF: u64 = 32;
const LEAF_ACTIVE: u64 = 16;
/// Around the leaves (`struct cpu_features`): the processor's kind, family, model and stepping before them, and
/// after them what is preferred. Not part of an interface: where a glibc has something else there, it only has to be
/// the same.
const BEFORE: u64 = 20;
const AFTER: u64 = 8;
/// More leaves than any version has.
const MOST_LEAVES: u32 = 64;

/// This system's libraries.
#[derive(Debug)]
pub(crate) struct System;

impl SystemLibraries for System {
    fn ask(&self, question: &Question<'_>) -> std::result::Result<Answer, String> {
        let text =
            ask(question).map_err(|error| format!("this system's library cannot be asked: {error}"))?;
        parse(&text).ok_or_else(|| format!("this system's library cannot be asked: it answers {text:?}"))
    }
}

fn ask(question: &Question<'_>) -> io::Result<String> {
    let mut command = Command::new("/proc/self/exe");
    // Nothing of this process's environment shall decide which library is loaded, or what it chooses.
    command.env_clear().arg(COMMAND).arg(question.library);
    command.envs(question.tunables.map(|tunables| ("GLIBC_TUNABLES", tunables)));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut names) = child.stdin.take() {
        // What it does not read it has no answer to.
        let _ = names.write_all(question.names.join("\n").as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Lines of `function NAME BUILD-ID OFFSET` and `state BYTES BUILD-ID OFFSET`, numbers in hexadecimal.
fn parse(text: &str) -> Option<Answer> {
    let mut answer = Answer::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [kind, what, build_id, offset] = fields[..] else {
            return None;
        };
        let offset = u64::from_str_radix(offset, 16).ok()?;
        let position = Position { build_id: build_id.to_owned(), offset };
        match kind {
            "function" => answer.functions.push((what.to_owned(), position)),
            "state" => answer.state.push((position, bytes(what)?)),
            _ => return None,
        }
    }
    Some(answer)
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// What the process that was asked does: names come from standard input, the answer goes to standard output.
///
/// # Errors
/// It is not a library that may be asked, or cannot be loaded.
pub(crate) fn answer(library: &str) -> Result<String> {
    let failed = |message: String| Error::new(ErrorKind::Io, library, message);
    if !ASKED.contains(&library) {
        return Err(failed("is not a library that is asked".to_owned()));
    }
    let mut names = String::new();
    let read = io::stdin().lock().take(1 << 20).read_to_string(&mut names);
    read.map_err(|error| failed(error.to_string()))?;
    let loaded = load(library).map_err(|error| failed(error.to_string()))?;

    let process = LiveProcess::open(std::process::id())?;
    let mappings = capture::mappings(&process)?;
    let position = |address: u64| {
        let mapping = mappings.iter().find(|mapping| mapping.range.contains(&address))?;
        let of_image = mappings.iter().filter(|m| m.path == mapping.path && m.build_id.is_some());
        let start = of_image.map(|m| m.range.start).min()?;
        Some(Position { build_id: mapping.build_id.clone()?, offset: address - start })
    };
    let mut text = String::new();
    for name in names.lines() {
        if let Some(at) = address_of(&loaded, name).and_then(&position) {
            let _ = writeln!(text, "function {name} {} {:x}", at.build_id, at.offset);
        }
    }
    for (address, length) in state(&feature_leaves(&loaded)) {
        let mut bytes = vec![0; length as usize];
        let read = process.read(address, &mut bytes).is_ok();
        if let Some(at) = position(address).filter(|_| read) {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let _ = writeln!(text, "state {digits} {} {:x}", at.build_id, at.offset);
        }
    }
    Ok(text)
}

/// Addresses and lengths of what the choice depends on. What else the processor says, such as which of its cores it
/// is, differs from one call to the next.
fn state(leaves: &[u64]) -> Vec<(u64, u64)> {
    let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else {
        return Vec::new();
    };
    let around = [(first - BEFORE, BEFORE), (last + LEAF, AFTER)];
    let active = leaves.iter().map(|leaf| (leaf + LEAF_ACTIVE, LEAF - LEAF_ACTIVE));
    around.into_iter().chain(active).collect()
}

#[allow(unsafe_code)]
fn load(library: &str) -> std::result::Result<Library, libloading::Error> {
    // SAFETY: runs the initializers of the C library of the system, or of its libm. This program runs with that C
    // library already; and any program does that calls `sin`. What finds another file under these names is the
    // system's configuration, which found this program's own: the environment is empty.
    unsafe { Library::new(library) }
}

#[allow(unsafe_code)]
fn address_of(library: &Library, name: &str) -> Option<u64> {
    // SAFETY: the address is taken as a number and nothing at it is read, written or called; for an indirect
    // function the dynamic linker calls its resolver, as it does whenever a program uses the function.
    let symbol: Symbol<*const u8> = unsafe { library.get(name) }.ok()?;
    Some(symbol.as_raw_ptr() as u64)
}

/// The addresses of glibc's feature leaves: they lie one behind the other. Empty if it has no such function.
#[allow(unsafe_code)]
fn feature_leaves(library: &Library) -> Vec<u64> {
    type Leaf = unsafe extern "C" fn(u32) -> *const u8;
    // SAFETY: the type is that of glibc's function (`const struct cpuid_feature *__x86_get_cpuid_feature_leaf
    // (unsigned int)`, sys/platform/x86.h, since 2.33): no other function may have this reserved name.
    let Ok(leaf) = (unsafe { library.get::<Leaf>("__x86_get_cpuid_feature_leaf") }) else {
        return Vec::new();
    };
    let mut leaves: Vec<u64> = Vec::new();
    for number in 0..MOST_LEAVES {
        // SAFETY: it takes any number, and answers those that it does not know with a constant leaf of zeros; the
        // pointer is only taken as a number.
        let address = unsafe { leaf(number) } as u64;
        if leaves.last().is_some_and(|last| last + LEAF != address) {
            break;
        }
        leaves.push(address);
    }
    leaves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_answer() {
        assert!(parse("").is_some_and(|answer| answer.functions.is_empty()));
        let answer = parse("function cos ab 1f\nstate 0aff cd 20\n").unwrap();
        assert_eq!(answer.functions, [("cos".to_owned(), Position { build_id: "ab".into(), offset: 0x1f })]);
        assert_eq!(answer.state, [(Position { build_id: "cd".into(), offset: 0x20 }, vec![10, 255])]);
        for text in
            ["function cos ab", "function cos ab xyz", "state 0 cd 20", "state zz cd 20", "hello a b 1", "\n"]
        {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_strangers_library_is_not_loaded() {
        assert!(
            answer("libstranger.so.6").unwrap_err().to_string().contains("is not a library that is asked")
        );
    }
}
