//! The exports of the kernel and its own modules: `Module.symvers` of the headers.

use std::fs;
use std::path::Path;

use crate::error::Result;
use crate::host::cache::unusable;

/// How a symbol is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The object that exports it.
    pub object: String,
    /// The namespace that a module must import to use it.
    pub namespace: Option<String>,
}

/// What a module may do with an export, by its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// Every module may use it.
    Free,
    /// Modules that import this namespace may.
    Import(&'a str),
    /// Only these modules may (`EXPORT_SYMBOL_FOR_MODULES`): no module can import the namespace.
    Only(&'a str),
}

impl Export {
    /// What a module may do with it.
    #[must_use]
    pub fn access(&self) -> Access<'_> {
        match self.namespace.as_deref() {
            None => Access::Free,
            Some(namespace) => {
                namespace.strip_prefix("module:").map_or(Access::Import(namespace), Access::Only)
            }
        }
    }
}

/// The table of exports.
#[derive(Debug)]
pub(super) struct Exports(String);

impl Exports {
    /// A table of nothing.
    pub(super) const fn none() -> Self {
        Self(String::new())
    }

    /// Reads the table of a kernel's build directory.
    pub(super) fn read(kdir: &Path) -> Result<Self> {
        let file = kdir.join("Module.symvers");
        fs::read_to_string(&file).map(Self).map_err(|error| unusable(&file, error))
    }

    /// How each object that exports a name does it: a line consists of checksum, name, object, macro and
    /// namespace.
    pub(super) fn of<'a>(&'a self, name: &str) -> impl Iterator<Item = Export> + 'a {
        let wanted = format!("\t{name}\t");
        let length = wanted.len();
        let starts: Vec<usize> = self.0.match_indices(&wanted).map(|(at, _)| at + length).collect();
        starts.into_iter().filter_map(|start| {
            let mut fields = self.0[start..].lines().next()?.split('\t');
            let object = fields.next()?.rsplit('/').next()?.replace('-', "_");
            let namespace = fields.nth(1).map(str::trim).filter(|namespace| !namespace.is_empty());
            Some(Export { object, namespace: namespace.map(str::to_owned) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table() {
        let exports = Exports(
            "0x1\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n\
             0x2\tcrypto_x\tcrypto/crypto-engine\tEXPORT_SYMBOL_GPL\tCRYPTO_INTERNAL\n"
                .into(),
        );
        let of = |name| exports.of(name).collect::<Vec<_>>();
        let export = |object: &str, namespace: Option<&str>| Export {
            object: object.into(),
            namespace: namespace.map(str::to_owned),
        };
        assert_eq!(of("printk"), [export("vmlinux", None)]);
        assert_eq!(of("crypto_x"), [export("crypto_engine", Some("CRYPTO_INTERNAL"))]);
        assert_eq!(of("print"), []);
    }

    #[test]
    fn what_a_namespace_lets_modules_do() {
        let access = |namespace: Option<&str>| {
            let export = Export { object: "vmlinux".into(), namespace: namespace.map(str::to_owned) };
            format!("{:?}", export.access())
        };
        assert_eq!(access(None), "Free");
        assert_eq!(access(Some("DMA_BUF")), "Import(\"DMA_BUF\")");
        assert_eq!(access(Some("module:kvm")), "Only(\"kvm\")");
    }
}
