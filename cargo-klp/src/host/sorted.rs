//! Looking up in a text whose lines are sorted by their first words, without reading all of it.

/// The lines that start so.
pub(crate) fn starting_with<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text[first_from(text, start)..].lines().take_while(move |line| line.starts_with(start))
}

/// Where the first line starts whose first word is not less than this one.
fn first_from(text: &str, word: &str) -> usize {
    let (mut low, mut high) = (0, text.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let line = text.as_bytes()[..middle].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let whole = text[line..].lines().next().unwrap_or_default();
        let found = whole.split(' ').next().unwrap_or_default();
        if found < word {
            low = line + whole.len() + 1;
        } else {
            high = line;
        }
    }
    low
}
