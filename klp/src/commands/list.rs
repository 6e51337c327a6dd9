//! `klp list`: the patches that are installed.

use crate::error::{Exit, Result};
use crate::machine::Machine;
use crate::report::Installed;
use crate::{fit, keys, show, store};

/// Arguments of `klp list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kernel release; by default all.
    #[arg(short, long, value_name = "RELEASE")]
    kernel: Option<String>,
}

/// Lists what is installed: a line for each patch, with its release, its standing, and who has signed it.
///
/// # Errors
///
/// Those of reading files.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    let running = fit::release(machine)?;
    let releases = match &args.kernel {
        Some(release) => vec![release.clone()],
        None => store::releases(machine)?,
    };
    let mut is_any = false;
    for release in &releases {
        if *release == running {
            for patch in Installed::all(machine)? {
                is_any = true;
                show::text(
                    machine,
                    &format!("{release}  {}: {}; {}", patch.name, patch.text(), patch.signed()),
                );
            }
            continue;
        }
        let (patches, damaged) = store::read(&store::installed(machine, release))?;
        is_any |= !patches.is_empty() || !damaged.is_empty();
        for patch in &patches {
            let signed = keys::signed_by(patch);
            show::text(
                machine,
                &format!("{release}  {}: for another kernel than the one that runs; {signed}", patch.name),
            );
        }
        for file in &damaged {
            show::warning(machine, &file.error.to_string());
        }
    }
    if !is_any {
        let release = args.kernel.as_ref().map(|release| format!(" for {release}")).unwrap_or_default();
        show::progress(machine, &format!("no patch is installed{release}"));
    }
    Ok(Exit::Done)
}
