//! Data of a state that change their layout.

/// The data of 8 bytes, and those of 16 that are made of them. Both log their end.
#[macro_export]
macro_rules! data_of_two_layouts {
    () => {
        /// What the state had at first.
        #[derive(KlpData)]
        #[repr(C)]
        struct Small {
            number: u64,
        }

        impl Drop for Small {
            fn drop(&mut self) {
                pr_info!("dropped small {}", self.number);
            }
        }

        /// What it has later.
        #[derive(KlpData)]
        #[repr(C)]
        #[allow(dead_code, reason = "one of the two patches does not have it")]
        struct Large {
            number: u64,
            twice: u64,
        }

        impl Drop for Large {
            fn drop(&mut self) {
                pr_info!("dropped large {} and {}", self.number, self.twice);
            }
        }
    };
}
