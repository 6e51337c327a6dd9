//! A replacement with the prototype that the kernel's BTF gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use klp_btf::{Prototype, RUNTIME_TYPES, Signature, Types, Writer};

use crate::error::{Error, Result};
use crate::kernel::symbols::{LookupError, Symbols, VMLINUX};
use crate::patch::check::{ObjectInfo, obstacle};
use crate::patch::explain;

/// Longer lines are broken, as rustfmt breaks them.
const MAX_WIDTH: usize = 94;

/// Longer calls are broken.
const MAX_CALL: usize = 90;

/// A replacement, and the declarations that it needs.
#[derive(Debug, Default)]
pub struct Replacement {
    /// What is replaced.
    pub symbol: String,
    /// The items of the patch.
    pub text: String,
    /// A line of `livepatch!` for the namespaces of what it uses; empty without any.
    pub imports: String,
    /// C files and headers, relative to `src`.
    pub files: BTreeMap<PathBuf, String>,
}

/// The replacement of a function of a kernel.
pub fn replacement(symbols: &Symbols<'_>, object: &str, symbol: &str, sympos: u64) -> Result<Replacement> {
    let functions = [Function { object, symbol, sympos, is_c: false }];
    let text = replacements(symbols, object, &functions)?;
    Ok(Replacement { symbol: symbol.into(), text, ..Replacement::default() })
}

/// The replacements of functions of one object, and the declarations that they need.
pub fn replacements(symbols: &Symbols<'_>, object: &str, functions: &[Function<'_>]) -> Result<String> {
    let info = ObjectInfo::of(symbols, object)?;
    let no_types = || Error::Request {
        message: format!(
            "{object} of {} has no BTF, so the prototypes of its functions are unknown",
            symbols.release()
        ),
        help: "write the patch for a kernel with CONFIG_DEBUG_INFO_BTF".into(),
    };
    let types = info.types.as_ref().ok_or_else(no_types)?;
    let mut writer = Writer::new(types, "", RUNTIME_TYPES, "");
    let texts = functions.iter().map(|function| replacement_of(symbols, &info, types, &mut writer, function));
    let texts = texts.collect::<Result<Vec<_>>>()?.join("\n");
    let (items, rest) = writer.items().map_err(Error::btf(object))?;
    let declarations = kernel_types(object, &items) + &rest;
    let space = if declarations.is_empty() { "" } else { "\n" };
    Ok(format!("{declarations}{space}{texts}"))
}

/// The item of one function.
fn replacement_of(
    symbols: &Symbols<'_>,
    info: &ObjectInfo<'_>,
    types: &Types,
    writer: &mut Writer<'_>,
    function: &Function<'_>,
) -> Result<String> {
    let Function { object, symbol, sympos, .. } = *function;
    let explain = format!(
        "`cargo klp explain --kernel {} {object}:{symbol}` shows what the kernel has",
        symbols.release()
    );
    let refuse = |why: String| Error::Request { message: why, help: explain.clone() };
    let found = &match info.object.lookup(symbol, sympos) {
        Ok(function) => function,
        Err(LookupError::Absent) => return Err(explain::absent(symbols, info, symbol)),
        Err(error) => return Err(refuse(error.message(symbols, &info.object, symbol, "`--sympos …`"))),
    };
    if let Some(why) = obstacle(info, found) {
        return Err(refuse(format!("`{symbol}` of {object} can't be redirected: {why}")));
    }
    let prototypes = types.prototypes(symbol).map_err(Error::btf(object))?;
    let [prototype, others @ ..] = &*prototypes else {
        return Err(refuse(format!(
            "BTF has no prototype of `{symbol}` of {object}: the compiler may have changed its parameters"
        )));
    };
    if prototype.is_variadic {
        return Err(refuse(format!("`{symbol}` is variadic and can't be replaced: patch its callers")));
    }
    let mut item = function.item(types, writer, prototype).map_err(Error::btf(object))?;
    for other in others {
        let other = types.c_prototype(other).map_err(Error::btf(object))?;
        item.insert_str(0, &format!("// BTF also has: {other}\n"));
    }
    Ok(item)
}

