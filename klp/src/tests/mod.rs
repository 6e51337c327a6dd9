//! The commands, on a machine that the tests make.

mod beside;
mod boot;
mod dump;
mod fake;
mod guard;
mod install;
mod ko;
mod load;
mod metrics;
mod plan;
mod stall;
mod status;
