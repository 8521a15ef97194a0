//! README's commands do what README says: every line after a `$` is run, in order, and prints what stands below it.
//! Its table of formats and machines is held against the program.

use std::fs;
use std::path::Path;
use std::process::Command;

use relocfix::ErrorKind;
use relocfix::format::Format;

mod support;

use support::toolchain;

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("README.md is part of the project")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The commands of all `console` blocks, each with the output that stands below it.
fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => {
                    output.push_str(line);
                    output.push('\n');
                }
                (None, None) => panic!("output without a command: {line}"),
            }
        }
    }
    commands
}

#[test]
fn commands_print_what_stands_below_them() {
    let commands = commands(&readme());
    assert!(commands.len() >= 6, "{commands:?}");
    let python = root().join("target/test-venv/bin/python").is_file();
    if !python {
        toolchain::missing("a Python with Numba (target/test-venv)");
    }
    for (command, expected) in commands {
        if command.contains("tests/numba") && !python {
            continue;
        }
        let run = Command::new("sh").args(["-c", &command]).current_dir(root()).output().expect("a shell");
        let printed = String::from_utf8_lossy(&run.stdout);
        let complaint = String::from_utf8_lossy(&run.stderr);
        assert_eq!(printed.trim_end(), expected.trim_end(), "$ {command}\n{complaint}");
        // What `check` finds is its exit status.
        let status = if command.contains(" check ") { 1 } else { 0 };
        assert_eq!(run.status.code(), Some(status), "$ {command}\n{complaint}");
    }
    for made in ["demo-fixed.o", "demo"] {
        fs::remove_file(root().join(made)).expect("README's commands made it");
    }
    if python {
        fs::remove_dir_all(root().join("saved")).expect("README's commands made it");
    }
}

#[test]
fn the_test_command_is_there() {
    assert!(readme().contains("\n    tests/run.sh\n"));
    assert!(root().join("tests/run.sh").is_file());
}

/// The first bytes of an empty relocatable object.
fn object(format: &str, machine: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    let number = |elf: u16, macho: u32, coff: u16| match format {
        "ELF" => u32::from(elf),
        "Mach-O" => macho,
        _ => u32::from(coff),
    };
    let machine = match machine {
        "x86_64" => number(62, 0x0100_0007, 0x8664),
        "aarch64" => number(183, 0x0100_000c, 0xaa64),
        _ => number(243, 0, 0x5064),
    };
    match format {
        "ELF" => {
            bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
            // e_type, e_machine, e_version, e_ehsize
            bytes[16..18].copy_from_slice(&1u16.to_le_bytes());
            bytes[18..20].copy_from_slice(&(machine as u16).to_le_bytes());
            bytes[20..24].copy_from_slice(&1u32.to_le_bytes());
            bytes[52..54].copy_from_slice(&64u16.to_le_bytes());
        }
        "Mach-O" => {
            bytes[..4].copy_from_slice(&0xfeed_facf_u32.to_le_bytes());
            bytes[4..8].copy_from_slice(&machine.to_le_bytes());
            bytes[12..16].copy_from_slice(&1u32.to_le_bytes());
        }
        _ => bytes[..2].copy_from_slice(&(machine as u16).to_le_bytes()),
    }
    bytes
}

#[test]
fn the_table_of_formats_and_machines_is_true() {
    let readme = readme();
    let mut rows = readme.lines().skip_while(|line| !line.starts_with("| format |")).map(|line| {
        line.trim_matches('|').split('|').map(str::trim).map(str::to_owned).collect::<Vec<String>>()
    });
    let machines = rows.next().expect("the table's head");
    assert_eq!(machines[1..], ["x86_64", "aarch64", "riscv64"]);
    for row in rows.skip(1).take(3) {
        for (machine, cell) in machines.iter().zip(&row).skip(1) {
            let bytes = object(&row[0], machine);
            let works = match Format::identify("table.o", &bytes) {
                Ok(_) => true,
                Err(error) => {
                    // Not a mistake of this test: the file is known for what it is.
                    assert_eq!(error.kind(), ErrorKind::UnsupportedObject, "{} {machine}", row[0]);
                    false
                }
            };
            assert_eq!(cell == "yes", works, "{} {machine}", row[0]);
        }
    }
}
