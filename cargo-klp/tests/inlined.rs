//! What is said of functions that were inlined: by debug information that is made here, with the build ID and the
//! addresses of a kernel, and so is taken for its own.
//!
//! Needs a kernel 6.12: `cargo klp doctor --fix --kernel 6.12` gets it.

mod support;

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cargo_klp::host::cache;
use cargo_klp::host::report::Silent;
use cargo_klp::kernel::symbols::{Object, Symbols, VMLINUX};
use serde_json::Value;
use support::{klp, succeed, target, target_directory, write_crate};

/// Functions that the kernel has, and one that is inlined everywhere. `start_kernel` is gone once it is booted.
const SOURCE: &str = "
extern volatile int device;
#define ALWAYS static inline __attribute__((always_inline))
ALWAYS int cmdline_proc_show(int value) { device = value; return device + 1; }
ALWAYS int klp_inlined_everywhere(int value) { device = value; return device + 2; }
ALWAYS int klp_inlined_into_init(int value) { device = value; return device + 3; }
int version_proc_show(int value) { return cmdline_proc_show(value) + klp_inlined_everywhere(value); }
int fifo_open(int value)
{ return cmdline_proc_show(value) + cmdline_proc_show(device) + klp_inlined_everywhere(value) * 2; }
int do_syscall_64(int value) { return klp_inlined_everywhere(value); }
int start_kernel(int value) { return cmdline_proc_show(value) + klp_inlined_into_init(value); }
int (*kept)(int) = cmdline_proc_show;
volatile int device;
";

/// Those of them that the kernel has.
const FUNCTIONS: [&str; 5] =
    ["cmdline_proc_show", "version_proc_show", "fifo_open", "do_syscall_64", "start_kernel"];

/// A cache of its own, so that what is made here is nowhere else taken for the kernel's: with all that the real one
/// has but debug information.
struct Machine {
    cache: tempfile::TempDir,
    vmlinux: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let target = target("6.12");
        let symbols = Symbols::of(&target, &Silent).unwrap();
        let object = symbols.object(VMLINUX).unwrap();
        let directory = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(cache::root().unwrap()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "debug-info" {
                symlink(entry.path(), directory.path().join(entry.file_name())).unwrap();
            }
        }
        let id = object.build_id().unwrap().unwrap();
        let vmlinux = vmlinux(directory.path(), &object, &id);
        Self { cache: directory, vmlinux }
    }

    /// The command, with what is kept in the cache.
    fn klp(&self, arguments: &[&str]) -> Command {
        let mut command = klp();
        command
            .args(arguments)
            .args(["--kernel", "6.12"])
            .env("KLP_CACHE", self.cache.path())
            .env("CARGO_TARGET_DIR", target_directory())
            .env("RUSTFLAGS", "");
        command
    }

    /// The same, given the debug information.
    fn informed(&self, arguments: &[&str]) -> Command {
        let mut command = self.klp(arguments);
        command.arg("--debug-info").arg(&self.vmlinux);
        command
    }
}

/// What the kernel's debug information could look like.
fn vmlinux(directory: &Path, object: &Object<'_>, id: &str) -> PathBuf {
    let (source, file) = (directory.join("source.c"), directory.join("vmlinux"));
    fs::write(&source, SOURCE).unwrap();
    let mut script = "SECTIONS {\n".to_owned();
    for function in FUNCTIONS {
        let address = object.named(function)[0].address;
        writeln!(script, ".text.{function} {address:#x} : {{ *(.text.{function}) }}").unwrap();
    }
    script.push_str("}\n");
    let script_file = directory.join("script.lds");
    fs::write(&script_file, script).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-g",
        "-O2",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-fno-pie",
        "-mcmodel=kernel",
        "-ffunction-sections",
    ]);
    gcc.args([format!("-Wl,-e,0,--build-id=0x{id},-T"), script_file.display().to_string()]);
    succeed(gcc.arg("-o").arg(&file).arg(&source));
    file
}

fn text(output: &Output) -> String {
    String::from_utf8([&*output.stdout, &output.stderr].concat()).unwrap()
}

/// Replacements of these functions, each in a line of its own.
fn replacements(symbols: &[&str]) -> String {
    let mut items = String::new();
    for (number, symbol) in symbols.iter().enumerate() {
        let parameters = match *symbol {
            "fifo_open" => "a: *mut inode, b: *mut file",
            _ => "a: *mut seq_file, b: *mut c_void",
        };
        writeln!(
            items,
            "#[klp_func(symbol = {symbol:?})] unsafe extern \"C\" fn f{number}({parameters}) -> c_int {{ let _ = (a, b); 0 }}"
        )
        .unwrap();
    }
    items
}

/// What `cargo klp check` finds, as programs read it.
fn checked(machine: &Machine, symbols: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    write_crate(directory.path(), "inlined", &replacements(symbols));
    let manifest = directory.path().join("Cargo.toml");
    let mut command = machine.informed(&["check", "--message-format", "json"]);
    let output = command.arg("--manifest-path").arg(manifest).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)))
}

fn messages(line: &Value, list: &str) -> Vec<String> {
    let of = |fault: &Value| {
        format!("{}: {}", fault["place"].as_str().unwrap(), fault["message"].as_str().unwrap())
    };
    line[list].as_array().unwrap().iter().map(of).collect()
}

