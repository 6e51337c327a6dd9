//! Output of the guest's command, up to its end marker.

use std::io::{self, Read, Write};

/// Passes a stream on until the end marker comes; true if it came.
///
/// The guest's ports have no end of file that arrives after the data, so the guest writes the
/// marker last. Output that cannot be written is dropped: the guest must not hang on it.
pub fn pass_on(mut from: impl Read, mut to: impl Write, marker: &[u8]) -> bool {
    let mut pending = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        pending.extend_from_slice(&buffer[..count]);
        let found = pending.windows(marker.len()).position(|window| window == marker);
        let ready = found.unwrap_or_else(|| pending.len() - held_back(&pending, marker));
        let _ = to.write_all(&pending[..ready]).and_then(|()| to.flush());
        if found.is_some() {
            return true;
        }
        pending.drain(..ready);
    }
    let _ = to.write_all(&pending).and_then(|()| to.flush());
    false
}

/// The number of last bytes that may be the beginning of the marker.
fn held_back(data: &[u8], marker: &[u8]) -> usize {
    (1..marker.len()).rev().find(|&count| data.ends_with(&marker[..count])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn all_but_the_marker_is_passed_on() {
        for input in ["textEND", "EEENEND", "END", "textENDmore"] {
            let expected = &input[..input.find("END").unwrap()];
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            assert!(pass_on(input.as_bytes(), &mut fast, b"END"));
            assert!(pass_on(Slow(input.as_bytes()), &mut slow, b"END"));
            assert_eq!([&fast, &slow], [expected.as_bytes(); 2]);
        }
    }

    #[test]
    fn nothing_is_lost_without_a_marker() {
        let mut out = Vec::new();
        assert!(!pass_on(Slow(b"some EN"), &mut out, b"END"));
        assert_eq!(out, b"some EN");
    }
}
