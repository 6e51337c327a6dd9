//! Arguments that several subcommands share, and the queries that they are turned into.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use super::ui::{self, Terminal};
use crate::error::{Error, Result};
use crate::host::package;
use crate::kbuild::cargo_flags::CargoFlags;
use crate::kbuild::workspace::PackageQuery;
use crate::kernel::debug_info::check_given;
use crate::kernel::signing::{self, Certificate, SigningKey};
use crate::kernel::symbols::check_modules;
use crate::kernel::{Kernel, KernelParts, KernelQuery, Target};
use crate::patch::package::Signing;

/// How results are written to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line, for programs.
    Json,
}

/// How the results of a command that compiles are written to stdout.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line, for programs.
    Json,
    /// As cargo's `--message-format=json` prints them, for editors: each finding at its place.
    Cargo,
}

impl MessageFormat {
    /// Runs a command. A program gets an object with each error of one that fails, so that it always has something to read.
    pub(super) fn run(self, command: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
        command().inspect_err(|error| {
            if self == Self::Json {
                for failure in error.failures() {
                    println!("{}", serde_json::to_string(&failure).expect("plain data"));
                }
            }
        })
    }
}

/// Which kernel to work with.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct KernelArgs {
    /// A kernel release, such as 6.12.117+deb12-amd64, or a series: 6.12 means its newest release on this machine.
    ///
    /// By default the running kernel if it can be used, else the newest one of its series, else the newest one. A kernel
    /// of a later Debian than this machine's is taken only where there is no other.
    #[arg(long, value_name = "RELEASE")]
    pub kernel: Option<String>,

    /// A kernel build directory: what /lib/modules/RELEASE/build points to.
    #[arg(long, value_name = "DIR", conflicts_with = "kernel")]
    pub kdir: Option<PathBuf>,
}

impl KernelArgs {
    fn query(&self) -> KernelQuery {
        match (&self.kdir, &self.kernel) {
            (Some(kdir), _) => KernelQuery::BuildDir(kdir.clone()),
            (None, Some(release)) => KernelQuery::Release(release.clone()),
            (None, None) => KernelQuery::Any,
        }
    }

    /// Whether one is named.
    pub(super) fn is_given(&self) -> bool {
        self.kdir.is_some() || self.kernel.is_some()
    }

    /// Finds the kernel, and prints its release where the arguments leave that open.
    pub(super) fn find(&self, parts: KernelParts) -> Result<Kernel> {
        let kernel = self.query().find(parts)?;
        if self.kdir.is_none() && self.kernel.as_ref() != Some(&kernel.release) {
            ui::status("Kernel", &kernel.release);
        }
        Ok(kernel)
    }
}

/// Modules that do not come with the kernel.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ModuleArgs {
    /// The .ko file of a module that does not come with the kernel and whose symbols or types the patch needs; may be
    /// given several times.
    #[arg(long = "module", value_name = "PATH")]
    pub module_files: Vec<PathBuf>,

    /// The name of a module that this machine lacks: what the patch says about that module is not checked. Without
    /// this option, the name of a module that is not found is an error. May be given several times.
    #[arg(long = "unknown-module", value_name = "NAME")]
    pub unknown_modules: Vec<String>,
}

impl ModuleArgs {
    /// A kernel with these modules.
    pub(crate) fn target(&self, kernel: Kernel) -> Result<Target> {
        let modules = absolute(&self.module_files)?;
        Ok(Target { modules, unknown_modules: self.unknown_modules.clone(), ..kernel.into() })
    }
}

/// Files with debug information.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct DebugInfoArgs {
    /// A vmlinux or .ko file with debug information (DWARF), which tells where functions were inlined; may be given
    /// several times.
    ///
    /// klp finds these by itself: what `doctor --fix --debug-info` has downloaded, the `vmlinux` of a build directory,
    /// modules that contain their own debug information, and files in /usr/lib/debug/.build-id.
    #[arg(long = "debug-info", value_name = "PATH")]
    debug_info_files: Vec<PathBuf>,
}

impl DebugInfoArgs {
    /// The files, by absolute paths.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        absolute(&self.debug_info_files)
    }
}

