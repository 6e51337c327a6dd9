//! What more than one macro checks.

pub(crate) mod c_type;
pub(crate) mod callback;
pub(crate) mod function;
pub(crate) mod id;
pub(crate) mod name;
