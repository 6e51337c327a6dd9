//! Writes the sources of the patches that are compared, each with klp and in C.
//!
//! The C follows the kernel's documentation: states are in `klp_patch.states`, and a patch that replaces takes over
//! their data; the callbacks of vmlinux find out which states are new.

use std::fmt::Write;

/// The contents of a patch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    /// Whether it redirects `cmdline_proc_show` of vmlinux.
    pub(crate) cmdline: bool,
    /// The number of functions of the target module that it redirects, from the first on.
    pub(crate) functions: usize,
    /// The number of states with data, whose ids count from 1.
    pub(crate) states: usize,
    /// Whether each state has a shadow variable, and makes one.
    pub(crate) shadows: bool,
    /// Whether it replaces all other patches.
    pub(crate) replace: bool,
}

/// The module whose functions are redirected.
pub(crate) const TARGET: &str = "klp_bench_target";

/// What `/proc/cmdline` shows while a patch redirects the function of [`Spec::cmdline`].
pub(crate) const TEXT: &str = "this has been live patched";

/// The first id of shadow variables in C; any number would do.
const FIRST_SHADOW: u64 = 0x5eed_0000;

impl Spec {
    /// A patch with `number` annotated items: functions, states and shadow variables in nearly equal numbers.
    pub(crate) fn items(number: usize) -> Self {
        let states = number / 3;
        Self { functions: number - 2 * states, states, shadows: states > 0, ..Self::default() }
    }

    /// Writes the patch with klp.
    pub(crate) fn rust(&self) -> String {
        let mut text = format!(
            "#![no_std]\nuse klp_runtime::prelude::*;\n\nlivepatch! {{\n    license: \"GPL\",\n    \
             authors: [\"The klp authors\"],\n    description: \"A patch of klp's benchmarks\",\n    \
             replace: {},\n}}\n",
            self.replace
        );
        if self.cmdline {
            text.push_str(RUST_CMDLINE);
        }
        text + &self.rust_items(0)
    }

    /// Writes the items alone, for a file of a larger patch; their numbers begin with `start`.
    pub(crate) fn rust_module(&self, start: usize) -> String {
        format!("use klp_runtime::prelude::*;\n{}", self.rust_items(start))
    }

    fn rust_items(&self, start: usize) -> String {
        let mut text = String::new();
        for i in start..start + self.functions {
            writeln!(
                text,
                "\n#[klp_func(symbol = \"klp_bench_f{i}\", object = \"{TARGET}\")]\n\
                 unsafe extern \"C\" fn new_f{i}() -> c_int {{\n    {i}\n}}"
            )
            .expect("a string takes everything");
        }
        if self.states > 0 {
            text.push_str("\n#[derive(KlpData)]\n#[repr(C)]\nstruct Data {\n    value: u64,\n}\n");
        }
        if self.shadows {
            writeln!(
                text,
                "\n#[repr(C)]\nstruct Object(u64);\n\nstatic OBJECTS: [Object; {0}] = [const {{ Object(0) }}; {0}];",
                start + self.states
            )
            .expect("a string takes everything");
        }
        for i in start..start + self.states {
            let id = i + 1;
            let shadow = if self.shadows {
                format!(
                    "        Shadow{i}::alloc(&OBJECTS[{i}], GFP_KERNEL, || Ok(Shadow{i} {{ value: {id} }}))?;\n"
                )
            } else {
                String::new()
            };
            writeln!(
                text,
                "\nstruct State{i};\n\n#[klp_state(id = {id}, version = 1)]\nimpl State for State{i} {{\n    \
                 type Data = Data;\n    fn pre_patch(_cx: &StateContext<'_>) -> Result<Data> {{\n{shadow}        \
                 Ok(Data {{ value: {id} }})\n    }}\n}}"
            )
            .expect("a string takes everything");
            if self.shadows {
                writeln!(
                    text,
                    "\n#[shadow(state = State{i}, of = Object)]\n#[repr(C)]\nstruct Shadow{i} {{\n    value: u64,\n}}"
                )
                .expect("a string takes everything");
            }
        }
        text
    }

