//! The lines of a C file: directives, and where what starts in a line ends.

use super::token::is_part;

/// The lines of a file, counted from 1.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    lines: Vec<&'a str>,
    /// The same without comments and literals.
    bare: Vec<String>,
    /// Whether a line is a directive or continues one.
    directives: Vec<bool>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let (bare, in_comments) = bare(text);
        let bare: Vec<String> = bare.lines().map(str::to_owned).collect();
        let mut is_continued = false;
        let directives = bare.iter().zip(&lines).zip(in_comments).map(|((bare, line), in_comment)| {
            let is_directive = is_continued || bare.trim_start().starts_with('#');
            is_continued = is_directive && (in_comment || line.trim_end().ends_with('\\'));
            is_directive
        });
        Self { directives: directives.collect(), bare, lines }
    }

    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Whether a line is a directive or a part of one.
    pub(super) fn is_directive(&self, line: usize) -> bool {
        self.directives.get(line - 1).is_some_and(|is| *is)
    }

    /// A line.
    pub(super) fn line(&self, line: usize) -> &'a str {
        self.lines.get(line - 1).copied().unwrap_or_default()
    }

    /// Whether a line has neither code nor comment.
    pub(super) fn is_empty(&self, line: usize) -> bool {
        self.line(line).trim().is_empty()
    }

    /// Lines as text.
    pub(super) fn text(&self, first: usize, last: usize) -> String {
        self.lines[first - 1..last.min(self.lines.len())].join("\n")
    }

    /// Where the parentheses end that a line opens: the preprocessor puts all of a macro's expansion in the line that
    /// its name is in.
    pub(super) fn end(&self, line: usize) -> usize {
        let mut open = 0i64;
        for (number, text) in (line..).zip(self.bare.get(line - 1..).unwrap_or_default()) {
            if number > line && self.is_directive(number) {
                continue;
            }
            for byte in text.bytes() {
                match byte {
                    b'(' | b'{' => open += 1,
                    b')' | b'}' => open = (open - 1).max(0),
                    _ => {}
                }
            }
            if open == 0 {
                return number;
            }
        }
        line
    }

    /// The first word of a line.
    pub(super) fn first_word(&self, line: usize) -> &str {
        let text = self.bare.get(line - 1).map(|line| line.trim_start()).unwrap_or_default();
        &text[..text.find(|c| !is_part(c)).unwrap_or(text.len())]
    }
}

/// The text with spaces for comments and for what is between quotes, and for each line whether it ends in a comment that
/// goes on.
fn bare(text: &str) -> (String, Vec<bool>) {
    #[derive(PartialEq)]
    enum In {
        Code,
        Block,
        Line,
        Quotes(char),
    }
    let (mut bare, mut in_comments) = (String::with_capacity(text.len()), Vec::new());
    let (mut state, mut before, mut is_escaped) = (In::Code, ' ', false);
    for c in text.chars() {
        let shown = match state {
            In::Code => match (before, c) {
                ('/', '*') => {
                    state = In::Block;
                    ' '
                }
                ('/', '/') => {
                    state = In::Line;
                    ' '
                }
                (_, '"' | '\'') => {
                    state = In::Quotes(c);
                    is_escaped = false;
                    ' '
                }
                _ => c,
            },
            In::Block => {
                if (before, c) == ('*', '/') {
                    state = In::Code;
                }
                ' '
            }
            In::Line => {
                if c == '\n' {
                    state = In::Code;
                }
                ' '
            }
            In::Quotes(quote) => {
                if !is_escaped && (c == quote || c == '\n') {
                    state = In::Code;
                }
                is_escaped = !is_escaped && c == '\\';
                ' '
            }
        };
        if c == '\n' {
            in_comments.push(state == In::Block);
        }
        bare.push(if c == '\n' { '\n' } else { shown });
        // The slash that ends a comment starts none.
        before = if shown == ' ' && c == '/' { ' ' } else { c };
    }
    in_comments.push(false);
    (bare, in_comments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_and_what_only_looks_like_one() {
        let text = "#define A \\\n\tb\nint a; /*\n#if x\n*/ char *s = \"\\\"/*\";\n  # endif // (\n";
        let lines = Lines::new(text);
        let directives: Vec<_> = (1..=lines.count()).filter(|line| lines.is_directive(*line)).collect();
        assert_eq!(directives, [1, 2, 6]);
        assert_eq!((lines.first_word(3), lines.first_word(4), lines.end(5)), ("int", "", 5));
    }

    #[test]
    fn a_comment_carries_a_directive_on() {
        let text = "#define A 1 /* one \\\n\tand */\n#define B 2 /* two\n\tlines */\nint a;\n";
        let lines = Lines::new(text);
        let directives: Vec<_> = (1..=lines.count()).filter(|line| lines.is_directive(*line)).collect();
        assert_eq!(directives, [1, 2, 3, 4]);
    }

    #[test]
    fn a_macro_ends_where_its_parentheses_do() {
        let text = "DEFINE(a,\n#ifdef X\n\tb(c),\n#endif\n\td);\nint f(int a,\n\tint b)\n{\n}\n";
        let lines = Lines::new(text);
        assert_eq!([1, 6, 7, 9].map(|line| lines.end(line)), [5, 7, 7, 9]);
        let lines = Lines::new("DEFINE(a,\n\tb(c),\n\td);\nint x;\n");
        assert_eq!(lines.end(1), 3);
    }
}
