//! Answers conditions for a kernel.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use klp_btf::Types;
use klp_format::condition::{Condition, Item, Kind, Place};

use crate::error::{Error, Result};
use crate::host::report::Reporter;
use crate::kernel::symbols::{Symbols, VMLINUX, nearest_names};
use crate::kernel::{Kernel, Target, btf, options, version};

/// Whether the headers of a kernel have an item. The compiler knows.
pub type HasInHeaders<'a> = dyn Fn(&Item, &Kernel) -> Result<bool> + 'a;

/// What is known of a kernel, read when it is needed.
pub(super) struct Answerer<'a> {
    target: &'a Target,
    reporter: &'a dyn Reporter,
    headers: &'a HasInHeaders<'a>,
    /// The types of vmlinux and of modules; `None` for a module that the kernel lacks.
    types: BTreeMap<String, Option<Types>>,
    options: OnceCell<BTreeSet<String>>,
}

impl<'a> Answerer<'a> {
    pub(super) fn new(target: &'a Target, headers: &'a HasInHeaders<'a>, reporter: &'a dyn Reporter) -> Self {
        Self { target, reporter, headers, types: BTreeMap::new(), options: OnceCell::new() }
    }

    /// Whether a condition holds.
    pub(super) fn holds(&mut self, condition: &Condition) -> Result<bool> {
        let kernel = &self.target.kernel;
        Ok(match condition {
            Condition::Since(release) => version::of(kernel)? >= *release,
            Condition::Config { option, value: Some(value) } => kernel.config(option) == Some(value),
            Condition::Config { option, value: None } => matches!(kernel.config(option), Some("y" | "m")),
            Condition::Has(item) => match item.kind {
                Kind::Fn | Kind::Static => self.has_symbol(item)?,
                Kind::Export => Symbols::of(self.target, self.reporter)?.export(&item.name).is_some(),
                Kind::InlineFn | Kind::Macro | Kind::Header => (self.headers)(item, kernel)?,
                Kind::Struct | Kind::Union | Kind::Enum | Kind::Const => self.has_type(item)?,
            },
        })
    }

    /// What is strange about an option: no configuration on this machine has it, set or not, and it is not one of those
    /// that a configuration names only where they are set, as nobody chooses them.
    pub(super) fn doubt(&self, option: &str) -> Result<Option<String>> {
        let known = match self.options.get() {
            Some(known) => known,
            None => self.options.get_or_init(|| options::known(&self.target.kernel)),
        };
        let is_hidden = option.split('_').any(|part| ["HAVE", "HAS", "ARCH", "GENERIC"].contains(&part));
        if known.is_empty() || known.contains(option) || is_hidden {
            return Ok(None);
        }
        let near = nearest_names(option, known.iter().map(String::as_str));
        let hint = near.first().map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
        Ok(Some(format!("no kernel configuration on this machine has `{option}`, so it never holds{hint}")))
    }

    fn has_symbol(&self, item: &Item) -> Result<bool> {
        let symbols = Symbols::of(self.target, self.reporter)?;
        match symbols.object(object(item)) {
            Ok(object) => {
                let is_code = item.kind == Kind::Fn;
                Ok(object.named(&item.name).iter().any(|symbol| symbol.is_code() == is_code))
            }
            Err(error) => self.absent(item, error).map(|()| false),
        }
    }

    fn has_type(&mut self, item: &Item) -> Result<bool> {
        let object = object(item);
        if !self.types.contains_key(object) {
            let types = self.read_types(item)?;
            self.types.insert(object.to_owned(), types);
        }
        match &self.types[object] {
            Some(types) => declares(types, item).map_err(Error::btf(object)),
            None => Ok(false),
        }
    }

    /// The types that have an item or lack it.
    fn read_types(&self, item: &Item) -> Result<Option<Types>> {
        let kernel = &self.target.kernel;
        let base = btf::of_kernel(kernel)?.ok_or_else(|| Error::Request {
            message: format!(
                "whether kernel {} has `{item}` is unknown: this machine has no BTF of it",
                kernel.release
            ),
            help: format!("install its image with `cargo klp doctor --fix --kernel {}`", kernel.release),
        })?;
        let Place::Module(module) = &item.place else { return Ok(Some(base)) };
        match btf::module_directory(self.target, module) {
            Ok(directory) => {
                let file = directory.join("btf");
                base.open_module(&file).map(Some).map_err(Error::btf(module))
            }
            Err(error) => self.absent(item, error).map(|()| None),
        }
    }

    /// Succeeds where the error says that the kernel has no such module: it does not have the item either.
    fn absent(&self, item: &Item, error: Error) -> Result<()> {
        let is_unknown = self.target.unknown_modules.iter().any(|name| name == object(item));
        match error {
            Error::NoModule { .. } if !is_unknown => Ok(()),
            other => Err(other),
        }
    }
}

/// The object in which an item is looked for.
fn object(item: &Item) -> &str {
    match &item.place {
        Place::Module(module) => module,
        Place::Kernel | Place::Header(_) => VMLINUX,
    }
}

/// Whether these types have an item.
fn declares(types: &Types, item: &Item) -> klp_btf::Result<bool> {
    if item.kind == Kind::Const {
        return Ok(types.enumerator(&item.name)?.is_some());
    }
    let Some(mut id) = types.find(&item.name)? else { return Ok(false) };
    if item.kind == Kind::Enum {
        return Ok(types.enumerators(id)?.is_some());
    }
    let is_union = item.kind == Kind::Union;
    if types.layout(id)?.is_none_or(|layout| layout.is_union != is_union) {
        return Ok(false);
    }
    for name in &item.fields {
        let Some(field) = types.fields(id)?.into_iter().find(|field| field.name == *name) else {
            return Ok(false);
        };
        id = field.id;
    }
    Ok(true)
}
