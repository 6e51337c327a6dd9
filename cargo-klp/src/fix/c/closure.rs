//! What of a file a patch needs: the functions that it replaces, and all that they use and the kernel does not offer
//! under a name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::item::{Item, Kind};
use super::lines::Lines;
use crate::fix::users::included;

/// What the target has of the file, by names.
pub trait Known {
    /// The size in bytes of a function or variable that has a symbol there.
    fn size(&self, name: &str) -> Option<u64>;
}

/// Macros at the top level that say something of a name and define nothing that a patch needs.
const SAYS: [&str; 12] = [
    "EXPORT_",
    "MODULE_",
    "module_",
    "ALLOW_ERROR_INJECTION",
    "NOKPROBE_SYMBOL",
    "BTF_",
    "early_param",
    "__setup",
    "core_param",
    "subsys_initcall",
    "late_initcall",
    "device_initcall",
];

/// What a line at the top level asks of the kernel while it starts or loads the module, which a patch does not do: the
/// macro and the name that it is about, as `module_param(debug`.
pub fn asks(line: &str) -> Option<&str> {
    let is_asked = says(line) && !["EXPORT_", "BTF_"].iter().any(|start| line.starts_with(start));
    let end = line.find([',', ')', ';']).unwrap_or(line.len());
    is_asked.then(|| &line[..end]).filter(|asked| asked.contains('('))
}

/// Whether a line at the top level only says something of a name.
fn says(word: &str) -> bool {
    let word = word.split('(').next().unwrap_or_default();
    SAYS.iter().any(|start| word.starts_with(start)) || word.ends_with("_initcall")
}

/// Words that have no place in the declaration of a function of another file.
const OF_DEFINITIONS: [&str; 9] = [
    "static",
    "inline",
    "__always_inline",
    "noinline",
    "__inline__",
    "extern",
    "noinline_for_stack",
    "__init",
    "__exit",
];

/// How a part of the file stands in the patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// As in the file.
    Copy,
    /// A function that is replaced.
    Replacement,
    /// A declaration of what the target has.
    Declaration,
}

/// Items that share lines, and these lines.
#[derive(Debug)]
struct Group<'a> {
    items: Vec<&'a Item<'a>>,
    first: usize,
    last: usize,
}

/// The part of a file that a patch needs.
#[derive(Debug)]
pub struct Closure<'a> {
    lines: Lines<'a>,
    groups: Vec<Group<'a>>,
    roles: BTreeMap<usize, Role>,
    replaced: BTreeSet<&'a str>,
    /// Files that the file includes for the variables that they define, and that the target has.
    of_target: BTreeSet<&'a str>,
    known: &'a dyn Known,
}

impl std::fmt::Debug for dyn Known + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Known")
    }
}

