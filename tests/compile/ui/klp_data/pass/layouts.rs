//! Layouts, and what makes them others.

#![deny(warnings, dead_code, missing_docs, unsafe_op_in_unsafe_fn, unused_qualifications, unreachable_pub)]

use klp_runtime::prelude::*;

/// A type of which the fingerprint has size and alignment only.
#[allow(dead_code)]
struct Unknown(u16);

macro_rules! fingerprints {
    ($($item:item)*) => {
        [$({
            #[derive(KlpData)]
            #[allow(dead_code)]
            $item
            <S as KlpData>::FINGERPRINT
        }),*]
    };
}

/// Used by others.
#[derive(KlpData)]
#[repr(C, align(8))]
pub(crate) struct Nested(u8);

#[derive(KlpData)]
#[repr(C)]
struct Renamed {
    a: u32,
    b: u8,
}

fn main() {
    let all = fingerprints! {
        #[repr(C)]
        struct S {
            a: u32,
            b: u8,
        }
        #[repr(C)]
        struct S {
            b: u8,
            a: u32,
        }
        #[repr(C)]
        struct S {
            a: u32,
            c: u8,
        }
        #[repr(C)]
        struct S {
            a: i32,
            b: u8,
        }
        #[repr(C, align(16))]
        struct S {
            a: u32,
            b: u8,
        }
        #[repr(C)]
        struct S {
            a: u32,
            b: [u8; 2],
        }
        #[repr(C)]
        struct S;
        #[repr(C)]
        struct S(u8, Nested, KernelPtr);
        #[repr(C)]
        struct S {
            // SAFETY: It holds no pointer.
            #[klp(unsafe(opaque))]
            r#type: Unknown,
        }
    };
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one), "{i}");
    }
    // The name of the struct is no part of its layout.
    let renamed = Renamed { a: 1, b: 2 };
    assert_eq!((renamed.a, renamed.b), (1, 2));
    assert_eq!(Renamed::FINGERPRINT, all[0]);
    assert_eq!(Nested(1).0, 1);
}
