//! One file for each macro, from its arguments to its tokens, with its documentation beside it.

pub(crate) mod hook;
pub(crate) mod kernel_types;
pub(crate) mod klp_c;
pub(crate) mod klp_data;
pub(crate) mod klp_func;
pub(crate) mod klp_object;
pub(crate) mod klp_param;
pub(crate) mod klp_state;
pub(crate) mod klp_symbols;
pub(crate) mod klp_syscall;
pub(crate) mod livepatch;
pub(crate) mod shadow;
