//! Reads `.modinfo`, and checks whether the kernel takes the module for a livepatch.

use std::path::Path;

use klp_module::Modinfo;
use object::{Object, ObjectSymbol};

use super::report::Parameter;
use super::symbols;
use crate::error::{Error, Result};

/// The licenses with which a module may use all of the kernel's symbols and patch it.
const GPL_COMPATIBLE: [&str; 6] =
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

/// The `.modinfo` of a module; empty if it has none.
pub fn read(file: &object::File<'_>) -> Result<Modinfo> {
    Modinfo::read(file).map_err(Error::elf("read .modinfo"))
}

/// The module's parameters, sorted by name.
pub fn parameters(modinfo: &Modinfo) -> Vec<Parameter> {
    let pairs = |key| modinfo.all(key).filter_map(|value| value.split_once(':'));
    let of = |key, name: &str| pairs(key).find(|(n, _)| *n == name).map(|(_, value)| value.to_owned());
    let mut names: Vec<&str> = pairs("parmtype").chain(pairs("parm")).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let parameter = |name: &str| Parameter {
        name: name.into(),
        kind: of("parmtype", name),
        description: of("parm", name),
    };
    names.into_iter().map(parameter).collect()
}

/// The reasons why the kernel would refuse the module, or not take it for the module `name` of `release`, or, if
/// it must be `enabled`, for a livepatch.
fn faults(modinfo: &Modinfo, name: &str, release: &str, enabled: bool) -> Vec<String> {
    let mut faults = Vec::new();
    if modinfo.sections() != 1 {
        faults.push(format!("it has {} .modinfo sections but must have one", modinfo.sections()));
    }
    if enabled && !modinfo.has("livepatch") {
        faults.push("its .modinfo lacks livepatch=Y".into());
    }
    match modinfo.get("license") {
        None => faults.push("its .modinfo lacks a license".into()),
        Some(license) if !GPL_COMPATIBLE.contains(&license) => {
            faults.push(format!("the kernel does not take the license {license:?} for GPL-compatible"));
        }
        Some(_) => {}
    }
    match modinfo.release() {
        Some(found) if found == release => {}
        found => faults
            .push(format!("its vermagic is for kernel {}, not for {release}", found.unwrap_or("(none)"))),
    }
    match modinfo.get("name") {
        Some(found) if found == name => {}
        found => faults.push(format!("its name is {}, not {name}", found.unwrap_or("(none)"))),
    }
    faults
}

/// Checks that the kernel `release` will take a finished module for the livepatch `name`.
///
/// # Errors
///
/// Lists everything that is wrong with it.
pub fn check(path: &Path, file: &object::File<'_>, name: &str, release: &str, enabled: bool) -> Result<()> {
    let mut found = faults(&read(file)?, name, release, enabled);
    let lost = symbols::read(file).livepatch.into_iter().filter(|symbol| !symbol.resolved);
    found.extend(lost.map(|symbol| {
        format!("`{}` of {} is not marked for livepatch and would be NULL", symbol.symbol, symbol.object)
    }));
    if file.symbol_by_name("__this_module").is_none_or(|symbol| symbol.is_undefined()) {
        found.push("it has no __this_module, so it is not a finished module".into());
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::Unloadable { path: path.into(), faults: found })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modinfo(text: &str) -> Modinfo {
        let mut modinfo = Modinfo::default();
        modinfo.add(text.as_bytes());
        modinfo
    }

    const GOOD: &str = "license=GPL v2\0author=A\0author=B\0livepatch=Y\0name=fix_x\0\0\
                        vermagic=6.12.1 SMP preempt \0";

    #[test]
    fn parameters_have_types_and_descriptions() {
        let modinfo = modinfo("parmtype=b:int\0parm=a:Says: what\0parmtype=a:charp\0");
        let described: Vec<_> = parameters(&modinfo)
            .into_iter()
            .map(|parameter| (parameter.name, parameter.kind, parameter.description))
            .collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            described,
            [("a".into(), some("charp"), some("Says: what")), ("b".into(), some("int"), None)]
        );
    }

    #[test]
    fn a_good_module_has_no_faults() {
        assert_eq!(faults(&modinfo(GOOD), "fix_x", "6.12.1", true), [""; 0]);
    }

    #[test]
    fn each_fault_is_told() {
        for (text, fault) in [
            (GOOD.replace("livepatch=Y", "livepatch=N"), "livepatch=Y"),
            (GOOD.replace("GPL v2", "MIT"), "\"MIT\""),
            (GOOD.replace("license", "licence"), "lacks a license"),
            (GOOD.replace("6.12.1 ", "6.12.10 "), "6.12.10"),
            (GOOD.replace("fix_x", "fix_y"), "fix_y"),
        ] {
            let faults = faults(&modinfo(&text), "fix_x", "6.12.1", true);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains(fault), "{faults:?}");
        }
        let mut two = modinfo(GOOD);
        two.add(b"extra=1\0");
        assert!(faults(&two, "fix_x", "6.12.1", true)[0].contains("2 .modinfo sections"));
        assert_eq!(faults(&Modinfo::default(), "fix_x", "6.12.1", true).len(), 5);
        assert_eq!(faults(&Modinfo::default(), "fix_x", "6.12.1", false).len(), 4);
    }
}
