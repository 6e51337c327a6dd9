//! Symbols that a part of a patch uses and nothing defines, and why: what the compiler calls by itself, and what C's
//! headers have but the kernel does not export.

use std::collections::BTreeSet;

use object::{Object, ObjectSymbol};

use crate::error::{Error, Result};
use crate::kernel::symbols::{Access, Export, Symbols, VMLINUX, nearest_message};
use crate::patch::inspect::modinfo;
use crate::patch::manifest::Manifest;
use crate::patch::vocabulary::advice;

/// The names that a part of a module needs, and that neither another part defines nor the kernel exports for it,
/// with the symbol namespaces that the module imports.
pub(super) fn names<'a>(
    part: &'a object::File<'_>,
    symbols: &Symbols<'_>,
    defined: &BTreeSet<&str>,
    imported: &BTreeSet<String>,
) -> Vec<&'a str> {
    // Kbuild may know exports of modules that are unknown here; modpost then decides.
    if std::env::var_os("KBUILD_EXTRA_SYMBOLS").is_some() {
        return Vec::new();
    }
    let is_needed = |symbol: &object::Symbol<'_, '_>| symbol.is_undefined() && !symbol.is_weak();
    let needed = part.symbols().filter(is_needed).filter_map(|symbol| symbol.name().ok());
    let is_made_later =
        |name: &str| name.is_empty() || name.starts_with("klp_glue_") || name == "__this_module";
    let is_exported = |name: &str| {
        symbols.export(name).is_some_and(|export| match export.access() {
            Access::Free => true,
            Access::Import(namespace) => imported.contains(namespace),
            Access::Only(_) => false,
        })
    };
    needed.filter(|name| !is_made_later(name) && !defined.contains(name) && !is_exported(name)).collect()
}

/// The symbol namespaces that an object imports: `livepatch!` says so, and C's `MODULE_IMPORT_NS`.
pub(super) fn imports(part: &object::File<'_>) -> Result<Vec<String>> {
    Ok(modinfo::read(part)?.all("import_ns").map(str::to_owned).collect())
}

/// What is wrong with functions that `kernel_types!` declares and the objects of a crate call: the kernel does not export
/// them for it, and the crate does not say how to find them.
pub(super) fn of_bindings(
    objects: &[Vec<u8>],
    manifest: &Manifest,
    symbols: &Symbols<'_>,
) -> Result<Vec<String>> {
    let bound: BTreeSet<&str> = manifest.bindings.iter().map(|binding| &*binding.name).collect();
    let mut faults = BTreeSet::new();
    if bound.is_empty() {
        return Ok(Vec::new());
    }
    let parse = |data| object::File::parse(data).map_err(Error::elf("read an object of the patch"));
    let objects = objects.iter().map(|data| parse(&**data)).collect::<Result<Vec<_>>>()?;
    let imported = objects.iter().map(imports).collect::<Result<Vec<_>>>()?.concat().into_iter().collect();
    for object in &objects {
        let unknown = names(object, symbols, &BTreeSet::new(), &imported);
        let bound = unknown.into_iter().filter(|name| bound.contains(name));
        faults.extend(bound.map(|name| format!("`{name}` {}", why(symbols, name))));
    }
    Ok(faults.into_iter().collect())
}

/// What to write for an export in a symbol namespace that the patch does not import.
pub(super) fn by_namespace(export: &Export) -> Option<String> {
    let Access::Import(namespace) = export.access() else { return None };
    Some(format!(
        "is exported in the symbol namespace {namespace}: write `imports_ns: [{namespace:?}]` in `livepatch!`"
    ))
}

/// Why Rust code can't use a name that is not exported for it.
pub(super) fn why(symbols: &Symbols<'_>, name: &str) -> String {
    if let Some(export) = symbols.export(name) {
        return by_namespace(&export).unwrap_or_else(|| for_others(&export));
    }
    by_the_compiler(name).map_or_else(|| by_the_kernel(symbols, name), str::to_owned)
}

