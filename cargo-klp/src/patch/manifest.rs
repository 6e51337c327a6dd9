//! The manifest of a patch: one line for each table entry that the macros emitted.
//!
//! The macros write it with the assembler, apart from the tables themselves, so that an entry
//! which the compiler or a linker dropped is noticed. It stands in a section of its own in the
//! object and the module, which is not loaded into the kernel.

use std::path::PathBuf;

use klp_btf::Class;
use object::{Object as _, ObjectSection};
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
    /// The objects with callbacks.
    pub objects: Vec<Object>,
    /// The states of the kernel's own table.
    pub natives: Vec<Native>,
    /// The hooks: `init`, `exit`.
    pub hooks: Vec<String>,
    /// The module parameters.
    pub params: Vec<Param>,
    /// The symbols that the build is to find.
    pub symbols: Vec<Symbol>,
    /// The kernel types that were made for one kernel.
    #[serde(skip)]
    pub bindings: Vec<Binding>,
}

/// The line of `livepatch!`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// Whether it replaces all other patches.
    pub replace: bool,
    /// Whether it is enabled when it is loaded.
    pub enable: bool,
    /// The version of the tables.
    pub abi_version: u32,
    /// The size in bytes of an entry of each of the [tables](Manifest::tables), in their order.
    pub entry_sizes: [u64; 6],
}

/// One of a patch's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// What its entries are.
    pub what: &'static str,
    /// Its name, as the linker bounds it.
    pub name: &'static str,
    /// How many entries the macros emitted.
    pub emitted: u64,
    /// The size of one, in bytes.
    pub entry_size: u64,
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
    /// Where it stands in the source, `file:line:column`.
    #[serde(skip)]
    pub place: Option<String>,
    /// What the replacement returns, and its parameters; empty where nothing is to be checked.
    #[serde(skip)]
    pub signature: Vec<Passed>,
}

/// The return value or a parameter of a replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its kind and size.
    pub class: Class,
    /// Where it stands in the file, `line:column`.
    pub place: String,
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
    /// Where the kernel type stands in the source, `file:line:column`.
    #[serde(skip)]
    pub place: Option<String>,
}

/// The line of a `#[klp_object]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    /// The module, or `vmlinux`.
    pub name: String,
    /// The callbacks that are written.
    pub callbacks: Vec<String>,
}

/// The line of a `#[klp_state(native)]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Native {
    /// The state's id in the kernel's own table.
    pub id: u64,
    /// The patch's version of it.
    pub version: u32,
}

/// The kernel's types of module parameters, by the numbers of `klp_runtime::param`.
pub const PARAM_TYPES: [&str; 11] =
    ["byte", "short", "ushort", "int", "uint", "long", "ulong", "bool", "invbool", "hexint", "charp"];

/// The line of a `#[klp_param]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// One of [`PARAM_TYPES`].
    pub kind: &'static str,
    /// How many values there may be; 0 for one that is no array.
    pub len: u64,
    /// The permissions of its file in sysfs, 0 for no file.
    pub permissions: u32,
    /// What it is for; may be empty.
    pub description: String,
}

/// The line of an item of `kernel_types!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// The object whose types it is one of.
    pub object: String,
    /// The file of BTF that says what it is.
    pub btf: PathBuf,
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
    /// The patch's tables; all of them empty where there is no `livepatch!`.
    pub fn tables(&self) -> [Table; 6] {
        let sizes = self.patch.as_ref().map_or([1; 6], |patch| patch.entry_sizes);
        let table = |index: usize, what, name, emitted: usize| Table {
            what,
            name,
            emitted: emitted as u64,
            entry_size: sizes[index].max(1),
        };
        [
            table(0, "functions", "klp_funcs", self.funcs.len()),
            table(1, "states", "klp_states", self.states.len()),
            table(2, "shadow variables", "klp_shadows", self.shadows.len()),
            table(3, "objects", "klp_objects", self.objects.len()),
            table(4, "native states", "klp_natives", self.natives.len()),
            table(5, "hooks", "klp_hooks", self.hooks.len()),
        ]
    }

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
                    enable: flag(fields.next()?)?,
                    abi_version: fields.next()?.parse().ok()?,
                    entry_sizes: {
                        let mut sizes = [0; 6];
                        for size in &mut sizes {
                            *size = number(&mut fields)?;
                        }
                        sizes
                    },
                };
                self.patch.is_none().then(|| self.patch = Some(patch))?;
            }
            "func" => self.funcs.push(Func {
                object: fields.next()?.into(),
                symbol: fields.next()?.into(),
                sympos: number(&mut fields)?,
                place: place(&mut fields),
                signature: signature(&mut fields)?,
            }),
            "state" => self.states.push(State {
                id: number(&mut fields)?,
                version: fields.next()?.parse().ok()?,
                name: fields.next()?.into(),
                flags: fields.next()?.parse().ok()?,
                callbacks: names(fields.next()?),
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
                place: place(&mut fields),
            }),
            "object" => {
                let name = fields.next()?.into();
                self.objects.push(Object { name, callbacks: names(fields.next()?) });
            }
            "native" => {
                self.natives.push(Native { id: number(&mut fields)?, version: fields.next()?.parse().ok()? })
            }
            "hook" => self.hooks.push(fields.next()?.into()),
            "param" => self.params.push(Param {
                name: fields.next()?.into(),
                kind: PARAM_TYPES.get(usize::try_from(number(&mut fields)?).ok()?)?,
                len: number(&mut fields)?,
                permissions: fields.next()?.parse().ok()?,
                description: fields.next()?.into(),
            }),
            "symbol" => self.symbols.push(Symbol {
                object: fields.next()?.into(),
                symbol: fields.next()?.into(),
                sympos: number(&mut fields)?,
                used_as: Use::parse(fields.next()?)?,
                placeholder: fields.next()?.into(),
            }),
            "binding" => {
                self.bindings.push(Binding {
                    name: fields.next()?.into(),
                    object: fields.next()?.into(),
                    btf: fields.next()?.into(),
                });
            }
            _ => return None,
        }
        fields.next().is_none().then_some(())
    }

    /// Whether the patch may need the state engine: it has states or shadow variables, or replaces others,
    /// as an init hook may decide.
    pub fn needs_engine(&self) -> bool {
        !self.states.is_empty()
            || !self.shadows.is_empty()
            || self.hooks.iter().any(|hook| hook == "init")
            || self.patch.as_ref().is_some_and(|patch| patch.replace)
    }
}