impl<'a> Closure<'a> {
    /// Of a file with this text and these items (those of its headers among them), the part that the replacement of
    /// functions needs.
    pub fn new(
        file: &str,
        text: &'a str,
        items: &'a [Item<'a>],
        replaced: &BTreeSet<&'a str>,
        known: &'a dyn Known,
    ) -> Self {
        let lines = Lines::new(text);
        let groups = groups(&lines, items.iter().filter(|item| item.tokens[0].file == file));
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, group) in groups.iter().enumerate() {
            for name in group.items.iter().flat_map(|item| item.names.iter().chain(&item.tags)) {
                by_name.entry(name).or_default().push(at);
            }
        }
        let of_target = files_of_target(items, known);
        let mut closure =
            Self { lines, groups, roles: BTreeMap::new(), replaced: replaced.clone(), of_target, known };
        let mut names: Vec<&str> = replaced.iter().copied().collect();
        while let Some(name) = names.pop() {
            for &at in by_name.get(name).into_iter().flatten() {
                if closure.roles.contains_key(&at) {
                    continue;
                }
                if let Some(role) = closure.role(&closure.groups[at]) {
                    names.extend(closure.uses(&closure.groups[at], role));
                    closure.roles.insert(at, role);
                }
            }
        }
        closure
    }

    /// How a group stands in the patch that needs it; `None` if it must not.
    fn role(&self, group: &Group<'_>) -> Option<Role> {
        let word = self.lines.first_word(group.first);
        if says(word) {
            return None;
        }
        let names = || group.items.iter().flat_map(|item| &item.names);
        if names().any(|name| self.replaced.contains(name))
            && group.items.iter().any(|item| item.kind == Kind::Function)
        {
            return Some(Role::Replacement);
        }
        // What has a symbol in the target; types and declarations have none, and go along.
        let defines = |item: &&&Item<'_>| match item.kind {
            Kind::Function => true,
            Kind::Variable => !item.has("extern") || item.has("="),
            Kind::Prototype | Kind::Other => false,
        };
        let mut defined = group.items.iter().filter(defines).flat_map(|item| &item.names).peekable();
        let is_known = defined.peek().is_some() && defined.all(|name| self.known.size(name).is_some());
        Some(if is_known { Role::Declaration } else { Role::Copy })
    }

    /// The names that a group uses in its role.
    fn uses<'b>(&self, group: &Group<'b>, role: Role) -> BTreeSet<&'b str> {
        let all = group.items.iter().flat_map(|item| match (role, item.kind) {
            (Role::Declaration, Kind::Function) => words(item.head()),
            (Role::Declaration, Kind::Variable) => {
                let value = item.tokens.iter().position(|token| token.text == "=");
                // Several variables may each have a value.
                let single = if item.names.len() == 1 { value } else { None };
                words(&item.tokens[..single.unwrap_or(item.tokens.len())])
            }
            _ => item.words(),
        });
        all.collect()
    }

    /// The lines of the file that define a name. One macro may define a function and declare other names of it.
    pub fn lines_of(&self, name: &str) -> Option<std::ops::RangeInclusive<usize>> {
        let has = |group: &&Group<'_>| {
            let mut names = group.items.iter().flat_map(|item| item.names.iter().chain(&item.tags));
            group.items.iter().any(|item| item.kind != Kind::Prototype) && names.any(|other| *other == name)
        };
        self.groups.iter().find(has).map(|group| group.first..=group.last)
    }

    /// The part, as C: `link_name` gives another name for the linker to a name that the target has. `first` are lines that
    /// it gets before a line of the file.
    pub fn text(&self, first: (usize, String), link_name: impl Fn(&str) -> Option<String>) -> String {
        let mut parts: Vec<(usize, String)> = Vec::from([first]);
        let mut in_items = vec![false; self.lines.count() + 2];
        for group in &self.groups {
            in_items[group.first..=group.last].fill(true);
        }
        let mut is_dropped = false;
        for line in (1..=self.lines.count()).filter(|line| !in_items[*line] && self.lines.is_directive(*line))
        {
            let text = self.lines.line(line);
            // Trace events are the kernel's, and defined once.
            if !is_dropped && text.split_whitespace().eq(["#define", "CREATE_TRACE_POINTS"]) {
                is_dropped = true;
                continue;
            }
            let is_of_target =
                |(name, _): (&str, bool)| self.of_target.iter().any(|file| Path::new(file).ends_with(name));
            if !included(text).is_some_and(is_of_target) {
                parts.push((line, text.to_owned()));
            }
        }
        for (&at, &role) in &self.roles {
            let group = &self.groups[at];
            let (lead, lead_start) = self.lead(group.first, &in_items);
            parts.push((lead_start, lead + &self.group_text(group, role, &link_name) + "\n"));
        }
        parts.sort_by_key(|(line, _)| *line);
        let mut text = String::new();
        for (_, part) in &parts {
            text.push_str(part);
            text.push('\n');
        }
        text
    }

    /// The comment and the attributes before a group.
    fn lead(&self, first: usize, in_items: &[bool]) -> (String, usize) {
        let belongs =
            |line: &usize| !self.lines.is_empty(*line) && !self.lines.is_directive(*line) && !in_items[*line];
        let start = (1..first).rev().take_while(belongs).last().unwrap_or(first);
        let text = if start < first { self.lines.text(start, first - 1) + "\n" } else { String::new() };
        (text, start)
    }

    fn group_text(
        &self,
        group: &Group<'_>,
        role: Role,
        link_name: &dyn Fn(&str) -> Option<String>,
    ) -> String {
        let whole = self.lines.text(group.first, group.last);
        match role {
            Role::Copy => {
                // A declaration of what is defined elsewhere, or of what the patch replaces, is not `static`.
                let is_elsewhere = |name: &&str| {
                    let is_copied = self.roles.iter().any(|(at, role)| {
                        *role == Role::Copy
                            && self.groups[*at].items.iter().any(|item| {
                                item.kind != Kind::Prototype
                                    && item.kind != Kind::Other
                                    && item.names.contains(name)
                            })
                    });
                    !is_copied
                };
                let is_prototype = group.items.iter().all(|item| item.kind == Kind::Prototype);
                let mut names = group.items.iter().flat_map(|item| &item.names);
                match &*group.items {
                    [item, ..] if is_prototype && names.all(is_elsewhere) => {
                        labelled(&without(&whole, &OF_DEFINITIONS), item, link_name)
                    }
                    _ => whole,
                }
            }
            Role::Replacement => match (&*group.items, whole.find('{')) {
                ([item], Some(at)) => {
                    let definition = ["static", "inline", "__always_inline"];
                    let head = without(&head(item, whole[..at].trim_end()), &definition);
                    let declared = format!("{};", without(&head, &OF_DEFINITIONS));
                    format!("{}\n\n{head}\n{}", labelled(&declared, item, link_name), &whole[at..])
                }
                _ => without(&whole, &["static"]),
            },
            Role::Declaration => {
                let declare = |item: &&Item<'_>| match item.kind {
                    Kind::Function => {
                        let head = match whole.find('{') {
                            Some(at) if group.items.len() == 1 => {
                                without(&head(item, whole[..at].trim_end()), &OF_DEFINITIONS)
                            }
                            _ => without(&joined(item.head()), &OF_DEFINITIONS),
                        };
                        labelled(&format!("extern {head};"), item, link_name)
                    }
                    Kind::Variable => {
                        labelled(&item.declaration(|name| self.known.size(name)), item, link_name)
                    }
                    _ => joined(item.tokens),
                };
                group.items.iter().map(declare).collect::<Vec<_>>().join("\n")
            }
        }
    }
}

