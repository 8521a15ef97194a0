//! The text of `/proc/PID/maps` (proc_pid_maps(5)): one line for each range of a process's memory.

use super::Mapping;

/// Reads the text; each mapping with the number of its line, from 1.
///
/// # Errors
/// The number of the first line that is none of that format, and what is wrong there.
pub(super) fn read(text: &[u8]) -> Result<Vec<(usize, Mapping)>, String> {
    let mut mappings = Vec::new();
    for (number, line) in text.split(|&b| b == b'\n').enumerate() {
        let number = number + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let mapping = mapping(&line).ok_or_else(|| {
            format!(
                "line {number}: expected a line of /proc/PID/maps \
                 (`7f3a10000000-7f3a10195000 r-xp 00028000 08:01 1234  /lib/libc.so.6`), found `{}`",
                super::excerpt(&line)
            )
        })?;
        mappings.push((number, mapping));
    }
    match mappings.is_empty() {
        true => Err("there is no mapping in it: expected a copy of /proc/PID/maps".into()),
        false => Ok(mappings),
    }
}

fn mapping(line: &str) -> Option<Mapping> {
    // The path is the rest of the line and may contain spaces, so the five fields before it are taken one by one.
    let (mut rest, mut fields) = (line, [""; 5]);
    for field in &mut fields {
        rest = rest.trim_start_matches(' ');
        let end = rest.find(' ').unwrap_or(rest.len());
        (*field, rest) = rest.split_at(end);
    }
    let [range, perms, offset, device, inode] = fields;
    let (start, end) = range.split_once('-')?;
    let (major, minor) = device.split_once(':')?;
    (hexadecimal(major).is_some() && hexadecimal(minor).is_some()).then_some(())?;
    inode.parse::<u64>().ok()?;
    super::is_perms(perms).then_some(())?;
    let path = rest.trim_start_matches(' ');
    Some(Mapping {
        range: hexadecimal(start)?..hexadecimal(end)?,
        offset: hexadecimal(offset)?,
        perms: Some(perms.to_owned()),
        // The kernel escapes line ends and nothing else.
        path: (!path.is_empty()).then(|| path.replace("\\012", "\n")),
        build_id: None,
    })
}

/// Hexadecimal digits only: `from_str_radix` alone would take a sign.
pub(super) fn hexadecimal(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    all.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_line() {
        let text = b"55d0-55e0 r--p 00000000 fe:00 247030                     /usr/bin/with two  spaces\n\
            7f9d0082d000-7f9d0084f000 rw-p 00000000 00:00 0 \n\
            7f9d00850000-7f9d00851000 rw-s 0000a000 00:01 18446744073709551615  /memfd:x (deleted)\n\
            7ffe3e7bf000-7ffe3e7e0000 rw-p 00000000 00:00 0                          [stack]\n\
            ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
        let read = read(text).unwrap();
        let shown: Vec<_> =
            read.iter().map(|(n, m)| (*n, m.range.start, m.offset, m.path.as_deref())).collect();
        assert_eq!(
            shown,
            [
                (1, 0x55d0, 0, Some("/usr/bin/with two  spaces")),
                (2, 0x7f9d0082d000, 0, None),
                (3, 0x7f9d00850000, 0xa000, Some("/memfd:x (deleted)")),
                (4, 0x7ffe3e7bf000, 0, Some("[stack]")),
                (5, 0xffffffffff600000, 0, Some("[vsyscall]")),
            ]
        );
        assert_eq!(read[4].1.perms.as_deref(), Some("--xp"));
        assert_eq!(read[4].1.range.end, 0xffffffffff601000);
    }

    #[test]
    fn other_text_is_refused_with_its_line() {
        let good = "7f9d0082d000-7f9d0084f000 rw-p 00000000 00:00 0\n";
        for bad in [
            "7f9d0082d000 rw-p 00000000 00:00 0",
            "7f9d0082d000-7f9d0084f000",
            "7f9d0082d000-7f9d0084f000 rw-p",
            "7f9d0082d000-7f9d0084f000 rwxq 00000000 00:00 0",
            "7f9d0082d000-7f9d0084f000 rw-p xyz 00:00 0",
            "7f9d0082d000-7f9d0084f000 rw-p 00000000 0000 0",
            "7f9d0082d000-7f9d0084f000 rw-p 00000000 00:00 inode",
            "7f9d0082d000-17f9d0084f0007f9d0082d rw-p 00000000 00:00 0",
            "+f9d0082d000-7f9d0084f000 rw-p 00000000 00:00 0",
            "0000000000001139 T main",
            "\u{0}\u{1}",
        ] {
            let error = read(format!("{good}\n{bad}\n{good}").as_bytes()).unwrap_err();
            assert!(error.starts_with("line 3: "), "{bad}: {error}");
        }
        assert!(read(b"").unwrap_err().contains("no mapping"));
        assert!(read(b"\xff\xfe").unwrap_err().starts_with("line 1: "));
    }
}
