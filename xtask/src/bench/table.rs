//! Shows figures as a table, on a terminal and on the page.

use super::measure::{Figures, Goal, Measurement};

const HEAD: [&str; 7] = ["", "unit", "ours", "C", "ours / C", "goal", "met"];

/// The head of a table that has a diff-based tool too.
const HEAD_DIFF_BASED: [&str; 6] = ["", "unit", "ours", "C", "diff-based", "diff-based / ours"];

/// The head and the rows of a part's table.
fn rows(figures: &Figures) -> Vec<Vec<String>> {
    let measurements = figures.measurements.iter();
    if measurements.clone().any(|measurement| measurement.diff_based.is_some()) {
        let head = HEAD_DIFF_BASED.map(String::from).to_vec();
        return std::iter::once(head).chain(measurements.map(row_diff_based)).collect();
    }
    let head = HEAD.map(String::from).to_vec();
    std::iter::once(head).chain(measurements.map(row)).collect()
}

fn dash() -> String {
    "–".to_owned()
}

fn row(measurement: &Measurement) -> Vec<String> {
    let goal = measurement.goal.map_or_else(dash, |goal| match goal {
        Goal::AtMost(most) => format!("≤ {}", number(most)),
        Goal::TimesC(times) => format!("≤ {times} × C"),
        Goal::AboveC(more) => format!("≤ C + {}", number(more)),
    });
    let met = measurement.met.map_or_else(dash, |met| if met { "yes" } else { "no" }.to_owned());
    vec![
        measurement.name.clone(),
        measurement.unit.clone(),
        number(measurement.ours),
        measurement.c.map_or_else(dash, number),
        measurement.ratio().map_or_else(dash, |ratio| format!("{ratio:.3}")),
        goal,
        met,
    ]
}

fn row_diff_based(measurement: &Measurement) -> Vec<String> {
    let ours = measurement.ours;
    let ratio = measurement.diff_based.filter(|_| ours != 0.0).map(|figure| figure / ours);
    vec![
        measurement.name.clone(),
        measurement.unit.clone(),
        number(ours),
        measurement.c.map_or_else(dash, number),
        measurement.diff_based.map_or_else(dash, number),
        ratio.map_or_else(dash, number),
    ]
}

/// Formats a figure with significant digits only, and a comma between thousands.
fn number(figure: f64) -> String {
    if figure.abs() < 100.0 && figure.fract() != 0.0 {
        return format!("{figure:.2}");
    }
    let digits = format!("{:.0}", figure.abs());
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if figure < 0.0 { format!("-{text}") } else { text }
}

/// Formats the table for a terminal.
pub(crate) fn for_terminal(figures: &Figures) -> String {
    let rows = rows(figures);
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            // Words to the left, figures to the right.
            if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Formats the table in Markdown.
pub(crate) fn for_page(figures: &Figures) -> String {
    let mut text = String::new();
    for (index, row) in rows(figures).iter().enumerate() {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
        if index == 0 {
            // Words to the left, figures to the right.
            let lines = row.iter().map(|head| match head.as_str() {
                "" | "unit" | "met" => " --- |",
                _ => " ---: |",
            });
            text.push_str(&format!("|{}\n", lines.collect::<String>()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let measurements = vec![
            Measurement::new("size", "bytes", 2730.0, Some(2647.0)).goal(Goal::AboveC(256.0)),
            Measurement::new("nothing changed", "s", 0.25, None),
        ];
        Figures { measurements, charts: Vec::new() }
    }

    #[test]
    fn columns_stand_below_each_other() {
        assert_eq!(
            for_terminal(&figures()),
            "                 unit    ours      C  ours / C       goal  met\n\
             size             bytes  2,730  2,647     1.031  ≤ C + 256  yes\n\
             nothing changed  s       0.25      –         –          –    –\n"
        );
    }

    #[test]
    fn a_table_in_markdown() {
        assert_eq!(
            for_page(&figures()).lines().nth(2),
            Some("| size | bytes | 2,730 | 2,647 | 1.031 | ≤ C + 256 | yes |")
        );
    }

    #[test]
    fn the_diff_based_way_has_a_column_of_its_own() {
        let measurements = vec![Measurement::new("wall", "s", 2.5, Some(2.0)).diff_based(250.0)];
        assert_eq!(
            for_page(&Figures { measurements, charts: Vec::new() }),
            "|  | unit | ours | C | diff-based | diff-based / ours |\n\
             | --- | --- | ---: | ---: | ---: | ---: |\n\
             | wall | s | 2.50 | 2 | 250 | 100 |\n"
        );
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(
            [0.25, 99.0, 123.4, 1_234_567.0, -1234.0].map(number),
            ["0.25", "99", "123", "1,234,567", "-1,234"]
        );
    }
}
