//! Writes BENCHMARKS.md: the text of `page.md` with the figures of the JSON.

use super::measure::{Figures, Results};
use super::{Part, table};

/// The page's text, with `{part}` in place of the figures of each part.
const TEXT: &str = include_str!("page.md");

/// Renders the page with the figures of a run.
pub(crate) fn render(results: &Results) -> String {
    let machine: String =
        results.machine.iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    let mut page = TEXT.replace("{machine}\n", &format!("| | |\n| --- | --- |\n{machine}"));
    for part in Part::ALL {
        let text = results.parts.get(part.name()).map_or("Not measured.\n".into(), part_of_page);
        page = page.replace(&format!("{{{}}}\n", part.name()), &text);
    }
    page
}

/// Renders a part's table and charts.
fn part_of_page(figures: &Figures) -> String {
    let mut text = table::for_page(figures);
    for chart in &figures.charts {
        text.push_str(&format!("\n![{}](benchmarks/{}.svg)\n", chart.title, chart.file));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::bench::{BASELINE, chart};
    use crate::command::root;

    #[test]
    fn the_page_and_the_charts_are_those_of_the_baseline() {
        let baseline = fs::read_to_string(root().join(BASELINE)).unwrap();
        let results: Results = serde_json::from_str(&baseline).unwrap();
        let hint = "`cargo xtask bench --render` writes it anew";
        assert!(fs::read_to_string(root().join("BENCHMARKS.md")).unwrap() == render(&results), "{hint}");
        for chart in results.parts.values().flat_map(|part| &part.charts) {
            let file = root().join("benchmarks").join(format!("{}.svg", chart.file));
            assert!(
                fs::read_to_string(file).unwrap() == chart::draw(chart).unwrap(),
                "{}: {hint}",
                chart.file
            );
        }
    }

    #[test]
    fn each_part_has_its_place() {
        for part in Part::ALL {
            assert!(TEXT.contains(&format!("\n{{{}}}\n", part.name())), "{part:?}");
        }
    }
}