/// The files that only make variables, each by a macro of the file that includes them, if the target has one of these: what
/// others use them for is declared elsewhere.
fn files_of_target<'a>(items: &[Item<'a>], known: &dyn Known) -> BTreeSet<&'a str> {
    let mut found: BTreeMap<&str, bool> = BTreeMap::new();
    for item in items {
        let is_more = item.kind == Kind::Function || !item.tags.is_empty();
        let is_made = item.kind == Kind::Variable && !item.has("extern") && !item.has("static");
        if is_more || is_made && item.names.iter().any(|name| known.size(name).is_some()) {
            found.entry(item.tokens[0].file).and_modify(|only| *only &= !is_more).or_insert(!is_more);
        }
    }
    found.into_iter().filter_map(|(file, only)| only.then_some(file)).collect()
}

/// What comes before the body of a function: as it is written, unless a macro there makes it `static`.
fn head(item: &Item<'_>, written: &str) -> String {
    let is_said = written.split(|c| !super::token::is_part(c)).any(|word| word == "static");
    let is_static = item.head().iter().any(|token| token.text == "static");
    if is_said == is_static { written.to_owned() } else { joined(item.head()) }
}

/// A declaration of one name with the name that the linker is to look for.
fn labelled(declaration: &str, item: &Item<'_>, link_name: &dyn Fn(&str) -> Option<String>) -> String {
    let ([name], Some(declared)) = (&*item.names, declaration.strip_suffix(';')) else {
        return declaration.into();
    };
    match link_name(name) {
        Some(link_name) => format!("{declared} asm(\"{link_name}\");"),
        None => declaration.into(),
    }
}

