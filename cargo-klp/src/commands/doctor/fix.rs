//! Installs what is missing.

use std::process::Command;

use super::checks::{Check, Fix};
use crate::commands::ui::{self, Terminal};
use crate::error::{Error, Result};
use crate::host::debian;
use crate::host::distribution::Distribution;
use crate::host::tools::run_tool;
use crate::kernel::{self, KernelParts, KernelQuery, debug_info, kernel_crate, source};
use crate::vm;

/// Installs what is missing, on Debian.
pub(super) fn fix(checks: &[Check]) -> Result<()> {
    if !Distribution::of_this_machine().is_debian() {
        return Ok(());
    }
    let mut packages = Vec::new();
    let mut others = Vec::new();
    for check in checks.iter().filter(|check| !check.ok()) {
        match &check.fix {
            Fix::Package(package) => packages.push(package.as_str()),
            Fix::User(_) => {}
            other => others.push(other),
        }
    }
    packages.sort_unstable();
    packages.dedup();
    // First what needs no privileges, so that as much as possible is done when apt is refused; but
    // depmod, which a kernel needs, may be in a package, as what makes a `kernel` crate may.
    let is_made_here = |fix: &&Fix| matches!(fix, Fix::KernelCrate(_));
    let needs_packages_first = packages.contains(&"kmod") || others.iter().any(is_made_here);
    if needs_packages_first {
        install(&packages)?;
    }
    for fix in others {
        match fix {
            Fix::RustSrc => {
                let library = debian::fetch_rust_src(&Terminal)?;
                ui::status("Unpacked", library.display());
            }
            Fix::Busybox(arch) => {
                ui::status("Unpacked", vm::fetch_busybox(arch, &Terminal)?.display());
            }
            Fix::Kernel(wanted) => {
                let release = kernel::fetch(wanted, &Terminal)?;
                ui::status("Unpacked", format_args!("kernel {release}"));
            }
            Fix::DebugInfo(wanted) => {
                // A missing kernel has been downloaded by now, so this includes its debug information.
                let kernel = KernelQuery::Release(wanted.clone()).find(KernelParts::Image)?;
                debug_info::fetch(&kernel.into(), &Terminal)?;
            }
            Fix::Source(wanted) => {
                let kernel = KernelQuery::Release(wanted.clone()).find(KernelParts::Headers)?;
                let source = source::fetch(&kernel, &Terminal)?;
                ui::status("Unpacked", source.display());
            }
            Fix::KernelCrate(wanted) => {
                let kernel = KernelQuery::Release(wanted.clone()).find(KernelParts::Headers)?;
                let made = kernel_crate::make(&kernel, &Terminal)?;
                ui::status("Made", made.display());
            }
            Fix::Package(_) | Fix::User(_) => {}
        }
    }
    if !needs_packages_first {
        install(&packages)?;
    }
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        return Err(Error::MissingSome {
            what: packages.iter().map(|package| format!("package {package}")).collect(),
            help: format!("run `sudo apt-get update && sudo apt-get install --no-install-recommends {list}`"),
        });
    }
    let _spinner = ui::spinner("Installing", &list);
    let apt_get = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    run_tool(apt_get().args(["-qq", "update"]))?;
    run_tool(apt_get().args(["-qq", "-y", "--no-install-recommends", "install"]).args(packages))
        .map_err(|error| debian::not_downloaded(&list, error))?;
    Ok(())
}
