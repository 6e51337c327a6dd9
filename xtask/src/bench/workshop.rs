//! Builds the modules that are compared: a workspace of patches, and a directory for each module in C.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::run_tool;
use cargo_klp::kernel::{Kernel, KernelParts, KernelQuery};

use super::sources::{Spec, TARGET};
use crate::command::{cargo, root};

/// The directory of the modules, and the kernel that they are built for.
pub(crate) struct Workshop {
    pub(crate) kernel: Kernel,
    directory: PathBuf,
    command: PathBuf,
}

impl Workshop {
    pub(crate) fn new(kernel: Kernel) -> Result<Self> {
        // Optimized, as `cargo install` makes it.
        let target = root().join("target");
        let mut build = cargo(&["build", "--quiet", "--release", "--package", "cargo-klp"]);
        run_tool(build.arg("--target-dir").arg(&target).stderr(Stdio::inherit()))?;
        let directory = target.join("bench");
        fs::create_dir_all(directory.join("patches")).map_err(Error::io("create", &directory))?;
        // The same versions of dependencies as in this repository.
        let lock = directory.join("patches/Cargo.lock");
        if !lock.exists() {
            fs::copy(root().join("Cargo.lock"), &lock).map_err(Error::io("write", &lock))?;
        }
        let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"*\"]\nexclude = [\"target\"]\n";
        write_if_changed(&directory.join("patches/Cargo.toml"), workspace)?;
        Ok(Self { kernel, directory, command: target.join("release/cargo-klp") })
    }

    /// The same workshop for another kernel.
    pub(crate) fn for_kernel(&self, series: &str) -> Result<Self> {
        let args = KernelQuery::Release(series.into());
        let kernel = args.find(KernelParts::Image)?;
        Ok(Self { kernel, directory: self.directory.clone(), command: self.command.clone() })
    }

    /// The workshop's directory, which may be removed at any time.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The program `cargo-klp`.
    pub(crate) fn command(&self) -> &Path {
        &self.command
    }

    /// The directory of a patch crate.
    pub(crate) fn crate_dir(&self, name: &str) -> PathBuf {
        self.directory.join("patches").join(name)
    }

    /// The directory of a module in C.
    pub(crate) fn c_dir(&self, name: &str) -> PathBuf {
        self.directory.join("c").join(&self.kernel.release).join(name)
    }

    /// Writes a patch crate.
    pub(crate) fn write_crate(&self, name: &str, source: &str) -> Result<PathBuf> {
        let directory = self.crate_dir(name);
        let runtime = root().join("klp-runtime");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [dependencies]\nklp-runtime = {{ path = \"{}\" }}\n",
            runtime.display()
        );
        write_if_changed(&directory.join("Cargo.toml"), &manifest)?;
        write_if_changed(&directory.join("src/lib.rs"), source)?;
        Ok(directory)
    }

    /// Writes a module in C.
    pub(crate) fn write_c(&self, name: &str, source: &str) -> Result<PathBuf> {
        let directory = self.c_dir(name);
        write_if_changed(&directory.join("Kbuild"), &format!("obj-m := {name}.o\n"))?;
        write_if_changed(&directory.join(format!("{name}.c")), source)?;
        Ok(directory)
    }

    /// The command that builds a patch crate.
    pub(crate) fn klp_build(&self, name: &str) -> Command {
        let mut command = Command::new(&self.command);
        command
            .args(["klp", "build", "--quiet", "--kernel", &self.kernel.release, "--package", name])
            .args(["--unknown-module", TARGET])
            .current_dir(self.directory.join("patches"))
            .env_remove("CARGO_TARGET_DIR");
        command
    }

    /// The command that builds a module in C.
    pub(crate) fn make(&self, directory: &Path) -> Command {
        self.make_for(&self.kernel.kdir, directory, "modules")
    }

    /// The `make` command for any kernel and target.
    pub(crate) fn make_for(&self, kdir: &Path, directory: &Path, target: &str) -> Command {
        let mut command = Command::new("make");
        command.arg("-C").arg(kdir).arg(format!("M={}", directory.display())).arg(target);
        command.env_remove("MAKEFLAGS").env_remove("MFLAGS");
        command
    }

    /// The path of a patch crate's module.
    pub(crate) fn ko(&self, name: &str) -> PathBuf {
        let built = self.directory.join("patches/target/klp").join(&self.kernel.release);
        built.join(name).join(format!("{name}.ko"))
    }

    /// Writes and builds a patch with klp.
    pub(crate) fn build_ours(&self, name: &str, source: &str) -> Result<PathBuf> {
        self.write_crate(name, source)?;
        run_tool(self.klp_build(name).stderr(Stdio::inherit()))?;
        Ok(self.ko(name))
    }

    /// Writes and builds a module in C.
    pub(crate) fn build_c(&self, name: &str, source: &str) -> Result<PathBuf> {
        let directory = self.write_c(name, source)?;
        run_tool(&mut self.make(&directory))?;
        Ok(directory.join(format!("{name}.ko")))
    }

    /// Writes and builds a patch in both languages: with klp, then in C.
    pub(crate) fn build_both(&self, name: &str, spec: &Spec) -> Result<[PathBuf; 2]> {
        let ours = self.build_ours(&format!("{name}_klp"), &spec.rust())?;
        let c = self.build_c(&format!("{name}_c"), &spec.c())?;
        Ok([ours, c])
    }
}

/// Writes a file, and makes its directory. A file that has this text already is not written, and keeps its time.
pub(crate) fn write_if_changed(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let directory = path.parent().expect("a file is in a directory");
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    fs::write(path, text).map_err(Error::io("write", path))
}
