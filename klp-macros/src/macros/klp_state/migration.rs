//! `from(…)` and `fn migrate`: data of another layout ([S22](../klp_runtime/lifecycle/index.html#s22)).

use darling::FromMeta;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ImplItemFn, ItemImpl};

use super::Args;
use crate::args::{self, Arguments, Number, Parsed, TypeName};
use crate::diagnostics::Diagnostics;
use crate::emit::assertion;

/// The function that makes the new data.
pub(super) const MIGRATE: &str = "migrate";

const NOT_EARLIER: &str = "the old data are those of an earlier version of the state";

/// What stands in `from(…)`.
#[derive(FromMeta)]
struct From {
    version: Option<Number>,
    data: Option<TypeName>,
}

impl Arguments for From {
    const KEYS: &'static [(&'static str, &'static str)] =
        &[("version", "version = 1"), ("data", "data = OldData")];
}

/// Where a state's data come from, and what makes them.
pub(super) struct Migration {
    from: Number,
    data: TypeName,
    /// The version that has the new data.
    version: Number,
    migrate: ImplItemFn,
}

/// Checks that `from` and `migrate` are both there or neither. An error ends the macro's check, as it
/// is among the diagnostics.
pub(super) fn check(
    diagnostics: &mut Diagnostics,
    parsed: Option<&Parsed<Args>>,
    migrate: Option<ImplItemFn>,
) -> Option<Migration> {
    let parsed = parsed?;
    let Some(list) = &parsed.args.from else {
        if let Some(migrate) = migrate.filter(|_| !parsed.has("from")) {
            diagnostics.error(
                &migrate.sig.ident,
                "nothing says what `migrate` makes the data of: write `from(version = …, data = …)` in the \
                 attribute, with the earlier version and its type of data",
            );
        }
        return None;
    };
    let from = args::nested::<From>(diagnostics, list).ok()?;
    from.require(diagnostics, "version", "the version of the state that has the old data");
    from.require(diagnostics, "data", "the type of the old data");
    let From { version: Some(from), data: Some(data) } = from.args else { return None };
    let Some(migrate) = migrate else {
        let message = format!(
            "nothing makes the new data of the old: write `fn migrate(cx: &StateContext<'_>, old: &{}) -> \
             Result<Self::Data>` in the block",
            data.name()
        );
        diagnostics.error_at(list.span(), message);
        return None;
    };
    let version = parsed.args.version.clone()?;
    if let (Some(old), Some(new)) = (from.literal(), version.literal()) {
        if old >= new {
            diagnostics.error(&from, NOT_EARLIER);
        }
    }
    Some(Migration { from, data, version, migrate })
}

impl Migration {
    /// The implementation of `Migrate`, and what only the compiler can check of it.
    pub(super) fn emit(&self, block: &ItemImpl) -> TokenStream {
        let Self { from, data, version, migrate } = self;
        let ty = &block.self_ty;
        let earlier = match (from.literal(), version.literal()) {
            (Some(_), Some(_)) => TokenStream::new(),
            _ => assertion(&quote!((#from) < (#version)), NOT_EARLIER, from),
        };
        let fingerprint = |ty: TokenStream| quote!(<#ty as ::klp_runtime::__private::KlpData>::FINGERPRINT);
        let old = fingerprint(quote!(<#ty as ::klp_runtime::__private::Migrate>::From));
        let new = fingerprint(quote!(<#ty as ::klp_runtime::state::State>::Data));
        let other_layout = assertion(
            &quote!(#old != #new),
            "the data have the same layout in both versions, so nothing calls `migrate`: write `take_over`",
            data,
        );
        let old_data = quote_spanned!(data.span()=> #data);
        quote! {
            impl ::klp_runtime::__private::Migrate for #ty {
                const FROM: u32 = #from;
                type From = #old_data;
                #migrate
            }
            #earlier
            #other_layout
        }
    }
}
