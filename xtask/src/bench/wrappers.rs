//! Counts the instructions of what `klp_runtime` has in place of the kernel's macros and inline functions, beside these in
//! C: guards, iterators, counts, memory.

use cargo_klp::error::Result;

use super::guest::{Clock, Step, run};
use super::measure::{Figures, Goal, Measurement};
use super::sources::{self, TARGET};
use super::workshop::Workshop;

/// How many instructions a row may take above C: what is a macro or inline in C is a call or two here, and a call of a
/// function that calls another takes about eight.
const ABOVE_C: f64 = 16.0;

/// As in `hot_path`.
const CALLS: u32 = 5_000;

/// One row.
struct Case {
    /// The suffix of the target's function, and the name of the row.
    name: &'static str,
    /// What the function does in Rust with the fixture `f`.
    rust: &'static str,
    /// The same in C.
    c: &'static str,
}

const CASES: [Case; 29] = [
    Case { name: "nothing", rust: "0", c: "return 0;" },
    Case {
        name: "spin_lock",
        rust: "drop(spin_lock(&raw mut (*f).spin)); 0",
        c: "spin_lock(&f->spin); spin_unlock(&f->spin); return 0;",
    },
    Case {
        name: "spin_lock_bh",
        rust: "drop(spin_lock_bh(&raw mut (*f).spin)); 0",
        c: "spin_lock_bh(&f->spin); spin_unlock_bh(&f->spin); return 0;",
    },
    Case {
        name: "spin_lock_irqsave",
        rust: "drop(spin_lock_irqsave(&raw mut (*f).spin)); 0",
        c: "unsigned long flags; spin_lock_irqsave(&f->spin, flags); spin_unlock_irqrestore(&f->spin, flags); return 0;",
    },
    Case {
        name: "spin_trylock",
        rust: "match spin_trylock(&raw mut (*f).spin) { Some(held) => { drop(held); 0 } None => -1 }",
        c: "if (!spin_trylock(&f->spin)) return -1; spin_unlock(&f->spin); return 0;",
    },
    Case {
        name: "read_lock",
        rust: "drop(read_lock(&raw mut (*f).rw)); 0",
        c: "read_lock(&f->rw); read_unlock(&f->rw); return 0;",
    },
    Case {
        name: "write_lock",
        rust: "drop(write_lock(&raw mut (*f).rw)); 0",
        c: "write_lock(&f->rw); write_unlock(&f->rw); return 0;",
    },
    Case {
        name: "mutex_lock",
        rust: "drop(mutex_lock(&raw mut (*f).mutex)); 0",
        c: "mutex_lock(&f->mutex); mutex_unlock(&f->mutex); return 0;",
    },
    Case {
        name: "down_read",
        rust: "drop(down_read(&raw mut (*f).semaphore)); 0",
        c: "down_read(&f->semaphore); up_read(&f->semaphore); return 0;",
    },
    Case {
        name: "down_write",
        rust: "drop(down_write(&raw mut (*f).semaphore)); 0",
        c: "down_write(&f->semaphore); up_write(&f->semaphore); return 0;",
    },
    Case {
        name: "rcu_read_lock",
        rust: "drop(rcu::read_lock()); 0",
        c: "rcu_read_lock(); rcu_read_unlock(); return 0;",
    },
    Case {
        name: "preempt_disable",
        rust: "drop(preempt_disable()); 0",
        c: "preempt_disable(); preempt_enable(); return 0;",
    },
    Case {
        name: "local_bh_disable",
        rust: "drop(local_bh_disable()); 0",
        c: "local_bh_disable(); local_bh_enable(); return 0;",
    },
    Case {
        name: "local_irq_save",
        rust: "drop(local_irq_save()); 0",
        c: "unsigned long flags; local_irq_save(flags); local_irq_restore(flags); return 0;",
    },
    Case {
        name: "list_for_each_entry",
        rust: "clist_create!(&raw mut (*f).list, entry, link).iter().map(|entry| (*entry).number).sum()",
        c: "struct entry *entry; long sum = 0; list_for_each_entry(entry, &f->list, link) sum += entry->number; return sum;",
    },
    Case {
        name: "list_for_each_entry_safe",
        rust: "clist_create!(&raw mut (*f).list, entry, link).iter_safe().map(|entry| (*entry).number).sum()",
        c: "struct entry *entry, *next; long sum = 0; \
            list_for_each_entry_safe(entry, next, &f->list, link) sum += entry->number; return sum;",
    },
    Case {
        name: "list_for_each_entry_rcu",
        rust: "let read = rcu::read_lock(); \
               clist_create!(&raw mut (*f).list, entry, link).iter_rcu(&read).map(|entry| (*entry).number).sum()",
        c: "struct entry *entry; long sum = 0; rcu_read_lock(); \
            list_for_each_entry_rcu(entry, &f->list, link) sum += entry->number; rcu_read_unlock(); return sum;",
    },
    Case {
        name: "hlist_for_each_entry_safe",
        rust: "chlist_create!(&raw mut (*f).hlist, entry, node).iter_safe().map(|entry| (*entry).number).sum()",
        c: "struct entry *entry; struct hlist_node *next; long sum = 0; \
            hlist_for_each_entry_safe(entry, next, &f->hlist, node) sum += entry->number; return sum;",
    },
    Case {
        name: "hlist_for_each_entry_rcu",
        rust: "let read = rcu::read_lock(); \
               chlist_create!(&raw mut (*f).hlist, entry, node).iter_rcu(&read).map(|entry| (*entry).number).sum()",
        c: "struct entry *entry; long sum = 0; rcu_read_lock(); \
            hlist_for_each_entry_rcu(entry, &f->hlist, node) sum += entry->number; rcu_read_unlock(); return sum;",
    },
    Case {
        name: "hlist_nulls_for_each_entry_rcu",
        rust: "let read = rcu::read_lock(); \
               chlist_nulls_create!(&raw mut (*f).numbered, entry, numbered).iter_rcu(&read) \
                   .map(|entry| (*entry).number).sum()",
        c: "struct entry *entry; struct hlist_nulls_node *node; long sum = 0; rcu_read_lock(); \
            hlist_nulls_for_each_entry_rcu(entry, node, &f->numbered, numbered) sum += entry->number; \
            rcu_read_unlock(); return sum;",
    },
    Case {
        name: "list_add_tail, list_del",
        rust: "let link = &raw mut (*f).spare.link; list_add_tail(link, &raw mut (*f).list); list_del(link); 0",
        c: "list_add_tail(&f->spare.link, &f->list); list_del(&f->spare.link); return 0;",
    },
    Case {
        name: "refcount_inc, refcount_dec_and_test",
        rust: "let count = Refcount::from_raw(&raw mut (*f).count); count.inc(); count.dec_and_test().into()",
        c: "refcount_inc(&f->count); return refcount_dec_and_test(&f->count);",
    },
    Case {
        name: "test_and_set_bit, clear_bit",
        rust: "let was = test_and_set_bit(3, &raw mut (*f).bits); clear_bit(3, &raw mut (*f).bits); was.into()",
        c: "bool was = test_and_set_bit(3, &f->bits); clear_bit(3, &f->bits); return was;",
    },
    Case {
        name: "kzalloc, kfree",
        rust: "match KBox::<[u64]>::zeroed(8, GFP_ATOMIC) { \
                   Ok(memory) => { (*f).memory = memory.into_raw().cast(); \
                       drop(KBox::from_raw((*f).memory.cast::<u64>())); 0 } \
                   Err(_) => -1 }",
        c: "f->memory = kcalloc(8, 8, GFP_ATOMIC); kfree(f->memory); return 0;",
    },
    Case {
        name: "copy_from_user",
        rust: "let mut to = [0_u8; 64]; \
               match UserSlice::new(UserPtr::from_addr((*f).user), 64).reader().read_slice(&mut to) { \
                   Ok(()) => to[9].into(), Err(error) => error.to_errno().into() }",
        c: "u8 to[64]; if (copy_from_user(to, (void __user *)f->user, 64)) return -EFAULT; return to[9];",
    },
    Case {
        name: "get_user",
        rust: "match UserSlice::new(UserPtr::from_addr((*f).user), 4).reader().read::<u32>() { \
                   Ok(number) => number.into(), Err(error) => error.to_errno().into() }",
        c: "u32 to; if (get_user(to, (u32 __user *)f->user)) return -EFAULT; return to;",
    },
    Case {
        name: "put_user",
        rust: "match UserSlice::new(UserPtr::from_addr((*f).user), 4).writer().write(&5_u32) { \
                   Ok(()) => 0, Err(error) => error.to_errno().into() }",
        c: "if (put_user(5, (u32 __user *)f->user)) return -EFAULT; return 0;",
    },
    Case {
        name: "static_branch_unlikely",
        rust: "static_key_enabled(&raw const memory_is_zeroed).into()",
        c: "return static_branch_unlikely(&init_on_alloc);",
    },
    Case {
        name: "an inline function of kernel_types!",
        rust: "c_long::from(list_is_singular(&raw const (*f).list))",
        c: "return list_is_singular(&f->list);",
    },
];

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    let functions: Vec<String> = (0..CASES.len()).map(|number| format!("wrapper{number}")).collect();
    let target = workshop.build_c(TARGET, &sources::target_of(&functions, 0))?;
    let ours = workshop.build_ours("wrappers_klp", &rust(&functions))?;
    let c = workshop.build_c("wrappers_c", &c(&functions))?;
    let mut steps = vec![Step::Load(target)];
    for (name, ko) in [("wrappers_klp", ours), ("wrappers_c", c)] {
        steps.push(Step::Load(ko));
        for function in &functions {
            steps.extend([1, 2].map(|times| Step::Call(function.clone(), times * CALLS)));
        }
        steps.extend([Step::Disable(name.into()), Step::Unload(name.into())]);
    }
    let spent = run(workshop, &steps, Clock::Instructions)?;
    let calls = steps.iter().zip(&spent).filter(|(step, _)| matches!(step, Step::Call(..)));
    let figures: Vec<f64> = calls.map(|(_, spent)| spent.thread).collect();
    let each: Vec<f64> = figures.chunks(2).map(|pair| (pair[1] - pair[0]) / f64::from(CALLS)).collect();
    let (ours, c) = each.split_at(CASES.len());
    let measurements = CASES.iter().zip(ours.iter().zip(c)).map(|(case, (ours, c))| {
        Measurement::new(case.name, "instructions", *ours, Some(*c)).goal(Goal::AboveC(ABOVE_C))
    });
    Ok(Figures { measurements: measurements.collect(), charts: Vec::new() })
}

