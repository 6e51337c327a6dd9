//! The half that runs on the host: builds, boots, and starts the other half.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use cargo_klp::error::{Error, Result, run_tool};
use cargo_klp::kernel::{Kernel, KernelArgs, Need};
use cargo_klp::vm::Vm;
use libtest_mimic::Arguments;

use crate::diff::{SEED, SEQUENCES};
use crate::guest::{BOOT, Boot, KERNEL, MODULES};

/// Far longer than the tests take on one kernel.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// The variable that says that the tests of [`Boot::Soak`] are meant.
const SOAK: &str = "KLP_TEST_SOAK";

pub(crate) fn main(arguments: &Arguments) -> ExitCode {
    let boots: &[Boot] = if std::env::var_os(SOAK).is_some() { &[Boot::Soak] } else { &Boot::ORDINARY };
    let kernels = std::env::var("KLP_TEST_KERNELS").unwrap_or_else(|_| "6.12,6.1".into());
    let mut code = ExitCode::SUCCESS;
    for series in kernels.split(',') {
        match test_on(series, boots, arguments) {
            Ok(0) => {}
            Ok(_) => code = ExitCode::FAILURE,
            Err(error) => {
                if let Error::Guest { log, .. } = &error {
                    eprintln!("the kernel log of {series}:\n{log}");
                }
                cargo_klp::ui::error(&error);
                return ExitCode::from(error.exit_code());
            }
        }
    }
    code
}

/// Whether the arguments choose a test.
fn is_chosen(arguments: &Arguments, test: &str) -> bool {
    let fits = |pattern: &String| if arguments.exact { test == pattern } else { test.contains(pattern) };
    arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

/// Runs the tests on one kernel; the result is the exit code of the guest's half.
fn test_on(series: &str, boots: &[Boot], arguments: &Arguments) -> Result<i32> {
    let kernel = KernelArgs { kernel: Some(series.into()), ..KernelArgs::default() }.find(Need::Image)?;
    let modules = folder(&kernel);
    // Patches need symbols of one of them.
    build_c(&kernel, &modules)?;
    if !build(&kernel, &modules)? {
        return Ok(1);
    }
    leave_unfinished(&kernel, &modules)?;
    lose_an_entry(&kernel, &modules)?;

    let this = std::env::current_exe().map_err(Error::io("find", "this program"))?;
    let mut command = vec![this.into_os_string()];
    command.extend(std::env::args_os().skip(1));
    for boot in
        boots.iter().filter(|boot| crate::tests_of(**boot).iter().any(|test| is_chosen(arguments, test.0)))
    {
        let mut vm = Vm::new(&kernel)
            .cpus(boot.cpus())
            .env(BOOT, boot.name())
            .env(MODULES, &modules)
            .env(KERNEL, &kernel.release)
            .timeout(LIMIT);
        for name in [SEED, SEQUENCES] {
            if let Some(value) = std::env::var_os(name) {
                vm = vm.env(name, value);
            }
        }
        let outcome = vm.run(&command)?;
        if outcome.code != 0 {
            eprintln!("the kernel log of {}:\n{}", kernel.release, outcome.kernel_log);
            return Ok(outcome.code);
        }
    }
    Ok(0)
}

/// Where `cargo klp build` puts what it makes.
fn folder(kernel: &Kernel) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder");
    target.join("klp").join(&kernel.release)
}

/// Builds all patches with the command, as a user does; false if the command failed and has said why.
fn build(kernel: &Kernel, modules: &Path) -> Result<bool> {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--package", "cargo-klp", "--", "klp", "build", "--kernel", &kernel.release])
        .arg("--module")
        .arg(modules.join("klp_test_hidden/klp_test_hidden.ko"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    for package in patches()? {
        command.args(["--package", &package]);
    }
    let status = command.status().map_err(Error::io("run", "cargo"))?;
    Ok(status.success())
}

/// Builds the modules of `tests/modules`, each in a folder beside the patches'.
fn build_c(kernel: &Kernel, modules: &Path) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../modules");
    for source in entries(&sources)? {
        let folder = modules.join(source.file_name().expect("an entry has a name"));
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        for file in entries(&source)? {
            let copy = folder.join(file.file_name().expect("an entry has a name"));
            let text = std::fs::read(&file).map_err(Error::io("read", &file))?;
            if std::fs::read(&copy).is_ok_and(|old| old == text) {
                continue;
            }
            std::fs::write(&copy, text).map_err(Error::io("write", &copy))?;
        }
        run_tool(
            Command::new("make")
                .arg("-C")
                .arg(&kernel.kdir)
                .arg(format!("M={}", folder.display()))
                .arg("modules")
                .env_remove("MAKEFLAGS"),
        )?;
    }
    Ok(())
}

/// What is in a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    entries.map(|entry| Ok(entry.map_err(Error::io("read", folder))?.path())).collect()
}

/// Makes the glue of the patch `lost` believe in one state more than the patch has: what a linker that
/// drops an entry would do.
fn lose_an_entry(kernel: &Kernel, modules: &Path) -> Result<()> {
    let folder = modules.join("klp_test_lost");
    let header = folder.join("klp_test_lost_klp.h");
    let text = std::fs::read_to_string(&header).map_err(Error::io("read", &header))?;
    let text = text.replace("KLP_NR_STATES 1\n", "KLP_NR_STATES 2\n");
    assert!(text.contains("KLP_NR_STATES 2\n"), "{text}");
    std::fs::write(&header, text).map_err(Error::io("write", &header))?;
    make_patch(kernel, &folder, "lost", &[])
}

/// Links the patch `symbols` once more, without the last step of the build: what a kernel whose Kbuild
/// does not run it would do. The module is another one, `unfinished`.
fn leave_unfinished(kernel: &Kernel, modules: &Path) -> Result<()> {
    let folder = modules.join("klp_test_unfinished");
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let kbuild = folder.join("Kbuild");
    let text = format!(
        "obj-m := klp_test_unfinished.o\ninclude {}\n",
        root.join("klp-runtime/kbuild/klp.mk").display()
    );
    std::fs::write(&kbuild, text).map_err(Error::io("write", &kbuild))?;
    make_patch(kernel, &folder, "symbols", &["klp-finish=true"])
}

/// Builds a patch of the tests in a folder that has a Kbuild, with plain make.
fn make_patch(kernel: &Kernel, folder: &Path, patch: &str, variables: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (root, cargo) = (root.display(), env!("CARGO"));
    run_tool(
        Command::new("make")
            .arg("-C")
            .arg(&kernel.kdir)
            .arg(format!("M={}", folder.display()))
            .arg(format!("KLP_CRATE={root}/tests/patches/{patch}"))
            .arg(format!(
                "CARGO_KLP={cargo} run --quiet --manifest-path {root}/Cargo.toml -p cargo-klp -- klp"
            ))
            .args(variables)
            .arg("modules")
            .env_remove("MAKEFLAGS"),
    )?;
    Ok(())
}

/// The packages of all patches of the tests, and of the examples.
fn patches() -> Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for (folder, prefix) in
        [(root.join("../patches"), "klp-test-"), (root.join("../../examples"), "livepatch-")]
    {
        for entry in entries(&folder)? {
            let name = entry.file_name().expect("an entry has a name").to_string_lossy().replace('_', "-");
            if name != "support" {
                names.push(format!("{prefix}{name}"));
            }
        }
    }
    names.sort();
    Ok(names)
}
