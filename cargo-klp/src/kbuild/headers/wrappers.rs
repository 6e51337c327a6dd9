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
    let strict = ["-Werror=incompatible-pointer-types", "-Werror=int-conversion"];
    let compiler = Compiler::of(kernel)?;
    let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
    let rust = directory.path().join("rust.o");
    fs::copy(object, &rust).map_err(Error::io("copy", object))?;
    let (mut parts, mut faults) = (vec![rust], Vec::new());
    for text in texts(wrappers.values().copied()) {
        let Compiled { object: compiled, said, .. } = compiler.compile(&text, module, &strict)?;
        let Some(compiled) = compiled else {
            faults.extend(said.into_iter().filter(|line| line.contains("error: ")));
            continue;
        };
        let c = directory.path().join(format!("c{}.o", parts.len()));
        fs::write(&c, compiled).map_err(Error::io("write", &c))?;
        parts.push(c);
    }
    if !faults.is_empty() {
        return Err(Error::Unfit { release: kernel.release.clone(), faults });
    }
    run_tool(Command::new(kernel.arch().tool("ld")).arg("-r").arg("-o").arg(object).args(&parts))?;
    // Names of source files are gone from the Rust half too: objtool takes two of them for a sign that it was given a
    // whole module.
    run_tool(Command::new(kernel.arch().tool("objcopy")).arg("--strip-debug").arg(object))?;
    Ok(())
}

/// The wrappers that an object needs.
fn used(object: &[u8]) -> Result<BTreeSet<String>> {
    let file = File::parse(object).map_err(Error::elf("read the linked object"))?;
    let undefined = file.symbols().filter(|symbol| symbol.is_undefined());
    let names = undefined.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    Ok(names.filter(|name| name.starts_with(PREFIX)).collect())
}

/// Their files: one for each list of headers, so that what headers of one block define means nothing in another. Each
/// wrapper stands at the place of its item in Rust.
fn texts<'a>(wrappers: impl Iterator<Item = &'a Wrapper>) -> Vec<String> {
    let mut texts: BTreeMap<&[String], String> = BTreeMap::new();
    for wrapper in wrappers {
        let include = |header: &String| format!("#include <{header}>\n");
        let text =
            (texts.entry(&wrapper.headers)).or_insert_with(|| wrapper.headers.iter().map(include).collect());
        if let Some((file, line)) = wrapper.place.as_deref().and_then(file_and_line) {
            text.push_str(&format!("#line {line} \"{file}\"\n"));
        }
        text.push_str(&format!("{}\n", wrapper.text));
    }
    texts.into_values().collect()
}

/// The file and the line of a place.
fn file_and_line(place: &str) -> Option<(&str, &str)> {
    place.rsplit_once(':')?.0.rsplit_once(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrapper_stands_at_its_item_behind_the_headers_of_its_block() {
        let wrapper = |symbol: &str, headers: &[&str], line| Wrapper {
            symbol: symbol.into(),
            headers: headers.iter().map(ToString::to_string).collect(),
            text: format!("int {symbol}(void) {{ return 1; }}"),
            place: Some(format!("src/a.rs:{line}:5")),
        };
        let wrappers = [
            wrapper("b", &["z.h", "a.h"], 4),
            wrapper("a", &["z.h", "b.h"], 7),
            wrapper("c", &["z.h", "a.h"], 9),
        ];
        assert_eq!(
            texts(wrappers.iter()),
            [
                "#include <z.h>\n#include <a.h>\n#line 4 \"src/a.rs\"\nint b(void) { return 1; }\n\
                 #line 9 \"src/a.rs\"\nint c(void) { return 1; }\n",
                "#include <z.h>\n#include <b.h>\n#line 7 \"src/a.rs\"\nint a(void) { return 1; }\n",
            ]
        );
    }
}
