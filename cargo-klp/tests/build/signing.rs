//! Signatures: each way of building signs last, and what has changed since is seen.
//!
//! The kernel itself verifies signatures in `cargo xtask operate`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::support::{klp, succeed};
use super::{LIVEPATCH, Probe, assert_refused, dummy, name_of_this_test, result};

/// Keys and certificates, in a directory.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Makes `NAME.key` and `NAME.cert`, for `CN=NAME`.
    fn make(&self, name: &str, kind: &[&str]) -> [String; 2] {
        let files = ["key", "cert"].map(|extension| self.path(&format!("{name}.{extension}")));
        let mut command =
            openssl(&["req", "-new", "-x509", "-nodes", "-days", "10", "-subj", &format!("/CN={name}")]);
        succeed(command.args(kind).args(["-keyout", &files[0], "-out", &files[1]]));
        files
    }

    fn rsa(&self, name: &str) -> [String; 2] {
        self.make(name, &["-newkey", "rsa:2048"])
    }

    /// A key whose certificate was good in 2020.
    fn expired(&self) -> [String; 2] {
        let [key, cert] = self.rsa("expired");
        succeed(openssl(&["x509", "-in", &cert, "-outform", "DER", "-out", &cert]).arg("-inform").arg("PEM"));
        let mut der = fs::read(&cert).unwrap();
        // Two times in succession, each with the year as two digits.
        const TIME: [u8; 2] = [0x17, 13];
        for at in 0..der.len() - 30 {
            if der[at..].starts_with(&TIME) {
                der[at + 2..at + 4].copy_from_slice(b"20");
            }
        }
        fs::write(&cert, der).unwrap();
        [key, cert]
    }
}

fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments);
    command
}

/// A command with a key.
fn signing(mut command: Command, [key, cert]: &[String; 2]) -> Command {
    command.args(["--key", key, "--cert", cert]);
    command
}

/// What `inspect` says of a module, by its own word and by that of a certificate.
fn inspect(module: &Path, cert: &str) -> Value {
    let mut command = klp();
    command.args(["inspect", "--message-format", "json", "--cert", cert]).arg(module);
    serde_json::from_slice(&succeed(&mut command).stdout).unwrap()
}

#[track_caller]
fn assert_signed(module: &Path, [_, cert]: &[String; 2], issuer: &str) {
    let report = inspect(module, cert);
    assert_eq!(report["signature"]["issuer"], issuer, "{report:#}");
    assert_eq!(report["signature"]["hash"], "sha256");
    assert_eq!(
        (&report["verified"], &report["faults"]),
        (&true.into(), &Value::Array(Vec::new())),
        "{report:#}"
    );
}

#[track_caller]
fn assert_unsigned(module: &Path) {
    assert!(!fs::read(module).unwrap().ends_with(b"~Module signature appended~\n"));
}

#[test]
fn every_way_of_building_signs() {
    let (keys, patch) = (Keys::new(), Probe::new(LIVEPATCH));
    let (one, other) = (keys.rsa("one"), keys.rsa("other"));
    let built = |mut command: Command| {
        let output = succeed(&mut command);
        let is_made = String::from_utf8(output.stderr).unwrap().contains("Building");
        (PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()), is_made)
    };
    let (ko, _) = built(signing(patch.build(), &one));
    assert_signed(&ko, &one, "CN=one");
    let mut by_variables = patch.build();
    by_variables.env("KLP_SIGN_KEY", &one[0]).env("KLP_SIGN_CERT", &one[1]);
    assert!(!built(by_variables).1, "nothing has changed");
    assert_eq!(inspect(&ko, &other[1])["verified"], false);
    built(patch.build());
    assert_unsigned(&ko);

    // Plain make signs what it has made before, where the key is another one, or the certificate.
    patch.write_kbuild();
    let ko = patch.0.path().join(format!("{}.ko", name_of_this_test()));
    let make = |key: Option<&[String; 2]>| {
        let mut make = patch.make(&["modules"]);
        if let Some([key, cert]) = key {
            make.env("KLP_SIGN_KEY", key).env("KLP_SIGN_CERT", cert);
        }
        succeed(&mut make);
    };
    make(None);
    assert_unsigned(&ko);
    make(Some(&one));
    assert_signed(&ko, &one, "CN=one");
    keys.make("one", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"]);
    make(Some(&one));
    assert_signed(&ko, &one, "CN=one");
    let mut make = patch.make(&["modules"]);
    make.env("KLP_SIGN_KEY", &one[0]).env("KLP_SIGN_CERT", &other[1]);
    let (code, said) = result(&mut make);
    assert!(code != 0 && said.contains("is not the key of the certificate"), "{said}");
    assert!(!ko.exists(), "a module that could not be signed is left");
}

