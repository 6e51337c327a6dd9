//! A patch from a fix: a diff of the kernel's source.

use std::collections::BTreeMap;
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
    let text = fs::read(diff).map_err(Error::io("read", diff))?;
    let target = args.target.find(KernelParts::Image)?;
    let source = source_of(&target.kernel, args.source.as_deref())?;
    let symbols = Symbols::of(&target, &Terminal)?;
    let request = fix::Request { name: diff, diff: &String::from_utf8_lossy(&text), source: &source };
    let fix = fix::extract(&request, &symbols, &Terminal)?;
    for note in &fix.notes {
        ui::note(note);
    }
    let functions: Vec<_> = fix
        .functions
        .iter()
        .map(|fix::Function { object, symbol, sympos }| func::Function {
            object,
            symbol,
            sympos: *sympos,
            body: Body::C,
        })
        .collect();
    let text = func::items(&symbols, &functions)? + &declarations(&fix.symbols);
    let symbol = func::names(&functions);
    let namespaces: Vec<String> = fix.namespaces.iter().map(|namespace| format!("{namespace:?}")).collect();
    let imports = match namespaces.is_empty() {
        true => String::new(),
        false => format!("    imports_ns: [{}],\n", namespaces.join(", ")),
    };
    Ok(Replacement { symbol, text, imports, files: fix.files })
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
