//! Conditions on the kernel that ask for nothing, or that come too late.

use klp_runtime::prelude::*;

kernel_types! {
    struct inode {
        #[cfg(kernel_has = "inode.i_ino")]
        i_ino,
        #[cfg(kernel_has = "nf_tables: macro i_mode")]
        i_mode,
    }
    #[cfg(kernel_since)]
    struct file;
    #[cfg(all(kernel_since = "6.12.x", feature = "more"))]
    use "linux/fs.h";
}

mod later {
    use klp_runtime::prelude::*;

    kernel_types! {
        struct file {
            #[cfg(feature = "more")]
            f_inode,
            #[inline]
            f_pos,
        }
    }
}

fn main() {}
