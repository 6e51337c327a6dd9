//! Whether a patch fits the machine as it is: what can be seen before the kernel is asked.
//!
//! The kernel and the patch itself look again, under the livepatch mutex. What is found here has a better message, and
//! all of it at once.

use klp_format::STATE_BLOCK_DISABLE;
use klp_format::manifest::State;
use klp_module::{About, build_id};

use crate::error::{Error, Result};
use crate::file::ModuleFile;
use crate::files::{bytes, flag, text};
use crate::loaded::Loaded;
use crate::machine::Machine;
use crate::stuck;
use crate::sysfs::{self, Patch};

/// What the kernel would do with a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It may be loaded.
    Fits,
    /// This build of it is enabled.
    IsEnabled,
}

/// Looks at a patch and the machine.
///
/// # Errors
///
/// All reasons for which it must not be loaded; or another transition is running.
pub fn check(machine: &dyn Machine, patch: &ModuleFile, allow_downgrade: bool) -> Result<Fit> {
    if !sysfs::is_supported(machine) {
        return Err(Error::Request {
            message: "this kernel has no livepatches: /sys/kernel/livepatch is missing".into(),
            help: "boot a kernel with CONFIG_LIVEPATCH=y".into(),
        });
    }
    stuck::check(machine)?;
    let mut reasons = build_reasons(machine, patch)?;
    let is_of_another_build = !reasons.is_empty();
    let lacks = machine_reasons(machine, patch)?;
    let lacks_something = !lacks.is_empty();
    reasons.extend(lacks);
    let enabled = Patch::find(machine, &patch.name)?.is_some_and(|patch| patch.enabled && !patch.transition);
    if let Some(loaded) = Loaded::find(machine, &patch.name)? {
        if enabled && patch.build_id.is_some() && loaded.build_id == patch.build_id {
            return Ok(Fit::IsEnabled);
        }
        reasons.push(if enabled {
            "another build of it is enabled: a successor needs another module name".into()
        } else {
            format!("a module {} is still loaded: `klp unload {0}` removes it", patch.name)
        });
    }
    if let Some(other) = Patch::in_transition(machine)? {
        return Err(Error::Busy { patch: other.name });
    }
    if let Some(about) = &patch.about {
        for loaded in enabled_patches(machine)? {
            if let Some(other) = &loaded.about {
                reasons.extend(reasons_beside(about, &loaded.name, other, allow_downgrade));
            }
        }
    }
    if reasons.is_empty() {
        return Ok(Fit::Fits);
    }
    let help = match patch.about.as_ref().and_then(About::series) {
        Some(_) if reasons.iter().any(|reason| reason.starts_with(DOWNGRADE)) => {
            "`--allow-downgrade` replaces the higher revision all the same: its fixes are lost".into()
        }
        _ if is_of_another_build => {
            format!("build it for this machine: `cargo klp build --kernel {}`", release(machine)?)
        }
        _ if lacks_something => "do what the lines above name, and load it again".into(),
        _ => "`klp status` shows the patches that are enabled, with their states and versions".into(),
    };
    Err(Error::Unfit { name: patch.name.clone(), reasons, help })
}

/// How the reason begins that `--allow-downgrade` is for.
const DOWNGRADE: &str = "its revision";

/// The modules of the patches that are enabled.
fn enabled_patches(machine: &dyn Machine) -> Result<Vec<Loaded>> {
    let mut modules = Vec::new();
    for patch in Patch::all(machine)?.into_iter().filter(|patch| patch.enabled) {
        modules.extend(Loaded::find(machine, &patch.name)?);
    }
    Ok(modules)
}

/// The release of the kernel that runs.
///
/// # Errors
///
/// Those of reading procfs.
pub fn release(machine: &dyn Machine) -> Result<String> {
    Ok(text(&machine.path("proc/sys/kernel/osrelease"))?.unwrap_or_default())
}

/// What the patch is built for, where that is not the kernel that runs.
///
/// # Errors
///
/// Those of reading procfs and sysfs.
pub fn build_reasons(machine: &dyn Machine, patch: &ModuleFile) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    let release = release(machine)?;
    match &patch.release {
        Some(wanted) if *wanted == release => {}
        wanted => {
            let wanted = wanted.as_deref().unwrap_or("(none)");
            reasons.push(format!("it is built for the kernel {wanted}, and {release} runs"));
        }
    }
    let running = bytes(&machine.path("sys/kernel/notes"))?.and_then(|notes| build_id(&notes));
    if let (Some(wanted), Some(running)) =
        (patch.about.as_ref().and_then(|about| about.kernel.as_ref()), running)
        && *wanted != running
    {
        reasons.push(format!(
            "it is built for another build of this kernel: expected build ID {wanted}, found {running}"
        ));
    }
    Ok(reasons)
}

