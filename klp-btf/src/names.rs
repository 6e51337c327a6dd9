//! Turns names of C into names of Rust.

/// Keywords that can't be names, not even as `r#…`.
const NEVER: [&str; 5] = ["crate", "self", "super", "Self", "_"];

/// Keywords that can be names as `r#…`.
const KEYWORDS: [&str; 46] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where",
];

/// The identifier of Rust for a name of C.
#[must_use]
pub fn identifier(name: &str) -> String {
    if NEVER.contains(&name) {
        return format!("{name}_");
    }
    if KEYWORDS.contains(&name) || ["while", "yield"].contains(&name) {
        return format!("r#{name}");
    }
    name.into()
}
