//! Reads from the manifest and the table of functions of a klp livepatch what it does.

use std::path::Path;

use klp_format::manifest::{self, SymbolKind};
use klp_format::{STATE_BLOCK_DISABLE, Table, VMLINUX};

use super::image::{Image, Place};
use super::report::{Callback, Patch, Redirect, Series, Shadow, State};
use crate::error::{Error, Result};
use crate::patch::manifest::Manifest;
use crate::patch::tables::{check_tables, start};

/// Offsets of the fields of `klp_runtime::abi::FuncEntry`.
mod func_entry {
    pub const OBJECT: u64 = 0;
    pub const SYMBOL: u64 = 8;
    pub const REPLACEMENT: u64 = 16;
    pub const SYMPOS: u64 = 24;
}

/// Reads a module that has a manifest.
///
/// # Errors
///
/// The manifest and the tables do not agree.
pub fn read(path: &Path, file: &object::File<'_>, manifest: Manifest) -> Result<Patch> {
    check_tables(path, file, &manifest)?;
    let redirects = redirects(&Image::new(file), &manifest)?;
    let is_there = |func: &&manifest::Func| {
        redirects.iter().any(|redirect| {
            (&redirect.object, &redirect.symbol, redirect.sympos) == (&func.object, &func.symbol, func.sympos)
        })
    };
    let (emitted, found) = (manifest.funcs.len(), manifest.funcs.iter().filter(is_there).count());
    if found != emitted {
        return Err(Error::LostEntries {
            path: path.into(),
            what: "functions, by their names",
            emitted: emitted as u64,
            found: found as u64,
        });
    }
    let series = manifest
        .patch
        .as_ref()
        .and_then(|patch| Some(Series { name: patch.series.clone()?, revision: patch.revision }));
    Ok(Patch {
        series,
        replace: manifest.patch.as_ref().is_some_and(|patch| patch.replace != 0),
        enable: manifest.patch.as_ref().is_none_or(|patch| patch.enable),
        redirects,
        callbacks: manifest.objects.into_iter().flat_map(callbacks).collect(),
        states: manifest
            .states
            .into_iter()
            .map(state)
            .chain(manifest.natives.into_iter().map(native))
            .collect(),
        hooks: manifest.hooks.into_iter().map(|hook| hook.name().into()).collect(),
        shadows: manifest.shadows.into_iter().map(shadow).collect(),
    })
}

fn redirects(image: &Image<'_>, manifest: &Manifest) -> Result<Vec<Redirect>> {
    let (Some(start), Some(patch)) = (image.symbol(&start(Table::Funcs)), &manifest.patch) else {
        return Ok(Vec::new());
    };
    let entry = |index: usize| redirect(image, start.plus((index as u64).wrapping_mul(patch.entry_sizes[0])));
    let mut redirects: Vec<_> = (0..manifest.funcs.len()).map(entry).collect::<Result<_>>()?;
    for redirect in &mut redirects {
        redirect.calls_original = manifest.symbols.iter().any(|symbol| {
            symbol.kind == SymbolKind::Original
                && (&symbol.object, &symbol.symbol, symbol.sympos)
                    == (&redirect.object, &redirect.symbol, redirect.sympos)
        });
    }
    Ok(redirects)
}

fn redirect(image: &Image<'_>, entry: Place) -> Result<Redirect> {
    Ok(Redirect {
        calls_original: false,
        // Null for vmlinux.
        object: image.string(entry.plus(func_entry::OBJECT)).unwrap_or_else(|| VMLINUX.into()),
        symbol: image.string(entry.plus(func_entry::SYMBOL)).unwrap_or_default(),
        sympos: image.long(entry.plus(func_entry::SYMPOS))?,
        replacement: image.function(entry.plus(func_entry::REPLACEMENT)),
    })
}

fn state(state: manifest::State) -> State {
    let block_disable = state.flags & u64::from(STATE_BLOCK_DISABLE) != 0;
    State {
        id: state.id,
        version: state.version,
        name: Some(state.name),
        flags: block_disable.then(|| "block_disable".into()).into_iter().collect(),
        callbacks: state.callbacks,
    }
}

/// A state of the kernel's own table.
fn native(state: manifest::Native) -> State {
    let manifest::Native { id, version } = state;
    State { id, version, name: None, flags: vec!["native".into()], callbacks: Vec::new() }
}

fn shadow(shadow: manifest::Shadow) -> Shadow {
    let manifest::Shadow { id, state, name, of, sleepable, object, place: _ } = shadow;
    Shadow { id, state, name, of, sleepable, object }
}

fn callbacks(object: manifest::Object) -> impl Iterator<Item = Callback> {
    let manifest::Object { name, callbacks } = object;
    let callback = move |callback| Callback { object: name.clone(), callback, function: None };
    callbacks.into_iter().map(callback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use klp_runtime::abi;
    use std::mem::offset_of;

    #[test]
    fn the_runtime_has_the_same_layout() {
        assert_eq!(func_entry::OBJECT, offset_of!(abi::FuncEntry, object) as u64);
        assert_eq!(func_entry::SYMBOL, offset_of!(abi::FuncEntry, symbol) as u64);
        assert_eq!(func_entry::REPLACEMENT, offset_of!(abi::FuncEntry, replacement) as u64);
        assert_eq!(func_entry::SYMPOS, offset_of!(abi::FuncEntry, sympos) as u64);
    }
}
