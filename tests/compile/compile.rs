//! What the macros refuse, and how they say it.
//!
//! A directory for each macro in `ui/`: what compiles is in its `pass/`, everything
//! else has a `.stderr` beside it. `TRYBUILD=overwrite cargo test -p klp-compile-tests
//! --test compile` writes the latter anew: read the difference.

#[test]
fn ui() {
    let tests = trybuild::TestCases::new();
    tests.pass("ui/*/pass/*.rs");
    tests.compile_fail("ui/*/*.rs");
}
