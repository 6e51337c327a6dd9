//! The keys that the kernel trusts, beside the signature of a module.

use klp_module::signature::Signer;
use rustix::io::Errno;

use crate::file::ModuleFile;
use crate::files::text;
use crate::machine::Machine;

/// Who has signed a module, by its own word.
#[must_use]
pub fn signer(patch: &ModuleFile) -> Option<String> {
    patch.signature.as_ref().ok()?.as_ref().map(ToString::to_string)
}

/// The same, as a clause.
#[must_use]
pub fn signed_by(patch: &ModuleFile) -> String {
    signer(patch).map_or_else(|| "not signed".into(), |signer| format!("signed by {signer}"))
}

/// What to do about a module that the kernel has refused for its signature; `None` where that was not the reason.
#[must_use]
pub fn help(machine: &dyn Machine, patch: &ModuleFile, errno: Errno) -> Option<String> {
    if ![Errno::KEYREJECTED, Errno::NOKEY, Errno::BADMSG].contains(&errno) {
        return None;
    }
    let Ok(Some(signature)) = &patch.signature else {
        return Some(
            "sign it with a key that the kernel trusts, where it was built: `cargo klp sign`".into(),
        );
    };
    let is_known = match &signature.signer {
        Signer::Certificate { key_name, .. } => {
            has_key(machine, |key| key.starts_with(&format!("{key_name}: ")))
        }
        Signer::Key { key_id } => has_key(machine, |key| key.contains(&format!(": {key_id}: "))),
    };
    Some(match is_known {
        true => format!(
            "it is signed by {signature}, whose name a key of the kernel has: the file has changed since, or another key \
             of that name has signed it; `cargo klp inspect --verify FILE --cert CERT` tells"
        ),
        false => format!(
            "it is signed by {signature}, and no key in /proc/keys has that name: enrol the certificate, with `mokutil \
             --import` or in UEFI's db, and start the machine again"
        ),
    })
}

/// Whether the kernel has such a key for signatures, by its description: `O: CN: ID: X509.rsa …`.
fn has_key(machine: &dyn Machine, is_it: impl Fn(&str) -> bool) -> bool {
    // Where it can't be read, the advice is the more careful one.
    let keys = text(&machine.path("proc/keys")).ok().flatten().unwrap_or_default();
    keys.lines().filter_map(|line| line.split_once(" asymmetri ")).any(|(_, key)| is_it(key))
}
