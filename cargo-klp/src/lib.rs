//! What the `cargo klp` command is made of, as a library that xtask and the tests on real kernels use too.
