//! A patch from a fix: a diff of the kernel's source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::Args;
use super::func::{self, Body, Replacement};
use crate::commands::ui::{self, Terminal};
use crate::error::{Error, Result};
use crate::fix::{self, NamedSymbol};
use crate::kernel::symbols::{Symbols, VMLINUX};
use crate::kernel::{Kernel, KernelParts, source};

/// What the patch has of the fix.
pub(super) fn replacement(args: &Args, diff: &Path) -> Result<Replacement> {
    let diff_text = fs::read(diff).map_err(Error::io("read", diff))?;
    let diff_text = String::from_utf8_lossy(&diff_text);
    let target = args.target.find(KernelParts::Image)?;
    let source = source_of(&target.kernel, args.source.as_deref())?;
    let symbols = Symbols::of(&target, &Terminal)?;
    let request = fix::Request { name: diff, diff: &diff_text, source: &source };
    let fix = fix::extract(&request, &symbols, &Terminal)?;
    for note in &fix.notes {
        ui::note(note);
    }
    let functions: Vec<_> = fix
        .functions
        .iter()
        .map(|fix::Function { object, symbol, sympos, c_name }| func::Function {
            object,
            symbol,
            sympos: *sympos,
            body: Body::C(c_name),
        })
        .collect();
    let text = func::items(&symbols, &functions)? + &declarations(&fix.symbols);
    let symbol = func::names(&functions);
    let namespaces: Vec<String> = fix.namespaces.iter().map(|namespace| format!("{namespace:?}")).collect();
    let line = |key: &str, values: &[String]| match values.is_empty() {
        true => String::new(),
        false => format!("    {key}: [{}],\n", values.join(", ")),
    };
    let declared = line("fixes", &cves(&diff_text)) + &line("imports_ns", &namespaces);
    Ok(Replacement { symbol, text, declared, files: fix.files })
}

/// The CVEs that the message before the diff names, as Rust writes them.
fn cves(diff: &str) -> Vec<String> {
    let message = diff.lines().take_while(|line| !line.starts_with("diff ") && !line.starts_with("--- "));
    let words =
        message.flat_map(|line| line.split(|letter: char| letter != '-' && !letter.is_ascii_alphanumeric()));
    let is_cve = |word: &&str| {
        let number = word.strip_prefix("CVE-").and_then(|rest| rest.split_once('-'));
        let is_number =
            |part: &str, least| part.len() >= least && part.bytes().all(|byte| byte.is_ascii_digit());
        number.is_some_and(|(year, number)| is_number(year, 4) && year.len() == 4 && is_number(number, 4))
    };
    let names: BTreeSet<&str> = words.filter(is_cve).collect();
    names.into_iter().map(|name| format!("{name:?}")).collect()
}

/// The source that a kernel was built from.
fn source_of(kernel: &Kernel, given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return fs::canonicalize(given).map_err(Error::io("find", given));
    }
    source::find(kernel)?.ok_or_else(|| Error::Request {
        message: format!("the source of {} is not on this machine", kernel.release),
        help: format!(
            "run `cargo klp doctor --fix --source --kernel {}`, or give its directory with `--source DIR`",
            kernel.release
        ),
    })
}

/// The declarations of symbols whose names are not unique.
fn declarations(symbols: &[NamedSymbol]) -> String {
    let mut objects: BTreeMap<&str, Vec<&NamedSymbol>> = BTreeMap::new();
    for symbol in symbols {
        objects.entry(&symbol.object).or_default().push(symbol);
    }
    let mut text = String::new();
    for (object, symbols) in objects {
        let argument = if object == VMLINUX { String::new() } else { format!("(object = {object:?})") };
        text.push_str(&format!("\n#[klp_symbols{argument}]\nunsafe extern \"C\" {{\n"));
        for NamedSymbol { name, symbol, sympos, is_code, .. } in symbols {
            let sympos = if *sympos == 0 { String::new() } else { format!(", sympos = {sympos}") };
            let item = if *is_code { format!("fn {name}()") } else { format!("static {name}: c_int") };
            text.push_str(&format!(
                "    /// `{symbol}`, for C, which has its type.\n    #[klp(symbol = {symbol:?}{sympos})]\n    pub {item};\n"
            ));
        }
        text.push_str("}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_names_its_cves_before_the_diff() {
        let diff = "Subject: x (CVE-2026-2222)\n\nCVE-2026-1111, CVE-2026-2222; CVE-26-1\n--- a/x.c\n+CVE-2026-3333\n";
        assert_eq!(cves(diff), ["\"CVE-2026-1111\"", "\"CVE-2026-2222\""]);
    }
}
