//! Initializers that wait until a runtime is ready, and values that several objects of a link share: objects for a
//! runtime that the driver plays, linked by every linker in every mode.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod support;

use support::command::{run, succeed};
use support::matrix::{Language, Matrix, Mode};
use support::relocfix;
use support::toolchain::{Linker, Linkers};
use support::workshop::Workshop;

const MAPPINGS: &str = r#""relocfix": 1, "machine": "x86_64",
  "mappings": [{"start": "0x7f1234000000", "end": "0x7f1235000000", "perms": "rwxp"}]"#;

/// What the session had: something that each object makes, a cell that all share, and a block that points to it.
const VALUES: &str = r#""values": [
  {"name": "made", "address": "0x7f1234570000", "init": {"call": "make", "args": []}},
  {"name": "cell", "address": "0x7f1234580000", "shared": true,
   "init": {"add": [{"call": "make_cell", "args": [{"int": 5}]}, 8]}},
  {"name": "block", "address": "0x7f1234590000", "shared": true,
   "init": {"bytes": "AAAAAAAAAAAHAAAAAAAAAAAAAAAAAAAA", "writable": true,
            "words": [{"offset": 0, "value": {"value": "cell"}}, {"offset": 16, "value": {"symbol": "up"}}]}},
  {"name": "text", "address": "0x7f12345a0000", "shared": true, "init": {"string": "shared text"}}]"#;

const READY: &str = r#""ready": [{"call": "is_up", "returns": "int32"}, {"load": {"load": {"load": {"symbol": "thread"}}}}],
  "before": [{"init": {"call": "trace", "args": [{"int": 10}], "nullable": true}},
             {"name": "gc", "init": {"call": "switch", "args": [{"int": 0}], "returns": "int32"}},
             {"name": "other", "init": {"call": "trace", "args": [{"int": 11}], "returns": "void"}}],
  "after": [{"call": "switch", "args": [{"value": "gc"}], "returns": "int32"},
            {"call": "trace", "args": [{"value": "other"}], "nullable": true}]"#;

fn map(parts: &[&str]) -> String {
    format!("{{{}}}", [&[MAPPINGS], parts].concat().join(",\n"))
}

/// What all drivers begin with: the runtime.
const RUNTIME: &str = r#"
#include <stdio.h>
#include <string.h>
int relocfix_init(void);
int up;
static long adopted[2], *self;
long **thread = &self;
int is_up(void) { return up; }
static int traced[64], traces, enabled = 1;
void *trace(long what) { traced[traces++] = what; return 0; }
int switch_(int) __asm__("switch");
int switch_(int to) { int was = enabled; trace(enabled = to); return was; }
static void start(void) { up = 1; self = adopted; adopted[0] = 1; }
static long things[64];
static int made, cells, within = -1;
long *make(void) { things[made] = enabled; within = relocfix_init(); return &things[made++]; }
long *make_cell(long value) { cells++; things[33] = value; return &things[32]; }
static void show(void) { for (int i = 0; i < traces; i++) printf("%d ", traced[i]); puts(""); }
"#;

/// Functions that return what the session's addresses meant; their names end with `suffix`.
fn functions(suffix: &str) -> String {
    let function = |(name, address): (&str, &str)| {
        let name = format!("{name}_{suffix}");
        format!(
            ".globl {name}\n.type {name}, @function\n{name}: movabs ${address}, %rax\nret\n.size {name}, . - {name}\n"
        )
    };
    let addresses = [
        ("made", "0x7f1234570000"),
        ("cell", "0x7f1234580000"),
        ("block", "0x7f1234590000"),
        ("text", "0x7f12345a0000"),
    ];
    addresses.into_iter().map(function).collect()
}

/// The same in a COMDAT group.
fn group(name: &str, answer: &str) -> String {
    format!(
        ".section .text.{name}, \"axG\", @progbits, {name}, comdat\n.weak {name}\n.type {name}, @function\n\
         {name}: {answer}\nret\n.size {name}, . - {name}\n.text\n"
    )
}

const DECLARED: &str = "long *made_a(void), *made_b(void), *cell_a(void), *cell_b(void), **block_a(void), **block_b(void);\n\
                        char *text_a(void), *text_b(void);\n";

