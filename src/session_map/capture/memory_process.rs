//! A process for unit tests that has nothing but some memory.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use super::{Mapping, Process, Thread};
use crate::arch::Machine;
use crate::error::Result;

/// Where its memory begins.
pub(super) const START: u64 = 0x7f00_0000_0000;

/// What a byte is, of how often it was read and of what it was.
type Change = fn(u8, u8) -> u8;

/// Its memory.
#[derive(Default)]
pub(super) struct Memory {
    bytes: Vec<u8>,
    /// How many bytes were read of it in all.
    read: AtomicUsize,
    /// The offset of a byte that changes and how often it was read.
    changes: Option<(usize, AtomicU8, Change)>,
}

impl Memory {
    /// One with those words.
    pub(super) fn of(words: impl IntoIterator<Item = u64>) -> Self {
        Memory { bytes: words.into_iter().flat_map(u64::to_le_bytes).collect(), ..Memory::default() }
    }

    /// The same, with a word whose first byte changes while it is read.
    pub(super) fn changing(self, word: usize, to: Change) -> Self {
        Memory { changes: Some((word * 8, AtomicU8::default(), to)), ..self }
    }

    pub(super) fn bytes_read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
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
        self.read.fetch_add(buffer.len(), Ordering::Relaxed);
        let at = address.wrapping_sub(START) as usize;
        let found = at.checked_add(buffer.len()).and_then(|end| self.bytes.get(at..end));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        if let Some((changes, times, to)) = &self.changes
            && let Some(byte) = changes.checked_sub(at).and_then(|into| buffer.get_mut(into))
        {
            *byte = to(times.fetch_add(1, Ordering::Relaxed), *byte);
        }
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
