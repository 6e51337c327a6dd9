//! Looks through the sources of kernels for options that add flags of a compiler: the table must have each of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::makefiles::{Found, files_in, name, of_makefile, of_tree, unknown};
use crate::host::cache;
use crate::kernel::arch::{ARM64, X86_64};
use crate::kernel::{DEFAULT_SERIES, KernelParts, KernelQuery, headers, source};

/// The options of a source tree for x86-64.
fn walk(tree: &Path) -> Found {
    let mut found = Found::new();
    of_tree(tree, &X86_64, &mut found);
    // Where Kconfig files of x86 ask the compiler about a flag.
    for directory in ["arch", "arch/x86", "init", "kernel", "kernel/trace", "lib", "mm", "security"] {
        for file in files_in(&tree.join(directory)).filter(|path| name(path).starts_with("Kconfig")) {
            let place = file.strip_prefix(tree).unwrap().display().to_string();
            of_kconfig(&fs::read_to_string(&file).unwrap(), &place, &mut found);
        }
    }
    found
}

/// Adds the options that depend on a flag of the compiler. Those that only say what it can are left to the Makefiles.
fn of_kconfig(text: &str, place: &str, found: &mut Found) {
    let text = text.replace("\\\n", " ");
    let mut option = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("config ").or_else(|| line.strip_prefix("menuconfig ")) {
            option = name.trim();
        }
        let asks = ["$(cc-option,", "$(rustc-option,"].iter().any(|ask| line.contains(ask));
        if asks && line.starts_with("depends on") && !option.starts_with("HAVE_") {
            found.entry(option.to_owned()).or_default().insert(place.to_owned());
        }
    }
}

/// The headers have the Makefiles of all architectures.
#[test]
fn the_table_has_each_option_that_adds_flags_on_arm64() {
    let kernel = KernelQuery::Release(DEFAULT_SERIES.into()).find(KernelParts::Headers).unwrap();
    let mut found = Found::new();
    of_tree(&headers::common(&kernel.kdir).unwrap(), &ARM64, &mut found);
    assert!(found.contains_key("ARM64_PTR_AUTH_KERNEL"), "{found:?}");
    assert_eq!(unknown(&found), [""; 0]);
}

/// `cargo klp doctor --fix --source` gets the source of the default series; those of others are looked through where
/// they are in the cache, as for `cargo xtask soak`.
#[test]
fn the_table_has_each_option_that_adds_flags() {
    let kernel = KernelQuery::Release(DEFAULT_SERIES.into()).find(KernelParts::Headers).unwrap();
    let default = source::find(&kernel).unwrap().expect("`cargo klp doctor --fix --source` gets it");
    let others = fs::read_dir(cache::root().unwrap().join("sources")).unwrap();
    let trees: BTreeSet<_> =
        others.map(|entry| entry.unwrap().path()).filter(|tree| !name(tree).starts_with('.')).collect();
    assert!(trees.contains(&default));
    for tree in trees {
        let found = walk(&tree);
        assert!(found.len() > 80, "only {} in {}", found.len(), tree.display());
        let unknown = unknown(&found);
        assert!(
            unknown.is_empty(),
            "{} has options of which nobody has said what they mean for Rust code:\n{}",
            tree.display(),
            unknown.join("\n")
        );
    }
}

#[test]
fn an_option_that_nobody_knows_is_noticed() {
    let mut found = Found::new();
    let makefile = "ifdef CONFIG_CC_IS_GCC\nifeq ($(CONFIG_NEW_HARDENING),y)\nKBUILD_CFLAGS += -fnew \\\n\t-fold\n\
                    else ifdef CONFIG_OTHER\nKBUILD_AFLAGS += -x\nendif\nendif\n\
                    new-cflags-$(CONFIG_BY_SUFFIX) := -fsuffix\nKBUILD_LDFLAGS-$(CONFIG_OF_LINKER) += -z\n\
                    ifdef CONFIG_NO_FLAGS\nx := 1\nendif\n";
    of_makefile(makefile, "Makefile", &mut found);
    let kconfig = "config ASKS\n\tbool \"x\"\n\tdepends on $(cc-option,-fasks)\n\
                   config CC_HAS_ASKS\n\tdef_bool $(cc-option,-fasks)\n";
    of_kconfig(kconfig, "Kconfig", &mut found);
    assert_eq!(
        unknown(&found),
        [
            "CONFIG_ASKS (Kconfig)",
            "CONFIG_BY_SUFFIX (Makefile, new-cflags-$(CONFIG_BY_SUFFIX))",
            "CONFIG_NEW_HARDENING (Makefile, KBUILD_CFLAGS)",
        ]
    );
}
