//! What may be off on the processor that runs this code, without a lock.

use core::ptr;

use super::{Guard, Interrupts, Preemption, Softirqs};
use crate::module::wrappers;

/// Keeps this task on its processor, and other tasks off it, until the guard is dropped (`preempt_disable`). Any context;
/// until then, nothing may sleep. Interrupts and softirqs still come.
#[inline(always)]
pub fn preempt_disable() -> Guard<Preemption> {
    wrappers::klp_glue_preempt_disable();
    Guard::new(ptr::null_mut(), ())
}

/// Turns softirqs off on this processor until the guard is dropped (`local_bh_disable`); those that have come meanwhile
/// run then. Process context or softirq, with interrupts on; until then, nothing may sleep.
#[inline(always)]
pub fn local_bh_disable() -> Guard<Softirqs> {
    wrappers::klp_glue_local_bh_disable();
    Guard::new(ptr::null_mut(), ())
}

/// Turns interrupts off on this processor until the guard is dropped, where they were on (`local_irq_save`). Any context;
/// until then, nothing may sleep.
///
/// # Safety
///
/// Guards of an `_irqsave` or of this function that are there at once must be dropped in the reverse order of their
/// making: otherwise interrupts are on where one of them promises that they are off.
#[inline(always)]
pub unsafe fn local_irq_save() -> Guard<Interrupts> {
    let flags = wrappers::klp_glue_local_irq_save();
    Guard::new(ptr::null_mut(), flags)
}
