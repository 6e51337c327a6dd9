// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes one allocation of a process fail that a patch of the tests makes, or
 * the kernel's shadow store: stock kernels have no fault injection of their
 * own. Parameters, under /sys/module/klp_test_nomem/parameters:
 *
 *   pid     whose allocations count
 *   nth     which one fails, from 1; counted down, 0 when it has failed
 */
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>

static int pid;
module_param(pid, int, 0600);
MODULE_PARM_DESC(pid, "the process whose allocations count");

static int nth;
module_param(nth, int, 0600);
MODULE_PARM_DESC(nth, "which of them fails");

/* Runs in place of the allocation. */
static noinline void *klp_test_no_memory(void)
{
	return NULL;
}

/* Where the function returns to whose first instruction is probed. */
static __always_inline unsigned long klp_test_caller(struct pt_regs *regs)
{
#ifdef CONFIG_ARM64
	return procedure_link_pointer(regs);
#else
	return *(unsigned long *)kernel_stack_pointer(regs);
#endif
}

static int klp_test_on_kmalloc(struct kprobe *probe, struct pt_regs *regs)
{
	char caller[KSYM_SYMBOL_LEN];

	if (READ_ONCE(nth) <= 0 || current->tgid != READ_ONCE(pid))
		return 0;
	sprint_symbol_no_offset(caller, klp_test_caller(regs));
	if (!strstr(caller, "klp_shadow") && !strstr(caller, "[klp_test_"))
		return 0;
	if (--nth > 0)
		return 0;
	instruction_pointer_set(regs, (unsigned long)klp_test_no_memory);
	return 1;
}
NOKPROBE_SYMBOL(klp_test_on_kmalloc);

static struct kprobe klp_test_kmalloc = { .pre_handler = klp_test_on_kmalloc };

static int __init klp_test_nomem_init(void)
{
	/* The name up to 6.9, and the one since. */
	static const char *const names[] = { "__kmalloc", "__kmalloc_noprof" };
	int ret = -ENOENT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names) && ret == -ENOENT; i++) {
		klp_test_kmalloc.symbol_name = names[i];
		klp_test_kmalloc.addr = NULL;
		klp_test_kmalloc.flags = 0;
		ret = register_kprobe(&klp_test_kmalloc);
	}
	return ret;
}
module_init(klp_test_nomem_init);

static void __exit klp_test_nomem_exit(void)
{
	unregister_kprobe(&klp_test_kmalloc);
}
module_exit(klp_test_nomem_exit);

MODULE_DESCRIPTION("Fails allocations for klp's tests");
MODULE_LICENSE("GPL");
