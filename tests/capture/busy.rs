//! A process that makes and forgets code while it is read: what a map says is true, and what stays is in it.

use std::process::Command;

use crate::session::{Session, assemble, compile, number, warned};

#[test]
fn code_comes_and_goes_while_it_is_read() -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let folder = folder.path();
    let source = ".globl code_0000\n.type code_0000, @function\ncode_0000:\nmov $3, %eax\nret\n\
        .size code_0000, . - code_0000\n.section .note.GNU-stack, \"\", @progbits\n";
    let object = assemble(folder, "code", source)?;
    let session = Session::start(Command::new(compile(folder, "busy.c", &["-pthread"])?).arg(object))?;
    let base = session.known.first().ok_or("base")?.1;
    let pid = session.pid.to_string();
    for _ in 0..40 {
        let (map, said) = warned(&["--pid", &pid], &folder.join("map.json"))?;
        assert!(
            said.is_empty() || said.contains("changes while it is read") && said.lines().count() == 1,
            "{said}"
        );
        let symbols = map["symbols"].as_array().into_iter().flatten();
        let made: Vec<(&str, u64)> = symbols
            .filter_map(|symbol| Some((symbol["name"].as_str()?, number(&symbol["address"]))))
            .filter(|(name, address)| name.starts_with("code_") || (base..base + (1 << 16)).contains(address))
            .collect();
        for (name, address) in &made {
            let of = name.strip_prefix("code_").and_then(|digits| digits.parse::<u64>().ok());
            assert_eq!(of.map(|of| base + 16 * of), Some(*address), "{name}");
        }
        for stays in ["code_0000", "code_0001", "code_0002"] {
            assert!(made.iter().any(|(name, _)| *name == stays), "{stays}: {made:?}");
        }
    }
    Ok(())
}
