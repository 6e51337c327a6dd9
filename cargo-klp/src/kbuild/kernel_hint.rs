//! Notes after rustc's errors about names that the kernel has.

use std::collections::BTreeSet;

use klp_btf::Types;

use crate::kernel::{Kernel, btf};
use crate::patch::vocabulary::advice;

/// The names that rustc did not find.
#[derive(Debug, Default)]
pub(super) struct KernelHint {
    names: BTreeSet<String>,
}

impl KernelHint {
    /// Examines one message of rustc.
    pub(super) fn look_at(&mut self, message: &str) {
        if message.starts_with("cannot find ") && message.ends_with(" in this scope") {
            self.names.extend(message.split('`').nth(1).map(str::to_owned));
        }
    }

    /// What to write for those that a kernel has, a note each.
    pub(super) fn notes(&self, kernel: &Kernel) -> Vec<String> {
        if self.names.is_empty() {
            return Vec::new();
        }
        let types = btf::of_kernel(kernel).ok().flatten();
        let note = |name: &String| {
            let item = types.as_ref().and_then(|types| item(types, name).ok().flatten());
            match item {
                Some(item) => Some(format!("the kernel has `{name}`: write `{item}` in `kernel_types!`")),
                None => advice(&kernel.kdir, name).map(|advice| format!("the kernel has `{name}`: {advice}")),
            }
        };
        self.names.iter().filter_map(note).collect()
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
    fn only_names_that_are_missing() {
        let mut hint = KernelHint::default();
        for message in [
            "cannot find type `nsproxy` in this scope",
            "cannot find function `sock_put` in this scope",
            "cannot find type `nsproxy` in this scope",
            "cannot find module or crate `std`",
            "mismatched types",
        ] {
            hint.look_at(message);
        }
        assert_eq!(hint.names.into_iter().collect::<Vec<_>>(), ["nsproxy", "sock_put"]);
    }
}
