//! Warnings with a stack trace: `WARN_ON` and `WARN_ON_ONCE`.

use core::ffi::CStr;

use crate::module::wrappers;

/// Warns; behind the macros.
#[doc(hidden)]
#[cold]
#[inline(never)]
pub fn warn(place: &CStr, condition: &CStr) {
    // SAFETY: Both are strings.
    unsafe { wrappers::klp_glue_warn(place.as_ptr(), condition.as_ptr()) }
}

/// Warns in the kernel log if a condition holds (`WARN_ON`), with file, line, condition and a stack trace, and
/// evaluates to the condition. The warning taints the kernel, which panics if `panic_on_warn` is set. Any context.
///
/// ```
/// use klp_runtime::prelude::*;
///
/// fn half(number: u32) -> Result<u32> {
///     if warn_on!(number % 2 != 0) {
///         return Err(EINVAL);
///     }
///     Ok(number / 2)
/// }
///
/// assert_eq!(half(8), Ok(4));
/// assert_eq!(half(7), Err(EINVAL));
/// ```
#[macro_export]
macro_rules! warn_on {
    ($condition:expr $(,)?) => {{
        let condition: bool = $condition;
        if condition {
            $crate::bug::warn(
                $crate::__c_text!(::core::file!(), ":", ::core::line!()),
                $crate::__c_text!(::core::stringify!($condition)),
            );
        }
        condition
    }};
}

/// As [`warn_on!`](crate::warn_on), but warns the first time only (`WARN_ON_ONCE`). Any context.
#[macro_export]
macro_rules! warn_on_once {
    ($condition:expr $(,)?) => {{
        let condition: bool = $condition;
        if condition {
            $crate::do_once_lite! {
                $crate::bug::warn(
                    $crate::__c_text!(::core::file!(), ":", ::core::line!()),
                    $crate::__c_text!(::core::stringify!($condition)),
                )
            };
        }
        condition
    }};
}
