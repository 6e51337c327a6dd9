//! The lines that stay in memory.

use alloc::string::String;

use super::{Column, Line, write};

/// The text of lines, as it stands in a note: each line ends with a NUL.
pub fn note(lines: impl IntoIterator<Item = Line>) -> String {
    let mut text = String::new();
    for line in lines {
        for (number, column) in write(line).into_iter().enumerate() {
            if number > 0 {
                text.push('\t');
            }
            match column {
                Column::Text(column) => text.push_str(&column),
                Column::Number(number) => text.push_str(&alloc::format!("{number}")),
            }
        }
        text.push('\0');
    }
    text
}
