//! Dumps in the kdump-compressed format of makedumpfile, which QEMU writes, too: a page at a time, each compressed.
//!
//! | part | place, in blocks |
//! | --- | --- |
//! | header, with how many blocks the next parts have | 0 |
//! | header of the kdump, with the places of the notes | 1 |
//! | two bitmaps: pages that the machine had, pages that the dump has | 1 + blocks of the header |
//! | a descriptor for each page that the dump has, in order | behind them |

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::fault::{Fault, Result};
use super::image::{Image, PAGE, Page};
use super::source::Source;

/// How the format begins.
pub const MARK: &[u8] = b"KDUMP   ";

/// The size of a page's descriptor: place (8 bytes), size, flags, and flags of the page (8).
const DESCRIPTOR: u64 = 24;
/// As many bytes of the bitmap as one count is kept for.
const COUNTED: usize = 512;

/// A dump in the kdump-compressed format.
pub struct Kdump {
    file: Source,
    /// A bit for each page that the dump has.
    bitmap: Vec<u8>,
    /// How many pages it has before each part of the bitmap.
    counts: Vec<u64>,
    /// Where the descriptors begin.
    descriptors: u64,
    notes: Vec<u8>,
}

impl Kdump {
    /// Reads the file's headers.
    pub fn open(file: Source) -> Result<Self> {
        let header = file.part(0, 464, "header")?;
        let machine = header[272..337].split(|byte| *byte == 0).next().unwrap_or_default();
        if machine != b"x86_64" {
            return Err(Fault::new(
                format_args!(
                    "it is of another architecture than x86_64: {}",
                    String::from_utf8_lossy(machine)
                ),
                "`crash` reads it, on a machine of its architecture",
            ));
        }
        let [block, header_blocks, bitmap_blocks] =
            [428, 432, 436].map(|offset| u64::from(word(&header, offset)));
        if block != PAGE as u64 {
            return Err(Fault::damaged(format_args!("its blocks have {block} bytes, and pages {PAGE}")));
        }
        let sub = file.part(block, 104, "header")?;
        if word(&sub, 12) != 0 {
            return Err(Fault::new(
                "it is one part of a dump that was split",
                "`makedumpfile --reassemble PART… NEW` puts the parts together",
            ));
        }
        let bitmaps = (1 + header_blocks) * block;
        // The second of two of one size.
        let size = bitmap_blocks * block / 2;
        let bitmap = file.part(bitmaps + size, size, "bitmap")?;
        let mut counts = Vec::new();
        let mut count = 0;
        for part in bitmap.chunks(COUNTED) {
            counts.push(count);
            count += ones(part);
        }
        let notes = file.part(long(&sub, 48), long(&sub, 56), "notes")?;
        Ok(Self { file, bitmap, counts, descriptors: bitmaps + bitmap_blocks * block, notes })
    }

    /// How many pages stand before this one; none if it is not there.
    fn index(&self, number: u64) -> Option<u64> {
        let byte = usize::try_from(number / 8).ok()?;
        let below = (1_u8 << (number % 8)) - 1;
        let bits = *self.bitmap.get(byte)?;
        if bits & (below + 1) == 0 {
            return None;
        }
        let part = byte / COUNTED;
        let before = ones(&self.bitmap[part * COUNTED..byte]);
        Some(self.counts[part] + before + u64::from((bits & below).count_ones()))
    }
}

impl Image for Kdump {
    fn page(&self, number: u64) -> Result<Page> {
        let index = self.index(number).ok_or_else(|| Fault::missing(number))?;
        let descriptor = self.file.part(
            self.descriptors.saturating_add(index * DESCRIPTOR),
            DESCRIPTOR,
            "table of pages",
        )?;
        let (size, flags) = (word(&descriptor, 8), word(&descriptor, 12));
        let data = self.file.part(long(&descriptor, 0), size.into(), "page")?;
        let mut page = [0; PAGE];
        let damaged = || Fault::damaged(format_args!("page {number:#x} can't be decompressed"));
        match flags {
            0 if data.len() == PAGE => page.copy_from_slice(&data),
            0x01 => ZlibDecoder::new(&*data).read_exact(&mut page).map_err(|_| damaged())?,
            0x02 | 0x04 | 0x20 => {
                return Err(Fault::new(
                    "its pages are compressed with LZO, snappy or zstd, which klp does not read",
                    "`makedumpfile -c -d 31 FILE NEW` writes it with zlib",
                ));
            }
            _ => return Err(damaged()),
        }
        Ok(page)
    }

    fn notes(&self) -> &[u8] {
        &self.notes
    }
}

fn ones(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(byte.count_ones())).sum()
}

/// A number of 32 bits in a header that is long enough.
fn word(header: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(header[offset..offset + 4].try_into().expect("these are four bytes"))
}

/// A number of 64 bits in a header that is long enough.
fn long(header: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(header[offset..offset + 8].try_into().expect("these are eight bytes"))
}