/// Absolute paths without links. Of a file that does not exist, the check of the files says what is wrong.
pub(super) fn absolute(files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let absolute = |path| fs::canonicalize(path).or_else(|_| std::path::absolute(path));
    files.iter().map(|path| absolute(path).map_err(Error::io("find", path))).collect()
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), Into::into)
}

/// The kernel and the modules to build for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TargetArgs {
    /// The kernel.
    #[command(flatten)]
    pub kernel: KernelArgs,

    /// The modules.
    #[command(flatten)]
    pub modules: ModuleArgs,
}

impl TargetArgs {
    /// The options by which another command finds the same target, in whatever directory it runs: each after a space.
    pub(crate) fn words(&self) -> Result<String> {
        let kernel = self.kernel.kernel.iter().flat_map(|release| ["--kernel".into(), release.clone()]);
        let path = |option: &str, files: &[PathBuf]| {
            let files = absolute(files)?.into_iter().map(|file| file.to_string_lossy().into_owned());
            Ok(files.flat_map(|file| [option.to_owned(), file]).collect::<Vec<_>>())
        };
        let kdir = path("--kdir", self.kernel.kdir.as_slice())?;
        let modules = path("--module", &self.modules.module_files)?;
        let unknown = self.modules.unknown_modules.iter();
        let unknown = unknown.flat_map(|name| ["--unknown-module".into(), name.clone()]);
        let words = kernel.chain(kdir).chain(modules).chain(unknown);
        Ok(words.map(|word| format!(" {}", quoted(&word))).collect())
    }

    /// Finds the target, and prints the kernel's release where the arguments leave that open.
    pub(crate) fn find(&self, parts: KernelParts) -> Result<Target> {
        let target = self.modules.target(self.kernel.find(parts)?)?;
        check_modules(&target)?;
        Ok(target)
    }

    /// Finds the target.
    pub(crate) fn find_quietly(&self, parts: KernelParts) -> Result<Target> {
        self.modules.target(self.kernel.query().find(parts)?)
    }

    /// Finds the target, with the debug information that was given for it.
    pub(crate) fn find_with(&self, debug_info: &DebugInfoArgs, parts: KernelParts) -> Result<Target> {
        let target = [Target { debug_info: debug_info.files()?, ..self.find(parts)? }];
        check_given(&target, &Terminal)?;
        let [target] = target;
        Ok(target)
    }
}

/// A key to sign with, as Kbuild's rules give it.
#[derive(Clone, Debug, clap::Args)]
pub struct KeyArgs {
    /// The private key.
    #[arg(long)]
    key: Option<String>,
    /// Its certificate.
    #[arg(long)]
    cert: Option<PathBuf>,
}

impl KeyArgs {
    /// The key, if one is given.
    pub(crate) fn find(&self) -> Result<Option<SigningKey>> {
        pair(self.key.as_deref(), self.cert.as_deref())
    }
}

/// The key to sign modules with.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SigningArgs {
    /// The private key that signs the module: a PEM file, or the PKCS#11 URI of a key in a token. Its passphrase or PIN
    /// is what KBUILD_SIGN_PIN says.
    #[arg(long, value_name = "FILE|URI", env = signing::VARIABLES[0], hide_env_values = true)]
    key: Option<String>,

    /// The certificate of that key, in PEM or DER format.
    #[arg(long, value_name = "FILE", env = signing::VARIABLES[1])]
    cert: Option<PathBuf>,
}

impl SigningArgs {
    /// The key, if one is given.
    pub(crate) fn find(&self) -> Result<Option<SigningKey>> {
        pair(self.key.as_deref(), self.cert.as_deref())
    }

    /// What becomes of the signatures of modules that are packaged: a certificate alone verifies them.
    pub(super) fn for_package(&self) -> Result<Signing> {
        match (given_key(self.key.as_deref()), given_cert(self.cert.as_deref())) {
            (None, Some(cert)) => Ok(Signing::Verify(Box::new(Certificate::read(cert)?))),
            _ => Ok(self.find()?.map_or(Signing::Keep, Signing::Sign)),
        }
    }
}

// A variable may be empty.
fn given_key(key: Option<&str>) -> Option<&str> {
    key.filter(|key| !key.is_empty())
}

fn given_cert(cert: Option<&Path>) -> Option<&Path> {
    cert.filter(|cert| !cert.as_os_str().is_empty())
}