/// The patch with klp.
fn rust(functions: &[String]) -> String {
    let mut text = RUST.to_owned();
    for (function, Case { rust, .. }) in functions.iter().zip(&CASES) {
        text.push_str(&format!(
            "\n#[klp_func(symbol = \"klp_bench_{function}\", object = {TARGET:?})]\n\
             unsafe extern \"C\" fn {function}(_object: *mut u64) -> c_long {{\n    let f = &raw mut FIXTURE;\n    {rust}\n}}\n"
        ));
    }
    text
}

/// The patch in C.
fn c(functions: &[String]) -> String {
    let mut text = C.to_owned();
    let mut table = "\nstatic struct klp_func funcs[] = {\n\t{ .old_name = \"klp_bench_prepare\", .new_func = prepare },\n".to_owned();
    for (function, Case { c, .. }) in functions.iter().zip(&CASES) {
        text.push_str(&format!(
            "\nstatic long {function}(u64 *object)\n{{\n\tstruct fixture *f = &fixture;\n\t{c}\n}}\n"
        ));
        table.push_str(&format!("\t{{ .old_name = \"klp_bench_{function}\", .new_func = {function} }},\n"));
    }
    format!("{text}{table}\t{{ }}\n}};\n{C_PATCH}{}", sources::C_END)
}

