// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module whose function patches redirect: /proc/klp_test_target has a line
 * with what klp_test_describe() says of each of its things.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#define KLP_TEST_NR_THINGS 3

/* Not inlined, and its callers know nothing of its body. Clang has no single attribute for that. */
#if __has_attribute(noipa)
#define opaque __attribute__((noipa))
#else
#define opaque noinline __used
#endif

static bool fail;
module_param(fail, bool, 0);
MODULE_PARM_DESC(fail, "describe the things, then fail to load");

/* Nobody looks inside. */
struct klp_test_thing;

/*
 * Somewhere in the kernel's own memory, so that each time the module is loaded
 * its things are where they were: as an allocator may do it, but always.
 */
static struct klp_test_thing *klp_test_thing(int number)
{
	return page_address(ZERO_PAGE(0)) + 64 * number;
}

/* What patches redirect. */
static opaque int klp_test_describe(struct klp_test_thing *thing)
{
	int said = 0;

	/* Clang's callers would not pass what is not read, and take what is returned for 0. */
	asm volatile("" : "+r" (said) : "r" (thing));
	return said;
}

static int klp_test_show(struct seq_file *m, void *v)
{
	int i;

	for (i = 0; i < KLP_TEST_NR_THINGS; i++)
		seq_printf(m, "%d%c", klp_test_describe(klp_test_thing(i)),
			   i + 1 < KLP_TEST_NR_THINGS ? ' ' : '\n');
	return 0;
}

static int __init klp_test_target_init(void)
{
	int i;

	if (fail) {
		for (i = 0; i < KLP_TEST_NR_THINGS; i++)
			klp_test_describe(klp_test_thing(i));
		return -ENODEV;
	}
	return proc_create_single("klp_test_target", 0, NULL, klp_test_show) ? 0 : -ENOMEM;
}
module_init(klp_test_target_init);

static void __exit klp_test_target_exit(void)
{
	remove_proc_entry("klp_test_target", NULL);
}
module_exit(klp_test_target_exit);

MODULE_DESCRIPTION("A module that klp's tests patch");
MODULE_LICENSE("GPL");
