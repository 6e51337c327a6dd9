//! The items of Rust that [`Writer`](crate::rust::Writer) writes around a type.

use crate::identifier;
use crate::layout::Field;
use crate::rust::Room;

/// A constant of the kernel.
pub(crate) fn constant(name: &str, ty: &str, value: i128) -> String {
    format!(
        "\n/// `{name}` of the kernel.\n#[allow(dead_code, non_upper_case_globals)]\npub const {}: {ty} = {value};\n",
        identifier(name)
    )
}

/// A type that is only used by reference: it shows no field, but has its size, so that a pointer to it moves as C's does.
pub(crate) fn hidden(name: &str, ident: &str, Room { size, align }: Room) -> String {
    format!(
        "
/// `{name}` of the kernel.
#[repr(C, align({align}))]
#[allow(non_camel_case_types)]
pub struct {ident} {{
    // Not `Send`, `Sync` or `Unpin`, and its contents change behind references.
    marker: ::core::marker::PhantomData<(*mut u8, ::core::marker::PhantomPinned)>,
    contents: ::core::cell::UnsafeCell<[u8; {size}]>,
}}
"
    )
}

/// The function that makes a structure of zeros, which are valid for every type of C.
pub(crate) fn zeroed(ident: &str, attributes: &str) -> String {
    format!(
        "
{attributes}
impl ::core::default::Default for {ident} {{
    fn default() -> Self {{
        // SAFETY: It consists of integers, pointers and arrays of them, which may all be 0.
        unsafe {{ ::core::mem::zeroed() }}
    }}
}}
"
    )
}

/// The functions that read and write a bit-field.
pub(crate) fn bit_field(field: &Field) -> String {
    let bits = field.bits.unwrap_or(0);
    let (first, shift) = (field.offset / 8, field.offset % 8);
    let bytes = (shift + u64::from(bits)).div_ceil(8);
    format!(
        "
    /// {bits} bits at the offset {first}, from bit {shift}.
    #[must_use]
    #[allow(dead_code, non_snake_case)]
    pub fn {}(&self) -> u64 {{
        // SAFETY: The structure is here.
        unsafe {{ Self::get_{bare}(&raw const *self) }}
    }}

    /// The same of a structure that others may write to, so that there can be no reference to it.
    ///
    /// # Safety
    ///
    /// `this` must be valid for reads.
    #[must_use]
    #[allow(dead_code, non_snake_case)]
    pub unsafe fn get_{bare}(this: *const Self) -> u64 {{
        let mut bytes = [0; 16];
        // SAFETY: The caller has the structure, whose bytes are initialized.
        let field = unsafe {{ this.byte_add({first}).cast::<[u8; {bytes}]>().read() }};
        bytes[..{bytes}].copy_from_slice(&field);
        (u128::from_le_bytes(bytes) >> {shift}) as u64 & {mask}
    }}

    /// Writes the {bits} bits at the offset {first}, from bit {shift}, and only the bytes that contain them.
    ///
    /// # Safety
    ///
    /// `this` must be valid for reads and writes, and nothing else may write to these bytes at the same time.
    #[allow(dead_code, non_snake_case)]
    pub unsafe fn set_{bare}(this: *mut Self, value: u64) {{
        let mut bytes = [0; 16];
        // SAFETY: The caller promises it.
        unsafe {{
            let field = this.byte_add({first}).cast::<[u8; {bytes}]>();
            bytes[..{bytes}].copy_from_slice(&field.read());
            let others = u128::from_le_bytes(bytes) & !(({mask} as u128) << {shift});
            let all = (others | ((value & {mask}) as u128) << {shift}).to_le_bytes();
            let mut written = [0; {bytes}];
            written.copy_from_slice(&all[..{bytes}]);
            field.write(written);
        }}
    }}
",
        identifier(&field.name),
        bare = field.name,
        mask = format_args!("(u64::MAX >> {})", 64 - bits.min(64)),
    )
}
