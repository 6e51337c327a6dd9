//! Tests of the pages; see `snippets.rs`.
