//! From a fix to a patch: a diff of the kernel's source becomes the functions to replace and the C that they need.
//!
//! Each unit that the diff concerns is compiled as the kernel's build compiles it, as it was and with the fix. The first
//! object must be the kernel's (`placement`); the difference of the two says what to replace (`compare`). What the
//! replacements need is cut out of the source (`c`): what has a symbol in the kernel is declared, the rest copied. What
//! can't be patched so is refused, with its place in the diff.

mod c;
mod compare;
mod diff;
mod files;
mod headers;
mod included;
mod object;
mod part;
mod placement;
mod tree;
mod types;
mod unit;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::arch::X86_64;
use crate::kernel::symbols::Symbols;
use crate::kernel::{Kernel, Toolchain};
use diff::FileDiff;
use files::Use;
use part::Part;
use tree::Tree;
use unit::Unit;
use users::Includes;

/// The units that include a changed header are compiled, up to this number.
const MOST_USERS: usize = 40;

/// A file that every source has.
const OF_SOURCE: &str = "init/main.c";

/// What to do where the compiler refuses a file without the fix, and with it.
const WITHOUT_FIX: &str = "`cargo klp doctor --fix --source` gets the kernel's source, and what compiles it";
const WITH_FIX: &str = "adapt the diff to the kernel's source, as for a stable kernel of its own";

/// What a patch is made from.
#[derive(Debug)]
pub struct Request<'a> {
    /// The name of the diff, for messages.
    pub name: &'a Path,
    /// The diff.
    pub diff: &'a str,
    /// The source that the kernel was built from.
    pub source: &'a Path,
}

/// The parts of a patch.
#[derive(Debug, Default)]
pub struct Fix {
    /// The functions that it replaces.
    pub functions: Vec<Function>,
    /// The C files and headers, relative to the directory of the crate's sources.
    pub files: BTreeMap<PathBuf, String>,
    /// Symbols that C names otherwise than the kernel, because their names are not unique there.
    pub symbols: Vec<NamedSymbol>,
    /// Namespaces of symbols that it uses.
    pub namespaces: BTreeSet<String>,
    /// What the author must know.
    pub notes: Vec<String>,
}

/// A function that is replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// vmlinux, or a module.
    pub object: String,
    /// The function.
    pub symbol: String,
    /// Its position among the functions of that name, 0 where it is the only one.
    pub sympos: u64,
    /// The C function that is its body: of the same name, unless another one of the patch has that, too.
    pub c_name: String,
}

/// A symbol that needs a name of its own in the patch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedSymbol {
    /// The name in the patch.
    pub name: String,
    /// The object that has it.
    pub object: String,
    /// The name there.
    pub symbol: String,
    /// Its position among the symbols of that name.
    pub sympos: u64,
    /// Whether it is a function.
    pub is_code: bool,
}

/// Reasons why a fix can't become a patch, each with its place in the diff.
#[derive(Debug, Default)]
struct Faults(Vec<String>);

impl Faults {
    /// Several units may have the same fault, by a header.
    fn add(&mut self, place: &str, what: impl AsRef<str>) {
        let fault = format!("{place}: {}", what.as_ref());
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }
}

/// What all units of a fix have in common.
#[derive(Debug)]
struct Context<'a> {
    request: &'a Request<'a>,
    symbols: &'a Symbols<'a>,
    tree: Tree,
    files: Vec<FileDiff>,
    /// The changed files as they are in the fixed source.
    fixed: BTreeMap<PathBuf, String>,
}

impl Context<'_> {
    /// The place in the diff that changes lines of a file, or else the file.
    fn place(&self, file: &Path, lines: (usize, usize)) -> String {
        let name = self.request.name.display();
        let changed = self.files.iter().find(|changed| changed.path == file);
        let line = changed.and_then(|changed| {
            changed.place(self.fixed.get(file)?, &(lines.0..=lines.1)).or_else(|| changed.first_line())
        });
        match line {
            Some(line) => format!("{name}:{line}"),
            None => format!("{name}: {}", file.display()),
        }
    }
}