/// Early, late, twice, with a thread that the runtime does not know, and from within a fill.
const STORY: &str = r#"
int main(void) {
    printf("%d", relocfix_init());
    up = 1;
    printf(" %d", relocfix_init());
    self = adopted;
    printf(" %d", relocfix_init());
    printf(" %d %d\n", made, made_a() || cell_b() || *block_a());
    adopted[0] = 1;
    printf("%d", relocfix_init());
    printf(" %d %d %d %d\n", relocfix_init(), made, cells, enabled);
    show();
    printf("%d %ld %ld %d\n", made_a() != made_b(), *made_a(), *made_b(), within > 0);
    *cell_a() = 77;
    printf("%ld %d %d %d %ld\n", *cell_b(), block_a() == block_b(), block_a()[0] == cell_b(), (int)(long)block_b()[1], things[33]);
    printf("%d %s %d\n", block_a()[2] == (void *)&up, text_a(), text_a() == text_b());
}
"#;

const TOLD: &str = "2 2 2 0 0\n0 0 2 1 1\n10 0 11 1 0 10 0 11 1 0 \n1 0 0 1\n77 1 1 7 77\n1 shared text 1\n";

#[test]
fn two_objects_wait_for_the_runtime() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES, READY]))?;
    let (a, b) = (workshop.fixed("a", &functions("a"))?, workshop.fixed("b", &functions("b"))?);
    relocfix::assert_stable::<&str>(&a, Some(&workshop.map()), &[])?;
    relocfix::assert_stable::<&str>(&a, None, &[])?;
    let driver = format!("{RUNTIME}{DECLARED}{STORY}");
    Matrix::new(&[&a, &b]).driver(&driver).expect_stdout(TOLD).run()?;
    for &linker in &Linkers::get()?.found {
        let merged = workshop.merge(linker, "merged", &[&a, &b])?;
        relocfix::assert_stable::<&str>(&merged, Some(&workshop.map()), &[])?;
        Matrix::new(&[merged]).driver(&driver).expect_stdout(TOLD).run()?;
    }
    Ok(())
}

/// What an object that `ld -r` has merged with a fixed one needs goes through the function that is there already.
#[test]
fn an_unfixed_object_joins_a_fixed_one() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES, READY]))?;
    let (a, raw) = (workshop.fixed("a", &functions("a"))?, workshop.assemble("b", &functions("b"))?);
    let driver = format!("{RUNTIME}{DECLARED}{STORY}");
    for &linker in &Linkers::get()?.found {
        let merged = workshop.merge(linker, "merged", &[&a, &raw])?;
        let both = workshop.fix(&merged, &[])?;
        relocfix::assert_stable::<&str>(&both, None, &[])?;
        Matrix::new(&[both]).driver(&driver).expect_stdout(TOLD).run()?;
    }
    Ok(())
}

/// The same session map for two equal objects, which are one more object for the count.
#[test]
fn equal_objects_are_filled_each() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES, READY]))?;
    let a = workshop.fixed("a", &functions("a").replace(".globl", ".weak"))?;
    let other = workshop.path("other.o");
    fs::copy(&a, &other).map_err(|error| error.to_string())?;
    let driver = format!(
        "{RUNTIME}{DECLARED}int main(void) {{ printf(\"%d\", relocfix_init()); start();\n\
         printf(\" %d\", relocfix_init()); printf(\" %d %d %ld\\n\", made, cells, *cell_a()); }}"
    );
    Matrix::new(&[a, other]).driver(&driver).expect_stdout("2 0 2 1 5\n").run()
}

/// Without `ready` a map fills when the object is loaded, and what is shared is still made once.
#[test]
fn with_and_without_a_runtime_to_wait_for() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES, READY]))?;
    let a = workshop.fixed("a", &functions("a"))?;
    fs::write(workshop.map(), map(&[VALUES])).map_err(|error| error.to_string())?;
    let b = workshop.fixed("b", &functions("b"))?;
    let c = workshop.fixed("c", &functions("c"))?;
    let driver = format!(
        "{RUNTIME}{DECLARED}long *made_c(void);\n\
         int main(void) {{ printf(\"%d %d %ld %d\", made, cells, *cell_b(), made_b() && made_c() && !made_a());\n\
         *cell_b() = 6; start(); printf(\" %d\", relocfix_init());\n\
         printf(\" %d %d %ld\\n\", made, cells, *cell_a()); }}"
    );
    Matrix::new(&[a, b, c]).driver(&driver).expect_stdout("2 1 5 1 0 3 1 6\n").run()
}

