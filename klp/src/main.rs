//! The `klp` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    klp::main()
}
