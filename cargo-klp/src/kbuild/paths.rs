//! Paths that Kbuild can handle.

use std::path::Path;

use crate::error::{Error, Result};

/// The characters that a path may contain besides letters and digits: all others mean something to make, to Kbuild or
/// to the shell, which would take a part of the path for a command.
const HARMLESS: &str = "/._-+@~^";

/// Refuses a path that Kbuild would misread.
///
/// # Errors
///
/// Names the first such character; the help is `remedy`, which says how to get another path.
pub fn check(path: &Path, remedy: &str) -> Result<()> {
    let text = path.to_string_lossy();
    let harms = |character: &char| !character.is_alphanumeric() && !HARMLESS.contains(*character);
    let Some(character) = text.chars().find(harms) else { return Ok(()) };
    let what = match character {
        character if character.is_whitespace() => "white space".to_owned(),
        char::REPLACEMENT_CHARACTER => "a byte that is not UTF-8".to_owned(),
        character => format!("`{character}`"),
    };
    Err(Error::Request {
        message: format!("`{}` has {what} in its path, which Kbuild can't handle", path.display()),
        help: format!("{remedy} to a path of letters, digits and {HARMLESS}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_make_or_the_shell_would_misread() {
        for good in ["/usr/src/linux-headers-6.12.9+deb12~bpo1_amd64", "/home/jörg/a@b/c^d"] {
            check(good.as_ref(), "move it").unwrap();
        }
        for bad in [
            "/a b", "/a$b", "/a'b", "/a\"b", "/a(b", "/a&b", "/a;b", "/a#b", "/a,b", "/a=b", "/a%b", "/a:b",
            "/a\\b",
        ] {
            let error = check(bad.as_ref(), "move it").unwrap_err();
            assert!(error.to_string().contains("in its path, which Kbuild can't handle"), "{error}");
            assert!(error.help().unwrap().starts_with("move it to a path of"));
        }
    }
}
