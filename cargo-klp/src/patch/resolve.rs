//! Finds the symbols that `#[klp_symbols]` declares in the target, or fails the build.

use std::collections::BTreeMap;

use klp_format::manifest::{Symbol as SymbolRequest, SymbolKind};

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::Target;
use crate::kernel::symbols::{Access, Object, Symbol, Symbols, VMLINUX, nearest_message};
use crate::patch::check::{Diagnostic, freed_after_init};
use crate::patch::verify::SYMBOL_PREFIX as PREFIX;

/// The symbols in the module, by their placeholders.
pub type Resolved = BTreeMap<String, ResolvedSymbol>;

/// A symbol in the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedSymbol {
    /// The name that the kernel looks up.
    pub name: String,
    /// The distance in bytes from the symbol to the code that is called; 0 for the symbol itself.
    pub skipped: u64,
}

/// A value, or the message for a wrong request.
type Found<T> = std::result::Result<T, String>;

/// The language that uses symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The address of a symbol is a pointer.
    Rust,
    /// C has what else an address may be: the offset of a per-CPU variable.
    C,
}

/// Finds all symbols for what is written in a language.
///
/// # Errors
///
/// [`Error::Symbols`], with the reason for each symbol that can't be used, at its place.
pub fn resolve(
    requests: &[SymbolRequest],
    language: Language,
    target: &Target,
    reporter: &dyn Reporter,
) -> Result<Resolved> {
    let (mut resolved, mut faults) = (Resolved::new(), Vec::new());
    if requests.is_empty() {
        return Ok(resolved);
    }
    let symbols = Symbols::of(target, reporter)?;
    let mut objects = BTreeMap::new();
    for request in requests {
        if !objects.contains_key(&request.object) {
            match symbols.object(&request.object) {
                Ok(object) => objects.insert(&request.object, object),
                Err(error @ Error::NoModule { .. }) => {
                    faults.push(at(request, error.with_help()));
                    continue;
                }
                Err(error) => return Err(error),
            };
        }
        match find(&symbols, &objects[&request.object], request, language)? {
            Ok(found) => {
                let taken = resolved.insert(request.placeholder.clone(), found.clone());
                if taken.is_some_and(|other| other != found) {
                    let message = format!(
                        "`{}` is declared twice with the same `sympos` expression, which has two values: write numbers",
                        request.symbol
                    );
                    faults.push(at(request, message));
                }
            }
            Err(fault) => faults.push(at(request, fault)),
        }
    }
    faults.dedup();
    if faults.is_empty() {
        return Ok(resolved);
    }
    Err(Error::Symbols { release: target.kernel.release.clone(), faults })
}

/// A message about a symbol, with the place of its declaration.
fn at(request: &SymbolRequest, message: String) -> String {
    Diagnostic { place: request.place.clone(), message }.to_string()
}

