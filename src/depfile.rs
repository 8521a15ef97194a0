//! The dependency file: which files the output was made from, in the form that make and ninja read.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use relocfix::{Error, ErrorKind, Result};

/// The rule `target: prerequisites`, one a line, none twice.
///
/// # Errors
/// A name with a line break, which no such file can express.
pub(crate) fn rule<'p>(
    target: &Path,
    prerequisites: impl IntoIterator<Item = &'p PathBuf>,
) -> Result<Vec<u8>> {
    let mut rule = escaped(target)?;
    rule.push(b':');
    let mut seen = BTreeSet::new();
    for path in prerequisites {
        if seen.insert(path) {
            rule.extend_from_slice(b" \\\n  ");
            rule.extend_from_slice(&escaped(path)?);
        }
    }
    rule.push(b'\n');
    Ok(rule)
}

/// A name as GCC's `-MD` writes it: make takes a backslash before white space, `#` and `:` for an escape, and any
/// backslashes before that for pairs; `$` is doubled.
fn escaped(path: &Path) -> Result<Vec<u8>> {
    let mut name = Vec::new();
    let mut backslashes = 0;
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'#' | b':' => name.extend(std::iter::repeat_n(b'\\', backslashes + 1)),
            b'$' => name.push(b'$'),
            b'\n' | b'\r' => {
                let message = "has a line break in its name: a dependency file cannot name it";
                return Err(Error::new(ErrorKind::Io, path.display().to_string(), message));
            }
            _ => {}
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
        name.push(byte);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(target: &str, prerequisites: &[&str]) -> String {
        let paths: Vec<_> = prerequisites.iter().map(PathBuf::from).collect();
        String::from_utf8(rule(Path::new(target), &paths).unwrap()).unwrap()
    }

    #[test]
    fn one_name_a_line_none_twice() {
        let expected = "out.o: \\\n  in.o \\\n  map.json\n";
        assert_eq!(text("out.o", &["in.o", "map.json", "in.o"]), expected);
    }

    #[test]
    fn special_characters() {
        let expected = "a\\ b: \\\n  c\\#d \\\n  e$$f \\\n  g\\h \\\n  i\\\\\\ j \\\n  k\\:l\n";
        assert_eq!(text("a b", &["c#d", "e$f", "g\\h", "i\\ j", "k:l"]), expected);
    }

    #[test]
    fn a_line_break_is_refused() {
        let error = rule(Path::new("out.o"), &[PathBuf::from("a\nb")]).unwrap_err();
        assert!(error.to_string().contains("line break"));
    }
}
