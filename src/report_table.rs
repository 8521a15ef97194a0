//! The report as a table for people: what is where, what it means, how it is or would be delivered.

use std::fmt;

use crate::report::{PlaceReport, Report, TargetName, TargetReport};

/// Wider cells (C++ and Rust names) are shown whole but do not push the columns of other rows.
const WIDEST_COLUMN: usize = 48;

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const RESET: &str = "\x1b[0m";

/// A [`Report`] that displays as a table.
#[derive(Debug, Clone, Copy)]
pub struct Table<'r> {
    report: &'r Report,
    color: bool,
}

impl Report {
    /// The report as a table of text lines, with a summary line at its end; `color`: with ANSI escapes.
    pub fn table(&self, color: bool) -> Table<'_> {
        Table { report: self, color }
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        self.rows(
            f,
            ["PLACE", "KIND", "BYTES", "VALUE", "FUNCTION", "MEANING", "DELIVERY", "ALIGNED", "REASON"],
            report.places.iter().map(place_row),
        )?;
        self.rows(
            f,
            ["CHANGED INSTRUCTION", "FUNCTION", "WAS", "IS"],
            report.realigned.iter().map(|realigned| {
                let place = format!("{}+{:#x}", realigned.section, realigned.offset);
                let function = realigned.function.clone().unwrap_or_default();
                [place, function, realigned.instruction.clone(), realigned.becomes.clone()]
            }),
        )?;
        self.rows(
            f,
            ["LOWERED RELOCATION", "SYMBOL", "DELIVERY"],
            report.lowered.iter().map(|lowered| {
                let place = format!("{}+{:#x}", lowered.section, lowered.offset);
                [place, lowered.symbol.clone(), lowered.delivery.clone()]
            }),
        )?;
        self.rows(
            f,
            ["GLOBAL", "DELIVERY"],
            report.globals.iter().map(|global| {
                let name = with_offset(&global.symbol, i128::from(global.offset));
                [name, global.delivery.clone()]
            }),
        )?;
        self.rows(
            f,
            ["IMPORT", "REFERENCE", "DELIVERY"],
            report.imports.iter().map(|import| {
                let place = format!("{}+{:#x}", import.section, import.offset);
                [import.symbol.clone(), place, import.delivery.clone()]
            }),
        )?;
        self.rows(
            f,
            ["THREAD-LOCAL OFFSET", "VALUE", "FUNCTION", "INSTRUCTION"],
            report.thread_local.iter().map(|found| {
                let place = format!("{}+{:#x}", found.section, found.offset);
                let function = in_function(found.function.as_deref(), found.line.as_deref());
                [place, signed(found.value), function, found.instruction.clone()]
            }),
        )?;
        let sections = report.sections.iter().map(|section| {
            let becomes = if section.name == section.becomes { "same name" } else { &section.becomes };
            [section.name.clone(), becomes.to_owned()]
        });
        self.rows(f, ["SECTION", "BECOMES"], sections)?;
        let renamed = report.renamed.iter().map(|symbol| [symbol.name.clone(), symbol.becomes.clone()]);
        self.rows(f, ["SYMBOL", "BECOMES"], renamed)?;
        if !report.libraries.is_empty() {
            let libraries: Vec<_> = report.libraries.iter().map(|name| printable(name)).collect();
            writeln!(f, "{}\n", self.bold(&format!("LIBRARIES  {}", libraries.join(" "))))?;
        }
        let alike = report.moved_alike.iter().map(|group| [group.join(", ")]);
        self.rows(f, ["MOVED ALIKE: displacements between these are not proven"], alike)?;
        self.summary(f)
    }
}

impl Table<'_> {
    fn rows<const N: usize>(
        &self,
        f: &mut fmt::Formatter<'_>,
        header: [&str; N],
        rows: impl Iterator<Item = [String; N]>,
    ) -> fmt::Result {
        let rows: Vec<_> = rows.map(|row| row.map(|cell| printable(&cell))).collect();
        if rows.is_empty() {
            return Ok(());
        }
        // Told once: there can be millions of rows.
        let used: [bool; N] = std::array::from_fn(|column| rows.iter().any(|row| !row[column].is_empty()));
        let widths: [usize; N] = std::array::from_fn(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            let widest = cells.filter(|&width| width <= WIDEST_COLUMN).max().unwrap_or(0);
            widest.max(header[column].len())
        });
        let line = |cells: [&str; N]| {
            let mut line = String::new();
            for (column, cell) in cells.iter().enumerate().filter(|&(column, _)| used[column]) {
                line.push_str(&format!("{cell:<width$}  ", width = widths[column]));
            }
            line.truncate(line.trim_end().len());
            line
        };
        writeln!(f, "{}", self.bold(&line(header)))?;
        for row in &rows {
            let text = line(std::array::from_fn(|column| row[column].as_str()));
            if self.color && row.iter().any(|cell| cell == UNRESOLVED || cell == "missing") {
                writeln!(f, "{RED}{text}{RESET}")?;
            } else {
                writeln!(f, "{text}")?;
            }
        }
        writeln!(f)
    }

    fn bold(&self, text: &str) -> String {
        if self.color { format!("{BOLD}{text}{RESET}") } else { text.to_owned() }
    }

    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let summary = &report.summary;
        write!(f, "{}: {}", printable(&report.input), counted(summary.places, "session-specific constant"))?;
        if summary.places > 0 {
            write!(f, " ({} resolved, {} unresolved)", summary.resolved, summary.unresolved)?;
        }
        for (count, what) in [
            (report.realigned.len(), "changed instruction"),
            (report.lowered.len(), "lowered relocation"),
            (report.globals.len(), "global"),
            (report.imports.len(), "import reference"),
            (report.thread_local.len(), "thread-local offset"),
            (summary.slots, "slot"),
            (summary.thunks, "thunk"),
            (summary.calls, "initializer call"),
        ] {
            if count > 0 {
                write!(f, ", {}", counted(count, what))?;
            }
        }
        if report.proof != "no witness" && !report.proof.is_empty() {
            write!(f, "; proof: {}", report.proof)?;
        }
        writeln!(f)
    }
}

