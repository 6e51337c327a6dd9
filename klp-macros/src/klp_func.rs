//! `#[klp_func]`.

use darling::FromMeta;
use klp_format::manifest::{self, Line, SymbolKind};
use klp_format::{Table, VMLINUX};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::visit::Visit;
use syn::{Attribute, FnArg, GenericParam, Generics, Ident, Safety, Signature, Visibility};

use crate::args::{self, Arguments, Flag, Name, Number, Parsed, Text};
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, c_string, cfgs, entry, hidden, unique};
use crate::klp_symbols::{SymbolRequest, link_name};
use crate::{description, item, place};

/// `KSYM_NAME_LEN`, without the NUL.
const MAX_SYMBOL: usize = 511;
/// `MODULE_NAME_LEN`, without the NUL.
const MAX_OBJECT: usize = 55;

#[derive(FromMeta)]
struct Args {
    symbol: Option<Text>,
    object: Option<Text>,
    sympos: Option<Number>,
    original: Option<Name>,
    unchecked: Option<Flag>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("symbol", "symbol = \"cmdline_proc_show\""),
        ("object", "object = \"nf_tables\""),
        ("sympos", "sympos = 2"),
        ("original", "original = original_show"),
        ("unchecked", "unchecked"),
    ];
}

/// A function without a look at its body: rustc parsed it, and may know more syntax than syn.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) sig: Signature,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let sig = input.parse()?;
        input.parse::<TokenStream>()?;
        Ok(Self { attrs, sig })
    }
}

/// A redirected function, checked.
struct Redirect<'a> {
    function: &'a Function,
    symbol: (String, &'a Text),
    object: String,
    sympos: Option<&'a Number>,
    original: Option<&'a Name>,
    unchecked: bool,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let args = args::parse(&mut diagnostics, args);
    let function = parse(&mut diagnostics, "klp_func", &item);
    let table = match check(&mut diagnostics, &args, &function) {
        Ok(redirect) => emit(&redirect),
        Err(Reported { .. }) => TokenStream::new(),
    };
    diagnostics.attach(quote!(#item #table))
}

/// Parses what the attribute `macro_name` is on.
pub(crate) fn parse(
    diagnostics: &mut Diagnostics,
    macro_name: &str,
    item: &TokenStream,
) -> Result<Function, Reported> {
    syn::parse2(item.clone()).map_err(|_| {
        let message =
            format!("`#[{macro_name}]` belongs on a function: write it above `unsafe extern \"C\" fn …`");
        diagnostics.error_at(item::place(item), message)
    })
}

fn check<'a>(
    diagnostics: &mut Diagnostics,
    parsed: &'a Result<Parsed<Args>, Reported>,
    function: &'a Result<Function, Reported>,
) -> Result<Redirect<'a>, Reported> {
    if let Ok(function) = function {
        check_signature(diagnostics, &function.sig);
    }
    let parsed = parsed.as_ref().map_err(|reported| *reported)?;
    parsed.require(diagnostics, "symbol", "the name of the function that is redirected");
    let args = &parsed.args;
    if let Some(symbol) = &args.symbol {
        check_symbol(diagnostics, symbol, "of the function that is redirected");
    }
    if let Some(object) = &args.object {
        check_object(diagnostics, object);
    }

    let function = function.as_ref().map_err(|reported| *reported)?;
    diagnostics.check()?;
    let Some(symbol) = &args.symbol else {
        return Err(diagnostics.error_at(parsed.place(), "`symbol` is missing"));
    };
    Ok(Redirect {
        function,
        symbol: (symbol.value(), symbol),
        object: args.object.as_ref().map_or_else(|| VMLINUX.to_owned(), Text::value),
        sympos: args.sympos.as_ref(),
        original: args.original.as_ref(),
        unchecked: args.unchecked.is_some(),
    })
}