/// Makes the parts of a patch from a fix.
///
/// # Errors
///
/// The diff does not apply, the source is not the kernel's, or the fix can't be patched.
pub fn extract(request: &Request<'_>, symbols: &Symbols<'_>, reporter: &dyn Reporter) -> Result<Fix> {
    refuse_others(&symbols.target().kernel)?;
    refuse_clang(&symbols.target().kernel)?;
    if !request.source.join(OF_SOURCE).is_file() {
        return Err(Error::Request {
            message: format!(
                "`{}` is not the source of a kernel: it has no {OF_SOURCE}",
                request.source.display()
            ),
            help: "give the root of the tree that the kernel was built from".into(),
        });
    }
    let mut fix = Fix::default();
    let (mut files, mut faults) = (Vec::new(), Faults::default());
    for file in diff::parse(request.name, request.diff)? {
        match files::use_of(&file, request.source.join(&file.path).is_file(), symbols.release()) {
            Use::Code => files.push(file),
            Use::Nothing(note) => fix.notes.push(note),
            Use::Refused(why) => faults.add(&format!("{}:{}", request.name.display(), file.line), why),
        }
    }
    refuse_if(request, faults)?;
    if files.is_empty() {
        let notes: Vec<String> = fix.notes.iter().map(|note| format!("\n    {note}")).collect();
        return Err(Error::Request {
            message: format!("`{}` changes no code of a kernel:{}", request.name.display(), notes.concat()),
            help: "this kernel needs no patch for it".into(),
        });
    }

    let paths: BTreeSet<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let kdir = &symbols.target().kernel.kdir;
    let tree = Tree::new(request.source, kdir, paths.iter().map(PathBuf::as_path))?;
    let mut originals = BTreeMap::new();
    let mut fixed = BTreeMap::new();
    for file in &files {
        let original = if file.is_new() { String::new() } else { read(&request.source.join(&file.path))? };
        fixed.insert(file.path.clone(), file.apply(&original)?);
        originals.insert(file.path.clone(), original);
    }
    let context = Context { request, symbols, tree, files, fixed };

    fix.notes.extend(asked(&context));

    let mut included = BTreeMap::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "c")) {
        included.insert(path.clone(), included::includers(request.source, path)?);
    }
    let units = units(&context, included.values().flatten(), &mut fix)?;
    let (mut parts, mut not_built) = (Vec::new(), Vec::new());
    {
        let _progress = reporter.progress("Compiling", "the units of the fix as they are");
        for unit in units {
            let file = unit.file.clone();
            // What another file includes may be no unit of its own.
            let is_included = included.get(&file).is_some_and(|includers| !includers.is_empty());
            match Part::before(&context, unit) {
                Ok(Some(part)) => parts.push(part),
                Ok(None) | Err(Error::Tool { .. }) if is_included => {}
                Ok(None) if context.fixed.contains_key(&file) => not_built.push(file),
                Ok(None) => {}
                Err(error) => return Err(not_compiled(error, &context, &file, "as it is", WITHOUT_FIX)),
            }
        }
    }
    for file in not_built {
        let message = format!(
            "{} has no function of `{}`: its configuration leaves it out",
            symbols.release(),
            file.display()
        );
        if parts.is_empty() {
            let help = "this kernel needs no fix of that file, unless its code runs elsewhere: before the kernel (boot), in \
                        programs (vDSO) or in another kernel (purgatory), where no livepatch reaches";
            return Err(Error::Request { message, help: help.into() });
        }
        fix.notes.push(message);
    }
    let _progress = reporter.progress("Compiling", "the units with the fix");
    for (path, fixed) in &context.fixed {
        context.tree.write(path, &diff::numbered_as(&originals[path], fixed))?;
    }
    for part in &mut parts {
        let compiled = part.compile_fixed(&context);
        compiled.map_err(|error| not_compiled(error, &context, &part.unit.file, "with the fix", WITH_FIX))?;
    }
    for (path, fixed) in &context.fixed {
        context.tree.write(path, fixed)?;
    }
    let mut faults = Faults::default();
    for part in &parts {
        part.check_types(&context, &mut faults)?;
    }
    let is_changed = parts.iter().any(Part::is_changed);
    parts.retain(|part| part.is_changed() || part.offers());
    if !is_changed {
        refuse_if(request, faults)?;
        return Err(Error::Request {
            message: format!(
                "`{}` changes nothing in the code of {}",
                request.name.display(),
                symbols.release()
            ),
            help: "the fix may be for another configuration, or change only comments and what the kernel reads when it \
                   loads a module, such as `module_param`"
                .into(),
        });
    }
    write_patch(&context, &mut parts, faults, &mut fix)?;
    Ok(fix)
}

/// Objects are compared by the instructions and relocations of x86.
fn refuse_others(kernel: &Kernel) -> Result<()> {
    if *kernel.arch() == X86_64 {
        return Ok(());
    }
    Err(Error::Request {
        message: format!(
            "{} is for {}: a diff becomes a patch only for a kernel of x86_64",
            kernel.release,
            kernel.arch().name
        ),
        help: "write the patch by hand: `cargo klp new NAME --func F` begins with the kernel's prototype"
            .into(),
    })
}

