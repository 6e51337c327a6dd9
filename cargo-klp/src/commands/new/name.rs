//! The name of a new patch: a package's for cargo, a module's for the kernel.

use std::path::Path;

use crate::error::{Error, Result};

/// `MODULE_NAME_LEN` of the kernel on 64 bits, without the NUL.
const MAX_MODULE_NAME: usize = 55;

/// Names that a crate can't have, or that would do harm: Rust's keywords, the names of Rust's own
/// crates, and of ours.
const RESERVED: &str = "\
    abstract alloc as async await become box break const continue core crate do dyn else enum extern false \
    final fn for gen if impl in klp_macros klp_runtime let loop macro match mod move mut override priv \
    proc_macro pub ref return self static std struct super test trait true try type typeof unsafe unsized \
    use virtual where while yield";

/// A name that both cargo and the kernel accept.
#[derive(Debug)]
pub struct Name {
    package: String,
    module: String,
}

impl Name {
    /// The name of a crate in this directory.
    pub fn of_dir(dir: &Path) -> Result<Self> {
        let package = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Self::new(package).map_err(|why| Error::Request {
            message: format!("a patch can't be called `{package}`: {why}"),
            help: "choose a name of letters, digits, `-` and `_`, such as `fix_cve_2026_1234`".into(),
        })
    }

    fn new(package: &str) -> Result<Self, String> {
        let module = package.replace('-', "_");
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        match package.chars().next() {
            None => return Err("the name is empty".into()),
            Some(first) if !first.is_ascii_alphabetic() => return Err("it must start with a letter".into()),
            _ => {}
        }
        if let Some(wrong) = package.chars().find(|&c| !is_allowed(c)) {
            return Err(format!("it contains {wrong:?}"));
        }
        if RESERVED.split_whitespace().any(|word| word == module) {
            return Err("it is a keyword of Rust, or the name of a crate that a patch uses".into());
        }
        if module.len() > MAX_MODULE_NAME {
            return Err(format!(
                "it has {} bytes, but a module's name has at most {MAX_MODULE_NAME}",
                module.len()
            ));
        }
        Ok(Self { package: package.into(), module })
    }

    /// The package's name, for cargo.
    pub fn package(&self) -> &str {
        &self.package
    }

    /// The module's name, for the kernel.
    pub fn module(&self) -> &str {
        &self.module
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names() {
        for (package, module) in [("fix_x", "fix_x"), ("Fix-2", "Fix_2"), ("a", "a")] {
            assert_eq!(Name::new(package).unwrap().module(), module);
        }
        assert!(Name::new(&"a".repeat(55)).is_ok());
    }

    #[test]
    fn bad_names() {
        for (package, why) in [
            ("", "is empty"),
            ("2fix", "start with a letter"),
            ("-x", "start with a letter"),
            ("_", "start with a letter"),
            ("a.b", "'.'"),
            ("fix x", "' '"),
            ("größe", "'ö'"),
            ("core", "that a patch uses"),
            ("klp-runtime", "that a patch uses"),
            ("fn", "that a patch uses"),
            (&"a".repeat(56), "56 bytes"),
        ] {
            let said = Name::new(package).unwrap_err();
            assert!(said.contains(why), "{package}: {said}");
        }
    }

    #[test]
    fn the_directory_names_the_patch() {
        assert_eq!(Name::of_dir("/tmp/fix-x".as_ref()).unwrap().package(), "fix-x");
        let error = Name::of_dir("/".as_ref()).unwrap_err();
        assert!(error.to_string().contains("is empty"), "{error}");
    }
}