/// Checks the signature of a replacement.
pub(crate) fn check_signature(diagnostics: &mut Diagnostics, sig: &Signature) {
    let name = &sig.ident;
    if let Some(receiver) = sig.receiver() {
        diagnostics
            .error(receiver, "a replacement is no method: write a function, outside of `impl` and `trait`");
        return;
    }
    if let Some(asyncness) = &sig.asyncness {
        diagnostics.error(asyncness, "a replacement can't be `async`: the kernel calls it as a C function");
    }
    let is_unsafe = matches!(sig.safety, Safety::Unsafe(_));
    let abi = sig.abi.as_ref().map(|abi| abi.name.as_ref().map(syn::LitStr::value));
    let is_c = matches!(&abi, Some(Some(abi)) if abi == "C");
    match (is_unsafe, is_c) {
        (true, true) => {}
        (false, true) => {
            diagnostics.error(
                sig.fn_token,
                format!("a replacement is `unsafe`, as it trusts the arguments that the kernel passes: write `unsafe extern \"C\" fn {name}`"),
            );
        }
        (_, false) => {
            let also = if is_unsafe { "has" } else { "is `unsafe` and has" };
            let message = format!(
                "a replacement {also} the C calling convention: write `unsafe extern \"C\" fn {name}`"
            );
            match &sig.abi {
                Some(abi) => diagnostics.error(abi, message),
                None => diagnostics.error(sig.fn_token, message),
            };
        }
    }
    for parameter in &sig.generics.params {
        if !matches!(parameter, GenericParam::Lifetime(_)) {
            diagnostics.error(
                parameter,
                "a replacement can't be generic: the kernel calls one function, with the types of the original",
            );
        }
    }
    let mut hidden = ImplTraits::default();
    hidden.visit_signature(sig);
    for tokens in hidden.0 {
        diagnostics.error(
            tokens,
            "a replacement can't have `impl Trait` in its signature: write the types of the original",
        );
    }
    if let Some(variadic) = &sig.variadic {
        diagnostics.error(
            variadic,
            "a replacement can't be variadic: livepatch a caller of the function, or what it calls with a `va_list`",
        );
    }
}

/// The `impl Trait`s of a signature.
#[derive(Default)]
struct ImplTraits(Vec<TokenStream>);

impl<'ast> Visit<'ast> for ImplTraits {
    fn visit_type_impl_trait(&mut self, ty: &'ast syn::TypeImplTrait) {
        self.0.push(ty.to_token_stream());
    }
}

/// Checks the name of a symbol: `whose` says of what.
pub(crate) fn check_symbol(diagnostics: &mut Diagnostics, symbol: &Text, whose: &str) {
    let value = symbol.value();
    let first = value.chars().next();
    if first.is_none() {
        diagnostics.error(symbol, format!("the symbol is empty: write the name {whose}"));
    } else if value.len() > MAX_SYMBOL {
        let message =
            format!("the symbol has {} bytes: the kernel's symbols have {MAX_SYMBOL} at most", value.len());
        diagnostics.error(symbol, message);
    } else if let Some(bare) = value.strip_suffix("()") {
        diagnostics.error(symbol, format!("the symbol is a bare name: write `symbol = \"{bare}\"`"));
    } else if let Some((object, bare)) = value.split_once(':') {
        diagnostics.error(
            symbol,
            format!(
                "the symbol is a bare name: write `object = \"{object}\", symbol = \"{}\"`",
                bare.trim_start_matches(':')
            ),
        );
    } else if let Some(wrong) = value.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.$".contains(*c))) {
        diagnostics.error(
            symbol,
            format!("{wrong:?} is in no symbol of the kernel: they have letters, digits, `_`, `.` and `$`, as in `/proc/kallsyms`"),
        );
    } else if first.is_some_and(|c| c.is_ascii_digit()) {
        diagnostics.error(symbol, "no symbol of the kernel starts with a digit");
    }
}

/// Checks the name of an object: a module, or vmlinux.
pub(crate) fn check_object(diagnostics: &mut Diagnostics, object: &Text) {
    let value = object.value();
    let bare = value.rsplit('/').next().unwrap_or_default();
    let bare = bare.split_once(".ko").map_or(bare, |(name, _)| name).replace('-', "_");
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if value.is_empty() {
        diagnostics.error(
            object,
            "the object is empty: write a module's name, or `\"vmlinux\"` for the kernel itself",
        );
    } else if value.len() > MAX_OBJECT {
        let message = format!("the object has {} bytes: module names have {MAX_OBJECT} at most", value.len());
        diagnostics.error(object, message);
    } else if is_name(&value) {
        // As it should be.
    } else if value.contains('-') && is_name(&bare) && !value.contains(['/', '.']) {
        diagnostics.error(object, format!("module names use `_` for `-`: write `\"{bare}\"`"));
    } else if is_name(&bare) {
        diagnostics.error(object, format!("the object is a module's name, not its file: write `\"{bare}\"`"));
    } else {
        diagnostics.error(
            object,
            "not the name of a module: they have letters, digits and `_`, as in `/proc/modules`",
        );
    }
}

