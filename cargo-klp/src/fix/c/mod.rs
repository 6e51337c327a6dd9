//! C, as far as it takes to copy a part of a file: tokens of what the preprocessor makes of it, and the items at its
//! top level with the names that they declare and use.

mod closure;
mod item;
mod lines;
mod token;

pub use closure::{Closure, Known, asks};
pub use item::{Item, Kind, items};
pub use token::{Token, tokens};