/// What this machine asks of every module, and the patch lacks.
fn machine_reasons(machine: &dyn Machine, patch: &ModuleFile) -> Result<Vec<String>> {
    let mut reasons = Vec::new();
    reasons.extend(signature_reason(machine, patch)?);
    if flag(&machine.path("proc/sys/kernel/modules_disabled"))? == Some(true) {
        reasons.push(
            "the kernel loads no module any more (kernel.modules_disabled=1): only a reboot allows it again"
                .into(),
        );
    }
    for module in &patch.depends {
        if Loaded::find(machine, module)?.is_none() && !machine.path("sys/module").join(module).is_dir() {
            reasons.push(format!("it needs the module {module}, which is not loaded: `modprobe {module}`"));
        }
    }
    Ok(reasons)
}

/// What is wrong with a patch's signature, as far as that can be seen without the key.
///
/// # Errors
///
/// Those of reading sysfs.
pub fn signature_reason(machine: &dyn Machine, patch: &ModuleFile) -> Result<Option<String>> {
    Ok(match &patch.signature {
        Ok(Some(_)) => None,
        Ok(None) => signature_is_enforced(machine)?.map(|why| {
            format!(
                "it is not signed, and the kernel loads signed modules only ({why}): sign it with a key that the kernel \
                 trusts, where it was built: `cargo klp sign`"
            )
        }),
        // The kernel refuses such a module even where it asks for no signature.
        Err(why) => Some(format!("its signature can't be read, {why}: copy it again, or sign it again")),
    })
}

/// Whether the kernel loads signed modules only; what says so.
///
/// # Errors
///
/// Those of reading sysfs.
fn signature_is_enforced(machine: &dyn Machine) -> Result<Option<&'static str>> {
    if flag(&machine.path("sys/module/module/parameters/sig_enforce"))? == Some(true) {
        return Ok(Some("module.sig_enforce"));
    }
    let lockdown = text(&machine.path("sys/kernel/security/lockdown"))?.unwrap_or_default();
    let is_locked = ["[integrity]", "[confidentiality]"].iter().any(|mode| lockdown.contains(mode));
    Ok(is_locked.then_some("lockdown"))
}

/// The rules of the lifecycle that can be seen from outside: S1, S13 and S20. A test compares the answers with those of the
/// engine, which a tool that serves any patch does not carry.
pub(crate) fn reasons_beside(patch: &About, name: &str, other: &About, allow_downgrade: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if let (Some((series, revision)), Some((other_series, other_revision))) = (patch.series(), other.series())
        && patch.replaces()
        && series == other_series
        && revision < other_revision
        && !allow_downgrade
    {
        reasons.push(format!(
            "{DOWNGRADE} {revision} of series {series} is lower than {other_revision} of {name}"
        ));
    }
    for state in &patch.states {
        if let Some(theirs) = other.states.iter().find(|theirs| theirs.id == state.id) {
            reasons.extend(state_reason((patch, state), name, (other, theirs)));
        }
    }
    let lacks = |state: &&State| !patch.states.iter().any(|ours| ours.id == state.id);
    let blocks = |state: &&State| state.flags & u64::from(STATE_BLOCK_DISABLE) != 0;
    if patch.replaces() {
        for state in other.states.iter().filter(lacks).filter(blocks) {
            reasons.push(format!(
                "it lacks state {} (id {}) of {name}, which is marked block_disable",
                state.name, state.id
            ));
        }
    }
    reasons
}

fn state_reason(ours: (&About, &State), name: &str, theirs: (&About, &State)) -> Option<String> {
    let ((patch, state), (other_patch, theirs)) = (ours, theirs);
    let title = format!("state {} (id {})", state.name, state.id);
    let (version, other) = (state.version, theirs.version);
    let is_of_another_series = matches!((patch.series(), other_patch.series()),
        (Some((series, _)), Some((other, _))) if series != other);
    if state.name != theirs.name {
        Some(format!("{title} has the id of state {} of {name}", theirs.name))
    } else if is_of_another_series {
        Some(format!("{title} is also one of {name}, which is of another series"))
    } else if version < other {
        Some(format!("{title} has version {version}, which is lower than version {other} of {name}"))
    } else if version > other && !patch.replaces() {
        Some(format!(
            "{title} has version {version}, and version {other} in {name}, which this patch does not replace"
        ))
    } else {
        None
    }
}
