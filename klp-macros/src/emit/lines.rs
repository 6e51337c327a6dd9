//! Lines that the assembler puts into a section: of the manifest and of what `modinfo` shows.

use klp_format::manifest::{self, Column, Line};
use proc_macro2::TokenStream;
use quote::quote;
use syn::Attribute;

/// One line of the manifest, whose numbers are constant expressions of integer types.
///
/// It goes another way than the entry, an assembler directive, so that whatever drops one of them
/// keeps the other. `global_asm!` by a name that says what is wrong where it can't stand: rustc's
/// error shows it.
pub(crate) fn manifest(cfgs: &[&Attribute], line: Line<TokenStream>) -> TokenStream {
    let section = format!(".pushsection {},\"\",@progbits", manifest::SECTION);
    let mut directive = String::from(".asciz \"");
    let mut operands = Vec::new();
    for (i, column) in manifest::write(line).into_iter().enumerate() {
        if i > 0 {
            directive.push_str("\\t");
        }
        match column {
            Column::Text(text) => directive.push_str(&asm_text(&text)),
            Column::Number(number) => {
                directive.push_str("{}");
                operands.push(number);
            }
        }
    }
    directive.push('"');
    quote! {
        #(#cfgs)*
        ::klp_runtime::__private::this_item_belongs_in_a_module_not_in_a_function_or_impl!(
            #section,
            #directive,
            ".popsection",
            #(const #operands,)*
        );
    }
}

/// One line of what `modinfo` shows.
///
/// By the assembler too: a `#[used]` static would be marked as to be retained, and the kernel's
/// `.modinfo` is not, so that a module would have two sections of that name, which no kernel loads.
pub(crate) fn modinfo(key: &str, value: &str) -> TokenStream {
    let line = format!(".asciz \"{}={}\"", asm_text(key), asm_text(value));
    quote! {
        ::klp_runtime::__private::global_asm!(
            ".pushsection .modinfo,\"a\",@progbits",
            #line,
            ".popsection",
        );
    }
}

/// As [`modinfo`], of a number that is a constant expression.
pub(crate) fn modinfo_number(key: &str, number: &TokenStream) -> TokenStream {
    let line = format!(".asciz \"{}={{}}\"", asm_text(key));
    quote! {
        ::klp_runtime::__private::global_asm!(
            ".pushsection .modinfo,\"a\",@progbits",
            #line,
            ".popsection",
            const #number,
        );
    }
}

/// A text as it stands between quotes in the template of `global_asm!`.
fn asm_text(text: &str) -> String {
    let mut quoted = String::new();
    for character in text.chars() {
        match character {
            '{' | '}' => quoted.extend([character, character]),
            '"' | '\\' => quoted.extend(['\\', character]),
            _ => quoted.push(character),
        }
    }
    quoted
}