/// The groups of the items of one file.
fn groups<'a>(lines: &Lines<'_>, items: impl Iterator<Item = &'a Item<'a>>) -> Vec<Group<'a>> {
    let mut all: Vec<Group<'a>> = Vec::new();
    for item in items {
        let file = item.tokens[0].file;
        let own = item.tokens.iter().filter(|token| token.file == file).map(|token| token.line);
        let (first, last) = (item.tokens[0].line, lines.end(own.max().unwrap_or(item.tokens[0].line)));
        match all.last_mut() {
            Some(group) if first <= group.last => {
                group.items.push(item);
                group.last = group.last.max(last);
            }
            _ => all.push(Group { items: vec![item], first, last }),
        }
    }
    all
}

fn words<'a>(tokens: &[super::Token<'a>]) -> BTreeSet<&'a str> {
    tokens.iter().filter(|token| token.is_word()).map(|token| token.text).collect()
}

fn joined(tokens: &[super::Token<'_>]) -> String {
    tokens.iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
}

/// The text without some words before its first parenthesis.
fn without(text: &str, words: &[&str]) -> String {
    let (head, rest) = text.split_at(text.find('(').unwrap_or(text.len()));
    let mut kept = String::new();
    let mut left = head;
    while !left.is_empty() {
        let is_part = super::token::is_part;
        let length = match left.starts_with(is_part) {
            true => left.find(|c| !is_part(c)).unwrap_or(left.len()),
            false => left.find(is_part).unwrap_or(left.len()),
        };
        let (word, after) = left.split_at(length);
        if words.contains(&word) {
            left = after.trim_start();
        } else {
            kept.push_str(word);
            left = after;
        }
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::super::{items, tokens};
    use super::*;

    struct Symbols(&'static [&'static str]);

    impl Known for Symbols {
        fn size(&self, name: &str) -> Option<u64> {
            self.0.contains(&name).then_some(16)
        }
    }

    /// The part of some C without macros that the replacement of `f` needs.
    fn part(text: &str, known: &'static [&'static str]) -> String {
        part_with(text, known, (0, String::new()))
    }

    /// The same with lines that come first.
    fn part_with(text: &str, known: &'static [&'static str], first: (usize, String)) -> String {
        // As the preprocessor leaves it.
        let lines = Lines::new(text);
        let is_code = |line: &usize| !lines.is_directive(*line) && !lines.line(*line).starts_with("/*");
        let code = (1..=lines.count()).map(|line| if is_code(&line) { lines.line(line) } else { "" });
        let marked = format!("# 1 \"x.c\"\n{}", code.collect::<Vec<_>>().join("\n"));
        let tokens = tokens(&marked);
        let items = items(&tokens);
        let known = Symbols(known);
        let closure = Closure::new("x.c", text, &items, &BTreeSet::from(["f"]), &known);
        let text = closure.text(first, |name| (name == "twice").then(|| "klp_twice".into()));
        text.lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_the_target_has_is_declared_and_the_rest_copied() {
        let text = "#include <x.h>\nstruct s { int a; };\nstruct unused { int b; };\nstatic int limit = 1;\n\
                    static const int table[] = { 1, 2 };\nstatic int helper(struct s *s)\n{\n\treturn s->a;\n}\n\
                    /* Inlined. */\nstatic inline int copied(int a)\n{\n\treturn a;\n}\nstatic int other(void)\n{\n\
                    \treturn 0;\n}\n/* Said. */\nstatic int f(struct s *s)\n{\n\treturn helper(s) + copied(limit) + table[0];\n}\n\
                    EXPORT_SYMBOL(f);\n";
        assert_eq!(
            part(text, &["limit", "table", "helper", "other", "f"]),
            "#include <x.h>\nstruct s { int a; };\nextern int limit;\n\
             extern const int table [16 / sizeof(const int)];\nextern int helper(struct s *s);\n\
             /* Inlined. */\nstatic inline int copied(int a)\n{\n\treturn a;\n}\n\
             /* Said. */\nint f(struct s *s);\nint f(struct s *s)\n{\n\treturn helper(s) + copied(limit) + table[0];\n}"
        );
    }

    #[test]
    fn declarations_before_a_definition_follow_what_becomes_of_it() {
        let text = "static int twice(int a);\nstatic int copied(void);\nint f(void)\n{\n\treturn twice(1) + copied();\n}\n\
                    static int twice(int a)\n{\n\treturn 2 * a;\n}\nstatic int copied(void)\n{\n\treturn f();\n}\n";
        assert_eq!(
            part(text, &["twice"]),
            "int twice(int a) asm(\"klp_twice\");\nstatic int copied(void);\nint f(void);\nint f(void)\n{\n\treturn twice(1) + copied();\n}\n\
             extern int twice(int a) asm(\"klp_twice\");\nstatic int copied(void)\n{\n\treturn f();\n}"
        );
    }

    #[test]
    fn what_the_file_says_before_all_headers_stays_there() {
        let text = "#define pr_fmt(text) text\n#ifdef X\n#include <x.h>\n#endif\nint f(void)\n{\n}\n";
        assert_eq!(
            part_with(text, &[], (3, "#include \"y.h\"\n".to_owned())),
            "#define pr_fmt(text) text\n#ifdef X\n#include \"y.h\"\n#include <x.h>\n#endif\nint f(void);\nint f(void)\n{\n}"
        );
    }

    /// As KVM defines its static calls: each line of the included file is a variable by the macro.
    #[test]
    fn included_files_that_only_make_variables_of_the_target_are_left_out() {
        let text = "#include <declared.h>\n#define CALL(name) struct call name\n#include <asm/calls.h>\nint f(void)\n{\n}\n";
        let preprocessed = "# 1 \"x.c\"\n# 1 \"declared.h\" 1\nstruct call { int a; };\nextern struct call one, two;\n# 2 \"x.c\" 2\n\n\
                            # 1 \"include/asm/calls.h\" 1\nstruct call one;\nasm(\"\");\nstruct call two;\n# 4 \"x.c\" 2\nint f(void)\n{\n}\n";
        let tokens = tokens(preprocessed);
        let items = items(&tokens);
        let without = |known: &'static [&'static str]| {
            let known = Symbols(known);
            let closure = Closure::new("x.c", text, &items, &BTreeSet::from(["f"]), &known);
            !closure.text((0, String::new()), |_| None).contains("#include <asm/calls.h>")
        };
        assert!(without(&["f", "one", "two"]));
        assert!(!without(&["f"]), "what it makes is the patch's own");
    }

    #[test]
    fn a_macro_that_says_static_is_seen_through() {
        let tokens = tokens("static __attribute__((noinline)) int f(void) { }");
        let items = items(&tokens);
        assert_eq!(
            head(&items[0], "STATIC int f(void)"),
            "static __attribute__ ( ( noinline ) ) int f ( void )"
        );
        assert_eq!(head(&items[0], "static noinline int f(void)"), "static noinline int f(void)");
    }

    #[test]
    fn what_the_loader_is_asked_for_is_told_from_code() {
        for (line, expected) in [
            ("module_param(debug, int, 0644);", Some("module_param(debug")),
            ("late_initcall(start);", Some("late_initcall(start")),
            ("EXPORT_SYMBOL_GPL(f);", None),
            ("\tmodule_put(m);", None),
            ("int f(void);", None),
        ] {
            assert_eq!(asks(line), expected, "{line}");
        }
    }

    #[test]
    fn conditions_stay_around_what_is_left_of_them() {
        let text = "#ifdef X\nint g(void)\n{\n}\n#endif\n#define CREATE_TRACE_POINTS\n#define TWO \\\n\t2\n\
                    int f(void)\n{\n#ifdef Y\n\treturn 1;\n#endif\n}\n";
        let expected = "#ifdef X\n#endif\n#define TWO \\\n\t2\nint f(void);\nint f(void)\n{\n#ifdef Y\n\treturn 1;\n#endif\n}";
        assert_eq!(part(text, &["g"]), expected);
    }
}
