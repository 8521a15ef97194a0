//! What a linker's command line must add for the libraries that an output refers to: each by the name of its file, and
//! the folder of each that the linker and the dynamic linker would not look in by themselves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whether linkers and the dynamic linker look there without being told to (ld.so(8); Debian's multiarch folders are
/// below these).
fn is_default(folder: &str) -> bool {
    let folder = folder.strip_prefix("/usr").unwrap_or(folder);
    let multiarch = |below: &str| below.ends_with("-linux-gnu") && !below.contains('/');
    ["/lib", "/lib64"].contains(&folder) || folder.strip_prefix("/lib/").is_some_and(multiarch)
}

/// Arguments for a compiler that links, on one line, quoted for a shell. `path_of` says where the session had a
/// library; no symbol refers to those that are `anchored`, so they must be linked without being asked whether they
/// are needed.
pub(crate) fn line(
    libraries: &[&String],
    anchored: &BTreeSet<String>,
    path_of: impl Fn(&str) -> Option<PathBuf>,
) -> String {
    let mut arguments: Vec<String> = Vec::new();
    let mut folders = BTreeSet::new();
    for library in libraries {
        let path = path_of(library);
        let folder = path.as_deref().and_then(Path::parent).map(|folder| folder.display().to_string());
        if let Some(folder) = folder.filter(|folder| !is_default(folder))
            && folders.insert(folder.clone())
        {
            arguments.push(format!("-L{folder}"));
            // A comma would end the argument of `-Wl`.
            if folder.contains(',') {
                arguments.extend(["-Xlinker", "-rpath", "-Xlinker", &folder].map(str::to_owned));
            } else {
                arguments.push(format!("-Wl,-rpath,{folder}"));
            }
        }
        let name = path.as_deref().and_then(Path::file_name).map(|name| name.display().to_string());
        let name = format!("-l:{}", name.as_deref().unwrap_or(library));
        if anchored.contains(*library) {
            arguments.extend([
                "-Wl,--push-state,--no-as-needed".to_owned(),
                name,
                "-Wl,--pop-state".to_owned(),
            ]);
        } else {
            arguments.push(name);
        }
    }
    let quoted: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    quoted.join(" ")
}

/// A word of a POSIX shell (XCU 2.2.2).
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+:,./@%".contains(c);
    match word.chars().all(plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(libraries: &[(&str, Option<&str>)], anchored: &[&str]) -> String {
        let names: Vec<String> = libraries.iter().map(|(name, _)| (*name).to_owned()).collect();
        let anchored = anchored.iter().map(|name| (*name).to_owned()).collect();
        let path_of = |name: &str| libraries.iter().find(|(n, _)| *n == name)?.1.map(PathBuf::from);
        line(&names.iter().collect::<Vec<_>>(), &anchored, path_of)
    }

    #[test]
    fn folders_are_named_once_and_only_where_they_must_be() {
        assert_eq!(args(&[], &[]), "");
        for folder in
            ["/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib/any-linux-gnu", "/usr/lib/any-linux-gnu"]
        {
            let path = format!("{folder}/libm.so.6");
            assert_eq!(args(&[("libm.so.6", Some(&path))], &[]), "-l:libm.so.6");
        }
        for folder in ["/usr", "/opt/lib", "/usr/lib/any", "/usr/lib/a/any-linux-gnu", "/usr/local/lib"] {
            let path = format!("{folder}/x.so");
            let expected = format!("-L{folder} -Wl,-rpath,{folder} -l:x.so");
            assert_eq!(args(&[("x.so", Some(&path))], &[]), expected);
        }
        assert_eq!(args(&[("libx.so", None)], &[]), "-l:libx.so");
        let private = [("a.so.1", Some("/opt/x/a.so.1.2")), ("b.so", Some("/opt/x/b.so"))];
        assert_eq!(args(&private, &[]), "-L/opt/x -Wl,-rpath,/opt/x -l:a.so.1.2 -l:b.so");
        let expected = "-Wl,--push-state,--no-as-needed -l:libm.so.6 -Wl,--pop-state";
        assert_eq!(args(&[("libm.so.6", Some("/lib/libm.so.6"))], &["libm.so.6"]), expected);
    }

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let expected = r"'-L/a b' '-Wl,-rpath,/a b' '-l:it'\''s $x.so'";
        assert_eq!(args(&[("x", Some("/a b/it's $x.so"))], &[]), expected);
        let expected = "-L/a,b -Xlinker -rpath -Xlinker /a,b -l:x.so";
        assert_eq!(args(&[("x.so", Some("/a,b/x.so"))], &[]), expected);
    }
}