    /// Writes the patch in C.
    pub(crate) fn c(&self) -> String {
        let mut text = C_START.to_owned();
        if self.cmdline {
            text.push_str(C_CMDLINE);
        }
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        for i in 0..self.functions {
            line(format!("static int new_f{i}(void)\n{{\n\treturn {i};\n}}"));
        }
        line("static struct klp_func vmlinux_funcs[] = {".into());
        if self.cmdline {
            line("\t{ .old_name = \"cmdline_proc_show\", .new_func = livepatch_cmdline_proc_show },".into());
        }
        line("\t{ }\n};".into());
        if self.functions > 0 {
            line("static struct klp_func target_funcs[] = {".into());
            for i in 0..self.functions {
                line(format!("\t{{ .old_name = \"klp_bench_f{i}\", .new_func = new_f{i} }},"));
            }
            line("\t{ }\n};".into());
        }
        if self.states > 0 {
            line(self.c_states());
        }
        line("static struct klp_object objs[] = {".into());
        if self.states > 0 {
            line("\t{ .funcs = vmlinux_funcs, .callbacks = { .pre_patch = pre_patch, .post_unpatch = post_unpatch } },".into());
        } else if self.cmdline {
            line("\t{ .funcs = vmlinux_funcs },".into());
        }
        if self.functions > 0 {
            line(format!("\t{{ .name = \"{TARGET}\", .funcs = target_funcs }},"));
        }
        line("\t{ }\n};".into());
        line("static struct klp_patch patch = {\n\t.mod = THIS_MODULE,\n\t.objs = objs,".into());
        if self.states > 0 {
            line("\t.states = states,".into());
        }
        if self.replace {
            line("\t.replace = true,".into());
        }
        line("};".into());
        text + C_END
    }

    fn c_states(&self) -> String {
        let mut text = String::from("struct data {\n\tu64 value;\n};\n");
        if self.shadows {
            text.push_str(&format!("static u64 objects[{}];\n{C_CONSTRUCTOR}", self.states));
        }
        for i in 0..self.states {
            let id = i + 1;
            let shadow_id = FIRST_SHADOW + i as u64;
            let (mut make, mut free) = (String::new(), String::new());
            if self.shadows {
                make = format!(
                    "\tvalue = {id};\n\tif (!klp_shadow_alloc(&objects[{i}], {shadow_id}, sizeof(u64), GFP_KERNEL, \
                     construct, &value)) {{\n\t\tkfree(data);\n\t\treturn -ENOMEM;\n\t}}\n"
                );
                free = format!("\tklp_shadow_free_all({shadow_id}, NULL);\n");
            }
            let value = if self.shadows { "\tu64 value;\n" } else { "" };
            text.push_str(&format!(
                "static int make{i}(struct klp_state *state)\n{{\n\tstruct data *data = kzalloc(sizeof(*data), \
                 GFP_KERNEL);\n{value}\n\tif (!data)\n\t\treturn -ENOMEM;\n\tdata->value = {id};\n{make}\t\
                 state->data = data;\n\treturn 0;\n}}\n\
                 static void undo{i}(struct klp_state *state)\n{{\n{free}\tkfree(state->data);\n}}\n"
            ));
        }
        text.push_str("static struct klp_state states[] = {\n");
        (1..=self.states).for_each(|id| text.push_str(&format!("\t{{ .id = {id}, .version = 1 }},\n")));
        text.push_str("\t{ }\n};\nstatic int (*const make[])(struct klp_state *) = {\n");
        (0..self.states).for_each(|i| text.push_str(&format!("\tmake{i},\n")));
        text.push_str("};\nstatic void (*const undo[])(struct klp_state *) = {\n");
        (0..self.states).for_each(|i| text.push_str(&format!("\tundo{i},\n")));
        text.push_str("};\n");
        text + C_CALLBACKS
    }
}

/// Writes the target module, whose functions are redirected. A number N written to
/// `/sys/module/klp_bench_target/parameters/NAME` calls the function NAME N times, without interrupts; the parameter
/// `ticks` then contains the number of instructions, as QEMU counts them.
pub(crate) fn target(functions: usize) -> String {
    target_of(&super::hot_path::FUNCTIONS, functions)
}

/// The same, with other functions that are called by their names.
pub(crate) fn target_of(called: &[impl AsRef<str>], functions: usize) -> String {
    let mut text = C_TARGET.to_owned();
    for name in called {
        let name = name.as_ref();
        text.push_str(&format!("HOT({name})\n"));
    }
    for i in 0..functions {
        text.push_str(&format!(
            "int klp_bench_f{i}(void);\nnoinline int klp_bench_f{i}(void)\n{{\n\treturn -{i};\n}}\n"
        ));
    }
    text + C_TARGET_END
}