const RUST: &str = r#"#![no_std]
#![allow(unused_variables, static_mut_refs, unsafe_op_in_unsafe_fn)]
use klp_runtime::bits::{clear_bit, test_and_set_bit};
use klp_runtime::interop::list::{list_add_tail, list_del};
use klp_runtime::jump_label::static_key_enabled;
use klp_runtime::prelude::*;
use klp_runtime::sync::kernel::{
    down_read, down_write, local_bh_disable, local_irq_save, mutex_lock, preempt_disable, read_lock, spin_lock, spin_lock_bh,
    spin_lock_irqsave, spin_trylock, write_lock,
};
use klp_runtime::sync::{Refcount, rcu};
use klp_runtime::uaccess::{UserPtr, UserSlice};

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "A patch of klp's benchmarks",
}

kernel_types! {
    use "linux/list.h";
    use "linux/mm.h";
    use "linux/rculist_nulls.h";
    use "linux/sched.h";
    struct spinlock;
    struct rwlock_t;
    struct mutex;
    struct rw_semaphore;
    struct list_head;
    struct hlist_head;
    struct hlist_node;
    struct hlist_nulls_head;
    struct hlist_nulls_node;
    struct refcount_struct;
    struct static_key_true;
    inline fn list_is_singular;
    macro fn make_spin(lock: *mut spinlock) = "spin_lock_init(lock)";
    macro fn make_rw(lock: *mut rwlock_t) = "rwlock_init(lock)";
    macro fn make_mutex(lock: *mut mutex) = "mutex_init(lock)";
    macro fn make_semaphore(lock: *mut rw_semaphore) = "init_rwsem(lock)";
    macro fn make_list(list: *mut list_head) = "INIT_LIST_HEAD(list)";
    macro fn add(link: *mut list_head, list: *mut list_head) = "list_add(link, list)";
    macro fn add_hashed(node: *mut hlist_node, list: *mut hlist_head) = "hlist_add_head(node, list)";
    macro fn make_numbered(list: *mut hlist_nulls_head) = "INIT_HLIST_NULLS_HEAD(list, 7)";
    macro fn add_numbered(node: *mut hlist_nulls_node, list: *mut hlist_nulls_head) = "hlist_nulls_add_head_rcu(node, list)";
    macro fn user() -> c_ulong = "current->mm->arg_start";
}