#[test]
fn groups_go_whole_and_are_not_counted_twice() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES, READY]))?;
    let answer = "movabs $0x7f1234570000, %rax";
    let fixed = workshop.fixed("fixed", &group("once", answer))?;
    let mixed = workshop.fixed("mixed", &format!("{}{}", functions("a"), group("once", answer)))?;
    let plain = workshop.assemble("plain", &group("once", "lea up(%rip), %rax"))?;
    let driver = format!(
        "{RUNTIME}{DECLARED}long *once(void);\n\
         int main(void) {{ printf(\"%d\", relocfix_init()); start();\n\
         printf(\" %d %d\", relocfix_init(), relocfix_init());\n\
         printf(\" %d %d\\n\", made, once() == (long *)&up); }}"
    )
    .replace("int up;", "extern int up;");
    let driver = format!("__attribute__((visibility(\"hidden\"))) int up;\n{driver}");
    let modes = [Mode::Pie, Mode::NoPie, Mode::Static, Mode::StaticPie];
    let told = |objects: &[&PathBuf], text: &str| {
        Matrix::new(objects).modes(&modes).driver(&driver).expect_stdout(text).run()
    };
    told(&[&fixed], "1 0 0 1 0\n")?;
    told(&[&plain, &fixed], "1 0 0 0 1\n")?;
    told(&[&fixed, &mixed], "2 0 0 2 0\n")?;
    // What the function needs, too, is made by the object's own program.
    told(&[&mixed, &plain], "1 0 0 1 0\n")?;
    told(&[&plain, &mixed], "1 0 0 1 1\n")
}

/// Many threads at once: one fills, the others wait until it has.
#[test]
fn threads_wait_for_the_one_that_fills() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES, READY]))?;
    let (a, b) = (workshop.fixed("a", &functions("a"))?, workshop.fixed("b", &functions("b"))?);
    let runtime = RUNTIME.replace(
        "within = relocfix_init();",
        "for (int i = 0; i < 2000; i++) { sched_yield(); } within = relocfix_init();",
    );
    let driver = format!(
        "#include <pthread.h>\n#include <sched.h>\n{runtime}{DECLARED}\
         static pthread_barrier_t barrier;\n\
         static void *call(void *wrong) {{ pthread_barrier_wait(&barrier);\n\
         *(int *)wrong = relocfix_init() || !made_a() || !made_b() || cell_a() != cell_b(); return 0; }}\n\
         int main(void) {{ start(); pthread_t threads[8]; int wrong[8], all = 0;\n\
         pthread_barrier_init(&barrier, 0, 8);\n\
         for (int i = 0; i < 8; i++) pthread_create(&threads[i], 0, call, &wrong[i]);\n\
         for (int i = 0; i < 8; i++) {{ pthread_join(threads[i], 0); all += wrong[i]; }}\n\
         printf(\"%d %d %d %d\\n\", all, made, cells, within > 0); }}"
    );
    Matrix::new(&[a, b]).driver(&driver).libraries(&["-pthread"]).expect_stdout("0 2 1 1\n").run()
}

