//! Explains a name: what a kernel has under it, and whether that can be patched.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::kernel::debug_info::{self, stem};
use crate::kernel::symbols::{Symbols, VMLINUX};
use crate::patch::check::{InlineSites, ObjectInfo, absence, obstacle};
use crate::patch::meaning::{Meaning, meanings, system_call};

/// Everything known about a name in an object.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The kernel.
    pub release: String,
    /// vmlinux, or a module.
    pub object: String,
    /// The name.
    pub symbol: String,
    /// Its prototypes in BTF, as C declarations.
    pub prototypes: Vec<String>,
    /// The namespace in which it is exported, usually empty; `None` if it is not exported.
    pub exported: Option<String>,
    /// The symbols of that name.
    pub places: Vec<SymbolInfo>,
    /// The source's functions of that name (without the compiler's suffixes), and where they were inlined; `None`
    /// without debug information.
    pub functions: Option<Vec<InlineSites>>,
    /// What else the name means.
    pub meanings: Vec<Meaning>,
}

/// A symbol with the name.
#[derive(Debug, Serialize)]
pub struct SymbolInfo {
    /// Its `sympos`.
    pub sympos: u64,
    /// The letter for its kind, as in nm.
    pub kind: char,
    /// The address in the image, or the offset in the section.
    pub address: u64,
    /// The symbols before and after it.
    pub between: Option<[String; 2]>,
    /// The reason why it can't be redirected, if it can't.
    pub obstacle: Option<String>,
}

/// The objects that may have a name: vmlinux, or the modules that have it if vmlinux does not.
pub fn objects(symbols: &Symbols<'_>, symbol: &str) -> Result<Vec<String>> {
    /// Up to this number of modules, the name is explained for each.
    const MOST: usize = 8;
    if !symbols.object(VMLINUX)?.named(symbol).is_empty() {
        return Ok(vec![VMLINUX.into()]);
    }
    let found = symbols.modules_with(symbol)?;
    match found.len() {
        // The error lists similar names.
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
///
/// # Errors
///
/// One of them is empty.
pub fn parse(text: &str) -> Result<(&str, &str)> {
    match text.split_once(':').unwrap_or((VMLINUX, text)) {
        (object, symbol) if object.is_empty() || symbol.is_empty() => Err(Error::Request {
            message: format!("expected SYMBOL or OBJECT:SYMBOL, found `{text}`"),
            help: "name a function, such as `cmdline_proc_show` or `nf_tables:nft_do_chain`".into(),
        }),
        both => Ok(both),
    }
}

/// Explains a name in an object.
pub fn explain(symbols: &Symbols<'_>, object: &str, symbol: &str) -> Result<Explanation> {
    let info = ObjectInfo::of(symbols, object)?;
    let named = info.object.named(symbol);
    let functions = InlineSites::named(&info, stem(symbol));
    let is_in_source =
        functions.as_ref().is_some_and(|functions| !functions.is_empty()) && stem(symbol) == symbol;
    let meanings = meanings(&symbols.target().kernel, &info, symbol, !named.is_empty())?;
    if named.is_empty() && !is_in_source && meanings.is_empty() {
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
        meanings,
    })
}

/// The error for a name that an object does not have.
pub(crate) fn absent(symbols: &Symbols<'_>, info: &ObjectInfo<'_>, symbol: &str) -> Error {
    let object = &info.object.name;
    if let Some(why) = absence(info, symbol) {
        return Error::Request {
            message: format!("`{symbol}` has no symbol in {object} of {}", symbols.release()),
            help: why,
        };
    }
    let elsewhere = symbols.modules_with(symbol).unwrap_or_default();
    // Without debug information, a function of the source that was inlined everywhere leaves no trace.
    let is_known_wholly = info.debug_info.is_some();
    let help = match &*elsewhere {
        [] if let Some(call) = system_call(info, symbol) => {
            format!("it is a system call: `{}` redirects it", call.attribute)
        }
        [] => {
            let similar = format!("{}; no module has this one", symbols.similar(&info.object, symbol));
            match is_known_wholly {
                true => similar,
                false => format!(
                    "{similar}; or the compiler may have inlined it, which debug information tells: {}",
                    debug_info::help(symbols.release())
                ),
            }
        }
        [other, ..] => format!("{} has it: write `{other}:{symbol}`", elsewhere.join(", ")),
    };
    Error::Request {
        message: match is_known_wholly {
            true => format!("`{symbol}` does not exist in {object} of {}", symbols.release()),
            false => format!("{object} of {} has no symbol `{symbol}`", symbols.release()),
        },
        help,
    }
}
