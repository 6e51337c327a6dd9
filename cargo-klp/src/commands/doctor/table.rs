//! Shows what is here and what is missing.

use anstyle::{AnsiColor, Style};

use super::checks::Check;
use crate::commands::ui;
use crate::vm;

/// Prints a table for people.
pub(super) fn print(checks: &[Check]) {
    const OK: Style = AnsiColor::Green.on_default();
    const MISSING: Style = AnsiColor::Red.on_default().bold();
    const HEAD: Style = Style::new().bold();
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut group = "";
    for check in checks {
        if check.group != group {
            group = check.group;
            anstream::println!("{HEAD}{group}{HEAD:#}");
        }
        let Check { name, needed_for, found, .. } = check;
        match found {
            Some(found) if found.is_empty() => anstream::println!("  {OK}ok     {OK:#} {name}"),
            Some(found) => anstream::println!("  {OK}ok     {OK:#} {name:<width$}  {found}"),
            None => anstream::println!("  {MISSING}missing{MISSING:#} {name:<width$}  {needed_for}"),
        }
    }
    let speed =
        if vm::has_kvm() { "kernels run with KVM" } else { "no KVM: kernels are emulated, which is slower" };
    ui::note(speed);
}

/// Prints a line of JSON for each check.
pub(super) fn print_json(checks: &[Check]) {
    for check in checks {
        let line = serde_json::to_string(check).expect("a check is plain data");
        println!("{line}");
    }
}
