//! What one module changes against another, for people.

use std::fmt::Write;

use crate::patch::inspect::report::Series;
use crate::patch::succession::{Difference, Outcome, Succession};

/// The comparison; what modules say of themselves may have any characters.
pub(super) fn text(found: &Succession) -> String {
    let Succession { old, new, .. } = found;
    let outcome = match &found.outcome {
        Outcome::Replaces => format!("{new} replaces {old}"),
        Outcome::Beside => format!("{new} does not replace {old}: both are enabled, one over the other"),
        Outcome::Refused(why) => format!("{new} is refused while {old} is enabled: {why}"),
        Outcome::SameName => {
            format!("both are called {new}: the kernel does not load the second while the first is there")
        }
        Outcome::OtherKernel => format!("{new} is for another kernel than {old}: no kernel loads both"),
    };
    let mut lines = vec![outcome];
    let series = |series: &Option<Series>| match series {
        Some(Series { name, revision }) => format!("{name}, revision {revision}"),
        None => "none".into(),
    };
    if found.old_series != found.new_series {
        lines.push(format!("  series     {} -> {}", series(&found.old_series), series(&found.new_series)));
    }
    let differences = [
        ("fixes", &found.fixes),
        ("redirects", &found.redirects),
        ("states", &found.states),
        ("shadows", &found.shadows),
    ];
    for (title, Difference { added, removed }) in differences {
        let added = added.iter().map(|name| format!("+ {name}"));
        let changes = removed.iter().map(|name| format!("- {name}")).chain(added);
        lines.extend(
            changes
                .enumerate()
                .map(|(number, change)| format!("  {:9}  {change}", if number == 0 { title } else { "" })),
        );
    }
    for step in &found.steps {
        lines.push(format!("  {}", step.action));
        lines.extend(step.calls.iter().map(|call| format!("      {call}")));
    }
    if matches!(found.outcome, Outcome::Replaces | Outcome::Beside) {
        lines.push("The layouts of data and shadow variables are compared when it is loaded.".into());
    }
    let mut text = String::new();
    for line in lines {
        let line: String =
            line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        writeln!(text, "{line}").expect("a string takes everything");
    }
    text
}
