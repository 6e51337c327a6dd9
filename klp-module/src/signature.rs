//! The signature that the kernel's `scripts/sign-file` appends to a module: a CMS message (RFC 5652) without the signed
//! contents and without certificates, a structure that says how long it is, and a mark.
//!
//! What is refused here is what `mod_check_sig` of `kernel/module_signature.c` refuses. Who verifies a signature needs
//! the signer's certificate, which the module does not contain.

use std::fmt;

use cms::cert::x509::der::Decode;
use cms::cert::x509::der::asn1::ObjectIdentifier;
use cms::cert::x509::name::Name;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier};
use serde::Serialize;

/// The last bytes of a signed module.
const MARK: &[u8] = b"~Module signature appended~\n";
/// The size of `struct module_signature`, which stands before the mark.
const SIZES: usize = 12;
/// `PKEY_ID_PKCS7`, the only kind of signature that the kernel knows.
const CMS: u8 = 2;

/// What a signature says of itself. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// Who has signed.
    #[serde(flatten)]
    pub signer: Signer,
    /// The hash function, as the kernel calls it: `sha256`; the dotted numbers of one that is not known here.
    pub hash: String,
}

/// How a signature names the certificate of its signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Signer {
    /// As sign-file does by default.
    Certificate {
        /// The issuer's name, as in `CN=A,O=B`: for a certificate that signs itself, also the subject's.
        issuer: String,
        /// The serial number, in hexadecimal.
        serial: String,
        /// The issuer's name as the kernel lists it in `/proc/keys`.
        #[serde(skip)]
        key_name: String,
    },
    /// By the key alone.
    Key {
        /// The identifier (subjectKeyIdentifier) of the key, in hexadecimal.
        key_id: String,
    },
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.signer {
            Signer::Certificate { issuer, serial, .. } => {
                write!(f, "{issuer}, serial {serial}, {}", self.hash)
            }
            Signer::Key { key_id } => write!(f, "key {key_id}, {}", self.hash),
        }
    }
}

/// A module's file: what is signed, and the message of the signature at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// All before the signature. There may be a signature at its end, too.
    pub contents: &'a [u8],
    /// The CMS message.
    pub message: &'a [u8],
}

/// Parts a file from the signature at its end; `None` for one that is not signed.
///
/// # Errors
///
/// There is a mark, and the kernel would not read what stands before it.
pub fn split(file: &[u8]) -> Result<Option<Signed<'_>>, &'static str> {
    let Some(rest) = file.strip_suffix(MARK) else { return Ok(None) };
    let Some((rest, sizes)) = rest.split_last_chunk::<SIZES>() else {
        return Err("the mark of a signature stands there alone");
    };
    let [algorithm, hash, kind, signer, key, padding @ .., a, b, c, d] = *sizes;
    if kind != CMS {
        return Err("it is of a kind that the kernel does not know");
    }
    if [algorithm, hash, signer, key].iter().chain(&padding).any(|byte| *byte != 0) {
        return Err("its header is damaged");
    }
    let size = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    match rest.len().checked_sub(size) {
        Some(start @ 1..) => Ok(Some(Signed { contents: &rest[..start], message: &rest[start..] })),
        _ => Err("it is cut off"),
    }
}

/// A file without the signatures at its end.
///
/// # Errors
///
/// As [`split`].
pub fn unsigned(mut file: &[u8]) -> Result<&[u8], &'static str> {
    while let Some(signed) = split(file)? {
        file = signed.contents;
    }
    Ok(file)
}

impl Signature {
    /// The signature of a module's file; `None` for one that is not signed.
    ///
    /// # Errors
    ///
    /// Why the kernel would not read it.
    pub fn of(file: &[u8]) -> Result<Option<Self>, &'static str> {
        let Some(signed) = split(file)? else { return Ok(None) };
        Self::of_message(signed.message).map(Some).ok_or("it is no CMS message with one signer")
    }

    fn of_message(message: &[u8]) -> Option<Self> {
        let content = ContentInfo::from_der(message).ok()?;
        let data: SignedData = content.content.decode_as().ok()?;
        let [signer] = data.signer_infos.0.as_slice() else { return None };
        let hash = hash_name(signer.digest_alg.oid);
        let signer = match &signer.sid {
            SignerIdentifier::IssuerAndSerialNumber(id) => Signer::Certificate {
                issuer: id.issuer.to_string(),
                serial: hex(id.serial_number.as_bytes()),
                key_name: key_name(&id.issuer),
            },
            SignerIdentifier::SubjectKeyIdentifier(id) => Signer::Key { key_id: hex(id.0.as_bytes()) },
        };
        Some(Self { signer, hash })
    }
}

