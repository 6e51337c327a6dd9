//! One unit of a fix: what the fix changes in it, and what of it the patch gets.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::c::{Closure, Known, items, tokens};
use super::compare::{self, Difference, is_of_a_place};
use super::headers::Headers;
use super::object::{Compiled, Definition, stem};
use super::placement::Placement;
use super::unit::Unit;
use super::{Context, Faults, Fix, NamedSymbol, types};
use crate::error::{Error, Result};
use crate::kernel::symbols::{Access, Object, Symbol, VMLINUX};
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
}

/// What the patch gets of a unit.
#[derive(Debug)]
pub struct Copy {
    /// The file, relative to the directory of the crate's sources.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// The headers that it includes.
    pub headers: Headers,
    /// What the compiler makes of it.
    pub object: Compiled,
    /// What the author must know.
    pub notes: Vec<String>,
    /// The lines of the unit that define each name that it defines.
    lines: BTreeMap<String, (usize, usize)>,
}

/// What the target has of a unit and the fix does not change.
struct KnownOf<'a> {
    part: &'a Part,
    /// Constants that only what is replaced uses, so that the patch may have others.
    copied: BTreeSet<String>,
}

impl Known for KnownOf<'_> {
    fn size(&self, name: &str) -> Option<u64> {
        self.part.placement.size(name).filter(|_| !self.copied.contains(name))
    }
}

impl Part {
    /// Compiles a unit as it is, and finds it in the kernel.
    pub fn before(context: &Context<'_>, unit: Unit) -> Result<Self> {
        let output = context.tree.output("before.o");
        unit.compile(&context.tree, &output)?;
        let before = Compiled::read(&output)?;
        let object = context.symbols.object(&unit.object)?;
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
        Ok(Self { unit, before, placement, original, after, difference: Difference::default() })
    }

    /// Compiles it with the fix.
    pub fn compile_fixed(&mut self, context: &Context<'_>) -> Result<()> {
        let output = context.tree.output("after.o");
        self.unit.compile(&context.tree, &output)?;
        self.after = Compiled::read(&output)?;
        self.difference = compare::compare(&self.before, &self.after);
        Ok(())
    }

    /// Whether the fix changes it.
    pub fn is_changed(&self) -> bool {
        self.difference != Difference::default()
    }

    /// Whether the fix adds a function or variable to it.
    pub fn has_new(&self, name: &str) -> bool {
        self.before.named(name).is_none() && self.after.named(name).is_some()
    }

