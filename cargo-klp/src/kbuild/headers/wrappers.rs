//! The functions in C that a patch's Rust code calls for inline functions and macros.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use klp_format::manifest::Wrapper;
use object::{File, Object, ObjectSymbol};

use super::compiler::{Compiled, Compiler};
use crate::error::{Error, Result};
use crate::host::tools::run_tool;
use crate::kernel::Kernel;
use crate::patch::manifest::Manifest;

/// What their symbols begin with.
pub(super) const PREFIX: &str = "__klp_c_";

/// Compiles the wrappers that a linked object calls, as Kbuild would compile a file of the module, and links them to it.
///
/// # Errors
///
/// What the compiler refuses, at the place of the item.
pub(in crate::kbuild) fn link(
    object: &Path,
    manifest: &Manifest,
    module: &str,
    kernel: &Kernel,
) -> Result<()> {
    if manifest.wrappers.is_empty() {
        return Ok(());
    }
    let used = used(&fs::read(object).map_err(Error::io("read", object))?)?;
    // Two items may ask for the same.
    let wrappers: BTreeMap<&str, &Wrapper> = (manifest.wrappers.iter())
        .filter(|wrapper| used.contains(&wrapper.symbol))
        .map(|wrapper| (&*wrapper.symbol, wrapper))
        .collect();
    if wrappers.is_empty() {
        return Ok(());
    }
    let text = text(manifest, wrappers.values().copied());
    let strict = ["-Werror=incompatible-pointer-types", "-Werror=int-conversion"];
    let Compiled { object: compiled, said, .. } = Compiler::of(kernel)?.compile(&text, module, &strict)?;
    let Some(compiled) = compiled else {
        let faults = said.into_iter().filter(|line| line.contains("error: ")).collect();
        return Err(Error::Unfit { release: kernel.release.clone(), faults });
    };
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let (rust, c) = (directory.path().join("rust.o"), directory.path().join("c.o"));
    fs::copy(object, &rust).map_err(Error::io("copy", object))?;
    fs::write(&c, compiled).map_err(Error::io("write", &c))?;
    run_tool(Command::new("ld").arg("-r").arg("-o").arg(object).arg(&rust).arg(&c))?;
    // Names of source files are gone from the Rust half too: objtool takes two of them for a sign that it was given a
    // whole module.
    run_tool(Command::new("objcopy").arg("--strip-debug").arg(object))?;
    Ok(())
}

/// The wrappers that an object needs.
fn used(object: &[u8]) -> Result<BTreeSet<String>> {
    let file = File::parse(object).map_err(Error::elf("read the linked object"))?;
    let undefined = file.symbols().filter(|symbol| symbol.is_undefined());
    let names = undefined.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    Ok(names.filter(|name| name.starts_with(PREFIX)).collect())
}

/// Their file: each stands at the place of its item in Rust. Headers keep the order of the source.
fn text<'a>(manifest: &Manifest, wrappers: impl Iterator<Item = &'a Wrapper> + Clone) -> String {
    let needed: BTreeSet<&String> = wrappers.clone().flat_map(|wrapper| &wrapper.headers).collect();
    let mut seen = BTreeSet::new();
    let all = manifest.wrappers.iter().flat_map(|wrapper| &wrapper.headers);
    let headers = all.filter(|header| needed.contains(header) && seen.insert(*header));
    let mut text: String = headers.map(|header| format!("#include <{header}>\n")).collect();
    for wrapper in wrappers {
        if let Some((file, line)) = wrapper.place.as_deref().and_then(file_and_line) {
            text.push_str(&format!("#line {line} \"{file}\"\n"));
        }
        text.push_str(&format!("{}\n", wrapper.text));
    }
    text
}

/// The file and the line of a place.
fn file_and_line(place: &str) -> Option<(&str, &str)> {
    place.rsplit_once(':')?.0.rsplit_once(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrapper_stands_at_its_item() {
        let wrapper = |symbol: &str, headers: &[&str], line| Wrapper {
            symbol: symbol.into(),
            headers: headers.iter().map(ToString::to_string).collect(),
            text: format!("int {symbol}(void) {{ return 1; }}"),
            place: Some(format!("src/a.rs:{line}:5")),
        };
        let wrappers = vec![
            wrapper("b", &["z.h", "a.h"], 4),
            wrapper("a", &["z.h", "b.h"], 7),
            wrapper("c", &["c.h"], 9),
        ];
        let manifest = Manifest { wrappers, ..Manifest::default() };
        let text = text(&manifest, manifest.wrappers[..2].iter());
        assert_eq!(
            text,
            "#include <z.h>\n#include <a.h>\n#include <b.h>\n#line 4 \"src/a.rs\"\nint b(void) { return 1; }\n\
             #line 7 \"src/a.rs\"\nint a(void) { return 1; }\n"
        );
    }
}
