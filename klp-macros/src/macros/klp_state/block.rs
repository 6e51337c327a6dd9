//! What stands in an `impl State`, and what the attribute adds.

use quote::{ToTokens, quote};
use syn::{ImplItem, ImplItemFn, ItemImpl, Type};

use super::migration::MIGRATE;
use crate::check::callback::{Callback, Owner, is_unit, refuse_macro};
use crate::diagnostics::{Diagnostics, Reported};

/// In the order of `StateEntry`.
pub(super) const CALLBACKS: &[Callback] = &[
    Callback {
        name: "pre_patch",
        signature: "fn pre_patch(cx: &StateContext<'_>) -> Result<Self::Data>",
        parameters: 1,
        fallible: Some("makes the state's data"),
    },
    Callback {
        name: "post_patch",
        signature: "fn post_patch(cx: &StateContext<'_>, data: &Self::Data)",
        parameters: 2,
        fallible: None,
    },
    Callback {
        name: "pre_unpatch",
        signature: "fn pre_unpatch(cx: &StateContext<'_>, data: &Self::Data)",
        parameters: 2,
        fallible: None,
    },
    Callback {
        name: "post_unpatch",
        signature: "fn post_unpatch(cx: &StateContext<'_>, data: &Self::Data)",
        parameters: 2,
        fallible: None,
    },
    Callback {
        name: "take_over",
        signature: "fn take_over(cx: &StateContext<'_>, data: &Self::Data, from: u32)",
        parameters: 3,
        fallible: None,
    },
    Callback {
        name: MIGRATE,
        signature: "fn migrate(cx: &StateContext<'_>, old: &OldData) -> Result<Self::Data>",
        parameters: 2,
        fallible: Some("makes the new data"),
    },
];

/// How the messages about a method begin.
const STATE: Owner = Owner { what: "a state", callbacks: CALLBACKS };

/// What the attribute inserts, and what to say to one who wrote it.
const INSERTED: &[(&str, &str)] = &[
    ("ID", "the attribute writes `ID`: leave it out, and write `id = …` there"),
    ("VERSION", "the attribute writes `VERSION`: leave it out, and write `version = …` there"),
    ("NAME", "the attribute writes `NAME`: leave it out, and write `name = \"…\"` there"),
];

/// Checks what stands in the block; returns the callbacks that are there.
pub(super) fn check_items(diagnostics: &mut Diagnostics, block: &mut ItemImpl) -> Vec<&'static str> {
    let mut callbacks = Vec::new();
    // Also those whose signature is wrong.
    let mut has_pre_patch = false;
    let mut data = None;
    block.items.retain(|item| match item {
        ImplItem::Fn(method) => {
            has_pre_patch |= method.sig.ident == "pre_patch";
            match STATE.check_method(diagnostics, method) {
                Ok(callback) => {
                    callbacks.push(callback);
                    true
                }
                Err(Reported { .. }) => false,
            }
        }
        ImplItem::Type(ty) if ty.ident == "Data" => {
            data = Some(ty.ty.clone());
            true
        }
        ImplItem::Type(ty) => {
            let message = format!("`State` has no type `{}`: only `type Data = …`", ty.ident);
            diagnostics.error(&ty.ident, message);
            false
        }
        ImplItem::Const(constant) => {
            let name = constant.ident.to_string();
            let message = INSERTED.iter().find(|(inserted, _)| *inserted == name).map_or_else(
                || format!("`State` has no constant `{name}`: write it outside of the block"),
                |(_, message)| (*message).to_owned(),
            );
            diagnostics.error(&constant.ident, message);
            false
        }
        ImplItem::Macro(call) => {
            refuse_macro(diagnostics, call);
            false
        }
        _ => true,
    });
    if let Some(data) = data.filter(|data| !has_pre_patch && !is_unit(data)) {
        let data = data.to_token_stream();
        diagnostics.error(
            &data,
            format!(
                "nothing makes the data: write `fn pre_patch(cx: &StateContext<'_>) -> Result<{data}>` too"
            ),
        );
    }
    CALLBACKS.iter().map(|callback| callback.name).filter(|name| callbacks.contains(name)).collect()
}

/// What the author wrote for `type Data`.
pub(super) fn data_type(block: &ItemImpl) -> Option<&Type> {
    block.items.iter().find_map(|item| match item {
        ImplItem::Type(ty) if ty.ident == "Data" => Some(&ty.ty),
        _ => None,
    })
}

/// Whether the block has a method of this name, well written or not.
pub(super) fn has_method(block: &ItemImpl, name: &str) -> bool {
    block.items.iter().any(|item| matches!(item, ImplItem::Fn(method) if method.sig.ident == name))
}

/// Takes `migrate` out of the block: it belongs to another trait.
pub(super) fn take_migrate(block: &mut ItemImpl) -> Option<ImplItemFn> {
    let is_migrate = |item: &ImplItem| matches!(item, ImplItem::Fn(method) if method.sig.ident == MIGRATE);
    let index = block.items.iter().position(is_migrate)?;
    match block.items.remove(index) {
        ImplItem::Fn(method) => Some(method),
        _ => unreachable!("it was looked for"),
    }
}

/// Adds the type of the data where it was left out: Rust has no default for it.
pub(super) fn complete(block: &mut ItemImpl) {
    if data_type(block).is_none() {
        block.items.push(ImplItem::Verbatim(quote!(
            type Data = ();
        )));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks_are_in_the_order_of_the_table() {
        let mut diagnostics = Diagnostics::default();
        let mut block: ItemImpl = syn::parse_quote! {
            impl State for S {
                fn post_unpatch(_: &StateContext<'_>, _: &()) {}
                fn pre_patch(_: &StateContext<'_>) -> Result { Ok(()) }
            }
        };
        assert_eq!(check_items(&mut diagnostics, &mut block), ["pre_patch", "post_unpatch"]);
        assert_eq!(diagnostics.messages(), Vec::<String>::new());
    }

    #[test]
    fn a_refused_method_is_taken_out() {
        let mut diagnostics = Diagnostics::default();
        let mut block: ItemImpl = syn::parse_quote! {
            impl State for S { fn pre_path() {} fn post_patch(&self) {} }
        };
        assert!(check_items(&mut diagnostics, &mut block).is_empty());
        assert_eq!(diagnostics.messages().len(), 2);
        assert!(block.items.is_empty());
    }
}
