//! The commands, on a machine that the tests make.

mod fake;
mod ko;
mod load;
mod stall;
mod status;
