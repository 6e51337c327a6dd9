use klp_runtime::prelude::*;

#[klp_func(symbol = "cmdline_proc_show", object = "vmlinux", sympos = 1)]
unsafe extern "C" fn elsewhere() {}
