//! The probe: a text in C that has the compiler say what the headers have under the names that were asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use klp_btf::{Prototype, Types};
use klp_format::headers::{Item, Line, Request, variable};
use object::{Object, ObjectSection};

use super::compiler::{Compiled, Compiler, WITH_TYPES};
use crate::error::{Error, Result};
use crate::host::digest::Digest;
use crate::kernel::Kernel;
use crate::patch::vocabulary::{advice, wrapper as wrapper_of_runtime};

/// What the compiler said.
pub(super) struct Found {
    pub(super) lines: Vec<Line>,
    /// The types of the items' variables.
    pub(super) btf: Vec<u8>,
    /// The files that were read.
    pub(super) files: BTreeSet<PathBuf>,
}

/// The name that an item's text has in what the compiler says.
const ITEM: &str = "klp-item-";
/// The same, of a header.
const HEADER: &str = "klp-header-";

/// What C would convert without a word is an error.
const STRICT: [&str; 6] = [
    WITH_TYPES,
    "-Werror=incompatible-pointer-types",
    "-Werror=int-conversion",
    "-Werror=discarded-qualifiers",
    "-Werror=implicit-function-declaration",
    "-Werror=pointer-sign",
];

/// Asks the compiler. What is wrong with one item hides nothing about the others: the probe is compiled again without it.
pub(super) fn ask(request: &Request, compiler: &Compiler, kernel: &Kernel) -> Result<Found> {
    let mut asked = Asked {
        request,
        headers: (0..request.headers.len()).collect(),
        items: (0..request.items.len()).collect(),
    };
    let mut lines = lost(request, kernel);
    asked.items.retain(|&item| !matches!(request.items[item], Item::Lost { .. }));
    loop {
        let Compiled { object, said, files } = compiler.compile(&asked.text(), "klp_probe", &STRICT)?;
        if let Some(object) = object {
            let parse = || Error::elf("read what the compiler made of the kernel's headers");
            let file = object::File::parse(&*object).map_err(parse())?;
            let section =
                |name: &str| file.section_by_name(name).map_or(Ok(&[][..]), |section| section.data());
            let btf = section(".BTF").map_err(parse())?.to_vec();
            let types = Types::of_bytes(&btf).map_err(Error::btf("the kernel's headers"))?;
            for &item in &asked.items {
                let facts = section(&format!("{FACTS}{item}")).map_err(parse())?;
                lines.push(about(item, &request.items[item], facts, &types)?);
            }
            return Ok(Found { lines, btf, files });
        }
        let faults = Faults::of(&said);
        if faults.is_empty() {
            // What is wrong is wrong with the headers as a whole.
            lines.push(Line::Fault { item: None, why: faults.general(&said) });
            return Ok(Found { lines, btf: Vec::new(), files });
        }
        for (&header, message) in &faults.headers {
            let why = why_header(&request.headers[header], message, &kernel.release);
            lines.push(Line::Header { header, why });
        }
        asked.headers.retain(|header| !faults.headers.contains_key(header));
        let macros = match faults.items.is_empty() {
            true => BTreeSet::new(),
            false => compiler.macros(&asked.includes())?,
        };
        for (item, message) in &faults.items {
            let why = why(&request.items[*item], message, &macros, kernel);
            lines.push(Line::Fault { item: Some(*item), why });
        }
        asked.items.retain(|item| !faults.items.contains_key(item));
    }
}

/// What has the names that are not where they were looked for.
fn lost(request: &Request, kernel: &Kernel) -> Vec<Line> {
    let of = |(item, asked): (usize, &Item)| match asked {
        Item::Lost { name } => {
            let why = advice(kernel, name).unwrap_or_default();
            Some(Line::Fault { item: Some(item), why })
        }
        _ => None,
    };
    request.items.iter().enumerate().filter_map(of).collect()
}

/// What is left of a request.
struct Asked<'a> {
    request: &'a Request,
    headers: Vec<usize>,
    items: Vec<usize>,
}

/// The section with what is to be known of an item.
const FACTS: &str = ".klp_facts_";

/// What the texts of the items use: the kind of a type, by which values are passed, a value, which an array is not, and
/// what has a type: a variable, or the parameter of a function where pahole makes the BTF, which has no other variables.
const KINDS: &str = "#define KLP_KIND(of) _Generic((of), _Bool: 1, char: 2, signed char: 2, short: 2, int: 2, long: 2, \
                     long long: 2, unsigned char: 3, unsigned short: 3, unsigned int: 3, unsigned long: 3, \
                     unsigned long long: 3, default: 4)\n\
                     #define KLP_VALUE(...) ((void)0, __VA_ARGS__)\n\
                     #ifdef __clang__\n\
                     #define KLP_TYPE(name, ...) void name(__typeof__(__VA_ARGS__) *of) { }\n\
                     #else\n\
                     #define KLP_TYPE(name, ...) __typeof__(__VA_ARGS__) name;\n\
                     #endif\n";

