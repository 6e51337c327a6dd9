#![no_std]
//! The runtime of klp.
