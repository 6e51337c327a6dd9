//! What the `cargo klp` command is made of, as a library that xtask and the tests on real kernels use too.

pub mod build;
pub mod cache;
pub mod check;
pub mod cli;
pub mod debian;
pub mod debug_info;
pub mod doctor;
pub mod error;
pub mod explain;
pub mod inspect;
pub mod kernel;
pub mod manifest;
pub mod new;
pub mod run;
mod sorted;
pub mod symbols;
pub mod target;
pub mod types;
pub mod ui;
pub mod vm;
