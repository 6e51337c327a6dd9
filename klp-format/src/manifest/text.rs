//! Columns that are texts or words.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Hook, SymbolKind};

/// What stands for nothing.
const NONE: &str = "-";

/// A value that one column holds as text.
pub(super) trait Text: Sized {
    /// What the reader expects, for the message where it finds something else.
    const EXPECTED: &'static str;

    /// The text of a value.
    fn to_text(&self) -> String;

    /// The value of a text.
    fn from_text(text: &str) -> Option<Self>;
}

impl Text for String {
    const EXPECTED: &'static str = "a text";

    fn to_text(&self) -> String {
        self.clone()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Text for Option<String> {
    const EXPECTED: &'static str = "a text";

    fn to_text(&self) -> String {
        self.clone().unwrap_or_else(|| NONE.to_owned())
    }

    fn from_text(text: &str) -> Option<Self> {
        Some((text != NONE).then(|| text.to_owned()))
    }
}

/// Names, with commas between them.
impl Text for Vec<String> {
    const EXPECTED: &'static str = "names";

    fn to_text(&self) -> String {
        if self.is_empty() { NONE.to_owned() } else { self.join(",") }
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(if text == NONE { Self::new() } else { text.split(',').map(str::to_owned).collect() })
    }
}

impl Text for bool {
    const EXPECTED: &'static str = "0 or 1";

    fn to_text(&self) -> String {
        u8::from(*self).to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }
}

impl Text for Hook {
    const EXPECTED: &'static str = "`init` or `exit`";

    fn to_text(&self) -> String {
        self.name().to_owned()
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Init, Self::Exit].into_iter().find(|hook| hook.name() == text)
    }
}

impl Text for SymbolKind {
    const EXPECTED: &'static str = "`function`, `variable`, `original` or `static_of:` and a function";

    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}
