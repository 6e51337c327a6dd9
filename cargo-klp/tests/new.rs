//! `cargo klp new`: the crate that it makes is checked, tested and built as it is.
//!
//! Needs a kernel 6.12: `cargo klp doctor --fix --kernel 6.12` gets it.

mod support;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_klp::kernel::btf;
use cargo_klp::patch::inspect::inspect;
use klp_format::env::BTF;
use support::{kernel, klp, succeed, target_directory};

/// A program run in the new crate; what it compiles of klp is kept for the next test. Without `cargo klp`, the types are
/// those of the kernel that the tests are for, whatever others this machine has.
fn in_crate(program: &str, crate_dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(crate_dir)
        .env("CARGO_TARGET_DIR", target_directory())
        .env("PATH", path_with_klp())
        .env(BTF, btf::file(&kernel("6.12")).unwrap().unwrap())
        .env_remove("MAKEFLAGS");
    command
}

/// `PATH` on which cargo finds `cargo klp`.
fn path_with_klp() -> OsString {
    let klp = Path::new(env!("CARGO_BIN_EXE_cargo-klp")).parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(std::iter::once(klp).chain(env::split_paths(&path))).unwrap()
}

/// Makes the crate `fix-x`, whose author is always the same.
fn new_crate(directory: &Path) -> PathBuf {
    let mut new = klp();
    new.args(["new", "fix-x"]).current_dir(directory).env("HOME", directory).env("USER", "someone");
    succeed(new.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1"));
    directory.join("fix-x")
}

#[test]
fn what_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let crate_dir = new_crate(directory.path());
    let mut text = String::new();
    for file in ["Cargo.toml", "Kbuild", ".gitignore", "README.md", "src/lib.rs"] {
        let content = fs::read_to_string(crate_dir.join(file)).unwrap();
        text.push_str(&format!("==> {file} <==\n{content}\n"));
    }
    let klp = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    // The path may be as short as `/klp`.
    let path = |klp: &str| format!("\"{klp}/klp-runtime\"");
    insta::assert_snapshot!(text.replace(&path(klp.to_str().unwrap()), &path("KLP")));
}

