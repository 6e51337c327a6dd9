//! The names of configuration options, also of those that are not set.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Kernel, KernelParts, KernelQuery, available};

/// The options that the configuration of this kernel, or of another one on this machine, names; empty if this kernel's
/// build directory has no `.config`. Options whose dependencies are not met are in no configuration.
pub(crate) fn known(kernel: &Kernel) -> BTreeSet<String> {
    let Some(mut known) = of_file(&kernel.kdir) else { return BTreeSet::new() };
    for release in available(KernelParts::Headers).unwrap_or_default() {
        if let Ok(other) = KernelQuery::Release(release).find(KernelParts::Headers) {
            known.extend(of_file(&other.kdir).unwrap_or_default());
        }
    }
    known
}

fn of_file(kdir: &Path) -> Option<BTreeSet<String>> {
    fs::read_to_string(kdir.join(".config")).ok().map(|text| names(&text))
}

fn names(text: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let line = line.trim_start_matches("# ");
        let (name, rest) = line.split_at(line.find(['=', ' '])?);
        let is_option = name.starts_with("CONFIG_") && (rest.starts_with('=') || rest == " is not set");
        is_option.then(|| name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_set_and_that_are_not() {
        let text = "#\n# Automatically generated\n#\nCONFIG_A=y\nCONFIG_B=\"b c\"\n# CONFIG_C is not set\n# CONFIG_D is fine\n";
        assert_eq!(names(text).into_iter().collect::<Vec<_>>(), ["CONFIG_A", "CONFIG_B", "CONFIG_C"]);
    }
}