/// A name of one's own, which an object may itself refer to; without `ready` it is filled at load all the same.
#[test]
fn the_function_has_the_name_that_is_asked_for() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES]))?;
    let caller = ".globl again\n.type again, @function\nagain: jmp fill_all@PLT\n.size again, . - again\n";
    let source = format!("{}{caller}", functions("a"));
    let a = workshop.fix(&workshop.assemble("a", &source)?, &["--init-symbol", "fill_all"])?;
    let b = workshop.fix(&workshop.assemble("b", &functions("b"))?, &["--init-symbol", "fill_all"])?;
    let driver = format!(
        "{}{DECLARED}int fill_all(void), again(void);\n\
         int main(void) {{ printf(\"%d %d\", made, cells); printf(\" %d %d\", fill_all(), again());\n\
         printf(\" %d %ld\\n\", made, *cell_a()); }}",
        RUNTIME.replace("relocfix_init", "fill_all")
    );
    Matrix::new(&[a, b]).driver(&driver).expect_stdout("2 1 0 0 2 5\n").run()?;

    let taken = workshop.assemble("taken", &format!("{}.globl mine\nmine: ret\n", functions("a")))?;
    let output = workshop.path("taken.fixed.o");
    let mut command = relocfix::tool();
    command.arg(&taken).arg("-o").arg(&output).arg("-s").arg(workshop.map()).args(["--init-symbol", "mine"]);
    relocfix::refused(&mut command, &output, 1, &["has a symbol `mine` of its own".to_owned()])?;
    Ok(())
}

#[test]
fn what_fails_says_what_it_was_doing() -> Result<(), String> {
    let before = READY.replace(r#""args": [{"int": 10}], "nullable": true"#, r#""args": [{"int": 10}]"#);
    let cases = [
        (before, "cannot prepare the fill: trace(10) is null"),
        (
            READY.replace(
                r#""args": [{"value": "other"}], "nullable": true"#,
                r#""args": [{"value": "other"}]"#,
            ),
            "cannot finish the fill: trace(",
        ),
        (READY.to_owned(), "cannot fill cell: make_cell(5) is null"),
    ];
    for (ready, text) in cases {
        let workshop = Workshop::open(&map(&[VALUES, &ready]))?;
        let a = workshop.fixed("a", &format!(".file \"a.jl\"\n{}", functions("a")))?;
        let runtime = match text.contains("cell") {
            true => RUNTIME.replace("return &things[32];", "return 0;"),
            false => RUNTIME.to_owned(),
        };
        let driver = format!("{runtime}int main(void) {{ start(); relocfix_init(); }}");
        let texts = ["relocfix: error: a.jl: ".to_owned(), text.to_owned()];
        Matrix::new(&[a]).driver(&driver).modes(&[Mode::Pie, Mode::Shared]).expect_abort(&texts).run()?;
    }
    Ok(())
}

/// No linker loses or merges anything of it, and a library shows the function alone.
#[test]
fn linkers_that_drop_and_fold_keep_it() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES, READY]))?;
    let (a, b) = (workshop.fixed("a", &functions("a"))?, workshop.fixed("b", &functions("b"))?);
    let driver = workshop.write("driver.c", &format!("{RUNTIME}{DECLARED}{STORY}"))?;
    for &linker in &Linkers::get()?.found {
        let mut flags = vec!["-Wl,--gc-sections", "-Wl,-Bsymbolic"];
        if linker != Linker::Bfd {
            flags.push("-Wl,--icf=all");
        }
        let gcc = |arguments: &[&str], inputs: &[&Path], output: &Path| {
            let mut command = Command::new("gcc");
            command.args(Linkers::get()?.flags(linker)).args(&flags).args(arguments).arg("-o").arg(output);
            succeed(command.args(inputs)).map(drop)
        };
        let merged = workshop.merge(linker, "merged.o", &[&a, &b])?;
        let sets =
            [("both", vec![a.as_path(), &b]), ("one", vec![a.as_path()]), ("merged", vec![merged.as_path()])];
        for (name, objects) in sets {
            let library = workshop.path(&format!("lib{name}-{}.so", linker.name()));
            gcc(&["-shared"], &objects, &library)?;
            let listed = succeed(Command::new("nm").args(["-D", "--defined-only"]).arg(&library))?.text();
            let ours: Vec<&str> = listed
                .lines()
                .filter_map(|line| line.split_whitespace().last())
                .filter(|symbol| symbol.contains("relocfix"))
                .collect();
            assert_eq!(ours, ["relocfix_init"], "{} {name}: {listed}", linker.name());
            let sections = succeed(Command::new("readelf").arg("-SW").arg(&library))?.text();
            assert!(sections.contains(".eh_frame_hdr"), "{} {name}: {sections}", linker.name());
        }
        let library = workshop.path(&format!("libboth-{}.so", linker.name()));
        for inputs in [vec![driver.as_path(), &library], vec![driver.as_path(), &a, &b]] {
            let program = workshop.path("program");
            gcc(&["-O1"], &inputs, &program)?;
            assert_eq!(run(&mut Command::new(&program))?.success()?.text(), TOLD, "{}", linker.name());
        }
    }
    Ok(())
}

