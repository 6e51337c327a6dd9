//! The texts after the options of `--help`, as clap wraps them for a terminal's width.

use clap::Command;

/// A command and its subcommands, the paragraphs of whose help are a line each: clap keeps the line ends of a text, and
/// breaks each of its lines anew.
pub(super) fn unwrapped(command: Command) -> Command {
    let names: Vec<String> =
        command.get_subcommands().map(|subcommand| subcommand.get_name().to_owned()).collect();
    let command = names.into_iter().fold(command, |command, name| command.mut_subcommand(name, unwrapped));
    match command.get_after_help().map(ToString::to_string) {
        Some(text) => command.after_help(join(&text)),
        None => command,
    }
}

/// A text without the line ends within paragraphs. Examples are indented, and keep theirs.
fn join(text: &str) -> String {
    let mut joined = String::new();
    let mut continues = false;
    for line in text.lines() {
        let is_prose = !line.is_empty() && !line.starts_with(' ');
        if !joined.is_empty() {
            joined.push(if continues && is_prose { ' ' } else { '\n' });
        }
        joined.push_str(line);
        continues = is_prose;
    }
    joined
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    #[test]
    fn prose_is_joined_and_examples_are_not() {
        let text = "Examples:\n  one   first\n  two   second\n\nA sentence that\nends here.\n\nAnother.";
        let joined = "Examples:\n  one   first\n  two   second\n\nA sentence that ends here.\n\nAnother.";
        assert_eq!(join(text), joined);
    }

    /// A line that clap breaks is no column any more. This is the width that it takes where there is no terminal.
    #[test]
    fn examples_fit_on_a_line() {
        for subcommand in Cli::command().get_subcommands() {
            let text = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in text.lines().filter(|line| line.starts_with(' ')) {
                assert!(line.chars().count() <= 100, "{}: {line}", subcommand.get_name());
            }
        }
    }
}
