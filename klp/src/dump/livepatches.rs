//! The livepatches in a kernel's memory: what `sysfs`, `loaded` and `tasks` tell of a kernel that runs.

use klp_format::manifest::NOTE_KIND;
use klp_module::{About, build_id};

use super::fault::{Result, if_present};
use super::structures::{Kernel, Structure};
use crate::loaded::Loaded;
use crate::sysfs::{Function, Object, Patch};
use crate::tasks::{Blocker, Held};

/// What is looked up in the kernel's table of symbols.
pub const SYMBOLS: [&str; 8] = [
    "__start_BTF",
    "__stop_BTF",
    "init_task",
    "klp_patches",
    "klp_transition_patch",
    "modules",
    "sig_enforce",
    "tainted_mask",
];

/// `MODULE_STATE_LIVE`: the module's init function has returned.
const LIVE: u64 = 0;

/// `NT_GNU_BUILD_ID`: the type of the note that has the build ID.
const BUILD_ID: u32 = 3;

/// The letters of the taints that a module may bring, by their bits.
const TAINTS: [(u32, char); 9] =
    [(0, 'P'), (1, 'F'), (10, 'C'), (12, 'O'), (13, 'E'), (15, 'K'), (16, 'X'), (18, 'N'), (19, 'J')];

/// A patch that the kernel knew.
pub struct Dumped {
    /// As sysfs would show it.
    pub patch: Patch,
    /// The module that has it, by its address.
    pub module: u64,
    /// Whether a transition was forced while it was enabled.
    pub forced: bool,
    /// What of it is on pages that the dump lacks.
    pub missing: Vec<&'static str>,
}

/// The patches that the kernel knew, in the order in which they were enabled.
pub fn patches(kernel: &Kernel) -> Result<Vec<Dumped>> {
    let Some(head) = kernel.variable("klp_patches") else { return Ok(Vec::new()) };
    let transition = kernel.number("klp_transition_patch")?;
    let mut patches = Vec::new();
    for (patch, place) in kernel.list(head, "klp_patch", "list")?.into_iter().zip(1..) {
        let Some(module) = patch.pointed("mod", "module")? else { continue };
        // The functions may be in memory that was allocated, which an old makedumpfile leaves out at random.
        let objects = if_present(objects(patch).map(Some))?;
        patches.push(Dumped {
            missing: if objects.is_some() { Vec::new() } else { vec!["the functions that it redirects"] },
            patch: Patch {
                name: module.letters("name")?,
                enabled: patch.flag("enabled")?,
                transition: transition == Some(patch.address),
                replace: patch.number_if_any("replace")?.map(|replace| replace != 0),
                stack_order: Some(place),
                objects: objects.unwrap_or_default(),
            },
            module: module.address,
            forced: patch.flag("forced")?,
        });
    }
    Ok(patches)
}

fn objects(patch: Structure<'_>) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for object in patch.list("obj_list", "klp_object", "node")? {
        let mut functions = Vec::new();
        for function in object.list("func_list", "klp_func", "node")? {
            // What an atomic replace gives back to the kernel is no redirection.
            if !function.flag("nop")? {
                let name = function.text("old_name")?.unwrap_or_default();
                // As sysfs has it, which says 1 of a function whose name is unique.
                functions.push(Function { name, sympos: function.number("old_sympos")?.max(1) });
            }
        }
        functions.sort_by(|one, other| (&one.name, one.sympos).cmp(&(&other.name, other.sympos)));
        objects.push(Object {
            name: object.text("name")?.unwrap_or_else(|| "vmlinux".into()),
            patched: Some(object.flag("patched")?),
            functions,
        });
    }
    objects.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(objects)
}

