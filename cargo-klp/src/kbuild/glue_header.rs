//! The header that tells the glue about a patch: it is included when the glue is compiled.

use std::collections::BTreeSet;
use std::fmt::Write;

use klp_format::Table;
use klp_format::manifest::{self, Kernel, Line, NOTE_KIND, NOTE_OWNER, Param, State};
use object::{Object, ObjectSymbol};

use super::hook;
use crate::error::Result;
use crate::host::report::Reporter;
use crate::kernel::Target;
use crate::kernel::symbols::{Symbols, VMLINUX};
use crate::patch::manifest::{Count, Manifest};
use crate::patch::verify::SYMBOL_PREFIX;

/// The start of the header for the glue. A header from another version, for another kernel or with other debug
/// information is rewritten.
pub(super) fn start(target: &Target, build_id: Option<&str>) -> String {
    let (version, release) = (env!("CARGO_PKG_VERSION"), &target.kernel.release);
    let with = target.debug_info.iter().map(|file| format!(", checked with {}", file.display()));
    let without = target.unknown_modules.iter().map(|module| format!(", without {module}"));
    let checked = with.chain(without).collect::<String>();
    let mut start = format!("/* Written by cargo-klp {version} for {release}{checked}. */\n");
    if let Some(id) = build_id {
        let bytes: Vec<_> =
            id.as_bytes().chunks(2).map(|byte| format!("0x{}", String::from_utf8_lossy(byte))).collect();
        writeln!(start, "#define KLP_BUILD_ID {}", bytes.join(", ")).expect("a string takes everything");
    }
    start
}

/// The note that stays in memory as long as the module: what a tool must know of a patch that is loaded and that
/// the kernel does not show.
pub(super) fn note(manifest: &Manifest, build_id: Option<&str>) -> String {
    let patch = manifest.patch.iter().cloned().map(Line::Patch);
    let states =
        manifest.states.iter().map(|state| Line::State(State { callbacks: Vec::new(), ..state.clone() }));
    let natives = manifest.natives.iter().cloned().map(Line::Native);
    let fixes = manifest.fixes.iter().cloned().map(Line::Fix);
    let kernel = build_id.map(|id| Line::Kernel(Kernel { build_id: id.to_owned() }));
    let text = manifest::note(patch.chain(states).chain(natives).chain(fixes).chain(kernel));
    format!("#define KLP_NOTE ELFNOTE32(\"{NOTE_OWNER}\", {NOTE_KIND}, \"{}\")\n", in_c(&text))
}

/// A text between the quotes of a C string.
fn in_c(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'"' | b'\\' | b'?' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    text.bytes().map(letter).collect()
}

/// What the glue must know of the patch, of what its Rust half calls, and of the symbols in all parts.
pub(super) fn of(manifest: &Manifest, linked: &object::File<'_>, c: &[object::File<'_>]) -> String {
    let mut header = String::new();
    for Count { table, emitted, entry_size } in manifest.counts() {
        let name = table.section().trim_start_matches("klp_").to_uppercase();
        writeln!(header, "#define KLP_NR_{name} {emitted}").expect("a string takes everything");
        if [Table::States, Table::Shadows].contains(&table) {
            let name = name.trim_end_matches('S');
            writeln!(header, "#define KLP_{name}_SIZE {entry_size}").expect("a string takes everything");
        }
    }
    if linked.symbol_by_name("klp_rt_init").is_some() {
        header.push_str("#define KLP_ENGINE 1\n");
    }
    if manifest.patch.as_ref().is_some_and(|patch| patch.series.is_some()) {
        header.push_str("#define KLP_SERIES\n");
    }
    if !manifest.params.is_empty() {
        let params: Vec<String> = manifest.params.iter().map(declaration).collect();
        writeln!(header, "#define KLP_PARAMS \\\n{}", params.join(" \\\n"))
            .expect("a string takes everything");
    }
    // Declarations of the same name become one when the module is linked.
    let mut livepatch = livepatch_symbols(linked);
    livepatch.extend(c.iter().flat_map(livepatch_symbols));
    if !livepatch.is_empty() {
        header.push_str(&format!("#define {} {}\n", hook::NR_SYMBOLS, livepatch.len()));
    }
    for symbol in linked.symbols().filter(|symbol| symbol.is_undefined()) {
        if let Ok(name) = symbol.name()
            && name.starts_with("klp_glue_")
        {
            header.push_str(&format!("#define KLP_USES_{name}\n"));
        }
    }
    header
}

/// The names of symbols that livepatch is to find for a part.
fn livepatch_symbols(part: &object::File<'_>) -> BTreeSet<String> {
    let undefined = part.symbols().filter(|symbol| symbol.is_undefined());
    let names = undefined.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    names.filter(|name| name.starts_with(SYMBOL_PREFIX)).collect()
}

/// The build ID of the kernel's image, in hexadecimal; `None` if there is no image, or the image has no build ID.
///
/// # Errors
///
/// Those of reading the kernel's image.
pub(super) fn build_id(target: &Target, reporter: &dyn Reporter) -> Result<Option<String>> {
    if target.kernel.image.is_none() {
        return Ok(None);
    }
    Symbols::of(target, reporter)?.object(VMLINUX)?.build_id()
}

/// The line that declares a module parameter to the glue.
fn declaration(param: &Param) -> String {
    let Param { name, len, permissions, description, .. } = param;
    let kind = param.kind().name();
    let mut text = match len {
        0 => format!("\tKLP_PARAM({name}, {kind}, 0{permissions:o})"),
        len => format!("\tKLP_PARAM_ARRAY({name}, {kind}, {len}, 0{permissions:o})"),
    };
    if !description.is_empty() {
        let quoted = description.replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!(" KLP_PARAM_DESC({name}, \"{quoted}\")"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_is_a_string_in_c() {
        let state = State {
            id: 7,
            version: 2,
            name: "A \"é\" \\ ??/".into(),
            flags: 0,
            callbacks: vec!["pre_patch".into()],
        };
        let manifest = Manifest { states: vec![state], ..Manifest::default() };
        assert_eq!(
            note(&manifest, Some("12ab")),
            "#define KLP_NOTE ELFNOTE32(\"klp\", 1, \"state\\0117\\0112\\011A \\\"\\303\\251\\\" \\\\ \\?\\?/\\0110\\011-\\000\
             kernel\\01112ab\\000\")\n"
        );
    }
}
