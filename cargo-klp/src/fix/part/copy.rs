//! What the patch gets of a unit: the C that the replacements need, cut out of the fixed source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use super::super::c::{Closure, Known, items, tokens};
use super::super::headers::{self, Headers};
use super::super::included::put_in;
use super::super::object::Compiled;
use super::super::unit::Unit;
use super::super::{Context, read};
use super::{OF_TRACE_EVENTS, Part};
use crate::error::{Error, Result};
use crate::kernel::symbols::VMLINUX;

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
    pub(super) lines: BTreeMap<String, (usize, usize)>,
}

/// How a copy does without what the kernel patches into a module's code when it loads the module: where that is, livepatch
/// says later.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Way {
    /// Without trace events.
    is_untraced: bool,
    /// Static branches read their keys when they run.
    is_read: bool,
}

/// Static branches as a kernel without them has them.
const READ: &str =
    "/* The kernel patches these into code before it knows where the keys of a module are: read them. */
#include <linux/jump_label.h>
#undef static_branch_likely
#define static_branch_likely(key) static_key_enabled(key)
#undef static_branch_unlikely
#define static_branch_unlikely(key) static_key_enabled(key)
";

impl Way {
    fn notes(self, unit: &Unit) -> Vec<String> {
        let (file, mut notes) = (unit.file.display(), Vec::new());
        if self.is_untraced {
            notes.push(format!(
                "the copy of `{file}` has no trace events: a patch can't use those of a module"
            ));
        }
        if self.is_read {
            notes.push(format!(
                "the copy of `{file}` reads the keys of static branches when it runs: the kernel can't patch branches of \
                 another module by those of {}",
                unit.object
            ));
        }
        notes
    }
}

/// What the target has of a unit and the fix does not change.
struct KnownOf<'a> {
    part: &'a Part,
    /// Constants that only what is replaced uses, so that the patch may have others.
    copied: BTreeSet<String>,
}

impl Known for KnownOf<'_> {
    fn size(&self, name: &str) -> Option<u64> {
        self.part
            .placement
            .size(name)
            .filter(|_| !self.copied.contains(name) && !self.part.rewritten.contains(name))
    }
}

impl Part {
    /// Cuts out what the patch needs: the functions to replace, and what other units need of this one. `shared` are names
    /// of functions that other units replace as well.
    pub fn copy(
        &self,
        context: &Context<'_>,
        replaced: &BTreeSet<String>,
        shared: &BTreeSet<String>,
        needed: &BTreeSet<String>,
        changed: &BTreeSet<PathBuf>,
    ) -> Result<Copy> {
        let root = context.tree.source();
        let path = root.join(&self.unit.file);
        let roots: BTreeSet<&str> = (replaced.iter().chain(needed.iter().filter(|name| self.has_new(name))))
            .map(String::as_str)
            .collect();
        let (text, preprocessed) = self.text(context, &roots)?;
        let tokens = tokens(&preprocessed);
        let items = items(&tokens);
        let known = KnownOf { part: self, copied: self.copied_constants(replaced) };
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
        let stem = self.unit.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = PathBuf::from(format!("{stem}.c"));
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
        let mut way = Way::default();
        loop {
            let (line, mut first) = copy.headers.first();
            if way.is_read {
                first.push_str(READ);
            }
            let part = closure.text((line, first), |name| match replaced.contains(name) {
                true => shared.contains(name).then(|| self.c_name(name, shared)),
                false => self.link_name(context, name),
            });
            copy.text = self.head(context, &text, !way.is_untraced)
                + &copy.headers.adapt(&self.unit.file, &copy.file, &part);
            copy.object = self.compile_copy(context, &copy)?;
            let of_module = self.of_module(&copy.object);
            let (events, others): (Vec<&String>, Vec<&String>) = of_module
                .into_iter()
                .partition(|name| OF_TRACE_EVENTS.iter().any(|start| name.starts_with(start)));
            let next = Way {
                is_untraced: way.is_untraced || !events.is_empty(),
                is_read: way.is_read || !others.is_empty(),
            };
            if next == way {
                break;
            }
            way = next;
        }
        copy.notes = way.notes(&self.unit);
        Ok(copy)
    }

    /// The text of the unit that defines these functions, and what the preprocessor makes of it: C files and changed
    /// headers that it includes are a part of it if they define some.
    fn text(&self, context: &Context<'_>, roots: &BTreeSet<&str>) -> Result<(String, String)> {
        let path = context.tree.source().join(&self.unit.file);
        let (text, preprocessed) = (read(&path)?, self.unit.preprocess(&context.tree)?);
        let file_name = path.to_string_lossy();
        let tokens = tokens(&preprocessed);
        let defined: BTreeSet<&str> = (items(&tokens).iter())
            .filter(|item| item.tokens[0].file == file_name)
            .flat_map(|item| item.names.iter().copied())
            .collect();
        if roots.is_subset(&defined) {
            return Ok((text, preprocessed));
        }
        let directory = self.unit.file.parent().unwrap_or("".as_ref());
        let whole = put_in(&text, &|name| {
            let file = directory.join(name);
            match name.ends_with(".c") {
                true => read(&context.tree.source().join(file)).ok(),
                false => context.fixed.get(&file).cloned(),
            }
        });
        context.tree.write(&self.unit.file, &whole)?;
        Ok((whole, self.unit.preprocess(&context.tree)?))
    }

    /// The beginning of the C file.
    fn head(&self, context: &Context<'_>, text: &str, is_traced: bool) -> String {
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
        if text.contains("SYSCALL_DEFINE") {
            head.push_str(
                "/* The kernel has the trace events of its system calls. */\n#undef CONFIG_FTRACE_SYSCALLS\n",
            );
        }
        for definition in self.unit.macros() {
            let (name, value) = definition.split_once('=').unwrap_or((definition, "1"));
            head.push_str(&format!("#ifndef {name}\n#define {name} {value}\n#endif\n"));
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
            let place = headers::place(header);
            let text = read(&context.tree.source().join(header))?;
            write(directory.join(&place), &copy.headers.adapt(header, &place, &text))?;
        }
        let file = directory.join(&copy.file);
        write(file.clone(), &copy.text)?;
        let output = context.tree.output("copy.o");
        self.unit.compile_copy(&context.tree, &file, &output)?;
        Compiled::read(&output)
    }

    /// The name in the patch of the body of a function that it replaces.
    pub fn c_name(&self, name: &str, shared: &BTreeSet<String>) -> String {
        if shared.contains(name) { link_prefix(self) + name } else { name.to_owned() }
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
}

/// The start of the names that the patch gives to symbols of a unit.
pub(super) fn link_prefix(part: &Part) -> String {
    let stem = part.unit.file.file_stem().unwrap_or_default().to_string_lossy();
    format!("klp_{}_", stem.replace('-', "_"))
}
