//! The signature that the kernel's `scripts/sign-file` appends to a module: a CMS message (RFC 5652) without the signed
//! contents and without certificates, a structure that says how long it is, and a mark.
//!
//! What is refused here is what `mod_check_sig` of `kernel/module_signature.c` refuses. Who verifies a signature needs
//! the signer's certificate, which the module does not contain.

use std::fmt;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
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

    /// Reads as much of the message as tells its signer.
    fn of_message(message: &[u8]) -> Option<Self> {
        let content = children(AnyRef::from_der(message).ok()?)?;
        let [_kind, content] = content.as_slice() else { return None };
        let data = children(*children(*content)?.first()?)?;
        let signers = data.last().filter(|signers| signers.tag() == Tag::Set)?;
        let signers = children(*signers)?;
        let [signer] = signers.as_slice() else { return None };
        let signer = children(*signer)?;
        let [_version, id, hash, ..] = signer.as_slice() else { return None };
        let hash = hash_name(oid(*children(*hash)?.first()?)?);
        let signer = match id.tag() {
            Tag::Sequence => {
                let id = children(*id)?;
                let [issuer, serial] = id.as_slice() else { return None };
                let issuer = Name::of(*issuer)?;
                Signer::Certificate {
                    issuer: issuer.to_string(),
                    serial: serial_text(serial.value()),
                    key_name: issuer.key_name(),
                }
            }
            _ => Signer::Key { key_id: hex(id.value()) },
        };
        Some(Self { signer, hash })
    }
}

/// The elements of one that has some.
fn children(element: AnyRef<'_>) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(element.value()).ok()?;
    let mut children = Vec::new();
    while !reader.is_finished() {
        children.push(reader.decode().ok()?);
    }
    Some(children)
}

fn oid(element: AnyRef<'_>) -> Option<ObjectIdentifier> {
    element.decode_as().ok()
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

/// A serial number in hexadecimal, without the zero that makes it positive.
#[must_use]
pub fn serial_text(number: &[u8]) -> String {
    hex(number.strip_prefix(&[0]).unwrap_or(number))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
const EMAIL: &str = "1.2.840.113549.1.9.1";

/// The short names of attributes; others are shown by their numbers.
const ATTRIBUTES: [(&str, &str); 7] = [
    (COMMON_NAME, "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    (ORGANIZATION, "O"),
    ("2.5.4.11", "OU"),
    (EMAIL, "emailAddress"),
];

/// The name of a certificate's subject or issuer: its attributes, by their numbers, in the certificate's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<(String, String)>);

impl Name {
    /// The name in a certificate.
    #[must_use]
    pub fn of_der(name: &[u8]) -> Option<Self> {
        Self::of(AnyRef::from_der(name).ok()?)
    }

    fn of(name: AnyRef<'_>) -> Option<Self> {
        let mut attributes = Vec::new();
        for set in children(name)? {
            for attribute in children(set)? {
                let parts = children(attribute)?;
                let [kind, value] = parts.as_slice() else { return None };
                let value = String::from_utf8_lossy(value.value());
                attributes.push((oid(*kind)?.to_string(), value.replace(char::is_control, " ")));
            }
        }
        Some(Self(attributes))
    }

    /// The name that `x509_fabricate_name` of the kernel's `crypto/asymmetric_keys/x509_cert_parser.c` makes of it.
    fn key_name(&self) -> String {
        let part =
            |wanted: &str| self.0.iter().rfind(|(kind, _)| kind == wanted).map(|(_, value)| value.clone());
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
}

impl fmt::Display for Name {
    /// As in RFC 4514: the most specific attribute first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (kind, value)) in self.0.iter().rev().enumerate() {
            let short =
                ATTRIBUTES.iter().find(|(known, _)| known == kind).map_or(&**kind, |(_, short)| short);
            write!(f, "{}{short}={value}", if number == 0 { "" } else { "," })?;
        }
        Ok(())
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
