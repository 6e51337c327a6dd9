//! `#[klp_syscall]`.

use darling::FromMeta;
use klp_format::manifest::SymbolKind;
use klp_format::{Syscalls, VMLINUX, env};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{FnArg, Meta, ReturnType, Signature};

use crate::args::{Arguments, Name, Parsed, Text};
use crate::check::function::{self, Function};
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::cfgs;
use crate::emit::redirect::{Call, Target, caller_name, redirection, room_for_ftrace};
use crate::emit::symbol::{SymbolRequest, link_name};

/// As many registers hold arguments.
const MAX_ARGUMENTS: usize = 6;
/// What goes before the names of the architecture's wrappers.
const WRAPPERS: [&str; 5] = ["__x64_sys_", "__ia32_sys_", "__arm64_sys_", "__do_sys_", "__se_sys_"];

#[derive(FromMeta)]
struct Args {
    name: Option<Text>,
    compat: Option<Compat>,
    original: Option<Name>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] =
        &[("name", "name = \"getpid\""), ("compat", "compat"), ("original", "original = original_getpid")];
}

/// `compat`, or `compat = "…"`.
#[derive(Clone, Debug)]
struct Compat(Option<Text>);

impl FromMeta for Compat {
    fn from_meta(meta: &Meta) -> darling::Result<Self> {
        match meta {
            Meta::Path(_) => Ok(Self(None)),
            _ => Text::from_meta(meta).map(|text| Self(Some(text))).map_err(|_| {
                let message = "`compat` stands alone, or is an entry of `syscall_32.tbl`: write `compat`, or `compat = \"compat_sys_…\"`";
                syn::Error::new_spanned(meta, message).into()
            }),
        }
    }
}

/// A redirected system call, checked.
struct Syscall<'a> {
    function: &'a Function,
    name: &'a Text,
    compat: Option<&'a Compat>,
    original: Option<&'a Name>,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    expand_for(wrappers(), args, item)
}

fn expand_for(wrappers: &'static Syscalls, args: TokenStream, item: TokenStream) -> TokenStream {
    function::expand("klp_syscall", args, item, |diagnostics, args, function| {
        check(diagnostics, args, function).map(|syscall| emit(&syscall, wrappers))
    })
}

/// The names of the wrappers of the kernel that the crate is compiled for; on the host, of this machine's.
fn wrappers() -> &'static Syscalls {
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86" };
    let arch = std::env::var(env::ARCH).ok();
    arch.and_then(|arch| Syscalls::of(&arch)).or_else(|| Syscalls::of(machine)).unwrap_or(&Syscalls::ALL[0])
}

fn check<'a>(
    diagnostics: &mut Diagnostics,
    parsed: &'a Result<Parsed<Args>, Reported>,
    function: &'a Result<Function, Reported>,
) -> Result<Syscall<'a>, Reported> {
    if let Ok(function) = function {
        function::check_signature(diagnostics, function);
        check_signature(diagnostics, &function.sig);
    }
    let parsed = parsed.as_ref().map_err(|reported| *reported)?;
    parsed.require(diagnostics, "name", "the name of the system call");
    let args = &parsed.args;
    if let Some(name) = &args.name {
        check_name(diagnostics, name);
    }
    if let Some(Compat(Some(entry))) = &args.compat {
        check_entry(diagnostics, entry);
    }

    let function = function.as_ref().map_err(|reported| *reported)?;
    if let (Some(Name(original)), Some(_)) = (&args.original, function.c_body()) {
        diagnostics.error(
            original,
            "the original of a system call is called from Rust: write the body here, and call the function of the C file there, which `#[klp_c]` declares",
        );
    }
    diagnostics.check()?;
    let Some(name) = &args.name else {
        return Err(diagnostics.error_at(parsed.place(), "`name` is missing"));
    };
    Ok(Syscall { function, name, compat: args.compat.as_ref(), original: args.original.as_ref() })
}

