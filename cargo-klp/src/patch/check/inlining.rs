//! Copies of a function's code outside its symbol: redirecting the symbol does not change them.

use serde::Serialize;

use super::{ObjectInfo, obstacle};
use crate::kernel::debug_info::{Code, Source};
use crate::kernel::symbols::{Object, Symbol, VMLINUX};

/// The number of names to show in a message.
const MOST_SHOWN: usize = 5;

/// A function of the source, and all code that contains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InlineSites {
    /// Its place in the kernel's source, `file:line`.
    pub source: String,
    /// Its own code: several pieces if the compiler made variants of it.
    pub copies: Vec<InlineHost>,
    /// The functions that it is inlined into.
    pub inlined_into: Vec<InlineHost>,
}

/// A symbol whose code has copies of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InlineHost {
    /// Its name.
    pub symbol: String,
    /// Its `sympos`; `None` if the kernel has no symbol for the code.
    pub sympos: Option<u64>,
    /// The number of copies in it.
    pub places: u32,
    /// The reason why it can't be redirected, if it can't.
    pub obstacle: Option<String>,
    /// Whether the kernel has freed it, together with the copies in it.
    #[serde(skip)]
    pub is_init: bool,
}

impl InlineSites {
    fn new(info: &ObjectInfo<'_>, source: &Source) -> Self {
        let mut inlined_into: Vec<InlineHost> =
            source.inlined.iter().map(|(code, places)| InlineHost::new(info, code, *places)).collect();
        let mut copies: Vec<InlineHost> =
            source.copies.iter().map(|code| InlineHost::new(info, code, 1)).collect();
        for list in [&mut inlined_into, &mut copies] {
            list.sort_by(|a, b| {
                alphanumeric_sort::compare_str(&a.symbol, &b.symbol).then(a.sympos.cmp(&b.sympos))
            });
        }
        Self { source: source.place.clone(), copies, inlined_into }
    }

    /// Finds those of the function whose code a symbol names; `None` if that is unknown.
    #[must_use]
    pub fn of_symbol(info: &ObjectInfo<'_>, symbol: &Symbol) -> Option<Self> {
        let source = info.debug_info.as_ref()?.of_symbol(symbol)?;
        Some(Self::new(info, &source))
    }

    /// Finds those of all functions with a name; `None` without debug information.
    #[must_use]
    pub fn named(info: &ObjectInfo<'_>, name: &str) -> Option<Vec<Self>> {
        let sources = info.debug_info.as_ref()?.named(name);
        Some(sources.iter().map(|source| Self::new(info, source)).collect())
    }

    /// The function's code that stays in use when some symbols are redirected: the functions that it is inlined into,
    /// and the variants that the compiler made of it.
    #[must_use]
    pub fn left(&self, is_redirected: impl Fn(&InlineHost) -> bool) -> [Vec<&InlineHost>; 2] {
        let is_left = |holder: &&InlineHost| !holder.is_init && !is_redirected(holder);
        // Only the copies reach a part that was split off.
        let is_whole =
            |holder: &&InlineHost| !holder.symbol.contains(".part.") && !holder.symbol.contains(".cold");
        [
            self.inlined_into.iter().filter(is_left).collect(),
            self.copies.iter().filter(is_left).filter(is_whole).collect(),
        ]
    }
}

impl InlineHost {
    fn new(info: &ObjectInfo<'_>, code: &Code, places: u32) -> Self {
        let named = info.object.named(&code.name);
        let symbol = named.iter().find(|symbol| code.is(symbol));
        Self {
            symbol: code.name.clone(),
            sympos: symbol.map(|symbol| if named.len() == 1 { 0 } else { symbol.position }),
            places,
            obstacle: match symbol {
                Some(symbol) => obstacle(info, symbol),
                None => Some("the kernel has no symbol for it".into()),
            },
            is_init: symbol.is_some_and(|symbol| symbol.is_init),
        }
    }

    /// Its name, with whatever distinguishes it from others of the same name.
    #[must_use]
    pub fn name(&self) -> String {
        match self.sympos {
            None | Some(0) => format!("`{}`", self.symbol),
            Some(position) => format!("`{}` (sympos = {position})", self.symbol),
        }
    }
}

