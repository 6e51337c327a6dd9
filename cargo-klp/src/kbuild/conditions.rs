//! The conditions on the kernel of a patch crate and of the libraries that it is compiled with.

use cargo_metadata::diagnostic::Diagnostic;
use cargo_metadata::{DependencyKind, Package, TargetKind};

use klp_format::condition::{CONFIG, Condition, HAS, SINCE};

use super::headers;
use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::Target;
use crate::patch;
use crate::patch::conditions::{Answers, Conditions};

/// The crate whose build script has a library's conditions answered.
const ANSWERING: &str = "klp-cfg";

/// The conditions of a crate, and those of its libraries, whose macros may put them into the crate.
///
/// # Errors
///
/// Conditions that are not written as they must be, or that a library has without a build script that asks.
pub(crate) fn conditions(package: &Package, libraries: &[Package]) -> Result<Conditions> {
    let mut conditions = Conditions::default();
    add(&mut conditions, package, package)?;
    for library in libraries {
        let mut own = Conditions::default();
        add(&mut own, library, package)?;
        let asks = library
            .dependencies
            .iter()
            .any(|dependency| dependency.kind == DependencyKind::Build && dependency.name == ANSWERING);
        if let (false, Some((condition, place))) = (asks, own.first()) {
            let name = &library.name;
            return Err(Error::Request {
                message: format!("{place}: nobody answers `{condition}` in the library `{name}`"),
                help: format!(
                    "add `{ANSWERING}` to the `[build-dependencies]` of `{name}`, and a build.rs: `fn main() {{ \
                     klp_cfg::answer_conditions() }}`"
                ),
            });
        }
        add(&mut conditions, library, package)?;
    }
    Ok(conditions)
}

/// Answers them for a kernel.
///
/// # Errors
///
/// This machine lacks what is needed to know.
pub(crate) fn answers(conditions: &Conditions, target: &Target, reporter: &dyn Reporter) -> Result<Answers> {
    conditions.answer(target, &headers::has, reporter)
}

/// Answers one condition for a kernel.
///
/// # Errors
///
/// This machine lacks what is needed to know.
pub(crate) fn holds(condition: &Condition, target: &Target, reporter: &dyn Reporter) -> Result<bool> {
    patch::conditions::holds(condition, target, &headers::has, reporter)
}

/// The condition on the kernel that a message of rustc calls unexpected: one that klp did not find in the source, so that
/// it would silently not hold.
pub(super) fn unanswered(message: &Diagnostic) -> Option<String> {
    let is_of_lint = message.code.as_ref().is_some_and(|code| code.code == "unexpected_cfgs");
    let span = message.spans.iter().find(|span| span.is_primary)?;
    let line = span.text.first()?;
    let written = line.text.get(line.highlight_start.saturating_sub(1)..).unwrap_or_default();
    let is_of_kernel = [SINCE, HAS, CONFIG].iter().any(|name| {
        // rustc names the condition, or where that is known its value.
        message.message.contains(&format!("`{name}")) || written.starts_with(name)
    });
    (is_of_lint && is_of_kernel).then(|| {
        format!(
            "{}:{}:{}: klp reads conditions before any macro is expanded: write this one out in a `#[cfg]`",
            span.file_name, span.line_start, span.column_start
        )
    })
}

/// Adds those of a package; places in the source of `at` are relative to it.
fn add(conditions: &mut Conditions, package: &Package, at: &Package) -> Result<()> {
    let is_library = |target: &&cargo_metadata::Target| {
        target.is_kind(TargetKind::Lib) || target.is_kind(TargetKind::RLib)
    };
    let manifest = at.manifest_path.as_std_path();
    match package.targets.iter().find(is_library) {
        Some(library) => {
            conditions.add(library.src_path.as_std_path(), manifest.parent().unwrap_or(manifest))
        }
        // cargo says that there is no library.
        None => Ok(()),
    }
}
