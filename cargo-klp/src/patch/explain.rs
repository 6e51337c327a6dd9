//! What a kernel has under a name, and whether it can be patched.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::kernel::debug_info::stem;
use crate::kernel::symbols::{Symbols, VMLINUX};
use crate::patch::check::{InlineSites, ObjectInfo, absence, obstacle};

/// What is known of a name in an object.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The kernel.
    pub release: String,
    /// vmlinux, or a module.
    pub object: String,
    /// The name.
    pub symbol: String,
    /// The prototypes that BTF has of it, as C declares them.
    pub prototypes: Vec<String>,
    /// How it is exported: the namespace, which is empty for most.
    pub exported: Option<String>,
    /// The symbols of that name.
    pub places: Vec<SymbolInfo>,
    /// The functions that the source has of that name, without what the compiler added to it, and where they were
    /// inlined; `None` where no debug information is at hand.
    pub functions: Option<Vec<InlineSites>>,
}

/// One symbol of a name.
#[derive(Debug, Serialize)]
pub struct SymbolInfo {
    /// The `sympos` that means it.
    pub sympos: u64,
    /// Its kind, as nm has it.
    pub kind: char,
    /// The address in the image, or the offset in the section.
    pub address: u64,
    /// The symbols before and after it.
    pub between: Option<[String; 2]>,
    /// Why it can't be redirected, if it can't.
    pub obstacle: Option<String>,
}

/// Where to look for a name that may be anyone's: in vmlinux, and where that lacks it in the modules that have it.
pub fn objects(symbols: &Symbols<'_>, symbol: &str) -> Result<Vec<String>> {
    /// What so many modules have is explained for each.
    const MOST: usize = 8;
    if !symbols.object(VMLINUX)?.named(symbol).is_empty() {
        return Ok(vec![VMLINUX.into()]);
    }
    let found = symbols.modules_with(symbol)?;
    match found.len() {
        // Says what is near it.
        0 => Ok(vec![VMLINUX.into()]),
        1..=MOST => Ok(found),
        count => Err(Error::Request {
            message: format!("{count} modules of {} have `{symbol}`", symbols.release()),
            help: format!(
                "choose one of {}, …: `cargo klp explain {}:{symbol}`",
                found[..MOST].join(", "),
                found[0]
            ),
        }),
    }
}

/// The object and the symbol of `[OBJECT:]SYMBOL`.
#[must_use]
pub fn parse(text: &str) -> (&str, &str) {
    text.split_once(':').unwrap_or((VMLINUX, text))
}

/// What a kernel has under a name.
pub fn explain(symbols: &Symbols<'_>, object: &str, symbol: &str) -> Result<Explanation> {
    let info = ObjectInfo::of(symbols, object)?;
    let named = info.object.named(symbol);
    let functions = InlineSites::named(&info, stem(symbol));
    let is_in_source =
        functions.as_ref().is_some_and(|functions| !functions.is_empty()) && stem(symbol) == symbol;
    if named.is_empty() && !is_in_source {
        return Err(absent(symbols, &info, symbol));
    }
    let mut prototypes = Vec::new();
    if let Some(types) = &info.types {
        let read = || {
            types
                .prototypes(symbol)?
                .iter()
                .map(|found| types.c_prototype(found))
                .collect::<klp_btf::Result<Vec<_>>>()
        };
        prototypes = read().map_err(Error::btf(object))?;
        prototypes.dedup();
    }
    let unique = named.len() == 1;
    let place = |found: &crate::kernel::symbols::Symbol| SymbolInfo {
        sympos: if unique { 0 } else { found.position },
        kind: found.kind,
        address: found.address,
        between: info.object.neighbours(found),
        obstacle: obstacle(&info, found),
    };
    Ok(Explanation {
        release: symbols.release().into(),
        object: object.into(),
        symbol: symbol.into(),
        prototypes,
        exported: info.object.export(symbol).map(|export| export.namespace.unwrap_or_default()),
        places: named.iter().map(place).collect(),
        functions,
    })
}

/// The error for a name that an object lacks.
pub(crate) fn absent(symbols: &Symbols<'_>, info: &ObjectInfo<'_>, symbol: &str) -> Error {
    let object = &info.object.name;
    if let Some(why) = absence(info, symbol) {
        return Error::Request {
            message: format!("`{symbol}` has no symbol in {object} of {}", symbols.release()),
            help: why,
        };
    }
    let near = info.object.nearest(symbol);
    let elsewhere = symbols.modules_with(symbol).unwrap_or_default();
    let help = if let [other, ..] = &*elsewhere {
        format!("{} has it: write `{other}:{symbol}`", elsewhere.join(", "))
    } else if near.is_empty() {
        "nothing there has a similar name, and no module has this one".into()
    } else {
        format!("the nearest names there are {}; no module has this one", near.join(", "))
    };
    Error::Request {
        message: format!("`{symbol}` does not exist in {object} of {}", symbols.release()),
        help,
    }
}