/// The warning for a function whose redirection leaves old code in use, if it does.
#[must_use]
pub(super) fn leaves(
    object: &str,
    symbol: &Symbol,
    whereabouts: &InlineSites,
    is_redirected: impl Fn(&InlineHost) -> bool,
) -> Option<String> {
    let [inlined_into, copies] = whereabouts.left(is_redirected);
    let mut parts = Vec::new();
    if !inlined_into.is_empty() {
        parts.push(format!("it is also inlined into {}", listed(&inlined_into)));
    }
    if !copies.is_empty() {
        parts.push(format!("the compiler also made {} of it", listed(&copies)));
    }
    let all: Vec<&InlineHost> = [inlined_into, copies].concat();
    let name = &symbol.name;
    let remedy = match all.iter().filter(|host| host.obstacle.is_some()).count() {
        0 if all.is_empty() => return None,
        0 => "redirect those too".to_owned(),
        number if number == all.len() => "none of those can be redirected: patch their callers".to_owned(),
        number => {
            format!("redirect those too, and patch the callers of the {number} that can't be redirected")
        }
    };
    let explain = if object == VMLINUX { name.clone() } else { format!("{object}:{name}") };
    Some(format!(
        "redirecting `{name}` is incomplete: {}; {remedy} (`cargo klp explain {explain}` lists all)",
        parts.join(", and ")
    ))
}

/// The warning for a function whose redirection may leave old code in use, judged by names of symbols: without debug
/// information, there is nothing better.
#[must_use]
pub(super) fn may_leave(
    object: &Object<'_>,
    function: &Symbol,
    is_redirected: impl Fn(&str) -> bool,
) -> Option<String> {
    let name = &function.name;
    let mut made = object.starting_with(&format!("{name}."));
    made.retain(|symbol| symbol.is_code() && !symbol.is_init && !is_redirected(&symbol.name));
    made.dedup_by(|a, b| a.name == b.name);
    let (cold, split): (Vec<_>, Vec<_>) = made.iter().partition(|symbol| symbol.name.contains(".cold"));
    let listed =
        |symbols: &[&Symbol]| enumerated(symbols.iter().map(|symbol| format!("`{}`", symbol.name)).collect());
    let explain = if object.name == VMLINUX { name.clone() } else { format!("{}:{name}", object.name) };
    let mut parts = Vec::new();
    if !split.is_empty() {
        parts.push(format!(
            "redirecting `{name}` may be incomplete: the compiler also made {} of it, which others may call directly; \
             redirect those too if they do (with debug information, `cargo klp explain {explain}` shows it)",
            listed(&split)
        ));
    }
    if !cold.is_empty() {
        parts.push(format!(
            "the compiler moved code of `{name}` to {}: the kernel does not see a task that sleeps there, and may take it \
             for switched while it still runs old code",
            listed(&cold)
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The end of a reason why a function can't be redirected: the other functions that contain copies of it.
#[must_use]
pub(super) fn also_inlined(whereabouts: &InlineSites) -> Option<String> {
    let [inlined_into, _] = whereabouts.left(|_| false);
    (!inlined_into.is_empty()).then(|| format!("; it is also inlined into {}", listed(&inlined_into)))
}

/// The reason why a function has no symbol; `None` if nothing shows that such a function exists.
#[must_use]
pub(crate) fn absence(info: &ObjectInfo<'_>, name: &str) -> Option<String> {
    match InlineSites::named(info, name) {
        Some(all) if !all.is_empty() => Some(by_debug_info(&info.object.name, &all)),
        _ => by_names(&info.object, name),
    }
}

/// What the compiler did with the functions of a name.
fn by_debug_info(object: &str, all: &[InlineSites]) -> String {
    let [mut inlined_into, mut copies] = [Vec::new(), Vec::new()];
    for whereabouts in all {
        let [inlined, own] = whereabouts.left(|_| false);
        inlined_into.extend(inlined);
        copies.extend(own);
    }
    let inlined = || format!("the compiler inlined it into {}: patch those", listed(&inlined_into));
    match (&*inlined_into, &*copies) {
        ([], []) => format!("no code of it remains in {object}"),
        (_, []) => inlined(),
        ([], _) => made(&listed(&copies)),
        _ => format!("{}; and {}", inlined(), made(&listed(&copies))),
    }
}

/// What the compiler made of a function, judged by names of symbols.
fn by_names(object: &Object<'_>, name: &str) -> Option<String> {
    let mut symbols = object.starting_with(&format!("{name}."));
    symbols.retain(|symbol| symbol.is_code() && !symbol.name.contains(".cold"));
    symbols.dedup_by(|a, b| a.name == b.name);
    let names: Vec<String> = symbols.iter().map(|symbol| format!("`{}`", symbol.name)).collect();
    (!names.is_empty()).then(|| made(&enumerated(names)))
}

fn made(names: &str) -> String {
    format!(
        "the compiler made {names} of it, and may have changed its parameters: patch its callers, or {names} as its code is"
    )
}

/// Names with their numbers of places, as many as a message has room for.
fn listed(holders: &[&InlineHost]) -> String {
    enumerated(
        holders
            .iter()
            .map(|holder| match holder.places {
                1 => holder.name(),
                places => format!("{} ({places} places)", holder.name()),
            })
            .collect(),
    )
}

/// `a, b and c`, or the first names and the number of the others.
fn enumerated(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        names.truncate(MOST_SHOWN);
        names.push(format!("{more} more"));
    }
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
