//! The room that is left on a disk.

use std::path::Path;

/// With less room than this, a library does not fit.
const TOO_LITTLE: u64 = 32 << 20;

/// Why what writes to a directory may have failed: its disk is full. The programs that fail then often name another
/// reason.
pub fn shortage(directory: &Path) -> Option<String> {
    let found = rustix::fs::statvfs(directory).ok()?;
    message(directory, found.f_bavail.saturating_mul(found.f_frsize))
}

fn message(directory: &Path, bytes: u64) -> Option<String> {
    (bytes < TOO_LITTLE).then(|| {
        format!(
            "the disk of `{}` is full: it has {} MB left, and a first build needs 200 MB",
            directory.display(),
            bytes >> 20
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_is_mentioned() {
        let text = message("/t".as_ref(), 3 << 20).unwrap();
        assert!(text.starts_with("the disk of `/t` is full: it has 3 MB left"), "{text}");
        assert_eq!(message("/t".as_ref(), TOO_LITTLE), None);
    }
}
