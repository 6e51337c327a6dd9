//! What makes a copy of a unit's code something else than the unit's own.

use std::collections::{BTreeMap, BTreeSet};

use super::super::compare::is_of_a_place;
use super::super::object::Compiled;
use super::super::{Context, Faults, Fix, NamedSymbol};
use super::copy::{Copy, link_prefix};
use super::{OF_TRACE_EVENTS, Part};
use crate::error::Result;
use crate::kernel::symbols::{Access, Object, Symbol, VMLINUX};

impl Part {
    /// What of a module, and of it alone, the loader patches before livepatch can say where it is.
    pub(super) fn of_module<'a>(&self, object: &'a Compiled) -> Vec<&'a String> {
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
                    "a header uses `{name}`, a static key or a tracepoint of {}, which the kernel patches into \
                     code when it loads the module, before it knows where that of {} is: write what the header does into \
                     the copy, with `static_key_enabled`",
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
                    if object.is_per_cpu(symbol) {
                        faults.add(
                            &place_of(plain),
                            format!(
                                "`{plain}` of {} is a per-CPU variable whose name others have too: call a function of {} \
                                 that uses it",
                                object.name, object.name
                            ),
                        );
                    }
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
        }
    }
}
