//! What a patch needs at hand: `use klp_runtime::prelude::*;`.

pub use core::ffi::{
    CStr, c_char, c_int, c_long, c_longlong, c_short, c_uchar, c_uint, c_ulong, c_ulonglong, c_ushort, c_void,
};

pub use crate::alloc::{GFP_ATOMIC, GFP_KERNEL, GFP_NOFS, GFP_NOIO, GFP_NOWAIT, Gfp, KBox};
pub use crate::error::{
    E2BIG, EACCES, EAGAIN, EBUSY, EEXIST, EFAULT, EINVAL, EIO, ENODEV, ENOENT, ENOMEM, ENOSPC, ENOSYS,
    EOPNOTSUPP, EPERM, ERANGE, Error, Result, to_result,
};
pub use crate::layout::{KernelPtr, KlpData};
pub use crate::module::selection::PatchSelection;
pub use crate::native::NativeState;
pub use crate::object::{ModuleState, Object, ObjectContext};
pub use crate::param::{CharP, HexInt, InvBool, Param, ParamArray};
pub use crate::shadow::{Shadow, ShadowRef};
pub use crate::state::{State, StateContext};
pub use crate::types::{device, file, inode, module, net_device, seq_file, sk_buff, task_struct};
pub use crate::{opaque, pr_alert, pr_crit, pr_debug, pr_emerg, pr_err, pr_info, pr_notice, pr_warn};
pub use klp_macros::{
    KlpData, kernel_types, klp_c, klp_exit, klp_func, klp_init, klp_object, klp_param, klp_state,
    klp_symbols, klp_syscall, livepatch, shadow,
};