/// Names with commas between them; `-` for none.
fn names(field: &str) -> Vec<String> {
    match field {
        "-" => Vec::new(),
        names => names.split(',').map(str::to_owned).collect(),
    }
}

/// Where something stands, if the compiler said it.
fn place<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    fields.next().filter(|place| *place != "-").map(str::to_owned)
}

/// The places of all parts of a signature, then a number for each.
fn signature<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Vec<Passed>> {
    let places = fields.next().unwrap_or_default().split(',');
    let classes = fields.by_ref().map(|field| Class::decode(field.parse().ok()?));
    classes.zip(places).map(|(class, place)| Some(Passed { class: class?, place: place.into() })).collect()
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
    use klp_btf::Kind;

    #[test]
    fn every_kind_of_line_is_read() {
        let mut manifest = Manifest::default();
        manifest
            .add(
                b"patch\t1\t1\t1\t32\t104\t72\t40\t16\t16\0func\tvmlinux\tcmdline_proc_show\t0\0\
                  state\t7\t2\tLevel\t1\tpre_patch,post_unpatch\0state\t8\t1\tPlain\t0\t-\0\
                  shadow\t9\t7\tCounter\ttask_struct\t0\t-\0shadow\t10\t7\tMark\tnft_chain\t1\tnf_tables\0\
                  object\tnf_tables\tpre_patch\0native\t1\t3\0hook\texit\0\
                  param\ttries\t3\t0\t420\tHow often\0param\tpids\t4\t16\t0\t\0\
                  symbol\tvmlinux\tcount\t0\tstatic_of:f\t__klp_symbol\0symbol\txfs\tf\t2\tfunction\tp\0\
                  func\txfs\tf\t2\tsrc/lib.rs:3:1\t4:9,5:7\t1129\t2160\0",
            )
            .unwrap();
        assert_eq!(manifest.patch.as_ref().unwrap().entry_sizes, [32, 104, 72, 40, 16, 16]);
        assert_eq!(manifest.funcs[0].symbol, "cmdline_proc_show");
        assert_eq!(manifest.states[0].callbacks, ["pre_patch", "post_unpatch"]);
        assert!(manifest.states[1].callbacks.is_empty());
        assert_eq!((manifest.shadows[0].state, &manifest.shadows[0].object), (7, &None));
        assert_eq!(manifest.shadows[1].object.as_deref(), Some("nf_tables"));
        assert_eq!(manifest.objects[0].callbacks, ["pre_patch"]);
        assert_eq!(manifest.natives, [Native { id: 1, version: 3 }]);
        assert_eq!(manifest.hooks, ["exit"]);
        let [tries, pids] = &manifest.params[..] else { panic!("{:?}", manifest.params) };
        assert_eq!(
            (tries.kind, tries.len, tries.permissions, &*tries.description),
            ("int", 0, 0o644, "How often")
        );
        assert_eq!((pids.kind, pids.len, &*pids.description), ("uint", 16, ""));
        assert_eq!(manifest.tables().map(|table| table.emitted), [2, 2, 2, 1, 1, 1]);
        assert_eq!(manifest.symbols[0].used_as, Use::StaticOf("f".into()));
        assert_eq!((manifest.symbols[1].sympos, &manifest.symbols[1].used_as), (2, &Use::Function));
        assert!(manifest.needs_engine());
        let described = &manifest.funcs[1];
        assert_eq!(described.place.as_deref(), Some("src/lib.rs:3:1"));
        let int = Passed { class: Class { kind: Kind::Signed, size: 4 }, place: "4:9".into() };
        let pointer = Passed { class: Class { kind: Kind::Pointer, size: 8 }, place: "5:7".into() };
        assert_eq!(described.signature, [int, pointer]);
        assert!(manifest.funcs[0].signature.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "func\tvmlinux",
            "state\tx\t1\tA\t0\t-",
            "patch\t2\t1\t1\t1\t1\t1\t1\t1\t1",
            "param\tx\t11\t0\t0\t",
            "other\t1",
            "func\ta\tb\t0\tc\t1:1\tx",
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
        manifest.add(b"patch\t0\t1\t1\t32\t104\t72\t40\t16\t16\0func\tvmlinux\tf\t0\0").unwrap();
        assert!(!manifest.needs_engine());
        manifest.add(b"hook\texit\0").unwrap();
        assert!(!manifest.needs_engine());
        manifest.add(b"hook\tinit\0").unwrap();
        assert!(manifest.needs_engine());
    }
}
