//! Objects of Julia's shape with the real runtime: what they refer to is made again in another process, by libjulia
//! and libjulia-internal 1.13. There is no compiler in it, so LLVM's `llc` compiles what Julia's would.

#[path = "../support/mod.rs"]
mod support;

mod imaging;
mod jit;
mod kept;
mod shop;
mod together;
