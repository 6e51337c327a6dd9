//! `klp list`: the patches that are installed.

use crate::error::{Exit, Result};
use crate::machine::Machine;
use crate::plan::Candidate;
use crate::report::Installed;
use crate::{fit, show, store};

/// Arguments of `klp list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kernel release; by default all.
    #[arg(short, long, value_name = "RELEASE")]
    kernel: Option<String>,
}

/// Lists what is installed: a line for each patch, with its release and its standing.
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
    for release in releases {
        if release == running {
            for patch in Installed::all(machine)? {
                show::text(machine, &format!("{release}  {}: {}", patch.name, patch.text()));
            }
            continue;
        }
        let (patches, errors) = store::read(&store::installed(machine, &release))?;
        for patch in patches.iter().map(Candidate::of) {
            show::text(
                machine,
                &format!("{release}  {}: for another kernel than the one that runs", patch.name),
            );
        }
        for error in &errors {
            show::warning(machine, &error.to_string());
        }
    }
    Ok(Exit::Done)
}
