//! `cargo klp explain`: what a kernel has under a name, and whether that can be patched.

use std::process::ExitCode;

use klp_format::condition::Condition;

use super::args::{DebugInfoArgs, MessageFormat, TargetArgs};
use super::ui::Terminal;
use crate::error::{Error, Result};
use crate::kbuild::conditions;
use crate::kernel::KernelParts;
use crate::kernel::debug_info::{self, stem};
use crate::kernel::symbols::Symbols;
use crate::patch::check::{InlineHost, InlineSites};
use crate::patch::explain::{Explanation, SymbolInfo, explain, objects, parse};
use crate::patch::meaning::{Meaning, Member};

/// Arguments of `cargo klp explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp explain nft_do_chain                a function, in vmlinux or the module that has it
  cargo klp explain xfs:xfs_file_open           a function of a module
  cargo klp explain sethostname                 a system call
  cargo klp explain task_struct                 a type, with its fields
  cargo klp explain 'kernel_has = \"fn seq_puts\"'
                                                a condition of #[cfg(…)]: does it hold?
  cargo klp explain CONFIG_SMP                  an option of the kernel's configuration")]
pub struct Args {
    /// The symbol, type, constant, macro, inline function or system call: of vmlinux, or of a module as OBJECT:SYMBOL; or a
    /// condition on the kernel.
    #[arg(value_name = "[OBJECT:]SYMBOL")]
    symbol: String,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    debug_info: DebugInfoArgs,

    /// The format of the result on stdout.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    message_format: MessageFormat,
}

/// Explains a symbol.
pub fn main(args: &Args) -> Result<ExitCode> {
    args.message_format.run(|| explain_all(args))
}

fn explain_all(args: &Args) -> Result<ExitCode> {
    if let Some(condition) = condition(&args.symbol) {
        let condition = condition.map_err(|why| Error::Request {
            message: format!("`{}` is not a condition: {why}", args.symbol),
            help: "`kernel_types!` has them in its documentation".into(),
        })?;
        return explain_condition(args, &condition);
    }
    let (object, symbol) = parse(&args.symbol)?;
    let target = args.target.find_with(&args.debug_info, KernelParts::Image)?;
    let symbols = Symbols::of(&target, &Terminal)?;
    let objects = match args.symbol.contains(':') {
        true => vec![object.to_owned()],
        false => objects(&symbols, symbol)?,
    };
    for object in objects {
        let explanation = explain(&symbols, &object, symbol)?;
        match args.message_format {
            MessageFormat::Human => print!("{}", human(&explanation)),
            MessageFormat::Json => {
                println!("{}", serde_json::to_string(&explanation).expect("plain data"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The condition on the kernel that an argument is, as in a `#[cfg]`: `None` for what is none.
fn condition(argument: &str) -> Option<Result<Condition, String>> {
    match argument.split_once('=') {
        Some((name, value)) => Condition::parse(name.trim(), Some(value.trim().trim_matches('"'))),
        None => Condition::parse(argument.trim(), None),
    }
}

/// Says whether a condition holds.
fn explain_condition(args: &Args, condition: &Condition) -> Result<ExitCode> {
    let target = args.target.find(KernelParts::Image)?;
    let (release, holds) = (&target.kernel.release, conditions::holds(condition, &target, &Terminal)?);
    match args.message_format {
        MessageFormat::Human => {
            let value = match condition {
                Condition::Config { option, .. } => {
                    format!(": it is {}", target.kernel.config(option).unwrap_or("not set"))
                }
                _ => String::new(),
            };
            println!("{condition} {} on {release}{value}", if holds { "holds" } else { "does not hold" });
        }
        MessageFormat::Json => {
            let answer =
                serde_json::json!({ "release": release, "condition": condition.to_string(), "holds": holds });
            println!("{answer}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn human(explanation: &Explanation) -> String {
    let Explanation { release, object, symbol, prototypes, exported, places, functions, meanings } =
        explanation;
    let mut text = format!("{symbol} of {object}, {release}\n");
    for prototype in prototypes {
        text.push_str(&format!("  prototype   {prototype};\n"));
    }
    let is_code = places.iter().any(|place| place.kind.eq_ignore_ascii_case(&'t'));
    if prototypes.is_empty() && is_code {
        text.push_str("  prototype   not in BTF\n");
    }
    let is_symbol = !places.is_empty() || functions.as_ref().is_some_and(|functions| !functions.is_empty());
    match exported.as_deref() {
        None if !is_symbol => {}
        Some("") => text.push_str("  exported    yes\n"),
        Some(namespace) => text.push_str(&format!("  exported    in the namespace {namespace}\n")),
        None => text.push_str("  exported    no\n"),
    }
    for SymbolInfo { sympos, kind, address, between, obstacle } in places {
        let around = between
            .as_ref()
            .map_or_else(String::new, |[before, after]| format!(", between {before} and {after}"));
        text.push_str(&format!("  sympos = {sympos}  `{kind}` at {address:#x}{around}\n"));
        match obstacle {
            Some(why) => text.push_str(&format!("              can't be redirected: {why}\n")),
            None => text.push_str("              can be redirected\n"),
        }
    }
    if places.is_empty() && is_symbol {
        text.push_str("  symbol      none: the kernel has no code of its own for it\n");
    }
    if stem(symbol) != symbol && is_code {
        let original = stem(symbol);
        text.push_str(&format!(
            "  made of     {original}, by the compiler: its parameters may differ from the source\n"
        ));
    }
    match functions {
        None if is_code => text.push_str(&format!(
            "  inlined     unknown without debug information:\n{INDENT}{}\n",
            debug_info::help(release)
        )),
        Some(functions) if functions.is_empty() && is_code => {
            text.push_str("  inlined     unknown: the debug information does not mention it\n");
        }
        functions => functions.iter().flatten().for_each(|function| text.push_str(&inlined(function))),
    }
    meanings.iter().for_each(|meaning| text.push_str(&other_meaning(symbol, meaning)));
    text
}

/// What a name is beside a symbol.
fn other_meaning(name: &str, meaning: &Meaning) -> String {
    match meaning {
        Meaning::Type { declaration, size, members } => {
            let line = |Member { declaration, at }: &Member| format!("{INDENT}{at:>6}  {declaration}\n");
            format!("  type        {declaration}, {size} bytes\n")
                + &members.iter().map(line).collect::<String>()
        }
        Meaning::Enumerator { of, value } => {
            format!("  constant    {value}, of {of}: `const {name};` in `kernel_types!`\n")
        }
        Meaning::SystemCall(call) => {
            format!("  system call {}: `{}` redirects it\n", call.entries.join(", "), call.attribute)
        }
        Meaning::Header(definition) => format!("  header      {definition}\n"),
        Meaning::Runtime(path) => format!("  runtime     `{path}` does it\n"),
    }
}

/// The column at which details start.
const INDENT: &str = "              ";

/// The number of functions to list that contain an inlined copy.
const MOST_SHOWN: usize = 30;

/// Where a function of the source is.
fn inlined(function: &InlineSites) -> String {
    let InlineSites { source, copies, inlined_into } = function;
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
        let InlineHost { places, obstacle, .. } = holder;
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
