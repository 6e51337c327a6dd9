//! `#[shadow]`.

use darling::FromMeta;
use klp_format::manifest::{self, Line};
use klp_format::{Table, VMLINUX};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput};

use super::klp_data::check_generics;
use crate::args::{self, Arguments, Flag, Nested, Number, Parsed, Text, TypeName};
use crate::check::id::{check_id, id_assertions};
use crate::check::name::check_name;
use crate::check::name::check_object;
use crate::diagnostics::{Diagnostics, Reported};
use crate::emit::{self, alignment, c_string, cfgs, entry, hidden, unique};
use crate::span::{item_span, source_location};

#[derive(FromMeta)]
struct Args {
    of: Option<TypeName>,
    state: Option<TypeName>,
    id: Option<Number>,
    version: Option<Number>,
    name: Option<Text>,
    object: Option<Text>,
    sleepable: Option<Flag>,
    #[darling(rename = "unsafe")]
    promise: Option<Nested>,
}

impl Arguments for Args {
    const KEYS: &'static [(&'static str, &'static str)] = &[
        ("of", "of = task_struct"),
        ("state", "state = MyState"),
        ("id", "id = 1"),
        ("version", "version = 1"),
        ("name", "name = \"…\""),
        ("object", PROMISE),
        ("sleepable", "sleepable"),
        ("unsafe", PROMISE),
    ];
}

/// How the module of the objects is written.
const PROMISE: &str = "unsafe(object = \"nf_tables\")";

/// What stands in `unsafe(…)`.
#[derive(FromMeta)]
struct Promise {
    object: Option<Text>,
}

impl Arguments for Promise {
    const KEYS: &'static [(&'static str, &'static str)] = &[("object", "object = \"nf_tables\"")];
}