/// What Clang makes of the kernel's source is not compared: it has other flags, and splits functions otherwise.
fn refuse_clang(kernel: &Kernel) -> Result<()> {
    match kernel.toolchain() {
        Toolchain::Gnu => Ok(()),
        Toolchain::Clang { .. } => Err(Error::Request {
            message: format!(
                "Clang has built {}: a diff becomes a patch only for a kernel that GCC has built",
                kernel.release
            ),
            help: "write the patch by hand: `cargo klp new NAME --func F` begins with the kernel's prototype"
                .into(),
        }),
    }
}

/// A note on each thing that the fix asks of the kernel while it starts or loads a module: nothing of it is code.
fn asked(context: &Context<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let lines = context.files.iter().flat_map(|file| &file.changed);
    let asked = lines.filter_map(|(line, text)| Some((line, c::asks(text)?)));
    let new = asked.filter(|(_, asked)| seen.insert(*asked));
    new.map(|(line, asked)| {
        format!(
            "{}:{line}: `{asked}…)` is not in the patch, whose code finds things as if that line had not changed: the \
             kernel reads it while it starts or loads a module. The patch's own parameters are `#[klp_param]`, what is to \
             be done once belongs into a state's `post_patch`",
            context.request.name.display()
        )
    })
    .collect()
}

/// What the compiler says of a file, without its command and where the tree of the moment is.
fn not_compiled(error: Error, context: &Context<'_>, file: &Path, how: &str, help: &str) -> Error {
    let Error::Tool { output, .. } = error else { return error };
    let said = output.replace(&format!("{}/", context.tree.source().display()), "");
    let lines: Vec<String> = said.lines().map(|line| format!("\n    {line}")).collect();
    Error::Request {
        message: format!("`{}` does not compile {how}:{}", file.display(), lines.concat()),
        help: help.into(),
    }
}

/// The units that the diff concerns: its C files, those that include them, and those that include its headers.
fn units<'a>(
    context: &Context<'_>,
    includers: impl Iterator<Item = &'a PathBuf>,
    fix: &mut Fix,
) -> Result<Vec<Unit>> {
    let (mut files, mut headers): (BTreeSet<PathBuf>, _) = (includers.cloned().collect(), Vec::new());
    for file in &context.files {
        match file.path.extension().is_some_and(|extension| extension == "c") {
            true => drop(files.insert(file.path.clone())),
            false if file.is_new() => {}
            false => headers.push(&file.path),
        }
    }
    let own = files.len();
    let includes = match includers_in(&headers) {
        Some(directory) => Includes::read(context.request.source, &directory)?,
        None => Includes::default(),
    };
    for header in headers {
        let [direct, all] = includes.users(header);
        let compared = [&all, &direct].into_iter().find(|users| users.len() <= MOST_USERS);
        files.extend(compared.into_iter().flatten().cloned());
        let left = all.len() - compared.map_or(0, BTreeSet::len);
        if left > 0 {
            // The units of the diff itself show what the header changes for them; the others are not looked at.
            fix.notes.push(format!(
                "{left} C files that include `{}` were not compared, only those that the diff changes{}: where the header \
                 changes an inline function, `cargo klp explain` says with debug information what else has a copy of it",
                header.display(),
                if compared.is_some() { " or that include it themselves" } else { "" }
            ));
        }
    }
    if own == 0 && files.is_empty() {
        return Err(Error::Request {
            message: format!("`{}` changes headers that too many C files include", context.request.name.display()),
            help: "patch the functions into which its inline functions were inlined: `cargo klp explain` lists them with \
                   debug information, `cargo klp new NAME --func F` starts from each"
                .into(),
        });
    }
    let (mut units, mut not_built) = (Vec::new(), Vec::new());
    for file in files {
        match Unit::of(&context.tree, &file) {
            Ok(unit) => units.push(unit),
            Err(error) if context.fixed.contains_key(&file) => not_built.push(error),
            Err(_) => {}
        }
    }
    match not_built.pop() {
        Some(error) if units.is_empty() => return Err(error),
        Some(error) => fix.notes.push(error.to_string()),
        None => {}
    }
    Ok(units)
}

/// The directory of the source that has the files that include these headers; `None` if there are no headers.
fn includers_in(headers: &[&PathBuf]) -> Option<PathBuf> {
    // Private headers are used in their directory and below, or beside it.
    let directory = |header: &&PathBuf| match headers::is_public(header) {
        true => PathBuf::new(),
        false => header.parent().and_then(Path::parent).unwrap_or("".as_ref()).to_owned(),
    };
    headers.iter().map(directory).reduce(|one, other| {
        let common = one.components().zip(other.components()).take_while(|(one, other)| one == other);
        common.map(|(part, _)| part).collect()
    })
}

