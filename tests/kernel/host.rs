//! The half that runs on the host: builds, boots, and starts the other half.
//!
//! Several kernels are tested at once, each by a process of its own: a guest under emulation keeps one processor
//! busy, and so does most of a build.

use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use cargo_klp::commands::ui::{self, Terminal};
use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::run_tool;
use cargo_klp::kernel::{Kernel, KernelParts, KernelQuery};
use cargo_klp::vm::{Vm, has_kvm};
use libtest_mimic::Arguments;

use crate::altered;
use crate::diff::{self, CRATES, FORGET, SEED, SEQUENCES, SHRINK, SKIP};
use crate::guest::{BOOT, Boot, KERNEL, MODULES, Patch};
use crate::kernel_crate;
use crate::mutants;
use crate::objects::TARGET;
use crate::other_half;

/// Far longer than the tests take on one kernel, but for what [`SEQUENCE`] adds for each random sequence: on a debug
/// kernel and a busy machine, one takes some seconds.
const LIMIT: Duration = Duration::from_secs(60 * 60);
const SEQUENCE: Duration = Duration::from_secs(30);

/// The variable that names the boots to run, if not [`Boot::ORDINARY`].
const BOOTS: &str = "KLP_TEST_BOOTS";

/// The variable that says that faults are to be planted in the engine, and which, if not all.
const MUTANTS: &str = "KLP_TEST_MUTANTS";

/// The variable that names the kernels.
const KERNELS: &str = "KLP_TEST_KERNELS";

