// SPDX-License-Identifier: GPL-2.0-only
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/uidgid.h>

#include "klp_patch.h"

int livepatch_fifo_open(struct inode *inode, struct file *file)
{
	if (!capable(CAP_SYS_ADMIN)) {
		count_refusal();
		pr_info_ratelimited("%s of user %u was refused a FIFO\n", current->comm,
				    from_kuid(&init_user_ns, current_uid()));
		return -EPERM;
	}
	return original_fifo_open(inode, file);
}
