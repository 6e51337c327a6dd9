# The first steps of the README with a new patch, in a directory outside of the repository, by a command that is compiled
# here without optimizations.
cargo build --package cargo-klp
PATH=$PWD/target/debug:$PATH
cargo-klp klp doctor --fix
cd "$HOME"
cargo klp new fix_fifo
cd fix_fifo
cargo klp check
cargo klp build
cargo klp run -- cat /proc/cmdline