pub(crate) fn main(arguments: &Arguments) -> ExitCode {
    let kernels = std::env::var(KERNELS).unwrap_or_else(|_| "6.12,6.1".into());
    let result = match kernels.split_once(',') {
        None => main_on(&kernels, arguments),
        Some(_) => at_once(kernels.split(',')),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            if let Error::Guest { log, .. } = &error {
                eprintln!("the kernel log of {kernels}:\n{log}");
            }
            ui::failure(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// What the variables ask for, on one kernel; whether all went well.
fn main_on(series: &str, arguments: &Arguments) -> Result<bool> {
    if let Ok(pattern) = std::env::var(MUTANTS) {
        return mutants::main(series, &pattern);
    }
    let boots = match std::env::var(BOOTS) {
        Ok(names) => names.split(',').map(Boot::named).collect(),
        Err(_) => Boot::ORDINARY.to_vec(),
    };
    test_on(series, &boots, arguments)
}

/// Runs this program for each kernel, all at the same time; whether all of them succeeded. The output of the first
/// one is shown as it comes, that of each other one when those before it have ended.
fn at_once<'a>(kernels: impl Iterator<Item = &'a str>) -> Result<bool> {
    let mut runs = Vec::new();
    for (number, series) in kernels.enumerate() {
        let mut command = Command::new(std::env::current_exe().map_err(Error::io("find", "this program"))?);
        command.args(std::env::args_os().skip(1)).env(KERNELS, series);
        let mut output = None;
        if number > 0 {
            let file = tempfile::tempfile().map_err(Error::io("create", std::env::temp_dir()))?;
            for stream in [Command::stdout, Command::stderr] {
                stream(&mut command, file.try_clone().map_err(Error::io("open", "the output"))?);
            }
            output = Some(file);
        }
        runs.push((command.spawn().map_err(Error::io("run", "this program"))?, output));
    }
    let mut passed = true;
    for (mut process, output) in runs {
        passed &= process.wait().map_err(Error::io("run", "this program"))?.success();
        if let Some(mut output) = output {
            output.rewind().map_err(Error::io("read", "the output"))?;
            io::copy(&mut output, &mut io::stdout()).map_err(Error::io("read", "the output"))?;
        }
    }
    Ok(passed)
}

/// Whether the arguments choose a test.
fn is_chosen(arguments: &Arguments, test: &str) -> bool {
    let fits = |pattern: &String| if arguments.exact { test == pattern } else { test.contains(pattern) };
    arguments.filter.as_ref().is_none_or(fits) && !arguments.skip.iter().any(fits)
}

/// Runs the tests on one kernel; whether all of them passed.
fn test_on(series: &str, boots: &[Boot], arguments: &Arguments) -> Result<bool> {
    mutants::check()?;
    let kernel = KernelQuery::Release(series.into()).find(KernelParts::Image)?;
    ui::status("Testing", &kernel.release);
    let modules = directory(&kernel);
    // Patches need symbols of one of them.
    build_c(&kernel, &modules)?;
    let has_checkers = kernel.config("CONFIG_KASAN").is_some();
    let is_wanted = |boot: &&Boot| {
        (**boot != Boot::Checkers || has_checkers)
            && crate::tests_of(**boot).iter().any(|test| is_chosen(arguments, test.0))
    };
    let boots: Vec<Boot> = boots.iter().filter(is_wanted).copied().collect();
    let mut chosen = boots.iter().flat_map(|boot| crate::tests_of(*boot));
    let is_random = chosen.all(|(test, _)| diff::TESTS.contains(&test) || !is_chosen(arguments, test));
    let built = if is_random {
        build_few(&kernel, &CRATES.map(|krate| Patch(krate.name)))?
    } else {
        build_for(&kernel, &boots, &modules)?
    };
    if !built {
        return Ok(false);
    }

    let mut command = vec![other_half::program(&kernel)?];
    command.extend(std::env::args_os().skip(1));
    let mut passed = true;
    for boot in boots {
        let vm = if is_random { fast_vm } else { vm };
        let limit = LIMIT + SEQUENCE * diff::cases();
        let outcome = vm(&kernel, boot, &modules).timeout(limit).run(&command)?;
        if outcome.code != 0 {
            eprintln!("the kernel log of {}:\n{}", kernel.release, outcome.kernel_log);
            passed = false;
        }
    }
    Ok(passed)
}

/// Builds the patches that these boots need; whether that went well.
fn build_for(kernel: &Kernel, boots: &[Boot], modules: &Path) -> Result<bool> {
    let Some(few) = boots.iter().map(|boot| crate::modules_of(*boot)).collect::<Option<Vec<_>>>() else {
        return build_all(kernel, modules);
    };
    build_few(kernel, &few.concat())
}

/// Builds those of the modules that are patches; whether that went well.
fn build_few(kernel: &Kernel, modules: &[Patch]) -> Result<bool> {
    let few: Vec<_> = modules.iter().map(|module| package(module.0)).collect();
    let mut patches = patches()?;
    patches.retain(|patch| few.contains(patch));
    Ok(patches.is_empty() || build(kernel, None, &patches)?.is_some())
}

/// Builds all patches, and those that are wrong on purpose; whether that went well.
fn build_all(kernel: &Kernel, modules: &Path) -> Result<bool> {
    let mut patches = patches()?;
    // Not every kernel has the crate.
    patches.retain(|patch| !kernel_crate::MODULES.iter().any(|module| package(module.0) == *patch));
    if build(kernel, None, &patches)?.is_none() {
        return Ok(false);
    }
    leave_unfinished(kernel, modules)?;
    lose_an_entry(kernel, modules)?;
    build_for_another_build(kernel, modules)?;
    build_later_abi(kernel, modules)
}

/// A guest for random sequences. If it is emulated, its time is the instructions that it executes: sleeping takes
/// none of it, and it does not get late on a busy machine.
pub(crate) fn fast_vm<'a>(kernel: &'a Kernel, boot: Boot, modules: &Path) -> Vm<'a> {
    let vm = vm(kernel, boot, modules);
    if has_kvm() && !kernel.arch().is_foreign() { vm } else { vm.count_instructions() }
}

/// A guest for the other half.
pub(crate) fn vm<'a>(kernel: &'a Kernel, boot: Boot, modules: &Path) -> Vm<'a> {
    let vm = Vm::new(kernel)
        .report_to(&Terminal)
        .cpus(boot.cpus())
        .env(BOOT, boot.name())
        .env(MODULES, modules)
        .env(KERNEL, &kernel.release);
    [SEED, SEQUENCES, SHRINK, SKIP].into_iter().fold(vm, |vm, name| match std::env::var_os(name) {
        Some(value) => vm.env(name, value),
        None => vm,
    })
}

