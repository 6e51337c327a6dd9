// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module whose functions and variables are its own: /proc/klp_test_hidden has
 * what klp_test_hidden_show() says.
 */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "hidden.h"

static int klp_test_hidden_number = 17;

/* Also in the other file. */
static opaque int klp_test_hidden_which(void)
{
	int which = 1;

	/* Clang would have the caller take it for that. */
	OPTIMIZER_HIDE_VAR(which);
	return which;
}

static opaque int klp_test_hidden_add(int number)
{
	return klp_test_hidden_number += number;
}

/* Each has a variable of the same name. */
static opaque int klp_test_hidden_odd(void)
{
	static int calls = 1001;

	return calls += 2;
}

static opaque int klp_test_hidden_even(void)
{
	static int calls = 2002;

	return calls += 2;
}

/* What patches redirect. */
static opaque int klp_test_hidden_show(struct seq_file *m, void *v)
{
	seq_printf(m, "%d %d %d %d %d\n", klp_test_hidden_add(0), klp_test_hidden_which(),
		   klp_test_hidden_other(), klp_test_hidden_odd(), klp_test_hidden_even());
	return 0;
}

static int klp_test_hidden_proc_show(struct seq_file *m, void *v)
{
	return klp_test_hidden_show(m, v);
}

static int __init klp_test_hidden_init(void)
{
	return proc_create_single("klp_test_hidden", 0, NULL, klp_test_hidden_proc_show) ? 0 : -ENOMEM;
}
module_init(klp_test_hidden_init);

static void __exit klp_test_hidden_exit(void)
{
	remove_proc_entry("klp_test_hidden", NULL);
}
module_exit(klp_test_hidden_exit);

MODULE_DESCRIPTION("A module that exports nothing");
MODULE_LICENSE("GPL");
