//! Reads from the structures of a livepatch in C what it does.
//!
//! Such modules have no common symbol for their `struct klp_patch`, and only the code knows what it passes to
//! `klp_enable_patch()`. But the kernel refuses a patch whose `mod` is not the module itself, and nearly all modules
//! have static structures. So each pointer to `__this_module` may be the `mod` of a patch. A candidate counts if the
//! kernel would accept the rest of it: `objs` leads to objects with functions, and each function names an old function
//! and points to a new one. A `struct file_operations`, whose `owner` points to the module too, looks different.

use super::image::{Image, Place};
use super::layout::{self, Layout};
use super::report::{Callback, Patch, Redirect, State};
use crate::error::{Error, Result};

/// Reads a module by the layout of the kernel's structures.
pub fn read(file: &object::File<'_>, layout: &Layout) -> Result<Patch> {
    let reader = Reader { image: &Image::new(file), layout };
    let this_module = reader.image.symbol("__this_module").ok_or_else(|| Error::Request {
        message: "the file has no __this_module, so it is not a finished module".into(),
        help: "inspect the .ko that Kbuild made".into(),
    })?;
    let mut places: Vec<_> = reader.image.pointers_to(this_module).collect();
    places.sort_by_key(|place| (place.section.0, place.offset));
    let patches: Vec<_> = places.into_iter().filter_map(|place| reader.patch(place)).collect();
    match <[Patch; 1]>::try_from(patches) {
        Ok([patch]) => Ok(patch),
        Err(patches) => Err(Error::Request {
            message: if patches.is_empty() {
                "the module has no static struct klp_patch: it makes its tables when it is loaded".into()
            } else {
                format!(
                    "the module has {} of struct klp_patch, and only its code says which is used",
                    patches.len()
                )
            },
            help: "load it on a test machine and look into /sys/kernel/livepatch".into(),
        }),
    }
}

struct Reader<'a> {
    image: &'a Image<'a>,
    layout: &'a Layout,
}

impl Reader<'_> {
    /// The patch whose `mod` is at a place, if there is one.
    fn patch(&self, module: Place) -> Option<Patch> {
        let start = module.plus(self.layout.patch.module.wrapping_neg());
        let mut patch = Patch { enable: true, ..Patch::default() };
        let mut object = self.image.follow(start.plus(self.layout.patch.objs))?;
        while self.object(object, &mut patch)? {
            object = object.plus(self.layout.object.size);
        }
        if let Some(offset) = self.layout.patch.replace {
            patch.replace = self.image.bytes(start.plus(offset)).ok()? != [0];
        }
        let states = self.layout.patch.states.and_then(|offset| self.image.follow(start.plus(offset)));
        if let (Some(states), Some(layout)) = (states, &self.layout.state) {
            patch.states = self.states(states, layout)?;
        }
        let has_work = !patch.redirects.is_empty() || !patch.callbacks.is_empty();
        has_work.then_some(patch)
    }

    /// Adds an object to the patch; false for the empty one that ends the list.
    fn object(&self, object: Place, patch: &mut Patch) -> Option<bool> {
        let layout = &self.layout.object;
        let name = self.image.string(object.plus(layout.name));
        let funcs = self.image.pointer(object.plus(layout.funcs));
        // The list must end within the section.
        self.image.long(object.plus(layout.funcs)).ok()?;
        if name.is_none() && funcs.is_none() {
            return Some(false);
        }
        let object_name = name.unwrap_or_else(|| "vmlinux".into());
        for (callback, offset) in &layout.callbacks {
            let place = object.plus(*offset);
            if self.image.pointer(place).is_some() {
                patch.callbacks.push(Callback {
                    object: object_name.clone(),
                    callback: callback.clone(),
                    function: self.image.function(place),
                });
            }
        }
        let mut func = self.image.follow(object.plus(layout.funcs))?;
        while let Some(redirect) = self.func(func, &object_name)? {
            // Each has a name and a function of its own: more of them share their structures.
            if patch.redirects.len() == self.image.pointer_count() {
                return None;
            }
            patch.redirects.push(redirect);
            func = func.plus(self.layout.func.size);
        }
        Some(true)
    }

    /// A redirected function; `Some(None)` for the empty one that ends the list.
    fn func(&self, func: Place, object: &str) -> Option<Option<Redirect>> {
        let layout = &self.layout.func;
        let old_name = self.image.pointer(func.plus(layout.old_name));
        let new_func = self.image.pointer(func.plus(layout.new_func));
        let sympos = match layout.old_sympos {
            Some(offset) => self.image.long(func.plus(offset)).ok()?,
            None => 0,
        };
        if old_name.is_none() && new_func.is_none() && sympos == 0 {
            return Some(None);
        }
        new_func?;
        Some(Some(Redirect {
            object: object.into(),
            symbol: self.image.string(func.plus(layout.old_name))?,
            sympos,
            replacement: self.image.function(func.plus(layout.new_func)),
            calls_original: false,
        }))
    }

    fn states(&self, mut state: Place, layout: &layout::State) -> Option<Vec<State>> {
        let mut states = Vec::new();
        loop {
            let id = self.image.long(state.plus(layout.id)).ok()?;
            if id == 0 {
                return Some(states);
            }
            let version = self.image.int(state.plus(layout.version)).ok()?;
            let version = version.into();
            states.push(State { id, version, name: None, flags: Vec::new(), callbacks: Vec::new() });
            state = state.plus(layout.size);
        }
    }
}