/// A crate for one function, with the kernel's own prototype.
#[test]
fn a_patch_for_a_function() {
    for (func, more, expected) in [
        ("vfs_read", &[][..], "fn livepatch_vfs_read(\n    file: *mut file,\n    buf: *mut c_char,"),
        ("xfs:xfs_file_open", &[], "(inode: *mut inode, file: *mut file) -> c_int {"),
        (
            "nf_tables:nft_do_chain",
            &[],
            "    object = \"nf_tables\";\n    // Between the braces: the fields that are used.\n    struct nft_pktinfo {}",
        ),
        // By value.
        ("make_kuid", &[], "    struct kuid_t;"),
        (
            "c_start",
            &["--sympos", "2"],
            "#[klp_func(symbol = \"c_start\", sympos = 2, original = original_c_start)]",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let new = ["new", "fix-x", "--kernel", "6.12", "--func", func];
        succeed(klp().args(new).args(more).current_dir(directory.path()));
        let crate_dir = directory.path().join("fix-x");
        let source = fs::read_to_string(crate_dir.join("src/lib.rs")).unwrap();
        assert!(source.contains(expected), "{source}");
        let mut check = in_crate("cargo", &crate_dir);
        succeed(check.arg("check").env("RUSTFLAGS", "-Dwarnings"));
        succeed(in_crate("cargo", &crate_dir).args(["klp", "check", "--kernel", "6.12"]));
    }
    for (func, expected) in [
        ("c_start", "write `--func c_start,…` with the position"),
        ("no_such_function", "has no symbol `no_such_function`"),
        ("nft_do_chain", "nf_tables has it: write `nf_tables:nft_do_chain`"),
        ("do_syscall_64", "can't be redirected"),
        ("seq_printf", "is variadic"),
        ("sethostname", "it is a system call: `#[klp_syscall(name = \"sethostname\", compat)]` redirects it"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let new = ["new", "fix-x", "--kernel", "6.12", "--func", func];
        let output = klp().args(new).current_dir(directory.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
        assert!(!directory.path().join("fix-x").exists(), "nothing is left");
    }
}

/// Several functions, of several objects; each that can return an error is switched off.
#[test]
fn a_patch_for_several_functions() {
    let directory = tempfile::tempdir().unwrap();
    let new = |more: &[&str]| {
        let mut new = klp();
        new.args(["new", "fix-x", "--kernel", "6.12"]).args(more).current_dir(directory.path());
        new
    };
    for (more, expected) in [
        (&["--func", "vfs_read", "--func", "vfs_read"][..], "`--func vfs_read` is there twice"),
        (
            &["--func", "vfs_read", "--func", "c_start", "--sympos", "2"],
            "write the position behind the function",
        ),
        (&["--func", "kfree", "--return", "EPERM"], "`kfree` can't return -EPERM: it returns nothing"),
        (&["--func", "fget", "--return", "EPERM"], "return `EPERM.to_ptr()` there"),
        (&["--func", "capable", "--return", "EPERM"], "its return type is `bool`"),
        (&["--func", "vfs_read", "--return", "1"], "expected the name of an errno value, one of EPERM"),
        (&["--return", "EPERM"], "--func"),
        (&["--diff", "x.patch", "--return", "EPERM"], "cannot be used with"),
    ] {
        let output = new(more).output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{more:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
        assert!(!directory.path().join("fix-x").exists(), "nothing is left");
    }
    let functions = ["vfs_read", "c_start,1", "c_start,2", "nf_tables:nft_chain_validate"];
    let functions: Vec<_> = functions.iter().flat_map(|function| ["--func", *function]).collect();
    let crate_dir = directory.path().join("fix-x");
    for (more, expected) in [
        (&[][..], "description: \"Replaces vfs_read, c_start, c_start and 1 more\""),
        (&["--func", "vfs_write", "--return", "-EOPNOTSUPP"], "    c_long::from(EOPNOTSUPP.to_errno())\n"),
    ] {
        let functions =
            if more.is_empty() { &functions[..] } else { &["--func", "nf_tables:nft_chain_validate"] };
        succeed(new(functions).args(more));
        let source = fs::read_to_string(crate_dir.join("src/lib.rs")).unwrap();
        assert!(source.contains(expected), "{source}");
        let mut clippy = in_crate("cargo", &crate_dir);
        succeed(clippy.args(["clippy", "--all-targets"]).env("RUSTFLAGS", "-Dwarnings"));
        succeed(in_crate("cargo", &crate_dir).args(["fmt", "--check"]));
        succeed(in_crate("cargo", &crate_dir).args(["klp", "check", "--kernel", "6.12"]));
        fs::remove_dir_all(&crate_dir).unwrap();
    }
}

#[test]
fn a_directory_that_kbuild_can_not_handle() {
    let directory = tempfile::tempdir().unwrap();
    let output = klp().args(["new", "a dir/fix-x"]).current_dir(directory.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("has white space in its path") && said.contains("help: change to a path"),
        "{said}"
    );
    assert!(!directory.path().join("a dir").exists(), "nothing is left");
}

#[test]
fn in_a_workspace_it_is_a_member() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"*-x\"]\n").unwrap();
    new_crate(root);
    succeed(klp().args(["new", "other-x"]).current_dir(root));
    succeed(in_crate("cargo", root).args(["metadata", "--offline", "--format-version=1"]));
    let stranger = succeed(klp().args(["new", "stranger"]).current_dir(root));
    let said = String::from_utf8(stranger.stderr).unwrap();
    assert!(said.contains("list it among that one's `members`"), "{said}");
}

#[test]
fn what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let output = succeed(klp().args(["new", "fix-x"]).current_dir(directory.path()));
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap());

    let again = klp().args(["new", "fix-x"]).current_dir(directory.path()).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("not an empty directory"), "{said}");
}

#[test]
fn it_passes_on_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let crate_dir = new_crate(directory.path());
    let check = || {
        let mut check = in_crate("cargo", &crate_dir);
        succeed(check.arg("check").env("RUSTFLAGS", "-Dwarnings"));
    };
    check();
    succeed(in_crate("cargo", &crate_dir).arg("test").env("RUSTFLAGS", "-Dwarnings"));

    // What the comments show is right, too.
    let lib = crate_dir.join("src/lib.rs");
    let text = fs::read_to_string(&lib).unwrap();
    let examples = text.replace("//     ", "");
    assert_ne!(text, examples);
    fs::write(&lib, format!("#![allow(dead_code)]\n{examples}")).unwrap();
    check();
}

