//! Signs modules, with the tool that the kernel itself uses: `scripts/sign-file` of the target kernel.

mod certificate;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use klp_module::signature;

pub use certificate::{Certificate, Verdict};

use super::Kernel;
use crate::error::{Error, Result};
use crate::host::tools::run_tool;

/// The variable with the passphrase or the PIN of a key, as for the kernel's own build.
pub const PIN: &str = "KBUILD_SIGN_PIN";

/// The variables that name a key and its certificate, for commands and for plain make.
pub const VARIABLES: [&str; 2] = ["KLP_SIGN_KEY", "KLP_SIGN_CERT"];

/// A private key, and the certificate of its public half.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// The path of a PEM file, or a PKCS#11 URI.
    key: String,
    certificate: PathBuf,
}

impl SigningKey {
    /// A key in a file or, by a `pkcs11:` URI, in a token.
    ///
    /// # Errors
    ///
    /// A file is missing; or the certificate is not one that the kernel can use, or not valid today.
    pub fn new(key: &str, certificate: &Path) -> Result<Self> {
        let key = if is_uri(key) {
            check_uri(key)?;
            key.to_owned()
        } else {
            let path = Path::new(key);
            if !path.is_file() {
                return Err(missing(path, "the private key", "--key"));
            }
            let path = fs::canonicalize(path).map_err(Error::io("find", path))?;
            path.to_str().map(str::to_owned).ok_or_else(|| Error::Request {
                message: format!("the path of the private key, `{}`, is not UTF-8", path.display()),
                help: "move the key".into(),
            })?
        };
        Certificate::read(certificate)?.check_validity()?;
        let certificate = fs::canonicalize(certificate).map_err(Error::io("find", certificate))?;
        Ok(Self { key, certificate })
    }

    /// The key's file; `None` for one in a token.
    pub fn file(&self) -> Option<&Path> {
        (!is_uri(&self.key)).then(|| Path::new(&self.key))
    }

    /// The path of the key, or its URI.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The file of the certificate.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// A module, signed for a kernel, in place of the signatures that it has.
    ///
    /// # Errors
    ///
    /// The kernel has no signatures, its tool is missing or refuses the key, or the module's own signature is damaged.
    pub fn sign(&self, module: &[u8], kernel: &Kernel) -> Result<Vec<u8>> {
        let Some(hash) = kernel.config("CONFIG_MODULE_SIG_HASH") else {
            return Err(Error::Request {
                message: format!(
                    "kernel {} knows no signatures: CONFIG_MODULE_SIG is not set",
                    kernel.release
                ),
                help: "load the module unsigned there".into(),
            });
        };
        let tool = kernel.kdir.join("scripts/sign-file");
        if !tool.is_file() {
            return Err(Error::Request {
                message: format!("`{}`, which signs modules, is missing", tool.display()),
                help: "install linux-kbuild of this kernel on Debian; run `make modules_prepare` in the build directory \
                       of your own kernel"
                    .into(),
            });
        }
        let unsigned = signature::unsigned(module).map_err(|why| Error::Request {
            message: format!("the module's signature can't be taken away: {why}"),
            help: "build the module again".into(),
        })?;
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let file = directory.path().join("module.ko");
        fs::write(&file, unsigned).map_err(Error::io("write", &file))?;
        run_tool(Command::new(&tool).args([hash, &*self.key]).arg(&self.certificate).arg(&file))
            .map_err(|error| self.explained(error))?;
        fs::read(&file).map_err(Error::io("read", &file))
    }

    /// What the kernel's tool means, if that is known here.
    fn explained(&self, error: Error) -> Error {
        let Error::Tool { output, .. } = &error else { return error };
        let (key, certificate) = (self.shown(), self.certificate.display());
        let Some((message, help)) = explain(output, &key, &certificate.to_string(), self.file().is_some())
        else {
            return error;
        };
        Error::Request { message, help }
    }

    /// The key, without what a URI says behind its path: it may be a PIN.
    fn shown(&self) -> String {
        self.key.split('?').next().unwrap_or_default().to_owned()
    }
}

fn is_uri(key: &str) -> bool {
    key.starts_with("pkcs11:")
}

/// Refuses what a shell or make would misread: URIs write it in hexadecimal.
fn check_uri(uri: &str) -> Result<()> {
    let harms = |letter: &char| letter.is_whitespace() || letter.is_control() || "'\"$#\\`".contains(*letter);
    let Some(letter) = uri.chars().find(harms) else { return Ok(()) };
    Err(Error::Request {
        message: format!("the URI of the key has `{}` in it", letter.escape_debug()),
        help: format!("write `%{:02x}` in its place", u32::from(letter)),
    })
}

fn missing(path: &Path, what: &str, option: &str) -> Error {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    Error::Request {
        message: format!("there is no file `{}` with {what}", path.display()),
        help: format!(
            "give its path with `{option}`; `openssl req -new -x509 -newkey rsa:2048 -nodes -days 3650 -subj \
             '/CN=livepatches of NAME/' -addext keyUsage=digitalSignature -keyout key.pem -out cert.pem` makes a key and \
             a certificate"
        ),
    }
}

/// What sign-file's words mean, and what to do: they are those of OpenSSL 1.1 and 3.
fn explain(output: &str, key: &str, certificate: &str, is_file: bool) -> Option<(String, String)> {
    let says = |words: &[&str]| words.iter().any(|word| output.contains(word));
    let (message, help) = if says(&["key values mismatch", "does not match certificate", "key type mismatch"])
    {
        (
            format!("`{key}` is not the key of the certificate `{certificate}`"),
            "give the certificate that was made with this key: `openssl x509 -in CERT -noout -pubkey` and `openssl pkey -in \
             KEY -pubout` show the same then"
                .to_owned(),
        )
    } else if says(&["bad decrypt", "PIN incorrect", "pin incorrect"]) {
        (format!("{PIN} does not unlock `{key}`"), format!("set {PIN} to its passphrase or PIN"))
    } else if says(&["bad password read", "interrupted or cancelled", "unable to get passphrase"]) {
        (format!("`{key}` is encrypted"), format!("set {PIN} to its passphrase"))
    } else if says(&["error while loading shared libraries"]) {
        (
            format!("the kernel's sign-file does not start: {}", output.trim()),
            "install OpenSSL's library: `apt-get install libssl3`".into(),
        )
    } else if !is_file {
        (
            format!("OpenSSL can't use `{key}`{}", crate::error::indented(output)),
            "install OpenSSL's provider for PKCS#11 (Debian 13: pkcs11-provider; the guide, \"Sign modules\", has a way \
             without it) and the module of your token; `p11tool --list-all` shows its keys; the URI may end in \
             `?pin-source=file:/path/pin`"
                .into(),
        )
    } else if says(&["operation not supported for this keytype"]) {
        (
            format!("a key like `{key}` can't sign modules"),
            "use an RSA or ECDSA key: the kernel knows no others".into(),
        )
    } else if says(&["Permission denied"]) {
        (format!("`{key}` or `{certificate}` can't be read"), "run the command as their owner".into())
    } else if says(&["unsupported", "no start line"]) {
        (
            format!("`{key}` has no private key in PEM format"),
            "`openssl pkey -in KEY -out key.pem` makes a PEM file of another format".into(),
        )
    } else {
        return None;
    };
    Some((message, help))
}
