//! The manifest of a patch: one line for each table entry that the macros emitted.
//!
//! The macros write it with the assembler, apart from the tables themselves, so that an entry
//! which the compiler or a linker dropped is noticed. It stands in a section of its own in the
//! object and the module, which is not loaded into the kernel.

use object::{Object, ObjectSection};
use serde::Serialize;

use crate::error::{Error, Result};

/// The section that holds it: as the macros name it, and as `klp.lds` does in an object or module.
pub const SECTIONS: [&str; 2] = ["klp_manifest", ".note.klp_manifest"];

/// What the macros emitted for a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The patch itself; absent where there is no `livepatch!`.
    pub patch: Option<Patch>,
    /// The redirected functions.
    pub funcs: Vec<Func>,
    /// The states.
    pub states: Vec<State>,
    /// The shadow variables.
    pub shadows: Vec<Shadow>,
    /// The symbols that the build is to find.
    pub symbols: Vec<Symbol>,
}

/// The line of `livepatch!`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// Whether it replaces all other patches.
    pub replace: bool,
    /// The version of the tables.
    pub abi_version: u32,
    /// Sizes of a function's, a state's and a shadow variable's entry, in bytes.
    pub entry_sizes: [u64; 3],
}

/// The line of a `#[klp_func]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Func {
    /// The object that has the function.
    pub object: String,
    /// The function that is redirected.
    pub symbol: String,
    /// Which of that name; 0 where it is unique.
    pub sympos: u64,
}

/// The line of a `#[klp_state]`, or of a `#[shadow]` with an id of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// The state's id.
    pub id: u64,
    /// The patch's version of it.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// The bits of `StateEntry::flags`.
    pub flags: u32,
    /// The callbacks that are written.
    pub callbacks: Vec<String>,
}

/// The line of a `#[shadow]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// The id in the kernel's shadow store.
    pub id: u64,
    /// The state that it lives as long as.
    pub state: u64,
    /// The type's name.
    pub name: String,
    /// The kernel type that it hangs on.
    pub of: String,
    /// Whether its destructor may sleep.
    pub sleepable: bool,
    /// The module with which it goes, if it is one for a module's objects.
    pub object: Option<String>,
}

/// The line of an item of `#[klp_symbols]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Symbol {
    /// The object that has it.
    pub object: String,
    /// Its name; without the compiler's suffix where it is found by a function.
    pub symbol: String,
    /// Which of that name; 0 where it is unique.
    pub sympos: u64,
    /// What it is used as.
    pub used_as: Use,
    /// The name that stands for it in the object file.
    #[serde(skip)]
    pub placeholder: String,
}

/// What a symbol is used as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Use {
    /// A function is called.
    Function,
    /// A variable is read or written.
    Variable,
    /// A variable in this function.
    StaticOf(String),
    /// The code of a function that is redirected is called, past the redirect.
    Original,
}

impl Use {
    fn parse(field: &str) -> Option<Self> {
        match field {
            "function" => Some(Self::Function),
            "variable" => Some(Self::Variable),
            "original" => Some(Self::Original),
            _ => Some(Self::StaticOf(field.strip_prefix("static_of:")?.into())),
        }
    }
}

impl Manifest {
    /// The manifest of an object file; empty where it has none.
    pub fn read(file: &object::File<'_>) -> Result<Self> {
        let mut manifest = Self::default();
        manifest.add_file(file)?;
        Ok(manifest)
    }

    /// Adds what an object file has.
    pub fn add_file(&mut self, file: &object::File<'_>) -> Result<()> {
        let is_manifest = |name: &str| SECTIONS.contains(&name);
        for section in file.sections().filter(|section| section.name().is_ok_and(is_manifest)) {
            self.add(section.data().map_err(Error::elf("read the manifest of the patch"))?)?;
        }
        Ok(())
    }

