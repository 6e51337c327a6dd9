//! Data that need more alignment than the kernel's allocations have.

use klp_runtime::prelude::*;

livepatch! { license: "GPL", authors: ["A. Author"], description: "d" }

#[derive(KlpData)]
#[repr(C, align(64))]
struct Line([u64; 8]);

#[derive(KlpData)]
#[repr(C, align(8))]
struct Word(u64);

struct Aligned;

#[klp_state(id = 1, version = 1)]
impl State for Aligned {
    type Data = Line;

    fn pre_patch(_: &StateContext<'_>) -> Result<Line> {
        Ok(Line([0; 8]))
    }
}

struct Fits;

#[klp_state(id = 2, version = 1)]
impl State for Fits {
    type Data = Word;

    fn pre_patch(_: &StateContext<'_>) -> Result<Word> {
        Ok(Word(0))
    }
}

fn main() {}
