//! Uses a lock in the data of a state that another patch provides, too, when a test says so.
#![no_std]

use core::fmt::Write;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::Release};

use klp_runtime::prelude::*;
use klp_runtime::sync::SpinLock;
use klp_runtime::sysfs::{Directory, Text};

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "Uses a lock that another patch uses, too",
}

#[derive(KlpData)]
#[repr(C)]
struct Shared {
    uses: SpinLock<u64>,
}

struct Using;

#[klp_state(id = 32, version = 1)]
impl State for Using {
    type Data = Shared;

    fn pre_patch(_cx: &StateContext<'_>) -> Result<Shared> {
        Ok(Shared { uses: SpinLock::new(0) })
    }
}

/// What the first word of a lock says: it is not made, or another caller is making it.
const MARKS: [(&str, usize); 2] = [("fresh", 0), ("making", 1)];

/// Writes it there, as the glue does.
fn mark(name: &str) -> Result {
    let (_, mark) = MARKS.iter().find(|(known, _)| *known == name).ok_or(EINVAL)?;
    Using::with_data(|shared| {
        // SAFETY: The lock starts with a word that several processors write to while it is made.
        let word = unsafe { AtomicUsize::from_ptr(ptr::from_ref(&shared.uses).cast_mut().cast()) };
        word.store(*mark, Release);
    })
    .ok_or(ENODEV)
}

fn use_it(text: &mut Text<'_>) -> Result {
    let uses = Using::with_data(|shared| {
        let mut uses = shared.uses.lock();
        *uses += 1;
        *uses
    });
    Ok(writeln!(text, "{}", uses.ok_or(ENODEV)?)?)
}

struct Vmlinux;

#[klp_object(name = "vmlinux")]
impl Object for Vmlinux {
    fn pre_patch(_object: &ObjectContext<'_>) -> Result {
        const NAME: &str = concat!(env!("CARGO_PKG_NAME"), "\0");
        let name = CStr::from_bytes_until_nul(NAME.as_bytes()).map_err(|_| EINVAL)?;
        Directory::new(name)?.file(c"use", use_it)?.writable_file(c"mark", |_| Ok(()), mark)?.keep();
        Ok(())
    }
}
