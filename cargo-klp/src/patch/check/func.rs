//! Checks whether a function can be redirected to a replacement.

use klp_btf::{Prototype, Types};
use klp_format::Syscalls;
use klp_format::manifest::{Func, Passed};

use super::inlining::{self, InlineHost, InlineSites};
use super::{Diagnostic, ObjectInfo, Outcome, rustc, thread};
use crate::error::{Error, Result};
use crate::kernel::debug_info::stem;
use crate::kernel::symbols::{LookupError, Symbol, Symbols, VMLINUX};

/// Checks one redirected function, and returns the symbol that it redirects.
///
/// `unchecked` skips the types, and accepts a function that ftrace can't redirect: the kernel then refuses to
/// enable the patch.
pub(super) fn check(
    symbols: &Symbols<'_>,
    info: &ObjectInfo<'_>,
    func: &Func,
    all: &[Func],
    outcome: &mut Outcome,
) -> Result<Option<Symbol>> {
    let has_types = !func.signature.is_empty();
    let fault = |message| Diagnostic { place: func.place.clone(), message };
    let function = match lookup(symbols, info, func) {
        Ok(function) => function,
        Err(message) => {
            outcome.faults.push(fault(message));
            return Ok(None);
        }
    };
    if let Some(why) = obstacle(info, &function) {
        let (symbol, object) = (&func.symbol, &func.object);
        let inlined = InlineSites::of_symbol(info, &function)
            .and_then(|known| inlining::also_inlined(&known))
            .unwrap_or_default();
        let found = fault(format!("`{symbol}` of {object} can't be redirected: {why}{inlined}"));
        let list = match !has_types && is_kept_code(&function) {
            true => &mut outcome.warnings,
            false => &mut outcome.faults,
        };
        list.push(found);
        return Ok(Some(function));
    }
    let is_redirected = |host: &InlineHost| {
        all.iter().any(|other| {
            let is_meant = host.sympos.is_some_and(|sympos| sympos == 0 || sympos == other.sympos);
            other.object == func.object && other.symbol == host.symbol && is_meant
        })
    };
    let left = match InlineSites::of_symbol(info, &function) {
        Some(known) => inlining::leaves(&func.object, &function, &known, is_redirected),
        None => {
            let is_redirected =
                |name: &str| all.iter().any(|other| other.object == func.object && other.symbol == name);
            inlining::may_leave(&info.object, &function, is_redirected)
        }
    };
    outcome.warnings.extend(left.map(fault));
    outcome.warnings.extend(thread::stays(info, &function)?.map(fault));
    if has_types {
        check_types(info, func, outcome)?;
    }
    Ok(Some(function))
}

/// Compares the types of a replacement with the prototypes in BTF.
fn check_types(info: &ObjectInfo<'_>, func: &Func, outcome: &mut Outcome) -> Result<()> {
    let Some(types) = &info.types else {
        if func.object != VMLINUX {
            outcome.unchecked.push(format!("prototypes of {} are not checked: it has no BTF", func.object));
        }
        return Ok(());
    };
    let btf = || Error::btf(&func.object);
    let prototypes = types.prototypes(&func.symbol).map_err(btf())?;
    let mut faults = Vec::new();
    for prototype in &prototypes {
        let found = fits(types, prototype, &func.signature).map_err(btf())?;
        if found.is_empty() {
            return Ok(());
        }
        if faults.is_empty() {
            faults = found;
        }
    }
    let name = &func.symbol;
    match &*prototypes {
        // A wrapper of a system call, whose types `#[klp_syscall]` knows.
        [] if Syscalls::have(name) => {}
        [] if stem(name) != name => outcome.unchecked.push(format!(
            "the types of `{name}` are not checked: the compiler made it from `{}` and may have changed its parameters",
            stem(name)
        )),
        [] => outcome
            .unchecked
            .push(format!("the types of `{name}` are not checked: the BTF of {} has no prototype for it", func.object)),
        _ if info.object.named(name).len() > 1 => outcome.unchecked.push(format!(
            "the types of `{name}` are not checked: {} has several functions of that name, and BTF may describe another \
             one: {}",
            func.object, faults[0].1
        )),
        _ => outcome.faults.extend(
            faults.into_iter().map(|(place, message)| Diagnostic { place: place_in_file(func, place), message }),
        ),
    }
    Ok(())
}

