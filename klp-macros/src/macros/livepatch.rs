//! `livepatch!`.

use darling::FromMeta;
use darling::ast::NestedMeta;
use klp_format::manifest::{self, Fix, Line};
use klp_format::{Table, env};
use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Meta, MetaNameValue, Token, token};

use crate::args::{self, Arguments, Number, Parsed, Switch, Text, Texts};
use crate::diagnostics::{Diagnostics, Reported, list, nearest};
use crate::emit::{
    self, c_string, crate_name, entry, entry_type, hidden, host_section, host_symbol, modinfo,
    modinfo_number, patch_type,
};

/// What the kernel's `license_is_gpl_compatible` accepts.
const LICENSES: &[&str] =
    &["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

#[derive(FromMeta)]
struct Args {
    license: Option<Text>,
    authors: Option<Texts>,
    description: Option<Text>,
    replace: Option<Switch>,
    enable: Option<Switch>,
    version: Option<Text>,
    imports_ns: Option<Texts>,
    fixes: Option<Texts>,
    series: Option<Text>,
    revision: Option<Number>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("license", "license: \"GPL\""),
        ("authors", "authors: [\"A. Author <a@example.org>\"]"),
        ("description", "description: \"…\""),
        ("replace", "replace: true"),
        ("enable", "enable: false"),
        ("version", "version: \"1.0\""),
        ("imports_ns", "imports_ns: [\"NAME\"]"),
        ("fixes", "fixes: [\"CVE-2026-12345\"]"),
        ("series", "series: \"example.org: network fixes\""),
        ("revision", "revision: 1"),
    ];
}

/// What the patch says of itself, checked.
struct Patch<'a> {
    modinfo: Vec<(&'static str, String)>,
    replace: TokenStream,
    enable: bool,
    fixes: Vec<String>,
    /// The series, and the patch's number in it.
    series: Option<(String, &'a Number)>,
}

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let parsed = parse(&mut diagnostics, input);
    let table = match check(&mut diagnostics, &parsed) {
        Ok(patch) => emit(&patch),
        // The type is declared whatever is wrong: the others refer to it.
        Err(Reported { .. }) => declare(&quote!(false), &TokenStream::new()),
    };
    diagnostics.attach(table)
}

/// Parses `key: value, …` into what darling reads.
fn parse(diagnostics: &mut Diagnostics, input: TokenStream) -> Parsed<Args> {
    let mut items = Vec::new();
    let fields = |input: ParseStream<'_>| {
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            if let Some(equals) = input.parse::<Option<Token![=]>>()? {
                diagnostics.error(equals, format!("expected a colon, found `=`: write `{key}: …`"));
            } else {
                input.parse::<Token![:]>()?;
            }
            let value: Expr = input.parse()?;
            items.push(NestedMeta::Meta(Meta::NameValue(MetaNameValue {
                path: key.into(),
                eq_token: token::Eq::default(),
                value,
            })));
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    };
    let syntax = fields.parse2(input);
    let complete = syntax.is_ok();
    if let Err(error) = syntax {
        diagnostics.push(error);
    }
    let mut parsed = args::from_items(diagnostics, items);
    if !complete {
        // Keys may stand behind the place where the syntax is wrong.
        parsed.assume_written();
    }
    parsed
}

