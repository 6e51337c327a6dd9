//! One unit of a fix: what the fix changes in it, and what of it the patch gets.

mod check;
mod copy;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::Path;

use super::c::{Item, Kind, items, tokens};
use super::compare::{self, Difference};
use super::object::{Compiled, Definition, stem};
use super::placement::Placement;
use super::unit::Unit;
use super::{Context, Faults, types};
use crate::error::{Error, Result};
use crate::kernel::symbols::Object;
use crate::patch::check::{ObjectInfo, obstacle};

/// Names that belong to a trace event.
const OF_TRACE_EVENTS: [&str; 3] = ["__tracepoint_", "__SCK__tp_func_", "__SCT__tp_func_"];

/// A unit before and after the fix.
#[derive(Debug)]
pub struct Part {
    /// The unit.
    pub unit: Unit,
    before: Compiled,
    placement: Placement,
    /// What the preprocessor makes of the original.
    original: String,
    after: Compiled,
    difference: Difference,
    /// Functions that take or return something else than before: the patch has them beside those of the kernel.
    rewritten: BTreeSet<String>,
}

impl Part {
    /// Compiles a unit as it is, and finds it in the kernel; `None` if the kernel has nothing of it: Kbuild knows how to
    /// compile files, too, that the configuration leaves out.
    ///
    /// # Errors
    ///
    /// What the compiler makes of it is not what the kernel has.
    pub fn before(context: &Context<'_>, unit: Unit) -> Result<Option<Self>> {
        let output = context.tree.output("before.o");
        let object = context.symbols.object(&unit.object)?;
        if let Err(error) = unit.compile(&context.tree, &output) {
            // What the configuration leaves out need not compile with it.
            return if has_function(context, &unit, &object)? { Err(error) } else { Ok(None) };
        }
        let before = Compiled::read(&output)?;
        let functions = before.definitions.iter().filter(|definition| definition.is_code);
        let (absent, there): (Vec<&Definition>, Vec<&Definition>) =
            functions.partition(|function| object.named(&function.name).is_empty());
        if let Some(unit) = unit_of_a_module(context, &unit, &absent)? {
            return Self::before(context, unit);
        }
        if there.is_empty() {
            return Ok(None);
        }
        let placement = Placement::of(&before, &object).map_err(|why| Error::Request {
            message: format!(
                "`{}` compiled from `{}` is not that of {}: {why}",
                unit.file.display(),
                context.request.source.display(),
                context.symbols.release()
            ),
            help: format!(
                "the source or the compiler is not the one that this kernel was built with: `cargo klp doctor --fix \
                 --source --kernel {}` fetches the source, `--source DIR` names another",
                context.symbols.release()
            ),
        })?;
        let original = unit.preprocess(&context.tree)?;
        let after = Compiled::default();
        let (difference, rewritten) = (Difference::default(), BTreeSet::new());
        Ok(Some(Self { unit, before, placement, original, after, difference, rewritten }))
    }

    /// Compiles it with the fix.
    pub fn compile_fixed(&mut self, context: &Context<'_>) -> Result<()> {
        let output = context.tree.output("after.o");
        self.unit.compile(&context.tree, &output)?;
        self.after = Compiled::read(&output)?;
        self.difference = compare::compare(&self.before, &self.after);
        // What the kernel has in its place is not the unit's.
        self.difference.functions.retain(|name| !self.placement.is_overridden(name));
        self.difference.data.retain(|name| !self.placement.is_overridden(name));
        Ok(())
    }

    /// Whether the fix changes it.
    pub fn is_changed(&self) -> bool {
        self.difference != Difference::default()
    }

    /// Whether the fix adds something to it that other units can use.
    pub fn offers(&self) -> bool {
        let mut all = self.after.definitions.iter();
        all.any(|definition| definition.is_global && self.has_new(&definition.name))
    }

    /// Whether the fix adds a function or variable to it.
    pub fn has_new(&self, name: &str) -> bool {
        self.before.named(name).is_none() && self.after.named(name).is_some()
    }

