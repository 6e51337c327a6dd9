//! What a patch makes of the files of a diff: the kernel's code is told from what no kernel is made of.

use std::path::Path;

use super::diff::{Change, FileDiff};

/// What of the kernel's tree no kernel is made of.
const NOT_KERNEL: [&str; 8] =
    ["Documentation", "tools", "scripts", "samples", "rust", "MAINTAINERS", "CREDITS", ".mailmap"];

/// Endings of files that are for readers.
const TEXTS: [&str; 4] = ["rst", "txt", "md", "yaml"];

/// What a patch makes of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Use {
    /// Its code is compared.
    Code,
    /// Nothing, which the author must know.
    Nothing(String),
    /// It keeps the fix from becoming a patch.
    Refused(String),
}

/// What a patch makes of a file that a diff changes; `is_there` says whether the source has it.
pub fn use_of(file: &FileDiff, is_there: bool, release: &str) -> Use {
    let name = file.path.display();
    let file_name = file.path.file_name().unwrap_or_default().to_string_lossy();
    let extension = file.path.extension().unwrap_or_default().to_string_lossy();
    if !is_kernel(&file.path) || TEXTS.contains(&&*extension) {
        return Use::Nothing(format!("`{name}` of the diff is not a part of this kernel's code"));
    }
    if ["Makefile", "Kbuild", "Kconfig"].iter().any(|build| file_name.starts_with(build)) {
        return Use::Nothing(format!(
            "`{name}` of the diff says how the kernel is built: the patch is built as the kernel that runs was"
        ));
    }
    let why = match (file.change, &*extension) {
        (Change::Removal, _) => {
            "the diff removes it, but the kernel that runs keeps it: leave that out of the diff; what the patch replaces need \
             not use it"
        }
        (Change::Move, _) => {
            "the diff gives the file another name or place: give the change of its text, under the name that the target \
             kernel's source has"
        }
        (Change::Binary, _) => "it is no text, and no code of a patch",
        (_, "S") => {
            "it is assembly, which livepatch can't redirect: replace the C functions that call it, by hand, and put what they \
             call instead into a C file of the patch"
        }
        (Change::New, "c") => "a new C file's code belongs into a C file of the patch, by hand",
        (Change::New, "h") => return Use::Code,
        (Change::Edit, "c" | "h") if is_there => return Use::Code,
        (Change::Edit, "c" | "h") => {
            return Use::Refused(format!(
                "the source has no file `{name}`: adapt the diff to {release}, with `a/` and `b/` before its paths"
            ));
        }
        _ => "only changes of C files and of headers become a patch",
    };
    Use::Refused(format!("`{name}`: {why}"))
}

/// Whether the kernel has code of a file or directory.
pub fn is_kernel(path: &Path) -> bool {
    let arch = path.strip_prefix("arch").ok().and_then(|rest| rest.components().next());
    arch.is_none_or(|arch| arch.as_os_str() == "x86")
        && !NOT_KERNEL.iter().any(|other| path.starts_with(other))
}

#[cfg(test)]
mod tests {
    use super::super::diff::parse;
    use super::*;

    fn of(path: &str, head: &str) -> Use {
        let diff = format!("{head}--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-x\n+y\n");
        use_of(&parse("x.patch".as_ref(), &diff).unwrap()[0], !path.contains("absent"), "6.12")
    }

    #[test]
    fn what_no_kernel_is_made_of_is_told_from_its_code() {
        for path in ["net/core/dev.c", "include/net/sock.h", "arch/x86/kvm/x86.c"] {
            assert_eq!(of(path, ""), Use::Code, "{path}");
        }
        let moved = "rename from Documentation/old.rst\nrename to Documentation/new.rst\n";
        for (path, head) in [
            ("Documentation/new.rst", moved),
            ("tools/testing/selftests/net/Makefile", ""),
            ("arch/arm64/kvm/arm.c", ""),
            ("drivers/staging/x/README.txt", ""),
            ("net/core/Makefile", ""),
            ("net/Kconfig.debug", ""),
        ] {
            assert!(matches!(of(path, head), Use::Nothing(said) if said.contains(path)), "{path}");
        }
        let renamed = "rename from net/old.c\nrename to net/new.c\n";
        for (path, head, why) in [
            ("net/absent.c", "", "the source has no file `net/absent.c`: adapt the diff to 6.12"),
            ("net/new.c", renamed, "`net/new.c`: the diff gives the file another name"),
            ("arch/x86/lib/memmove_64.S", "", "it is assembly, which livepatch can't redirect"),
            ("arch/x86/entry/syscalls/syscall_64.tbl", "", "only changes of C files and of headers"),
        ] {
            assert!(matches!(of(path, head), Use::Refused(said) if said.contains(why)), "{path}");
        }
    }
}
