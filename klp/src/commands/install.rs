//! `klp install`: puts patches where they are loaded at boot.

use std::path::PathBuf;

use crate::error::{Error, Exit, Result};
use crate::file::ModuleFile;
use crate::machine::Machine;
use crate::plan::Candidate;
use crate::{fit, keys, show, store};

/// Arguments of `klp install`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The patches: .ko files.
    #[arg(value_name = "FILE", required = true)]
    patches: Vec<PathBuf>,

    /// The kernel release that they must be built for; by default each goes to the one that it is built for.
    #[arg(short, long, value_name = "RELEASE")]
    kernel: Option<String>,
}

/// Installs patches; all are looked at before the first is written.
///
/// # Errors
///
/// One is not a livepatch, is built for another kernel, or excludes one that is installed.
pub fn main(machine: &dyn Machine, args: &Args) -> Result<Exit> {
    let mut patches = Vec::new();
    for path in &args.patches {
        let patch = ModuleFile::open(path)?;
        let release = check(machine, &patch, args.kernel.as_deref())?;
        patches.push((patch, release));
    }
    for (patch, release) in &patches {
        put(machine, patch, release)?;
    }
    Ok(Exit::Done)
}

/// Looks at a patch; returns the release that it is for.
fn check(machine: &dyn Machine, patch: &ModuleFile, wanted: Option<&str>) -> Result<String> {
    let refuse = |reasons: Vec<String>, help: String| {
        Err(Error::Uninstallable { name: patch.name.clone(), reasons, help })
    };
    let Some(release) = patch.release.clone().filter(|release| is_name(release)) else {
        return refuse(
            vec!["its .modinfo does not say which kernel release it is built for (vermagic)".into()],
            "build it again, with Kbuild".into(),
        );
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != release) {
        return refuse(
            vec![format!("it is built for the kernel {release}, not for {wanted}")],
            format!("build it for that kernel: `cargo klp build --kernel {wanted}`"),
        );
    }
    if !is_name(&patch.name) {
        return refuse(vec![format!("its name is `{}`", patch.name)], "give it another name".into());
    }
    let mut reasons = Vec::new();
    if patch.build_id.is_none() {
        reasons.push("it has no build ID, by which the guard against crash loops knows a patch".into());
    }
    // Of another kernel nothing is known here but its release.
    if fit::release(machine)? == release {
        reasons.extend(fit::build_reasons(machine, patch)?);
        reasons.extend(fit::signature_reason(machine, patch)?);
    }
    if !reasons.is_empty() {
        return refuse(reasons, "build or sign it for this machine".into());
    }
    let (new, others) = (Candidate::of(patch), others(machine, patch, &release)?);
    for other in &others {
        let other = Candidate::of(other);
        if other.supersedes(&new) {
            return refuse(
                vec![format!("{} is installed, which supersedes it: it would not be loaded", other.name)],
                format!("`klp uninstall {}` first, if its fixes may be lost", other.name),
            );
        }
        if (new.replaces, other.replaces) == (Some(true), Some(true)) && !new.supersedes(&other) {
            return refuse(
                vec![format!(
                    "it replaces all other patches, and so does {}, which is installed",
                    other.name
                )],
                format!("`klp uninstall {}` first: only one of them can be in effect", other.name),
            );
        }
    }
    Ok(release)
}

fn put(machine: &dyn Machine, patch: &ModuleFile, release: &str) -> Result<()> {
    let path = store::installed(machine, release).join(format!("{}.ko", patch.name));
    store::put(&path, &patch.read()?)?;
    let signed = keys::signed_by(patch);
    show::action(machine, &format!("{}: installed for {release}, {signed}", patch.name));
    let new = Candidate::of(patch);
    for old in others(machine, patch, release)?.iter().filter(|old| new.supersedes(&Candidate::of(old))) {
        store::remove(&old.path)?;
        show::action(
            machine,
            &format!("{}: superseded by {}, and no longer installed", old.name, patch.name),
        );
    }
    Ok(())
}

/// The patches that are installed for a release under other names.
fn others(machine: &dyn Machine, patch: &ModuleFile, release: &str) -> Result<Vec<ModuleFile>> {
    let (mut others, _) = store::read(&store::installed(machine, release))?;
    others.retain(|other| other.name != patch.name);
    Ok(others)
}

/// Whether it can be the name of a file: a module may say anything of itself.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}