/// The declaration of the types in the prototype; each build takes them from its own target kernel.
fn kernel_types(object: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut lines = Vec::new();
    if object != VMLINUX {
        lines.push(format!("object = {object:?};"));
    }
    if items.iter().any(|item| item.ends_with("{}")) {
        lines.push("// Between the braces: the fields that are used.".into());
    }
    lines.extend_from_slice(items);
    format!("kernel_types! {{\n    {}\n}}\n", lines.join("\n    "))
}

/// What is replaced.
#[derive(Clone, Copy, Debug)]
pub struct Function<'a> {
    /// The object.
    pub object: &'a str,
    /// The function.
    pub symbol: &'a str,
    /// Its position among the functions of that name.
    pub sympos: u64,
    /// Whether its body is the function of that name in a C file of the patch.
    pub is_c: bool,
}

impl Function<'_> {
    /// The source of the replacement.
    pub fn item(
        &self,
        types: &Types,
        writer: &mut Writer<'_>,
        prototype: &Prototype,
    ) -> klp_btf::Result<String> {
        let Signature { parameters, returns } = writer.signature(prototype)?;
        let mut arguments = format!("symbol = {:?}", self.symbol);
        if self.object != VMLINUX {
            arguments.push_str(&format!(", object = {:?}", self.object));
        }
        if self.sympos != 0 {
            arguments.push_str(&format!(", sympos = {}", self.sympos));
        }
        let parameters: Vec<_> =
            parameters.iter().map(|(name, ty)| (name, format!("{name}: {ty}"))).collect();
        let names: Vec<_> = parameters.iter().map(|(name, _)| name.as_str()).collect();
        let lines: Vec<_> = parameters.iter().map(|(_, declared)| declared.as_str()).collect();
        let returns = returns.map(|ty| format!(" -> {ty}")).unwrap_or_default();
        // A name that rustc does not warn about.
        let words = self.symbol.split(|letter: char| !letter.is_ascii_alphanumeric());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        let name = words.join("_");
        let name = if self.is_c { self.symbol.to_owned() } else { name };
        let has_capitals = |name: &String| name.contains(|letter: char| letter.is_ascii_uppercase());
        let lint = if parameters.iter().any(|(name, _)| has_capitals(name) || name.contains("__")) {
            "#[allow(non_snake_case)]\n"
        } else {
            ""
        };
        if !self.is_c {
            arguments.push_str(&format!(", original = original_{name}"));
        }
        let mut call = format!("original_{name}({})", names.join(", "));
        if call.len() > MAX_CALL {
            call = format!("original_{name}(\n            {},\n        )", names.join(",\n            "));
        }
        let call =
            if call.len() > MAX_WIDTH - 14 { format!("\n        {call}\n    ") } else { format!(" {call} ") };
        let prefix = if self.is_c { "" } else { "livepatch_" };
        let head = format!("unsafe extern \"C\" fn {prefix}{name}");
        let mut declared = lines.join(", ");
        if head.len() + declared.len() + returns.len() > MAX_WIDTH {
            declared = format!("\n    {},\n", lines.join(",\n    "));
        }
        let body = match self.is_c {
            true => ";".to_owned(),
            false => format!(
                " {{\n    // Check something before the original, correct something after it, or replace it altogether.\n    \
                 // SAFETY: The kernel passed these arguments for the original.\n    unsafe {{{call}}}\n}}"
            ),
        };
        Ok(format!(
            "/// In place of `{}`.\n///\n/// # Safety\n///\n/// Called by the kernel with the arguments of the original.\n\
             #[klp_func({arguments})]\n{lint}{head}({declared}){returns}{body}\n",
            types.c_prototype(prototype)?,
        ))
    }
}
