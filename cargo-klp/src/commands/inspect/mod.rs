//! `cargo klp inspect`: shows what a livepatch module does, in Rust or C, without loading it.

mod changes;
mod human;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::commands::args::MessageFormat;
use crate::commands::ui;
use crate::error::{Error, Result};
use crate::kernel::signing::Certificate;
use crate::patch::inspect::{faults, inspect, signature_fault};
use crate::patch::succession::succession;

/// Arguments of `cargo klp inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp inspect fix_x.ko                    functions, states, symbols, parameters, memory
  cargo klp inspect fix_v1.ko fix_v2.ko         what fix_v2 changes, whether it may replace it
  cargo klp inspect --verify fix_x.ko           after strip or another tool has changed it
  cargo klp inspect --verify fix_x.ko --cert cert.pem
                                                also, whether this certificate's owner signed it")]
pub struct Args {
    /// The module: a .ko, also compressed as .ko.xz or .ko.zst.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// A second module: shows what it changes against the first, whether it may replace it, and the callbacks, as the
    /// model of the kernel in klp-runtime calls them.
    #[arg(value_name = "NEW", conflicts_with = "verify")]
    new: Option<PathBuf>,

    /// Only check whether the kernel's module loader and livepatch core understand the module, and fail if they
    /// would refuse or misread it.
    ///
    /// This works on any module, even one in C, or one that is not a livepatch.
    #[arg(long)]
    verify: bool,

    /// The certificate of who should have signed the module, in PEM or DER format: its signature is verified.
    #[arg(long, value_name = "CERT", conflicts_with = "new")]
    cert: Option<PathBuf>,

    /// The format of the result on stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: MessageFormat,
}

/// Inspects the module and prints the findings.
pub fn main(args: &Args) -> Result<ExitCode> {
    args.message_format.run(|| inspect_file(args))
}

fn inspect_file(args: &Args) -> Result<ExitCode> {
    let certificate = args.cert.as_deref().map(Certificate::read).transpose()?;
    if args.verify {
        let mut faults = faults(&args.file)?;
        let is_sound = faults.is_empty();
        faults.extend(
            certificate.map(|certificate| signature_fault(&args.file, &certificate)).transpose()?.flatten(),
        );
        if args.message_format == MessageFormat::Json {
            println!("{}", serde_json::to_string(&faults).expect("plain data"));
        }
        // Programs have the result already.
        let error = match faults.as_slice() {
            [] => return Ok(ExitCode::SUCCESS),
            [fault] if is_sound => Error::Request {
                message: format!("`{}` is not signed as it should be: {fault}", args.file.display()),
                help: "do not load it before you know why; `cargo klp sign --key KEY --cert CERT FILE` signs it as it is"
                    .into(),
            },
            _ => Error::Unloadable { path: args.file.clone(), faults },
        };
        ui::failure(&error);
        return Ok(ExitCode::from(error.exit_code()));
    }
    let mut report = inspect(&args.file)?;
    if let Some(certificate) = certificate {
        let fault = signature_fault(&args.file, &certificate)?;
        report.verified = Some(fault.is_none());
        report.faults.extend(fault);
    }
    if let Some(new) = &args.new {
        let succession = succession(&report, &inspect(new)?);
        match args.message_format {
            MessageFormat::Human => anstream::print!("{}", changes::text(&succession)),
            MessageFormat::Json => println!("{}", serde_json::to_string(&succession).expect("plain data")),
        }
        return Ok(ExitCode::SUCCESS);
    }
    match args.message_format {
        MessageFormat::Human => anstream::print!("{}", human::text(&report)),
        MessageFormat::Json => println!("{}", serde_json::to_string(&report).expect("plain data")),
    }
    Ok(ExitCode::SUCCESS)
}