/// Each library has its own objects, its own shared values and its own function.
#[test]
fn two_libraries_keep_their_own() -> Result<(), String> {
    let workshop = Workshop::open(&map(&[VALUES, READY]))?;
    let (a, b) = (workshop.fixed("a", &functions("a"))?, workshop.fixed("b", &functions("b"))?);
    let source = format!(
        "#include <dlfcn.h>\n{}{DECLARED}\
         static void *of(const char *library, const char *name) {{\n\
         void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL), *symbol = handle ? dlsym(handle, name) : 0;\n\
         if (!symbol) puts(dlerror()); return symbol; }}\n\
         int main(int count, char **names) {{\n\
         int (*one)(void) = of(names[1], \"relocfix_init\"), (*two)(void) = of(names[2], \"relocfix_init\");\n\
         long *(*made)(void) = of(names[1], \"made_a\"), *(*other)(void) = of(names[2], \"made_b\");\n\
         long *(*cell)(void) = of(names[1], \"cell_a\"), *(*its)(void) = of(names[2], \"cell_b\");\n\
         printf(\"%d %d\", one(), two()); start();\n\
         printf(\" %d\", one()); printf(\" %d %d\", !!made(), !!other());\n\
         printf(\" %d\", two()); printf(\" %d %d\\n\", !!other(), cells); }}",
        RUNTIME.replace("int relocfix_init(void);", "static int relocfix_init(void) { return 1; }")
    );
    let driver = workshop.write("driver.c", &source)?;
    for &linker in &Linkers::get()?.found {
        let flags = Linkers::get()?.flags(linker);
        let mut libraries = Vec::new();
        for (name, object) in [("a", &a), ("b", &b)] {
            let library = workshop.path(&format!("lib{name}.so"));
            succeed(Command::new("gcc").args(&flags).arg("-shared").arg("-o").arg(&library).arg(object))?;
            libraries.push(library);
        }
        let program = workshop.path("program");
        succeed(
            Command::new("gcc").args(&flags).args(["-rdynamic", "-o"]).arg(&program).arg(&driver).arg("-ldl"),
        )?;
        let finished = run(Command::new(&program).args(&libraries))?.success()?;
        assert_eq!(finished.text(), "1 1 0 1 0 0 1 2\n", "{}", linker.name());
    }
    Ok(())
}

/// What a called function throws goes through all code of ours to who called, and so does who looks for that.
#[test]
fn exceptions_and_backtraces_pass_through() -> Result<(), String> {
    let made =
        r#""values": [{"name": "made", "address": "0x7f1234570000", "init": {"call": "make", "args": []}}]"#;
    let ready = r#""ready": [{"call": "is_up", "returns": "int32"}]"#;
    let workshop = Workshop::open(&map(&[made, ready]))?;
    let source =
        ".globl get\n.type get, @function\nget: movabs $0x7f1234570000, %rax\nret\n.size get, . - get\n";
    let object = workshop.fixed("a", source)?;
    let driver = r#"
        #include <cstdio>
        #include <execinfo.h>
        extern "C" int relocfix_init();
        static int armed;
        extern "C" int is_up() { return armed; }
        static void attempt();
        extern "C" void *make() {
            void *frames[16];
            int count = backtrace(frames, 16), reached = 0;
            for (int i = 0; i < count; i++) {
                reached |= frames[i] >= (void *)attempt && frames[i] < (char *)attempt + 200;
            }
            printf("%d ", reached);
            throw 7;
        }
        __attribute__((noinline)) static void attempt() {
            try { relocfix_init(); } catch (int thrown) { printf("%d\n", thrown); }
        }
        int main() { armed = 1; attempt(); }"#;
    Matrix::new(&[object]).driver(driver).language(Language::Cxx).expect_stdout("1 7\n").run()
}

