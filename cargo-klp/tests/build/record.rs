//! The record of what a module was made of: make runs where something changed, and only there.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use object::Object;

use super::support::kernel;
use super::{LIVEPATCH, Probe, build, dummy, modules_of_this_test, result, target_directory};

/// Built again, nothing is made again; touched, the module is new.
#[test]
fn what_is_up_to_date_is_left_alone() {
    let patch = Probe::new(&format!("{LIVEPATCH}// up to date\n"));
    let made = || {
        let output = patch.build().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let ko = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        fs::metadata(ko).unwrap().modified().unwrap()
    };
    let first = made();
    assert_eq!(made(), first);
    let source = patch.0.path().join("src/lib.rs");
    let added = "#[klp_func(symbol = \"cmdline_proc_show\")]
                 unsafe extern \"C\" fn f(_m: *mut seq_file, _v: *mut c_void) -> c_int { 0 }\n";
    fs::write(&source, fs::read_to_string(&source).unwrap() + added).unwrap();
    assert!(made() > first);
}

/// Whether a build ran make.
#[track_caller]
fn makes(command: &mut Command) -> bool {
    let (code, said) = result(command);
    assert_eq!(code, 0, "{said}");
    said.contains("Building")
}

/// Makes a file look as if it had been written just now.
fn touch(path: &Path) {
    fs::File::options().append(true).open(path).unwrap().set_modified(SystemTime::now()).unwrap();
}

/// A build directory like another, whose own files are links to those of the other but for the Makefile.
pub(super) fn like(kdir: &Path) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(kdir).unwrap().map(Result::unwrap) {
        let to = directory.path().join(entry.file_name());
        if entry.file_name() == "Makefile" {
            fs::copy(entry.path(), to).unwrap();
        } else {
            symlink(entry.path(), to).unwrap();
        }
    }
    directory
}

#[test]
fn make_is_run_where_something_changed() {
    let probe = Probe::new(LIVEPATCH);
    let tools = tempfile::tempdir().unwrap();
    // The compiler that Debian's headers ask for, as one that can be changed.
    let kernel = kernel("6.12");
    let name = format!("x86_64-linux-gnu-{}", kernel.compiler().expect("Debian's headers name one"));
    let real = cargo_klp::host::tools::find_program(&name).unwrap_or_else(|| panic!("no {name}"));
    let compiler = tools.path().join(name);
    fs::write(&compiler, format!("#!/bin/sh\nexec {} \"$@\"\n", real.display())).unwrap();
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
    let this = tools.path().join("cargo-klp");
    fs::copy(env!("CARGO_BIN_EXE_cargo-klp"), &this).unwrap();
    let module = tools.path().join("dummy.ko");
    fs::write(&module, dummy()).unwrap();
    let kdir = like(&kernel.kdir);
    let runtime = copied_runtime(tools.path());
    let manifest = probe.0.path().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../klp-runtime");
    fs::write(&manifest, text.replace(&format!("{original:?}"), &format!("{runtime:?}"))).unwrap();

    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let build = |arguments: &[&str]| {
        let mut command = Command::new(&this);
        command
            .args(["build", "--kdir"])
            .arg(kdir.path())
            .args(arguments)
            .current_dir(probe.0.path())
            .env("CARGO_TARGET_DIR", target_directory())
            .env("PATH", &path)
            .env_remove("MAKEFLAGS");
        command
    };
    assert!(makes(&mut build(&[])), "the first build");
    assert!(!makes(&mut build(&[])), "nothing has changed");

    let other_environment = || {
        let mut command = build(&[]);
        command.env("KCFLAGS", "-DKLP_TEST");
        command
    };
    assert!(makes(&mut other_environment()), "other flags");
    assert!(!makes(&mut other_environment()), "the same flags");
    assert!(makes(&mut build(&[])), "the first flags again");

    let with_module = ["--module", module.to_str().unwrap()];
    assert!(makes(&mut build(&with_module)), "a module to get symbols of");
    assert!(!makes(&mut build(&with_module)));
    touch(&module);
    assert!(!makes(&mut build(&with_module)), "times decide nothing");
    fs::write(&module, [dummy(), b"changed".into()].concat()).unwrap();
    assert!(makes(&mut build(&with_module)), "that module changed");
    assert!(makes(&mut build(&[])));

    let source = probe.0.path().join("src/lib.rs");
    let glue = runtime.join("kbuild/klp_glue.c");
    let script = runtime.join("kbuild/klp.lds");
    let makefile = kdir.path().join("Makefile");
    for (changed, added) in [
        (&source, "#[used]\nstatic CHANGED: u8 = 1;\n"),
        (&glue, "/* changed */\n"),
        (&script, "/* changed */\n"),
        (&compiler, "# changed\n"),
        (&this, "changed"),
        (&makefile, "# changed\n"),
    ] {
        touch(changed);
        assert!(!makes(&mut build(&[])), "only the time of {} has changed", changed.display());
        // With the time and nearly the size that it had.
        let modified = fs::metadata(changed).unwrap().modified().unwrap();
        let mut file = fs::File::options().append(true).open(changed).unwrap();
        file.write_all(added.as_bytes()).unwrap();
        file.set_modified(modified).unwrap();
        drop(file);
        assert!(makes(&mut build(&[])), "{} has changed", changed.display());
    }

    let [ko] = &*modules_of_this_test() else { panic!("{:?}", modules_of_this_test()) };
    assert!(!makes(&mut build(&[])));
    fs::remove_file(ko).unwrap();
    assert!(makes(&mut build(&[])), "the module is gone");
    // A crate without the feature of the last build, which only cargo knows.
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap() + "[features]\ndefault = [\"f\"]\nf = []\n")
        .unwrap();
    assert!(makes(&mut build(&[])), "a feature");
    assert!(!makes(&mut build(&[])));
}

