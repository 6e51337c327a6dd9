//! A redirected function: its entry in the table, its line in the manifest, and what the kernel calls.

use klp_format::manifest::{self, Line};
use klp_format::{CALLER_PREFIX, Table, VMLINUX, env};
use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::{Attribute, FnArg, Generics, Ident, Signature};

use super::signature::describe;
use super::{c_string, entry, hidden, unique};
use crate::args::Text;
use crate::span::source_location;

/// What is redirected.
pub(crate) struct Target<'a> {
    pub(crate) object: &'a str,
    pub(crate) symbol: &'a str,
    /// What the user wrote for the symbol: where errors point.
    pub(crate) symbol_at: &'a Text,
    /// A constant expression.
    pub(crate) sympos: TokenStream,
    /// The function of a C file that is the body of the replacement, if it has one there.
    pub(crate) c_body: Option<&'a Ident>,
    /// That of the replacement; `None` where the build is not to check it.
    pub(crate) signature: Option<&'a Signature>,
}

/// The entry in the table of functions, with `items` beside it, and its line in the manifest. `replacement` is
/// the address of what the kernel calls.
pub(crate) fn redirection(
    cfgs: &[&Attribute],
    target: &Target<'_>,
    replacement: &TokenStream,
    items: &TokenStream,
) -> TokenStream {
    let Target { object, symbol, symbol_at, sympos, c_body, signature } = target;
    let object_pointer = if *object == VMLINUX {
        quote!(::core::ptr::null())
    } else {
        let literal = c_string(object);
        quote!(#literal.as_ptr())
    };
    let symbol_literal = c_string(symbol);
    let entry = entry(
        Table::Funcs,
        &quote! {
            ::klp_runtime::__private::FuncEntry {
                object: #object_pointer,
                symbol: #symbol_literal.as_ptr(),
                replacement: #replacement,
                sympos: __KLP_SYMPOS,
            }
        },
    );
    let unique = unique(
        "FunctionRedirectedTwice",
        &quote!(::klp_runtime::__private::func_key(#object, #symbol, __KLP_SYMPOS)),
        symbol_at,
    );
    let hidden = hidden(
        cfgs,
        &quote! {
            const __KLP_SYMPOS: ::core::ffi::c_ulong = #sympos;
            #items
            #entry
            #unique
        },
    );
    let line = manifest::Func {
        object: (*object).to_owned(),
        symbol: (*symbol).to_owned(),
        sympos: sympos.clone(),
        c_body: c_body.map(|name| name.unraw().to_string()),
        place: source_location(symbol_at),
        signature: signature.map(describe).unwrap_or_default(),
    };
    let manifest = super::manifest(cfgs, Line::Func(line));
    quote!(#hidden #manifest)
}

/// What the kernel calls: a function that calls the one that was written, and is still on the stack when
/// that calls others, so that the kernel sees that a task is in it.
///
/// The written one might leave by a jump to another function of the patch, which the kernel does not
/// look for: it would let the patch go while a task is there.
pub(crate) fn replacement(sig: &Signature) -> TokenStream {
    let name = &sig.ident;
    let caller = caller_name(name);
    let room = room_for_ftrace();
    let Call { generics, parameters, names, output } = Call::of(sig);
    quote!({
        // On the host nothing calls it, so that what it needs of the kernel
        // need not be linked; it is named to be in use.
        #[cfg(not(target_os = "none"))]
        { let _ = #name; ::core::ptr::null() }
        #[cfg(target_os = "none")]
        {
            #room
            #[allow(improper_ctypes_definitions, unreachable_code, clippy::all)]
            unsafe extern "C" fn #caller #generics(#parameters) #output {
                // SAFETY: the caller's word holds for the function that was written.
                let result = unsafe { #name(#names) };
                ::klp_runtime::__private::stay_on_the_stack();
                result
            }
            #caller as *const ::core::ffi::c_void
        }
    })
}

/// The name of a function that the kernel calls for one that was written. The last step of the build gives it the name of
/// that one.
pub(crate) fn caller_name(written: &Ident) -> Ident {
    format_ident!("{CALLER_PREFIX}{written}")
}

/// The attribute of a function that ftrace can trace: room for its call, as gcc leaves it. The last step of the build
/// lists the place.
pub(crate) fn room_for_ftrace() -> Option<TokenStream> {
    let room = std::env::var(env::FTRACE_ROOM).ok()?;
    let (before, start) = room.split_once(',')?;
    let [before, start] = [before.parse().ok()?, start.parse().ok()?].map(Literal::u8_unsuffixed);
    Some(quote!(#[patchable_function_entry(prefix_nops = #before, entry_nops = #start)]))
}

/// The parts of a function that has the signature of another, and calls it.
pub(crate) struct Call<'a> {
    pub(crate) generics: &'a Generics,
    pub(crate) parameters: TokenStream,
    pub(crate) names: TokenStream,
    /// With the conditions on lifetimes.
    pub(crate) output: TokenStream,
}

impl<'a> Call<'a> {
    pub(crate) fn of(sig: &'a Signature) -> Self {
        let types = sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(parameter) => Some(&parameter.ty),
            FnArg::Receiver(_) => None,
        });
        let named: Vec<_> =
            types.enumerate().map(|(index, ty)| (format_ident!("argument_{index}"), ty)).collect();
        let (names, types): (Vec<_>, Vec<_>) = named.into_iter().unzip();
        Self {
            generics: &sig.generics,
            parameters: quote!(#(#names: #types),*),
            names: quote!(#(#names),*),
            output: [sig.output.to_token_stream(), sig.generics.where_clause.to_token_stream()]
                .into_iter()
                .collect(),
        }
    }
}
