//! The exports of the kernel and its own modules: `Module.symvers` of the headers.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// How a symbol is exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// The namespace that a module must import to use it.
    pub namespace: Option<String>,
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
        fs::read_to_string(&file).map(Self).map_err(Error::io("read", file))
    }

    /// Whether any object exports a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(&format!("\t{name}\t"))
    }

    /// How an object exports a name. A line consists of checksum, name, object, macro and namespace.
    pub(super) fn get(&self, object: &str, name: &str) -> Option<Export> {
        let wanted = format!("\t{name}\t");
        self.0.match_indices(&wanted).find_map(|(at, _)| {
            let mut fields = self.0[at + wanted.len()..].lines().next()?.split('\t');
            let path = fields.next()?;
            let file = path.rsplit('/').next()?.replace('-', "_");
            let namespace = fields.nth(1).map(str::trim).filter(|namespace| !namespace.is_empty());
            (file == object).then(|| Export { namespace: namespace.map(str::to_owned) })
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
        assert_eq!(exports.get("vmlinux", "printk"), Some(Export { namespace: None }));
        let namespace = Some("CRYPTO_INTERNAL".into());
        assert_eq!(exports.get("crypto_engine", "crypto_x"), Some(Export { namespace }));
        assert_eq!(exports.get("vmlinux", "crypto_x"), None);
        assert_eq!(exports.get("vmlinux", "print"), None);
    }
}
