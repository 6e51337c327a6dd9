//! What works on the kernel's own structures: locks, lists, counts, devices.

use std::process::{Command, Stdio};

use crate::guest::{Log, Patch};

crate::tests![the_kernels_own_structures];

const VOCABULARY: Patch = Patch("vocabulary");

fn the_kernels_own_structures() {
    const STATIC_KEY: &str = "/proc/sys/kernel/bpf_stats_enabled";
    let mut log = Log::new();
    std::fs::write(STATIC_KEY, "1").unwrap();
    VOCABULARY.enable();
    let shown = Command::new("/bin/cat").arg("/proc/version").stdout(Stdio::piped()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&shown.stdout), "/bin\n", "what it is called");
    let lines = log.lines();
    let limited = (0..10).map(|number| format!("vocabulary.limited {number}"));
    let expected: Vec<_> = ["vocabulary.once 0".to_owned()].into_iter().chain(limited).collect();
    let of_patch = |line: &String| crate::guest::of_patch(line);
    assert_eq!(lines.iter().filter_map(of_patch).collect::<Vec<_>>(), expected);
    for about_a_device in ["lo: is device 1", "net lo: is known"] {
        assert!(lines.iter().any(|line| line == about_a_device), "{lines:#?}");
    }
    VOCABULARY.end();
    std::fs::write(STATIC_KEY, "0").unwrap();
}
