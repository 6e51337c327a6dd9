//! Functions of the kernel that rustc compiled, and their helpers: none has a place for ftrace. What can be patched are
//! the functions in C that call them, or that they call.

use std::collections::HashSet;

use super::ObjectInfo;
use crate::error::Result;
use crate::kernel::symbols::{Symbol, VMLINUX};

/// How many functions of Rust may stand between one and a function in C that is named.
const DEPTH: usize = 4;
/// So many functions are named in each direction.
const MOST: usize = 4;

/// The reason why a function can't be redirected if rustc compiled it, or if it is a helper in C that only Rust calls.
pub(super) fn obstacle(info: &ObjectInfo<'_>, function: &Symbol) -> Option<String> {
    let what = if is_of_rustc(&function.name) {
        "it is compiled by rustc, which leaves no place for ftrace"
    } else if function.name.starts_with("rust_helper_") {
        "it is a helper that only Rust code calls, compiled without a place for ftrace"
    } else {
        return None;
    };
    let around = around(info, function).ok().flatten();
    Some(match around.as_deref() {
        // The targets of calls in a module's file are not known.
        None if info.object.name != VMLINUX => {
            format!("{what}: patch a function in C that calls it, or that it calls")
        }
        None | Some("") => {
            format!(
                "{what}, and no function in C that could be patched calls it, or is called by it, other than through a pointer"
            )
        }
        Some(around) => format!("{what}: patch instead {around}"),
    })
}

/// Whether a symbol has a name that rustc makes: `_R`, and an upper-case letter.
fn is_of_rustc(name: &str) -> bool {
    name.strip_prefix("_R").is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_uppercase()))
}

/// Whether a way to functions in C may lead through a function: one of Rust, but not what reports a panic.
fn is_way(name: &str) -> bool {
    (is_of_rustc(name) || name.starts_with("rust_")) && !name.contains("9panicking")
}

/// The functions in C around one, in words.
fn around(info: &ObjectInfo<'_>, function: &Symbol) -> Result<Option<String>> {
    let (Some(sites), Some(calls)) = (&info.sites, info.object.calls()?) else { return Ok(None) };
    let is_wanted = |found: &Symbol| sites.has(found) && !found.is_init;
    let callers = nearest(function, is_wanted, |function| calls.to(function));
    let callees = nearest(function, is_wanted, |function| calls.from(function));
    let said = |(names, what): (Vec<String>, &str)| {
        (!names.is_empty()).then(|| format!("{}, {what}", names.join(" or ")))
    };
    let parts: Vec<String> = [(callers, "by which it is called"), (callees, "which it calls")]
        .into_iter()
        .filter_map(said)
        .collect();
    Ok(Some(parts.join("; or ")))
}

/// The nearest functions that are wanted, on ways that lead through others: the names of a few.
fn nearest(
    from: &Symbol,
    is_wanted: impl Fn(&Symbol) -> bool,
    next: impl Fn(&Symbol) -> Vec<Symbol>,
) -> Vec<String> {
    let mut seen = HashSet::from([from.address]);
    let mut front = vec![from.clone()];
    let mut found = Vec::new();
    for _ in 0..DEPTH {
        let mut further = Vec::new();
        for function in &front {
            for neighbour in next(function) {
                if !seen.insert(neighbour.address) {
                    continue;
                }
                if is_wanted(&neighbour) {
                    found.push(format!("`{}`", neighbour.name));
                } else if is_way(&neighbour.name) {
                    further.push(neighbour);
                }
            }
        }
        front = further;
    }
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str, address: u64) -> Symbol {
        Symbol { name: name.into(), kind: 't', section: None, address, position: 1, is_init: false }
    }

    #[test]
    fn names_of_rustc() {
        assert!(is_of_rustc("_RNvCs1234_6kernel5print") && is_of_rustc("_RINvNtCs_4core3ptr13drop_in_place"));
        assert!(
            !is_of_rustc("_raw_spin_lock") && !is_of_rustc("_Rest") && !is_of_rustc("rust_helper_mutex_lock")
        );
    }

    #[test]
    fn the_way_to_a_function_in_c_leads_through_rust_only() {
        let at = [
            symbol("_RNvA", 0),
            symbol("_RNvB", 1),
            symbol("c_far", 2),
            symbol("notrace", 3),
            symbol("c_behind", 4),
            symbol("c_near", 5),
        ];
        let edges: [&[usize]; 6] = [&[1, 3, 5], &[2, 0], &[4], &[4], &[], &[]];
        let next = |function: &Symbol| {
            edges[function.address as usize].iter().map(|index| at[*index].clone()).collect()
        };
        let found = nearest(&at[0], |function| function.name.starts_with("c_"), next);
        assert_eq!(found, ["`c_near`", "`c_far`"]);
    }
}