/// The modules of livepatches, enabled or not, with their addresses.
pub fn modules(kernel: &Kernel) -> Result<Vec<(u64, Loaded)>> {
    let Some(head) = kernel.variable("modules") else { return Ok(Vec::new()) };
    let mut modules = Vec::new();
    for module in kernel.list(head, "module", "list")? {
        let taints = module.number("taints")?;
        let taint: String =
            TAINTS.iter().filter(|(bit, _)| taints >> bit & 1 != 0).map(|(_, letter)| letter).collect();
        if !taint.contains(crate::loaded::LIVEPATCH) {
            continue;
        }
        let memory = memory(kernel, module)?;
        let references = module.number("refcnt")? as u32;
        let loaded = Loaded {
            name: module.letters("name")?,
            version: if_present(module.text("version"))?,
            srcversion: if_present(module.text("srcversion"))?,
            build_id: note(&memory, b"GNU\0", BUILD_ID).and_then(|note| build_id(&note)),
            about: note(&memory, b"klp\0", NOTE_KIND).and_then(|note| About::of_section(&note)),
            taint,
            // The kernel itself holds each module once.
            references: Some(references.saturating_sub(1).into()),
            is_live: module.number("state")? == LIVE,
        };
        modules.push((module.address, loaded));
    }
    Ok(modules)
}

/// A note in the memory of a module, and what follows it. The kernel's own list of a module's notes is in memory that a
/// makedumpfile older than the kernel takes for a process's, and leaves out.
fn note(memory: &[Vec<u8>], owner: &[u8; 4], kind: u32) -> Option<Vec<u8>> {
    let is_it = |header: &[u8]| {
        header.starts_with(&4_u32.to_le_bytes())
            && header[8..12] == kind.to_le_bytes()
            && header[12..16] == *owner
    };
    memory.iter().find_map(|part| {
        let at = part.windows(16).step_by(4).position(is_it)?;
        Some(part[at * 4..].to_vec())
    })
}

/// The memory of a module, part by part; none of a part that the dump lacks.
fn memory(kernel: &Kernel, module: Structure<'_>) -> Result<Vec<Vec<u8>>> {
    // Far more than a module has.
    const LIMIT: u64 = 1 << 26;
    let mut parts = module.parts("mem", "module_memory")?;
    if parts.is_empty() {
        // Until 6.3.
        parts = module.parts("core_layout", "module_layout")?;
    }
    let mut memory = Vec::new();
    for part in parts {
        let (base, size) = (part.number("base")?, part.number("size")?);
        if base != 0 && size < LIMIT {
            memory.extend(if_present(kernel.read(base, size as usize).map(Some))?);
        }
    }
    Ok(memory)
}

/// A function that tasks must leave before a transition ends.
struct Code {
    start: u64,
    end: u64,
    name: String,
    /// The patch that has it; none for the kernel's own.
    module: Option<String>,
}

/// The functions that tasks must leave before a patch is enabled or disabled: those that it redirects, those that other
/// patches have put in their places, or its own.
fn left(kernel: &Kernel, patch: &Patch) -> Result<Vec<Code>> {
    let Some(head) = kernel.variable("klp_patches") else { return Ok(Vec::new()) };
    let mut code = Vec::new();
    for other in kernel.list(head, "klp_patch", "list")? {
        let Some(module) = other.pointed("mod", "module")? else { continue };
        let module = module.letters("name")?;
        let is_it = module == patch.name;
        for object in other.list("obj_list", "klp_object", "node")? {
            for function in object.list("func_list", "klp_func", "node")? {
                let name = function.text("old_name")?.unwrap_or_default();
                let (start, size, module) = if is_it && patch.enabled {
                    (function.number("old_func")?, function.number("old_size")?, None)
                } else if is_it || patch.enabled && patch.redirects(&name) {
                    (function.number("new_func")?, function.number("new_size")?, Some(module.clone()))
                } else {
                    continue;
                };
                code.push(Code { start, end: start.wrapping_add(size), name, module });
            }
        }
    }
    Ok(code)
}