/// Where `cargo klp build` puts what it makes of this repository's patches.
fn directory(kernel: &Kernel) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory");
    target.join("klp").join(&kernel.release)
}

/// The command, built with these tests: nothing builds it anew while they run.
const CARGO_KLP: &str = env!("CARGO_BIN_EXE_cargo-klp-of-tests");

/// Builds patches with the command, as a user does; the result is the directory that they are in,
/// none if the command failed and has said why. `altered` is the copy of the repository to take them from.
pub(crate) fn build(kernel: &Kernel, altered: Option<&Path>, packages: &[String]) -> Result<Option<PathBuf>> {
    let mut command = Command::new(CARGO_KLP);
    command
        .args(["build", "--kernel", &kernel.release, "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit());
    // Patches need symbols of one; of the other they have types and functions that it lacks.
    command.arg("--module").arg(directory(kernel).join("klp_test_hidden/klp_test_hidden.ko"));
    command.args(["--unknown-module", &TARGET.module()]);
    if let Some(copy) = altered {
        // In a directory of the copy's own: the modules have the same names.
        command.arg("--manifest-path").arg(copy.join("Cargo.toml")).env_remove("CARGO_TARGET_DIR");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    let output = command.output().map_err(Error::io("run", "cargo-klp"))?;
    if !output.status.success() {
        return Ok(None);
    }
    let built = String::from_utf8_lossy(&output.stdout);
    let first = built.lines().next().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let ko = first.as_ref().and_then(|built| built["ko"].as_str()).expect("a line of JSON for each module");
    Ok(Path::new(ko).ancestors().nth(2).map(Path::to_owned))
}

/// Builds the modules of `tests/modules`, each in a directory beside the patches'.
fn build_c(kernel: &Kernel, modules: &Path) -> Result<()> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../modules");
    for source in entries(&sources)? {
        let directory = modules.join(source.file_name().expect("an entry has a name"));
        for file in entries(&source)? {
            let copy = directory.join(file.file_name().expect("an entry has a name"));
            write_if_changed(&copy, &std::fs::read(&file).map_err(Error::io("read", &file))?)?;
        }
        run_tool(
            Command::new("make")
                .arg("-C")
                .arg(&kernel.kdir)
                .arg(format!("M={}", directory.display()))
                .args(kernel.make_variables())
                .arg("modules")
                .env_remove("MAKEFLAGS"),
        )?;
    }
    Ok(())
}

/// The directories of the modules that tests of random patches load, which are built.
pub(crate) fn build_c_for_random(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let modules = directory(kernel);
    build_c(kernel, &modules)?;
    Ok([TARGET, FORGET].map(|module| modules.join(module.module())).into())
}

/// Copies a module, from the directory that it was built in, to where others were built.
pub(crate) fn copy_module(from: &Path, modules: &Path) -> Result<()> {
    let ko = Path::new(from.file_name().expect("a module has a name"));
    let ko = ko.join(ko).with_extension("ko");
    let built = from.with_file_name(&ko);
    let text = std::fs::read(&built).map_err(Error::io("read", &built))?;
    write_if_changed(&modules.join(ko), &text)
}

/// Writes a file, and makes its directory; one that has this text stays as old as it is.
pub(crate) fn write_if_changed(path: &Path, text: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let directory = path.parent().expect("a file is in a directory");
    std::fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    std::fs::write(path, text).map_err(Error::io("write", path))
}

/// What is in a directory.
pub(crate) fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).map_err(Error::io("read", directory))?;
    entries.map(|entry| Ok(entry.map_err(Error::io("read", directory))?.path())).collect()
}

/// Makes the glue of the patch `lost` believe in one state more than the patch has: what a linker that
/// drops an entry would do.
fn lose_an_entry(kernel: &Kernel, modules: &Path) -> Result<()> {
    let planted = [("KLP_NR_STATES", "2")];
    let directory = with_kbuild(modules, "klp_test_lost", &planted)?;
    make_patch(kernel, &directory, "lost", &[])
}

