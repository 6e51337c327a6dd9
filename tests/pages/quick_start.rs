//! The quick start of the guide, command by command, as its reader runs it.
//!
//! In order: a block `sh,run` is run by a shell, a block `rust,file=PATH` is written to that file, and what the commands
//! have printed contains each line of a block `text,prints`. Needs a kernel 6.12 and QEMU: `cargo klp doctor --fix
//! --kernel 6.12` gets them.

use std::fs;
use std::process::{Command, Stdio};

use klp_page_tests::{blocks, path_with, root};

#[test]
fn it_does_what_it_says() {
    let path = path_with(&["cargo-klp"]);
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().join("here");
    fs::write(&here, directory.path().to_str().unwrap()).unwrap();
    let mut printed = String::new();
    let mut commands = 0;
    for block in blocks(&root().join("docs/guide/src/quick-start.md")) {
        if let Some(file) = block.words().find_map(|word| word.strip_prefix("file=")) {
            fs::write(directory.path().join(file), &block.code).unwrap();
        } else if block.has("run") {
            commands += 1;
            // What is compiled of klp is kept for the next time; standard error is a part of what a reader sees.
            let output = Command::new("sh")
                .args(["-e", "-c", &format!("exec 2>&1\n{}\npwd > \"$HERE\"", block.code)])
                // Where the block before has gone.
                .current_dir(fs::read_to_string(&here).unwrap().trim_end())
                .env("HERE", &here)
                .env("CARGO_TARGET_DIR", root().join("target/tmp/patches"))
                .env("PATH", &path)
                .env_remove("MAKEFLAGS")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            printed = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{}\n{printed}", block.code);
        } else if block.has("prints") {
            for line in block.code.lines() {
                assert!(printed.contains(line), "nothing has printed `{line}`:\n{printed}");
            }
        }
    }
    assert!(commands > 3, "the page has {commands} commands to run: is it still read?");
}
