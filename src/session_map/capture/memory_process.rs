//! A process for unit tests that has nothing but some memory.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Mapping, Process, Thread};
use crate::arch::Machine;
use crate::error::Result;

/// Where its memory begins.
pub(super) const START: u64 = 0x7f00_0000_0000;

/// Its memory, and how many bytes were read of it in all.
pub(super) struct Memory(Vec<u8>, AtomicUsize);

impl Memory {
    /// One with those words.
    pub(super) fn of(words: impl IntoIterator<Item = u64>) -> Self {
        Memory(words.into_iter().flat_map(u64::to_le_bytes).collect(), AtomicUsize::default())
    }

    pub(super) fn bytes_read(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }
}

impl Process for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    fn machine(&self) -> Machine {
        Machine::X86_64
    }
    fn mappings(&self) -> Result<Vec<Mapping>> {
        Ok(Vec::new())
    }
    fn read(&self, address: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.1.fetch_add(buffer.len(), Ordering::Relaxed);
        let at = address.wrapping_sub(START) as usize;
        let found = at.checked_add(buffer.len()).and_then(|end| self.0.get(at..end));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn places(&self, _: &Mapping) -> Vec<PathBuf> {
        Vec::new()
    }
    fn environment(&self) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }
    fn pid(&self) -> Option<u32> {
        None
    }
    fn perf_map(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
    fn threads(&self) -> Vec<Thread> {
        Vec::new()
    }
}
