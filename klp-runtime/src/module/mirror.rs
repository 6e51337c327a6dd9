//! Compares the structures that Rust and the glue share with `kbuild/klp_layout.h`, as the glue does.

use core::mem::offset_of;

use crate::abi::{FuncEntry, PatchEntry, ShadowEntry};
use crate::module::selection::{HookEntry, PatchTables};
use crate::module::sys::{RawMutex, RawSpinLock, RawWork};
use crate::module::wrappers::RawRatelimit;
use crate::native::NativeEntry;
use crate::object::ObjectEntry;

const HEADER: &str = include_str!("../../kbuild/klp_layout.h");

/// Whether the header has a line that starts so and goes on with this number.
const fn says(start: &str, number: usize) -> bool {
    let (header, start) = (HEADER.as_bytes(), start.as_bytes());
    let mut at = 0;
    while at + start.len() < header.len() {
        let mut same = 0;
        while same < start.len() && header[at + same] == start[same] {
            same += 1;
        }
        if same == start.len() {
            at += same;
            let mut found = 0;
            while header[at].is_ascii_digit() {
                found = found * 10 + (header[at] - b'0') as usize;
                at += 1;
            }
            return found == number;
        }
        at += if same == 0 { 1 } else { same };
    }
    false
}

/// The number of the header's lines that declare something.
const fn lines() -> usize {
    let (header, mut at, mut lines) = (HEADER.as_bytes(), 1, 0);
    while at + 4 < header.len() {
        if header[at - 1] == b'\n' && header[at] == b'K' {
            lines += 1;
        }
        at += 1;
    }
    lines
}

macro_rules! mirrored {
    (
        [$($inner:ident in $room:ty),*]
        $($structure:ident = $ty:ty { $($field:ident $(= $table:ident . $part:ident)?),* $(,)? })*
    ) => {
        const _: () = {
            let mut asserted = 0;
            $(
                assert!(
                    says(concat!("KLP_ROOM(", stringify!($inner), ", "), size_of::<$room>()),
                    concat!("the room for ", stringify!($inner), " is another one in klp_layout.h")
                );
                asserted += 1;
            )*
            $(
                assert!(
                    says(concat!("KLP_SIZE(", stringify!($structure), ", "), size_of::<$ty>()),
                    concat!("the size of ", stringify!($structure), " is another one in klp_layout.h")
                );
                asserted += 1;
                $(
                    assert!(
                        says(
                            concat!("KLP_OFFSET(", stringify!($structure), ", ", stringify!($field), ", "),
                            mirrored!(@offset $ty, $field $(= $table . $part)?)
                        ),
                        concat!(
                            stringify!($field), " of ", stringify!($structure),
                            " has another offset in klp_layout.h"
                        )
                    );
                    asserted += 1;
                )*
            )*
            assert!(asserted == lines(), "klp_layout.h has a line that is not checked");
        };
    };
    (@offset $ty:ty, $field:ident) => { offset_of!($ty, $field) };
    (@offset $ty:ty, $field:ident = $table:ident . $part:ident) => { offset_of!($ty, $table.$part) };
}

mirrored! {
    [
        klp_glue_mutex in RawMutex, klp_glue_spinlock in RawSpinLock, klp_glue_work in RawWork,
        klp_glue_ratelimit in RawRatelimit
    ]
    klp_glue_patch_entry = PatchEntry { abi_version, flags, replace, series, revision }
    klp_glue_func = FuncEntry { object, symbol, replacement, sympos }
    klp_glue_object = ObjectEntry { name, pre_patch, post_patch, pre_unpatch, post_unpatch }
    klp_glue_native = NativeEntry { id, version }
    klp_glue_shadow = ShadowEntry { id, state, flags, name, of, object, layout, destroy }
    klp_glue_hook = HookEntry { init, exit }
    klp_glue_tables = PatchTables {
        flags,
        replace,
        series,
        revision,
        funcs = funcs.entries,
        nr_funcs = funcs.len,
        objects = objects.entries,
        nr_objects = objects.len,
        natives = natives.entries,
        nr_natives = natives.len,
        states = states.entries,
        nr_states = states.len,
        shadows = shadows.entries,
        nr_shadows = shadows.len,
        block,
    }
}