impl Asked<'_> {
    fn includes(&self) -> String {
        let include = |&header: &usize| {
            format!("#line 1 \"{HEADER}{header}\"\n#include <{}>\n", self.request.headers[header])
        };
        self.headers.iter().map(include).collect()
    }

    fn text(&self) -> String {
        let mut text = self.includes() + KINDS;
        for &item in &self.items {
            let (variable, facts) = (variable(item), format!("{FACTS}{item}"));
            let facts = format!("__attribute__((section(\"{facts}\"), used))");
            let _ = writeln!(text, "#line 1 \"{ITEM}{item}\"");
            let _ = match &self.request.items[item] {
                Item::Lost { .. } => Ok(()),
                Item::Test { condition } => writeln!(
                    text,
                    "#if {condition}\nconst unsigned long long klp_value_{item} {facts} = 1;\n#else\nconst unsigned long \
                     long klp_value_{item} {facts} = 0;\n#endif"
                ),
                Item::Function { name } => writeln!(text, "KLP_TYPE({variable}, &{name})"),
                Item::Constant { expression } => writeln!(
                    text,
                    "KLP_TYPE({variable}, {expression}) const unsigned long long klp_value_{item} {facts} = \
                     (unsigned long long)({expression});"
                ),
                Item::Expression { returns, expression, parameters, .. } => {
                    let parameters = list(parameters);
                    if returns != "void" {
                        let _ = write!(
                            text,
                            "void klp_facts_{item}({parameters}) {{ static const unsigned char klp_facts[] {facts} = {{ \
                             __builtin_types_compatible_p(__typeof__(KLP_VALUE({expression})), {returns}), \
                             KLP_KIND(KLP_VALUE({expression})), sizeof(KLP_VALUE({expression})), KLP_KIND(*({returns} *)0), \
                             sizeof({returns}) }}; }} "
                        );
                    }
                    writeln!(
                        text,
                        "{}",
                        wrapper(&format!("klp_wrapper_{item}"), returns, &parameters, expression)
                    )
                }
            };
        }
        text
    }
}

/// Parameters as C lists them.
fn list(parameters: &[String]) -> String {
    if parameters.is_empty() { "void".into() } else { parameters.join(", ") }
}

/// A function whose result is an expression.
fn wrapper(name: &str, returns: &str, parameters: &str, expression: &str) -> String {
    let body = if returns == "void" { format!("{expression};") } else { format!("return {expression};") };
    let space = if returns.ends_with('*') { "" } else { " " };
    format!("notrace {returns}{space}{name}({parameters}) {{ {body} }}")
}

/// The symbol of a wrapper: one for each text.
fn symbol(name: &str, text: &str) -> String {
    let digest = Digest::of(text).to_string();
    format!("{}{name}_{}", super::wrappers::PREFIX, &digest[..8])
}

/// What is to be said of an item that the compiler takes.
fn about(item: usize, asked: &Item, facts: &[u8], types: &Types) -> Result<Line> {
    let fault = |why: String| Ok(Line::Fault { item: Some(item), why });
    match asked {
        Item::Lost { .. } => fault(String::new()),
        Item::Constant { .. } | Item::Test { .. } => {
            let value = facts.try_into().map(u64::from_le_bytes).unwrap_or_default();
            Ok(Line::Constant { item, value })
        }
        Item::Expression { name, returns, expression, parameters } => {
            if returns != "void" && !is_compatible(facts) {
                return fault(format!(
                    "`{expression}` is {}, not `{returns}`{}",
                    kind(facts),
                    what_to_write(facts)
                ));
            }
            let parameters = list(parameters);
            let symbol = symbol(name, &wrapper("", returns, &parameters, expression));
            let text = wrapper(&symbol, returns, &parameters, expression);
            Ok(Line::Function { item, symbol, text })
        }
        Item::Function { name } => {
            let prototype = || -> klp_btf::Result<_> {
                let Some(id) = types.variable(&variable(item))? else { return Ok(None) };
                let Some(found) = types.pointed_prototype(id, name)? else { return Ok(None) };
                Ok(Some((function(types, &found)?, found)))
            };
            match prototype().map_err(Error::btf("the kernel's headers"))? {
                None => fault(format!("`{name}` is not a function")),
                Some((_, found)) if found.is_variadic => fault(format!(
                    "`{name}` takes any number of arguments: write `macro fn {name}(…)` with those that you pass"
                )),
                Some(((symbol, text), _)) => Ok(Line::Function { item, symbol, text }),
            }
        }
    }
}

/// The function that calls another one, and has its prototype: the compiler holds one against the other.
fn function(types: &Types, called: &Prototype) -> klp_btf::Result<(String, String)> {
    let names: Vec<String> =
        (0..called.parameters.len()).map(|number| format!("argument_{number}")).collect();
    let named = names.iter().cloned().zip(called.parameters.iter().map(|(_, id)| *id)).collect();
    let named = Prototype { parameters: named, ..called.clone() };
    let is_void = types.c_declaration(called.returns, "")? == "void";
    let symbol = symbol(&called.name, &types.c_prototype(&named)?);
    let declaration = types.c_prototype(&Prototype { name: symbol.clone(), ..named })?;
    let (keyword, name) = (if is_void { "" } else { "return " }, &called.name);
    let arguments = names.join(", ");
    let text =
        format!("__typeof__({name}) {symbol}; notrace {declaration} {{ {keyword}{name}({arguments}); }}");
    Ok((symbol, text))
}

