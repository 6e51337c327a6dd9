/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The part of klp_glue_helpers.h behind klp_runtime::syscall, for arm64. The
 * place of the first argument differs between releases: the kernel's own macro
 * knows it.
 */
#if defined(KLP_USES_klp_glue_syscall_native) || defined(KLP_USES_klp_glue_syscall_compat) || \
	defined(KLP_USES_klp_glue_syscall_registers)
#include <linux/compat.h>
#include <linux/syscalls.h>
#endif

#ifdef KLP_USES_klp_glue_syscall_native
void klp_glue_syscall_native(const struct pt_regs *regs, u64 args[6])
{
	const u64 all[6] = { SC_ARM64_REGS_TO_ARGS(6) };

	memcpy(args, all, sizeof(all));
}
#endif

#ifdef KLP_USES_klp_glue_syscall_compat
void klp_glue_syscall_compat(const struct pt_regs *regs, u32 args[6])
{
	int i;

	for (i = 0; i < 6; i++)
		args[i] = regs->regs[i];
}
#endif

#ifdef KLP_USES_klp_glue_syscall_registers
bool klp_glue_syscall_registers(const u64 args[6], struct pt_regs *regs)
{
	bool is_compat = is_compat_task();
	int i;

	/* The room that Rust has for them. */
	BUILD_BUG_ON(sizeof(*regs) > 42 * sizeof(u64));

	*regs = *current_pt_regs();
	for (i = 0; i < 6; i++)
		regs->regs[i] = is_compat ? (u32)args[i] : args[i];
	regs->orig_x0 = regs->regs[0];
	return is_compat;
}
#endif
