//! What is done with the machine, boot by boot, and what must hold then.

use std::cell::Cell;

use cargo_klp::commands::ui;
use cargo_klp::error::Result;

use super::guest::{Boot, Machine};
use super::other_kernel;

/// Waits until no patch is on trial.
const CONFIRMED: &str =
    "for i in $(seq 300); do ls /var/lib/klp/trial/* > /dev/null 2>&1 || exit 0; sleep 1; done; exit 1";
/// Makes a unit that holds up the slow patch at each boot.
const HOLD: &str = "\
install /run/klp-test/hold.sh /usr/local/bin/klp-test-hold
cat > /etc/systemd/system/klp-test-hold.service << END
[Unit]
DefaultDependencies=no
Before=klp.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/bin/klp-test-hold
[Install]
WantedBy=sysinit.target
END
systemctl enable -q klp-test-hold.service";

/// rpm, whose database knows nothing of what a Debian has.
const RPM: &str = "rpm --force-debian --nodeps";

/// The files that the packages have left.
const LEFT: &str = "find / -xdev -name '*klp*' | grep -v klp-test";

/// What the redirected function shows.
const SHOWN: &str = "cat /proc/version";

/// Tells the story; whether all was as it must be.
pub(super) fn tell(machine: &Machine<'_>) -> Result<bool> {
    let passed = Cell::new(true);
    let judged = |boot: &Boot, judge: &dyn Fn(&mut Judge<'_>)| {
        let mut judge_of_boot = Judge { boot, failures: Vec::new() };
        judge(&mut judge_of_boot);
        let failures = judge_of_boot.failures;
        if !failures.is_empty() {
            passed.set(false);
            show(boot, &failures);
        }
    };
    let boot = |title: &str, parameters: &str, commands: &[&str], judge: &dyn Fn(&mut Judge<'_>)| {
        ui::status("Booting", title);
        judged(&machine.boot(parameters, commands)?, judge);
        Ok::<_, cargo_klp::error::Error>(())
    };

    boot(
        "a machine that gets its first patch",
        "",
        &[
            "apt-get install -qy /run/klp-test/klp-tools.deb /run/klp-test/fix_1.deb",
            "klp status",
            SHOWN,
            CONFIRMED,
            "klp status --fixes",
            "ls /var/lib/klp/confirmed/$(uname -r)",
            "klp metrics",
        ],
        &|judge| {
            judge.all_succeed(&[0, 1, 2, 3, 4, 5, 6]);
            judge.says(1, "fix_1: in effect");
            judge.shows(2, "revision 1");
            judge.shows(4, "CVE-2026-0001  fix_1");
            judge.says(5, ".ko");
            judge.says(6, r#"klp_fix{fix="CVE-2026-0001",patch="fix_1"} 1"#);
        },
    )?;

    boot(
        "again, to see the patch in effect before the network; upgrade and downgrade",
        "",
        &[
            SHOWN,
            "systemctl show --value -p ActiveEnterTimestampMonotonic klp.service",
            "systemctl show --value -p ActiveEnterTimestampMonotonic network-pre.target",
            "systemctl show --value -p ExecMainStartTimestampMonotonic systemd-networkd.service",
            "journalctl -b -o cat | grep -c 'fix_1: enabled'",
            // Each line that a reader gets is of one revision or the other; none is of the kernel's own function.
            "for i in 1 2 3; do while [ ! -e /run/stop ]; do cat /proc/version; done > /run/read$i & done; \
             apt-get install -qy /run/klp-test/fix_2.deb; code=$?; sleep 1; touch /run/stop; wait; exit $code",
            "sort -u /run/read*",
            "ls /sys/module | grep fix_; ls /usr/lib/klp/$(uname -r)",
            "apt-get install -qy --allow-downgrades /run/klp-test/fix_1.deb",
            "klp load /run/klp-test/fix_1.ko",
            SHOWN,
            "KLP_ALLOW_DOWNGRADE=1 apt-get install -qy --allow-downgrades /run/klp-test/fix_1.deb",
            SHOWN,
            "apt-get install -qy /run/klp-test/fix_2.deb",
            CONFIRMED,
            "klp unload fix_2 && klp load fix_2 && klp status",
            "apt-get install -qy /run/klp-test/slow_1.deb && ls /usr/lib/klp",
            HOLD,
        ],
        &|judge| {
            judge.all_succeed(&[0, 5, 6, 7, 11, 13, 14, 15, 16, 17]);
            judge.shows(0, "revision 1");
            let loaded = judge.number(1);
            judge.holds(
                loaded > 0 && loaded < judge.number(2),
                "klp.service has started before network-pre.target is reached",
            );
            judge.holds(
                loaded > 0 && loaded < judge.number(3),
                "klp.service has started before systemd-networkd starts",
            );
            judge.shows(4, "1");
            judge.shows(6, "revision 1\nrevision 2");
            judge.shows(7, "fix_2\nfix_2.ko");
            judge.fails(8, 100, "version 2 is installed, and has fixes that 1 lacks");
            judge.fails(9, 3, "its revision 1 of series operate is lower than 2 of fix_2");
            judge.shows(10, "revision 2");
            judge.shows(12, "revision 1");
            judge.says(15, "fix_2: in effect, on trial");
        },
    )?;

    // The last boot ended in good order while patches were on trial: none is to blame.
    let release = &machine.kernel.release;
    let elsewhere = format!("{}.", other_kernel(release));
    boot(
        "after a clean restart while patches were on trial; a transition of one waits for a task",
        "",
        &[
            SHOWN,
            "klp list",
            "ls -A /var/lib/klp/failed 2> /dev/null | wc -l",
            "klp status",
            "systemctl show --value -p ActiveState klp.service; systemctl show --value -p SubState klp.service",
            "journalctl -b -o cat | grep -c 'slow: still in transition, which goes on in the background'",
            "rm /run/klp-test/hold; until klp status > /dev/null; do [ $? = 4 ] || exit 1; sleep 1; done",
            "while [ \"$(systemctl show --value -p SubState klp.service)\" = running ]; do sleep 1; done; \
             systemctl is-active klp.service",
            CONFIRMED,
            // A version that leaves out the kernel that runs.
            "apt-get install -qy /run/klp-test/slow_2.deb",
            "ls /usr/lib/klp/*/slow.ko; klp status",
            "systemctl disable -q klp-test-hold.service; klp unload slow && apt-get purge -qy livepatch-slow",
            "ls /usr/lib/klp",
        ],
        &|judge| {
            judge.all_succeed(&[0, 1, 6, 7, 8, 9, 10, 11]);
            judge.shows(0, "revision 2");
            judge.says(1, "fix_2: in effect");
            judge.says(1, &elsewhere);
            judge.says(1, "slow: for another kernel than the one that runs; not signed");
            judge.shows(2, "0");
            judge.fails(3, 4, "slow: being enabled");
            judge.says(3, " in get_fs_type, which slow redirects");
            judge.shows(4, "active\nrunning");
            judge.shows(5, "1");
            judge.shows(7, "active");
            judge.says(9, "slow changes nothing now: this package has it for");
            judge.says(10, "slow: in effect");
            judge.shows(12, release);
        },
    )?;

    boot(
        "without any patch, by the boot parameter; one that panics is installed",
        "klp.enable=0",
        &[
            SHOWN,
            "systemctl is-active klp.service",
            "apt-get install -qy /run/klp-test/fix_3.deb",
            SHOWN,
            "klp list",
            // What the administrator has turned off stays off.
            "systemctl disable -q klp.service; systemctl mask -q klp-confirm.path; \
             apt-get install -qy --reinstall /run/klp-test/klp-tools.deb",
            "systemctl is-enabled klp.service klp-confirm.path",
            "systemctl enable -q klp.service; systemctl unmask -q klp-confirm.path; \
             systemctl is-enabled klp.service klp-confirm.path",
        ],
        &|judge| {
            judge.all_succeed(&[0, 1, 2, 3, 4, 5, 7]);
            judge.says(0, "Linux version");
            judge.shows(1, "active");
            judge.says(3, "Linux version");
            judge.says(4, "fix_3: not in effect");
            judge.shows(6, "disabled\nmasked");
            judge.shows(7, "enabled\nenabled");
        },
    )?;

    boot("the patch that panics", "", &[SHOWN], &|judge| {
        judge.holds(
            judge.boot.console.contains("fix_3 brings the machine down"),
            "fix_3 is loaded, and panics",
        );
        judge.holds(judge.boot.answers.is_empty(), "the machine goes down before its services are up");
    })?;

    boot(
        "without that one, with the last confirmed one in its place",
        "",
        &[
            SHOWN,
            "klp status",
            "klp list",
            "journalctl -b -o cat | grep -c 'fix_3: the machine went down while it was on trial'",
            CONFIRMED,
            "apt-get install -qy --reinstall /run/klp-test/fix_3.deb",
            SHOWN,
        ],
        &|judge| {
            judge.all_succeed(&[0, 2, 3, 4, 6]);
            judge.shows(0, "revision 2");
            judge.fails(1, 6, "fix_3: installed, not in effect; not loaded at boot: the machine went down");
            judge.says(1, "fix_2: in effect");
            judge.says(2, "fix_2: the last confirmed patch, in place of one that is left out");
            judge.shows(3, "1");
            judge.fails(5, 100, "fix_3 was not loaded: the machine went down while it was on trial");
            judge.shows(6, "revision 2");
        },
    )?;

    ui::status(
        "Booting",
        "a machine that crashes while the confirmed patch is on trial, and saves its memory",
    );
    // The guest's disk has no room for two of them.
    let dump = |written: &str, asked: &str| {
        format!(
            "cd /var/tmp && makedumpfile --message-level 0 {written} && klp status {asked}; code=$?; rm -f dump; exit $code"
        )
    };
    let dumped = machine.crash(
        &[
            "klp unload fix_2 && klp load /var/lib/klp/confirmed/$(uname -r)/*.ko && klp status",
            "echo c > /proc/sysrq-trigger",
        ],
        &[
            "systemctl is-active klp.service; ls -A /sys/kernel/livepatch",
            "klp status --dump /proc/vmcore",
            &dump("-l -d 31 /proc/vmcore dump", "--dump dump"),
            // As Debian's kdump-tools writes it. This makedumpfile is older than the kernel: what it leaves out of -d 31
            // differs from run to run.
            &dump("-c -d 31 /proc/vmcore dump", "--dump dump"),
            &dump("-c -d 23 /proc/vmcore dump", "--dump dump"),
            &dump("-E -d 31 /proc/vmcore dump", "--fixes --dump dump"),
            &dump("-F -d 31 /proc/vmcore > dump", "--fixes --dump dump"),
        ],
    )?;
    judged(&dumped, &|judge| {
        judge.all_succeed(&[0, 4, 6, 7, 8, 9]);
        judge.says(1, "fix_2: in effect, on trial");
        judge.holds(judge.boot.console.contains("sysrq triggered crash"), "the machine goes down");
        judge.shows(3, "inactive");
        judge.fails(5, 1, "compressed with LZO");
        for number in [4, 6, 7] {
            judge.says(number, "fix_2: in effect\n");
            judge.says(number, "series      operate, revision 2");
        }
        for number in [4, 7] {
            judge.says(number, "redirects   vmlinux: version_proc_show (1)");
        }
        for number in [8, 9] {
            judge.says(number, "CVE-2026-0002  fix_2");
        }
    });

    boot(
        "after it: the confirmed patch is loaded again; then a callback of a patch oopses",
        "",
        &[
            SHOWN,
            CONFIRMED,
            "apt-get install -qy /run/klp-test/fix_4.deb",
            "klp status",
            // A restart in good order would wait for whoever waits for the livepatch mutex.
            "sync; reboot -ff",
        ],
        &|judge| {
            judge.all_succeed(&[0, 1]);
            judge.shows(0, "revision 2");
            judge.fails(2, 100, "");
            judge.fails(3, 7, "fix_4: STUCK");
            judge.holds(judge.boot.console.contains("BUG: kernel NULL pointer"), "the callback oopses");
        },
    )?;

    let rpm = |arguments: &str| format!("{RPM} {arguments}");
    let [install, upgrade, downgrade, remove_patch, remove] = [
        "-U /run/klp-test/klp-tools.rpm /run/klp-test/fix_1.rpm",
        "-U /run/klp-test/fix_2.rpm",
        "-U --oldpackage /run/klp-test/fix_1.rpm",
        "-e livepatch-operate",
        "-e livepatch-operate klp-tools",
    ]
    .map(rpm);
    boot(
        "without that one; then all is removed, and installed by rpm",
        "",
        &[
            SHOWN,
            CONFIRMED,
            "klp status",
            // Nobody is there to answer.
            "apt-get remove -qy livepatch-operate",
            "cat /proc/version; ls /usr/lib/klp/*",
            // Somebody says no, and then yes; what is typed before the question is lost.
            "while sleep 1 && echo no; do :; done | script -qec 'DEBIAN_FRONTEND=readline apt-get remove -y livepatch-operate' /dev/null",
            "while sleep 1 && echo yes; do :; done | script -qec 'DEBIAN_FRONTEND=readline apt-get remove -y livepatch-operate' /dev/null",
            SHOWN,
            "ls /sys/kernel/livepatch; ls /sys/module | grep fix_; ls /usr/lib/klp",
            "apt-get purge -qy klp-tools",
            LEFT,
            "systemctl list-units --all --plain --no-legend 'klp*' | grep -v klp-test",
            &install,
            "cat /proc/version; systemctl is-enabled klp.service klp-confirm.path; systemctl is-active klp-confirm.path",
            &upgrade,
            "cat /proc/version; ls /sys/module | grep fix_; ls /usr/lib/klp/*",
            &downgrade,
            SHOWN,
            &format!("export KLP_ALLOW_DOWNGRADE=1; {downgrade}"),
            "cat /proc/version; systemctl start klp.service && klp status",
            &remove_patch,
            SHOWN,
            &format!("export KLP_ALLOW_REMOVAL=1; {remove}"),
            SHOWN,
            LEFT,
        ],
        &|judge| {
            judge.all_succeed(&[0, 1, 4, 6, 7, 9]);
            judge.shows(0, "revision 2");
            judge.fails(2, 6, "fix_4: installed, not in effect; not loaded at boot: the machine went down");
            judge.fails(
                3,
                100,
                "livepatch-operate stays: its patch is in effect, fix_2: CVE-2026-0001, CVE-2026-0002",
            );
            judge.shows(4, "revision 2\nfix_4.ko");
            judge.fails(5, 100, "livepatch-operate stays");
            judge.says(5, "fix_2: CVE-2026-0001, CVE-2026-0002");
            judge.says(7, "Linux version");
            judge.holds(!judge.text(8).contains("fix_"), "no module is left");
            judge.shows(10, "");
            judge.shows(11, "");
            judge.all_succeed(&[12, 13, 14, 15, 18, 19, 21, 22, 23]);
            judge.shows(13, "revision 1\nenabled\nenabled\nactive");
            judge.shows(15, "revision 2\nfix_2\nfix_2.ko");
            judge.holds(judge.code(16) != Some(0), "rpm refuses a downgrade");
            judge.says(16, "version 2 is installed, and has fixes that 1 lacks");
            judge.shows(17, "revision 2");
            judge.says(19, "revision 1\nfix_1: in effect");
            judge.holds(judge.code(20) != Some(0), "rpm refuses to remove a patch that is in effect");
            judge.says(20, "livepatch-operate stays: its patch is in effect, fix_1: CVE-2026-0001");
            judge.shows(21, "revision 1");
            judge.says(23, "Linux version");
            judge.shows(24, "");
        },
    )?;
    Ok(passed.get())
}

/// Looks at a boot.
struct Judge<'a> {
    boot: &'a Boot,
    failures: Vec<String>,
}

