//! `cargo klp package`: modules to a package that administrators install.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use super::args::{PackageFormat, SigningArgs};
use crate::error::{Error, Result};
use crate::host::identity;
use crate::patch::package::{Labels, package};

/// Arguments of `cargo klp package`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp package $(cargo klp build)          a package for one kernel
  cargo klp package $(cargo klp build --kernel 6.12) $(cargo klp build --kernel 6.1)
  cargo klp package fix.ko --key key.pem --cert cert.pem
  cargo klp package --format rpm fix.ko         for Fedora, RHEL or SUSE
  cargo klp package fix.ko --maintainer 'A <a@example.org>' --output /srv/debs

Any livepatch can be packaged, in Rust or C. Debug information is left out of the modules. With --key and --cert, they
are signed after that. Without a key, a signed module is taken as it is, and --cert alone asks that the certificate's
owner has signed each module.

The package needs klp-tools, which `cargo xtask package-tools` makes in klp's repository. All revisions of a series are
one package. Installing it loads the patch, an upgrade replaces it without a gap, and a removal unloads it; if that
fails, the package stays. If a patch can't be loaded, dpkg leaves its package unconfigured; rpm only says so, and
`klp status` shows it. A removal asks first where the patch is in effect (rpm: is refused), unless KLP_ALLOW_REMOVAL=1
is set. A lower revision is refused, unless KLP_ALLOW_DOWNGRADE=1 is set. With SOURCE_DATE_EPOCH set, the
same modules make the same package.")]
pub struct Args {
    /// The .ko files: one patch, for different kernels.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The format of the package.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: PackageFormat,

    /// Who answers for the package: `Name <address>`; by default DEBFULLNAME and DEBEMAIL, as for Debian's own tools, or
    /// whom git has as the author of commits.
    #[arg(long, value_name = "NAME")]
    maintainer: Option<String>,

    /// The name of the package; by default `livepatch-` with the name of the series, or of the module.
    #[arg(long, value_name = "NAME")]
    package_name: Option<String>,

    /// The version of the package; by default the patch's revision, or its version if it has no series.
    #[arg(long, value_name = "VERSION")]
    package_version: Option<String>,

    #[command(flatten)]
    signing: SigningArgs,

    /// The directory to write to.
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    output: PathBuf,
}

/// Makes the package, and prints its path.
pub fn main(args: &Args) -> Result<ExitCode> {
    let labels = Labels {
        maintainer: maintainer(args.maintainer.clone(), |name| env::var(name).ok(), identity::of_git)?,
        name: args.package_name.clone(),
        version: args.package_version.clone(),
    };
    let package = package(&args.files, &labels, &args.signing.for_package()?)?;
    println!("{}", package.write(args.format.into(), &args.output)?.display());
    Ok(ExitCode::SUCCESS)
}

fn maintainer(
    given: Option<String>,
    variable: impl Fn(&str) -> Option<String>,
    git: impl FnOnce() -> (Option<String>, Option<String>),
) -> Result<String> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let both = |(name, address): (Option<String>, Option<String>)| Some(format!("{} <{}>", name?, address?));
    let found = given.or_else(|| both((set("DEBFULLNAME"), set("DEBEMAIL")))).or_else(|| both(git()));
    found.ok_or_else(|| Error::Request {
        message: "nobody answers for the package".into(),
        help:
            "give `--maintainer 'Name <address>'`, or set DEBFULLNAME and DEBEMAIL, or git's user.name and \
               user.email"
                .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_for_a_package() {
        let some = |text: &str| Some(text.to_owned());
        let debian = |name: &str| {
            Some(match name {
                "DEBFULLNAME" => "Deb".into(),
                _ => "deb@example.org".into(),
            })
        };
        let git = || (some("Git"), some("git@example.org"));
        let found =
            |given, variable: &dyn Fn(&str) -> Option<String>| maintainer(given, variable, git).unwrap();
        assert_eq!(found(some("A <a@example.org>"), &debian), "A <a@example.org>");
        assert_eq!(found(None, &debian), "Deb <deb@example.org>");
        for unset in [None, some("")] {
            assert_eq!(found(None, &|_| unset.clone()), "Git <git@example.org>");
        }
        let error = maintainer(None, |_| None, || (some("Git"), None)).unwrap_err();
        assert!(error.help().unwrap().contains("--maintainer"));
    }
}