    /// The functions to replace.
    pub fn replaced(&self, context: &Context<'_>, faults: &mut Faults) -> Result<BTreeSet<String>> {
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
        let preprocessed = self.unit.preprocess(&context.tree)?;
        let (old, new) = (tokens(&self.original), tokens(&preprocessed));
        for changed in types::changed(&items(&old), &items(&new)) {
            let root = context.tree.source();
            let file = std::path::Path::new(changed.file);
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
        Ok(replaced)
    }

    /// Changed constants that nothing but replaced and new functions use: the patch has its own.
    fn copied_constants(&self, replaced: &BTreeSet<String>) -> BTreeSet<String> {
        let is_own = |name: &&String| {
            let constant = self.after.definitions.iter().find(|definition| definition.stem() == **name);
            constant.is_some_and(|definition| !definition.is_writable && !definition.name.contains('.'))
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
                item.tokens[0].file == file
                    && item.names.contains(&name)
                    && item.kind != super::c::Kind::Prototype
            })?;
            Some((item.tokens[0].line, item.tokens[item.tokens.len() - 1].line))
        };
        lines().unwrap_or((1, usize::MAX))
    }

    /// Cuts out what the patch needs: the functions to replace, and what other units need of this one.
    pub fn copy(
        &self,
        context: &Context<'_>,
        replaced: &BTreeSet<String>,
        needed: &BTreeSet<String>,
        changed: &BTreeSet<PathBuf>,
    ) -> Result<Copy> {
        let root = context.tree.source();
        let path = root.join(&self.unit.file);
        let text = super::read(&path)?;
        let preprocessed = self.unit.preprocess(&context.tree)?;
        let tokens = tokens(&preprocessed);
        let items = items(&tokens);
        let known = KnownOf { part: self, copied: self.copied_constants(replaced) };
        let roots: BTreeSet<&str> = (replaced.iter().chain(needed.iter().filter(|name| self.has_new(name))))
            .map(String::as_str)
            .collect();
        let file_name = path.to_string_lossy();
        let closure = Closure::new(&file_name, &text, &items, &roots, &known);
        let without: Vec<&str> =
            roots.iter().copied().filter(|name| closure.lines_of(name).is_none()).collect();
        if !without.is_empty() {
            return Err(Error::Request {
                message: format!(
                    "`{}` does not define {} itself: a macro or a header does",
                    self.unit.file.display(),
                    without.join(", ")
                ),
                help: "write the body by hand: `#[klp_syscall]` for a system call, `cargo klp new NAME --func F` for another"
                    .into(),
            });
        }
        let headers = Headers::of(
            &preprocessed,
            &root,
            &self.unit.file,
            self.unit.include_directories(&context.tree),
            changed,
        );
        let part = closure.text(|name| self.link_name(context, name));
        let stem = self.unit.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = PathBuf::from(format!("{stem}.c"));
        let part = headers.adapt(&self.unit.file, &file, &part);
        let mut copy = Copy {
            lines: (items.iter().filter(|item| item.tokens[0].file == file_name))
                .flat_map(|item| item.names.iter().map(|name| ((*name).to_owned(), *name)))
                .filter_map(|(owned, name)| Some((owned, closure.lines_of(name)?)))
                .map(|(name, lines)| (name, (*lines.start(), *lines.end())))
                .collect(),
            text: String::new(),
            file,
            headers,
            object: Compiled::default(),
            notes: Vec::new(),
        };
        for (traced, note) in [
            (true, None),
            (
                false,
                Some(format!(
                    "the copy of `{}` has no trace events: a patch can't use those of a module",
                    self.unit.file.display()
                )),
            ),
        ] {
            copy.text = self.head(context, &copy.headers, &text, traced) + &part;
            copy.object = self.compile_copy(context, &copy)?;
            let of_module = self.of_module(&copy.object);
            let is_event = |name: &&&String| OF_TRACE_EVENTS.iter().any(|start| name.starts_with(start));
            copy.notes = note.into_iter().collect();
            if !of_module.iter().any(|name| is_event(&name)) {
                break;
            }
        }
        Ok(copy)
    }

    /// What of a module, and of it alone, the loader patches before livepatch can say where it is.
    fn of_module<'a>(&self, object: &'a Compiled) -> Vec<&'a String> {
        if !self.unit.is_module() {
            return Vec::new();
        }
        let is_own = |name: &&String| object.undefined.contains(*name) && self.is_of_own_object(name);
        object.patched_early.iter().filter(is_own).collect()
    }

    /// Whether the unit or another one of its module defines it.
    fn is_of_own_object(&self, name: &str) -> bool {
        self.placement.symbol(name).is_some() || OF_TRACE_EVENTS.iter().any(|start| name.starts_with(start))
    }

    /// The beginning of the C file.
    fn head(&self, context: &Context<'_>, headers: &Headers, text: &str, is_traced: bool) -> String {
        let license = text.lines().next().filter(|line| line.contains("SPDX-License-Identifier"));
        let mut head = format!(
            "{}\n/*\n * From {} of {}, with {}: the functions that the fix changes,\n * and what they need. What the kernel \
             has under a name is declared, the rest copied.\n * For what the patch's Rust half offers to C, include \
             \"klp_patch.h\" behind the\n * kernel's headers.\n */\n",
            license.unwrap_or("// SPDX-License-Identifier: GPL-2.0-only"),
            self.unit.file.display(),
            context.symbols.release(),
            context.request.name.file_name().unwrap_or_default().to_string_lossy()
        );
        if self.unit.is_module() {
            head.push_str(&format!(
                "#undef KBUILD_MODNAME\n#define KBUILD_MODNAME \"{}\"\n",
                self.unit.object
            ));
        } else {
            head.push_str("/* As in the kernel itself, whose code it is. */\n#undef MODULE\n");
        }
        if !is_traced {
            head.push_str("#define NOTRACE\n");
        }
        for definition in self.unit.macros() {
            let (name, value) = definition.split_once('=').unwrap_or((definition, "1"));
            head.push_str(&format!("#ifndef {name}\n#define {name} {value}\n#endif\n"));
        }
        for header in headers.first() {
            head.push_str(&format!("#include \"{}\"\n", header.display()));
        }
        head
    }

    /// Compiles the copy where its headers are.
    fn compile_copy(&self, context: &Context<'_>, copy: &Copy) -> Result<Compiled> {
        let directory = context.tree.output("copy");
        let write = |file: PathBuf, text: &str| {
            let parent = file.parent().unwrap_or(&directory);
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
            fs::write(&file, text).map_err(Error::io("write", &file))
        };
        for header in &copy.headers.files {
            let place = super::headers::place(header);
            let text = super::read(&context.tree.source().join(header))?;
            write(directory.join(&place), &copy.headers.adapt(header, &place, &text))?;
        }
        let file = directory.join(&copy.file);
        write(file.clone(), &copy.text)?;
        let output = context.tree.output("copy.o");
        self.unit.compile_copy(&context.tree, &file, &output)?;
        Compiled::read(&output)
    }

    /// The position of a function of the unit among its namesakes, 0 where there is none.
    pub fn sympos(&self, context: &Context<'_>, name: &str) -> Result<u64> {
        let object = context.symbols.object(&self.unit.object)?;
        let symbol = self.placement.symbol(name);
        Ok(symbol.filter(|_| object.named(name).len() > 1).map_or(0, |symbol| symbol.position))
    }

    /// The name in the patch of what the kernel has under a name that is not unique.
    fn link_name(&self, context: &Context<'_>, name: &str) -> Option<String> {
        self.placement.symbol(name)?;
        self.is_ambiguous(context, name).then(|| link_prefix(self) + name)
    }

    fn is_ambiguous(&self, context: &Context<'_>, name: &str) -> bool {
        let count =
            |object: &str| context.symbols.object(object).map_or(0, |object| object.named(name).len());
        let own = count(&self.unit.object);
        own > 1 || (self.unit.is_module() && (count(VMLINUX) > 0 || context.symbols.export(name).is_some()))
    }

    /// Whether the kernel can load what the patch gets of the unit, and whether it does what the fix says.
    pub fn check(
        &self,
        context: &Context<'_>,
        copy: &Copy,
        defined: &BTreeSet<String>,
        fix: &mut Fix,
        faults: &mut Faults,
    ) -> Result<()> {
        let object = context.symbols.object(&self.unit.object)?;
        let vmlinux = context.symbols.object(VMLINUX)?;
        let place_of = |name: &str| {
            let lines = copy.lines.get(name).copied().unwrap_or((1, usize::MAX));
            context.place(&self.unit.file, lines)
        };
        for name in self.of_module(&copy.object) {
            faults.add(
                &place_of(name),
                format!(
                    "`{name}` is a static key or a tracepoint of {}, which the kernel patches into code when it loads the \
                     module, before it knows where that of {} is: read it with `static_key_enabled` instead of a branch",
                    self.unit.object, self.unit.object
                ),
            );
        }
        let own: BTreeMap<&str, &str> =
            self.before.definitions.iter().map(|definition| (definition.stem(), &*definition.name)).collect();
        for definition in copy.object.definitions.iter().filter(|definition| !definition.is_code) {
            let name = definition.stem();
            if !definition.is_writable || is_of_a_place(name) || definition.section.contains("once") {
                continue;
            }
            match own.get(name) {
                Some(_) => faults.add(
                    &place_of(name),
                    format!(
                        "the patch would have a `{name}` of its own, another variable than that of {}: the kernel has no \
                         symbol by which the copy finds it; for a function's static variable, declare it with \
                         `#[klp(static_of = …)]` and use that",
                        self.unit.object
                    ),
                ),
                None => fix.notes.push(format!(
                    "`{name}` is new and lives in the patch: where it must outlive it, make it the data of a state"
                )),
            }
        }
        for name in &copy.object.undefined {
            let plain = name.strip_prefix(&*link_prefix(self)).unwrap_or(name);
            if let Some(symbol) = self.placement.symbol(plain) {
                self.check_symbol(&object, plain, symbol, &place_of(plain), faults);
                if plain != name {
                    fix.symbols.push(NamedSymbol {
                        name: name.clone(),
                        object: self.unit.object.clone(),
                        symbol: plain.to_owned(),
                        sympos: if object.named(plain).len() > 1 { symbol.position } else { 0 },
                        is_code: symbol.is_code(),
                    });
                }
                continue;
            }
            if defined.contains(name) {
                continue;
            }
            if let Some(export) = context.symbols.export(name) {
                match export.access() {
                    Access::Free => continue,
                    Access::Import(namespace) => {
                        fix.namespaces.insert(namespace.to_owned());
                        continue;
                    }
                    Access::Only(_) => {}
                }
            }
            if name == "__this_module" {
                fix.notes.push(format!(
                    "`THIS_MODULE` of `{}` is the patch in the copy, not {}: look at what it is used for",
                    self.unit.file.display(),
                    self.unit.object
                ));
                continue;
            }
            let holders = [&object, &vmlinux];
            let holders = &holders[..1 + usize::from(self.unit.is_module())];
            let found: Vec<Symbol> = holders.iter().flat_map(|holder| holder.named(name)).collect();
            match &*found {
                [symbol] => {
                    let is_own = !object.named(name).is_empty();
                    let holder = if is_own { &object } else { &vmlinux };
                    self.check_symbol(holder, name, symbol, &place_of(name), faults);
                }
                [] => faults.add(
                    &place_of(name),
                    format!(
                        "the fix uses `{name}`, which {} does not have: it came with another change, which the diff must \
                         contain too",
                        self.unit.object
                    ),
                ),
                _ => faults.add(
                    &place_of(name),
                    format!("`{name}` is the name of several symbols of {}: use one of them by hand", self.unit.object),
                ),
            }
        }
        Ok(())
    }

    /// Whether a patch can use a symbol.
    fn check_symbol(
        &self,
        object: &Object<'_>,
        name: &str,
        symbol: &Symbol,
        place: &str,
        faults: &mut Faults,
    ) {
        if symbol.is_init {
            faults.add(
                place,
                format!("`{name}` of {} is gone once the kernel or the module has started", object.name),
            );
        } else if object.is_per_cpu(symbol) && object.export(name).is_none() {
            faults.add(
                place,
                format!(
                    "`{name}` of {} is a variable of each processor, which a patch can't reach by its address: call a \
                     function of {} that uses it",
                    object.name, object.name
                ),
            );
        }
    }
}

/// The start of the names that the patch gives to symbols of a unit.
fn link_prefix(part: &Part) -> String {
    let stem = part.unit.file.file_stem().unwrap_or_default().to_string_lossy();
    format!("klp_{}_", stem.replace('-', "_"))
}

/// The name that the source has for what the compiler calls so.
fn stem_of(name: &str) -> &str {
    stem(name).split('.').next().unwrap_or(name)
}