    /// The functions to replace.
    pub fn replaced(&mut self, context: &Context<'_>, faults: &mut Faults) -> Result<BTreeSet<String>> {
        let info = ObjectInfo::of(context.symbols, &self.unit.object)?;
        let of_function = |name: &str| match self.placement.symbol(name) {
            Some(symbol) => obstacle(&info, symbol).or_else(|| {
                // The compiler may have changed its parameters.
                name.contains('.')
                    .then(|| "the compiler made it of another function: patch its callers".into())
            }),
            None => Some("the kernel has no symbol of it".into()),
        };
        let place_of =
            |name: &str| context.place(&self.unit.file, self.lines_in_source(context, stem_of(name)));
        let (init, changed): (Vec<&String>, Vec<&String>) = self
            .difference
            .functions
            .iter()
            .partition(|name| self.before.named(name).is_some_and(Definition::is_init));
        for name in init {
            faults.add(
                &place_of(name),
                format!(
                    "`{name}` has run when the patch is loaded: it starts the kernel or the module. Do what it would do \
                     otherwise in a state's `post_patch` (`#[klp_state]`)"
                ),
            );
        }
        let changed: BTreeSet<String> = changed.into_iter().cloned().collect();
        let replaced = match compare::replaceable(&self.before, &changed, of_function) {
            Ok(replaced) => replaced,
            Err(found) => {
                for (name, why) in found {
                    faults.add(
                        &place_of(&name),
                        format!("`{name}` of {} can't be redirected: {why}", self.unit.object),
                    );
                }
                return Ok(BTreeSet::new());
            }
        };
        let mut replaced = self.once_each(replaced);
        let rewritten = self.rewritten(context, &replaced)?;
        replaced.retain(|name| !rewritten.contains(name));
        for name in &rewritten {
            if let Some(user) = self.user_besides(name, &replaced, &rewritten) {
                faults.add(
                    &place_of(name),
                    format!(
                        "`{name}` takes or returns something else than before, and {user}, which the patch does not \
                         replace: keep it as it is, and give the callers that need it a new function beside it"
                    ),
                );
            }
        }
        let copied = self.copied_constants(&replaced);
        for name in self.difference.data.difference(&copied) {
            faults.add(
                &place_of(name),
                format!(
                    "`{name}` gets another value, and what the kernel runs uses the one that it has: write the new one in \
                     a state's `post_patch`, the old one in `pre_unpatch` (`#[klp_state]`, `#[klp_symbols]`), or replace \
                     the functions that use it"
                ),
            );
        }
        self.rewritten = rewritten;
        Ok(replaced)
    }

    /// Those of these functions whose callers the fix makes pass or expect something else.
    fn rewritten(&self, context: &Context<'_>, replaced: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let preprocessed = self.unit.preprocess(&context.tree)?;
        let (old, new) = (tokens(&self.original), tokens(&preprocessed));
        let (old, new) = (items(&old), items(&new));
        let signature = |items: &[Item<'_>], name: &str| {
            let is_it = |item: &&Item<'_>| item.kind == Kind::Function && item.names.contains(&name);
            items.iter().find(is_it).map(Item::signature)
        };
        let is_rewritten = |name: &&String| match (signature(&old, name), signature(&new, name)) {
            (Some(old), Some(new)) => old != new,
            _ => false,
        };
        Ok(replaced.iter().filter(is_rewritten).cloned().collect())
    }

    /// Who uses a function besides functions that the patch has.
    fn user_besides(
        &self,
        name: &str,
        replaced: &BTreeSet<String>,
        rewritten: &BTreeSet<String>,
    ) -> Option<String> {
        if let Some(user) = compare::users_besides(&self.before, name) {
            return Some(user);
        }
        let is_left = |other: &&Definition| {
            let function = other.name.strip_suffix(".cold").unwrap_or(&other.name);
            other.refers.contains(name) && !replaced.contains(function) && !rewritten.contains(function)
        };
        let user = self.before.definitions.iter().find(is_left);
        user.map(|user| format!("`{}` calls it", user.name))
    }

    /// Without the further names of a function: the wrappers of a system call without arguments are one. Two redirections
    /// of one address would stack two functions of the patch.
    fn once_each(&self, replaced: BTreeSet<String>) -> BTreeSet<String> {
        let place = |name: &str| self.before.named(name).map(|found| (&*found.section, found.offset));
        let is_last = |name: &&String| {
            let mut later = replaced.range::<String, _>((Bound::Excluded(*name), Bound::Unbounded));
            place(name).is_none_or(|own| !later.any(|other| place(other) == Some(own)))
        };
        replaced.iter().filter(is_last).cloned().collect()
    }

