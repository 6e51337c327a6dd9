//! Which options add flags of a compiler, by a kernel's Makefiles: those that the table lacks are said.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::OPTIONS;
use crate::kernel::{Arch, Kernel, headers};

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
pub(super) type Found = BTreeMap<String, BTreeSet<String>>;

/// What to say of a kernel that is built with options that the table lacks: Rust code may have to follow them.
pub(in crate::kbuild) fn warning(kernel: &Kernel) -> Option<String> {
    let trees = [Some(kernel.kdir.clone()), headers::common(&kernel.kdir), Some(kernel.kdir.join("source"))];
    let mut found = Found::new();
    trees.into_iter().flatten().for_each(|tree| of_tree(&tree, kernel.arch(), &mut found));
    found.retain(|option, _| kernel.config(&format!("CONFIG_{option}")).is_some());
    let unknown = unknown(&found);
    (!unknown.is_empty()).then(|| {
        format!(
            "kernel {} is built with options that add flags of the compiler, and this cargo-klp does not know what they \
             mean for Rust code; find out whether calls or data differ with them: {}",
            kernel.release,
            unknown.join(", ")
        )
    })
}

/// Adds the options of the Makefiles of a tree, for one architecture, that give flags to all of the kernel's code.
pub(super) fn of_tree(tree: &Path, arch: &Arch, found: &mut Found) {
    let mut makefiles = vec![tree.join("Makefile"), tree.join("arch").join(arch.name).join("Makefile")];
    makefiles.extend(files_in(&tree.join("scripts")).filter(|path| name(path).starts_with("Makefile.")));
    for file in makefiles {
        let place = file.strip_prefix(tree).expect("it is in the tree").display().to_string();
        of_makefile(&fs::read_to_string(&file).unwrap_or_default(), &place, found);
    }
}

/// The files in a directory, if there is one.
pub(super) fn files_in(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file())
}

/// The name of a file.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Adds the options that a Makefile names in an assignment to a variable of flags, or in a condition around it.
pub(super) fn of_makefile(text: &str, place: &str, found: &mut Found) {
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

/// The options that a text names.
fn options(text: &str) -> BTreeSet<String> {
    let names = text.split("CONFIG_").skip(1);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    names.map(|rest| rest.split(|letter| !is_part(letter)).next().unwrap_or_default().to_owned()).collect()
}

/// Those that the table lacks, each with its places.
pub(super) fn unknown(found: &Found) -> Vec<String> {
    let is_known = |name: &str| OPTIONS.iter().any(|option| option.names.contains(&name));
    let lacking = found.iter().filter(|(name, _)| !is_known(name));
    lacking
        .map(|(name, places)| {
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            format!("CONFIG_{name} ({})", places.join("; "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_a_build_directory_has_and_nobody_knows_is_said() {
        let kdir = tempfile::tempdir().unwrap();
        let shared = kdir.path().join("shared");
        fs::create_dir_all(shared.join("arch/x86")).unwrap();
        // As Debian has it.
        let include = format!("include {}/Makefile\n", shared.display());
        fs::write(kdir.path().join("Makefile"), include).unwrap();
        fs::write(shared.join("Makefile"), "ifdef CONFIG_FORTIFY_SOURCE\nKBUILD_CFLAGS += -fa\nendif\n")
            .unwrap();
        let of_x86 = "ifdef CONFIG_NEW_HARDENING\nKBUILD_CFLAGS += -fb\nendif\n\
                      KBUILD_CFLAGS-$(CONFIG_UNSET) += -fc\n";
        fs::write(shared.join("arch/x86/Makefile"), of_x86).unwrap();
        let kernel = |config: &str| {
            let mut kernel = Kernel::for_test(config);
            kernel.kdir = kdir.path().into();
            kernel
        };
        assert_eq!(warning(&kernel("CONFIG_FORTIFY_SOURCE=y\n")), None);
        let said = warning(&kernel("CONFIG_FORTIFY_SOURCE=y\nCONFIG_NEW_HARDENING=y\n")).unwrap();
        assert!(
            said.ends_with("with them: CONFIG_NEW_HARDENING (arch/x86/Makefile, KBUILD_CFLAGS)"),
            "{said}"
        );
    }
}
