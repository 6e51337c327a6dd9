//! Ids of states and shadow variables.

use klp_format::FIRST_RESERVED_ID;
use proc_macro2::TokenStream;
use quote::quote;

use crate::args::Number;
use crate::diagnostics::Diagnostics;
use crate::emit::assertion;

/// Checks an id as far as a macro can: the rest is [`id_assertions`].
pub(crate) fn check_id(diagnostics: &mut Diagnostics, id: &Number) {
    match id.literal() {
        Some(0) => {
            diagnostics.error(id, "`id` must not be 0: write a number that no other state of any patch has");
        }
        Some(FIRST_RESERVED_ID..) => {
            diagnostics.error(id, "`id` must be below 1 << 63: the runtime owns the ids from there on");
        }
        _ => {}
    }
}

/// What [`check_id`] can't see of a constant, `id`, that the user wrote as `at`.
pub(crate) fn id_assertions(id: &TokenStream, at: &Number) -> TokenStream {
    if at.literal().is_some() {
        return TokenStream::new();
    }
    let not_zero = assertion(
        &quote!(#id != 0),
        "`id` must not be 0: write a number that no other state of any patch has",
        at,
    );
    let not_reserved = assertion(
        &quote!(#id < ::klp_runtime::__private::FIRST_RESERVED_ID),
        "`id` must be below 1 << 63: the runtime owns the ids from there on",
        at,
    );
    quote!(#not_zero #not_reserved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use darling::FromMeta;

    #[test]
    fn ids_are_checked_at_both_ends() {
        for (id, errors) in [(0, 1), (1, 0), (FIRST_RESERVED_ID - 1, 0), (FIRST_RESERVED_ID, 1)] {
            let mut diagnostics = Diagnostics::default();
            let literal = proc_macro2::Literal::u64_unsuffixed(id);
            let number = Number::from_meta(&syn::parse_quote!(id = #literal)).expect("parses");
            check_id(&mut diagnostics, &number);
            assert_eq!(diagnostics.messages().len(), errors, "{id}");
        }
    }
}
