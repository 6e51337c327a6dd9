//! A replacement with the prototype that the kernel's BTF gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use klp_btf::{Prototype, RUNTIME_TYPES, Signature, Types, Writer};

use crate::error::{Error, Result};
use crate::kernel::symbols::{LookupError, Object, Symbol, Symbols, VMLINUX};
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
    /// Lines of `livepatch!`: what it fixes, and the namespaces of what it uses.
    pub declared: String,
    /// C files and headers, relative to `src`.
    pub files: BTreeMap<PathBuf, String>,
}

/// So many functions are named in the patch's description.
const MOST_NAMED: usize = 3;

/// The errno values that `klp_runtime::error` has.
const ERRNOS: &[&str] = &[
    "EPERM",
    "ENOENT",
    "ESRCH",
    "EINTR",
    "EIO",
    "ENXIO",
    "E2BIG",
    "EBADF",
    "ECHILD",
    "EAGAIN",
    "ENOMEM",
    "EACCES",
    "EFAULT",
    "EBUSY",
    "EEXIST",
    "ENODEV",
    "ENOTDIR",
    "EISDIR",
    "EINVAL",
    "ENFILE",
    "EMFILE",
    "ENOTTY",
    "EFBIG",
    "ENOSPC",
    "EROFS",
    "EPIPE",
    "EDOM",
    "ERANGE",
    "EDEADLK",
    "ENAMETOOLONG",
    "ENOSYS",
    "EOVERFLOW",
    "EOPNOTSUPP",
    "ETIMEDOUT",
];

/// Reads `--return`: the name of an errno value, also with the minus sign that C writes.
pub fn errno(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('-').unwrap_or(text);
    match ERRNOS.contains(&name) {
        true => Ok(name.into()),
        false => Err(format!("expected the name of an errno value, one of {}", ERRNOS.join(", "))),
    }
}

