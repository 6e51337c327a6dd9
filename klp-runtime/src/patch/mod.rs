//! What a patch declares: the traits behind the macros, with the trampolines that the tables point to.

pub mod layout;
pub mod native;
pub mod object;
pub mod param;
pub mod shadow;
pub(crate) mod signature;
pub mod state;
pub mod syscall;
pub mod types;
