//! The macros with which a patch declares its parts.
//!
//! Patches use them through `klp_runtime::prelude`. The crate `klp_runtime` documents the types that they name.
//!
//! | macro | on | declares |
//! | --- | --- | --- |
//! | [`livepatch!`] | the crate root | the patch: once, before everything else |
//! | [`#[klp_func]`](macro@klp_func) | `unsafe extern "C" fn` | a function that is redirected |
//! | [`#[klp_syscall]`](macro@klp_syscall) | `unsafe extern "C" fn` | a system call that is redirected |
//! | [`#[klp_symbols]`](macro@klp_symbols) | `unsafe extern "C" { … }` | functions and variables that the kernel does not export |
//! | [`#[klp_state]`](macro@klp_state) | `impl State for …` | a change of the system, with callbacks |
//! | [`#[klp_object]`](macro@klp_object) | `impl Object for …` | the kernel's own callbacks of an object |
//! | [`#[klp_param]`](macro@klp_param) | `static …: Param<…>` | a module parameter |
//! | [`#[klp_init]`](macro@klp_init), [`#[klp_exit]`](macro@klp_exit) | `fn` | code that runs before the patch is enabled, which can leave parts out or refuse to load, and before the module is unloaded |
//! | [`#[shadow]`](macro@shadow) | `#[repr(C)] struct` | a field added to a kernel type |
//! | [`#[klp_c]`](macro@klp_c) | `#[repr(C)] struct`, `extern "C" fn` | what the C files of the patch see |
//! | [`#[derive(KlpData)]`](macro@KlpData) | `#[repr(C)] struct` | data that one patch hands to the next |
//!
//! Items may be in any module and any file of the crate, but not in a function or an `impl`. Each
//! item makes an entry in a table that the linker assembles, and a line in a manifest that does not
//! depend on the linker. The build and the module itself, when it is loaded, compare the two.
//!
//! # What they have in common
//!
//! * A number may be any constant expression.
//! * All errors of an item are reported at once, each at its place, with what to write instead. The item
//!   itself is kept, so that one mistake does not hide another.
//! * The item's `#[cfg]` applies to everything that the macro makes of it.
//! * The same function, state or shadow variable twice is an error of `cargo check`, at both places, also
//!   across files. A trait in the message names the mistake: "conflicting implementations of trait
//!   `FunctionRedirectedTwice`", `StateIdUsedTwice`, `ShadowVariableDeclaredTwice`.
//! * "cannot find type `livepatch_is_missing_write_it_if_this_crate_is_the_patch`" says what to do; so does "the name
//!   `livepatch_must_not_be_written_twice` is defined multiple times".
//! * A module is one patch: items belong in the crate that has `livepatch!`. A library of it can offer a
//!   `macro_rules!` that declares them there.
//! * On the host, an item can be checked and tested without a kernel: the table of functions has no
//!   addresses there, so nothing of the kernel need be linked.
//!
//! # How they are built
//!
//! Each macro is a file of `macros`, with its documentation beside it, and a pipeline of three stages:
//! *parse*, *check* and *emit*. `args` fills a struct of arguments with darling, `check` has checks that
//! several macros share, `diagnostics` collects the errors, and only `emit` makes tokens.

mod args;
mod check;
mod diagnostics;
#[cfg(test)]
mod editor;
mod emit;
mod macros;
mod span;

use proc_macro::TokenStream;

#[doc = include_str!("macros/livepatch.md")]
#[proc_macro]
pub fn livepatch(input: TokenStream) -> TokenStream {
    macros::livepatch::expand(input.into()).into()
}

#[doc = include_str!("macros/klp_func.md")]
#[proc_macro_attribute]
pub fn klp_func(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::klp_func::expand(args.into(), item.into()).into()
}

#[doc = include_str!("macros/klp_syscall.md")]
#[proc_macro_attribute]
pub fn klp_syscall(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::klp_syscall::expand(args.into(), item.into()).into()
}

#[doc = include_str!("macros/kernel_types.md")]
#[proc_macro]
pub fn kernel_types(input: TokenStream) -> TokenStream {
    macros::kernel_types::expand(input.into()).into()
}

#[doc = include_str!("macros/klp_symbols.md")]
#[proc_macro_attribute]
pub fn klp_symbols(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::klp_symbols::expand(args.into(), item.into()).into()
}

#[doc = include_str!("macros/klp_state.md")]
#[proc_macro_attribute]
pub fn klp_state(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::klp_state::expand(args.into(), item.into()).into()
}

#[doc = include_str!("macros/klp_object.md")]
#[proc_macro_attribute]
pub fn klp_object(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::klp_object::expand(args.into(), item.into()).into()
}

#[doc = include_str!("macros/klp_param.md")]
#[proc_macro_attribute]
pub fn klp_param(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::klp_param::expand(args.into(), item.into()).into()
}

#[doc = include_str!("macros/klp_init.md")]
#[proc_macro_attribute]
pub fn klp_init(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::hook::expand(&macros::hook::INIT, args.into(), item.into()).into()
}

#[doc = include_str!("macros/klp_exit.md")]
#[proc_macro_attribute]
pub fn klp_exit(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::hook::expand(&macros::hook::EXIT, args.into(), item.into()).into()
}

#[doc = include_str!("macros/shadow.md")]
#[proc_macro_attribute]
pub fn shadow(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::shadow::expand(args.into(), item.into()).into()
}

#[doc = include_str!("macros/klp_c.md")]
#[proc_macro_attribute]
pub fn klp_c(args: TokenStream, item: TokenStream) -> TokenStream {
    macros::klp_c::expand(args.into(), item.into()).into()
}

#[doc = include_str!("macros/klp_data.md")]
#[proc_macro_derive(KlpData, attributes(klp))]
pub fn derive_klp_data(item: TokenStream) -> TokenStream {
    macros::klp_data::expand(item.into()).into()
}
