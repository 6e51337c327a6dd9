//! Notes after rustc's errors about names that the kernel has: those that it did not find, and those that it found twice.

use std::collections::BTreeSet;

use klp_btf::Types;

use crate::kernel::{Kernel, btf};
use crate::patch::vocabulary::advice;

/// The names that rustc did not find, or that it found twice.
#[derive(Debug, Default)]
pub(super) struct KernelHint {
    names: BTreeSet<String>,
    doubled: BTreeSet<String>,
}

impl KernelHint {
    /// Examines one message of rustc.
    pub(super) fn look_at(&mut self, message: &str) {
        if message.starts_with("cannot find ") && message.ends_with(" in this scope") {
            self.names.extend(message.split('`').nth(1).map(str::to_owned));
        }
        if let Some(name) = message
            .strip_prefix("the name `")
            .and_then(|rest| rest.strip_suffix("` is defined multiple times"))
        {
            self.doubled.insert(name.to_owned());
        }
    }

    /// What to write for those that a kernel has.
    pub(super) fn notes(&self, kernel: &Kernel) -> Vec<String> {
        if self.names.is_empty() && self.doubled.is_empty() {
            return Vec::new();
        }
        let types = btf::of_kernel(kernel).ok().flatten();
        let note = |name: &String| {
            let item = types.as_ref().and_then(|types| item(types, name).ok().flatten());
            match item {
                Some(item) => Some(format!("the kernel has `{name}`: write `{item}` in `kernel_types!`")),
                None => advice(kernel, name).map(|advice| format!("the kernel has `{name}`: {advice}")),
            }
        };
        let is_of_kernel = |name: &&String| {
            let types = types.as_ref();
            types.is_some_and(|types| item(types, name).is_ok_and(|item| item.is_some()))
        };
        let doubled: Vec<String> =
            self.doubled.iter().filter(is_of_kernel).map(|name| format!("`{name}`")).collect();
        let shared = (!doubled.is_empty()).then(|| {
            format!(
                "blocks of `kernel_types!` in one Rust module share no type, also none that they only point to ({}): write \
                 one block, or give each a `mod` of its own",
                doubled.join(", ")
            )
        });
        self.names.iter().filter_map(note).chain(shared).collect()
    }
}

/// The item of `kernel_types!` that declares what BTF has under a name.
fn item(types: &Types, name: &str) -> klp_btf::Result<Option<String>> {
    if let Some(id) = types.find(name)? {
        if types.layout(id)?.is_some() {
            return Ok(Some(format!("struct {name} {{ … }}")));
        }
        if types.enumerators(id)?.is_some() {
            return Ok(Some(format!("enum {name};")));
        }
    }
    if types.enumerator(name)?.is_some() {
        return Ok(Some(format!("const {name};")));
    }
    Ok((!types.prototypes(name)?.is_empty()).then(|| format!("fn {name};")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_missing_and_doubled() {
        let mut hint = KernelHint::default();
        for message in [
            "cannot find type `nsproxy` in this scope",
            "cannot find function `sock_put` in this scope",
            "cannot find type `nsproxy` in this scope",
            "cannot find module or crate `std`",
            "mismatched types",
            "the name `sock` is defined multiple times",
        ] {
            hint.look_at(message);
        }
        assert_eq!(hint.names.into_iter().collect::<Vec<_>>(), ["nsproxy", "sock_put"]);
        assert_eq!(hint.doubled.into_iter().collect::<Vec<_>>(), ["sock"]);
    }
}
