//! Shadow variables of the things of the module `klp_test_target`.

/// A state and two shadow variables of it, one of them sleepable, that go with `klp_test_target`; its
/// function that describes a thing says how many times it has done so. Each variable logs its end.
#[macro_export]
macro_rules! marked_things {
    ($($flag:ident)?) => {
        $crate::logged_state!(Marks, id = 5, version = 1 $(, $flag)?);

        opaque! {
            /// What `klp_test_target` has.
            struct klp_test_thing;
        }

        /// How many times a thing was described.
        // All things are the module's.
        #[shadow(state = Marks, of = klp_test_thing, unsafe(object = "klp_test_target"))]
        #[repr(C)]
        struct Mark {
            looks: ::core::sync::atomic::AtomicI32,
        }

        impl Drop for Mark {
            fn drop(&mut self) {
                pr_info!("dropped mark {}", self.looks.get_mut());
            }
        }

        /// The same.
        // All things are the module's.
        #[shadow(state = Marks, of = klp_test_thing, unsafe(object = "klp_test_target"), sleepable)]
        #[repr(C)]
        struct SleepyMark {
            looks: ::core::sync::atomic::AtomicI32,
        }

        impl Drop for SleepyMark {
            fn drop(&mut self) {
                // SAFETY: A sleepable destructor runs in process context.
                unsafe { msleep(1) };
                pr_info!("dropped sleepy mark {}", self.looks.get_mut());
            }
        }

        unsafe extern "C" {
            /// `kernel/time/sleep_timeout.c`: sleeps; a BUG in atomic context.
            fn msleep(msecs: c_uint);
        }

        /// How many times this was called for the thing.
        ///
        /// # Safety
        ///
        /// Called by the module, for one of its things.
        #[klp_func(symbol = "klp_test_describe", object = "klp_test_target")]
        unsafe extern "C" fn describe(thing: *mut klp_test_thing) -> c_int {
            // SAFETY: The module passes one of its things.
            let thing = unsafe { &*thing };
            looks(thing).unwrap_or_else(Error::to_errno)
        }

        fn looks(thing: &klp_test_thing) -> Result<i32> {
            use ::core::sync::atomic::{AtomicI32, Ordering::Relaxed};

            let mark = Mark::get_or_alloc(thing, GFP_KERNEL, || Ok(Mark { looks: AtomicI32::new(0) }))?;
            let sleepy =
                SleepyMark::get_or_alloc(thing, GFP_KERNEL, || Ok(SleepyMark { looks: AtomicI32::new(0) }))?;
            sleepy.looks.fetch_add(1, Relaxed);
            Ok(mark.looks.fetch_add(1, Relaxed) + 1)
        }
    };
}