fn emit(redirect: &Redirect<'_>) -> TokenStream {
    let cfgs = cfgs(&redirect.function.attrs);
    let (symbol, symbol_at) = &redirect.symbol;
    let sympos = redirect.sympos.map_or_else(|| quote!(0), |sympos| quote!(#sympos));
    let signature = (!redirect.unchecked).then_some(&redirect.function.sig);
    let target = Target { object: &redirect.object, symbol, symbol_at, sympos, signature };
    let replacement = replacement(&redirect.function.sig);
    let redirection = redirection(&cfgs, &target, &replacement, &TokenStream::new());
    let original = redirect.original.map(|original| call_original(redirect, original, &cfgs));
    quote!(#redirection #original)
}

/// What is redirected.
pub(crate) struct Target<'a> {
    pub(crate) object: &'a str,
    pub(crate) symbol: &'a str,
    /// What the user wrote for the symbol: where errors point.
    pub(crate) symbol_at: &'a Text,
    /// A constant expression.
    pub(crate) sympos: TokenStream,
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
    let Target { object, symbol, symbol_at, sympos, signature } = target;
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
        "DuplicateFunc",
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
        place: place::of(symbol_at),
        signature: signature.map(description::describe).unwrap_or_default(),
    };
    let manifest = emit::manifest(cfgs, Line::Func(line));
    quote!(#hidden #manifest)
}

/// What the kernel calls: a function that calls the one that was written, and is still on the stack when
/// that calls others, so that the kernel sees that a task is in it.
///
/// The written one might leave by a jump to another function of the patch, which the kernel does not
/// look for: it would let the patch go while a task is there.
fn replacement(sig: &Signature) -> TokenStream {
    let name = &sig.ident;
    // `cargo klp inspect` shows it as the one that was written.
    let caller = format_ident!("__klp_{name}");
    let Call { generics, parameters, names, output } = Call::of(sig);
    quote!({
        // On the host nothing calls it, so that what it needs of the kernel
        // need not be linked; it is named to be in use.
        #[cfg(not(target_os = "none"))]
        { let _ = #name; ::core::ptr::null() }
        #[cfg(target_os = "none")]
        {
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

/// A function that calls the original, past the redirect.
fn call_original(redirect: &Redirect<'_>, original: &Name, cfgs: &[&Attribute]) -> TokenStream {
    let (name, sig) = (&original.0, &redirect.function.sig);
    let request = SymbolRequest {
        object: &redirect.object,
        symbol: &redirect.symbol.0,
        sympos: redirect.sympos,
        kind: SymbolKind::Original,
    };
    let manifest = request.manifest(cfgs);
    let declared = Ident::new("__klp_original", Span::call_site());
    let link_name = link_name(&request, &declared);
    let Call { generics, parameters, names, output } = Call::of(sig);
    let docs = format!("`{}`, as it is without the redirect.", redirect.symbol.0);
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        ///
        /// # Safety
        ///
        /// What the original asks for.
        #[inline]
        #[allow(clippy::all)]
        unsafe fn #name #generics(#parameters) #output {
            #[allow(improper_ctypes)]
            unsafe extern "C" {
                #(#link_name)*
                fn #declared #generics(#parameters) #output;
            }
            // SAFETY: the caller's word holds for the original, which has these types.
            unsafe { #declared(#names) }
        }
        #manifest
    }
}

/// The parts of a function that has the signature of another, and calls it.
struct Call<'a> {
    generics: &'a Generics,
    parameters: TokenStream,
    names: TokenStream,
    /// With the conditions on lifetimes.
    output: TokenStream,
}

impl<'a> Call<'a> {
    fn of(sig: &'a Signature) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(args: TokenStream, item: TokenStream) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        let args = args::parse(&mut diagnostics, args);
        let function = parse(&mut diagnostics, "klp_func", &item);
        let _ = check(&mut diagnostics, &args, &function);
        diagnostics.messages()
    }

    fn replacement() -> TokenStream {
        quote!(
            unsafe extern "C" fn replacement<'a>(_: &'a u8) {}
        )
    }

    #[test]
    fn names_at_their_limits_are_taken() {
        let (symbol, object) = ("s".repeat(MAX_SYMBOL), "o".repeat(MAX_OBJECT));
        let args = quote!(symbol = #symbol, object = #object);
        assert_eq!(messages(args, replacement()), Vec::<String>::new());
    }

    #[test]
    fn symbols_of_compilers_are_taken() {
        for symbol in ["a.isra.0", "__x64_sys_read", "_RNvC1a1b", "_ZN1a$LT$b$GT$E", "cold.llvm.17"] {
            assert_eq!(messages(quote!(symbol = #symbol), replacement()), Vec::<String>::new());
        }
    }

    #[test]
    fn a_body_is_not_parsed() {
        let item = quote!(unsafe extern "C" fn replacement() { new syntax % here });
        assert_eq!(messages(quote!(symbol = "s"), item), Vec::<String>::new());
    }

    #[test]
    fn cfgs_are_forwarded_and_docs_are_not() {
        let item = quote! {
            /// Documentation.
            #[cfg(feature = "x")]
            unsafe extern "C" fn replacement() {}
        };
        let expanded = expand(quote!(symbol = "s"), item).to_string();
        assert_eq!(expanded.matches("feature = \"x\"").count(), 3, "{expanded}");
        assert_eq!(expanded.matches("Documentation").count(), 1, "{expanded}");
    }
}