impl Judge<'_> {
    fn holds(&mut self, holds: bool, what: &str) {
        if !holds {
            self.failures.push(what.into());
        }
    }

    /// What a command has written; empty if it was not reached.
    fn text(&self, number: usize) -> &str {
        self.boot.answers.get(number).map_or("", |answer| &answer.text)
    }

    fn number(&self, number: usize) -> u64 {
        self.text(number).parse().unwrap_or(0)
    }

    fn code(&self, number: usize) -> Option<i32> {
        self.boot.answers.get(number)?.code
    }

    fn all_succeed(&mut self, numbers: &[usize]) {
        for &number in numbers {
            self.holds(self.code(number) == Some(0), &format!("command {number} succeeds"));
        }
    }

    fn shows(&mut self, number: usize, text: &str) {
        self.holds(self.text(number) == text, &format!("command {number} shows `{text}`"));
    }

    fn says(&mut self, number: usize, text: &str) {
        self.holds(self.text(number).contains(text), &format!("command {number} says `{text}`"));
    }

    fn fails(&mut self, number: usize, code: i32, text: &str) {
        self.holds(self.code(number) == Some(code), &format!("command {number} fails with {code}"));
        self.says(number, text);
    }
}

/// All that is known of a boot that was not as it must be.
fn show(boot: &Boot, failures: &[String]) {
    eprintln!("{}", boot.console);
    for (number, answer) in boot.answers.iter().enumerate() {
        let code = answer.code.map_or_else(|| "(never ended)".into(), |code| code.to_string());
        eprintln!("--- {number}: {}\n{}\n--- exit code {code}", answer.command, answer.text);
    }
    for failure in failures {
        ui::warning(format_args!("this does not hold: {failure}"));
    }
}
