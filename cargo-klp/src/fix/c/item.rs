//! Items at the top level of C, and the names that they declare.

use std::collections::BTreeSet;

use super::token::Token;

/// Words that are no names.
const KEYWORDS: &str = " auto break case char const continue default do double else enum extern float for goto if \
    inline int long register restrict return short signed sizeof static struct switch typedef union unsigned void \
    volatile while _Bool _Noreturn __inline __inline__ __attribute__ __attribute asm __asm __asm__ __extension__ typeof \
    __typeof __typeof__ __volatile__ __restrict __restrict__ _Alignas _Static_assert __signed__ __const __int128 \
    __auto_type ";

/// Words whose parentheses hold no declarator.
const WITH_PARENTHESES: [&str; 11] = [
    "__attribute__",
    "__attribute",
    "asm",
    "__asm",
    "__asm__",
    "typeof",
    "__typeof",
    "__typeof__",
    "_Alignas",
    "_Static_assert",
    "_BitInt",
];

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The definition of a function.
    Function,
    /// The declaration of a function.
    Prototype,
    /// A variable: its definition or declaration.
    Variable,
    /// A type, or what declares nothing.
    Other,
}

/// An item.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its tokens.
    pub tokens: &'a [Token<'a>],
    /// The functions, variables and types (`typedef`) that it declares.
    pub names: Vec<&'a str>,
    /// The structures, unions and enumerations that it defines, and the enumerators.
    pub tags: Vec<&'a str>,
}

/// The items of a file.
#[must_use]
pub fn items<'a>(tokens: &'a [Token<'a>]) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    let (mut start, mut depth) = (0, 0usize);
    // Whether there is `=` at the top level, the parameters of a declarator, and the body of a function.
    let (mut is_initialized, mut has_parameters, mut is_body) = (false, false, false);
    for (at, token) in tokens.iter().enumerate() {
        let mut is_end = false;
        match token.text {
            ";" if depth == 0 => is_end = true,
            "=" if depth == 0 => is_initialized = true,
            "(" | "[" | "{" => {
                let before = tokens[start..at].last();
                if depth == 0 && token.text == "(" {
                    has_parameters |= before.is_some_and(|before| {
                        (before.is_word() && !is_keyword(before.text)) || before.text == ")"
                    });
                }
                if depth == 0 && token.text == "{" {
                    is_body =
                        has_parameters && !is_initialized && before.is_some_and(|before| before.text == ")");
                }
                depth += 1;
            }
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                is_end = depth == 0 && token.text == "}" && is_body;
            }
            _ => {}
        }
        if is_end {
            let tokens = &tokens[start..=at];
            if tokens.len() > 1 {
                items.push(Item::new(tokens, is_body));
            }
            (start, is_initialized, has_parameters, is_body) = (at + 1, false, false, false);
        }
    }
    items
}

