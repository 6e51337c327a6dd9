//! Names: of symbols, of objects, of states and shadow variables.

use quote::ToTokens;

use crate::args::Text;
use crate::diagnostics::{Diagnostics, Reported};

/// `KSYM_NAME_LEN`, without the NUL.
pub(crate) const MAX_SYMBOL: usize = 511;
/// `MODULE_NAME_LEN`, without the NUL.
pub(crate) const MAX_OBJECT: usize = 55;

/// Checks the name of a symbol: `whose` says of what.
pub(crate) fn check_symbol(diagnostics: &mut Diagnostics, symbol: &Text, whose: &str) {
    let value = symbol.value();
    let first = value.chars().next();
    if first.is_none() {
        diagnostics.error(symbol, format!("the symbol must not be empty: write the name {whose}"));
    } else if value.len() > MAX_SYMBOL {
        let message =
            format!("the symbol has {} bytes: the kernel's symbols have at most {MAX_SYMBOL}", value.len());
        diagnostics.error(symbol, message);
    } else if let Some(bare) = value.strip_suffix("()") {
        diagnostics.error(symbol, format!("the symbol must be a bare name: write `symbol = \"{bare}\"`"));
    } else if let Some((object, bare)) = value.split_once(':') {
        diagnostics.error(
            symbol,
            format!(
                "the symbol must be a bare name: write `object = \"{object}\", symbol = \"{}\"`",
                bare.trim_start_matches(':')
            ),
        );
    } else if let Some(wrong) = value.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.$".contains(*c))) {
        diagnostics.error(
            symbol,
            format!("no symbol of the kernel has the character {wrong:?}: write a name of letters, digits, `_`, `.` and `$`, as in `/proc/kallsyms`"),
        );
    } else if first.is_some_and(|c| c.is_ascii_digit()) {
        diagnostics.error(symbol, "the symbol must not start with a digit");
    }
}

/// Checks the name of an object: a module, or vmlinux.
pub(crate) fn check_object(diagnostics: &mut Diagnostics, object: &Text) {
    let value = object.value();
    let bare = value.rsplit('/').next().unwrap_or_default();
    let bare = bare.split_once(".ko").map_or(bare, |(name, _)| name).replace('-', "_");
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if value.is_empty() {
        diagnostics.error(
            object,
            "the object must not be empty: write a module's name, or `\"vmlinux\"` for the kernel itself",
        );
    } else if value.len() > MAX_OBJECT {
        let message = format!("the object has {} bytes: module names have at most {MAX_OBJECT}", value.len());
        diagnostics.error(object, message);
    } else if is_name(&value) {
        // As it should be.
    } else if value.contains('-') && is_name(&bare) && !value.contains(['/', '.']) {
        diagnostics.error(object, format!("module names use `_` for `-`: write `\"{bare}\"`"));
    } else if is_name(&bare) {
        diagnostics.error(object, format!("expected a module's name, found its file: write `\"{bare}\"`"));
    } else {
        diagnostics.error(
            object,
            "expected the name of a module, of letters, digits and `_`, as in `/proc/modules`",
        );
    }
}

/// Checks the name of a state or a shadow variable, which ends up in the log and in the manifest.
pub(crate) fn check_name(
    diagnostics: &mut Diagnostics,
    name: &str,
    at: impl ToTokens,
) -> Result<(), Reported> {
    if name.is_empty() {
        return Err(
            diagnostics.error(at, "the name must not be empty: leave `name` out for that of the type")
        );
    }
    if name.len() > 63 {
        return Err(
            diagnostics.error(at, format!("the name has {} bytes: a name has at most 63", name.len()))
        );
    }
    match name.chars().find(|character| character.is_control()) {
        Some(control) => {
            Err(diagnostics.error(at, format!("the name has the control character {control:?}")))
        }
        None => Ok(()),
    }
}
