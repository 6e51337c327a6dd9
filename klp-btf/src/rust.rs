//! Writes types as Rust declares them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use btf_rs::{BtfType, Error, Type};

use crate::layout::{Field, Layout, PointerKind};
use crate::rust_text::{bit_field, constant, hidden, zeroed};
use crate::{Prototype, Result, TAKEN_TYPES, Types, identifier};

/// The start of the names that types without a name get.
const ANONYMOUS: &str = "anonymous_";

/// Writes Rust for the requested items, and in the end the declarations that they need.
pub struct Writer<'a> {
    types: &'a Types,
    /// The path before `c_int` and its like.
    ffi: &'static str,
    /// Types that are declared elsewhere, with their paths.
    known: BTreeMap<String, String>,
    /// Types that are only used by reference, with their rooms.
    opaque: BTreeMap<String, Option<Room>>,
    /// Enumerations, with their integer types.
    enums: BTreeMap<String, &'static str>,
    /// The names of the types that are declared.
    names: BTreeMap<u32, String>,
    /// Structures that the author wants some fields of, until they are declared.
    parts: BTreeMap<u32, Vec<Part>>,
    /// The constants that are declared.
    constants: BTreeSet<String>,
    declarations: String,
}

/// The signature of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The names and types of the parameters.
    pub parameters: Vec<(String, String)>,
    /// The return type, if any.
    pub returns: Option<String>,
}

/// The memory that a type takes.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) size: u64,
    pub(crate) align: u64,
}

/// The fields of a structure that an author wants.
struct Part {
    name: String,
    fields: Vec<Field>,
    attributes: String,
}

/// A field as Rust declares it.
struct Place {
    name: String,
    offset: u64,
    size: u64,
    ty: String,
}

