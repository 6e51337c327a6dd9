//! Counts the instructions of what runs often: a redirected function, access to a shadow variable and to a state's
//! data, and a shadow variable's life.

use cargo_klp::error::Result;

use super::guest::{Clock, Step, run};
use super::measure::{Figures, Goal, Measurement};
use super::sources::{self, TARGET};
use super::workshop::Workshop;

/// The suffixes of the target module's functions that are called.
pub(crate) const FUNCTIONS: [&str; 5] = ["plain", "hit", "miss", "data", "life"];

/// For each of [`FUNCTIONS`], the name of its row, and the goal as a multiple of C. `Shadow::get` also checks that
/// the patch provides the live state (S18); `Shadow::alloc` also looks for the variable before its value is made, and
/// checks that it is in no destructor under the kernel's shadow lock.
const GOALS: [(&str, f64); 5] = [
    ("a redirected function", 1.02),
    ("Shadow::get of an object that has one", 1.04),
    ("Shadow::get of an object that has none", 1.04),
    ("State::with_data", 1.02),
    ("Shadow::alloc and Shadow::free", 1.25),
];

/// Number of calls. The figure is the difference between twice this number of calls and this number, so that it
/// leaves out work that is done once.
const CALLS: u32 = 10_000;

pub(crate) fn measure(workshop: &Workshop) -> Result<Figures> {
    let target = workshop.build_c(TARGET, &sources::target(0))?;
    let ours = workshop.build_ours("hot_klp", RUST)?;
    let c = workshop.build_c("hot_c", &format!("{C}{}", sources::C_END))?;
    let mut steps = vec![Step::Load(target)];
    for (name, ko) in [("hot_klp", ours), ("hot_c", c)] {
        steps.push(Step::Load(ko));
        for function in FUNCTIONS {
            steps.extend([1, 2].map(|times| Step::Call(function.into(), times * CALLS)));
        }
        steps.extend([Step::Disable(name.into()), Step::Unload(name.into())]);
    }
    let calls = |step: &Step| matches!(step, Step::Call(..));
    let spent = run(workshop, &steps, Clock::Instructions)?;
    let figures: Vec<f64> =
        steps.iter().zip(&spent).filter(|(step, _)| calls(step)).map(|(_, spent)| spent.thread).collect();
    let each: Vec<f64> = figures.chunks(2).map(|pair| (pair[1] - pair[0]) / f64::from(CALLS)).collect();
    let (ours, c) = each.split_at(FUNCTIONS.len());
    let measurements = GOALS.iter().zip(ours.iter().zip(c)).map(|((name, times), (ours, c))| {
        Measurement::new(*name, "instructions", *ours, Some(*c)).goal(Goal::TimesC(*times))
    });
    Ok(Figures { measurements: measurements.collect(), charts: Vec::new() })
}

const RUST: &str = r#"#![no_std]
use core::sync::atomic::{AtomicI64, Ordering::Relaxed};

use klp_runtime::prelude::*;

livepatch! {
    license: "GPL",
    authors: ["The klp authors"],
    description: "A patch of klp's benchmarks",
}

#[repr(C)]
struct Object(u64);

#[derive(KlpData)]
#[repr(C)]
struct Data {
    value: c_long,
}

struct Bench;

#[klp_state(id = 1, version = 1)]
impl State for Bench {
    type Data = Data;
    fn pre_patch(_cx: &StateContext<'_>) -> Result<Data> {
        Ok(Data { value: 3 })
    }
}

#[shadow(state = Bench, of = Object)]
#[repr(C)]
struct Number {
    value: c_long,
}

/// One that comes and goes in each call, with something to drop.
#[shadow(state = Bench, of = Object)]
#[repr(C)]
struct ShortLived {
    value: AtomicI64,
}

impl Drop for ShortLived {
    fn drop(&mut self) {
        self.value.store(0, Relaxed);
    }
}

#[klp_func(symbol = "klp_bench_prepare", object = "klp_bench_target")]
unsafe extern "C" fn prepare(object: *mut Object) -> c_long {
    let number = Number::get_or_alloc(unsafe { &*object }, GFP_KERNEL, || Ok(Number { value: 2 }));
    number.map_or(-1, |number| number.value)
}

