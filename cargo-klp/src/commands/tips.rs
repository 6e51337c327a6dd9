//! Tips after arguments that cannot be parsed: what those who know cargo write, and what to write instead.

use std::ffi::OsString;

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue};

use super::{Cli, command};

/// Commands of cargo that work on a patch crate as on any other.
const CARGO: [&str; 8] = ["add", "bench", "clippy", "doc", "fmt", "metadata", "test", "update"];

/// Options of `cargo build` that `cargo klp` does not have, and what to do instead.
const OPTIONS: [(&[&str], &str); 6] = [
    (&["--release", "-r", "--profile"], "modules are always optimized: leave it out"),
    (&["--target"], "`--kernel RELEASE` says which kernel to build for"),
    (&["--all"], "`--workspace` means all patches of the workspace"),
    (&["--frozen"], "write `--locked --offline`"),
    (&["--target-dir"], "set CARGO_TARGET_DIR; `build --artifact-dir` copies the modules to a directory"),
    (&["--out-dir"], "write `--artifact-dir`"),
];

/// Parses the arguments.
///
/// # Errors
///
/// clap's, with a tip where the command line is one for cargo or has the name of a patch without `-p`.
pub(super) fn parse(arguments: Vec<OsString>) -> Result<Cli, clap::Error> {
    let takes_packages =
        arguments.get(1).is_some_and(|first| ["build", "check", "run"].iter().any(|name| first == name));
    let parsed = command().try_get_matches_from(arguments);
    parsed.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|mut error| {
        let tip = match (error.get(ContextKind::InvalidSubcommand), error.get(ContextKind::InvalidArg)) {
            (Some(ContextValue::String(name)), _) => {
                let name = name.clone();
                hide_hidden(&mut error);
                CARGO.contains(&&*name).then(|| format!("`cargo {name}` works on patches: leave `klp` out"))
            }
            (_, Some(ContextValue::String(word))) if takes_packages => instead_of(word),
            _ => None,
        };
        if let Some(tip) = tip {
            error.remove(ContextKind::SuggestedSubcommand);
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        error
    })
}

/// What to write instead of an argument.
fn instead_of(word: &str) -> Option<String> {
    if !word.starts_with('-') {
        return Some(format!("to name a patch of the workspace, write `-p {word}`"));
    }
    let (_, tip) = OPTIONS.iter().find(|(names, _)| names.contains(&word))?;
    Some((*tip).into())
}

/// Takes the subcommands that only Kbuild and macros call out of clap's suggestions.
fn hide_hidden(error: &mut clap::Error) {
    let Some(ContextValue::Strings(names)) = error.remove(ContextKind::SuggestedSubcommand) else { return };
    let command = command();
    let is_shown = |name: &String| command.find_subcommand(name).is_some_and(|found| !found.is_hide_set());
    let names: Vec<String> = names.into_iter().filter(is_shown).collect();
    if !names.is_empty() {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(names));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> String {
        let arguments = [&["cargo-klp"], words].concat();
        parse(arguments.iter().map(OsString::from).collect()).unwrap_err().to_string()
    }

    #[test]
    fn a_patch_without_its_option() {
        assert!(said(&["build", "fix_x"]).contains("write `-p fix_x`"));
        assert!(!said(&["doctor", "fix_x"]).contains("-p"));
        assert!(said(&["build", "--kernell"]).contains("--kernel"));
    }

    #[test]
    fn hidden_subcommands_are_not_suggested() {
        let said = said(&["biuld"]);
        assert!(said.contains("'build'") && !said.contains("kbuild"), "{said}");
        assert!(!self::said(&["kbuidl"]).contains("kbuild"));
    }

    #[test]
    fn what_cargo_knows_is_explained() {
        let test = said(&["test"]);
        assert!(test.contains("tip: `cargo test` works on patches"), "{test}");
        let doc = said(&["doc"]);
        assert!(doc.contains("`cargo doc` works") && !doc.contains("doctor"), "{doc}");
        assert!(said(&["build", "--release"]).contains("always optimized"));
        assert!(said(&["check", "--all"]).contains("`--workspace`"));
        assert!(said(&["build", "--frozen"]).contains("`--locked --offline`"));
    }
}
