//! Whether a function can be redirected to a replacement.

use klp_btf::{Prototype, Types};
use klp_format::manifest::{Func, Passed};

use super::inlining::{self, InlineHost, InlineSites};
use super::{Diagnostic, ObjectInfo, Outcome};
use crate::error::{Error, Result};
use crate::kernel::debug_info::stem;
use crate::kernel::symbols::{LookupError, Symbol, Symbols, VMLINUX};

/// Checks one redirected function.
pub(super) fn check(
    symbols: &Symbols<'_>,
    info: &ObjectInfo<'_>,
    func: &Func,
    all: &[Func],
    outcome: &mut Outcome,
) -> Result<()> {
    if func.signature.is_empty() {
        return Ok(());
    }
    let fault = |message| Diagnostic { place: func.place.clone(), message };
    let function = &match lookup(symbols, info, func) {
        Ok(function) => function,
        Err(message) => {
            outcome.faults.push(fault(message));
            return Ok(());
        }
    };
    if let Some(why) = obstacle(info, function) {
        let (symbol, object) = (&func.symbol, &func.object);
        let inlined = InlineSites::of_symbol(info, function)
            .and_then(|known| inlining::also_inlined(&known))
            .unwrap_or_default();
        outcome.faults.push(fault(format!("`{symbol}` of {object} can't be redirected: {why}{inlined}")));
        return Ok(());
    }
    if let Some(known) = InlineSites::of_symbol(info, function) {
        let is_redirected = |holder: &InlineHost| {
            all.iter().any(|other| {
                let is_meant = holder.sympos.is_some_and(|sympos| sympos == 0 || sympos == other.sympos);
                other.object == func.object && other.symbol == holder.symbol && is_meant
            })
        };
        if let Some(left) = inlining::leaves(&func.object, function, &known, is_redirected) {
            outcome.warnings.push(fault(left));
        }
    }
    let Some(types) = &info.types else {
        if func.object != VMLINUX {
            outcome.unchecked.push(format!("{} has no BTF: prototypes are not checked", func.object));
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
        // A wrapper of a system call: its types are those of `#[klp_syscall]`.
        [] if ["__x64_sys_", "__ia32_"].iter().any(|prefix| name.starts_with(prefix)) => {}
        [] if stem(name) != name => outcome.unchecked.push(format!(
            "`{name}` is what the compiler made of `{}`, and its parameters need not be those of the source: the types of its \
             replacement are not checked",
            stem(name)
        )),
        [] => outcome.unchecked.push(format!(
            "BTF has no prototype of `{name}` of {}: the types of its replacement are not checked",
            func.object
        )),
        // BTF may have the prototype of another one.
        _ if info.object.named(name).len() > 1 => outcome.unchecked.push(format!(
            "`{name}` is not unique in {}, and its replacement differs from the prototype that BTF has of one of them: {}",
            func.object, faults[0].1
        )),
        _ => outcome.faults.extend(
            faults.into_iter().map(|(place, message)| Diagnostic { place: place_in_file(func, place), message }),
        ),
    }
    Ok(())
}

/// The place of a part of a replacement, in the file of its attribute.
fn place_in_file(func: &Func, part: Option<&str>) -> Option<String> {
    let whole = func.place.as_ref()?;
    let file = whole.rsplitn(3, ':').nth(2)?;
    Some(part.map_or_else(|| whole.clone(), |part| format!("{file}:{part}")))
}

/// The function that is redirected.
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
            (None, None) => format!("{message}; where the compiler inlined it into its callers, patch those"),
            _ => message,
        }
    })
}

/// Why a function can't be redirected, if it can't.
#[must_use]
pub fn obstacle(info: &ObjectInfo<'_>, function: &Symbol) -> Option<String> {
    if !function.is_code() {
        return Some("it is data".into());
    }
    if function.is_init {
        let end =
            if info.object.name == VMLINUX { "the kernel is booted" } else { "the module is initialized" };
        return Some(format!("it is gone once {end} (`__init`)"));
    }
    if info.sites.as_ref().is_some_and(|sites| !sites.has(function)) {
        return Some(
            "ftrace has no place at its start (it is `notrace`, written in assembly, or a part of a function that the \
             compiler split off): patch its callers"
                .into(),
        );
    }
    None
}

/// Where a replacement differs from a prototype, and how; nothing where it fits. The first part is the return
/// value.
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
        let message = format!("`{name}` is variadic, and can't be replaced: patch its callers: `{whole}`");
        return Ok(vec![(returns.place.as_deref(), message)]);
    }
    let (theirs, ours) = (prototype.parameters.len(), parameters.len());
    if theirs != ours {
        let plural = if theirs == 1 { "" } else { "s" };
        let message =
            format!("`{name}` has {theirs} parameter{plural}, and its replacement {ours}: `{whole}`");
        let place = parameters.get(theirs).unwrap_or(returns).place.as_deref();
        faults.push((place, message));
    } else {
        for (number, ((called, id), ours)) in prototype.parameters.iter().zip(parameters).enumerate() {
            let class = types.class(*id)?;
            if !class.accepts(ours.class()) {
                let declared = types.c_declaration(*id, called)?;
                let message = format!(
                    "parameter {} of `{name}` is {class}, `{declared}`, and its replacement's is {}: `{whole}`",
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
            "`{name}` returns {class}, `{declared}`, and its replacement {}: `{whole}`",
            returns.class()
        );
        faults.push((returns.place.as_deref(), message));
    }
    Ok(faults)
}
