// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does one thing that a checker of the kernel must report, by the parameter
 * "fault", and fails to load: so nothing of it stays.
 */
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/workqueue.h>

static char *fault = "";
module_param(fault, charp, 0);
MODULE_PARM_DESC(fault, "what is done");

static DEFINE_MUTEX(klp_test_first);
static DEFINE_MUTEX(klp_test_second);

static void klp_test_lock(struct mutex *outer, struct mutex *inner)
{
	mutex_lock(outer);
	mutex_lock(inner);
	mutex_unlock(inner);
	mutex_unlock(outer);
}

static void klp_test_lock_order(void)
{
	klp_test_lock(&klp_test_first, &klp_test_second);
	klp_test_lock(&klp_test_second, &klp_test_first);
}

static void klp_test_atomic_sleep(void)
{
	preempt_disable();
	might_sleep();
	preempt_enable();
}

static void klp_test_list_corruption(void)
{
	LIST_HEAD(head);
	LIST_HEAD(entry);

	list_add(&entry, &head);
	list_del(&entry);
	list_del(&entry);
}

static void klp_test_refcount(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
}

static void klp_test_shift(void)
{
	volatile int bits = 40;

	pr_info("shifted: %d\n", 1 << bits);
}

static void klp_test_work_fn(struct work_struct *work)
{
}

static void klp_test_active_object(void)
{
	struct delayed_work *work = kzalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return;
	INIT_DELAYED_WORK(work, klp_test_work_fn);
	schedule_delayed_work(work, 3600 * HZ);
	kfree(work);
}

static void klp_test_use_after_free(void)
{
	volatile char *byte = kzalloc(16, GFP_KERNEL);

	if (!byte)
		return;
	kfree((const void *)byte);
	pr_info("read: %d\n", *byte);
}

static void klp_test_leak(void)
{
	void *volatile lost;
	int i;

	/* The address of one may stay on a stack. */
	for (i = 0; i < 10; i++)
		lost = kzalloc(1000, GFP_KERNEL);
	lost = NULL;
}

static const struct {
	const char *name;
	void (*provoke)(void);
} klp_test_faults[] = {
	{ "lock_order", klp_test_lock_order },
	{ "atomic_sleep", klp_test_atomic_sleep },
	{ "list_corruption", klp_test_list_corruption },
	{ "refcount", klp_test_refcount },
	{ "shift", klp_test_shift },
	{ "active_object", klp_test_active_object },
	{ "use_after_free", klp_test_use_after_free },
	{ "leak", klp_test_leak },
};

static int __init klp_test_faulty_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(klp_test_faults); i++) {
		if (strcmp(fault, klp_test_faults[i].name))
			continue;
		klp_test_faults[i].provoke();
		return -EIO;
	}
	return -EINVAL;
}
module_init(klp_test_faulty_init);

MODULE_DESCRIPTION("Faults that the kernel's checkers must report");
MODULE_LICENSE("GPL");
