//! Mistakes in the patch's own code.

use std::fs;

use super::{LIVEPATCH, Probe, assert_refused, result};

#[test]
fn a_patch_without_livepatch() {
    let patch = Probe::new("#![no_std]\nuse klp_runtime as _;\n");
    assert_refused(patch.build(), 1, &["has no `livepatch!`", "write `livepatch! {"]);
}

/// A crate that names a directory of the machine on which it was made.
#[test]
fn a_runtime_that_is_elsewhere() {
    let patch = Probe::new(LIVEPATCH);
    let manifest = patch.0.path().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("/klp-runtime\"", "/nowhere/klp-runtime\"")).unwrap();
    let texts = ["the klp-runtime that the patch's Cargo.toml names is not here", "klp-runtime = { git = "];
    assert_refused(patch.build(), 1, &texts);
}

/// A module is one patch, whatever libraries it is made of.
#[test]
fn a_library_that_is_a_patch() {
    let patch = Probe::new(LIVEPATCH);
    let library = patch.add_library(
        "#![no_std]
use klp_runtime::prelude::*;
struct Shared;
#[klp_state(id = 1, version = 1)]
impl State for Shared {}
",
    );
    assert_refused(
        patch.build(),
        1,
        &["`a_library_that_is_a_patch_library` is a library of the patch `a_library_that_is_a_patch`", "4 |"],
    );
    fs::write(library, LIVEPATCH).unwrap();
    assert_refused(
        patch.build(),
        1,
        &["two crates of this module have `livepatch!`: `a_library_that_is_a_patch", "remove `livepatch!`"],
    );
}

#[test]
fn a_patch_that_does_not_compile() {
    let patch = Probe::new(&format!("{LIVEPATCH}const N: u32 = \"text\";\n"));
    let (code, said) = result(&mut patch.build());
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("mismatched types"), "{said}");
    assert!(said.contains("patch `a_patch_that_does_not_compile` does not compile"), "{said}");
    // rustc warns of options that the kernel asks for, which is not shown and not counted.
    assert!(said.contains("due to 1 previous error\n") && !said.contains("emitted"), "{said}");
    let output = patch.build().args(["--message-format", "json"]).output().unwrap().stdout;
    let failure: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(failure["error"], "patch `a_patch_that_does_not_compile` does not compile");
    assert!(
        failure["causes"][0].as_str().unwrap().starts_with("error[E0308]: mismatched types"),
        "{failure}"
    );
}

/// What a linker or the compiler lost would be: a line of the manifest without its entry.
#[test]
fn an_entry_that_was_lost() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
core::arch::global_asm!(
    \".pushsection klp_manifest,\\\"\\\",@progbits\",
    \".asciz \\\"func\\\\tvmlinux\\\\tcmdline_proc_show\\\\t0\\\\t-\\\\t-\\\"\",
    \".popsection\"
);
"
    ));
    assert_refused(patch.build(), 1, &["has lost entries: 0 of 1 functions"]);
}

/// As gcc does it for the kernel's own code: a warning from CONFIG_FRAME_WARN on. Half of a stack is too much.
#[test]
fn frames_are_held_against_the_stack() {
    let patch = |bytes: u32| {
        Probe::new(&format!(
            "{LIVEPATCH}
#[inline(never)]
fn fill(buffer: &mut [u8; {bytes}], value: u8) {{
    buffer.iter_mut().enumerate().for_each(|(index, byte)| *byte = value.wrapping_add(index as u8));
}}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn large(_m: *mut seq_file, v: *mut c_void) -> c_int {{
    let mut buffer = [0; {bytes}];
    fill(&mut buffer, v.addr() as u8);
    core::hint::black_box(&buffer)[v.addr() % {bytes}].into()
}}
"
        ))
    };
    let said = |bytes: u32| result(&mut patch(bytes).build());
    let (code, quiet) = said(1500);
    assert!(code == 0 && !quiet.contains("warning"), "{quiet}");
    let (code, warned) = said(3000);
    let warning = "warning: src/lib.rs:9: `frames_are_held_against_the_stack::large` takes 30";
    assert!(code == 0 && warned.contains(warning) && warned.contains("2048 (CONFIG_FRAME_WARN)"), "{warned}");
    for bytes in [12000, 24000] {
        let (code, refused) = said(bytes);
        let fault =
            format!("src/lib.rs:9: `frames_are_held_against_the_stack::large` takes {}", bytes / 1000);
        assert!(
            code == 1 && refused.contains(&fault) && refused.contains("a task has 16384 bytes"),
            "{refused}"
        );
        assert!(!refused.contains("objtool"), "{refused}");
    }
}

/// A note of rustc's that names a C file is not a tool's warning.
#[test]
fn warnings_of_rustc_are_not_those_of_tools() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
#[deprecated(note = \"see fs/proc/cmdline.c: it is not needed\")]
fn old() -> c_int {{ 3 }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int {{ old() }}
"
    ));
    let (code, said) = result(&mut patch.build());
    assert!(code == 0 && said.contains("see fs/proc/cmdline.c: it is not needed"), "{said}");
}
