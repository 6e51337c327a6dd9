//! A stock kernel that enforces signatures: it refuses what is not signed by a key that it trusts, and takes what is.
//!
//! The certificate is enrolled in UEFI's `db`, whose keys Debian's kernel trusts for modules. The guest sees the host's
//! files, so that nothing is installed in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cargo_klp::commands::ui::{self, Terminal};
use cargo_klp::error::{Error, Result};
use cargo_klp::host::tools::run_tool;
use cargo_klp::kernel::Kernel;
use cargo_klp::vm::{Captured, Firmware, Vm};

use crate::command::cargo;

/// UEFI without its platform key: anybody may change its variables.
pub(super) const CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// The variable of UEFI that has the certificates; a file of efivarfs.
const DB: &str = "/sys/firmware/efi/efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f";

/// Far longer than a boot takes.
const LIMIT: Duration = Duration::from_secs(600);

/// Two boots: the first one enrols the certificate. Whether all was as it must be.
pub(super) fn run(kernel: &Kernel, module: &Path, klp: &Path, directory: &Path) -> Result<bool> {
    let directory = directory.join("signatures");
    fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    let trusted = make_key(&directory, "trusted")?;
    let stranger = make_key(&directory, "stranger")?;
    let auth = signature_list(&directory, &trusted)?;
    let variables = directory.join("variables.fd");
    fs::copy(VARIABLES, &variables).map_err(Error::io("write", &variables))?;
    let firmware = Firmware { code: CODE.into(), variables };

    ui::status("Booting", "a machine with UEFI, to enrol a certificate");
    // The attributes of the variable, and the list, are one write.
    let enrol = format!(
        "modprobe efivarfs && mount -t efivarfs efivarfs /sys/firmware/efi/efivars && \
         (printf '\\047\\0\\0\\0'; cat {}) > /tmp/db && dd if=/tmp/db of={DB} bs=1M",
        auth.display()
    );
    let enrolled = boot(kernel, &firmware, "", &enrol)?;
    if enrolled.code != 0 {
        show("the certificate could not be enrolled", &enrolled);
        return Ok(false);
    }

    let copy = |name: &str, change: &dyn Fn(&Path) -> Result<()>| {
        let file = directory.join(format!("{name}.ko"));
        fs::copy(module, &file).map_err(Error::io("write", &file))?;
        change(&file)?;
        Ok::<_, Error>(file)
    };
    let unsigned = copy("unsigned", &|_| Ok(()))?;
    let signed = copy("signed", &|file| sign(file, &trusted))?;
    let strange = copy("strange", &|file| sign(file, &stranger))?;
    let changed = copy("changed", &|file| {
        sign(file, &trusted)?;
        change_a_byte(file)
    })?;

    ui::status("Booting", "the same machine, whose kernel enforces signatures");
    let klp = klp.display();
    let step =
        |number: usize, command: String| format!("echo '<{number}>'; {command} 2>&1; echo \"code $?\"");
    let script = [
        "grep asymmetri /proc/keys".to_owned(),
        format!("{klp} load {}", unsigned.display()),
        format!("insmod {}", unsigned.display()),
        format!("{klp} load {}", strange.display()),
        format!("{klp} load {}", changed.display()),
        format!("{klp} load {}", signed.display()),
        "cat /proc/version /sys/module/fix_1/taint".into(),
        format!("{klp} status"),
        format!("{klp} unload fix_1"),
    ];
    let script: Vec<_> =
        script.into_iter().enumerate().map(|(number, command)| step(number, command)).collect();
    let booted = boot(kernel, &firmware, "module.sig_enforce=1", &script.join("\n"))?;

    let mut expected = vec![
        (0, vec!["klp test: trusted", "code 0"]),
        (
            1,
            vec![
                "it is not signed, and the kernel loads signed modules only (module.sig_enforce)",
                "cargo klp sign",
                "code 3",
            ],
        ),
        (2, vec!["Key was rejected by service", "code 1"]),
        (3, vec!["signed by CN=klp test: stranger", "no key in /proc/keys has that name: enrol", "code 3"]),
        (4, vec!["signed by CN=klp test: trusted", "the file has changed since", "code 3"]),
        (5, vec!["fix_1: enabled", "code 0"]),
        // Without `E`, the taint of a module without a signature.
        (6, vec!["revision 1\nOK\n", "code 0"]),
        (7, vec!["signed      by CN=klp test: trusted, serial ", "; verified by the kernel", "code 0"]),
        (8, vec!["code 0"]),
    ];
    let answers: Vec<_> = booted.stdout.split('<').skip(1).map(str::to_owned).collect();
    expected.retain(|(number, texts)| {
        let answer = answers.get(*number).map_or("", String::as_str);
        !texts.iter().all(|text| answer.contains(text))
    });
    for (number, texts) in &expected {
        ui::warning(format_args!("expected {texts:?} of command {number}"));
    }
    let log =
        ["Loading of unsigned module is rejected", "Loading of module with unavailable key is rejected"];
    let silent: Vec<_> = log.into_iter().filter(|line| !booted.kernel_log.contains(line)).collect();
    for line in &silent {
        ui::warning(format_args!("expected `{line}` in the kernel log"));
    }
    if expected.is_empty() && silent.is_empty() {
        return Ok(true);
    }
    show("signatures are not as they must be", &booted);
    Ok(false)
}

