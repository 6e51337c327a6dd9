//! What `klp.service` runs at boot, where a transition takes its time.

use std::time::Duration;

use super::fake::{Fake, c_patch};
use crate::error::Exit;

/// The arguments in `klp.service`.
fn service() -> Vec<&'static str> {
    let unit = include_str!("../../systemd/klp.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/sbin/klp ")).unwrap();
    line.split(' ').collect()
}

/// A machine with two patches installed, where a task keeps the first from being in effect.
fn machine() -> Fake {
    let fake = Fake::new();
    fake.starts();
    for name in ["first", "second"] {
        let path = fake.ko(name, &c_patch(name));
        assert_eq!(fake.klp(["install", path.to_str().unwrap()]), Exit::Done, "{}", fake.said());
    }
    fake.sleeper(7, "fifo_open+0x1f/0x300");
    fake
}

#[test]
fn a_slow_transition_holds_up_neither_the_boot_nor_the_next_patch() {
    let fake = machine();
    fake.wakes_after(7, Duration::from_secs(40));
    assert_eq!(fake.klp(service()), Exit::Done, "{}", fake.said());
    let said = fake.said();
    assert!(said.contains("first: still in transition, which goes on in the background"), "{said}");
    assert!(said.contains("first: enabled, 40") && !said.contains("taking it back"), "{said}");
    assert!(fake.is_enabled("first") && fake.is_enabled("second"));
}

#[test]
fn systemd_hears_of_a_stall_after_the_time_in_the_unit() {
    let fake = machine();
    fake.interrupts_after(Duration::from_secs(30));
    assert_eq!(fake.klp(service()), Exit::InTransition, "{}", fake.said());
    let started = fake.started().expect("the boot goes on");
    assert!((15..17).contains(&started.as_secs()), "{started:?}");
    assert!(fake.is_enabled("first") && !fake.is_loaded("second"));
    assert!(fake.said().contains("cat (pid 7) sleeps in fifo_open"), "{}", fake.said());
}

#[test]
fn systemd_hears_of_a_success_and_not_of_a_failure() {
    let fake = machine();
    fake.wakes(7);
    assert_eq!(fake.klp(service()), Exit::Done);
    assert!(fake.started().is_some());

    let fake = machine();
    fake.wakes(7);
    fake.answers(rustix::io::Errno::INVAL);
    assert_eq!(fake.klp(service()), Exit::NotInEffect);
    assert_eq!(fake.started(), None);
}

/// `cargo xtask operate` boots a kernel that saves the memory of one that crashed; containers are systemd's own matter.
#[test]
fn nothing_is_loaded_for_another_system() {
    let unit = include_str!("../../systemd/klp.service");
    for condition in ["PathExists=!/proc/vmcore", "Virtualization=!container", "Capability=CAP_SYS_MODULE"] {
        assert!(unit.lines().any(|line| line == format!("Condition{condition}")), "{condition}");
    }
}
