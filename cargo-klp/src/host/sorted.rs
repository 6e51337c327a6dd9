//! Lookup in a text whose lines are sorted by their first words, without reading all of it.

use std::fs;
use std::path::Path;

use super::cache::unusable;
use crate::error::Result;

/// Reads such a text from a file of the cache.
///
/// # Errors
///
/// The file can't be read, or is not whole: the last line does not end.
pub(crate) fn read(file: &Path) -> Result<String> {
    let bytes = fs::read(file).map_err(|error| unusable(file, error))?;
    let text = String::from_utf8(bytes).ok().filter(|text| text.ends_with('\n'));
    text.ok_or_else(|| unusable(file, "its last line does not end"))
}

/// Whether a name can be a word of such a text: it has no white space, and no control characters.
pub(crate) fn is_word(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

/// The lines that start with `start`.
pub(crate) fn starting_with<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text[first_from(text, start)..].lines().take_while(move |line| line.starts_with(start))
}

/// The start of the first line whose first word is not less than this one.
fn first_from(text: &str, word: &str) -> usize {
    let is_end = |byte: &u8| *byte == b'\n';
    let (mut low, mut high) = (0, text.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = text.as_bytes()[..middle].iter().rposition(is_end).map_or(0, |at| at + 1);
        let end =
            text.as_bytes()[start..].iter().position(is_end).map_or(text.len(), |length| start + length);
        let found = text[start..end].split(' ').next().unwrap_or_default();
        if found < word {
            low = text.len().min(end + 1);
        } else {
            high = start;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(text: &'a str, start: &'a str) -> Vec<&'a str> {
        starting_with(text, start).collect()
    }

    #[test]
    fn lines_are_found_by_their_first_words() {
        let text = "a 1\nab 2\nab 3\nb 4\n";
        assert_eq!(found(text, "ab"), ["ab 2", "ab 3"]);
        assert_eq!(found(text, "a"), ["a 1", "ab 2", "ab 3"]);
        assert_eq!(found(text, "c"), [""; 0]);
    }

    /// A file of the cache may be damaged: a search ends, whatever it finds.
    #[test]
    fn any_text_is_searched() {
        for text in ["", "\n", "a", "a 1\r\n", "a 1\r", "\r\n\r\n", "b\na\n\u{e4}", "\n\n\nz"] {
            for word in ["", "a", "b", "zz", "\u{e4}"] {
                starting_with(text, word).for_each(drop);
            }
        }
    }

    #[test]
    fn half_a_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, is_whole) in [("a 1\n", true), ("a 1\nb", false), ("", false)] {
            fs::write(file.path(), text).unwrap();
            assert_eq!(read(file.path()).is_ok(), is_whole, "{text:?}");
        }
        let error = read(file.path()).unwrap_err();
        assert!(error.to_string().contains(&*file.path().to_string_lossy()), "{error}");
    }
}