/// What a system call needs beyond any replacement.
fn check_signature(diagnostics: &mut Diagnostics, sig: &Signature) {
    for argument in sig.inputs.iter().skip(MAX_ARGUMENTS) {
        diagnostics.error(
            argument,
            format!("a system call has {MAX_ARGUMENTS} arguments at most: one for each register"),
        );
    }
    if matches!(sig.output, ReturnType::Default) {
        diagnostics.error(&sig.ident, "a system call returns `c_long`: write `-> c_long`");
    }
}

fn check_name(diagnostics: &mut Diagnostics, name: &Text) {
    let value = name.value();
    let prefix = WRAPPERS.iter().chain(&["sys_"]).find(|prefix| value.starts_with(**prefix));
    if value.is_empty() {
        diagnostics.error(name, "the name is empty: write that of the system call");
    } else if let Some(bare) = prefix.and_then(|prefix| value.strip_prefix(prefix)) {
        diagnostics.error(name, format!("expected the system call's own name: write `name = \"{bare}\"`"));
    } else {
        check_characters(diagnostics, name);
    }
}

fn check_entry(diagnostics: &mut Diagnostics, entry: &Text) {
    let value = entry.value();
    let bare = value.strip_prefix("__ia32_").unwrap_or(&value);
    if !bare.starts_with("sys_") && !bare.starts_with("compat_sys_") {
        diagnostics.error(
            entry,
            "expected an entry of `syscall_32.tbl`, which starts with `sys_` or `compat_sys_`; for that of the system call's name write `compat` alone",
        );
    } else if bare.len() < value.len() {
        diagnostics
            .error(entry, format!("expected the entry of `syscall_32.tbl`: write `compat = \"{bare}\"`"));
    } else {
        check_characters(diagnostics, entry);
    }
}

fn check_characters(diagnostics: &mut Diagnostics, name: &Text) {
    if let Some(wrong) = name.value().chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_')) {
        diagnostics.error(
            name,
            format!("{wrong:?} is in the name of no system call: they have letters, digits and `_`"),
        );
    }
}

/// Which registers a wrapper reads, and how.
enum Abi {
    Native,
    Compat,
}

fn emit(syscall: &Syscall<'_>, wrappers: &Syscalls) -> TokenStream {
    let name = syscall.name.value();
    let native = (format!("{}sys_{name}", wrappers.native), syscall.name);
    let compat = compat_wrapper(syscall, wrappers).filter(|(symbol, _)| *symbol != native.0);
    let redirections = [(Abi::Native, Some(&native)), (Abi::Compat, compat.as_ref())];
    let redirections = redirections
        .into_iter()
        .filter_map(|(abi, wrapper)| wrapper.map(|(symbol, at)| wrapped(syscall, &abi, symbol, at)));
    let original = syscall.original.map(|original| {
        call_original(syscall, original, &native.0, compat.as_ref().map(|(symbol, _)| symbol.as_str()))
    });
    quote!(#(#redirections)* #original)
}

/// The wrapper of 32-bit programs, where it is redirected too, and where its name comes from. It may be that of 64-bit ones.
fn compat_wrapper<'a>(syscall: &Syscall<'a>, wrappers: &Syscalls) -> Option<(String, &'a Text)> {
    let Compat(entry) = syscall.compat?;
    let own = format!("sys_{}", syscall.name.value());
    let (value, at) = match entry {
        Some(entry) => (entry.value(), entry),
        None => (own.clone(), syscall.name),
    };
    // The wrappers of a call without arguments are one function: twice redirected, a task that has yet to
    // be switched would run the first redirection in place of the original.
    let is_one = value == own && syscall.function.sig.inputs.is_empty();
    (!is_one).then(|| (format!("{}{value}", wrappers.compat), at))
}