impl<'a> Item<'a> {
    fn new(tokens: &'a [Token<'a>], is_function: bool) -> Self {
        let declarators = if is_function { Vec::new() } else { declarators(tokens) };
        let first = tokens.iter().find(|token| token.text != "__extension__");
        let kind = match &*declarators {
            _ if is_function => Kind::Function,
            [] => Kind::Other,
            _ if first.is_some_and(|first| first.text == "typedef") => Kind::Other,
            all if all.iter().all(|declarator| declarator.is_function) => Kind::Prototype,
            _ => Kind::Variable,
        };
        let names = match is_function {
            true => function_name(tokens).into_iter().collect(),
            false => declarators.iter().map(|declarator| declarator.name).collect(),
        };
        Self { kind, tokens, names, tags: if is_function { Vec::new() } else { tags(tokens) } }
    }

    /// The words in it, names and others.
    #[must_use]
    pub fn words(&self) -> BTreeSet<&'a str> {
        self.tokens.iter().filter(|token| token.is_word()).map(|token| token.text).collect()
    }

    /// Whether it has a word outside of all parentheses.
    #[must_use]
    pub fn has(&self, word: &str) -> bool {
        parts(self.tokens).any(|part| part.text() == word)
    }

    /// What comes before the body of a function.
    #[must_use]
    pub fn head(&self) -> &'a [Token<'a>] {
        let mut depth = 0usize;
        let body = self.tokens.iter().position(|token| {
            match token.text {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.text == "{"
        });
        &self.tokens[..body.unwrap_or(self.tokens.len())]
    }

    /// The types that a function takes and returns, without names and what makes no difference to a caller.
    #[must_use]
    pub fn signature(&self) -> Vec<String> {
        let all: Vec<Part<'_>> = parts(self.head()).collect();
        let Some(at) = all.iter().rposition(|part| self.names.contains(&part.text())) else {
            return Vec::new();
        };
        let mut returns = Vec::new();
        let mut before = all[..at].iter();
        while let Some(part) = before.next() {
            match part.text() {
                "__attribute__" | "__attribute" => drop(before.next()),
                text if NO_PART_OF_TYPES.contains(&text) => {}
                _ => returns.extend(part.tokens.iter().map(|token| token.text)),
            }
        }
        let mut signature = vec![returns.join(" ")];
        let list = all.get(at + 1).map(|part| part.tokens).unwrap_or_default();
        let (mut depth, mut start) = (0usize, 1);
        for (at, token) in list.iter().enumerate() {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 || (depth == 1 && token.text == ",") {
                signature.push(parameter(&list[start.min(at)..at]));
                start = at + 1;
            }
        }
        signature
    }

    /// The declaration of a variable of another file: the types that macros stand for, no initial value; an array
    /// without a length gets that of its size in bytes.
    #[must_use]
    pub fn declaration(&self, size: impl Fn(&str) -> Option<u64>) -> String {
        let (mut words, mut is_value) = (vec!["extern".to_owned()], false);
        let all: Vec<Part<'_>> = parts(self.tokens).collect();
        let mut skip = 0;
        for (at, part) in all.iter().enumerate() {
            let text = part.text();
            match text {
                "=" => is_value = true,
                "," | ";" => is_value = false,
                _ => {}
            }
            let is_attribute = WITH_PARENTHESES[..2].contains(&text);
            if is_attribute {
                skip = 2;
            }
            if skip > 0 {
                skip -= 1;
                // What an attribute says of the place of a variable says how to reach it; of its weakness, nothing.
                continue;
            }
            if is_value || matches!(text, "static" | "extern") {
                continue;
            }
            match part.tokens {
                [open, close] if (open.text, close.text) == ("[", "]") && at > 0 => {
                    let element: Vec<&str> = element(&all[..at - 1]);
                    match size(all[at - 1].text()) {
                        Some(size) => words.push(format!("[{size} / sizeof({})]", element.join(" "))),
                        None => words.push("[]".into()),
                    }
                }
                tokens => words.extend(tokens.iter().map(|token| token.text.to_owned())),
            }
        }
        words.join(" ").replace(" ;", ";")
    }
}

/// Words before a function's name or in a parameter that no caller depends on.
const NO_PART_OF_TYPES: [&str; 8] =
    ["static", "inline", "__inline", "__inline__", "extern", "const", "__const", "register"];

/// A parameter without its name.
fn parameter(tokens: &[Token<'_>]) -> String {
    let kept: Vec<&Token<'_>> =
        tokens.iter().filter(|token| !NO_PART_OF_TYPES.contains(&token.text)).collect();
    let words = kept.iter().filter(|token| token.is_word()).count();
    let name =
        kept.iter().rposition(|token| token.is_word() && !is_keyword(token.text)).filter(|_| words > 1);
    let kept = kept.iter().enumerate().filter(|(at, _)| Some(*at) != name);
    kept.map(|(_, token)| token.text).collect::<Vec<_>>().join(" ")
}

/// The type of an array's elements.
fn element<'a>(before: &[Part<'a>]) -> Vec<&'a str> {
    let mut words = Vec::new();
    let mut parts = before.iter();
    while let Some(part) = parts.next() {
        match part.text() {
            "static" | "extern" => {}
            "__attribute__" | "__attribute" => {
                parts.next();
            }
            _ => words.extend(part.tokens.iter().map(|token| token.text)),
        }
    }
    words
}

/// A token outside of all parentheses, or parentheses with what is in them.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    tokens: &'a [Token<'a>],
}

