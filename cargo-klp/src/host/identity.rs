//! Who works here.

use std::process::Command;

/// The name and the address that git puts into commits, as far as they are set.
pub fn of_git() -> (Option<String>, Option<String>) {
    let get = |key: &str| {
        let output = Command::new("git").args(["config", key]).output().ok()?;
        let value = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    };
    (get("user.name"), get("user.email"))
}
