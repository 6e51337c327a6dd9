// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bodies that use macros and inline functions of the kernel's headers, and what
 * the kernel does not export: nr_processes and saved_command_line.
 */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/seq_file.h>

#include "klp_patch.h"

// ANCHOR: ticks
int ticks_of_a_second(void)
{
	return HZ;
}
// ANCHOR_END: ticks

// ANCHOR: body
int version_proc_show(struct seq_file *m, void *v)
{
	struct TaskReads *reads = reads_of(current);
	int result = original_version(m, v);

	count_read();
	seq_printf(m, "corrected in C, %d, read %d times\n", result, reads ? atomic_inc_return(&reads->count) : 0);
	return result;
}
// ANCHOR_END: body

int cmdline_proc_show(struct seq_file *m, void *v)
{
	struct task_struct *task;
	int processes = 0;

	rcu_read_lock();
	for_each_process(task)
		processes++;
	rcu_read_unlock();
	pr_info("%s\n", processes > 0 && nr_processes() > 0 ? "there are processes" : "there are none");
	WARN_ON_ONCE(!saved_command_line);
	seq_printf(m, "C: %s\n", saved_command_line);
	return 0;
}

int fifo_open(struct inode *inode, struct file *file)
{
	return original_fifo_open(inode, file);
}