fn pair(key: Option<&str>, cert: Option<&Path>) -> Result<Option<SigningKey>> {
    let lacks = |what: &str, option: &str, variable: &str| Error::Request {
        message: format!("{what} is missing: who signs needs a private key and its certificate"),
        help: format!("give it with `{option}` or in {variable}"),
    };
    let [key_variable, cert_variable] = signing::VARIABLES;
    match (given_key(key), given_cert(cert)) {
        (None, None) => Ok(None),
        (Some(key), Some(cert)) => SigningKey::new(key, cert).map(Some),
        (Some(_), None) => Err(lacks("the certificate", "--cert", cert_variable)),
        (None, Some(_)) => Err(lacks("the private key", "--key", key_variable)),
    }
}

/// What a module is built for, as `klp.mk` says it from within Kbuild.
#[derive(Clone, Debug, clap::Args)]
pub struct KbuildTargetArgs {
    /// The build directory of the target kernel.
    #[arg(long)]
    kdir: PathBuf,
    /// The .ko file of a module that is not the kernel's own.
    #[arg(long = "module")]
    modules: Vec<PathBuf>,
    /// A file with debug information.
    #[arg(long)]
    debug_info: Vec<PathBuf>,
    /// A module that this machine lacks.
    #[arg(long = "unknown-module")]
    unknown_modules: Vec<String>,
    #[command(flatten)]
    key: KeyArgs,
}

impl KbuildTargetArgs {
    /// Finds the target.
    pub(crate) fn find(self) -> Result<Target> {
        let Self { kdir, modules, debug_info, unknown_modules, key } = self;
        let (kernel, signing) = (Kernel::from_kdir(&kdir)?, key.find()?);
        let target = Target { kernel, modules, debug_info, unknown_modules, signing };
        check_modules(&target)?;
        Ok(target)
    }
}

/// The patch crates to work on.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PackageArgs {
    /// A patch crate of the workspace, by its name; may be given several times.
    ///
    /// By default the crate of the current directory.
    #[arg(short, long = "package", value_name = "NAME")]
    pub packages: Vec<String>,

    /// All patches of the workspace.
    #[arg(long, conflicts_with = "packages")]
    pub workspace: bool,

    /// The Cargo.toml of the crate or workspace.
    #[arg(long, value_name = "PATH")]
    pub manifest_path: Option<PathBuf>,

    /// What cargo is told.
    #[command(flatten)]
    pub cargo: CargoArgs,
}

/// Flags that are cargo's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CargoArgs {
    /// Features of the patches to switch on, with commas between them.
    #[arg(short = 'F', long, value_name = "FEATURES", value_delimiter = ',')]
    features: Vec<String>,

    /// Switch all features of the patches on.
    #[arg(long)]
    all_features: bool,

    /// Leave the default features of the patches off.
    #[arg(long)]
    no_default_features: bool,

    /// Fail if Cargo.lock would have to change.
    #[arg(long)]
    locked: bool,

    /// Take what cargo has downloaded before, without the network.
    #[arg(long)]
    offline: bool,
}

impl CargoArgs {
    fn flags(&self) -> CargoFlags {
        let switches = [
            (self.all_features, "--all-features"),
            (self.no_default_features, "--no-default-features"),
            (self.locked, "--locked"),
            (self.offline, "--offline"),
        ];
        let mut flags: Vec<String> =
            switches.into_iter().filter(|(is_on, _)| *is_on).map(|(_, flag)| flag.into()).collect();
        let features = self.features.iter().flat_map(|features| features.split_whitespace());
        flags.extend(features.map(|feature| format!("--features={feature}")));
        CargoFlags(flags)
    }
}

impl PackageArgs {
    /// The query for the crates.
    pub(crate) fn query(&self) -> PackageQuery {
        let Self { packages, workspace, manifest_path, cargo } = self.clone();
        PackageQuery { packages, manifest_path, workspace, flags: cargo.flags() }
    }
}

/// A format of packages.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum PackageFormat {
    /// Debian's.
    #[default]
    Deb,
    /// That of Fedora, RHEL and SUSE.
    Rpm,
}

impl From<PackageFormat> for package::Format {
    fn from(format: PackageFormat) -> Self {
        match format {
            PackageFormat::Deb => Self::Deb,
            PackageFormat::Rpm => Self::Rpm,
        }
    }
}
