/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of klp_glue.c behind klp_runtime::{time, task, syscall}: only what the
 * Rust half of this patch uses.
 */
#include <linux/jiffies.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#ifdef KLP_USES_klp_glue_jiffies
unsigned long klp_glue_jiffies(void);
unsigned long klp_glue_jiffies(void)
{
	return jiffies;
}
#endif

#ifdef KLP_USES_klp_glue_msecs_to_jiffies
unsigned long klp_glue_msecs_to_jiffies(unsigned int msecs);
unsigned long klp_glue_msecs_to_jiffies(unsigned int msecs)
{
	return msecs_to_jiffies(msecs);
}
#endif

#ifdef KLP_USES_klp_glue_current
struct task_struct *klp_glue_current(void);
struct task_struct *klp_glue_current(void)
{
	return current;
}
#endif

#ifdef KLP_USES_klp_glue_task_pid
pid_t klp_glue_task_pid(struct task_struct *task);
pid_t klp_glue_task_pid(struct task_struct *task)
{
	return task_pid_nr(task);
}
#endif

#ifdef KLP_USES_klp_glue_task_tgid
pid_t klp_glue_task_tgid(struct task_struct *task);
pid_t klp_glue_task_tgid(struct task_struct *task)
{
	return task_tgid_nr(task);
}
#endif

#ifdef KLP_USES_klp_glue_task_pid_vnr
pid_t klp_glue_task_pid_vnr(struct task_struct *task);
pid_t klp_glue_task_pid_vnr(struct task_struct *task)
{
	return task_pid_vnr(task);
}
#endif

#ifdef KLP_USES_klp_glue_task_tgid_vnr
pid_t klp_glue_task_tgid_vnr(struct task_struct *task);
pid_t klp_glue_task_tgid_vnr(struct task_struct *task)
{
	return task_tgid_vnr(task);
}
#endif

#ifdef KLP_USES_klp_glue_task_comm
static_assert(TASK_COMM_LEN == 16, "klp_runtime::task::TASK_COMM_LEN is another one");
void klp_glue_task_comm(struct task_struct *task, char *comm);
void klp_glue_task_comm(struct task_struct *task, char *comm)
{
	/* Without the task's lock, as get_task_comm() since 6.13: any context. */
	memcpy(comm, task->comm, TASK_COMM_LEN);
	comm[TASK_COMM_LEN - 1] = '\0';
}
#endif

#ifdef KLP_USES_klp_glue_task_is_kthread
bool klp_glue_task_is_kthread(struct task_struct *task);
bool klp_glue_task_is_kthread(struct task_struct *task)
{
	return task->flags & PF_KTHREAD;
}
#endif

#ifdef KLP_USES_klp_glue_task_is_group_leader
bool klp_glue_task_is_group_leader(struct task_struct *task);
bool klp_glue_task_is_group_leader(struct task_struct *task)
{
	return thread_group_leader(task);
}
#endif

/* Arguments of system calls, in the registers of asm/syscall_wrapper.h. */

#ifdef KLP_USES_klp_glue_syscall_native
void klp_glue_syscall_native(const struct pt_regs *regs, u64 args[6]);
#endif
#ifdef KLP_USES_klp_glue_syscall_compat
void klp_glue_syscall_compat(const struct pt_regs *regs, u32 args[6]);
#endif
#ifdef KLP_USES_klp_glue_syscall_registers
/* Of the current task, with these arguments; whether of a 32-bit system call. */
bool klp_glue_syscall_registers(const u64 args[6], struct pt_regs *regs);
#endif

#ifdef CONFIG_ARM64
#include "klp_glue_syscall_arm64.h"
#else
#include "klp_glue_syscall_x86.h"
#endif
