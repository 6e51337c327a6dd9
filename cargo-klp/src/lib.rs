//! The `cargo klp` command as a library, which xtask and the tests on real kernels use too.
//!
//! Its layers use only those after them, which `tests/layers.rs` checks:
//! [`commands`] → [`fix`], [`kbuild`] → [`vm`], [`patch`] → [`kernel`] → [`host`] → [`error`].

pub mod commands;
pub mod error;
pub mod fix;
pub mod host;
pub mod kbuild;
pub mod kernel;
pub mod patch;
pub mod vm;
