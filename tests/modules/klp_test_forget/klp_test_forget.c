// SPDX-License-Identifier: GPL-2.0-only
/*
 * Undoes what a forced transition does for good (S21), so that one boot sees many of them: gives up the
 * references on the random patches, their shadow variables, and the runtime's list. Loading it does that,
 * and fails. No task may run code of these patches.
 */
#include <linux/ktime.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

#define PATCHES "klp_test_random"

static unsigned long list;
module_param(list, ulong, 0);
MODULE_PARM_DESC(list, "id of the shadow variable that is the runtime's list");

static unsigned int list_size;
module_param(list_size, uint, 0);
MODULE_PARM_DESC(list_size, "its size");

static unsigned long plain[8];
static int nr_plain;
module_param_array(plain, ulong, &nr_plain, 0);
MODULE_PARM_DESC(plain, "ids of shadow variables that hold their data");

static unsigned long sleepable[8];
static int nr_sleepable;
module_param_array(sleepable, ulong, &nr_sleepable, 0);
MODULE_PARM_DESC(sleepable, "ids of shadow variables that point to their data");

static void free_box(void *obj, void *data)
{
	kfree(*(void **)data);
}

/* What the list leads to is lost. A copy keeps it from looking like a leak. */
static int keep_list(void)
{
	void *data = klp_shadow_get(NULL, list), *copy;

	if (!data)
		return 0;
	copy = klp_shadow_alloc((void *)(unsigned long)ktime_get_ns(), list + 1, list_size, GFP_KERNEL, NULL, NULL);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, list_size);
	klp_shadow_free(NULL, list, NULL);
	return 0;
}

static void put_modules(void)
{
	/* The newest module is the first of the kernel's list. */
	struct list_head *modules = THIS_MODULE->list.prev;
	struct module *mod;

	list_for_each_entry(mod, modules, list) {
		if (strncmp(mod->name, PATCHES, strlen(PATCHES)))
			continue;
		while (module_refcount(mod) > 0)
			module_put(mod);
	}
}

static int __init klp_test_forget_init(void)
{
	int i, ret;

	for (i = 0; i < nr_plain; i++)
		klp_shadow_free_all(plain[i], NULL);
	for (i = 0; i < nr_sleepable; i++)
		klp_shadow_free_all(sleepable[i], free_box);
	ret = keep_list();
	if (ret)
		return ret;
	put_modules();
	return -ENODEV;
}
module_init(klp_test_forget_init);

MODULE_DESCRIPTION("Undoes what forced transitions do for good");
MODULE_LICENSE("GPL");
