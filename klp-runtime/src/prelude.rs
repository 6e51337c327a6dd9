//! What a patch needs at hand: `use klp_runtime::prelude::*;`.

pub use core::ffi::{
    CStr, c_char, c_int, c_long, c_longlong, c_short, c_uchar, c_uint, c_ulong, c_ulonglong, c_ushort, c_void,
};

pub use crate::alloc::{
    GFP_ATOMIC, GFP_KERNEL, GFP_KERNEL_ACCOUNT, GFP_NOFS, GFP_NOIO, GFP_NOWAIT, Gfp, KBox, KVBox,
};
pub use crate::error::{
    E2BIG, EACCES, EAGAIN, EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOSYS,
    EOPNOTSUPP, EPERM, ERANGE, Error, Result, from_err_ptr, from_result, to_result,
};
pub use crate::layout::{KernelPtr, KlpData};
pub use crate::module::selection::PatchSelection;
pub use crate::native::NativeState;
pub use crate::object::{ModuleState, Object, ObjectContext};
pub use crate::param::{CharP, HexInt, InvBool, Param, ParamArray};
pub use crate::shadow::{Shadow, ShadowRef};
pub use crate::state::{State, StateContext};
pub use crate::sync::{read_once, write_once};
pub use crate::types::{device, file, inode, module, net_device, seq_file, sk_buff, task_struct};
pub use crate::{
    chlist_create, chlist_nulls_create, clist_create, container_of, dev_alert, dev_crit, dev_dbg, dev_emerg,
    dev_err, dev_info, dev_notice, dev_warn, do_once_lite, kfree_rcu, netdev_alert, netdev_crit, netdev_dbg,
    netdev_emerg, netdev_err, netdev_info, netdev_notice, netdev_warn, opaque, pr_alert, pr_alert_once,
    pr_alert_ratelimited, pr_crit, pr_crit_once, pr_crit_ratelimited, pr_debug, pr_debug_once,
    pr_debug_ratelimited, pr_emerg, pr_emerg_once, pr_emerg_ratelimited, pr_err, pr_err_once,
    pr_err_ratelimited, pr_info, pr_info_once, pr_info_ratelimited, pr_notice, pr_notice_once,
    pr_notice_ratelimited, pr_warn, pr_warn_once, pr_warn_ratelimited, warn_on, warn_on_once,
};
pub use klp_macros::{
    KlpData, kernel_types, klp_c, klp_exit, klp_func, klp_init, klp_object, klp_param, klp_state,
    klp_symbols, klp_syscall, livepatch, shadow,
};
