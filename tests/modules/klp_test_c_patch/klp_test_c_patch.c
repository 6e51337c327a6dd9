// SPDX-License-Identifier: GPL-2.0-only
/*
 * A livepatch in C, which knows nothing of klp: /proc/version has another text.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static bool replace;
module_param(replace, bool, 0);
MODULE_PARM_DESC(replace, "it replaces all other patches");

static unsigned long state;
module_param(state, ulong, 0);
MODULE_PARM_DESC(state, "the id of its one state; by default it has no states");

static unsigned int version;
module_param(version, uint, 0);
MODULE_PARM_DESC(version, "the version of its state");

static int klp_test_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "patched in C\n");
	return 0;
}

static struct klp_func funcs[] = {
	{ .old_name = "version_proc_show", .new_func = klp_test_version_proc_show },
	{ }
};

static struct klp_object objs[] = {
	{ .funcs = funcs },
	{ }
};

static struct klp_state states[2];

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init klp_test_c_patch_init(void)
{
	patch.replace = replace;
	if (state) {
		states[0].id = state;
		states[0].version = version;
		patch.states = states;
	}
	return klp_enable_patch(&patch);
}
module_init(klp_test_c_patch_init);

static void __exit klp_test_c_patch_exit(void)
{
}
module_exit(klp_test_c_patch_exit);

MODULE_DESCRIPTION("A livepatch in C for klp's tests");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
