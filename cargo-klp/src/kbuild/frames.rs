//! How much stack the functions of a patch take, according to the compiler (`.stack_sizes`).
//!
//! A kernel stack has four pages, so gcc warns of frames over `CONFIG_FRAME_WARN` bytes in the kernel's C code.
//! rustc has no such warning; and of a frame that is larger than a few pages, objtool only says that it can't
//! follow the code.

use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolKind};

use super::places::Places;
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::patch::inspect::name_in_source;

/// A function with a large frame.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    symbol: String,
    size: u64,
}

/// Checks the frames of the functions of the patch's `members` that are in `linked`, and returns warnings.
///
/// # Errors
///
/// A frame that takes half of a task's stack or more.
pub(super) fn check(
    kernel: &Kernel,
    members: &[Vec<u8>],
    linked: &object::File<'_>,
    places: &Places<'_>,
) -> Result<Vec<String>> {
    let stack = stack_size(kernel);
    let most = stack / 2;
    let limit = kernel.config("CONFIG_FRAME_WARN").and_then(|limit| limit.parse().ok()).unwrap_or(0);
    let limit = if limit == 0 { most } else { limit };
    let mut frames = Vec::new();
    for member in members {
        frames.extend(frames_over(limit, member).map_err(Error::elf("read the stack sizes of the patch"))?);
    }
    frames.retain(|frame| linked.symbol_by_name(&frame.symbol).is_some());
    let said = |frame: &Frame| {
        let place = places.of_function(&frame.symbol).map(|place| format!("{place}: ")).unwrap_or_default();
        format!("{place}`{}` takes {} bytes of the stack", name_in_source(&frame.symbol), frame.size)
    };
    let faults: Vec<String> = frames
        .iter()
        .filter(|frame| frame.size >= most)
        .map(|frame| {
            format!(
                "{}: a task has {stack} bytes in all, for all functions that are being called; keep large data in a \
                 `KBox` or a static",
                said(frame)
            )
        })
        .collect();
    if !faults.is_empty() {
        return Err(Error::Unfit { release: kernel.release.clone(), faults });
    }
    let warning = |frame: &Frame| {
        format!("{}, and the kernel's own code at most {limit} (CONFIG_FRAME_WARN)", said(frame))
    };
    Ok(frames.iter().map(warning).collect())
}

/// The size of a task's stack, `THREAD_SIZE`.
fn stack_size(kernel: &Kernel) -> u64 {
    const PAGE: u64 = 4096;
    let doubled = kernel.config("CONFIG_KASAN").is_some();
    PAGE * if doubled { 8 } else { 4 }
}

/// The functions of an object file whose frames are larger than the limit.
fn frames_over(limit: u64, data: &[u8]) -> object::Result<Vec<Frame>> {
    let file = object::File::parse(data)?;
    let mut frames = Vec::new();
    for section in file.sections().filter(|section| section.name() == Ok(".stack_sizes")) {
        let sizes = section.data()?;
        for (at, relocation) in section.relocations() {
            // The address of the function, and the size as a LEB128 number.
            let size = usize::try_from(at).ok().and_then(|at| leb128(sizes.get(at.checked_add(8)?..)?));
            let Some(size) = size.filter(|size| *size > limit) else { continue };
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let symbol = file.symbol_by_index(index)?;
            let is_function = |other: &object::Symbol<'_, '_>| {
                other.kind() == SymbolKind::Text
                    && other.section_index() == symbol.section_index()
                    && other.address() == symbol.address().wrapping_add_signed(relocation.addend())
            };
            for function in file.symbols().filter(is_function) {
                frames.push(Frame { symbol: function.name()?.to_owned(), size });
            }
        }
    }
    frames.sort_by(|a, b| (b.size, &a.symbol).cmp(&(a.size, &b.symbol)));
    Ok(frames)
}

fn leb128(bytes: &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_several_bytes() {
        assert_eq!(leb128(&[0x08]), Some(8));
        assert_eq!(leb128(&[0x80, 0xc0, 0x01]), Some(24576));
        assert_eq!(leb128(&[0x80]), None);
        assert_eq!(leb128(&[]), None);
    }

    #[test]
    fn a_stack_is_larger_where_kasan_checks_it() {
        assert_eq!(stack_size(&Kernel::for_test("")), 16384);
        assert_eq!(stack_size(&Kernel::for_test("CONFIG_KASAN=y\n")), 32768);
    }
}
