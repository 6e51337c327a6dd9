//! The `cargo klp` command, for the tests beside this file.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_klp::commands::main()
}
