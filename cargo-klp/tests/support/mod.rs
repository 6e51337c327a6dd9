//! What tests of the command share: the command, and a kernel to build for.

use std::process::{Command, Output};

use cargo_klp::kernel::{Kernel, KernelArgs, Need};

/// The command, without arguments.
pub(crate) fn klp() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cargo-klp"))
}

/// Runs a program that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
    output
}

/// A kernel with headers and an image.
pub(crate) fn kernel(series: &str) -> Kernel {
    let args = KernelArgs { kernel: Some(series.into()), kdir: None };
    args.find_quietly(Need::Image).unwrap_or_else(|error| panic!("{error}; {:?}", error.help()))
}