/// The place of a part of a replacement, in the file that contains its attribute.
fn place_in_file(func: &Func, part: Option<&str>) -> Option<String> {
    let whole = func.place.as_ref()?;
    let file = whole.rsplitn(3, ':').nth(2)?;
    Some(part.map_or_else(|| whole.clone(), |part| format!("{file}:{part}")))
}

/// The symbol to redirect.
fn lookup(symbols: &Symbols<'_>, info: &ObjectInfo<'_>, func: &Func) -> Result<Symbol, String> {
    let (name, object) = (&func.symbol, &func.object);
    info.object.lookup(name, func.sympos).map_err(|error| {
        if error != LookupError::Absent {
            return error.message(symbols, &info.object, name, "`sympos = …`");
        }
        if let Some(why) = inlining::absence(info, name) {
            return format!("`{name}` has no symbol in {object}: {why}");
        }
        let message = error.message(symbols, &info.object, name, "");
        match (&info.debug_info, symbols.elsewhere(object, name)) {
            (None, None) => format!("{message}; if the compiler inlined it into its callers, patch those"),
            _ => message,
        }
    })
}

/// Whether a symbol is code that the kernel keeps.
fn is_kept_code(symbol: &Symbol) -> bool {
    symbol.is_code() && !symbol.is_init
}

/// The reason why an `__init` symbol of an object can't be used.
pub(crate) fn freed_after_init(object: &str) -> String {
    let (who, when) = if object == VMLINUX { ("kernel", "boot") } else { ("module", "its initialization") };
    format!("it is `__init`, which the {who} frees after {when}")
}

/// The reason why a function can't be redirected, if it can't.
#[must_use]
pub fn obstacle(info: &ObjectInfo<'_>, function: &Symbol) -> Option<String> {
    if !function.is_code() {
        return Some("it is data".into());
    }
    if function.is_init {
        return Some(freed_after_init(&info.object.name));
    }
    if info.sites.as_ref().is_some_and(|sites| !sites.has(function)) {
        return Some(rustc::obstacle(info, function).unwrap_or_else(|| {
            "it has no ftrace entry (`notrace`, assembly, or a part that the compiler split off): patch its callers"
                .into()
        }));
    }
    None
}

/// The differences between a replacement and a prototype, each with its place; empty if they match. Part 0 is the
/// return value.
pub fn fits<'a>(
    types: &Types,
    prototype: &Prototype,
    replacement: &'a [Passed],
) -> klp_btf::Result<Vec<(Option<&'a str>, String)>> {
    let Some((returns, parameters)) = replacement.split_first() else { return Ok(Vec::new()) };
    let name = &prototype.name;
    let whole = types.c_prototype(prototype)?;
    let mut faults = Vec::new();
    if prototype.is_variadic {
        let message = format!("`{name}` is variadic, so it can't be replaced: patch its callers: `{whole}`");
        return Ok(vec![(returns.place.as_deref(), message)]);
    }
    let (theirs, ours) = (prototype.parameters.len(), parameters.len());
    if theirs != ours {
        let plural = if theirs == 1 { "" } else { "s" };
        let message = format!("`{name}`: expected {theirs} parameter{plural}, found {ours}: `{whole}`");
        let place = parameters.get(theirs).unwrap_or(returns).place.as_deref();
        faults.push((place, message));
    } else {
        for (number, ((called, id), ours)) in prototype.parameters.iter().zip(parameters).enumerate() {
            let class = types.class(*id)?;
            if !class.accepts(ours.class()) {
                let declared = types.c_declaration(*id, called)?;
                let message = format!(
                    "parameter {} of `{name}`: expected {class} (`{declared}`), found {}: `{whole}`",
                    number + 1,
                    ours.class()
                );
                faults.push((ours.place.as_deref(), message));
            }
        }
    }
    let class = types.class(prototype.returns)?;
    if !class.accepts(returns.class()) {
        let declared = types.c_declaration(prototype.returns, "")?;
        let message = format!(
            "return value of `{name}`: expected {class} (`{declared}`), found {}: `{whole}`",
            returns.class()
        );
        faults.push((returns.place.as_deref(), message));
    }
    Ok(faults)
}
