//! Methods that become callbacks: of states and of objects.

use syn::{FnArg, ImplItemFn, ImplItemMacro, Safety, Signature, Type};

use quote::quote;

use crate::diagnostics::{Diagnostics, Reported, list, nearest};
use crate::emit::cfgs;

/// A callback that an implementation may have.
pub(crate) struct Callback {
    /// The method's name.
    pub(crate) name: &'static str,
    /// As one writes it, from `fn` on.
    pub(crate) signature: &'static str,
    /// How many parameters.
    pub(crate) parameters: usize,
    /// What it does where it succeeds; none for a callback that can't fail.
    pub(crate) fallible: Option<&'static str>,
}

/// What has callbacks.
pub(crate) struct Owner {
    /// In words, with its article.
    pub(crate) what: &'static str,
    /// Those that it may have, in the order of its table's entry.
    pub(crate) callbacks: &'static [Callback],
}

/// Refuses a macro in the block: the attribute comes before it is expanded, so what it gives would be in no table.
pub(crate) fn refuse_macro(diagnostics: &mut Diagnostics, call: &ImplItemMacro) {
    let message = "the callbacks that a macro gives here would never be called: write them out, or let a macro write \
                   the whole block with its attribute";
    diagnostics.error(&call.mac, message);
}

impl Owner {
    /// Checks that a method is a callback, and returns which.
    pub(crate) fn check_method(
        &self,
        diagnostics: &mut Diagnostics,
        method: &ImplItemFn,
    ) -> Result<&'static str, Reported> {
        let sig = &method.sig;
        let name = sig.ident.to_string();
        let names = || self.callbacks.iter().map(|callback| callback.name);
        let what = self.what;
        let Some(callback) = self.callbacks.iter().find(|callback| callback.name == name) else {
            let known = list(names());
            let message = match nearest(&name, names()) {
                Some(nearest) => {
                    format!(
                        "{what} has no callback `{name}`: did you mean `{nearest}`? The callbacks are {known}"
                    )
                }
                None => format!(
                    "{what} has no callback `{name}`: the callbacks are {known}. Write other functions outside of the block"
                ),
            };
            return Err(diagnostics.error(&sig.ident, message));
        };
        self.check_signature(diagnostics, sig, callback)?;
        if let Some(cfg) = cfgs(&method.attrs).first() {
            return Err(diagnostics.error(
                cfg,
                "a callback must not have a `#[cfg]`, which is evaluated after the attribute: put it into the body, or above the whole block",
            ));
        }
        Ok(callback.name)
    }

    fn check_signature(
        &self,
        diagnostics: &mut Diagnostics,
        sig: &Signature,
        callback: &Callback,
    ) -> Result<(), Reported> {
        let right = format!("write `{}`", callback.signature);
        if let Some(receiver) = sig.receiver() {
            let message = format!("{} has no value, so a callback must not take `self`: {right}", self.what);
            return Err(diagnostics.error(receiver, message));
        }
        if let Some(asyncness) = &sig.asyncness {
            return Err(diagnostics.error(asyncness, format!("a callback must not be `async`: {right}")));
        }
        if let Some(constness) = &sig.constness {
            return Err(diagnostics.error(constness, format!("a callback must not be `const`: {right}")));
        }
        if let Safety::Unsafe(safety) = &sig.safety {
            return Err(diagnostics.error(safety, format!("a callback must not be `unsafe`: {right}")));
        }
        if let Some(abi) = &sig.abi {
            let message = format!("a callback must be an ordinary Rust function: {right}");
            return Err(diagnostics.error(abi, message));
        }
        if let Some(parameter) = sig.generics.type_params().next() {
            return Err(diagnostics.error(parameter, format!("a callback must not be generic: {right}")));
        }
        if let Some(parameter) = sig.generics.const_params().next() {
            return Err(diagnostics.error(parameter, format!("a callback must not be generic: {right}")));
        }
        if sig.inputs.len() != callback.parameters {
            let message = format!(
                "`{}` takes {}; this one takes {}: {right}",
                callback.name,
                parameters(callback.parameters),
                sig.inputs.len()
            );
            let extra: Vec<&FnArg> = sig.inputs.iter().skip(callback.parameters).collect();
            return Err(if extra.is_empty() {
                diagnostics.error_at(sig.paren_token.span.join(), message)
            } else {
                diagnostics.error(quote!(#(#extra),*), message)
            });
        }
        match (&sig.output, callback.fallible) {
            (syn::ReturnType::Default, Some(does)) => Err(diagnostics.error(
                &sig.ident,
                format!(
                    "`{}` must return a result, as it {does} or refuses the patch: {right}",
                    callback.name
                ),
            )),
            (syn::ReturnType::Type(_, ty), None) if !is_unit(ty) => Err(diagnostics.error(
                ty,
                format!("`{}` must not return a value, as it can't fail: {right}", callback.name),
            )),
            _ => Ok(()),
        }
    }
}

fn parameters(number: usize) -> String {
    if number == 1 { "1 parameter".to_owned() } else { format!("{number} parameters") }
}

/// Whether it is `()`.
pub(crate) fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty())
}
