//! Texts of lines that are sorted, in which the lines of a name are found without reading all of them.

/// The lines that start so.
pub(super) fn starting_with<'a>(table: &'a str, start: &str) -> impl Iterator<Item = &'a str> {
    table[first_from(table, start)..].lines().take_while(move |line| line.starts_with(start))
}

/// Where the first line starts whose first word is not less than this one.
fn first_from(table: &str, name: &str) -> usize {
    let (mut low, mut high) = (0, table.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let line = table.as_bytes()[..middle].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let text = table[line..].lines().next().unwrap_or_default();
        let found = text.split(' ').next().unwrap_or_default();
        if found < name {
            low = line + text.len() + 1;
        } else {
            high = line;
        }
    }
    low
}
