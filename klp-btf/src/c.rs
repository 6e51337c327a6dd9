//! Types as C declares them.

use btf_rs::{BtfType, Type};

use crate::layout::Field;
use crate::{Prototype, Result, Types};

/// What stands for a structure, union or enumeration without a name, whose number this is.
type Anonymous = fn(&Types, &'static str, u32) -> Result<String>;

/// For people: that it has members.
fn elided(_: &Types, tag: &'static str, _: u32) -> Result<String> {
    Ok(format!("{tag} {{…}}"))
}

/// For a compiler: its members.
fn written(types: &Types, tag: &'static str, id: u32) -> Result<String> {
    Ok(format!("{tag} {}", types.c_members(id)?))
}

impl Types {
    /// The declaration of a function, as C has it.
    pub fn c_prototype(&self, prototype: &Prototype) -> Result<String> {
        self.nested(prototype.returns, || self.prototype_in_c(prototype))
    }

    fn prototype_in_c(&self, prototype: &Prototype) -> Result<String> {
        let mut parameters = Vec::new();
        for (name, id) in &prototype.parameters {
            parameters.push(self.c_declaration(*id, name)?);
        }
        if prototype.is_variadic {
            parameters.push("...".into());
        } else if parameters.is_empty() {
            parameters.push("void".into());
        }
        self.c_declaration(prototype.returns, &format!("{}({})", prototype.name, parameters.join(", ")))
    }

    /// The declaration of something of a type: its name, or none.
    pub fn c_declaration(&self, id: u32, declared: &str) -> Result<String> {
        self.declaration(id, declared, elided)
    }

    /// What C calls the type with a name; `None` where there is none.
    pub fn c_name(&self, name: &str) -> Option<String> {
        let id = self.find(name).ok()??;
        self.c_declaration(id, "").ok()
    }

    /// The definition of a structure, union or enumeration for a compiler, with room where BTF has a gap, so that each
    /// member has the offset that it has in the kernel; `None` for other types.
    ///
    /// Types of members are named: what has no name is written out.
    pub fn c_definition(&self, id: u32) -> Result<Option<String>> {
        let id = self.bare(id)?;
        let found = self.get(id)?;
        let tag = match &found {
            Type::Struct(_) => "struct",
            Type::Union(_) => "union",
            Type::Enum(_) | Type::Enum64(_) => "enum",
            _ => return Ok(None),
        };
        let packed = if self.is_packed(id)? { " __attribute__((packed))" } else { "" };
        Ok(Some(format!("{tag} {} {}{packed};\n", self.name(&found)?, self.c_members(id)?)))
    }

    /// What stands between the braces of a definition, with them.
    fn c_members(&self, id: u32) -> Result<String> {
        if let Some(enumerators) = self.enumerators(id)? {
            let lines = enumerators.iter().map(|(name, value)| format!("\t{name} = {value},\n"));
            return Ok(format!("{{\n{}}}", lines.collect::<String>()));
        }
        let Some(layout) = self.layout(id)? else { return Ok("{}".into()) };
        let mut members = String::new();
        let mut end = 0;
        for (index, field) in layout.fields.iter().enumerate() {
            if !layout.is_union {
                members.push_str(&self.gap(end, field, index)?);
            }
            let bits = field.bits.map(|bits| format!(" : {bits}")).unwrap_or_default();
            let member = self.declaration(field.id, &field.name, written)?.replace('\n', "\n\t");
            members.push_str(&format!("\t{member}{bits};\n"));
            end = field.offset + field.bits.map_or(self.size_of(field.id)? * 8, u64::from);
        }
        let rest = layout.size - end.div_ceil(8).min(layout.size);
        if rest > 0 && !layout.is_union {
            members.push_str(&format!("\tunsigned char __klp_end[{rest}];\n"));
        }
        Ok(format!("{{\n{members}}}"))
    }

    /// What fills the room before a member: whole bytes, then bits of a bit-field.
    fn gap(&self, end: u64, field: &Field, index: usize) -> Result<String> {
        let mut text = String::new();
        let mut end = end;
        let bytes = (field.offset / 8).saturating_sub(end.div_ceil(8));
        if bytes > 0 {
            text.push_str(&format!("\tunsigned char __klp_gap_{index}[{bytes}];\n"));
            end = field.offset / 8 * 8;
        }
        let bits = field.offset.saturating_sub(end);
        if field.bits.is_some() && bits > 0 {
            text.push_str(&format!("\t{} : {bits};\n", self.declaration(field.id, "", written)?));
        }
        Ok(text)
    }

    /// Whether a member of a structure is where the compiler would put it only without regard to alignment.
    fn is_packed(&self, id: u32) -> Result<bool> {
        let Some(layout) = self.layout(id)? else { return Ok(false) };
        for field in layout.fields.iter().filter(|field| field.bits.is_none()) {
            let is_scalar = matches!(
                self.get(self.bare(field.id)?)?,
                Type::Int(_) | Type::Ptr(_) | Type::Enum(_) | Type::Enum64(_)
            );
            if is_scalar && field.offset % (self.size_of(field.id)?.max(1) * 8) != 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn declaration(&self, id: u32, declared: &str, anonymous: Anonymous) -> Result<String> {
        self.nested(id, || self.declared_in_c(id, declared, anonymous))
    }

    fn declared_in_c(&self, id: u32, declared: &str, anonymous: Anonymous) -> Result<String> {
        let with = |base: &str| match declared {
            "" => base.to_owned(),
            _ => format!("{base} {declared}"),
        };
        let found = self.get(id)?;
        let name = self.name(&found)?;
        let tagged = |tag: &'static str| -> Result<String> {
            let tagged = if name.is_empty() { anonymous(self, tag, id)? } else { format!("{tag} {name}") };
            Ok(with(&tagged))
        };
        let inner = |referrer: &dyn BtfType| referrer.get_type_id().unwrap_or(0);
        Ok(match &found {
            Type::Void => with("void"),
            Type::Struct(_) => tagged("struct")?,
            Type::Union(_) => tagged("union")?,
            Type::Enum(_) | Type::Enum64(_) => tagged("enum")?,
            Type::Fwd(forward) => tagged(if forward.is_struct() { "struct" } else { "union" })?,
            Type::Ptr(pointer) => self.c_pointer(inner(pointer), "", declared, anonymous)?,
            Type::Const(qualified) => self.c_qualified("const", inner(qualified), declared, anonymous)?,
            Type::Volatile(qualified) => {
                self.c_qualified("volatile", inner(qualified), declared, anonymous)?
            }
            Type::Restrict(qualified) => {
                self.c_qualified("restrict", inner(qualified), declared, anonymous)?
            }
            Type::TypeTag(tag) => self.declaration(inner(tag), declared, anonymous)?,
            Type::Array(array) => {
                self.declaration(inner(array), &format!("{declared}[{}]", array.len()), anonymous)?
            }
            Type::FuncProto(prototype) => {
                let mut parameters = Vec::new();
                for parameter in &prototype.parameters {
                    parameters.push(if parameter.is_variadic() {
                        "...".into()
                    } else {
                        self.declaration(inner(parameter), &self.text(parameter)?, anonymous)?
                    });
                }
                let parameters = if parameters.is_empty() { "void".into() } else { parameters.join(", ") };
                self.declaration(prototype.return_type_id(), &format!("{declared}({parameters})"), anonymous)?
            }
            _ => with(&name),
        })
    }

    /// A pointer to a type, which may be qualified itself.
    fn c_pointer(
        &self,
        target: u32,
        qualifier: &str,
        declared: &str,
        anonymous: Anonymous,
    ) -> Result<String> {
        let space = if qualifier.is_empty() || declared.is_empty() { "" } else { " " };
        let declared = format!("*{qualifier}{space}{declared}");
        Ok(match self.get(target)? {
            Type::Array(_) | Type::FuncProto(_) => {
                self.declaration(target, &format!("({declared})"), anonymous)?
            }
            _ => self.declaration(target, &declared, anonymous)?,
        })
    }

    fn c_qualified(&self, qualifier: &str, id: u32, declared: &str, anonymous: Anonymous) -> Result<String> {
        match self.get(id)? {
            Type::Ptr(pointer) => {
                self.c_pointer(pointer.get_type_id().unwrap_or(0), qualifier, declared, anonymous)
            }
            _ => Ok(format!("{qualifier} {}", self.declaration(id, declared, anonymous)?)),
        }
    }
}
