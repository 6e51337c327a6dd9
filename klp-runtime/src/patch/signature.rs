//! The classes of a replacement's parameters and return value, as numbers of [`Class`]. The build compares
//! them with the kernel's own types.

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::NonNull;

use klp_format::{Class, ClassKind};

/// A type whose class is known beside its size.
pub trait PassedAs {
    /// The kind.
    const KIND: ClassKind;
}

/// The class of a type: a constant of its own where `PassedAs` is implemented, else that of [`AnyType`].
#[derive(Debug)]
pub struct TypeClass<T>(PhantomData<T>);

impl<T: PassedAs> TypeClass<T> {
    /// The number in the manifest.
    pub const CLASS: u64 = class::<T>(T::KIND);
}

/// The class of all other types, such as structures of the author's own: only their size is known.
pub trait AnyType {
    /// The number in the manifest.
    const CLASS: u64;
}

impl<T> AnyType for TypeClass<T> {
    const CLASS: u64 = class::<T>(ClassKind::Other);
}

const fn class<T>(kind: ClassKind) -> u64 {
    Class::new(kind, size_of::<T>() as u64).encode()
}

macro_rules! passed_as {
    ($($kind:ident: $($type:ty),+;)*) => {$($(
        impl PassedAs for $type { const KIND: ClassKind = ClassKind::$kind; }
    )+)*};
}

passed_as! {
    Void: ();
    Bool: bool;
    Signed: i8, i16, i32, i64, i128, isize;
    Unsigned: u8, u16, u32, u64, u128, usize;
    Float: f32, f64;
}

macro_rules! pointer {
    ($($type:ty),+) => {$(
        impl<T> PassedAs for $type { const KIND: ClassKind = ClassKind::Pointer; }
        impl<T> PassedAs for Option<$type> { const KIND: ClassKind = ClassKind::Pointer; }
    )+};
}

pointer!(&T, &mut T, NonNull<T>);

impl<T> PassedAs for *const T {
    const KIND: ClassKind = ClassKind::Pointer;
}

impl<T> PassedAs for *mut T {
    const KIND: ClassKind = ClassKind::Pointer;
}

macro_rules! function {
    ($($parameter:ident)*) => {
        function!(@ ($($parameter)*) extern "C" fn($($parameter),*) -> R);
        function!(@ ($($parameter)*) unsafe extern "C" fn($($parameter),*) -> R);
    };
    (@ ($($parameter:ident)*) $type:ty) => {
        impl<$($parameter,)* R> PassedAs for $type { const KIND: ClassKind = ClassKind::Pointer; }
        impl<$($parameter,)* R> PassedAs for Option<$type> { const KIND: ClassKind = ClassKind::Pointer; }
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
    const fn is(class: u64, kind: ClassKind, size: u64) -> bool {
        class == Class::new(kind, size).encode()
    }
    assert!(is(<TypeClass<*mut c_void>>::CLASS, ClassKind::Pointer, 8));
    assert!(is(<TypeClass<i32>>::CLASS, ClassKind::Signed, 4));
    assert!(is(<TypeClass<[u8; 3]>>::CLASS, ClassKind::Other, 3));
    assert!(is(<TypeClass<Option<unsafe extern "C" fn(&u8)>>>::CLASS, ClassKind::Other, 8));
    assert!(is(<TypeClass<Option<unsafe extern "C" fn(u8)>>>::CLASS, ClassKind::Pointer, 8));
};
