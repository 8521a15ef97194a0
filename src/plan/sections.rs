//! Sections that come to hold addresses or to be stored into: their names and flags must let the linker put
//! them where that is possible.

use super::{Holds, Planner};
use crate::report::SectionReport;

impl Planner<'_> {
    /// Plans the header of every section whose contents changed their nature.
    pub(super) fn plan_sections(&mut self) {
        for (id, holds) in std::mem::take(&mut self.holds) {
            let section = self.object().section(id);
            // At a fixed address the linker itself writes addresses into read-only sections.
            let writable = !section.write && (self.pic() || holds == Holds::Stored);
            let name = if writable || holds == Holds::Stored { renamed(section.name, holds) } else { None };
            if !writable && !section.merge && name.is_none() {
                continue;
            }
            let edit = self.edits.section_edits.entry(id).or_default();
            edit.writable = writable;
            edit.unmerge = section.merge;
            edit.name = name.clone();
            self.report.sections.push(SectionReport {
                name: section.name.to_owned(),
                becomes: name.unwrap_or_else(|| section.name.to_owned()),
            });
        }
    }
}

/// The name under which linkers put a section among data that is relocated (and then protected) or written. All
/// other names stay: tools and `__start_` symbols find sections by them.
fn renamed(name: &str, holds: Holds) -> Option<String> {
    // glibc protects relocated read-only data before constructors run: what is stored later cannot be in it.
    let families: &[(&str, &str)] = match holds {
        Holds::Addresses => &[(".rodata", ".data.rel.ro"), (".lrodata", ".ldata.rel.ro")],
        Holds::Stored => &[
            (".rodata", ".data"),
            (".lrodata", ".ldata"),
            (".data.rel.ro", ".data"),
            (".ldata.rel.ro", ".ldata"),
        ],
    };
    families.iter().find_map(|(from, to)| {
        let rest = name.strip_prefix(from)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{to}{rest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Holds, renamed};

    #[test]
    fn only_read_only_data_is_renamed() {
        let addresses = |name| renamed(name, Holds::Addresses);
        assert_eq!(addresses(".rodata").as_deref(), Some(".data.rel.ro"));
        assert_eq!(addresses(".rodata.cst16").as_deref(), Some(".data.rel.ro.cst16"));
        assert_eq!(addresses(".lrodata.x").as_deref(), Some(".ldata.rel.ro.x"));
        assert_eq!(addresses(".rodatax"), None);
        assert_eq!(addresses(".llvm_stackmaps"), None);
        assert_eq!(renamed(".rodata.x", Holds::Stored).as_deref(), Some(".data.x"));
        assert_eq!(renamed(".data.rel.ro.x", Holds::Stored).as_deref(), Some(".data.x"));
        assert_eq!(renamed(".data.rel.ro.x", Holds::Addresses), None);
    }
}
