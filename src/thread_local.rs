//! Thread-local variables that code reaches by a number instead of a symbol: where in a thread's static block a variable
//! lies is the session's own, and nothing can be put in the number's place. It is found and said, and left.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::arch::ThreadLocalOffset;
use crate::error::Problem;
use crate::function_bounds::FunctionBounds;
use crate::object_file::{ObjectFile, SectionId};
use crate::report::ThreadLocalReport;
use crate::scan::Scan;

/// What it means, and what to do.
const MEANING: &str = "from the thread pointer is where this session's process keeps a thread-local variable, and other \
                       processes keep another; let the compiler reach it by its symbol or through a function";

/// The numbers of each code section, by section and offset of the instruction.
pub(crate) fn find(
    object: &ObjectFile<'_>,
    bounds: &BTreeMap<SectionId, FunctionBounds<'_>>,
) -> BTreeMap<(SectionId, u64), ThreadLocalOffset> {
    let arch = object.machine.arch();
    let regions: Vec<_> = bounds
        .iter()
        .flat_map(|(&id, bounds)| bounds.regions().iter().map(move |r| (id, r.range.clone())))
        .collect();
    let found = regions.into_par_iter().flat_map_iter(|(id, range)| {
        let section = object.section(id);
        let relocated = |offset, length| section.is_relocated(offset, length);
        let found = arch.thread_local_offsets(section.data, range, &relocated);
        found.into_iter().map(move |offset| ((id, offset.start), offset))
    });
    found.collect()
}

/// What the report says of them.
pub(crate) fn reports(object: &ObjectFile<'_>, scan: &Scan<'_>) -> Vec<ThreadLocalReport> {
    let report = |(&(section, _), found): (&(SectionId, u64), &ThreadLocalOffset)| {
        let at = scan.at(object, section, found.field);
        ThreadLocalReport {
            section: at.section,
            offset: at.offset,
            value: found.offset,
            function: at.function,
            line: at.line,
            instruction: at.instruction.unwrap_or_default(),
        }
    };
    scan.thread_local.iter().map(report).collect()
}

/// Says of one what it is.
pub(crate) fn meaning(offset: i64) -> String {
    format!("{}{:#x} {MEANING}", if offset < 0 { "-" } else { "" }, offset.unsigned_abs())
}

impl ThreadLocalReport {
    /// The warning about it.
    pub(crate) fn warning(&self, input: &str) -> String {
        let at = crate::error::At {
            section: self.section.clone(),
            offset: self.offset,
            function: self.function.clone(),
            line: self.line.clone(),
            instruction: Some(self.instruction.clone()),
        };
        Problem { file: input.to_owned(), at: Some(at), message: meaning(self.value) }.to_string()
    }
}