fn boot(kernel: &Kernel, firmware: &Firmware, parameters: &str, script: &str) -> Result<Captured> {
    let vm = Vm::new(kernel).report_to(&Terminal).cpus(1).timeout(LIMIT);
    vm.firmware(firmware.clone()).parameters(parameters).output(&["sh", "-c", script])
}

/// All that is known of a boot that was not as it must be.
fn show(what: &str, booted: &Captured) {
    eprintln!("{}\n{}\n{}", booted.kernel_log, booted.stdout, booted.stderr);
    ui::warning(what);
}

/// A key and its certificate.
struct Key {
    key: PathBuf,
    cert: PathBuf,
}

fn make_key(directory: &Path, name: &str) -> Result<Key> {
    let [key, cert] = ["key", "cert"].map(|extension| directory.join(format!("{name}.{extension}")));
    let mut command = Command::new("openssl");
    command.args(["req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
    command.args(["-subj", &format!("/CN=klp test: {name}"), "-addext", "keyUsage=digitalSignature"]);
    run_tool(command.arg("-keyout").arg(&key).arg("-out").arg(&cert))?;
    Ok(Key { key, cert })
}

/// The certificate as UEFI takes it.
fn signature_list(directory: &Path, key: &Key) -> Result<PathBuf> {
    let [list, auth] = ["esl", "auth"].map(|extension| directory.join(format!("db.{extension}")));
    run_tool(Command::new("cert-to-efi-sig-list").arg(&key.cert).arg(&list))?;
    let mut command = Command::new("sign-efi-sig-list");
    command.arg("-k").arg(&key.key).arg("-c").arg(&key.cert).arg("db").arg(&list).arg(&auth);
    run_tool(&mut command)?;
    Ok(auth)
}

/// As a user signs.
fn sign(module: &Path, key: &Key) -> Result<()> {
    let mut command = cargo(&["run", "--quiet", "--package", "cargo-klp", "--", "klp", "sign"]);
    run_tool(command.arg("--key").arg(&key.key).arg("--cert").arg(&key.cert).arg(module)).map(drop)
}

/// Changes a word that nothing depends on.
fn change_a_byte(module: &Path) -> Result<()> {
    const WORD: &[u8] = b"author=The klp authors";
    let mut data = fs::read(module).map_err(Error::io("read", module))?;
    let at = data.windows(WORD.len()).position(|window| window == WORD).expect("the patch has an author");
    data[at + WORD.len() - 1] = b'z';
    fs::write(module, data).map_err(Error::io("write", module))
}
