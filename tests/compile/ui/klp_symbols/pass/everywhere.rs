//! Each kind of symbol, in modules, under strict lints; what is not used need not be linked.

#![deny(warnings, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["A. Author <a@example.org>"],
    description: "A test",
}

/// Its constants have the names that a macro could use.
pub mod names {
    use klp_runtime::prelude::*;

    const SYMPOS: u64 = 2;

    #[klp_symbols(object = "nf_tables")]
    unsafe extern "C" {
        /// One of several, found by its position.
        #[klp(sympos = SYMPOS)]
        pub fn nft_do_chain<'a>(pkt: &'a c_int, ...) -> &'a c_int;
        /// Under another name than its own.
        #[klp(symbol = "type", sympos = 1 + SYMPOS)]
        pub static kind: c_int;
        /// As a raw identifier.
        pub static r#struct: c_int;
    }
}

#[klp_symbols]
unsafe extern "C" {
    /// A variable.
    pub static mut saved_command_line: *mut c_char;
    /// A variable of a function; two attributes are as good as one.
    #[klp(static_of = "cmdline_proc_show")]
    #[klp(symbol = "count")]
    pub static mut count_of_show: c_int;
    /// None on the host.
    #[cfg(any())]
    pub static none: NoSuchType;
}

/// The same again, as a test defines it.
#[unsafe(no_mangle)]
static defined: c_int = 7;

mod declared {
    use klp_runtime::prelude::*;

    #[klp_symbols]
    unsafe extern "C" {
        #[klp(symbol = "defined")]
        pub(crate) static other_name: c_int;
    }
}

fn main() {
    // SAFETY: it is the one above.
    assert_eq!(unsafe { declared::other_name }, 7);
}