/// A copy of the runtime and the macros in a directory, so that files of them can be changed.
fn copied_runtime(directory: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for part in ["klp-runtime", "klp-macros", "klp-btf", "klp-format"] {
        let copied = Command::new("cp").args(["-r"]).arg(root.join(part)).arg(directory).status().unwrap();
        assert!(copied.success());
    }
    let workspace = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (start, rest) = workspace.split_once("members = [").unwrap();
    let (_, rest) = rest.split_once("]\n").unwrap();
    let workspace =
        format!("{start}members = [\"klp-runtime\", \"klp-macros\", \"klp-btf\", \"klp-format\"]\n{rest}");
    let (workspace, _) = workspace.split_once("[profile.test.package").unwrap();
    fs::write(directory.join("Cargo.toml"), workspace).unwrap();
    directory.join("klp-runtime")
}

/// What a module has of a feature, a version or a static follows each change, there and back: cargo then puts
/// an older library back, with its old time.
#[test]
fn a_module_follows_its_features_there_and_back() {
    let patch = Probe::new(&format!(
        "{LIVEPATCH}
unsafe extern \"C\" {{ fn seq_printf(m: *mut seq_file, format: *const c_char, ...); }}
#[klp_func(symbol = \"cmdline_proc_show\")]
unsafe extern \"C\" fn f(m: *mut seq_file, _v: *mut c_void) -> c_int {{
    let text = if cfg!(feature = \"extra\") {{ c\"it has extra\" }} else {{ c\"it is plain\" }};
    unsafe {{ seq_printf(m, text.as_ptr()) }};
    0
}}
"
    ));
    let toml = patch.0.path().join("Cargo.toml");
    let manifest = fs::read_to_string(&toml).unwrap();
    let mut made = Vec::new();
    let by_default: &[&str] = &[];
    let asked_for = &["--features", "extra", "--locked", "--offline"];
    for (default, flags) in [("", by_default), ("\"extra\"", by_default), ("", by_default), ("", asked_for)] {
        fs::write(&toml, format!("{manifest}[features]\ndefault = [{default}]\nextra = []\n")).unwrap();
        let output = patch.build().args(flags).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let data = fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
        let has = |text: &str| data.windows(text.len()).any(|bytes| bytes == text.as_bytes());
        let is_extra = !default.is_empty() || !flags.is_empty();
        assert_eq!((has("it has extra"), has("it is plain")), (is_extra, !is_extra));
        made.push(data);
    }
    assert!(made[0] == made[2], "without the feature it is another module than before");
    assert!(made[1] == made[3], "with the feature it is another module than before");
}

