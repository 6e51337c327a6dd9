//! Layout fingerprints: what two builds compare before one reads the other's data.

use core::ffi::c_void;
use core::ptr::NonNull;
use core::sync::atomic;

/// A type whose values outlive the module that made them: state data and
/// shadow variables.
///
/// Derive it with `#[derive(KlpData)]` on a `#[repr(C)]` struct; `#[shadow]`
/// implies it.
///
/// # Safety
///
/// The layout is the same in every build that computes the same
/// [`FINGERPRINT`](Self::FINGERPRINT), and the type holds no pointer into a
/// module's own memory (a function, a vtable, a `&'static`): the module may be
/// gone while the value lives ([S10](crate::lifecycle#s10)).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't outlive the patch that makes it",
    label = "not data that one patch hands to the next",
    note = "state data and shadow variables hold integers, `bool`, atomics, arrays, locks, `KBox`, and structs with \
            `#[derive(KlpData)]` and `#[repr(C)]`",
    note = "copy the bytes of a text into a `[u8; N]`, keep the address of kernel memory as a `KernelPtr`, and what \
            belongs to one patch (functions, references, directories in sysfs) in a `static`"
)]
pub unsafe trait KlpData: Sized + Send + Sync + 'static {
    /// A hash of the layout, field by field: names, offsets, types, size and alignment.
    const FINGERPRINT: u64;

    /// Makes the value of `()`, the only data that no author has to make.
    #[doc(hidden)]
    const __MAKE: Option<fn() -> Self> = None;
}

/// The largest alignment of state data and shadow variables, in bytes: that of the kernel's allocations.
pub const MAX_ALIGN: usize = 8;

/// A fingerprint in the making: 64-bit FNV-1a over what is mixed in.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Starts from the name of a kind of type.
    #[must_use]
    pub const fn new(kind: &str) -> Self {
        Self(0xcbf2_9ce4_8422_2325).text(kind)
    }

    /// Mixes in a text and its length.
    #[must_use]
    pub const fn text(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self = self.byte(bytes[i]);
            i += 1;
        }
        self.number(bytes.len() as u64)
    }

    /// Mixes in a number: a size, an offset, another fingerprint.
    #[must_use]
    pub const fn number(mut self, number: u64) -> Self {
        let bytes = number.to_le_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self = self.byte(bytes[i]);
            i += 1;
        }
        self
    }

    /// Mixes in a field: its name, its offset and the fingerprint of its type.
    #[must_use]
    pub const fn field(self, name: &str, offset: usize, fingerprint: u64) -> Self {
        self.text(name).number(offset as u64).number(fingerprint)
    }

    /// Mixes in a field of which only size and alignment count: `#[klp(unsafe(opaque))]`.
    ///
    /// The derive relies on the bounds: with them on all fields the struct is `Send` and `Sync`.
    ///
    /// # Safety
    ///
    /// A value of the type holds nothing that points into a module, and means the same in every patch
    /// that has such a field ([S10](crate::lifecycle#s10)).
    #[must_use]
    pub const unsafe fn opaque<T: Send + Sync + 'static>(self, name: &str, offset: usize) -> Self {
        self.text(name).number(offset as u64).number(size_of::<T>() as u64).number(align_of::<T>() as u64)
    }

    /// Ends with the size and alignment of the whole type.
    #[must_use]
    pub const fn finish<T>(self) -> u64 {
        self.number(size_of::<T>() as u64).number(align_of::<T>() as u64).0
    }

    const fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
    }
}

// Each type has a name of its own: `u32` and `AtomicU32` have one layout, but who takes one for the other
// reads without synchronisation what others write.
macro_rules! plain {
    ($($type:ty = $kind:literal),* $(,)?) => {$(
        #[diagnostic::do_not_recommend]
        // SAFETY: The layout is fixed by the language or by the target's C ABI.
        unsafe impl KlpData for $type {
            const FINGERPRINT: u64 = Fingerprint::new($kind).finish::<$type>();
        }
    )*};
}

#[diagnostic::do_not_recommend]
// SAFETY: Nothing has no layout.
unsafe impl KlpData for () {
    const FINGERPRINT: u64 = Fingerprint::new("()").finish::<()>();
    const __MAKE: Option<fn() -> Self> = Some(|| ());
}

plain! {
    bool = "bool", u8 = "u8", i8 = "i8", u16 = "u16", i16 = "i16", u32 = "u32", i32 = "i32",
    u64 = "u64", i64 = "i64", usize = "usize", isize = "isize",
    atomic::AtomicBool = "AtomicBool", atomic::AtomicU8 = "AtomicU8", atomic::AtomicI8 = "AtomicI8",
    atomic::AtomicU16 = "AtomicU16", atomic::AtomicI16 = "AtomicI16", atomic::AtomicU32 = "AtomicU32",
    atomic::AtomicI32 = "AtomicI32", atomic::AtomicU64 = "AtomicU64", atomic::AtomicI64 = "AtomicI64",
    atomic::AtomicUsize = "AtomicUsize", atomic::AtomicIsize = "AtomicIsize",
    atomic::AtomicPtr<c_void> = "AtomicPtr",
}

#[diagnostic::do_not_recommend]
// SAFETY: An array's layout is that of its elements in a row.
unsafe impl<T: KlpData, const N: usize> KlpData for [T; N] {
    const FINGERPRINT: u64 =
        Fingerprint::new("array").number(N as u64).number(T::FINGERPRINT).finish::<Self>();
}

/// A pointer to kernel memory that a state or a shadow variable may keep.
///
/// It is only an address: code that follows it must know that the memory still exists.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelPtr(Option<NonNull<c_void>>);

impl KernelPtr {
    /// Keeps the address of `pointer`.
    #[must_use]
    pub const fn new<T>(pointer: *mut T) -> Self {
        Self(NonNull::new(pointer.cast()))
    }

    /// The address, null if null was kept.
    #[must_use]
    pub const fn as_ptr<T>(self) -> *mut T {
        match self.0 {
            Some(pointer) => pointer.as_ptr().cast(),
            None => core::ptr::null_mut(),
        }
    }
}

// SAFETY: An address can be sent anywhere; following it is unsafe.
unsafe impl Send for KernelPtr {}
// SAFETY: A reference to an address gives its copies, which can be sent.
unsafe impl Sync for KernelPtr {}
#[diagnostic::do_not_recommend]
// SAFETY: A transparent pointer; that it is to kernel memory is what the type is for.
unsafe impl KlpData for KernelPtr {
    const FINGERPRINT: u64 = Fingerprint::new("pointer").finish::<Self>();
}
