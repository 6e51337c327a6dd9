//! `#[klp_init]` and `#[klp_exit]`.

use klp_format::Table;
use klp_format::manifest::{self, Line};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Ident, ItemFn, Safety, Signature};

use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, cfgs, entry, hidden, patch_path};
use crate::span::item_span;

/// One of the two.
pub(crate) struct Hook {
    /// The attribute.
    attribute: &'static str,
    /// How the function is written.
    signature: &'static str,
    /// Its parameters, in words.
    parameters: &'static str,
    /// How many parameters it has.
    nr_parameters: usize,
    /// The trait that stands for it, of which a patch has one implementation.
    role: &'static str,
    /// What the manifest calls it; also the trait's only function.
    kind: manifest::Hook,
}

/// `#[klp_init]`.
pub(crate) const INIT: Hook = Hook {
    attribute: "klp_init",
    signature: "fn init(patch: &mut PatchSelection<'_>) -> Result",
    parameters: "takes one parameter, `&mut PatchSelection`",
    nr_parameters: 1,
    role: "InitHookWrittenTwice",
    kind: manifest::Hook::Init,
};

/// `#[klp_exit]`.
pub(crate) const EXIT: Hook = Hook {
    attribute: "klp_exit",
    signature: "fn exit()",
    parameters: "takes no parameters",
    nr_parameters: 0,
    role: "ExitHookWrittenTwice",
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
        refuse(asyncness, "a hook must not be `async`");
    }
    if let Safety::Unsafe(safety) = &sig.safety {
        refuse(safety, "a hook must not be `unsafe`");
    }
    if let Some(abi) = &sig.abi {
        refuse(abi, "a hook must be an ordinary Rust function");
    }
    if sig.generics.type_params().next().is_some() || sig.generics.const_params().next().is_some() {
        refuse(&sig.generics, "a hook must not be generic");
    }
    if sig.inputs.len() != hook.nr_parameters {
        let (attribute, found) = (hook.attribute, sig.inputs.len());
        let found = if found == 0 { "none".to_owned() } else { found.to_string() };
        let message = format!("a function with `#[{attribute}]` {}; this one takes {found}", hook.parameters);
        refuse(&sig.ident, &message);
    }
}

fn emit(hook: &Hook, function: &ItemFn) -> TokenStream {
    let cfgs = cfgs(&function.attrs);
    let name = &function.sig.ident;
    let role = Ident::new(hook.role, Span::call_site());
    let method = Ident::new(hook.kind.name(), Span::call_site());
    let patch = patch_path(Span::call_site().located_at(name.span()));
    // A second hook is a second implementation, an error at both functions.
    let implementation = if hook.nr_parameters == 0 {
        quote_spanned!(name.span()=> impl ::klp_runtime::__private::#role for #patch {
            fn #method() {
                let hook: fn() = #name;
                hook()
            }
        })
    } else {
        // As a function of these types, so that rustc names what is there and what must be.
        let call = quote_spanned! {name.span()=>
            let hook: fn(
                &mut ::klp_runtime::selection::PatchSelection<'_>
            ) -> ::klp_runtime::error::Result = #name;
            hook(patch)
        };
        quote_spanned!(name.span()=> impl ::klp_runtime::__private::#role for #patch {
            fn #method(patch: &mut ::klp_runtime::selection::PatchSelection<'_>) -> ::klp_runtime::error::Result {
                #call
            }
        })
    };
    let entry = entry(Table::Hooks, &quote!(::klp_runtime::__private::HookEntry::#method::<#patch>()));
    let hidden = hidden(&cfgs, &quote!(#implementation #entry));
    let manifest = emit::manifest(&cfgs, Line::Hook(hook.kind));
    quote!(#hidden #manifest)
}
