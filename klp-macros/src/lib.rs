//! The macros of klp.
