//! The `klp` command, for the tests beside this file.

use std::process::ExitCode;

fn main() -> ExitCode {
    klp::main()
}
