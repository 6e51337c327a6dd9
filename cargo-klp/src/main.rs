//! The `cargo klp` command.
fn main() {}
