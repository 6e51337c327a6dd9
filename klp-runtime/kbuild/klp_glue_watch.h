/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of klp_glue.c behind klp_runtime::engine::Kernel::watch: the log
 * names a callback that takes long, while it runs. One that waits for a module
 * to be loaded would never return, since modules wait for the livepatch mutex.
 */
#include <linux/jiffies.h>
#include <linux/timer.h>
#include <linux/version.h>

#ifdef KLP_USES_klp_glue_watch

/* The seconds after which a callback takes long. */
#define KLP_GLUE_LONG	5

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync	del_timer_sync
#endif

/* The state or object whose callback runs. */
static const char *klp_glue_watched;

static void klp_glue_takes_long(struct timer_list *timer)
{
	pr_warn("a callback of %s has not returned for %d seconds: until it does, no module can be loaded and no patch enabled or disabled\n",
		klp_glue_watched, KLP_GLUE_LONG);
}
static DEFINE_TIMER(klp_glue_watch_timer, klp_glue_takes_long);

/* Under the livepatch mutex. A name where a callback begins, NULL where it has returned. */
void klp_glue_watch(const char *name);
void klp_glue_watch(const char *name)
{
	if (!name) {
		timer_delete_sync(&klp_glue_watch_timer);
		return;
	}
	klp_glue_watched = name;
	mod_timer(&klp_glue_watch_timer, jiffies + KLP_GLUE_LONG * HZ);
}

#endif
