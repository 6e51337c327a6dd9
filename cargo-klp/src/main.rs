//! The `cargo klp` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_klp::commands::main()
}
