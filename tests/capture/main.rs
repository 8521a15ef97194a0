//! Session maps that are read from processes: every name is held against the dynamic linker of another process, and
//! what was fixed with them runs.

#[path = "../support/mod.rs"]
mod support;

mod busy;
mod cores;
mod errors;
mod gccjit;
mod hosts;
mod names;
mod operands;
mod postgresql;
mod session;
mod stubs;
mod threads;
mod together;
mod unsure;
mod versions;
