//! Certificates of who signs modules.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use klp_module::Signature;
use klp_module::signature::{self, Signer, serial_text};
use x509_cert::der::{Decode, DecodePem, Encode};

use super::missing;
use crate::error::{Error, Result};
use crate::host::tools::{find_program, run_tool};

/// The kinds of keys that the kernel verifies: rsaEncryption, id-ecPublicKey.
const KINDS: [&str; 2] = ["1.2.840.113549.1.1.1", "1.2.840.10045.2.1"];
/// The exit code of `openssl cms -verify` for a signature that does not hold.
const NOT_VERIFIED: i32 = 4;

/// A certificate, in PEM or DER format.
#[derive(Clone, Debug)]
pub struct Certificate {
    path: PathBuf,
    parsed: x509_cert::Certificate,
}

/// Whether a certificate's owner has signed a module as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Verified,
    /// The signature names another certificate.
    OtherSigner,
    /// The signature names this certificate, and is not one of these contents by its key.
    Mismatch,
}

impl Certificate {
    /// Reads a certificate of a key that the kernel can use.
    ///
    /// # Errors
    ///
    /// There is no such file, or no such certificate in it.
    pub fn read(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Err(missing(path, "the certificate", "--cert"));
        }
        let data = fs::read(path).map_err(Error::io("read", path))?;
        let parsed = x509_cert::Certificate::from_der(&data)
            .or_else(|_| x509_cert::Certificate::from_pem(first_of_pem(&data)))
            .map_err(|_| Error::Request {
                message: format!("`{}` is not an X.509 certificate in PEM or DER format", path.display()),
                help: "give the file with `BEGIN CERTIFICATE`; the private key goes to `--key`".into(),
            })?;
        let kind = parsed.tbs_certificate.subject_public_key_info.algorithm.oid.to_string();
        if !KINDS.contains(&&*kind) {
            return Err(Error::Request {
                message: format!(
                    "the key of `{}` is neither RSA nor ECDSA: no kernel could verify it",
                    path.display()
                ),
                help: "make an RSA key: `openssl req -new -x509 -newkey rsa:2048 …`".into(),
            });
        }
        Ok(Self { path: path.into(), parsed })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The subject's name, as in `CN=A,O=B`.
    #[must_use]
    pub fn subject(&self) -> String {
        shown(&self.parsed.tbs_certificate.subject)
    }

    /// Refuses a certificate that is not valid today. The kernel itself does not look at this.
    ///
    /// # Errors
    ///
    /// It has expired, or is not valid yet.
    pub fn check_validity(&self) -> Result<()> {
        let validity = &self.parsed.tbs_certificate.validity;
        let now = SystemTime::now();
        let what = if now > validity.not_after.to_system_time() {
            format!("has expired: it was valid until {}", validity.not_after)
        } else if now < validity.not_before.to_system_time() {
            format!("is not valid before {}: is this machine's clock right?", validity.not_before)
        } else {
            return Ok(());
        };
        Err(Error::Request {
            message: format!("the certificate `{}` {what}", self.path.display()),
            help: "sign with a valid one, whose certificate must be enrolled on the machines, too: `openssl x509 -in CERT \
                   -noout -dates`"
                .into(),
        })
    }

    /// Whether the owner has signed a module as it is; `None` for one without a signature that can be read.
    ///
    /// # Errors
    ///
    /// `openssl` is missing, or fails.
    pub fn verify(&self, module: &[u8]) -> Result<Option<Verdict>> {
        let (Ok(Some(signature)), Ok(Some(signed))) = (Signature::of(module), signature::split(module))
        else {
            return Ok(None);
        };
        let ours = &self.parsed.tbs_certificate;
        if let Signer::Certificate { issuer, serial, .. } = &signature.signer
            && (issuer, serial) != (&shown(&ours.issuer), &serial_text(ours.serial_number.as_bytes()))
        {
            return Ok(Some(Verdict::OtherSigner));
        }
        if find_program("openssl").is_none() {
            return Err(Error::Request {
                message: "the program `openssl`, which verifies signatures, is missing".into(),
                help: "`apt-get install openssl`, or leave the certificate out".into(),
            });
        }
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let write = |name: &str, data: &[u8]| {
            let file = directory.path().join(name);
            fs::write(&file, data).map_err(Error::io("write", &file))?;
            Ok::<_, Error>(file)
        };
        let (contents, message) = (write("contents", signed.contents)?, write("message", signed.message)?);
        let mut command = Command::new("openssl");
        // Who has signed the certificate is the kernel's business.
        command.args([
            "cms",
            "-verify",
            "-binary",
            "-noverify",
            "-inform",
            "DER",
            "-out",
            "/dev/null",
            "-in",
        ]);
        command.arg(message).arg("-content").arg(contents).arg("-certfile").arg(&self.path);
        match run_tool(&mut command) {
            Ok(_) => Ok(Some(Verdict::Verified)),
            Err(Error::Tool { status, .. }) if status.code() == Some(NOT_VERIFIED) => {
                Ok(Some(Verdict::Mismatch))
            }
            Err(error) => Err(error),
        }
    }
}

/// A name, as signatures are shown.
fn shown(name: &x509_cert::name::Name) -> String {
    let name = name.to_der().ok().and_then(|der| signature::Name::of_der(&der));
    name.map(|name| name.to_string()).unwrap_or_default()
}

/// The first certificate of a PEM file, which may begin with text.
fn first_of_pem(data: &[u8]) -> &[u8] {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let find = |data: &[u8], wanted: &[u8]| data.windows(wanted.len()).position(|window| window == wanted);
    let Some(start) = find(data, BEGIN) else { return data };
    let rest = &data[start..];
    find(rest, END).map_or(rest, |end| &rest[..end + END.len()])
}
