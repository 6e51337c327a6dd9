//! `cargo klp explain`: what a kernel has under a name, and whether it can be patched.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::check::{Holder, Loaded, Whereabouts, absence, obstacle};
use crate::cli::MessageFormat;
use crate::debug_info::{self, DebugInfoArgs, stem};
use crate::error::{Error, Result};
use crate::kernel::{Kernel, Need};
use crate::symbols::{Symbols, VMLINUX};
use crate::target::TargetArgs;

/// Arguments of `cargo klp explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The symbol: of vmlinux, or of a module as OBJECT:SYMBOL.
    #[arg(value_name = "[OBJECT:]SYMBOL")]
    symbol: String,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    debug_info: DebugInfoArgs,

    /// How the result is written to stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: MessageFormat,
}

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
    pub places: Vec<Place>,
    /// The functions that the source has of that name, without what the compiler added to it, and where they were
    /// inlined; `None` where no debug information is at hand.
    pub functions: Option<Vec<Whereabouts>>,
}

/// One symbol of a name.
#[derive(Debug, Serialize)]
pub struct Place {
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

/// Explains a symbol.
pub fn main(args: &Args) -> Result<ExitCode> {
    let (kernel, modules) = args.target.find(Need::Image)?;
    let (object, symbol) = parse(&args.symbol);
    args.debug_info.read([&kernel], &modules)?;
    let objects = match args.symbol.contains(':') {
        true => vec![object.to_owned()],
        false => objects(&kernel, symbol, &modules)?,
    };
    for object in objects {
        let explanation = explain(&kernel, &object, symbol, &modules)?;
        match args.message_format {
            MessageFormat::Human => print!("{}", human(&explanation)),
            MessageFormat::Json => {
                println!("{}", serde_json::to_string(&explanation).expect("plain data"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where to look for a name that may be anyone's: in vmlinux, and where that lacks it in the modules that have it.
fn objects(kernel: &Kernel, symbol: &str, modules: &[PathBuf]) -> Result<Vec<String>> {
    /// What so many modules have is explained for each.
    const MOST: usize = 8;
    let symbols = Symbols::of(kernel, modules)?;
    if !symbols.object(VMLINUX)?.named(symbol).is_empty() {
        return Ok(vec![VMLINUX.into()]);
    }
    let found = symbols.modules_with(symbol)?;
    match found.len() {
        // Says what is near it.
        0 => Ok(vec![VMLINUX.into()]),
        1..=MOST => Ok(found),
        count => Err(Error::Request {
            message: format!("{count} modules of {} have `{symbol}`", kernel.release),
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
pub fn explain(kernel: &Kernel, object: &str, symbol: &str, modules: &[PathBuf]) -> Result<Explanation> {
    let symbols = Symbols::of(kernel, modules)?;
    let loaded = Loaded::of(kernel, &symbols, object)?;
    let named = loaded.object.named(symbol);
    let functions = Whereabouts::named(&loaded, stem(symbol));
    let is_in_source =
        functions.as_ref().is_some_and(|functions| !functions.is_empty()) && stem(symbol) == symbol;
    if named.is_empty() && !is_in_source {
        return Err(absent(&symbols, &loaded, symbol));
    }
    let mut prototypes = Vec::new();
    if let Some(types) = &loaded.types {
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
    let place = |found: &crate::symbols::Symbol| Place {
        sympos: if unique { 0 } else { found.position },
        kind: found.kind,
        address: found.address,
        between: loaded.object.neighbours(found),
        obstacle: obstacle(&loaded, found),
    };
    Ok(Explanation {
        release: kernel.release.clone(),
        object: object.into(),
        symbol: symbol.into(),
        prototypes,
        exported: loaded.object.export(symbol).map(|export| export.namespace.unwrap_or_default()),
        places: named.iter().map(place).collect(),
        functions,
    })
}

/// The error for a name that an object lacks.
pub(crate) fn absent(symbols: &Symbols<'_>, loaded: &Loaded<'_>, symbol: &str) -> Error {
    let object = &loaded.object.name;
    if let Some(why) = absence(loaded, symbol) {
        return Error::Request {
            message: format!("`{symbol}` has no symbol in {object} of {}", symbols.release()),
            help: why,
        };
    }
    let near = loaded.object.nearest(symbol);
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

fn human(explanation: &Explanation) -> String {
    let Explanation { release, object, symbol, prototypes, exported, places, functions } = explanation;
    let mut text = format!("{symbol} of {object}, {release}\n");
    for prototype in prototypes {
        text.push_str(&format!("  prototype   {prototype};\n"));
    }
    let is_code = places.iter().any(|place| place.kind.eq_ignore_ascii_case(&'t'));
    if prototypes.is_empty() && is_code {
        text.push_str("  prototype   not in BTF\n");
    }
    match exported.as_deref() {
        Some("") => text.push_str("  exported    yes\n"),
        Some(namespace) => text.push_str(&format!("  exported    in the namespace {namespace}\n")),
        None => text.push_str("  exported    no\n"),
    }
    for Place { sympos, kind, address, between, obstacle } in places {
        let around = between
            .as_ref()
            .map_or_else(String::new, |[before, after]| format!(", between {before} and {after}"));
        text.push_str(&format!("  sympos = {sympos}  `{kind}` at {address:#x}{around}\n"));
        match obstacle {
            Some(why) => text.push_str(&format!("              can't be redirected: {why}\n")),
            None => text.push_str("              can be redirected\n"),
        }
    }
    if places.is_empty() {
        text.push_str("  symbol      none: there is no code that is its own\n");
    }
    if stem(symbol) != symbol && is_code {
        let original = stem(symbol);
        text.push_str(&format!(
            "  made of     {original}, by the compiler: its parameters need not be those of the source\n"
        ));
    }
    match functions {
        None if is_code => text.push_str(&format!(
            "  inlined     not known without debug information:\n{INDENT}{}\n",
            debug_info::help(release)
        )),
        Some(functions) if functions.is_empty() && is_code => {
            text.push_str("  inlined     not known: the debug information does not have it\n");
        }
        functions => functions.iter().flatten().for_each(|function| text.push_str(&inlined(function))),
    }
    text
}

/// Where what belongs to a word starts.
const INDENT: &str = "              ";

/// So many functions are shown of those that another one is inlined into.
const MOST_SHOWN: usize = 30;

/// Where a function of the source is.
fn inlined(function: &Whereabouts) -> String {
    let Whereabouts { source, copies, inlined_into } = function;
    let mut text = format!("  source      {source}\n");
    if let [_, _, ..] = &**copies {
        let names: Vec<String> = copies.iter().map(|copy| copy.name().replace('`', "")).collect();
        text.push_str(&format!("{INDENT}code of its own: {}\n", names.join(", ")));
    } else if let [copy] = &**copies {
        text.push_str(&format!("{INDENT}code of its own: {}\n", copy.name().replace('`', "")));
    }
    match inlined_into.len() {
        0 => text.push_str(&format!("{INDENT}not inlined anywhere\n")),
        1 => text.push_str(&format!("{INDENT}inlined into\n")),
        number => text.push_str(&format!("{INDENT}inlined into {number} functions\n")),
    }
    for holder in inlined_into.iter().take(MOST_SHOWN) {
        let Holder { places, obstacle, .. } = holder;
        let name = holder.name().replace('`', "");
        let places = if *places == 1 { String::new() } else { format!(", {places} places") };
        let obstacle =
            obstacle.as_ref().map(|why| format!(": can't be redirected: {why}")).unwrap_or_default();
        text.push_str(&format!("{INDENT}  {name}{places}{obstacle}\n"));
    }
    if let Some(more @ 1..) = inlined_into.len().checked_sub(MOST_SHOWN) {
        text.push_str(&format!("{INDENT}  and {more} more (all with --message-format json)\n"));
    }
    text
}