#[test]
fn maps_that_cannot_be_are_refused() -> Result<(), String> {
    let own = functions("a") + ".local mine\n.comm mine, 8\n";
    let cases = [
        (
            READY.replace(r#"{"call": "is_up", "returns": "int32"}"#, r#"{"value": "made"}"#),
            VALUES.to_owned(),
            2,
            "no value is made before",
        ),
        (
            READY.to_owned(),
            VALUES
                .replace(r#"{"call": "make_cell", "args": [{"int": 5}]}"#, r#"{"load": {"symbol": "mine"}}"#),
            1,
            "which is this object's own",
        ),
    ];
    for (ready, values, status, text) in cases {
        let workshop = Workshop::open(&map(&[&values, &ready]))?;
        let object = workshop.assemble("a", &own)?;
        let output = workshop.path("a.fixed.o");
        let mut command = relocfix::tool();
        command.arg(&object).arg("-o").arg(&output).arg("-s").arg(workshop.map());
        relocfix::refused(&mut command, &output, status, &[text.to_owned()])?;
    }
    Ok(())
}

/// What a runtime interns: texts with and without room between the variables, two functions, texts that are too long or
/// need an escape, one that is wanted twice; and what is said when there is no such thing.
#[test]
fn texts_are_interned_in_rows() -> Result<(), String> {
    const PROGRAM: &str = r#"
#include <stdio.h>
#include <string.h>
extern void **variables[];
void *intern(const char *text) { return strcmp(text, "refused") ? strdup(text) : 0; }
void *other(const char *text) { return strdup(text) + 1; }
extern const char *const expected[];
int main(void) {
    int wrong = 0;
    for (int i = 0; expected[i]; i++) if (!*variables[i] || strcmp(*variables[i], expected[i])) wrong++, puts(expected[i]);
    printf("%d wrong\n", wrong);
}
"#;
    let long = "long ".repeat(60);
    let mut texts: Vec<(&str, String)> = (0..40).map(|i| ("intern", format!("text {i}"))).collect();
    texts.extend([("other", "other 1".to_owned()), ("other", "other 2".to_owned()), ("intern", long)]);
    texts.extend([("intern", "with \"quotes\"".to_owned()), ("intern", "text 7".to_owned())]);
    texts.extend((0..3).map(|i| ("intern", format!("ünïcode {i}"))));
    let object = |workshop: &Workshop| {
        let mut text =
            ".file \"rows.c\"\n.data\n.globl variables\n.type variables, @object\nvariables:\n".to_owned();
        text.extend((0..texts.len()).map(|i| format!(".quad variable_{i}\n")));
        text += ".size variables, . - variables\n.bss\n.p2align 3\n";
        // Every fifth has room before it, and the tenth more than the row can say.
        let gap = |i: usize| if i == 10 { 8 * 300 } else { 16 * usize::from(i.is_multiple_of(5)) };
        text.extend((0..texts.len()).map(|i| format!(".skip {}\nvariable_{i}: .skip 8\n", gap(i))));
        workshop.fixed("rows", &text)
    };
    let globals = |texts: &[(&str, String)]| {
        let global = |(i, (function, text)): (usize, &(&str, String))| {
            let init = serde_json::json!({"call": function, "args": [{"string": text}]});
            serde_json::json!({"symbol": format!("variable_{i}"), "init": init})
        };
        let all: Vec<_> = texts.iter().enumerate().map(global).collect();
        map(&[&format!("\"globals\": {}", serde_json::Value::from(all))])
    };
    let expected: String = texts
        .iter()
        .map(|(function, text)| format!("{:?}, ", &text[usize::from(*function == "other")..]))
        .collect();
    let driver = format!("{PROGRAM}const char *const expected[] = {{ {expected} 0 }};");
    let workshop = Workshop::open(&globals(&texts))?;
    Matrix::new(&[object(&workshop)?]).driver(&driver).expect_stdout("0 wrong\n").run()?;

    let mut refused = texts.clone();
    refused[12].1 = "refused".to_owned();
    let workshop = Workshop::open(&globals(&refused))?;
    let said = ["relocfix: error: rows.c: cannot fill a pointer: intern(\"refused\") is null\n".to_owned()];
    Matrix::new(&[object(&workshop)?]).driver(&driver).modes(&[Mode::Pie]).expect_abort(&said).run()
}