impl<'a> Writer<'a> {
    /// A writer with the path before `c_int` and its like, and with the types that are declared elsewhere: their names,
    /// and the path before them.
    pub fn new<'k>(
        types: &'a Types,
        ffi: &'static str,
        known: impl IntoIterator<Item = &'k str>,
        path: &str,
    ) -> Self {
        Self {
            types,
            ffi,
            known: known.into_iter().map(|name| (name.to_owned(), format!("{path}{name}"))).collect(),
            opaque: BTreeMap::new(),
            enums: BTreeMap::new(),
            names: BTreeMap::new(),
            parts: BTreeMap::new(),
            constants: BTreeSet::new(),
            declarations: String::new(),
        }
    }

    /// Writes something whose types are those of other BTF, such as a compiler's, where types of the same name are the
    /// same: what it needs is declared as this writer's BTF has it.
    pub fn with_types<T>(
        &mut self,
        types: &Types,
        write: impl FnOnce(&mut Writer<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut other = Writer::new(types, self.ffi, [], "");
        other.known.clone_from(&self.known);
        let written = write(&mut other)?;
        for (name, room) in other.opaque {
            self.refer(name, room);
        }
        self.enums.extend(other.enums);
        for name in other.names.values().filter(|name| !name.starts_with(ANONYMOUS)) {
            let id = self
                .types
                .find(name)?
                .ok_or_else(|| Error::Format(format!("there is no `{name}`, which is passed by value")))?;
            self.value(id)?;
        }
        Ok(written)
    }

    /// Declares a structure or union that is only used by reference; `false` where there is none of this name.
    pub fn reference(&mut self, name: &str) -> Result<bool> {
        let Some(id) = self.types.find(name)? else { return Ok(false) };
        let is_aggregate = self.types.layout(id)?.is_some();
        if is_aggregate && !self.known.contains_key(name) {
            let room = self.room(id)?;
            self.refer(name.into(), room);
        }
        Ok(is_aggregate)
    }

    /// Notes that a type is used by reference, and its room where that is known.
    fn refer(&mut self, name: String, room: Option<Room>) {
        let known = self.opaque.entry(name).or_default();
        *known = known.or(room);
    }

    /// The room of a structure or union, `None` where this BTF only knows that there is such a type.
    fn room(&self, id: u32) -> Result<Option<Room>> {
        let Some(Layout { size, .. }) = self.types.layout(id)? else { return Ok(None) };
        Ok(Some(Room { size, align: self.types.align(id)? }))
    }

    /// The declarations of all types that were named.
    #[must_use]
    pub fn finish(self) -> String {
        let mut text = String::new();
        let is_declared = |name: &String| self.names.values().any(|declared| declared == name);
        for (name, room) in self.opaque.iter().filter(|(name, _)| !is_declared(name)) {
            let ident = identifier(name);
            text.push_str(&match room {
                Some(room) if !self.ffi.is_empty() => hidden(name, &ident, *room),
                _ => {
                    let path = if self.ffi.is_empty() { "" } else { "::klp_runtime::" };
                    format!(
                        "{path}opaque! {{\n    /// `{name}` of the kernel.\n    pub struct {ident};\n}}\n"
                    )
                }
            });
            text.push_str(&self.taken(name, &ident, ""));
        }
        for (name, integer) in &self.enums {
            let _ = write!(
                text,
                "\n/// `enum {name}` of the kernel.\n#[allow(dead_code, non_camel_case_types)]\npub type {} = {}{integer};\n",
                identifier(name),
                self.ffi
            );
        }
        text + &self.declarations
    }

    /// The same as items of `kernel_types!`, one a line, for the types with a name in BTF, and the declarations of the
    /// others. For types that are only used by reference, the author fills in the fields.
    pub fn items(mut self) -> Result<(Vec<String>, String)> {
        let types = self.types;
        let is_aggregate = |name: &str| match types.find(name)? {
            Some(id) => types.layout(id).map(|found| found.is_some()),
            None => Ok(false),
        };
        let mut items = Vec::new();
        let mut is_found = true;
        for name in self.names.values() {
            is_found &= is_aggregate(name)?;
        }
        // Types may contain each other, so either all are written this way or none.
        if is_found {
            let names = std::mem::take(&mut self.names).into_values();
            items.extend(names.map(|name| format!("struct {};", identifier(&name))));
            self.declarations.clear();
        }
        for (name, room) in std::mem::take(&mut self.opaque) {
            if is_aggregate(&name)? {
                items.push(format!("struct {} {{}}", identifier(&name)));
            } else {
                self.opaque.insert(name, room);
            }
        }
        items.extend(
            std::mem::take(&mut self.enums).into_keys().map(|name| format!("enum {};", identifier(&name))),
        );
        Ok((items, self.finish()))
    }

    /// The parameters of a function, each with a name, and its return type, if any.
    pub fn signature(&mut self, prototype: &Prototype) -> Result<Signature> {
        self.types.nested(prototype.returns, || self.signature_of(prototype))
    }

    fn signature_of(&mut self, prototype: &Prototype) -> Result<Signature> {
        let mut taken = BTreeSet::new();
        let mut parameters = Vec::new();
        for (number, (name, id)) in prototype.parameters.iter().enumerate() {
            let mut name = if name.is_empty() { format!("argument_{number}") } else { identifier(name) };
            while !taken.insert(name.clone()) {
                name = format!("{name}_{number}");
            }
            parameters.push((name, self.value(*id)?));
        }
        let returns = match self.types.get(self.types.bare(prototype.returns)?)? {
            Type::Void => None,
            _ => Some(self.value(prototype.returns)?),
        };
        Ok(Signature { parameters, returns })
    }

    /// A type that is used by value.
    pub fn value(&mut self, id: u32) -> Result<String> {
        self.types.nested(id, || self.value_of(id))
    }

    fn value_of(&mut self, id: u32) -> Result<String> {
        let types = self.types;
        let bare = types.bare(id)?;
        let found = types.get(bare)?;
        Ok(match &found {
            Type::Int(int) => {
                let integer = match (&*types.name(&found)?, int.is_bool(), int.is_signed(), int.size()) {
                    ("_Bool", ..) | (_, true, ..) => return Ok("bool".into()),
                    ("char", ..) => "c_char",
                    (_, _, true, 4) => "c_int",
                    (_, _, false, 4) => "c_uint",
                    (name, _, signed, size) => return Ok(self.integer(name, signed, size)),
                };
                format!("{}{integer}", self.ffi)
            }
            Type::Enum(list) => self.enumeration(&types.name(&found)?, list.is_signed(), list.size()),
            Type::Enum64(list) => self.enumeration("", list.is_signed(), list.size()),
            Type::Float(float) => format!("f{}", 8 * float.size()),
            Type::Ptr(pointer) => self.pointer(pointer.get_type_id().unwrap_or(0), None)?,
            Type::Array(array) => {
                format!("[{}; {}]", self.value(array.get_type_id().unwrap_or(0))?, array.len())
            }
            Type::Struct(_) | Type::Union(_) => self.aggregate(id, bare)?,
            _ => format!("{}c_void", self.ffi),
        })
    }

    /// An integer that is neither `int` nor `unsigned int`.
    fn integer(&self, name: &str, signed: bool, size: usize) -> String {
        let ffi = match (name, signed) {
            ("long int", _) => "c_long",
            ("long unsigned int", _) => "c_ulong",
            ("long long int", _) => "c_longlong",
            ("long long unsigned int", _) => "c_ulonglong",
            _ => return format!("{}{}", if signed { 'i' } else { 'u' }, 8 * size),
        };
        format!("{}{ffi}", self.ffi)
    }

    fn enumeration(&mut self, name: &str, signed: bool, size: usize) -> String {
        let integer = match (size, signed) {
            (4, false) => "c_uint",
            (4, true) => "c_int",
            _ => return self.integer("", signed, size),
        };
        if name.is_empty() {
            return format!("{}{integer}", self.ffi);
        }
        if !self.known.contains_key(name) {
            self.enums.insert(name.into(), integer);
        }
        identifier(name)
    }

    /// A pointer to a type, of the kind that the author says or BTF has.
    fn pointer(&mut self, target: u32, said: Option<PointerKind>) -> Result<String> {
        let types = self.types;
        let found = types.get(types.bare(target)?)?;
        if let Type::FuncProto(prototype) = &found {
            let mut parameters = Vec::new();
            for parameter in &prototype.parameters {
                parameters.push(if parameter.is_variadic() {
                    "...".into()
                } else {
                    self.value(parameter.get_type_id().unwrap_or(0))?
                });
            }
            let returns = match types.get(types.bare(prototype.return_type_id())?)? {
                Type::Void => String::new(),
                _ => format!(" -> {}", self.value(prototype.return_type_id())?),
            };
            return Ok(format!("Option<unsafe extern \"C\" fn({}){returns}>", parameters.join(", ")));
        }
        let target_text = match &found {
            Type::Struct(_) | Type::Union(_) | Type::Fwd(_) => {
                let name = self.types.called(target)?;
                if name.is_empty() {
                    format!("{}c_void", self.ffi)
                } else {
                    match self.known.get(&name) {
                        Some(path) => path.clone(),
                        None => {
                            // What one file of the kernel only declares, another one may define.
                            let room = match types.find(&name)? {
                                Some(defined) if matches!(found, Type::Fwd(_)) => self.room(defined)?,
                                _ => self.room(target)?,
                            };
                            self.refer(name.clone(), room);
                            identifier(&name)
                        }
                    }
                }
            }
            Type::Void => format!("{}c_void", self.ffi),
            _ => self.value(target)?,
        };
        let mutability = if types.is_const(target)? { "const" } else { "mut" };
        let plain = format!("*{mutability} {target_text}");
        let kind = match said {
            None => types.pointer_kind(target)?,
            said => said,
        };
        // Source that an author is to have names nothing of the runtime.
        Ok(kind.filter(|_| !self.ffi.is_empty()).map_or_else(|| plain.clone(), |kind| kind.rust(&plain)))
    }

    /// A structure or union that is used by value and declared in full.
    fn aggregate(&mut self, id: u32, bare: u32) -> Result<String> {
        if let Some(name) = self.names.get(&bare) {
            return Ok(identifier(name));
        }
        // Several may share a name, each under a `#[cfg]` of its own.
        let mut declared = None;
        for part in self.parts.remove(&bare).into_iter().flatten() {
            declared = Some(self.declare(bare, part.name, Some(part.fields), &part.attributes)?);
        }
        if let Some(declared) = declared {
            return Ok(declared);
        }
        let name = match self.types.called(id)? {
            name if name.is_empty() => format!("{ANONYMOUS}{bare}"),
            name => name,
        };
        self.declare(bare, name, None, "")
    }

    /// Declares an enumeration under a name, with its enumerators as constants.
    pub fn constants(&mut self, name: &str, id: u32) -> Result<Option<String>> {
        let types = self.types;
        let Some(enumerators) = types.enumerators(id)? else { return Ok(None) };
        let integer = self.enumerators_type(id)?;
        let ident = identifier(name);
        let mut text = format!(
            "\n/// `{name}` of the kernel.\n#[allow(dead_code, non_camel_case_types)]\npub type {ident} = {integer};\n"
        );
        for (enumerator, value) in enumerators {
            if self.constants.insert(enumerator.clone()) {
                text.push_str(&constant(&enumerator, &ident, value));
            }
        }
        self.enums.remove(name);
        self.known.insert(name.into(), ident.clone());
        self.declarations.push_str(&text);
        Ok(Some(ident))
    }

    /// Declares one enumerator as a constant.
    pub fn constant(&mut self, name: &str, id: u32, value: i128) -> Result<()> {
        let integer = self.enumerators_type(id)?;
        if self.constants.insert(name.into()) {
            self.declarations.push_str(&constant(name, &integer, value));
        }
        Ok(())
    }

    /// The integer type of an enumeration.
    fn enumerators_type(&mut self, id: u32) -> Result<String> {
        let (signed, size) = match self.types.get(self.types.bare(id)?)? {
            Type::Enum(list) => (list.is_signed(), list.size()),
            Type::Enum64(list) => (list.is_signed(), list.size()),
            _ => (false, 4),
        };
        Ok(self.enumeration("", signed, size))
    }

    /// Declares a function, as an item of an `extern` block.
    pub fn function(&mut self, prototype: &Prototype) -> Result<String> {
        let Signature { parameters, returns } = self.signature(prototype)?;
        let mut declared: Vec<_> = parameters.iter().map(|(name, ty)| format!("{name}: {ty}")).collect();
        if prototype.is_variadic {
            declared.push("...".into());
        }
        let returns = returns.map(|ty| format!(" -> {ty}")).unwrap_or_default();
        Ok(format!("pub fn {}({}){returns};", identifier(&prototype.name), declared.join(", ")))
    }

    /// Declares a structure or union in full, under its own name; with attributes, such as `#[cfg(…)]`.
    pub fn whole(&mut self, name: &str, id: u32, attributes: &str) -> Result<String> {
        let bare = self.types.bare(id)?;
        match self.names.get(&bare) {
            Some(name) => Ok(identifier(name)),
            None => self.types.nested(id, || self.declare(bare, name.into(), None, attributes)),
        }
    }

    /// Reserves a structure with some of its fields, each by its name and offset, to be declared when it is first
    /// needed. Call this before anything else is declared, as other types may contain the structure.
    pub fn reserve_part(&mut self, name: &str, id: u32, fields: Vec<Field>, attributes: &str) -> Result<()> {
        let part = Part { name: name.into(), fields, attributes: attributes.into() };
        self.parts.entry(self.types.bare(id)?).or_default().push(part);
        Ok(())
    }

    /// Declares a structure that was reserved.
    pub fn part(&mut self, id: u32) -> Result<String> {
        let bare = self.types.bare(id)?;
        self.types.nested(id, || self.aggregate(id, bare))
    }

    fn declare(
        &mut self,
        bare: u32,
        mut name: String,
        part: Option<Vec<Field>>,
        attributes: &str,
    ) -> Result<String> {
        let own = name.clone();
        // Two types may share a name, if parts of the kernel differ.
        let is_taken = self.names.iter().any(|(other, taken)| *other != bare && *taken == name);
        if is_taken || self.known.contains_key(&name) {
            name = format!("{name}_{bare}");
        }
        self.names.insert(bare, name.clone());
        let Some(Layout { size, is_union, fields }) = self.types.layout(bare)? else { return Ok(name) };
        let is_union = is_union && part.is_none();
        let align = self.types.align(bare)?;
        let mut text = String::new();
        let mut methods = String::new();
        let mut places = Vec::new();
        for (number, field) in part.unwrap_or(fields).into_iter().enumerate() {
            if field.bits.is_some() {
                if !field.name.is_empty() {
                    methods.push_str(&bit_field(&field));
                }
                continue;
            }
            let place = self.place(&field, number, align)?;
            places.push(place);
        }
        places.sort_by_key(|place| (place.offset, place.size));
        let ident = identifier(&name);
        let keyword = if is_union { "union" } else { "struct" };
        let _ = write!(
            text,
            "\n/// `{name}` of the kernel.\n{attributes}\n#[repr(C, align({align}))]\n#[derive(Clone, Copy)]\n\
             #[allow(dead_code, non_camel_case_types, non_snake_case, clippy::all)]\npub {keyword} {ident} {{\n"
        );
        let mut end = 0;
        for (number, Place { name, offset, size, ty }) in places.iter().enumerate() {
            if *offset > end && !is_union {
                let _ =
                    writeln!(text, "    #[doc(hidden)]\n    pub __padding_{number}: [u8; {}],", offset - end);
            }
            let _ = writeln!(text, "    /// At the offset {offset}.\n    pub {name}: {ty},");
            end = offset + size;
        }
        if is_union {
            let _ = writeln!(text, "    __size: [u8; {size}],");
        } else if end < size || places.is_empty() {
            // Also where C has nothing in it: rustc has a warning for a structure without fields that C passes.
            let _ = writeln!(text, "    #[doc(hidden)]\n    pub __padding: [u8; {}],", size - end);
        }
        text.push_str("}\n");
        if !methods.is_empty() {
            let _ = write!(text, "\n{attributes}\nimpl {ident} {{{methods}}}\n");
        }
        if !is_union {
            text.push_str(&zeroed(&ident, attributes));
            if !self.ffi.is_empty() {
                let _ = writeln!(
                    text,
                    "{attributes}\nunsafe impl ::klp_runtime::alloc::Zeroable for {ident} {{}}"
                );
            }
        }
        text.push_str(&self.taken(&own, &ident, attributes));
        let _ = write!(
            text,
            "{attributes}\nconst _: () = {{\n    assert!(::core::mem::size_of::<{ident}>() == {size});\n"
        );
        for Place { name, offset, .. } in &places {
            let _ = writeln!(text, "    assert!(::core::mem::offset_of!({ident}, {name}) == {offset});");
        }
        text.push_str("};\n");
        self.declarations.push_str(&text);
        Ok(ident)
    }

    /// What says that a type declared here is the kernel's, where functions of the runtime take that.
    fn taken(&self, name: &str, ident: &str, attributes: &str) -> String {
        match TAKEN_TYPES.iter().find(|(taken, _)| *taken == name) {
            // Source that an author is to have names nothing of the runtime.
            Some((_, known)) if !self.ffi.is_empty() => format!(
                "\n{attributes}\n\
                 unsafe impl ::klp_runtime::types::Is<::klp_runtime::types::{known}> for {ident} {{}}\n"
            ),
            _ => String::new(),
        }
    }

    /// A field in a structure with an alignment: as bytes if its type can't be at that offset.
    fn place(&mut self, field: &Field, number: usize, align: u64) -> Result<Place> {
        let (offset, size) = (field.offset / 8, self.types.size_of(field.id)?);
        let own = self.types.align(field.id)?;
        let name =
            if field.name.is_empty() { format!("__anonymous_{number}") } else { identifier(&field.name) };
        let is_aligned = own <= align && offset % own == 0;
        let ty = match (field.pointer, self.types.get(self.types.bare(field.id)?)?) {
            _ if !is_aligned => format!("[u8; {size}]"),
            (said @ Some(_), Type::Ptr(pointer)) => self.pointer(pointer.get_type_id().unwrap_or(0), said)?,
            _ => self.value(field.id)?,
        };
        Ok(Place { name, offset, size, ty })
    }
}