/// Links the patch `symbols` once more, without the last step of the build: what a kernel whose Kbuild
/// does not run it would do. The module is another one, `unfinished`.
fn leave_unfinished(kernel: &Kernel, modules: &Path) -> Result<()> {
    let directory = with_kbuild(modules, "klp_test_unfinished", &[])?;
    make_patch(kernel, &directory, "symbols", &["klp-finish=mv"])
}

/// Builds the patch `lost` as the module `elsewhere`, whose glue takes it for built for another build of
/// the kernel.
fn build_for_another_build(kernel: &Kernel, modules: &Path) -> Result<()> {
    let planted = [("KLP_BUILD_ID", "0x12, 0x34")];
    let directory = with_kbuild(modules, "klp_test_elsewhere", &planted)?;
    make_patch(kernel, &directory, "lost", &[])
}

/// Makes the directory of a module, with a Kbuild. What is planted takes the place of what the build tells
/// the glue.
fn with_kbuild(modules: &Path, module: &str, planted: &[(&str, &str)]) -> Result<PathBuf> {
    let directory = modules.join(module);
    std::fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    let header = directory.join("planted.h");
    let text: String =
        planted.iter().map(|(name, value)| format!("#undef {name}\n#define {name} {value}\n")).collect();
    std::fs::write(&header, text).map_err(Error::io("write", &header))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let kbuild = directory.join("Kbuild");
    let makefile = root.join("klp-runtime/kbuild/klp.mk");
    let text = format!(
        "obj-m := {module}.o\ninclude {}\nCFLAGS_{module}_glue.o += -include $(src)/planted.h\n",
        makefile.display()
    );
    std::fs::write(&kbuild, text).map_err(Error::io("write", &kbuild))?;
    Ok(directory)
}

/// Builds a patch of the tests in a directory that has a Kbuild, with plain make.
fn make_patch(kernel: &Kernel, directory: &Path, patch: &str, variables: &[&str]) -> Result<()> {
    // Under its own name: cargo compiles all anew where it sees the repository under another.
    let krate = Path::new(env!("CARGO_MANIFEST_DIR")).join("../patches").join(patch);
    let krate = krate.canonicalize().map_err(Error::io("find", &krate))?;
    run_tool(
        Command::new("make")
            .arg("-C")
            .arg(&kernel.kdir)
            .arg(format!("M={}", directory.display()))
            .arg(format!("KLP_CRATE={}", krate.display()))
            .arg(format!("CARGO_KLP={CARGO_KLP} klp"))
            .args(kernel.make_variables())
            .args(variables)
            .arg("modules")
            .env_remove("MAKEFLAGS"),
    )?;
    Ok(())
}

/// The patches that are built with a later version of the tables.
const LATER_ABI: [&str; 3] = ["other_abi", "later_b1_replaces", "later_b2_replaces"];

/// Builds them; whether that went well.
fn build_later_abi(kernel: &Kernel, modules: &Path) -> Result<bool> {
    let copy = altered::copy(&altered::LATER_ABI)?;
    let Some(built) = build(kernel, Some(copy.path()), &LATER_ABI.map(package))? else { return Ok(false) };
    for patch in LATER_ABI {
        copy_module(&built.join(format!("klp_test_{patch}")), modules)?;
    }
    Ok(true)
}

/// The package of a patch of the tests or examples, which has the name that [`Patch`](crate::guest::Patch) has.
pub(crate) fn package(patch: &str) -> String {
    let name = patch.replace('_', "-");
    if name.starts_with("livepatch-") { name } else { format!("klp-test-{name}") }
}

/// The packages of all patches of the tests, and of the examples.
fn patches() -> Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name =
        |entry: &PathBuf| entry.file_name().expect("an entry has a name").to_string_lossy().into_owned();
    let ours = entries(&root.join("../patches"))?;
    let ours = ours.iter().map(name).filter(|name| name != "support" && !LATER_ABI.contains(&name.as_str()));
    let mut names: Vec<_> = ours.map(|name| package(&name)).collect();
    names.extend(
        entries(&root.join("../../examples"))?.iter().map(|entry| format!("livepatch-{}", name(entry))),
    );
    names.sort();
    Ok(names)
}