unsafe extern "C" {
    #[link_name = "init_on_alloc"]
    static memory_is_zeroed: static_key_true;
}

#[allow(non_camel_case_types)]
#[repr(C)]
struct entry {
    number: c_long,
    link: list_head,
    node: hlist_node,
    numbered: hlist_nulls_node,
}

#[repr(C)]
struct Fixture {
    spin: spinlock,
    rw: rwlock_t,
    mutex: mutex,
    semaphore: rw_semaphore,
    list: list_head,
    hlist: hlist_head,
    numbered: hlist_nulls_head,
    entries: [entry; 8],
    spare: entry,
    count: refcount_struct,
    bits: c_ulong,
    memory: *mut c_void,
    user: usize,
}

static mut FIXTURE: Fixture = unsafe { core::mem::zeroed() };

#[klp_func(symbol = "klp_bench_prepare", object = "klp_bench_target")]
unsafe extern "C" fn prepare(_object: *mut u64) -> c_long {
    let f = &raw mut FIXTURE;
    f.write(core::mem::zeroed());
    make_spin(&raw mut (*f).spin);
    make_rw(&raw mut (*f).rw);
    make_mutex(&raw mut (*f).mutex);
    make_semaphore(&raw mut (*f).semaphore);
    make_list(&raw mut (*f).list);
    make_numbered(&raw mut (*f).numbered);
    for entry in &mut (*f).entries {
        entry.number = 1;
        add(&raw mut entry.link, &raw mut (*f).list);
        add_hashed(&raw mut entry.node, &raw mut (*f).hlist);
        add_numbered(&raw mut entry.numbered, &raw mut (*f).numbered);
    }
    Refcount::from_raw(&raw mut (*f).count).set(1);
    (*f).user = user() as usize;
    0
}
"#;

const C: &str = r"// SPDX-License-Identifier: GPL-2.0-only
#include <linux/jump_label.h>
#include <linux/livepatch.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/rculist_nulls.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

struct entry {
	long number;
	struct list_head link;
	struct hlist_node node;
	struct hlist_nulls_node numbered;
};

static struct fixture {
	spinlock_t spin;
	rwlock_t rw;
	struct mutex mutex;
	struct rw_semaphore semaphore;
	struct list_head list;
	struct hlist_head hlist;
	struct hlist_nulls_head numbered;
	struct entry entries[8];
	struct entry spare;
	refcount_t count;
	unsigned long bits;
	void *memory;
	unsigned long user;
} fixture;

static long prepare(u64 *object)
{
	struct fixture *f = &fixture;
	int i;

	memset(f, 0, sizeof(*f));
	spin_lock_init(&f->spin);
	rwlock_init(&f->rw);
	mutex_init(&f->mutex);
	init_rwsem(&f->semaphore);
	INIT_LIST_HEAD(&f->list);
	INIT_HLIST_NULLS_HEAD(&f->numbered, 7);
	for (i = 0; i < ARRAY_SIZE(f->entries); i++) {
		f->entries[i].number = 1;
		list_add(&f->entries[i].link, &f->list);
		hlist_add_head(&f->entries[i].node, &f->hlist);
		hlist_nulls_add_head_rcu(&f->entries[i].numbered, &f->numbered);
	}
	refcount_set(&f->count, 1);
	f->user = current->mm->arg_start;
	return 0;
}
";

const C_PATCH: &str = r#"
static struct klp_object objs[] = {
	{ .name = "klp_bench_target", .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};
"#;