/// The functions in one line, for the patch's description.
pub fn names(functions: &[Function<'_>]) -> String {
    let names: Vec<&str> = functions.iter().map(|function| function.symbol).collect();
    let (named, more) = names.split_at(names.len().min(MOST_NAMED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    named.join(", ") + &more
}

/// The replacements of functions of a kernel: those of several objects are in a Rust module for each object.
pub fn items(symbols: &Symbols<'_>, functions: &[Function<'_>]) -> Result<String> {
    let mut objects: BTreeMap<&str, Vec<Function<'_>>> = BTreeMap::new();
    for function in functions {
        objects.entry(function.object).or_default().push(*function);
    }
    let is_single = objects.len() == 1;
    let mut text = String::new();
    for (object, functions) in &objects {
        let indent = if is_single { 0 } else { 4 };
        let items = replacements(symbols, object, functions, indent)?;
        match is_single {
            true => text.push_str(&items),
            false => {
                let lines = items
                    .lines()
                    .map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") });
                let lines: String = lines.collect();
                text.push_str(&format!("mod {object} {{\n    use klp_runtime::prelude::*;\n\n{lines}}}\n\n"));
            }
        }
    }
    Ok(text.trim_end().to_owned() + "\n")
}

/// The replacements of functions of one object, and the declarations that they need.
fn replacements(
    symbols: &Symbols<'_>,
    object: &str,
    functions: &[Function<'_>],
    indent: usize,
) -> Result<String> {
    let info = ObjectInfo::of(symbols, object)?;
    let no_types = || Error::Request {
        message: format!(
            "{object} of {} has no BTF, so the prototypes of its functions are unknown",
            symbols.release()
        ),
        help: format!(
            "the source has them: create the patch without `--func`, and write `#[klp_func({}symbol = \"…\")]` above a \
             function with the prototype from there",
            if object == VMLINUX { String::new() } else { format!("object = {object:?}, ") }
        ),
    };
    let types = info.types.as_ref().ok_or_else(no_types)?;
    let mut writer = Writer::new(types, "", RUNTIME_TYPES, "");
    let texts = functions.iter().map(|function| {
        // A name is taken once in a Rust module.
        let is_shared = functions.iter().filter(|other| other.symbol == function.symbol).count() > 1;
        replacement_of(symbols, &info, types, &mut writer, function, Position { is_shared, indent })
    });
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
    position: Position,
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
        Err(error) => {
            return Err(refuse(error.message(
                symbols,
                &info.object,
                symbol,
                &format!("`--func {},…`", name_of(object, symbol)),
            )));
        }
    };
    if let Some(why) = obstacle(info, found) {
        return Err(refuse(format!("`{symbol}` of {object} can't be redirected: {why}")));
    }
    let prototypes = prototypes(types, &info.object, found)?;
    let [prototype, others @ ..] = &*prototypes else {
        return Err(refuse(format!(
            "BTF has no prototype of `{symbol}` of {object}: the compiler may have changed its parameters"
        )));
    };
    if prototype.is_variadic {
        return Err(refuse(format!("`{symbol}` is variadic and can't be replaced: patch its callers")));
    }
    let c_prototype = types.c_prototype(prototype).map_err(Error::btf(object))?;
    let signature = writer.signature(prototype).map_err(Error::btf(object))?;
    if let Body::Returns(errno) = function.body
        && errno_of(&signature, errno).is_none()
    {
        return Err(no_errno(&name_of(object, symbol), &c_prototype, &signature, errno));
    }
    let mut item = function.item(&c_prototype, signature, position);
    for other in others {
        let other = types.c_prototype(other).map_err(Error::btf(object))?;
        item.insert_str(0, &format!("// BTF also has: {other}\n"));
    }
    Ok(item)
}

/// What BTF has of a function, or else of another name of it: the wrappers of a system call without arguments are one
/// function, whose own name is a third.
fn prototypes(types: &Types, object: &Object<'_>, function: &Symbol) -> Result<Vec<Prototype>> {
    let of = |name: &str| types.prototypes(name).map_err(Error::btf(&object.name));
    let own = of(&function.name)?;
    if !own.is_empty() {
        return Ok(own);
    }
    let is_same = |other: &Symbol| (other.section, other.address) == (function.section, function.address);
    let others = object.all().into_iter().filter(is_same).map(|other| of(&other.name));
    Ok(others.collect::<Result<Vec<_>>>()?.into_iter().find(|found| !found.is_empty()).unwrap_or_default())
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

/// The function as `--func` takes it.
fn name_of(object: &str, symbol: &str) -> String {
    if object == VMLINUX { symbol.into() } else { format!("{object}:{symbol}") }
}

/// The expression of an error in a function's return type; `None` if the type has no errors.
fn errno_of(signature: &Signature, errno: &str) -> Option<String> {
    match signature.returns.as_deref()? {
        "c_int" => Some(format!("{errno}.to_errno()")),
        "c_long" => Some(format!("c_long::from({errno}.to_errno())")),
        _ => None,
    }
}

/// Why a function can't return an errno value, and what to write in place of `--return`.
fn no_errno(function: &str, prototype: &str, signature: &Signature, errno: &str) -> Error {
    let returns = signature.returns.as_deref();
    let (why, write) = match returns {
        None => ("it returns nothing".into(), "leave the body empty there".into()),
        Some(ty) if ty.starts_with('*') => (
            "it returns a pointer".into(),
            format!("return `{errno}.to_ptr()` there if its callers check with IS_ERR, or a null pointer"),
        ),
        Some(ty) => (
            format!("its return type is `{ty}`, and an errno value is an int or a long"),
            "return there what its callers take for a failure".into(),
        ),
    };
    Error::Request {
        message: format!("`{function}` can't return -{errno}: {why} (`{prototype}`)"),
        help: format!("leave `--return` out (`cargo klp new NAME --func {function}`), and {write}"),
    }
}

/// What the body of a replacement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A call of the original, to change.
    Original,
    /// The function of this name in a C file of the patch.
    C(&'a str),
    /// This error, without the original.
    Returns(&'a str),
}

/// Where the item of a function stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Position {
    /// Whether another function there has the symbol, too.
    pub is_shared: bool,
    /// The number of spaces before its lines.
    pub indent: usize,
}

/// What is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// The object.
    pub object: &'a str,
    /// The function.
    pub symbol: &'a str,
    /// Its position among the functions of that name.
    pub sympos: u64,
    /// Its body.
    pub body: Body<'a>,
}

impl<'a> Function<'a> {
    /// The function that `--func` names.
    pub fn parse(text: &'a str, body: Body<'a>) -> Result<Self> {
        let (name, sympos) = match text.split_once(',') {
            None => (text, 0),
            Some((name, position)) => {
                let sympos = position.parse().ok().filter(|&sympos| sympos > 0);
                let refuse = || Error::Request {
                    message: format!("expected a position behind `{name},`, found `{position}`"),
                    help: format!("`cargo klp explain {name}` lists the functions of that name, from 1"),
                };
                (name, sympos.ok_or_else(refuse)?)
            }
        };
        let (object, symbol) = explain::parse(name)?;
        Ok(Self { object, symbol, sympos, body })
    }
}

impl Function<'_> {
    /// The source of the replacement.
    pub fn item(&self, c_prototype: &str, signature: Signature, position: Position) -> String {
        let returned = if let Body::Returns(errno) = self.body { errno_of(&signature, errno) } else { None };
        let Signature { parameters, returns } = signature;
        let mut arguments = format!("symbol = {:?}", self.symbol);
        if self.object != VMLINUX {
            arguments.push_str(&format!(", object = {:?}", self.object));
        }
        if self.sympos != 0 {
            arguments.push_str(&format!(", sympos = {}", self.sympos));
        }
        let name = self.name(position.is_shared);
        if self.body == Body::Original {
            arguments.push_str(&format!(", original = original_{name}"));
        }
        let has_capitals = |name: &String| name.contains(|letter: char| letter.is_ascii_uppercase());
        let lint = match parameters.iter().any(|(name, _)| has_capitals(name) || name.contains("__")) {
            true => "#[allow(non_snake_case)]\n",
            false => "",
        };
        // An argument that nobody uses has a name that rustc does not warn about.
        let declared = parameters.iter().map(|(name, ty)| match returned {
            Some(_) => format!("_{}: {ty}", name.trim_start_matches("r#").trim_start_matches('_')),
            None => format!("{name}: {ty}"),
        });
        let declared: Vec<_> = declared.collect();
        let returns = returns.map(|ty| format!(" -> {ty}")).unwrap_or_default();
        let is_c = matches!(self.body, Body::C(_));
        let prefix = if is_c { "" } else { "livepatch_" };
        let head = format!("unsafe extern \"C\" fn {prefix}{name}");
        let mut list = declared.join(", ");
        if head.len() + list.len() + returns.len() > MAX_WIDTH - position.indent {
            list = format!("\n    {},\n", declared.join(",\n    "));
        }
        let body = match returned {
            Some(returned) => format!(" {{\n    {returned}\n}}"),
            None if is_c => ";".to_owned(),
            None => call(&name, &parameters, position.indent),
        };
        format!(
            "/// In place of `{c_prototype}`.\n///\n/// # Safety\n///\n/// Called by the kernel with the arguments of the \
             original.\n#[klp_func({arguments})]\n{lint}{head}({list}){returns}{body}\n",
        )
    }

    /// The function's name in Rust, which rustc does not warn about, without a prefix.
    fn name(&self, is_shared: bool) -> String {
        if let Body::C(name) = self.body {
            return name.to_owned();
        }
        let words = self.symbol.split(|letter: char| !letter.is_ascii_alphanumeric());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
        let position = if is_shared { format!("_{}", self.sympos) } else { String::new() };
        words.join("_") + &position
    }
}

/// A body that calls the original.
fn call(name: &str, parameters: &[(String, String)], indent: usize) -> String {
    let names: Vec<_> = parameters.iter().map(|(name, _)| name.as_str()).collect();
    let mut call = format!("original_{name}({})", names.join(", "));
    if call.len() > MAX_CALL - indent {
        call = format!("original_{name}(\n            {},\n        )", names.join(",\n            "));
    }
    let call = if call.len() > MAX_WIDTH - 14 - indent {
        format!("\n        {call}\n    ")
    } else {
        format!(" {call} ")
    };
    format!(
        " {{\n    // Check something before the original, correct something after it, or replace it altogether.\n    \
         // SAFETY: The kernel passed these arguments for the original.\n    unsafe {{{call}}}\n}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_has_each_errno_value() {
        let source = include_str!("../../../../klp-runtime/src/kernel/error.rs");
        let names = source.lines().filter_map(|line| line.trim().split_once(" = "));
        let names = names.filter(|(name, rest)| name.starts_with('E') && rest.contains(", \""));
        assert_eq!(names.map(|(name, _)| name).collect::<Vec<_>>(), ERRNOS);
        assert_eq!(errno("-EPERM").unwrap(), "EPERM");
        assert!(errno("1").unwrap_err().contains("EPERM, "));
    }

    #[test]
    fn a_position_stands_behind_the_function() {
        let parse = |text| Function::parse(text, Body::Original);
        let function = Function { object: "m", symbol: "f", sympos: 2, body: Body::Original };
        assert_eq!(parse("m:f,2").unwrap(), function);
        assert_eq!(parse("m:f").unwrap().sympos, 0);
        for wrong in ["f,", "f,0", "f,x"] {
            assert!(parse(wrong).unwrap_err().to_string().contains("expected a position"), "{wrong}");
        }
    }
}