/// What a shadow variable lives as long as.
enum Owner<'a> {
    /// A state that is declared elsewhere.
    State(&'a TypeName),
    /// One of its own.
    Own { id: &'a Number, version: TokenStream },
}

/// A shadow variable, checked.
struct Variable<'a> {
    input: &'a DeriveInput,
    of: &'a TypeName,
    owner: Owner<'a>,
    name: String,
    /// What the user wrote for the name.
    named: TokenStream,
    /// The module whose objects it hangs on, if it goes with them, and where that was promised.
    object: Option<(String, Span)>,
    sleepable: bool,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut diagnostics = Diagnostics::default();
    let args = args::parse(&mut diagnostics, args);
    let input = parse(&mut diagnostics, &item);
    let table = match check(&mut diagnostics, &args, &input) {
        Ok(variable) => emit(&variable),
        Err(Reported { .. }) => TokenStream::new(),
    };
    // The derive checks the layout, and knows the attributes of the fields.
    let item = match &input {
        Ok(input) if derives_klp_data(&input.attrs) => item,
        Ok(_) => quote!(#[derive(::klp_runtime::KlpData)] #item),
        Err(Reported { .. }) => without_helpers(item),
    };
    diagnostics.attach(quote!(#item #table))
}

/// The item without the attributes that only the derive knows.
fn without_helpers(item: TokenStream) -> TokenStream {
    match syn::parse2::<DeriveInput>(item.clone()) {
        Ok(mut input) => {
            if let Data::Struct(data) = &mut input.data {
                for field in &mut data.fields {
                    field.attrs.retain(|attribute| !attribute.path().is_ident("klp"));
                }
            }
            quote!(#input)
        }
        Err(_) => item,
    }
}

/// Whether the user wrote `#[derive(KlpData)]` as well, below the attribute.
fn derives_klp_data(attrs: &[Attribute]) -> bool {
    let mut found = false;
    for attribute in attrs.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        // What is no list of paths, rustc reports.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.segments.last().is_some_and(|segment| segment.ident == "KlpData");
            Ok(())
        });
    }
    found
}

/// The item as a struct that the derive can do something with.
fn parse(diagnostics: &mut Diagnostics, item: &TokenStream) -> Result<DeriveInput, Reported> {
    let message = "`#[shadow]` belongs on a struct: write it above `#[repr(C)] struct …`";
    let input: DeriveInput =
        syn::parse2(item.clone()).map_err(|_| diagnostics.error_at(item_span(item), message))?;
    if !matches!(input.data, Data::Struct(_)) {
        return Err(diagnostics.error_at(item_span(item), message));
    }
    check_generics(diagnostics, &input, "a shadow variable")?;
    Ok(input)
}

fn check<'a>(
    diagnostics: &mut Diagnostics,
    parsed: &'a Result<Parsed<Args>, Reported>,
    input: &'a Result<DeriveInput, Reported>,
) -> Result<Variable<'a>, Reported> {
    let parsed = parsed.as_ref().map_err(|reported| *reported)?;
    parsed.require(diagnostics, "of", "the kernel's type of the objects that it hangs on");
    let owner = check_owner(diagnostics, parsed);

    let args = &parsed.args;
    if let Some(name) = &args.name {
        // What was reported ends the check below, with all else.
        let _ = check_name(diagnostics, &name.value(), name);
    }
    let object = check_promise(diagnostics, args);

    let input = input.as_ref().map_err(|reported| *reported)?;
    let struct_name = &input.ident;
    let (name, named) = match &args.name {
        Some(text) => (text.value(), quote!(#text)),
        None => {
            let name = struct_name.unraw().to_string();
            check_name(diagnostics, &name, struct_name)?;
            (name, quote!(#struct_name))
        }
    };
    diagnostics.check()?;
    let Some(of) = &args.of else {
        return Err(diagnostics.error_at(parsed.place(), "`of` is missing"));
    };
    // Objects of the kernel itself stay as long as it does.
    let object = object.filter(|(object, _)| object != VMLINUX);
    Ok(Variable { input, of, owner: owner?, name, named, object, sleepable: args.sleepable.is_some() })
}

/// The module in `unsafe(object = …)`, and where that stands.
fn check_promise(diagnostics: &mut Diagnostics, args: &Args) -> Option<(String, Span)> {
    if let Some(object) = &args.object {
        let message = format!(
            "nothing checks that all the objects are those of the module, and where one is not, its variable is freed \
             under its users: this needs your promise, write `unsafe(object = {:?})`",
            object.value()
        );
        diagnostics.error(object, message);
    }
    let list = args.promise.as_ref()?;
    let promise = args::nested::<Promise>(diagnostics, list).ok()?;
    promise.require(diagnostics, "object", "the module of the objects");
    let object = promise.args.object?;
    check_object(diagnostics, &object);
    Some((object.value(), list.span()))
}

fn check_owner<'a>(diagnostics: &mut Diagnostics, parsed: &'a Parsed<Args>) -> Result<Owner<'a>, Reported> {
    let args = &parsed.args;
    match (parsed.has("state"), parsed.has("id")) {
        (true, true) => {
            let message = "`state` and `id` exclude each other: write `state = …` for a variable that lives as \
                           long as that state, or `id = …` for one with a state of its own";
            Err(match &args.id {
                Some(id) => diagnostics.error(id, message),
                None => diagnostics.error_at(parsed.place(), message),
            })
        }
        (false, false) => Err(diagnostics.error_at(
            parsed.place(),
            "`state` is missing: write `state = MyState`, the state that the variable lives as long as, or `id = 1` \
             to give it one of its own",
        )),
        (true, false) => {
            if let Some(version) = &args.version {
                let message = "the version is the state's: write it at the state's `#[klp_state]`";
                return Err(diagnostics.error(version, message));
            }
            match &args.state {
                Some(state) => Ok(Owner::State(state)),
                None => Err(diagnostics.check().err().unwrap_or_else(|| {
                    diagnostics.error_at(parsed.place(), "`state` is missing")
                })),
            }
        }
        (false, true) => match &args.id {
            Some(id) => {
                check_id(diagnostics, id);
                let version = args.version.as_ref().map_or_else(|| quote!(1), |version| quote!(#version));
                Ok(Owner::Own { id, version })
            }
            None => Err(diagnostics
                .check()
                .err()
                .unwrap_or_else(|| diagnostics.error_at(parsed.place(), "`id` is missing"))),
        },
    }
}

fn emit(variable: &Variable<'_>) -> TokenStream {
    let Variable { input, of, owner, name, named, object, sleepable } = variable;
    let ty = &input.ident;
    let cfgs = cfgs(&input.attrs);
    let (name_literal, of_name) = (c_string(name), of.name());
    let of_literal = c_string(&of_name);
    let object_literal = match object {
        // With the author's own `unsafe`, so that `forbid(unsafe_code)` sees it. Of a comment before the attribute
        // clippy thinks that it is about the struct.
        Some((object, promise)) => {
            let literal = c_string(object);
            let call = quote!(::klp_runtime::__private::objects_of(#literal));
            quote_spanned!(*promise=> unsafe { #call })
        }
        None => quote!(::core::option::Option::None),
    };
    let as_shadow = quote!(<#ty as ::klp_runtime::shadow::Shadow>);

    let (state, slot) = match owner {
        Owner::State(state) => {
            let as_state = quote_spanned!(state.span()=> <#state as ::klp_runtime::state::State>);
            (quote!(#as_state::ID), quote!(#as_state::SLOT))
        }
        Owner::Own { id, .. } => (quote!(#id), own_slot()),
    };
    let entry_tokens = entry(Table::Shadows, &quote!(::klp_runtime::__private::ShadowEntry::of::<#ty>()));
    let alignment = alignment(ty, "a shadow variable", ty);
    let (own_id, state_id) = (quote!(#as_shadow::ID), quote!(#as_shadow::STATE));
    let (uniqueness, own_state) = match owner {
        Owner::State(_) => (unique("ShadowVariableDeclaredTwice", &own_id, named), TokenStream::new()),
        Owner::Own { id, version } => (
            unique("StateIdUsedTwice", &state_id, id),
            implicit_state(&cfgs, ty, name, &as_shadow, version, id),
        ),
    };
    let hidden = hidden(
        &cfgs,
        &quote! {
            // SAFETY: The id is that of no other variable, which is checked
            // below for this patch, and by the name of the state for others.
            // The layout is in the fingerprint.
            unsafe impl ::klp_runtime::shadow::Shadow for #ty {
                type Of = #of;
                const ID: u64 = ::klp_runtime::__private::derived_id(Self::STATE, #name);
                const STATE: u64 = #state;
                const NAME: &'static ::core::ffi::CStr = #name_literal;
                const OF: &'static ::core::ffi::CStr = #of_literal;
                #[allow(clippy::undocumented_unsafe_blocks)]
                const OBJECT: ::core::option::Option<&'static ::core::ffi::CStr> = #object_literal;
                const SLEEPABLE: bool = #sleepable;
                const __SLOT: *const ::klp_runtime::__private::DataSlot = #slot;
            }
            #entry_tokens
            #alignment
            #uniqueness
        },
    );
    let line = manifest::Shadow {
        id: own_id,
        state: state_id,
        name: name.clone(),
        of: of_name,
        sleepable: *sleepable,
        object: object.as_ref().map(|(object, _)| object.clone()),
        place: source_location(of),
    };
    let manifest = emit::manifest(&cfgs, Line::Shadow(line));
    quote!(#hidden #own_state #manifest)
}

/// The slot of the state of a variable that has an `id`.
fn own_slot() -> TokenStream {
    quote! {{
        static SLOT: ::klp_runtime::__private::DataSlot = ::klp_runtime::__private::DataSlot::new();
        &raw const SLOT
    }}
}

/// The state of a variable that has an `id`.
fn implicit_state(
    cfgs: &[&Attribute],
    ty: &Ident,
    name: &str,
    as_shadow: &TokenStream,
    version: &TokenStream,
    at: &Number,
) -> TokenStream {
    let id = quote!(#as_shadow::STATE);
    let literal = c_string(name);
    let entry = entry(
        Table::States,
        &quote!(::klp_runtime::__private::StateEntry::implicit(#id, #version, #literal, #as_shadow::__SLOT)),
    );
    let assertions = id_assertions(&id, at);
    let hidden = hidden(
        cfgs,
        &quote! {
            // SAFETY: The id is that of no other state, which is checked.
            unsafe impl ::klp_runtime::__private::OwnsState for #ty {}
            #entry
            #assertions
        },
    );
    let line = manifest::State {
        id: id.clone(),
        version: version.clone(),
        name: name.to_owned(),
        flags: quote!(0),
        callbacks: Vec::new(),
    };
    let manifest = emit::manifest(cfgs, Line::State(line));
    quote!(#hidden #manifest)
}
