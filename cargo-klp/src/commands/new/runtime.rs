//! Where a new crate gets klp-runtime from: a version, a repository, or a directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::next::relative;
use crate::error::{Error, Result};

/// The runtime beside the sources that this program was built from; absent where it was installed from a registry.
pub(super) const BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../klp-runtime");

/// What the arguments say of the runtime.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct RuntimeArgs {
    /// The directory of the klp-runtime that the patch is built with.
    ///
    /// By default the one beside the sources of this cargo-klp; without these, its release from crates.io.
    #[arg(long, value_name = "DIR", conflicts_with = "git")]
    pub(super) runtime: Option<PathBuf>,

    /// The git repository to take klp-runtime from, so that the crate builds on any machine.
    #[arg(long, value_name = "URL")]
    pub(super) git: Option<String>,

    /// The commit of the repository; by default the newest when the crate is first built.
    #[arg(long, value_name = "COMMIT", requires = "git")]
    pub(super) rev: Option<String>,
}

/// The source of a crate's klp-runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Runtime {
    /// A release.
    Version(&'static str),
    /// A repository, and the commit.
    Git(String, Option<String>),
    /// A directory, as the manifest names it.
    Directory(String),
}

impl Runtime {
    /// The source for a crate that is made in `crate_dir`, an absolute path.
    ///
    /// # Errors
    ///
    /// The directory is no klp-runtime.
    pub(super) fn choose(args: &RuntimeArgs, crate_dir: &Path) -> Result<Self> {
        if let Some(url) = &args.git {
            return Ok(Self::Git(url.clone(), args.rev.clone()));
        }
        match &args.runtime {
            Some(given) => directory(given).map(Self::Directory),
            None if !Path::new(BESIDE).exists() => Ok(Self::Version(env!("CARGO_PKG_VERSION"))),
            None => {
                let runtime = directory(BESIDE.as_ref())?;
                Ok(Self::Directory(in_checkout(&runtime, crate_dir).unwrap_or(runtime)))
            }
        }
    }

    /// The value of the dependency in Cargo.toml.
    pub(super) fn toml(&self) -> String {
        // What JSON escapes, TOML reads.
        let string = |text: &str| serde_json::to_string(text).expect("a string");
        match self {
            Self::Version(version) => string(version),
            Self::Git(url, None) => format!("{{ git = {} }}", string(url)),
            Self::Git(url, Some(rev)) => format!("{{ git = {}, rev = {} }}", string(url), string(rev)),
            Self::Directory(path) => format!("{{ path = {} }}", string(path)),
        }
    }

    /// Whether the crate builds on this machine only.
    pub(super) fn is_of_this_machine(&self) -> bool {
        matches!(self, Self::Directory(path) if Path::new(path).is_absolute())
    }
}

/// The path of the runtime as seen from a crate in the same checkout, which may be moved as a whole.
fn in_checkout(runtime: &str, crate_dir: &Path) -> Option<String> {
    // The crate's own directory, and others above it, may be yet to be made.
    let made = crate_dir.ancestors().find(|directory| directory.exists())?;
    let crate_dir = fs::canonicalize(made).ok()?.join(crate_dir.strip_prefix(made).ok()?);
    let checkout = Path::new(runtime).parent()?;
    crate_dir.starts_with(checkout).then(|| relative(&crate_dir, Path::new(runtime)))
}

/// The directory of klp-runtime, after a check that it is one.
fn directory(dir: &Path) -> Result<String> {
    let refuse = |why: &str| Error::Request {
        message: format!("`{}` {why}", dir.display()),
        help: "give the directory klp-runtime of a checkout of klp: `cargo klp new NAME --runtime DIR`"
            .into(),
    };
    let is_runtime = fs::read_to_string(dir.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.lines().any(|line| line == "name = \"klp-runtime\""));
    if !is_runtime || !dir.join("kbuild/klp.mk").exists() {
        return Err(refuse("is not a klp-runtime crate"));
    }
    let dir = fs::canonicalize(dir).map_err(Error::io("find", dir))?;
    match dir.to_str() {
        Some(path) if !path.contains(char::is_whitespace) => Ok(path.into()),
        _ => Err(refuse("has a path that Kbuild can't use: white space, or not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(args: RuntimeArgs, crate_dir: &Path) -> Result<Runtime> {
        Runtime::choose(&args, crate_dir)
    }

    #[test]
    fn a_directory_is_looked_at() {
        let given = |path: &str| RuntimeArgs { runtime: Some(path.into()), ..RuntimeArgs::default() };
        let error = choose(given("/nonexistent"), "/fix".as_ref()).unwrap_err();
        assert!(error.help().unwrap().contains("--runtime"));
        choose(given(env!("CARGO_MANIFEST_DIR")), "/fix".as_ref()).unwrap_err();
    }

    #[test]
    fn a_crate_outside_of_the_checkout_names_it_and_one_inside_does_not() {
        let elsewhere = tempfile::tempdir().unwrap();
        let outside = choose(RuntimeArgs::default(), &elsewhere.path().join("fix")).unwrap();
        assert!(outside.is_of_this_machine() && outside.toml().ends_with("/klp-runtime\" }"), "{outside:?}");

        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let inside = choose(RuntimeArgs::default(), &examples.join("new/fix")).unwrap();
        assert_eq!(inside.toml(), "{ path = \"../../../klp-runtime\" }");
        assert!(!inside.is_of_this_machine());
    }

    #[test]
    fn a_repository_and_a_version_are_of_any_machine() {
        let args = RuntimeArgs {
            git: Some("https://example.org/klp".into()),
            rev: Some("a1".into()),
            runtime: None,
        };
        let git = choose(args, "/fix".as_ref()).unwrap();
        assert_eq!(git.toml(), "{ git = \"https://example.org/klp\", rev = \"a1\" }");
        assert_eq!(Runtime::Version("0.1.0").toml(), "\"0.1.0\"");
        assert!(!git.is_of_this_machine() && !Runtime::Version("0.1.0").is_of_this_machine());
    }
}
