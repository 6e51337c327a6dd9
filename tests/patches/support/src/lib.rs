//! What the patches of the tests share: states that log their callbacks.
#![no_std]

mod fifo;
mod marks;
mod moved;
mod objects;
pub mod random;

pub use klp_runtime;

use klp_runtime::prelude::*;

/// What each state of the tests carries: who made it, and a word that shows whether it is intact.
#[derive(KlpData)]
#[repr(C)]
pub struct Made {
    word: u64,
    by: [u8; 32],
}

/// Where nothing else would put it.
const WORD: u64 = 0x6b6c_702d_7465_7374;

impl Made {
    /// By the patch that is called.
    #[must_use]
    pub fn by(cx: &StateContext<'_>) -> Self {
        let mut by = [0; 32];
        for (to, from) in by.iter_mut().zip(cx.patch_name().to_bytes()) {
            *to = *from;
        }
        Self { word: WORD, by }
    }

    /// The patch that made it; another text where it was damaged or dropped.
    #[must_use]
    pub fn maker(&self) -> &str {
        let name = CStr::from_bytes_until_nul(&self.by).ok().and_then(|name| name.to_str().ok());
        name.filter(|_| !self.is_damaged()).unwrap_or("DAMAGED")
    }

    /// Whether it was dropped, or written to.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.word != WORD
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.word = 0;
    }
}

/// A state that logs each of its callbacks as `CALLBACK ID`, with the maker of the data behind it.
///
/// `fails` makes `pre_patch` fail with that error.
#[macro_export]
macro_rules! logged_state {
    ($name:ident, id = $id:literal, version = $version:literal $(, $flag:ident)? $(; fails $error:expr)?) => {
        /// One of the states that the tests watch.
        struct $name;

        #[klp_state(id = $id, version = $version $(, $flag)?)]
        impl State for $name {
            type Data = $crate::Made;

            fn pre_patch(cx: &StateContext<'_>) -> Result<$crate::Made> {
                pr_info!("pre_patch {}", cx.id());
                $(
                    let failed: Result<$crate::Made> = Err($error);
                    return failed;
                )?
                #[allow(unreachable_code)]
                Ok($crate::Made::by(cx))
            }

            fn post_patch(cx: &StateContext<'_>, data: &$crate::Made) {
                pr_info!("post_patch {} ({})", cx.id(), data.maker());
            }

            fn pre_unpatch(cx: &StateContext<'_>, data: &$crate::Made) {
                pr_info!("pre_unpatch {} ({})", cx.id(), data.maker());
            }

            fn post_unpatch(cx: &StateContext<'_>, data: &$crate::Made) {
                pr_info!("post_unpatch {} ({})", cx.id(), data.maker());
            }

            fn take_over(cx: &StateContext<'_>, data: &$crate::Made, from: u32) {
                pr_info!("take_over {} from {from} ({})", cx.id(), data.maker());
            }
        }
    };
}

/// The `livepatch!` of a patch of the tests.
#[macro_export]
macro_rules! test_patch {
    (replace: $replace:literal) => {
        klp_runtime::livepatch! {
            license: "GPL",
            authors: ["The klp authors"],
            description: "A patch of klp's tests",
            replace: $replace,
        }
    };
}
