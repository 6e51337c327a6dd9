//! Tokens of the preprocessor's output, with the lines that they come from.

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// Its text.
    pub text: &'a str,
    /// The file that it comes from; where a macro is expanded, the file that uses it.
    pub file: &'a str,
    /// The line in that file.
    pub line: usize,
}

impl Token<'_> {
    /// Whether it is a name or a keyword.
    #[must_use]
    pub fn is_word(&self) -> bool {
        self.text.starts_with(is_start)
    }
}

/// The tokens of text that a preprocessor has made, with its marks of lines.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut tokens, mut file, mut number) = (Vec::new(), "", 0);
    for line in text.lines() {
        if let Some(mark) = line.strip_prefix("# ") {
            if let Some((at, rest)) = mark.split_once(" \"")
                && let Ok(at) = at.parse::<usize>()
            {
                number = at;
                file = rest.split('"').next().unwrap_or_default();
            }
            continue;
        }
        let mut rest = line.trim_start();
        // Other directives that are left: pragmas.
        if rest.starts_with('#') {
            rest = "";
        }
        while !rest.is_empty() {
            let (text, after) = rest.split_at(length(rest));
            tokens.push(Token { text, file, line: number });
            rest = after.trim_start();
        }
        number += 1;
    }
    tokens
}

/// Operators that are no more if they are taken apart.
const OPERATORS: [&str; 9] = ["<<", ">>", "->", "&&", "||", "==", "!=", "<=", ">="];

/// The length of the first token.
fn length(text: &str) -> usize {
    let first = text.chars().next().unwrap_or_default();
    let while_ = |is: fn(char) -> bool| text.find(|c| !is(c)).unwrap_or(text.len());
    match first {
        '"' | '\'' => quoted(text, first),
        _ if is_start(first) => while_(is_part),
        _ if first.is_ascii_digit() => while_(|c| is_part(c) || c == '.'),
        _ if OPERATORS.iter().any(|operator| text.starts_with(operator)) => 2,
        _ => first.len_utf8(),
    }
}

/// The length of a literal with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Whether a name may start with it.
fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

/// Whether a name may contain it.
pub(super) fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_one_token() {
        let texts: Vec<&str> = tokens("a[1 << (8)]>=b->c").into_iter().map(|token| token.text).collect();
        assert_eq!(texts, ["a", "[", "1", "<<", "(", "8", ")", "]", ">=", "b", "->", "c"]);
    }

    #[test]
    fn tokens_have_the_lines_that_they_come_from() {
        let text = "# 1 \"a.c\"\nint a = 0x1f;\n\n# 7 \"b.h\" 1\n char *s = \"x \\\" y\", c = '\\'';\n# 3 \"a.c\" 2\n#pragma x\nb+=1.5\n";
        let found = tokens(text);
        let of = |file: &str| -> Vec<_> {
            found.iter().filter(|token| token.file == file).map(|token| (token.text, token.line)).collect()
        };
        let first: Vec<_> = ["int", "a", "=", "0x1f", ";"].map(|text| (text, 1)).into();
        let last: Vec<_> = ["b", "+", "=", "1.5"].map(|text| (text, 4)).into();
        assert_eq!(of("a.c"), [first, last].concat());
        let header = ["char", "*", "s", "=", "\"x \\\" y\"", ",", "c", "=", "'\\''", ";"];
        assert_eq!(of("b.h"), header.map(|text| (text, 7)));
    }
}