fn check<'a>(diagnostics: &mut Diagnostics, parsed: &'a Parsed<Args>) -> Result<Patch<'a>, Reported> {
    parsed.require(diagnostics, "license", "or another one that the kernel takes for GPL-compatible");
    parsed.require(diagnostics, "authors", "so that `modinfo` names who to ask");
    parsed.require(diagnostics, "description", "so that `modinfo` says what is fixed");

    let args = &parsed.args;
    let mut modinfo = Vec::new();
    if let Some(license) = &args.license {
        check_license(diagnostics, license);
        modinfo.push(("license", license.value()));
    }
    if let Some(Texts(authors, span)) = &args.authors {
        if authors.is_empty() {
            diagnostics.error_at(*span, "no author: write `[\"A. Author <a@example.org>\"]`");
        }
        for author in authors {
            check_text(diagnostics, "an author", author);
            modinfo.push(("author", author.value()));
        }
    }
    let texts = [("description", &args.description), ("version", &args.version), ("series", &args.series)];
    for (key, text) in texts {
        if let Some(text) = text {
            check_text(diagnostics, &format!("the {key}"), text);
            modinfo.push((key, text.value()));
        }
    }
    for namespace in args.imports_ns.iter().flat_map(|Texts(namespaces, _)| namespaces) {
        check_namespace(diagnostics, namespace);
        modinfo.push(("import_ns", namespace.value()));
    }
    let fixes = check_fixes(diagnostics, args.fixes.as_ref());
    modinfo.extend(fixes.iter().map(|fix| ("fixes", fix.clone())));
    let enable = match &args.enable {
        None => true,
        Some(enable) => enable.literal().unwrap_or_else(|| {
            let message =
                "whether the module is a livepatch is part of what `modinfo` shows: write `true` or `false`";
            diagnostics.error(enable, message);
            true
        }),
    };
    if enable {
        modinfo.push(("livepatch", "Y".to_owned()));
    }

    let series = check_series(diagnostics, parsed);

    diagnostics.check()?;
    let replace = args.replace.as_ref().map_or_else(|| quote!(false), |replace| quote!(#replace));
    Ok(Patch { modinfo, replace, enable, fixes, series })
}

/// Checks what the patch fixes.
fn check_fixes(diagnostics: &mut Diagnostics, fixes: Option<&Texts>) -> Vec<String> {
    let Some(Texts(fixes, span)) = fixes else { return Vec::new() };
    if fixes.is_empty() {
        diagnostics.error_at(*span, "no fix: write `[\"CVE-2026-12345\"]`, or leave `fixes` out");
    }
    let mut names: Vec<String> = Vec::new();
    for fix in fixes {
        let name = fix.value();
        check_text(diagnostics, "a fix", fix);
        if is_cve(&name) == Some(false) {
            let message = format!("expected `CVE-YEAR-NUMBER`, found `{name}`: write it as `CVE-2026-12345`");
            diagnostics.error(fix, message);
        }
        if names.contains(&name) {
            diagnostics.error(fix, format!("`{name}` is there twice: remove one of the two"));
        }
        names.push(name);
    }
    names
}

/// Whether the identifier of a CVE is well-formed; `None` for another identifier.
fn is_cve(name: &str) -> Option<bool> {
    let mut parts = name.trim().splitn(3, '-');
    if !parts.next()?.eq_ignore_ascii_case("CVE") {
        return None;
    }
    let is_number =
        |part: &str, digits| part.len() >= digits && part.bytes().all(|byte| byte.is_ascii_digit());
    let (year, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    Some(name.starts_with("CVE-") && year.len() == 4 && is_number(year, 4) && is_number(number, 4))
}

/// Checks that a series and a revision are both there or neither.
fn check_series<'a>(diagnostics: &mut Diagnostics, parsed: &'a Parsed<Args>) -> Option<(String, &'a Number)> {
    let args = &parsed.args;
    match (&args.series, &args.revision) {
        (Some(series), Some(revision)) => return Some((series.value(), revision)),
        (Some(series), None) if !parsed.has("revision") => {
            diagnostics.error(series, "a patch of a series has a number in it: write `revision: 1` as well");
        }
        (None, Some(revision)) if !parsed.has("series") => {
            diagnostics
                .error(revision, "nothing says what it is a revision of: write `series: \"…\"` as well");
        }
        _ => {}
    }
    None
}

fn check_license(diagnostics: &mut Diagnostics, license: &Text) {
    let value = license.value();
    if LICENSES.contains(&&*value) {
        return;
    }
    let known = list(LICENSES.iter().copied());
    let hint = nearest(&value, LICENSES.iter().copied())
        .map_or_else(|| "it takes".to_owned(), |name| format!("did you mean `{name}`? It takes"));
    diagnostics.error(
        license,
        format!(
            "the kernel does not take `{value}` for GPL-compatible, which a livepatch must be: {hint} {known}"
        ),
    );
}

fn check_text(diagnostics: &mut Diagnostics, what: &str, text: &Text) {
    let value = text.value();
    if value.trim().is_empty() {
        diagnostics.error(text, format!("{what} is empty"));
    } else if let Some(control) = value.chars().find(|character| character.is_control()) {
        diagnostics
            .error(text, format!("{what} has the character {control:?}: `modinfo` has room for one line"));
    }
}

/// Checks a symbol namespace, which modpost and the kernel compare with those of the exports.
fn check_namespace(diagnostics: &mut Diagnostics, namespace: &Text) {
    check_text(diagnostics, "a symbol namespace", namespace);
    if namespace.value().starts_with("module:") {
        diagnostics.error(
            namespace,
            "no module can import this namespace, which names the modules that may use the symbols: declare the symbols \
             under `#[klp_symbols]` instead",
        );
    }
}

/// The type that everything else refers to, and with it what a test on the host loads.
///
/// All of it stands in one module, so that a second `livepatch!` is one error, which has the module's
/// name. The type has another name than what refers to it, for the messages of rustc that show it.
fn declare(replace: &TokenStream, tables: &TokenStream) -> TokenStream {
    let patch = patch_type();
    quote! {
        #[doc(hidden)]
        mod livepatch_must_not_be_written_twice {
            #[allow(unused_imports)]
            use super::*;

            #[allow(dead_code)]
            pub(super) enum ThisPatch {
                Replace = {
                    const __KLP_REPLACE: bool = #replace;
                    __KLP_REPLACE as isize
                },
            }

            #[allow(non_camel_case_types)]
            pub(super) type #patch = ThisPatch;

            #tables
        }

        #[allow(unused_imports)]
        pub use livepatch_must_not_be_written_twice::*;

        // Names it as the others do, so that a `livepatch!` in a module is an error here.
        const _: ::core::option::Option<crate::#patch> = ::core::option::Option::None;
    }
}

fn emit(patch: &Patch<'_>) -> TokenStream {
    let name = patch_type();
    let modinfo = patch.modinfo.iter().map(|(key, value)| modinfo(key, value));
    let (replace, enable) = (quote!(#name::Replace as u32), patch.enable);
    let mut value = quote!(::klp_runtime::__private::PatchEntry::new(#replace != 0, #enable));
    let mut revision = quote!(0);
    let mut revision_in_modinfo = None;
    if let Some((series, number)) = &patch.series {
        let series = c_string(series);
        revision = quote!({
            const __KLP_REVISION: u64 = #number;
            __KLP_REVISION
        });
        value = quote!(#value.in_series(#series, #revision));
        revision_in_modinfo = Some(modinfo_number("revision", &revision));
    }
    let hidden = hidden(&[], &entry(Table::Patch, &value));
    // The sizes let the build count the entries of a table without knowing this runtime's.
    let entry_sizes = Table::COUNTED.map(|table| {
        let entry = entry_type(table);
        quote!(::core::mem::size_of::<#entry>())
    });
    let line = manifest::Patch {
        krate: crate_name(),
        replace,
        enable,
        abi_version: quote!(::klp_runtime::__private::ABI_VERSION),
        series: patch.series.as_ref().map(|(series, _)| series.clone()),
        revision,
        entry_sizes,
    };
    let manifest = emit::manifest(&[], Line::Patch(line));
    let fixes = patch.fixes.iter().map(|fix| emit::manifest(&[], Line::Fix(Fix { name: fix.clone() })));
    let declaration = declare(&patch.replace, &host_tables());
    let kernel_crate = std::env::var(env::KERNEL_CRATE).ok().map(|rustc| for_kernel_crate(&rustc));
    quote! {
        #declaration
        #(#modinfo)*
        #kernel_crate
        #revision_in_modinfo
        #hidden
        #manifest
        #(#fixes)*
    }
}

/// What a patch has that uses the target's `kernel` crate: what begins the lines of that crate's `pr_info!`, and the rustc
/// that has compiled it.
fn for_kernel_crate(rustc: &str) -> TokenStream {
    let rustc = modinfo("rustc", rustc);
    let prefix = Literal::byte_string(format!("{}\0", crate_name()).as_bytes());
    quote! {
        #rustc

        #[doc(hidden)]
        #[allow(dead_code)]
        const __LOG_PREFIX: &[u8] = #prefix;
    }
}

/// By what a test on the host loads the patch: the function `livepatch`.
///
/// The bounds are put down by the assembler, which can say that a table may be absent.
fn host_tables() -> TokenStream {
    let symbol = host_symbol("__klp_tables");
    let mut lines = vec![
        ".pushsection .data.rel.ro,\"aw\",@progbits".to_owned(),
        ".balign 8".to_owned(),
        format!(".globl {symbol}"),
        format!("{symbol}:"),
    ];
    // In the order of `Bounds`.
    for table in Table::ALL {
        for end in ["start", "stop"] {
            let bound = format!("__{end}_{}", host_section(table));
            lines.push(format!(".weak {bound}"));
            lines.push(format!(".quad {bound}"));
        }
    }
    lines.push(".popsection".to_owned());
    let name = c_string(&crate_name());
    quote! {
        #[cfg(not(target_os = "none"))]
        ::klp_runtime::__private::global_asm!(#(#lines),*);

        /// This patch, for tests on the host: what `klp_runtime::sim` loads.
        #[cfg(not(target_os = "none"))]
        #[allow(dead_code)]
        pub fn livepatch() -> ::klp_runtime::tables::Tables {
            unsafe extern "C" {
                #[link_name = #symbol]
                static BOUNDS: ::klp_runtime::tables::Bounds;
            }
            // SAFETY: The assembler has put them down above.
            unsafe { ::klp_runtime::tables::Tables::within(#name, &BOUNDS) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(input: TokenStream) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        let parsed = parse(&mut diagnostics, input);
        let _ = check(&mut diagnostics, &parsed);
        diagnostics.messages()
    }

    #[test]
    fn every_license_of_the_kernel_is_taken() {
        for license in LICENSES {
            let input = quote!(license: #license, authors: ["a"], description: "d");
            assert_eq!(messages(input), Vec::<String>::new());
        }
    }

    #[test]
    fn modinfo_is_complete_and_terminated() {
        let input = quote!(license: "GPL", authors: ["a", "b"], description: "d", version: "1",);
        let expanded = expand(input).to_string();
        for line in ["license=GPL", "author=a", "author=b", "description=d", "version=1", "livepatch=Y"] {
            assert!(expanded.contains(&format!(r#".asciz \"{line}\""#)), "{line} in {expanded}");
        }
    }

    #[test]
    fn a_fix_is_an_identifier_that_stands_once() {
        let messages = |fixes: TokenStream| {
            messages(quote!(license: "GPL", authors: ["a"], description: "d", fixes: #fixes)).join("\n")
        };
        assert_eq!(messages(quote!(["CVE-2026-12345", "CVE-2026-0001", "bug 7"])), "");
        for (fixes, message) in [
            (quote!([]), "no fix: write"),
            (quote!([" "]), "a fix is empty"),
            (quote!(["a\tb"]), "has the character '\\t'"),
            (quote!(["CVE-2026-1"]), "expected `CVE-YEAR-NUMBER`, found `CVE-2026-1`"),
            (quote!(["cve-2026-12345"]), "expected `CVE-YEAR-NUMBER`"),
            (quote!(["a", "a"]), "`a` is there twice"),
            (quote!("CVE-2026-12345"), "expected a list of strings"),
        ] {
            assert!(messages(fixes).contains(message), "{message}");
        }
    }

    #[test]
    fn a_syntax_error_is_reported_alone() {
        assert_eq!(messages(quote!(license "GPL")).len(), 1);
    }
}
