//! Modules of whose objects there are shadow variables.

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

struct S;

#[klp_state(id = 1, version = 1)]
impl State for S {}

#[shadow(state = S, of = file, unsafe(object = ""))]
#[repr(C)]
struct Empty {}

#[shadow(state = S, of = file, unsafe(object = "nf-tables"))]
#[repr(C)]
struct Dash {}

#[shadow(state = S, of = file, unsafe(object = "kernel/net/netfilter/nf_tables.ko.xz"))]
#[repr(C)]
struct Path {}

#[shadow(state = S, of = file, unsafe(object = nf_tables))]
#[repr(C)]
struct Ident {}

#[shadow(state = S, of = file, object = "nf_tables")]
#[repr(C)]
struct Bare {}

#[shadow(state = S, of = file, unsafe(name = "nf_tables"))]
#[repr(C)]
struct Other {}

#[shadow(state = S, of = file, unsafe)]
#[repr(C)]
struct Nothing {}

fn main() {}