/// The same source makes the same module, bit for bit, wherever it is built; another source has another
/// build ID and srcversion. No path of this machine is in it.
#[test]
fn a_module_is_the_same_from_two_directories() {
    let source = |text: &str| {
        format!(
            "#![no_std]
use klp_runtime::prelude::*;
livepatch! {{ license: \"GPL\", authors: [\"a\"], description: \"d\", version: \"1\" }}
struct Counted;
#[klp_state(id = 1, version = 1)]
impl State for Counted {{
    type Data = u64;
    fn pre_patch(_cx: &StateContext<'_>) -> Result<u64> {{ Ok(1) }}
    fn post_patch(_cx: &StateContext<'_>, data: &u64) {{ pr_info!({text:?}, [1, 2][*data as usize]); }}
}}
"
        )
    };
    // Of two directories, with a target directory each; behind links, so that what all patches share is
    // compiled once.
    let (long, short) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let long = long.path().join("a/directory/with/a/long/name");
    fs::create_dir_all(&long).unwrap();
    let target = target_directory();
    fs::create_dir_all(&target).unwrap();
    let built = |directory: &Path, text: &str| {
        let patch = Probe::new(&source(text));
        let (krate, link) = (directory.join("patch"), directory.join("target"));
        let _ = (fs::remove_dir_all(&krate), fs::remove_file(&link));
        fs::rename(patch.0.path(), &krate).unwrap();
        symlink(&target, &link).unwrap();
        let output = build(&krate, &["--kernel", "6.12"]).env("CARGO_TARGET_DIR", &link).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let ko = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        (fs::read(&ko).unwrap(), ko)
    };
    let (first, ko) = built(short.path(), "first {}");
    assert!(ko.starts_with(short.path()), "{}", ko.display());
    assert!(first == built(&long, "first {}").0, "two directories make two modules");
    let (second, _) = built(&long, "second {}");
    let id = |data: &[u8]| object::File::parse(data).unwrap().build_id().unwrap().unwrap().to_vec();
    assert_ne!(id(&first), id(&second));
    let srcversion = |data: &[u8]| {
        let modinfo = klp_module::Modinfo::read(&object::File::parse(data).unwrap()).unwrap();
        modinfo.get("srcversion").unwrap().to_owned()
    };
    assert_ne!(srcversion(&first), srcversion(&second));

    let kernel = cargo_klp::kernel::KernelQuery::Release("6.12".into());
    let kernel = kernel.find(cargo_klp::kernel::KernelParts::Headers).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for path in [short.path(), &*long, &target, root, &kernel.kdir, &cargo_klp::host::cache::root().unwrap()]
    {
        let path = path.to_str().unwrap();
        assert!(!first.windows(path.len()).any(|bytes| bytes == path.as_bytes()), "{path} is in the module");
    }
}

/// Builds of one patch wait for each other and say so; each then has a right module.
#[test]
fn builds_at_once_wait_for_each_other() {
    let patch = Probe::new(LIVEPATCH);
    let source = patch.0.path().join("src/lib.rs");
    for round in 0..2 {
        fs::write(&source, format!("{LIVEPATCH}#[used]\nstatic ROUND: u64 = {round};\n")).unwrap();
        let said = std::thread::scope(|scope| {
            let builds = [(); 3].map(|()| scope.spawn(|| result(&mut patch.build())));
            builds.map(|build| build.join().unwrap())
        });
        assert!(said.iter().all(|(code, _)| *code == 0), "{said:#?}");
        let waited = said.iter().filter(|(_, said)| said.contains("Waiting")).count();
        let built = said.iter().filter(|(_, said)| said.contains("Building")).count();
        // Tests that run at once have one more thing to wait for.
        assert!(waited >= 2 && built == 1, "{said:#?}");
    }
}

/// Plain make waits for another make in the same directory, and says so.
#[test]
fn makes_at_once_wait_for_each_other() {
    let patch = Probe::new(LIVEPATCH);
    patch.write_kbuild();
    let said = std::thread::scope(|scope| {
        let makes = [(); 2].map(|()| scope.spawn(|| result(&mut patch.make(&["modules"]))));
        makes.map(|make| make.join().unwrap())
    });
    assert!(said.iter().all(|(code, _)| *code == 0), "{said:#?}");
    let waited = said.iter().filter(|(_, said)| said.contains("Waiting for the make with process id"));
    assert_eq!(waited.count(), 1, "{said:#?}");
    let ko = patch.0.path().join("makes_at_once_wait_for_each_other.ko");
    let first = fs::read(&ko).unwrap();
    patch.make(&["modules"]).output().unwrap();
    assert!(fs::read(&ko).unwrap() == first);
}

/// A build that is killed leaves no module, and the next one is right.
#[test]
fn a_killed_build_leaves_no_module() {
    let patch = Probe::new(LIVEPATCH);
    let source = patch.0.path().join("src/lib.rs");
    let built = || {
        let output = patch.build().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap()
    };
    let first = built();
    // A C compiler that kills the build: the Rust half is new by then, and the glue old.
    let tools = tempfile::tempdir().unwrap();
    // Debian's headers ask for the linker by this name.
    let linker = tools.path().join("x86_64-linux-gnu-ld");
    fs::write(&linker, "#!/bin/sh\ncase \"$*\" in *--build-id*) kill -9 0;; esac\nexec /usr/bin/ld \"$@\"\n")
        .unwrap();
    fs::set_permissions(&linker, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&source, format!("{LIVEPATCH}#[used]\nstatic ADDED: u64 = 1;\n")).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let mut killed = patch.build();
    killed.env("PATH", path).process_group(0);
    assert!(killed.output().unwrap().status.code().is_none());
    assert_eq!(modules_of_this_test(), Vec::<PathBuf>::new());
    assert!(built() != first);
    fs::write(&source, LIVEPATCH).unwrap();
    assert!(built() == first, "what the killed build left is in the module");
}