/// The innermost function on the stack of a task that slept, as far as what stands on it tells.
fn held(kernel: &Kernel, task: Structure<'_>, code: &[Code]) -> Result<Option<Held>> {
    // `THREAD_SIZE`, which KASAN doubles; stacks are aligned to it.
    const SIZE: u64 = 4 * 4096;
    let stack = task.number("stack")?;
    let top = task.part("thread", "thread_struct")?.number("sp")?;
    let Some(depth) = top.checked_sub(stack).filter(|depth| *depth < 2 * SIZE) else { return Ok(None) };
    let size = if depth < SIZE { SIZE - depth } else { 2 * SIZE - depth };
    // A task that ends has given its stack back.
    let Ok(words) = kernel.read(top, size as usize) else { return Ok(None) };
    let words = words
        .chunks_exact(8)
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("these are eight bytes")));
    let found =
        words.into_iter().find_map(|word| code.iter().find(|code| code.start < word && word < code.end));
    Ok(found.map(|code| Held { name: code.name.clone(), module: code.module.clone() }))
}

/// The tasks that held up a patch's transition, by their numbers; none if there was no transition.
pub fn blockers(kernel: &Kernel, dumped: &mut Dumped) -> Result<Vec<Blocker>> {
    if !dumped.patch.transition {
        return Ok(Vec::new());
    }
    let blockers = if_present(of_tasks(kernel, &dumped.patch).map(Some))?;
    if blockers.is_none() {
        dumped.missing.push("the tasks that hold up its transition");
    }
    Ok(blockers.unwrap_or_default())
}

fn of_tasks(kernel: &Kernel, patch: &Patch) -> Result<Vec<Blocker>> {
    let Some(init) = kernel.variable("init_task") else { return Ok(Vec::new()) };
    let code = left(kernel, patch)?;
    let init = kernel.structure("task_struct", init);
    let mut blockers = Vec::new();
    for process in init.list("tasks", "task_struct", "tasks")? {
        let Some(signal) = process.pointed("signal", "signal_struct")? else { continue };
        for task in signal.list("thread_head", "task_struct", "thread_node")? {
            // -1 outside of a transition.
            if task.number("patch_state")? as u32 != u32::from(!patch.enabled) {
                continue;
            }
            blockers.push(Blocker {
                pid: task.number("tgid")? as u32,
                tid: task.number("pid")? as u32,
                name: task.letters("comm")?.replace(char::is_control, "?"),
                state: state(task.number("__state")?, task.number("exit_state")?).into(),
                function: held(kernel, task, &code)?,
                stack: Vec::new(),
            });
        }
    }
    blockers.sort_by_key(|blocker| (blocker.pid, blocker.tid));
    Ok(blockers)
}

/// The letter of `fs/proc/array.c` for what a task does.
fn state(state: u64, exit: u64) -> &'static str {
    match (state, exit) {
        (_, 0x10) => "X",
        (_, 0x20) => "Z",
        (0, _) => "R",
        _ if state & 0x402 == 0x402 => "I",
        _ if state & 1 != 0 => "S",
        _ if state & 2 != 0 => "D",
        _ if state & 4 != 0 => "T",
        _ if state & 8 != 0 => "t",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_by_its_owner_and_type() {
        let note_of = |owner: &[u8; 4], kind: u32| {
            [&4_u32.to_le_bytes()[..], &2_u32.to_le_bytes(), &kind.to_le_bytes(), owner, b"\x12\xab\0\0"]
                .concat()
        };
        let part = [vec![4; 20], note_of(b"GNU\0", 5), note_of(b"klp\0", 3), note_of(b"GNU\0", 3)].concat();
        let memory = [vec![0; 8], part];
        assert_eq!(
            note(&memory, b"GNU\0", BUILD_ID).and_then(|note| build_id(&note)).as_deref(),
            Some("12ab")
        );
        assert_eq!(note(&memory, b"klp\0", NOTE_KIND), None);
    }
}
