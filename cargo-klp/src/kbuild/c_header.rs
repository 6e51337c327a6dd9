//! `klp_patch.h`: what the C files of a patch see of it.

use std::collections::BTreeSet;

use klp_btf::{Prototype, Types};
use klp_format::Syscalls;
use klp_format::manifest::{CField, CFunc, CStruct, CType, Func, Symbol, SymbolKind};

use crate::error::{Error, Result};
use crate::kernel::symbols::VMLINUX;
use crate::kernel::{Target, btf};
use crate::patch::manifest::Manifest;

/// The header.
///
/// # Errors
///
/// Those of reading the BTF of the kernel and of the modules that the patch names.
pub(super) fn of(manifest: &Manifest, module: &str, target: &Target) -> Result<String> {
    let mut header = format!(
        "/* Written by cargo-klp for {}. Include it after the kernel's headers. */\n\
         #ifndef KLP_PATCH_H\n#define KLP_PATCH_H\n\n\
         #include <linux/atomic.h>\n#include <linux/build_bug.h>\n#include <linux/stddef.h>\n#include <linux/types.h>\n\n\
         #undef pr_fmt\n#define pr_fmt(fmt) \"{module}: \" fmt\n",
        target.kernel.release
    );
    let mut declarations = Vec::new();
    for CFunc { name, declaration } in &manifest.c_funcs {
        declarations.push((format!("{name}, as the patch declares it"), declaration.clone()));
    }
    let kernel = match manifest.funcs.iter().any(|func| func.c_body.is_some()) || !manifest.c_types.is_empty()
    {
        true => btf::of_kernel(&target.kernel)?,
        false => None,
    };
    for func in manifest.funcs.iter().filter(|func| func.c_body.is_some() && !is_system_call(func)) {
        let Some(types) = types_of(&func.object, kernel.as_ref(), target)? else { continue };
        let origin = format!("As {} of {}", func.symbol, func.object);
        let prototypes = prototypes(func, manifest, &types)?;
        declarations.extend(prototypes.into_iter().map(|prototype| (origin.clone(), prototype)));
    }
    // C wants them declared before a list of parameters.
    let tags: BTreeSet<String> = declarations.iter().flat_map(|(_, declaration)| tags(declaration)).collect();
    header.push('\n');
    header.extend(tags.iter().map(|tag| format!("{tag};\n")));
    header.push_str(&definitions_of_the_kernel(&manifest.c_types, kernel.as_ref(), target)?);
    header.extend(manifest.c_structs.iter().map(definition));
    header.extend(declarations.iter().map(|(origin, text)| format!("\n/* {origin}. */\n{text};\n")));
    header.push_str("\n#endif\n");
    Ok(header)
}

/// The definition of a struct, which must have the layout that it has in Rust.
fn definition(structure: &CStruct) -> String {
    let CStruct { name, size, fields } = structure;
    let mut text = format!("\nstruct {name} {{\n");
    for CField { name, c_type, len, .. } in fields {
        let space = if c_type.ends_with('*') { "" } else { " " };
        let array = if *len > 0 { format!("[{len}]") } else { String::new() };
        text.push_str(&format!("\t{c_type}{space}{name}{array};\n"));
    }
    text.push_str(&format!("}};\nstatic_assert(sizeof(struct {name}) == {size});\n"));
    for CField { name: field, offset, .. } in fields {
        text.push_str(&format!("static_assert(offsetof(struct {name}, {field}) == {offset});\n"));
    }
    text
}

/// Whether a function is the kernel's entry of a system call, whose body has the types of the call.
fn is_system_call(func: &Func) -> bool {
    func.object == VMLINUX && Syscalls::have(&func.symbol)
}

/// The types of an object; none where this machine has none of them.
fn types_of(object: &str, kernel: Option<&Types>, target: &Target) -> Result<Option<Types>> {
    let Some(kernel) = kernel else { return Ok(None) };
    match btf::file_of(target, object) {
        Ok(Some(file)) if object == VMLINUX => Types::open(&file).map(Some),
        Ok(Some(file)) => kernel.open_module(&file).map(Some),
        _ => return Ok(None),
    }
    .map_err(Error::btf(object))
}