/// The request for a name that a C file leaves undefined, if one of `objects` has it and the name is unique.
///
/// # Errors
///
/// Why it can't be found, and what to write.
pub fn named_in_c(name: &str, objects: &[Object<'_>], symbols: &Symbols<'_>) -> Found<SymbolRequest> {
    let found = objects.iter().map(|object| (object, object.named(name)));
    let holders: Vec<_> = found.filter(|(_, named)| !named.is_empty()).collect();
    match &*holders {
        [] => Err(absent_for_c(name, objects, symbols)),
        [(object, named)] => match &**named {
            [one] => Ok(SymbolRequest {
                object: object.name.clone(),
                symbol: name.into(),
                sympos: 0,
                kind: if one.is_code() { SymbolKind::Function } else { SymbolKind::Variable },
                name: name.into(),
                placeholder: name.into(),
                place: None,
            }),
            several => Err(format!(
                "`{name}` is not unique in {}: declare the one you mean in Rust, under another name that C then uses: {}, \
                 where the position is one of these:{}",
                object.name,
                declaration(
                    &object.name,
                    &format!("#[klp(symbol = {name:?}, sympos = …)] "),
                    &several[0],
                    "my_"
                ),
                object.listed(several)
            )),
        },
        several => {
            let names: Vec<&str> = several.iter().map(|(object, _)| &*object.name).collect();
            let (object, named) = &several[0];
            Err(format!(
                "{} have `{name}`: declare the one you mean in Rust: {}",
                names.join(" and "),
                declaration(&object.name, "", &named[0], "")
            ))
        }
    }
}

/// Why no object has a name that a C file uses.
fn absent_for_c(name: &str, objects: &[Object<'_>], symbols: &Symbols<'_>) -> String {
    if let Ok([module, ..]) = symbols.modules_with(name).as_deref() {
        return format!(
            "`{name}` is a symbol of the module {module}, which the patch does not name: declare it in Rust: \
             `#[klp_symbols(object = {module:?})] unsafe extern \"C\" {{ … }}`"
        );
    }
    let hint = objects.iter().find_map(|object| {
        let nearest = Some(object.nearest(name)).filter(|names| !names.is_empty())?;
        Some(format!("; {}", nearest_message(&format!("in {}", object.name), &nearest)))
    });
    let hint = hint.unwrap_or_default();
    format!(
        "`{name}` does not exist as a symbol: no header of the kernel that the file includes defines it, and the compiler \
         may have inlined it wherever it was used: include its header, or copy it into the file{hint}"
    )
}

/// What declares a symbol in Rust.
fn declaration(object: &str, attribute: &str, symbol: &Symbol, prefix: &str) -> String {
    let block = if object == VMLINUX { String::new() } else { format!("(object = {object:?})") };
    let name = &symbol.name;
    let item = if symbol.is_code() {
        format!("fn {prefix}{name}(…)")
    } else {
        format!("static {prefix}{name}: …")
    };
    format!("`#[klp_symbols{block}] unsafe extern \"C\" {{ {attribute}{item}; }}`")
}

/// Finds one symbol. The inner error is the message for a wrong request.
fn find(
    symbols: &Symbols<'_>,
    object: &Object<'_>,
    request: &SymbolRequest,
    language: Language,
) -> Result<Found<ResolvedSymbol>> {
    let symbol = match &request.kind {
        SymbolKind::StaticOf(function) => statics(object, request, function)?,
        _ => lookup(symbols, object, request),
    };
    let (symbol, name) =
        match symbol.and_then(|symbol| Ok((check(object, request, &symbol, language)?, symbol))) {
            Ok((name, symbol)) => (symbol, name),
            Err(fault) => return Ok(Err(fault)),
        };
    if request.kind != SymbolKind::Original {
        return Ok(Ok(ResolvedSymbol { name, skipped: 0 }));
    }
    let skipped = object.entry_length(&symbol)?.ok_or_else(|| {
        format!(
            "the original of `{}` of {} can't be called: the function has no ftrace entry",
            symbol.name, object.name
        )
    });
    Ok(skipped.map(|skipped| ResolvedSymbol { name, skipped }))
}

/// The symbol that a request identifies.
fn lookup(symbols: &Symbols<'_>, object: &Object<'_>, request: &SymbolRequest) -> Found<Symbol> {
    let name = &request.symbol;
    let found = || {
        let found = object.lookup(name, request.sympos);
        found.map_err(|error| error.message(symbols, object, name, "`#[klp(sympos = …)]`"))
    };
    if object.name == VMLINUX
        && request.kind != SymbolKind::Original
        && let Some(export) = object.export(name)
    {
        let import = match export.access() {
            Access::Free => String::new(),
            Access::Import(namespace) => format!(", and write `imports_ns: [{namespace:?}]` in `livepatch!`"),
            // A patch is none of these modules, so it is no export for the patch.
            Access::Only(_) => return found(),
        };
        return Err(format!(
            "`{name}` is exported by vmlinux: declare it in a plain `unsafe extern \"C\"` block, without `#[klp_symbols]`{import}; \
             for kernels of which some export it, `#[cfg_attr(not(kernel_has = \"export {name}\"), klp_symbols)]`"
        ));
    }
    found()
}

/// Refuses a symbol that can't be used as declared; otherwise returns its full name.
fn check(object: &Object<'_>, request: &SymbolRequest, symbol: &Symbol, language: Language) -> Found<String> {
    let (name, place) = (&symbol.name, &object.name);
    let declared =
        if matches!(request.kind, SymbolKind::Function | SymbolKind::Original) { "fn" } else { "static" };
    match (symbol.is_code(), declared) {
        (true, "static") => return Err(format!("`{name}` of {place} is code: declare it as `fn`")),
        (false, "fn") => return Err(format!("`{name}` of {place} is data: declare it as `static`")),
        _ => {}
    }
    if symbol.is_init {
        return Err(format!("`{name}` of {place} can't be used: {}", freed_after_init(place)));
    }
    if language == Language::Rust && object.is_per_cpu(symbol) {
        return Err(format!(
            "`{name}` of {place} is a per-CPU variable: its address is an offset into the memory of each processor, and no \
             pointer; declare a function of {place} that reads or writes it, and call that, or use it in a C file of the patch"
        ));
    }
    let namesakes = object.named(name);
    if place != VMLINUX && namesakes.iter().any(|other| other.is_init) {
        return Err(format!(
            "`{name}` is also the name of an `__init` symbol of {place}: no position holds before and after the module's initialization"
        ));
    }
    let position = if namesakes.len() == 1 { 0 } else { symbol.position };
    Ok(format!("{PREFIX}{place}.{name},{position}"))
}

/// The variable of a function: among those whose names differ only in the compiler's suffix, the one that the
/// function's code refers to.
fn statics(object: &Object<'_>, request: &SymbolRequest, function: &str) -> Result<Found<Symbol>> {
    let (name, place) = (&request.symbol, &object.name);
    let mut functions = object.named(function);
    // Its parts, and clones of it.
    functions.extend(object.starting_with(&format!("{function}.")));
    functions.retain(Symbol::is_code);
    if functions.is_empty() {
        let nearest = nearest_message("there", &object.nearest(function));
        return Ok(Err(format!(
            "`{function}` does not exist in {place}, so `{name}` can't be found by it: {nearest}"
        )));
    }
    // gcc appends a number; clang prefixes the function's name.
    let is_number = |rest: &str| {
        rest.strip_prefix('.').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let own = format!("{function}.{name}");
    let mut candidates = object.starting_with(name);
    candidates.extend(object.starting_with(&own));
    let fits = |symbol: &Symbol, stem: &str| {
        symbol.name.strip_prefix(stem).is_some_and(|rest| rest.is_empty() || is_number(rest))
    };
    candidates.retain(|symbol| !symbol.is_code() && (fits(symbol, name) || fits(symbol, &own)));
    let mut named = Vec::new();
    for candidate in &candidates {
        for function in &functions {
            if object.refers(function, candidate)? {
                named.push(candidate.clone());
                break;
            }
        }
    }
    Ok(match named.as_slice() {
        [one] => Ok(one.clone()),
        [] if candidates.is_empty() => Err(format!(
            "`{name}` of `{function}` does not exist in {place}: no variable there has that name and a number after it"
        )),
        [] => Err(format!(
            "`{name}` of `{function}` is not found in {place}: the function's code refers to none of these; if it is inlined, write \
             `static_of` with the function that it is inlined into:{}",
            object.listed(&candidates)
        )),
        several => Err(format!(
            "`{name}` of `{function}` is not unique in {place}: the function's code refers to several; write \
             `#[klp(symbol = \"…\")]` with the whole name:{}",
            several.iter().map(|symbol| format!("\n    {}", symbol.name)).collect::<String>()
        )),
    })
}