const RUST_CMDLINE: &str = r#"
unsafe extern "C" {
    fn seq_printf(m: *mut seq_file, format: *const c_char, ...);
}

#[klp_func(symbol = "cmdline_proc_show")]
unsafe extern "C" fn livepatch_cmdline_proc_show(m: *mut seq_file, _v: *mut c_void) -> c_int {
    unsafe { seq_printf(m, c"%s\n".as_ptr(), c"this has been live patched".as_ptr()) };
    0
}
"#;

const C_START: &str = r#"// SPDX-License-Identifier: GPL-2.0-only
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

"#;

const C_CMDLINE: &str = r#"static int livepatch_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%s\n", "this has been live patched");
	return 0;
}
"#;

const C_CONSTRUCTOR: &str = r"static int construct(void *obj, void *shadow_data, void *ctor_data)
{
	*(u64 *)shadow_data = *(u64 *)ctor_data;
	return 0;
}
";

const C_CALLBACKS: &str = r"static struct klp_patch patch;
static int pre_patch(struct klp_object *obj)
{
	struct klp_state *previous;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(make); i++) {
		previous = klp_get_prev_state(states[i].id);
		if (previous) {
			states[i].data = previous->data;
			continue;
		}
		ret = make[i](&states[i]);
		if (ret)
			goto err;
	}
	return 0;
err:
	while (i-- > 0)
		if (!klp_get_prev_state(states[i].id))
			undo[i](&states[i]);
	return ret;
}
static void post_unpatch(struct klp_object *obj)
{
	int i;

	for (i = ARRAY_SIZE(undo) - 1; i >= 0; i--)
		undo[i](&states[i]);
}
";

/// The end of each patch in C: it enables `patch`.
pub(crate) const C_END: &str = r#"
static int __init patch_init(void)
{
	return klp_enable_patch(&patch);
}
module_init(patch_init);

static void __exit patch_exit(void)
{
}
module_exit(patch_exit);

MODULE_AUTHOR("The klp authors");
MODULE_DESCRIPTION("A patch of klp's benchmarks");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
"#;

const C_TARGET: &str = r#"// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <linux/irqflags.h>
#include <asm/msr.h>

static unsigned long ticks;
module_param(ticks, ulong, 0400);

/* Object 0 gets a shadow variable. */
static u64 objects[2];
long klp_bench_prepare(u64 *object);
noinline long klp_bench_prepare(u64 *object)
{
	/* Else gcc would leave the call out. */
	barrier_data(object);
	return 0;
}

#define HOT(name)							\
long klp_bench_##name(u64 *object);					\
noinline long klp_bench_##name(u64 *object)				\
{									\
	barrier_data(object);						\
	/* Else gcc would make one function of them. */			\
	return __LINE__;						\
}									\
static int run_##name(const char *text, const struct kernel_param *kp)	\
{									\
	u64 *object = &objects[!strcmp(#name, "miss")];			\
	unsigned long i, times, flags, start;				\
	int ret = kstrtoul(text, 10, &times);				\
									\
	if (ret)							\
		return ret;						\
	klp_bench_prepare(&objects[0]);					\
	local_irq_save(flags);						\
	start = rdtsc_ordered();					\
	for (i = 0; i < times; i++)					\
		klp_bench_##name(object);				\
	ticks = rdtsc_ordered() - start;				\
	local_irq_restore(flags);					\
	return 0;							\
}									\
static const struct kernel_param_ops ops_##name = { .set = run_##name };	\
module_param_cb(name, &ops_##name, NULL, 0200);

"#;

const C_TARGET_END: &str = r#"
MODULE_DESCRIPTION("Functions for klp's benchmarks");
MODULE_LICENSE("GPL");
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_as_many_of_each() {
        let spec = Spec { cmdline: true, functions: 3, states: 4, shadows: true, replace: true };
        let (rust, c) = (spec.rust(), spec.c());
        assert_eq!(rust.matches("#[klp_func(").count(), 4);
        assert_eq!(c.matches(".old_name").count(), 4);
        assert_eq!(rust.matches("#[klp_state(").count(), 4);
        assert_eq!(c.matches(".version = 1").count(), 4);
        assert_eq!(rust.matches("#[shadow(").count(), 4);
        assert_eq!(c.matches("klp_shadow_alloc(").count(), 4);
        assert!(rust.contains("replace: true") && c.contains(".replace = true"));
    }
}
