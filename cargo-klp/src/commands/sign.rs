//! `cargo klp sign`: appends signatures to modules.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::Resettable;

use super::args::{KernelArgs, SigningArgs};
use super::ui;
use crate::error::{Error, Result};
use crate::kernel::KernelParts;
use crate::patch::sign::sign;

/// Arguments of `cargo klp sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp sign --key key.pem --cert cert.pem fix_x.ko
  cargo klp sign --key 'pkcs11:token=T;object=O?pin-source=file:/path/pin' --cert cert.der fix_x.ko
  cargo klp build --key key.pem --cert cert.pem                signs what it builds; so does `run`
  cargo klp package fix_x.ko --key key.pem --cert cert.pem     strips the module, then signs it
  make … KLP_SIGN_KEY=/k/key.pem KLP_SIGN_CERT=/k/cert.pem     plain Kbuild signs, too
  cargo klp inspect --verify fix_x.ko --cert cert.pem          whether it is unchanged

The file is signed in place, by the kernel's own scripts/sign-file, with the hash function of that kernel's
CONFIG_MODULE_SIG_HASH. An older signature is replaced. Sign last: each change of the file after that, also by strip,
makes the signature wrong or removes it.

The certificate must be enrolled on the machines that enforce signatures: `mokutil --import cert.der`, or in UEFI's db.")]
#[command(mut_args(for_module))]
pub struct Args {
    /// The modules: .ko files, of livepatches or not.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    signing: SigningArgs,

    #[command(flatten)]
    kernel: KernelArgs,
}

/// By default a module is signed for the kernel that it is built for.
fn for_module(arg: clap::Arg) -> clap::Arg {
    match arg.get_id().as_str() {
        "kernel" => arg
            .help("The kernel to sign for: a release, or a series; by default the one that the module is built for")
            .long_help(Resettable::Reset),
        _ => arg,
    }
}

/// Signs the modules, and prints their paths.
pub fn main(args: &Args) -> Result<ExitCode> {
    let key = args.signing.find()?.ok_or_else(|| Error::Request {
        message: "no key is given".into(),
        help: "give `--key` and `--cert`, or set KLP_SIGN_KEY and KLP_SIGN_CERT".into(),
    })?;
    let kernel = match args.kernel.is_given() {
        true => Some(args.kernel.find(KernelParts::Headers)?),
        false => None,
    };
    for file in &args.files {
        if let Some(signature) = sign(file, &key, kernel.as_ref())? {
            ui::status("Signed", format_args!("{} by {signature}", file.display()));
        }
        println!("{}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}