    /// Adds the lines of one section.
    fn add(&mut self, section: &[u8]) -> Result<()> {
        let text = String::from_utf8_lossy(section);
        for line in text.split('\0').filter(|line| !line.is_empty()) {
            self.add_line(line).ok_or_else(|| Error::Request {
                message: format!(
                    "the patch's manifest has a line that this cargo-klp does not know: {line:?}"
                ),
                help: "install the cargo-klp that belongs to the patch's klp-runtime".into(),
            })?;
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        match fields.next()? {
            "patch" => {
                let patch = Patch {
                    replace: flag(fields.next()?)?,
                    abi_version: fields.next()?.parse().ok()?,
                    entry_sizes: [number(&mut fields)?, number(&mut fields)?, number(&mut fields)?],
                };
                self.patch.is_none().then(|| self.patch = Some(patch))?;
            }
            "func" => self.funcs.push(Func {
                object: fields.next()?.into(),
                symbol: fields.next()?.into(),
                sympos: number(&mut fields)?,
            }),
            "state" => self.states.push(State {
                id: number(&mut fields)?,
                version: fields.next()?.parse().ok()?,
                name: fields.next()?.into(),
                flags: fields.next()?.parse().ok()?,
                callbacks: match fields.next()? {
                    "-" => Vec::new(),
                    names => names.split(',').map(str::to_owned).collect(),
                },
            }),
            "shadow" => self.shadows.push(Shadow {
                id: number(&mut fields)?,
                state: number(&mut fields)?,
                name: fields.next()?.into(),
                of: fields.next()?.into(),
                sleepable: flag(fields.next()?)?,
                object: match fields.next()? {
                    "-" => None,
                    object => Some(object.into()),
                },
            }),
            "symbol" => self.symbols.push(Symbol {
                object: fields.next()?.into(),
                symbol: fields.next()?.into(),
                sympos: number(&mut fields)?,
                used_as: Use::parse(fields.next()?)?,
                placeholder: fields.next()?.into(),
            }),
            _ => return None,
        }
        fields.next().is_none().then_some(())
    }

    /// The modules that shadow variables go with, each once.
    pub fn shadow_objects(&self) -> Vec<&str> {
        let mut objects: Vec<_> = self.shadows.iter().filter_map(|shadow| shadow.object.as_deref()).collect();
        objects.sort_unstable();
        objects.dedup();
        objects
    }

    /// Whether the patch needs the state engine: it has states or shadow variables, or replaces others.
    pub fn needs_engine(&self) -> bool {
        !self.states.is_empty()
            || !self.shadows.is_empty()
            || self.patch.as_ref().is_some_and(|patch| patch.replace)
    }
}

fn number<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<u64> {
    fields.next()?.parse().ok()
}

fn flag(field: &str) -> Option<bool> {
    match field {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_read() {
        let mut manifest = Manifest::default();
        manifest
            .add(
                b"patch\t1\t1\t32\t104\t72\0func\tvmlinux\tcmdline_proc_show\t0\0\
                  state\t7\t2\tLevel\t1\tpre_patch,post_unpatch\0state\t8\t1\tPlain\t0\t-\0\
                  shadow\t9\t7\tCounter\ttask_struct\t0\t-\0shadow\t10\t7\tMark\tnft_chain\t1\tnf_tables\0\
                  symbol\tvmlinux\tcount\t0\tstatic_of:f\t__klp_symbol\0symbol\txfs\tf\t2\tfunction\tp\0",
            )
            .unwrap();
        assert_eq!(manifest.patch.as_ref().unwrap().entry_sizes, [32, 104, 72]);
        assert_eq!(manifest.funcs[0].symbol, "cmdline_proc_show");
        assert_eq!(manifest.states[0].callbacks, ["pre_patch", "post_unpatch"]);
        assert!(manifest.states[1].callbacks.is_empty());
        assert_eq!((manifest.shadows[0].state, &manifest.shadows[0].object), (7, &None));
        assert_eq!(manifest.shadows[1].object.as_deref(), Some("nf_tables"));
        assert_eq!(manifest.shadow_objects(), ["nf_tables"]);
        assert_eq!(manifest.symbols[0].used_as, Use::StaticOf("f".into()));
        assert_eq!((manifest.symbols[1].sympos, &manifest.symbols[1].used_as), (2, &Use::Function));
        assert!(manifest.needs_engine());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "func\tvmlinux",
            "state\tx\t1\tA\t0\t-",
            "patch\t2\t1\t1\t1\t1",
            "other\t1",
            "func\ta\tb\t0\tc",
            "shadow\t9\t7\tC\tt\t0",
            "symbol\tvmlinux\tf\t0\tother\tp",
        ] {
            let error = Manifest::default().add(line.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("does not know"), "{line}: {error}");
        }
    }

    #[test]
    fn a_patch_of_functions_needs_no_engine() {
        let mut manifest = Manifest::default();
        manifest.add(b"patch\t0\t1\t32\t104\t72\0func\tvmlinux\tf\t0\0").unwrap();
        assert!(!manifest.needs_engine());
    }
}
