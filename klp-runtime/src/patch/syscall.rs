//! System calls: the arguments that [`#[klp_syscall]`](macro@crate::klp_syscall) takes from registers.

use core::ffi::c_long;

/// A type that can be an argument of a system call: integers and pointers.
///
/// Implement it for your own types where the kernel casts the argument.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be an argument of a system call",
    label = "neither an integer nor a pointer",
    note = "write an integer, or a pointer of the caller's: registers hold nothing else"
)]
pub trait Argument {
    /// The argument in a register of a 64-bit program.
    fn from_native(register: u64) -> Self;

    /// The argument in a register of a 32-bit program. The kernel's wrappers extend it with its sign for
    /// `c_long`, with zeroes for every other type (`asm/syscall_wrapper.h`).
    fn from_compat(register: u32) -> Self;

    /// The register that holds the argument, for a call of the original. Of a 32-bit program's registers it is the
    /// lower half.
    fn to_register(self) -> u64;
}

macro_rules! integers {
    ($($integer:ty: $compat:ty),*) => {$(
        impl Argument for $integer {
            #[inline]
            fn from_native(register: u64) -> Self {
                register as Self
            }

            #[inline]
            fn from_compat(register: u32) -> Self {
                register as $compat as Self
            }

            #[inline]
            fn to_register(self) -> u64 {
                self as u64
            }
        }
    )*};
}

integers!(u8: u32, u16: u32, u32: u32, u64: u32, usize: u32, i8: u32, i16: u32, i32: u32, i64: i32, isize: i32);

impl<T> Argument for *const T {
    #[inline]
    fn from_native(register: u64) -> Self {
        core::ptr::with_exposed_provenance(register as usize)
    }

    #[inline]
    fn from_compat(register: u32) -> Self {
        core::ptr::with_exposed_provenance(register as usize)
    }

    #[inline]
    fn to_register(self) -> u64 {
        self.expose_provenance() as u64
    }
}

impl<T> Argument for *mut T {
    #[inline]
    fn from_native(register: u64) -> Self {
        core::ptr::with_exposed_provenance_mut(register as usize)
    }

    #[inline]
    fn from_compat(register: u32) -> Self {
        core::ptr::with_exposed_provenance_mut(register as usize)
    }

    #[inline]
    fn to_register(self) -> u64 {
        self.expose_provenance() as u64
    }
}

/// What a system call returns.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a system call returns `c_long`, not `{Self}`",
    label = "write `c_long`"
)]
pub trait SyscallResult {
    fn into_long(self) -> c_long;
}

impl SyscallResult for c_long {
    #[inline]
    fn into_long(self) -> c_long {
        self
    }
}

/// The six registers that hold arguments, for the macro's wrappers.
#[doc(hidden)]
pub mod arguments {
    use core::ffi::c_void;

    use crate::module::sys;

    /// Of a 64-bit program.
    ///
    /// # Safety
    ///
    /// `registers` is the argument that the kernel gives a wrapper of a 64-bit system call.
    #[must_use]
    pub unsafe fn native(registers: *const c_void) -> [u64; 6] {
        let mut arguments = [0; 6];
        // SAFETY: The caller passes the registers of a 64-bit system call.
        unsafe { sys::klp_glue_syscall_native(registers, &mut arguments) };
        arguments
    }

    /// Of a 32-bit program.
    ///
    /// # Safety
    ///
    /// `registers` is the argument that the kernel gives a wrapper of a 32-bit system call.
    #[must_use]
    pub unsafe fn compat(registers: *const c_void) -> [u32; 6] {
        let mut arguments = [0; 6];
        // SAFETY: The caller passes the registers of a 32-bit system call.
        unsafe { sys::klp_glue_syscall_compat(registers, &mut arguments) };
        arguments
    }

    /// Room for the kernel's `struct pt_regs`; the glue asserts that it is enough.
    #[repr(C)]
    pub struct Registers([u64; ROOM]);

    /// As many words.
    const ROOM: usize = if cfg!(target_arch = "aarch64") { 42 } else { 21 };

    impl Registers {
        /// What the kernel's wrappers take.
        #[must_use]
        pub fn as_ptr(&self) -> *const c_void {
            (&raw const self.0).cast()
        }
    }

    /// The registers of the current task, but with these arguments, and whether they are where a 32-bit program has
    /// them: the task is in a system call of that kind.
    #[must_use]
    pub fn registers(arguments: [u64; 6]) -> (Registers, bool) {
        let mut registers = Registers([0; ROOM]);
        // SAFETY: The glue writes a `struct pt_regs`, for which there is room.
        let is_compat = unsafe { sys::klp_glue_syscall_registers(&arguments, (&raw mut registers).cast()) };
        (registers, is_compat)
    }
}
