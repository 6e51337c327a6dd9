//! Symbols that are not exported.

use std::fs;

use rustix::io::Errno;

use crate::guest::{Log, Patch, is_6_1};

crate::tests![
    symbols_of_vmlinux,
    symbols_of_a_module_that_is_loaded_later,
    symbols_of_a_module_that_is_there,
    a_module_that_missed_the_last_step_is_refused,
];

const SYMBOLS: Patch = Patch("symbols");
const SYMBOLS_MODULE: Patch = Patch("symbols_module");
/// The module whose symbols the patch has.
const HIDDEN: Patch = Patch("hidden");

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}")).trim_end().to_owned()
}

fn hidden() -> String {
    read("/proc/klp_test_hidden")
}

/// The addresses of the kernel's symbols of a name, as in `/proc/kallsyms`. What compilers add to the name of a
/// variable in a function is left out: gcc a number at its end, Clang the function's name before it.
fn addresses(name: &str) -> Vec<String> {
    let is_meant = |symbol: &str| symbol.split('.').any(|part| part == name);
    let text = read("/proc/kallsyms");
    let vmlinux = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    vmlinux
        .filter(|fields| fields.len() == 3 && is_meant(fields[2]))
        .map(|fields| fields[0].to_owned())
        .collect()
}

fn symbols_of_vmlinux() {
    fs::write("/proc/sys/fs/pipe-max-size", "65536").unwrap();
    SYMBOLS.enable();
    let [variable] = &*addresses("shared_last_ino") else { panic!("it is in one function") };
    let second = &addresses("c_start")[1];
    assert_eq!(read("/proc/version"), format!("65536 4711 4 {variable} {second}"));
    fs::write("/proc/sys/fs/pipe-max-size", "1048576").unwrap();
    assert!(read("/proc/version").starts_with("1048576 "), "the variable is the kernel's own");
    SYMBOLS.end();
}

fn symbols_of_a_module_that_is_loaded_later() {
    SYMBOLS_MODULE.enable();
    HIDDEN.insert().unwrap();
    assert_eq!(hidden(), "patched: 137 2 1001 2002");
    assert_eq!(hidden(), "patched: 257 2 1001 2002");
    HIDDEN.remove();

    // Up to Linux 6.3 what was written into the patch stays there, and the module does not load again.
    let mut log = Log::new();
    if is_6_1() {
        assert_eq!(HIDDEN.insert(), Err(Errno::NOEXEC));
        let lines = log.lines();
        assert!(lines.iter().any(|line| line.contains("existing value is nonzero")), "{lines:#?}");
        SYMBOLS_MODULE.end();
        HIDDEN.insert().unwrap();
    } else {
        HIDDEN.insert().unwrap();
        assert_eq!(hidden(), "patched: 137 2 1001 2002", "its variables are new");
        SYMBOLS_MODULE.end();
    }
    let number = if is_6_1() { 17 } else { 137 };
    assert_eq!(hidden(), format!("{number} 1 2 1003 2004"));
    HIDDEN.remove();
}

fn symbols_of_a_module_that_is_there() {
    HIDDEN.insert().unwrap();
    assert_eq!(hidden(), "17 1 2 1003 2004");
    SYMBOLS_MODULE.enable();
    assert_eq!(hidden(), "patched: 137 2 1003 2004");
    SYMBOLS_MODULE.end();
    assert_eq!(hidden(), "137 1 2 1005 2006");
    HIDDEN.remove();
}

/// The host half has left the step out.
fn a_module_that_missed_the_last_step_is_refused() {
    let mut log = Log::new();
    Patch("unfinished").refused(Errno::INVAL);
    assert_eq!(
        log.of_patches(),
        [
            "unfinished.refused: 0 of 4 symbols are marked for livepatch: the build did not finish, or it was linked again"
        ]
    );
}
