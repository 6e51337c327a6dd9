//! Describes the machine that measured the figures.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::command::root;

/// Returns the properties of this machine that matter for the figures, by name.
pub(crate) fn describe(release: &str) -> BTreeMap<String, String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpuinfo, "model name").unwrap_or("unknown").to_owned();
    let cpus = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = field(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown");
    let first_line = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(root()).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        text.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or("unknown".into())
    };
    [
        ("processor", format!("{cpus} × {model}")),
        ("memory", format!("{} MiB", kib.unwrap_or(0) / 1024)),
        ("system", system.trim_matches('"').to_owned()),
        ("target kernel", release.to_owned()),
        ("rustc", first_line("rustc", &["--version"])),
        ("gcc", first_line("gcc", &["--version"])),
        ("QEMU", first_line(cargo_klp::kernel::arch::X86_64.qemu.program, &["--version"])),
        ("revision", first_line("git", &["describe", "--always", "--dirty"])),
        ("date", first_line("date", &["-u", "+%F"])),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Finds a value in a text of lines `name: value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_their_names() {
        let text = "processor\t: 0\nmodel name\t: Xeon: fast\n";
        assert_eq!(field(text, "model name"), Some("Xeon: fast"));
        assert_eq!(field(text, "flags"), None);
    }
}
