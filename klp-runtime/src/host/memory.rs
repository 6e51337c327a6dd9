//! Memory from the kernel's allocator, as the host has it.

use core::ffi::c_void;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::vec::Vec;

/// What freed memory holds: as a pointer it is no address of any machine.
pub(crate) const POISON: u64 = 0x6b6b_6b6b_6b6b_6b6b;

/// A block of memory, aligned as the kernel aligns it: to 8 bytes and no more is promised.
struct Block {
    start: *mut u64,
    words: usize,
}

impl Block {
    fn layout(words: usize) -> Layout {
        // The size was checked when the block was made.
        Layout::array::<u64>(words).unwrap_or(Layout::new::<u64>())
    }

    fn words(&self) -> impl Iterator<Item = *mut u64> + use<> {
        let start = self.start;
        // SAFETY: Within the block.
        (0..self.words).map(move |index| unsafe { start.add(index) })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: The block is from `alloc_zeroed` with this layout.
        unsafe { dealloc(self.start.cast(), Self::layout(self.words)) }
    }
}

/// All memory of a machine. What is freed is poisoned and kept, so that a later
/// use of it is seen, and no later allocation has its address.
#[derive(Default)]
pub(crate) struct Memory {
    live: HashMap<usize, Block>,
    freed: Vec<Block>,
}

impl Memory {
    /// Zeroed memory.
    pub(crate) fn alloc(&mut self, size: usize) -> *mut c_void {
        let words = size.div_ceil(8).max(1);
        let Ok(layout) = Layout::array::<u64>(words) else { return core::ptr::null_mut() };
        // SAFETY: The size is not 0.
        let start = unsafe { alloc_zeroed(layout) }.cast::<u64>();
        if !start.is_null() {
            self.live.insert(start as usize, Block { start, words });
        }
        start.cast()
    }

    /// Frees a block; false if it is none, or freed already.
    pub(crate) fn free(&mut self, memory: *mut c_void) -> bool {
        let Some(block) = self.live.remove(&(memory as usize)) else { return false };
        for word in block.words() {
            // SAFETY: Within the block, which nobody uses any more.
            unsafe { word.write(POISON) }
        }
        self.freed.push(block);
        true
    }

    /// How many blocks are not freed.
    pub(crate) fn live(&self) -> usize {
        self.live.len()
    }

    /// Whether a block of at least this size starts there and is not freed.
    pub(crate) fn is_live(&self, memory: *const c_void, size: usize) -> bool {
        self.live.get(&(memory as usize)).is_some_and(|block| block.words * 8 >= size)
    }

    /// Whether nobody has written to memory that was freed.
    pub(crate) fn is_intact(&self) -> bool {
        // SAFETY: Within blocks that are kept.
        self.freed.iter().flat_map(Block::words).all(|word| unsafe { word.read() } == POISON)
    }
}