#[test]
fn old_code_that_is_left_is_warned_of() {
    let machine = Machine::new();
    let left = checked(&machine, &["cmdline_proc_show"]);
    assert_eq!(left["fits"], true);
    assert_eq!(
        messages(&left, "warnings"),
        [
            "src/lib.rs:5:21: redirecting `cmdline_proc_show` is incomplete: it is also inlined into `fifo_open` (2 places) \
             and `version_proc_show`; redirect those too (`cargo klp explain cmdline_proc_show` lists all)"
        ]
    );
    let less = checked(&machine, &["cmdline_proc_show", "fifo_open"]);
    let said = messages(&less, "warnings").join("\n");
    assert!(said.contains("inlined into `version_proc_show`;"), "{said}");
    let none = checked(&machine, &["cmdline_proc_show", "fifo_open", "version_proc_show"]);
    assert_eq!(messages(&none, "warnings"), [""; 0]);
}

#[test]
fn the_callers_of_what_was_inlined_away_are_named() {
    let machine = Machine::new();
    let line = checked(&machine, &["klp_inlined_everywhere", "klp_inlined_into_init", "klp_nowhere"]);
    assert_eq!(line["fits"], false);
    let faults = messages(&line, "faults");
    assert_eq!(
        faults[..2],
        [
            "src/lib.rs:5:21: `klp_inlined_everywhere` has no symbol in vmlinux: the compiler inlined it into \
             `do_syscall_64`, `fifo_open` and `version_proc_show`: patch those",
            "src/lib.rs:6:21: `klp_inlined_into_init` has no symbol in vmlinux: no code of it remains in \
             vmlinux",
        ]
    );
    assert!(faults[2].contains("`klp_nowhere` does not exist in vmlinux: "), "{}", faults[2]);
    assert!(!faults[2].contains("inlined"), "{}", faults[2]);
}

#[test]
fn explain_lists_all() {
    let machine = Machine::new();
    let said = |command: &mut Command| String::from_utf8(succeed(command).stdout).unwrap();
    let without = said(&mut machine.klp(&["explain", "cmdline_proc_show"]));
    assert!(without.contains("unknown without debug information"), "{without}");
    assert!(without.contains("cargo klp doctor --fix --debug-info --kernel 6.12."), "{without}");

    let of = |name: &str| said(&mut machine.informed(&["explain", name]));
    let kept = of("cmdline_proc_show");
    let kept = kept.split_once("  source ").unwrap().1;
    assert!(kept.contains("source.c:4\n              code of its own: cmdline_proc_show\n"), "{kept}");
    assert!(
        kept.ends_with(
            "inlined into 3 functions
                fifo_open, 2 places
                start_kernel: can't be redirected: it is `__init`, which the kernel frees after boot
                version_proc_show
"
        ),
        "{kept}"
    );
    assert!(of("fifo_open").ends_with("not inlined anywhere\n"), "{}", of("fifo_open"));
    assert!(of("vfs_read").ends_with("unknown: the debug information does not mention it\n"));
    // It is known to who gives the file, and to nobody else.
    assert_eq!(said(&mut machine.klp(&["explain", "cmdline_proc_show"])), without);
    let gone = of("klp_inlined_everywhere");
    assert!(gone.contains("symbol      none"), "{gone}");
    assert!(gone.contains("do_syscall_64: can't be redirected: it has no ftrace entry"), "{gone}");

    let json =
        succeed(&mut machine.informed(&["explain", "cmdline_proc_show", "--message-format", "json"])).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    let holder = &json["functions"][0]["inlined_into"][0];
    assert_eq!((holder["symbol"].as_str(), holder["places"].as_u64()), (Some("fifo_open"), Some(2)));
}

#[test]
fn debug_information_of_another_build_is_refused() {
    let machine = Machine::new();
    let other = machine.cache.path().join("other");
    fs::create_dir(&other).unwrap();
    let target = target("6.12");
    let symbols = Symbols::of(&target, &Silent).unwrap();
    let vmlinux = vmlinux(&other, &symbols.object(VMLINUX).unwrap(), &"12".repeat(20));
    let mut command = machine.klp(&["explain", "vfs_read"]);
    let output = command.arg("--debug-info").arg(vmlinux).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    assert!(said.contains("is of another build: its build ID is 1212"), "{said}");

    let stripped = machine.cache.path().join("stripped");
    succeed(Command::new("strip").arg("-o").arg(&stripped).arg(&machine.vmlinux));
    let mut command = machine.klp(&["explain", "vfs_read"]);
    let said = text(&command.arg("--debug-info").arg(stripped).output().unwrap());
    assert!(said.contains("it has no debug information"), "{said}");
}

/// Also where nothing has changed since, and make is not asked. Who gives no debug information is told what a build
/// without it tells, whatever was given before.
#[test]
fn a_build_warns_each_time() {
    let machine = Machine::new();
    let directory = tempfile::tempdir().unwrap();
    write_crate(directory.path(), "inlined-build", &replacements(&["cmdline_proc_show"]));
    let manifest = directory.path().join("Cargo.toml");
    let build = |command: &mut Command| {
        let output = succeed(command.args(["--message-format", "json", "--manifest-path"]).arg(&manifest));
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        let warnings = line["warnings"].as_array().unwrap().len();
        (warnings, text(&output).matches("warning: src/lib.rs:5:21: redirecting `cmdline_proc_show`").count())
    };
    assert_eq!(build(&mut machine.klp(&["build"])), (0, 0));
    // The module is there; what is known of the kernel is new.
    assert_eq!(build(&mut machine.informed(&["build"])), (1, 1));
    assert_eq!(build(&mut machine.informed(&["build"])), (1, 1));
    assert_eq!(build(&mut machine.klp(&["build"])), (0, 0));
    assert_eq!(build(&mut machine.informed(&["build"])), (1, 1));
}
