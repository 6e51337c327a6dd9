//! What a replacement's parameters and its return value are, for the build to compare with the kernel's
//! own types: a letter for the kind, and the size above it. `klp_btf::Class` reads it.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;

/// A type whose values are passed in a way that is known.
pub trait PassedAs {
    /// The letter of the kind.
    const KIND: u8;
}

/// The class of a type: a constant of its own where `PassedAs` is implemented, else that of [`AnyType`].
#[derive(Debug)]
pub struct TypeClass<T>(PhantomData<T>);

impl<T: PassedAs> TypeClass<T> {
    /// The number in the manifest.
    pub const CLASS: u64 = class::<T>(T::KIND);
}

/// What is known of all other types: structures of the author's own.
pub trait AnyType {
    /// The number in the manifest.
    const CLASS: u64;
}

impl<T> AnyType for TypeClass<T> {
    const CLASS: u64 = class::<T>(b'o');
}

const fn class<T>(kind: u8) -> u64 {
    (size_of::<T>() as u64) << 8 | kind as u64
}

macro_rules! passed_as {
    ($($kind:literal: $($type:ty),+;)*) => {$($(
        impl PassedAs for $type { const KIND: u8 = $kind; }
    )+)*};
}

passed_as! {
    b'v': ();
    b'b': bool;
    b'i': i8, i16, i32, i64, i128, isize;
    b'u': u8, u16, u32, u64, u128, usize;
    b'f': f32, f64;
}

macro_rules! pointer {
    ($($type:ty),+) => {$(
        impl<T> PassedAs for $type { const KIND: u8 = b'p'; }
        impl<T> PassedAs for Option<$type> { const KIND: u8 = b'p'; }
    )+};
}

pointer!(&T, &mut T, NonNull<T>);

impl<T> PassedAs for *const T {
    const KIND: u8 = b'p';
}

impl<T> PassedAs for *mut T {
    const KIND: u8 = b'p';
}

macro_rules! function {
    ($($parameter:ident)*) => {
        function!(@ ($($parameter)*) extern "C" fn($($parameter),*) -> R);
        function!(@ ($($parameter)*) unsafe extern "C" fn($($parameter),*) -> R);
    };
    (@ ($($parameter:ident)*) $type:ty) => {
        impl<$($parameter,)* R> PassedAs for $type { const KIND: u8 = b'p'; }
        impl<$($parameter,)* R> PassedAs for Option<$type> { const KIND: u8 = b'p'; }
    };
}

function!();
function!(A);
function!(A B);
function!(A B C);
function!(A B C D);
function!(A B C D E);
function!(A B C D E F);
function!(A B C D E F G);
function!(A B C D E F G H);

// What the numbers are for: one of each kind.
const _: () = {
    assert!(<TypeClass<*mut c_void>>::CLASS == 8 << 8 | b'p' as u64);
    assert!(<TypeClass<i32>>::CLASS == 4 << 8 | b'i' as u64);
    assert!(<TypeClass<[u8; 3]>>::CLASS == 3 << 8 | b'o' as u64);
    assert!(<TypeClass<Option<unsafe extern "C" fn(&u8)>>>::CLASS == 8 << 8 | b'o' as u64);
    assert!(<TypeClass<Option<unsafe extern "C" fn(u8)>>>::CLASS == 8 << 8 | b'p' as u64);
};
