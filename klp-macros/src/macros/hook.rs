//! `#[klp_init]` and `#[klp_exit]`.

use klp_format::Table;
use klp_format::manifest::{self, Line};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Ident, ItemFn, Safety, Signature};

use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, cfgs, entry, hidden, patch_type};
use crate::span::item_span;

/// One of the two.
pub(crate) struct Hook {
    /// The attribute.
    attribute: &'static str,
    /// How the function is written.
    signature: &'static str,
    /// How many parameters it has.
    parameters: usize,
    /// The trait that stands for it.
    role: &'static str,
    /// What the manifest calls it; also the trait's only function.
    kind: manifest::Hook,
}

/// `#[klp_init]`.
pub(crate) const INIT: Hook = Hook {
    attribute: "klp_init",
    signature: "fn init(patch: &mut PatchSelection<'_>) -> Result",
    parameters: 1,
    role: "Init",
    kind: manifest::Hook::Init,
};

/// `#[klp_exit]`.
pub(crate) const EXIT: Hook = Hook {
    attribute: "klp_exit",
    signature: "fn exit()",
    parameters: 0,
    role: "Exit",
    kind: manifest::Hook::Exit,
};

pub(crate) fn expand(hook: &Hook, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    if !args.is_empty() {
        diagnostics.error(&args, format!("`#[{}]` takes no arguments: leave them out", hook.attribute));
    }
    let table = match check(&mut diagnostics, hook, &item) {
        Ok(function) => emit(hook, &function),
        Err(Reported { .. }) => TokenStream::new(),
    };
    diagnostics.attach(quote!(#item #table))
}

fn check(diagnostics: &mut Diagnostics, hook: &Hook, item: &TokenStream) -> Result<ItemFn, Reported> {
    let function: ItemFn = syn::parse2(item.clone()).map_err(|_| {
        let message =
            format!("`#[{}]` belongs on a function: write it above `{}`", hook.attribute, hook.signature);
        diagnostics.error_at(item_span(item), message)
    })?;
    check_signature(diagnostics, hook, &function.sig);
    diagnostics.check()?;
    Ok(function)
}

fn check_signature(diagnostics: &mut Diagnostics, hook: &Hook, sig: &Signature) {
    let right = format!("write `{}`", hook.signature);
    let mut refuse = |tokens: &dyn quote::ToTokens, what: &str| {
        diagnostics.error(tokens.to_token_stream(), format!("{what}: {right}"));
    };
    if let Some(asyncness) = &sig.asyncness {
        refuse(asyncness, "a hook can't be `async`");
    }
    if let Safety::Unsafe(safety) = &sig.safety {
        refuse(safety, "a hook is not `unsafe`");
    }
    if let Some(abi) = &sig.abi {
        refuse(abi, "a hook is an ordinary Rust function");
    }
    if sig.generics.type_params().next().is_some() || sig.generics.const_params().next().is_some() {
        refuse(&sig.generics, "a hook can't be generic");
    }
    if sig.inputs.len() != hook.parameters {
        let message = format!("this hook has {} parameters and not {}", hook.parameters, sig.inputs.len());
        refuse(&sig.ident, &message);
    }
}

fn emit(hook: &Hook, function: &ItemFn) -> TokenStream {
    let cfgs = cfgs(&function.attrs);
    let name = &function.sig.ident;
    let role = Ident::new(hook.role, Span::call_site());
    let method = Ident::new(hook.kind.name(), Span::call_site());
    let patch = patch_type();
    // A second hook is a second implementation, an error at both functions.
    let implementation = if hook.parameters == 0 {
        quote_spanned!(name.span()=> impl ::klp_runtime::__private::#role for crate::#patch {
            fn #method() { #name() }
        })
    } else {
        let call = quote_spanned!(name.span()=> #name(patch));
        quote_spanned!(name.span()=> impl ::klp_runtime::__private::#role for crate::#patch {
            fn #method(patch: &mut ::klp_runtime::selection::PatchSelection<'_>) -> ::klp_runtime::error::Result {
                #call
            }
        })
    };
    let entry = entry(Table::Hooks, &quote!(::klp_runtime::__private::HookEntry::#method::<crate::#patch>()));
    let hidden = hidden(&cfgs, &quote!(#implementation #entry));
    let manifest = emit::manifest(&cfgs, Line::Hook(hook.kind));
    quote!(#hidden #manifest)
}
