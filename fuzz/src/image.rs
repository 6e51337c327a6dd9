//! Kernel images and what is compressed in them, compressed modules.

use cargo_klp::kernel::image::{decompress_at_most, payload};

/// So much is unpacked: more only takes longer.
const LARGEST: usize = 4 << 20;

/// The payload of an image, and the bytes as something that is compressed.
pub fn run(data: &[u8]) {
    if let Ok(Some(payload)) = payload(data) {
        let _ = decompress_at_most(payload, LARGEST);
    }
    let _ = decompress_at_most(data, LARGEST);
}