#[test]
fn what_is_packaged_is_signed_as_it_is() {
    let (keys, patch) = (Keys::new(), Probe::new(LIVEPATCH));
    let (one, other) = (keys.rsa("one"), keys.rsa("other"));
    let built = String::from_utf8(succeed(&mut patch.build()).stdout).unwrap();
    let ko = keys.0.path().join("fix.ko");
    fs::copy(built.trim(), &ko).unwrap();
    let sign = |key: &[String; 2]| {
        let mut command = klp();
        command.arg("sign").arg(&ko);
        succeed(&mut signing(command, key))
    };
    let unsigned = fs::read(&ko).unwrap();
    let size = |key| {
        sign(key);
        fs::metadata(&ko).unwrap().len()
    };
    assert_eq!(size(&one), size(&one), "a second signature takes the place of the first");
    assert!(fs::read(&ko).unwrap().starts_with(&unsigned));
    sign(&other);
    assert_signed(&ko, &other, "CN=other");

    let deb = keys.0.path().join("debs");
    let package = |arguments: &[&str]| {
        let mut command = klp();
        command
            .args(["package", "--maintainer", "A <a@example.org>", "--output"])
            .arg(&deb)
            .arg(&ko)
            .args(arguments);
        command
    };
    let packaged = |arguments: &[&str]| {
        let output = succeed(&mut package(arguments));
        let (file, root) = (String::from_utf8(output.stdout).unwrap(), keys.0.path().join("root"));
        succeed(Command::new("dpkg-deb").arg("-x").arg(file.trim()).arg(&root));
        let found = succeed(Command::new("find").arg(root).args(["-name", "*.ko"]));
        PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
    };
    assert_signed(&packaged(&[]), &other, "CN=other");
    assert_signed(&packaged(&["--cert", &other[1]]), &other, "CN=other");
    assert_signed(&packaged(&["--key", &one[0], "--cert", &one[1]]), &one, "CN=one");
    assert_refused(package(&["--cert", &one[1]]), 1, &["another certificate has signed it than", "(CN=one)"]);

    let mut changed = fs::read(&ko).unwrap();
    let name = b"license=GPL";
    let at = changed.windows(name.len()).position(|window| window == name).unwrap();
    changed[at + name.len() - 1] = b'X';
    fs::write(&ko, changed).unwrap();
    let why = "its signature does not match its contents: they have changed since it was signed";
    assert_refused(package(&["--cert", &other[1]]), 1, &[why]);
    let mut verify = klp();
    verify.args(["inspect", "--verify", "--cert", &other[1]]).arg(&ko);
    assert_refused(verify, 1, &[why, "help: do not load it"]);
    let report = inspect(&ko, &other[1]);
    assert_eq!((&report["verified"], &report["faults"][0]), (&false.into(), &why.into()));
}

/// Each error names the file, and says what to do.
#[test]
fn keys_that_cannot_sign() {
    let keys = Keys::new();
    let (good, other) = (keys.rsa("good"), keys.rsa("other"));
    let expired = keys.expired();
    let edwards = keys.make("edwards", &["-newkey", "ed25519"]);
    let encrypted = [keys.path("encrypted"), good[1].clone()];
    let mut encrypt =
        openssl(&["pkey", "-in", &good[0], "-aes256", "-passout", "pass:secret", "-out", &encrypted[0]]);
    succeed(&mut encrypt);
    let ko = keys.0.path().join("dummy.ko");
    fs::write(&ko, dummy()).unwrap();
    let with = |[key, cert]: [&str; 2]| {
        let mut command = klp();
        command.arg("sign").arg(&ko).args(["--key", key, "--cert", cert]).env_remove("KBUILD_SIGN_PIN");
        command
    };
    let refused = |files: [&str; 2], texts: &[&str]| assert_refused(with(files), 1, texts);
    refused(
        [&good[0], &other[1]],
        &["good.key` is not the key of the certificate", "help: give the certificate"],
    );
    refused(
        [&expired[0], &expired[1]],
        &["expired.cert` has expired: it was valid until", "help: sign with"],
    );
    refused([&edwards[0], &edwards[1]], &["is neither RSA nor ECDSA", "help: make an RSA key"]);
    refused([&encrypted[0], &good[1]], &["encrypted` is encrypted", "help: set KBUILD_SIGN_PIN"]);
    refused(
        ["/nowhere/k.pem", &good[1]],
        &["there is no file `/nowhere/k.pem`", "help: give its path with `--key`"],
    );
    refused([&good[0], "/nowhere/c.pem"], &["there is no file `/nowhere/c.pem`", "openssl req -new -x509"]);
    refused([&good[1], &good[1]], &["has no private key in PEM format", "help: `openssl pkey"]);
    refused([&good[0], &good[0]], &["is not an X.509 certificate", "help: give the file"]);
    refused(
        ["pkcs11:token=none?pin-value=12", &good[1]],
        &["can't use `pkcs11:token=none`", "p11tool --list-all"],
    );
    refused(["pkcs11:token='x'", &good[1]], &["has `\\'` in it", "help: write `%27`"]);
    let mut wrong = with([&encrypted[0], &good[1]]);
    wrong.env("KBUILD_SIGN_PIN", "wrong");
    assert_refused(wrong, 1, &["KBUILD_SIGN_PIN does not unlock"]);
    assert_eq!(fs::read(&ko).unwrap(), dummy(), "what is not signed is unchanged");
    let mut right = with([&encrypted[0], &good[1]]);
    succeed(right.env("KBUILD_SIGN_PIN", "secret"));

    let mut alone = klp();
    alone.arg("sign").arg(&ko).args(["--key", &good[0]]);
    assert_refused(
        alone,
        1,
        &["the certificate is missing", "help: give it with `--cert` or in KLP_SIGN_CERT"],
    );
    let mut none = klp();
    none.arg("sign").arg(&ko);
    assert_refused(none, 1, &["no key is given", "help: give `--key` and `--cert`"]);
    let mut damaged = fs::read(&ko).unwrap();
    let at = damaged.len() - 32;
    damaged[at] = 0xff;
    fs::write(&ko, damaged).unwrap();
    refused([&good[0], &good[1]], &["the signature at its end can't be read: it is cut off"]);
}
