//! Shadow variables of objects that a patch has itself.

/// Objects, `OBJECTS`, and two kinds of shadow variables on them that belong to a state: `Plain` and the
/// sleepable `Sleepy`, which log their ends.
#[macro_export]
macro_rules! objects {
    ($count:literal, state = $state:ident) => {
        /// What the shadow variables hang on.
        #[repr(transparent)]
        struct Object(::core::cell::UnsafeCell<u64>);

        // SAFETY: Nobody looks inside.
        unsafe impl Sync for Object {}

        static OBJECTS: [Object; $count] = [const { Object(::core::cell::UnsafeCell::new(0)) }; $count];

        /// Freed under the kernel's lock.
        #[shadow(state = $state, of = Object)]
        #[repr(C)]
        struct Plain {
            number: u64,
        }

        impl Drop for Plain {
            fn drop(&mut self) {
                pr_info!("dropped plain {}", self.number);
            }
        }

        unsafe extern "C" {
            /// `kernel/time/sleep_timeout.c`: sleeps; a BUG in atomic context.
            fn msleep(msecs: c_uint);
        }

        /// Freed where it may sleep.
        #[shadow(state = $state, of = Object, sleepable)]
        #[repr(C)]
        struct Sleepy {
            number: u32,
        }

        impl Drop for Sleepy {
            fn drop(&mut self) {
                // SAFETY: A sleepable destructor runs in process context.
                unsafe { msleep(1) };
                pr_info!("dropped sleepy {}", self.number);
            }
        }
    };
}
