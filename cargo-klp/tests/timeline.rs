//! `cargo klp timeline` on two versions of a patch: the drawing in the guide, and what it refuses.
//!
//! Needs a kernel 6.12: `cargo klp doctor --fix --kernel 6.12` gets it.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{klp, succeed};

/// The top of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[test]
fn the_guide_shows_what_the_model_calls() {
    let mut build = klp();
    build.args(["build", "--kernel", "6.12", "-p", "livepatch-loglevel-v1", "-p", "livepatch-loglevel-v2"]);
    let output = succeed(build.current_dir(ROOT));
    let built = String::from_utf8(output.stdout).unwrap();
    let [v1, v2] = built.lines().map(PathBuf::from).collect::<Vec<_>>().try_into().unwrap();

    let output = succeed(klp().args(["timeline", "--format", "svg"]).args([&v1, &v2]));
    let drawn = String::from_utf8(output.stdout).unwrap();
    let page = Path::new(ROOT).join("docs/guide/src/loglevel.svg");
    assert!(
        fs::read_to_string(&page).is_ok_and(|shown| shown == drawn),
        "the guide's drawing is an old one: cargo klp timeline --format svg {} {} > {}",
        v1.display(),
        v2.display(),
        page.display()
    );

    let output = succeed(klp().args(["timeline", "--format", "json"]).args([&v1, &v2]));
    let drawn: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let moment = &drawn["scenes"][0]["moments"][5];
    assert_eq!(moment["action"], "transition ends");
    assert_eq!(moment["standings"], serde_json::json!(["nobody", "all"]));
    assert_eq!(moment["calls"][0]["callback"], "take_over");

    // Each refusal says what to do instead.
    let manifest = Path::new(ROOT).join("Cargo.toml");
    for (files, expected) in [
        (
            [&v2, &v1],
            "livepatch_loglevel_v1 is refused while livepatch_loglevel_v2 is enabled: state ConsoleLoglevel",
        ),
        ([&v1, &v1], "livepatch_loglevel_v1 is given twice"),
        ([&v1, &manifest], "is not a kernel module"),
    ] {
        let output = klp().arg("timeline").args(files).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected) && said.contains("help: ") && output.stdout.is_empty(), "{said}");
    }
}