/// The hash functions that `scripts/sign-file` may be told to use.
const HASHES: [(&str, &str); 8] = [
    ("1.3.14.3.2.26", "sha1"),
    ("2.16.840.1.101.3.4.2.4", "sha224"),
    ("2.16.840.1.101.3.4.2.1", "sha256"),
    ("2.16.840.1.101.3.4.2.2", "sha384"),
    ("2.16.840.1.101.3.4.2.3", "sha512"),
    ("2.16.840.1.101.3.4.2.8", "sha3-256"),
    ("2.16.840.1.101.3.4.2.9", "sha3-384"),
    ("2.16.840.1.101.3.4.2.10", "sha3-512"),
];

fn hash_name(oid: ObjectIdentifier) -> String {
    let oid = oid.to_string();
    HASHES.iter().find(|(numbers, _)| *numbers == oid).map_or(oid.clone(), |(_, name)| (*name).into())
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name that `x509_fabricate_name` of the kernel's `crypto/asymmetric_keys/x509_cert_parser.c` makes of a subject.
fn key_name(name: &Name) -> String {
    const COMMON_NAME: &str = "2.5.4.3";
    const ORGANIZATION: &str = "2.5.4.10";
    const EMAIL: &str = "1.2.840.113549.1.9.1";
    let part = |wanted: &str| {
        let mut attributes = name.0.iter().flat_map(|names| names.0.iter());
        let value = attributes.rfind(|attribute| attribute.oid.to_string() == wanted)?;
        Some(String::from_utf8_lossy(value.value.value()).into_owned())
    };
    match (part(COMMON_NAME), part(ORGANIZATION)) {
        (Some(common), Some(organization)) => {
            let is_said = common.starts_with(&organization)
                || common.get(..7).is_some_and(|start| organization.starts_with(start));
            if is_said { common } else { format!("{organization}: {common}") }
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => part(EMAIL).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What sign-file appended with a certificate of `O=Example, CN=klp test`.
    const APPENDED: &[u8] = include_bytes!("signature/appended");

    #[test]
    fn a_signature_says_who_has_signed() {
        let file = [b"module", APPENDED].concat();
        let signature = Signature::of(&file).unwrap().unwrap();
        let Signer::Certificate { issuer, serial, key_name } = &signature.signer else {
            panic!("{signature:?}")
        };
        assert_eq!(
            (&**issuer, &**key_name, &*signature.hash),
            ("CN=klp test,O=Example", "Example: klp test", "sha256")
        );
        assert_eq!(signature.to_string(), format!("CN=klp test,O=Example, serial {serial}, sha256"));
        assert_eq!(Signature::of(b"module"), Ok(None));
        assert_eq!(unsigned(&[&file, APPENDED].concat()), Ok(&b"module"[..]));
    }

    #[test]
    fn what_the_kernel_would_not_read_is_damaged() {
        let file = [b"module", APPENDED].concat();
        let end = file.len() - MARK.len();
        let changed = |at: usize, byte: u8| {
            let mut file = file.clone();
            file[at] = byte;
            Signature::of(&file).unwrap_err()
        };
        assert_eq!(Signature::of(MARK), Err("the mark of a signature stands there alone"));
        assert_eq!(Signature::of(APPENDED), Err("it is cut off"));
        assert_eq!(changed(end - 4, 1), "it is cut off");
        assert_eq!(changed(end - SIZES + 2, 1), "it is of a kind that the kernel does not know");
        assert_eq!(changed(end - SIZES, 1), "its header is damaged");
        assert_eq!(changed(6, 0), "it is no CMS message with one signer");
    }
}