#[test]
fn it_is_built_by_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let crate_dir = new_crate(directory.path());
    let by_command = succeed(in_crate("cargo", &crate_dir).args(["klp", "build", "--kernel", "6.12"]));
    let by_command = PathBuf::from(String::from_utf8(by_command.stdout).unwrap().trim());

    let mut make = in_crate("make", &crate_dir);
    let m = format!("M={}", crate_dir.display());
    succeed(make.arg("-C").arg(kernel("6.12").kdir).arg(&m));
    let by_make = crate_dir.join("fix_x.ko");

    let (command, make) = (inspect(&by_command).unwrap(), inspect(&by_make).unwrap());
    assert_eq!(command, make);
    assert_eq!(command.name, "fix_x");
    assert_eq!(command.patch.unwrap().redirects[0].symbol, "cmdline_proc_show");

    // All that make leaves is ignored by git.
    succeed(in_crate("git", &crate_dir).args(["init", "--quiet"]));
    let status =
        succeed(in_crate("git", &crate_dir).args(["status", "--porcelain", "--untracked-files=all"]));
    let files = String::from_utf8(status.stdout).unwrap();
    let mut files: Vec<_> = files.lines().map(|line| &line[3..]).collect();
    files.sort_unstable();
    assert_eq!(files, [".gitignore", "Cargo.lock", "Cargo.toml", "Kbuild", "README.md", "src/lib.rs"]);
}

/// In a checkout of klp nothing hides the installed command: cargo has no alias of its name, there and in a new crate.
#[test]
fn a_checkout_of_klp_leaves_the_command_alone() {
    let checkout = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    fs::create_dir_all(checkout.join("target")).unwrap();
    let directory = tempfile::tempdir_in(checkout.join("target")).unwrap();
    let crate_dir = new_crate(directory.path());
    for directory in [&checkout, &crate_dir] {
        let version = succeed(in_crate("cargo", directory).args(["klp", "--version"]));
        let (said, warned) =
            (String::from_utf8_lossy(&version.stdout), String::from_utf8_lossy(&version.stderr));
        assert_eq!((&*said, &*warned), (concat!("cargo klp ", env!("CARGO_PKG_VERSION"), "\n"), ""));
    }
}

