//! Types as C declares them.

use btf_rs::{BtfType, Type};

use crate::{Prototype, Result, Types};

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
        self.nested(id, || self.declared_in_c(id, declared))
    }

    fn declared_in_c(&self, id: u32, declared: &str) -> Result<String> {
        let with = |base: &str| match declared {
            "" => base.to_owned(),
            _ => format!("{base} {declared}"),
        };
        let found = self.get(id)?;
        let name = self.name(&found)?;
        let tagged = |tag: &str| match &*name {
            "" => with(&format!("{tag} {{…}}")),
            name => with(&format!("{tag} {name}")),
        };
        let inner = |referrer: &dyn BtfType| referrer.get_type_id().unwrap_or(0);
        Ok(match &found {
            Type::Void => with("void"),
            Type::Struct(_) => tagged("struct"),
            Type::Union(_) => tagged("union"),
            Type::Enum(_) | Type::Enum64(_) => tagged("enum"),
            Type::Fwd(forward) => tagged(if forward.is_struct() { "struct" } else { "union" }),
            Type::Ptr(pointer) => self.c_pointer(inner(pointer), "", declared)?,
            Type::Const(qualified) => self.c_qualified("const", inner(qualified), declared)?,
            Type::Volatile(qualified) => self.c_qualified("volatile", inner(qualified), declared)?,
            Type::Restrict(qualified) => self.c_qualified("restrict", inner(qualified), declared)?,
            Type::TypeTag(tag) => self.c_declaration(inner(tag), declared)?,
            Type::Array(array) => {
                self.c_declaration(inner(array), &format!("{declared}[{}]", array.len()))?
            }
            Type::FuncProto(prototype) => {
                let mut parameters = Vec::new();
                for parameter in &prototype.parameters {
                    parameters.push(if parameter.is_variadic() {
                        "...".into()
                    } else {
                        self.c_declaration(inner(parameter), &self.text(parameter)?)?
                    });
                }
                let parameters = if parameters.is_empty() { "void".into() } else { parameters.join(", ") };
                self.c_declaration(prototype.return_type_id(), &format!("{declared}({parameters})"))?
            }
            _ => with(&name),
        })
    }

    /// A pointer to a type, which may be qualified itself.
    fn c_pointer(&self, target: u32, qualifier: &str, declared: &str) -> Result<String> {
        let space = if qualifier.is_empty() || declared.is_empty() { "" } else { " " };
        let declared = format!("*{qualifier}{space}{declared}");
        Ok(match self.get(target)? {
            Type::Array(_) | Type::FuncProto(_) => self.c_declaration(target, &format!("({declared})"))?,
            _ => self.c_declaration(target, &declared)?,
        })
    }

    fn c_qualified(&self, qualifier: &str, id: u32, declared: &str) -> Result<String> {
        match self.get(id)? {
            Type::Ptr(pointer) => self.c_pointer(pointer.get_type_id().unwrap_or(0), qualifier, declared),
            _ => Ok(format!("{qualifier} {}", self.c_declaration(id, declared)?)),
        }
    }
}
