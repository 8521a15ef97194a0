//! How the initializer finds a loaded library by its build-id: it has `dl_iterate_phdr` show all of them to a function
//! of ours, which leaves the lowest address of the right one in a record.

use super::Planner;
use super::slots::DATA;
use crate::arch::{LIBRARY_BASE, LIBRARY_ID};
use crate::edits::SymbolRef;
use crate::fill_program::FillOp;
use crate::session_map::Returns;

impl Planner<'_> {
    /// Operations that push the lowest address of the program or library with that build-id, or 0.
    pub(super) fn library_search(&mut self, build_id: &[u8]) -> Vec<FillOp> {
        let function = match self.find_library {
            Some(function) => function,
            None => {
                let fragment = self.object().machine.arch().find_library(self.object().landing_pads);
                let function = self.add_code(&fragment, None, "relocfix.find_library".to_owned());
                *self.find_library.insert(function)
            }
        };
        // The address, the size of the build-id, the build-id.
        let mut record = vec![0; 8];
        record.extend_from_slice(&(build_id.len() as u32).to_le_bytes());
        record.extend_from_slice(build_id);
        debug_assert_eq!((LIBRARY_BASE, LIBRARY_ID as usize + build_id.len()), (0, record.len()));
        let (section, offset) = self.append(DATA, None, 8, &record);
        let record = (SymbolRef::NewSection(section), offset as i64);
        let iterate = self.external("dl_iterate_phdr");
        let iterate = self.pointer_slot(iterate, 0);
        self.report.summary.calls += 1;
        vec![
            FillOp::PushWord((SymbolRef::Local(iterate), 0)),
            FillOp::PushAddress((SymbolRef::Local(function), 0)),
            FillOp::PushAddress(record),
            FillOp::Call { arguments: 2, floats: 0, returns: Returns::Void },
            FillOp::Drop,
            FillOp::PushWord(record),
        ]
    }
}