/// What callbacks and destructors call of the kernel need not be linked into a host's test program.
#[test]
fn a_patch_that_calls_the_kernel_passes_on_the_host() {
    let directory = tempfile::tempdir().unwrap();
    let crate_dir = new_crate(directory.path());
    let source = crate_dir.join("src/lib.rs");
    let added = r#"
unsafe extern "C" { fn msleep(msecs: c_uint); }

struct Sleeps;

#[klp_state(id = 1, version = 1)]
impl State for Sleeps {
    fn post_patch(_cx: &StateContext<'_>, _data: &()) { unsafe { msleep(1) } }
}

#[shadow(state = Sleeps, of = task_struct, sleepable)]
#[repr(C)]
struct Slow { ticks: u32 }

impl Drop for Slow {
    fn drop(&mut self) { unsafe { msleep(self.ticks) } }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tables_are_linked() { assert_eq!(super::Sleeps::VERSION_SEEN, 1); }
}

impl Sleeps {
    #[cfg(test)]
    const VERSION_SEEN: u32 = <Self as State>::VERSION;
}
"#;
    fs::write(&source, fs::read_to_string(&source).unwrap() + added).unwrap();
    let output = succeed(in_crate("cargo", &crate_dir).arg("test"));
    assert!(String::from_utf8(output.stdout).unwrap().contains("1 passed"));
}

/// What a patch of a series may have: a state whose callbacks call the kernel, and a shadow variable.
const VERSIONED: &str = r#"
unsafe extern "C" {
    fn msleep(msecs: c_uint);
    static mut console_printk: [c_int; 4];
}

struct Sleeps;

#[klp_state(id = 1, version = 3)]
impl State for Sleeps {
    fn post_patch(_cx: &StateContext<'_>, _data: &()) {
        // SAFETY: Process context, and an aligned int.
        unsafe {
            msleep(1);
            (&raw mut console_printk).cast::<c_int>().write_volatile(7);
        }
    }
}

#[shadow(state = Sleeps, of = task_struct)]
#[repr(C)]
struct Slow {
    ticks: u32,
}
"#;

/// A test of the patch that the next versions have, too.
const OWN_TEST: &str = r#"//! What the author of fix_v1 tests.

#[test]
fn the_author_tests_it_too() {
    assert_eq!(module_path!(), "own");
}
"#;

/// The next version of a patch, alone and as a member of a workspace, and the next of that.
#[test]
fn the_next_version_of_a_patch() {
    let directory = tempfile::tempdir().unwrap();
    let new_in = |place: &Path, arguments: &[&str]| {
        let mut new = klp();
        new.arg("new").args(arguments).current_dir(place);
        new
    };
    let workspace = directory.path().join("all");
    fs::create_dir_all(&workspace).unwrap();
    fs::write(workspace.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"fix*\"]\n").unwrap();
    for place in [directory.path(), &*workspace] {
        succeed(&mut new_in(place, &["fix-v1"]));
        let source = place.join("fix-v1/src/lib.rs");
        let text = fs::read_to_string(&source).unwrap();
        let series = "    replace: true,\n    series: \"example.org: cmdline\",\n    revision: 1,\n";
        let advice = "    // A cumulative patch takes the place of all that are enabled: `replace: true`.\n";
        assert!(text.contains(advice));
        fs::write(&source, text.replace(advice, series) + VERSIONED).unwrap();
        fs::write(place.join("fix-v1/fix_v1.o"), "").unwrap();
        fs::write(place.join("fix-v1/src/helper.c"), "int helper;\n").unwrap();
        fs::create_dir(place.join("fix-v1/tests")).unwrap();
        fs::write(place.join("fix-v1/tests/own.rs"), OWN_TEST).unwrap();

        for (old, new, revision) in [("fix-v1", "fix-v2", 2), ("fix-v2", "fix-v3", 3)] {
            let output = succeed(&mut new_in(place, &[new, "--from", old]));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(&format!("revision {revision} of its series")), "{said}");
        }
        let crate_dir = place.join("fix-v3");
        let text = fs::read_to_string(crate_dir.join("src/lib.rs")).unwrap();
        assert!(text.contains("replace: true") && text.contains("revision: 3,"), "{text}");
        assert!(text.contains(VERSIONED), "what must stay stays");
        assert!(!crate_dir.join("fix_v1.o").exists());
        assert!(crate_dir.join("src/helper.c").exists());
        let own = fs::read_to_string(crate_dir.join("tests/own.rs")).unwrap();
        assert!(own.contains("author of fix_v3 tests"), "{own}");
        let clippy = ["clippy", "--all-targets"];
        succeed(in_crate("cargo", &crate_dir).args(clippy).env("RUSTFLAGS", "-Dwarnings"));
        succeed(in_crate("cargo", &crate_dir).args(["fmt", "--check"]));
        let output = succeed(in_crate("cargo", &crate_dir).arg("test").env("RUSTFLAGS", "-Dwarnings"));
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("3 passed") && said.contains("the_author_tests_it_too ... ok"), "{said}");
        succeed(in_crate("cargo", &crate_dir).args(["klp", "build", "--kernel", "6.12"]));
    }

    let place = directory.path();
    succeed(new_in(place, &["plain", "--from"]).arg(workspace.join("fix-v1")));
    for (arguments, expected) in [
        (&["fix-v3", "--from", "fix-v1"][..], "not an empty directory"),
        (&["other/fix-v1", "--from", "fix-v1"], "both versions would be called `fix_v1`"),
        (&["fix-v1/fix-v9", "--from", "fix-v1"], "inside the crate that it is made from"),
        (&["fix-v9", "--from", "all"], "its Cargo.toml has no package"),
        (&["fix-v9", "--from", "nothing"], "nothing"),
        (&["fix-v9", "--from", "fix-v1", "--func", "vfs_read"], "cannot be used with"),
    ] {
        let output = new_in(place, arguments).output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(expected), "{said}");
        assert!(!place.join("fix-v9").exists(), "nothing is left");
    }
}
