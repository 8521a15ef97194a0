//! ELF64, little-endian (System V gABI and its AMD64 supplement): what the file is, how it is read into the
//! neutral model, and how edits are put into a copy of it.

mod compressed;
mod identify;
mod properties;
mod read;
mod records;
mod relocation_types;
mod relocations;
mod string_table;
mod tables;
mod write;

#[cfg(test)]
mod tests;

pub(super) use compressed::decompress;
pub(super) use identify::identify;
pub(super) use read::read;
pub(super) use relocations::RelaEntries;
pub(super) use write::write;
