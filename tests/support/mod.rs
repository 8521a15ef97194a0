//! What the integration tests share: finding tools, running commands, linking an object in every way there is,
//! and looking at one.

// Every test crate takes what it needs of this and leaves the rest.
#![allow(dead_code)]

pub(crate) mod archives;
pub(crate) mod command;
pub(crate) mod elf_view;
pub(crate) mod files;
pub(crate) mod matrix;
pub(crate) mod random;
pub(crate) mod relocfix;
pub(crate) mod toolchain;
pub(crate) mod untouched;
pub(crate) mod workshop;
