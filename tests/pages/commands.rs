//! Every command of klp that a page shows is one that its program accepts.
//!
//! Each is called with `--help` before its first word that is no argument of klp: clap then says how to use the command,
//! unless it does not know an argument that stands before.

use std::path::Path;
use std::process::Command;

use klp_page_tests::{Block, blocks, pages, path_with, root};

/// The commands whose arguments are checked: how their lines begin, and the program.
const PROGRAMS: &[(&[&str], &str)] =
    &[(&["cargo", "klp"], "cargo-klp"), (&["cargo", "xtask"], "xtask"), (&["klp"], "klp")];

#[test]
fn every_command_has_arguments_that_its_program_knows() {
    let path = path_with(&["cargo-klp", "klp", "xtask"]);
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages() {
        for command in commands_of(&page) {
            count += 1;
            let (start, program) = program(&command).unwrap();
            let mut arguments: Vec<&str> = command[start.len()..].iter().map(String::as_str).collect();
            if program == "cargo-klp" {
                arguments.insert(0, "klp");
            }
            let end = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
            arguments.truncate(end);
            arguments.push("--help");
            let output = Command::new(program).args(arguments).env("PATH", &path).output().unwrap();
            if !output.status.success() {
                let page = page.strip_prefix(root()).unwrap().display().to_string();
                let said = String::from_utf8_lossy(&output.stderr);
                wrong.push(format!("{page}: `{}`: {}", command.join(" "), said.lines().next().unwrap_or("")));
            }
        }
    }
    assert!(count > 20, "the pages have {count} commands: are they still read?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The commands of klp in the blocks of a page that show a shell.
fn commands_of(page: &Path) -> Vec<Vec<String>> {
    let is_shell = |block: &Block| block.info.is_empty() || block.is("sh") || block.is("console");
    let blocks = blocks(page).into_iter().filter(is_shell);
    blocks.flat_map(|block| block.code.lines().flat_map(commands_in).collect::<Vec<_>>()).collect()
}

/// The commands of klp in a line of a shell: its programs, and those within `$(…)`.
fn commands_in(line: &str) -> Vec<Vec<String>> {
    let line = line.trim_start_matches("$ ").replace("$(", " ; ").replace(')', " ; ").replace("&&", " ; ");
    let words = shlex::split(&line).unwrap_or_default();
    let commands = words.split(|word| [";", "|", ">"].contains(&word.as_str()));
    commands.filter(|command| program(command).is_some()).map(<[String]>::to_vec).collect()
}

fn program(command: &[String]) -> Option<(&'static [&'static str], &'static str)> {
    PROGRAMS
        .iter()
        .find(|(start, _)| command.len() >= start.len() && *start == &command[..start.len()])
        .copied()
}