    /// Refuses types of the unit that the fix defines otherwise.
    pub fn check_types(&self, context: &Context<'_>, faults: &mut Faults) -> Result<()> {
        let preprocessed = self.unit.preprocess(&context.tree)?;
        let (old, new) = (tokens(&self.original), tokens(&preprocessed));
        let is_variable = |name: &str| {
            self.before
                .definitions
                .iter()
                .any(|definition| definition.is_writable && definition.stem() == name)
        };
        for changed in types::changed(&items(&old), &items(&new), &is_variable) {
            let root = context.tree.source();
            let file = Path::new(changed.file);
            let file = file.strip_prefix(&root).unwrap_or(file);
            faults.add(
                &context.place(file, changed.lines),
                format!(
                    "`{}` changes its layout or values, and objects of the old one live on when the patch is loaded: keep \
                     the type, and put what is new into a shadow variable (`#[shadow]`), which missing means an old object",
                    changed.name
                ),
            );
        }
        Ok(())
    }

    /// Changed constants that nothing but replaced and new functions use: the patch has its own.
    fn copied_constants(&self, replaced: &BTreeSet<String>) -> BTreeSet<String> {
        let is_own = |name: &&String| {
            let constant = self.after.definitions.iter().find(|definition| definition.stem() == **name);
            let is_own = |definition: &Definition| {
                !definition.is_writable && !definition.is_global && !definition.name.contains('.')
            };
            constant.is_some_and(is_own)
                && self.before.definitions.iter().filter(|other| other.refers.contains(*name)).all(|other| {
                    let function = other.name.strip_suffix(".cold").unwrap_or(&other.name);
                    other.is_code && replaced.contains(function)
                })
        };
        self.difference.data.iter().filter(is_own).cloned().collect()
    }

    /// The lines that define a name in the fixed file; all of them where that is unknown.
    fn lines_in_source(&self, context: &Context<'_>, name: &str) -> (usize, usize) {
        let lines = || {
            let preprocessed = self.unit.preprocess(&context.tree).ok()?;
            let tokens = tokens(&preprocessed);
            let file = context.tree.source().join(&self.unit.file);
            let file = file.to_str()?;
            let item = items(&tokens).into_iter().find(|item| {
                item.tokens[0].file == file && item.names.contains(&name) && item.kind != Kind::Prototype
            })?;
            Some((item.tokens[0].line, item.tokens[item.tokens.len() - 1].line))
        };
        lines().unwrap_or((1, usize::MAX))
    }

    /// The position of a function of the unit among its namesakes, 0 where there is none.
    pub fn sympos(&self, context: &Context<'_>, name: &str) -> Result<u64> {
        let object = context.symbols.object(&self.unit.object)?;
        let symbol = self.placement.symbol(name);
        Ok(symbol.filter(|_| object.named(name).len() > 1).map_or(0, |symbol| symbol.position))
    }
}

/// Whether the kernel has a function of a unit's file, which the compiler refuses.
fn has_function(context: &Context<'_>, unit: &Unit, object: &Object<'_>) -> Result<bool> {
    let preprocessed = unit.preprocess(&context.tree)?;
    let file = context.tree.source().join(&unit.file);
    let all = tokens(&preprocessed);
    let items = items(&all);
    let mut functions = (items.iter())
        .filter(|item| item.kind == Kind::Function && Path::new(item.tokens[0].file) == file)
        .flat_map(|item| &item.names);
    Ok(functions.any(|name| !object.named(name).is_empty()))
}

/// A unit as a part of the module that has those of its functions that vmlinux lacks: another directory's Makefile than
/// the nearest names it. `None` if no module has them.
fn unit_of_a_module(context: &Context<'_>, unit: &Unit, absent: &[&Definition]) -> Result<Option<Unit>> {
    /// Names that other modules have, too, lead nowhere.
    const MOST: usize = 8;
    if unit.is_module() {
        return Ok(None);
    }
    for function in absent.iter().filter(|function| !function.is_init()).take(MOST) {
        for module in context.symbols.modules_with(&function.name)? {
            let object = context.symbols.object(&module)?;
            let directory = object.file().parent().map(Path::to_string_lossy).unwrap_or_default();
            let Some((_, directory)) = directory.rsplit_once("/kernel/") else { continue };
            match Unit::within(&context.tree, &unit.file, directory.as_ref()) {
                Ok(found) if found.object == module => return Ok(Some(found)),
                _ => {}
            }
        }
    }
    Ok(None)
}

/// The name that the source has for what the compiler calls so.
fn stem_of(name: &str) -> &str {
    stem(name).split('.').next().unwrap_or(name)
}