/// The definitions of structures of the kernel, held to the layout that they have there.
///
/// # Errors
///
/// All that their objects do not have.
fn definitions_of_the_kernel(wanted: &[CType], kernel: Option<&Types>, target: &Target) -> Result<String> {
    let (mut text, mut faults) = (String::new(), Vec::new());
    for CType { object, name, place } in wanted {
        let place = place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let Some(types) = types_of(object, kernel, target)? else {
            faults.push(format!("{place}`{name}` is not known: this machine has no BTF of {object}"));
            continue;
        };
        let definition = || {
            let Some(id) = types.find(name)? else { return Ok(None) };
            let Some(definition) = types.c_definition(id)? else { return Ok(None) };
            let mut text = format!("\n/* As in {object}. */\n{definition}");
            if let Some(layout) = types.layout(id)? {
                let tag = if layout.is_union { "union" } else { "struct" };
                text.push_str(&format!("static_assert(sizeof({tag} {name}) == {});\n", layout.size));
                for field in types.fields(id)?.iter().filter(|field| field.bits.is_none()) {
                    let (field, offset) = (&field.name, field.offset / 8);
                    text.push_str(&format!("static_assert(offsetof({tag} {name}, {field}) == {offset});\n"));
                }
            }
            Ok(Some(text))
        };
        match definition().map_err(Error::btf(object))? {
            Some(definition) => text.push_str(&definition),
            None => faults.push(format!("{place}{object} has no structure `{name}` in its BTF")),
        }
    }
    match faults.is_empty() {
        true => Ok(text),
        false => Err(Error::Unfit { release: target.kernel.release.clone(), faults }),
    }
}

/// The prototypes of a body and of the original that it may call: those of the function that is replaced, so that the
/// compiler holds the body against it. None where the name is not unique: BTF may describe another function.
fn prototypes(func: &Func, manifest: &Manifest, types: &Types) -> Result<Vec<String>> {
    let found = types.prototypes(&func.symbol).map_err(Error::btf(&func.object))?;
    let is_sure = func.sympos == 0 && !func.signature.is_empty();
    let ([prototype], true) = (&*found, is_sure) else { return Ok(Vec::new()) };
    let is_original = |symbol: &&Symbol| {
        symbol.kind == SymbolKind::Original
            && (&symbol.object, &symbol.symbol, symbol.sympos) == (&func.object, &func.symbol, func.sympos)
    };
    let originals = manifest.symbols.iter().filter(is_original).map(|symbol| &symbol.name);
    let named = func.c_body.iter().chain(originals);
    named
        .map(|name| types.c_prototype(&Prototype { name: name.clone(), ..prototype.clone() }))
        .collect::<Result<_, _>>()
        .map_err(Error::btf(&func.object))
}

/// The structures and unions that a declaration names.
fn tags(declaration: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let words: Vec<&str> = declaration.split(|c: char| !is_part(c)).filter(|word| !word.is_empty()).collect();
    let pairs = words.windows(2).filter(|pair| ["struct", "union"].contains(&pair[0]));
    pairs.map(|pair| pair.join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_is_held_to_its_layout() {
        let field = |name: &str, c_type: &str, len, offset| CField {
            name: name.into(),
            c_type: c_type.into(),
            len,
            offset,
        };
        let fields = vec![field("a", "struct sock *", 0, 0), field("b", "u8", 4, 8)];
        let text = definition(&CStruct { name: "S".into(), size: 16, fields });
        for line in ["\tstruct sock *a;", "\tu8 b[4];", "static_assert(sizeof(struct S) == 16);"] {
            assert!(text.contains(line), "{text}");
        }
        assert!(text.contains("static_assert(offsetof(struct S, b) == 8);"), "{text}");
    }

    #[test]
    fn the_structures_of_a_declaration() {
        let tags = tags("int f(struct sk_buff *skb, const struct sock *, union x y, int structure)");
        assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["struct sk_buff", "struct sock", "union x"]);
    }
}