/// Cuts what the patch needs out of the fixed source.
///
/// `faults` are those found before.
fn write_patch(context: &Context<'_>, parts: &mut [Part], mut faults: Faults, fix: &mut Fix) -> Result<()> {
    let mut replaced = Vec::new();
    for part in parts.iter_mut() {
        replaced.push(part.replaced(context, &mut faults)?);
    }
    refuse_if(context.request, faults)?;

    let mut all = BTreeSet::new();
    let shared: BTreeSet<String> =
        replaced.iter().flatten().filter(|name| !all.insert(*name)).cloned().collect();
    let changed: BTreeSet<PathBuf> = context.fixed.keys().cloned().collect();
    let (mut faults, mut copies) = (Faults::default(), Vec::new());
    // What one unit's replacements need of another's that the fix has made new.
    let mut needed: BTreeSet<String> = BTreeSet::new();
    loop {
        copies.clear();
        for (part, replaced) in parts.iter().zip(&replaced) {
            let copy = part.copy(context, replaced, &shared, &needed, &changed);
            copies.push(copy.map_err(|error| {
                let help = "it has C that `cargo klp new --diff` does not understand: begin with `cargo klp new NAME --func F`";
                not_compiled(error, context, &part.unit.file, "cut down to what the patch needs", help)
            })?);
        }
        let defined: BTreeSet<&String> = copies
            .iter()
            .flat_map(|copy| copy.object.definitions.iter().map(|definition| &definition.name))
            .collect();
        let missing = copies.iter().flat_map(|copy| &copy.object.undefined).filter(|name| {
            !defined.contains(name) && parts.iter().any(|part| part.has_new(name)) && !needed.contains(*name)
        });
        let missing: BTreeSet<String> = missing.cloned().collect();
        if missing.is_empty() {
            break;
        }
        needed.extend(missing);
    }
    let defined: BTreeSet<String> = copies
        .iter()
        .flat_map(|copy| copy.object.definitions.iter().map(|definition| definition.name.clone()))
        .collect();
    for (part, copy) in parts.iter().zip(&copies) {
        part.check(context, copy, &defined, fix, &mut faults)?;
    }
    refuse_if(context.request, faults)?;

    for ((part, copy), replaced) in parts.iter().zip(copies).zip(replaced) {
        if replaced.is_empty() && !needed.iter().any(|name| part.has_new(name)) {
            continue;
        }
        for symbol in replaced {
            let object = part.unit.object.clone();
            let sympos = part.sympos(context, &symbol)?;
            let c_name = part.c_name(&symbol, &shared);
            fix.functions.push(Function { object, symbol, sympos, c_name });
        }
        fix.notes.extend(copy.notes);
        fix.files.insert(copy.file, copy.text);
        for header in &copy.headers.files {
            let text = read(&context.tree.source().join(header))?;
            let place = headers::place(header);
            fix.files.insert(place.clone(), copy.headers.adapt(header, &place, &text));
        }
    }
    fix.functions.sort();
    fix.functions.dedup();
    fix.symbols.sort();
    fix.symbols.dedup();
    Ok(())
}

fn refuse_if(request: &Request<'_>, faults: Faults) -> Result<()> {
    match faults.0.is_empty() {
        true => Ok(()),
        false => Err(Error::NotPatchable { diff: request.name.to_owned(), faults: faults.0 }),
    }
}

/// The text of a file of the source, a few of which are not UTF-8.
fn read(path: &Path) -> Result<String> {
    let text = fs::read(path).map_err(Error::io("read", path))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_kernel_of_x86_is_compared() {
        assert!(refuse_others(&Kernel::for_test("")).is_ok());
        let error = refuse_others(&Kernel::for_test("CONFIG_ARM64=y\n")).unwrap_err().to_string();
        assert_eq!(error, "test is for arm64: a diff becomes a patch only for a kernel of x86_64");
    }

    #[test]
    fn only_a_kernel_of_gcc_is_compared() {
        assert!(refuse_clang(&Kernel::for_test("CONFIG_CC_IS_GCC=y\n")).is_ok());
        let clang = Kernel::for_test("CONFIG_CC_IS_CLANG=y\nCONFIG_CLANG_VERSION=190107\n");
        let error = refuse_clang(&clang).unwrap_err().to_string();
        assert!(error.starts_with("Clang has built test: a diff becomes a patch only"), "{error}");
    }
}