/// What to write for an export that is for some modules only.
fn for_others(export: &Export) -> String {
    let modules = export.namespace.as_deref().unwrap_or_default();
    let object = match &*export.object {
        VMLINUX => String::new(),
        object => format!("(object = {object:?})"),
    };
    format!(
        "is exported for some modules only ({modules}): declare it in an `unsafe extern \"C\"` block with \
         `#[klp_symbols{object}]`"
    )
}

/// The reason why the compiler calls a function that the kernel lacks.
pub(super) fn by_the_compiler(name: &str) -> Option<&'static str> {
    let rest = name.strip_prefix("__").unwrap_or_default();
    let ends = |ends: &[&str]| ends.iter().any(|end| rest.ends_with(end));
    let starts = |starts: &[&str]| starts.iter().any(|start| rest.starts_with(start));
    let of_two = ["add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge", "unord", "cmp"];
    let has_float = ["hf", "sf", "df", "tf"].iter().any(|mode| rest.contains(mode));
    if (starts(&of_two) && ends(&["hf3", "sf3", "df3", "tf3", "hf2", "sf2", "df2", "tf2"]))
        || (starts(&["fix", "float", "extend", "trunc", "neg"]) && has_float)
        || ["fmod", "fmodf", "pow", "powf"].contains(&name)
    {
        return Some("is called for floating-point numbers: a kernel has none, use integers");
    }
    if ends(&["ti3", "ti4", "ti2"]) {
        return Some(
            "is called to multiply, divide or shift 128-bit numbers: a kernel can't, use at most 64 bits",
        );
    }
    if name == "__tls_get_addr" {
        return Some("is called for a thread-local variable: a kernel has none");
    }
    if name.starts_with("_Unwind_") || name == "rust_eh_personality" {
        return Some("is called to unwind: code of the kernel can't, and a panic must not happen");
    }
    if name.contains("__rust_alloc") || name.contains("__rust_dealloc") || name.contains("__rust_realloc") {
        return Some("is called by the `alloc` crate: a patch has `core` only, use `KBox`");
    }
    None
}

/// What the kernel has under a name that it does not export.
fn by_the_kernel(symbols: &Symbols<'_>, name: &str) -> String {
    // Without the kernel's image, nothing more is known.
    let plain = "is not exported by the kernel or its modules".to_owned();
    let Ok(vmlinux) = symbols.object(VMLINUX) else { return plain };
    if !vmlinux.named(name).is_empty() {
        return "exists but is not exported: write `#[klp_symbols]` above its `unsafe extern \"C\"` block, or its `fn` in \
                `kernel_types!`".into();
    }
    if let Ok([module, ..]) = symbols.modules_with(name).as_deref() {
        return format!(
            "exists in the module {module} but is not exported: declare it in an `unsafe extern \"C\"` block with \
             `#[klp_symbols(object = {module:?})]`"
        );
    }
    if let Some(advice) = advice(&symbols.target().kernel, name) {
        return format!("has no symbol: {advice}");
    }
    let nearest = vmlinux.nearest(name);
    let hint = match nearest.is_empty() {
        true => String::new(),
        false => format!("; {}", nearest_message("in vmlinux", &nearest)),
    };
    format!("does not exist as a symbol, and no header of the kernel defines it{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_compiler_calls() {
        for (name, text) in [
            ("__muldf3", "floating-point"),
            ("__addsf3", "floating-point"),
            ("__ltdf2", "floating-point"),
            ("__floatsidf", "floating-point"),
            ("__fixunsdfsi", "floating-point"),
            ("__udivti3", "128-bit"),
            ("__muloti4", "128-bit"),
            ("__tls_get_addr", "thread-local"),
            ("_Unwind_Resume", "unwind"),
        ] {
            assert!(by_the_compiler(name).is_some_and(|why| why.contains(text)), "{name}");
        }
        for name in [
            "printk",
            "fixup_exception",
            "add_taint",
            "truncate_inode_pages",
            "float_to_disk",
            "tcp_rearm_rto",
        ] {
            assert_eq!(by_the_compiler(name), None, "{name}");
        }
    }
}