/// A function that makes the original call, past the redirect: as the kind of program does whose call it is.
fn call_original(syscall: &Syscall<'_>, original: &Name, native: &str, compat: Option<&str>) -> TokenStream {
    let (name, sig) = (&original.0, &syscall.function.sig);
    let cfgs = cfgs(&syscall.function.attrs);
    let declare = |ident: &str, symbol: &str, name: &Ident| {
        let request =
            SymbolRequest { object: VMLINUX, symbol, sympos: None, kind: SymbolKind::Original, name };
        let declared = Ident::new(ident, Span::call_site());
        let (link_name, manifest) = (link_name(&request, &declared), request.manifest(&cfgs));
        let item = quote! {
            #(#link_name)*
            fn #declared(registers: *const ::core::ffi::c_void) -> ::core::ffi::c_long;
        };
        (declared, item, manifest)
    };
    let (of_native, native_item, native_manifest) = declare("__klp_original", native, name);
    let (mut call, mut items, mut manifests) = (quote!(#of_native(registers)), native_item, native_manifest);
    if let Some(compat) = compat {
        let (of_compat, item, manifest) =
            declare("__klp_original_compat", compat, &format_ident!("{name}_compat"));
        call = quote!(if is_compat { #of_compat(registers) } else { #call });
        items.extend(item);
        manifests.extend(manifest);
    }
    let Call { generics, parameters, output, .. } = Call::of(sig);
    let arguments = (0..MAX_ARGUMENTS).map(|index| match index < sig.inputs.len() {
        true => {
            let argument = format_ident!("argument_{index}");
            quote!(::klp_runtime::syscall::Argument::to_register(#argument))
        }
        false => quote!(0),
    });
    let docs = format!("The system call `{}`, as it is without the redirect.", syscall.name.value());
    quote! {
        #(#cfgs)*
        #[doc = #docs]
        ///
        /// # Safety
        ///
        /// What the original asks for. The task is in this system call.
        #[allow(clippy::all)]
        unsafe fn #name #generics(#parameters) #output {
            unsafe extern "C" { #items }
            let (registers, is_compat) =
                ::klp_runtime::__private::syscall_arguments::registers([#(#arguments),*]);
            let (registers, _) = (registers.as_ptr(), is_compat);
            // SAFETY: The caller's word holds for the original; these are the registers of a task that makes
            // this call.
            unsafe { #call }
        }
        #manifests
    }
}

/// The redirection of one wrapper of the kernel's.
fn wrapped(syscall: &Syscall<'_>, abi: &Abi, symbol: &str, symbol_at: &Text) -> TokenStream {
    let sig = &syscall.function.sig;
    let name = &sig.ident;
    let (registers, convert) = match abi {
        Abi::Native => ("native", "from_native"),
        Abi::Compat => ("compat", "from_compat"),
    };
    let registers = Ident::new(registers, Span::call_site());
    let convert = Ident::new(convert, Span::call_site());
    let places: Vec<Ident> = (0..sig.inputs.len()).map(|index| format_ident!("argument_{index}")).collect();
    let arguments = sig.inputs.iter().zip(&places).map(|(input, place)| match input {
        FnArg::Typed(typed) => {
            let ty = &typed.ty;
            quote!(<#ty as ::klp_runtime::syscall::Argument>::#convert(#place))
        }
        FnArg::Receiver(_) => TokenStream::new(),
    });
    let result = match &sig.output {
        ReturnType::Type(_, ty) => quote!(<#ty as ::klp_runtime::__private::SyscallResult>::into_long),
        ReturnType::Default => TokenStream::new(),
    };
    let registers = if places.is_empty() {
        quote!(let _ = registers;)
    } else {
        quote!(let [#(#places,)* ..] = ::klp_runtime::__private::syscall_arguments::#registers(registers);)
    };
    let (wrapper_name, room) = (caller_name(name), room_for_ftrace());
    let wrapper = quote! {
        #room
        unsafe extern "C" fn #wrapper_name(registers: *const ::core::ffi::c_void) -> ::core::ffi::c_long {
            // SAFETY: The kernel calls it in place of its own wrapper, with the registers of
            // one who makes the system call.
            unsafe {
                #registers
                let result = #result(#name(#(#arguments),*));
                ::klp_runtime::__private::stay_on_the_stack();
                result
            }
        }
    };
    let signature = syn::parse_quote! {
        unsafe extern "C" fn #wrapper_name(registers: *const ::core::ffi::c_void) -> ::core::ffi::c_long
    };
    let target = Target {
        object: VMLINUX,
        symbol,
        symbol_at,
        sympos: quote!(0),
        c_body: syscall.function.c_body(),
        signature: Some(&signature),
    };
    let replacement = quote! {{
        // On the host nothing calls it, so that what it needs of the kernel need not be linked; it is named
        // to be in use.
        #[cfg(target_os = "none")]
        { #wrapper_name as *const ::core::ffi::c_void }
        #[cfg(not(target_os = "none"))]
        { let _ = #wrapper_name; ::core::ptr::null() }
    }};
    redirection(&cfgs(&syscall.function.attrs), &target, &replacement, &wrapper)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(arch: &str, args: TokenStream, item: TokenStream) -> Vec<&'static str> {
        let expanded = expand_for(Syscalls::of(arch).unwrap(), args, item).to_string();
        let known = [
            "__x64_sys_kill",
            "__ia32_sys_kill",
            "__ia32_compat_sys_kill",
            "__ia32_sys_kill16",
            "__arm64_sys_kill",
            "__arm64_compat_sys_kill",
            "__arm64_sys_kill16",
        ];
        known.into_iter().filter(|symbol| expanded.contains(&format!("c\"{symbol}\""))).collect()
    }

    fn with_arguments() -> TokenStream {
        quote!(
            unsafe extern "C" fn lp(pid: c_int, sig: c_int) -> c_long {}
        )
    }

    fn without() -> TokenStream {
        quote!(
            unsafe extern "C" fn lp() -> c_long {}
        )
    }

    #[test]
    fn entries_are_redirected_once_each() {
        for (args, item, expected) in [
            (quote!(name = "kill"), with_arguments(), vec!["__x64_sys_kill"]),
            (quote!(name = "kill", compat), with_arguments(), vec!["__x64_sys_kill", "__ia32_sys_kill"]),
            (
                quote!(name = "kill", compat = "compat_sys_kill"),
                with_arguments(),
                vec!["__x64_sys_kill", "__ia32_compat_sys_kill"],
            ),
            (quote!(name = "kill"), without(), vec!["__x64_sys_kill"]),
            (quote!(name = "kill", compat), without(), vec!["__x64_sys_kill"]),
            (quote!(name = "kill", compat = "sys_kill"), without(), vec!["__x64_sys_kill"]),
            (
                quote!(name = "kill", compat = "sys_kill16"),
                without(),
                vec!["__x64_sys_kill", "__ia32_sys_kill16"],
            ),
        ] {
            let what = args.to_string();
            assert_eq!(symbols("x86", args, item), expected, "{what}");
        }
    }

    /// On arm64, programs of both kinds share a wrapper where the kernel's source has only one.
    #[test]
    fn a_shared_entry_is_redirected_once() {
        for (args, item, expected) in [
            (quote!(name = "kill"), with_arguments(), vec!["__arm64_sys_kill"]),
            (quote!(name = "kill", compat), with_arguments(), vec!["__arm64_sys_kill"]),
            (quote!(name = "kill", compat), without(), vec!["__arm64_sys_kill"]),
            (
                quote!(name = "kill", compat = "compat_sys_kill"),
                with_arguments(),
                vec!["__arm64_sys_kill", "__arm64_compat_sys_kill"],
            ),
            (
                quote!(name = "kill", compat = "sys_kill16"),
                without(),
                vec!["__arm64_sys_kill", "__arm64_sys_kill16"],
            ),
        ] {
            let what = args.to_string();
            assert_eq!(symbols("arm64", args, item), expected, "{what}");
        }
    }

    #[test]
    fn six_arguments_are_taken() {
        let item = quote!(
            unsafe extern "C" fn lp(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) -> c_long {}
        );
        assert!(!expand(quote!(name = "splice"), item).to_string().contains("compile_error"));
    }
}