#[klp_func(symbol = "klp_bench_plain", object = "klp_bench_target")]
unsafe extern "C" fn plain(_object: *mut Object) -> c_long {
    1
}

#[klp_func(symbol = "klp_bench_hit", object = "klp_bench_target")]
unsafe extern "C" fn hit(object: *mut Object) -> c_long {
    Number::get(unsafe { &*object }).map_or(-1, |number| number.value)
}

#[klp_func(symbol = "klp_bench_miss", object = "klp_bench_target")]
unsafe extern "C" fn miss(object: *mut Object) -> c_long {
    Number::get(unsafe { &*object }).map_or(-2, |number| number.value)
}

#[klp_func(symbol = "klp_bench_data", object = "klp_bench_target")]
unsafe extern "C" fn data(_object: *mut Object) -> c_long {
    Bench::with_data(|data| data.value).unwrap_or(-1)
}

#[klp_func(symbol = "klp_bench_life", object = "klp_bench_target")]
unsafe extern "C" fn life(object: *mut Object) -> c_long {
    let made = ShortLived::alloc(unsafe { &*object }, GFP_ATOMIC, || Ok(ShortLived { value: AtomicI64::new(4) }));
    let value = made.map_or(-1, |made| made.value.load(Relaxed));
    unsafe { ShortLived::free(object) };
    value
}
"#;

const C: &str = r#"// SPDX-License-Identifier: GPL-2.0-only
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

#define NUMBER 0x5eed
#define SHORT_LIVED 0x5eee

struct data {
	long value;
};

static struct data *bench;

static int pre_patch(struct klp_object *obj)
{
	bench = kzalloc(sizeof(*bench), GFP_KERNEL);
	if (!bench)
		return -ENOMEM;
	bench->value = 3;
	return 0;
}

static void post_unpatch(struct klp_object *obj)
{
	klp_shadow_free_all(NUMBER, NULL);
	kfree(bench);
}

static int construct(void *obj, void *shadow_data, void *ctor_data)
{
	*(long *)shadow_data = 2;
	return 0;
}

static long prepare(u64 *object)
{
	long *number = klp_shadow_get_or_alloc(object, NUMBER, sizeof(*number), GFP_KERNEL, construct, NULL);

	return number ? *number : -1;
}

static long plain(u64 *object)
{
	return 1;
}

static long hit(u64 *object)
{
	long *number = klp_shadow_get(object, NUMBER);

	return number ? *number : -1;
}

static long miss(u64 *object)
{
	long *number = klp_shadow_get(object, NUMBER);

	return number ? *number : -2;
}

static long data(u64 *object)
{
	struct data *data = READ_ONCE(bench);

	return data ? data->value : -1;
}

static int construct_life(void *obj, void *shadow_data, void *ctor_data)
{
	*(long *)shadow_data = 4;
	return 0;
}

static void destroy_life(void *obj, void *shadow_data)
{
	WRITE_ONCE(*(long *)shadow_data, 0);
}

static long life(u64 *object)
{
	long *number = klp_shadow_alloc(object, SHORT_LIVED, sizeof(*number), GFP_ATOMIC, construct_life, NULL);
	long value = number ? READ_ONCE(*number) : -1;

	klp_shadow_free(object, SHORT_LIVED, destroy_life);
	return value;
}

static struct klp_func vmlinux_funcs[] = {
	{ }
};

static struct klp_func funcs[] = {
	{ .old_name = "klp_bench_prepare", .new_func = prepare },
	{ .old_name = "klp_bench_plain", .new_func = plain },
	{ .old_name = "klp_bench_hit", .new_func = hit },
	{ .old_name = "klp_bench_miss", .new_func = miss },
	{ .old_name = "klp_bench_data", .new_func = data },
	{ .old_name = "klp_bench_life", .new_func = life },
	{ }
};

static struct klp_object objs[] = {
	{ .funcs = vmlinux_funcs, .callbacks = { .pre_patch = pre_patch, .post_unpatch = post_unpatch } },
	{ .name = "klp_bench_target", .funcs = funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};
"#;
