//! Functions in which tasks stay: while one does, the kernel can't switch that task to a patch.

use klp_btf::Prototype;

use super::ObjectInfo;
use crate::error::{Error, Result};
use crate::kernel::symbols::Symbol;

/// What a thread of the kernel does in its main function, and callbacks of the same type do not: it sleeps, or
/// looks whether it must stop.
const LOOPS: [&str; 6] = [
    "kthread_should_stop",
    "kthread_freezable_should_stop",
    "kthread_should_park",
    "schedule",
    "schedule_timeout",
    "schedule_hrtimeout_range",
];

/// What redirecting a function means for the transition, where tasks stay in it.
pub(super) fn stays(info: &ObjectInfo<'_>, function: &Symbol) -> Result<Option<String>> {
    let Some(flow) = info.object.flow(function)? else { return Ok(None) };
    let name = &function.name;
    let why = if !flow.can_leave {
        format!("`{name}` never returns")
    } else if is_thread_function(info, name)? && LOOPS.iter().any(|name| calls(info, &flow.calls, name)) {
        format!("`{name}` is the main function of kernel threads, and returns only where a thread ends")
    } else {
        return Ok(None);
    };
    Ok(Some(format!(
        "{why}: a task that is in it keeps the old code, and the transition waits for it, until the task ends or the \
         transition is forced; redirect a function that it calls"
    )))
}

fn calls(info: &ObjectInfo<'_>, calls: &[u64], name: &str) -> bool {
    info.object.named(name).iter().any(|symbol| calls.contains(&symbol.address))
}

/// Whether a function has the type of those that `kthread_create` takes: `int (*)(void *)`.
fn is_thread_function(info: &ObjectInfo<'_>, name: &str) -> Result<bool> {
    let Some(types) = &info.types else { return Ok(false) };
    let has_type = |prototype: &Prototype| {
        let [(_, parameter)] = &*prototype.parameters else { return Ok(false) };
        Ok(types.c_declaration(*parameter, "")?.trim() == "void *"
            && types.c_declaration(prototype.returns, "")?.trim() == "int")
    };
    let prototypes = types.prototypes(name).map_err(Error::btf(&info.object.name))?;
    let found: klp_btf::Result<Vec<bool>> = prototypes.iter().map(has_type).collect();
    Ok(found.map_err(Error::btf(&info.object.name))?.contains(&true))
}