const UNRESOLVED: &str = "unresolved";

fn place_row(place: &PlaceReport) -> [String; 9] {
    [
        match &place.symbol {
            Some(symbol) => format!("{} {symbol}", place.section),
            None => format!("{}+{:#x}", place.section, place.offset),
        },
        place.kind.clone(),
        place.width.to_string(),
        format!("{:#x}", place.value),
        in_function(place.function.as_deref(), place.line.as_deref()),
        place.target.as_ref().map_or_else(|| UNRESOLVED.to_owned(), meaning),
        place.delivery.clone(),
        match place.assumes_alignment {
            1 => String::new(),
            alignment => alignment.to_string(),
        },
        match (&place.reason, &place.instruction) {
            (Some(reason), Some(instruction)) => format!("{reason}: `{instruction}`"),
            (reason, _) => reason.clone().unwrap_or_default(),
        },
    ]
}

fn in_function(function: Option<&str>, line: Option<&str>) -> String {
    match (function, line) {
        (Some(function), Some(line)) => format!("{function} ({line})"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::new(),
    }
}

fn signed(number: i64) -> String {
    format!("{}{:#x}", if number < 0 { "-" } else { "" }, number.unsigned_abs())
}

fn meaning(target: &TargetReport) -> String {
    let name = match &target.name {
        TargetName::Symbol(name) | TargetName::File(name) => name.clone(),
        TargetName::Value(name) => format!("value {name}"),
        TargetName::Constant(number) => format!("constant {number}"),
        TargetName::Expression(text) => text.clone(),
    };
    with_offset(&name, i128::from(target.offset))
}

fn with_offset(name: &str, offset: i128) -> String {
    match offset {
        0 => name.to_owned(),
        1.. => format!("{name}+{offset:#x}"),
        _ => format!("{name}-{:#x}", offset.unsigned_abs()),
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// Names come from the input: none of them shall drive the terminal or break the table.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn everything_is_shown() {
        let expected = "\
PLACE       KIND  BYTES  VALUE           FUNCTION               MEANING            DELIVERY  ALIGNED  REASON
.text+0x12  code  8      0x7f3a1007fe50  julia_f_12 (foo.jl:3)  puts               got       64
.text+0x28  code  8      0x7f3a1007fe50  julia_f_12             value sym_foo-0x8  slot
.data+0x8   data  8      0x555500001000                         unresolved         kept               is in [heap]; give it a value in the session map

CHANGED INSTRUCTION  FUNCTION    WAS            IS
.text+0x1a           julia_f_12  or $0x40,%rax  add $0x40,%rax

LOWERED RELOCATION  SYMBOL  DELIVERY
.ltext+0x7          cos     got

GLOBAL        DELIVERY
jl_global#12  init

IMPORT            REFERENCE  DELIVERY
PyExc_ValueError  .text+0x3  slot

THREAD-LOCAL OFFSET  VALUE  FUNCTION  INSTRUCTION
.text+0x5            -0x28  f         mov %fs:0xffffffffffffffd8,%rax

SECTION        BECOMES
.rodata.cst16  .data.rel.ro.cst16

SYMBOL                              BECOMES
numba.dynamic.globals.7f3a1007fe50  relocfix.cos.0

LIBRARIES  libc.so.6

in.o: 3 session-specific constants (2 resolved, 1 unresolved), 1 changed instruction, 1 lowered relocation, 1 global, \
1 import reference, 1 thread-local offset, 1 slot, 1 initializer call
";
        assert_eq!(sample().table(false).to_string(), expected);
    }

    #[test]
    fn empty_columns_and_tables_are_left_out() {
        let mut report = Report { input: "in.o".into(), ..Report::default() };
        assert_eq!(report.table(true).to_string(), "in.o: no session-specific constants\n");
        report.places = sample().places;
        report.places.truncate(1);
        let text = report.table(false).to_string();
        assert!(!text.contains("REASON") && text.contains("FUNCTION"), "{text}");
    }

    #[test]
    fn long_names_stay_whole_and_do_not_push_the_others() {
        let mut report = sample();
        let long = "f".repeat(200);
        report.places[0].function = Some(long.clone());
        let text = report.table(false).to_string();
        assert!(text.contains(&long));
        assert!(text.lines().nth(2).unwrap().len() < 110, "{text}");
    }

    #[test]
    fn names_cannot_drive_the_terminal() {
        let mut report = sample();
        report.places[0].function = Some("a\x1b[2J\nb".into());
        report.libraries = vec!["\x07".into()];
        report.input = "\r".into();
        let text = report.table(false).to_string();
        assert!(text.contains("a\\u{1b}[2J\\nb"), "{text}");
        assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text}");
    }

    #[test]
    fn colour_marks_what_is_unresolved() {
        let text = sample().table(true).to_string();
        let red: Vec<_> = text.lines().filter(|line| line.starts_with(RED)).collect();
        assert_eq!(red.len(), 1);
        assert!(red[0].contains("[heap]") && red[0].ends_with(RESET));
    }
}
