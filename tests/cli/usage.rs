//! What may be written on the command line, and what is said when it is wrong.

use crate::Folder;

#[test]
fn help_names_every_option_on_one_line() {
    let folder = Folder::new();
    let help = folder.run("--help").exits(0);
    assert_eq!(help.stdout, folder.run("-h").exits(0).stdout);
    assert!(help.stderr.is_empty());
    let help = help.stdout();
    let options = help.split("Options:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let options: Vec<_> = options.lines().map(str::trim_start).collect();
    let expected = [
        "-o, --output <FILE> ",
        "--unresolved <error|keep> ",
        "--depfile <FILE> ",
        "--print-link-args ",
        "-s, --session-map <FILE> ",
        "--maps <FILE> ",
        "--symbols <FILE> ",
        "--witness <FILE> ",
        "--witness-session-map <FILE> ",
        "--allow-weak-witness ",
        "--ignore <SECTION[+OFF[..END]]> ",
        "--relocation-model <pic|static> ",
        "--private <error|anchor> ",
        "--infer <julia> ",
        "--init-symbol <NAME> ",
        "--report <FILE> ",
        "-j, --threads <N> ",
        "-q, --quiet ",
        "-v, --verbose ",
        "--color <auto|always|never> ",
        "-h, --help ",
        "-V, --version ",
    ];
    assert_eq!(
        options.len(),
        expected.len(),
        "an option takes more than a line, or is not in this list:\n{help}"
    );
    for (option, expected) in options.iter().zip(expected) {
        assert!(option.starts_with(expected), "`{option}` is not `{expected}`");
    }
    assert!(help.contains("Examples:") && help.contains("Exit status:") && help.contains("check IN.o"));
    let check = folder.run("check --help").exits(0);
    assert!(check.stdout().contains("--report") && check.stdout().contains("Exit status:"));
    assert!(!check.stdout().contains("--output"));
    let capture = folder.run("capture --help").exits(0);
    assert!(capture.stdout().contains("--pid <PID>") && capture.stdout().contains("Exit status:"));
    // What it runs in a process of its own is for nobody else.
    assert!(!help.contains("answer-for-library"));
}

#[test]
fn version() {
    let folder = Folder::new();
    let expected = concat!("relocfix ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(folder.run("-V").exits(0).stdout(), expected);
    assert_eq!(folder.run("--version").exits(0).stdout(), expected);
}

#[test]
fn wrong_usage_exits_2() {
    let folder = Folder::new();
    folder.run("").fails(2, "--output <FILE>");
    folder.run("in.o").fails(2, "--output <FILE>");
    folder.run("in.o -o out.o -j 0").fails(2, "--threads");
    folder.run("in.o -o - --report -").fails(2, "standard output");
    folder.run("in.o -o - --print-link-args").fails(2, "standard output");
    folder.run("in.o -o out.o --report - --print-link-args").fails(2, "standard output");
    folder.run("in.o -o out.o -q -v").fails(2, "--quiet");
    folder.run("in.o -o out.o --relocation-model dynamic").fails(2, "dynamic");
    folder.run("in.o -o out.o --no-such-option").fails(2, "--no-such-option");
    folder.run("check").fails(2, "IN.o");
    folder.run("capture -o map.json").fails(2, "--pid <PID>");
    folder.run("capture --pid 1").fails(2, "--output <FILE>");
    folder.run("capture --pid 0 -o map.json").fails(2, "--pid");
    folder.run("capture --pid self -o map.json").fails(2, "--pid");
    assert!(folder.names().is_empty());
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new();
    let run = folder.run("in.o -o out.o").exits(2);
    assert_eq!(run.stderr, "relocfix: error: in.o: cannot be read: No such file or directory\n");
    folder.run("check .").fails(2, ".: cannot be read: Is a directory");
    // Such names are files anywhere but in first position.
    folder.run("./check -o out.o").fails(2, "./check: cannot be read");
    folder.run("-o out.o check").fails(2, "check: cannot be read");
    assert!(folder.names().is_empty());
}

#[test]
fn what_is_not_an_object_is_trouble_and_not_a_finding() {
    let folder = Folder::new();
    folder.write("in.o", "int main(void) { return 0; }\n");
    folder.write("empty.o", "");
    folder.run("in.o -o out.o").fails(2, "in.o: ");
    folder.run("check in.o").fails(2, "in.o: ");
    folder.run("empty.o -o out.o").fails(2, "empty.o: ");
    folder.run_with_stdin("- -o out.o", b"int main").fails(2, "<stdin>: ");
    assert_eq!(folder.names(), ["empty.o", "in.o"]);
}
