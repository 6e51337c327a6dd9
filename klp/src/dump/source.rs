//! The file of a dump, also in the flattened format, in which makedumpfile and QEMU send one through a pipe: pieces,
//! each with its place in the file that they make.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use super::fault::{Fault, Result};

/// How the flattened format begins.
const MARK: &[u8; 16] = b"makedumpfile\0\0\0\0";
/// The size of its header, and of that of a piece: place and size.
const HEADER: u64 = 4096;
const PIECE: usize = 16;
/// The place of the last piece, which is empty.
const END: i64 = -1;

/// A file that is read at any place.
pub struct Source {
    file: File,
    /// Of the flattened format: places in the dump, with sizes, and places in the file.
    pieces: Option<BTreeMap<u64, (u64, u64)>>,
}

impl Source {
    /// Looks at how the file begins.
    pub fn new(file: File) -> Result<Self> {
        let mut mark = [0; MARK.len()];
        let plain = Self { file, pieces: None };
        if plain.read(0, &mut mark).is_err() || mark != *MARK {
            return Ok(plain);
        }
        let pieces = pieces(&plain)?;
        Ok(Self { pieces: Some(pieces), ..plain })
    }

    /// Fills a buffer from a place in the dump.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let done = match &self.pieces {
            None => self.file.read_exact_at(buffer, offset),
            Some(pieces) => self.read_pieces(pieces, offset, buffer),
        };
        done.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Fault::damaged(format_args!("it has no byte {offset}")),
            _ => Fault::new(format_args!("byte {offset} can't be read: {error}"), "copy it to a sound disk"),
        })
    }

    /// As [`read`](Self::read), for a part of a size that the file says itself.
    pub fn part(&self, offset: u64, size: u64, what: &str) -> Result<Vec<u8>> {
        // More than any note or bitmap has: memory is not asked for on the word of a damaged file.
        const LIMIT: u64 = 1 << 30;
        let size = usize::try_from(size.min(LIMIT + 1)).unwrap_or(usize::MAX);
        if size as u64 > LIMIT {
            return Err(Fault::damaged(format_args!("its {what} would be too large")));
        }
        let mut part = Vec::new();
        while part.len() < size {
            // A step at a time, as the file may be shorter.
            let start = part.len();
            part.resize(size.min(start + (1 << 20)), 0);
            self.read(offset.saturating_add(start as u64), &mut part[start..])?;
        }
        Ok(part)
    }

    /// What no piece has is zero, as in a file with holes.
    fn read_pieces(
        &self,
        pieces: &BTreeMap<u64, (u64, u64)>,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        let last = pieces.last_key_value().map_or(0, |(start, (size, _))| start + size);
        if end > last {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        buffer.fill(0);
        let first = pieces.range(..=offset).next_back().map_or(offset, |(start, _)| *start);
        for (&start, &(size, place)) in pieces.range(first..end) {
            let (from, to) = (start.max(offset), (start + size).min(end));
            if from < to {
                let part = &mut buffer[(from - offset) as usize..(to - offset) as usize];
                self.file.read_exact_at(part, place + (from - start))?;
            }
        }
        Ok(())
    }
}

/// The pieces of the flattened format; a later one takes the place of what stood there.
fn pieces(file: &Source) -> Result<BTreeMap<u64, (u64, u64)>> {
    let mut pieces = BTreeMap::new();
    let mut at = HEADER;
    loop {
        let mut header = [0; PIECE];
        file.read(at, &mut header)?;
        let (start, size) = header.split_at(8);
        let [start, size] =
            [start, size].map(|bytes| i64::from_be_bytes(bytes.try_into().expect("these are 8 bytes")));
        if start == END {
            return Ok(pieces);
        }
        let contents = at + PIECE as u64;
        let place = || {
            let (start, size) = (u64::try_from(start).ok()?, u64::try_from(size).ok()?);
            Some((start, start.checked_add(size)?, contents.checked_add(size)?))
        };
        let (start, end, next) = place()
            .ok_or_else(|| Fault::damaged(format_args!("a piece of the flattened format at byte {at}")))?;
        insert(&mut pieces, start, end, contents);
        at = next;
    }
}

/// Adds a piece, and cuts off what it covers.
fn insert(pieces: &mut BTreeMap<u64, (u64, u64)>, start: u64, end: u64, place: u64) {
    if start == end {
        return;
    }
    if let Some((&before, &(size, at))) = pieces.range(..start).next_back()
        && before + size > start
    {
        pieces.insert(before, (start - before, at));
        if before + size > end {
            pieces.insert(end, (before + size - end, at + (end - before)));
        }
    }
    while let Some((&inside, &(size, at))) = pieces.range(start..end).next() {
        pieces.remove(&inside);
        if inside + size > end {
            pieces.insert(end, (inside + size - end, at + (end - inside)));
        }
    }
    pieces.insert(start, (end - start, place));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_piece_takes_the_place_of_what_stood_there() {
        let mut pieces = BTreeMap::new();
        insert(&mut pieces, 0, 100, 1000);
        insert(&mut pieces, 20, 30, 2000);
        assert_eq!(pieces, BTreeMap::from([(0, (20, 1000)), (20, (10, 2000)), (30, (70, 1030))]));
        insert(&mut pieces, 10, 40, 3000);
        assert_eq!(pieces, BTreeMap::from([(0, (10, 1000)), (10, (30, 3000)), (40, (60, 1040))]));
        insert(&mut pieces, 10, 40, 4000);
        insert(&mut pieces, 50, 50, 5000);
        assert_eq!(pieces, BTreeMap::from([(0, (10, 1000)), (10, (30, 4000)), (40, (60, 1040))]));
    }
}