impl<'a> Part<'a> {
    fn text(&self) -> &'a str {
        self.tokens[0].text
    }

    /// The name, unless it is a keyword or not a word.
    fn name(&self) -> Option<&'a str> {
        let [token] = self.tokens else { return None };
        (token.is_word() && !is_keyword(token.text)).then_some(token.text)
    }
}

/// The parts of an item.
fn parts<'a>(tokens: &'a [Token<'a>]) -> impl Iterator<Item = Part<'a>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = tokens.get(at..).filter(|rest| !rest.is_empty())?;
        let mut depth = 0usize;
        let end = rest.iter().position(|token| {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        });
        let length = end.map_or(rest.len(), |end| end + 1);
        at += length;
        Some(Part { tokens: &rest[..length] })
    })
}

/// What a declaration declares.
struct Declarator<'a> {
    name: &'a str,
    is_function: bool,
}

/// The declarators of a declaration.
fn declarators<'a>(tokens: &'a [Token<'a>]) -> Vec<Declarator<'a>> {
    let mut found = Vec::new();
    let (mut candidate, mut is_value): (Option<Declarator<'_>>, bool) = (None, false);
    let all: Vec<Part<'_>> = parts(tokens).collect();
    let mut at = 0;
    while let Some(part) = all.get(at) {
        at += 1;
        match part.text() {
            "=" => is_value = true,
            "," | ";" => {
                found.extend(candidate.take());
                is_value = false;
            }
            _ if is_value => {}
            text if WITH_PARENTHESES.contains(&text) => {
                // A type, where it is one, is no name.
                at += usize::from(all.get(at).is_some_and(|next| next.text() == "("));
            }
            "(" => match &mut candidate {
                Some(candidate) if all[at.saturating_sub(2)].name() == Some(candidate.name) => {
                    candidate.is_function = true;
                }
                _ => {
                    // `(*f)(…)`, `(f)(…)`, `(*f[2])(…)`.
                    let name = part.tokens.iter().find(|token| token.is_word() && !is_keyword(token.text));
                    let is_pointer = part.tokens.get(1).is_some_and(|token| token.text == "*");
                    let is_declarator = all.get(at).is_some_and(|next| matches!(next.text(), "(" | "["));
                    if let (Some(name), true) = (name, is_declarator) {
                        candidate = Some(Declarator { name: name.text, is_function: !is_pointer });
                    }
                }
            },
            "struct" | "union" | "enum" => {
                // Attributes may stand before the tag.
                while all.get(at).is_some_and(|next| WITH_PARENTHESES.contains(&next.text())) {
                    at += 2;
                }
                at += usize::from(all.get(at).is_some_and(|next| next.name().is_some()));
            }
            _ => {
                if let Some(name) = part.name() {
                    candidate = Some(Declarator { name, is_function: false });
                }
            }
        }
    }
    found
}

/// The name of a function: the first that parameters follow.
fn function_name<'a>(tokens: &'a [Token<'a>]) -> Option<&'a str> {
    let all: Vec<Part<'_>> = parts(tokens).collect();
    let plain = all.windows(2).find_map(|pair| pair[0].name().filter(|_| pair[1].text() == "("));
    plain.or_else(|| {
        let inner = all.windows(2).find(|pair| pair[0].text() == "(" && pair[1].text() == "(")?[0];
        inner.tokens.iter().find(|token| token.is_word() && !is_keyword(token.text)).map(|token| token.text)
    })
}

/// The tags that tokens define, and the enumerators.
fn tags<'a>(tokens: &'a [Token<'a>]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if !matches!(token.text, "struct" | "union" | "enum") {
            continue;
        }
        let all: Vec<Part<'_>> = parts(&tokens[at + 1..]).take(6).collect();
        let mut rest = &*all;
        while let [attribute, _, after @ ..] = rest
            && WITH_PARENTHESES.contains(&attribute.text())
        {
            rest = after;
        }
        let tag = rest.first().and_then(Part::name);
        let body = if tag.is_some() { rest.get(1) } else { rest.first() };
        let Some(body) = body.filter(|body| body.text() == "{") else { continue };
        found.extend(tag);
        if token.text == "enum" {
            let inner = &body.tokens[1..];
            let mut is_start = true;
            for part in parts(inner) {
                match part.text() {
                    "," => is_start = true,
                    _ => {
                        found.extend(part.name().filter(|_| is_start));
                        is_start = false;
                    }
                }
            }
        }
    }
    found
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.split_ascii_whitespace().any(|keyword| keyword == word)
}

#[cfg(test)]
mod tests {
    use super::super::token::tokens;
    use super::*;

    /// The kinds, names and tags of the items of some C.
    fn read(text: &str) -> Vec<(Kind, String, String)> {
        let tokens = tokens(text);
        items(&tokens).iter().map(|item| (item.kind, item.names.join(" "), item.tags.join(" "))).collect()
    }

    #[test]
    fn a_signature_is_what_callers_depend_on() {
        let of = |text: &str| {
            let tokens = tokens(text);
            items(&tokens)[0].signature()
        };
        let same =
            of("static int __attribute__((noinline)) f(struct s *a, const char *b, unsigned int n) { }");
        assert_eq!(same, ["int", "struct s *", "char *", "unsigned int"]);
        assert_eq!(of("int f(const struct s *other, char *, unsigned int m) { }"), same);
        assert_ne!(of("int f(struct s *a, char *b, unsigned int n, int new) { }"), same);
        assert_ne!(of("long f(struct s *a, char *b, unsigned int n) { }"), same);
        assert_eq!(of("void g(void) { }"), ["void", "void"]);
    }

    #[test]
    fn what_items_declare() {
        for (text, kind, names, tags) in [
            ("int f(int a) { if (a) { return 1; } return 0; }", Kind::Function, "f", ""),
            (
                "static __attribute__((x)) struct s *f(void) __attribute__((y(1))) { }",
                Kind::Function,
                "f",
                "",
            ),
            ("typeof(int) f(void) {}", Kind::Function, "f", ""),
            ("int f(int (*g)(int), long);", Kind::Prototype, "f", ""),
            ("extern int f(void) __attribute__((x)), g(int);", Kind::Prototype, "f g", ""),
            ("static int a, *b = &a, c[2] = {1, 2};", Kind::Variable, "a b c", ""),
            ("int (*table[2])(int) = { f, g };", Kind::Variable, "table", ""),
            ("static struct s x __attribute__((section(\"y\"))) = { .f = g };", Kind::Variable, "x", ""),
            ("static struct __attribute__((packed)) { int a; } x;", Kind::Variable, "x", ""),
            ("struct __attribute__((packed)) s { int a; struct t { int b; } c; };", Kind::Other, "", "s t"),
            ("enum e { A, B = sizeof(int), C };", Kind::Other, "", "e A B C"),
            ("enum { D = 1 };", Kind::Other, "", "D"),
            ("typedef int (*handler)(int);", Kind::Other, "handler", ""),
            ("typedef int (handler)(int);", Kind::Other, "handler", ""),
            ("typedef struct s { int a; } s_t;", Kind::Other, "s_t", "s"),
            ("static typeof(a) *p;", Kind::Variable, "p", ""),
            ("struct s;", Kind::Other, "", ""),
            ("asm(\".x\");", Kind::Other, "", ""),
        ] {
            assert_eq!(read(text), [(kind, names.to_owned(), tags.to_owned())], "{text}");
        }
    }

    #[test]
    fn items_end_where_they_end() {
        let text = "struct s { int a; };; int a = ({ 1; }); int f(void) { } int g(void); struct s b = { 1 };";
        let names: Vec<_> = read(text).into_iter().map(|(_, names, _)| names).collect();
        assert_eq!(names, ["", "a", "f", "g", "b"]);
    }

    #[test]
    fn a_variable_of_another_file() {
        let declaration = |text: &str| {
            let tokens = tokens(text);
            items(&tokens)[0].declaration(|name| (name == "t").then_some(48))
        };
        assert_eq!(declaration("static struct s *a = &b, c = { 1 };"), "extern struct s * a , c;");
        assert_eq!(
            declaration("static const struct s t[] = { {1}, {2} };"),
            "extern const struct s t [48 / sizeof(const struct s)];"
        );
        assert_eq!(declaration("static int a __attribute__((section(\"x\")));"), "extern int a;");
        assert_eq!(declaration("static int (*f)(int) = g;"), "extern int ( * f ) ( int );");
    }
}
