//! `klp_patch.h`: what the C files of a patch see of it.

use std::collections::BTreeSet;
use std::fmt::Write;

use klp_btf::{Prototype, Types};
use klp_format::manifest::{Func, SymbolKind};

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
         #undef pr_fmt\n#define pr_fmt(fmt) \"{module}: \" fmt\n",
        target.kernel.release
    );
    let kernel = btf::of_kernel(&target.kernel)?;
    for func in manifest.funcs.iter().filter(|func| func.c_body.is_some() && !is_system_call(func)) {
        if let Some(base) = &kernel {
            header.push_str(&prototypes(func, manifest, base, target)?);
        }
    }
    header.push_str("\n#endif\n");
    Ok(header)
}

/// Whether a function is the kernel's entry of a system call, whose body has the types of the call.
fn is_system_call(func: &Func) -> bool {
    func.object == VMLINUX && ["__x64_sys_", "__ia32_"].iter().any(|start| func.symbol.starts_with(start))
}

/// The prototypes of a body and of the original that it may call: those of the function that is replaced, so that the
/// compiler holds the body against it. None where the name is not unique: BTF may describe another function.
fn prototypes(func: &Func, manifest: &Manifest, base: &Types, target: &Target) -> Result<String> {
    let of_module;
    let types = if func.object == VMLINUX {
        base
    } else {
        let Ok(Some(file)) = btf::file_of(target, &func.object) else { return Ok(String::new()) };
        of_module = base.open_module(&file).map_err(Error::btf(&func.object))?;
        &of_module
    };
    let found = types.prototypes(&func.symbol).map_err(Error::btf(&func.object))?;
    let is_sure = func.sympos == 0 && !func.signature.is_empty();
    let ([prototype], true) = (&*found, is_sure) else { return Ok(String::new()) };
    let is_original = |symbol: &&klp_format::manifest::Symbol| {
        symbol.kind == SymbolKind::Original
            && (&symbol.object, &symbol.symbol, symbol.sympos) == (&func.object, &func.symbol, func.sympos)
    };
    let originals = manifest.symbols.iter().filter(is_original).map(|symbol| &symbol.name);
    let mut text = format!("\n/* As {} of {}. */\n", func.symbol, func.object);
    for (index, name) in func.c_body.iter().chain(originals).enumerate() {
        let named = Prototype { name: name.clone(), ..prototype.clone() };
        let declared = types.c_prototype(&named).map_err(Error::btf(&func.object))?;
        if index == 0 {
            text.extend(tags(&declared).iter().map(|tag| format!("{tag};\n")));
        }
        writeln!(text, "{declared};").expect("a string takes everything");
    }
    Ok(text)
}

/// The structures and unions that a declaration names: C wants them declared before a list of parameters.
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
    fn the_structures_of_a_declaration() {
        let tags = tags("int f(struct sk_buff *skb, const struct sock *, union x y, int structure)");
        assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["struct sk_buff", "struct sock", "union x"]);
    }
}
