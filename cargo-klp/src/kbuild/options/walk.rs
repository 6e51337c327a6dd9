//! Looks through the sources of kernels for options that add flags of a compiler: the table must have each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::OPTIONS;
use crate::host::cache;
use crate::kernel::{DEFAULT_SERIES, KernelParts, KernelQuery, source};

/// Variables of make whose flags are no matter of code in a module: those of assembly, linkers, other programs, and of
/// the programs that start the kernel.
const OTHERS: [&str; 14] = [
    "AFLAGS",
    "LDFLAGS",
    "HOST",
    "CHECKFLAGS",
    "OBJCOPY",
    "REALMODE",
    "VDSO",
    "OBJTOOL",
    "MODPOST",
    "PAHOLE",
    "DTC",
    "MKIMAGE",
    "USER",
    "GENDWARF",
];

/// The options that add flags, each with the places that do.
type Found = BTreeMap<String, BTreeSet<String>>;

/// The options of a source tree for x86-64.
fn walk(tree: &Path) -> Found {
    let mut found = Found::new();
    let mut makefiles = vec![tree.join("Makefile"), tree.join("arch/x86/Makefile")];
    makefiles.extend(files_in(&tree.join("scripts")).filter(|path| name(path).starts_with("Makefile.")));
    for file in makefiles {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let place = file.strip_prefix(tree).unwrap().display().to_string();
        of_makefile(&text, &place, &mut found);
    }
    // Where Kconfig files of x86 ask the compiler about a flag.
    for directory in ["arch", "arch/x86", "init", "kernel", "kernel/trace", "lib", "mm", "security"] {
        for file in files_in(&tree.join(directory)).filter(|path| name(path).starts_with("Kconfig")) {
            let place = file.strip_prefix(tree).unwrap().display().to_string();
            of_kconfig(&fs::read_to_string(&file).unwrap(), &place, &mut found);
        }
    }
    found
}

fn files_in(directory: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Adds the options that a Makefile names in an assignment to a variable of flags, or in a condition around it.
fn of_makefile(text: &str, place: &str, found: &mut Found) {
    let mut conditions: Vec<BTreeSet<String>> = Vec::new();
    let text = text.replace("\\\n", " ");
    for line in text.lines().map(str::trim) {
        let (is_else, rest) = match line.strip_prefix("else") {
            Some(rest) if rest.is_empty() || rest.starts_with(' ') => (true, rest.trim()),
            _ => (false, line),
        };
        let word = rest.split([' ', '\t', '(']).next().unwrap_or_default();
        if ["ifdef", "ifndef", "ifeq", "ifneq"].contains(&word) {
            match (is_else, conditions.last_mut()) {
                (true, Some(last)) => last.extend(options(rest)),
                _ => conditions.push(options(rest)),
            }
        } else if word == "endif" {
            conditions.pop();
        } else if let Some(variable) = assigned(line)
            && is_of_code(variable)
        {
            let here = options(line);
            for option in here.iter().chain(conditions.iter().flatten()) {
                found.entry(option.clone()).or_default().insert(format!("{place}, {variable}"));
            }
        }
    }
}

/// The variable that a line assigns to.
fn assigned(line: &str) -> Option<&str> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (left, _) = line.split_once('=')?;
    let variable = left.trim_end_matches([':', '+', '?']).trim_end();
    (!variable.is_empty() && !variable.contains(char::is_whitespace)).then_some(variable)
}

fn is_of_code(variable: &str) -> bool {
    let variable = variable.to_uppercase();
    variable.contains("FLAGS") && !OTHERS.iter().any(|other| variable.contains(other))
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

/// The options that a text names.
fn options(text: &str) -> BTreeSet<String> {
    let names = text.split("CONFIG_").skip(1);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    names.map(|rest| rest.split(|letter| !is_part(letter)).next().unwrap_or_default().to_owned()).collect()
}

/// Those that the table lacks, each with its places.
fn unknown(found: &Found) -> Vec<String> {
    let is_known = |name: &str| OPTIONS.iter().any(|option| option.names.contains(&name));
    let lacking = found.iter().filter(|(name, _)| !is_known(name));
    lacking
        .map(|(name, places)| format!("{name}: {}", places.iter().cloned().collect::<Vec<_>>().join("; ")))
        .collect()
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
            "ASKS: Kconfig",
            "BY_SUFFIX: Makefile, new-cflags-$(CONFIG_BY_SUFFIX)",
            "NEW_HARDENING: Makefile, KBUILD_CFLAGS",
        ]
    );
}
