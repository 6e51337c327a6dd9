//! Cargo.toml of the next version.

use std::path::{Component, Path, PathBuf};

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

use crate::error::{Error, Result};

/// The tables of a manifest that name other crates.
const DEPENDENCIES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// A Cargo.toml, kept as it is written.
pub(super) struct Manifest {
    document: DocumentMut,
    package: String,
    module: String,
}

impl Manifest {
    /// Reads that of a package.
    pub(super) fn parse(text: &str) -> std::result::Result<Self, String> {
        let document: DocumentMut = text.parse().map_err(|error| format!("its Cargo.toml: {error}"))?;
        let package = document.get("package").and_then(|package| package.get("name")?.as_str());
        let package = package.ok_or("its Cargo.toml has no package")?.to_owned();
        if document.get("dependencies").and_then(|list| list.get("klp-runtime")).is_none() {
            return Err("it does not depend on klp-runtime".into());
        }
        let module = package.replace('-', "_");
        Ok(Self { document, package, module })
    }

    /// The module's name.
    pub(super) fn module(&self) -> Result<&str> {
        match self.lib("name") {
            Some(name) if name != self.module => Err(Error::Request {
                message: format!("the library of `{}` has another name: `{name}`", self.package),
                help: "remove `name` from `[lib]`: the module has the package's name".into(),
            }),
            _ => Ok(&self.module),
        }
    }

    /// The root of the crate.
    pub(super) fn root(&self) -> &str {
        self.lib("path").unwrap_or("src/lib.rs")
    }

    fn lib(&self, key: &str) -> Option<&str> {
        self.document.get("lib")?.get(key)?.as_str()
    }

    /// Whether something comes from the workspace around the crate.
    pub(super) fn inherits(&self) -> bool {
        self.document.to_string().contains("workspace = true")
    }

    /// Makes it that of the next version in another directory.
    ///
    /// Without tests of its own, the crate has no test program: it would lack what the patch uses of the kernel.
    pub(super) fn next(&mut self, package: &str, from: &Path, crate_dir: &Path, has_tests: bool) {
        self.document["package"]["name"] = value(package);
        for list in DEPENDENCIES {
            let Some(list) = self.document.get_mut(list).and_then(Item::as_table_like_mut) else { continue };
            for (_, dependency) in list.iter_mut() {
                let Some(path) = dependency.get("path").and_then(Item::as_str) else { continue };
                if Path::new(path).is_relative() {
                    dependency["path"] = value(relative(crate_dir, &normal(&from.join(path))));
                }
            }
        }
        self.add_tests(from, crate_dir);
        if !has_tests {
            let lib = self.document.entry("lib").or_insert_with(|| Item::Table(Table::new()));
            lib["test"] = value(false);
        }
        // `new` decides whether the crate is a workspace of its own.
        self.document.remove("workspace");
    }

    /// The dependencies of the test: the model, and the version before, which takes the place of an earlier one.
    fn add_tests(&mut self, from: &Path, crate_dir: &Path) {
        let mut runtime = self.document["dependencies"]["klp-runtime"].clone();
        if let Some(version) = runtime.as_str() {
            let mut table = InlineTable::new();
            table.insert("version", version.into());
            runtime = Item::Value(table.into());
        }
        // `klp-runtime.workspace = true` is a table with dots.
        if let Item::Table(table) = runtime {
            runtime = Item::Value(table.into_inline_table().into());
        }
        if let Some(table) = runtime.as_inline_table_mut() {
            table.set_dotted(false);
            table.insert("features", Value::Array(Array::from_iter(["sim"])));
            table.fmt();
        }
        let mut old = InlineTable::new();
        old.insert("path", relative(crate_dir, from).into());
        let list = self.document.entry("dev-dependencies").or_insert_with(|| Item::Table(Table::new()));
        list["klp-runtime"] = runtime;
        list[&self.package] = Item::Value(old.into());
    }

    /// The manifest as it is written.
    pub(super) fn text(&self) -> String {
        self.document.to_string()
    }
}

/// A path without `..` where its components tell.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            normal.pop()
        } else {
            normal.push(component);
            true
        };
    }
    normal
}

/// A path as seen from a directory.
pub(in crate::commands::new) fn relative(directory: &Path, path: &Path) -> String {
    let shared =
        directory.components().zip(path.components()).take_while(|(one, other)| one == other).count();
    let up = directory.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(path.components().skip(shared)).collect::<PathBuf>().display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str) -> String {
        let mut manifest = Manifest::parse(text).unwrap();
        manifest.next("fix-v2", "/a/b/fix-v1".as_ref(), "/a/c/fix-v2".as_ref(), false);
        manifest.text()
    }

    #[test]
    fn it_finds_what_the_old_one_found() {
        let text = "[package]\nname = \"fix-v1\" # the fix\n\n[dependencies]\nklp-runtime = { path = \"/klp\" }\n\
                    more = { path = \"../more\" }\n\n[workspace]\n";
        assert_eq!(
            next(text),
            "[package]\nname = \"fix-v2\"\n\n[dependencies]\nklp-runtime = { path = \"/klp\" }\n\
             more = { path = \"../../b/more\" }\n\n[dev-dependencies]\n\
             klp-runtime = { path = \"/klp\", features = [\"sim\"] }\nfix-v1 = { path = \"../../b/fix-v1\" }\n\n[lib]\ntest = false\n"
        );
    }

    #[test]
    fn what_comes_from_the_workspace_comes_from_it_still() {
        let text = next("[package]\nname = \"fix-v1\"\n[dependencies]\nklp-runtime.workspace = true\n");
        assert!(text.contains("\nklp-runtime = { workspace = true, features = [\"sim\"] }\n"), "{text}");
    }

    #[test]
    fn only_a_patch_has_a_next_version() {
        for (text, why) in [
            ("[workspace]\n", "has no package"),
            ("[package]\nname = \"x\"\n", "does not depend on klp-runtime"),
            ("[package\n", "its Cargo.toml: "),
        ] {
            assert!(Manifest::parse(text).err().unwrap().contains(why), "{text}");
        }
    }
}