/// Whether an expression has the type that was declared, or is an integer of the same kind and size.
fn is_compatible(facts: &[u8]) -> bool {
    match *facts {
        [compatible, kind, size, declared, declared_size] => {
            let is_integer = [2, 3].contains(&kind);
            compatible == 1 || (is_integer && (kind, size) == (declared, declared_size))
        }
        _ => false,
    }
}

/// What an expression is, for people.
fn kind(facts: &[u8]) -> String {
    match *facts {
        [_, 1, ..] => "a `bool`".into(),
        [_, 2, size, ..] => format!("a signed integer of {size} bytes"),
        [_, 3, size, ..] => format!("an unsigned integer of {size} bytes"),
        _ => "of another type".into(),
    }
}

fn what_to_write(facts: &[u8]) -> String {
    let ty = match *facts {
        [_, 1, ..] => "bool",
        [_, 2, 1, ..] => "i8",
        [_, 2, 2, ..] => "i16",
        [_, 2, 4, ..] => "c_int",
        [_, 2, 8, ..] => "c_long",
        [_, 3, 1, ..] => "u8",
        [_, 3, 2, ..] => "u16",
        [_, 3, 4, ..] => "c_uint",
        [_, 3, 8, ..] => "c_ulong",
        _ => return String::new(),
    };
    format!(": write `-> {ty}`")
}

/// What GCC says of a header that is missing.
const MISSING: &str = "No such file or directory";
/// What Clang says.
const NOT_FOUND: &str = "file not found";

/// What is wrong with a header, for the author.
fn why_header(header: &str, message: &str, release: &str) -> String {
    if message == MISSING {
        let hint = match header.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            Some(path) => format!(": write `use \"{path}\";`"),
            None => String::new(),
        };
        return format!("kernel {release} has no header `{header}`{hint}");
    }
    format!(
        "`{header}` of kernel {release} can't be compiled here: {message}; a header that it needs must stand before it"
    )
}

/// What is wrong with an item, for the author.
fn why(item: &Item, message: &str, macros: &BTreeSet<String>, kernel: &Kernel) -> String {
    let release = &kernel.release;
    match item {
        Item::Function { name } if macros.contains(name) => format!(
            "`{name}` is a macro in the headers of kernel {release}, and a macro has no types: write `macro fn {name}(…) \
             -> …;` with those of its arguments and its result"
        ),
        Item::Constant { expression } if message.contains("constant") || message.contains("braced-group") => {
            format!(
                "`{expression}` is not a constant on kernel {release}: write `macro fn` for what is evaluated at run time"
            )
        }
        Item::Function { name } | Item::Constant { expression: name } if message.contains("undeclared") => {
            let advice = advice(kernel, name).map(|advice| format!("; {advice}")).unwrap_or_default();
            format!("the headers of kernel {release} refuse it: {message}{advice}")
        }
        Item::Expression { name, .. }
            if message.contains("read-only") || message.contains("const-qualified") =>
        {
            let advice = wrapper_of_runtime(name).map(|path| format!("; use `{path}`")).unwrap_or_default();
            format!(
                "the headers of kernel {release} refuse it: {message}; what `{name}` writes to an argument would be lost, as \
                 Rust passes a copy: pass a pointer, and write the expression with `= \"…\"`{advice}"
            )
        }
        _ => format!("the headers of kernel {release} refuse it: {message}"),
    }
}

/// The errors of the compiler, by what they concern.
#[derive(Default)]
struct Faults {
    headers: BTreeMap<usize, String>,
    items: BTreeMap<usize, String>,
}

impl Faults {
    /// Those among what the compiler said. Lines before an error say where it is, for what was inlined.
    fn of(said: &[String]) -> Self {
        let mut faults = Self::default();
        let mut context: Vec<&str> = Vec::new();
        for line in said {
            context.push(line);
            let Some((_, message)) = line.split_once("error: ") else {
                if line.contains("warning: ") || line.contains("note: ") {
                    context.clear();
                }
                continue;
            };
            let number = |what: &str| {
                let named = context.iter().rev().find_map(|line| Some(line.split_once(what)?.1))?;
                named.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
            };
            if let Some(item) = number(ITEM) {
                faults.items.entry(item).or_insert_with(|| message.to_owned());
            } else if let Some(header) = number(HEADER) {
                // One that is missing is missing where it is named; another one may lack what it includes.
                let is_missing = message.contains(MISSING) || message.ends_with(NOT_FOUND);
                let is_own = line.starts_with(HEADER) && is_missing;
                let message = if is_own { MISSING } else { message };
                faults.headers.entry(header).or_insert_with(|| message.to_owned());
            }
            context.clear();
        }
        faults
    }

    fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.items.is_empty()
    }

    /// What the compiler said, where nothing in particular is wrong.
    fn general(&self, said: &[String]) -> String {
        let mut errors = said.iter().filter_map(|line| Some(line.split_once("error: ")?.1));
        errors.next().map_or_else(|| said.join(" "), str::to_owned)
    }
}
